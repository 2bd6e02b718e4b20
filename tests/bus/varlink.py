# SPDX-License-Identifier: LGPL-2.1-or-later
"""The socket from the standard library: as a program without libraries would speak to it."""

import json
import os
import socket
import subprocess
import sys


class VarlinkError(Exception):
    def __init__(self, name, parameters):
        super().__init__("%s: %r" % (name, parameters))
        self.name = name
        self.short = name.rpartition(".")[2]
        self.parameters = parameters


def listen(path):
    """What a service manager would listen on."""
    s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    s.bind(str(path))
    os.chmod(path, 0o666)
    s.listen(1024)
    return s


SLOW = float(os.environ.get("JOBMILL_TEST_SLOW", "1"))


class Connection:
    def __init__(self, path, timeout=30 * SLOW):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(timeout)
        self.socket.connect(str(path))
        self.buffer = b""

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    @staticmethod
    def message(method, parameters=None, **flags):
        full = method if method.startswith("org.") else "org.jobmill." + method
        return json.dumps({"method": full, "parameters": parameters or {}, **flags}).encode() + b"\0"

    def send(self, method, parameters=None, **flags):
        self.socket.sendall(self.message(method, parameters, **flags))

    def read(self):
        """The next message as it is; None: the other side has closed."""
        while b"\0" not in self.buffer:
            data = self.socket.recv(1 << 16)
            if not data:
                assert not self.buffer, "half a message: %r" % self.buffer
                return None
            self.buffer += data
        text, self.buffer = self.buffer.split(b"\0", 1)
        return json.loads(text)

    def answer(self):
        reply = self.read()
        assert reply is not None, "closed"
        if "error" in reply:
            raise VarlinkError(reply["error"], reply["parameters"])
        return reply["parameters"]

    def call(self, method, **parameters):
        self.send(method, parameters)
        return self.answer()


def call_as(uid, path, method, parameters, **flags):
    """One call of another user; its reply, or None where it was closed."""
    code = ("import json, socket, sys\ns = socket.socket(socket.AF_UNIX)\ns.connect(sys.argv[1])\ntry: s.sendall(sys.argv[2].encode() + b'\\0')\nexcept BrokenPipeError: pass\nd = b''\n"
            "while b'\\0' not in d:\n    p = s.recv(65536)\n    if not p: break\n    d += p\nprint(d.rstrip(b'\\0').decode())")
    out = subprocess.run(["setpriv", "--reuid=%d" % uid, "--regid=%d" % uid, "--clear-groups", sys.executable, "-c", code, str(path),
                          Connection.message(method, parameters, **flags)[:-1].decode()], stdout=subprocess.PIPE, text=True, check=True, cwd="/").stdout
    return json.loads(out.partition("\0")[0]) if out.strip() else None
