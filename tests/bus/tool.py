# SPDX-License-Identifier: LGPL-2.1-or-later
"""The tool `jobmill` against the daemon of a test: into pipes, or on a terminal of a given size."""

import codecs
import fcntl
import os
import pathlib
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
import unicodedata

ROOT = pathlib.Path(__file__).resolve().parents[2]
TOOL = pathlib.Path(os.environ.get("JOBMILL_BUILD", ROOT / "build")).resolve() / "src/jobmill"
SLOW = float(os.environ.get("JOBMILL_TEST_SLOW", "1"))
SEQUENCE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[=>]")


def environment(mill, **more):
    env = {k: v for k, v in mill.environment().items() if k not in ("PAGER", "SYSTEMD_PAGER")}
    env.update(LC_ALL="C.UTF-8", TERM="xterm")
    env.update({k: str(v) for k, v in more.items()})
    return {k: v for k, v in env.items() if v != "None"}


def argv_of(argv):
    return [str(TOOL), *([] if os.geteuid() == 0 else ["--user"]), *(str(a) for a in argv)]


def tool(mill, *argv, check=True, env={}, **kwargs):
    """The CompletedProcess; with check=True its standard output."""
    kwargs.setdefault("stdin", subprocess.DEVNULL)
    kwargs.setdefault("stdout", subprocess.PIPE)
    p = subprocess.run(argv_of(argv), stderr=subprocess.PIPE, env=environment(mill, **env), text=True,
                       timeout=60 * SLOW, **kwargs)
    assert "Sanitizer" not in p.stderr and "runtime error" not in p.stderr, p.stderr
    if check:
        assert p.returncode == 0 and p.stderr == "", (argv, p)
        return p.stdout
    return p


class Terminal:
    """The tool, or another command, on a terminal: what it shows, and what is typed."""

    def __init__(self, mill, *argv, columns=80, lines=24, env={}, command=None):
        self.shown = ""
        self.decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")  # a read may end inside of a character
        master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

        def own_terminal():
            os.setsid()
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)
            for s in signal.SIGINT, signal.SIGQUIT:
                signal.signal(s, signal.SIG_DFL)  # ignored where the tests run in the background

        self.master = master
        self.process = subprocess.Popen(command or argv_of(argv), stdin=slave, stdout=slave, stderr=slave, preexec_fn=own_terminal,
                                        env=environment(mill, **env))
        os.close(slave)

    def read(self, until=None, timeout=20):
        """Until the text is shown, or the end."""
        deadline = time.monotonic() + timeout * SLOW
        while until is None or until not in self.shown:
            ready, _, _ = select.select([self.master], [], [], max(0, deadline - time.monotonic()))
            assert ready, "not shown: %r, but: %r" % (until, self.shown)
            try:
                data = os.read(self.master, 65536)
            except OSError:
                data = b""
            if not data:
                break
            self.shown += self.decoder.decode(data)
        return self.shown

    def type(self, text):
        os.write(self.master, text.encode())

    def end(self, timeout=20):
        """Its exit status."""
        self.read()
        status = self.process.wait(timeout * SLOW)
        os.close(self.master)
        assert "Sanitizer" not in self.shown, self.shown
        return status


def on_terminal(mill, *argv, columns=80, lines=24, env={}, status=0, raw=False):
    """What it shows there, without a pager, line by line and without colours."""
    t = Terminal(mill, "--no-pager", *argv, columns=columns, lines=lines, env=env)
    assert t.end() == status, t.shown
    text = t.shown.replace("\r\n", "\n")
    return text if raw else SEQUENCE.sub("", text)


def width(line):
    """Columns that a line takes."""
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in line)
