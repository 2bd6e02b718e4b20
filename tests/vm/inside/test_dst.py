# SPDX-License-Identifier: LGPL-2.1-or-later
"""Schedules over both changes of the local clock in a year, and over a clock that is set back: what docs/schedules.md says of them is what systemd does.
The clock of this machine is set from one moment to the next at which something may elapse."""

import calendar
import time

import pytest

from mill import run, until
from test_clock import clock  # noqa: F401: as it was, after each test

ZONE = "Europe/Berlin"
EVENTS = {"night": "*-*-* 02:30", "hours": "*-*-* *:30", "three": "*-*-* 03:00", "utc": "*-*-* 02:30 UTC", "named": "*-*-* 02:30 Europe/Berlin"}


def at(text):
    return calendar.timegm(time.strptime(text, "%Y-%m-%d %H:%M"))


def set_clock(t):
    time.clock_settime(time.CLOCK_REALTIME, t)


def firings(mill, name):
    return mill.call("ListFirings", name, 0)


def due(mill, since):
    """{name: the times, as hours and minutes in UTC, at which it was fired for}"""
    return {name: sorted(time.strftime("%H:%M", time.gmtime(f["due_usec"] / 1e6)) for f in firings(mill, name) if f["due_usec"] / 1e6 > since)
            for name in EVENTS}


@pytest.fixture
def zone():
    before = run("timedatectl", "show", "--value", "--property=Timezone").strip()
    run("timedatectl", "set-timezone", ZONE)
    yield
    run("timedatectl", "set-timezone", before)


# In UTC. From then on each half hour, for so many; and what is to be.
CHANGES = {
    "forward": ("2027-03-28 00:10", 8, {"night": [], "hours": ["00:30", "01:30", "02:30", "03:30"], "three": ["01:00"], "utc": ["02:30"], "named": []}),
    "back": ("2027-10-30 23:10", 9, {"night": ["00:30"], "hours": ["00:30", "02:30", "03:30", "23:30"], "three": ["02:00"], "utc": ["02:30"], "named": ["00:30"]}),
}


@pytest.mark.parametrize("change", CHANGES)
def test_as_documented(mill, zone, change):
    begin, halves, wanted = CHANGES[change]
    set_clock(at(begin))
    for name, event in EVENTS.items():
        mill.call("SetSchedule", name, {"OnCalendar": [event], "AccuracySec": "1us", "Overlap": "queue", "Job": {"argv": ["/bin/true"]}})
    try:
        until(lambda: all("next_usec" in s for s in mill.call("ListSchedules")), 20, "all timers are there")
        first = (at(begin) // 1800 + 1) * 1800
        for half in range(halves):
            moment = first + 1800 * half
            set_clock(moment - 1)
            hour = time.strftime("%H:%M", time.gmtime(moment))
            expected = [n for n in wanted if hour in wanted[n]]
            until(lambda: time.time() >= moment + 1, 10)
            until(lambda: all(hour in due(mill, at(begin))[n] for n in expected), 20, lambda: "%s: %s" % (hour, due(mill, at(begin))))
        assert due(mill, at(begin)) == wanted
        # And a day later all is as ever.
        assert {s["name"]: time.strftime("%d", time.gmtime(s["next_usec"] / 1e6)) for s in mill.call("ListSchedules")}["utc"] != begin[8:10]
    finally:
        for name in EVENTS:
            mill.call("RemoveSchedule", name)
        until(lambda: "jobmill-schedule" not in run("systemctl", "list-units", "--all", "jobmill-schedule-*"), 70, "no timer is left")


def test_set_back(mill):
    """Systemd changes when a timer elapsed, as that would be in the future. That is no time; and what comes again is one."""
    hour = at("2027-06-01 12:00")
    set_clock(hour - 1)
    mill.call("SetSchedule", "back", {"OnCalendar": ["hourly UTC"], "AccuracySec": "1us", "Overlap": "queue", "Job": {"argv": ["/bin/true"]}})
    try:
        until(lambda: firings(mill, "back"), 20, "it is fired")
        last = mill.call("ListSchedules")[0]["next_usec"]
        set_clock(hour - 1800)
        until(lambda: mill.call("ListSchedules")[0]["next_usec"] < last, 20, "it was looked at")
        set_clock(hour - 1)
        until(lambda: len(firings(mill, "back")) >= 2, 20, "it comes again")
        assert [int(f["due_usec"] / 1e6) for f in firings(mill, "back")] == [hour, hour]
    finally:
        mill.call("RemoveSchedule", "back")
        until(lambda: "jobmill-schedule" not in run("systemctl", "list-units", "--all", "jobmill-schedule-*"), 70, "no timer is left")
