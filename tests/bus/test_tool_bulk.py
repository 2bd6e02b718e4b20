# SPDX-License-Identifier: LGPL-2.1-or-later
"""The tool on many jobs: filters, the question on a terminal, set and move."""

import time

import pytest

from tool import Terminal
from tool import tool as run_tool


@pytest.fixture
def tool(running):
    def run(*argv):
        return run_tool(running, *argv, check=False)

    def ok(*argv):
        return run_tool(running, *argv)

    def bad(text, *argv):
        p = run(*argv)
        assert p.returncode == 1 and text in p.stderr and p.stdout == "", p
        return p.stderr

    def on_terminal(typed, *argv):
        """(exit status, all that was shown) with a person at a terminal, who types that when asked."""
        t = Terminal(running, *argv)
        if typed is not None:
            t.read("[y/N] ")
            t.type(typed)
        shown = t.read()
        return t.process.wait(), shown.replace("\r\n", "\n")

    running.run, running.ok, running.bad, running.on_terminal = run, ok, bad, on_terminal
    running.call("PauseQueue", "default")
    return running


def test_verbs_by_filter(tool):
    ids = [tool.submit("true", tags={"batch": "1"}, name="n%d" % i) for i in range(3)]
    assert tool.ok("hold", "--queue", "default") == "3 jobs held\n"
    assert tool.ok("release", "--name", "n1") == "1 job released\n"
    assert tool.ok("cancel", "--tag", "batch=1", "--state", "held") == "2 jobs cancelled\n"
    assert [tool.state(i) for i in ids] == ["done", "ready", "done"]
    assert tool.ok("retry", "--dead") == "2 jobs retried\n"
    assert tool.ok("cancel", "--since", "-1h") == "3 jobs cancelled\n"
    assert tool.ok("purge", "--state=done", "--json=short") == '{"count":3}\n'
    assert tool.ok("cancel", "--queue", "default") == "0 jobs cancelled\n"
    assert tool.ok("cancel", "--queue", "default", "--quiet") == ""


def test_kill_by_filter(tool):
    tool.call("ResumeQueue", "default")
    ids = [tool.submit("sleep 60") for _ in range(3)]
    for i in ids:
        tool.reach(i, "running")
    assert tool.ok("kill", "-s", "KILL", "--queue", "default") == "3 jobs signalled\n"
    assert {tool.result(i) for i in ids} == {"signal"}


def test_freeze_and_thaw_by_filter(tool):
    tool.call("ResumeQueue", "default")
    a, b = tool.submit("sleep 60"), tool.submit("sleep 60", timeout_usec=3600 * 10**6)
    for i in (a, b):
        tool.reach(i, "running")
    p = tool.run("freeze", "--queue", "default")
    assert (p.returncode, p.stdout) == (1, "1 job frozen\n") and "jobmill: Job %d has" % b in p.stderr
    assert tool.ok("thaw", "--state", "running") == "2 jobs thawed\n"
    assert tool.ok("kill", "--state", "running") == "2 jobs signalled\n"


def test_ids_are_all_tried(tool):
    a, b = (tool.submit("true") for _ in range(2))
    p = tool.run("hold", a, 99, b, "x")
    assert p.returncode == 1 and p.stdout == ""
    assert "job 99: there is no such job\n" in p.stderr and "Not a job id: x\n" in p.stderr
    assert tool.state(a) == tool.state(b) == "held"
    assert tool.ok("release", a, b) == ""


def test_what_is_not_done_is_named(tool):
    a, b, c = (tool.submit("true") for _ in range(3))
    tool.ok("cancel", b, c)
    p = tool.run("purge", a)
    assert p.returncode == 1 and p.stderr == "jobmill: purge: the job is not there, not done, not yours, or still needed by another one\n", p
    p = tool.run("purge", a, b, 99)
    assert (p.returncode, p.stdout) == (1, "1 job purged\n")
    assert p.stderr == "jobmill: purge: 2 of the 3 jobs are not there, not done, not yours, or still needed by others\n"
    assert tool.bad("Job %d is ready" % a, "retry", a) == "jobmill: Job %d is ready, not done\n" % a, "it is named once"


def test_ids_or_a_filter(tool):
    id_ = tool.submit("true")
    for verb, more in (("cancel", []), ("kill", []), ("hold", []), ("release", []), ("retry", []), ("purge", []), ("set", ["slots=1"]),
                       ("move", ["default"])):
        tool.bad("which jobs? Give ids or a filter", verb, *more)
        tool.bad("cannot be combined", verb, id_, "--queue", "default", *more)
    tool.bad("only: waiting, ready", "hold", "--state", "held,running")
    tool.bad("'nonsense'", "hold", "--state", "nonsense")
    assert tool.state(id_) == "ready"


def test_the_question(tool):
    ids = [tool.submit("true") for _ in range(3)]
    status, shown = tool.on_terminal("n\n", "cancel", "--queue", "default")
    assert status == 1 and "Cancel 3 jobs? [y/N] " in shown and "nothing was done" in shown
    status, shown = tool.on_terminal("\x04", "cancel", "--queue", "default")
    assert status == 1 and "nothing was done" in shown
    assert [tool.state(i) for i in ids] == ["ready"] * 3
    status, shown = tool.on_terminal("y\n", "hold", "--queue", "default")
    assert status == 0 and "Hold 3 jobs?" in shown and shown.endswith("3 jobs held\n")
    status, shown = tool.on_terminal("y\n", "set", "--queue", "default", "priority=3")
    assert status == 0 and "Change 3 jobs?" in shown and shown.endswith("3 jobs changed\n")
    # Nobody is asked where there is nothing to do, where one said yes, or for ids
    for argv, expect in ((["hold", "--queue", "default"], "0 jobs held\n"), (["release", "--queue", "default", "--yes"], "3 jobs released\n"),
                         (["hold", "-y", "--queue", "default"], "3 jobs held\n"), (["release", str(ids[0])], ""),
                         (["cancel", str(ids[0]), str(ids[1])], "")):
        assert tool.on_terminal(None, *argv) == (0, expect), argv
    # What is counted is what the verb makes sense for
    status, shown = tool.on_terminal("y\n", "purge", "--queue", "default")
    assert "Purge 2 jobs?" in shown and shown.endswith("2 jobs purged\n")


def test_set(tool):
    id_ = tool.submit("true", tags={"a": "1"}, name="old")
    assert tool.ok("set", id_, "priority=-5", "slots=2", "timeout=2h", "stop-timeout=10s", "name=new name", "tag=b=x=y", "tag=a=",
                   "MemoryMax=2G", "property=Nice=3", "directory=/tmp", "output=/tmp/%j.out") == ""
    info = tool.info(id_)
    assert (info["priority"], info["slots"], info["timeout_usec"], info["name"]) == (-5, 2, 7200 * 10**6, "new name")
    assert info["tags"] == {"b": "x=y"} and info["cwd"] == "/tmp" and info["output_file"] == "/tmp/%j.out"
    assert info["properties"] == ["MemoryMax=2G", "Nice=3"]
    before = time.time()
    tool.ok("set", id_, "in=1h", "timeout=", "MemoryMax=", "name=", "output=")
    info = tool.info(id_)
    assert info["state"] == "waiting" and before + 3590 < info["not_before_usec"] / 1e6 < time.time() + 3610
    assert "timeout_usec" not in info and "name" not in info and "output_file" not in info and info["properties"] == ["Nice=3"]
    tool.ok("set", id_, "at=")
    assert tool.state(id_) == "ready"
    tool.ok("set", id_, "at=tomorrow")
    assert tool.state(id_) == "waiting"
    tool.ok("set", id_, "keep=1h", "freezable=yes")
    assert tool.info(id_)["keep_usec"] == 3600 * 10**6 and tool.info(id_)["freezable"]
    assert "Kept: 1h once it is done" in tool.ok("show", id_)
    tool.ok("set", id_, "keep=")
    assert "keep_usec" not in tool.info(id_)
    tool.bad("set: keep: cannot make sense of 'infinity'", "set", id_, "keep=infinity")
    tool.ok("set", "@last", "in=0", "slots=1")
    assert tool.state(id_) == "ready" and tool.info(id_)["slots"] == 1


def test_set_the_command(tool):
    id_ = tool.submit("false")
    tool.ok("set", id_, "name=n", "--", "/bin/sh", "-c", "echo a=b > %s/out" % tool.out)
    assert tool.info(id_)["name"] == "n"
    tool.ok("set", id_, "slots=1", "--")
    tool.call("ResumeQueue", "default")
    assert tool.result(id_) == "success" and (tool.out / "out").read_text() == "a=b\n"


def test_set_is_refused(tool):
    id_ = tool.submit("true")
    tool.bad("what is to be changed", "set", id_)
    tool.bad("there is no key 'prio'; there are: name, queue, priority,", "set", id_, "prio=3")
    for word, wanted in (("priority=high", "a number"), ("timeout=soon", "a time span"), ("at=never", "a time"), ("tag=x", "KEY=VALUE"),
                         ("slots=-1", "a number"), ("in=x", "a time span")):
        tool.bad("set: %s: cannot make sense of '%s' (wanted: %s" % (*word.split("=", 1), wanted), "set", id_, word)
    tool.bad("'priority'", "set", id_, "priority=5000")
    tool.bad("MemoryMax", "set", id_, "MemoryMax=lots")
    tool.bad("only 4", "set", id_, "slots=5")
    tool.call("ResumeQueue", "default")
    tool.wait(id_)
    tool.bad("it is done. What can be: tags", "set", id_, "priority=1")
    tool.ok("set", id_, "tag=seen=yes")
    assert tool.info(id_)["tags"] == {"seen": "yes"}


def test_set_by_filter_takes_what_can_be_changed(tool):
    tool.call("ResumeQueue", "default")
    done, live = tool.submit("true"), tool.submit("sleep 60")
    tool.wait(done)
    tool.reach(live, "running")
    held = tool.submit("true", hold=True)
    assert tool.ok("set", "--queue", "default", "priority=1", "tag=x=y") == "1 job changed\n"
    assert tool.ok("set", "--queue", "default", "timeout=1h") == "2 jobs changed\n"
    assert tool.ok("set", "--queue", "default", "tag=a=b") == "3 jobs changed\n"
    assert tool.ok("set", "--state", "done", "tag=a=c") == "1 job changed\n"
    tool.bad("no job in such a state can be changed", "set", "--state", "running", "priority=1")
    assert tool.info(held)["tags"] == {"x": "y", "a": "b"}


def test_move(tool):
    tool.queue("other", Slots=1, AllowUsers="*")
    tool.call("Reload")
    tool.call("PauseQueue", "other")
    ids = [tool.submit("true", slots=s) for s in (1, 1, 2)]
    assert tool.ok("move", ids[0], ids[1], "other") == ""
    assert "'other' has only 1" in tool.bad("job %d: " % ids[2], "move", ids[2], "other")
    assert tool.ok("move", "--queue", "other", "default") == "2 jobs moved\n"
    assert tool.bad("move: 2 jobs changed; job %d: " % ids[2], "move", "--state", "ready", "other")
    assert tool.ok("set", "--state", "ready", "queue=default") == "2 jobs changed\n"
    tool.bad("There is no queue 'nowhere'", "move", ids[0], "nowhere")
    tool.bad("something is missing", "move")
    assert {tool.info(i)["queue"] for i in ids} == {"default"}


def test_help_and_completion(tool):
    text = tool.ok("set", "--help")
    assert "stop-timeout" in text and "MemoryMax" in text and "--yes" in text and "--state" in text
    id_ = tool.submit("true")
    offered = {line.split("\t")[0] for line in tool.ok("__complete", "--", "set", id_, "").splitlines()[1:]}
    assert {"priority=", "tag=", "MemoryMax="} <= offered
    assert "queue=default" in tool.ok("__complete", "--", "set", id_, "queue=")
    assert "default" in tool.ok("__complete", "--", "move", "--state", "held", "")
    assert str(id_) in tool.ok("__complete", "--", "hold", "")
