#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""dbus/org.jobmill1.*.xml is the contract; this holds the documents and the daemon to it.

    check-introspection.py                     every member, and every argument of it, is documented in its comment; states and results
                                               are those of src/queue/job.c
    check-introspection.py FILE…               FILEs are what Introspect answered: together they must have all three
                                               interfaces, exactly as in dbus/
    check-introspection.py --address ADDRESS   asks the org.jobmill1 on that bus; it must have a job (--job ID, else the
                                               newest one is taken) and a queue

Compared are members, types, names and directions of arguments, access of properties, and annotations.
"""

import argparse
import pathlib
import re
import sys
import xml.etree.ElementTree as ElementTree

BUS_NAME = "org.jobmill1"
ROOT = "/org/jobmill1"
INTERFACES = [f"{BUS_NAME}.{name}" for name in ("Manager", "Queue", "Job")]
DBUS = pathlib.Path(__file__).parents[2] / "dbus"


def describe(member):
    """What of a method, signal or property must be equal."""
    default = "in" if member.tag == "method" else "out"
    return {
        "kind": member.tag,
        "arguments": [(a.get("direction", default), a.get("type"), a.get("name")) for a in member.findall("arg")],
        "type": member.get("type"),
        "access": member.get("access"),
        "annotations": sorted((a.get("name"), a.get("value")) for a in member.findall("annotation")),
    }


def interfaces_of(text):
    """{interface: {member: description}} of one answer of Introspect, ours only."""
    found = {}
    for interface in ElementTree.fromstring(text).findall("interface"):
        if interface.get("name") in INTERFACES:
            found[interface.get("name")] = {m.get("name"): describe(m) for m in interface if m.tag != "annotation"}
    return found


def documented(interface, directory=DBUS):
    return interfaces_of((directory / f"{interface}.xml").read_text())[interface]


def compare(interface, live, directory=DBUS):
    """Problems, one a line: LIVE is interfaces_of(…)[interface]."""
    wanted = documented(interface, directory)
    for member in sorted(wanted.keys() | live.keys()):
        if member not in live:
            yield f"{interface}.{member}: documented, but the daemon has no such member"
        elif member not in wanted:
            yield f"{interface}.{member}: the daemon has it, but it is not documented"
        else:
            for key, value in wanted[member].items():
                if live[member][key] != value:
                    yield f"{interface}.{member}: {key}: documented {value}, live {live[member][key]}"


def undocumented(interface, directory=DBUS):
    """Members without a comment that begins with their name, and arguments that it does not name."""
    builder = ElementTree.TreeBuilder(insert_comments=True)
    parser = ElementTree.XMLParser(target=builder)
    tree = ElementTree.fromstring((directory / f"{interface}.xml").read_text(), parser=parser)
    comment = ""
    for node in tree.find("interface"):
        if node.tag is ElementTree.Comment:
            comment = node.text.strip()
            continue
        name = node.get("name")
        if not comment.startswith(f"{name}:"):
            yield f"{interface}.{name}: no comment of its own"
        said = re.findall(r"^\s*@(\w+):", comment, re.MULTILINE)
        arguments = [a.get("name") for a in node.findall("arg")]
        if said != arguments:
            yield f"{interface}.{name}: has the arguments {arguments}, its comment names {said}"
        comment = ""


def words():
    """The lists of words that differ from the code's tables."""
    about = (DBUS / "org.jobmill1.Manager.xml").read_text()
    code = (DBUS.parent / "src/queue/job.c").read_text()
    for name in "state", "result":
        table = re.search(rf"job_{name}_table\[.*?\n\}};", code, re.S)[0]
        wanted = [w for w in re.findall(r'= "([^"]*)"', table) if w]
        said = re.search(rf"\n +{name.title()}s: ((?:[a-z-]+ ?)+)", about)[1].split()
        if said != wanted:
            yield f"{name}s: documented {said}, there are {wanted}"


def introspect(address, job):
    """The three objects' XML from a live daemon."""
    import dbus

    bus = dbus.bus.BusConnection(address)
    manager = dbus.Interface(bus.get_object(BUS_NAME, ROOT, introspect=False), f"{BUS_NAME}.Manager")
    if job is None:
        jobs, _ = manager.ListJobs(dbus.Dictionary({}, signature="sv"), "", dbus.UInt32(1))
        if not jobs:
            sys.exit("there is no job to look at")
        job = jobs[0]["id"]
    for path in (ROOT, manager.ListQueues()[0][1], f"{ROOT}/job/{int(job)}"):
        proxy = bus.get_object(BUS_NAME, path, introspect=False)
        yield str(proxy.Introspect(dbus_interface="org.freedesktop.DBus.Introspectable"))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", type=pathlib.Path, metavar="FILE")
    parser.add_argument("--address", help="of a bus with the daemon")
    parser.add_argument("--job", type=int, help="id of a job that is there")
    parser.add_argument("--directory", type=pathlib.Path, default=DBUS, help="of the documented XML")
    arguments = parser.parse_args()

    texts = [f.read_text() for f in arguments.files]
    if arguments.address:
        texts += introspect(arguments.address, arguments.job)

    problems = []
    if texts:
        live = {}
        for text in texts:
            live.update(interfaces_of(text))
        for interface in INTERFACES:
            if interface in live:
                problems += compare(interface, live[interface], arguments.directory)
            else:
                problems.append(f"{interface}: no object has it")
    else:
        for interface in INTERFACES:
            problems += undocumented(interface, arguments.directory)
        problems += words()
    members = sum(len(documented(i, arguments.directory)) for i in INTERFACES)
    print("\n".join(problems + [f"{members} members, {len(problems)} problems"]))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
