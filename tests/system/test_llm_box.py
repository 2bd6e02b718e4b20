# SPDX-License-Identifier: LGPL-2.1-or-later
"""docs/llm-box.md as it is printed: one card, a model server, three applications; the server goes down and comes back."""

import json
import pathlib
import shutil

import pytest

from mill import SOURCE, run, until

BOX = SOURCE / "docs/examples/llm-box"
UNIT = pathlib.Path("/etc/systemd/system/model-server.service")
TYPES = "session", "translate-event", "classify-error"


@pytest.fixture(autouse=True)
def box(mill):
    shutil.copytree(BOX / "jobmill", "/etc/jobmill", dirs_exist_ok=True)
    shutil.copytree(BOX / "bin", "/usr/local/lib/llm-box", dirs_exist_ok=True)
    shutil.copy(BOX / "model-server.service", UNIT)
    run("systemctl", "daemon-reload")
    run("systemctl", "start", "model-server")
    mill.reload()
    yield
    run("systemctl", "stop", "model-server")
    UNIT.unlink()
    run("systemctl", "daemon-reload")
    shutil.rmtree("/etc/jobmill/jobs")
    shutil.rmtree("/usr/local/lib/llm-box")


def ask(mill, type_, prompt):
    return mill.call("Submit", "", [], {"type": type_, "name": prompt, "payload": json.dumps({"prompt": prompt}).encode()})[0]


def answer(mill, id_):
    info = mill.info(id_)
    assert info["result"] == "success", info
    return json.loads(info["verdict"])["answer"]


def test_the_box(mill):
    until(lambda: all(t["available"] for t in mill.call("ListTypes") if t["name"] in TYPES), 20, "all three can be used")
    id_ = ask(mill, "session", "abc")
    mill.wait(id_)
    assert answer(mill, id_) == "cba :noisses"

    # The server goes down: everything waits, and says so.
    run("systemctl", "stop", "model-server")
    ids = [ask(mill, t, "%s %d" % (t, i)) for i in range(2) for t in reversed(TYPES)]
    until(lambda: {mill.info(i).get("reason") for i in ids} == {"gate model-server.service is inactive"}, 20, "they say what they wait for")
    assert {mill.info(i)["attempt"] for i in ids} == {0}

    # It is back: the queue goes on by itself, one at a time, the urgent ones first.
    run("systemctl", "start", "model-server")
    mill.wait_all(ids)
    assert all(answer(mill, i) for i in ids)
    started = [mill.info(i)["type"] for i in sorted(ids, key=lambda i: mill.info(i)["started_usec"])]
    assert started == ["session"] * 2 + ["translate-event"] * 2 + ["classify-error"] * 2

    # One that finds nobody, though the unit is there: it is tried again.
    socket = pathlib.Path("/run/model-server/socket")
    away = socket.rename(socket.with_name("away"))
    id_ = ask(mill, "classify-error", "later")
    until(lambda: mill.info(id_)["state"] == "waiting", 20, "it waits for another attempt")
    away.rename(socket)
    assert mill.wait(id_, timeout=60)["result"] == "success" and mill.info(id_)["attempt"] > 1
