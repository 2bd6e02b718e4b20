# SPDX-License-Identifier: LGPL-2.1-or-later
"""The role of docs/examples/ansible, in a booted system with the packages installed: what it makes, that it changes nothing the second time, and that a
queue which would be bad stays out."""

import json
import os
import pathlib
import re
import subprocess

SOURCE = pathlib.Path(os.environ["JOBMILL_SOURCE"])
GPU = {"Slots": 1, "AllowUsers": "*", "SlotVariable": "CUDA_VISIBLE_DEVICES"}


def play(folder, queues):
    (folder / "site.yml").write_text(json.dumps([{"hosts": "localhost", "connection": "local", "roles": [{"role": "jobmill", "vars": {
        "jobmill_queues": queues, "jobmill_job_files": [str(SOURCE / "docs/examples/jobs/echo.job")]}}]}]))
    environment = {**os.environ, "ANSIBLE_ROLES_PATH": str(SOURCE / "docs/examples/ansible"),
                   "ANSIBLE_LOCAL_TEMP": str(folder / "tmp"), "ANSIBLE_REMOTE_TEMP": str(folder / "tmp"), "ANSIBLE_PYTHON_INTERPRETER": "/usr/bin/python3"}
    done = subprocess.run(["ansible-playbook", "-i", "localhost,", "site.yml"], cwd=folder, env=environment, text=True, capture_output=True, timeout=300)
    changed = re.search(r"changed=(\d+)", done.stdout)
    return done.returncode, int(changed[1]) if changed else None, done.stdout + done.stderr


def names(what):
    return subprocess.run(["jobmill", what, "list", "--no-legend"], check=True, text=True, capture_output=True).stdout


def test_role(tmp_path):
    status, changed, text = play(tmp_path, {"gpu": GPU})
    assert status == 0 and changed >= 3, text
    assert "\ngpu " in "\n" + names("queue") and "\necho " in "\n" + names("type")
    status, changed, text = play(tmp_path, {"gpu": GPU})
    assert (status, changed) == (0, 0), text
    status, changed, text = play(tmp_path, {"gpu": {**GPU, "Slots": "many"}})
    assert status != 0 and "Slots" in text
    assert (pathlib.Path("/etc/jobmill/queues/gpu.queue").read_text().splitlines()[2]) == "Slots=1"
