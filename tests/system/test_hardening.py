# SPDX-License-Identifier: LGPL-2.1-or-later
"""The sandboxes of all services of ours, as they are installed: what systemd says of them, and what the kernel holds the running daemon to.
That these units are the ones that all other tests here run."""

import os
import pathlib
import re

import pytest

from mill import BUILD, SANITIZERS, run, unit_properties

pytestmark = pytest.mark.system_only
UNITS = pathlib.Path("/usr/lib/systemd/system")
SERVICES = sorted(p.name for p in UNITS.glob("jobmill*.service"))
LIMITS = {"jobmilld.service": 20, "jobmill-slurm.service": 25}  # of 100; it becomes the owners of jobs. Of all others:
LIMIT = 15


def test_all_are_here():
    """A service that comes new is looked at too."""
    assert "jobmilld.service" in SERVICES
    assert set(SERVICES) == {p.name for p in (BUILD / "units").glob("*.service")} - {"jobmilld-user.service"}


@pytest.mark.parametrize("name", SERVICES)
def test_exposure(name, figure):
    out = run("systemd-analyze", "security", "--no-pager", "--offline=true", "--threshold=%d" % LIMITS.get(name, LIMIT), UNITS / name, check=False)
    last = out.stdout.splitlines()[-1]
    assert out.returncode == 0 and "Overall exposure level" in last, out.stdout
    figure(re.search(r"Overall.*?: [\d.]+", last)[0])


@pytest.mark.parametrize("name", SERVICES)
def test_nothing_is_loosened(name):
    """What is loaded is what is installed is what was built. With sanitizers one call more is allowed (tests/system/boot)."""
    assert (UNITS / name).read_text() == (BUILD / "units" / name).read_text()
    p = unit_properties(name, "FragmentPath", "DropInPaths")
    assert os.path.samefile(p["FragmentPath"], UNITS / name)
    drop_ins = [pathlib.Path(d) for d in p.get("DropInPaths", "").split() if "/jobmill" in d]
    lines = [line for d in drop_ins for line in d.read_text().splitlines() if line and not line.startswith(("[", "Environment=", "ExecStop="))]
    assert lines == (["SystemCallFilter=ptrace"] if SANITIZERS and name == "jobmilld.service" else [])


def mount_options(pid):
    """{mount point: options}, of the file system and of the mount together, as that process has them."""
    lines = [line.split() for line in pathlib.Path("/proc/%d/mountinfo" % pid).read_text().splitlines()]
    return {w[4]: set(w[5].split(",")) for w in lines}


def test_the_kernel_holds_it(mill):
    """Not what is asked for, but what is so."""
    pid = mill.daemon_pid()
    status = dict(line.split(":\t", 1) for line in pathlib.Path("/proc/%d/status" % pid).read_text().splitlines() if ":\t" in line)
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
    bits = 1 << 0 | 1 << 1 | 1 << 5  # CHOWN, DAC_OVERRIDE, KILL
    assert [int(status[c], 16) for c in ("CapBnd", "CapPrm", "CapEff", "CapAmb")] == [bits] * 3 + [0]
    assert int(status["CapInh"], 16) in (0, bits)  # 262 lets them be inherited, by files that say so: no more than the bound
    for name in ("net", "mnt"):
        assert os.readlink("/proc/%d/ns/%s" % (pid, name)) != os.readlink("/proc/self/ns/" + name)
    assert pathlib.Path("/proc/%d/net/dev" % pid).read_text().count(":") == 1, "the loopback alone"
    at = mount_options(pid)

    def options(path):
        """Of the mount that it lies in."""
        return at[next(str(p) for p in (pathlib.Path(path), *pathlib.Path(path).parents) if str(p) in at)]

    read_only = ("/", "/usr", "/etc", "/var", "/var/log", "/proc/sys", "/home", "/root", "/run/dbus")
    assert [p for p in read_only if "ro" not in options(p)] == []
    written = ("/var/lib/jobmill", "/etc/jobmill", "/run/jobmill", "/run/systemd/system", "/sys/fs/cgroup", "/tmp")
    assert [p for p in written if "rw" not in options(p)] == []
    root = pathlib.Path("/proc/%d/root" % pid)
    assert not list((root / "home").iterdir()) and not list((root / "tmp").iterdir())
    assert not {d.name for d in (root / "dev").iterdir()} & {"mem", "kmsg", "sda", "vda", "rtc0", "console"}
