# SPDX-License-Identifier: LGPL-2.1-or-later
"""The tool as people type it: round trips, exit statuses, what it carries, JSON."""

import json
import os
import pwd
import re
import signal
import subprocess
import time

import pytest

from mill import SLOW, SOURCE, run, systemctl, until

def documented(heading):
    """The keys of docs/json.md, in their order."""
    section = (SOURCE / "docs/json.md").read_text().split("\n## %s\n" % heading)[1].split("\n## ")[0]
    return re.findall(r"^\| `(\w+)` ", section, re.M)


KEYS, QUEUE_KEYS = documented("Job"), documented("Queue")


def submit(mill, *argv, **kwargs):
    out = mill.tool("submit", *argv, check=True, **kwargs)
    assert out.strip().isdigit() and out.endswith("\n"), "the id alone on stdout, not %r" % out
    return int(out)


STATUSES = [
    (0, [], "exit 0"),
    (7, [], "exit 7"),
    (255, [], "exit 255"),
    (128 + 15, [], "kill -TERM $$"),
    (128 + 9, [], "kill -KILL $$"),
    (124, ["--timeout", "300ms"], "sleep 60"),
]


@pytest.mark.parametrize("status,options,script", STATUSES, ids=[s for *_, s in STATUSES])
def test_submit_wait(mill, status, options, script):
    p = mill.tool("submit", "--wait", *options, "--", "sh", "-c", script)
    assert p.returncode == status, p


def test_submit_wait_could_not_start(mill):
    assert mill.tool("submit", "--wait", "--", "/nonexistent/program").returncode == 127
    assert mill.tool("submit", "--wait", "-C", "/nonexistent", "--", "true").returncode == 127


def test_submit_wait_other_failures(mill):
    # cancelled
    p = subprocess.Popen(["jobmill", "submit", "--wait", "--name", "to-cancel", "--", "sleep", "60"], stdout=subprocess.PIPE,
                         stderr=subprocess.PIPE, text=True)
    until(lambda: mill.jobs(name="to-cancel", state="running"), 10, "it runs")
    mill.tool("cancel", "@last", check=True)
    p.communicate(timeout=20 * SLOW)
    assert p.returncode == 125
    # refused
    p = mill.tool("submit", "--wait", "-q", "nosuchqueue", "--", "true")
    assert p.returncode == 125 and p.stdout == "" and "nosuchqueue" in p.stderr
    # usage
    p = mill.tool("submit", "--no-such-option")
    assert p.returncode not in (0, 127) and p.stdout == "" and "no-such-option" in p.stderr


def test_wait(mill):
    good, bad = submit(mill, "--", "true"), submit(mill, "--", "sh", "-c", "exit 9")
    assert mill.tool("wait", good).returncode == 0
    assert mill.tool("wait", bad).returncode == 9
    assert mill.tool("wait", "@last").returncode == 9
    sleeper = submit(mill, "--", "sleep", "60")
    assert mill.tool("wait", "--timeout", "200ms", sleeper).returncode == 124
    assert mill.state(sleeper) == "running"
    mill.tool("cancel", sleeper, check=True)
    assert mill.tool("wait", sleeper).returncode == 125
    p = mill.tool("wait", 10**15)
    assert p.returncode not in (0, 127) and p.stderr


def test_wait_over_a_restart_of_the_daemon(mill):
    id_ = submit(mill, "--", "sh", "-c", "sleep 1.5; exit 6")
    p = subprocess.Popen(["jobmill", "wait", str(id_)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    mill.reach(id_, "running")
    mill.restart_daemon(kill=True)
    assert (p.wait(timeout=20 * SLOW), p.stderr.read()) == (6, "")


def test_carries_folder_umask_environment_and_path(mill, folder):
    tools = folder / "tools"
    tools.mkdir()
    program = tools / "own-program"
    program.write_text('#!/bin/sh\nprintf "%s\\n" "$PWD" "$(umask)" "$ODD" "$0" "$1" >out.txt; cat >>out.txt\n')
    program.chmod(0o755)
    odd = "two  words $HOME %n \\ \"q\"\nline"
    env = dict(os.environ, ODD=odd, PATH="%s:%s" % (tools, os.environ["PATH"]), NOTIFY_SOCKET="/nowhere")
    p = run("sh", "-c", "umask 027; exec jobmill submit --wait -- own-program '$1 %%h'", cwd=folder, env=env, check=False)
    assert p.returncode == 0, p
    assert (folder / "out.txt").read_text() == "%s\n0027\n%s\n%s\n$1 %%%%h\n" % (folder, odd, program)


def test_argv0_is_as_typed(mill):
    id_ = submit(mill, "--", "sleep", "60")
    mill.reach(id_, "running")
    assert open("/proc/%d/cmdline" % mill.main_pid(id_)).read() == "sleep\0" "60\0"
    mill.tool("cancel", id_, check=True)
    mill.wait(id_)


def test_environment_options(mill, folder):
    env = dict(os.environ, ONE="1", TWO="2")
    mill.tool("submit", "--wait", "--env=none", "-E", "THREE=3", "-E", "TWO", "-C", folder, "--", "/bin/sh", "-c",
              'echo "$ONE,$TWO,$THREE" >out', env=env, check=True)
    assert (folder / "out").read_text() == ",2,3\n"
    mill.tool("submit", "--wait", "--env=ONE", "-C", folder, "--", "/bin/sh", "-c", 'echo "$ONE,$TWO" >out', env=env, check=True)
    assert (folder / "out").read_text() == "1,\n"


def test_payload(mill, folder):
    data = os.urandom(100_000)
    (folder / "data").write_bytes(data)
    mill.tool("submit", "--wait", "--payload", "data", "--", "sh", "-c", "cat >copy", cwd=folder, check=True)
    assert (folder / "copy").read_bytes() == data
    p = run("jobmill", "submit", "--wait", "--payload", "-", "--", "sh", "-c", "cat >copy", cwd=folder, input=b"from\0stdin", check=False)
    assert p.returncode == 0 and (folder / "copy").read_bytes() == b"from\0stdin"


def test_submit_options_are_recorded(mill):
    id_ = submit(mill, "-q", "default", "-n", "nice name", "--priority", "7", "--slots", "1", "--timeout", "1h", "--hold", "--tag",
                 "a=b", "--tag", "c=d=e", "-p", "Nice=4", "-C", "/usr", "--", "true", "x y")
    j = json.loads(mill.tool("show", "--json=short", id_, check=True))
    j = j[0] if isinstance(j, list) else j
    assert {k: j[k] for k in ("id", "name", "priority", "slots", "timeout_usec", "state", "tags", "cwd")} == {
        "id": id_, "name": "nice name", "priority": 7, "slots": 1, "timeout_usec": 3_600_000_000, "state": "held",
        "tags": {"a": "b", "c": "d=e"}, "cwd": "/usr"}
    assert j["argv"][1:] == ["x y"]
    mill.tool("release", id_, check=True)
    assert mill.tool("wait", id_).returncode == 0


def test_in_and_at(mill):
    before = time.time()
    id_ = submit(mill, "--in", "2s", "--", "true")
    assert mill.state(id_) == "waiting"
    at = submit(mill, "--at", "@%d" % (time.time() + 3600), "--", "true")
    assert mill.state(at) == "waiting"
    j = mill.wait(id_)
    assert j["result"] == "success" and 2 <= j["started_usec"] / 1e6 - before < 4 * SLOW
    mill.tool("cancel", at, check=True)


def test_list_json(mill):
    ids = [submit(mill, "--tag", "batch=list", "--", "sh", "-c", "exit %d" % n) for n in (0, 3)]
    for i in ids:
        mill.wait(i)
    rows = json.loads(mill.tool("list", "--json=short", "--tag", "batch=list", check=True))
    assert [r["id"] for r in rows] == ids[::-1], "newest first"
    for r in rows:
        assert list(r) == KEYS
    good, bad = rows[1], rows[0]
    assert (good["result"], good["exit_status"], good["exit_signal"], good["dead"]) == ("success", 0, None, False)
    assert (bad["result"], bad["exit_status"], bad["dead"]) == ("exit-code", 3, True)
    assert good["not_before_usec"] is None and good["verdict"] is None
    assert json.loads(mill.tool("list", "-j", "--tag", "batch=list", "--dead", check=True))[0]["id"] == ids[1]
    assert json.loads(mill.tool("list", "-j", "--result", "success,timeout", "--tag", "batch=list", check=True))[0]["id"] == ids[0]
    assert json.loads(mill.tool("list", "-j", "--state", "running", "--tag", "batch=list", check=True)) == []
    pretty = mill.tool("list", "--json=pretty", "--tag", "batch=list", check=True)
    assert json.loads(pretty) == rows and pretty.count("\n") > 10
    assert json.loads(mill.tool("show", "-j", ids[0], check=True)) is not None


def test_queue_json(mill):
    rows = json.loads(mill.tool("queue", "list", "--json=short", check=True))
    assert all(list(r) == QUEUE_KEYS for r in rows)
    assert next(r for r in rows if r["name"] == "default")["slots"] == os.cpu_count()


def test_tables(mill):
    id_ = submit(mill, "-n", "tabular ünïcode", "--", "true")
    mill.wait(id_)
    table = mill.tool("list", check=True)
    assert "tabular" in table and "success" in table and "\x1b" not in table
    assert str(id_) in mill.tool("show", id_, check=True)
    assert "default" in mill.tool("queue", "list", check=True)
    assert "default" in mill.tool("queue", "show", "default", check=True)
    assert mill.tool("stats", check=True) and mill.tool(check=True)
    with_legend, without = mill.tool("list", check=True), mill.tool("list", "--no-legend", check=True)
    assert len(without.splitlines()) < len(with_legend.splitlines())


def test_long_words_do_not_widen_the_table(mill):
    id_ = submit(mill, "--", "true", "ü" * 50_000)
    mill.wait(id_)
    lines = mill.tool("list", "-n", "1", check=True).splitlines()
    assert str(id_) in lines[1] and "üü…" in lines[1] and len(lines[1]) < 400


def test_logs(mill):
    id_ = submit(mill, "--", "sh", "-c", "echo out; echo err >&2; echo 'third ü'")
    mill.wait(id_)
    text = until(lambda: (lambda t: t if "third" in t else "")(mill.tool("logs", id_, check=True)), 20, "logs")
    assert all(w in text for w in ("out", "err", "third ü"))
    # Nobody can put lines into another job's log.
    run("logger", "--journald", input="MESSAGE=forged\nJOBMILL_JOB_ID=%d\n" % id_)
    run("journalctl", "--sync")
    assert "forged" not in mill.tool("logs", id_, check=True)


def test_logs_of_jobs_that_end_at_once(mill):
    """The unit is gone before journald looks up its invocation id."""
    ids = mill.submit_many([["/bin/echo", "line", str(n)] for n in range(60)])
    mill.wait_all(ids)
    run("journalctl", "--sync")
    for n, i in enumerate(ids):
        assert mill.tool("logs", i, check=True) == "line %d\n" % n


def test_logs_follow(mill):
    id_ = submit(mill, "--", "sh", "-c", "echo begin; sleep 1; echo end")
    text = mill.tool("logs", "-f", id_, check=True, timeout=20)
    assert "begin" in text and "end" in text


def test_own_logs_of_a_user(mill):
    id_ = int(mill.tool("submit", "--", "sh", "-c", "echo of alice", user="alice", check=True))
    mill.wait(id_)
    until(lambda: "of alice" in mill.tool("logs", id_, user="alice", check=True), 20, "she reads it")
    assert "of alice" not in mill.tool("logs", id_, user="bob").stdout


def test_users_round_trip(mill):
    p = mill.tool("submit", "--wait", "--", "sh", "-c", 'id -un >out; pwd >>out; echo $HOME >>out', user="alice")
    assert p.returncode == 0, p
    with open("/home/alice/out") as f:
        assert f.read().split() == ["alice", "/home/alice", "/home/alice"]
    assert os.stat("/home/alice/out").st_uid == pwd.getpwnam("alice").pw_uid


def suggestions(mill, id_):
    """The commands that `show` ends with."""
    text = mill.tool("show", id_, check=True).split("\n\n")[-1]
    return [line.split(": ", 1)[1].split() for line in text.splitlines()]


def test_what_show_suggests_works(mill):
    held = submit(mill, "--hold", "--", "sh", "-c", "echo said; sleep 60")
    assert suggestions(mill, held) == [["jobmill", "release", str(held)], ["jobmill", "cancel", str(held)]]
    run(*suggestions(mill, held)[0])
    mill.reach(held, "running")
    commands = suggestions(mill, held)
    assert [c[:2] for c in commands[:3]] == [["jobmill", "logs"], ["journalctl", commands[1][1]], ["systemctl", "status"]]
    assert "said" in until(lambda: run(*commands[0]), 20, "its output")
    assert "said" in until(lambda: run(*commands[1], "--no-pager"), 20, "the journal")
    assert mill.unit(held) in run(*commands[2], "--no-pager")
    assert commands[3:] == [["jobmill", "cancel", str(held)]]
    run(*commands[3])
    mill.wait(held)
    commands = suggestions(mill, held)
    assert [c[:2] for c in commands] == [["jobmill", "logs"], ["journalctl", commands[1][1]], ["jobmill", "retry"], ["jobmill", "purge"]]
    run(*commands[2])
    mill.reach(held, "running")
    mill.tool("cancel", held, check=True)
    mill.wait(held)
    text = mill.tool("show", held, check=True)
    assert "ATTEMPT" in text and len([l for l in text.splitlines() if "cancelled" in l]) == 3, "a table of both"
    run(*commands[3])
    assert mill.tool("show", held).returncode == 1
    # Without an id: the newest.
    last = submit(mill, "--", "true")
    mill.wait(last)
    assert mill.tool("show", check=True) == mill.tool("show", last, check=True)
    assert not any("retry" in c for c in suggestions(mill, last)), "it succeeded"
    assert "purge" not in mill.tool("show", "--no-legend", last, check=True)


@pytest.mark.system_only
def test_script_of_a_user(mill, folder):
    """The text is a file in memory that root made; he reads it, also from within a sandbox."""
    text = "#!/usr/bin/python3\nimport os, sys\nprint(sys.argv[1:], os.getuid(), repr(sys.stdin.read()))\n"
    sandbox = ["-p", "PrivateDevices=yes", "-p", "ProtectSystem=strict", "-p", "ProtectProc=invisible", "-p", "NoNewPrivileges=yes"]
    for options in ([], sandbox):
        p = mill.tool("submit", "--wait", *options, "-o", "/home/alice/out-%j", "--script", "-", "a", "b c", user="alice", input=text)
        assert p.returncode == 0, p
        with open("/home/alice/out-%d" % int(p.stdout)) as f:
            assert f.read() == "['a', 'b c'] %d ''\n" % pwd.getpwnam("alice").pw_uid


@pytest.mark.system_only  # as in test_restart.py: the bus is killed
def test_many_lines_while_all_restarts(mill):
    """Of a file that comes slowly each line becomes one job, whatever is restarted meanwhile."""
    p = subprocess.Popen(["runuser", "-u", "alice", "--", "jobmill", "submit", "--hold", "--tag", "batch=slow", "--file", "-"],
                         stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    ids = []

    def feed(first):
        for n in range(first, first + 1000):
            p.stdin.write('{"argv":["/bin/echo","%d"]}\n' % n)
        p.stdin.flush()

    feed(0)
    ids += [int(p.stdout.readline()) for _ in range(1000)]
    mill.restart_daemon(kill=True)
    feed(1000)
    ids += [int(p.stdout.readline()) for _ in range(1000)]
    systemctl("kill", "--signal=KILL", "dbus.service")
    systemctl("reset-failed", "dbus.service", check=False)
    systemctl("start", "dbus.service")
    mill.forget_users()
    feed(2000)
    ids += [int(p.stdout.readline()) for _ in range(1000)]
    mill.restart_daemon()
    feed(3000)
    out, err = p.communicate(timeout=60 * SLOW)
    ids += [int(l) for l in out.splitlines()]
    assert p.returncode == 0, err
    rows = {j["id"]: j["argv"][1] for j in mill.jobs(tags={"batch": "slow"}, fields=["id", "argv"])}
    assert [rows[i] for i in ids] == [str(n) for n in range(4000)] and len(rows) == 4000
    mill.tool("cancel", "--tag", "batch=slow", check=True)
    mill.tool("purge", "--tag", "batch=slow", check=True)


def test_verbs_on_jobs(mill):
    id_ = submit(mill, "--hold", "--", "sleep", "60")
    mill.tool("release", id_, check=True)
    mill.reach(id_, "running")
    mill.tool("kill", "--signal", "INT", id_, check=True)
    assert mill.wait(id_)["exit_signal"] == signal.SIGINT
    mill.tool("retry", id_, check=True)
    mill.reach(id_, "running")
    mill.tool("cancel", id_, check=True)
    assert mill.wait(id_)["result"] == "cancelled"
    assert mill.tool("cancel", id_).returncode == 1
    mill.tool("purge", id_, check=True)
    p = mill.tool("show", id_)
    assert p.returncode == 1 and p.stdout == ""

    waiting = submit(mill, "--in", "1h", "--", "true")
    mill.tool("hold", waiting, check=True)
    assert mill.state(waiting) == "held"
    mill.tool("cancel", waiting, check=True)
    assert mill.tool("purge").returncode == 1, "an empty filter is refused"


def test_verbs_on_queues(mill):
    mill.write_queue("typed", "Slots=1")
    mill.tool("queue", "pause", "typed", check=True)
    id_ = submit(mill, "-q", "typed", "--", "true")
    assert mill.state(id_) == "ready"
    mill.tool("queue", "resume", "typed", check=True)
    mill.wait(id_)
    mill.tool("queue", "drain", "typed", check=True)
    assert mill.tool("submit", "-q", "typed", "--", "true").returncode == 1
    mill.tool("queue", "resume", "typed", check=True)
    assert mill.tool("queue", "pause", "typed", "--no-ask-password", user="alice").returncode == 1


def test_errors_are_short_and_on_stderr(mill):
    for argv in (["nosuchverb"], ["show", "0x"], ["submit"], ["submit", "-p", "NoSuchProperty=1", "--", "true"], ["cancel", "999999999"],
                 ["submit", "--in", "soon", "--", "true"]):
        p = mill.tool(*argv)
        assert p.returncode == 1 and p.stdout == "" and 1 <= len(p.stderr.strip().splitlines()) <= 3, (argv, p)
