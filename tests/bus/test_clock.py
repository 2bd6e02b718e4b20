# SPDX-License-Identifier: LGPL-2.1-or-later
"""The clock is set under the daemon, in both directions, and the machine sleeps: nothing fires early, nothing hangs. The daemon runs with
a clock of its own (fake-clock.c); jobs and the fake systemd have the machine's. (With a machine's own clock: tests/vm.)"""

import mmap
import os
import struct
import time

import pytest

import client
from conftest import DAEMON, until

HOUR = 3600
YEAR = 365 * 24 * HOUR
LIBRARY = DAEMON.parent.parent / "tests/bus/libfake-clock.so"


class Clock:
    """The daemon's. set() steps it to so many seconds ahead of the machine's; sleep() suspends and resumes."""

    def __init__(self, path):
        self.path = path
        path.write_bytes(bytes(16))
        with open(path, "r+b") as f:
            self.map = mmap.mmap(f.fileno(), 16)
        self.ahead = self.slept = 0

    def environment(self):
        # The address sanitizer else insists on being the first library.
        return {"LD_PRELOAD": str(LIBRARY), "JOBMILL_FAKE_CLOCK": str(self.path),
                "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"}

    def set(self, seconds):
        self.ahead = seconds
        self.map[:] = struct.pack("qq", int(self.ahead * 10**9), int(self.slept * 10**9))
        time.sleep(0.02)  # until it is noticed

    def step(self, seconds):
        self.set(self.ahead + seconds)

    def sleep(self, seconds):
        self.slept += seconds
        self.step(seconds)

    def now(self):
        return int((time.time() + self.ahead) * 1e6)


@pytest.fixture
def clock(mill):
    if not LIBRARY.exists():
        pytest.fail("%s is missing: build first" % LIBRARY)
    c = Clock(mill.folder / "clock")
    mill.start(**c.environment())
    mill.settled()
    return c


def restart(mill, clock):
    mill.kill()
    mill.start(**clock.environment())


def job(mill, name="ran", **spec):
    """Says when it began, by the machine's clock."""
    return mill.submit("date +%%s%%N >%s/%s" % (mill.out, name), **spec)


def began(mill, name="ran"):
    return int((mill.out / name).read_text()) // 1000


BOTH = pytest.mark.parametrize("step", [HOUR, -HOUR])


def test_the_daemon_has_that_clock(mill, clock):
    clock.set(10 * YEAR)
    id_ = mill.submit("true", hold=True)
    assert abs(mill.info(id_)["submitted_usec"] - clock.now()) < HOUR * 10**6


@BOTH
def test_span(mill, clock, step):
    """A span is time that passes, whatever the clock says."""
    submitted = time.time_ns() // 1000
    id_ = job(mill, delay_usec=1_500_000)
    due = mill.info(id_)["not_before_usec"]
    clock.step(step)
    until(lambda: abs(mill.info(id_)["not_before_usec"] - due - step * 10**6) < 10**6, 5, "its time has moved along")
    assert mill.state(id_) == "waiting" or time.time_ns() // 1000 > submitted + 1_500_000
    assert mill.result(id_) == "success" and began(mill) >= submitted + 1_500_000


def test_span_while_nothing_else_happens(mill, clock):
    """No call comes that would have it look: setting the clock does."""
    submitted = time.time_ns() // 1000
    id_ = job(mill, delay_usec=3_000_000)
    pending = mill.bus.start("WaitJob", id_, client.FOREVER)
    time.sleep(2)  # it has told its status, and sleeps
    clock.step(-HOUR)
    until(lambda: (mill.out / "ran").exists() and (mill.out / "ran").read_text(), 15, "it has begun")
    assert began(mill) >= submitted + 3_000_000
    assert mill.bus.finish(pending)[1] == "success"


@BOTH
def test_span_of_a_held_job(mill, clock, step):
    submitted = time.time_ns() // 1000
    id_ = job(mill, delay_usec=1_000_000, hold=True)
    clock.step(step)
    mill.call("ReleaseJob", id_)
    assert mill.result(id_) == "success" and began(mill) >= submitted + 1_000_000


def test_time_jumped_over(mill, clock):
    """A time of day has come when the clock says so."""
    id_ = job(mill, not_before_usec=clock.now() + HOUR * 10**6)
    later = job(mill, not_before_usec=clock.now() + 3 * HOUR * 10**6)
    assert mill.state(id_) == "waiting"
    clock.step(2 * HOUR)
    assert mill.result(id_) == "success"
    assert mill.state(later) == "waiting"
    clock.step(2 * HOUR)
    assert mill.result(later) == "success"


def test_time_put_off(mill, clock):
    id_ = job(mill, not_before_usec=clock.now() + 700_000)
    clock.step(-HOUR)
    time.sleep(0.9)
    assert mill.state(id_) == "waiting"
    clock.step(HOUR)
    assert mill.result(id_) == "success"


def test_spans_and_times_together(mill, clock):
    """Each by its own clock."""
    submitted = time.time_ns() // 1000
    span = job(mill, "span", delay_usec=1_000_000)
    far = job(mill, "far", delay_usec=2 * HOUR * 10**6)
    soon = job(mill, "time", not_before_usec=clock.now() + HOUR * 10**6 // 2)
    clock.step(HOUR)
    assert mill.result(soon) == "success" and began(mill, "time") < submitted + 900_000 + 15 * 10**6
    assert mill.result(span) == "success" and began(mill, "span") >= submitted + 1_000_000
    for step in (-3 * HOUR, HOUR, 10 * HOUR, -9 * HOUR):
        clock.step(step)
    assert mill.state(far) == "waiting"
    left = mill.info(far)["not_before_usec"] - clock.now()
    assert HOUR * 10**6 < left <= 2 * HOUR * 10**6


@BOTH
def test_set_while_the_daemon_is_away(mill, clock, step):
    submitted = time.time_ns() // 1000
    id_ = job(mill, delay_usec=2_000_000)
    mill.kill()
    clock.step(step)
    mill.start(**clock.environment())
    assert mill.result(id_) == "success" and began(mill) >= submitted + 2_000_000


@BOTH
def test_timeout(mill, clock, step):
    """Neither a time-out nor the time from SIGTERM to SIGKILL knows of the clock."""
    over = mill.submit("trap '' TERM; while :; do sleep 0.02; done", timeout_usec=700_000, stop_timeout_usec=700_000)
    long = mill.submit("sleep 60", timeout_usec=60 * 10**6)
    mill.reach(long, "running")
    clock.step(step)
    until(lambda: mill.state(over) in ("stopping", "done"), 5, "its time is over")
    clock.step(step)
    result, outcome = mill.wait(over)
    assert result == "timeout" and outcome["exit_signal"] == 9 and outcome["runtime_usec"] >= 1_400_000
    assert mill.state(long) == "running"
    mill.call("CancelJob", long)
    assert mill.result(long) == "cancelled"


def test_sleep(mill, clock):
    """While the machine sleeps spans and times go by, and are due when it wakes up. Jobs stand still, so time-outs do too."""
    span = job(mill, "span", delay_usec=HOUR * 10**6)
    at = job(mill, "at", not_before_usec=clock.now() + HOUR * 10**6)
    later = job(mill, "later", delay_usec=3 * HOUR * 10**6)
    runs = mill.submit("sleep 60", timeout_usec=30 * 60 * 10**6)
    mill.reach(runs, "running")
    clock.sleep(2 * HOUR)
    assert mill.result(span) == mill.result(at) == "success"
    assert mill.state(later) == "waiting" and mill.state(runs) == "running"
    mill.call("CancelJob", runs)
    assert mill.result(runs) == "cancelled"


@BOTH
def test_wait(mill, clock, step):
    """A caller that waits waits as long as it said."""
    id_ = mill.submit("true", hold=True)
    pending = mill.bus.start("WaitJob", id_, 1_000_000)
    begun = time.monotonic()
    clock.step(step)
    state = mill.bus.finish(pending)[0]
    assert state == "held" and time.monotonic() - begun >= 0.9


@BOTH
def test_request_id(mill, clock, step):
    """What was answered is remembered for its time, not for that of the clock."""
    spec = client.options({"request_id": "one", "hold": True})
    first = mill.call("Submit", "", ["/bin/true"], spec)
    clock.step(48 * step)
    assert mill.call("Submit", "", ["/bin/true"], spec) == first


def test_clock_that_is_wrong_at_boot(mill, clock, systemd):
    """A machine without a battery begins in another year and is told the time later. A span does not become years."""
    submitted = time.time_ns() // 1000
    id_ = job(mill, delay_usec=2_000_000)
    mill.kill()
    systemd.do("reboot")
    os.remove(mill.folder / "clock")
    wrong = Clock(mill.folder / "clock")
    wrong.set(-20 * YEAR)
    another_boot(mill)
    mill.start(**wrong.environment())
    assert mill.state(id_) == "waiting" or time.time_ns() // 1000 > submitted + 2_000_000
    wrong.set(0)
    assert mill.result(id_) == "success" and began(mill) >= submitted + 2_000_000


def another_boot(mill):
    """The store remembers by its boot how the clock stood."""
    import sqlite3
    db = sqlite3.connect(next(mill.folder.glob("**/jobmill.db")))
    with db:
        db.execute("UPDATE meta SET value = replace(value, substr(value, 1, 32), ?) WHERE key = 'clock'", ("ab" * 16,))
    db.close()
