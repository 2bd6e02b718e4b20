# SPDX-License-Identifier: LGPL-2.1-or-later
"""Upgrade: the daemon on the databases of older versions (tests/data): what it says of each job is what the daemon said that
wrote them, after a reboot, and with everything still running."""

import json
import pathlib
import re
import sqlite3
import time

import pytest

from conftest import ROOT, until
from test_clock import Clock

DATA = ROOT / "tests/data"
VERSION = len(re.findall(r"^        /\* \d+( \*/$|: )", (ROOT / "src/store/schema.c").read_text(), re.M))
VERSIONS = range(1, VERSION + 1)
pytestmark = pytest.mark.root


TOLD_LATER = {"properties", "stop_timeout_usec", "umask", "freezable", "keep_usec", "backoff", "backoff_base_usec", "backoff_max_usec",
              "backoff_jitter", "retry_on", "requeue_lost", "memory_growth"}


class Golden:
    def __init__(self, mill, version):
        self.mill, self.version = mill, version
        self.said = json.loads((DATA / ("schema-%d.json" % version)).read_text())
        self.file = mill.folder / "state/jobmill.db"
        db = sqlite3.connect(self.file)
        db.executescript((DATA / ("schema-%d.sql" % version)).read_text())
        db.close()
        for name, slots in (("default", 8), ("halted", 4), ("halted-below", 2), ("closing", 1), ("full", 1), ("live", 20)):
            mill.queue(name, Slots=slots, AllowUsers="* daemon", **({"SlotVariable": "GPU"} if name == "live" else {}))
        mill.queue("served", Slots=4, AllowUsers="* daemon", Executor="worker", WorkerUsers="root")
        # A minute after: what is kept for a day, or begins one day, stays as it was in the years to come.
        clock = Clock(mill.folder / "clock")
        clock.set(max(j["info"]["submitted_usec"] for j in self.said["jobs"]) / 1e6 + 60 - time.time())
        self.environment = clock.environment()

    def sql(self, *statement):
        db = sqlite3.connect(self.file)
        rows = db.execute(*statement).fetchall()
        db.commit()
        db.close()
        return rows

    def kinds(self, *kinds):
        return [j["info"]["id"] for j in self.said["jobs"] if j["kind"] in kinds]

    def becoming(self, *what):
        return [j["info"]["id"] for j in self.said["jobs"] if j["becomes"] in what]

    def check_same(self):
        """Those that did not live, to the last key."""
        self.mill.settled()  # until then that is the reason of all
        for j in self.said["jobs"]:
            if j["becomes"] != "same":
                continue
            id_ = j["info"]["id"]
            now, then = ({**i, "reason": i["reason"].split(", in ")[0]} if "reason" in i else i
                         for i in (as_json(self.mill.info(id_)), j["info"]))
            if self.version <= 6 and "after" in now:  # which did not tell what if it ends otherwise
                now["after"] = [[i, on.removesuffix(":ignore")] for i, on in now["after"]]
            assert {k: now.get(k) for k in then} == then
            assert set(now) - set(then) <= TOLD_LATER
            assert as_json(self.mill.call("ListAttempts", id_)) == j["attempts"]
        assert len(self.becoming("same")) >= 20

    def check_schedules(self):
        if self.version < 12:
            assert not self.mill.call("ListSchedules")
            return
        hers, nightly = self.mill.call("ListSchedules")
        assert (hers["name"], hers["every_usec"], nightly["name"], nightly["paused"], nightly["overlap"]) == ("hers", 100 * 86400 * 10**6, "nightly", True, "queue")
        assert nightly["calendar"] == ["*-*-* 02:30", "Mon *-*-* 12:00 UTC"] and nightly["firings"] == 1 and json.loads(nightly["job"])["argv"] == ["/bin/true", "ä"]
        fired, = self.mill.call("ListFirings", "nightly", 0)
        assert fired["cause"] == "manual" and [fired["job"]] == self.kinds("of a schedule")

    def check_queues(self):
        for name in ("halted", "halted-below", "closing"):
            now = as_json(self.mill.queue_properties(name))
            assert {k: now.get(k) for k in self.said["queues"][name]} == self.said["queues"][name]


def as_json(value):
    return json.loads(json.dumps(value, default=repr))


@pytest.fixture(params=VERSIONS, ids=["schema-%d" % v for v in VERSIONS])
def golden(mill, request):
    return Golden(mill, request.param)


def test_each_version_has_one():
    """Also of the newest: make it with make_golden.py, and keep it."""
    assert sorted(DATA.glob("schema-*.sql")) == sorted(DATA / ("schema-%d.sql" % v) for v in VERSIONS)
    assert sorted(DATA.glob("schema-*.json")) == sorted(DATA / ("schema-%d.json" % v) for v in VERSIONS)


def test_after_a_reboot(golden, systemd):
    """What lived is lost, or what was wanted of it; the rest is as it was, and goes on."""
    mill = golden.mill.start(**golden.environment)
    assert not golden.mill.stats()["dispatch"].startswith("store")
    golden.check_same()
    golden.check_schedules()
    golden.check_queues()
    for what in ("lost", "cancelled", "timeout", "success"):
        for id_ in golden.becoming(what):
            assert mill.result(id_) == what, mill.info(id_)
    assert not [f for f in mill.call("CheckIntegrity")]
    go_on(golden, mill)


def go_on(golden, mill):
    """The environment and the input of what waited, the receipts, ids."""
    out = mill.out / "held"
    id_, = golden.kinds("held")
    before = mill.info(id_)
    mill.call("UpdateJob", id_, {"argv": [before["argv"][0], "-c", before["argv"][2], "sh", "ä", str(out)]})
    mill.call("ReleaseJob", id_)
    assert mill.result(id_) == "success"
    assert out.read_text() == "äöü|Größe|ä"
    again, = golden.kinds("signal")  # its environment was kept
    mill.call("RetryJob", again, {})
    assert mill.result(again) == "signal" and mill.info(again)["attempt"] == 2
    for id_ in golden.kinds("with receipt"):
        same = mill.call("Submit", "", ["/bin/sh", "-c", "true"], {"request_id": "Anfrage-1", "name": "with receipt", "hold": True})
        assert same[0] == id_
    mill.call("ResumeQueue", "halted")
    for id_ in golden.kinds("ready", "ready, in a queue below"):
        assert mill.result(id_) == "success"
    ids = [j["info"]["id"] for j in golden.said["jobs"]]
    assert mill.submit("true") > max(ids)
    assert not mill.call("CheckIntegrity")


def adopt(golden, systemd):
    """The same boot: the units of the live attempts are there."""
    systemd_usec = golden.mill.bus.raw("org.freedesktop.systemd1", "/org/freedesktop/systemd1", "org.freedesktop.DBus.Properties",
                                       "Get", "ss", "org.freedesktop.systemd1.Manager", "UserspaceTimestampMonotonic")
    boot = bytes.fromhex(pathlib.Path("/proc/sys/kernel/random/boot_id").read_text().strip().replace("-", ""))
    golden.sql("UPDATE attempt SET boot_id = ?, userspace_usec = ?", (boot, systemd_usec))
    rows = golden.sql("SELECT a.job, a.attempt, hex(token), a.slots, slot_numbers, j.queue, j.intent IS NOT NULL FROM attempt AS a"
                      " JOIN job AS j ON j.id = a.job AND j.attempt = a.attempt WHERE j.state IN ('starting', 'running', 'stopping')")
    rows = [r for r in rows if r[0] not in golden.kinds("in a worker still", "in the foreground still", "in an engine still")]
    assert len(rows) == 7
    for job, attempt, token, slots, numbers, queue, stubborn in rows:
        name = golden.mill.unit(job, attempt)
        systemd.do("start_stray", name=name, slice_="jobmill-%s.slice" % queue,
                   argv=["/bin/sh", "-c", "trap '' TERM; while :; do sleep 1; done" if stubborn else "exec sleep 1000"],
                   StartLimitBurst=1, environment=["JOBMILL_ATTEMPT_ID=" + token.lower(), "JOBMILL_SLOTS=" + numbers])
        until(lambda: systemd.do("units")[name]["invocation"], 5, name)
        golden.sql("UPDATE attempt SET invocation_id = ? WHERE job = ? AND attempt = ? AND invocation_id IS NOT NULL",
                   (bytes.fromhex(systemd.do("units")[name]["invocation"]), job, attempt))
        if golden.sql("SELECT count(*) FROM pragma_table_info('attempt') WHERE name = 'freezer'")[0][0] and \
                golden.sql("SELECT freezer FROM attempt WHERE job = ? AND attempt = ?", (job, attempt))[0][0]:
            systemd.do("freeze", name=name)
    return [r[0] for r in rows]


def test_with_everything_running(golden, systemd):
    """Nothing of it is touched, and each ends as it ends."""
    live = adopt(golden, systemd)
    before = {n: u["pid"] for n, u in systemd.do("units").items()}
    mill = golden.mill.start(**golden.environment)
    mill.settled()
    golden.check_same()
    golden.check_queues()
    assert {n: u["pid"] for n, u in systemd.do("units", pattern="jobmill-job-*").items()} == \
        {n: p for n, p in before.items() if n.startswith("jobmill-job-")}
    for id_ in live:
        until(lambda: mill.state(id_) in ("running", "stopping"), 5, lambda: mill.info(id_))
    for j in golden.said["jobs"]:
        if j["kind"].startswith(("running", "frozen")):
            now = as_json(mill.info(j["info"]["id"]))
            for key in ("state", "reason", "frozen", "slots", "slot_numbers", "started_usec", "attempt", "unit"):
                assert now.get(key) == j["info"].get(key), (key, now, j)
    stopping = {mill.unit(i) for i in golden.kinds("stopping", "out of time")}  # are told to end once more
    stopping |= {"jobmill-job-%d-1.scope" % i for i in golden.kinds("in the foreground still")}  # its process is gone
    assert {unit for unit, _ in systemd.do("calls", method="KillUnit")} <= stopping
    assert not systemd.do("calls", method="StopUnit") and not systemd.do("calls", method="FreezeUnit")
    end(golden, mill, systemd)


def end(golden, mill, systemd):
    for id_ in golden.kinds("frozen"):
        if mill.info(id_).get("frozen"):
            mill.call("ThawJob", id_)
    for kind, result in (("running", "signal"), ("running, two slots", "signal"), ("running, full", "signal"), ("starting", "signal"),
                         ("frozen", "signal"), ("stopping", "cancelled"), ("out of time", "timeout")):
        for id_ in golden.kinds(kind):
            systemd.do("kill", name=mill.unit(id_), signo=9)
            assert mill.result(id_) == result, mill.info(id_)
    for id_ in golden.becoming("success"):
        assert mill.result(id_) == "success"
    until(lambda: mill.stats()["attempts"] == len(golden.kinds("in an engine still")), 10, "all are released")
    assert not mill.call("CheckIntegrity")


def test_killed_while_it_migrates(golden):
    """At any moment of its start, again and again."""
    for n in range(8):
        golden.mill.spawn(**golden.environment)
        time.sleep(0.002 * n)
        golden.mill.process.kill()
        golden.mill.process.wait()
    golden.mill.start(**golden.environment)
    golden.check_same()
    golden.check_queues()


def test_newer_is_refused(golden):
    """The next version's database, and this program."""
    newer = len(list(VERSIONS)) + 1
    golden.sql("PRAGMA user_version = %d" % newer)
    before = golden.file.read_bytes()
    golden.mill.spawn(**golden.environment)
    assert golden.mill.process.wait(20) == 65
    assert "Made by a newer version (schema %d, this one knows %d)" % (newer, VERSION) in golden.mill.log_tail()
    assert "Install the newer jobmill" in golden.mill.log_tail()
    assert golden.file.read_bytes() == before
