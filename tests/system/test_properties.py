# SPDX-License-Identifier: LGPL-2.1-or-later
"""Unit properties of jobs and queues take effect, as PID 1 and the job itself say."""

import pathlib
import pwd

import pytest

from mill import CONFIG, SOURCE, expect, systemctl, unit_properties, until

LIST = SOURCE / "tests/system/data/properties.txt"

# As PID 1 shows what it was given, where that is not the text itself.
SHOWN = {
    "MemoryMax=20M": ("MemoryMax", "20971520"),
    "MemoryHigh=1G": ("MemoryHigh", "1073741824"),
    "CPUQuota=50%": ("CPUQuotaPerSecUSec", "500ms"),
    "CPUWeight=50": ("CPUWeight", "50"),
    "TasksMax=33": ("TasksMax", "33"),
    "Nice=7": ("Nice", "7"),
    "LimitNOFILE=512": ("LimitNOFILE", "512"),
    "OOMScoreAdjust=300": ("OOMScoreAdjust", "300"),
    "WatchdogSec=10min": ("WatchdogUSec", "10min"),
    "KillSignal=SIGINT": ("KillSignal", "2"),
    "UMask=0077": ("UMask", "0077"),
    "NoNewPrivileges=yes": ("NoNewPrivileges", "yes"),
    "PrivateTmp=yes": ("PrivateTmp", "yes"),
    "PrivateNetwork=yes": ("PrivateNetwork", "yes"),
    "PrivateDevices=yes": ("PrivateDevices", "yes"),
    "ProtectSystem=strict": ("ProtectSystem", "strict"),
    "ProtectHome=read-only": ("ProtectHome", "read-only"),
    "InaccessiblePaths=/root /srv": ("InaccessiblePaths", "/root /srv"),
    "RestrictAddressFamilies=AF_UNIX": ("RestrictAddressFamilies", "AF_UNIX"),
}


def listed():
    lines = LIST.read_text().splitlines() if LIST.exists() else []
    return [line for line in lines if "=" in line and not line.startswith("#")]


def test_read_back(mill):
    """All at once: one job for each assignment."""
    ids = {}
    mill.write_queue("wide", "Slots=100")
    for assignment in SHOWN:
        ids[assignment] = mill.submit("sleep 60", "wide", properties=[assignment])
    for assignment, (name, value) in SHOWN.items():
        mill.reach(ids[assignment], "running")
        assert unit_properties(mill.unit(ids[assignment]), name) == {name: value}, assignment
    for id_ in ids.values():
        mill.call("CancelJob", id_)
    mill.wait_all(ids.values())


def test_every_property_of_the_table_is_taken(mill):
    """One job for each line of the list that the table's own tests use; it must start (or be refused by name)."""
    assert listed(), "%s is missing" % LIST
    mill.write_queue("wide", "Slots=8")
    ids = {a: mill.submit(["/bin/true"], "wide", properties=[a]) for a in listed()}
    wrong = {}
    for assignment, id_ in ids.items():
        j = mill.wait(id_, 60)
        if j["result"] != "success":
            wrong[assignment] = (j["result"], j.get("exit_status"), j.get("reason"))
    assert not wrong


EFFECTS = [
    ("LimitNOFILE=512", "[ $(ulimit -n) = 512 ]"),
    ("Nice=7", "[ $(nice) = 7 ]"),
    ("UMask=0077", "[ $(umask) = 0077 ]"),
    ("OOMScoreAdjust=300", "[ $(cat /proc/self/oom_score_adj) = 300 ]"),
    ("NoNewPrivileges=yes", "grep -q 'NoNewPrivs:.1' /proc/self/status"),
    ("ProtectSystem=strict", "! touch /var/tmp/x && ! touch /usr/x"),
    ("ProtectHome=yes", "[ -z \"$(ls -A /root)\" ]"),
    ("PrivateTmp=yes", "[ -z \"$(ls -A /tmp)\" ]"),
    ("InaccessiblePaths=/etc/passwd", "[ ! -s /etc/passwd ]"),
    ("ReadOnlyPaths=/var", "! touch /var/tmp/x"),
    ("PrivateNetwork=yes", "[ $(ls /sys/class/net | wc -l) -le 1 ] || [ $(tail -n +3 /proc/net/dev | wc -l) -eq 1 ]"),
    ("PrivateDevices=yes", "[ ! -e /dev/kmsg ]"),
    ("RestrictAddressFamilies=AF_UNIX",
     "! /usr/bin/python3 -c 'import socket; socket.socket(socket.AF_INET)'"),
    ("SystemCallFilter=~mkdir mkdirat", "! mkdir /var/tmp/never-made"),
    ("TasksMax=40", "grep -q . /proc/self/cgroup"),
]


@pytest.mark.parametrize("assignment,check", EFFECTS, ids=[a for a, _ in EFFECTS])
def test_effect(mill, assignment, check):
    spec = {"properties": [assignment]}
    j = mill.run("touch /tmp/own || :; rm -f /tmp/own; " + check if assignment.startswith("PrivateTmp") else check, **spec)
    # A filtered system call kills (SIGSYS) or fails: both are its effect.
    assert j["result"] == "success", j


def test_effect_for_a_user(mill):
    j = mill.wait(mill.user("alice").submit("grep -q 'NoNewPrivs:.1' /proc/self/status && ! ls /home/bob",
                                            properties=["ProtectHome=yes"]))
    assert j["result"] == "success", j


def test_memory_limit_reads_back(mill):
    """What PID 1 does at the limit needs cgroup controllers, which a system like this one does not always have."""
    id_ = mill.user("alice").submit("sleep 60", properties=["MemoryMax=20M", "MemorySwapMax=0"])
    mill.reach(id_, "running")
    assert unit_properties(mill.unit(id_), "MemoryMax", "MemorySwapMax", "OOMPolicy", "MemoryAccounting") == {
        "MemoryMax": "20971520", "MemorySwapMax": "0", "OOMPolicy": "kill", "MemoryAccounting": "yes"}
    mill.call("CancelJob", id_)
    mill.wait(id_)


def test_what_every_job_unit_has(mill):
    id_ = mill.user("alice").submit("sleep 60", name="the name", timeout_usec=100_000_000, stop_timeout_usec=5_000_000)
    mill.reach(id_, "running")
    p = unit_properties(mill.unit(id_), "Type", "RemainAfterExit", "Restart", "KillMode", "OOMPolicy", "NotifyAccess", "Slice",
                        "User", "IgnoreSIGPIPE", "StartLimitBurst", "StartLimitIntervalUSec", "IgnoreOnIsolate",
                        "Description", "CPUAccounting", "MemoryAccounting", "TasksAccounting", "After", "RuntimeMaxUSec",
                        "TimeoutStopUSec", "CollectMode")
    assert "jobmilld.service" in p.pop("After").split()
    assert p.pop("Description") == "jobmill job %d (the name)" % id_
    assert p.pop("User") in ("alice", str(pwd.getpwnam("alice").pw_uid))
    assert p.pop("CPUAccounting", "yes") == "yes"  # it is always on, and no property any more, from systemd 258 on
    assert p == {"Type": "exec", "RemainAfterExit": "yes", "Restart": "no", "KillMode": "control-group", "OOMPolicy": "kill",
                 "NotifyAccess": "all", "Slice": "jobmill-default.slice", "IgnoreSIGPIPE": "no", "StartLimitBurst": "1",
                 "StartLimitIntervalUSec": "infinity", "IgnoreOnIsolate": "yes",
                 "MemoryAccounting": "yes", "TasksAccounting": "yes", "RuntimeMaxUSec": "2min 45s",
                 "TimeoutStopUSec": "5s", "CollectMode": "inactive"}
    mill.call("CancelJob", id_)
    mill.wait(id_)


def test_queue_file_sections(mill):
    mill.write_queue("limited", "Slots=3", "AllowUsers=alice", "[Slice]", "CPUWeight=77", "TasksMax=999", "[Service]", "Nice=5",
                     "LimitNOFILE=1000")
    id_ = mill.user("alice").submit("sleep 60", "limited", properties=["LimitNOFILE=2000", "Nice=9"])
    mill.reach(id_, "running")
    until(lambda: unit_properties("jobmill-limited.slice", "CPUWeight", "TasksMax") == {"CPUWeight": "77", "TasksMax": "999"},
          5, "the slice has its properties")
    # A user's job may only tighten what the file sets.
    assert unit_properties(mill.unit(id_), "Nice", "LimitNOFILE") == {"Nice": "9", "LimitNOFILE": "1000"}
    # Live: the slice follows the file.
    mill.write_queue("limited", "Slots=3", "AllowUsers=alice", "[Slice]", "CPUWeight=55")
    until(lambda: unit_properties("jobmill-limited.slice", "CPUWeight") == {"CPUWeight": "55"}, 20, "the slice follows")
    mill.call("CancelJob", id_)
    mill.wait(id_)


def test_override_of_a_queue_file(mill):
    mill.write_queue("loose", "Slots=3", "AllowUsers=*", "Override=LimitNOFILE", "[Service]", "LimitNOFILE=100")
    j = mill.wait(mill.user("alice").submit("[ $(ulimit -n) = 200 ]", "loose", properties=["LimitNOFILE=200"]))
    assert j["result"] == "success"


def test_drop_in_of_a_queue(mill):
    d = CONFIG / "default.queue.d"
    d.mkdir(parents=True, exist_ok=True)
    (d / "nice.conf").write_text("[Service]\nNice=3\n")
    try:
        mill.call("Reload")
        assert mill.run("[ $(nice) = 3 ]")["result"] == "success"
    finally:
        (d / "nice.conf").unlink()
        d.rmdir()
        mill.call("Reload")


REFUSED = ["ExecStartPre=/bin/true", "Restart=always", "Type=oneshot", "Slice=system.slice", "EnvironmentFile=/etc/shadow",
           "LoadCredential=x:/etc/shadow", "StandardOutput=file:/etc/x", "StateDirectory=x", "PAMName=login",
           "Delegate=yes", "KillMode=none", "NotifyAccess=none", "RemainAfterExit=no", "TimeoutStopSec=1", "RuntimeMaxSec=1",
           "ExecStart=/bin/sh", "SuccessAction=reboot", "After=x.service", "NoSuchProperty=1", "Unit=x"]


def test_refused_for_everybody(mill):
    for assignment in REFUSED:
        name = assignment.split("=")[0]
        for caller in (mill, mill.user("alice")):
            assert name in expect("PropertyNotAllowed", caller.submit, "true", properties=[assignment])


def test_bad_values_are_refused_by_name(mill):
    for assignment in ("MemoryMax=lots", "Nice=99", "TasksMax=-1", "CPUQuota=x", "LimitNOFILE=a:b", "ProtectSystem=maybe",
                       "WatchdogSec=soon"):
        assert assignment.split("=")[0] in expect("InvalidSpec", mill.submit, "true", properties=[assignment])


def test_mismatching_drop_in_stops_dispatch(mill, folder):
    """A drop-in for all services overrides what a transient unit was given: then no guarantee of ours holds."""
    d = pathlib.Path("/run/systemd/system/service.d")
    d.mkdir(parents=True)
    (d / "bad.conf").write_text("[Service]\nRestart=on-failure\n")
    try:
        systemctl("daemon-reload")
        # It may be killed at any step: the file is there with its line, or not at all. A second run adds to it.
        id_ = mill.submit("echo run >part.$$; ln part.$$ runs || echo run >>runs; exit 1", cwd=str(folder))
        until(lambda: mill.stats()["dispatch"] != "", 10, "dispatch waits")
        assert "bad.conf" in mill.stats()["dispatch"] or "Restart" in mill.stats()["dispatch"]
        held_back = mill.submit("true")
        assert mill.state(held_back) == "ready"
    finally:
        (d / "bad.conf").unlink()
        d.rmdir()
        systemctl("daemon-reload")
    mill.settled()
    assert mill.wait(held_back)["result"] == "success"
    assert mill.wait(id_)["result"] != "success"
    runs = folder / "runs"  # it may have been killed before its first step
    assert not runs.exists() or runs.read_text() == "run\n"
