# SPDX-License-Identifier: LGPL-2.1-or-later
"""The real polkit when it is slow, killed, started again or not there, in the middle of calls of an operator: what it says late is asked of the
jobs as they are by then, what it does not say is a refusal, and nobody else waits."""

import contextlib
import os
import signal

import pytest

import rights
from mill import systemctl, unit_properties, until
from terminal import Terminal
from test_manners import PASSWORD, agents, password  # noqa: F401 (a fixture)
from test_rights import Cell, Remote, rest, town  # noqa: F401 (a fixture)

pytestmark = pytest.mark.system_only
MANAGER = ("/org/jobmill1", "org.jobmill1.Manager")
DENIED = "org.freedesktop.DBus.Error.AccessDenied"
ERROR = "org.jobmill1.Error."


@pytest.fixture(autouse=True)
def often():
    """It may be started as often as tests do that."""
    systemctl("reset-failed", "polkit", check=False)


@contextlib.contextmanager
def slow_polkit():
    """It says nothing until it is let go on. Whether it lives on or not is up to the test."""
    systemctl("start", "polkit")
    pid = int(unit_properties("polkit.service", "MainPID")["MainPID"])
    os.kill(pid, signal.SIGSTOP)
    try:
        yield pid
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


def asked(mill, n=1):
    until(lambda: mill.stats()["calls_waiting"] == n, 10, lambda: "calls wait for polkit: %s" % mill.stats()["calls_waiting"])


def send(remote, member, signature, *arguments, interactive=False):
    remote.send("bus", *MANAGER, member, signature, arguments, interactive)


def test_its_answer_comes_when_the_caller_has_gone(mill, town):
    id_, other = town.held(), town.held()
    oscar = Remote("oscar")
    with slow_polkit():
        send(oscar, "CancelJob", "t", id_)
        asked(mill)
        before = rest(mill)
        oscar.process.kill()
        oscar.close()
        asked(mill, 0)
        # Others need not wait for it.
        assert mill.wait(town.submit(argv=["/bin/true"]))["result"] == "success"
    town.roles["operator"].call("CancelJob", other)  # answered behind the one that nobody waits for
    assert mill.state(id_) == "held" and mill.state(other) == "done"
    assert before[0] < rest(mill)[0]


@pytest.mark.parametrize("member,error", [("CancelJob", "JobFinished"), ("PurgeJobs", "NoSuchJob"), ("RetryJob", "JobLive")])
def test_its_answer_comes_when_the_job_has_changed(mill, town, member, error):
    """What was allowed is done to the job as it is by then."""
    id_ = town.failed() if member != "CancelJob" else town.held()
    asking = "CancelJob" if member == "CancelJob" else "RetryJob"
    with slow_polkit():
        send(town.roles["operator"], asking, "t" if asking == "CancelJob" else "ta{sv}", id_, *[{}] * (asking == "RetryJob"))
        asked(mill)
        town.alice.call(member, *{"CancelJob": [id_], "PurgeJobs": [{"ids": [id_]}], "RetryJob": [id_, {"delay_usec": 3600000000}]}[member])
        before = rest(mill)
    answer = town.roles["operator"].receive()
    assert answer.get("error") in (ERROR + error, ERROR + "JobNotFinished"), answer
    assert rest(mill) == before


@pytest.mark.parametrize("how", ["killed", "started again"])
def test_it_ends_in_the_middle_of_a_call(mill, town, how):
    """Whoever it does not answer is refused, and asks the next one."""
    id_ = town.held()
    with slow_polkit() as pid:
        send(town.roles["operator"], "CancelJob", "t", id_)
        asked(mill)
        if how == "killed":
            os.kill(pid, signal.SIGKILL)
        else:
            systemctl("restart", "polkit")
        answer = town.roles["operator"].receive()
    # One that is told to end may still say what it was asked.
    outcomes = [(DENIED, "held")] if how == "killed" else [(DENIED, "held"), (None, "done")]
    assert (answer.get("error"), mill.state(id_)) in outcomes, answer
    systemctl("reset-failed", "polkit", check=False)
    systemctl("start", "polkit")  # newer ones start again by themselves, in a moment
    id_ = town.held()
    town.roles["operator"].call("CancelJob", id_)
    assert mill.state(id_) == "done"


def test_it_never_answers(mill, town):
    """That is a refusal, after a while; what it says then is heard by nobody."""
    id_ = town.held()
    with slow_polkit():
        answer = town.roles["operator"].do("bus", *MANAGER, "CancelJob", "t", [id_])
        assert answer.get("error") == DENIED
        before = rest(mill)
    town.roles["operator"].call("GetJobInfo", id_)
    assert mill.state(id_) == "held" and rest(mill) == before


def test_it_is_not_there(mill, town):
    """Operators are like others, and no password helps: AccessDenied, whatever there is to ask for. Root needs it for nothing."""
    wrong = []
    systemctl("mask", "--runtime", "--now", "polkit.service")
    try:
        for row in rights.ROWS:
            outcome = row.outcomes["other"].replace("password", "AccessDenied")
            for case in row.bus:
                wanted = case.unasked if outcome == "AccessDenied" else outcome
                try:
                    Cell(town, "bus", case, "operator").check(wanted)
                except AssertionError as e:
                    wrong.append(str(e).splitlines()[0])
        id_ = town.held()
        mill.call("CancelJob", id_)
        assert mill.state(id_) == "done"
        p = town.roles["other"].do("tool", ["cancel", str(town.held())])
        assert (p["status"], "Not authorized: org.jobmill1.manage-jobs" in p["err"]) == (1, True), p
    finally:
        systemctl("unmask", "--runtime", "polkit.service")
        systemctl("start", "polkit")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("argv", [["cancel"], ["set", "priority=7"], ["logs"]], ids=lambda a: a[0])
def test_somebody_is_asked_for_others_jobs(mill, town, password, argv):  # noqa: F811
    """The tool's agent on a terminal, for verbs that need one action or another."""
    id_ = town.read_log() if argv[0] == "logs" else town.held()
    with Terminal("jobmill", argv[0], str(id_), *argv[1:], user="bob") as t:
        t.expect("AUTHENTICATING FOR org.jobmill1." + ("read-all" if argv[0] == "logs" else "manage-jobs"))
        t.expect("Password: ")
        t.type_secret(PASSWORD + "\n")
        status, text = t.end()
    systemctl("restart", "polkit")  # which forgets what root granted
    assert status == 0, text
    job = mill.info(id_)
    assert {"cancel": job["state"] == "done", "set": job["priority"] == 7, "logs": rights.SECRET in text}[argv[0]], (job, text)


def test_it_ends_while_somebody_is_asked(mill, town, password):  # noqa: F811
    id_ = town.held()
    with Terminal("jobmill", "cancel", str(id_), user="bob") as t:
        t.expect("Password: ")
        systemctl("restart", "polkit")
        status, text = t.end(30)
    assert status == 1 and "Not authorized: org.jobmill1.manage-jobs" in text, text
    until(lambda: not agents(), 10, "the agent is gone")
    assert mill.state(id_) == "held"


def test_the_job_changes_while_somebody_is_asked(mill, town, password):  # noqa: F811
    id_ = town.held()
    with Terminal("jobmill", "cancel", str(id_), user="bob") as t:
        t.expect("Password: ")
        town.alice.call("CancelJob", id_)
        t.type_secret(PASSWORD + "\n")
        status, text = t.end()
    systemctl("restart", "polkit")
    assert status == 1 and "is done (cancelled)" in text, text
