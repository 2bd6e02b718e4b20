# SPDX-License-Identifier: LGPL-2.1-or-later
"""Thousands of jobs of all kinds, with everything that clients do around them: what the daemon, the bus, PID 1 and the disk hold
for jobmill afterwards is what they held before.

    JOBMILL_LEAKS_JOBS=10000    how many"""

import contextlib
import json
import os
import pathlib
import shutil
import sqlite3
import struct
import time

import dbus
import pytest

import client
from client import BusError, Client
from mill import BUILD, BUS, RUN, SANITIZERS, Remote, job_units, systemctl, until

JOBS = int(os.environ.get("JOBMILL_LEAKS_JOBS", 400))
ROUND = 200             # jobs in a round
WARM_UP = 200           # jobs until the first look
BETWEEN = max(JOBS // 4, 1000)
DROP_IN = pathlib.Path("/run/systemd/system/jobmilld.service.d/count-heap.conf")
LIBRARY = pathlib.Path("/usr/lib/jobmill-test-count-heap.so")
COUNTS = pathlib.Path("/run/jobmill/count-heap")
FEW_EVENTS = pathlib.Path("/run/jobmill/jobmill.conf.d/leaks.conf")

pytestmark = [pytest.mark.system_only, pytest.mark.skipif(SANITIZERS, reason="LeakSanitizer looks at memory in its own way")]


@pytest.fixture
def counted(mill):
    """The daemon tells how much memory it has."""
    shutil.copy(BUILD / "tests/system/count-heap.so", LIBRARY)
    mill.write_queue("leaks", "Slots=16", reload=False)
    mill.write_queue("leaks-other", "Slots=4", reload=False)
    mill.write_queue("leaks-pool", "Slots=4", "Executor=pool", reload=False)
    FEW_EVENTS.parent.mkdir(parents=True, exist_ok=True)
    FEW_EVENTS.write_text("[Daemon]\nEventsMax=1000\nPoolIdleSec=1h\n")  # so many are there soon; until then the store's cache grows with them
    DROP_IN.parent.mkdir(parents=True, exist_ok=True)
    DROP_IN.write_text("[Service]\nEnvironment=LD_PRELOAD=%s COUNT_HEAP_FILE=%s\n" % (LIBRARY, COUNTS))
    systemctl("daemon-reload")
    mill.restart_daemon()
    mill.endless = mill.submit("true", "leaks", hold=True, name="endless")
    yield mill
    mill.call("CancelJob", mill.endless)
    systemctl("stop", "jobmill-pool-leaks*.service")
    FEW_EVENTS.unlink()
    DROP_IN.unlink()
    systemctl("daemon-reload")
    mill.restart_daemon()
    COUNTS.unlink()
    LIBRARY.unlink()


class Round:
    """Jobs of all kinds, and all calls. Nothing of it is left at its end."""

    def __init__(self, mill, folder, number):
        self.mill, self.folder, self.number = mill, folder, number
        self.ids = []

    def kinds(self):
        """Of the jobs of a batch: words, spec."""
        n, out = self.number, {"output_file": str(self.folder / "out"), "error_file": str(self.folder / "err")}
        return [("true", {}), ("exit 3", {"environment": ["ROUND=%d" % n, "A=b"]}), ("kill -KILL $$", {"properties": ["LimitCORE=0"]}),
                ("cat", {"payload": b"x" * 3000, "environment": ["SAME=in each round"]}), ("echo out; echo err >&2", out),
                (["/nonexistent"], {"environment": ["NEVER=%d" % n]}), ("setsid sleep 60 & exit 0", {}),
                ("exec sleep 60", {"timeout_usec": 100_000}), ("echo to the journal", {"tags": {"round": str(n), "k": "ä" * 50}}),
                ("true", {"not_before_usec": int(time.time() * 1e6) + 300_000}),
                ("seq 2000; echo '{\"success\": true}'", {"verify": "verdict"}), ("echo to the spool; exit 1", {"stdout": "spool"}),
                ("[ $JOBMILL_ATTEMPT = 3 ]", {"max_attempts": 3, "backoff_base_usec": 1000, "environment": ["AGAIN=%d" % n]})]

    def submit(self, words, **spec):
        self.ids.append(self.mill.submit(words, "leaks", name="leaks", **spec))
        return self.ids[-1]

    def flow(self):
        names = ["f%d" % i for i in range(6)]
        document = {"defaults": {"queue": "leaks", "argv": ["/bin/sh", "-c", "[ ! -e $JOBMILL_INPUTS ]"]},
                    "jobs": [{"name": n, "after": [{"job": b, "on": "end", "otherwise": "continue"} for b in names[:i]]} for i, n in enumerate(names)]}
        ids = list(self.mill.call("SubmitFlow", json.dumps(document))[1].values())
        self.mill.wait_all(ids)
        return len(ids)

    def policy(self):
        """Arrays, unique keys and start deadlines."""
        first = self.mill.call("Submit", "leaks", ["/bin/true"], {"name": "leaks", "array": 8, "array_max_running": 3, "tags": {"of": "all"}})[0]
        self.mill.call("UpdateJobs", {"ids": [first + 7]}, {"tags": {"own": str(self.number)}})
        key = {"unique_key": "k%d" % self.number, "unique_scope": "1s", "hold": True}
        ids = [self.submit("true", unique_policy="replace", **key) for _ in range(3)]
        late = self.submit("true", hold=True, deadline_usec=int(time.time() * 1e6) + 300_000)
        self.mill.call("ReleaseJob", ids[-1])
        self.mill.wait_all([*range(first, first + 8), *ids, late])
        return 12

    def batch(self, n):
        many = [self.kinds()[i % 13] for i in range(n)]
        entries = [client.entry("leaks", words if isinstance(words, list) else ["/bin/sh", "-c", words], name="leaks",
                                **({"request_id": "%d-%d" % (self.number, time.monotonic_ns())} if i == 0 else {}), **spec)
                   for i, (words, spec) in enumerate(many)]
        ids = self.mill.call("SubmitMany", entries)
        self.ids += ids
        return ids

    @staticmethod
    def expect_error(function, *args):
        with contextlib.suppress(BusError):
            function(*args)
            raise AssertionError("no error: %s" % (args, ))

    @staticmethod
    def open_log(c, id_, stream):
        """A user may have eight, and those of the last ones may not have ended yet."""
        fds = []

        def opened():
            try:
                fds.append(c.call("OpenLog", id_, stream))
            except BusError as e:
                if e.short != "TooMany":
                    raise
            return fds

        until(opened, 10, "a log can be opened")
        return fds[0]

    def clients(self, id_):
        """They come, want something, and go, some without a word."""
        for i in range(5):
            c = Client(BUS)
            c.call("Subscribe")
            pending = [c.start("WaitJob", job, 2**64 - 1, timeout=600) for job in (id_, self.mill.endless) for _ in range(3)]
            if i % 2:
                c.call("Unsubscribe")
            fds = [self.open_log(c, id_, stream) for stream in ("journal", "journal-follow")]
            c.start("Submit", "leaks", ["/bin/true"], {"name": "leaks", "hold": True})
            c.call("GetJob", id_)
            for fd in fds:
                if i % 3:
                    os.close(fd.take())
            c.close()
            del pending, fds

    def refused(self, id_):
        """Errors, polkit asked and its answer not waited for."""
        hasty = Remote("alice")
        hasty.call("start", 3, "CancelJob", id_)
        hasty.close()
        alice = self.mill.user("alice")
        for member, *args in (("CancelJob", id_), ("SetQueue", "leaks", {"Slots": "16"}, True), ("Reload", ), ("HoldJob", id_)):
            self.expect_error(alice.call, member, *args)
        self.expect_error(self.mill.call, "Submit", "no queue", ["/bin/true"], {})
        self.expect_error(self.mill.call, "Submit", "leaks", ["/bin/true"], {"environment": ["=bad"], "name": "x"})
        self.expect_error(self.mill.call, "Submit", "leaks", ["/bin/true"], {"properties": ["Type=simple"]})
        self.expect_error(self.mill.call, "SubmitMany", [client.entry("leaks", ["/bin/true"]), client.entry("leaks", [])])
        self.expect_error(self.mill.call, "SetQueue", "leaks", {"NoSuchKey": "1"}, True)
        self.expect_error(self.mill.call, "WaitJob", 2**60, 0)
        self.expect_error(self.mill.call, "ListJobs", {}, "no cursor", 0)

    def act(self):
        """What users do, to jobs of their own for each."""
        call = self.mill.call
        frozen, cancelled, killed = (self.submit("exec sleep 60", environment=["L=%d" % self.number], freezable=True) for _ in range(3))
        held, moved = self.submit("exit 1", hold=True), self.submit("true", hold=True, environment=["MOVED=1"])
        for id_ in (frozen, cancelled, killed):
            self.mill.reach(id_, "running", 30)
        call("FreezeJob", frozen)
        self.clients(cancelled)
        self.refused(cancelled)
        call("UpdateJob", held, {"environment": ["CHANGED=%d" % self.number], "payload": b"new", "tags": {"a": "b"}})
        call("MoveJob", moved, "leaks-other")
        call("SetQueue", "leaks-other", {"Slots": str(2 + self.number % 3), "Service.Nice": "1"}, False)
        for what in ("PauseQueue", "ResumeQueue", "DrainQueue", "ResumeQueue"):
            call(what, "leaks-other")
        call("PreviewUnit", "leaks", ["/bin/true"], {"environment": ["A=b"]})
        call("HoldJobs", {"name": "leaks", "state": "ready"})
        call("ReleaseJobs", {"name": "leaks", "state": "held"})
        call("CancelJob", cancelled)
        call("KillJob", killed, 9)
        call("ThawJob", frozen)
        call("CancelJob", frozen)
        self.mill.wait_all([frozen, cancelled, killed, held, moved])
        for id_ in (held, killed):
            call("RetryJob", id_, {})
        for id_ in (held, killed):
            self.mill.reach(id_, "running" if id_ == killed else "done", 30)
        call("KillJob", killed, 15)
        return 5 + 2 + 5

    def backup(self):
        with open(self.folder / "backup.db", "wb") as f:
            self.mill.call("Backup", dbus.types.UnixFd(f.fileno()))

    def pool(self):
        """One of them leaves files, one takes its runner with it, so that there is another one in each round."""
        kinds = [("true", {}), ("exit 3", {"environment": ["ROUND=%d" % self.number]}), ("exec sleep 60", {"timeout_usec": 100_000}),
                 ("setsid sleep 60 & cat", {"payload": b"x" * 3000}), ("seq 2000; echo '{\"success\": true}'", {"verify": "verdict"}),
                 ("echo out", {"output_file": str(self.folder / "out")}), ("kill -KILL $PPID; sleep 60", {"stdout": "spool"})]
        for words, spec in kinds:
            self.ids.append(self.mill.submit(words, "leaks-pool", name="leaks", **spec))
            self.mill.wait(self.ids[-1])
        self.mill.wait(self.mill.submit("true", "leaks-pool", name="leaks"))
        return len(kinds) + 1

    def run(self):
        jobs = 0
        jobs += self.flow()
        jobs += self.policy()
        jobs += self.pool()
        while jobs < ROUND - 18:
            self.batch(94)
            jobs += 94
        jobs += self.act()
        self.mill.call("Reload")
        until(lambda: self.mill.call("CountJobs", {"name": "leaks", "state": "done"}) ==
              self.mill.call("CountJobs", {"name": "leaks"}), 120, lambda: "all are over: %s" % self.mill.stats())
        self.mill.jobs(name="leaks")
        for id_ in self.ids[:3]:
            self.mill.attempts(id_)
        self.backup()
        assert not self.mill.call("CheckIntegrity")
        self.mill.call("PurgeJobs", {"state": "done"})
        return jobs


def fds(pid):
    return len(os.listdir("/proc/%d/fd" % pid))


def dbus_stats(mill, pid):
    """What the bus keeps of the daemon: (matches, bytes of answers that it owes and is owed …)."""
    c = Client(BUS)
    names = c.raw("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "ListNames", "")
    mine, matches = 0, 0
    rules = c.raw("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus.Debug.Stats", "GetAllMatchRules", "")
    for name in names:
        if name.startswith(":") and c.raw("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus",
                                          "GetConnectionUnixProcessID", "s", name) == pid:
            mine += 1
            matches += len(rules.get(name, []))
    c.close()
    return {"connections": mine, "matches": matches}


def files_below(path):
    return sum(len(files) for _, _, files in os.walk(path))


def look(mill, folder):
    """Everything that is counted: must not grow. And figures that are only told."""
    # Two batches: what is given back only from time to time is given back.
    for _ in range(2):
        mill.call("SubmitMany", [client.entry("leaks", ["/bin/true"], name="leaks", hold=True)] * 1100)
        mill.call("CancelJobs", {"name": "leaks"})
        mill.call("PurgeJobs", {"state": "done"})
    mill.no_units()
    pid = mill.daemon_pid()
    until(lambda: not pathlib.Path("/proc/%d/task/%d/children" % (pid, pid)).read_text(), 30, "it has no children")
    time.sleep(1.5)  # the daemon has seen all clients go, and told PID 1 how it stands
    pieces, size = struct.unpack("qq", COUNTS.read_bytes())
    db = sqlite3.connect("file:%s?mode=ro" % (folder / "backup.db"), uri=True)
    Round(mill, folder, 0).backup()
    rows = {t: db.execute("SELECT count(*) FROM " + t).fetchone()[0] for t in ("environment", "environment_content", "job", "attempt", "edge", "ended")}
    db.close()
    manager = dict(line.split("=", 1) for line in systemctl("show", "--property=NNames", "--property=NJobs").splitlines())
    exact = {"descriptors": fds(pid), "descriptors of PID 1": fds(1), "units": int(manager["NNames"]), "unit jobs": int(manager["NJobs"]),
             "attempt files": len(list((RUN / "attempt").iterdir())), "state files": len(os.listdir("/var/lib/jobmill")),
             "temporary files": sum(files_below("/proc/%d/root%s" % (pid, d)) for d in ("/tmp", "/var/tmp")),
             "run files": files_below("/run/jobmill"), "queue files": files_below("/etc/jobmill"),
             "transient units": len(os.listdir("/run/systemd/transient")), "job units": len(job_units()),
             "cgroups": sum(len(d) for _, d, _ in os.walk("/sys/fs/cgroup")), **dbus_stats(mill, pid), **rows}
    told = {"VmRSS": rss(pid), "VmRSS of PID 1": rss(1)}
    return exact, pieces, size, told


def rss(pid):
    return int(next(x for x in pathlib.Path("/proc/%d/status" % pid).read_text().splitlines() if x.startswith("VmRSS")).split()[1])


def test_nothing_grows(counted, folder, figure):
    mill, pid, done, looks, begin = counted, counted.daemon_pid(), 0, [], time.monotonic()
    while done < JOBS + WARM_UP:
        done += Round(mill, folder, len(looks) * 1000 + done).run()
        if not looks or done >= looks[-1][0] + BETWEEN:
            looks.append((done, *look(mill, folder)))
    looks.append((done, *look(mill, folder)))
    assert mill.daemon_pid() == pid, "it is the same all the time"
    (first, exact, pieces, size, told), (last, exact_then, pieces_then, size_then, told_then) = looks[0], looks[-1]
    for n, _, p, s, t in looks:
        print("%d jobs: %d pieces of memory, %d bytes; %s" % (n, p, s, t))
    print(exact_then)
    figure("leaks: from %d to %d jobs in %.0f s: pieces of memory %+d (of %d), bytes %+d, resident %+d KiB (of %d), PID 1 %+d KiB; all else"
           " the same: %s" % (first, last, time.monotonic() - begin, pieces_then - pieces, pieces_then, size_then - size,
                              told_then["VmRSS"] - told["VmRSS"], told_then["VmRSS"], told_then["VmRSS of PID 1"] - told["VmRSS of PID 1"],
                              ", ".join("%s %d" % kv for kv in exact_then.items())))
    assert abs(exact_then.pop("descriptors of PID 1") - exact.pop("descriptors of PID 1")) < 10  # it has its own life
    assert exact_then == exact
    # Less than one piece for each of the calls that come once a round.
    assert pieces_then - pieces < (last - first) / ROUND, "%d pieces after %d jobs, %d after %d" % (pieces, first, pieces_then, last)
    assert size_then - size < 65536
