#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The keys of configuration files in the code, in their manual pages and in what is installed are the same:

- jobmill.conf(5): each key of the table in src/daemon/settings.c, with its range as errors name it and its default as in
  units/jobmill.conf; that file has all keys, in the table's order
- jobmill-webhook(8): the same of src/webhook/policy.c and units/webhook.conf
- jobmill.job(5): each key of the table in src/daemon/type-file.c, in the same way
- jobmill.queue(5): each key of the table in src/daemon/queue-file.c, with what it takes where that is a number or a span; and
  each unit property of src/queue/unit-property.c that may be set, under the section and the class that it has
"""

import pathlib
import re
import sys

SOURCE = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parents[2])

problems = []


def problem(text):
    print(text)
    problems.append(text)


def read(name):
    return (SOURCE / name).read_text()


def table(name, array):
    """{key: what is allowed} of the rows of a C array that begin with a string and end with one."""
    body = re.search(array + r"\[\] = \{\n(.*?)\n\};", read(name), re.S)[1]
    return {m[1]: m[2] for m in re.finditer(r'\{ "(\w+)",[^{}]*?"([^"]*)" \},', body)}


def sections(page):
    parts = re.split(r"^# (.*)$", read(page), flags=re.M)
    return dict(zip(parts[1::2], parts[2::2]))


def keys(text):
    """{key: the text below it} of what is explained in a list."""
    found = {}
    for head, body in re.findall(r"^(\*\w+=\*(?:, \*\w+=\*)*)\n((?:(?:\t.*)?\n)*)", text, flags=re.M):
        for key in re.findall(r"\*(\w+)=\*", head):
            found[key] = " ".join(body.split())
    return found


def same(what, there, here):
    for k in sorted(set(there) - set(here)):
        problem(f"{what}: {k}= is missing")
    for k in sorted(set(here) - set(there)):
        problem(f"{what}: {k}= is none")


def check_settings(page, section, code, installed):
    man = keys(sections(page)[section])
    same(page, code, man)
    shipped = dict(re.findall(r"^#(\w+)=(.*)$", read(installed), flags=re.M))
    same(installed, code, shipped)
    if list(shipped) != list(code):
        problem(f"{installed}: the order is not the table's")
    for k in set(code) & set(man) & set(shipped):
        if code[k].replace(" or ", "* or *") not in man[k] and code[k] not in man[k]:
            problem(f"{page}: {k}= does not say that it takes: {code[k]}")
        if not re.search(r"Default: %s\.( |$)" % re.escape(shipped[k] or "none"), man[k]):
            problem(f"{page}: {k}= does not say that its default is {shipped[k]}")
    return len(code)


def check_queue_keys():
    page, code = "docs/man/jobmill.queue.5.scd", table("src/daemon/queue-file.c", "queue_keys")
    man = keys(sections(page)["[QUEUE] SECTION"])
    same(page, code, man)
    for k in set(code) & set(man):
        if re.match(r"a |1…", code[k]) and code[k] not in man[k]:
            problem(f"{page}: {k}= does not say that it takes: {code[k]}")
        if "Default: " not in man[k]:
            problem(f"{page}: {k}= says no default")
    return len(code)


def check_type_keys():
    page, code = "docs/man/jobmill.job.5.scd", table("src/daemon/type-file.c", "type_keys")
    man = keys(sections(page)["[JOB] SECTION"])
    same(page, code, man)
    for k in set(code) & set(man):
        if re.match(r"a |an |at most|names|-?[01][0-9]*…", code[k]) and plain(code[k]).lower() not in plain(man[k]).lower():
            problem(f"{page}: {k}= does not say that it takes: {code[k]}")
        if "Default: " not in man[k]:
            problem(f"{page}: {k}= says no default")
    return len(code)


def plain(text):
    return re.sub(r"[*_\\]", "", text)


ROW = re.compile(r'^ +(CPUS|CAPABILITIES|BINDS|ROW_AS|ROW|BOOLEAN|MEMORY|IO_MAX|PATHS|RLIMIT|USER)\("(\w+)"((?:.|\n(?! +[A-Z_]+\("))*)', re.M)


def check_properties():
    body = re.search(r"property_table\[\] = \{\n(.*?)\n\};", read("src/queue/unit-property.c"), re.S)[1]
    slices, opened, privileged = set(), set(), set()
    for macro, name, rest in ROW.findall(body):
        is_privileged = "PRIVILEGED" in rest or macro in ("BINDS", "CAPABILITIES", "USER")
        if "CGR" in rest or "UNIT_PROPERTY_SLICE" in rest or macro in ("CPUS", "MEMORY", "IO_MAX"):
            slices.add((name, is_privileged))
        else:
            (privileged if is_privileged else opened).add(name)
    page = "docs/man/jobmill.queue.5.scd"
    parts = sections(page)
    lists = [re.findall(r"^((?:\w+= ?)+)$", p, flags=re.M) for p in (parts["[SLICE] SECTION"], *parts["[SERVICE] SECTION"].split("Only files"))]
    man = [{w for line in l for w in re.findall(r"(\w+)=", line)} for l in lists]
    same(f"{page}: [SLICE]", {n for n, _ in slices}, man[0])
    same(f"{page}: [SERVICE], every user", opened, man[1])
    same(f"{page}: [SERVICE], privileged", privileged, man[2])
    but = re.search(r"\(of them not ([^)]*)\)", parts["[SERVICE] SECTION"])[1]
    same(f"{page}: [SERVICE], not", {n for n, p in slices if p}, set(re.findall(r"(\w+)=", but)))
    return len(slices) + len(opened) + len(privileged)


counts = (check_settings("docs/man/jobmill.conf.5.scd", "[DAEMON] SECTION", table("src/daemon/settings.c", "daemon_keys"), "units/jobmill.conf") +
          check_settings("docs/man/jobmill-webhook.8.scd", "SETTINGS", table("src/webhook/policy.c", "webhook_keys"), "units/webhook.conf"),
          check_queue_keys(), check_type_keys(), check_properties())
print("%d settings, %d keys of queues, %d of job types, %d unit properties, %d problems" % (*counts, len(problems)))
sys.exit(bool(problems) or not all(counts))
