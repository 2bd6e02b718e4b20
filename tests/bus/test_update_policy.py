# SPDX-License-Identifier: LGPL-2.1-or-later
"""Every key of the scheduling policy of a job that is there can be changed, one by one and of all jobs of a filter, moved or not; what is
stored then is what was asked for."""

import json
import sqlite3
import time

import dbus
import pytest

import client

LATER = int((time.time() + 3600) * 1e6)
# key: (value, where it is stored: a column, or None: the spec)
KEYS = {
    "stdout": ("spool", "output"),
    "verify": ("verdict", "verify"),
    "max_attempts": (5, "max_attempts"),
    "backoff": ("exponential", None),
    "backoff_base_usec": (3_000_000, None),
    "backoff_max_usec": (9_000_000, None),
    "backoff_jitter": (0.5, None),
    "retry_on": (["exit-code", "oom-kill"], None),
    "requeue_lost": (True, None),
    "memory_growth": (2.5, None),
    "deadline_usec": (LATER, "deadline_usec"),
    "keep_usec": (60_000_000, "keep_usec"),
}
TYPES = {"memory_growth": dbus.Double, "backoff_jitter": dbus.Double, "keep_usec": dbus.UInt64}


def typed(key, value):
    return TYPES[key](value) if key in TYPES else value


def stored(mill, id_):
    """The job's row, and its spec."""
    db = sqlite3.connect("file:%s?immutable=1" % (mill.folder / "state/jobmill.db"), uri=True)
    db.row_factory = sqlite3.Row
    row = dict(db.execute("SELECT * FROM job WHERE id = ?", [id_]).fetchone())
    spec = db.execute("SELECT ifnull((SELECT spec FROM job_spec WHERE job = ?1), (SELECT spec FROM array WHERE id = ?2))", [id_, row["array"]]).fetchone()[0]
    return row, json.loads(spec)


def check(mill, ids, without=()):
    mill.stop()
    for id_ in ids:
        row, spec = stored(mill, id_)
        for key, (value, column) in KEYS.items():
            if key not in without:
                assert (row[column] if column else spec[key]) == value, (id_, key)
    mill.start()
    mill.settled()


@pytest.fixture
def idle(mill):
    mill.queue("other", Slots=1, AllowUsers="*", Paused="yes")
    mill.start()
    mill.settled()
    mill.call("PauseQueue", "default")
    return mill


def test_one_by_one(idle):
    id_ = idle.submit("true")
    for key, (value, _) in KEYS.items():
        idle.call("UpdateJob", id_, {key: typed(key, value)})
    check(idle, [id_])
    info = idle.info(id_)
    assert (info["max_attempts"], info["verify"], info["stdout"], info["deadline_usec"]) == (5, "verdict", "spool", LATER)
    assert info["state"] == "ready"


def test_by_filter_and_moved(idle):
    ids = [idle.submit("true", tags={"t": "x"}) for _ in range(2)] + [idle.submit("true", hold=True, tags={"t": "x"}),
                                                                       idle.submit("true", tags={"t": "x"}, delay_usec=10**10)]
    apart = idle.submit("true")
    changes = {key: typed(key, value) for key, (value, _) in KEYS.items()}
    with pytest.raises(client.BusError) as e:  # too late for one that may only start later
        idle.call("UpdateJobs", {"tags": {"t": "x"}}, changes)
    assert e.value.short == "InvalidSpec" and "job %d:" % ids[3] in e.value.message and "3 jobs changed" in e.value.message
    idle.call("UpdateJob", ids[3], {"delay_usec": dbus.UInt64(1)})
    assert idle.call("UpdateJobs", {"tags": {"t": "x"}}, {**changes, "queue": "other"}) == 4
    assert [idle.info(i)["queue"] for i in ids] == ["other"] * 4 and idle.info(apart)["queue"] == "default"
    assert [idle.info(i)["state"] for i in ids[:3]] == ["ready", "ready", "held"]
    check(idle, ids)
    assert idle.info(apart)["max_attempts"] == 1
    assert idle.call("CheckIntegrity") == []


def test_of_an_array(idle):
    first = idle.submit("true", array=4, array_max_running=2)
    changes = {key: typed(key, value) for key, (value, _) in KEYS.items()}
    assert idle.call("UpdateJobs", {"array": dbus.UInt64(first)}, {**changes, "array_max_running": 3}) == 4
    idle.call("MoveJob", first + 1, "other")
    assert [idle.info(first + i)["state"] for i in range(4)] == ["ready"] * 3 + ["waiting"]
    assert [idle.info(first + i)["queue"] for i in range(4)] == ["default", "other", "default", "default"]
    check(idle, range(first, first + 4))
    assert idle.info(first)["array_max_running"] == 3 and idle.call("CheckIntegrity") == []


@pytest.mark.parametrize("change, word", [
    ({"verify": "maybe"}, "verify"), ({"stdout": "nowhere"}, "stdout"), ({"max_attempts": 0}, "max_attempts"), ({"backoff": "never"}, "backoff"),
    ({"backoff_jitter": dbus.Double(2)}, "backoff_jitter"), ({"retry_on": ["success"]}, "retry_on"), ({"memory_growth": dbus.Double(0.5)}, "memory_growth"),
    ({"deadline_usec": 1}, "deadline_usec"), ({"unique_key": "x" * 300}, "unique_key"), ({"unique_scope": "soon"}, "unique_scope"),
    ({"unique_policy": "return"}, "unique_policy"), ({"array": 3}, "array"), ({"array_max_running": 3}, "array_max_running"),
])
def test_nonsense_changes_nothing(idle, change, word):
    id_ = idle.submit("true")
    before = idle.info(id_)
    for call in (lambda: idle.call("UpdateJob", id_, change), lambda: idle.call("UpdateJobs", {"ids": [id_]}, change)):
        with pytest.raises(client.BusError) as e:
            call()
        assert e.value.short == "InvalidSpec" and word in e.value.message, e.value
    assert idle.info(id_) == before


def test_what_runs_takes_what_has_an_effect(running):
    id_ = running.submit("sleep 60")
    running.reach(id_, "running")
    for key, (value, _) in KEYS.items():
        if key in ("stdout", "verify", "deadline_usec"):
            with pytest.raises(client.BusError) as e:
                running.call("UpdateJob", id_, {key: typed(key, value)})
            assert e.value.short == "NotEditable" and key in e.value.message
        else:
            running.call("UpdateJob", id_, {key: typed(key, value)})
    with pytest.raises(client.BusError) as e:
        running.call("UpdateJob", id_, {"unique_key": "k"})
    assert e.value.short == "NotEditable"
    check(running, [id_], without=("stdout", "verify", "deadline_usec"))
    running.call("CancelJob", id_)
