#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Sizes: a .c file of more than 1000 lines, a .h of more than 200 and a function of more than 100 fail; a .c of more
than 600 is told, since it is two concepts perhaps. src/base in all stays below 1500 lines of C.

A function is what clang-format makes of one: a line that begins in the first column and ends in "{", until the next "}" in
the first column.
"""

import pathlib
import re
import sys

C_MAX, C_SOFT, H_MAX, FUNCTION_MAX, BASE_MAX = 1000, 600, 200, 100, 1500

NAME = re.compile(r"(\w+)\s*\(")
NOT_A_FUNCTION = re.compile(r"(typedef|struct|enum|union|extern\s+\"C\")\b[^()]*\{$")


def functions(lines):
    """(name, number of its first line, lines) of each function."""
    head = start = None
    for number, line in enumerate(lines, 1):
        if start is None:
            # The head may be several lines, which end in "," or ")".
            if re.match(r"[A-Za-z_]", line):
                head = number
            if line.rstrip().endswith("{") and head is not None:
                text = " ".join(lines[head - 1 : number])
                if "(" in text and "=" not in text and not NOT_A_FUNCTION.match(text):
                    start = head
                head = None if start is None else head
            elif not line.strip() or line.rstrip().endswith(";"):
                head = None
        elif line.startswith("}"):
            name = NAME.search(" ".join(lines[start - 1 : number]))
            yield name[1] if name else "?", start, number - start + 1
            head = start = None


def main():
    top = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parents[2])
    bad = n_files = n_functions = base = 0
    for path in sorted(p for d in ("src", "tests") for p in (top / d).rglob("*.[ch]")):
        name = path.relative_to(top).as_posix()
        lines = path.read_text().splitlines()
        n_files += 1
        if name.startswith("src/base/") and name.endswith(".c"):
            base += len(lines)
        limit = C_MAX if name.endswith(".c") else H_MAX
        if len(lines) > limit:
            print(f"{name}:{limit + 1}: {len(lines)} lines, at most {limit}")
            bad += 1
        elif name.endswith(".c") and len(lines) > C_SOFT:
            print(f"{name}:{C_SOFT + 1}: {len(lines)} lines, more than {C_SOFT}: two concepts?")
        for function, number, length in functions(lines):
            n_functions += 1
            if length > FUNCTION_MAX:
                print(f"{name}:{number}: {function}() has {length} lines, at most {FUNCTION_MAX}")
                bad += 1
    if base > BASE_MAX:
        print(f"src/base: {base} lines of C, at most {BASE_MAX}")
        bad += 1
    print(f"{n_files} files, {n_functions} functions, {bad} too big")
    return 1 if bad or not n_functions else 0


if __name__ == "__main__":
    sys.exit(main())
