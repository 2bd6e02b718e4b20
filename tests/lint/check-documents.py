#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What documents promise: the runbook knows each alert; each promise and each row of the lineage names its tests (check-texts.py looks whether these exist); and the version of meson.build,
NEWS, packages and docs/releasing.md is the same, with a golden database of each schema that a version has.
"""

import pathlib
import re
import sys

TOP = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parents[2])
TEST = re.compile(r"(?:bus|fuzz|package|system|unit|vm)/(?:inside/)?(?:test|fuzz)[-_][\w-]+\.(?:py|c)|^(?:bench|lint)\b")
bad = []


def read(name):
    return (TOP / name).read_text()


def expect(condition, name, what):
    if not condition:
        bad.append("%s: %s" % (name, what))


def rows(text, heading):
    """Cells of the tables below a heading that begins so, without their heads."""
    part = re.search(r"^#+ %s.*?$(.*?)(?=^## |\Z)" % re.escape(heading), text, re.M | re.S)
    table = re.findall(r"^\|(.*)\|$", part[1], re.M) if part else []
    return [[c.strip() for c in row.split("|")] for row in table[2:]]


def alerts():
    found = re.findall(r"- alert: (\w+)", read("docs/monitoring/alerts.yml"))
    expect(found, "docs/monitoring/alerts.yml", "has no alerts")
    for alert in found:
        expect(alert in read("docs/runbook.md"), "docs/runbook.md", "does not know the alert %s" % alert)


def promises():
    name = "docs/reliability.md"
    found = rows(read(name), "Promises")
    expect(len(found) >= 7, name, "the table of promises is not there")
    for promise, by in found:
        expect(TEST.search(by), name, "no test tries to break: %s" % promise)
    name, text = "docs/lineage.md", read("docs/lineage.md")
    for seed in ("O'Brien", "Overhop", "Roughneck"):
        found = rows(text, seed)
        expect(len(found) >= 10, name, "the table of %s is not there" % seed)
        for asked, answer, test in found:
            expect(TEST.search(test) or re.search(r"\bnot\b|\bno answer\b", answer), name, "neither a test nor why not: %s" % asked)


def versions():
    version = re.search(r"^    version: '(.*?)'", read("meson.build"), re.M)[1]
    heads = re.findall(r"^## (\S+)", read("NEWS.md"), re.M)
    expect(heads[:1] == [version], "NEWS.md", "its head is not %s, the version in meson.build" % version)
    expect("jobmill (%s-" % version == read("packaging/debian/changelog")[:len(version) + 10], "packaging/debian/changelog", "not of version " + version)
    expect(re.search(r"^Version: +%s$" % re.escape(version), read("packaging/rpm/jobmill.spec"), re.M), "packaging/rpm/jobmill.spec", "not of version " + version)
    table = rows(read("docs/releasing.md"), "Versions and databases")
    expect([row[0] for row in table] == heads, "docs/releasing.md", "its versions are not those of NEWS: %s" % heads)
    for row in table:
        for kind in ("sql", "json"):
            expect((TOP / "tests/data" / ("schema-%s.%s" % (row[1], kind))).exists(), "docs/releasing.md", "no golden database of schema %s, of version %s" % (row[1], row[0]))
    newest = max(int(re.search(r"\d+", p.stem)[0]) for p in (TOP / "tests/data").glob("schema-*.sql"))
    expect(table and table[0][1] == str(newest), "docs/releasing.md", "the schema of %s is %d" % (version, newest))


for check in (alerts, promises, versions):
    check()
for line in bad:
    print(line)
sys.exit(1 if bad else 0)
