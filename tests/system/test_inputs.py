# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a job gets: its words, environment, standard input, folder, umask, user. Whatever stands in them arrives as it
was, byte for byte."""

import grp
import hashlib
import json
import os
import pwd

import pytest

from mill import PYTHON, RUN, SOURCE, expect, run, unit_properties, until

# Writes what it sees as JSON to the file that its first word names.
DUMP = """
import hashlib, json, os, sys
umask = os.umask(0)
data = sys.stdin.buffer.read()
with open(sys.argv[1], "w") as f:
    json.dump({"argv": sys.argv[2:], "environment": dict(os.environ), "cwd": os.getcwd(), "umask": umask, "uid": os.getuid(),
               "gid": os.getgid(), "groups": os.getgroups(), "size": len(data), "hash": hashlib.sha256(data).hexdigest(),
               "stdin": os.readlink("/proc/self/fd/0"), "unit": open("/proc/self/cgroup").read()}, f)
"""

ODD = [
    "", " ", "  two  spaces  ", "$HOME ${HOME} $$ %n %% %i %h", "a\nb\n", "\ttab\t", "'single' \"double\" `back`", "\\ \\\\ \\n \\",
    "#hash ;semicolon", "-dash --", "=a=b=", "*?[]{}~!&|<>()", "Grüße, 世界 🙂", "%", "$", "@", "-", "+", "!", ":",
    "ends with backslash\\", '"quoted"', "\u00a0\u2028", "x" * 5000,
]


def dump(caller, folder, words=(), **spec):
    out = folder / "out.json"
    id_ = caller.submit([PYTHON, "-c", DUMP, str(out), *words], **spec)
    return id_, out


def seen(mill, caller, folder, words=(), **spec):
    id_, out = dump(caller, folder, words, **spec)
    j = mill.wait(id_)
    assert j["result"] == "success", j
    value = json.loads(out.read_text())
    out.unlink()
    return value


def test_odd_words(mill, folder):
    assert seen(mill, mill, folder, ODD)["argv"] == ODD


def test_long_words(mill, folder):
    words = ["y" * 100_000, "$%\n" * 30_000, "z" * 100_000]
    assert seen(mill, mill, folder, words)["argv"] == words
    many = [str(i) for i in range(20_000)]
    assert seen(mill, mill, folder, many)["argv"] == many


def test_odd_environment(mill, folder):
    lines = (SOURCE / "tests/system/data/environment.txt").read_text().splitlines()
    assignments = [json.loads(line) for line in lines if line.startswith('"')]
    assignments += ["V%d=%s" % iv for iv in enumerate(ODD)]
    got = seen(mill, mill, folder, environment=assignments)["environment"]
    values = dict(a.split("=", 1) for a in assignments)
    for ours in ("HOME", "USER", "LOGNAME", "SHELL"):
        values.pop(ours, None)
    assert {k: got.get(k) for k in values} == values
    assert "INJECTED" not in got


def test_large_environment(mill, folder):
    values = {"LARGE%d" % i: chr(ord("a") + i) * 100_000 for i in range(8)}
    got = seen(mill, mill, folder, environment=["%s=%s" % kv for kv in values.items()])["environment"]
    assert {k: got.get(k) for k in values} == values


@pytest.mark.system_only
@pytest.mark.parametrize("path", ["/usr/bin:/x\n[Service]\nUMask=0123\nEnvironment=INJECTED=1\n:/bin", "/usr/bin:/x\\",
                                  "/usr/bin:/x\rUMask=0123"])
def test_path_adds_no_lines_to_the_unit(mill, folder, path):
    """What is known of the submitter's PATH stands in the unit's file, which PID 1 reads again when it is reloaded."""
    alice = mill.user("alice")
    id_ = alice.submit(["sleep", "1000"], environment=["PATH=" + path], cwd=str(folder), umask=0o027)
    mill.reach(id_, "running")
    with open("/run/systemd/transient/" + mill.unit(id_)) as f:
        text = f.read()
    assert "ExecSearchPath=/usr/bin" in text and "0123" not in text and "INJECTED" not in text and "/x" not in text
    run("systemctl", "daemon-reload")
    shown = unit_properties(mill.unit(id_), "Environment", "UMask")
    assert shown["UMask"] == "0027" and "JOBMILL_JOB_ID=%d " % id_ in shown["Environment"] and "INJECTED" not in str(shown)
    mill.call("CancelJob", id_)
    mill.wait(id_)
    # The job has it as it was.
    got = seen(mill, alice, folder, environment=["PATH=" + path])["environment"]
    assert got["PATH"] == path


def test_stripped_and_added_variables(mill, folder):
    mill.write_queue("env", "Slots=4")
    me = pwd.getpwuid(os.getuid())
    forged = ["JOBMILL_JOB_ID=1", "JOBMILL_X=1", "NOTIFY_SOCKET=/x", "INVOCATION_ID=1", "JOURNAL_STREAM=1", "LISTEN_FDS=3",
              "WATCHDOG_USEC=1", "MAINPID=1", "MANAGERPID=1", "SYSTEMD_X=1", "CREDENTIALS_DIRECTORY=/x", "XDG_SESSION_ID=1",
              "HOME=/x", "USER=x", "LOGNAME=x", "SHELL=/x", "KEPT=yes", "PATH=/usr/bin:/bin:/opt/own"]
    id_, out = dump(mill, folder, queue="env", name="my name", environment=forged)
    j = mill.wait(id_)
    got = json.loads(out.read_text())["environment"]
    assert (got["KEPT"], got["PATH"]) == ("yes", "/usr/bin:/bin:/opt/own")
    assert (got["HOME"], got["USER"], got["LOGNAME"]) == (me.pw_dir, me.pw_name, me.pw_name)
    assert (got["JOBMILL_JOB_ID"], got["JOBMILL_ATTEMPT"], got["JOBMILL_QUEUE"], got["JOBMILL_NAME"]) == (
        str(id_), "1", "env", "my name")
    assert got["JOBMILL_SLOTS"] == ",".join(str(n) for n in j["slot_numbers"])
    assert len(got["JOBMILL_ATTEMPT_ID"]) == 32
    assert got["INVOCATION_ID"] == j["invocation_id"]
    for name in ("JOBMILL_X", "LISTEN_FDS", "WATCHDOG_USEC", "MAINPID", "SYSTEMD_X", "CREDENTIALS_DIRECTORY", "XDG_SESSION_ID"):
        assert name not in got


def test_environment_is_a_secret(mill, folder):
    """PID 1 shows Environment= to everybody: what the submitter sent is not in there, nor left in a file."""
    id_ = mill.submit("sleep 30", environment=["PASSWORD=hunter2"])
    mill.reach(id_, "running")
    shown = unit_properties(mill.unit(id_), "Environment", "EnvironmentFiles")
    assert "hunter2" not in str(shown)
    assert os.stat(RUN).st_mode & 0o7777 == 0o711
    until(lambda: not os.path.exists(RUN / ("attempt/%d-1/env" % id_)), 20, "the file is removed")
    mill.call("CancelJob", id_)
    mill.wait(id_)
    until(lambda: not os.path.exists(RUN / ("attempt/%d-1" % id_)), 20, "the folder is removed")


@pytest.mark.parametrize("payload", [b"", b"x", b'{"a": 1}\n', bytes(range(256)) * 4096, os.urandom(5_000_000)],
                         ids=["empty", "byte", "json", "binary", "large"])
def test_payload(mill, folder, payload):
    got = seen(mill, mill, folder, payload=payload)
    assert (got["size"], got["hash"]) == (len(payload), hashlib.sha256(payload).hexdigest())


def test_no_payload(mill, folder):
    got = seen(mill, mill, folder)
    assert (got["size"], got["stdin"]) == (0, "/dev/null")


def test_directory_and_umask(mill, folder):
    odd = folder / "a folder $HOME %n \\ 'x' ü"
    odd.mkdir()
    got = seen(mill, mill, folder, cwd=str(odd), umask=0o027)
    assert (got["cwd"], got["umask"]) == (str(odd), 0o027)
    got = seen(mill, mill, folder, umask=0)
    assert got["umask"] == 0


@pytest.mark.system_only
@pytest.mark.parametrize("user", ["alice", "bob"])
def test_runs_as_its_owner(mill, folder, user):
    p = pwd.getpwnam(user)
    got = seen(mill, mill.user(user), folder)
    assert (got["uid"], got["gid"]) == (p.pw_uid, p.pw_gid)
    assert set(got["groups"]) <= {p.pw_gid} | {g.gr_gid for g in grp.getgrall() if user in g.gr_mem}
    env = got["environment"]
    assert (env["HOME"], env["USER"], env["LOGNAME"], env["SHELL"]) == (p.pw_dir, user, user, p.pw_shell)


@pytest.mark.system_only
def test_supplementary_groups(mill, folder):
    run("usermod", "-aG", "games", "bob")
    try:
        mill.forget_users()
        assert grp.getgrnam("games").gr_gid in seen(mill, mill.user("bob"), folder)["groups"]
    finally:
        run("gpasswd", "-d", "bob", "games")
        mill.forget_users()


@pytest.mark.system_only
def test_root_jobs_run_as_root(mill, folder):
    got = seen(mill, mill, folder)
    assert (got["uid"], got["gid"]) == (0, 0)


def test_cgroup_is_the_queues_slice(mill, folder):
    mill.write_queue("deep-inner", "Slots=2")
    got = seen(mill, mill, folder, queue="deep-inner")
    assert "/jobmill.slice/jobmill-deep.slice/jobmill-deep-inner.slice/jobmill-job-" in got["unit"]


@pytest.mark.system_only
def test_owner_who_is_gone(mill, folder):
    """uid and name must still agree at the start."""
    run("useradd", "--create-home", "carol")
    id_ = mill.user("carol").submit("true", hold=True)
    mill.user("carol").close()
    run("userdel", "--remove", "--force", "carol", check=False)
    mill.call("ReleaseJob", id_)
    j = mill.wait(id_)
    assert (j["result"], j["dead"]) == ("exec", True)
    assert j["reason"]


def test_what_is_refused(mill):
    for error, argv, spec in (
            ("InvalidSpec", [], {}),
            ("InvalidSpec", [""], {}),
            ("InvalidSpec", ["true"], {"name": "a\nb"}),
            ("InvalidSpec", ["true"], {"name": "x" * 129}),
            ("InvalidSpec", ["true"], {"cwd": "relative"}),
            ("InvalidSpec", ["true"], {"cwd": "/a\nb"}),
            ("InvalidSpec", ["true"], {"cwd": "/a\\"}),
            ("InvalidSpec", ["true"], {"environment": ["NOEQUALS"]}),
            ("InvalidSpec", ["true"], {"environment": ["A B=1"]}),
            ("InvalidSpec", ["true"], {"priority": 1001}),
            ("InvalidSpec", ["true"], {"no_such_key": "x"}),
            ("InvalidSpec", ["true"], {"properties": ["Nice"]}),
    ):
        expect(error, mill.submit, argv, **spec)
    expect("NoSuchQueue", mill.submit, ["true"], "nosuchqueue")
