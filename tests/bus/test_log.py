# SPDX-License-Identifier: LGPL-2.1-or-later
"""OpenLog: who gets a stream, when it ends, and that its children are bounded and leave nothing behind. What is in it
needs a journal: tests/system/test_logs.py."""

import os
import pathlib
import select
import signal

import pytest

import client
from conftest import until

PER_USER, ALL = 8, 64


def open_log(mill, id_, stream="journal"):
    return mill.call("OpenLog", id_, stream).take()


def ended(fd, timeout=10):
    """All that is to be read, once the other end is closed."""
    data = b""
    while select.select([fd], [], [], timeout)[0]:
        more = os.read(fd, 65536)
        if not more:
            os.close(fd)
            return data
        data += more
    raise AssertionError("not ended")


def goes_on(fd):
    return not select.select([fd], [], [], 0.3)[0]


def children(mill):
    return pathlib.Path("/proc/%d/task/%d/children" % (mill.process.pid, mill.process.pid)).read_text().split()


def test_of_a_job_that_is_done(running):
    id_ = running.submit("true")
    running.result(id_)
    for stream in ("journal", "journal-follow"):
        assert ended(open_log(running, id_, stream)) == b""
    until(lambda: not children(running), 5, "the children are gone")


def test_of_one_that_waits(running):
    running.call("PauseQueue", "default")
    id_ = running.submit("true")
    assert ended(open_log(running, id_)) == b""
    fd = open_log(running, id_, "journal-follow")
    assert goes_on(fd)
    running.call("ResumeQueue", "default")
    ended(fd)
    until(lambda: not children(running), 5, "the child is gone")


def test_follows_until_the_job_is_done(running):
    id_ = running.submit("sleep 60")
    running.reach(id_, "running")
    fds = [open_log(running, id_, "journal-follow") for _ in range(3)]
    assert all(goes_on(fd) for fd in fds)
    running.call("CancelJob", id_)
    for fd in fds:
        ended(fd)


def test_errors(running):
    id_ = running.submit("true")
    with pytest.raises(client.BusError) as e:
        running.call("OpenLog", id_, "spool")
    assert e.value.name == "org.freedesktop.DBus.Error.InvalidArgs" and "'journal' or 'journal-follow'" in e.value.message
    with pytest.raises(client.BusError) as e:
        running.call("OpenLog", 4711, "journal")
    assert e.value.short == "NoSuchJob"


@pytest.mark.root
def test_who_may(running, remotes, polkit):
    id_ = running.submit("sleep 60")
    with pytest.raises(client.BusError) as e:
        remotes("daemon").call("OpenLog", id_, "journal")
    assert e.value.name.endswith((".AccessDenied", ".InteractiveAuthorizationRequired"))
    assert not children(running)


def test_so_many_and_no_more(running):
    id_ = running.submit("sleep 60")
    fds = [open_log(running, id_, "journal-follow") for _ in range(PER_USER)]
    with pytest.raises(client.BusError) as e:
        open_log(running, id_)
    assert e.value.short == "TooMany" and "8" in e.value.message
    os.close(fds.pop())
    fds.append(until(lambda: try_open(running, id_), 5, "one ends when nobody reads it"))
    for fd in fds:
        os.close(fd)
    until(lambda: not children(running), 5, "all end")


def try_open(mill, id_):
    try:
        return open_log(mill, id_, "journal-follow")
    except client.BusError:
        return None


def test_they_end_with_the_daemon(running):
    id_ = running.submit("sleep 60")
    fds = [open_log(running, id_, "journal-follow") for _ in range(3)]
    running.kill()
    for fd in fds:
        ended(fd)
    running.start()
    fds = [open_log(running, id_, "journal-follow") for _ in range(3)]
    running.stop()
    for fd in fds:
        ended(fd)
    running.start()


def test_a_child_that_is_killed_is_not_missed(running):
    id_ = running.submit("sleep 60")
    running.reach(id_, "running")
    fd = open_log(running, id_, "journal-follow")
    os.kill(int(until(lambda: children(running))[0]), signal.SIGKILL)
    ended(fd)
    until(lambda: not children(running), 5, "it was waited for")
    assert running.stats()["running"] == 1


def test_nothing_of_the_daemon_is_in_the_child(running):
    """Not its store, not its bus connections."""
    id_ = running.submit("sleep 60")
    fd = open_log(running, id_, "journal-follow")
    pid = until(lambda: children(running))[0]
    until(lambda: pathlib.Path("/proc/%s/comm" % pid).read_text() == "jobmilld-log\n")
    until(lambda: pathlib.Path("/proc/%s/fd/4" % pid).exists() and not store_is_open(pid))
    names = [os.readlink(p) for p in pathlib.Path("/proc/%s/fd" % pid).iterdir()]
    assert len([n for n in names if n.startswith("socket:")]) <= 1, names
    os.close(fd)


def store_is_open(pid):
    return any("jobmill.db" in os.readlink(p) for p in pathlib.Path("/proc/%s/fd" % pid).iterdir())
