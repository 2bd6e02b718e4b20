# SPDX-License-Identifier: LGPL-2.1-or-later
"""The store is the one that it should be: old copies that are put back, and what jobmill check says."""

import json
import os
import shutil
import socket
import sqlite3

import pytest

import client
from conftest import until
from tool import tool


def starts(mill):
    return int((mill.folder / "state/starts").read_text().split()[0])


def copy_store(mill, name="copy"):
    """As cp would: the database without the file beside it."""
    folder = mill.folder / name
    folder.mkdir()
    for path in (mill.folder / "state").glob("jobmill.db*"):
        shutil.copy(path, folder)
    return folder


def put_back(mill, folder):
    for path in (mill.folder / "state").glob("jobmill.db*"):
        path.unlink()
    for path in folder.iterdir():
        shutil.copy(path, mill.folder / "state")


def restored(mill):
    """A store with a job in it that was run since the copy was made."""
    mill.start()
    mill.call("PauseQueue", "default")
    id_ = mill.submit("echo >>%s/ran" % mill.out)
    mill.stop()
    copy = copy_store(mill)
    mill.start()
    mill.call("ResumeQueue", "default")
    assert mill.result(id_) == "success"
    mill.stop()
    put_back(mill, copy)
    return id_


def test_starts_are_counted(mill):
    mill.start()
    first = starts(mill)
    mill.restart()
    assert starts(mill) == first + 1
    mill.stop()
    assert starts(mill) == first + 2
    assert (mill.folder / "state/starts").stat().st_mode & 0o777 == 0o600
    mill.start()
    mill.settled()
    assert mill.stats()["dispatch"] == ""


def test_old_copy_put_back(mill, systemd):
    id_ = restored(mill)
    s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    s.bind(str(mill.folder / "notify"))
    s.settimeout(10)
    mill.start(NOTIFY_SOCKET=str(mill.folder / "notify"))
    mill.call("ResumeQueue", "default")
    until(lambda: mill.stats()["dispatch"] == "store restored", 5)
    status = ""
    while "nothing starts: store restored (jobmill check --accept)" not in status:
        status = s.recv(4096).decode()
    s.close()
    assert mill.state(id_) == "ready" and mill.info(id_)["reason"] == "store restored"
    assert mill.queue_properties("default")["Reason"] == "store restored"
    assert "restored" in tool(mill, "queue", "list") and "store restored" in tool(mill)
    assert "jobmill check --accept" in mill.log_path.read_text()
    p = tool(mill, "check", check=False)
    assert p.returncode == 1 and "old copy" in p.stdout

    mill.restart()  # it is not forgotten
    until(lambda: mill.stats()["dispatch"] == "store restored", 5)
    mill.call("ResumeQueue", "default")
    assert mill.state(id_) == "ready" and mill.out.joinpath("ran").read_text() == "\n"

    assert tool(mill, "check", "--accept") == ""
    assert mill.result(id_) == "success" and mill.out.joinpath("ran").read_text() == "\n\n"
    assert tool(mill, "check") == "" and mill.queue_properties("default")["Reason"] == ""
    mill.restart()
    mill.settled()


def test_copy_made_while_it_ran(mill):
    """It is told from the store that was closed in order later. Its log could be of another store, and is not used."""
    mill.start()
    mill.submit("true", hold=True)
    copy = copy_store(mill)
    mill.stop()
    put_back(mill, copy)
    mill.spawn()
    assert mill.process.wait(20) == 65 and "jobmill.db-wal beside it is of the one that was there before" in mill.log_tail()
    (mill.folder / "state/jobmill.db-wal").unlink()
    mill.start()
    until(lambda: mill.stats()["dispatch"] == "store restored", 5)


def test_lost_store(mill):
    mill.start()
    mill.restart()
    mill.stop()
    for path in (mill.folder / "state").glob("jobmill.db*"):
        path.unlink()
    mill.start()
    until(lambda: mill.stats()["dispatch"] == "store restored", 5)
    mill.call("AcceptStore")
    assert mill.result(mill.submit("true")) == "success"


def test_crash_between_the_two_writes(mill):
    """The store is ahead then: no alarm, however often."""
    mill.start()
    before = starts(mill)
    (mill.folder / "state/starts.new").mkdir()  # the file cannot be written, as if it had ended before
    for _ in range(3):
        mill.restart()
        mill.settled()
        assert starts(mill) == before and "Failed to count" in mill.log_path.read_text()
    (mill.folder / "state/starts.new").rmdir()
    mill.restart()
    mill.settled()
    assert starts(mill) == before + 4


@pytest.mark.parametrize("content", [None, b"", b"many\n", b"99999999999999999999\n", b"-1\n", os.urandom(100)])
def test_file_that_says_nothing(mill, content):
    mill.start()
    mill.stop()
    path = mill.folder / "state/starts"
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    mill.start()
    mill.settled()
    assert starts(mill) == 3


@pytest.mark.root
def test_who_may_accept(mill, remotes, polkit):
    id_ = restored(mill)
    mill.start()
    daemon = remotes("daemon")
    with pytest.raises(client.BusError) as e:
        daemon.call("AcceptStore")
    assert "AccessDenied" in e.value.name
    until(lambda: mill.stats()["dispatch"] == "store restored", 5)
    polkit.do("mode", mode="allow")
    daemon.call("AcceptStore")
    assert {a["action"] for a in polkit.do("asked")} == {"org.jobmill1.manage-queues"}
    mill.call("ResumeQueue", "default")
    assert mill.result(id_) == "success"


def test_nothing_to_accept(running):
    running.call("AcceptStore")
    assert running.result(running.submit("true")) == "success"
    running.stop()


def test_volatile_is_not_counted(mill):
    (mill.folder / "config/jobmill.conf").write_text("[Daemon]\nStorage=volatile\n")
    mill.start()
    mill.restart()
    assert not list(mill.folder.rglob("starts"))


# ---- CheckIntegrity ----

def kinds(mill):
    return sorted((f["kind"], f.get("job")) for f in mill.call("CheckIntegrity"))


def execute(mill, *statements):
    db = sqlite3.connect(mill.folder / "state/jobmill.db")
    for s in statements:
        db.execute(s)
    db.commit()
    db.close()


def edit(mill, *statements):
    """Rows as a fault would leave them."""
    mill.stop()
    execute(mill, *statements)
    mill.start()
    mill.settled()


def test_all_in_order(running):
    """Whatever was done: nothing is left over, and all sums are right."""
    done = [running.submit("exit %d" % (i % 2), environment=["A=%d" % (i % 3)], request_id="r%d" % i) for i in range(8)]
    for i in done:
        running.result(i)
    running.call("RetryJob", done[1], {})
    running.call("PurgeJobs", {"ids": done[:1]})
    held = running.submit("true", hold=True, environment=["A=1"])
    running.submit("true", not_before_usec=2**62)
    live = running.submit("sleep 60", environment=["B=2"])
    running.reach(live, "running")
    running.call("CancelJob", held)
    until(lambda: running.stats()["attempts"] == 1, 5, "all others are released")
    assert kinds(running) == []
    assert tool(running, "check") == "" and json.loads(tool(running, "check", "-j")) == []
    running.restart()
    running.settled()
    assert kinds(running) == []


def test_large_store_in_parts(mill):
    mill.start()
    mill.call("PauseQueue", "default")
    for _ in range(5):
        ids = mill.submit_many([["true"]] * 5000)
    edit(mill, "DELETE FROM job_spec WHERE job IN (1, 10000, 10001, 25000)", "INSERT INTO job_spec VALUES (90000, '{}', NULL)")
    pending = mill.bus.start("CheckIntegrity")
    assert mill.submit(["true"]) > ids[-1]
    found = mill.bus.finish(pending)
    assert sorted((f["kind"], f.get("job")) for f in found) == [("job-without-spec", i) for i in (1, 10000, 10001, 25000)] + [
        ("room", None), ("spec-without-job", 90000)]


@pytest.mark.parametrize("statement, wanted", [
    ("DELETE FROM job_spec WHERE job = 1", ("job-without-spec", 1)),
    ("INSERT INTO job_spec VALUES (77, '{}', NULL)", ("spec-without-job", 77)),
    ("UPDATE attempt SET job = 78 WHERE job = 1", ("attempt-without-job", 78)),
    ("UPDATE job SET dead = 1 - dead WHERE id = 1", ("dead", 1)),
    ("UPDATE queue SET done = done + 1", ("counters", None)),
    ("DELETE FROM queue", ("counters", None)),
    ("UPDATE backlog SET n = n + 1", ("counters", None)),
    ("DELETE FROM backlog", ("counters", None)),
    ("UPDATE environment SET refs = refs + 1", ("environment", None)),
    ("DELETE FROM environment", ("environment", None)),
    ("DELETE FROM environment_content", ("environment-missing", None)),
    ("UPDATE receipt_count SET n = 5", ("receipts", None)),
    ("DELETE FROM receipt_count", ("receipts", None)),
    ("UPDATE room SET bytes = bytes + 1", ("room", None)),
    ("DELETE FROM room", ("room", None)),
    ("INSERT INTO room VALUES (99, 1)", ("room", None)),
    ("INSERT INTO environment VALUES (99, 1, 0, 0)", ("environment", None)),
    ("INSERT INTO environment_content VALUES (99, x'00')", ("environment", None)),
    ("INSERT INTO edge VALUES (77, 1, 'end', 'fail', 1)", ("edge-without-job", 77)),
    ("UPDATE edge SET met = 0", ("edges", None)),
    ("UPDATE edge SET met = 0, before = 55", ("edges", None)),
    ("UPDATE job SET blockers = 3 WHERE id = 2", ("edges", None)),
    ("UPDATE array SET used = used + 1", ("counters", None)),
    ("UPDATE array SET held = 1", ("counters", None)),
    ("DELETE FROM job WHERE array IS NOT NULL", ("array", None)),
])
def test_rows_that_do_not_fit(mill, statement, wanted):
    mill.start()
    assert mill.result(mill.submit("true")) == "success"
    mill.submit("true", hold=True, environment=["A=1"], request_id="r", **({"after": [(1, "end")]} if wanted[0].startswith("edge") else {}))
    mill.submit("true", hold=True, array=2)
    edit(mill, statement)
    found = kinds(mill)
    assert wanted in found
    p = tool(mill, "check", check=False)
    assert p.returncode == 1 and wanted[0] in p.stdout and ("job %s: " % wanted[1] in p.stdout) == bool(wanted[1])
    rows = json.loads(tool(mill, "check", "-j", check=False).stdout)
    assert wanted[0] in {f["kind"] for f in rows} and {f["repaired"] for f in rows} == {None}
    mended = wanted[0] != "job-without-spec"
    about = lambda rows: [f for f in rows if mended or f["kind"] == wanted[0]]  # noqa: E731; a sum is made of what is left
    assert all(bool(f["repair"]) == mended for f in about(rows)) and ("[--repair: " in p.stdout) == any(f["repair"] for f in rows)

    rows = mill.call("Repair")
    assert sorted((f["kind"], f.get("job")) for f in rows) == found and {f["repaired"] for f in about(rows)} == {mended}
    if not mended:  # it says what to do
        mill.call("PurgeJobs", {"ids": [1]})
    assert kinds(mill) == []
    assert mill.call("Repair") == []
    assert tool(mill, "check", "--repair") == "" and json.loads(tool(mill, "check", "--repair", "-j")) == []
    works(mill, 2, "success" if wanted[0] != "environment-missing" else "exec")


def works(mill, held, result="success"):
    """All goes on: what was queued, what comes new, the sums, and a restart."""
    mill.settled()
    mill.call("ReleaseJob", held)
    assert mill.result(held) == result
    for _ in range(2):
        assert mill.result(mill.submit("true", environment=["A=1"])) == "success"
        mill.restart()
        mill.settled()
        assert kinds(mill) == []


def test_specs_in_the_way(mill):
    """Of a job that is to come: its id is passed over, with or without a repair."""
    mill.start()
    assert mill.submit("true") == 1
    mill.result(1)
    edit(mill, "INSERT INTO job_spec VALUES (2, '{}', NULL)", "UPDATE attempt SET job = 3")
    assert mill.submit("true", hold=True) == 4
    *lines, room = tool(mill, "check", "--repair", check=False).stdout.splitlines()
    assert lines == ["job 2: spec-without-job: there is a spec, but no such job [it is dropped]",
                     "job 3: attempt-without-job: there are attempts, but no such job [they are dropped]"]
    assert room.startswith("room: user %d: " % os.geteuid()) and room.endswith(" are counted [they are counted again]")
    works(mill, 4)


def test_index(mill):
    """What an index does not have, nobody would ever start."""
    mill.start()
    id_ = mill.submit("true", hold=True)
    other = mill.submit("true", hold=True)
    change = "UPDATE sqlite_schema SET sql = replace(sql, \"= 'ready'\", \"= 'never'\") WHERE name = 'job_ready'"
    back = change.replace("'ready'\", \"= 'never'", "'never'\", \"= 'ready'")
    version = "PRAGMA schema_version = %d"
    mill.stop()
    for statements in (
            ("PRAGMA writable_schema = ON", change, version % 1000),
            ("UPDATE job SET state = 'ready' WHERE id = %d" % id_, "UPDATE queue SET held = 1, ready = 1"),
            ("PRAGMA writable_schema = ON", back, version % 1001)):
        execute(mill, *statements)
    mill.start()
    mill.settled()
    mill.bus.pump(0.5)
    assert mill.state(id_) == "ready" and kinds(mill) == [("index", None)]
    assert "index job_ready: " in tool(mill, "check", check=False).stdout
    assert [f["repaired"] for f in mill.call("Repair")] == [True]
    assert mill.result(id_) == "success" and kinds(mill) == []
    works(mill, other)


def test_nothing_is_mended_in_a_damaged_file(mill):
    """What seems to belong to nothing may belong to rows that can still be saved."""
    mill.start()
    mill.result(mill.submit("true"))
    edit(mill, "INSERT INTO job_spec VALUES (77, '{}', NULL)")
    mill.stop()
    file = mill.folder / "state/jobmill.db"
    with open(file, "r+b") as f:
        f.seek(36)
        f.write((99).to_bytes(4, "big"))  # the length of the list of free pages
    mill.start()
    mill.settled()
    for _ in range(2):
        found = mill.call("Repair")
        assert {(f["kind"], f["repaired"]) for f in found} == {("spec-without-job", False), ("damaged", False)}
    assert mill.result(mill.submit("true")) == "success"


def test_repair_while_it_runs(mill):
    """Nothing that runs is touched, and those who wait go on waiting."""
    mill.start()
    live = mill.submit("while [ ! -e %s/go ]; do sleep 0.02; done" % mill.out, environment=["A=1"])
    mill.reach(live, "running")
    edit(mill, "UPDATE queue SET done = 77, running = 3", "INSERT INTO job_spec VALUES (77, '{}', NULL)")
    waiting = mill.bus.start("WaitJob", live, client.FOREVER)
    assert {f["kind"] for f in mill.call("Repair")} == {"counters", "spec-without-job"}
    assert mill.state(live) == "running" and kinds(mill) == []
    assert mill.queue_properties("default")["Running"] == 1
    mill.settled()
    assert mill.result(mill.submit("true")) == "success"
    (mill.out / "go").touch()
    assert mill.bus.finish(waiting)[1] == "success"
    assert len(mill.call("ListAttempts", live)) == 1


def test_files(mill):
    mill.start()
    mill.settled()
    live = mill.submit("sleep 60", environment=["A=1"])
    mill.reach(live, "running")
    state, queues = mill.folder / "state", mill.folder / "config/queues"
    (mill.folder / "run/attempt/9-1").mkdir()
    (mill.folder / "run/attempt/9-1/env").touch()
    (mill.folder / "run/attempt/file").touch()
    for path in (state / "backup.new", queues / ".jobmill-set.tmp", queues / ".old.queue.removed"):
        path.touch()
    (queues / ".old.queue.d.removed").mkdir()
    (queues / ".old.queue.d.removed/x.conf").touch()
    (state / "starts").write_text("?")
    (state / "ballast").unlink()
    (state / "mine.db").touch()
    lines = tool(mill, "check", "--repair", check=False).stdout.splitlines()
    assert sorted(l.split(":")[0] for l in lines) == (["ballast", "foreign-file"] + ["leftover-file"] * 4 + ["leftover-folder"] * 2
                                                      + ["starts"])
    assert [l for l in lines if "[left as it is]" in l] == ["foreign-file: %s: is not of jobmill [left as it is]" % (state / "mine.db")]
    assert kinds(mill) == [("foreign-file", None)]
    (state / "mine.db").unlink()
    assert tool(mill, "check", "--repair") == ""
    assert (state / "ballast").stat().st_size == 8 << 20 and starts(mill) == 2
    assert mill.state(live) == "running"


def test_what_is_left_to_people(mill, systemd):
    systemd.do("start_stray", name="jobmill-job-700-1.service", argv=["/bin/sleep", "60"],
               environment=["JOBMILL_ATTEMPT_ID=0123456789abcdef0123456789abcdef", "JOBMILL_SLOTS=0"])
    path = mill.queue("old", Slots=1, AllowUsers="*")
    mill.queue("parent-child", Slots=1, AllowUsers="*")
    mill.start()
    mill.settled()
    for name in ("old", "parent"):
        mill.call("PauseQueue", name)
    path.unlink()
    mill.call("Reload")
    p = tool(mill, "check", "--repair", check=False)
    assert p.returncode == 1 and sorted(l.split(": ")[0] for l in p.stdout.splitlines()) == ["job 700", "queue-without-file"]
    assert p.stdout.count("[left as it is]") == 2 and "queue old: is paused" in p.stdout
    assert mill.stats()["strays"] == 1 and mill.queue_properties("old")["Paused"]
    mill.call("ResumeQueue", "old")
    assert kinds(mill) == [("unit-without-job", 700)]


# ---- jobmilld --repair ----

def repair_offline(mill, status):
    mill.log_path.write_text("")
    mill.spawn("--repair")
    assert mill.process.wait(20) == status, mill.log_tail()
    return mill.log_tail().splitlines()


@pytest.mark.parametrize("statement, wanted", [
    ("DELETE FROM attempt WHERE job = 2", "job 2: job-without-attempt: it is live, and its attempt is not in the store [it is lost]"),
    ("INSERT INTO queue (name, paused, draining, held, waiting, ready, starting, running, stopping, done, dead)"
      " VALUES ('NOT A NAME', 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)",
     'queue: a queue has the impossible name "NOT A NAME" [it is dropped]'),
    ("DELETE FROM queue WHERE name = 'gone'", "counters: queue gone: has jobs, and no counters [it is counted again]"),
])
def test_refused_to_open(mill, systemd, statement, wanted):
    path = mill.queue("gone", Slots=1, AllowUsers="*")
    mill.start()
    held = mill.submit("true", hold=True, queue="gone")
    live = mill.submit("while [ ! -e %s/go ]; do sleep 0.02; done" % mill.out)
    mill.reach(live, "running")
    mill.stop()
    path.unlink()
    db = sqlite3.connect(mill.folder / "state/jobmill.db")
    db.execute(statement)
    db.commit()
    db.close()
    mill.spawn()
    assert mill.process.wait(20) == 65 and "jobmilld --repair" in mill.log_tail()
    assert wanted in repair_offline(mill, 0)
    assert repair_offline(mill, 0) == []
    mill.queue("gone", Slots=1, AllowUsers="*")
    mill.start()
    if "DELETE FROM attempt" in statement:
        until(lambda: mill.stats()["strays"] == 1, 10, "it runs on, and keeps its slot")
        info = mill.info(live)
        assert (info["state"], info["result"], info["reason"]) == ("done", "lost", "its attempt is not in the store")
        assert info["dead"] and kinds(mill) == [("unit-without-job", live)]
        (mill.out / "go").touch()
        until(lambda: mill.stats()["strays"] == 0, 10)
    else:
        (mill.out / "go").touch()
        assert mill.result(live) == "success"
    works(mill, held)


def test_repair_beside_a_daemon(running):
    p = running.process
    lines = repair_offline(running, 1)
    assert "Another daemon has it" in lines[-1]
    running.process = p
    assert running.result(running.submit("true")) == "success"


def test_repair_of_nothing(mill):
    assert "No such file" in repair_offline(mill, 1)[-1] and not list((mill.folder / "state").iterdir())


def test_leftovers(mill, systemd):
    systemd.do("start_stray", name="jobmill-job-700-1.service", argv=["/bin/sleep", "60"],
               environment=["JOBMILL_ATTEMPT_ID=0123456789abcdef0123456789abcdef", "JOBMILL_SLOTS=0"])
    mill.start()
    mill.settled()
    live = mill.submit("sleep 60", environment=["A=1"], stdout="spool")
    mill.reach(live, "running")
    (mill.folder / "run/attempt/9-1").mkdir()
    (mill.folder / "run/spool/9-1.stdout").touch()
    (mill.folder / "run/attempt/nonsense").mkdir()
    (mill.folder / "state/old.db").touch()
    (mill.folder / "state/a\nb").touch()
    assert kinds(mill) == [("foreign-file", None), ("foreign-file", None), ("leftover-file", None), ("leftover-folder", None),
                           ("leftover-folder", None), ("unit-without-job", 700)]
    text = tool(mill, "check", check=False).stdout
    assert "attempt/9-1: left over" in text and "old.db" in text and len(text.splitlines()) == 6
    assert "job 700: unit-without-job: jobmill-job-700-1.service" in text


def test_restored_store_is_told(mill):
    restored(mill)
    mill.start()
    assert kinds(mill) == [("store-restored", None)]


@pytest.mark.root
def test_who_may_check(running, remotes, polkit):
    for method in ("CheckIntegrity", "Repair"):
        with pytest.raises(client.BusError) as e:
            remotes("daemon").call(method)
        assert "AccessDenied" in e.value.name
    polkit.do("mode", mode="allow")
    assert remotes("daemon").call("Repair") == []
    assert {a["action"] for a in polkit.do("asked")} == {"org.jobmill1.manage-queues"}
