# SPDX-License-Identifier: LGPL-2.1-or-later
"""A systemd that answers late, wrongly or never, and things that happen to units behind our back."""

import os
import socket
import subprocess
import time

import pytest

import busfake
import client
from conftest import AS_ROOT, DAEMON, Bus, Fake, Mill, until


def gate(mill, name="go"):
    return "while [ ! -e %s/%s ]; do sleep 0.02; done" % (mill.out, name)


# ---- StartTransientUnit ----

@pytest.mark.parametrize("execute", ["", "first"])
def test_start_answered_late(running, systemd, execute):
    systemd.fault("StartTransientUnit", "delay", ms=300, execute=execute, count=3)
    ids = running.submit_many(["exit 3", "true", "sleep 0.4"])
    assert [running.result(i) for i in ids] == ["exit-code", "success", "success"]
    assert set(systemd.do("counts")["starts"].values()) == {1}


def test_start_refused(running, systemd):
    running.result(running.submit("true"))
    systemd.fault("StartTransientUnit", "refuse", count=1, error="org.freedesktop.systemd1.BadUnitSetting",
                  message="that will not do")
    id_ = running.submit("true")
    assert running.result(id_) == "exec"
    assert "that will not do" in running.info(id_)["reason"]
    assert running.result(running.submit("true")) == "success"
    until(lambda: running.stats()["attempts"] == 0, 5, "all are released")


def test_first_start_refused(running, systemd):
    systemd.fault("StartTransientUnit", "refuse", count=1, error="org.freedesktop.DBus.Error.InvalidArgs")
    first, second = running.submit_many(["true", "true"])
    assert running.result(first) == "exec"
    assert running.result(second) == "success"


def test_start_never_answered_others_go_on(running, systemd):
    running.result(running.submit("true"))
    systemd.fault("StartTransientUnit", "never", count=1)
    stuck = running.submit("true")
    ids = running.submit_many(["true"] * 10)
    assert set(running.all_done(ids).values()) == {"success"}
    assert running.state(stuck) == "starting"
    systemd.do("reexec")  # the call fails with NoReply: look, and ask again under the same name
    result, outcome = running.wait(stuck)
    assert result in ("success", "lost") and outcome["attempt"] == 1
    assert systemd.do("counts")["starts"].get(running.unit(stuck), 0) == (1 if result == "success" else 0)


def test_start_carried_out_but_never_answered(running, systemd):
    running.result(running.submit("true"))
    systemd.fault("StartTransientUnit", "never", execute="first", count=1)
    id_ = running.submit("sleep 0.1; exit 3")
    assert running.result(id_) == "exit-code"
    until(lambda: running.unit(id_) not in systemd.do("units"), 5)
    until(lambda: running.stats()["attempts"] == 0, 5, "all are released")


@pytest.mark.parametrize("error", ["org.freedesktop.DBus.Error.NoReply", "System.Error.EPIPE", "System.Error.ECONNRESET"])
def test_start_carried_out_but_refused(running, systemd, error):
    """An error is no proof that nothing runs. The last two are what libsystemd 262 says where it finds the connection broken."""
    running.result(running.submit("true"))
    systemd.fault("StartTransientUnit", "refuse", execute="first", count=1, error=error)
    id_ = running.submit("sleep 0.3; exit 3")
    result = running.result(id_)
    assert result == "exit-code"
    until(lambda: not systemd.do("units"), 5)
    assert systemd.do("counts")["starts"][running.unit(id_)] == 1


def test_unit_of_that_name_is_somebody_elses(running, systemd):
    running.result(running.submit("true"))
    systemd.do("signals", copies=0)
    systemd.do("start_stray", name=running.unit(2), argv=["/bin/sleep", "60"])
    systemd.do("signals", copies=1)
    id_ = running.submit("true")
    assert id_ == 2
    result, outcome = running.wait(id_)
    starts = systemd.do("counts")["starts"]
    assert starts[running.unit(2)] == 1 and systemd.do("units")[running.unit(2)]["sub"] == "running"
    assert result == "success" and outcome["unit"] != running.unit(2)


def test_job_that_waits_in_systemds_queue(running, systemd):
    """Loaded with a start pending is starting, not ended: "inactive" is shown before a start too."""
    systemd.do("hold_starts", hold=True)
    id_ = running.submit("true")
    running.reach(id_, "starting")
    until(lambda: running.unit(id_) in systemd.do("units"), 5)
    systemd.do("reloading")
    running.bus.pump(0.1)
    assert running.state(id_) == "starting"
    systemd.do("hold_starts", hold=False)
    assert running.result(id_) == "success"


# ---- the other calls ----

def test_properties_refused_once(running, systemd):
    systemd.fault("GetAll", "refuse", count=2, match="*jobmill_2djob*", error="org.freedesktop.DBus.Error.NoReply")
    id_ = running.submit("exit 3")
    until(lambda: systemd.do("counts")["starts"], 5)
    time.sleep(0.1)
    systemd.do("reloading")
    assert running.result(id_) == "exit-code"


def test_slow_properties(running, systemd):
    systemd.fault("GetAll", "delay", ms=60)
    ids = running.submit_many(["exit %d" % (i % 2) for i in range(12)])
    results = running.all_done(ids)
    assert [results[i] for i in ids] == ["success", "exit-code"] * 6


def test_release_that_hangs_is_helped(mill, systemd):
    """What a job left behind and will not go: SIGKILL after the stop time-out."""
    mill.queue("default", Slots=1, AllowUsers="*", StopTimeoutSec="300ms")
    mill.start()
    mill.result(mill.submit("true"))
    until(lambda: mill.stats()["attempts"] == 0, 5, "the first one is released, so that it does not get the fault")
    systemd.fault("StopUnit", "never", count=1)
    first = mill.submit("true")
    assert mill.result(first) == "success"
    until(lambda: [mill.unit(first), ["all", 9]] in [[u, m] for u, m in systemd.do("calls", method="KillUnit")], 5, "SIGKILL")


def test_reset_failed_by_somebody_else(running, systemd):
    systemd.fault("ResetFailedUnit", "refuse", count=1, error="org.freedesktop.systemd1.NoSuchUnit",
                  message="Unit not loaded.", execute="first")
    assert running.result(running.submit("exit 1")) == "exit-code"
    until(lambda: running.stats()["attempts"] == 0, 5, "an unit that is gone is released")


# ---- signals ----

def test_signals_lost(running, systemd):
    running.result(running.submit("true"))
    systemd.do("signals", copies=0)
    ids = running.submit_many(["exit 3", "true"])
    until(lambda: len(systemd.do("counts")["starts"]) == 3, 5)
    time.sleep(0.1)
    systemd.do("reloading")  # a full look, as every 60 s
    assert [running.result(i) for i in ids] == ["exit-code", "success"]
    time.sleep(0.1)
    systemd.do("reloading")
    until(lambda: running.stats()["attempts"] == 0, 5, "released")


def test_signals_doubled(running, systemd):
    systemd.do("signals", copies=2)
    ids = running.submit_many(["exit %d" % (i % 2) for i in range(20)])
    results = running.all_done(ids)
    assert [results[i] for i in ids] == ["success", "exit-code"] * 10
    assert all(len(running.call("ListAttempts", i)) == 1 for i in ids)
    assert set(systemd.do("counts")["starts"].values()) == {1}


# ---- PID 1 comes back ----

def test_reexec_under_load(running, systemd):
    ids = running.submit_many(["sleep 0.05; exit %d" % (i % 2) for i in range(40)])
    for _ in range(4):
        time.sleep(0.08)
        systemd.do("reexec")
    results = running.all_done(ids)
    for i in ids:
        wanted = "exit-code" if (i - ids[0]) % 2 else "success"
        started = systemd.do("counts")["starts"].get(running.unit(i), 0)
        assert started <= 1 and results[i] == (wanted if started else "lost"), (i, results[i], started)
    until(lambda: not systemd.do("units"), 5, "all units are released")


def test_release_lost_in_a_reexec_is_asked_again(running, systemd):
    systemd.fault("StopUnit", "never", count=1)
    id_ = running.submit("true")
    assert running.result(id_) == "success"
    until(lambda: systemd.do("counts")["calls"].get("StopUnit"), 5)
    systemd.do("reexec")
    until(lambda: not systemd.do("units"), 5, "the unit is released")
    until(lambda: running.stats()["attempts"] == 0, 5, "its slot is free")


def test_cancel_lost_in_a_reexec_is_asked_again(running, systemd):
    id_ = running.submit("sleep 60")
    running.reach(id_, "running")
    systemd.fault("KillUnit", "never")
    running.call("CancelJob", id_)
    until(lambda: systemd.do("counts")["calls"].get("KillUnit", 0) >= 2, 5)
    systemd.do("clear_faults")
    systemd.do("reexec")
    result, outcome = running.wait(id_)
    assert result == "cancelled" and outcome["exit_signal"] == 15


def test_kill_lost_in_a_reexec_is_asked_again(running, systemd):
    ready = running.out / "ready"
    id_ = running.submit("trap '' TERM; touch %s; while :; do sleep 0.05; done" % ready, stop_timeout_usec=300000)
    until(ready.exists)
    running.call("CancelJob", id_)
    until(lambda: systemd.do("counts")["calls"].get("KillUnit", 0) >= 1, 5)
    systemd.fault("KillUnit", "never")
    until(lambda: [running.unit(id_), ["all", 9]] in systemd.do("calls", method="KillUnit"), 5)
    systemd.do("clear_faults")
    systemd.do("reexec")
    result, outcome = running.wait(id_)
    assert result == "cancelled" and outcome["exit_signal"] == 9


def test_ended_while_systemd_was_away(running, systemd):
    ids = [running.submit(gate(running) + "; exit %d" % n) for n in (0, 6)]
    for i in ids:
        running.reach(i, "running")
    systemd.do("disconnect")
    (running.out / "go").touch()
    time.sleep(0.2)
    waiting = running.submit("true")
    running.bus.pump(0.1)
    assert running.state(waiting) == "ready" and running.stats()["dispatch"]
    systemd.do("connect")
    assert [running.result(i) for i in ids] == ["success", "exit-code"]
    assert running.result(waiting) == "success"


def test_bus_is_restarted(folder):
    """Jobs run on, their ends are found; PID 1 and the daemon come back by themselves."""
    path = folder / "own-bus"
    path.mkdir()
    bus = Bus(path)
    c = client.Client(bus.address)
    systemd = Fake(bus.address, c, "fake_systemd.py", "org.jobmill.Fake.systemd")
    mill = Mill(path, bus.address, c, systemd)
    try:
        mill.start()
        ids = [mill.submit(gate(mill) + "; exit %d" % n) for n in (0, 6)]
        for i in ids:
            mill.reach(i, "running")
        bus.process.kill()
        bus.process.wait()
        time.sleep(0.2)
        (mill.out / "go").touch()
        time.sleep(0.2)
        bus.start()
        c = systemd.bus = mill.bus = client.Client(bus.address)
        until(mill.answers, 10, "the daemon is back")
        assert [mill.result(i) for i in ids] == ["success", "exit-code"]
        until(lambda: c.has_owner("org.jobmill.Fake.systemd"), 5)
        assert set(systemd.do("counts")["starts"].values()) == {1}
        assert mill.result(mill.submit("true")) == "success"
        until(lambda: not systemd.do("units"), 5, "all units are released")
        mill.stop()
    except AssertionError:
        print(mill.log_tail())
        raise
    finally:
        for process in (mill.process, systemd.process, bus.process):
            if process and process.poll() is None:
                process.kill()
                process.wait()


def test_new_manager_while_we_watch(running, systemd):
    """systemd --user was restarted: another epoch, its units are gone with it."""
    id_ = running.submit("sleep 60")
    running.reach(id_, "running")
    systemd.do("reboot")
    assert running.result(id_) == "lost"
    assert running.info(id_)["reason"] == ("the system was restarted" if AS_ROOT else "the service manager was restarted")
    assert running.result(running.submit("true")) == "success"


# ---- things that happen to units ----

def test_vanished(running, systemd):
    id_ = running.submit("sleep 60")
    running.reach(id_, "running")
    systemd.do("vanish", name=running.unit(id_))
    systemd.do("reloading")
    assert running.result(id_) == "lost"
    assert running.info(id_)["reason"]
    until(lambda: running.stats()["attempts"] == 0, 5, "all are released")


def test_vanished_while_it_was_cancelled(running, systemd):
    ready = running.out / "ready"
    id_ = running.submit("trap '' TERM; touch %s; while :; do sleep 0.05; done" % ready)
    until(ready.exists)
    running.call("CancelJob", id_)
    systemd.do("vanish", name=running.unit(id_))
    systemd.do("reloading")
    assert running.result(id_) == "cancelled"


def test_stopped_from_outside(running, systemd):
    id_ = running.submit("sleep 60")
    running.reach(id_, "running")
    systemd.do("stop", name=running.unit(id_))
    assert running.result(id_) == "cancelled"
    assert "outside" in running.info(id_)["reason"]


def test_killed_from_outside(running, systemd):
    id_ = running.submit("sleep 60")
    running.reach(id_, "running")
    systemd.do("kill", name=running.unit(id_), signo=15)
    result, outcome = running.wait(id_)
    assert result == "signal" and outcome["exit_signal"] == 15


def test_restarted_from_outside(running, systemd):
    id_ = running.submit("sleep 60")
    running.reach(id_, "running")
    systemd.do("restart", name=running.unit(id_))
    result, _ = running.wait(id_)
    assert result == "lost" and "restarted" in running.info(id_)["reason"]
    until(lambda: not systemd.do("units"), 5, "what runs there is killed")


@pytest.mark.parametrize("again", ["ended", "runs"])
def test_restarted_before_it_is_read(running, systemd, again):
    """Its end was signalled; what is read then is of another invocation."""
    assert running.result(running.submit("true")) == "success"
    go = running.out / "go"
    id_ = running.submit("while [ ! -e %s ]; do sleep 0.02; done" % go)
    running.reach(id_, "running")
    systemd.fault("GetAll", "keep", count=1, match="*/" + busfake.escape(running.unit(id_)))
    go.touch()
    until(lambda: systemd.do("fired") == [1], 5, "it is asked for")
    if again == "runs":
        go.unlink()
    before = systemd.do("units")[running.unit(id_)]["invocation"]
    systemd.do("restart", name=running.unit(id_))
    until(lambda: systemd.do("units")[running.unit(id_)]["invocation"] != before, 5, "it is started again")
    if again == "ended":
        until(lambda: systemd.do("units")[running.unit(id_)]["sub"] == "exited", 5, "it ends again")
    systemd.do("answer")
    assert running.result(id_) == "lost" and "restarted" in running.info(id_)["reason"]


def test_reloaded_before_it_is_read(running, systemd):
    """What is read then is of the service alone, and does not tell that the unit is as asked for."""
    assert running.result(running.submit("true")) == "success"
    go = running.out / "go"
    id_ = running.submit("while [ ! -e %s ]; do sleep 0.02; done" % go)
    running.reach(id_, "running")
    systemd.fault("GetAll", "keep", count=1, match="*/" + busfake.escape(running.unit(id_)))
    go.touch()
    until(lambda: systemd.do("fired") == [1], 5, "it is asked for")
    systemd.do("reloading")
    systemd.do("answer")
    assert running.result(id_) == "success"
    assert running.result(running.submit("true")) == "success"
    running.settled()


def test_restarted_while_the_daemon_was_away(running, systemd):
    id_ = running.submit("sleep 60")
    running.reach(id_, "running")
    running.kill()
    systemd.do("restart", name=running.unit(id_))
    running.start()
    assert running.result(id_) == "lost"
    until(lambda: not systemd.do("units"), 5, "what runs there is killed")


# ---- drop-ins, strays ----

DROP_IN = "/etc/systemd/system/service.d/10-oops.conf"


@pytest.mark.parametrize("properties", [{"RemainAfterExit": False}, {"Restart": "always"}, {"Type": "oneshot"},
                                        {"KillMode": "process"}, {"StartLimitBurst": 5}])
def test_drop_in_that_overrides_us(mill, systemd, properties):
    systemd.do("override", drop_in=DROP_IN, **properties)
    mill.start()
    first, second = mill.submit_many(["sleep 60", "true"])
    until(lambda: DROP_IN in mill.stats()["dispatch"], 5, "dispatch says which drop-in")
    assert mill.result(first) != "success"
    until(lambda: not systemd.do("units"), 5, "the job is not left running")
    assert mill.state(second) == "ready" and DROP_IN in mill.info(second)["reason"]
    assert len(systemd.do("counts")["starts"]) == 1
    systemd.do("override", drop_in=None)
    systemd.do("reloading")
    assert mill.result(second) == "success"


def test_harmless_drop_in(mill, systemd):
    systemd.do("override", drop_in=DROP_IN, Nice=3)
    mill.start()
    assert mill.result(mill.submit("true")) == "success"


def test_first_whose_files_cannot_be_written(mill, systemd):
    """As where /run is too full for it: others go first, still one at a time until one was read back and is as it was asked for."""
    mill.queue("other", Slots=4, AllowUsers="*")
    systemd.do("override", drop_in=DROP_IN, Restart="always")
    mill.start()
    folder, away = mill.folder / "run/attempt", mill.folder / "run/away"
    folder.rename(away)
    stuck = [mill.submit("true", environment=["A=1"]) for _ in range(2)]
    for id_ in stuck:
        until(lambda: mill.info(id_).get("reason") == "Its files cannot be written, asking again: No such file or directory")
    first, second = mill.submit_many(["sleep 60", "true"], queue="other")
    until(lambda: DROP_IN in mill.info(second)["reason"])
    away.rename(folder)
    mill.bus.pump(1.6)  # a tick, also where it is late
    asked = lambda: [u for u, _ in systemd.do("calls", method="StartTransientUnit")]
    assert asked() == [mill.unit(first)] and {mill.state(i) for i in stuck} == {"starting"}

    systemd.do("override", drop_in=None)
    systemd.fault("StartTransientUnit", "delay", ms=500, count=1)
    systemd.do("reloading")
    for id_ in (second, *stuck):
        assert mill.result(id_) == "success"
    assert systemd.do("counts")["max_open"]["StartTransientUnit"] == 1, "another one before the first was read back"


def test_stray_holds_its_slots(mill, systemd):
    mill.queue("one", Slots=1, AllowUsers="*")
    name = "jobmill-job-700-1.service"
    systemd.do("start_stray", name=name, argv=["/bin/sleep", "60"], slice_="jobmill-one.slice",
               environment=["JOBMILL_ATTEMPT_ID=0123456789abcdef0123456789abcdef", "JOBMILL_SLOTS=0"])
    mill.start()
    mill.settled()  # what is submitted before the units have been looked at may get the id, and then another attempt's number
    id_ = mill.submit("true", queue="one")
    assert id_ == 701  # above what units are named after
    assert mill.stats()["strays"] == 1
    mill.bus.pump(0.2)
    assert mill.state(id_) == "ready"
    assert systemd.do("units")[name]["sub"] == "running"  # never killed silently
    systemd.do("kill", name=name, signo=9)
    assert mill.result(id_) == "success"
    until(lambda: name not in systemd.do("units"), 5, "the ended stray is released")
    until(lambda: mill.stats()["strays"] == 0, 5, "it is known to be gone")


def test_ended_stray_is_released(mill, systemd):
    name = "jobmill-job-5-1.service"
    systemd.do("start_stray", name=name, argv=["/bin/false"])
    until(lambda: systemd.do("units")[name]["sub"] == "failed", 5)
    mill.start()
    until(lambda: name not in systemd.do("units"), 5)
    until(lambda: mill.stats()["strays"] == 0, 5, "it is known to be gone")


def test_units_that_only_look_like_ours(mill, systemd):
    names = ["jobmill-job-x-1.service", "jobmill-job-1.service", "jobmill-exporter.service", "jobmill-job-1-1-1.service",
             "jobmill-job-01-1.service", "jobmill-job-99999999999999999999-1.service"]
    for name in names:
        systemd.do("start_stray", name=name, argv=["/bin/sleep", "60"], slice_="system.slice")
    mill.start()
    assert mill.submit("true") == 1
    assert mill.result(1) == "success"
    assert mill.stats()["strays"] == 0
    assert all(systemd.do("units")[n]["sub"] == "running" for n in names)


# ---- the daemon as a service ----

def test_says_ready_and_feeds_the_watchdog(mill):
    s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    path = str(mill.folder / "notify")
    s.bind(path)
    s.settimeout(10)
    mill.spawn(NOTIFY_SOCKET=path, WATCHDOG_USEC="400000")
    seen = ""
    while "READY=1" not in seen:
        seen += s.recv(4096).decode() + "\n"
    assert mill.bus.has_owner()
    while "WATCHDOG=1" not in seen:
        seen += s.recv(4096).decode() + "\n"
    os.kill(mill.process.pid, 15)
    while "STOPPING=1" not in seen:
        seen += s.recv(4096).decode() + "\n"
    assert mill.process.wait(30) == 0
    s.close()


def test_version_and_help():
    for option, words in (("--version", "jobmill"), ("--help", "--user")):
        p = subprocess.run([DAEMON, option], capture_output=True, text=True, timeout=30)
        assert p.returncode == 0 and words in p.stdout
    p = subprocess.run([DAEMON, "--nonsense"], capture_output=True, text=True, timeout=30)
    assert p.returncode != 0 and "nonsense" in p.stderr
