# SPDX-License-Identifier: LGPL-2.1-or-later
"""The socket: the same rules and answers as the bus, in the order of the calls; what is no call; who does not read; who is too many."""

import fcntl
import json
import os
import pathlib
import pwd
import re
import shutil
import socket
import sqlite3
import struct
import subprocess
import sys
import termios
import threading
import time

import pytest

import varlink
from conftest import ROOT, until

IDL = (ROOT / "src/api/org.jobmill.varlink").read_text()
JOB = {"argv": ["/bin/true"]}


@pytest.fixture
def sock(mill):
    mill.listen()
    return mill.start()


def refused(connection, short, method, **parameters):
    with pytest.raises(varlink.VarlinkError) as e:
        connection.call(method, **parameters)
    assert e.value.short == short, e.value
    return e.value


def closed(connection):
    """What it was told before it was closed."""
    last = None
    while True:
        try:
            reply = connection.read()
        except ConnectionResetError:
            return last
        if reply is None:
            return last
        last = reply


def fds(mill):
    return len(os.listdir("/proc/%d/fd" % mill.process.pid))


def members(kind):
    return re.findall(r"^%s (\w+)" % kind, IDL, re.M)


# ---- what it can ----

def test_introspection(sock):
    data = b"".join(varlink.Connection.message("org.varlink.service.GetInfo") for _ in range(3))
    with sock.connect() as c:  # byte by byte
        for i in range(len(data)):
            c.socket.sendall(data[i:i + 1])
        assert [c.answer()["product"] for _ in range(3)] == ["jobmilld"] * 3
    with sock.connect() as c:
        info = c.call("org.varlink.service.GetInfo")
        assert info["interfaces"] == ["org.varlink.service", "org.jobmill"] and info["product"] == "jobmilld"
        for name in info["interfaces"]:
            text = c.call("org.varlink.service.GetInterfaceDescription", interface=name)["description"]
            assert text == (ROOT / "src/api" / (name + ".varlink")).read_text()
        assert refused(c, "InterfaceNotFound", "org.varlink.service.GetInterfaceDescription",
                       interface="org.x").parameters == {"interface": "org.x"}
        assert refused(c, "MethodNotFound", "Fly").parameters == {"method": "org.jobmill.Fly"}
        assert refused(c, "InterfaceNotFound", "org.jobmil.Get").parameters == {"interface": "org.jobmil"}
        assert refused(c, "InvalidParameter", "Get", id=1, why=2).parameters == {"parameter": "why"}
        for key in ("", " ", " id", "id "):
            assert refused(c, "InvalidParameter", "Get", **{key: 1}).parameters == {"parameter": key}
        assert refused(c, "InvalidParameter", "Get", id="1").parameters == {"parameter": "id"}
        assert refused(c, "InvalidParameter", "Get").parameters == {"parameter": "id"}


def test_description_is_what_there_is(sock):
    """Each method of the description is there and knows the parameters that it names; no error is missing."""
    with sock.connect() as c:
        for name, parameters in re.findall(r"^method (\w+)\((.*?)\)", IDL, re.M):
            names = re.findall(r"(\w+):", parameters)
            refused(c, "InvalidParameter", name, **{n: [] for n in names}, zzz=1)
            for n in names: # a name that it does not know would be refused by that
                c.send(name, {n: 1.5})
                reply = c.read()
                assert reply.get("parameters", {}).get("parameter") in (None, n, *names), (name, n, reply)
    table = (ROOT / "src/api/varlink.c").read_text()
    assert re.findall(r'^        { "(\w+)", " .*?", handle_', table, re.M)[:len(members("method"))] == members("method")
    known = set(re.findall(r'JOBMILL_ERROR_PREFIX "(\w+)"', (ROOT / "src/api/protocol.h").read_text()))
    assert set(members("error")) <= known


def test_spec_of_description_is_the_table():
    body = re.search(r"^type Spec \((.*?)^\)", IDL, re.M | re.S)[1]
    names = re.findall(r"^  (\w+):", body, re.M)
    table = (ROOT / "src/queue/spec.c").read_text()
    table = table[table.index("FIELD(name,"):]
    fields = re.findall(r'FIELD\((\w+), SPEC_|\.name = "(\w+)", \.type', table)
    ours = {"type_version", "type_rules"}  # SPEC_OURS
    assert sorted(names) == sorted({"queue", "payload_base64", "credentials_base64", *(a or b for a, b in fields)} - ours)


def test_submit_wait_get(sock):
    with sock.connect() as c:
        id_ = c.call("Submit", job={**JOB, "name": "a\"\u00fc", "tags": {"k": "v"}})["id"]
        end = c.call("Wait", id=id_)
        assert (end["state"], end["result"]) == ("done", "success") and end["outcome"]["attempt"] == 1
        job = c.call("Get", id=id_)["job"]
        over_bus = sock.info(id_)
        assert job["name"] == "a\"\u00fc" and job["argv"] == ["/bin/true"] and job["tags"] == {"k": "v"}
        assert set(job) == set(over_bus) and all(job[k] == over_bus[k] for k in job)
        assert c.call("Wait", id=id_, timeout_usec=0)["state"] == "done"
        assert refused(c, "NoSuchJob", "Get", id=99).parameters == {"message": "There is no job 99"}
        refused(c, "NoSuchJob", "Wait", id=99)

        def agree():  # some numbers move on for a while, as when the unit is let go
            said, again = c.call("Statistics")["statistics"], sock.stats()
            assert said.keys() == again.keys()
            return all(said[k] == again[k] for k in said if not k.startswith("turn"))

        until(agree, 10, "both say the same")


def test_job_has_what_the_description_says(sock):
    """A job that has almost everything, as JSON."""
    known = set(re.findall(r"^  (\w+):", re.search(r"^type Job \((.*?)^\)", IDL, re.M | re.S)[1], re.M))
    with sock.connect() as c:
        first = c.call("Submit", job={**JOB, "hold": True})["id"]
        id_ = c.call("Submit", job={**JOB, "after": [[first, "end"]], "array": 2, "properties": ["Nice=3"], "cwd": "/",
                                    "deadline_usec": 2**52, "retry_on": ["signal"], "backoff_jitter": 0.5, "requeue_lost": True})["id"]
        job = c.call("Get", id=id_)["job"]
        assert job["after"] == [[first, "end"]] and job["array_states"] == {"waiting": 2} and job["properties"] == ["Nice=3"]
        assert set(job) <= known, set(job) - known
        c.call("Release", id=first)
        c.call("Wait", id=id_)
        job = c.call("Get", id=id_)["job"]
        assert set(job) <= known, set(job) - known
        assert job["slot_numbers"] == sock.info(id_)["slot_numbers"]


def test_submit_many_and_flow(sock):
    with sock.connect() as c:
        ids = c.call("SubmitMany", jobs=[{**JOB, "name": str(i)} for i in range(5)])["ids"]
        assert len(ids) == 5 and [c.call("Get", id=i)["job"]["name"] for i in ids] == list("01234")
        flow = c.call("SubmitFlow", flow={"jobs": [{"name": "b", "after": ["a"], **JOB}, {"name": "a", **JOB}]})
        assert set(flow["jobs"]) == {"a", "b"} and flow["jobs"]["a"] == flow["flow"] + 1
        assert c.call("Wait", id=flow["jobs"]["b"])["result"] == "success"
        assert "job 1: " in refused(c, "InvalidSpec", "SubmitMany", jobs=[JOB, {"argv": []}]).parameters["message"]
        refused(c, "InvalidSpec", "SubmitMany", jobs=[])
        refused(c, "InvalidSpec", "SubmitMany", jobs=[7])
        refused(c, "InvalidParameter", "SubmitMany", jobs=7)
        refused(c, "CycleInFlow", "SubmitFlow", flow={"jobs": [{"name": "a", "after": ["a"], **JOB}]})
        assert "'nam'" in refused(c, "InvalidSpec", "Submit", job={**JOB, "nam": 1}).parameters["message"]
        refused(c, "NoSuchQueue", "Submit", job={**JOB, "queue": "none"})
        assert c.call("Submit", job={**JOB, "request_id": "r"}) == c.call("Submit", job={**JOB, "request_id": "r"})


def test_control(sock):
    with sock.connect() as c:
        id_ = c.call("Submit", job={"argv": ["/bin/sh", "-c", "exit 3"], "hold": True})["id"]
        assert sock.state(id_) == "held"
        c.call("Release", id=id_)
        assert c.call("Wait", id=id_)["result"] == "exit-code"
        c.call("Retry", id=id_, max_attempts=1, delay_usec=0)
        assert c.call("Wait", id=id_)["outcome"]["attempt"] == 2
        refused(c, "JobFinished", "Cancel", id=id_)
        assert refused(c, "InvalidSpec", "Retry", id=id_, max_attempts="x").parameters["message"]
        id_ = c.call("Submit", job=JOB | {"delay_usec": 10**12})["id"]
        c.call("Hold", id=id_)
        c.call("Cancel", id=id_)
        assert c.call("Wait", id=id_)["result"] == "cancelled"


def test_list(sock):
    with sock.connect() as c:
        ids = c.call("SubmitMany", jobs=[{**JOB, "hold": True, "tags": {"n": str(i % 2)}} for i in range(5)])["ids"]
        page = c.call("List", filter={"state": ["held"], "order": "oldest", "fields": ["id"]}, limit=3)
        assert page["jobs"] == [{"id": i} for i in ids[:3]]
        page = c.call("List", filter={"state": "held", "order": "oldest", "fields": ["id"]}, limit=3, cursor=page["next"])
        assert page["jobs"] == [{"id": i} for i in ids[3:]] and "next" not in page
        for f, expected in [({"ids": ids[:2]}, 2), ({"tags": {"n": "1"}}, 2), ({"queue": ["default"], "owner": [os.getuid()]}, 5),
                            ({"owner": os.getuid() + 1}, 0), ({"dead": False}, 5), ({"dead": True}, 0), ({"since_usec": 1}, 5),
                            ({"name": None}, 5), ({}, 5)]:
            assert len(c.call("List", filter=f)["jobs"]) == expected, f
        assert len(c.call("List")["jobs"]) == 5
        for f in ({"states": 1}, {"state": "flying"}, {"ids": []}, {"ids": 1}, {"ids": ["1"]}, {"tags": ["n"]}, {"dead": 1}, {"array": 0},
                  {"order": "x"}, {"name": ["a"]}, {"owner": -1}, {"queue": 1}, {"tags": {"a": 1}}, {"ids": [1] * 100001}):
            refused(c, "InvalidFilter", "List", filter=f)
        refused(c, "InvalidParameter", "List", filter=[])
        refused(c, "InvalidFilter", "List", cursor="x")


def test_list_of_what_is_long_as_text(sock):
    """Pages end by what is sent, which may be six times as long as what is stored."""
    with sock.connect() as c:
        l = [c.call("Submit", job={"argv": ["/bin/true", "\1" * 60000], "hold": True})["id"] for _ in range(13)]
        got, page = [], {"next": ""}
        while "next" in page:
            c.send("List", {"filter": {"order": "oldest", "fields": ["id", "argv"]}, "cursor": page["next"]})
            page = (reply := c.read())["parameters"]
            assert len(json.dumps(reply)) < (4 << 20) + 400000
            got += [j["id"] for j in page["jobs"]]
        assert got == l


# ---- order ----

def test_pipelined(sock):
    """1,000 calls in one go: as many answers, in order; they share commits."""
    with sock.connect() as c:
        c.socket.sendall(b"".join(c.message("Submit", {"job": {**JOB, "hold": True, "name": str(i)}}) for i in range(1000)))
        ids = [c.answer()["id"] for _ in range(1000)]
        assert ids == list(range(ids[0], ids[0] + 1000))
        assert c.call("Get", id=ids[7])["job"]["name"] == "7"


def test_order_of_answers(sock):
    """What fails at once, and what only looks, waits behind what has to be recorded; and sees it."""
    with sock.connect() as c:
        id_ = c.call("Submit", job={**JOB, "hold": True})["id"]
        names = ("Cancel", "Get", "Retry", "Fly", "Get", "Cancel", "Statistics", "Wait")
        c.socket.sendall(b"".join(c.message(name, {} if name == "Statistics" else {"id": id_}) for name in names))
        got = [c.read() for _ in range(8)]
        assert got[0] == {"parameters": {}}
        assert got[1]["parameters"]["job"]["state"] == "done"
        assert got[2] == {"parameters": {}} and got[3]["error"] == "org.varlink.service.MethodNotFound"
        assert got[4]["parameters"]["job"]["state"] != "held" and got[6]["parameters"]["statistics"]
        assert got[7]["parameters"]["state"] == "done"


def test_many_refused_behind_a_change(sock):
    """However much they say that has to wait for the commit."""
    name = "x" * 10000
    with sock.connect() as c:
        c.send("Submit", {"job": {**JOB, "hold": True}})
        data = c.message("Cancel", {"id": 99}) * 1500 + c.message(name) * 150 + c.message("Cancel", {"id": 1}) + c.message("Get", {"id": 1})
        threading.Thread(target=c.socket.sendall, args=[data], daemon=True).start()
        assert c.answer() == {"id": 1}
        for _ in range(1500):
            assert c.read()["error"] == "org.jobmill.NoSuchJob"
        for _ in range(150):
            assert c.read()["parameters"] == {"method": "org.jobmill." + name}
        assert c.answer() == {} and c.answer()["job"]["state"] == "done"


def test_wait_holds_up_its_connection_only(sock):
    with sock.connect() as c, sock.connect() as other:
        id_ = c.call("Submit", job={**JOB, "hold": True})["id"]
        c.send("Wait", {"id": id_})
        c.send("Get", {"id": id_})
        assert other.call("Get", id=id_)["job"]["state"] == "held"
        other.call("Release", id=id_)
        assert c.answer()["result"] == "success"
        assert c.answer()["job"]["state"] == "done"


def test_oneway_and_half_closed(sock):
    with sock.connect() as c:
        c.send("Submit", {"job": {**JOB, "hold": True}}, oneway=True)
        c.send("Submit", {"job": {}}, oneway=True)
        c.send("Fly", oneway=True)
        c.send("Get", {"id": 1}, oneway=True)
        assert c.call("Get", id=1)["job"]["state"] == "held"
    with sock.connect() as c:  # who sends no more has his answers still
        c.send("Submit", {"job": JOB})
        c.send("Wait", {"id": 2})
        c.socket.shutdown(socket.SHUT_WR)
        assert c.answer() == {"id": 2} and c.answer()["result"] == "success" and c.read() is None


def test_gone_in_the_middle(sock):
    """What he asked for is done all the same, and nothing of him is left."""
    sock.settled()
    with sock.connect() as other:
        before = other.call("Statistics") and fds(sock)
        for _ in range(20):
            c = sock.connect()
            c.send("Submit", {"job": {**JOB, "hold": True}})
            c.send("Wait", {"id": 1})
            c.socket.sendall(b'{"method":')
            c.close()
        until(lambda: other.call("Statistics")["statistics"]["held"] == 20, 5, "jobs of who has gone")
        until(lambda: fds(sock) <= before, 5, "connections closed")


# ---- what is none ----

NO_MESSAGES = [b"\0", b"\0" * 100000, b"x\0", b"{\0", b"[]\0", b"{}\0", b'{"method":1}\0', b'{"method":"a","parameters":[]}\0',
               b'{"method":"a","more":1}\0', b'{"method":"a","x":1}\0', b'{"method":"a\xff"}\0', b'{"method":"a"}{}\0', b'{"method":"org.jobmill.Statistics\\u0000"}\0',
               b'{"a":' * 40 + b"1" + b"}" * 40 + b"\0", b"GET / HTTP/1.1\r\n\r\n\0"]


def test_no_message(sock):
    """What came before is answered, then it is told what was wrong, and what comes behind it is not read."""
    for n, data in enumerate(NO_MESSAGES, 1):
        with sock.connect() as c, sock.connect() as other:
            c.send("Submit", {"job": {**JOB, "hold": True}})
            c.socket.sendall(data + c.message("Submit", {"job": JOB}))
            assert c.answer()["id"] == n
            assert closed(c)["error"] == "org.jobmill.InvalidMessage", data
            assert other.call("Statistics")["statistics"]["held"] == n


def test_limit_of_a_message(mill):
    (mill.folder / "config/jobmill.conf").write_text("[Daemon]\nSocketMessageMax=64K\nSocketBuffersPerUserMax=1M\n")
    mill.listen()
    mill.start()
    frame = b'{"method":"org.jobmill.Submit","parameters":{"job":{"argv":["/bin/true"],"hold":true,"payload":"%s"}}}'
    room = 65536 - len(frame) + 2
    with mill.connect() as c:
        c.socket.sendall(frame % (b"x" * room) + b"\0")
        assert c.answer() == {"id": 1}
        c.socket.sendall(frame % (b"x" * (room + 1)) + b"\0")
        assert closed(c)["error"] == "org.jobmill.TooMany"
    with mill.connect() as c: # and one that never ends
        try:
            for _ in range(1000):
                c.socket.sendall(b" " * 65536)
        except (BrokenPipeError, ConnectionResetError):
            pass
        else:
            assert False, "all of it was taken"


def test_bomb(sock):
    """Little JSON that would take much memory."""
    with sock.connect() as c:
        data = b'{"method":"org.jobmill.Submit","parameters":{"job":{"argv":[' + b"{}," * 1500000 + b"{}]}}}\0"
        before = rss(sock)
        try:
            c.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            pass
        assert closed(c)["error"] == "org.jobmill.TooMany"
        assert rss(sock) < before + 32 * 1024


def rss(mill):
    """In KiB; 0 with AddressSanitizer, which keeps what is freed."""
    if "libasan" in pathlib.Path("/proc/%d/maps" % mill.process.pid).read_text():
        return 0
    return int(re.search(r"VmRSS:\s+(\d+)", pathlib.Path("/proc/%d/status" % mill.process.pid).read_text())[1])


# ---- who does not read, who is too many ----

def test_does_not_read(sock):
    """He is not read from, others are, and it takes no more memory."""
    with sock.connect() as c, sock.connect() as other:
        other.call("SubmitMany", jobs=[{**JOB, "hold": True, "name": "x" * 100} for _ in range(1000)])
        c.socket.setblocking(False)
        before = rss(sock)
        sent, stuck = 0, 0
        data = c.message("List") * 1000
        while stuck < 50:
            try:
                sent += c.socket.send(data[sent % len(data):])
                stuck = 0
            except BlockingIOError:
                stuck += 1
                time.sleep(0.002)
        assert sent < 4 << 20
        assert other.call("Get", id=1)["job"]["state"] == "held"
        assert rss(sock) < before + 16 * 1024
        c.socket.settimeout(30)
        for _ in range(10):
            assert len(c.answer()["jobs"]) == 1000


FLOODS = [
    "s = connect()\nwhile True: s.sendall(b'{\"method\":\"a.b\",\"oneway\":true}\\0' * 4000)",
    "s = connect()\nwhile True:\n s.sendall(b'{\"method\":\"org.jobmill.List\"}\\0' * 300)\n n = 0\n while n < 300: n += s.recv(65536).count(b'\\0')",
    "while True:\n s = connect()\n for _ in range(100): s.sendall(b' ' * 65536)",
    "while True: connect().close()",
]


def test_floods(sock):
    """Whatever some send as fast as they can: what others want is recorded, and started."""
    code = "import socket, sys\n" \
           "def connect():\n s = socket.socket(socket.AF_UNIX)\n s.connect(sys.argv[1])\n return s\nconnect().close()\nprint(flush=True)\n"
    c = sock.connect()
    l = [subprocess.Popen([sys.executable, "-S", "-c", code + f, sock.socket_path], stdout=subprocess.PIPE) for f in [FLOODS[0], FLOODS[0], *FLOODS]]
    try:
        for p in l:
            p.stdout.readline()
        assert c.call("Wait", id=c.call("Submit", job=JOB)["id"])["result"] == "success"
        assert [p.poll() for p in l[:3]] == [None] * 3
    finally:
        c.close()
        for p in l:
            p.kill()
            p.communicate()


def test_limits_of_connections(mill):
    (mill.folder / "config/jobmill.conf").write_text("[Daemon]\nSocketConnectionsMax=16\n")
    mill.listen()
    mill.start()
    l = [mill.connect() for _ in range(16)]
    assert [c.call("org.varlink.service.GetInfo")["product"] for c in l] == ["jobmilld"] * 16
    with mill.connect() as c:
        assert closed(c)["parameters"]["message"] == "Too many connections (SocketConnectionsMax=)"
    l.pop().close()
    until(lambda: can_call(mill), 5, "room again")
    for c in l:
        c.close()


def can_call(mill):
    with mill.connect() as c:
        reply = closed_or_answer(c)
        return "error" not in reply


def closed_or_answer(c):
    try:
        c.send("org.varlink.service.GetInfo")
    except BrokenPipeError:
        pass
    return c.read()


@pytest.mark.root
def test_rights(sock):
    """Of another user's job he has what everybody may know; what polkit would have to allow is not allowed."""
    daemon = pwd.getpwnam("daemon").pw_uid
    sock.folder.chmod(0o755)

    def call(method, **parameters):
        return varlink.call_as(daemon, sock.socket_path, method, parameters)

    with sock.connect() as c:
        mine = c.call("Submit", job={**JOB, "hold": True, "name": "secret"})["id"]
        # AllowUsers=* means users, which daemon is not
        assert call("Submit", job=JOB)["error"] == "org.jobmill.NotAllowed"
        job = call("Get", id=mine)["parameters"]["job"]
        assert job["state"] == "held" and "name" not in job and "argv" not in job
        assert [j for j in call("List")["parameters"]["jobs"] if "name" in j] == []
        assert call("Cancel", id=mine)["error"] == "org.jobmill.NotAllowed"
        assert call("Hold", id=mine)["error"] == "org.jobmill.NotAllowed"
        sock.queue("theirs", AllowUsers="daemon")
        sock.call("Reload")
        his = call("Submit", job={**JOB, "hold": True, "queue": "theirs"})["parameters"]["id"]
        assert sock.info(his)["owner"] == daemon
        assert call("Submit", job={**JOB, "queue": "theirs", "uid": 0})["error"] == "org.jobmill.NotAllowed"
        assert call("Submit", job={**JOB, "queue": "theirs", "properties": ["User=root"]})["error"] in ("org.jobmill.NotAllowed",
                                                                                                       "org.jobmill.PropertyNotAllowed")
        assert call("Submit", job={**JOB, "queue": "theirs", "after": [[mine, "end"]]})["error"] == "org.jobmill.NotAllowed"
        assert call("Cancel", id=his) == {"parameters": {}}
        c.call("Cancel", id=mine)


@pytest.mark.root
def test_limit_of_answers_of_a_user(mill):
    """Nobody takes memory by many connections that he does not read; others are not concerned."""
    (mill.folder / "config/jobmill.conf").write_text("[Daemon]\nSocketBuffersPerUserMax=1M\nListPageMax=2000\n")
    mill.listen()
    mill.start()
    mill.folder.chmod(0o755)
    with mill.connect() as root:
        root.call("SubmitMany", jobs=[{**JOB, "hold": True}] * 2000)
        os.seteuid(pwd.getpwnam("daemon").pw_uid)
        try:
            l = [mill.connect() for _ in range(12)]
        finally:
            os.seteuid(0)
        for c in l:
            c.socket.sendall(c.message("List") * 3)
        until(lambda: all(unread(c) for c in l), 10, "the first answer of each")
        refusals = [r for r in (closed_after_answers(c) for c in l) if r]
        assert refusals and all("nobody reads" in r["parameters"]["message"] for r in refusals)
        for c in l:
            c.close()


def unread(c):
    return struct.unpack("i", fcntl.ioctl(c.socket, termios.FIONREAD, b"\0" * 4))[0]


def closed_after_answers(c):
    """The error that ended it; None: all was answered."""
    for _ in range(3):
        if "error" in (reply := c.read()):
            assert c.read() is None
            return reply
    return None


@pytest.mark.root
def test_limit_of_connections_of_a_user(mill):
    (mill.folder / "config/jobmill.conf").write_text("[Daemon]\nSocketConnectionsPerUserMax=1\n")
    mill.listen()
    mill.start()
    mill.folder.chmod(0o755)
    daemon = pwd.getpwnam("daemon").pw_uid
    os.seteuid(daemon)
    try:
        c = mill.connect()
    finally:
        os.seteuid(0)
    try:
        assert c.call("org.varlink.service.GetInfo")
        assert varlink.call_as(daemon, mill.socket_path, "Statistics", {})["error"] == "org.jobmill.TooMany"
        with mill.connect() as root:
            assert root.call("Statistics")
    finally:
        c.close()
    until(lambda: "error" not in varlink.call_as(daemon, mill.socket_path, "Statistics", {}), 5, "room again")


# ---- events ----

def story(events, id_):
    return [(e["state"], e["attempt"], e.get("result")) for e in events if e["id"] == id_]


def read_until(c, id_, state="done"):
    events = []
    while not any(e["id"] == id_ and e["state"] == state for e in events):
        reply = c.read()
        assert reply["continues"] is True
        events += reply["parameters"]["events"]
    return events


LIFE = [("ready", 0, None), ("starting", 1, None), ("running", 1, None), ("done", 1, "success")]


def test_events_as_they_come(sock):
    with sock.connect() as c, sock.connect() as other:
        other.call("Submit", job={**JOB, "hold": True})
        c.send("Events", more=True)
        first = c.read()
        assert first["parameters"]["events"] == [] and first["continues"] and first["parameters"]["last"] > 0
        id_ = other.call("Submit", job=JOB)["id"]
        events = read_until(c, id_)
        told = story(events, id_)
        assert told == [e for e in LIFE if e in told] and told[-1] == LIFE[-1] and len(told) >= 3
        assert events[0]["new"] is True and events[0]["owner"] == os.getuid() and events[0]["queue"] == "default"
        numbers = [e["number"] for e in events]
        assert numbers == sorted(set(numbers)) and numbers[0] > first["parameters"]["last"]


def test_events_are_resumed(sock):
    """From any number on the same events come, also from the next daemon."""
    with sock.connect() as c:
        ids = c.call("SubmitMany", jobs=[JOB] * 3)["ids"]
        for i in ids:
            c.call("Wait", id=i)
        all_ = c.call("Events", after=0)["events"]
        assert len(all_) > 3, "more than what one commit made"
        while (page := c.call("Events", after=all_[-1]["number"]))["events"]:
            all_ += page["events"]
        assert page["last"] == all_[-1]["number"]
        for i in ids:
            assert story(all_, i)[-1] == LIFE[-1]
    sock.restart()
    sock.settled()
    with sock.connect() as c:
        assert c.call("Events") == {"events": [], "last": all_[-1]["number"]}
        for k in range(len(all_)):
            got = []
            after = all_[k]["number"]
            while len(got) < len(all_) - k - 1:
                got += (page := c.call("Events", after=after))["events"]
                after = page["last"]
            assert got == all_[k + 1:]
        id_ = c.call("Submit", job={**JOB, "hold": True})["id"]
        new = c.call("Events", after=all_[-1]["number"])["events"]
        assert story(new, id_) == [("held", 0, None)] and new[0]["number"] > all_[-1]["number"]


def test_events_that_are_lost(mill):
    (mill.folder / "config/jobmill.conf").write_text("[Daemon]\nEventsMax=1000\n")
    mill.listen()
    mill.start()
    with mill.connect() as c:
        c.call("SubmitMany", jobs=[{**JOB, "hold": True}] * 1500)
        c.call("SubmitMany", jobs=[{**JOB, "hold": True}] * 1500)
        kept = c.call("Events", after=0)
        assert kept["events"][0]["id"] > 1
        e = refused(c, "EventsLost", "Events", after=kept["events"][0]["number"] - 2)
        last = e.parameters["last"]
        assert "are kept" in e.parameters["message"] and c.call("Events", after=last) == {"events": [], "last": last}
        assert c.call("Events", after=kept["events"][0]["number"] - 1) == kept
        refused(c, "EventsLost", "Events", after=last + 1)
        mill.restart()
    with mill.connect() as c:
        refused(c, "EventsLost", "Events", after=kept["events"][0]["number"] - 2)
        assert c.call("Events", after=kept["events"][0]["number"] - 1) == kept


def test_events_that_cannot_be_read(sock):
    with sock.connect() as c:
        c.call("SubmitMany", jobs=[{**JOB, "hold": True}] * 3)
        first = c.call("Events", after=0)["events"][0]["number"]
    sock.stop()
    with sqlite3.connect(next(sock.folder.rglob("jobmill.db"))) as db:
        assert db.execute("UPDATE event SET events = 'x' WHERE first = ?", [first]).rowcount == 1
    db.close()
    sock.start()
    with sock.connect() as c:
        assert "cannot be read" in refused(c, "StorageError", "Events", after=first).parameters["message"]
        assert c.call("Get", id=1)["job"]["state"] == "held"


def test_events_for_who_does_not_read(mill):
    """He has them later, as long as they are kept; then he is told so, and his connection can be used again."""
    (mill.folder / "config/jobmill.conf").write_text("[Daemon]\nEventsMax=1000\n")
    mill.listen()
    mill.start()
    with mill.connect() as slow, mill.connect() as c:
        slow.send("Events", more=True)
        assert slow.read()["continues"]
        before = rss(mill)
        for _ in range(9):
            c.call("SubmitMany", jobs=[{**JOB, "hold": True}] * 1000)
        assert rss(mill) < before + 48 * 1024
        numbers = []
        while "error" not in (reply := slow.read()):
            numbers += [e["number"] for e in reply["parameters"]["events"]]
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers))) and len(numbers) < 9000
        assert reply["error"] == "org.jobmill.EventsLost" and "continues" not in reply
        assert slow.call("Events", after=reply["parameters"]["last"])["events"] == []


def test_events_that_are_undone(sock, tmp_path):
    """By a copy of before: also who knows of later ones than there are is told so, whatever comes then. And by a repair, at once."""
    path = sock.folder / "state/jobmill.db"
    with sock.connect() as c:
        id_ = c.call("Submit", job={**JOB, "hold": True})["id"]
        before = c.call("Events")["last"]
    sock.stop()
    shutil.copy(path, tmp_path)
    sock.start()
    with sock.connect() as c:
        c.call("Cancel", id=id_)
        after = c.call("Events")["last"]
        assert after > before
    sock.stop()
    shutil.copy(tmp_path / "jobmill.db", path)
    db = sqlite3.connect(path)
    db.execute("UPDATE queue SET held = held + 1")
    db.commit()
    db.close()
    sock.start()
    with sock.connect() as c:
        for _ in range(2):
            last = refused(c, "EventsLost", "Events", after=after).parameters["last"]
            refused(c, "EventsLost", "Events", after=before)
            assert last > after
            assert c.call("Events", after=last)["events"] == []
            new = c.call("Submit", job={**JOB, "hold": True})["id"]
            assert [e["id"] for e in c.call("Events", after=last)["events"]] == [new]
        c.send("Events", more=True)
        last = c.read()["parameters"]["last"]
        assert [f["repaired"] for f in sock.call("Repair") if f["kind"] == "counters"] == [True]
        lost = c.read()
        assert lost["error"] == "org.jobmill.EventsLost" and lost["parameters"]["last"] > last
        assert c.call("Events", after=0)["events"] == []


# ---- its life ----

def test_restart(sock):
    """The socket outlives the daemon: who connects meanwhile is answered by the next."""
    with sock.connect() as c:
        c.call("Submit", job={**JOB, "hold": True})
        sock.kill()
        assert closed(c) is None
    with sock.connect() as c:
        c.send("Get", {"id": 1})
        sock.start()
        assert c.answer()["job"]["state"] == "held"
        c.send("Wait", {"id": 1})
        sock.stop()
        assert closed(c) is None


def test_other_descriptor(mill):
    """One that is no listening socket is closed, with a warning; the daemon works."""
    a, b = socket.socketpair()
    mill.listener = a
    mill.start()
    b.close()
    assert "none that we know" in mill.log_tail()
