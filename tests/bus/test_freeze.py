# SPDX-License-Identifier: LGPL-2.1-or-later
"""FreezeJob and ThawJob: what is asked of systemd, who may, the clock, and what happens around them. A job that counts tells
whether it runs."""

import pwd
import time

import pytest

import client
from conftest import until


def counting(mill, name="count"):
    """A command that writes a line every now and then, and the file it goes to."""
    path = mill.out / name
    return "while :; do echo >> %s; sleep 0.02; done" % path, path


def stands_still(path):
    before = path.stat().st_size
    time.sleep(0.3)
    return path.stat().st_size == before


def is_frozen(mill, id_):
    return mill.info(id_).get("frozen", False)


def freezer(systemd, mill, id_, attempt=1):
    return systemd.do("units")[mill.unit(id_, attempt)]["freezer"]


@pytest.fixture
def frozen(running, systemd):
    """A job that was frozen, and the file in which it counts."""
    command, path = counting(running)
    id_ = running.submit(command)
    until(path.exists)
    running.reach(id_, "running")
    running.call("FreezeJob", id_)
    until(lambda: is_frozen(running, id_), 5, "frozen")
    return id_, path


def test_freeze_and_thaw(frozen, running, systemd):
    id_, path = frozen
    info = running.info(id_)
    assert (info["state"], info["reason"], info["frozen"]) == ("running", "frozen", True)
    assert stands_still(path)
    assert running.call("ListJobs", {"ids": [id_]}, "", 10)[0][0]["frozen"]
    running.call("FreezeJob", id_)  # no effect
    assert len(systemd.do("calls", method="FreezeUnit")) == 1

    running.call("ThawJob", id_)
    until(lambda: freezer(systemd, running, id_) == "running")
    until(lambda: "reason" not in running.info(id_), 5, "runs again")
    assert not is_frozen(running, id_)
    until(lambda: not stands_still(path), 5, "it counts")
    running.call("ThawJob", id_)  # nor has this
    running.call("CancelJob", id_)
    assert running.result(id_) == "cancelled"
    assert running.call("ListAttempts", id_)[0]["frozen_usec"] >= 300000


def test_it_keeps_its_slots(running, systemd):
    ids = [running.submit("sleep 60") for _ in range(4)]
    for i in ids:
        running.reach(i, "running")
    running.call("FreezeJob", ids[0])
    waiting = running.submit("true")
    until(lambda: is_frozen(running, ids[0]))
    assert running.state(waiting) == "ready"
    assert systemd.do("counts")["max_holding"]["jobmill-default.slice"] == 4
    running.call("CancelJob", ids[1])
    assert running.result(waiting) == "success"


def test_subscribers_are_told(running):
    running.call("Subscribe")
    id_ = running.submit("sleep 60")
    running.reach(id_, "running")
    until(lambda: ("JobChanged", id_, "running") in running.bus.signals, 5, "told that it runs", pump=running.bus.pump)
    for method, frozen in (("FreezeJob", True), ("ThawJob", False)):
        running.bus.signals.clear()
        running.call(method, id_)
        until(lambda: is_frozen(running, id_) == frozen, pump=running.bus.pump)
        until(lambda: running.bus.signals.count(("JobChanged", id_, "running")) == 2, 5, "told", pump=running.bus.pump)
    running.call("Unsubscribe")


def test_only_running_jobs(running, systemd):
    running.call("PauseQueue", "default")
    ready = running.submit("true")
    for method in ("FreezeJob", "ThawJob"):
        with pytest.raises(client.BusError) as e:
            running.call(method, ready)
        assert e.value.short == "JobNotRunning" and "ready" in e.value.message
        with pytest.raises(client.BusError) as e:
            running.call(method, 4711)
        assert e.value.short == "NoSuchJob"
    running.call("CancelJob", ready)
    with pytest.raises(client.BusError) as e:
        running.call("FreezeJob", ready)
    assert e.value.short == "JobFinished"
    assert not systemd.do("calls", method="FreezeUnit")


def test_one_with_a_net_is_refused(running, systemd):
    """RuntimeMaxSec= goes on while a unit is frozen."""
    id_ = running.submit("sleep 60", timeout_usec=60 * 10**6)
    running.reach(id_, "running")
    with pytest.raises(client.BusError) as e:
        running.call("FreezeJob", id_)
    assert e.value.short == "NotFreezable"
    assert e.value.message == ("Job %d has a time-out; only jobs submitted with --freezable can be frozen" % id_)
    running.restart()
    with pytest.raises(client.BusError) as e:
        running.call("FreezeJob", id_)
    assert e.value.short == "NotFreezable"
    assert not systemd.do("calls", method="FreezeUnit")


def test_the_clock_stands_still(running, systemd):
    """No net, and the time-out does not come while it is frozen, but it comes after that. Over a restart too."""
    command, path = counting(running)
    id_ = running.submit(command, timeout_usec=1500000, freezable=True)
    running.reach(id_, "running")
    assert "RuntimeMaxUSec" not in systemd.do("units")[running.unit(id_)]["settings"]
    running.call("FreezeJob", id_)
    time.sleep(1.3)
    assert running.state(id_) == "running"
    running.restart()
    time.sleep(0.5)
    assert running.state(id_) == "running"
    running.call("ThawJob", id_)
    assert running.result(id_) == "timeout"


@pytest.mark.root
def test_who_may(running, remotes, polkit):
    id_ = running.submit("sleep 60")
    running.reach(id_, "running")
    for method in ("FreezeJob", "ThawJob"):
        with pytest.raises(client.BusError) as e:
            remotes("daemon").call(method, id_)
        assert e.value.name.endswith((".AccessDenied", ".InteractiveAuthorizationRequired"))
    own = running.submit("sleep 60", uid=pwd.getpwnam("daemon").pw_uid)
    running.reach(own, "running")
    remotes("daemon").call("FreezeJob", own)
    until(lambda: is_frozen(running, own))


def test_cancel_thaws_first(running, systemd):
    """A frozen job must be able to end in its own way."""
    ready = running.out / "ready"
    id_ = running.submit("trap 'exit 3' TERM; touch %s; while :; do sleep 0.02; done" % ready)
    until(ready.exists)
    running.reach(id_, "running")
    running.call("FreezeJob", id_)
    until(lambda: is_frozen(running, id_))
    running.call("CancelJob", id_)
    result, outcome = running.wait(id_)
    assert result == "cancelled" and outcome["exit_status"] == 3
    until(lambda: not systemd.do("units"), 5, "the unit is released")


def test_cancel_of_what_others_froze(running, systemd):
    """Seen too late, or thawed in vain: SIGKILL ends it all the same."""
    systemd.fault("ThawUnit", "never")
    id_ = running.submit("sleep 60", stop_timeout_usec=300000)
    running.reach(id_, "running")
    systemd.do("freeze", name=running.unit(id_))
    running.call("CancelJob", id_)
    assert running.result(id_) == "cancelled"
    until(lambda: not systemd.do("units"), 5, "the unit is released")


def test_frozen_behind_our_back(running, systemd):
    """Nobody is told of it (systemd 252), but the full look sees it."""
    command, path = counting(running)
    id_ = running.submit(command)
    until(path.exists)
    running.reach(id_, "running")
    systemd.do("freeze", name=running.unit(id_))
    systemd.do("reloading")
    until(lambda: is_frozen(running, id_), 5, "seen")
    assert running.info(id_)["reason"] == "frozen"
    running.call("ThawJob", id_)
    until(lambda: not stands_still(path), 5, "it counts")
    running.call("FreezeJob", id_)
    until(lambda: is_frozen(running, id_), 5, "frozen")
    systemd.do("freeze", name=running.unit(id_), frozen=False)
    systemd.do("reloading")
    until(lambda: not is_frozen(running, id_), 5, "seen")
    assert freezer(systemd, running, id_) == "running"  # and not frozen again: who acted last is right


def test_thaw_of_what_was_just_frozen_by_others(running, systemd):
    """Not seen yet, but meant."""
    command, path = counting(running)
    id_ = running.submit(command)
    until(path.exists)
    running.reach(id_, "running")
    systemd.do("freeze", name=running.unit(id_))
    running.call("ThawJob", id_)
    until(lambda: not stands_still(path), 5, "it counts")


def test_the_manager_refuses(running, systemd):
    systemd.fault("FreezeUnit", "refuse", error="org.freedesktop.DBus.Error.NotSupported", message="no freezer here")
    id_ = running.submit("sleep 60")
    running.reach(id_, "running")
    running.call("FreezeJob", id_)
    until(lambda: running.info(id_).get("reason") == "cannot be frozen: no freezer here", 5, "told")
    assert not is_frozen(running, id_)
    systemd.do("clear_faults")
    running.call("FreezeJob", id_)
    until(lambda: is_frozen(running, id_))
    assert running.info(id_)["reason"] == "frozen"


def test_a_unit_that_the_manager_cannot_read_again(running, systemd):
    """The manager is not asked: it would say that the unit is inactive. Here there is no cgroup either, and that is told."""
    id_ = running.submit("sleep 60")
    running.reach(id_, "running")
    systemd.do("set", name=running.unit(id_), LoadState="bad-setting")
    systemd.do("reloading")
    until(lambda: running.stats()["dispatch"] == "")
    running.restart()
    running.call("FreezeJob", id_)
    until(lambda: running.info(id_).get("reason") == "cannot be frozen: No such file or directory", 5, "told")
    assert not systemd.do("calls", method="FreezeUnit")
    running.call("CancelJob", id_)
    assert running.result(id_) == "cancelled"


@pytest.mark.parametrize("error", [".UnitBusy", ".UnitInactive"])
def test_busy_is_asked_again(running, systemd, error):
    systemd.fault("FreezeUnit", "refuse", count=2, error="org.freedesktop.systemd1" + error)
    id_ = running.submit("sleep 60")
    running.reach(id_, "running")
    running.call("FreezeJob", id_)
    until(lambda: is_frozen(running, id_), 10, "frozen after all")


def test_never_answered_does_not_hinder_a_cancel(running, systemd):
    """A process deep in the kernel is not frozen for ever so long."""
    systemd.fault("FreezeUnit", "never")
    id_ = running.submit("sleep 60")
    running.reach(id_, "running")
    running.call("FreezeJob", id_)
    assert running.info(id_)["reason"] == "freezing"
    running.call("ThawJob", id_)
    until(lambda: "reason" not in running.info(id_))
    running.call("FreezeJob", id_)
    running.call("CancelJob", id_)
    assert running.result(id_) == "cancelled"


def test_never_answered_holds_back_nobody_else(mill, systemd):
    (mill.folder / "config/jobmill.conf").write_text("[Daemon]\nStartsInFlightMax=1\n")
    mill.start()
    systemd.fault("FreezeUnit", "never")
    stuck = mill.submit("sleep 60")
    mill.reach(stuck, "running")
    mill.call("FreezeJob", stuck)
    until(lambda: systemd.do("calls", method="FreezeUnit"))
    assert mill.result(mill.submit("true")) == "success"
    mill.call("CancelJob", stuck)
    assert mill.result(stuck) == "cancelled"


def test_ends_while_frozen(frozen, running, systemd):
    id_, _ = frozen
    running.call("KillJob", id_, 9)
    result, outcome = running.wait(id_)
    assert result == "signal" and outcome["exit_signal"] == 9
    until(lambda: not systemd.do("units"), 5, "the unit is released")
    running.call("RetryJob", id_, {})
    running.reach(id_, "running")
    assert not is_frozen(running, id_)


def test_frozen_after_it_ended(running, systemd):
    """As a freeze may that comes just then. From systemd 257 on it is thawed first, else it would never be let go."""
    systemd.do("version", version="262")
    systemd.fault("StopUnit", "pretend", count=1)
    id_ = running.submit("true")
    assert running.result(id_) == "success"
    until(lambda: systemd.do("calls", method="StopUnit"), 5, "it was to be released")
    systemd.do("freeze", name=running.unit(id_))
    systemd.do("reloading")
    until(lambda: not systemd.do("units"), 5, "the unit is released")
    until(lambda: running.stats()["attempts"] == 0, 5, "and its slots are free")


def test_thawed_and_over_before_that_is_seen(frozen, running, systemd):
    """From systemd 257 on it is "thawing" for ever then, and neither stopped nor thawed."""
    id_, _ = frozen
    systemd.do("version", version="262")
    systemd.do("freezer_deaf")
    running.call("CancelJob", id_)
    assert running.result(id_) == "cancelled"
    until(lambda: not systemd.do("units"), 5, "the unit is released")
    until(lambda: running.stats()["attempts"] == 0, 5, "and its slots are free")


def test_over_before_it_is_seen_frozen(running, systemd):
    """Likewise, "freezing" for ever."""
    systemd.do("version", version="262")
    systemd.do("freezer_deaf")
    id_ = running.submit("sleep 60")
    running.reach(id_, "running")
    systemd.do("freeze", name=running.unit(id_))
    running.call("KillJob", id_, 15)
    systemd.do("kill", name=running.unit(id_), signo=18)
    assert running.result(id_) == "signal"
    until(lambda: not systemd.do("units"), 5, "the unit is released")


@pytest.mark.parametrize("state", ["thawing", "frozen"])
def test_found_so_after_a_restart(frozen, running, systemd, state):
    """The daemon was killed before the unit was let go, or between the two calls that undo it."""
    id_, _ = frozen
    systemd.do("version", version="262")
    systemd.do("freezer_deaf")
    systemd.fault("StopUnit", "never")
    if state == "frozen":
        systemd.fault("ThawUnit", "never", skip=1)
    else:
        systemd.fault("FreezeUnit", "never")
    running.call("CancelJob", id_)
    assert running.result(id_) == "cancelled"
    until(lambda: len(systemd.do("calls", method="FreezeUnit")) > 1, 5, "it is being undone")
    running.kill()
    assert freezer(systemd, running, id_) == state
    systemd.do("clear_faults")
    running.start()
    until(lambda: not systemd.do("units"), 5, "the unit is released")
    until(lambda: running.stats()["attempts"] == 0, 5, "and its slots are free")


def test_called_frozen_to_the_end(running, systemd):
    """As 252 does with one that was thawed by its cgroup: it cannot be thawed then, but it can be stopped."""
    systemd.fault("StopUnit", "pretend", count=1)
    id_ = running.submit("true")
    assert running.result(id_) == "success"
    until(lambda: systemd.do("calls", method="StopUnit"), 5, "it was to be released")
    systemd.do("freeze", name=running.unit(id_))
    systemd.fault("ThawUnit", "refuse", error="org.freedesktop.systemd1.UnitBusy")
    systemd.do("reloading")
    until(lambda: not systemd.do("units"), 5, "the unit is released")


# ---- restarts ----

def test_restart_while_frozen(frozen, running, systemd):
    id_, path = frozen
    running.restart()
    assert is_frozen(running, id_) and stands_still(path)
    systemd.do("reexec")
    until(lambda: running.stats()["dispatch"] == "")
    assert is_frozen(running, id_) and stands_still(path)
    assert len(systemd.do("calls", method="FreezeUnit")) == 1
    running.call("ThawJob", id_)
    until(lambda: not stands_still(path), 5, "it counts")


@pytest.mark.parametrize("execute", ["", "first"])
@pytest.mark.parametrize("method", ["FreezeJob", "ThawJob"])
def test_killed_in_the_middle(running, systemd, method, execute):
    """The wish is stored, PID 1 was asked or not, the answer was never seen."""
    command, path = counting(running)
    id_ = running.submit(command)
    until(path.exists)
    running.reach(id_, "running")
    if method == "ThawJob":
        running.call("FreezeJob", id_)
        until(lambda: is_frozen(running, id_))
    systemd.fault(method.replace("Job", "Unit"), "never", execute=execute)
    running.call(method, id_)
    running.kill()
    systemd.do("clear_faults")
    running.start()
    until(lambda: is_frozen(running, id_) == (method == "FreezeJob") and
          running.info(id_).get("reason") == ("frozen" if method == "FreezeJob" else None), 5, "as wanted")
    until(lambda: stands_still(path) == (method == "FreezeJob"), 5, "so it is")


def test_vanishes_while_frozen(frozen, running, systemd):
    id_, _ = frozen
    running.kill()
    systemd.do("reboot")
    running.start()
    assert running.result(id_) == "lost"
    assert running.call("ListAttempts", id_)[0].get("frozen_usec", 0) == 0
