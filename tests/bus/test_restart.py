# SPDX-License-Identifier: LGPL-2.1-or-later
"""The daemon may die at any moment: running jobs run on and are adopted, ended ones get their true outcome, nothing runs
twice, caps hold."""

import os
import random
import signal
import time

import pytest

import client
from conftest import AS_ROOT, until


def gate(mill, name="go"):
    """A command that runs until the file is there."""
    return "while [ ! -e %s/%s ]; do sleep 0.02; done" % (mill.out, name)


def check_each_ran_once(mill, systemd, ids):
    """No unit was started twice; who started has his true result, and a line in the file that each job writes."""
    starts = systemd.do("counts")["starts"]
    assert all(n == 1 for n in starts.values()), starts
    for id_ in ids:
        attempts = mill.call("ListAttempts", id_)
        assert len(attempts) == 1, attempts
        job = mill.info(id_)
        if mill.unit(id_) in starts:
            wanted = {0: "success", 1: "exit-code", 2: "signal"}[id_ % 3]
            assert job["result"] == wanted, job
        else:
            # Committed, but the daemon died before it asked: without PID 1's journal nobody can know that.
            assert job["result"] == "lost", job
    ran = (mill.out / "ran").read_text().split()
    assert sorted(ran, key=int) == sorted({str(i) for i in ids if mill.unit(i) in starts}, key=int)


@pytest.mark.parametrize("seed", range(4))
def test_kill_at_any_moment(mill, systemd, seed):
    dice = random.Random(seed)
    mill.queue("default", Slots=6, AllowUsers="*")
    mill.start()
    command = ("echo $JOBMILL_JOB_ID >> %s/ran; sleep 0.0%d; case $((JOBMILL_JOB_ID %% 3)) in 1) exit 5;; 2) kill -KILL $$;;"
               " esac")
    ids = mill.submit_many([command % (mill.out, dice.randrange(10)) for _ in range(50)])
    for _ in range(5):
        time.sleep(dice.uniform(0, 0.12))
        mill.restart()
    mill.all_done(ids)
    check_each_ran_once(mill, systemd, ids)
    assert systemd.do("counts")["max_holding"]["jobmill-default.slice"] <= 6
    until(lambda: not systemd.do("units"), 5, "all units are released")
    until(lambda: [mill.stats()[k] for k in ("attempts", "strays", "done")] == [0, 0, 50], 5, mill.stats)


def test_kill_while_a_thousand_are_submitted(mill, session_client, systemd):
    """What was answered is there, what was not is there whole or not at all."""
    mill.start()
    mill.call("PauseQueue", "default")
    answered = []
    pending = [session_client.start("SubmitMany", [client.entry("", ["/bin/true"])] * 10) for _ in range(50)]
    until(lambda: any(p.done for p in pending), 5, pump=session_client.pump, interval=0.001)
    mill.kill()
    session_client.pump(0.05)
    for p in pending:
        assert p.done
        answered += p.result or []
    mill.start()
    stored = [j["id"] for j in mill.jobs(fields=["id"])]
    assert set(answered) <= set(stored)
    assert len(stored) % 10 == 0 and len(set(stored)) == len(stored)


def test_running_jobs_are_adopted(running, systemd):
    ids = [running.submit(gate(running) + "; exit %d" % code) for code in (0, 3, 0)]
    for i in ids:
        running.reach(i, "running")
    before = {i: running.info(i)["invocation_id"] for i in ids}
    running.kill()
    running.start()
    running.settled()
    assert [running.state(i) for i in ids] == ["running"] * 3
    assert running.stats()["attempts"] == 3 and running.queue_properties("default")["SlotsUsed"] == 3
    (running.out / "go").touch()
    assert [running.result(i) for i in ids] == ["success", "exit-code", "success"]
    assert {i: running.info(i)["invocation_id"] for i in ids} == before
    assert set(systemd.do("counts")["starts"].values()) == {1}


def test_stop_in_order_touches_no_job(running, systemd):
    id_ = running.submit(gate(running))
    running.reach(id_, "running")
    pid = systemd.do("units")[running.unit(id_)]["pid"]
    running.stop()
    os.kill(pid, 0)
    assert systemd.do("counts")["calls"].get("KillUnit", 0) == 0
    running.start()
    (running.out / "go").touch()
    assert running.result(id_) == "success"


def test_ended_meanwhile(running, systemd):
    commands = ["exit 0", "exit 9", "kill -KILL $$", "kill -TERM $$"]
    ids = [running.submit(gate(running) + "; " + c) for c in commands]
    for i in ids:
        running.reach(i, "running")
    running.kill()
    (running.out / "go").touch()
    until(lambda: len(systemd.do("ends")) == 4, 5, "they have ended")
    time.sleep(0.1)
    running.start()
    assert [running.result(i) for i in ids] == ["success", "exit-code", "signal", "signal"]
    assert [running.info(i).get("exit_status", -1) for i in ids[:2]] == [0, 9]
    o = running.wait(ids[1])[1]
    assert o["runtime_usec"] < (time.time() - o["started_usec"] / 1e6) * 1e6 - 100000  # when it ended, not when it was seen


def test_started_but_the_answer_was_never_seen(running, systemd):
    systemd.fault("StartTransientUnit", "never", execute="first", count=1)
    systemd.do("signals", copies=0)
    id_ = running.submit("exit 4")
    running.reach(id_, "starting")
    running.kill()
    systemd.do("signals", copies=1)
    running.start()
    result, outcome = running.wait(id_)
    assert (result, outcome["exit_status"]) == ("exit-code", 4)
    assert systemd.do("counts")["starts"] == {running.unit(id_): 1}


def test_asked_but_never_started(running, systemd):
    """Asked again under the same name, or lost; never twice."""
    systemd.fault("StartTransientUnit", "never", count=1)
    id_ = running.submit("exit 4")
    running.reach(id_, "starting")
    running.kill()
    running.start()
    result, _ = running.wait(id_)
    starts = systemd.do("counts")["starts"]
    assert (result, starts) in [("exit-code", {running.unit(id_): 1}), ("lost", {})]
    assert len(running.call("ListAttempts", id_)) == 1


def test_kill_between_end_and_release(running, systemd):
    systemd.fault("StopUnit", "never", count=1)
    id_ = running.submit("true")
    assert running.result(id_) == "success"
    assert running.unit(id_) in systemd.do("units")
    running.restart()
    until(lambda: not systemd.do("units"), 5, "the unit of the done job is released")
    assert running.result(id_) == "success"
    until(lambda: running.stats()["attempts"] == 0, 5, "all are released")


def test_kill_while_stopping(running, systemd):
    """The intent is stored: cancelled it will be, and is not asked to end again and again."""
    ready = running.out / "ready"
    id_ = running.submit("trap '' TERM; touch %s; %s; exit 0" % (ready, gate(running)), stop_timeout_usec=60 * 10**6)
    until(ready.exists)
    running.call("CancelJob", id_)
    assert running.state(id_) == "stopping"
    running.restart()
    assert running.state(id_) == "stopping"
    (running.out / "go").touch()
    assert running.result(id_) == "cancelled"


def test_cancelled_while_starting_then_killed(running, systemd):
    systemd.do("hold_starts", hold=True)
    id_ = running.submit("sleep 60")
    running.reach(id_, "starting")
    running.call("CancelJob", id_)
    running.restart()
    systemd.do("hold_starts", hold=False)
    assert running.result(id_) == "cancelled"
    until(lambda: not systemd.do("units"), 5, "the unit is gone")


def test_timeout_passes_while_the_daemon_is_away(running):
    id_ = running.submit("sleep 60", timeout_usec=700000)
    until(lambda: running.state(id_) not in ("ready", "starting"), 5, "it runs")
    running.kill()
    time.sleep(0.8)
    running.start()
    assert running.result(id_) == "timeout"


def test_caps_while_adopting(mill, systemd):
    mill.queue("two", Slots=2, AllowUsers="*")
    mill.start()
    ids = mill.submit_many([gate(mill)] * 6, queue="two")
    until(lambda: len(systemd.do("units")) == 2, 5)
    mill.restart()
    mill.settled()
    mill.bus.pump(0.2)
    assert len(systemd.do("units")) == 2
    (mill.out / "go").touch()
    mill.all_done(ids)
    assert systemd.do("counts")["max_holding"]["jobmill-two.slice"] == 2


def test_slow_look_at_start_lets_nothing_start(mill, systemd):
    """Until it has seen which units there are, nothing is started; requests are answered all the same."""
    mill.start()
    first = mill.submit(gate(mill))
    mill.reach(first, "running")
    mill.kill()
    systemd.fault("ListUnitsByPatterns", "keep")
    mill.start()
    second = mill.submit("true")
    assert mill.state(second) == "ready"
    assert mill.stats()["dispatch"]
    assert mill.info(second)["reason"]
    until(lambda: systemd.do("fired") == [1], 5, "it has asked")
    systemd.do("clear_faults")
    systemd.do("answer")
    assert mill.result(second) == "success"
    assert mill.state(first) == "running"


def test_second_daemon_waits_for_the_store(running):
    """Never two: it does nothing as long as the first one lives, and takes over when that is gone."""
    live = running.submit(gate(running))
    running.reach(live, "running")
    first = running.process
    try:
        running.spawn()
        until(lambda: "Another daemon has it" in running.log_tail(), 10)
        assert running.result(running.submit("true")) == "success" and running.process.poll() is None
    finally:
        first.kill()
        first.wait()
    until(running.answers, 20)
    running.settled()
    assert running.state(live) == "running" and len(running.call("ListAttempts", live)) == 1
    assert running.result(running.submit("true")) == "success"


def test_reboot_while_the_daemon_is_away(running, systemd):
    live = running.submit("sleep 60")
    held = running.submit("true", hold=True)
    later = running.submit("exit 3")
    stopping = running.submit("trap '' TERM; sleep 60", stop_timeout_usec=60 * 10**6)
    running.result(later)
    running.reach(live, "running")
    running.reach(stopping, "running")
    running.call("CancelJob", stopping)
    running.kill()
    systemd.do("reboot")
    running.start()
    assert running.result(live) == "lost"
    assert running.info(live)["reason"] == ("the system was restarted" if AS_ROOT else "the service manager was restarted")
    assert running.result(stopping) == "cancelled"
    assert running.state(held) == "held" and running.result(later) == "exit-code"
    assert running.result(running.submit("true")) == "success"
    until(lambda: running.stats()["attempts"] == 0, 5, "all are released")


def test_waits_for_systemd(mill, systemd):
    systemd.do("disconnect")
    mill.start()
    id_ = mill.submit("true")
    mill.bus.pump(0.2)
    assert mill.state(id_) == "ready" and mill.stats()["dispatch"]
    systemd.do("connect")
    assert mill.result(id_) == "success"


def test_signals_end_it_cleanly(running):
    for signo in (signal.SIGTERM, signal.SIGINT):
        os.kill(running.process.pid, signo)
        assert running.process.wait(30) == 0
        until(lambda: not running.bus.has_owner(), 5)
        running.start()
