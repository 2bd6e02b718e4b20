# SPDX-License-Identifier: LGPL-2.1-or-later
"""What shuts a queue: rate, pressure, a unit. Each waiting job says which, what runs is left alone, all of it can be changed live, and the
daemon wakes up by itself when it opens."""

import time

import pytest

import client
from conftest import until
from tool import tool

FOREVER = "exec sleep 1000"


def reason(mill, id_):
    return mill.info(id_).get("reason", "")


def waits(mill, id_, text):
    until(lambda: mill.state(id_) == "ready" and reason(mill, id_).startswith(text), 10, lambda: "%s: %s" % (text, mill.info(id_)))


def started(mill, ids):
    """Those that were, and when they were recorded."""
    return sorted(a["created_usec"] for i in ids for a in mill.call("ListAttempts", i))


def set_queue(mill, name, **settings):
    mill.call("SetQueue", name, settings, False)


@pytest.fixture
def pressure(mill):
    """pressure(cpu=12.5): what the kernel says of it; None: nothing."""
    folder = mill.folder / "pressure"
    folder.mkdir()

    def tell(**values):
        for name, v in values.items():
            path = folder / name
            if v is None:
                path.unlink(missing_ok=True)
            else:
                new = folder / "new"
                new.write_text("some avg10=%.2f avg60=0.00 avg300=0.00 total=1\nfull avg10=99.00 avg60=0.00 avg300=0.00 total=0\n" % v)
                new.rename(path)

    tell(cpu=0, memory=0, io=0)
    tell.folder = folder
    return tell


def test_rate(mill):
    """3 in 2 s, also over a restart: of any four the first and the last are 2 s apart."""
    mill.queue("web", RateLimit="3/2s", AllowUsers="*")
    mill.queue("web-sub", AllowUsers="*")
    mill.start()
    ids = mill.submit_many(["true"] * 4, "web") + mill.submit_many(["true"] * 2, "web-sub")
    other = mill.submit("true")
    until(lambda: len(started(mill, ids)) == 3, 5, "the first three")
    last = ids[3]
    assert reason(mill, last) in ("rate: next in 1 s", "rate: next in 2 s"), mill.info(last)
    assert reason(mill, ids[5]) in ("rate of web: next in 1 s", "rate of web: next in 2 s")
    assert mill.queue_properties("web")["Reason"].startswith("rate: next in ")
    assert mill.result(other) == "success"
    mill.restart()
    assert set(mill.all_done(ids).values()) == {"success"}
    times = started(mill, ids)
    assert all(b - a >= 2000000 for a, b in zip(times, times[3:])), times


def test_rate_changes_live(mill):
    mill.queue("web", RateLimit="1/1d", AllowUsers="*")
    mill.start()
    ids = mill.submit_many(["true"] * 4, "web")
    assert mill.result(ids[0]) == "success"
    waits(mill, ids[3], "rate: next in 23 h 59 min")
    set_queue(mill, "web", RateLimit="2/1d")
    assert mill.result(ids[1]) == "success"
    waits(mill, ids[3], "rate: next in ")
    mill.restart()
    waits(mill, ids[3], "rate: next in 23 h 59 min")
    set_queue(mill, "web", RateLimit="")
    assert set(mill.all_done(ids).values()) == {"success"}
    assert "REASON" not in tool(mill, "queue", "list")
    assert not mill.call("CheckIntegrity")


@pytest.mark.parametrize("key,value", [("RateLimit", "5"), ("RateLimit", "0/1s"), ("CPUPressureMax", "0%"), ("IOPressureMax", "101%"),
                                       ("MemoryPressureMax", "20"), ("GateUnit", "ollama"), ("GateUnit", "x@.service"),
                                       ("GateUnit", "a b.service"), ("GateUnit", "../x.service")])
def test_bad_values_are_refused(mill, key, value):
    mill.queue("web", AllowUsers="*")
    mill.start()
    with pytest.raises(client.BusError) as e:
        set_queue(mill, "web", **{key: value})
    assert e.value.short == "InvalidSetting" and key in e.value.message and value in e.value.message
    assert key not in [k for k, _, _ in mill.queue_properties("web")["Settings"]]


def test_pressure(mill, pressure):
    mill.queue("big", AllowUsers="*")
    mill.start(JOBMILL_PRESSURE_PATH=str(pressure.folder))
    running = mill.submit(FOREVER, "big")
    mill.reach(running, "running")
    pressure(cpu=20.01, memory=90, io=90)
    set_queue(mill, "big", CPUPressureMax="20%")
    job = mill.submit("true", "big")
    waits(mill, job, "cpu pressure of 20.01%: big starts at 16.00%")
    assert mill.queue_properties("big")["Reason"] == "cpu pressure of 20.01%: big starts at 16.00%"
    assert mill.result(mill.submit("true")) == "success"
    pressure(cpu=16.0)
    assert mill.result(job) == "success"
    assert mill.state(running) == "running"


def test_pressure_that_cannot_be_read(mill, pressure):
    mill.queue("big", MemoryPressureMax="5%", AllowUsers="*")
    pressure(memory=None)
    mill.start(JOBMILL_PRESSURE_PATH=str(pressure.folder))
    job = mill.submit("true", "big")
    waits(mill, job, "memory pressure, which big limits, cannot be read: No such file or directory")
    assert mill.log_tail().count("Failed to read the memory pressure, queues that it limits start nothing") == 1
    (pressure.folder / "memory").write_text("nonsense\n")
    waits(mill, job, "memory pressure, which big limits, cannot be read: Bad message")
    set_queue(mill, "big", MemoryPressureMax="")
    assert mill.result(job) == "success"


def test_pressure_is_read_only_while_jobs_wait(mill, pressure):
    """As it cannot be read, the log tells when that was tried."""
    mill.queue("big", CPUPressureMax="20%", AllowUsers="*")
    pressure(cpu=None)
    mill.start(JOBMILL_PRESSURE_PATH=str(pressure.folder))
    held = mill.submit("true", "big", hold=True)
    assert mill.result(mill.submit("true")) == "success"
    assert "pressure" not in mill.log_tail()
    mill.call("ReleaseJob", held)
    waits(mill, held, "cpu pressure, which big limits, cannot be read")


def test_gate(mill, systemd):
    mill.queue("llm", GateUnit="ollama.service", AllowUsers="*")
    mill.queue("llm-sub", AllowUsers="*")
    mill.start()
    job, below = mill.submit(FOREVER, "llm"), mill.submit(FOREVER, "llm-sub")
    waits(mill, job, "gate ollama.service does not exist")
    waits(mill, below, "gate ollama.service does not exist")
    assert mill.result(mill.submit("true")) == "success"
    for state in ("inactive", "activating", "failed"):
        systemd.do("unit", name="ollama.service", active=state)
        mill.call("Reload")
        waits(mill, job, "gate ollama.service is " + state)
    assert mill.queue_properties("llm")["Reason"] == "gate ollama.service is failed"
    lines = tool(mill, "queue", "list").splitlines()
    assert lines[0].split()[-1] == "REASON" and any("gate ollama.service is failed" in line for line in lines), lines
    assert "Reason: gate ollama.service is failed" in tool(mill, "queue", "show", "llm")
    looks = len(systemd.do("calls", method="ListUnitsByNames"))
    systemd.do("unit", name="ollama.service", active="active")
    mill.reach(job, "running")
    mill.reach(below, "running")
    systemd.do("unit", name="ollama.service", active="deactivating")
    systemd.do("unit", name="ollama.service", active="inactive")
    late = mill.submit("true", "llm")
    waits(mill, late, "gate ollama.service is inactive")
    assert mill.state(job) == "running" == mill.state(below), "what runs is not touched"
    assert len(systemd.do("calls", method="ListUnitsByNames")) - looks <= 2, "signals tell, nobody asks again and again"
    set_queue(mill, "llm", GateUnit="other.service")
    waits(mill, late, "gate other.service does not exist")
    set_queue(mill, "llm", GateUnit="")
    assert mill.result(late) == "success"


def test_gate_by_another_name(mill, systemd):
    """What is told of the unit is told of its own name."""
    systemd.do("unit", name="mariadb.service", active="inactive", alias="mysql.service")
    mill.queue("db", GateUnit="mysql.service", AllowUsers="*")
    mill.queue("db2", GateUnit="mariadb.service", AllowUsers="*")
    mill.start()
    jobs = mill.submit("true", "db"), mill.submit("true", "db2")
    waits(mill, jobs[0], "gate mysql.service is inactive")
    waits(mill, jobs[1], "gate mariadb.service is inactive")
    systemd.do("unit", name="mariadb.service", active="active")
    assert set(mill.all_done(jobs).values()) == {"success"}


@pytest.mark.parametrize("how", ["reexec", "reboot", "reloading"])
def test_gate_of_another_manager(mill, systemd, how):
    systemd.do("unit", name="x.service", active="inactive")
    mill.queue("q", GateUnit="x.service", AllowUsers="*")
    mill.start()
    job = mill.submit("true", "q")
    waits(mill, job, "gate x.service is inactive")
    systemd.do("signals", copies=0)
    systemd.do("unit", name="x.service", active="active")
    systemd.do("signals", copies=1)
    assert mill.state(job) == "ready"
    systemd.do(how)
    if how == "reboot":
        systemd.do("unit", name="x.service", active="active")
    assert mill.result(job) == "success"


def test_gate_that_cannot_be_looked_at(mill, systemd):
    systemd.do("unit", name="x.service", active="active")
    systemd.fault("ListUnitsByNames", "refuse", error="org.freedesktop.DBus.Error.AccessDenied", message="not today", count=2)
    mill.queue("q", GateUnit="x.service", AllowUsers="*")
    mill.start()
    job = mill.submit("true", "q")
    waits(mill, job, "gate x.service cannot be looked at: not today")
    assert mill.result(job) == "success"


def test_gate_whose_answer_is_late(mill, systemd):
    """Meanwhile it is started: what was asked before says nothing."""
    systemd.do("unit", name="x.service", active="inactive")
    mill.queue("q", GateUnit="x.service", AllowUsers="*")
    mill.start()
    mill.settled()
    waits(mill, mill.submit("true", "q"), "gate x.service is inactive")
    systemd.fault("ListUnitsByNames", "delay", ms=500, execute="first", count=1)
    mill.call("Reload")
    set_queue(mill, "default", GateUnit="x.service")
    systemd.do("reloading")
    time.sleep(0.1)
    systemd.do("unit", name="x.service", active="active")
    job = mill.submit("true")
    assert mill.result(job) == "success"
    time.sleep(0.6)
    assert mill.result(mill.submit("true")) == "success"


def test_gates_are_looked_at_few_at_a_time(mill, systemd):
    for i in range(40):
        mill.queue("q%d" % i, GateUnit="x%d.service" % i, AllowUsers="*")
        systemd.do("unit", name="x%d.service" % i, active="active")
    systemd.fault("ListUnitsByNames", "delay", ms=30)
    mill.start()
    jobs = [mill.submit("true", "q%d" % i) for i in range(40)]
    assert set(mill.all_done(jobs).values()) == {"success"}
    assert systemd.do("counts")["max_open"]["ListUnitsByNames"] <= 8


# ---- Backstop= ----

def hard_max(mill):
    """{slice: ConcurrencyHardMax=} of our drop-ins."""
    found = {}
    for path in (mill.folder / "units").glob("*.slice.d/50-jobmill-backstop.conf"):
        lines = path.read_text().splitlines()
        assert lines[1] == "[Slice]" and lines[2].startswith("ConcurrencyHardMax=") and len(lines) == 3
        found[path.parent.name[:-len(".slice.d")]] = int(lines[2].split("=")[1])
    return found


def reloads(systemd):
    return len(systemd.do("calls", method="Reload"))


def reloaded(mill, systemd, n):
    """Asked and answered so often. What changes before the answer is one more for all."""
    until(lambda: reloads(systemd) == n and not (mill.folder / "run/reload-wanted").exists(), 5, "%d reloads" % n)


def test_backstop_is_written_and_follows(mill, systemd):
    systemd.do("version", version="262")
    mill.queue("gpu", Slots=2, Backstop="yes", AllowUsers="*")
    mill.queue("gpu-a", Slots=1, AllowUsers="*")
    mill.queue("open", Backstop="yes", AllowUsers="*")
    mill.start()
    until(lambda: reloads(systemd) == 1, 5, "one reload for all")
    assert hard_max(mill) == {"jobmill-gpu": 2 + 1 + 32}
    mill.call("Reload")
    mill.restart()
    mill.settled()
    assert reloads(systemd) == 1, "nothing has changed"
    set_queue(mill, "gpu", Slots="5")
    assert hard_max(mill) == {"jobmill-gpu": 5 + 1 + 32}
    reloaded(mill, systemd, 2)
    set_queue(mill, "gpu-b", Slots="1", Backstop="yes")
    assert hard_max(mill) == {"jobmill-gpu": 5 + 2 + 32, "jobmill-gpu-b": 1 + 32}
    reloaded(mill, systemd, 3)
    mill.call("RemoveQueue", "gpu-b")
    assert "jobmill-gpu-b" not in hard_max(mill)
    reloaded(mill, systemd, 4)
    set_queue(mill, "gpu", Backstop="no")
    assert hard_max(mill) == {} and not list((mill.folder / "units").iterdir())
    reloaded(mill, systemd, 5)
    assert mill.result(mill.submit("true", "gpu")) == "success"


def test_backstop_of_an_older_systemd(mill, systemd):
    mill.queue("gpu", Slots=2, Backstop="yes", AllowUsers="*")
    mill.start()
    assert mill.result(mill.submit("true", "gpu")) == "success"
    assert hard_max(mill) == {} and reloads(systemd) == 0


def test_a_refused_start_is_no_attempt(mill, systemd):
    """It is ready again, its slots are free for others, and no attempt is used up."""
    mill.queue("gpu", Slots=1, AllowUsers="*")
    mill.queue("gpu-a", AllowUsers="*")
    mill.start()
    systemd.fault("StartTransientUnit", "refuse", error="org.freedesktop.systemd1.ConcurrencyLimitReached",
                  message="Concurrency limit of the slice has been reached, refusing start job.", count=1, match="jobmill-job-1-*")
    job = mill.submit("true", "gpu-a")
    other = mill.submit("true", "gpu")
    waits(mill, job, "systemd takes no more units of gpu-a: Concurrency limit of the slice has been reached")
    assert mill.call("ListAttempts", job) == []
    assert mill.result(other) == "success", "it does not wait for that one"
    assert mill.result(job) == "success"
    info = mill.info(job)
    assert info["attempt"] == info["max_attempts"] == len(mill.call("ListAttempts", job)) == 1
    assert [u for u, _ in systemd.do("calls", method="StartTransientUnit")].count(mill.unit(job)) == 2
    assert not mill.call("CheckIntegrity")


def test_a_refused_start_that_a_crash_follows(mill, systemd):
    mill.start()
    systemd.fault("StartTransientUnit", "refuse", error="org.freedesktop.systemd1.ConcurrencyLimitReached", message="full")
    job = mill.submit("true")
    waits(mill, job, "systemd takes no more units of default: full")
    for _ in range(2):
        mill.restart()
        waits(mill, job, "systemd takes no more units of default: full")
    systemd.do("clear_faults")
    assert mill.result(job) == "success"
    assert mill.info(job)["attempt"] == 1


def test_backstop_that_was_not_reloaded(mill, systemd):
    """By a crash, or as the manager refused: it is asked for once more."""
    systemd.do("version", version="262")
    mill.queue("gpu", Slots=2, Backstop="yes", AllowUsers="*")
    systemd.fault("Reload", "never", count=1)
    mill.start()
    until(lambda: reloads(systemd) == 1, 5, "asked")
    mill.restart()
    until(lambda: reloads(systemd) == 2, 5, "asked again")
    mill.settled()
    systemd.fault("Reload", "refuse", count=1)
    set_queue(mill, "gpu", Slots="3")
    until(lambda: "The manager was not reloaded" in mill.log_tail(), 5, "told")
    mill.call("Reload")
    until(lambda: not (mill.folder / "run/reload-wanted").exists(), 5, "asked once more, and answered")
    mill.restart()
    mill.settled()
    assert reloads(systemd) == 4 and hard_max(mill) == {"jobmill-gpu": 3 + 32}

    # The answer to one says nothing of what was written since.
    systemd.fault("Reload", "delay", ms=300, count=1, execute="first")
    set_queue(mill, "gpu", Slots="4")
    systemd.fault("Reload", "never", count=1)
    set_queue(mill, "gpu", Slots="5")
    until(lambda: reloads(systemd) == 6, 5, "both asked")
    mill.bus.pump(0.5)
    mill.restart()
    until(lambda: reloads(systemd) == 7, 5, "asked once more")
    # One that may pass is asked again; and what a crash has left goes, also of queues that are gone.
    systemd.fault("Reload", "refuse", error="System.Error.ENOSPC", count=1)
    left = [mill.folder / "units" / name / "50-jobmill-backstop.conf.new" for name in ("jobmill-gone.slice.d", "jobmill-gpu.slice.d")]
    for path in left:
        path.parent.mkdir(exist_ok=True)
        path.touch()
    set_queue(mill, "gpu", Backstop="no")
    until(lambda: reloads(systemd) == 9, 5, "asked again")
    assert not list((mill.folder / "units").iterdir())
    # One that cannot be removed is told, and keeps no other one there.
    for i in range(9):
        path = mill.folder / "units" / ("jobmill-gone%d.slice.d" % i) / "50-jobmill-backstop.conf"
        path.parent.mkdir()
        path.mkdir() if i == 4 else path.touch()
    mill.call("Reload")
    until(lambda: len(list((mill.folder / "units").iterdir())) == 1, 5, "all others are gone")
    until(lambda: "Failed to write the drop-ins" in mill.log_tail(), 5, "it is told")


@pytest.mark.parametrize("key,value", [("RateLimit", "5/1min"), ("CPUPressureMax", "20%"), ("MemoryPressureMax", "12.5%"),
                                       ("IOPressureMax", "100%"), ("GateUnit", "dbus.socket"), ("Backstop", "yes")])
def test_every_key_by_call_and_by_file(mill, key, value):
    """It is in Settings while it is set, from where it was set."""
    def settings():
        return [(v, f) for k, v, f in mill.queue_properties("web")["Settings"] if k == key]

    path = mill.queue("web", AllowUsers="*")
    mill.start()
    mill.queue("web", AllowUsers="*", **{key: value})
    mill.call("Reload")
    assert settings() == [(value, str(path))]
    mill.queue("web", AllowUsers="*")
    mill.call("Reload")
    assert settings() == []
    set_queue(mill, "web", **{key: value})
    assert [v for v, _ in settings()] == [value] and settings()[0][1].endswith("50-jobmill-set.conf")
    set_queue(mill, "web", **{key: ""})
    assert settings() == []
    assert mill.result(mill.submit("true", "web")) == "success"
