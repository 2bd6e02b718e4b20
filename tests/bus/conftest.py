# SPDX-License-Identifier: LGPL-2.1-or-later
"""A real jobmilld on a private dbus-daemon, with a fake systemd and a fake polkit.

Bus and fakes live for the whole run and are reset for each test; each test has a daemon with an empty store of its own.
Nothing of the machine's own buses, systemd or configuration is touched. As root the system instance is tested, with
owners of jobs as they are; as another user the --user instance, and tests of other users' rights are skipped.

JOBMILL_BUILD: the build folder (default: build). JOBMILL_TEST_SLOW: a factor on all patience. JOBMILL_TEST_PATIENCE: how many seconds at least.
JOBMILL_EXTRAS: programs of others that tests make use of where they are must be there."""

import json
import os
import pathlib
import pwd
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import busfake  # noqa: E402
import client  # noqa: E402
import varlink  # noqa: E402

ROOT = HERE.parent.parent
DAEMON = pathlib.Path(os.environ.get("JOBMILL_BUILD", ROOT / "build")).resolve() / "src/jobmilld"
PYTHON = "/usr/bin/python3"
AS_ROOT = os.geteuid() == 0
SLOW = float(os.environ.get("JOBMILL_TEST_SLOW", "1"))
PATIENCE = float(os.environ.get("JOBMILL_TEST_PATIENCE", "20"))  # a machine may be busy; only what fails takes so long

INHERITED = ("PATH", "LANG", "ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS", "JOBMILL_LOG_LEVEL")

BUS_CONFIG = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>system</type>
  <listen>unix:path={folder}/bus</listen>
  <auth>EXTERNAL</auth>
  <limit name="max_connections_per_user">4096</limit>
  <limit name="max_completed_connections">4096</limit>
  <policy context="default">
    <allow user="*"/>
    <allow own="*"/>
    <allow send_type="method_call"/>
    <allow send_type="signal"/>
    <allow send_requested_reply="true" send_type="method_return"/>
    <allow send_requested_reply="true" send_type="error"/>
    <allow receive_type="method_call"/>
    <allow receive_type="signal"/>
    <allow receive_requested_reply="true" receive_type="method_return"/>
    <allow receive_requested_reply="true" receive_type="error"/>
  </policy>
</busconfig>
"""


def extra(program):
    """Whether that of others is there, which jobmill itself does without."""
    found = shutil.which(program)
    assert found or not os.environ.get("JOBMILL_EXTRAS"), "%s is missing" % program
    return found


def pytest_configure(config):
    config.addinivalue_line("markers", "root: needs root, as it acts as several users")
    config.addinivalue_line("markers", "plain: measures what is of another size with sanitizers")
    for s in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):  # ignored where the tests run in the background: what they start must not
        if signal.getsignal(s) == signal.SIG_IGN:
            signal.signal(s, signal.SIG_DFL)


def pytest_collection_modifyitems(items):
    for item in items:
        if item.get_closest_marker("root") and not AS_ROOT:
            item.add_marker(pytest.mark.skip(reason="needs root"))
        if item.get_closest_marker("plain") and "asan" in str(DAEMON):
            item.add_marker(pytest.mark.skip(reason="needs a build without sanitizers"))


def pytest_terminal_summary(terminalreporter):
    terminalreporter.config.get_terminal_writer().fullwidth = 500  # why each failed, whole: it may be all that is kept of a run


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    mill = getattr(item, "funcargs", {}).get("mill")
    if report.failed and mill:
        report.sections.append(("jobmilld's log (end)", mill.log_tail()))


def spawn(argv, **kwargs):
    return subprocess.Popen([str(a) for a in argv], preexec_fn=busfake.die_with_parent, **kwargs)


def end(process, timeout=20):
    if process.poll() is None:
        process.terminate()
    fd = os.pidfd_open(process.pid) if process.returncode is None else -1
    try:
        if fd >= 0:  # wait() with a time-out looks only now and then
            select.select([fd], [], [], timeout * SLOW)
        return process.wait(0.01)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise
    finally:
        if fd >= 0:
            os.close(fd)


def until(condition, timeout=10, what="", pump=None, interval=0.02):
    """Wait until condition() is true and return its value."""
    timeout = max(timeout, PATIENCE) * SLOW
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError("not within %g s: %s" % (timeout, what() if callable(what) else what or condition))
        if pump:
            pump(interval)
        else:
            time.sleep(interval)


@pytest.fixture(scope="session")
def folder():
    path = pathlib.Path(tempfile.mkdtemp(prefix="jobmill-bus-"))
    path.chmod(0o755)
    yield path
    # All else was ended before this: no process of ours may be left.
    try:
        until(lambda: not processes_of(path), 5, lambda: "all processes are gone, but %s" % processes_of(path))
    finally:
        for pid in processes_of(path):
            os.kill(pid, signal.SIGKILL)
        shutil.rmtree(path, ignore_errors=True)


def processes_of(folder):
    """{pid: command line} of what was started with anything in folder."""
    found = {}
    for proc in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            command = (proc / "cmdline").read_bytes()
            if str(folder).encode() in command + (proc / "environ").read_bytes() and proc.name != str(os.getpid()):
                found[int(proc.name)] = command
        except OSError:
            pass
    return found


class Bus:
    """A private bus, listening in folder."""

    def __init__(self, folder):
        self.config = folder / "bus.conf"
        self.config.write_text(BUS_CONFIG.format(folder=folder))
        self.address = "unix:path=%s/bus" % folder
        self.start()

    def start(self):
        self.process = spawn(["dbus-daemon", "--nofork", "--print-address=1", "--config-file=%s" % self.config],
                             stdout=subprocess.PIPE, text=True)
        assert self.process.stdout.readline().startswith("unix:")

    def end(self):
        end(self.process)


@pytest.fixture(scope="session")
def address(folder):
    """The private bus of all tests but those that restart it."""
    bus = Bus(folder)
    yield bus.address
    bus.end()


@pytest.fixture(scope="session")
def session_client(address):
    c = client.Client(address)
    yield c
    c.close()


class Fake:
    """A fake in its own process; fake.do("fault", method="StopUnit", action="never")."""

    def __init__(self, address, bus, script, name):
        self.bus = bus
        self.name = name
        self.process = spawn([PYTHON, HERE / script, address], stdout=subprocess.PIPE, text=True)
        assert self.process.stdout.readline() == "ready\n"

    def do(self, what, **arguments):
        text = self.bus.raw(self.name, busfake.CONTROL_PATH, busfake.CONTROL_INTERFACE, "Do", "s",
                            json.dumps([what, arguments]))
        return json.loads(text)

    def fault(self, method, action, **more):
        self.do("fault", method=method, action=action, **more)


@pytest.fixture(scope="session")
def systemd_process(address, session_client):
    fake = Fake(address, session_client, "fake_systemd.py", "org.jobmill.Fake.systemd")
    yield fake
    end(fake.process)


@pytest.fixture(scope="session")
def polkit_process(address, session_client):
    fake = Fake(address, session_client, "fake_polkit.py", "org.jobmill.Fake.polkit")
    yield fake
    end(fake.process)


@pytest.fixture
def systemd(systemd_process):
    yield systemd_process
    systemd_process.do("reset")


@pytest.fixture
def polkit(polkit_process):
    polkit_process.do("reset")  # the daemon of the test before may have asked on until it was stopped, after the reset below
    yield polkit_process
    polkit_process.do("reset")


class Remote:
    """Calls as another user, from a process of that user."""

    def __init__(self, address, uid):
        self.uid = uid
        self.process = spawn(["setpriv", "--reuid=%d" % uid, "--regid=%d" % uid, "--clear-groups", "--pdeathsig=KILL", PYTHON, "-c",
                              "import sys; sys.argv[0:1] = []; exec(sys.argv.pop())", "remote", address,
                              bundle()], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd="/")
        assert self.process.stdout.readline() == "ready\n"

    def send(self, member, *args):
        self.process.stdin.write(json.dumps([member, *args]) + "\n")
        self.process.stdin.flush()

    def receive(self):
        answer = json.loads(self.process.stdout.readline())
        if "error" in answer:
            raise client.BusError(answer["error"], answer["message"])
        return answer["result"]

    def call(self, member, *args):
        self.send(member, *args)
        return self.receive()

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


def bundle():
    """remote.py and what it imports as one text: another user may not be able to read the source tree."""
    parts = ["import sys, types\n"]
    for module in ("busfake", "client"):
        parts.append("m = types.ModuleType(%r); sys.modules[%r] = m; exec(%r, m.__dict__)\n"
                     % (module, module, (HERE / (module + ".py")).read_text()))
    parts.append("exec(%r, {'__name__': '__main__'})\n" % (HERE / "remote.py").read_text())
    return "".join(parts)


@pytest.fixture(scope="session")
def remotes(address):
    """remotes(name) is a client of that user. Users that every Debian and Fedora has: daemon, bin."""
    made = {}

    def get(name):
        if name not in made or made[name].process.poll() is not None:
            made[name] = Remote(address, pwd.getpwnam(name).pw_uid)
        return made[name]

    yield get
    for r in made.values():
        r.close()


class Mill:
    """A daemon with its folders. Not running until start()."""

    def __init__(self, folder, address, bus, systemd):
        self.folder = folder
        self.address = address
        self.bus = bus
        self.systemd = systemd
        self.process = None
        self.listener = None
        self.out = folder / "out"
        for name in ("config/queues", "state", "run", "out", "home"):
            (folder / name).mkdir(parents=True)
        (folder / "out").chmod(0o1777)
        (folder / "state").chmod(0o700)
        self.log_path = folder / "jobmilld.log"
        self.queue("default", Slots=4, AllowUsers="*")

    # -- the daemon --

    def environment(self):
        env = {k: v for k, v in os.environ.items() if k in INHERITED}
        # A status that no program of ours ends with, so that a leak is not taken for an error that was expected.
        env["ASAN_OPTIONS"] = "exitcode=99:" + env.get("ASAN_OPTIONS", "")
        f = self.folder
        env.update(DBUS_SYSTEM_BUS_ADDRESS=self.address, DBUS_SESSION_BUS_ADDRESS=self.address,
                   STATE_DIRECTORY=str(f / "state"), JOBMILL_RUNTIME_PATH=str(f / "run"),
                   JOBMILL_UNIT_PATH=str(f / "units"), JOBMILL_CONFIG_PATH="%s:%s:%s" % (f / "config", f / "run", f / "usr"), XDG_RUNTIME_DIR=str(f / "home"),
                   HOME=str(f / "home"), JOBMILL_EXEC_PATH=str(DAEMON.parent / "jobmill-exec"),
                   JOBMILL_RUNNER_PATH=str(DAEMON.parent / "jobmill-runner"),
                   XDG_STATE_HOME=str(f / "home/state"), XDG_CONFIG_HOME=str(f / "home/config"))
        return env

    def spawn(self, *options, **environment):
        log = open(self.log_path, "ab")
        argv = [DAEMON, *([] if AS_ROOT else ["--user"]), *options]
        stdin = subprocess.DEVNULL
        if self.listener:  # as socket activation gives it: descriptor 3, for this process
            argv = ["/bin/sh", "-c", 'LISTEN_PID=$$ LISTEN_FDS=1; export LISTEN_PID LISTEN_FDS; exec "$@" 3<&0 </dev/null', "sh", *argv]
            stdin = self.listener.fileno()
        self.process = spawn(argv, stdin=stdin, stdout=log, stderr=log, env={**self.environment(), **environment})
        log.close()

    def listen(self):
        """A socket for the daemons that are started from now on."""
        self.socket_path = self.folder / "org.jobmill"
        self.listener = varlink.listen(self.socket_path)

    def connect(self, **kwargs):
        return varlink.Connection(self.socket_path, **kwargs)

    def start(self, *options, **environment):
        self.spawn(*options, **environment)
        until(self.answers, 20, "jobmilld has its bus name", interval=0.01)
        return self

    def answers(self):
        assert self.process.poll() is None, "jobmilld exited with %s:\n%s" % (self.process.returncode, self.log_tail())
        if not self.bus.has_owner():
            return False
        try:
            self.call("GetStatistics", timeout=20)
            return True
        except client.BusError:
            return False

    def stop(self):
        """In order; a daemon that leaks or trips a sanitizer fails the test here."""
        rc = end(self.process)
        assert rc == 0, "jobmilld exited with %s:\n%s" % (rc, self.log_tail())
        text = self.log_path.read_text(errors="replace")
        assert "Sanitizer" not in text and "runtime error" not in text, self.log_tail(200)

    def kill(self):
        self.process.kill()
        self.process.wait()
        until(lambda: not self.bus.has_owner(), 5, "the bus saw jobmilld go", interval=0.005)

    def restart(self):
        self.kill()
        self.start()

    def settled(self):
        """Wait until it has looked at all units and starts jobs again."""
        until(lambda: self.stats()["dispatch"] == "", 10, "dispatch", interval=0.01)

    def log_tail(self, lines=60):
        try:
            return "\n".join(self.log_path.read_text(errors="replace").splitlines()[-lines:])
        except OSError:
            return "(none)"

    def queue(self, name, section="Queue", drop_in=None, **keys):
        """Write a queue file (before start, or Reload after)."""
        path = self.folder / "config/queues" / (name + ".queue")
        if drop_in:
            path = path.with_name(name + ".queue.d") / drop_in
            path.parent.mkdir(exist_ok=True)
        path.write_text("[%s]\n" % section + "".join("%s=%s\n" % kv for kv in keys.items()))
        return path

    # -- calls --

    def call(self, member, *args, timeout=30):
        return self.bus.call(member, *args, timeout=timeout * SLOW)

    def submit(self, command, queue="", **spec):
        """command: a list, or a text for sh. Returns the id."""
        argv = ["/bin/sh", "-c", command] if isinstance(command, str) else command
        return self.call("Submit", queue, argv, spec)[0]

    def submit_many(self, commands, queue="", **spec):
        return self.call("SubmitMany", [client.entry(queue, ["/bin/sh", "-c", c] if isinstance(c, str) else c, **spec)
                                        for c in commands])

    def wait(self, id_, timeout=15):
        """(result, outcome) of a job that must end."""
        timeout = max(timeout, 2 * PATIENCE)
        state, result, outcome = self.call("WaitJob", id_, int(timeout * SLOW * 1e6), timeout=timeout + 10)
        assert state == "done", "job %d is %s after %g s: %r" % (id_, state, timeout * SLOW, self.info(id_))
        return result, outcome

    def result(self, id_, timeout=15):
        return self.wait(id_, timeout)[0]

    def info(self, id_):
        return self.call("GetJobInfo", id_)

    def state(self, id_):
        return self.info(id_)["state"]

    def reach(self, id_, state, timeout=10):
        until(lambda: self.state(id_) == state, timeout, "job %d is %s" % (id_, state), interval=0.01)

    def jobs(self, limit=0, **filter_):
        """All pages of ListJobs."""
        rows, cursor = [], ""
        while True:
            page, cursor = self.call("ListJobs", filter_, cursor, limit)
            rows += page
            if not cursor:
                return rows

    def all_done(self, ids, timeout=30):
        """{id: result} once all have ended."""
        ids = list(ids)
        rows = {}

        def ended():
            rows.update({j["id"]: j for j in self.jobs(state="done", fields=["id", "result"])})
            return all(i in rows for i in ids)

        until(ended, timeout, "%d jobs done" % len(ids), interval=0.05)
        return {i: rows[i]["result"] for i in ids}

    def stats(self):
        return self.call("GetStatistics")

    def unit(self, id_, attempt=1):
        return "jobmill-job-%d-%d.service" % (id_, attempt)

    def queue_properties(self, name):
        return self.bus.get_all(client.PATH + "/queue/" + busfake.escape(name), client.NAME + ".Queue")

    def job_properties(self, id_):
        return self.bus.get_all(client.PATH + "/job/%d" % id_, client.NAME + ".Job")


_count = 0


@pytest.fixture
def mill(folder, address, session_client, systemd):
    """A daemon of this test alone; the test starts it."""
    global _count
    assert DAEMON.exists(), "no %s: build first, or set JOBMILL_BUILD" % DAEMON
    _count += 1
    path = folder / ("mill-%d" % _count)
    path.mkdir()
    m = Mill(path, address, session_client, systemd)
    session_client.signals.clear()
    yield m
    try:
        if m.process and m.process.poll() is None:
            systemd.do("clear_faults")
            m.stop()
    finally:
        if m.process and m.process.poll() is None:
            m.process.kill()
            m.process.wait()
        if m.listener:
            m.listener.close()
        until(lambda: not session_client.has_owner(), 5, "the bus saw jobmilld go", interval=0.005)
        shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def running(mill):
    """The same, started."""
    return mill.start()
