# SPDX-License-Identifier: LGPL-2.1-or-later
"""jobmill submit against the daemon: what people type becomes the job they mean, or is refused with nothing submitted."""

import json
import os
import re
import signal
import subprocess

import pytest

import client
from conftest import SLOW
from tool import TOOL, Terminal, argv_of, environment, tool


@pytest.fixture
def home(running):
    """A folder to work in, and tool calls from there."""
    path = running.folder / "work"
    path.mkdir()
    return path


def submit(mill, *argv, **kwargs):
    out = tool(mill, "submit", *argv, **kwargs)
    assert out.endswith("\n") and out.strip().isdigit(), out
    return int(out)


def refused(mill, *argv, status=1, **kwargs):
    """The message of a call that must fail and submit nothing."""
    p = tool(mill, *argv, check=False, **kwargs)
    assert p.returncode == status and p.stdout == "", (argv, p)
    assert mill.jobs(fields=["id"]) == [], argv
    return p.stderr


# -- options --

BAD = [
    # option, a bad value, what the message must hold
    ("--queue", "Upper", "a-z 0-9 _"),
    ("--queue", "a--b", "a-z 0-9 _"),
    ("--type", "Upper", "a-z 0-9 _ -"),
    ("--name", "", "1 to 128 bytes"),
    ("--name", "x" * 129, "1 to 128 bytes"),
    ("--name", "a\nb", "control characters"),
    ("--priority", "1001", "-1000…1000"),
    ("--priority", "-1001", "-1000…1000"),
    ("--priority", "high", "-1000…1000"),
    ("--slots", "0", "1…65536"),
    ("--slots", "65537", "1…65536"),
    ("--slots", "1.5", "1…65536"),
    ("--at", "soon", "tomorrow 6:00"),
    ("--in", "soon", "1h 30min"),
    ("--in", "-5s", "1h 30min"),
    ("--timeout", "0", "1ms or longer"),
    ("--timeout", "long", "1ms or longer"),
    ("--stop-timeout", "2days", "1ms…1day"),
    ("--stop-timeout", "0", "1ms…1day"),
    ("--keep", "infinity", "7days"),
    ("--deadline", "later", "18:30"),
    ("--attempts", "0", "1…10000"),
    ("--backoff", "soon", "exponential:10s..1h"),
    ("--retry-on", "fine", "exit-code, signal"),
    ("--memory-growth", "0.5", "1…100"),
    ("--verify", "maybe", "exit|verdict"),
    ("--stdout", "file", "journal|spool"),
    ("--after", "x", "the id of a job"),
    ("--flow", "/nonexistent", "No such file"),
    ("--unique", "", "1 to 256 bytes"),
    ("--unique-policy", "maybe", "reject|return|replace"),
    ("--unique-scope", "maybe", "queued, live"),
    ("--array", "0", "how many at a time"),
    ("--env", "1X", "all, none"),
    ("--env", "", "all, none"),
    ("--env", "all,HOME", "-E"),
    ("--env", "HOME,none", "-E"),
    ("-E", "1=2", "NAME=VALUE"),
    ("-E", "=2", "NAME=VALUE"),
    ("-E", "NOT_SET_HERE", "not set here"),
    ("-C", "", "a directory"),
    ("-C", "/nonexistent", "No such file"),
    ("-C", "/etc/passwd", "Not a directory"),
    ("--script", "/nonexistent", "No such file"),
    ("--file", "/nonexistent", "No such file"),
    ("--payload", "/nonexistent", "No such file"),
    ("--payload", "", "a file"),
    ("--output", "%n", "%j is the job's id"),
    ("--error", "", "%j is the job's id"),
    ("--property", "MemoryMax=much", "a size such as"),
    ("--property", "NoSuchThing=1", "NoSuchThing="),
    ("--property", "MemoryMax", "NAME=VALUE"),
    ("--property", "ExecStart=/bin/true", "ExecStart="),
    ("--tag", "novalue", "KEY=VALUE"),
    ("--tag", "a b=c", "KEY=VALUE"),
    ("--tag", "k=" + "x" * 257, "256 bytes"),
    ("--tag", "k=a\tb", "KEY=VALUE"),
    ("--uid", "no-such-user", "there is no user no-such-user"),
    ("--callback", "ftp://example.org/", "http or https"),
    ("--callback-on", "finished", "started, success, failure, dead"),
    ("--credential", "x", "NAME of A-Z"),
    ("--on-success", "no-unit", "names of units"),
    ("--on-failure", "a b.service", "names of units"),
    ("--request-id", "", "1 to 128 bytes"),
    ("--request-id", "x" * 129, "1 to 128 bytes"),
    ("--json", "xml", "short|pretty|off"),
    ("--legend", "maybe", "yes, no"),
]


@pytest.mark.parametrize("option, value, allowed", BAD, ids=["%s %.12r" % (o, v) for o, v, _ in BAD])
def test_bad_values(running, option, value, allowed):
    argv = [option, value] if len(option) == 2 else ["%s=%s" % (option, value)]
    command = [] if option in ("--script", "--file", "--flow") else ["--", "true"]
    message = refused(running, "submit", *argv, *command)
    assert message.startswith("jobmill: submit: %s: " % option) and allowed in message, message
    assert len(message.splitlines()) == 1


OTHER_VERBS = [
    ("list", "--lines", "0", "1…4294967294"),
    ("logs", "--lines", "-1", "0…4294967294"),
    ("list", "--queue", "A,b", "a-z 0-9 _"),
    ("list", "--since", "soon", "18:30"),
    ("list", "--until", "later", "18:30"),
    ("logs", "--attempt", "0", "1…4294967294"),
    ("list", "--owner", "no-such-user", "no-such-user"),
    ("list", "--tag", "novalue", "KEY=VALUE"),
    ("list", "--state", "asleep", "held, waiting, ready, starting, running, stopping, done"),
    ("list", "--state", "", "held, waiting"),
    ("list", "--result", "fine", "success, exit-code"),
    ("list", "--columns", "nonsense", "ID, NAME"),
    ("list", "--order", "best", "newest|oldest|rank|finished"),
    ("wait", "--timeout", "long", "1h 30min"),
    ("kill", "--signal", "NOSUCH", "TERM"),
]


@pytest.mark.parametrize("verb, option, value, allowed", OTHER_VERBS)
def test_bad_values_of_other_verbs(running, verb, option, value, allowed):
    message = refused(running, verb, "%s=%s" % (option, value), status=125 if verb == "wait" else 1)
    assert message.startswith("jobmill: %s: %s: " % (verb, option)) and allowed in message, message


@pytest.mark.parametrize("key", ["state", "result"])
def test_words_are_those_of_the_daemon(running, key):
    with pytest.raises(client.BusError) as e:
        running.call("ListJobs", {key: "nonsense"}, "", 1)
    words = e.value.message.split(" only ")[1].removesuffix(" are")
    assert "(%s)" % words in refused(running, "list", "--%s=nonsense" % key)


def help_of(*verb):
    return subprocess.run([TOOL, "help", *verb], stdout=subprocess.PIPE, text=True, check=True).stdout.splitlines()


def options_with_values(*verb):
    """As the help shows them: "--name", or "-E" where there is only a letter."""
    for line in help_of(*verb):
        m = re.match(r"  (?:-., |    )(--[a-z-]+)=|  (-[A-Z]) [A-Z]", line)
        if m:
            yield m[1] or m[2]


def test_no_option_is_forgotten():
    """Each option that takes a value refuses one that makes no sense, by its name, but for those that take any text."""
    anything = {"--host", "--machine", "--name"}
    verbs = [l.strip().split("  ")[0] for l in help_of() if re.match(r"  [a-z]", l)]
    everywhere = set(options_with_values())
    assert {"submit", "queue set"} <= set(verbs) and "--json" in everywhere
    assert set(options_with_values("submit")) <= {o for o, *_ in BAD}
    for verb in set(verbs) - {"submit"}:
        own = set(options_with_values(*verb.split()))
        if verb == "schedule set":  # those of submit, as they are
            own -= set(options_with_values("submit"))
        for option in (everywhere | own) - anything:
            value = [option + "=\1"] if len(option) > 2 else [option, "\1"]
            p = subprocess.run([TOOL, *verb.split(), *value], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True)
            assert p.returncode != 0 and p.stdout == "", (verb, option)
            assert p.stderr.startswith("jobmill: %s: %s: " % (verb, option)) and p.stderr.count("\n") == 1, p


@pytest.mark.parametrize("argv, said", [
    (["--no-such-option", "true"], "submit: unknown option --no-such-option"),
    (["-Z", "true"], "submit: unknown option -Z"),
    (["--lines=4", "true"], "submit: --lines is an option of list, history, logs"),
    (["--priority"], "submit: --priority needs a value"),
    (["-q"], "submit: -q needs a value"),
    (["--hold=yes", "true"], "submit: --hold takes no value"),
    ([], "submit: a command, --type, --script, --file or --flow is missing"),
    (["--at=18:00", "--in=5s", "true"], "submit: --at and --in cannot be combined"),
    (["--script=x", "--payload=y"], "submit: --script"),
    (["--file=x", "--", "true"], "submit: --file takes no command"),
    (["--", "no-such-command"], "submit: no-such-command: command not found"),
    (["--", "./no-such-command"], "submit: ./no-such-command: No such file"),
    (["--", "/etc/passwd"], "submit: /etc/passwd: Permission denied"),
    (["--", "true", b"\xff"], "submit: word 2 of the command is not UTF-8"),
    (["--", "true", "x" * 131072], None),
], ids=lambda v: None if isinstance(v, str) else "")
def test_refused(running, argv, said):
    if said is None:  # the kernel itself takes no longer word
        with pytest.raises(OSError):
            tool(running, "submit", *argv)
        return
    p = subprocess.run([*argv_of(["submit"]), *argv], env=environment(running, PATH="/usr/bin:/bin"), stdin=subprocess.DEVNULL,
                       stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert p.returncode == 1 and p.stdout == b"" and p.stderr.decode().startswith("jobmill: " + said), p
    assert running.jobs() == []


def test_all_numbers_are_those_of_the_spec(running):
    """What the options allow, the daemon allows."""
    for argv in (["--priority=-1000", "--slots=1"], ["--priority=1000"], ["--name=" + "x" * 128], ["--tag", "k=" + "x" * 256],
                 ["--tag", "k" * 64 + "="], ["--timeout=1ms"], ["--stop-timeout=1ms"], ["--stop-timeout=1day"],
                 ["--timeout=infinity"]):
        submit(running, "--hold", *argv, "--", "true")
    running.queue("wide", Slots=65536, AllowUsers="*")
    running.call("Reload")
    submit(running, "-q", "wide", "--slots=65536", "--hold", "--", "true")


def test_options_end_at_the_command(running, home):
    id_ = submit(running, "-n", "n", "sh", "-c", 'printf "%s|" "$@" >out', "sh", "-n", "--hold", "--", "-q", cwd=home)
    assert running.result(id_) == "success"
    assert (home / "out").read_text() == "-n|--hold|--|-q|"
    assert running.info(id_)["name"] == "n"


def test_words_arrive_as_they_are(running, home):
    words = ["$HOME", "${X}", "%h %%", "two\nlines", "", " blank ", "ü", "\\n", "'", '"', "*", ";", "x" * 131071]
    id_ = submit(running, "--", "python3", "-c", "import sys, json; json.dump(sys.argv[1:], open('out', 'w'))", *words, cwd=home)
    assert running.result(id_) == "success"
    assert json.loads((home / "out").read_text()) == words


def test_relative_commands_and_path(running, home):
    (home / "bin").mkdir()
    program = home / "bin/own-program"
    program.write_text("#!/bin/sh\necho $0 >>out\n")
    program.chmod(0o755)
    assert running.result(submit(running, "--", "bin/own-program", cwd=home)) == "success"
    path = "%s/bin:%s" % (home, os.environ["PATH"])
    assert running.result(submit(running, "--", "own-program", cwd=home, env={"PATH": path})) == "success"
    assert running.result(submit(running, "-C", "bin", "--", "./own-program", cwd=home)) == "success"
    assert "command not found" in tool(running, "submit", "--", "own-program", cwd=home, check=False).stderr


def test_last(running):
    assert "you have no job" in tool(running, "show", "@last", check=False).stderr
    id_ = submit(running, "--", "true")
    assert tool(running, "wait", "@last") == "%d success\n" % id_
    assert json.loads(tool(running, "show", "--json=short", "@last"))[0]["id"] == id_


def test_environment(running, home):
    def seen(*options, **env):
        id_ = submit(running, *options, "--", "/bin/sh", "-c", 'echo "$ONE,$TWO,$THREE" >out', cwd=home, env=env)
        assert running.result(id_) == "success"
        return (home / "out").read_text().strip()

    assert seen(ONE=1, TWO=2) == "1,2,"
    assert seen("--env=all", ONE=1, TWO=2) == "1,2,"
    assert seen("--env=TWO,THREE", ONE=1, TWO=2) == ",2,"
    assert seen("--env=none", "-E", "ONE", "-E", "THREE=x=y", ONE=1, TWO=2) == "1,,x=y"
    assert seen("-E", "TWO=other", ONE=1, TWO=2) == "1,other,"


# -- scripts --

SCRIPTS = [
    ("sh", 'echo "$1" >out; read x && echo "read $x" >>out; echo end >>out\n'),
    ("sh -e", '#!/bin/sh -e\necho "$1" >out; echo end >>out; false; echo never >>out\n'),
    ("bash", '#! /bin/bash \na=("$@"); echo "${a[0]}" >out; cat >>out; echo end >>out\n'),
    ("python", "#!/usr/bin/env python3\nimport sys\nopen('out', 'w').write(sys.argv[1] + '\\n' + sys.stdin.read() + 'end\\n')\n"),
    ("perl", "#!/usr/bin/perl -w\nopen(F, '>out'); print F $ARGV[0], \"\\n\", <STDIN>, \"end\\n\";\n"),
    ("awk", '#!/usr/bin/awk -f\nBEGIN { print ARGV[1] >"out"; print "end" >"out" }\n'),
    ("long", "#!/bin/sh\n" + "# padding\n" * 200_000 + 'echo "$1" >out; echo end >>out\n'),
]


@pytest.mark.parametrize("text", [t for _, t in SCRIPTS], ids=[n for n, _ in SCRIPTS])
def test_script(running, home, text):
    (home / "job.sh").write_text(text)
    id_ = submit(running, "--script", "job.sh", "--", "an argument", "--hold", cwd=home)
    (home / "job.sh").unlink()  # what was submitted counts
    running.wait(id_)
    assert (home / "out").read_text() == "an argument\nend\n"
    assert running.info(id_)["name"] == "job.sh"


def test_script_from_standard_input(running, home):
    id_ = submit(running, "--script", "-", "one", cwd=home, stdin=None, input='echo "$# $1" >out\n')
    assert running.result(id_) == "success"
    assert (home / "out").read_text() == "1 one\n"


def test_script_typed_on_a_terminal(running):
    t = Terminal(running, "submit", "--script=-")
    t.read("^D")
    t.type("exit 3\n\x04")
    assert t.end() == 0
    assert running.wait(1)[1]["exit_status"] == 3


@pytest.mark.parametrize("text, said", [
    (b"\x7fELF\0\0", "NUL"), (b"", "is empty"), (b"\n \n", "is empty"), (b"#!/bin/sh\r\necho\r\n", "DOS"),
    (b"#!\necho\n", "names no interpreter"), (b"#!/no/such/interpreter\n", "/no/such/interpreter: No such file"),
    (b"#JOBMILL --no-such-option\n", "job.sh:1: unknown option --no-such-option"),
    (b"#!/bin/sh\n\n#JOBMILL -q 'x\n", "job.sh:3: a quote is not closed"),
    (b"#!/bin/sh\n#JOBMILL --priority 5000\n", "job.sh:2: --priority: '5000' is not allowed (-1000…1000)"),
    (b"#JOBMILL --script other\n", "job.sh:1: --script, --file and --payload"),
    (b"#JOBMILL word\n", "job.sh:1: 'word' is not an option"),
])
def test_no_script(running, home, text, said):
    (home / "job.sh").write_bytes(text)
    assert said in refused(running, "submit", "--script", "job.sh", cwd=home)


def test_options_in_the_script(running, home):
    (home / "job.sh").write_text("""#!/bin/sh
#JOBMILL --name "two words" --priority 5   # why
#JOBMILL --tag from=script --tag kind=script --timeout 2h

# JOBMILL --hold
#JOBMILLS --hold
true
#JOBMILL --hold
""")
    id_ = submit(running, "--priority=7", "--tag", "kind=line", "--script", "job.sh", cwd=home)
    info = running.info(id_)
    assert (info["name"], info["priority"], info["timeout_usec"]) == ("two words", 7, 7200 * 10**6)
    assert info["tags"] == {"from": "script", "kind": "line"}
    assert running.result(id_) == "success"


# -- dry runs --

def test_dry_run(running, home):
    text = tool(running, "submit", "--dry-run", "-n", "trial", "-p", "MemoryMax=1G", "--", "sh", "-c", "echo $HOME", cwd=home)
    assert "[Service]" in text and "MemoryMax=1G" in text.replace("1073741824", "1G") and str(home) in text
    for argv, said in ((["-q", "missing", "--", "true"], "missing"), (["--slots=60000", "--", "true"], "slots")):
        assert said in refused(running, "submit", "--dry-run", *argv)
    (home / "job.sh").write_text("#JOBMILL --dry-run\ntrue\n")
    assert "[Service]" in tool(running, "submit", "--script", "job.sh", cwd=home)
    assert running.jobs() == []


@pytest.mark.parametrize("mode", ["short", "pretty"])
def test_dry_run_as_json_is_a_line_for_file(running, home, mode):
    argv = ["-n", "trial", "--priority=3", "--tag", "a=b", "-E", "ODD=two\nlines", "-p", "Nice=2", "--timeout=1h", "-q", "default",
            "--payload=-", "--", "sh", "-c", "{ echo $ODD; cat; } >out"]
    line = tool(running, "--json=" + mode, "submit", "--dry-run", *argv, cwd=home, stdin=None, input="ü\n")
    assert running.jobs() == []
    (home / "j").write_text(json.dumps(json.loads(line)) + "\n")
    id_ = int(tool(running, "submit", "--env=none", "--file", home / "j", cwd="/"))
    other = int(tool(running, "submit", *argv, cwd=home, stdin=None, input="ü\n"))
    assert running.result(id_) == running.result(other) == "success"
    keys = ("name", "priority", "tags", "cwd", "timeout_usec", "queue", "argv")
    assert {k: running.info(id_)[k] for k in keys} == {k: running.info(other)[k] for k in keys}
    assert (home / "out").read_text() == "two lines\nü\n"


# -- waiting --

@pytest.mark.parametrize("script, status", [("exit 0", 0), ("exit 7", 7), ("kill -TERM $$", 143), ("kill -KILL $$", 137)])
def test_wait(running, script, status):
    assert tool(running, "submit", "--wait", "--", "sh", "-c", script, check=False).returncode == status


def test_interrupted_wait(running):
    p = subprocess.Popen(argv_of(["submit", "--wait", "--", "sleep", "60"]), env=environment(running), text=True,
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    id_ = int(p.stdout.readline())
    running.reach(id_, "running")
    p.send_signal(signal.SIGINT)
    _, said = p.communicate(timeout=20 * SLOW)
    assert p.returncode == -signal.SIGINT, "as every program that is interrupted"
    assert said == "jobmill: job %d goes on; to wait for it again: jobmill wait %d\n" % (id_, id_)
    assert running.state(id_) == "running"
    running.call("CancelJob", id_)
    t = Terminal(running, "submit", "--wait", "--", "sleep", "60")
    t.read("%d\r\n" % (id_ + 1))
    running.reach(id_ + 1, "running")
    t.type("\x03")
    t.read()
    assert "^C\r\njobmill: job %d goes on" % (id_ + 1) in t.shown, "on a line of its own: %r" % t.shown
    running.call("CancelJob", id_ + 1)
