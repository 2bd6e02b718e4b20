# SPDX-License-Identifier: LGPL-2.1-or-later
"""What all scenarios are made of: jobmilld stopped and started, numbers of programs, rounds by turns, and rows of the table."""

import os
import pathlib
import re
import statistics
import subprocess
import time

TOOLS = pathlib.Path(os.environ["JOBMILL_BUILD"]) / "tests/bench"
STATE = pathlib.Path("/var/lib/jobmill")
SOCKET = pathlib.Path("/run/jobmill/org.jobmill")
QUEUES = pathlib.Path("/etc/jobmill/queues")
WORK = pathlib.Path("/var/tmp/jobmill-bench")  # of the throw-away system, on the same file system as STATE
CAP = 16
WARM_UP = 32


def run(*argv, **options):
    return subprocess.run([str(a) for a in argv], check=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, **options).stdout


def tool(name, *argv):
    """The numbers that one of the programs of tests/bench prints."""
    return [float(w) for w in run(TOOLS / name, *argv).split()]


def timed(*argv, **options):
    begin = time.monotonic()
    run(*argv, **options)
    return time.monotonic() - begin


# ---- the daemon ----


def stop():
    run("systemctl", "stop", "jobmilld.socket", "jobmilld")
    run("systemctl", "reset-failed", "jobmilld.socket", "jobmilld")  # or they are started too often


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
    """Of a process with one thread."""
    try:
        return int(pathlib.Path("/proc/%d/schedstat" % pid).read_text().split()[0]) / 1e9
    except OSError:
        return process_seconds(pid)


def process_seconds(pid):
    """Of all its threads, to the tick."""
    words = pathlib.Path("/proc/%d/stat" % pid).read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def memory_mib(pid):
    """Resident set, its peak, and what of it belongs to nobody else."""
    text = pathlib.Path("/proc/%d/status" % pid).read_text()
    kib = {line.split()[0].rstrip(":"): int(line.split()[1]) for line in text.splitlines() if line.endswith("kB")}
    return kib["VmRSS"] / 1024, kib["VmHWM"] / 1024, kib["RssAnon"] / 1024


# ---- rounds ----


def by_turns(rounds, *sides):
    """What each side gives in each round. The order is another one each time: A B C, C B A, A B C, …"""
    results = [[] for _ in sides]
    for i in range(rounds):
        for k in range(len(sides)) if i % 2 == 0 else reversed(range(len(sides))):
            results[k].append(sides[k]())
    return results


# ---- what is printed ----

table = []  # rows: what, target, came out, rounds


def line(name, text):
    print("  %-46s %s" % (name, text), flush=True)


def is_missed(target, value):
    wanted, number = re.match(r"([≥≤]) ([\d.]+)", target), re.match(r"[\d.]+", value)
    return bool(wanted and number) and (float(number[0]) < float(wanted[2]) if wanted[1] == "≥" else float(number[0]) > float(wanted[2]))


def row(name, target, value, rounds=""):
    """One of the table, too."""
    if is_missed(target, value):
        value += ", missed"
    table.append((name, target, value, rounds))
    line(name, "%s  (%s%s)" % (value, "target " + target if target else "no target", "; each round: " + rounds if rounds else ""))


def ratio(name, ours, theirs, target=""):
    """Of two lists of rounds: that of the medians, and of each round."""
    value = statistics.median(ours) / statistics.median(theirs)
    row(name, target, "%.2f" % value if value < 100 else "%.0f" % value, ", ".join("%.2f" % (a / b) for a, b in zip(ours, theirs)))
    line("", "of this machine: %.4g and %.4g" % (statistics.median(ours), statistics.median(theirs)))
    return value


def not_available(name, target, why):
    row(name, target, "not available: " + why)


def print_table(heading):
    """As docs/performance.md has it; tests/bench/run --table puts it there."""
    print("\n<!-- table -->\n%s\n\n| what | target | came out | each round |\n| --- | --- | --- | --- |" % heading)
    for r in table:
        print("| %s |" % " | ".join(r))
    print("<!-- end -->", flush=True)
