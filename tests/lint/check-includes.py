#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Who may include whom: folders are layers, and this table is the architecture (docs/architecture.md).

    base <- queue <- {store, unit, notify, api} <- daemon        ctl = base + names + the two tables

The four edge folders never include one another; the exceptions stand in the table. Libraries are bound to folders in the
same way. Fails with file:line for every include that breaks a rule.
"""

import fnmatch
import pathlib
import re
import sys

# Folder: patterns of what its files may include with "", rooted at src/.
OWN = {
    "base": ["base/*"],
    "queue": ["base/*", "queue/*"],
    "store": ["base/*", "queue/*", "store/*"],
    "unit": ["base/*", "queue/*", "unit/*", "exec/exec.h"],
    "notify": ["base/*", "queue/*", "notify/*"],
    "api": ["base/*", "queue/*", "api/*", "store/history.h"],
    "daemon": ["base/*", "queue/*", "store/*", "unit/*", "notify/*", "api/*", "daemon/*"],
    "exec": ["base/macro.h", "exec/*"],
    "runner": ["base/*", "runner/*", "api/framing.h", "queue/spec*.h", "exec/exec.h"],
    "webhook": ["base/*", "webhook/*", "api/framing.h"],
    "slurm": ["base/*", "slurm/*", "api/framing.h", "queue/spec*.h", "queue/outcome.h", "queue/verdict.h"],
    "exporter": ["base/*", "exporter/*", "api/protocol.h"],
    "ctl": ["base/*", "ctl/*", "api/protocol.h", "queue/spec*.h", "queue/flow.h", "queue/unit-property.h"],
}

# Header of a library: patterns of the files that may include it. What is not listed is libc's, and everybody's.
LIBRARIES = {
    "systemd/sd-bus.h": ["base/bus-util.*", "unit/*", "api/*", "notify/*", "daemon/*", "ctl/*", "exporter/*"],
    "systemd/sd-event.h": ["base/bus-util.*", "unit/*", "api/*", "notify/*", "daemon/*", "ctl/*", "runner/*", "slurm/*", "exporter/*"],
    "systemd/sd-journal.h": ["base/log.c", "unit/*", "api/log-child.*", "notify/*", "ctl/*", "runner/*"],
    "systemd/sd-daemon.h": ["base/log.c", "daemon/*", "exporter/*", "webhook/*", "slurm/*"],
    "curl/*": ["webhook/*"],
    "openssl/*": ["webhook/*"],
    "microhttpd.h": ["exporter/*"],
    "sqlite3.h": ["store/*"],
    "json-c/*": ["queue/json-ascii.c", "queue/spec-json.c", "queue/flow-json.c", "queue/inputs.c", "api/*", "ctl/*", "runner/*", "webhook/*", "slurm/*"],
    "json.h": [],
    "ini.h": ["base/conf-file.c"],
}

# The model has no clock and no files: time comes in as a parameter, rows come in from the daemon.
PURE = ["queue/*"]
IMPURE_HEADERS = ["time.h", "sys/time.h", "fcntl.h", "sys/stat.h", "sys/socket.h", "pwd.h", "grp.h"]

INCLUDE = re.compile(r'\s*#\s*include\s*(?:"([^"]+)"|<([^>]+)>)')


def matches(path, patterns):
    return any(fnmatch.fnmatchcase(path, p) for p in patterns)


def check(name, header, own):
    """What is wrong with file NAME including HEADER ("" form if OWN), or None."""
    folder = name.split("/")[0]
    if own:
        if "/" not in header:
            return f'"{header}" is not written from src/'
        if not matches(header, OWN[folder]):
            return f"{folder}/ may not include {header}"
        return None
    if matches(header, ["*/../*", "../*"]):
        return f"<{header}> goes upwards"
    for pattern, users in LIBRARIES.items():
        if fnmatch.fnmatchcase(header, pattern) and not matches(name, users):
            return f"<{header}> is not for {name}"
    if matches(name, PURE) and header in IMPURE_HEADERS:
        return f"the model is pure, it does not need <{header}>"
    return None


def main():
    source = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parents[2]) / "src"
    bad = n = 0
    for path in sorted(source.rglob("*.[ch]")):
        name = path.relative_to(source).as_posix()
        if name.split("/")[0] not in OWN:
            print(f"src/{name}:1: folder is not in the table of {pathlib.Path(__file__).name}")
            bad += 1
            continue
        for number, line in enumerate(path.read_text().splitlines(), 1):
            if m := INCLUDE.match(line):
                n += 1
                if message := check(name, m[1] or m[2], bool(m[1])):
                    print(f"src/{name}:{number}: {message}")
                    bad += 1
    print(f"{n} includes, {bad} not allowed")
    return 1 if bad or not n else 0


if __name__ == "__main__":
    sys.exit(main())
