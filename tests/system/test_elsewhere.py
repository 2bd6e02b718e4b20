# SPDX-License-Identifier: LGPL-2.1-or-later
"""The tool operates on another machine: -H over ssh (to this one), -M into a container that runs a jobmilld of its own."""

import json
import os
import pathlib
import pwd
import shutil
import subprocess

import pytest

from mill import run, systemctl, until

SSH = pathlib.Path("/root/.ssh")


@pytest.fixture(scope="module")
def host():
    """An ssh server on the loopback for root, and for alice, whom root may become by the same key."""
    folder = pathlib.Path("/run/test-ssh")
    folder.mkdir(mode=0o700)
    run("dropbearkey", "-t", "ed25519", "-f", folder / "host")
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / "user")
    key = (folder / "user.pub").read_text()
    for user in ("root", "alice"):
        u = pwd.getpwnam(user)
        d = pathlib.Path(u.pw_dir, ".ssh")
        d.mkdir(mode=0o700, exist_ok=True)
        (d / "authorized_keys").write_text(key)
        for p in (d, d / "authorized_keys"):
            os.chown(p, u.pw_uid, u.pw_gid)
    (SSH / "config").write_text("Host elsewhere\n HostName 127.0.0.1\n Port 2222\n IdentityFile %s/user\n"
                                " UserKnownHostsFile /dev/null\n StrictHostKeyChecking no\n LogLevel ERROR\n BatchMode yes\n"
                                % folder)
    # A server that comes without a service: nothing listens on a machine only because it has what the tests need.
    server = subprocess.Popen(["/usr/sbin/dropbear", "-F", "-s", "-p", "127.0.0.1:2222", "-r", folder / "host", "-P", folder / "pid"],
                              stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until(lambda: run("ssh", "elsewhere", "true", check=False).returncode == 0, 10, "ssh works")
    yield "elsewhere"
    server.kill()
    server.wait()
    shutil.rmtree(folder)
    shutil.rmtree(SSH)


def far(*argv, **kwargs):
    return run("jobmill", *argv, **kwargs)


def test_host(mill, host):
    id_ = far("-H", host, "submit", "--name", "far", "--", "sh", "-c", "pwd; env | sort").strip()
    assert far("-H", host, "wait", "@last") == "%s success\n" % id_
    info = mill.info(int(id_))
    assert info["name"] == "far" and info["owner"] == 0
    # Nothing of this place goes there.
    assert "cwd" not in info or info["cwd"] == "/", info
    row = json.loads(far("-H", host, "list", "-j", "--name", "far"))[0]
    assert row["id"] == int(id_)
    assert "default" in far("-H", host, "queue", "list")
    assert "far" in far("-H", host, "show", "@last")
    until(lambda: id_ in far("__complete", "--", "-H", host, "show", "").split(), 30, "it is offered")


def test_host_as_another_user(mill, host):
    """@last is the newest job of who we are there."""
    mine = far("submit", "--", "true").strip()
    hers = far("-H", "alice@" + host, "submit", "--", "true").strip()
    assert mill.info(int(hers))["owner"] == pwd.getpwnam("alice").pw_uid
    far("-H", "alice@" + host, "wait", "@last")
    assert far("-H", "alice@" + host, "show", "@last", "-j").count('"id":%s,' % hers) == 1
    assert json.loads(far("show", "@last", "-j"))[0]["id"] == int(mine)
    p = far("-H", "alice@" + host, "cancel", mine, check=False)
    assert p.returncode == 1, "not her job"


def test_logs_of_a_host(mill, host):
    id_ = far("-H", host, "submit", "--", "sh", "-c", "echo 'one'; echo two; exit 1").strip()
    far("-H", host, "wait", id_, check=False)
    assert far("-H", host, "logs", id_) == "one\ntwo\n"
    assert far("-H", host, "logs", "-n", "1", "@last") == "two\n"
    assert json.loads(far("-H", host, "logs", "-o", "json", "-n", "1", "--attempt=1", id_))["MESSAGE"] == "two"
    p = far("-H", host, "logs", "no; touch /run/was-run", check=False)
    assert p.returncode == 1 and not pathlib.Path("/run/was-run").exists(), "what is typed is one word there too"
    follows = far("-H", host, "submit", "--", "sh", "-c", "for i in 1 2 3; do echo $i; sleep 0.2; done").strip()
    assert far("-H", host, "logs", "-f", follows) == "1\n2\n3\n"
    hers = far("-H", "alice@" + host, "submit", "--", "echo", "hers").strip()
    far("-H", "alice@" + host, "wait", hers)
    assert far("-H", "alice@" + host, "logs", "@last") == "hers\n"
    p = far("-H", "nobody-lives-here.invalid", "logs", "1", check=False)
    assert p.returncode != 0 and "nobody-lives-here" in p.stderr, p
    p = far("-H", host, "--user", "logs", "1", check=False)
    assert p.returncode == 1 and "--user and --host" in p.stderr


def test_host_errors(mill, host):
    p = far("-H", "nobody-lives-here.invalid", "list", check=False)
    assert p.returncode == 1 and p.stdout == "" and "jobmill: " in p.stderr, p
    p = far("-H", "bob@" + host, "list", check=False)
    assert p.returncode == 1 and "the connection ended" in p.stderr, p
    p = far("-H", host, "list", "--owner", "alice", check=False)
    assert p.returncode == 1 and "by number, not by name" in p.stderr
    assert far("-H", host, "list", "--owner", str(pwd.getpwnam("alice").pw_uid), "-j").startswith("[")
    p = far("-H", host, "submit", "--env=all", "--", "true", check=False)
    assert p.returncode == 1 and "another machine" in p.stderr
    p = far("-H", host, "--user", "list", check=False)
    assert p.returncode == 1 and "--user and --host" in p.stderr


@pytest.fixture(scope="module")
def machine():
    """A container that boots this very system once more."""
    top = pathlib.Path("/run/test-machine")
    top.mkdir()
    run("mount", "-t", "tmpfs", "-o", "mode=0755", "tmpfs", top)
    for d in ("upper", "work", "root"):
        (top / d).mkdir()
    mounted = run("mount", "-t", "overlay", "overlay", "-o", "lowerdir=/,upperdir=%s/upper,workdir=%s/work" % (top, top),
                  top / "root", check=False)
    if mounted.returncode != 0:
        run("umount", top)
        pytest.skip("the root of this machine is an overlay already: no overlay of an overlay of it")
    root = top / "root"
    for f in root.glob("etc/systemd/system/jobmill-boot.*"):
        f.unlink()
    shutil.rmtree(root / "var/lib/jobmill", ignore_errors=True)
    shutil.rmtree(root / "var/log/journal", ignore_errors=True)
    (root / "etc/machine-id").write_text(run("systemd-id128", "new"))
    run("systemd-run", "--unit=test-machine", "--property=KillMode=mixed", "--property=Delegate=yes", "--collect",
        "systemd-nspawn", "--quiet", "--directory=%s" % root, "--machine=inner", "--boot", "--private-network",
        "--link-journal=no", "--resolv-conf=off", "--timezone=off", "systemd.unit=multi-user.target")
    until(lambda: run("systemctl", "-M", "inner", "is-active", "jobmilld.service", check=False).stdout == "active\n", 60,
          lambda: "the container runs: " + run("journalctl", "-u", "test-machine", "-n", "30"))
    yield "inner"
    systemctl("stop", "test-machine.service", check=False)
    run("umount", "--lazy", root)
    run("umount", "--lazy", top)
    top.rmdir()


def test_machine(mill, machine):
    before = len(mill.jobs())
    id_ = far("-M", machine, "submit", "-E", "GREETING=hello", "--", "sh", "-c", "exit 3").strip()
    assert id_ == "1", "a store of its own"
    assert far("-M", machine, "wait", id_, check=False).returncode == 3
    assert json.loads(far("-M", machine, "list", "-j"))[0]["result"] == "exit-code"
    far("-M", machine, "queue", "pause", "default")
    far("-M", machine, "queue", "resume", "default")
    assert "exit-code" in far("-M", machine, "show", "@last")
    assert len(mill.jobs()) == before


def test_logs_of_a_machine(mill, machine):
    id_ = far("-M", machine, "submit", "--", "sh", "-c", "echo inside; cat /etc/machine-id; sleep 1; echo end").strip()
    inner = pathlib.Path("/run/test-machine/root/etc/machine-id").read_text().strip()
    assert far("-M", machine, "logs", "-f", id_) == "inside\n%s\nend\n" % inner
    assert far("-M", machine, "logs", "-n", "1", "@last") == "end\n"


def test_machine_that_is_not_there(mill):
    p = far("-M", "no-such-machine", "list", check=False)
    assert p.returncode == 1 and p.stdout == "" and "no-such-machine" in p.stderr


def test_user_of_this_machine(mill, folder):
    """root looks into the queue of a user: -M alice@.host --user, as with systemctl."""
    run("loginctl", "enable-linger", "alice")
    manager = "user@%d.service" % pwd.getpwnam("alice").pw_uid
    try:
        until(lambda: systemctl("is-active", manager, check=False).returncode == 0, 20, "the user manager runs")
        id_ = far("--user", "-M", "alice@.host", "submit", "--", "true").strip()
        assert far("--user", "-M", "alice@.host", "wait", id_) == "%s success\n" % id_
        # Alive while journald looks whose line it is (jobmill(1), logs).
        id_ = far("--user", "-M", "alice@.host", "submit", "--", "sh", "-c", "echo hers; until [ -e %s/go ]; do sleep 0.1; done" % folder).strip()
        until(lambda: far("--user", "-M", "alice@.host", "logs", id_) == "hers\n", 20, "her log")
        (folder / "go").touch()
        far("--user", "-M", "alice@.host", "wait", id_)
        assert far("--user", "-M", "alice@.host", "logs", id_) == "hers\n"
    finally:
        run("loginctl", "disable-linger", "alice")
        systemctl("stop", manager)
