# SPDX-License-Identifier: LGPL-2.1-or-later
"""An answer that is lost is asked for again, and makes nothing twice: connections that break at the worst moment, a daemon
that is killed, a submission of many lines that is interrupted and repeated."""

import os
import random
import selectors
import signal
import socket
import subprocess
import threading

import pytest

from conftest import SLOW, until
from tool import argv_of, environment, tool

HELD = ["--env=none", "--hold"]


class Proxy:
    """Stands between the tool and the bus, and cuts connections. plan: for each call of a method named what, in order:
    "pass", "before" (the call does not arrive) or "after" (its answer does not). When it is empty all pass. answered(data):
    the answer is in what came back since the call."""

    def __init__(self, path, address, what, plan, answered):
        self.target = address.removeprefix("unix:path=")
        self.what, self.plan, self.answered = what.encode(), list(plan), answered
        self.cuts = 0
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(path))
        self.listener.listen()
        self.address = "unix:path=%s" % path
        self.thread = threading.Thread(target=self.accept, daemon=True)
        self.thread.start()

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    def serve(self, client):
        server = socket.socket(socket.AF_UNIX)
        server.connect(self.target)
        with client, server, selectors.DefaultSelector() as s:
            s.register(client, selectors.EVENT_READ, server)
            s.register(server, selectors.EVENT_READ, client)
            answer = None  # what came back, once it is to be swallowed
            while True:
                for key, _ in s.select():
                    data = key.fileobj.recv(1 << 20)
                    step = "pass"
                    if key.fileobj is client and self.what in data:
                        step = self.plan.pop(0) if self.plan else "pass"
                    if step == "after":
                        answer = b""
                    if key.fileobj is server and answer is not None:
                        answer += data
                        if not self.answered(answer):
                            continue
                        step = "answered"
                    if step in ("before", "answered"):
                        self.cuts += 1
                        return
                    if not data:
                        return
                    key.data.sendall(data)

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.thread.join()  # or it could accept on a later socket of the same number
        self.listener.close()


@pytest.fixture
def proxy(running):
    made = []

    def make(what, *plan, answered=None):
        p = Proxy(running.folder / ("proxy-%d" % len(made)), running.address, what, plan, answered)
        made.append(p)
        return p

    yield make
    for p in made:
        p.close()


def via(proxy):
    return {"DBUS_SYSTEM_BUS_ADDRESS": proxy.address, "DBUS_SESSION_BUS_ADDRESS": proxy.address}


def count(mill):
    return len(mill.jobs(fields=["id"]))


@pytest.mark.parametrize("plan", [["after"], ["before"], ["after", "after", "before"]])
def test_lost_answer(running, proxy, plan):
    p = proxy("Submit", *plan, answered=lambda data: b"/org/jobmill1/job/" in data)
    assert tool(running, "submit", *HELD, "--", "true", env=via(p)) == "1\n"
    assert p.cuts == len(plan) and count(running) == 1


def test_own_request_id(running):
    """The same command with the same id: the same job."""
    first = tool(running, "submit", *HELD, "--request-id=mine", "--", "true")
    assert tool(running, "submit", *HELD, "--request-id=mine", "--", "true") == first
    assert count(running) == 1
    p = tool(running, "submit", *HELD, "--request-id=mine", "--", "false", check=False)
    assert p.returncode == 1 and "another request" in p.stderr
    assert tool(running, "submit", *HELD, "--", "true") != tool(running, "submit", *HELD, "--", "true")


def test_lost_answers_of_many(running, proxy):
    """Chunks whose answer is lost, first and last ones too; the ids are those of the lines, in order."""
    lines = running.folder / "j"
    lines.write_text("".join('{"argv":["/bin/echo","%d"]}\n' % n for n in range(5000)))
    p = proxy("SubmitMany", "after", "pass", "before", "pass", "after", answered=lambda data: len(data) > 5000)
    out = tool(running, "submit", *HELD, "--file", lines, env=via(p))
    assert [int(l) for l in out.splitlines()] == list(range(1, 5001)) and p.cuts == 3
    assert count(running) == 5000
    assert [running.info(i)["argv"][1] for i in (1, 1000, 1001, 5000)] == ["0", "999", "1000", "4999"]


def test_daemon_dies_with_the_request(running, proxy):
    """It was killed while it had the request; another one answers."""
    os.kill(running.process.pid, signal.SIGSTOP)
    way = proxy("Submit", "pass")
    p = subprocess.Popen(argv_of(["submit", *HELD, "--", "true"]), env=environment(running, **via(way)), text=True,
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    until(lambda: not way.plan, 10, "it has sent its request")
    assert running.bus.has_owner()  # the bus has come around
    running.restart()
    out, err = p.communicate(timeout=40 * SLOW)
    assert (p.returncode, out, err) == (0, "1\n", "") and count(running) == 1


def test_killed_again_and_again(running):
    """SIGKILL at any moment, also between the commit and the answer: as many jobs as ids."""
    ids, stop = [], threading.Event()

    def work():
        while not stop.is_set():
            p = subprocess.run(argv_of(["submit", *HELD, "--", "true"]), env=environment(running), stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            # Only a call that found no daemon at all gives up at once.
            if p.returncode == 0:
                ids.append(int(p.stdout))
            else:
                assert "does not run" in p.stderr, p

    workers = [threading.Thread(target=work) for _ in range(3)]
    for w in workers:
        w.start()
    dice = random.Random(7)
    try:
        for _ in range(15):
            n = len(ids)
            until(lambda: len(ids) > n + 3, 20, "jobs are submitted")
            stop.wait(dice.random() * 0.02)
            running.restart()
    finally:
        stop.set()
        for w in workers:
            w.join()
    rows = [j["id"] for j in running.jobs(fields=["id"])]
    assert sorted(ids) == sorted(rows) and len(set(ids)) == len(ids)


def test_interrupted_and_repeated(running):
    """^C in the middle; the same lines once more with the same id make what is missing."""
    text = "".join('{"argv":["/bin/echo","%d"]}\n' % n for n in range(7000))
    p = subprocess.Popen(argv_of(["submit", *HELD, "--request-id=again", "--file", "-"]), env=environment(running),
                         stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    p.stdin.write(text[:text.index("4500")])
    p.stdin.flush()
    until(lambda: count(running) == 4000, 10, "four chunks")
    p.send_signal(signal.SIGINT)
    p.communicate(timeout=20 * SLOW)
    out = tool(running, "submit", *HELD, "--request-id=again", "--file", "-", stdin=None, input=text)
    ids = [int(l) for l in out.splitlines()]
    assert len(ids) == 7000 and sorted(ids) == ids and count(running) == 7000
    assert [running.info(ids[n])["argv"][1] for n in (0, 3999, 4000, 6999)] == ["0", "3999", "4000", "6999"]
    # Other lines under this id are refused, and it is said that nothing came of them.
    p = tool(running, "submit", *HELD, "--request-id=again", "--file", "-", check=False, stdin=None,
             input='{"argv":["/bin/false"]}\n')
    assert p.returncode == 1 and "another request" in p.stderr and "nothing was submitted" in p.stderr
    assert count(running) == 7000


def test_absent_daemon_is_not_waited_for(running):
    running.kill()
    p = tool(running, "submit", *HELD, "--", "true", check=False)
    assert p.returncode == 1 and "jobmilld does not run" in p.stderr and "repeat" not in p.stderr
    running.start()
    assert count(running) == 0
