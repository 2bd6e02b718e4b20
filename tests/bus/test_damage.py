# SPDX-License-Identifier: LGPL-2.1-or-later
"""A store that cannot be used: the daemon says which file and what to do, changes nothing, and is not started over and over."""

import fcntl
import pathlib
import re
import sqlite3
import subprocess
import sys

import pytest

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
    refused(used, 65, "not a database", "Put a backup in its place")


def test_cut_off(used):
    used.file.write_bytes(used.file.read_bytes()[:3 * 4096])
    refused(used, 65, "Put a backup in its place")


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
    execute(used.file, "INSERT INTO queue VALUES ('NOT A NAME', 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)")
    refused(used, 65, "impossible name", "Put a backup in its place", untouched=False)  # but for the count of starts


def test_directory(used):
    used.file.unlink()
    used.file.mkdir()
    refused(used, 65, "directory")


def test_locked(used):
    """By another program, which may end: a restart helps."""
    with open(used.file.with_name("jobmill.lock"), "rb+") as f:
        fcntl.flock(f, fcntl.LOCK_EX)
        refused(used, 1, "Another daemon has it")
    code = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute('BEGIN EXCLUSIVE'); print(); input()"
    p = subprocess.Popen([sys.executable, "-c", code, used.file], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    p.stdout.readline()
    refused(used, 1, "locked")
    p.communicate(b"\n")
    used.start()
    assert used.state(1) == "done"
