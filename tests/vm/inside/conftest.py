# SPDX-License-Identifier: LGPL-2.1-or-later
"""Tests that run in the virtual machine of tests/vm, as root. They set its clock and suspend it."""

import pathlib
import sys

import pytest

if not pathlib.Path("/jobmill/tests/vm/agent.py").exists():
    pytest.exit("these tests run in a virtual machine only: tests/vm/boot", returncode=2)

sys.path.insert(0, "/jobmill/tests/system")

from mill import Mill, add_journal  # noqa: E402


@pytest.fixture(scope="session")
def mill():
    m = Mill()
    m.settled()
    yield m
    m.forget_users()


@pytest.fixture(scope="module", autouse=True)
def nothing_left(mill):
    yield
    mill.drop_everything()
    mill.no_units()
    mill.remove_queues()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    add_journal(outcome.get_result())
