# SPDX-License-Identifier: LGPL-2.1-or-later
"""The inner half of test_power.py: "work" submits, for ever, and says each answer once it has it; "dump" says what is there;
"drain" lets everything end. Jobs say on a serial line of their own that they run: that is outside at once, whatever becomes of the
disk."""

import contextlib
import json
import pathlib
import random
import sys
import time

sys.path.insert(0, "/jobmill/tests/system")

from mill import BusError, Mill, systemctl, until  # noqa: E402

FIELDS = ["id", "state", "result", "reason", "attempt", "name"]


def say(what, *ids):
    print(what, *ids, flush=True)


def command(text):
    return ["/bin/sh", "-c", "echo ran $JOBMILL_JOB_ID $JOBMILL_ATTEMPT >/dev/ttyS2; " + text]


def work(mill, seed, restarts):
    chance = random.Random(int(seed))
    directory = pathlib.Path("/etc/jobmill/queues")
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "power.queue").write_text("[Queue]\nSlots=6\nAllowUsers=*\n")
    mill.call("Reload")
    # What is not synced goes to the disk soon too, but is not flushed there: some of it will be left, and some not.
    for name in ("dirty_writeback_centisecs", "dirty_expire_centisecs"):
        pathlib.Path("/proc/sys/vm", name).write_text("5")
    told, waiting = set(), []
    say("begin")
    while True:
        kind = chance.randrange(10)
        if kind == 0:
            say("submitted", *mill.submit_many([command("true")] * chance.randrange(2, 30), "power"))
        elif kind == 1:
            job = mill.submit(command("true"), "power", hold=True)
            say("held", job)
            waiting.append(job)
        elif kind == 2:
            say("later", mill.submit(command("true"), "power", not_before_usec=int((time.time() + 86400) * 1e6)))
        elif kind == 3 and waiting:
            job = waiting.pop()
            mill.call("CancelJob", job)
            say("cancelled", job)
        elif kind == 4:
            for j in mill.jobs(state="done", fields=["id", "result"]):
                if j["id"] not in told:
                    told.add(j["id"])
                    say("done", j["id"], j["result"])
        elif kind == 5 and restarts == "restarts":
            systemctl("restart", "jobmilld.service")
            say("restarted")
        else:
            say("submitted", mill.submit(command("sleep %.1f" % chance.choice([0, 0, 1, 20, 600])), "power"))
        # a short queue: some run, some wait
        if mill.stats()["attempts"] >= 6:
            for j in mill.jobs(state="running", fields=["id"]):
                if chance.random() < 0.3:
                    with contextlib.suppress(BusError):  # it has just ended
                        mill.call("CancelJob", j["id"])


def dump(mill):
    for j in mill.jobs(fields=FIELDS):
        print("job", json.dumps(j))
    print("findings", json.dumps(mill.ask("CheckIntegrity")))
    print("stats", json.dumps(mill.stats()))


def drain(mill):
    for state in ("held", "waiting", "ready", "running"):
        for j in mill.jobs(state=state, fields=["id"]):
            with contextlib.suppress(BusError):
                mill.call("CancelJob", j["id"])
    mill.no_units()
    until(lambda: not mill.jobs(state=["held", "waiting", "ready", "starting", "running", "stopping"], fields=["id"]), 30, "all done")
    dump(mill)


if __name__ == "__main__":
    m = Mill()
    {"work": work, "dump": dump, "drain": drain}[sys.argv[1]](m, *sys.argv[2:])
