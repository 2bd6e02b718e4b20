# SPDX-License-Identifier: LGPL-2.1-or-later
"""Flows on a real systemd: what is handed on reaches its owner and nobody else, and a flow goes on whatever happens to the daemon."""

import json
import os

import pytest

from mill import RUN, run, until


@pytest.fixture(autouse=True)
def queue(mill):
    mill.write_queue("flows", "Slots=8", "AllowUsers=*")


def flow(caller, *jobs):
    return caller.call("SubmitFlow", json.dumps({"defaults": {"queue": "flows"}, "jobs": [
        {"name": n, "argv": ["/bin/sh", "-c", words], "after": after, **spec} for n, words, after, spec in jobs]}))[1]


def results(mill, ids):
    return {n: mill.wait(i)["result"] for n, i in ids.items()}


def test_what_is_handed_on(mill, folder):
    say = "echo working; echo '{\"success\": true, \"answer\": 42}'"
    ids = flow(mill.user("alice"), ("asks", say, [], {"verify": "verdict"}), ("fails", "exit 9", [], {}),
               ("hears", "cat $JOBMILL_INPUTS; while [ ! -e %s/go ]; do sleep 0.05; done" % folder, ["asks", {"job": "fails", "on": "end"}],
                {"output_file": str(folder / "heard")}))
    mill.reach(ids["hears"], "running")
    until(lambda: (folder / "heard").exists() and (folder / "heard").read_text(), 10, "it has read what it is given")
    heard = {i["name"]: i for i in json.loads((folder / "heard").read_text())}
    assert heard["asks"]["verdict"] == {"success": True, "answer": 42} and heard["asks"]["success"] is True
    assert heard["fails"] == {"id": ids["fails"], "name": "fails", "result": "exit-code", "exit_status": 9, "exit_signal": None,
                              "success": False, "verdict": None}
    path = RUN / "attempt" / ("%d-1" % ids["hears"]) / "inputs.json"
    for user, may in (("alice", True), ("bob", False)):
        cat = run("setpriv", "--reuid=" + user, "--clear-groups", "cat", path, check=False)
        assert (cat.returncode == 0) == may, cat
    (folder / "go").touch()
    assert results(mill, ids) == {"asks": "success", "fails": "exit-code", "hears": "success"}
    until(lambda: not path.parent.exists(), 10, "it goes with the attempt")


def test_it_ends_while_the_daemon_is_away(mill, folder):
    """What waits for it is released, or can never start, when the daemon is back."""
    wait = "while [ ! -e %s/go ]; do sleep 0.05; done; " % folder
    ids = flow(mill, ("good", wait + "true", [], {}), ("bad", wait + "exit 1", [], {}), ("next", "cat $JOBMILL_INPUTS", ["good"], {}),
               ("never", "true", ["next", "bad"], {}), ("last", "true", ["next", {"job": "never", "on": "failure"}], {}))
    for n in ("good", "bad"):
        mill.reach(ids[n], "running")
    for kill in (False, True):
        with mill.down(kill=kill):
            if kill:
                (folder / "go").touch()
    assert results(mill, ids) == {"good": "success", "bad": "exit-code", "next": "success", "never": "dependency", "last": "success"}
    assert {mill.info(i)["attempt"] for n, i in ids.items() if n != "never"} == {1}


def test_killed_in_the_middle(mill, folder):
    """A daemon that is killed again and again while a long chain runs: each link once, in order."""
    n = 12
    ids = flow(mill, *(("link %d" % i, "echo %d >>%s/ran" % (i, folder), ["link %d" % (i - 1)] if i else [], {}) for i in range(n)))
    last = ids["link %d" % (n - 1)]
    for _ in range(4):
        mill.restart_daemon(kill=True)
    assert mill.wait(last, 60)["result"] == "success"
    assert (folder / "ran").read_text().split() == [str(i) for i in range(n)]
    assert not [f for f in os.listdir(RUN / "attempt") if f.startswith("%d-" % last)] or until(
        lambda: not [f for f in os.listdir(RUN / "attempt") if f.startswith("%d-" % last)], 10, "its files are gone")
