# SPDX-License-Identifier: LGPL-2.1-or-later
"""org.jobmill1 for tests: calls with Python values, named errors as exceptions, signals collected."""

import time

import dbus
import dbus.bus
import dbus.lowlevel
import dbus.mainloop.glib
from gi.repository import GLib

from busfake import plain

NAME = "org.jobmill1"
PATH = "/org/jobmill1"
MANAGER = NAME + ".Manager"
ERROR = NAME + ".Error."
FOREVER = 2**64 - 1

METHODS = {
    "GetMetrics": "",
    "Submit": "sasa{sv}", "PreviewUnit": "sasa{sv}", "SubmitMany": "aa{sv}", "SubmitFlow": "s", "WaitJob": "tt", "GetJob": "t", "GetJobInfo": "t", "ListJobs": "a{sv}su",
    "ListAttempts": "t", "CancelJob": "t", "KillJob": "ti", "HoldJob": "t", "ReleaseJob": "t", "RetryJob": "ta{sv}",
    "FreezeJob": "t", "ThawJob": "t", "OpenLog": "ts",
    "UpdateJob": "ta{sv}", "MoveJob": "ts", "CountJobs": "a{sv}", "CancelJobs": "a{sv}", "HoldJobs": "a{sv}",
    "ReleaseJobs": "a{sv}", "RetryJobs": "a{sv}a{sv}", "UpdateJobs": "a{sv}a{sv}", "PurgeJobs": "a{sv}", "ListQueues": "", "ListWorkers": "", "DrainWorker": "t",
    "SetQueue": "sa{sv}b", "RemoveQueue": "s", "ListTypes": "", "SetSchedule": "sa{sv}", "RemoveSchedule": "s", "PauseSchedule": "s", "ResumeSchedule": "s",
    "FireSchedule": "s", "ListSchedules": "", "ListFirings": "su", "GetSchedule": "s", "PauseQueue": "s", "ResumeQueue": "s", "DrainQueue": "s", "GetStatistics": "", "GetReport": "a{sv}s",
    "Backup": "h", "CheckIntegrity": "", "Repair": "", "AcceptStore": "", "Reload": "", "Subscribe": "", "Unsubscribe": "",
}
# Types of what stands in a{sv}: spec keys and filters. (A value that is already a D-Bus one is sent as it is.)
TYPES = {
    "name": "s", "type": "s", "argv": "as", "cwd": "s", "umask": "u", "environment": "as", "payload": "ay", "tags": "a{ss}",
    "priority": "i", "slots": "u", "hold": "b", "not_before_usec": "t", "delay_usec": "t", "deadline_usec": "t", "timeout_usec": "t", "stop_timeout_usec": "t",
    "uid": "u", "properties": "as", "unique_key": "s", "array": "u", "array_max_running": "u", "collapse": "b", "after": "a(ts)", "flow": "t", "unique_policy": "s", "unique_scope": "s", "freezable": "b", "queue": "s", "ids": "at", "state": "s", "result": "s", "owner": "u", "dead": "b",
    "credentials": "a{say}", "verify": "s", "stdout": "s", "OnCalendar": "as",
    "max_attempts": "u", "backoff": "s", "backoff_base_usec": "t", "backoff_max_usec": "t", "backoff_jitter": "d", "retry_on": "as",
    "requeue_lost": "b", "memory_growth": "d", "keep_usec": "t", "since_usec": "t", "until_usec": "t", "order": "s", "fields": "as",
}
SIMPLE = {"s": dbus.String, "u": dbus.UInt32, "i": dbus.Int32, "t": dbus.UInt64, "b": dbus.Boolean, "d": dbus.Double}


class BusError(Exception):
    def __init__(self, name, message):
        super().__init__("%s: %s" % (name, message))
        self.name = name
        self.short = name.removeprefix(ERROR)
        self.message = message


def typed(key, value):
    """A value for a{sv}, of the type that the key has."""
    if getattr(value, "variant_level", None) is not None or isinstance(value, (dbus.Array, dbus.ByteArray)):
        return value
    if key == "Job":
        return options(value)
    t = TYPES.get(key, "s")
    if isinstance(value, list) and not t.startswith("a"):
        t = "a" + t  # a filter that takes one or many
    if t in SIMPLE:
        return SIMPLE[t](value)
    if t == "ay":
        return dbus.ByteArray(value.encode() if isinstance(value, str) else value)
    if t == "a{say}":
        return dbus.Dictionary({k: dbus.ByteArray(v if isinstance(v, bytes) else v.encode()) for k, v in value.items()}, signature="say")
    if t == "a{ss}":
        return dbus.Dictionary(value, signature="ss")
    if t == "a(ts)":
        return dbus.Array([dbus.Struct((dbus.UInt64(i), dbus.String(s))) for i, s in value], signature="(ts)")
    return dbus.Array([SIMPLE[t[1]](v) for v in value], signature=t[1])


def options(d):
    return dbus.Dictionary({k: typed(k, v) for k, v in d.items()}, signature="sv")


def entry(queue, argv, **spec):
    """One of SubmitMany's."""
    return options({"queue": queue, "argv": list(argv), **spec})


class Client:
    """A connection. Calls pump the main loop, so signals come in meanwhile."""

    def __init__(self, address):
        self.bus = dbus.bus.BusConnection(address, mainloop=dbus.mainloop.glib.DBusGMainLoop())
        self.bus.set_exit_on_disconnect(False)
        self.signals = []
        self.bus.add_signal_receiver(self.on_signal, dbus_interface=MANAGER, member_keyword="member")

    def close(self):
        self.bus.close()

    def on_signal(self, *args, member=None):
        self.signals.append((str(member),) + tuple(plain(a) for a in args))

    def pump(self, seconds=0.0):
        end = time.monotonic() + seconds
        context = GLib.MainContext.default()
        while context.iteration(False) or time.monotonic() < end:
            if not context.pending():
                time.sleep(min(0.005, max(0, end - time.monotonic())))

    def send(self, name, path, interface, member, signature, *args, timeout=30):
        """A call whose answer is looked at later: a Pending."""
        pending = Pending()
        self.bus.call_async(name, path, interface, member, signature, args, pending.on_reply, pending.on_error,
                            timeout=timeout)
        return pending

    def raw(self, name, path, interface, member, signature, *args, timeout=30):
        return self.finish(self.send(name, path, interface, member, signature, *args, timeout=timeout))

    def finish(self, pending):
        while not pending.done:
            if not self.bus.get_is_connected():  # libdbus forgets what was on its way then
                raise BusError("org.freedesktop.DBus.Error.Disconnected", "the bus has gone")
            GLib.MainContext.default().iteration(True)
        if pending.error:
            raise pending.error
        return pending.result

    def start(self, member, *args, timeout=30):
        signature = METHODS[member]
        args = [options(a) if isinstance(a, dict) and not isinstance(a, dbus.Dictionary) else a for a in args]
        if member == "SubmitMany":
            args = [dbus.Array(args[0], signature="a{sv}")]
        elif member in ("Submit", "PreviewUnit"):
            args[1] = dbus.Array(args[1], signature="s")
        return self.send(NAME, PATH, MANAGER, member, signature, *args, timeout=timeout)

    def call(self, member, *args, timeout=30):
        return self.finish(self.start(member, *args, timeout=timeout))

    def get_all(self, path, interface):
        return self.raw(NAME, path, "org.freedesktop.DBus.Properties", "GetAll", "s", interface)

    def get(self, path, interface, name):
        return self.raw(NAME, path, "org.freedesktop.DBus.Properties", "Get", "ss", interface, name)

    def introspect(self, path):
        return self.raw(NAME, path, "org.freedesktop.DBus.Introspectable", "Introspect", "")

    def has_owner(self, name=NAME):
        return self.raw("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "NameHasOwner", "s", name)


class Pending:
    def __init__(self):
        self.sent = time.time()
        self.answered = None  # when
        self.done = False
        self.error = None
        self.result = None

    def on_reply(self, *values):
        self.answered = time.time()
        self.done = True
        values = tuple(plain(v) for v in values)
        self.result = values[0] if len(values) == 1 else values or None

    def on_error(self, e):
        self.answered = time.time()
        self.done = True
        self.error = BusError(e.get_dbus_name(), e.get_dbus_message())
