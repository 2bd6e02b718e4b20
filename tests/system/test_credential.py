# SPDX-License-Identifier: LGPL-2.1-or-later
"""Secrets of jobs, on a real systemd: the job has them, and a file that only root can read; nothing else that anybody may read ever does, and
when the job is done nothing does."""

import base64
import json
import os
import pathlib
import secrets
import sqlite3
import subprocess

import pytest

from client import BusError
from mill import PYTHON, RUN, run, systemctl, until
from workload import STATE

FOLDER = STATE / "credentials"
SOCKET = RUN / "org.jobmill"
# What it was given, as its owner sees it, then it waits until it is told to go on.
JOB = "id -un; cat $CREDENTIALS_DIRECTORY/token; echo; while ! [ -e %s ]; do sleep 0.05; done"


def forms(secret):
    """As it may be written down: as it is, as base64 (of any alignment), as hexadecimal digits."""
    s = secret.encode()
    return [s, s.hex().encode(), *(base64.b64encode(b"x" * i + s)[4:-8] for i in range(3))]


def holds(data, secret):
    return any(f in data for f in forms(secret))


def kernel_holds(secret, pid):
    """Of one process: words and environment. One may be gone meanwhile."""
    for file in ("cmdline", "environ"):
        try:
            if holds(pathlib.Path("/proc", pid, file).read_bytes(), secret):
                yield "/proc/%s/%s" % (pid, file)
        except OSError:
            continue


def files_that_hold(secret, *folders):
    for folder in folders:
        for root, _, names in os.walk(folder):
            for name in names:
                path = pathlib.Path(root, name)
                try:
                    if path.is_file() and holds(path.read_bytes(), secret):
                        yield str(path)
                except OSError:
                    continue


def told(mill, id_):
    """What is told of it, by jobmill and by systemd, to root, who is told most."""
    unit = mill.unit(id_)
    path = "/org/freedesktop/systemd1/unit/" + unit.replace("-", "_2d").replace(".", "_2e")
    yield "show", mill.tool("show", id_).stdout + mill.tool("show", "-j", id_).stdout + mill.tool("list", "-j").stdout
    yield "systemctl show", systemctl("show", unit)
    yield "systemctl cat", systemctl("cat", unit, check=False).stdout
    yield "busctl, systemd", run("busctl", "introspect", "org.freedesktop.systemd1", path)
    yield "busctl, jobmill", run("busctl", "introspect", "org.jobmill1", "/org/jobmill1/job/%d" % id_)
    yield "events and attempts", json.dumps(mill.attempts(id_))
    run("journalctl", "--sync")
    yield "journal", run("journalctl", "--no-pager", "--output=export", "--all")


def where_it_is(mill, secret, id_):
    found = [f for pid in os.listdir("/proc") if pid.isdigit() for f in kernel_holds(secret, pid)]
    found += files_that_hold(secret, STATE, "/run", "/var/log", "/etc/systemd", "/etc/jobmill", "/tmp", "/var/tmp")
    return sorted(found + [what for what, text in told(mill, id_) if holds(text.encode(), secret)])


def by_bus(mill, words, secret, file):
    return mill.user("alice").call("Submit", "", ["sh", "-c", words], {"credentials": {"token": secret}, "stdout": "spool"})[0]


def by_socket(mill, words, secret, file, **kwargs):
    spec = {"argv": ["sh", "-c", words], "stdout": "spool", **(kwargs or {"credentials_base64": {"token": base64.b64encode(secret.encode()).decode()}})}
    code = ("import json, socket, sys; s = socket.socket(socket.AF_UNIX); s.connect(%r); "
            "s.sendall(sys.stdin.buffer.read() + b'\\0'); print(s.recv(65536).rstrip(b'\\0').decode())" % str(SOCKET))
    text = json.dumps({"method": "org.jobmill.Submit", "parameters": {"job": spec}})
    answer = json.loads(run("setpriv", "--reuid=alice", "--regid=alice", "--clear-groups", PYTHON, "-c", code, input=text))
    return answer["parameters"]["id"]


def by_text(mill, words, secret, file):
    return by_socket(mill, words, secret, file, credentials={"token": secret})


def by_tool(mill, words, secret, file):
    """A file that root could not even know of: the tool reads it as its user."""
    p = mill.tool("submit", "--credential", "token=" + str(file), "--stdout=spool", "--", "sh", "-c", words, user="alice")
    assert p.returncode == 0, p.stderr
    return int(p.stdout)


@pytest.fixture
def secret():
    return "secret-" + secrets.token_hex(16)


@pytest.fixture
def file(secret):
    path = pathlib.Path("/home/alice/a token")
    path.parent.mkdir(exist_ok=True)
    path.write_text(secret)
    path.chmod(0o600)
    os.chown(path, *(getattr(__import__("pwd").getpwnam("alice"), k) for k in ("pw_uid", "pw_gid")))
    yield path
    path.unlink()


def vaults():
    return sorted(p.name for p in FOLDER.iterdir()) if FOLDER.exists() else []


@pytest.fixture(autouse=True)
def nothing_is_left(mill):
    yield
    mill.drop_everything()
    until(lambda: not vaults(), 10, vaults)


@pytest.mark.parametrize("way", [by_tool, by_bus, by_socket, by_text])
def test_only_the_job_has_it(mill, folder, secret, file, way):
    go = folder / "go"
    id_ = way(mill, JOB % go, secret, file)
    mill.reach(id_, "running")
    root_only = FOLDER / str(id_) / "token"
    for path, mode in ((FOLDER, 0o700), (root_only.parent, 0o700), (root_only, 0o600)):
        s = path.stat()
        assert (s.st_uid, s.st_gid, s.st_mode & 0o7777) == (0, 0, mode), path
    assert root_only.read_text() == secret
    copy = pathlib.Path("/run/credentials", mill.unit(id_), "token")
    for user in "alice", "bob":
        p = subprocess.run(["setpriv", "--reuid=" + user, "--regid=" + user, "--clear-groups", "cat", root_only], capture_output=True, text=True, check=False)
        assert p.returncode == 1 and "Permission denied" in p.stderr
    p = subprocess.run(["setpriv", "--reuid=bob", "--regid=bob", "--clear-groups", "cat", copy], capture_output=True, text=True, check=False)
    assert p.returncode == 1, p
    # Its spool is its own affair: it wrote it there.
    where = [w for w in where_it_is(mill, secret, id_) if not w.startswith(str(RUN / "spool"))]
    assert where == sorted(w for w in [str(root_only), str(copy)] if w in where) and str(root_only) in where
    info = mill.info(id_)
    assert list(info["credentials"]) == ["token"] and "credentials" not in mill.user("bob").call("GetJobInfo", id_)
    go.touch()
    info = mill.wait(id_)
    assert (info["result"], info["io"]["stdout"]) == ("success", "alice\n" + secret + "\n")
    until(lambda: not copy.exists(), 10)
    assert not root_only.parent.exists()
    until(lambda: not list((RUN / "spool").glob("%d-*" % id_)), 10)  # goes when its unit has gone
    # What it said of itself is recorded with it, and so it is in the store: no more is, nor elsewhere.
    assert [w for w in where_it_is(mill, secret, id_) if not w.startswith((str(STATE / "jobmill.db"), "show", "events"))] == []


def rows(query, *values):
    """Of a copy: the daemon has the store for itself."""
    copy = pathlib.Path("/var/tmp/credential-copy.db")
    run("jobmill", "backup", copy)
    try:
        with sqlite3.connect(copy) as db:
            return db.execute(query, values).fetchall(), copy.read_bytes()
    finally:
        copy.unlink()


def test_no_store_and_no_backup_has_it(mill, secret):
    id_ = mill.user("alice").submit("true", credentials={"token": secret, "other": secret}, hold=True, request_id="once")
    assert (FOLDER / str(id_) / "other").read_text() == secret
    (spec, ), data = rows("SELECT spec FROM job_spec WHERE job = ?", id_)
    assert json.loads(spec[0])["credentials"] == ["token", "other"] and not holds(data, secret)
    # The digest of a request knows the names alone, so nothing can be guessed by it.
    assert mill.user("alice").submit("true", credentials={"token": "another", "other": ""}, hold=True, request_id="once") == id_
    with pytest.raises(BusError) as e:
        mill.user("alice").submit("true", credentials={"tokem": secret}, hold=True, request_id="once")
    assert "was used for another request" in e.value.message
    assert vaults() == [str(id_)]
    assert list(mill.call("CheckIntegrity")) == []  # no file is a stranger's
    mill.call("CancelJob", id_)
    assert vaults() == []


def test_it_goes_with_the_job(mill, secret):
    """Cancelled before it runs and while it runs, purged, failed, replaced; and not before the last attempt, or the last of an array."""
    alice = mill.user("alice")
    held, running = (alice.submit("sleep 60", credentials={"token": secret}, **more) for more in ({"hold": True}, {}))
    mill.reach(running, "running")
    assert vaults() == sorted(map(str, (held, running)))
    for id_ in held, running:
        alice.call("CancelJob", id_)
        assert mill.wait(id_)["result"] == "cancelled"
        assert str(id_) not in vaults()
        with pytest.raises(BusError) as e:
            alice.call("RetryJob", id_, {})
        assert e.value.short == "JobFinished" and "its credentials were removed" in e.value.message
    assert alice.call("PurgeJobs", {"ids": [held, running]}) == 2

    tried = alice.submit("[ $JOBMILL_ATTEMPT = 3 ] && cat $CREDENTIALS_DIRECTORY/token", credentials={"token": secret}, max_attempts=3,
                         backoff_base_usec=300_000, stdout="spool")
    until(lambda: mill.info(tried)["attempt"] == 2, 20)
    assert vaults() == [str(tried)]
    assert mill.wait(tried)["io"]["stdout"] == secret and vaults() == []

    array = alice.submit("[ $JOBMILL_ARRAY_INDEX != 1 ] || exec sleep 60; grep -q %s $CREDENTIALS_DIRECTORY/token" % secret[:9],
                         credentials={"token": secret}, array=3)
    assert [mill.wait(array + i)["result"] for i in (0, 2)] == ["success"] * 2
    assert vaults() == [str(array)]
    alice.call("CancelJob", array + 1)
    mill.wait(array + 1)
    assert vaults() == []


def test_it_survives_the_daemon_and_is_not_left_behind(mill, secret):
    alice = mill.user("alice")
    job = alice.submit("cat $CREDENTIALS_DIRECTORY/token", credentials={"token": secret}, hold=True, stdout="spool")
    mill.restart_daemon(kill=True)
    # What a killed daemon may leave: of a job that never was, and of one that is done.
    done = mill.submit("true")
    mill.wait(done)
    with mill.down():
        for name in "999999", str(done):
            (FOLDER / name).mkdir(mode=0o700)
            (FOLDER / name / "token").write_text(secret)
    mill.settled()
    assert vaults() == [str(job)]
    mill.call("ReleaseJob", job)
    assert mill.wait(job)["io"]["stdout"] == secret and vaults() == []
    gone = mill.submit("true", credentials={"token": secret}, hold=True)
    (FOLDER / str(gone) / "token").unlink()
    mill.call("ReleaseJob", gone)
    info = mill.wait(gone)
    assert (info["result"], info["reason"]) == ("exec", "its credentials are gone")


def test_what_is_refused_leaves_nothing(mill, secret, folder):
    alice = mill.user("alice")
    mill.write_queue("secret-pool", "Slots=1", "Executor=pool", "AllowUsers=*", reload=False)
    mill.write_queue("secret-worker", "Slots=1", "Executor=worker", "AllowUsers=*")
    try:
        for queue in "secret-pool", "secret-worker":
            with pytest.raises(BusError) as e:
                alice.submit("true", queue, credentials={"token": secret})
            assert e.value.short == "PropertyNotAllowed" and "credentials" in e.value.message and secret not in e.value.message
        held = alice.submit("true", credentials={"token": secret}, hold=True)
        for call in (("MoveJob", held, "secret-pool"), ("UpdateJob", held, {"credentials": {"token": secret}})):
            with pytest.raises(BusError) as e:
                alice.call(*call)
            assert "credentials" in e.value.message and secret not in e.value.message, e.value
        with pytest.raises(BusError) as e:
            mill.call("SetSchedule", "secret", {"OnCalendar": ["daily"], "Job": {"argv": ["true"], "credentials": {"token": secret}}})
        assert "credentials: a schedule stores its job" in e.value.message
        for bad in {"../x": secret}, {"": secret}, {"a/b": secret}, {"x" * 256: secret}, {".": secret}, {"a:b": secret}, {"t%d" % i: "" for i in range(17)}, \
                {"a": "x" * (64 * 1024 + 1)}:
            with pytest.raises(BusError) as e:
                alice.submit("true", credentials=bad)
            assert e.value.short == "InvalidSpec" and "credential" in e.value.message and secret not in e.value.message
        with pytest.raises(BusError) as e:
            mill.user("alice").call("SubmitMany", [{"queue": "", "argv": ["true"], "credentials": {str(i): "x" * 65536 for i in range(15)}}] * 4 +
                                    [{"queue": "", "argv": ["true"], "credentials": {str(i): "x" * 65536 for i in range(5)}}])
        assert e.value.short == "TooMany" and "CredentialsPerUserMax=" in e.value.message
        assert vaults() == [str(held)]
        p = mill.tool("submit", "--credential", "token=/home/alice/no-such", "--", "true", user="alice")
        assert p.returncode == 1 and "no-such" in p.stderr
        p = mill.tool("run", "--credential", "token=/dev/null", "--", "true", user="alice")
        assert p.returncode != 0
    finally:
        mill.remove_queues()
