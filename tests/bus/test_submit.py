# SPDX-License-Identifier: LGPL-2.1-or-later
"""Submit, wait, outcome: what goes in arrives at the command, and how it ended comes back."""

import json
import os
import time

import pytest

import client
import conftest
from conftest import AS_ROOT, until

FOREVER = client.FOREVER


@pytest.mark.parametrize("command, result, outcome", [
    ("exit 0", "success", {"exit_status": 0}),
    ("exit 7", "exit-code", {"exit_status": 7}),
    ("kill -TERM $$", "signal", {"exit_signal": 15}),
    ("kill -HUP $$", "signal", {"exit_signal": 1}),
    ("kill -INT $$", "signal", {"exit_signal": 2}),
    ("kill -PIPE $$", "signal", {"exit_signal": 13}),
    ("kill -KILL $$", "signal", {"exit_signal": 9}),
    (["/missing/program"], "exec", {"exit_status": 203}),
])
def test_results(running, command, result, outcome):
    id_ = running.submit(command)
    got, dictionary = running.wait(id_)
    assert got == result
    assert dictionary.items() >= {"attempt": 1, "unit": running.unit(id_), "result": result, **outcome}.items()
    info = running.info(id_)
    assert info["state"] == "done" and info["result"] == result
    assert info["dead"] == (result != "success")


def test_outcome_dictionary(running):
    before, ticks = int(time.time() * 1e6), time.monotonic()
    id_ = running.submit("sleep 0.1")
    _, o = running.wait(id_)
    assert before <= o["created_usec"] <= o["started_usec"] <= o["finished_usec"] <= int(time.time() * 1e6)
    # It counts from when the manager knows of the exec: the command may have slept a little by then.
    assert 0 < o["runtime_usec"] <= (time.monotonic() - ticks) * 1e6
    assert len(o["invocation_id"]) == 32 and int(o["invocation_id"], 16)
    assert o["slot_numbers"] == [0]
    assert "exit_signal" not in o or o["exit_signal"] == 0
    assert o["cpu_usec"] < 5000000
    assert "io_read_bytes" not in o and "io_write_bytes" not in o  # not known is absent, not 0
    assert running.call("ListAttempts", id_) == [o]


def test_usage_is_what_systemd_measured(running, systemd):
    systemd.do("usage", CPUUsageNSec=1500000000, IOReadBytes=4096, IOWriteBytes=8192)
    _, o = running.wait(running.submit("true"))
    assert (o["cpu_usec"], o["io_read_bytes"], o["io_write_bytes"]) == (1500000, 4096, 8192)


def test_oom_and_watchdog_are_named(running, systemd):
    for result in ("oom-kill", "watchdog", "core-dump"):
        systemd.do("usage", Result=result, ActiveState="failed", ExecMainCode=2 if result != "core-dump" else 3,
                   ExecMainStatus=9 if result != "core-dump" else 11)
        assert running.result(running.submit("kill -KILL $$")) == result


def test_argv_is_not_expanded(running):
    words = ["$HOME", "${PATH}", "%n", "a b", "", "\\x41", "'q\"", ";", "-", "é", "two\nlines", "\t"]
    out = running.out / "argv"
    program = "import json, sys; json.dump(sys.argv[2:], open(sys.argv[1], 'w'))"
    id_ = running.submit(["/usr/bin/python3", "-c", program, str(out), *words])
    assert running.result(id_) == "success"
    assert json.loads(out.read_text()) == words
    assert running.info(id_)["argv"][4:] == words


def test_environment_cwd_umask_payload(running):
    out = running.out / "seen"
    payload = bytes(range(256)) * 300
    (running.out / "wd").mkdir()
    program = ("import os, sys, json; u = os.umask(0); data = sys.stdin.buffer.read(); json.dump([dict(os.environ),"
               " os.getcwd(), u, data.hex()], open(sys.argv[1], 'w'))")
    nasty = "a \"b\" 'c' $d \\e `f` #g ;h\nnext\n"
    id_ = running.submit(["/usr/bin/python3", "-c", program, str(out)], name="look", umask=0o027, payload=payload,
                         cwd=str(running.out / "wd"), environment=["PLAIN=1", "NASTY=" + nasty, "EMPTY=",
                                                                  "JOBMILL_JOB_ID=999", "NOTIFY_SOCKET=/x"])
    assert running.result(id_) == "success"
    env, cwd, umask, data = json.loads(out.read_text())
    assert env["PLAIN"] == "1" and env["NASTY"] == nasty and env["EMPTY"] == ""
    assert cwd == str(running.out / "wd") and umask == 0o027 and bytes.fromhex(data) == payload
    assert env["JOBMILL_JOB_ID"] == str(id_) and env["JOBMILL_ATTEMPT"] == "1" and env["JOBMILL_QUEUE"] == "default"
    assert env["JOBMILL_NAME"] == "look" and env["JOBMILL_SLOTS"] == "0" and env["JOBMILL_ATTEMPT_ID"]
    assert env.get("NOTIFY_SOCKET") != "/x"


def test_no_payload_is_an_empty_stdin(running):
    assert running.result(running.submit("test -z \"$(cat)\"")) == "success"


def test_environment_is_secret_and_goes_away(running, systemd):
    id_ = running.submit("sleep 30", environment=["PASSWORD=hunter2"], payload=b"hunter2")
    running.reach(id_, "running")
    unit = systemd.do("units")[running.unit(id_)]
    assert "hunter2" not in json.dumps(unit)
    assert oct(os.stat(running.folder / "run/attempt").st_mode & 0o777) == "0o711" or not AS_ROOT
    running.call("CancelJob", id_)
    assert running.result(id_) == "cancelled"
    until(lambda: not os.listdir(running.folder / "run/attempt"), 5, "the files of the attempt are gone")


def test_unit_is_made_as_documented(running, systemd):
    running.queue("gpu-train", Slots=2, AllowUsers="*")
    running.call("Reload")
    id_ = running.submit("sleep 30", queue="gpu-train", name="t", timeout_usec=20000000, stop_timeout_usec=3000000)
    running.reach(id_, "running")
    s = systemd.do("units")[running.unit(id_)]["settings"]
    for key, value in {"Type": "exec", "RemainAfterExit": True, "Restart": "no", "KillMode": "control-group",
                       "OOMPolicy": "kill", "NotifyAccess": "all", "Slice": "jobmill-gpu-train.slice",
                       "IgnoreSIGPIPE": False, "StartLimitBurst": 1, "StartLimitIntervalUSec": FOREVER,
                       "CPUAccounting": True, "MemoryAccounting": True, "IOAccounting": True, "TasksAccounting": True,
                       "RuntimeMaxUSec": 83000000, "TimeoutStopUSec": 3000000,
                       "Description": "jobmill job %d (t)" % id_}.items():
        assert s.get(key) == value, key
    assert s["ExecStartEx"] == [["/bin/sh", ["/bin/sh", "-c", "sleep 30"], ["no-env-expand"]]]
    assert any(e.startswith("JOBMILL_ATTEMPT_ID=") for e in s["Environment"])
    assert "JOBMILL_SLOTS=0" in s["Environment"]
    if AS_ROOT:
        assert s["User"] in ("root", "0")


def test_streams_go_to_files(running, systemd):
    wd = running.out / "wd"
    wd.mkdir()
    id_ = running.submit("echo out; echo err >&2", cwd=str(wd), output_file="out.%j", error_file=str(wd / "100%%"))
    assert running.result(id_) == "success"
    assert (wd / ("out.%d" % id_)).read_text() == "out\n" and (wd / "100%").read_text() == "err\n"
    info = running.info(id_)
    assert (info["output_file"], info["error_file"]) == ("out.%j", str(wd / "100%%"))
    assert info["argv"] == ["/bin/sh", "-c", "echo out; echo err >&2"]


def test_files_are_emptied_by_the_first_attempt_only(running):
    out = running.out / "f"
    out.write_text("before\n")
    id_ = running.submit("echo $JOBMILL_ATTEMPT; exit 1", output_file=str(out), error_file=str(out))
    for n in (1, 2):
        assert running.result(id_) == "exit-code"
        assert out.read_text() == "".join("%d\n" % i for i in range(1, n + 1))
        running.call("RetryJob", id_, {})
    running.result(id_)


def test_command_behind_the_helper(running, systemd):
    words = ["-x", "@a", "+b", "!", ":c", "$HOME", "%n", ";", "--", "", "a\nb"]
    words = ["sh", "-c", "sleep 30", *words]
    id_ = running.submit(words, output_file="/dev/null", environment=["PATH=/usr/bin:/bin"])
    running.reach(id_, "running")
    helper = str(conftest.DAEMON.parent / "jobmill-exec")
    s = systemd.do("units")[running.unit(id_)]["settings"]
    assert s["ExecStartEx"] == [[helper, [helper, "--output=/dev/null", "--", *words], ["no-env-expand"]]]


def test_helper_failure_is_told(running, systemd):
    """Without its word that the command was not executed a status is just a status."""
    systemd.do("usage", StatusText="jobmill-exec: cannot open output_file '/x': No such file or directory")
    id_ = running.submit("exit 209")
    result, outcome = running.wait(id_)
    assert (result, outcome["exit_status"]) == ("exec", 209)
    assert running.info(id_)["reason"] == "cannot open output_file '/x': No such file or directory"
    systemd.do("usage", StatusText="something else")
    assert running.result(running.submit("sleep 0.3; exit 209")) == "exit-code"


def test_freezable_has_no_net(running, systemd):
    """RuntimeMaxSec= goes on while a unit is frozen."""
    id_ = running.submit("sleep 30", timeout_usec=20000000, freezable=True)
    running.reach(id_, "running")
    assert "RuntimeMaxUSec" not in systemd.do("units")[running.unit(id_)]["settings"]
    assert running.info(id_)["timeout_usec"] == 20000000
    assert running.result(running.submit("sleep 30", timeout_usec=300000, freezable=True)) == "timeout"


def test_properties_reach_the_unit(running, systemd):
    id_ = running.submit("sleep 30", properties=["MemoryMax=64M", "Nice=5", "CPUQuota=50%", "NoNewPrivileges=yes"])
    running.reach(id_, "running")
    s = systemd.do("units")[running.unit(id_)]["settings"]
    assert s["MemoryMax"] == 64 << 20 and s["Nice"] == 5 and s["CPUQuotaPerSecUSec"] == 500000
    assert s["NoNewPrivileges"] is True


def test_ids_grow_and_object_is_there(running):
    id1, path = running.call("Submit", "", ["/bin/true"], {})
    id2 = running.submit("true")
    assert (id1, id2) == (1, 2) and path == "/org/jobmill1/job/1"
    assert running.call("GetJob", id2) == "/org/jobmill1/job/2"


def test_submit_many_keeps_order(running):
    running.queue("other", Slots=1, AllowUsers="*")
    running.call("Reload")
    ids = running.call("SubmitMany", [client.entry("other" if i % 2 else "", ["/bin/sh", "-c", "exit %d" % (i % 3)])
                                      for i in range(20)])
    assert ids == list(range(1, 21))
    results = running.all_done(ids)
    assert [results[i] for i in ids] == ["success" if i % 3 == 0 else "exit-code" for i in range(20)]
    assert [running.info(i)["queue"] for i in ids] == ["other" if i % 2 else "default" for i in range(20)]


def test_submit_many_is_atomic(running):
    good = client.entry("", ["/bin/true"])
    for bad, name, words in ((client.options({"queue": "", "argv": ["/bin/true"], "nonsense": "x"}), "InvalidSpec", "nonsense"),
                             (client.entry("missing", ["/bin/true"]), "NoSuchQueue", "missing"),
                             (client.options({"queue": ""}), "InvalidSpec", "argv"),
                             (client.entry("", ["/bin/true"], slots=99), "InvalidSpec", "slots")):
        with pytest.raises(client.BusError) as e:
            running.call("SubmitMany", [good, good, bad, good])
        assert e.value.short == name
        assert "2" in e.value.message and words in e.value.message
    assert running.jobs() == []
    assert running.result(running.submit("true")) == "success"


def test_submit_many_has_a_limit(running):
    entries = [client.entry("", ["/bin/true"], hold=True)] * 10000
    ids = running.call("SubmitMany", entries)
    assert len(ids) == 10000 and running.stats()["held"] == 10000
    with pytest.raises(client.BusError) as e:
        running.call("SubmitMany", entries + entries[:1])
    assert e.value.short == "TooMany"
    with pytest.raises(client.BusError) as e:
        running.call("SubmitMany", [])
    assert e.value.short == "InvalidSpec"
    assert running.stats()["held"] == 10000


def test_wait_answers_when_time_is_over(running):
    id_ = running.submit("sleep 30")
    before = time.monotonic()
    state, result, _ = running.call("WaitJob", id_, 300000)
    assert state in ("ready", "starting", "running") and result == ""
    assert time.monotonic() - before >= 0.3
    state, result, _ = running.call("WaitJob", id_, 0)
    assert result == ""


def test_many_wait_for_one(running, session_client):
    id_ = running.submit("sleep 0.3; exit 3")
    pending = [session_client.start("WaitJob", id_, FOREVER) for _ in range(50)]
    for p in pending:
        state, result, outcome = session_client.finish(p)
        assert (state, result, outcome["exit_status"]) == ("done", "exit-code", 3)
    assert running.call("WaitJob", id_, FOREVER)[1] == "exit-code"  # and after the end at once


def test_waiter_may_go(running, address):
    id_ = running.submit("sleep 0.3")
    c = client.Client(address)
    c.start("WaitJob", id_, FOREVER)
    c.pump(0.05)
    c.close()
    assert running.result(id_) == "success"


def test_two_hundred_jobs(running, systemd):
    ids = running.submit_many(["exit %d" % (i % 2) for i in range(200)])
    results = running.all_done(ids)
    assert [results[i] for i in ids] == ["success" if i % 2 == 0 else "exit-code" for i in range(200)]
    counts = systemd.do("counts")
    assert set(counts["starts"].values()) == {1} and len(counts["starts"]) == 200
    until(lambda: not systemd.do("units"), 5, "all units are released")
    until(lambda: running.stats()["attempts"] == 0, 5, "and known to be")
    s = running.stats()
    assert (s["done"], s["dead"], s["attempts"], s["strays"], s["ready"], s["running"]) == (200, 100, 0, 0, 0, 0)
