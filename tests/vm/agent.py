# SPDX-License-Identifier: LGPL-2.1-or-later
"""Runs in the virtual machine: takes commands from a serial line, one after the other, and says what they print, line by
line, and how they ended. One JSON object a line, both ways:

  out    {"ready": BOOT-ID}              at each start
  in     {"id": N, "argv": [...]}
  out    {"id": N, "text": "..."}        a line that it printed
  out    {"id": N, "status": STATUS}
"""

import json
import os
import subprocess
import sys
import termios
import tty


def main():
    line = os.open(sys.argv[1], os.O_RDWR | os.O_NOCTTY)
    tty.setraw(line)
    speed = termios.tcgetattr(line)
    speed[4] = speed[5] = termios.B115200
    termios.tcsetattr(line, termios.TCSANOW, speed)
    boot_id = open("/proc/sys/kernel/random/boot_id").read().strip()

    def say(**what):
        data = json.dumps(what).encode() + b"\n"
        while data:
            data = data[os.write(line, data):]

    def run(id_, argv):
        try:
            child = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                     cwd="/jobmill")
        except OSError as e:
            say(id=id_, text=str(e))
            say(id=id_, status=127)
            return
        for text in child.stdout:
            say(id=id_, text=text.decode(errors="replace").rstrip("\n"))
        say(id=id_, status=child.wait())

    say(ready=boot_id)
    for text in os.fdopen(os.dup(line), "rb"):
        try:
            command = json.loads(text)
        except ValueError:  # what was on the line before we were
            continue
        run(command["id"], command["argv"])


main()
