# SPDX-License-Identifier: LGPL-2.1-or-later
"""The system goes down under jobs, heard or not: what it ended is lost by that, what had ended has its own result, nothing is
started any more, and what was not started is there for the next boot. (The real thing: tests/system/test_reboot.py.)"""

import signal

import pytest

from conftest import AS_ROOT, until

RESTARTED = "the system was restarted" if AS_ROOT else "the service manager was restarted"


def starts(systemd):
    return systemd.do("counts")["starts"]


def what(mill, id_):
    j = mill.info(id_)
    return j["state"], j.get("result"), j.get("reason")


@pytest.mark.parametrize("seen", ["as it comes", "at the next look"])
def test_nothing_starts(running, systemd, seen):
    running.result(running.submit("true"))
    if seen == "as it comes":
        systemd.do("shutdown")
    else:
        systemd.do("system_state", state="stopping")
        systemd.do("reexec")
    until(lambda: running.stats()["dispatch"] == "the system is stopping", 5, "it is known that nothing may start")
    id_ = running.submit("true")
    running.bus.pump(0.2)
    assert running.state(id_) == "ready" and running.info(id_)["reason"] == "the system is stopping"
    assert len(systemd.do("counts")["starts"]) == 1
    systemd.do("shutdown", over=True)
    assert running.result(id_) == "success"


@pytest.mark.parametrize("told", [True, False])
def test_what_it_ends_is_lost(running, systemd, told):
    """told=False: the signal of shutdown.target never comes, so the manager must be asked."""
    dies = running.submit("sleep 60")
    exits = running.submit("trap 'exit 3' TERM; >%s/ready; while :; do sleep 0.02; done" % running.out)
    ignores = running.submit("trap '' TERM; >%s/deaf; while :; do sleep 0.02; done" % running.out, stop_timeout_usec=500_000)
    cancelled = running.submit("trap '' TERM; >%s/cancel; while :; do sleep 0.02; done" % running.out, stop_timeout_usec=500_000)
    for name in ("ready", "deaf", "cancel"):
        until((running.out / name).exists, 5, "it runs")
    running.reach(dies, "running")
    queued = running.submit("true")
    running.call("CancelJob", cancelled)
    until(lambda: running.state(cancelled) in ("stopping", "done"), 5, "it is to end")
    before = starts(systemd)
    systemd.do("go_down", told=told)
    assert [running.result(i) for i in (dies, exits, ignores, cancelled)] == ["lost"] * 3 + ["cancelled"]
    assert {running.info(i)["reason"] for i in (dies, exits, ignores)} == {"shutdown"}
    assert running.info(exits)["exit_status"] == 3
    until(lambda: running.stats()["dispatch"] == "the system is stopping", 5, "it says so")
    assert what(running, queued)[:2] == ("ready", None) and starts(systemd) == before
    late = running.submit("true")
    assert running.state(late) == "ready" and starts(systemd) == before
    # Called off: nothing has gone wrong for good.
    systemd.do("shutdown", over=True)
    assert [running.result(i) for i in (queued, late)] == ["success"] * 2
    assert all(running.info(i)["attempt"] == 1 for i in (queued, late))


def test_stopped_while_the_system_runs_is_cancelled(running, systemd):
    id_ = running.submit("sleep 60")
    running.reach(id_, "running")
    systemd.do("stop", name=running.unit(id_))
    running.wait(id_)
    assert what(running, id_) == ("done", "cancelled", "stopped outside jobmill")


def test_what_had_ended_by_itself_keeps_its_result(running, systemd):
    """Nobody had heard it; its unit still tells, also that it was not stopped."""
    id_ = running.submit("while [ ! -e %s/go ]; do sleep 0.02; done; exit 7" % running.out)
    running.reach(id_, "running")
    systemd.do("signals", copies=0)
    (running.out / "go").touch()
    until(lambda: systemd.do("units")[running.unit(id_)]["active"] == "failed", 5, "it has ended")
    systemd.do("signals", copies=1)
    systemd.do("go_down")
    until(lambda: running.stats()["dispatch"] == "the system is stopping", 5, "it is heard")
    systemd.do("reloading")
    running.wait(id_)
    assert what(running, id_)[1] == "exit-code" and running.info(id_)["exit_status"] == 7


@pytest.mark.parametrize("stopping", [True, False])
def test_refused_start(running, systemd, stopping):
    """PID 1 knows of the shutdown before we do: the attempt is taken back, the job is ready as before."""
    assert running.result(running.submit("true")) == "success"
    if stopping:
        systemd.do("go_down", told=False)
    else:
        systemd.fault("StartTransientUnit", "refuse", count=1, error="org.freedesktop.systemd1.TransactionIsDestructive")
    id_ = running.submit("true")
    if stopping:
        until(lambda: running.info(id_)["state"] == "ready" and running.info(id_)["attempt"] == 1, 5, "it is taken back")
        running.kill()
        systemd.do("reboot")
        systemd.do("shutdown", over=True)
        running.start()
    assert running.result(id_) == "success"
    assert list(n for n in starts(systemd) if "-%d-" % id_ in n) == [running.unit(id_, 2 if stopping else 1)]


def test_last_look(running, systemd):
    """Told to stop right after the last job has ended, before that was heard: it is recorded all the same."""
    stopped = running.submit("sleep 60")
    failed = running.submit("while [ ! -e %s/go ]; do sleep 0.02; done; exit 7" % running.out)
    left = running.submit("trap '' TERM; sleep 60", stop_timeout_usec=60 * 10**6)
    for i in (stopped, failed, left):
        running.reach(i, "running")
    systemd.do("signals", copies=0)
    (running.out / "go").touch()
    until(lambda: systemd.do("units")[running.unit(failed)]["active"] == "failed", 5, "it has ended")
    systemd.do("go_down")
    until(lambda: running.unit(stopped) not in systemd.do("units"), 5, "it is stopped")
    running.stop()
    systemd.do("signals", copies=1)
    systemd.do("reboot")
    systemd.do("shutdown", over=True)
    running.start()
    running.settled()
    assert what(running, stopped) == ("done", "lost", "shutdown")
    assert what(running, failed)[1] == "exit-code"
    assert what(running, left) == ("done", "lost", RESTARTED)


@pytest.mark.parametrize("twice", [True, False])
def test_stops_without_an_answer(running, systemd, twice):
    """A last look that is not answered ends by itself, or with a second signal."""
    id_ = running.submit("sleep 60")
    running.reach(id_, "running")
    systemd.fault("GetAll", "never")
    if twice:
        running.process.send_signal(signal.SIGTERM)
        until(lambda: "stopping" in running.log_tail(), 5, "it was heard")
    running.stop()
    systemd.do("clear_faults")
    running.start()
    running.call("CancelJob", id_)
    assert running.result(id_) == "cancelled"
