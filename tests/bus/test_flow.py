# SPDX-License-Identifier: LGPL-2.1-or-later
"""Jobs that wait for others, and flows of them: what is released when, what can never start, what is handed on, and that none of it is
lost."""

import json
import os
import signal
import stat
import time

import pytest

import client
from conftest import until
from test_clock import HOUR, clock  # noqa: F401 (a fixture)
from test_retention import known
from tool import tool


def sh(command):
    return ["/bin/sh", "-c", command]


def job(name, command="true", after=(), **more):
    return {"name": name, "argv": sh(command), "after": list(after), **more}


def edge(before, on="success", otherwise="fail"):
    return {"job": before, "on": on, "otherwise": otherwise}


def flow(mill, *jobs, **more):
    return mill.call("SubmitFlow", json.dumps({"jobs": list(jobs), **more}))


def states(mill, ids):
    return {n: mill.info(i)["result"] if mill.state(i) == "done" else mill.state(i) for n, i in ids.items()}


def settled(mill, ids):
    for i in ids.values():
        mill.wait(i)
    return states(mill, ids)


# ---- single jobs ----

def test_after_a_job(running):
    a = running.submit("exec sleep 100")
    b = running.submit("true", after=[(a, "success")])
    c = running.submit("true", after=[(a, "success"), (b, "end")])
    d = running.submit("true", after=[(a, "success"), (b, "end"), (c, "end")])
    assert [running.state(i) for i in (b, c, d)] == ["waiting"] * 3
    assert running.info(b)["reason"] == "after %d" % a
    assert running.info(c)["reason"] == "after %d and %d" % (a, b)
    assert running.info(d)["reason"] == "after %d, %d and 1 more" % (a, b)
    assert [list(x) for x in running.info(c)["after"]] == [[a, "success"], [b, "end"]]
    running.reach(a, "running")
    running.call("KillJob", a, signal.SIGTERM)
    assert running.result(a) == "signal"
    assert (running.result(b), running.result(c), running.result(d)) == ("dependency", "dependency", "dependency")
    assert running.info(b)["reason"] == "job %d ended as signal" % a
    assert running.info(b)["dead"] and running.info(b)["attempt"] == 0


@pytest.mark.parametrize("command, on, result", [
    ("true", "success", "success"), ("exit 3", "success", "dependency"), ("true", "failure", "dependency"),
    ("exit 3", "failure", "success"), ("true", "end", "success"), ("exit 3", "end", "success"),
])
def test_conditions_while_it_runs_and_when_it_is_done(running, command, on, result):
    a = running.submit("while [ ! -e %s/go ]; do sleep 0.01; done; %s" % (running.out, command))
    before = running.submit("true", after=[(a, on)])
    (running.out / "go").touch()
    running.wait(a)
    later = running.submit("true", after=[(a, on)])
    assert (running.result(before), running.result(later)) == (result, result)


def test_held_and_delayed(running):
    a = running.submit("true", hold=True)
    held = running.submit("true", after=[(a, "success")], hold=True)
    later = running.submit("true", after=[(a, "success")], delay_usec=600_000)
    running.call("ReleaseJob", held)
    assert running.state(held) == "waiting"
    running.call("HoldJob", held)
    running.call("ReleaseJob", a)
    assert running.result(a) == "success"
    assert running.state(held) == "held"
    assert running.info(later)["reason"] != "after %d" % a
    running.call("ReleaseJob", held)
    assert running.result(held) == "success"
    assert running.result(later) == "success"


@pytest.mark.parametrize("how", ["bus", "tool", "file"])
def test_otherwise_of_plain_edges(running, how):
    """What a document says of an edge in two words is one everywhere else, and is told so."""
    bad, slow = (running.submit("exit 1", hold=True) for _ in range(2))

    def submit(*after):
        if how == "bus":
            return running.submit("true", after=after)
        if how == "tool":
            return int(tool(running, "submit", *("--after=%d:%s" % a for a in after), "true"))
        (running.out / "line").write_text(json.dumps({"argv": ["/bin/true"], "after": after}))
        return int(tool(running, "submit", "--file", running.out / "line"))
    goes_on = submit((bad, "success:continue"), (slow, "success"))
    ignores = submit((bad, "success:ignore"), (slow, "failure:fail"))
    assert [list(e) for e in running.info(goes_on)["after"]] == [[bad, "success:continue"], [slow, "success"]]
    assert json.loads(tool(running, "show", ignores, "--json=short"))[0]["after"] == [[bad, "success:ignore"], [slow, "failure"]]
    assert "After: %d:success:ignore %d:failure\n" % (bad, slow) in tool(running, "show", ignores)
    assert "  waiting (after %d and %d), on success:ignore, and after %d:failure\n" % (bad, slow, slow) in tool(running, "show", "--tree", bad)
    running.call("ReleaseJob", bad)
    assert running.result(goes_on) == "success"
    assert running.state(ignores) == "waiting"
    running.call("ReleaseJob", slow)
    assert running.result(ignores) == "success"


def test_what_is_held_ends_too(running):
    a = running.submit("true", hold=True)
    b = running.submit("true", after=[(a, "success")], hold=True)
    running.call("CancelJob", a)
    assert running.result(b) == "dependency"
    assert running.info(b)["reason"] == "job %d ended as cancelled" % a


def test_batches_and_requests_wait_too(running):
    a = running.submit("true", hold=True)
    ids = running.call("SubmitMany", [client.entry("", sh("true"), after=[(a, "end")]) for _ in range(3)])
    assert {running.state(i) for i in ids} == {"waiting"}
    running.call("CancelJob", a)
    assert {running.result(i) for i in ids} == {"success"}


def test_after_a_whole_array(running):
    out = running.submit("[ $JOBMILL_ARRAY_INDEX != 2 ]", array=4, hold=True)
    all_ok, any_end = (running.submit("cat $JOBMILL_INPUTS > %s/$JOBMILL_JOB_ID" % running.out, after=[(out, on)]) for on in ("success", "end"))
    one = running.submit("true", after=[(out + 1, "success")])
    assert [e[0] for e in running.info(any_end)["after"]] == [out + i for i in range(4)]
    running.call("ReleaseJobs", {"ids": [out + i for i in range(4)]})
    assert (running.result(one), running.result(all_ok), running.result(any_end)) == ("success", "dependency", "success")
    inputs = json.loads((running.out / str(any_end)).read_text())
    assert [i["result"] for i in inputs] == ["success", "success", "exit-code", "success"]


@pytest.mark.parametrize("purged", [[1], [0], [0, 1]])
def test_after_an_array_of_which_some_are_purged(running, purged):
    out = running.submit("true", array=3)
    running.all_done([out + i for i in range(3)])
    running.call("PurgeJobs", {"ids": [out + i for i in purged]})
    after = running.submit("cat $JOBMILL_INPUTS > %s/inputs" % running.out, after=[(out, "success")])
    assert running.result(after) == "success"
    there = [out + i for i in range(3) if i not in purged]
    assert [i["id"] for i in json.loads((running.out / "inputs").read_text())] == there
    running.call("PurgeJobs", {"ids": [after, *there]})
    with pytest.raises(client.BusError) as e:
        running.submit("true", after=[(out, "success")])
    assert e.value.short == "NoSuchJob"


@pytest.mark.parametrize("after, error, word", [
    ([(99, "success")], "NoSuchJob", "99"),
    ([(2**62, "end")], "NoSuchJob", str(2**62)),  # what places of a flow look like inside
    ([(1, "win")], "InvalidSpec", "success, failure, end"),
    ([(1, "success:win")], "InvalidSpec", "the condition of job 1 is none of"),
    ([(0, "end")], "InvalidSpec", "no id"),
    ([(1, "end"), (1, "success")], "InvalidSpec", "twice"),
])
def test_refused_edges(running, after, error, word):
    running.submit("true", hold=True)
    with pytest.raises(client.BusError) as e:
        running.submit("true", after=after)
    assert e.value.short == error and word in e.value.message


def test_many_keep_no_other_waiting(running):
    """So many that it takes several turns to decide about them, and one that came after another job, which ended in the same turn."""
    crowded, other = (running.submit("true", hold=True) for _ in range(2))
    crowd = running.submit("true", array=3000, after=[(crowded, "success")])
    one = running.submit("true", after=[(other, "success")])
    running.call("CancelJobs", {"ids": [crowded, other]})
    assert running.result(one) == running.result(crowd + 2999) == "dependency"
    assert running.info(one)["finished_usec"] < running.info(crowd + 2999)["finished_usec"]


@pytest.mark.root
def test_only_jobs_that_one_may_read(mill, remotes):
    mill.queue("default", Slots=4, AllowUsers="root daemon")
    running = mill.start()
    mine = running.submit("true", hold=True)
    other = remotes("daemon")
    theirs = other.call("Submit", "default", ["/bin/true"], {"after": [[other.call("Submit", "default", ["/bin/true"], {})[0], "end"]]})[0]
    assert running.result(theirs) == "success"
    with pytest.raises(client.BusError) as e:
        other.call("Submit", "default", ["/bin/true"], {"after": [[mine, "end"]]})
    assert e.value.short == "NotAllowed" and str(mine) in e.value.message
    with pytest.raises(client.BusError) as e:
        other.call("SubmitFlow", json.dumps({"jobs": [job("a"), job("b", after=[mine])]}))
    assert e.value.short == "NotAllowed" and "job 'b'" in e.value.message


# ---- flows ----

def test_a_flow(running):
    number, ids = flow(running, job("report", "exit 1", ["test", edge("lint", "end")]), job("test", after=["build"]), job("build"),
                       job("lint", "exit 2"), job("never", after=["report"]), job("mend", after=[edge("report", "failure")]))
    assert settled(running, ids) == {"build": "success", "lint": "exit-code", "test": "success", "report": "exit-code",
                                     "never": "dependency", "mend": "success"}
    info = {n: running.info(i) for n, i in ids.items()}
    assert {i["flow"] for i in info.values()} == {number} and all(info[n]["name"] == n for n in ids)
    assert ids["build"] < ids["test"] < ids["report"] < ids["never"]
    assert info["build"]["finished_usec"] <= info["test"]["started_usec"]
    with pytest.raises(client.BusError):
        running.info(number)


def test_otherwise(running):
    go = running.out / "go"
    _, ids = flow(running, job("bad", "exit 1"), job("slow", "while [ ! -e %s ]; do sleep 0.01; done" % go),
                  job("fail", after=["bad", "slow"]), job("ignore", after=[edge("bad", otherwise="ignore"), "slow"]),
                  job("continue", after=[edge("bad", otherwise="continue"), "slow"]))
    assert running.result(ids["bad"]) == "exit-code"
    assert running.result(ids["continue"]) == "success"
    assert running.result(ids["fail"]) == "dependency"
    assert running.state(ids["slow"]) == "running" and running.state(ids["ignore"]) == "waiting"
    assert running.info(ids["ignore"])["reason"] == "after %d" % ids["slow"]
    go.touch()
    assert running.result(ids["ignore"]) == "success"


def refused_flow(mill, error, *words, **document):
    before = mill.call("ListJobs", {}, "", 0)[0]
    with pytest.raises(client.BusError) as e:
        mill.call("SubmitFlow", json.dumps(document))
    assert e.value.short == error and all(w in e.value.message for w in words), e.value
    assert mill.call("ListJobs", {}, "", 0)[0] == before


def test_documents_that_are_refused(running):
    refused_flow(running, "CycleInFlow", "a → b → c → a", jobs=[job("a", after=["c"]), job("b", after=["a"]), job("c", after=["b"])])
    refused_flow(running, "InvalidSpec", "no job 'x'", jobs=[job("a", after=["x"])])
    refused_flow(running, "InvalidSpec", "same name 'a'", jobs=[job("a"), job("a")])
    refused_flow(running, "InvalidSpec", "job 'b'", "slots", jobs=[job("a"), job("b", slots=0)])
    refused_flow(running, "InvalidSpec", "job 'b'", "argv", jobs=[job("a"), {"name": "b"}])
    refused_flow(running, "NoSuchQueue", "job 'b'", "'nope'", jobs=[job("a"), job("b", queue="nope")])
    refused_flow(running, "NoSuchJob", "job 'b'", "4711", jobs=[job("a"), job("b", after=[4711])])
    refused_flow(running, "InvalidSpec", "unknown key", jobs=[job("a")], jbos=[])


def test_max_queued_and_drain_hold_for_all_of_it(mill):
    mill.queue("small", MaxQueued=3, AllowUsers="*", Slots=1)
    mill.start()
    mill.call("PauseQueue", "small")
    four = [job(str(i), queue="small", after=[str(i - 1)] if i else []) for i in range(4)]
    refused_flow(mill, "QueueFull", "job '3'", jobs=four)
    _, ids = flow(mill, *four[:3])
    refused_flow(mill, "QueueFull", "job '0'", jobs=four[:1])
    mill.call("ResumeQueue", "small")
    assert set(settled(mill, ids).values()) == {"success"}
    mill.call("DrainQueue", "small")
    refused_flow(mill, "QueueDraining", "job 'x'", jobs=[job("y"), job("x", queue="small")])


def test_the_same_request_is_the_same_flow(running):
    jobs = [job("a"), job("b", after=["a", edge("c", "end")]), job("c")]
    answer = flow(running, *jobs, request_id="r")
    assert flow(running, *jobs, request_id="r") == answer
    running.kill()
    running.start()
    assert flow(running, *jobs, request_id="r") == answer
    assert len(running.call("ListJobs", {"flow": answer[0]}, "", 0)[0]) == 3
    jobs[1]["after"][1]["otherwise"] = "ignore"
    with pytest.raises(client.BusError) as e:
        flow(running, *jobs, request_id="r")
    assert "another request" in e.value.message


def test_lists(running):
    running.call("PauseQueue", "default")
    outside = running.submit("true")
    number, ids = flow(running, job("a"), job("b", after=["a"]), job("c", after=["b"]), job("d"))
    behind = running.submit("true", after=[(ids["b"], "end")])

    def listed(**f):
        return {int(j["id"]) for j in running.call("ListJobs", f, "", 0)[0]}
    assert listed(flow=number) == set(ids.values())
    assert listed(flow=ids["b"]) == {ids["b"], ids["c"], behind}
    assert listed(flow=ids["b"], state="waiting", order="oldest") == {ids["b"], ids["c"], behind}
    assert listed(flow=outside) == {outside}
    assert listed(flow=9999) == set()
    assert running.call("CountJobs", {"flow": number}) == 4


def test_collapsed(running):
    running.call("PauseQueue", "default")
    alone = running.submit("true")
    flows = [flow(running, job("a"), job("b", after=["a"]), job("c", after=["b"], tags={"k": str(i)})) for i in range(3)]
    running.call("CancelJob", flows[1][1]["a"])
    last = running.submit("true")

    def listed(order, **f):
        return [(int(j["id"]), {str(k): int(v) for k, v in j["flow_states"].items()} if "flow_states" in j else None)
                for j in running.jobs(limit=2, collapse=True, order=order, **f)]
    waiting, over = {"ready": 1, "waiting": 2}, {"done": 3, "dead": 3}
    assert listed("newest") == [(last, None), *((ids["c"], over if i == 1 else waiting) for i, (_, ids) in reversed(list(enumerate(flows)))), (alone, None)]
    assert listed("oldest") == [(alone, None), *((ids["a"], over if i == 1 else waiting) for i, (_, ids) in enumerate(flows)), (last, None)]
    assert listed("newest", state="waiting") == [(flows[2][1]["c"], waiting), (flows[0][1]["c"], waiting)]
    assert listed("newest", flow=flows[0][0]) == [(flows[0][1]["c"], waiting)]
    assert all("flow_states" not in j for j in running.jobs())
    lines = tool(running, "list", "--collapse", "--no-legend").splitlines()
    assert len(lines) == 5 and "1 ready, 2 waiting" in lines[1] and "3 done, 3 dead" in lines[2] or "2 waiting, 1 ready" in lines[1]


def test_arrays_in_a_flow(running):
    """An edge to one means all of it, and one from it is one of each of its jobs."""
    inputs = "cp $JOBMILL_INPUTS %s/$JOBMILL_NAME.$JOBMILL_ARRAY_INDEX" % running.out
    number, ids = flow(running, job("join", inputs, [edge("each", "end")]), job("first"), job("fail", after=["each"]),
                       job("each", inputs + "; [ $JOBMILL_ARRAY_INDEX != 1 ]", ["first"], array=3, array_max_running=2), job("then", after=["pair"]),
                       job("pair", after=[edge("each", "end")], array=2))
    each = [ids["each"] + i for i in range(3)]
    assert [e[0] for e in running.info(ids["join"])["after"]] == each
    assert settled(running, ids) == {"first": "success", "each": "success", "join": "success", "fail": "dependency", "pair": "success", "then": "success"}
    assert [running.result(i) for i in each] == ["success", "exit-code", "success"]
    assert [(i["id"], i["success"]) for i in json.loads((running.out / "join.").read_text())] == list(zip(each, (True, False, True)))
    assert [i["id"] for i in json.loads((running.out / "each.2").read_text())] == [ids["first"]]
    found = running.jobs(flow=number)
    assert len(found) == 9 and {j["flow"] for j in found} == {number}
    assert {j["array"]: j["array_size"] for j in found if "array" in j} == {ids["each"]: 3, ids["pair"]: 2}
    # From the array on: its id means all of it.
    assert {j["id"] for j in running.jobs(flow=ids["each"])} == {j["id"] for j in found} - {ids["first"]}
    assert running.call("RetryJobs", {"flow": ids["each"]}, {}) == 2
    assert running.result(ids["fail"]) == "dependency" and running.info(each[1])["attempt"] == 2


def test_cancel_a_flow_with_arrays(running):
    number, ids = flow(running, job("a", hold=True), job("b", after=["a"], array=3), job("c", after=[edge("b", "end")], array=2))
    assert running.call("CancelJobs", {"flow": ids["b"]}) == 5
    assert states(running, ids) == {"a": "held", "b": "cancelled", "c": "cancelled"}
    assert running.call("RetryJobs", {"flow": number}, {}) == 5
    assert running.info(ids["c"] + 1)["reason"] == "after %d, %d and 1 more" % (ids["b"], ids["b"] + 1)
    assert running.call("CancelJobs", {"flow": number}) == 6


def test_arrays_of_a_flow_are_bounded(running):
    with pytest.raises(client.BusError) as e:
        flow(running, job("a", array=1000), job("b", after=["a"], array=101))
    assert e.value.short == "TooMany" and "101000 times" in e.value.message
    with pytest.raises(client.BusError) as e:
        flow(running, job("a", array=9000), job("b", array=1001), job("c", after=["a", "b"]))
    assert e.value.short == "InvalidSpec" and "job 'c': 'after': more than 10000 jobs" in e.value.message
    assert running.jobs() == []


# ---- flows whose jobs may be there already ----

def key(k, policy="return", **more):
    return {"unique_key": k, "unique_policy": policy, **more}


def test_a_job_that_is_there_already(running):
    there = running.submit("exit 3", hold=True, **key("k"))
    number, ids = flow(running, job("build", after=["before"], **key("k")), job("before", hold=True),
                       job("use", "cat $JOBMILL_INPUTS > %s/inputs" % running.out, ["build", edge("other", "end")], ), job("other"), job("again", after=["build"], **key("new")),
                       job("same", after=["again"], **key("new")), job("last", after=[edge("same", "failure"), edge("again", "failure"), edge("build", "end")]))
    assert ids["build"] == there and ids["same"] == ids["again"]
    info = running.info(there)
    assert "flow" not in info and "after" not in info
    assert {j["id"] for j in running.jobs(flow=number)} == {ids[n] for n in ("before", "use", "other", "again", "last")}
    assert [list(e) for e in running.info(ids["last"])["after"]] == [[there, "end"], [ids["again"], "failure"]]
    running.call("ReleaseJob", there)
    assert running.result(ids["use"]) == running.result(ids["again"]) == "dependency"
    assert running.info(ids["use"])["reason"] == "job %d ended as exit-code" % there
    assert running.result(ids["last"]) == "success"


def test_a_job_that_is_done_and_keeps_its_key(running):
    there = running.submit("exit 3", **key("k", unique_scope="1h"))
    running.wait(there)
    for on, result in (("success", "dependency"), ("end", "success")):
        _, ids = flow(running, job("a", **key("k")), job("b", after=[edge("a", on)]))
        assert ids["a"] == there and running.result(ids["b"]) == result
    with pytest.raises(client.BusError) as e:
        flow(running, job("a", **key("k")), job("b", **key("k")), job("c", after=["a", edge("b", "end")]))
    assert e.value.short == "InvalidSpec" and "job 'c': after: two of the jobs are the same one" in e.value.message
    with pytest.raises(client.BusError) as e:
        flow(running, job("a", **key("k", "reject")))
    assert e.value.short == "NotUnique" and "job 'a'" in e.value.message


def test_a_flow_of_which_all_is_there(running):
    there = running.submit("true", hold=True, **key("k"))
    document = {"jobs": [job("a", **key("k"))], "request_id": "r"}
    answer = running.call("SubmitFlow", json.dumps(document))
    assert list(answer[1].items()) == [("a", there)] and answer[0] != there
    running.restart()
    assert running.call("SubmitFlow", json.dumps(document)) == answer
    assert running.jobs(flow=int(answer[0])) == []
    assert running.submit("true") > answer[0]


def test_a_job_of_a_flow_takes_a_place(running):
    there = running.submit("true", hold=True, unique_key="k")
    _, ids = flow(running, job("a", hold=True, **key("k", "replace")), job("b", after=[edge("a", "end")]))
    assert running.info(there)["reason"] == "replaced by job %d" % ids["a"]
    assert states(running, ids) == {"a": "held", "b": "waiting"}


def test_cancel_a_flow(running):
    number, ids = flow(running, job("a", hold=True), job("b", after=[edge("a", "end")]), job("c", after=[edge("b", "end")]), job("d", hold=True))
    assert running.call("CancelJobs", {"flow": ids["b"]}) == 2
    assert states(running, ids) == {"a": "held", "b": "cancelled", "c": "cancelled", "d": "held"}
    assert running.call("CancelJobs", {"flow": number}) == 2
    assert set(states(running, ids).values()) == {"cancelled"}
    assert {running.info(i)["attempt"] for i in ids.values()} == {0}


def test_retry(running):
    flag = running.out / "good"
    number, ids = flow(running, job("a", "[ -e %s ]" % flag), job("b", after=["a"]), job("c", after=["b"]), job("other", "exit 1"),
                       job("both", after=["a", "other"]), job("mend", after=[edge("a", "failure")]))
    broken = {"a": "exit-code", "b": "dependency", "c": "dependency", "other": "exit-code", "both": "dependency", "mend": "success"}
    assert settled(running, ids) == broken
    # By itself it opens nothing behind it.
    running.call("RetryJob", ids["a"], {})
    assert settled(running, ids) == broken
    with pytest.raises(client.BusError) as e:
        running.call("RetryJob", ids["b"], {})
    assert e.value.short == "DependencyFailed" and "job %d" % ids["a"] in e.value.message
    flag.touch()
    # From a node on; what can not start because of another one stays as it is.
    assert running.call("RetryJobs", {"flow": ids["a"]}, {}) == 3
    assert settled(running, ids) == {**broken, "a": "success", "b": "success", "c": "success"}
    running.call("RetryJobs", {"flow": number}, {})
    assert settled(running, ids)["both"] == "dependency" and running.info(ids["other"])["attempt"] == 2


def test_a_retried_one_waits_again(running):
    running.call("PauseQueue", "default")
    number, ids = flow(running, job("a"), job("b", after=[edge("a", "end")]))
    running.call("CancelJobs", {"flow": number})
    assert running.call("RetryJobs", {"flow": number}, {}) == 2
    assert states(running, ids) == {"a": "ready", "b": "waiting"}
    assert running.info(ids["b"])["reason"] == "after %d" % ids["a"]
    running.call("ResumeQueue", "default")
    assert set(settled(running, ids).values()) == {"success"}


def test_retry_of_one_that_was_cancelled_before_the_other_failed(running):
    running.call("PauseQueue", "default")
    a = running.submit("true", hold=True)
    cancelled, failed = (running.submit("true", after=[(a, "success")]) for _ in range(2))
    running.call("CancelJob", cancelled)
    running.settled()
    running.call("CancelJob", a)
    assert running.result(failed) == "dependency"
    running.call("RetryJob", cancelled, {})
    assert running.state(cancelled) == "ready"
    with pytest.raises(client.BusError) as e:
        running.call("RetryJob", failed, {})
    assert e.value.short == "DependencyFailed"


def in_one_turn(mill, *calls):
    """What comes while the daemon is stopped is one turn's work."""
    os.kill(mill.process.pid, signal.SIGSTOP)
    try:
        cookies = [mill.bus.start(*c) for c in calls]
        mill.bus.pump(0.5)
    finally:
        os.kill(mill.process.pid, signal.SIGCONT)
    for c in cookies:
        mill.bus.finish(c)


def test_retried_while_what_it_came_after_ends(running):
    running.call("PauseQueue", "default")
    b = running.submit("true", hold=True)
    j = running.submit("true", after=[(b, "end")])
    running.call("CancelJobs", {"ids": [b, j]})
    running.call("RetryJob", b, {})
    running.call("HoldJob", b)
    k = running.submit("true", after=[(b, "end")])
    in_one_turn(running, ("RetryJob", j, {}), ("CancelJob", b))
    until(lambda: running.state(k) == "ready")
    until(lambda: running.state(j) == "ready")


def test_continues_while_it_waits_again(running):
    running.call("PauseQueue", "default")
    b1, b2 = (running.submit("true", hold=True) for _ in range(2))
    _, ids = flow(running, job("j", after=[edge(b1, otherwise="continue"), edge(b2, "end")]))
    running.call("CancelJob", b2)
    running.call("CancelJob", ids["j"])
    running.call("RetryJob", b2, {})
    running.call("HoldJob", b2)
    in_one_turn(running, ("RetryJob", ids["j"], {}), ("CancelJob", b1))
    until(lambda: running.state(ids["j"]) == "ready")


def test_purge_leaves_what_is_needed(running):
    a = running.submit("exit 4")
    running.wait(a)
    b = running.submit("true", after=[(a, "end")], hold=True)
    assert running.call("PurgeJobs", {"ids": [a]}) == 0
    running.call("ReleaseJob", b)
    running.wait(b)
    assert running.call("PurgeJobs", {"ids": [a, b]}) == 2


def test_retention_leaves_what_is_needed(mill, clock):
    mill.queue("q", Keep="2h", AllowUsers="*")
    mill.call("Reload")
    a = mill.submit("true", queue="q")
    own = mill.submit("true", queue="q", keep_usec=HOUR * 10**6)
    mill.all_done([a, own])
    b = mill.submit("true", queue="q", after=[(a, "success"), (own, "success")], hold=True)
    other = mill.submit("true", queue="q")
    mill.wait(other)
    clock.sleep(3 * HOUR)
    until(lambda: known(mill, [a, own, b, other]) == [a, own, b], 10)
    mill.call("ReleaseJob", b)
    assert mill.result(b) == "success"
    clock.sleep(3 * HOUR)
    until(lambda: known(mill, [a, own, b]) == [], 10)


# ---- what is handed on ----

def test_inputs(running):
    copy = "ls -l $JOBMILL_INPUTS > {0}/mode; cat $JOBMILL_INPUTS > {0}/inputs".format(running.out)
    number, ids = flow(running, job("ok"), job("bad", "exit 7"), job("killed", "kill -9 $$"), job("skipped", after=["bad"]),
                       job("use", copy, ["ok", edge("bad", "end"), edge("killed", "end"), edge("skipped", "end")]))
    assert running.result(ids["use"]) == "success"
    inputs = json.loads((running.out / "inputs").read_text())
    keys = {"success": None, "verdict": None, "exit_status": None, "exit_signal": None}
    assert sorted(inputs, key=lambda i: i["name"]) == [
        {**keys, "id": ids["bad"], "name": "bad", "result": "exit-code", "exit_status": 7, "success": False},
        {**keys, "id": ids["killed"], "name": "killed", "result": "signal", "exit_signal": 9},
        {**keys, "id": ids["ok"], "name": "ok", "result": "success", "exit_status": 0, "success": True},
        {**keys, "id": ids["skipped"], "name": "skipped", "result": "dependency"}]
    assert (running.out / "mode").read_text().startswith("-r--------")
    until(lambda: not os.listdir(running.folder / "run/attempt"), what="the files are gone")
    bare = running.submit("echo ${JOBMILL_INPUTS:-none} > %s/bare" % running.out)
    running.wait(bare)
    assert (running.out / "bare").read_text() == "none\n"


def test_inputs_that_cannot_be_written(running):
    """As where /run is full: what it waits for is said, and it starts once that is over."""
    first = running.submit("true")
    running.wait(first)
    folder, away = running.folder / "run/attempt", running.folder / "run/away"
    until(lambda: not os.listdir(folder), what="the files are gone")
    folder.rename(away)
    second = running.submit("cat $JOBMILL_INPUTS", after=[(first, "end")])
    until(lambda: running.info(second).get("reason") == "Its files cannot be written, asking again: No such file or directory")
    away.rename(folder)
    assert running.result(second) == "success"


@pytest.mark.root
def test_inputs_are_the_owners(mill, remotes):
    mill.queue("default", Slots=4, AllowUsers="root daemon")
    running = mill.start()
    daemon = remotes("daemon")
    first = daemon.call("Submit", "default", ["/bin/true"], {})[0]
    go = running.out / "go"
    second = daemon.call("Submit", "default", sh("while [ ! -e %s ]; do sleep 0.01; done" % go), {"after": [[first, "end"]]})[0]
    until(lambda: running.state(second) == "running")
    folder = running.folder / "run/attempt" / ("%d-1" % second)
    s = (folder / "inputs.json").stat()
    assert (s.st_uid, stat.S_IMODE(s.st_mode), stat.S_IMODE(folder.stat().st_mode)) == (daemon.uid, 0o400, 0o711)
    go.touch()
    assert running.result(second) == "success"


# ---- the tool ----

def test_tool_after(running):
    a = int(tool(running, "submit", "--hold", "true"))
    b = int(tool(running, "submit", "--after", a, "--after=%d:end" % a, "true", check=False).returncode)
    assert b == 1
    c = int(tool(running, "submit", "--after=%d:failure" % a, "true"))
    assert "After: %d:failure" % a in tool(running, "show", c) and "after %d" % a in tool(running, "show", c)
    assert json.loads(tool(running, "show", c, "--json=short"))[0]["after"] == [[a, "failure"]]
    d = int(tool(running, "submit", "--after=@last:end", "true"))
    assert json.loads(tool(running, "show", d, "--json=short"))[0]["after"] == [[c, "end"]]
    for bad in ("x", "0", "@first", "%d:never" % a, "%d:" % a, "%d:end:" % a):
        p = tool(running, "submit", "--after", bad, "true", check=False)
        assert p.returncode == 1 and "--after" in p.stderr and ":success, :failure or :end" in p.stderr
    running.call("CancelJob", a)
    assert running.result(c) == "success"


@pytest.fixture
def document(running):
    path = running.out / "flow.json"
    path.write_text(json.dumps({"defaults": {"priority": 3, "tags": {"k": "v"}}, "jobs": [
        job("b", "echo $HERE; exit 5", ["a"], tags={"l": "w"}), job("a", "echo $HERE"), job("c", after=[edge("b", "end"), "a"]), job("d", after=["b"])]}))
    return path


def test_tool_flow(running, document):
    answer = json.loads(tool(running, "submit", "--flow", document, "-E", "HERE=1", "-C", running.out, "--json=short"))
    ids = answer["jobs"]
    assert settled(running, ids) == {"a": "success", "b": "exit-code", "c": "success", "d": "dependency"}
    info = running.info(ids["b"])
    assert (info["cwd"], info["priority"], info["flow"]) == (str(running.out), 3, answer["flow"])
    assert info["tags"] == {"k": "v", "l": "w"}
    listed = json.loads(tool(running, "list", "--flow", answer["flow"], "--json=short"))
    assert {j["id"] for j in listed} == set(ids.values()) and {j["flow"] for j in listed} == {answer["flow"]}
    columns = tool(running, "list", "--flow", answer["flow"], "--order=oldest", "--no-legend", "--columns=id,flow,after").splitlines()
    assert [c.split() for c in columns[1:3]] == [[str(ids["b"]), str(answer["flow"]), "%d:success" % ids["a"]],
                                                 [str(ids["c"]), str(answer["flow"]), "%d:success" % ids["a"], "%d:end" % ids["b"]]]
    assert tool(running, "show", "--tree", answer["flow"]).splitlines() == [
        "Flow %d" % answer["flow"], "%d a  success" % ids["a"], "└─ %d b  exit-code 5" % ids["b"],
        "   ├─ %d c  success, on end, and after %d" % (ids["c"], ids["a"]), "   └─ %d d  dependency" % ids["d"]]
    assert tool(running, "show", "--tree", ids["d"]) == tool(running, "show", "--tree", answer["flow"])
    p = tool(running, "show", "--tree", 4711, check=False)
    assert p.returncode == 1 and "neither a job nor a flow" in p.stderr
    assert tool(running, "retry", "--flow", ids["b"], "--yes").startswith("2 jobs")
    assert settled(running, ids)["d"] == "dependency" and running.info(ids["b"])["attempt"] == 2


def test_tool_shows_an_array_as_one_line(running):
    number, ids = flow(running, job("a"), job("b", "exit $JOBMILL_ARRAY_INDEX", ["a"], array=3), job("c", after=[edge("b", "end"), edge("a", "end")]),
                       job("d", after=["a"], array=2), job("e", after=[edge("d", "end"), edge("b", "end")]))
    settled(running, ids)
    running.all_done([ids["b"] + i for i in range(3)] + [ids["d"] + 1])
    assert tool(running, "show", "--tree", number).splitlines()[1:] == [
        "%d a  success" % ids["a"], "├─ %d[3] b  3 done, 2 dead" % ids["b"], "│  └─ %d c  success, on end, and after %d:end" % (ids["c"], ids["a"]),
        "└─ %d[2] d  2 done" % ids["d"], "   └─ %d e  success, on end, and after %d:end" % (ids["e"], ids["b"])]
    one = running.submit("true", after=[(ids["b"] + 1, "end")])
    assert tool(running, "show", "--tree", ids["b"] + 1).splitlines()[0] == "Flow %d" % number
    running.wait(one)
    assert [j["id"] for j in running.jobs(flow=ids["b"] + 1)] == [one, ids["e"], ids["c"], ids["b"] + 1]


@pytest.mark.parametrize("how", ["words", "file", "flow"])
def test_tool_waits_for_whole_arrays(running, how):
    path = running.out / "jobs"
    job = {"name": "a", "argv": sh("exit $JOBMILL_ARRAY_INDEX"), "array": 3}
    path.write_text(json.dumps({"jobs": [job]} if how == "flow" else job))
    words = ["--array=3", "--", *job["argv"]] if how == "words" else ["--%s" % how, path]
    p = tool(running, "submit", "--wait", *words, check=False)
    assert p.returncode == 1 and p.stderr.count(": exit-code") == 2, p.stderr


def test_tool_flow_waits_and_is_repeated(running, document):
    p = tool(running, "submit", "--flow", document, "--wait", "--request-id=r", check=False)
    assert p.returncode == 5
    assert tool(running, "submit", "--flow=-", "--request-id=r", stdin=open(document)) == p.stdout
    assert tool(running, "submit", "--flow", document, "--dry-run") == "4 jobs, not submitted\n"
    assert len(running.jobs()) == 4


@pytest.mark.parametrize("text, word", [
    ("{", "ends too early"), ('{"jobs": []}', "'jobs' is empty"),
    ('{"jobs": [{"name": "a", "argv": ["true"], "after": ["a"]}]}', "a → a"),
    ('{"jobs": [{"name": "a", "argv": ["no-such-program"]}]}', "job 'a': no-such-program: command not found"),
])
def test_tool_flow_refused(running, text, word):
    path = running.out / "bad.json"
    path.write_text(text)
    p = tool(running, "submit", "--flow", path, check=False)
    assert p.returncode == 1 and word in p.stderr and "bad.json" in p.stderr
    assert running.jobs() == []
    p = tool(running, "submit", "--flow", path, "--", "true", check=False)
    assert "takes no command" in p.stderr


# ---- many, and crashes ----

def many(n):
    """A root, n behind it, and one behind all of them."""
    return [job("root", hold=True), *(job("j%d" % i, after=["root"]) for i in range(n)),
            job("end", after=["j%d" % i for i in range(n)])]


def test_ten_thousand_end_at_once(running):
    number, ids = flow(running, *many(9998))
    assert running.state(ids["end"]) == "waiting"
    assert running.info(ids["end"])["reason"].endswith("and 9996 more")
    running.call("CancelJob", ids["root"])
    until(lambda: running.call("CountJobs", {"flow": number, "result": "dependency"}) == 9999, 30)


@pytest.mark.parametrize("n", [3000])
def test_none_is_lost_in_a_crash(running, n):
    number, ids = flow(running, *many(n))
    running.bus.start("CancelJob", ids["root"])
    for _ in range(3):
        time.sleep(0.05)
        running.kill()
        running.start()
    until(lambda: running.call("CountJobs", {"flow": number, "result": "dependency"}) in (0, n + 1), 30)
    if running.state(ids["root"]) == "held":
        running.call("CancelJob", ids["root"])
    until(lambda: running.call("CountJobs", {"flow": number, "result": "dependency"}) == n + 1, 30)
