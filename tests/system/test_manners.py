# SPDX-License-Identifier: LGPL-2.1-or-later
"""How the tool behaves when things are not as they should be: ^C, a password is needed, the daemon hangs or is not there."""

import contextlib
import os
import pathlib
import signal
import subprocess
import time

import pytest

from mill import run, systemctl, unit_properties, until
from terminal import Terminal

PASSWORD = "a password of the test"


# ---- polkit asks on the terminal ----

ADMINISTRATOR = pathlib.Path("/etc/polkit-1/rules.d/00-test.rules")


@pytest.fixture(scope="module")
def password():
    """The administrator is root, who has a password. (Debian's are the members of a group that has none here.)"""
    shadow = pathlib.Path("/etc/shadow")
    before = shadow.read_text()
    run("chpasswd", input="root:%s\n" % PASSWORD)
    ADMINISTRATOR.parent.mkdir(parents=True, exist_ok=True)
    ADMINISTRATOR.write_text('polkit.addAdminRule(function(action, subject) { return ["unix-user:root"]; });\n')
    systemctl("restart", "polkit")
    yield
    shadow.write_text(before)
    ADMINISTRATOR.unlink()
    systemctl("restart", "polkit")


def test_polkit_asks_on_a_terminal(mill, password):
    mill.write_queue("asked", "Slots=1")
    with Terminal("jobmill", "queue", "pause", "asked", user="alice") as t:
        t.expect("AUTHENTICATING FOR org.jobmill1.manage-queues")
        t.expect("Password: ")
        t.type_secret(PASSWORD + "\n")
        status, text = t.end()
    assert status == 0, text
    assert "paused" in mill.tool("queue", "list", check=True)
    mill.call("ResumeQueue", "asked")
    # What root granted is forgotten, for the tests that follow.
    systemctl("restart", "polkit")


def test_polkit_asks_and_the_answer_is_wrong(mill, password):
    mill.write_queue("asked", "Slots=1")
    with Terminal("jobmill", "queue", "pause", "asked", user="alice") as t:
        t.expect("Password: ")
        t.type_secret("wrong\n")
        status, text = t.end(30)
    assert status == 1 and "Not authorized" in text, text
    assert "paused" not in mill.tool("queue", "list", check=True)


def agents():
    """The processes of polkit's agent."""
    found = []
    for p in pathlib.Path("/proc").glob("[0-9]*/comm"):
        with contextlib.suppress(OSError):
            if p.read_text() == "pkttyagent\n":
                found.append(p.parent.name)
    return found


def test_interrupt_while_polkit_asks(mill, password):
    mill.write_queue("asked", "Slots=1")
    with Terminal("jobmill", "queue", "pause", "asked", user="alice") as t:
        t.expect("Password: ")
        t.type("\x03")
        status, text = t.end()
    assert status == -signal.SIGINT, text
    until(lambda: not agents(), 10, "the agent is gone")
    assert "paused" not in mill.tool("queue", "list", check=True)


def test_no_ask_password(mill, password):
    mill.write_queue("asked", "Slots=1")
    with Terminal("jobmill", "--no-ask-password", "queue", "pause", "asked", user="alice") as t:
        status, text = t.end()
    assert status == 1 and "Password" not in text and "not allowed without authentication" in text


def test_nobody_is_asked_for_his_own_jobs(mill):
    with Terminal("jobmill", "submit", "--hold", "--", "true", user="alice") as t:
        status, text = t.end()
    assert status == 0
    with Terminal("jobmill", "cancel", "@last", user="alice") as t:
        assert t.end()[0] == 0
    assert mill.state(int(text.split()[-1])) == "done"


# ---- the daemon hangs, or is not there ----

@pytest.fixture
def hanging(mill):
    mill.stats()
    pid = int(unit_properties("jobmilld.service", "MainPID")["MainPID"])
    os.kill(pid, signal.SIGSTOP)
    yield pid
    os.kill(pid, signal.SIGCONT)
    mill.stats()


def test_a_daemon_that_hangs(mill, hanging):
    with Terminal("jobmill", "submit", "--", "true", user="alice") as t:
        t.expect("jobmilld has not answered yet; waiting")
        os.kill(hanging, signal.SIGCONT)
        status, text = t.end()
    assert status == 0
    assert mill.wait(int(text.split()[-1]))["result"] == "success"


@pytest.mark.parametrize("argv", [["list"], ["submit", "--", "true"], ["wait", "@last"], []], ids=lambda a: " ".join(a) or "overview")
def test_interrupt_while_the_daemon_hangs(mill, hanging, argv):
    with Terminal("jobmill", *argv, user="alice") as t:
        t.expect("waiting")
        t.type("\x03")
        assert t.end()[0] == -signal.SIGINT


def test_the_daemon_is_started_by_the_bus(mill):
    """Whoever asks finds it."""
    systemctl("stop", "jobmilld.service")
    assert mill.tool("queue", "list", user="alice").returncode == 0
    assert systemctl("is-active", "jobmilld.service").strip() == "active"


def test_the_daemon_cannot_be_started(mill):
    systemctl("mask", "--runtime", "--now", "jobmilld.service")
    try:
        p = mill.tool("list", user="alice")
    finally:
        systemctl("unmask", "--runtime", "jobmilld.service")
        systemctl("start", "jobmilld.service")
    assert p.returncode == 1 and p.stdout == "" and len(p.stderr.splitlines()) == 1
    assert "jobmilld" in p.stderr, p.stderr


# ---- ^C and broken pipes ----

@pytest.mark.parametrize("argv", [["wait"], ["logs", "-f"]], ids=lambda a: a[0])
def test_interrupt_what_waits_for_a_job(mill, argv):
    id_ = mill.submit("echo begun; exec sleep 600")
    mill.reach(id_, "running")
    with Terminal("jobmill", *argv, str(id_)) as t:
        if argv[0] == "logs":
            t.expect("begun")
        time.sleep(0.3)
        t.type("\x03")
        assert t.end()[0] == -signal.SIGINT
    assert mill.state(id_) == "running"
    mill.call("CancelJob", id_)
    mill.wait(id_)


@pytest.mark.parametrize("argv", [["list", "-n", "200"], ["list", "--json=pretty"], ["logs", "%d"], ["show", "%d"], ["help"], ["stats"]],
                         ids=lambda a: a[0] + "-" + a[-1].lstrip("-%"))
def test_nobody_reads(mill, argv):
    """The reader of a pipe goes away: no message, no core, as every tool that ends by SIGPIPE."""
    id_ = mill.run("seq 20000")["id"]
    p = subprocess.Popen(["jobmill", *(a.replace("%d", str(id_)) for a in argv)], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    p.stdout.close()
    assert p.wait(30) in (-signal.SIGPIPE, 0)
    assert p.stderr.read() == b""
    p.stderr.close()


@pytest.mark.parametrize("argv", [["list"], ["list", "-j"], ["help"], ["stats"], ["submit", "--", "true"]], ids=" ".join)
def test_a_full_disk(mill, argv):
    with open("/dev/full", "w") as full:
        p = subprocess.run(["jobmill", *argv], stdout=full, stderr=subprocess.PIPE, text=True)
    assert p.returncode == 1
    assert p.stderr.startswith("jobmill: ") and "No space left on device" in p.stderr, p.stderr
