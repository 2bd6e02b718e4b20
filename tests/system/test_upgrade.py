# SPDX-License-Identifier: LGPL-2.1-or-later
"""jobmilld is restarted, and replaced as a package does it, under 100 running jobs, a backlog that is being dispatched, waits and
submits: no job notices, none is lost or run twice, and what was answered is there."""

import os
import pathlib
import re
import shutil
import subprocess
import threading
import time

import pytest

from client import BusError, Client
from mill import BUILD, BUS, SANITIZERS, SLOW, greatest_overlap, journal, run, systemctl, until

HEARTBEAT = BUILD / "tests/system/heartbeat"
DAEMON = pathlib.Path("/usr/libexec/jobmill/jobmilld")
PROGRAMS = [DAEMON, DAEMON.with_name("jobmill-exec"), pathlib.Path("/usr/bin/jobmill")]
STEADY = 4  # jobs of the backlog at a time
HANG = 20   # seconds without a beat: it was stopped, however slow the machine is

pytestmark = [pytest.mark.system_only,
              pytest.mark.skipif(SANITIZERS, reason="what jobs notice has nothing to do with the daemon's memory")]


class Hundred:
    """The running jobs. Each writes a proof of its own."""

    def __init__(self, mill, folder):
        self.mill, self.folder, self.ids = mill, folder, {}
        self.stop = folder / "stop"
        mill.write_queue("hundred", "Slots=100", reload=False)
        mill.write_queue("steady", "Slots=%d" % STEADY)
        # One that is not jobmill's, to know how smoothly this machine runs.
        self.control = subprocess.Popen([HEARTBEAT, folder / "beats.control", self.stop], stdout=subprocess.DEVNULL)
        wait = "while [ ! -e stop ]; do sleep 0.5; done"
        self.add("journal", 20, self.beat)
        self.add("file", 20, self.beat, output_file="out.%j")
        self.add("sleep", 25, "exec sleep infinity")
        self.add("handler", 20, "trap 'echo >touched.$JOBMILL_JOB_ID; exit 9' TERM; trap : CONT; " + wait)
        self.add("child", 10, "(%s) & wait" % wait, timeout_usec=3600 * 10**6)
        self.add("frozen", 5, self.beat, freezable=True)
        for id_ in self.all():
            mill.reach(id_, "running", 60)
        until(lambda: len(self.runs()) == 100, 20, "all have begun")
        until(lambda: all(len(self.beats(i)) > 3 for i in self.beating("frozen")), 20, "all beat")
        for id_ in self.ids["frozen"]:
            mill.call("FreezeJob", id_)
        until(lambda: all(mill.info(i).get("reason") == "frozen" for i in self.ids["frozen"]), 10, "they are frozen")
        self.before = self.units()

    def add(self, kind, n, words, **spec):
        self.ids[kind] = [self.mill.submit("echo $JOBMILL_JOB_ID >>runs; " + (words(kind) if callable(words) else words), "hundred",
                                           cwd=str(self.folder), name=kind, **spec) for _ in range(n)]

    @staticmethod
    def beat(kind):
        return "exec %s beats.$JOBMILL_JOB_ID stop" % HEARTBEAT

    def all(self):
        return [i for ids in self.ids.values() for i in ids]

    def beating(self, *more):
        return [i for kind in ("journal", "file", *more) for i in self.ids[kind]]

    def runs(self):
        path = self.folder / "runs"
        return path.read_text().split() if path.exists() else []

    def lines(self, id_):
        path = self.folder / ("beats.%s" % id_)
        return path.read_text().split("\n")[:-1] if path.exists() else []

    def beats(self, id_):
        """[(number, µs)]"""
        return [tuple(map(int, line.split())) for line in self.lines(id_) if line[0].isdigit()]

    def units(self):
        """What PID 1 would change if somebody touched a job."""
        names = ("MainPID", "InvocationID", "ActiveState", "SubState", "FreezerState", "NRestarts", "StateChangeTimestampMonotonic",
                 "ExecMainStartTimestampMonotonic", "ControlGroup")
        text = systemctl("show", *map(self.mill.unit, self.all()), *("--property=" + n for n in names))
        units = [dict(line.split("=", 1) for line in part.splitlines()) for part in text.strip().split("\n\n")]
        assert len(units) == len(self.all()) and all(len(u) == len(names) for u in units)
        return dict(zip(self.all(), units))

    def check_untouched(self):
        assert self.units() == self.before
        assert all(self.mill.state(i) == "running" for i in self.all())
        assert not list(self.folder.glob("touched.*"))

    def gap(self, id_):
        """The longest time between two beats, µs."""
        times = [t for _, t in self.beats(id_)]
        return max(b - a for a, b in zip(times, times[1:]))

    def end(self):
        """Each ends by itself. Returns the longest gaps: of a job, of the control."""
        for id_ in self.ids["frozen"]:
            self.mill.call("ThawJob", id_)
        until(lambda: all("reason" not in self.mill.info(i) for i in self.ids["frozen"]), 10, "they are thawed")
        self.stop.touch()
        for id_ in self.ids["sleep"]:
            self.mill.call("KillJob", id_, 9)
        jobs = {j["id"]: j for j in self.mill.wait_all(self.all(), 60)}
        for kind, ids in self.ids.items():
            assert {jobs[i]["result"] for i in ids} == {"signal" if kind == "sleep" else "success"}, kind
            assert {jobs[i]["attempt"] for i in ids} == {1}
        assert sorted(map(int, self.runs())) == sorted(self.all()), "each ran once"
        assert self.control.wait(10 * SLOW) == 0
        for id_ in self.beating("frozen"):
            self.check_beats(id_)
        return max(map(self.gap, self.beating())), self.gap("control")

    def check_beats(self, id_):
        lines = self.lines(id_)
        assert lines[0] == "begin %s" % self.before[id_]["MainPID"] and lines[-1] == "end"
        assert [n for n, _ in self.beats(id_)] == list(range(1, len(self.beats(id_)) + 1))
        if id_ not in self.ids["frozen"]:
            assert len(lines) == len(self.beats(id_)) + 2, "it got a signal: %s" % [x for x in lines if "signal" in x]
            assert self.gap(id_) < HANG * 1e6 * SLOW

    def check_output(self):
        """Every line of theirs, in the file and in the journal."""
        for id_ in self.ids["file"]:
            assert (self.folder / ("out.%d" % id_)).read_text() == self.expected(id_)
        for id_ in self.ids["journal"][:5]:
            said = [e["MESSAGE"] for e in journal("_SYSTEMD_UNIT=" + self.mill.unit(id_), "_TRANSPORT=stdout")]
            assert "".join(line + "\n" for line in said) == self.expected(id_)

    def expected(self, id_):
        return "".join("beat %d\n" % n for n, _ in self.beats(id_))


class Backlog:
    """Short jobs, more than there is time for."""

    def __init__(self, mill, folder, n=1500):
        self.mill, self.folder, self.name = mill, folder, folder.name
        self.ids = mill.submit_many(["echo $JOBMILL_JOB_ID >>steady; exec sleep 0.03"] * n, "steady", cwd=str(folder), name=self.name)

    def wait_for(self, n):
        """Until so many more have begun."""
        path = self.folder / "steady"
        count = lambda: len(path.read_text().split()) if path.exists() else 0  # noqa: E731
        end = count() + n
        until(lambda: count() >= end, 60, lambda: "%d of %d have begun" % (count(), end))

    def end(self):
        """Those that have begun end; the others are not needed any more. Returns [(started, finished)] of those that ran, µs."""
        self.mill.call("CancelJobs", {"name": self.name, "state": "ready"})
        until(lambda: self.mill.call("CountJobs", {"name": self.name, "state": "done"}) == len(self.ids), 60, "the backlog is over")
        jobs = [j for j in self.mill.jobs(name=self.name) if "started_usec" in j]
        assert {j["result"] for j in jobs} <= {"success", "cancelled"}
        assert all(j["attempt"] == 1 for j in jobs)
        ran = (self.folder / "steady").read_text().split()
        assert sorted(ran) == sorted(set(ran)), "none ran twice"
        ended_well = {str(j["id"]) for j in jobs if j["result"] == "success"}
        assert ended_well <= set(ran) <= {str(j["id"]) for j in jobs}
        return [(j["started_usec"], j["finished_usec"]) for j in jobs]


def dispatch_gap(runs, begin, end):
    """The longest time between one start and the next while that went on, µs."""
    starts = sorted(s for s, _ in runs)
    first, last = max(s for s in starts if s <= begin), min(s for s in starts if s > end)
    during = [s for s in starts if first <= s <= last]
    return max(b - a for a, b in zip(during, during[1:]))


class Submitter(threading.Thread):
    """Submits and submits, over the bus, and does not try again: every call is answered, or fails with a clear word."""

    def __init__(self):
        super().__init__()
        self.over = threading.Event()
        self.answered, self.errors, self.slowest = [], [], 0

    def run(self):
        n = 0
        while not self.over.is_set():
            begin = time.monotonic()
            p = run("busctl", "--json=short", "call", "org.jobmill1", "/org/jobmill1", "org.jobmill1.Manager", "Submit", "sasa{sv}",
                    "", "1", "/bin/true", "2", "hold", "b", "true", "name", "s", "raw-%d" % n, check=False)
            self.slowest = max(self.slowest, time.monotonic() - begin)
            if p.returncode == 0:
                self.answered.append((n, int(re.search(r"\[(\d+),", p.stdout).group(1))))
            else:
                self.errors.append((n, p.stderr.strip()))
            n += 1

    def check(self, mill):
        stored = {j["name"]: j["id"] for j in mill.jobs(state="held", fields=["id", "name"]) if j.get("name", "").startswith("raw-")}
        for n, id_ in self.answered:
            assert stored.pop("raw-%d" % n) == id_
        # Whether one was made that was not answered nobody can know; that is what request ids are for.
        assert set(stored) <= {"raw-%d" % n for n, _ in self.errors}
        assert all(re.search("recipient disconnected|NoReply|terminated|not activatable|shutting down", e) for _, e in self.errors), self.errors
        mill.call("CancelJobs", {"state": "held"})


class ToolUser(threading.Thread):
    """The tool tries again by itself: to its user nothing happened."""

    def __init__(self, name):
        super().__init__()
        self.over, self.label = threading.Event(), name
        self.ids, self.failed = [], []

    def run(self):
        while not self.over.is_set():
            p = run("jobmill", "submit", "--hold", "--name", self.label, "true", check=False)
            if p.returncode == 0:
                self.ids.append(int(p.stdout))
            else:
                self.failed.append(p)


def restart(mill):
    mill.restart_daemon()


def upgrade(mill):
    """The files first, each by a rename; then its postinst script."""
    for path in PROGRAMS:
        shutil.copy2(path, path.with_name(path.name + ".new"))
        path.with_name(path.name + ".new").rename(path)
    assert os.readlink("/proc/%d/exe" % mill.daemon_pid()).endswith(" (deleted)")
    systemctl("daemon-reload")
    systemctl("try-restart", "jobmilld.service")


def replace(mill, how, hundred, backlog, figure):
    """One of the two, with waits and submits going on. Returns the begin and the end of it, µs, and the waits of the tool."""
    some = hundred.beating()[:3]
    waits = [subprocess.Popen(["jobmill", "wait", *map(str, ids)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
             for ids in (some[:1], some, hundred.ids["sleep"][:1])]
    other = Client(BUS)
    plain_wait = other.start("WaitJob", some[0], 2**64 - 1, timeout=600)
    raw, tool = threads = [Submitter(), ToolUser("%s-%s" % (backlog.name, how.__name__))]
    for t in threads:
        t.start()
    backlog.wait_for(20)
    pid, begin = mill.daemon_pid(), time.time() * 1e6
    how(mill)
    end = time.time() * 1e6
    assert mill.daemon_pid() != pid
    assert os.readlink("/proc/%d/exe" % mill.daemon_pid()) == str(DAEMON)
    backlog.wait_for(20)
    for t in threads:
        t.over.set()
        t.join()
    hundred.check_untouched()
    assert all(p.poll() is None for p in waits), "jobmill wait waits on: %s" % [p.communicate() for p in waits if p.poll() is not None]
    with pytest.raises(BusError) as e:
        other.finish(plain_wait)
    assert e.value.name == "org.freedesktop.DBus.Error.NoReply"
    other.close()
    assert not tool.failed, tool.failed
    assert sorted(j["id"] for j in mill.jobs(name=tool.label)) == sorted(tool.ids)
    raw.check(mill)
    figure("%s with 100 running jobs: took %.0f ms; %d submits by the tool meanwhile, all answered; %d by busctl, %d of them not"
           " answered, slowest %.0f ms" % (how.__name__, (end - begin) / 1000, len(tool.ids), len(raw.answered) + len(raw.errors),
                                           len(raw.errors), raw.slowest * 1000))
    return begin, end, waits


def test_under_100_jobs(mill, folder, figure):
    hundred, backlog = Hundred(mill, folder), Backlog(mill, folder)
    done = [replace(mill, how, hundred, backlog, figure) for how in (restart, upgrade)]
    runs = backlog.end()
    job_gap, control_gap = hundred.end()
    hundred.check_output()
    for _, _, waits in done:
        assert [p.wait(20 * SLOW) for p in waits] == [0, 0, 128 + 9], [p.communicate() for p in waits]
        for p in waits:
            p.communicate()
    assert greatest_overlap(runs) <= STEADY
    assert not mill.call("CheckIntegrity")
    figure("from the last start before to the first start after: %s ms; longest time between two beats of 50 ms: %.0f ms in a job,"
           " %.0f ms beside jobmill" % (", ".join("%.0f" % (dispatch_gap(runs, *d[:2]) / 1000) for d in done), job_gap / 1000,
                                        control_gap / 1000))
