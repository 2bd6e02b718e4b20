# SPDX-License-Identifier: LGPL-2.1-or-later
"""Runs in the throw-away system (tests/bench/run). What jobmill does and what the bare program beside it does are measured by
turns, in changing order, and the medians compared: on a machine that is busy with other things only the ratio means anything.
"""

import json
import os
import pathlib
import platform
import shutil
import sqlite3
import statistics
import subprocess
import sys
import time

import dbus
import pair

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
    run("systemctl", "stop", "jobmilld.socket", "jobmilld")
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


# ---- a million queued, a million finished ----

FOLDERS = {"small": pathlib.Path("/var/lib/jobmill-small"), "big": pathlib.Path("/var/lib/jobmill-big")}
in_use = []
LISTS = [{}, {"order": "oldest"}, {"order": "finished"}, {"state": "ready"}, {"state": "done"}, {"state": "held"}, {"queue": "backlog"},
         {"result": "success"}, {"result": "lost"}, {"dead": True}, {"owner": dbus.UInt32(0)}, {"owner": dbus.UInt32(4711)}, {"name": "nobody"},
         {"tags": dbus.Dictionary({"a": "b"}, signature="ss")}, {"order": "rank"}]


def put_away():
    """The daemon is stopped, and no store is in its place."""
    stop()
    if in_use:
        STATE.rename(FOLDERS[in_use.pop()])
    else:
        shutil.rmtree(STATE, ignore_errors=True)


def use(name):
    """That store. The daemon is stopped."""
    if name in in_use:
        stop()
        return
    put_away()
    FOLDERS[name].rename(STATE)
    in_use.append(name)


def clone(db, table, id_, copies, first, **values):
    """A row, so many times, with other ids; values: SQL of i, 0…"""
    key = "id" if table == "job" else "job"
    columns = [r[1] for r in db.execute("PRAGMA table_info(%s)" % table)]
    values[key] = "%d + i" % first
    db.execute("WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < %d)"
               " INSERT INTO %s (%s) SELECT %s FROM n, %s AS t WHERE t.%s = %d"
               % (copies, table, ", ".join(columns), ", ".join(values.get(c, "t." + c) for c in columns), table, key, id_))


def fill(jobs, queues=1, users=1):
    """So many queued in paused queues, and so many that have ended: two of them by the daemon, the others are copies of these."""
    done = int(run("jobmill", "submit", "-q", "bench", "--env=none", "true"))
    run("jobmill", "wait", done)
    ready = int(run("jobmill", "submit", "-q", "backlog" if queues == 1 else "backlog-0", "--env=none", "true"))
    stop()
    db = sqlite3.connect(STATE / "jobmill.db")
    db.execute("PRAGMA journal_mode = OFF")
    db.execute("PRAGMA synchronous = OFF")
    first = max(done, ready) + 1
    clone(db, "job", done, jobs, first, finished_usec="t.finished_usec - i", ended_usec="t.ended_usec - i")
    clone(db, "job_spec", done, jobs, first)
    clone(db, "attempt", done, jobs, first, token="randomblob(16)")
    owners = {"owner": "60000 + i %% %d" % users, "owner_name": "'bench' || (i %% %d)" % users} if users > 1 else {}
    queue = "t.queue" if queues == 1 else "'backlog-' || (i %% %d)" % queues
    clone(db, "job", ready, jobs, first + jobs, queue=queue, **owners)
    clone(db, "job_spec", ready, jobs, first + jobs)
    db.execute("DELETE FROM queue WHERE name LIKE 'backlog%'")
    db.execute("INSERT INTO queue (name, paused, draining, held, waiting, ready, starting, running, stopping, done, dead, ranked_fair)"
               " SELECT queue, 0, 0, 0, 0, count(*), 0, 0, 0, 0, 0, max(fair) FROM job WHERE state = 'ready' GROUP BY queue")
    db.execute("UPDATE queue SET paused = 1 WHERE name = 'backlog'")
    db.execute("UPDATE queue SET done = done + %d WHERE name = 'bench'" % jobs)
    db.execute("DELETE FROM backlog")
    db.execute("INSERT INTO backlog SELECT queue, owner, count(*) FROM job WHERE state = 'ready' GROUP BY queue, owner")
    db.execute("UPDATE meta SET value = '%d' WHERE key = 'next_id'" % (first + 2 * jobs))
    db.commit()
    db.close()


def make(name, jobs):
    FOLDERS[name].mkdir(mode=0o700)
    use(name)
    start()
    fill(jobs)


def scale_round(name):
    use(name)
    started = start()
    pid = daemon_pid()
    tool("submit-many", "--wait", "bench", WARM_UP)
    before = cpu_seconds(pid)
    (dispatch,) = tool("submit-many", "--wait", "bench", SERVICE_JOBS)
    return started, SERVICE_JOBS / dispatch, (cpu_seconds(pid) - before) / SERVICE_JOBS, memory_mib(pid)


def by_turns(sides, rounds, measure):
    """What measure(side) gives of the small and of the big one: two lists."""
    results = {"small": [], "big": []}
    for i in range(rounds):
        for name in ("small", "big") if i % 2 == 0 else ("big", "small"):
            results[name].append(measure(sides[name]))
    return results["small"], results["big"]


def with_cpu(measure):
    """The same, and the CPU time that jobmilld took for it: what else runs on a busy machine is in the one, not in the other."""
    def both(side):
        before = cpu_seconds(side.process.pid)
        value = measure(side)
        return value, cpu_seconds(side.process.pid) - before
    return both


def of_medians(small, big, k):
    return statistics.median(b[k] for b in big) / statistics.median(s[k] for s in small)


def scale_pairs(sides):
    submit = with_cpu(lambda side: side.submit("bench", 2000))
    by_turns(sides, 1, submit)
    small, big = by_turns(sides, 25, submit)
    line("SubmitMany, big : small", "%.2f jobs/s (target >= 0.9), %.2f CPU (target <= 1.1)" % (of_medians(small, big, 0), of_medians(small, big, 1)))
    line("pages, big : small", "each target <= 1.1")
    for f in LISTS:
        page = with_cpu(lambda side, f=f: side.page(f))
        by_turns(sides, 3, page)
        small, big = by_turns(sides, 60, page)
        line("page, %s" % (" ".join("%s=%s" % (k, dict(v) if k == "tags" else v) for k, v in f.items()) or "newest"),
             "%.2f time, %.2f CPU  (%.2f ms, %.2f ms of CPU)" % (of_medians(small, big, 0), of_medians(small, big, 1),
              statistics.median(b[0] for b in big), statistics.median(b[1] for b in big) * 1e3))


def pages_while(side, done):
    pages = []
    begin = time.monotonic()
    while not done():
        pages += [side.page({}) for _ in range(20)]
    return time.monotonic() - begin, pages


def scale_backlog_work(side):
    """New ranks for all that is ready, and purging: what others wait for meanwhile."""
    idle_end = time.monotonic() + 5
    work = [("nothing, for comparison", None, None, lambda: time.monotonic() > idle_end),
            ("new ranks for %d jobs" % MILLION, "backlog", "AgeingSec=1h\n", lambda: "have the order" in side.log()),
            ("purging %d jobs" % (MILLION // 10), "bench", "KeepMax=%d\n" % (MILLION * 9 // 10),
             lambda: side.call("GetStatistics")["done"] <= MILLION * 9 // 10)]
    for name, queue, setting, done in work:
        if queue:
            path = side.queues / (queue + ".queue")
            path.write_text(path.read_text() + setting)
            side.call("Reload")
        seconds, pages = pages_while(side, done)
        pages.sort()
        line("pages during %s" % name, "%.2f ms, 1 of 100 %.1f ms, longest %.1f ms  (%.1f s)"
             % (statistics.median(pages), pages[-1 - len(pages) // 100], pages[-1], seconds))


def scale():
    """1,000,000 queued and 1,000,000 finished beside 1,000 of each"""
    QUEUE_FILE.with_name("backlog.queue").write_text("[Queue]\nSlots=1\nPaused=yes\n")
    make("small", SMALL)
    make("big", MILLION)
    small, big = alternate(SERVICE_ROUNDS, lambda: scale_round("small"), lambda: scale_round("big"))
    line("start until it answers, of the big one", ", ".join("%.2f s" % b[0] for b in big) + "  (target <= 1 s)")
    ratio("jobs/s, big : small", [b[1] for b in big], [s[1] for s in small], "target >= 0.9")
    ratio("CPU a job, big : small", [b[2] for b in big], [s[2] for s in small], "target <= 1.1")
    line("resident set of the big one", "%.1f MiB (target <= 32; peak %.1f, anonymous %.1f)" % big[-1][3])
    put_away()
    cpus = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cpus)})  # they work one after the other, and neither shall have the busier processor
    sides = {name: pair.Side(name, FOLDERS[name]) for name in ("small", "big")}
    for s in sides.values():
        for path in QUEUE_FILE.parent.glob("*.queue"):
            shutil.copy(path, s.queues)
        s.start()
    scale_pairs(sides)
    scale_backlog_work(sides["big"])
    line("resident set of the big one", "%.1f MiB (target <= 32; peak %.1f, anonymous %.1f)" % memory_mib(sides["big"].process.pid))
    for s in sides.values():
        s.end()
    os.sched_setaffinity(0, cpus)


def ended():
    return json.loads(run("jobmill", "stats", "--json=short"))["done"]


def crowd(name, queues, users, fair):
    """So many queues, or users, with 100,000 jobs that wait."""
    if users > 1:
        with open("/etc/passwd", "a") as passwd, open("/etc/group", "a") as group:
            for i in range(users):
                passwd.write("bench%d:x:%d:%d::/:/bin/sh\n" % (i, 60000 + i, 60000 + i))
                group.write("bench%d:x:%d:\n" % (i, 60000 + i))
    FOLDERS[name] = STATE.with_name("jobmill-" + name.replace(" ", "-"))
    for path in QUEUE_FILE.parent.glob("backlog*.queue"):
        path.unlink()
    for i in range(queues):
        QUEUE_FILE.with_name("backlog%s.queue" % ("-%d" % i if queues > 1 else "")).write_text(
            "[Queue]\nSlots=%d\nAllowUsers=*\n%s" % (1 if queues > 1 else CAP, "Fair=user\n" if fair else ""))
    if queues > 1:
        QUEUE_FILE.with_name("backlog.queue").write_text("[Queue]\nSlots=%d\n" % CAP)
    FOLDERS[name].mkdir(mode=0o700)
    use(name)
    start()
    run("jobmill", "queue", "pause", "backlog")
    fill(100_000, queues, users)
    if queues > 1:
        db = sqlite3.connect(STATE / "jobmill.db")
        db.execute("INSERT OR IGNORE INTO queue (name, paused, draining, held, waiting, ready, starting, running, stopping, done, dead)"
                   " VALUES ('backlog', 1, 0, 0, 0, 0, 0, 0, 0, 0, 0)")
        db.commit()
        db.close()
    started = start()
    pid = daemon_pid()
    tool("submit-many", "--wait", "bench", WARM_UP)
    before = cpu_seconds(pid)
    (seconds,) = tool("submit-many", "--wait", "bench", SERVICE_JOBS)
    cpu = (cpu_seconds(pid) - before) / SERVICE_JOBS
    bus = dbus.SystemBus(private=True)
    page = statistics.median(pair.page(bus, {}) for _ in range(40))
    line("%s: start, RSS" % name, "%.2f s, %.1f MiB (peak %.1f)" % (started, *memory_mib(pid)[:2]))
    line("%s: jobs/s of another queue, CPU a job, a page" % name, "%.0f, %.2f ms, %.1f ms" % (SERVICE_JOBS / seconds, cpu * 1e3, page))
    run("jobmill", "queue", "resume", "backlog")
    before = cpu_seconds(pid), ended()
    time.sleep(10)
    done = ended() - before[1]
    line("%s: its own jobs/s, CPU a job" % name, "%.0f, %.2f ms" % (done / 10, (cpu_seconds(pid) - before[0]) / max(done, 1) * 1e3))
    line("%s: after ten seconds of its own jobs" % name, "RSS %.1f MiB (peak %.1f)" % memory_mib(pid)[:2])


def crowds():
    """10,000 queues below one; 10,000 users of a fair queue; beside none of that"""
    crowd("one queue", 1, 1, False)
    crowd("10,000 queues", 10_000, 1, False)
    crowd("10,000 users", 1, 10_000, True)


SCENARIOS = {f.__name__: f for f in (service, submit, million, scale, crowds)}


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
