# SPDX-License-Identifier: LGPL-2.1-or-later
"""Tests of the installed jobmill on a booted system with a real systemd, as root. tests/system/boot makes such a system;
on a machine that anybody uses these tests have no business: they kill the bus and stop services."""

import os
import pathlib
import shutil
import sys
import tempfile

import pytest

if not pathlib.Path("/run/jobmill-boot/command").exists():
    pytest.exit("these tests run in the throw-away system only: tests/system/boot --build build -- "
                "/usr/bin/python3 -m pytest tests/system", returncode=2)

sys.path.insert(0, os.path.dirname(__file__))

from mill import OF_USER, Mill, add_journal, systemctl  # noqa: E402


# A daemon with crash points is for the test that crosses them, and only for that.
CRASH_POINTS = b"JOBMILL_CRASH_DIR" in pathlib.Path("/usr/libexec/jobmill/jobmilld").read_bytes()
collect_ignore = [] if CRASH_POINTS else ["test_crash_points.py"]
if "JOBMILL_BOOT" not in os.environ:
    collect_ignore.append("test_reboot.py")


def pytest_configure(config):
    config.addinivalue_line("markers", "system_only: of the system's instance: several users, root's files, PID 1 itself")


def pytest_collection_modifyitems(config, items):
    """The examples of the documents first: they show what a new system prints."""
    items.sort(key=lambda item: item.module.__name__ != "test_documents")
    if OF_USER:
        config.hook.pytest_deselected(items=[i for i in items if i.get_closest_marker("system_only")])
        items[:] = [i for i in items if not i.get_closest_marker("system_only")]


@pytest.fixture(scope="session")
def mill():
    m = Mill()
    systemctl("is-active", "jobmilld.service")
    yield m
    m.forget_users()


@pytest.fixture(scope="module", autouse=True)
def nothing_left(mill, request):
    """After each module: no unit of a job is left, nothing waits; and no job with megabytes of words, which make lists slow."""
    yield
    mill.drop_everything()
    mill.no_units()
    if request.module.__name__ in ("test_files", "test_inputs", "test_preview"):
        mill.call("PurgeJobs", {"state": "done"})
    mill.remove_queues()


@pytest.fixture
def folder():
    """A folder in which every user's jobs may write."""
    path = pathlib.Path(tempfile.mkdtemp(prefix="jobmill-test-", dir="/var/tmp"))
    path.chmod(0o1777)
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    add_journal(outcome.get_result())


FIGURES = []


@pytest.fixture
def figure():
    """figure(TEXT): a line at the end of the run, for what is measured and not asserted."""
    return FIGURES.append


def pytest_terminal_summary(terminalreporter):
    terminalreporter.config.get_terminal_writer().fullwidth = 500  # why each failed, whole: it may be all that is kept of a run
    for text in FIGURES:
        terminalreporter.write_line("figure: " + text)
