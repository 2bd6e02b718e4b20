# SPDX-License-Identifier: LGPL-2.1-or-later
"""What test_escape.py stands on: alice, who tries; what she tries it on; and how an attempt is told.

An attempt is a function of the World. It returns what it came by ("": nothing), or raises the error by which it was refused."""

import contextlib
import functools
import itertools
import json
import os
import pathlib
import pwd
import re
import shutil
import subprocess
import time

from mill import BUS_TESTS, PYTHON, SYSTEM_BUS, BusError, Mill, journal, run, systemctl, until

DENIED = ("org.freedesktop.DBus.Error.AccessDenied", "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired")
RULES = pathlib.Path("/etc/polkit-1/rules.d")
JOBS = pathlib.Path("/etc/jobmill/jobs")
UNITS = pathlib.Path("/run/systemd/system")
SOCKET = "/run/jobmill/org.jobmill"

# Runs lines of Python as a user: c is her connection to the bus, line() one to the socket, got what she came by. Everything is imported
# while it is still root, who can read the source wherever it lies.
AGENT = '''
import json, os, pwd, signal, socket, subprocess, sys, time
sys.path.insert(0, %r)
import client, dbus, dbus.lowlevel, varlink
u = pwd.getpwnam(sys.argv[2])
os.initgroups(u.pw_name, u.pw_gid); os.setgid(u.pw_gid); os.setuid(u.pw_uid)
os.environ.update(HOME=u.pw_dir, USER=u.pw_name, LOGNAME=u.pw_name)
kept = {"c": client.Client(sys.argv[1]), "line": lambda: varlink.Connection(%r), "told": lambda l: l.read()["parameters"]}
kept.update({m.__name__: m for m in (client, dbus, json, os, signal, socket, subprocess, sys, time, varlink)})
def child(function):
    """In a process of its own, which is there until the pipe is closed that is left open here; what it says, or its error."""
    r, w_ = os.pipe()
    hold_r, hold_w = os.pipe()
    if os.fork() == 0:
        os.close(hold_w)
        try:
            said = {"got": function()}
        except (client.BusError, varlink.VarlinkError) as e:
            said = {"error": e.name, "message": str(e)}
        except BaseException as e:
            said = {"error": type(e).__name__, "message": str(e)}
        os.write(w_, json.dumps(said).encode())
        os.close(w_)
        os.read(hold_r, 1)
        os._exit(0)
    os.close(w_)
    os.close(hold_r)
    kept["holds"].append(hold_w)
    said = b""
    while part := os.read(r, 65536):
        said += part
    os.close(r)
    said = json.loads(said)
    if "error" in said:
        raise client.BusError(said["error"], said["message"])
    return said["got"]
kept.update(child=child, holds=[])
for text in sys.stdin:
    code, kept["w"] = json.loads(text)
    kept["got"] = ""
    try:
        exec(code, kept)
        answer = {"got": str(kept["got"] or "")}
    except (client.BusError, varlink.VarlinkError) as e:
        answer = {"error": e.name, "message": str(e)}
    except OSError as e:
        answer = {"error": type(e).__name__, "message": str(e)}
    if "stay" not in kept["w"]:
        while kept["holds"]:
            os.close(kept["holds"].pop())
    print(json.dumps(answer), flush=True)
''' % (str(BUS_TESTS), SOCKET)


class Agent:
    """A process of a user's."""

    def __init__(self, user):
        self.process = subprocess.Popen([PYTHON, "-c", AGENT, SYSTEM_BUS, user], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd="/")

    def begin(self, code, **w):
        """Until it says that it has begun."""
        self.process.stdin.write(json.dumps([code, w]) + "\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "begun\n"

    def do(self, code, **w):
        self.begin("print('begun', flush=True)\n" + code, **w)
        return self.end()

    def end(self):
        answer = json.loads(self.process.stdout.readline())
        if "error" in answer:
            raise BusError(answer["error"], answer["message"])
        return answer["got"]

    def close(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


class World:
    """What is attacked: bob's jobs and what is in them, root's files, the machine. Secrets are words that are nowhere else."""

    secrets = {k: "S3CRET-%s" % k for k in ("root", "bob", "open", "argv", "payload", "environment", "verdict", "log", "pool", "credential")}

    def __init__(self, mill: Mill, folder: pathlib.Path):
        self.mill = mill
        self.folder = folder
        self.drop = folder / "drop"  # everybody writes here
        self.held = ""  # how the last job ended that came by nothing
        self.uid = {u: pwd.getpwnam(u).pw_uid for u in ("alice", "bob")}
        self.undo = contextlib.ExitStack()
        self.numbers = itertools.count()

    # -- put up --

    def file(self, path, text, mode=0o644, owner=None):
        path = pathlib.Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(mode)
        if owner:
            shutil.chown(path, owner, owner)
        self.undo.callback(path.unlink, missing_ok=True)
        return path

    def rule(self, name, action, user):
        return self.file(RULES / name, 'polkit.addRule(function(a, s) { if (a.id.indexOf("%s") == 0 && s.user == "%s") return polkit.Result.YES; });\n' % (action, user))

    def build(self):
        s = self.secrets
        self.drop.mkdir()
        self.drop.chmod(0o1777)
        self.file("/etc/esc-root", s["root"] + "\nESC_ROOT=" + s["root"] + "\n", 0o600)
        home = pathlib.Path("/home/bob")
        self.undo.callback(home.chmod, home.stat().st_mode)
        home.chmod(0o700)
        self.file(home / "secret", s["bob"], 0o600, "bob")
        self.file(home / "open", s["open"], 0o644, "bob")  # but nobody gets to it
        self.file(self.folder / "target", "")
        (self.folder / "dir").mkdir()
        (self.drop / "rw").mkdir()
        (self.drop / "rw").chmod(0o1777)
        # A program that runs as root whoever starts it.
        id_ = pathlib.Path("/usr/local/bin/esc-id")
        shutil.copy("/usr/bin/id", id_)
        id_.chmod(0o4755)
        self.undo.callback(id_.unlink)
        shutil.copy("/usr/bin/sleep", self.folder / "sleep")
        (self.folder / "sleep").chmod(0o4755)
        self.file("/var/lib/esc-state/of-root", "")
        self.undo.callback(shutil.rmtree, "/var/lib/esc-state")
        (self.drop / "link").symlink_to("/etc/esc-made")
        (self.drop / "etc").symlink_to("/etc")
        # WorkingDirectory= must be there, before and after.
        (self.drop / "x").mkdir()
        (self.drop / ("x\nExecStopPost=+%s/evil.d/run" % self.drop)).mkdir(parents=True)
        proof = self.folder / "lever"
        self.file(UNITS / "esc-lever.service", "[Service]\nType=oneshot\nExecStart=/bin/touch %s\n" % proof)
        # A script that says who ran it, for those who get PID 1 to run it.
        for path in (self.drop / "evil", self.drop / "evil.d/run"):
            self.file(path, "#!/bin/sh\nid -u >%s/evil-ran\n" % self.folder, 0o755)
        systemctl("daemon-reload")
        self.rule("49-esc-operator.rules", "org.jobmill1.manage-queues", "robot")
        self.jail()
        self.types()
        self.queues()
        self.victims()
        self.until_polkit_says(self.robot_manages)

    def robot_manages(self):
        with contextlib.suppress(BusError):
            self.robot.do("c.call('ResumeQueue', 'escu')")
            return True

    def jail(self):
        """A root of her own in which there is a shell."""
        for file in ["/bin/sh", *re.findall(r"/\S+", run("ldd", "/bin/sh"))]:
            to = self.folder / "jail" / file[1:]
            to.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, to)
        for name in ("dev", "proc", "sys", "run", "tmp", "etc"):
            (self.folder / "jail" / name).mkdir()

    def types(self):
        self.file(JOBS / "lender.job", "[Job]\nCommand=/usr/bin/env\nAllowUsers=alice\n[Service]\nUser=root\n")
        self.file(JOBS / "lendhold.job", "[Job]\nCommand=/usr/bin/env\nAllowUsers=alice\nAccept=hold\n[Service]\nUser=root\n")
        self.file(JOBS / "bobs.job", "[Job]\nCommand=/usr/bin/test 0 = 0\nAllowUsers=bob\n[Service]\nUser=root\n")

    def queues(self):
        q = functools.partial(self.mill.write_queue, reload=False)
        q("esc", "Slots=100", "AllowUsers=* root")
        q("escw", "Slots=100", "AllowUsers=*", "Executor=worker")
        q("escp", "Slots=100", "AllowUsers=*", "Executor=pool")
        q("escu", "Slots=100", "AllowUsers=robot", "Executor=worker")
        q("system", "Slots=100", "AllowUsers=*")
        q("jail", "Slots=100", "AllowUsers=alice", "[Service]", "RootDirectory=%s/jail" % self.folder)
        q("bobs", "Slots=100", "AllowUsers=bob")
        q("tight", "Slots=100", "AllowUsers=*", "[Service]", "PrivateDevices=yes", "ReadOnlyPaths=%s" % self.drop, "LimitNOFILE=100", "SystemCallFilter=~ptrace")
        self.mill.reload()

    def victims(self):
        """Bob's."""
        s, bob = self.secrets, self.mill.user("bob")
        tell = "echo '{\"success\": true, \"what\": \"%s\"}'" % s["verdict"]
        self.running = self.spooling()
        self.freezable = bob.submit("exec sleep 1000", "esc", freezable=True)
        self.guarded = bob.submit("exec sleep 1000", "esc", credentials={"secret": s["credential"]})
        self.held_job = bob.submit("echo " + s["argv"], "esc", hold=True, name=s["argv"], tags={"esc": s["argv"]})
        self.done = bob.submit(tell, "esc", stdout="spool", name=s["argv"])
        self.logged = bob.submit("echo " + s["log"], "esc")
        self.pooled = bob.submit("echo %s; exec sleep 1000" % s["pool"], "escp")
        _, jobs = bob.call("SubmitFlow", json.dumps({"jobs": [
            {"name": "a", "argv": ["sh", "-c", tell], "queue": "esc", "stdout": "spool"},
            {"name": "b", "argv": ["sleep", "1000"], "queue": "esc", "after": ["a"]}]}))
        self.fed = jobs["b"]
        bob.call("SetSchedule", "esc-bobs", {"OnCalendar": ["2099-01-01"], "Job": {"argv": ["/bin/echo", s["argv"]]}})
        bob.call("FireSchedule", "esc-bobs")
        # Root lent her rights for this one, and nothing else.
        self.lent, self.lent_too, self.lent_more = (
            self.mill.submit("true", "esc", uid=self.uid["alice"], hold=True, properties=["User=root"]) for _ in range(3))
        # He waits at his terminal, and serves his jobs.
        self.token = "%032x" % 4711
        self.foreground = int(self.bobs.do("""
def f():
    l = line()
    l.send("Run", {"protocol": 1, "token": w["token"], "job": {"argv": ["x"], "queue": "esc"}}, more=True)
    id_ = told(l)["id"]
    while "go" not in told(l):
        pass
    global kept_line
    kept_line = l
    return id_
got = child(f)""", token=self.token, stay=True))
        served = bob.call("Submit", "escw", ["x"], {"payload": list(s["payload"].encode())})[0]
        self.worker = json.loads(self.bobs.do("""
def f():
    l = line()
    l.send("Register", {"protocol": 1, "queues": ["escw"]}, more=True)
    told_ = told(l)
    a = told(l)["assign"]
    global kept_line
    kept_line = l
    return {"token": told_["token"], "worker": told_["worker"], "id": a["id"], "attempt": a["attempt"]}
got = json.dumps(child(f))""", stay=True))
        assert self.worker["id"] == served
        self.mill.wait_all([self.done, self.logged])
        for i in (self.running, self.guarded, self.freezable, self.pooled, self.fed):
            self.mill.reach(i, "running")
        # What she could have read of it by then has arrived.
        until(lambda: s["log"] in self.mill.tool("logs", self.logged).stdout, 10, "it is in the journal")

    def spooling(self):
        """A job of bob's that runs, with all that is secret in one."""
        s = self.secrets
        return self.mill.user("bob").call("Submit", "esc", ["/bin/sh", "-c", "echo '{\"success\": true, \"what\": \"%s\"}'; exec sleep 1000" % s["verdict"]],
                                          {"stdout": "spool", "payload": list(s["payload"].encode()), "environment": ["ESC=" + s["environment"], "PATH=/usr/bin:/bin"]})[0]

    @functools.cached_property
    def alice(self):
        agent = Agent("alice")
        self.undo.callback(agent.close)
        return agent

    @functools.cached_property
    def robot(self):
        """Whom polkit lets manage queues, and nothing else."""
        agent = Agent("robot")
        self.undo.callback(agent.close)
        return agent

    @functools.cached_property
    def bobs(self):
        agent = Agent("bob")
        self.undo.callback(agent.close)
        return agent

    def words(self):
        """What attempts are told: she can find out all of it but secrets and what is in a token."""
        named = {k: getattr(self, k) for k in ("running", "guarded", "freezable", "done", "logged", "pooled", "fed", "lent", "lent_too", "lent_more", "foreground", "token", "worker", "secrets")}
        return {**named, **self.uid, "drop": str(self.drop), "folder": str(self.folder), "held": self.held_job, "pid": self.mill.main_pid(self.running),
                "unit": self.mill.unit(self.running), "next": self.running + 100000, "evil_unit": "esc-%d.service" % next(self.numbers)}

    @staticmethod
    def until_polkit_says(condition):
        """It reads its rules anew by itself, in its time."""
        until(condition, 20, "polkit has read its rules")

    def has(self, *names):
        """Which secrets are in a text."""
        return lambda text: " ".join(self.secrets[n] for n in names or self.secrets if self.secrets[n] in str(text))

    # -- jobs --

    def end_of(self, id_):
        """Nothing where it failed; how is kept."""
        j = self.mill.wait(id_, 30)
        if j["result"] == "success":
            return "job %d did it" % id_
        self.held = str({k: j.get(k) for k in ("result", "exit_status", "reason")})
        return ""

    def close(self):
        for schedule in self.mill.call("ListSchedules"):
            self.mill.call("RemoveSchedule", schedule["name"])
        self.undo.close()
        systemctl("stop", "jobmill-pool-escp-*.service")


# ---- kinds of attempts ----

def fill(w, value):
    """%(name)s of words() in all texts of it."""
    if isinstance(value, str):
        return value % w.words() if "%(" in value else value
    if isinstance(value, list):
        return [fill(w, v) for v in value]
    if isinstance(value, dict):
        return {k: fill(w, v) for k, v in value.items()}
    return value


def job(script, queue="esc", **spec):
    """A job of hers whose script succeeds if it came by what it should not."""
    return lambda w: w.end_of(w.mill.user("alice").submit(fill(w, script), queue, **fill(w, spec)))


def prop(assignment, script, **spec):
    return job(script, properties=[assignment], **spec)


def code(text, user="alice"):
    """Lines of Python as her."""
    return lambda w: getattr(w, user).do(text, **w.words())


def secret_in(*names):
    """What the function returns (of D-Bus or the socket) must not have these."""
    def wrap(text):
        return lambda w: w.has(*names)(w.alice.do(text, **w.words()))
    return wrap


def then(how, look):
    """An attempt, and what came of it, which root looks for; refused or not."""
    def both(w):
        look(w, False)
        how(w)
        return look(w, True)
    return both


def made(path):
    """A look: a file that was not there."""
    def look(w, after):
        p = pathlib.Path(path % {"folder": w.folder, "drop": w.drop})
        if not after:
            return p.unlink(missing_ok=True)
        return "%s is there, of uid %d" % (p, p.stat().st_uid) if p.exists() else ""
    return look


def line_in(folder, line):
    """A look: a line in a file there."""
    def look(_, after):
        found = [p for p in pathlib.Path(folder).glob("*") if line in p.read_text().splitlines()] if after else []
        return "%s has %s" % (found[0], line) if found else ""
    return look


def made_soon(path, seconds=3):
    """The same of what systemd does in its time: only where the attempt was not refused, so it costs nothing else."""
    look = made(path)

    def wait(w, after):
        end = time.monotonic() + (seconds if after else 0)
        while not (found := look(w, after)) and time.monotonic() < end:
            time.sleep(0.05)
        return found
    return wait


# ---- some that take more ----

def runs_evil(submit):
    """A job with lines of hers in its unit's file: they count from the next time that root has systemd read units again."""
    def how(w):
        id_ = submit(w)
        w.mill.reach(id_, "running")
        systemctl("daemon-reload")
        w.mill.call("CancelJob", id_)
        w.mill.wait(id_)
    return then(how, made_soon("%(folder)s/evil-ran"))


def forged(reader, which, *fields):
    """Alice writes a line as if it were of a job of bob's; is it in that job's log? Root's tool reads the journal, bob's asks the daemon."""
    def how(w):
        lines = fill(w, ["MESSAGE=FORGED-BY-ALICE", *fields])
        w.alice.do("s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); s.sendto(%r, '/run/systemd/journal/socket')" % "\n".join([*lines, ""]).encode())
        run("journalctl", "--sync")
        assert journal("MESSAGE=FORGED-BY-ALICE"), "what she wrote has arrived"
        return "her line is in it" if "FORGED-BY-ALICE" in w.mill.tool("logs", w.words()[which], user=reader).stdout else ""
    return how


def environment_race(w):
    """Bob's jobs start while she tries to open the file with the environment of each, again and again."""
    agent, first, stop = Agent("alice"), w.spooling(), w.folder / "stop"
    agent.begin("""
left, end = ["/run/jobmill/attempt/%d-1/env" % i for i in range(w["first"], w["first"] + 20)], time.monotonic() + 60
print("begun", flush=True)
while not got and time.monotonic() < end and not os.path.exists(w["stop"]):
    for path in left:
        try:
            got = open(path).read()
        except OSError:
            pass
""", first=first + 1, stop=str(stop))
    ids = [w.spooling() for _ in range(19)]
    for i in ids:
        w.mill.reach(i, "running", 30)
    stop.touch()
    found = agent.end()
    agent.close()
    for i in [first, *ids]:
        w.mill.call("CancelJob", i)
    return w.has("environment")(found)


def swapped(what, script, **spec):
    """Jobs of hers whose path is now a folder of her own, and now a link to another place, 20 times. The script is what succeeds in that place only."""
    def how(w):
        agent, place, stop = Agent("alice"), w.drop / "swap", w.folder / "swapped"
        agent.begin("""
place, end = w["place"], time.monotonic() + 60
os.makedirs(place + ".dir", exist_ok=True)
print("begun", flush=True)
while time.monotonic() < end and not os.path.exists(w["stop"]):
    for target in (place + ".dir", w["what"]):
        os.symlink(target, place + ".new")
        os.rename(place + ".new", place)
""", place=str(place), what=what, stop=str(stop))
        until(place.is_symlink, 10, "it is there")
        ids = [w.mill.user("alice").submit(script, "esc", **fill(w, spec)) for _ in range(20)]
        ends = w.mill.wait_all(ids)
        stop.touch()
        agent.end()
        agent.close()
        stop.unlink()
        return " ".join("job %d did it" % j["id"] for j in ends if j["result"] == "success")
    return how


def serve(w):
    """A worker of hers with room for more, in a queue in which a job of bob's waits before one of her own. Once she is given one that she submits after
    that one, it was bob's turn, too."""
    bobs = w.mill.user("bob").call("Submit", "escw", ["x"], {"payload": list(w.secrets["payload"].encode())})[0]
    try:
        return w.alice.do("""
def f():
    l = line()
    submit = lambda: line().call("Submit", job={"argv": ["x"], "queue": "escw"})["id"]
    hers, had = [submit()], []
    l.send("Register", {"protocol": 1, "queues": ["escw"], "slots": 10}, more=True)
    token = l.answer()["token"]
    while len(hers) < 3 or hers[-1] not in had:
        if hers[-1] in had:
            hers.append(submit())
        had.append(l.answer()["assign"]["id"])
        line().call("Complete", token=token, id=had[-1], attempt=1, exit_status=0)
    return "job %d of bob's" % w["bobs"] if w["bobs"] in had else ""
got = child(f)""", bobs=bobs)
    finally:
        if w.mill.state(bobs) != "done":
            w.mill.call("CancelJob", bobs)


def main_pid(w):
    """A job of hers says that a process of bob's is its main process, which she may signal."""
    id_ = w.mill.user("alice").submit("systemd-notify --pid=%d MAINPID=%d; echo told >%s/told; exec sleep 60" % (
        w.mill.main_pid(w.running), w.mill.main_pid(w.running), w.drop), "esc")
    until((w.drop / "told").exists, 10, "it has said so")
    got = "bob's process is its main process" if w.mill.main_pid(id_) == w.mill.main_pid(w.running) else ""
    w.mill.user("alice").call("CancelJob", id_)
    w.mill.wait(id_)
    return got
