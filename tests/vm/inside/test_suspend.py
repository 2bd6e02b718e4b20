# SPDX-License-Identifier: LGPL-2.1-or-later
"""The machine sleeps (suspend to RAM, woken by its clock) under jobs. A time-out counts the time that the job could run, so
not the sleep; a delay counts all time; a time that comes while the machine sleeps has come when it wakes."""

import time

from mill import run, until

SECOND = 1_000_000
SLEEP = 10


def asleep():
    """How long this machine has slept in all."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) - time.monotonic()


def suspend():
    """As a user's desktop does it, through logind. Returns when it is awake again."""
    before = asleep()
    run("rtcwake", "-m", "no", "-s", str(SLEEP + 5))
    run("systemctl", "suspend")
    until(lambda: asleep() > before + 1, 60, "it slept")
    print("slept %.1f s" % (asleep() - before))


def submit_in(mill, span):
    return int(mill.tool("submit", "--in", span, "--", "true", check=True))


def test_suspend(mill):
    pid = mill.daemon_pid()
    begin = time.time()
    running = mill.submit("exec sleep 10")
    timeout = mill.submit("exec sleep 600", timeout_usec=20 * SECOND)
    early = mill.submit("true", not_before_usec=int((begin + 7200) * SECOND))
    delay = submit_in(mill, "2h")
    at = mill.submit("true", not_before_usec=int((begin + 14) * SECOND))
    soon = submit_in(mill, "14s")
    for j in (running, timeout):
        mill.reach(j, "running")
    suspend()

    assert mill.daemon_pid() == pid
    info = mill.wait(running)
    assert info["result"] == "success" and info["runtime_usec"] >= 9 * SECOND
    print("a job that sleeps for 10 s: %.1f s" % (info["runtime_usec"] / SECOND))

    info = mill.wait(timeout)
    wall = (info["finished_usec"] - info["started_usec"]) / SECOND
    print("time-out of 20 s: the job could run for %.1f s, by the wall clock %.1f s" % (info["runtime_usec"] / SECOND, wall))
    assert info["result"] == "timeout" and info["runtime_usec"] >= 20 * SECOND
    assert wall > info["runtime_usec"] / SECOND + 1

    for j in (at, soon):
        info = mill.wait(j)
        assert info["result"] == "success" and info["started_usec"] >= info["not_before_usec"]
    for j in (early, delay):
        assert mill.state(j) == "waiting"


def test_delay_counts_sleep(mill):
    begin = time.clock_gettime(time.CLOCK_BOOTTIME)
    job = submit_in(mill, "30s")
    suspend()
    before = time.monotonic()
    assert mill.wait(job)["result"] == "success"
    passed = time.clock_gettime(time.CLOCK_BOOTTIME) - begin
    print("delay of 30 s: over after %.1f s, %.1f s after it woke" % (passed, time.monotonic() - before))
    assert passed >= 30


def test_daemon_away(mill):
    """The clocks of a job go on alike while nobody watches."""
    job = mill.submit("exec sleep 600", timeout_usec=20 * SECOND)
    mill.reach(job, "running")
    with mill.down():
        suspend()
    info = mill.wait(job)
    assert info["result"] == "timeout" and info["runtime_usec"] >= 20 * SECOND
    assert mill.run("true")["result"] == "success"
