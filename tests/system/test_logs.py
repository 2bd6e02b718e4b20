# SPDX-License-Identifier: LGPL-2.1-or-later
"""`jobmill logs`, read by root straight from the journal and by a system user through the daemon: journald gives users with
system uids no access to their own lines. Whatever is tested must be the same both ways."""

import json
import os
import pathlib
import pwd
import signal
import subprocess
import time

import pytest

from mill import expect, nothing_bad_in_the_journal, run, systemctl, until
from terminal import Terminal
from test_user import session  # noqa: F401 (a fixture)

ROBOT = pwd.getpwnam("robot").pw_uid


@pytest.fixture(params=["root", "robot"])
def reader(request):
    return request.param


def logs_argv(user, *argv):
    return (["runuser", "-u", user, "--"] if user != "root" else []) + ["jobmill", "logs", *(str(a) for a in argv)]


def logs(user, *argv, check=True, **kwargs):
    return run(*logs_argv(user, *argv), check=check, cwd="/", **kwargs)


def follow(user, *argv):
    """What it prints goes to a file, which is there to be looked at."""
    out = open("/run/follow-%d" % time.monotonic_ns(), "w+b")
    p = subprocess.Popen(logs_argv(user, "-f", *argv), stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, cwd="/")
    p.text = lambda: pathlib.Path(out.name).read_bytes().decode(errors="replace")
    return p


def synced():
    run("journalctl", "--sync")


def submit(mill, command, **spec):
    """As the system user; his queue needs no permission of root."""
    return mill.submit(command, uid=ROBOT, **spec)


def test_all_lines(mill, reader):
    id_ = submit(mill, "seq 3000; echo end >&2; exit 1")
    mill.wait(id_)
    assert logs(reader, id_).split() == [str(i) for i in range(1, 3001)] + ["end"]
    assert logs(reader, "-n", 2, id_) == "3000\nend\n"
    assert logs(reader, "--lines=0", id_) == ""
    assert len(logs(reader, "-n", 5000, id_).splitlines()) == 3001


@pytest.mark.parametrize("options", [(), ("-f", )], ids=["once", "follow"])
def test_journald_is_late(mill, reader, options):
    """The lines of what has ended are waited for, however long journald takes for them."""
    id_ = submit(mill, "until [ -e /run/late-%s ]; do sleep 0.05; done; echo late" % "-".join([reader, *options]))
    mill.reach(id_, "running")
    journald = int(run("systemctl", "show", "--value", "-p", "MainPID", "systemd-journald"))
    early = follow(reader, id_) if options else None
    if options:
        until(lambda: pathlib.Path("/proc/%d" % early.pid).exists() and early.poll() is None, 10)
    os.kill(journald, signal.SIGSTOP)
    try:
        pathlib.Path("/run/late-%s" % "-".join([reader, *options])).touch()
        mill.wait(id_)
        p = early or subprocess.Popen(logs_argv(reader, id_), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, cwd="/")
        time.sleep(1)  # more than what it gets where journald cannot be asked
        assert p.poll() is None
    finally:
        os.kill(journald, signal.SIGCONT)
    assert p.wait(30) == 0
    assert (early.text() if early else p.stdout.read()) == "late\n"


def test_nothing(mill, reader):
    silent, held = submit(mill, "true"), submit(mill, "true", hold=True)
    mill.wait(silent)
    for id_, text in ((silent, "It wrote no line"), (held, "It has not been started")):
        p = logs(reader, id_, check=False)
        assert (p.returncode, p.stdout) == (0, "") and text in p.stderr, p
        assert logs(reader, "--quiet", id_, check=False).stderr == ""
    mill.call("CancelJob", held)


def test_others_may_not(mill):
    id_ = submit(mill, "echo of the robot")
    mill.wait(id_)
    for user in ("alice", "bob"):
        p = logs(user, id_, check=False)
        assert p.returncode == 1 and p.stdout == "" and "org.jobmill1.read-all" in p.stderr, p
    expect("org.freedesktop.DBus.Error.InteractiveAuthorizationRequired", mill.user("alice").call, "OpenLog", id_, "journal")


def test_nobody_can_add_lines(mill, reader):
    id_ = submit(mill, "echo own")
    mill.wait(id_)
    for field in ("JOBMILL_JOB_ID=%d" % id_, "UNIT=" + mill.unit(id_), "INVOCATION_ID=" + mill.info(id_)["invocation_id"]):
        run("runuser", "-u", "alice", "--", "logger", "--journald", input="MESSAGE=forged\n%s\n" % field)
    synced()
    assert logs(reader, id_) == "own\n"


def test_attempts(mill, reader):
    id_ = submit(mill, "echo attempt $JOBMILL_ATTEMPT; exit 1")
    mill.wait(id_)
    for _ in range(2):
        mill.call("RetryJob", id_, {})
        mill.wait(id_)
    assert logs(reader, id_) == "attempt 1\nattempt 2\nattempt 3\n"
    assert logs(reader, "--attempt=2", id_) == "attempt 2\n"
    assert logs(reader, "--attempt", 2, "-n", 5, id_) == "attempt 2\n"
    p = logs(reader, "--attempt=4", id_, check=False)
    assert p.returncode == 1 and "has only 3 attempts" in p.stderr
    p = logs(reader, "--attempt=0", id_, check=False)
    assert p.returncode == 1 and "--attempt" in p.stderr
    with Terminal(*logs_argv(reader, id_)) as t:
        status, text = t.end()
        assert status == 0
        assert text.replace("\x1b[90m", "").replace("\x1b[0m", "").split("\r\n")[:4] == [
            "-- attempt 1 --", "attempt 1", "-- attempt 2 --", "attempt 2"]


def test_formats(mill, reader):
    id_ = submit(mill, "echo hello")
    mill.wait(id_)
    assert logs(reader, "-o", "cat", id_) == "hello\n"
    short = logs(reader, "-o", "short", id_)
    assert short.endswith("]: hello\n") and "jobmill-test sh[" in short
    iso = logs(reader, "--output=short-iso", id_)
    assert iso[:2] == "20" and iso[10] == "T" and iso.endswith("]: hello\n")
    entry = json.loads(logs(reader, "-o", "json", id_))
    assert entry["MESSAGE"] == "hello" and entry["_SYSTEMD_UNIT"] == mill.unit(id_)
    assert json.loads(logs(reader, "-j", id_)) == entry
    export = logs(reader, "-o", "export", id_)
    assert "\nMESSAGE=hello\n" in export and export.startswith("__CURSOR=") and export.endswith("\n\n")
    # journalctl says the same.
    theirs = json.loads(run("journalctl", "-o", "json", "_SYSTEMD_UNIT=" + mill.unit(id_)))
    assert {k: v for k, v in theirs.items() if k in entry} == entry
    p = logs(reader, "-o", "verbose", id_, check=False)
    assert p.returncode == 1 and "cat|short|short-iso|json|export" in p.stderr


def test_strange_lines(mill, reader):
    """Bytes as they are for programs, nothing that moves the cursor for people."""
    id_ = submit(mill, r"printf 'bad \377\376 utf8\n'; printf 'red \033[31m\n'; printf 'tab\there\n'; echo $(seq 9000); "
                       r"printf 'no newline'")
    mill.wait(id_)
    p = subprocess.run(logs_argv(reader, id_), stdout=subprocess.PIPE, cwd="/", check=True)
    lines = p.stdout.split(b"\n")
    assert lines[:3] == [b"bad \xff\xfe utf8", b"red \033[31m", b"tab\there"]
    assert lines[3].split() == [b"%d" % i for i in range(1, 9001)]
    assert lines[4:] == [b"no newline", b""]
    with Terminal(*logs_argv(reader, id_)) as t:
        status, text = t.end()
        assert "bad \\xff\\xfe utf8" in text and "red \\x1b[31m" in text and "\x1b[31m" not in text
    entries = [json.loads(line) for line in logs(reader, "-o", "json", id_).splitlines()]
    assert bytes(entries[0]["MESSAGE"]) == b"bad \xff\xfe utf8"
    assert entries[1]["MESSAGE"] == "red \033[31m"


def test_follow(mill, reader):
    id_ = submit(mill, "for i in $(seq 8); do echo $i; sleep 0.1; done")
    assert logs(reader, "-f", id_).split() == [str(i) for i in range(1, 9)]
    assert logs(reader, "-f", "-n", 3, id_).split() == ["6", "7", "8"]


def test_follow_one_that_has_not_started(mill, reader):
    id_ = submit(mill, "echo now", hold=True)
    p = follow(reader, id_)
    time.sleep(0.5)
    assert p.poll() is None
    mill.call("ReleaseJob", id_)
    assert p.wait(20) == 0
    assert p.text() == "now\n"


@pytest.mark.parametrize("kill", [False, True], ids=["restart", "kill"])
def test_follow_over_a_restart(mill, reader, folder, kill):
    id_ = submit(mill, "i=0; while [ ! -e %s/stop ]; do echo $i; i=$((i + 1)); sleep 0.05; done; echo end" % folder)
    mill.reach(id_, "running")
    p = follow(reader, "-n", 1000, id_)
    until(lambda: "3\n" in p.text(), 10, "it follows")
    for _ in range(2):
        mill.restart_daemon(kill=kill)
        mill.settled()
        time.sleep(0.5)
    (folder / "stop").touch()
    assert p.wait(20) == 0
    lines = p.text().split()
    assert lines == [str(i) for i in range(len(lines) - 1)] + ["end"], "each line once"


def test_follow_over_attempts(mill, reader):
    """A retry by hand comes in time, or it is all over: never half of it."""
    id_ = submit(mill, "echo $JOBMILL_ATTEMPT; sleep 1; exit 1")
    mill.reach(id_, "running")
    p = follow(reader, id_)
    until(lambda: "1\n" in p.text(), 10, "the first")
    mill.wait(id_)
    mill.call("RetryJob", id_, {})
    mill.wait(id_)
    assert p.wait(20) == 0
    assert p.text() in ("1\n", "1\n2\n")


def test_follow_rotation_and_vacuum(mill, reader, folder):
    id_ = submit(mill, "i=0; while [ ! -e %s/stop ]; do echo $i; i=$((i + 1)); sleep 0.05; done; echo end" % folder)
    mill.reach(id_, "running")
    p = follow(reader, id_)
    until(lambda: "3\n" in p.text(), 10, "it follows")
    for _ in range(3):
        run("journalctl", "--rotate")
        time.sleep(0.3)
    nothing_bad_in_the_journal()
    run("journalctl", "--vacuum-files=1")
    time.sleep(0.3)
    (folder / "stop").touch()
    assert p.wait(20) == 0
    lines = p.text().split()
    assert lines == [str(i) for i in range(len(lines) - 1)] + ["end"], "each line once"


def test_purged_while_it_follows(mill, reader):
    id_ = submit(mill, "echo here; sleep 60")
    mill.reach(id_, "running")
    p = follow(reader, id_)
    until(lambda: "here\n" in p.text(), 10, "it follows")
    mill.call("CancelJob", id_)
    mill.wait(id_)
    mill.call("PurgeJobs", {"ids": [id_]})
    assert p.wait(20) == 0 and p.text().startswith("here\n")


def test_interrupted(mill, reader):
    id_ = submit(mill, "echo here; sleep 60")
    mill.reach(id_, "running")
    with Terminal(*logs_argv(reader, "-f", id_)) as t:
        t.expect("here")
        t.type("\x03")
        t.end()
    p = subprocess.Popen(logs_argv("root", "-f", id_), stdout=subprocess.PIPE, cwd="/")
    assert p.stdout.readline() == b"here\n"
    p.send_signal(signal.SIGINT)
    assert p.wait(10) in (-2, 130)
    mill.call("CancelJob", id_)


def test_nobody_reads_on(mill, reader):
    """As `jobmill logs -f ID | head -1`, though the job says nothing more."""
    id_ = submit(mill, "echo here; sleep 60")
    mill.reach(id_, "running")
    p = subprocess.Popen(logs_argv(reader, "-f", id_), stdout=subprocess.PIPE, cwd="/")
    assert p.stdout.readline() == b"here\n"
    p.stdout.close()
    p.wait(20)
    until(lambda: not log_children(mill), 20, "the daemon's child is gone too")
    mill.call("CancelJob", id_)


def log_children(mill):
    pid = mill.daemon_pid()
    return pathlib.Path("/proc/%d/task/%d/children" % (pid, pid)).read_text().split()


def test_output_in_files(mill, reader, folder):
    id_ = submit(mill, "echo out; echo err >&2", output_file="%s/out" % folder)
    mill.wait(id_)
    p = logs(reader, id_, check=False)
    assert p.returncode == 0 and "Its standard output is in %s/out" % folder in p.stderr
    assert p.stdout == "err\n"


def test_the_daemon_cannot_be_hung(mill):
    """Eight that do not read: their owner gets no more, everybody else does."""
    id_ = submit(mill, "seq 100000")
    mill.wait(id_)
    stuck = [subprocess.Popen(logs_argv("robot", id_), stdout=subprocess.PIPE, cwd="/") for _ in range(8)]
    until(lambda: len(log_children(mill)) == 8, 20, "they are open")
    p = logs("robot", id_, check=False)
    assert p.returncode == 1 and "At most 8 logs" in p.stderr
    assert mill.run("true")["result"] == "success"
    own = int(mill.tool("submit", "--", "sh", "-c", "echo of alice", user="alice", check=True))
    mill.wait(own)
    until(lambda: logs("alice", own) == "of alice\n", 20, "alice reads hers")
    for p in stuck:
        p.kill()
        p.wait()
        p.stdout.close()
    until(lambda: not log_children(mill), 10, "all children are gone")


def test_sandbox_lets_the_child_read(mill):
    assert "jobmilld-log" not in run("journalctl", "--boot", "--unit=jobmilld.service", "--grep=failed with error", check=False).stdout
    systemctl("is-active", "jobmilld.service")
    assert os.path.exists("/var/log/journal")


def test_short_lived_children_of_a_user(session, folder):  # noqa: F811
    """journald knows nothing of a process of a user's unit that is gone before it looks."""
    script = "for i in $(seq 40); do /bin/echo $i; done; echo end; until [ -e %s/go ]; do sleep 0.1; done; exit 1" % folder
    id_ = session.tool("submit", "--", "sh", "-c", script).strip()
    expected = [str(i) for i in range(1, 41)] + ["end"]
    until(lambda: session.tool("logs", id_).split() == expected, 20, lambda: session.tool("logs", id_))
    (folder / "go").touch()
    session.tool("wait", id_, check=False)
    assert session.tool("logs", id_).split() == expected
    assert session.tool("logs", "--attempt=1", "-n", "3", id_).split() == expected[-3:]
    assert session.tool("logs", "-f", id_).split() == expected
