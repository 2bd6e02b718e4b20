# SPDX-License-Identifier: LGPL-2.1-or-later
"""jobmill run, with the real PID 1: a terminal of alice's, a real shell with job control, real cgroups, and who may go into a scope."""

import os
import signal
import subprocess

import pytest

from mill import OF_USER, run, systemctl, unit_properties, until
from terminal import Terminal

ALICE = "root" if OF_USER else "alice"
ENVIRONMENT = {k: v for k, v in os.environ.items() if OF_USER and k in ("XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS")}


@pytest.fixture(autouse=True)
def queue(mill):
    mill.write_queue("one", "Slots=1", "AllowUsers=root alice")  # a time-out of the stop is the tool's, too: it may have much to look at before its end


def tool(*words):
    return ["jobmill", *(["--user"] if OF_USER else []), "run", *words]


def on_terminal(*words, **kwargs):
    return Terminal(*tool(*words), user=ALICE, **ENVIRONMENT, **kwargs)


def begin(*words, **kwargs):
    return subprocess.Popen(tool(*words), stdin=kwargs.pop("stdin", subprocess.DEVNULL), env={**os.environ, **ENVIRONMENT}, **kwargs)


def newest(mill):
    return mill.call("ListJobs", {"order": "newest"}, "", 1)[0][0]


def live(mill):
    return until(lambda: [j["id"] for j in mill.jobs(state="running")], 20, "a job runs")[0]


def scope(id_):
    return "jobmill-job-%d-1.scope" % id_


def cgroup(pid):
    return open("/proc/%d/cgroup" % pid).read().rpartition("0::")[2].splitlines()[0]


def processes(pid):
    """{process: state} of all that come from it."""
    lines = subprocess.run(["ps", "-o", "pid=,stat=", "--ppid", str(pid)], stdout=subprocess.PIPE, text=True).stdout.splitlines()
    found = {int(l.split()[0]): l.split()[1][0] for l in lines}
    for p in list(found):
        found.update(processes(p))
    return found


def test_alice(mill):
    """In her terminal, as herself, in a scope of the queue's slice, without anybody being asked; and measured."""
    t = on_terminal("-q", "one", "--", "sh", "-c", "id -un; stty size; i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done; read x; exit 7")
    t.expect(ALICE)
    t.expect("24 80")
    id_ = live(mill)
    assert cgroup(t.pid).endswith("/jobmill.slice/jobmill-one.slice/" + scope(id_)), cgroup(t.pid)
    t.type("\n")
    assert t.end()[0] == 7
    j = mill.info(id_)
    assert (j["result"], j["exit_status"], j["executor"], j["unit"]) == ("exit-code", 7, "scope", scope(id_))
    assert j["cpu_usec"] > 0 and j["runtime_usec"] > 0


def test_job_control(mill):
    """^C, ^Z, fg and the size, through a real shell."""
    t = Terminal("bash", "--noprofile", "--norc", "-i", user=ALICE, PS1="PROMPT ", **ENVIRONMENT)
    t.expect("PROMPT ")
    t.type(" ".join(tool("-q", "one", "--", "cat")) + "\n")
    id_ = live(mill)
    t.type("one\n")
    t.expect("one\r\none")
    t.type("\x1a")
    t.expect("Stopped")
    assert mill.state(id_) == "running"
    t.type("fg\n")
    t.expect(" cat\r\n")
    until(lambda: set(processes(t.pid).values()) == {"S"}, 10, "both go on")
    t.type("two\n")
    t.expect("two\r\ntwo")
    t.type("\x03")
    mill.wait(id_)
    assert mill.info(id_)["exit_signal"] == signal.SIGINT
    t.expect("PROMPT ")
    t.type("echo status $?\n")
    t.expect("status 130")
    t.expect("PROMPT ")
    t.type(" ".join(tool("--", "sh", "-c", "'trap \"stty size\" WINCH; echo be''gun; while sleep 0.1; do :; done'")) + "\n")
    t.expect("begun")
    t.resize(33, 99)
    t.expect("33 99")
    t.type("\x03")
    t.expect("PROMPT ")
    t.type("exit 0\n")
    assert t.end()[0] == 0


def test_one_at_a_time(mill, folder):
    path = folder / "overlap"
    path.touch()
    words = "-q", "one", "--", "sh", "-c", 'echo begin >>"$1"; sleep 0.2; echo end >>"$1"', "sh", str(path)
    assert [p.wait(60) for p in [begin(*words) for _ in range(4)]] == [0] * 4
    assert path.read_text().split() == ["begin", "end"] * 4


def test_waiting_is_interrupted(mill):
    hold = mill.submit("exec sleep 60", "one")
    mill.reach(hold, "running")
    t = on_terminal("-q", "one", "--", "true")
    t.expect("waits: cap of one: 1 of 1")
    t.type("\x03")
    assert t.end()[0] == -signal.SIGINT
    j = newest(mill)
    assert (j["state"], j["result"]) == ("done", "cancelled")
    mill.call("CancelJob", hold)
    mill.wait(hold)


def test_parent_is_killed(mill):
    """What it leaves behind is killed, also a child in a session of its own; then the slot is free."""
    p = begin("-q", "one", "--", "sh", "-c", "setsid sleep 1000 & wait")
    id_ = live(mill)
    until(lambda: len(processes(p.pid)) >= 2, 10, "all are there")
    child = max(processes(p.pid))
    p.kill()
    p.wait()
    mill.wait(id_)
    assert (mill.info(id_)["result"], mill.info(id_)["reason"]) == ("lost", "its process is gone")
    assert begin("-q", "one", "--", "true").wait(60) == 0
    until(lambda: not os.path.exists("/proc/%d" % child), 10, "it is gone")


def test_cancel_and_timeout(mill):
    p = begin("-q", "one", "--", "sleep", "1000", stderr=subprocess.DEVNULL)
    id_ = live(mill)
    mill.call("CancelJob", id_)
    assert p.wait(30) == 125
    assert mill.wait(id_)["result"] == "cancelled"  # it may not have begun: then it has nothing to tell, and who stops the scope records it later
    assert begin("-q", "one", "--timeout=300ms", "--", "sleep", "1000").wait(60) == 124
    assert newest(mill)["result"] == "timeout"


@pytest.mark.system_only
def test_stopped_outside(mill):
    p = begin("--", "sleep", "1000")
    id_ = live(mill)
    until(lambda: processes(p.pid), 10, "the command runs")
    systemctl("stop", scope(id_))
    assert p.wait(30) == 125
    mill.wait(id_)
    assert (mill.info(id_)["result"], mill.info(id_)["reason"]) == ("cancelled", "stopped outside jobmill")


@pytest.mark.system_only
def test_moved(mill):
    """Out of its scope, as by systemd-run --scope, and it minds nothing: when it is to end, it ends."""
    p = begin("-q", "one", "--stop-timeout=1s", "--", "sh", "-c", "trap '' TERM; while :; do sleep 1; done")
    id_ = live(mill)
    until(lambda: processes(p.pid), 10, "the command runs")
    pids = [str(x) for x in (p.pid, *processes(p.pid))]
    run("busctl", "call", "org.freedesktop.systemd1", "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager", "StartTransientUnit",
        "ssa(sv)a(sa(sv))", "elsewhere.scope", "fail", "1", "PIDs", "au", str(len(pids)), *pids, "0")
    until(lambda: cgroup(p.pid).endswith("/elsewhere.scope"), 10, "it is elsewhere")
    mill.call("CancelJob", id_)
    assert p.wait(60) == -signal.SIGKILL
    mill.wait(id_)
    assert mill.info(id_)["result"] == "cancelled"
    systemctl("kill", "-sKILL", "elsewhere.scope")


@pytest.mark.system_only
def test_hup_then_restart(mill):
    """That PID 1 once sent it a signal for us does not mean that it was stopped."""
    r, w = os.pipe()
    p = begin("-q", "one", "--", "sh", "-c", "trap 'echo heard' HUP; echo ready; while ! read x; do :; done; exit 3", stdin=r, stdout=subprocess.PIPE, text=True)
    os.close(r)
    assert p.stdout.readline() == "ready\n"
    id_ = live(mill)
    run("jobmill", "kill", "--signal=HUP", str(id_))
    systemctl("restart", "jobmilld")
    os.write(w, b"\n")
    os.close(w)
    assert p.wait(60) == 3
    p.stdout.close()
    mill.wait(id_)
    assert (mill.info(id_)["result"], mill.info(id_)["exit_status"]) == ("exit-code", 3)


def word(id_):
    return unit_properties(scope(id_), "Documentation")["Documentation"]


def test_word_about_a_scope(mill):
    """PID 1 keeps whose it is, and its slots, also over a reload."""
    r, w = os.pipe()
    p = begin("-q", "one", "--", "sh", "-c", "echo $JOBMILL_ATTEMPT_ID; read x", stdin=r, stdout=subprocess.PIPE, text=True)
    os.close(r)
    token = p.stdout.readline().strip()
    id_ = live(mill)
    assert word(id_) == "info:jobmill/%s/0" % token
    systemctl("daemon-reload")
    assert word(id_) == "info:jobmill/%s/0" % token
    os.close(w)
    p.wait(60)
    p.stdout.close()


@pytest.mark.parametrize("how", ["stop", "kill", "reexec", "reload"])
@pytest.mark.system_only
def test_disturbed(mill, how):
    """The command runs on, and its result is recorded."""
    r, w = os.pipe()
    p = begin("-q", "one", "--", "sh", "-c", "read x; exit 5", stdin=r)
    os.close(r)
    id_ = live(mill)
    if how in ("stop", "kill"):
        mill.restart_daemon(kill=how == "kill")
    else:
        systemctl("daemon-" + how)
    mill.settled()
    assert mill.state(id_) == "running" and unit_properties(scope(id_), "ActiveState")["ActiveState"] == "active"
    os.close(w)
    assert p.wait(60) == 5
    mill.wait(id_)
    assert mill.info(id_)["exit_status"] == 5


@pytest.mark.system_only
def test_signal_by_the_manager(mill):
    """One that does not mean the end says nothing of it, whoever is away then."""
    p = begin("-q", "one", "--", "sh", "-c", "trap 'touch \"$0\"' HUP; echo; until test -e \"$0\"; do sleep 0.1; done; read x; exit 3",
              "/run/jobmill-hup", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    p.stdout.readline()
    id_ = live(mill)
    mill.call("KillJob", id_, signal.SIGHUP)
    until(lambda: os.path.exists("/run/jobmill-hup"), 20, "the command has it")
    mill.restart_daemon()
    p.communicate()
    os.unlink("/run/jobmill-hup")
    assert p.returncode == 3
    mill.wait(id_)
    assert (mill.info(id_)["result"], mill.info(id_)["exit_status"]) == ("exit-code", 3)


@pytest.mark.system_only
def test_foreign_process(mill):
    """One that can still become root is not alice's to put anywhere."""
    uid = int(run("id", "-u", "alice"))
    ask = ("import json, os, socket\ns = socket.socket(socket.AF_UNIX)\nos.setresuid(%d, %d, 0)\ns.connect('/run/jobmill/org.jobmill')\n"
           "s.sendall(json.dumps({'method': 'org.jobmill.Run', 'more': True, 'parameters': {'protocol': 1, 'token': '7' * 32,"
           " 'job': {'argv': ['true']}}}).encode() + bytes(1))\nprint(s.recv(4096))" % (uid, uid))
    before = {j["id"] for j in mill.jobs()}
    assert "ForeignProcess" in run("/usr/bin/python3", "-c", ask)
    assert {j["id"] for j in mill.jobs()} == before
