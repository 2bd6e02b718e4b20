#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Things that every text file of the tree keeps to: an SPDX line among the first five where a file is source, no white
space at line ends, a newline at the end, no tabs in C, no marks of unfinished work; relative links in documents, and the tests that they name,
are files that exist. Looks at what git tracks.
"""

import pathlib
import re
import subprocess
import sys

SPDX = "SPDX-License-Identifier: LGPL-2.1-or-later"
SOURCE = {".c", ".h", ".py", ".sh", ".build", ".in", ".xml", ".policy", ".conf", ".service", ".queue", ".example", ".js",
          ".target", ".ini", ".mjs", ".ts", ".tsx", ".css"}
SOURCE_NAMES = {"Makefile", "meson_options.txt", "run"}
SEEDS = "tests/fuzz/corpus/"  # which may be anything
BINARY = {".db", ".png", ".gz", ".xz"}
UNFINISHED = re.compile(r"\b(" + "|".join(["TO" + "DO", "FIX" + "ME", "X" * 3]) + r")\b")
# bus/test_flow.py, tests/unit/test-growth.c: all below tests/
TEST = re.compile(r"(?<![\w/.-])(?:tests/)?((?:bus|fuzz|package|system|unit|vm)/(?:[\w-]+/)*(?:test|fuzz)[-_][a-z0-9_-]+\.(?:py|c))\b")
LINK = re.compile(r"\]\(([^)#:\s]*)(?:#([^)\s]*))?\)")
RUNBOOK = re.compile(r"docs/(runbook\.md)#([\w-]+)")


def sections(path):
    """The names by which links find its headings."""
    headings = re.findall(r"^#+ (.*)$", path.read_text(), re.M)
    return {re.sub(r"[^\w -]", "", re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", h).lower()).replace(" ", "-") for h in headings}


def problems_of(top, path, name):
    text = path.read_text()
    lines = text.splitlines()
    if (path.suffix in SOURCE or path.name in SOURCE_NAMES) and not any(SPDX in l for l in lines[:5]):
        yield 1, f"no line with {SPDX}"
    if text and not text.endswith("\n"):
        yield len(lines), "no newline at the end"
    for number, line in enumerate(lines, 1):
        if line != line.rstrip() and name != "LICENSE":
            yield number, "white space at the end"
        if "\t" in line and path.suffix in {".c", ".h", ".py"}:
            yield number, "a tab"
        if UNFINISHED.search(line):
            yield number, "a mark of unfinished work"
        if path.suffix == ".md":
            for link, section in LINK.findall(line):
                there = path.parent / link if link else path
                if not there.exists():
                    yield number, f"no such file: {link}"
                elif section and there.suffix == ".md" and section not in sections(there):
                    yield number, f"no such section: {link}#{section}"
            for test in TEST.findall(line):
                if not (top / "tests" / test).exists():
                    yield number, f"no such test: tests/{test}"
        for link, section in RUNBOOK.findall(line):
            if section not in sections(top / "docs" / link):
                yield number, f"no such section: {link}#{section}"
    if name == "docs/monitoring/alerts.yml" and text.count("- alert: ") != text.count("runbook_url: "):
        yield 1, "an alert has no runbook_url"


def main():
    top = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parents[2])
    if not (top / ".git").exists():
        print("not a git tree: nothing to look at")
        return 77
    names = subprocess.run(["git", "-c", f"safe.directory={top.resolve()}", "ls-files", "-z"], cwd=top, check=True,
                           capture_output=True, text=True).stdout.split("\0")
    bad = n = 0
    for name in filter(None, names):
        path = top / name
        if not path.is_file() or path.suffix in BINARY or name.startswith(SEEDS):
            continue
        n += 1
        for number, message in problems_of(top, path, name):
            print(f"{name}:{number}: {message}")
            bad += 1
    print(f"{n} files, {bad} problems")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
