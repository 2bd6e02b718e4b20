# SPDX-License-Identifier: LGPL-2.1-or-later
"""Who may what, cell by cell: each row of rights.py, as each role, over bus and socket and with the tool, with the real polkit and the rules that
jobmill has as an example. And that each method, property and verb there is has its row: asked of the running daemon and of the tool."""

import collections
import itertools
import json
import os
import pathlib
import pwd
import re
import subprocess
import xml.etree.ElementTree as ElementTree

import pytest

import caller
import rights
from mill import BUS_TESTS, PYTHON, SOURCE, SYSTEM_BUS, run, until

pytestmark = pytest.mark.system_only
SOCKET = "/run/jobmill/org.jobmill"
RULES = pathlib.Path("/etc/polkit-1/rules.d/50-jobmill-operators.rules")
EXAMPLE = pathlib.Path("/usr/share/doc/jobmill/examples/50-jobmill-operators.rules.example")
TYPE = pathlib.Path("/etc/jobmill/jobs/typed.job")
DBUS = "org.freedesktop.DBus."
UNNAMED = 59999  # a user id without a user

# Everything is imported while it is still root, who can read the source wherever it lies.
START = """
import os, sys
sys.path[1:1] = [%r, %r]
import caller
uid, gid, groups = (eval(a) for a in sys.argv[1:])
os.setgroups(groups); os.setgid(gid); os.setuid(uid)
caller.main(%r, %r)
""" % (str(BUS_TESTS), os.path.dirname(__file__), SYSTEM_BUS, SOCKET)


class Remote:
    """A process of a role."""

    def __init__(self, user=None, uid=UNNAMED):
        u = pwd.getpwnam(user) if user else None
        uid, gid = (u.pw_uid, u.pw_gid) if u else (uid, uid)
        groups = os.getgrouplist(user, gid) if u else []
        self.uid = uid
        self.process = subprocess.Popen([PYTHON, "-c", START, str(uid), str(gid), str(groups)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd="/")
        assert self.process.stdout.readline() == "ready\n"

    def send(self, kind, *arguments):
        self.process.stdin.write(json.dumps({kind: arguments}) + "\n")
        self.process.stdin.flush()

    def receive(self):
        line = self.process.stdout.readline()
        assert line, "the process of the other user has died"
        return json.loads(line)

    def do(self, kind, *arguments):
        self.send(kind, *arguments)
        return self.receive()

    def call(self, member, *arguments):
        """Of the bus, which must do it."""
        answer = self.do("bus", *caller.MANAGER, member, SIGNATURES[member], arguments)
        assert "value" in answer, answer
        return answer["value"]

    def close(self):
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()


SIGNATURES = {}  # of methods, as the daemon says


class Town:
    """What the calls are about. Each cell has jobs, queues and schedules of its own, all of them the owner's."""

    def __init__(self, mill, roles):
        self.mill, self.roles, self.alice = mill, roles, roles["owner"]
        self.count = itertools.count(1)
        self.owner = pwd.getpwnam("alice").pw_uid
        self.third = pwd.getpwnam("robot").pw_uid
        self.json = json.dumps
        self.worked = None

    def new(self):
        return "n%d" % next(self.count)

    def token(self):
        return "%032x" % (next(self.count) << 64)

    # -- jobs --

    def submit(self, queue="open", argv=rights.COMMAND, **spec):
        return self.alice.call("Submit", queue, argv, {"name": rights.SECRET, "tags": {"of": rights.SECRET}, **spec})[0]

    def _made(self, make, **tags):
        """None of them begins to run while others are looked at."""
        id_ = self.submit(hold=make != "waiting", delay_usec=86400 * 1000000, tags={"of": rights.SECRET, **tags})
        if make == "failed":
            self.alice.call("CancelJob", id_)
        return id_

    def waiting(self):
        return self._made("waiting")

    def held(self):
        return self._made("held")

    def failed(self):
        return self._made("failed")

    def tags(self, make):
        tags = {"for": self.new()}
        self._made(make, **tags)
        return tags

    def prepare(self):
        """What is there for all."""
        self._running = self.submit(argv=["/bin/sleep", "infinity"])
        said = 'echo \'{"success": true, "what": "%s"}\'' % rights.SECRET
        self._read = self.submit(argv=["/bin/sh", "-c", said], stdout="spool")
        self._read_log = self.submit(argv=["/bin/sh", "-c", said])
        self._schedule = self.new_schedule()
        self.mill.call("PauseQueue", "shut")
        self._worker = self.alice.do("socket", "Register", {"protocol": 1, "queues": ["worked"]}, True)["value"]
        for id_ in self._read, self._read_log:
            assert self.mill.wait(id_)["result"] == "success"
        self.mill.reach(self._running, "running")

    def read(self):
        return self._read

    def read_log(self):
        return self._read_log

    def running(self):
        self.alice.call("ThawJob", self._running)
        until(lambda: "reason" not in self.mill.info(self._running), 10, lambda: "thawed: %s" % self.mill.info(self._running))
        return self._running

    def frozen(self):
        self.running()
        self.alice.call("FreezeJob", self._running)
        until(lambda: self.mill.info(self._running).get("reason") == "frozen", 10, lambda: "frozen: %s" % self.mill.info(self._running))
        return self._running

    # -- queues, schedules, a worker --

    def queue(self):
        name = self.new()
        self.mill.call("SetQueue", name, {"Slots": "1"}, True)
        return name

    def paused(self):
        name = self.queue()
        self.mill.call("PauseQueue", name)
        return name

    def schedule(self):
        return self._schedule

    def new_schedule(self):
        name = self.new()
        self.alice.call("SetSchedule", name, rights.daily())
        return name

    def paused_schedule(self):
        name = self.new_schedule()
        self.alice.call("PauseSchedule", name)
        return name

    def worker(self):
        return self._worker["worker"]

    def assignment(self):
        """What the worker is given, the owner's; a new one once the last was completed."""
        if not self.worked:
            token = self.alice.do("socket", "Register", {"protocol": 1, "queues": ["worked"], "durable": True, "name": "durable"}, True, True)["value"]["token"]
        elif self.mill.state(self.worked["id"]) not in ("starting", "running"):
            token = self.worked["token"]
        else:
            return dict(self.worked)
        self.submit("worked")
        given = self.alice.do("next")["value"]["assign"]
        self.worked = {"token": token, "id": given["id"], "attempt": given["attempt"]}
        return dict(self.worked)


@pytest.fixture(scope="module")
def town(mill):
    assert EXAMPLE.read_text() == (SOURCE / "polkit" / EXAMPLE.name).read_text(), "it is installed"
    run("groupadd", "--force", "jobmill-operators")
    run("useradd", "--groups=jobmill-operators", "oscar")
    RULES.write_text(EXAMPLE.read_text())
    RULES.chmod(0o644)
    TYPE.parent.mkdir(parents=True, exist_ok=True)
    TYPE.write_text("[Job]\nCommand=/bin/true\nQueue=open\n")
    for name, *lines in ("open", "AllowUsers=*"), ("other", "AllowUsers=*"), ("hers", "AllowUsers=alice"), ("closed", ), ("shut", "AllowUsers=*"), ("worked", "AllowUsers=alice", "Executor=worker"):
        mill.write_queue(name, "Slots=10", *lines, reload=False)
    run("systemctl", "restart", "polkit")
    mill.call("Reload")
    SIGNATURES.update({member: "".join(a.get("type") for a in m.findall("arg") if a.get("direction") == "in")
                       for interface in offered(mill).values() for member, m in interface.items() if m.tag == "method"})
    users = {"anonymous": "nobody", "other": "bob", "owner": "alice", "operator": "oscar", "root": "root"}
    roles = {role: Remote(users[role]) for role in rights.ROLES}
    town = Town(mill, roles)
    town.unnamed = Remote()
    town.prepare()
    yield town
    if town.worked:  # which stays when its worker goes
        town.alice.do("socket", "Complete", town.worked)
    for r in (*roles.values(), town.unnamed):
        r.close()
    mill.drop_everything()
    for s in mill.call("ListSchedules"):
        mill.call("RemoveSchedule", s["name"])
    mill.no_units()
    mill.call("ResumeQueue", "shut")
    for name in {q.name.split(".")[0] for q in pathlib.Path("/run/jobmill/queues").glob("*")}:
        mill.call("RemoveQueue", name)
    TYPE.unlink()
    RULES.unlink()
    run("userdel", "oscar")
    run("groupdel", "jobmill-operators")
    run("systemctl", "restart", "polkit")
    mill.call("Reload")


# ---- what there is ----

def offered(mill, path="/"):
    """{interface: {member: element}} of all objects of the daemon."""
    mill.stats()
    found = collections.defaultdict(dict)
    tree = ElementTree.fromstring(mill._client.introspect(path))
    for interface in tree.findall("interface"):
        found[interface.get("name")].update({m.get("name"): m for m in interface if m.tag in ("method", "property")})
    for node in tree.findall("node"):
        for name, members in offered(mill, path.rstrip("/") + "/" + node.get("name")).items():
            found[name].update(members)
    return found


def names(kind):
    return {case.name for row in rights.ROWS for case in getattr(row, kind)}


def test_every_method_of_the_bus_has_a_row(mill, town):
    methods = {interface.removeprefix(DBUS) + "." + m.get("name") for interface, members in offered(mill).items() for m in members.values() if m.tag == "method"}
    assert {m.removeprefix("org.jobmill1.Manager.") for m in methods} == names("bus")


def test_every_property_has_a_row(mill, town):
    properties = {interface: {n for n, m in members.items() if m.tag == "property"} for interface, members in offered(mill).items()}
    assert {i: p for i, p in properties.items() if p} == {i: set(text.split()) for i, text in rights.PROPERTIES.items()}


def test_every_method_of_the_socket_has_a_row(town):
    found = set()
    for interface in town.unnamed.do("socket", "org.varlink.service.GetInfo", {})["value"]["interfaces"]:
        text = town.unnamed.do("socket", "org.varlink.service.GetInterfaceDescription", {"interface": interface})["value"]["description"]
        found |= set(re.findall(r"^method (\w+)", text, re.M))
    assert found == names("socket")


def test_every_verb_has_a_row():
    text = run("jobmill", "help").partition("Verbs:\n")[2].partition("\n\n")[0]
    verbs = {re.match(r"  ([a-z]+(?: [a-z]+)?) ", line)[1].strip() for line in text.splitlines()}
    assert verbs | {v.split()[0] for v in verbs if " " in v} | {""} == names("tool")


# ---- the cells ----

def what_is(mill):
    """All that a refusal must leave as it is: no commit, no file, no daemon's state."""
    stats = mill.stats()
    files = {str(p): p.stat().st_mtime_ns for f in ("/etc/jobmill", "/run/jobmill/queues") for p in pathlib.Path(f).rglob("*")}
    return (*(stats[k] for k in ("commits", "last_event", "held", "waiting", "ready", "running", "done", "workers", "queues")), files,
            [w["draining"] for w in mill.call("ListWorkers")])


def rest(mill):
    """The same, once what other cells have begun does not change it any more."""
    last = [what_is(mill)]

    def same():
        last.append(what_is(mill))
        return last[-1] == last[-2]

    until(same, 20, "all is at rest")
    return last[-1]


class Cell:
    """One call of a role; outcome() is what it was, to be compared with the table."""

    def __init__(self, town, kind, case, role):
        self.town, self.kind, self.case, self.role = town, kind, case, role
        self.remote = town.unnamed if role == "anonymous" and kind == "socket" else town.roles[role]

    def ask(self, arguments, interactive=False):
        case = self.case
        if self.kind == "bus":
            interface, _, member = case.name.rpartition(".")
            path = case.how.get("path", caller.MANAGER[0])
            if member == "Set":
                return self.remote.do("bus", path, DBUS + interface, member, "ssv", arguments, interactive)
            return self.remote.do("bus", path, DBUS + interface if interface else caller.MANAGER[1], member, SIGNATURES[member], arguments, interactive)
        if self.kind == "socket":
            method = "org.varlink.service." + case.name if case.name in ("GetInfo", "GetInterfaceDescription") else case.name
            return self.remote.do("socket", method, *(arguments or [{}]), case.how.get("more", False))
        return self.remote.do("tool", [*case.name.split(), *arguments], case.how.get("terminal"))

    def outcome(self, answer, wanted):
        if "error" in answer:
            return re.sub(r".*\.", "", answer["error"]).replace("InteractiveAuthorizationRequired", "password")
        if "status" in answer:
            if answer["status"] == 0:
                answer = {"value": answer["out"]}
            elif "not allowed without authentication" in answer["err"] or ": Not authorized: org.jobmill1." in answer["err"]:
                return "password"
            elif "not there, not done, not yours" in answer["err"]:
                return "none"
            elif "does not take jobs of" in answer["err"]:
                return "NotAllowed"
            else:
                return answer["err"]
        value = answer["value"]
        if wanted in ("all", "public"):
            return "all" if self.case.tells(value) else "public"
        return "none" if value in ([0], "0 jobs cancelled\n") else "yes"

    def check(self, wanted, interactive=False):
        arguments = self.case.arguments(self.town)
        for last in (False, False, True):
            before = rest(self.town.mill)
            answer = self.ask(arguments, interactive)
            found = self.outcome(answer, wanted)
            assert found == wanted, "%s as %s: %s, not %s: %s" % (self.case.title(), self.role, found, wanted, answer)
            changed = what_is(self.town.mill) != before
            if wanted in ("yes", "all", "public"):
                assert changed or not self.case.changes, "%s as %s: nothing was changed" % (self.case.title(), self.role)
                return
            if not changed:
                return
            # What the cell before has begun may go on: then it is still refused, and changes nothing the next time.
            assert not last, "%s as %s: refused, and something was changed" % (self.case.title(), self.role)


CELLS = [pytest.param(kind, row, case, id="%s-%s" % (kind, case.title().replace("`", "").replace(" ", "-")))
         for row in rights.ROWS for kind in ("bus", "socket", "tool") for case in getattr(row, kind)]


def expected(kind, row, case, role):
    """[(outcome, whether somebody may be asked)]"""
    outcome = row.on_socket(role) if kind == "socket" else row.outcomes[role]
    unasked = case.unasked if role in ("anonymous", "other") else "AccessDenied"
    if (kind, outcome) == ("bus", "password"):
        return [(outcome, False), (unasked, True)]
    if (kind, outcome, unasked) == ("tool", "password", "none"):  # the tool lets somebody be asked
        return [(unasked, True)]
    return [(outcome, False)]


@pytest.mark.parametrize("kind,row,case", CELLS)
def test_row(town, kind, row, case):
    wrong = []
    for role in rights.ROLES:
        for outcome, interactive in expected(kind, row, case, role):
            try:
                Cell(town, kind, case, role).check(outcome, interactive)
            except AssertionError as e:
                wrong.append(str(e).splitlines()[0])
    assert not wrong, "\n".join(wrong)


def test_properties(town):
    """All may read them, and none of a job tells what is private; who sets one is refused by name."""
    objects = {"org.jobmill1.Manager": "/org/jobmill1", "org.jobmill1.Queue": "/org/jobmill1/queue/open",
               "org.jobmill1.Job": "/org/jobmill1/job/%d" % town.read(), "org.freedesktop.LogControl1": "/org/freedesktop/LogControl1"}
    before = what_is(town.mill)
    for (interface, text), role in itertools.product(rights.PROPERTIES.items(), rights.ROLES):
        remote, path = town.roles[role], objects[interface]
        found = remote.do("bus", path, DBUS + "Properties", "GetAll", "s", [interface])["value"][0]
        assert set(found) == set(text.split()) and rights.SECRET not in str(found)
        for name in text.split():
            assert remote.do("bus", path, DBUS + "Properties", "Get", "ss", [interface, name])["value"] == [found[name]]
            if interface != "org.freedesktop.LogControl1" or role != "root":
                error = remote.do("bus", path, DBUS + "Properties", "Set", "ssv", [interface, name, "x"])["error"]
                assert error in (DBUS + "Error.PropertyReadOnly", DBUS + "Error.AccessDenied"), (interface, name, role, error)
    assert what_is(town.mill) == before
