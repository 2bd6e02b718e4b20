# SPDX-License-Identifier: LGPL-2.1-or-later
"""Caps are never exceeded, on any level, and are used up; the order is by priority, then age."""

import client
from conftest import until


def test_caps_on_every_level(mill, systemd):
    mill.queue("one", Slots=1, AllowUsers="*")
    mill.queue("tree", Slots=3, AllowUsers="*")
    mill.queue("tree-a", Slots=2, AllowUsers="*")
    mill.queue("tree-b", Slots=2, AllowUsers="*")
    mill.start()
    queues = ["one", "tree", "tree-a", "tree-b"]
    ids = mill.call("SubmitMany", [client.entry(queues[i % 4], ["/bin/sleep", "0.05"]) for i in range(80)])
    assert set(mill.all_done(ids).values()) == {"success"}
    top = systemd.do("counts")["max_holding"]
    assert top["jobmill-one.slice"] == 1
    assert top["jobmill-tree.slice"] == 3
    assert top["jobmill-tree-a.slice"] <= 2 and top["jobmill-tree-b.slice"] <= 2


def test_a_slot_is_free_when_the_unit_is_gone(mill, systemd):
    """What is left of an ended job still has its slot."""
    mill.queue("one", Slots=1, AllowUsers="*")
    mill.start()
    systemd.fault("StopUnit", "keep", count=1)
    first, second = mill.submit_many(["sleep 30 &", "true"], queue="one")
    assert mill.result(first) == "success"
    until(lambda: systemd.do("fired") == [1], 5, "it is to be released")
    for _ in range(3):
        mill.stats()  # a turn each, in which the other one could be given its slot
    assert mill.state(second) == "ready"
    assert mill.queue_properties("one")["SlotsUsed"] == 1
    systemd.do("answer")
    assert mill.result(second) == "success"
    assert systemd.do("counts")["max_holding"]["jobmill-one.slice"] == 1


def test_job_with_many_slots(mill, systemd):
    mill.queue("four", Slots=4, AllowUsers="*")
    mill.start()
    wait = "while [ ! -e %s/go ]; do sleep 0.02; done" % mill.out
    big = mill.submit(wait, queue="four", slots=3)
    small = mill.submit_many([wait] * 3, queue="four")
    mill.reach(big, "running")
    mill.reach(small[0], "running")
    assert mill.queue_properties("four")["SlotsUsed"] == 4
    assert mill.info(big)["slot_numbers"] == [0, 1, 2] and mill.info(small[0])["slot_numbers"] == [3]
    assert mill.state(small[1]) == "ready" and "cap of four" in mill.info(small[1])["reason"]
    (mill.out / "go").touch()
    assert set(mill.all_done([big, *small]).values()) == {"success"}


def test_wide_job_is_not_starved(mill):
    """No backfill past a job that lacks slots: narrow ones of higher rank wait."""
    mill.queue("two", Slots=2, AllowUsers="*")
    mill.start()
    first = mill.submit("while [ ! -e %s/go ]; do sleep 0.02; done" % mill.out, queue="two")
    mill.reach(first, "running")
    wide = mill.submit("true", queue="two", slots=2)
    narrow = mill.submit_many(["sleep 0.1"] * 5, queue="two")
    (mill.out / "go").touch()
    mill.all_done([first, wide, *narrow])
    started = mill.info(wide)["started_usec"]
    assert all(mill.info(n)["started_usec"] >= started for n in narrow)


def test_wide_job_is_not_starved_by_a_sibling_queue(mill):
    """What lacks slots in an ancestor blocks the ancestor's whole subtree, and nothing else."""
    mill.queue("top", Slots=2, AllowUsers="*")
    mill.queue("top-a", AllowUsers="*")
    mill.queue("top-b", AllowUsers="*")
    mill.start()
    first = mill.submit("while [ ! -e %s/go ]; do sleep 0.02; done" % mill.out, queue="top-a")
    mill.reach(first, "running")
    wide = mill.submit("true", queue="top-a", slots=2)
    narrow = mill.submit_many(["sleep 0.1"] * 5, queue="top-b")
    outside = mill.submit("true")
    assert mill.result(outside) == "success" and mill.state(wide) == "ready"
    (mill.out / "go").touch()
    mill.all_done([first, wide, *narrow])
    started = mill.info(wide)["started_usec"]
    assert all(mill.info(n)["started_usec"] >= started for n in narrow)


def test_order_is_priority_then_age(mill):
    mill.queue("one", Slots=1, AllowUsers="*")
    mill.start()
    mill.call("PauseQueue", "one")
    priorities = [0, 5, -5, 5, 1000, 0, -1000]
    ids = [mill.submit("true", queue="one", priority=p) for p in priorities]
    mill.call("ResumeQueue", "one")
    mill.all_done(ids)
    order = sorted(ids, key=lambda i: mill.info(i)["started_usec"])
    assert order == sorted(ids, key=lambda i: (-priorities[i - ids[0]], i))


def test_siblings_share_by_rank(mill):
    mill.queue("top", Slots=1, AllowUsers="*")
    mill.queue("top-a", AllowUsers="*")
    mill.queue("top-b", AllowUsers="*")
    mill.start()
    mill.call("PauseQueue", "top")
    ids = [mill.submit("true", queue="top-" + "ab"[i % 2], priority=i // 2) for i in range(8)]
    mill.call("ResumeQueue", "top")
    mill.all_done(ids)
    order = sorted(ids, key=lambda i: mill.info(i)["started_usec"])
    assert order == sorted(ids, key=lambda i: (-((i - ids[0]) // 2), i))


def test_full_queue_blocks_only_itself(mill):
    mill.queue("one", Slots=1, AllowUsers="*")
    mill.start()
    blocker = mill.submit("sleep 30", queue="one")
    mill.submit_many(["true"] * 10, queue="one", priority=1000)
    mill.reach(blocker, "running")
    assert mill.result(mill.submit("true")) == "success"


def test_lowering_a_cap_kills_nothing(mill, systemd):
    mill.queue("q", Slots=4, AllowUsers="*")
    mill.start()
    gate = mill.out / "go"
    ids = mill.submit_many(["while [ ! -e %s ]; do sleep 0.02; done" % gate] * 8, queue="q")
    until(lambda: len(systemd.do("units")) == 4, 5)
    mill.queue("q", Slots=1, AllowUsers="*")
    mill.call("Reload")
    wide = mill.submit("true", hold=True)
    assert len(systemd.do("units")) == 4 and mill.queue_properties("q")["SlotsUsed"] == 4
    gate.touch()
    assert set(mill.all_done(ids).values()) == {"success"}
    mill.call("CancelJob", wide)
    assert systemd.do("counts")["max_holding"]["jobmill-q.slice"] == 4


def test_job_wider_than_a_lowered_cap_is_passed_over(mill):
    mill.queue("q", Slots=4, AllowUsers="*", Paused="yes")
    mill.start()
    wide = mill.submit("true", queue="q", slots=4)
    narrow = mill.submit("true", queue="q")
    mill.queue("q", Slots=2, AllowUsers="*", Paused="yes")
    mill.call("Reload")
    mill.call("ResumeQueue", "q")
    assert mill.result(narrow) == "success"
    reason = mill.info(wide)["reason"]
    assert mill.state(wide) == "ready" and "4" in reason and "2" in reason
    mill.queue("q", Slots=4, AllowUsers="*")
    mill.call("Reload")
    assert mill.result(wide) == "success"


def test_ancestor_without_a_file_has_no_cap(mill):
    mill.queue("a-b-c", Slots=1, AllowUsers="*")
    mill.start()
    assert mill.result(mill.submit("true", queue="a-b-c")) == "success"
    assert mill.queue_properties("a-b")["Slots"] == 2**32 - 1


def test_slot_variable(mill):
    mill.queue("gpu", Slots=3, AllowUsers="*", SlotVariable="CUDA_VISIBLE_DEVICES")
    mill.queue("gpu-train", AllowUsers="*")
    mill.start()
    gate = mill.out / "go"
    command = "echo $CUDA_VISIBLE_DEVICES $JOBMILL_SLOTS > %s/$JOBMILL_JOB_ID; while [ ! -e %s ]; do sleep 0.02; done" % (
        mill.out, gate)
    ids = [mill.submit(command, queue="gpu"), mill.submit(command, queue="gpu-train", slots=2)]
    for i in ids:
        mill.reach(i, "running")
    gate.touch()
    mill.all_done(ids)
    assert (mill.out / str(ids[0])).read_text() == "0 0\n"
    assert (mill.out / str(ids[1])).read_text() == "1,2 1,2\n"


def test_calls_in_flight_are_bounded(mill, systemd):
    mill.queue("wide", AllowUsers="*")
    mill.start()
    assert mill.result(mill.submit("true")) == "success"  # the look at the manager's ways is over
    systemd.fault("StartTransientUnit", "keep")
    ids = mill.submit_many(["true"] * 80, queue="wide")
    until(lambda: mill.call("CountJobs", {"queue": "wide", "state": "starting"}) == 64, what="as many as may be are to be asked for")
    until(lambda: systemd.do("counts")["max_open"].get("StartTransientUnit", 0) >= 32, what="it asks")
    for _ in range(3):
        mill.stats()  # a turn each, in which it could ask for more; what it has sent is there before its answer
    assert systemd.do("counts")["max_open"]["StartTransientUnit"] == 32
    systemd.do("clear_faults")
    systemd.do("answer")
    assert set(mill.all_done(ids).values()) == {"success"}
    assert systemd.do("counts")["max_open"]["StartTransientUnit"] == 32
