# SPDX-License-Identifier: LGPL-2.1-or-later
"""The text of PreviewUnit is true: systemd finds no fault with it, sees in it what it sees in the job's own unit, and runs it
as the job is run."""

import json
import os
import pathlib
import pwd

import pytest

from mill import PYTHON, expect, run, systemctl, unit_properties, until
from test_files import DUMP
from test_inputs import ODD
from test_properties import listed

UNITS = pathlib.Path("/run/systemd/system")
NAME = "jobmill-preview.service"

# What two units of the same cannot have in common: who they are, and what becomes of them; and what comes of that one of them
# is read from a file.
OWN = ("Id", "Names", "InvocationID", "FragmentPath", "Transient", "ControlGroup", "ControlGroupId", "MainPID", "ExecMain", "Job",
       "ActiveState", "SubState", "FreezerState", "Active", "Inactive", "StateChange", "Condition", "Assert", "CPUUsage", "Memory",
       "Tasks", "IO", "IP", "ExecStart", "Environment", "Description", "LogExtraFields", "NRestarts", "UID", "GID", "Result",
       "RequiresMountsFor", "Documentation", "UnitFileState", "UnitFilePreset", "EffectiveCPUs", "EffectiveMemoryNodes",
       "Requires", "Before", "After", "WatchdogTimestamp", "Can", "StatusText", "NotifyAccess", "OOMKills", "ManagedOOMKills")
KEPT = ("MemoryMax", "MemoryHigh", "MemorySwapMax", "MemoryDenyWriteExecute", "TasksMax", "IOWeight", "IOSchedulingClass",
        "IOSchedulingPriority", "IOReadBandwidthMax", "IOReadIOPSMax", "IOWriteBandwidthMax", "IOWriteIOPSMax", "EnvironmentFiles")


def shown(unit):
    text = systemctl("show", "--all", unit)
    properties = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    del properties["WatchdogUSec"]  # of one that was never started: infinity
    return {k: v for k, v in properties.items() if k in KEPT or not k.startswith(OWN)}


@pytest.fixture
def install():
    """Writes the text as a unit."""
    def write(text):
        (UNITS / NAME).write_text(text)
        systemctl("daemon-reload")

    yield write
    systemctl("stop", NAME, check=False)
    (UNITS / NAME).unlink(missing_ok=True)
    systemctl("daemon-reload")
    systemctl("reset-failed", NAME, check=False)


PRIVILEGED = ["BindPaths=-/mnt:/srv", "BindReadOnlyPaths=/usr:/opt:norbind", "DeviceAllow=/dev/null rw", "DevicePolicy=closed",
              "CapabilityBoundingSet=~CAP_SYS_ADMIN", "AmbientCapabilities=CAP_KILL CAP_CHOWN", "LimitNICE=+5", "LimitRTTIME=5s",
              "MemoryMin=10%", "SupplementaryGroups=games adm", "CPUWeight=idle", "LimitNPROC=infinity", "IODeviceWeight=/ 50"]


@pytest.mark.parametrize("only", [None, *PRIVILEGED, "RestrictNamespaces=yes", "RestrictNamespaces=no", "CapabilityBoundingSet=CAP_KILL",
                                  "MemoryMax=12.34%", "WatchdogSec=infinity", "SystemCallFilter=@system-service ~@mount"])
def test_same_as_the_job(mill, folder, install, only):
    """All properties that anybody may set, at once; and one by one those that are for few."""
    spec = {"properties": listed() if not only else [only], "cwd": "/usr", "umask": 0o27, "timeout_usec": 10**9,
            "stop_timeout_usec": 5_500_000, "slots": 2}
    if only and "Filter=@system" in only:  # two lines
        spec["properties"] = ["SystemCallFilter=@system-service", "SystemCallFilter=~@mount"]
    id_ = mill.submit(["sleep", "1000"], hold=True, name="a % name", **spec)
    text = mill.call("PreviewUnit", "", ["sleep", "1000"], {"name": "a % name", **spec})
    assert ("WatchdogSec=5min" in text) == (not only)
    install(text)
    verified = run("systemd-analyze", "verify", "--man=no", str(UNITS / NAME), check=False)
    assert verified.returncode == 0 and NAME not in verified.stderr, verified.stderr
    mill.call("ReleaseJob", id_)
    mill.reach(id_, "running")
    job, preview = shown(mill.unit(id_)), shown(NAME)
    for name in ("Description", "Environment", "LogExtraFields"):
        one, two = (unit_properties(u, name).get(name, "") for u in (mill.unit(id_), NAME))
        assert name == "Environment" or one.replace(str(id_), "0") == two
    mill.call("CancelJob", id_)
    mill.wait(id_)
    # systemd 258 and later knows "time" too. As that is not among ours, a job that has the property at all may not make one.
    for properties in job, preview:
        kinds = properties["RestrictNamespaces"].removesuffix(" time")
        properties["RestrictNamespaces"] = "no" if kinds == "cgroup ipc net mnt pid user uts" else kinds
    assert job == preview


@pytest.mark.parametrize("spec", [{}, {"output_file": "o %% \"x\".%j"}], ids=["plain", "file"])
def test_runs_as_the_job(mill, folder, install, spec):
    """Words, folder, umask, user: the text started by systemd does what the job does."""
    odd = folder / "a folder $HOME %n \\ 'x' ü "
    odd.mkdir(mode=0o777)
    odd.chmod(0o777)
    words = [w for w in ODD if len(w) < 1000] + ["\x01\x7f", "a\rb", "\\;", '\\"', "\u2028"]
    argv = [PYTHON, "-c", DUMP, str(folder / "out"), *words]
    text = mill.user("alice").call("PreviewUnit", "", argv, {"cwd": str(odd).rstrip(), "umask": 0o027, **spec})
    (folder / "a folder $HOME %n \\ 'x' ü").mkdir(mode=0o777)
    (folder / "a folder $HOME %n \\ 'x' ü").chmod(0o777)
    install(text)
    systemctl("start", NAME)
    until(lambda: unit_properties(NAME, "SubState")["SubState"] in ("exited", "failed"), 10)
    assert unit_properties(NAME, "Result")["Result"] == "success"
    got = json.loads((folder / "out").read_text())
    assert got["argv"] == words
    assert (got["cwd"], got["umask"], got["uid"]) == (str(odd).rstrip(), 0o027, pwd.getpwnam("alice").pw_uid)
    assert got["environment"]["JOBMILL_JOB_ID"] == "0" and "/jobmill-default.slice/" in got["unit"]
    assert (folder / "a folder $HOME %n \\ 'x' ü/o % \"x\".0").exists() == bool(spec)


def test_rights(mill):
    text = mill.user("alice").call("PreviewUnit", "", ["true"], {})
    assert "\nUser=alice\n" in text
    expect("org.freedesktop.DBus.Error.InteractiveAuthorizationRequired", mill.user("alice").call, "PreviewUnit", "", ["true"],
           {"uid": 0})
    assert not os.path.exists("/run/jobmill/attempt/0-1")
