# SPDX-License-Identifier: LGPL-2.1-or-later
"""A virtual machine with Debian, a real systemd and the build in it, for what a container cannot show: its own clock, suspend,
power cuts, reboots, all cgroup controllers. qemu, with KVM where that works, else without (slow: a boot takes half a
minute). No network. Commands go in and out over a serial line (agent.py).

Everything lies in a folder of its own that is removed at the end; qemu dies with us, however we end."""

import contextlib
import ctypes
import json
import os
import pathlib
import queue
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
CACHE = pathlib.Path(os.environ.get("JOBMILL_VM_CACHE", "/var/tmp/jobmill-vm"))
BOOT_TIMEOUT = 600


def die_with_parent():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    os.setsid()  # ^C is for us


def kvm_works():
    """/dev/kvm may be there and yet not boot a kernel: let it print one line."""
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return False
    verdict = CACHE / "kvm"
    if verdict.exists():
        return verdict.read_text() == "yes"
    with contextlib.suppress(subprocess.TimeoutExpired):
        p = subprocess.run(["qemu-system-x86_64", "-accel", "kvm", "-cpu", "host", "-m", "256", "-nodefaults", "-display", "none",
                            "-no-reboot", "-serial", "stdio", "-kernel", CACHE / "vmlinuz", "-append", "console=ttyS0 panic=-1"],
                           stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=30,
                           preexec_fn=die_with_parent)
        if b"Unable to mount root" in p.stdout:
            verdict.write_text("yes")
            return True
    verdict.write_text("no")
    return False


def fetch():
    """Packages and kernel; from Debian's archive the first time only."""
    subprocess.run([HERE / "image", "fetch", CACHE], check=True)


@contextlib.contextmanager
def folder():
    """For the disks and sockets of one run. Those of runs that were killed are removed."""
    for old in CACHE.glob("run-*"):
        if not pathlib.Path("/proc", old.name.split("-")[1]).exists():
            shutil.rmtree(old, ignore_errors=True)
    path = pathlib.Path(tempfile.mkdtemp(prefix="run-%d-" % os.getpid(), dir=CACHE))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def make_disk(build, file):
    subprocess.run([HERE / "image", "disk", CACHE, build, file], check=True)
    return file


class Dead(Exception):
    """The machine is off."""


class Machine:
    """One life of a machine: from power on to power off (reboots are inside). drive: the file of its disk; state: what qemu calls
    that of a second one, which is /var/lib/jobmill then."""

    def __init__(self, path, drive, state=None):
        self.path = path
        self.console = path / "console"
        self._lines = queue.Queue()
        self._id = 0  # of the last command
        accel = ["-accel", "kvm", "-cpu", "host"] if kvm_works() else ["-accel", "tcg,thread=multi", "-cpu", "max"]
        more = ["-drive", "if=none,id=state," + state, "-device", "virtio-blk-pci,drive=state"] if state else []
        for name in ("agent", "monitor"):
            with contextlib.suppress(FileNotFoundError):
                (path / name).unlink()
        self.qemu = subprocess.Popen(
            ["qemu-system-x86_64", *accel, "-m", "1024", "-smp", "2", "-nodefaults", "-display", "none", "-rtc", "base=utc",
             "-kernel", CACHE / "vmlinuz",
             "-append", "root=/dev/nvme0n1 rw console=ttyS0 quiet mitigations=off systemd.show_status=no",
             "-drive", "if=none,id=disk,format=raw,cache=writeback,file=%s" % drive, "-device", "nvme,drive=disk,serial=jobmill", *more,
             "-chardev", "file,id=console,append=on,path=%s" % self.console, "-serial", "chardev:console",
             "-chardev", "socket,id=agent,server=on,wait=off,path=%s" % (path / "agent"), "-serial", "chardev:agent",
             "-chardev", "file,id=ran,append=on,path=%s" % (path / "ran"), "-serial", "chardev:ran",
             "-qmp", "unix:%s,server=on,wait=off" % (path / "monitor")],
            stdin=subprocess.DEVNULL, stdout=open(path / "qemu", "ab"), stderr=subprocess.STDOUT, preexec_fn=die_with_parent)
        self._socket = self._connect("agent")
        threading.Thread(target=self._read, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.cut()

    def _connect(self, name):
        deadline = time.monotonic() + 30
        while True:
            s = socket.socket(socket.AF_UNIX)
            try:
                s.connect(str(self.path / name))
                return s
            except OSError:
                s.close()
                if self.qemu.poll() is not None or time.monotonic() > deadline:
                    raise Dead("qemu does not run: %s" % (self.path / "qemu").read_text(errors="replace")) from None
                time.sleep(0.1)

    def _read(self):
        buffer = b""
        with contextlib.suppress(OSError):
            while data := self._socket.recv(65536):
                *lines, buffer = (buffer + data).split(b"\n")
                for line in lines:
                    with contextlib.suppress(ValueError):  # noise on the line while it boots
                        self._lines.put(json.loads(line[max(0, line.find(b"{")):]))
        self._lines.put(None)

    def _next(self, deadline):
        try:
            message = self._lines.get(timeout=max(0.01, deadline - time.monotonic()))
        except queue.Empty:
            raise TimeoutError("the machine says nothing; its console:\n%s" % self.tail()) from None
        if message is None:
            self._lines.put(None)
            raise Dead("the machine is off; its console:\n%s" % self.tail())
        return message


    def sleep(self, until):
        """It must live on until then (monotonic)."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.qemu.wait(max(0.01, until - time.monotonic()))
            raise Dead("the machine is off; its console:\n%s" % self.tail())

    def rest(self, timeout=3):
        """What else is printed, to explain a failure."""
        with contextlib.suppress(TimeoutError, Dead):
            while True:
                yield self._next(time.monotonic() + timeout).get("text", "")

    def tail(self):
        return "\n".join(self.console.read_text(errors="replace").splitlines()[-40:])

    def ready(self, timeout=BOOT_TIMEOUT):
        """It is up. Returns the boot id."""
        deadline = time.monotonic() + timeout
        while True:
            message = self._next(deadline)
            if "ready" in message:
                return message["ready"]

    def stream(self, *argv, timeout=900):
        """Run it in there; yields its lines as they come, at last its exit status as a number."""
        deadline = time.monotonic() + timeout
        id_ = self.start(*argv)
        while True:
            message = self._next(deadline)
            if message.get("id") != id_:  # of a command that nobody waited for
                continue
            if "text" in message:
                yield message["text"]
            elif "status" in message:
                yield message["status"]
                return

    def run(self, *argv, check=True, timeout=900, show=False):
        """Returns (status, text); with check=True the text alone."""
        lines = []
        for line in self.stream(*argv, timeout=timeout):
            if isinstance(line, int):
                break
            lines.append(line)
            if show:
                print(line, flush=True)
        text = "\n".join(lines)
        if not check:
            return line, text
        assert line == 0, "%s: exit status %d\n%s" % (argv, line, text)
        return text

    def python(self, script, *argv, **kwargs):
        """A script of tests/vm/inside."""
        return self.run("/usr/bin/python3", "-u", "/jobmill/tests/vm/inside/" + script, *argv, **kwargs)

    def start(self, *argv):
        """Nothing is waited for, as it may end the boot."""
        self._id += 1
        self._socket.sendall(json.dumps({"id": self._id, "argv": [str(a) for a in argv]}).encode() + b"\n")
        return self._id

    def monitor(self, command, **arguments):
        """A command to qemu itself."""
        with self._connect("monitor") as s, s.makefile("rw") as f:
            f.readline()
            for request in ({"execute": "qmp_capabilities"}, {"execute": command, "arguments": arguments}):
                f.write(json.dumps(request) + "\n")
                f.flush()
                while not re.search(r'"(return|error)"', answer := f.readline()):
                    if not answer:
                        raise Dead("qemu has gone")
        return json.loads(answer)

    def cut(self):
        """The power."""
        self.qemu.kill()
        self.qemu.wait()
        self._socket.close()

    def power_off(self, timeout=600):
        """In order."""
        self.start("systemctl", "poweroff")
        self.qemu.wait(timeout)
        self._socket.close()


if __name__ == "__main__":
    sys.exit("this is a module: see tests/vm/boot")
