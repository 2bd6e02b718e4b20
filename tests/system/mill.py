# SPDX-License-Identifier: LGPL-2.1-or-later
"""jobmill on the system that the tests run in: submit jobs, wait for them, look at them, take things down under them.

The bus client is that of tests/bus. Everything here may be called while daemon or bus are being restarted: reading calls
are tried again until they are answered."""

import contextlib
import json
import os
import pathlib
import pwd
import re
import subprocess
import sys
import time

SOURCE = pathlib.Path(os.environ["JOBMILL_SOURCE"])
BUILD = pathlib.Path(os.environ["JOBMILL_BUILD"])
SANITIZERS = os.environ.get("JOBMILL_SANITIZERS") == "yes"
PYTHON = "/usr/bin/python3"
BUS_TESTS = SOURCE / "tests/bus"
sys.path.insert(1, str(BUS_TESTS))

import client  # noqa: E402
from client import BusError  # noqa: E402

# The same tests for a user's own instance: run as that user, in her session (test_user.py starts them so).
OF_USER = os.environ.get("JOBMILL_TEST_INSTANCE") == "user"
SYSTEM_BUS = "unix:path=/run/dbus/system_bus_socket"
BUS = os.environ["DBUS_SESSION_BUS_ADDRESS"] if OF_USER else SYSTEM_BUS
CONFIG = pathlib.Path.home() / ".config/jobmill/queues" if OF_USER else pathlib.Path("/etc/jobmill/queues")
RUNTIME_UNITS = pathlib.Path(os.environ["XDG_RUNTIME_DIR"], "systemd/user") if OF_USER else pathlib.Path("/run/systemd/system")
RUN = pathlib.Path(os.environ["XDG_RUNTIME_DIR"], "jobmill") if OF_USER else pathlib.Path("/run/jobmill")
SLOW = float(os.environ.get("JOBMILL_SLOW", 3 if SANITIZERS else 1))  # factor on all patience
USERS = ("alice", "bob", "robot")

# A process of another user: everything is imported while it is still root, who can read the source wherever it lies.
REMOTE = """
import os, pwd, sys
sys.path.insert(0, %r)
import remote
u = pwd.getpwnam(sys.argv.pop())
os.initgroups(u.pw_name, u.pw_gid); os.setgid(u.pw_gid); os.setuid(u.pw_uid)
remote.main(%g)
""" % (str(BUS_TESTS), 60 * SLOW)


def until(condition, timeout=10, what="", interval=0.03):
    """Wait until condition() is true and return its value. what: a text, or a function that says how it stands."""
    deadline = time.monotonic() + timeout * SLOW
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError("not within %g s: %s" % (timeout * SLOW, what() if callable(what) else what or condition))
        time.sleep(interval)


def run(*argv, check=True, timeout=60, **kwargs):
    """A command; its standard output as text, or with check=False the CompletedProcess."""
    kwargs.setdefault("stdin", subprocess.DEVNULL)
    if "input" in kwargs:
        del kwargs["stdin"]
    p = subprocess.run([str(a) for a in argv], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                       text=not isinstance(kwargs.get("input"), bytes), timeout=timeout * SLOW, **kwargs)
    assert not SANITIZERS or "Sanitizer" not in str(p.stderr), "%s\n%s" % (argv, p.stderr)
    if check:
        assert p.returncode == 0, "%s: exit status %d\n%s%s" % (argv, p.returncode, p.stdout, p.stderr)
        return p.stdout
    return p


def systemctl(*argv, **kwargs):
    return run("systemctl", *(["--user"] if OF_USER else []), *argv, **kwargs)


VERSION = int(re.match(r"systemd (\d+)", systemctl("--version")).group(1))


def unit_properties(unit, *names):
    """{name: value} as systemctl prints them."""
    text = systemctl("show", unit, *("--property=" + n for n in names))
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)


def intervals(file):
    """When the jobs ran that tests/system/overlap was: [(begin, end)]."""
    return [tuple(map(int, line.split()[:2])) for line in file.read_text().splitlines()] if file.exists() else []


def greatest_overlap(runs):
    """How many of them ran at once at most."""
    # An end sorts before a begin at the same moment: (time, +1 or -1).
    events = sorted([(b, 1) for b, _ in runs] + [(e, -1) for _, e in runs])
    now = most = 0
    for _, step in events:
        now += step
        most = max(most, now)
    return most


def job_units():
    """Names of all units of attempts that PID 1 has."""
    text = systemctl("list-units", "--all", "--plain", "--no-legend", "--full", "jobmill-job-*")
    return [line.split()[0] for line in text.splitlines()]


def what_is_left():
    """Those units, as systemctl and the journal tell of them."""
    units = job_units()
    return "%s\n%s" % (units, "\n".join(systemctl("--no-pager", "--full", "status", u, check=False).stdout +
                                         str(unit_properties(u, "ActiveState", "SubState", "Result", "Job", "FreezerState")) +
                                         run("journalctl", "--no-pager", "-n", "30", "UNIT=" + u, check=False).stdout for u in units[:3]))


def journal(*matches, since=None):
    """Entries as dictionaries, oldest first. What was just written may not be there yet: ask with until()."""
    run("journalctl", "--sync", check=not OF_USER)
    text = run("journalctl", "--output=json", "--all", "--quiet", "--no-pager",
               *(["--since=" + since] if since else []), *matches)
    return [json.loads(line) for line in text.splitlines()]


# What a sanitizer, an assertion or systemd says about a daemon that did not survive.
BAD = re.compile(r"Sanitizer|runtime error:|[Aa]ssertion|[Ww]atchdog timeout|code=dumped")


def nothing_bad_in_the_journal():
    """Of the daemon in all its lives so far. Also to be asked before the journal is emptied."""
    # Its children have names of their own.
    matches = ["_COMM=jobmilld", *(f + "=jobmilld.service" for f in ("_SYSTEMD_UNIT", "_SYSTEMD_USER_UNIT", "UNIT", "USER_UNIT"))]
    lines = [str(e.get("MESSAGE")) for e in journal(*" + ".join(matches).split())]
    bad = [line for line in lines if BAD.search(line)]
    assert not bad, "the daemon's journal has %s" % bad


def add_journal(report):
    """What the daemon said last, to the report of a test that failed."""
    if report.failed:
        log = run("journalctl", "--unit=jobmilld.service", "--no-pager", "--output=short-precise", "--lines=40", check=False)
        report.sections.append(("jobmilld's journal (end)", log.stdout))


def command(words):
    """A list, or a text for sh."""
    return ["/bin/sh", "-c", words] if isinstance(words, str) else [str(w) for w in words]


def expect(error, function, *args, **kwargs):
    """The call must fail with that error: a short name of ours or a full name. Returns the message."""
    try:
        value = function(*args, **kwargs)
    except BusError as e:
        assert error in (e.short, e.name), "%s instead of %s" % (e, error)
        return e.message
    raise AssertionError("no error %s, but %r" % (error, value))


class Remote:
    """Calls as another user, in a process of that user."""

    def __init__(self, user, address=SYSTEM_BUS):
        self.process = subprocess.Popen([PYTHON, "-c", REMOTE, address, user], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True, cwd="/")
        assert self.process.stdout.readline() == "ready\n"

    def call(self, member, *args):
        self.process.stdin.write(json.dumps([member, *args]) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        assert line, "the process of the other user has died"
        answer = json.loads(line)
        if "error" in answer:
            raise BusError(answer["error"], answer["message"])
        return answer["result"]

    def submit(self, words, queue="", **spec):
        return self.call("Submit", queue, command(words), spec)[0]

    def close(self):
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.kill()
        self.process.wait()


class Mill:
    """jobmilld of the system, called as root."""

    def __init__(self):
        self._client = None
        self._remotes = {}

    # -- calls --

    def call(self, member, *args, timeout=60):
        try:
            # A call on a connection whose end was not seen yet would wait for ever.
            if self._client:
                self._client.pump()
            if not self._client or not self._client.bus.get_is_connected():
                self._client = client.Client(BUS)
            return self._client.call(member, *args, timeout=timeout * SLOW)
        except client.dbus.DBusException as e:  # of the connection itself
            self._client = None
            raise BusError(e.get_dbus_name() or "org.freedesktop.DBus.Error.Disconnected", str(e)) from e
        except BusError as e:
            if e.name.endswith((".Disconnected", ".NoServer")):
                self._client = None
            raise

    def ask(self, member, *args, timeout=60):
        """A call that changes nothing: asked again while daemon or bus are away."""
        deadline = time.monotonic() + 20 * SLOW
        while True:
            try:
                return self.call(member, *args, timeout=timeout)
            except BusError as e:
                if e.name.startswith(client.ERROR) or time.monotonic() > deadline:
                    raise
                time.sleep(0.1)

    def user(self, name):
        """A Remote of that user."""
        r = self._remotes.get(name)
        if not r or r.process.poll() is not None:
            r = self._remotes[name] = Remote(name)
        return r

    def forget_users(self):
        """Their connections ended with the bus."""
        for r in self._remotes.values():
            r.close()
        self._remotes.clear()

    # -- jobs --

    def submit(self, words, queue="", **spec):
        """words: a list, or a text for sh. The id."""
        return self.call("Submit", queue, command(words), spec)[0]

    def submit_many(self, many, queue="", **spec):
        return self.call("SubmitMany", [client.entry(queue, command(words), **spec) for words in many])

    def info(self, id_):
        return self.ask("GetJobInfo", id_)

    def attempts(self, id_):
        return self.ask("ListAttempts", id_)

    def state(self, id_):
        return self.info(id_)["state"]

    def stats(self):
        return self.ask("GetStatistics")

    def jobs(self, **filter_):
        """All pages of ListJobs."""
        rows, cursor = [], ""
        while True:
            page, cursor = self.ask("ListJobs", filter_, cursor, 0)
            rows += page
            if not cursor:
                return rows

    def reach(self, id_, state, timeout=10):
        until(lambda: self.state(id_) == state, timeout, lambda: "%s: %s" % (state, self.info(id_)))
        return self.info(id_)

    def wait(self, id_, timeout=20):
        """The job, which must be done by then."""
        deadline = time.monotonic() + timeout * SLOW
        while True:
            left = max(0, deadline - time.monotonic())
            state = self.ask("WaitJob", id_, int(left * 1e6), timeout=left + 20)[0]
            if state == "done":
                return self.info(id_)
            assert time.monotonic() < deadline, "not done: %r" % self.info(id_)

    def wait_all(self, ids, timeout=60):
        deadline = time.monotonic() + timeout * SLOW
        return [self.wait(i, max(1, deadline - time.monotonic()) / SLOW) for i in ids]

    def run(self, words, queue="", timeout=20, **spec):
        """Submit and wait."""
        return self.wait(self.submit(words, queue, **spec), timeout)

    @staticmethod
    def unit(id_, attempt=1):
        return "jobmill-job-%d-%d.service" % (id_, attempt)

    def main_pid(self, id_):
        return int(unit_properties(self.unit(id_), "MainPID")["MainPID"])

    # -- queues --

    def write_queue(self, name, *lines, section="Queue", reload=True):
        """/etc/jobmill/queues/NAME.queue; gone after the test."""
        CONFIG.mkdir(parents=True, exist_ok=True)
        (CONFIG / (name + ".queue")).write_text("[%s]\n%s\n" % (section, "\n".join(lines)))
        if reload:
            self.call("Reload")
        return name

    def reload(self):
        """systemctl reload, and its end: that call's answer comes with the turn that has read the files."""
        systemctl("reload", "jobmilld.service")
        self.call("ResumeQueue", "default")

    def remove_queues(self):
        files = [*CONFIG.glob("*.queue"), *CONFIG.glob("*.queue.d/*.conf"), *CONFIG.parent.glob("jobmill.conf"),
                 *CONFIG.parent.glob("jobmill.conf.d/*.conf")]
        for f in files:
            f.unlink()
        if files:
            self.call("Reload")

    # -- the tool --

    def tool(self, *argv, user=None, check=False, **kwargs):
        """jobmill ARGV…: the CompletedProcess; with check=True its output."""
        if user:
            argv = ["runuser", "-u", user, "--", "jobmill", *argv]
            kwargs.setdefault("cwd", pwd.getpwnam(user).pw_dir)
        else:
            argv = ["jobmill", *(["--user"] if OF_USER else []), *argv]
        return run(*argv, check=check, **kwargs)

    # -- the daemon --

    def daemon_pid(self):
        return int(unit_properties("jobmilld.service", "MainPID")["MainPID"])

    def restart_daemon(self, kill=False):
        if kill:
            with self.down(kill=True):
                pass
        else:
            systemctl("reset-failed", "jobmilld.service")
            systemctl("restart", "jobmilld.service")

    @contextlib.contextmanager
    def down(self, kill=False):
        """The daemon is away, killed by SIGKILL or stopped in order, and started again afterwards. Calls inside would
        start it: ask PID 1 instead."""
        drop_in = RUNTIME_UNITS / "jobmilld.service.d/down.conf"
        drop_in.parent.mkdir(parents=True, exist_ok=True)
        drop_in.write_text("[Service]\nRestart=no\n")
        systemctl("daemon-reload")
        if kill:
            os.kill(self.daemon_pid(), 9)
            until(lambda: unit_properties("jobmilld.service", "ActiveState")["ActiveState"] == "failed", 10,
                  "jobmilld is dead")
        else:
            systemctl("stop", "jobmilld.service")
        try:
            yield
        finally:
            drop_in.unlink()
            systemctl("daemon-reload")
            systemctl("reset-failed", "jobmilld.service")
            systemctl("start", "jobmilld.service")

    def settled(self, timeout=20):
        """It has looked at all units and starts jobs."""
        until(lambda: self.stats()["dispatch"] == "", timeout, "dispatch")

    # -- at the end of a module --

    def drop_everything(self):
        """End what a failed test left running."""
        for j in self.jobs(state=["held", "waiting", "ready", "starting", "running", "stopping"], fields=["id"]):
            with contextlib.suppress(BusError):
                self.call("CancelJob", j["id"])
            with contextlib.suppress(BusError):
                self.call("KillJob", j["id"], 9)

    def no_units(self):
        until(lambda: not job_units(), 15, lambda: "no unit of a job is left, but %s" % what_is_left())
        until(lambda: self.stats()["attempts"] == 0, 15, lambda: "no slot is held: %s" % self.stats())
