# SPDX-License-Identifier: LGPL-2.1-or-later
"""The Debian packages, by dpkg in a booted system without jobmill: what is there when they are installed, under whom an upgrade
restarts what, what is left when they are removed and purged. One story, told in the order of the tests. JOBMILL_DEBS is where
packaging/deb has put them.
"""

import os
import pathlib
import re
import subprocess
import time

import pytest

DEBS = pathlib.Path(os.environ["JOBMILL_DEBS"])
NAMES = ["jobmill", "jobmill-exporter", "jobmill-slurm", "jobmill-webhook"]
SOURCE = pathlib.Path(os.environ["JOBMILL_SOURCE"])


def run(*argv, ok=True, **options):
    done = subprocess.run(argv, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120,
                          env=dict(os.environ, DEBIAN_FRONTEND="noninteractive", LC_ALL="C.UTF-8"), **options)
    assert not ok or done.returncode == 0, f"{argv}: {done.stdout}"
    return done.stdout


def alice(*argv, **options):
    return run("runuser", "-u", "alice", "--", *argv, cwd="/home/alice", **options)


def value(unit, name):
    return run("systemctl", "show", "--value", f"--property={name}", unit).strip()


def files():
    """All that there is on disk by the name of jobmill, but for what dpkg, man and systemd themselves keep, and what the throw-away system needs."""
    found = run("find", "/etc", "/usr", "/var", "/run", "/lib", "-xdev", "-name", "*jobmill*", "-not", "-path", f"{SOURCE}/*").split()
    return {f for f in found if not re.match("/var/lib/dpkg/|/var/log/|/var/cache/man/|/var/tmp/|/run/jobmill-boot|/run/systemd/units/", f) and
            "/jobmill-boot." not in f}


def packages():
    return [str(next(DEBS.glob(f"{name}_*.deb"))) for name in NAMES]


def newer(tmp_path):
    """The same packages with a higher version."""
    made = []
    for name, package in zip(NAMES, packages()):
        folder = tmp_path / name
        run("dpkg-deb", "--raw-extract", package, str(folder))
        control = folder / "DEBIAN/control"
        control.write_text(re.sub(r"(?m)^(Version: \S+|Depends: .*jobmill \(= [^)]+)", r"\1+1", control.read_text()))
        made.append(str(tmp_path / f"{name}.deb"))
        run("dpkg-deb", "--build", "--root-owner-group", str(folder), made[-1])
    return made


def test_nothing_before():
    assert files() == set()
    assert value("jobmilld.service", "LoadState") == "not-found"


def test_install():
    run("dpkg", "--install", *packages())
    assert run("dpkg", "--verify", *NAMES) == ""
    for unit in "jobmilld.service", "jobmilld.socket", "jobmill-exporter.socket":
        assert (value(unit, "ActiveState"), value(unit, "UnitFileState")) == ("active", "enabled"), unit
    assert not list(pathlib.Path("/etc/systemd/user").rglob("jobmill*")), "a daemon in everybody's session"
    assert value("run-jobmill-spool.mount", "ActiveState") == "active"
    for unit in "jobmill-webhook.service", "jobmill-slurm.service":  # by need: the daemon starts them
        assert value(unit, "ActiveState") == "inactive", unit
    run("systemd-analyze", "verify", "jobmilld.service", "jobmill-exporter.socket", "jobmill-webhook.service", "jobmill-slurm.service")
    assert "failed" not in run("systemctl", "list-units", "--failed", "--no-legend", "--plain", "jobmill*")


def test_autopkgtest():
    print(run(str(SOURCE / "packaging/debian/tests/smoke")))


@pytest.fixture(scope="module")
def job():
    return alice("jobmill", "submit", "--quiet", "--", "sleep", "1000").strip()


def test_upgrade_goes_under_the_jobs(job, tmp_path):
    unit = f"jobmill-job-{job}-1.service"
    run("jobmill", "queue", "set", "mine", "Slots=1", "AllowUsers=alice")
    while value(unit, "SubState") != "running":
        time.sleep(0.1)
    before = value(unit, "MainPID"), value("jobmilld.service", "MainPID")
    run("dpkg", "--install", *newer(tmp_path))
    assert run("dpkg", "--verify", *NAMES) == ""
    assert value(unit, "MainPID") == before[0] != "0"
    assert value("jobmilld.service", "MainPID") not in (before[1], "0")
    assert job in alice("jobmill", "list", "--state", "running", "--no-legend").split()


def test_remove_ends_jobs(job):
    alice("jobmill", "submit", "--quiet", "--", "sleep", "1000")
    said = run("dpkg", "--remove", *NAMES)
    assert "stopping jobmill.slice, with running jobs: 2" in said
    assert run("systemctl", "list-units", "--all", "--no-legend", "--plain", "jobmill-job-*", "jobmill-schedule-*") == ""
    assert value("jobmilld.service", "ActiveState") == value("jobmilld.socket", "ActiveState") == "inactive"
    assert not os.path.ismount("/run/jobmill/spool")
    left = files()
    assert {"/etc/jobmill", "/var/lib/jobmill"} <= left
    assert not {f for f in left if f.startswith(("/usr/bin", "/usr/libexec", "/usr/share", "/lib"))}


def test_back_again(job):
    """What had been recorded is there; how the jobs ended is not made up."""
    run("dpkg", "--install", *packages())
    assert "mine" in run("jobmill", "queue", "list")
    assert job in run("jobmill", "list", "--state", "done", "--no-legend").split()
    assert re.search(r"Result: (signal|lost|cancelled)", run("jobmill", "show", job))


def test_purge():
    run("dpkg", "--purge", *NAMES)
    assert files() == set()
    assert not pathlib.Path("/etc/jobmill").exists() and not pathlib.Path("/var/lib/jobmill").exists()
