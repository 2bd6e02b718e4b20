# SPDX-License-Identifier: LGPL-2.1-or-later
"""Makes the golden database of a schema version: a real daemon of that version, jobs of all kinds in all states, killed.

    make build && JOBMILL_BUILD=build /usr/bin/python3 -m pytest -q -p no:cacheprovider tests/bus/make_golden.py

writes tests/data/schema-N.sql (the database as text) and schema-N.json (what the daemon said of each job just before).
Of an older version: JOBMILL_BUILD=its build. What it does not know is left out. As root, for there are jobs of two users."""

import contextlib
import json
import pathlib
import shutil
import sqlite3

import pytest

import client
from conftest import DAEMON, until
from test_run import Peer
from test_worker import Relay

DATA = pathlib.Path(__file__).resolve().parents[1] / "data"
LATER = 4_000_000_000_000_000  # µs: the year 2096
NAME = "Größe – 大きさ 🐦"

# What becomes of a job when the next daemon finds the database after a reboot:
SAME = "same"      # all as it was
RUNS = "success"   # it was ready, and is started


class Golden:
    def __init__(self, mill, systemd, remotes):
        self.mill, self.systemd, self.daemon = mill, systemd, remotes("daemon")
        self.connections = ()
        self.kinds = {}  # id -> (kind, what becomes of it)

    def add(self, kind, words, queue="", becomes=SAME, user=None, **spec):
        argv = words if isinstance(words, list) else ["/bin/sh", "-c", words]
        spec.setdefault("name", kind)
        id_ = (user or self.mill).call("Submit", queue, argv, spec)[0]
        self.kinds[id_] = (kind, becomes)
        return id_

    @staticmethod
    def if_known(function, *args, **kwargs):
        """Older versions do not know everything."""
        with contextlib.suppress(client.BusError):
            return function(*args, **kwargs)

    def ends_as(self, kind, **properties):
        """A job whose unit ends in a way that no child of the fake's does."""
        id_ = self.add(kind, "exec sleep 1000")
        self.mill.reach(id_, "running")
        self.systemd.do("set", name=self.mill.unit(id_), MainPID=0, ActiveState="failed", SubState="failed", **properties)
        until(lambda: self.mill.state(id_) == "done", 10, kind)
        return id_

    def ended(self):
        mill = self.mill
        # As one that ran for long, whose figures do not fit into 32 bits.
        self.systemd.do("usage", CPUUsageNSec=7_300_000_000_123, MemoryPeak=5_000_000_000, IOReadBytes=0,
                        IOWriteBytes=6_000_000_000)
        mill.result(self.add("success", "true", name=NAME, tags={"Farbe": "grün", "leer": ""}, payload=b"\0\xff payload\n",
                             environment=["A=a b", "UMLAUT=äöü", "LINES=1\n2"]))
        self.systemd.do("usage")
        mill.result(self.add("exit-code", "exit 7", priority=-5))
        mill.result(self.add("signal", "kill -KILL $$", slots=2, environment=["KEPT=for a retry"]))
        mill.result(self.add("timeout", "exec sleep 60", timeout_usec=100_000))
        mill.result(self.add("exec", ["/nonexistent/größe"]))
        self.ends_as("core-dump", Result="core-dump", ExecMainCode=3, ExecMainStatus=11)
        self.ends_as("watchdog", Result="watchdog", ExecMainCode=2, ExecMainStatus=6)
        self.ends_as("oom-kill", Result="oom-kill", ExecMainCode=2, ExecMainStatus=9)
        cancelled = self.add("cancelled", "exec sleep 60")
        mill.reach(cancelled, "running")
        mill.call("CancelJob", cancelled)
        mill.result(cancelled)
        mill.call("CancelJob", self.add("cancelled while held", "true", hold=True))
        mill.result(self.add("of a user", "exit 1", user=self.daemon, properties=["Nice=5"], cwd="/usr"))
        self.retried()
        self.lost()

    def retried(self):
        mill = self.mill
        id_ = self.add("retried", '[ $JOBMILL_ATTEMPT = 3 ] || exit 3$JOBMILL_ATTEMPT')
        mill.result(id_)
        for _ in range(2):
            mill.call("RetryJob", id_, {})
            mill.result(id_)
        assert mill.info(id_)["attempt"] == 3

    def lost(self):
        id_ = self.add("lost", "exec sleep 60")
        self.mill.reach(id_, "running")
        self.mill.kill()
        self.systemd.do("vanish", name=self.mill.unit(id_))
        self.start()
        assert self.mill.result(id_) == "lost"

    def start(self):
        # Old versions know one folder of configuration.
        self.mill.start(JOBMILL_CONFIG_PATH=str(self.mill.folder / "config"))

    def queued(self):
        mill = self.mill
        mill.call("PauseQueue", "halted")
        for i in range(3):
            self.add("ready", "true", "halted", priority=i * 10 - 10, environment=["SHARED=by three"])
        self.add("ready, in a queue below", "true", "halted-below", user=self.daemon, environment=["OF=a user"])
        self.add("held", 'printf "%s|%s|%s" "$UMLAUT" "$(cat)" "$1" >"$2"', hold=True, environment=["UMLAUT=äöü", "HOME=/x"],
                 payload="Größe".encode(), tags={"k": "v"}, timeout_usec=3_600_000_000, stop_timeout_usec=5_000_000)
        self.add("held, of a user", ["/bin/echo", "ä b", "", "$HOME"], hold=True, user=self.daemon, umask=0o27)
        self.if_known(self.add, "delayed", "true", delay_usec=10**15)  # 31 years
        self.add("waiting", "true", not_before_usec=LATER, priority=100, environment=["A=a b", "UMLAUT=äöü", "LINES=1\n2"])
        self.if_known(self.add, "output", "true", hold=True, output_file="/tmp/out.%j", error_file="/tmp/err")
        self.if_known(self.add, "freezable", "true", hold=True, freezable=True, timeout_usec=60_000_000)
        self.if_known(self.add, "with receipt", "true", hold=True, request_id="Anfrage-1")
        self.if_known(self.add, "with receipt, of a user", "true", hold=True, request_id="Anfrage-1", user=self.daemon)
        mill.call("DrainQueue", "closing")

    def policy(self):
        """What came with version 6."""
        mill = self.mill
        with contextlib.suppress(client.BusError):
            self.add("after another", "true", after=[(self.add("before another", "true", hold=True), "success")])
            jobs = [{"name": "a", "queue": "halted", "argv": ["true"]},
                    {"name": "b", "queue": "halted", "argv": ["true"], "after": [{"job": "a", "on": "end", "otherwise": "ignore"}]}]
            for id_ in mill.call("SubmitFlow", json.dumps({"jobs": jobs}))[1].values():
                self.kinds[id_] = ("of a flow", SAME)
            first = self.add("of an array", "true", "halted", array=3, array_max_running=1)
            self.kinds.update({first + i: ("of an array", SAME) for i in range(3)})
            self.add("with a key", "true", hold=True, unique_key="Schlüssel", deadline_usec=LATER, keep_usec=10**15)
            mill.result(self.add("with a verdict", "echo noise; echo '{\"success\": true, \"n\": [1]}'; echo größer >&2", verify="verdict"))
            again = self.add("tried again", "exit 3", max_attempts=3, backoff_base_usec=10**13)
            mill.reach(again, "waiting")
            mill.call("HoldJob", again)

    def in_workers(self):
        """What came with version 8."""
        with contextlib.suppress(Exception):
            orders, reports = self.mill.connect(), self.mill.connect()
            orders.send("Register", {"protocol": 1, "queues": ["served"], "slots": 2, "name": "Größe", "metadata": {"a": [1]}}, more=True)
            token = orders.read()["parameters"]["token"]
            id_ = self.add("in a worker", "true", "served")
            orders.read()
            reports.call("Complete", token=token, id=id_, attempt=1, exit_status=3, error="größer", verdict={"success": False}, cpu_usec=10**13)
            running = self.add("in a worker still", "true", "served", "lost", user=self.daemon)
            self.mill.reach(running, "running")
            self.connections += orders, reports

    def in_an_engine(self):
        """What came with version 16: one that an engine has run, and one that it runs while its adapter is away."""
        with contextlib.suppress(Exception):
            adapter = Relay(self.mill, queues=["served"], slots=2, name="Maschine", durable=True)
            for kind in "in an engine", "in an engine still":
                self.add(kind, "true", "served", user=self.daemon)
                job = adapter.told("assign")
                adapter.reports.call("Keep", token=adapter.token, id=job["id"], attempt=1, engine={"name": "größer", "id": 10**13}, started_usec=0)
                if kind == "in an engine":
                    adapter.complete(job, result="timeout", stdout="größer", finished_usec=2**62)
            adapter.close()
            until(lambda: any("away_usec" in w for w in self.mill.call("ListWorkers")), 10, "away")

    def in_the_foreground(self):
        """What came with version 11: one that has ended, and one that runs."""
        with contextlib.suppress(Exception):
            for n, (kind, becomes, queue) in enumerate((("in the foreground", SAME, "default"), ("in the foreground still", "lost", "default"))):
                peer = Peer(self.mill)
                self.connections += peer,
                id_, _ = peer.turn(token=n + 1, name=kind, queue=queue, tags={"Farbe": "grün"})
                self.kinds[id_] = (kind, becomes)
                if becomes == SAME:
                    peer.exited(id_, token=n + 1, exit_signal=11, core_dump=True)

    def of_types(self):
        """What came with version 10."""
        with contextlib.suppress(client.BusError):
            self.add("of a type", ["größer"], type="golden", hold=True, payload=b'{"n": 1}', tags={"a": "b"})
            self.add("of a type, waiting, of a user", ["x"], type="golden", user=self.daemon, not_before_usec=LATER)

    def schedules(self):
        """What came with version 12: a paused one that was fired once, and one of a user that elapses in the far future."""
        with contextlib.suppress(client.BusError):
            self.mill.call("SetSchedule", "nightly", {"OnCalendar": ["*-*-* 02:30", "Mon *-*-* 12:00 UTC"], "Persistent": "yes", "Overlap": "queue",
                                                      "RandomizedDelaySec": "5min", "Job": {"argv": ["/bin/true", "ä"], "queue": "live", "name": "scheduled"}})
            id_ = self.mill.call("FireSchedule", "nightly")
            self.kinds[id_] = ("of a schedule", SAME)
            self.mill.result(id_)
            self.mill.call("PauseSchedule", "nightly")
            self.daemon.call("SetSchedule", "hers", {"OnUnitActiveSec": "100d", "Job": {"argv": ["/bin/true"]}})

    def live(self):
        mill = self.mill
        running = [self.add("running", "exec sleep 1000", "live", "lost", environment=["A=a b"]),
                   self.add("running, two slots", "exec sleep 1000", "live", "lost", slots=2, user=self.daemon),
                   self.add("running, full", "exec sleep 1000", "full", "lost")]
        self.add("ready behind a full queue", "true", "full", RUNS, environment=["A=a b"])
        stopping = self.add("stopping", "trap '' TERM; while :; do sleep 1; done", "live", "cancelled", stop_timeout_usec=3_600_000_000)
        late = self.add("out of time", "trap '' TERM; while :; do sleep 1; done", "live", "timeout", timeout_usec=600_000,
                        stop_timeout_usec=3_600_000_000)
        for i in running + [stopping]:
            mill.reach(i, "running")
        mill.bus.pump(0.3)  # the trap is set
        mill.call("CancelJob", stopping)
        mill.reach(late, "stopping")
        frozen = self.add("frozen", "exec sleep 1000", "live", "lost")
        mill.reach(frozen, "running")
        self.if_known(mill.call, "FreezeJob", frozen)
        self.systemd.fault("StopUnit", "never")
        mill.result(self.add("ended, its unit is still there", "true"))
        self.systemd.fault("StartTransientUnit", "never", match="jobmill-job-*")
        mill.reach(self.add("starting", "true", "live", "lost"), "starting")

    def purge(self):
        """An id that is not to be given out again."""
        id_ = self.add("purged", "true", hold=True, environment=["GONE=yes"])
        self.mill.call("CancelJob", id_)
        self.if_known(self.mill.call, "PurgeJobs", {"ids": [id_]})


def dump(path):
    """As text that makes the same database, and nothing else."""
    db = sqlite3.connect(path)
    number = {k: db.execute("PRAGMA " + k).fetchone()[0] for k in ("application_id", "user_version")}
    assert db.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
    lines = ["PRAGMA %s = %d;" % kv for kv in number.items()] + list(db.iterdump())
    return number["user_version"], "\n".join(lines) + "\n"


@pytest.mark.root
def test_make_golden(mill, systemd, remotes, tmp_path):
    for name, slots in (("default", 8), ("halted", 4), ("halted-below", 2), ("closing", 1), ("full", 1), ("live", 20)):
        mill.queue(name, Slots=slots, AllowUsers="* daemon", **({"SlotVariable": "GPU"} if name == "live" else {}))
    mill.queue("served", Slots=4, AllowUsers="* daemon", Executor="worker", WorkerUsers="root")
    (mill.folder / "config/jobs").mkdir()
    (mill.folder / "config/jobs/golden.job").write_text("[Job]\nVersion=1.0 ä\nCommand=/bin/true -x\nPayloadOptional=n:integer\n"
                                                        "Override=MemoryMax\n[Service]\nMemoryMax=1G\nNice=3\n")
    mill.listen()
    g = Golden(mill, systemd, remotes)
    g.start()
    g.ended()
    g.queued()
    g.policy()
    g.purge()
    g.in_workers()
    g.in_an_engine()
    g.of_types()
    g.in_the_foreground()
    g.schedules()
    g.live()
    mill.bus.pump(1.5)  # all that is written late is written
    said = {"jobs": [{"kind": k, "becomes": b, "info": mill.info(i), "attempts": mill.call("ListAttempts", i)}
                     for i, (k, b) in g.kinds.items() if k != "purged"],
            "queues": {q: {k: v for k, v in mill.queue_properties(q).items() if k not in ("Files", "Settings")}
                       for q in ("halted", "halted-below", "closing")}}
    mill.process.kill()
    mill.process.wait()
    for f in (mill.folder / "state").glob("jobmill.db*"):
        shutil.copy(f, tmp_path)
    with contextlib.closing(sqlite3.connect(tmp_path / "jobmill.db")) as db, db:  # it is found in another boot, also by whoever makes it
        db.execute("UPDATE meta SET value = ? || substr(value, 33) WHERE key = 'clock'", ("0123456789abcdef" * 2,))
    version, text = dump(tmp_path / "jobmill.db")
    DATA.mkdir(exist_ok=True)
    (DATA / ("schema-%d.sql" % version)).write_text(text)
    (DATA / ("schema-%d.json" % version)).write_text(json.dumps(said, indent=1, sort_keys=True, ensure_ascii=False, default=repr) + "\n")
    print("made of", DAEMON)


