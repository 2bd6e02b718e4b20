# SPDX-License-Identifier: LGPL-2.1-or-later
"""The fake systemd keeps to what was measured on a real one (systemd 252): the other tests stand on it."""

import os
import signal
import time

import dbus
import pytest

import client
from conftest import until

SYSTEMD = "org.freedesktop.systemd1"
PATH = "/org/freedesktop/systemd1"
MANAGER = SYSTEMD + ".Manager"
PROPERTIES = "org.freedesktop.DBus.Properties"


class User:
    """What a program that starts units does."""

    def __init__(self, address):
        self.c = client.Client(address)
        self.seen = []
        self.c.bus.add_signal_receiver(self.on_signal, sender_keyword="sender", member_keyword="member",
                                       interface_keyword="interface", path_keyword="path", bus_name=SYSTEMD)

    def on_signal(self, *args, sender=None, member=None, interface=None, path=None):
        self.seen.append((member, str(path), args))

    def call(self, member, signature, *args):
        return self.c.raw(SYSTEMD, PATH, MANAGER, member, signature, *args)

    def start(self, name, command, **properties):
        argv = ["/bin/sh", "-c", command] if isinstance(command, str) else command
        values = [("Type", "exec"), ("RemainAfterExit", True),
                  ("ExecStartEx", dbus.Array([(argv[0], dbus.Array(argv, signature="s"),
                                               dbus.Array(["no-env-expand"], signature="s"))], signature="(sasas)")),
                  *properties.items()]
        return self.call("StartTransientUnit", "ssa(sv)a(sa(sv))", name, "fail",
                         [dbus.Struct(v, signature="sv") for v in values], dbus.Array([], signature="(sa(sv))"))

    def all(self, name):
        path = self.call("LoadUnit", "s", name)
        return self.c.raw(SYSTEMD, path, PROPERTIES, "GetAll", "s", "")

    def ended(self, name):
        return until(lambda: (lambda p: p["SubState"] in ("exited", "failed") and p)(self.all(name)), 5, name)


@pytest.fixture
def user(address, systemd):
    u = User(address)
    yield u
    u.c.close()


@pytest.mark.parametrize("command, expected", [
    ("exit 0", ("active", "exited", "success", 1, 0)),
    ("exit 7", ("failed", "failed", "exit-code", 1, 7)),
    ("kill -TERM $$", ("active", "exited", "success", 2, signal.SIGTERM)),
    ("kill -HUP $$", ("active", "exited", "success", 2, signal.SIGHUP)),
    ("kill -INT $$", ("active", "exited", "success", 2, signal.SIGINT)),
    ("kill -KILL $$", ("failed", "failed", "signal", 2, signal.SIGKILL)),
    (["/missing/program"], ("failed", "failed", "exit-code", 1, 203)),
])
def test_outcomes(user, command, expected):
    user.start("a.service", command)
    p = user.ended("a.service")
    assert (p["ActiveState"], p["SubState"], p["Result"], p["ExecMainCode"], p["ExecMainStatus"]) == expected
    assert len(p["InvocationID"]) == 16
    assert p["ExecMainExitTimestampMonotonic"] >= p["ExecMainStartTimestampMonotonic"] > 0


def test_bad_directory_is_200(user):
    user.start("a.service", "true", WorkingDirectory="/missing")
    assert user.ended("a.service")["ExecMainStatus"] == 200


def test_second_start_is_refused(user):
    user.start("a.service", "sleep 5")
    with pytest.raises(client.BusError, match="was already loaded or has a fragment file") as e:
        user.start("a.service", "true")
    assert e.value.name == SYSTEMD + ".UnitExists"


def test_failed_stays_until_reset(user):
    user.start("a.service", "exit 1")
    user.ended("a.service")
    user.call("StopUnit", "ss", "a.service", "fail")
    assert user.all("a.service")["ActiveState"] == "failed"
    user.call("ResetFailedUnit", "s", "a.service")
    assert user.all("a.service")["LoadState"] == "not-found"


def test_stop_throws_success_away(user):
    user.start("a.service", "sleep 5")
    user.start("b.service", "exit 0")
    user.ended("b.service")
    for name in ("a.service", "b.service"):
        user.call("StopUnit", "ss", name, "fail")
        until(lambda: user.all(name)["LoadState"] == "not-found", 5)
    with pytest.raises(client.BusError, match="not loaded"):
        user.call("StopUnit", "ss", "a.service", "fail")


def test_child_left_behind_runs_until_stop(user, folder):
    pid_file = folder / "child"
    user.start("a.service", "sleep 50 & echo $! > %s" % pid_file)
    assert user.ended("a.service")["SubState"] == "exited"
    pid = int(pid_file.read_text())
    os.kill(pid, 0)
    user.call("StopUnit", "ss", "a.service", "fail")
    until(lambda: not os.path.exists("/proc/%d" % pid) or "State:\tZ" in open("/proc/%d/status" % pid).read(), 5)


def test_runtime_max(user):
    user.start("a.service", "sleep 5", RuntimeMaxUSec=dbus.UInt64(50000))
    p = user.ended("a.service")
    assert (p["Result"], p["ExecMainCode"], p["ExecMainStatus"]) == ("timeout", 2, signal.SIGTERM)


def test_signals_only_when_subscribed(user):
    user.start("a.service", "true")
    user.ended("a.service")
    assert user.seen == []
    user.call("Subscribe", "")
    user.start("b.service", "true")
    user.ended("b.service")
    user.call("StopUnit", "ss", "b.service", "fail")
    until(lambda: any(m == "UnitRemoved" for m, _, _ in user.seen), 5, pump=user.c.pump)
    members = [m for m, _, _ in user.seen]
    assert members[:2] == ["UnitNew", "JobNew"]
    assert members[-1] == "UnitRemoved"
    changes = [(a[0], a[1]) for m, _, a in user.seen if m == "PropertiesChanged"]
    assert [i for i, _ in changes[:2]] == [SYSTEMD + ".Service", SYSTEMD + ".Unit"]
    assert all(("InvocationID" in d) == ("FreezerState" in d) == i.endswith(".Unit") for i, d in changes)
    states = [str(d["SubState"]) for i, d in changes if i.endswith(".Unit")]
    assert states == ["start", "running", "exited", "dead"]


def test_environment_file(user, folder):
    env, out = folder / "env", folder / "seen"
    env.write_text("A=plain\nB=\"two words \\\"quoted\\\" \\$HOME\nnext line\"\n# no\nC='x'\n")
    user.start("a.service", 'printf "%%s|%%s|%%s" "$A" "$B" "$C" > %s' % out,
               EnvironmentFiles=dbus.Array([(str(env), False)], signature="(sb)"), Environment=dbus.Array(["A=low"], signature="s"))
    user.ended("a.service")
    assert out.read_text() == 'plain|two words "quoted" $HOME\nnext line|x'


def test_patterns_find_slices_too(user):
    user.start("a.service", "sleep 5", Slice="jobmill-gpu-train.slice")
    rows = user.call("ListUnitsByPatterns", "asas", dbus.Array([], signature="s"), ["jobmill*"])
    assert {r[0] for r in rows} == {"jobmill.slice", "jobmill-gpu.slice", "jobmill-gpu-train.slice"}


def test_faults(user, systemd):
    systemd.fault("StartTransientUnit", "refuse", count=1, error="org.example.No")
    with pytest.raises(client.BusError) as e:
        user.start("a.service", "true")
    assert e.value.name == "org.example.No"
    systemd.fault("StartTransientUnit", "delay", ms=200, count=1)
    before = time.monotonic()
    user.start("a.service", "true")
    assert time.monotonic() - before >= 0.2
    systemd.fault("GetUnit", "never", count=1)
    pending = user.c.send(SYSTEMD, PATH, MANAGER, "GetUnit", "s", "a.service")
    user.c.pump(0.1)
    assert not pending.done
    counts = systemd.do("counts")
    assert counts["calls"]["StartTransientUnit"] == 2 and counts["starts"] == {"a.service": 1}
    assert counts["max_open"]["GetUnit"] == 1


def test_reexec_keeps_units_and_forgets_clients(user, systemd):
    user.call("Subscribe", "")
    user.start("a.service", "sleep 5")
    before = user.all("a.service")["InvocationID"]
    systemd.do("reexec")
    assert systemd.do("counts")["subscribers"] == 0
    assert user.all("a.service")["InvocationID"] == before


def test_reboot_forgets_units_and_has_a_new_epoch(user, systemd):
    def epoch():
        return user.c.raw(SYSTEMD, PATH, PROPERTIES, "Get", "ss", MANAGER, "UserspaceTimestampMonotonic")
    before = epoch()
    user.start("a.service", "sleep 5")
    systemd.do("reboot")
    assert user.all("a.service")["LoadState"] == "not-found" and epoch() > before


def test_polkit(user, polkit):
    subject = dbus.Struct(("system-bus-name", dbus.Dictionary({"name": ":1.1"}, signature="sv")), signature="sa{sv}")

    def ask(how=user.c.raw):
        return how("org.freedesktop.PolicyKit1", "/org/freedesktop/PolicyKit1/Authority",
                   "org.freedesktop.PolicyKit1.Authority", "CheckAuthorization", "(sa{sv})sa{ss}us", subject, "an.action",
                   dbus.Dictionary({"k": "v"}, signature="ss"), dbus.UInt32(0), "")

    assert ask() == (False, False, {})
    polkit.do("mode", mode="challenge")
    assert ask() == (False, True, {})
    polkit.do("mode", mode="absent")
    with pytest.raises(client.BusError, match="ServiceUnknown"):
        ask()
    polkit.do("mode", mode="hang")
    pending = ask(user.c.send)
    user.c.pump(0.1)
    assert not pending.done
    polkit.do("mode", mode="allow")
    assert user.c.finish(pending) == (True, False, {})
    assert [a["action"] for a in polkit.do("asked")] == ["an.action"] * 3


@pytest.mark.root
def test_other_users_call_as_themselves(user, remotes):
    remote = remotes("daemon")
    assert "Uid:\t1\t1\t1\t1" in open("/proc/%d/status" % remote.process.pid).read()
    with pytest.raises(client.BusError, match="ServiceUnknown"):
        remote.call("GetStatistics")
