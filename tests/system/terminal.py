# SPDX-License-Identifier: LGPL-2.1-or-later
"""A command on a terminal of its own, as a person sees it."""

import fcntl
import os
import pty
import pwd
import select
import signal
import struct
import termios
import time

from mill import SLOW, until


class Terminal:
    def __init__(self, *argv, user="root", size=(24, 80), **environment):
        u = pwd.getpwnam(user)
        self.text = ""
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            try:
                os.initgroups(u.pw_name, u.pw_gid)
                os.setgid(u.pw_gid)
                os.setuid(u.pw_uid)
                os.chdir(u.pw_dir)
                os.execvpe(argv[0], argv, {"PATH": os.environ["PATH"], "HOME": u.pw_dir, "USER": user, "LANG": "C.UTF-8",
                                           "TERM": "xterm", **environment})
            finally:
                os._exit(126)
        self.resize(*size)

    def resize(self, rows, columns):
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, text):
        os.write(self.fd, text.encode())

    def type_secret(self, text):
        """Once it is not shown: what was typed before that is thrown away."""
        until(lambda: not termios.tcgetattr(self.fd)[3] & termios.ECHO, 10, "echo is off")
        self.type(text)

    def _read(self, timeout):
        if not select.select([self.fd], [], [], max(0, timeout))[0]:
            return True
        try:
            data = os.read(self.fd, 65536)
        except OSError:  # the other end is closed
            data = b""
        self.text += data.decode(errors="replace")
        return bool(data)

    def expect(self, what, timeout=20):
        """Wait until it says so, and forget all up to there."""
        deadline = time.monotonic() + timeout * SLOW
        while what not in self.text:
            assert time.monotonic() < deadline, "it did not say %r but %r" % (what, self.text)
            assert self._read(deadline - time.monotonic()) or what in self.text, "it ended without %r: %r" % (what, self.text)
        before, _, self.text = self.text.partition(what)
        return before

    def end(self, timeout=20):
        """Its exit status (negative: the signal that it died of) and the rest of what it said."""
        deadline = time.monotonic() + timeout * SLOW
        while self._read(deadline - time.monotonic()):
            assert time.monotonic() < deadline, "it did not end: %r" % self.text
        status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        self.pid = 0
        return status, self.text

    def close(self):
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self.fd)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
