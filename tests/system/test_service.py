# SPDX-License-Identifier: LGPL-2.1-or-later
"""jobmilld as a service of the system: sandbox, activation, reload, journal, interfaces, everything from plain busctl."""

import json
import os
import pathlib
import pwd
import time
import urllib.request

import pytest

from mill import CONFIG, SOURCE, SYSTEM_BUS, BusError, client, expect, journal, run, systemctl, unit_properties, until

STARTED = "6f1f2c0e5b5c4b0fa3a4a2b7b9f0c101"
FINISHED = "6f1f2c0e5b5c4b0fa3a4a2b7b9f0c102"
MANAGER = ["org.jobmill1", "/org/jobmill1", "org.jobmill1.Manager"]


def busctl(*argv, **kwargs):
    return run("busctl", "--json=short", *argv, **kwargs)


def call(method, *argv):
    return json.loads(busctl("call", *MANAGER, method, *argv))["data"]


def test_the_service(mill):
    p = unit_properties("jobmilld.service", "Type", "ActiveState", "UnitFileState", "BusName", "StatusText", "WatchdogUSec")
    assert (p["Type"], p["ActiveState"], p["UnitFileState"], p["BusName"]) == ("notify", "active", "enabled", "org.jobmill1")
    assert p["WatchdogUSec"] == "3min" and p["StatusText"]
    assert mill.stats()["systemd"]


def test_status_text_counts(mill):
    id_ = mill.submit("sleep 60")
    mill.reach(id_, "running")
    until(lambda: "1 running" in unit_properties("jobmilld.service", "StatusText")["StatusText"], 20, "the status says so")
    mill.call("CancelJob", id_)
    mill.wait(id_)


@pytest.mark.skipif(not pathlib.Path("/usr/lib/systemd/system/jobmill-exporter.socket").exists(), reason="built without libmicrohttpd")
def test_exporter(mill):
    """Started by who asks, as a user of its own, and of no more rights than it needs."""
    run("systemd-sysusers", "jobmill-exporter.conf")  # as its package does
    systemctl("start", "jobmill-exporter.socket")
    try:
        def page(path):
            with urllib.request.urlopen("http://127.0.0.1:9738" + path, timeout=30) as r:
                return r.read().decode()

        assert page("/healthz") == "ok\n"
        assert 'jobmill_jobs{queue="default",state="ready"} ' in page("/metrics") and "jobmill_up 1" in page("/metrics")
        pid = unit_properties("jobmill-exporter.service", "MainPID")["MainPID"]
        assert os.stat("/proc/" + pid).st_uid == pwd.getpwnam("jobmill-exporter").pw_uid != 0
    finally:
        systemctl("stop", "jobmill-exporter.socket", "jobmill-exporter.service")


def test_activation_by_the_bus(mill):
    """A call starts the stopped service; the backlog is there."""
    id_ = mill.submit("true", hold=True)
    systemctl("stop", "jobmilld.service")
    assert unit_properties("jobmilld.service", "ActiveState")["ActiveState"] == "inactive"
    assert unit_properties("jobmilld.service", "Result")["Result"] == "success"
    assert mill.state(id_) == "held"
    until(lambda: unit_properties("jobmilld.service", "ActiveState")["ActiveState"] == "active", 10, "PID 1 has read that it is ready")
    mill.call("CancelJob", id_)


def test_reload(mill):
    pid = mill.daemon_pid()
    mill.write_queue("later", "Slots=2", reload=False)
    mill.reload()
    assert dict(mill.call("ListQueues")).get("later")
    assert mill.daemon_pid() == pid


def test_bad_queue_file(mill):
    mill.write_queue("good", "Slots=2")
    (CONFIG / "good.queue").write_text("[Queue]\nSlots=2\nNoSuchKey=1\n")
    message = expect("Configuration", mill.call, "Reload")
    assert "good.queue" in message and "3" in message and "NoSuchKey" in message
    assert mill.run("true", "good")["result"] == "success", "the last good state is in force"
    run("systemctl", "reload", "jobmilld.service", check=False)
    assert mill.run("true", "good")["result"] == "success"
    (CONFIG / "good.queue").write_text("[Queue]\nSlots=3\n")
    mill.call("Reload")


def test_everything_from_busctl(mill):
    id_, path = call("Submit", "sasa{sv}", "", "2", "sleep", "60", "2", "name", "s", "from busctl", "timeout_usec", "t", "60000000")
    assert path == "/org/jobmill1/job/%d" % id_
    assert call("GetJob", "t", str(id_)) == [path]
    mill.reach(id_, "running")
    info = call("GetJobInfo", "t", str(id_))[0]
    assert info["name"] == {"type": "s", "data": "from busctl"}
    assert [j["id"]["data"] for j in call("ListJobs", "a{sv}su", "1", "state", "s", "running", "", "10")[0]] == [id_]
    assert json.loads(busctl("get-property", "org.jobmill1", path, "org.jobmill1.Job", "State"))["data"] == "running"
    many = call("SubmitMany", "aa{sv}", "2", "1", "argv", "as", "1", "true", "2", "queue", "s", "default", "argv", "as", "1", "true")[0]
    assert len(many) == 2
    assert call("WaitJob", "tt", str(many[0]), "10000000")[:2] == ["done", "success"]
    call_ = call("WaitJob", "tt", str(id_), "1000")
    assert call_[:2] == ["running", ""]
    busctl("call", *MANAGER, "CancelJob", "t", str(id_))
    assert call("WaitJob", "tt", str(id_), str(2**64 - 1))[:2] == ["done", "cancelled"]
    queues = dict(call("ListQueues")[0])
    p = json.loads(busctl("get-property", "org.jobmill1", queues["default"], "org.jobmill1.Queue", "Slots"))
    assert p["data"] == os.cpu_count()
    assert "/org/jobmill1/queue/default" in busctl("tree", "--list", "org.jobmill1").splitlines()


def test_object_properties(mill):
    id_ = mill.submit("exit 3")
    mill.wait(id_)
    p = mill._client.get_all("/org/jobmill1/job/%d" % id_, "org.jobmill1.Job")
    assert (p["Id"], p["State"], p["Result"], p["ExitStatus"], p["ExitSignal"], p["Dead"]) == (id_, "done", "exit-code", 3, 0, True)
    assert p["NotBeforeUSec"] == 2**64 - 1, "unknown is UINT64_MAX"
    with pytest.raises(BusError):
        mill._client.get_all("/org/jobmill1/job/999999999", "org.jobmill1.Job")
    q = mill._client.get_all("/org/jobmill1/queue/default", "org.jobmill1.Queue")
    assert (q["Name"], q["Slice"], q["Paused"]) == ("default", "jobmill-default.slice", False)


def test_signals(mill):
    c = client.Client(SYSTEM_BUS)
    try:
        c.call("Subscribe")
        id_ = c.call("Submit", "", ["/bin/sh", "-c", "sleep 0.3; exit 2"], {})[0]
        end = time.monotonic() + 10
        while ("JobFinished", id_, 1, "exit-code") not in c.signals and time.monotonic() < end:
            c.pump(0.1)
        mine = [s for s in c.signals if s[1] == id_]
        assert mine[0] == ("JobNew", id_) and ("JobChanged", id_, "running") in mine
        assert mine.count(("JobFinished", id_, 1, "exit-code")) == 1
        c.call("Unsubscribe")
        c.signals.clear()
        mill.run("true")
        c.pump(0.3)
        assert not [s for s in c.signals if s[0].startswith("Job")]
    finally:
        c.close()


def test_documented_interfaces():
    """The XML in dbus/ is what the daemon says of itself."""
    out = run("/usr/bin/python3", SOURCE / "tests/lint/check-introspection.py", "--address", SYSTEM_BUS, check=False)
    assert out.returncode == 0, out.stdout + out.stderr


def test_log_control(mill):
    where = ["org.jobmill1", "/org/freedesktop/LogControl1", "org.freedesktop.LogControl1"]
    assert json.loads(busctl("get-property", *where, "SyslogIdentifier"))["data"] == "jobmilld"
    before = json.loads(busctl("get-property", *where, "LogLevel"))["data"]
    systemctl("service-log-level", "jobmilld.service", "debug")
    assert systemctl("service-log-level", "jobmilld.service").strip() == "debug"
    mill.run("true")
    systemctl("service-log-level", "jobmilld.service", before)
    assert run("runuser", "-u", "bob", "--", "busctl", "set-property", *where, "LogLevel", "s", "debug", check=False).returncode != 0


# -- the journal --


def entries(*matches):
    return until(lambda: journal(*matches), 20, "journal entries of %s" % (matches,))


def test_message_ids(mill):
    j = mill.run("sleep 0.3; exit 5", name="logged")
    match = "JOBMILL_JOB_ID=%d" % j["id"]
    started, finished = entries("MESSAGE_ID=" + STARTED, match), entries("MESSAGE_ID=" + FINISHED, match)
    assert len(started) == len(finished) == 1
    for e in started + finished:
        assert e["_SYSTEMD_UNIT"] == "jobmilld.service"
        assert (e["JOBMILL_ATTEMPT"], e["JOBMILL_QUEUE"], e["UNIT"]) == ("1", "default", j["unit"])
        assert e["INVOCATION_ID"] == j["invocation_id"]
    assert finished[0]["JOBMILL_RESULT"] == "exit-code"
    text = run("journalctl", "--catalog", "--no-pager", "MESSAGE_ID=" + FINISHED, match)
    assert "jobmill retry %d" % j["id"] in text


def test_journalctl_of_a_job(mill):
    """Its own lines, PID 1's and the daemon's by one match, and by its unit."""
    j = mill.run("echo a line of the job")
    lines = until(lambda: [e for e in journal("JOBMILL_JOB_ID=%d" % j["id"]) if e["MESSAGE"] == "a line of the job"], 20, "its line")
    assert lines[0]["_SYSTEMD_INVOCATION_ID"] == j["invocation_id"]
    all_ = journal("JOBMILL_JOB_ID=%d" % j["id"])
    assert {e.get("_SYSTEMD_UNIT") for e in all_} >= {j["unit"], "jobmilld.service"}
    assert "a line of the job" in run("journalctl", "--no-pager", "-u", j["unit"])


def test_wants_no_network_and_no_home():
    pid = unit_properties("jobmilld.service", "MainPID")["MainPID"]
    assert not os.listdir("/proc/%s/root/home" % pid)
    assert os.stat("/proc/%s/ns/net" % pid).st_ino != os.stat("/proc/1/ns/net").st_ino
    assert [line.split(":", 1)[1].strip() for line in open("/proc/%s/status" % pid) if line.startswith("NoNewPrivs")] == ["1"]
