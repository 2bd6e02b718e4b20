# SPDX-License-Identifier: LGPL-2.1-or-later
"""Pools where only real units, control groups, uids and a real journal prove them."""

import contextlib
import pathlib
import pwd

import pytest

from mill import systemctl, unit_properties, until

CGROUPS = next(p for p in map(pathlib.Path, ("/sys/fs/cgroup", "/sys/fs/cgroup/unified")) if (p / "cgroup.procs").exists())
STUBBORN = "trap '' TERM; sh -c \"trap '' TERM; while :; do sleep 0.1; done\" & while :; do sleep 0.1; done"
pytestmark = pytest.mark.system_only


def unit(user, queue="pool"):
    return "jobmill-pool-%s-%d.service" % (queue, pwd.getpwnam(user).pw_uid)


def groups(user):
    """{control group of a job: how many processes}"""
    path = unit_properties(unit(user), "ControlGroup")["ControlGroup"]
    found = {}
    for p in (CGROUPS / path.lstrip("/")).glob("jobmill-job-*/cgroup.procs") if path else ():
        with contextlib.suppress(OSError):  # removed just now
            found[p.parent.name] = len(p.read_text().split())
    return found


@pytest.fixture(autouse=True)
def pool(mill):
    mill.write_queue("pool", "Slots=3", "AllowUsers=*", "Executor=pool", "StopTimeoutSec=1s")
    yield
    systemctl("stop", "jobmill-pool-pool-*.service")


def test_two_users(mill, folder):
    ids = {u: mill.user(u).submit("id -un; echo to stderr >&2; touch %s/$(id -un); exit 3" % folder, "pool") for u in ("alice", "bob")}
    ids["root"] = mill.submit("id -un; echo to stderr >&2; exit 3", "pool")
    for user, id_ in ids.items():
        j = mill.wait(id_)
        assert (j["result"], j["exit_status"], j["executor"]) == ("exit-code", 3, "pool") and j["cpu_usec"] > 0
        until(lambda i=id_, u=user: mill.tool("logs", i).stdout.splitlines()[-2:] == [u, "to stderr"], 10, lambda i=id_: mill.tool("logs", i).stdout)
    assert mill.tool("logs", ids["alice"], user="alice").stdout.splitlines()[-2:] == ["alice", "to stderr"]
    assert mill.tool("logs", ids["alice"], user="bob").returncode == 1
    assert (folder / "alice").owner() == "alice" and unit_properties(unit("bob"), "User", "Delegate", "Slice") == {
        "User": "bob", "Delegate": "yes", "Slice": "jobmill-pool.slice"}

    j = mill.wait(mill.user("alice").submit("echo text; echo '{\"success\": true}'", "pool", verify="verdict"))
    assert (j["result"], j["io"]["stdout"]) == ("success", "text\n")


def test_ends_and_a_daemon_that_is_killed(mill):
    alice = mill.user("alice")
    cancelled, timed, long = alice.submit(STUBBORN, "pool"), alice.submit(STUBBORN, "pool", timeout_usec=500000), alice.submit("sleep 2; exit 5", "pool")
    until(lambda: len(groups("alice")) == 3, 10, lambda: groups("alice"))
    alice.call("CancelJob", cancelled)
    mill.restart_daemon(kill=True)
    assert [mill.wait(i)["result"] for i in (cancelled, timed)] == ["cancelled", "timeout"]
    j = mill.wait(long)
    assert (j["result"], j["exit_status"], j["attempt"]) == ("exit-code", 5, 1)
    until(lambda: not groups("alice"), 10, lambda: groups("alice"))


def test_a_runner_that_is_killed(mill):
    ids = [mill.user("alice").submit(STUBBORN, "pool") for _ in range(3)]
    until(lambda: len(groups("alice")) == 3 and all(n > 1 for n in groups("alice").values()), 10, lambda: groups("alice"))
    last = mill.user("bob").submit("exit 0", "pool")
    systemctl("kill", "--kill-whom=main", "--signal=KILL", unit("alice"))
    assert [(j["result"], j["reason"]) for j in mill.wait_all(ids)] == [("lost", "its runner is gone")] * 3
    assert mill.wait(last)["result"] == "success"
    until(lambda: not groups("alice"), 10, lambda: groups("alice"))


def test_a_unit_that_is_stopped(mill):
    id_ = mill.user("alice").submit("sleep 100", "pool")
    mill.reach(id_, "running")
    systemctl("stop", unit("alice"))
    j = mill.wait(id_)
    assert (j["result"], j["reason"]) == ("lost", "its runner was stopped")
    assert mill.wait(mill.user("alice").submit("exit 0", "pool"))["result"] == "success"
