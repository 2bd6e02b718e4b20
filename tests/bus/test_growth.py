# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a job costs the daemon is bounded, and what something costs must not depend on how many others there are: basic blocks of its code and steps of SQLite, counted
(tests/count/count.h), for a few and for ten times as many. A look at all of them for each one would make it ten times as much for each.
Only with a daemon that counts: JOBMILL_BUILD=build-crash."""

import collections
import pathlib
import re
import shutil
import struct
import subprocess

import dbus.bus
import pytest

import client
from conftest import DAEMON, until

pytestmark = pytest.mark.skipif(DAEMON.exists() and b"JOBMILL_COUNT" not in DAEMON.read_bytes(), reason="the daemon does not count")


@pytest.fixture
def counted(mill):
    mill.counts = mill.folder / "counts"
    mill.counts.write_bytes(bytes(24))
    mill.listen()
    return mill


def start(mill):
    mill.start(JOBMILL_COUNT=str(mill.counts))
    mill.settled()


def count(mill):
    """(blocks, steps, allocations) so far."""
    return struct.unpack("QQQ", mill.counts.read_bytes())


def taken(mill, before):
    return [b - a for a, b in zip(before, count(mill))]


def alike(what, few, many, factor=2):
    """Of one, among a few and among ten times as many; or of all, with the numbers of them."""
    assert 0 < many <= factor * few, "%s: %d among a few, %d among ten times as many" % (what, few, many)


def least(mill, run, times=3):
    """Blocks that run() takes: what happens beside it, as a tick, an answer of systemd's, or a look at the status, is not its own."""
    taken_by = []
    for _ in range(times):
        before = count(mill)
        run()
        taken_by.append(taken(mill, before)[0])
    return min(taken_by)


def held(mill, n):
    return mill.submit_many([["true"]] * n, hold=True)


def test_waiting_clients(counted):
    """Each wait begins, and ends with its job."""
    start(counted)
    per_wait = []
    for n in 40, 400:
        ids = held(counted, n)
        connections = [counted.connect() for _ in ids]
        before = count(counted)
        for c, id_ in zip(connections, ids):
            c.send("Wait", {"id": id_})
        until(lambda: count(counted)[0] > before[0] + n * 10, 5, "they are read")
        assert counted.call("CancelJobs", {"ids": ids}) == n
        assert {c.answer()["result"] for c in connections} == {"cancelled"}
        per_wait.append(taken(counted, before)[0] // n)
        for c in connections:
            c.close()
    alike("a wait", *per_wait)


def test_streams_of_events(counted):
    """Each event is read once, whoever is told of it; and who goes is not looked for among the others."""
    start(counted)
    blocks, steps, gone = [], [], []
    for n in 30, 300:
        streams = [counted.connect() for _ in range(n)]
        for s in streams:
            s.send("Events", more=True)
        for s in streams:
            s.answer()
        before = count(counted)
        (id_,) = held(counted, 1)
        for s in streams:
            assert s.answer()["events"][0]["id"] == id_
        new = taken(counted, before)
        blocks.append(new[0] // n)
        steps.append(new[1])
        before = count(counted)
        for s in streams:
            s.close()
        until(lambda: len(list(fds_of(counted))) < 30, 10, "they are gone")
        gone.append(taken(counted, before)[0] // n)
    alike("an event for one of the streams", *blocks)
    alike("an event for SQLite", *steps)
    alike("an end", *gone)


def fds_of(mill):
    return pathlib.Path("/proc/%d/fd" % mill.process.pid).iterdir()


def test_subscribers(counted, address):
    """A signal goes out once."""
    start(counted)
    blocks, connections = [], []
    for n in 6, 60:
        while len(connections) < n:
            c = dbus.bus.BusConnection(address)
            c.set_exit_on_disconnect(False)
            c.call_blocking(client.NAME, client.PATH, client.MANAGER, "Subscribe", "", ())
            connections.append(c)
        blocks.append(least(counted, lambda: held(counted, 1)))
    for c in connections:
        c.close()
    alike("a signal", *blocks, factor=1.2)


def test_queues(counted):
    """A turn does not look at queues in which nothing happens."""
    for i in range(400):
        counted.queue("q%d" % i, Slots=1, AllowUsers="*", RateLimit="5/1h", KeepMax=1, MaxQueued=100)
    blocks = []
    for n in 40, 400:
        for i in range(n, 400):
            (counted.folder / ("config/queues/q%d.queue" % i)).unlink()
        if n == 400:
            for i in range(400):
                counted.queue("q%d" % i, Slots=1, AllowUsers="*", RateLimit="5/1h", KeepMax=1, MaxQueued=100)
        start(counted)

        def turns():
            for id_ in [counted.submit("true", queue="q0", hold=True) for _ in range(5)]:
                counted.call("CancelJob", id_)

        blocks.append(least(counted, turns))
        counted.stop()
    counted.start()
    alike("ten turns", *blocks, factor=1.3)


def test_pipelined_calls(counted):
    start(counted)
    blocks = []
    for n in 100, 1000:
        with counted.connect() as c:
            before = count(counted)
            c.socket.sendall(c.message("Submit", {"job": {"argv": ["true"], "hold": True}}) * n)
            for _ in range(n):
                c.answer()
            blocks.append(taken(counted, before)[0] // n)
    alike("a call", *blocks)


def test_unknown_units(counted, systemd):
    """As after an old copy of the store was put back: each one is read, and adopted."""
    blocks = []
    for n in 20, 200:
        for i in range(n):
            systemd.do("unit", name="jobmill-job-%d-1.service" % (1000 + i), active="active", sub="running")
        counted.counts.write_bytes(bytes(24))
        start(counted)
        until(lambda: counted.stats()["strays"] == n, 20, "they are counted", interval=0.2)
        blocks.append(count(counted)[0] // n)
        counted.kill()
    counted.start()
    alike("a unit", *blocks)


def system_calls(mill, run):
    """How many of the daemon's there are in run()."""
    path = mill.folder / "strace"
    strace = subprocess.Popen(["strace", "-f", "-q", "-o", str(path), "-p", str(mill.process.pid)])
    until(lambda: "TracerPid:\t0" not in pathlib.Path("/proc/%d/status" % mill.process.pid).read_text(), 10, "it is traced")
    run()
    strace.terminate()
    strace.wait()
    return collections.Counter(re.findall(r"^\d+ +(\w+)\(", path.read_text(), re.M))


def test_one_job(counted, systemd):
    """As docs/performance.md has it, with some room: how many jobs share a commit depends on the machine."""
    counted.queue("default", Slots=16, AllowUsers="*")
    start(counted)
    n = 100

    def run():
        starts = len(systemd.do("counts")["starts"]) + n
        counted.submit_many([["true"]] * n)
        until(lambda: len(systemd.do("counts")["starts"]) == starts and not systemd.do("units"), 20, "all are released", interval=0.1)

    run()
    before = count(counted)
    run()
    blocks, steps, allocations = [c / n for c in taken(counted, before)]
    print("a job: %.0f blocks, %.0f steps, %.0f allocations" % (blocks, steps, allocations))
    assert blocks <= 18000 and steps <= 1300 and allocations <= 800
    assert {j["result"] for j in counted.jobs()} == {"success"}
    if shutil.which("strace"):
        calls = system_calls(counted, run)
        print("a job: %.1f system calls: %s" % (calls.total() / n, ", ".join("%s %.1f" % (k, v / n) for k, v in calls.most_common())))
        assert calls.total() / n <= 85
