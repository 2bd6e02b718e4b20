# SPDX-License-Identifier: LGPL-2.1-or-later
"""Durable workers, adapters: what they keep of an attempt, and what becomes of it when they, or the daemon, go and come back; and queues of one."""

import json
import signal
import sys

import pytest

import client
from conftest import DAEMON, ROOT, end, spawn, until
from test_worker import Relay, Worker, reason, refused
from tool import tool

ADAPTER = """[Adapter]
Unit=jobmill-engine.service
Options=Partition Account
Takes=output_file MemoryMax
"""


@pytest.fixture
def mill_d(mill):
    mill.listen()
    mill.queue("w", Slots=10, AllowUsers="* daemon", Executor="worker", WorkerUsers="root")
    mill.start()
    mill.settled()
    return mill


def durable(mill, kind=Worker, **register):
    return kind(mill, durable=True, **{"name": "engine", "slots": 10, **register})


def keep(worker, job, **what):
    return worker.reports.call("Keep", token=worker.token, id=job["id"], attempt=job["attempt"], **what)


def listed(mill):
    return {w["name"]: w for w in mill.call("ListWorkers")}


def test_example(mill_d, tmp_path):
    """The one of the docs, with an engine that is a folder; it dies in the middle, and nothing is asked for twice."""
    folder, proof = tmp_path / "engine", tmp_path / "proof"
    folder.mkdir()
    ids = [mill_d.submit([str(proof), what], "w") for what in ("yes", "die", "no", "die", "yes")]

    def begin():
        return spawn([sys.executable, ROOT / "tests/system/adapter.py", mill_d.socket_path, ROOT / "docs/adapters.md", "w", folder])

    process = begin()
    for _ in range(2):
        until(lambda: process.poll() is not None, 10, "it dies")
        process = begin()
    assert [mill_d.result(i) for i in ids] == ["success", "success", "exit-code", "success", "success"]
    assert sorted(proof.read_text().splitlines()) == sorted("%d 1" % i for i in ids)
    end(process)


def test_kept(mill_d):
    """It is starting until the engine runs it, and what is kept is there at once and for ever."""
    id_ = mill_d.submit(["a"], "w")
    w = durable(mill_d)
    job = w.told("assign")
    assert job["options"] == {} and "engine" not in job
    assert mill_d.state(id_) == "starting"
    assert keep(w, job, engine={"name": "n", "id": 7}) == {}
    assert json.loads(mill_d.info(id_)["engine"]) == {"name": "n", "id": 7} and mill_d.state(id_) == "starting"
    created = mill_d.call("ListAttempts", id_)[0]["created_usec"]
    keep(w, job, started_usec=created - 10**6)  # by a clock that is late
    info = mill_d.info(id_)
    assert info["state"] == "running" and info["started_usec"] == created
    w.complete(job, exit_status=3, cpu_usec=5, finished_usec=created + 1000, stdout="o", stderr="e")
    info = mill_d.info(id_)
    assert (info["result"], info["exit_status"], info["runtime_usec"], info["io"]) == ("exit-code", 3, 1000, {"stdout": "o", "stderr": "e"})
    assert json.loads(mill_d.info(id_)["engine"]) == {"name": "n", "id": 7}
    shown = json.loads(tool(mill_d, "show", "-j", id_))[0]
    assert shown["engine"] == shown["attempts"][0]["engine"] == {"name": "n", "id": 7}
    row = json.loads(tool(mill_d, "worker", "list", "-j"))[0]
    assert (row["durable"], row["away_usec"], row["adapter"]) == (True, None, None)
    w.close()


def test_never_seen_to_run(mill_d):
    """It ended while nobody looked."""
    ids = [mill_d.submit(["a"], "w") for _ in range(2)]
    w = durable(mill_d)
    jobs = [w.told("assign") for _ in ids]
    created = mill_d.call("ListAttempts", ids[0])[0]["created_usec"]
    w.complete(jobs[0], started_usec=created + 10, finished_usec=created + 30)
    w.complete(jobs[1], error="refused", result="exec")
    done, refused_ = map(mill_d.info, ids)
    assert (done["result"], done["started_usec"], done["runtime_usec"]) == ("success", created + 10, 20)
    assert (refused_["result"], refused_["reason"], "started_usec" in refused_) == ("exec", "refused", False)
    w.close()


@pytest.mark.parametrize("killed", ["adapter", "both", "daemon"])
def test_back(mill_d, killed):
    id_ = mill_d.submit(["a"], "w")
    late = mill_d.submit(["b"], "w")
    w = durable(mill_d, Relay)
    job, second = w.told("assign"), w.told("assign")
    keep(w, job, engine={"id": 1}, started_usec=0)
    if killed != "daemon":
        w.close()
        until(lambda: "away_usec" in listed(mill_d)["engine"], 10, "away")
        assert reason(mill_d, id_) == reason(mill_d, late) == "its adapter is away"
        assert mill_d.state(id_) == "running" and mill_d.state(late) == "starting"
    if killed != "adapter":
        mill_d.kill()
        mill_d.start()
        mill_d.settled()
        if killed == "both":
            assert "away_usec" in listed(mill_d)["engine"] and mill_d.state(id_) == "running"
    waiting = mill_d.submit(["c"], "w")
    if killed == "daemon":
        w.close()
    again = durable(mill_d, Relay)
    given = {j["id"]: j for j in (again.told("assign") for _ in range(3))}
    assert given[id_]["attempt_token"] == job["attempt_token"] and given[id_]["engine"] == {"id": 1} and given[id_]["attempt"] == 1
    assert given[late]["attempt_token"] == second["attempt_token"] and "engine" not in given[late]
    assert given[waiting]["attempt"] == 1
    assert "away_usec" not in listed(mill_d)["engine"] and len(listed(mill_d)) == 1
    for g in given.values():
        again.complete(g)
    assert [(mill_d.result(i), mill_d.info(i)["attempt"]) for i in (id_, late, waiting)] == [("success", 1)] * 3
    again.close()
    until(lambda: not listed(mill_d), 10, "gone, as it has nothing")


def test_only_one(mill_d):
    """Of a name and user; and the same process may have forgotten its token."""
    id_ = mill_d.submit(["a"], "w")
    w = durable(mill_d, Relay)
    w.told("assign")
    with pytest.raises(AssertionError, match="org.jobmill.NotUnique.*durable worker engine"):
        durable(mill_d)
    w.close()
    w = durable(mill_d)
    first = w.told("assign")
    again = durable(mill_d)
    assert again.token != w.token and again.told("assign")["attempt_token"] == first["attempt_token"]
    refused(w.reports, "NoSuchWorker", "Complete", token=w.token, id=id_, attempt=1)
    again.complete(first)
    assert mill_d.result(id_) == "success"
    mill_d.kill()
    mill_d.start()
    mill_d.settled()
    again.close()
    again = durable(mill_d)
    other = Worker(mill_d, durable=True, name="another")
    assert set(listed(mill_d)) == {"engine", "another"}
    other.close()
    again.close()


def test_away_for_too_long(mill_d):
    (mill_d.folder / "config/jobmill.conf").write_text("[Daemon]\nAdapterTimeoutSec=1s\n")
    mill_d.call("Reload")
    id_ = mill_d.submit(["a"], "w", max_attempts=2, requeue_lost=True, backoff_base_usec=1000)
    w = durable(mill_d, Relay)
    w.told("assign")
    w.close()
    until(lambda: not listed(mill_d), 10, "given up")
    lost = mill_d.call("ListAttempts", id_)[0]
    assert (lost["result"], lost["reason"]) == ("lost", "its adapter was away for too long")
    w = durable(mill_d)
    w.complete(w.told("assign"))
    assert mill_d.result(id_) == "success" and mill_d.info(id_)["attempt"] == 2
    w.close()


def test_stopped(mill_d):
    """It is asked to cancel, then to kill, again and again; its process is not to blame."""
    id_ = mill_d.submit(["a"], "w", stop_timeout_usec=10000)
    w = durable(mill_d, Relay)
    job = w.told("assign")
    keep(w, job, started_usec=0)
    mill_d.call("KillJob", id_, signal.SIGUSR1)
    assert w.told("kill")["signal"] == signal.SIGUSR1
    w.close()
    mill_d.call("CancelJob", id_)
    assert mill_d.state(id_) == "stopping"
    w = durable(mill_d, Relay)
    assert w.told("assign")["id"] == id_
    assert w.told("cancel")["reason"] == "cancelled"
    assert w.told("kill")["signal"] == signal.SIGKILL
    assert w.process.poll() is None
    w.complete(job, exit_signal=9)
    assert mill_d.result(id_) == "cancelled"
    w.close()


def test_its_time(mill_d):
    """Counts from when the engine has begun with it; and the engine may have a limit of its own."""
    a, b, c = (mill_d.submit(["a"], "w", timeout_usec=300000) for _ in range(3))
    w = durable(mill_d)
    jobs = [w.told("assign") for _ in range(3)]
    keep(w, jobs[1], started_usec=2**60)  # a clock that is early
    assert w.told("cancel")["id"] == b
    assert mill_d.state(a) == "starting"
    w.complete(jobs[1], exit_signal=15)
    w.complete(jobs[0], result="timeout")
    w.complete(jobs[2], result="cancelled", error="by an operator")
    assert [mill_d.result(i) for i in (a, b, c)] == ["timeout", "timeout", "cancelled"]
    assert mill_d.info(c)["reason"] == "by an operator"
    w.close()


def test_lies(mill_d):
    id_ = mill_d.submit(["a"], "w")
    plain = Worker(mill_d)
    job = plain.told("assign")
    refused(plain.reports, "NotAllowed", "Keep", token=plain.token, id=id_, attempt=1, engine={})
    refused(plain.reports, "InvalidParameter", "Complete", token=plain.token, id=id_, attempt=1, result="timeout")
    w = durable(mill_d)
    refused(w.reports, "NoSuchAttempt", "Keep", token=w.token, id=id_, attempt=1, engine={})
    plain.complete(job)
    own = mill_d.submit(["b"], "w")
    plain.close()
    job = w.told("assign")
    refused(w.reports, "InvalidParameter", "Keep", token=w.token, id=own, attempt=1, engine={"x": "y" * 4096})
    assert mill_d.state(own) == "starting"
    w.complete(job, stdout="x" * 4095 + "äb", stderr="y" * 4096)  # the ends, as IoTailMax= says
    assert mill_d.info(own)["io"] == {"stdout": "x" * 4093 + "äb", "stderr": "y" * 4096}
    refused(w.reports, "AttemptFinished", "Keep", token=w.token, id=own, attempt=1, engine={})
    for bad in ({"name": ""}, {"durable": 1, "name": "x"}):
        with pytest.raises(AssertionError, match="InvalidParameter"):
            Worker(mill_d, **{"durable": True, **bad})
    w.close()


def adapter_queue(mill, text=ADAPTER, name="engine", **keys):
    folder = mill.folder / "config/adapters"
    folder.mkdir(exist_ok=True)
    (folder / (name + ".adapter")).write_text(text)
    mill.queue("e", Slots=10, AllowUsers="*", Executor=name, WorkerUsers="root", **keys)
    with open(mill.folder / "config/queues/e.queue", "a") as f:
        f.write("[%s]\nPartition=none\nPartition=big\nAccount=a = b\n" % name.capitalize())


def test_queue_of_an_adapter(mill):
    mill.listen()
    adapter_queue(mill)
    mill.start()
    mill.settled()
    id_ = mill.submit(["a"], "e", properties=["MemoryMax=1M"])
    for what, name in (({"properties": ["TasksMax=4"]}, "TasksMax"), ({"error_file": "/tmp/x"}, "error_file")):
        with pytest.raises(client.BusError) as e:
            mill.submit(["a"], "e", **what)
        assert name in str(e.value) and "engine" in str(e.value)
    w = durable(mill, queues=["e"])
    job = w.told("assign")
    assert job["options"] == {"Partition": "big", "Account": "a = b"} and job["job"]["properties"] == ["MemoryMax=1M"]
    w.complete(job)
    assert mill.result(id_) == "success"
    shown = tool(mill, "queue", "show", "e")
    assert "engine" in shown and "Engine.Partition" in shown
    w.close()


@pytest.mark.parametrize("line, error", [
    ("[Queue]\nExecutor=engin", "e.queue:2: [Queue] Executor=: 'engin' is not allowed (service, worker, pool, or the name of an adapter)"),
    ("[Queue]\nExecutor=scope", "e.queue:2: [Queue] Executor=: 'scope' is not allowed"),
    ("[Engin]\nPartition=x", "e.queue:2: [Engin]: unknown section"),
    ("[engine]\nPartition=x", "e.queue:2: [engine]: unknown section"),
    ("[Engine]\nPartion=x", "e.queue:2: [Engine] Partion=: unknown key"),
    ("[Engine]\nPartition=x", "e.queue: [Engine]: is for Executor= of this name"),
    ("[Queue]\nExecutor=bad", "bad.adapter:2: [Adapter] Takes=: 'nothing' is not allowed (keys of a job, names of unit properties)"),
    ("[Queue]\nExecutor=worse", "worse.adapter:2: [Adapter] Unit=: 'x' is not allowed (the name of a unit, not of a template)"),
])
def test_bad_files(mill, line, error):
    for name, text in ("engine", ADAPTER), ("bad", "[Adapter]\nTakes=nothing\n"), ("worse", "[Adapter]\nUnit=x\nOptins=y\n"):
        adapter_queue(mill, text, name)
    path = mill.folder / "config/queues/e.queue"
    path.write_text(line + "\n")
    mill.start()
    mill.settled()
    assert error in mill.log_tail()
    for files in [], [path]:
        verified = tool(mill, "verify", *files, check=False, env={"JOBMILL_DAEMON": str(DAEMON)})
        assert error in verified.stderr and verified.returncode == 1
    assert "[Adapter] Optins=: unknown key" in tool(mill, "verify", check=False, env={"JOBMILL_DAEMON": str(DAEMON)}).stderr
