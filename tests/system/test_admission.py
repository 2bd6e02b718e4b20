# SPDX-License-Identifier: LGPL-2.1-or-later
"""GateUnit= with a real service manager, and pressure as the kernel tells it."""

import pathlib

import pytest

from mill import RUNTIME_UNITS, systemctl, until

GATE = "jobmill-test-gate.service"


@pytest.fixture
def gate():
    """A unit of this machine that is there and not active."""
    path = pathlib.Path(RUNTIME_UNITS) / GATE
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("[Service]\nExecStart=sleep 1000\n")
    systemctl("daemon-reload")
    yield GATE
    systemctl("stop", GATE)
    path.unlink()
    systemctl("daemon-reload")


def waits(mill, id_, text):
    until(lambda: mill.state(id_) == "ready" and mill.info(id_).get("reason", "").startswith(text), 10, lambda: mill.info(id_))


def test_gate(mill, gate):
    """systemctl start opens, stop shuts; what runs is not touched; over daemon-reexec and a restart of the daemon."""
    mill.write_queue("llm", "GateUnit=" + gate, "AllowUsers=*")
    job = mill.submit("exec sleep 1000", "llm")
    waits(mill, job, "gate %s is inactive" % gate)
    systemctl("start", gate)
    mill.reach(job, "running")
    systemctl("stop", gate)
    late = mill.submit("true", "llm")
    waits(mill, late, "gate %s is inactive" % gate)
    assert mill.state(job) == "running"
    systemctl("daemon-reexec")
    mill.restart_daemon()
    waits(mill, late, "gate %s is inactive" % gate)
    systemctl("kill", "--signal=KILL", gate, check=False)
    systemctl("start", gate)
    assert mill.wait(late)["result"] == "success"
    systemctl("kill", "--signal=KILL", gate)
    until(lambda: systemctl("is-active", gate, check=False).stdout.strip() == "failed", 10)
    third = mill.submit("true", "llm")
    waits(mill, third, "gate %s is failed" % gate)
    systemctl("restart", gate)
    assert mill.wait(third)["result"] == "success"
    mill.call("CancelJob", job)
    mill.wait(job)


def test_gate_that_is_not_there(mill):
    mill.write_queue("llm", "GateUnit=no-such-thing.service", "AllowUsers=*")
    job = mill.submit("true", "llm")
    waits(mill, job, "gate no-such-thing.service does not exist")
    mill.call("CancelJob", job)


def test_pressure_of_the_kernel(mill):
    """It can be read from within the sandbox of the service, or the reason says that this kernel has none."""
    mill.write_queue("big", "CPUPressureMax=100%", "MemoryPressureMax=100%", "IOPressureMax=100%", "AllowUsers=*")
    job = mill.submit("true", "big")
    if pathlib.Path("/proc/pressure/cpu").exists():
        assert mill.wait(job)["result"] == "success"
    else:
        waits(mill, job, "cpu pressure, which big limits, cannot be read: ")
        mill.call("CancelJob", job)
