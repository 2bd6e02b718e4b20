# SPDX-License-Identifier: LGPL-2.1-or-later
"""All that a user can grow has a limit: here is the table of them. Each is met at its limit, and passed by one: that is refused by name, says
which limit it was, and changes nothing; over the bus and over the socket, where both carry it.

A limit is a setting of jobmill.conf, or a constant, which jobmill.conf(5) then tells of. A new one needs a row: test_all_settings_are_here() and
test_all_constants_are_here() fail without. What has more to it than a size has a test of its own: ELSEWHERE says which."""

import base64
import collections
import contextlib
import json
import os
import pathlib
import re

import dbus
import pytest

import client
import varlink
from conftest import ROOT, Mill

JOB = {"argv": ["/bin/true"], "hold": True}

# what: its name; by: the setting of jobmill.conf, or the constant of the code; n: the limit as it is here; spec: of a job that has so much of it;
# said: what the refusal says, besides
Field = collections.namedtuple("Field", "what by n spec said")


def words(n, size=1000):
    """So many bytes, with the NUL of each."""
    return ["x" * (size - 1)] * (n // size) + (["y" * (n % size - 1)] if n % size else [])


def long_property(n):
    text = "InaccessiblePaths="
    paths = ["-/" + "x" * 1000] * 20
    return (text + " ".join(paths))[:n]


# Of one job. The limits as they are with CONFIG.
FIELDS = [
    Field("name", "SPEC_NAME_MAX", 128, lambda n: {"name": "x" * n}, "'name'"),
    Field("words of the command", "SPEC_ARGS_MAX", 65536, lambda n: {"argv": ["/bin/true"] + ["x"] * (n - 1)}, "'argv'"),
    Field("one word", "SPEC_ARG_MAX", 128 * 1024 - 1, lambda n: {"argv": ["/bin/true", "x" * n]}, "'argv'"),
    Field("all words", "SPEC_ARGV_MAX", 1 << 20, lambda n: {"argv": ["/bin/true", *words(n - len("/bin/true") - 1)]}, "'argv'"),
    Field("directory", "SPEC_CWD_MAX", 4095, lambda n: {"cwd": "/" * n}, "'cwd'"),
    Field("file", "SPEC_FILE_MAX", 4095, lambda n: {"output_file": "/" + "x" * (n - 1)}, "'output_file'"),
    Field("file of errors", "SPEC_FILE_MAX", 4095, lambda n: {"error_file": "/" + "x" * (n - 1)}, "'error_file'"),
    Field("variables", "SPEC_ARGS_MAX", 65536, lambda n: {"environment": ["A%d=" % i for i in range(n)]}, "'environment'"),
    Field("one variable", "SPEC_ARG_MAX", 128 * 1024 - 1, lambda n: {"environment": ["A=" + "x" * (n - 2)]}, "'environment'"),
    Field("all variables", "SPEC_ENVIRONMENT_MAX", 1 << 20, lambda n: {"environment": ["A" + w[1:-1] + "=" for w in words(n)]}, "environment"),
    Field("payload", "PayloadMax", 4096, lambda n: {"payload": b"\1" * n}, "payload: 4097 bytes"),
    Field("credentials", "CredentialsMax", 16, lambda n: {"credentials": {"c%d" % i: "x" for i in range(n)}}, "credentials: 17 of them"),
    Field("one credential", "CredentialMax", 64 * 1024, lambda n: {"credentials": {"c": "x" * n}}, "credentials: 'c' has 65537 bytes"),
    Field("name of a credential", "CREDENTIAL_NAME_MAX", 255, lambda n: {"credentials": {"c" * n: "x"}}, "'credentials'"),
    Field("all credentials", "CREDENTIALS_SIZE_MAX", 1 << 20, lambda n: {"credentials": {"%x" % i: "x" * ((n >> 4) - 1 + (i < n % 16)) for i in range(16)}}, "'credentials'"),
    Field("tags", "SPEC_TAGS_MAX", 64, lambda n: {"tags": {"t%d" % i: "" for i in range(n)}}, "'tags'"),
    Field("key of a tag", "SPEC_TAG_KEY_MAX", 64, lambda n: {"tags": {"x" * n: ""}}, "'tags'"),
    Field("value of a tag", "SPEC_TAG_VALUE_MAX", 256, lambda n: {"tags": {"a": "x" * n}}, "'tags'"),
    Field("properties", "SPEC_PROPERTIES_MAX", 128, lambda n: {"properties": ["Nice=5"] * n}, "'properties'"),
    Field("one property", "SPEC_PROPERTY_MAX", 8192, lambda n: {"properties": [long_property(n)]}, "'properties'"),
    Field("unique key", "SPEC_UNIQUE_KEY_MAX", 256, lambda n: {"unique_key": "x" * n, "unique_policy": "replace"}, "'unique_key'"),
    Field("request id", "SPEC_REQUEST_ID_MAX", 128, lambda n: {"request_id": "x" * n}, "'request_id'"),
    Field("name of a type", "SPEC_TYPE_MAX", 64, lambda n: {"type": "t" * n, "argv": []}, "no job type"),
    Field("slots", "SPEC_SLOTS_MAX", 65536, lambda n: {"slots": n, "queue": "wide"}, "'slots'"),
    Field("priority", "SPEC_PRIORITY_MAX", 1000, lambda n: {"priority": n}, "'priority'"),
    Field("attempts", "SPEC_ATTEMPTS_MAX", 10000, lambda n: {"max_attempts": n}, "'max_attempts'"),
    Field("jobs before it", "SPEC_AFTER_MAX", 10000, lambda n: {"after": [(i + 1, "end") for i in range(n)]}, "'after'"),
    Field("jobs of an array", "ArrayMax", 1000, lambda n: {"array": n}, "array: 1001 jobs"),
    Field("jobs of an array at a time", "SPEC_ARRAY_MAX", 1000000, lambda n: {"array": 2, "array_max_running": n}, "'array_max_running'"),
    Field("units", "SPEC_UNITS_MAX", 16, lambda n: {"on_success": ["u%d.service" % i for i in range(n)]}, "'on_success'"),
    Field("name of a unit", "SPEC_UNIT_MAX", 255, lambda n: {"on_failure": ["u" * (n - 8) + ".service"]}, "on_failure"),
    Field("callback", "CallbackURLMax", 64, lambda n: {"callback_url": "https://example.org/".ljust(n, "x")}, "callback_url: 65 bytes"),
]
CONFIG = {"PayloadMax": "4K", "ArrayMax": 1000, "CallbackURLMax": 64, "SubmitManyMax": 10000, "EdgesMax": 10000, "ListPageMax": 10, "SocketMessageMax": "32M"}

# Of a call, by name: settings and constants; (road, n) → the call.
Called = collections.namedtuple("Called", "what by n error said")
CALLS = {c.what: c for c in (
    Called("jobs of SubmitMany", "SubmitManyMax", 10000, "TooMany", "SubmitManyMax="),
    Called("jobs of a flow", "SubmitManyMax", 10000, "InvalidSpec", "SubmitManyMax="),
    Called("edges of SubmitMany", "EdgesMax", 10000, "TooMany", "EdgesMax="),
    Called("jobs before one of a flow", "SPEC_AFTER_MAX", 10000, "InvalidSpec", "'after'"),
    Called("ids of a filter", "NUMBERS_MAX", 100000, "InvalidFilter", "ids: the list has more than 100000"),
    Called("queues of a filter", "WORDS_MAX", 1000, "InvalidFilter", "queue: the list has more than 1000"),
    Called("tags of a filter", "SPEC_TAGS_MAX", 64, "InvalidFilter", "tags: the list has more than 64"),
    Called("fields of a list", "WORDS_MAX", 1000, "InvalidFilter", "fields: the list has more than 1000"),
)}
# On the bus alone.
BUS_CALLS = {c.what: c for c in (
    Called("settings of a queue", "QUEUE_SETTINGS_MAX", 256, "TooMany", "256 settings"),
    Called("values of a setting", "QUEUE_SETTING_VALUES_MAX", 1000, "TooMany", "1000 values"),
    Called("size of settings", "QUEUE_SETTING_SIZE_MAX", 16384, "InvalidSetting", "16384 bytes"),
    Called("name of a queue", "QUEUE_NAME_MAX", 64, "InvalidSetting", ""),
    Called("name of a schedule", "SPEC_TYPE_MAX", 64, "InvalidSetting", "at most 64"),
    Called("times of a schedule", "TIMER_CALENDARS_MAX", 32, "InvalidSetting", "OnCalendar"),
    Called("one time of a schedule", "TIMER_CALENDAR_MAX", 256, "InvalidSetting", "OnCalendar"),
    Called("job of a schedule", "ScheduleJobMax", 64 * 1024, "TooMany", "ScheduleJobMax="),
)}
# What a worker says of itself and of its jobs, on the socket alone.
WORKER_CALLS = {c.what: c for c in (
    Called("queues of a worker", "WORKER_QUEUES_MAX", 64, "InvalidParameter", "queues"),
    Called("slots of a worker", "SPEC_SLOTS_MAX", 65536, "InvalidParameter", "slots"),
    Called("name of a worker", "WORKER_NAME_MAX", 128, "InvalidParameter", "name"),
    Called("metadata of a worker", "WORKER_METADATA_MAX", 4096, "InvalidParameter", "metadata"),
    Called("status of a job", "STATUS_MAX", 1024, "InvalidParameter", "status"),
    Called("error of a job", "STATUS_MAX", 1024, "InvalidParameter", "error"),
    Called("verdict", "VERDICT_MAX", 64 * 1024, "InvalidParameter", "verdict"),
)}
# What a user has at a time, over all his connections, in test_limits_of_users.py.
OF_A_USER = {"MaxQueued": "test_queued", "MaxQueuedPerUser": "test_queued", "PendingCallsPerUserMax": "test_calls_that_wait",
             "PendingCallsSizePerUserMax": "test_size_of_calls_that_wait", "OpenLogsMax": "test_open_logs", "OpenLogsPerUserMax": "test_open_logs",
             "WorkersMax": "test_workers", "WorkersPerUserMax": "test_workers", "SchedulesPerUserMax": "test_schedules", "QueuesMax": "test_queues",
             "RequestIdsPerUserMax": "test_request_ids", "SocketConnectionsMax": "test_connections", "SocketConnectionsPerUserMax": "test_connections",
             "CredentialsPerUserMax": "test_credentials", "ListPageMax": "test_rows_of_a_page", "SocketMessageMax": "test_message", "EnvironmentMax": "test_smaller_environment"}
# setting: file::test that is about it
ELSEWHERE = {
    "StoredBytesPerUserMax": "bus/test_stored_bytes.py::test_at_the_limit",
    "IoTailMax": "bus/test_verdict.py::test_tail_is_a_setting",
    "PoisonAttempts": "bus/test_retry.py",
    "AdapterTimeoutSec": "bus/test_durable.py::test_away_for_too_long",
    "CallbackBodyMax": "bus/test_callback.py::test_limits",
    "EventsMax": "bus/test_socket.py::test_events_that_are_lost",
    "AccountRowsMax": "unit/test-store-usage.c",
    "SocketBuffersPerUserMax": "bus/test_socket.py::test_limit_of_answers_of_a_user",
    "ScheduleFiringsMax": "bus/test_schedule.py",
    "StartsInFlightMax": "bus/test_config.py",
}
# Settings that bound nothing that a user grows: what is the default of something, and times.
NO_LIMITS = {"Storage", "DefaultTimeoutSec", "DefaultStopTimeoutSec", "DefaultStdout", "DefaultVerify", "AccountMinutesSec", "AccountHoursSec",
             "AccountDaysSec", "PoolIdleSec", "PoolMaxSec"}
# Constants that bound nothing of a caller's: texts that we make, what only root's files say, or what a setting has as its greatest value.
NO_CONSTANTS = {"SPEC_QUOTE_MAX", "CREDENTIALS_MAX", "SPEC_TYPE_RULES_MAX", "SPEC_PAYLOAD_MAX", "PAYLOAD_KEYS_MAX", "PAYLOAD_KEY_MAX", "TIMER_UNIT_MAX"}
HEADERS = ("queue/spec.h", "queue/spec-credential.h", "queue/worker.h", "queue/timer.h", "queue/queue-setting.h", "queue/type-rules.h", "queue/verdict.h", "queue/queue.h")
ROWS = [*FIELDS, *CALLS.values(), *BUS_CALLS.values(), *WORKER_CALLS.values()]


# ---- the table is whole ----

def settings():
    body = re.search(r"daemon_keys\[\] = \{\n(.*?)\n\};", (ROOT / "src/daemon/settings.c").read_text(), re.S)[1]
    return re.findall(r'^ +\{ "(\w+)"', body, re.M)


def test_all_settings_are_here():
    rows = {r.by for r in ROWS} | set(OF_A_USER) | set(ELSEWHERE) | NO_LIMITS
    found = settings()
    assert len(found) > 30 and not set(found) - rows, "without a row"
    assert not {r for r in rows if r[1:2].islower()} - set(found), "none is called so"
    there = pathlib.Path(__file__).with_name("test_limits_of_users.py").read_text()
    for key, test in OF_A_USER.items():
        assert key in re.search(r"^def %s\(.*?(?=^(?:@|def |# ----)|\Z)" % test, there, re.M | re.S)[0], (key, test)
    for key, test in ELSEWHERE.items():
        file, _, name = test.partition("::")
        text = (ROOT / "tests" / file).read_text()
        assert name in text and (key in text or re.search(r"rows_max|usage", text)), (key, test)


def test_all_constants_are_here():
    """And jobmill.conf(5) tells of each."""
    rows = {r.by for r in ROWS} | NO_CONSTANTS
    for header in HEADERS:
        for name, value in re.findall(r"^#define (\w+_MAX) (.*)", (ROOT / "src" / header).read_text(), re.M):
            assert name in rows, "%s: %s has no row" % (header, name)
    page = (ROOT / "docs/man/jobmill.conf.5.scd").read_text().split("# LIMITS THAT ARE NO SETTINGS")[1].split("\n# ")[0]
    for r in ROWS:
        if r.by.isupper():
            assert re.search(r"\b%s\b" % number(r), page), "%s: %s is not there" % (r.what, number(r))


def number(row):
    """As people write it."""
    n = {"one word": 131071, "one variable": 131071}.get(row.what, row.n)
    return "%dK" % (n >> 10) if n % 1024 == 0 and 1024 < n < 1 << 20 and n != 65536 else "%dM" % (n >> 20) if n % (1 << 20) == 0 else str(n)


# ---- of a call ----

@pytest.fixture(scope="module")
def shared(folder, address, session_client, systemd_process):
    """One daemon for all that leaves nothing behind but jobs that are held."""
    path = folder / "limits"
    path.mkdir()
    m = Mill(path, address, session_client, systemd_process)
    (path / "config/jobmill.conf").write_text("[Daemon]\n" + "".join("%s=%s\n" % kv for kv in CONFIG.items()))
    m.queue("default", Slots=4, AllowUsers="* daemon")
    m.queue("wide", Slots=65536, AllowUsers="*")
    m.queue("callbacks", Executor="worker", WorkerUsers=os.geteuid())
    m.queue("triggers", Slots=1)
    for i in range(65):
        m.queue("w%d" % i, Executor="worker", AllowUsers="*")
    (path / "config/jobs").mkdir()
    for n in (64, 65):
        (path / "config/jobs" / ("t" * n + ".job")).write_text("[Job]\nCommand=/bin/true\n")
    m.listen()
    m.start()
    m.settled()
    m.call("SubmitMany", [client.entry("", ["true"], hold=True)] * 10000)
    m.submit("true", hold=True)
    yield m
    m.stop()
    systemd_process.do("reset")


class Refused(Exception):
    pass


@contextlib.contextmanager
def refusals():
    """Of both roads, as one."""
    try:
        yield
    except client.BusError as e:
        raise Refused(e.short, e.message) from e
    except varlink.VarlinkError as e:
        raise Refused(e.short, json.dumps(e.parameters)) from e


def to_bus(spec):
    spec = {"queue": "", **JOB, **spec}
    for key in ("on_success", "on_failure"):
        if key in spec:
            spec[key] = dbus.Array(spec[key], signature="s")
    return client.options(spec)


def to_json(spec):
    spec = {**JOB, **spec}
    if "payload" in spec:
        spec["payload_base64"] = base64.b64encode(spec.pop("payload")).decode()
    return spec


def ask(mill, road, member, bus, parameters):
    with refusals():
        if road == "bus":
            return mill.call(member, *bus)
        with mill.connect() as c:
            return c.call({"ListJobs": "List"}.get(member, member), **parameters)


def counted(mill):
    s = mill.stats()
    return s["held"], s["ready"], s["waiting"], s["next_id"] if "next_id" in s else 0, len(mill.call("ListQueues")), len(mill.call("ListSchedules"))


def at_and_beyond(mill, row, call):
    """At the limit it is taken; one more is refused, named, and nothing of it is there."""
    assert call(row.n) is not None
    before = counted(mill)
    with pytest.raises(Refused) as e:
        call(row.n + 1)
    name, text = e.value.args
    return name, text, before


@pytest.mark.parametrize("road", ["bus", "socket"])
@pytest.mark.parametrize("row", FIELDS, ids=lambda r: r.what)
def test_of_a_job(shared, row, road):
    def submit(n):
        spec = row.spec(n)
        if road == "bus":
            if spec.get("argv") == []:
                spec["argv"] = dbus.Array([], signature="s")
            return ask(shared, road, "SubmitMany", ([to_bus(spec)],), None)
        return ask(shared, road, "Submit", None, {"job": to_json(spec)})

    name, text, before = at_and_beyond(shared, row, submit)
    assert name in ("InvalidSpec", "NoSuchType") and row.said in text and (not row.by[1].islower() or row.by + "=" in text), (name, text)
    assert counted(shared) == before
    # of a batch nothing is taken
    if row.what != "request id":
        good, bad = {}, row.spec(row.n + 1)
        bad = {**bad, "argv": dbus.Array([], signature="s")} if road == "bus" and bad.get("argv") == [] else bad
        with pytest.raises(Refused) as e:
            ask(shared, road, "SubmitMany", ([to_bus(good), to_bus(bad)],), {"jobs": [to_json(good), to_json(bad)]})
        assert e.value.args[0] == name and row.said in e.value.args[1]
        assert counted(shared) == before


def flow(n, after=()):
    return {"jobs": [{**JOB, "name": "j%d" % i} for i in range(n)] + ([{**JOB, "name": "last", "after": list(after)}] if after else [])}


def call_of(what, n):
    """member, arguments on the bus, parameters on the socket"""
    if what == "jobs of SubmitMany":
        return "SubmitMany", ([to_bus({})] * n,), {"jobs": [JOB] * n}
    if what == "jobs of a flow":
        return "SubmitFlow", (json.dumps(flow(n)),), {"flow": flow(n)}
    if what == "edges of SubmitMany":
        l = [{"after": [(i + 1, "end") for i in range(100)]}] * 100 + [{"after": [(1, "end")]}] * (n - 10000)
        return "SubmitMany", ([to_bus(s) for s in l],), {"jobs": [to_json(s) for s in l]}
    if what == "jobs before one of a flow":
        f = flow(1, range(1, n + 1))
        return "SubmitFlow", (json.dumps(f),), {"flow": f}
    filter_ = {"ids of a filter": {"ids": list(range(1, n + 1))}, "queues of a filter": {"queue": ["q%d" % i for i in range(n)]},
               "tags of a filter": {"tags": {"t%d" % i: "" for i in range(n)}}, "fields of a list": {"fields": ["id"] * n}}[what]
    return "ListJobs", (filter_, "", 1), {"filter": filter_, "limit": 1}


@pytest.mark.parametrize("road", ["bus", "socket"])
@pytest.mark.parametrize("row", CALLS.values(), ids=CALLS)
def test_of_a_call(shared, row, road):
    name, text, before = at_and_beyond(shared, row, lambda n: ask(shared, road, *call_of(row.what, n)))
    assert name == row.error and row.said in text, (name, text)
    assert counted(shared) == before


def bus_call_of(what, n):
    schedule = {"OnCalendar": ["daily"], "Job": {"argv": ["/bin/true"]}}
    strings = lambda l: dbus.Array(l, signature="s")  # noqa: E731
    settings_ = lambda d: dbus.Dictionary(d, signature="sv")  # noqa: E731
    return {
        "settings of a queue": lambda: ("SetQueue", "q", {"Service.Limit%d" % i: "1" for i in range(n)}, False),
        "values of a setting": lambda: ("SetQueue", "q", settings_({"AllowUsers": strings(["u"] * n)}), False),
        "size of settings": lambda: ("SetQueue", "q", settings_({"AllowUsers": strings(["u" * 31] * (n // 32) + ["v"] * (n % 32))}), False),
        "name of a queue": lambda: ("SetQueue", "q" * n, {"Slots": "1"}, False),
        "name of a schedule": lambda: ("SetSchedule", "s" * n, schedule),
        "times of a schedule": lambda: ("SetSchedule", "s", {**schedule, "OnCalendar": ["*:%d" % i for i in range(n)]}),
        "one time of a schedule": lambda: ("SetSchedule", "s", {**schedule, "OnCalendar": ["Mon" + ",Mon" * 61 + " *:0" + "0" * (n - 251)]}),
        "job of a schedule": lambda: ("SetSchedule", "s", {**schedule, "Job": {"argv": ["/bin/true", "x" * (n - len('{"argv":["/bin/true",""]}'))]}}),
    }[what]()


@pytest.mark.parametrize("row", BUS_CALLS.values(), ids=BUS_CALLS)
def test_of_a_call_on_the_bus(shared, row):
    def call(n):
        with refusals():
            try:
                shared.call(*bus_call_of(row.what, n))
            except client.BusError as e:
                if row.what != "settings of a queue" or e.short == row.error:
                    raise
            return n

    name, text, before = at_and_beyond(shared, row, call)
    assert name == row.error and row.said in text, (name, text)
    assert counted(shared) == before


def worker_call_of(what, n):
    register = {"protocol": 1, "queues": ["w0"]}
    return {
        "queues of a worker": {**register, "queues": ["w%d" % i for i in range(n)]},
        "slots of a worker": {**register, "slots": n},
        "name of a worker": {**register, "name": "x" * n},
        "metadata of a worker": {**register, "metadata": {"a": "x" * (n - len('{"a":""}'))}},
    }[what]


@pytest.mark.parametrize("row", [r for r in WORKER_CALLS.values() if "of a worker" in r.what], ids=lambda r: r.what)
def test_of_a_worker(shared, row):
    def register(n):
        with refusals(), shared.connect() as c:
            c.send("Register", worker_call_of(row.what, n), more=True)
            return c.answer()["token"]

    workers = len(shared.call("ListWorkers"))
    name, text, _ = at_and_beyond(shared, row, register)
    assert name == row.error and row.said in text, (name, text)
    assert len(shared.call("ListWorkers")) == workers + 1  # this process is its process


@pytest.mark.parametrize("row", [r for r in WORKER_CALLS.values() if "of a worker" not in r.what], ids=lambda r: r.what)
def test_of_what_a_worker_says(shared, row):
    with shared.connect() as orders, shared.connect() as c:
        orders.send("Register", {"protocol": 1, "queues": ["w64"]}, more=True)
        token = orders.answer()["token"]
        id_ = shared.submit("true", queue="w64")
        attempt = orders.answer()["assign"]["attempt"]

        def say(n):
            how = {"status of a job": {"status": "x" * n}, "error of a job": {"error": "x" * n},
                   "verdict": {"verdict": {"success": True, "a": "x" * (n - len('{"success":true,"a":""}'))}}}[row.what]
            with refusals():
                return c.call("Progress" if "status" in how else "Complete", token=token, id=id_, attempt=attempt, **how)

        with pytest.raises(Refused) as e:
            say(row.n + 1)
        assert e.value.args[0] == row.error and row.said in e.value.args[1], e.value
        assert shared.state(id_) == "running"
        say(row.n)
        c.call("Drain", token=token)
        if shared.state(id_) != "done":
            c.call("Complete", token=token, id=id_, attempt=attempt)
        assert shared.wait(id_)[0]
