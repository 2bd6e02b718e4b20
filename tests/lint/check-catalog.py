#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Every MESSAGE_ID that src/ logs has an entry in units/jobmill.catalog.in, and every entry is used. An entry has Subject,
Defined-By and Support, and uses only fields that src/ writes. Ids in src/unit/ are systemd's, which is asked for there.
"""

import pathlib
import re
import sys

# "MESSAGE_ID=…" in a string, or a #define with MESSAGE in its name.
IN_SOURCE = re.compile(r'(?:MESSAGE_ID=|#\s*define\s+\w*MESSAGE\w*\s+"(?:MESSAGE_ID=)?)([0-9a-f]{32})\b')
ENTRY = re.compile(r"^-- ([0-9a-f]{32})$")
FIELD = re.compile(r"@([A-Z0-9_]+)@")


def read_catalog(path):
    """{id: (line number, header fields, text)}"""
    entries = {}
    current = None
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if m := ENTRY.match(line):
            current = m[1]
            if current in entries:
                raise SystemExit(f"{path.name}:{number}: {current} stands here twice")
            entries[current] = [number, {}, ""]
        elif current:
            entry = entries[current]
            header = re.match(r"([A-Z][A-Za-z-]+): (.+)$", line)
            if header and not entry[2].strip():
                entry[1][header[1]] = header[2]
            entry[2] += line + "\n"
            if header and not entry[2].replace(line, "").strip():
                entry[2] = ""
    return entries


def main():
    top = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parents[2])
    catalog = top / "units/jobmill.catalog.in"
    entries = read_catalog(catalog)
    used = {}
    written = set()
    for path in sorted((top / "src").rglob("*.[ch]")):
        text = path.read_text()
        ours = path.parent != top / "src/unit"
        for m in IN_SOURCE.finditer(text) if ours else ():
            used.setdefault(m[1], f"{path.relative_to(top)}:{text.count(chr(10), 0, m.start()) + 1}")
        written |= set(re.findall(r'"([A-Z][A-Z0-9_]+)=', text))

    problems = []
    for message, place in used.items():
        if message not in entries:
            problems.append(f"{place}: MESSAGE_ID {message} has no entry in {catalog.name}")
    for message, (number, header, text) in entries.items():
        place = f"units/{catalog.name}:{number}"
        if message not in used:
            problems.append(f"{place}: nothing in src/ logs {message}")
        for key in ("Subject", "Defined-By", "Support"):
            if key not in header:
                problems.append(f"{place}: no {key}:")
        for field in sorted(set(FIELD.findall(header.get("Subject", "") + text)) - written):
            problems.append(f"{place}: nothing in src/ writes the field {field}")
    print("\n".join(problems + [f"{len(entries)} entries, {len(used)} MESSAGE_IDs, {len(problems)} problems"]))
    return 1 if problems or not entries else 0


if __name__ == "__main__":
    sys.exit(main())
