# SPDX-License-Identifier: LGPL-2.1-or-later
"""A program that calls everything that jobmilld offers, with random and boundary arguments, of the right types and of wrong ones, many calls
at a time: run as some user by test_random_calls.py. What there is to call is what the daemon says of itself: introspection data on the bus,
the interface's description on the socket. The same seed makes the same calls of the same ids.

  random_calls.py bus|socket SEED CALLS CONFIG       CONFIG: JSON, see main()

Prints JSON: {"calls", "done": {method: calls}, "errors": {name: calls}, "bad": [what must not be], "last": [the last calls]}. What must not
be: a call that gets no answer and is none of those that wait by contract, and an answer that says that jobmilld is at fault."""

import collections
import json
import os
import random
import re
import socket
import string
import sys
import time
import traceback
import xml.etree.ElementTree as xml

NAME, ROOT = "org.jobmill1", "/org/jobmill1"
BUS = "unix:path=/run/dbus/system_bus_socket"
SOCKET = "/run/jobmill/org.jobmill"

# Errors by which the daemon names a mistake of the caller. All others are its own mistakes: Failed, System.Error.*, NoReply, NoMemory.
BUS_ERRORS = {"org.freedesktop.DBus.Error." + e for e in (
    "AccessDenied", "InteractiveAuthorizationRequired", "InvalidArgs", "InvalidSignature", "PropertyReadOnly", "UnknownInterface",
    "UnknownMethod", "UnknownObject", "UnknownProperty")}
SERVICE_ERRORS = {"org.varlink.service." + e for e in ("ExpectedMore", "InterfaceNotFound", "InvalidParameter", "MethodNotFound")}
OWN_FAULTS = {"Failed", "StorageError", "StorageFull"}

NUMBERS = (0, 1, 2, 3, 7, 100, 1000, 65536, 2**31 - 1, 2**31, 2**32 - 1, 2**53, 2**63 - 1, 2**63, 2**64 - 1, -1, -2, -100, -1001, -2**31, -2**63)
BOUNDS = {"y": (0, 2**8 - 1), "n": (-2**15, 2**15 - 1), "q": (0, 2**16 - 1), "i": (-2**31, 2**31 - 1), "u": (0, 2**32 - 1),
          "x": (-2**63, 2**63 - 1), "t": (0, 2**64 - 1)}
DOUBLES = (0.0, -0.0, 1.0, 0.5, -1.0, 1e308, 5e-324, float("inf"), float("-inf"), float("nan"))
STRINGS = ("", " ", "a", "default", "x" * 129, "x" * 70000, "a\nb", "a\tb", "\x01", "\x7f", "ü€😀", "\ufeff", "\ud7ff", "%s%n", "../../x", "/", "=", "A=b",
           "-1", "0", "18446744073709551616", "1e309", "NaN", "true", "yes", "no", "infinity", "1h", "90", "1min 3s", "*", "@last", "'\"\\", "{}", "[", "null",
           "success", "failure", "end", "stdout", "journal", "spool", "exit", "verdict", "held", "done", "running", "exit-code", "1/min", "50%", "100%", "1G", "root", "alice")
# Nothing that does harm where it is run, started or written: it is, as root too.
COMMANDS = (["/bin/true"], ["/bin/false"], ["/bin/sh", "-c", "exit 75"], ["/bin/sleep", "0.05"], ["/bin/sleep", "60"], [], [""], ["/nowhere"],
            ["nowhere"], ["/"], ["/bin/echo", "x" * 5000], ["/bin/echo", '{"success": true}'], ["/bin/sh", "-c", "kill -SEGV $$"],
            ["/bin/sh", "-c", "trap '' TERM; sleep 60"], ["/bin/true"] + ["x"] * 2000, ["/bin/echo", "\x01\n", "ü"])
PROPERTIES = (["MemoryMax=1G"], ["MemoryMax=1"], ["CPUQuota=50%"], ["TasksMax=0"], ["Nice=19"], ["Nice=-20"], ["User=root"], ["User=nobody"],
              ["ProtectSystem=strict"], ["ProtectSystem=no"], ["PrivateTmp=yes", "PrivateTmp=yes"], ["Slice=system.slice"], ["Type=forking"],
              ["BindPaths=/etc:/mnt"], ["CapabilityBoundingSet=~"], ["NoNewPrivileges=yes"], ["=x"], ["X"], ["A\nB=c"], [""], ["SystemCallFilter=@system-service"])
# By the name of a key or an argument, what is of more interest there than just any value of its type.
WORDS = {
    "argv": COMMANDS, "properties": PROPERTIES, "cwd": ("/", "/tmp", "/nowhere", "relative", "/etc/../"), "name": ("a", "x" * 128, "x" * 129, "a\nb"),
    "environment": ([], ["A=1"], ["A"], ["=b"], ["A=1", "A=2"], ["LD_PRELOAD=/x"], ["PATH="], ["A=\n"], ["JOBMILL_JOB_ID=1"], ["A=" + "x" * 5000]),
    "output_file": ("/dev/null", "/dev/full", "/nowhere/x", "x", "/", "/proc/self/attr/current"), "error_file": ("/dev/null", "/", "x"),
    "callback_url": ("", "http://", "ftp://127.0.0.1/", "http://a b/", "https://" + "x" * 5000), "callback_events": ([], ["nonsense"], ["success", "success"]),
    "on_success": ([], ["nowhere.service"], ["a b"], ["x" * 300 + ".service"], ["../x.service"]), "on_failure": ([], ["nowhere.service"], ["reboot"]),
    "state": ("held", "waiting", "ready", "running", "done", "live", "nonsense"), "result": ("success", "exit-code", "cancelled", "nonsense"),
    "order": ("newest", "oldest", "rank", "nonsense"), "group_by": ("", "day", "queue", "owner", "queue,owner", "day,day", "nonsense"), "stream": ("", "stdout", "stderr", "journal", "x"),
    "fields": ([], ["id"], ["id", "id"], ["argv", "state", "verdict", "io"], ["nonsense"]), "tags": ({}, {"a": "b"}, {"": ""}, {"x" * 300: "y"}, {"a\n": "b"}),
    "backoff": ("fixed", "exponential", "x"), "retry_on": ([], ["exit-code"], ["cancelled"], ["x"]), "unique_policy": ("reject", "return", "replace", "x"),
    "unique_scope": ("queued", "live", "span", "x"), "verify": ("exit", "verdict", "x"), "stdout": ("journal", "spool", "x"),
    "OnCalendar": (["daily"], ["*-*-* 25:00"], [], ["x" * 200], ["daily"] * 100), "Overlap": ("skip", "queue", "x"), "GateUnit": ("", "nowhere.service", "a b"),
    "WorkerUnit": ("", "nowhere.service"), "Executor": ("service", "pool", "worker", "x"), "SlotVariable": ("", "CUDA_VISIBLE_DEVICES", "PATH", "a\nb"), "signal": (0, 1, 9, 15, 64, 65, -1, 2**31 - 1, -2**31),
    "timeout_usec": (0, 1, 100000, 10**6, 2**63, 2**64 - 1), "delay_usec": (0, 1, 10**6, 2**63, 2**64 - 1), "slots": (0, 1, 2, 1000, 2**32 - 1), "array": (0, 1, 5, 20, 2**32 - 1),
    "protocol": (1, 0, 2, -1), "collapse": (True, False),
}
ANY_TYPE = ("s", "u", "i", "t", "x", "b", "d", "y", "o", "g", "ay", "as", "at", "av", "a{ss}", "a{sv}", "(su)", "a(ts)", "aas", "v", "aa{sv}", "(((((((s)))))))")


class Dice(random.Random):
    """Random arguments. Numbers of jobs and names of queues are mostly those that are there: the caller's and others'."""

    def __init__(self, seed, config):
        super().__init__(seed)
        self.ids, self.names, self.keys = list(config["ids"]), list(config["names"]), config["keys"]

    def often(self, percent):
        return self.random() * 100 < percent

    def id(self):
        return self.choice(self.ids) if self.often(85) else self.choice((0, 1, self.ids[-1] + 1, 2**63 - 1, 2**63, 2**64 - 1))

    def learn(self, id_):
        self.ids.append(id_)
        if len(self.ids) > 200:
            del self.ids[100]

    def text(self, name=""):
        if name in ("queue", "queue_name", "schedule", "name", "type") and self.often(80):
            return self.choice(self.names)
        if self.often(10):
            return "".join(self.choice(string.printable + "üé€\x02") for _ in range(self.randrange(40)))
        return self.choice(STRINGS)

    def number(self, low, high):
        if self.often(30):
            return self.randint(low, high)
        return self.choice([n for n in NUMBERS if low <= n <= high])

    def word(self, name):
        """What fits that name, or None."""
        words = WORDS.get(name)
        return self.choice(words) if words and self.often(85) else None


# ---- the bus ----

class Bus:
    """Calls on connections that last for some dozen calls each."""

    def __init__(self, dice):
        # Not all who speak to the socket need them.
        from gi.repository import Gio, GLib
        self.gio, self.glib, self.dice = Gio, GLib, dice
        self.done, self.errors, self.bad = collections.Counter(), collections.Counter(), []
        self.last = collections.deque(maxlen=60)
        self.connection = None
        self.pending = {}  # number: (words, waits by contract)
        self.n = 0

    # -- values --

    def fits(self, value, signature):
        try:
            return self.glib.Variant(signature, value)
        except (TypeError, ValueError, OverflowError, KeyError, IndexError):
            return None

    def basic(self, t, name):
        d, v = self.dice, None
        if t in BOUNDS:
            return d.id() if t == "t" and name in ("id", "ids", "flow", "array", "after", "worker") else d.number(*BOUNDS[t])
        if t == "s":
            v = d.text(name)
        return {"s": v, "b": d.often(50), "d": d.choice(DOUBLES), "o": d.choice(("/", ROOT, ROOT + "/job/1", "/a")), "g": d.choice(("", "s", "a{sv}")), "h": 0}[t]

    def value(self, signature, name="", depth=0):
        """A Variant of that complete type."""
        d, V = self.dice, self.glib.Variant
        word = d.word(name)
        if word is not None and (v := self.fits(word, signature)) is not None:
            return v
        t = signature[0]
        if t == "v":
            return V("v", self.value(d.choice(ANY_TYPE) if depth < 4 else "s", name, depth + 1))
        if t == "(":
            return V.new_tuple(*[self.value(p, name, depth + 1) for p in split(signature[1:-1])])
        if signature == "ay":
            return V("ay", bytes(d.choice((b"", b"{}", b"\0", b"\xff\xfe", b"x" * 5000))))
        if signature == "a{sv}":
            return self.dictionary(name, depth)
        if signature.startswith("a{"):
            k, v = split(signature[2:-1])
            entries = [V.new_dict_entry(self.value(k, name, depth + 1), self.value(v, name, depth + 1)) for _ in range(d.randrange(4))]
            return V.new_array(self.glib.VariantType(signature[1:]), entries)
        if t == "a":
            n = d.choice((0, 1, 1, 1, 2, 3, 20)) if depth < 2 else d.randrange(3)
            return V.new_array(self.glib.VariantType(signature[1:]), [self.value(signature[1:], name, depth + 1) for _ in range(n)])
        return V(signature, self.basic(t, name))

    def dictionary(self, name, depth):
        """An a{sv}. Its keys are those that stand in its place, or not; of their types, or not; one twice, perhaps."""
        d, V = self.dice, self.glib.Variant
        known = d.keys[{"filter": "filter", "settings": "settings"}.get(name, "spec")]
        entries = {}
        if name in ("jobs", "options", "Job") and d.often(60):
            entries = {"queue": V("s", d.text("queue")), "argv": V("as", d.choice(COMMANDS))} if name != "options" else {}
        for _ in range(d.choice((0, 0, 0, 1, 1, 2, 6))):
            key = d.choice(list(known)) if d.often(90) else d.text()
            types = known.get(key, ["s"])
            entries[key] = self.value(d.choice(types) if d.often(75) else d.choice(ANY_TYPE), key, depth + 1)
        pairs = [V.new_dict_entry(V("s", k), V("v", v)) for k, v in entries.items()]
        if pairs and d.often(3):
            pairs.append(pairs[0])
        return V.new_array(self.glib.VariantType("{sv}"), pairs)

    # -- what there is --

    def look(self):
        """[(path, interface, method, [(name, type)])], [(path, interface, property)]"""
        paths = [ROOT, "/org/freedesktop/LogControl1", *(ROOT + "/job/%d" % i for i in self.dice.ids[:6]),
                 *(ROOT + "/queue/" + n.replace("-", "_2d") for n in self.dice.names[:4])]
        methods, properties = [], []
        for path in paths:
            try:
                text = self.connection.call_sync(NAME, path, "org.freedesktop.DBus.Introspectable", "Introspect", None, None, 0, 60000, None).unpack()[0]
            except self.glib.Error:
                assert "/job/" in path, path
                continue  # it was purged
            for interface in xml.fromstring(text).iter("interface"):
                i = interface.get("name")
                methods += [(path, i, m.get("name"), [(a.get("name", ""), a.get("type")) for a in m.iter("arg") if a.get("direction", "in") == "in"])
                            for m in interface.iter("method")]
                properties += [(path, i, p.get("name")) for p in interface.iter("property")]
        assert any(m[2] == "SubmitFlow" for m in methods) and any(p[2] == "LogLevel" for p in properties)
        # Most of all the interface that does things.
        weights = [20 if m[1] == NAME + ".Manager" else 1 for m in methods]
        return methods, weights, properties

    def arguments(self, method, args):
        """Of the right types, mostly."""
        values = [self.value(t, n) for n, t in args]
        if method == "SubmitFlow" and self.dice.often(80):
            values = [self.glib.Variant("s", self.flow())]
        if self.dice.often(8):
            what = self.dice.randrange(3)
            if what == 0 and values:
                values.pop(self.dice.randrange(len(values)))
            elif what == 1 and values:
                values[self.dice.randrange(len(values))] = self.value(self.dice.choice(ANY_TYPE))
            else:
                values.append(self.value(self.dice.choice(ANY_TYPE)))
        return self.glib.Variant.new_tuple(*values)

    def flow(self):
        d, names = self.dice, ("a", "b", "c", "d")
        jobs = {n: {"queue": d.text("queue"), "argv": d.choice(COMMANDS), "after": d.choice(([], ["a"], [[d.choice(names), "end"]], {"b": "failure"}, 7, [n]))} for n in names[:d.randrange(5)]}
        jobs = d.choice((jobs, [dict(j, name=n) for n, j in jobs.items()]))
        return d.choice((json.dumps({"jobs": jobs}), json.dumps(jobs), json.dumps({"jobs": jobs})[:-2], json.dumps({"jobs": jobs, d.text(): 1}), "[" * 5000))

    # -- calls --

    def open(self):
        flags = self.gio.DBusConnectionFlags
        self.connection = self.gio.DBusConnection.new_for_address_sync(
            BUS, flags.AUTHENTICATION_CLIENT | flags.MESSAGE_BUS_CONNECTION, None, None)

    def close(self):
        """With calls that wait on it."""
        for n in [n for n, (_, waits) in self.pending.items() if waits]:
            del self.pending[n]
        self.connection.close_sync(None)

    def call(self, path, interface, method, parameters):
        text = parameters.print_(True)
        words = "%s %s.%s %s" % (path, interface, method, text if len(text) < 400 else text[:400] + "…")
        # A job that is not done may take as long as it likes, and as long as the caller says.
        waits = method == "WaitJob" and parameters.get_type_string() == "(tt)" and parameters.unpack()[1] > 10**6
        self.n += 1
        self.last.append(words)
        self.done[method] += 1
        self.pending[self.n] = (words, waits)
        fds = self.gio.UnixFDList()
        if "h" in parameters.get_type_string():
            fd = os.open(self.dice.choice(("/dev/null", "/dev/zero", "/")), os.O_RDONLY)
            fds.append(fd)
            os.close(fd)
        self.connection.call_with_unix_fd_list(NAME, path, interface, method, parameters, None, 0, 2**31 - 1, fds, None, self.on_answer, self.n)

    def on_answer(self, connection, result, n):
        words, _ = self.pending.pop(n, (None, None))
        try:
            answer, fds = connection.call_with_unix_fd_list_finish(result)
        except self.glib.Error as e:
            if words is None:
                return  # the connection was closed on it
            name = self.gio.DBusError.get_remote_error(e) or "org.freedesktop.DBus.Error.%s (%d)" % (e.domain, e.code)
            self.errors[name] += 1
            short = name.removeprefix(NAME + ".Error.")
            if not (name in BUS_ERRORS or short != name and short not in OWN_FAULTS):
                self.bad.append("%s: %s -> %s" % (name, words, e.message[:300]))
            return
        self.errors["none"] += 1
        for fd in fds.steal_fds() if fds else ():
            os.close(fd)
        value = answer.unpack()
        if words and (".Submit " in words or ".FireSchedule " in words):
            self.dice.learn(value[0])
        elif words and ".SubmitMany " in words:
            for i in value[0][:5]:
                self.dice.learn(i)

    def drain(self, down_to, seconds):
        """Until no more calls than that are unanswered."""
        context, deadline = self.glib.MainContext.default(), time.monotonic() + seconds
        while sum(not waits for _, waits in self.pending.values()) > down_to:
            if not context.iteration(False):
                time.sleep(0.002)
            if time.monotonic() > deadline:
                self.bad += ["no answer: " + words for words, waits in self.pending.values() if not waits]
                self.pending.clear()

    def one(self, methods, weights, properties):
        d, V = self.dice, self.glib.Variant
        if d.often(10):
            path, interface, name = d.choice(properties)
            interface = interface if d.often(90) else d.choice(("", "a.b", NAME + ".Job"))
            name = name if d.often(90) else d.text()
            verb = d.choice(("Get", "Set", "Set", "GetAll"))
            rest = {"Get": ("(ss)", (interface, name)), "GetAll": ("(s)", (interface,))}.get(verb) or \
                ("(ssv)", (interface, name, self.value(d.choice(ANY_TYPE), name)))
            return self.call(path, "org.freedesktop.DBus.Properties", verb, V(*rest))
        path, interface, method, args = d.choices(methods, weights)[0]
        parameters = self.arguments(method, args)
        if d.often(4):
            path = d.choice((ROOT + "/job/%d" % d.id(), ROOT + "/job/x", ROOT + "/job/18446744073709551616", ROOT + "/queue/_", ROOT + "/queue/_zz_2d",
                             ROOT + "/job", ROOT + "/queue/nowhere", "/", ROOT + "/job/1/2"))
        if d.often(2):
            method = d.choice(("Nonsense", "submit", method + "X"))
        self.call(path, interface, method, parameters)
        return None

    def run(self, calls, patience):
        self.open()
        try:
            there = self.look()
            while self.n < calls:
                for _ in range(min(self.dice.choice((1, 10, 60)), calls - self.n)):
                    self.one(*there)
                    if self.dice.often(15):
                        self.drain(self.dice.randrange(16), patience)
                if self.dice.often(80):
                    self.drain(0, patience)
                else:  # gone before the answers
                    self.pending.clear()
                self.close()
                self.open()
            self.drain(0, patience)
        finally:
            if self.connection.is_closed():
                self.bad.append("the bus has closed the connection")
        self.close()


def split(signature):
    """The complete types of a signature."""
    types, depth, begin = [], 0, 0
    for i, c in enumerate(signature):
        depth += (c in "({") - (c in ")}")
        if depth == 0 and c != "a":
            types.append(signature[begin:i + 1])
            begin = i + 1
    return types


# ---- the socket ----

def read_interface(text):
    """{method: {parameter: type}}, {type: {field: type}} and the errors of a Varlink interface."""
    text = re.sub(r"#.*", "", text)
    fields = lambda s: dict(re.findall(r"(\w+)\s*:\s*([^,]+?)\s*(?:,|$)", s))
    methods = {m[1]: fields(m[2]) for m in re.finditer(r"method (\w+)\s*\(([^)]*)\)", text)}
    types = {m[1]: fields(m[2]) for m in re.finditer(r"type (\w+)\s*\(([^)]*)\)", text)}
    return methods, types, set(re.findall(r"error (\w+)", text))


class Socket:
    """Each round is a process and a connection of its own: who asks for a scope goes into it, and who registers as a worker is one until
    his process ends."""

    def __init__(self, dice):
        self.dice = dice
        self.done, self.errors, self.bad, self.last = collections.Counter(), collections.Counter(), [], collections.deque(maxlen=60)
        self.n = 0

    # -- values --

    def json(self, type_, name="", depth=0):
        d = self.dice
        if type_.startswith("?"):
            if d.often(5):
                return None
            type_ = type_[1:]
        if d.often(12):
            type_ = d.choice(("int", "string", "bool", "float", "[]int", "[]string", "[string]string", "object", "null", "[][]string"))
        elif (word := d.word(name)) is not None:
            return word
        if type_ == "int":
            return d.id() if name in ("id", "flow", "after") else d.number(-2**63, 2**64 - 1) if d.often(98) else 2**200
        if type_ in self.types:
            return self.object(self.types[type_], depth)
        if type_.startswith("[]"):
            return [self.json(type_[2:], name, depth + 1) for _ in range(d.randrange(4))]
        if type_.startswith("[string]"):
            return {d.text(): self.json(type_[8:], name, depth + 1) for _ in range(d.randrange(3))}
        if type_ == "object":
            return d.choice(({}, [], 7, "x", None, {"a": {"a": [{}]}}, {"jobs": {"a": {"argv": ["/bin/true"]}, "b": {"argv": ["/bin/true"], "after": ["a"]}}}, [1, "success"]))
        return {"string": d.text(name), "bool": d.often(50), "float": d.choice(DOUBLES[:-3]), "null": None}.get(type_, 7)

    def object(self, fields, depth=0):
        d, o = self.dice, {}
        if "argv" in fields and d.often(70):
            o = {"queue": d.text("queue"), "argv": d.choice(COMMANDS)}
        names = [f for f, t in fields.items() if not t.startswith("?")]
        optional = [f for f, t in fields.items() if t.startswith("?")]
        names += d.sample(optional, min(len(optional), d.choice((0, 0, 1, 2, 5))))
        for f in names:
            if d.often(97) and f not in o:
                o[f] = self.json(fields[f], f, depth + 1)
        if d.often(4):
            o[d.text()] = self.json("object")
        return o

    # -- calls --

    def read(self, s, buffer):
        while b"\0" not in buffer:
            try:
                data = s.recv(1 << 16)
            except ConnectionResetError:  # closed with something unread, which comes after all that was said
                data = b""
            if not data:
                return None
            buffer += data
        text, _, rest = bytes(buffer).partition(b"\0")
        buffer[:] = rest
        return json.loads(text.decode())

    def ask(self, method, parameters):
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(60)
            s.connect(SOCKET)
            s.sendall(json.dumps({"method": method, "parameters": parameters}).encode() + b"\0")
            return self.read(s, bytearray())["parameters"]

    def message(self):
        """(what is sent, the method, may it wait, is it answered, is it no call at all)"""
        d = self.dice
        name = d.choice(list(self.methods))
        parameters = self.object(self.methods[name])
        m = {"method": "org.jobmill." + name, "parameters": parameters}
        if d.often(3):
            m["method"] = d.choice(("org.jobmill.Nonsense", "org.varlink.service.GetInfo", "org.nowhere.X", "x", "", ".", "org.varlink.service.GetInterfaceDescription"))
        if d.often(2):
            m["parameters"] = self.json("object")
        more = d.often(70 if name in ("Events", "Register", "Run") else 4)
        oneway = d.often(4)
        if more:
            m["more"] = True
        if oneway:
            m["oneway"] = True
        waits = more or name in ("Wait", "Run", "Register", "Drain", "Exited")
        return json.dumps(m).encode() + b"\0", name, waits, not oneway, not isinstance(m["parameters"], (dict, type(None)))

    def garbage(self):
        d = self.dice
        return d.choice((b"\0", b"{}\0", b"[]\0", b"{\0", b"null\0", b'{"method": 7}\0', b'{"method": "org.jobmill.Get"\0', b"\xff\xfe\0", b'{"method": "org.jobmill.Get", "parameters": {"id": 1e999}}\0',
                         b'{"method": "\xff"}\0', b"[" * 5000 + b"\0", b'{"method": "org.jobmill.Statistics", "method": "org.jobmill.Get"}\0', bytes(d.randrange(256) for _ in range(50)) + b"\0", b"GET / HTTP/1.1\r\n\r\n\0"))

    def round(self, patience):
        """[(method, error or "none")], [what must not be], [what was sent], [new ids]"""
        d, seen, bad, sent, ids = self.dice, [], [], [], []
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(patience)
        s.connect(SOCKET)
        expected, broken, waits = [], False, False
        out = b""
        for _ in range(d.choice((1, 3, 12))):
            data, name, may_wait, answered, broken = self.message()
            if d.often(3):
                data, name, broken = self.garbage(), "garbage", True
            out += data
            sent.append(data[:400].decode(errors="replace"))
            if answered:
                expected.append(name)
            seen.append((name, None))
            waits = waits or may_wait
            if broken or waits:
                break
        ending = d.choice(("read", "read", "read", "half", "close", "shut"))
        if ending == "half":  # a message without an end, and nothing more
            out += b'{"method": "org.jobmill.Submit", "par'
        try:
            s.sendall(out)
            if ending == "shut":
                s.shutdown(socket.SHUT_WR)
            if ending != "close":
                self.answers(s, expected, waits, broken or ending in ("half", "shut"), seen, bad, ids)
        except BrokenPipeError:
            if not broken:
                bad.append("closed before all was sent")
        s.close()
        return seen, bad, sent, ids

    def answers(self, s, expected, waits, may_close, seen, bad, ids):
        buffer = bytearray()
        for i, name in enumerate(expected):
            last = i == len(expected) - 1
            if last and waits:
                s.settimeout(0.3)
            while True:
                try:
                    answer = self.read(s, buffer)
                except socket.timeout:
                    if not (last and waits):
                        bad.append("no answer: %d of %s" % (i, expected))
                    return
                if answer is None:
                    if not may_close and not (last and waits):
                        bad.append("closed at %d of %s" % (i, expected))
                    return
                self.judge(name, answer, seen, bad)
                may_close = may_close or answer.get("error") == "org.jobmill.InvalidMessage"  # no call at all: that connection ends
                if name == "Submit" and isinstance(answer["parameters"].get("id"), int):
                    ids.append(answer["parameters"]["id"])
                if not answer.get("continues"):
                    break

    def judge(self, name, answer, seen, bad):
        error = answer.get("error", "none")
        seen.append((None, error))
        known = error == "none" or error in SERVICE_ERRORS or \
            error.startswith("org.jobmill.") and error[12:] in self.known_errors and error[12:] not in OWN_FAULTS
        if not known or not isinstance(answer.get("parameters"), dict):
            bad.append("%s -> %s" % (name, json.dumps(answer)[:400]))

    def run(self, calls, patience):
        text = self.ask("org.varlink.service.GetInterfaceDescription", {"interface": "org.jobmill"})["description"]
        self.methods, self.types, self.known_errors = read_interface(text)
        assert self.methods["Submit"] == {"job": "Spec"} and "argv" in self.types["Spec"] and "Failed" in self.known_errors
        while self.n < calls:
            seed = self.dice.randrange(2**32)
            r, w = os.pipe()
            child = os.fork()
            if child == 0:
                os.close(r)
                with os.fdopen(w, "w") as f:
                    try:
                        self.dice.seed(seed)
                        f.write(json.dumps(self.round(patience)))
                    except BaseException:
                        f.write(json.dumps([[], [traceback.format_exc()], [], []]))
                os._exit(0)
            os.close(w)
            with os.fdopen(r) as f:
                report = f.read()
            os.waitpid(child, 0)
            # Who ran something in the foreground is killed with it.
            seen, bad, sent, ids = json.loads(report) if report else ([["killed", None]], [], [], [])
            self.n += max(1, len(sent))
            self.last.extend(sent)
            self.bad += ["seed %d: %s: %s" % (seed, b, sent) for b in bad]
            self.done.update(name for name, _ in seen if name)
            self.errors.update(error for _, error in seen if error)
            for i in ids:
                self.dice.learn(i)


def main():
    """CONFIG: {"ids": numbers of jobs, "names": of queues and schedules, "keys": {"spec"|"filter"|"settings": {key: [types]}}, "patience": seconds}"""
    what, seed, calls, config = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), json.loads(sys.argv[4])
    caller = {"bus": Bus, "socket": Socket}[what](Dice(seed, config))
    try:
        caller.run(calls, config["patience"])
    except Exception:
        caller.bad.append(traceback.format_exc())
    print(json.dumps({"calls": caller.n, "done": caller.done, "errors": caller.errors, "bad": caller.bad[:50], "last": list(caller.last)}))


if __name__ == "__main__":
    main()
