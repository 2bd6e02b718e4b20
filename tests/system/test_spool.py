# SPDX-License-Identifier: LGPL-2.1-or-later
"""Spools and verdicts where only a real systemd, a real tmpfs and the daemon's real sandbox prove them: whose files they are, that the
daemon in its namespace sees and shortens them also after a restart, that they outlive it, and that they fill nothing else."""

import json
import os
import pathlib
import pwd
import subprocess
import time

import pytest

from mill import OF_USER, run, systemctl, until
from test_user import session  # noqa: F401 (a fixture)

TRUE = '{"success": true, "n": [1, {"a": "}"}]}'
SPOOL = pathlib.Path("/run/jobmill/spool")


def path(id_, stream="stdout", attempt=1):
    return SPOOL / ("%d-%d.%s" % (id_, attempt, stream))


@pytest.mark.system_only
def test_a_tmpfs_of_its_own():
    m = json.loads(run("findmnt", "--json", "--output=FSTYPE,OPTIONS,SIZE", "--mountpoint", SPOOL))["filesystems"][0]
    assert m["fstype"] == "tmpfs" and {"nosuid", "nodev", "noexec", "mode=711"} <= set(m["options"].split(",")) and "size=" in m["options"]
    assert (SPOOL.stat().st_mode & 0o777, SPOOL.stat().st_uid) == (0o711, 0)
    systemctl("stop", "jobmilld.service")
    assert run("mountpoint", SPOOL)
    systemctl("start", "jobmilld.service")


@pytest.mark.system_only
def test_of_a_user(mill, folder):
    """His files, which he can open again, in the tmpfs that the daemon sees; standard error is one of its own."""
    go = folder / "go"
    id_ = mill.user("alice").submit("echo one; echo two >/dev/stdout; echo three | tee /dev/stderr; while [ ! -e %s ]; do sleep 0.1; done;"
                                    " echo '%s'" % (go, TRUE), verify="verdict")
    until(lambda: path(id_, "stderr").exists() and path(id_, "stderr").read_text() == "three\n", 20, "it has written")
    st = path(id_).stat()
    assert (st.st_uid, st.st_mode & 0o7777) == (pwd.getpwnam("alice").pw_uid, 0o600)
    assert st.st_dev == os.stat(SPOOL).st_dev != os.stat("/run").st_dev
    assert run("runuser", "-u", "alice", "--", "ls", SPOOL, check=False).returncode != 0
    assert mill.tool("logs", id_, user="alice", check=True).splitlines() == ["two", "three", "three"]
    assert mill.tool("logs", id_, user="bob").returncode == 1
    go.touch()
    j = mill.wait(id_)
    assert (j["result"], j["verdict"], j["success"]) == ("success", TRUE, True)
    assert j["io"]["stdout"].endswith("three\n") and j["io"]["stderr"] == "three\n"
    until(lambda: not path(id_).exists() and not path(id_, "stderr").exists(), 10, "the spool is removed")


@pytest.mark.system_only
@pytest.mark.parametrize("kill", [False, True])
def test_daemon_is_away(mill, folder, kill):
    """It ends, and another one goes on, while nobody watches."""
    go = folder / "go"
    mill.write_queue("some", "Slots=3", "AllowUsers=*")
    ids = [mill.user("alice").submit("echo begun; while [ ! -e %s ]; do sleep 0.1; done; %s; echo '%s'" % (go, more, TRUE),
                                     queue="some", verify="verdict") for more in ("true", "sleep 1.5", "exit 3")]
    for id_ in ids:
        mill.reach(id_, "running")
    with mill.down(kill=kill):
        go.touch()
        time.sleep(0.7)
    ended = [mill.wait(id_) for id_ in ids]
    assert [j["result"] for j in ended] == ["success", "success", "exit-code"]
    assert [j.get("verdict") for j in ended] == [TRUE, TRUE, None]
    assert all(j["io"]["stdout"].startswith("begun\n") for j in ended)


@pytest.mark.system_only
def test_bounded(mill, folder):
    """1 GB written by a user's job, whose file the daemon can shorten only by its capability, before and after a restart."""
    mill.write_queue("small", "Slots=2", "AllowUsers=*", "SpoolMax=1M")
    id_ = mill.user("alice").submit("for i in $(seq 100); do head -c 10000000 /dev/zero; sleep 0.02; done;"
                                    " until [ -e %s/go ]; do sleep 0.05; done; echo; echo '%s'" % (folder, TRUE), queue="small", verify="verdict")
    most = size = 0
    restarted = False
    while mill.state(id_) != "done":
        try:
            st = path(id_).stat()
        except FileNotFoundError:
            continue
        most, size = max(most, st.st_blocks * 512), max(size, st.st_size)
        if size > 300000000 and not restarted:
            mill.restart_daemon()
            restarted = True
        if size >= 1000000000:
            (folder / "go").touch()
        time.sleep(0.01)
    j = mill.info(id_)
    assert (j["result"], j["verdict"]) == ("success", TRUE) and restarted
    assert size > 900000000 and most < size / 2, (size, most)


@pytest.mark.system_only
def test_full(mill):
    """The tmpfs is full: the writer is told so, the other jobs and /run are not touched, and after it there is room again."""
    run("mount", "-o", "remount,size=1M", SPOOL)
    try:
        # For how long it is full nobody can say: the daemon makes room in the meantime.
        full = mill.user("alice").submit("head -c 3000000 /dev/zero; s=$?; sleep 2; echo head $s >&2; exit 5", stdout="spool")
        assert mill.run("echo it goes on", payload=b"x" * 100)["result"] == "success"
        j = mill.wait(full)
        assert (j["result"], j["exit_status"]) == ("exit-code", 5)
        assert j["io"]["stderr"].endswith("head 1\n"), "it was told"
        j = mill.run("echo '%s'" % TRUE, verify="verdict")
        assert (j["result"], j["verdict"]) == ("success", TRUE)
    finally:
        run("mount", "-o", "remount,size=10%", SPOOL)


@pytest.mark.system_only
def test_mounted_later(mill):
    """An administrator who unmounts and mounts it again: the daemon in its namespace follows."""
    systemctl("stop", "run-jobmill-spool.mount")
    assert run("mountpoint", SPOOL, check=False).returncode != 0
    assert mill.run("echo '%s'" % TRUE, verify="verdict")["result"] == "success"
    systemctl("start", "run-jobmill-spool.mount")
    id_ = mill.submit("sleep 1; echo '%s'" % TRUE, verify="verdict")
    until(lambda: path(id_).exists() and path(id_).stat().st_dev == os.stat(SPOOL).st_dev != os.stat("/run").st_dev, 10, "it is used")
    assert mill.wait(id_)["result"] == "success"


def test_many(mill):
    """A payload and both streams: three descriptors each, on the system's bus."""
    mill.write_queue("wide", "Slots=64", "AllowUsers=*")
    ids = mill.submit_many(["cat; echo; echo '{\"success\": true, \"id\": '$JOBMILL_JOB_ID'}'"] * 64, queue="wide", verify="verdict",
                           payload=b"x" * 100)
    for j in mill.wait_all(ids):
        assert j["result"] == "success" and json.loads(j["verdict"])["id"] == j["id"] and j["io"]["stdout"] == "x" * 100 + "\n"


def test_leftovers_write_on(mill):
    """What a job leaves behind is no part of it: the verdict is what stands there when its main process ends."""
    j = mill.run("(sleep 60; echo late) & echo '%s'" % TRUE, verify="verdict")
    assert (j["result"], j["verdict"]) == ("success", TRUE)


def test_progress(mill, folder):
    go = folder / "go"
    id_ = mill.submit("systemd-notify --status='42.5%% of it'; while [ ! -e %s ]; do sleep 0.1; done" % go)
    until(lambda: mill.info(id_).get("status") == "42.5% of it", 10, "the status is seen")
    assert mill.info(id_)["progress"] == 42.5
    assert '"progress":42.5' in mill.tool("show", "--json=short", id_, check=True).replace(" ", "")
    go.touch()
    assert "progress" not in mill.wait(id_)


def test_of_the_tool(mill):
    id_ = mill.tool("submit", "--verify=verdict", "--wait", "--", "echo", "no verdict", check=False)
    assert id_.returncode == 125
    id_ = int(id_.stdout)
    shown = mill.tool("show", id_, check=True)
    assert "unverified" in shown and "it wrote no verdict" in shown
    job = json.loads(mill.tool("show", "--json=short", id_, check=True))[0]
    assert (job["verdict"], job["success"], job["io"]) == (None, False, {"stdout": "no verdict\n", "stderr": ""})
    assert job["attempts"][0]["io"] == job["io"]
    held = int(mill.tool("submit", "--hold", "--stdout=journal", "--", "true", check=True))
    mill.tool("set", held, "verify=verdict", check=True)
    assert mill.info(held)["stdout"] == "spool"
    refused = mill.tool("set", held, "stdout=journal")
    assert refused.returncode == 1 and "stdout" in refused.stderr
    mill.call("CancelJob", held)


def test_logs(mill, folder):
    """While it runs, from its files; afterwards what is recorded; following over a restart, each line once."""
    out, steps = folder / "out", [folder / n for n in "abc"]
    wait = "; while [ ! -e %s ]; do sleep 0.05; done; "
    id_ = mill.submit("echo one; echo two >&2" + wait % steps[0] + "echo three" + wait % steps[1] + "echo four" + wait % steps[2] +
                      "echo '%s'" % TRUE, stdout="spool")
    mill.reach(id_, "running")
    until(lambda: sorted(mill.tool("logs", id_, check=True).split()) == ["one", "two"], 10, "what is there")
    argv = ["jobmill", *(["--user"] if OF_USER else []), "logs", "-f", str(id_)]
    with open(out, "wb") as f:
        p = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=f, stderr=subprocess.STDOUT)
    text = lambda: out.read_text().splitlines()  # noqa: E731
    until(lambda: sorted(text()) == ["one", "two"], 10, lambda: text())
    steps[0].touch()
    until(lambda: text()[2:] == ["three"], 10, lambda: text())
    mill.restart_daemon()
    steps[1].touch()
    until(lambda: text()[2:] == ["three", "four"], 15, lambda: text())
    steps[2].touch()
    assert p.wait(20) == 0
    assert text()[2:] == ["three", "four", TRUE]
    mill.wait(id_)
    assert mill.tool("logs", "-n", 1, "-o", "short-iso", id_, check=True).strip().endswith(("stdout: " + TRUE, "stderr: two"))
    assert mill.tool("logs", id_, check=True).splitlines() == ["one", "three", "four", TRUE, "two"]


@pytest.mark.skipif(OF_USER, reason="it is one itself")
def test_of_a_users_instance(session):  # noqa: F811
    id_ = session.tool("submit", "--wait", "--verify=verdict", "--", "sh", "-c", "echo working; sleep 1; echo '%s'" % TRUE).strip()
    j = session.show(id_)
    assert (j["result"], j["verdict"]["success"], j["io"]["stdout"]) == ("success", True, "working\n")
    assert os.listdir(session.runtime + "/jobmill/spool") == []
