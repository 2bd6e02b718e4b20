# SPDX-License-Identifier: LGPL-2.1-or-later
"""The others: each is started as its own documentation says, with what makes it faster where that costs no promise, does so many jobs of /bin/true,
and is ended. Their daemons listen to the loopback of this system, which is no other's."""

import contextlib
import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import time

from harness import CAP, WORK, not_available, ratio, run, timed

FSYNC = "always", "everysec"  # of Redis's log; "always" is what durable means elsewhere
NPM = pathlib.Path(os.environ.get("JOBMILL_BENCH_NPM", "/nonexistent"))
REDIS_PORT = 6379  # nothing of the machine is in this system's network
BULLMQ = NPM / "node_modules/bullmq/package.json"


@contextlib.contextmanager
def fresh(name):
    """A folder."""
    path = WORK / name
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


@contextlib.contextmanager
def daemon(log, *argv, is_ready, **options):
    """Until it is ready, and to its end."""
    with open(log, "w") as out:
        process = subprocess.Popen([str(a) for a in argv], stdin=subprocess.DEVNULL, stdout=out, stderr=out, **options)
    try:
        end = time.monotonic() + 60
        while not is_ready():
            if process.poll() is not None or time.monotonic() > end:
                raise RuntimeError("%s is not ready:\n%s" % (argv[0], log.read_text()[-3000:]))
            time.sleep(0.02)
        yield
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def rate(jobs, script, **options):
    return jobs / timed("sh", "-ec", script, **options)


# ---- one after the other, or a few at a time ----


def systemd_run(jobs):
    """A service each, and who asked for it waits for its end."""
    return rate(jobs, "seq %d | xargs -P%d -I{} systemd-run --quiet --wait --collect /bin/true" % (jobs, CAP))


def xargs(jobs, parallelism=CAP):
    return rate(jobs, "seq %d | xargs -P%d -n1 /bin/true" % (jobs, parallelism))


def parallel(jobs):
    return rate(jobs, "seq %d | parallel --will-cite -N0 -j%d /bin/true" % (jobs, CAP))


def task_spooler(jobs):
    """Its queue is a process, which the first call starts."""
    with fresh("tsp") as path:
        env = {**os.environ, "TS_SOCKET": str(path / "socket"), "TMPDIR": str(path), "TS_MAXFINISHED": "100"}
        run("tsp", "-S", CAP, env=env)
        try:
            # The last one that was queued is not always the last that ends.
            return rate(jobs, "for i in $(seq %d); do tsp -n /bin/true >%s/id; done; tsp -w $(cat %s/id);"
                        " while tsp -l | grep -qE '^[0-9]+ +(queued|running)'; do :; done" % (jobs, path, path), env=env)
        finally:
            run("tsp", "-K", env=env)


# ---- Slurm ----

SLURM_CONF = """ClusterName=bench
SlurmctldHost=%(host)s(127.0.0.1)
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket=%(dir)s/munge.socket
CredType=cred/munge
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SlurmdParameters=config_overrides
MpiDefault=none
ReturnToService=2
JobCompType=jobcomp/none
StateSaveLocation=%(dir)s/state
SlurmdSpoolDir=%(dir)s/spool-%%n
SlurmctldPidFile=%(dir)s/slurmctld.pid
SlurmdPidFile=%(dir)s/slurmd-%%n.pid
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=sched_interval=1,batch_sched_delay=0,sched_max_job_start=0,partition_job_depth=0
NodeName=n1 NodeHostname=%(host)s NodeAddr=127.0.0.1 CPUs=%(cpus)d State=UNKNOWN
PartitionName=bench Nodes=n1 Default=YES MaxTime=INFINITE State=UP
"""
CGROUP_CONF = "CgroupPlugin=cgroup/v1\n"


@contextlib.contextmanager
def slurm():
    """munged, slurmctld and a slurmd with so many CPUs as there are slots."""
    # A machine with 127.0.0.1 alone has no address to the resolver, and Slurm finds no host then.
    subprocess.run(["ip", "address", "add", "127.0.0.2/8", "dev", "lo"], stderr=subprocess.DEVNULL, check=False)
    with fresh("slurm") as path, contextlib.ExitStack() as stack:
        os.chmod(path, 0o755)
        (path / "state").mkdir()
        (path / "slurm.conf").write_text(SLURM_CONF % {"host": socket.gethostname(), "dir": path, "cpus": CAP})
        (path / "cgroup.conf").write_text(CGROUP_CONF)
        (path / "munge.key").write_bytes(os.urandom(128))
        os.chmod(path / "munge.key", 0o400)
        os.environ["SLURM_CONF"] = str(path / "slurm.conf")
        stack.callback(os.environ.pop, "SLURM_CONF")
        stack.enter_context(daemon(path / "munged.log", "munged", "--foreground", "--force", "--socket=%s/munge.socket" % path, "--key-file=%s/munge.key" % path,
                                   "--pid-file=%s/munged.pid" % path, "--log-file=%s/munged.own.log" % path, "--seed-file=%s/munged.seed" % path,
                                   is_ready=(path / "munge.socket").exists))
        stack.enter_context(daemon(path / "slurmctld.log", "slurmctld", "-D", is_ready=lambda: subprocess.run(
            ["scontrol", "ping"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False).stdout.find("UP") >= 0))
        stack.enter_context(daemon(path / "slurmd.log", "slurmd", "-D", "-N", "n1",
                                   is_ready=lambda: run("sinfo", "-h", "-o", "%T").strip() == "idle"))
        yield


def slurm_jobs(jobs):
    """An array: by one call, as they are queued fastest. Slurm runs already."""
    begin = time.monotonic()
    run("sbatch", "--quiet", "--array=1-%d" % jobs, "--output=/dev/null", "--wrap=exec /bin/true")
    while run("squeue", "-h", "-o", "%i"):
        time.sleep(0.05)
    return jobs / (time.monotonic() - begin)


# ---- BullMQ ----


def answers(port):
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) == 0


def bullmq(fsync, verb, jobs, *arguments):
    """With a Redis of its own. Over its Unix socket it is as fast, or slower."""
    with fresh("redis") as path:
        options = "--port %d --bind 127.0.0.1 --dir %s --save  --appendonly yes --appendfsync %s" % (REDIS_PORT, path, fsync)
        with daemon(path / "log", "redis-server", *options.split(" "), is_ready=lambda: answers(REDIS_PORT)):
            return jobs / float(run("node", pathlib.Path(__file__).with_name("bullmq.mjs"), NPM, REDIS_PORT, verb, jobs, *arguments))


def bullmq_rows(name, ours, theirs, target):
    """One for each of FSYNC; without BullMQ one that says so."""
    for fsync, other in zip(FSYNC, theirs):
        ratio("%s (%s)" % (name, fsync), ours, other, target)
    if not theirs:
        not_available(name, target, "npm could not fetch it")


# ---- which ----


def version(command):
    text = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False).stdout
    found = re.search(r"\d+(\.\d+)*", text)
    return found[0] if found else "?"


def versions():
    names = {"xargs": ["xargs", "--version"], "GNU parallel": ["parallel", "--version"], "Slurm": ["slurmctld", "-V"],
             "task-spooler": ["dpkg-query", "-W", "-f", "${Version}", "task-spooler"], "Redis": ["sh", "-c", "redis-server --version | grep -o 'v=[0-9.]*'"],
             "Node.js": ["node", "--version"]}
    found = ["%s %s" % (name, version(command)) for name, command in names.items()]
    if BULLMQ.exists():
        found.append("BullMQ " + json.loads(BULLMQ.read_text())["version"])
    return ", ".join(found)
