# SPDX-License-Identifier: LGPL-2.1-or-later
"""The system goes down under jobs of all kinds and comes up again: what ran is lost with the true reason, what waited is there as it
was, nothing ran twice, nothing was started while the system stopped.

Run by tests/system/boot --reboots: this module is run at every boot anew. Each run judges what the one before has left, makes new
jobs, and takes the system down in the next way; the last one ends. What is to be known later is kept in FOLDER."""

import collections
import json
import os
import pathlib
import time

import pytest

from mill import BUS_TESTS, PYTHON, SLOW, job_units, run, systemctl, until, unit_properties
from test_user import USER, Session

BOOT = int(os.environ["JOBMILL_BOOT"])
WAYS = ["reboot", "cut"] if os.environ.get("JOBMILL_REBOOTS") != "all" else ["reboot", "cut", "poweroff", "halt", "reboot", "cut"]
DOWN = {"reboot": ["reboot"], "poweroff": ["poweroff"], "halt": ["halt"],
        "cut": ["reboot", "-ff"]}  # not even a sync
FOLDER = pathlib.Path("/var/tmp/jobmill-reboot")
STATE = FOLDER / "state.json"
PROOF = FOLDER / "proof"
LATE = FOLDER / "late"
HOUR = 3600 * 10**6
BEGIN = "echo $JOBMILL_JOB_ID $JOBMILL_ATTEMPT $(date +%%s%%N) >>%s; " % PROOF
LOOP = "while :; do sleep 0.05; done"

# Submits as long as anybody answers, from a service that the shutdown leaves alone.
SUBMITTER = """
import os, sys, time
sys.path.insert(0, %r)
import client
c = client.Client("unix:path=/run/dbus/system_bus_socket")
with open(%r, "a", buffering=1) as log:
    while True:
        try:
            print("id", c.call("Submit", "late", ["/bin/sh", "-c", %r], {}, timeout=2)[0], time.time_ns(), file=log)
        except client.BusError as e:
            print("error", e.name, time.time_ns(), file=log)
            if not c.bus.get_is_connected():
                break
        time.sleep(0.03)
"""


def now():
    return time.time_ns() // 1000


def runs():
    """{(id, attempt): [when it began, ns]}, of all boots."""
    found = collections.defaultdict(list)
    for line in PROOF.read_text().splitlines():
        id_, attempt, when = map(int, line.split())
        found[id_, attempt].append(when)
    return found


# ---- before ----

def queues(mill):
    for name, slots in (("live", 40), ("small", 1), ("busy", 4), ("paused", 4), ("late", 4), ("closing", 1)):
        mill.write_queue(name, "Slots=%d" % slots, reload=False)
    mill.call("Reload")


def make_live(mill):
    """What runs when the system goes down: {kind: id}."""
    def go(words, queue="live", **spec):
        return mill.submit(BEGIN + words, queue, properties=["LimitCORE=0"], **spec)

    deaf = "trap '' TERM; " + LOOP
    jobs = {
        "dies": go("exec sleep 600"),
        "exits 0": go("trap 'exit 0' TERM; " + LOOP),
        "exits 3": go("trap 'exit 3' TERM; " + LOOP),
        "deaf": go(deaf, stop_timeout_usec=700_000),
        "family": go("sleep 600 & (trap '' TERM; sleep 600) & wait", stop_timeout_usec=700_000),
        "frozen": go("exec sleep 600"),
        "file": go("exec sleep 600", output_file="/var/tmp/jobmill-reboot/out"),
        "first of small": go("exec sleep 600", "small"),
        "cancelled": go(deaf, stop_timeout_usec=2_000_000),
        "timeout": go(deaf, stop_timeout_usec=2_000_000, timeout_usec=10**9),
    }
    for i in jobs.values():
        mill.reach(i, "running")
    until(lambda: all(runs()[i, 1] for i in jobs.values()), 10, "all have begun")
    mill.call("FreezeJob", jobs["frozen"])
    until(lambda: mill.info(jobs["frozen"]).get("reason") == "frozen", 10, "it is frozen")
    return jobs


def make_hers(session):
    """Of alice's own instance, whose service manager goes down with the system."""
    run("loginctl", "enable-linger", USER)
    systemctl("start", session.manager)
    until(session.bus_is_there, 20, "her manager runs")
    session.run("systemctl", "--user", "enable", "--now", "jobmilld.service")
    ids = [session.tool("submit", *more).strip() for more in (["sleep", "600"], ["--hold", "true"], ["--in", "1h", "true"])]
    until(lambda: session.show(ids[0])["state"] == "running", 10, "it runs")
    return ids


def make_queued(mill):
    def make(queue="small", **spec):
        return mill.submit(BEGIN + "true", queue, **spec)

    mill.call("PauseQueue", "paused")
    jobs = {
        "second of small": make(), "third of small": make(priority=5),
        "held": make(hold=True), "held and late": make(hold=True, not_before_usec=now() + HOUR),
        "in an hour": make(not_before_usec=now() + HOUR), "soon": make("live", not_before_usec=now() + 2_000_000 * SLOW),
        "paused": make("paused"), "closing": make("closing", hold=True),
    }
    mill.call("DrainQueue", "closing")
    return jobs


def make_tried(mill):
    """One that a shutdown does not count against, one that has failed and waits, one that a loss is a failure of."""
    jobs = {"requeued": mill.submit(BEGIN + "exec sleep 600", "live", requeue_lost=True),
            "between": mill.submit(BEGIN + "exit 3", "live", max_attempts=2, backoff_base_usec=HOUR),
            "counted": mill.submit(BEGIN + "exec sleep 600", "live", max_attempts=2, backoff_base_usec=1000)}
    for kind, state in (("requeued", "running"), ("between", "waiting"), ("counted", "running")):
        mill.reach(jobs[kind], state)
    return jobs


def make_ending(mill):
    """Some of these end by themselves in just that moment; and a queue in full swing."""
    ending = {str(n): mill.submit("%sread x <%s; sleep 0.%02d; exit %d" % (BEGIN, FOLDER / "gate", 2 * n, 7 * (n % 2)), "live",
                                  environment=["PATH=/usr/bin:/bin"]) for n in range(12)}
    for i in ending.values():
        mill.reach(i, "running")
    busy = mill.submit_many([BEGIN + "sleep 0.0%d" % (n % 10) for n in range(150)], "busy")
    return ending, busy


def make_schedules(mill):
    """One that is never due, one that is in a moment, when the system goes down or is: by then that is recorded."""
    soon = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(time.time() + 4))
    for name, when in ("never", "*-01-01 00:00"), ("soon", soon):
        mill.call("SetSchedule", name, {"OnCalendar": [when], "AccuracySec": "1us", "Persistent": "yes", "Job": {"argv": ["/bin/true"], "queue": "late"}})
        until(lambda: "next_usec" in mill.call("GetSchedule", name) or mill.call("ListFirings", name, 0), 10, "its timer is there")
        mill.call("SetSchedule", name, {"Overlap": "queue"})


def start_submitter():
    (FOLDER / "submit.py").write_text(SUBMITTER % (str(BUS_TESTS), str(LATE), BEGIN + "true"))
    run("systemd-run", "--quiet", "--unit=submitter-%d.service" % BOOT, "--property=DefaultDependencies=no", "--property=SendSIGKILL=yes",
        PYTHON, FOLDER / "submit.py")
    until(lambda: LATE.exists() and "id" in LATE.read_text(), 10, "it submits")


def go_down(mill, way):
    begun = now()
    gate = FOLDER / "gate"
    if not gate.exists():
        os.mkfifo(gate)
    hers = make_hers(Session())
    start_submitter()
    live = make_live(mill)
    queued = make_queued(mill)
    tried = make_tried(mill)
    ending, busy = make_ending(mill)
    state = {"begun": begun, "boot_id": pathlib.Path("/proc/sys/kernel/random/boot_id").read_text(), "way": way, "live": live,
             "queued": queued, "tried": tried, "ending": ending, "busy": busy, "hers": hers, "not_before": {k: mill.info(i).get("not_before_usec") for k, i in queued.items()}}
    mill.call("CancelJob", live["cancelled"])
    mill.call("UpdateJob", live["timeout"], {"timeout_usec": 1000})
    for kind in ("cancelled", "timeout"):
        mill.reach(live[kind], "stopping")
    make_schedules(mill)
    STATE.write_text(json.dumps(state))
    fd = os.open(gate, os.O_RDWR)
    os.write(fd, b"\n" * 100)
    run("systemctl", *DOWN[way], check=False)
    time.sleep(120 * SLOW)
    pytest.fail("the system did not go down")


# ---- after ----

def of_last_boot(*matches):
    text = run("journalctl", "--boot=-1", "--output=json", "--quiet", "--no-pager", *matches)
    return [json.loads(line) for line in text.splitlines()]


def check_live(mill, state):
    lost = "the system was restarted" if state["way"] == "cut" else "shutdown"
    for kind, i in state["live"].items():
        j = mill.info(i)
        want = (kind, None) if kind in ("cancelled", "timeout") else ("lost", lost)
        assert j["state"] == "done" and (j["result"], j.get("reason")) == want, "%s: %r" % (kind, j)
        assert j["attempt"] == 1 and j["dead"]
    if state["way"] != "cut":
        assert mill.info(state["live"]["exits 3"])["exit_status"] == 3


def check_ending(mill, state):
    """Each has one result, and a true one."""
    results = collections.Counter()
    reason = "the system was restarted" if state["way"] == "cut" else "shutdown"
    for n, i in state["ending"].items():
        j = mill.info(i)
        assert j["state"] == "done"
        if j["result"] == "lost":
            assert j["reason"] == reason, j
        else:
            assert (j["result"], j["exit_status"]) == (("exit-code", 7) if int(n) % 2 else ("success", 0)), j
        results[j["result"]] += 1
    return results


def check_queued(mill, state):
    jobs = {k: mill.info(i) for k, i in state["queued"].items()}
    for kind in ("second of small", "third of small", "soon"):
        assert mill.wait(jobs[kind]["id"])["result"] == "success"
        assert mill.info(jobs[kind]["id"])["attempt"] == 1
    began = runs()
    assert began[jobs["soon"]["id"], 1][0] // 1000 >= state["not_before"]["soon"]
    assert began[jobs["third of small"]["id"], 1] < began[jobs["second of small"]["id"], 1], "by priority"
    assert [jobs[k]["state"] for k in ("held", "held and late", "in an hour", "paused", "closing")] == [
        "held", "held", "waiting", "ready", "held"]
    assert {k: j.get("not_before_usec") for k, j in jobs.items()} == state["not_before"]
    rows = {q["name"]: q for q in json.loads(mill.tool("queue", "list", "-j", check=True))}
    assert rows["paused"]["paused"] and rows["closing"]["draining"] and not rows["small"]["paused"]
    assert not any(began[jobs[k]["id"], 1] for k in ("held", "held and late", "in an hour", "paused", "closing"))


def check_busy(mill, state, ids):
    """Each ran once, or is lost and says why, or was taken back and then ran once."""
    jobs = mill.wait_all(ids, 120)
    began, results = runs(), collections.Counter()
    reason = "the system was restarted" if state["way"] == "cut" else "shutdown"
    for j in jobs:
        results[j["result"]] += 1
        ran = [a for (i, a) in began if i == j["id"]]
        if j["result"] == "success":
            assert ran == [j["attempt"]], (ran, j)
        else:
            assert (j["result"], j["reason"]) == ("lost", reason), j
            assert len(ran) <= 1
    return results


def check_hers(state):
    session = Session()
    until(session.bus_is_there, 20, "her manager runs")
    until(lambda: session.tool("stats", check=False).returncode == 0, 10, "her jobmilld runs")
    ran, held, later = (session.show(i) for i in state["hers"])
    assert (ran["result"], ran["reason"]) == ("lost", "the system was restarted" if state["way"] == "cut" else "shutdown"), ran
    assert (held["state"], later["state"]) == ("held", "waiting")
    session.tool("cancel", *state["hers"][1:])


def check_retry(mill, state):
    """By hand it runs once more, and no more than that."""
    i = state["live"]["dies"]
    mill.call("RetryJob", i, {})
    mill.reach(i, "running")
    until(lambda: runs()[i, 2], 10, "it has begun")
    mill.call("CancelJob", i)
    assert mill.wait(i)["attempt"] == 2


def check_tried(mill, state):
    """Once more after the boot, and not before it."""
    jobs = state["tried"]
    for kind in ("requeued", "counted"):
        until(lambda: (mill.info(jobs[kind])["attempt"], mill.state(jobs[kind])) == (2, "running"), 10, "%s runs again" % kind)
        assert mill.attempts(jobs[kind])[0]["result"] == "lost"
        mill.call("CancelJob", jobs[kind])
        assert mill.wait(jobs[kind])["result"] == "cancelled"
    j = mill.info(jobs["between"])
    assert (j["state"], j["attempt"]) == ("waiting", 1) and j["reason"].startswith("attempt 2 of 2 in "), j


def check_schedules(mill):
    """Their timers are there again; what was due is fired for once, whenever that was. Why."""
    until(lambda: "next_usec" in mill.call("GetSchedule", "never"), 20, "its timer is there")
    assert "jobmill-schedule-never.timer" in systemctl("list-timers", "jobmill-schedule-*") and not mill.call("ListFirings", "never", 0)
    until(lambda: mill.call("ListFirings", "soon", 0), 20, "it is fired")
    mill.wait(mill.call("ListFirings", "soon", 0)[0]["job"])
    systemctl("restart", "jobmilld")
    mill.settled()
    until(lambda: "jobmill-schedule-soon.timer" in systemctl("list-units", "--all", "jobmill-schedule-*"), 20, "its timer is there")
    row, = mill.call("ListFirings", "soon", 0)
    for name in "never", "soon":
        mill.call("RemoveSchedule", name)
    until(lambda: "jobmill-schedule" not in systemctl("list-units", "--all", "jobmill-schedule-*"), 70, "no timer is left")
    return row["cause"]


def check_nothing_started(state):
    """PID 1's own words, in order: from the first thing that it stops for the shutdown on, no job is started. How many were before."""
    entries = [(str(e["MESSAGE"]), str(e.get("UNIT"))) for e in of_last_boot("_PID=1") if int(e["__REALTIME_TIMESTAMP"]) > state["begun"]]
    first = next((n for n, (text, unit) in enumerate(entries) if text.startswith("Stop") and not unit.startswith("jobmill-job-")), None)
    assert (first is None) == (state["way"] == "cut")
    started = [n for n, (text, unit) in enumerate(entries) if text.startswith("Started") and unit.startswith("jobmill-job-")]
    assert started and (first is None or started[-1] < first), entries[first:]
    return len(started)


def stop_took(unit):
    """How long PID 1 waited for it to stop, in ms."""
    times = {str(e["MESSAGE"]).split(" ")[0]: int(e["__MONOTONIC_TIMESTAMP"]) for e in of_last_boot("_PID=1")
             if e.get("UNIT") == unit and str(e["MESSAGE"]).startswith("Stopp")}
    return (times["Stopped"] - times["Stopping"]) / 1000 if len(times) == 2 else None


def judge(mill):
    state = json.loads(STATE.read_text())
    assert state["boot_id"] != pathlib.Path("/proc/sys/kernel/random/boot_id").read_text()
    mill.settled()
    check_live(mill, state)
    ending = check_ending(mill, state)
    check_queued(mill, state)
    busy = check_busy(mill, state, state["busy"])
    lines = [line.split() for line in LATE.read_text().splitlines()]
    late = [int(line[1]) for line in lines if line[0] == "id"]
    refused = collections.Counter(line[1] for line in lines if line[0] == "error")
    check_busy(mill, state, late)
    check_retry(mill, state)
    check_tried(mill, state)
    check_hers(state)
    cause = check_schedules(mill)
    started = check_nothing_started(state)
    twice = {k: v for k, v in runs().items() if len(v) > 1}
    assert not twice, "ran twice: %r" % twice
    fresh = mill.run("true")
    assert fresh["result"] == "success" and fresh["id"] > max([*late, *state["busy"], *state["live"].values()])
    print("\n%s: %d started; ending just then %s; in full swing %s; %d submits to the end, refused %s; jobmilld stopped in %s ms; a schedule: %s" % (
        state["way"], started, dict(ending), dict(busy), len(late), dict(refused), stop_took("jobmilld.service"), cause), flush=True)
    for name in ("paused", "closing"):
        mill.call("ResumeQueue", name)
    mill.call("CancelJobs", {"state": "held"})
    mill.call("CancelJobs", {"state": "waiting"})
    mill.drop_everything()
    LATE.unlink()


# ---- not quite down ----

def deaf_job(mill, **spec):
    id_ = mill.submit("trap '' TERM; " + LOOP, **spec)
    mill.reach(id_, "running")
    return id_


@pytest.mark.skipif(BOOT > 0, reason="once is enough")
def test_scheduled(mill):
    """A shutdown in an hour is none yet."""
    run("shutdown", "-r", "+60")
    assert mill.run("true")["result"] == "success"
    run("shutdown", "-c")


@pytest.mark.skipif(BOOT > 0, reason="once is enough")
def test_isolate(mill, folder):
    """A target without jobmilld: the jobs run on, and what ended meanwhile is told. (It would stay for the sake of its socket.)"""
    pathlib.Path("/run/systemd/system/quiet.target").write_text(
        "[Unit]\nAllowIsolate=yes\nRequires=basic.target dbus.service\nAfter=basic.target dbus.service\nConflicts=jobmilld.socket jobmilld.service\n")
    systemctl("daemon-reload")
    ends = mill.submit("until [ -e %s/go ]; do sleep 0.05; done; exit 3" % folder)
    stays = deaf_job(mill, stop_timeout_usec=10**6)
    mill.reach(ends, "running")
    pid = mill.main_pid(stays)
    systemctl("isolate", "quiet.target")
    until(lambda: unit_properties("jobmilld.service", "ActiveState")["ActiveState"] == "inactive", 10, "jobmilld is stopped")
    (folder / "go").touch()
    until(lambda: unit_properties(mill.unit(ends), "ActiveState")["ActiveState"] == "failed", 10, "it has ended")
    systemctl("start", "jobmill-boot.target")
    assert mill.wait(ends)["exit_status"] == 3
    assert mill.state(stays) == "running" and mill.main_pid(stays) == pid
    mill.call("CancelJob", stays)
    assert mill.wait(stays)["result"] == "cancelled"


@pytest.mark.skipif(BOOT > 0, reason="once is enough")
def test_called_off(mill):
    """While a job still has time to end the shutdown is cancelled: jobs are started again."""
    deaf, dies = deaf_job(mill, stop_timeout_usec=60 * 10**6), mill.submit("exec sleep 600")
    mill.reach(dies, "running")
    run("systemctl", "--no-block", "reboot")
    j = mill.wait(dies)
    assert (j["result"], j["reason"]) == ("lost", "shutdown")
    until(lambda: mill.stats()["dispatch"] == "the system is stopping", 10, "it says so")
    queued = mill.submit("true")
    time.sleep(0.3)
    assert mill.state(queued) == "ready"
    run("systemctl", "cancel")
    assert mill.wait(queued)["result"] == "success"
    systemctl("kill", "--signal=KILL", mill.unit(deaf))
    assert mill.wait(deaf)["result"] in ("signal", "cancelled")
    run("systemctl", "start", "jobmill-boot.target")


# ---- down ----

@pytest.mark.skipif(BOOT == 0, reason="nothing has happened yet")
def test_what_is_left(mill):
    judge(mill)


@pytest.mark.skipif(BOOT >= len(WAYS), reason="it was the last time")
def test_go_down(mill, request):
    assert not request.session.testsfailed, "what has failed before would be forgotten"
    FOLDER.mkdir(exist_ok=True)
    FOLDER.chmod(0o1777)
    PROOF.touch()
    PROOF.chmod(0o666)
    queues(mill)
    try:
        go_down(mill, WAYS[BOOT])
    finally:
        systemctl("stop", "submitter-*", check=False)


@pytest.mark.skipif(BOOT < len(WAYS), reason="not yet")
def test_all_ways_were_gone(mill):
    until(lambda: not job_units(), 10, "no unit is left")
