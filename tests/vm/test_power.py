# SPDX-License-Identifier: LGPL-2.1-or-later
"""The power is cut while jobs are submitted, start, run, end and are cancelled: qemu is killed, and of what the guest had not
flushed to the disk of /var/lib/jobmill (disk.py) nothing, all or any part is left. Then the same disk boots, and what was answered must be there.

JOBMILL_VM_CUTS says how often (6), JOBMILL_VM_SEED with which chances: a failure prints it."""

import collections
import json
import os
import random
import subprocess
import time

import pytest

from disk import Disk
from machine import Machine

CUTS = int(os.environ.get("JOBMILL_VM_CUTS", 6))
SEED = int(os.environ.get("JOBMILL_VM_SEED", random.randrange(1 << 30)))
LONGEST = 60  # seconds of work between two cuts
ENDED = ("success", "cancelled")


class Told:
    """What was answered, and so must hold after the cut."""

    def __init__(self):
        self.ids = set()
        self.results = {}  # id: result
        self.cancelled = set()
        self.held = set()
        self.later = set()

    def line(self, text):
        what, *words = text.split()
        if what in ("submitted", "held", "later"):
            ids = {int(w) for w in words}
            assert not ids & self.ids, "an id was given twice: %s" % text
            assert not self.ids or min(ids) > max(self.ids), "ids run backwards: %s" % text
            self.ids |= ids
            if what != "submitted":
                getattr(self, what).update(ids)
        elif what == "cancelled":
            self.cancelled.add(int(words[0]))
            self.held.discard(int(words[0]))
        elif what == "done":
            assert self.results.setdefault(int(words[0]), words[1]) == words[1], "two results: %s" % text

    def check(self, jobs, running):
        """running: ids of which we know from outside that they ran in a boot that is gone."""
        assert self.ids <= set(jobs), "submits that were answered are lost: %s" % sorted(self.ids - set(jobs))
        for i, result in self.results.items():
            assert (jobs[i]["state"], jobs[i]["result"]) == ("done", result), "%s: was %s" % (jobs[i], result)
        for i in self.cancelled:
            assert jobs[i].get("result") == "cancelled", jobs[i]
        # The last answer before the cut may not have reached us: it may be that one of them was cancelled.
        gone = {i for i in self.held if jobs[i].get("result") == "cancelled"}
        assert len(gone) <= 1, gone
        self.held -= gone
        self.cancelled |= gone
        for i in self.held:
            assert jobs[i]["state"] == "held", jobs[i]
        for i in self.later:
            assert jobs[i]["state"] == "waiting", jobs[i]
        lost = 0
        for i in running:
            j = jobs[i]
            assert j["state"] == "done" and j["attempt"] == 1, "it ran, and may not run again: %s" % j
            if j["result"] == "lost":
                lost += 1
                assert "restarted" in j["reason"] or "boot" in j["reason"], j
            else:
                assert j["result"] in ENDED, j
        return lost


def ran(folder):
    """How often each job said that it runs."""
    count = collections.Counter()
    for line in (folder / "ran").read_text(errors="replace").splitlines():
        words = line.split()
        if len(words) == 3 and words[0] == "ran":
            count[int(words[1])] += 1
    return count


def until_cut(stream, lines):
    """So many lines; fewer on a slow machine."""
    end = None
    for text in stream:
        yield text
        end = end or time.monotonic() + LONGEST  # it took its time to get going
        lines -= 1
        if lines <= 0 or time.monotonic() > end:
            return


def parse(text):
    jobs, rest = {}, {}
    for line in text.splitlines():
        what, value = line.split(" ", 1)
        if what == "job":
            j = json.loads(value)
            jobs[j["id"]] = j
        else:
            rest[what] = json.loads(value)
    return jobs, rest


def healthy(rest):
    assert rest["findings"] == [], rest["findings"]
    assert rest["stats"]["dispatch"] == "", rest["stats"]


@pytest.mark.parametrize("seed", [SEED])
def test_power_cuts(fresh, seed):
    chance = random.Random(seed)
    folder = fresh()
    told = Told()
    subprocess.run(["mke2fs", "-q", "-t", "ext4", folder / "state", "64M"], check=True, stdout=subprocess.DEVNULL)
    disk = Disk(folder / "state", folder / "nbd", seed)
    sectors, lost, boots = 0, 0, []
    (folder / "ran").touch()
    try:
        for n in range(CUTS):
            # The first start of all makes the store; a cut while it boots comes between cuts under load.
            booting = n > 0 and n % 3 == 2
            begin, lines, why = time.monotonic(), chance.randrange(5, 120), "a time of work"
            before = ran(folder)
            with Machine(folder, folder / "disk", disk.drive) as m:
                if booting:
                    why = "%.1f s of the boot" % (after := chance.uniform(0.3, 1) * min(boots))
                    m.sleep(begin + after)
                else:
                    m.ready()
                    boots.append(time.monotonic() - begin)
                    if n > 0:
                        jobs, rest = parse(m.python("power.py", "dump"))
                        healthy(rest)
                        lost += told.check(jobs, before)
                    restarts = "restarts" if n % 2 else "none"
                    work = m.stream("/usr/bin/python3", "-u", "tests/vm/inside/power.py", "work", chance.randrange(1 << 30), restarts)
                    for text in until_cut(work, lines):
                        assert isinstance(text, str), "the workload ended: %s" % m.tail()
                        assert "Traceback" not in text, "\n".join([text, *m.rest()])
                        told.line(text)
                    # At any moment: what is answered meanwhile is there or not, we do not hear of it.
                    m.sleep(time.monotonic() + chance.uniform(0, 0.5))
            gone, kept = disk.cut(chance.choice([0, 0, 0.5, 0.9]))
            sectors += gone
            print("cut %d after %s: %d jobs answered so far, %d runs; of the disk's cache %d sectors lost, %d kept"
                  % (n + 1, why, len(told.ids), sum(ran(folder).values()), gone, kept), flush=True)

        before = ran(folder)
        with Machine(folder, folder / "disk", disk.drive) as m:
            m.ready()
            jobs, rest = parse(m.python("power.py", "dump"))
            healthy(rest)
            lost += told.check(jobs, before)
            told.held.clear()
            told.later.clear()
            jobs, rest = parse(m.python("power.py", "drain"))
            healthy(rest)
            told.check(jobs, before)
            m.power_off()
    finally:
        disk.close()
    for i, count in ran(folder).items():
        assert count == 1, "job %d ran %d times" % (i, count)
    assert all(j["state"] == "done" for j in jobs.values())
    print("%d cuts, seed %d: %d jobs answered, all there; %d ran, each once; %d seen lost; %d sectors lost by the disk"
          % (CUTS, seed, len(told.ids), len(ran(folder)), lost, sectors))
    assert disk.flushes > 0, "nothing was ever flushed: this was another disk"
