# SPDX-License-Identifier: LGPL-2.1-or-later
"""Jobs of all kinds, round after round, while at random the daemon is killed, stopped, restarted and reloaded, the bus killed, PID 1
reloaded and re-executed, and units of jobs stopped, killed and frozen behind the daemon's back.

    JOBMILL_SOAK_SECONDS=60     how long
    JOBMILL_SOAK_KILLS=10000    or until the daemon was killed so often while it was at work; kills in its start are counted apart
    JOBMILL_SOAK_SEED=N         the same disturbances once more; a failure prints it"""

import os
import pathlib
import random
import shutil
import signal
import threading
import time

import pytest

from mill import SANITIZERS, job_units, run, systemctl, unit_properties
from workload import Workload, workers, write_queues

SECONDS = float(os.environ.get("JOBMILL_SOAK_SECONDS", 20 if SANITIZERS else 60))
KILLS = int(os.environ.get("JOBMILL_SOAK_KILLS", 0))
DROP_INS = pathlib.Path("/run/systemd/system")
PROCESSES = pathlib.Path("/sys/fs/cgroup/system.slice/jobmilld.service/cgroup.procs")

pytestmark = pytest.mark.system_only


class Saboteur(threading.Thread):
    """Asks PID 1 only, over its private socket."""

    def __init__(self, seed):
        super().__init__()
        self.dice = random.Random(seed)
        self.over = threading.Event()
        self.done = []       # what was done
        self.kills = self.early = 0
        self.killed = 0      # the last one, which may take a moment to die
        self.victims = set() # units that somebody else ended: their results are as they are
        self.error = None

    def daemon_signal(self, sig):
        systemctl("kill", "--signal=%d" % sig, "jobmilld.service", check=False)

    def process(self, patience=5):
        """A daemon that is not dead; 0: there is none."""
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline and not self.over.is_set():
            try:
                pid = int(PROCESSES.read_text().split()[0])
                if pid != self.killed and pathlib.Path("/proc/%d/stat" % pid).read_text().rpartition(")")[2].split()[0] not in "ZX":
                    return pid
            except (OSError, IndexError):
                pass
            time.sleep(0.005)
        return 0

    def at_work(self, pid):
        """It has told PID 1 that it is ready: the store is loaded and the bus name is its own."""
        p = unit_properties("jobmilld.service", "MainPID", "ActiveState", "SubState")
        return p.get("MainPID") == str(pid) and p.get("ActiveState") == "active" and p.get("SubState") == "running"

    def kill(self):
        """Mostly in the middle of its work, one time in ten wherever it is."""
        early = self.dice.random() < 0.1
        life = self.dice.choice([self.dice.uniform(0, 0.05), self.dice.uniform(0, 0.15), self.dice.uniform(0.1, 0.5)])
        pid = self.process() if early else self.wait_for_it()
        time.sleep(life)
        if pid:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                return
            self.killed = pid
            self.kills += not early
            self.early += early

    def hang(self):
        self.daemon_signal(signal.SIGSTOP)
        time.sleep(self.dice.uniform(0.1, 1))
        self.daemon_signal(signal.SIGCONT)

    def wait_for_it(self, patience=5):
        """The process of a daemon that is at work. 0: there is none yet."""
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline and not self.over.is_set():
            pid = self.process()
            if pid and self.at_work(pid):
                return pid
            time.sleep(0.01)
        return 0

    def restart(self):
        self.wait_for_it()
        systemctl("restart", "jobmilld.service", check=False)

    def away(self):
        # Before 257, a stop in the moment of an automatic restart, which a start (by the bus) then replaces, leaves systemd with
        # a job that waits for ever (systemd issue 33890).
        self.wait_for_it()
        systemctl("stop", "jobmilld.service", check=False)
        time.sleep(self.dice.uniform(0, 1))
        systemctl("start", "jobmilld.service", check=False)

    def reload(self):
        self.daemon_signal(signal.SIGHUP)

    def bus(self):
        systemctl("kill", "--signal=KILL", "dbus.service", check=False)
        systemctl("reset-failed", "dbus.service", check=False)
        systemctl("start", "dbus.service", check=False)

    def manager_reload(self):
        systemctl("daemon-reload", check=False)

    def manager_reexec(self):
        systemctl("daemon-reexec", check=False)

    def a_unit(self):
        units = sorted(job_units())
        return self.dice.choice(units) if units else None

    def unit_stop(self):
        unit = self.a_unit()
        if unit:
            self.victims.add(unit)
            systemctl("stop", "--no-block", unit, check=False)

    def unit_kill(self):
        unit = self.a_unit()
        if unit:
            self.victims.add(unit)
            systemctl("kill", "--signal=%d" % self.dice.choice([signal.SIGKILL, signal.SIGTERM]), unit, check=False)

    def unit_freeze(self):
        unit = self.a_unit()
        if unit:
            self.victims.add(unit)  # what has a net under its time-out may get stuck in it, and times out
            systemctl("freeze", unit, check=False)
            time.sleep(self.dice.uniform(0, 0.5))
            systemctl("thaw", unit, check=False)

    def unit_restart(self):
        unit = self.a_unit()
        if unit:
            self.victims.add(unit)
            systemctl("restart", "--no-block", unit, check=False)

    def reset_failed(self):
        systemctl("reset-failed", check=False)

    WEIGHTS = {"kill": 100, "hang": 3, "restart": 3, "away": 3, "reload": 4, "bus": 2, "manager_reload": 3, "manager_reexec": 3,
               "unit_stop": 3, "unit_kill": 3, "unit_freeze": 3, "unit_restart": 3, "reset_failed": 1}

    def run(self):
        try:
            while not self.over.is_set():
                what = self.dice.choices(list(self.WEIGHTS), list(self.WEIGHTS.values()))[0]
                self.done.append(what)
                getattr(self, what)()
        except BaseException as e:  # told by the test
            self.error = e


@pytest.fixture
def indestructible(mill):
    """Killed more often than systemd puts up with."""
    write_queues(mill)
    mill.call("PurgeJobs", {"state": "done"})  # of other tests: at the end no rows may be left
    drop_ins = {DROP_INS / "jobmilld.service.d/soak.conf": "[Unit]\nStartLimitIntervalSec=0\n[Service]\nRestartSec=10ms\n",
                DROP_INS / "dbus.service.d/soak.conf": "[Unit]\nStartLimitIntervalSec=0\n"}
    for path, text in drop_ins.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    systemctl("daemon-reload")
    systemctl("restart", "jobmilld.service")
    with workers():
        yield
    for path in drop_ins:
        path.unlink()
    systemctl("daemon-reload")
    systemctl("restart", "jobmilld.service")
    mill.forget_users()


def a_round(mill, folder, saboteur):
    w = Workload(mill, folder)
    w.submit_all()
    w.act()
    w.finish(180)
    # Those whose units somebody took in his hands have a result, whatever it is; and they have run at most once.
    victims = {unit.rpartition(".")[0] + ".service" for unit in saboteur.victims}  # or scopes
    for job in w.jobs:
        if any(mill.unit(job.id, n) in victims for n in range(1, job.attempts + 1)):
            job.results, job.runs, job.kind, job.files = None, None, job.kind + ", disturbed", {}
    return w


def test_soak(mill, folder, indestructible):
    seed = int(os.environ.get("JOBMILL_SOAK_SEED", 0)) or random.randrange(1, 1 << 32)
    saboteur = Saboteur(seed)
    rounds = jobs = 0
    begin = told = time.monotonic()
    saboteur.start()
    try:
        while saboteur.is_alive() and (saboteur.kills < KILLS if KILLS else time.monotonic() - begin < SECONDS):
            place = folder / ("round-%d" % rounds)
            place.mkdir()
            w = a_round(mill, place, saboteur)
            w.check()
            rounds += 1
            jobs += len(w.jobs)
            w.purge_all()
            shutil.rmtree(place)
            if KILLS and time.monotonic() - told > 60:
                told = time.monotonic()
                print("soak: seed %d: %d s, %d rounds, %d jobs, %d kills" % (seed, told - begin, rounds, jobs, saboteur.kills), flush=True)
    except BaseException:
        print("JOBMILL_SOAK_SEED=%d, round %d, %d kills, the last things done: %s" % (seed, rounds, saboteur.kills, saboteur.done[-12:]))
        for what in ("list-jobs", ), ("status", "--lines=0", "jobmilld.service", "dbus.service"):
            print(run("systemctl", "--no-pager", *what, check=False).stdout)
        raise
    finally:
        saboteur.over.set()
        saboteur.join()
    assert not saboteur.error, saboteur.error
    systemctl("start", "dbus.service", "jobmilld.service")
    systemctl("reset-failed", "systemd-logind.service", check=False)  # which ends with each bus, and has met its start limit by now
    systemctl("restart", "systemd-logind.service", check=False)
    mill.settled()
    w.folder.mkdir()
    w.nothing_left()
    w.nothing_stored()
    print("\nsoak: seed %d: %d s, %d rounds, %d jobs, %d kills at work and %d in the start, %d other disturbances, no promise broken" %
          (seed, time.monotonic() - begin, rounds, jobs, saboteur.kills, saboteur.early,
           sum(what != "kill" for what in saboteur.done)))
    assert run("systemctl", "is-system-running", check=False).stdout.strip() in ("running", "degraded", "starting")
