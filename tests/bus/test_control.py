# SPDX-License-Identifier: LGPL-2.1-or-later
"""What may be done with jobs and queues: cancel, kill, hold, release, retry, purge, pause, drain, time-outs, Reload."""

import os
import time

import pytest

import client
from conftest import until


def now():
    return int(time.time() * 1e6)


# ---- cancel, kill, time-outs ----

def test_cancel_before_it_starts(running, systemd):
    running.call("PauseQueue", "default")
    held = running.submit("true", hold=True)
    later = running.submit("true", not_before_usec=now() + 3600 * 10**6)
    ready = running.submit("true")
    for i in (held, later, ready):
        running.call("CancelJob", i)
        assert running.result(i) == "cancelled"
        assert running.info(i)["attempt"] == 0
    assert systemd.do("counts")["starts"] == {}


def test_cancel_running(running, systemd):
    id_ = running.submit("sleep 60")
    running.reach(id_, "running")
    running.call("CancelJob", id_)
    result, outcome = running.wait(id_)
    assert result == "cancelled" and outcome["exit_signal"] == 15
    assert systemd.do("calls", method="KillUnit")[0] == [running.unit(id_), ["all", 15]]
    until(lambda: not systemd.do("units"), 5, "the unit is released")


def test_cancel_one_that_traps_term(running, systemd):
    ready = running.out / "ready"
    id_ = running.submit("trap '' TERM; touch %s; while :; do sleep 0.05; done" % ready, stop_timeout_usec=1000000)
    until(ready.exists)
    before = time.monotonic()
    running.call("CancelJob", id_)
    assert running.state(id_) == "stopping"
    running.call("CancelJob", id_)  # no effect
    result, outcome = running.wait(id_)
    assert result == "cancelled" and outcome["exit_signal"] == 9
    assert time.monotonic() - before >= 0.9
    assert [more for _, more in systemd.do("calls", method="KillUnit")] == [["all", 15], ["all", 18], ["all", 9]]


def test_cancelled_job_may_end_well_in_time(running):
    ready = running.out / "ready"
    id_ = running.submit("trap 'exit 0' TERM; touch %s; while :; do sleep 0.02; done" % ready)
    until(ready.exists)
    running.call("CancelJob", id_)
    result, outcome = running.wait(id_)
    assert result == "cancelled" and outcome["exit_status"] == 0


def test_cancel_uses_the_kill_signal_of_the_unit(running, systemd):
    id_ = running.submit(["/bin/sleep", "60"], properties=["KillSignal=SIGINT"])  # dash -c may lose one that comes early
    running.reach(id_, "running")
    running.call("CancelJob", id_)
    assert running.wait(id_)[1]["exit_signal"] == 2


def test_cancel_while_starting(running, systemd):
    systemd.do("hold_starts", hold=True)
    id_ = running.submit("sleep 60")
    running.reach(id_, "starting")
    running.call("CancelJob", id_)
    assert running.state(id_) == "stopping"
    systemd.do("hold_starts", hold=False)
    assert running.result(id_) == "cancelled"
    until(lambda: not systemd.do("units"), 5, "the unit is gone")


def test_cancel_while_the_start_is_not_answered(running, systemd):
    systemd.fault("StartTransientUnit", "keep", count=1)
    id_ = running.submit("sleep 60")
    running.reach(id_, "starting")
    until(lambda: systemd.do("fired") == [1], 5, "it is asked for")
    running.call("CancelJob", id_)
    systemd.do("answer")
    assert running.result(id_) == "cancelled"
    until(lambda: not systemd.do("units"), 5, "the unit is gone")


def test_kill_job(running):
    out = running.out / "got"
    ready = running.out / "ready"
    id_ = running.submit("trap 'echo usr1 >> %s' USR1; touch %s; while :; do sleep 0.02; done" % (out, ready))
    until(ready.exists)
    running.reach(id_, "running")
    running.call("KillJob", id_, 10)
    until(out.exists)
    assert running.state(id_) == "running"
    running.call("KillJob", id_, 9)
    result, outcome = running.wait(id_)
    assert result == "signal" and outcome["exit_signal"] == 9


def test_timeout(running):
    id_ = running.submit("sleep 60", timeout_usec=300000)
    result, outcome = running.wait(id_)
    assert result == "timeout" and outcome["exit_signal"] == 15
    assert 300000 <= outcome["runtime_usec"] < 5000000


def test_timeout_then_kill(running):
    id_ = running.submit("trap '' TERM; while :; do sleep 0.05; done", timeout_usec=300000, stop_timeout_usec=300000)
    result, outcome = running.wait(id_)
    assert result == "timeout" and outcome["exit_signal"] == 9


def test_timeout_of_the_queue(mill):
    mill.queue("default", Slots=2, AllowUsers="*", TimeoutSec="300ms", StopTimeoutSec="200ms")
    mill.start()
    assert mill.result(mill.submit("sleep 60")) == "timeout"
    assert mill.result(mill.submit("trap '' TERM; while :; do sleep 0.05; done")) == "timeout"


def test_timeout_leaves_quick_ones_alone(running):
    ids = running.submit_many(["sleep 0.1"] * 8, timeout_usec=20 * 10**6)
    assert set(running.all_done(ids).values()) == {"success"}


# ---- hold, release, not_before ----

def test_hold_and_release(running, systemd):
    id_ = running.submit("true", hold=True)
    running.bus.pump(0.2)
    assert running.state(id_) == "held" and not systemd.do("counts")["starts"]
    running.call("ReleaseJob", id_)
    assert running.result(id_) == "success"


def test_hold_a_ready_one(running):
    running.call("PauseQueue", "default")
    id_ = running.submit("true")
    assert running.state(id_) == "ready"
    running.call("HoldJob", id_)
    running.call("HoldJob", id_)
    running.call("ResumeQueue", "default")
    running.bus.pump(0.2)
    assert running.state(id_) == "held"
    running.call("ReleaseJob", id_)
    running.call("ReleaseJob", id_)
    assert running.result(id_) == "success"


def test_not_before(running):
    due = now() + 600000
    id_ = running.submit("true", not_before_usec=due)
    past = running.submit("true", not_before_usec=1)
    assert running.state(id_) == "waiting" or now() > due
    assert running.result(past) == "success"
    _, outcome = running.wait(id_)
    assert due <= outcome["started_usec"] < due + 5000000
    assert running.info(id_)["wait_usec"] < 5000000  # since it was due


def test_delay(running):
    begin = now()
    id_ = running.submit("true", delay_usec=600000)
    none = running.submit("true", delay_usec=0)
    assert running.state(id_) == "waiting" or now() > begin + 600000
    assert running.result(none) == "success"
    assert begin + 600000 <= running.info(id_)["not_before_usec"] <= now() + 600000
    running.restart()
    assert running.result(id_) == "success"
    assert running.info(id_)["started_usec"] >= begin + 600000


def test_delay_and_not_before_exclude_each_other(running):
    with pytest.raises(client.BusError, match="exclude each other"):
        running.submit("true", delay_usec=1, not_before_usec=1)
    id_ = running.submit("true", delay_usec=3600 * 10**6)
    with pytest.raises(client.BusError, match="exclude each other"):
        running.call("UpdateJob", id_, {"delay_usec": 1, "not_before_usec": 1})
    running.call("UpdateJob", id_, {"delay_usec": 0})
    assert running.result(id_) == "success"


def test_not_before_survives_a_restart(running):
    id_ = running.submit("true", not_before_usec=now() + 1000000)
    running.restart()
    assert running.state(id_) in ("waiting", "ready", "starting", "running", "done")
    assert running.result(id_) == "success"


def test_released_before_its_time_it_waits(running):
    id_ = running.submit("true", not_before_usec=now() + 3600 * 10**6, hold=True)
    assert running.state(id_) == "held"
    running.call("ReleaseJob", id_)
    assert running.state(id_) == "waiting"


# ---- queues ----

def test_pause_and_resume(running, systemd):
    long = running.submit("while [ ! -e %s/go ]; do sleep 0.02; done" % running.out)
    running.reach(long, "running")
    running.call("PauseQueue", "default")
    ids = running.submit_many(["true"] * 5)
    (running.out / "go").touch()
    assert running.result(long) == "success"  # runs on
    running.bus.pump(0.2)
    assert len(systemd.do("counts")["starts"]) == 1
    assert "paused" in running.info(ids[0])["reason"]
    assert running.queue_properties("default")["Paused"] is True
    running.restart()
    running.settled()
    assert running.queue_properties("default")["Paused"] is True
    running.call("ResumeQueue", "default")
    assert set(running.all_done(ids).values()) == {"success"}


def test_pause_holds_queues_below(mill):
    mill.queue("gpu", Slots=2, AllowUsers="*")
    mill.queue("gpu-train", Slots=2, AllowUsers="*")
    mill.start()
    mill.call("PauseQueue", "gpu")
    id_ = mill.submit("true", queue="gpu-train")
    other = mill.submit("true")
    assert mill.result(other) == "success"
    assert mill.state(id_) == "ready" and "gpu" in mill.info(id_)["reason"]
    mill.call("ResumeQueue", "gpu")
    assert mill.result(id_) == "success"


def test_drain(running):
    running.call("PauseQueue", "default")
    id_ = running.submit("true")
    running.call("DrainQueue", "default")
    with pytest.raises(client.BusError, match="QueueDraining"):
        running.submit("true")
    assert running.queue_properties("default")["Draining"] is True
    running.restart()
    with pytest.raises(client.BusError, match="QueueDraining"):
        running.submit("true")
    running.call("ResumeQueue", "default")
    assert running.result(id_) == "success"
    assert running.result(running.submit("true")) == "success"


def test_drain_runs_what_is_there(running):
    ids = running.submit_many(["sleep 0.05"] * 10)
    running.call("DrainQueue", "default")
    assert set(running.all_done(ids).values()) == {"success"}


def test_reload(running):
    with pytest.raises(client.BusError, match="NoSuchQueue"):
        running.submit("true", queue="late")
    path = running.queue("late", Slots=1, AllowUsers="*")
    running.call("Reload")
    assert running.result(running.submit("true", queue="late")) == "success"
    running.queue("late", Slots=3, AllowUsers="*")
    running.call("Reload")
    assert running.queue_properties("late")["Slots"] == 3
    running.queue("late", drop_in="50-cap.conf", Slots=5)
    running.call("Reload")
    assert running.queue_properties("late")["Slots"] == 5
    path.write_text("[Queue]\nSlots=many\n")
    with pytest.raises(client.BusError) as e:
        running.call("Reload")
    assert e.value.short == "Configuration"
    assert "late.queue" in e.value.message and "Slots" in e.value.message and "2" in e.value.message
    assert running.queue_properties("late")["Slots"] == 5
    assert running.result(running.submit("true", queue="late")) == "success"


def test_sighup_reloads(running):
    running.queue("late", Slots=2, AllowUsers="*")
    os.kill(running.process.pid, 1)
    until(lambda: "late" in dict(running.call("ListQueues")), 5)


def test_bad_file_at_start_is_no_reason_to_stay_away(mill):
    mill.queue("bad", Slots="x")
    mill.start()
    assert mill.result(mill.submit("true")) == "success"
    assert "bad.queue" in mill.log_tail()


def test_paused_in_the_file(mill):
    mill.queue("default", Slots=1, AllowUsers="*", Paused="yes")
    mill.start()
    id_ = mill.submit("true")
    mill.settled()
    assert mill.state(id_) == "ready"
    mill.call("ResumeQueue", "default")
    assert mill.result(id_) == "success"


# ---- retry, purge ----

def test_retry(running):
    flag = running.out / "flag"
    id_ = running.submit("test -e %s || exit 9" % flag, payload=b"x", environment=["A=b"])
    assert running.result(id_) == "exit-code"
    assert running.info(id_)["dead"]
    flag.touch()
    running.call("RetryJob", id_, {})
    result, outcome = running.wait(id_)
    assert result == "success" and outcome["attempt"] == 2
    info = running.info(id_)
    assert (info["attempt"], info["max_attempts"], info["dead"]) == (2, 2, False)
    attempts = running.call("ListAttempts", id_)
    assert [(a["attempt"], a["result"]) for a in attempts] == [(1, "exit-code"), (2, "success")]
    assert attempts[0]["exit_status"] == 9


def test_retry_of_one_that_was_cancelled_before_it_ran(running):
    id_ = running.submit("true", hold=True)
    running.call("CancelJob", id_)
    running.call("RetryJob", id_, {})
    result, outcome = running.wait(id_)
    assert (result, outcome["attempt"]) == ("success", 1)


def test_retry_keeps_the_environment(running):
    out = running.out / "env"
    id_ = running.submit("echo $A >> %s; exit 1" % out, environment=["A=kept"])
    running.wait(id_)
    running.call("RetryJob", id_, {})
    assert running.result(id_) == "exit-code"
    assert out.read_text() == "kept\nkept\n"


def test_purge(running):
    done = running.submit_many(["true"] * 5)
    running.all_done(done)
    held = running.submit("true", hold=True)
    assert running.call("PurgeJobs", {"ids": [done[0], held, 12345]}) == 1
    assert running.call("PurgeJobs", {"queue": "default"}) == 4
    assert [j["id"] for j in running.jobs()] == [held]
    with pytest.raises(client.BusError, match="NoSuchJob"):
        running.info(done[1])
    assert running.submit("true", hold=True) == held + 1
    assert running.stats()["done"] == 0


def test_purged_ids_are_not_used_again(running):
    ids = running.submit_many(["true"] * 3)
    running.all_done(ids)
    assert running.call("PurgeJobs", {"ids": ids}) == 3
    running.restart()
    assert running.submit("true") == ids[-1] + 1


def test_waiter_of_a_purged_job(running, session_client):
    id_ = running.submit("true", hold=True)
    pending = session_client.start("WaitJob", id_, client.FOREVER)
    running.call("CancelJob", id_)
    assert session_client.finish(pending)[1] == "cancelled"
    assert running.call("PurgeJobs", {"ids": [id_]}) == 1
    with pytest.raises(client.BusError, match="NoSuchJob"):
        running.call("WaitJob", id_, 0)
