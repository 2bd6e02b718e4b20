# SPDX-License-Identifier: LGPL-2.1-or-later
"""Arrays: made whole, at most so many at a time, in the order of their indexes, whatever is done to single ones of them; also over
restarts of the daemon."""

import json
import time

import dbus
import pytest

import client
from conftest import until
from tool import tool


def of(array):
    """A filter for it."""
    return {"array": dbus.UInt64(array)}


def jobs(mill, array, **more):
    found, cursor = [], ""
    while True:
        page, cursor = mill.call("ListJobs", {**of(array), "order": "oldest", **more}, cursor, 0)
        found += page
        if not cursor:
            return found


def states(mill, array):
    return [j["state"] for j in jobs(mill, array, fields=["state"])]


def counts(mill, array):
    """As they are counted, which must be what there is."""
    found = jobs(mill, array, fields=["state", "dead", "array_states"])
    l = [j["state"] for j in found]
    told = dict(found[-1]["array_states"])
    dead = told.pop("dead", 0)
    if len(l) <= 1000:  # in one page, so at one moment
        assert told == {s: l.count(s) for s in set(l)}
        assert dead == sum(j["dead"] for j in found)
    return told


@pytest.fixture
def wide(mill):
    """A queue that is not in the way."""
    mill.queue("wide", Slots=64, AllowUsers="*")
    mill.start()
    mill.settled()
    return mill


def submit(mill, command="exec sleep 600", n=10, at_once=0, **spec):
    more = {"array_max_running": at_once} if at_once else {}
    return mill.submit(command, queue="wide", array=n, **more, **spec)


def settle(mill, array, **wanted):
    until(lambda: counts(mill, array) == wanted, what="%s, not %s" % (wanted, counts(mill, array)))


def test_made_whole(wide):
    out = wide.out / "seen"
    first = submit(wide, 'echo $JOBMILL_ARRAY_ID $JOBMILL_ARRAY_INDEX $JOBMILL_JOB_ID "$A" $(cat) >>%s' % out, n=20, name="many", tags={"t": "1"},
                   environment=["A=a"], payload=b"p")
    after = wide.submit("true", queue="wide")
    assert after == first + 20
    for id_ in range(first, after):
        assert wide.result(id_) == "success"
    assert sorted(out.read_text().splitlines()) == sorted("%d %d %d a p" % (first, i, first + i) for i in range(20))
    found = jobs(wide, first)
    assert [j["id"] for j in found] == list(range(first, after))
    assert [j["array_index"] for j in found] == list(range(20))
    for j in found:
        assert (j["array"], j["array_size"], j["name"], j["tags"], "array_max_running" in j) == (first, 20, "many", {"t": "1"}, False)
    assert "array" not in wide.info(after)


def test_at_most_so_many(wide):
    first = submit(wide, at_once=3)
    settle(wide, first, running=3, waiting=7)
    assert states(wide, first) == ["running"] * 3 + ["waiting"] * 7
    waiting = wide.info(first + 5)
    assert waiting["reason"] == "array %d: 3 of 3" % first and waiting["array_max_running"] == 3
    wide.call("CancelJob", first + 1)
    until(lambda: states(wide, first) == ["running", "done", "running", "running"] + ["waiting"] * 6)
    wide.call("KillJob", first, 9)
    until(lambda: states(wide, first) == ["done", "done", "running", "running", "running"] + ["waiting"] * 5)
    # One that waits is cancelled: nobody gets anything by that.
    wide.call("CancelJob", first + 5)
    assert states(wide, first)[5:] == ["done"] + ["waiting"] * 4
    wide.call("CancelJobs", of(first))
    settle(wide, first, done=10)


def test_all_of_them_run(wide):
    out = wide.out / "order"
    first = submit(wide, "echo $JOBMILL_ARRAY_INDEX >>%s" % out, n=12, at_once=1)
    for id_ in range(first, first + 12):
        assert wide.result(id_) == "success"
    assert out.read_text().split() == [str(i) for i in range(12)]


def test_held_and_released(wide):
    first = submit(wide, n=6, at_once=2, hold=True)
    assert counts(wide, first) == {"held": 6}
    wide.call("ReleaseJobs", {"ids": [first + 3, first + 4, first + 5]})
    until(lambda: states(wide, first) == ["held"] * 3 + ["running"] * 2 + ["waiting"])
    wide.call("ReleaseJob", first)
    assert wide.info(first)["reason"] == "array %d: 2 of 2" % first
    wide.call("CancelJob", first + 3)
    until(lambda: states(wide, first) == ["running", "held", "held", "done", "running", "waiting"])


def test_what_is_held_gives_its_place(wide):
    wide.call("PauseQueue", "wide")
    first = submit(wide, n=5, at_once=2)
    assert states(wide, first) == ["ready"] * 2 + ["waiting"] * 3
    wide.call("HoldJob", first)
    assert states(wide, first) == ["held"] + ["ready"] * 2 + ["waiting"] * 2
    wide.call("ReleaseJob", first)
    assert states(wide, first) == ["waiting"] + ["ready"] * 2 + ["waiting"] * 2
    wide.call("CancelJob", first + 1)
    assert states(wide, first) == ["ready", "done", "ready", "waiting", "waiting"]


def test_retried(wide):
    first = submit(wide, "[ $JOBMILL_ATTEMPT = 2 ]", n=4, at_once=2)
    until(lambda: counts(wide, first) == {"done": 4})
    wide.call("PauseQueue", "wide")
    wide.call("RetryJobs", of(first), {})
    assert states(wide, first) == ["ready"] * 2 + ["waiting"] * 2
    wide.call("ResumeQueue", "wide")
    settle(wide, first, done=4)
    assert {j["result"] for j in jobs(wide, first)} == {"success"}


def test_the_limit_is_changed(wide):
    first = submit(wide, n=12, at_once=2)
    settle(wide, first, running=2, waiting=10)
    wide.call("UpdateJob", first + 11, {"array_max_running": 5})
    settle(wide, first, running=5, waiting=7)
    wide.call("UpdateJobs", of(first), {"array_max_running": 3})
    assert counts(wide, first) == {"running": 5, "waiting": 7}  # what runs runs on
    assert wide.info(first + 11)["reason"] == "array %d: 5 of 3" % first
    for i in range(3):
        wide.call("KillJob", first + i, 9)
    until(lambda: states(wide, first) == ["done"] * 3 + ["running"] * 3 + ["waiting"] * 6)
    wide.call("PauseQueue", "wide")
    wide.call("UpdateJob", first + 11, {"array_max_running": 8})
    assert counts(wide, first) == {"done": 3, "running": 3, "ready": 5, "waiting": 1}
    wide.call("UpdateJob", first + 11, {"array_max_running": 4})
    wide.call("ResumeQueue", "wide")  # those that were ready already must wait after all
    settle(wide, first, done=3, running=4, waiting=5)
    alone = wide.submit("true", queue="wide", hold=True)
    with pytest.raises(client.BusError) as e:
        wide.call("UpdateJob", alone, {"array_max_running": 1})
    assert e.value.short == "InvalidSpec" and "of no array" in e.value.message
    for key in {"array": 5}, {"array_max_running": 0}:
        with pytest.raises(client.BusError) as e:
            wide.call("UpdateJob", first + 11, key)
        assert e.value.short == "InvalidSpec"


def test_without_a_limit_and_then_with_one(wide):
    wide.call("PauseQueue", "wide")
    first = submit(wide, n=9)
    assert counts(wide, first) == {"ready": 9}
    wide.call("UpdateJob", first, {"array_max_running": 4})
    wide.call("ResumeQueue", "wide")
    settle(wide, first, running=4, waiting=5)
    wide.call("CancelJob", first)
    settle(wide, first, done=1, running=4, waiting=4)


def test_over_a_crash(wide):
    first = submit(wide, n=10, at_once=3)
    settle(wide, first, running=3, waiting=7)
    wide.kill()
    wide.start()
    assert counts(wide, first) == {"running": 3, "waiting": 7}
    wide.call("KillJob", first, 9)
    settle(wide, first, done=1, running=3, waiting=6)
    assert states(wide, first) == ["done"] + ["running"] * 3 + ["waiting"] * 6
    assert wide.call("CheckIntegrity") == []


def test_one_of_them_changed(wide):
    wide.call("PauseQueue", "wide")
    first = submit(wide, "true", n=4, at_once=2, payload=b"all", tags={"of": "all"})
    wide.call("UpdateJob", first, {"argv": ["/bin/sh", "-c", "[ $(cat) = all ]"]})
    wide.call("UpdateJob", first + 2, {"payload": b"own", "tags": {"own": "yes"}, "argv": ["/bin/sh", "-c", "[ $(cat) = own ]"]})
    assert [j["argv"][-1] for j in jobs(wide, first)] == ["[ $(cat) = all ]", "true", "[ $(cat) = own ]", "true"]
    assert [j["id"] for j in jobs(wide, first, tags={"of": "all"})] == list(range(first, first + 4))
    assert [j["id"] for j in jobs(wide, first, tags={"own": "yes"})] == [first + 2]
    wide.kill()
    wide.start()
    wide.call("ResumeQueue", "wide")
    for id_ in range(first, first + 4):
        assert wide.result(id_) == "success"
    assert wide.call("CheckIntegrity") == []


def test_purged_bit_by_bit(wide):
    first = submit(wide, "true", n=5)
    settle(wide, first, done=5)
    for id_ in first, first + 2:
        assert wide.call("PurgeJobs", {"ids": [id_]}) == 1
        assert wide.call("CheckIntegrity") == []
    assert [j["id"] for j in jobs(wide, first)] == [first + 1, first + 3, first + 4]
    assert wide.info(first + 4)["argv"][-1] == "true" and wide.info(first + 4)["array_states"] == {"done": 3}
    assert wide.call("PurgeJobs", of(first)) == 3
    assert jobs(wide, first) == [] and wide.call("CheckIntegrity") == []


def test_whole_arrays(wide):
    first = submit(wide, n=2500, at_once=4)
    settle(wide, first, running=4, waiting=2496)
    assert wide.call("CountJobs", of(first)) == 2500
    assert wide.call("CancelJobs", of(first)) == 2500
    settle(wide, first, done=2500)
    started = [j["id"] for j in jobs(wide, first, fields=["id", "attempt"]) if j["attempt"] > 0]
    assert started == [first, first + 1, first + 2, first + 3]  # none was started to be cancelled
    assert wide.call("PurgeJobs", of(first)) == 2500


def test_collapsed(wide):
    wide.call("PauseQueue", "wide")
    before = wide.submit("true", queue="wide")
    first = submit(wide, n=30, at_once=3)
    middle = wide.submit("true", queue="wide")
    second = submit(wide, n=3)
    wide.call("HoldJob", first + 20)

    def ids(**filter_):
        found, cursor = [], ""
        while True:
            page, cursor = wide.call("ListJobs", {"collapse": True, **filter_}, cursor, 2)
            found += [j["id"] for j in page]
            if not cursor:
                return found

    assert ids() == [second + 2, middle, first + 29, before]
    assert ids(order="oldest") == [before, first, middle, second]
    assert ids(state="ready") == [second + 2, middle, first + 2, before]
    assert ids(state=["held"]) == [first + 20]
    assert ids(state="waiting", order="oldest") == [first + 3]
    assert ids(order="rank") == [before, first, middle, second]
    page, _ = wide.call("ListJobs", {"collapse": True}, "", 10)
    assert page[2]["array_states"] == {"held": 1, "ready": 3, "waiting": 26}


def test_room(mill):
    mill.queue("wide", Slots=1, AllowUsers="*", MaxQueued=10)
    mill.start()
    mill.settled()
    mill.call("PauseQueue", "wide")
    with pytest.raises(client.BusError) as e:
        submit(mill, n=11)
    assert e.value.short == "QueueFull" and "for 11 more: 0 jobs are queued, at most 10" in e.value.message
    first = submit(mill, n=8)
    with pytest.raises(client.BusError) as e:
        mill.call("SubmitMany", [client.entry("wide", ["true"]), client.entry("wide", ["true"], array=2)])
    assert e.value.short == "QueueFull" and "job 1:" in e.value.message
    assert counts(mill, first) == {"ready": 8} and submit(mill, n=2) == first + 8


def test_in_a_batch_and_again(wide):
    wide.call("PauseQueue", "wide")
    entries = [client.entry("wide", ["true"], request_id="r"), client.entry("wide", ["true"], array=5), client.entry("wide", ["true"]),
               client.entry("wide", ["true"], array=3)]
    ids = wide.call("SubmitMany", entries)
    assert ids == [ids[0], ids[0] + 1, ids[0] + 6, ids[0] + 7]
    assert wide.call("SubmitMany", entries) == ids
    one = submit(wide, n=4, request_id="s")
    wide.kill()
    wide.start()
    assert wide.call("SubmitMany", entries) == ids and submit(wide, n=4, request_id="s") == one == ids[0] + 10
    assert wide.call("CountJobs", {"queue": "wide"}) == 14
    with pytest.raises(client.BusError) as e:
        submit(wide, n=5, request_id="s")
    assert "was used for another request" in e.value.message


@pytest.mark.parametrize("spec, word", [
    ({"array": 0}, "array"), ({"array": 10001}, "ArrayMax="), ({"array": 2000000}, "array"), ({"array_max_running": 2}, "array"),
    ({"array": 3, "array_max_running": 0}, "array_max_running"),
])
def test_refused(wide, spec, word):
    with pytest.raises(client.BusError) as e:
        wide.submit("true", **spec)
    assert e.value.short == "InvalidSpec" and word in e.value.message
    assert wide.call("ListJobs", {}, "", 10)[0] == []


def test_too_many_in_one_call(wide):
    entries = [client.entry("wide", ["true"], array=6000), client.entry("wide", ["true"], array=6000)]
    with pytest.raises(client.BusError) as e:
        wide.call("SubmitMany", entries)
    assert e.value.short == "TooMany" and "ArrayMax=" in e.value.message


def test_a_deadline_is_that_of_each(wide):
    deadline = int((time.time() + 1) * 1e6)
    first = submit(wide, n=6, at_once=2, deadline_usec=deadline)
    settle(wide, first, running=2, done=4)
    assert {j["result"] for j in jobs(wide, first) if j["state"] == "done"} == {"expired"}


def test_in_a_while(wide):
    first = submit(wide, "true", n=6, at_once=2, delay_usec=800_000)
    assert wide.info(first)["reason"].startswith("waits for its time") and wide.info(first + 2)["reason"] == "array %d: 2 of 2" % first
    settle(wide, first, done=6)


def test_by_the_tool(wide):
    wide.call("PauseQueue", "wide")
    first = int(tool(wide, "submit", "--queue=wide", "--array=7%2", "true"))
    found = json.loads(tool(wide, "list", "--json=short", "--array=%d" % first))
    assert [j["array_index"] for j in found] == list(range(6, -1, -1))
    assert found[0]["array_states"] == {"waiting": 5, "ready": 2} and found[0]["array_max_running"] == 2
    lines = tool(wide, "list", "--collapse").splitlines()
    assert len(lines) == 2 and "5 waiting, 2 ready" in lines[1], lines
    assert "%d[3]" % first in tool(wide, "list", "--columns=id,array")
    assert "%d, index 0 of 7, 2 at a time" % first in tool(wide, "show", first)
    tool(wide, "set", "--yes", "--array=%d" % first, "array-max=4")
    assert counts(wide, first) == {"ready": 4, "waiting": 3}
    tool(wide, "cancel", "--yes", "--array=%d" % first)
    assert counts(wide, first) == {"done": 7}
    for bad in "0", "5%0", "5%", "%5", "x", "1000001":
        p = tool(wide, "submit", "--array=" + bad, "true", check=False)
        assert p.returncode == 1 and "--array" in p.stderr
