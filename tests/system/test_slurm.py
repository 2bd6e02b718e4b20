# SPDX-License-Identifier: LGPL-2.1-or-later
"""jobmill-slurm as it is installed, with a real Slurm (`make check TIER=slurm`): without rights but to become the owner of a job, in its sandbox."""

import os
import pathlib
import pwd
import sys

import pytest

from mill import SOURCE, run, systemctl, unit_properties, until

sys.path.insert(1, str(SOURCE / "tests/bus"))

from slurm import Cluster  # noqa: E402

pytestmark = pytest.mark.skipif(not os.environ.get("JOBMILL_TEST_SLURM"), reason="a tier of its own (make check TIER=slurm)")

DROP_IN = pathlib.Path("/run/systemd/system/jobmill-slurm.service.d/test.conf")


@pytest.fixture(scope="module")
def cluster(mill):
    c = Cluster(until)
    DROP_IN.parent.mkdir(parents=True, exist_ok=True)
    DROP_IN.write_text("[Unit]\nStartLimitIntervalSec=0\n[Service]\nEnvironment=SLURM_CONF=%s\n" % (c.path / "slurm.conf"))
    systemctl("daemon-reload")
    try:
        c.start()
        yield c
    finally:
        c.end()
        systemctl("stop", "jobmill-slurm.service")
        DROP_IN.unlink()
        systemctl("daemon-reload")


@pytest.fixture
def queue(mill, cluster):
    return mill.write_queue("cluster", "Slots=20", "AllowUsers=*", "Executor=slurm", "[Slurm]", "Directory=%s" % cluster.shared)


def test_started_when_a_job_waits(mill, cluster, queue):
    assert unit_properties("jobmill-slurm.service", "ActiveState")["ActiveState"] == "inactive"
    out = mill.tool("submit", "--wait", "-q", queue, "--", "/bin/sh", "-c", "id -un; pwd; umask", user="alice", check=True, timeout=90)
    job = mill.info(int(out.split()[0]))
    assert job["io"]["stdout"].splitlines()[:2] == ["alice", "/home/alice"] and job["result"] == "success"
    assert cluster.jobs()[-1]["user_name"] == "alice"
    pid = unit_properties("jobmill-slurm.service", "MainPID")["MainPID"]
    status = pathlib.Path("/proc/%s/status" % pid).read_text()
    assert run("ps", "-o", "user:32=", "-p", str(pid)).strip() == "jobmill-slurm"
    assert "CapEff:\t00000000000000c0" in status and "CapBnd:\t00000000000000c0" in status, status  # CAP_SETUID, CAP_SETGID


def test_killed(mill, cluster, queue):
    """Its job goes on, and is not begun again; and it has its files in the owner's name."""
    proof = cluster.shared / "proof"
    id_ = mill.submit(["/bin/sh", "-c", "echo x >>%s; sleep 3; grep CapEff /proc/self/status" % proof], queue, uid=pwd.getpwnam("alice").pw_uid)
    mill.reach(id_, "running", 60)
    systemctl("kill", "--signal=KILL", "jobmill-slurm.service")
    mill.restart_daemon(kill=True)
    job = mill.wait(id_, 60)
    assert job["result"] == "success" and job["attempt"] == 1 and proof.read_text() == "x\n"
    assert "0000000000000000" in job["io"]["stdout"], job
    assert not list(cluster.shared.glob("*/jobmill-*"))
