# SPDX-License-Identifier: LGPL-2.1-or-later
"""The clients in clients/: one conformance suite for all of them, against a real daemon that is killed in the midst of calls."""

import subprocess

import pytest

from clients import CASES, CLIENTS, LANGUAGES, Driver, Play, command
from conftest import PATIENCE, ROOT, SLOW, extra, spawn

pytestmark = pytest.mark.root  # a user's own daemon has no queues of others; the socket is the same


@pytest.fixture(scope="session")
def drivers(tmp_path_factory):
    """drivers(language): what starts its driver, built once."""
    made, folder = {}, tmp_path_factory.mktemp("clients")

    def get(language):
        if language not in made:
            made[language] = command(language, folder)
        if made[language] is None:
            assert not extra({"typescript": "tsc", "rust": "cargo"}.get(language, language))
            pytest.skip("nothing here builds it")
        return made[language]

    return get


@pytest.mark.parametrize("case", CASES, ids=lambda c: c["name"].replace(" ", "-"))
@pytest.mark.parametrize("language", LANGUAGES)
def test_conformance(mill, drivers, language, case):
    argv = drivers(language)
    if language in case.get("not", ()):
        pytest.skip("not by its nature")
    mill.queue("w", Executor="worker", Slots=64, AllowUsers="*")
    for name, keys in case.get("queues", {}).items():
        mill.queue(name, **keys)
    mill.listen()
    mill.start()

    def raw(method, parameters):
        with mill.connect() as connection:
            return connection.call(method, **parameters)

    driver = Driver(argv, mill.folder, spawn)
    try:
        Play(driver, lambda what: getattr(mill, what)(), raw, 2 * PATIENCE * SLOW).run(case["steps"])
    finally:
        driver.close()


def test_types_are_written():
    """What clients/generate would write is what is there."""
    out = subprocess.run([CLIENTS / "generate", "--check"], stderr=subprocess.PIPE, text=True)
    assert out.returncode == 0, out.stderr


def test_readmes():
    """Each client tells of all that the table promises, and nobody calls it what it is not."""
    table = (ROOT / "clients/README.md").read_text()
    for folder in "python", "typescript", "go", "rust":
        assert "(%s)" % folder in table and "../README.md" in (CLIENTS / folder / "README.md").read_text()
