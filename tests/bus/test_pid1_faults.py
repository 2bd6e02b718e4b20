# SPDX-License-Identifier: LGPL-2.1-or-later
"""PID 1 answers late, wrongly or never, its signals are lost or come twice: every call that the daemon makes, and every signal
that it heeds, in every one of these ways (pid1_faults.py has the list). All jobs come to their one true end, nothing runs twice, no
cap is passed, nothing is left over; and what a job waits for is told.

A choice of the list is played; JOBMILL_FAULTS_FULL=1 plays all of it ("make check TIER=faults", some minutes)."""

import json
import os
import subprocess
import threading

import pid1_faults
import pytest

from conftest import HERE, PYTHON, ROOT, spawn, until

ALL = pid1_faults.all_rows()
FULL = os.environ.get("JOBMILL_FAULTS_FULL") == "1"
ROWS = [n for n in ALL if FULL or pid1_faults.CORE.match(n)]
WORKERS = 12


def start_workers(folder, names):
    """Those that take long first, each by itself; they wait most of the time."""
    long_ones = [n for n in names if n.startswith("really")]
    rest = [n for n in names if n not in long_ones]
    lots = [[n] for n in long_ones] + [rest[i::WORKERS] for i in range(WORKERS)]
    return [spawn([PYTHON, HERE / "pid1_faults.py", folder / ("faults-%d" % i), *lot], stdout=subprocess.PIPE,
                  stderr=subprocess.DEVNULL, text=True) for i, lot in enumerate(lots) if lot]


@pytest.fixture(scope="module")
def played(folder, request):
    """{row: what was wrong}, of those that are to be tested in this run"""
    found = {}
    rows = [i.callspec.params["row"] for i in request.session.items if "row" in getattr(getattr(i, "callspec", None), "params", {})]
    workers = start_workers(folder, [r for r in ROWS if r in rows])

    def read(worker):
        for line in worker.stdout:
            name, wrong, _ = json.loads(line)
            found[name] = wrong

    threads = [threading.Thread(target=read, args=(w,)) for w in workers]
    for t in threads:
        t.start()
    for t, w in zip(threads, workers):
        t.join()
        w.wait()
    return found


@pytest.mark.parametrize("row", ROWS, ids=[r.replace(" ", "-") for r in ROWS])
def test_row(played, row):
    assert row in played, "the worker ended before it"
    assert not played[row], "\n".join(played[row])


def test_list_is_complete():
    """A call or a signal that is added to the daemon needs its rows."""
    calls, signals = pid1_faults.called_in_source(ROOT)
    assert calls == set(pid1_faults.METHODS)
    assert signals == set(pid1_faults.SIGNALS + pid1_faults.CONNECTION_SIGNALS)


def reason(mill, id_):
    return mill.info(id_).get("reason", "")


def test_reason_while_systemd_is_silent(mill, systemd):
    systemd.fault("GetAll", "never", match="/org/freedesktop/systemd1", count=1)
    mill.start(SYSTEMD_BUS_TIMEOUT="1s")
    id_ = mill.submit("true")
    assert reason(mill, id_) == "looking at the units of the manager"
    systemd.fault("GetAll", "refuse", match="/org/freedesktop/systemd1", count=1)
    until(lambda: "systemd does not say which units there are" in reason(mill, id_), 10)
    assert mill.result(id_) == "success"


def test_reason_while_a_start_is_not_answered(running, systemd):
    running.result(running.submit("true"))
    systemd.fault("StartTransientUnit", "never", count=1)
    id_ = running.submit("true")
    until(lambda: "has not answered" in reason(running, id_), 10)
    assert running.state(id_) == "starting"


def test_reason_while_systemd_has_no_room(running, systemd):
    """Its limit of units, 131,072: nothing of that is a job's fault."""
    running.result(running.submit("true"))
    until(lambda: running.stats()["attempts"] == 0, 5, "released")
    systemd.do("names_max", n=len(systemd.do("units", pattern="*")))
    ids = running.submit_many(["true", "exit 3"])
    until(lambda: all("asking again: Argument list too long" in reason(running, i) for i in ids), 10)
    assert [running.state(i) for i in ids] == ["starting"] * 2
    assert running.log_path.read_text().count("asking again") == 2  # one for each job, not one a second
    running.call("CancelJob", ids[1])
    assert running.result(ids[1]) == "cancelled"
    systemd.do("names_max", n=0)
    assert running.result(ids[0]) == "success"
    assert "reason" not in running.info(ids[0])


def test_subscribe_refused(mill, systemd):
    """No signals come, and the next full look is far away."""
    systemd.fault("Subscribe", "refuse", error="org.freedesktop.DBus.Error.LimitsExceeded")
    mill.start()
    assert [mill.result(mill.submit(c)) for c in ("true", "exit 3")] == ["success", "exit-code"]
    until(lambda: mill.stats()["attempts"] == 0, 10, "released")
    systemd.do("clear_faults")
    until(lambda: mill.result(mill.submit("true")) and systemd.do("counts")["subscribers"] == 1, 10, "it is asked for again")


def test_many_slices(mill, systemd):
    """More queues with [Slice] than calls can be under way, while systemd refuses some."""
    for i in range(60):
        mill.queue("q%d" % i, Slots=1)
        with open(mill.folder / ("config/queues/q%d.queue" % i), "a") as f:
            f.write("[Slice]\nCPUWeight=%d\n" % (i + 1))
    systemd.fault("SetUnitProperties", "refuse", count=20, skip=5, error="org.freedesktop.DBus.Error.LimitsExceeded")
    systemd.fault("SetUnitProperties", "delay", count=100, ms=20, execute="first")
    mill.start()
    until(lambda: all((systemd.do("slice", name="jobmill-q%d.slice" % i) or {}).get("CPUWeight") == i + 1 for i in range(60)),
          20, "all slices are set")
    assert systemd.do("counts")["max_open"]["SetUnitProperties"] <= 16


def test_many_unknown_units(mill, systemd):
    """More than calls may be under way: none starts before all are known."""
    mill.queue("one", Slots=1, AllowUsers="*")
    names = ["jobmill-job-%d-1.service" % i for i in range(1, 151)]
    for n in names:
        systemd.do("start_stray", name=n, argv=["/bin/false"], slice_="jobmill-one.slice")
    stray = "jobmill-job-151-1.service"
    systemd.do("start_stray", name=stray, argv=["/bin/sleep", "60"], slice_="jobmill-one.slice",
               environment=["JOBMILL_ATTEMPT_ID=0123456789abcdef0123456789abcdef", "JOBMILL_SLOTS=0"])
    systemd.fault("GetAll", "delay", match="*jobmill_2djob*", ms=20, execute="first")
    mill.start()
    mill.settled()
    id_ = mill.submit("true", queue="one")
    until(lambda: list(systemd.do("units")) == [stray], 20, "those that ended are let go")
    assert systemd.do("counts")["max_open"]["GetAll"] <= 41
    assert mill.stats()["strays"] == 1 and mill.state(id_) == "ready"
    systemd.do("kill", name=stray, signo=9)
    assert mill.result(id_) == "success"


def test_refused_sigkill_is_sent_again(mill, systemd):
    """Nobody waits for its answer: a job that does not heed SIGTERM must not run on."""
    mill.start(JOBMILL_LOOK_INTERVAL="1")
    ready = mill.out / "ready"
    id_ = mill.submit("trap '' TERM; touch %s; while :; do sleep 0.05; done" % ready, stop_timeout_usec=200000)
    until(ready.exists)
    systemd.fault("KillUnit", "refuse", count=3, error="org.freedesktop.DBus.Error.LimitsExceeded")
    mill.call("CancelJob", id_)
    result, outcome = mill.wait(id_)
    assert (result, outcome["exit_signal"]) == ("cancelled", 9)


def test_release_that_was_called_off(mill, systemd):
    """"systemctl cancel" of systemd's own stop job, twice."""
    mill.start(JOBMILL_LOOK_INTERVAL="1")
    systemd.fault("StopUnit", "pretend", count=2)
    assert mill.result(mill.submit("true")) == "success"
    until(lambda: mill.stats()["attempts"] == 0 and not systemd.do("units"), 15, "released")
