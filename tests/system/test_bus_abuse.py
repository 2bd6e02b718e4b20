# SPDX-License-Identifier: LGPL-2.1-or-later
"""Other programs take of the bus what they get (bus_abuse.py), as a user without any rights: jobs go on, and root is served."""

import contextlib
import os
import pathlib
import re
import select
import subprocess
import time

import pytest

import client
from mill import BUS, PYTHON, SLOW, until

pytestmark = [pytest.mark.system_only,
              pytest.mark.skipif(os.environ.get("JOBMILL_FAULTS_FULL") != "1", reason="minutes of work: make check TIER=faults")]
TEXT = (pathlib.Path(__file__).parent / "bus_abuse.py").read_text()  # she may not be able to read it where it lies


@contextlib.contextmanager
def abuse(*argv, user="alice"):
    p = subprocess.Popen(["setpriv", "--reuid", user, "--regid", user, "--init-groups", "--pdeathsig=KILL", PYTHON, "-c", TEXT,
                          *map(str, argv)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd="/")
    try:
        assert select.select([p.stdout], [], [], 30 * SLOW)[0] and p.stdout.readline(), "%s: not a word" % (argv,)
        yield
    finally:
        p.kill()
        p.wait()
        p.stdout.close()


def memory(pid):
    return int(re.search(r"VmRSS:\s+(\d+)", pathlib.Path("/proc/%d/status" % pid).read_text())[1]) // 1024


@pytest.fixture(scope="module")
def scene(mill):
    """Jobs of alice's that make a list long, one of hers that will not end, and one of root's that runs on."""
    alice = mill.user("alice")
    alice.call("SubmitMany", [{"queue": "default", "argv": ["/bin/echo", "x" * 2000], "hold": True}] * 1000)
    held = alice.submit("true", hold=True)
    steady = mill.submit("sleep 1000")
    mill.reach(steady, "running")
    pid = mill.daemon_pid()
    yield held
    assert mill.state(steady) == "running" and mill.daemon_pid() == pid
    mill.call("CancelJob", steady)
    mill.wait(steady)
    mill.call("CancelJobs", {"state": "held"})
    mill.call("PurgeJobs", {"state": "done"})


def test_answers_that_nobody_reads(mill, scene, figure):
    """dbus-daemon keeps them, up to 127 MiB, and then reads no more of what the daemon sends to anybody."""
    log = "The bus takes nothing from us"
    with abuse("unread", 2, 4):
        began = time.monotonic()
        until(lambda: log in subprocess.run(["journalctl", "--unit=jobmilld.service", "--output=cat", "--lines=100", "--no-pager"],
                                            capture_output=True, text=True).stdout, 60, log)
        ids = []
        until(lambda: len(ids) == 3 or ids.append(served(lambda c: c.call("Submit", "", ["/bin/true"], {})[0])), 120)
        assert [mill.wait(i)["result"] for i in ids] == ["success"] * 3
        figure("answers that nobody reads: root was served after %.0f s, jobmilld had %d MiB"
               % (time.monotonic() - began, memory(mill.daemon_pid())))
    assert memory(mill.daemon_pid()) < 256


def served(call):
    """As the tool does: asked again when the daemon's connection is lost."""
    deadline = time.monotonic() + 60 * SLOW
    while True:
        c = client.Client(BUS)
        try:
            return call(c)
        except client.BusError as e:
            assert e.name.startswith("org.freedesktop.DBus.Error.") and time.monotonic() < deadline, e
        finally:
            c.close()


def test_a_crowd(mill, scene, figure):
    """All the rest at once."""
    with abuse("held", 20, scene), abuse("vanish", scene, user="bob"), abuse("signals", user="bob"), abuse("calls", user="robot"):
        began = time.monotonic()
        ids = served(lambda c: c.call("SubmitMany", [client.entry("", ["/bin/true"])] * 5, timeout=120 * SLOW))
        assert [mill.wait(i, 120)["result"] for i in ids] == ["success"] * 5
        figure("a crowd on the bus: five jobs of root's took %.1f s, jobmilld had %d MiB"
               % (time.monotonic() - began, memory(mill.daemon_pid())))
    assert memory(mill.daemon_pid()) < 256


def test_all_connections_of_a_user(mill, scene):
    """Hers are used up, nobody else's."""
    with abuse("connections"):
        served(lambda c: c.call("GetStatistics", timeout=60 * SLOW))
        assert mill.run("true")["result"] == "success"
