# SPDX-License-Identifier: LGPL-2.1-or-later
"""The clients' drivers: built, started, and a case of clients/conformance/cases.json played with one (clients/conformance/README.md says what
its steps are)."""

import itertools
import json
import os
import pathlib
import queue
import re
import shutil
import subprocess
import threading
import time

CLIENTS = pathlib.Path(__file__).resolve().parent.parent.parent / "clients"
CASES = json.loads((CLIENTS / "conformance/cases.json").read_text())
# Debian's own come first: what is packaged must do.
PATH = "/usr/sbin:/usr/bin:/sbin:/bin:" + os.environ.get("PATH", "")


def run(argv, **kwargs):
    out = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env={**os.environ, "PATH": PATH, **kwargs.pop("env", {})}, **kwargs)
    assert out.returncode == 0, "%s:\n%s" % (" ".join(map(str, argv)), out.stdout)


def blocks(language, kind):
    """The programs in its README: the first submits, the last is a worker."""
    return re.findall(r"```%s\n(.*?)```" % kind, (CLIENTS / language / "README.md").read_text(), re.S)


# Each returns (driver, what submits, worker), as command lines. The two from the README are built as a user of the package would.

def build_python(folder, fast):
    programs = []
    for i, text in enumerate(blocks("python", "python")):
        programs.append(folder / ("%d.py" % i))
        programs[-1].write_text("import sys\nsys.path.insert(0, %r)\n%s" % (str(CLIENTS / "python/src"), text))
    return ["/usr/bin/python3", CLIENTS / "python/conformance.py", "sync"], ["/usr/bin/python3", programs[0]], ["/usr/bin/python3", programs[-1]]


def build_asyncio(folder, fast):
    driver, _, worker = build_python(folder, fast)
    return [*driver[:-1], "asyncio"], ["/usr/bin/python3", folder / "1.py"], worker


def compile_typescript(folder):
    """Programs of a user, in folder, beside the package in its node_modules."""
    (folder / "package.json").write_text('{"type": "module"}')
    run(["tsc", "--target", "es2022", "--module", "es2022", "--moduleResolution", "node", "--strict", *folder.glob("?.ts")])


def build_typescript(folder, fast):
    package = folder / "node_modules/jobmill"
    run(["tsc", "--project", CLIENTS / "typescript", "--outDir", package / "dist"])
    shutil.copy(CLIENTS / "typescript/package.json", package)
    programs = []
    for i, text in enumerate(blocks("typescript", "ts")):
        (folder / ("%d.ts" % i)).write_text(text)
        programs.append(["node", folder / ("%d.js" % i)])
    compile_typescript(folder)
    return ["node", package / "dist/conformance.js"], programs[0], programs[-1]


def go_environment(folder):
    return {"GOFLAGS": "-mod=mod", "GOPROXY": "off", "GOCACHE": str(folder / "cache"), "GOPATH": str(folder / "path")}


def write_go_module(folder, name, version, place):
    """Of a user who needs another one, which lies in place."""
    (folder / "go.mod").write_text("module user\n\ngo 1.19\n\nrequire %s %s\n\nreplace %s => %s\n" % (name, version, name, place))


def build_go(folder, fast):
    write_go_module(folder, "jobmill", "v0.1.0", CLIENTS / "go")
    environment = go_environment(folder)
    programs = []
    for i, text in enumerate(blocks("go", "go")):
        (folder / str(i)).mkdir()
        (folder / str(i) / "main.go").write_text(text)
        run(["go", "build", "-o", "program-%d" % i, "./%d" % i], cwd=folder, env=environment)
        programs.append([folder / ("program-%d" % i)])
    run(["go", "build", "-o", folder, "./cmd/conformance"], cwd=CLIENTS / "go", env=environment)
    run(["go", "vet", "./..."], cwd=CLIENTS / "go", env=environment)
    return [folder / "conformance"], programs[0], programs[-1]


CARGO = ["--offline", "--config", 'source.crates-io.replace-with="debian"', "--config", 'source.debian.directory="/usr/share/cargo/registry"']


def cargo_environment(folder):
    return {"CARGO_TARGET_DIR": str(folder / "target"), "CARGO_HOME": str(folder / "home"), "CARGO_PROFILE_DEV_DEBUG": "0", "CARGO_INCREMENTAL": "0"}


def write_crate(folder, place):
    """Of a user who needs the client, which lies in place."""
    (folder / "Cargo.toml").write_text('[package]\nname = "user"\nversion = "0.1.0"\nedition = "2021"\n\n[dependencies]\njobmill = { path = "%s" }\nserde_json = "1"\n' % place)


def build_rust(folder, fast):
    """And, unless it is to be fast, its own tests, against a daemon that is played."""
    cargo = ["cargo", "build", *CARGO]
    environment = cargo_environment(folder)
    crate = folder / "crate"  # cargo leaves a Cargo.lock where it builds
    shutil.copytree(CLIENTS / "rust", crate, ignore=shutil.ignore_patterns("target"))
    (folder / "src/bin").mkdir(parents=True)
    write_crate(folder, "crate")
    for i, text in enumerate(blocks("rust", "rust")):
        (folder / ("src/bin/program-%d.rs" % i)).write_text(text)
    release = ["--release"] if fast else []
    run([*cargo, "--bins", *release], cwd=folder, env=environment)
    run([*cargo, "--examples", *release], cwd=crate, env=environment)
    if not fast:
        run(["cargo", "test", "--test", "fake", *CARGO], cwd=crate, env=environment)
    made = folder / "target" / ("release" if fast else "debug")
    return [made / "examples/conformance"], [made / "program-0"], [made / "program-1"]


LANGUAGES = {"python-sync": (None, build_python), "python-asyncio": (None, build_asyncio), "typescript": ("tsc", build_typescript), "go": ("go", build_go),
             "rust": ("cargo", build_rust)}


def build(language, folder, fast=False):
    """What its builder returns, or None where what builds it is not there. fast: for being measured, where that takes longer."""
    tool, builder = LANGUAGES[language]
    if tool and not shutil.which(tool, path=PATH):
        return None
    folder = folder / language
    folder.mkdir()
    return builder(folder, fast)


def environment(folder):
    """For a client of the daemon whose socket is in folder."""
    return {**os.environ, "PATH": PATH, "JOBMILL_RUNTIME_PATH": str(folder)}


class Driver:
    """argv: of a driver. folder: where the daemon's socket is."""

    def __init__(self, argv, folder, spawn):
        self.process = spawn(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment(folder))
        self.numbers = itertools.count(1)
        self.lines = queue.SimpleQueue()
        self.come = []
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for line in self.process.stdout:
            self.lines.put(json.loads(line))
        self.lines.put(None)

    def send(self, op, args):
        n = next(self.numbers)
        self.process.stdin.write(json.dumps({"n": n, "op": op, "args": args}) + "\n")
        self.process.stdin.flush()
        return n

    def receive(self, n, timeout):
        """The next line that is about n."""
        deadline = time.monotonic() + timeout
        while True:
            for i, line in enumerate(self.come):
                if line["n"] == n:
                    return self.come.pop(i)
            line = self.lines.get(timeout=max(0.1, deadline - time.monotonic()))
            assert line is not None, "the driver has ended with %s" % self.process.wait()
            self.come.append(line)

    def close(self):
        self.process.stdin.close()
        try:
            self.process.wait(10)
        finally:
            self.process.kill()
            self.process.wait()
            self.process.stdout.close()


# ---- what is expected ----

def mismatch(expected, value, where="value"):
    """What differs, or None."""
    if expected == "$any":
        return None
    if isinstance(expected, dict):
        if "$type" in expected:
            kind = {"integer": int, "string": str, "object": dict, "list": list}[expected["$type"]]
            return None if isinstance(value, kind) else "%s is %r, not of type %s" % (where, value, expected["$type"])
        if "$contains" in expected:
            return None if isinstance(value, str) and expected["$contains"] in value else "%s is %r, without %r" % (where, value, expected["$contains"])
        if not isinstance(value, dict):
            return "%s is %r, not an object" % (where, value)
        for key, e in expected.items():
            if e == {"$absent": True}:
                if key in value:
                    return "%s.%s is there: %r" % (where, key, value[key])
            elif key not in value:
                return "%s.%s is not there: %r" % (where, key, value)
            elif found := mismatch(e, value[key], "%s.%s" % (where, key)):
                return found
        return None
    if isinstance(expected, list):
        if not isinstance(value, list) or len(value) != len(expected):
            return "%s is %r, not %d values" % (where, value, len(expected))
        return next(filter(None, (mismatch(e, v, "%s[%d]" % (where, i)) for i, (e, v) in enumerate(zip(expected, value)))), None)
    return None if expected == value else "%s is %r, not %r" % (where, value, expected)


class Play:
    """A case with a driver. daemon: kill, stop, start; raw(method, parameters): a call of the runner's own."""

    def __init__(self, driver, daemon, raw, patience):
        self.driver, self.daemon, self.raw, self.patience = driver, daemon, raw, patience
        # What would be long in a file.
        self.known = {
            "many": [{"argv": ["true"], "name": "many", "hold": True}] * 2500, "all": [{}] * 2500,
            "work": [{"queue": "w", "argv": ["x"]}] * 2000, "work_done": [{}] * 2000,
            "long_verdict": json.dumps({"return": {"success": True, "x": "y" * (70 << 10)}}), "megabyte": "x" * (1 << 20),
            "long_error": json.dumps({"raise": "€" * 3000}), "deep_verdict": '{"return": {"success": true, "x": %s1%s}}' % ("[" * 100, "]" * 100)}

    def filled(self, text):
        """With what is known in the place of "$name"."""
        if isinstance(text, dict):
            return {k if k.startswith("$") else self.filled(k): self.filled(v) for k, v in text.items()}
        if isinstance(text, list):
            return [self.filled(v) for v in text]
        if not isinstance(text, str) or not text.startswith("$") or text == "$any":
            return text
        name, *keys = text[1:].split(".")
        value = self.known[name]
        for key in keys:
            value = value[int(key) if isinstance(value, list) else key]
        return value

    def compare(self, step, answer):
        """What differs, or None; remembers what is to be known later."""
        if "error" in step:
            if answer.get("error") != step["error"]:
                return "answered %r, not the error %s" % (answer, step["error"])
            return mismatch(self.filled(step.get("says", {})), answer, "error")
        if "value" not in answer:
            return "answered %r" % answer
        if step.get("as") and "send" not in step:
            self.known[step["as"]] = answer["value"]
        return mismatch(self.filled(step["value"]), answer["value"]) if "value" in step else None

    def step(self, step):
        args = self.filled(step.get("args", {}))
        if "call" in step:
            return self.compare(step, self.driver.receive(self.driver.send(step["call"], args), self.patience))
        if "send" in step:
            n = self.known[step["as"]] = self.driver.send(step["send"], args)
            if step["send"] == "events":
                line = self.driver.receive(n, self.patience)
                if "ready" not in line:  # it is the answer already
                    self.driver.come.append(line)
        elif "receive" in step:
            return self.compare(step, self.driver.receive(self.known[step["receive"]], self.patience))
        elif "abandon" in step:
            self.driver.receive(self.driver.send("abandon", {"n": self.known[step["abandon"]]}), self.patience)
        elif "until" in step:
            deadline = time.monotonic() + self.patience
            while found := self.compare(step, self.driver.receive(self.driver.send(step["until"], args), self.patience)):
                assert time.monotonic() < deadline, found
                time.sleep(0.02)
        elif "daemon" in step:
            self.daemon(step["daemon"])
        elif "sleep" in step:
            time.sleep(step["sleep"])
        elif "raw" in step:
            return self.compare(step, {"value": self.raw(step["raw"], args)})
        else:
            raise ValueError(step)
        return None

    def run(self, steps):
        for i, step in enumerate(steps):
            found = self.step(step)
            assert not found, "step %d %s: %s" % (i, step, found)
