# SPDX-License-Identifier: LGPL-2.1-or-later
"""The list of what PID 1 can do to us, one row for each call that the daemon makes and each way to answer it badly, and for
each signal and each way to lose it; and a worker that plays rows, one after the other, on a bus with a daemon of its own.

A row is played with jobs of all kinds, and then it is compared what each one's result is, what the fake systemd saw of it,
and what the job itself wrote down. test_pid1_faults.py runs the workers and reports the rows as tests.

Worker: python3 pid1_faults.py FOLDER ROW... plays the rows of these names and prints a line of JSON for each."""

import json
import pathlib
import re
import sys
import time

DBUS, SYSTEMD1, SYSTEM = "org.freedesktop.DBus.Error.", "org.freedesktop.systemd1.", "System.Error."
CALL_TIMEOUT = "700ms"  # of the daemon's calls to the fake
IN_TIME, LATE = 250, 1300  # ms
LOOK_INTERVAL = 2  # s, instead of 60

# Every call: of which object, and how many of them are broken.
METHODS = {
    "StartTransientUnit": ("*", 4),
    "KillUnit": ("*", 3),
    "StartUnit": ("*", 1),
    "StopUnit": ("*", 3),
    "ResetFailedUnit": ("*", 2),
    "FreezeUnit": ("*", 1),
    "ThawUnit": ("*", 1),
    "SetUnitProperties": ("*", 2),
    "Reload": ("*", 1),
    "Subscribe": ("*", 1),
    "ListUnitsByPatterns": ("*", 2),
    "ListUnitsByNames": ("*", 2),
    "GetAll": ("*/unit/jobmill_2djob*", 4),
    "GetAll of the manager": ("/org/freedesktop/systemd1", 2),
}
SIGNALS = ("PropertiesChanged", "UnitRemoved", "Reloading")
# What nobody listens to, or the bus itself sends: test_faults.py has the owner of the name come and go.
OTHER_SIGNALS = ("UnitNew", "JobNew", "JobRemoved")
CONNECTION_SIGNALS = ("NameOwnerChanged", "Disconnected")

# Not known whether it was done: the bus or we say so, not PID 1.
SILENCE = [DBUS + n for n in ("NoReply", "Timeout", "Disconnected", "ServiceUnknown", "NameHasNoOwner")]
# Not done, and that is not because of what was asked.
PASSES = [DBUS + n for n in ("LimitsExceeded", "NoMemory", "IOError")] + \
    [SYSTEMD1 + n for n in ("NoSuchUnit", "TransactionIsDestructive", "ShuttingDown")] + \
    [SYSTEM + n for n in ("EAGAIN", "ENOSPC", "ENOMEM", "EMFILE", "ENFILE", "EDQUOT", "E2BIG", "EROFS", "EBUSY", "EINTR")]
# Not done, and never will be.
FINAL = [DBUS + n for n in ("AccessDenied", "InvalidArgs", "Failed", "FileNotFound", "NotSupported", "UnknownMethod")] + \
    [SYSTEMD1 + n for n in ("LoadFailed", "BadUnitSetting", "TransactionJobsConflicting", "UnitMasked", "NoSuchDependency",
                            "JobTypeNotApplicable")]
# It is there already, which it cannot be: it is looked at and not there, and here no journal knows whether it ever was.
EXISTS = [SYSTEMD1 + "UnitExists"]
# Of units that are there.
OF_UNITS = [SYSTEMD1 + n for n in ("NoSuchProcess", "UnitInactive", "UnitBusy", "UnitNeverStarts")] + \
    [DBUS + "UnixProcessIdUnknown", SYSTEM + "ESRCH", SYSTEM + "ENXIO"]


def fault(method, action, **more):
    """For do_fault() of the fake."""
    match, count = METHODS[method]
    return {"method": method.split()[0], "action": action, "match": match, "count": count, **more}


# That a unit is not there is believed: nobody else knows better. (Its slots are free once its cgroup is empty all the same.)
BELIEVED = {(m, SYSTEMD1 + "NoSuchUnit") for m in ("GetAll", "StopUnit", "ResetFailedUnit")}


def rows_of_method(method):
    yield "late in time", fault(method, "delay", ms=IN_TIME, execute="first")
    yield "late, too late", fault(method, "delay", ms=LATE, execute="first")
    yield "hang in time", dict(fault(method, "hang", ms=IN_TIME), count=2)
    yield "hang too long", dict(fault(method, "hang", ms=LATE), count=1)
    yield "never, done", fault(method, "never", execute="first")
    yield "never, not done", fault(method, "never")
    if method in ("StartTransientUnit", "StartUnit", "KillUnit", "StopUnit", "ResetFailedUnit", "FreezeUnit", "SetUnitProperties", "Reload",
                  "Subscribe"):  # not ThawUnit: it is answered when the cgroup runs
        yield "answered, not done", fault(method, "pretend")
    start = method == "StartTransientUnit"
    for error in SILENCE + PASSES + FINAL + (EXISTS if start else OF_UNITS):
        if (method, error) in BELIEVED:
            continue
        yield "refused, " + error.rsplit(".", 1)[1], fault(method, "refuse", error=error)
    # PID 1 may be out of memory for the answer alone.
    for error in SILENCE + [DBUS + "NoMemory"] + ([] if start else FINAL):
        yield "refused, done, " + error.rsplit(".", 1)[1], fault(method, "refuse", error=error, execute="first")


def rows_of_signal(member):
    for action in ("drop", "double", "delay", "swap"):
        for count in (5, -1):
            yield "%s%s" % (action, " all" if count < 0 else ""), \
                {"method": "signal:" + member, "action": action, "count": count, "ms": IN_TIME}


def all_rows():
    """{name: faults}"""
    rows = {}
    for method in METHODS:
        for how, f in rows_of_method(method):
            rows["%s: %s" % (method, how)] = [f]
    for member in SIGNALS + OTHER_SIGNALS:
        for how, f in rows_of_signal(member):
            rows["%s: %s" % (member, how)] = [f]
    for action in ("drop", "double"):
        rows["all signals: " + action] = [dict(f, count=-1) for m in SIGNALS + OTHER_SIGNALS for _, f in [(0, {
            "method": "signal:" + m, "action": action, "ms": IN_TIME})]]
    rows["all calls: late in time"] = [dict(fault(m, "delay", ms=IN_TIME, execute="first"), count=-1) for m in METHODS]
    rows["no process can be made"] = [{"no_fork": 5}]
    rows["the unit limit"] = [{"names_max": True}]
    # With the daemon's own patience, 120 s.
    rows["really 60 s late"] = [dict(fault(m, "delay", ms=60000, execute="first"), count=1) for m in METHODS]
    for seconds in (60, 130):
        rows["really hangs for %d s" % seconds] = [dict(fault(m, "hang", ms=seconds * 1000), count=1, skip=2)
                                                  for m in ("StartTransientUnit", "KillUnit")]
    return rows


# Which of them are played at each change; the rest is for TIER=faults.
CORE = re.compile(
    r".*: (hang too long|never, not done|answered, not done|drop all)$|StartTransientUnit: (late, too late|never, done)$"
    r"|StartTransientUnit: refused, (ENOSPC|UnitExists|LoadFailed)$|StartTransientUnit: refused, done, NoMemory$"
    r"|(KillUnit|StopUnit|GetAll|SetUnitProperties|Subscribe): refused, LimitsExceeded$"
    r"|all signals: drop|no process.*|the unit limit")


def called_in_source(source):
    """The members that src/unit calls, as METHODS has them, and the signals that it listens to."""
    calls, signals = set(), set()
    for path in (source / "src/unit").glob("*.c"):
        text = path.read_text()
        for m in re.finditer(r"\b(units_new_call|round_call|call_unit|freezer_call|sd_bus_\w*call\w*)\s*\(([^;]*);", text):
            calls |= {w + (" of the manager" if w == "GetAll" and m[1] == "round_call" else "")
                      for w in re.findall(r'"([A-Z][A-Za-z]+)"', m[2])}
        signals |= set(re.findall(r"member='(\w+)'", text)) | set(re.findall(r'DBus\.Local", "(\w+)"', text))
    return calls, signals


# ---- playing a row ----

KINDS = {
    # kind: (command after the proof, options of submit, what is done while it runs, results that are right if it ran)
    "ok": ("true", {}, "", "success"),
    "fails": ("exit 3", {}, "", "exit-code"),
    "killed": ("kill -KILL $$", {}, "", "signal"),
    "missing": (["/nonexistent/command"], {}, "", "exec"),
    "child": ("sleep 60 & exit 0", {}, "", "success"),
    "sliced": ("sleep 0.1", {"queue": "sliced"}, "", "success"),
    "sliced2": ("exit 4", {"queue": "sliced"}, "", "exit-code"),
    "payload": ("cat >/dev/null", {"payload": b"x" * 5000}, "", "success"),
    "timeout": ("exec sleep 60", {"timeout_usec": 300000}, "", "timeout"),
    "cancel": ("exec sleep 60", {}, "cancel", "cancelled"),
    "stubborn": ("trap '' TERM; while :; do sleep 0.05; done", {"stop_timeout_usec": 300000}, "cancel", "cancelled"),
    "freeze": ("sleep 0.6", {}, "freeze", "success"),
    "worked": (["yes"], {"queue": "worked"}, "", "success"),
    "frozen": ("sleep 60", {"stop_timeout_usec": 400000}, "freeze, cancel", "cancelled"),
}


def starts_worker(name):
    """Only where that is broken, or all is: it is a process more for each row."""
    return name.startswith(("StartUnit:", "all calls"))


def submit_all(mill, name):
    jobs = {}
    for kind, (command, options, _, _) in KINDS.items():
        if kind == "worked" and not starts_worker(name):
            continue
        if isinstance(command, str):
            command = ["/bin/sh", "-c", "echo $JOBMILL_ATTEMPT >>%s/$JOBMILL_JOB_ID; %s" % (mill.out, command)]
        jobs[mill.submit(command, **options)] = kind
    return jobs


def poke(mill, client, id_, steps):
    """What somebody does to a running job. Steps that are done are taken off."""
    try:
        info = mill.info(id_)
        if info["state"] != "running":
            return
        if steps[0] == "freeze":
            mill.call("FreezeJob", id_)
            steps[0] = "thaw" if len(steps) == 1 else "wait"
            steps.append(time.monotonic() + 0.3)
        elif steps[0] in ("thaw", "wait"):
            if time.monotonic() > steps[-1]:
                if steps.pop(0) == "thaw":
                    mill.call("ThawJob", id_)
                steps.pop()
        else:
            mill.call("CancelJob", id_)
            steps.pop(0)
    except client.BusError as e:
        if e.short not in ("JobFinished", "JobNotRunning"):
            raise


def finish_all(mill, jobs, limit, module):
    """Act on them as they run, until all are done and released."""
    steps = {i: KINDS[k][2].split(", ") for i, k in jobs.items() if KINDS[k][2]}
    deadline = time.monotonic() + limit
    while True:
        rows = mill.jobs(fields=["id", "state", "result", "reason"])
        if all(r["state"] == "done" for r in rows) and mill.stats()["attempts"] == 0:
            return {r["id"]: r for r in rows}
        if time.monotonic() > deadline:
            raise AssertionError("stuck: %s, %s" % ([r for r in rows if r["state"] != "done"], mill.stats()))
        for i, s in steps.items():
            if s:
                poke(mill, module, i, s)
        mill.bus.pump(0.05)


def judge(mill, systemd, name, jobs, rows):
    """Compare what we say with what the fake saw and what the jobs wrote."""
    wrong = []
    counts, ends = systemd.do("counts"), systemd.do("ends")
    silent = name.startswith("StartTransientUnit: ") and (", not done" in name or any(
        name == "StartTransientUnit: refused, " + e.rsplit(".", 1)[1] for e in SILENCE + EXISTS))
    refused = {"StartTransientUnit: refused, " + e.rsplit(".", 1)[1] for e in FINAL}
    for id_, kind in jobs.items():
        result, attempts = rows[id_]["result"], mill.call("ListAttempts", id_)
        units = [mill.unit(id_, a["attempt"]) for a in attempts]
        ran = [u for u in units if counts["starts"].get(u)]
        proof = mill.out / str(id_)
        lines = proof.read_text().splitlines() if proof.exists() else []
        say = "job %d (%s): %s (%s), ran %s, ended %s, wrote %s" % (id_, kind, result, rows[id_]["reason"] if "reason" in rows[id_] else "",
                                                                ran, [ends.get(u) for u in ran], lines)
        if any(counts["starts"].get(u, 0) > 1 for u in units) or len(lines) != len(set(lines)):
            wrong.append("an attempt ran twice: " + say)
        # A job that is ended in its first step writes nothing.
        if len(ran) > 1 or len(lines) > len(ran) or (len(lines) < len(ran) and KINDS[kind][3] in ("success", "exit-code", "signal")):
            wrong.append("it did not run as often as it should: " + say)
        allowed = {KINDS[kind][3]} if ran else set()
        if not ran and silent:
            allowed = {"lost"}
        if not ran and (name in refused or name.startswith("no process")):
            allowed = {"exec"}
        if kind == "worked":
            ran, allowed = [], {"success"}
        if result not in allowed:
            wrong.append("not the true result: " + say)
    for slice_, cap in (("jobmill-default.slice", 5), ("jobmill-sliced.slice", 1)):
        # Of a reload that was not heard of, units are gone that are not; it is the empty cgroup that frees a slot, and here is none.
        if counts["max_holding"].get(slice_, 0) > cap and not name.startswith("Reloading: drop"):
            wrong.append("%s held %d, its cap is %d" % (slice_, counts["max_holding"][slice_], cap))
    unlisted = set(counts["calls"]) - {m.split()[0] for m in METHODS}
    if unlisted:
        wrong.append("called, but not on the list: %s" % unlisted)
    left = [u for u in systemd.do("units") if u != "worker.service"]
    if left:
        wrong.append("left over: %s" % left)
    if not re.match("SetUnitProperties: (refused, (%s)|answered)" % "|".join(e.rsplit(".", 1)[1] for e in FINAL + OF_UNITS), name):
        deadline = time.monotonic() + 30
        while (systemd.do("slice", name="jobmill-sliced.slice") or {}).get("CPUWeight") != 50:
            if time.monotonic() > deadline:
                return wrong + ["CPUWeight of the slice is not set"]
            mill.bus.pump(0.1)
    return wrong


def make_mill(folder, modules, version):
    conftest, client = modules
    folder.mkdir(parents=True)
    bus = conftest.Bus(folder)
    c = client.Client(bus.address)
    systemd = conftest.Fake(bus.address, c, "fake_systemd.py", "org.jobmill.Fake.systemd")
    mill = conftest.Mill(folder / "mill", bus.address, c, systemd)
    mill.queue("default", Slots=5, AllowUsers="*", StopTimeoutSec="1s")
    if version:
        systemd.do("version", version=version)
    mill.queue("sliced", Slots=1, AllowUsers="*", StopTimeoutSec="1s", GateUnit="gate.target", **({"Backstop": "yes"} if version else {}))
    systemd.do("unit", name="gate.target", active="active")
    mill.listen()
    example = re.search(r"```python\n(.*?)```", (conftest.ROOT / "docs/workers.md").read_text(), re.S)[1]
    (folder / "worker.py").write_text(example.replace("time.sleep(0.2)", "sys.exit()"))
    systemd.do("unit", name="worker.service", active="inactive", argv=[sys.executable, str(folder / "worker.py"), str(mill.socket_path), "worked"])
    mill.queue("worked", Slots=1, AllowUsers="*", Executor="worker", WorkerUnit="worker.service")
    with open(mill.folder / "config/queues/sliced.queue", "a") as f:
        f.write("[Slice]\nCPUWeight=50\n")
    return bus, c, systemd, mill


def set_faults(systemd, faults):
    for f in faults:
        if "no_fork" in f:
            systemd.do("no_fork", count=f["no_fork"])
        elif "names_max" in f:
            systemd.do("names_max", n=len(systemd.do("units", pattern="*")) + 2)
        else:
            systemd.do("fault", **f)


def play(folder, name, faults, modules):
    """One row, with a bus and a daemon of its own: Subscribe and the first look are as breakable as all else."""
    bus, c, systemd, mill = make_mill(folder, modules, "262-fake" if name.startswith("Reload:") else "")
    began = time.monotonic()
    try:
        set_faults(systemd, faults)
        scaled = {} if name.startswith("really") else {"SYSTEMD_BUS_TIMEOUT": CALL_TIMEOUT}
        mill.start(JOBMILL_LOOK_INTERVAL=str(LOOK_INTERVAL), **scaled)
        jobs = submit_all(mill, name)
        if "names_max" in faults[0]:
            wait_for_refusal(mill, systemd)
        if "Reloading" in name or "all signals" in name:
            deadline = time.monotonic() + 5
            while mill.state(max(jobs)) != "running" and time.monotonic() < deadline:  # the last one
                mill.bus.pump(0.02)
            systemd.do("reloading")
        rows = finish_all(mill, jobs, 900 if not scaled else 30 * modules[0].SLOW, modules[1])
        wrong = judge(mill, systemd, name, jobs, rows)
        fired = systemd.do("fired")
        if not all(fired) and "all" not in name and not re.match("(Reloading|UnitNew|JobNew).*", name):
            wrong.append("the fault was never met: %s" % fired)
        mill.stop()
    except AssertionError as e:
        wrong = [str(e)]
    if wrong:
        wrong.append(mill.log_tail(40))
    for p in (mill.process, systemd.process, bus.process):
        if p and p.poll() is None:
            p.kill()
            p.wait()
    return wrong, time.monotonic() - began


def wait_for_refusal(mill, systemd):
    """Nothing fits in: the jobs wait, and say why. Then there is room."""
    deadline = time.monotonic() + 30
    while not any("too long" in r.get("reason", "") for r in mill.jobs(state="starting", fields=["id", "state", "reason"])):
        assert time.monotonic() < deadline, "no job says why it waits: %s" % mill.jobs(fields=["id", "state", "reason"])
        mill.bus.pump(0.05)
    systemd.do("names_max", n=0)


def main():
    sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
    import client
    import conftest

    rows = all_rows()
    for n, name in enumerate(sys.argv[2:]):
        wrong, seconds = play(pathlib.Path(sys.argv[1]) / str(n), name, rows[name], (conftest, client))
        print(json.dumps([name, wrong, round(seconds, 2)]), flush=True)


if __name__ == "__main__":
    main()
