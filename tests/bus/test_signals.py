# SPDX-License-Identifier: LGPL-2.1-or-later
"""Signals: only while somebody is subscribed, once each, in order, never before what they tell is stored."""

import pytest

import client
from conftest import until


@pytest.fixture
def listener(address):
    c = client.Client(address)
    yield c
    c.close()


def collect(listener, id_, last="JobFinished"):
    until(lambda: any(s[:2] == (last, id_) for s in listener.signals), 10, last, pump=listener.pump)
    listener.pump(0.1)
    return [s for s in listener.signals if s[1] == id_]


def test_silent_without_subscribers(running, listener):
    running.result(running.submit("true"))
    running.call("PauseQueue", "default")
    listener.pump(0.1)
    assert listener.signals == []


def test_life_of_a_job(running, listener):
    listener.call("Subscribe")
    id_ = running.submit("exit 3")
    got = collect(listener, id_)
    assert got[0] == ("JobNew", id_)
    assert got[-1] == ("JobFinished", id_, 1, "exit-code")
    states = [s[2] for s in got if s[0] == "JobChanged"]
    assert states == [s for s in ("ready", "starting", "running", "done") if s in states]  # in order, none twice
    assert "starting" in states
    assert len([s for s in got if s[0] == "JobFinished"]) == 1


def test_told_means_stored(running, listener):
    listener.call("Subscribe")
    running.submit("exit 3")
    collect(listener, 1)
    running.kill()
    running.start()
    assert running.info(1)["result"] == "exit-code"


def test_held_cancelled_retried(running, listener):
    listener.call("Subscribe")
    id_ = running.submit("true", hold=True)
    running.call("CancelJob", id_)
    got = collect(listener, id_)
    assert ("JobFinished", id_, 0, "cancelled") in got
    listener.signals.clear()
    running.call("RetryJob", id_, {})
    got = collect(listener, id_)
    assert got[-1] == ("JobFinished", id_, 1, "success")
    assert not any(s[0] == "JobNew" for s in got)


def test_queue_changed(running, listener):
    listener.call("Subscribe")
    running.call("PauseQueue", "default")
    until(lambda: ("QueueChanged", "default") in listener.signals, 5, pump=listener.pump)
    listener.signals.clear()
    running.submit("true")
    listener.pump(0.1)
    assert not any(s[0] == "QueueChanged" for s in listener.signals)  # its counters are no change


def test_unsubscribe(running, listener):
    listener.call("Subscribe")
    listener.call("Unsubscribe")
    running.result(running.submit("true"))
    listener.pump(0.1)
    assert listener.signals == []


def test_subscription_ends_with_the_connection(running, listener, address):
    other = client.Client(address)
    other.call("Subscribe")
    other.close()
    listener.pump(0.1)
    running.result(running.submit("true"))
    listener.pump(0.1)
    assert listener.signals == []


def test_hundred_jobs_each_told_once(running, listener):
    listener.call("Subscribe")
    ids = running.submit_many(["true"] * 100)
    running.all_done(ids)
    until(lambda: sum(s[0] == "JobFinished" for s in listener.signals) >= 100, 10, pump=listener.pump)
    listener.pump(0.1)
    for member in ("JobNew", "JobFinished"):
        assert sorted(s[1] for s in listener.signals if s[0] == member) == ids
