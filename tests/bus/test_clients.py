# SPDX-License-Identifier: LGPL-2.1-or-later
"""The clients in clients/: one conformance suite for all of them, against a real daemon that is killed in the midst of calls."""

import re
import signal
import subprocess

import pytest

from clients import CASES, CLIENTS, LANGUAGES, Driver, Play, build, environment, go_environment, run, write_go_module
from conftest import PATIENCE, PYTHON, ROOT, SLOW, extra, spawn

pytestmark = pytest.mark.root  # a user's own daemon has no queues of others; the socket is the same


@pytest.fixture(scope="session")
def built(folder):
    """built(language): command lines of its driver and of the programs in its README, built once."""
    made, place = {}, folder / "clients"
    place.mkdir()

    def get(language):
        if language not in made:
            made[language] = build(language, place)
        if made[language] is None:
            assert not extra(LANGUAGES[language][0])
            pytest.skip("nothing here builds it")
        return made[language]

    return get


@pytest.fixture
def listening(mill):
    """A daemon with a queue for workers and one for those of the documents."""
    for queue in "w", "words":
        mill.queue(queue, Executor="worker", Slots=64, AllowUsers="*")
    mill.listen()
    return mill


@pytest.mark.parametrize("case", CASES, ids=lambda c: c["name"].replace(" ", "-"))
@pytest.mark.parametrize("language", LANGUAGES)
def test_conformance(listening, built, language, case):
    mill, argv = listening, built(language)[0]
    if language in case.get("not", ()):
        pytest.skip("not by its nature")
    for name, keys in case.get("queues", {}).items():
        mill.queue(name, **keys)
    mill.start()

    def raw(method, parameters):
        with mill.connect() as connection:
            return connection.call(method, **parameters)

    driver = Driver(argv, mill.folder, spawn)
    try:
        Play(driver, lambda what: getattr(mill, what)(), raw, 2 * PATIENCE * SLOW).run(case["steps"])
    finally:
        driver.close()


@pytest.mark.parametrize("language", LANGUAGES)
def test_readme(listening, built, language):
    """Its programs do what they say."""
    mill = listening.start()
    _, submits, worker = built(language)
    process = spawn(worker, env=environment(mill.folder))
    try:
        with mill.connect() as connection:
            for words in ["a"], ["b", "c"]:
                id_ = connection.call("Submit", job={"queue": "words", "argv": words})["id"]
                answer = connection.call("Wait", id=id_)
                assert answer["result"] == "success" and answer["outcome"]["verdict"] == {"success": True, "words": len(words)}
        process.terminate()
        status = process.wait(20 * SLOW)
        assert status == (0 if language in ("python-sync", "python-asyncio", "go") else -signal.SIGTERM)  # the others leave it to their user
    finally:
        process.kill()
        process.wait()
    out = subprocess.run(submits, env=environment(mill.folder), stdout=subprocess.PIPE, text=True, timeout=60 * SLOW, check=True).stdout
    assert out.splitlines() in (["success", "3 success"], ["success", "3 success", "2 success", "1 success"], [str(["success"] * 3)]), out


def test_go_by_itself(tmp_path):
    """Its own tests, against a daemon that is played."""
    if not extra("go"):
        pytest.skip("there is no go")
    run(["go", "test", "-count=1", "./..."], cwd=CLIENTS / "go", env=go_environment(tmp_path))


def test_typescript_by_itself(built):
    dist = built("typescript")[0][1].parent
    run(["node", "--test", CLIENTS / "typescript/test/client.test.mjs"], env={"JOBMILL_DIST": str(dist)})


def test_types_are_written():
    """What clients/generate would write is what is there."""
    out = subprocess.run([CLIENTS / "generate", "--check"], stderr=subprocess.PIPE, text=True)
    assert out.returncode == 0, out.stderr


@pytest.mark.parametrize("language, example", [("python", "examples/worker.py"), ("typescript", "examples/worker.ts"),
                                               ("go", "examples/worker/main.go"), ("rust", "examples/worker.rs")])
def test_worker_of_readme(language, example):
    """The worker in each README is the one that lies beside it."""
    readme = (CLIENTS / language / "README.md").read_text()
    assert (CLIENTS / language / example).read_text().partition("\n\n")[2] in readme and "../README.md" in readme
    assert "](%s)" % language in (CLIENTS / "README.md").read_text()


@pytest.mark.parametrize("language", ("python", "go"))
def test_on_the_bus(mill, language, tmp_path):
    """The programs in docs/dbus-api.md."""
    if language == "go" and not extra("go"):
        pytest.skip("there is no go")
    code = re.search(r"```%s\n(.*?)```" % language, (ROOT / "docs/dbus-api.md").read_text(), re.S)[1]
    program = tmp_path / ("main." + {"python": "py", "go": "go"}[language])
    program.write_text(code)
    write_go_module(tmp_path, "github.com/godbus/dbus/v5", "v5.1.0", "/usr/share/gocode/src/github.com/godbus/dbus")
    argv = {"python": ["/usr/bin/python3", program], "go": ["go", "run", "."]}[language]
    mill.start()
    out = subprocess.run(argv, stdout=subprocess.PIPE, text=True, timeout=120 * SLOW, check=True, cwd=tmp_path,
                         env={**environment(mill.folder), **go_environment(tmp_path), "DBUS_SYSTEM_BUS_ADDRESS": mill.address}).stdout
    assert out.splitlines() == [{"python": "exit-code 7", "go": "exit-code"}[language], "org.jobmill1.Error.JobFinished"], out


def test_request_id_by_name_in_python():
    """What is submitted by name is the same when it is sent again, too."""
    wire = subprocess.run([PYTHON, "-c", """
import sys
sys.path.insert(0, %r)
from jobmill._wire import requested
spec = {"argv": ["true"]}
for method, parameters, first in (("Submit", {"job": spec}, lambda p: p["job"]), ("SubmitMany", {"jobs": (spec, spec)}, lambda p: p["jobs"][0]),
                                  ("SubmitFlow", {"flow": {"jobs": [spec]}}, lambda p: p["flow"]), ("Submit", {"job": {"request_id": None}}, lambda p: p["job"])):
    made = first(requested(method, parameters))
    assert len(made["request_id"]) == 32 and spec == {"argv": ["true"]}, made
assert requested("Submit", {"job": {"request_id": "own"}}) == {"job": {"request_id": "own"}}
for method, parameters in (("Submit", {"job": 7}), ("SubmitMany", {"jobs": []}), ("SubmitMany", {"jobs": [7]}), ("Submit", {}), ("Get", {"job": {}})):
    assert requested(method, parameters) == parameters
assert requested("Statistics", None) == {}
""" % str(ROOT / "clients/python/src")], check=False, stderr=subprocess.PIPE, text=True)
    assert wire.returncode == 0, wire.stderr
