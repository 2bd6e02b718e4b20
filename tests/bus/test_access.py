# SPDX-License-Identifier: LGPL-2.1-or-later
"""Who may do what: the caller is whom the bus says; users touch and see only their own; polkit decides about more."""

import json
import pwd
import sqlite3

import pytest

import client
from conftest import until

pytestmark = pytest.mark.root
DENIED = "org.freedesktop.DBus.Error.AccessDenied"
INTERACTIVE = "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired"
PRIVATE = {"name", "argv", "cwd", "tags", "status", "reason", "output_file", "error_file"}


@pytest.fixture
def town(mill, polkit, remotes):
    """Two users who may submit, and root."""
    mill.queue("default", Slots=4, AllowUsers="daemon bin")
    mill.queue("mine", Slots=4, AllowUsers="daemon")
    mill.queue("group", Slots=4, AllowGroups="bin")
    mill.queue("nobody", Slots=4)
    mill.start()
    mill.daemon, mill.bin, mill.polkit = remotes("daemon"), remotes("bin"), polkit
    return mill


def submit(who, command="true", queue="", **spec):
    return who.call("Submit", queue, ["/bin/sh", "-c", command], spec)[0]


def refused(name, call, *args):
    with pytest.raises(client.BusError) as e:
        call(*args)
    assert e.value.name == name or e.value.short == name, e.value


def test_job_belongs_to_the_caller_and_runs_as_him(town, systemd):
    out = town.out / "who"
    id_ = submit(town.daemon, "id -u > %s; id -g >> %s; echo $USER $HOME >> %s" % (out, out, out))
    assert town.result(id_) == "success"
    p = pwd.getpwnam("daemon")
    assert out.read_text() == "%d\n%d\ndaemon %s\n" % (p.pw_uid, p.pw_gid, p.pw_dir)
    info = town.info(id_)
    assert (info["owner"], info["owner_name"]) == (p.pw_uid, "daemon")


def test_queue_files_decide_who_submits(town):
    assert submit(town.daemon, queue="mine")
    refused("NotAllowed", submit, town.bin, "true", "mine")
    assert submit(town.bin, queue="group")
    refused("NotAllowed", submit, town.daemon, "true", "group")
    refused("NotAllowed", submit, town.daemon, "true", "nobody")
    assert town.submit("true", queue="nobody")  # root


def test_star_means_regular_users(mill, polkit, remotes):
    mill.start()
    for user in ("daemon", "nobody"):  # 1, and 65534
        refused("NotAllowed", submit, remotes(user))


def test_foreign_jobs_are_untouchable(town):
    id_ = submit(town.daemon, "sleep 60")
    held = submit(town.daemon, "true", hold=True)
    done = submit(town.daemon, "exit 1")
    town.wait(done)
    town.reach(id_, "running")
    for member, args in (("CancelJob", [id_]), ("KillJob", [id_, 9]), ("HoldJob", [held]), ("ReleaseJob", [held]),
                         ("RetryJob", [done, {}]), ("CancelJob", [held])):
        refused(DENIED, town.bin.call, member, *args)
    assert town.bin.call("PurgeJobs", {"ids": [done]}) == 0
    assert town.state(id_) == "running" and town.state(held) == "held" and town.state(done) == "done"
    assert {a["action"] for a in town.polkit.do("asked")} == {"org.jobmill1.manage-jobs"}
    town.daemon.call("CancelJob", id_)
    assert town.result(id_) == "cancelled"
    assert town.daemon.call("PurgeJobs", {"ids": [done]}) == 1


def test_own_jobs_need_no_polkit(town):
    town.polkit.do("mode", mode="absent")
    id_ = submit(town.daemon, "true", hold=True)
    town.daemon.call("ReleaseJob", id_)
    town.wait(id_)
    town.daemon.call("RetryJob", id_, {})
    town.wait(id_)
    assert town.daemon.call("PurgeJobs", {"ids": [id_]}) == 1
    assert town.polkit.do("asked") == []


def test_private_fields(town):
    id_ = submit(town.daemon, "exit 1", name="secret", cwd="/tmp", tags={"who": "me"}, output_file="/dev/null", error_file="/dev/null")
    town.wait(id_)
    own = town.daemon.call("GetJobInfo", id_)
    assert own["output_file"] == own["error_file"] == "/dev/null"
    assert own["name"] == "secret" and own["tags"] == {"who": "me"} and own["argv"][0] == "/bin/sh"
    foreign = town.bin.call("GetJobInfo", id_)
    assert not PRIVATE & set(foreign)
    assert foreign.items() >= {"id": id_, "owner": 1, "state": "done", "result": "exit-code", "exit_status": 1}.items()
    rows, _ = town.bin.call("ListJobs", {}, "", 10)
    assert rows == [foreign]
    assert not any(set(a) & PRIVATE for a in town.bin.call("ListAttempts", id_))
    assert "secret" not in json.dumps(town.bin.call("get_all", "/org/jobmill1/job/%d" % id_, client.NAME + ".Job"))
    # nor can one guess by filters
    for f in ({"name": "secret"}, {"tags": {"who": "me"}}):
        assert town.bin.call("ListJobs", f, "", 10)[0] == []
        assert len(town.daemon.call("ListJobs", f, "", 10)[0]) == 1
        assert len(town.jobs(**f)) == 1
    town.polkit.do("mode", mode="allow")
    assert town.bin.call("ListJobs", {"fields": ["id", "name", "argv"]}, "", 10)[0][0]["id"] == id_


def test_manager_of_queues(town):
    for member in ("PauseQueue", "ResumeQueue", "DrainQueue", "Reload"):
        refused(DENIED, town.daemon.call, member, *(["default"] if member != "Reload" else []))
    assert {a["action"] for a in town.polkit.do("asked")} == {"org.jobmill1.manage-queues"}
    asked = town.polkit.do("asked")[0]
    assert asked["subject"] == "system-bus-name" and asked["name"].startswith(":")
    assert asked["details"].get("queue") == "default" and asked["flags"] == 0
    town.polkit.do("mode", mode="allow")
    town.daemon.call("PauseQueue", "default")
    assert town.queue_properties("default")["Paused"] is True


def test_root_is_never_asked(town):
    town.polkit.do("mode", mode="absent")
    id_ = submit(town.daemon, "sleep 60")
    town.call("PauseQueue", "default")
    town.call("CancelJob", id_)
    town.call("Reload")
    assert town.result(id_) == "cancelled"
    assert town.polkit.do("asked") == []


@pytest.mark.parametrize("mode, error", [("deny", DENIED), ("challenge", INTERACTIVE), ("absent", DENIED), ("error", DENIED)])
def test_polkit_says_no(town, mode, error):
    id_ = submit(town.daemon, "true", hold=True)
    town.polkit.do("mode", mode=mode)
    refused(error, town.bin.call, "CancelJob", id_)
    refused(error, town.bin.call, "PauseQueue", "default")
    assert town.state(id_) == "held"


def test_polkit_says_yes(town):
    id_ = submit(town.daemon, "sleep 60")
    town.polkit.do("mode", mode="allow")
    town.bin.call("CancelJob", id_)
    assert town.result(id_) == "cancelled"
    done = submit(town.daemon, "true")
    town.wait(done)
    assert town.bin.call("PurgeJobs", {"ids": [done]}) == 1


def test_hanging_polkit_hangs_nobody_else(town):
    id_ = submit(town.daemon, "true", hold=True)
    town.polkit.do("mode", mode="hang")
    town.bin.send("CancelJob", id_)
    until(lambda: town.polkit.do("asked"), 5)
    assert town.result(submit(town.daemon)) == "success"
    assert town.state(id_) == "held"
    town.polkit.do("mode", mode="allow")
    town.bin.receive()
    assert town.result(id_) == "cancelled"


def test_answer_after_the_job_changed(town):
    """What was allowed is judged anew by the model when polkit answers."""
    id_ = submit(town.daemon, "true", hold=True)
    town.polkit.do("mode", mode="hang")
    town.bin.send("CancelJob", id_)
    until(lambda: town.polkit.do("asked"), 5)
    town.daemon.call("CancelJob", id_)
    town.polkit.do("mode", mode="allow")
    refused("JobFinished", town.bin.receive)


def test_caller_who_goes_while_polkit_thinks(town):
    id_ = submit(town.daemon, "true", hold=True)
    town.polkit.do("mode", mode="hang")
    town.bin.send("CancelJob", id_)
    until(lambda: town.polkit.do("asked"), 5)
    town.bin.close()
    town.bus.pump(0.1)
    town.polkit.do("mode", mode="allow")
    town.bus.pump(0.2)
    assert town.state(id_) == "held"


def test_privileged_properties(town, systemd):
    for assignment in ("User=root", "AmbientCapabilities=CAP_SYS_ADMIN", "BindPaths=/etc:/mnt", "DeviceAllow=/dev/sda rw",
                       "Type=simple", "ExecStartPre=/bin/true"):
        with pytest.raises(client.BusError) as e:
            submit(town.daemon, properties=[assignment])
        assert e.value.name in (DENIED, client.ERROR + "PropertyNotAllowed"), e.value
    assert town.jobs() == []
    town.polkit.do("mode", mode="allow")
    assert submit(town.daemon, "true", properties=["AmbientCapabilities=CAP_NET_RAW"])
    assert {a["action"] for a in town.polkit.do("asked")} == {"org.jobmill1.set-privileged-properties"}
    refused("PropertyNotAllowed", lambda: submit(town.daemon, properties=["StateDirectory=x"]))


def test_unprivileged_sandbox_means_no_new_privileges(town, systemd):
    plain = submit(town.daemon, "sleep 60", properties=["MemoryMax=64M"])
    boxed = submit(town.daemon, "sleep 60", properties=["PrivateTmp=yes"])
    for i in (plain, boxed):
        town.reach(i, "running")
    units = systemd.do("units")
    assert units[town.unit(boxed)]["settings"].get("NoNewPrivileges") is True
    assert not units[town.unit(plain)]["settings"].get("NoNewPrivileges")


def test_only_tightening(town, systemd):
    path = town.queue("tight", Slots=4, AllowUsers="daemon bin")
    path.write_text(path.read_text() + "[Service]\nMemoryMax=64M\nNice=5\nPrivateTmp=yes\n")
    town.call("Reload")
    a = submit(town.daemon, "sleep 60", queue="tight", properties=["MemoryMax=1G"])
    b = submit(town.daemon, "sleep 60", queue="tight", properties=["MemoryMax=32M"])
    for i in (a, b):
        town.reach(i, "running")
    units = systemd.do("units")
    assert units[town.unit(a)]["settings"]["MemoryMax"] == 64 << 20
    assert units[town.unit(b)]["settings"]["MemoryMax"] == 32 << 20
    assert units[town.unit(a)]["settings"]["Nice"] == 5
    assert units[town.unit(a)]["settings"]["PrivateTmp"] is True
    root = town.submit("sleep 60", queue="tight", properties=["MemoryMax=1G"])
    town.reach(root, "running")
    assert systemd.do("units")[town.unit(root)]["settings"]["MemoryMax"] == 1 << 30


def test_submit_as(town):
    uid = pwd.getpwnam("bin").pw_uid
    refused(DENIED, lambda: submit(town.daemon, uid=uid))
    assert [a["action"] for a in town.polkit.do("asked")] == ["org.jobmill1.submit-as"]
    assert submit(town.daemon, uid=pwd.getpwnam("daemon").pw_uid)  # himself
    refused(DENIED, lambda: submit(town.daemon, uid=0))
    out = town.out / "who"
    id_ = town.submit("id -u > %s" % out, uid=uid)
    assert town.result(id_) == "success"
    assert out.read_text() == "%d\n" % uid and town.info(id_)["owner"] == uid
    town.polkit.do("mode", mode="allow")
    id_ = submit(town.daemon, "true", uid=uid)
    assert town.info(id_)["owner"] == uid


def test_submit_as_nobody_known(town):
    refused("InvalidSpec", lambda: town.submit("true", uid=54321))


def test_submit_many_asks_once(town):
    town.polkit.do("mode", mode="allow")
    uid = pwd.getpwnam("bin").pw_uid
    ids = town.daemon.call("SubmitMany", [{"queue": "", "argv": ["/bin/true"], "uid": uid} for _ in range(20)])
    assert len(ids) == 20
    assert len(town.polkit.do("asked")) == 1


def test_attempt_files_are_not_readable_by_others(town):
    out = town.out / "listing"
    id_ = submit(town.daemon, "sleep 60", environment=["S=1"])
    town.reach(id_, "running")
    spy = submit(town.bin, "cat %s/run/attempt/*/* > %s 2>&1; ls %s/run/attempt >> %s 2>&1; ls %s/state >> %s 2>&1; true"
                 % (town.folder, out, town.folder, out, town.folder, out))
    town.wait(spy)
    assert "S=1" not in out.read_text() and "jobmill.db" not in out.read_text()
    assert oct((town.folder / "state/jobmill.db").stat().st_mode & 0o077) == "0o0" or \
        oct((town.folder / "state").stat().st_mode & 0o777) == "0o700"


def test_uid_that_became_another_users(town, remotes):
    """A job is its owner's by uid and name: one who got the uid later does not run it."""
    id_ = remotes("daemon").call("Submit", "", ["/bin/sh", "-c", "echo >>%s/ran" % town.out], {"hold": True})[0]
    town.stop()
    db = sqlite3.connect(town.folder / "state/jobmill.db")
    db.execute("UPDATE job SET owner_name = 'somebody' WHERE id = ?", (id_,))
    db.commit()
    db.close()
    town.start()
    town.call("ReleaseJob", id_)
    assert town.result(id_) == "exec" and "no longer user somebody" in town.info(id_)["reason"]
    assert not (town.out / "ran").exists()
