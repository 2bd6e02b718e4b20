# SPDX-License-Identifier: LGPL-2.1-or-later
"""The clients as each language's own tool packs them, offline: what is in the package is what a user needs and no more, and a program that has
nothing but the package submits a job."""

import shutil
import subprocess
import tarfile
import zipfile

import pytest

from clients import CARGO, CLIENTS, blocks, cargo_environment, compile_typescript, environment, run, write_crate
from conftest import SLOW, extra

pytestmark = pytest.mark.root


def copy(language, folder):
    """Of its source: the tools leave things where they work."""
    return shutil.copytree(CLIENTS / language, folder / "source", ignore=shutil.ignore_patterns("target", "build", "dist", "*.egg-info", "node_modules", "__pycache__"))


def submits(mill, argv, **env):
    """What the first program in its README says, which submits a job and waits for it."""
    out = subprocess.run(argv, env={**environment(mill.folder), **env}, stdout=subprocess.PIPE, text=True, timeout=60 * SLOW, check=True).stdout
    assert out.startswith("success"), out


@pytest.fixture
def listening(mill):
    mill.listen()
    return mill.start()


def test_python(listening, tmp_path):
    source, site = copy("python", tmp_path), tmp_path / "site"
    for kind in "wheel", "sdist":
        run(["/usr/bin/python3", "-c", "from setuptools import build_meta; build_meta.build_%s(%r)" % (kind, str(tmp_path))], cwd=source)
    names = {"__init__", "_aio", "_client", "_error", "_types", "_wire", "_work", "_worker"}
    wheel = zipfile.ZipFile(next(tmp_path.glob("jobmill-*-py3-none-any.whl")))
    assert {n for n in wheel.namelist() if ".dist-info/" not in n} == {"jobmill/%s.py" % n for n in names} | {"jobmill/py.typed"}
    assert b"LGPL-2.1-or-later" in wheel.read(next(n for n in wheel.namelist() if n.endswith("/METADATA")))
    with tarfile.open(next(tmp_path.glob("jobmill-*.tar.gz"))) as sdist:
        assert {"pyproject.toml", "README.md", "src/jobmill/py.typed"} <= {n.partition("/")[2] for n in sdist.getnames()}
    wheel.extractall(site)  # which is what installing a pure one is
    program = tmp_path / "program.py"
    program.write_text(blocks("python", "python")[0])
    submits(listening, ["/usr/bin/python3", program], PYTHONPATH=str(site))


def test_typescript(listening, tmp_path):
    if not extra("tsc") or not extra("npm"):
        pytest.skip("there is no npm")
    source, user = copy("typescript", tmp_path), tmp_path / "user"
    run(["npm", "pack", "--silent", "--pack-destination", tmp_path], cwd=source)  # its prepack compiles
    archive = next(tmp_path.glob("jobmill-*.tgz"))
    with tarfile.open(archive) as packed:
        files = {n.partition("/")[2] for n in packed.getnames()}
    parts = "client", "errors", "index", "types", "wire", "worker"
    assert files == {"package.json", "README.md"} | {"dist/%s.%s" % (part, kind) for part in parts for kind in ("js", "d.ts")}
    user.mkdir()
    run(["npm", "install", "--offline", "--no-audit", "--no-fund", archive], cwd=user)
    (user / "0.ts").write_text(blocks("typescript", "ts")[0])
    compile_typescript(user)
    submits(listening, ["node", user / "0.js"])


def test_rust(listening, tmp_path):
    if not extra("cargo"):
        pytest.skip("there is no cargo")
    source = copy("rust", tmp_path)
    env = cargo_environment(tmp_path)
    run(["cargo", "package", "--no-verify", *CARGO], cwd=source, env=env)  # built below, as a dependency
    with tarfile.open(next((tmp_path / "target/package").glob("jobmill-*.crate"))) as crate:
        names = {n.partition("/")[2] for n in crate.getnames()}
        crate.extractall(tmp_path)
    assert {"Cargo.toml", "README.md", "src/lib.rs", "examples/worker.rs"} <= names and not any("conformance" in n or n.startswith("tests") for n in names), names
    user = tmp_path / "user"
    (user / "src").mkdir(parents=True)
    write_crate(user, next(tmp_path.glob("jobmill-[0-9]*/")))
    (user / "src/main.rs").write_text(blocks("rust", "rust")[0])
    run(["cargo", "build", *CARGO], cwd=user, env=env)
    submits(listening, [tmp_path / "target/debug/user"])
