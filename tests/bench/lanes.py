# SPDX-License-Identifier: LGPL-2.1-or-later
"""The ways for many short jobs, and for one that shall run now: pool, worker, and from submit until it runs."""

import functools
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

import peers
from harness import CAP, QUEUES, SOCKET, STATE, TOOLS, WARM_UP, WORK, by_turns, line, not_available, process_seconds, ratio, run, start_fresh, stop, tool

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "bus"))

import clients  # noqa: E402

ROUNDS = 3
POOL_JOBS, TSP_JOBS, PARALLEL_JOBS, SLURM_JOBS = 3000, 800, 500, 40
WORKER_JOBS, WORKER_SLOTS = 20_000, 100
LATENCY_BLOCKS, LATENCY_JOBS = 6, 15


def queue(name, slots, executor):
    """Such a queue, if this build knows the executor."""
    path = QUEUES / (name + ".queue")
    path.write_text("[Queue]\nSlots=%d\nExecutor=%s\n" % (slots, executor))
    known = subprocess.run(["jobmill", "verify", path], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    if known.returncode != 0:
        path.unlink()
    return known.returncode == 0


# ---- pool ----

POOL = [("xargs -P", "≥ 1", lambda: peers.xargs(POOL_JOBS)), ("task-spooler", "≥ 2", lambda: peers.task_spooler(TSP_JOBS)),
        ("GNU parallel", "≥ 4", lambda: peers.parallel(PARALLEL_JOBS)), ("Slurm", "≥ 50", lambda: peers.slurm_jobs(SLURM_JOBS))]


def pool_jobmill():
    start_fresh()
    tool("submit-many", "--wait", "pool", WARM_UP)
    (seconds,) = tool("submit-many", "--wait", "pool", POOL_JOBS)
    return POOL_JOBS / seconds


def alone(measure):
    """jobmilld is stopped; what it writes to the disk and hears of others is not theirs to pay."""
    stop()
    return measure()


def pool():
    """jobs/s of /bin/true in a pool of 16 slots, recorded, and of what else runs 16 at a time"""
    if not queue("pool", CAP, "pool"):
        not_available("pool jobs/s", "", "no Executor=pool in this build")
        return
    ours, *others = by_turns(ROUNDS, pool_jobmill, *(functools.partial(alone, p[2]) for p in POOL[:-1]))
    with peers.slurm():
        alone(POOL[-1][2])  # what it does first takes twice as long
        others.append([alone(POOL[-1][2]) for _ in range(ROUNDS)])
    for (name, target, _), rates in zip(POOL, others):
        ratio("pool jobs/s : %s" % name, ours, rates, target)


# ---- worker ----


def worker_jobmill():
    """Queued first; from the worker's registration until the last result is recorded."""
    start_fresh()
    tool("submit-socket", SOCKET, "noop", WORKER_JOBS)
    (seconds,) = tool("noop-worker", SOCKET, "noop", WORKER_SLOTS, WORKER_JOBS)
    return WORKER_JOBS / seconds


def worker():
    """jobs/s through a worker that does nothing, 100 at a time, each result recorded"""
    if not queue("noop", WORKER_SLOTS, "worker"):
        not_available("worker jobs/s", "", "no Executor=worker in this build")
        return
    sides = [lambda fsync=f: alone(lambda: peers.bullmq(fsync, "work", WORKER_JOBS, WORKER_SLOTS)) for f in peers.FSYNC]
    ours, *others = by_turns(ROUNDS, worker_jobmill, *(sides if peers.BULLMQ.exists() else []))
    peers.bullmq_rows("worker jobs/s : BullMQ", ours, others, "≥ 2")


def worker_of(driver):
    """The same, by a client's driver (clients/conformance/README.md): jobs/s from its start, and its seconds of CPU."""
    start_fresh()
    tool("submit-socket", SOCKET, "noop", WORKER_JOBS)
    begin = time.monotonic()
    process = subprocess.Popen([str(a) for a in driver], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    print(json.dumps({"n": 1, "op": "work", "args": {"queues": ["noop"], "slots": WORKER_SLOTS}}), file=process.stdin, flush=True)
    while int(run("busctl", "get-property", "org.jobmill1", "/org/jobmill1/queue/noop", "org.jobmill1.Queue", "Ready").split()[1]) > 0:
        time.sleep(0.02)
    print(json.dumps({"n": 2, "op": "stop"}), file=process.stdin, flush=True)
    for _ in range(2):
        process.stdout.readline()
    seconds = time.monotonic() - begin
    used = process_seconds(process.pid)
    process.stdin.close()
    process.wait()
    return WORKER_JOBS / seconds, used / WORKER_JOBS * 1e6


def of_clients():
    """jobs/s through a worker of each client library that does nothing, 100 at a time, beside one in C; processor time of each a job"""
    queue("noop", WORKER_SLOTS, "worker")
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        drivers = {language: clients.build(language, pathlib.Path(folder), fast=True) for language in clients.LANGUAGES}
        bare, *rates = by_turns(ROUNDS, worker_jobmill, *(functools.partial(worker_of, d[0]) for d in drivers.values() if d))
        for language, rounds in zip((name for name, d in drivers.items() if d), rates):
            line("%s jobs/s" % language, "%.0f, %.0f µs of its own CPU each" % tuple(statistics.median(column) for column in zip(*rounds)))
            ratio("worker in %s : in C, jobs/s" % language, [r[0] for r in rounds], bare)


# ---- from submit until it runs ----

# As src/unit/job-unit.c makes it.
PROPERTIES = ["Type=exec", "RemainAfterExit=yes", "Restart=no", "KillMode=control-group", "OOMPolicy=kill", "NotifyAccess=all", "IgnoreOnIsolate=yes",
              "IgnoreSIGPIPE=no", "After=jobmilld.service", "StartLimitIntervalSec=infinity", "StartLimitBurst=1", "CPUAccounting=yes",
              "MemoryAccounting=yes", "IOAccounting=yes", "TasksAccounting=yes", "TimeoutStopSec=90", "User=root", "StandardInput=null",
              "LogExtraFields=JOBMILL_JOB_ID=1", "LogExtraFields=JOBMILL_QUEUE=bench"]
VARIABLES = ["JOBMILL_JOB_ID=1", "JOBMILL_ATTEMPT=1", "JOBMILL_ATTEMPT_ID=0123456789abcdef0123456789abcdef", "JOBMILL_QUEUE=bench", "JOBMILL_NAME=stamp",
             "JOBMILL_SLOTS=0"]


def until_it_runs(begin, stamp):
    end = time.monotonic() + 60
    while not stamp.exists():
        if time.monotonic() > end:
            raise RuntimeError("the job does not run")
        time.sleep(0.001)
    return float(stamp.read_text()) - begin


def write_and_sync(path):
    with open(path, "wb") as f:
        f.write(b"x" * 4096)
        f.flush()
        os.fsync(f.fileno())


def latency_jobmill():
    start_fresh()
    times = []
    with peers.fresh("stamps") as path:
        for i in range(LATENCY_JOBS + 3):
            begin = time.monotonic()
            job = run("jobmill", "submit", "-q", "bench", "-n", "stamp", "--env=none", "--", TOOLS / "stamp", path / str(i)).strip()
            times.append(until_it_runs(begin, path / str(i)))
            run("jobmill", "wait", job)
            time.sleep(0.05)  # until it is released
    return statistics.median(times[3:])


def latency_systemd_run():
    stop()
    times = []
    with peers.fresh("stamps") as path:
        command = ["systemd-run", "--quiet", "--slice=jobmill-bench.slice", *("--property=" + p for p in PROPERTIES), *("--setenv=" + v for v in VARIABLES)]
        for i in range(LATENCY_JOBS + 3):
            unit = "stamp-%d.service" % i
            begin = time.monotonic()
            write_and_sync(STATE / "stamp")
            write_and_sync(STATE / "stamp")
            run(*command, "--unit=" + unit, TOOLS / "stamp", path / str(i))
            times.append(until_it_runs(begin, path / str(i)))
            run("systemctl", "stop", unit)
            time.sleep(0.05)
    (STATE / "stamp").unlink()
    return statistics.median(times[3:])


def latency():
    """from `jobmill submit` until the job's program runs; systemd-run with the same properties and two fsyncs beside it"""
    WORK.mkdir(parents=True, exist_ok=True)
    ours, theirs = by_turns(LATENCY_BLOCKS, latency_jobmill, latency_systemd_run)
    ratio("submit until it runs : systemd-run and two fsyncs", ours, theirs, "≤ 1.1")
