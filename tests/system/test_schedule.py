# SPDX-License-Identifier: LGPL-2.1-or-later
"""Schedules on a real systemd: its timers, seen by its tools, fired by its clock, made again, and nothing left of them."""

import json

import pytest

from mill import BusError, run, systemctl, unit_properties, until

WHEN = {"OnCalendar": ["*-*-* *:*:0/1"], "AccuracySec": "1us"}
JOB = {"argv": ["/bin/true"]}


@pytest.fixture(autouse=True)
def none_left(mill):
    yield
    for s in mill.call("ListSchedules"):
        mill.call("RemoveSchedule", s["name"])
    until(lambda: not units(), 10, "no unit of a schedule")


def units():
    return [u["unit"] for u in json.loads(systemctl("list-units", "--all", "--output=json", "jobmill-schedule-*", "jobmill-calendar-*"))]


def shown(mill, name):
    return {s["name"]: s for s in mill.call("ListSchedules")}[name]


def firings(mill, name):
    return mill.call("ListFirings", name, 0)


def made(mill, name):
    until(lambda: "next_usec" in shown(mill, name), 10, lambda: "its timer: %r" % shown(mill, name))


def test_by_the_clock(mill):
    """It elapses by itself, each time is fired for once, and systemctl list-timers has it."""
    mill.call("SetSchedule", "tick", {**WHEN, "Job": JOB})
    until(lambda: len(firings(mill, "tick")) >= 3, 20, "three times")
    listed, = json.loads(systemctl("list-timers", "--output=json", "jobmill-schedule-*"))
    assert (listed["unit"], listed["activates"]) == ("jobmill-schedule-tick.timer", "jobmill-schedule-tick.service")
    mill.call("PauseSchedule", "tick")
    until(lambda: not units(), 10, "no unit while it is paused")
    rows = firings(mill, "tick")
    assert len({f["due_usec"] for f in rows}) == len(rows) and {f["cause"] for f in rows} == {"timer"}
    assert {mill.wait(f["job"])["result"] for f in rows} == {"success"}


def test_every_so_often(mill):
    mill.call("SetSchedule", "span", {"OnUnitActiveSec": "1s", "AccuracySec": "1us", "Job": JOB})
    until(lambda: len(firings(mill, "span")) >= 2, 20, "twice")


def test_systemd_says_what_a_calendar_is(mill):
    """It is asked, and nothing is made by that."""
    for text in ("*-*-* 25:00", "nonsense", "Mon *-*-* 03:00 Nowhere/Nothing"):
        with pytest.raises(BusError) as e:
            mill.call("SetSchedule", "bad", {"OnCalendar": ["daily", text], "Job": JOB})
        assert e.value.short == "InvalidSetting" and text in e.value.message, e.value
    mill.call("SetSchedule", "good", {"OnCalendar": ["daily", "Mon *-*-* 03:00 Europe/Berlin"], "Job": JOB})
    made(mill, "good")
    assert not [u for u in units() if "calendar" in u]


def test_made_again(mill):
    """By daemon-reexec, by a restart of ours, after somebody has stopped it; a daemon that is down is started when it is time."""
    mill.call("SetSchedule", "daily", {"OnCalendar": ["daily"], "Persistent": "yes", "Job": JOB})
    made(mill, "daily")
    systemctl("daemon-reexec")
    systemctl("restart", "jobmilld")
    made(mill, "daily")
    systemctl("stop", "jobmill-schedule-daily.timer")
    until(lambda: "jobmill-schedule-daily.timer" in units(), 10, "it is made again")
    mill.call("SetSchedule", "tick", {**WHEN, "Job": JOB})
    made(mill, "tick")
    until(lambda: firings(mill, "tick"), 10, "fired")
    systemctl("stop", "jobmilld.socket", "jobmilld.service")
    until(lambda: unit_properties("jobmilld.service", "ActiveState")["ActiveState"] == "active", 20, "it is started by the timer")
    run("systemctl", "start", "jobmilld.socket")
    until(lambda: len(firings(mill, "tick")) >= 3, 20, "and goes on")
    assert not firings(mill, "daily")
