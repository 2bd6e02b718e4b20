# SPDX-License-Identifier: LGPL-2.1-or-later
"""Disks as they fail: /var/lib/jobmill on a small file system of its own that is full, read-only, or gone; and an old copy of the
database put back. Jobs run on, nobody is told a lie, jobmilld is not restarted over and over, and it goes on by itself."""

import os
import pathlib
import shutil

import pytest

from mill import BusError, expect, job_units, run, systemctl, unit_properties, until

pytestmark = pytest.mark.system_only
STATE = pathlib.Path("/var/lib/jobmill")
MIB = 1 << 20


class Disk:
    def __init__(self):
        run("mount", "-t", "tmpfs", "-o", "size=32M,mode=700", "tmpfs", STATE)
        self.filler = STATE / "filler"

    def fill(self):
        with open(self.filler, "wb", buffering=0) as f:
            for size in (MIB, 4096):
                try:
                    while f.write(b"x" * size) == size:
                        pass
                except OSError:
                    pass

    def remount(self, how):
        run("mount", "-o", "remount," + how, STATE)


@pytest.fixture
def disk(mill):
    """An empty store, on a disk of its own."""
    systemctl("stop", "jobmilld.service")
    d = Disk()
    systemctl("start", "jobmilld.service")
    mill.settled()
    yield d
    systemctl("stop", "jobmilld.service", check=False)
    for unit in job_units():  # of a test that failed
        systemctl("stop", unit, check=False)
    run("umount", "--lazy", STATE)
    systemctl("reset-failed", "jobmilld.service", check=False)
    systemctl("start", "jobmilld.service")
    mill.settled()


def restarts():
    return unit_properties("jobmilld.service", "NRestarts")["NRestarts"]


def gate(folder, word, status=0):
    return "echo %s >>%s/ran; while [ ! -e %s/go ]; do sleep 0.05; done; exit %d" % (word, folder, folder, status)


def running(mill, folder):
    """Some that run, and the results that they will have."""
    ids = [mill.submit(gate(folder, i, i)) for i in range(2)]
    for i in ids:
        mill.reach(i, "running")
    return dict(zip(ids, ("success", "exit-code")))


def test_full_while_it_runs(mill, disk, folder):
    jobs, before, pid = running(mill, folder), restarts(), mill.daemon_pid()
    waiting = mill.submit("true", not_before_usec=2**61)
    disk.fill()
    (folder / "go").touch()
    for i, result in jobs.items():
        assert mill.wait(i)["result"] == result
    expect("StorageFull", mill.submit, "true")
    assert "The disk is full" in mill.tool("submit", "--", "true").stderr
    disk.filler.unlink()
    until(lambda: mill.stats()["dispatch"] == "", 20)
    assert mill.run("true")["result"] == "success" and mill.state(waiting) == "waiting"
    assert (restarts(), mill.daemon_pid()) == (before, pid)
    mill.call("CancelJob", waiting)
    assert mill.call("CheckIntegrity") == []


def unusable(mill, ids):
    """It is there, and says so; its jobs run on."""
    until(lambda: "cannot be opened" in unit_properties("jobmilld.service", "StatusText")["StatusText"], 20)
    assert unit_properties("jobmilld.service", "ActiveState")["ActiveState"] == "active"
    pid = mill.daemon_pid()
    expect("StorageError", mill.submit, "true")
    p = mill.tool("list")
    assert p.returncode == 1 and "The store cannot be opened" in p.stderr
    for i in ids:
        assert unit_properties(mill.unit(i), "SubState")["SubState"] == "running"
    return pid


def opened(mill):
    try:
        return mill.stats()["dispatch"] == ""
    except BusError:
        return False


def usable_again(mill, folder, jobs, pid):
    until(lambda: opened(mill), 20)
    assert mill.daemon_pid() == pid or restarts() == "1"
    assert {mill.state(i) for i in jobs} == {"running"}
    (folder / "go").touch()
    for i, result in jobs.items():
        assert mill.wait(i)["result"] == result
    assert sorted((folder / "ran").read_text().split()) == ["0", "1"]
    assert mill.call("CheckIntegrity") == []


def test_read_only_at_start(mill, disk, folder):
    """Its sandbox shows the file system as it was then: it is started again once, when that is over."""
    jobs = running(mill, folder)
    systemctl("stop", "jobmilld.service")
    disk.remount("ro")
    systemctl("start", "jobmilld.service")
    pid = unusable(mill, jobs)
    disk.remount("rw")
    usable_again(mill, folder, jobs, pid)


def test_locked_at_start(mill, disk, folder):
    jobs = running(mill, folder)
    systemctl("stop", "jobmilld.service")
    systemctl("reset-failed", "jobmilld.service", check=False)
    run("systemd-run", "--quiet", "--unit=locker", "flock", STATE / "jobmill.lock", "sleep", "infinity")
    until(lambda: run("flock", "--nonblock", STATE / "jobmill.lock", "true", check=False).returncode != 0, 10)
    systemctl("start", "jobmilld.service")
    pid = unusable(mill, jobs)
    systemctl("stop", "locker.service")
    usable_again(mill, folder, jobs, pid)


def test_old_copy_put_back(mill, disk, folder):
    """With real units: what the copy does not know keeps its slots and is not killed; no id and no attempt is used twice."""
    mill.write_queue("one", "Slots=1", "AllowUsers=*")
    known = mill.submit(gate(folder, "known"), queue="one", hold=True)
    copy = folder / "copy.db"
    mill.tool("backup", copy, check=True)
    mill.call("ReleaseJob", known)
    mill.reach(known, "running")
    unknown = mill.submit(gate(folder, "unknown"))
    mill.reach(unknown, "running")
    systemctl("stop", "jobmilld.service")
    shutil.copy(copy, STATE / "jobmill.db")
    (STATE / "jobmill.db-wal").unlink(missing_ok=True)
    systemctl("start", "jobmilld.service")
    until(lambda: mill.stats()["strays"] == 2, 20)
    assert mill.stats()["dispatch"] == "store restored"
    assert {mill.unit(known), mill.unit(unknown)} == set(job_units())
    new = mill.submit("echo new >>%s/ran" % folder, queue="one")
    assert new > unknown
    mill.call("ReleaseJob", known)
    p = mill.tool("check", "--repair")
    assert p.returncode == 1 and p.stdout.count("[left as it is]") == 3 == len(p.stdout.splitlines())
    mill.tool("check", "--accept", check=True)
    mill.settled()
    assert (mill.state(known), mill.state(new)) == ("ready", "ready")
    assert sorted((folder / "ran").read_text().split()) == ["known", "unknown"]
    (folder / "go").touch()
    assert [mill.wait(i)["result"] for i in (known, new)] == ["success"] * 2
    assert [a["attempt"] for a in mill.attempts(known)] == [2]
    until(lambda: mill.stats()["strays"] == 0, 20)
    assert (folder / "ran").read_text().split()[2:] == ["known", "new"]


def test_copy_moved_over_it(mill, disk, folder):
    """While it runs: it holds on to what it has, and takes the other one at the next start."""
    jobs = running(mill, folder)
    copy = folder / "copy.db"
    mill.tool("backup", copy, check=True)
    shutil.copy(copy, STATE / "new.db")
    os.rename(STATE / "new.db", STATE / "jobmill.db")
    assert "while it was open" in expect("StorageError", mill.submit, "true")
    until(lambda: mill.stats()["dispatch"] == "storage", 10)
    assert {mill.state(i) for i in jobs} == {"running"}
    systemctl("restart", "jobmilld.service")
    until(lambda: mill.stats()["dispatch"] == "store restored", 20)
    assert {mill.state(i) for i in jobs} == {"running"}
    mill.call("AcceptStore")
    usable_again(mill, folder, jobs, mill.daemon_pid())
