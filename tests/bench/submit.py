# SPDX-License-Identifier: LGPL-2.1-or-later
"""Many jobs at once, durable: over the bus and over the socket, beside a program that inserts the same rows."""

import functools
import re
import shutil
import sqlite3

import peers
from harness import SOCKET, STATE, by_turns, ratio, start_fresh, stop, tool

BARE = STATE / "bare/jobmill.db"  # beside the daemon's own, so on the same file system
JOBS, ROUNDS = 200_000, 5
BULLMQ_JOBS, BULK_ROUNDS = 50_000, 3
ENVIRONMENT = "--environment=20"


def submit_jobmill(*options, jobs=JOBS):
    start_fresh()
    (seconds,) = tool("submit-many", "--hold", *options, "bench", jobs)
    return jobs / seconds


def submit_bare(*options, jobs=JOBS):
    stop()
    shutil.rmtree(BARE.parent, ignore_errors=True)
    BARE.parent.mkdir()
    (seconds,) = tool("bare-insert", *options, BARE, jobs)
    return jobs / seconds


def rows(path):
    """What is stored of the jobs but their times and the numbers of their events."""
    queries = "SELECT * FROM job", "SELECT * FROM job_spec", "SELECT id, refs FROM environment", "SELECT * FROM environment_content", \
              "SELECT * FROM queue WHERE name = 'bench'", "SELECT * FROM backlog", "SELECT n, events FROM event"
    with sqlite3.connect(path) as db:
        db.row_factory = sqlite3.Row
        return [[{k: re.sub(r'"number":\d+', "", row[k]) if k == "events" else row[k] for k in row.keys()
                  if row[k] is None or not (k.endswith("_usec") or k == "submission_key")} for row in db.execute(q)] for q in queries]


def check_rows(ours, *options):
    """The comparison is fair only while both write the same."""
    ours(jobs=1)
    submit_bare(*options, jobs=1)
    ours, bare = rows(STATE / "jobmill.db"), rows(BARE)
    if ours != bare:
        raise RuntimeError("bare-insert does not insert what jobmilld does:\n%s\n%s" % (ours, bare))


def submit():
    """jobs/s of SubmitMany, 10,000 a call, durable"""
    for name, target, options in (("SubmitMany over the bus, jobs/s : bare insert", "≥ 0.3", ()),
                                  ("SubmitMany over the bus, each with 20 variables, jobs/s : bare insert", "", (ENVIRONMENT,))):
        submitted = functools.partial(submit_jobmill, *options)
        check_rows(submitted, *options)
        ours, bare = by_turns(ROUNDS, submitted, functools.partial(submit_bare, *options))
        ratio(name, ours, bare, target)
    shutil.rmtree(BARE.parent)


def submit_socket(jobs=JOBS):
    start_fresh()
    (seconds,) = tool("submit-socket", "--hold", SOCKET, "bench", jobs)
    return jobs / seconds


def submit_bullmq(fsync):
    stop()
    return peers.bullmq(fsync, "add", BULLMQ_JOBS)


def bulk():
    """jobs/s of SubmitMany over the socket, durable; and of BullMQ's addBulk"""
    check_rows(submit_socket, "--parse")
    others = [functools.partial(submit_bullmq, fsync) for fsync in peers.FSYNC] if peers.BULLMQ.exists() else []
    ours, bare, *added = by_turns(BULK_ROUNDS, submit_socket, lambda: submit_bare("--parse"), *others)
    ratio("SubmitMany over the socket, jobs/s : bare parse and insert", ours, bare, "≥ 0.5")
    peers.bullmq_rows("SubmitMany over the socket, jobs/s : BullMQ addBulk", ours, added, "≥ 1.5")
    shutil.rmtree(BARE.parent)
