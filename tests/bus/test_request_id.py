# SPDX-License-Identifier: LGPL-2.1-or-later
"""One request, sent as often as a client likes, makes its jobs once: while the first is on its way, after it, after a crash."""

import functools
import os
import random
import signal
import sqlite3
import time

import dbus
import pytest

import client
import conftest
from conftest import until

TRUE = ["/bin/true"]


def refused(running, what, *args):
    with pytest.raises(client.BusError) as e:
        running.call(what, *args)
    assert e.value.short == "InvalidSpec"
    return e.value.message


def test_same_again(running):
    first = running.call("Submit", "", TRUE, {"request_id": "r1", "name": "n"})
    assert first == (1, "/org/jobmill1/job/1")
    assert running.call("Submit", "default", TRUE, {"name": "n", "request_id": "r1"}) == first
    running.result(1)
    assert running.call("Submit", "", TRUE, {"request_id": "r1", "name": "n"}) == first
    assert running.call("Submit", "", TRUE, {"request_id": "r2", "name": "n"})[0] == 2
    assert len(running.jobs()) == 2
    assert "request_id" not in running.info(1)


def test_other_content_is_refused(running):
    running.call("Submit", "", TRUE, {"request_id": "r", "tags": {"a": "b"}})
    for queue, argv, options in (("other", TRUE, {"tags": {"a": "b"}}), ("", ["/bin/false"], {"tags": {"a": "b"}}),
                                 ("", TRUE, {}), ("", TRUE, {"tags": {"a": "c"}}),
                                 ("", TRUE, {"tags": {"a": "b"}, "priority": 1})):
        assert "request_id: 'r' was used for another request" in refused(running, "Submit", queue, argv,
                                                                         {"request_id": "r", **options})
    assert len(running.jobs()) == 1


def test_batch(running):
    jobs = [client.entry("", ["/bin/sh", "-c", "exit %d" % i]) for i in range(20)]
    jobs[0] = client.entry("", ["/bin/sh", "-c", "exit 0"], request_id="batch")
    ids = running.call("SubmitMany", jobs)
    assert ids == list(range(1, 21))
    assert running.call("SubmitMany", jobs) == ids
    assert "another request" in refused(running, "SubmitMany", jobs[:-1])
    assert "another request" in refused(running, "SubmitMany", jobs[:1] + jobs[2:] + jobs[1:2])
    assert "another request" in refused(running, "Submit", "", ["/bin/sh", "-c", "exit 0"], {"request_id": "batch"})
    assert len(running.jobs()) == 20
    bad = jobs[:2] + [client.entry("", TRUE, request_id="x")]
    message = refused(running, "SubmitMany", bad)
    assert "job 2" in message and "first job" in message


def test_failed_request_leaves_nothing(running):
    jobs = [client.entry("", TRUE, request_id="r"), client.entry("", TRUE, slots=99)]
    refused(running, "SubmitMany", jobs)
    running.call("DrainQueue", "default")
    with pytest.raises(client.BusError) as e:
        running.call("Submit", "", TRUE, {"request_id": "r"})
    assert e.value.short == "QueueDraining"
    running.call("ResumeQueue", "default")
    id_, _ = running.call("Submit", "", TRUE, {"request_id": "r"})
    # Whatever has become of the queue: it was answered.
    running.call("DrainQueue", "default")
    assert running.call("Submit", "", TRUE, {"request_id": "r"})[0] == id_


def test_many_at_once(running, session_client):
    """All in one turn of the daemon, the first ones before it knows their sender."""
    os.kill(running.process.pid, signal.SIGSTOP)
    pending = [session_client.start("Submit", "", TRUE, {"request_id": "r%d" % (i % 7)}) for i in range(119)]
    session_client.has_owner()  # by its answer the bus has passed on all that was sent before
    os.kill(running.process.pid, signal.SIGCONT)
    ids = [session_client.finish(p)[0] for p in pending]
    assert ids == ids[:7] * 17 and len(set(ids)) == 7
    assert len(running.jobs()) == 7


def test_from_another_connection(running, address):
    others = [client.Client(address) for _ in range(5)]
    pending = [(c, c.start("Submit", "", TRUE, {"request_id": "r"})) for c in others]
    assert len({c.finish(p)[0] for c, p in pending}) == 1
    for c in others:
        c.close()
    assert len(running.jobs()) == 1


@pytest.mark.root
def test_each_caller_has_his_own(mill, remotes):
    mill.queue("default", Slots=4, AllowUsers="daemon bin")
    running = mill.start()
    ids = [remotes(name).call("Submit", "", TRUE, {"request_id": "r"})[0] for name in ("daemon", "bin", "daemon")]
    assert ids[0] == ids[2] != ids[1]
    assert running.call("Submit", "", TRUE, {"request_id": "r"})[0] not in ids


@pytest.mark.root
def test_while_polkit_is_asked(mill, address, polkit):
    """Both wait for an answer about the same request."""
    mill.queue("default", Slots=4, AllowUsers="daemon bin")
    running = mill.start()
    one, other = (conftest.Remote(address, 1) for _ in range(2))
    polkit.do("mode", mode="hang")
    options = {"request_id": "r", "uid": 2}
    one.send("Submit", "", TRUE, options)
    other.send("Submit", "", TRUE, options)
    until(lambda: len(polkit.do("asked")) == 2, 5, "polkit is asked twice")
    polkit.do("mode", mode="allow")
    assert one.receive() == other.receive()
    one.close()
    other.close()
    assert len(running.jobs()) == 1


def test_restart_and_purge(running):
    id_, _ = running.call("Submit", "", TRUE, {"request_id": "r"})
    running.result(id_)
    running.call("PurgeJobs", {"ids": [id_]})
    running.stop()
    running.start()
    assert running.call("Submit", "", TRUE, {"request_id": "r"})[0] == id_
    assert running.jobs() == []


def test_a_day_later_it_is_forgotten(running):
    running.call("SubmitMany", [client.entry("", TRUE, request_id="old", hold=True)])
    running.call("SubmitMany", [client.entry("", TRUE, request_id="new", hold=True)])
    running.stop()
    db = sqlite3.connect(running.folder / "state/jobmill.db")
    day = 24 * 3600 * 10**6
    now = int(time.time() * 1e6)
    with db:
        db.execute("UPDATE receipt SET created_usec = ? WHERE request_id = 'old'", (now - day - 1000000,))
        db.execute("UPDATE receipt SET created_usec = ? WHERE request_id = 'new'", (now - day + 600 * 10**6,))
        # Many of that age: more than one turn forgets.
        db.executemany("INSERT INTO receipt VALUES (?, 1, 0, ?, 0, ?, NULL)",
                       [(-i, "x%d" % i, now - 2 * day) for i in range(1, 2001)])
    db.close()
    for _ in range(50):  # nobody else may look into the store while the daemon runs; in each turn it forgets some
        running.start()
        running.stop()
        db = sqlite3.connect(running.folder / "state/jobmill.db")
        if db.execute("SELECT count(*) FROM receipt").fetchone() == (1,):
            break
        db.close()
    assert db.execute("SELECT request_id FROM receipt").fetchall() == [("new",)]
    assert db.execute("SELECT sum(n) FROM receipt_count").fetchone() == (1,)
    db.close()
    running.start()
    assert running.call("SubmitMany", [client.entry("", TRUE, request_id="new", hold=True)]) == [2]
    assert running.call("SubmitMany", [client.entry("", TRUE, request_id="old", hold=True)]) == [3]


def test_full_drawer(running):
    """A caller with too many is refused; nothing is forgotten early."""
    running.call("Submit", "", TRUE, {"request_id": "r"})
    running.stop()
    db = sqlite3.connect(running.folder / "state/jobmill.db")
    with db:
        db.execute("UPDATE receipt_count SET n = 1000000 WHERE caller = ?", (os.geteuid(),))
    db.close()
    running.start()
    with pytest.raises(client.BusError) as e:
        running.call("Submit", "", TRUE, {"request_id": "s"})
    assert e.value.short == "TooMany" and "request_id" in e.value.message
    assert running.call("Submit", "", TRUE, {"request_id": "r"})[0] == 1
    assert running.submit("true") == 2


@pytest.mark.parametrize("seed", range(3))
def test_killed_before_it_could_answer(mill, systemd, session_client, seed):
    """kill -9 at any moment, a client that tries each request until it is answered: each makes its jobs once."""
    dice = random.Random(seed)
    mill.start()
    answers = {}
    kills = 0
    for n in range(12):
        request = [client.entry("", ["/bin/sh", "-c", "echo %d-%d >>%s/ran" % (n, i, mill.out)],
                                **({"request_id": "r%d" % n} if i == 0 else {})) for i in range(1 + n % 3)]
        for _ in range(10):
            pending = session_client.start("SubmitMany", dbus.Array(request, signature="a{sv}"))
            if dice.random() < 0.5:
                session_client.pump(dice.uniform(0, 0.004))
                mill.kill()
                kills += 1
                mill.start()
            try:
                answers[n] = session_client.finish(pending)
                break
            except client.BusError:
                pass
    assert kills > 3 and len(answers) == 12
    ids = [i for n in answers for i in answers[n]]
    assert len(ids) == len(set(ids)) == sum(1 + n % 3 for n in range(12))
    assert sorted(j["id"] for j in mill.jobs(fields=["id"])) == sorted(ids)
    mill.all_done(ids)
    starts = systemd.do("counts")["starts"]
    assert all(count == 1 for count in starts.values())
    ran = (mill.out / "ran").read_text().split()
    assert len(ran) == len(set(ran)) == len(starts)


def test_disk_full(mill, monkeypatch):
    """What was not recorded is not remembered."""
    # Python ignores SIGXFSZ; so shall the daemon here, that a write fails as on a full disk.
    monkeypatch.setattr(conftest, "spawn", functools.partial(conftest.spawn, restore_signals=False))
    running = mill.start()
    running.call("Submit", "", TRUE, {"request_id": "a"})
    limit = os.stat(running.folder / "state/jobmill.db-wal").st_size + 8192
    resource_limit(running.process.pid, limit)
    with pytest.raises(client.BusError) as e:
        running.call("SubmitMany", [client.entry("", TRUE, request_id="big", hold=True, payload=b"x" * 300000)])
    assert e.value.short in ("StorageFull", "StorageError")
    resource_limit(running.process.pid, -1)
    until(lambda: running.stats()["held"] == 0, 5)
    ids = running.call("SubmitMany", [client.entry("", TRUE, request_id="big", hold=True, payload=b"x" * 300000)])
    assert running.call("SubmitMany", [client.entry("", TRUE, request_id="big", hold=True, payload=b"x" * 300000)]) == ids
    assert running.stats()["held"] == 1


def resource_limit(pid, size):
    import resource
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, -1))
