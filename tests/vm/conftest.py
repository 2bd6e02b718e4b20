# SPDX-License-Identifier: LGPL-2.1-or-later
"""Tests that drive virtual machines from outside; tests/vm/inside has those that run in one. Root; nothing of this machine is
changed."""

import os
import pathlib
import subprocess
import sys

import pytest

sys.path.insert(0, os.path.dirname(__file__))

import machine  # noqa: E402

collect_ignore = ["inside"]
BUILD = pathlib.Path(os.environ.get("JOBMILL_BUILD", "build")).resolve()


@pytest.fixture(scope="session")
def fresh(tmp_path_factory):
    """A function that makes a folder with a new disk in it; all of them are gone at the end."""
    machine.fetch()
    with machine.folder() as path:
        machine.make_disk(BUILD, path / "disk")
        n = 0

        def make():
            nonlocal n
            n += 1
            folder = path / str(n)
            folder.mkdir()
            subprocess.run(["cp", "--sparse=always", path / "disk", folder / "disk"], check=True)
            return folder

        yield make
