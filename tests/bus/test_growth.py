# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a job costs the daemon is bounded, and what something costs must not depend on how many others there are: basic blocks of its code and steps of SQLite, counted
(tests/count/count.h), for a few and for ten times as many. A look at all of them for each one would make it ten times as much for each.
Only with a daemon that counts: JOBMILL_BUILD=build-crash. JOBMILL_GROWTH_FULL=1: with 10,000 live jobs, 1,000 queues, 1,000 readers of events and 1,000
waiting clients, workers and jobs in the foreground (make check TIER=growth); the memory that each one takes is printed."""

import collections
import os
import pathlib
import re
import resource
import shutil
import signal
import socket
import struct
import subprocess
import time

import dbus.bus
import pytest

import client
import varlink
from conftest import DAEMON, until

pytestmark = pytest.mark.skipif(DAEMON.exists() and b"JOBMILL_COUNT" not in DAEMON.read_bytes(), reason="the daemon does not count")
FULL = "JOBMILL_GROWTH_FULL" in os.environ
PATIENCE = 300 if FULL else 30


def sizes(check, full):
    """A few, and ten times as many."""
    n = full if FULL else check
    return n // 10, n


@pytest.fixture(autouse=True, scope="module")
def descriptors():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture
def counted(mill):
    mill.counts = mill.folder / "counts"
    mill.counts.write_bytes(bytes(32))
    mill.listen()
    return mill


def start(mill, **environment):
    (mill.folder / "config/jobmill.conf").write_text("[Daemon]\nWorkersMax=2000\nSocketConnectionsMax=8000\n")
    mill.start(JOBMILL_COUNT=str(mill.counts), **environment)
    mill.settled()


def memory(mill):
    """Bytes that it has allocated and not freed."""
    return struct.unpack("QQQQ", mill.counts.read_bytes())[3]


def idle(mill):
    """Until it has nothing to do."""
    def quiet():
        before = count(mill)
        time.sleep(0.05)
        return count(mill) == before
    until(quiet, PATIENCE, "it has nothing to do")


def told(what, n, cost, bytes_=0):
    print("%s among %d: %s%s" % (what, n, cost, ", %d bytes" % (bytes_ // n) if bytes_ else ""))


def count(mill):
    """(blocks, steps, allocations) so far."""
    return struct.unpack("QQQQ", mill.counts.read_bytes())[:3]


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
    for n in sizes(400, 1000):
        ids = held(counted, n)
        used = memory(counted)
        connections = [counted.connect() for _ in ids]
        before = count(counted)
        for c, id_ in zip(connections, ids):
            c.send("Wait", {"id": id_})
        until(lambda: counted.stats()["waits"] == n, PATIENCE, "they are read", interval=0.1)
        used = memory(counted) - used
        assert counted.call("CancelJobs", {"ids": ids}) == n
        assert {c.answer()["result"] for c in connections} == {"cancelled"}
        per_wait.append(taken(counted, before)[0] // n)
        told("a wait", n, per_wait[-1], used)
        for c in connections:
            c.close()
    alike("a wait", *per_wait)


def test_streams_of_events(counted):
    """Each event is read once, whoever is told of it; and who goes is not looked for among the others."""
    start(counted)
    blocks, steps, gone = [], [], []
    for n in sizes(300, 1000):
        used = memory(counted)
        streams = [counted.connect() for _ in range(n)]
        for s in streams:
            s.send("Events", more=True)
        for s in streams:
            s.answer()
        told("a reader of events", n, "connected", memory(counted) - used)
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
        until(lambda: len(list(fds_of(counted))) < 30, PATIENCE, "they are gone")
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
    for n in sizes(60, 1000):
        while len(connections) < n:
            c = dbus.bus.BusConnection(address)
            c.set_exit_on_disconnect(False)
            c.call_blocking(client.NAME, client.PATH, client.MANAGER, "Subscribe", "", ())
            connections.append(c)
        blocks.append(least(counted, lambda: held(counted, 1)))
    for c in connections:
        c.close()
    alike("a signal", *blocks, factor=1.2)


def test_queues(counted, systemd):
    """A turn does not look at queues in which nothing happens, whatever shuts them."""
    few, many = sizes(300, 1000)
    folder = counted.folder / "pressure"
    folder.mkdir()
    for name in "cpu", "memory", "io":
        (folder / name).write_text("some avg10=0.00 avg60=0.00 avg300=0.00 total=0\n")
    blocks, signals = [], []
    for n in few, many:
        for i in range(n):
            counted.queue("q%d" % i, Slots=1, AllowUsers="*", RateLimit="50/1h", KeepMax=1, MaxQueued=100, CPUPressureMax="90%", GateUnit="g%d.service" % i)
            systemd.do("unit", name="g%d.service" % i, active="active", sub="running")
        start(counted, JOBMILL_PRESSURE_PATH=str(folder))
        until(lambda: counted.queue_properties("q%d" % (n - 1))["Reason"] == "", PATIENCE, "the last gate is seen")
        idle(counted)
        ids = []
        before = count(counted)
        for _ in range(5):
            ids.append(counted.submit("true", queue="q0", hold=True))
        for id_ in ids:
            counted.call("CancelJob", id_)
        blocks.append(taken(counted, before)[0])
        told("ten turns", n, blocks[-1])
        before = count(counted)
        for name, state in [("g%d.service" % i, state) for state in ("inactive", "active") for i in range(few)]:
            systemd.do("unit", name=name, active=state, sub="dead" if state == "inactive" else "running")
        until(lambda: counted.queue_properties("q%d" % (few - 1))["Reason"] == "", PATIENCE, "its gate is open again", interval=0.2)
        signals.append(taken(counted, before)[0] // few)
        told("a gate that is shut and opened", n, signals[-1])
        counted.stop()
    counted.start()
    alike("ten turns", *blocks, factor=1.3)
    alike("a gate", *signals)


def test_pipelined_calls(counted):
    start(counted)
    blocks = []
    for n in sizes(1000, 10000):
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
    for n in sizes(200, 10000):
        for i in range(n):
            systemd.do("unit", name="jobmill-job-%d-1.service" % (1000 + i), active="active", sub="running")
        counted.counts.write_bytes(bytes(32))
        start(counted)
        until(lambda: counted.stats()["strays"] == n, PATIENCE, "they are counted", interval=0.2)
        blocks.append(count(counted)[0] // n)
        counted.kill()
    counted.start()
    alike("a unit", *blocks)


# ---- workers ----


class Worker:
    def __init__(self, mill, queue, slots=1):
        self.orders, self.reports = mill.connect(timeout=PATIENCE), mill.connect(timeout=PATIENCE)
        self.orders.send("Register", {"protocol": 1, "queues": [queue], "slots": slots}, more=True)
        self.token = self.orders.answer()["token"]

    def close(self):
        self.orders.close()
        self.reports.close()


def registered(mill):
    return len(mill.call("ListWorkers"))


@pytest.mark.parametrize("own", [False, True] if FULL else [True])
def test_workers(counted, own):
    """They come, each has a job, and completes it; and their connections go."""
    few, many = sizes(60, 1000)
    for i in range(many if own else 1):
        counted.queue("w%d" % i, AllowUsers="*", Executor="worker")
    costs = []
    for n in few, many:
        start(counted)
        names = ["w%d" % (i if own else 0) for i in range(n)]
        used, before, steps, descriptors = memory(counted), count(counted), [], len(list(fds_of(counted)))

        def step():
            nonlocal before
            steps.append(taken(counted, before)[0] // n)
            before = count(counted)

        workers = [Worker(counted, name) for name in names]
        used = memory(counted) - used
        step()
        ids = counted.call("SubmitMany", [client.entry(name, ["a"]) for name in names])
        given = [w.orders.answer()["assign"] for w in workers]
        assert sorted(a["id"] for a in given) == ids
        step()
        for w, a in zip(workers, given):
            w.reports.send("Complete", {"token": w.token, "id": a["id"], "attempt": 1})
        for w in workers:
            w.reports.answer()
        step()
        more = counted.call("SubmitMany", [client.entry(name, ["b"]) for name in names])
        assert sorted(w.orders.answer()["assign"]["id"] for w in workers) == more
        before = count(counted)
        for w in workers:
            w.close()
        until(lambda: len(list(fds_of(counted))) <= descriptors + n + 2, PATIENCE, "they are away")  # their process is held
        step()
        told("a worker that comes; is given a job; completes it; is away", n, steps, used)
        costs.append(steps)
        counted.kill()
        for name in "state", "run":
            shutil.rmtree(counted.folder / name)
            (counted.folder / name).mkdir()
        (counted.folder / "state").chmod(0o700)
    counted.start()
    for i, what in enumerate(("a worker that comes", "a job that is given", "a job that is completed", "a worker that is away")):
        alike(what, costs[0][i], costs[1][i])


# ---- in the foreground ----


class Runs:
    """Processes, each of which connected to the socket and gave the connection to us."""

    def __init__(self, mill, n):
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.pids, self.connections = [], []
        for _ in range(n):
            pid = os.fork()
            if pid == 0:
                try:
                    signal.alarm(2 * PATIENCE)
                    s = socket.socket(socket.AF_UNIX)
                    s.connect(str(mill.socket_path))
                    socket.send_fds(theirs, [b"x"], [s.fileno()])
                    while True:
                        signal.pause()
                finally:
                    os._exit(1)
            self.pids.append(pid)
            _, fds, _, _ = socket.recv_fds(ours, 1, 1)
            c = varlink.Connection.__new__(varlink.Connection)
            c.socket, c.buffer = socket.socket(fileno=fds[0]), b""
            c.socket.settimeout(PATIENCE)
            self.connections.append(c)
        ours.close()
        theirs.close()

    def end(self, i):
        pid, self.pids[i] = self.pids[i], 0
        if pid:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)

    def close(self):
        for i, c in enumerate(self.connections):
            c.close()
            self.end(i)


def answer_with(connection, key):
    while True:
        p = connection.answer()
        if key in p:
            return p[key]


def test_foreground(counted):
    """Each waits behind the others, has its turn, and goes."""
    counted.queue("one", Slots=1, AllowUsers="*")
    start(counted)
    costs = []
    for n in sizes(10, 1000):
        used, before, steps = memory(counted), count(counted), []

        def step():
            nonlocal before
            steps.append(taken(counted, before)[0] // n)
            before = count(counted)

        runs = Runs(counted, n)
        try:
            for i, c in enumerate(runs.connections):
                c.send("Run", {"protocol": 1, "token": "%032x" % (n * 10000 + i + 1), "job": {"argv": ["true"], "queue": "one"}}, more=True)
            ids = [c.answer()["id"] for c in runs.connections]
            turns = sorted(zip(ids, range(n)))
            for _, i in turns[1:]:
                answer_with(runs.connections[i], "waiting")
            used = memory(counted) - used
            step()
            for id_, i in turns:
                c = runs.connections[i]
                answer_with(c, "go")
                c.send("Exited", {"token": "%032x" % (n * 10000 + i + 1), "id": id_, "attempt": 1, "exit_status": 0})
                answer_with(c, "result")
                runs.end(i)
            step()
        finally:
            runs.close()
        told("a job in the foreground that waits; has its turn", n, steps, used)
        costs.append(steps)
        until(lambda: counted.stats()["connections"] == 0, PATIENCE, "they are gone")
    for i, what in enumerate(("a wait for its turn", "a turn")):
        alike(what, costs[0][i], costs[1][i])


# ---- live jobs ----


def test_live_jobs(counted):
    """What is done for one job, and what looks at all of them, among so many that run; and for each of these, though who has them does not listen."""
    counted.queue("many", AllowUsers="*", Executor="worker")
    start(counted)
    worker = Worker(counted, "many", 65536)
    costs, n_running = [], 0
    for n in sizes(1000, 10000):
        used, before, new = memory(counted), count(counted), n - n_running
        counted.submit_many([["a"]] * new, queue="many", tags={"a": "b"})
        until(lambda: counted.stats()["running"] == n, PATIENCE, "they run", interval=0.1)
        steps = [("a start", taken(counted, before)[0] // new, taken(counted, before)[1] // new)]
        used = memory(counted) - used
        n_running = n

        def cost(what, run, k=1):
            before = count(counted)
            run()
            blocks, sql = taken(counted, before)[:2]
            steps.append((what, blocks // k, sql // k))

        def some_jobs():
            for _ in range(10):
                counted.result(counted.submit(["true"]), PATIENCE)

        cost("a job, while nobody reads", some_jobs, 10)
        for _ in range(new):
            worker.orders.answer()
        cost("a job", some_jobs, 10)
        cost("a page of what runs", lambda: counted.call("ListJobs", {"state": "running"}, "", 20))
        cost("a page of a tag", lambda: counted.call("ListJobs", {"tags": {"a": "b"}}, "", 20))
        cost("statistics", counted.stats)
        cost("metrics", lambda: counted.call("GetMetrics"))
        told("live jobs", n, steps, used)
        costs.append(steps)
    before = count(counted)
    assert counted.call("CancelJobs", {"queue": "many"}) == n_running
    told("a cancel", n_running, taken(counted, before)[0] // n_running)
    before = count(counted)
    worker.close()
    counted.restart()
    for (what, few, sql_few), (_, many, sql_many) in zip(*costs):
        alike(what, few, many)
        alike(what + ", in SQLite", sql_few + 100, sql_many + 100)


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

    def run(n=n):
        starts = len(systemd.do("counts")["starts"]) + n
        counted.submit_many([["true"]] * n)
        until(lambda: len(systemd.do("counts")["starts"]) == starts and not systemd.do("units"), 20, "all are released", interval=0.1)

    run(20)
    before = count(counted)
    run()
    blocks, steps, allocations = [c / n for c in taken(counted, before)]
    print("a job: %.0f blocks, %.0f steps, %.0f allocations" % (blocks, steps, allocations))
    assert blocks <= 18000 and steps <= 1400 and allocations <= 800
    assert {j["result"] for j in counted.jobs()} == {"success"}
    if shutil.which("strace"):
        calls = system_calls(counted, run)
        print("a job: %.1f system calls: %s" % (calls.total() / n, ", ".join("%s %.1f" % (k, v / n) for k, v in calls.most_common())))
        assert calls.total() / n <= 70


def test_burst(counted, systemd):
    """What the manager said while the daemon did not look is not a round of the loop for each signal."""
    start(counted)
    systemd.do("unit", name="other.service", active="active", sub="running")
    idle(counted)
    n, pid = 60, counted.process.pid

    def run():
        os.kill(pid, signal.SIGSTOP)
        for _ in range(n):
            systemd.do("unit", name="other.service", active="active", sub="running")
        os.kill(pid, signal.SIGCONT)
        idle(counted)

    if shutil.which("strace"):
        calls = system_calls(counted, run)
        assert calls["recvmsg"] >= 2 * n
        assert calls["epoll_wait"] <= n // 2
