# SPDX-License-Identifier: LGPL-2.1-or-later
"""Runs in the throw-away system (tests/bench/run). What jobmill does and what the bare program beside it does are measured by
turns, in changing order, and the medians compared: on a machine that is busy with other things only the ratio means anything.
"""

import os
import pathlib
import platform
import shutil
import sqlite3
import statistics
import subprocess
import sys
import time

TOOLS = pathlib.Path(os.environ["JOBMILL_BUILD"]) / "tests/bench"
STATE = pathlib.Path("/var/lib/jobmill")
BARE = STATE / "bare/jobmill.db"  # beside the daemon's own, so on the same file system
QUEUE_FILE = pathlib.Path("/etc/jobmill/queues/bench.queue")
CAP = 16
WARM_UP = 32
SERVICE_JOBS, SERVICE_ROUNDS = 400, 5
SUBMIT_JOBS, SUBMIT_ROUNDS = 200_000, 5
MILLION, SMALL = 1_000_000, 1_000
ENVIRONMENT = "--environment=20"


def run(*argv):
    return subprocess.run([str(a) for a in argv], check=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          text=True).stdout


def tool(name, *argv):
    """The numbers that one of the programs of tests/bench prints."""
    return [float(w) for w in run(TOOLS / name, *argv).split()]


def timed(*argv):
    begin = time.monotonic()
    run(*argv)
    return time.monotonic() - begin


# ---- the daemon ----


def stop():
    run("systemctl", "stop", "jobmilld")
    run("systemctl", "reset-failed", "jobmilld")


def start():
    """The seconds until it answers: it is ready when it has its name on the bus."""
    return timed("systemctl", "start", "jobmilld")


def start_fresh():
    stop()
    for path in STATE.iterdir():
        if path.is_file():
            path.unlink()
    start()


def daemon_pid():
    return int(run("systemctl", "show", "--value", "--property=MainPID", "jobmilld"))


def cpu_seconds(pid):
    try:
        return int(pathlib.Path("/proc/%d/schedstat" % pid).read_text().split()[0]) / 1e9
    except OSError:
        words = pathlib.Path("/proc/%d/stat" % pid).read_text().rpartition(")")[2].split()
        return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def memory_mib(pid):
    """Resident set, its peak, and what of it belongs to nobody else."""
    text = pathlib.Path("/proc/%d/status" % pid).read_text()
    kib = {line.split()[0].rstrip(":"): int(line.split()[1]) for line in text.splitlines() if line.endswith("kB")}
    return kib["VmRSS"] / 1024, kib["VmHWM"] / 1024, kib["RssAnon"] / 1024


# ---- what is printed ----


def line(name, text):
    print("  %-46s %s" % (name, text), flush=True)


def ratio(name, ours, bare, target):
    """Of two lists of rounds: that of the medians, and of each round."""
    value = statistics.median(ours) / statistics.median(bare)
    each = ", ".join("%.2f" % (a / b) for a, b in zip(ours, bare))
    line(name, "%.2f  (%s; each round: %s)" % (value, target, each))


def alternate(rounds, a, b):
    """The two by turns, A B B A A B ..."""
    results = [], []
    for i in range(rounds):
        for k in (0, 1) if i % 2 == 0 else (1, 0):
            results[k].append((a, b)[k]())
    return results


# ---- the three scenarios ----


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


def service():
    """jobs/s and CPU of service jobs, from SubmitMany to the last release"""
    ours, bare = alternate(SERVICE_ROUNDS, service_jobmill, service_bare)
    ratio("jobs/s, jobmill : bare client", [o[0] for o in ours], [b[0] for b in bare], "target >= 0.9")
    ratio("CPU a job, jobmilld : bare client", [o[1] for o in ours], [b[1] for b in bare], "target <= 1.5")


def submit_jobmill(*options, jobs=SUBMIT_JOBS):
    start_fresh()
    (seconds,) = tool("submit-many", "--hold", *options, "bench", jobs)
    return jobs / seconds


def submit_bare(*options, jobs=SUBMIT_JOBS):
    stop()
    shutil.rmtree(BARE.parent, ignore_errors=True)
    BARE.parent.mkdir()
    (seconds,) = tool("bare-insert", *options, BARE, jobs)
    return jobs / seconds


def rows(path):
    """What is stored of the jobs but their times."""
    queries = "SELECT * FROM job", "SELECT * FROM job_spec", "SELECT id, refs FROM environment", \
              "SELECT * FROM environment_content", "SELECT * FROM queue WHERE name = 'bench'"
    with sqlite3.connect(path) as db:
        db.row_factory = sqlite3.Row
        return [[{k: row[k] for k in row.keys() if not k.endswith("_usec") or row[k] is None}
                 for row in db.execute(q)] for q in queries]


def check_rows(*options):
    """The comparison is fair only while both write the same."""
    submit_jobmill(*options, jobs=1)
    submit_bare(*options, jobs=1)
    ours, bare = rows(STATE / "jobmill.db"), rows(BARE)
    if ours != bare:
        sys.exit("bare-insert does not insert what jobmilld does:\n%s\n%s" % (ours, bare))


def submit():
    """jobs/s of SubmitMany, 10,000 a call, durable"""
    for name, target, options in (("jobs/s, jobmill : bare insert", "target >= 0.3", ()),
                                  ("the same, each with 20 variables", "no target", (ENVIRONMENT,))):
        check_rows(*options)
        ours, bare = alternate(SUBMIT_ROUNDS, lambda: submit_jobmill(*options), lambda: submit_bare(*options))
        ratio(name, ours, bare, target)
    shutil.rmtree(BARE.parent)


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
    line("resident set of jobmilld after that", "%.1f MiB (target <= 32; peak %.1f, anonymous %.1f)" % memory_mib(daemon_pid()))


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
    line("resident set after submitting them", "%.1f MiB (target <= 32; peak %.1f, anonymous %.1f)" % after)
    line("resident set after a restart and a page", "%.1f MiB (peak %.1f, anonymous %.1f)" % restarted)
    line("restart until ready: 1,000,000 : 1,000", "%.2f  (%.2f s; target <= 1 s)"
         % (statistics.median([first, restart(), restart()]) / small_start, first))
    line("list -n 20: 1,000,000 : 1,000", "%.2f  (the first page after the restart: %.2f)"
         % (page() / small_page, first_page / small_page))
    streams()


SCENARIOS = {f.__name__: f for f in (service, submit, million)}


def main():
    names = sys.argv[1:] or list(SCENARIOS)
    QUEUE_FILE.parent.mkdir(parents=True, exist_ok=True)
    QUEUE_FILE.write_text("[Queue]\nSlots=%d\n" % CAP)
    systemd = run("systemctl", "--version").split()[1]
    print("Linux %s, systemd %s, %d CPUs; all files in memory (the throw-away system's tmpfs)"
          % (platform.release(), systemd, os.cpu_count()))
    for name in names:
        print("%s: %s" % (name, SCENARIOS[name].__doc__), flush=True)
        begin = time.monotonic()
        SCENARIOS[name]()
        line("", "took %.0f s" % (time.monotonic() - begin))
    stop()


main()
