# SPDX-License-Identifier: LGPL-2.1-or-later
"""A disk that is really full: the store, or the spool, lies on a small tmpfs of a mount namespace of its own."""

import contextlib
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
    """What the daemon sees as its state directory (or another one), for as long as the test lasts."""

    def __init__(self, mill, size, where="state"):
        state = mill.folder / where
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


@contextlib.contextmanager
def inside_of(d, mill, monkeypatch):
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


@pytest.fixture
def disk(mill, monkeypatch):
    with inside_of(Disk(mill, 24 * MIB), mill, monkeypatch) as d:
        yield d


def gated(mill, n):
    return [mill.submit("while [ ! -e %s/go ]; do sleep 0.02; done; exit %d" % (mill.out, i % 3)) for i in range(n)]


def run_all(mill, n=4):
    mill.submit("true", hold=True, payload=b"x" * MIB)  # the log has no room left from when the tables were made
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
    mill.bus.pump(4)  # it has been tried to make it again: what was given up is no room
    assert mill.stats()["dispatch"] == "storage" and mill.state(waiting) == "ready" and disk.ballast() == 0

    mill.restart()  # nor is it forgotten
    assert [mill.result(i) for i in ids] == WANTED
    until(lambda: mill.stats()["dispatch"] == "storage", 5)
    with pytest.raises(client.BusError) as e:
        mill.submit("true")
    assert e.value.short == "StorageFull"

    disk.empty()
    assert mill.result(waiting) == "success"
    assert disk.ballast() == 8 * MIB and "There is room" in mill.log_path.read_text()

    (mill.out / "go").unlink()  # and once more
    ids = run_all(mill)
    disk.fill()
    (mill.out / "go").touch()
    assert [mill.result(i) for i in ids] == WANTED


def test_without_ballast_they_wait(mill, disk):
    """So it is what helps above."""
    mill.start()
    ids = run_all(mill)
    (disk.root / "ballast").unlink()
    disk.fill()
    (mill.out / "go").touch()
    until(lambda: "Failed to record" in mill.log_path.read_text(), 5)
    mill.bus.pump(1.5)
    assert "running" in {mill.state(i) for i in ids}  # the end of one alone may still find room
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
    assert e.value.short == "StorageFull" and "Less than 16 MiB" in mill.log_path.read_text()
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


# ---- the spool ----

@pytest.fixture
def spool(mill, monkeypatch):
    (mill.folder / "run/spool").mkdir(mode=0o700)
    mill.queue("default", Slots=40, AllowUsers="daemon bin", SpoolMax="4M")
    with inside_of(Disk(mill, 16 * MIB, "run/spool"), mill, monkeypatch) as d:
        yield d


TRUE = """echo; echo '{"success": true}'"""


def verified(mill, of, command):
    gate = "while [ ! -e %s/go ]; do sleep 0.05; done" % mill.out
    return of.call("Submit", "", ["/bin/sh", "-c", "%s; %s; %s" % (command, gate, TRUE)], {"verify": "verdict"})[0]


def held(spool, id_):
    return sum(p.stat().st_blocks * 512 for p in spool.root.glob("%d-1.*" % id_))


def test_a_spool_is_shared_by_owner(mill, spool, remotes):
    """Many jobs of one user, each of which keeps less than SpoolMax=, leave room for the job of another one, and it loses nothing."""
    mill.start()
    other = verified(mill, remotes("bin"), "head -c 3000000 /dev/zero")
    until(lambda: held(spool, other) >= 3000000, 10, "it has written")
    ids = []
    for _ in range(7):
        ids.append(verified(mill, remotes("daemon"), "head -c 3000000 /dev/zero; echo >&2"))
        until(lambda: held(spool, ids[-1]) > 0 and (spool.root / ("%d-1.stderr" % ids[-1])).stat().st_size > 0, 10, "it has written")
        until(lambda: sum(held(spool, i) for i in [other, *ids]) < 8.2 * MIB, 5, "half of the room is given back")
    assert held(spool, other) >= 3000000
    assert sum(held(spool, i) for i in ids) > 4.5 * MIB  # what others do not need they have
    (mill.out / "go").touch()
    assert set(mill.all_done([other, *ids]).values()) == {"success"}


def test_who_takes_a_spool_for_himself_is_killed(mill, spool, remotes):
    """Where nothing can be given back: it lies behind the end. The one that holds most, and no more than has to be."""
    mill.start()
    program = ("import ctypes; l = ctypes.CDLL(None); l.fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_long, ctypes.c_long];"
               " l.fallocate(1, 1, 0, %d << 10)")
    other = verified(mill, remotes("bin"), "head -c 2000000 /dev/zero")
    until(lambda: held(spool, other) >= 2000000, 10, "it has written")
    ids = []
    for size in (2400, 3600, 5400):
        ids.append(verified(mill, remotes("daemon"), "/usr/bin/python3 -c '%s'; echo" % (program % size)))
        until(lambda: mill.state(ids[-1]) == "done" or held(spool, ids[-1]) >= size << 10, 10, "it has taken that")
    result, o = mill.wait(ids[2])
    assert (result, o["reason"]) == ("signal", "spool"), o
    (mill.out / "go").touch()
    assert set(mill.all_done([other, *ids[:2]]).values()) == {"success"}


def test_a_write_to_a_full_spool_fails(mill, spool, remotes):
    """The job is told, as on any full disk. That it does not care is said too."""
    mill.start()
    mill.settled()  # what it does not know in there it has removed
    spool.fill()
    (mill.out / "go").touch()
    cares = verified(mill, remotes("bin"), "set -e")
    does_not = verified(mill, remotes("bin"), "trap \"exit 0\" EXIT")
    assert [mill.result(i) for i in (cares, does_not)] == ["exit-code", "unverified"]
    assert mill.info(does_not)["reason"] == "it wrote no verdict; the spool was full while it ran"
    spool.empty()
    assert mill.result(verified(mill, remotes("bin"), "true")) == "success"
