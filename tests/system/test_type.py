# SPDX-License-Identifier: LGPL-2.1-or-later
"""Job types on a real systemd: the examples of docs/examples, installed as they say, and what a type lends reaches its program alone."""

import json
import os
import pathlib
import shutil

import pytest

from mill import SOURCE, run, until

EXAMPLES = SOURCE / "docs/examples"
JOBS = pathlib.Path("/etc/jobmill/jobs")


@pytest.fixture(autouse=True)
def installed(mill):
    """Files in their places, and reload: that is all."""
    shutil.copytree(EXAMPLES / "queues", "/etc/jobmill/queues", dirs_exist_ok=True)
    shutil.copytree(EXAMPLES / "jobs", JOBS, dirs_exist_ok=True)
    programs = pathlib.Path("/usr/local/lib/newsletter")
    shutil.copytree(EXAMPLES / "bin", programs, dirs_exist_ok=True)
    shutil.copy(EXAMPLES / "bin/nightly-backup", "/usr/local/lib/nightly-backup")
    backups = pathlib.Path("/var/backups")
    backups.mkdir(exist_ok=True)
    shutil.chown(backups, "backup", "backup")
    mill.reload()
    yield
    for path in (JOBS, programs):
        shutil.rmtree(path, ignore_errors=True)
    os.unlink("/usr/local/lib/nightly-backup")


def types(mill):
    return {t["name"]: t for t in mill.call("ListTypes")}


def test_the_newsletter(mill):
    alice = mill.user("alice")
    _, jobs = alice.call("SubmitFlow", (EXAMPLES / "newsletter.json").read_text())
    assert mill.wait(jobs["newsletter"])["result"] == "success"
    info = alice.call("GetJobInfo", jobs["newsletter"])
    assert (info["type"], info["type_version"], info["queue"]) == ("newsletter", "2.0", "cpu")
    assert json.loads(info["verdict"])["events"] == 2 and "- koncert i parken (55.709 N 9.535 E)" in info["io"]["stdout"]


def test_the_backup_runs_as_its_own_user(mill):
    """With the rights of the type, not more; and it is its submitter's."""
    id_ = mill.call("Submit", "", [], {"type": "nightly-backup"})[0]
    assert mill.wait(id_)["result"] == "success", mill.info(id_)
    (made,) = pathlib.Path("/var/backups").glob("etc-*.tar.gz")
    assert made.owner() == "backup" and mill.info(id_)["owner"] == 0
    made.unlink()
    p = mill.tool("submit", "-t", "nightly-backup", user="alice")
    assert p.returncode == 1 and "does not take jobs of user alice" in p.stderr


def test_a_credential(mill, folder):
    """Of the store of the machine: for the program of the type, in its user's hands only."""
    store = pathlib.Path("/etc/credstore")
    job = JOBS / "secret.job"
    job.write_text("[Job]\nCommand=/bin/sh -c 'id -un; cat $CREDENTIALS_DIRECTORY/token'\nAllowUsers=alice\nRequireCredentials=token\nStdout=spool\n"
                   "[Service]\nUser=daemon\n")
    mill.reload()
    assert "token is in no credential store" in types(mill)["secret"]["reason"]
    store.mkdir(mode=0o700, exist_ok=True)
    (store / "token").write_text("s3cret")
    mill.reload()
    try:
        id_ = mill.user("alice").call("Submit", "", [], {"type": "secret"})[0]
        assert mill.wait(id_)["result"] == "success", mill.info(id_)
        assert mill.info(id_)["io"]["stdout"] == "daemon\ns3cret"
    finally:
        (store / "token").unlink()


def test_a_unit_that_is_not_there(mill):
    (JOBS / "needs.job").write_text("[Job]\nCommand=true\nRequireUnits=no-such-model.service\n")
    mill.reload()
    until(lambda: types(mill)["needs"].get("reason") == "unit no-such-model.service is not there", 20, "systemd says so")
    unit = pathlib.Path("/run/systemd/system/no-such-model.service")
    unit.write_text("[Service]\nExecStart=/bin/sleep 1000\n")
    try:
        run("systemctl", "daemon-reload")
        mill.reload()
        until(lambda: types(mill)["needs"]["available"], 20, "it is there, if not active")
        assert mill.wait(mill.call("Submit", "", [], {"type": "needs"})[0])["result"] == "success"
    finally:
        unit.unlink()
        run("systemctl", "daemon-reload")
