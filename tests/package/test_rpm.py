# SPDX-License-Identifier: LGPL-2.1-or-later
"""The rpm packages: file by file what the Debian packages are, nothing that rpmlint finds; and by rpm in a booted system without jobmill
what an upgrade restarts, and what a removal ends. JOBMILL_RPMS and JOBMILL_DEBS are where packaging/rpm/build and packaging/deb have put them.
"""

import gzip
import os
import pathlib
import re
import subprocess
import time

import pytest

from test_deb import DEBS, NAMES, SOURCE, alice, run, value

RPMS = pathlib.Path(os.environ["JOBMILL_RPMS"])
# Documentation has its own rules in each, and so have licences; there is no program among examples for Debian.
ONLY_DEB = r"usr/share/doc/[^/]+/(changelog\.Debian|copyright)|usr/share/lintian/overrides/[^/]+"
ONLY_RPM = r"usr/share/licenses/(cockpit-)?jobmill-[0-9.]+/LICENSE"
MODE_DIFFERS = r"usr/share/doc/jobmill/docs/examples/(llm-box/)?bin/[^/]+"


# The page for Cockpit is there where "make cockpit" was called first.
PAGE = [name for name in ["cockpit-jobmill"] if list(DEBS.glob(f"{name}_*.deb"))]


def packages(names=NAMES):
    return [str(next(p for p in RPMS.glob(f"{name}-[0-9]*.rpm") if not p.name.endswith(".src.rpm"))) for name in names]


def unpacked(folder):
    """By path, without .gz: mode, and content or where it points."""
    found = {}
    for path in sorted(p for p in folder.rglob("*") if p.is_symlink() or p.is_file()):
        name = str(path.relative_to(folder))
        if path.is_symlink():
            found[name.removesuffix(".gz")] = ("link", os.readlink(path).removesuffix(".gz"))
            continue
        content = path.read_bytes()
        if name.endswith(".gz"):
            content, name = gzip.decompress(content), name[:-3]
        if content.startswith(b"\x7fELF"):  # of the same source, by two builds: what matters is what it is linked with
            content = sorted(re.findall(r"NEEDED +(\S+)", run("objdump", "-p", str(path))))
        found[name] = (oct(path.stat().st_mode & 0o7777), content)
    return found


@pytest.mark.parametrize("name", NAMES + PAGE)
def test_as_the_deb(name, tmp_path):
    for kind in "rpm", "deb":
        (tmp_path / kind).mkdir()
    run("sh", "-c", 'rpm2archive - <"$1" | tar -xz -C "$2"', "sh", *packages([name]), str(tmp_path / "rpm"))
    run("dpkg-deb", "--extract", str(next(DEBS.glob(f"{name}_*.deb"))), str(tmp_path / "deb"))
    rpm, deb = unpacked(tmp_path / "rpm"), unpacked(tmp_path / "deb")
    assert not [f for f in rpm.keys() - deb.keys() if not re.fullmatch(ONLY_RPM, f)]
    assert not [f for f in deb.keys() - rpm.keys() if not re.fullmatch(ONLY_DEB, f)]
    both = rpm.keys() & deb.keys()
    assert len(both) >= 5
    assert not [f for f in both if rpm[f][1] != deb[f][1]]
    assert not [(f, rpm[f][0], deb[f][0]) for f in both if rpm[f][0] != deb[f][0] and not re.fullmatch(MODE_DIFFERS, f)]


def test_lint():
    said = run("rpmlint", "--config", str(SOURCE / "packaging/rpm/rpmlint.toml"), *packages(NAMES + PAGE), str(next(RPMS.glob("*.src.rpm"))))
    assert re.search(r"\b0 errors, 0 warnings", said), said


def test_install():
    run("rpm", "--install", "--nodeps", *packages())  # those that it needs are Fedora's, by name
    assert run("rpm", "--verify", "--nodeps", *NAMES) == ""
    for unit in "jobmilld.service", "jobmilld.socket", "jobmill-exporter.socket":  # as presets say: here all are; nothing is started
        assert (value(unit, "ActiveState"), value(unit, "UnitFileState")) == ("inactive", "enabled"), unit
    run("systemctl", "start", "jobmilld.socket", "jobmilld.service", "jobmill-exporter.socket")


@pytest.fixture(scope="module")
def job():
    return alice("jobmill", "submit", "--quiet", "--", "sleep", "1000").strip()


def test_upgrade_goes_under_the_jobs(job):
    unit = f"jobmill-job-{job}-1.service"
    while value(unit, "SubState") != "running":
        time.sleep(0.1)
    before = value(unit, "MainPID"), value("jobmilld.service", "MainPID")
    run("rpm", "--upgrade", "--force", "--nodeps", *packages())
    assert value(unit, "MainPID") == before[0] != "0"
    assert value("jobmilld.service", "MainPID") not in (before[1], "0")
    assert job in alice("jobmill", "list", "--state", "running", "--no-legend").split()


def test_remove_ends_jobs(job):
    run("rpm", "--erase", *NAMES[1:])
    said = run("rpm", "--erase", NAMES[0])
    assert "stopping jobmill.slice, with running jobs: 1" in said
    assert run("systemctl", "list-units", "--all", "--no-legend", "--plain", "jobmill-job-*", "jobmill-schedule-*") == ""
    assert value("jobmilld.service", "ActiveState") == value("jobmilld.socket", "ActiveState") == "inactive"
    assert not os.path.ismount("/run/jobmill/spool")
    assert not pathlib.Path("/usr/bin/jobmill").exists() and not pathlib.Path("/usr/libexec/jobmill").exists()
    assert pathlib.Path("/var/lib/jobmill").exists()  # rpm has no purge: what is recorded is the administrator's
