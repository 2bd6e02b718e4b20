# SPDX-License-Identifier: LGPL-2.1-or-later
"""UpdateJob and MoveJob: what may be changed, when, by whom; and that the job which then runs is the changed one."""

import time

import dbus
import pytest

import client
from conftest import until

NONE = 2**64 - 1
HOUR = 3600 * 10**6


def now():
    return int(time.time() * 1e6)


def refused(name, call, *args, text=""):
    with pytest.raises(client.BusError) as e:
        call(*args)
    assert e.value.name == name or e.value.short == name, e.value
    assert text in e.value.message, e.value
    return e.value.message


# ---- a job that has not started ----

def test_everything_can_be_changed(running):
    out = running.out / "out"
    id_ = running.submit("echo old >> %s" % out, hold=True, name="old", environment=["A=old", "PATH=/usr/bin:/bin"],
                         payload=b"old", tags={"a": "1", "b": "2"}, cwd="/", umask=0o77, properties=["MemoryMax=1G", "Nice=3"])
    running.call("UpdateJob", id_, {
        "argv": ["/bin/sh", "-c", 'read x; echo "$x $A $PWD $(umask) $JOBMILL_NAME" >> %s' % out], "name": "new",
        "environment": ["A=new", "PATH=/usr/bin:/bin"], "payload": b"payload\n", "cwd": "/tmp", "umask": 0o22, "priority": 7,
        "slots": 2, "timeout_usec": HOUR, "stop_timeout_usec": 5 * 10**6, "not_before_usec": now() + HOUR,
        "tags": {"b": "3", "c": "4", "a": ""}, "properties": ["MemoryMax=2G", "CPUWeight=50", "Nice="]})
    running.restart()
    info = running.info(id_)
    assert (info["state"], info["name"], info["priority"], info["slots"], info["cwd"]) == ("held", "new", 7, 2, "/tmp")
    assert info["tags"] == {"b": "3", "c": "4"} and info["timeout_usec"] == HOUR
    running.call("ReleaseJob", id_)
    assert running.state(id_) == "waiting"
    running.call("UpdateJob", id_, {"not_before_usec": NONE})
    assert running.result(id_) == "success"
    assert out.read_text() == "payload new /tmp 0022 new\n"


def test_properties_by_name(running, systemd):
    id_ = running.submit("sleep 60", hold=True, properties=["MemoryMax=1G", "CPUWeight=20", "UMask=0027"])
    running.call("UpdateJob", id_, {"properties": ["MemoryMax=2G", "CPUWeight="]})
    running.call("ReleaseJob", id_)
    running.reach(id_, "running")
    settings = systemd.do("units")[running.unit(id_)]["settings"]
    assert settings["MemoryMax"] == 2 << 30 and "CPUWeight" not in settings and settings["UMask"] == 0o27


def test_what_is_not_given_stays(running):
    out = running.out / "out"
    id_ = running.submit("cat > %s; echo $A >> %s" % (out, out), hold=True, payload=b"kept\n", environment=["A=kept too"],
                         tags={"a": "b"}, name="n")
    running.call("UpdateJob", id_, {"priority": 3})
    running.call("UpdateJob", id_, {"tags": {"x": "y"}})
    running.call("UpdateJob", id_, {"name": ""})
    info = running.info(id_)
    assert "name" not in info and info["tags"] == {"a": "b", "x": "y"} and info["priority"] == 3
    running.call("ReleaseJob", id_)
    assert running.result(id_) == "success" and out.read_text() == "kept\nkept too\n"


def test_environments_are_counted(running):
    """Two jobs share one; it must stay for the other, and go with the last."""
    out = running.out / "out"
    one, two = (running.submit("echo $A >> %s" % out, hold=True, environment=["A=shared"]) for _ in range(2))
    running.call("UpdateJob", one, {"environment": ["A=own"]})
    running.call("UpdateJob", one, {"environment": ["A=shared"]})
    running.call("UpdateJob", two, {"environment": ["A=shared"]})
    running.call("UpdateJob", two, {"environment": []})
    running.restart()
    for i in (one, two):
        running.call("ReleaseJob", i)
        assert running.result(i) == "success"
    assert out.read_text() == "shared\n\n"


def test_order_follows_at_once(mill):
    mill.queue("one", Slots=1, AllowUsers="*")
    mill.start()
    mill.call("PauseQueue", "one")
    ids = mill.submit_many(["echo $JOBMILL_JOB_ID >> %s/order" % mill.out] * 600, queue="one")
    mill.call("UpdateJob", ids[599], {"priority": 5})  # from beyond the window into it
    mill.call("UpdateJob", ids[300], {"priority": 4})
    mill.call("UpdateJob", ids[0], {"priority": -1})   # out of it
    mill.call("UpdateJob", ids[1], {"priority": 9})
    mill.call("UpdateJob", ids[1], {"priority": 0})
    mill.call("CancelJobs", {"ids": ids[5:300] + ids[301:595]})
    mill.call("ResumeQueue", "one")
    mill.all_done([i for i in ids])
    order = [int(x) for x in (mill.out / "order").read_text().split()]
    assert order == [ids[599], ids[300]] + ids[1:5] + ids[595:599] + [ids[0]]


def test_not_before(running):
    running.call("PauseQueue", "default")
    id_ = running.submit("true")
    running.call("UpdateJob", id_, {"not_before_usec": now() + HOUR})
    assert running.state(id_) == "waiting" and running.queue_properties("default")["Waiting"] == 1
    running.call("UpdateJob", id_, {"not_before_usec": 1})
    assert running.state(id_) == "ready"
    due = now() + 700000
    running.call("UpdateJob", id_, {"not_before_usec": due})
    running.call("ResumeQueue", "default")
    assert running.state(id_) == "waiting" or now() > due
    assert running.result(id_) == "success"


def test_slots_are_checked_and_held_back(mill):
    mill.queue("two", Slots=2, AllowUsers="*")
    mill.start()
    blocker = mill.submit("sleep 60", queue="two")
    mill.reach(blocker, "running")
    id_ = mill.submit("sleep 60", queue="two", hold=True)
    refused("InvalidSpec", mill.call, "UpdateJob", id_, {"slots": 3}, text="'two' has only 2")
    mill.call("UpdateJob", id_, {"slots": 2})
    mill.call("ReleaseJob", id_)
    assert mill.state(id_) == "ready" and "needs 2," in mill.info(id_)["reason"]
    mill.call("UpdateJob", id_, {"slots": 1})
    mill.reach(id_, "running")


def test_a_change_is_whole_or_nothing(running):
    id_ = running.submit("true", hold=True, name="old", tags={"a": "b"})
    before = running.info(id_)
    for bad, text in (({"slots": 9999}, "slots"), ({"cwd": "relative"}, "'cwd'"), ({"argv": dbus.Array([], signature="s")}, "'argv'"),
                      ({"tags": {"bad key": "x"}}, "'tags'"), ({"nonsense": "x"}, "nonsense"), ({"hold": True}, "'hold'"),
                      ({"uid": 0}, "'uid'"), ({"properties": ["Type=simple"]}, "Type"), ({"properties": ["MemoryMax=lots"]}, "MemoryMax"),
                      ({"name": "a\nb"}, "'name'"), ({"timeout_usec": 1}, "'timeout_usec'"), ({"priority": 1001}, "'priority'"),
                      ({"priority": dbus.String("high")}, "'priority'"), ({"environment": ["1=x"]}, "'environment'")):
        with pytest.raises(client.BusError) as e:
            running.call("UpdateJob", id_, {"name": "new", "priority": 5, "tags": {"x": "y"}, **bad})
        assert e.value.short in ("InvalidSpec", "PropertyNotAllowed") and text in e.value.message, e.value
        assert running.info(id_) == before
    refused("InvalidSpec", running.call, "UpdateJob", id_, {}, text="nothing")
    refused("NoSuchJob", running.call, "UpdateJob", 999, {"priority": 1})
    refused("NoSuchQueue", running.call, "UpdateJob", id_, {"priority": 5, "queue": "nowhere"})
    assert running.info(id_) == before


def test_signal(running):
    id_ = running.submit("true", hold=True)
    running.call("Subscribe")
    running.bus.signals.clear()
    running.call("UpdateJob", id_, {"priority": 1})
    running.bus.pump(0.1)
    assert running.bus.signals == [("JobChanged", id_, "held")]


# ---- states ----

def test_what_a_live_job_takes(running, systemd):
    id_ = running.submit("sleep 60", tags={"a": "b"})
    running.reach(id_, "running")
    for key, value in (("name", "x"), ("priority", 1), ("slots", 1), ("argv", ["/bin/true"]), ("not_before_usec", 1),
                       ("environment", ["A=b"]), ("payload", b""), ("properties", ["MemoryMax=1G"]), ("cwd", "/"), ("umask", 1)):
        message = refused("NotEditable", running.call, "UpdateJob", id_, {"tags": {"no": "no"}, key: value}, text="'%s'" % key)
        assert "running" in message and "tags, timeout_usec, stop_timeout_usec" in message
    running.call("UpdateJob", id_, {"tags": {"c": "d"}})
    running.restart()
    assert running.info(id_)["tags"] == {"a": "b", "c": "d"} and running.state(id_) == "running"
    running.call("UpdateJob", id_, {"timeout_usec": 300000})
    result, outcome = running.wait(id_)
    assert result == "timeout" and outcome["exit_signal"] == 15
    assert running.info(id_)["timeout_usec"] == 300000


def test_timeout_of_a_live_job_only_shorter(running):
    id_ = running.submit("sleep 60", timeout_usec=HOUR, stop_timeout_usec=10**6)
    running.reach(id_, "running")
    for longer in ({"timeout_usec": HOUR + 1}, {"timeout_usec": NONE}, {"stop_timeout_usec": 2 * 10**6}):
        refused("InvalidSpec", running.call, "UpdateJob", id_, longer, text="shorter")
    running.call("UpdateJob", id_, {"timeout_usec": HOUR - 10**6, "stop_timeout_usec": 2 * 10**6})
    running.restart()
    running.settled()
    running.call("UpdateJob", id_, {"timeout_usec": 100000})
    assert running.result(id_) == "timeout"


def test_stop_timeout_of_a_live_job(running):
    ready = running.out / "ready"
    id_ = running.submit("trap '' TERM; touch %s; while :; do sleep 0.05; done" % ready, stop_timeout_usec=HOUR)
    until(ready.exists)
    running.reach(id_, "running")
    running.call("UpdateJob", id_, {"stop_timeout_usec": 200000})
    running.call("CancelJob", id_)
    result, outcome = running.wait(id_)
    assert result == "cancelled" and outcome["exit_signal"] == 9


def test_a_done_job_takes_tags_only(running):
    id_ = running.submit("true", environment=["A=b"])
    running.wait(id_)
    refused("NotEditable", running.call, "UpdateJob", id_, {"name": "x"}, text="it is done. What can be: tags")
    refused("NotEditable", running.call, "MoveJob", id_, "default2", text="'queue'")
    running.call("UpdateJob", id_, {"tags": {"checked": "yes"}})
    running.restart()
    info = running.info(id_)
    assert info["tags"] == {"checked": "yes"} and (info["state"], info["result"]) == ("done", "success")
    assert running.stats()["done"] == 1


def test_retried_after_a_change_of_tags(running):
    out = running.out / "out"
    id_ = running.submit("echo $A >> %s; exit 1" % out, environment=["A=kept"])
    running.wait(id_)
    running.call("UpdateJob", id_, {"tags": {"again": "1"}})
    running.call("RetryJob", id_, {})
    assert running.result(id_) == "exit-code" and out.read_text() == "kept\nkept\n"


# ---- many requests in one turn ----

def test_in_the_turn_of_its_submit(running, session_client):
    running.result(running.submit("true"))
    out = running.out / "out"
    calls = [("Submit", "", ["/bin/sh", "-c", "cat > %s; echo $A $B >> %s" % (out, out)],
              {"hold": True, "payload": b"first\n", "environment": ["A=1", "B=2"], "tags": {"a": "b"}}),
             ("UpdateJob", 2, {"tags": {"c": "d"}}), ("UpdateJob", 2, {"environment": ["A=3"], "priority": 4}),
             ("UpdateJob", 2, {"payload": b"second\n"}), ("MoveJob", 2, "default"), ("ReleaseJob", 2)]
    for p in [session_client.start(*c) for c in calls]:
        session_client.finish(p)
    assert running.result(2) == "success"
    assert out.read_text() == "second\n3\n"
    assert running.info(2)["tags"] == {"a": "b", "c": "d"} and running.info(2)["priority"] == 4


def test_two_changes_in_one_turn(running, session_client):
    out = running.out / "out"
    id_ = running.submit("echo $A >> %s" % out, hold=True, environment=["A=1"], payload=b"x", tags={"a": "b"})
    calls = [("UpdateJob", id_, {"environment": ["A=2"]}), ("UpdateJob", id_, {"tags": {"c": "d"}}),
             ("UpdateJob", id_, {"payload": b"y"}), ("UpdateJob", id_, {"name": "n"}), ("ReleaseJob", id_)]
    for p in [session_client.start(*c) for c in calls]:
        session_client.finish(p)
    assert running.result(id_) == "success" and out.read_text() == "2\n"
    info = running.info(id_)
    assert info["tags"] == {"a": "b", "c": "d"} and info["name"] == "n"


# ---- queues ----

@pytest.fixture
def queues(mill):
    mill.queue("default", Slots=4, AllowUsers="*")
    mill.queue("small", Slots=1, AllowUsers="*")
    mill.queue("tight", Slots=4, AllowUsers="*")
    mill.start()
    return mill


def test_move(queues):
    mill = queues
    mill.call("PauseQueue", "default")
    ready, held, waiting = mill.submit("true"), mill.submit("true", hold=True), mill.submit("true", not_before_usec=now() + HOUR)
    for i, state in ((ready, "ready"), (held, "held"), (waiting, "waiting")):
        mill.call("PauseQueue", "small")
        mill.call("MoveJob", i, "small")
        info = mill.info(i)
        assert (info["queue"], info["state"]) == ("small", state)
    small, default = mill.queue_properties("small"), mill.queue_properties("default")
    assert [small[s] for s in ("Ready", "Held", "Waiting")] == [1, 1, 1]
    assert [default[s] for s in ("Ready", "Held", "Waiting")] == [0, 0, 0]
    mill.restart()
    mill.call("MoveJob", held, "small")  # no effect
    mill.call("ResumeQueue", "small")
    assert mill.result(ready) == "success"
    assert mill.info(ready)["queue"] == "small"


def test_move_is_refused_as_a_submit_would_be(queues):
    mill = queues
    id_ = mill.submit("true", hold=True, slots=2)
    refused("InvalidSpec", mill.call, "MoveJob", id_, "small", text="'small' has only 1")
    refused("NoSuchQueue", mill.call, "MoveJob", id_, "nowhere", text="nowhere")
    refused("NoSuchQueue", mill.call, "MoveJob", id_, "")
    mill.call("DrainQueue", "tight")
    refused("QueueDraining", mill.call, "MoveJob", id_, "tight", text="tight")
    mill.call("UpdateJob", id_, {"slots": 1, "queue": "small"})
    assert mill.info(id_)["queue"] == "small"
    live = mill.submit("sleep 60")
    mill.reach(live, "running")
    refused("NotEditable", mill.call, "MoveJob", live, "small", text="running")
    assert mill.info(live)["queue"] == "default"


# ---- who ----

@pytest.fixture
def town(mill, polkit, remotes):
    mill.queue("default", Slots=4, AllowUsers="daemon bin")
    mill.queue("mine", Slots=4, AllowUsers="daemon")
    mill.queue("root", Slots=4)
    mill.queue("tight", Slots=4, AllowUsers="daemon")
    mill.queue("tight", section="Service", drop_in="memory.conf", MemoryMax="1G")
    mill.start()
    mill.daemon, mill.bin, mill.polkit = remotes("daemon"), remotes("bin"), polkit
    return mill


DENIED = "org.freedesktop.DBus.Error.AccessDenied"


def hold(who, queue="", **spec):
    return who.call("Submit", queue, ["/bin/sh", "-c", spec.pop("command", "true")], {"hold": True, **spec})[0]


def allow(town, *names):
    for n in ("manage-jobs", "manage-queues", "submit-as", "set-privileged-properties", "read-all"):
        town.polkit.do("action", action="org.jobmill1." + n, mode="allow" if n in names else "deny")


@pytest.mark.root
def test_own_jobs_need_no_polkit(town):
    id_ = hold(town.daemon)
    town.daemon.call("UpdateJob", id_, {"priority": 4, "argv": ["/bin/echo"], "environment": ["A=b"]})
    town.daemon.call("MoveJob", id_, "mine")
    assert town.polkit.do("asked") == []
    refused(DENIED, town.bin.call, "UpdateJob", id_, {"priority": 5})
    refused(DENIED, town.bin.call, "MoveJob", id_, "default")


@pytest.mark.root
def test_queue_lists_hold_for_moves(town):
    id_ = hold(town.bin)
    refused("NotAllowed", town.bin.call, "MoveJob", id_, "mine", text="bin")
    refused("NotAllowed", town.bin.call, "UpdateJob", id_, {"queue": "root"})
    own = hold(town.daemon)
    # An operator moves it where its owner may be, not where he himself may be
    allow(town, "manage-jobs")
    refused("NotAllowed", town.daemon.call, "MoveJob", id_, "mine")
    town.bin.call("MoveJob", own, "mine")
    assert town.info(own)["queue"] == "mine" and town.info(id_)["queue"] == "default"
    town.call("MoveJob", id_, "mine")  # root
    assert town.info(id_)["queue"] == "mine"


@pytest.mark.root
def test_a_queue_that_takes_no_more_jobs_of_him(town):
    """An old job must not become a new one there."""
    id_ = hold(town.daemon, "mine")
    town.queue("mine", AllowUsers="bin")
    town.call("Reload")
    refused("NotAllowed", town.daemon.call, "UpdateJob", id_, {"argv": ["/bin/sh"]}, text="mine")
    town.daemon.call("UpdateJob", id_, {"priority": 1, "tags": {"a": "b"}})
    town.daemon.call("UpdateJob", id_, {"argv": ["/bin/sh"], "queue": "default"})
    assert town.info(id_)["argv"] == ["/bin/sh"]


@pytest.mark.root
def test_operators_order_but_do_not_become_the_owner(town):
    id_ = hold(town.daemon, name="n")
    allow(town, "manage-jobs")
    town.bin.call("UpdateJob", id_, {"priority": 9, "slots": 2, "timeout_usec": HOUR, "tags": {"seen": "yes"}, "name": "m",
                                     "not_before_usec": 1, "stop_timeout_usec": 10**6, "queue": "mine"})
    before = town.info(id_)
    assert (before["priority"], before["slots"], before["queue"], before["name"]) == (9, 2, "mine", "m")
    for key, value in (("argv", ["/bin/sh"]), ("environment", ["A=b"]), ("cwd", "/tmp"), ("umask", 0),
                       ("properties", ["MemoryMax=1G"])):
        refused(DENIED, town.bin.call, "UpdateJob", id_, {"priority": 1, key: value}, text="submit-as")
        refused(DENIED, town.bin.call, "UpdateJobs", {"ids": [id_]}, {key: value}, text="submit-as")
    assert town.info(id_) == before
    allow(town, "manage-jobs", "submit-as")
    town.bin.call("UpdateJob", id_, {"argv": ["/bin/true"]})
    assert town.info(id_)["argv"] == ["/bin/true"]


@pytest.mark.root
def test_submit_as_is_asked_for_one_user(town, remotes):
    """What polkit says of one user must not do for the next one of the same call."""
    one, two = hold(town.daemon), hold(town.bin)
    allow(town, "manage-jobs", "submit-as")
    games = remotes("games")
    message = refused("InvalidSpec", games.call, "UpdateJobs", {"ids": [one, two]}, {"cwd": "/tmp"}, text="only one other user")
    assert message.startswith("1 job changed; job %d: " % two)
    assert town.info(one)["cwd"] == "/tmp" and "cwd" not in town.info(two)


@pytest.mark.root
def test_privileged_properties(town):
    id_ = hold(town.daemon)
    refused(DENIED, town.daemon.call, "UpdateJob", id_, {"properties": ["AmbientCapabilities=CAP_NET_RAW"]})
    allow(town, "set-privileged-properties")
    town.daemon.call("UpdateJob", id_, {"properties": ["AmbientCapabilities=CAP_NET_RAW"]})
    allow(town)
    # What he was given once is not put to another use
    for change in ({"argv": ["/bin/sh"]}, {"environment": ["A=b"]}, {"cwd": "/tmp"}, {"umask": 0}, {"properties": ["Nice=1"]}):
        refused(DENIED, town.daemon.call, "UpdateJob", id_, change)
    town.daemon.call("UpdateJob", id_, {"priority": 1, "tags": {"a": "b"}})
    # The file of another queue may have another root, in which the command is another one
    refused(DENIED, town.daemon.call, "MoveJob", id_, "mine")
    refused(DENIED, town.daemon.call, "UpdateJob", id_, {"queue": "mine"})
    allow(town, "set-privileged-properties")
    town.daemon.call("MoveJob", id_, "mine")
    allow(town)
    town.daemon.call("UpdateJob", id_, {"properties": ["AmbientCapabilities="], "argv": ["/bin/true"]})
    assert town.info(id_)["argv"] == ["/bin/true"]


@pytest.mark.root
def test_job_that_root_gave_to_a_user(town, systemd):
    uid = 1
    id_ = town.submit("true", hold=True, uid=uid, queue="tight", properties=["AmbientCapabilities=CAP_SYS_ADMIN"])
    refused(DENIED, town.daemon.call, "UpdateJob", id_, {"argv": ["/bin/sh", "-c", "id"]})
    # Root may give more than the queue's file; whoever changes the job is held to that again
    loose, kept = (town.submit("sleep 60", hold=True, uid=uid, queue="tight", properties=["MemoryMax=9G"]) for _ in range(2))
    town.daemon.call("UpdateJob", loose, {"cwd": "/tmp"})
    town.daemon.call("UpdateJob", kept, {"priority": 1})
    for i, limit in ((loose, 1), (kept, 9)):
        town.daemon.call("ReleaseJob", i)
        town.reach(i, "running")
        assert systemd.do("units")[town.unit(i)]["settings"]["MemoryMax"] == limit << 30
    town.call("UpdateJob", id_, {"argv": ["/bin/true"]})  # root


@pytest.mark.root
def test_root_changes_a_property_of_a_user(town, systemd):
    """What the user gave himself stays what he may have, and is not mixed with what only root may."""
    sandboxed = town.daemon.call("Submit", "default", ["/bin/sleep", "60"], {"hold": True, "properties": ["ProtectSystem=full"]})[0]
    both = town.daemon.call("Submit", "default", ["/bin/sleep", "60"], {"hold": True, "properties": ["ProtectSystem=full"]})[0]
    told = town.daemon.call("Submit", "default", ["/bin/sleep", "60"], {"hold": True, "properties": ["ProtectSystem=full"]})[0]
    town.call("UpdateJob", sandboxed, {"properties": ["CPUWeight=50"]})
    town.call("UpdateJob", both, {"properties": ["AmbientCapabilities=CAP_NET_RAW"]})
    town.call("UpdateJob", told, {"properties": ["AmbientCapabilities=CAP_NET_RAW", "NoNewPrivileges=no"]})
    for i, nnp in ((sandboxed, True), (both, True), (told, False)):
        town.call("ReleaseJob", i)
        town.reach(i, "running")
        assert systemd.do("units")[town.unit(i)]["settings"].get("NoNewPrivileges", False) == nnp


@pytest.mark.root
def test_a_move_into_a_tighter_queue(town, systemd):
    loose = hold(town.daemon, properties=["MemoryMax=9G"], command="sleep 60")
    town.daemon.call("MoveJob", loose, "tight")
    town.daemon.call("ReleaseJob", loose)
    town.reach(loose, "running")
    assert systemd.do("units")[town.unit(loose)]["settings"]["MemoryMax"] == 1 << 30
    assert systemd.do("units")[town.unit(loose)]["slice"] == "jobmill-tight.slice"
