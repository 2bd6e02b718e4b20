# SPDX-License-Identifier: LGPL-2.1-or-later
"""A large store beside a small one, and many queues and users: nothing may depend on how much waits or has ended."""

import json
import os
import pathlib
import shutil
import sqlite3
import statistics
import time

import dbus
import pair
from harness import CAP, QUEUES, STATE, WARM_UP, by_turns, cpu_seconds, daemon_pid, line, memory_mib, ratio, row, run, start, stop, tool

SERVICE_JOBS, SERVICE_ROUNDS = 400, 5
MILLION, SMALL = 1_000_000, 1_000

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


def pairs(sides, rounds, measure):
    """What measure(side) gives of the small and of the big one: two lists."""
    return by_turns(rounds, lambda: measure(sides["small"]), lambda: measure(sides["big"]))


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
    pairs(sides, 1, submit)
    small, big = pairs(sides, 25, submit)
    row("scale: SubmitMany, jobs/s", "≥ 0.9", "%.2f" % of_medians(small, big, 0))
    line("SubmitMany, CPU", "%.2f (target ≤ 1.1)" % of_medians(small, big, 1))
    line("pages, big : small", "each target ≤ 1.1")
    pages = []
    for f in LISTS:
        page = with_cpu(lambda side, f=f: side.page(f))
        pairs(sides, 3, page)
        small, big = pairs(sides, 60, page)
        line("page, %s" % (" ".join("%s=%s" % (k, dict(v) if k == "tags" else v) for k, v in f.items()) or "newest"),
             "%.2f time, %.2f CPU  (%.2f ms, %.2f ms of CPU)" % (of_medians(small, big, 0), of_medians(small, big, 1),
              statistics.median(b[0] for b in big), statistics.median(b[1] for b in big) * 1e3))
        pages.append(of_medians(small, big, 0))
    row("scale: time of a page, the worst of %d kinds of lists" % len(LISTS), "≤ 1.1", "%.2f" % max(pages), ", ".join("%.2f" % p for p in pages))


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
    (QUEUES / "backlog.queue").write_text("[Queue]\nSlots=1\nPaused=yes\n")
    make("small", SMALL)
    make("big", MILLION)
    small, big = by_turns(SERVICE_ROUNDS, lambda: scale_round("small"), lambda: scale_round("big"))
    started = [b[0] for b in big]
    row("scale: start until it answers", "≤ 1 s", "%.2f s" % statistics.median(started), ", ".join("%.2f" % s for s in started))
    ratio("scale: service jobs/s", [b[1] for b in big], [s[1] for s in small], "≥ 0.9")
    ratio("scale: CPU of jobmilld a service job", [b[2] for b in big], [s[2] for s in small], "≤ 1.1")
    row("scale: resident set at work", "≤ 32 MiB", "%.1f MiB" % big[-1][3][0])
    put_away()
    cpus = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cpus)})  # they work one after the other, and neither shall have the busier processor
    sides = {name: pair.Side(name, FOLDERS[name]) for name in ("small", "big")}
    for s in sides.values():
        for path in QUEUES.glob("*.queue"):
            shutil.copy(path, s.queues)
        s.start()
    scale_pairs(sides)
    scale_backlog_work(sides["big"])
    row("scale: resident set after all that", "≤ 32 MiB", "%.1f MiB" % memory_mib(sides["big"].process.pid)[0])
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
    for path in QUEUES.glob("backlog*.queue"):
        path.unlink()
    for i in range(queues):
        (QUEUES / ("backlog-%d.queue" % i if queues > 1 else "backlog.queue")).write_text(
            "[Queue]\nSlots=%d\nAllowUsers=*\n%s" % (1 if queues > 1 else CAP, "Fair=user\n" if fair else ""))
    if queues > 1:
        (QUEUES / "backlog.queue").write_text("[Queue]\nSlots=%d\n" % CAP)
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
