# SPDX-License-Identifier: LGPL-2.1-or-later
"""Every refusal has its name, says what is wrong, and leaves nothing behind."""

import dbus
import pytest

import client
from conftest import Mill


@pytest.fixture(scope="module")
def shared(folder, address, session_client, systemd_process):
    """One daemon for all of these; nothing here leaves a job but as it says."""
    path = folder / "errors"
    path.mkdir()
    m = Mill(path, address, session_client, systemd_process)
    m.queue("small", Slots=2, AllowUsers="*")
    m.queue("closed", Slots=2, AllowUsers="*")
    m.start()
    m.call("DrainQueue", "closed")
    m.held = m.submit("true", hold=True)
    m.done = m.submit("exit 1")
    m.wait(m.done)
    m.live = m.submit("sleep 600")
    m.reach(m.live, "running")
    yield m
    m.stop()
    systemd_process.do("reset")


def refused(mill, name, member, *args):
    with pytest.raises(client.BusError) as e:
        mill.call(member, *args)
    assert e.value.short == name, e.value
    assert e.value.message
    return e.value.message


@pytest.mark.parametrize("member, more", [
    ("WaitJob", [0]), ("GetJob", []), ("GetJobInfo", []), ("ListAttempts", []), ("CancelJob", []), ("KillJob", [15]),
    ("HoldJob", []), ("ReleaseJob", []), ("RetryJob", [{}])])
@pytest.mark.parametrize("id_", [0, 987654, 2**63 + 5, client.FOREVER])
def test_no_such_job(shared, member, more, id_):
    refused(shared, "NoSuchJob", member, id_, *more)


@pytest.mark.parametrize("member", ["PauseQueue", "ResumeQueue", "DrainQueue"])
@pytest.mark.parametrize("name", ["nope", "--", "A B", "small-", "x" * 300])
def test_no_such_queue(shared, member, name):
    refused(shared, "NoSuchQueue", member, name)


def test_submit_to_no_queue(shared):
    assert "nope" in refused(shared, "NoSuchQueue", "Submit", "nope", ["/bin/true"], {})


# key, value (a D-Bus one where the type is wrong), what the message must hold
BAD_SPECS = [
    ("nonsense", "x", "nonsense"),
    ("callback_url", dbus.UInt32(3), "callback_url"),
    ("name", dbus.UInt32(3), "name"),
    ("name", "x" * 129, "name"),
    ("name", "a\nb", "name"),
    ("name", "a\x1bb", "name"),
    ("cwd", "relative", "cwd"),
    ("cwd", "/a\nb", "cwd"),
    ("priority", 1001, "priority"),
    ("priority", -1001, "priority"),
    ("priority", dbus.String("5"), "priority"),
    ("slots", 0, "slots"),
    ("slots", 5, "slots"),
    ("slots", 2**32 - 1, "slots"),
    ("umask", 0o1000, "umask"),
    ("environment", ["NOEQUALS"], "environment"),
    ("environment", ["=x"], "environment"),
    ("environment", ["1A=x"], "environment"),
    ("tags", {"": "x"}, "tags"),
    ("tags", {"k%d" % i: "" for i in range(65)}, "tags"),
    ("timeout_usec", 0, "timeout_usec"),
    ("timeout_usec", dbus.Int64(5), "timeout_usec"),
    ("hold", dbus.String("yes"), "hold"),
    ("payload", dbus.String("text"), "payload"),
    ("properties", ["MemoryMax=lots"], "MemoryMax"),
    ("properties", ["MemoryMax"], "MemoryMax"),
    ("properties", ["MemoryMax=1G\nUser=root"], "MemoryMax"),
    ("properties", ["Nice=100"], "Nice"),
]


@pytest.mark.parametrize("key, value, words", BAD_SPECS, ids=["%s-%d" % (k, i) for i, (k, _, _) in enumerate(BAD_SPECS)])
def test_invalid_spec(shared, key, value, words):
    before = shared.stats()
    message = refused(shared, "InvalidSpec", "Submit", "", ["/bin/true"], {key: value})
    assert words in message
    assert shared.stats()["held"] + shared.stats()["ready"] == before["held"] + before["ready"]


@pytest.mark.parametrize("argv", [[], [""], ["/bin/a\nb"], ["x" * (128 * 1024 + 1)]])
def test_invalid_argv(shared, argv):
    assert "argv" in refused(shared, "InvalidSpec", "Submit", "", argv, {})


@pytest.mark.parametrize("assignment", [
    "Type=simple", "Restart=always", "RemainAfterExit=no", "ExecStartPre=/bin/true", "ExecStart=/bin/true", "Slice=x.slice",
    "KillMode=none", "Delegate=yes", "StandardOutput=file:/etc/passwd", "EnvironmentFile=/etc/shadow",
    "LoadCredential=x:/etc/shadow", "PAMName=login", "TTYPath=/dev/tty1", "StateDirectory=x", "RuntimeDirectory=x",
    "CollectMode=inactive-or-failed", "SendSIGKILL=no", "NotifyAccess=none", "OOMPolicy=continue", "StartLimitBurst=5",
    "TimeoutStopSec=1", "SuccessAction=reboot", "FailureAction=reboot", "After=x.service", "ConditionPathExists=/x",
    "LogExtraFields=JOBMILL_JOB_ID=1", "SyslogIdentifier=x", "KeyringMode=shared", "NoSuchProperty=1", "Requires=x.service",
    "memorymax=1G"])
def test_ours_and_unlisted_are_refused_for_root_too(shared, assignment):
    message = refused(shared, "PropertyNotAllowed", "Submit", "", ["/bin/true"], {"properties": [assignment]})
    assert assignment.split("=")[0] in message


BAD_FILTERS = [("nonsense", "x"), ("state", "sleeping"), ("result", "great"), ("owner", dbus.String("root")),
               ("ids", dbus.String("1")), ("dead", dbus.UInt32(1)), ("order", "sideways"), ("state", []),
               ("queue", dbus.UInt32(1))]


@pytest.mark.parametrize("key, value", BAD_FILTERS, ids=["%s-%d" % (k, i) for i, (k, _) in enumerate(BAD_FILTERS)])
def test_invalid_filter(shared, key, value):
    assert key in refused(shared, "InvalidFilter", "ListJobs", {key: value}, "", 10)


@pytest.mark.parametrize("cursor", ["x", "-1", "1", "9999999999999999999999", "\n", "1:2:3:4:5:6"])
def test_cursor_that_is_none(shared, cursor):
    try:
        jobs, _ = shared.call("ListJobs", {}, cursor, 10)
    except client.BusError as e:
        assert e.short == "InvalidFilter"
    else:
        assert isinstance(jobs, list)  # happens to be one


def test_purge_wants_a_filter(shared):
    refused(shared, "InvalidFilter", "PurgeJobs", {})
    refused(shared, "InvalidFilter", "PurgeJobs", {"order": "newest"})


def test_job_finished(shared):
    for member in ("CancelJob", "HoldJob", "ReleaseJob"):
        refused(shared, "JobFinished", member, shared.done)


def test_job_not_finished(shared):
    refused(shared, "JobNotFinished", "RetryJob", shared.held, {})
    refused(shared, "JobNotFinished", "RetryJob", shared.live, {})


def test_retry_knows_no_options(shared):
    assert "slots" in refused(shared, "InvalidSpec", "RetryJob", shared.done, {"slots": 2})


def test_job_live(shared):
    refused(shared, "JobLive", "HoldJob", shared.live)


def test_job_not_running(shared):
    refused(shared, "JobNotRunning", "KillJob", shared.held, 15)
    refused(shared, "JobNotRunning", "KillJob", shared.done, 15)


@pytest.mark.parametrize("signo", [0, -1, 65, 2**31 - 1])
def test_kill_with_no_signal(shared, signo):
    refused(shared, "org.freedesktop.DBus.Error.InvalidArgs", "KillJob", shared.live, signo)


def test_queue_draining(shared):
    assert "closed" in refused(shared, "QueueDraining", "Submit", "closed", ["/bin/true"], {})


def test_more_slots_than_the_queue_has(shared):
    assert "small" in refused(shared, "InvalidSpec", "Submit", "small", ["/bin/true"], {"slots": 3})


def test_wrong_arguments_are_the_buss_error(shared, session_client):
    with pytest.raises(client.BusError) as e:
        session_client.raw(client.NAME, client.PATH, client.MANAGER, "CancelJob", "s", "1")
    assert e.value.name.startswith("org.freedesktop.DBus.Error.")
    with pytest.raises(client.BusError) as e:
        session_client.raw(client.NAME, client.PATH, client.MANAGER, "NoSuchMethod", "")
    assert e.value.name == "org.freedesktop.DBus.Error.UnknownMethod"


@pytest.mark.parametrize("path", ["/org/jobmill1/job/987654", "/org/jobmill1/job/x", "/org/jobmill1/job/0",
                                  "/org/jobmill1/job/01", "/org/jobmill1/queue/nope", "/org/jobmill1/queue/_"])
def test_objects_that_are_not_there(shared, session_client, path):
    interface = client.NAME + (".Job" if "/job/" in path else ".Queue")
    with pytest.raises(client.BusError) as e:
        session_client.get_all(path, interface)
    assert e.value.name.startswith("org.freedesktop.DBus.Error.Unknown")


def test_properties_are_read_only(shared, session_client):
    with pytest.raises(client.BusError) as e:
        session_client.raw(client.NAME, client.PATH + "/job/%d" % shared.held, "org.freedesktop.DBus.Properties", "Set",
                           "ssv", client.NAME + ".Job", "Priority", dbus.Int32(5))
    assert e.value.name in ("org.freedesktop.DBus.Error.PropertyReadOnly", "org.freedesktop.DBus.Error.AccessDenied")
