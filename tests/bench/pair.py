# SPDX-License-Identifier: LGPL-2.1-or-later
"""A jobmilld of its own on a bus of its own, so that two stores can be asked by turns, call for call: what else the machine does
meanwhile slows both alike. There is no systemd on that bus, so it takes jobs and answers, and starts none."""

import os
import pathlib
import subprocess
import time

import dbus
import dbus.bus

BUILD = pathlib.Path(os.environ["JOBMILL_BUILD"])
BUS_CONFIG = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>system</type>
  <listen>unix:path=%s</listen>
  <auth>EXTERNAL</auth>
  <policy context="default"><allow user="*"/><allow own="*"/><allow send_destination="*"/><allow eavesdrop="false"/></policy>
</busconfig>
"""


def call(bus, member, signature, arguments):
    return bus.call_blocking("org.jobmill1", "/org/jobmill1", "org.jobmill1.Manager", member, signature, arguments)


def page(bus, filter_):
    """The milliseconds of one call for a page of 20, of however few it finds."""
    order, filter_ = filter_.get("order", "newest"), {k: v for k, v in filter_.items() if k != "order"}
    arguments = dbus.Dictionary({"order": order, **filter_}, signature="sv"), "", dbus.UInt32(20)
    begin = time.monotonic()
    call(bus, "ListJobs", "a{sv}su", arguments)
    return (time.monotonic() - begin) * 1e3


class Side:
    def __init__(self, name, state):
        self.folder = pathlib.Path("/run/jobmill-bench") / name
        self.queues = self.folder / "config/queues"
        self.queues.mkdir(parents=True)
        (self.folder / "run").mkdir()
        address = "unix:path=%s/bus" % self.folder
        (self.folder / "bus.conf").write_text(BUS_CONFIG % (self.folder / "bus"))
        self.bus_process = subprocess.Popen(["dbus-daemon", "--nofork", "--print-address=1", "--config-file=%s" % (self.folder / "bus.conf")],
                                            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.bus_process.stdout.readline()
        self.environment = {**os.environ, "DBUS_SYSTEM_BUS_ADDRESS": address, "STATE_DIRECTORY": str(state),
                            "JOBMILL_RUNTIME_PATH": str(self.folder / "run"), "JOBMILL_CONFIG_PATH": str(self.folder / "config"),
                            "JOBMILL_UNIT_PATH": str(self.folder / "units")}
        self.bus = dbus.bus.BusConnection(address)
        self.process = None

    def start(self):
        with open(self.folder / "log", "w") as log:
            self.process = subprocess.Popen([BUILD / "src/jobmilld"], env=self.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        while not self.bus.name_has_owner("org.jobmill1"):
            if self.process.poll() is not None:
                raise SystemExit(self.log())
            time.sleep(0.01)

    def end(self):
        for process in self.process, self.bus_process:
            process.terminate()
            process.wait()

    def log(self):
        return (self.folder / "log").read_text()

    def call(self, member):
        return call(self.bus, member, "", ())

    def page(self, filter_):
        return page(self.bus, filter_)

    def submit(self, queue, jobs):
        """Jobs a second."""
        out = subprocess.run([BUILD / "tests/bench/submit-many", "--hold", queue, str(jobs)], env=self.environment, check=True,
                             stdout=subprocess.PIPE, text=True).stdout
        return jobs / float(out)
