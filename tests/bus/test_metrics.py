# SPDX-License-Identifier: LGPL-2.1-or-later
"""Metrics say what is true; the exporter serves them, and bears with whoever is slow, silent or gone."""

import concurrent.futures
import contextlib
import http.client
import os
import random
import re
import signal
import socket
import subprocess

import pytest

from conftest import DAEMON, ROOT, SLOW, end, extra, spawn, until
from tool import tool

EXPORTER = DAEMON.parent / "jobmill-exporter"
SAMPLE = re.compile(r'^(jobmill_\w+?)(?:\{(.*)\})? (\S+)$')


def parse(text):
    """{(name, labels…): value}, and every line is what the format allows."""
    found, families = {}, {}
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split()
            assert name not in families, line
            families[name] = kind
        elif not line.startswith("# HELP "):
            m = SAMPLE.match(line)
            assert m, line
            base = re.sub(r"_(bucket|sum|count)$", "", m[1])
            kind = families.get(m[1]) or families[base]
            assert (kind == "counter") == m[1].endswith("_total"), line
            key = (m[1], *re.findall(r'(\w+="[^"]*")', m[2] or ""))
            assert key not in found, line
            found[key] = float(m[3])
    return found


def label(**labels):
    return tuple('%s="%s"' % kv for kv in labels.items())


@pytest.fixture
def worked(mill):
    chance = random.Random(3)
    for q in ("a", "b-c"):
        mill.queue(q, Slots=5, AllowUsers="*")
    mill.listen()
    mill.start()
    ids = []
    for q in ("a", "b-c", "a"):
        ids += mill.submit_many([chance.choice(("true", "exit 3", "kill $$")) for _ in range(6)], queue=q)
        mill.call("CancelJob", mill.submit("true", queue=q, hold=True))
    mill.submit("true", queue="a", hold=True)
    mill.all_done(ids)
    return mill


def test_agree_with_truth(worked):
    mill = worked
    text = tool(mill, "metrics")
    found = parse(text)
    jobs = mill.jobs()
    for q in ("a", "b-c", "default"):
        own = [j for j in jobs if j["queue"] == q]
        for state in ("held", "waiting", "ready", "starting", "running", "stopping", "done"):
            assert found["jobmill_jobs", *label(queue=q, state=state)] == sum(j["state"] == state for j in own)
        for result in ("success", "exit-code", "signal", "cancelled", "lost"):
            assert found["jobmill_jobs_finished_total", *label(queue=q, result=result)] == sum(j.get("result") == result for j in own)
        assert found["jobmill_jobs_submitted_total", *label(queue=q)] == len(own)
        ran = [j for j in own if "runtime_usec" in j]
        for name, key in (("run", "runtime_usec"), ("wait", "wait_usec")):
            name = "jobmill_job_%s_seconds" % name
            assert found[name + "_count", *label(queue=q)] == len(ran)
            assert found[name + "_sum", *label(queue=q)] == pytest.approx(sum(j[key] for j in ran) / 1e6, abs=1e-9)
            for le in ("0.01", "0.1", "0.5", "86400"):
                assert found[name + "_bucket", *label(queue=q, le=le)] == sum(j[key] <= float(le) * 1e6 for j in ran)
    assert found["jobmill_queue_slots", *label(queue="a")] == 5
    assert ("jobmill_queue_slots", *label(queue="b")) not in found
    assert found["jobmill_store_commit_seconds_count",] == found["jobmill_store_commit_seconds_bucket", 'le="+Inf"'] > 0
    assert found["jobmill_systemd_calls_total",] > 0 and found["jobmill_store_log_bytes",] > 0
    with mill.connect() as c:
        assert parse(c.call("org.jobmill.Metrics")["metrics"]).keys() == found.keys()
    # No labels but these, whatever jobs are called.
    assert set(re.findall(r'[{,](\w+)="', text)) == {"queue", "state", "result", "le", "version", "systemd"}
    if extra("promtool"):
        p = subprocess.run(["promtool", "check", "metrics"], input=text, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        assert (p.returncode, p.stdout) == (0, "")
    documented = (ROOT / "docs/monitoring.md").read_text()
    assert {n for n in re.findall(r"# TYPE (\w+)", text) if "`%s`" % n not in documented} == set()


def test_rules():
    for path in ("alerts.yml", "grafana-dashboard.json"):
        names = set(re.findall(r"jobmill_[a-z_]+", (ROOT / "docs/monitoring" / path).read_text()))
        known = (ROOT / "docs/monitoring.md").read_text()
        assert {n for n in names if "`%s`" % re.sub("_bucket$", "", n) not in known} == set()
    if extra("promtool"):
        subprocess.run(["promtool", "test", "rules", "alerts-test.yml"], cwd=ROOT / "docs/monitoring", check=True)


class Web:
    def __init__(self, mill, **environment):
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port = self.listener.getsockname()[1]
        argv = ["/bin/sh", "-c", 'LISTEN_PID=$$ LISTEN_FDS=1; export LISTEN_PID LISTEN_FDS; exec "$@" 3<&0 </dev/null', "sh", EXPORTER,
                *([] if os.geteuid() == 0 else ["--user"])]
        self.process = spawn(argv, stdin=self.listener.fileno(), env={**mill.environment(), **environment})

    def get(self, path, method="GET", timeout=30):
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout * SLOW)
        try:
            c.request(method, path)
            r = c.getresponse()
            return r.status, r.read().decode()
        finally:
            c.close()


@pytest.fixture
def web(worked):
    """web(**environment)"""
    made = []

    def make(**environment):
        made.append(Web(worked, **environment))
        return made[-1]

    if not EXPORTER.exists():
        pytest.skip("built without libmicrohttpd")
    yield make
    for w in made:
        assert end(w.process) == 0
        w.listener.close()


def test_pages(worked, web):
    web = web()
    status, text = web.get("/metrics")
    assert status == 200 and parse(text)["jobmill_up",] == 1
    assert parse(tool(worked, "metrics")).keys() <= parse(text).keys()
    assert web.get("/healthz") == (200, "ok\n")
    assert web.get("/metrics", "HEAD") == (200, "")
    assert web.get("/metrics", "POST")[0] == 405 and web.get("/etc/passwd")[0] == 404 and web.get("/")[0] == 200


def test_daemon_hangs_or_is_gone(worked, web):
    web = web(JOBMILL_EXPORTER_TIMEOUT_MSEC="300")
    until(lambda: web.get("/healthz")[0] == 200, 10, "it is asked")
    worked.process.send_signal(signal.SIGSTOP)
    try:
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(web.get, ["/healthz", "/metrics"] * 8))
    finally:
        worked.process.send_signal(signal.SIGCONT)
    assert {s for s, _ in answers[0::2]} == {503} and {s for s, _ in answers[1::2]} == {200}
    assert all(parse(text)["jobmill_up",] == 0 for _, text in answers[1::2])
    until(lambda: web.get("/healthz")[0] == 200, 10, "it answers again")
    worked.kill()
    status, text = web.get("/healthz")
    assert status == 503 and text.startswith("jobmilld does not answer: ")
    assert not worked.bus.has_owner()  # it was not started by that
    worked.start()
    until(lambda: web.get("/healthz")[0] == 200, 10, "it is there again")


def test_silent_crowd(worked, web):
    """More connections than it takes, silent or in the middle of a request: somebody who asks is served, and they are dropped."""
    web = web(JOBMILL_EXPORTER_IDLE_SEC="1")
    crowd = []
    for i in range(600):
        s = socket.create_connection(("127.0.0.1", web.port))
        if i % 2:
            s.send(b"GET /metrics HTTP/1.1\r\nHost: a\r\nX-Long: ")
        crowd.append(s)
    fds = len(os.listdir("/proc/%d/fd" % web.process.pid))
    assert fds < 560, fds
    assert web.get("/healthz") == (200, "ok\n")
    until(lambda: len(os.listdir("/proc/%d/fd" % web.process.pid)) < 32, 20, "all are dropped")
    for s in crowd:
        s.close()
    with socket.create_connection(("127.0.0.1", web.port), timeout=30 * SLOW) as s, contextlib.suppress(ConnectionError):
        s.sendall(b"GET /metrics HTTP/1.1\r\nHost: a\r\n" + b"X-Long: aaaaaaaaaaaaaaaaaaaaaaaa\r\n" * 1000)  # more than is kept of one
        assert s.recv(100).startswith((b"HTTP/1.1 431", b""))
    assert web.get("/healthz")[0] == 200
