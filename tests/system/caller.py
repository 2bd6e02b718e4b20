# SPDX-License-Identifier: LGPL-2.1-or-later
"""A process of another user that calls as it is told: over the bus, over the socket, with the tool. A line of JSON for each call, {"bus": […]},
{"socket": […]} or {"tool": […]}; a line for each answer: {"value": …}, with the tool {"status": …, "out": …, "err": …}, or {"error": name, "message": …}.
Started by test_rights.py, which has imported it while it was root."""

import json
import os
import pty
import subprocess
import sys

from gi.repository import Gio, GLib

import client
import varlink

ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "TERM": "xterm", "HOME": "/"}
MANAGER = ("/org/jobmill1", "org.jobmill1.Manager")


def variant(signature, value):
    """A{sv} and what holds some take their types from tests/bus/client.py."""
    if signature == "a{sv}":
        return {k: GLib.Variant(*typed(k, v)) for k, v in value.items()}
    if signature == "aa{sv}":
        return [variant("a{sv}", v) for v in value]
    return GLib.Variant("s", value) if signature == "v" else value


def typed(key, value):
    if key == "Job":
        return "a{sv}", variant("a{sv}", value)
    t = client.TYPES.get(key, "s")
    return "a" + t if isinstance(value, list) and not t.startswith("a") else t, value


def split(signature):
    """The single types of it."""
    types, t = [], signature
    while t:
        types.append(next(t[:n] for n in range(1, len(t) + 1) if GLib.VariantType.string_is_valid(t[:n])))
        t = t[len(types[-1]):]
    return types


class Caller:
    def __init__(self, address, socket):
        self.address, self.path = address, socket
        self.connection = self.socket = self.kept = None

    def bus(self, path, interface, member, signature, arguments, interactive=False):
        flags = Gio.DBusConnectionFlags.AUTHENTICATION_CLIENT | Gio.DBusConnectionFlags.MESSAGE_BUS_CONNECTION
        self.connection = self.connection or Gio.DBusConnection.new_for_address_sync(self.address, flags, None, None)
        fds = Gio.UnixFDList.new_from_array([os.memfd_create("backup")]) if signature == "h" else None
        values = GLib.Variant("(%s)" % signature, tuple(variant(s, a) for s, a in zip(split(signature), arguments)))
        how = Gio.DBusCallFlags.ALLOW_INTERACTIVE_AUTHORIZATION if interactive else Gio.DBusCallFlags.NONE
        try:
            answer, files = self.connection.call_with_unix_fd_list_sync("org.jobmill1", path, interface, member, values, None, how, 60000, fds, None)
        except GLib.Error as e:
            return {"error": Gio.DBusError.get_remote_error(e) or str(e), "message": e.message}
        read = []
        for fd in files.steal_fds() if files else []:
            with open(fd) as f:
                read.append(f.read())
        return {"value": [*answer.unpack(), *read]}

    def socket_call(self, method, parameters, more=False, keep=False):
        """more: on a connection of its own, of which the first answer is told; keep: it stays open."""
        c = varlink.Connection(self.path) if more else self.socket or varlink.Connection(self.path)
        if not more:
            self.socket = c
        elif keep:
            self.kept = c
        try:
            c.send(method, parameters, **({"more": True} if more else {}))
            return {"value": c.answer()}
        except varlink.VarlinkError as e:
            return {"error": e.name, "message": str(e.parameters)}
        finally:
            if more and not keep:
                c.close()

    def next(self):
        """What came next on the connection that was kept."""
        return {"value": self.kept.answer()}

    @staticmethod
    def tool(argv, until=None):
        if until is not None:
            return on_terminal(argv, until)
        p = subprocess.run(["jobmill", *argv], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd="/", env=ENVIRONMENT, timeout=60)
        return {"status": p.returncode, "out": p.stdout.decode(errors="replace"), "err": p.stderr.decode(errors="replace")}


def on_terminal(argv, until):
    """Once it has shown that, q is typed."""
    pid, fd = pty.fork()
    if pid == 0:
        try:
            os.chdir("/")
            os.execvpe("jobmill", ["jobmill", *argv], ENVIRONMENT)
        finally:
            os._exit(126)
    text, typed = "", False
    while True:
        try:
            data = os.read(fd, 65536)
        except OSError:  # its end
            break
        if not data:
            break
        text += data.decode(errors="replace")
        if until in text and not typed:
            typed = os.write(fd, b"q")
    os.close(fd)
    return {"status": os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), "out": text, "err": text}


def main(address, socket):
    c = Caller(address, socket)
    calls = {"bus": c.bus, "socket": c.socket_call, "next": c.next, "tool": c.tool}
    print("ready", flush=True)
    for line in sys.stdin:
        (kind, arguments), = json.loads(line).items()
        print(json.dumps(calls[kind](*arguments)), flush=True)
