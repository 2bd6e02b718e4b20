# SPDX-License-Identifier: LGPL-2.1-or-later
"""Caps on every level, under load: the greatest number of jobs that ran at once, by their own clocks, equals the cap. Not
more, which would break the promise; not less, which would waste the machine."""

from mill import BUILD, greatest_overlap, intervals

OVERLAP = BUILD / "tests/system/overlap"


def submit(mill, queue, file, n, ms):
    return mill.submit_many([[OVERLAP, file, ms]] * n, queue)


def test_caps_1_3_and_nested(mill, folder):
    """All four queues at the same time, 200 jobs on each tree."""
    mill.write_queue("cap1", "Slots=1", reload=False)
    mill.write_queue("cap3", "Slots=3", reload=False)
    mill.write_queue("nest", "Slots=3", reload=False)
    mill.write_queue("nest-inner", "Slots=2")
    files = {q: folder / q for q in ("cap1", "cap3", "nest", "nest-inner")}
    ids = submit(mill, "cap1", files["cap1"], 200, 3)
    ids += submit(mill, "cap3", files["cap3"], 200, 60)
    ids += submit(mill, "nest-inner", files["nest-inner"], 100, 60)
    ids += submit(mill, "nest", files["nest"], 100, 60)
    jobs = mill.wait_all(ids, 120)
    assert {j["result"] for j in jobs} == {"success"}

    runs = {q: intervals(f) for q, f in files.items()}
    assert {q: len(r) for q, r in runs.items()} == {"cap1": 200, "cap3": 200, "nest": 100, "nest-inner": 100}
    assert greatest_overlap(runs["cap1"]) == 1
    assert greatest_overlap(runs["cap3"]) == 3
    assert greatest_overlap(runs["nest-inner"]) == 2
    assert greatest_overlap(runs["nest"] + runs["nest-inner"]) == 3


def test_caps_hold_over_restarts_of_the_daemon(mill, folder):
    mill.write_queue("cap3", "Slots=3")
    file = folder / "cap3"
    ids = submit(mill, "cap3", file, 60, 150)
    for _ in range(3):
        mill.wait(ids[5])
        mill.restart_daemon(kill=True)
        del ids[:8]
    jobs = mill.wait_all(ids, 120)
    assert {j["result"] for j in jobs} == {"success"}
    runs = intervals(file)
    assert len(runs) == 60, "each ran once"
    assert greatest_overlap(runs) == 3


def test_jobs_of_several_slots(mill, folder):
    mill.write_queue("wide", "Slots=4")
    two, three = folder / "two", folder / "three"
    ids = mill.submit_many([[OVERLAP, two, 40]] * 20, "wide", slots=2)
    ids += mill.submit_many([[OVERLAP, three, 40]] * 10, "wide", slots=3)
    assert {j["result"] for j in mill.wait_all(ids, 60)} == {"success"}
    assert greatest_overlap(intervals(two)) == 2
    assert greatest_overlap(intervals(three)) == 1
