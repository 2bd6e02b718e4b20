# SPDX-License-Identifier: LGPL-2.1-or-later
"""dbus/*.xml is what the daemon really offers."""

import os
import subprocess
import xml.etree.ElementTree

from conftest import PYTHON, ROOT


def test_documented_interfaces_are_the_live_ones(running):
    id_ = running.submit("true", hold=True)
    p = subprocess.run([PYTHON, ROOT / "tests/lint/check-introspection.py", "--address", running.address, "--job", str(id_)],
                       capture_output=True, text=True, env={**os.environ, **running.environment()}, timeout=60)
    assert p.returncode == 0, p.stdout + p.stderr


def nodes(text):
    return {n.get("name") for n in xml.etree.ElementTree.fromstring(text).findall("node")}


def test_tree(running, session_client):
    running.queue("gpu-train", Slots=1, AllowUsers="*")
    running.call("Reload")
    live = running.submit("sleep 60")
    held = running.submit("true", hold=True)
    running.reach(live, "running")
    assert {"queue", "job"} <= nodes(session_client.introspect("/org/jobmill1"))
    assert nodes(session_client.introspect("/org/jobmill1/queue")) == {"default", "gpu", "gpu_2dtrain"}
    jobs = nodes(session_client.introspect("/org/jobmill1/job"))
    assert str(live) in jobs
    assert running.job_properties(held)["State"] == "held"  # any job answers, listed or not


def test_log_control(running, session_client):
    path, interface = "/org/freedesktop/LogControl1", "org.freedesktop.LogControl1"
    p = session_client.get_all(path, interface)
    assert {"LogLevel", "LogTarget", "SyslogIdentifier"} <= set(p)
    session_client.raw("org.jobmill1", path, "org.freedesktop.DBus.Properties", "Set", "ssv", interface, "LogLevel", "debug")
    assert session_client.get(path, interface, "LogLevel") == "debug"


def test_manager_properties(running, session_client):
    running.settled()
    p = session_client.get_all("/org/jobmill1", "org.jobmill1.Manager")
    assert set(p) == {"Version", "Dispatch"} and p["Dispatch"] == "" and p["Version"]
