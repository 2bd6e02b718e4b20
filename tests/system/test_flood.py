# SPDX-License-Identifier: LGPL-2.1-or-later
"""alice floods the daemon in every way (flood.py, bus_abuse.py), up to her limits, where she is refused. Meanwhile bob submits over both roads, and is
answered each time; what she took is bounded, and comes back when she is gone. JOBMILL_FAULTS_FULL=1: 100,000 jobs are taken of her, not 20,000."""

import contextlib
import json
import os
import pathlib
import pwd
import re
import select
import subprocess
import threading

import pytest

from mill import PYTHON, SANITIZERS, SLOW, until

pytestmark = pytest.mark.system_only
TEXTS = {name: (pathlib.Path(__file__).parent / (name + ".py")).read_text() for name in ("flood", "bus_abuse")}  # she may not be able to read them
MAX = 100000 if os.environ.get("JOBMILL_FAULTS_FULL") == "1" else 20000
MOST = 2048 if SANITIZERS else 320  # MiB while she is at it: her messages and answers, SocketBuffersPerUserMax= each, and what is made of one of them
STORED = 64  # MiB that one user may have stored
LEFT = 1024 if SANITIZERS else 64  # MiB more than before, when she is gone: what malloc() keeps
ALICE = pwd.getpwnam("alice").pw_uid
LIVE = 60  # seconds in which bob is answered, on a machine that does much else


@contextlib.contextmanager
def started(*argv, user="alice", text="flood"):
    """At work, and gone after it; its first line."""
    p = subprocess.Popen(["setpriv", "--reuid", user, "--regid", user, "--init-groups", "--pdeathsig=KILL", PYTHON, "-c", TEXTS[text], *map(str, argv)],
                         stdout=subprocess.PIPE, text=True, cwd="/")
    try:
        assert select.select([p.stdout], [], [], 2 * LIVE * SLOW)[0], "%s: not a word" % (argv,)
        line = p.stdout.readline()
        assert line, "%s has died" % (argv,)
        yield p, line
    finally:
        p.kill()
        p.wait()
        p.stdout.close()


class Neighbour:
    """bob, on the socket, all the time; each call is answered within LIVE seconds, and none is refused."""

    def __init__(self, process):
        self.process, self.n = process, 0
        self.thread = threading.Thread(target=self.count, daemon=True)
        self.thread.start()

    def count(self):
        for _ in self.process.stdout:
            self.n += 1

    def goes_on(self, mill, calls=3):
        """So many more calls of his over each road."""
        n = self.n
        for _ in range(calls):
            id_ = mill.user("bob").submit("true", hold=True)
            mill.user("bob").call("CancelJob", id_)
        until(lambda: self.n >= n + calls, LIVE, lambda: "bob was answered %d times on the socket; he has %s" % (self.n - n, self.process.poll()))


def status(pid, key):
    return int(re.search(key + r":\s+(\d+)", pathlib.Path("/proc/%d/status" % pid).read_text())[1]) // 1024


def descriptors(pid):
    return len(list(pathlib.Path("/proc/%d/fd" % pid).iterdir()))


@pytest.fixture(scope="module")
def scene(mill, request):
    """Limits, a queue for workers, bob at work, and what the daemon had before."""
    path = pathlib.Path("/etc/jobmill/jobmill.conf.d/90-flood.conf")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("[Daemon]\nMaxQueuedPerUser=%d\nStoredBytesPerUserMax=%dM\n" % (MAX, max(STORED, MAX // 500)))
    mill.call("SetQueue", "w", {"Executor": "worker", "AllowUsers": "*"}, True)
    mill.call("Reload")
    pid = mill.daemon_pid()
    with started("neighbour", user="bob") as (p, _):
        bob = Neighbour(p)
        bob.goes_on(mill)
        pathlib.Path("/proc/%d/clear_refs" % pid).write_text("5")  # VmHWM is that of these tests
        before = status(pid, "VmRSS"), descriptors(pid)
        yield bob, before, pid
        assert p.poll() is None, "bob was refused, or not answered"
    assert mill.daemon_pid() == pid
    path.unlink()
    mill.call("Reload")


@pytest.fixture
def flooded(mill, scene, figure, request):
    """Before: all is calm. After: it is again, with what she held."""
    bob, (memory, fds), pid = scene
    yield bob
    bob.goes_on(mill)
    until(lambda: descriptors(pid) <= fds + 2, 20, lambda: "%d descriptors, %d before" % (descriptors(pid), fds))
    now, most = status(pid, "VmRSS"), status(pid, "VmHWM")
    figure("%s: jobmilld had %d MiB at most, %d after it, %d before all" % (request.node.name, most, now, memory))
    assert most < MOST and now < memory + LEFT + MAX // 20000 * 4


def counts(line):
    return json.loads(line)


def test_payloads(mill, flooded):
    """To what she may have stored; once that is purged she may again."""
    most = max(STORED, MAX // 500)
    for n in (most + 20, 3):
        with started("payloads", n) as (_, line):
            flooded.goes_on(mill)
            c = counts(line)
            assert c == ({"taken": most - 1, "TooMany": 21} if n > 3 else {"taken": 3}), c
        assert mill.stats()["store_bytes"] < (most + 40) << 20
        assert mill.call("CancelJobs", {"owner": ALICE}) == mill.call("PurgeJobs", {"owner": ALICE, "state": "done"}) == c["taken"]


def test_submits(mill, flooded):
    """To her limit, and then each one is refused; and so are flows."""
    n = 100000
    with started("submits", n) as (_, line):
        flooded.goes_on(mill)
        c = counts(line)
        assert set(c) == {"taken", "QueueFull"} and c["taken"] + c["QueueFull"] == n // 1000 + 1000, c
    queued = lambda: mill.user("alice").call("CountJobs", {"state": "held", "owner": ALICE})  # noqa: E731
    assert queued() == MAX
    with started("flows", 5000) as (_, line):
        flooded.goes_on(mill)
        assert counts(line) == {"QueueFull": 5}
    assert queued() == MAX


def test_connections(mill, flooded):
    with started("connections", 1000) as (_, line):
        flooded.goes_on(mill)
        c = counts(line)
        assert sum(c.values()) == 1000 - 256 and set(c) <= {"TooMany", "closed"}, c


def test_halves(mill, flooded):
    """Messages that are begun and not ended: 100 KB on each of her connections are less than she may have, with 1,000 refused."""
    with started("halves", 1000) as (_, line):
        flooded.goes_on(mill)
        c = counts(line)
        assert sum(c.values()) == 1000 - 256 and set(c) <= {"TooMany", "closed"}, c


@pytest.mark.parametrize("what", ["events", "answers"])
def test_slow_readers(mill, flooded, what):
    with started(what, 250) as (p, _):
        flooded.goes_on(mill)
        assert p.poll() is None


def test_what_takes_long(mill, flooded):
    """Lists that go through all of her jobs, pages, reports, on all of her connections at once; and on the bus as well."""
    with started("dear", 250), started("lists", 20, text="bus_abuse"):
        flooded.goes_on(mill, 5)


def test_workers_and_schedules(mill, flooded):
    with started("workers", 200) as (_, line):
        flooded.goes_on(mill)
        assert counts(line) == {"taken": 128, "TooMany": 72}
    refused, alice = [], mill.user("alice")
    for i in range(102):
        try:
            alice.call("SetSchedule", "alice%d" % i, {"OnCalendar": ["Mon *-*-* 03:00:%d" % (i % 60)], "Job": {"argv": ["/bin/true"]}})
        except Exception as e:
            refused.append(str(e))
    flooded.goes_on(mill)
    assert len(refused) == 2 and all("SchedulesPerUserMax=" in r for r in refused), refused[:3]
    for i in range(100):
        alice.call("RemoveSchedule", "alice%d" % i)


@pytest.mark.skipif(SANITIZERS, reason="what a crowd sends is read too slowly by a daemon with sanitizers: bob's call lies behind it on the bus")
def test_a_crowd_on_the_bus(mill, flooded):
    """Calls that wait, calls that want no answer, and callers that are gone before it."""
    id_ = mill.submit("true", hold=True)
    with started("held", 20, id_, text="bus_abuse"), started("calls", text="bus_abuse"), started("vanish", id_, text="bus_abuse"):
        flooded.goes_on(mill, 5)
    mill.call("CancelJob", id_)


def test_she_is_gone(mill, flooded):
    """With all that she had queued."""
    assert mill.call("CancelJobs", {"owner": ALICE}, timeout=300) == MAX
    mill.call("PurgeJobs", {"owner": ALICE, "state": "done"}, timeout=300)
    assert not mill.call("ListJobs", {"owner": ALICE}, "", 1)[0]
