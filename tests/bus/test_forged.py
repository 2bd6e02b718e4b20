# SPDX-License-Identifier: LGPL-2.1-or-later
"""Anybody on the bus can send a signal straight to a connection, and say in it what he likes. Only what systemd and the bus tell
everybody is believed."""

import dbus
import dbus.lowlevel
import pytest

import client
from conftest import until

MANAGER = "org.freedesktop.systemd1.Manager"
SYSTEMD = "/org/freedesktop/systemd1"


@pytest.fixture
def forge(running, address):
    """forge(path, interface, member, signature, *args): to both connections of the daemon, from a third one."""
    c = client.Client(address)

    def driver(member, *args):
        return c.raw("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", member, "s" * len(args), *args)

    def send(path, interface, member, signature, *args):
        names = [n for n in driver("ListNames") if n.startswith(":") and
                 driver("GetConnectionUnixProcessID", n) == running.process.pid]
        assert len(names) == 2
        for name in names:
            m = dbus.lowlevel.SignalMessage(path, interface, member)
            m.append(*args, signature=signature)
            m.set_destination(name)
            c.bus.send_message(m)
        driver("GetId")  # answered: what was sent before is passed on
        running.stats()  # and taken in

    yield send
    c.close()


def test_removed(running, systemd, forge):
    id_ = running.submit("sleep 60")
    running.reach(id_, "running")
    forge(SYSTEMD, MANAGER, "UnitRemoved", "so", running.unit(id_), SYSTEMD + "/unit/x")
    running.bus.pump(0.2)
    assert running.state(id_) == "running" and systemd.do("units")[running.unit(id_)]["sub"] == "running"


def test_reloading(running, systemd, forge):
    """It would be deaf to what is removed."""
    id_ = running.submit("sleep 60")
    running.reach(id_, "running")
    forge(SYSTEMD, MANAGER, "Reloading", "b", True)
    systemd.do("stop", name=running.unit(id_))
    assert running.result(id_) == "cancelled"


def test_started(running, systemd, forge):
    running.result(running.submit("true"))
    systemd.do("hold_starts", hold=True)
    id_ = running.submit("exit 3")
    running.reach(id_, "starting")
    forge(SYSTEMD + "/unit/jobmill_2djob_2d%d_2d1_2eservice" % id_, "org.freedesktop.DBus.Properties", "PropertiesChanged",
          "sa{sv}as", "org.freedesktop.systemd1.Unit",
          dbus.Dictionary({"ActiveState": dbus.String("active", variant_level=1),
                           "InvocationID": dbus.Array([dbus.Byte(i) for i in range(16)], signature="y", variant_level=1)},
                          signature="sv"), dbus.Array([], signature="s"))
    running.bus.pump(0.1)
    assert running.state(id_) == "starting"
    systemd.do("hold_starts", hold=False)
    assert running.result(id_) == "exit-code"


def test_manager_is_gone(running, systemd, forge):
    running.settled()
    forge("/org/freedesktop/DBus", "org.freedesktop.DBus", "NameOwnerChanged", "sss", "org.freedesktop.systemd1", ":1.0", "")
    assert running.stats()["dispatch"] == ""
    assert running.result(running.submit("true")) == "success"


def test_caller_is_gone(running, session_client, forge):
    """Nobody ends the waiting of another one."""
    id_ = running.submit("while [ ! -e %s/go ]; do sleep 0.02; done" % running.out)
    pending = session_client.start("WaitJob", id_, client.FOREVER)
    running.reach(id_, "running")
    name = session_client.bus.get_unique_name()
    forge("/org/freedesktop/DBus", "org.freedesktop.DBus", "NameOwnerChanged", "sss", name, name, "")
    (running.out / "go").touch()
    until(lambda: pending.done, 5, "the wait is answered", pump=session_client.pump)
    assert pending.result[:2] == ("done", "success")
