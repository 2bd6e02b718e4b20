# SPDX-License-Identifier: LGPL-2.1-or-later
"""Many things at once, in an order that nobody thought of; and garbage."""

import random
import time

import dbus
import pytest

import client
from conftest import until

STATES = ("held", "waiting", "ready", "starting", "running", "stopping", "done")


def check_counters(mill):
    """What is counted is what is there."""
    jobs = mill.jobs(fields=["id", "state", "queue", "dead"])
    s = mill.stats()
    for state in STATES:
        assert s[state] == sum(j["state"] == state for j in jobs), state
    assert s["dead"] == sum(j["dead"] for j in jobs)
    for name, _ in mill.call("ListQueues"):
        p = mill.queue_properties(name)
        for state in STATES[:-1]:
            assert p[state.capitalize()] == sum(j["state"] == state and j["queue"] == name for j in jobs), (name, state)
        assert p["Dead"] == sum(j["dead"] and j["queue"] == name for j in jobs), name


def some_changes(dice, queues):
    return dict(dice.sample([("priority", dice.randrange(-5, 5)), ("slots", dice.randrange(1, 4)), ("queue", dice.choice(queues)),
                             ("not_before_usec", int(time.time() * 1e6) + dice.randrange(-300000, 300000)), ("tags", {"a": "b"}),
                             ("timeout_usec", dice.randrange(50000, 300000)), ("stop_timeout_usec", 100000),
                             ("environment", ["A=%d" % dice.randrange(3)]), ("argv", ["/bin/true"])], dice.randrange(1, 4)))


def one_step(mill, dice, queues):
    what = dice.choice(["submit"] * 5 + ["cancel", "hold", "release", "retry", "purge", "pause", "resume", "kill", "many"] +
                       ["update"] * 3 + ["move", "bulk", "bulk"])
    job = dice.randrange(1, mill.last + 2)
    if what == "submit":
        command = dice.choice(["true", "exit 3", "sleep 0.05", "sleep 0.3", "kill -KILL $$"])
        spec = dice.choice([{}, {}, {"hold": True}, {"priority": dice.randrange(-5, 5)}, {"slots": 2}, {"timeout_usec": 100000},
                            {"not_before_usec": int(time.time() * 1e6) + dice.randrange(300000)}])
        mill.last = mill.submit(command, queue=dice.choice(queues), **spec)
    elif what == "many":
        mill.last = mill.submit_many(["true", "exit 1"] * 3, queue=dice.choice(queues))[-1]
    elif what == "purge":
        mill.call("PurgeJobs", {"ids": [job]})
    elif what in ("pause", "resume"):
        mill.call(what.capitalize() + "Queue", dice.choice(queues))
    elif what == "update":
        mill.call("UpdateJob", job, some_changes(dice, queues))
    elif what == "move":
        mill.call("MoveJob", job, dice.choice(queues))
    elif what == "bulk":
        some = dice.choice([{"queue": dice.choice(queues)}, {"ids": [dice.randrange(1, mill.last + 2) for _ in range(5)]},
                            {"state": "held"}, {"since_usec": int(time.time() * 1e6) - 500000}])
        member = dice.choice(["Cancel" if "ids" in some else "Release", "Hold", "Release", "Retry", "Update", "Update", "Count"])
        mill.call(member + "Jobs", some, *{"Retry": [{}], "Update": [some_changes(dice, queues)]}.get(member, []))
    elif what == "kill":
        mill.call("KillJob", job, dice.choice([9, 15, 10]))
    else:
        mill.call(what.capitalize() + "Job", job, *([{}] if what == "retry" else []))


@pytest.mark.parametrize("seed", range(3))
def test_any_order(mill, systemd, seed):
    dice = random.Random(seed)
    queues = ["default", "top", "top-a", "top-b"]
    mill.queue("default", Slots=3, AllowUsers="*")
    mill.queue("top", Slots=3, AllowUsers="*")
    mill.queue("top-a", Slots=2, AllowUsers="*")
    mill.queue("top-b", AllowUsers="*")
    mill.start()
    mill.last = 0
    for n in range(250):
        try:
            one_step(mill, dice, queues)
        except client.BusError as e:
            assert e.short in ("NoSuchJob", "JobFinished", "JobLive", "JobNotRunning", "JobNotFinished", "NotEditable") or \
                e.short == "InvalidSpec" and ("slots: " in e.message or "shorter" in e.message) or \
                e.short == "InvalidFilter" and "can be" in e.message, e
        if n % 60 == 59:
            mill.restart()
        elif n % 60 == 29:
            systemd.do("reexec")
    for q in queues:
        mill.call("ResumeQueue", q)
    for j in mill.jobs(state="held"):
        mill.call("ReleaseJob", j["id"])
    until(lambda: mill.stats()["attempts"] == 0 and all(mill.stats()[s] == 0 for s in STATES[:-1]), 20, "everything is done")
    check_counters(mill)
    assert all(n == 1 for n in systemd.do("counts")["starts"].values())
    top = systemd.do("counts")["max_holding"]
    assert top["jobmill-default.slice"] <= 3 and top["jobmill-top.slice"] <= 3 and top.get("jobmill-top-a.slice", 0) <= 2
    assert systemd.do("units") == {}
    mill.restart()
    check_counters(mill)


def test_pipelined_submit_and_cancel(running, session_client, systemd):
    """Nothing is told or done before it is recorded, also when all of it comes in one breath."""
    running.result(running.submit("true"))  # who the caller is, is known from now on
    pending = []
    for i in range(2, 32):
        pending.append(session_client.start("Submit", "", ["/bin/sleep", "60"], {}))
        pending.append(session_client.start("CancelJob", i))
    for p in pending:
        session_client.finish(p)
    assert set(running.all_done(range(2, 32)).values()) == {"cancelled"}
    until(lambda: not systemd.do("units"), 5, "all units are released")
    check_counters(running)


def test_cancel_races_with_the_end(running, session_client, systemd):
    dice = random.Random(1)
    ids = running.submit_many(["sleep 0.0%d" % dice.randrange(3, 9) for _ in range(40)])
    for i in ids:
        session_client.start("CancelJob", i)
        session_client.pump(0.01)
    results = running.all_done(ids)
    assert set(results.values()) <= {"success", "cancelled"}
    until(lambda: not systemd.do("units"), 5, "all units are released")
    check_counters(running)


def random_value(dice):
    return dice.choice([
        dbus.String("x" * dice.choice([0, 1, 200, 5000])), dbus.String("a\nb"), dbus.String("ü\x7f"),
        dbus.UInt32(dice.choice([0, 1, 2**32 - 1])), dbus.Int32(dice.choice([-2**31, -1, 0, 2**31 - 1])),
        dbus.UInt64(dice.choice([0, 1, 2**63, 2**64 - 1])), dbus.Int64(-1), dbus.Boolean(True), dbus.Double(1e308),
        dbus.Byte(7), dbus.Array([], signature="s"), dbus.Array(["", "=", "A=b", "A=\n", "MemoryMax=1G"], signature="s"),
        dbus.Array([dbus.Array(["x"], signature="s")], signature="as"), dbus.ByteArray(b"\0\xff"),
        dbus.Dictionary({"k": "v", "": ""}, signature="ss"), dbus.Dictionary({"k": dbus.Int32(1)}, signature="sv"),
        dbus.Array([1, 2**64 - 1, 1], signature="t"), dbus.Struct(("x", dbus.UInt32(1)), signature="su"),
        dbus.ObjectPath("/a"), dbus.Array([dbus.UInt32(0)], signature="u")])


@pytest.mark.parametrize("seed", range(4))
def test_garbage(running, seed):
    """Any value under any key: a named error that is meant for it, or it is taken."""
    dice = random.Random(seed)
    keys = list(client.TYPES) + ["", "nonsense", "a" * 1000, "x\ny"]
    held = running.submit("true", hold=True)
    for _ in range(120):
        d = dbus.Dictionary({dice.choice(keys): random_value(dice) for _ in range(dice.randrange(1, 4))}, signature="sv")
        kind = dice.randrange(6)
        try:
            if kind == 0:
                running.call("Submit", dice.choice(["", "default", "x\n"]), dice.choice([["/bin/true"], [], ["", "x"]]), d)
            elif kind == 1:
                running.call("SubmitMany", [d])
            elif kind == 2:
                running.call("ListJobs", d, dice.choice(["", "", "x", "1:2"]), dice.choice([0, 1, 2**32 - 1]))
            elif kind == 3:
                running.call("PurgeJobs", d)
            elif kind == 4:
                running.call("UpdateJob", held, d)
            else:
                running.call("UpdateJobs", {"ids": [held]}, d)
        except client.BusError as e:
            assert e.short in ("InvalidSpec", "InvalidFilter", "NoSuchQueue", "PropertyNotAllowed"), (e, d)
            assert e.message
    running.call("GetStatistics")


def test_largest_payload(running):
    out = running.out / "size"
    id_ = running.submit("wc -c > %s" % out, payload=b"x" * (16 << 20))
    assert running.result(id_) == "success"
    assert int(out.read_text()) == 16 << 20
    with pytest.raises(client.BusError, match="payload") as e:
        running.submit("true", payload=b"x" * ((16 << 20) + 1))
    assert e.value.short == "InvalidSpec"


def test_largest_argv_and_environment(running):
    word = "x" * (128 * 1024 - 1)
    id_ = running.submit(["/bin/sh", "-c", "test ${#1} = 131071 && test ${#A} = 100000", "sh", word],
                         environment=["A=" + "y" * 100000])
    assert running.result(id_) == "success"


def test_retry_before_the_last_unit_is_released(mill, systemd):
    mill.queue("one", Slots=1, AllowUsers="*")
    mill.start()
    systemd.fault("ResetFailedUnit", "keep", count=1)
    id_ = mill.submit("test -e %s/2 || { touch %s/2; exit 1; }" % (mill.out, mill.out), queue="one")
    assert mill.result(id_) == "exit-code"
    mill.call("RetryJob", id_, {})
    assert mill.state(id_) == "waiting" and "what is left of the last one" in mill.info(id_)["reason"]
    until(lambda: systemd.do("fired") == [1], 5, "it is to be released")
    systemd.do("answer")
    assert mill.result(id_) == "success"
    assert systemd.do("counts")["max_holding"]["jobmill-one.slice"] == 1


def test_purged_before_its_unit_is_released(running, systemd):
    systemd.fault("StopUnit", "never", count=1)
    id_ = running.submit("true")
    assert running.result(id_) == "success"
    assert running.call("PurgeJobs", {"ids": [id_]}) == 1
    assert running.stats()["attempts"] == 1
    running.restart()
    until(lambda: not systemd.do("units"), 5, "the unit is released")
    until(lambda: (running.stats()["attempts"], running.stats()["strays"]) == (0, 0), 5, "nothing holds a slot")


def test_queue_file_goes_away(running):
    path = running.queue("late", Slots=2, AllowUsers="*")
    running.call("Reload")
    gate = running.out / "go"
    ids = running.submit_many(["while [ ! -e %s ]; do sleep 0.02; done" % gate] * 3, queue="late")
    until(lambda: running.queue_properties("late")["Running"] == 2, 5)
    path.unlink()
    running.call("Reload")
    with pytest.raises(client.BusError, match="NoSuchQueue"):
        running.submit("true", queue="late")
    assert [running.state(i) for i in ids[:2]] == ["running"] * 2
    gate.touch()
    assert set(running.all_done(ids[:2]).values()) == {"success"}
    running.restart()
    assert running.info(ids[0])["result"] == "success"
    check_counters(running)
