# SPDX-License-Identifier: LGPL-2.1-or-later
"""A Slurm of our own on loopback: munged, slurmctld and some slurmd, each of which can be killed and started again."""

import json
import os
import pathlib
import signal
import socket
import subprocess
import tempfile


CONF = """ClusterName=test
SlurmctldHost=%(host)s(127.0.0.1)
SlurmctldPort=%(port)d
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket=%(dir)s/munge.socket
CredType=cred/munge
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SlurmdParameters=config_overrides
MpiDefault=none
ReturnToService=2
JobCompType=jobcomp/none
KillWait=5
MinJobAge=%(age)d
SlurmdTimeout=20
StateSaveLocation=%(dir)s/state
SlurmdSpoolDir=%(dir)s/spool-%%n
SlurmctldPidFile=%(dir)s/slurmctld.pid
SlurmdPidFile=%(dir)s/slurmd-%%n.pid
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
DefMemPerCPU=1
SchedulerParameters=sched_interval=1,batch_sched_delay=0,sched_max_job_start=0,partition_job_depth=0,sched_min_interval=0
NodeName=n[1-2] NodeHostname=%(host)s NodeAddr=127.0.0.1 Port=[%(first)d-%(last)d] CPUs=%(cpus)d RealMemory=100000 State=UNKNOWN
PartitionName=batch Nodes=n[1-2] Default=YES MaxTime=INFINITE State=UP
PartitionName=closed Nodes=n1 State=DOWN
"""
PORT = 17717


class Cluster:
    """Nothing runs until start()."""

    def __init__(self, until, cpus=16, age=300, **popen):
        """until(condition, seconds, what); popen: how its daemons are started."""
        self.until, self.popen = until, popen
        # A machine with 127.0.0.1 alone has no address to the resolver, and Slurm finds no host then.
        subprocess.run(["ip", "address", "add", "127.0.0.2/8", "dev", "lo"], stderr=subprocess.DEVNULL, check=False)
        self.path = pathlib.Path(tempfile.mkdtemp(prefix="jobmill-slurm-"))
        self.processes = {}
        os.chmod(self.path, 0o755)
        (self.path / "state").mkdir()
        # What nodes share: everybody's.
        self.shared = self.path / "shared"
        self.shared.mkdir()
        os.chmod(self.shared, 0o1777)
        (self.path / "slurm.conf").write_text(CONF % {
            "host": socket.gethostname(), "dir": self.path, "cpus": cpus, "age": age, "port": PORT, "first": PORT + 1, "last": PORT + 2})
        (self.path / "cgroup.conf").write_text("CgroupPlugin=cgroup/v1\n")
        (self.path / "munge.key").write_bytes(os.urandom(128))
        os.chmod(self.path / "munge.key", 0o400)
        self.environment = {**os.environ, "SLURM_CONF": str(self.path / "slurm.conf")}

    def run(self, *argv, check=True):
        p = subprocess.run([str(a) for a in argv], env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60, check=False)
        assert p.returncode == 0 or not check, (argv, p.stdout)
        return p.stdout

    def command(self, name):
        p = self.path
        if name == "munged":
            return ["munged", "--foreground", "--force", "--socket=%s/munge.socket" % p, "--key-file=%s/munge.key" % p, "--pid-file=%s/munged.pid" % p,
                    "--log-file=%s/munged.own.log" % p, "--seed-file=%s/munged.seed" % p]
        return ["slurmctld", "-D"] if name == "slurmctld" else ["slurmd", "-D", "-N", name]

    def start(self, *names):
        for name in names or ("munged", "slurmctld", "n1", "n2"):
            with open(self.path / (name + ".log"), "ab") as log:
                self.processes[name] = subprocess.Popen(self.command(name), **self.popen, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=self.environment)
            if name == "munged":
                self.until((self.path / "munge.socket").exists, 20, name)
            if name == "slurmctld":
                self.until(lambda: "is UP" in self.run("scontrol", "ping", check=False), 60, name)
        if not names:
            self.until(lambda: self.run("sinfo", "-h", "-N", "-p", "batch", "-o", "%T").split() == ["idle"] * 2, 60, "nodes")

    def kill(self, *names):
        for name in names:
            p = self.processes.pop(name)
            p.send_signal(signal.SIGKILL)
            p.wait()

    def jobs(self):
        return json.loads(self.run("squeue", "--json"))["jobs"]

    def end(self):
        if "slurmctld" in self.processes and "munged" in self.processes:
            for name in "n1", "n2":  # whose end takes what their jobs are along
                if name not in self.processes:
                    self.start(name)
            self.run("scancel", "--state=RUNNING", check=False)
            self.run("scancel", "--state=PENDING", check=False)
            self.until(lambda: not self.run("squeue", "-h", check=False).strip(), 30, "jobs are gone")
        self.kill(*list(self.processes))
        subprocess.run(["rm", "-rf", self.path], check=True)
