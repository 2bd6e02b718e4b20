# SPDX-License-Identifier: LGPL-2.1-or-later
"""Jobs of all kinds, round after round, while at random the daemon is killed, stopped, restarted and reloaded, the bus killed, PID 1
reloaded and re-executed, and units of jobs stopped, killed and frozen behind the daemon's back.

    JOBMILL_SOAK_SECONDS=60     how long
    JOBMILL_SOAK_KILLS=10000    or until so many kills
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
from workload import CAP, SMALL_CAP, Workload

SECONDS = float(os.environ.get("JOBMILL_SOAK_SECONDS", 20 if SANITIZERS else 60))
KILLS = int(os.environ.get("JOBMILL_SOAK_KILLS", 0))
DROP_IN = pathlib.Path("/run/systemd/system/jobmilld.service.d/soak.conf")

pytestmark = pytest.mark.system_only


class Saboteur(threading.Thread):
    """Asks PID 1 only, over its private socket."""

    def __init__(self, seed):
        super().__init__()
        self.dice = random.Random(seed)
        self.over = threading.Event()
        self.done = []       # what was done
        self.victims = set() # units that somebody else ended: their results are as they are
        self.error = None

    def daemon_signal(self, sig):
        systemctl("kill", "--signal=%d" % sig, "jobmilld.service", check=False)

    def kill(self):
        self.daemon_signal(signal.SIGKILL)

    def hang(self):
        self.daemon_signal(signal.SIGSTOP)
        time.sleep(self.dice.uniform(0.1, 1))
        self.daemon_signal(signal.SIGCONT)

    def restart(self):
        systemctl("restart", "jobmilld.service", check=False)

    def away(self):
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

    WEIGHTS = {"kill": 12, "hang": 2, "restart": 3, "away": 2, "reload": 3, "bus": 2, "manager_reload": 2, "manager_reexec": 2,
               "unit_stop": 2, "unit_kill": 2, "unit_freeze": 2, "unit_restart": 2, "reset_failed": 1}

    def run(self):
        try:
            while not self.over.wait(self.dice.uniform(0, 0.4)):
                what = self.dice.choices(list(self.WEIGHTS), list(self.WEIGHTS.values()))[0]
                getattr(self, what)()
                self.done.append(what)
        except BaseException as e:  # told by the test
            self.error = e


@pytest.fixture
def indestructible(mill):
    """Killed more often than systemd puts up with."""
    mill.write_queue("crash", "Slots=%d" % CAP, reload=False)
    mill.write_queue("crash-small", "Slots=%d" % SMALL_CAP, reload=False)
    mill.write_queue("crash-other", "Slots=4", reload=False)
    DROP_IN.parent.mkdir(parents=True, exist_ok=True)
    DROP_IN.write_text("[Unit]\nStartLimitIntervalSec=0\n[Service]\nRestartSec=20ms\n")
    bus = pathlib.Path("/run/systemd/system/dbus.service.d/soak.conf")
    bus.parent.mkdir(exist_ok=True)
    bus.write_text("[Unit]\nStartLimitIntervalSec=0\n")
    systemctl("daemon-reload")
    systemctl("restart", "jobmilld.service")
    yield
    DROP_IN.unlink()
    bus.unlink()
    systemctl("daemon-reload")
    systemctl("restart", "jobmilld.service")
    mill.forget_users()


def a_round(mill, folder, saboteur):
    w = Workload(mill, folder)
    for _ in range(3):
        w.submit_all()
        w.act()
    w.finish(120)
    # Those whose units somebody took in his hands have a result, whatever it is; and they have run at most once.
    for job in w.jobs:
        if mill.unit(job.id) in saboteur.victims:
            job.results, job.runs, job.kind = None, None, job.kind + ", disturbed"
    return w


def test_soak(mill, folder, indestructible):
    seed = int(os.environ.get("JOBMILL_SOAK_SEED", 0)) or random.randrange(1, 1 << 32)
    saboteur = Saboteur(seed)
    rounds = jobs = 0
    begin = time.monotonic()
    saboteur.start()
    try:
        while saboteur.is_alive() and (saboteur.done.count("kill") < KILLS if KILLS else time.monotonic() - begin < SECONDS):
            place = folder / ("round-%d" % rounds)
            place.mkdir()
            w = a_round(mill, place, saboteur)
            w.check()
            rounds += 1
            jobs += len(w.jobs)
            shutil.rmtree(place)
    except BaseException:
        print("JOBMILL_SOAK_SEED=%d, round %d, the last things done: %s" % (seed, rounds, saboteur.done[-12:]))
        raise
    finally:
        saboteur.over.set()
        saboteur.join()
    assert not saboteur.error, saboteur.error
    systemctl("start", "dbus.service", "jobmilld.service")
    mill.settled()
    w.nothing_left()
    print("\nsoak: seed %d: %d rounds, %d jobs, %d disturbances, %d of them kills, no promise broken" %
          (seed, rounds, jobs, len(saboteur.done), saboteur.done.count("kill")))
    assert run("systemctl", "is-system-running", check=False).stdout.strip() in ("running", "degraded", "starting")
