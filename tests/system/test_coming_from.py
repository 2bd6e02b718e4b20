# SPDX-License-Identifier: LGPL-2.1-or-later
"""docs/coming-from.md: every command in the column "here" is typed in and must end well.

A comment in the row says what it is about, in words with commas between:

    held, ready, running, done, failed   ID is a job of alice in that state (running: without end)
    gpu                                  ID is a job of alice that is held in that queue
    root                                 typed by root, not by alice
    status N                             how it ends, if not with 0
    then COMMAND                         typed behind it; says whether it did what it should

Commands of the other programs' examples (make, train, …) are stubs that succeed."""

import re

import pytest

from mill import SOURCE, run, until

DOCUMENT = SOURCE / "docs/coming-from.md"
STUBS = "make", "wget", "train", "backup"
PREPARE = """
cd; export LANG=C.UTF-8 PATH=$HOME/stubs:$PATH
""".strip()


class Row:
    def __init__(self, section, cells):
        self.section, self.there, here, self.remark = section, *cells
        comment = re.search(r"<!-- (.*?) -->", here)
        here = here.replace(comment[0], "") if comment else here
        words, _, then = (comment[1] if comment else "").partition("then ")
        self.then = then.replace("\\|", "|")
        self.words = [w.strip() for w in words.split(",") if w.strip()]
        self.commands = [c.replace("\\|", "|") for c in re.findall(r"`([^`]+)`", here)]
        self.none = here.strip() == "–"


def rows():
    section, found = "", []
    for line in DOCUMENT.read_text().splitlines():
        if line.startswith("## "):
            section = line[3:]
        elif line.startswith("| ") and not line.startswith("| ---") and not line.startswith("| there |"):
            cells = [c.strip() for c in re.split(r"(?<!\\)\|", line.strip("| "))]
            assert len(cells) in (2, 3), line
            found.append(Row(section, cells if len(cells) == 3 else cells + [""]))
    return found


ROWS = rows()
RUNNABLE = [r for r in ROWS if r.commands]


def type_in(user, text, id_=""):
    p = run("runuser", "--login", user, "--command", "exec bash -s", check=False, timeout=60,
            input="%s\nID=%s\n%s\n" % (PREPARE if user != "root" else "cd", id_, text))
    return p


def alice(text, id_=""):
    p = type_in("alice", text, id_)
    assert p.returncode == 0, p
    return p.stdout.strip()


@pytest.fixture(scope="module")
def home(mill):
    mill.settled()
    alice("mkdir -p stubs images; touch images/1.png images/2.png\n"
          + "".join("printf '#!/bin/sh\\necho %s \"$@\"\\n' >stubs/%s; chmod +x stubs/%s\n" % (s, s, s) for s in STUBS)
          + "printf 'echo hello from a script\\n' >script.sh; printf '{\"argv\": [\"true\"]}\\n' >jobs.jsonl")
    for name, slots in ("one", 1), ("gpu", 2), ("downloads", 1):
        mill.write_queue(name, "Slots=%d" % slots, "AllowUsers=alice", *(["SlotVariable=CUDA_VISIBLE_DEVICES"] * (name == "gpu")))
    yield mill
    alice("rm -rf stubs images *.sh *.jsonl out* err*")


def job(mill, words):
    """A job as the row wants it."""
    if "held" in words:
        return alice("jobmill submit --hold --name label true")
    if "gpu" in words:
        return alice("jobmill submit -q gpu --hold true")
    if "ready" in words:
        mill.call("PauseQueue", "one")
        return alice("jobmill submit -q one --name label true")
    if "running" in words:
        id_ = alice("jobmill submit --freezable -- sh -c 'trap : USR1; echo begun; while :; do sleep 0.1; done'"
                    if "--freezable" in mill.tool("help", "submit").stdout else
                    "jobmill submit -- sh -c 'trap : USR1; echo begun; while :; do sleep 0.1; done'")
        mill.reach(int(id_), "running")
        return id_
    for word, command in ("done", "echo hello"), ("failed", "false"):
        if word in words:
            return alice("jobmill submit --name label -- sh -c '%s' | { read id; jobmill wait --quiet $id; echo $id; }" % command)
    return ""


@pytest.mark.parametrize("row", RUNNABLE, ids=["%s: %s" % (r.section, r.there.replace("`", "")) for r in RUNNABLE])
def test_row(home, row):
    mill = home
    id_ = job(mill, row.words)
    status = next((int(w.split()[1]) for w in row.words if w.startswith("status ")), 0)
    user = "root" if "root" in row.words else "alice"
    try:
        for command in row.commands:
            assert ("ID" in re.findall(r"\w+", command)) <= bool(id_), "which job is ID?"
            p = type_in(user, re.sub(r"\bID\b", "$ID", command), id_)
            assert p.returncode == status, (command, p)
        if row.then:
            alice(re.sub(r"\bID\b", "$ID", row.then), id_)
    finally:
        for q in "default", "one", "gpu", "downloads":
            mill.call("ResumeQueue", q)
        mill.drop_everything()
        until(lambda: not mill.jobs(state=["starting", "running", "stopping"]), 10, "nothing runs")


def test_every_row_has_an_answer():
    """A command, or the sign that there is none, with the reason."""
    assert len(ROWS) > 100
    for r in ROWS:
        assert r.there and (r.commands or r.none), r.there
        assert r.remark or not r.none, "why? %s" % r.there
    for name in "task-spooler", "at and batch", "pueue", "nq", "flock", "Slurm":
        mine = [r for r in ROWS if r.section.startswith(name)]
        assert [r for r in mine if r.none] and [r for r in mine if r.commands], name
