# SPDX-License-Identifier: LGPL-2.1-or-later
"""A unit that holds a worker: started when a job waits for it, trusted with everybody's, and again when it is gone."""

import pytest

from mill import PYTHON, RUN, RUNTIME_UNITS, SOURCE, systemctl, until

pytestmark = pytest.mark.system_only
UNIT = "jobmill-test-worker.service"


@pytest.fixture
def queue(mill):
    file = RUNTIME_UNITS / UNIT
    mill.write_queue("worked", "Slots=1", "AllowUsers=*", "Executor=worker", "WorkerUnit=" + UNIT)
    yield file
    mill.call("PauseQueue", "worked")
    systemctl("stop", UNIT)
    file.unlink()
    systemctl("daemon-reload")
    mill.call("ResumeQueue", "worked")


def of_queue(mill):
    return [w for w in mill.call("ListWorkers") if w["queues"] == ["worked"]]


def test_on_demand(mill, queue, folder):
    first = mill.submit([folder / "proof", "yes"], "worked")
    until(lambda: mill.info(first)["reason"] == "%s cannot be started, trying again: Unit %s not found." % (UNIT, UNIT), 10, lambda: mill.info(first))
    queue.write_text("[Service]\nUser=alice\nTimeoutStopSec=1h\nExecStart=%s -I %s %s %s worked\n" % (
        PYTHON, SOURCE / "tests/system/worker.py", RUN / "org.jobmill", SOURCE / "docs/workers.md"))
    systemctl("daemon-reload")
    (folder / "proof").touch()
    (folder / "proof").chmod(0o666)
    assert mill.wait(first)["result"] == "success"
    (worker, ) = of_queue(mill)
    assert (worker["user"], worker["unit"]) == ("alice", UNIT)
    bobs = mill.user("bob").submit([folder / "proof", "no"], "worked")
    assert mill.wait(bobs)["result"] == "verdict"
    gone = mill.submit([folder / "proof", "stubborn"], "worked")
    mill.reach(gone, "running")
    systemctl("stop", UNIT)
    assert mill.wait(gone)["result"] == "lost"
    # A child of it is left: a slot is free when its unit is empty.
    left, last = [mill.submit([folder / "proof", what], "worked") for what in ("leave", "yes")]
    assert mill.wait(left)["result"] == "lost"
    assert mill.info(last)["reason"] == "cap of worked: 1 of 1"
    systemctl("kill", "--signal=KILL", UNIT)
    assert mill.wait(last)["result"] == "success"
    assert of_queue(mill)[0]["id"] > worker["id"]
