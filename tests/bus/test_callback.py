# SPDX-License-Identifier: LGPL-2.1-or-later
"""Callbacks: which events make one, what it says, who signs it, where it may go; receivers of every kind, a real jobmill-webhook."""

import base64
import hmac
import http.server
import json
import os
import re
import shutil
import ssl
import subprocess
import threading
import time

import pytest

import client
import varlink
from conftest import DAEMON, ROOT, end, extra, spawn, until
from tool import tool

NAMES = DAEMON.parent.parent / "tests/bus/libfake-names.so"
WEBHOOK = DAEMON.parent / "jobmill-webhook"
pytestmark = pytest.mark.skipif(not WEBHOOK.exists(), reason="built without libcurl or OpenSSL")
DOCUMENT = (ROOT / "docs/callbacks.md").read_text()
KEY, OTHER = (base64.b64encode(bytes(range(n, n + 32))).decode() for n in (0, 1))


def code(language):
    return re.search(r"```%s\n(.*?)```" % language, DOCUMENT, re.S)[1]


exec(code("python"))  # verify()


class Receiver(http.server.ThreadingHTTPServer):
    """Keeps what came; what it answers is the test's."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.got, self.behave = [], lambda handler: handler.answer(204)
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    def url(self, path="/", scheme="http", host="127.0.0.1"):
        return "%s://%s:%d%s" % (scheme, host, self.server_port, path)

    def wait(self, n, what="callbacks"):
        until(lambda: len(self.got) >= n, 15, "%d %s: %r" % (n, what, self.got))
        return self.got

    def handle_error(self, request, address):
        pass  # whoever hangs up meanwhile


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.got.append(({k.lower(): v for k, v in self.headers.items()}, body, self.path))
        self.server.behave(self)

    def answer(self, status, body=b"", **headers):
        self.send_response(status)
        for k, v in headers.items():
            self.send_header(k.replace("_", "-"), v)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


class Sender:
    """A mill with its queue for callbacks, and a jobmill-webhook."""

    def __init__(self, mill, folder):
        self.mill, self.folder, self.process = mill, folder, None
        (folder / "keys").mkdir()
        self.key("default", KEY)
        self.policy(AllowAddresses="127.0.0.0/8", AllowHTTP="yes")
        mill.listen()
        mill.queue("callbacks", Executor="worker", WorkerUsers=os.geteuid(), MaxAttempts=4, Backoff="fixed", BackoffBaseSec="1ms")
        mill.start()
        mill.settled()

    def key(self, name, *lines):
        (self.folder / "keys" / name).write_text("\n".join(lines) + "\n")

    def policy(self, **keys):
        (self.mill.folder / "config/webhook.conf").write_text("[Webhook]\n" + "".join("%s=%s\n" % i for i in keys.items()))

    def start(self, **environment):
        self.log = open(self.folder / "webhook.log", "ab")
        self.process = spawn([WEBHOOK, "--keys", self.folder / "keys", *([] if os.geteuid() == 0 else ["--user"])], stdout=self.log, stderr=self.log,
                             env={**self.mill.environment(), "JOBMILL_RUNTIME_PATH": str(self.mill.folder), **environment})
        self.log.close()
        return self

    def stop(self):
        process, self.process = self.process, None
        assert end(process, 15) == 0, (self.folder / "webhook.log").read_text()

    def callbacks(self, id_, **filter_):
        return sorted(self.mill.jobs(queue="callbacks", tags={"job": str(id_)}, **filter_), key=lambda j: j["id"])

    def of(self, id_, result):
        """The one callback of this job, when it has ended so."""
        until(lambda: [j["result"] for j in self.callbacks(id_, state="done")] == [result], 15, (self.callbacks(id_), (self.folder / "webhook.log").read_text()))
        return self.callbacks(id_)[0]


@pytest.fixture
def sender(mill, tmp_path):
    s = Sender(mill, tmp_path)
    yield s
    if s.process:
        s.stop()


@pytest.fixture
def receiver():
    r = Receiver()
    yield r
    r.shutdown()
    r.server_close()


def events(receiver, id_):
    return [json.loads(b)["event"] for _, b, _ in receiver.got if json.loads(b)["id"] == id_]


def test_delivered(sender, receiver):
    sender.start()
    id_ = sender.mill.submit("exit 0", callback_url=receiver.url("/a?b=c"), tags={"x": "y"})
    headers, body, path = receiver.wait(1)[0]
    assert path == "/a?b=c" and headers["content-type"] == "application/json"
    assert verify(KEY, headers, body) and not verify(KEY, headers, body + b" ") and not verify(OTHER, headers, body)
    job = json.loads(body)
    assert job["event"] == "success" and job["id"] == id_ and job["state"] == "done" and job["exit_status"] == 0 and job["tags"] == {"x": "y"}
    callback = sender.of(id_, "success")
    assert callback["name"] == "success of job %d" % id_ and callback["owner"] == os.geteuid() and callback["executor"] == "worker"
    sender.stop()

    shown = json.loads(tool(sender.mill, "--json=short", "show", id_))[0]
    assert set(job) == set(shown) - {"attempts"} | {"event", "owner_name", "truncated"}
    assert job["truncated"] is False
    assert {k: v for k, v in job.items() if k in shown} == {k: v for k, v in shown.items() if k in job}


def test_events(sender, receiver):
    mill = sender.start().mill
    url, every = receiver.url(), ["started", "success", "failure", "dead"]

    tried = mill.submit("exit 1", callback_url=url, callback_events=every, max_attempts=2, backoff_base_usec=1000)
    good = mill.submit("exit 0", callback_url=url, callback_events=every)
    quiet = mill.submit("exit 0", callback_url=url, callback_events=["dead"])
    waiting = mill.submit("exit 0", callback_url=url, hold=True)
    mill.call("CancelJob", waiting)
    array = mill.submit("exit 0", callback_url=url, array=2)
    assert mill.result(quiet) == "success"
    receiver.wait(10)
    assert sorted(events(receiver, tried)) == ["dead", "failure", "failure", "started", "started"]
    assert sorted(events(receiver, good)) == ["started", "success"] and events(receiver, waiting) == ["dead"]
    assert events(receiver, array) == events(receiver, array + 1) == ["success"] and not events(receiver, quiet)
    records = sorted((r for r in (json.loads(b) for _, b, _ in receiver.got) if r["id"] == tried and r["event"] != "started"),
                     key=lambda r: (r["attempt"], r["event"]))
    assert [(r["event"], r["attempt"], r["state"], r["dead"]) for r in records] == \
           [("failure", 1, "waiting", False), ("dead", 2, "done", True), ("failure", 2, "done", True)]
    assert len({h["webhook-id"] for h, _, _ in receiver.got}) == len(receiver.got) == 10

    mill.call("RetryJob", good, {})  # by hand: it tells again
    receiver.wait(12)
    assert sorted(events(receiver, good)) == ["started", "started", "success", "success"]
    for id_ in (tried, good, waiting, array):
        until(lambda: {j.get("result") for j in sender.callbacks(id_)} == {"success"}, 10, "all are taken")
    assert {j["name"].split()[-1] for j in mill.jobs(queue="callbacks")} == {str(i) for i in (tried, good, waiting, array, array + 1)}


def test_outlives_the_daemon(sender, receiver):
    """Made by the commit of the event: killed at any time after it the daemon still has it, once; and it says what was so then."""
    mill = sender.mill
    id_ = mill.submit("exit 3", callback_url=receiver.url())
    assert mill.result(id_) == "exit-code"
    mill.restart()
    mill.settled()
    callback, = sender.callbacks(id_)
    assert callback["state"] == "ready" and mill.info(callback["id"])["reason"] == "no worker serves queue callbacks"
    mill.call("PurgeJobs", {"ids": [id_], "dead": True})
    sender.start()
    headers, body, _ = receiver.wait(1)[0]
    assert json.loads(body)["exit_status"] == 3 and verify(KEY, headers, body)
    sender.of(id_, "success")
    mill.restart()  # the worker is back by its token
    mill.settled()
    other = mill.submit("exit 0", callback_url=receiver.url())
    sender.of(other, "success")
    assert len(receiver.got) == 2


def refuses(who, error, what, *call):
    with pytest.raises(client.BusError) as e:
        who.call(*call)
    assert e.value.short == error and what in e.value.message, e.value


@pytest.mark.root
def test_refused(mill, remotes):
    mill.queue("default", AllowUsers="daemon")
    mill.queue("told", AllowUsers="daemon", CallbackURL="https://q.example/", CallbackEvents="dead started")
    (mill.folder / "config/jobs").mkdir()
    (mill.folder / "config/jobs/t.job").write_text("[Job]\nCommand=true\nQueue=told\nCallbackURL=https://t.example/\nAccept=callback_url\n")
    mill.listen()
    mill.start()
    daemon = remotes("daemon")
    for url in "ftp://x/", "https://", "https:///x", "https://h/ x", "https://h/\n", "https://h/ü", "https://" + "h" * 2048:
        refuses(daemon, "InvalidSpec", "callback_url", "Submit", "", ["true"], {"callback_url": url})
    refuses(daemon, "InvalidSpec", "'end' is none of", "Submit", "", ["true"], {"callback_url": "https://h/", "callback_events": ["end"]})
    refuses(daemon, "InvalidSpec", "there is no callback_url", "Submit", "", ["true"], {"callback_events": ["dead"]})
    refuses(daemon, "InvalidSpec", "there is no queue 'callbacks'", "Submit", "", ["true"], {"callback_url": "https://h/"})
    # What only the file of its queue says: that it has no effect is told where the file is read; nothing piles up.
    assert "Queue told: CallbackURL= has no effect, as there is no queue callbacks." in mill.log_tail()
    assert mill.result(daemon.call("Submit", "told", ["false"], {})[0]) == "exit-code"
    assert not mill.jobs(queue="callbacks")
    mill.queue("callbacks", Executor="worker", Slots=1)
    mill.call("Reload")
    by_queue = daemon.call("Submit", "told", ["false"], {})[0]
    mill.result(by_queue)
    waits, = [j for j in mill.jobs(queue="callbacks") if j["name"] == "dead of job %d" % by_queue]

    assert waits["owner"] == daemon.uid and waits["argv"][3] == "https://q.example/"
    for spec, url, said in (({}, "https://t.example/", None), ({"callback_url": "https://own.example/"}, "https://own.example/", None)):
        info = daemon.call("GetJobInfo", daemon.call("Submit", "", [], {"type": "t", **spec})[0])
        assert (info["callback_url"], info.get("callback_events")) == (url, said)
    info = daemon.call("GetJobInfo", daemon.call("Submit", "told", ["true"], {"callback_events": ["success"]})[0])
    assert (info["callback_url"], info["callback_events"]) == ("https://q.example/", ["success"])

    # Nobody puts anything into that queue, or into the mouth of what is there.
    for who in daemon, mill:
        refuses(who, "NotAllowed", "takes no jobs of anybody", "Submit", "callbacks", ["x"], {})
        refuses(who, "NotAllowed", "takes no jobs of anybody", "UpdateJob", waits["id"], {"argv": ["jobmill-webhook", "dead", "1", "https://x"]})
        held = who.call("Submit", "default", ["true"], {"hold": True})[0] if who is daemon else held
        refuses(who, "NotAllowed", "takes no jobs of anybody", "MoveJob", held, "callbacks")
    refuses(mill, "NotAllowed", "takes no jobs of anybody", "UpdateJob", waits["id"], {"payload": b"{}"})
    daemon.call("CancelJob", waits["id"])
    assert mill.info(waits["id"])["result"] == "cancelled"
    assert not [j for j in mill.jobs(queue="callbacks") if "job %d" % waits["id"] in j["name"]]

    # No user's own worker takes what his jobs tell of: root's may, and whom the file names.
    register = {"protocol": 1, "queues": ["callbacks"], "slots": 1}
    with mill.connect() as root:
        root.send("Register", register, more=True)
        assert root.answer()["token"]
    refused = varlink.call_as(daemon.uid, mill.socket_path, "Register", register, more=True)
    assert refused.get("error") == "org.jobmill.NotAllowed" and "Queue callbacks is jobmill's own" in refused["parameters"]["message"], refused
    mill.queue("callbacks", Executor="worker", Slots=1, WorkerUsers=daemon.uid)
    mill.call("Reload")
    assert varlink.call_as(daemon.uid, mill.socket_path, "Register", register, more=True)["parameters"]["token"]


@pytest.mark.root
def test_units(mill, remotes):
    """OnSuccess=, OnFailure=: units are started once, when the job is done, as root; who may not start them himself may not have it done."""
    mill.queue("default", AllowUsers="daemon")
    (mill.folder / "config/jobs").mkdir()
    (mill.folder / "config/jobs/t.job").write_text("[Job]\nCommand=sh\nOnFailure=mail@.service sad.target\n")
    mill.start()
    daemon = remotes("daemon")
    refuses(mill, "InvalidSpec", "there is no queue 'triggers'", "Submit", "", ["true"], {"on_success": ["a.service"]})
    mill.queue("triggers", Paused="yes")
    mill.call("Reload")
    refuses(mill, "InvalidSpec", "'a b' is no name of a unit", "Submit", "", ["true"], {"on_failure": ["a b"]})
    for key in "on_success", "on_failure":
        refuses(daemon, "org.freedesktop.DBus.Error.AccessDenied", "set-privileged-properties", "Submit", "", ["true"], {key: ["a.service"]})
    refuses(daemon, "org.freedesktop.DBus.Error.AccessDenied", "set-privileged-properties", "Submit", "", ["-c", "exit 1"], {"type": "t", "on_failure": ["a.service"]})
    refuses(mill, "NotAllowed", "takes no jobs of anybody", "Submit", "triggers", ["true"], {})
    failed = daemon.call("Submit", "", ["-c", "exit 1"], {"type": "t"})[0]
    good = int(tool(mill, "submit", "--on-success", "glad.service,b@c.timer", "--on-failure", "sad.target", "--", "true"))
    assert mill.result(failed) == "exit-code" and mill.result(good) == "success"
    mill.restart()
    mill.settled()
    started = {(j["argv"][-1], j["owner"], j["state"], j["tags"]["job"], j["tags"]["event"]) for j in mill.jobs(queue="triggers")}
    assert started == {("mail@%d.service" % failed, 0, "ready", str(failed), "dead"), ("sad.target", 0, "ready", str(failed), "dead"),
                       ("glad.service", 0, "ready", str(good), "success"), ("b@c.timer", 0, "ready", str(good), "success")}
    assert {tuple(j["argv"][:-1]) for j in mill.jobs(queue="triggers")} == {("systemctl", "--no-block", "start")}
    assert daemon.call("GetJobInfo", failed)["on_failure"] == ["mail@.service", "sad.target"]


def test_limits(sender, receiver):
    """URL, body, and how many wait."""
    mill = sender.mill
    (mill.folder / "config/jobmill.conf").write_text("[Daemon]\nCallbackURLMax=64\nCallbackBodyMax=64K\n")
    mill.queue("callbacks", Executor="worker", WorkerUsers=os.geteuid(), MaxQueued=1)
    mill.restart()
    mill.settled()
    url = receiver.url().ljust(64, "x")
    refuses(mill, "InvalidSpec", "callback_url: 65 bytes, at most 64 are allowed here (CallbackURLMax=)", "Submit", "", ["true"], {"callback_url": url + "x"})
    refuses(mill, "QueueFull", "'callbacks' is too full for 2 more", "Submit", "", ["true"], {"callback_url": url, "array": 2})
    id_ = mill.submit(["true", "x" * 70000], callback_url=url, tags={"a": "ü"})
    assert mill.result(id_) == "success"
    refuses(mill, "QueueFull", "too many callbacks wait: Queue 'callbacks' is full", "Submit", "", ["true"], {"callback_url": url})
    assert mill.submit("exit 0")
    sender.start()
    headers, body, _ = receiver.wait(1)[0]
    job = json.loads(body)
    assert job["truncated"] and job["argv"] is job["tags"] is None and job["id"] == id_ and job["result"] == "success" and job["callback_url"] == url
    assert verify(KEY, headers, body) and len(body) < 65536
    sender.of(id_, "success")
    assert mill.submit("exit 0", callback_url=url)


def test_bad_receivers(sender, receiver):
    mill, stuck, done = sender.mill, threading.Event(), []

    def endless(handler):
        handler.send_response(200)
        handler.send_header("Content-Length", str(10 * 2**30))
        handler.end_headers()
        try:
            for _ in range(10 * 2**10):
                handler.wfile.write(bytes(2**20))
        except OSError:
            done.append("cut off")
            handler.close_connection = True

    def headers(handler):
        handler.wfile.write(b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 50000)

    def close(handler):
        handler.close_connection = True

    def short(handler):
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nx")
        handler.close_connection = True

    kinds = {
        "/500": (lambda h: h.answer(500), "exit-code", "HTTP 500 of 127.0.0.1", 4),
        "/404": (lambda h: h.answer(404), "exit-code", "HTTP 404 of 127.0.0.1", 4),
        "/410": (lambda h: h.answer(410), "exit-code", "does not want them any more", 1),
        "/301": (lambda h: h.answer(301, Location="http://elsewhere.example/secret"), "exit-code", "it sends us to elsewhere.example, where we do not go", 4),
        "/close": (close, "exit-code", "127.0.0.1: ", 4),
        "/head": (headers, "success", None, 1),
        "/endless": (endless, "success", None, 1),
        "/short": (short, "success", None, 1),
        "/200": (lambda h: h.answer(200, b"x" * 1000), "success", None, 1),
    }
    receiver.behave = lambda handler: kinds[handler.path][0](handler)
    sender.start()
    ids = {path: mill.submit("exit 0", callback_url=receiver.url(path)) for path in kinds}
    for path, (_, result, reason, attempts) in kinds.items():
        callback = mill.info(sender.of(ids[path], result)["id"])
        assert callback["attempt"] == attempts, (path, callback)
        assert reason is None or reason in callback["reason"], (path, callback)
        ours = [(h, b) for h, b, p in receiver.got if p == path]
        assert len(ours) == attempts and len({h["webhook-id"] for h, _ in ours}) == 1 and len({b for _, b in ours}) == 1
        assert all(verify(KEY, h, b) for h, b in ours)
    until(lambda: done, 10, "who goes on for ever is not listened to")
    sender.stop()
    receiver.behave = lambda h: stuck.wait(60)
    sender.policy(AllowAddresses="127.0.0.0/8", AllowHTTP="yes", TimeoutSec="100ms")
    sender.start()
    callback = mill.info(sender.of(mill.submit("exit 0", callback_url=receiver.url()), "exit-code")["id"])
    assert callback["attempt"] == 4 and "timed out" in callback["reason"], callback
    stuck.set()
    assert "secret" not in mill.info(sender.callbacks(ids["/301"])[0]["id"])["reason"]


def test_where_they_go(sender, receiver):
    """What is not allowed is dead at once, and the reason names what would allow it."""
    mill = sender.mill

    def reason(url):
        callback = mill.info(sender.of(mill.submit("exit 0", callback_url=url), "exit-code")["id"])
        assert callback["attempt"] == 1 and not receiver.got, callback
        return callback["reason"]

    sender.policy()
    sender.start()
    assert reason(receiver.url()) == "http:// is not allowed, only https:// (AllowHTTP= in webhook.conf)"
    sender.stop()
    sender.policy(AllowHTTP="yes", AllowAddresses="127.0.0.2 10.0.0.0/8 fd00::/8")
    sender.start()
    for host in "127.0.0.1", "127.1", "0x7f000001", "user:password@127.0.0.1":
        assert reason(receiver.url(host=host)) == "127.0.0.1 is no public address: AllowAddresses=127.0.0.1 in webhook.conf allows it", host
    assert reason(receiver.url(host="[::1]")) == "[::1] is no public address: AllowAddresses=::1 in webhook.conf allows it"
    assert reason(receiver.url(host="[::ffff:127.0.0.1]")).endswith("] is 127.0.0.1, which is no public address: AllowAddresses=127.0.0.1 in webhook.conf allows it")
    assert re.search(r"localhost is (127\.0\.0\.1|::1), which is no public", reason(receiver.url(host="localhost")))
    assert "AllowAddresses=0.0.0.0 " in reason(receiver.url(host="0.0.0.0"))
    sender.stop()

    sender.policy(AllowHTTP="yes", AllowAddresses="127.0.0.1", MaxRedirects=2)
    sender.start()
    receiver.behave = lambda h: h.answer(307, Location=receiver.url(host="127.0.0.2")) if h.path == "/away" else h.answer(204)
    callback = mill.info(sender.of(mill.submit("exit 0", callback_url=receiver.url("/away")), "exit-code")["id"])
    assert callback["reason"].startswith("127.0.0.2 is no public address: ") and len(receiver.got) == 1
    receiver.behave = lambda h: h.answer(308, Location="/there") if h.path == "/away" else h.answer(204)
    sender.of(mill.submit("exit 0", callback_url=receiver.url("/away")), "success")
    assert [p for _, _, p in receiver.got] == ["/away", "/away", "/there"] and receiver.got[1][1] == receiver.got[2][1]


def names():
    """What jobmill-webhook has in its environment where names are those of fake-names.c."""
    # The address sanitizer else insists on being the first library.
    return {"LD_PRELOAD": str(NAMES), "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"}


def test_several_addresses(sender, receiver):
    """One that is not allowed beside one that is and is down: it may be there the next time, whichever is tried first."""
    mill = sender.mill
    sender.policy(AllowHTTP="yes", AllowAddresses="127.0.0.9", MaxRedirects=1)
    sender.start(**names())
    for host in "127-0-0-1.127-0-0-9.is.test", "127-0-0-9.127-0-0-1.is.test":
        callback = mill.info(sender.of(mill.submit("exit 0", callback_url=receiver.url(host=host)), "exit-code")["id"])
        assert callback["attempt"] == 4 and callback["reason"].startswith(host + ": Failed to connect to "), callback
    callback = mill.info(sender.of(mill.submit("exit 0", callback_url=receiver.url(host="127-0-0-1.127-0-0-2.is.test")), "exit-code")["id"])
    assert callback["attempt"] == 1 and re.match(r"127-0-0-1.127-0-0-2.is.test is 127.0.0.[12], which is no public address", callback["reason"]), callback
    assert not receiver.got
    sender.stop()

    # Each step has addresses of its own: that of before, which was allowed, says nothing for where it leads.
    sender.policy(AllowHTTP="yes", AllowAddresses="127.0.0.1", MaxRedirects=1)
    sender.start(**names())
    receiver.behave = lambda h: h.answer(307, Location=receiver.url(host="127-0-0-2.is.test"))
    callback = mill.info(sender.of(mill.submit("exit 0", callback_url=receiver.url(host="127-0-0-1.is.test")), "exit-code")["id"])
    assert callback["attempt"] == 1 and callback["reason"].startswith("127-0-0-2.is.test is 127.0.0.2, which is no public"), callback


def test_name_server_that_hangs(sender, receiver):
    """Whoever is looked up for ever is given up in time, and holds up nobody else, nor the end."""
    mill = sender.mill
    sender.policy(AllowAddresses="127.0.0.0/8", AllowHTTP="yes", TimeoutSec="300ms")
    sender.start(**names())
    hang = mill.submit("exit 0", callback_url=receiver.url(host="a.hangs.test"))
    sender.of(mill.submit("exit 0", callback_url=receiver.url()), "success")
    callback = mill.info(sender.of(hang, "exit-code")["id"])
    assert callback["attempt"] == 4 and "a.hangs.test: Resolving timed out" in callback["reason"], callback
    sender.of(mill.submit("exit 0", callback_url=receiver.url()), "success")
    assert len(receiver.got) == 2
    sender.stop()


def test_answer_that_hangs(sender, receiver):
    """What counts is the status: it took it, though the rest of its answer does not come."""
    mill, stuck = sender.mill, threading.Event()

    def hang(handler):
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nx")
        stuck.wait(60)
        handler.close_connection = True

    receiver.behave = hang
    sender.policy(AllowAddresses="127.0.0.0/8", AllowHTTP="yes", TimeoutSec="300ms")
    sender.start()
    assert sender.of(mill.submit("exit 0", callback_url=receiver.url()), "success")["attempt"] == 1
    stuck.set()
    assert len(receiver.got) == 1


def test_keys(sender, receiver):
    """By user and queue, two of each; without one nothing is sent."""
    mill = sender.mill
    third, fourth = (base64.b64encode(bytes([n] * 24)).decode() for n in (3, 4))
    sender.key("default", "# now", "whsec_" + KEY, "", OTHER)
    sender.key("uid-%d" % os.geteuid(), third)
    sender.key("queue-other", fourth)
    sender.start()
    mill.submit("exit 0", callback_url=receiver.url())
    headers, body, _ = receiver.wait(1)[0]
    assert [verify(k, headers, body) for k in (KEY, OTHER, third, fourth)] == [True, True, True, False]
    sender.stop()
    shutil.rmtree(sender.folder / "keys")
    (sender.folder / "keys").mkdir()
    sender.start()
    callback = mill.info(sender.of(mill.submit("exit 0", callback_url=receiver.url()), "exit-code")["id"])
    assert callback["attempt"] == 4 and callback["reason"].startswith("There is no key to sign it with")
    sender.stop()
    for lines in [KEY] * 3, ["short"], ["!" * 44]:
        sender.key("default", *lines)
        p = subprocess.run([WEBHOOK, "--keys", sender.folder / "keys"], stderr=subprocess.PIPE, text=True, env=mill.environment())
        assert p.returncode == 1 and "The key default" in p.stderr, p


def test_tls(sender, receiver):
    """The certificate must be of an authority that is known, and for this name."""
    mill, folder = sender.mill, sender.folder
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1", "-subj", "/CN=test", "-addext",
                    "subjectAltName=IP:127.0.0.1", "-keyout", folder / "key", "-out", folder / "certificate"], check=True, stderr=subprocess.DEVNULL)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "certificate", folder / "key")
    receiver.socket = context.wrap_socket(receiver.socket, server_side=True, do_handshake_on_connect=False)
    sender.policy(AllowAddresses="127.0.0.0/8", TimeoutSec="10s")
    sender.start()
    callback = mill.info(sender.of(mill.submit("exit 0", callback_url=receiver.url(scheme="https")), "exit-code")["id"])
    assert "SSL certificate problem" in callback["reason"] and callback["attempt"] == 4 and not receiver.got
    sender.stop()
    sender.policy(AllowAddresses="127.0.0.0/8", CAFile=folder / "certificate", TimeoutSec="10s")
    sender.start()
    sender.of(mill.submit("exit 0", callback_url=receiver.url(scheme="https")), "success")
    assert len(receiver.got) == 1
    callback = mill.info(sender.of(mill.submit("exit 0", callback_url=receiver.url(scheme="https", host="127.0.0.2")), "exit-code")["id"])
    assert "127.0.0.2" in callback["reason"] and len(receiver.got) == 1


NODE = """
const { headers, bodies, keys } = JSON.parse(require("fs").readFileSync(0));
console.log(JSON.stringify(bodies.map((b, i) => verify(keys[i], headers[i], Buffer.from(b)))));
"""
GO = """
func main() {
    var in struct {
        Headers      []map[string]string
        Bodies, Keys []string
    }
    if err := json.NewDecoder(os.Stdin).Decode(&in); err != nil {
        panic(err)
    }
    out := []bool{}
    for i := range in.Bodies {
        h := http.Header{}
        for k, v := range in.Headers[i] {
            h.Set(k, v)
        }
        out = append(out, Verify(in.Keys[i], h, []byte(in.Bodies[i])))
    }
    json.NewEncoder(os.Stdout).Encode(out)
}
"""


def signed(key, body, id_="1-a", age=0, extra=()):
    timestamp = str(int(time.time()) - age)
    mac = hmac.digest(base64.b64decode(key), b"%s.%s.%s" % (id_.encode(), timestamp.encode(), body.encode()), "sha256")
    return {"webhook-id": id_, "webhook-timestamp": timestamp, "webhook-signature": " ".join([*extra, "v1," + base64.b64encode(mac).decode()])}


@pytest.mark.parametrize("language", ["python", "js", "go"])
def test_verified(language, tmp_path):
    """What the document has receivers do, as it stands there."""
    good = signed(KEY, "{}")
    cases = [  # headers, body, key, whether it is good
        (good, "{}", KEY, True), (good, "{} ", KEY, False), (good, "{}", OTHER, False), ({**good, "webhook-id": "1-b"}, "{}", KEY, False),
        (signed(KEY, "ü", extra=["v1,AAAA", "v2,x"]), "ü", KEY, True), ({**good, "webhook-signature": "v1,AAAA v2,x"}, "{}", KEY, False),
        (signed(KEY, "{}", age=400), "{}", KEY, False), (signed(KEY, "{}", age=-400), "{}", KEY, False), ({**good, "webhook-signature": ""}, "{}", KEY, False),
    ]
    headers, bodies, keys, expected = (list(l) for l in zip(*cases))
    if language == "python":
        found = [verify(k, h, b.encode()) for h, b, k in zip(headers, bodies, keys)]
    elif not extra({"js": "node"}.get(language, language)):
        pytest.skip("there is no " + language)
    else:
        if language == "js":
            (tmp_path / "verify.js").write_text(code("js") + NODE)
            argv = ["node", tmp_path / "verify.js"]
        else:
            (tmp_path / "verify.go").write_text(code("go").replace('"encoding/base64"', '"encoding/base64"\n    "encoding/json"\n    "os"') + GO)
            argv = ["go", "run", tmp_path / "verify.go"]
        text = json.dumps({"headers": headers, "bodies": bodies, "keys": keys})
        found = json.loads(subprocess.run(argv, input=text, capture_output=True, text=True, check=True,
                                          env={**os.environ, "HOME": str(tmp_path), "GOFLAGS": "-mod=mod"}, timeout=120).stdout)
    assert found == expected
