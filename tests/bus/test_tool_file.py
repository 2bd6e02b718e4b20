# SPDX-License-Identifier: LGPL-2.1-or-later
"""jobmill submit --file: many jobs from lines of JSON, in order, all of a file or nothing, and never twice."""

import base64
import json
import os
import signal
import subprocess
import threading
import time

import pytest

from conftest import SLOW, until
from tool import SEQUENCE, Terminal, argv_of, environment, tool

HELD = ["--env=none", "--hold"]


@pytest.fixture
def home(running):
    path = running.folder / "work"
    path.mkdir()
    return path


def write(path, *lines):
    path.write_text("".join((l if isinstance(l, str) else json.dumps(l)) + "\n" for l in lines))
    return path


def ids_of(text):
    return [int(l) for l in text.splitlines()]


def jobs(mill, *fields):
    return {j["id"]: j for j in mill.jobs(fields=["id", *fields])}


def test_each_line_is_a_job(running, home):
    data = os.urandom(3000)
    lines = write(home / "jobs.jsonl",
                  {"argv": ["sh", "-c", "cat >one"], "payload": "text\n"},
                  "  ",
                  {"argv": ["sh", "-c", "cat >two"], "payload_base64": base64.b64encode(data).decode()},
                  "",
                  {"argv": ["sh", "-c", 'echo "$0 $A $B $C" >three', "$HOME %"], "environment": ["B=line"], "name": "last"})
    out = tool(running, "submit", "-E", "A=option", "-E", "B=option", "-n", "usual", "--file", lines, cwd=home, env={"C": "mine"})
    ids = ids_of(out)
    assert ids == [1, 2, 3]
    assert [running.result(i) for i in ids] == ["success"] * 3
    assert (home / "one").read_text() == "text\n" and (home / "two").read_bytes() == data
    assert (home / "three").read_text() == "$HOME % option line mine\n"
    assert [running.info(i)["name"] for i in ids] == ["usual", "usual", "last"]


def test_lines_go_before_options(running, home):
    running.queue("other", Slots=1, AllowUsers="*")
    running.call("Reload")
    write(home / "j", {"argv": ["true"]},
          {"argv": ["true"], "queue": "other", "priority": 0, "tags": {"a": "line", "c": "line"}, "cwd": "/usr", "hold": False,
           "properties": ["Nice=3", "MemoryMax=2G"], "slots": 1, "timeout_usec": 5000000})
    tool(running, "submit", "--priority=4", "--tag", "a=option", "--tag", "b=option", "--hold", "-p", "MemoryMax=1G", "--timeout",
         "1h", "--file", "j", cwd=home)
    one, two = running.info(1), running.info(2)
    assert (one["queue"], one["priority"], one["tags"], one["cwd"], one["state"]) == (
        "default", 4, {"a": "option", "b": "option"}, str(home), "held")
    assert (two["queue"], two["priority"], two["tags"], two["cwd"]) == ("other", 0, {"a": "line", "b": "option", "c": "line"}, "/usr")
    assert (one["timeout_usec"], two["timeout_usec"]) == (3600 * 10**6, 5 * 10**6)
    assert running.result(2) == "success"


BAD = [
    ('{"argv": "true"}', "'argv' must be an array of text"),
    ('{"argv": []}', "'argv' is empty"),
    ('{}', "'argv' is empty"),
    ('{"argv": ["true"], "nosuch": 1}', "unknown key 'nosuch'"),
    ('{"argv": ["true"], "priority": 5000}', "'priority' must be -1000 to 1000, not 5000"),
    ('{"argv": ["true"], "priority": "high"}', "'priority' must be an integer"),
    ('{"argv": ["true"], "queue": "A"}', "'queue' is not the name of a queue"),
    ('{"argv": ["true"], "queue": 4}', "'queue' must be text"),
    ('{"argv": ["true"], "properties": ["MemoryMax=much"]}', "'properties': MemoryMax="),
    ('{"argv": ["true"], "payload_base64": "?"}', "'payload_base64' is not base64"),
    ('{"argv": ["true"], "cwd": "relative"}', "'cwd' is not an absolute path"),
    ('{"argv": ["no-such-command"]}', "no-such-command: command not found"),
    ('{"argv": ["true"]', "JSON ends too early"),
    ('{"argv": ["true"]} {}', "there is more behind the JSON object"),
    ('["true"]', "not a JSON object"),
    ("# comment", "not JSON"),
]


@pytest.mark.parametrize("line, said", BAD)
def test_bad_line(running, home, line, said):
    write(home / "j", *[{"argv": ["true"]}] * 3, "", line, {"argv": ["true"]})
    p = tool(running, "submit", "--file", "j", cwd=home, check=False, env={"PATH": "/usr/bin:/bin"})
    assert p.returncode == 1 and p.stdout == ""
    first, second = p.stderr.splitlines()
    assert first.startswith("jobmill: submit: j:5: ") and said in first, first
    assert second == "jobmill: submit: j: nothing was submitted"
    assert running.jobs() == []


def test_bad_line_at_the_very_end(running, home):
    with open(home / "j", "w") as f:
        f.write('{"argv":["true"]}\n' * 20_000 + '{"argv":["true"],"slots":0}\n')
    p = tool(running, "submit", *HELD, "--file", "j", cwd=home, check=False)
    assert p.returncode == 1 and p.stdout == "" and "j:20001: 'slots' must be 1 to 65536, not 0" in p.stderr
    assert running.jobs(limit=1) == []


def test_bad_line_in_a_pipe(running):
    """It cannot be read twice: what went before is said."""
    text = '{"argv":["/bin/true"]}\n' * 5500 + "{}\n"
    p = tool(running, "submit", *HELD, "--request-id=again", "--file", "-", check=False, stdin=None, input=text)
    n = len(p.stdout.splitlines())
    assert p.returncode == 1 and n == 5000
    assert "standard input:5501: 'argv' is empty" in p.stderr
    assert "%d jobs were submitted, of the lines up to %d. To go on, repeat it with --request-id=again" % (n, n) in p.stderr
    assert len(running.jobs(fields=["id"])) == n


def test_refused_by_the_daemon(running, home):
    """It knows what the tool does not; the line is named, and nothing of the chunk was taken."""
    write(home / "j", {"argv": ["true"]}, "", {"argv": ["true"], "queue": "missing"})
    p = tool(running, "submit", "--file", "j", cwd=home, check=False)
    assert p.returncode == 1 and "submit: j:3: " in p.stderr and "missing" in p.stderr and "nothing was submitted" in p.stderr
    assert running.jobs() == []


@pytest.mark.parametrize("argv, said", [
    (["--file=/nonexistent"], "--file: /nonexistent: No such file"),
    (["--file=/"], "--file: /: Is a directory"),
    (["--file="], "--file: '' is not allowed"),
])
def test_no_file(running, argv, said):
    assert said in tool(running, "submit", *argv, check=False).stderr


def test_empty_file(running, home):
    write(home / "j", "", "  ")
    p = tool(running, "submit", "--file", "j", cwd=home, check=False)
    assert (p.returncode, p.stdout, p.stderr) == (0, "", "jobmill: j has no jobs\n")


def test_no_newline_at_the_end(running, home):
    (home / "j").write_text('{"argv":["true"]}\n{"argv":["true"]}')
    assert ids_of(tool(running, "submit", "--file", "j", cwd=home)) == [1, 2]


def test_standard_input_that_is_a_file(running, home):
    """Also looked through first; from where it stands."""
    write(home / "j", "no JSON at all", {"argv": ["true"]}, {"argv": ["true"]})
    with open(home / "j") as f:
        os.lseek(f.fileno(), len("no JSON at all\n"), os.SEEK_SET)
        assert ids_of(tool(running, "submit", "--file", "-", stdin=f)) == [1, 2]


def test_large_lines(running, home):
    """Payloads of 16 MiB, of which a message holds one."""
    data = os.urandom(16 * 1024 * 1024)
    line = {"argv": ["sh", "-c", "cksum >$0", "x"], "payload_base64": base64.b64encode(data).decode()}
    write(home / "j", *[dict(line, argv=[*line["argv"][:-1], "out%d" % n]) for n in range(2)])
    ids = ids_of(tool(running, "submit", "--file", "j", cwd=home))
    assert [running.result(i, 30) for i in ids] == ["success"] * 2
    assert (home / "out0").read_text() == (home / "out1").read_text()
    (home / "k").write_text('{"argv":["' + "x" * (33 << 20) + '"]}\n')
    assert "k:1: the line is longer than 32 MiB" in tool(running, "submit", "--file", "k", cwd=home, check=False).stderr


def test_wait(running, home):
    write(home / "j", {"argv": ["true"]}, {"argv": ["sh", "-c", "exit 3"]}, {"argv": ["true"]})
    p = tool(running, "submit", "--wait", "--file", "j", cwd=home, check=False)
    assert p.returncode == 3 and ids_of(p.stdout) == [1, 2, 3]


def test_dry_run(running, home):
    write(home / "j", {"argv": ["true"]}, {"argv": ["true"]})
    assert tool(running, "submit", "--dry-run", "--file", "j", cwd=home) == "2 jobs, not submitted\n"
    write(home / "j", {"argv": ["true"]}, {"argv": [1]})
    assert "j:2: " in tool(running, "submit", "--dry-run", "--file", "j", cwd=home, check=False).stderr
    assert running.jobs() == []


def lines_through_a_pipe(mill, n, *options):
    """(ids, peak memory of the tool in KiB). It reads the peak before the tool ends: what wait4() says counts the process
    that it was forked from, too."""
    p = subprocess.Popen(argv_of(["submit", *options, "--file", "-"]), env=environment(mill), stdin=subprocess.PIPE,
                         stdout=subprocess.PIPE)

    def feed():
        for k in range(n):
            p.stdin.write(b'{"argv":["/bin/echo","%d"],"tags":{"n":"%d"}}\n' % (k, k))
        p.stdin.flush()

    feeder = threading.Thread(target=feed)
    feeder.start()
    ids = [int(p.stdout.readline()) for _ in range(n * 9 // 10)]
    feeder.join()
    with open("/proc/%d/status" % p.pid) as f:
        peak = next(int(l.split()[1]) for l in f if l.startswith("VmHWM"))
    p.stdin.close()
    ids += ids_of(p.stdout.read().decode())
    assert p.wait() == 0
    return ids, peak


def test_many_lines_in_bounded_memory(running):
    few, small = lines_through_a_pipe(running, 10_000, *HELD)
    before = time.monotonic()
    many, large = lines_through_a_pipe(running, 60_000, *HELD)
    print("60,000 lines: %.1f s, %d KiB" % (time.monotonic() - before, large))
    assert few == list(range(1, 10_001)) and many == list(range(10_001, 70_001)), "ids in the order of the lines"
    # Sanitizers keep what was freed.
    assert large < 1.3 * small or SLOW > 1, "%d KiB instead of %d" % (large, small)
    for i in (1, 5000, 10_001, 30_001, 70_000):
        assert running.info(i)["tags"] == {"n": str(i - 1 if i <= 10_000 else i - 10_001)}


def test_typed_on_a_terminal(running):
    t = Terminal(running, "submit", *HELD, "--file=-")
    t.read("^D")
    t.type('{"argv":["/bin/true"]}\n\x04')
    assert t.end() == 0 and len(running.jobs()) == 1


# -- progress --

def test_progress_on_a_terminal(running, home):
    (home / "j").write_text('{"argv":["/bin/true"]}\n' * 30_000)
    t = Terminal(running, "submit", *HELD, "--file", home / "j", columns=60)
    assert t.end() == 0
    assert "lines checked" in t.shown and "%" in t.shown and "━" in t.shown
    assert all(len(part) < 60 for part in SEQUENCE.sub("", t.shown).replace("\n", "\r").split("\r"))
    assert t.shown.endswith(("\n", "\r\x1b[K")), "nothing of the bar is left: %r" % t.shown[-80:]

    t = Terminal(running, "submit", *HELD, "--file", home / "j", columns=80, env={"LC_ALL": "C"})
    assert t.end() == 0 and "#" in t.shown and "━" not in t.shown
    t = Terminal(running, "--quiet", "submit", *HELD, "--file", home / "j")
    assert t.end() == 0 and "\r\n" in t.shown and "lines" not in t.shown and "\x1b" not in t.shown


# -- interruption --

def test_output_that_closes(running, home):
    """`submit --file … | head -1`: not a silent end amidst the lines."""
    write(home / "j", *[{"argv": ["/bin/true"]}] * 5000)
    p = subprocess.Popen(argv_of(["submit", *HELD, "--request-id=head", "--file", home / "j"]), env=environment(running),
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert p.stdout.readline() == "1\n"
    p.stdout.close()
    said = p.stderr.read()
    assert p.wait() == 1
    n = len(running.jobs(fields=["id"]))
    assert 0 < n < 5000 and "%d jobs were submitted, of the lines up to %d" % (n, n) in said and "--request-id=head" in said, said
    assert tool(running, "submit", *HELD, "--request-id=head", "--file", home / "j").count("\n") == 5000
    assert len(running.jobs(fields=["id"])) == 5000


def test_interrupted(running):
    p = subprocess.Popen(argv_of(["submit", *HELD, "--request-id=again", "--file", "-"]), env=environment(running),
                         stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    p.stdin.write('{"argv":["/bin/true"]}\n' * 5000)
    p.stdin.flush()
    n = 0
    while n < 2000:
        assert p.stdout.readline()
        n += 1
    until(lambda: len(running.jobs(fields=["id"])) >= 5000, 10, "five chunks")
    p.send_signal(signal.SIGINT)
    out, said = p.communicate(timeout=20 * SLOW)
    n += len(out.splitlines())
    assert p.returncode == -signal.SIGINT
    assert "5000 jobs were submitted, of the lines up to 5000" in said and "--request-id=again" in said and n == 5000, said
