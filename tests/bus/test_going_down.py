# SPDX-License-Identifier: LGPL-2.1-or-later
"""The system goes down: nothing starts any more, and what it ended is lost, not its own doing."""

import pytest

from conftest import until


@pytest.mark.parametrize("seen", ["as it comes", "at the next look"])
def test_nothing_starts(running, systemd, seen):
    running.result(running.submit("true"))
    if seen == "as it comes":
        systemd.do("shutdown")
    else:
        systemd.do("system_state", state="stopping")
        systemd.do("reexec")
    until(lambda: running.stats()["dispatch"] == "the system is stopping", 5, "it is known that nothing may start")
    id_ = running.submit("true")
    running.bus.pump(0.2)
    assert running.state(id_) == "ready" and running.info(id_)["reason"] == "the system is stopping"
    assert len(systemd.do("counts")["starts"]) == 1
    systemd.do("shutdown", over=True)
    assert running.result(id_) == "success"


def test_ended_by_it(running, systemd):
    killed, failed, good = [running.submit("while [ ! -e %s/go ]; do sleep 0.02; done; exit %d" % (running.out, n)) for n in (0, 4, 0)]
    for i in (killed, failed, good):
        running.reach(i, "running")
    systemd.do("shutdown")
    until(lambda: running.stats()["dispatch"] == "the system is stopping", 5, "it is known that nothing may start")
    systemd.do("kill", name=running.unit(killed), signo=15)
    assert running.result(killed) == "lost" and running.info(killed)["reason"] == "shutdown"
    (running.out / "go").touch()
    assert running.result(failed) == "lost" and running.info(failed)["reason"] == "shutdown"
    assert running.result(good) == "success"


def test_unit_stopped_by_it(running, systemd):
    """systemd stops the units one by one: they are gone, with their results."""
    id_ = running.submit("sleep 60")
    running.reach(id_, "running")
    systemd.do("shutdown")
    until(lambda: running.stats()["dispatch"] == "the system is stopping", 5, "it is known that nothing may start")
    systemd.do("stop", name=running.unit(id_))
    assert running.result(id_) == "lost" and running.info(id_)["reason"] == "shutdown"
