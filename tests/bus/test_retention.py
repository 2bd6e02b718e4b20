# SPDX-License-Identifier: LGPL-2.1-or-later
"""How long ended jobs are kept: Keep=, KeepMax=, keep_usec. The daemon has a clock of its own here (test_clock.py): asleep is time that
passes, a clock that is set is not."""

import pytest

import client
from conftest import until
from test_clock import HOUR, YEAR, clock  # noqa: F401 (a fixture)


def known(mill, ids):
    """Which of them are still there."""
    there = []
    for i in ids:
        try:
            mill.info(i)
            there.append(i)
        except client.BusError as e:
            assert e.short == "NoSuchJob"
    return there


def set_queue(mill, name, **settings):
    mill.call("SetQueue", name, settings, False)


def test_time_that_passes_is_what_counts(mill, clock):
    set_queue(mill, "q", Keep="2h", AllowUsers="*")
    good = mill.submit("true", queue="q")
    dead = mill.submit("false", queue="q")
    longer = mill.submit("true", queue="q", keep_usec=100 * HOUR * 10**6)
    shorter = mill.submit("true", queue="q", keep_usec=HOUR * 10**6)
    elsewhere = mill.submit("true")
    everything = [good, dead, longer, shorter, elsewhere]
    mill.all_done(everything)
    # The wrong year for a while.
    clock.set(10 * YEAR)
    mill.settled()
    mill.stop()
    mill.start(**clock.environment())
    clock.set(-YEAR)
    mill.settled()
    assert known(mill, everything) == everything
    clock.sleep(HOUR * 1.5)
    until(lambda: known(mill, everything) == [good, dead, longer, elsewhere], 10)
    clock.sleep(HOUR)
    until(lambda: known(mill, everything) == [dead, longer, elsewhere], 10)
    done = mill.queue_properties("q")
    assert done["Dead"] == 1
    mill.stop()
    mill.start(**clock.environment())
    clock.sleep(100 * HOUR)
    until(lambda: known(mill, everything) == [dead, elsewhere], 10)
    clock.sleep(40 * 24 * HOUR)  # what a queue keeps that says nothing: 30 days
    until(lambda: known(mill, everything) == [dead], 10)


def test_the_number(mill):
    mill.queue("q", KeepMax=3, AllowUsers="*")
    mill.start()
    dead = mill.submit("false", queue="q")
    ids = mill.submit_many(["true"] * 200, queue="q")
    until(lambda: mill.queue_properties("q")["Ready"] == 0, 30)
    until(lambda: len(mill.jobs(queue="q", state="done")) == 4, 20)
    assert dead in [j["id"] for j in mill.jobs(queue="q")]
    set_queue(mill, "q", KeepMax="0")
    until(lambda: known(mill, ids) == [], 10)
    assert known(mill, [dead]) == [dead]
    set_queue(mill, "q", KeepMax="infinity")
    more = mill.submit("true", queue="q")
    assert mill.result(more) == "success"
    mill.settled()
    assert known(mill, [more]) == [more]


def test_a_file_that_is_gone_costs_nobody_his_history(mill):
    mill.queue("q", Keep="infinity", AllowUsers="*")
    mill.start()
    job = mill.submit("true", queue="q", keep_usec=0)
    until(lambda: known(mill, [job]) == [], 10)
    job = mill.submit("true", queue="q", keep_usec=200_000)
    mill.wait(job)
    (mill.folder / "config/queues/q.queue").unlink()
    mill.call("Reload")
    later = mill.submit("sleep 0.5")
    mill.wait(later)
    assert known(mill, [job]) == [job]


def test_what_is_allowed(mill):
    mill.start()
    for settings in ({"Keep": "-1s"}, {"Keep": "long"}, {"KeepMax": "-1"}, {"KeepMax": "1%"}):
        with pytest.raises(client.BusError) as e:
            set_queue(mill, "new", Slots="1", **settings)
        assert next(iter(settings)) in e.value.message
