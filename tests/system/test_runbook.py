# SPDX-License-Identifier: LGPL-2.1-or-later
"""docs/runbook.md: each of its parts is done as it is printed, in a system that is really in that trouble.

A scenario is a generator, named by the part's heading. Between its yields the commands of one block are typed (as in test_documents.py,
which leaves this document to here) and what they print is compared; what comes before, between and after brings the trouble about and
looks whether it is over."""

import base64
import contextlib
import os
import pathlib
import pwd
import shutil
import sqlite3

import pytest

from mill import BusError, expect, job_units, run, systemctl, unit_properties, until
from test_documents import RUNBOOK, blocks, commands, empty, play

pytestmark = pytest.mark.system_only
STATE = pathlib.Path("/var/lib/jobmill")
DATABASE = STATE / "jobmill.db"
PARTS = {}
for _heading, _block in blocks(RUNBOOK):
    PARTS.setdefault(_heading, []).append(commands(_block))
SCENARIOS = {}


def part(heading):
    return lambda function: SCENARIOS.setdefault(heading, function)


# -- what brings trouble about --

def gate(folder):
    return "while [ ! -e %s/go ]; do sleep 0.05; done" % folder


def running(mill, folder, **spec):
    id_ = mill.submit(gate(folder), **spec)
    mill.reach(id_, "running")
    return id_


def ended_well(mill, folder, *ids):
    """What ran all the time was not touched."""
    (folder / "go").touch()
    assert [(j["result"], j["attempt"]) for j in mill.wait_all(ids)] == [("success", 1)] * len(ids)


def works(mill):
    mill.settled()
    assert mill.run("true")["result"] == "success"


def execute(sql, *values):
    """While jobmilld is stopped."""
    with contextlib.closing(sqlite3.connect(DATABASE)) as db:
        with db:
            return db.execute(sql, values).fetchall()


def fill(file):
    with open(file, "wb", buffering=0) as f:
        for size in (1 << 20, 4096):
            with contextlib.suppress(OSError):
                while f.write(b"x" * size) == size:
                    pass


def refuses_to_start():
    systemctl("start", "jobmilld.service", check=False)
    until(lambda: unit_properties("jobmilld.service", "ActiveState")["ActiveState"] == "failed", 10, "it has ended")


# -- the parts --

@part("Runbook")
def well(mill, folder):
    yield


@part("The daemon does not answer")
def stopped(mill, folder):
    id_ = running(mill, folder)
    systemctl("stop", "jobmilld.service")
    yield
    yield
    works(mill)
    ended_well(mill, folder, id_)


@part("The configuration is bad")
def bad_file(mill, folder):
    file = pathlib.Path("/etc/jobmill/queues/broken.queue")
    file.parent.mkdir(exist_ok=True)
    file.write_text("[Queue]\nSlots=many\nAllowUsers=*\n")
    systemctl("reload", "jobmilld.service")
    yield
    yield
    assert mill.run("true", queue="broken")["result"] == "success"


@part("The disk is full")
def disk_full(mill, folder):
    systemctl("stop", "jobmilld.service")
    run("mount", "-t", "tmpfs", "-o", "size=32M,mode=700", "tmpfs", STATE)
    try:
        systemctl("start", "jobmilld.service")
        mill.settled()
        id_ = running(mill, folder)
        fill(STATE / "filler")
        until(lambda: "The disk is full" in mill.tool("submit", "--hold", "--", "true").stderr, 20, interval=0)  # the rest of a page
        yield
        yield
        ended_well(mill, folder, id_)
        assert mill.call("CheckIntegrity") == []
    finally:
        systemctl("stop", "jobmilld.service")
        run("umount", "--lazy", STATE)
        systemctl("start", "jobmilld.service")
        mill.settled()


@part("/run is full")
def run_full(mill, folder):
    id_ = running(mill, folder)
    fill("/run/filler")
    new = mill.submit("true")
    # What others free in /run lets a start through now and then: it was told once, that is all that is sure.
    until(lambda: "asking again" in mill.info(new).get("reason", ""), 20, lambda: mill.info(new))
    yield
    (folder / "go").touch()
    yield
    assert mill.wait(new)["result"] == mill.wait(id_)["result"] == "success"


@part("The database is damaged")
def damaged(mill, folder):
    last = running(mill, folder)
    systemctl("stop", "jobmilld.service")
    DATABASE.write_bytes(b"This is no database. " * 1000)
    refuses_to_start()
    yield
    yield
    assert unit_properties("jobmilld.service", "ActiveState")["ActiveState"] == "failed"
    yield
    works(mill)
    assert mill.submit("true") > last
    assert mill.stats()["strays"] == 1
    (folder / "go").touch()
    until(lambda: mill.stats()["strays"] == 0, 10)


@part("Rows do not fit together")
def rows(mill, folder):
    id_ = running(mill, folder)
    systemctl("stop", "jobmilld.service")
    execute("INSERT INTO queue (name, paused, draining, held, waiting, ready, starting, running, stopping, done, dead)"
            " VALUES ('NOT A NAME', 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)")
    refuses_to_start()
    yield
    ended_well(mill, folder, id_)


@part("The database is of a newer version")
def newer(mill, folder):
    id_ = running(mill, folder)
    systemctl("stop", "jobmilld.service")
    version = execute("PRAGMA user_version")[0][0]
    execute("PRAGMA user_version = %d" % (version + 1))
    refuses_to_start()
    yield
    execute("PRAGMA user_version = %d" % version)  # as if the newer one were installed
    yield
    ended_well(mill, folder, id_)


@part("The database is locked")
def locked(mill, folder):
    id_ = running(mill, folder)
    systemctl("stop", "jobmilld.service")
    run("systemd-run", "--quiet", "--unit=locker", "flock", "--no-fork", STATE / "jobmill.lock", "sleep", "infinity")
    until(lambda: run("flock", "--nonblock", STATE / "jobmill.lock", "true", check=False).returncode != 0, 10)
    systemctl("start", "jobmilld.service")
    until(lambda: "cannot be opened" in unit_properties("jobmilld.service", "StatusText")["StatusText"], 20)
    yield
    pid = mill.daemon_pid()
    yield
    assert mill.daemon_pid() == pid
    ended_well(mill, folder, id_)


@part("Nothing is started")
def drop_in(mill, folder):
    id_ = running(mill, folder)
    file = pathlib.Path("/etc/systemd/system/service.d/restart.conf")
    file.parent.mkdir(exist_ok=True)
    file.write_text("[Service]\nRemainAfterExit=no\n")
    systemctl("daemon-reload")
    seen = mill.submit("sleep 5")
    until(lambda: mill.stats()["dispatch"], 20, lambda: mill.info(seen))
    yield
    works(mill)
    ended_well(mill, folder, id_)


@part("A queue stands")
def stands(mill, folder):
    unit = pathlib.Path("/run/systemd/system/model.service")
    unit.write_text("[Service]\nExecStart=sleep infinity\n")
    systemctl("daemon-reload")
    mill.write_queue("llm", "Slots=1", "GateUnit=model.service", "AllowUsers=*")
    id_ = mill.submit("true", queue="llm")
    until(lambda: "gate" in mill.info(id_).get("reason", ""), 10, lambda: mill.info(id_))
    yield
    yield
    assert mill.wait(id_)["result"] == "success"
    systemctl("stop", "model.service")
    unit.unlink()
    systemctl("daemon-reload")


@part("Jobs fail")
def fail(mill, folder):
    mill.write_queue("work", "Slots=2", "AllowUsers=*")
    model = pathlib.Path("/var/tmp/jobmill-model")
    # Alive until journald has seen whose line it is.
    ids = [mill.submit("[ -e %s ] || { echo no such model; sleep 1; exit 1; }" % model, queue="work") for _ in range(2)]
    assert {j["result"] for j in mill.wait_all(ids)} == {"exit-code"}
    yield
    yield
    model.unlink()
    assert {(j["result"], j["attempt"]) for j in mill.wait_all(ids)} == {("success", 2)}


@part("Jobs are lost")
def lost(mill, folder):
    id_ = running(mill, folder, name="copy")
    systemctl("stop", "jobmilld.service")
    execute("UPDATE attempt SET userspace_usec = userspace_usec - 1 WHERE job = ?", id_)  # of an earlier boot
    systemctl("stop", mill.unit(id_))
    (folder / "go").touch()
    systemctl("start", "jobmilld.service")
    assert mill.wait(id_)["result"] == "lost"
    yield
    yield
    assert (mill.info(id_)["result"], mill.info(id_)["attempt"]) == ("success", 2)


@part("The store is slow")
def slow(mill, folder):
    yield


@part("systemd refuses or is slow")
def refuses(mill, folder):
    id_ = running(mill, folder)
    yield
    yield
    ended_well(mill, folder, id_)


@part("Units that nobody knows")
def strays(mill, folder):
    mill.tool("backup", folder / "old.db", check=True)
    running(mill, folder)
    restore(folder / "old.db")
    until(lambda: mill.stats()["strays"] == 1, 20)
    mill.tool("check", "--accept", check=True)
    yield
    assert len(job_units()) == 1
    yield
    assert not job_units() and mill.stats()["strays"] == 0
    works(mill)


def restore(copy):
    systemctl("stop", "jobmilld.service")
    for file in STATE.glob("jobmill.db*"):
        file.unlink()
    shutil.copy(copy, DATABASE)
    systemctl("start", "jobmilld.service")


BACKUPS = pathlib.Path("/var/backups")


@part("Backup")
def backup(mill, folder):
    id_ = mill.submit("true", name="in the backup", hold=True)
    yield
    with contextlib.closing(sqlite3.connect("file:%s?immutable=1" % (BACKUPS / "jobmill.db"), uri=True)) as db:
        assert db.execute("SELECT count(*) FROM job WHERE id = ?", (id_,)).fetchone() == (1,)
    assert (BACKUPS / "jobmill.db").stat().st_mode & 0o777 == 0o600
    assert "etc/jobmill/" in run("tar", "--list", "--file", BACKUPS / "jobmill-etc.tar.gz")


@part("Put a backup back")
def put_back(mill, folder):
    kept = mill.submit("echo kept >>%s/ran" % folder, hold=True)
    again = mill.submit("echo again >>%s/ran" % folder, name="ran-already", hold=True)
    BACKUPS.mkdir(exist_ok=True)
    mill.tool("backup", BACKUPS / "jobmill.db", check=True)
    for id_ in (kept, again):
        mill.call("ReleaseJob", id_)
    mill.wait(again)
    last = mill.wait(kept)["id"]
    (folder / "ran").unlink()
    yield
    assert mill.stats()["dispatch"] == "store restored" and mill.state(kept) == mill.state(again) == "held"
    mill.call("ReleaseJob", kept)
    yield
    assert mill.wait(kept)["result"] == "success" and mill.info(again)["result"] == "cancelled"
    assert (folder / "ran").read_text() == "kept\n" and mill.submit("true") > last


@part("Upgrade and downgrade")
def upgrade(mill, folder):
    id_ = running(mill, folder)
    pid = mill.main_pid(id_)
    yield
    assert mill.main_pid(id_) == pid
    ended_well(mill, folder, id_)


def paused(mill, queue):
    return "paused" in mill.tool("queue", "show", queue, check=True).splitlines()[0]


def give_number(mill, uid):
    """To alice, who may have nothing that runs then: not even the session of an earlier test."""
    leave_alice(mill)
    run("usermod", "--uid", str(uid), "alice")


def leave_alice(mill):
    mill.forget_users()
    systemctl("stop", "user@%d.service" % pwd.getpwnam("alice").pw_uid, check=False)
    run("pkill", "-KILL", "-u", "alice", check=False)
    until(lambda: run("pgrep", "-u", "alice", check=False).returncode != 0, 20, lambda: run("ps", "-f", "-u", "alice", check=False).stdout)


@part("Move to another host")
def move(mill, folder):
    """The second host is this one, with nothing of the first left, whose alice has another number."""
    mill.write_queue("work", "Slots=1", "AllowUsers=*")
    shut = mill.write_queue("shut", "Slots=1", "AllowUsers=*")
    mill.call("PauseQueue", shut)
    runs = mill.submit("until jobmill queue show work | head -n 1 | grep -q paused; do sleep 0.1; done", queue="work")
    mill.reach(runs, "running")
    alice = pwd.getpwnam("alice").pw_uid
    give_number(mill, 12345)  # what she has on the first
    (folder / "secret").write_text("of hers\n")
    script = "id -un >>{0}/who; pwd >>{0}/who; cat $CREDENTIALS_DIRECTORY/key >>{0}/who".format(folder)
    waits = int(mill.tool("submit", "-q", "work", "--credential", "key=%s/secret" % folder, "--", "sh", "-c", script, user="alice", check=True))
    mill.tool("schedule", "set", "nightly", "OnCalendar=02:30", "--", "true", check=True)
    yield
    assert unit_properties("jobmilld.service", "ActiveState")["ActiveState"] == "inactive"
    for what in ("/etc/jobmill", STATE, "/run/jobmill/attempt"):
        empty([what], "*")
    give_number(mill, alice)
    pathlib.Path("/etc/jobmill/queues").mkdir(exist_ok=True)
    systemctl("start", "jobmilld.service")  # as its package does; it makes a store of its own
    mill.settled()
    yield
    assert mill.stats()["dispatch"] == "store restored"
    leave_alice(mill)
    yield
    assert mill.wait(waits)["result"] == "success" and (folder / "who").read_text() == "alice\n/home/alice\nof hers\n"
    assert mill.info(runs)["result"] == "success" and paused(mill, shut)
    systemctl("is-active", "jobmill-schedule-nightly.timer")
    assert mill.call("CheckIntegrity") == []
    mill.tool("schedule", "remove", "nightly", check=True)
    give_number(mill, alice)


JOB = {"queue": "default", "argv": ["/bin/true"]}


@part("One user floods the queue")
def flood(mill, folder):
    mill.call("PauseQueue", "default")
    mill.user("bob").call("SubmitMany", [JOB] * 300)
    hers = mill.user("alice").submit("true")
    yield
    yield
    expect("QueueFull", mill.user("bob").call, "SubmitMany", [JOB])
    yield
    assert not mill.jobs(owner=[pwd.getpwnam("bob").pw_uid], state=["held", "waiting", "ready"])
    mill.call("ResumeQueue", "default")
    assert mill.wait(hers)["result"] == "success"


@part("Callbacks do not arrive")
def callbacks(mill, folder):
    if not pathlib.Path("/usr/lib/systemd/system/jobmill-webhook.service").exists():
        pytest.skip("built without libcurl or OpenSSL")
    run("systemd-sysusers", "jobmill-webhook.conf")  # as its package does
    run("systemd-tmpfiles", "--create", "jobmill-webhook.conf")
    key = pathlib.Path("/etc/jobmill/webhook-keys/default")
    key.write_text(base64.b64encode(os.urandom(32)).decode() + "\n")
    key.chmod(0o600)
    mill.wait(mill.user("alice").submit("exit 0", callback_url="https://127.0.0.1:1/"))
    ended = lambda attempt: [(j["state"], j["attempt"]) for j in mill.jobs(queue="callbacks")] == [("done", attempt)]
    until(lambda: ended(1), 60, lambda: mill.jobs(queue="callbacks"))
    yield
    yield
    until(lambda: ended(2), 60, lambda: mill.jobs(queue="callbacks"))
    mill.call("PauseQueue", "callbacks")
    systemctl("stop", "jobmill-webhook.service")
    mill.call("ResumeQueue", "callbacks")


# -- each of them --

def test_each_part_has_its_scenario():
    assert SCENARIOS.keys() == PARTS.keys()


@pytest.fixture
def clean(mill):
    alice = pwd.getpwnam("alice").pw_uid
    mill.settled()
    yield
    # What a scenario that failed may have left.
    for file in ("/run/filler", "/etc/systemd/system/service.d/restart.conf"):
        pathlib.Path(file).unlink(missing_ok=True)
    systemctl("daemon-reload")
    systemctl("stop", "locker.service", check=False)
    systemctl("reset-failed", "jobmilld.service", check=False)
    systemctl("start", "jobmilld.service", check=False)
    for unit in job_units():
        systemctl("stop", unit, check=False)
    if mill.stats()["dispatch"] == "store restored":
        mill.call("AcceptStore")
    mill.settled()
    if pwd.getpwnam("alice").pw_uid != alice:
        give_number(mill, alice)
    for queue, _ in mill.call("ListQueues"):
        with contextlib.suppress(BusError):
            mill.call("ResumeQueue", queue)
    mill.drop_everything()
    mill.no_units()
    empty(["/etc/jobmill", "/run/jobmill/queues"], "*")
    mill.call("Reload")
    mill.call("PurgeJobs", {"state": "done"})


@pytest.mark.parametrize("heading", PARTS)
def test_part(mill, clean, folder, heading):
    with contextlib.closing(SCENARIOS[heading](mill, folder)) as scenario:  # one that fails undoes what it did
        for block in PARTS[heading]:
            next(scenario)
            play(RUNBOOK, block)
        assert next(scenario, "over") == "over", "the scenario waits for one more block"
