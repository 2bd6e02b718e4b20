#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A small org.freedesktop.systemd1 on a private bus, for tests of what a real one does too seldom or too slowly.

It runs the command of each transient service as a real child and gives units the life that systemd 252 gives to
Type=exec services: RemainAfterExit= keeps the outcome, TERM, HUP, INT and PIPE count as success, a second start under the
same name is refused, StopUnit throws the result away, failed units stay until ResetFailedUnit. Signals go out only while
somebody is subscribed; InvocationID is in GetAll but never in a signal. The start is carried out after the reply, as
PID 1 does it, so a unit can be asked for and not be running yet.

Everything else is there to be broken: see the do_... methods, called by the tests through busfake.Control."""

import fnmatch
import os
import pathlib
import pwd
import re
import signal
import subprocess
import time
import uuid

import dbus
from gi.repository import GLib

import busfake
from busfake import Error, NoReply, escape, plain

NAME = "org.freedesktop.systemd1"
PATH = "/org/freedesktop/systemd1"
MANAGER = NAME + ".Manager"
PROPERTIES = "org.freedesktop.DBus.Properties"
UNKNOWN = 2**64 - 1
CLEAN_SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGPIPE)

# What a Service has, with D-Bus type; the value comes from Unit.value(). The rest of what was given at the start is
# not shown, as nobody asks for it.
UNIT_PROPERTIES = {
    "Id": "s", "Names": "as", "Description": "s", "Documentation": "as", "LoadState": "s", "ActiveState": "s", "SubState": "s",
    "FragmentPath": "s", "DropInPaths": "as", "NeedDaemonReload": "b", "Job": "(uo)", "InvocationID": "ay",
    "FreezerState": "s", "Transient": "b", "StartLimitBurst": "u", "StartLimitIntervalUSec": "t", "CollectMode": "s",
    "StateChangeTimestamp": "t", "StateChangeTimestampMonotonic": "t",
    "InactiveExitTimestamp": "t", "InactiveExitTimestampMonotonic": "t",
    "ActiveEnterTimestamp": "t", "ActiveEnterTimestampMonotonic": "t",
    "ActiveExitTimestamp": "t", "ActiveExitTimestampMonotonic": "t",
    "InactiveEnterTimestamp": "t", "InactiveEnterTimestampMonotonic": "t",
}
SERVICE_PROPERTIES = {
    "Type": "s", "Restart": "s", "RemainAfterExit": "b", "KillMode": "s", "KillSignal": "i", "Result": "s",
    "StatusText": "s", "MainPID": "u", "ControlPID": "u", "NRestarts": "u", "ExecMainPID": "u", "ExecMainCode": "i",
    "ExecMainStatus": "i", "ExecMainStartTimestamp": "t", "ExecMainStartTimestampMonotonic": "t",
    "ExecMainExitTimestamp": "t", "ExecMainExitTimestampMonotonic": "t", "CPUUsageNSec": "t", "MemoryCurrent": "t",
    "MemoryPeak": "t", "MemoryMax": "t", "IOReadBytes": "t", "IOWriteBytes": "t", "TasksCurrent": "t", "ControlGroup": "s", "Slice": "s",
    "Environment": "as", "OOMPolicy": "s", "RuntimeMaxUSec": "t", "TimeoutStopUSec": "t", "User": "s",
}
TIMER_PROPERTIES = {"LastTriggerUSec": "t", "LastTriggerUSecMonotonic": "t", "NextElapseUSecRealtime": "t", "NextElapseUSecMonotonic": "t"}
SCOPE_PROPERTIES = {k: SERVICE_PROPERTIES[k] for k in ("Result", "Slice", "KillMode", "KillSignal", "RuntimeMaxUSec", "TimeoutStopUSec")}
UNIT_SIGNALLED = ("ActiveState", "FreezerState", "SubState", "StateChangeTimestamp", "StateChangeTimestampMonotonic",
                  "InactiveExitTimestamp", "InactiveExitTimestampMonotonic", "ActiveEnterTimestamp",
                  "ActiveEnterTimestampMonotonic", "ActiveExitTimestamp", "ActiveExitTimestampMonotonic",
                  "InactiveEnterTimestamp", "InactiveEnterTimestampMonotonic", "Job", "InvocationID")
SERVICE_SIGNALLED = ("MainPID", "ControlPID", "StatusText", "Result", "NRestarts", "ExecMainPID", "ExecMainCode",
                     "ExecMainStatus", "ExecMainStartTimestamp", "ExecMainStartTimestampMonotonic",
                     "ExecMainExitTimestamp", "ExecMainExitTimestampMonotonic")
DEFAULTS = {"s": "", "as": [], "b": False, "u": 0, "i": 0, "t": 0}
CONVERT = {"s": dbus.String, "b": dbus.Boolean, "u": dbus.UInt32, "i": dbus.Int32, "t": dbus.UInt64,
           "as": lambda v: dbus.Array(v, signature="s"), "ay": lambda v: dbus.Array(bytearray(v), signature="y"),
           "(uo)": lambda v: dbus.Struct((dbus.UInt32(v[0]), dbus.ObjectPath(v[1])), signature="uo")}


# Where units with Delegate= have control groups of their own, if root may make such here.
CGROUPS = next((p for p in map(pathlib.Path, ("/sys/fs/cgroup", "/sys/fs/cgroup/unified")) if (p / "cgroup.procs").exists()), None)


def read(path):
    try:
        with open(path) as file:
            return file.read()
    except OSError:
        return ""


def alive(pid):
    return read("/proc/%d/stat" % pid).rpartition(") ")[2][:1] not in ("", "Z", "X")


def be_called(name):
    """As /proc/PID/comm has it."""
    with open("/proc/self/comm", "w") as file:
        file.write(name)


def realtime():
    return time.clock_gettime_ns(time.CLOCK_REALTIME) // 1000


def monotonic():
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000


class Unit:
    """A unit: its settings as given, its state, the process."""

    def __init__(self, name, settings):
        self.name = name
        self.settings = settings
        self.path = PATH + "/unit/" + escape(name)
        self.state = {"Id": name, "Names": [name], "LoadState": "loaded", "ActiveState": "inactive", "SubState": "dead",
                      "FragmentPath": "/run/systemd/transient/" + name, "Transient": True, "Result": "success",
                      "Job": (0, "/"), "CPUUsageNSec": UNKNOWN, "MemoryCurrent": UNKNOWN, "MemoryPeak": UNKNOWN,
                      "IOReadBytes": UNKNOWN, "IOWriteBytes": UNKNOWN, "TasksCurrent": UNKNOWN, "InvocationID": b""}
        self.pid = None        # main process, while it lives
        self.group = None      # its process group, which stands for the cgroup
        self.stopping = False  # StopUnit, not a signal
        self.job = None        # (id, path, kind) while one is pending
        self.timers = []
        self.cgroup = None     # of one with Delegate=
        self.pids = set()      # of a scope

    @property
    def kind(self):
        return self.name.rpartition(".")[2]

    @property
    def service(self):
        return self.kind == "service"

    @property
    def scope(self):
        return self.kind == "scope"

    @property
    def timer(self):
        return self.kind == "timer"

    def members(self):
        """Of a scope: its process and all that come from it, as long as they are known."""
        new, found = self.pids, set()
        while new:
            found |= {p for p in new if alive(p)}
            new = {int(c) for p in new for c in read("/proc/%d/task/%d/children" % (p, p)).split()} - found
        self.pids = found
        return found

    def value(self, name, type_):
        if name in self.state:
            return self.state[name]
        if name in self.settings:
            return self.settings[name]
        return {"KillSignal": 15, "KillMode": "control-group", "Type": "simple", "Restart": "no",
                "CollectMode": "inactive", "StartLimitBurst": 5, "RuntimeMaxUSec": UNKNOWN, "MemoryMax": UNKNOWN,
                "TimeoutStopUSec": 90000000, "FreezerState": "running", "OOMPolicy": "stop"}.get(name, DEFAULTS.get(type_))

    def get(self, name):
        type_ = UNIT_PROPERTIES.get(name) or SERVICE_PROPERTIES[name]
        return self.value(name, type_)

    def dictionary(self, names, table):
        return dbus.Dictionary({n: CONVERT[table[n]](self.value(n, table[n])) for n in names}, signature="sv")

    def stamp(self, name):
        self.state[name] = realtime()
        self.state[name + "Monotonic"] = monotonic()

    def kill(self, signo, main_only=False):
        if signo == signal.SIGCONT and self.get("FreezerState") == "frozen":
            return  # a frozen cgroup is not woken by it
        if self.scope:
            members = self.members()
            for s in [signal.SIGSTOP, signo] if signo == signal.SIGKILL else [signo]:  # all at once: none sees the end of another
                for pid in members:
                    try:
                        os.kill(pid, s)
                    except ProcessLookupError:
                        pass
            return
        try:
            if main_only:
                if self.pid:
                    os.kill(self.pid, signo)
            elif signo == signal.SIGKILL and self.cgroup:
                (self.cgroup / "cgroup.kill").write_text("1")
            elif self.group:
                os.killpg(self.group, signo)
        except ProcessLookupError:
            pass

    def make_cgroup(self, uid, gid):
        if not self.settings.get("Delegate") or not CGROUPS or os.geteuid():
            return
        self.cgroup = CGROUPS / ("jobmill-fake-%d" % os.getpid()) / self.name
        self.cgroup.mkdir(parents=True, exist_ok=True)
        for path in (self.cgroup, *(self.cgroup / ("cgroup." + f) for f in ("procs", "subtree_control", "threads"))):
            os.chown(path, uid, gid)

    def remove_cgroup(self):
        """All of its processes are dead, or about to be."""
        if not self.cgroup:
            return
        (self.cgroup / "cgroup.kill").write_text("1")
        for _ in range(1000):
            try:
                for below, _, _ in os.walk(self.cgroup, topdown=False):
                    os.rmdir(below)
                self.cgroup.parent.rmdir()
                break
            except OSError:
                if not self.cgroup.exists():
                    break  # others are beside it
                time.sleep(0.002)
        self.cgroup = None

    def drop_timers(self):
        for t in self.timers:
            GLib.source_remove(t)
        self.timers = []

    def close_fds(self):
        for v in self.settings.values():
            if isinstance(v, dbus.types.UnixFd):
                try:
                    os.close(v.take())
                except ValueError:  # taken already
                    pass


class Systemd:
    def __init__(self, address):
        be_called("systemd")
        self.address = address
        self.next_job = 0
        self.units = {}
        self.log = None
        self.system = None
        self.away = False  # wanted by the test
        self.control = None
        self.state_defaults()
        self.connect()
        GLib.timeout_add(50, self.keep_connected)

    def state_defaults(self):
        self.userspace = monotonic()
        self.subscribers = set()
        self.rules = []          # faults, see do_fault()
        self.swapped = []        # signals that wait for the next one
        self.aliases = {}        # another name of a unit -> its own
        self.ends = {}           # unit -> (code, status) of its main process
        self.names_max = 0       # units that fit in; 0: any number
        self.no_fork = 0         # how many starts find that no process can be made
        self.calls = []          # (method, first argument, second argument if a plain one)
        self.open = {}           # method -> calls not answered yet
        self.max_open = {}
        self.starts = {}         # unit -> how often its command was run
        self.holding = {}        # slice, also each ancestor -> service units that are loaded
        self.max_holding = {}
        self.overrides = {}      # properties that a drop-in sets in every new unit
        self.drop_ins = []
        self.start_delay = 0
        self.held = {}           # "service", "scope" -> units whose start waits for the test
        self.kept = []           # answers that wait for it
        self.deaf = False        # to scopes that become empty
        self.signal_copies = 1   # 0: lost, 2: doubled
        self.system_state = "running"
        self.stopping = False    # nothing may start
        self.usage = {}          # what units report as used
        self.freezer_deaf = False  # what is frozen or thawed ends before that is heard
        self.version = "252.39-fake"

    def keep_connected(self):
        """The bus may be restarted, as PID 1 we come back."""
        if not self.away and not self.system.bus.get_is_connected():
            try:
                self.connect()
            except dbus.DBusException:
                pass
        return GLib.SOURCE_CONTINUE

    def connect(self):
        self.away = False
        self.subscribers.clear()
        self.open.clear()
        if not (self.control and self.control.endpoint.bus.get_is_connected()):
            self.control = busfake.Control(self.address, "org.jobmill.Fake.systemd", self)
        m = {"Subscribe": (self.subscribe, ""), "Unsubscribe": (self.unsubscribe, ""),
             "StartTransientUnit": (self.start_transient_unit, "o"), "StartUnit": (self.start_unit, "o"), "StopUnit": (self.stop_unit, "o"),
             "KillUnit": (self.kill_unit, ""), "FreezeUnit": (self.freeze_unit, ""), "ThawUnit": (self.thaw_unit, ""), "ResetFailedUnit": (self.reset_failed_unit, ""),
             "ResetFailed": (self.reset_failed, ""), "GetUnit": (self.get_unit, "o"), "LoadUnit": (self.load_unit, "o"),
             "GetUnitByInvocationID": (self.get_unit_by_invocation_id, "o"),
             "ListUnits": (self.list_units, "a(ssssssouso)"),
             "ListUnitsByPatterns": (self.list_units_by_patterns, "a(ssssssouso)"),
             "ListUnitsByNames": (self.list_units_by_names, "a(ssssssouso)"),
             "SetUnitProperties": (self.set_unit_properties, ""), "Reload": (self.reload, "")}
        handlers = {(MANAGER, k): self.with_faults(k, *v) for k, v in m.items()}
        handlers[(PROPERTIES, "Get")] = self.with_faults("Get", self.property_get, "v")
        handlers[(PROPERTIES, "GetAll")] = self.with_faults("GetAll", self.property_get_all, "a{sv}")
        handlers[("org.freedesktop.DBus.Introspectable", "Introspect")] = (lambda message: "<node/>", "s")
        self.system = busfake.Endpoint(self.address, NAME, handlers)
        self.system.bus.add_signal_receiver(self.on_name_owner_changed, "NameOwnerChanged", "org.freedesktop.DBus",
                                            "org.freedesktop.DBus", "/org/freedesktop/DBus", arg2="")

    def on_name_owner_changed(self, name, old, new):
        self.subscribers.discard(str(name))

    def close(self):
        for u in list(self.units.values()):
            self.forget(u)

    # ---- faults ----

    def with_faults(self, method, function, signature):
        """The handler as a real one would be called, after the rules for this method had their say."""

        def handler(message, *args):
            on_unit = message.get_interface() == PROPERTIES
            first = str(args[0]) if args and isinstance(args[0], str) and not on_unit else message.get_path()
            self.calls.append((method, first, plain(args[1:3]) if method == "KillUnit" else None))
            self.open[method] = self.open.get(method, 0) + 1
            self.max_open[method] = max(self.max_open.get(method, 0), self.open[method])
            answer = self.answer_function(method, message, function, signature, args)
            rule = self.take_rule(method, first)
            if not rule:
                answer()
            elif rule["action"] == "delay":
                if rule["execute"] == "first":
                    GLib.timeout_add(rule["ms"], self.once(self.evaluate(function, message, args, answer)))
                else:
                    GLib.timeout_add(rule["ms"], self.once(answer))
            elif rule["action"] == "refuse":
                if rule["execute"] == "first":
                    self.carry_out(function, message, args)
                if rule["ms"]:
                    GLib.timeout_add(rule["ms"], self.once(lambda: self.refuse(method, message, rule)))
                else:
                    self.refuse(method, message, rule)
            elif rule["action"] == "never":
                if rule["execute"] == "first":
                    self.carry_out(function, message, args)
            elif rule["action"] == "keep":  # until the test says so
                self.kept.append(answer if rule["execute"] != "refuse" else lambda: self.refuse(method, message, rule))
            elif rule["action"] == "hang":  # all of it: nothing is read, done or told meanwhile
                time.sleep(rule["ms"] / 1000)
                answer()
            elif rule["action"] == "pretend":  # says that it did
                answer(self.pretended(method, message, args), True)
            raise NoReply()

        return handler, signature

    def refuse(self, method, message, rule):
        self.answered(method)
        self.system.fail(message, Error(rule["error"], rule["message"]))

    def answer_function(self, method, message, function, signature, args):
        system = self.system

        def answer(result=None, done=False):
            self.answered(method)
            try:
                if not done:
                    result = function(message, *args)
                system.reply(message, signature, result)
            except Error as e:
                system.fail(message, e)

        return answer

    @staticmethod
    def carry_out(function, message, args):
        try:
            function(message, *args)
        except Error:
            pass  # nobody hears of it

    def pretended(self, method, message, args):
        """An answer that looks right to a call that was not carried out."""
        return {"StartTransientUnit": PATH + "/job/1", "StartUnit": PATH + "/job/1", "StopUnit": PATH + "/job/1"}.get(method)

    def evaluate(self, function, message, args, answer):
        """Do it now, answer later."""
        try:
            result = function(message, *args)
            return lambda: answer(result, True)
        except Error:
            return answer  # fails the same way once more

    def answered(self, method):
        self.open[method] -= 1

    @staticmethod
    def once(function):
        def run():
            function()
            return GLib.SOURCE_REMOVE
        return run

    def take_rule(self, method, first):
        for rule in self.rules:
            if rule["method"] == method and rule["count"] != 0 and fnmatch.fnmatch(first, rule["match"]):
                if rule["skip"] > 0:
                    rule["skip"] -= 1
                    continue
                rule["count"] -= 1
                rule["fired"] += 1
                return rule
        return None

    # ---- signals ----

    def emit(self, path, interface, member, signature, *args):
        if not self.subscribers:
            return
        for _ in range(self.signal_copies):
            self.deliver(path, interface, member, signature, *args)

    def deliver(self, *what):
        """Send a signal, after the rules for it had their say."""
        rule = self.take_rule("signal:" + what[2], what[0])
        action = rule["action"] if rule else ""
        if action == "delay":
            GLib.timeout_add(rule["ms"], self.once(lambda: self.system.signal(*what)))
        elif action == "swap":  # with the next one
            self.swapped.append(what)
            return
        elif action != "drop":
            for _ in range(2 if action == "double" else 1):
                self.system.signal(*what)
        while self.swapped:
            self.system.signal(*self.swapped.pop(0))

    def emit_manager(self, member, signature, *args):
        self.emit(PATH, MANAGER, member, signature, *args)

    def emit_changed(self, u):
        if u.service:
            self.emit(u.path, PROPERTIES, "PropertiesChanged", "sa{sv}as", NAME + ".Service",
                      u.dictionary(SERVICE_SIGNALLED, SERVICE_PROPERTIES),
                      ["ExecCondition", "ExecStartPre", "ExecStart", "ExecStartEx"])
        self.emit(u.path, PROPERTIES, "PropertiesChanged", "sa{sv}as", NAME + ".Unit",
                  u.dictionary(UNIT_SIGNALLED, UNIT_PROPERTIES), ["Conditions", "Asserts"])

    # ---- the life of a unit ----

    def set_state(self, u, active, sub):
        old = u.state["ActiveState"]
        u.state["ActiveState"], u.state["SubState"] = active, sub
        u.stamp("StateChangeTimestamp")
        if old in ("inactive", "failed") and active not in ("inactive", "failed"):
            u.stamp("InactiveExitTimestamp")
        if old != "active" and active == "active":
            u.stamp("ActiveEnterTimestamp")
        if old == "active" and active != "active":
            u.stamp("ActiveExitTimestamp")
        if active in ("inactive", "failed") and old not in ("inactive", "failed"):
            u.stamp("InactiveEnterTimestamp")
        self.emit_changed(u)

    def new_job(self, u, kind):
        if u.job:
            self.end_job(u, "canceled")
        self.next_job += 1
        u.job = (self.next_job, PATH + "/job/%d" % self.next_job, kind)
        u.state["Job"] = u.job[:2]
        self.emit_manager("JobNew", "uos", u.job[0], u.job[1], u.name)
        return u.job[1]

    def end_job(self, u, result):
        if not u.job:
            return
        id_, path, _ = u.job
        u.job, u.state["Job"] = None, (0, "/")
        self.emit_manager("JobRemoved", "uoss", id_, path, u.name, result)

    def levels(self, u):
        """The slice of a unit and the slices around it."""
        parts = u.get("Slice").removesuffix(".slice").split("-")
        return ["-".join(parts[:i + 1]) + ".slice" for i in range(len(parts))]

    def add(self, u):
        self.units[u.name] = u
        self.emit_manager("UnitNew", "so", u.name, u.path)
        if not (u.service or u.scope):
            return
        for s in self.levels(u):
            self.holding[s] = self.holding.get(s, 0) + 1
            self.max_holding[s] = max(self.max_holding.get(s, 0), self.holding[s])
            if s not in self.units and s != ".slice":
                slice_ = Unit(s, {})
                slice_.state.update(ActiveState="active", SubState="active")
                self.add(slice_)

    def remove(self, u, quiet=False):
        u.drop_timers()
        u.close_fds()
        u.remove_cgroup()
        if self.units.pop(u.name, None) is None:
            return
        if u.service or u.scope:
            for s in self.levels(u):
                self.holding[s] -= 1
        if not quiet:
            self.emit_manager("UnitRemoved", "so", u.name, u.path)

    def forget(self, u):
        """Gone with all its processes, without a word."""
        u.kill(signal.SIGKILL)
        self.reap(u)
        self.remove(u, quiet=True)

    def reap(self, u):
        if u.pid:
            os.waitpid(u.pid, 0)
            u.pid = None

    def environment(self, u):
        env = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8",
               "INVOCATION_ID": u.state["InvocationID"].hex(), "SYSTEMD_EXEC_PID": "0"}
        if u.get("User"):
            try:
                p = pwd.getpwnam(u.get("User"))
                env.update(HOME=p.pw_dir, USER=p.pw_name, LOGNAME=p.pw_name, SHELL=p.pw_shell)
            except KeyError:
                pass
        for line in u.get("Environment"):
            k, _, v = line.partition("=")
            env[k] = v
        for path, optional in u.settings.get("EnvironmentFiles", []):
            env.update(read_environment_file(path, optional))
        return env

    def working_directory(self, u):
        cwd = u.settings.get("WorkingDirectory", "/")
        if cwd.lstrip("!-") == "~":
            return pwd.getpwnam(u.get("User") or "root").pw_dir
        if cwd.startswith("-"):  # may be missing
            return cwd[1:] if os.path.isdir(cwd[1:]) else "/"
        return cwd.removeprefix("!")

    def spawn(self, u):
        """0 and a process, or the exit status that systemd's executor would leave."""
        path, argv, flags = u.settings["ExecStartEx" if "ExecStartEx" in u.settings else "ExecStart"][0]
        fds = {k: u.settings.get("Standard%sFileDescriptor" % k) for k in ("Input", "Output", "Error")}
        fds = {k: v.take() if v is not None else None for k, v in fds.items()}
        who = u.get("User") if os.geteuid() == 0 else ""
        cwd = self.working_directory(u)
        try:
            env = self.environment(u)
        except (OSError, UnicodeDecodeError):
            return 1  # systemd: Result=resources, nothing was executed
        uid, gid = (user_id(who), group_id(u.settings.get("Group", ""), who)) if who and u.settings.get("Delegate") else (0, 0)
        u.make_cgroup(uid, gid)

        def enter():
            (u.cgroup / "cgroup.procs").write_text("0")
            os.setgroups([])
            os.setresgid(gid, gid, gid)
            os.setresuid(uid, uid, uid)

        try:
            p = subprocess.Popen(
                argv, preexec_fn=enter if u.cgroup else None, executable=path, env=env, cwd=cwd, start_new_session=True,
                stdin=fds["Input"] if fds["Input"] is not None else subprocess.DEVNULL,
                stdout=fds["Output"] if fds["Output"] is not None else subprocess.DEVNULL,
                stderr=fds["Error"] if fds["Error"] is not None else subprocess.DEVNULL,
                umask=u.settings.get("UMask", 0o022),
                **({"user": user_id(who), "group": group_id(u.settings.get("Group", ""), who), "extra_groups": []}
                   if who and not u.cgroup else {}))
        except KeyError:
            return 217
        except OSError as e:
            return 200 if e.filename == cwd else 203
        finally:
            for fd in fds.values():
                if fd is not None:
                    os.close(fd)
        p.returncode = 0  # we wait ourselves
        u.pid = u.group = p.pid
        return 0

    def begin(self, u):
        self.run_scope(u) if u.scope else self.run(u)

    def run(self, u):
        """Carry out the start job."""
        if self.units.get(u.name) is not u or not u.job or u.job[2] != "start":
            return
        u.state.update(InvocationID=uuid.uuid4().bytes, Result="success", ExecMainCode=0, ExecMainStatus=0)
        if self.no_fork > 0:
            self.no_fork -= 1
            u.state["Result"] = "resources"
            self.set_state(u, "failed", "failed")
            self.end_job(u, "failed")
            return
        self.set_state(u, "activating", "start")
        self.starts[u.name] = self.starts.get(u.name, 0) + 1
        u.stamp("ExecMainStartTimestamp")
        status = self.spawn(u)
        if status:
            u.state["ExecMainPID"] = 1
            u.stamp("ExecMainExitTimestamp")
            self.main_exited(u, 1, status, 0, "failed")
            return
        u.state["MainPID"] = u.state["ExecMainPID"] = u.pid
        pidfd = os.pidfd_open(u.pid)
        GLib.unix_fd_add_full(GLib.PRIORITY_DEFAULT, pidfd, GLib.IOCondition.IN, self.on_exit, u, pidfd, u.pid)
        self.set_state(u, "active", "running")
        self.end_job(u, "done")
        if u.get("RuntimeMaxUSec") != UNKNOWN:
            u.timers.append(GLib.timeout_add(u.get("RuntimeMaxUSec") // 1000, self.on_runtime_max, u))

    def run_scope(self, u):
        """Around processes that are there already; it is gone when they are."""
        if self.units.get(u.name) is not u or not u.job:
            return
        u.state["InvocationID"] = uuid.uuid4().bytes
        self.starts[u.name] = self.starts.get(u.name, 0) + 1
        pids = list(u.settings.get("PIDs", []))
        for fd in u.settings.get("PIDFDs", []):
            fd = fd.take()
            with open("/proc/self/fdinfo/%d" % fd) as info:
                pids += [int(l.split()[1]) for l in info if l.startswith("Pid:")]
            os.close(fd)
        u.pids = {int(p) for p in pids if p > 0}
        there = {p for p in u.pids if os.path.exists("/proc/%d" % p)}  # one that has ended and was not waited for comes into no cgroup, and that is no fault
        if not u.members() and not there:
            u.state["Result"] = "resources"
            self.set_state(u, "failed", "failed")
            self.end_job(u, "failed")
            return
        self.set_state(u, "active", "running")
        self.end_job(u, "done")
        if u.pids:  # else nobody is told that it is empty
            GLib.timeout_add(20, self.watch_scope, u)

    def watch_scope(self, u):
        if self.units.get(u.name) is not u:
            return GLib.SOURCE_REMOVE
        if u.members() or self.deaf:
            return GLib.SOURCE_CONTINUE
        self.end_scope(u)
        return GLib.SOURCE_REMOVE

    def end_scope(self, u):
        self.set_state(u, "inactive", "dead")
        self.end_job(u, "done")
        self.remove(u)

    def on_exit(self, fd, condition, u, pidfd, pid):
        os.close(pidfd)
        if u.pid != pid:
            return GLib.SOURCE_REMOVE
        _, status, usage = os.wait4(pid, 0)
        u.pid = None
        if os.WIFEXITED(status):
            code, number = 1, os.WEXITSTATUS(status)
        else:
            code, number = 3 if os.WCOREDUMP(status) else 2, os.WTERMSIG(status)
        u.stamp("ExecMainExitTimestamp")
        self.main_exited(u, code, number, int((usage.ru_utime + usage.ru_stime) * 1e9))
        return GLib.SOURCE_REMOVE

    def main_exited(self, u, code, status, cpu, job_result="done"):
        u.state.update(ExecMainCode=code, ExecMainStatus=status, MainPID=0, CPUUsageNSec=cpu)
        self.ends[u.name] = (code, status)
        u.state.update(self.usage)
        u.drop_timers()
        clean = (code, status) == (1, 0) or (code == 2 and status in CLEAN_SIGNALS)
        if u.state["Result"] == "success" and not clean:
            u.state["Result"] = {1: "exit-code", 2: "signal", 3: "core-dump"}[code]
        if u.state["Result"] == "success" and u.get("RemainAfterExit") and not u.stopping:
            self.end_job(u, job_result)
            self.set_state(u, "active", "exited")  # children run on
            return
        u.kill(signal.SIGKILL)
        u.group = None
        if u.state["Result"] != "success":
            self.set_state(u, "failed", "failed")
            self.end_job(u, job_result)
            if u.get("CollectMode") == "inactive-or-failed":
                self.remove(u)
            return
        self.set_state(u, "inactive", "dead")
        self.end_job(u, job_result)
        self.remove(u)

    def on_runtime_max(self, u):
        u.timers = []
        u.state["Result"] = "timeout"
        self.terminate(u)
        return GLib.SOURCE_REMOVE

    def terminate(self, u):
        self.set_state(u, "deactivating", "stop-sigterm")
        u.kill(u.get("KillSignal"))
        u.timers.append(GLib.timeout_add(min(u.get("TimeoutStopUSec") // 1000, 2**31), self.on_stop_timeout, u))

    def on_stop_timeout(self, u):
        u.timers = []
        u.state["Result"] = "timeout"
        u.kill(signal.SIGKILL)
        return GLib.SOURCE_REMOVE

    def major(self):
        return int(re.match(r"\d+", self.version)[0])

    def stop(self, u):
        path = self.new_job(u, "stop")
        if u.get("FreezerState") != "running" and self.major() >= 257:
            self.end_job(u, "canceled")  # it says so in its log only
            return path
        if u.get("FreezerState") != "running":
            u.state["FreezerState"] = "frozen"
            self.set_freezer(u, False)
        if u.scope and u.state["ActiveState"] == "active":
            if u.members():
                self.terminate(u)
            else:
                self.end_scope(u)
        elif u.timer:
            self.set_state(u, "inactive", "dead")
            self.end_job(u, "done")
            self.remove(u)
        elif u.state["ActiveState"] == "failed" or not u.service:
            self.end_job(u, "done")
        elif u.pid:
            u.stopping = True
            self.terminate(u)
        else:
            u.kill(signal.SIGKILL)
            u.group = None
            self.set_state(u, "inactive", "dead")
            self.end_job(u, "done")
            self.remove(u)
        return path

    # ---- methods ----

    def find(self, name):
        u = self.units.get(str(name))
        if not u:
            raise Error(NAME + ".NoSuchUnit", "Unit %s not loaded." % name)
        return u

    def subscribe(self, message):
        if message.get_sender() in self.subscribers:
            raise Error(NAME + ".AlreadySubscribed", "Client is already subscribed.")
        self.subscribers.add(message.get_sender())

    def unsubscribe(self, message):
        if message.get_sender() not in self.subscribers:
            raise Error(NAME + ".NotSubscribed", "Client is not subscribed.")
        self.subscribers.discard(message.get_sender())

    def check_room(self):
        """MANAGER_MAX_NAMES of systemd: any name that is not loaded, also one that is only looked at."""
        if self.names_max and len(self.units) >= self.names_max:
            raise Error("System.Error.E2BIG", "Argument list too long")

    def start_transient_unit(self, message, name, mode, properties, aux):
        name = str(name)
        if self.stopping:
            raise Error(NAME + ".TransactionIsDestructive", "Transaction for %s/start is destructive (shutdown.target has 'start' "
                        "job queued, but 'stop' is included in transaction)." % name)
        if name in self.units:
            raise Error(NAME + ".UnitExists", "Unit %s was already loaded or has a fragment file." % name)
        self.check_room()
        settings = {}
        for k, v in properties:
            k = str(k)
            if k == "JobmillNothing":
                raise Error("org.freedesktop.DBus.Error.PropertyReadOnly", "Cannot set property %s, or unknown property." % k)
            if k == "TimersCalendar":
                check_calendar(v)
            v = plain(v)
            if k in ("Environment", "EnvironmentFiles") and k in settings:
                v = settings[k] + v
            settings[k] = v
        u = Unit(name, settings)
        if u.timer:
            settings["aux"] = plain(aux)
            self.set_next(u)
        if u.service and not settings.get("ExecStartEx") and not settings.get("ExecStart"):
            raise Error(NAME + ".BadUnitSetting", "Unit %s has a bad unit file setting." % name)
        if u.service:
            settings.update(self.overrides)
            if self.drop_ins:
                u.state["DropInPaths"] = self.drop_ins
        self.add(u)
        path = self.new_job(u, "start")
        if "PIDFDs" in settings and self.major() < 255:
            self.forget(u)
            raise Error("org.freedesktop.DBus.Error.PropertyReadOnly", "Cannot set property PIDFDs, or unknown property.")
        if u.kind in self.held:
            self.held[u.kind].append(u)
        elif u.service or u.scope:
            GLib.timeout_add(self.start_delay, self.once(lambda: self.begin(u)))
        else:
            self.set_state(u, "active", "waiting" if u.timer else "active")
            self.end_job(u, "done")
        return path

    def start_unit(self, message, name, mode):
        u = self.units.get(str(name))
        if not u:
            raise Error(NAME + ".NoSuchUnit", "Unit %s not found." % name)
        path = self.new_job(u, "start")
        if u.settings.get("ExecStart") and u.state["ActiveState"] == "inactive":
            GLib.timeout_add(self.start_delay, self.once(lambda: self.run(u)))
        else:
            self.set_state(u, "active", "active")
            self.end_job(u, "done")
        return path

    def stop_unit(self, message, name, mode):
        return self.stop(self.find(name))

    def kill_unit(self, message, name, whom, signo):
        u = self.find(name)
        if whom not in ("main", "control", "all"):
            raise Error("org.freedesktop.DBus.Error.InvalidArgs", "Invalid who argument %s" % whom)
        if whom == "main" and not u.pid:
            raise Error(NAME + ".NoSuchProcess", "No main process to kill")
        u.kill(int(signo), whom == "main")

    def set_freezer(self, u, frozen):
        """As 252: nobody is told of it, units that are not active are refused, stopping thaws."""
        done, passing = ("frozen", "freezing") if frozen else ("running", "thawing")
        if u.get("FreezerState") == passing:
            raise Error(NAME + ".UnitBusy", "Previously requested freezer operation for unit is still in progress.")
        # The manager hears of it from the cgroup, where there is one: never, where that is gone before.
        u.state["FreezerState"] = passing if self.freezer_deaf and u.pid else done
        u.kill(signal.SIGSTOP if frozen else signal.SIGCONT)

    def freezer(self, name, frozen):
        u = self.find(name)
        if u.job:
            raise Error(NAME + ".UnitBusy", "Unit has a pending job.")
        if u.state["ActiveState"] != "active":
            raise Error(NAME + ".UnitInactive", "Unit is inactive.")
        self.set_freezer(u, frozen)

    def freeze_unit(self, message, name):
        self.freezer(name, True)

    def thaw_unit(self, message, name):
        self.freezer(name, False)

    def reset_failed_unit(self, message, name):
        u = self.find(name)
        if u.state["ActiveState"] == "failed":
            self.set_state(u, "inactive", "dead")
            self.remove(u)

    def reset_failed(self, message):
        for u in list(self.units.values()):
            self.reset_failed_unit(message, u.name)

    def get_unit(self, message, name):
        return self.find(name).path

    def get_unit_by_invocation_id(self, message, id_):
        for u in self.units.values():
            if u.state["InvocationID"] == plain(id_):
                return u.path
        raise Error(NAME + ".NoUnitForInvocationID", "No unit with the specified invocation ID.")

    def load_unit(self, message, name):
        return PATH + "/unit/" + escape(str(name))

    def row(self, u):
        job = u.job or (0, "/", "")
        return (u.name, u.settings.get("Description", u.name), u.state["LoadState"], u.state["ActiveState"], u.state["SubState"], "",
                u.path, job[0], job[2], job[1])

    def list_units(self, message):
        return [self.row(u) for u in self.units.values()]

    def list_units_by_patterns(self, message, states, patterns):
        return [self.row(u) for u in self.units.values()
                if (not patterns or any(fnmatch.fnmatchcase(u.name, p) for p in patterns))
                and (not states or u.state["ActiveState"] in states or u.state["SubState"] in states)]

    def list_units_by_names(self, message, names):
        names = [self.aliases.get(str(n), str(n)) for n in names]
        return [self.row(self.units[n]) if n in self.units else
                (n, n, "not-found", "inactive", "dead", "", PATH + "/unit/" + escape(str(n)), 0, "", "/") for n in names]

    def set_unit_properties(self, message, name, runtime, properties):
        u = self.units.get(str(name))
        if not u:
            if not str(name).endswith(".slice"):
                raise Error(NAME + ".NoSuchUnit", "Unit %s not found." % name)
            self.check_room()
            u = Unit(str(name), {})
            self.add(u)
        u.settings.update({str(k): plain(v) for k, v in properties})

    def reload(self, message):
        self.do_reloading()

    # ---- properties ----

    def unit_at(self, path):
        """Any name has an object, as with PID 1: one that is not loaded reads as not-found."""
        for u in self.units.values():
            if u.path == path:
                return u
        if path.startswith(PATH + "/unit/"):
            self.check_room()
            u = Unit(unescape(path.rsplit("/", 1)[1]), {})
            u.state.update(LoadState="not-found", FragmentPath="", Transient=False)
            return u
        raise Error("org.freedesktop.DBus.Error.UnknownObject", "Unknown object '%s'." % path)

    def manager_properties(self):
        return dbus.Dictionary({
            "Version": dbus.String(self.version), "UserspaceTimestamp": dbus.UInt64(realtime()),
            "UserspaceTimestampMonotonic": dbus.UInt64(self.userspace), "ControlGroup": dbus.String(""),
            "DefaultTasksMax": dbus.UInt64(4321), "SystemState": dbus.String(self.system_state), "NJobs": dbus.UInt32(0),
            "NNames": dbus.UInt32(len(self.units))}, signature="sv")

    def properties_of(self, path, interface):
        if path == PATH:
            return self.manager_properties()
        u = self.unit_at(path)
        tables = {NAME + ".Unit": UNIT_PROPERTIES, NAME + ".Service": SERVICE_PROPERTIES,
                  "": {**UNIT_PROPERTIES, **(SERVICE_PROPERTIES if u.service else SCOPE_PROPERTIES if u.scope else TIMER_PROPERTIES if u.timer else {})}}
        if interface not in tables:
            raise Error("org.freedesktop.DBus.Error.UnknownInterface", "Unknown interface %s." % interface)
        return u.dictionary(tables[interface], tables[interface])

    def property_get(self, message, interface, name):
        properties = self.properties_of(message.get_path(), str(interface))
        if name not in properties:
            raise Error("org.freedesktop.DBus.Error.UnknownProperty", "Unknown interface %s or property %s."
                        % (interface, name))
        return properties[name]

    def property_get_all(self, message, interface):
        return self.properties_of(message.get_path(), str(interface))

    # ---- what tests ask for ----

    def do_fault(self, method, action, count=-1, skip=0, match="*", ms=0, error="org.freedesktop.DBus.Error.Failed",
                 message="refused by the test", execute=""):
        """delay | refuse | never | keep | hang | pretend for calls of method, whose first argument (or object path) is like match,
        count times (-1: always) after skip others, ms later. execute="first": it is carried out at once all the same;
        execute="refuse": what is kept is refused in the end.
        method="signal:MEMBER": drop | double | delay | swap for the signal; match is of its path."""
        self.rules.append(dict(method=method, action=action, count=count, skip=skip, match=match, ms=ms, error=error,
                               message=message, execute=execute, fired=0))

    def do_answer(self):
        """To the calls that were kept (action="keep")."""
        kept, self.kept = self.kept, []
        for answer in kept:
            answer()

    def do_fired(self):
        """How often each rule applied."""
        return [r["fired"] for r in self.rules]

    def do_names_max(self, n):
        """As if systemd had room for n units only; 0: as many as there are."""
        self.names_max = n

    def do_no_fork(self, count):
        """The next starts find that no process can be made (a limit of tasks)."""
        self.no_fork = count

    def do_settings(self, name):
        """What it was started with."""
        return {k: v for k, v in self.find(name).settings.items() if isinstance(v, (bool, int, str))}

    def do_ends(self):
        return self.ends

    def do_clear_faults(self):
        self.rules = []

    def do_signals(self, copies):
        self.signal_copies = copies

    def do_start_delay(self, ms):
        self.start_delay = ms

    def do_usage(self, **usage):
        self.usage = usage

    def do_override(self, drop_in, **properties):
        """A drop-in for every service from now on; none: drop_in=None."""
        self.drop_ins = [drop_in] if drop_in else []
        self.overrides = properties

    def do_reloading(self, heard=True):
        """As systemctl daemon-reload: all units are dropped and made again, everybody looks at everything again. Reloading
        is sent subscribed or not, lost signals or not; with heard=False nobody hears that it begins."""
        if heard:
            self.deliver(PATH, MANAGER, "Reloading", "b", True)
        for member in ("UnitRemoved", "UnitNew"):
            for u in self.units.values():
                self.emit_manager(member, "so", u.name, u.path)
        self.deliver(PATH, MANAGER, "Reloading", "b", False)

    def do_shutdown(self, over=False):
        """As systemctl poweroff: shutdown.target is to be started. over: it was called off."""
        u = Unit("shutdown.target", {})
        u.state.update({} if over else {"Job": (1, PATH + "/job/1")})
        self.system_state = "running" if over else "stopping"
        self.stopping = self.stopping and not over
        self.emit_changed(u)

    def do_reexec(self):
        """As systemctl daemon-reexec: units stay, clients and subscriptions are gone."""
        self.system.close()
        self.connect()

    def do_reboot(self):
        """A new manager that knows nothing."""
        self.system.close()
        for u in list(self.units.values()):
            self.forget(u)
        self.userspace = max(monotonic(), self.userspace + 1)
        self.connect()

    def do_disconnect(self):
        self.away = True
        self.system.close()

    def do_connect(self):
        self.connect()

    def do_reset(self):
        """As new, for the next test."""
        for u in list(self.units.values()):
            self.forget(u)
        subscribers, connected = self.subscribers, self.system.bus.get_is_connected()
        self.state_defaults()
        self.subscribers = subscribers
        if not connected:
            self.connect()

    def do_vanish(self, name):
        self.forget(self.find(name))

    def set_next(self, u):
        """Calendars elapse in a day, spans when they say."""
        spans = dict(u.settings.get("TimersMonotonic", ()))
        if spans:
            u.state["NextElapseUSecMonotonic"] = monotonic() + spans["OnActiveSec"]
            u.state["NextElapseUSecRealtime"] = UNKNOWN
        else:
            u.state["NextElapseUSecRealtime"] = realtime() + 86400 * 10**6

    def do_elapse(self, name, at=0, quiet=False, rests=True):
        """A timer elapses, now or as if it had been at that time by the clock of the wall. rests=False: its service has not ended yet."""
        u = self.find(name)
        u.state.update(LastTriggerUSec=at or realtime(), LastTriggerUSecMonotonic=monotonic())
        if not quiet:
            self.set_state(u, "active", "running")
        if rests:
            self.set_next(u)
        if rests and not quiet:
            self.set_state(u, "active", "waiting")

    def do_set_clock_back(self, name, by):
        """A timer that seems to have elapsed in the future has done so now."""
        u = self.find(name)
        u.state["LastTriggerUSec"] -= by
        self.set_next(u)
        self.set_state(u, "active", "waiting")

    def do_stop(self, name):
        """As systemctl stop."""
        self.stop(self.find(name))

    def do_kill(self, name, signo, main_only=False):
        self.find(name).kill(signo, main_only)

    def do_freeze(self, name, frozen=True):
        """As systemctl freeze and thaw."""
        self.set_freezer(self.find(name), frozen)

    def do_freezer_deaf(self, on=True):
        self.freezer_deaf = on

    def do_members(self, name):
        """Processes that a scope is known to have."""
        return sorted(self.find(name).pids)

    def do_empty_scope(self, name):
        """As if all that is in it had been moved elsewhere."""
        self.find(name).pids = set()

    def do_be_deaf(self, deaf):
        """As while it executes itself anew: nothing is heard of scopes that become empty."""
        self.deaf = deaf

    def do_hold_scopes(self, hold):
        """They are asked for, and not made before this is over."""
        self.hold("scope", hold)

    def do_hold_starts(self, hold):
        """The same for services."""
        self.hold("service", hold)

    def hold(self, kind, hold):
        held = self.held.pop(kind, [])
        if hold:
            self.held[kind] = held
            return
        for u in held:
            self.begin(u)

    def do_replace_pid(self, name, pid):
        """As if the number of a process that is about to be put into a scope were another's by then."""
        if name not in self.units:
            return False
        self.units[name].settings["PIDs"] = [pid]
        return True

    def do_restart(self, name):
        """As systemctl restart: the same unit runs again under a new invocation."""
        u = self.find(name)
        u.kill(signal.SIGKILL)
        self.reap(u)
        self.new_job(u, "start")
        self.set_state(u, "inactive", "dead")
        self.run(u)

    def do_start_stray(self, name, argv, environment=(), slice_="jobmill-default.slice", **settings):
        """A unit that nobody knows of."""
        u = Unit(name, {"ExecStartEx": [(argv[0], argv, [])], "Environment": list(environment), "Slice": slice_,
                        "RemainAfterExit": True, "Type": "exec", **settings})
        self.add(u)
        self.new_job(u, "start")
        self.run_scope(u) if u.scope else self.run(u)

    def do_set(self, name, **properties):
        """Change what a unit shows, with the signal for it."""
        u = self.find(name)
        u.state.update(properties)
        self.emit_changed(u)

    def do_version(self, version):
        self.version = version

    def do_unit(self, name, active, load="loaded", sub="", alias="", argv=None):
        """A unit of the machine, that nobody asked us to start: from now on it is so. alias: another name of it. argv: what it runs."""
        u = self.units.get(name)
        if not u:
            u = Unit(name, {"ExecStart": [(argv[0], argv, False)]} if argv else {})
            self.add(u)
        if alias:
            self.aliases[alias] = name
        u.state["LoadState"] = load
        self.set_state(u, active, sub or active)

    def do_system_state(self, state):
        self.system_state = state

    def do_go_down(self, told=True):
        """As systemctl reboot: nothing more may start, and all services are stopped. told: it says so."""
        self.stopping = True
        self.system_state = "stopping"
        if told:
            self.do_shutdown()
        for u in [u for u in self.units.values() if u.service]:
            self.stop(u)

    def do_units(self, pattern="*.service"):
        return {n: {"active": u.state["ActiveState"], "sub": u.state["SubState"], "pid": u.pid,
                    "job": bool(u.job), "freezer": u.get("FreezerState"), "slice": u.get("Slice"), "invocation": u.state["InvocationID"].hex(),
                    "settings": {k: v for k, v in u.settings.items() if isinstance(v, (str, int, list, tuple, bool))}}
                for n, u in self.units.items() if fnmatch.fnmatch(n, pattern)}

    def do_slice(self, name):
        u = self.units.get(name)
        return None if not u else {k: list(v) if isinstance(v, bytes) else v for k, v in u.settings.items()}

    def do_counts(self):
        counts = {}
        for method, _, _ in self.calls:
            counts[method] = counts.get(method, 0) + 1
        return {"calls": counts, "starts": self.starts, "max_open": self.max_open, "max_holding": self.max_holding,
                "holding": self.holding, "subscribers": len(self.subscribers)}

    def do_calls(self, method):
        return [(first, more) for m, first, more in self.calls if m == method]


def check_calendar(events):
    for _, text in events:
        if not re.fullmatch(r"[A-Za-z0-9*:/.,~ _-]+", text) or text.startswith("bad"):
            raise Error("org.freedesktop.DBus.Error.InvalidArgs", "Invalid calendar spec: %s" % text)


def user_id(who):
    return int(who) if who.isdigit() else pwd.getpwnam(who).pw_uid


def group_id(group, who):
    if group:
        import grp
        return int(group) if group.isdigit() else grp.getgrnam(group).gr_gid
    return pwd.getpwuid(user_id(who)).pw_gid


def unescape(label):
    out, i = bytearray(), 0
    while i < len(label):
        if label[i] == "_" and len(label) >= i + 3:
            out.append(int(label[i + 1:i + 3], 16))
            i += 3
        else:
            out += label[i].encode()
            i += 1
    return out.decode()


def read_environment_file(path, optional):
    """The quoting of EnvironmentFile=, as far as a program that writes one needs it."""
    try:
        with open(path, "rb") as f:
            text = f.read().decode()
    except FileNotFoundError:
        if optional:
            return {}
        raise
    env, key, value, state, i = {}, "", "", "pre", 0

    def flush():
        if key.strip():
            env[key.strip()] = value.rstrip() if state == "value" else value

    while i < len(text):
        c = text[i]
        if state == "pre":
            if c in "#;":
                i = text.find("\n", i)
                if i < 0:
                    break
            elif not c.isspace():
                key, state = c, "key"
        elif state == "key":
            if c == "=":
                value, state = "", "value-start"
            elif c == "\n":
                state = "pre"
            else:
                key += c
        elif state == "double":
            if c == '"':
                state = "quoted"
            elif c == "\\" and i + 1 < len(text):
                i += 1
                if text[i] in '"\\`$':
                    value += text[i]
                elif text[i] != "\n":
                    value += "\\" + text[i]
            else:
                value += c
        elif state == "single":
            if c == "'":
                state = "quoted"
            else:
                value += c
        elif c == "\n":
            flush()
            state = "pre"
        elif c in "\"'" and state in ("value-start", "quoted"):
            state = "double" if c == '"' else "single"
        elif c == "\\" and i + 1 < len(text):
            i += 1
            if text[i] != "\n":
                value += text[i]
            state = "value"
        elif not (c.isspace() and state in ("value-start", "quoted")):
            value += c
            state = "value"
        i += 1
    if state not in ("pre", "key"):
        flush()
    return env


if __name__ == "__main__":
    busfake.main(Systemd)
