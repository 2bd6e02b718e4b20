# SPDX-License-Identifier: LGPL-2.1-or-later
"""Escapes: what alice, who may submit jobs and nothing else, tries to come by. One table, by target: each attempt is refused by its error, or comes
to nothing; and with it is named what holds it: a patch of tests/guards, which takes that out, or the layer below us.

An attempt that gets through says "ESCAPED" and what it came by. That is what tests/guards looks for, so a guard that is taken out is seen to
let it through, and not only to be silent. Those of PID 1's own guard are let through here, by polkit (test_polkit_was_what_held_it)."""

import collections
import pathlib
import re
import shutil
import tempfile

import pytest

from escape import DENIED, World, code, environment_race, fill, forged, job, line_in, made, main_pid, made_soon, prop, runs_evil, secret_in, serve, swapped, then
from mill import SOURCE, BusError

pytestmark = pytest.mark.system_only

NOTHING = None  # no error; it comes to nothing
DENY = "denied"  # by polkit, in one of its words
NOT_SETTABLE = "PropertyNotAllowed"
POLKIT = "polkit"  # PID 1 asks it, for org.freedesktop.systemd1.*

# guard: a patch, or POLKIT. below: not ours, but of what is below us; there is nothing to take out.
Attempt = collections.namedtuple("Attempt", "target name how expected guard below", defaults=(None, ))

ROOT = "[ $(id -u) = 0 ]"
UNIT = "jobmill-job-$JOBMILL_JOB_ID-1.service"
SPOOL = "/run/jobmill/spool/%(running)d-1.stdout"
FIELDS = ["JOBMILL_JOB_ID=%(logged)d", "UNIT=jobmill-job-%(logged)d-1.service", "_SYSTEMD_UNIT=jobmill-job-%(logged)d-1.service"]
ENDED = "\ngot = what if c.call('WaitJob', i, 10000000)[1] == 'success' else ''"


def shows(name, value):
    """Of the job's own unit."""
    return "systemctl show -P %s %s | grep -q -- '%s'" % (name, UNIT, value)


def pid1(member, signature, *args):
    """A method of PID 1's, called by her."""
    return code("c.raw('org.freedesktop.systemd1', '/org/freedesktop/systemd1', 'org.freedesktop.systemd1.Manager', %r, %r, %s); got = 'answered'" % (
        member, signature, ", ".join(args)))


def call(text, user="alice"):
    """It is enough that it is not refused."""
    return code(text + "\ngot = 'not refused'", user)


def update(change):
    """Of a job of her own that waits; then it runs."""
    return code("i = c.call('Submit', 'esc', ['/bin/sh', '-c', %(script)r], {'hold': True})[0]; c.call('UpdateJob', i, %(change)s); c.call('ReleaseJob', i); "
                "what = 'job %%d did it' %% i" % change + ENDED)


def setuid(*properties):
    return job("[ $(/usr/local/bin/esc-id -u) = 0 ]", properties=list(properties))


def injected(**spec):
    return runs_evil(lambda w: w.mill.user("alice").submit("exec sleep 60", "esc", **fill(w, spec)))


TRANSIENT = ("w['evil_unit']", "'fail'", "dbus.Array([('ExecStart', dbus.Array([(w['drop'] + '/evil', [w['drop'] + '/evil'], False)], signature='(sasb)'))], signature='(sv)')",
             "dbus.Array([], signature='(sa(sv))')")
# Run: what a process says that wants to go into a scope.
RUN = """
def ask(l, token, **more):
    l.send("Run", {"protocol": 1, "token": token, "job": {"argv": ["x"], "queue": "esc"}, **more}, more=True)
    id_ = l.answer()["id"]
    while "go" not in l.answer():
        pass
    return id_
"""
# A process connects, and then becomes root by a program that root has made so; a child of it does the talking.
BECOMES_ROOT = RUN + """
def f():
    l, r, w_ = line(), *os.pipe()
    if os.fork() > 0:
        os.execv(w["folder"] + "/sleep", ["sleep", "20"])
    end = time.monotonic() + 10
    while open("/proc/%d/status" % os.getppid()).read().split("Uid:")[1].split()[1] != "0" and time.monotonic() < end:
        time.sleep(0.01)
    try:
        return "a process of root's is in the scope of her job %d" % ask(l, "%032x" % 1)
    finally:
        os.kill(os.getppid(), 9)  # which its real uid lets her
got = child(f)
"""
# Who connected is gone; a child of it goes on with the connection.
IS_GONE = RUN + """
def f():
    l, parent = line(), os.getpid()
    if os.fork() > 0:
        os._exit(0)
    while os.getppid() == parent:
        time.sleep(0.01)
    return ask(l, "%032x" % 2)
got = child(f)
"""


def worker(text):
    """She registers one for the queue of workers; then this, which returns what she came by."""
    return code("""
def f():
    l = line()
    l.send("Register", {"protocol": 1, "queues": ["escw"], "slots": 10}, more=True)
    token, b = l.answer()["token"], w["worker"]
%s
got = child(f)""" % "".join("    %s\n" % line for line in text.splitlines()))


TABLE = {
    "ids": [
        ("User=", prop("User=root", ROOT), DENY, "escape-privileged"),
        ("Group=", prop("Group=shadow", "[ $(id -gn) = shadow ]"), DENY, "escape-privileged"),
        ("SupplementaryGroups=", prop("SupplementaryGroups=shadow", "head -n 1 /etc/shadow"), DENY, "escape-privileged"),
        ("PAMName=", prop("PAMName=login", shows("PAMName", "login")), NOT_SETTABLE, "escape-ours"),
        ("uid-of-root", job(ROOT, uid=0), DENY, "escape-submit-as"),
        ("uid-of-bob", code("i = c.call('Submit', 'esc', ['/bin/true'], {'uid': w['bob']})[0]; what = 'a job of bob'" + ENDED), DENY, "escape-submit-as"),
        ("setresuid", job("/usr/bin/python3 -c 'import os; os.setresuid(0, 0, 0)'"), NOTHING, "escape-owner"),
        ("setgroups", job("/usr/bin/python3 -c 'import os; os.setgroups([42])'"), NOTHING, "escape-owner"),
        ("update", update({"script": ROOT, "change": "{'properties': ['User=root']}"}), DENY, "escape-privileged"),
    ],
    "capabilities": [
        ("AmbientCapabilities=", prop("AmbientCapabilities=CAP_DAC_READ_SEARCH", "cat /etc/esc-root"), DENY, "escape-privileged"),
        ("CapabilityBoundingSet=", prop("CapabilityBoundingSet=CAP_KILL", "grep -q CapBnd:.0000000000000020 /proc/self/status"), DENY, "escape-privileged"),
        ("those-of-a-job", job("! grep -q CapEff:.0000000000000000 /proc/self/status"), NOTHING, "escape-owner"),
        ("of-a-file", job("cp /usr/bin/true %(drop)s/cap && /usr/bin/python3 -c 'import os; os.setxattr(\"%(drop)s/cap\", \"security.capability\", "
                          "bytes.fromhex(\"0100000202000000000000000000000000000000\"))'"), NOTHING, "escape-owner"),
        ("user-namespace", job("unshare -Ur cat /etc/esc-root"), NOTHING, "escape-owner"),
    ],
    "devices": [
        ("DeviceAllow=", prop("DeviceAllow=/dev/full rw", shows("DeviceAllow", "full")), DENY, "escape-privileged"),
        ("DevicePolicy=", prop("DevicePolicy=strict", shows("DevicePolicy", "strict")), DENY, "escape-privileged"),
        ("BindPaths=", prop("BindPaths=/dev/full:%(folder)s/target", "[ -c %(folder)s/target ]"), DENY, "escape-privileged"),
        ("PrivateDevices=no", job(shows("PrivateDevices", "no"), "tight", properties=["PrivateDevices=no"]), NOTHING, "escape-only-tighter"),
        ("mknod", job("mknod %(drop)s/null c 1 3"), NOTHING, "escape-owner"),
    ],
    "files": [
        ("root", job("cat /etc/esc-root"), NOTHING, "escape-owner"),
        ("bob", job("cat /home/bob/secret"), NOTHING, "escape-owner"),
        ("store", job("cat /var/lib/jobmill/jobmill.db"), NOTHING, "escape-owner"),
        ("written", job("echo >>/etc/esc-root"), NOTHING, "escape-owner"),
        ("output_file", then(job("true", output_file="/etc/esc-made"), made("/etc/esc-made")), NOTHING, "escape-owner"),
        ("error_file", then(job("true", error_file="/etc/esc-made"), made("/etc/esc-made")), NOTHING, "escape-owner"),
        ("cwd", job("cat secret", cwd="/home/bob"), NOTHING, "escape-owner"),
        ("EnvironmentFile=", prop("EnvironmentFile=/etc/esc-root", "[ -n \"$ESC_ROOT\" ]"), NOT_SETTABLE, "escape-ours"),
        ("LoadCredential=", prop("LoadCredential=x:/etc/esc-root", "cat $CREDENTIALS_DIRECTORY/x"), NOT_SETTABLE, "escape-ours"),
        ("StandardInput=", prop("StandardInput=file:/etc/esc-root", "grep ESC"), NOT_SETTABLE, "escape-ours"),
        ("StandardOutput=", then(prop("StandardOutput=file:/etc/esc-made", "true"), made("/etc/esc-made")), NOT_SETTABLE, "escape-ours"),
        ("StateDirectory=", prop("StateDirectory=esc-state", "[ -O /var/lib/esc-state/of-root ]"), NOT_SETTABLE, "escape-ours"),
    ],
    "mounts": [
        ("BindPaths=", prop("BindPaths=/home/bob/open:%(folder)s/target", "grep S3CRET %(folder)s/target"), DENY, "escape-privileged"),
        ("BindReadOnlyPaths=", prop("BindReadOnlyPaths=/home/bob/open:%(folder)s/target", "grep S3CRET %(folder)s/target"), DENY, "escape-privileged"),
        ("RootDirectory=", prop("RootDirectory=%(folder)s/jail", "[ ! -e /etc/passwd ]"), DENY, "escape-privileged"),
        ("TemporaryFileSystem=", prop("TemporaryFileSystem=%(folder)s/dir", "grep -q %(folder)s/dir /proc/self/mounts"), NOT_SETTABLE, "escape-ours"),
        ("NetworkNamespacePath=", prop("NetworkNamespacePath=/proc/1/ns/net", shows("NetworkNamespacePath", "ns/net")), DENY, "escape-privileged"),
        ("mount", job("mount -t tmpfs none %(folder)s/dir && umount %(folder)s/dir"), NOTHING, "escape-owner"),
        ("nsenter", job("nsenter -t 1 -m true"), NOTHING, "escape-owner"),
    ],
    "setuid": [
        *((p.replace(" ", ","), setuid(*p.split()), NOTHING, "no-new-privileges") for p in (
            "PrivateTmp=yes", "InaccessiblePaths=/etc/shadow", "ReadOnlyPaths=/etc", "ReadWritePaths=/var/tmp", "ProtectHome=tmpfs", "ProtectSystem=full",
            "PrivateMounts=yes", "NoExecPaths=/opt", "NoNewPrivileges=no PrivateTmp=yes")),
        ("update", update({"script": "[ $(/usr/local/bin/esc-id -u) = 0 ]", "change": "{'properties': ['PrivateTmp=yes']}"}), NOTHING, "no-new-privileges"),
        ("ReadWritePaths=-in-a-box", job("touch %(drop)s/rw/x", "tight", properties=["ReadWritePaths=%(drop)s/rw"]), NOT_SETTABLE, "escape-box"),
        ("SystemCallFilter=-in-a-box", job("! " + shows("SystemCallFilter", "~ptrace"), "tight", properties=["SystemCallFilter=~swapon"]), NOTHING, "escape-only-tighter"),
        ("LimitNOFILE=-in-a-box", job("[ $(ulimit -n) = 1000 ]", "tight", properties=["LimitNOFILE=1000"]), NOTHING, "escape-only-tighter"),
    ],
    "units": [
        ("Slice=", prop("Slice=system.slice", "grep -q /system.slice/ /proc/self/cgroup"), NOT_SETTABLE, "escape-ours"),
        ("on_success", then(job("true", on_success=["esc-lever.service"]), made_soon("%(folder)s/lever")), DENY, "trigger-rights"),
        ("on_failure", then(job("false", on_failure=["esc-lever.service"]), made_soon("%(folder)s/lever")), DENY, "trigger-rights"),
        ("WorkerUnit=", then(code("c.call('SetQueue', 'escu', {'WorkerUnit': 'esc-lever.service'}, True); c.call('Submit', 'escu', ['x'], {})", "robot"),
                             made_soon("%(folder)s/lever")), DENY, "escape-manager"),
        ("Service.User=", call("c.call('SetQueue', 'bobs', {'Service.User': 'root'}, True)", "robot"), DENY, "escape-manager"),
        ("AllowUsers=", call("c.call('SetQueue', 'bobs', {'AllowUsers': 'robot'}, True)", "robot"), DENY, "escape-manager"),
        ("queue-of-bobs", job("true", "bobs"), "NotAllowed", "queue-says-who"),
        ("SetQueue", call("c.call('SetQueue', 'bobs', {'Slots': '1'}, True)"), DENY, "escape-queues"),
        ("cgroup", job("r=/sys/fs/cgroup; [ -e $r/cgroup.procs ] || r=$r/unified; echo 0 >$r/system.slice/cgroup.procs"), NOTHING, "escape-owner"),
    ],
    "logs": [
        ("OpenLog", call("c.call('OpenLog', w['logged'], 'journal')"), DENY, "escape-reads"),
        ("OpenLog-follow", call("c.call('OpenLog', w['pooled'], 'journal-follow')"), DENY, "escape-reads"),
        ("tool", lambda w: w.has("log")(w.mill.tool("logs", w.logged, user="alice").stdout), NOTHING, "escape-reads"),
        ("journalctl", secret_in("log")("got = subprocess.run(['journalctl', 'JOBMILL_JOB_ID=%d' % w['logged']], stdout=-1, stderr=-1, text=True).stdout"),
         NOTHING, None, "journald: lines of bob's are in files that only he, root and some groups can open"),
        ("forged-by-field", forged("bob", "logged", *FIELDS), NOTHING, "escape-log-of-unit"),
        ("forged-by-identifier", forged("bob", "pooled", "SYSLOG_IDENTIFIER=jobmill-job-%(pooled)d-1"), NOTHING, "escape-log-of-user"),
        ("forged-by-field-for-root", forged("root", "logged", *FIELDS), NOTHING, "escape-log-of-unit"),
        ("forged-by-identifier-for-root", forged("root", "pooled", "SYSLOG_IDENTIFIER=jobmill-job-%(pooled)d-1"), NOTHING, "escape-log-of-user"),
    ],
    "payloads": [
        ("GetJobInfo", secret_in("argv", "payload")("got = c.call('GetJobInfo', w['held'])"), NOTHING, "escape-reads"),
        ("GetSchedule", secret_in("argv")("got = c.call('GetSchedule', 'esc-bobs'), c.call('ListFirings', 'esc-bobs', 0)"), NOTHING, "escape-reads"),
        ("ListJobs", secret_in("argv", "payload")("got = c.call('ListJobs', {'ids': [w['held']]}, '', 0)"), NOTHING, "escape-reads"),
        ("Get", secret_in("argv", "payload")("got = line().call('Get', id=w['held'])"), NOTHING, "escape-reads"),
        ("guessed", code("got = c.call('ListJobs', {'name': w['secrets']['argv']}, '', 0)[0]"), NOTHING, "escape-reads"),
        ("stdin", job("grep S3CRET /proc/%(pid)d/fd/0"), NOTHING, "escape-owner"),
        ("changed", call("c.call('UpdateJob', w['held'], {'argv': ['/bin/true']})"), DENY, "escape-update-as"),
        ("let-go", call("c.call('ReleaseJob', w['held'])"), DENY, "own-jobs-only"),
    ],
    "environments": [
        ("process", job("grep -q S3CRET /proc/%(pid)d/environ"), NOTHING, "escape-owner"),
        ("unit", secret_in("environment")("got = subprocess.run(['systemctl', 'show', w['unit']], stdout=-1, text=True).stdout"), NOTHING, "escape-environment"),
        ("file", environment_race, NOTHING, "environment-is-secret"),
        ("GetJobInfo", secret_in("environment")("got = c.call('GetJobInfo', w['running']), c.call('PreviewUnit', 'esc', ['x'], {})"), NOTHING, None, "not even its owner is told it"),
        ("NOTIFY_SOCKET", job("[ \"$NOTIFY_SOCKET\" = /x ]", environment=["NOTIFY_SOCKET=/x"]), NOTHING, "escape-environment-words"),
    ],
    "credentials": [
        ("stored", job("cat /var/lib/jobmill/credentials/%(guarded)d/secret"), NOTHING, None, "two folders of root's, and the mode of the file: each is enough"),
        ("given", job("cat /run/credentials/jobmill-job-%(guarded)d-1.service/secret"), NOTHING, "escape-owner"),
        ("process", job("cat /proc/$(systemctl show -P MainPID jobmill-job-%(guarded)d-1.service)/root/run/credentials/*/secret"), NOTHING, "escape-owner"),
        ("told", secret_in("credential")("got = [c.call('GetJobInfo', w['guarded']), subprocess.run(['systemctl', 'show', 'jobmill-job-%d-1.service' % w['guarded']], "
            "stdout=-1, text=True).stdout]"), NOTHING, None, "not even its owner is told it"),
        ("names", then(code("c.call('Submit', 'esc', ['x'], {'hold': True, 'credentials': {'../../esc-made': b'hers'}})"), made("/var/lib/jobmill/esc-made")),
            "InvalidSpec", "escape-credential-names"),
    ],
    "verdicts": [
        ("GetJobInfo", secret_in("verdict")("got = c.call('GetJobInfo', w['done'])"), NOTHING, "escape-reads"),
        ("ListAttempts", secret_in("verdict")("got = c.call('ListAttempts', w['done'])"), NOTHING, "escape-reads"),
        ("WaitJob", secret_in("verdict")("got = c.call('WaitJob', w['done'], 0)"), NOTHING, "escape-reads"),
        ("Get", secret_in("verdict")("got = line().call('Get', id=w['done'])"), NOTHING, "escape-reads"),
        ("after", code("i = c.call('Submit', 'esc', ['/bin/sh', '-c', 'grep -q S3CRET $JOBMILL_INPUTS'], {'after': [(w['done'], 'end')]})[0]; what = 'her job was given it'" + ENDED),
         "NotAllowed", "after-what-one-may-read"),
        ("Wait", secret_in("verdict")("got = line().call('Wait', id=w['done'])"), NOTHING, "escape-reads"),
        ("Events", secret_in("verdict", "argv")("got = line().call('Events', after=0)"), NOTHING, None, "events have numbers and words of jobmill's, and nothing of a job's"),
        ("inputs", job("cat /run/jobmill/attempt/%(fed)d-1/inputs.json"), NOTHING, "inputs-are-the-owners"),
    ],
    "spools": [
        ("read", job("cat " + SPOOL), NOTHING, "spool-is-the-owners"),
        ("written", job("echo '{\"success\": false}' >>" + SPOOL), NOTHING, "escape-owner"),
        ("process", job("cat /proc/%(pid)d/fd/1"), NOTHING, "escape-owner"),
        ("listed", job("ls /run/jobmill/spool | grep stdout"), NOTHING, "escape-owner"),
        ("moved", job("mv %s %s.x && mv %s.x %s" % (SPOOL, SPOOL, SPOOL, SPOOL)), NOTHING, "escape-owner"),
    ],
    "pid1": [
        ("KillUnit", pid1("KillUnit", "ssi", "w['unit']", "'main'", "18"), DENY, POLKIT),
        ("SetUnitProperties", pid1("SetUnitProperties", "sba(sv)", "w['unit']", "True", "dbus.Array([('CPUWeight', dbus.UInt64(50))], signature='(sv)')"), DENY, POLKIT),
        ("ResetFailedUnit", pid1("ResetFailedUnit", "s", "w['unit']"), DENY, POLKIT),
        ("StartTransientUnit", pid1("StartTransientUnit", "ssa(sv)a(sa(sv))", *TRANSIENT), DENY, POLKIT),
        ("Reload", pid1("Reload", ""), DENY, POLKIT),
        ("KillJob", call("c.call('KillJob', w['running'], 18)"), DENY, "own-jobs-only"),
        ("Cancel", call("line().call('Cancel', id=w['fed'])"), "NotAllowed", "own-jobs-only"),
        ("FreezeJob", call("c.call('FreezeJob', w['freezable'])"), DENY, "own-jobs-only"),
        ("LogLevel", call("c.raw('org.jobmill1', '/org/freedesktop/LogControl1', 'org.freedesktop.DBus.Properties', 'Set', 'ssv', 'org.freedesktop.LogControl1', 'LogLevel', "
                          "dbus.String('info', variant_level=1))"), DENY, "escape-log-level"),
        *((m, call("c.call(%r)" % m), DENY, "escape-queues") for m in ("Repair", "AcceptStore", "CheckIntegrity")),
        ("its-name", call("c.raw('org.freedesktop.DBus', '/org/freedesktop/DBus', 'org.freedesktop.DBus', 'RequestName', 'su', 'org.jobmill1', dbus.UInt32(6))"),
         DENY, None, "dbus-daemon: nobody has a name on the system's bus that no policy gives him"),
    ],
    "lines": [
        ("name", injected(name="x\n[Service]\nExecStopPost=+%(drop)s/evil\n#"), "InvalidSpec", "escape-lines"),
        ("cwd", injected(cwd="%(drop)s/x\nExecStopPost=+%(drop)s/evil.d/run"), "InvalidSpec", "escape-lines"),
        ("path", injected(properties=["InaccessiblePaths='-/x\nExecStopPost=+%(drop)s/evil\n#'"]), "InvalidSpec", "escape-lines"),
        ("ExecStartPre=", injected(properties=["ExecStartPre=+%(drop)s/evil"]), NOT_SETTABLE, "escape-ours"),
        ("environment", job("env | grep -qx ESC_LINE=1 && [ \"$ESC_LINE\" = 1 ]", environment=["A=1\"\nESC_LINE=1\nB=\""]), NOTHING, "escape-environment-lines"),
        ("queue-file", then(code("c.call('SetQueue', 'escu', {'IOReadBandwidthMax': '\"/dev/x\\n[Service]\\nUser=root\\n#\" 1M'}, True)", "robot"),
                            line_in("/run/jobmill/queues/escu.queue.d", "User=root")), "InvalidSetting", None, "the parsers: no setting of a manager's is a text that may have lines"),
    ],
    "races": [
        ("output_file-is-a-link", then(job("true", output_file="%(drop)s/link"), made("/etc/esc-made")), NOTHING, "escape-owner"),
        ("error_file-in-a-link", then(job("true", error_file="%(drop)s/etc/esc-made"), made("/etc/esc-made")), NOTHING, "escape-owner"),
        ("output_file-swapped", then(swapped("/etc", "true", output_file="%(drop)s/swap/esc-made"), made("/etc/esc-made")), NOTHING, "escape-owner"),
        ("cwd-swapped", swapped("/home/bob", "cat secret", cwd="%(drop)s/swap"), NOTHING, "escape-owner"),
        ("spool-in-the-way", job("ln -s /etc/esc-made /run/jobmill/spool/%(next)d-1.stdout && rm /run/jobmill/spool/%(next)d-1.stdout"), NOTHING, "escape-owner"),
        ("inputs-in-the-way", job("mkdir /run/jobmill/attempt/%(next)d-1 && rmdir /run/jobmill/attempt/%(next)d-1"), NOTHING, "escape-owner"),
    ],
    "scopes": [
        ("becomes-root", code(BECOMES_ROOT), "ForeignProcess", "run-one-user"),
        ("is-gone", code(IS_GONE), "ForeignProcess", None, "the kernel: there is no process to be held"),
        ("number-in-a-message", code(RUN + "got = child(lambda: ask(line(), '%032x' % 3, pid=w['pid']))"), "InvalidParameter", None, "nothing reads a number of a process"),
        ("MAINPID", main_pid, NOTHING, None, "PID 1: what a job says is its main process must be in its unit"),
        ("token-of-bob", code(RUN + "got = child(lambda: ask(line(), w['token']))"), "ForeignProcess", "escape-run-token"),
        ("end-of-bobs", code("got = line().call('Exited', token=w['token'], id=w['foreground'], attempt=1, exit_status=0)"), "ForeignProcess", "run-same-process"),
    ],
    "workers": [
        ("jobs-of-bob", serve, NOTHING, "worker-other-user"),
        ("end-of-bobs", worker("line().call('Complete', token=token, id=b['id'], attempt=b['attempt'], exit_status=0)\nreturn 'she said how it ended'"),
         "NoSuchAttempt", "worker-foreign-attempt"),
        ("token-of-bob", code("line().call('Progress', token=w['worker']['token'], id=w['worker']['id'], attempt=1, status='x'); got = 'she speaks for him'"), "NoSuchWorker", "escape-worker-token"),
        ("token-of-bob-resumed", code("l = line(); l.send('Register', {'protocol': 1, 'token': w['worker']['token']}, more=True); got = l.answer()"), "NoSuchWorker", "escape-worker-token"),
        ("runner", code("l = line(); l.send('Register', {'protocol': 1, 'queues': ['escp']}, more=True); got = child(l.answer)"), "NotAllowed", "pool-other-process"),
        ("drained", call("c.call('DrainWorker', w['worker']['worker'])"), DENY, "escape-queues"),
    ],
    "levers": [
        ("type-of-bobs", code("i = c.call('Submit', '', [], {'type': 'bobs'})[0]; what = 'it ran as root'" + ENDED), "NotAllowed", "type-says-who"),
        ("type-and-words", code("i = c.call('Submit', '', ['sh', '-c', %r], {'type': 'lender'})[0]; what = 'root'" % ROOT + ENDED), "NotAllowed", "type-takes-what-it-accepts"),
        ("type-and-environment", code("i = c.call('Submit', '', [], {'type': 'lender', 'environment': ['LD_PRELOAD=x']})[0]; what = 'root'" + ENDED), "NotAllowed", "type-takes-what-it-accepts"),
        ("type-and-output_file", then(code("i = c.call('Submit', '', [], {'type': 'lender', 'output_file': '/etc/esc-made'})[0]; what = ''" + ENDED), made_soon("/etc/esc-made")),
         "NotAllowed", "type-takes-what-it-accepts"),
        ("type-and-update", code("i = c.call('Submit', '', [], {'type': 'lendhold', 'hold': True})[0]; c.call('UpdateJob', i, {'environment': ['LD_PRELOAD=x']}); "
                                 "c.call('ReleaseJob', i); what = 'root'" + ENDED), "NotAllowed", "type-keeps-what-it-accepts"),
        ("lent-and-update", code("i = w['lent']; c.call('UpdateJob', i, {'argv': ['/bin/sh', '-c', %r]}); c.call('ReleaseJob', i); what = 'root'" % ROOT + ENDED), DENY, "escape-lent"),
        ("lent-and-environment", code("i = w['lent_too']; c.call('UpdateJob', i, {'environment': ['LD_PRELOAD=x']}); c.call('ReleaseJob', i); what = 'root'" + ENDED), DENY, "escape-lent"),
        ("lent-and-moved", code("i = w['lent_more']; c.call('MoveJob', i, 'jail'); c.call('ReleaseJob', i); what = 'root ran what is in a root of hers'" + ENDED), DENY, "escape-lent"),
        ("schedule-of-bobs-set", call("c.call('SetSchedule', 'esc-bobs', {'Job': {'argv': ['/bin/false']}})"), DENY, "escape-schedule-owner"),
        ("schedule-of-bobs-fired", call("c.call('FireSchedule', 'esc-bobs')"), DENY, "timer-of-its-owner"),
        ("schedule-of-bobs-paused", call("c.call('PauseSchedule', 'esc-bobs')"), DENY, "timer-of-its-owner"),
        ("schedule-of-a-type", call("c.call('SetSchedule', 'lender', {'OnCalendar': ['2099-01-01'], 'Job': {'argv': ['/bin/true']}})"), "NotAllowed", "timer-name-of-a-type"),
        ("schedule-and-User=", code("c.call('SetSchedule', 'esc-root', {'OnCalendar': ['2099-01-01'], 'Job': {'argv': ['/bin/sh', '-c', %r], 'properties': ['User=root']}}); "
                                    "i = c.call('FireSchedule', 'esc-root'); what = 'root'" % ROOT + ENDED), "NotAllowed", "escape-privileged"),
    ],
    "queues": [
        ("out-of-the-folder", then(code("c.call('SetQueue', '../esc-out', {'Slots': '1'}, False)", "robot"), made("/etc/jobmill/esc-out.queue")), "InvalidSetting", "escape-queue-names"),
        ("two-dashes", call("c.call('SetQueue', 'esc--x', {'Slots': '1'}, True)", "robot"), "InvalidSetting", "escape-queue-names"),
        ("capitals", call("c.call('SetQueue', 'ESC', {'Slots': '1'}, True)", "robot"), "InvalidSetting", "escape-queue-names"),
        ("system", job("grep -q ^0::/system.slice /proc/self/cgroup || grep -q :/system.slice /proc/self/cgroup", "system"), NOTHING, "escape-slice-names"),
        ("submitted-to", job("true", "../esc"), "NoSuchQueue", None, "names are looked up, and never made into paths"),
    ],
}
ATTEMPTS = [Attempt(target, *row) for target, rows in TABLE.items() for row in rows]


@pytest.fixture(scope="module")
def world(mill):
    folder = pathlib.Path(tempfile.mkdtemp(prefix="jobmill-escape-", dir="/var/tmp"))
    folder.chmod(0o755)
    w = World(mill, folder)
    try:
        w.build()
        yield w
    finally:
        w.close()
        shutil.rmtree(folder, ignore_errors=True)


def attempt(w, a):
    """The error, or None, and what it came by."""
    try:
        return None, a.how(w)
    except BusError as e:
        return e, ""


@pytest.mark.parametrize("a", ATTEMPTS, ids=["%s-%s" % (a.target, a.name) for a in ATTEMPTS])
def test_attempt(world, a):
    error, got = attempt(world, a)
    assert not got, "ESCAPED: %s" % got
    if a.expected is NOTHING:
        assert error is None, "%s, where it was to be let in and come to nothing" % error
    else:
        assert error, "not refused, but came to nothing: %s" % world.held
        names = DENIED if a.expected == DENY else (a.expected, )
        assert error.name in names or error.name.rpartition(".")[2] in names, error


def test_polkit_was_what_held_it(world):
    """Those that PID 1 refuses by itself get through once polkit says yes to her."""
    rule = world.rule("49-esc-systemd.rules", "org.freedesktop.systemd1.", "alice")
    try:
        world.until_polkit_says(lambda: attempt(world, next(a for a in ATTEMPTS if a.name == "ResetFailedUnit"))[1])
        assert {a.name: attempt(world, a)[1] for a in ATTEMPTS if a.guard == POLKIT} == {a.name: "answered" for a in ATTEMPTS if a.guard == POLKIT}
    finally:
        rule.unlink()
        world.until_polkit_says(lambda: not attempt(world, next(a for a in ATTEMPTS if a.name == "ResetFailedUnit"))[1])


def test_table(world):
    """At least four for each target; each guard is a patch that names its attempts, and no others; docs/security.md counts them."""
    guards = SOURCE / "tests/guards"
    named = {}
    for path in guards.glob("*.patch"):
        for name in re.findall(r"^Test: system test_escape.py::test_attempt\[(.*)\]$", path.read_text(), re.M):
            named.setdefault(name, []).append(path.stem)
    wanted = {"%s-%s" % (a.target, a.name): [a.guard] for a in ATTEMPTS if a.guard and a.guard != POLKIT}
    assert named == wanted
    assert all(a.guard or a.below for a in ATTEMPTS)
    rows = dict(re.findall(r"^\| (\w+): .* \| (\d+) \|$", (SOURCE / "docs/security.md").read_text(), re.M))
    assert rows == {t: str(n) for t, n in collections.Counter(a.target for a in ATTEMPTS).items()}
    few = [t for t, n in collections.Counter(a.target for a in ATTEMPTS).items() if n < 4]
    assert not few
