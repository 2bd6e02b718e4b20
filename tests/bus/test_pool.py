# SPDX-License-Identifier: LGPL-2.1-or-later
"""Pools: a runner that is started when jobs wait for it, and what it makes of them."""

import contextlib
import json
import pathlib
import signal

import pytest

import client
import fake_systemd
import varlink
from conftest import until
from test_cgroup import cgroups  # noqa: F401 (a fixture)

pytestmark = [pytest.mark.root, pytest.mark.skipif(not fake_systemd.CGROUPS, reason="needs cgroup v2")]
UNIT = "jobmill-pool-p-0.service"


@pytest.fixture
def mill_p(mill):
    mill.listen()
    mill.queue("p", Slots=4, AllowUsers="* daemon", Executor="pool", StopTimeoutSec="300ms")
    mill.start()
    mill.settled()
    return mill


def processes(mill):
    """In control groups of jobs."""
    root = fake_systemd.CGROUPS / ("jobmill-fake-%d" % mill.systemd.process.pid) / UNIT
    found = {}
    for p in root.glob("*/cgroup.procs"):
        with contextlib.suppress(OSError):  # removed just now
            found[p.parent.name] = len(p.read_text().split())
    found.pop("runner", None)
    return found


def test_results(mill_p, remotes):
    jobs = {c: mill_p.submit(c, "p") for c in ("exit 0", "exit 7", "kill -KILL $$", "kill -TERM $$", "ulimit -c 0; kill -SEGV $$")}
    missing = mill_p.submit(["/nonexistent"], "p")
    nowhere = mill_p.submit(["true"], "p", cwd="/nonexistent")
    outcomes = {c: mill_p.wait(i) for c, i in jobs.items()}
    assert {c: (r, o.get("exit_status"), o.get("exit_signal")) for c, (r, o) in outcomes.items()} == {
        "exit 0": ("success", 0, None), "exit 7": ("exit-code", 7, None), "kill -KILL $$": ("signal", None, 9),
        "kill -TERM $$": ("signal", None, 15), "ulimit -c 0; kill -SEGV $$": ("signal", None, 11)}
    assert all(o["cpu_usec"] > 0 for _, o in outcomes.values())
    assert mill_p.result(missing) == mill_p.result(nowhere) == "exec"
    assert mill_p.info(missing)["reason"] == "the command cannot be executed: No such file or directory"
    assert mill_p.info(nowhere)["reason"] == "cannot change to the working directory: No such file or directory"
    info = mill_p.info(jobs["exit 0"])
    assert info["executor"] == "pool" and "unit" not in info and info["runtime_usec"] >= 0
    assert mill_p.systemd.do("counts")["starts"] == {UNIT: 1}

    theirs = remotes("daemon").call("Submit", "p", ["/bin/sh", "-c", "exit $(id -u)"], {})[0]
    assert mill_p.wait(theirs)[1].get("exit_status", 0) == 1
    assert mill_p.systemd.do("counts")["starts"]["jobmill-pool-p-1.service"] == 1


def test_what_it_is_given(mill_p):
    code = ('echo "$A $JOBMILL_JOB_ID $JOBMILL_ATTEMPT $JOBMILL_QUEUE $JOBMILL_SLOTS $(umask) $(pwd) $(ulimit -n) $(nice)"; cat; '
            'test -z "$JOURNAL_STREAM$INVOCATION_ID" && echo none >&2; echo \'{"success": true, "n": 1}\'')
    id_ = mill_p.submit(["sh", "-c", code], "p", environment=["A=1", "PATH=/usr/bin:/bin"], umask=0o27, cwd="/usr", payload=b"text\n",
                        properties=["LimitNOFILE=100", "Nice=3", "MemoryMax=1G"], stdout="spool", slots=2, verify="verdict")
    assert mill_p.result(id_) == "success"
    info = mill_p.info(id_)
    assert mill_p.call("ListAttempts", id_)[0]["memory_max"] == 1 << 30
    assert info["io"] == {"stdout": "1 %d 1 p 0,1 0027 /usr 100 3\ntext\n" % id_, "stderr": "none\n"}
    assert json.loads(info["verdict"])["n"] == 1
    assert not list((mill_p.folder / "run/spool").iterdir())

    quiet = mill_p.submit("echo text", "p", stdout="spool", verify="verdict")
    assert mill_p.result(quiet) == "unverified"
    files = mill_p.submit("echo out; echo err >&2", "p", output_file=str(mill_p.out / "%j.out"), error_file=str(mill_p.out / "%j.err"))
    assert mill_p.result(files) == "success"
    assert [(mill_p.out / ("%d.%s" % (files, e))).read_text() for e in ("out", "err")] == ["out\n", "err\n"]
    refused = mill_p.submit(["true"], "p", output_file="/nonexistent/file")
    assert mill_p.result(refused) == "exec"
    assert mill_p.info(refused)["reason"] == "cannot open output_file '/nonexistent/file': No such file or directory"


def test_what_it_cannot_give(mill_p):
    for spec, what in (({"properties": ["PrivateTmp=yes"]}, "PrivateTmp="), ({"properties": ["AllowedCPUs=0"]}, "AllowedCPUs="),
                       ({"freezable": True, "timeout_usec": 1000000}, "freezable")):
        with pytest.raises(client.BusError) as e:
            mill_p.submit(["true"], "p", **spec)
        assert e.value.short == "PropertyNotAllowed" and what in e.value.message
    id_ = mill_p.submit(["sleep", "60"], "p")
    mill_p.reach(id_, "running")
    with pytest.raises(client.BusError) as e:
        mill_p.call("FreezeJob", id_)
    assert e.value.short == "NotFreezable" and "Executor=pool" in e.value.message
    mill_p.queue("q", AllowUsers="*", Executor="pool")
    mill_p.queue("q", "Service", drop_in="a.conf", ProtectSystem="yes")
    with pytest.raises(client.BusError) as e:
        mill_p.call("Reload")
    assert "ProtectSystem= cannot be set" in e.value.message


IGNORES = "trap '' TERM; sh -c \"trap '' TERM; while :; do sleep 0.05; done\" & while :; do sleep 0.05; done"


def test_ends(mill_p):
    cancelled, timed = mill_p.submit(IGNORES, "p"), mill_p.submit(IGNORES, "p", timeout_usec=200000)
    for i in (cancelled, timed):
        until(lambda i=i: processes(mill_p).get("jobmill-job-%d-1" % i, 0) >= 2 or mill_p.state(i) == "done", 5, "children")
    mill_p.call("CancelJob", cancelled)
    assert mill_p.result(cancelled) == "cancelled" and mill_p.result(timed) == "timeout"
    killed = mill_p.submit(["sleep", "60"], "p")
    mill_p.reach(killed, "running")
    mill_p.call("KillJob", killed, signal.SIGUSR1)
    result, outcome = mill_p.wait(killed)
    assert (result, outcome["exit_signal"]) == ("signal", signal.SIGUSR1)
    left = mill_p.submit("sleep 60 & sleep 60 & exit 0", "p")
    assert mill_p.result(left) == "success"
    assert processes(mill_p) == {}


@pytest.mark.parametrize("how", ["mkdir $r/x; echo $$ > $r/x/cgroup.procs", "mkdir -p $r/runner/x/y; echo $$ > $r/runner/x/y/cgroup.procs",
                                 "echo $$ > $r/runner/cgroup.procs"], ids=["beside", "below", "in"])
def test_outside_of_its_group(mill_p, how):
    """What a job leaves elsewhere in the unit dies with it, and nothing of others."""
    group = fake_systemd.CGROUPS / ("jobmill-fake-%d" % mill_p.systemd.process.pid)
    other = mill_p.submit(["sleep", "60"], "p")
    mill_p.reach(other, "running")
    pid = mill_p.out / "pid"
    id_ = mill_p.submit("r=%s/%s; (sh -c 'r='$r'; %s; cat /proc/self/cgroup > %s.new; echo $$ >> %s.new; mv %s.new %s; exec sleep 60') & until [ -e %s ]; do sleep 0.01; done" % (
        group, UNIT, how, pid, pid, pid, pid, pid), "p")
    assert mill_p.result(id_) == "success"
    *where, number = pid.read_text().split()
    stray = pathlib.Path("/proc") / number
    assert next(w for w in where if w.startswith("0::")).split(UNIT)[1] in ("/x", "/runner/x/y", "/runner")
    until(lambda: not stray.exists(), 5, "it is dead")
    assert mill_p.result(mill_p.submit(["true"], "p")) == "success"
    assert mill_p.state(other) == "running" and set(processes(mill_p)) == {"jobmill-job-%d-1" % other}


def test_unit_of_a_runner(mill_p):
    """What its owner must not change is set on what root has."""
    mill_p.queue("q", AllowUsers="*", Executor="pool")
    mill_p.queue("q", "Service", drop_in="a.conf", NoNewPrivileges="yes")
    mill_p.call("Reload")
    for name, privileges in (("p", None), ("q", True)):
        id_ = mill_p.submit(["sleep", "60"], name)
        mill_p.reach(id_, "running")
        settings = mill_p.systemd.do("settings", name="jobmill-pool-%s-0.service" % name)
        assert (settings["TasksMax"], settings.get("NoNewPrivileges")) == (2 ** 64 - 1, privileges)


def test_daemon_restarted(mill_p):
    jobs = [mill_p.submit("until [ -e %s/go ]; do sleep 0.02; done; exit %d" % (mill_p.out, n), "p") for n in range(6)]
    mill_p.reach(jobs[3], "running")
    for _ in range(3):
        mill_p.restart()
    (mill_p.out / "go").touch()
    assert [mill_p.wait(i)[1]["exit_status"] for i in jobs] == list(range(6))
    assert mill_p.systemd.do("counts")["starts"] == {UNIT: 1}


def test_runner_killed(mill_p):
    jobs = [mill_p.submit(IGNORES, "p") for _ in range(5)]
    until(lambda: len(processes(mill_p)) == 4, 5, "four run")
    mill_p.systemd.do("kill", name=UNIT, signo=signal.SIGKILL, main_only=True)
    assert [mill_p.result(i) for i in jobs[:4]] == ["lost"] * 4
    assert mill_p.info(jobs[0])["reason"] == "its runner is gone"
    mill_p.reach(jobs[4], "running")
    assert mill_p.systemd.do("counts")["starts"] == {UNIT: 2}
    mill_p.call("CancelJob", jobs[4])


@pytest.mark.parametrize("away", [False, True], ids=["seen", "unseen"])
def test_written_before_its_runner_was_killed(mill_p, away):
    """What a job said by then is known, also where the daemon was away; and who is lost has not succeeded, whatever it says."""
    id_ = mill_p.submit(["/bin/sh", "-c", "echo begun; echo trouble >&2; echo '{\"success\": true, \"steps\": 2}'; touch %s/said; exec sleep 60" % mill_p.out], "p", stdout="spool")
    until((mill_p.out / "said").exists, 10, "it has said it")
    mill_p.reach(id_, "running")
    if away:
        mill_p.kill()
    mill_p.systemd.do("kill", name=UNIT, signo=signal.SIGKILL, main_only=True)
    if away:
        mill_p.start()
    assert mill_p.result(id_) == "lost"
    info = mill_p.info(id_)
    assert json.loads(info["verdict"])["steps"] == 2 and info.get("success") is None and info["io"] == {"stdout": "begun\n", "stderr": "trouble\n"}, info


def test_cannot_be_started(mill_p, systemd):
    systemd.fault("StartTransientUnit", "refuse", count=1, message="no room")
    id_ = mill_p.submit(["true"], "p")
    until(lambda: mill_p.info(id_)["reason"] == "its runner cannot be started, trying again: no room", 5, "reason")
    assert mill_p.result(id_) == "success"


def test_slots_until_nothing_is_left(mill, systemd, cgroups, remotes):  # noqa: F811
    """Of a runner that was killed: what it left may still run, and a slot is free only when it does not, whatever else its owner runs by then."""
    mill.listen()
    mill.queue("p", Slots=2, AllowUsers="* daemon", Executor="pool")
    mill.start()
    events = cgroups / "jobmill.slice/jobmill-p.slice" / "jobmill-pool-p-1.service/jobmill-job-1-1/cgroup.events"
    events.parent.mkdir(parents=True)
    events.write_text("populated 1\nfrozen 0\n")
    daemon = remotes("daemon")
    theirs = daemon.call("Submit", "p", ["/bin/sleep", "60"], {})[0]
    mill.reach(theirs, "running")
    systemd.do("kill", name="jobmill-pool-p-1.service", signo=signal.SIGKILL, main_only=True)
    assert mill.result(theirs) == "lost"
    again = daemon.call("Submit", "p", ["/bin/sleep", "60"], {})[0]
    mill.reach(again, "running")
    ours = mill.submit(["true"], "p")
    mill.bus.pump(0.3)
    assert mill.state(ours) == "ready" and mill.queue_properties("p")["SlotsUsed"] == 2
    mill.restart()  # it knows only from the control group
    mill.settled()
    assert mill.state(again) == "running" and mill.state(ours) == "ready" and mill.queue_properties("p")["SlotsUsed"] == 2
    events.write_text("populated 0\nfrozen 0\n")
    assert mill.result(ours) == "success"


def test_runner_that_is_away(mill):
    """When a job is to be killed: it has time to do that, and is told when it is back; its other jobs live."""
    mill.listen()
    mill.queue("p", Slots=4, AllowUsers="*", Executor="pool", StopTimeoutSec="1ms")
    mill.start()
    other, id_ = mill.submit(["sleep", "60"], "p"), mill.submit(IGNORES, "p")
    until(lambda: processes(mill).get("jobmill-job-%d-1" % id_, 0) >= 2, 5, "a child")
    mill.systemd.do("kill", name=UNIT, signo=signal.SIGSTOP, main_only=True)
    mill.restart()
    mill.call("CancelJob", id_)
    mill.bus.pump(0.3)
    assert (mill.state(other), mill.state(id_)) == ("running", "stopping")
    mill.systemd.do("kill", name=UNIT, signo=signal.SIGCONT, main_only=True)
    assert mill.result(id_) == "cancelled"
    assert mill.state(other) == "running"


def test_runner_stopped(mill_p):
    """What ends by that did not end by itself, whatever its status; and it is given nothing more."""
    code = "trap 'exit 0' TERM; echo >%s/$JOBMILL_JOB_ID; while :; do sleep 0.02; done" % mill_p.out
    ids = [mill_p.submit(code, "p") for _ in range(4)]
    until(lambda: all((mill_p.out / str(i)).exists() for i in ids), 5, "four run")
    ids += [mill_p.submit(["true"], "p") for _ in range(8)]
    mill_p.systemd.do("kill", name=UNIT, signo=signal.SIGTERM, main_only=True)
    assert [mill_p.result(i) for i in ids] == ["lost"] * 4 + ["success"] * 8
    assert {mill_p.info(i)["reason"] for i in ids[:4]} == {"its runner was stopped"}
    assert [mill_p.info(i)["attempt"] for i in ids[4:]] == [1] * 8
    assert mill_p.systemd.do("counts")["starts"] == {UNIT: 2}


def test_deep_inputs(mill_p):
    deep = "[" * 29 + "]" * 29
    first = mill_p.submit("echo '{\"success\": true, \"a\": %s}'" % deep, "p", stdout="spool", verify="verdict")
    assert mill_p.result(first) == "success"
    assert mill_p.result(mill_p.submit("grep -F '%s' $JOBMILL_INPUTS" % deep, "p", after=[(first, "success")])) == "success"


@pytest.mark.parametrize("shift", [0, 1])
def test_long_error(mill_p, shift):
    """Cut inside of a character it would be refused."""
    id_ = mill_p.submit(["true"], "p", output_file="/nonexistent/" + "a" * shift + "\u00e9" * 1000)
    assert mill_p.result(id_) == "exec"
    assert mill_p.info(id_)["reason"].startswith("cannot open output_file '/nonexistent/")


def test_groups_below(mill_p, remotes):
    """However deep, and those that cannot be looked into."""
    code = "cd %s$(sed -n s/^0:://p /proc/self/cgroup); " % fake_systemd.CGROUPS
    deep = "for i in $(seq 40); do mkdir x; cd x; done; sleep 60 & echo $! >cgroup.procs; exit 0"
    assert mill_p.result(mill_p.submit(code + deep, "p")) == "success"
    assert processes(mill_p) == {}
    shut = remotes("daemon").call("Submit", "p", ["/bin/sh", "-c", code + "mkdir -p x/y; chmod 0 x; exit 0"], {})[0]
    assert mill_p.result(shut) == "success"


def test_who_is_no_runner(mill_p):
    with mill_p.connect() as c, pytest.raises(varlink.VarlinkError) as e:
        c.send("Register", {"protocol": 1, "queues": ["p"]}, more=True)
        c.answer()
    assert e.value.short == "NotAllowed"


def test_idle(mill, systemd):
    """It ends by itself, and another one comes for the next job."""
    (mill.folder / "config/jobmill.conf").write_text("[Daemon]\nPoolIdleSec=50ms\n")
    mill.listen()
    mill.queue("p", AllowUsers="*", Executor="pool")
    mill.start()
    for n in (1, 2):
        assert mill.result(mill.submit(["true"], "p")) == "success"
        until(lambda: not systemd.do("units"), 5, "it has ended")
        assert systemd.do("counts")["starts"] == {UNIT: n}
