# SPDX-License-Identifier: LGPL-2.1-or-later
"""Job types: what a job of one gets, what its caller may give, what is refused by name, reload, the tool and the socket."""

import json
import pathlib
import shutil

import dbus
import pytest

import client
import varlink
from conftest import DAEMON, until
from tool import tool

HOUR = 3600 * 10**6


def job_file(mill, name, text, drop_in=None):
    path = mill.folder / "config/jobs" / (name + ".job")
    if drop_in:
        path = path.with_name(name + ".job.d") / drop_in
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def submit(who, type_, *words, queue="", **spec):
    return who.call("Submit", queue, list(words), {"type": type_, **spec})[0]


def refused(who, error, *call):
    with pytest.raises(client.BusError) as e:
        who.call(*call)
    assert e.value.short == error, e.value
    return e.value.message


def refuses(who, error, type_, *words, queue="", **spec):
    return refused(who, error, "Submit", queue, list(words), {"type": type_, **spec})


def types(mill):
    return {t["name"]: t for t in mill.call("ListTypes")}


ECHO = """[Job]
Version=3
Description=Says it again
Command=/bin/echo "two words"
Queue=cpu
Priority=7
TimeoutSec=1h
MaxAttempts=4
Stdout=spool
Environment=A=1 "B=x y"
[Service]
MemoryMax=1G
Nice=5
"""


@pytest.fixture
def echo(mill):
    mill.queue("cpu", Slots=4, AllowUsers="*", TimeoutSec="2h", Verify="verdict")
    job_file(mill, "echo", ECHO)
    return mill


def test_a_job_of_a_type(echo, systemd):
    echo.start()
    assert types(echo)["echo"] == {
        "name": "echo", "version": "3", "description": "Says it again", "queue": "cpu", "argv": ["/bin/echo", "two words"],
        "available": True, "properties": ["MemoryMax=1G", "Nice=5"], "files": [str(echo.folder / "config/jobs/echo.job")]}
    info = echo.info(submit(echo, "echo", "and", "more", hold=True, verify="exit"))
    assert (info["type"], info["type_version"], info["queue"]) == ("echo", "3", "cpu")
    assert info["argv"] == ["/bin/echo", "two words", "and", "more"]
    assert (info["priority"], info["timeout_usec"], info["max_attempts"]) == (7, HOUR, 4)
    assert "cwd" not in info and "properties" not in info

    # What is given wins, also where it is what would hold without the type; and the type goes before the queue.
    info = echo.info(submit(echo, "echo", hold=True, priority=0, max_attempts=1))
    assert (info["priority"], info["max_attempts"], info["stdout"], info["verify"]) == (0, 1, "spool", "verdict")

    id_ = submit(echo, "echo", verify="exit", environment=["B=mine"], name="run")
    assert echo.result(id_) == "success"
    preview = echo.call("PreviewUnit", "", [], {"type": "echo", "environment": ["B=mine"]})
    assert "MemoryMax=1073741824" in preview and "Nice=5" in preview and "JOBMILL_TYPE=echo" in preview


def test_lists_and_versions(echo):
    echo.start()
    first = submit(echo, "echo", hold=True)
    plain = echo.submit("true", "cpu", hold=True)
    job_file(echo, "echo", ECHO.replace("Version=3", "Version=4").replace("/bin/echo", "/bin/true"))
    job_file(echo, "other-type", "[Job]\nCommand=true\nQueue=cpu\n")
    echo.call("Reload")
    second, third = submit(echo, "echo", hold=True), submit(echo, "other-type", hold=True)

    # One that waits keeps what it was submitted with, also when its type goes.
    (echo.folder / "config/jobs/echo.job").unlink()
    echo.call("Reload")
    assert sorted(types(echo)) == ["other-type"]
    assert "no job type 'echo'" in refuses(echo, "NoSuchType", "echo")
    echo.restart()
    assert [echo.info(i).get("type_version") for i in (first, second, third, plain)] == ["3", "4", None, None]
    assert echo.info(first)["argv"][0] == "/bin/echo" and echo.info(third)["argv"][0].endswith("bin/true")
    assert {j["id"] for j in echo.jobs(type="echo")} == {first, second}
    assert {j["id"] for j in echo.jobs(type=["echo", "other-type"])} == {first, second, third}
    refused(echo, "InvalidFilter", "ListJobs", {"type": dbus.Array([], signature="s")}, "", 0)
    by_type = {r.get("type", ""): r["submitted"] for r in echo.call("GetReport", {}, "type")}
    assert by_type == {"": 1, "echo": 2, "other-type": 1}
    assert [r["submitted"] for r in echo.call("GetReport", {"type": "echo"}, "")] == [2]
    echo.call("UpdateJob", first, {"priority": 3, "verify": "exit"})
    echo.call("ReleaseJob", first)
    assert echo.result(first) == "success"
    refused(echo, "NotEditable", "UpdateJob", second, {"argv": ["/bin/false"]})


def test_what_is_refused_by_name(mill):
    job_file(mill, "contract", "[Job]\nCommand=true\nPayloadRequired=text:string n:integer\nPayloadOptional=deep:object flag:boolean\n")
    mill.start()
    good = {"text": "x", "n": 1, "more": None}

    def payload(value, error=None):
        data = value if isinstance(value, bytes) else json.dumps(value).encode()
        if error is None:
            return submit(mill, "contract", payload=data, hold=True)
        message = refuses(mill, "InvalidSpec", "contract", payload=data)
        assert error in message, message

    id_ = payload(good)
    payload({**good, "deep": {"a": [1]}, "flag": False})
    payload(b' {"\\u0074ext": "escaped", "n": -3}\n')
    payload({"n": 1}, "'text' is missing, which is a string")
    payload({"text": 1, "n": 1}, "'text' must be a string")
    payload({"text": "x", "n": 1.5}, "'n' must be an integer")
    payload({**good, "flag": "no"}, "'flag' must be true or false")
    payload({"inner": good}, "'text' is missing")
    payload([good], "not a JSON object")
    payload(b"{", "not a JSON object")
    payload(b'{"text": "x", "n": 1} x', "not a JSON object")
    payload(b'{"text": "\xff", "n": 1}', "not a JSON object")
    assert "'text' is missing" in refuses(mill, "InvalidSpec", "contract")
    assert "'text' must be" in refused(mill, "InvalidSpec", "UpdateJob", id_, {"payload": b'{"text": [], "n": 1}'})
    mill.call("UpdateJob", id_, {"payload": b'{"text": "y", "n": 2}'})

    refuses(mill, "NoSuchType", "nope")
    refuses(mill, "NoSuchType", "a" * 64)
    refuses(mill, "NoSuchType", "../contract")
    assert "argv" in refused(mill, "InvalidSpec", "Submit", "", [], {})
    assert "unknown key 'type_rules'" in refused(mill, "InvalidSpec", "Submit", "", ["/bin/true"], {"type_rules": dbus.Array(["Override=Nice"], signature="s")})
    assert "job 1: " in refused(mill, "NoSuchType", "SubmitMany", [client.entry("", ["/bin/true"]), client.entry("", [], type="nope")])


@pytest.mark.root
def test_a_privileged_type_takes_payload_and_tags_only(mill, remotes):
    backup = "[Job]\nCommand=/bin/true\nAllowUsers=daemon\n%s[Service]\nUser=nobody\n"
    job_file(mill, "backup", backup % "")
    mill.queue("default", Slots=4, AllowUsers="daemon bin")
    job_file(mill, "open", backup.replace("AllowUsers=daemon\n", "") % "")
    mill.start()
    user, other = remotes("daemon"), remotes("bin")
    open_ = types(mill)["open"]
    assert not open_["available"] and "AllowUsers=" in open_["reason"]
    assert "AllowUsers=" in refuses(user, "TypeUnavailable", "open")
    (mill.folder / "config/jobs/open.job").unlink()
    assert "does not take jobs of user bin" in refuses(other, "NotAllowed", "backup")

    id_ = submit(user, "backup", payload=[120], tags={"a": "b"}, request_id="one")
    assert mill.result(id_) == "success"
    assert mill.info(id_)["owner"] == 1  # the submitter
    for key, value in (("environment", ["LD_PRELOAD=/tmp/x"]), ("cwd", "/tmp"), ("properties", ["MemoryMax=1M"]), ("name", "x"),
                       ("timeout_usec", HOUR), ("output_file", "/tmp/x"), ("hold", True), ("after", [(id_, "end")])):
        assert "'%s'" % key in refuses(user, "NotAllowed", "backup", **{key: value})
    assert "'argv'" in refuses(user, "NotAllowed", "backup", "--delete")
    mill.queue("gpu", Slots=1, AllowUsers="daemon")
    job_file(mill, "backup", backup % "Accept=name hold queue\n")
    mill.call("Reload")
    assert "'queue'" not in str(submit(user, "backup", queue="gpu", name="x"))
    assert "'argv'" in refuses(user, "NotAllowed", "backup", "--delete", name="x")

    # What a job was submitted by holds for what becomes of it.
    id_ = submit(user, "backup", hold=True)
    user.call("UpdateJob", id_, {"name": "y", "tags": {"a": "b"}, "payload": [122]})
    user.call("MoveJob", id_, "gpu")
    for key, value in (("environment", ["A=1"]), ("cwd", "/tmp"), ("priority", 3), ("properties", ["MemoryMax=1M"])):
        assert "'%s'" % key in refused(user, "NotAllowed", "UpdateJob", id_, {key: value})
        assert "'%s'" % key in refused(user, "NotAllowed", "UpdateJobs", {"ids": [id_]}, {key: value})
    job_file(mill, "backup", "[Job]\nCommand=/bin/true\n")
    mill.call("Reload")
    refused(user, "NotAllowed", "UpdateJob", id_, {"cwd": "/tmp"})
    mill.call("UpdateJob", id_, {"priority": 3})  # root


@pytest.mark.root
def test_what_a_type_sets_is_only_made_stricter(mill, remotes):
    mill.queue("cpu", Slots=4, AllowUsers="daemon")
    mill.queue("cpu", "Service", "50.conf", MemoryMax="4G", CPUQuota="50%")
    mill.queue("cpu", "Queue", "60.conf", Override="MemoryMax CPUQuota")
    text = "[Job]\nCommand=/bin/true\nQueue=cpu\n%s[Service]\nMemoryMax=1G\nNice=5\n"
    job_file(mill, "tight", text % "")
    job_file(mill, "loose", text % "Override=MemoryMax\n")
    mill.start()
    user = remotes("daemon")

    def memory(type_, value):
        text = user.call("PreviewUnit", "", [], {"type": type_, "properties": ["MemoryMax=" + value]})
        return [line for line in text.splitlines() if line.startswith("MemoryMax=")]

    assert memory("tight", "512M") == ["MemoryMax=536870912"]
    assert memory("tight", "2G") == ["MemoryMax=1073741824"]  # the queue's Override= opens what the queue sets
    assert memory("loose", "2G") == ["MemoryMax=2147483648"]
    assert "CPUQuota=80%" in user.call("PreviewUnit", "", [], {"type": "tight", "properties": ["CPUQuota=80%"]})
    assert "Nice=5" in user.call("PreviewUnit", "", [], {"type": "tight", "properties": ["Nice=1"]})
    mill.queue("cpu", "Service", "50.conf", MemoryMax="4G", CPUQuota="50%", ProtectSystem="strict")
    mill.call("Reload")
    assert "its queue or its type restricts" in refuses(user, "PropertyNotAllowed", "tight", properties=["ReadWritePaths=/tmp"])


def test_a_sandbox_needs_a_unit(mill):
    """Nothing of what a type sets is left out silently."""
    mill.queue("served", Slots=4, AllowUsers="*", Executor="worker")
    mill.queue("pool", Slots=4, AllowUsers="*", Executor="pool")
    for queue in "served", "pool":
        job_file(mill, "plain-" + queue, "[Job]\nCommand=true\nQueue=%s\n" % queue)
        job_file(mill, "boxed-" + queue, "[Job]\nCommand=true\nQueue=%s\n[Service]\nPrivateTmp=yes\n" % queue)
        job_file(mill, "boxed", "[Job]\nCommand=true\n[Service]\nPrivateTmp=yes\n")
    mill.start()
    id_ = submit(mill, "boxed", hold=True)
    for queue in "served", "pool":
        assert mill.info(submit(mill, "plain-" + queue, hold=True))["type"] == "plain-" + queue
        assert "PrivateTmp= of the type" in refuses(mill, "PropertyNotAllowed", "boxed-" + queue)
        refused(mill, "PropertyNotAllowed", "MoveJob", id_, queue)


def test_what_a_type_needs(mill, systemd):
    job_file(mill, "cmd", "[Job]\nCommand=no-such-program --now\n")
    job_file(mill, "cmds", "[Job]\nCommand=true\nRequireCommands=sh no-such-program\n")
    job_file(mill, "path", "[Job]\nCommand=/usr/no/such/program\n")
    job_file(mill, "file", "[Job]\nCommand=true\nRequireFiles=/etc/passwd /etc/no-such-file\n")
    job_file(mill, "secret", "[Job]\nCommand=true\nAllowUsers=root\nRequireCredentials=no-such-credential\n")
    job_file(mill, "unit", "[Job]\nCommand=true\nRequireUnits=no-such.service\n")
    job_file(mill, "fine", "[Job]\nCommand=true\nRequireCommands=sh /bin/true\nRequireFiles=/etc/passwd\n")
    job_file(mill, "bad", "[Job]\nCommand=true\nTimeoutSec=soon\n")
    job_file(mill, "Name", "[Job]\nCommand=true\n")
    mill.start()
    until(lambda: not types(mill)["unit"]["available"], what="the manager said that there is no such unit")
    why = {n: t.get("reason") for n, t in types(mill).items()}
    assert why.pop("fine") is None
    assert "bad.job:3: [Job] TimeoutSec=: 'soon' is not allowed" in why.pop("bad")
    assert why == {"cmd": "command no-such-program is not in /usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                   "cmds": "command no-such-program is not in /usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                   "path": "command /usr/no/such/program is not there", "file": "file /etc/no-such-file is not there",
                   "secret": "credential no-such-credential is in no credential store (/etc/credstore, …)",
                   "unit": "unit no-such.service is not there"}
    for name, reason in why.items():
        assert "Job type '%s' cannot be used: %s" % (name, reason) == refuses(mill, "TypeUnavailable", name)
    assert mill.result(submit(mill, "fine")) == "success"

    # It is mended: a file, and reload.
    systemd.do("unit", name="no-such.service", active="inactive")
    job_file(mill, "file", "[Job]\nRequireFiles=\nRequireFiles=/etc/passwd\n", "50.conf")
    with pytest.raises(client.BusError) as e:
        mill.call("Reload")
    assert "TimeoutSec" in e.value.message or "Name.job" in e.value.message
    assert types(mill)["file"]["available"]
    until(lambda: types(mill)["unit"]["available"], what="the unit is there")

    # One that turns bad stays what it was.
    job_file(mill, "fine", "[Job]\nCommand=false\nNope=1\n")
    with pytest.raises(client.BusError):
        mill.call("Reload")
    assert types(mill)["fine"]["available"] and types(mill)["fine"]["argv"][0].endswith("bin/true")


def test_flow(echo):
    echo.start()
    flow = {"defaults": {"type": "echo", "verify": "exit"}, "jobs": [{"name": "a"}, {"name": "b", "argv": ["x"], "after": ["a"]}]}
    _, jobs = echo.call("SubmitFlow", json.dumps(flow))
    assert echo.result(jobs["b"]) == "success" and echo.info(jobs["b"])["argv"] == ["/bin/echo", "two words", "x"]
    job_file(echo, "echo", ECHO.replace("[Service]", "Accept=name\n[Service]"))
    echo.call("Reload")
    assert "job 'b': 'after'" in refused(echo, "NotAllowed", "SubmitFlow", json.dumps({"jobs": [
        {"name": "a", "type": "echo"}, {"name": "b", "type": "echo", "after": ["a"]}]}))


def test_the_socket(echo):
    echo.listen()
    echo.start()
    with varlink.Connection(echo.listener.getsockname()) as c:
        assert [t["name"] for t in c.call("ListTypes")["types"]] == ["echo"]
        id_ = c.call("Submit", job={"type": "echo", "argv": ["x"], "verify": "exit"})["id"]
        with pytest.raises(varlink.VarlinkError) as e:
            c.call("Submit", job={"type": "nope"})
        assert e.value.name == "org.jobmill.NoSuchType"
    assert echo.result(id_) == "success"


def test_the_tool(echo):
    job_file(echo, "broken", "[Job]\n")
    job_file(echo, "strict", "[Job]\nCommand=true\nAccept=argv\nPayloadRequired=text\n")
    echo.start()
    lines = tool(echo, "type", "list").splitlines()
    assert lines[0].split() == ["NAME", "VERSION", "QUEUE", "STATE", "DESCRIPTION", "REASON"]
    assert lines[1].split()[:3] == ["broken", "-", "default"] or "unusable" in lines[1]
    assert lines[2].split() == ["echo", "3", "cpu", "ready", "Says", "it", "again", "-"]
    (shown,) = json.loads(tool(echo, "type", "show", "echo", "--json=short"))
    assert shown["version"] == "3" and shown["available"] is True and shown["reason"] is None
    assert "[Job] Command= is missing" in tool(echo, "type", "show", "broken")
    p = tool(echo, "type", "show", "nope", check=False)
    assert p.returncode == 1 and "There is no job type nope" in p.stderr

    # Nothing of the shell goes along, unless an option says so.
    id_ = int(tool(echo, "submit", "-t", "echo", "--verify=exit", "--", "-n", "more"))
    info = echo.info(id_)
    assert info["argv"] == ["/bin/echo", "two words", "-n", "more"] and "cwd" not in info and "umask" not in info
    assert info["priority"] == 7
    id_ = int(tool(echo, "submit", "-t", "echo", "--verify=exit", "--hold", "--priority=0"))
    assert echo.info(id_)["priority"] == 0
    id_ = int(tool(echo, "submit", "-t", "echo", "--hold", "-C", "/tmp", "-E", "X=1"))
    assert echo.info(id_)["cwd"] == "/tmp"
    assert "echo" in tool(echo, "list", "--type=echo", "--columns=+type") and "echo (3)" in tool(echo, "show", str(id_))
    assert tool(echo, "list", "--type=strict", "--no-legend") == ""
    p = tool(echo, "submit", "-t", "strict", check=False)
    assert p.returncode == 1 and "payload: 'text' is missing" in p.stderr
    file = echo.folder / "jobs.jsonl"
    file.write_text('{"type": "strict", "payload": "{\\"text\\": 1}"}\n{"argv": ["true"], "hold": true}\n{"type": "echo", "hold": true, "priority": 0}\n')
    ids = [int(i) for i in tool(echo, "submit", "--file", file).split()]
    assert echo.info(ids[0])["type"] == "strict" and "cwd" in echo.info(ids[1])
    assert echo.info(ids[2])["priority"] == 0
    flow = echo.folder / "flow.json"
    flow.write_text('{"jobs": [{"name": "a", "type": "echo", "verify": "exit"}, {"name": "b", "type": "echo", "argv": ["x"], "verify": "exit", "after": ["a"]}]}')
    assert tool(echo, "submit", "--flow", flow, "--wait").strip().isdigit()
    assert "echo" in tool(echo, "__complete", "--", "submit", "-t", "")


EXAMPLES = pathlib.Path(__file__).resolve().parents[2] / "docs/examples"


@pytest.fixture
def examples(mill):
    """The documented files as they are; the programs where they lie, not where they are to be installed."""
    for folder in "queues", "jobs":
        shutil.copytree(EXAMPLES / folder, mill.folder / "config" / folder, dirs_exist_ok=True)
    for name in "translate", "enrich", "newsletter":
        job_file(mill, name, "[Job]\nCommand=%s\n" % (EXAMPLES / "bin" / name), "50-here.conf")
    return mill


def test_the_flow_of_the_examples(examples):
    examples.start()
    flow, jobs = examples.call("SubmitFlow", (EXAMPLES / "newsletter.json").read_text())
    assert examples.result(jobs["newsletter"]) == "success", examples.info(jobs["translate"])
    info = examples.info(jobs["newsletter"])
    assert json.loads(info["verdict"]) == {"success": True, "events": 2}
    assert info["io"]["stdout"] == "This week:\n- koncert i parken (55.709 N 9.535 E)\n- marked i havnen (55.706 N 9.542 E)\n"
    assert [examples.info(jobs[n])["type_version"] for n in ("translate", "enrich", "newsletter")] == ["1.2", "1.0", "2.0"]

    # What the program cannot do it says, and the others do not start.
    bad = (EXAMPLES / "newsletter.json").read_text().replace('\\"da\\"', '\\"xx\\"')
    _, jobs = examples.call("SubmitFlow", bad)
    assert examples.result(jobs["newsletter"]) == "dependency" and examples.info(jobs["translate"])["attempt"] == 1
    assert "job 'translate': payload: 'language' is missing" in refused(
        examples, "InvalidSpec", "SubmitFlow", bad.replace("language", "tongue"))


def test_the_classes_of_the_examples(examples):
    """Types share what is scarce: one at a time on gpu, whichever type it is of; others go on."""
    for name in "translate", "enrich", "newsletter", "echo":
        job_file(examples, name, "[Job]\nCommand=sleep 1000\nPayloadRequired=\n", "60-sleep.conf")
    examples.start()
    assert {n for n, t in types(examples).items() if t["available"]} >= {"echo", "translate", "enrich", "newsletter"}
    gpu = [submit(examples, t) for t in ("translate", "enrich", "translate")] + [submit(examples, "enrich", priority=5)]
    cpu = [submit(examples, t) for t in ("newsletter", "echo") * 3]
    for id_ in [gpu[0], *cpu[:4]]:
        examples.reach(id_, "running")
    examples.settled()
    assert [examples.state(i) for i in gpu + cpu] == ["running"] + ["ready"] * 3 + ["running"] * 4 + ["ready"] * 2
    examples.call("CancelJob", gpu[0])
    examples.reach(gpu[3], "running")  # the highest priority, of another type
    assert examples.info(gpu[1])["reason"] == "cap of gpu: 1 of 1"
    examples.call("CancelJobs", {"queue": ["gpu", "cpu"], "state": ["ready", "running"]})


def test_the_examples_are_in_order(examples):
    p = tool(examples, "verify", *EXAMPLES.glob("*/*.job"), *EXAMPLES.glob("*/*.queue"), check=False, env={"JOBMILL_DAEMON": DAEMON})
    assert p.returncode == 0, p.stderr
    assert {line.split(": ")[1] for line in p.stderr.splitlines()} == {"note"} or not p.stderr
