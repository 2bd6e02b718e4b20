# SPDX-License-Identifier: LGPL-2.1-or-later
"""The daemon is killed at every named point (base/crash-point.h), and disturbed at every named point, while jobs of all kinds
pass through it. Runs against a build with -Dcrash-points=true only:

    make build-crash && tests/system/boot --build build-crash -- /usr/bin/python3 -m pytest tests/system

JOBMILL_CRASH_FULL=1: every disturbance at every point, not just one of them."""

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

from client import BusError
from mill import SOURCE, run, systemctl, unit_properties, until
from workload import CAP, SMALL_CAP, Workload

DIR = pathlib.Path("/run/jobmill/crash")
ARMED, CROSSED = DIR / "armed", DIR / "crossed"
STATE = pathlib.Path("/var/lib/jobmill")
DROP_IN = pathlib.Path("/run/systemd/system/jobmilld.service.d/crash.conf")
FULL = os.environ.get("JOBMILL_CRASH_FULL") == "1"

POINTS = sorted({name for f in (SOURCE / "src").rglob("*.c") for name in re.findall(r'CRASH_POINT\("([^"]+)"\)', f.read_text())})


@pytest.fixture(scope="module", autouse=True)
def armed_daemon(mill):
    binary = pathlib.Path("/usr/libexec/jobmill/jobmilld").read_bytes()
    missing = [p for p in POINTS if p.encode() + b"\0" not in binary]
    assert POINTS and not missing, "not compiled in: %s" % missing
    mill.write_queue("crash", "Slots=%d" % CAP, reload=False)
    mill.write_queue("crash-small", "Slots=%d" % SMALL_CAP, reload=False)
    mill.write_queue("crash-other", "Slots=4", reload=False)
    DIR.mkdir(mode=0o700, exist_ok=True)
    DROP_IN.parent.mkdir(parents=True, exist_ok=True)
    DROP_IN.write_text("[Unit]\nStartLimitIntervalSec=0\n[Service]\nEnvironment=JOBMILL_CRASH_DIR=%s\nRestartSec=20ms\n" % DIR)
    systemctl("daemon-reload")
    systemctl("stop", "jobmilld.service")
    run("mount", "-t", "tmpfs", "-o", "mode=0700,size=64m", "tmpfs", STATE)
    systemctl("start", "jobmilld.service")
    yield
    DROP_IN.unlink()
    systemctl("daemon-reload")
    systemctl("stop", "jobmilld.service")
    run("umount", STATE)
    systemctl("start", "jobmilld.service")
    shutil.rmtree(DIR)


def arm(point, count, sig):
    text = "%s %d %d\n" % (point, count, sig)
    if point == "adopt-before":
        # A unit whose outcome is recorded, and which is not released: the next daemon finds it.
        text = "release-before 1 %d\n" % signal.SIGKILL + text
    new = DIR / "new"
    new.write_text(text)
    new.rename(ARMED)


def fired():
    return not ARMED.exists()


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
    systemctl("start", "dbus.service")


def reload_manager():
    systemctl("daemon-reload")


def reexec_manager():
    systemctl("daemon-reexec")


class Full:
    """A tmpfs without room, until over() is called."""

    def __init__(self, folder):
        self.folder = folder

    def __call__(self):
        s = os.statvfs(self.folder)
        self.size = s.f_blocks * s.f_frsize
        until(self.shrink, 10, "there is no room")

    def shrink(self):
        s = os.statvfs(self.folder)
        with contextlib.suppress(AssertionError):  # more is used by now
            self.resize((s.f_blocks - s.f_bfree) * s.f_frsize)
            return True

    def resize(self, size):
        run("mount", "-o", "remount,size=%d" % size, self.folder)

    def over(self):
        self.resize(self.size)


DISTURBANCES = {"pause": pause, "dbus": restart_dbus, "reload": reload_manager, "reexec": reexec_manager,
                "run-full": Full("/run"), "disk-full": Full(STATE)}


def disturb(name, pid):
    what = DISTURBANCES[name]
    try:
        what()
    finally:
        os.kill(pid, signal.SIGCONT)
        if hasattr(what, "over"):
            time.sleep(1)
            what.over()


# ---- the rounds ----

class Watcher(threading.Thread):
    """Does what is to be done when the daemon has been stopped at its point, beside the calls of the workload."""

    def __init__(self, disturbance):
        super().__init__()
        self.disturbance = disturbance
        self.handled = threading.Event()
        self.over = threading.Event()
        self.error = None

    def run(self):
        try:
            while not self.over.wait(0.02):
                pid = stopped_pid()
                if pid:
                    disturb(self.disturbance, pid)
                    self.handled.set()
                    return
        except BaseException as e:  # told by the test
            self.error = e

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.join()


@contextlib.contextmanager
def no_store(point):
    """For the points of the migrations: a daemon that finds no store. The old one comes back afterwards: names of units are
    not used twice."""
    if not point.startswith("migration-"):
        yield
        return
    old = pathlib.Path("/var/tmp/jobmill-old-store")
    shutil.rmtree(old, ignore_errors=True)
    systemctl("stop", "jobmilld.service")
    shutil.copytree(STATE, old)
    for f in STATE.iterdir():
        f.unlink()
    highest = sqlite3.connect(old / "jobmill.db").execute("SELECT max(id) FROM job").fetchone()[0]
    run("systemd-run", "--quiet", "--unit=jobmill-job-%d-1" % (highest + 1000), "--property=RemainAfterExit=yes", "true")
    systemctl("start", "--no-block", "jobmilld.service")
    yield
    systemctl("stop", "jobmilld.service")
    for f in STATE.iterdir():
        f.unlink()
    for f in old.iterdir():
        shutil.copy(f, STATE)
    systemctl("start", "jobmilld.service")


def fail_once(w):
    """A commit that fails, for the points of the recovery, which comes by itself when no other commit comes first."""
    full = DISTURBANCES["disk-full"]
    full()
    try:
        with contextlib.suppress(BusError):
            w.mill.call("Submit", "crash", ["/bin/true"], {"payload": b"x" * (16 << 20)})
    finally:
        full.over()
    until(fired, 5, "it has tried again by itself")


def one_round(mill, folder, point, count, disturbance):
    w = Workload(mill, folder)
    arm(point, count, signal.SIGKILL if disturbance == "kill" else signal.SIGSTOP)
    try:
        with no_store(point), Watcher(disturbance) as watcher:
            if point.startswith("meta-"):
                fail_once(w)
            w.submit_all()
            w.act()
            if not fired():
                # What only a daemon sees that comes back to jobs that run, or ended meanwhile.
                kill_daemon()
            w.finish()
            if not fired():
                kill_daemon()
                mill.settled()
            w.nothing_left()
            assert fired(), "%s was not crossed %d times" % (point, count)
            if disturbance != "kill" and stopped_pid():
                watcher.handled.wait(30)
            w.check()
    finally:
        ARMED.unlink(missing_ok=True)
    assert not watcher.error, watcher.error


@pytest.mark.parametrize("point", POINTS)
def test_killed(mill, folder, point):
    one_round(mill, folder, point, 1, "kill")


def rounds():
    dice = random.Random(4)
    for point in POINTS:
        for name in list(DISTURBANCES) if FULL else [dice.choice(list(DISTURBANCES))]:
            yield pytest.param(point, dice.randrange(1, 5) if FULL else 1, name, id="%s-%s" % (point, name))


@pytest.mark.parametrize("point,count,disturbance", rounds())
def test_disturbed(mill, folder, point, count, disturbance):
    one_round(mill, folder, point, count, disturbance)


def test_every_point_was_crossed():
    assert sorted(set(CROSSED.read_text().split())) == POINTS
