# SPDX-License-Identifier: LGPL-2.1-or-later
"""Caps that move under load. From the answer to SetQueue on its cap holds (promise 4), whoever else sets what at the same time,
also when the daemon is killed in between; nothing that runs is ended by it; and what fits is started."""

import random
import time

import pytest

import client
from conftest import until

NONE = 2**32 - 1
QUEUES = ("default", "top", "top-a", "top-b")


def inside(queue, level):
    return queue == level or queue.startswith(level + "-")


class Cap:
    """One SetQueue: what it set, when it was sent, and when it was over: answered, or its daemon was dead, and it was perhaps done."""

    def __init__(self, queue, slots, sent, over, answered=True):
        self.queue, self.slots, self.sent, self.over, self.answered = queue, slots, sent, over, answered


def highest_cap(caps, queue, when):
    """Of those that may have been in force then: one is out when another was sent after its answer, and answered before."""
    known = [c for c in caps if c.queue == queue and c.sent <= when]
    return max(c.slots for c in known if not any(o.answered and o.sent > c.over and o.over <= when for o in known))


class Load:
    def __init__(self, mill, address, seed):
        self.mill = mill
        self.dice = random.Random(seed)
        self.callers = [client.Client(address) for _ in range(3)]
        self.under_way = []  # (queue, slots, Pending)
        self.caps = [Cap(q, 2, 0, 0) for q in QUEUES]

    def collect(self, dead=False):
        """Answers that have come; dead: the daemon is, so no others will."""
        mine = self.under_way
        self.under_way = []
        for queue, slots, p in mine:
            if p.done and not p.error:
                self.caps.append(Cap(queue, slots, p.sent, p.answered))
            elif dead:
                self.caps.append(Cap(queue, slots, p.sent, time.time(), answered=False))
            elif p.done:
                raise p.error
            else:
                self.under_way.append((queue, slots, p))

    def set_cap(self):
        queue, slots = self.dice.choice(QUEUES), self.dice.choice([1, 2, 3, 5, 8, NONE])
        p = self.dice.choice(self.callers).start("SetQueue", queue, {"Slots": "" if slots == NONE else str(slots)},
                                                 self.dice.random() < 0.2)
        self.under_way.append((queue, slots, p))

    def submit(self):
        spec = {"slots": 1} if self.dice.random() < 0.8 else {"slots": 2, "priority": self.dice.randrange(-3, 3)}
        command = ["/bin/sleep", "%.3f" % self.dice.uniform(0.005, 0.15)]
        entries = [client.entry(self.dice.choice(QUEUES), command, **spec) for _ in range(self.dice.randrange(1, 5))]
        try:
            self.mill.call("SubmitMany", entries)
        except client.BusError as e:  # wider than the cap of this moment
            assert e.short == "InvalidSpec" and "slots" in e.message, e

    def kill(self):
        self.mill.kill()
        self.mill.bus.pump()
        self.collect(dead=True)
        self.mill.start()

    def step(self, n):
        if n % 50 == 49:
            self.kill()
        elif self.dice.random() < 0.5:
            self.set_cap()
        else:
            self.submit()
        if self.dice.random() < 0.3:
            self.mill.bus.pump(self.dice.uniform(0, 0.03))
        self.collect()

    def finish(self):
        for _, _, p in self.under_way:
            self.mill.bus.finish(p)
        self.collect()
        for queue in QUEUES:
            p = self.mill.bus.start("SetQueue", queue, {"Slots": "4"}, False)
            self.mill.bus.finish(p)
            self.caps.append(Cap(queue, 4, p.sent, p.answered))
        for c in self.callers:
            c.close()


def check_caps(jobs, caps):
    """At each start the slots in use, on every level, were no more than a cap that was in force."""
    starts = 0
    for level in QUEUES:
        mine = [j for j in jobs if inside(j["queue"], level)]
        for j in mine:
            t = j["created"]
            used = sum(o["slots"] for o in mine if o["created"] <= t < o["finished"])
            cap = highest_cap(caps, level, t)
            assert used <= cap, "%s: %d slots in use and a cap of %d when job %d was started" % (level, used, cap, j["id"])
            starts += 1
    return starts


@pytest.mark.parametrize("seed", range(3))
def test_caps_that_move(mill, address, systemd, seed):
    for q in QUEUES:
        mill.queue(q, Slots=2, AllowUsers="*")
    mill.start()
    load = Load(mill, address, seed)
    for n in range(200):
        load.step(n)
    load.finish()
    until(lambda: mill.stats()["attempts"] == 0 and mill.stats()["ready"] == 0, 30, "everything is done")
    rows = mill.jobs()
    # Nothing is ended by a cap. (The daemon was killed while some were starting, and there is no journal here to ask.)
    assert all(r["result"] == "success" or r["result"] == "lost" and "whether it was started" in r["reason"] for r in rows)
    jobs = []
    for r in rows:
        a = mill.call("ListAttempts", r["id"])
        assert len(a) == 1
        jobs.append({"id": r["id"], "queue": r["queue"], "slots": r["slots"], "created": a[0]["created_usec"] / 1e6,
                     "finished": a[0]["finished_usec"] / 1e6})
    assert check_caps(jobs, load.caps) > 100
    # The files say what is in force.
    before = {q: mill.queue_properties(q)["Settings"] for q in QUEUES}
    assert all(dict((k, v) for k, v, _ in s)["Slots"] == "4" for s in before.values())
    mill.restart()
    assert {q: mill.queue_properties(q)["Settings"] for q in QUEUES} == before


def test_the_measure_itself():
    """That the check would see it."""
    caps = [Cap("default", 2, 0, 0), Cap("default", 1, 10, 11)]
    jobs = [{"id": i, "queue": "default", "slots": 1, "created": t, "finished": 20} for i, t in ((1, 5), (2, 10.5))]
    assert check_caps(jobs, caps) == 2
    jobs[1]["created"] = 11.5
    with pytest.raises(AssertionError):
        check_caps(jobs, caps)


def test_everybody_at_once(mill, address, systemd):
    """Many callers, one queue: each answer is one change, the last file is what is in force."""
    mill.start()
    callers = [client.Client(address) for _ in range(8)]
    pending = [callers[i % 8].start("SetQueue", "default", {"Slots": str(i + 1), "Service.Environment" if i == 77 else "TimeoutSec":
                                                            "%dmin" % (i + 1)}, False) for i in range(120)]
    refused = 0
    for p in pending:
        while not p.done:
            mill.bus.pump(0.005)
        refused += p.error is not None
    assert refused == 1, "and it took nothing with it"
    settings = {k: v for k, v, _ in mill.queue_properties("default")["Settings"]}
    assert settings["TimeoutSec"] == settings["Slots"] + "min" and mill.queue_properties("default")["Slots"] == int(settings["Slots"])
    mill.restart()
    assert {k: v for k, v, _ in mill.queue_properties("default")["Settings"]} == settings
    for c in callers:
        c.close()
