# SPDX-License-Identifier: LGPL-2.1-or-later
"""An old copy put back while everything runs: moved into the place of the store, or written over it, with the daemon alive, killed or
stopped. What runs is unharmed and found again, no id is given twice, nothing is run twice, and nothing is mixed."""

import os
import shutil
import sqlite3

import pytest

import client
from conftest import until
from tool import tool


def gate(mill, word):
    return "echo %s >>%s/ran; while [ ! -e %s/go ]; do sleep 0.02; done" % (word, mill.out, mill.out)


class Old:
    """A store with a job that is queued in the copy, ran and ended since, and two more of after the copy that run now."""

    def __init__(self, mill):
        self.mill = mill
        self.file = mill.folder / "state/jobmill.db"
        mill.queue("one", Slots=1, AllowUsers="*")
        mill.start()
        self.queued = mill.submit("echo queued >>%s/ran" % mill.out, hold=True)
        self.running = mill.submit(gate(mill, "running"), queue="one", hold=True)
        self.copy = mill.folder / "copy.db"
        tool(mill, "backup", self.copy)
        for i in (self.queued, self.running):
            mill.call("ReleaseJob", i)
        mill.result(self.queued)
        mill.reach(self.running, "running")
        self.stray = mill.submit(gate(mill, "stray"))
        mill.reach(self.stray, "running")
        self.ended = mill.submit("true")
        mill.result(self.ended)

    def refused(self):
        for args in (("Submit", "", ["true"], {}), ("CancelJob", self.stray)):
            with pytest.raises(client.BusError) as e:
                self.mill.call(*args)
            assert e.value.short == "StorageError" and "while it was open" in e.value.message

    def start_and_look(self):
        """As it must be with the old copy in place."""
        mill = self.mill
        mill.start()
        until(lambda: mill.stats()["dispatch"] == "store restored", 10)
        until(lambda: mill.stats()["strays"] == 2, 10)
        found = {(f["kind"], f.get("job")) for f in mill.call("CheckIntegrity")}
        assert found == {("store-restored", None), ("unit-without-job", self.running), ("unit-without-job", self.stray)}
        assert mill.queue_properties("one")["SlotsUsed"] == 1
        assert mill.state(self.queued) == "held" and mill.state(self.running) == "held"
        new = mill.submit("echo new >>%s/ran" % mill.out, queue="one")
        assert new > self.ended
        mill.call("ReleaseJob", self.running)
        tool(mill, "check", "--accept")
        until(lambda: mill.stats()["dispatch"] == "", 10)
        assert mill.result(mill.submit("true")) == "success"
        assert mill.state(self.running) == "ready" and mill.state(new) == "ready"  # the stray has the slot
        assert sorted((mill.out / "ran").read_text().split()) == ["queued", "running", "stray"]
        (mill.out / "go").touch()
        assert mill.result(self.running) == "success" and mill.result(new) == "success"
        attempts = [a["attempt"] for a in mill.call("ListAttempts", self.running)]
        assert attempts == [2]  # its first one is the stray's
        until(lambda: mill.stats()["strays"] == 0 and mill.stats()["attempts"] == 0, 10)
        assert (mill.out / "ran").read_text().split()[3:] == ["running", "new"]
        assert mill.call("CheckIntegrity") == []
        again = mill.submit("true")
        mill.restart()
        mill.settled()
        assert again < mill.submit("true") < again + 10


@pytest.fixture
def old(mill):
    return Old(mill)


def move(old):
    shutil.copy(old.copy, old.file.with_name("new"))
    os.rename(old.file.with_name("new"), old.file)


def write_over(old):
    with open(old.file, "r+b") as f:
        f.write(old.copy.read_bytes())
        f.truncate()


def test_moved_while_it_runs(old, mill):
    """The log that it leaves behind is not mixed into the new one."""
    move(old)
    old.refused()
    until(lambda: mill.stats()["dispatch"] == "storage", 5)
    assert mill.log_tail().count("replaced, while it was open") == 1
    mill.stop()
    assert not old.file.with_name("jobmill.db-wal").exists()
    old.start_and_look()


def test_moved_and_killed(old, mill):
    move(old)
    old.refused()
    mill.kill()
    refused_with_the_log(old, mill)
    old.start_and_look()


def test_written_over_while_it_runs(old, mill):
    write_over(old)
    old.refused()
    assert "written to by another program" in mill.log_tail()
    mill.stop()
    refused_with_the_log(old, mill)
    old.start_and_look()


def test_killed_first(old, mill):
    mill.kill()
    move(old)
    refused_with_the_log(old, mill)
    old.start_and_look()


def refused_with_the_log(old, mill):
    before = old.file.read_bytes()
    mill.spawn()
    assert mill.process.wait(20) == 65
    assert "jobmill.db-wal beside it is of the one that was there before" in mill.log_tail()
    assert old.file.read_bytes() == before
    old.file.with_name("jobmill.db-wal").unlink()


def test_stopped_first(old, mill):
    mill.stop()
    move(old)
    old.start_and_look()


def test_outcomes_wait_for_the_restart(old, mill):
    """Of a store that was moved away and back: what ended meanwhile is recorded."""
    away = old.file.with_name("away")
    old.file.rename(away)
    old.refused()
    (mill.out / "go").touch()
    mill.bus.pump(1)
    assert mill.state(old.stray) == "running"
    saved = mill.folder / "saved.db"
    tool(mill, "backup", saved)
    db = sqlite3.connect(saved)
    assert db.execute("SELECT count(*) FROM job").fetchone() == (4,)
    db.close()
    away.rename(old.file)
    until(lambda: mill.stats()["dispatch"] == "", 10)
    assert mill.result(old.stray) == "success" and mill.result(old.running) == "success"
    mill.restart()
    mill.settled()
    assert mill.call("CheckIntegrity") == []


def test_touched_is_not_written_to(running):
    file = running.folder / "state/jobmill.db"
    for when in (1000, 2000):
        os.utime(file, (when, when))
        assert running.result(running.submit("true")) == "success"
    running.restart()
    running.settled()


def test_lost_store_gives_no_id_again(mill):
    mill.start()
    last = [mill.submit("true", hold=True) for _ in range(3)][-1]
    mill.stop()
    for path in (mill.folder / "state").glob("jobmill.db*"):
        path.unlink()
    mill.start()
    assert mill.submit("true") > last


def test_bound_of_ids_goes_up(mill):
    """By as much as there is, before it is given."""
    mill.start()
    path = mill.folder / "state/starts"
    first = int(path.read_text().split()[1])
    mill.submit("true", hold=True)
    assert int(path.read_text().split()[1]) > first
    mill.stop()
    db = sqlite3.connect(mill.folder / "state/jobmill.db")
    db.execute("UPDATE meta SET value = 1000000 WHERE key = 'next_id'")
    db.commit()
    db.close()
    mill.start()
    path.with_name("starts.new").mkdir()
    with pytest.raises(client.BusError) as e:
        mill.submit("true")
    assert e.value.short == "StorageError" and "starts" in e.value.message
    path.with_name("starts.new").rmdir()
    until(lambda: mill.stats()["dispatch"] == "", 10)
    assert mill.submit("true") == 1000000 < int(path.read_text().split()[1])
