# SPDX-License-Identifier: LGPL-2.1-or-later
"""Schedules: their timers, each time fired once whatever dies in between, what the last job means for the next one, who may what."""

import json
import re
import sqlite3

import pytest

import client
from conftest import until
from test_disk_full import disk, run_all  # noqa: F401
from test_json import check
from tool import tool

DAY = 86400 * 10**6
TRUE = {"argv": ["/bin/true"]}
SLEEP = {"argv": ["/bin/sleep", "1000"]}


def unit(name="nightly"):
    return "jobmill-schedule-%s.timer" % name


def set_(who, name="nightly", **settings):
    if "OnUnitActiveSec" not in settings:
        settings.setdefault("OnCalendar", ["*-*-* 02:30"])
    who.call("SetSchedule", name, {"Job": TRUE, **settings})


def refused(who, error, *call):
    with pytest.raises(client.BusError) as e:
        who.call(*call)
    assert e.value.short == error, e.value
    return e.value.message


def shown(mill, name="nightly"):
    return {s["name"]: s for s in mill.call("ListSchedules")}.get(name)


def firings(mill, name="nightly"):
    return mill.call("ListFirings", name, 0)


def timers(systemd):
    return systemd.do("units", pattern="*.timer")


def is_made(mill, systemd, name="nightly"):
    """The timer is there, and the daemon has looked at it."""
    until(lambda: unit(name) in timers(systemd) and "next_usec" in shown(mill, name), 10, "its timer", interval=0.01)


def elapse(mill, systemd, name="nightly", **how):
    """The rows of what came of it."""
    n = shown(mill, name)["firings"]
    systemd.do("elapse", name=unit(name), **how)
    until(lambda: shown(mill, name)["firings"] > n, 10, "it is fired", interval=0.01)
    return firings(mill, name)


def test_its_life(mill, systemd):
    """Made, changed, fired, paused, removed; nothing is left of it."""
    mill.start()
    set_(mill, RandomizedDelaySec="5min", AccuracySec="1s", Job={**TRUE, "queue": "default", "name": "backup", "payload": b"\xff\0"})
    is_made(mill, systemd)
    settings = timers(systemd)[unit()]["settings"]
    assert settings["TimersCalendar"] == [["OnCalendar", "*-*-* 02:30"]]
    aux, = settings["aux"]
    assert aux[0] == "jobmill-schedule-nightly.service" and ["Wants", ["jobmilld.service"]] in aux[1] and ["StartLimitIntervalUSec", 0] in aux[1]
    assert settings["CollectMode"] == "inactive-or-failed"
    s = shown(mill)
    assert (s["calendar"], s["randomized_delay_usec"], s["accuracy_usec"], s["overlap"]) == (["*-*-* 02:30"], 300 * 10**6, 10**6, "skip")
    assert s["unit"] == unit() and not s["paused"] and s["firings"] == 0 and '"name":"backup"' in s["job"]

    row, = elapse(mill, systemd)
    assert (row["number"], row["cause"]) == (1, "timer")
    job = mill.info(row["job"])
    assert job["name"] == "backup" and mill.result(row["job"]) == "success"
    assert row["due_usec"] == shown(mill)["elapsed_usec"] and shown(mill)["last_job"] == row["job"]

    mill.call("SetSchedule", "nightly", {"OnUnitActiveSec": "1h", "OnCalendar": []})  # the job stays what it was
    until(lambda: "TimersMonotonic" in timers(systemd).get(unit(), {"settings": {}})["settings"], 10, "another timer")
    assert timers(systemd)[unit()]["settings"]["TimersMonotonic"] == [["OnActiveSec", 3600 * 10**6], ["OnUnitActiveSec", 3600 * 10**6]]
    is_made(mill, systemd)
    assert mill.info(elapse(mill, systemd)[0]["job"])["name"] == "backup"

    mill.call("PauseSchedule", "nightly")
    until(lambda: not timers(systemd), 10, "no timer while it is paused")
    assert shown(mill)["paused"] and "next_usec" not in shown(mill)
    mill.call("ResumeSchedule", "nightly")
    is_made(mill, systemd)
    mill.call("RemoveSchedule", "nightly")
    until(lambda: not timers(systemd), 10, "no timer of one that there is not")
    assert not mill.call("ListSchedules")
    assert refused(mill, "NoSuchSchedule", "ListFirings", "nightly", 0)
    set_(mill)
    is_made(mill, systemd)
    assert not firings(mill) and shown(mill)["firings"] == 0  # another one, of the same name


def test_once_for_each_time(mill, systemd):
    """A time is fired for once: heard or not, killed before or after, seen again by each look."""
    mill.start(JOBMILL_LOOK_INTERVAL="1")
    set_(mill)
    is_made(mill, systemd)
    elapse(mill, systemd)
    mill.restart()
    mill.settled()
    is_made(mill, systemd)
    assert shown(mill)["firings"] == 1 and systemd.do("counts")["calls"]["StartTransientUnit"] <= 4  # calendar, timer, job
    mill.kill()
    systemd.do("elapse", name=unit())  # nobody is there
    mill.start(JOBMILL_LOOK_INTERVAL="1")
    until(lambda: len(firings(mill)) == 2, 10, "what it missed is seen in the timer")
    systemd.do("elapse", name=unit(), quiet=True)  # the signal is lost; of running jobs there are none
    systemd.do("elapse", name=unit(), at=1)  # and the clock was set back
    until(lambda: firings(mill)[0]["due_usec"] == 1, 10, "not only later times count")
    numbers = [f["number"] for f in firings(mill)]
    assert numbers == sorted(set(numbers), reverse=True)


def looks(systemd):
    return len(systemd.do("calls", method="GetAll"))


def knows_next(mill, change, name="nightly"):
    """By then it is recorded that the timer, which is changed now, elapses at another time."""
    before = shown(mill, name)["next_usec"]
    change()
    until(lambda: shown(mill, name)["next_usec"] != before, 10, "it knows that", interval=0.01)
    mill.call("SetSchedule", name, {"AccuracySec": "1min"})  # its answer comes after the commit


def test_the_clock_is_set_back(mill, systemd):
    """Then the manager itself changes when a timer elapsed. Nothing has elapsed by that."""
    mill.start()
    set_(mill)
    is_made(mill, systemd)
    due = elapse(mill, systemd)[0]["due_usec"]
    before = looks(systemd)
    systemd.do("set_clock_back", name=unit(), by=3600 * 10**6)
    until(lambda: looks(systemd) > before, 10, "it is looked at", interval=0.01)
    mill.restart()
    mill.settled()
    rows = elapse(mill, systemd)
    assert [f["number"] for f in rows] == [2, 1] and rows[1]["due_usec"] == due


def test_a_timer_of_before(mill, systemd):
    """What elapsed while it was paused shows in the unit that was to be stopped: that is another one's."""
    mill.start()
    set_(mill)
    is_made(mill, systemd)
    of_before = timers(systemd)[unit()]["settings"]["Documentation"]
    systemd.fault("StopUnit", "never", match=unit())
    mill.call("PauseSchedule", "nightly")
    systemd.do("elapse", name=unit(), quiet=True)
    mill.call("ResumeSchedule", "nightly")
    mill.kill()
    systemd.do("clear_faults")
    mill.start()
    until(lambda: timers(systemd).get(unit(), {"settings": {"Documentation": of_before}})["settings"]["Documentation"] != of_before, 10, "another timer")
    is_made(mill, systemd)
    assert not firings(mill)


def test_between_elapsing_and_the_next_time(mill, systemd):
    """When it will elapse next the manager knows only when the timer's service has ended. A reboot in between: fired once all the same."""
    mill.start()
    set_(mill, Persistent="yes")
    is_made(mill, systemd)
    knows_next(mill, lambda: systemd.do("set", name=unit(), NextElapseUSecRealtime=12345))
    before = looks(systemd)
    systemd.do("elapse", name=unit(), at=12345, rests=False)
    until(lambda: looks(systemd) > before, 10, "it is looked at", interval=0.01)
    mill.kill()
    systemd.do("reboot")
    mill.start()
    is_made(mill, systemd)
    assert [(f["cause"], f["due_usec"]) for f in firings(mill)] == [("missed", 12345)]
    systemd.do("elapse", name=unit(), rests=False)
    systemd.do("set", name=unit(), SubState="waiting")
    until(lambda: len(firings(mill)) == 2, 10, "it goes on")


def test_a_lost_signal(mill, systemd):
    """Without any job the units are looked at now and then all the same, of a timer that should have elapsed."""
    mill.start(JOBMILL_LOOK_INTERVAL="1")
    set_(mill, OnUnitActiveSec="1s")
    is_made(mill, systemd)
    systemd.do("elapse", name=unit(), quiet=True)
    until(lambda: shown(mill)["firings"] == 1, 10, "it is fired")


@pytest.mark.parametrize("persistent", [False, True])
def test_after_a_reboot(mill, systemd, persistent):
    """Timers are made again; one firing makes up for what was missed, where that is wanted."""
    mill.start()
    set_(mill, Persistent="yes" if persistent else "no")
    is_made(mill, systemd)
    mill.kill()
    systemd.do("reboot")
    mill.start()
    is_made(mill, systemd)
    assert shown(mill)["firings"] == 0  # it is not time
    mill.kill()
    systemd.do("reboot")
    change_store(mill, "UPDATE timer SET next_usec = 12345")
    mill.start()
    is_made(mill, systemd)
    rows = firings(mill)
    assert [(f["cause"], f["due_usec"]) for f in rows] == ([("missed", 12345)] if persistent else [])
    for f in rows:
        assert mill.result(f["job"]) == "success"
    mill.restart()
    mill.settled()
    is_made(mill, systemd)
    assert len(firings(mill)) == len(rows) and len(timers(systemd)) == 1


def change_store(mill, statement):
    db = sqlite3.connect(mill.folder / "state/jobmill.db")
    db.execute(statement)
    db.commit()
    db.close()


def test_a_leftover(mill, systemd):
    """A timer of ours that no schedule is behind is stopped; one that was stopped from outside comes again."""
    mill.start()
    set_(mill)
    is_made(mill, systemd)
    systemd.do("stop", name=unit())
    until(lambda: unit() in timers(systemd), 10, "it is made again")
    systemd.do("start_stray", name=unit("ghost"), argv=["/bin/true"])
    systemd.fault("StopUnit", "refuse", count=1, match=unit("ghost"), error="org.freedesktop.DBus.Error.LimitsExceeded")
    mill.restart()
    until(lambda: list(timers(systemd)) == [unit()], 10, "the other one is stopped")


def test_overlap(mill, systemd):
    """skip, queue, replace: never two of one schedule at a time."""
    mill.start()
    for overlap in ("skip", "queue", "replace"):
        set_(mill, overlap, Overlap=overlap, Job=SLEEP)
        is_made(mill, systemd, overlap)
    first = {o: elapse(mill, systemd, o)[0]["job"] for o in ("skip", "queue", "replace")}
    for job in first.values():
        mill.reach(job, "running")
    row = elapse(mill, systemd, "skip")[0]
    assert "job" not in row and row["reason"] == "job %d is not done" % first["skip"]
    assert mill.state(first["skip"]) == "running"
    row = elapse(mill, systemd, "queue")[0]
    assert mill.state(first["queue"]) == "running" and mill.state(row["job"]) == "waiting"
    mill.call("CancelJob", first["queue"])
    mill.reach(row["job"], "running")
    row = elapse(mill, systemd, "replace")[0]
    assert mill.result(first["replace"]) == "cancelled" and "replaced by job %d" % row["job"] in mill.info(first["replace"])["reason"]
    mill.reach(row["job"], "running")
    assert refused(mill, "NotUnique", "FireSchedule", "skip") == "Schedule 'skip': job %d is not done" % first["skip"]
    mill.call("CancelJob", first["skip"])
    mill.result(first["skip"])
    job = mill.call("FireSchedule", "skip")
    assert firings(mill, "skip")[0]["job"] == job and firings(mill, "skip")[0]["cause"] == "manual"


def test_never_two(mill, systemd):
    """Whatever becomes of those in between, and of one that was tried again by hand."""
    (mill.folder / "config/jobmill.conf").write_text("[Daemon]\nScheduleFiringsMax=4\n")
    mill.start()
    deaf = {"argv": ["/bin/sh", "-c", "trap '' TERM; touch %s/deaf; while :; do sleep 1; done" % mill.out], "stop_timeout_usec": 10**9}
    for name, overlap, job in ("queue", "queue", SLEEP), ("many", "queue", SLEEP), ("replace", "replace", deaf):
        set_(mill, name, Overlap=overlap, Job=job)
        is_made(mill, systemd, name)

    def job(name="queue"):
        return elapse(mill, systemd, name)[0]["job"]

    def cancel(id_):
        mill.call("CancelJob", id_)
        assert mill.result(id_) == "cancelled"

    first, second = job(), job()
    mill.reach(first, "running")
    cancel(second)
    third, fourth = job(), job()
    cancel(third)
    assert mill.state(fourth) == "waiting" and mill.state(first) == "running"
    cancel(first)
    mill.reach(fourth, "running")
    mill.call("RetryJob", first, {})
    mill.reach(first, "running")
    cancel(fourth)
    fifth = job()
    assert mill.state(fifth) == "waiting"
    cancel(first)
    mill.reach(fifth, "running")

    for _ in range(4):
        job("many")
    row = elapse(mill, systemd, "many")[0]  # there is an end to it
    assert "job" not in row and row["reason"] == "4 jobs are not done (ScheduleFiringsMax=)"

    first = job("replace")
    until(lambda: (mill.out / "deaf").exists(), 10, "it does not hear")
    second, third = job("replace"), job("replace")
    assert mill.result(second) == "cancelled" and mill.state(first) == "stopping" and mill.state(third) == "waiting"
    mill.call("KillJob", first, 9)
    mill.reach(third, "running")
    mill.call("KillJob", third, 9)


def test_a_time_that_makes_no_job(mill, systemd):
    """What the queue refuses is refused then, and told; the next time is another one."""
    mill.start()
    set_(mill)
    is_made(mill, systemd)
    mill.call("DrainQueue", "default")
    row = elapse(mill, systemd)[0]
    assert "job" not in row and row["reason"] == "Queue 'default' is being drained and takes no new jobs"
    mill.call("ResumeQueue", "default")
    assert "job" in elapse(mill, systemd)[0]


def test_mistakes(mill, systemd):
    """All are told when it is set, and nothing is kept of it."""
    mill.start()
    calendar = {"OnCalendar": ["daily"]}

    def bad(error, settings, name="x"):
        return refused(mill, error, "SetSchedule", name, settings)

    assert "OnCalendar=: 'bad' is not allowed (systemd: Invalid calendar spec" in bad("InvalidSetting", {"OnCalendar": ["daily", "bad"], "Job": TRUE})
    assert "Job is needed" in bad("InvalidSetting", calendar)
    assert "needed" in bad("InvalidSetting", {"Job": TRUE})
    assert "cannot be combined" in bad("InvalidSetting", {**calendar, "OnUnitActiveSec": "1h", "Job": TRUE})
    assert "OnUnitActiveSec=: '1ms'" in bad("InvalidSetting", {"OnUnitActiveSec": "1ms", "Job": TRUE})
    assert "Overlap=: 'both'" in bad("InvalidSetting", {**calendar, "Overlap": "both", "Job": TRUE})
    assert "Persist=: unknown" in bad("InvalidSetting", {**calendar, "Persist": "yes", "Job": TRUE})
    assert "argv: missing" in bad("InvalidSpec", {**calendar, "Job": {}})
    assert "after: not for" in bad("InvalidSpec", {**calendar, "Job": {**TRUE, "after": [(1, "end")]}})
    assert "array: not for" in bad("InvalidSpec", {**calendar, "Job": {**TRUE, "array": 3}})
    assert bad("NoSuchQueue", {**calendar, "Job": {**TRUE, "queue": "nowhere"}})
    assert bad("NoSuchType", {**calendar, "Job": {"type": "nothing"}})
    for name in ("", "A", "a b", "../x", "x" * 65, "a.timer", "ä"):
        assert "Not the name" in bad("InvalidSetting", {**calendar, "Job": TRUE}, name)
    for member in ("RemoveSchedule", "PauseSchedule", "ResumeSchedule", "FireSchedule"):
        assert refused(mill, "NoSuchSchedule", member, "x")
    systemd.fault("StartTransientUnit", "refuse", count=1, error="org.freedesktop.DBus.Error.NoReply", message="away")
    with pytest.raises(client.BusError, match=r"Nobody can say whether OnCalendar=\*-\*-\* 02:30 is right: away"):
        set_(mill)
    for error in "ERANGE", "EDOM":  # out of range is not "not known"
        systemd.fault("StartTransientUnit", "refuse", count=1, error="System.Error." + error, message="no such hour")
        assert "is not allowed (systemd: no such hour)" in bad("InvalidSetting", {**calendar, "Job": TRUE})
    assert not mill.call("ListSchedules") and not timers(systemd)
    set_(mill, "x" * 64)
    is_made(mill, systemd, "x" * 64)


def test_systemd_refuses_the_timer(mill, systemd):
    """It is listed with the reason; set anew it is asked for again."""
    mill.start()
    systemd.fault("StartTransientUnit", "refuse", match="jobmill-schedule-*", count=1, error="org.freedesktop.DBus.Error.AccessDenied", message="not today")
    set_(mill)
    until(lambda: "reason" in shown(mill), 10, "the reason")
    assert shown(mill)["reason"] == "not today" and not timers(systemd)
    set_(mill)
    is_made(mill, systemd)
    assert "reason" not in shown(mill)


def test_of_a_file(mill, systemd):
    """A job type brings its schedule along: there with the file, changed and gone with it; bad, it rests."""
    path = mill.folder / "config/jobs/fetch.job"
    path.parent.mkdir()
    text = "[Job]\nCommand=/bin/cat\nPayloadRequired=url\nStdout=spool\n[Schedule]\nOnCalendar=hourly\nPersistent=yes\nPayload={\"url\": \"x\"}\n"
    path.write_text(text)
    mill.start()
    is_made(mill, systemd, "fetch")
    assert shown(mill, "fetch")["file"] == "jobs/fetch.job"
    row, = elapse(mill, systemd, "fetch")
    assert mill.result(row["job"]) == "success"
    assert (mill.info(row["job"])["type"], mill.info(row["job"])["verdict"]) == ("fetch", '{"url": "x"}')
    assert "change it there" in refused(mill, "NotAllowed", "SetSchedule", "fetch", {"Persistent": "no"})
    assert "masked" in refused(mill, "NotAllowed", "RemoveSchedule", "fetch")
    made = len(systemd.do("calls", method="StartTransientUnit"))
    mill.call("Reload")
    mill.restart()
    is_made(mill, systemd, "fetch")
    assert len(systemd.do("calls", method="StartTransientUnit")) == made and len(firings(mill, "fetch")) == 1
    mill.call("PauseSchedule", "fetch")
    until(lambda: not timers(systemd), 10, "paused")
    mill.restart()
    mill.settled()
    assert shown(mill, "fetch")["paused"] and not timers(systemd)
    mill.call("ResumeSchedule", "fetch")
    path.write_text(text.replace("hourly", "daily"))
    mill.call("Reload")
    until(lambda: shown(mill, "fetch")["calendar"] == ["daily"] and "daily" in str(timers(systemd).get(unit("fetch"))), 10, "the other one")
    for bad, what in ("Overlap=x", "[Schedule] Overlap=: 'x'"), ("Every=1h", "[Schedule] Every=: unknown"), ("OnUnitActiveSec=1h", "cannot be combined"):
        path.write_text(text + bad + "\n")
        with pytest.raises(client.BusError, match=re.escape(what)):
            mill.call("Reload")
        assert shown(mill, "fetch")["calendar"] == ["daily"]  # as the type stays what it was
    mill.restart()
    mill.settled()
    assert shown(mill, "fetch")["reason"] == "its file is bad" and len(firings(mill, "fetch")) == 1
    until(lambda: not timers(systemd), 10, "no timer of a bad file")
    path.unlink()
    mill.call("Reload")
    assert not mill.call("ListSchedules")


@pytest.mark.root
def test_names_of_files(mill, systemd, remotes):
    """Those of job types are not for users; root's own schedule goes before a file's, and says so, as long as it is there."""
    def write(name, more=""):
        (mill.folder / ("config/jobs/%s.job" % name)).write_text("[Job]\nCommand=/bin/true\n" + more)

    mill.queue("default", Slots=4, AllowUsers="* bin")
    (mill.folder / "config/jobs").mkdir()
    write("plain")
    mill.start()
    alice = remotes("bin")
    assert "the name of a job type" in refused(alice, "NotAllowed", "SetSchedule", "plain", {"OnCalendar": ["daily"], "Job": TRUE})
    set_(mill, "plain")
    for who, name in (alice, "hers"), (mill, "mine"):
        set_(who, name)
        is_made(mill, systemd, name)
        elapse(mill, systemd, name)
        write(name, "[Schedule]\nOnCalendar=hourly\n")
    mill.call("Reload")
    assert (shown(mill, "hers")["owner"], shown(mill, "hers")["file"], shown(mill, "hers")["firings"]) == (0, "jobs/hers.job", 0)
    assert "file" not in shown(mill, "mine") and shown(mill, "mine")["hides"] == "jobs/mine.job" and shown(mill, "mine")["firings"] == 1
    is_made(mill, systemd, "hers")
    mill.restart()
    assert shown(mill, "mine")["hides"] == "jobs/mine.job" and "hides" not in shown(mill, "plain")
    mill.call("RemoveSchedule", "mine")
    until(lambda: (shown(mill, "mine") or {}).get("file") == "jobs/mine.job", 10, "the file's is there again")
    is_made(mill, systemd, "mine")
    assert shown(mill, "mine")["calendar"] == ["hourly"] and not firings(mill, "mine")


def test_long_jobs(mill, systemd):
    """A list of them does not grow beyond what a message may be; all of each is told of one alone."""
    (mill.folder / "config/jobmill.conf").write_text("[Daemon]\nScheduleJobMax=1M\n")
    mill.start()
    for n in range(5):
        set_(mill, str(n), Job={**TRUE, "payload": b"x" * 900_000})
    assert ["job" in s and "calendar" in s for s in mill.call("ListSchedules")] == [True] * 4 + [False]
    one = mill.call("GetSchedule", "4")
    assert len(one.pop("job")) > 900_000 and one.pop("calendar") == ["*-*-* 02:30"]
    is_made(mill, systemd, "4")
    assert {k: v for k, v in mill.call("GetSchedule", "4").items() if k not in ("job", "calendar")} == shown(mill, "4")
    assert refused(mill, "NoSuchSchedule", "GetSchedule", "x")
    assert json.loads(tool(mill, "schedule", "show", "4", "-j"))[0]["calendar"] == ["*-*-* 02:30"]


@pytest.mark.root
def test_owners(mill, systemd, polkit, remotes):
    """Who sets one owns it, its jobs are his; others may not touch it, nor see what it does."""
    mill.queue("default", Slots=4, AllowUsers="bin daemon")
    (mill.folder / "config/jobmill.conf").write_text("[Daemon]\nSchedulesPerUserMax=2\nScheduleJobMax=1K\n")
    mill.start()
    alice, bob = remotes("bin"), remotes("daemon")
    when = {"OnCalendar": ["daily"]}
    alice.call("SetSchedule", "hers", {**when, "Job": TRUE})
    is_made(mill, systemd, "hers")
    mine = {s["name"]: s for s in alice.call("ListSchedules")}["hers"]
    assert mine["owner"] == alice.uid and "job" in mine
    assert "job" not in {s["name"]: s for s in bob.call("ListSchedules")}["hers"]
    assert "nobody who could be asked" in refused(bob, "NotAllowed", "SetSchedule", "theirs", {**when, "Job": {**TRUE, "uid": alice.uid}})
    for member in ("RemoveSchedule", "PauseSchedule", "ResumeSchedule", "FireSchedule"):
        assert refused(bob, "org.freedesktop.DBus.Error.AccessDenied", member, "hers")
    assert refused(bob, "org.freedesktop.DBus.Error.AccessDenied", "SetSchedule", "hers", when)
    job = elapse(mill, systemd, "hers")[0]["job"]
    assert mill.info(job)["owner"] == alice.uid
    assert mill.info(alice.call("FireSchedule", "hers") if mill.wait(job) else 0)["owner"] == alice.uid
    # What needs polkit is nothing for a time at which nobody is there to be asked.
    assert refused(alice, "NotAllowed", "SetSchedule", "b", {**when, "Job": {**TRUE, "uid": bob.uid}})
    alice.call("SetSchedule", "b", {**when, "Job": TRUE})
    assert "SchedulesPerUserMax=" in refused(alice, "TooMany", "SetSchedule", "c", {**when, "Job": TRUE})
    assert "ScheduleJobMax=" in refused(bob, "TooMany", "SetSchedule", "d", {**when, "Job": {**TRUE, "name": "x", "cwd": "/" + "y" * 2000}})
    # Root may for somebody else; who may act as her may change hers, which stays hers.
    mill.call("SetSchedule", "given", {**when, "Job": {**TRUE, "uid": bob.uid}})
    is_made(mill, systemd, "given")
    assert mill.info(elapse(mill, systemd, "given")[0]["job"])["owner"] == bob.uid
    mill.call("SetSchedule", "hers", {"Persistent": "yes"})
    assert shown(mill, "hers")["owner"] == alice.uid and shown(mill, "hers")["persistent"]
    # The number of a user who is no more may be another's: as the store has it, he was called otherwise.
    mill.stop()
    change_store(mill, "UPDATE timer SET owner_name = 'gone' WHERE name = 'hers'")
    mill.start()
    row = elapse(mill, systemd, "hers")[0]
    assert "job" not in row and row["reason"] == "User %d is no longer gone, whose schedule it is" % alice.uid
    mill.stop()
    change_store(mill, "UPDATE timer SET owner_name = 'bin' WHERE name = 'hers'")
    mill.start()
    # Her right to the queue is looked at each time.
    mill.queue("default", Slots=4, AllowUsers="daemon")
    mill.call("Reload")
    row = elapse(mill, systemd, "hers")[0]
    assert "job" not in row and "does not take jobs of user bin" in row["reason"]


def test_tool(mill, systemd):
    """The verbs, and docs/json.md."""
    mill.start()
    tool(mill, "schedule", "set", "nightly", "OnCalendar=daily", "OnCalendar=Mon *-*-* 03:00 UTC", "-q", "default", "-n", "x", "--", "/bin/echo", "a b")
    is_made(mill, systemd)
    assert tool(mill, "schedule", "fire", "nightly") == "1\n"
    tool(mill, "schedule", "set", "nightly", "Overlap=queue")
    s, = json.loads(tool(mill, "schedule", "show", "nightly", "-j"))
    assert s["job"] == {"argv": ["/bin/echo", "a b"], "name": "x", "queue": "default"} and s["overlap"] == "queue"
    check("Schedule", [s], exempt=["history"])
    check("Firing", s["history"])
    assert "job 1" in tool(mill, "schedule", "show", "nightly") and "daily; Mon" in tool(mill, "schedule", "list")
    for words, why in (["Overlap"], "not SETTING=VALUE"), (["-q", "default"], "need all of it"), (["--script", "/dev/null"], "takes no --script"):
        p = tool(mill, "schedule", "set", "nightly", *words, check=False)
        assert p.returncode == 1 and why in p.stderr, p
    for verb in "pause", "resume", "remove":
        tool(mill, "schedule", verb, "nightly")
    p = tool(mill, "schedule", "show", "nightly", check=False)
    assert p.returncode == 1 and "no schedule 'nightly'" in p.stderr


@pytest.mark.root
def test_the_disk_is_full(mill, disk, systemd):  # noqa: F811
    """What cannot be recorded with its job is not fired, and stays due, over kills and a reboot. Then it is, once."""
    def is_full():
        until(lambda: mill.stats()["dispatch"] == "storage", 10, "it knows")

    mill.start()
    set_(mill, Persistent="yes")
    is_made(mill, systemd)
    ids = run_all(mill)
    disk.fill()
    (mill.out / "go").touch()
    for i in ids:
        mill.result(i)
    is_full()
    for _ in range(2):
        knows_next(mill, lambda: systemd.do("elapse", name=unit()))
        assert not firings(mill)
        mill.restart()
        is_full()
    mill.kill()
    systemd.do("reboot")
    for _ in range(2):
        mill.start()
        is_full()
        mill.call("SetSchedule", "nightly", {"Overlap": "queue"})  # small changes are taken
        assert not timers(systemd) and not firings(mill)
        mill.kill()
    disk.empty()
    mill.start()
    is_made(mill, systemd)
    assert [f["cause"] for f in firings(mill)] == ["missed"] and len([j for j in mill.jobs() if j["id"] > max(ids)]) == 1
