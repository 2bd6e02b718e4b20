# SPDX-License-Identifier: LGPL-2.1-or-later
"""SetQueue and RemoveQueue: what is set holds from the answer on, is in files that say the same after a restart, and whatever is
refused has changed nothing."""

import os
import stat

import dbus
import pytest

import client
from conftest import until

DENIED = "org.freedesktop.DBus.Error.AccessDenied"
NONE = 2**32 - 1
SET = "50-jobmill-set.conf"
SET_RUNTIME = "51-jobmill-set-runtime.conf"


def refused(name, call, *args):
    with pytest.raises(client.BusError) as e:
        call(*args)
    assert name in (e.value.name, e.value.short), e.value
    return e.value.message


def set_queue(mill, name, runtime=False, **settings):
    mill.call("SetQueue", name, settings, runtime)


def drop_in(mill, name, runtime=False):
    return mill.folder / ("run" if runtime else "config") / "queues" / (name + ".queue.d") / (SET_RUNTIME if runtime else SET)


def lines(path):
    """Of a file that SetQueue wrote, without comments."""
    return [line for line in path.read_text().splitlines() if line and not line.startswith("#")]


def settings(mill, name):
    return [(key, value) for key, value, _ in mill.queue_properties(name)["Settings"]]


def tree(mill):
    """All files and folders of the configuration with what is in them."""
    found = {}
    for top in ("config", "run/queues", "usr"):
        for path in sorted((mill.folder / top).rglob("*")):
            found[str(path)] = path.read_bytes() if path.is_file() and not path.is_symlink() else os.lstat(path).st_mode
    return found


def told(systemd, name):
    return systemd.do("slice", name="jobmill-%s.slice" % name) or {}


def test_a_new_queue(mill):
    mill.start()
    set_queue(mill, "gpu", Slots="2", AllowUsers="*", MemoryMax="1G")
    p = mill.queue_properties("gpu")
    assert p["Slots"] == 2 and p["Files"] == [str(mill.folder / "config/queues/gpu.queue")]
    assert lines(mill.folder / "config/queues/gpu.queue") == ["[Queue]", "Slots=2", "AllowUsers=*", "[Slice]", "MemoryMax=1G"]
    assert sorted(settings(mill, "gpu")) == [("AllowUsers", "*"), ("MemoryMax", "1G"), ("Slots", "2")]
    assert mill.result(mill.submit("true", queue="gpu")) == "success"
    mill.restart()
    assert mill.queue_properties("gpu") == {**p, "Ready": 0}


def test_modes(mill):
    """Everybody may read it, whatever umask the daemon has."""
    os.umask(0o077)
    try:
        mill.start()
    finally:
        os.umask(0o022)
    set_queue(mill, "new", Slots="1")
    set_queue(mill, "default", Slots="1")
    set_queue(mill, "default", runtime=True, Slots="2")
    for path in (mill.folder / "config/queues/new.queue", drop_in(mill, "default"), drop_in(mill, "default", True)):
        assert stat.S_IMODE(path.stat().st_mode) == 0o644
        assert stat.S_IMODE(path.parent.stat().st_mode) & 0o755 == 0o755


def test_a_drop_in_is_merged(running):
    main = (running.folder / "config/queues/default.queue").read_text()
    set_queue(running, "default", Slots="2", CPUWeight="50")
    set_queue(running, "default", Slots="3", TimeoutSec="10min")
    assert lines(drop_in(running, "default")) == ["[Queue]", "Slots=3", "TimeoutSec=10min", "[Slice]", "CPUWeight=50"]
    assert running.queue_properties("default")["Slots"] == 3
    set_queue(running, "default", Slots="", CPUWeight=[])
    assert running.queue_properties("default")["Slots"] == NONE
    assert lines(drop_in(running, "default")) == ["[Queue]", "TimeoutSec=10min", "Slots=", "[Slice]", "CPUWeight="]
    assert (running.folder / "config/queues/default.queue").read_text() == main
    before = settings(running, "default")
    running.call("Reload")
    assert settings(running, "default") == before and ("TimeoutSec", "10min") in before
    running.restart()
    assert settings(running, "default") == before


def test_what_is_set_replaces_a_list(running):
    set_queue(running, "default", AllowUsers=["root", "daemon"])
    assert [v for k, v in settings(running, "default") if k == "AllowUsers"] == ["root", "daemon"]
    set_queue(running, "default", AllowUsers="bin")
    assert lines(drop_in(running, "default")) == ["[Queue]", "AllowUsers=", "AllowUsers=bin"]
    running.restart()
    assert [v for k, v in settings(running, "default") if k == "AllowUsers"] == ["bin"]


def test_native_values(running):
    running.call("SetQueue", "default", {"Slots": dbus.UInt32(7), "MemoryMax": dbus.UInt64(1 << 30), "CPUWeight": dbus.Int32(20),
                                         "Service.PrivateTmp": dbus.Boolean(True), "TimeoutSec": dbus.Int64(90)}, False)
    assert dict(settings(running, "default")).items() >= {
        "Slots": "7", "MemoryMax": "1073741824", "CPUWeight": "20", "Service.PrivateTmp": "yes", "TimeoutSec": "90"}.items()
    running.call("SetQueue", "default", {"Slots": dbus.UInt32(NONE), "MemoryMax": dbus.UInt64(2**64 - 1)}, False)
    assert running.queue_properties("default")["Slots"] == NONE
    assert "MemoryMax" not in dict(settings(running, "default"))
    assert "Slots" in refused("InvalidSetting", running.call, "SetQueue", "default", {"Slots": dbus.Double(1.5)}, False)
    assert "Slots" in refused("InvalidSetting", running.call, "SetQueue", "default", {"Slots": dbus.Byte(0)}, False)


def test_runtime(running):
    set_queue(running, "default", Slots="3")
    set_queue(running, "default", runtime=True, Slots="9", TimeoutSec="1h")
    assert running.queue_properties("default")["Slots"] == 9
    assert running.queue_properties("default")["Files"][1:] == [str(drop_in(running, "default")),
                                                               str(drop_in(running, "default", True))]
    running.restart()
    assert running.queue_properties("default")["Slots"] == 9
    # What is to last holds, and takes its own key out of the other file.
    set_queue(running, "default", Slots="5")
    assert running.queue_properties("default")["Slots"] == 5
    assert lines(drop_in(running, "default", True)) == ["[Queue]", "TimeoutSec=1h"]
    set_queue(running, "default", TimeoutSec="2h")
    assert not drop_in(running, "default", True).exists()
    running.restart()
    assert running.queue_properties("default")["Slots"] == 5
    # A new queue, gone with the boot
    set_queue(running, "tmp", runtime=True, Slots="1", AllowUsers="*")
    assert running.queue_properties("tmp")["Files"] == [str(running.folder / "run/queues/tmp.queue")]
    assert running.result(running.submit("true", queue="tmp")) == "success"


BAD = [
    ("Slots", "0"), ("Slots", "many"), ("Slots", "-1"), ("Slots", "70000"), ("TimeoutSec", "soon"), ("SlotVariable", "PATH"),
    ("Paused", "yes"), ("MemoryMax", "lots"), ("CPUWeight", "0"), ("NoNewPrivileges", "yes"), ("Nice", "5"), ("ExecStart", "/bin/sh"),
    ("Service.ExecStart", "/bin/sh"), ("Service.Slice", "x.slice"), ("Service.Type", "simple"), ("Nonsense", "1"), ("slots", "2"),
    ("Queue.Nonsense", "1"), ("Slice.Slots", "1"), ("Unit.After", "x.service"), ("Service.", "x"), ("", "x"), ("Slots=1\n[x]", "2"),
    ("Slots", "2\nAllowUsers=*"), ("Slots", "2\r"), ("AllowUsers", "a\x01b"), ("AllowUsers", "a\\"), ("AllowUsers", ["a", ""]),
    ("Slots", ["1", "2"]), ("Service.User", "root\\\\\\"), ("AllowUsers", "x" * 70000),
]


@pytest.mark.parametrize("key, value", BAD, ids=[k[:12] + "=" + str(v)[:12] for k, v in BAD])
def test_a_bad_setting_changes_nothing(running, key, value):
    before, had = tree(running), running.queue_properties("default")
    text = refused("InvalidSetting", running.call, "SetQueue", "default", {"Slots": "2", "MemoryMax": "1G", key: value}, False)
    assert key.split("=")[0].split(".")[-1] in text
    assert tree(running) == before and running.queue_properties("default") == had


def test_bad_calls(running):
    before = tree(running)
    for name in ("", "UPPER", "a b", "../x", "a--b", "x" * 65, "-a"):
        refused("InvalidSetting", running.call, "SetQueue", name, {"Slots": "1"}, False)
        refused("NoSuchQueue", running.call, "RemoveQueue", name)
    refused("InvalidSetting", running.call, "SetQueue", "default", {}, False)
    refused("InvalidSetting", running.call, "SetQueue", "default", {"MemoryMax": "1G", "Slice.MemoryMax": "2G"}, False)
    refused("TooMany", running.call, "SetQueue", "default", {"Key%d" % i: "1" for i in range(257)}, False)
    refused("TooMany", running.call, "SetQueue", "default", {"AllowUsers": dbus.Array(["u"] * 1001, signature="s")}, False)
    refused("InvalidSetting", running.call, "SetQueue", "default", {"AllowUsers": "u " * 8000, "AllowGroups": "u " * 500}, False)
    assert tree(running) == before


def test_a_value_as_it_was_typed(running):
    for value in ('"quoted name"', "'single'", "#hash", ";semicolon", "50%", "%n", "a\\\\", "größe é 列", "[x]", "a=b", "x" * 16000):
        set_queue(running, "default", AllowGroups=value)
        assert dict(settings(running, "default"))["AllowGroups"] == value
        running.call("Reload")
        assert dict(settings(running, "default"))["AllowGroups"] == value
    set_queue(running, "default", AllowGroups="  blanks  ")
    assert dict(settings(running, "default"))["AllowGroups"] == "blanks"


def test_another_file_that_says_otherwise(running):
    """It would have no effect, and that is told with the file, instead of "done"."""
    path = running.queue("default", drop_in="90-admin.conf", Slots=8)
    running.call("Reload")
    before = tree(running)
    text = refused("Configuration", running.call, "SetQueue", "default", {"Slots": "2", "TimeoutSec": "1h"}, False)
    assert str(path) in text and "Slots" in text and ":2" in text
    assert tree(running) == before
    set_queue(running, "default", TimeoutSec="1h")  # nobody else sets that
    path.unlink()
    set_queue(running, "default", Slots="2")
    assert running.queue_properties("default")["Slots"] == 2


def test_earlier_files_are_overridden(running):
    running.queue("default", drop_in="10-admin.conf", Slots=8)
    set_queue(running, "default", Slots="2")
    assert running.queue_properties("default")["Slots"] == 2


def test_a_bad_file_beside_it(running):
    path = running.queue("default", drop_in="10-admin.conf", Slots="many")
    before = tree(running)
    text = refused("Configuration", running.call, "SetQueue", "default", {"TimeoutSec": "1h"}, False)
    assert "10-admin.conf:2" in text and tree(running) == before
    path.unlink()
    running.queue("default", drop_in=SET, section="Mine", Slots="2")
    assert SET + ":2" in refused("Configuration", running.call, "SetQueue", "default", {"TimeoutSec": "1h"}, False)


def test_masked(running):
    queues = running.folder / "config/queues"
    (queues / "off.queue").symlink_to("/dev/null")
    assert "masked" in refused("Configuration", running.call, "SetQueue", "off", {"Slots": "2"}, False)
    folder = queues / "default.queue.d"
    folder.mkdir()
    (folder / SET_RUNTIME).symlink_to("/dev/null")
    assert SET_RUNTIME in refused("Configuration", running.call, "SetQueue", "default", {"Slots": "2"}, True)


def test_links_are_not_followed(running):
    outside = running.folder / "outside"
    outside.mkdir()
    (outside / "file").write_text("precious")
    queues = running.folder / "config/queues"
    (queues / "default.queue.d").symlink_to(outside)
    refused("StorageError", running.call, "SetQueue", "default", {"Slots": "2"}, False)
    (queues / "default.queue.d").unlink()
    (queues / "default.queue.d").mkdir()
    (queues / "default.queue.d" / SET).symlink_to(outside / "file")
    refused("StorageError", running.call, "SetQueue", "default", {"Slots": "2"}, False)
    (running.folder / "run/queues").symlink_to(outside)
    refused("StorageError", running.call, "SetQueue", "new", {"Slots": "2"}, True)
    assert [p.name for p in outside.iterdir()] == ["file"] and (outside / "file").read_text() == "precious"
    assert running.queue_properties("default")["Slots"] == 4


def test_what_cannot_be_written(running):
    """As if the disk were broken: a folder where the file should be."""
    (drop_in(running, "default")).mkdir(parents=True)
    refused("StorageError", running.call, "SetQueue", "default", {"Slots": "2"}, False)
    assert running.queue_properties("default")["Slots"] == 4
    assert [p.name for p in drop_in(running, "default").parent.iterdir()] == [SET]


def test_paused_is_where_a_new_queue_begins(running):
    set_queue(running, "later", Slots="1", AllowUsers="*", Paused="yes")
    id_ = running.submit("true", queue="later")
    assert running.queue_properties("later")["Paused"] and running.state(id_) == "ready"
    assert "PauseQueue" in refused("InvalidSetting", running.call, "SetQueue", "later", {"Paused": "no"}, False)
    running.call("ResumeQueue", "later")
    assert running.result(id_) == "success"
    running.call("RemoveQueue", "later")
    set_queue(running, "later", Slots="1", Paused="yes")  # the name is known, its state is new
    assert running.queue_properties("later")["Paused"]
    running.call("RemoveQueue", "later")
    set_queue(running, "later", Slots="1")
    assert not running.queue_properties("later")["Paused"]


def test_raising_a_cap_starts_at_once_and_lowering_kills_nothing(mill, systemd):
    mill.queue("q", Slots=1, AllowUsers="*")
    mill.start()
    gate = mill.out / "go"
    ids = mill.submit_many(["while [ ! -e %s ]; do sleep 0.02; done" % gate] * 6, queue="q")
    until(lambda: mill.queue_properties("q")["Running"] == 1, 5)
    set_queue(mill, "q", Slots="4")
    until(lambda: mill.queue_properties("q")["Running"] == 4, 5)
    set_queue(mill, "q", Slots="2")
    assert mill.queue_properties("q")["SlotsUsed"] == 4
    mill.call("CancelJob", ids[0])
    mill.wait(ids[0])
    until(lambda: mill.queue_properties("q")["SlotsUsed"] == 3, 5)
    assert mill.state(ids[4]) == "ready"
    gate.touch()
    mill.all_done(ids)
    assert systemd.do("counts")["max_holding"]["jobmill-q.slice"] == 4


def test_the_slice_is_told_and_what_is_gone_is_taken_back(running, systemd):
    set_queue(running, "default", MemoryMax="1G", CPUWeight="50", IOReadBandwidthMax=["/dev/null 1M", "/dev/zero 2M"],
              AllowedCPUs="0-1", DevicePolicy="closed", MemoryLow="1M")
    until(lambda: told(systemd, "default").get("CPUWeight") == 50, 5)
    slice_ = told(systemd, "default")
    assert slice_["MemoryMax"] == 1 << 30 and len(slice_["IOReadBandwidthMax"]) == 2 and slice_["DevicePolicy"] == "closed"
    set_queue(running, "default", MemoryMax="", CPUWeight="", IOReadBandwidthMax="", AllowedCPUs="", DevicePolicy="", MemoryLow="",
              TasksMax="100")
    until(lambda: told(systemd, "default").get("TasksMax") == 100, 5)
    slice_ = told(systemd, "default")
    assert slice_["MemoryMax"] == slice_["CPUWeight"] == 2**64 - 1 and slice_["MemoryLow"] == 0
    assert not slice_["IOReadBandwidthMax"] and not slice_["AllowedCPUs"] and slice_["DevicePolicy"] == "auto"


def test_signals(running):
    changed = []
    match = running.bus.bus.add_signal_receiver(lambda *args: changed.append(args), "PropertiesChanged", path=client.PATH +
                                                "/queue/default")
    running.call("Subscribe")
    running.bus.signals.clear()
    set_queue(running, "default", Slots="2")
    until(lambda: ("QueueChanged", "default") in running.bus.signals and changed, 5, pump=running.bus.pump)
    match.remove()
    interface, values, _ = changed[0]
    assert interface == client.NAME + ".Queue" and values["Slots"] == 2 and len(values["Files"]) == 2 and values["Settings"]
    set_queue(running, "new", Slots="2")
    until(lambda: ("QueueChanged", "new") in running.bus.signals, 5, pump=running.bus.pump)
    running.bus.signals.clear()
    running.call("Reload")  # nothing has changed
    running.queue("new", Slots=3)
    running.call("Reload")
    running.call("RemoveQueue", "new")
    until(lambda: running.bus.signals.count(("QueueChanged", "new")) == 2, 5, pump=running.bus.pump)
    assert ("QueueChanged", "default") not in running.bus.signals
    running.call("Unsubscribe")


# ---- RemoveQueue ----


def test_remove(running):
    set_queue(running, "gone", Slots="1", AllowUsers="*", MemoryMax="1G")
    set_queue(running, "gone", Slots="2")
    set_queue(running, "gone", runtime=True, TimeoutSec="1h")
    running.queue("gone", drop_in="90-admin.conf", Slots=2)
    id_ = running.submit("true", queue="gone")
    running.wait(id_)
    running.call("RemoveQueue", "gone")
    assert not [p for p in tree(running) if "gone" in p]
    assert running.queue_properties("gone")["Files"] == [] and running.queue_properties("gone")["Slots"] == NONE
    assert [j["id"] for j in running.jobs(queue="gone")] == [id_]
    refused("NoSuchQueue", running.submit, "true", "gone")
    refused("NoSuchQueue", running.call, "RemoveQueue", "gone")
    running.restart()
    refused("NoSuchQueue", running.call, "RemoveQueue", "gone")
    assert running.info(id_)["queue"] == "gone"
    set_queue(running, "gone", Slots="3", AllowUsers="*")
    assert running.result(running.submit("true", queue="gone")) == "success"


@pytest.mark.parametrize("state", ["held", "waiting", "ready", "running"])
def test_remove_is_refused_while_there_is_something_to_do(running, state):
    set_queue(running, "top", Slots="1", AllowUsers="*")
    set_queue(running, "top-below", Slots="1", AllowUsers="*")
    if state == "ready":
        running.call("PauseQueue", "top")
    spec = {"held": {"hold": True}, "waiting": {"not_before_usec": 2**52}}.get(state, {})
    id_ = running.submit("sleep 60", queue="top-below", **spec)
    running.reach(id_, state)
    before = tree(running)
    for name in ("top", "top-below"):
        assert "1 job" in refused("QueueNotEmpty", running.call, "RemoveQueue", name)
    assert tree(running) == before
    running.call("CancelJob", id_)
    running.wait(id_)
    running.call("RemoveQueue", "top")
    assert running.queue_properties("top-below")["Files"]


def test_remove_of_what_is_installed(running):
    usr = running.folder / "usr/queues"
    usr.mkdir(parents=True)
    (usr / "shipped.queue").write_text("[Queue]\nSlots=1\n")
    running.call("Reload")
    set_queue(running, "shipped", Slots="2")
    before = tree(running)
    text = refused("NotAllowed", running.call, "RemoveQueue", "shipped")
    assert str(usr / "shipped.queue") in text and "/dev/null" in text and tree(running) == before


def test_remove_follows_no_links(running):
    outside = running.folder / "outside"
    outside.mkdir()
    (outside / "x.conf").write_text("[Queue]\nSlots=2\n")
    set_queue(running, "linked", Slots="1")
    (running.folder / "config/queues/linked.queue.d").symlink_to(outside)
    running.call("Reload")
    running.call("RemoveQueue", "linked")
    assert (outside / "x.conf").exists() and not [p for p in tree(running) if "linked" in p]


# ---- rights ----


@pytest.fixture
def town(mill, polkit, remotes):
    mill.start()
    mill.daemon, mill.polkit = remotes("daemon"), polkit
    return mill


def allow(polkit, *actions):
    for a in actions:
        polkit.do("action", action="org.jobmill1." + a, mode="allow")


@pytest.mark.root
def test_rights(town):
    before = tree(town)
    refused(DENIED, town.daemon.call, "SetQueue", "default", {"Slots": "1"}, False)
    refused(DENIED, town.daemon.call, "RemoveQueue", "default")
    assert {a["action"] for a in town.polkit.do("asked")} == {"org.jobmill1.manage-queues"}
    assert town.polkit.do("asked")[0]["details"] == {"queue": "default"}
    # Nobody is asked about what could not be done anyhow.
    town.polkit.do("reset")
    refused("InvalidSetting", town.daemon.call, "SetQueue", "default", {"Slots": "many"}, False)
    assert town.polkit.do("asked") == [] and tree(town) == before


@pytest.mark.root
def test_privileged_settings_need_another_right(town):
    allow(town.polkit, "manage-queues")
    town.daemon.call("SetQueue", "default", {"Slots": "1", "MemoryMax": "1G", "TimeoutSec": "1h"}, False)
    before = tree(town)
    for key, value in (("AllowUsers", "daemon"), ("AllowGroups", "daemon"), ("Override", "MemoryMax"), ("SlotVariable", "BASH_ENV"), ("GateUnit", "x.service"), ("MemoryLow", "1G"),
                       ("Service.PrivateTmp", "yes"), ("Service.User", "root"), ("DevicePolicy", "auto")):
        text = refused(DENIED, town.daemon.call, "SetQueue", "default", {"Slots": "2", key: value}, False)
        assert key in text
    assert tree(town) == before
    allow(town.polkit, "manage-queues", "set-privileged-properties")
    town.daemon.call("SetQueue", "default", {"Slots": "2", "AllowUsers": "daemon", "Service.Nice": "-5"}, False)
    assert town.queue_properties("default")["Slots"] == 2
    assert town.daemon.call("Submit", "default", ["true"], {})


@pytest.mark.parametrize("state", ["PauseQueue", "DrainQueue"])
def test_remove_what_a_crash_has_left(mill, state):
    """The files are gone and the pause is not: whoever has no answer asks again. Where another queue is below, it is one without a file."""
    mill.queue("old", Slots=1)
    mill.queue("top-below", Slots=1)
    mill.start()
    for name in "old", "top":
        mill.call(state, name)
    mill.kill()
    (mill.folder / "config/queues/old.queue").unlink()
    mill.start()
    assert [f["kind"] for f in mill.call("CheckIntegrity")] == ["queue-without-file"]
    mill.call("RemoveQueue", "old")
    assert mill.call("CheckIntegrity") == []
    for name in "old", "top":
        with pytest.raises(client.BusError):
            mill.call("RemoveQueue", name)
    mill.restart()
    assert mill.call("CheckIntegrity") == []
