# SPDX-License-Identifier: LGPL-2.1-or-later
"""Configuration on a real system: /etc over /run over /usr/lib, drop-ins, masks, reload by systemctl, what a bad file changes
(nothing) and who is told, Storage=volatile, jobmill verify."""

import pathlib

import pytest

from mill import BusError, OF_USER, expect, run, unit_properties, until

pytestmark = pytest.mark.skipif(OF_USER, reason="is about the system's directories")

ETC, RUN, USR = (pathlib.Path(p) for p in ("/etc/jobmill", "/run/jobmill", "/usr/lib/jobmill"))


@pytest.fixture(autouse=True)
def files(mill):
    """put(path, text); what was put is taken away again."""
    made = []

    def put(path, text=None):
        path.parent.mkdir(parents=True, exist_ok=True)
        made.append(path)
        if text is None:
            path.symlink_to("/dev/null")
        else:
            path.write_text(text)
        return path

    yield put
    for path in made:
        path.unlink(missing_ok=True)
    mill.call("Reload")


@pytest.fixture
def reload(mill):
    return mill.reload


def slots(mill, name):
    p = mill._client.get_all(dict(mill.call("ListQueues"))[name], "org.jobmill1.Queue")
    return p["Slots"]


def status():
    return unit_properties("jobmilld.service", "StatusText")["StatusText"]


def test_three_places(mill, files, reload):
    files(USR / "queues/three.queue", "[Queue]\nSlots=1\nAllowUsers=alice\n")
    reload()
    assert slots(mill, "three") == 1
    files(RUN / "queues/three.queue", "[Queue]\nSlots=2\n")
    reload()
    assert slots(mill, "three") == 2
    with pytest.raises(BusError):
        mill.user("alice").submit("true", "three")  # that main file is not read any more
    (RUN / "queues/three.queue").unlink()
    # The drop-in of the later name wins, wherever it lies; of the same name that in /etc.
    files(USR / "queues/three.queue.d/60.conf", "[Queue]\nSlots=60\n")
    files(ETC / "queues/three.queue.d/50.conf", "[Queue]\nSlots=50\n")
    reload()
    assert slots(mill, "three") == 60
    files(ETC / "queues/three.queue.d/60.conf")
    reload()
    assert slots(mill, "three") == 50
    assert mill.wait(mill.user("alice").submit("true", "three"))["result"] == "success"
    # Masked as a whole, drop-ins or not.
    files(RUN / "queues/three.queue")
    reload()
    expect("NoSuchQueue", mill.submit, "true", "three")


def test_a_drop_in_alone(mill, files, reload):
    drop_in = files(RUN / "queues/alone.queue.d/50.conf", "[Queue]\nSlots=3\n[Slice]\nTasksMax=77\n")
    reload()
    assert slots(mill, "alone") == 3
    assert mill.run("true", "alone")["result"] == "success"
    assert unit_properties("jobmill-alone.slice", "TasksMax")["TasksMax"] == "77"
    drop_in.unlink()
    reload()
    expect("NoSuchQueue", mill.submit, "true", "alone")


def test_a_bad_file_changes_nothing_and_is_told(mill, files, reload):
    files(ETC / "jobmill.conf.d/50.conf", "[Daemon]\nListPageMax=10\n")
    files(ETC / "queues/bad.queue", "[Queue]\nSlots=2\n")
    reload()
    mill.submit_many(["true"] * 12, hold=True, name="config")

    def page():
        return len(mill.call("ListJobs", {"name": "config"}, "", 0)[0])

    assert page() == 10
    (ETC / "queues/bad.queue").write_text("[Queue]\nSlots=2\nSlots=two\n")
    bad = files(RUN / "jobmill.conf.d/60.conf", "[Daemon]\nListPageMax=9\n")
    reload()
    said = "%s:2: [Daemon] ListPageMax=: '9' is not allowed (10…10000); the settings stay what they were" % bad
    until(lambda: "bad configuration: " + said in status(), 10, lambda: status())
    run("journalctl", "--sync")
    log = run("journalctl", "--quiet", "--output=cat", "--unit=jobmilld.service", "--priority=err")
    assert said in log
    assert "%s:3: [Queue] Slots=: 'two' is not allowed" % (ETC / "queues/bad.queue") in log
    assert page() == 10 and slots(mill, "bad") == 2

    # After a restart nobody knows what was good: the defaults, and that queue's jobs wait.
    mill.restart_daemon()
    until(lambda: "the defaults are in force" in status(), 10, lambda: status())
    assert page() == 12
    expect("NoSuchQueue", mill.submit, "true", "bad")
    bad.unlink()
    (ETC / "queues/bad.queue").write_text("[Queue]\nSlots=2\n")
    reload()
    until(lambda: "configuration" not in status(), 10, lambda: status())
    assert page() == 10
    for j in mill.jobs(name="config"):
        mill.call("CancelJob", j["id"])


def test_time_outs_of_the_daemon(mill, files, reload):
    files(ETC / "jobmill.conf", "[Daemon]\nDefaultTimeoutSec=300ms\nDefaultStopTimeoutSec=200ms\n")
    reload()
    job = mill.run("trap '' TERM; while :; do sleep 0.1; done")
    assert job["result"] == "timeout" and job["exit_signal"] == 9
    assert mill.run("sleep 0.5", timeout_usec=60 * 10**6)["result"] == "success"


def test_volatile(mill, files):
    kept = mill.submit("true", hold=True)
    files(ETC / "jobmill.conf", "[Daemon]\nStorage=volatile\n")
    mill.no_units()
    mill.restart_daemon()
    store = RUN / "store"
    assert store.stat().st_mode & 0o777 == 0o700 and (store / "jobmill.db").exists()
    assert mill.stats()["storage"] == "volatile" and mill.stats()["held"] == 0
    secret = mill.submit('grep -q "^of a night$" "$CREDENTIALS_DIRECTORY/token"', hold=True, credentials={"token": "of a night\n"})
    id_ = mill.submit("sleep 60")
    mill.reach(id_, "running")
    mill.restart_daemon(kill=True)
    assert mill.state(id_) == "running", "a restart is no reboot"
    assert (store / "credentials" / str(secret) / "token").exists()
    mill.call("ReleaseJob", secret)
    assert mill.wait(secret)["result"] == "success"
    until(lambda: not (store / "credentials" / str(secret)).exists(), 10, "a job that is over has none")
    mill.call("CancelJob", id_)
    assert mill.wait(id_)["result"] == "cancelled"
    assert run("runuser", "-u", "alice", "--", "cat", str(store / "jobmill.db"), check=False).returncode != 0
    mill.no_units()
    (ETC / "jobmill.conf").unlink()
    mill.restart_daemon()
    assert mill.stats()["storage"] == "persistent" and mill.state(kept) == "held"
    mill.call("CancelJob", kept)


def test_verify(mill, files):
    """As a plain user, without the daemon; what the reload then says is the same."""
    assert mill.tool("verify", user="alice").returncode == 0
    files(ETC / "queues/one.queue", "[Queue]\nSlots=none\nNope=1\n")
    two = files(USR / "queues/two.queue", "[Queue]\nAllowUsers=*\n[Service]\nNice=99\n")
    with mill.down():
        p = mill.tool("verify", user="alice")
        assert p.returncode == 1 and p.stdout == ""
        assert [line.split(": ")[0] for line in p.stderr.splitlines()] == [
            "/etc/jobmill/queues/one.queue:2", "/etc/jobmill/queues/one.queue:3", "/usr/lib/jobmill/queues/two.queue:4"]
        assert mill.tool("verify", str(two), user="alice").stderr == p.stderr.splitlines()[2] + "\n"
    message = expect("Configuration", mill.call, "Reload")
    assert message.startswith(p.stderr.splitlines()[0])
    two.chmod(0)
    assert "two.queue: Permission denied" in mill.tool("verify", user="alice").stderr
