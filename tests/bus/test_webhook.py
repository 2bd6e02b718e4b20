# SPDX-License-Identifier: LGPL-2.1-or-later
"""jobmill-webhook and a daemon that cannot do what it is asked, or is not there: a real program, and the test in place of the daemon."""

import base64
import json
import os
import signal
import socket
import time

import pytest

import varlink
from conftest import DAEMON, SLOW, end, spawn

WEBHOOK = DAEMON.parent / "jobmill-webhook"
pytestmark = pytest.mark.skipif(not WEBHOOK.exists(), reason="built without libcurl or OpenSSL")
FULL = "org.jobmill.StorageFull"


class Peer:
    """One connection of its."""

    def __init__(self, listener):
        self.socket, self.buffer = listener.accept()[0], b""
        self.socket.settimeout(30 * SLOW)

    def hear(self, method):
        while b"\0" not in self.buffer:
            data = self.socket.recv(65536)
            assert data, "it hung up instead of %s" % method
            self.buffer += data
        text, _, self.buffer = self.buffer.partition(b"\0")
        message = json.loads(text)
        assert message["method"] == "org.jobmill." + method, message
        return message["parameters"]

    def say(self, error=None, **parameters):
        self.socket.sendall(json.dumps({"parameters": parameters, **({"error": error} if error else {})}).encode() + b"\0")


class Webhook:
    def __init__(self, folder, **settings):
        self.folder = folder
        (folder / "keys").mkdir()
        (folder / "keys/default").write_text(base64.b64encode(bytes(32)).decode())
        settings = {"AllowAddresses": "127.0.0.0/8", "AllowHTTP": "yes", **settings}
        (folder / "webhook.conf").write_text("[Webhook]\n" + "".join("%s=%s\n" % i for i in settings.items()))
        self.manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.manager.bind(str(folder / "notify"))
        self.manager.settimeout(30 * SLOW)
        self.listener = self.process = None

    def listen(self):
        self.listener = varlink.listen(self.folder / "org.jobmill")
        self.listener.settimeout(30 * SLOW)

    def start(self):
        self.process = spawn([WEBHOOK, "--keys", self.folder / "keys"], env={
            **os.environ, "JOBMILL_RUNTIME_PATH": str(self.folder), "JOBMILL_CONFIG_PATH": str(self.folder), "NOTIFY_SOCKET": str(self.folder / "notify")})

    def connected(self):
        """Its two connections, and what it registers with."""
        orders, self.reports = Peer(self.listener), Peer(self.listener)
        return orders, orders.hear("Register")

    def registered(self):
        self.listen()
        self.start()
        orders, _ = self.connected()
        orders.say(token="a" * 32, worker=1)
        assert self.manager.recv(100) == b"READY=1"
        return orders

    def ends(self):
        assert self.process.wait(30 * SLOW) == 0


@pytest.fixture
def webhook(tmp_path):
    made = []

    def make(**settings):
        made.append(Webhook(tmp_path, **settings))
        return made[-1]
    yield make
    for w in made:
        if w.process and w.process.poll() is None:
            w.process.kill()
            w.process.wait()
        w.manager.close()
        if w.listener:
            w.listener.close()


def test_idle_without_a_daemon(webhook):
    """Nobody is there when it begins, nor until it ends: for the service manager it was ready, and its end is none of a service that failed."""
    w = webhook(IdleSec="1ms")
    w.start()
    assert w.manager.recv(100) == b"READY=1"
    w.ends()


def test_registered_when_it_can_be(webhook):
    """The daemon cannot record it: it comes again, as one that is not known."""
    w = webhook()
    w.listen()
    w.start()
    first, said = w.connected()
    first.say(FULL, message="full")
    second, again = w.connected()
    assert again == said and "token" not in again
    assert w.process.poll() is None
    second.say(token="a" * 32, worker=1)
    assert w.manager.recv(100) == b"READY=1"
    w.process.terminate()
    assert w.reports.hear("Drain") == {"token": "a" * 32, "idle": False}
    w.reports.say(attempts=0)
    w.ends()


def test_drain_is_asked_again(webhook):
    """Told to end, and the daemon cannot record it: it asks again, and not as fast as it is answered; what is under way goes on meanwhile."""
    with socket.create_server(("127.0.0.1", 0)) as receiver:
        w = webhook()
        orders = w.registered()
        orders.say(assign={"id": 7, "attempt": 1, "attempt_token": "b" * 32, "queue": "callbacks", "owner": 1, "job": {
            "argv": ["jobmill-webhook", "dead", "1", "http://127.0.0.1:%d/" % receiver.getsockname()[1]], "payload": "{}"}})
        under_way, _ = receiver.accept()
        w.process.send_signal(signal.SIGTERM)
        for _ in range(3):
            assert w.reports.hear("Drain")["idle"] is False
            w.reports.say(FULL, message="full")
        w.reports.hear("Drain")
        w.reports.say(attempts=1)
        under_way.close()
        assert w.reports.hear("Complete")["exit_status"] == 1
        w.reports.say()
        waited = []
        for _ in range(3):
            w.reports.hear("Drain")
            since = time.monotonic()
            w.reports.say(FULL, message="full")
            w.reports.socket.recv(1, socket.MSG_PEEK)
            waited.append(time.monotonic() - since)
        assert min(waited) > 0.1, "it turned %r" % waited
        w.reports.hear("Drain")
        w.reports.say(attempts=0)
        w.ends()
