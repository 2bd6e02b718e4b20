# SPDX-License-Identifier: LGPL-2.1-or-later
"""Everything that jobmilld offers on the bus and the socket is called with arguments that nobody thought of (random_calls.py), as a plain
user and as root. It lives on, answers each call, never by "Failed" or a bare errno, leaks nothing; and what belongs to others stays as
it was when the caller is nobody.

JOBMILL_RANDOM_CALLS: how many calls, in each of the four parts; JOBMILL_RANDOM_SEED: which. A failure prints the seed."""

import contextlib
import json
import os
import pathlib
import random
import re
import subprocess

import pytest

import client
from mill import PYTHON, SLOW, SOURCE, BusError, nothing_bad_in_the_journal, run, systemctl, unit_properties, until

pytestmark = pytest.mark.system_only
TEXT = (pathlib.Path(__file__).parent / "random_calls.py").read_text()  # she may not be able to read it where it lies
CALLS = int(os.environ.get("JOBMILL_RANDOM_CALLS", "800"))
SEED = int(os.environ.get("JOBMILL_RANDOM_SEED") or (random.randrange(10**6) if CALLS > 800 else 1))

# Of a job that runs: what it has used by now, and how long it took.
MOVES = re.compile(r"cpu_usec|memory_peak|runtime_usec|wait_usec|tasks_peak|io_.*")


def known_keys():
    """{"spec"|"filter"|"settings": {key: [types]}}: the interface's, and those of the manual pages of queues and schedules."""
    text = (SOURCE / "src/api/org.jobmill.varlink").read_text()
    of = {"string": ["s"], "int": ["u", "t", "i"], "bool": ["b"], "float": ["d"], "[]string": ["as"], "[]int": ["at", "au"],
          "[string]string": ["a{ss}"], "[]object": ["a(ts)"], "object": ["v"]}

    def fields(name):
        found = re.findall(r"^  (\w+): \??([^,\n]+)", re.search(r"^type %s \((.*?)^\)" % name, text, re.S | re.M)[1], re.M)
        return {k: [client.TYPES[k]] if k in client.TYPES and name == "Spec" else of[t] + of[t.removeprefix("[]")] for k, t in found}

    pages = "".join((SOURCE / "docs/man" / p).read_text() for p in ("jobmill.queue.5.scd", "jobmill.job.5.scd"))
    settings = {k: ["s"] for k in re.findall(r"\*([A-Z][A-Za-z]+)=", pages)} | {"OnCalendar": ["as"], "Job": ["a{sv}"], "Service.MemoryMax": ["s"], "Slice.CPUWeight": ["s"]}
    spec = fields("Spec") | {"credentials": ["a{say}"], "payload": ["ay"]}
    assert len(spec) > 40 and len(settings) > 50 and "argv" in spec and "Slots" in settings
    return {"spec": spec, "filter": fields("Filter"), "settings": settings}


class Scene:
    """What belongs to bob and to root, and how it was before."""

    def __init__(self, mill):
        self.mill = mill
        for name, who in (("calls", "*"), ("calls-low", "*"), ("bobs", "bob"), ("others", "bob")):
            mill.write_queue(name, "Slots=4", "AllowUsers=" + who, "MaxQueuedPerUser=300")
        bob = mill.user("bob")
        self.running = bob.submit("sleep 5000", "bobs", tags={"of": "bob"})
        held = bob.submit("true", "bobs", hold=True)
        self.jobs = [self.running, held, bob.submit("true", "calls", hold=True), bob.submit("true", "bobs", after=[[held, "end"]]),
                     bob.submit("exit 3", "bobs"), mill.submit("sleep 5000", "bobs"), mill.submit("true", hold=True)]
        mill.call("SetSchedule", "of-root", client.options({"OnCalendar": client.dbus.Array(["2099-01-01"], signature="s"), "Job": {"argv": ["/bin/true"], "queue": "bobs"}}))
        mill.wait(self.jobs[4])
        mill.reach(self.running, "running")
        mill.reach(self.jobs[5], "running")
        alice = mill.user("alice")
        self.of_alice = self.some_jobs(alice)
        self.pid = mill.daemon_pid()
        self.before = self.look()

    @staticmethod
    def some_jobs(who):
        return [who.submit(c, "calls", hold=h) for c, h in (("true", False), ("exit 3", False), ("sleep 5000", False), ("true", True))]

    def look(self):
        """All of theirs that can be seen."""
        m = self.mill
        jobs = {i: {k: v for k, v in m.info(i).items() if not MOVES.fullmatch(k)} for i in self.jobs}
        pids = [m.main_pid(i) for i in (self.running, self.jobs[5])]
        queues = {name: [m._client.get(path, client.NAME + ".Queue", p) for p in ("Settings", "Files", "Paused", "Draining")] for name, path in m.call("ListQueues")}
        schedules = [{k: v for k, v in s.items() if k in ("name", "owner", "paused", "job", "calendar", "firings")} for s in m.call("ListSchedules") if s["owner"] == 0]
        files = {str(f): f.read_bytes() for d in ("/etc/jobmill", "/run/jobmill/queues", "/run/jobmill/jobs") for f in pathlib.Path(d).rglob("*") if f.is_file()}
        return {"jobs": jobs, "pids": pids, "queues": queues, "schedules": schedules, "files": files}

    def leave(self):
        """As if nobody had been here: root's calls have changed whatever can be changed."""
        m = self.mill
        for s in m.call("ListSchedules"):
            with contextlib.suppress(BusError):
                m.call("RemoveSchedule", s["name"])
        for name, _ in m.call("ListQueues"):
            m.call("ResumeQueue", name)
        m.drop_everything()
        for d in ("/run/jobmill/queues", "/etc/jobmill/queues"):
            for f in [f for f in pathlib.Path(d).rglob("*") if f.is_file()]:
                f.unlink()
        m.remove_queues()
        m.call("Reload")
        m.restart_daemon()  # the level of its log, too
        until(lambda: m.stats()["ready"] == 0 and m.stats()["attempts"] == 0, 60, lambda: m.stats())
        m.call("PurgeJobs", {"state": "done"})


@pytest.fixture(scope="module")
def scene(mill):
    s = Scene(mill)
    yield s
    s.leave()


def random_calls(scene, user, what):
    """The report of the caller, in which nothing is bad."""
    own = scene.of_alice if user == "alice" else scene.some_jobs(scene.mill)
    config = {"ids": [*scene.jobs, *own, *own], "names": ["calls", "calls-low", "calls", "bobs", "of-root", "calls-new", "mine"],
              "keys": known_keys(), "patience": 60 * SLOW}
    if user == "alice":
        config["names"].append("default")  # what root may do to it, other tests would feel
    out = run("setpriv", "--reuid", user, "--regid", user, "--init-groups", PYTHON, "-c", TEXT, what, SEED, CALLS, json.dumps(config), timeout=120 + CALLS, cwd="/")
    report = json.loads(out)
    told = "seed %d: %s\nerrors: %s\nlast: %s" % (SEED, "\n".join(report["bad"]), report["errors"], "\n".join(report["last"][-20:]))
    assert scene.mill.daemon_pid() == scene.pid, "jobmilld has died: " + told
    assert not report["bad"], told
    return report


def differences(where, a, b):
    if isinstance(a, dict) and isinstance(b, dict):
        for k in {*a, *b}:
            yield from differences("%s %s" % (where, k), a.get(k), b.get(k))
    elif a != b:
        yield "%s: %r is now %r" % (where, a, b)


def lives_on(mill):
    """It serves others, its store is as it must be, and its books agree with the units."""
    until(lambda: mill.stats()["dispatch"] == "", 20, lambda: mill.stats()["dispatch"])
    assert mill.wait(mill.user("bob").submit("true", "others"), 30)["result"] == "success"
    assert mill.tool("check").returncode == 0, mill.tool("check").stdout


def enough(report, methods, figure):
    """The calls came to something: all methods, good answers and refusals of many kinds."""
    missing = methods - set(report["done"])
    assert not missing, missing
    assert report["errors"]["none"] > report["calls"] * 0.1, report["errors"]
    assert len(report["errors"]) >= 10, report["errors"]
    figure("%d calls of %d methods, seed %d: %d were carried out, the rest refused by %d names"
           % (report["calls"], len(report["done"]), SEED, report["errors"]["none"], len(report["errors"]) - 1))


METHODS = {"bus": set(client.METHODS), "socket": set(re.findall(r"^method (\w+)", (SOURCE / "src/api/org.jobmill.varlink").read_text(), re.M))}


@pytest.mark.parametrize("what", METHODS)
def test_as_a_user(mill, scene, figure, what):
    report = random_calls(scene, "alice", what)
    lives_on(mill)
    after = scene.look()
    changed = list(differences("", scene.before, after))
    assert not changed, "seed %d: what is not alice's has changed: %s" % (SEED, changed)
    enough(report, METHODS[what], figure)


@pytest.mark.parametrize("what", METHODS)
def test_as_root(mill, scene, figure, what):
    """All that is nobody else's here may change. bob can go on."""
    report = random_calls(scene, "root", what)
    for name, _ in mill.call("ListQueues"):
        mill.call("ResumeQueue", name)  # before its file is gone
    for f in [*pathlib.Path("/etc/jobmill").rglob("*.queue.d/*.conf"), *pathlib.Path("/run/jobmill/queues").rglob("*.conf")]:
        f.unlink()
    mill.call("Reload")
    lives_on(mill)
    enough(report, METHODS[what], figure)


def test_nothing_is_left_of_it(mill, scene):
    """Its end, after all that, is in order; under a sanitizer it says what leaked."""
    systemctl("stop", "jobmilld.service")
    p = unit_properties("jobmilld.service", "Result", "ExecMainCode", "ExecMainStatus")
    systemctl("start", "jobmilld.service")
    scene.pid = mill.daemon_pid()
    assert p == {"Result": "success", "ExecMainCode": "1", "ExecMainStatus": "0"}
    nothing_bad_in_the_journal()
