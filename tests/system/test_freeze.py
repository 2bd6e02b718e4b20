# SPDX-License-Identifier: LGPL-2.1-or-later
"""Freezing with a real systemd: a job that counts stands still, whoever froze it, and nothing of it ever hangs."""

import pathlib
import time

import pytest

from mill import VERSION, expect, job_units, run, systemctl, unit_properties, until
from test_user import session  # noqa: F401 (a fixture)


class Counter:
    """A job that writes a byte every now and then; at SIGTERM it says so and exits 3."""

    def __init__(self, mill, folder, **spec):
        self.mill = mill
        self.path = pathlib.Path(folder, "count")
        command = "trap 'echo term > %s.term; exit 3' TERM; while :; do printf . >> %s; sleep 0.05; done" % (self.path, self.path)
        self.id = mill.submit(command, **spec)
        mill.reach(self.id, "running")
        until(self.path.exists, 10, "it counts")

    def counts(self):
        before = self.path.stat().st_size
        time.sleep(0.5)
        return self.path.stat().st_size > before

    def frozen(self):
        return self.mill.info(self.id).get("frozen", False)

    def heard_term(self):
        return self.path.with_name(self.path.name + ".term").exists()


@pytest.fixture
def counter(mill, folder):
    c = Counter(mill, folder)
    yield c
    if mill.state(c.id) != "done":
        mill.call("CancelJob", c.id)
    mill.wait(c.id)


def test_freeze_and_thaw(mill, counter):
    mill.tool("freeze", str(counter.id), check=True)
    until(counter.frozen, 20, "frozen")
    assert not counter.counts()
    assert unit_properties(mill.unit(counter.id), "FreezerState")["FreezerState"] == "frozen"
    assert "running, frozen" in mill.tool("show", str(counter.id), check=True)
    assert "running, frozen" in mill.tool("list", check=True)
    mill.tool("thaw", str(counter.id), check=True)
    until(lambda: counter.counts() and not counter.frozen(), 20, "it counts again")


def test_restart_and_reexec_while_frozen(mill, counter):
    mill.call("FreezeJob", counter.id)
    until(counter.frozen)
    mill.restart_daemon(kill=True)
    mill.settled()
    assert counter.frozen() and not counter.counts()
    systemctl("daemon-reexec")
    systemctl("daemon-reload")
    mill.settled()
    assert counter.frozen() and not counter.counts()
    mill.call("ThawJob", counter.id)
    until(counter.counts, 20, "it counts again")


def test_killed_in_the_middle(mill, counter):
    """Whatever PID 1 was told before the daemon died, in the end it is as was wanted."""
    for _ in range(3):
        for method, frozen in (("FreezeJob", True), ("ThawJob", False)):
            mill.call(method, counter.id)
            mill.restart_daemon(kill=True)
            mill.settled()
            until(lambda: counter.frozen() == frozen and counter.counts() != frozen, 10, method)


def test_after_a_reload(mill, counter):
    """systemd 252 cannot read our units again then, and calls them inactive when it is to freeze them."""
    systemctl("daemon-reload")
    mill.settled()
    mill.call("FreezeJob", counter.id)
    until(counter.frozen, 20, "frozen")
    assert not counter.counts()
    mill.restart_daemon(kill=True)
    mill.settled()
    assert counter.frozen()
    mill.call("ThawJob", counter.id)
    until(lambda: counter.counts() and not counter.frozen(), 20, "it counts again")
    mill.call("FreezeJob", counter.id)
    until(counter.frozen, 20, "frozen")
    mill.call("CancelJob", counter.id)
    j = mill.wait(counter.id)
    assert (j["result"], j["exit_status"]) == ("cancelled", 3)


def test_cancel_of_a_frozen_job(mill, counter):
    mill.call("FreezeJob", counter.id)
    until(counter.frozen)
    mill.call("CancelJob", counter.id)
    j = mill.wait(counter.id)
    assert (j["result"], j["exit_status"]) == ("cancelled", 3)
    assert counter.heard_term()


def test_cancelled_ones_are_let_go(mill):
    """They end before the manager sees their thaw, so from 257 on it calls most of them "thawing", and neither stops nor thaws those."""
    for _ in range(3):
        ids = [mill.submit("exec sleep 60") for _ in range(2)]
        for i in ids:
            mill.reach(i, "running")
            mill.call("FreezeJob", i)
        until(lambda: all(mill.info(i).get("frozen") for i in ids), 20, "frozen")
        for i in ids:
            mill.call("CancelJob", i)
        assert [mill.wait(i)["result"] for i in ids] == ["cancelled"] * 2
        until(lambda: not set(map(mill.unit, ids)) & set(job_units()), 20,
              lambda: run("systemctl", "show", "--property=Id,SubState,FreezerState", *map(mill.unit, ids)))


def test_kill_of_a_frozen_job(mill, counter):
    mill.call("FreezeJob", counter.id)
    until(counter.frozen)
    mill.call("KillJob", counter.id, 15)
    assert not counter.counts() and not counter.heard_term()
    mill.call("KillJob", counter.id, 9)
    j = mill.wait(counter.id)
    assert (j["result"], j["exit_signal"]) == ("signal", 9)


def test_systemctl_freeze(mill, counter):
    """Nobody tells us (252), the cgroup does."""
    systemctl("freeze", mill.unit(counter.id))
    until(counter.frozen, 20, "seen")
    systemctl("thaw", mill.unit(counter.id))
    until(lambda: not counter.frozen() and counter.counts(), 20, "seen")
    systemctl("freeze", mill.unit(counter.id))
    mill.call("ThawJob", counter.id)
    until(counter.counts, 20, "it counts again")


def test_systemctl_stop_of_a_frozen_job(mill, counter):
    """From 257 on the manager does not do that."""
    mill.call("FreezeJob", counter.id)
    until(counter.frozen)
    p = systemctl("stop", mill.unit(counter.id), timeout=20, check=False)
    if VERSION >= 257:
        assert counter.frozen() and mill.state(counter.id) == "running", p
        mill.call("ThawJob", counter.id)
        until(counter.counts, 20, "it counts again")
        systemctl("stop", mill.unit(counter.id), timeout=20)
    j = mill.wait(counter.id)
    assert (j["result"], j["exit_status"]) == ("exit-code", 3)
    assert counter.heard_term()


def test_frozen_after_it_ended(mill):
    """Nothing stands still, but the manager calls it frozen: it is let go all the same."""
    job = mill.submit("true", hold=True)
    unit = mill.unit(job + 1000)
    with mill.down():
        run("systemd-run", "--quiet", "--unit=" + unit, "--property=RemainAfterExit=yes", "--slice=jobmill-default.slice", "true")
        until(lambda: unit_properties(unit, "SubState")["SubState"] == "exited")
        systemctl("freeze", unit, check=False)
    until(lambda: unit not in job_units(), 20, lambda: systemctl("status", unit, check=False))
    mill.call("CancelJob", job)


def test_own_time_out(mill, folder):
    c = Counter(mill, folder, timeout_usec=2 * 10**6, freezable=True)
    mill.call("FreezeJob", c.id)
    until(c.frozen, 20, "frozen")
    time.sleep(3)
    mill.restart_daemon(kill=True)
    mill.settled()
    assert c.frozen() and mill.state(c.id) == "running"
    mill.call("ThawJob", c.id)
    j = mill.wait(c.id)
    assert (j["result"], j["exit_status"]) == ("timeout", 3)
    assert mill.attempts(c.id)[0]["frozen_usec"] >= 3 * 10**6


def test_with_a_net_it_is_refused(mill, folder):
    c = Counter(mill, folder, timeout_usec=60 * 10**6)
    p = mill.tool("freeze", str(c.id))
    assert p.returncode == 1 and "only jobs submitted with --freezable can be frozen" in p.stderr
    mill.restart_daemon()
    expect("NotFreezable", mill.call, "FreezeJob", c.id)
    mill.call("CancelJob", c.id)
    mill.wait(c.id)


def test_the_net_of_a_job_that_others_froze(mill, folder):
    """PID 1's own clock ends it; ours stands still. Nothing hangs."""
    drop_in = pathlib.Path("/run/systemd/system/jobmill-job-.service.d/net.conf")
    drop_in.parent.mkdir(parents=True, exist_ok=True)
    drop_in.write_text("[Service]\nRuntimeMaxSec=2\n")
    systemctl("daemon-reload")
    mill.settled()
    try:
        c = Counter(mill, folder, timeout_usec=3600 * 10**6, stop_timeout_usec=10**6)
    finally:
        drop_in.unlink()
    unit = mill.unit(c.id)
    systemctl("freeze", unit)
    j = mill.wait(c.id, timeout=20)
    assert j["result"] == "timeout"
    until(lambda: unit_properties(unit, "LoadState")["LoadState"] == "not-found", 10, "released")


def test_user_manager(session, folder):  # noqa: F811
    id_ = session.tool("submit", "--", "sleep", "60").strip()
    until(lambda: session.show(id_)["state"] == "running", 10, "it runs")
    session.tool("freeze", id_)
    until(lambda: session.show(id_)["frozen"], 20, "frozen")
    unit = session.show(id_)["unit"]
    assert "frozen" in session.run("systemctl", "--user", "show", "--property=FreezerState", unit)
    session.tool("thaw", id_)
    until(lambda: not session.show(id_)["frozen"], 20, "thawed")
    session.tool("freeze", id_)
    session.tool("cancel", id_)
    assert session.tool("wait", id_, check=False).returncode == 125
