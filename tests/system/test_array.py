# SPDX-License-Identifier: LGPL-2.1-or-later
"""An array on a real systemd: never more at once than may, by the jobs' own clocks, in the order of their indexes, though the daemon is
killed in the middle."""

import dbus

from mill import BUILD, greatest_overlap, intervals

OVERLAP = BUILD / "tests/system/overlap"


def test_limit_over_restarts_of_the_daemon(mill, folder):
    mill.write_queue("arrays", "Slots=32")
    runs, order = folder / "runs", folder / "order"
    spec = {"array": dbus.UInt32(30), "array_max_running": dbus.UInt32(3)}
    command = ["/bin/sh", "-c", "echo $JOBMILL_ARRAY_INDEX $JOBMILL_ARRAY_ID >>%s; exec %s %s 150" % (order, OVERLAP, runs)]
    first = mill.call("Submit", "arrays", command, spec)[0]
    ids = list(range(first, first + 30))
    for i in 4, 12, 20:
        mill.wait(ids[i])
        mill.restart_daemon(kill=True)
    jobs = mill.wait_all(ids, 120)
    assert {j["result"] for j in jobs} == {"success"}
    assert len(intervals(runs)) == 30, "each ran once"
    assert greatest_overlap(intervals(runs)) == 3
    begun = [line.split() for line in order.read_text().splitlines()]
    assert {b[1] for b in begun} == {str(first)}
    assert sorted(int(b[0]) for b in begun) == list(range(30))
    decided = [mill.attempts(i)[0]["created_usec"] for i in ids]
    assert decided == sorted(decided)
