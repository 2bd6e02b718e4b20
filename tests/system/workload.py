# SPDX-License-Identifier: LGPL-2.1-or-later
"""One job of every kind, and what must be true of them afterwards, whatever was done to the daemon meanwhile.

Jobs write their own proof: a line "ID ATTEMPT" in a file, the first thing they do. Calls go on until they are answered; every
submit carries a request id, so it may be repeated."""

import contextlib
import json
import pathlib
import time
import uuid

from client import BusError
from mill import BUILD, RUN, SLOW, greatest_overlap, intervals, job_units, run, until

OVERLAP = BUILD / "tests/system/overlap"
CAP, SMALL_CAP = 12, 2


# Transient: nothing was done, or it is not known what. All else is an answer.
def is_answer(e):
    return e.name.startswith("org.jobmill1.Error.") and e.short not in ("StorageFull", "StorageError")


def what_the_journal_says(unit):
    """PID 1's own lines, for a result that nobody expected."""
    text = run("journalctl", "--no-pager", "--output=json", "_PID=1", check=False).stdout
    lines = [json.loads(line) for line in text.splitlines() if unit in line or "eexecut" in line or "eload" in line]
    return "\n".join(str([e.get(k) for k in ("__REALTIME_TIMESTAMP", "MESSAGE", "INVOCATION_ID", "JOB_RESULT")]) for e in lines[-30:])


class Job:
    def __init__(self, kind, results, runs=True):
        self.kind = kind
        self.results = results  # any of these
        self.runs = runs        # it must have begun exactly once an attempt; None: perhaps
        self.id = None


class Workload:
    def __init__(self, mill, folder):
        self.mill, self.folder = mill, pathlib.Path(folder)
        self.proof = self.folder / "proof"
        self.overlap = self.folder / "overlap"
        self.jobs = []

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
                time.sleep(0.05)

    def command(self, text):
        return ["/bin/sh", "-c", "echo $JOBMILL_JOB_ID $JOBMILL_ATTEMPT >>%s; %s" % (self.proof, text)]

    def submit(self, kind, words, *results, queue="crash", runs=True, **spec):
        job = Job(kind, results, runs)
        argv = self.command(words) if isinstance(words, str) else [str(w) for w in words]
        job.id = self.insist("Submit", queue, argv, {"request_id": uuid.uuid4().hex, "name": kind, **spec})[0]
        self.jobs.append(job)
        return job

    def submit_all(self):
        """Some of everything. Small enough to be over in a second or two."""
        soon = int(time.time() * 1e6) + 400_000
        self.submit("success", "true", "success")
        self.submit("exit", "exit 7", "exit-code")
        self.submit("signal", "kill -KILL $$", "signal")
        self.submit("exec", ["/nonexistent/program"], "exec", runs=False)
        self.submit("timeout", "exec sleep 60", "timeout", timeout_usec=300_000)
        self.submit("stubborn", "trap '' TERM; while :; do sleep 0.05; done", "timeout", timeout_usec=300_000,
                    stop_timeout_usec=300_000)
        self.submit("leaves a child", "setsid sleep 60 & exit 0", "success")
        self.submit("environment", '[ "$A" = "a b" ] && [ "$(cat)" = payload ]', "success", environment=["A=a b"],
                    payload=b"payload")
        self.submit("output", "echo output", "success", output_file=str(self.folder / "out.%j"))
        self.submit("delayed", "true", "success", not_before_usec=soon)
        self.cancelled = self.submit("cancelled", "exec sleep 60", "cancelled", runs=None)
        self.held = self.submit("held", "true", "success", hold=True)
        self.never = self.submit("cancelled while held", "true", "cancelled", runs=False, hold=True)
        self.frozen = self.submit("frozen", "sleep 0.8", "success", freezable=True)
        for _ in range(8):
            self.submit("overlap", [OVERLAP, self.overlap, 60], "success", queue="crash-small", runs=False)
        batch = self.insist("SubmitMany", self.batch())
        self.jobs += [Job("batch", ("success", ), runs=True) for _ in batch]
        for job, id_ in zip(self.jobs[-len(batch):], batch):
            job.id = id_

    def batch(self):
        import client
        return [client.entry("crash", self.command("true"), name="batch", **({"request_id": uuid.uuid4().hex} if i == 0 else {}))
                for i in range(4)]

    def act(self):
        """What users do to jobs. Each may come too late."""
        def late(member, job, *args):
            with contextlib.suppress(BusError):  # of jobmill's own: it is over already, or not so far yet
                self.insist(member, job.id, *args)

        late("CancelJob", self.never)
        deadline = time.monotonic() + 2
        while self.insist("GetJobInfo", self.frozen.id)["state"] not in ("running", "done") and time.monotonic() < deadline:
            time.sleep(0.02)
        late("FreezeJob", self.frozen)
        late("UpdateJob", self.held, {"priority": 5, "tags": {"changed": "yes"}})
        late("MoveJob", self.held, "crash-other")
        self.insist("SetQueue", "crash-other", {"Slots": str(2 + self.held.id % 3)}, False)
        late("ReleaseJob", self.held)
        self.insist("HoldJobs", {"name": "delayed"})
        self.insist("ReleaseJobs", {"name": "delayed"})
        self.insist("Reload")
        late("ThawJob", self.frozen)
        late("CancelJob", self.cancelled)

    # -- afterwards --

    def finish(self, patience=60):
        deadline = time.monotonic() + patience * SLOW
        for job in self.jobs:
            while True:
                try:
                    state = self.mill.call("WaitJob", job.id, 2_000_000, timeout=10)[0]
                except BusError as e:
                    assert not is_answer(e), e
                    state = None
                    time.sleep(0.05)
                if state == "done":
                    break
                assert time.monotonic() < deadline, "job %d (%s) is stuck: %s" % (job.id, job.kind, self.mill.info(job.id))

    def check(self):
        """Every promise that can be seen from outside."""
        proof = self.proof.read_text().split("\n")[:-1] if self.proof.exists() else []
        for job in self.jobs:
            j = self.mill.info(job.id)
            attempts = self.mill.attempts(job.id)
            what = "job %d (%s): %s %s" % (job.id, job.kind, j, attempts)
            if job.results is not None:
                assert j["result"] in job.results, what + "\n" + what_the_journal_says(self.mill.unit(job.id))
            assert len(attempts) <= 1, "more than one attempt: " + what
            ran = sum(p.split()[0] == str(job.id) for p in proof)
            if job.runs is not None:
                assert ran == (1 if job.runs else 0), "it ran %d times: %s" % (ran, what)
            # systemctl reset-failed and restart of a job's unit force it to run again: seen, ended, and told as lost.
            assert ran <= 1 or job.results is None, "it ran %d times: %s" % (ran, what)
            if job.kind == "output":
                assert (self.folder / ("out.%d" % job.id)).read_text() == "output\n", what
        most = greatest_overlap(intervals(self.overlap))
        assert most <= SMALL_CAP, "%d at once in a queue of %d slots" % (most, SMALL_CAP)
        lines = len(self.overlap.read_text().splitlines())
        least = sum(j.kind == "overlap" for j in self.jobs)
        most = sum(j.kind.startswith("overlap") for j in self.jobs)
        assert least <= lines <= most, "%d of them ran" % lines

    def nothing_left(self):
        until(lambda: not job_units(), 20, lambda: "units are left: %s" % job_units())
        until(lambda: (lambda s: s["attempts"] == 0 and s["strays"] == 0)(self.mill.stats()), 20,
              lambda: "slots are held: %s" % self.mill.stats())
        until(lambda: not list((RUN / "attempt").iterdir()), 10, lambda: "files are left: %s" % list((RUN / "attempt").iterdir()))
