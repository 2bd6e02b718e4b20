# SPDX-License-Identifier: LGPL-2.1-or-later
"""The limits of what one user has at a time, over all his connections: rows of the table in test_limits.py. root is none of whom there could be too
much, so most need another user."""

import contextlib
import json
import os
import pwd

import pytest

import client
import varlink
from conftest import until
from test_limits import JOB, Field, Refused, ask, at_and_beyond, counted, refusals, to_bus, to_json

DAEMON = pwd.getpwnam("daemon").pw_uid


def configured(mill, listen=False, **settings_):
    (mill.folder / "config/jobmill.conf").write_text("[Daemon]\n" + "".join("%s=%s\n" % kv for kv in settings_.items()))
    mill.queue("default", Slots=4, AllowUsers="* daemon bin")
    if listen:
        mill.folder.chmod(0o755)
        mill.listen()
    mill.start()
    mill.settled()


def refused(who, name, *call):
    with pytest.raises(client.BusError) as e:
        who.call(*call)
    assert e.value.short == name, e.value
    return e.value.message


@contextlib.contextmanager
def as_user(uid):
    os.seteuid(uid)
    try:
        yield
    finally:
        os.seteuid(0)


def as_daemon():
    return as_user(DAEMON)


@pytest.mark.root
@pytest.mark.parametrize("road", ["bus", "socket"])
def test_queued(mill, remotes, road):
    """MaxQueuedPerUser= of one, MaxQueued= of all; by Submit, SubmitMany and a flow."""
    configured(mill, True, MaxQueued=5, MaxQueuedPerUser=3)

    def submit(user, n):
        if road == "bus":
            return remotes(user).call("SubmitMany", [{"argv": ["true"], "hold": True}] * n)
        r = varlink.call_as(pwd.getpwnam(user).pw_uid, mill.socket_path, "SubmitMany", {"jobs": [JOB] * n})
        if "error" in r:
            raise client.BusError(client.ERROR + r["error"].rpartition(".")[2], r["parameters"]["message"])
        return r["parameters"]["ids"]

    def too_many(user, n):
        with pytest.raises(client.BusError) as e:
            submit(user, n)
        assert e.value.short == "QueueFull"
        return e.value.message

    assert "(MaxQueuedPerUser=)" in too_many("daemon", 4)
    assert submit("daemon", 3) == [1, 2, 3]
    assert "(MaxQueuedPerUser=)" in too_many("daemon", 1)
    assert "(MaxQueued=)" in too_many("bin", 3)
    assert submit("bin", 2) == [4, 5]
    assert "(MaxQueued=)" in too_many("bin", 1)
    assert mill.stats()["held"] == 5


def waiting(who, n, member, *call):
    """The refusals of so many calls that are not waited for."""
    return who.call("start", n, member, *call)


@pytest.mark.root
def test_calls_that_wait(mill, remotes):
    """PendingCallsPerUserMax=, for the end of a job; he may do anything else, and others wait as well."""
    configured(mill, PendingCallsPerUserMax=64)
    id_ = mill.submit("true", hold=True)
    daemon = remotes("daemon")
    assert waiting(daemon, 64, "WaitJob", id_, client.FOREVER) == []
    (name, text), = waiting(daemon, 1, "WaitJob", id_, client.FOREVER)
    assert name == client.ERROR + "TooMany" and "at most 64 may (PendingCallsPerUserMax=)" in text
    assert daemon.call("Submit", "", ["true"], {})
    assert waiting(remotes("bin"), 1, "WaitJob", id_, client.FOREVER) == []
    mill.call("CancelJob", id_)
    until(lambda: waiting(daemon, 64, "WaitJob", mill.submit("true", hold=True), client.FOREVER) == [], 5, "room again")


@pytest.mark.root
def test_size_of_calls_that_wait(mill, remotes, polkit):
    """PendingCallsSizePerUserMax=: an agent of his that asks nobody makes each of his calls wait, with all that is in it."""
    configured(mill, PendingCallsSizePerUserMax="1M")
    polkit.do("mode", mode="hang")
    daemon = remotes("daemon")
    call = ("Submit", "", ["true", "x" * 100000, "y" * 100000], {"uid": pwd.getpwnam("bin").pw_uid})  # 200 KB and a bit: five are not too many
    assert waiting(daemon, 5, *call) == []
    l = waiting(daemon, 3, *call)
    assert {name for name, _ in l} == {client.ERROR + "TooMany"} and len(l) == 3
    assert all("at most 1048576 bytes may be (PendingCallsSizePerUserMax=)" in text for _, text in l)
    assert waiting(daemon, 3, "Submit", "", ["true"], {"uid": pwd.getpwnam("bin").pw_uid}) == [], "small ones may"
    assert waiting(remotes("bin"), 5, *call[:3], {"uid": DAEMON}) == [], "another user may"
    assert daemon.call("Submit", "", ["true"], {})
    polkit.do("mode", mode="deny")
    daemon.close()
    until(lambda: waiting(remotes("daemon"), 5, *call) == [], 5, "room again")


@pytest.mark.root
def test_one_large_call_may_wait(mill, remotes, polkit):
    """However large it is: where there is no other."""
    configured(mill, PendingCallsSizePerUserMax="1M")
    polkit.do("mode", mode="hang")
    call = ("Submit", "", ["true"] + ["x" * 1000] * 1040, {"environment": ["A%d=%s" % (i, "y" * 1000) for i in range(900)], "uid": pwd.getpwnam("bin").pw_uid})
    assert waiting(remotes("daemon"), 1, *call) == []
    assert len(waiting(remotes("daemon"), 1, *call)) == 1


@pytest.mark.root
@pytest.mark.parametrize("what", ["lists", "counts"])
def test_what_takes_long(mill, address, what):
    """Of one user it is done once in a turn. He has asked for all of it, the bus has handed it on, and then comes another user."""
    configured(mill)
    mill.submit_many([["true"] + ["x" * 1000]] * 1000, hold=True)
    calls = {"lists": ("ListJobs", {}, "", 1000), "counts": ("CountJobs", {"owner": DAEMON, "tags": {"a": "b"}})}[what]
    made = []
    for user in ["bin"] + ["daemon"] * 4:
        with as_user(pwd.getpwnam(user).pw_uid):
            made.append(client.Client(address))
        made[-1].call("Submit", "", ["true"], {"hold": True})  # it is known who that is
    try:
        pending = [c.start(*calls, timeout=200) for c in made[1:] for _ in range(100)]  # more the bus does not let be unanswered
        assert all(c.has_owner() for c in made[1:])  # an answer of the bus, which has all of them by now
        before = sum(p.done for p in pending)
        made[0].call("Submit", "", ["true"], {"hold": True})
        done = sum(p.done for p in pending)
        assert done - before < 60 and not any("LimitsExceeded" in str(p.error) for p in pending), "%d and then %d calls of another user went before" % (before, done - before)
    finally:
        for c in made:
            c.close()


@pytest.mark.root
def test_open_logs(mill, remotes):
    """OpenLogsPerUserMax= of one, root too, OpenLogsMax= of all."""
    configured(mill, OpenLogsPerUserMax=2, OpenLogsMax=3)
    ids = [mill.submit("sleep 60"), remotes("daemon").call("Submit", "", ["/bin/sleep", "60"], {})[0]]
    fds = [mill.call("OpenLog", ids[0], "journal-follow") for _ in range(2)]
    assert "(OpenLogsPerUserMax=)" in refused(mill, "TooMany", "OpenLog", ids[0], "journal")
    (mill.folder / "config/jobmill.conf").write_text("[Daemon]\nOpenLogsPerUserMax=4\nOpenLogsMax=3\n")
    mill.call("Reload")
    fds.append(mill.call("OpenLog", ids[0], "journal-follow"))
    assert "(OpenLogsMax=)" in refused(mill, "TooMany", "OpenLog", ids[0], "journal")
    for fd in fds:
        os.close(fd.take())


def register_as_daemon(mill):
    with as_daemon():
        c = mill.connect()
    c.send("Register", {"protocol": 1, "queues": ["w"]}, more=True)
    return c, c.read()


@pytest.mark.root
def test_workers(mill):
    """WorkersPerUserMax= of one, WorkersMax= of all; this process is theirs, so they are there as long as it is."""
    mill.queue("w", Executor="worker", AllowUsers="* daemon")
    configured(mill, True, WorkersPerUserMax=2, WorkersMax=3)
    made = []
    try:
        for answer in ("token", "token", "(WorkersPerUserMax=)"):
            c, reply = register_as_daemon(mill)
            made.append(c)
            assert answer in json.dumps(reply), reply
        assert reply["error"] == "org.jobmill.TooMany"
        for answer in ("token", "(WorkersMax=)"):
            made.append(mill.connect())
            made[-1].send("Register", {"protocol": 1, "queues": ["w"]}, more=True)
            assert answer in json.dumps(made[-1].read())
        assert len(mill.call("ListWorkers")) == 3
    finally:
        for c in made:
            c.close()


SCHEDULE = {"OnCalendar": ["daily"], "Job": {"argv": ["/bin/true"]}}


@pytest.mark.root
def test_schedules(mill, remotes):
    """SchedulesPerUserMax="""
    configured(mill, SchedulesPerUserMax=2)
    for name in "ab":
        remotes("daemon").call("SetSchedule", name, SCHEDULE)
    assert "(SchedulesPerUserMax=)" in refused(remotes("daemon"), "TooMany", "SetSchedule", "c", SCHEDULE)
    remotes("daemon").call("SetSchedule", "b", SCHEDULE)
    remotes("bin").call("SetSchedule", "c", SCHEDULE)
    assert len(mill.call("ListSchedules")) == 3


@pytest.mark.root
def test_credentials(mill, remotes):
    """CredentialsPerUserMax=: files of one user's, in blocks of 4096, of all his jobs that are not done."""
    configured(mill, CredentialsPerUserMax="8K")
    submit = lambda user: remotes(user).call("Submit", "", ["true"], {"hold": True, "credentials": {"c": "x"}})[0]  # noqa: E731
    first, _ = submit("daemon"), submit("daemon")
    assert "(CredentialsPerUserMax=)" in refused(remotes("daemon"), "TooMany", "Submit", "", ["true"], {"hold": True, "credentials": {"c": ""}})
    submit("bin")
    remotes("daemon").call("CancelJob", first)
    submit("daemon")


@pytest.mark.root
def test_questions_about_times(mill, remotes, systemd):
    """Of schedules that wait for systemd to say whether it understands their times so few are asked about at a time that units can be started
    and stopped, and other users' schedules be set, as if they were not there."""
    configured(mill)
    systemd.fault("StartTransientUnit", "never", match="*jobmill-calendar-*")
    for i in range(50):
        assert remotes("daemon").call("start", 1, "SetSchedule", "s%d" % i, {**SCHEDULE, "OnCalendar": ["*:%d" % i]}) == []
    asked = lambda: sum("jobmill-calendar-" in str(c) for c in systemd.do("calls", method="StartTransientUnit"))  # noqa: E731
    until(lambda: asked() == 4, 5, asked)
    assert remotes("bin").call("start", 1, "SetSchedule", "other", SCHEDULE) == []
    until(lambda: asked() == 5, 5, asked)
    assert mill.result(mill.submit("true")) == "success"
    systemd.do("clear_faults")


@pytest.mark.root
def test_queues(mill):
    """QueuesMax=: so many may be made by calls; what stands in files of root's is there. What is there may be changed."""
    mill.queue("b", Slots=1)
    configured(mill, QueuesMax=3)
    mill.call("SetQueue", "c", {"Slots": "1"}, False)
    assert "(QueuesMax=)" in refused(mill, "TooMany", "SetQueue", "d", {"Slots": "1"}, False)
    assert {n for n, _ in mill.call("ListQueues")} == {"default", "b", "c"} and not list((mill.folder / "config/queues").glob("d*.queue.d"))
    mill.call("SetQueue", "c", {"Slots": "2"}, False)
    mill.call("RemoveQueue", "c")
    mill.call("SetQueue", "d", {"Slots": "1"}, True)


@pytest.mark.root
@pytest.mark.parametrize("road", ["bus", "socket"])
def test_request_ids(mill, remotes, road):
    """RequestIdsPerUserMax=: what is known is still answered, and without one he goes on."""
    configured(mill, True, RequestIdsPerUserMax=1000)
    with as_daemon():
        c = mill.connect()
    with c:
        for i in range(1000):
            c.send("Submit", {"job": {**JOB, "request_id": "r%d" % i}})
        ids = [c.answer()["id"] for _ in range(1000)]

        def submit(**more):
            with refusals():
                return remotes("daemon").call("Submit", "", ["true"], {"hold": True, **more})[0] if road == "bus" else c.call("Submit", job={**JOB, **more})["id"]

        with pytest.raises(Refused) as e:
            submit(request_id="one more")
        assert e.value.args[0] == "TooMany" and "(RequestIdsPerUserMax=)" in e.value.args[1]
        assert c.call("Submit", job={**JOB, "request_id": "r7"})["id"] == ids[7]
        assert submit() > ids[-1]
        assert mill.stats()["held"] == 1001


@pytest.mark.root
def test_connections(mill):
    """SocketConnectionsPerUserMax= of one, not of root, and SocketConnectionsMax= of all."""
    configured(mill, True, SocketConnectionsPerUserMax=3, SocketConnectionsMax=16)
    made = []
    try:
        with as_daemon():
            made += [mill.connect() for _ in range(4)]
        assert [c.call("Statistics")["statistics"]["held"] for c in made[:3]] == [0] * 3
        assert "(SocketConnectionsPerUserMax=)" in made[3].read()["parameters"]["message"] and made[3].read() is None
        made += [mill.connect() for _ in range(14)]
        assert [c.call("Statistics")["statistics"]["held"] for c in made[4:-1]] == [0] * 13
        assert "(SocketConnectionsMax=)" in made[-1].read()["parameters"]["message"]
    finally:
        for c in made:
            c.close()


@pytest.mark.root
@pytest.mark.parametrize("road", ["bus", "socket"])
def test_rows_of_a_page(mill, road):
    """ListPageMax=: who wants more goes on with the next page."""
    configured(mill, True, ListPageMax=10)
    mill.submit_many([["true"]] * 11, hold=True)
    rows, cursor = [], ""
    for n in (10, 1):
        if road == "bus":
            page, cursor = mill.call("ListJobs", {}, cursor, 11)
        else:
            with mill.connect() as c:
                reply = c.call("List", cursor=cursor, limit=11)
                page, cursor = reply["jobs"], reply.get("next", "")
        assert len(page) == n
        rows += page
    assert not cursor and len({j["id"] for j in rows}) == 11


def test_message(mill):
    """SocketMessageMax=, to the byte."""
    configured(mill, True, SocketMessageMax="64K")
    text = varlink.Connection.message("Submit", {"job": {**JOB, "payload": ""}})
    for n, good in ((65536, True), (65537, False)):
        with mill.connect() as c:
            c.socket.sendall(text.replace(b'"payload": ""', b'"payload": "%s"' % (b"x" * (n + 1 - len(text)))))
            reply = c.read()
            assert ("error" not in reply) == good, reply
            assert good or ("SocketMessageMax=" in reply["parameters"]["message"] and c.read() is None)
    assert mill.stats()["held"] == 1


@pytest.mark.parametrize("road", ["bus", "socket"])
def test_smaller_environment(mill, road):
    """EnvironmentMax="""
    configured(mill, True, EnvironmentMax="4K")
    row = Field("", "EnvironmentMax", 4096, lambda n: {"environment": ["A=" + "x" * (n - 3)]}, "")
    name, text, before = at_and_beyond(mill, row, lambda n: ask(mill, road, "SubmitMany", ([to_bus(row.spec(n))],), {"jobs": [to_json(row.spec(n))]}))
    assert name == "InvalidSpec" and "environment: 4097 bytes, at most 4096 are allowed here (EnvironmentMax=)" in text
    assert counted(mill) == before
