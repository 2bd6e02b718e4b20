# SPDX-License-Identifier: LGPL-2.1-or-later
"""jobmill-slurm with a real Slurm (`make check TIER=slurm`): what becomes of jobs, and that none is lost or done twice, whoever is killed."""

import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import time

import pytest

import busfake
import client
from conftest import DAEMON, ROOT, end, spawn, until
from slurm import Cluster

pytestmark = pytest.mark.skipif(not os.environ.get("JOBMILL_TEST_SLURM"), reason="a tier of its own (make check TIER=slurm)")


@pytest.fixture(scope="module")
def cluster():
    c = Cluster(until, preexec_fn=busfake.die_with_parent)
    try:
        c.start()
        yield c
    finally:
        c.end()


class Site:
    """A mill with the queue s of Slurm, and its adapter."""

    def __init__(self, mill, cluster, missing="10s"):
        self.mill, self.cluster, self.missing, self.adapter = mill, cluster, missing, None
        folder = mill.folder / "config/adapters"
        folder.mkdir()
        shutil.copy(ROOT / "units/slurm.adapter", folder)
        mill.listen()
        self.queue()
        mill.start()
        mill.settled()
        self.start()

    def queue(self, name="s", options="", **keys):
        self.mill.queue(name, **{"Slots": 100, "AllowUsers": "* daemon", "Executor": "slurm", "WorkerUsers": "root", "StopTimeoutSec": "1min", **keys})
        with open(self.mill.folder / "config/queues" / (name + ".queue"), "a") as f:
            f.write("[Slurm]\nDirectory=%s\n%s" % (self.cluster.shared, options))

    def start(self):
        with open(self.mill.folder / "slurm.log", "ab") as log:
            self.adapter = spawn([DAEMON.parent / "jobmill-slurm", "--socket=%s" % self.mill.socket_path, "--missing=" + self.missing],
                                 stdin=subprocess.DEVNULL, stdout=log, stderr=log, env={**self.cluster.environment, "JOBMILL_LOG_LEVEL": "debug"})

    def kill(self):
        self.adapter.kill()
        self.adapter.wait()

    def log(self):
        return (self.mill.folder / "slurm.log").read_text()


@pytest.fixture
def site(mill, cluster):
    s = Site(mill, cluster)
    yield s
    print(s.log()[-3000:])
    end(s.adapter)
    assert "Sanitizer" not in s.log() and "runtime error" not in s.log()


def engine(mill, id_):
    return json.loads(mill.info(id_)["engine"])


def test_job(site):
    """As its owner, in its directory, with its umask, environment, input and output."""
    mill = site.mill
    folder = str(site.cluster.shared)
    argv = ["/bin/sh", "-c", "id -un; pwd; umask; echo \"$A\"; echo $JOBMILL_JOB_ID $JOBMILL_ATTEMPT $JOBMILL_QUEUE $JOBMILL_NAME; cat; echo oh >&2; echo '{\"success\": true, \"n\": 1}'"]
    id_ = mill.submit(argv, "s", uid=1, cwd=folder, umask=0o027, environment=["A=it's $A\nlot", "PATH=/usr/bin:/bin"], payload=b"in\0put\n",
                      name="n", verify="verdict", timeout_usec=3600 * 10**6)
    assert mill.result(id_, 60) == "success"
    info = mill.info(id_)
    assert info["io"]["stdout"].splitlines() == ["daemon", folder, "0027", "it's $A", "lot", "%d 1 s n" % id_, "in\ufffdput"]
    assert info["io"]["stderr"] == "oh\n" and json.loads(info["verdict"])["n"] == 1
    assert info["started_usec"] <= info["finished_usec"]
    kept = engine(mill, id_)
    job = next(j for j in site.cluster.jobs() if j["name"] == kept["name"])
    assert (job["user_name"], job["time_limit"], job["job_id"]) == ("daemon", 62, kept["job_id"])
    until(lambda: not list(site.cluster.shared.glob("*/*")), 10, "its files are removed")


def test_results(site):
    mill = site.mill
    ids = {
        "exit": mill.submit("exit 7", "s"),
        "signal": mill.submit("kill -9 $$", "s"),
        "output": mill.submit("true", "s", output_file="/nowhere/at/all"),
        "memory": mill.submit(["true"], "s", properties=["MemoryMax=1000G"]),
        "cancelled": mill.submit("sleep 1000", "s"),
        "by-hand": mill.submit("sleep 1000", "s"),
        "timeout": mill.submit("sleep 1000", "s", timeout_usec=2 * 10**6),
        "ignores": mill.submit("trap '' TERM; while :; do sleep 1; done", "s", stop_timeout_usec=10**6),
    }
    for name in "cancelled", "by-hand", "ignores":
        mill.reach(ids[name], "running", 30)
    mill.call("CancelJob", ids["cancelled"])
    mill.call("CancelJob", ids["ignores"])
    site.cluster.run("scancel", "--name=" + engine(mill, ids["by-hand"])["name"])
    results = {name: mill.result(id_, 60) for name, id_ in ids.items()}
    info = {name: mill.info(id_) for name, id_ in ids.items()}
    assert results == {"exit": "exit-code", "signal": "exit-code", "output": "exec", "memory": "exec", "cancelled": "cancelled", "by-hand": "cancelled",
                       "timeout": "timeout", "ignores": "cancelled"}, info
    assert info["exit"]["exit_status"] == 7 and info["signal"]["exit_status"] == 137
    assert "memory" in info["memory"]["reason"].lower() or "configuration" in info["memory"]["reason"], info["memory"]
    assert not site.cluster.run("squeue", "-h").strip()


def test_refused_at_submit(site):
    for what, name in (({"properties": ["TasksMax=5"]}, "TasksMax"), ({"credentials": {"a": b"b"}}, "credentials")):
        with pytest.raises(client.BusError) as e:
            site.mill.submit(["true"], "s", **what)
        assert name in str(e.value) and "slurm" in str(e.value)


def test_refused_by_slurm(site):
    site.queue("t", "Partition=nowhere\n")
    site.mill.call("Reload")
    id_ = site.mill.submit(["true"], "t")
    assert site.mill.result(id_, 30) == "exec" and "partition" in site.mill.info(id_)["reason"].lower()


def test_waits_there(site):
    """What waits in Slurm is not running, and says why."""
    site.queue("t", "Partition=closed\n")
    site.mill.call("Reload")
    id_ = site.mill.submit(["true"], "t")
    until(lambda: site.mill.info(id_).get("status", "").startswith("waits in Slurm: "), 30, "status")
    assert site.mill.state(id_) == "starting"
    site.mill.call("CancelJob", id_)
    assert site.mill.result(id_, 30) == "cancelled"


def test_flow_of_both(site):
    """Partly here, partly there; verdicts go from one to the next."""
    mill = site.mill
    mill.queue("local", Slots=5, AllowUsers="*")
    mill.call("Reload")
    flow = {"jobs": [
        {"name": "a", "queue": "local", "argv": ["/bin/sh", "-c", "echo '{\"success\": true, \"n\": 20}'"], "stdout": "spool"},
        {"name": "b", "queue": "s", "argv": ["/bin/sh", "-c", "grep -q '\"n\":20' $JOBMILL_INPUTS && echo '{\"success\": true, \"n\": 22}'"], "after": ["a"]},
        {"name": "c", "queue": "local", "argv": ["/bin/sh", "-c", "grep -q '\"n\":22' $JOBMILL_INPUTS"], "after": ["b"]},
    ]}
    flow_id, jobs = mill.call("SubmitFlow", json.dumps(flow))
    assert {n: mill.result(i, 60) for n, i in jobs.items()} == {"a": "success", "b": "success", "c": "success"}


def test_no_directory(site):
    id_ = site.mill.submit(["true"], "s", cwd="/nowhere")
    assert site.mill.result(id_, 30) == "exit-code" and site.mill.info(id_)["exit_status"] == 126


def test_place_of_another(site):
    """Who has made the folder of another could put his own script into it."""
    for mode, name in (0o755, "daemon"), (0o777, "bin"):
        folder = site.cluster.shared / name
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(folder)
        folder.mkdir(mode=mode)
        folder.chmod(mode)
        if name == "bin":
            shutil.chown(folder, "bin")
        uid = 1 if name == "daemon" else 2
        id_ = site.mill.submit(["true"], "s", uid=uid)
        assert site.mill.result(id_, 30) == "exec" and "is not a folder of user %s alone" % name in site.mill.info(id_)["reason"]
        assert not list(folder.iterdir())
        folder.rmdir()


@pytest.mark.parametrize("killed", [False, True])
def test_begun_twice(site, killed):
    """As a slurmctld does that has forgotten that it had begun: the second one is none."""
    mill, proof = site.mill, site.cluster.shared / ("twice-%d" % killed)
    id_ = mill.submit("echo $$ >>%s; exec sleep 3; exit 3" % proof if killed else "echo x >>%s; sleep 3; exit 3" % proof, "s")
    until(lambda: proof.exists() and proof.read_text().strip(), 30, "it runs")
    folder = engine(mill, id_)["directory"]
    again = spawn([folder + "/script"], stdin=subprocess.DEVNULL)
    time.sleep(0.5)
    assert again.poll() is None
    if killed:  # … and its shell
        shell = int(open("/proc/%s/stat" % proof.read_text().strip()).read().split()[3])
        os.kill(shell, signal.SIGKILL)
        os.kill(int(proof.read_text()), signal.SIGKILL)
    assert again.wait(20) == (1 if killed else 3)
    assert mill.result(id_, 30) == ("lost" if killed else "exit-code")
    assert len(proof.read_text().splitlines()) == 1


def test_many(site):
    """The queue's cap holds in Slurm, too."""
    mill, cluster = site.mill, site.cluster
    site.queue("c", Slots=8)
    mill.call("Reload")
    ids = mill.submit_many(["true"] * 1000, "c")
    most = 0

    def done():
        nonlocal most
        most = max(most, len(cluster.run("squeue", "-h", "--states=PENDING,RUNNING,COMPLETING", "-o", "%i").split()))
        return len(mill.jobs(state="done", queue="c", fields=["id"])) == 1000

    until(done, 600, "1000 jobs", interval=0.5)
    assert {j["result"] for j in mill.jobs(queue="c", fields=["result"])} == {"success"}
    assert 1 <= most <= 8


# ---- never twice, never lost ----

def run_line(site, name):
    return ["/bin/sh", "-c", 'echo "$JOBMILL_JOB_ID $JOBMILL_ATTEMPT begin" >>%s; sleep %s; echo "$JOBMILL_JOB_ID $JOBMILL_ATTEMPT end" >>%s' % (name, random.uniform(0, 3), name)]


def check_runs(site, ids, path):
    """Each attempt ran once at most, one that is said to have succeeded once and to its end."""
    lines = path.read_text().splitlines() if path.exists() else []
    assert len(lines) == len(set(lines)), sorted(x for x in lines if lines.count(x) > 1)
    for id_ in ids:
        for a in site.mill.call("ListAttempts", id_):
            ran = "%d %d end" % (id_, a["attempt"]) in lines
            if a["result"] == "success":
                assert ran, (id_, a)
            else:
                assert a["result"] in ("lost", "cancelled"), (id_, a)


@pytest.mark.parametrize("who", ["adapter", "daemon", "slurmctld", "slurmd", "munged", "all"])
def test_killed(site, who):
    mill, cluster = site.mill, site.cluster
    path = cluster.shared / ("runs-" + who)
    path.write_text("")
    random.seed(who)
    site.queue("k", MaxAttempts=4, RequeueLost="yes", BackoffBaseSec="1ms")
    mill.call("Reload")
    ids = []
    for _ in range(6):
        ids += mill.call("SubmitMany", [client.entry("k", run_line(site, path)) for _ in range(5)])
        time.sleep(random.uniform(0, 2))
        victims = ["adapter", "daemon", "slurmctld", "slurmd", "munged"] if who == "all" else [who]
        for v in random.sample(victims, random.randint(1, len(victims))):
            if v == "adapter":
                site.kill()
                time.sleep(random.uniform(0, 1))
                site.start()
            elif v == "daemon":
                mill.kill()
                time.sleep(random.uniform(0, 1))
                mill.start()
            else:
                names = ["n1", "n2"] if v == "slurmd" else [v]
                cluster.kill(*names)
                time.sleep(random.uniform(0, 1))
                cluster.start(*names)
    mill.all_done(ids, 300)
    check_runs(site, ids, path)
    print({(a["result"], a.get("reason")) for i in ids for a in mill.call("ListAttempts", i) if a["result"] != "success"})
    print({r: sum(a["result"] == r for i in ids for a in mill.call("ListAttempts", i)) for r in ("success", "lost", "cancelled")})
