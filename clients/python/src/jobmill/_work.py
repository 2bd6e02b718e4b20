# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a worker knows, without sockets and threads: which jobs it has, and which results were not recorded yet (docs/workers.md). Whoever
connects anew is sent all again that is not completed, and sends all again that was not answered; so nothing runs twice, and no result is lost."""

from . import _wire
from ._error import JobmillError


class Cancelled(JobmillError):
    """The job is to end: raised by Task.check()."""


class Task:
    """A job that a worker was given. Its handler may look at and call all of this from its own thread or task."""

    def __init__(self, worker, assignment):
        self._worker = worker
        self.assignment = assignment
        self.id, self.attempt = assignment["id"], assignment["attempt"]
        self.queue, self.owner, self.name = assignment["queue"], assignment["owner"], assignment.get("name", "")
        self.spec = assignment["job"]
        self.slot_numbers = assignment["slot_numbers"]
        self.inputs = assignment.get("inputs", [])  # of the jobs that it came after: id, name, result, verdict, …
        self.cancel_reason = None                   # what its result will be: cancelled, timeout; None: it goes on

    @property
    def argv(self):
        return self.spec.get("argv", [])

    @property
    def payload(self):
        return _wire.payload_of(self.spec)

    @property
    def cancelled(self):
        return self.cancel_reason is not None

    def check(self):
        """Raises Cancelled if it is to end."""
        if self.cancelled:
            raise Cancelled(self.cancel_reason)

    def progress(self, status):
        """How far it is, for people; "40%" at its beginning is understood."""
        self._worker._status(self, str(status))


class State:
    """slots: how many jobs of one slot at once; queues: a name, or several; metadata: what it says of itself."""

    def __init__(self, queues, slots, name, metadata):
        queues = [queues] if isinstance(queues, str) else list(queues)
        self.who = _wire.given(queues=queues, slots=slots, name=name, metadata=metadata)
        self.token = None
        self.jobs = {}         # attempt token: Task that runs
        self.done = {}         # attempt token: parameters of a Complete that was not answered yet
        self.known = set()     # attempt tokens of all these when the session began, which it is told of again: perhaps after it has answered
        self.drained = None    # at the last answer to a Drain: how many jobs the daemon still had given it
        self.completed = 0     # answers to Complete

    def register(self):
        self.known = {*self.jobs, *self.done}
        who = {"token": self.token} if self.token else self.who
        return _wire.message("Register", {"protocol": _wire.PROTOCOL, **who}, more=True)

    def order(self, worker, reply):
        """("start" or "cancel", Task), ("stop", None), or (None, None)."""
        error = _wire.error_of(reply)
        if error:
            raise error
        parameters = reply["parameters"]
        self.token = parameters.get("token", self.token)
        if "drain" in parameters:
            return "stop", None
        if "assign" in parameters:
            assignment = parameters["assign"]
            token = assignment["attempt_token"]
            if token not in self.jobs and token not in self.done and token not in self.known:
                self.jobs[token] = Task(worker, assignment)
                return "start", self.jobs[token]
        elif "cancel" in parameters:
            job = self.jobs.get(parameters["cancel"]["attempt_token"])
            if job and not job.cancelled:
                job.cancel_reason = parameters["cancel"]["reason"]
                return "cancel", job
        return None, None

    def forgotten(self):
        """The daemon knows this worker no more: what it had is lost. The jobs are to end; whoever comes next is new."""
        jobs = list(self.jobs.values())
        for job in jobs:
            job.cancel_reason = job.cancel_reason or "lost"
        self.jobs, self.done, self.token, self.drained = {}, {}, None, None
        return jobs

    def complete(self, job, value, error):
        """What the job is known by from here on, or None where nobody waits for its result any more."""
        token = job.assignment["attempt_token"]
        if self.jobs.pop(token, None) is None:
            return None
        self.done[token] = {"id": job.id, "attempt": job.attempt, **how_it_ended(value, error)}
        return token

    def completion(self, token):
        return _wire.message("Complete", {"token": self.token, **self.done[token]})

    def status(self, job, status):
        return _wire.message("Progress", {"token": self.token, "id": job.id, "attempt": job.attempt, "status": status})

    def drain(self):
        """May be said several times: what was on its way while it was said is seen by the next answer."""
        return _wire.message("Drain", {"token": self.token})

    def answered(self, token, reply):
        """The answer to what was known by token (DRAIN, None: a status). False: it is to be sent again, after a while; a result that comes
        too late, or twice, is one less."""
        error = reply.get("error", "").rpartition(".")[2]
        if token is DRAIN:
            self.drained = reply["parameters"]["attempts"] if not error else None
            return not error
        if error in NOT_NOW:
            return False
        if error in REFUSED and token in self.done and "error" not in self.done[token]:
            how = {"error": "The verdict was refused: %s" % _wire.error_of(reply)}
            self.done[token] = {**{k: self.done[token][k] for k in ("id", "attempt")}, **how}
            return False
        self.completed += self.done.pop(token, None) is not None
        return True

    @property
    def idle(self):
        return not self.jobs and not self.done


# What was said of the result, and will not be otherwise later: a verdict that is too long, or nested too deeply.
REFUSED = ("InvalidParameter", "InvalidMessage")


class Drain:
    """When a worker that is to stop asks for it: at once, and whenever it has completed all that it knows of and the daemon had more.
    Of one session."""

    def __init__(self, state):
        self.state = state
        self.asked_at = None  # how much was completed when it was asked for
        state.drained = None

    def due(self):
        s = self.state
        if not s.token or (self.asked_at is not None and (s.drained in (None, 0) or not s.idle or self.asked_at == s.completed)):
            return False
        self.asked_at = s.completed
        s.drained = None
        return True

    @property
    def over(self):
        return self.state.drained == 0 and self.state.idle


DRAIN = object()
NOT_NOW = ("StorageFull", "StorageError", "TooMany")


def how_it_ended(value, error):
    """Parameters of Complete. value: what the handler returned, a verdict (dict) or None; error: what it raised instead."""
    if error is None and value is None:
        return {"exit_status": 0}
    if error is None:
        try:
            if not isinstance(value, dict):
                raise TypeError("the handler returned %s; a verdict is a dict" % type(value).__name__)
            _wire.json.dumps(value, allow_nan=False)
            return {"verdict": value}
        except (TypeError, ValueError) as e:
            error = e
    name = type(error).__name__
    text = ("%s: %s" % (name, error) if str(error) else name).replace("\0", " ")
    return {"error": text.encode(errors="replace")[:ERROR_MAX].decode(errors="ignore")}


ERROR_MAX = 1024  # bytes: a longer one is no error text for the daemon
