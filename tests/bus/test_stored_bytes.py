# SPDX-License-Identifier: LGPL-2.1-or-later
"""StoredBytesPerUserMax=: what one user's records take in the database, of jobs that live and of those that are done. One who has so much submits nothing
until he has purged some, and nobody else notices; what he was promised before is kept, whatever it takes."""

import contextlib
import json
import os

import pytest

import client
import varlink
from conftest import until
from test_check import edit, kinds
from test_limits_of_users import DAEMON, as_daemon, configured, refused
from tool import tool

LIMIT = 65536
HELD = {"hold": True}


def stored(user):
    return int(user.call("GetStatistics")["user_bytes"])


def filled(mill, user, spare=0):
    """The payload of a job that leaves the user just so much room; one is there already, which says what such a job takes."""
    user.call("Submit", "", ["true"], {**HELD, "payload": ""})
    return "x" * (LIMIT - 2 * stored(user) - spare)


@pytest.mark.root
@pytest.mark.parametrize("road", ["bus", "socket", "many", "flow"])
def test_at_the_limit(mill, remotes, road):
    configured(mill, True, StoredBytesPerUserMax="64K")
    user = remotes("daemon")
    payload = filled(mill, user)

    def submit(payload):
        job = {"argv": ["true"], "hold": True, "payload": payload}
        if road == "bus":
            return user.call("Submit", "", ["true"], {**HELD, "payload": payload})[0]
        if road == "many":
            return user.call("SubmitMany", [{"argv": ["true"], **HELD, "payload": payload}])[0]
        if road == "flow":
            return user.call("SubmitFlow", json.dumps({"jobs": [{"name": "a", **job}]}))[1]["a"]
        r = varlink.call_as(DAEMON, mill.socket_path, "Submit", {"job": job})
        if "error" in r:
            raise client.BusError(client.ERROR + r["error"].rpartition(".")[2], r["parameters"]["message"])
        return r["parameters"]["id"]

    before = stored(user)
    with pytest.raises(client.BusError) as e:
        submit(payload + "y")
    assert e.value.short == "TooMany" and stored(user) == before
    for word in ("(StoredBytesPerUserMax=)", "user %d" % DAEMON, "takes %d bytes" % before, "%d more" % (LIMIT - before + 1), "at most %d" % LIMIT, "purged", "Keep="):
        assert word in e.value.message, e.value.message
    id_ = submit(payload)
    assert stored(user) == LIMIT
    assert "(StoredBytesPerUserMax=)" in refused(user, "TooMany", "Submit", "", ["true"], HELD)

    # Others, and root, are none of his; his are as they were, also after a restart.
    assert remotes("bin").call("Submit", "", ["true"], {**HELD, "payload": payload})[0] > id_
    for _ in range(3):
        mill.submit("true", payload=b"x" * LIMIT, hold=True)
    assert "user_bytes_max" not in mill.stats() and int(user.call("GetStatistics")["user_bytes_max"]) == LIMIT
    mill.restart()
    mill.settled()
    assert stored(user) == LIMIT and "(StoredBytesPerUserMax=)" in refused(user, "TooMany", "Submit", "", ["true"], HELD)
    assert kinds(mill) == []

    # What is cancelled is still there, what is purged is not.
    user.call("CancelJob", id_)
    assert "(StoredBytesPerUserMax=)" in refused(user, "TooMany", "Submit", "", ["true"], HELD)
    assert user.call("PurgeJobs", {"ids": [id_]}) == 1
    assert stored(user) == before
    submit(payload)
    assert stored(user) == LIMIT and kinds(mill) == []


@pytest.mark.root
def test_batches_are_taken_whole(mill, remotes):
    """Or not at all; and an array is its jobs and one spec."""
    configured(mill, StoredBytesPerUserMax="64K")
    user = remotes("daemon")
    user.call("Submit", "", ["true"], HELD)
    one = stored(user)
    n = LIMIT // one - 1
    assert "job %d: " % n in refused(user, "TooMany", "SubmitMany", [{"argv": ["true"], **HELD}] * (n + 1))
    assert stored(user) == one and mill.stats()["held"] == 1
    assert len(user.call("SubmitMany", [{"argv": ["true"], **HELD}] * n)) == n
    assert stored(user) == one * (n + 1) <= LIMIT
    user.call("CancelJobs", {"state": "held"})
    assert user.call("PurgeJobs", {"state": "done"}) == n + 1
    assert stored(user) == 0
    assert "(StoredBytesPerUserMax=)" in refused(user, "TooMany", "Submit", "", ["true"], {**HELD, "array": LIMIT // 512})
    user.call("Submit", "", ["true"], {**HELD, "array": LIMIT // 512 - 1})
    assert LIMIT - 512 < stored(user) <= LIMIT
    assert kinds(mill) == []


@pytest.mark.root
def test_requests_of_one_turn(mill, remotes):
    """They count before they are recorded: of many that come at once so many are taken as one after the other."""
    configured(mill, True, StoredBytesPerUserMax="64K")
    user = remotes("daemon")
    user.call("Submit", "", ["true"], HELD)
    one = stored(user)
    with as_daemon():
        c = mill.connect()
    with c:
        for _ in range(100 + LIMIT // one):
            c.send("Submit", {"job": {"argv": ["true"], "hold": True}})
        answers = [c.read() for _ in range(100 + LIMIT // one)]
    taken = [a for a in answers if "error" not in a]
    assert len(taken) == LIMIT // one - 1 and stored(user) == one * (LIMIT // one)
    assert all(a["error"] == "org.jobmill.TooMany" for a in answers if "error" in a)


@pytest.mark.root
def test_what_makes_jobs_larger(mill, remotes):
    """A change, another attempt, a schedule: none of it goes beyond."""
    configured(mill, StoredBytesPerUserMax="64K")
    user = remotes("daemon")
    done = user.call("Submit", "", ["false"], {})[0]
    until(lambda: mill.state(done) == "done", 10, done)
    user.call("SetSchedule", "s", {"OnCalendar": ["daily"], "Job": {"argv": ["true"]}})
    small = user.call("Submit", "", ["true"], {**HELD, "payload": ""})[0]
    large = user.call("Submit", "", ["true"], {**HELD, "payload": "x" * (LIMIT - stored(user) - 1000)})[0]
    assert LIMIT - 1000 <= stored(user) <= LIMIT
    room = LIMIT - stored(user)
    for payload in ("y" * (room + 1), "y" * room):
        if len(payload) > room:
            assert "(StoredBytesPerUserMax=)" in refused(user, "TooMany", "UpdateJob", small, {"payload": payload})
            assert "(StoredBytesPerUserMax=)" in refused(user, "TooMany", "UpdateJobs", {"ids": [small]}, {"payload": payload})
        else:
            user.call("UpdateJob", small, {"payload": payload})
    assert stored(user) == LIMIT
    assert "(StoredBytesPerUserMax=)" in refused(user, "TooMany", "RetryJob", done, {})
    assert "(StoredBytesPerUserMax=)" in refused(user, "TooMany", "RetryJobs", {"ids": [done]}, {})
    assert "(StoredBytesPerUserMax=)" in refused(user, "TooMany", "SetSchedule", "t", {"OnCalendar": ["daily"], "Job": {"argv": ["true"]}})
    assert "(StoredBytesPerUserMax=)" in refused(user, "TooMany", "SetSchedule", "s", {"Job": {"argv": ["true", "x"]}})
    assert "(StoredBytesPerUserMax=)" in refused(user, "TooMany", "FireSchedule", "s")
    assert "(StoredBytesPerUserMax=)" in refused(user, "TooMany", "UpdateJob", small, {"tags": {"a": "x"}})

    # What takes no more is done: other numbers, a smaller payload, a schedule that is paused.
    user.call("UpdateJob", small, {"priority": 7})
    user.call("UpdateJob", large, {"payload": "x"})
    user.call("PauseSchedule", "s")
    user.call("RetryJob", done, {})
    assert kinds(mill) == []


@pytest.mark.root
def test_refused_for_something_else(mill, remotes):
    """What is not stored after all leaves its room, although nothing is recorded meanwhile."""
    configured(mill, StoredBytesPerUserMax="64K")
    user = remotes("daemon")
    id_ = user.call("Submit", "", ["true"], HELD)[0]
    before = stored(user)
    for _ in range(3):
        refused(user, "InvalidSpec", "UpdateJob", id_, {"payload": "x" * 40000, "slots": 100})
        assert stored(user) == before
        refused(user, "TooMany", "SubmitMany", [{"argv": ["true"], **HELD, "payload": "x" * 40000}] * 2)
        assert stored(user) == before
    user.call("UpdateJob", id_, {"payload": "x" * 40000})


@pytest.mark.root
def test_arrays_that_become_jobs(mill, remotes):
    """One of an array that is changed has a spec and a payload of its own from then on."""
    configured(mill, StoredBytesPerUserMax="64K")
    user = remotes("daemon")
    first = user.call("Submit", "", ["true"], {**HELD, "array": 10, "payload": "x" * 20000})[0]
    before = stored(user)
    user.call("UpdateJob", first, {"tags": {"a": "x"}})
    assert before + 20000 < stored(user) < before + 21000
    message = refused(user, "TooMany", "UpdateJobs", {"ids": list(range(first + 1, first + 10))}, {"tags": {"a": "x"}})
    assert "(StoredBytesPerUserMax=)" in message and LIMIT - 20500 < stored(user) <= LIMIT
    assert kinds(mill) == []


@pytest.mark.root
def test_what_was_taken_on_is_kept(mill, remotes):
    """Outcome, verdict and output of jobs that were there when it was full are recorded, and count."""
    configured(mill, StoredBytesPerUserMax="64K")
    user = remotes("daemon")
    running = user.call("Submit", "", ["/bin/sh", "-c", "until [ -e %s/go ]; do sleep 0.05; done; head -c 4000 /dev/zero | tr '\\0' o;"
                                       " echo; echo '{\"success\": false, \"n\": \"%s\"}'" % (mill.folder, "v" * 4000)], {"verify": "verdict", "max_attempts": 3})[0]
    mill.folder.chmod(0o755)
    mill.reach(running, "running")
    user.call("Submit", "", ["true"], {**HELD, "payload": filled(mill, user, spare=0)})
    assert stored(user) <= LIMIT
    (mill.folder / "go").touch()
    until(lambda: mill.state(running) == "done", 20, running)
    info = user.call("GetJobInfo", running)
    assert info["attempt"] == 3 and json.loads(info["verdict"])["n"] == "v" * 4000 and len(info["io"]["stdout"]) > 4000
    assert stored(user) > LIMIT + 3 * 6000
    assert "(StoredBytesPerUserMax=)" in refused(user, "TooMany", "Submit", "", ["true"], HELD)
    assert user.call("PurgeJobs", {"ids": [running]}) == 1
    assert stored(user) <= LIMIT and kinds(mill) == []


@pytest.mark.root
def test_other_limits(mill, remotes):
    """It may be raised, and lowered below what there is."""
    configured(mill, StoredBytesPerUserMax="64K")
    user = remotes("daemon")
    payload = filled(mill, user)
    refused(user, "TooMany", "Submit", "", ["true"], {**HELD, "payload": payload + "y"})
    for value, fits in (("128K", True), ("64K", False), ("infinity", True)):
        (mill.folder / "config/jobmill.conf").write_text("[Daemon]\nStoredBytesPerUserMax=%s\n" % value)
        mill.call("Reload")
        if fits:
            user.call("Submit", "", ["true"], {**HELD, "payload": payload + "y"})
        else:
            refused(user, "TooMany", "Submit", "", ["true"], HELD)
    assert "user_bytes_max" not in user.call("GetStatistics")
    text = tool(mill, "stats")
    assert "    Mine: 0B are stored" in text or "Mine: " in text
    assert json.loads(tool(mill, "stats", "-j"))["user_bytes"] == mill.stats()["user_bytes"]


@pytest.mark.root
def test_environments_of_two_users(mill, remotes):
    """The same content is each one's own."""
    configured(mill)
    sizes = []
    for name in ("daemon", "bin", "daemon"):
        before = stored(remotes(name))
        remotes(name).call("Submit", "", ["true"], {**HELD, "environment": ["A=" + "x" * 5000]})
        sizes.append(stored(remotes(name)) - before)
    assert sizes[0] == sizes[1] > 5000 > sizes[2]
    assert kinds(mill) == []


@pytest.mark.root
def test_sums_that_are_wrong(mill, remotes):
    """A repair counts anew, and what was refused for it is taken."""
    configured(mill, StoredBytesPerUserMax="64K")
    user = remotes("daemon")
    user.call("Submit", "", ["true"], HELD)
    right = stored(user)
    edit(mill, "UPDATE room SET bytes = 70000")
    mill.settled()
    refused(user, "TooMany", "Submit", "", ["true"], HELD)
    assert kinds(mill) == [("room", None)]
    mill.call("Repair")
    assert stored(user) == right and kinds(mill) == []
    user.call("Submit", "", ["true"], HELD)
