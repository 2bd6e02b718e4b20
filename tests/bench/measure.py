# SPDX-License-Identifier: LGPL-2.1-or-later
"""Runs in the throw-away system (tests/bench/run). What jobmill does and what the bare program beside it does are measured by
turns, in changing order, and the medians compared: on a machine that is busy with other things only the ratio means anything.
"""

import os
import platform
import sqlite3
import statistics
import sys
import time
import traceback

import harness
import lanes
import peers
import scale
import submit
from harness import CAP, QUEUES, WARM_UP, by_turns, cpu_seconds, daemon_pid, line, memory_mib, ratio, row, run, start, start_fresh, stop, timed, tool

SERVICE_JOBS, SERVICE_ROUNDS = 400, 5
MILLION, SMALL = 1_000_000, 1_000
ENVIRONMENT = "--environment=20"


def service_jobmill():
    start_fresh()
    pid = daemon_pid()
    tool("submit-many", "--wait", "bench", WARM_UP)
    before = cpu_seconds(pid)
    (seconds,) = tool("submit-many", "--wait", "bench", SERVICE_JOBS)
    return SERVICE_JOBS / seconds, (cpu_seconds(pid) - before) / SERVICE_JOBS


def service_bare():
    stop()  # it listens to the same signals
    tool("bare-client", WARM_UP, CAP)
    seconds, cpu = tool("bare-client", SERVICE_JOBS, CAP)
    return SERVICE_JOBS / seconds, cpu / SERVICE_JOBS


def service_systemd_run():
    stop()
    return peers.systemd_run(SERVICE_JOBS // 3)


def service():
    """jobs/s and CPU of service jobs, from SubmitMany to the last release"""
    ours, bare, waited = by_turns(SERVICE_ROUNDS, service_jobmill, service_bare, service_systemd_run)
    ratio("service jobs/s : bare client", [o[0] for o in ours], [b[0] for b in bare], "≥ 0.9")
    ratio("CPU of jobmilld a service job : bare client", [o[1] for o in ours], [b[1] for b in bare], "≤ 1.5")
    ratio("service jobs/s : systemd-run --wait, as many at a time", [o[0] for o in ours], waited)


def page():
    return statistics.median(timed("jobmill", "list", "-n", "20") for _ in range(7))


def stream(*options):
    """Rows a second of a whole list, and the tool's peak of memory in MiB."""
    script = "import resource, subprocess, sys; subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, check=True); " \
             "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024)"
    begin = time.monotonic()
    peak = float(run("/usr/bin/python3", "-c", script, "jobmill", "list", *options))
    return time.monotonic() - begin, peak


def streams():
    """All rows through the tool, as a table and as JSON; of a thousand for comparison"""
    for name, options in ("table", []), ("JSON", ["-j"]):
        _, small = stream("-n", SMALL, *options)
        seconds, peak = stream(*options)
        line("list of 1,000,000 as %s" % name, "%.0f rows/s; tool's peak %.1f MiB (of 1,000 rows: %.1f)"
             % (MILLION / seconds, peak, small))
    line("resident set of jobmilld after that", "%.1f MiB (target ≤ 32; peak %.1f, anonymous %.1f)" % memory_mib(daemon_pid()))


def restart():
    stop()
    return start()


def million():
    """1,000,000 held jobs, each submitted with 20 variables of environment"""
    start_fresh()
    tool("submit-many", "--hold", ENVIRONMENT, "bench", SMALL)
    small_start, small_page = statistics.median(restart() for _ in range(3)), page()
    tool("submit-many", "--hold", ENVIRONMENT, "bench", MILLION - SMALL)
    after = memory_mib(daemon_pid())
    first = restart()
    first_page = timed("jobmill", "list", "-n", "20")
    restarted = memory_mib(daemon_pid())
    row("resident set with 1,000,000 submitted", "≤ 32 MiB", "%.1f MiB" % after[0])
    line("resident set after a restart and a page", "%.1f MiB (peak %.1f, anonymous %.1f)" % restarted)
    row("restart until ready, 1,000,000 : 1,000 jobs", "", "%.2f" % (statistics.median([first, restart(), restart()]) / small_start))
    row("`list -n 20`, 1,000,000 : 1,000 jobs", "≤ 1.1", "%.2f" % (page() / small_page))
    line("the first page after the restart", "%.2f" % (first_page / small_page))
    streams()


SCENARIOS = {f.__name__: f for f in (service, lanes.latency, lanes.pool, lanes.worker, lanes.of_clients, submit.submit, submit.bulk, million, scale.scale, scale.crowds)}


def attempt(name):
    """What does not run at all is told, and the others are still measured."""
    print("%s: %s" % (name, SCENARIOS[name].__doc__), flush=True)
    begin = time.monotonic()
    try:
        SCENARIOS[name]()
        return True
    except Exception as e:
        traceback.print_exc()
        print(getattr(e, "stdout", None) or "")
        row(name, "", "did not run")
        return False
    finally:
        line("", "took %.0f s" % (time.monotonic() - begin))


def heading():
    model = next((l.split(":", 1)[1].strip() for l in open("/proc/cpuinfo") if l.startswith("model name")), platform.machine())
    return ("%s, jobmill %s, Linux %s, systemd %s, SQLite %s, %d × %s, load %s at the beginning; all files on a tmpfs. %s."
            % (time.strftime("%Y-%m-%d"), run("jobmill", "--version").split()[1], platform.release().split("-")[0], run("systemctl", "--version").split()[1],
               sqlite3.sqlite_version, os.cpu_count(), model, open("/proc/loadavg").read().split()[0], peers.versions()))


def main():
    names = sys.argv[1:] or list(SCENARIOS)
    if unknown := set(names) - set(SCENARIOS):
        sys.exit("measure: no scenario %s; there are: %s" % (", ".join(unknown), ", ".join(SCENARIOS)))
    QUEUES.mkdir(parents=True, exist_ok=True)
    (QUEUES / "bench.queue").write_text("[Queue]\nSlots=%d\n" % CAP)
    text = heading()
    print(text)
    done = [attempt(name) for name in names]
    stop()
    harness.print_table(text)
    sys.exit(0 if all(done) else 1)


main()
