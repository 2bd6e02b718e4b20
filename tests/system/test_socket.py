# SPDX-License-Identifier: LGPL-2.1-or-later
"""The socket on real systemd: activation, the daemon with and without it, other users, a user's instance; and, where there is one (systemd
257), varlinkctl, which knows nothing of us."""

import json
import os
import pathlib
import pwd
import shutil
import stat

import pytest

import varlink
from mill import SOURCE, run, systemctl, unit_properties, until

PATH = "/run/jobmill/org.jobmill"
varlinkctl = pytest.mark.skipif(not shutil.which("varlinkctl") or "--more" not in run("varlinkctl", "--help"), reason="needs varlinkctl of systemd 257")


def test_it_is_there(mill):
    p = unit_properties("jobmilld.socket", "ActiveState", "UnitFileState")
    assert (p["ActiveState"], p["UnitFileState"]) == ("active", "enabled")
    assert stat.S_IMODE(os.stat(PATH).st_mode) == 0o666
    with varlink.Connection(PATH) as c:
        id_ = c.call("Submit", job={"argv": ["/bin/sh", "-c", "exit 3"]})["id"]
        assert c.call("Wait", id=id_)["outcome"]["exit_status"] == 3


def test_other_users(mill):
    mine = mill.submit("true", hold=True)
    alice = pwd.getpwnam("alice").pw_uid
    reply = varlink.call_as(alice, PATH, "Submit", {"job": {"argv": ["/bin/true"]}})
    assert mill.info(reply["parameters"]["id"])["owner"] == alice
    assert varlink.call_as(alice, PATH, "Cancel", {"id": mine})["error"] == "org.jobmill.NotAllowed"
    mill.call("CancelJob", mine)


def test_activation(mill):
    """Who connects starts the stopped service."""
    id_ = mill.submit("true", hold=True)
    run("systemctl", "stop", "jobmilld.service")
    with varlink.Connection(PATH) as c:
        assert c.call("Get", id=id_)["job"]["state"] == "held"
        c.call("Cancel", id=id_)


def test_the_daemon_without(mill):
    """It runs without, and has it again when it is started again."""
    systemctl("stop", "jobmilld.service", "jobmilld.socket")
    run("systemctl", "--runtime", "mask", "jobmilld.socket")
    try:
        systemctl("start", "jobmilld.service")
        id_ = mill.submit("true", hold=True)
        with pytest.raises(OSError):
            varlink.Connection(PATH)
    finally:
        run("systemctl", "--runtime", "unmask", "jobmilld.socket")
    systemctl("restart", "jobmilld.service")
    with varlink.Connection(PATH) as c:
        c.call("Cancel", id=id_)


def test_killed_with_clients(mill):
    """Nobody waits for an answer that does not come, and the next daemon has the socket."""
    id_ = mill.submit("sleep 1")
    with varlink.Connection(PATH) as c:
        c.send("Wait", {"id": id_})
        mill.restart_daemon(kill=True)
        assert c.read() is None
    with varlink.Connection(PATH) as c:
        assert c.call("Wait", id=id_)["result"] == "success"


@varlinkctl
def test_introspected(mill):
    info = json.loads(run("varlinkctl", "--json=short", "info", PATH))
    assert info["interfaces"] == ["org.varlink.service", "org.jobmill"]
    text = run("varlinkctl", "introspect", PATH, "org.jobmill")
    for line in ("method Submit(", "type Job(", "error NoSuchJob(", "method Events("):
        assert line in text, text
    run("varlinkctl", "validate-idl", SOURCE / "src/api/org.jobmill.varlink")
    run("varlinkctl", "validate-idl", SOURCE / "src/api/org.varlink.service.varlink")


@varlinkctl
def test_called(mill):
    def call(method, parameters, *options, **kwargs):
        return run("varlinkctl", "--json=short", *options, "call", PATH, "org.jobmill." + method, json.dumps(parameters), **kwargs)

    before = json.loads(call("Statistics", {}))["statistics"]["last_event"]  # one answer does not have all that there ever were
    id_ = json.loads(call("Submit", {"job": {"argv": ["/bin/sh", "-c", "exit 3"], "name": "of varlinkctl"}}))["id"]
    assert json.loads(call("Wait", {"id": id_}))["outcome"]["exit_status"] == 3
    job = json.loads(call("Get", {"id": id_}))["job"]
    assert job["name"] == "of varlinkctl" and job["result"] == "exit-code"
    p = call("Get", {"id": 1 << 40}, check=False)
    assert p.returncode != 0 and "org.jobmill.NoSuchJob" in p.stderr + p.stdout
    events = json.loads(call("Events", {"after": before}))["events"]
    assert [e["state"] for e in events if e["id"] == id_][-1] == "done"
    more = run("timeout", "--preserve-status", "2", "varlinkctl", "--json=short", "--more", "call", PATH, "org.jobmill.Events",
               json.dumps({"after": before}), check=False).stdout
    lines = [json.loads(line) for line in more.replace("\x1e", "").splitlines()]
    assert lines[0]["events"] == events and lines[0]["last"] == events[-1]["number"]
