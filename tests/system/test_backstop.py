# SPDX-License-Identifier: LGPL-2.1-or-later
"""Backstop=yes with a systemd that can: PID 1 itself refuses a stray unit in the slice of a full queue, whoever starts it, and a start of ours
that it refuses costs no attempt. From systemd 258 on: make check TIER=matrix."""

import pathlib

import pytest

from mill import OF_USER, RUNTIME_UNITS, VERSION, run, systemctl, unit_properties, until

pytestmark = pytest.mark.skipif(VERSION < 258, reason="ConcurrencyHardMax= came with systemd 258")
SLICE = "jobmill-stop.slice"
HEAD_ROOM = 32


@pytest.fixture
def queue(mill):
    mill.write_queue("stop", "Slots=2", "Backstop=yes", "AllowUsers=*")
    until(lambda: hard_max() == 2 + HEAD_ROOM, 10, lambda: unit_properties(SLICE, "ConcurrencyHardMax", "DropInPaths"))
    yield mill
    for unit in strays():
        systemctl("stop", unit)
    mill.drop_everything()
    mill.call("RemoveQueue", "stop")
    until(lambda: hard_max() == 2**32 - 1, 10, "no limit")


def hard_max():
    return int(unit_properties(SLICE, "ConcurrencyHardMax")["ConcurrencyHardMax"])


def stray(n):
    """A unit in the queue's slice that is not of jobmill."""
    return run("systemd-run", *(["--user"] if OF_USER else []), "--quiet", "--unit=stray%d" % n, "--slice=" + SLICE, "sleep", "1000",
               check=False)


def strays():
    return [line.split()[0] for line in systemctl("list-units", "--plain", "--no-legend", "stray*").splitlines()]


def test_pid1_refuses_a_stray(queue):
    """As many as there is head-room for; then none, and not ours either, which wait and say so."""
    mill = queue
    running = [mill.submit("exec sleep 1000", "stop") for _ in range(2)]
    for id_ in running:
        mill.reach(id_, "running")
    for n in range(HEAD_ROOM):
        assert stray(n).returncode == 0
    p = stray(HEAD_ROOM)
    assert p.returncode != 0 and "Concurrency limit" in p.stderr, p
    assert len(strays()) == HEAD_ROOM

    # One slot is free for us, but not for PID 1: the strays have taken it.
    mill.call("CancelJob", running[0])
    mill.wait(running[0])
    until(lambda: mill.unit(running[0]) not in systemctl("list-units", "--all", "--plain", "--no-legend", "jobmill-job-*"), 10)
    assert stray(HEAD_ROOM).returncode == 0
    job, other = mill.submit("true", "stop"), mill.submit("true")
    until(lambda: "systemd takes no more units of stop: Concurrency limit" in mill.info(job).get("reason", ""), 20,
          lambda: mill.info(job))
    assert mill.wait(other)["result"] == "success"
    assert mill.state(job) == "ready" and mill.info(job)["attempt"] == 0 and mill.call("ListAttempts", job) == []
    systemctl("stop", "stray0")
    assert mill.wait(job)["result"] == "success"
    info = mill.info(job)
    assert info["attempt"] == info["max_attempts"] == 1
    mill.call("CancelJob", running[1])
    mill.wait(running[1])


def test_refused_when_its_turn_comes(queue):
    """PID 1 has taken the starts, but they wait for something else; then there is less room than when it took them. Still no attempt."""
    mill = queue
    go = RUNTIME_UNITS / "go"
    files = {RUNTIME_UNITS / "stop-slow.service": "[Service]\nType=oneshot\nExecStart=/bin/sh -c 'while [ ! -e %s ]; do sleep 0.1; done'\n" % go,
             RUNTIME_UNITS / (SLICE + ".d/10-slow.conf"): "[Unit]\nWants=stop-slow.service\nAfter=stop-slow.service\n",
             RUNTIME_UNITS / (SLICE + ".d/90-less.conf"): "[Slice]\nConcurrencyHardMax=1\n"}
    systemctl("stop", SLICE)
    *before, after = files
    for f in before:
        f.write_text(files[f])
    systemctl("daemon-reload")
    jobs = [mill.submit("sleep 1", "stop") for _ in range(2)]
    until(lambda: all(mill.unit(j) in systemctl("list-jobs", "--no-legend") for j in jobs), 10, lambda: systemctl("list-jobs"))
    after.write_text(files[after])
    systemctl("daemon-reload")
    go.touch()
    for job in jobs:
        assert mill.wait(job)["result"] == "success"
        assert mill.info(job)["attempt"] == 1
    assert "ConcurrencyLimit" in run("journalctl", "--no-pager", "_PID=1") or "oncurrency limit" in run("journalctl", "--no-pager", "_PID=1")
    for f in (*files, go):
        f.unlink()
    systemctl("daemon-reload")


def test_it_follows_the_cap(queue):
    """Live, by a drop-in below /run and a reload of PID 1, which touches no job; and goes with the queue."""
    mill = queue
    job = mill.submit("exec sleep 1000", "stop")
    mill.reach(job, "running")
    pid = unit_properties(mill.unit(job), "MainPID")
    mill.call("SetQueue", "stop", {"Slots": "5"}, True)
    until(lambda: hard_max() == 5 + HEAD_ROOM, 10, "the cap is raised")
    mill.call("SetQueue", "stop-below", {"Slots": "1"}, True)
    until(lambda: hard_max() == 5 + 1 + HEAD_ROOM, 10, "a queue below it")
    assert mill.state(job) == "running" and unit_properties(mill.unit(job), "MainPID") == pid
    mill.call("RemoveQueue", "stop-below")
    mill.call("SetQueue", "stop", {"Backstop": "no"}, True)
    until(lambda: hard_max() == 2**32 - 1, 10, "no limit")
    assert not list(pathlib.Path(RUNTIME_UNITS).glob("jobmill-stop*.slice.d/*backstop*"))
    mill.call("CancelJob", job)
    assert mill.wait(job)["result"] == "cancelled"


def test_it_outlives_a_restart_of_the_daemon(queue):
    systemctl("restart", "jobmilld.service")
    until(lambda: hard_max() == 2 + HEAD_ROOM, 10)
    assert queue.wait(queue.submit("true", "stop"))["result"] == "success"
