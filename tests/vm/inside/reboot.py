# SPDX-License-Identifier: LGPL-2.1-or-later
"""The inner half of test_reboot (test_inside.py): jobs in all states before a reboot, and what must be true of them after it."""

import json
import pathlib
import sys
import time

sys.path.insert(0, "/jobmill/tests/system")

from mill import Mill  # noqa: E402

FILE = pathlib.Path("/var/tmp/reboot.json")
PROOF = "/var/tmp/proof"


def command(text):
    return "echo $JOBMILL_JOB_ID $JOBMILL_ATTEMPT >>%s; %s" % (PROOF, text)


def before(mill):
    directory = pathlib.Path("/etc/jobmill/queues")
    directory.mkdir(parents=True, exist_ok=True)
    for name, lines in (("two", "Slots=2"), ("quiet", "Slots=2")):
        (directory / (name + ".queue")).write_text("[Queue]\nAllowUsers=*\n%s\n" % lines)
    mill.call("Reload")
    pathlib.Path(PROOF).touch(0o666)
    mill.call("PauseQueue", "quiet")
    hour = int((time.time() + 3600) * 1e6)
    jobs = {
        "ended": mill.submit(command("true")),
        "running": mill.submit(command("exec sleep 600"), "two"),
        "handles": mill.submit(command("trap 'exit 0' TERM; while :; do sleep 0.2; done"), "two"),
        "ready": mill.submit(command("true"), "two"),
        "held": mill.submit(command("true"), hold=True),
        "later": mill.submit(command("true"), not_before_usec=hour),
        "delayed": int(mill.tool("submit", "--in", "1h", "true", check=True)),
        "paused": mill.submit(command("true"), "quiet"),
    }
    mill.wait(jobs["ended"])
    for name in ("running", "handles"):
        mill.reach(jobs[name], "running")
    FILE.write_text(json.dumps(jobs))


def after(mill):
    jobs = json.loads(FILE.read_text())
    info = {name: mill.info(i) for name, i in jobs.items()}

    def show(name):
        j = info[name]
        print("%-8s %s %s %s" % (name, j["state"], j.get("result"), j.get("reason", "")))
        return j

    assert show("ended")["result"] == "success"
    for name in ("running", "handles"):
        j = show(name)
        assert (j["state"], j["result"]) == ("done", "lost"), j
        assert j["reason"] == "shutdown" or "restarted" in j["reason"], j
        assert j["attempt"] == 1, j
    assert mill.wait(jobs["ready"])["result"] == "success"
    assert show("held")["state"] == "held"
    assert show("later")["state"] == "waiting"
    assert show("delayed")["state"] == "waiting"
    assert show("paused")["state"] == "ready"
    mill.call("ResumeQueue", "quiet")
    assert mill.wait(jobs["paused"])["result"] == "success"
    ran = sorted(pathlib.Path(PROOF).read_text().split("\n"))[1:]
    assert ran == sorted("%d 1" % jobs[n] for n in ("ended", "running", "handles", "ready", "paused")), ran
    assert mill.ask("CheckIntegrity") == []
    mill.drop_everything()


{"before": before, "after": after}[sys.argv[1]](Mill())
