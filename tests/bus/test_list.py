# SPDX-License-Identifier: LGPL-2.1-or-later
"""ListJobs: filters, orders, fields, and pages that neither skip nor repeat."""

import os
import time

import pytest

import client

UID = os.geteuid()


@pytest.fixture
def stocked(mill):
    """12 jobs: three states, two queues, tags, priorities."""
    mill.queue("other", Slots=1, AllowUsers="*", Paused="yes")
    mill.start()
    mill.ok = mill.submit_many(["true"] * 3, name="good", tags={"kind": "a"})
    mill.bad = mill.submit_many(["exit 4"] * 3, name="bad", tags={"kind": "b", "x": "1"})
    mill.all_done(mill.ok + mill.bad)
    mill.held = mill.submit_many(["true"] * 3, hold=True, priority=5)
    mill.ready = [mill.submit("true", queue="other", priority=p) for p in (-1, 7, 0)]
    return mill


def ids(rows):
    return [r["id"] for r in rows]


def test_filters(stocked):
    m = stocked

    def found(**f):
        return set(ids(m.jobs(**f)))

    everything = set(range(1, 13))
    assert found() == everything
    assert found(ids=[2, 4, 999]) == {2, 4}
    assert found(state="held") == set(m.held)
    assert found(state=["held", "ready"]) == set(m.held + m.ready)
    assert found(state="done") == set(m.ok + m.bad)
    assert found(result="exit-code") == set(m.bad)
    assert found(result=["success", "exit-code"]) == set(m.ok + m.bad)
    assert found(dead=True) == set(m.bad)
    assert found(dead=False) == everything - set(m.bad)
    assert found(queue="other") == set(m.ready)
    assert found(queue=["other", "default"]) == everything
    assert found(name="good") == set(m.ok)
    assert found(tags={"kind": "b"}) == set(m.bad)
    assert found(tags={"kind": "b", "x": "1"}) == set(m.bad)
    assert found(tags={"kind": "a", "x": "1"}) == set()
    assert found(owner=UID) == everything
    assert found(owner=UID + 1) == set()
    assert found(owner=[UID, UID + 1]) == everything
    assert found(state="done", tags={"kind": "a"}, queue="default") == set(m.ok)
    for key in ("ids", "queue", "state", "result", "owner"):  # an empty list must not pass for "any"
        with pytest.raises(client.BusError, match="InvalidFilter"):
            found(**{key: []})


def test_filter_by_time(stocked):
    t = stocked.info(stocked.held[0])["submitted_usec"]
    assert set(ids(stocked.jobs(since_usec=t))) == set(stocked.held + stocked.ready)
    assert set(ids(stocked.jobs(until_usec=t))) == set(stocked.ok + stocked.bad)


def test_orders(stocked):
    m = stocked
    assert ids(m.jobs()) == list(range(12, 0, -1))
    assert ids(m.jobs(order="newest")) == list(range(12, 0, -1))
    assert ids(m.jobs(order="oldest")) == list(range(1, 13))
    low, high, middle = m.ready
    assert ids(m.jobs(order="rank", queue="other")) == [high, middle, low]
    rows = m.jobs(order="finished", state="done")
    times = [r["finished_usec"] for r in rows]
    assert len(rows) == 6 and times == sorted(times, reverse=True)


def test_fields(stocked):
    assert stocked.jobs(fields=["id", "state"], ids=[1]) == [{"id": 1, "state": "done"}]
    full = stocked.jobs(ids=[4])[0]
    assert full == stocked.info(4)
    assert full.items() >= {"id": 4, "name": "bad", "queue": "default", "owner": UID, "state": "done", "result": "exit-code",
                            "attempt": 1, "max_attempts": 1, "priority": 0, "slots": 1, "dead": True, "exit_status": 4,
                            "argv": ["/bin/sh", "-c", "exit 4"], "tags": {"kind": "b", "x": "1"},
                            "unit": "jobmill-job-4-1.service"}.items()
    waiting = stocked.jobs(ids=[stocked.ready[0]])[0]
    assert "paused" in waiting["reason"] and "other" in waiting["reason"]
    assert not {"started_usec", "finished_usec", "exit_status", "cpu_usec", "invocation_id"} & set(waiting)


@pytest.mark.parametrize("order", ["newest", "oldest", "rank", "finished"])
@pytest.mark.parametrize("limit", [1, 5, 12, 1000])
def test_pages(stocked, order, limit):
    f = {"state": "done"} if order == "finished" else {}
    whole = ids(stocked.jobs(order=order, **f))
    assert len(set(whole)) == len(whole) and whole
    assert ids(stocked.jobs(limit=limit, order=order, **f)) == whole


@pytest.mark.parametrize("order", ["newest", "oldest"])
def test_pages_while_jobs_come(running, order):
    running.submit_many(["true"] * 100, hold=True)
    seen, cursor = [], ""
    while True:
        page, cursor = running.call("ListJobs", {"order": order, "fields": ["id"]}, cursor, 7)
        seen += ids(page)
        if not cursor or len(seen) > 1000:
            break
        if len(seen) < 100:
            running.submit_many(["true"] * 3, hold=True)
    assert len(seen) == len(set(seen))
    assert set(range(1, 101)) <= set(seen)
    assert seen == sorted(seen, reverse=order == "newest")


def test_pages_while_jobs_go(running):
    running.submit_many(["true"] * 60, hold=True)
    seen, cursor = [], ""
    while True:
        page, cursor = running.call("ListJobs", {"order": "oldest", "state": "held"}, cursor, 10)
        seen += ids(page)
        if not cursor:
            break
        running.call("CancelJob", page[0]["id"])  # leaves the filter, behind the cursor
    assert seen == list(range(1, 61))


def test_limit_has_a_limit(running):
    running.call("SubmitMany", [client.entry("", ["/bin/true"], hold=True)] * 2500)
    page, cursor = running.call("ListJobs", {"fields": ["id"]}, "", 0)
    assert len(page) == 1000 and cursor
    page, _ = running.call("ListJobs", {"fields": ["id"]}, "", 2**32 - 1)
    assert len(page) == 1000
    before = time.monotonic()
    assert len(running.jobs(fields=["id"])) == 2500
    assert time.monotonic() - before < 10


def test_job_object(stocked, session_client):
    p = stocked.job_properties(4)
    assert p.items() >= {"Id": 4, "Queue": "default", "Owner": UID, "State": "done", "Result": "exit-code", "Attempt": 1,
                         "MaxAttempts": 1, "Priority": 0, "Slots": 1, "Unit": "jobmill-job-4-1.service", "ExitStatus": 4,
                         "ExitSignal": 0, "Dead": True, "IOReadBytes": client.FOREVER}.items()
    assert len(p["InvocationId"]) == 32
    assert not {"Name", "Argv", "Tags"} & set(p)
    p = stocked.job_properties(stocked.ready[1])
    assert p.items() >= {"State": "ready", "Result": "", "Attempt": 0, "Priority": 7, "Unit": "", "InvocationId": "",
                         "ExitStatus": -1, "StartedUSec": client.FOREVER, "FinishedUSec": client.FOREVER}.items()
    info, names = stocked.info(4), {"Id": "id", "SubmittedUSec": "submitted_usec", "StartedUSec": "started_usec",
                                    "FinishedUSec": "finished_usec", "RuntimeUSec": "runtime_usec", "CPUUSec": "cpu_usec"}
    p = stocked.job_properties(4)
    assert {k: p[k] for k in names} == {k: info[v] for k, v in names.items()}


def test_queue_object(stocked):
    assert {n for n, _ in stocked.call("ListQueues")} == {"default", "other"}
    assert dict(stocked.call("ListQueues"))["other"] == "/org/jobmill1/queue/other"
    p = stocked.queue_properties("other")
    assert p.items() >= {"Name": "other", "Slice": "jobmill-other.slice", "Slots": 1, "SlotsUsed": 0, "Ready": 3,
                         "Held": 0, "Paused": True, "Draining": False}.items()
    assert p["Reason"]
    p = stocked.queue_properties("default")
    assert p.items() >= {"Slots": 4, "Held": 3, "Ready": 0, "Dead": 3, "Paused": False, "Reason": ""}.items()


def test_statistics(stocked):
    s = stocked.stats()
    assert s.items() >= {"held": 3, "ready": 3, "waiting": 0, "done": 6, "dead": 3, "queues": 2, "strays": 0,
                         "systemd": "252.39-fake"}.items()
    assert s["store_bytes"] > 0 and s["version"]


def test_large_rows_make_short_pages(running):
    """More in one message than the bus takes would end the daemon's connection."""
    running.call("PauseQueue", "default")
    words = ["x" * 120_000] * 8
    ids = [running.submit("true", hold=True)] + [running.call("Submit", "", ["/bin/true", *words], {})[0] for _ in range(12)]
    rows, cursor, pages = [], "", []
    while True:
        page, cursor = running.call("ListJobs", {"order": "oldest"}, cursor, 0)
        rows += page
        pages.append(len(page))
        if not cursor:
            break
    assert [r["id"] for r in rows] == ids and len(rows[1]["argv"]) == 9
    assert max(pages) < len(ids) and 0 not in pages, pages
    assert len(running.call("ListJobs", {"fields": ["id"]}, "", 0)[0]) == len(ids), "what is small comes at once"


def test_many_edges_make_short_pages(running):
    """One page of a thousand such jobs would keep everybody waiting."""
    running.call("PauseQueue", "default")
    a = running.submit("true", array=3000)
    ids = running.call("SubmitMany", [client.entry("", ["true"], after=[(a, "end")])] * 33)
    rows, cursor, pages = [], "", []
    while True:
        page, cursor = running.call("ListJobs", {"order": "oldest", "ids": ids}, cursor, 0)
        rows += page
        pages.append(len(page))
        if not cursor:
            break
    assert [r["id"] for r in rows] == ids and {len(r["after"]) for r in rows} == {3000}
    assert max(pages) < 20 and 0 not in pages, pages
    page, _ = running.call("ListJobs", {"ids": ids, "fields": ["id", "reason"]}, "", 0)
    assert {r["reason"] for r in page} == {"after %d, %d and 2998 more" % (a, a + 1)} and len(page) == len(ids)


@pytest.mark.parametrize("key, values, most", [("queue", ["q"], 1000), ("state", ["held"], 1000), ("fields", ["id"], 1000),
                                               ("ids", [1], 100000), ("owner", [1], 100000)])
def test_lists_of_a_filter_have_an_end(running, key, values, most):
    running.call("ListJobs", {key: values * most}, "", 1)
    with pytest.raises(client.BusError) as e:
        running.call("ListJobs", {key: values * (most + 1)}, "", 1)
    assert e.value.short == "InvalidFilter" and "%s: the list has more than %d entries" % (key, most) in e.value.message


def test_tags_of_a_filter_have_an_end(running):
    running.call("ListJobs", {"tags": {"t%d" % i: "" for i in range(64)}}, "", 1)
    with pytest.raises(client.BusError) as e:
        running.call("ListJobs", {"tags": {"t%d" % i: "" for i in range(65)}}, "", 1)
    assert e.value.short == "InvalidFilter" and "tags: the list has more than 64 entries" in e.value.message
