# SPDX-License-Identifier: LGPL-2.1-or-later
"""Submitting gives no rights: who may do what with whose jobs, asked from processes of those users, with the real polkit."""

import pathlib
import pwd

import pytest

from mill import SOURCE, BusError, expect, run, until

DENIED = ("org.freedesktop.DBus.Error.AccessDenied", "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired")
HIDDEN = ("name", "argv", "cwd", "tags", "status", "reason")


def denied(function, *args, **kwargs):
    with pytest.raises(BusError) as e:
        function(*args, **kwargs)
    assert e.value.name in DENIED, e.value


def test_foreign_jobs_cannot_be_touched(mill):
    alice, bob = mill.user("alice"), mill.user("bob")
    id_ = alice.submit("sleep 60", tags={"of": "alice"})
    held = alice.submit("true", hold=True)
    done = alice.submit("exit 1")
    mill.wait(done)
    mill.reach(id_, "running")
    for member, *args in (("CancelJob", id_), ("KillJob", id_, 9), ("HoldJob", held), ("ReleaseJob", held), ("CancelJob", held),
                          ("RetryJob", done, {})):
        denied(bob.call, member, *args)
    for f in ({"ids": [done, held]}, {"owner": pwd.getpwnam("alice").pw_uid}):
        for member, *more in (("PurgeJobs",), ("CancelJobs",), ("HoldJobs",), ("UpdateJobs", {"priority": 1}), ("RetryJobs", {})):
            denied(bob.call, member, f, *more)
    assert bob.call("CountJobs", {"tags": {"of": "alice"}}) == 0 and bob.call("CancelJobs", {"tags": {"of": "alice"}}) == 0
    assert mill.state(id_) == "running" and mill.state(held) == "held" and mill.info(done)["result"] == "exit-code"

    # She may, and so may root.
    alice.call("CancelJob", id_)
    mill.call("CancelJob", held)
    mill.call("RetryJob", done, {})
    mill.wait_all([id_, held, done])
    assert alice.call("PurgeJobs", {"ids": [id_, held, done]}) == 3


def test_what_others_can_read(mill):
    alice, bob = mill.user("alice"), mill.user("bob")
    id_ = alice.submit("sleep 60", name="secret name", tags={"secret": "tag"}, cwd="/var/tmp")
    mill.reach(id_, "running")
    own, foreign, root = alice.call("GetJobInfo", id_), bob.call("GetJobInfo", id_), mill.info(id_)
    assert own["name"] == root["name"] == "secret name"
    assert own["argv"] == root["argv"] == ["/bin/sh", "-c", "sleep 60"]
    assert not set(HIDDEN) & set(foreign)
    assert foreign["state"] == "running" and foreign["owner_name"] == "alice" and foreign["unit"] == own["unit"]
    rows, _ = bob.call("ListJobs", {"ids": [id_]}, "", 0)
    assert len(rows) == 1 and not set(HIDDEN) & set(rows[0])
    # What cannot be read cannot be guessed by a filter either.
    for filter_ in ({"name": "secret name"}, {"tags": {"secret": "tag"}}):
        assert [r["id"] for r in alice.call("ListJobs", filter_, "", 0)[0]] == [id_]
        assert bob.call("ListJobs", filter_, "", 0)[0] == []
    alice.call("CancelJob", id_)
    mill.wait(id_)


def test_public_properties_tell_no_secrets(mill):
    id_ = mill.user("alice").submit("sleep 60", name="secret name", tags={"secret": "tag"})
    mill.reach(id_, "running")
    text = run("runuser", "-u", "bob", "--", "busctl", "introspect", "org.jobmill1", "/org/jobmill1/job/%d" % id_)
    assert "secret" not in text and "sleep" not in text
    mill.call("CancelJob", id_)
    mill.wait(id_)


def test_jobs_as_another_user(mill):
    uid = pwd.getpwnam("alice").pw_uid
    j = mill.run("[ $(id -un) = alice ] && [ $HOME = /home/alice ]", uid=uid)
    assert (j["result"], j["owner"]) == ("success", uid)
    for other in (0, uid):
        denied(mill.user("bob").submit, "true", uid=other)
    # His own uid is nothing special.
    bob = pwd.getpwnam("bob").pw_uid
    assert mill.wait(mill.user("bob").submit("[ $(id -un) = bob ]", uid=bob))["result"] == "success"


PRIVILEGED = ["User=root", "AmbientCapabilities=CAP_SYS_ADMIN", "BindPaths=/etc:/mnt", "DeviceAllow=/dev/sda rw",
              "IPAddressAllow=any", "SupplementaryGroups=shadow"]


@pytest.mark.parametrize("assignment", PRIVILEGED)
def test_privileged_properties(mill, assignment):
    name = assignment.split("=")[0]
    with pytest.raises(BusError) as e:
        mill.user("alice").submit("true", properties=[assignment])
    # Those that the table has need an authorization; those that it has not are refused to everybody.
    assert e.value.name in DENIED or (e.value.short == "PropertyNotAllowed" and name in e.value.message), e.value


def test_privileged_property_of_root(mill):
    j = mill.run("[ $(id -un) = bob ]", properties=["User=bob"])
    assert j["result"] == "success", j


def test_a_user_may_only_tighten(mill):
    alice = mill.user("alice")
    for assignment in ("Nice=-5", "OOMScoreAdjust=-500", "CPUWeight=10000", "TasksMax=infinity"):
        with pytest.raises(BusError) as e:
            alice.submit("true", properties=[assignment])
        assert e.value.short in ("PropertyNotAllowed",) or e.value.name in DENIED, e.value


def test_control_characters_are_refused(mill):
    alice = mill.user("alice")
    for spec in ({"name": "a\nb"}, {"name": "a\x1b[31m"}, {"tags": {"k": "a\nb"}}, {"tags": {"k\n": "a"}},
                 {"cwd": "/tmp/\nUser=root"}, {"properties": ["Nice=1\nUser=root"]}, {"properties": ["InaccessiblePaths=/a\x01"]}):
        with pytest.raises(BusError) as e:
            alice.submit("true", **spec)
        assert e.value.short in ("InvalidSpec", "PropertyNotAllowed"), spec
    expect("InvalidSpec", alice.submit, ["/bin/true\n"])


def test_who_may_submit(mill):
    # default: every user, as with at; system users are none.
    assert mill.wait(mill.user("alice").submit("true"))["result"] == "success"
    expect("NotAllowed", mill.user("robot").submit, "true")

    mill.write_queue("private", "Slots=1", reload=False)
    mill.write_queue("alices", "AllowUsers=alice", reload=False)
    mill.write_queue("gamers", "AllowGroups=games")
    expect("NotAllowed", mill.user("alice").submit, "true", "private")
    assert mill.run("true", "private")["result"] == "success"
    assert mill.wait(mill.user("alice").submit("true", "alices"))["result"] == "success"
    expect("NotAllowed", mill.user("bob").submit, "true", "alices")
    expect("NotAllowed", mill.user("bob").submit, "true", "gamers")
    run("usermod", "-aG", "games", "bob")
    try:
        mill.call("Reload")  # which forgets what it knew of users; else that holds for a minute
        assert mill.wait(mill.user("bob").submit("true", "gamers"))["result"] == "success"
    finally:
        run("gpasswd", "-d", "bob", "games")


def test_queues_are_the_managers(mill):
    alice = mill.user("alice")
    for member, *args in (("PauseQueue", "default"), ("ResumeQueue", "default"), ("DrainQueue", "default"), ("Reload",)):
        denied(alice.call, member, *args)
    assert mill.run("true")["result"] == "success"


def test_polkit_rule(mill):
    """The example rule: operators look after everybody's jobs, and nothing more."""
    rule = pathlib.Path("/etc/polkit-1/rules.d/49-test.rules")
    source = SOURCE / "polkit/50-jobmill-operators.rules.example"
    run("groupadd", "--force", "jobmill-operators")
    run("usermod", "-aG", "jobmill-operators", "bob")
    rule.write_text(source.read_text())
    rule.chmod(0o644)
    try:
        mill.forget_users()
        run("systemctl", "restart", "polkit")
        bob = mill.user("bob")
        id_ = mill.user("alice").submit("sleep 60", name="hers")
        mill.reach(id_, "running")
        assert bob.call("GetJobInfo", id_)["name"] == "hers"
        bob.call("PauseQueue", "default")
        bob.call("ResumeQueue", "default")
        bob.call("CancelJob", id_)
        assert mill.wait(id_)["result"] == "cancelled"
        denied(bob.submit, "true", uid=0)
        denied(bob.submit, "true", properties=["User=root"])
    finally:
        rule.unlink()
        run("gpasswd", "-d", "bob", "jobmill-operators")
        run("systemctl", "restart", "polkit")
        mill.forget_users()


def test_without_polkit(mill):
    """Absent polkit means no, except for root."""
    run("systemctl", "mask", "--runtime", "--now", "polkit.service")
    try:
        id_ = mill.user("alice").submit("sleep 60")
        mill.reach(id_, "running")
        denied(mill.user("bob").call, "CancelJob", id_)
        mill.call("CancelJob", id_)
        assert mill.wait(id_)["result"] == "cancelled"
    finally:
        run("systemctl", "unmask", "--runtime", "polkit.service")


def test_files_are_not_for_others(mill):
    assert "drwx------" in run("ls", "-ld", "/var/lib/jobmill")
    until(lambda: run("runuser", "-u", "bob", "--", "ls", "/run/jobmill", check=False).returncode != 0)
