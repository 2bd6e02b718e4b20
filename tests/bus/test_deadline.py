# SPDX-License-Identifier: LGPL-2.1-or-later
"""Start deadlines: what has not been started by then is expired, wherever it waits and whatever happens to daemon and clock."""

import json
import time

import pytest

import client
from conftest import until
from test_clock import HOUR, clock  # noqa: F401
from tool import tool


def us(seconds):
    return int((time.time() + seconds) * 1e6)


def expired(mill, id_):
    result, outcome = mill.wait(id_)
    info = mill.info(id_)
    assert (result, info["attempt"], info["dead"]) == ("expired", 0, True)
    assert info["reason"] == "not started by its deadline"
    return info


def test_wherever_it_waits(running):
    deadline = us(0.7)
    running.call("PauseQueue", "default")
    ids = [running.submit("true", deadline_usec=deadline, **more) for more in ({}, {"hold": True}, {"slots": 1, "priority": 3})]
    kept = running.submit("true", hold=True)
    for id_ in ids:
        info = expired(running, id_)
        assert info["deadline_usec"] == deadline and info["finished_usec"] >= deadline
    assert running.info(kept)["state"] == "held"


def test_what_was_started_has_kept_it(running):
    deadline = us(1.2)
    failed = running.submit("exit 3", deadline_usec=deadline)
    id_ = running.submit("while [ ! -e %s/go ]; do sleep 0.02; done" % running.out, deadline_usec=deadline)
    assert running.result(failed) == "exit-code"
    until(lambda: us(0) > deadline, 5, "it has passed")
    (running.out / "go").touch()
    assert running.result(id_) == "success"
    running.call("RetryJob", failed, {})
    assert running.result(failed) == "exit-code"
    assert running.info(failed)["attempt"] == 2 and "deadline_usec" not in running.info(failed)


def test_an_expired_one_can_be_retried(running):
    id_ = running.submit("true", deadline_usec=us(0.2), hold=True)
    expired(running, id_)
    running.call("RetryJob", id_, {})
    assert running.result(id_) == "success"


@pytest.mark.parametrize("options, word", [
    (lambda: {"deadline_usec": us(-1)}, "has passed already"),
    (lambda: {"deadline_usec": us(5), "not_before_usec": us(6)}, "not_before_usec"),
    (lambda: {"deadline_usec": us(5), "delay_usec": 6000000}, "delay_usec"),
])
def test_refused(running, options, word):
    with pytest.raises(client.BusError) as e:
        running.submit("true", **options())
    assert e.value.short == "InvalidSpec" and "deadline_usec" in e.value.message and word in e.value.message
    # … and nothing of a batch is made
    with pytest.raises(client.BusError) as e:
        running.call("SubmitMany", [client.entry("default", ["true"]), client.entry("default", ["true"], **options())])
    assert "job 1" in e.value.message
    assert running.call("ListJobs", {}, "", 10)[0] == []


def test_changed(running):
    running.call("PauseQueue", "default")
    id_ = running.submit("true")
    other = running.submit("true", deadline_usec=us(60))
    with pytest.raises(client.BusError) as e:
        running.call("UpdateJob", id_, {"deadline_usec": us(-1)})
    assert e.value.short == "InvalidSpec"
    with pytest.raises(client.BusError) as e:
        running.call("UpdateJob", other, {"not_before_usec": us(61)})
    assert "deadline_usec" in e.value.message
    assert running.call("UpdateJobs", {"ids": [id_, other]}, {"deadline_usec": us(0.4)}) == 2
    expired(running, id_)
    expired(running, other)
    third = running.submit("true", deadline_usec=us(0.9))
    running.call("UpdateJob", third, {"deadline_usec": client.FOREVER})
    time.sleep(1)
    assert running.info(third)["state"] == "ready"


def test_while_the_daemon_is_away(running):
    id_ = running.submit("true", deadline_usec=us(0.3), hold=True)
    running.kill()
    time.sleep(0.4)
    running.start()
    expired(running, id_)


def test_the_clock_is_set(mill, clock):  # noqa: F811
    id_ = mill.submit("true", deadline_usec=clock.now() + HOUR * 10**6, hold=True)
    clock.step(-HOUR)
    clock.step(HOUR // 2)
    assert mill.info(id_)["state"] == "held"
    clock.step(2 * HOUR)
    expired(mill, id_)


def test_many_at_once(running):
    n = 600  # more than are looked at in one round
    deadline = us(2)
    ids = running.call("SubmitMany", [client.entry("default", ["true"], hold=True, deadline_usec=deadline) for _ in range(n)])
    for id_ in (ids[0], ids[-1]):
        expired(running, id_)
    assert running.call("CountJobs", {"result": "expired"}) == n


def test_by_the_tool(running):
    running.call("PauseQueue", "default")
    id_ = int(tool(running, "submit", "--deadline", "+1h", "true"))
    assert 3500 < running.info(id_)["deadline_usec"] / 1e6 - time.time() < 3700
    assert json.loads(tool(running, "show", "--json=short", id_))[0]["deadline_usec"] == running.info(id_)["deadline_usec"]
    assert "Start by" in tool(running, "show", id_)
    tool(running, "set", id_, "deadline=")
    assert "deadline_usec" not in running.info(id_)
    tool(running, "set", "--yes", "--queue=default", "deadline=+300ms")
    expired(running, id_)
