# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a job says of itself at the end of its output, and what is made of it: spools, verdicts, verify modes, tails, bounded use of
memory. All of it over restarts of the daemon too."""

import json
import os
import pwd
import re
import signal
import sqlite3
import time

import pytest

import client
from conftest import AS_ROOT, until

TRUE, FALSE = '{"success": true, "n": 3}', '{"success": false, "why": "no"}'


def spool(mill):
    return mill.folder / "run/spool"


def files(mill):
    return sorted(p.name for p in spool(mill).iterdir()) if spool(mill).exists() else []


def gate(mill, name="go"):
    return "while [ ! -e %s/%s ]; do sleep 0.02; done" % (mill.out, name)


RESULTS = [  # verify, command, result, verdict, success
    ("exit", "true", "success", None, True),
    ("exit", "echo '%s'" % TRUE, "success", TRUE, True),
    ("exit", "echo '%s'" % FALSE, "verdict", FALSE, False),
    ("exit", "echo '{}'", "success", "{}", True),
    ("exit", "echo '{\"success\": 0}'", "success", '{"success": 0}', True),
    ("exit", "echo '%s'; exit 3" % TRUE, "exit-code", TRUE, False),
    ("verdict", "echo '%s'" % TRUE, "success", TRUE, True),
    ("verdict", "echo '%s'" % FALSE, "verdict", FALSE, False),
    ("verdict", "true", "unverified", None, False),
    ("verdict", "echo '%s'; echo and more" % TRUE, "unverified", None, False),
    ("verdict", "echo '%s' >&2" % TRUE, "unverified", None, False),
    ("verdict", "echo '{\"success\": null}'", "unverified", '{"success": null}', False),
    ("verdict", "echo '{\"success\": \"true\"}'", "unverified", '{"success": "true"}', False),
    ("verdict", "echo '%s'; exit 3" % TRUE, "exit-code", TRUE, False),
    ("verdict", "echo '%s'; kill -KILL $$" % TRUE, "signal", TRUE, None),
    ("verdict", "echo '%s'; kill -TERM $$" % TRUE, "signal", TRUE, None),
]


def test_results(running):
    ids = [running.submit(command, verify=verify, stdout="spool") for verify, command, *_ in RESULTS]
    for id_, (verify, command, result, verdict, success) in zip(ids, RESULTS):
        got, outcome = running.wait(id_)
        assert (got, outcome.get("verdict"), outcome.get("success")) == (result, verdict, success), (command, outcome)
        info = running.info(id_)
        assert (info["result"], info.get("verdict"), info.get("success")) == (result, verdict, success)
        assert (info["stdout"], info["verify"], info["dead"]) == ("spool", verify, result != "success")
        if result == "unverified":
            assert info["reason"]
        assert running.call("ListAttempts", id_)[0] == outcome
    assert {j["id"]: j.get("verdict") for j in running.jobs(fields=["id", "verdict"])} == dict(zip(ids, (r[3] for r in RESULTS)))
    until(lambda: not files(running), 5, "the spool is removed")


def test_io(running):
    """What is before the verdict, and standard error: their ends, as text."""
    id_ = running.submit("echo working; printf 'a\\377b\\000\\n'; echo warning >&2; echo '%s'" % TRUE, stdout="spool")
    _, o = running.wait(id_)
    assert o["io"] == {"stdout": "working\na\ufffdb\ufffd\n", "stderr": "warning\n"}
    id_ = running.submit("seq 100000; seq 200000 300000 >&2; printf x; exit 1", stdout="spool")
    _, o = running.wait(id_)
    assert "verdict" not in o
    assert {k: len(v) for k, v in o["io"].items()} == {"stdout": 4096, "stderr": 4096}
    assert o["io"]["stdout"].endswith("99999\n100000\nx") and o["io"]["stderr"].endswith("300000\n")
    assert "io" not in running.wait(running.submit("echo x"))[1]


def test_tail_is_a_setting(mill):
    (mill.folder / "config/jobmill.conf").write_text("[Daemon]\nIoTailMax=5\n")
    mill.start()
    _, o = mill.wait(mill.submit("echo 123456; echo 654321 >&2; echo '{}'", stdout="spool"))
    assert o["io"] == {"stdout": "3456\n", "stderr": "4321\n"} and o["verdict"] == "{}"


# (daemon, queue, job, (stdout, verify))
LEVELS = [
    ({}, {}, {}, ("journal", "exit")),
    ({"DefaultStdout": "spool"}, {}, {}, ("spool", "exit")),
    ({"DefaultVerify": "verdict"}, {}, {}, ("spool", "verdict")),
    ({"DefaultVerify": "verdict"}, {"Verify": "exit"}, {}, ("journal", "exit")),
    ({"DefaultVerify": "verdict"}, {"Verify": "exit"}, {"verify": "verdict"}, ("spool", "verdict")),
    ({"DefaultStdout": "spool"}, {"Stdout": "journal"}, {}, ("journal", "exit")),
    ({}, {"Stdout": "spool", "Verify": "verdict"}, {"verify": "exit"}, ("spool", "exit")),
    ({}, {"Stdout": "spool"}, {"stdout": "journal"}, ("journal", "exit")),
    ({}, {"Stdout": "journal"}, {"verify": "verdict"}, ("spool", "verdict")),
    ({}, {"Stdout": "spool"}, {"output_file": "/dev/null"}, ("journal", "exit")),
    ({}, {"Stdout": "spool"}, {"error_file": "/dev/null"}, ("spool", "exit")),
]


def test_levels(running):
    """Job, else queue, else daemon; and it stays what it was when the job was submitted."""
    conf = running.folder / "config/jobmill.conf"
    ids = []
    for n, (daemon, queue, job, _) in enumerate(LEVELS):
        conf.write_text("[Daemon]\n" + "".join("%s=%s\n" % kv for kv in daemon.items()))
        running.queue("q%d" % n, Slots=4, AllowUsers="*", **queue)
        running.call("Reload")
        ids.append(running.submit("echo '%s'" % TRUE, "q%d" % n, hold=True, **job))

    def check():
        assert [(running.info(i)["stdout"], running.info(i)["verify"]) for i in ids] == [expected for *_, expected in LEVELS]

    check()
    for verify in ("exit", "verdict"):
        conf.write_text("[Daemon]\nDefaultVerify=%s\n" % verify)
        running.restart()
        for i in ids:
            running.call("UpdateJob", i, {"tags": {"a": verify}, "priority": 3})
        check()
    for i in ids:
        running.call("ReleaseJob", i)
    for i, (*_, expected) in zip(ids, LEVELS):
        result, o = running.wait(i)
        assert (result, o.get("verdict")) == ("success", TRUE if expected[0] == "spool" else None)


REFUSED = [
    ({"verify": "verdict", "stdout": "journal"}, "stdout"),
    ({"verify": "verdict", "output_file": "/tmp/x"}, "output_file"),
    ({"stdout": "spool", "output_file": "/tmp/x"}, "output_file"),
    ({"verify": "perhaps"}, "verify"),
    ({"stdout": "file"}, "stdout"),
]


def test_refused(running):
    for spec, what in REFUSED:
        with pytest.raises(client.BusError, match=what) as e:
            running.submit("true", **spec)
        assert e.value.short == "InvalidSpec"
    assert running.jobs() == []


def test_changed_before_it_starts(running):
    id_ = running.submit("echo '%s'" % FALSE, hold=True)
    running.call("UpdateJob", id_, {"verify": "verdict"})
    assert (running.info(id_)["stdout"], running.info(id_)["verify"]) == ("spool", "verdict")
    with pytest.raises(client.BusError, match="stdout"):
        running.call("UpdateJob", id_, {"stdout": "journal"})
    with pytest.raises(client.BusError, match="output_file"):
        running.call("UpdateJob", id_, {"output_file": "/tmp/x"})
    running.call("UpdateJob", id_, {"verify": "exit", "stdout": "journal"})
    assert (running.info(id_)["stdout"], running.info(id_)["verify"]) == ("journal", "exit")
    running.call("UpdateJob", id_, {"verify": "verdict"})
    running.call("ReleaseJob", id_)
    assert running.result(id_) == "verdict"


def test_intents_win(running):
    """Cancelled, or out of time: that is what it was, whatever it says."""
    say = "trap 'echo \"%s\"; exit 0' TERM; echo ready >&2; while :; do sleep 0.02; done" % TRUE.replace('"', '\\"')
    id_ = running.submit(say, verify="verdict")
    until(lambda: (spool(running) / ("%d-1.stderr" % id_)).exists() and
          (spool(running) / ("%d-1.stderr" % id_)).stat().st_size > 0, 10, "it runs")
    running.reach(id_, "running")
    running.call("CancelJob", id_)
    result, o = running.wait(id_)
    assert (result, o["verdict"], o.get("success")) == ("cancelled", TRUE, None)
    id_ = running.submit(say, verify="verdict", timeout_usec=10**9)
    until(lambda: (spool(running) / ("%d-1.stderr" % id_)).exists() and
          (spool(running) / ("%d-1.stderr" % id_)).stat().st_size > 0, 10, "it runs")
    running.reach(id_, "running")
    running.call("UpdateJob", id_, {"timeout_usec": 100000})
    result, o = running.wait(id_)
    assert (result, o["verdict"], o.get("success")) == ("timeout", TRUE, None)
    assert o["io"]["stderr"].startswith("ready\n")


def test_daemon_is_away_while_it_ends(running):
    ids = {id_: result for result, text in (("success", TRUE), ("verdict", FALSE), ("unverified", "nothing"))
           for id_ in [running.submit("%s; echo before; echo '%s'" % (gate(running), text), verify="verdict")]}
    for id_ in ids:
        running.reach(id_, "running")
    running.kill()
    (running.out / "go").touch()
    time.sleep(0.2)
    running.start()
    assert running.all_done(ids) == ids
    for id_, result in ids.items():
        assert running.wait(id_)[1]["io"]["stdout"].startswith("before\n")
    until(lambda: not files(running), 5, "the spools are removed")


def test_daemon_is_restarted_while_it_writes(running):
    id_ = running.submit("for i in $(seq 30); do echo $i; sleep 0.02; done; echo '%s'" % TRUE, verify="verdict")
    until(lambda: running.state(id_) not in ("ready", "starting"), 5, "it runs")
    for _ in range(2):
        time.sleep(0.1)
        running.restart()
    result, o = running.wait(id_)
    assert (result, o["verdict"]) == ("success", TRUE)
    assert o["io"]["stdout"].split() == [str(i) for i in range(1, 31)]


def test_asked_again(running, systemd):
    """A start that may pass: asked for again, into the same files."""
    systemd.fault("StartTransientUnit", "refuse", error="org.freedesktop.DBus.Error.LimitsExceeded")
    id_ = running.submit("echo '%s'" % TRUE, verify="verdict")
    until(lambda: files(running) == ["%d-1.stderr" % id_, "%d-1.stdout" % id_], 5, "the files are there")
    (spool(running) / ("%d-1.stdout" % id_)).write_text("what was there\n")
    systemd.do("clear_faults")
    result, o = running.wait(id_)
    assert (result, o["io"]["stdout"]) == ("success", "what was there\n")


@pytest.mark.root
def test_files_are_the_owners(mill, remotes):
    """And nobody else's: he can open them again, and others not even see them."""
    mill.queue("default", Slots=4, AllowUsers="daemon")
    running = mill.start()
    user = pwd.getpwnam("daemon")
    command = ["/bin/sh", "-c", "echo one; echo two > /dev/stdout; echo three | tee -a /dev/stderr; %s" % gate(running)]
    id_ = remotes("daemon").call("Submit", "", command, {"stdout": "spool"})[0]
    path = spool(running) / ("%d-1.stdout" % id_)
    until(lambda: path.exists() and path.read_text().endswith("three\n"), 10, "it has written")
    st, folder = path.stat(), spool(running).stat()
    assert (st.st_uid, st.st_mode & 0o7777) == (user.pw_uid, 0o600)
    assert (folder.st_uid, folder.st_mode & 0o7777) == (0, 0o711)
    (running.out / "go").touch()
    result, o = running.wait(id_)
    assert (result, o["io"]) == ("success", {"stdout": "two\nthree\n", "stderr": "three\n"})


@pytest.mark.root
def test_private(running, remotes):
    id_ = running.submit("echo '%s'" % TRUE, stdout="spool")
    running.result(id_)
    other = remotes("daemon")
    seen = [other.call("GetJobInfo", id_), other.call("WaitJob", id_, 0)[2], *other.call("ListAttempts", id_),
            *other.call("ListJobs", {}, "", 0)[0]]
    for d in seen:
        assert d["result"] == "success" and not {"verdict", "success", "io", "stdout", "verify", "status"} & set(d), d


def test_bounded_while_it_writes(mill):
    """150 megabytes, of which only the last bit is ever kept; the verdict at its end is found, over a restart in the middle too."""
    mill.queue("default", Slots=4, AllowUsers="*", SpoolMax="1M")
    mill.start()
    id_ = mill.submit("for i in $(seq 15); do until [ -e %s/$i ]; do sleep 0.01; done; head -c 10000000 /dev/zero; done; echo; echo '%s'" % (
        mill.out, TRUE), verify="verdict")
    path = spool(mill) / ("%d-1.stdout" % id_)
    most, size, step = 0, 0, 0
    while mill.state(id_) != "done":
        try:
            st = path.stat()
        except FileNotFoundError:
            continue
        most, size = max(most, st.st_blocks * 512), max(size, st.st_size)
        if step < 15 and st.st_size == step * 10**7 and st.st_blocks * 512 < 2 * 10**7:  # what came before is given back: on it goes
            step += 1
            (mill.out / str(step)).touch()
            if step == 7:
                mill.restart()
        time.sleep(0.005)
    assert mill.result(id_) == "success" and step == 15
    assert size >= 130000000 and most < size / 2, (size, most)


def test_killed_where_it_keeps_more(mill):
    """Memory that cannot be given back, as it lies behind the end: four times SpoolMax= of it are too much."""
    mill.queue("default", Slots=4, AllowUsers="*", SpoolMax="256K")
    mill.start()
    program = ("import ctypes, os, signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
               "l = ctypes.CDLL(None, use_errno=True); l.fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_long, ctypes.c_long];"
               "r = l.fallocate(1, 1, 0, %d << 10); os.write(1, b'x\\n'); time.sleep(%d); print('{\"success\": true}')")
    ids = [mill.submit(["/usr/bin/python3", "-c", program % (900, 1)], verify="verdict"),
           mill.submit(["/usr/bin/python3", "-c", program % (1100, 600)], verify="verdict")]
    result, o = mill.wait(ids[1])
    assert (result, o["reason"], o["exit_signal"], o.get("success")) == ("signal", "spool", signal.SIGKILL, None), o
    assert mill.result(ids[0]) == "success"


def test_left_behind(mill):
    """Of attempts that nobody knows, as a daemon that was killed leaves them."""
    spool(mill).mkdir(mode=0o700)
    (spool(mill) / "17-1.stdout").write_text("old")
    (spool(mill) / "17-1.stderr").write_text("")
    mill.start()
    id_ = mill.submit(gate(mill), stdout="spool")
    mill.reach(id_, "running")
    assert files(mill) == ["%d-1.stderr" % id_, "%d-1.stdout" % id_]
    (mill.out / "go").touch()
    mill.result(id_)


def test_spool_that_cannot_be_made(mill):
    """It waits and says so; nothing else does."""
    mill.start()
    assert mill.result(mill.submit("true")) == "success"
    spool(mill).write_text("no folder")
    id_ = mill.submit("echo '%s'" % TRUE, verify="verdict")
    until(lambda: "spool" in mill.info(id_).get("reason", ""), 5, "the reason says so")
    assert mill.result(mill.submit("true")) == "success"
    spool(mill).unlink()
    assert mill.result(id_) == "success"


def test_many_at_once(mill):
    """Three descriptors each, on a bus that takes so many."""
    mill.queue("default", Slots=100, AllowUsers="*")
    mill.start()
    ids = mill.submit_many(["cat; echo; echo '{\"success\": true, \"id\": '$JOBMILL_JOB_ID'}'"] * 100, verify="verdict",
                           payload=b"x" * 100)
    assert set(mill.all_done(ids).values()) == {"success"}
    for id_ in ids:
        assert json.loads(mill.info(id_)["verdict"])["id"] == id_
        assert mill.info(id_)["io"]["stdout"] == "x" * 100 + "\n"


def test_limits_are_live(running):
    """SpoolMax= of a job that runs; Verify= and Stdout= of those that come."""
    running.queue("live", Slots=1, AllowUsers="*")
    running.call("Reload")
    id_ = running.submit("head -c 3000000 /dev/zero; %s; echo; echo '%s'" % (gate(running), TRUE), queue="live", stdout="spool")
    path = spool(running) / ("%d-1.stdout" % id_)
    until(lambda: path.exists() and path.stat().st_size == 3000000, 10, "it has written")
    assert path.stat().st_blocks * 512 > 2900000
    running.call("SetQueue", "live", {"SpoolMax": "256K", "Verify": "verdict"}, True)
    until(lambda: path.stat().st_blocks * 512 < 300000, 5, "it is cut short")
    (running.out / "go").touch()
    assert running.result(id_) == "success"
    assert running.info(running.submit("true", queue="live", hold=True))["verify"] == "verdict"
    for bad in ({"SpoolMax": "1K"}, {"Verify": "perhaps"}, {"Stdout": "file"}):
        with pytest.raises(client.BusError):
            running.call("SetQueue", "live", bad, True)


def test_preview(running):
    text = running.call("PreviewUnit", "", ["true"], {"verify": "verdict"})
    assert "files of its spool" in text and "StandardOutput" not in text
    assert "spool" not in running.call("PreviewUnit", "", ["true"], {})


def test_texts_of_many_attempts(mill):
    """Of what is recorded of them the daemon gives the newest 4 MiB, the newest last: as a log, and in the list."""
    mill.start()
    id_ = mill.submit("echo out; echo err >&2; exit 1", stdout="spool")
    mill.wait(id_)
    mill.stop()
    db = sqlite3.connect(mill.folder / "state/jobmill.db")
    columns = [c[1] for c in db.execute("PRAGMA table_info(attempt)")]
    values = {"attempt": "n", "io_stdout": "'attempt ' || n || char(10)", "verdict": "'{\"a\":\"' || printf('%060000d', n) || '\"}'"}
    db.execute("WITH RECURSIVE c(n) AS (VALUES (2) UNION ALL SELECT n + 1 FROM c WHERE n < 100) INSERT INTO attempt (%s) SELECT %s FROM c, attempt"
               " WHERE job = %d AND attempt = 1" % (", ".join(columns), ", ".join(values.get(c, c) for c in columns), id_))
    db.execute("UPDATE job SET attempt = 100, max_attempts = 100 WHERE id = %d" % id_)
    db.commit()
    db.close()
    mill.start()
    with open(mill.call("OpenLog", id_, "journal").take(), "rb") as f:
        text = f.read()
    assert 3 << 20 < len(text) < 5 << 20
    assert re.findall(rb"MESSAGE=attempt (\d+)\n", text) == [b"%d" % n for n in range(32, 101)]
    attempts = mill.call("ListAttempts", id_)
    assert [a["attempt"] for a in attempts] == list(range(1, 101))
    assert [a["attempt"] for a in attempts if "io" in a] == [a["attempt"] for a in attempts if "verdict" in a] == list(range(32, 101))
    last = text[text.index(b"MESSAGE=attempt 100\n"):]
    assert last.count(b"MESSAGE=") == 3 and last.index(b"00000100") < last.index(b"MESSAGE=err\n")


def test_tried_again(running):
    """What it said of itself counts for another attempt, which has a spool of its own."""
    say = "echo attempt $JOBMILL_ATTEMPT; [ $JOBMILL_ATTEMPT = 3 ] && echo '%s' || [ $JOBMILL_ATTEMPT = 1 ] || echo '%s'" % (TRUE, FALSE)
    id_ = running.submit(say, verify="verdict", max_attempts=3, backoff_base_usec=1000)
    result, o = running.wait(id_)
    assert (result, o["attempt"], o["io"]["stdout"]) == ("success", 3, "attempt 3\n")
    assert [(a["result"], a.get("verdict"), a["io"]["stdout"]) for a in running.call("ListAttempts", id_)] == [
        ("unverified", None, "attempt 1\n"), ("verdict", FALSE, "attempt 2\n"), ("success", TRUE, "attempt 3\n")]
    id_ = running.submit(say, verify="verdict", max_attempts=3, retry_on=["verdict"])
    assert running.result(id_) == "unverified" and running.info(id_)["attempt"] == 1
    until(lambda: not files(running), 5, "the spools are removed")
