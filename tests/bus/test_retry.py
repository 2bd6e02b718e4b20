# SPDX-License-Identifier: LGPL-2.1-or-later
"""Another attempt: whether, when, with how much memory, and when no more; over restarts and whatever is done to the clock."""

import json
import signal
import time

import pytest

import client
from conftest import until
from test_clock import HOUR, clock, restart  # noqa: F401
from tool import tool

SOON = {"backoff_base_usec": 50_000}
MIB = 1024 * 1024


def results(mill, id_):
    return [a["result"] for a in mill.call("ListAttempts", id_)]


def fails_until(n, status=3):
    return "[ $JOBMILL_ATTEMPT -ge %d ] || exit %d" % (n, status)


def test_each_attempt_is_told_and_one_end(running, session_client):
    session_client.call("Subscribe")
    session_client.signals.clear()
    id_ = running.submit("exit 3", max_attempts=3, **SOON)
    result, outcome = running.wait(id_)
    assert (result, outcome["attempt"], outcome["exit_status"]) == ("exit-code", 3, 3)
    info = running.info(id_)
    assert info["dead"] and (info["attempt"], info["max_attempts"]) == (3, 3)
    assert results(running, id_) == ["exit-code"] * 3
    session_client.pump(0.1)
    assert [s for s in session_client.signals if s[0] == "JobFinished"] == [("JobFinished", id_, 3, "exit-code")]
    states = [s[2] for s in session_client.signals if s[:2] == ("JobChanged", id_)]
    assert states.count("waiting") == 2, states
    log = running.log_path.read_text()
    assert "attempt 1 of 3 ended (exit-code), it is tried again" in log


def test_until_it_succeeds(running):
    id_ = running.submit(fails_until(3), max_attempts=5, **SOON)
    assert running.result(id_) == "success"
    assert results(running, id_) == ["exit-code", "exit-code", "success"] and not running.info(id_)["dead"]


@pytest.mark.parametrize("command, spec, wanted", [
    ("exit 75", {"retry_on": ["timeout"]}, ["exit-code"] * 3),  # it asks for it, as long as attempts are left
    ("exit 100", {}, ["exit-code"]),                            # and for none
    ("exit 3", {"retry_on": ["signal"]}, ["exit-code"]),
    ("kill -KILL $$", {"retry_on": ["signal"]}, ["signal"] * 3),
    ("sleep 60", {"timeout_usec": 50_000}, ["timeout"] * 3),
])
def test_what_is_tried_again(running, command, spec, wanted):
    id_ = running.submit(command, max_attempts=3, **SOON, **spec)
    running.wait(id_)
    assert results(running, id_) == wanted
    assert running.info(id_)["dead"]


def test_a_queue_says_how_often(mill):
    mill.queue("default", AllowUsers="*", MaxAttempts=2, BackoffBaseSec="50ms", RetryOn="exit-code")
    mill.start()
    assert results(mill, waited(mill, "exit 1")) == ["exit-code"] * 2
    assert results(mill, waited(mill, "kill -KILL $$")) == ["signal"]
    assert results(mill, waited(mill, "exit 1", max_attempts=1)) == ["exit-code"]


def waited(mill, command, **spec):
    id_ = mill.submit(command, **spec)
    mill.wait(id_)
    return id_


def in_backoff(mill, seconds=3600, **spec):
    id_ = mill.submit("exit 3", max_attempts=2, backoff_base_usec=int(seconds * 1e6), **spec)
    mill.reach(id_, "waiting")
    return id_


def test_the_backoff_shows_and_can_be_cancelled(running):
    id_ = in_backoff(running)
    info = running.info(id_)
    assert not info["dead"] and "result" not in info and info["attempt"] == 1
    assert info["reason"] in ("attempt 2 of 2 in 1 h", "attempt 2 of 2 in 59 min 59 s"), info["reason"]
    running.call("CancelJob", id_)
    assert running.result(id_) == "cancelled"
    assert results(running, id_) == ["exit-code"]


def test_the_backoff_can_be_changed_and_held(running):
    id_ = in_backoff(running)
    running.call("HoldJob", id_)
    running.call("UpdateJob", id_, {"delay_usec": 0})
    assert running.state(id_) == "held"
    running.call("ReleaseJob", id_)
    assert running.result(id_) == "exit-code" and running.info(id_)["attempt"] == 2


def test_attempts_can_be_changed_while_it_runs(running):
    gate = "while [ ! -e %s/$JOBMILL_ATTEMPT ]; do sleep 0.02; done; exit 1" % running.out
    id_ = running.submit(gate, max_attempts=1, **SOON)
    running.reach(id_, "running")
    running.call("UpdateJob", id_, {"max_attempts": 2})
    endless = running.submit(gate, max_attempts=1000, **SOON)
    (running.out / "1").touch()
    until(lambda: running.info(endless)["attempt"] == 2, 5)
    running.call("UpdateJob", endless, {"max_attempts": 1})
    (running.out / "2").touch()
    assert running.result(id_) == "exit-code" and results(running, id_) == ["exit-code"] * 2
    assert running.result(endless) == "exit-code" and running.info(endless)["attempt"] == 2


def test_the_daemon_dies_in_the_backoff(running):
    id_ = in_backoff(running, 1.0)
    running.restart()
    assert running.result(id_) == "exit-code"
    first, second = running.call("ListAttempts", id_)
    assert second["started_usec"] - first["finished_usec"] >= 990_000


def test_the_end_comes_while_the_daemon_is_away(running, systemd):
    id_ = running.submit("while [ ! -e %s/go ]; do sleep 0.02; done; " % running.out + fails_until(2), max_attempts=2, **SOON)
    running.reach(id_, "running")
    running.kill()
    (running.out / "go").touch()
    until(lambda: systemd.do("ends"), 5, "it has ended")
    running.start()
    assert running.result(id_) == "success" and results(running, id_) == ["exit-code", "success"]


def test_the_clock_is_set_in_the_backoff(mill, clock):  # noqa: F811
    id_ = in_backoff(mill, HOUR)
    before = mill.info(id_)["not_before_usec"]
    clock.step(5 * HOUR)
    until(lambda: mill.info(id_)["not_before_usec"] != before, 5)
    info = mill.info(id_)
    assert info["state"] == "waiting" and abs(info["not_before_usec"] - before - 5 * HOUR * 10**6) < 10**7


def test_by_hand(running):
    id_ = running.submit("exit 3", max_attempts=2, **SOON)
    assert running.result(id_) == "exit-code"
    running.call("RetryJob", id_, {})
    assert running.result(id_) == "exit-code" and running.info(id_)["attempt"] == 3
    running.call("RetryJob", id_, {"max_attempts": 2, "delay_usec": 600_000})
    info = running.info(id_)
    assert info["state"] == "waiting" and "attempt 4 of 5" in info["reason"] and not info["dead"]
    assert running.result(id_) == "exit-code" and running.info(id_)["attempt"] == 5
    for options, word in (({"max_attempts": 0}, "max_attempts"), ({"priority": 1}, "priority"), ({"queue": "x"}, "queue"), ({"x": "y"}, "x")):
        with pytest.raises(client.BusError) as e:
            running.call("RetryJob", id_, options)
        assert e.value.short == "InvalidSpec" and "'%s'" % word in e.value.message
    assert running.info(id_)["dead"]


def test_dead_ones_by_filter(running):
    ids = [waited(running, "exit 3", name=n) for n in ("a", "b", "a")]
    good = waited(running, "true", name="a")
    assert [j["id"] for j in running.jobs(dead=True)] == ids[::-1]
    assert running.call("RetryJobs", {"name": "a", "dead": True}, {"max_attempts": 2, "delay_usec": 3600 * 10**6}) == 2
    assert [running.info(i)["state"] for i in ids + [good]] == ["waiting", "done", "waiting", "done"]
    assert running.info(ids[0])["max_attempts"] == 3
    assert [j["id"] for j in running.jobs(dead=True)] == [ids[1]]
    assert running.call("PurgeJobs", {"dead": True}) == 1
    assert len(running.jobs()) == 3


def test_a_cancel_ends_it_though_it_is_out_of_time(running):
    ready = running.out / "ready"
    id_ = running.submit("trap '' TERM; touch %s; while :; do sleep 0.1; done" % ready, timeout_usec=10**9, stop_timeout_usec=1_000_000,
                         max_attempts=9, **SOON)
    until(ready.exists)
    running.reach(id_, "running")
    running.call("UpdateJob", id_, {"timeout_usec": 50_000})
    running.reach(id_, "stopping")
    running.call("CancelJob", id_)
    assert running.result(id_) == "timeout" and results(running, id_) == ["timeout"]


def test_one_attempt_at_a_time(running, systemd):
    """The next one waits until nothing is left of the last."""
    systemd.fault("ResetFailedUnit", "keep", count=1)
    id_ = running.submit(fails_until(2), max_attempts=2, **SOON)
    until(lambda: "when what is left of the last one is gone" in running.info(id_).get("reason", ""), 5)
    assert list(systemd.do("units")) == [running.unit(id_, 1)]
    until(lambda: systemd.do("fired") == [1], 5, "it is to be released")
    systemd.do("answer")
    assert running.result(id_) == "success"
    assert systemd.do("counts")["max_holding"]["jobmill-default.slice"] == 1


# ---- lost ----

def runs(mill, id_, attempt):
    until(lambda: (mill.info(id_)["attempt"], mill.state(id_)) == (attempt, "running"), 10, "attempt %d runs" % attempt)


def test_lost_is_no_failed_attempt(running, systemd):
    id_ = running.submit("sleep 60", requeue_lost=True)
    plain = running.submit("sleep 60")
    runs(running, id_, 1)
    runs(running, plain, 1)
    systemd.do("reboot")
    runs(running, id_, 2)
    assert running.result(plain) == "lost"
    assert running.info(id_)["max_attempts"] == 2
    systemd.do("kill", name=running.unit(id_, 2), signo=signal.SIGKILL)
    assert running.result(id_) == "signal" and results(running, id_) == ["lost", "signal"]


def test_a_job_that_takes_the_machine_down(mill, systemd):
    (mill.folder / "config/jobmill.conf").write_text("[Daemon]\nPoisonAttempts=3\n")
    mill.queue("default", AllowUsers="*")
    mill.start()
    id_ = mill.submit("sleep 60", requeue_lost=True, max_attempts=50)
    for n in range(1, 4):
        runs(mill, id_, n)
        systemd.do("reboot")
    assert mill.result(id_) == "lost"
    info = mill.info(id_)
    assert info["dead"] and info["reason"] == "not tried again: 3 attempts in a row were lost or ran out of memory"
    # Somebody wants it all the same: it is counted anew.
    mill.call("RetryJob", id_, {})
    runs(mill, id_, 4)
    systemd.do("reboot")
    runs(mill, id_, 5)


# ---- memory ----

def runs_out(mill, systemd, id_, attempt):
    runs(mill, id_, attempt)
    unit = mill.unit(id_, attempt)
    memory = systemd.do("units")[unit]["settings"].get("MemoryMax")
    systemd.do("set", name=unit, Result="oom-kill")
    systemd.do("kill", name=unit, signo=signal.SIGKILL)
    return memory


@pytest.mark.root
@pytest.mark.parametrize("user, section, wanted", [
    ("root", {"MemoryMax": "160M"}, [100, 150, 225]),
    ("daemon", {}, [100, 150, 225]),
    ("daemon", {"MemoryMax": "160M"}, [100, 150, 160]),  # never more than the queue allows
])
def test_memory_grows(mill, systemd, polkit, remotes, user, section, wanted):
    mill.queue("default", AllowUsers="daemon")
    if section:
        mill.queue("default", section="Service", drop_in="memory.conf", **section)
    mill.start()
    submit = mill.call if user == "root" else remotes(user).call
    id_ = submit("Submit", "default", ["sleep", "60"], {"max_attempts": 3, "memory_growth": 1.5, "properties": ["MemoryMax=100M"], **SOON})[0]
    assert [runs_out(mill, systemd, id_, n) for n in (1, 2, 3)] == [n * MIB for n in wanted]
    assert mill.result(id_) == "oom-kill"
    assert [a["memory_max"] for a in mill.call("ListAttempts", id_)] == [n * MIB for n in wanted]
    # By hand it gets more again, but what somebody sets anew counts as it is.
    mill.call("RetryJob", id_, {"delay_usec": 3600 * 10**6})
    mill.call("UpdateJob", id_, {"properties": ["MemoryMax=120M"], "delay_usec": 0})
    assert runs_out(mill, systemd, id_, 4) == 120 * MIB


# ---- the tool ----

def spec_of(mill, *options):
    return json.loads(tool(mill, "submit", "--dry-run", "-j", "--env=none", *options, "true"))


def test_options_of_submit(running):
    spec = spec_of(running, "--attempts=5", "--backoff=exponential:10s..1h~20%", "--retry-on=timeout,lost", "--requeue-lost", "--memory-growth=1.5")
    assert {k: spec[k] for k in ("max_attempts", "backoff", "backoff_base_usec", "backoff_max_usec", "backoff_jitter", "retry_on", "requeue_lost",
                                 "memory_growth")} == {
        "max_attempts": 5, "backoff": "exponential", "backoff_base_usec": 10**7, "backoff_max_usec": 3600 * 10**6, "backoff_jitter": 0.2,
        "retry_on": ["timeout", "lost"], "requeue_lost": True, "memory_growth": 1.5}
    assert not {"max_attempts", "backoff", "retry_on", "requeue_lost", "memory_growth"} & set(spec_of(running))
    for bad, word in (("--attempts=0", "1…10000)"), ("--backoff=soon", "exponential:10s..1h"), ("--retry-on=success", "success"),
                      ("--retry-on=cancelled", "cancelled"), ("--memory-growth=0.5", "1…100")):
        p = tool(running, "submit", "--dry-run", bad, "true", check=False)
        assert p.returncode == 1 and word in p.stderr, p.stderr


def test_by_the_tool(running):
    id_ = int(tool(running, "submit", "--attempts=3", "--backoff=50ms", "--", "sh", "-c", fails_until(3)))
    tool(running, "wait", id_)
    shown = tool(running, "show", id_)
    assert "3 of 3" in shown and shown.count("exit-code") == 2, shown
    dead = [waited(running, "exit 3") for _ in range(2)]
    listed = json.loads(tool(running, "list", "--dead", "-j"))
    assert [j["id"] for j in listed] == dead[::-1]
    assert "2 jobs retried" in tool(running, "retry", "--dead", "--attempts=4", "--in=1h", "-y")
    assert [(running.info(i)["max_attempts"], running.state(i)) for i in dead] == [(5, "waiting")] * 2
    assert "attempt 2 of 5 in " in tool(running, "show", dead[0])
    tool(running, "set", dead[0], "attempts=7", "backoff=5s..10s", "retry-on=timeout", "requeue-lost=yes", "memory-growth=2")
    assert running.info(dead[0])["max_attempts"] == 7
    shown = tool(running, "show", dead[0])
    assert all(row in shown for row in ("Backoff: exponential:5s..10s", "Retry on: timeout", "If lost: tried again", "MemoryMax= × 2")), shown
    tool(running, "cancel", *dead)
    assert "2 jobs purged" in tool(running, "purge", "--dead", "-y")


# ---- with others ----

def test_who_waits_for_it_waits_for_the_last_attempt(running):
    good = running.submit("sleep 0.1; " + fails_until(3), max_attempts=3, **SOON)
    bad = running.submit("sleep 0.1; exit 3", max_attempts=2, **SOON)
    after = {(i, on): running.submit("true", after=[(i, on)]) for i in (good, bad) for on in ("success", "failure", "end")}
    for i, on, result in ((good, "success", "success"), (good, "failure", "dependency"), (good, "end", "success"),
                          (bad, "success", "dependency"), (bad, "failure", "success"), (bad, "end", "success")):
        assert running.result(after[i, on]) == result, (i, on)
        if result == "success":
            assert running.info(after[i, on])["started_usec"] >= running.call("ListAttempts", i)[-1]["finished_usec"]
    assert [len(running.call("ListAttempts", i)) for i in (good, bad)] == [3, 2]


def test_a_shut_queue_holds_back_what_is_due(running):
    id_ = running.submit("while [ ! -e %s/go ]; do sleep 0.02; done; " % running.out + fails_until(2), max_attempts=2, backoff_base_usec=300_000)
    running.reach(id_, "running")
    running.call("PauseQueue", "default")
    (running.out / "go").touch()
    running.reach(id_, "ready")
    assert "paused" in running.info(id_)["reason"]
    running.call("ResumeQueue", "default")
    assert running.result(id_) == "success"


def test_one_that_cannot_be_retried_stops_no_other(running):
    taken = running.submit("false", unique_key="k")
    running.wait(taken)
    other = running.submit("false")
    running.wait(other)
    running.submit("true", hold=True, unique_key="k")
    assert running.call("RetryJobs", {"dead": True}, {}) == 1
    running.reach(other, "done")
    assert running.info(other)["attempt"] == 2 and running.info(taken)["attempt"] == 1


def test_a_change_of_something_else_changes_no_attempts(running):
    id_ = running.submit("true")
    running.wait(id_)
    for k in "ab":
        running.call("UpdateJob", id_, {"tags": {"x": k}})
    assert running.info(id_)["max_attempts"] == 1


def test_no_deadline_for_what_was_started(running):
    id_ = running.submit("false", max_attempts=3, backoff_base_usec=60_000_000)
    running.reach(id_, "waiting")
    until(lambda: running.info(id_)["attempt"] == 1, 5)
    with pytest.raises(client.BusError, match="has been started already"):
        running.call("UpdateJob", id_, {"deadline_usec": int((time.time() + 60) * 1e6)})
    running.call("CancelJob", id_)
