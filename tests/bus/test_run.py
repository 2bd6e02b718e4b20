# SPDX-License-Identifier: LGPL-2.1-or-later
"""jobmill run: who waits is put into a scope when it is his turn, runs the command in his terminal, and tells how it ended."""

import contextlib
import json
import os
import pathlib
import re
import resource
import select
import shlex
import signal
import socket
import subprocess
import sys
import termios
import time

import pytest

from conftest import DAEMON, end, spawn, until
from fake_systemd import alive
from test_cgroup import cgroups  # noqa: F401 (a fixture)
from tool import Terminal, argv_of, environment, tool

TOKEN = "%032x"


@pytest.fixture
def mill_r(mill):
    mill.listen()
    mill.queue("one", Slots=1, AllowUsers="* daemon")  # a time-out of the stop is the tool's, too: it may have much to look at before its end
    mill.start()
    mill.settled()
    return mill


def where(mill, **more):
    return {"JOBMILL_RUNTIME_PATH": mill.folder, **more}


def run(mill, *argv, **kwargs):
    return tool(mill, "run", *argv, check=False, env=where(mill), **kwargs)


def start(mill, *argv, before=(), **kwargs):
    """Not waited for."""
    return spawn([*before, *argv_of(["run", *argv])], env=environment(mill, **where(mill)), stdin=subprocess.DEVNULL, **kwargs)


def newest(mill):
    return mill.jobs(limit=1)[0]


def job(mill, state, number=-1):
    """The newest one, once it has come so far."""
    def find():
        l = mill.jobs(state=state)
        return l[0]["id"] if l else None
    return until(find, 10, "a job is " + state)


def begun(mill, process):
    """Its job, once the command is there. Before that a signal for all of the scope ends who still waits to be told."""
    id_ = job(mill, "running")
    until(lambda: processes(process.pid), 10, "the command is there")
    return id_


def scope(id_):
    return "jobmill-job-%d-1.scope" % id_


class Peer:
    """A process that asks over the socket by itself."""

    CODE = """
import json, os, signal, socket, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)  # what is left in a scope is ended
path, uid = sys.argv[1:]
s = socket.socket(socket.AF_UNIX)
s.connect(path)
for line in sys.stdin:
    what = json.loads(line)
    if what == "read":
        data = b""
        while not data.endswith(b"\\0"):
            part = s.recv(1)
            if not part:
                break
            data += part
        print(data.rstrip(b"\\0").decode() or "null", flush=True)
    elif what == "again":
        s.close()
        s = socket.socket(socket.AF_UNIX)
        s.connect(path)
    elif what == "fork":
        r, w = os.pipe()
        if os.fork() > 0:
            os.close(w)
            os.read(r, 1)
            os._exit(0)
        os.write(w, b"x")
        os.close(w)
    elif what == "hang up":
        s.close()
        print(flush=True)
    elif isinstance(what, str):
        exec(what)
    else:
        s.sendall(json.dumps(what).encode() + b"\\0")
"""

    def __init__(self, mill, uid=None):
        as_user = ["setpriv", "--reuid=%d" % uid, "--regid=%d" % uid, "--clear-groups"] if uid else []
        self.process = spawn([*as_user, sys.executable, "-c", self.CODE, str(mill.socket_path), "x"],
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd="/")

    def do(self, what):
        self.process.stdin.write(json.dumps(what) + "\n")
        self.process.stdin.flush()

    def send(self, method, **parameters):
        self.do({"method": "org.jobmill." + method, "parameters": parameters, "more": method == "Run"})

    def read(self):
        self.do("read")
        return json.loads(self.process.stdout.readline())

    def hang_up(self):
        self.do("hang up")
        assert self.process.stdout.readline() == "\n"

    def ask(self, token=1, queue="", **spec):
        self.send("Run", protocol=1, token=TOKEN % token, job={"argv": ["true"], "queue": queue, **spec})
        return self.read()

    def until(self, key):
        while True:
            answer = self.read()
            assert answer and "error" not in answer, answer
            if key in answer["parameters"]:
                return answer["parameters"][key]

    def turn(self, **kwargs):
        """(id, go) once it may."""
        id_ = self.ask(**kwargs)["parameters"]["id"]
        return id_, self.until("go")

    def exited(self, id_, token=1, attempt=1, **how):
        self.send("Exited", token=TOKEN % token, id=id_, attempt=attempt, **how)
        return self.read()

    def close(self):
        if self.process.stdin.closed:
            return
        self.process.stdin.close()
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


@pytest.fixture
def peer(mill_r):
    made = []

    def make(uid=None):
        made.append(Peer(mill_r, uid))
        return made[-1]

    yield make
    for p in made:
        p.close()


# ---- the tool ----


@pytest.mark.parametrize("command, status, result", [
    ("exit 0", 0, "success"), ("exit 7", 7, "exit-code"), ("kill -KILL $$", 137, "signal"), ("kill -SEGV $$", 139, "signal")])
def test_exit_status(mill_r, command, status, result):
    p = run(mill_r, "-n", "tried", "--", "/bin/sh", "-c", command)
    assert (p.returncode, p.stdout, p.stderr) == (status, "", "")
    j = newest(mill_r)
    assert (j["result"], j["name"], j["executor"], j["unit"]) == (result, "tried", "scope", scope(j["id"]))
    assert j.get("exit_status", -1) == (status if status < 128 else -1)
    assert j.get("exit_signal", 0) == (status - 128 if status > 128 else 0)
    until(lambda: mill_r.queue_properties("default")["SlotsUsed"] == 0, 5, "its slot is free")


def test_transparent(mill_r):
    """Words, streams, directory and environment are the caller's; what jobs have is added, and of another job's nothing is left."""
    p = tool(mill_r, "run", "--", "/bin/sh", "-c", 'cat; pwd; echo "$MINE $1"; env | grep ^JOBMILL_ | sort; echo e >&2', "sh", "a b",
             check=False, env=where(mill_r, MINE="mine", JOBMILL_OTHER="x"), stdin=None, input="in\n", cwd="/usr")
    j = newest(mill_r)
    assert p.returncode == 0 and p.stderr == "e\n", p
    lines = p.stdout.splitlines()
    assert lines[:3] == ["in", "/usr", "mine a b"]
    assert [l.partition("=")[0] for l in lines[3:]] == ["JOBMILL_ATTEMPT", "JOBMILL_ATTEMPT_ID", "JOBMILL_JOB_ID", "JOBMILL_NAME",
                                                        "JOBMILL_QUEUE", "JOBMILL_SLOTS"]
    assert "JOBMILL_JOB_ID=%d" % j["id"] in lines and "JOBMILL_SLOTS=0" in lines


def test_not_there(mill_r):
    p = run(mill_r, "--", "no-such-command")
    assert p.returncode == 127 and "no-such-command" in p.stderr and mill_r.jobs() == []
    bad = mill_r.out / "bad"
    bad.write_text("#!/no/such/interpreter\n")
    bad.chmod(0o755)
    p = run(mill_r, "--", str(bad))
    assert p.returncode == 127 and "No such file" in p.stderr
    assert newest(mill_r)["result"] == "exec"


def test_waits(mill_r):
    """In order, never two at a time, and the terminal says why."""
    hold = mill_r.submit("exec sleep 60", "one")
    mill_r.reach(hold, "running")
    t = Terminal(mill_r, "run", "-q", "one", "--", "/bin/echo", "my turn", env=where(mill_r))
    t.read("waits: cap of one: 1 of 1")
    id_ = job(mill_r, "ready")
    mill_r.call("HoldJob", id_)
    t.read("job %d waits: held" % id_)
    mill_r.call("ReleaseJob", id_)
    mill_r.call("CancelJob", hold)
    t.read("my turn")
    assert t.end() == 0
    assert mill_r.systemd.do("counts")["max_holding"]["jobmill-one.slice"] == 1


def test_quiet_and_no_wait(mill_r):
    hold = mill_r.submit("exec sleep 60", "one")
    mill_r.reach(hold, "running")
    p = run(mill_r, "--no-wait", "-q", "one", "--", "true")
    assert p.returncode == 125 and "cap of one: 1 of 1" in p.stderr
    assert newest(mill_r)["result"] == "cancelled"
    p = run(mill_r, "--max-wait=300ms", "-q", "one", "--", "true")
    assert p.returncode == 125 and "expired" in p.stderr
    assert newest(mill_r)["result"] == "expired"
    t = Terminal(mill_r, "run", "--max-wait=300ms", "--quiet", "-q", "one", "--", "true", env=where(mill_r))
    assert t.end() == 125 and t.shown == ""
    assert run(mill_r, "--no-wait", "--", "true").returncode == 0


def test_interrupted(mill_r):
    """^C while it waits: nothing is left."""
    hold = mill_r.submit("exec sleep 60", "one")
    mill_r.reach(hold, "running")
    t = Terminal(mill_r, "run", "-q", "one", "--", "true", env=where(mill_r))
    t.read("waits: ")
    t.type("\x03")
    assert t.end() == -signal.SIGINT
    j = newest(mill_r)
    assert (j["state"], j["result"], j.get("attempt", 0)) == ("done", "cancelled", 0)
    t = start(mill_r, "-q", "one", "--", "true")
    job(mill_r, "ready")
    t.kill()  # which nobody can catch
    t.wait()
    until(lambda: newest(mill_r)["state"] == "done", 5, "it is cancelled")
    assert newest(mill_r)["reason"] == "its process is gone"


def test_terminal(mill_r):
    """^C is the command's; what it makes of it is the result. The size of the terminal is its own."""
    t = Terminal(mill_r, "run", "--", "/bin/sh", "-c", 'trap "echo caught; exit 3" INT; echo ready; while :; do sleep 0.05; done',
                 env=where(mill_r), columns=91)
    t.read("ready")
    t.type("\x03")
    t.read("caught")
    assert t.end() == 3
    t = Terminal(mill_r, "run", "--", "/bin/sh", "-c", "stty size; exec sleep 60", env=where(mill_r), columns=91)
    t.read("24 91")
    t.type("\x03")
    assert t.end() == -signal.SIGINT
    assert newest(mill_r)["exit_signal"] == signal.SIGINT


def processes(pid):
    """(process, state) of all that come from it."""
    out = subprocess.run(["ps", "-o", "pid=,stat=", "--ppid", str(pid)], stdout=subprocess.PIPE, text=True).stdout
    found = [(int(l.split()[0]), l.split()[1][0]) for l in out.splitlines()]
    return found + [f for p, _ in found for f in processes(p)]


def shell(mill):
    """One with job control, on a terminal."""
    t = Terminal(mill, command=["/bin/bash", "--noprofile", "--norc", "-i"], env=where(mill, PS1="PROMPT ", HISTFILE=None))
    t.read("PROMPT ")
    return t


def line_of(*argv):
    return shlex.join(argv_of(["run", *argv])) + "\n"


def sockets(pid):
    """Those that it has open."""
    links = []
    for fd in os.listdir("/proc/%d/fd" % pid):
        with contextlib.suppress(FileNotFoundError):  # closed just now
            links.append(os.readlink("/proc/%d/fd/%s" % (pid, fd)))
    return {l for l in links if l.startswith("socket:")}


def connected(pid):
    """Those of them that have another end."""
    rows = [line.split() for line in open("/proc/net/unix")][1:]
    return sockets(pid) & {"socket:[%s]" % r[6] for r in rows if r[5] == "03"}


def test_job_control(mill_r):
    """In a shell with job control: ^Z stops both, fg goes on with both."""
    t = shell(mill_r)
    t.type(line_of("--", "/bin/cat"))
    id_ = job(mill_r, "running")
    t.type("one\n")
    t.read("one\r\none\r\n")
    t.type("\x1a")
    t.read("Stopped")
    assert mill_r.state(id_) == "running"
    t.shown = ""
    t.type("fg\n")
    t.read("/bin/cat\r\n")
    until(lambda: {s for _, s in processes(t.process.pid)} == {"S"}, 10, "both go on")
    t.type("two\n")
    t.read("two\r\ntwo\r\n")
    t.type("\x04")
    assert mill_r.result(id_) == "success"
    t.type("exit 5\n")
    assert t.end() == 5


def test_background(mill_r):
    """The terminal is the shell's when the command ends there."""
    release = mill_r.out / "release"
    t = shell(mill_r)
    t.type(line_of("--", "/bin/sh", "-c", "until test -e %s; do sleep 0.05; done" % release))
    id_ = job(mill_r, "running")
    until(lambda: len(processes(t.process.pid)) >= 2, 10, "the command runs")
    t.type("\x1a")
    t.read("Stopped")
    t.shown = ""
    t.type("bg\n")
    t.read("PROMPT ")
    release.touch()
    assert mill_r.result(id_) == "success"
    until(lambda: processes(t.process.pid) == [], 10, "the tool has ended")
    t.type("echo al''ive; exit 5\n")
    assert t.end() == 5 and "alive" in t.shown


def test_interrupt_ends_a_script(mill_r):
    t = Terminal(mill_r, command=["/bin/bash", "-c", line_of("--", "/bin/sh", "-c", "echo be''gun; exec sleep 60") + "echo went on"],
                 env=where(mill_r))
    t.read("begun")
    t.type("\x03")
    assert t.end() == -signal.SIGINT and "went on" not in t.shown
    assert newest(mill_r)["exit_signal"] == signal.SIGINT


def test_signals_are_passed_on(mill_r):
    """Those that are sent to the tool, also by somebody of its own process group."""
    names = "HUP", "INT", "QUIT", "USR1", "USR2"
    script = "".join("trap 'echo %s' %s; " % (n, n) for n in names) + "trap 'exit 3' TERM; echo ready; while :; do sleep 0.02; done"
    p = start(mill_r, "--", "/bin/sh", "-c", script, stdout=subprocess.PIPE, text=True, before=["env", "--default-signal"])
    assert p.stdout.readline() == "ready\n"
    for name in names:
        p.send_signal(getattr(signal, "SIG" + name))
        assert p.stdout.readline() == name + "\n"
    p.terminate()
    assert p.wait(20) == 3
    p.stdout.close()


def test_children_are_ignored(mill_r):
    """By whoever started it."""
    p = start(mill_r, "--", "/bin/sh", "-c", "exit 3", before=["env", "--ignore-signal=CHLD"])
    assert p.wait(20) == 3
    p = start(mill_r, "--", "grep", "^SigIgn", "/proc/self/status", before=["env", "--ignore-signal=CHLD"], stdout=subprocess.PIPE, text=True)
    assert int(p.communicate()[0].split()[1], 16) >> signal.SIGCHLD - 1 & 1


def signals(pid, which):
    return int(re.search(r"^%s:\t(\w+)" % which, pathlib.Path("/proc/%d/status" % pid).read_text(), re.M)[1], 16)


def test_ignored_while_waiting(mill_r):
    """As under nohup: also where signals are held back, as while a line is written."""
    hold = mill_r.submit("exec sleep 60", "one")
    mill_r.reach(hold, "running")
    t = Terminal(mill_r, command=["env", "--ignore-signal=HUP", *argv_of(["run", "-q", "one", "--", "true"])], env=where(mill_r))
    t.read("waits: cap")
    fd = os.open("/proc/%d/fd/2" % t.process.pid, os.O_WRONLY | os.O_NOCTTY)
    termios.tcflow(fd, termios.TCOOFF)  # as by ^S, but at once: nothing can be written now
    mill_r.call("HoldJob", newest(mill_r)["id"])
    until(lambda: signals(t.process.pid, "SigBlk") >> signal.SIGINT - 1 & 1, 10, "it writes")
    t.process.send_signal(signal.SIGHUP)
    termios.tcflow(fd, termios.TCOON)
    os.close(fd)
    t.read("waits: held")
    mill_r.call("ReleaseJob", newest(mill_r)["id"])
    mill_r.call("CancelJob", hold)
    assert t.end() == 0


def test_command_is_stopped_alone(mill_r):
    p = start(mill_r, "--", "/bin/sh", "-c", "echo $$; kill -STOP $$; exit 4", stdout=subprocess.PIPE, start_new_session=True)
    child = int(p.stdout.readline())
    until(lambda: processes(p.pid) == [(child, "T")], 10, "it is stopped")
    os.kill(child, signal.SIGCONT)
    assert p.wait(20) == 4
    p.stdout.close()


def test_stopped_while_waiting(mill_r):
    """Nobody is there to take its turn, then; and it asks again."""
    hold = mill_r.submit("exec sleep 60", "one")
    mill_r.reach(hold, "running")
    t = shell(mill_r)
    t.type(line_of("-q", "one", "--", "/bin/echo", "my turn"))
    t.read("waits: cap")
    [(pid, _)] = processes(t.process.pid)
    assert len(sockets(pid)) == 1
    t.type("\x1a")
    t.read("Stopped")
    assert sockets(pid) == set()
    assert newest(mill_r)["state"] == "ready"
    t.shown = ""
    t.type("fg\n")
    t.read("waits: cap")
    mill_r.call("CancelJob", hold)
    t.read("my turn\r\n")
    t.type("exit 5\n")
    assert t.end() == 5


def test_cancel_and_timeout(mill_r):
    p = start(mill_r, "-q", "one", "--", "/bin/sleep", "60", stderr=subprocess.PIPE)
    id_ = begun(mill_r, p)
    mill_r.call("CancelJob", id_)
    assert p.wait(20) == 125
    assert mill_r.result(id_) == "cancelled" and mill_r.info(id_)["exit_signal"] == signal.SIGTERM
    assert run(mill_r, "--timeout=1s", "-q", "one", "--", "/bin/sleep", "60").returncode == 124
    assert newest(mill_r)["result"] == "timeout"
    # Who does not end is killed, and we with it.
    p = start(mill_r, "-q", "one", "--stop-timeout=500ms", "--", "/bin/sh", "-c", 'trap "" TERM; echo begun; while :; do sleep 1; done', stdout=subprocess.PIPE)
    assert p.stdout.readline() == b"begun\n"
    id_ = job(mill_r, "running")
    mill_r.call("CancelJob", id_)
    assert p.wait(20) == -signal.SIGKILL
    p.stdout.close()
    assert mill_r.result(id_) == "cancelled"


def test_cancelled_as_it_begins(mill_r):
    """The manager's SIGTERM was for all of the scope, and there was no command yet, but there will be one."""
    held = mill_r.folder / "held"
    held.touch()
    p = spawn(argv_of(["run", "-q", "one", "--", "sleep", "60"]), stdin=subprocess.DEVNULL,
              env=environment(mill_r, **where(mill_r, LD_PRELOAD=DAEMON.parent.parent / "tests/bus/libhold-fork.so", JOBMILL_HOLD_FORK=held,
                                              ASAN_OPTIONS=os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0")))
    id_ = job(mill_r, "running")
    until(lambda: signals(p.pid, "SigBlk") >> signal.SIGUSR1 - 1 & 1, 10, "it is about to fork")
    mill_r.call("CancelJob", id_)
    until(lambda: signals(p.pid, "ShdPnd") >> signal.SIGTERM - 1 & 1, 10, "it is told to end")
    held.unlink()
    assert p.wait(20) == 125
    assert mill_r.result(id_) == "cancelled"


@pytest.mark.parametrize("go", [True, False])
def test_cancelled_before_it_begins(mill_r, tmp_path, go):
    """The manager's SIGTERM comes before, or with, the word that it may go, or need not: nothing is begun, and it says so."""
    hold = mill_r.submit("exec sleep 60", "one")
    mill_r.reach(hold, "running")
    p = start(mill_r, "-q", "one", "--", "touch", tmp_path / "begun")
    id_ = job(mill_r, "ready")
    p.send_signal(signal.SIGSTOP)
    mill_r.systemd.do("hold_scopes", hold=not go)
    mill_r.call("CancelJob", hold)
    mill_r.reach(id_, "running" if go else "starting")
    mill_r.call("CancelJob", id_)
    mill_r.systemd.do("hold_scopes", hold=False)
    assert mill_r.wait(id_)[0] == "cancelled"
    p.send_signal(signal.SIGCONT)
    assert p.wait(20) == 125 and not (tmp_path / "begun").exists()


def test_killed(mill_r):
    """Who would have told is gone: what is left in the scope is killed, and only then the slot is free."""
    p = start(mill_r, "-q", "one", "--", "/bin/sh", "-c", "echo $$; exec sleep 60", stdout=subprocess.PIPE)
    child = int(p.stdout.readline())
    id_ = job(mill_r, "running")
    until(lambda: child in mill_r.systemd.do("members", name=scope(id_)), 5, "the fake knows the child")
    p.kill()
    p.wait()
    p.stdout.close()
    assert mill_r.wait(id_)[0] == "lost"
    assert mill_r.info(id_)["reason"] == "its process is gone"
    until(lambda: not alive(child), 5, "its child is killed")
    assert run(mill_r, "-q", "one", "--", "true").returncode == 0


def test_daemon_restarted(mill_r):
    """While it waits, and while the command runs."""
    hold = mill_r.submit("exec sleep 60", "one")
    mill_r.reach(hold, "running")
    p = start(mill_r, "-q", "one", "--", "/bin/sh", "-c", "read x; exit 9", stderr=subprocess.PIPE)
    id_ = job(mill_r, "ready")
    mill_r.restart()
    mill_r.call("CancelJob", hold)
    assert p.wait(20) == 1 or p.returncode == 9  # its standard input is at its end
    assert mill_r.info(id_)["exit_status"] == p.returncode
    r, w = os.pipe()
    p = spawn(argv_of(["run", "-q", "one", "--", "/bin/sh", "-c", "read x; exit 9"]), env=environment(mill_r, **where(mill_r)), stdin=r)
    os.close(r)
    id_ = job(mill_r, "running")
    mill_r.kill()
    os.write(w, b"\n")
    os.close(w)
    mill_r.start()
    assert p.wait(20) == 9
    assert mill_r.result(id_) == "exit-code" and mill_r.info(id_)["exit_status"] == 9


@pytest.mark.parametrize("late", [False, True])
def test_others_take_all_places(mill_r, late):
    """After a restart: it takes its own at once; and where it cannot it tells later."""
    r, w = os.pipe()
    p = spawn(argv_of(["run", "--", "/bin/sh", "-c", "read x; exit 9"]), env=environment(mill_r, **where(mill_r)), stdin=r)
    os.close(r)
    id_ = begun(mill_r, p)
    before = sockets(p.pid)
    if late:
        p.send_signal(signal.SIGSTOP)
    (mill_r.folder / "config/jobmill.conf").write_text("[Daemon]\nSocketConnectionsMax=16\n")
    mill_r.restart()
    until(lambda: late or connected(p.pid) - before, 10, "it is connected again")
    others = [socket.socket(socket.AF_UNIX) for _ in range(16)]
    for s in others:
        s.connect(str(mill_r.socket_path))
    mill_r.settled()
    os.write(w, b"\n")
    os.close(w)
    if late:
        until(lambda: [s for _, s in processes(p.pid)] == ["Z"], 10, "the command has ended")
        p.send_signal(signal.SIGCONT)
        until(lambda: processes(p.pid) == [], 10, "the tool knows it")
        time.sleep(0.2)
        for s in others:
            s.close()
    assert p.wait(20) == 9
    assert mill_r.result(id_) == "exit-code" and mill_r.info(id_)["exit_status"] == 9
    for s in others:
        s.close()


def test_daemon_hangs(mill_r):
    """^C ends the wait for it, also with more to be said than it takes."""
    mill_r.process.send_signal(signal.SIGSTOP)
    t = Terminal(mill_r, "run", "--", "/bin/echo", *["x" * 100000] * 10, env=where(mill_r))
    until(lambda: sockets(t.process.pid), 10, "it is connected")
    t.type("\x03")
    assert t.end() == -signal.SIGINT
    mill_r.process.send_signal(signal.SIGCONT)


def test_daemon_away(mill_r):
    """For good: ^C ends the wait for it, the status is the command's, and the daemon says what it can know."""
    t = Terminal(mill_r, "run", "--", "/bin/sh", "-c", "echo begun; read x; exit 4", env=where(mill_r))
    t.read("begun")
    id_ = job(mill_r, "running")
    mill_r.kill()
    mill_r.listener.close()
    mill_r.socket_path.unlink()
    t.type("\n")
    until(lambda: not processes(t.process.pid), 10, "the command has ended")

    def interrupted():  # while the command was there it was for the command
        if t.process.poll() is None:
            t.type("\x03")
        return t.process.poll() is not None

    until(interrupted, 10, "it gives up", interval=0.1)
    assert t.end() == 4 and "how job %d ended is not recorded" % id_ in t.shown
    mill_r.listener = None
    mill_r.start()
    assert mill_r.result(id_) == "lost"


def test_refused(mill_r):
    for option in ("--array=3", "-o/tmp/x", "--payload=x", "--stdout=spool", "--at=tomorrow", "--attempts=2", "--uid=root"):
        p = run(mill_r, option, "--", "true")
        assert p.returncode == 125 and option[:2] in p.stderr, p
    p = run(mill_r, "-p", "PrivateTmp=yes", "--", "true")
    assert p.returncode == 125 and "PrivateTmp" in p.stderr
    mill_r.queue("boxed", Slots=1, AllowUsers="*")
    mill_r.queue("boxed", "Service", drop_in="box.conf", PrivateTmp="yes")
    mill_r.queue("w", Slots=1, AllowUsers="*", Executor="worker")
    mill_r.call("Reload")
    p = run(mill_r, "-q", "boxed", "--", "true")
    assert p.returncode == 125 and "PrivateTmp" in p.stderr
    p = run(mill_r, "-q", "w", "--", "true")
    assert p.returncode == 125 and "Executor=" in p.stderr
    assert mill_r.jobs() == []


def test_of_a_done_one(mill_r):
    """It cannot be had again without its process; its log is none."""
    assert run(mill_r, "--", "false").returncode == 1
    id_ = newest(mill_r)["id"]
    p = tool(mill_r, "retry", id_, check=False)
    assert p.returncode == 1 and "foreground" in p.stderr
    p = tool(mill_r, "logs", id_, check=False)
    assert (p.returncode, p.stdout) == (0, "") and "terminal" in p.stderr
    assert tool(mill_r, "retry", "--dead", "-y", check=False).returncode == 0
    assert mill_r.state(id_) == "done"


def test_stopped_outside(mill_r):
    p = start(mill_r, "--", "/bin/sleep", "60")
    id_ = begun(mill_r, p)
    mill_r.systemd.do("stop", name=scope(id_))
    assert p.wait(20) == 125
    assert (mill_r.result(id_), mill_r.info(id_)["reason"]) == ("cancelled", "stopped outside jobmill")


@pytest.mark.parametrize("version", ["252.39-fake", "257.9-fake"])
def test_start_is_late(mill_r, version):
    """The daemon dies in between: the scope is adopted, or asked for again, and the process is told all the same."""
    mill_r.systemd.do("version", version=version)
    mill_r.restart()
    mill_r.settled()
    mill_r.systemd.do("hold_scopes", hold=True)
    p = start(mill_r, "-q", "one", "--", "true")
    id_ = job(mill_r, "starting")
    mill_r.restart()
    mill_r.systemd.do("hold_scopes", hold=False)
    assert p.wait(20) == 0
    mill_r.systemd.fault("StartTransientUnit", "never", count=1)
    p = start(mill_r, "-q", "one", "--", "true")
    id_ = job(mill_r, "starting")
    mill_r.restart()
    assert p.wait(20) == 0
    assert mill_r.result(id_) == "success" and mill_r.systemd.do("counts")["starts"][scope(id_)] == 1


def test_manager_comes_back(mill_r):
    """The bus to it lost, and a reload: the command runs on."""
    r, w = os.pipe()
    p = spawn(argv_of(["run", "--", "/bin/sh", "-c", "read x; exit 2"]), env=environment(mill_r, **where(mill_r)), stdin=r)
    os.close(r)
    id_ = job(mill_r, "running")
    mill_r.systemd.do("reexec")
    mill_r.systemd.do("reloading")
    mill_r.settled()
    assert mill_r.state(id_) == "running"
    os.close(w)
    assert p.wait(20) == 2
    assert mill_r.result(id_) == "exit-code"


def test_reboot(mill_r):
    p = start(mill_r, "--", "/bin/sleep", "60")
    id_ = job(mill_r, "running")
    mill_r.systemd.do("reboot")
    assert mill_r.result(id_) == "lost"
    p.wait()


# ---- who it is ----


def test_of_the_socket(mill_r, peer):
    p = peer()
    id_, go = p.turn(name="by hand")
    assert go["attempt"] == 1 and "JOBMILL_JOB_ID=%d" % id_ in go["environment"]
    unit = mill_r.systemd.do("units", pattern="*.scope")[scope(id_)]
    assert (unit["active"], unit["slice"]) == ("active", "jobmill-default.slice")
    assert unit["settings"]["Description"] == "jobmill job %d (by hand)" % id_
    assert unit["settings"]["Documentation"] == ["info:jobmill/" + TOKEN % 1 + "/0"]
    assert p.exited(id_, exit_status=3)["parameters"] == {"result": "exit-code"}
    assert p.exited(id_, exit_status=3)["parameters"] == {"result": "exit-code"}  # the answer was lost
    assert mill_r.info(id_)["exit_status"] == 3
    for wrong in ({}, {"exit_status": 1, "exit_signal": 2}, {"exit_status": 256}, {"exit_signal": 0}, {"error": "a\nb"}):
        other = peer()
        o, _ = other.turn(token=2)
        assert other.exited(o, token=2, **wrong)["error"] == "org.varlink.service.InvalidParameter"
        assert other.exited(o, token=2, exit_status=0)["parameters"]["result"] == "success"
        other.close()


def test_stopped_once(mill_r, peer):
    """By a signal of long ago: how the command ended says more."""
    p = peer()
    id_, _ = p.turn()
    assert p.exited(id_, exit_status=3, stopped=True)["parameters"] == {"result": "exit-code"}
    id_, _ = p.turn(token=2)
    answer = p.exited(id_, token=2, exit_signal=signal.SIGTERM, stopped=True)["parameters"]
    assert answer == {"result": "cancelled", "reason": "stopped outside jobmill"}


@pytest.mark.parametrize("version", ["252.39-fake", "257.9-fake"])
def test_limits(mill_r, peer, version):
    """Whom PID 1 is given by a number is limited when it is sure that it is the one; it goes only then."""
    mill_r.systemd.do("version", version=version)
    mill_r.restart()
    mill_r.settled()
    mill_r.systemd.do("hold_scopes", hold=True)
    p = peer()
    id_ = p.ask(properties=["MemoryMax=64M"])["parameters"]["id"]
    until(lambda: scope(id_) in mill_r.systemd.do("units", pattern="*.scope"), 5, "the scope is asked for")
    settings = mill_r.systemd.do("units", pattern="*.scope")[scope(id_)]["settings"]
    assert ("MemoryMax" in settings) == (version > "255")
    if version < "255":
        mill_r.systemd.fault("SetUnitProperties", "refuse", count=1, match="*.scope", error="org.freedesktop.DBus.Error.NoMemory")
    mill_r.systemd.do("hold_scopes", hold=False)
    p.until("go")
    assert mill_r.systemd.do("units", pattern="*.scope")[scope(id_)]["settings"]["MemoryMax"] == 64 << 20


def test_lies(mill_r, peer):
    """A token is of one process only, whatever is said with it."""
    p, other = peer(), peer()
    id_, _ = p.turn()
    foreign = "org.jobmill.ForeignProcess"
    assert other.ask()["error"] == foreign
    assert other.exited(id_, exit_status=0)["error"] == foreign
    assert other.exited(id_, token=5, exit_status=0)["error"] == "org.jobmill.NoSuchAttempt"
    assert other.exited(id_, attempt=2, exit_status=0)["error"] == "org.jobmill.NoSuchAttempt"
    assert other.exited(id_ + 1, exit_status=0)["error"] == "org.jobmill.NoSuchAttempt"
    assert mill_r.state(id_) == "running"
    for field, value in (("array", 2), ("payload", "x"), ("environment", ["A=b"]), ("max_attempts", 2), ("delay_usec", 1),
                         ("output_file", "/x"), ("stdout", "spool"), ("request_id", "x"), ("uid", 0), ("unique_policy", "return")):
        answer = other.ask(token=3, **{field: value, **({"unique_key": "k"} if field == "unique_policy" else {})})
        assert answer["error"] == "org.jobmill.InvalidSpec" and field in answer["parameters"]["message"], answer
    assert len(mill_r.jobs()) == 1


def test_forked(mill_r, peer):
    """Its child holds the socket: that is not the process."""
    p = peer()
    hold = mill_r.submit("exec sleep 60", "one")
    mill_r.reach(hold, "running")
    id_ = p.ask(queue="one")["parameters"]["id"]
    p.do("fork")
    assert mill_r.wait(id_)[0] == "cancelled" and mill_r.info(id_)["reason"] == "its process is gone"
    p.do("again")  # the child, by itself
    assert "id" in p.ask(token=2, queue="one")["parameters"]


def test_dead_peer(mill_r, peer):
    """Who connected is gone; another one has his descriptor."""
    p = peer()
    p.do("fork")
    p.process.wait()
    assert p.ask()["error"] == "org.jobmill.ForeignProcess"
    assert mill_r.jobs() == []


@pytest.mark.root
def test_other_user(mill_r, peer):
    """One that became somebody else after it connected."""
    p = peer()
    p.do("os.setresuid(1, 1, 0)")
    assert p.ask()["error"] == "org.jobmill.ForeignProcess"
    assert mill_r.jobs() == []
    hold = mill_r.submit("exec sleep 60", "one")
    mill_r.reach(hold, "running")
    p = peer()
    id_ = p.ask(queue="one")["parameters"]["id"]
    p.do("os.setresuid(1, 1, 0)")
    p.do("s.sendall(b'')")
    until(lambda: "\t1\t" in open("/proc/%d/status" % p.process.pid).read(), 5, "it is another user's")
    mill_r.call("CancelJob", hold)
    assert mill_r.wait(id_)[0] == "exec" and "alone" in mill_r.info(id_)["reason"]
    assert scope(id_) not in mill_r.systemd.do("counts")["starts"]


def test_gone_before_its_scope(mill_r, peer):
    """PID 1 was given a number: what is in the scope may be somebody else, who is not touched."""
    mill_r.systemd.do("hold_scopes", hold=True)
    p = peer()
    id_ = p.ask(queue="one")["parameters"]["id"]
    mill_r.reach(id_, "starting")
    other = spawn(["/bin/sleep", "60"])
    until(lambda: mill_r.systemd.do("replace_pid", name=scope(id_), pid=other.pid), 5, "the scope is asked for")
    p.close()
    mill_r.systemd.do("hold_scopes", hold=False)
    assert mill_r.wait(id_)[0] == "cancelled"
    assert mill_r.queue_properties("one")["SlotsUsed"] == 1
    assert other.poll() is None
    end(other)
    until(lambda: mill_r.queue_properties("one")["SlotsUsed"] == 0, 10, "the scope is empty")
    assert scope(id_) not in [c[0] for m in ("KillUnit", "StopUnit") for c in mill_r.systemd.do("calls", method=m)]


@pytest.mark.parametrize("waited_for", [False, True])
def test_killed_before_its_scope(cgroups, mill_r, waited_for):
    """Of one that was not waited for by who started it, its number is there still: PID 1 makes a scope that nobody comes into."""
    mill_r.systemd.do("hold_scopes", hold=True)
    p = start(mill_r, "-q", "one", "--", "true")
    id_ = job(mill_r, "starting")
    until(lambda: scope(id_) in mill_r.systemd.do("units", pattern="*.scope"), 10, "the scope is asked for")
    events = cgroups / "jobmill.slice/jobmill-one.slice" / scope(id_) / "cgroup.events"
    events.parent.mkdir(parents=True)
    events.write_text("populated 0\nfrozen 0\n")
    p.kill()
    os.waitid(os.P_PID, p.pid, os.WEXITED | (0 if waited_for else os.WNOWAIT))
    mill_r.systemd.do("hold_scopes", hold=False)
    assert mill_r.wait(id_)[0] == "cancelled"
    until(lambda: mill_r.queue_properties("one")["SlotsUsed"] == 0, 10, "its slot is free")
    until(lambda: not mill_r.systemd.do("units", pattern="*.scope"), 10, "the scope is gone")


@pytest.mark.parametrize("known", [True, False])
def test_empty_scope(cgroups, mill_r, known):
    """PID 1 does not hear that it is, as when it executes itself anew in that moment."""
    p = start(mill_r, "-q", "one", "--", "/bin/sh", "-c", "exec sleep 60")
    id_ = job(mill_r, "running")
    children = until(lambda: processes(p.pid), 10, "the command runs")
    events = cgroups / "jobmill.slice/jobmill-one.slice" / scope(id_) / "cgroup.events"
    events.parent.mkdir(parents=True)
    events.write_text("populated 1\nfrozen 0\n")
    mill_r.systemd.do("be_deaf", deaf=True)
    if not known:  # a store that is new: it is a stray
        mill_r.kill()
        for f in mill_r.folder.glob("state/*"):
            f.unlink()
        mill_r.start()
        until(lambda: mill_r.stats()["strays"] == 1, 10, "it is a stray")
    p.kill()
    for pid, _ in children:
        os.kill(pid, signal.SIGKILL)
    p.wait()
    until(lambda: not any(alive(pid) for pid, _ in children), 10, "all are dead")
    events.write_text("populated 0\nfrozen 0\n")
    if known:
        assert mill_r.wait(id_)[0] == "lost" and mill_r.info(id_)["reason"] == "its process is gone"
    else:
        mill_r.systemd.do("reloading")
    until(lambda: mill_r.queue_properties("one")["SlotsUsed"] == 0, 10, "its slot is free")
    until(lambda: not mill_r.systemd.do("units", pattern="*.scope"), 10, "the scope is gone")


def test_second_of_a_process(mill_r, peer):
    """One process is in one scope."""
    p = peer()
    id_, _ = p.turn()
    answer = p.ask(token=2)
    assert answer["error"] == "org.jobmill.NotAllowed" and str(id_) in answer["parameters"]["message"]
    assert p.exited(id_, exit_status=0)["parameters"]["result"] == "success"
    assert p.turn(token=2)[0] == id_ + 1


def test_moved(mill_r, peer):
    """Out of its scope, and it minds nothing: when it is to end, it ends."""
    p = peer()
    id_, _ = p.turn(queue="one", stop_timeout_usec=500_000)
    mill_r.systemd.do("empty_scope", name=scope(id_))
    until(lambda: scope(id_) not in mill_r.systemd.do("units", pattern="*.scope"), 5, "the scope is gone")
    mill_r.call("CancelJob", id_)
    assert mill_r.wait(id_)[0] == "cancelled"
    assert p.process.wait(30) == -signal.SIGKILL
    until(lambda: mill_r.queue_properties("one")["SlotsUsed"] == 0, 5, "its slot is free")


def test_not_connected(mill_r, peer):
    """It is not chosen, and others are, until it is back."""
    hold = mill_r.submit("exec sleep 60", "one")
    mill_r.reach(hold, "running")
    p = peer()
    id_ = p.ask(queue="one")["parameters"]["id"]
    p.hang_up()
    other = mill_r.submit("true", "one")
    mill_r.call("CancelJob", hold)
    assert mill_r.result(other) == "success"
    until(lambda: mill_r.info(id_)["reason"] == "its process is not connected", 10, "that is said")
    p.do("again")
    p.send("Run", protocol=1, token=TOKEN % 1, id=id_)
    assert p.until("go")["attempt"] == 1


def test_told_while_much_changes(mill_r, peer):
    """Soon after the first change, however many come behind it."""
    hold = mill_r.submit("exec sleep 60", "one")
    mill_r.reach(hold, "running")
    p = peer()
    p.ask(queue="one")
    p.do("read")

    def told():
        mill_r.submit("true", hold=True)
        return select.select([p.process.stdout], [], [], 0.05)[0]

    until(told, 10, "it is told why it waits", interval=0)
    assert json.loads(p.process.stdout.readline())["parameters"] == {"waiting": "cap of one: 1 of 1"}


def many(mill, peer, uid, n):
    """So many that keep no connection; what the next one is told."""
    hold = mill.submit("exec sleep 60", "one")
    mill.reach(hold, "running")
    for i in range(n):
        p = peer(uid)
        assert "id" in p.ask(token=i + 1, queue="one")["parameters"]
        p.hang_up()
    until(lambda: len(mill.jobs(state="ready")) == n, 5, "all wait")
    answer = peer(uid).ask(token=n + 1, queue="one")
    assert answer["error"] == "org.jobmill.TooMany"
    assert len(mill.jobs(state="ready")) == n
    return answer["parameters"]["message"]


@pytest.mark.root
def test_many_of_a_user(mill_r, peer):
    (mill_r.folder / "config/jobmill.conf").write_text("[Daemon]\nSocketConnectionsPerUserMax=2\n")
    mill_r.restart()
    mill_r.settled()
    assert "SocketConnectionsPerUserMax=" in many(mill_r, peer, 1, 2)
    assert "id" in peer().ask(token=9)["parameters"]


def test_descriptors(mill_r, peer):
    """Each that waits takes one of the daemon's; those for all else are left."""
    resource.prlimit(mill_r.process.pid, resource.RLIMIT_NOFILE, (256 + 4, 256 + 4))
    assert "SocketConnectionsMax=" in many(mill_r, peer, None, 4)


@pytest.mark.root
def test_other_user_in_its_scope(mill_r, peer):
    """It became somebody else after it was given to the manager: it is not told to go."""
    mill_r.systemd.do("hold_scopes", hold=True)
    p = peer()
    id_ = p.ask(queue="one")["parameters"]["id"]
    mill_r.reach(id_, "starting")
    p.do("os.setresuid(1, 1, 0)")
    until(lambda: "\t1\t" in open("/proc/%d/status" % p.process.pid).read(), 5, "it is another user's")
    mill_r.systemd.do("hold_scopes", hold=False)
    assert mill_r.wait(id_)[0] == "exec" and "alone" in mill_r.info(id_)["reason"]


@pytest.mark.root
def test_whose_it_was(mill_r, peer):
    """What became of a job is told to its owner, whoever knows the token."""
    p, other = peer(), peer(1)
    id_, _ = p.turn()
    assert p.exited(id_, exit_status=0)["parameters"]["result"] == "success"
    assert other.exited(id_, exit_status=0)["error"] == "org.jobmill.NoSuchAttempt"
