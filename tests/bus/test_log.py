# SPDX-License-Identifier: LGPL-2.1-or-later
"""OpenLog: who gets a stream, when it ends, and that its children are bounded and leave nothing behind. What is in it
needs a journal: tests/system/test_logs.py."""

import contextlib
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


def ended(fd, timeout=30):
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
    until(lambda: pathlib.Path("/proc/%s/fd/4" % pid).exists() and not any("jobmill.db" in n for n in open_files(pid)))
    names = open_files(pid)
    assert len([n for n in names if n.startswith("socket:")]) <= 1, names
    os.close(fd)


def open_files(pid):
    names = []
    for p in pathlib.Path("/proc/%s/fd" % pid).iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed just now
            names.append(os.readlink(p))
    return names


# ---- spools ----

def lines(data, stream=None):
    """MESSAGE of each entry of the Journal Export Format; text only."""
    entries = [dict(l.split("=", 1) for l in e.splitlines()) for e in data.decode().split("\n\n") if e]
    return [e["MESSAGE"] for e in entries if stream in (None, e["SYSLOG_IDENTIFIER"])]


def read_until(fd, text, timeout=30):
    data = b""
    while text not in data:
        assert select.select([fd], [], [], timeout)[0], data
        data += os.read(fd, 65536)
    return data


def test_spool_while_it_runs(running):
    command = "echo one; echo two >&2; printf thr; while [ ! -e %s/go ]; do sleep 0.02; done; echo ee; echo '{}'" % running.out
    id_ = running.submit(command, stdout="spool")
    follow = open_log(running, id_, "journal-follow")
    seen = read_until(follow, b"MESSAGE=two\n\n")
    assert goes_on(follow)
    assert sorted(lines(ended(open_log(running, id_)))) == ["one", "thr", "two"]
    (running.out / "go").touch()
    assert lines(seen + ended(follow), "stdout") == ["one", "three", "{}"]
    running.result(id_)
    for stream in ("journal", "journal-follow"):
        data = ended(open_log(running, id_, stream))
        assert (lines(data, "stdout"), lines(data, "stderr")) == (["one", "three", "{}"], ["two"])
    until(lambda: not children(running), 5, "the children are gone")


def test_spool_of_attempts(running):
    id_ = running.submit("echo attempt $JOBMILL_ATTEMPT; while [ ! -e %s/$JOBMILL_ATTEMPT ]; do sleep 0.02; done; exit 1" % running.out,
                         stdout="spool")
    follow = open_log(running, id_, "journal-follow")
    seen = read_until(follow, b"MESSAGE=attempt 1\n\n")
    (running.out / "1").touch()
    running.result(id_)
    seen += ended(follow)
    running.call("RetryJob", id_, {})
    running.reach(id_, "running")
    follow = open_log(running, id_, "journal-follow")
    read_until(follow, b"MESSAGE=attempt 2\n\n")
    (running.out / "2").touch()
    running.result(id_)
    ended(follow)
    assert lines(seen) == ["attempt 1"]
    data = ended(open_log(running, id_))
    assert lines(data) == ["attempt 1", "attempt 2"]
    assert [l for l in data.decode().splitlines() if l.startswith("__JOBMILL_ATTEMPT")] == ["__JOBMILL_ATTEMPT=1", "__JOBMILL_ATTEMPT=2"]


def test_spool_that_loses_its_head(mill):
    """Long lines go in pieces, and what was given back is passed over."""
    mill.queue("default", Slots=4, AllowUsers="*", SpoolMax="256K")
    mill.start()
    id_ = mill.submit("head -c 3000000 /dev/zero | tr '\\0' x; echo; echo end; while [ ! -e %s/go ]; do sleep 0.02; done" % mill.out,
                      stdout="spool")
    path = mill.folder / "run/spool" / ("%d-1.stdout" % id_)
    until(lambda: path.exists() and path.stat().st_size == 3000005 and path.stat().st_blocks * 512 < 300000, 10, "it is short")
    got = lines(ended(open_log(mill, id_)))
    assert got[-1] == "end" and set("".join(got[:-1])) == {"x"} and 200000 < len("".join(got)) < 300000
    (mill.out / "go").touch()
    mill.result(id_)
    got = lines(ended(open_log(mill, id_)))
    assert got[-1] == "end" and len("".join(got)) < 5000


def test_spool_of_one_that_waits(running):
    running.call("PauseQueue", "default")
    id_ = running.submit("echo here", stdout="spool")
    assert ended(open_log(running, id_)) == b""
    fd = open_log(running, id_, "journal-follow")
    assert goes_on(fd)
    running.call("ResumeQueue", "default")
    assert lines(ended(fd)) == ["here"]
