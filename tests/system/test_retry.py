# SPDX-License-Identifier: LGPL-2.1-or-later
"""Another attempt, on a real systemd: one at a time, whatever the last one left behind, and as many as were asked for."""

import os
import signal
import time

from mill import unit_properties, until

SOON = {"backoff_base_usec": 50_000}
# Heeds no SIGTERM, and is not the main process: it is there until the unit is let go and the stop time-out has passed. Where the main
# process fails the manager itself would kill it before the unit has ended; so it succeeds, and says nothing.
LEAVES = ("[ ! -e {0} ] || ! kill -0 $(cat {0}) || exit 99; "
          "setsid sh -c 'trap \"\" TERM; echo $$ >{0}; while :; do sleep 0.05; done' & while [ ! -s {0} ]; do sleep 0.01; done")


def results(mill, id_):
    return [(a["result"], a.get("exit_status")) for a in mill.attempts(id_)]


def test_nothing_is_left_of_the_last_one(mill, tmp_path):
    """Its processes are gone before the next one begins."""
    id_ = mill.submit(LEAVES.format(tmp_path / "pid"), max_attempts=3, stop_timeout_usec=400_000, verify="verdict", **SOON)
    until(lambda: "what is left of the last one" in mill.info(id_).get("reason", ""), 10, "it waits for that")
    assert mill.wait(id_)["result"] == "unverified"
    assert results(mill, id_) == [("unverified", 0)] * 3


def test_by_every_cause(mill):
    ids = [mill.submit("[ $JOBMILL_ATTEMPT = 2 ] || { %s; }" % first, max_attempts=2, **SOON, **more) for first, more in (
        ("exit 1", {}), ("kill -KILL $$", {}), ("sleep 60", {"timeout_usec": 200_000}), ("systemctl kill -s KILL $(cat /proc/self/cgroup | sed 's,.*/,,')", {}))]
    assert [j["result"] for j in mill.wait_all(ids)] == ["success"] * 4
    assert [results(mill, i)[0][0] for i in ids] == ["exit-code", "signal", "timeout", "signal"]
    # What somebody stops is not tried again.
    id_ = mill.submit("exec sleep 60", max_attempts=5, **SOON)
    mill.reach(id_, "running")
    mill.tool("cancel", id_, check=True)
    assert mill.wait(id_)["result"] == "cancelled" and len(mill.attempts(id_)) == 1


def test_the_daemon_is_killed_again_and_again(mill):
    """Each attempt has one result and none is made twice."""
    ids = [mill.submit("sleep 0.%d; [ $JOBMILL_ATTEMPT = 4 ]" % n, max_attempts=4, backoff_base_usec=100_000, backoff="exponential") for n in range(1, 6)]
    for _ in range(6):
        time.sleep(0.25)
        mill.restart_daemon(kill=True)
    assert [j["result"] for j in mill.wait_all(ids)] == ["success"] * 5
    for i in ids:
        assert results(mill, i) == [("exit-code", 1)] * 3 + [("success", 0)]


def test_the_limit_grows(mill):
    """What PID 1 is told, and says; that the kernel heeds it is shown in tests/vm."""
    id_ = mill.submit("exec sleep 60", properties=["MemoryMax=64M"], memory_growth=2, max_attempts=2, **SOON)
    mill.reach(id_, "running")
    assert unit_properties(mill.unit(id_), "MemoryMax")["MemoryMax"] == str(64 << 20)
    os.kill(mill.main_pid(id_), signal.SIGKILL)  # no oom-kill
    until(lambda: mill.info(id_)["attempt"] == 2 and mill.state(id_) == "running", 10, "it runs again")
    assert unit_properties(mill.unit(id_, 2), "MemoryMax")["MemoryMax"] == str(64 << 20)
    mill.tool("cancel", id_, check=True)
    mill.wait(id_)
    assert [a["memory_max"] for a in mill.attempts(id_)] == [64 << 20] * 2


def test_logs_follow_all_attempts(mill):
    id_ = mill.submit("echo attempt $JOBMILL_ATTEMPT; sleep 0.4; exit 1", max_attempts=3, **SOON)
    assert mill.tool("logs", "-f", id_, check=True).splitlines() == ["attempt 1", "attempt 2", "attempt 3"]
    assert mill.tool("logs", "--attempt=2", id_, check=True).splitlines() == ["attempt 2"]
    spool = mill.submit("echo attempt $JOBMILL_ATTEMPT; sleep 0.4; exit 1", max_attempts=3, stdout="spool", **SOON)
    assert mill.tool("logs", "-f", spool, check=True).splitlines() == ["attempt 1", "attempt 2", "attempt 3"]


def test_verdicts(mill):
    """What the job says itself, or does not, is tried again too."""
    ids = [mill.submit("[ $JOBMILL_ATTEMPT = 1 ] || echo '{\"success\": true}'", verify="verdict", max_attempts=3, **SOON),
           mill.submit("[ $JOBMILL_ATTEMPT = 3 ] && s=true || s=false; echo '{\"success\": '$s'}'", stdout="spool", max_attempts=3, **SOON)]
    assert [j["result"] for j in mill.wait_all(ids)] == ["success"] * 2
    assert [[r[0] for r in results(mill, i)] for i in ids] == [["unverified", "success"], ["verdict", "verdict", "success"]]
