# SPDX-License-Identifier: LGPL-2.1-or-later
"""jobmill --user: the same daemon on the session bus of a user, with her own service manager."""

import json
import os
import pathlib
import pwd
import shutil

import pytest

from mill import BUILD, SANITIZERS, SOURCE, run, systemctl, until
from terminal import Terminal

USER = "alice"


class Session:
    """alice's user manager, kept by lingering."""

    def __init__(self):
        self.uid = pwd.getpwnam(USER).pw_uid
        self.runtime = "/run/user/%d" % self.uid
        self.manager = "user@%d.service" % self.uid

    def run(self, *argv, check=True, **kwargs):
        return run("runuser", "-u", USER, "--", "env", "XDG_RUNTIME_DIR=" + self.runtime,
                   "DBUS_SESSION_BUS_ADDRESS=unix:path=%s/bus" % self.runtime, *argv, check=check, cwd="/home/" + USER, **kwargs)

    def tool(self, *argv, **kwargs):
        return self.run("jobmill", "--user", *argv, **kwargs)

    def show(self, id_):
        rows = json.loads(self.tool("list", "-j"))
        return next(r for r in rows if r["id"] == int(id_))

    def bus_is_there(self):
        return pathlib.Path(self.runtime, "bus").exists() and self.run("systemctl", "--user", "is-system-running", "--wait",
                                                                       check=False).returncode == 0


@pytest.fixture(scope="module")
def session():
    s = Session()
    run("loginctl", "enable-linger", USER)
    systemctl("start", s.manager)  # logind does not, where it is just about to stop the one of an earlier session
    until(s.bus_is_there, 20, "the user manager runs")
    s.run("systemctl", "--user", "enable", "--now", "jobmilld.service")
    yield s
    until(lambda: not s.run("systemctl", "--user", "list-units", "--all", "--plain", "--no-legend", "jobmill-job-*"), 10,
          "no unit is left in the user manager")
    s.run("systemctl", "--user", "stop", "jobmilld.service")
    result = s.run("systemctl", "--user", "show", "--property=Result", "jobmilld.service").strip()
    run("loginctl", "disable-linger", USER)
    systemctl("stop", s.manager)
    assert result == "Result=success"


def test_submit_wait_logs(session, folder):
    p = session.tool("submit", "--wait", "--", "sh", "-c", "exit 7", check=False)
    assert p.returncode == 7, p
    j = session.show(p.stdout.split()[0])
    assert (j["result"], j["exit_status"], j["owner"]) == ("exit-code", 7, session.uid)
    assert j["cpu_usec"] > 0
    # Alive while journald looks whose line it is (jobmill(1), logs).
    id_ = session.tool("submit", "--", "sh", "-c", "echo hello from her session; id -un; pwd; until [ -e %s/go ]; do sleep 0.1; done" % folder).strip()
    text = until(lambda: (lambda t: t if "/home/alice" in t else "")(session.tool("logs", id_)), 20, lambda: session.tool("logs", id_))
    assert "hello from her session" in text and "alice" in text
    (folder / "go").touch()
    session.tool("wait", id_)


def test_her_credential(session):
    """It is in her job, and in a file of her daemon's until then."""
    vault = pathlib.Path("/home/%s/.local/state/jobmill/credentials" % USER)
    session.run("sh", "-c", "umask 77; echo 'of her session' >token")
    try:
        read = 'grep -q "^of her session$" "$CREDENTIALS_DIRECTORY/token"'
        id_ = session.tool("submit", "--hold", "--credential", "token=token", "--", "sh", "-c", read).strip()
        kept = vault / id_ / "token"
        assert (kept.stat().st_uid, kept.stat().st_mode & 0o777) == (session.uid, 0o600)
        session.tool("release", id_)
        assert session.tool("wait", id_, check=False).returncode == 0
        until(lambda: not kept.exists(), 10, "a job that is over has none")
    finally:
        session.run("rm", "token")


def test_it_is_another_daemon(session, mill):
    id_ = session.tool("submit", "--hold", "--name", "only-here", "--", "true").strip()
    assert not mill.jobs(name="only-here")
    session.tool("cancel", id_)


def test_completion_of_hers(session):
    id_ = session.tool("submit", "--hold", "--name", "mine", "--", "true").strip()
    until(lambda: id_ + "\theld  mine" in session.run("jobmill", "__complete", "--", "--user", "release", "").splitlines(), 20, "it is offered")
    session.tool("cancel", id_)


def test_unit_is_in_her_manager(session):
    id_ = session.tool("submit", "--", "sleep", "60").strip()
    until(lambda: session.show(id_)["state"] == "running", 10, "it runs")
    unit = session.show(id_)["unit"]
    assert session.run("systemctl", "--user", "is-active", unit).strip() == "active"
    shown = session.run("systemctl", "--user", "show", "--property=Slice", "--property=Type", unit)
    assert "Slice=jobmill-default.slice" in shown and "Type=exec" in shown
    session.tool("cancel", id_)
    assert session.tool("wait", id_, check=False).returncode == 125


def test_queue_file_of_hers(session):
    folder = "/home/%s/.config/jobmill/queues" % USER
    session.run("mkdir", "-p", folder)
    session.run("sh", "-c", "printf '[Queue]\\nSlots=1\\n' >%s/mine.queue" % folder)
    session.run("systemctl", "--user", "reload", "jobmilld.service")
    session.tool("queue", "resume", "default")  # answered when that is through
    rows = {q["name"]: q for q in json.loads(session.tool("queue", "list", "-j"))}
    assert rows["mine"]["slots"] == 1
    session.tool("submit", "--wait", "-q", "mine", "--", "true")


def test_queue_set_by_her(session):
    """She owns it: no polkit, no right beyond. Files are hers, the slice is one of her manager's."""
    session.tool("queue", "set", "hers", "Slots=1", "MemoryMax=1G", "Service.Nice=5")
    session.tool("queue", "set", "hers", "Slots=2")
    session.tool("queue", "set", "--runtime", "hers", "TimeoutSec=1h")
    config, runtime = pathlib.Path("/home/%s/.config/jobmill/queues" % USER), pathlib.Path(session.runtime, "jobmill/queues")
    files = [config / "hers.queue", config / "hers.queue.d/50-jobmill-set.conf",
             runtime / "hers.queue.d/51-jobmill-set-runtime.conf"]
    assert all(f.stat().st_uid == session.uid for f in files)
    shown = session.tool("queue", "show", "hers")
    assert all(str(f) in shown for f in files) and "Slots: 2" in shown
    until(lambda: "MemoryMax=1073741824" in session.run("systemctl", "--user", "show", "--property=MemoryMax",
                                                        "jobmill-hers.slice"), 5, "the slice has its limit")
    assert session.tool("submit", "--wait", "-q", "hers", "--", "sh", "-c", "test $(nice) = 5")
    session.tool("queue", "remove", "hers")
    assert not any(f.exists() for f in files)


def test_her_configuration(session):
    """~/.config over $XDG_RUNTIME_DIR over /usr/lib; verified without a daemon; the store where she may write without a disk."""
    config, runtime = "/home/%s/.config/jobmill" % USER, session.runtime + "/jobmill"
    put = "mkdir -p $(dirname $0) && printf '%b' \"$1\" >$0"
    session.run("sh", "-c", put, runtime + "/queues/places.queue", "[Queue]\\nSlots=2\\n")
    session.run("sh", "-c", put, config + "/queues/places.queue.d/50.conf", "[Queue]\\nSlots=3\\n")
    session.run("sh", "-c", put, config + "/jobmill.conf", "[Daemon]\\nStorage=volatile\\nDefaultTimeoutSec=200ms\\n")
    try:
        p = session.tool("verify", check=False)
        assert (p.returncode, p.stderr) == (0, ""), "whom a queue of hers is for needs no saying"
        session.run("systemctl", "--user", "restart", "jobmilld.service")
        rows = {q["name"]: q for q in json.loads(session.tool("queue", "list", "-j"))}
        assert rows["places"]["slots"] == 3 and rows["default"]["slots"]
        stats = json.loads(session.tool("stats", "-j"))
        assert stats["storage"] == "volatile" and stats["done"] == 0
        store = pathlib.Path(runtime, "store")
        assert (store / "jobmill.db").exists() and store.stat().st_uid == session.uid and store.stat().st_mode & 0o77 == 0
        assert session.tool("submit", "--wait", "--", "sleep", "60", check=False).returncode == 124
        session.run("sh", "-c", put, config + "/jobmill.conf", "[Daemon]\\nStorage=ram\\n")
        p = session.tool("verify", check=False)
        assert p.returncode == 1 and p.stderr.startswith(config + "/jobmill.conf:2: [Daemon] Storage=")
    finally:
        session.run("rm", "-r", runtime + "/queues/places.queue", config + "/queues/places.queue.d", config + "/jobmill.conf")
        session.run("systemctl", "--user", "restart", "jobmilld.service")
    assert json.loads(session.tool("stats", "-j"))["storage"] == "persistent"


def test_daemon_killed_under_her_jobs(session):
    id_ = session.tool("submit", "--", "sh", "-c", "sleep 1.5; exit 4").strip()
    until(lambda: session.show(id_)["state"] == "running", 10, "it runs")
    session.run("systemctl", "--user", "kill", "--signal=KILL", "jobmilld.service")
    assert session.tool("wait", id_, check=False).returncode == 4


def test_manager_restarted(session, mill):
    """A new manager knows nothing of the old one's units: what ran is lost, what waited runs."""
    lost = session.tool("submit", "--", "sleep", "60").strip()
    until(lambda: session.show(lost)["state"] == "running", 10, "it runs")
    held = session.tool("submit", "--hold", "--", "true").strip()
    systemctl("restart", session.manager)
    until(session.bus_is_there, 20, "the user manager runs again")
    until(lambda: session.tool("wait", lost, check=False).returncode == 125, 10, "it is done")
    j = session.show(lost)
    assert (j["result"], j["reason"]) == ("lost", "shutdown"), j
    session.tool("release", held)
    assert session.tool("wait", held, check=False).returncode == 0


def test_state_is_hers(session):
    state = pathlib.Path("/home/%s/.local/state/jobmill" % USER)
    assert state.is_dir() and os.stat(state).st_uid == session.uid and os.stat(state).st_mode & 0o77 == 0


@pytest.mark.parametrize("module", ["results", "caps", "order", "inputs", "restart", "set_queue"])
def test_the_same_tests(session, module):
    """What is tested of the system's instance holds for hers: the same tests, run by her, with nothing of root."""
    tests = pathlib.Path("/var/tmp/jobmill-tests-of-" + USER)  # the source may lie where she cannot look
    shutil.rmtree(tests, ignore_errors=True)
    for d in ("system", "bus"):
        shutil.copytree(SOURCE / "tests" / d, tests / "tests" / d)
    shutil.copy(BUILD / "tests/system/overlap", tests / "tests/system/overlap")
    try:
        p = session.run("env", "JOBMILL_TEST_INSTANCE=user", "JOBMILL_SOURCE=%s" % tests, "JOBMILL_BUILD=%s" % tests,
                        "JOBMILL_SANITIZERS=%s" % ("yes" if SANITIZERS else "no"),
                        "/usr/bin/python3", "-m", "pytest", "-q", "-p", "no:cacheprovider", "--color=no",
                        tests / "tests/system" / ("test_%s.py" % module), check=False, timeout=200)
    finally:
        shutil.rmtree(tests)
    assert p.returncode == 0, p.stdout[-6000:] + p.stderr
    assert " passed" in p.stdout and "skipped" not in p.stdout


def test_lingering_is_explained_once(session):
    """On a terminal, and only while it matters. (The manager of the session goes on: something else holds it.)"""
    def submit():
        with Terminal("jobmill", "--user", "submit", "--", "true", user=USER, XDG_RUNTIME_DIR=session.runtime,
                      DBUS_SESSION_BUS_ADDRESS="unix:path=%s/bus" % session.runtime) as t:
            status, text = t.end()
        assert status == 0, text
        return "enable-linger" in text

    assert not submit()
    mark = pathlib.Path("/var/lib/systemd/linger", USER)
    mark.unlink()
    try:
        assert [submit(), submit()] == [True, False]
        assert "enable-linger" in session.tool()
    finally:
        mark.touch()


def test_files(session):
    """jobmill-exec in the user's own manager: a relative name is below the job's folder."""
    submit = ("busctl", "--user", "--", "call", "org.jobmill1", "/org/jobmill1", "org.jobmill1.Manager", "Submit", "sasa{sv}", "")
    id_ = session.run(*submit, "3", "sh", "-c", "echo out; echo err >&2", "3", "cwd", "s", "/home/" + USER,
                      "output_file", "s", "out.%j", "error_file", "s", "err").split()[1]
    session.tool("wait", id_)
    home = pathlib.Path("/home", USER)
    assert ((home / ("out.%s" % id_)).read_text(), (home / "err").read_text()) == ("out\n", "err\n")
    assert (home / "err").stat().st_uid == session.uid
    id_ = session.run(*submit, "1", "true", "1", "output_file", "s", "/root/x").split()[1]
    assert session.tool("wait", id_, check=False).returncode == 127
    assert session.show(id_)["reason"] == "cannot open output_file '/root/x': Permission denied"
