# SPDX-License-Identifier: LGPL-2.1-or-later
"""Every result that a job can have, from the real cause."""

import os
import signal
import time

import pytest

from mill import SLOW, job_units, systemctl, unit_properties, until

IGNORES_TERM = 'trap "" TERM; while :; do sleep 0.05; done'


def test_success(mill):
    before = int(time.time() * 1e6)
    j = mill.run("sleep 0.1", name="a name", tags={"k": "v"})
    assert (j["state"], j["result"], j["exit_status"]) == ("done", "success", 0)
    assert "exit_signal" not in j or j["exit_signal"] == 0
    assert (j["attempt"], j["max_attempts"], j["dead"], j["owner"], j["queue"]) == (1, 1, False, os.getuid(), "default")
    assert (j["name"], j["tags"], j["argv"]) == ("a name", {"k": "v"}, ["/bin/sh", "-c", "sleep 0.1"])
    assert j["unit"] == mill.unit(j["id"]) and len(j["invocation_id"]) == 32
    assert before <= j["submitted_usec"] <= j["started_usec"] <= j["finished_usec"] <= time.time() * 1e6
    assert 0 < j["runtime_usec"] < 5_000_000 * SLOW
    assert 0 < j["cpu_usec"] < j["runtime_usec"]
    assert j["wait_usec"] < 5_000_000 * SLOW
    attempts = mill.attempts(j["id"])
    assert [(a["attempt"], a["result"], a["unit"]) for a in attempts] == [(1, "success", j["unit"])]
    assert attempts[0]["cpu_usec"] == j["cpu_usec"]


def test_cpu_time_is_measured(mill):
    j = mill.run("i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done")
    assert j["result"] == "success"
    assert 50_000 < j["cpu_usec"] <= 1.5 * j["runtime_usec"]


@pytest.mark.parametrize("status", [1, 2, 7, 75, 100, 126, 127, 199, 244, 255])
def test_exit_code(mill, status):
    j = mill.run("exit %d" % status)
    assert (j["result"], j["exit_status"], j["dead"]) == ("exit-code", status, True)


def test_program_that_exits_as_a_failed_start_does(mill):
    # It was active: so the status is the program's own.
    j = mill.run("sleep 0.5; exit 203")
    assert (j["result"], j["exit_status"]) == ("exit-code", 203)


# Some of them PID 1 takes for a good end of a service (TERM, HUP, INT, PIPE), some dump core.
@pytest.mark.parametrize("name", "TERM HUP INT PIPE KILL USR1 USR2 ALRM XCPU QUIT ABRT SEGV BUS FPE ILL SYS TRAP".split())
def test_signal(mill, name):
    j = mill.run("kill -%s $$; sleep 5" % name, properties=["LimitCORE=0"])
    assert (j["result"], j["exit_signal"], j["dead"]) == ("signal", signal.Signals["SIG" + name], True), j
    assert j.get("exit_status", -1) == -1


def test_realtime_signal(mill):
    j = mill.run(["/usr/bin/python3", "-c", "import os, signal; os.kill(os.getpid(), signal.SIGRTMIN + 3)"])
    assert (j["result"], j["exit_signal"]) == ("signal", signal.SIGRTMIN + 3)


@pytest.mark.parametrize("name", ["SEGV", "ABRT"])
def test_core_dump(mill, folder, name):
    j = mill.run("kill -%s $$; sleep 5" % name, cwd=str(folder), properties=["LimitCORE=infinity"])
    # Whether a core is written is up to the kernel's core_pattern; PID 1 says which it was.
    pattern = open("/proc/sys/kernel/core_pattern").read()
    assert j["result"] == "core-dump" or pattern.startswith(("|", "/")), j
    assert j["exit_signal"] == signal.Signals["SIG" + name]


def test_file_size_limit(mill, folder):
    j = mill.run("exec head -c 100000 /dev/zero >out", cwd=str(folder), properties=["LimitFSIZE=1000", "LimitCORE=0"])
    assert (j["result"], j["exit_signal"]) == ("signal", signal.SIGXFSZ)


def test_timeout(mill):
    j = mill.run("sleep 30", timeout_usec=300_000)
    assert (j["result"], j["exit_signal"], j["dead"]) == ("timeout", signal.SIGTERM, True)
    assert 300_000 <= j["runtime_usec"] < 3_000_000 * SLOW


def test_timeout_of_a_job_that_then_exits_well(mill):
    j = mill.run("trap 'exit 0' TERM; while :; do sleep 0.05; done", timeout_usec=300_000)
    assert (j["result"], j["exit_status"]) == ("timeout", 0)


def test_timeout_of_a_job_that_ignores_sigterm(mill):
    j = mill.run(IGNORES_TERM, timeout_usec=300_000, stop_timeout_usec=400_000)
    assert (j["result"], j["exit_signal"]) == ("timeout", signal.SIGKILL)
    assert j["runtime_usec"] >= 700_000


def test_no_timeout_where_it_ends_in_time(mill):
    assert mill.run("sleep 0.2", timeout_usec=5_000_000 * SLOW)["result"] == "success"


def test_watchdog(mill):
    j = mill.run("sleep 30", properties=["WatchdogSec=400ms", "LimitCORE=0"])
    assert (j["result"], j["dead"]) == ("watchdog", True)


def test_watchdog_that_is_fed(mill):
    j = mill.run("for i in 1 2 3 4; do systemd-notify WATCHDOG=1; sleep 0.3; done; systemd-notify --status='all 4 done'",
                 properties=["WatchdogSec=%dms" % (3000 * SLOW)])
    assert j["result"] == "success"


def test_status_text(mill):
    id_ = mill.submit("systemd-notify --status='42% of it'; sleep 30")
    try:
        until(lambda: mill.info(id_).get("status") == "42% of it", 20, "the status is shown")
    finally:
        mill.call("CancelJob", id_)
        mill.wait(id_)


def test_exec_missing_program(mill):
    for argv in (["/nonexistent/program"], ["no-such-program-anywhere"], ["/etc/passwd"], ["/etc"]):
        j = mill.run(argv)
        assert (j["result"], j["exit_status"], j["dead"]) == ("exec", 203, True), j


def test_exec_bad_directory(mill):
    j = mill.run("true", cwd="/nonexistent")
    assert (j["result"], j["exit_status"]) == ("exec", 200)


# -- cancelled --


def test_cancel_before_start(mill):
    for spec in ({"hold": True}, {"not_before_usec": int((time.time() + 3600) * 1e6)}):
        id_ = mill.submit("true", **spec)
        mill.call("CancelJob", id_)
        j = mill.wait(id_)
        assert (j["result"], j["attempt"]) == ("cancelled", 0)
        assert mill.attempts(id_) == []


def test_cancel_running(mill):
    id_ = mill.submit("sleep 30")
    mill.reach(id_, "running")
    mill.call("CancelJob", id_)
    j = mill.wait(id_)
    assert (j["result"], j["exit_signal"], j["dead"]) == ("cancelled", signal.SIGTERM, True)


def test_cancel_at_once(mill):
    """Also while its start is on its way."""
    for _ in range(10):
        id_ = mill.submit("sleep 30")
        mill.call("CancelJob", id_)
        assert mill.wait(id_)["result"] == "cancelled"


def test_cancel_a_job_that_exits_by_itself_then(mill, folder):
    for status in (0, 5):
        id_ = mill.submit("trap 'exit %d' TERM; >%s/ready; while :; do sleep 0.05; done" % (status, folder))
        until((folder / "ready").exists, what="the job runs")
        mill.call("CancelJob", id_)
        j = mill.wait(id_)
        assert (j["result"], j["exit_status"]) == ("cancelled", status)
        (folder / "ready").unlink()


def test_cancel_a_job_that_ignores_sigterm(mill, folder):
    id_ = mill.submit('trap "" TERM; >%s/ready; while :; do sleep 0.05; done' % folder, stop_timeout_usec=400_000)
    until((folder / "ready").exists, what="the job runs")
    start = time.monotonic()
    mill.call("CancelJob", id_)
    assert mill.state(id_) in ("stopping", "done")
    j = mill.wait(id_)
    assert (j["result"], j["exit_signal"]) == ("cancelled", signal.SIGKILL)
    assert time.monotonic() - start >= 0.4


def test_kill_sends_the_signal_only(mill, folder):
    id_ = mill.submit("trap 'exit 3' USR1; >%s/ready; while :; do sleep 0.05; done" % folder)
    until((folder / "ready").exists, what="the job runs")
    mill.reach(id_, "running")
    mill.call("KillJob", id_, signal.SIGUSR1)
    j = mill.wait(id_)
    # USR1 also ends the sleep that it was waiting for; sh then runs its trap.
    assert (j["result"], j["exit_status"]) == ("exit-code", 3)

    id_ = mill.submit("sleep 30")
    mill.reach(id_, "running")
    mill.call("KillJob", id_, signal.SIGTERM)
    j = mill.wait(id_)
    assert (j["result"], j["exit_signal"]) == ("signal", signal.SIGTERM)


# -- stopped, killed, restarted behind our back --


def test_stopped_outside(mill):
    for words in ("sleep 30", "trap 'exit 0' TERM; while :; do sleep 0.05; done"):
        id_ = mill.submit(words)
        mill.reach(id_, "running")
        time.sleep(0.2)
        systemctl("stop", mill.unit(id_))
        j = mill.wait(id_)
        assert (j["result"], j["reason"]) == ("cancelled", "stopped outside jobmill")


def test_killed_outside(mill):
    id_ = mill.submit("exec sleep 30")
    mill.reach(id_, "running")
    os.kill(mill.main_pid(id_), signal.SIGKILL)
    j = mill.wait(id_)
    assert (j["result"], j["exit_signal"]) == ("signal", signal.SIGKILL)


def test_restarted_outside(mill, folder):
    """systemctl restart, needrestart: it must not run a second time."""
    id_ = mill.submit("echo run >>%s/runs; exec sleep 30" % folder)
    until((folder / "runs").exists, what="the job runs")
    mill.reach(id_, "running")
    systemctl("restart", mill.unit(id_), check=False)
    j = mill.wait(id_)
    assert j["result"] in ("cancelled", "lost", "signal"), j
    assert (folder / "runs").read_text() == "run\n"


# -- what the job leaves behind --


def test_background_child_is_killed_and_its_slot_not_free_before(mill, folder):
    mill.write_queue("one", "Slots=1")
    first = mill.submit("setsid sleep 60 & echo $! >%s/pid; exit 0" % folder, "one")
    second = mill.submit("! kill -0 $(cat %s/pid)" % folder, "one")
    assert mill.wait(first)["result"] == "success"
    assert mill.wait(second)["result"] == "success", "the second job saw the child of the first"


def test_background_child_that_ignores_sigterm(mill, folder):
    mill.write_queue("one", "Slots=1")
    child = 'trap "" TERM; echo $$ >pid; while :; do sleep 0.05; done'
    first = mill.submit("setsid sh -c '%s' & while [ ! -s pid ]; do sleep 0.02; done; exit 4" % child.replace("'", "'\\''"),
                        "one", cwd=str(folder), stop_timeout_usec=700_000)
    second = mill.submit("! kill -0 $(cat %s/pid)" % folder, "one")
    first, second = mill.wait_all([first, second])
    assert (first["result"], first["exit_status"]) == ("exit-code", 4)
    assert second["result"] == "success", "the second job saw the child of the first"


def test_background_child_with_exit_0_and_stubborn(mill, folder):
    """Exit 0 leaves the unit active, so PID 1 kills nothing by itself: releasing it does."""
    mill.write_queue("one", "Slots=1")
    child = 'trap "" TERM; echo $$ >pid; while :; do sleep 0.05; done'
    first = mill.submit("setsid sh -c '%s' & while [ ! -s pid ]; do sleep 0.02; done; exit 0" % child.replace("'", "'\\''"),
                        "one", cwd=str(folder), stop_timeout_usec=700_000)
    second = mill.submit("! kill -0 $(cat %s/pid)" % folder, "one")
    first, second = mill.wait_all([first, second])
    assert (first["result"], second["result"]) == ("success", "success")
    # The outcome is told at once; the slot stays taken until the child is dead.
    assert second["started_usec"] - first["finished_usec"] >= 600_000


def test_nothing_is_left_in_pid_1(mill):
    ids = mill.submit_many(["exit %d" % (i % 3) for i in range(20)])
    mill.wait_all(ids)
    until(lambda: not job_units(), 10, lambda: "all units are released: %s" % job_units())
    assert unit_properties(mill.unit(ids[0]), "LoadState")["LoadState"] == "not-found"
