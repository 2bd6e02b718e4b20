# SPDX-License-Identifier: LGPL-2.1-or-later
"""jobmill-runner and what it is told: here the daemon is the test."""

import ctypes
import json
import os
import resource
import signal
import socket
import subprocess
import uuid

import pytest

import busfake
import fake_systemd
from conftest import DAEMON, end, spawn, until

pytestmark = [pytest.mark.root, pytest.mark.skipif(not fake_systemd.CGROUPS, reason="needs cgroup v2")]
RUNNER = DAEMON.parent / "jobmill-runner"
TOKEN = "0" * 31 + "f"
UID = 61000 + os.getpid() % 4000  # nobody's
PR_CAPBSET_DROP, CAP_SYS_ADMIN, CAP_SYS_RESOURCE = 24, 21, 24


class Line:
    """One of the two connections."""

    def __init__(self, listener):
        self.socket = listener.accept()[0]
        self.socket.settimeout(30)
        self.buffer = b""

    def read(self):
        while b"\0" not in self.buffer:
            data = self.socket.recv(65536)
            if not data:
                return None
            self.buffer += data
        text, self.buffer = self.buffer.split(b"\0", 1)
        return json.loads(text)

    def say(self, **message):
        self.socket.sendall(json.dumps(message).encode() + b"\0")


def bound(processes):
    """As a user whom RLIMIT_NPROC binds, which it does not bind root; with the rights of root."""
    for capability in CAP_SYS_ADMIN, CAP_SYS_RESOURCE:
        ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, capability)
    resource.setrlimit(resource.RLIMIT_NPROC, (processes, resource.getrlimit(resource.RLIMIT_NPROC)[1]))
    os.setresuid(UID, 0, 0)


class Runner:
    def __init__(self, folder, *options, two_processes=False):
        self.two_processes = two_processes
        self.path = str(folder / "socket")
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        self.listener.listen()
        self.listener.settimeout(30)
        self.cgroup = fake_systemd.CGROUPS / ("jobmill-fake-runner-%s" % uuid.uuid4().hex) / "jobmill-pool-p-0.service"
        self.cgroup.mkdir(parents=True)
        self.log = open(folder / "log", "w+")
        self.argv = [RUNNER, "--socket=" + self.path, "--queue=p", "--helper=%s/helper" % folder, *options]
        self.process = self.orders = self.reports = None

    def start(self):
        self.process = subprocess.Popen(self.argv, stderr=self.log, preexec_fn=self.enter)
        self.accept()

    def enter(self):
        busfake.die_with_parent()
        (self.cgroup / "cgroup.procs").write_text("0")
        if self.two_processes:
            bound(2)

    def accept(self):
        self.orders, self.reports = Line(self.listener), Line(self.listener)
        self.registration = self.orders.read()
        self.order(token=TOKEN, worker=1)

    def order(self, **parameters):
        self.orders.say(parameters=parameters, continues=True)

    def assign(self, id_, code, run={}, **more):
        self.order(assign={"id": id_, "attempt": 1, "attempt_token": "%032d" % id_, "job": {"argv": ["/bin/sh", "-c", code], **more}, "run": run})

    def said(self, method):
        message = self.reports.read()
        assert message["method"] == "org.jobmill." + method
        return message["parameters"]

    def answer(self, error=None, **parameters):
        self.reports.say(**({"error": "org.jobmill." + error} if error else {}), parameters=parameters)

    def close(self):
        (self.cgroup / "cgroup.kill").write_text("1")
        if self.process:
            end(self.process)
        until(lambda: "populated 0" in (self.cgroup / "cgroup.events").read_text(), 5, "all are gone")
        for below, _, _ in os.walk(self.cgroup.parent, topdown=False):
            os.rmdir(below)
        for o in self.listener, self.log, *(line.socket for line in (self.orders, self.reports) if line):
            o.close()


@pytest.fixture
def runner(tmp_path):
    made = []

    def make(*options, **more):
        made.append(Runner(tmp_path, *options, **more))
        made[-1].start()  # also one that does not come to be is cleared away
        return made[-1]

    yield make
    for r in made:
        r.close()


def test_begun_once(runner, tmp_path):
    """Whatever is said to its report; and an order that was on its way when it had ended is not another one."""
    r = runner()
    code = "echo >>%s/began; exit 3" % tmp_path
    r.assign(1, code)
    assert r.said("Complete")["exit_status"] == 3
    r.answer("StorageFull")
    assert r.said("Complete")["exit_status"] == 3
    r.answer("InvalidParameter", parameter="error")
    assert r.said("Complete") == {"token": TOKEN, "id": 1, "attempt": 1, "result": "exec"}
    r.orders.socket.close()
    r.accept()
    assert r.registration["parameters"]["token"] == TOKEN
    r.assign(1, code)
    assert r.said("Complete")["result"] == "exec"
    r.answer()
    for i in 2, 3, 4:
        r.assign(1, code)
        r.assign(i, "sleep 0.2; exit %d" % i)  # it would not be the first to end
        said = r.said("Complete")
        assert (said["id"], said["exit_status"]) == (i, i)
        r.answer("NoSuchAttempt")
    assert (tmp_path / "began").read_text() == "\n"


def test_helper_writes_no_text(runner, tmp_path):
    """What the daemon would not take as a message is not said."""
    (tmp_path / "helper").write_text("#!/bin/sh\nfor i; do case $i in --report=*) printf 'a\\377b' >/proc/self/fd/${i#*=}; esac; done\n")
    (tmp_path / "helper").chmod(0o755)
    r = runner()
    r.assign(1, "true", run={"helper": []})
    said = r.said("Complete")
    assert (said["result"], said["error"]) == ("exec", "a?b")


def test_what_cannot_be_read(runner):
    """It is given again."""
    r = runner()
    deep = {}
    for _ in range(80):
        deep = {"a": deep}
    r.order(assign=deep)
    assert r.orders.read() is None
    r.accept()
    deep = {}
    for _ in range(50):
        deep = {"a": deep}
    r.order(assign={"id": 7, "attempt": 1, "attempt_token": "short", "inputs": deep})
    assert r.orders.read() is None
    r.accept()
    r.assign(1, "exit 0")
    assert r.said("Complete")["exit_status"] == 0


def test_stopped(runner, tmp_path):
    """It says first that it wants nothing more; what comes all the same it gives back."""
    r = runner()
    r.assign(1, "trap 'exit 0' TERM; echo >%s/runs; while :; do sleep 0.02; done" % tmp_path)
    until((tmp_path / "runs").exists, 5, "it runs")
    r.process.send_signal(signal.SIGTERM)
    assert r.said("Drain")["idle"] is False
    r.assign(2, "exit 0")
    ends = [r.said("Complete") for _ in range(2)]
    assert {e["id"]: e.get("result") for e in ends} == {1: "lost", 2: "unstarted"}
    r.answer(attempts=2)
    r.answer()
    r.answer()
    assert r.said("Drain")["idle"] is False
    r.answer(attempts=0)
    assert r.process.wait(30) == 0


def test_no_room_for_a_process(runner):
    """It is made when there is; what is to end, or to go back, until then was never begun."""
    def hold():
        return spawn(["/bin/sleep", "600"], user=UID)

    r = runner(two_processes=True)
    other = hold()
    for i in 1, 2, 3:
        r.assign(i, "exit 3")
    r.order(cancel={"id": 2, "attempt": 1, "attempt_token": "%032d" % 2, "reason": "cancelled", "signal": signal.SIGTERM})
    said = r.said("Complete")
    assert (said["id"], said["result"]) == (2, "exec") and "no room" in said["error"]
    r.answer()
    end(other)
    for _ in range(2):
        said = r.said("Complete")
        assert said["id"] in (1, 3) and said["exit_status"] == 3, said
        r.answer()
    other = hold()
    r.assign(4, "exit 3")
    r.process.send_signal(signal.SIGTERM)
    assert {m["method"]: m["parameters"].get("result") for m in (r.reports.read(), r.reports.read())} == {"org.jobmill.Drain": None, "org.jobmill.Complete": "unstarted"}
    end(other)


@pytest.mark.parametrize("option", ["--idle=50000", "--max=50000"])
def test_goes_on_when_something_comes(runner, option):
    r = runner(option)
    assert r.said("Drain")["idle"] is True
    r.answer(attempts=1)
    r.assign(1, "exit 5")
    while (m := r.reports.read())["method"] == "org.jobmill.Drain":
        r.answer(attempts=1)
    assert m["parameters"]["exit_status"] == 5
    r.answer()
    assert r.said("Drain")["idle"] is True
    r.answer(attempts=0)
    assert r.process.wait(30) == 0


def test_without_a_group_of_its_own(tmp_path):
    p = subprocess.run([RUNNER, "--socket=%s/socket" % tmp_path, "--queue=p", "--helper=/nonexistent"], stderr=subprocess.PIPE, text=True, timeout=30)
    assert p.returncode == 1 and "no control groups" in p.stderr
