# SPDX-License-Identifier: LGPL-2.1-or-later
"""Who may what: the table. test_rights.py asks every cell of a booted system, and docs/security.md has it as it stands here
(tests/lint/check-rights.py --write). A method, a property or a verb without a row fails both: who adds one says who may what.

A row is an outcome for each role, and what it holds for: methods of the bus, methods of the socket, verbs of the tool. Outcomes:

  yes        done
  all        answered, with what is private of the job
  public     answered, without that
  none       answered: it finds none of others' jobs, and changes none
  password   with an administrator's password: InteractiveAuthorizationRequired, and AccessDenied where nobody can be asked
  …          this error

On the socket operators are what others are, because polkit cannot be asked there, and a password is NotAllowed."""

import pwd
import re

ROLES = ("anonymous", "other", "owner", "operator", "root")
SECRET = "s3cret"  # stands in what is private of each job and schedule of the owner
COMMAND = ["/bin/true", SECRET]


class Case:
    """One call. arguments(t) are made for one cell, by the Town of test_rights.py; of a verb: its words."""

    def __init__(self, name, arguments=lambda t: [], note="", tells=None, changes=True, unasked="AccessDenied", **how):
        self.name = name
        self.arguments = arguments
        self.note = note        # which part of it, where it has several rows
        self.tells = tells or (lambda answer: SECRET in str(answer))  # is there what is private in the answer?
        self.changes = changes  # does it change what is recorded, or lies in files?
        self.unasked = unasked  # a password, where nobody can be asked; but who may manage jobs is denied by name
        self.how = how

    def title(self):
        return "`%s`%s" % (self.name or "(no verb)", " " + self.note if self.note else "")


def reads(name, arguments=lambda t: [], note="", **how):
    return Case(name, arguments, note, changes=False, **how)


class Row:
    def __init__(self, what, outcomes, bus=(), socket=(), tool=()):
        self.what = what
        self.outcomes = dict(zip(ROLES, outcomes.split(), strict=True))
        self.bus, self.socket, self.tool = bus, socket, tool

    def on_socket(self, role):
        outcome = self.outcomes["other" if role == "operator" else role]
        return "NotAllowed" if outcome == "password" else outcome


# ---- arguments ----

def id_of(make, *more):
    return lambda t: [getattr(t, make)(), *more]


def object_of(make, **more):
    """The same for the socket."""
    return lambda t: [{"id": getattr(t, make)(), **more}]


def words_of(make, *more):
    return lambda t: [str(getattr(t, make)()), *more]


def ids_of(make, *more):
    return lambda t: [{"ids": [getattr(t, make)()]}, *more]


def tagged(make, *more):
    """A filter that does not say whose."""
    return lambda t: [{"tags": t.tags(make)}, *more]


def of_owner(make, *more):
    return lambda t: [{"owner": t.owner, "tags": t.tags(make)}, *more]


def job(queue, **more):
    return lambda t: [{"job": {"argv": COMMAND, "queue": queue, "hold": True, **more}}]


def flow(queue):
    return {"jobs": [{"name": "one", "argv": COMMAND, "hold": True, "queue": queue}]}


def daily(queue="open", **more):
    return {"OnCalendar": ["2099-01-01"], "Job": {"argv": COMMAND, "queue": queue, **more}}


def is_row_of_owner(answer):
    return re.search(r"owner\W+%d\b" % pwd.getpwnam("alice").pw_uid, str(answer)) is not None


SUBMIT = ["--hold", "--env=none", "-C", "/"]
BULK = ("Cancel", "waiting"), ("Hold", "waiting"), ("Release", "held"), ("Retry", "failed", {"delay_usec": 3600000000}), ("Update", "waiting", {"priority": 1}), ("Purge", "failed")

ROWS = [
    Row("what is public", "yes yes yes yes yes",
        bus=[reads("GetJob", id_of("read")), *map(reads, ("ListQueues", "ListTypes", "ListWorkers")), reads("ListFirings", id_of("schedule", 0)),
             *map(reads, ("GetMetrics", "GetStatistics", "Subscribe", "Unsubscribe")), reads("Introspectable.Introspect"),
             reads("Properties.Get", lambda t: ["org.jobmill1.Manager", "Version"]), reads("Properties.GetAll", lambda t: ["org.jobmill1.Manager"]),
             reads("Peer.Ping"), reads("Peer.GetMachineId")],
        socket=[reads("ListTypes"), reads("ListWorkers"), reads("ListFirings", lambda t: [{"schedule": t.schedule()}]), reads("Statistics"), reads("Metrics"),
                reads("Events", lambda t: [{"after": 0}]), reads("GetInfo"), reads("GetInterfaceDescription", lambda t: [{"interface": "org.jobmill"}]),
                reads("Register", lambda t: [{"protocol": 1, "queues": ["worked"]}], "for jobs of one's own", more=True)],
        tool=[reads(""), reads("queue"), reads("queue list"), reads("queue show", lambda t: ["open"]), reads("worker"), reads("worker list"), reads("type"),
              reads("type list"), reads("type show", lambda t: ["typed"]), reads("schedule"), reads("schedule list"), reads("stats"), reads("metrics"), reads("verify"), reads("help")]),
    Row("jobs, schedules, sums", "public public all all all",
        bus=[reads("GetJobInfo", id_of("read")), reads("ListJobs", lambda t: [{"ids": [t.read()]}, "", 0]), reads("ListAttempts", id_of("read")),
             reads("CountJobs", ids_of("read"), tells=lambda answer: answer != [0]),
             reads("GetReport", lambda t: [{"queue": "open"}, "owner"], tells=is_row_of_owner), reads("ListSchedules"), reads("GetSchedule", id_of("schedule"))],
        socket=[reads("Get", object_of("read")), reads("List", lambda t: [{"filter": {"ids": [t.read()]}}]),
                reads("Report", lambda t: [{"filter": {"queue": ["open"]}, "group_by": "owner"}], tells=is_row_of_owner), reads("ListSchedules"),
                reads("GetSchedule", lambda t: [{"schedule": t.schedule()}])],
        tool=[reads("list", lambda t: ["--json=short", "--queue=open"]),
              reads("top", lambda t: ["--queue=open"], terminal="alice"), reads("show", words_of("read", "--json=short")),
              reads("history", lambda t: ["--json=short", "--queue=open"]), reads("wait", words_of("read", "--json=short")),
              reads("report", lambda t: ["--json=short", "--queue=open", "--by=owner"], tells=is_row_of_owner),
              reads("schedule show", words_of("schedule", "--json=short"))]),
    Row("how a job ended", "public public all public all", bus=[reads("WaitJob", id_of("read", 0))], socket=[reads("Wait", object_of("read"))]),
    Row("what a job wrote, sums of a user by name", "password password all all all",
        bus=[reads("OpenLog", id_of("read_log", "journal")), reads("GetReport", lambda t: [{"queue": "open", "owner": t.owner}, "owner"], "of `owner`", tells=is_row_of_owner)],
        socket=[reads("Report", lambda t: [{"filter": {"queue": ["open"], "owner": [t.owner]}, "group_by": "owner"}], "of `owner`", tells=is_row_of_owner)],
        tool=[reads("logs", words_of("read_log"))]),
    Row("a job in a queue with `AllowUsers=*`", "NotAllowed yes yes yes yes",
        bus=[Case("Submit", lambda t: ["open", COMMAND, {"hold": True}]), Case("SubmitMany", lambda t: [[{"queue": "open", "argv": COMMAND, "hold": True}]]),
             Case("SubmitFlow", lambda t: [t.json(flow("open"))]), reads("PreviewUnit", lambda t: ["open", COMMAND, {}]),
             Case("SetSchedule", lambda t: [t.new(), daily()], "of one's own")],
        socket=[Case("Submit", job("open")), Case("SubmitMany", lambda t: [{"jobs": [{"argv": COMMAND, "queue": "open", "hold": True}]}]),
                Case("SubmitFlow", lambda t: [{"flow": flow("open")}]), Case("Run", lambda t: [{"protocol": 1, "token": t.token(), "job": {"argv": COMMAND, "queue": "shut"}}], more=True)],
        tool=[Case("submit", lambda t: [*SUBMIT, "--queue=open", *COMMAND]), Case("run", lambda t: ["--queue=open", *COMMAND]),
              Case("schedule set", lambda t: ["--queue=open", t.new(), "OnCalendar=2099-01-01", "--", *COMMAND])]),
    Row("… with `AllowUsers=` the owner", "NotAllowed NotAllowed yes yes yes",
        bus=[Case("Submit", lambda t: ["hers", COMMAND, {"hold": True}])],
        socket=[Case("Submit", job("hers"))], tool=[Case("submit", lambda t: [*SUBMIT, "--queue=hers", *COMMAND])]),
    Row("… without such a line", "NotAllowed NotAllowed NotAllowed yes yes",
        bus=[Case("Submit", lambda t: ["closed", COMMAND, {"hold": True}])], socket=[Case("Submit", job("closed"))],
        tool=[Case("submit", lambda t: [*SUBMIT, "--queue=closed", *COMMAND])]),
    Row("… by a schedule, when nobody can be asked", "NotAllowed NotAllowed yes NotAllowed yes", bus=[Case("SetSchedule", lambda t: [t.new(), daily("hers")])]),
    Row("… as another user", "NotAllowed NotAllowed NotAllowed NotAllowed yes", bus=[Case("SetSchedule", lambda t: [t.new(), daily(uid=t.third)], "with `uid`")]),
    Row("a job with privileged properties", "NotAllowed password password password yes",
        bus=[Case("Submit", lambda t: ["open", COMMAND, {"hold": True, "properties": ["User=root"]}], "with `User=`"),
             Case("Submit", lambda t: ["open", COMMAND, {"hold": True, "on_success": ["default.target"]}], "with `on_success`")],
        socket=[Case("Submit", job("open", properties=["User=root"]), "with `User=`")],
        tool=[Case("submit", lambda t: [*SUBMIT, "--queue=open", "-p", "User=root", *COMMAND], "with `User=`")]),
    Row("a job as another user", "password password password password yes",
        bus=[Case("Submit", lambda t: ["open", COMMAND, {"hold": True, "uid": t.third}], "with `uid`")],
        socket=[Case("Submit", lambda t: job("open", uid=t.third)(t), "with `uid`")],
        tool=[Case("submit", lambda t: [*SUBMIT, "--queue=open", "--uid=%d" % t.third, *COMMAND], "with `--uid`")]),
    Row("a job that is there, a schedule, a worker", "password password yes yes yes",
        bus=[Case("CancelJob", id_of("waiting")), reads("KillJob", id_of("running", 18)), Case("HoldJob", id_of("waiting")), Case("ReleaseJob", id_of("held")),
             Case("FreezeJob", id_of("running")), Case("ThawJob", id_of("frozen")), Case("RetryJob", id_of("failed", {"delay_usec": 3600000000})),
             Case("UpdateJob", id_of("waiting", {"priority": 1})), Case("MoveJob", id_of("waiting", "other")),
             *[Case(verb + "Jobs", of_owner(make, *more), "of `owner`") for verb, make, *more in BULK],
             *[Case(verb + "Jobs", ids_of(make, *more), "of `ids`", unasked="none") for verb, make, *more in BULK],
             Case("PauseSchedule", id_of("new_schedule")), Case("ResumeSchedule", id_of("paused_schedule")), Case("FireSchedule", id_of("new_schedule")),
             Case("RemoveSchedule", id_of("new_schedule")), reads("DrainWorker", id_of("worker"))],
        socket=[Case("Cancel", object_of("waiting")), Case("Hold", object_of("waiting")), Case("Release", object_of("held")), Case("Retry", object_of("failed", delay_usec=3600000000))],
        tool=[Case("cancel", words_of("waiting")), reads("kill", words_of("running", "--signal=CONT")), Case("hold", words_of("waiting")), Case("release", words_of("held")),
              Case("freeze", words_of("running")), Case("thaw", words_of("frozen")), Case("retry", words_of("failed", "--in=1h")), Case("set", words_of("waiting", "priority=1")),
              Case("move", words_of("waiting", "other")), Case("purge", words_of("failed"), unasked="none"), Case("schedule pause", words_of("new_schedule")),
              Case("schedule resume", words_of("paused_schedule")), Case("schedule fire", words_of("new_schedule")), Case("schedule remove", words_of("new_schedule")),
              reads("worker drain", words_of("worker"))]),
    Row("many jobs, no owner named", "none none yes yes yes",
        bus=[Case(verb + "Jobs", tagged(make, *more)) for verb, make, *more in BULK],
        tool=[Case("cancel", lambda t: ["--tag=for=%s" % t.tags("waiting")["for"]], "of a filter")]),
    Row("what runs with the owner's rights", "password password yes password yes",
        bus=[Case("UpdateJob", id_of("waiting", {"argv": ["/bin/false"]}), "with `argv`"), Case("UpdateJobs", ids_of("waiting", {"argv": ["/bin/false"]}), "with `argv`", unasked="none"),
             Case("SetSchedule", id_of("new_schedule", daily()), "that is there")],
        tool=[Case("set", words_of("waiting", "--", "/bin/false"), "with a command"),
              Case("schedule set", lambda t: ["--queue=open", t.new_schedule(), "OnCalendar=2098-01-01", "--", *COMMAND], "that is there")]),
    Row("queues, the store, the daemon", "password password password yes yes",
        bus=[Case("PauseQueue", id_of("queue")), Case("ResumeQueue", id_of("paused")), Case("DrainQueue", id_of("queue")),
             Case("SetQueue", id_of("queue", {"Slots": "7"}, True)), Case("RemoveQueue", id_of("queue")), reads("Reload"), reads("CheckIntegrity"),
             reads("Repair"), reads("AcceptStore"), reads("Backup", lambda t: [0])],
        tool=[Case("queue pause", words_of("queue")), Case("queue resume", words_of("paused")), Case("queue drain", words_of("queue")),
              Case("queue set", words_of("queue", "Slots=7")), Case("queue remove", words_of("queue")), reads("check"), reads("check", lambda t: ["--repair"], "`--repair`"),
              reads("check", lambda t: ["--accept"], "`--accept`"), reads("backup", lambda t: ["-"])]),
    Row("whom a queue is for, what its jobs may", "password password password password yes",
        bus=[Case("SetQueue", id_of("queue", {"AllowUsers": "bob"}, True), "with `AllowUsers`"),
             Case("SetQueue", id_of("queue", {"Service.User": "root"}, True), "with `Service.`")],
        tool=[Case("queue set", words_of("queue", "AllowUsers=bob"), "with `AllowUsers`")]),
    Row("the daemon's log level", "AccessDenied AccessDenied AccessDenied AccessDenied yes",
        bus=[reads("Properties.Set", lambda t: ["org.freedesktop.LogControl1", "LogLevel", "info"], "of `LogControl1`", path="/org/freedesktop/LogControl1")]),
    Row("what a worker says, by its token", "NoSuchWorker NoSuchWorker yes NoSuchWorker NoSuchWorker",
        socket=[reads("Progress", lambda t: [{**t.assignment(), "status": "half"}]), Case("Complete", lambda t: [{**t.assignment(), "exit_status": 0}]),
                reads("Keep", lambda t: [{**t.assignment(), "engine": {}}]), reads("Drain", lambda t: [{"token": (t.worked or t.assignment())["token"]}])]),
    Row("… and a process in the foreground", "NoSuchAttempt NoSuchAttempt NoSuchAttempt NoSuchAttempt NoSuchAttempt",
        socket=[reads("Exited", lambda t: [{"token": t.token(), "id": t.read(), "attempt": 1, "exit_status": 0}], "of another one")]),
]

# All may read them; none can be set but those of org.freedesktop.LogControl1, by root.
PROPERTIES = {
    "org.jobmill1.Manager": "Version Dispatch",
    "org.jobmill1.Queue": "Name Slice Slots SlotsUsed Held Waiting Ready Starting Running Stopping Dead Paused Draining Reason Files Settings",
    "org.jobmill1.Job": "Id Queue Owner State Result Attempt MaxAttempts Priority Slots Unit InvocationId ExitStatus ExitSignal Dead Frozen SubmittedUSec "
                        "NotBeforeUSec StartedUSec FinishedUSec WaitUSec RuntimeUSec TimeoutUSec CPUUSec MemoryPeak MemoryPeakSampled IOReadBytes "
                        "IOWriteBytes TasksPeak",
    "org.freedesktop.LogControl1": "LogLevel LogTarget SyslogIdentifier",
}
