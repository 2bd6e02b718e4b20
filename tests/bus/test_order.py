# SPDX-License-Identifier: LGPL-2.1-or-later
"""AgeingSec= and Fair=: who starts next, and what becomes of a backlog when they change."""

import pytest

import client


def starts(mill, ids):
    """In the order in which they started."""
    mill.all_done(ids)
    return sorted(ids, key=lambda i: mill.info(i)["started_usec"])


def set_queue(mill, name, **settings):
    mill.call("SetQueue", name, settings, False)


def test_age_counts(mill):
    """Set while jobs wait, and it holds after a restart; a microsecond is less than there is between two calls."""
    mill.queue("one", Slots=1, AllowUsers="*")
    mill.start()
    mill.call("PauseQueue", "one")
    old = mill.submit("true", queue="one")
    new = mill.submit("true", queue="one", priority=1)
    set_queue(mill, "one", AgeingSec="1us")
    mill.restart()
    mill.call("ResumeQueue", "one")
    assert starts(mill, [old, new]) == [old, new]

    mill.call("PauseQueue", "one")
    old = mill.submit("true", queue="one")
    new = mill.submit("true", queue="one", priority=1)
    set_queue(mill, "one", AgeingSec="0")
    mill.call("ResumeQueue", "one")
    assert starts(mill, [old, new]) == [new, old]


def test_siblings_compete_by_the_order_above(mill):
    mill.queue("top", Slots=1, AllowUsers="*", AgeingSec="1us", Paused="yes")
    mill.queue("top-a", AllowUsers="*")
    mill.queue("top-b", AllowUsers="*")
    mill.start()
    ids = [mill.submit("true", queue="top-" + "ab"[i % 2], priority=i) for i in range(4)]
    mill.call("ResumeQueue", "top")
    # Of each queue below the more urgent first; between the two it is the older that counts.
    assert starts(mill, ids) == [ids[2], ids[0], ids[3], ids[1]]


@pytest.mark.root
@pytest.mark.parametrize("live", [False, True])
def test_users_share(mill, remotes, live):
    """From the beginning, or from when it is set, with a backlog that was made before."""
    mill.queue("two", Slots=2, AllowUsers="* daemon", Paused="yes", **({} if live else {"Fair": "user"}))
    mill.start()
    gate = mill.out / "go"
    wait = "while [ ! -e %s ]; do sleep 0.02; done" % gate
    mine = mill.submit_many([wait] * 4, queue="two")
    theirs = [remotes("daemon").call("Submit", "two", ["/bin/sh", "-c", wait], {})[0] for _ in range(2)]
    if live:
        set_queue(mill, "two", Fair="user")
        mill.restart()
        remotes("daemon").call("Submit", "two", ["/bin/true"], {"hold": True})  # or he would be looked up first, which keeps nobody waiting
    mill.call("ResumeQueue", "two")
    mill.reach(mine[0], "running")
    mill.reach(theirs[0], "running")
    assert mill.state(mine[1]) == mill.state(theirs[1]) == "ready"
    gate.touch()
    assert set(starts(mill, mine + theirs)[:2]) == {mine[0], theirs[0]}


def test_what_is_allowed(mill):
    mill.start()
    for settings in ({"AgeingSec": "-1"}, {"AgeingSec": "infinity"}, {"AgeingSec": "400d"}, {"Fair": "group"}):
        with pytest.raises(client.BusError) as e:
            set_queue(mill, "new", Slots="1", **settings)
        assert next(iter(settings)) in e.value.message
    set_queue(mill, "new", AgeingSec="1h", Fair="no")
    assert ("AgeingSec", "1h") in [(k, v) for k, v, _ in mill.queue_properties("new")["Settings"]]
