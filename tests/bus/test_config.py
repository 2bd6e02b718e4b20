# SPDX-License-Identifier: LGPL-2.1-or-later
"""jobmill.conf and queue files: three places, drop-ins, masks, reload, the last good state, limits, Storage=volatile."""

import contextlib
import os
import pathlib
import pwd
import socket

import dbus
import pytest

import client
from conftest import AS_ROOT, until


def settings(mill, name="jobmill.conf", **keys):
    path = mill.folder / "config" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("[Daemon]\n" + "".join("%s=%s\n" % kv for kv in keys.items()))
    return path


def refused(mill, error, *call):
    with pytest.raises(client.BusError) as e:
        mill.call(*call)
    assert e.value.short == error, e.value
    return e.value.message


def places(mill):
    """Three directories as the system has them, first wins."""
    dirs = [mill.folder / d for d in ("etc", "run-config", "usr")]
    for d in dirs:
        (d / "queues").mkdir(parents=True)
    return dirs, {"JOBMILL_CONFIG_PATH": ":".join(map(str, dirs))}


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


# ---- jobmill.conf ----

def test_time_outs_of_the_daemon_the_queue_and_the_job(mill):
    settings(mill, DefaultTimeoutSec="1h")
    mill.queue("own", Slots=1, AllowUsers="*", TimeoutSec="2h")
    mill.queue("none", Slots=1, AllowUsers="*", TimeoutSec="infinity")
    mill.start()

    def timeout(queue, **spec):
        return mill.info(mill.submit("true", queue, hold=True, **spec)).get("timeout_usec")

    hour = 3600 * 10**6
    assert timeout("default") == hour
    assert timeout("own") == 2 * hour
    assert timeout("none") is None
    assert timeout("own", timeout_usec=5 * 10**6) == 5 * 10**6
    settings(mill, DefaultTimeoutSec="10min")
    mill.call("Reload")
    assert timeout("default") == hour / 6 and timeout("own") == 2 * hour
    settings(mill)
    mill.call("Reload")
    assert timeout("default") is None


def test_stop_time_out_of_the_daemon(mill, systemd):
    """The unit's net: RuntimeMaxSec= is time-out + stop time-out + a minute."""
    settings(mill, DefaultStopTimeoutSec="7s")
    mill.queue("own", Slots=1, AllowUsers="*", StopTimeoutSec="9s")
    mill.start()
    for queue, seconds in ("default", 7), ("own", 9):
        id_ = mill.submit("sleep 60", queue)
        mill.reach(id_, "running")
        assert systemd.do("units")[mill.unit(id_)]["settings"]["TimeoutStopUSec"] == seconds * 10**6
        mill.call("CancelJob", id_)
        mill.wait(id_)


def test_a_bad_jobmill_conf_leaves_the_last_good_one(mill):
    settings(mill, ListPageMax=20)
    mill.start()
    mill.submit_many(["true"] * 60, hold=True)

    def page():
        return len(mill.call("ListJobs", {}, "", 0)[0])

    assert page() == 20
    path = mill.folder / "config/jobmill.conf"
    path.write_text("[Daemon]\nListPageMax=30\nListPageMaximum=3\n")
    message = refused(mill, "Configuration", "Reload")
    assert message.startswith("%s:3: [Daemon] ListPageMaximum=: unknown key" % path), message
    assert message.endswith("; the settings stay what they were")
    assert page() == 20
    settings(mill, "jobmill.conf.d/z.conf", ListPageMax=5)
    assert "'5' is not allowed (10…10000)" not in refused(mill, "Configuration", "Reload"), "the first is told"
    settings(mill, ListPageMax=30)
    assert "z.conf:2: [Daemon] ListPageMax=: '5' is not allowed (10…10000)" in refused(mill, "Configuration", "Reload")
    assert page() == 20
    settings(mill, "jobmill.conf.d/z.conf", ListPageMax=40)
    mill.call("Reload")
    assert page() == 40


def test_queue_files_are_read_while_jobmill_conf_is_bad(mill):
    mill.start()
    settings(mill, Nonsense=1)
    mill.queue("new", Slots=3, AllowUsers="*")
    assert "Nonsense" in refused(mill, "Configuration", "Reload")
    assert mill.queue_properties("new")["Slots"] == 3


def test_bad_from_the_start_means_the_defaults_and_is_told(mill):
    path = settings(mill, ListPageMax=20, Storage="ram")
    with contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as s:
        s.bind(str(mill.folder / "notify"))
        os.chmod(mill.folder / "notify", 0o777)
        s.settimeout(20)
        mill.start(NOTIFY_SOCKET=str(mill.folder / "notify"))
        said = "%s:3: [Daemon] Storage=: 'ram' is not allowed (persistent or volatile); the defaults are in force" % path
        assert said in mill.log_path.read_text()

        def status():
            return [line for line in s.recv(65536).decode().split("\n") if line.startswith("STATUS=")]

        until(lambda: any("bad configuration: " + said in line for line in status()), 10, "STATUS= says it")
        assert mill.stats()["storage"] == "persistent"
        mill.submit_many(["true"] * 21, hold=True)
        assert len(mill.call("ListJobs", {}, "", 0)[0]) == 21
        path.unlink()
        mill.call("Reload")
        until(lambda: any("configuration" not in line for line in status()), 10, "STATUS= says no more")


def test_edges_of_a_request_have_an_end(mill):
    """One message of some bytes would write millions of rows."""
    settings(mill, EdgesMax=10000)
    mill.start()
    a = mill.submit("true", hold=True, array=101)
    message = refused(mill, "TooMany", "SubmitMany", [client.entry("", ["true"], after=[(a, "end")])] * 100)
    assert "job 99: after: " in message and "more than 10000 times" in message and "(EdgesMax=)" in message
    refused(mill, "TooMany", "Submit", "", ["true"], {"array": 100, "after": [(a, "end")]})
    assert mill.stats()["waiting"] == 0
    ids = mill.call("SubmitMany", [client.entry("", ["true"], after=[(a, "end")])] * 99)
    mill.call("CancelJobs", {"ids": list(range(a, a + 101))})
    mill.all_done(ids)


@pytest.mark.skipif(not AS_ROOT, reason="needs root")
def test_limits_of_a_request(mill, remotes):
    settings(mill, SubmitManyMax=1000, PayloadMax="1K", EnvironmentMax="4K", PendingCallsPerUserMax=64)
    mill.start()
    assert "More than 1000 jobs in one call (SubmitManyMax=)" in refused(
        mill, "TooMany", "SubmitMany", [client.entry("", ["true"], hold=True)] * 1001)
    assert len(mill.submit_many([["true"]] * 1000, hold=True)) == 1000
    mill.submit("true", payload=b"x" * 1024, hold=True)
    message = refused(mill, "InvalidSpec", "Submit", "", ["true"], {"payload": b"x" * 1025})
    assert "payload: 1025 bytes, at most 1024 are allowed here (PayloadMax=)" in message
    mill.submit("true", environment=["A=" + "x" * 4093], hold=True)
    message = refused(mill, "InvalidSpec", "Submit", "", ["true"], {"environment": ["A=" + "x" * 4094]})
    assert "environment: 4097 bytes, at most 4096 are allowed here (EnvironmentMax=)" in message
    assert mill.stats()["held"] == 1002
    # A change does not lead past them
    for member, what in (("UpdateJob", 1), ("UpdateJobs", {"ids": [1]})):
        assert "(PayloadMax=)" in refused(mill, "InvalidSpec", member, what, {"payload": b"x" * 1025})
        assert "(EnvironmentMax=)" in refused(mill, "InvalidSpec", member, what, {"environment": ["A=" + "x" * 4094]})
    mill.call("UpdateJob", 1, {"payload": b"x" * 1024, "environment": ["A=" + "x" * 4093]})


@pytest.mark.skipif(not AS_ROOT, reason="needs root")
def test_calls_of_a_user_that_wait(mill, remotes):
    """One user's waits end at a limit; another user and root have their own."""
    settings(mill, PendingCallsPerUserMax=64)
    mill.start()
    id_ = mill.submit("true", hold=True)
    one, other = remotes("daemon"), remotes("bin")
    assert one.call("start", 64, "WaitJob", id_, client.FOREVER) == []
    (name, message), = one.call("start", 1, "WaitJob", id_, client.FOREVER)
    assert name == client.ERROR + "TooMany" and "at most 64 may (PendingCallsPerUserMax=)" in message
    assert one.call("GetJob", id_), "what is answered at once is"
    assert other.call("WaitJob", id_, 1)[0] == "held"
    assert mill.call("WaitJob", id_, 1)[0] == "held"
    one.close()  # and they are free again
    assert remotes("daemon").call("WaitJob", id_, 1)[0] == "held"


def test_logs_that_are_open(mill):
    settings(mill, OpenLogsPerUserMax=1)
    mill.start()
    id_ = mill.submit("sleep 60")
    mill.reach(id_, "running")
    fd = mill.call("OpenLog", id_, "journal-follow").take()
    assert "At most 1 logs can be open for one user at a time (OpenLogsPerUserMax=)" in refused(
        mill, "TooMany", "OpenLog", id_, "journal")
    os.close(fd)
    mill.call("CancelJob", id_)


def test_starts_in_flight(mill, systemd):
    settings(mill, StartsInFlightMax=1)
    mill.queue("wide", Slots=20, AllowUsers="*")
    mill.start()
    mill.result(mill.submit("true"))  # the first one is alone anyhow
    systemd.fault("StartTransientUnit", "never", count=1)
    mill.reach(mill.submit("true", "wide"), "starting")
    behind = mill.submit("true", "wide")
    mill.reach(behind, "starting")
    assert mill.unit(behind) not in systemd.do("counts")["starts"], "committed, but not asked for"
    settings(mill, StartsInFlightMax=2)
    mill.call("Reload")
    assert mill.result(behind) == "success"


# ---- how many may be queued ----

@pytest.mark.skipif(not AS_ROOT, reason="needs root")
def test_max_queued(mill, remotes):
    """Of the queue with those below it, of one user there, and of the whole daemon. All of a batch or nothing of it."""
    mill.queue("q", Slots=1, AllowUsers="*", AllowGroups="daemon bin", MaxQueued=6, MaxQueuedPerUser=3, Paused="yes")
    mill.queue("q-sub", AllowGroups="daemon bin")
    mill.start()
    one, other = remotes("daemon"), remotes("bin")

    def submit(who, queue, n=1):
        return who.call("SubmitMany", [{"queue": queue, "argv": ["true"]}] * n)

    def full(who, queue, n=1):
        with pytest.raises(client.BusError) as e:
            submit(who, queue, n)
        assert e.value.short == "QueueFull"
        return e.value.message

    assert full(one, "q", 4) == ("job 3: Queue 'q' is full: 3 jobs of this user are queued, at most 3 may be "
                                 "(MaxQueuedPerUser=)")
    assert mill.stats()["ready"] == 0, "nothing of it"
    first = submit(one, "q-sub", 2)
    submit(one, "q")
    assert "job 0: Queue 'q' is full: 3 jobs of this user" in full(one, "q-sub")
    assert "of this user" in full(one, "q")
    submit(other, "q", 2)
    assert mill.submit("true", "q"), "root is not counted as a user"
    message = refused(mill, "QueueFull", "Submit", "q", ["true"], {})
    assert message == "Queue 'q' is full: 6 jobs are queued, at most 6 may be (MaxQueued=)"
    assert "(MaxQueued=)" in full(other, "q")
    mill.restart()
    assert "(MaxQueued=)" in full(other, "q"), "it is known after a restart"
    mill.call("CancelJob", first[0])
    submit(one, "q-sub")
    assert "at most 3" in full(one, "q") or "at most 6" in full(one, "q")

    # What is there already stays when a limit is lowered below it; the daemon's own limit.
    mill.queue("q", Slots=1, AllowUsers="*", AllowGroups="daemon bin", MaxQueued=1)
    settings(mill, MaxQueuedPerUser=3)
    mill.queue("default", Slots=4, AllowUsers="*", AllowGroups="daemon")
    mill.call("Reload")
    assert mill.stats()["ready"] == 6
    assert "at most 1 may be (MaxQueued=)" in full(other, "q")
    assert full(one, "default") == ("job 0: All queues together are full: 3 jobs of this user are queued, at most 3 may be "
                                    "(MaxQueuedPerUser=)")
    settings(mill, MaxQueued=6)
    mill.call("Reload")
    assert refused(mill, "QueueFull", "Submit", "default", ["true"], {}).startswith("All queues together are full: 6 jobs are")
    # Retrying is not submitting.
    mill.call("RetryJob", first[0], {})
    assert mill.stats()["ready"] == 7


def test_max_queued_is_set_live(running):
    running.call("PauseQueue", "default")
    running.submit("true")
    running.call("SetQueue", "default", {"MaxQueued": dbus.UInt64(1)}, True)
    assert "at most 1 may be (MaxQueued=)" in refused(running, "QueueFull", "Submit", "", ["true"], {})
    running.call("SetQueue", "default", {"MaxQueued": "2"}, True)
    running.submit("true")
    assert "at most 2 may be (MaxQueued=)" in refused(running, "QueueFull", "Submit", "", ["true"], {})
    running.call("SetQueue", "default", {"MaxQueued": dbus.UInt64(2**64 - 1)}, True)
    running.submit("true")


# ---- Storage= ----

def test_volatile(mill):
    settings(mill, Storage="volatile")
    mill.start()
    assert mill.stats()["storage"] == "volatile"
    id_ = mill.submit("true", hold=True)
    folder = mill.folder / "run/store"
    assert folder.stat().st_mode & 0o777 == 0o700, "the runtime directory is everybody's"
    assert (folder / "jobmill.db").exists()
    assert not list((mill.folder / "state").iterdir())
    mill.restart()  # of the daemon only: what was promised is kept
    assert mill.state(id_) == "held"

    # Switched at the next start; nothing of the other store is touched.
    settings(mill, Storage="persistent")
    mill.call("Reload")
    assert "Storage=persistent takes effect when jobmilld is restarted." in mill.log_path.read_text()
    assert mill.stats()["storage"] == "volatile" and mill.state(id_) == "held"
    mill.restart()
    assert mill.stats()["storage"] == "persistent" and mill.stats()["held"] == 0
    assert (folder / "jobmill.db").exists()
    mill.submit("true", hold=True)
    settings(mill, Storage="volatile")
    mill.restart()
    assert mill.stats()["held"] == 1 and mill.state(id_) == "held"
    assert (mill.folder / "state/jobmill.db").exists()


def test_volatile_does_not_need_the_state_directory(mill):
    settings(mill, Storage="volatile")
    (mill.folder / "state").rmdir()
    mill.start()
    assert mill.result(mill.submit("true")) == "success"
    assert not (mill.folder / "state").exists()


# ---- queue files ----

def test_three_places(mill):
    (etc, run, usr), env = places(mill)
    write(usr / "queues/a.queue", "[Queue]\nSlots=1\nAllowUsers=*\n")
    write(run / "queues/a.queue.d/50.conf", "[Queue]\nSlots=2\n")
    write(etc / "queues/a.queue.d/40.conf", "[Queue]\nSlots=3\n")
    write(etc / "queues/b.queue", "[Queue]\nSlots=1\n")
    write(usr / "queues/b.queue.d/50.conf", "[Queue]\nSlots=5\nAllowUsers=*\n")
    write(run / "queues/c.queue.d/x.conf", "[Queue]\nSlots=6\nAllowUsers=*\n")
    write(usr / "queues/d.queue", "[Queue]\nSlots=7\n")
    (etc / "queues/d.queue").symlink_to("/dev/null")
    mill.start(**env)

    def slots():
        return {n: mill.queue_properties(n)["Slots"] for n, _ in mill.call("ListQueues")}

    assert slots() == {"a": 2, "b": 5, "c": 6}
    assert mill.result(mill.submit("true", "c")) == "success", "a drop-in alone makes a queue"
    assert refused(mill, "NoSuchQueue", "Submit", "d", ["true"], {})

    (etc / "queues/d.queue").unlink()
    (etc / "queues/a.queue.d/50.conf").symlink_to("/dev/null")
    mill.call("Reload")
    assert slots() == {"a": 3, "b": 5, "c": 6, "d": 7}
    # The main file goes, its drop-in keeps the queue; then that goes too, and what is queued waits.
    (usr / "queues/d.queue").unlink()
    (etc / "queues/b.queue").unlink()
    (usr / "queues/b.queue.d/50.conf").write_text("[Queue]\nSlots=4\nAllowUsers=*\n")
    mill.call("Reload")
    assert slots()["b"] == 4
    (run / "queues/c.queue.d/x.conf").unlink()
    mill.call("Reload")
    assert refused(mill, "NoSuchQueue", "Submit", "c", ["true"], {})


@pytest.mark.parametrize("make, said", [
    (lambda p: os.mkfifo(p), "Not a regular file."),
    (lambda p: p.mkdir(), "Is a directory."),
    (lambda p: p.symlink_to(p.name), "Too many levels of symbolic links"),
    (lambda p: p.write_bytes(b"[Queue]\nSlots=1\0\n"), "NUL"),
    (lambda p: p.write_bytes(b"[Queue]\nSlots=\xff\n"), "UTF-8"),
    (lambda p: p.write_bytes(b"[Queue]\nSlots=" + b"1" * (2 << 20) + b"\n"), "Line is too long."),
    (lambda p: p.write_bytes(b"[Queue]\n" + b"Slots=1\n" * (1 << 20)), "File is too large."),
], ids=["fifo", "directory", "loop", "nul", "utf8", "line", "file"])
def test_what_is_no_good_file_neither_blocks_nor_changes_the_queue(mill, make, said):
    mill.queue("q", Slots=3, AllowUsers="*")
    mill.start()
    path = mill.folder / "config/queues/q.queue"
    path.unlink()
    make(path)
    message = refused(mill, "Configuration", "Reload")
    assert said in message and "q.queue" in message and "keeps what it had" in message, message
    assert mill.queue_properties("q")["Slots"] == 3
    assert mill.result(mill.submit("true", "q")) == "success"


def test_a_link_into_nowhere_is_passed_over(mill):
    mill.queue("q", Slots=3, AllowUsers="*")
    drop_in = mill.queue("q", drop_in="50.conf", Slots=2)
    mill.start()
    drop_in.unlink()
    drop_in.symlink_to("/nowhere/at/all")
    mill.call("Reload")
    assert mill.queue_properties("q")["Slots"] == 3
