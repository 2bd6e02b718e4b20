# SPDX-License-Identifier: LGPL-2.1-or-later
"""jobmill queue set and remove: live, in the slice of the real manager, in files, and after a restart."""

import pathlib

import pytest

from mill import CONFIG, OF_USER, SOURCE, expect, run, systemctl, unit_properties, until

ASK = "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired"
MAX = "infinity"


@pytest.fixture
def queue(mill):
    """The name of a queue that a test makes and this takes away."""
    yield "fresh"
    mill.drop_everything()
    mill.no_units()
    mill.tool("queue", "remove", "fresh")


def set_queue(mill, *argv, **kwargs):
    return mill.tool("queue", "set", *argv, check=True, **kwargs)


def show(mill, name):
    """queue show, but for what jobs change."""
    return [line for line in mill.tool("queue", "show", name, check=True).splitlines() if not line.startswith("     Jobs:")]


def slice_properties(name, *properties):
    return unit_properties("jobmill-%s.slice" % name, *properties)


def test_made_changed_removed(mill, queue):
    set_queue(mill, queue, "Slots=1", "AllowUsers=*", "MemoryMax=256M", "CPUWeight=50")
    path = CONFIG / "fresh.queue"
    assert path.read_text().splitlines()[1:] == ["", "[Queue]", "Slots=1", "AllowUsers=*", "", "[Slice]", "MemoryMax=256M",
                                                 "CPUWeight=50"]
    assert path.stat().st_mode & 0o777 == 0o644
    ids = mill.submit_many(["sleep 60"] * 3, queue=queue)
    mill.reach(ids[0], "running")
    assert slice_properties("fresh", "MemoryMax", "CPUWeight") == {"MemoryMax": "268435456", "CPUWeight": "50"}
    # more room: at once, and the limits of what runs are others
    set_queue(mill, queue, "Slots=3", "MemoryMax=512M", "CPUWeight=")
    for i in ids:
        mill.reach(i, "running")
    until(lambda: slice_properties("fresh", "MemoryMax")["MemoryMax"] == "536870912", 20)
    until(lambda: slice_properties("fresh", "CPUWeight")["CPUWeight"] == "[not set]", 20)
    # less: nothing is ended
    set_queue(mill, queue, "--runtime", "Slots=1", "TasksMax=500")
    assert all(mill.state(i) == "running" for i in ids)
    shown = mill.tool("queue", "show", queue, check=True)
    assert "Slots: 1, 3 used" in shown and "Slots=1 (51-jobmill-set-runtime.conf)" in shown
    assert "MemoryMax=512M (50-jobmill-set.conf)" in shown and str(path) in shown and "AllowUsers=* (fresh.queue)" in shown
    mill.restart_daemon()
    assert mill.tool("queue", "show", queue, check=True) == shown
    # jobs are in it
    p = mill.tool("queue", "remove", queue)
    assert p.returncode == 1 and "3 jobs that are not done" in p.stderr
    for i in ids:
        mill.call("CancelJob", i)
        mill.wait(i)
    mill.tool("queue", "remove", queue, check=True)
    assert not path.exists() and not list(CONFIG.parent.rglob("*fresh*"))
    until(lambda: slice_properties("fresh", "MemoryMax", "TasksMax") == {"MemoryMax": MAX, "TasksMax": MAX}, 20)
    assert "no file" in mill.tool("queue", "show", queue, check=True)
    assert "fresh" not in mill.tool("queue", "list", check=True) and '"fresh"' in mill.tool("queue", "list", "-j", check=True)


def test_every_slice_property_is_taken_and_taken_back(mill, queue):
    names = ["CPUQuota=150%", "CPUQuotaPeriodSec=50ms", "CPUWeight=20", "IOWeight=30", "MemoryHigh=1G", "MemoryLow=1M", "MemoryMin=1M",
             "MemorySwapMax=0", "TasksMax=10%", "MemoryMax=50%", "AllowedCPUs=0", "AllowedMemoryNodes=0", "DevicePolicy=closed",
             "DeviceAllow=/dev/null rw", "IOReadBandwidthMax=/var 1M", "IODeviceWeight=/var 100"]
    properties = [n.split("=")[0].replace("CPUQuotaPeriodSec", "CPUQuotaPeriodUSec").replace("CPUQuota", "CPUQuotaPerSecUSec")
                  if n.startswith("CPUQuota") else n.split("=")[0] for n in names]
    set_queue(mill, queue, "Slots=1", "AllowUsers=*")
    since = run("date", "+%Y-%m-%d %H:%M:%S").strip()
    before = slice_properties("fresh", *properties)
    set_queue(mill, queue, *names)
    until(lambda: slice_properties("fresh", "CPUWeight")["CPUWeight"] == "20", 20)
    after = slice_properties("fresh", *properties)
    assert {k for k in before if before[k] == after[k]} <= {"DeviceAllow", "IOReadBandwidthMax", "IODeviceWeight"}, after
    set_queue(mill, queue, *(n.split("=")[0] + "=" for n in names))
    until(lambda: slice_properties("fresh", "CPUWeight")["CPUWeight"] == "[not set]", 20)
    assert slice_properties("fresh", *properties) == before
    if not OF_USER:
        log = run("journalctl", "--unit=jobmilld", "--since=" + since, "--output=cat")
        assert "refused" not in log, log


def test_refused_on_the_command_line(mill, queue):
    for argv, text in ((["Slots=many"], "Slots"), (["Slots"], "KEY=VALUE"), (["=1"], "KEY=VALUE"), (["Nonsense=1"], "Nonsense"),
                       (["NoNewPrivileges=yes"], "slice"), (["Slots=1", "Service.ExecStart=/bin/true"], "ExecStart"), ([], "")):
        p = mill.tool("queue", "set", "default", *argv)
        assert p.returncode == 1 and p.stdout == "" and text in p.stderr and p.stderr.count("\n") == 1, (argv, p)
    p = mill.tool("queue", "remove", "default")
    assert p.returncode == 1 and "ln -s /dev/null" in p.stderr
    p = mill.tool("queue", "set", "Bad", "Slots=1")
    assert p.returncode == 1 and "[a-z0-9_]+" in p.stderr


@pytest.mark.system_only
def test_of_an_installed_queue(mill):
    drop_in = CONFIG / "default.queue.d/50-jobmill-set.conf"
    before = show(mill, "default")
    try:
        set_queue(mill, "default", "TimeoutSec=1h", "Service.PrivateTmp=yes")
        assert drop_in.read_text().splitlines()[1:] == ["", "[Queue]", "TimeoutSec=1h", "", "[Service]", "PrivateTmp=yes"]
        id_ = mill.submit("sleep 60")
        mill.reach(id_, "running")
        assert unit_properties(mill.unit(id_), "PrivateTmp") == {"PrivateTmp": "yes"}
        assert mill.info(id_)["timeout_usec"] == 3600 * 10**6
        mill.call("CancelJob", id_)
        mill.wait(id_)
        mill.no_units()
    finally:
        drop_in.unlink()
        drop_in.parent.rmdir()
        mill.call("Reload")
    assert show(mill, "default") == before


@pytest.mark.system_only
def test_rights(mill, queue):
    """Nobody but root; with the operators' rule what queues are, but not whom they are for."""
    set_queue(mill, queue, "Slots=1")
    text = (CONFIG / "fresh.queue").read_text()
    p = mill.tool("--no-ask-password", "queue", "set", queue, "Slots=2", user="bob")
    assert p.returncode == 1 and "not allowed" in p.stderr.lower()
    expect(ASK, mill.user("bob").call, "RemoveQueue", queue)
    rule = pathlib.Path("/etc/polkit-1/rules.d/49-test.rules")
    run("groupadd", "--force", "jobmill-operators")
    run("usermod", "-aG", "jobmill-operators", "bob")
    rule.write_text((SOURCE / "polkit/50-jobmill-operators.rules.example").read_text())
    rule.chmod(0o644)
    try:
        mill.forget_users()
        systemctl("restart", "polkit")
        bob = mill.user("bob")
        assert "AllowUsers" in expect(ASK, bob.call, "SetQueue", queue, {"Slots": "2", "AllowUsers": "bob"}, False)
        assert "Service.User" in expect(ASK, bob.call, "SetQueue", queue, {"Service.User": "root"}, False)
        assert (CONFIG / "fresh.queue").read_text() == text and not (CONFIG / "fresh.queue.d").exists()
        set_queue(mill, queue, "Slots=2", "MemoryMax=1G", user="bob")
        assert (CONFIG / "fresh.queue.d/50-jobmill-set.conf").stat().st_uid == 0
        mill.tool("queue", "remove", queue, user="bob", check=True)
    finally:
        rule.unlink()
        run("gpasswd", "-d", "bob", "jobmill-operators")
        systemctl("restart", "polkit")
        mill.forget_users()


@pytest.mark.system_only
def test_the_folder_is_made(mill, queue):
    """The first queue of a system that has no /etc/jobmill."""
    away = CONFIG.parent.with_name("jobmill.away")
    CONFIG.parent.rename(away)
    try:
        mill.restart_daemon()
        set_queue(mill, queue, "Slots=1")
        assert (CONFIG / "fresh.queue").exists()
        mill.tool("queue", "remove", queue, check=True)
    finally:
        with mill.down():
            run("rm", "-rf", CONFIG.parent)
            away.rename(CONFIG.parent)
    assert mill.run("true")["result"] == "success"


@pytest.mark.system_only
def test_full_disk(mill):
    """Told as such, and what was there is there."""
    etc = CONFIG.parent
    with mill.down():
        run("mount", "-t", "tmpfs", "-o", "mode=0755,size=64k", "tmpfs", etc)
    try:
        set_queue(mill, "tiny", "Slots=1")
        set_queue(mill, "tiny", "Slots=2")
        run("sh", "-c", "head -c 1M /dev/zero >%s/filler" % etc, check=False)
        files = {f: f.read_text() for f in (etc / "queues").rglob("*") if f.is_file()}
        expect("StorageFull", mill.call, "SetQueue", "tiny", {"Slots": "3"}, False)
        expect("StorageFull", mill.call, "SetQueue", "tiny", {"AllowGroups": "x" * 16000}, False)
        expect("StorageFull", mill.call, "SetQueue", "other", {"Slots": "3"}, False)
        assert {f: f.read_text() for f in (etc / "queues").rglob("*") if f.is_file()} == files
        assert "Slots: 2" in mill.tool("queue", "show", "tiny", check=True)
        (etc / "filler").unlink()
        set_queue(mill, "tiny", "Slots=3")
        assert "Slots: 3" in mill.tool("queue", "show", "tiny", check=True)
    finally:
        with mill.down():
            run("umount", etc)
