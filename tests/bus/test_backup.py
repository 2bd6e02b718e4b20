# SPDX-License-Identifier: LGPL-2.1-or-later
"""Backup: whole, in order and not in the way of others, whatever goes on meanwhile and whoever takes it."""

import os
import pathlib
import sqlite3

import dbus
import pytest

import client
from conftest import until
from tool import tool

N = 20000


def fill(mill, n=N):
    """A store that takes many turns to copy."""
    mill.call("PauseQueue", "default")
    ids = []
    while len(ids) < n:
        ids += mill.submit_many([["true", "x" * 500]] * min(5000, n - len(ids)))
    return ids


def backup(mill, path, timeout=60):
    with open(path, "wb") as f:
        mill.call("Backup", dbus.types.UnixFd(f.fileno()), timeout=timeout)
    return path


def look(path):
    """{id: state} of a copy that is in order."""
    db = sqlite3.connect("file:%s?immutable=1" % path, uri=True)
    assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert db.execute("PRAGMA journal_mode").fetchone() == ("delete",)
    jobs = dict(db.execute("SELECT id, state FROM job"))
    assert db.execute("SELECT count(*) FROM job_spec").fetchone() == (len(jobs),)
    assert (db.execute("SELECT total(held + waiting + ready + starting + running + stopping + done) FROM queue").fetchone()
            == (len(jobs),))
    db.close()
    return jobs


def children(mill):
    tasks = pathlib.Path("/proc/%d/task" % mill.process.pid)
    return [p for t in tasks.iterdir() for p in (t / "children").read_text().split()]


def test_under_load(mill):
    mill.queue("other", Slots=2, AllowUsers="*")
    mill.start()
    before = fill(mill)
    before += [mill.submit("true", queue="other") for _ in range(5)]
    path = mill.folder / "copy.db"
    meanwhile = []
    with open(path, "wb") as f:
        pending = mill.bus.start("Backup", dbus.types.UnixFd(f.fileno()), timeout=60)
        while not pending.done:
            meanwhile.append(mill.submit("true", queue="other"))
        mill.bus.finish(pending)
    assert len(meanwhile) >= 2, "others are served meanwhile"
    jobs = look(path)
    assert set(before) <= set(jobs)
    assert set(jobs) <= set(before + meanwhile)
    assert not (mill.folder / "state/backup.new").exists() and not children(mill)
    assert mill.result(mill.submit("true", queue="other", priority=1)) == "success"  # not behind all those


def test_put_back(mill):
    mill.start()
    id_ = mill.submit("echo >>%s/ran" % mill.out, hold=True)
    copy = mill.folder / "copy.db"
    tool(mill, "backup", copy)
    assert copy.stat().st_mode & 0o777 == 0o600 and look(copy) == {id_: "held"}
    assert sorted(p.name for p in mill.folder.glob("copy*")) == ["copy.db"]
    mill.call("ReleaseJob", id_)
    assert mill.result(id_) == "success"
    mill.kill()  # the counters are even: it is known by its mark
    for p in (mill.folder / "state").glob("jobmill.db*"):
        p.unlink()
    (mill.folder / "state/jobmill.db").write_bytes(copy.read_bytes())
    mill.start()
    until(lambda: mill.stats()["dispatch"] == "store restored", 5)
    mill.call("ReleaseJob", id_)
    assert mill.state(id_) == "ready"
    tool(mill, "check", "--accept")
    assert mill.result(id_) == "success"


def test_tool(mill):
    mill.start()
    ids = [mill.submit("true", hold=True) for _ in range(3)]
    path = mill.folder / "copy.db"
    path.write_text("an old one")
    tool(mill, "backup", path)
    assert set(look(path)) == set(ids)
    with open(mill.folder / "other.db", "wb") as f:
        p = tool(mill, "backup", "-", check=False, stdout=f)
    assert p.returncode == 0 and set(look(mill.folder / "other.db")) == set(ids)
    p = tool(mill, "backup", mill.folder / "no/where", check=False)
    assert p.returncode == 1 and "No such file" in p.stderr
    p = tool(mill, "-H", "host", "backup", "-", check=False)
    assert p.returncode == 1 and "ssh host jobmill backup -" in p.stderr


def test_pipe_that_nobody_reads(running):
    """The daemon goes on, and what is not wanted any more ends with its caller."""
    fill(running, 2000)
    r, w = os.pipe()
    other = client.Client(running.address)
    pending = other.start("Backup", dbus.types.UnixFd(w), timeout=60)
    os.close(w)
    until(lambda: children(running), 10, "a child writes", pump=other.pump)
    with pytest.raises(client.BusError) as e:
        backup(running, running.folder / "second.db")
    assert e.value.short == "TooMany"
    assert running.submit("true") and not pending.done
    other.close()
    until(lambda: not children(running), 10, "the child is gone")
    os.close(r)
    assert look(backup(running, running.folder / "third.db"))


def test_pipe_that_is_read(running):
    ids = fill(running, 500)
    r, w = os.pipe()
    pending = running.bus.start("Backup", dbus.types.UnixFd(w), timeout=60)
    os.close(w)
    until(lambda: children(running), 10, "a child writes", pump=running.bus.pump)
    with open(r, "rb") as f, open(running.folder / "copy.db", "wb") as to:
        to.write(f.read())
    running.bus.finish(pending)
    assert set(look(running.folder / "copy.db")) == set(ids)


def test_what_cannot_be_written_to(running):
    with open("/dev/null", "rb") as f, pytest.raises(client.BusError) as e:
        running.call("Backup", dbus.types.UnixFd(f.fileno()))
    assert "InvalidArgs" in e.value.name
    with open("/dev/full", "wb", buffering=0) as f, pytest.raises(client.BusError) as e:
        running.call("Backup", dbus.types.UnixFd(f.fileno()))
    assert "IOError" in e.value.name and "No space left" in e.value.message
    assert look(backup(running, running.folder / "copy.db")) == {}


def test_killed_in_the_middle(running):
    fill(running)
    with open(running.folder / "copy.db", "wb") as f:
        pending = running.bus.start("Backup", dbus.types.UnixFd(f.fileno()), timeout=60)
        running.bus.pump(0.02)
        running.kill()
        try:
            running.bus.finish(pending)
        except client.BusError:
            pass
    (running.folder / "state/backup.new").touch()  # also where it was quicker than the kill
    running.start()
    assert not (running.folder / "state/backup.new").exists()
    assert len(look(backup(running, running.folder / "copy.db"))) == N


@pytest.mark.root
def test_who(running, remotes, polkit):
    p = tool(running, "backup", running.folder / "copy.db", check=False)
    assert p.returncode == 0
    daemon = remotes("daemon")
    with pytest.raises(client.BusError) as e:
        daemon.call("Backup", 1)
    assert "AccessDenied" in e.value.name
    assert [a["action"] for a in polkit.do("asked")] == ["org.jobmill1.manage-queues"]
    assert not list((running.folder / "state").glob("backup*"))
