# SPDX-License-Identifier: LGPL-2.1-or-later
"""docs/json.md says what the tool prints: every key, in that order, of that type, null only where it says so."""

import json
import os
import re
import time

import pytest

from tool import ROOT, tool

TYPES = {
    "integer": lambda v: type(v) is int,
    "number": lambda v: type(v) in (int, float),
    "string": lambda v: type(v) is str and v != "",
    "boolean": lambda v: type(v) is bool,
    "object": lambda v: type(v) is dict,
    "object of strings": lambda v: type(v) is dict and all(type(e) is str for e in v.values()),
    "object of integers": lambda v: type(v) is dict and all(type(e) is int for e in v.values()),
    "array": lambda v: type(v) is list,
    "array of integers": lambda v: type(v) is list and all(type(e) is int for e in v),
    "array of strings": lambda v: type(v) is list and all(type(e) is str for e in v),
    "array of objects": lambda v: type(v) is list and all(type(e) is dict for e in v),
}


def tables():
    """{heading: [(key, type, when null)]}"""
    found, heading = {}, ""
    for line in (ROOT / "docs/json.md").read_text().splitlines():
        if line.startswith("## "):
            heading = line[3:]
        elif heading and line.startswith("| `"):
            key, type_, _, null = (cell.strip() for cell in line.strip("|").split("|"))
            found.setdefault(heading, []).append((key.strip("`"), type_, null))
    return found


def check(heading, objects, exempt=()):
    rows = tables()[heading]
    assert objects
    for o in objects:
        assert [k for k in o if k not in exempt] == [k for k, _, _ in rows], heading
        for key, type_, null in rows:
            if o[key] is None:
                assert not null == "never", (heading, key)
            else:
                assert not null.startswith("always"), (heading, key)
                assert TYPES[type_](o[key]), (heading, key, type_, o[key])
    seen = {k for o in objects for k, v in o.items() if v is not None}
    return {k for k, _, null in rows if not null.startswith("always")} - seen


@pytest.fixture
def full(mill):
    """Jobs in which each key has a value somewhere, and no value somewhere else."""
    mill.queue("gpu", Slots=1, AllowUsers="*")
    mill.queue("open", AllowUsers="*", Paused="yes")
    (mill.folder / "config/jobs").mkdir()
    (mill.folder / "config/jobs/full.job").write_text(
        "[Job]\nVersion=1\nDescription=ü\nCommand=true\nQueue=open\nAccept=name\nPayloadRequired=a:string\nPayloadOptional=b\n"
        "AllowUsers=%d\nAllowGroups=root\n[Service]\nNice=3\n" % os.getuid())
    (mill.folder / "config/jobs/bad.job").write_text("[Job]\nCommand=\n")
    mill.start()
    mill.call("Submit", "", [], {"type": "full", "payload": b'{"a": ""}'})
    mill.rich = mill.submit("exit 4", name="ü", tags={"a": "b"}, cwd="/", timeout_usec=10**9, stop_timeout_usec=10**6,
                            properties=["Nice=4"], umask=0o27, freezable=True, keep_usec=10**12,
                            backoff="exponential", backoff_base_usec=10**6, backoff_max_usec=10**7, backoff_jitter=0.5, retry_on=["timeout"],
                            requeue_lost=True, memory_growth=1.5, output_file="/dev/null", error_file="/dev/null", priority=3)
    mill.result(mill.rich)
    mill.call("RetryJob", mill.rich, {})
    mill.result(mill.rich)
    mill.result(mill.submit("echo; echo '{\"success\": false}'", verify="verdict", unique_key="one", unique_scope="1h",
                            deadline_usec=int((time.time() + 3600) * 1e6)))
    mill.killed = mill.submit("kill -9 $$")
    mill.result(mill.killed)
    mill.result(mill.submit("true", credentials={"token": "s3cret"}))
    mill.live = mill.submit("sleep 60", queue="gpu")
    mill.reach(mill.live, "running")
    mill.submit("true", queue="gpu")
    mill.submit("true", queue="open")
    mill.submit("true", hold=True)
    mill.submit("true", queue="open", array=2, array_max_running=1)
    mill.submit("true", not_before_usec=int((time.time() + 3600) * 1e6))
    mill.call("SubmitFlow", json.dumps({"defaults": {"argv": ["true"], "queue": "open"}, "jobs": [{"name": "a"}, {"name": "b", "after": ["a"]}]}))
    yield mill
    mill.call("CancelJob", mill.live)


def test_document(full):
    jobs = json.loads(tool(full, "list", "-j"))
    # What only a real systemd measures, STATUS=, which these jobs do not send, and what only freezing makes.
    measured = {"cpu_usec", "memory_peak", "memory_peak_sampled", "memory_max", "io_read_bytes", "io_write_bytes", "tasks_peak", "status", "progress",
                "frozen", "frozen_usec", "flow_states", "causes"} | {"executor", "worker", "engine", "callback_url", "callback_events", "on_success", "on_failure"}  # test_worker.py, test_durable.py, test_callback.py
    assert check("Job", jobs) - measured == set(), "keys that no job had"
    shown = json.loads(tool(full, "show", "-j", *[j["id"] for j in jobs]))
    assert [{k: v for k, v in j.items() if k != "attempts"} for j in shown if j["state"] == "done"] == \
           [j for j in jobs if j["state"] == "done"]
    check("Job", shown, exempt=["attempts"])
    assert check("Attempt", [a for j in shown for a in j["attempts"]]) - measured <= {"reason"}
    assert [len(j["attempts"]) for j in shown if j["id"] == full.rich] == [2]
    waited = json.loads(tool(full, "wait", "-j", full.rich, full.killed, check=False).stdout)
    assert waited == [next(j for j in jobs if j["id"] == i) for i in (full.rich, full.killed)]
    queues = json.loads(tool(full, "queue", "list", "-j"))
    assert check("Queue", queues) == set()
    assert json.loads(tool(full, "queue", "show", "-j", "open")) == [q for q in queues if q["name"] == "open"]
    types = json.loads(tool(full, "type", "list", "-j"))
    assert check("Job type", types) == set()
    assert json.loads(tool(full, "type", "show", "-j", "full")) == types[1:]
    check("Statistics", [json.loads(tool(full, "stats", "-j"))])
    history = json.loads(tool(full, "history", "-j"))
    assert check("Job", history) and ["exit-code"] * 2 in [j["causes"] for j in history]
    check("Report", json.loads(tool(full, "report", "-j", "--by=owner,day,hour,minute,type,queue")))
    overview = json.loads(tool(full, "-j"))
    check("Overview", [overview])
    check("Statistics", [overview["statistics"]])
    check("Queue", overview["queues"])
    for section in ("running", "next", "failed"):
        check("Job", overview[section])


def test_counts(full):
    for argv in (["hold", "--state", "ready"], ["release", "--state", "held"], ["cancel", "--state", "waiting"], ["purge", "--dead"]):
        o = json.loads(tool(full, *argv, "-j"))
        check("Count", [o])
        assert o["count"] > 0, argv


def test_short_and_pretty(full):
    for argv in (["list"], ["show", "1"], ["queue", "list"], ["stats"], []):
        short, pretty = (tool(full, *argv, "--json=" + mode) for mode in ("short", "pretty"))
        assert short.count("\n") == 1 and pretty.count("\n") > 5
        assert json.loads(short).__class__ == json.loads(pretty).__class__
        assert tool(full, *argv, "--json=off")[0] not in "[{"
    assert tool(full, "list", "-j", "--name", "nobody") == "[]\n"


@pytest.mark.root
def test_of_others(full, remotes):
    """What the document calls private, no more and no less."""
    text = (ROOT / "docs/json.md").read_text()
    private = set(re.findall(r"`(\w+)`", re.search(r"alone should know is `null`: (.*?)\.\n", text, re.S)[1]))
    info = remotes("daemon").call("GetJobInfo", full.rich)
    mine = full.info(full.rich)
    assert set(mine) - set(info) == private & set(mine) and set(mine) & private >= {"name", "argv", "cwd", "tags", "properties"}
