# SPDX-License-Identifier: LGPL-2.1-or-later
"""`jobmill __complete`: what the completion of all shells asks. tests/system has the shells themselves."""

import os
import signal
import subprocess

import pytest

from conftest import AS_ROOT, DAEMON, SLOW

TOOL = DAEMON.with_name("jobmill")


@pytest.fixture
def complete(mill):
    """complete(WORD…): (the first line, {candidate: description})."""
    def ask(*words):
        env = {**mill.environment(), "HOME_OF_TEST": "x"}
        p = subprocess.run([TOOL, "__complete", "--", *([] if AS_ROOT else ["--user"]), *words], env=env,
                           stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                           timeout=60 * SLOW)
        assert p.returncode == 0 and p.stderr == "", p
        lines = p.stdout.splitlines()
        return (lines[0] if lines else None), dict(l.split("\t", 1) for l in lines[1:])
    return ask


def words(complete, *line):
    directive, candidates = complete(*line)
    assert directive == "words"
    return list(candidates)


def test_verbs(complete):
    verbs = complete("")[1]
    assert {"submit", "list", "queue", "help"} <= set(verbs) and "queue list" not in verbs
    assert verbs["list"] == "List jobs, newest first" and verbs["queue"].startswith("list, show, ")
    assert words(complete, "subm") == ["submit"]
    assert words(complete, "--quiet", "subm") == ["submit"]
    assert "pause" in words(complete, "queue", "")
    assert words(complete, "help", "subm") == ["submit"]
    assert words(complete, "help", "queue", "pa") == ["pause"]
    assert complete("nosuchverb", "") == (None, {})


def test_options(complete):
    assert words(complete, "list", "--sta") == ["--state"]
    assert "--payload" not in words(complete, "list", "-")
    assert "-C" in words(complete, "submit", "-") and "--user" in words(complete, "submit", "-")
    assert "--legend" not in words(complete, "-"), "what the help does not show"
    # values: as a word of their own, behind "=", right behind the letter
    assert words(complete, "list", "--state", "r") == ["ready", "running"]
    assert words(complete, "list", "--state=r") == ["--state=ready", "--state=running"]
    assert words(complete, "submit", "-pCPUQuot") == ["-pCPUQuota=", "-pCPUQuotaPeriodSec="]
    # lists
    assert words(complete, "list", "--state=held,ru") == ["--state=held,running"]
    assert words(complete, "submit", "--env", "HOME_OF_T") == ["HOME_OF_TEST"]
    assert words(complete, "submit", "--env", "PATH,HOME_OF_T") == ["PATH,HOME_OF_TEST"]
    assert words(complete, "submit", "--env", "no") == ["none"]
    assert words(complete, "--json=p") == ["--json=pretty"]
    assert words(complete, "kill", "-s", "TER") == ["TERM"]
    assert words(complete, "list", "--owner", "roo") == ["root"]
    assert words(complete, "submit", "-p", "ProtectHome") == ["ProtectHome="]
    assert words(complete, "submit", "-p", "ProtectClock=y") == ["ProtectClock=yes"]
    assert words(complete, "submit", "-p", "KillMod") == [], "a property that nobody may set"
    assert words(complete, "list", "--since", "") == []


def test_what_the_shell_does(complete):
    assert complete("submit", "--payload", "x") == ("files\t", {})
    assert complete("submit", "--payload=x") == ("files\t--payload=", {})
    assert complete("submit", "-C", "x") == ("directories\t", {})
    assert complete("-H", "x") == ("hosts\t", {})
    assert complete("submit", "x") == ("command\t%d" % (2 if AS_ROOT else 3), {})
    for line in ("--script", "build.sh"), ("--script=build.sh", "--", "one"):
        assert complete("submit", *line, "x") == ("files\t", {}), "a script's arguments"
    assert words(complete, "submit", "--script", "build.sh", "--hol") == ["--hold"]
    assert complete("submit", "--script", "build.sh", "one", "--hol") == ("files\t", {})
    assert complete("set", "1", "priority=3", "--", "grep", "x") == ("command\t%d" % (5 if AS_ROOT else 6), {})
    first = 6 if AS_ROOT else 7
    assert complete("submit", "--tag", "a=b", "-qx", "--", "grep", "--col") == ("command\t%d" % first, {})


def test_ids(running, complete):
    running.call("PauseQueue", "default")
    held = running.submit(["sleep", "1"], name="nightly", hold=True)
    ready = running.submit(["printf", "a\tb\n\x1b[31m"])
    assert complete("show", "")[1] == {"@last": "your newest job", str(ready): "ready  printf 'a b\\x0a\\x1b[31m'",
                                       str(held): "held  nightly"}
    assert words(complete, "release", "") == ["@last", str(held)], "those that can be released"
    assert words(complete, "hold", str(ready)[0])[-1] == str(ready)
    assert words(complete, "retry", "") == []
    assert words(complete, "cancel", str(held), str(held)) == [], "not twice"
    assert words(complete, "list", "--name=n") == ["--name=nightly"]
    running.call("CancelJob", held)
    assert "cancelled" in complete("retry", "")[1][str(held)]


def test_words_of_two_kinds(running, complete):
    id_ = running.submit("true", hold=True)
    assert words(complete, "set", "")[:3] == ["@last", str(id_), "name="]
    assert words(complete, "set", "7", "prior") == ["priority="]
    assert words(complete, "set", "7", "queue=de") == ["queue=default"]
    assert words(complete, "set", "7", "ProtectClock=n") == ["ProtectClock=no"]
    assert words(complete, "move", "") == words(complete, "move", "7", "") == ["@last", str(id_), "default"]
    assert words(complete, "queue", "set", "default", "Slot") == ["SlotVariable=", "Slots="]
    assert words(complete, "queue", "set", "default", "Service.MemoryMa") == ["Service.MemoryMax="]


def test_help_of_queue(complete):
    """The word alone stands for `queue list`, but help is about all that begins with it."""
    for argv in (["help", "queue"], ["queue", "--help"]):
        p = subprocess.run([TOOL, *argv], stdout=subprocess.PIPE, text=True, check=True)
        assert all("  queue %s " % w in p.stdout for w in ("list", "show", "set", "remove", "pause", "resume", "drain")), p.stdout
    p = subprocess.run([TOOL, "queue", "lsit"], stderr=subprocess.PIPE, text=True)
    assert p.returncode == 1 and p.stderr == "jobmill: There is no verb queue lsit (jobmill help queue shows them)\n"


def test_queues_and_tags(running, complete):
    running.queue("gpu-train", Slots=1)
    running.call("Reload")
    assert words(complete, "queue", "pause", "") == ["default", "gpu", "gpu-train"]
    assert words(complete, "queue", "pause", "gpu", "g") == ["gpu-train"]
    assert words(complete, "list", "-qdefault,gp") == ["-qdefault,gpu", "-qdefault,gpu-train"]
    running.submit("true", tags={"batch": "headers", "two": "a b"}, hold=True)
    assert words(complete, "list", "--tag", "b") == ["batch=headers"]
    assert words(complete, "list", "--tag", "t") == [], "what cannot be typed"


def test_no_daemon(complete):
    assert complete("cancel", "") == ("words", {})
    assert complete("submit", "--queue", "") == ("words", {})


def test_daemon_that_hangs(running, complete):
    running.submit("true", hold=True)
    os.kill(running.process.pid, signal.SIGSTOP)
    try:
        assert complete("cancel", "") == ("words", {})
    finally:
        os.kill(running.process.pid, signal.SIGCONT)
    assert len(words(complete, "cancel", "")) == 2


def test_no_bus(complete, mill, monkeypatch):
    monkeypatch.setattr(mill, "address", "unix:path=/nonexistent/bus")
    assert complete("cancel", "") == ("words", {})
