# SPDX-License-Identifier: LGPL-2.1-or-later
"""Jobs of every kind, every call that changes something, and what must be true afterwards, whatever was done to the daemon
meanwhile.

Jobs write their own proof: a line "ID ATTEMPT" in a file, the first thing they do. Calls go on until they are answered; every
submit carries a request id, so it may be repeated."""

import contextlib
import json
import pathlib
import pwd
import shutil
import sqlite3
import subprocess
import tempfile
import time
import uuid

import dbus

import client
import varlink
from client import BusError
from mill import BUILD, CONFIG, PYTHON, RUN, RUNTIME_UNITS, SLOW, SOURCE, VERSION, job_units, run, systemctl, unit_properties, until

OVERLAP = BUILD / "tests/system/overlap"
STATE = pathlib.Path("/var/lib/jobmill")
SOCKET = RUN / "org.jobmill"
# Caps of the queues; those of "crash-nest" hold for the two below it together.
CAPS = {"crash": 12, "crash-small": 2, "crash-other": 4, "crash-nest": 3, "crash-nest-a": 2, "crash-nest-b": 2, "crash-paused": 4}
NEST = "crash-nest"
BACKED = "crash-other"
TYPE = pathlib.Path("/etc/jobmill/jobs/crash.job")
WORKED = {"crash-worker": 2, "crash-worker-rough": 2, "crash-engine": 3}  # Executor=worker; the last one's worker is an adapter
ENGINE = pathlib.Path("/run/crash-engine")
POOLED = {"crash-pool": 3, "crash-pool-rough": 2}

SCHEDULE = "crash-schedule"


def write_queues(mill):
    for name, slots in CAPS.items():
        # A gate that is open, and a rate that is stored with each start.
        more = ["[Slice]", "CPUWeight=50"] if name == NEST else ["GateUnit=basic.target", "RateLimit=500/1s", "SpoolMax=256K"] if name == "crash" else []
        if name == BACKED:
            more = ["Backstop=yes"]  # from systemd 258 on
        mill.write_queue(name, "Slots=%d" % slots, *more, reload=False)
    for name, slots in WORKED.items():
        mill.write_queue(name, "Slots=%d" % slots, "Executor=worker", *(["WorkerUnit=%s.service" % name] if "rough" in name else []), reload=False)
    for name, slots in POOLED.items():
        mill.write_queue(name, "Slots=%d" % slots, "Executor=pool", reload=False)
    mill.write_queue("callbacks", "Executor=worker", reload=False)  # nobody sends them
    mill.write_queue("triggers", "Paused=yes", reload=False)  # … and starts them
    TYPE.parent.mkdir(exist_ok=True)
    TYPE.write_text("[Job]\nVersion=1\nCommand=/bin/sh\nQueue=crash\nEnvironment=T=type\nRequireUnits=basic.target\n[Service]\nNice=1\n")


WORKER_UNIT = """[Unit]
StartLimitIntervalSec=0
[Service]
User=%s
Restart=%s
RestartSec=50ms
ExecStart=%s -I %s %s %s %s
"""


@contextlib.contextmanager
def workers():
    """Those that serve the queues for workers: one is there all the time, the other, of alice's, is started when a job waits for it."""
    for name, user, restart in (("crash-worker", "root", "always"), ("crash-worker-rough", "alice", "no")):
        (RUNTIME_UNITS / (name + ".service")).write_text(WORKER_UNIT % (
            user, restart, PYTHON, SOURCE / "tests/system/worker.py", SOCKET, SOURCE / "docs/workers.md", name))
    ENGINE.mkdir(exist_ok=True)
    (RUNTIME_UNITS / "crash-engine.service").write_text((WORKER_UNIT % (
        "root", "always", PYTHON, SOURCE / "tests/system/adapter.py", SOCKET, SOURCE / "docs/adapters.md", "crash-engine")).rstrip() + " %s\n" % ENGINE)
    systemctl("daemon-reload")
    systemctl("start", "crash-worker.service", "crash-engine.service")
    try:
        yield
    finally:
        for name in WORKED:
            systemctl("stop", name + ".service", check=False)
            systemctl("reset-failed", name + ".service", check=False)
            (RUNTIME_UNITS / (name + ".service")).unlink()
        systemctl("daemon-reload")


# Transient: nothing was done, or it is not known what. All else is an answer.
def is_answer(e):
    return e.name.startswith("org.jobmill1.Error.") and e.short not in ("StorageFull", "StorageError", "TooMany")


def what_the_journal_says(unit):
    """PID 1's own lines, for a result that nobody expected."""
    text = run("journalctl", "--no-pager", "--output=json", "_PID=1", check=False).stdout
    lines = [json.loads(line) for line in text.splitlines() if unit in line or "eexecut" in line or "eload" in line]
    return "\n".join(str([e.get(k) for k in ("__REALTIME_TIMESTAMP", "MESSAGE", "INVOCATION_ID", "JOB_RESULT")]) for e in lines[-30:])


def most_at_once(*files):
    """The greatest number of slots that were taken at once. files: (path, slots of each job that wrote there)."""
    events = []
    for path, slots in files:
        for line in path.read_text().splitlines() if path.exists() else []:
            begin, end = map(int, line.split()[:2])
            events += [(begin, slots), (end, -slots)]
    # An end sorts before a begin at the same moment.
    now = most = 0
    for _, step in sorted(events):
        now += step
        most = max(most, now)
    return most


class Job:
    def __init__(self, kind, results, runs=True, attempts=1):
        self.kind = kind
        self.results = results    # any of these; None: whatever
        self.runs = runs          # it must have begun exactly once an attempt; None: perhaps
        self.attempts = attempts  # at most
        self.id = None
        self.told = None          # the result that was answered first
        self.files = {}           # path: what it must have written there
        self.verdict = None


class Workload:
    def __init__(self, mill, folder):
        self.mill, self.folder = mill, pathlib.Path(folder)
        self.proof = self.folder / "proof"
        self.jobs = []
        self.alice = pwd.getpwnam("alice").pw_uid
        self.before_freeze = lambda: None  # done while the job to be frozen runs
        for name in ("proof", "overlap", "a", "b", "b-wide", "nest-wide", "pool"):
            (self.folder / name).touch()
            (self.folder / name).chmod(0o666)

    # -- calls --

    def insist(self, member, *args, patience=60):
        """Until there is an answer; an error of jobmill's own is one."""
        deadline = time.monotonic() + patience * SLOW
        while True:
            try:
                return self.mill.call(member, *args, timeout=10)
            except BusError as e:
                if is_answer(e):
                    raise
                assert time.monotonic() < deadline, "%s was never answered: %s" % (member, e)
                time.sleep(0.02)

    def insist_socket(self, method, patience=60, **parameters):
        """The same over the socket, which is there also while the daemon is not."""
        deadline = time.monotonic() + patience * SLOW
        while True:
            try:
                with varlink.Connection(SOCKET, timeout=10) as c:
                    return c.call(method, **parameters)
            except varlink.VarlinkError as e:
                if e.short not in ("StorageFull", "StorageError", "TooMany"):
                    raise
                error = e
            except (OSError, AssertionError) as e:
                error = e
            assert time.monotonic() < deadline, "%s was never answered: %s" % (method, error)
            time.sleep(0.02)

    def submit_over_the_socket(self):
        """Also a batch, whose answer comes twice; and events that go on where they were."""
        self.event = self.insist_socket("Events")["last"]
        spec = {"queue": "crash", "name": "socket", "request_id": uuid.uuid4().hex, "argv": self.command("true")}
        jobs = [spec, {k: v for k, v in spec.items() if k != "request_id"}]
        ids = self.insist_socket("SubmitMany", jobs=jobs)["ids"]
        assert self.insist_socket("SubmitMany", jobs=jobs)["ids"] == ids, "the same request has made other jobs"
        for id_ in ids:
            job = Job("socket", ("success",))
            job.id = id_
            self.jobs.append(job)
        assert self.insist_socket("Get", id=ids[0])["job"]["name"] == "socket"

    def check_events(self):
        """The last of each job that came over the socket is that it has ended; numbers only grow."""
        events, after = [], self.event
        while (page := self.insist_socket("Events", after=after))["events"]:
            events += page["events"]
            after = page["last"]
        numbers = [e["number"] for e in events]
        assert numbers == sorted(set(numbers)) and numbers[0] > self.event
        for job in self.jobs:
            if job.kind == "socket":
                assert [e["state"] for e in events if e["id"] == job.id][-1] == "done", [e for e in events if e["id"] == job.id]

    def late(self, member, *args):
        """It may come too late, or too early; then it is refused."""
        with contextlib.suppress(BusError):
            return self.insist(member, *args)

    def info(self, job):
        return self.insist("GetJobInfo", job.id)

    def reach(self, job, *states, patience=2.0):
        """Or be done with it. Nothing depends on it but that what is done next makes sense."""
        deadline = time.monotonic() + patience
        while True:
            info = self.info(job)
            if info["state"] in (*states, "done") or time.monotonic() > deadline:
                return info
            time.sleep(0.02)

    def command(self, text):
        return ["/bin/sh", "-c", "echo $JOBMILL_JOB_ID $JOBMILL_ATTEMPT >>%s; %s" % (self.proof, text)]

    def submit(self, kind, words, *results, queue="crash", runs=True, attempts=1, **spec):
        job = Job(kind, results, runs, attempts)
        argv = self.command(words) if isinstance(words, str) else [str(w) for w in words]
        request = "Submit", queue, argv, {"request_id": uuid.uuid4().hex, "name": kind, **spec}
        job.id = self.insist(*request)[0]
        if kind == "success":
            assert self.insist(*request)[0] == job.id, "the same request has made another job"
        self.jobs.append(job)
        return job

    def submit_all(self):
        """Some of everything. Small enough to be over in a second or two."""
        self.insist("Subscribe")
        soon, never = int(time.time() * 1e6) + 400_000, 1 << 60
        self.submit("success", "true", "success")
        self.submit("exit", "exit 7", "exit-code")
        self.submit("signal", "kill -KILL $$", "signal")
        self.submit("core dump", "kill -QUIT $$", "core-dump", "signal")
        self.submit("exec", ["/nonexistent/program"], "exec", runs=False)
        self.submit("exec by the helper", "true", "exec", runs=False, output_file="/nonexistent/file")
        self.submit("timeout", "exec sleep 60", "timeout", timeout_usec=300_000)
        self.submit("stubborn", "trap '' TERM; while :; do sleep 0.05; done", "timeout", timeout_usec=300_000,
                    stop_timeout_usec=300_000)
        self.submit("leaves a child", "setsid sleep 60 & exit 0", "success")
        self.submit("environment", '[ "$A" = "a b" ] && [ "$(cat)" = payload ]', "success", environment=["A=a b"],
                    payload=b"payload")
        self.submit("environment that stays", '[ "$A" = %s ] && exit 3' % self.folder, "exit-code",
                    environment=["A=%s" % self.folder])
        self.submit("credential", '[ "$(cat $CREDENTIALS_DIRECTORY/token)" = secret ]', "success", credentials={"token": "secret", "other": ""})
        again = '[ $JOBMILL_ATTEMPT = 2 ] && [ "$(cat $CREDENTIALS_DIRECTORY/token)" = secret ]'
        self.submit("credential of the second attempt", again, "success", "exit-code", runs=None, attempts=2, max_attempts=2, credentials={"token": "secret"},
                    backoff_base_usec=100_000)
        out = self.submit("output", "echo output; echo error >&2", "success", output_file=str(self.folder / "out.%j"),
                          error_file=str(self.folder / "err.%j"))
        out.files = {self.folder / ("out.%d" % out.id): "output\n", self.folder / ("err.%d" % out.id): "error\n"}
        self.submit("of another user", '[ "$(id -un)" = alice ] && [ "$B" = b ]', "success", uid=self.alice, environment=["B=b"])
        self.submit("of a type", ["-c", self.command('[ "$T" = type ] && [ $(nice) = 1 ] && exit 4')[2]], "exit-code", queue="", type="crash")
        self.submit_verdicts()
        self.submit("delayed", "true", "success", not_before_usec=soon)
        with contextlib.suppress(BusError):  # it may have passed before it was heard
            self.submit("expired", "true", "expired", runs=False, hold=True, deadline_usec=soon + 2_000_000)
        key = {"unique_key": "of the workload", "unique_policy": "replace", "hold": True}
        self.replaced = self.submit("replaced", "true", "cancelled", runs=False, **key)
        self.unique = self.submit("unique", "true", "success", **key)
        self.held = self.submit("held", "true", "success", hold=True)
        self.never = self.submit("cancelled while held", "true", "cancelled", runs=False, hold=True)
        self.waiting = self.submit("cancelled while waiting", "true", "cancelled", runs=False, not_before_usec=never,
                                   environment=["A=gone"])
        self.cancelled = self.submit("cancelled", "exec sleep 60", "cancelled", runs=None)
        self.twice = self.submit("cancelled twice", "trap '' TERM; while :; do sleep 0.05; done", "cancelled", runs=None,
                                 stop_timeout_usec=300_000)
        self.frozen = self.submit("frozen", "sleep 0.8", "success", freezable=True, timeout_usec=3600_000_000)
        self.cold = self.submit("cancelled while frozen", "exec sleep 60", "cancelled", runs=None)
        self.killed = self.submit("killed by hand", "exec sleep 60", "signal")
        self.stopped = self.submit("stopped outside", "exec sleep 60", "cancelled")
        self.retried = self.submit("retried", "[ $JOBMILL_ATTEMPT = 2 ] && [ $C = c ]", "success", attempts=2, environment=["C=c"])
        self.all_retried = self.submit("retried in bulk", "[ $JOBMILL_ATTEMPT = 2 ]", "success", attempts=2)
        again = {"max_attempts": 3, "backoff_base_usec": 50_000}
        self.submit("tried again", "[ $JOBMILL_ATTEMPT = 3 ] && [ $E = e ]", "success", attempts=3, environment=["E=e"], **again)
        self.submit("tried again in vain", "exit 3", "exit-code", attempts=3, backoff="exponential", backoff_jitter=0.5, **again)
        self.submit("tried again after a time-out", "exec sleep 60", "timeout", attempts=3, timeout_usec=100_000, retry_on=["timeout"], **again)
        self.submit("never again", "exit 100", "exit-code", **again)
        self.between = self.submit("cancelled between attempts", "exit 3", "cancelled", max_attempts=2, backoff_base_usec=3600_000_000)
        self.shorter = self.submit("given less time", "exec sleep 60", "timeout", timeout_usec=3600_000_000)
        self.purged = self.submit("purged", "exit 1", "exit-code", environment=["A=purged %s" % self.folder])
        self.submit("kept for an hour", "true", "success", keep_usec=3600_000_000)
        self.tells = self.submit("tells", "exit 3", "exit-code", attempts=2, max_attempts=2, backoff_base_usec=50_000, callback_url="https://127.0.0.1/",
                                 callback_events=["started", "failure", "dead"], on_success=["glad.service"], on_failure=["sad@.service"])
        self.submit_capped()
        self.submit_to_workers()
        self.submit_to_pools()
        self.submit_in_the_foreground()
        self.submit_batch()
        self.submit_array()
        self.submit_flow()
        self.submit_over_the_socket()
        self.set_schedule()
        at_once = self.submit("cancelled at once", "exec sleep 60", "cancelled", runs=None)
        self.late("CancelJob", at_once.id)

    def set_schedule(self):
        """Each second, until act() has seen it fire."""
        self.scheduled = "scheduled %s" % self.folder
        self.insist("SetSchedule", SCHEDULE, {"OnCalendar": ["*-*-* *:*:0/1"], "AccuracySec": "1us", "Persistent": "yes", "Overlap": "queue",
                                              "Job": {"argv": self.command("true"), "queue": "crash", "name": self.scheduled}})

    def end_schedule(self):
        """Each time was fired for once, and each of its jobs is of a time."""
        self.fired = []
        until(lambda: self.insist("ListFirings", SCHEDULE, 0), 60, "the schedule is fired")
        self.insist("SetSchedule", SCHEDULE, {"OnUnitActiveSec": "1s", "OnCalendar": []})
        self.insist("PauseSchedule", SCHEDULE)
        fired = self.insist("ListFirings", SCHEDULE, 0)
        assert len({f["due_usec"] for f in fired}) == len(fired), "a time was fired for twice: %s" % fired
        told = {f["job"] for f in fired if "job" in f}
        rows, _ = self.insist("ListJobs", {"name": self.scheduled}, "", 0)
        ids = sorted(j["id"] for j in rows)
        all_told = len(fired) == max(f["number"] for f in fired)  # of a long time only the last ones are kept
        assert told == set(ids) if all_told else told <= set(ids), "jobs %s are there, of %s it is said" % (ids, sorted(told))
        for id_ in ids:
            job = Job("scheduled", ("success", ))
            job.id = id_
            self.jobs.append(job)
        self.late("RemoveSchedule", SCHEDULE)

    def submit_verdicts(self):
        """What they say, also behind more than is kept, must be there once they have run."""
        say = 'echo begun; %s echo \'{"success": %s}\''
        for kind, more, success, result in (("says yes", "", "true", "success"), ("says no", "", "false", "verdict"),
                                            ("says much", "head -c 3000000 /dev/zero; echo; sleep 0.3;", "true", "success"),
                                            ("says nothing clear", "", "null", "unverified")):
            job = self.submit(kind, say % (more, success), result, verify="verdict", uid=self.alice)
            job.verdict = '{"success": %s}' % success

    def submit_capped(self):
        def overlap(queue, file, n, milliseconds=60, **spec):
            for _ in range(n):
                self.submit("overlap", [OVERLAP, self.folder / file, milliseconds], "success", queue=queue, runs=False, **spec)

        overlap("crash-small", "overlap", 6)
        overlap("crash-nest-a", "a", 3)
        overlap("crash-nest-b", "b", 2)
        overlap("crash-nest-b", "b-wide", 1, slots=2)
        overlap("crash-nest", "nest-wide", 1, slots=2)

    def submit_to_workers(self):
        """Who works ignores what it is told meanwhile: what was not heard in time has its result, too."""
        def submit(kind, what, *results, queue="crash-worker", **more):
            return self.submit(kind + ", worker", [self.proof, what], *results, queue=queue, **more)

        rough = {"queue": "crash-worker-rough", "uid": self.alice}
        for w in self.insist("ListWorkers"):
            if w["queues"] == ["crash-worker"]:  # which ends then, and another one comes
                self.late("DrainWorker", w["id"])
        for _ in range(3):
            submit("success", "yes", "success")
        submit("says no", "no", "verdict")
        submit("timeout", "slow", "timeout", "success", timeout_usec=100_000, stop_timeout_usec=3600_000_000)
        submit("dies", "die", "lost", **rough)
        for what in "yes", "die", "no":  # an adapter's, who dies when he has asked: nobody asks once more, also for what he was only about to ask for
            submit(what + ", in an engine", what, "success" if what != "no" else "exit-code", "lost", queue="crash-engine")
        submit("stubborn", "stubborn", "timeout", timeout_usec=200_000, stop_timeout_usec=200_000, **rough)

    def submit_in_the_foreground(self):
        """By the processes that run them: one that ends, one that is killed as it runs, and one as it waits."""
        def begin(kind, words, *results, queue="crash"):
            tag = uuid.uuid4().hex
            job = Job(kind + ", foreground", results, runs=None)
            argv = ["jobmill", "--quiet", "run", "-q", queue, "-n", kind, "--tag", "run=" + tag, "--", *self.command(words)]
            found, job.process = [], None
            while not found:  # where the store is full it gives up; one that has ended after the list may have left a job
                ended = not job.process or job.process.poll() is not None
                found = self.insist("ListJobs", {"tags": {"run": tag}}, "", 1)[0]
                if ended and not found:
                    job.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                time.sleep(0.02)
            job.id = found[0]["id"]
            self.jobs.append(job)
            return job

        begin("success", "exec sleep 0.1", "success")
        self.killed_runs = [begin("killed", "exec sleep 60", "lost", "cancelled"), begin("killed", "true", "cancelled", "success", "lost", queue="crash-paused")]

    def kill_runs(self):
        self.reach(self.killed_runs[0], "running", patience=10 * SLOW)
        for job in self.killed_runs:
            job.process.kill()

    def submit_to_pools(self):
        def submit(kind, words, *results, queue="crash-pool", **more):
            return self.submit(kind + ", pool", words, *results, queue=queue, **more)

        for _ in range(3):
            submit("success", '[ "$A" = "a b" ] && [ "$(cat)" = payload ]', "success", environment=["A=a b"], payload=b"payload")
        submit("exit", "exit 7", "exit-code", uid=self.alice)
        submit("exec", ["/nonexistent/program"], "exec", runs=False)
        submit("leaves a child", "setsid sleep 60 & exit 0", "success")
        submit("stubborn", "trap '' TERM; while :; do sleep 0.05; done", "timeout", timeout_usec=300_000, stop_timeout_usec=300_000, runs=None)
        submit("tried again", "[ $JOBMILL_ATTEMPT = 2 ]", "success", attempts=2, max_attempts=2, backoff_base_usec=50_000)
        verdict = submit("says yes", 'echo begun; echo \'{"success": true}\'', "success", verify="verdict", uid=self.alice)
        verdict.verdict = '{"success": true}'
        self.killed_in_pool = submit("killed by hand", "exec sleep 60", "signal")
        submit("kills its runner", "kill -KILL $PPID; sleep 60", "lost", queue="crash-pool-rough", uid=self.alice)
        for _ in range(4):
            self.submit("overlap", [OVERLAP, self.folder / "pool", 60], "success", queue="crash-pool", runs=False)

    def submit_batch(self):
        entries = [client.entry("crash", self.command("true"), name="batch",
                                **({"request_id": uuid.uuid4().hex} if i == 0 else {})) for i in range(4)]
        ids = self.insist("SubmitMany", entries)
        assert self.insist("SubmitMany", entries) == ids, "the same request has made other jobs"
        for id_ in ids:
            job = Job("batch", ("success", ))
            job.id = id_
            self.jobs.append(job)

    def submit_array(self):
        spec = {"request_id": uuid.uuid4().hex, "name": "array", "array": dbus.UInt32(5), "array_max_running": dbus.UInt32(2)}
        argv = self.command("[ $(( $JOBMILL_ARRAY_ID + $JOBMILL_ARRAY_INDEX )) = $JOBMILL_JOB_ID ]")
        first = self.insist("Submit", "crash", argv, spec)[0]
        for id_ in range(first, first + 5):
            job = Job("array", ("success", ))
            job.id = id_
            self.jobs.append(job)

    def submit_flow(self):
        """Jobs that wait for others, and are given what became of them."""
        kinds = {  # what it does, after what, result
            "flow: fails": ("exit 4", [], "exit-code"),
            "flow: mends": ("grep -q '\"exit_status\":4' $JOBMILL_INPUTS", [{"job": "flow: fails", "on": "failure"}], "success"),
            "flow: never": ("true", ["flow: fails"], "dependency"),
            "flow: nor this": ("true", ["flow: never", "flow: mends"], "dependency"),
            "flow: in any case": ("grep -q dependency $JOBMILL_INPUTS", [{"job": "flow: nor this", "on": "end"}, "flow: mends"], "success"),
            "flow: goes on": ("true", [{"job": "flow: fails", "otherwise": "continue"}, self.held.id], "success"),
            **{"flow: one of many %d" % i: ("true", ["flow: mends"], "success") for i in range(4)}}
        document = json.dumps({"request_id": uuid.uuid4().hex, "defaults": {"queue": "crash", "uid": self.alice, "environment": ["F=f"]},
                               "jobs": [{"name": n, "argv": self.command(words), "after": after} for n, (words, after, _) in kinds.items()]})
        flow, ids = self.insist("SubmitFlow", document)
        assert self.insist("SubmitFlow", document) == (flow, ids), "the same request has made another flow"
        for name, (_, _, result) in kinds.items():
            job = Job(name, (result, ), runs=result != "dependency")
            job.id = ids[name]
            self.jobs.append(job)
        self.submit("after", "true", "success", after=[(self.held.id, "end"), (ids["flow: fails"], "failure")])

    def act(self):
        """What users do to jobs and queues."""
        self.late("CancelJob", self.never.id)
        self.kill_runs()
        self.insist("CancelJobs", {"name": "cancelled while waiting", "ids": [self.waiting.id]})
        self.freeze()
        self.change()
        self.act_on_queues()
        self.insist("Subscribe")
        self.insist("Reload")
        self.end_from_outside()
        self.thaw()
        self.cancel_between()
        self.retry()
        self.purge(self.purged)
        self.back_up()
        self.end_schedule()

    def cancel_between(self):
        """Once its first attempt has ended."""
        self.reach(self.between, "waiting", patience=30 * SLOW)
        self.late("CancelJob", self.between.id)

    def freeze(self):
        for job in self.frozen, self.cold:
            self.reach(job, "running")
        self.before_freeze()
        for job in self.frozen, self.cold:
            self.late("FreezeJob", job.id)

    def thaw(self):
        self.late("ThawJob", self.frozen.id)
        for job in self.cancelled, self.cold, self.twice, self.twice:
            self.late("CancelJob", job.id)

    def change(self):
        self.late("UpdateJob", self.held.id, {"priority": 5, "tags": {"changed": "yes"}})
        self.insist("UpdateJobs", {"ids": [self.held.id]}, {"tags": {"changed": "twice"}, "environment": ["D=d"]})
        self.late("MoveJob", self.held.id, "crash-other")
        self.late("UpdateJob", self.shorter.id, {"timeout_usec": 300_000})
        self.late("ReleaseJob", self.held.id)
        self.late("ReleaseJob", self.unique.id)
        self.insist("HoldJobs", {"name": "delayed"})
        self.insist("ReleaseJobs", {"name": "delayed"})

    def act_on_queues(self):
        self.insist("PauseQueue", "crash-paused")
        job = self.submit("paused", "true", "success", queue="crash-paused")
        gone = self.submit("cancelled while paused", "true", "cancelled", queue="crash-paused", runs=False)
        self.late("CancelJob", gone.id)
        # Another order for what is ready there.
        for order in {"AgeingSec": "1min", "Fair": "no"}, {"Fair": "user"}:
            self.insist("SetQueue", "crash-paused", order, False)
        self.insist("SetQueue", "crash-other", {"Slots": "5"}, True)
        self.insist("SetQueue", "crash-other", {"Slots": str(2 + job.id % 3), "Slice.CPUWeight": "30"}, False)
        self.insist("SetQueue", "crash-new", {"Slots": "1", "Backstop": "yes"}, False)
        self.insist("SetQueue", "crash-new", {"Slots": "2"}, False)
        self.insist("DrainQueue", "crash-new")
        self.late("RemoveQueue", "crash-new")
        # What holds is what was answered; or, when it was not, nothing of it.
        left = [str(p) for p in (*CONFIG.glob("*crash-new*"), *(RUN / "queues").glob("*crash-new*")) if not p.name.startswith(".")]
        assert not left, "the removed queue has left %s" % left
        # The order of a queue in which jobs wait: all of them get a new place.
        self.insist("SetQueue", "crash-paused", {"AgeingSec": str(1 + job.id % 7)}, False)
        self.insist("ResumeQueue", "crash-paused")

    def end_from_outside(self):
        """By a signal, and by systemctl behind the daemon's back."""
        for job in self.killed, self.stopped, self.killed_in_pool:
            self.reach(job, "running", patience=30 * SLOW)
        systemctl("stop", "--no-block", self.mill.unit(self.stopped.id), check=False)
        deadline = time.monotonic() + 20 * SLOW
        for job in self.killed, self.killed_in_pool:
            while self.info(job)["state"] != "done" and time.monotonic() < deadline:
                self.late("KillJob", job.id, 9)
                time.sleep(0.05)

    def retry(self):
        """Once: a call that was not answered may have been heard."""
        for job in self.retried, self.all_retried:
            deadline = time.monotonic() + 180 * SLOW
            while self.reach(job, patience=0)["attempt"] < 2 and time.monotonic() < deadline:
                if self.info(job)["state"] == "done":
                    with contextlib.suppress(BusError):
                        self.mill.call("RetryJob", job.id, {}, timeout=10) if job is self.retried else \
                            self.mill.call("RetryJobs", {"ids": [job.id]}, {}, timeout=10)
                time.sleep(0.02)

    def purge(self, job):
        self.reach(job, "done", patience=20)
        self.insist("PurgeJobs", {"ids": [job.id]})
        try:
            assert not self.info(job), "the purged job is still there"
        except BusError as e:
            assert e.short == "NoSuchJob", e
        self.jobs.remove(job)

    def back_up(self):
        """A copy that is whole, and knows what was answered before."""
        path, deadline = self.folder / "backup", time.monotonic() + 120 * SLOW
        while True:
            try:
                with path.open("wb") as f:  # an attempt that failed has left something in the file
                    self.mill.call("Backup", client.dbus.types.UnixFd(f.fileno()), timeout=10)
                break
            except BusError as e:
                assert time.monotonic() < deadline, "there was never a backup: %s" % e
        with contextlib.closing(sqlite3.connect(path)) as db:
            assert db.execute("PRAGMA integrity_check").fetchall() == [("ok", )]
            ids = {row[0] for row in db.execute("SELECT id FROM job")}
        path.unlink()
        missing = [j.id for j in self.jobs if j.id not in ids]
        assert not missing, "the backup lacks jobs %s" % missing

    # -- afterwards --

    def finish(self, patience=60):
        deadline = time.monotonic() + patience * SLOW
        for job in self.jobs:
            while True:
                try:
                    state, job.told = self.mill.call("WaitJob", job.id, 2_000_000, timeout=10)[:2]
                except BusError as e:
                    assert not is_answer(e), e
                    state = None
                    time.sleep(0.02)
                if state == "done":
                    break
                assert time.monotonic() < deadline, "job %d (%s) is stuck: %s\n%s" % (
                    job.id, job.kind, self.mill.info(job.id), what_the_journal_says(self.mill.unit(job.id)))

    def end_processes(self):
        """Those of jobs in the foreground: each has its job's status."""
        for job in self.jobs:
            if hasattr(job, "process"):
                status = job.process.wait(60 * SLOW)
                assert job.results != ("success", ) or status == 0, "job %d (%s): its process has status %d" % (job.id, job.kind, status)

    def check(self):
        """Every promise that can be seen from outside."""
        left = lambda: [j.id for j in self.jobs if (STATE / "credentials" / str(j.id)).exists()]
        until(lambda: not left(), 20, lambda: "credentials of jobs that are done: %s" % left())
        self.end_processes()
        self.check_events()
        self.check_callbacks()
        proof = self.proof.read_text().split("\n")[:-1]
        # "systemctl reset-failed" and "restart" of a job's unit force it to run again: seen, ended, and told as lost.
        forced = {str(j.id) for j in self.jobs if j.results is None}
        twice = {p for p in proof if proof.count(p) > 1 and p.split()[0] not in forced}
        assert not twice, "attempts ran twice: %s" % sorted(twice)
        for job in self.jobs:
            self.check_job(job, [p for p in proof if p.split()[0] == str(job.id)])
        for at_once, cap in (most_at_once((self.folder / "overlap", 1)), CAPS["crash-small"]), (self.nested("a"), CAPS["crash-nest-a"]), \
                (self.nested("b", "b-wide"), CAPS["crash-nest-b"]), (self.nested("a", "b", "b-wide", "nest-wide"), CAPS[NEST]), (self.nested("pool"), POOLED["crash-pool"]):
            assert at_once <= cap, "%d slots taken at once of %d" % (at_once, cap)
        lines = sum(len((self.folder / f).read_text().splitlines()) for f in ("overlap", "a", "b", "b-wide", "nest-wide", "pool"))
        least = sum(j.kind == "overlap" for j in self.jobs)
        most = sum(j.kind.startswith("overlap") for j in self.jobs)
        assert least <= lines <= most, "%d of %d…%d ran" % (lines, least, most)

    def check_callbacks(self):
        """One of each event, whatever happened to the daemon; then they go."""
        expected = {"callbacks": ["dead", *("failure started".split() * len(self.mill.attempts(self.tells.id)))], "triggers": ["dead"]}
        for queue, events in expected.items():
            ours = {"queue": queue, "tags": {"job": str(self.tells.id)}}
            found = [j["tags"]["event"] for j in self.mill.jobs(**ours)]
            assert sorted(found) == sorted(events), "%s of job %d: %s" % (queue, self.tells.id, found)
            self.insist("CancelJobs", ours)
            self.insist("PurgeJobs", ours)

    def nested(self, *files):
        return most_at_once(*((self.folder / f, 2 if f.endswith("-wide") else 1) for f in files))

    def check_job(self, job, proof):
        j = self.mill.info(job.id)
        attempts = self.mill.attempts(job.id)
        what = "job %d (%s): %s %s" % (job.id, job.kind, j, attempts)
        if job.results is not None and j["result"] not in job.results:
            raise AssertionError(what + "\n" + what_the_journal_says(self.mill.unit(job.id)))
        assert j["state"] == "done" and j["result"] == job.told, "it was told %s: %s" % (job.told, what)
        assert len(attempts) <= job.attempts, "more attempts than were asked for: " + what
        assert all(a["result"] for a in attempts), "an attempt without a result: " + what
        if job.runs is not None:
            assert len(proof) == (len(attempts) if job.runs else 0), "it ran %d times: %s" % (len(proof), what)
        if job.verdict and attempts and j["result"] in ("success", "verdict", "unverified"):
            assert attempts[-1].get("verdict") == job.verdict and attempts[-1]["io"]["stderr"] == "", what
        for path, text in job.files.items():
            assert path.read_text() == text, "%s: %r: %s" % (path, path.read_text(), what)

    def nothing_left(self):
        until(lambda: "jobmill-schedule-" not in systemctl("list-units", "--all", "--plain", "--no-legend", "jobmill-schedule-*"), 70, "no timer is left")
        until(lambda: not job_units(), 20, lambda: "units are left: %s" % job_units())
        until(lambda: (lambda s: s["attempts"] == 0 and s["strays"] == 0)(self.mill.stats()), 20,
              lambda: "slots are held: %s" % self.mill.stats())
        until(lambda: not list((RUN / "attempt").iterdir()), 10, lambda: "files are left: %s" % list((RUN / "attempt").iterdir()))
        until(lambda: not list((RUN / "spool").iterdir()), 10, lambda: "spools are left: %s" % list((RUN / "spool").iterdir()))
        files = [str(p) for d in (CONFIG, RUN / "queues") for p in (*d.glob(".*"), *d.glob("*/.*"))]
        assert not files, "of changes of queues are left: %s" % files
        self.backstops()
        findings = self.insist("CheckIntegrity")
        assert not findings, "jobmill check says: %s" % findings

    def backstops(self):
        """Is the manager told of the caps as they are now, and of nothing else?"""
        if VERSION < 258:
            return
        until(lambda: not (RUN / "reload-wanted").exists(), 20, "the manager is reloaded")
        drop_ins = {str(p.relative_to(RUNTIME_UNITS)) for p in pathlib.Path(RUNTIME_UNITS).glob("jobmill-crash*.slice.d/*backstop*")}
        assert drop_ins == {"jobmill-%s.slice.d/50-jobmill-backstop.conf" % BACKED}, drop_ins
        limit = unit_properties("jobmill-%s.slice" % BACKED, "ConcurrencyHardMax")["ConcurrencyHardMax"]
        rows = json.loads(self.mill.tool("queue", "list", "--json=short", check=True))
        assert int(limit) == next(q["slots"] for q in rows if q["name"] == BACKED) + 32, limit

    def purge_all(self):
        self.insist("PurgeJobs", {"ids": [j.id for j in self.jobs]})

    def nothing_stored(self):
        """Nothing is left of jobs that were purged; there must be no others."""
        with tempfile.TemporaryDirectory(dir=self.folder) as folder:
            for name in "jobmill.db", "jobmill.db-wal":
                if (STATE / name).exists():
                    shutil.copy(STATE / name, folder)
            with contextlib.closing(sqlite3.connect(pathlib.Path(folder, "jobmill.db"))) as db:
                rows = {t: db.execute("SELECT count(*) FROM " + t).fetchone()[0]
                        for t in ("job", "job_spec", "attempt", "environment", "environment_content", "backlog")}
                jobs = db.execute("SELECT id, name, state, result FROM job LIMIT 9").fetchall()
        assert not any(rows.values()), "rows are left in the store: %s; of jobs %s" % (rows, jobs)
