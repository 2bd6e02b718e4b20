# SPDX-License-Identifier: LGPL-2.1-or-later
"""The examples of the documents do what is printed there: each ```console block of README.md and docs/, each block of a
manual page (docs/man/*.scd) that begins with a prompt. They are typed in, in order, document by document, and what comes
back is compared with what stands under each command.

    $ COMMAND       typed by alice, a plain user, in her home
    # COMMAND       typed by root
    > …             a further line of the same command
    other lines     what it prints, on both streams; "…" in a line stands for any text, a line "…" for any lines, and one
                    space for any white space

Variables live on to the end of a block as long as the same user types.
"""

import os
import pathlib
import pwd
import re
import shutil
import tempfile

import pytest

from mill import SOURCE, run, until

USERS = {"$": "alice", "#": "root"}


class Command:
    def __init__(self, user, text):
        self.user, self.text, self.expected = user, text, []


RUNBOOK = SOURCE / "docs/runbook.md"  # of troubles, which test_runbook.py brings about
DOCUMENTS = [SOURCE / "README.md", *sorted({*(SOURCE / "docs").glob("*.md")} - {RUNBOOK}), *sorted((SOURCE / "docs/man").glob("*.scd"))]


def blocks(document):
    """[(heading, [line])] of what is printed as typed."""
    heading, block, found = "", None, []
    for line in document.read_text().splitlines():
        if block is None:
            if line.startswith("#"):
                heading = line.lstrip("# ")
            elif line == ("```" if document.suffix == ".scd" else "```console"):
                block = []
        elif line == "```":
            if document.suffix != ".scd" or block[0][:2] in ("$ ", "# "):
                found.append((heading, block))
            block = None
        else:  # scdoc takes what stands behind a backslash as it is
            block.append(re.sub(r"\\(.)", r"\1", line) if document.suffix == ".scd" else line)
    assert block is None, "%s: a block has no end" % document.name
    return found


def commands(lines):
    found = []
    for line in lines:
        if line[:2] in ("$ ", "# "):
            found.append(Command(USERS[line[0]], line[2:]))
        elif line[:2] in ("> ", ">") and not found[-1].expected:
            found[-1].text += "\n" + line[2:]
        else:
            found[-1].expected.append(line)
    return found


EXAMPLES = [(d, heading, commands(lines)) for d in DOCUMENTS for heading, lines in blocks(d)]


def empty(folders, pattern):
    for path in (p for f in folders for p in pathlib.Path(f).glob(pattern)):
        shutil.rmtree(path) if path.is_dir() else path.unlink()


@pytest.fixture(scope="module")
def begin(mill):
    """begin(document): a document that is not the last one has an empty home, and no queues but the shipped ones."""
    last = []

    def clean(document=None):
        if last and last[0] != document:
            mill.drop_everything()
            mill.no_units()
            for line in mill.tool("schedule", "list", "--no-legend", check=True).splitlines():
                mill.tool("schedule", "remove", line.split()[0], check=True)
            mill.call("PurgeJobs", {"state": "done"})
            empty(["/etc/jobmill", "/run/jobmill/queues", "/run/jobmill/jobmill.conf.d"], "*")
            run("systemctl", "stop", "jobmill-webhook.service", check=False)  # it has read keys that are gone
            run("systemd-tmpfiles", "--create", "jobmill-webhook.conf")
            mill.call("Reload")
            run("loginctl", "disable-linger", "alice")
            empty([pwd.getpwnam("alice").pw_dir], "[!.]*")
        last[:] = [document]

    mill.settled()
    yield clean
    clean()


def squeeze(line):
    return re.sub(r"\s+", " ", line).strip()


def pattern(expected):
    """A regular expression for the whole output, whose lines are squeezed and all end in a newline."""
    lines = [squeeze(l) for l in expected]
    return "".join(r"(?:.*\n)*?" if l == "…" else re.escape(l).replace("…", ".*") + r"\n" for l in lines)


def type_in(commands):
    """What each of these commands of one user printed."""
    with tempfile.TemporaryDirectory(prefix="jobmill-readme-") as folder:
        os.chmod(folder, 0o755)
        script = []
        for n, command in enumerate(commands):
            with open(f"{folder}/{n}", "w") as f:
                f.write(command.text + "\n")
            script.append(f"printf '\\001'; . {folder}/{n} </dev/null")
        user = commands[0].user
        session = pathlib.Path("/run/user/%d" % pwd.getpwnam(user).pw_uid)
        if user != "root" and any("--user" in c.text for c in commands):
            run("systemctl", "start", "user@%s.service" % session.name)  # see test_user.py
            until((session / "bus").exists, 20, "the user manager runs")
        with open(f"{folder}/all", "w") as f:
            # a login through PAM would set the second one
            f.write("\n".join(["export LANG=C.UTF-8", f"export XDG_RUNTIME_DIR={session}", "exec 2>&1"] + script) + "\n")
        login = ["runuser", "--login", user, "--command", f"exec bash {folder}/all"]
        return run(*login, check=False, timeout=120).stdout.split("\1")[1:]


def test_there_are_ten():
    assert len([d for d, *_ in EXAMPLES if d.name == "README.md"]) >= 10


def play(document, block):
    while block:
        n = next((i for i, c in enumerate(block) if c.user != block[0].user), len(block))
        now, block = block[:n], block[n:]
        outputs = type_in(now)
        assert len(outputs) == len(now), f"ended early, after {outputs[-1:]}"
        for command, output in zip(now, outputs):
            lines = "".join(squeeze(l) + "\n" for l in output.splitlines())
            expected = "\n".join(command.expected)
            assert re.fullmatch(pattern(command.expected), lines), (
                f"{command.text}\n{document.name} says:\n{expected}\nit printed:\n{output}")


@pytest.mark.parametrize("document,heading,block", EXAMPLES, ids=["%s: %s" % (d.name, heading) for d, heading, _ in EXAMPLES])
def test_example(begin, document, heading, block):
    begin(document)
    play(document, block)
