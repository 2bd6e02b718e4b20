# SPDX-License-Identifier: LGPL-2.1-or-later
"""PreviewUnit: the rights and checks of Submit, and nothing of what Submit does. What the text means to systemd is tried in
tests/system/test_preview.py."""

import pytest

import client
import conftest
from conftest import AS_ROOT

TRUE = ["/bin/true"]


def lines(text):
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def section(text, name):
    inside, found = False, []
    for line in lines(text):
        if line.startswith("["):
            inside = line == "[%s]" % name
        elif inside:
            found.append(line)
    return found


def test_text(running):
    running.queue("gpu", Slots=4, AllowUsers="*", SlotVariable="CUDA_VISIBLE_DEVICES")
    running.call("Reload")
    text = running.call("PreviewUnit", "gpu", ["/bin/echo", "$HOME", "%n", "a b", "", "x\ny\t\"'\\", ";", "\x01"],
                        {"name": "100%", "cwd": "/tmp", "umask": 0o27, "slots": 2, "timeout_usec": 90 * 10**6,
                         "payload": b"12345", "environment": ["A=secret"], "priority": 7,
                         "properties": ["MemoryMax=64M", "LimitNOFILE=512:1024", "SystemCallFilter=~@mount @swap", "CPUQuota=150%"]})
    unit, service = section(text, "Unit"), section(text, "Service")
    assert unit == ["Description=jobmill job 0 (100%%)", "IgnoreOnIsolate=yes", "After=jobmilld.service",
                    "StartLimitIntervalSec=infinity", "StartLimitBurst=1"]
    for line in ("Slice=jobmill-gpu.slice", "Type=exec", "RemainAfterExit=yes", "Restart=no", "RuntimeMaxSec=4min",
                 'ExecStart=:/bin/echo "$HOME" "%%n" "a b" "" "x\\ny\\t\\"\'\\\\" ";" "\\x01"', "StandardInput=null",
                 "WorkingDirectory=/tmp", "UMask=0027", "MemoryMax=67108864", "LimitNOFILE=512:1024",
                 "SystemCallFilter=~@mount @swap", "CPUQuota=150%", "TimeoutStopSec=1min 30s"):
        assert line in service, line
    environment = next(line for line in service if line.startswith("Environment="))
    for word in ("JOBMILL_JOB_ID=0", "JOBMILL_ATTEMPT=1", "JOBMILL_ATTEMPT_ID=" + 32 * "0", '"JOBMILL_NAME=100%%"',
                 "JOBMILL_SLOTS=0,1", "CUDA_VISIBLE_DEVICES=0,1"):
        assert word in environment
    assert any(line.startswith("EnvironmentFile=") and line.endswith("/attempt/0-1/env") for line in service)
    assert "secret" not in text and "12345" not in text and "# Standard input is the payload of 5 bytes" in text
    if AS_ROOT:
        assert "User=root" in service and "LogExtraFields=JOBMILL_JOB_ID=0" in service


def test_command_forms(running):
    helper = str(conftest.DAEMON.parent / "jobmill-exec")

    def command(argv, **spec):
        return next(line[10:] for line in lines(running.call("PreviewUnit", "", argv, spec)) if line.startswith("ExecStart="))

    assert command(["sleep", "5"]) == ":sleep 5"
    assert command(["./x"], cwd="/a b") == '":@/a b/./x" ./x'
    assert command(["@x"]) == ":@x"
    assert command(["sleep", "5"], output_file="o.%j", error_file="100%%") == (
        ':%s --output=o.0 "--error=100%%%%" -- sleep 5' % helper)
    assert "ExecSearchPath=/usr/bin:/b%%in" in running.call("PreviewUnit", "", ["x"], {"environment": ["PATH=/usr/bin:.:/b%in"]})


def test_nothing_is_done(running, systemd):
    before = systemd.do("counts")["starts"]
    running.call("PreviewUnit", "", TRUE, {"request_id": "r"})
    assert running.jobs() == [] and running.submit("true") == 1
    running.result(1)
    assert len(systemd.do("counts")["starts"]) == len(before) + 1
    # Its request_id means nothing: neither remembered nor looked up.
    assert running.call("Submit", "", TRUE, {"request_id": "r"})[0] == 2
    running.call("PreviewUnit", "", ["/bin/false"], {"request_id": "r"})


def test_refused_as_submit(running):
    running.queue("small", Slots=1, AllowUsers="*")
    running.queue("closed", Slots=1, AllowUsers="*")
    running.call("Reload")
    running.call("DrainQueue", "closed")
    for args in (("missing", TRUE, {}), ("", [], {}), ("small", TRUE, {"slots": 2}), ("closed", TRUE, {}), ("", TRUE, {"nonsense": "x"}),
                 ("", TRUE, {"name": "a\nb"}), ("", TRUE, {"properties": ["ExecStart=/bin/sh"]}),
                 ("", TRUE, {"properties": ["MemoryMax=x"]}), ("", TRUE, {"output_file": "%x"}), ("", TRUE, {"uid": 4242424})):
        errors = []
        for member in ("Submit", "PreviewUnit"):
            with pytest.raises(client.BusError) as e:
                running.call(member, *args)
            errors.append((e.value.name, e.value.message))
        assert errors[0] == errors[1]


@pytest.mark.root
def test_rights_as_submit(mill, remotes, polkit):
    mill.queue("default", Slots=4, AllowUsers="daemon")
    mill.start()

    def asked(who, **options):
        try:
            text = remotes(who).call("PreviewUnit", "", TRUE, options)
        except client.BusError as e:
            return e.short
        return next(line for line in lines(text) if line.startswith("User="))

    assert asked("daemon") == "User=daemon"
    assert asked("bin") == "NotAllowed"
    assert "AccessDenied" in asked("daemon", uid=2)
    assert "AccessDenied" in asked("daemon", properties=["PrivateDevices=yes", "CapabilityBoundingSet=CAP_KILL"])
    assert polkit.do("asked")
    polkit.do("mode", mode="allow")
    assert asked("daemon", uid=2) == "User=bin"
    assert mill.jobs() == []


def test_largest(running):
    """One mebibyte of words, and all slots that there may be."""
    running.queue("wide", AllowUsers="*")
    running.call("Reload")
    argv = TRUE + ["\x01" * 1000] * 1000
    text = running.call("PreviewUnit", "wide", argv, {"slots": 65536})
    assert text.count("\\x01") == 1000 * 1000 and ",65535" in text
