# SPDX-License-Identifier: LGPL-2.1-or-later
"""The tests that run in the machine itself: clocks, suspend, controllers; and in the same machine afterwards a reboot."""

import pytest

from machine import Machine


@pytest.fixture(scope="module")
def vm(fresh):
    folder = fresh()
    with Machine(folder, folder / "disk") as m:
        m.ready()
        yield m
        m.power_off()


def test_inside(vm):
    """tests/vm/inside, one pytest; what it prints is its own report."""
    status, text = vm.run("/usr/bin/python3", "-m", "pytest", "-q", "-s", "-p", "no:cacheprovider", "--color=no", "--durations=0",
                          "tests/vm/inside", check=False, timeout=1200, show=True)
    assert status == 0, text


def test_reboot(vm):
    """systemctl reboot under jobs of all states."""
    vm.python("reboot.py", "before")
    vm.start("systemctl", "reboot")
    vm.ready()
    print(vm.python("reboot.py", "after", show=True))
