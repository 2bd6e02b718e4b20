# SPDX-License-Identifier: LGPL-2.1-or-later
"""Unique keys: one holder at a time, for as long as its scope says; reject, return, replace; batches, repeated requests, moves, retries."""

import json

import dbus
import pytest

import client
from conftest import until
from test_clock import HOUR, clock  # noqa: F401
from test_config import settings
from tool import tool

K = {"unique_key": "k"}
RETURN = {"unique_key": "k", "unique_policy": "return"}
REPLACE = {"unique_key": "k", "unique_policy": "replace"}




def submit_refused(mill, words=(), command="true", **spec):
    with pytest.raises(client.BusError) as e:
        mill.submit(command, **spec)
    assert e.value.short == "NotUnique", e.value
    for word in words:
        assert str(word) in e.value.message, e.value


def states(mill, *ids):
    return [mill.info(i)["state"] for i in ids]


@pytest.fixture
def paused(running):
    running.call("PauseQueue", "default")
    return running


def test_reject_names_the_job(paused):
    first = paused.submit("true", **K)
    submit_refused(paused, ("'k'", "job %d" % first, "ready"), **K)
    other = paused.submit("true", unique_key="l")
    assert paused.submit("true") == other + 1  # nothing was made, no id was used
    assert paused.info(first)["unique_key"] == "k" and paused.info(first)["unique_scope"] == "live"
    assert "unique_key" not in paused.info(other + 1)
    paused.call("CancelJob", first)
    assert paused.submit("true", **K)


def gate(mill):
    return "while [ ! -e %s/go ]; do sleep 0.02; done" % mill.out


def test_live_until_it_is_done(running):
    first = running.submit(gate(running), **K)
    until(lambda: states(running, first) == ["running"])
    submit_refused(running, ("job %d" % first, "running"), **K)
    submit_refused(running, **REPLACE)  # it runs: it is not touched
    assert running.submit("true", **RETURN) == first
    (running.out / "go").touch()
    assert running.result(first) == "success"
    assert running.result(running.submit("true", **K)) == "success"


def test_queued_until_it_starts(running):
    first = running.submit(gate(running), unique_scope="queued", **K)
    until(lambda: states(running, first) == ["running"])
    running.call("PauseQueue", "default")
    second = running.submit("true", unique_scope="queued", **K)
    submit_refused(running, ("job %d" % second, ), unique_scope="queued", **K)
    running.call("ResumeQueue", "default")
    (running.out / "go").touch()
    assert running.result(first) == running.result(second) == "success"


def test_span(running):
    first = running.submit("true", unique_scope="2s", **K)
    assert running.result(first) == "success"
    submit_refused(running, ("job %d" % first, "done", "keeps it"), **K)
    submit_refused(running, **REPLACE)
    assert running.submit("true", **RETURN) == first
    assert running.info(first)["unique_until_usec"] > running.info(first)["submitted_usec"]
    running.kill()
    running.start()
    submit_refused(running, ("job %d" % first, ), **K)
    second = until(lambda: running.submit("true", unique_scope="1h", **{**K, "unique_policy": "return"}) != first and
                   running.call("ListJobs", {}, "", 1)[0][0]["id"], interval=0.1)
    assert running.result(second) == "success"
    submit_refused(running, ("job %d" % second, ), **K)
    assert running.call("PurgeJobs", {"ids": [second]}) == 1
    never = running.submit("true", hold=True, unique_scope="1h", **K)
    running.call("CancelJob", never)
    assert running.result(running.submit("true", **K)) == "success"


def test_a_span_follows_the_clock(mill, clock):  # noqa: F811
    first = mill.submit("true", unique_scope="1h", **K)
    assert mill.result(first) == "success"
    clock.step(2 * HOUR)
    submit_refused(mill, ("job %d" % first, ), **K)
    mill.kill()
    clock.ahead -= 5 * HOUR
    mill.start(**clock.environment())
    clock.set(clock.ahead)
    submit_refused(mill, ("job %d" % first, ), **K)
    clock.sleep(2 * HOUR)
    assert mill.result(mill.submit("true", **K)) == "success"


def test_replace(paused):
    first = paused.submit("true", hold=True, **K)
    second = paused.submit("true", **REPLACE)
    info = paused.info(first)
    assert (info["state"], info["result"], info["reason"]) == ("done", "cancelled", "replaced by job %d" % second)
    assert states(paused, second) == ["ready"]
    submit_refused(paused, ("job %d" % second, ), **K)


def test_replace_needs_no_more_room(mill):
    mill.queue("small", Slots=1, AllowUsers="*", MaxQueued=1)
    mill.start()
    mill.settled()
    mill.call("PauseQueue", "small")
    first = mill.submit("true", queue="small", **K)
    with pytest.raises(client.BusError) as e:
        mill.submit("true", queue="small")
    assert e.value.short == "QueueFull"
    second = mill.submit("true", queue="small", **REPLACE)
    assert mill.submit("true", queue="small", **RETURN) == second
    assert states(mill, first, second) == ["done", "ready"]


def test_of_each_queue_and_owner(mill):
    mill.queue("other", Slots=1, AllowUsers="*")
    mill.start()
    mill.settled()
    for queue in "default", "other":
        mill.call("PauseQueue", queue)
    first = mill.submit("true", **K)
    second = mill.submit("true", queue="other", **K)
    with pytest.raises(client.BusError) as e:
        mill.call("MoveJob", second, "default")
    assert e.value.short == "NotUnique" and "job %d" % first in e.value.message
    assert mill.info(second)["queue"] == "other"
    mill.call("CancelJob", first)
    mill.call("MoveJob", second, "default")
    submit_refused(mill, ("job %d" % second, ), **K)
    assert mill.submit("true", queue="other", **K)


def test_changed(paused):
    first, second = paused.submit("true", **K), paused.submit("true")
    with pytest.raises(client.BusError) as e:
        paused.call("UpdateJob", second, K)
    assert e.value.short == "NotUnique" and "job %d" % first in e.value.message
    paused.call("UpdateJob", first, K)  # its own
    paused.call("UpdateJob", first, {"unique_key": ""})
    assert "unique_key" not in paused.info(first)
    paused.call("UpdateJob", second, {"unique_key": "k", "unique_scope": "2h"})
    assert paused.info(second)["unique_scope"] == "span"
    submit_refused(paused, ("job %d" % second, ), **K)
    with pytest.raises(client.BusError) as e:
        paused.call("UpdateJob", first, {"unique_scope": "live"})
    assert e.value.short == "InvalidSpec"
    with pytest.raises(client.BusError) as e:
        paused.call("UpdateJobs", {"ids": [first, second, paused.submit("true")]}, {"unique_key": "m"})
    assert e.value.short == "NotUnique" and "1 job changed" in e.value.message


def test_retry_takes_it_again(running):
    first = running.submit("exit 1", **K)
    assert running.result(first) == "exit-code"
    running.call("PauseQueue", "default")
    second = running.submit("true", **K)
    with pytest.raises(client.BusError) as e:
        running.call("RetryJob", first, {})
    assert e.value.short == "NotUnique" and "job %d" % second in e.value.message
    assert running.call("RetryJobs", {"ids": [first]}, {}) == 0
    assert running.state(first) == "done"
    running.call("CancelJob", second)
    running.call("RetryJob", first, {})
    submit_refused(running, ("job %d" % first, ), **K)


def test_in_one_batch(paused):
    def entry(**spec):
        return client.entry("default", ["true"], **spec)

    with pytest.raises(client.BusError) as e:
        paused.call("SubmitMany", [entry(), entry(**K), entry(unique_key="l"), entry(**K)])
    assert e.value.short == "NotUnique" and "job 3:" in e.value.message and "job 1 of the same request" in e.value.message
    assert paused.call("ListJobs", {}, "", 10)[0] == []
    there = paused.submit("true", unique_key="l")
    ids = paused.call("SubmitMany", [entry(request_id="r"), entry(**K), entry(unique_key="l", unique_policy="return"), entry(**RETURN),
                                     entry(**REPLACE), entry(**RETURN), entry()])
    assert ids == [there + 1, there + 2, there, there + 2, there + 3, there + 3, there + 4]
    assert states(paused, *ids) == ["ready", "done", "ready", "done", "ready", "ready", "ready"]
    # … and the same answer again, also after a crash
    again = [entry(request_id="r"), entry(**K), entry(unique_key="l", unique_policy="return"), entry(**RETURN), entry(**REPLACE),
             entry(**RETURN), entry()]
    assert paused.call("SubmitMany", again) == ids
    paused.kill()
    paused.start()
    assert paused.call("SubmitMany", again) == ids
    assert paused.call("CountJobs", {"owner": paused.info(there)["owner"]}) == 5


def test_many_in_one_batch(paused):
    entries = [client.entry("default", ["true"], unique_key="key %d" % i) for i in range(3000)]
    paused.call("SubmitMany", entries)
    with pytest.raises(client.BusError) as e:
        paused.call("SubmitMany", entries[2999:])
    assert e.value.short == "NotUnique"
    assert paused.call("CancelJobs", {"queue": "default"}) == 3000
    paused.call("SubmitMany", entries)


def test_a_returned_one_and_its_request(running):
    first = running.submit(gate(running), **K)
    assert running.submit("true", request_id="a", **RETURN) == running.submit("true", request_id="b", **RETURN) == first
    (running.out / "go").touch()
    assert running.result(first) == "success"
    assert running.submit("true", request_id="a", **RETURN) == first  # though the key is free now
    running.kill()
    running.start()
    assert running.submit("true", request_id="b", **RETURN) == first
    second = running.submit("true", request_id="c", **RETURN)
    assert second == first + 3 and running.result(second) == "success"


@pytest.mark.parametrize("spec, word", [
    ({"unique_scope": "live"}, "unique_scope"),
    ({"unique_policy": "return"}, "unique_policy"),
    ({"unique_key": "k", "unique_policy": "maybe"}, "maybe"),
    ({"unique_key": "k", "unique_scope": "soon"}, "unique_scope"),
    ({"unique_key": "x" * 257}, "unique_key"),
    ({"unique_key": "a\nb"}, "unique_key"),
    ({"unique_key": ""}, "unique_key"),
])
def test_nonsense(running, spec, word):
    with pytest.raises(client.BusError) as e:
        running.submit("true", **spec)
    assert e.value.short == "InvalidSpec" and word in e.value.message


def test_across_a_crash(paused):
    first = paused.submit("true", **K)
    paused.kill()
    paused.start()
    submit_refused(paused, ("job %d" % first, ), **K)
    paused.call("CancelJob", first)
    second = paused.submit("true", **K)
    paused.kill()
    paused.start()
    assert states(paused, first, second) == ["done", "ready"]
    submit_refused(paused, ("job %d" % second, ), **K)


FULL = {"error": "org.freedesktop.systemd1.ConcurrencyLimitReached", "message": "full"}


def refused_start(mill, id_):
    until(lambda: mill.state(id_) == "ready" and "takes no more units" in mill.info(id_).get("reason", ""))


def test_a_start_that_was_none(mill, systemd):
    """What the manager refused has not started: it waits, and its key is its own again."""
    mill.start()
    systemd.fault("StartTransientUnit", "refuse", match="jobmill-job-1-*", **FULL)
    first = mill.submit("true", unique_scope="queued", **K)
    refused_start(mill, first)
    mill.call("PauseQueue", "default")  # it is tried again and again, and each time its key is to be had for a moment
    until(lambda: mill.state(first) == "ready")
    submit_refused(mill, ("job %d" % first, "ready"), **K)
    assert mill.submit("true", **RETURN) == first
    mill.restart()
    submit_refused(mill, ("job %d" % first, ), **K)
    systemd.do("clear_faults")
    mill.call("ResumeQueue", "default")
    assert mill.result(first) == "success"
    assert mill.result(mill.submit("true", **K)) == "success"


def test_a_start_that_was_none_too_late(mill, systemd):
    """Its key was to be had while it was asked for: who took it has it, and both of them stay."""
    mill.start()
    systemd.fault("StartTransientUnit", "keep", execute="refuse", match="jobmill-job-1-*", **FULL)
    first = mill.submit("true", unique_scope="queued", **K)
    until(lambda: systemd.do("fired") == [1], what="it is asked for")
    holder = mill.submit("true", hold=True, **K)
    systemd.do("answer")
    refused_start(mill, first)
    submit_refused(mill, ("job %d" % holder, "held"), **K)
    systemd.do("clear_faults")
    until(lambda: (systemd.do("answer"), mill.state(first) == "done")[1])  # also where it was just asked for once more
    assert mill.result(first) == "success"
    submit_refused(mill, ("job %d" % holder, "held"), **K)
    assert not mill.call("CheckIntegrity")


def test_by_the_tool(paused):
    first = int(tool(paused, "submit", "--unique=k", "true"))
    p = tool(paused, "submit", "--unique=k", "true", check=False)
    assert p.returncode == 1 and p.stdout == "" and "'k' is that of job %d" % first in p.stderr
    assert int(tool(paused, "submit", "--unique=k", "--unique-policy=return", "true")) == first
    second = int(tool(paused, "submit", "--unique=k", "--unique-policy=replace", "--unique-scope=10min", "true"))
    assert states(paused, first, second) == ["done", "ready"]
    shown = json.loads(tool(paused, "show", "--json=short", second))[0]
    assert shown["unique_key"] == "k" and paused.info(second)["unique_scope"] == "span"
    tool(paused, "set", second, "unique=l", "unique-scope=queued")
    assert paused.info(second)["unique_key"] == "l" and paused.info(second)["unique_scope"] == "queued"
    tool(paused, "set", second, "unique=")
    assert "unique_key" not in paused.info(second)
    for bad in "--unique=", "--unique-policy=maybe", "--unique-scope=soon":
        p = tool(paused, "submit", bad, "true", check=False)
        assert p.returncode == 1 and bad.split("=")[0] in p.stderr


# ---- arrays: one submission under one key ----

def test_an_array_holds_it_until_its_last_job_is_done(running):
    running.call("PauseQueue", "default")
    first = running.submit("true", array=3, **K)
    submit_refused(running, ("array %d" % first, "'k'"), **K)
    submit_refused(running, array=2, **K)
    assert running.submit("true", **RETURN) == running.submit("true", array=5, **RETURN) == first
    for i in range(2):
        running.call("CancelJob", first + i)
        running.restart()
        submit_refused(running, ("array %d by job %d" % (first, first + i + 1), ), **K)
    running.call("PurgeJobs", {"ids": [first]})
    assert running.submit("true", **RETURN) == first  # its id, also where that job is gone
    running.call("CancelJob", first + 2)
    single = running.submit("true", **K)
    submit_refused(running, ("job %d" % single, ), array=3, **K)
    with pytest.raises(client.BusError) as e:
        running.call("RetryJob", first + 1, {})
    assert e.value.short == "NotUnique"
    running.call("CancelJob", single)
    assert running.call("RetryJobs", {"array": dbus.UInt64(first)}, {}) == 2
    submit_refused(running, ("array %d" % first, ), **K)


def test_an_array_and_scopes(running):
    running.call("PauseQueue", "default")
    queued = running.submit("exec sleep 100", array=2, array_max_running=1, unique_key="q", unique_scope="queued")
    span = running.submit("true", array=2, unique_key="s", unique_scope="1h")
    running.call("CancelJob", span + 1)
    running.call("ResumeQueue", "default")
    running.reach(queued, "running")
    submit_refused(running, ("job %d, which is waiting" % (queued + 1), ), unique_key="q")
    running.call("KillJob", queued, 9)
    running.reach(queued + 1, "running")
    assert running.submit("true", unique_key="q")
    assert running.result(span) == "success"
    submit_refused(running, ("array %d by job %d, which is done and keeps it" % (span, span), ), unique_key="s")
    running.call("PurgeJobs", {"ids": [span]})
    assert running.submit("true", unique_key="s")


def test_a_span_of_an_array_is_over(running):
    first = running.submit("true", array=3, unique_scope="500ms", **K)
    running.all_done([first + i for i in range(3)])
    until(lambda: running.submit("true", array=2, unique_scope="1h", **RETURN) != first, interval=0.1)
    running.restart()
    assert running.submit("true", **RETURN) == first + 3


def test_an_array_is_replaced(mill):
    mill.queue("small", Slots=1, AllowUsers="*", MaxQueued=4)
    mill.start()
    mill.call("PauseQueue", "small")
    first = mill.submit("true", queue="small", array=3, **K)
    second = mill.submit("true", queue="small", array=4, **REPLACE)
    assert {mill.info(first + i)["reason"] for i in range(3)} == {"replaced by job %d" % second}
    assert states(mill, *(second + i for i in range(4))) == ["ready"] * 4
    with pytest.raises(client.BusError) as e:
        mill.submit("true", queue="small", array=5, **REPLACE)
    assert e.value.short == "QueueFull"
    third = mill.submit("exec sleep 100", queue="small", **REPLACE)
    assert [j["id"] for j in mill.jobs(state="ready")] == [third]
    batch = [client.entry("small", ["/bin/sleep", "100"], array=n, **REPLACE) for n in (2, 3)]
    ids = mill.call("SubmitMany", batch)
    assert sorted(j["id"] for j in mill.jobs(state="ready")) == [ids[1] + i for i in range(3)]
    mill.call("ResumeQueue", "small")
    mill.reach(ids[1], "running")
    submit_refused(mill, queue="small", **REPLACE)  # one of them runs: none is touched
    assert states(mill, *(ids[1] + i for i in range(3))) == ["running", "ready", "ready"]


def test_how_many_are_replaced(mill):
    """No more than one call may make: they are loaded and cancelled in one turn."""
    settings(mill, SubmitManyMax=1000, ArrayMax=600)
    mill.start()
    mill.call("PauseQueue", "default")
    first = [mill.submit("true", array=n, unique_key=k) for n, k in ((600, "k"), (401, "l"), (1, "m"))]
    mill.restart()
    batch = [client.entry("default", ["true"], unique_key=k, unique_policy="replace") for k in "klm"]
    for entries in batch, batch[:2], batch[1::-1]:
        with pytest.raises(client.BusError) as e:
            mill.call("SubmitMany", entries)
        assert e.value.short == "TooMany" and "job %d: " % 1 in e.value.message and "at most 1000 jobs" in e.value.message, e.value
    assert states(mill, *first) == ["ready"] * 3
    mill.call("CancelJob", first[0])
    ids = mill.call("SubmitMany", batch[:2])  # 599 and 401
    assert mill.call("CountJobs", {"state": "ready"}) == 3 and mill.info(first[1] + 400)["reason"] == "replaced by job %d" % ids[1]


def test_an_array_is_changed_and_moved(mill):
    mill.queue("other", Slots=1, AllowUsers="*")
    mill.start()
    for queue in "default", "other":
        mill.call("PauseQueue", queue)
    first = mill.submit("true", array=3, **K)
    assert mill.call("UpdateJobs", {"array": dbus.UInt64(first)}, {"unique_key": "l", "queue": "other"}) == 3
    assert mill.submit("true", **K)
    submit_refused(mill, ("array %d" % first, ), queue="other", unique_key="l")


def test_the_id_of_a_flow_that_made_none(paused):
    """It was told, so it is no job's: not after a crash neither."""
    first = paused.submit("true", **K)
    flow, ids = paused.call("SubmitFlow", json.dumps({"jobs": [{"name": "a", "argv": ["true"], **RETURN}]}))
    assert ids == {"a": first} and flow == first + 1
    paused.kill()
    paused.start()
    assert paused.submit("true") == flow + 1


def test_an_array_that_is_there_in_a_flow(running):
    running.call("PauseQueue", "default")
    first = running.submit("true", array=3, **K)
    document = {"jobs": [{"name": "a", "argv": ["true"], "array": 2, **RETURN}, {"name": "b", "argv": ["true"], "after": ["a", "c"]},
                         {"name": "c", "argv": ["true"], "array": 2, "unique_key": "n"},
                         {"name": "d", "argv": ["true"], "unique_key": "n", "unique_policy": "return", "after": ["c"]},
                         {"name": "e", "argv": ["true"], "after": ["d"]}]}
    _, ids = running.call("SubmitFlow", json.dumps(document))
    assert ids["a"] == first and ids["d"] == ids["c"]
    assert [e[0] for e in running.info(ids["b"])["after"]] == [first, first + 1, first + 2, ids["c"], ids["c"] + 1]
    assert [e[0] for e in running.info(ids["e"])["after"]] == [ids["c"], ids["c"] + 1]
