# SPDX-License-Identifier: LGPL-2.1-or-later
"""What is left in the cgroup of a job that is over: the daemon sees a /sys/fs/cgroup of its own, made of plain files."""

import functools
import pathlib
import subprocess

import pytest

import conftest
from conftest import until

pytestmark = pytest.mark.root


@pytest.fixture
def cgroups(monkeypatch):
    """The folder that stands for the cgroup tree."""
    plain = conftest.spawn
    holder = plain(["unshare", "--mount", "--propagation", "private", "sh", "-c",
                    "mount -t tmpfs tmpfs /sys/fs/cgroup && echo ready && exec sleep infinity"], stdout=subprocess.PIPE, text=True)
    assert holder.stdout.readline() == "ready\n"

    def inside(argv, **kwargs):
        if conftest.DAEMON in argv:
            argv = ["nsenter", "--mount=/proc/%d/ns/mnt" % holder.pid, "--", *argv]
        return plain(argv, **kwargs)

    monkeypatch.setattr(conftest, "spawn", functools.wraps(plain)(inside))
    yield pathlib.Path("/proc/%d/root/sys/fs/cgroup/unified" % holder.pid)
    holder.kill()
    holder.wait()
    holder.stdout.close()


def test_slot_until_it_is_empty(mill, systemd, cgroups):
    mill.queue("default", Slots=1, AllowUsers="*")
    mill.start()
    events = cgroups / "jobmill.slice/jobmill-default.slice" / mill.unit(1) / "cgroup.events"
    events.parent.mkdir(parents=True)
    events.write_text("populated 1\nfrozen 0\n")
    first, second = mill.submit_many(["true", "true"])
    assert mill.result(first) == "success"
    until(lambda: not systemd.do("units"), 5, "the unit is gone")
    mill.bus.pump(0.3)
    assert mill.state(second) == "ready" and mill.queue_properties("default")["SlotsUsed"] == 1
    events.write_text("populated 0\nfrozen 0\n")
    assert mill.result(second) == "success"
