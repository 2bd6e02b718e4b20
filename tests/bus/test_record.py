# SPDX-License-Identifier: LGPL-2.1-or-later
"""Nothing is done that is not recorded, and what was done is recorded before it is let go."""

import pytest

import client
from conftest import until
from test_disk_full import disk  # noqa: F401


@pytest.mark.root
def test_what_was_not_recorded_is_not_done(mill, disk, systemd):  # noqa: F811
    """The decision to start a job could not be recorded: it is held as before, and is not started later."""
    mill.start()
    first, id_ = mill.submit("true"), mill.submit("true", hold=True)
    mill.submit("true", hold=True, payload=b"x" * 2**20)  # the log has no room left from when the tables were made
    mill.result(first)  # from here on what is released starts with the same commit
    until(lambda: mill.stats()["attempts"] == 0, 5)
    before = mill.queue_properties("default")
    disk.fill()
    with pytest.raises(client.BusError) as e:
        mill.call("ReleaseJob", id_)
    assert e.value.short == "StorageFull"
    assert mill.state(id_) == "held" and mill.queue_properties("default")["Held"] == before["Held"]
    disk.empty()
    until(lambda: mill.stats()["dispatch"] == "", 10)
    mill.bus.pump(0.2)
    assert mill.state(id_) == "held" and systemd.do("counts")["starts"] == {mill.unit(first): 1}
    assert mill.queue_properties("default")["Held"] == before["Held"] and mill.queue_properties("default")["SlotsUsed"] == 0
    mill.call("ReleaseJob", id_)
    assert mill.result(id_) == "success"


def test_outcome_of_what_was_not_asked_for(mill, systemd):
    """Cancelled after it was given its slots, and before its unit was asked for: the attempt has its outcome, too."""
    (mill.folder / "config/jobmill.conf").write_text("[Daemon]\nStartsInFlightMax=1\n")
    mill.start()
    mill.result(mill.submit("true"))
    until(lambda: mill.stats()["attempts"] == 0, 5)
    systemd.fault("StartTransientUnit", "keep", count=1)
    first, second = mill.submit_many(["true", "true"])
    mill.reach(second, "starting")
    until(lambda: systemd.do("fired") == [1], 5, "the first is asked for")
    mill.call("CancelJob", second)
    systemd.do("answer")
    assert mill.result(second) == "cancelled" and mill.result(first) == "success"
    until(lambda: mill.stats()["attempts"] == 0, 5)
    assert mill.unit(second) not in systemd.do("counts")["starts"]
    assert [(a["attempt"], a.get("result")) for a in mill.call("ListAttempts", second)] == [(1, "cancelled")]
