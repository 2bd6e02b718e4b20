# SPDX-License-Identifier: LGPL-2.1-or-later
"""The clock is set, in both directions, under jobs that wait and jobs that run. A time that a user names (--at) is one of the
wall clock; every span (--in, --timeout) is one of time that passes."""

import contextlib
import json
import time

import pytest

from mill import run, until

HOUR = 3600
SECOND = 1_000_000
BOTH = pytest.mark.parametrize("seconds", [HOUR, -HOUR], ids=["forwards", "backwards"])


def now():
    return int(time.time() * SECOND)


def step(seconds):
    time.clock_settime(time.CLOCK_REALTIME, time.time() + seconds)


@pytest.fixture(autouse=True)
def clock():
    """As it was, after each test."""
    offset = time.time() - time.monotonic()
    yield
    time.clock_settime(time.CLOCK_REALTIME, time.monotonic() + offset)


def passes(mill, seconds, *jobs, state):
    """Nothing happens to them in that time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for j in jobs:
            assert mill.state(j) == state, mill.info(j)
        time.sleep(0.3)


def submit_in(mill, span, *options):
    """By the tool: jobmill submit --in SPAN."""
    return int(mill.tool("submit", "--in", span, *options, "--", "true", check=True))


def until_due(mill, job):
    return (mill.info(job)["not_before_usec"] - now()) / SECOND


@contextlib.contextmanager
def quiet(mill):
    """The daemon must not spin: a loop that does takes all of a CPU."""
    def used():
        with open("/proc/%d/stat" % mill.daemon_pid()) as f:
            fields = f.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / 100

    yield
    cpu, begin = used(), time.monotonic()
    time.sleep(4)
    share = (used() - cpu) / (time.monotonic() - begin)
    print("jobmilld took %.0f %% of a CPU" % (share * 100))
    assert share < 0.7


def test_at_forwards(mill):
    at = now() + HOUR * SECOND
    job = mill.submit("true", not_before_usec=at)
    late = mill.submit("true", not_before_usec=at + 9 * HOUR * SECOND)
    assert mill.state(job) == "waiting"
    step(HOUR + 60)
    info = mill.wait(job)
    assert info["result"] == "success" and info["started_usec"] >= at
    with quiet(mill):
        assert mill.state(late) == "waiting"


def test_at_backwards(mill):
    """Due by the clock that holds now, not by the one it was submitted under."""
    at = now() + 10 * SECOND
    job = mill.submit("true", not_before_usec=at)
    step(-HOUR)
    with quiet(mill):
        pass
    passes(mill, 8, job, state="waiting")
    step(HOUR)
    info = mill.wait(job)
    assert info["result"] == "success" and info["started_usec"] >= at


def test_timedatectl(mill):
    """As people set it."""
    job = mill.submit("true", not_before_usec=now() + HOUR * SECOND)
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(time.time() + 2 * HOUR))
    until(lambda: run("timedatectl", "set-time", when, check=False).returncode == 0, 60, "timedated has started")
    assert mill.wait(job)["result"] == "success"


def test_in_forwards(mill):
    job = submit_in(mill, "1h")
    step(2 * HOUR)
    passes(mill, 3, job, state="waiting")
    assert HOUR - 300 < until_due(mill, job) <= HOUR


def test_in_backwards(mill):
    job = submit_in(mill, "8s")
    step(-HOUR)
    with quiet(mill):
        pass
    assert mill.wait(job)["result"] == "success"


def test_in_changed(mill):
    """jobmill set in=."""
    job = mill.submit("true", not_before_usec=now() + HOUR * SECOND)
    mill.tool("set", str(job), "in=2h", check=True)
    step(3 * HOUR)
    passes(mill, 2, job, state="waiting")
    mill.tool("set", str(job), "in=8s", check=True)
    step(-3 * HOUR)
    assert mill.wait(job)["result"] == "success"


def test_in_then_at(mill):
    """What was a span is a time once somebody names one."""
    job = submit_in(mill, "9h")
    mill.call("UpdateJob", job, {"not_before_usec": now() + HOUR * SECOND})
    step(2 * HOUR)
    assert mill.wait(job)["result"] == "success"


def test_in_held(mill):
    """A span goes on while the job is held."""
    job = submit_in(mill, "1h", "--hold")
    step(2 * HOUR)
    mill.call("ReleaseJob", job)
    passes(mill, 2, job, state="waiting")
    assert HOUR - 300 < until_due(mill, job) <= HOUR


@pytest.mark.parametrize("kill", [False, True], ids=["stopped", "killed"])
def test_daemon_away(mill, kill):
    """The clock is set while the daemon is not there to see it."""
    at = mill.submit("true", not_before_usec=now() + HOUR * SECOND)
    early, soon = submit_in(mill, "5h"), submit_in(mill, "4s")
    with mill.down(kill=kill):
        step(2 * HOUR)
    assert mill.wait(at)["result"] == "success"
    assert mill.wait(soon)["result"] == "success"
    passes(mill, 2, early, state="waiting")
    with mill.down(kill=kill):
        step(-9 * HOUR)
    late = submit_in(mill, "4s")
    assert mill.wait(late)["result"] == "success"
    assert mill.state(early) == "waiting"
    assert 5 * HOUR - 600 < until_due(mill, early) <= 5 * HOUR


@BOTH
def test_timeout(mill, seconds):
    job = mill.submit("exec sleep 600", timeout_usec=8 * SECOND)
    mill.reach(job, "running")
    step(seconds)
    info = mill.wait(job)
    assert info["result"] == "timeout"
    assert info["runtime_usec"] >= 8 * SECOND, "before its time"
    print("time-out of 8 s: ended after %.1f s" % (info["runtime_usec"] / SECOND))


@BOTH
def test_running(mill, seconds):
    """Times are what the clock showed, spans what passed: never negative, never an hour too long."""
    job = mill.submit("exec sleep 6")
    mill.reach(job, "running")
    step(seconds)
    info = mill.wait(job)
    assert info["result"] == "success"
    assert 5 * SECOND < info["runtime_usec"] < 600 * SECOND
    shown = info["finished_usec"] - info["started_usec"]
    assert shown * seconds > 0 and abs(shown) > 0.9 * HOUR * SECOND, "the clock's own times are kept"
    text = mill.tool("show", str(job), check=True)
    print(text)
    ran = [line.split("ran ", 1)[1] for line in text.splitlines() if "ran " in line]
    assert ran and "h" not in ran[0] and "-" not in ran[0]
    shown, = json.loads(mill.tool("--json=short", "show", str(job), check=True))
    assert shown["runtime_usec"] == info["runtime_usec"]


@BOTH
def test_wait_for_room(mill, seconds):
    """How long it waited is told by the clock as it was; never less than nothing."""
    mill.write_queue("one", "Slots=1", "AllowUsers=*")
    first = mill.submit("exec sleep 6", "one")
    second = mill.submit("true", "one")
    mill.reach(first, "running")
    step(seconds)
    info = mill.wait(second)
    assert info["result"] == "success"
    print("waited %.1f s" % (info["wait_usec"] / SECOND))
    assert info["wait_usec"] >= 0


def test_adopted_time_out(mill):
    """A time-out goes on over a step that happens while the daemon is away."""
    job = mill.submit("exec sleep 600", timeout_usec=12 * SECOND)
    mill.reach(job, "running")
    with mill.down(kill=True):
        step(-HOUR)
    info = mill.wait(job)
    assert info["result"] == "timeout" and info["runtime_usec"] >= 12 * SECOND


def test_stubborn(mill):
    """SIGKILL follows SIGTERM after the stop time-out, whatever the clock says."""
    job = mill.submit("trap '' TERM; while :; do sleep 0.2; done", stop_timeout_usec=2 * SECOND)
    mill.reach(job, "running")
    time.sleep(1)
    mill.call("CancelJob", job)
    step(-HOUR)
    assert mill.wait(job)["result"] == "cancelled"


def test_wait_job(mill):
    """The patience of WaitJob is a span."""
    job = mill.submit("exec sleep 600")
    mill.reach(job, "running")
    begin = time.monotonic()
    step(-HOUR)
    assert mill.call("WaitJob", job, 3 * SECOND)[0] == "running"
    assert time.monotonic() - begin >= 3
    mill.call("KillJob", job, 9)
    mill.wait(job)
    assert mill.run("true")["result"] == "success"
