#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the tool says of itself in several places is the same: check-help.py JOBMILL [MAN...]

- completion offers exactly the verbs and options that the help shows, and knows every kind of value
- jobmill(1) has every verb and every option with the same argument, in that verb's part, and no others
- states and results that completion offers are those of the model
"""

import pathlib
import re
import subprocess
import sys

SOURCE = pathlib.Path(__file__).parents[2]
OPTION = re.compile(r"  (?:-(?P<letter>\w)|  )(?:,)? *(?:--(?P<name>[\w-]+))?(?:[= ](?P<argument>\S+))? ")

problems = []


def problem(text):
    print(text)
    problems.append(text)


class Tool:
    def __init__(self, program):
        self.program = program

    def run(self, *argv):
        p = subprocess.run([self.program, *argv], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                           text=True, timeout=120,
                           env={"LANG": "C.UTF-8", "DBUS_SYSTEM_BUS_ADDRESS": "unix:path=/nonexistent"})
        if p.returncode != 0:
            problem(f"{' '.join(argv)}: status {p.returncode}: {p.stderr.strip()}")
        return p.stdout

    def help(self, *verb):
        """(usage, {section: {option as typed: argument}}, {verb: help})"""
        usage, sections, verbs, section = None, {}, {}, None
        for line in self.run("help", *verb).splitlines():
            usage = usage or line
            if line.endswith(":") and not line.startswith(" "):
                section = sections.setdefault(line[:-1], {})
            elif section is None or not line.startswith("  "):
                continue
            elif line.lstrip().startswith("-"):
                m = OPTION.match(line)
                section["--" + m["name"] if m["name"] else "-" + m["letter"]] = (m["letter"], m["argument"])
            elif m := re.match(r"  ([a-z][a-z -]*?)  +(\S.*)", line + "  "):
                verbs[m[1]] = m[2]
        return usage, sections, verbs

    def complete(self, *words):
        lines = self.run("__complete", "--", *words).splitlines()
        return {l.split("\t")[0] for l in lines[1:]}


def check_completion(tool, verbs, global_options):
    if (found := tool.complete("")) != (wanted := {v.split()[0] for v in verbs}):
        problem(f"verbs: completion and help differ: {found ^ wanted}")
    for verb in verbs:
        words = verb.split()
        usage, sections, _ = tool.help(*words)
        options = {**global_options, **{o: a for s in sections.values() for o, a in s.items()}}
        if tool.complete(*words, "-") != set(options):
            problem(f"{verb}: completion and help differ: {tool.complete(*words, '-') ^ set(options)}")
        for n in range(3):  # kinds of words
            tool.complete(*words, *["x"] * n, "")
        for option, (_, argument) in options.items():
            if argument:  # kinds of values
                tool.complete(*words, option, "")


def check_words(tool):
    """The words of the model."""
    text = (SOURCE / "src/queue/job.c").read_text()
    for option, table in ("--state", "job_state_table"), ("--result", "job_result_table"):
        body = re.search(table + r"\[.*?\] = \{(.*?)\n\};", text, re.S)[1]
        wanted = set(re.findall(r'\] = "([^"]+)"', body))
        if (found := tool.complete("list", option, "")) != wanted:
            problem(f"{option}: completion and src/queue/job.c differ: {found ^ wanted}")


def main():
    tool = Tool(sys.argv[1])
    usage, sections, verbs = tool.help()
    global_options = sections["Options"]
    check_completion(tool, verbs, global_options)
    check_words(tool)
    print(f"{len(verbs)} verbs, {len(global_options)} global options, {len(problems)} problems")
    return 1 if problems or not verbs else 0


if __name__ == "__main__":
    sys.exit(main())
