# SPDX-License-Identifier: LGPL-2.1-or-later
"""A store that cannot be used: the daemon says which file and what to do, changes nothing, and is not started over and over. What
passes by itself is waited for."""

import fcntl
import pathlib
import re
import signal
import socket
import sqlite3
import subprocess
import sys

import pytest

import client
from conftest import until

UNITS = pathlib.Path(__file__).parents[2] / "units"


@pytest.fixture
def used(mill):
    """A store with a job in it; the daemon is not running."""
    mill.start()
    mill.result(mill.submit("true"))
    mill.stop()
    mill.file = mill.folder / "state/jobmill.db"
    return mill


def refused(mill, status, *words, untouched=True):
    before = mill.file.read_bytes() if untouched and mill.file.is_file() else None
    mill.log_path.write_text("")
    mill.spawn()
    assert mill.process.wait(20) == status, mill.log_tail()
    line = [x for x in mill.log_tail().splitlines() if str(mill.file) in x]
    assert line and all(w in line[-1] for w in words), mill.log_tail()
    assert before is None or mill.file.read_bytes() == before


def execute(path, sql):
    db = sqlite3.connect(path)
    db.executescript(sql)
    db.close()


def test_status_is_that_of_the_units():
    for name in ("jobmilld.service.in", "jobmilld-user.service.in"):
        assert re.findall("^RestartPreventExitStatus=(.*)", (UNITS / name).read_text(), re.M) == ["65"]


def test_garbage(used):
    used.file.write_bytes(b"This is no database. " * 1000)
    refused(used, 65, "not a database", "put a backup in its place")


def test_cut_off(used):
    used.file.write_bytes(used.file.read_bytes()[:3 * 4096])
    refused(used, 65, "put a backup in its place")


def test_log_without_file(used):
    used.file.write_bytes(b"")
    used.file.with_name("jobmill.db-wal").write_bytes(b"x" * 5000)
    refused(used, 65, "missing or empty", "jobmill.db-wal")


def test_newer(used):
    execute(used.file, "PRAGMA user_version = 4711")
    refused(used, 65, "newer version", "Install the newer jobmill")


def test_of_something_else(used):
    used.file.unlink()
    execute(used.file, "CREATE TABLE t (x)")
    refused(used, 65, "not one of jobmill")


def test_rows_are_wrong(used):
    execute(used.file, "INSERT INTO queue (name, paused, draining, held, waiting, ready, starting, running, stopping, done, dead)"
      " VALUES ('NOT A NAME', 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)")
    refused(used, 65, "impossible name", "put a backup in its place")


def test_directory(used):
    used.file.unlink()
    used.file.mkdir()
    refused(used, 65, "directory")


# ---- what passes ----

def waits(mill, *words):
    """It is there, says why, and does nothing else; the reason is in the journal once."""
    mill.log_path.write_text("")
    before = len(mill.systemd.do("calls", method="ListUnitsByPatterns"))
    mill.spawn()
    until(lambda: mill.bus.has_owner() and mill.process.poll() is None, 20)
    for args in (("Submit", "", ["true"], {}), ("ListJobs", {}, "", 0), ("GetStatistics",), ("CheckIntegrity",), ("Subscribe",)):
        with pytest.raises(client.BusError) as e:
            mill.call(*args)
        assert e.value.short == "StorageError" and all(w in e.value.message for w in words), e.value.message
    assert mill.bus.get(client.PATH, client.MANAGER, "Dispatch") == "storage"
    mill.bus.introspect(client.PATH + "/job"), mill.bus.introspect(client.PATH + "/queue")
    with pytest.raises(client.BusError):
        mill.job_properties(1)
    mill.bus.pump(1.3)
    assert mill.log_tail().count("The store cannot be opened") == 1
    assert len(mill.systemd.do("calls", method="ListUnitsByPatterns")) == before


def works_again(mill):
    until(mill.answers, 10, "the store is open")
    mill.settled()
    assert "The store can be opened now" in mill.log_tail()
    assert mill.state(1) == "done" and mill.submit("true") == 2 and mill.result(2) == "success"
    mill.stop()


def test_locked_by_a_daemon(used):
    with open(used.file.with_name("jobmill.lock"), "rb+") as f:
        fcntl.flock(f, fcntl.LOCK_EX)
        waits(used, "Another daemon has it")
    works_again(used)


def test_locked_by_sqlite(used):
    code = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute('BEGIN EXCLUSIVE'); print(); input()"
    p = subprocess.Popen([sys.executable, "-c", code, used.file], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    p.stdout.readline()
    waits(used, "locked")
    p.communicate(b"\n")
    works_again(used)


def test_no_directory(used):
    """Nor can it be made: there is something else in its place."""
    state = used.file.parent
    state.rename(state.with_name("away"))
    state.touch()
    waits(used, "Not a directory", str(state))
    state.unlink()
    state.with_name("away").rename(state)
    works_again(used)


def test_stopped_while_it_waits(used):
    with open(used.file.with_name("jobmill.lock"), "rb+") as f:
        fcntl.flock(f, fcntl.LOCK_EX)
        waits(used)
        used.process.send_signal(signal.SIGHUP)
        used.bus.pump(0.2)
        used.stop()


def test_damaged_while_it_waits(used):
    """What does not pass ends it then, too."""
    with open(used.file.with_name("jobmill.lock"), "rb+") as f:
        fcntl.flock(f, fcntl.LOCK_EX)
        waits(used)
        used.file.write_bytes(b"This is no database. " * 1000)
    assert used.process.wait(20) == 65
    assert "put a backup in its place" in used.log_tail()


def test_what_it_says_to_the_service_manager(used):
    s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    s.bind(str(used.folder / "notify"))
    s.settimeout(10)
    with open(used.file.with_name("jobmill.lock"), "rb+") as f:
        fcntl.flock(f, fcntl.LOCK_EX)
        used.spawn(NOTIFY_SOCKET=str(used.folder / "notify"))
        text = ""
        while "READY=1" not in text:
            text = s.recv(4096).decode()
        assert "STATUS=The store cannot be opened: " in text and "Another daemon has it" in text
    while "STATUS=0 running" not in text:
        text = s.recv(4096).decode()
    s.close()


# -- a checkpoint that did not come to its end --


def first_page_only(file):
    """As where a power cut or a full disk ended a checkpoint: the first page is in the database, those that it knows of are not."""
    wal = pathlib.Path(str(file) + "-wal").read_bytes()
    size = int.from_bytes(wal[8:12], "big")
    pages = []
    for at in range(32, len(wal) - size - 23, 24 + size):
        frame = wal[at:at + 24]
        if frame[8:16] != wal[16:24]:
            break
        if int.from_bytes(frame[:4], "big") == 1:
            pages.append(wal[at + 24:at + 24 + size])
    with open(file, "r+b") as f:
        f.write(pages[-1])
    return int.from_bytes(pages[-1][28:32], "big") > file.stat().st_size // size


def test_a_checkpoint_that_was_cut_off(mill):
    """The log beside it has all, and is of it."""
    mill.start()
    ids = [i for _ in range(3) for i in mill.submit_many(["true"] * 400, hold=True)]
    mill.kill()
    assert first_page_only(mill.folder / "state/jobmill.db")
    mill.start()
    mill.settled()
    assert {mill.state(i) for i in ids} == {"held"}
    assert mill.call("CheckIntegrity") == []
