# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the fakes share: a service on a bus whose every message is in our own hands.

dbus-python's object layer answers by itself; a fake must be able to answer late, wrongly or never. So each connection has
one message filter, which finds the handler by interface and member and sends the reply by hand."""

import ctypes
import json
import signal
import sys
import traceback

import dbus
import dbus.bus
import dbus.lowlevel
import dbus.mainloop.glib
from gi.repository import GLib

CONTROL_INTERFACE = "org.jobmill.Fake"
CONTROL_PATH = "/fake"


class Error(Exception):
    """A named D-Bus error."""

    def __init__(self, name, message):
        super().__init__(message)
        self.name = name


class NoReply(Exception):
    """The handler answers later, or never."""


def escape(name):
    """sd_bus_path_encode for one label."""
    out = ""
    for i, c in enumerate(name):
        if c.isascii() and (c.isalpha() or (c.isdigit() and i > 0)):
            out += c
        else:
            out += "".join("_%02x" % b for b in c.encode())
    return out or "_"


def plain(value):
    """D-Bus values as plain Python: bytes for ay, tuples for structs."""
    if isinstance(value, dbus.Boolean):
        return bool(value)
    if isinstance(value, (dbus.String, dbus.ObjectPath, dbus.Signature)):
        return str(value)
    if isinstance(value, dbus.types.UnixFd):
        return value
    if isinstance(value, dbus.Double):
        return float(value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, dbus.Dictionary):
        return {plain(k): plain(v) for k, v in value.items()}
    if isinstance(value, dbus.Array) and value.signature == "y":
        return bytes(int(b) for b in value)
    if isinstance(value, (dbus.Struct, tuple)):
        return tuple(plain(v) for v in value)
    if isinstance(value, (dbus.Array, list)):
        return [plain(v) for v in value]
    return value


def die_with_parent():
    """For preexec_fn: no process outlives the tests, also when they are killed."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


class Endpoint:
    """One connection with handlers: {(interface, member): (function(message, *args), reply signature)}. `fallback` is
    asked where no handler is found and returns True where it took the message."""

    def __init__(self, address, name=None, handlers=None, fallback=None):
        self.handlers = handlers or {}
        self.fallback = fallback
        self.bus = dbus.bus.BusConnection(address, mainloop=dbus.mainloop.glib.DBusGMainLoop())
        self.bus.set_exit_on_disconnect(False)
        self.bus.add_message_filter(self.on_message)
        if name:
            self.own(name)

    def own(self, name):
        self.bus.request_name(name, dbus.bus.NAME_FLAG_DO_NOT_QUEUE)

    def close(self):
        self.bus.flush()
        self.bus.close()

    def on_message(self, bus, message):
        if message.get_type() != 1:
            return dbus.lowlevel.HANDLER_RESULT_NOT_YET_HANDLED
        try:
            entry = self.handlers.get((message.get_interface(), message.get_member()))
            if entry:
                self.serve(message, *entry)
            elif not (self.fallback and self.fallback(message)):
                raise Error("org.freedesktop.DBus.Error.UnknownMethod", "Unknown method %s or interface %s."
                            % (message.get_member(), message.get_interface()))
        except Error as e:
            self.fail(message, e)
        except NoReply:
            pass
        except Exception as e:  # a bug of the fake: say so to both sides
            traceback.print_exc()
            self.fail(message, Error("org.jobmill.Fake.Bug", repr(e)))
        return dbus.lowlevel.HANDLER_RESULT_HANDLED

    def serve(self, message, function, signature):
        result = function(message, *message.get_args_list())
        self.reply(message, signature, result)

    def reply(self, message, signature="", result=None):
        """result: a tuple where the signature has several arguments."""
        if message.get_no_reply():
            return
        m = dbus.lowlevel.MethodReturnMessage(message)
        if signature:
            n = len(list(dbus.Signature(signature)))
            m.append(*(result if n > 1 else (result,)), signature=signature)
        self.send(m)

    def fail(self, message, error):
        if not message.get_no_reply():
            self.send(dbus.lowlevel.ErrorMessage(message, error.name, str(error)))

    def signal(self, path, interface, member, signature, *args):
        m = dbus.lowlevel.SignalMessage(path, interface, member)
        if signature:
            m.append(*args, signature=signature)
        self.send(m)

    def send(self, message):
        if self.bus.get_is_connected():
            self.bus.send_message(message)


class Control:
    """The tests' way in, on a connection of its own: Do(s json) -> s json calls do_NAME(**arguments) of the fake."""

    def __init__(self, address, name, fake):
        self.fake = fake
        self.endpoint = Endpoint(address, name, {(CONTROL_INTERFACE, "Do"): (self.do, "s")})

    def do(self, message, text):
        what, arguments = json.loads(str(text))
        return json.dumps(getattr(self.fake, "do_" + what)(**arguments), default=repr)


def main(fake_class):
    """Usage: fake ADDRESS. Prints "ready" and serves until SIGTERM."""
    loop = GLib.MainLoop()
    fake = fake_class(sys.argv[1])
    GLib.unix_signal_add(GLib.PRIORITY_HIGH, signal.SIGTERM, loop.quit)
    print("ready", flush=True)
    loop.run()
    fake.close()
