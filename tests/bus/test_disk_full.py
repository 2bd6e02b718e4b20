# SPDX-License-Identifier: LGPL-2.1-or-later
"""A disk that is really full: the store lies on a small tmpfs of a mount namespace of its own."""

import errno
import functools
import pathlib
import subprocess

import pytest

import client
import conftest
from conftest import until

pytestmark = pytest.mark.root
MIB = 1 << 20


class Disk:
    """What the daemon sees as its state directory, for as long as the test lasts."""

    def __init__(self, mill, size):
        state = mill.folder / "state"
        self.holder = conftest.spawn(["unshare", "--mount", "--propagation", "private", "sh", "-c",
                                      'mount -t tmpfs -o size=%d,mode=700 tmpfs "$0" && echo ready && exec sleep infinity'
                                      % size, state], stdout=subprocess.PIPE, text=True)
        assert self.holder.stdout.readline() == "ready\n"
        self.root = pathlib.Path("/proc/%d/root%s" % (self.holder.pid, state))
        self.state = state
        self.filler = self.root / "filler"

    def fill(self):
        with open(self.filler, "ab", buffering=0) as f:
            for size in (MIB, 4096):
                try:
                    while True:
                        assert f.write(b"x" * size) == size or size > 4096
                except OSError as e:
                    assert e.errno == errno.ENOSPC

    def empty(self):
        self.filler.unlink()

    def remount(self, how):
        subprocess.run(["nsenter", "--mount=/proc/%d/ns/mnt" % self.holder.pid, "--", "mount", "-o", "remount," + how, self.state],
                       check=True)

    def ballast(self):
        path = self.root / "ballast"
        return path.stat().st_blocks * 512 if path.exists() else None


@pytest.fixture
def disk(mill, monkeypatch):
    d = Disk(mill, 24 * MIB)
    plain = conftest.spawn

    def inside(argv, **kwargs):
        if argv[0] == conftest.DAEMON:
            argv = ["nsenter", "--mount=/proc/%d/ns/mnt" % d.holder.pid, "--", *argv]
        return plain(argv, **kwargs)

    monkeypatch.setattr(conftest, "spawn", functools.wraps(plain)(inside))
    yield d
    if mill.process and mill.process.poll() is None:
        mill.systemd.do("clear_faults")
        mill.stop()
    d.holder.kill()
    d.holder.wait()
    d.holder.stdout.close()


def gated(mill, n):
    return [mill.submit("while [ ! -e %s/go ]; do sleep 0.02; done; exit %d" % (mill.out, i % 3)) for i in range(n)]


def run_all(mill, n=4):
    ids = gated(mill, n)
    for i in ids:
        mill.reach(i, "running")
    return ids


WANTED = ["success", "exit-code", "exit-code", "success"]


def test_outcomes_are_recorded(mill, disk):
    mill.start()
    assert disk.ballast() == 8 * MIB
    ids = run_all(mill)
    waiting = mill.submit("true")
    disk.fill()
    (mill.out / "go").touch()
    assert [mill.result(i) for i in ids] == WANTED
    assert disk.ballast() == 0 and "gave up the ballast" in mill.log_path.read_text()
    for args in (("Submit", "", ["true"], {}), ("SubmitMany", [client.entry("", ["true"])])):
        with pytest.raises(client.BusError) as e:
            mill.call(*args)
        assert e.value.short == "StorageFull"
    assert mill.stats()["dispatch"] == "storage" and mill.state(waiting) == "ready"

    mill.restart()  # nor is it forgotten
    assert [mill.result(i) for i in ids] == WANTED
    until(lambda: mill.stats()["dispatch"] == "storage", 5)
    with pytest.raises(client.BusError) as e:
        mill.submit("true")
    assert e.value.short == "StorageFull"

    disk.empty()
    assert mill.result(waiting) == "success"
    assert disk.ballast() == 8 * MIB and "There is room" in mill.log_path.read_text()
    assert mill.result(mill.submit("true")) == "success"


def test_given_up_twice(mill, disk):
    mill.start()
    for _ in range(2):
        ids = run_all(mill)
        disk.fill()
        (mill.out / "go").touch()
        assert [mill.result(i) for i in ids] == WANTED
        disk.empty()
        until(lambda: disk.ballast() == 8 * MIB, 10, "the ballast is back")
        (mill.out / "go").unlink()


def test_without_ballast_they_wait(mill, disk):
    """So it is what helps above."""
    mill.start()
    ids = run_all(mill)
    (disk.root / "ballast").unlink()
    disk.fill()
    (mill.out / "go").touch()
    until(lambda: "Failed to record" in mill.log_path.read_text(), 5)
    mill.bus.pump(1.5)
    assert {mill.state(i) for i in ids} == {"running"}
    disk.empty()
    assert [mill.result(i) for i in ids] == WANTED


def test_idle_on_a_full_disk(mill, disk):
    """A submit that finds no room is refused, and costs no ballast as nothing runs."""
    mill.start()
    disk.fill()
    with pytest.raises(client.BusError) as e:
        mill.submit("true", payload=b"x" * MIB)
    assert e.value.short == "StorageFull" and disk.ballast() == 8 * MIB
    disk.empty()
    until(lambda: mill.stats()["dispatch"] == "", 5)
    assert mill.result(mill.submit("true")) == "success"


def test_start_on_a_full_disk(mill, disk):
    mill.start()
    mill.stop()
    (disk.root / "ballast").unlink()
    disk.fill()
    mill.start()
    with pytest.raises(client.BusError) as e:
        mill.submit("true")
    assert e.value.short == "StorageFull" and "Less than 8 MiB" in mill.log_path.read_text()
    disk.empty()
    until(lambda: mill.stats()["dispatch"] == "", 10)
    assert mill.result(mill.submit("true")) == "success"


def test_a_queue_is_paused_when_that_is_recorded(mill, disk):
    """SetQueue and RemoveQueue answer after the commit of what is no file: whether the queue is paused."""
    mill.start()
    mill.call("SetQueue", "old", {"Slots": "1", "Paused": "yes"}, False)
    (disk.root / "ballast").unlink()
    disk.fill()
    for fill in (lambda: mill.submit("true", hold=True),  # until no page is left that could be used again, nor in the log
                 lambda: (mill.call("PauseQueue", "default"), mill.call("ResumeQueue", "default"))):
        with pytest.raises(client.BusError) as e:
            while True:
                fill()
        assert e.value.short == "StorageFull"
    for args in (("SetQueue", "new", {"Slots": "1", "Paused": "yes"}, False), ("RemoveQueue", "old")):
        with pytest.raises(client.BusError) as e:
            mill.call(*args)
        assert e.value.short == "StorageFull"
    disk.empty()
    until(lambda: mill.stats()["dispatch"] == "", 10, "recording works again")
    assert mill.queue_properties("new")["Paused"]


# ---- read-only ----

def refused(mill):
    with pytest.raises(client.BusError) as e:
        mill.submit("true")
    assert e.value.short == "StorageError", e.value


def test_read_only_at_start(mill, disk):
    mill.start()
    id_ = mill.submit("true", hold=True)
    mill.stop()
    disk.remount("ro")
    mill.log_path.write_text("")
    mill.spawn()
    until(mill.bus.has_owner, 20)
    refused(mill)
    mill.bus.pump(1.5)
    assert mill.log_tail().count("Read-only file system") == 1
    disk.remount("rw")
    until(mill.answers, 10)
    mill.settled()
    mill.call("ReleaseJob", id_)
    assert mill.result(id_) == "success"


def test_first_start_on_a_full_disk(mill, disk):
    """There is no store yet, and none can be made. Nor is half of one left behind that cannot be opened later."""
    disk.fill()
    mill.spawn()
    until(mill.bus.has_owner, 20)
    mill.bus.pump(1.5)
    with pytest.raises(client.BusError) as e:
        mill.submit("true")
    assert e.value.short == "StorageFull"
    disk.empty()
    until(mill.answers, 10)
    until(lambda: mill.stats()["dispatch"] == "", 10)
    assert mill.submit("true") == 1 and mill.result(1) == "success"
