#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a service of ours is allowed, or not, is said why in its unit: each directive of the sandbox stands below a comment, together with no
more than a few others. And none is left out that another service of ours has, unless a comment names it ("Not NAME=: ...").

Prints the directives of each service."""

import pathlib
import re
import sys

UNITS = pathlib.Path(__file__).resolve().parent.parent.parent / "units"
SANDBOX = re.compile(r"(Private|Protect|Restrict|SystemCall|CapabilityBoundingSet|AmbientCapabilities|NoNewPrivileges|LockPersonality|MemoryDenyWriteExecute|"
                     r"UMask|RemoveIPC|ProcSubset|Device|IPAddress|SocketBind|DynamicUser|ReadOnlyPaths|ReadWritePaths|StateDirectory|ConfigurationDirectory|LoadCredential)")
TOGETHER_MAX = 8
# Of the system's services alone: what a user's manager cannot do, is told in the unit of the user's instance as a whole.
USER = "jobmilld-user.service.in"


def read(path):
    """({directive}, [what is wrong], the comments)"""
    names, bad, comments, commented, together = set(), [], "", False, 0
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if line.startswith("#"):
            commented, together = True, 0
            comments += line[1:]
        elif not line or line.startswith("["):
            commented = False
        else:
            name = line.partition("=")[0]
            together += 1
            if SANDBOX.match(name):
                names.add(name)
                if not commented or together > TOGETHER_MAX:
                    bad.append("%s:%d: %s= has no comment that says why" % (path.name, number, name))
    return names, bad, comments


def main():
    units = {p.name: read(p) for p in sorted(UNITS.glob("*.service.in"))}
    bad = [b for _, some, _ in units.values() for b in some]
    everywhere = set.intersection(*(names for u, (names, _, _) in units.items() if u not in (USER, "jobmilld.service.in")))
    for unit, (names, _, comments) in units.items():
        if unit != USER:
            bad += ["%s: %s= is left out, and no comment says why" % (unit, n) for n in sorted(everywhere - names) if n + "=" not in comments]
    print("\n".join(bad + ["%s: %d directives" % (u, len(names)) for u, (names, _, _) in units.items()]))
    assert len(units) >= 4 and len(everywhere) > 20
    return bool(bad)


sys.exit(main())
