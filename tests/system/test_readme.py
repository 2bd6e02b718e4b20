# SPDX-License-Identifier: LGPL-2.1-or-later
"""The examples of README.md do what is printed there. Each ```console block is typed in, in order, and what comes back is
compared with what stands under each command.

    $ COMMAND       typed by alice, a plain user, in her home
    # COMMAND       typed by root
    > …             a further line of the same command
    other lines     what it prints, on both streams; "…" in a line stands for any text, a line "…" for any lines, and one
                    space for any white space

Variables live on to the end of a block as long as the same user types.
"""

import os
import re
import tempfile

import pytest

from mill import SOURCE, run

USERS = {"$": "alice", "#": "root"}


class Command:
    def __init__(self, user, text):
        self.user, self.text, self.expected = user, text, []


def examples():
    """[(heading, [Command])] of all console blocks."""
    heading, block, found = "", None, []
    for line in (SOURCE / "README.md").read_text().splitlines():
        if block is None:
            if line.startswith("#"):
                heading = line.lstrip("# ")
            elif line == "```console":
                block = []
        elif line == "```":
            found.append((heading, block))
            block = None
        elif line[:2] in ("$ ", "# "):
            block.append(Command(USERS[line[0]], line[2:]))
        elif line[:2] == "> " and not block[-1].expected:
            block[-1].text += "\n" + line[2:]
        else:
            block[-1].expected.append(line)
    assert block is None, "a console block has no end"
    return found


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
        with open(f"{folder}/all", "w") as f:
            f.write("\n".join(["export LANG=C.UTF-8", "exec 2>&1"] + script) + "\n")
        login = ["runuser", "--login", commands[0].user, "--command", f"exec bash {folder}/all"]
        return run(*login, check=False, timeout=120).stdout.split("\1")[1:]


def test_there_are_ten():
    assert len(examples()) >= 10


@pytest.mark.parametrize("heading,block", examples(), ids=lambda v: v if isinstance(v, str) else "")
def test_example(mill, heading, block):
    mill.settled()
    while block:
        n = next((i for i, c in enumerate(block) if c.user != block[0].user), len(block))
        now, block = block[:n], block[n:]
        outputs = type_in(now)
        assert len(outputs) == len(now), f"ended early, after {outputs[-1:]}"
        for command, output in zip(now, outputs):
            lines = "".join(squeeze(l) + "\n" for l in output.splitlines())
            expected = "\n".join(command.expected)
            assert re.fullmatch(pattern(command.expected), lines), (
                f"{command.text}\nREADME.md says:\n{expected}\nit printed:\n{output}")
