# SPDX-License-Identifier: LGPL-2.1-or-later
"""Accounts: GetReport over both ways in, `report` and `history`, against a count of the rows."""

import csv
import io
import json
import os
import random
import sqlite3

import pytest

import client
import varlink
from conftest import until
from tool import tool

UID = os.geteuid()
SUMS = ("submitted", "jobs", "failed", "cancelled", "attempts", "started", "wait_usec", "runtime_usec", "slot_usec", "measured")


def report(mill, by="", **filter_):
    return mill.call("GetReport", filter_, by)


def naive(mill, key):
    """The same from rows: {group: {sum: …}}."""
    found = {}
    for j in mill.jobs():
        row = found.setdefault(key(j), dict.fromkeys(SUMS, 0))
        row["submitted"] += 1
        row["jobs"] += j["state"] == "done"
        row["cancelled"] += j.get("result") == "cancelled"
        row["failed"] += j.get("result", "success") not in ("success", "cancelled")
        row["wait_usec"] += j.get("wait_usec", 0)
        for a in mill.call("ListAttempts", j["id"]):
            if "result" not in a:
                continue
            row["attempts"] += 1
            row["started"] += "started_usec" in a
            row["measured"] += "cpu_usec" in a
            row["runtime_usec"] += a.get("runtime_usec", 0)
            row["slot_usec"] += a.get("runtime_usec", 0) * j["slots"]
    return found


@pytest.fixture
def worked(mill):
    """Random work that is over, but for some jobs that are held."""
    chance = random.Random(5)
    for q in ("a", "b"):
        mill.queue(q, Slots=6, AllowUsers="*")
    mill.listen()
    mill.start()
    ids = []
    for i in range(4):
        ids += mill.submit_many([chance.choice(("true", "exit 3", "kill $$", "true")) for _ in range(5)], queue="ab"[i % 2],
                                slots=chance.randint(1, 3))
        held = mill.submit("true", queue="a", hold=True)
        if chance.random() < 0.7:
            mill.call("CancelJob", held)
    mill.all_done(ids)
    mill.restart()  # the accounts are in the store
    return mill


def test_agrees_with_rows(worked):
    mill = worked
    rows = report(mill, "queue")
    assert [r["queue"] for r in rows] == ["a", "b"]
    wanted = naive(mill, lambda j: j["queue"])
    assert {r["queue"]: {k: r[k] for k in SUMS} for r in rows} == wanted
    total = naive(mill, lambda j: "")[""]
    for by in ("", "owner", "day", "type", "queue,owner", "minute,queue", "hour"):
        rows = report(mill, by)
        assert {k: sum(r[k] for r in rows) for k in SUMS} == total, by
    assert report(mill, "owner")[0]["owner"] == UID
    with mill.connect() as c:
        assert c.call("org.jobmill.Report", filter={"queue": ["a"]}, group_by="queue")["rows"] == report(mill, "queue", queue="a")
    # They outlive what they were made of, and a day without anything has no rows.
    before = report(mill, "queue")
    mill.call("PurgeJobs", {"state": "done"})
    assert report(mill, "queue") == before
    assert report(mill, "queue", until_usec=10**15) == []


def test_what_is_refused(worked):
    for filter_, by in (({"state": "done"}, ""), ({"ids": [1]}, ""), ({"quee": "a"}, ""), ({}, "queue,colour"), ({}, "queue;drop")):
        with pytest.raises(client.BusError, match="InvalidFilter"):
            worked.call("GetReport", filter_, by)
    with worked.connect() as c:
        with pytest.raises(varlink.VarlinkError, match="InvalidFilter"):
            c.call("org.jobmill.Report", filter={"order": "oldest"})


@pytest.mark.root
def test_own_rows_alone(worked, polkit, remotes):
    daemon = remotes("daemon")
    worked.queue("a", Slots=6, AllowUsers="* daemon")
    worked.call("Reload")
    worked.all_done([daemon.call("Submit", "a", ["/bin/sh", "-c", "true"], {})[0]])
    rows = daemon.call("GetReport", {}, "owner")
    assert [(r["owner"], r["submitted"]) for r in rows] == [(daemon.uid, 1)]
    assert daemon.call("GetReport", {"owner": daemon.uid}, "owner") == rows
    with pytest.raises(client.BusError, match="AccessDenied|InteractiveAuthorization"):
        daemon.call("GetReport", {"owner": [0]}, "owner")
    polkit.do("mode", mode="allow")
    assert len(daemon.call("GetReport", {}, "owner")) == 2


def test_tool(worked):
    mill = worked
    retried = mill.submit("[ $JOBMILL_ATTEMPT = 2 ]", name='a, "b"', max_attempts=2, backoff_base_usec=1000)
    assert mill.result(retried) == "success"
    rows = json.loads(tool(mill, "report", "-j"))
    assert [(r["queue"], r["jobs"]) for r in rows] == [(r["queue"], r["jobs"]) for r in report(mill, "queue")]
    table = tool(mill, "report", "--by=queue,owner").splitlines()
    assert table[0].split()[:3] == ["QUEUE", "OWNER", "SUBMITTED"] and len(table) == 4
    text = list(csv.DictReader(io.StringIO(tool(mill, "report", "--by=total", "--csv"))))
    assert [int(r["jobs"]) for r in text] == [sum(r["jobs"] for r in rows)]
    assert "Nothing" in tool(mill, "report", "--until", "@1000000000", check=False).stderr

    newest = json.loads(tool(mill, "history", "-j", "-n", "1"))[0]
    assert (newest["id"], newest["causes"]) == (retried, ["exit-code", "success"])
    shown = tool(mill, "history").splitlines()
    assert "CAUSES" in shown[0] and "exit-code success" in shown[1]
    lines = list(csv.DictReader(io.StringIO(tool(mill, "history", "--csv"))))
    done = mill.jobs(state="done", order="finished")
    assert [int(l["id"]) for l in lines] == [j["id"] for j in done]
    assert (lines[0]["name"], lines[0]["causes"], lines[0]["finished_usec"]) == ('a, "b"', "exit-code success", str(done[0]["finished_usec"]))
    assert tool(mill, "history", "--csv", "-j", check=False).returncode == 1


def test_folded(worked):
    """Minutes that are old are known by the hour or the day, in the daemon that is started then."""
    mill = worked
    before = report(mill, "queue")
    mill.stop()
    db = sqlite3.connect(mill.folder / "state/jobmill.db")
    db.execute("UPDATE usage SET begin_usec = begin_usec - 100 * 86400000000")
    db.commit()
    db.close()
    mill.start()
    until(lambda: mill.call("GetReport", {}, "minute,queue") and len(report(mill, "minute")) == 1, 10)
    assert report(mill, "queue") == before
