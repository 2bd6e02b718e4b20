#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Every place that a user may come upon is named in a manual page (docs/man):

- each file that is installed, but documents: by its own name (check-places.py BUILD asks meson what is installed)
- each variable that a program looks up in its environment, each one that jobs are given, and each field of ours in the journal;
  those that are there for tests alone may stand in docs/hacking.md instead
- each manual page, in SEE ALSO of another one
"""

import json
import pathlib
import re
import subprocess
import sys

SOURCE = pathlib.Path(__file__).parents[2]

pages = {p.name.replace(".head.", ".5."): p.read_text() for p in (SOURCE / "docs/man").glob("*.scd")}
# without the marks of bold and underlined
manuals = re.sub(r"\\(.)", r"\1", re.sub(r"(?<!\\)\*|(?<![\w\\])_|(?<!\\)_(?!\w)", "", "\n".join(pages.values())))
hacking = (SOURCE / "docs/hacking.md").read_text()
code = "\n".join(p.read_text() for p in (SOURCE / "src").rglob("*.c"))
problems = []


def named(word, text):
    return re.search(rf"(?<![\w.-]){re.escape(word)}(?![\w-])", text)


installed = json.loads(subprocess.run(["meson", "introspect", "--installed", sys.argv[1]], check=True, stdout=subprocess.PIPE).stdout).values()
files = {pathlib.Path(f) for f in installed if "/share/man/" not in f and "/share/doc/jobmill/" not in f}
problems += [f"{f} is installed, and in no manual page" for f in sorted(files) if not named(f.name, manuals)]

looked_up = set(re.findall(r'getenv\("(\w+)"\)', code))
ours = set(re.findall(r'"(JOBMILL_[A-Z_]+)=', code))
problems += [f"{v} is in no manual page" for v in sorted(looked_up | ours)
             if not named(v, manuals) and not (v in looked_up and v.startswith("JOBMILL_") and named(v, hacking))]

for name in pages:
    page = re.sub(r"\.(\d)\.scd$", r"*(\1)", name)
    if not any(f"*{page}" in text.partition("# SEE ALSO")[2] for other, text in pages.items() if other != name):
        problems.append(f"{page.replace('*', '')}: no other page's SEE ALSO has it")

print("\n".join(problems + [f"{len(files)} files, {len(looked_up | ours)} variables, {len(pages)} pages, {len(problems)} problems"]))
sys.exit(1 if problems else 0)
