# SPDX-License-Identifier: LGPL-2.1-or-later
"""Workers: what they are given and told, what becomes of jobs when connection, process or daemon go, and those that lie."""

import functools
import json
import os
import re
import resource
import signal
import subprocess
import sys

import pytest

import client
import conftest
import varlink
from conftest import ROOT, end, spawn, until
from tool import tool

EXAMPLE = re.search(r"```python\n(.*?)```", (ROOT / "docs/workers.md").read_text(), re.S)[1]

# Says what it is told on its standard output, and what it is told on its standard input is sent; so the process can go alone.
RELAY = """
import os, socket, sys, threading
def line():
    s = socket.socket(socket.AF_UNIX)
    s.connect(sys.argv[1])
    return s
s = line()
def out():
    while data := s.recv(65536):
        os.write(1, data)
threading.Thread(target=out, daemon=True).start()
while data := os.read(0, 65536):
    s.sendall(data)
"""


class Worker:
    """In this process."""

    def __init__(self, mill, **register):
        self.mill = mill
        self.orders = mill.connect()
        self.reports = mill.connect()
        register.setdefault("queues", ["w"])
        if "token" in register:
            del register["queues"]
        self.orders.send("Register", {"protocol": 1, **register}, more=True)
        self.token = self.told()["token"]

    def told(self, what=None):
        reply = self.orders.read()
        assert reply is not None and "error" not in reply, reply
        assert reply["continues"]
        return reply["parameters"][what] if what else reply["parameters"]

    def complete(self, job, **how):
        return self.reports.call("Complete", token=self.token, id=job["id"], attempt=job["attempt"], **how)

    def close(self):
        self.orders.close()
        self.reports.close()


class Relay(Worker):
    """In a process of its own."""

    def __init__(self, mill, **register):
        self.process = spawn([sys.executable, "-c", RELAY, str(mill.socket_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.buffer = b""
        self.mill = mill
        self.orders = self
        self.reports = mill.connect()
        self.process.stdin.write(varlink.Connection.message("Register", {"protocol": 1, "queues": ["w"], **register}, more=True))
        self.process.stdin.flush()
        self.token = self.told()["token"]

    def read(self):
        while b"\0" not in self.buffer:
            data = self.process.stdout.read1()
            assert data, "the relay is gone"
            self.buffer += data
        text, self.buffer = self.buffer.split(b"\0", 1)
        return varlink.json.loads(text)

    def close(self):
        end(self.process)
        self.reports.close()


@pytest.fixture
def mill_w(mill):
    mill.listen()
    mill.queue("w", Slots=10, AllowUsers="* daemon", Executor="worker")  # who is late with the end of a job is killed: here that is us
    mill.start()
    mill.settled()
    return mill


def refused(connection, short, method, **parameters):
    with pytest.raises(varlink.VarlinkError) as e:
        connection.call(method, **parameters)
    assert e.value.short == short, e.value


def reason(mill, id_):
    return mill.info(id_)["reason"]


def test_example(mill_w, tmp_path):
    assert len(EXAMPLE.splitlines()) <= 30 and max(map(len, EXAMPLE.splitlines())) <= 120
    (tmp_path / "worker.py").write_text(EXAMPLE)
    process = spawn([sys.executable, tmp_path / "worker.py", mill_w.socket_path, "w"])
    ids = [mill_w.submit(["a"] * n, "w") for n in (1, 2, 3)]
    assert [mill_w.result(i) for i in ids] == ["success"] * 3
    assert [varlink.json.loads(mill_w.info(i)["verdict"])["words"] for i in ids] == [1, 2, 3]
    mill_w.restart()
    assert mill_w.result(mill_w.submit(["b"], "w")) == "success"
    end(process)


def test_given(mill_w):
    id_ = mill_w.submit(["a", "b"], "w", payload=b"text", environment=["A=1"], name="n")
    assert reason(mill_w, id_) == "no worker serves queue w"
    w = Worker(mill_w, slots=2, name="me", metadata={"model": "m"})
    job = w.told("assign")
    assert (job["id"], job["attempt"], job["queue"], job["name"], job["slot_numbers"]) == (id_, 1, "w", "n", [0])
    assert job["job"]["argv"] == ["a", "b"] and job["job"]["payload"] == "text" and job["job"]["environment"] == ["A=1"]
    mill_w.reach(id_, "running")
    other, third = mill_w.submit(["c"], "w"), mill_w.submit(["d"], "w")
    second = w.told("assign")
    assert second["id"] == other and second["attempt_token"] != job["attempt_token"]
    until(lambda: reason(mill_w, third) == "workers are busy: 2 of 2", 5, "reason")

    assert w.reports.call("Progress", token=w.token, id=id_, attempt=1, status="40% of it") == {}
    assert mill_w.info(id_)["status"] == "40% of it" and mill_w.info(id_)["progress"] == 40
    w.complete(job, exit_status=7, error="no such thing", cpu_usec=5, memory_peak=6)
    info = mill_w.info(id_)
    assert (info["state"], info["result"], info["exit_status"], info["reason"]) == ("done", "exit-code", 7, "no such thing")
    assert (info["cpu_usec"], info["memory_peak"]) == (5, 6)
    assert w.told("assign")["id"] == third
    w.complete(second, verdict={"success": False})
    assert mill_w.result(other) == "verdict"
    w.close()


def test_another_connection(mill_w):
    """The older one is closed: an answer to another call over it would pass for the end of Register."""
    older = Worker(mill_w)
    newer = Worker(mill_w, token=older.token)
    assert older.orders.read() is None
    id_ = mill_w.submit(["a"], "w")
    newer.complete(newer.told("assign"))
    assert mill_w.result(id_) == "success"
    older.close()
    newer.close()


def test_list(mill_w):
    assert mill_w.call("ListWorkers") == [] and json.loads(tool(mill_w, "worker", "list", "-j")) == []
    w, r = Worker(mill_w, slots=3, name="Größe", metadata={"model": "m"}), Relay(mill_w)
    mill_w.submit(["a"], "w")
    w.told("assign")
    first, second = mill_w.call("ListWorkers")
    assert {k: first[k] for k in ("id", "name", "uid", "user", "pid", "queues", "slots", "slots_used", "jobs", "connected", "draining")} == {
        "id": 1, "name": "Größe", "uid": 0, "user": "root", "pid": os.getpid(), "queues": ["w"], "slots": 3, "slots_used": 1, "jobs": 1,
        "connected": True, "draining": False}
    assert json.loads(first["metadata"]) == {"model": "m"}
    assert second["pid"] == r.process.pid and "name" not in second and second["jobs"] == 0
    over_socket = w.reports.call("ListWorkers")["workers"]
    assert over_socket[0]["metadata"] == {"model": "m"} and [o["id"] for o in over_socket] == [1, 2]
    assert json.loads(tool(mill_w, "worker", "list", "-j"))[0]["metadata"] == {"model": "m"}
    w.orders.close()
    until(lambda: not mill_w.call("ListWorkers")[0]["connected"], 5, "it is away")
    lines = tool(mill_w, "worker", "list").splitlines()
    assert lines[0].split()[:2] == ["ID", "NAME"] and lines[1].split()[-1] == "away" and lines[2].split()[-1] == "connected"
    r.close()
    until(lambda: len(mill_w.call("ListWorkers")) == 1, 5, "it is gone")
    w.close()


def test_no_unit(mill_w):
    """What only a unit could give is refused by its name, also when a job is moved there."""
    for spec in ({"properties": ["Nice=5"]}, {"output_file": "/dev/null"}, {"freezable": True}):
        with pytest.raises(client.BusError) as e:
            mill_w.submit(["a"], "w", **spec)
        assert e.value.name.endswith("PropertyNotAllowed") and next(iter(spec)).split("=")[0] in str(e.value), e.value
    moved = mill_w.submit(["a"], "default", hold=True, properties=["Nice=5"])
    with pytest.raises(client.BusError) as e:
        mill_w.call("MoveJob", moved, "w")
    assert "Nice=5" in str(e.value)
    w = Worker(mill_w)
    id_ = mill_w.submit(["a"], "w")
    w.told("assign")
    for member, args in (("KillJob", [15]), ("FreezeJob", [])):
        with pytest.raises(client.BusError) as e:
            mill_w.call(member, id_, *args)
        assert e.value.name.endswith(("NotAllowed", "NotFreezable")), e.value
    assert "unit" not in mill_w.info(id_) and mill_w.info(id_)["worker"] == 1
    assert mill_w.job_properties(id_)["Unit"] == ""
    w.close()


def test_lies(mill_w):
    w, v = Worker(mill_w), Worker(mill_w)
    ids = [mill_w.submit(["a"], "w") for _ in range(2)]
    job, foreign = w.told("assign"), v.told("assign")
    c = w.reports
    what = {"id": job["id"], "attempt": 1}
    refused(c, "NoSuchWorker", "Complete", token="0" * 32, **what)
    refused(c, "NoSuchWorker", "Complete", token="x", **what)
    refused(c, "NoSuchAttempt", "Complete", token=w.token, id=foreign["id"], attempt=1)
    refused(c, "NoSuchAttempt", "Complete", token=w.token, id=job["id"], attempt=2)
    refused(c, "NoSuchAttempt", "Progress", token=w.token, id=99, attempt=1, status="x")
    refused(c, "InvalidParameter", "Complete", token=w.token, exit_status=256, **what)
    refused(c, "InvalidParameter", "Complete", token=w.token, exit_status=0, error="why", **what)
    refused(c, "InvalidParameter", "Complete", token=w.token, verdict=[], **what)
    refused(c, "InvalidParameter", "Progress", token=w.token, status="a\nb", **what)
    other = varlink.call_as(1, mill_w.socket_path, "Complete", {"token": w.token, **what})
    assert other["error"] == "org.jobmill.NoSuchWorker"
    assert [mill_w.state(i) for i in ids] == ["running"] * 2
    w.complete(job)
    refused(c, "AttemptFinished", "Complete", token=w.token, **what)
    assert mill_w.result(job["id"]) == "success"
    w.close()
    v.close()


def test_refused(mill_w):
    def refusal(short, more=True, **parameters):
        with mill_w.connect() as c:
            c.send("Register", {"protocol": 1, "queues": ["w"], **parameters}, more=more)
            assert c.read()["error"].rpartition(".")[2] == short
    refusal("ExpectedMore", more=False)
    refusal("InvalidParameter", protocol=2)
    refusal("InvalidParameter", queues=[])
    refusal("InvalidParameter", slots=0)
    refusal("InvalidParameter", name="a\nb")
    refusal("InvalidParameter", metadata={"a": "x" * 5000})
    refusal("NoSuchQueue", queues=["none"])
    refusal("NotAllowed", queues=["default"])
    refusal("NoSuchWorker", token="0" * 32)


def test_other_user(mill_w):
    """Jobs of others only where the file says so."""
    out = varlink.call_as(1, mill_w.socket_path, "Submit", {"job": {"queue": "w", "argv": ["a"]}})
    w = Worker(mill_w)
    id_ = out["parameters"]["id"]
    mine = mill_w.submit(["b"], "w")
    assert w.told("assign")["id"] == mine
    assert reason(mill_w, id_) == "no worker serves queue w"
    mill_w.queue("w", Slots=10, AllowUsers="* daemon", Executor="worker", WorkerUsers="root")
    mill_w.call("Reload")
    w.complete({"id": mine, "attempt": 1})
    job = w.told("assign")
    assert job["id"] == id_ and job["owner"] == 1
    w.close()


def test_cancel(mill_w):
    w = Worker(mill_w, slots=2)
    id_ = mill_w.submit(["a"], "w")
    job = w.told("assign")
    mill_w.call("CancelJob", id_)
    cancel = w.told("cancel")
    assert cancel == {"id": id_, "attempt": 1, "attempt_token": job["attempt_token"], "reason": "cancelled"}
    w.complete(job)
    assert mill_w.result(id_) == "cancelled"
    late = mill_w.submit(["b"], "w", timeout_usec=50_000)
    job = w.told("assign")
    assert w.told("cancel")["reason"] == "timeout"
    w.complete(job, exit_status=1)
    assert mill_w.result(late) == "timeout"
    w.close()


def test_drain(mill_w):
    w = Worker(mill_w, slots=2)
    id_ = mill_w.submit(["a"], "w")
    job = w.told("assign")
    refused(w.reports, "NoSuchWorker", "Drain", token="0" * 32)
    assert w.reports.call("Drain", token=w.token, idle=True) == {"attempts": 1} and not mill_w.call("ListWorkers")[0]["draining"]
    refused(w.reports, "InvalidParameter", "Complete", token=w.token, id=job["id"], attempt=1, result="unstarted")
    assert w.reports.call("Drain", token=w.token) == {"attempts": 1}
    late = mill_w.submit(["b"], "w")
    until(lambda: reason(mill_w, late) == "the workers of queue w take no more jobs", 5, "reason")
    mill_w.restart()
    assert mill_w.call("ListWorkers")[0]["draining"]
    w.reports = mill_w.connect()
    w.complete(job, result="unstarted")
    kept = Worker(mill_w)
    again = kept.told("assign")
    assert (again["id"], again["attempt"]) == (id_, 2)
    kept.complete(again)
    assert mill_w.result(id_) == "success"
    kept.complete(kept.told("assign"), exit_status=0, result="lost", error="why")
    assert mill_w.result(late) == "lost" and mill_w.info(late)["reason"] == "why"
    w.close()
    kept.close()


def test_needed_though_idle(mill_w):
    """Who would only end as it has nothing to do stays while a job lacks room: else nobody would be there when that is free."""
    mill_w.queue("n", Slots=2, AllowUsers="*", Executor="worker")
    mill_w.call("Reload")
    w = Worker(mill_w, queues=["n"])
    narrow = mill_w.submit(["a"], "n")
    job = w.told("assign")
    v = Worker(mill_w, queues=["n"], slots=2)
    assert v.reports.call("Drain", token=v.token, idle=True) == {"attempts": 0}
    v.close()
    v = Worker(mill_w, queues=["n"], slots=2)
    wide = mill_w.submit(["b"], "n", slots=2)
    assert v.reports.call("Drain", token=v.token, idle=True) == {"attempts": 1}
    w.complete(job)
    v.complete(v.told("assign"))
    assert [mill_w.result(i) for i in (narrow, wide)] == ["success"] * 2
    assert v.reports.call("Drain", token=v.token, idle=True) == {"attempts": 0}
    w.close()
    v.close()


def test_drained_by_somebody(mill_w):
    """It is told, also when it comes back."""
    w, v = Worker(mill_w), Worker(mill_w)
    assert tool(mill_w, "worker", "drain", "1") == ""
    assert w.told("drain") == {}
    late = mill_w.submit(["b"], "w")
    v.complete(v.told("assign"))
    assert mill_w.result(late) == "success" and [o["draining"] for o in mill_w.call("ListWorkers")] == [True, False]
    w.orders.close()
    back = Worker(mill_w, token=w.token)
    assert back.told("drain") == {}
    with pytest.raises(client.BusError) as e:
        mill_w.call("DrainWorker", 77)
    assert e.value.short == "NoSuchWorker"
    for o in w, v, back:
        o.close()


def test_ignored_cancel(mill_w):
    """It is killed, and with it goes what else it had."""
    w = Relay(mill_w, slots=2)
    ids = [mill_w.submit(["a"], "w", stop_timeout_usec=300_000) for _ in range(2)]
    for _ in ids:
        w.told("assign")
    mill_w.call("CancelJob", ids[0])
    w.told("cancel")
    assert [mill_w.result(i) for i in ids] == ["cancelled", "lost"]
    assert w.process.wait(30) == -signal.SIGKILL
    assert reason(mill_w, ids[1]) == "its worker is gone"
    w.close()


def test_process_gone(mill_w):
    w, v = Relay(mill_w), Worker(mill_w)
    v.orders.close()
    id_ = mill_w.submit(["a"], "w", requeue_lost=True, max_attempts=1)
    w.told("assign")
    w.process.kill()
    until(lambda: mill_w.info(id_)["state"] == "ready", 5, "it is ready again")
    assert reason(mill_w, id_) == "the workers of queue w are not connected"
    x = Worker(mill_w)
    job = x.told("assign")
    assert (job["id"], job["attempt"]) == (id_, 2)
    x.complete(job)
    assert mill_w.result(id_) == "success"
    x.close()
    w.close()


def test_unit_is_started(mill_w, systemd):
    """When nobody is there, and again when whoever came is gone; who is busy is there."""
    def starts():
        return systemd.do("counts")["calls"].get("StartUnit", 0)

    mill_w.queue("u", AllowUsers="*", Executor="worker", WorkerUnit="x.service")
    mill_w.call("Reload")
    ids = [mill_w.submit(["a"], "u") for _ in range(2)]
    until(lambda: reason(mill_w, ids[0]) == "x.service cannot be started, trying again: Unit x.service not found.", 5, lambda: reason(mill_w, ids[0]))
    systemd.do("unit", name="x.service", active="inactive")
    until(lambda: reason(mill_w, ids[1]) == "x.service is being started", 10, lambda: reason(mill_w, ids[1]))
    until(lambda: systemd.do("units")["x.service"]["active"] == "active", 5, "it is started")
    w = Relay(mill_w, queues=["u"])
    w.told("assign")
    assert reason(mill_w, ids[1]) == "workers are busy: 1 of 1"
    before = starts()
    w.close()
    assert mill_w.result(ids[0]) == "lost"
    until(lambda: starts() > before, 10, "it is asked for again")


def test_back(mill_w):
    """The connection goes, the process stays."""
    w = Worker(mill_w, slots=3)
    ids = [mill_w.submit(["a"], "w") for _ in range(2)]
    jobs = [w.told("assign") for _ in ids]
    w.orders.close()
    waiting = mill_w.submit(["b"], "w")
    until(lambda: reason(mill_w, waiting) == "the workers of queue w are not connected", 5, "reason")
    w.complete(jobs[0])
    mill_w.call("CancelJob", ids[1])
    assert mill_w.state(ids[1]) == "stopping"
    v = Worker(mill_w, token=w.token)
    assert v.token == w.token
    told = [v.told() for _ in range(3)]
    assert jobs[1]["attempt_token"] in [t["assign"]["attempt_token"] for t in told if "assign" in t]
    assert [t["cancel"]["id"] for t in told if "cancel" in t] == [ids[1]]
    assert waiting in [t["assign"]["id"] for t in told if "assign" in t]
    v.complete(jobs[1])
    assert [mill_w.result(i) for i in ids] == ["success", "cancelled"]
    w.close()
    v.close()


def test_token_of_another_process(mill_w):
    w = Worker(mill_w)
    r = Relay(mill_w)
    w.orders.close()
    w.orders = mill_w.connect()
    w.orders.send("Register", {"protocol": 1, "token": r.token}, more=True)
    reply = w.orders.read()
    assert reply["error"] == "org.jobmill.NoSuchWorker" and "continues" not in reply
    w.close()
    r.close()


@pytest.mark.parametrize("how", ["kill", "stop"])
def test_restart(mill_w, how):
    w, r = Worker(mill_w, slots=2), Relay(mill_w, queues=["w"])
    ids = [mill_w.submit(["a"], "w") for _ in range(3)]
    jobs = [w.told("assign") for _ in range(2)]
    gone = r.told("assign")
    getattr(mill_w, how)()
    r.process.kill()
    r.process.wait()
    mill_w.start()
    assert mill_w.result(gone["id"]) == "lost"
    assert [mill_w.state(j["id"]) for j in jobs] == ["running"] * 2
    w.orders.close()
    w.reports = mill_w.connect()
    w.complete(jobs[0])
    v = Worker(mill_w, token=w.token)
    assert v.told("assign")["attempt_token"] == jobs[1]["attempt_token"]
    v.complete(jobs[1])
    assert sorted(mill_w.result(i) for i in ids) == ["lost", "success", "success"]
    v.close()
    r.close()


def test_large_orders(mill_w):
    """More than may be unread: the others wait until it reads, and nobody waits for it."""
    ids = [mill_w.submit(["x"], "w", payload=b"y" * 400_000) for _ in range(6)]
    w = Worker(mill_w, slots=6)
    until(lambda: all(mill_w.state(i) == "running" for i in ids), 10, "they have its slots")
    jobs = [w.told("assign") for _ in ids]
    assert [j["id"] for j in jobs] == ids
    for j in jobs[1:]:
        w.complete(j)
    w.complete(jobs[0], error="two\nlines")
    assert mill_w.result(ids[0]) == "exit-code" and reason(mill_w, ids[0]) == "two lines"
    w.close()


def test_not_recorded(mill_w, monkeypatch):
    """What could not be recorded was not: neither a worker nor a result. Those that were there go on, and say it again."""
    monkeypatch.setattr(conftest, "spawn", functools.partial(conftest.spawn, restore_signals=False))  # SIGXFSZ is ignored
    mill_w.restart()
    w = Worker(mill_w, slots=2)
    id_ = mill_w.submit(["a"], "w")
    job = w.told("assign")
    mill_w.reach(id_, "running")
    refuser = mill_w.connect()
    resource.prlimit(mill_w.process.pid, resource.RLIMIT_FSIZE, (1, -1))
    refuser.send("Register", {"protocol": 1, "queues": ["w"]}, more=True)
    reply = refuser.read()
    assert reply["error"].startswith("org.jobmill.Storage") and "continues" not in reply, reply
    with pytest.raises(varlink.VarlinkError) as e:
        w.complete(job)
    assert e.value.short.startswith("Storage")
    resource.prlimit(mill_w.process.pid, resource.RLIMIT_FSIZE, (-1, -1))
    mill_w.settled()
    until(lambda: mill_w.state(id_) == "running", 5, "it runs still")
    assert [o["id"] for o in mill_w.call("ListWorkers")] == [1]
    w.complete(job)
    assert mill_w.result(id_) == "success"
    assert refuser.call("Statistics")["statistics"]["done"] == 1  # a connection as any other
    again = mill_w.submit(["b"], "w")
    while w.told("assign")["id"] != again:  # what it knows was sent again
        pass
    w.close()


def test_killed_again_and_again(mill_w, tmp_path):
    """Each job is worked on once, whenever the daemon is killed, and its result is not lost."""
    proof = tmp_path / "proof"
    text = EXAMPLE.replace('    return {"success"', '    open(%r, "a").write(job["job"]["argv"][0] + "\\n")\n    return {"success"' % str(proof))
    (tmp_path / "worker.py").write_text(text.replace("sleep(0.2)", "sleep(0.01)"))
    process = spawn([sys.executable, tmp_path / "worker.py", mill_w.socket_path, "w"])
    ids = []
    for i in range(3):
        ids += mill_w.submit_many([["%d-%d" % (i, k)] for k in range(15)], "w")
        until(lambda: proof.exists() and len(proof.read_text().split()) > 4 * (i + 1), 20, "some are done")
        mill_w.restart()
    mill_w.all_done(ids)
    assert sorted(proof.read_text().split()) == sorted("%d-%d" % (i, k) for i in range(3) for k in range(15))
    assert {(j["result"], j["attempt"]) for j in mill_w.jobs(queue=["w"], fields=["result", "attempt"])} == {("success", 1)}
    assert mill_w.call("ListWorkers")[0]["slots_used"] == 0
    end(process)
