# SPDX-License-Identifier: LGPL-2.1-or-later
"""One action on all jobs of a filter: which ones, how many were told, in pages, by whom."""

import functools
import os
import resource
import time

import pytest

import client
import conftest
from conftest import until
from test_update import DENIED, HOUR, allow, hold, refused, town  # noqa: F401

BULK = {"CancelJobs": [], "HoldJobs": [], "ReleaseJobs": [], "RetryJobs": [{}], "PurgeJobs": [], "UpdateJobs": [{"priority": 1}]}


@pytest.fixture
def zoo(mill):
    """One job in each state that stays."""
    mill.queue("default", Slots=2, AllowUsers="*")
    mill.start()
    mill.zoo = {"success": mill.submit("true"), "failed": mill.submit("exit 1")}
    for i in mill.zoo.values():
        mill.wait(i)
    for name in ("running", "stopping"):  # which outlive a SIGTERM
        mill.zoo[name] = mill.submit("trap '' TERM; echo > %s/%s; while :; do sleep 0.05; done" % (mill.out, name))
        until((mill.out / name).exists)
    mill.call("CancelJob", mill.zoo["stopping"])
    mill.call("PauseQueue", "default")
    mill.zoo["ready"] = mill.submit("true")
    mill.zoo["held"] = mill.submit("true", hold=True)
    mill.zoo["waiting"] = mill.submit("true", not_before_usec=int(time.time() * 1e6) + HOUR)
    return mill


def states(mill):
    return {name: mill.state(i) for name, i in mill.zoo.items()}


@pytest.mark.parametrize("member, more, changed", [
    ("CancelJobs", [], {"running": "stopping", "ready": "done", "held": "done", "waiting": "done"}),
    ("HoldJobs", [], {"ready": "held", "waiting": "held"}),
    ("ReleaseJobs", [], {"held": "ready"}),
    ("RetryJobs", [{}], {"failed": "ready"}),
])
def test_states_that_it_makes_sense_for(zoo, member, more, changed):
    before = states(zoo)
    assert zoo.call("CountJobs", {"queue": "default"}) == 7
    assert zoo.call(member, {"queue": "default"}, *more) == len(changed)
    assert states(zoo) == {**before, **changed}
    assert zoo.call(member, {"queue": "default"}, *more) == 0


def test_update_and_purge(zoo):
    def changed():
        return {n for n, i in zoo.zoo.items() if zoo.info(i)["priority"] == 3}
    assert zoo.call("UpdateJobs", {"queue": "default"}, {"priority": 3}) == 3
    assert changed() == {"ready", "held", "waiting"}
    assert zoo.call("UpdateJobs", {"queue": "default"}, {"tags": {"t": "1"}}) == 7
    assert zoo.call("UpdateJobs", {"tags": {"t": "1"}}, {"timeout_usec": HOUR}) == 4  # and the running one
    assert zoo.call("CountJobs", {"tags": {"t": "1"}, "state": "done"}) == 2
    assert zoo.call("PurgeJobs", {"queue": "default"}) == 2
    assert {n for n, i in zoo.zoo.items() if i in [j["id"] for j in zoo.jobs()]} == set(zoo.zoo) - {"success", "failed"}


def test_filters(running):
    running.call("PauseQueue", "default")
    a = running.submit("true", name="a", tags={"k": "1"}, priority=1)
    b = running.submit("true", name="b", tags={"k": "1"}, hold=True)
    c = running.submit("true", name="c", tags={"k": "2"})
    middle = running.info(b)["submitted_usec"]
    for f, ids in (({"name": "a"}, [a]), ({"tags": {"k": "1"}}, [a, b]), ({"state": "held"}, [b]), ({"ids": [c, b, 99, c]}, [b, c]),
                   ({"since_usec": middle}, [b, c]), ({"until_usec": middle}, [a]), ({"dead": False}, [a, b, c]), ({"dead": True}, []),
                   ({"queue": ["nowhere"]}, []), ({"state": ["ready", "running"], "tags": {"k": "2"}}, [c]), ({"result": "success"}, [])):
        assert running.call("CountJobs", f) == len(ids), f
        assert running.call("UpdateJobs", f, {"tags": {"hit": "yes"}}) == len(ids), f
        assert [j["id"] for j in running.jobs(order="oldest", tags={"hit": "yes"})] == ids, f
        running.call("UpdateJobs", {"queue": "default"}, {"tags": {"hit": ""}})


def test_refused(running):
    held = running.submit("true", hold=True)
    for member, more in BULK.items():
        refused("InvalidFilter", running.call, member, {}, *more, text="empty")
        refused("InvalidFilter", running.call, member, {"nonsense": "x"}, *more, text="nonsense")
        refused("InvalidFilter", running.call, member, {"order": "newest"}, *more)
    for member, state in (("CancelJobs", "done"), ("HoldJobs", "held"), ("ReleaseJobs", "ready"), ("RetryJobs", "held"),
                          ("PurgeJobs", "running"), ("UpdateJobs", "done")):
        refused("InvalidFilter", running.call, member, {"state": state}, *BULK[member], text="state")
    refused("InvalidFilter", running.call, "RetryJobs", {"dead": False}, {}, text="dead")
    refused("InvalidSpec", running.call, "RetryJobs", {"queue": "default"}, {"x": "y"}, text="'x'")
    refused("InvalidSpec", running.call, "UpdateJobs", {"queue": "nowhere"}, {}, text="nothing")
    refused("InvalidSpec", running.call, "UpdateJobs", {"queue": "nowhere"}, {"name": "a\nb"}, text="'name'")
    refused("InvalidSpec", running.call, "UpdateJobs", {"queue": "nowhere"}, {"uid": 3}, text="'uid'")
    assert running.call("CountJobs", {}) == 1 and running.state(held) == "held"


def test_the_first_refusal_ends_it_and_says_how_far_it_came(mill):
    mill.queue("small", Slots=1, AllowUsers="*")
    mill.start()
    ids = [mill.submit("true", hold=True, slots=s) for s in (1, 1, 2, 1)]
    message = refused("InvalidSpec", mill.call, "UpdateJobs", {"state": "held"}, {"queue": "small"})
    assert message == "2 jobs changed; job %d: slots: 2 asked for, but queue 'small' has only 1" % ids[2]
    mill.restart()
    assert [mill.info(i)["queue"] for i in ids] == ["small", "small", "default", "default"]
    mill.call("DrainQueue", "small")
    for i in ids[:2]:
        mill.call("CancelJob", i)
    message = refused("QueueDraining", mill.call, "RetryJobs", {"queue": "small"}, {})
    assert message.startswith("0 jobs retried; job %d: " % ids[0])


def test_move_many(mill):
    mill.queue("other", Slots=4, AllowUsers="*")
    mill.start()
    mill.call("PauseQueue", "default")
    ids = mill.submit_many(["true"] * 30)
    assert mill.call("UpdateJobs", {"queue": ["default", "other"], "ids": ids[:20]}, {"queue": "other"}) == 20
    assert mill.call("UpdateJobs", {"queue": ["default", "other"]}, {"queue": "other"}) == 10
    assert mill.queue_properties("default")["Ready"] == 0
    assert set(mill.all_done(ids).values()) == {"success"}


# ---- pages ----

N = 20000


@pytest.fixture
def crowd(mill):
    mill.queue("other", Slots=4, AllowUsers="*")
    mill.start()
    mill.call("PauseQueue", "default")
    mill.call("PauseQueue", "other")
    for _ in range(N // 10000):
        mill.call("SubmitMany", [client.entry("default", ["/bin/true"], environment=["A=b"])] * 10000, timeout=60)
    return mill


@pytest.mark.parametrize("member, more", [("CancelJobs", []), ("HoldJobs", []), ("UpdateJobs", [{"queue": "other"}]),
                                          ("UpdateJobs", [{"tags": {"a": "b"}}])])
def test_others_are_served_between_the_pages(crowd, remotes, address, member, more):
    """By the order of the answers: what another client asks for meanwhile is answered before the end."""
    other = client.Client(address)
    try:
        pending = crowd.bus.start(member, {"queue": "default"}, *more, timeout=120)
        answered = 0
        while not pending.done:
            id_ = other.call("Submit", "default", ["/bin/true"], {"hold": True})[0]
            assert other.call("ListJobs", {"queue": "other"}, "", 5)
            answered += not pending.done
        assert answered >= 5
        assert crowd.bus.finish(pending) == N
        # What came after it is none of its business
        assert crowd.info(id_)["state"] == "held" and crowd.info(id_)["queue"] == "default" and "tags" not in crowd.info(id_)
    finally:
        other.close()
    state = {"CancelJobs": "done", "HoldJobs": "held", "UpdateJobs": "ready"}[member]
    queue = "other" if "queue" in (more or [{}])[0] else "default"
    assert crowd.call("CountJobs", {"state": state, "queue": queue, "until_usec": crowd.info(N)["submitted_usec"] + 1}) == N


def test_count_of_many(crowd):
    assert crowd.call("CountJobs", {}) == N
    assert crowd.call("CountJobs", {"state": "ready"}) == N
    assert crowd.call("CountJobs", {"ids": [1, N, N + 1]}) == 2
    assert crowd.call("PurgeJobs", {"state": "done"}) == 0


def test_client_goes_in_the_middle(crowd, address):
    other = client.Client(address)
    other.start("CancelJobs", {"queue": "default"})
    other.bus.flush()
    until(lambda: crowd.call("CountJobs", {"state": "done"}) > 0, 10, interval=0)
    other.close()
    crowd.call("GetStatistics")
    done = crowd.call("CountJobs", {"state": "done"})
    assert done % 1000 == 0
    crowd.restart()
    assert crowd.stats()["done"] >= done


def test_disk_full_in_the_middle(mill, monkeypatch):
    """The pages that were recorded stay, the others are not there, and that is told."""
    monkeypatch.setattr(conftest, "spawn", functools.partial(conftest.spawn, restore_signals=False))  # SIGXFSZ is ignored
    mill.start()
    mill.call("PauseQueue", "default")
    ids = mill.submit_many(["true"] * 200)
    limit = os.stat(mill.folder / "state/jobmill.db-wal").st_size + (3 << 20)
    resource.prlimit(mill.process.pid, resource.RLIMIT_FSIZE, (limit, -1))
    with pytest.raises(client.BusError) as e:
        mill.call("UpdateJobs", {"ids": ids}, {"payload": b"x" * (1 << 19), "priority": 5})
    assert e.value.short in ("StorageFull", "StorageError"), e.value
    resource.prlimit(mill.process.pid, resource.RLIMIT_FSIZE, (-1, -1))
    changed = mill.call("CountJobs", {"queue": "default"}) - sum(j["priority"] == 0 for j in mill.jobs(fields=["priority"]))
    assert 0 <= changed < 200
    mill.restart()
    assert sum(j["priority"] == 5 for j in mill.jobs(fields=["priority"])) == changed
    assert mill.queue_properties("default")["Ready"] == 200
    until(lambda: mill.stats()["dispatch"] == "", 10)
    assert mill.call("UpdateJobs", {"ids": ids}, {"priority": 6}) == 200


@pytest.mark.plain
def test_a_page_does_not_hold_many_specs(crowd):
    """Large changes come in small pages, and all of them arrive."""
    assert crowd.call("UpdateJobs", {"ids": list(range(1, 101))}, {"payload": b"x" * (1 << 20)}, timeout=60) == 100
    status = open("/proc/%d/status" % crowd.process.pid).read()
    peak = int(status.split("VmHWM:")[1].split()[0])
    assert peak < 100 * 1024, "%d KiB" % peak


# ---- who ----

@pytest.mark.root
def test_a_filter_means_ones_own(town):
    mine = [hold(town.daemon) for _ in range(3)]
    theirs = [hold(town.bin) for _ in range(2)]
    assert town.daemon.call("CountJobs", {"queue": "default"}) == 3
    assert town.daemon.call("UpdateJobs", {"queue": "default"}, {"priority": 3}) == 3
    assert town.daemon.call("CancelJobs", {"state": "held"}) == 3
    assert town.daemon.call("PurgeJobs", {"ids": mine + theirs}) == 3
    assert [town.state(i) for i in theirs] == ["held"] * 2
    for member, more in BULK.items():
        refused(DENIED, town.daemon.call, member, {"owner": 2}, *more)
        refused(DENIED, town.daemon.call, member, {"owner": [1, 2]}, *more)
    assert town.daemon.call("CountJobs", {"owner": 2}) == 0
    assert town.call("CountJobs", {"owner": 2}) == 2  # root
    assert town.call("CancelJobs", {"queue": "default"}) == 2


@pytest.mark.root
def test_own_ids_ask_nobody(town):
    mine = [hold(town.daemon) for _ in range(3)]
    for member, more in BULK.items():
        town.daemon.call(member, {"ids": mine + [999]}, *more)
        town.daemon.call(member, {"owner": 1}, *more)
    assert town.polkit.do("asked") == []


@pytest.mark.root
def test_ids_of_others_may_be_asked_about(town):
    theirs = hold(town.bin)
    town.polkit.do("mode", mode="challenge")
    refused("org.freedesktop.DBus.Error.InteractiveAuthorizationRequired", town.daemon.call, "CancelJobs", {"ids": [theirs]})
    assert town.daemon.call("CancelJobs", {"queue": "default"}) == 0
    assert town.state(theirs) == "held"


@pytest.mark.root
def test_operators(town):
    mine, theirs = hold(town.daemon), hold(town.bin)
    allow(town, "manage-jobs")
    assert town.daemon.call("CountJobs", {"queue": "default"}) == 2
    assert town.daemon.call("UpdateJobs", {"queue": "default"}, {"priority": 3}) == 2
    assert town.daemon.call("CancelJobs", {"owner": 2}) == 1
    assert (town.state(mine), town.state(theirs)) == ("held", "done")
    # Nobody is asked for a password because of a filter
    assert {a["flags"] for a in town.polkit.do("asked")} == {0}
    allow(town, "read-all")
    assert town.daemon.call("CountJobs", {"queue": "default"}) == 2
    assert town.daemon.call("HoldJobs", {"queue": "default"}) == 0
