# SPDX-License-Identifier: LGPL-2.1-or-later
"""Whether a start was heard, and whether a unit is gone, is not always certain: nothing is started twice, nothing that runs is
taken for lost."""

import functools
import time

import pytest

import conftest
from conftest import until

PASSES = "org.freedesktop.DBus.Error.LimitsExceeded"


@pytest.fixture
def no_journal(monkeypatch):
    """The daemon finds an empty journal, whatever this machine has in its own."""
    plain = conftest.spawn
    hide = 'for d in /run/log /var/log; do [ ! -d $d ] || mount -t tmpfs tmpfs $d || exit; done; exec "$@"'

    def hidden(argv, **kwargs):
        if argv[0] == conftest.DAEMON:
            argv = ["unshare", "--mount", "--propagation", "private", "sh", "-c", hide, "sh", *argv]
        return plain(argv, **kwargs)

    monkeypatch.setattr(conftest, "spawn", functools.wraps(plain)(hidden))


@pytest.mark.root
@pytest.mark.parametrize("heard", [False, True])
def test_absent_without_a_journal(mill, systemd, no_journal, heard):
    """Asked for, and the daemon died; now there is no unit. Without PID 1's journal nobody knows whether there was."""
    mill.start()
    systemd.fault("StartTransientUnit", "never", execute="first" if heard else "", count=1)
    systemd.do("signals", copies=0)
    id_ = mill.submit("echo >>%s/ran; exec sleep 60" % mill.out)
    mill.reach(id_, "starting")
    if heard:
        until((mill.out / "ran").exists)
    mill.kill()
    if heard:
        systemd.do("vanish", name=mill.unit(id_))
    systemd.do("signals", copies=1)
    mill.start()
    mill.settled()
    assert (mill.state(id_), mill.info(id_).get("result")) == ("done", "lost")
    assert "not known whether it was started" in mill.info(id_)["reason"]
    assert systemd.do("counts")["starts"] == ({mill.unit(id_): 1} if heard else {})
    until(lambda: mill.stats()["attempts"] == 0, 5, "its slot is free")


def test_asked_twice(running, systemd):
    """Refused, so it is asked for again; but it had been heard. What runs is ours."""
    running.result(running.submit("true"))
    systemd.fault("StartTransientUnit", "refuse", execute="first", count=1, error=PASSES)
    systemd.do("signals", copies=0)
    id_ = running.submit("while [ ! -e %s/go ]; do sleep 0.02; done; exit 3" % running.out)
    until(lambda: [u for u, _ in systemd.do("calls", method="StartTransientUnit")].count(running.unit(id_)) >= 2, 5)
    systemd.do("signals", copies=1)
    until(lambda: running.state(id_) != "starting", 5, "it was seen")
    assert running.state(id_) == "running"
    (running.out / "go").touch()
    assert running.result(id_) == "exit-code"
    assert systemd.do("counts")["starts"][running.unit(id_)] == 1


def test_refused_for_a_while(running, systemd):
    """A manager that is at its limit did not start it, and starts it later; the job is the same attempt."""
    running.result(running.submit("true"))
    systemd.fault("StartTransientUnit", "refuse", count=2, error=PASSES)
    id_ = running.submit("exit 3")
    result, outcome = running.wait(id_)
    assert (result, outcome["attempt"]) == ("exit-code", 1)


def test_started_while_the_list_was_on_its_way(running, systemd):
    """The list of units was made before this one was: it is not missing."""
    running.result(running.submit("true"))
    systemd.fault("ListUnitsByPatterns", "delay", execute="first", ms=2000, count=1)
    before = len(systemd.do("calls", method="ListUnitsByPatterns"))
    systemd.do("reloading")
    until(lambda: len(systemd.do("calls", method="ListUnitsByPatterns")) > before, 5, "the list is made")
    id_ = running.submit("while [ ! -e %s/go ]; do sleep 0.02; done; exit 3" % running.out)
    running.reach(id_, "running")
    running.bus.pump(2.2)
    assert running.state(id_) == "running"
    (running.out / "go").touch()
    assert running.result(id_) == "exit-code"
    assert systemd.do("counts")["starts"][running.unit(id_)] == 1


@pytest.mark.parametrize("heard", [True, False])
def test_reload_of_the_manager(running, systemd, heard):
    """All units are removed and made again: that is not their end."""
    ids = running.submit_many(["while [ ! -e %s/go ]; do sleep 0.02; done; exit %d" % (running.out, i % 2) for i in range(4)])
    for i in ids:
        running.reach(i, "running")
    for _ in range(5):
        systemd.do("reloading", heard=heard)
        time.sleep(0.05)
    assert [running.state(i) for i in ids] == ["running"] * 4
    (running.out / "go").touch()
    results = running.all_done(ids)
    assert [results[i] for i in ids] == ["success", "exit-code"] * 2


def test_looked_at_again(running, systemd):
    """A look that was refused is taken again, without any signal to remind of it."""
    systemd.fault("GetAll", "refuse", count=2, match="*jobmill_2djob*", error="org.freedesktop.DBus.Error.Failed")
    systemd.do("signals", copies=0)
    id_ = running.submit("exit 3")
    assert running.result(id_) == "exit-code"
