# SPDX-License-Identifier: LGPL-2.1-or-later
"""Which job starts when: priority, times, hold, pause, slots and their numbers; and what can be done with a job
afterwards: retry, purge."""

import json
import time

from mill import SLOW, expect, unit_properties, until


def started(mill, ids):
    """Ids in the order in which they were started."""
    jobs = mill.wait_all(ids)
    return [j["id"] for j in sorted(jobs, key=lambda j: j["started_usec"])]


def test_priority(mill):
    mill.write_queue("one", "Slots=1")
    mill.call("PauseQueue", "one")
    priorities = [0, 5, -5, 1000, 0, -1000, 5]
    ids = [mill.submit("sleep 0.05", "one", priority=p) for p in priorities]
    mill.call("ResumeQueue", "one")
    # Higher first, of equal ones the older.
    assert started(mill, ids) == [ids[3], ids[1], ids[6], ids[0], ids[4], ids[2], ids[5]]


def test_not_before(mill):
    at = time.time() + 1.5
    id_ = mill.submit("true", not_before_usec=int(at * 1e6))
    j = mill.info(id_)
    assert j["state"] == "waiting" and j["not_before_usec"] == int(at * 1e6)
    j = mill.wait(id_)
    assert j["result"] == "success"
    assert at <= j["started_usec"] / 1e6 < at + 1.5 * SLOW
    assert j["wait_usec"] < 1_500_000 * SLOW, "waiting begins when it is due"


def test_not_before_in_the_past(mill):
    assert mill.run("true", not_before_usec=1)["result"] == "success"


def test_hold_and_release(mill):
    id_ = mill.submit("true", hold=True)
    other = mill.run("true")
    assert other["result"] == "success"
    assert mill.state(id_) == "held"
    mill.call("ReleaseJob", id_)
    assert mill.wait(id_)["result"] == "success"
    expect("JobFinished", mill.call, "HoldJob", id_)
    expect("JobFinished", mill.call, "CancelJob", id_)

    running = mill.submit("sleep 30")
    mill.reach(running, "running")
    expect("JobLive", mill.call, "HoldJob", running)
    expect("JobNotFinished", mill.call, "RetryJob", running, {})
    mill.call("CancelJob", running)
    mill.wait(running)
    expect("JobNotRunning", mill.call, "KillJob", running, 15)
    expect("NoSuchJob", mill.call, "HoldJob", 2**62)


def test_hold_a_ready_job(mill, folder):
    mill.write_queue("one", "Slots=1")
    first = mill.submit("until [ -e %s/go ]; do sleep 0.05; done" % folder, "one")
    second = mill.submit("true", "one")
    mill.reach(first, "running")
    assert mill.state(second) == "ready"
    mill.call("HoldJob", second)
    (folder / "go").touch()
    mill.wait(first)
    time.sleep(0.3)
    assert mill.state(second) == "held"
    mill.call("ReleaseJob", second)
    mill.wait(second)


def test_pause_and_drain(mill, folder):
    mill.write_queue("outer", "Slots=5")
    mill.write_queue("outer-inner", "Slots=5")
    running = mill.submit("until [ -e %s/go ]; do sleep 0.05; done" % folder, "outer-inner")
    mill.reach(running, "running")
    mill.call("PauseQueue", "outer")
    id_ = mill.submit("true", "outer-inner")
    (folder / "go").touch()
    assert mill.wait(running)["result"] == "success", "a running job runs on"
    j = mill.info(id_)
    assert j["state"] == "ready" and "paused" in j["reason"], j
    mill.restart_daemon(kill=True)
    time.sleep(0.3)
    assert mill.state(id_) == "ready", "still paused after a restart"
    mill.call("ResumeQueue", "outer")
    assert mill.wait(id_)["result"] == "success"

    mill.call("DrainQueue", "outer")
    expect("QueueDraining", mill.submit, "true", "outer-inner")
    mill.call("ResumeQueue", "outer")
    assert mill.run("true", "outer-inner")["result"] == "success"


def test_retry(mill, folder):
    script = "echo x >>runs; [ $(wc -l <runs) -ge 3 ]"
    id_ = mill.submit(script, cwd=str(folder), environment=["A=b"])
    for attempt in (1, 2):
        j = mill.wait(id_)
        assert (j["result"], j["attempt"], j["max_attempts"], j["dead"]) == ("exit-code", attempt, attempt, True)
        mill.call("RetryJob", id_, {})
    j = mill.wait(id_)
    assert (j["result"], j["attempt"], j["dead"]) == ("success", 3, False)
    assert [a["result"] for a in mill.attempts(id_)] == ["exit-code", "exit-code", "success"]
    assert [a["unit"] for a in mill.attempts(id_)] == [mill.unit(id_, n) for n in (1, 2, 3)]
    assert len({a["invocation_id"] for a in mill.attempts(id_)}) == 3


def test_purge(mill):
    ids = [mill.submit("exit %d" % n, tags={"purge": "me"}) for n in (0, 1)]
    live = mill.submit("sleep 30", tags={"purge": "me"})
    mill.wait_all(ids)
    mill.reach(live, "running")
    expect("InvalidFilter", mill.call, "PurgeJobs", {})
    expect("InvalidFilter", mill.call, "PurgeJobs", {"no_such": "x"})
    assert mill.call("PurgeJobs", {"tags": {"purge": "me"}, "dead": True}) == 1
    expect("NoSuchJob", mill.call, "GetJobInfo", ids[1])
    assert mill.call("PurgeJobs", {"tags": {"purge": "me"}}) == 1
    assert mill.state(live) in ("starting", "running")
    mill.call("CancelJob", live)
    mill.wait(live)
    assert mill.submit("true") > live, "ids are never used again"


# -- slots --


def slots_of(mill, folder, queue, n, **spec):
    """n jobs at once: what they hold, as the daemon says and as they see it."""
    ids = [mill.submit("env >env.$JOBMILL_JOB_ID.new; mv env.$JOBMILL_JOB_ID.new env.$JOBMILL_JOB_ID; exec sleep 60", queue,
                       cwd=str(folder), **spec) for _ in range(n)]
    result = []
    for i in ids:
        f = folder / ("env.%d" % i)
        until(f.exists, 10, "job %d has written" % i)
        env = dict(line.split("=", 1) for line in f.read_text().splitlines() if "=" in line)
        assert env["JOBMILL_SLOTS"] == ",".join(str(s) for s in mill.info(i)["slot_numbers"])
        result.append((i, mill.info(i)["slot_numbers"], env))
    return result


def end(mill, jobs):
    for i, *_ in jobs:
        mill.call("CancelJob", i)
    for i, *_ in jobs:
        mill.wait(i)


def test_slot_numbers(mill, folder):
    mill.write_queue("four", "Slots=4")
    jobs = slots_of(mill, folder, "four", 4)
    assert sorted(s for _, s, _ in jobs) == [[0], [1], [2], [3]]
    waiting = mill.submit("sleep 60", "four")
    assert mill.state(waiting) == "ready"
    # The lowest free one is given out next.
    victim = next(j for j in jobs if j[1] == [1])
    mill.call("CancelJob", victim[0])
    mill.reach(waiting, "running")
    assert mill.info(waiting)["slot_numbers"] == [1]
    mill.wait(victim[0])
    end(mill, [j for j in jobs if j is not victim] + [(waiting,)])


def test_several_slots(mill, folder):
    mill.write_queue("fours", "Slots=4")
    jobs = slots_of(mill, folder, "fours", 2, slots=2)
    assert sorted(s for _, s, _ in jobs) == [[0, 1], [2, 3]]
    end(mill, jobs)
    expect("InvalidSpec", mill.submit, "true", "fours", slots=5)

    # One that needs more than is free is not overtaken for ever.
    first = mill.submit("sleep 0.5", "fours", slots=2)
    mill.reach(first, "running")
    large = mill.submit("sleep 0.2", "fours", slots=4)
    small = [mill.submit("true", "fours") for _ in range(3)]
    order = started(mill, [first, large, *small])
    assert order[:2] == [first, large]


def test_slot_variable(mill, folder):
    mill.write_queue("gpu", "Slots=3", "SlotVariable=CUDA_VISIBLE_DEVICES")
    mill.write_queue("gpu-a", "Slots=2")
    mill.write_queue("gpu-b", "Slots=2")
    a = slots_of(mill, folder, "gpu-a", 2)
    b = slots_of(mill, folder, "gpu-b", 1)
    # Numbers are those of the queue that names the variable, so no two jobs below it share one.
    assert sorted(s[0] for _, s, _ in a + b) == [0, 1, 2]
    for _, numbers, env in a + b:
        assert env["CUDA_VISIBLE_DEVICES"] == ",".join(map(str, numbers))
    end(mill, a + b)


def test_lowering_a_cap_kills_nothing(mill):
    mill.write_queue("cap", "Slots=3")
    ids = [mill.submit("sleep 1", "cap") for _ in range(3)]
    for i in ids:
        mill.reach(i, "running")
    mill.write_queue("cap", "Slots=1")
    more = [mill.submit("true", "cap") for _ in range(2)]
    assert all(mill.state(i) == "ready" for i in more)
    assert all(j["result"] == "success" for j in mill.wait_all(ids + more))


def test_queue_list_counts(mill):
    mill.write_queue("counted", "Slots=1")
    ids = [mill.submit("sleep 30", "counted"), mill.submit("true", "counted"), mill.submit("true", "counted", hold=True),
           mill.submit("true", "counted", not_before_usec=int((time.time() + 3600) * 1e6))]
    mill.reach(ids[0], "running")
    row = next(q for q in json.loads(mill.tool("queue", "list", "--json=short", check=True)) if q["name"] == "counted")
    assert {k: row[k] for k in ("slots", "slots_used", "ready", "waiting", "held", "running", "starting", "stopping", "paused",
                                "draining", "slice")} == {
        "slots": 1, "slots_used": 1, "ready": 1, "waiting": 1, "held": 1, "running": 1, "starting": 0, "stopping": 0,
        "paused": False, "draining": False, "slice": "jobmill-counted.slice"}
    for i in ids:
        mill.call("CancelJob", i)
    mill.wait_all(ids)


def test_changed_and_moved(mill, folder):
    mill.write_queue("other", "Slots=2")
    id_ = mill.submit("false", hold=True, properties=["CPUWeight=20"])
    out = folder / "out"
    mill.call("UpdateJob", id_, {"argv": ["/bin/sh", "-c", "cat /proc/self/cgroup > %s; echo $A >> %s; sleep 60" % (out, out)],
                                 "environment": ["A=changed"], "queue": "other", "timeout_usec": 3600 * 10**6,
                                 "properties": ["CPUWeight=70", "Nice=5"]})
    mill.call("ReleaseJob", id_)
    mill.reach(id_, "running")
    until(lambda: out.exists() and "changed" in out.read_text(), 10, "it wrote")
    assert "/jobmill-other.slice/jobmill-job-%d-1.service" % id_ in out.read_text()
    assert unit_properties(mill.unit(id_), "CPUWeight", "Nice") == {"CPUWeight": "70", "Nice": "5"}
    # Its own limit can be made shorter while it runs, and then holds
    expect("InvalidSpec", mill.call, "UpdateJob", id_, {"timeout_usec": 7200 * 10**6})
    expect("NotEditable", mill.call, "MoveJob", id_, "default")
    mill.call("UpdateJob", id_, {"timeout_usec": 300000, "tags": {"seen": "yes"}})
    j = mill.wait(id_)
    assert (j["result"], j["tags"]) == ("timeout", {"seen": "yes"})
