# SPDX-License-Identifier: LGPL-2.1-or-later
"""The daemon is killed at every named point (base/crash-point.h), and disturbed at every named point, while jobs of all kinds
pass through it. Runs against a build with -Dcrash-points=true only:

    make build-crash && tests/system/boot --build build-crash -- /usr/bin/python3 -m pytest tests/system/test_crash_points.py

A round is one workload with some points armed; each of them fires once in it. JOBMILL_CRASH_FULL=1: every disturbance at every
point, not just kill and one of the others. JOBMILL_CRASH_ONLY=kill,dbus: only these. JOBMILL_CRASH_POINTS=stop: only points that begin
so. Those of Backstop=yes are there with systemd 258 only: make check TIER=matrix."""

import contextlib
import os
import pathlib
import random
import re
import shutil
import signal
import sqlite3
import threading
import time

import pytest

from client import BusError, entry
from mill import RUN, SOURCE, VERSION, run, systemctl, unit_properties, until
from workload import SCHEDULE, STATE, Workload, workers, write_queues

DIR = pathlib.Path("/var/lib/jobmill-crash")  # of its own: it must take writes when /run or the store's place is full
DROP_INS = pathlib.Path("/run/systemd/system")
FULL = os.environ.get("JOBMILL_CRASH_FULL") == "1"
POINTS_PER_ROUND = 10
ONLY = os.environ.get("JOBMILL_CRASH_ONLY", "").split(",")

NAMES = [name for f in (SOURCE / "src").rglob("*.c") for name in re.findall(r'CRASH_POINT\("([^"]+)"\)', f.read_text())]
POINTS = sorted(p for p in set(NAMES) if p.startswith(os.environ.get("JOBMILL_CRASH_POINTS", "")) and
                (VERSION >= 258 or not p.startswith("backstop-")))


@pytest.fixture(scope="module", autouse=True)
def armed_daemon(mill):
    binary = pathlib.Path("/usr/libexec/jobmill/jobmilld").read_bytes()
    missing = [p for p in POINTS if p.encode() + b"\0" not in binary]
    assert POINTS and not missing, "not compiled in: %s" % missing
    assert len(set(NAMES)) == len(NAMES), "names that stand twice: %s" % [p for p in NAMES if NAMES.count(p) > 1]
    write_queues(mill)
    DIR.mkdir(mode=0o700, exist_ok=True)
    drop_ins = {DROP_INS / "jobmilld.service.d/crash.conf": "[Unit]\nStartLimitIntervalSec=0\n[Service]\nRestartSec=20ms\n"
                "Environment=JOBMILL_CRASH_DIR=%s\nReadWritePaths=%s\n" % (DIR, DIR),
                DROP_INS / "dbus.service.d/crash.conf": "[Unit]\nStartLimitIntervalSec=0\n"}
    for path, text in drop_ins.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    systemctl("daemon-reload")
    systemctl("stop", "jobmilld.service")
    run("mount", "-t", "tmpfs", "-o", "mode=0700,size=256m", "tmpfs", STATE)
    systemctl("start", "jobmilld.service")
    with workers():
        yield
    for path in drop_ins:
        path.unlink()
    systemctl("daemon-reload")
    systemctl("stop", "jobmilld.service")
    run("umount", STATE)
    systemctl("start", "jobmilld.service")
    shutil.rmtree(DIR)
    mill.forget_users()


def kill_daemon():
    systemctl("kill", "--signal=KILL", "jobmilld.service", check=False)


# ---- what is done while the daemon is stopped at a point ----

def stopped_pid():
    """Of the daemon, once the point has stopped it."""
    pid = int(unit_properties("jobmilld.service", "MainPID")["MainPID"] or 0)
    try:
        state = pathlib.Path("/proc/%d/stat" % pid).read_text().rpartition(")")[2].split()[0]
    except OSError:
        return 0
    return pid if state == "T" else 0


def pause():
    time.sleep(5)


def restart_dbus():
    systemctl("kill", "--signal=KILL", "dbus.service", check=False)
    systemctl("reset-failed", "dbus.service", check=False)
    # A daemon that stands still while it stops holds it up: what is ordered after the bus ends before the bus begins.
    systemctl("start", "--no-block", "dbus.service", check=False)
    time.sleep(0.3)


def reload_manager():
    systemctl("daemon-reload")


def reexec_manager():
    systemctl("daemon-reexec")


class Full:
    """A tmpfs without room, until over() is called."""

    def __init__(self, folder):
        self.folder = folder
        self.size = 0

    def __call__(self):
        s = os.statvfs(self.folder)
        self.size = max(self.size, s.f_blocks * s.f_frsize)  # one may come upon another
        until(self.shrink, 10, lambda: "there is room in %s: %s" % (self.folder, self.refused))

    def shrink(self):
        s = os.statvfs(self.folder)
        try:
            self.resize((s.f_blocks - s.f_bfree) * s.f_frsize)
            return True
        except AssertionError as e:  # more is used by now
            self.refused = e

    def resize(self, size):
        run("mount", "-o", "remount,size=%d" % size, self.folder)

    def over(self):
        self.resize(self.size)


DISTURBANCES = {"pause": pause, "dbus": restart_dbus, "reload": reload_manager, "reexec": reexec_manager,
                "run-full": Full("/run"), "disk-full": Full(STATE)}
ALL = ["kill", *DISTURBANCES]


def disturb(name, pid):
    what = DISTURBANCES[name]
    try:
        what()
    finally:
        os.kill(pid, signal.SIGCONT)
        if hasattr(what, "over"):
            time.sleep(0.4)
            what.over()


# ---- the points of a round ----

class Armed(threading.Thread):
    """Points that are to fire, each with a disturbance. What is done when the daemon was stopped at one is done beside the calls
    of the workload."""

    def __init__(self, points):
        super().__init__()
        self.left = {}      # point: disturbance
        self.fired = set()  # (point, disturbance)
        self.over = threading.Event()
        self.at_it = threading.Lock()
        self.error = self.at = None
        # Of a start that never came PID 1 knows nothing: what it takes for these.
        helper = "1 %d\n" % signal.SIGKILL if any(p.startswith(AGAIN) for p in points) else ""
        if helper and "start-before" not in points:
            self.arm("start-before", helper)
        for point, (disturbance, count) in points.items():
            sig = signal.SIGKILL if disturbance == "kill" else signal.SIGSTOP
            self.arm(point, (helper if point == "start-before" else "") + "%d %d\n" % (count, sig))
            self.left[point] = disturbance

    @staticmethod
    def arm(point, text):
        (DIR / ".new").write_text(text)
        (DIR / ".new").rename(DIR / point)

    def once(self):
        """Those that are left shall fire the next time."""
        if any(p.startswith(AGAIN) for p in self.left) and not (DIR / "start-before").exists():
            self.arm("start-before", "1 %d\n" % signal.SIGKILL)
        for point in self.left:
            with contextlib.suppress(FileNotFoundError):
                self.arm(point, re.sub(r"(?m)^\d+", "1", (DIR / point).read_text()))

    def disarm(self):
        for f in DIR.iterdir():
            f.unlink()

    def look(self):
        for point, disturbance in list(self.left.items()):
            if (DIR / point).exists():
                continue
            self.at = point
            if disturbance != "kill":
                with self.at_it:
                    try:
                        pid = until(stopped_pid, 10, "the daemon stands still")
                    except AssertionError:  # it was killed; or PID 1 has sent it SIGCONT, as it does after SIGTERM
                        self.arm(point, "1 %d\n" % signal.SIGSTOP)
                        continue
                    disturb(disturbance, pid)
            del self.left[point]
            self.fired.add((point, disturbance))

    def run(self):
        try:
            while not self.over.wait(0.01):
                self.look()
        except BaseException as e:  # told by the test
            self.error = e

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.join()
        self.disarm()
        systemctl("kill", "--signal=CONT", "jobmilld.service", check=False)


# ---- what it takes for some points to be crossed ----

@contextlib.contextmanager
def no_store():
    """A daemon that finds no store. The old one comes back afterwards: names of units are not used twice."""
    old = pathlib.Path("/var/tmp/jobmill-old-store")
    shutil.rmtree(old, ignore_errors=True)
    systemctl("stop", "jobmilld.service")
    shutil.copytree(STATE, old)
    run("find", STATE, "-mindepth", "1", "-delete")
    with contextlib.closing(sqlite3.connect(old / "jobmill.db")) as db:
        next_id = int(db.execute("SELECT value FROM meta WHERE key = 'next_id'").fetchone()[0])
    a_stray(next_id + 1000)
    systemctl("start", "--no-block", "jobmilld.service")
    yield
    systemctl("stop", "jobmilld.service")
    run("find", STATE, "-mindepth", "1", "-delete")
    shutil.copytree(old, STATE, dirs_exist_ok=True)
    a_stray(next_id + 20000)  # above all of them
    systemctl("start", "jobmilld.service")


def a_stray(id_):
    run("systemd-run", "--quiet", "--unit=jobmill-job-%d-1" % id_, "--property=RemainAfterExit=yes", "--slice=jobmill-crash.slice",
        "true", check=False)


def full_disk(w):
    # A log that is large would take more; and while there is no room for the ballast nothing is taken, so nothing could fail.
    systemctl("restart", "jobmilld.service", check=False)
    until(lambda: w.insist("GetStatistics")["dispatch"] == "" and (STATE / "ballast").stat().st_blocks * 512 >= 8 << 20, 20, "ballast")
    full = DISTURBANCES["disk-full"]
    full()
    return full


def fail_once(w):
    """A commit that fails while jobs run, for the points of the recovery, which comes by itself when no other commit comes first."""
    job = w.submit("runs while the disk is full", "exec sleep 60", "cancelled")
    w.reach(job, "running", patience=10)
    full = full_disk(w)
    try:
        with contextlib.suppress(BusError):
            w.mill.call("Submit", "crash", ["/bin/true"], {"payload": b"x" * (16 << 20), "name": "too large", "hold": True}, timeout=10)
        time.sleep(1.5)
    finally:
        full.over()
    w.insist("CancelJobs", {"ids": [job.id]})  # of several: heard twice, as where its answer was lost with the bus, is no error
    w.insist("CancelJobs", {"name": "too large"})  # the disk may have had room again when it came
    w.insist("PurgeJobs", {"name": "too large"})


def fail_page(w):
    """The commit of the first of several pages."""
    ids = w.insist("SubmitMany", [entry("crash", ["/bin/true"], hold=True) for _ in range(70)])
    for _ in range(5):
        full = full_disk(w)
        try:
            w.mill.call("UpdateJobs", {"ids": ids}, {"payload": b"x" * (100 << 10)}, timeout=10)
        except BusError as e:
            if not e.name.endswith(".StorageFull") or "Not all was recorded" in str(e):
                break
        finally:  # refused: another commit came first, and failed
            full.over()
    w.insist("CancelJobs", {"ids": ids})
    w.insist("PurgeJobs", {"ids": ids})


def ask_polkit(w):
    """For a user who may not do that."""
    job = w.submit("not hers", "true", "success", hold=True)
    for _ in range(5):
        try:
            w.mill.user("alice").call("CancelJob", job.id)
            raise AssertionError("alice has cancelled a job of root's")
        except BusError as e:
            if e.name.endswith((".AccessDenied", ".InteractiveAuthorizationRequired")):
                break
            w.mill.forget_users()  # the connection went with the bus
    w.insist("ReleaseJobs", {"ids": [job.id]})


def much(w):
    """More than the store's log may hold."""
    w.submit("large", "[ $(wc -c) = %d ]" % (5 << 20), "success", payload=b"x" * (5 << 20))


def hang(w):
    """A start that does not come to its end: its slice is frozen."""
    w.mill.write_queue("crash-ice", "Slots=2", reload=False)
    w.insist("Reload")
    systemctl("start", "jobmill-crash-ice.slice")
    systemctl("freeze", "jobmill-crash-ice.slice")
    job = w.submit("cancelled while starting", "true", "cancelled", queue="crash-ice", runs=None, stop_timeout_usec=300_000)
    points = [p for p in POINTS if needs(p) == [hang]]
    try:
        w.reach(job, "starting", patience=20)
        w.insist("CancelJobs", {"ids": [job.id]})
        with contextlib.suppress(AssertionError):  # then in the next workload
            until(lambda: not any((DIR / p).exists() for p in points), 10)
    finally:
        systemctl("thaw", "jobmill-crash-ice.slice", check=False)


def restart_daemon(w):
    systemctl("restart", "--no-block", "jobmilld.service")
    time.sleep(0.3)
    w.insist("GetStatistics")


def restart_bus(w):
    restart_dbus()
    w.insist("GetStatistics")


AGAIN = ("start-again", "journal-mark-")
# Beginnings of names: what is done besides.
NEEDS = [(("meta-", "storage-", "model-dropped", "ballast-"), fail_once), (("page-", ), fail_page), (("polkit-", ), ask_polkit),
         (("checkpoint-", ), much), (("call-off-", ), hang), (("stopping", "stopped", "store-close-"), restart_daemon),
         (("bus-lost", "manager-disconnected"), restart_bus)]


def needs(point):
    return [deed for names, deed in NEEDS if point.startswith(names)]


# ---- the rounds ----

def only_a_new_daemon_sees(w, armed):
    """Units and files that nobody knows."""
    a_stray(max(j.id for j in w.jobs) + 1000)
    run("systemd-run", "--quiet", "--unit=jobmill-schedule-ghost", "--on-active=1h", "true", check=False)  # /run may be full
    leftover = RUN / "attempt/1-99"
    leftover.mkdir(exist_ok=True)
    with contextlib.suppress(OSError):  # /run is full
        (leftover / "env").write_text("A=left over\n")
    (RUN / "spool/1-99.stdout").write_text("left over\n")
    with armed.at_it:
        kill_daemon()


def a_workload(mill, folder, armed, begin):
    folder.mkdir()
    w = Workload(mill, folder)
    if any(p.startswith("cgroup-freeze-") for p in begin):
        # While /run is full systemd refuses it.
        w.before_freeze = lambda: (until(lambda: systemctl("daemon-reload", check=False).returncode == 0, 20), time.sleep(1.2))
    again = lambda deed: any(deed in needs(p) for p in set(armed.left))
    # Before there are others, whose commits would show that recording works again; and each kill ends it.
    for deed in fail_once, fail_page:
        for _ in range(12):
            if again(deed):
                deed(w)
    w.submit_all()
    for deed in {deed for p in begin for deed in needs(p)} - {fail_once, fail_page}:
        for _ in range(6 if deed in (restart_daemon, restart_bus) else 1):
            if again(deed):
                deed(w)
    w.act()
    only_a_new_daemon_sees(w, armed)
    w.finish()
    return w


@contextlib.contextmanager
def told(armed):
    """How it stood, when it fails."""
    try:
        yield
    except BaseException as e:
        print("\nfailed: %s\narmed: %s\nfired: %s\nat the moment: %s, error: %s" % (e, armed.left, armed.fired, armed.at, armed.error))
        print(systemctl("--no-pager", "list-jobs", check=False).stdout, flush=True)
        raise


def a_round(mill, folder, points):
    """points: {name: (disturbance, count)}"""
    migrations = any(p.startswith("migration-") for p in points)
    works = []
    with Armed(points) as armed, told(armed), no_store() if migrations else contextlib.nullcontext():
        for n in range(4):
            works.append(a_workload(mill, folder / str(n), armed, set(armed.left)))
            if not armed.left:
                break
            armed.once()
        until(lambda: armed.error or all((DIR / p).exists() for p in armed.left), 60, lambda: "disturbed: %s" % armed.left)
        assert not armed.error, armed.error
        armed.over.set()
        assert not armed.left, "not crossed: %s" % armed.left
        mill.settled()
        for w in works:
            w.nothing_left()
            w.check()
        for w in works:
            w.purge_all()
        works[-1].nothing_stored()
    return armed.fired


def chunks(points, dice):
    """Points that need the same deeds are in one round."""
    groups = {}
    for p in points:
        if p.startswith("migration-"):
            key = "migration"
        elif p.startswith(AGAIN):
            key = "start-again"
        else:
            key = "".join(d.__name__ for d in needs(p)) or "all"
        groups.setdefault(key, []).append(p)
    for key, group in sorted(groups.items()):
        dice.shuffle(group)
        for i in range(0, len(group), POINTS_PER_ROUND):
            yield "%s-%d" % (key.replace("_", "-"), i // POINTS_PER_ROUND), group[i:i + POINTS_PER_ROUND]


def kinds():
    return [k for k in (ALL if FULL else ("kill", "mixed")) if ONLY == [""] or k in ONLY]


def rounds():
    """Every point by every disturbance; or by kill, and one other. Not always where it is crossed first, so that all kinds of jobs
    meet all points."""
    dice = random.Random(4)
    for name in kinds():
        for id_, group in chunks(POINTS, dice):
            points = {}
            for p in group:
                # The pause is the longest of them, so there are few.
                what = name if name != "mixed" else dice.choices(list(DISTURBANCES), [1, 3, 3, 3, 3, 3])[0]
                count = dice.randrange(1, 4)
                points[p] = what, count if FULL and not needs(p) else 1
            yield pytest.param(points, id="%s-%s" % (name, id_))


FIRED = set()
BROKEN = []


@pytest.mark.parametrize("points", rounds())
def test_round(mill, folder, points):
    if BROKEN:  # what the last one has left is no fault of this one
        mill.drop_everything()
        mill.no_units()
        mill.call("PurgeJobs", {"state": "done"})
        with contextlib.suppress(BusError):
            mill.call("RemoveSchedule", SCHEDULE)
    BROKEN[:] = [points]
    FIRED.update(a_round(mill, folder, points))
    BROKEN.clear()


def test_every_point_was_crossed():
    """Points crossed are points compiled in."""
    for kind in kinds():
        crossed = {p for p, what in FIRED if what == kind or (kind == "mixed" and what != "kill")}
        assert sorted(crossed) == POINTS, "%s: not crossed: %s, not compiled in: %s" % (
            kind, sorted(set(POINTS) - crossed), sorted(crossed - set(POINTS)))
