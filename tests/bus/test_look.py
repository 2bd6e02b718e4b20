# SPDX-License-Identifier: LGPL-2.1-or-later
"""The tool where it shows things: lists, the overview, on terminals of any width, in any locale, through a pager, into
pipes that close and disks that are full."""

import json
import os
import pathlib
import pwd
import re
import resource
import subprocess
import time

import pytest

import client
from conftest import SLOW, until
from tool import SEQUENCE, Terminal, argv_of, environment, on_terminal, tool, width

ME = pwd.getpwuid(os.geteuid()).pw_name
WIDE = "名前の長いジョブです、とても長い名前"


@pytest.fixture
def stocked(mill):
    """Jobs of all kinds in three queues."""
    mill.queue("gpu", Slots=1, AllowUsers="*")
    mill.queue("night", Slots=8, AllowUsers="*", Paused="yes")
    mill.start()
    mill.good = mill.submit_many(["true"] * 3, name="good", tags={"kind": "a"})
    mill.bad = [mill.submit("exit 4", name=WIDE, tags={"kind": "b", "x": "1"}), mill.submit("kill -9 $$", name="gone\u202e")]
    mill.all_done(mill.good + mill.bad)
    mill.live = mill.submit("sleep 60", queue="gpu", name="train")
    mill.reach(mill.live, "running")
    mill.full = mill.submit("true", queue="gpu", name="next-to-train", priority=3)
    mill.night = mill.submit("true", queue="night", name="backup")
    mill.held = mill.submit("true", hold=True)
    mill.later = mill.submit("true", not_before_usec=int((time.time() + 7200) * 1e6))
    yield mill
    mill.call("CancelJob", mill.live)


def listed(mill, *argv):
    return [int(line.split()[0]) for line in tool(mill, "list", "--no-legend", *argv).splitlines()]


def test_list_filters(stocked):
    m = stocked
    done = m.good + m.bad
    assert listed(m) == list(range(m.later, 0, -1))
    assert listed(m, "--reverse") == listed(m, "--order", "oldest") == list(range(1, m.later + 1))
    assert listed(m, "-n", "2") == [m.later, m.held]
    assert listed(m, "-q", "gpu") == [m.full, m.live]
    assert listed(m, "-q", "gpu,night") == [m.night, m.full, m.live]
    assert listed(m, "--state", "held,waiting") == [m.later, m.held]
    assert listed(m, "--result", "exit-code,signal") == m.bad[::-1] == listed(m, "--dead")
    assert listed(m, "--name", "good") == m.good[::-1]
    assert listed(m, "--tag", "kind=b", "--tag", "x=1") == [m.bad[0]]
    assert listed(m, "--tag", "kind=a", "--dead") == []
    assert listed(m, "--owner", ME, "--state=done", "--result=success", "--tag", "kind=a", "-q", "default",
                  "--since", "-1h", "--until", "+1h") == m.good[::-1]
    assert listed(m, "--owner", "%d" % (os.geteuid() + 1)) == []
    assert listed(m, "--since", "+1h") == [] == listed(m, "--until", "-1h")
    assert listed(m, "--order=rank", "-q", "gpu") == [m.full]
    assert sorted(listed(m, "--order=finished")) == sorted(done)


@pytest.mark.parametrize("argv,words", [
    (["--state=runing"], ["state", "runing", "running", "held"]),
    (["--result=sucess"], ["result", "sucess", "exit-code", "oom-kill"]),
    (["--owner=nosuchuser"], ["--owner", "nosuchuser"]),
    (["--tag=novalue"], ["--tag", "novalue", "KEY=VALUE"]),
    (["--since=soonish"], ["--since", "soonish"]),
    (["--order=biggest"], ["--order", "biggest"]),
    (["--columns=ID,BOGUS"], ["--columns", "BOGUS", "ID", "NAME", "SUBMITTED"]),
    (["--columns="], ["--columns"]),
    (["-n", "0"], ["--lines"]),
    (["-n", "many"], ["--lines", "many"]),
    (["--queue="], ["--queue"]),
    (["--json=xml"], ["--json", "xml"]),
])
def test_bad_values_are_named(running, argv, words):
    p = tool(running, "list", *argv, check=False)
    assert p.returncode == 1 and p.stdout == "" and all(w in p.stderr for w in words), p


def test_reasons(stocked):
    def reason(id_):
        row = next(l for l in tool(stocked, "list", "-o", "id,reason").splitlines() if l.split()[0] == str(id_))
        return " ".join(row.split()[1:])

    assert reason(stocked.full) == "cap of gpu: 1 of 1"
    assert reason(stocked.night) == "queue night is paused"
    assert re.fullmatch(r"due in 1h 59min", reason(stocked.later))
    assert reason(stocked.held) == "", "STATE says it"
    assert reason(stocked.good[0]) == ""
    assert "REASON" not in tool(stocked, "list", "--state=held,done,running")


def test_columns(stocked):
    lines = tool(stocked, "list", "--columns=id,Tags,COMMAND", "-n", "9").splitlines()
    assert lines[0].split() == ["ID", "TAGS", "COMMAND"]
    assert any(re.fullmatch(r" *4 kind=b x=1 /bin/sh -c 'exit 4'", l) for l in lines), lines
    assert tool(stocked, "list", "--columns=+UNIT").splitlines()[0].split()[-2:] == ["REASON", "UNIT"]
    text = tool(stocked, "list", "--columns=help")
    assert len(text.splitlines()) > 20
    names = [l.split()[0] for l in text.splitlines()]
    full = tool(stocked, "list", "--columns", ",".join(names)).splitlines()
    assert full[0].split() == names, "all columns that help tells can be had"
    assert len(full) == 1 + stocked.later


@pytest.mark.parametrize("columns", [40, 60, 80, 120, 200])
@pytest.mark.parametrize("argv", [["list"], ["queue", "list"], []], ids=["list", "queue-list", "overview"])
def test_nothing_wraps(stocked, argv, columns):
    for locale in ("C.UTF-8", "C"):
        text = on_terminal(stocked, *argv, columns=columns, env={"LC_ALL": locale})
        assert max(width(l) for l in text.splitlines()) <= columns, text
        assert not any(l.endswith(" ") for l in text.splitlines()), text
        if locale == "C":
            assert text.isascii()


def test_nothing_but_ascii_where_the_locale_has_no_more(stocked):
    verbs = re.findall(r"^  (\w+(?: \w+)?)  ", tool(stocked, "help"), re.M)
    assert len(verbs) > 15 and "queue list" in verbs
    for argv in (["help"], *(["help", *v.split()] for v in verbs), ["show", stocked.bad[0]], ["queue", "show", "gpu"], ["stats"]):
        assert tool(stocked, *argv, env={"LC_ALL": "C"}).isascii(), argv
    p = tool(stocked, "queue", "show", check=False, env={"LC_ALL": "C"})
    assert p.stderr.isascii() and "QUEUE..." in p.stderr
    assert "…" in tool(stocked, "help"), "elsewhere it is as it was"
    assert json.loads(tool(stocked, "list", "-j", env={"LC_ALL": "C"}))[-stocked.bad[0]]["name"] == WIDE, "JSON is UTF-8"


@pytest.mark.parametrize("columns,kept", [(40, ["ID", "NAME", "STATE", "RUN"]),
                                          (80, ["ID", "NAME", "QUEUE", "OWNER", "STATE", "RUN", "MEMORY", "REASON"]),
                                          (200, ["ID", "NAME", "QUEUE", "OWNER", "STATE", "RUN", "CPU", "MEMORY", "REASON"])])
def test_what_matters_stays(stocked, columns, kept):
    lines = on_terminal(stocked, "list", columns=columns).splitlines()
    assert lines[0].split() == kept
    assert len([l for l in lines if "exit-code 4" in l]) == 1
    ends = {width(l[:l.index(w)]) for l in lines for w in ("exit-code", "success", "running", "held ", "ready") if w in l}
    assert len(ends) == 1, "wide characters keep the columns in line: %s" % lines


def test_overview_fits_a_screen(stocked):
    stocked.all_done(stocked.submit_many(["exit 1"] * 9))
    stocked.submit_many(["true"] * 30, queue="night")
    for lines in (24, 50):
        text = on_terminal(stocked, lines=lines)
        assert len(text.splitlines()) < lines
        for word in ("Running", "train", "Next", "Failed lately", "exit-code 1", "cap of gpu: 1 of 1", "night", "paused"):
            assert word in text, text
    assert "Next (" in on_terminal(stocked, lines=24) and "of 32:" in on_terminal(stocked, lines=24)
    assert len(tool(stocked).splitlines()) < 24


def test_overview_of_an_empty_machine(running):
    text = tool(running)
    assert "nothing to do" in text and "jobmill submit -- echo hello" in text


def test_overview_has_the_queues_of_the_list(stocked):
    (stocked.folder / "config/queues/night.queue").rename(stocked.folder / "night")
    stocked.call("CancelJob", stocked.night)
    stocked.call("ResumeQueue", "night")
    stocked.call("Reload")
    assert "night" not in tool(stocked, "queue", "list")
    assert "no file" not in tool(stocked)


def test_overview_json(stocked):
    o = json.loads(tool(stocked, "--json=short"))
    assert list(o) == ["statistics", "queues", "running", "next", "failed"]
    assert [j["id"] for j in o["running"]] == [stocked.live]
    assert {j["id"] for j in o["next"]} == {stocked.full, stocked.night}
    assert [j["id"] for j in o["failed"]] == stocked.bad[::-1]
    assert {q["name"] for q in o["queues"]} == {"default", "gpu", "night"}


def test_colours(stocked):
    def colourful(**env):
        return "\x1b[3" in on_terminal(stocked, "list", env=env, raw=True)

    assert colourful()
    assert not colourful(NO_COLOR="1") and not colourful(SYSTEMD_COLORS="0") and not colourful(TERM="dumb")
    assert colourful(NO_COLOR="1", SYSTEMD_COLORS="1") and colourful(SYSTEMD_COLORS="256")
    text = on_terminal(stocked, "list", raw=True)
    assert "\x1b[31mexit-code 4\x1b[0m" in text and "\x1b[32msuccess\x1b[0m" in text
    assert "\x1b" not in tool(stocked, "list")
    assert "\x1b[31m" in tool(stocked, "list", env={"SYSTEMD_COLORS": "1"})


def test_control_characters(mill):
    mill.start()
    mill.submit(["/bin/echo", "\x1b[2J\x07\n\x9b", "café\u202e"], hold=True)
    for argv in (["list"], ["show", 1], []):
        for text in (tool(mill, *argv), on_terminal(mill, *argv, env={"NO_COLOR": "1"}, raw=True)):
            assert "\\x1b[2J\\x07\\x0a\\xc2\\x9b" in text.replace("…", "") or argv == [] or "…" in text, text
            assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]", text.replace("\r\n", "\n")), repr(text)


def test_legend(stocked):
    assert on_terminal(stocked, "list").endswith("\n10 jobs listed.\n")
    assert on_terminal(stocked, "list", "-n1").endswith("\n1 job listed; there are more.\n")
    for option in ("--no-legend", "--legend=no"):
        text = on_terminal(stocked, "list", option)
        assert "listed" not in text and "STATE" not in text
    assert "listed" not in on_terminal(stocked, "list", "--quiet")
    assert "listed" not in tool(stocked, "list", "--legend=yes")
    p = tool(stocked, "list", "--name", "nobody", check=False)
    assert (p.returncode, p.stdout, p.stderr) == (0, "", "No job matches.\n")
    assert tool(stocked, "list", "--quiet", "--name", "nobody") == ""


# ---- pages ----


@pytest.fixture(scope="module")
def many_lines():
    return 3500


@pytest.fixture
def crowd(mill, many_lines):
    mill.start()
    for first in range(0, many_lines, 500):
        mill.call("SubmitMany", [client.entry("", ["/bin/true"], hold=True, name="n%d" % n) for n in range(first, first + 500)])
    return mill


def test_all_pages(crowd, many_lines):
    lines = tool(crowd, "list").splitlines()
    assert [int(l.split()[0]) for l in lines[1:]] == list(range(many_lines, 0, -1))
    assert len({l.index(" held") for l in lines[1:]}) == 1, "every page has the shape of the first"
    lines = tool(crowd, "list", "-r").splitlines()
    assert len({l.index(" held") for l in lines[1:]}) == 1
    rows = json.loads(tool(crowd, "list", "-j"))
    assert [r["id"] for r in rows] == list(range(many_lines, 0, -1))
    assert [r["id"] for r in json.loads(tool(crowd, "list", "-j", "-n", "1500"))] == list(range(many_lines, many_lines - 1500, -1))
    assert on_terminal(crowd, "list").endswith("\n3500 jobs listed.\n")


def peak_memory(mill, *argv):
    """KiB of the tool's own."""
    script = "import os, resource, subprocess, sys; subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, check=True); " \
             "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    p = subprocess.run(["/usr/bin/python3", "-c", script, *argv_of(argv)], env=environment(mill), stdout=subprocess.PIPE, check=True)
    return int(p.stdout)


@pytest.mark.plain
def test_memory_is_that_of_a_page(crowd):
    for options in ([], ["-j"]):
        one = min(peak_memory(crowd, "list", "-n", "1000", *options) for _ in range(2))
        all_ = min(peak_memory(crowd, "list", *options) for _ in range(2))
        assert all_ <= 1.25 * one, (one, all_)


# ---- pager ----


def pager_script(folder):
    path = folder / "pager"
    path.write_text("#!/bin/sh\necho \"[pager LESS=$LESS SECURE=$LESSSECURE CHARSET=$LESSCHARSET]\"; cat\n")
    path.chmod(0o755)
    return path


def through(mill, *argv, **env):
    t = Terminal(mill, *argv, env=env)
    assert t.end() == 0, t.shown
    return t.shown


def test_pager_is_chosen_as_by_systemd(stocked):
    script = pager_script(stocked.folder)
    text = through(stocked, "list", SYSTEMD_PAGER=script, SYSTEMD_PAGERSECURE="0")
    assert "[pager LESS=FRSXMK SECURE= CHARSET=utf-8]" in text and "10 jobs listed." in text
    assert "\x1b[31m" in text, "colours go through it"
    assert "SECURE=1" in through(stocked, "list", SYSTEMD_PAGER=script, SYSTEMD_PAGERSECURE="1")
    assert "LESS=FX " in through(stocked, "list", SYSTEMD_PAGER=script, SYSTEMD_PAGERSECURE="0", SYSTEMD_LESS="FX")
    assert "[pager" in through(stocked, "show", 4, PAGER=script, SYSTEMD_PAGERSECURE="0")
    # Not trusted without a word about security, and not wanted:
    assert "[pager" not in through(stocked, "list", "-n1", SYSTEMD_PAGER=script)
    assert "[pager" not in through(stocked, "list", SYSTEMD_PAGER="", PAGER=script, SYSTEMD_PAGERSECURE="0")
    assert "[pager" not in through(stocked, "list", SYSTEMD_PAGER="cat", PAGER=script, SYSTEMD_PAGERSECURE="0")
    assert "[pager" not in through(stocked, "list", "--no-pager", SYSTEMD_PAGER=script, SYSTEMD_PAGERSECURE="0")
    assert "[pager" not in through(stocked, "list", SYSTEMD_PAGER=script, SYSTEMD_PAGERSECURE="0", TERM="dumb")
    assert "[pager" not in tool(stocked, "list", env={"SYSTEMD_PAGER": script, "SYSTEMD_PAGERSECURE": "0"})


def test_no_pager_to_be_found(stocked):
    assert "10 jobs listed." in through(stocked, "list", PATH="/nonexistent")


def test_leaving_the_pager_early(crowd):
    t = Terminal(crowd, "list", lines=10)
    t.read("n3499")
    t.type("q")
    assert t.end() == 0
    assert "Cannot write" not in t.shown and "n3000" not in t.shown


def test_interrupt_in_the_pager(crowd):
    t = Terminal(crowd, "list", lines=10)
    t.read("n3499")
    t.type("\x03")
    assert t.end() in (0, -2)


# ---- where it is written to ----


def test_pipe_that_closes(crowd):
    p = subprocess.Popen(argv_of(["list"]), stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment(crowd))
    p.stdout.readline()
    p.stdout.close()
    assert p.wait(30 * SLOW) == -13 and p.stderr.read() == b""


@pytest.mark.parametrize("argv", [["list"], ["list", "-j"], ["show", "1"], ["stats"], ["queue", "list"], ["help"], []])
def test_full_disk_and_closed_output(crowd, argv):
    with open("/dev/full", "w") as full:
        p = tool(crowd, *argv, check=False, stdout=full)
    assert p.returncode == 1 and p.stderr == "jobmill: Cannot write: No space left on device\n", p
    p = subprocess.run(["sh", "-c", 'exec "$@" >&-', "sh", *argv_of(argv)], stderr=subprocess.PIPE, env=environment(crowd),
                       stdin=subprocess.DEVNULL, text=True)
    assert p.returncode == 1 and p.stderr == "jobmill: Cannot write: Bad file descriptor\n", p


def test_errors_are_not_on_standard_output(running):
    for argv in (["show", "77"], ["queue", "show", "nosuch"], ["list", "--state=x"], ["show"], ["wait"], ["list", "-j", "--state=x"],
                 ["show", "-j", "77"]):
        p = tool(running, *argv, check=False)
        assert p.returncode != 0 and p.stdout == "" and p.stderr.startswith("jobmill: "), (argv, p)


# ---- wait ----


def test_wait_tells_how_far_it_is(running):
    ids = running.submit_many(["sleep 60"] * 4 + ["exit 3"] + ["true"] * 2, tags={"batch": "w"})
    running.reach(ids[3], "running")
    t = Terminal(running, "wait", "--tag", "batch=w", columns=100)
    t.read("0 of 7 done, 4 running")
    running.call("CancelJob", ids[3])
    t.read("4 of 7 done, 2 failed, 3 running")
    for i in ids[:3]:
        running.call("CancelJob", i)
    assert t.end() == 125, "the first one's"
    lines = SEQUENCE.sub("", t.shown).split("\r\n")
    assert {l.split("\r")[-1] for l in lines if l} == {"%d %s" % (i, o) for i, o in
                                                      zip(ids, ["cancelled"] * 4 + ["exit-code 3"] + ["success"] * 2)}


def test_wait_on_a_narrow_terminal(running):
    ids = running.submit_many(["sleep 60"] * 3)
    running.reach(ids[2], "running")
    t = Terminal(running, "wait", *ids, columns=20)
    t.read("0 of 3 done")
    for i in ids:
        running.call("CancelJob", i)
    assert t.end() == 125
    assert all(width(part) < 20 for part in SEQUENCE.sub("", t.shown).replace("\n", "\r").split("\r"))


def test_wait_says_nothing_of_it_elsewhere(running):
    ids = running.submit_many(["true"] * 5)
    p = tool(running, "wait", *ids, check=False)
    assert p.returncode == 0 and p.stderr == "" and len(p.stdout.splitlines()) == 5
    ids = running.submit_many(["true"] * 5)
    t = Terminal(running, "wait", "--quiet", *ids)
    assert t.end() == 0 and t.shown == ""


def test_wait_for_many(running):
    """More than the bus lets a client wait for at a time."""
    ids = running.submit_many(["true"] * 400, tags={"batch": "many"}, hold=True)
    bad = running.submit("exit 9", tags={"batch": "many"}, hold=True)
    p = subprocess.Popen(argv_of(["wait", "--tag", "batch=many"]), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                         env=environment(running), text=True)
    for i in [*ids, bad]:
        running.call("ReleaseJob", i)
    out, err = p.communicate(timeout=60 * SLOW)
    lines = out.splitlines()  # without those that had ended before it asked which there are
    assert p.returncode == 9 and err == "" and 300 < len(lines) <= 401 and "%d exit-code 9" % bad in lines, (p.returncode, err, lines)


def test_wait_progress_survives_a_restart(running):
    ids = running.submit_many(["sleep 60"] * 2)
    running.reach(ids[1], "running")
    t = Terminal(running, "wait", *ids)
    t.read("0 of 2 done, 2 running")
    running.restart()
    running.call("CancelJob", ids[0])
    t.read("1 of 2 done, 1 failed, 1 running")
    running.call("CancelJob", ids[1])
    assert t.end() == 125
