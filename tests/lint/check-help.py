#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the tool says of itself in several places is the same: check-help.py JOBMILL JOBMILLD

- completion offers exactly the verbs and options that the help shows, and knows every kind of value
- jobmill(1) has every verb with the same usage, and in its part every option with the same argument, and no others;
  jobmilld(8) has every option of the daemon, and the MESSAGE_IDs of the catalog
- every field of the spec has an option of submit, a setting of `set` and a key of a job's JSON, or stands here with the reason why not, and is documented
  where programs look for it
- states and results that completion offers are those of the model
"""

import pathlib
import re
import subprocess
import sys

SOURCE = pathlib.Path(__file__).parents[2]
OPTION = re.compile(r"  (?:-(?P<letter>\w)|  )(?:,? +--(?P<name>[\w-]+))?(?:[= ](?P<argument>\S+))?(?: |$)")

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
    """The words of the model, the keys of queue files."""
    text = (SOURCE / "src/queue/job.c").read_text()
    for option, table in ("--state", "job_state_table"), ("--result", "job_result_table"):
        body = re.search(table + r"\[.*?\] = \{(.*?)\n\};", text, re.S)[1]
        wanted = set(re.findall(r'\] = "([^"]+)"', body))
        if (found := tool.complete("list", option, "")) != wanted:
            problem(f"{option}: completion and src/queue/job.c differ: {found ^ wanted}")
    body = re.search(r"\bqueue_keys\[\] = \{(.*?)\n\};", (SOURCE / "src/daemon/queue-file.c").read_text(), re.S)[1]
    wanted = set(re.findall(r'^ +\{ "(\w+)"', body, re.M))
    properties = set(re.findall(r'[A-Z]+\("(\w+)"', (SOURCE / "src/queue/unit-property.c").read_text()))
    found = {w.rstrip("=") for w in tool.complete("queue", "set", "default", "")} - properties - {"Service."}
    if found != wanted:
        problem(f"queue set: completion and src/daemon/queue-file.c differ: {found ^ wanted}")


def read_page(name):
    """{section or verb: [line]} of a page."""
    parts, lines = {}, []
    for line in (SOURCE / "docs/man" / name).read_text().splitlines():
        if line.startswith("#"):
            lines = parts.setdefault(line.lstrip("# "), [])
        else:
            lines.append(line)
    return parts


def plain(text):
    """Without scdoc's marks."""
    return re.sub(r"[*_\\]", "", text)


def page_options(lines):
    """{option: (letter, argument)} of the lines that begin with one."""
    options = {}
    for line in map(plain, filter(re.compile(r"\*-").match, lines)):
        m = re.fullmatch(r"(?:-(\w))?(?:, )?(?:--([\w-]+))?(?:[= ](\S+))?", line)
        if not m:
            problem(f"manual page: what is '{line}'?")
        else:
            options["--" + m[2] if m[2] else "-" + m[1]] = (m[1], m[3])
    return options


def differ(what, help_options, page):
    for o in sorted(set(help_options) | set(page)):
        if help_options.get(o) != page.get(o):
            problem(f"{what}: {o}: the help says {help_options.get(o)}, the manual page {page.get(o)}")


def check_jobmill_1(tool, verbs, global_options):
    page = read_page("jobmill.1.scd")
    differ("options", global_options, page_options(page["OPTIONS"]))
    for verb in verbs:
        usage, sections, _ = tool.help(*verb.split())
        if verb not in page:
            problem(f"jobmill(1) says nothing of {verb}")
            continue
        said = next((plain(l) for l in page[verb] if l), "")
        if said != usage.rstrip():
            problem(f"{verb}: the help says '{usage}', the manual page '{said}'")
        options = page_options(page[verb])
        if "Its options are those of *submit*." in page[verb]:
            options |= page_options(page["submit"])
        differ(verb, sections.get("Options", {}), options)
        if "Filter" in sections:
            differ("filter", sections["Filter"], page_options(page["FILTERS"]))
    for part in page:
        if part == part.lower() and part not in verbs:
            problem(f"jobmill(1) knows a verb {part}")


def check_jobmilld_8(program):
    text = subprocess.run([program, "--help"], capture_output=True, text=True, timeout=60).stdout
    options = {m["name"]: m for m in map(re.compile(r" *(?P<letter>-\w)? *--(?P<name>[\w-]+)").match, text.splitlines()) if m}
    page = page_options(read_page("jobmilld.8.scd")["OPTIONS"])
    if set(page) != {"--" + o for o in options}:
        problem(f"jobmilld(8) and jobmilld --help differ: {set(page) ^ {'--' + o for o in options}}")
    known = (SOURCE / "docs/man/jobmilld.8.scd").read_text()
    for id_ in re.findall(r"^-- ([0-9a-f]{32})", (SOURCE / "units/jobmill.catalog.in").read_text(), re.M):
        if id_ not in known:
            problem(f"jobmilld(8) says nothing of the message {id_}")


FIELDS = {  # field: (option of submit, setting of `set`, key of JSON), where they are not named as the field is, or why there is none
    "argv": ("COMMAND", "COMMAND", "argv"),
    "cwd": ("-C", "directory", "cwd"),
    "umask": ("as the caller's", "of who submitted it", "umask"),
    "environment": ("--env", "made by the submit", "may hold secrets"),
    "payload": ("--payload", "made by the submit", "may be large"),
    "tags": ("--tag", "tag", "tags"),
    "hold": ("--hold", "hold and release do it", "state"),
    "not_before_usec": ("--at", "at", "not_before_usec"),
    "delay_usec": ("--in", "in", "not_before_usec"),
    "uid": ("--uid", "a job keeps its owner", "owner"),
    "credentials": ("--credential", "made by the submit, and removed with it", "credentials"),
    "properties": ("--property", "property", "properties"),
    "output_file": ("--output", "output", "output_file"),
    "error_file": ("--error", "error", "error_file"),
    "max_attempts": ("--attempts", "attempts", "max_attempts"),
    "backoff_base_usec": ("--backoff", "backoff", "backoff_base_usec"),
    "backoff_max_usec": ("--backoff", "backoff", "backoff_max_usec"),
    "backoff_jitter": ("--backoff", "backoff", "backoff_jitter"),
    "after": ("--after", "decided by the submit", "after"),
    "unique_key": ("--unique", "unique", "unique_key"),
    "unique_policy": ("--unique-policy", "about the submit alone", "about the submit alone"),
    "callback_url": ("--callback", "made by the submit", "callback_url"),
    "callback_events": ("--callback-on", "made by the submit", "callback_events"),
    "on_success": ("--on-success", "made by the submit", "on_success"),
    "on_failure": ("--on-failure", "made by the submit", "on_failure"),
    "array": ("--array", "made by the submit", "array"),
    "array_max_running": ("--array", "array-max", "array_max_running"),
    "type": ("--type", "made by the submit", "type"),
    "type_version": ("the type's", "the type's", "type_version"),
    "type_rules": ("the type's", "the type's", "type_rules"),
    "request_id": ("--request-id", "about the submit alone", "about the submit alone"),
}


def check_spec(tool):
    table = "".join(p.read_text() for p in sorted((SOURCE / "src/queue").glob("spec*.c")))
    fields = re.findall(r'^ +(?:FIELD\(|\{ \.name = ")(\w+)', table, re.M)
    options = set(tool.help("submit")[1]["Options"]) | {"COMMAND"}
    settings = set(re.findall(r"^  ([a-z-]+)  ", tool.run("help", "set").split("Settings")[1], re.M)) | {"COMMAND"}
    keys = set(re.findall(r"^\| `(\w+)`", (SOURCE / "docs/json.md").read_text().split("## Attempt")[0], re.M))
    contract = (SOURCE / "dbus/org.jobmill1.Manager.xml").read_text()
    submit = contract.split("<method name=\"Submit\">")[0].rsplit("<!--", 1)[1]
    page = " ".join(read_page("jobmill.1.scd")["set"])
    if len(fields) < 30 or (unknown := set(FIELDS) - set(fields)):
        problem(f"these are no fields of the spec: {unknown}")
    for field in fields:
        word = field.removesuffix("_usec").replace("_", "-")
        option, setting, key = FIELDS.get(field, ("--" + word, word, field))
        for what, name, there in ("option of submit", option, options), ("setting", setting, settings), ("key of JSON", key, keys):
            if name not in there and " " not in name:
                problem(f"{field}: there is no {what} {name}, and no reason why not")
        if not re.search(rf"\b{field}\b", submit):
            problem(f"{field}: the documentation of Submit does not name it")
    for setting in settings - {"COMMAND"}:
        if f"*{setting}*" not in page:
            problem(f"jobmill(1): set: nothing of {setting}")


def main():
    tool = Tool(sys.argv[1])
    usage, sections, verbs = tool.help()
    global_options = sections["Options"]
    check_completion(tool, verbs, global_options)
    check_words(tool)
    check_spec(tool)
    check_jobmill_1(tool, verbs, global_options)
    check_jobmilld_8(sys.argv[2])
    print(f"{len(verbs)} verbs, {len(global_options)} global options, {len(problems)} problems")
    return 1 if problems or not verbs else 0


if __name__ == "__main__":
    sys.exit(main())
