#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""docs/security.md says who may what as tests/system/rights.py does, which has a row for each method and property of dbus/, each method of the
socket and each verb: check-rights.py [--write] JOBMILL

--write puts the table into the document."""

import pathlib
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree

SOURCE = pathlib.Path(__file__).parents[2]
sys.dont_write_bytecode = True
sys.path.insert(0, str(SOURCE / "tests/system"))

import rights  # noqa: E402

DOCUMENT = SOURCE / "docs/security.md"
BEGIN, END = "<!-- rights: tests/system/rights.py -->\n", "<!-- end of rights -->\n"
STANDARD = {"Introspectable.Introspect", "Properties.Get", "Properties.GetAll", "Properties.Set", "Peer.Ping", "Peer.GetMachineId"}  # each object has these

problems = []


def same(what, found, rows):
    for name in sorted(found - rows):
        problems.append(f"{what} {name or '(none)'}: nothing in tests/system/rights.py says who may use it")
    for name in sorted(rows - found):
        problems.append(f"{what} {name}: there is none, but tests/system/rights.py has it")


def members(interface, tag):
    return {m.get("name") for m in ElementTree.parse(SOURCE / f"dbus/org.jobmill1.{interface}.xml").getroot().iter(tag)}


def check_names(jobmill):
    def rows(kind):
        return {case.name for row in rights.ROWS for case in getattr(row, kind)}

    same("method", members("Manager", "method") | STANDARD, rows("bus"))
    for interface in "Manager", "Queue", "Job":
        same(f"property of {interface}", members(interface, "property"), set(rights.PROPERTIES["org.jobmill1." + interface].split()))
    text = "".join((SOURCE / f"src/api/org.{name}.varlink").read_text() for name in ("jobmill", "varlink.service"))
    same("method of the socket", set(re.findall(r"^method (\w+)", text, re.M)), rows("socket"))
    text = subprocess.run([jobmill, "help"], stdout=subprocess.PIPE, text=True, check=True, stdin=subprocess.DEVNULL).stdout
    verbs = set(re.findall(r"^  ([a-z]+(?: [a-z]+)?) ", text.partition("Verbs:\n")[2].partition("\n\n")[0], re.M))
    same("verb", verbs | {v.split()[0] for v in verbs} | {""}, rows("tool"))


def listed(cases):
    """`Name` of this, of that; `Other`"""
    notes = {}
    for case in cases:
        notes.setdefault(case.name, []).append(case.note)
    return ", ".join(("`%s` %s" % (name or "jobmill", " and ".join(filter(None, n)))).rstrip() for name, n in notes.items())


def table():
    lines = ["| what | bus | socket | tool | " + " | ".join(rights.ROLES) + " |", "| --- " * (4 + len(rights.ROLES)) + "|"]
    for row in rights.ROWS:
        cells = [row.what, listed(row.bus), listed(row.socket), listed(row.tool), *row.outcomes.values()]
        lines.append("| " + " | ".join(c or "–" for c in cells) + " |")
    return "\n".join(lines) + "\n"


def main():
    *options, jobmill = sys.argv[1:]
    check_names(jobmill)
    text = DOCUMENT.read_text()
    before, _, rest = text.partition(BEGIN)
    old, _, after = rest.partition(END)
    if options == ["--write"]:
        DOCUMENT.write_text(before + BEGIN + table() + END + after)
    elif old != table():
        problems.append("docs/security.md: the table of who may what is not that of tests/system/rights.py (tests/lint/check-rights.py --write JOBMILL)")
    print("\n".join(problems), end="\n" if problems else "")
    sys.exit(bool(problems))


main()
