# SPDX-License-Identifier: LGPL-2.1-or-later
"""Daemon, bus and PID 1 are killed, restarted and re-executed under running jobs: every outcome is true, nothing runs twice,
nothing is forgotten."""

import os
import random
import time

import pytest

from mill import OF_USER, RUN, SLOW, job_units, journal, nothing_bad_in_the_journal, run, systemctl, unit_properties, until


def gate(folder, name):
    """Jobs that run `read x <NAME` wait until somebody opens the gate."""
    path = folder / name
    os.mkfifo(path, 0o666)
    os.chmod(path, 0o666)
    return path


def open_gate(path):
    """For those who wait now and those who come later, as long as the answer is open: a line for each."""
    fd = os.open(path, os.O_RDWR)
    os.write(fd, b"\n" * 100)
    return fd


def ended(ids, attempt=1):
    """How many of their units are over, as PID 1 says."""
    states = [unit_properties("jobmill-job-%d-%d.service" % (i, attempt), "ActiveState", "SubState") for i in ids]
    return sum(s["SubState"] in ("exited", "failed") for s in states)


ENDS = ["exit 0", "exit 1", "exit 7", "kill -KILL $$", "kill -TERM $$"]
EXPECTED = [("success", 0, 0), ("exit-code", 1, 0), ("exit-code", 7, 0), ("signal", -1, 9), ("signal", -1, 15)]


def outcome(j):
    return j["result"], j.get("exit_status", -1), j.get("exit_signal", 0)


def twenty(mill, folder, queue):
    """20 running jobs, 10 behind each of two gates."""
    mill.write_queue(queue, "Slots=20")
    gates = [gate(folder, "gate-a"), gate(folder, "gate-b")]
    ids = [[mill.submit("echo $JOBMILL_JOB_ID >>runs; read x <%s; %s" % (g, ENDS[n % 5]), queue, cwd=str(folder),
                        properties=["LimitCORE=0"]) for n in range(10)] for g in gates]
    for i in ids[0] + ids[1]:
        mill.reach(i, "running")
    until(lambda: len((folder / "runs").read_text().split()) == 20, 10, "all have begun")
    return gates, ids


def each_ran_once(folder, ids):
    runs = (folder / "runs").read_text().splitlines()
    assert sorted(runs) == sorted(str(i) for i in ids)


def check_twenty(mill, folder, gates, ids, fds):
    fds.append(open_gate(gates[1]))
    jobs = mill.wait_all(ids[0] + ids[1])
    for fd in fds:
        os.close(fd)
    assert [outcome(j) for j in jobs] == EXPECTED * 4
    each_ran_once(folder, ids[0] + ids[1])
    assert all(j["attempt"] == 1 and j["cpu_usec"] > 0 for j in jobs)


def test_killed_while_20_run_and_10_end(mill, folder):
    gates, ids = twenty(mill, folder, "twenty")
    with mill.down(kill=True):
        fds = [open_gate(gates[0])]
        until(lambda: ended(ids[0]) == 10, 10, "10 have ended")
    jobs = mill.wait_all(ids[0])
    assert [outcome(j) for j in jobs] == EXPECTED * 2
    for i in ids[1]:
        assert mill.state(i) == "running"
    check_twenty(mill, folder, gates, ids, fds)


def test_restarted_in_order_under_running_jobs(mill, folder):
    gates, ids = twenty(mill, folder, "twenty")
    pids = {i: mill.main_pid(i) for i in ids[0]}
    mill.restart_daemon()
    assert {i: mill.main_pid(i) for i in ids[0]} == pids, "no job was touched"
    with mill.down():
        fds = [open_gate(gates[0])]
        until(lambda: ended(ids[0]) == 10, 10, "10 have ended")
    check_twenty(mill, folder, gates, ids, fds)


def test_times_of_what_ended_while_the_daemon_was_down(mill, folder):
    id_ = mill.submit("until [ -e %s/go ]; do sleep 0.05; done" % folder)
    mill.reach(id_, "running")
    with mill.down(kill=True):
        (folder / "go").touch()
        until(lambda: ended([id_]) == 1, 10, "it has ended")
        over = time.time() * 1e6
        time.sleep(1)
    j = mill.wait(id_)
    assert j["result"] == "success" and j["finished_usec"] <= over + 100_000
    assert abs(j["runtime_usec"] - (j["finished_usec"] - j["started_usec"])) < 100_000


def test_killed_at_random_under_load(mill, folder):
    """Also in the midst of submitting, starting, recording and releasing."""
    mill.write_queue("load", "Slots=8")
    rng = random.Random(1)
    ids = []
    for _ in range(5):
        ids += mill.submit_many(["echo $JOBMILL_JOB_ID >>runs; exec sleep 0.0%d" % rng.randrange(10) for _ in range(40)],
                                "load", cwd=str(folder))
        time.sleep(rng.uniform(0.02, 0.4))
        systemctl("reset-failed", "jobmilld.service", check=False)
        os.kill(mill.daemon_pid(), 9)
        mill.stats()  # it is back: a Submit that is not answered would leave open whether it was done
    jobs = mill.wait_all(ids, 60)
    assert {j["result"] for j in jobs} == {"success"}
    each_ran_once(folder, ids)


def test_submit_is_durable(mill):
    """What was answered is there, whatever happens in the next moment."""
    for _ in range(3):
        id_ = mill.submit("true", hold=True, name="durable", tags={"a": "b"}, environment=["A=b"])
        os.kill(mill.daemon_pid(), 9)
        j = mill.info(id_)
        assert (j["state"], j["name"], j["tags"]) == ("held", "durable", {"a": "b"})
        mill.call("ReleaseJob", id_)
        assert mill.wait(id_)["result"] == "success"


def test_cancel_is_finished_after_a_restart(mill, folder):
    id_ = mill.submit('trap "" TERM; >ready; while :; do sleep 0.05; done', cwd=str(folder), stop_timeout_usec=1_500_000)
    until((folder / "ready").exists, what="the job runs")
    mill.call("CancelJob", id_)
    mill.restart_daemon(kill=True)
    assert outcome(mill.wait(id_)) == ("cancelled", -1, 9)


def test_timeout_is_kept_after_a_restart(mill):
    id_ = mill.submit("sleep 60", timeout_usec=2_000_000)
    mill.reach(id_, "running")
    mill.restart_daemon(kill=True)
    j = mill.wait(id_)
    assert outcome(j) == ("timeout", -1, 15) and 2_000_000 <= j["runtime_usec"] < 5_000_000 * SLOW


def test_watchdog_fires_while_the_daemon_is_down(mill):
    id_ = mill.submit("sleep 60", properties=["WatchdogSec=1s", "LimitCORE=0"])
    mill.reach(id_, "running")
    with mill.down(kill=True):
        until(lambda: ended([id_]) == 1, 10, "it has ended")
    assert mill.wait(id_)["result"] == "watchdog"


# -- gone while nobody looked --


def test_stopped_while_the_daemon_is_down(mill, folder):
    """Its unit is gone; PID 1's journal still tells that somebody stopped it."""
    id_ = mill.submit("echo $JOBMILL_JOB_ID >>runs; exec sleep 60", cwd=str(folder))
    mill.reach(id_, "running")
    until((folder / "runs").exists, what="it has begun")
    with mill.down(kill=True):
        systemctl("stop", mill.unit(id_))
    j = mill.wait(id_)
    assert j["result"] == "cancelled" and j["reason"], j
    each_ran_once(folder, [id_])


@pytest.mark.system_only  # only root empties the journal
def test_lost(mill, folder):
    """Its unit is gone and so is the journal: nobody can know, so it is not run again."""
    id_ = mill.submit("echo $JOBMILL_JOB_ID >>runs; exec sleep 60", cwd=str(folder))
    mill.reach(id_, "running")
    until((folder / "runs").exists, what="it has begun")
    with mill.down(kill=True):
        systemctl("stop", mill.unit(id_))
        nothing_bad_in_the_journal()
        run("journalctl", "--rotate")
        run("journalctl", "--vacuum-time=1us")
    j = mill.wait(id_)
    assert (j["result"], j["dead"]) == ("lost", True), j
    each_ran_once(folder, [id_])
    mine = until(lambda: journal("MESSAGE_ID=6f1f2c0e5b5c4b0fa3a4a2b7b9f0c103", "JOBMILL_JOB_ID=%d" % id_), 20, "the entry")
    assert len(mine) == 1
    # By hand it may be tried again.
    mill.call("RetryJob", id_, {})
    mill.reach(id_, "running")
    mill.call("CancelJob", id_)
    assert mill.wait(id_)["attempt"] == 2


def test_stray_unit(mill):
    """A unit that no record knows, as after an old store was put back: listed, never killed, its id never given out."""
    last = mill.run("true")["id"]
    stray = last + 1000
    run("systemd-run", *(["--user"] if OF_USER else []), "--quiet", "--unit=jobmill-job-%d-1" % stray, "--slice=jobmill-default.slice",
        "--property=RemainAfterExit=yes", "--setenv=JOBMILL_ATTEMPT_ID=" + "ab" * 16, "--setenv=JOBMILL_SLOTS=0", "sleep", "60")
    mill.restart_daemon(kill=True)
    mill.settled()
    until(lambda: mill.stats()["strays"] == 1, 10, "it is listed")
    assert mill.run("true")["id"] > stray
    assert unit_properties(mill.unit(stray), "SubState")["SubState"] == "running"
    systemctl("kill", "--signal=KILL", mill.unit(stray))
    until(lambda: mill.stats()["strays"] == 0, 10, "it is released when it has ended")
    until(lambda: mill.unit(stray) not in job_units(), 10, "its unit is gone")


# -- PID 1 and the bus --


def load(mill, folder, n=120):
    mill.write_queue("load", "Slots=10")
    return mill.submit_many(["echo $JOBMILL_JOB_ID >>runs; sleep 0.2; exit %d" % (i % 3) for i in range(n)], "load",
                            cwd=str(folder))


def check_load(mill, folder, ids):
    jobs = mill.wait_all(ids, 60)
    assert [outcome(j) for j in jobs] == [("success" if i % 3 == 0 else "exit-code", i % 3, 0) for i in range(len(ids))]
    each_ran_once(folder, ids)


def test_reexec_of_pid_1(mill, folder):
    ids = load(mill, folder)
    for _ in range(3):
        time.sleep(0.4)
        systemctl("daemon-reexec")
    check_load(mill, folder, ids)


def test_reload_of_pid_1(mill, folder):
    ids = load(mill, folder)
    for _ in range(5):
        time.sleep(0.2)
        systemctl("daemon-reload")
    check_load(mill, folder, ids)


@pytest.mark.system_only  # a user manager whose session bus is killed does not answer systemctl --user (252)
def test_bus_is_killed(mill, folder):
    pid = mill.daemon_pid()
    ids = load(mill, folder)
    for _ in range(2):
        time.sleep(0.5)
        systemctl("kill", "--signal=KILL", "dbus.service")
        time.sleep(0.2)
        systemctl("reset-failed", "dbus.service", check=False)
        systemctl("start", "dbus.service")
    mill.forget_users()
    check_load(mill, folder, ids)
    assert mill.daemon_pid() == pid, "the daemon lives through it"
    # And polkit is found again.
    held = mill.user("alice").submit("true", hold=True)
    mill.call("CancelJob", held)


@pytest.mark.system_only  # a user manager whose session bus is killed does not answer systemctl --user (252)
def test_bus_away_while_jobs_end(mill, folder):
    gates, ids = twenty(mill, folder, "twenty")
    systemctl("stop", "dbus.socket", "dbus.service", check=False)
    fds = [open_gate(gates[0])]
    time.sleep(1)
    systemctl("start", "dbus.socket", "dbus.service")
    mill.forget_users()
    check_twenty(mill, folder, gates, ids, fds)


@pytest.mark.system_only  # a user manager whose session bus is killed does not answer systemctl --user (252)
def test_everything_at_once(mill, folder):
    ids = load(mill, folder, 100)
    time.sleep(0.4)
    os.kill(mill.daemon_pid(), 9)
    systemctl("daemon-reexec")
    systemctl("kill", "--signal=KILL", "dbus.service")
    systemctl("reset-failed", "dbus.service", "jobmilld.service", check=False)
    systemctl("start", "dbus.service", "jobmilld.service")
    mill.forget_users()
    check_load(mill, folder, ids)


def test_attempt_files_are_gone(mill):
    mill.settled()
    folder = RUN / "attempt"
    until(lambda: not job_units() and not list(folder.iterdir()), 10, lambda: "nothing is left: %s" % list(folder.iterdir()))
