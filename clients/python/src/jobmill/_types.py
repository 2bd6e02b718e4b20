# SPDX-License-Identifier: LGPL-2.1-or-later
"""What is sent and received, and the errors by name. Written by clients/generate from org.jobmill.varlink."""

from typing import Any, Dict, List, NotRequired, TypedDict

from ._error import MethodError


# What to run, with the keys of "jobmill submit --file". All that is not given has its default.
class Spec(TypedDict, total=False):
    queue: str
    name: str
    argv: List[str]
    cwd: str
    umask: int
    environment: List[str]
    payload: str
    payload_base64: str
    tags: Dict[str, str]
    priority: int
    slots: int
    hold: bool
    not_before_usec: int
    delay_usec: int
    timeout_usec: int
    stop_timeout_usec: int
    uid: int
    properties: List[str]
    output_file: str
    error_file: str
    stdout: str
    verify: str
    max_attempts: int
    backoff: str
    backoff_base_usec: int
    backoff_max_usec: int
    backoff_jitter: float
    retry_on: List[str]
    requeue_lost: bool
    memory_growth: float
    deadline_usec: int
    keep_usec: int
    # Each [ID, "success"], or "failure", or "end".
    after: List[Any]
    unique_key: str
    unique_policy: str
    unique_scope: str
    array: int
    array_max_running: int
    freezable: bool
    callback_url: str
    callback_events: List[str]
    on_success: List[str]
    on_failure: List[str]
    # Secrets by name: text, or any bytes as base64.
    credentials: Dict[str, str]
    credentials_base64: Dict[str, str]
    request_id: str
    # A job type. argv is then added to its command.
    type: str


# A job, as "jobmill show --json" has it. From unit on: of its newest attempt. Of others' jobs only what every local
# user may know.
class Job(TypedDict, total=False):
    id: int
    queue: str
    owner: int
    owner_name: str
    state: str
    result: str
    attempt: int
    max_attempts: int
    priority: int
    slots: int
    dead: bool
    frozen: bool
    array: int
    array_index: int
    array_size: int
    array_max_running: int
    array_states: Dict[str, int]
    submitted_usec: int
    not_before_usec: int
    deadline_usec: int
    started_usec: int
    finished_usec: int
    causes: List[str]
    wait_usec: int
    timeout_usec: int
    name: str
    type: str
    type_version: str
    type_rules: List[str]
    status: str
    progress: float
    stdout: str
    verify: str
    reason: str
    flow: int
    flow_states: Dict[str, int]
    after: List[Any]
    unique_key: str
    unique_scope: str
    unique_until_usec: int
    cwd: str
    output_file: str
    error_file: str
    stop_timeout_usec: int
    properties: List[str]
    argv: List[str]
    tags: Dict[str, str]
    umask: int
    backoff: str
    backoff_base_usec: int
    backoff_max_usec: int
    backoff_jitter: float
    retry_on: List[str]
    requeue_lost: bool
    memory_growth: float
    callback_url: str
    callback_events: List[str]
    on_success: List[str]
    on_failure: List[str]
    # Names.
    credentials: List[str]
    keep_usec: int
    freezable: bool
    unit: str
    invocation_id: str
    executor: str
    worker: int
    engine: Any
    slot_numbers: List[int]
    exit_status: int
    exit_signal: int
    runtime_usec: int
    cpu_usec: int
    memory_peak: int
    memory_peak_sampled: bool
    io_read_bytes: int
    io_write_bytes: int
    tasks_peak: int
    verdict: Any
    success: bool
    io: Dict[str, str]


# One attempt of a job; empty where there was none.
class Attempt(TypedDict, total=False):
    attempt: int
    unit: str
    invocation_id: str
    executor: str
    worker: int
    engine: Any
    slot_numbers: List[int]
    result: str
    reason: str
    created_usec: int
    started_usec: int
    finished_usec: int
    frozen_usec: int
    memory_max: int
    exit_status: int
    exit_signal: int
    runtime_usec: int
    cpu_usec: int
    memory_peak: int
    memory_peak_sampled: bool
    io_read_bytes: int
    io_write_bytes: int
    tasks_peak: int
    verdict: Any
    success: bool
    io: Dict[str, str]


# Which jobs: all that is given must match, a list matches any of its entries. order: newest, oldest, rank or finished;
# fields: what to tell of each job; collapse: one for each flow or array.
class Filter(TypedDict, total=False):
    ids: List[int]
    queue: List[str]
    state: List[str]
    result: List[str]
    owner: List[int]
    name: str
    type: List[str]
    tags: Dict[str, str]
    dead: bool
    array: int
    since_usec: int
    until_usec: int
    flow: int
    order: str
    fields: List[str]
    collapse: bool


# available: jobs of it can be submitted; else reason says why not. accept: the keys of a Spec that callers may give;
# absent: all.
class Schedule(TypedDict):
    name: str
    owner: int
    file: NotRequired[str]
    hides: NotRequired[str]
    unit: str
    paused: bool
    reason: NotRequired[str]
    next_usec: NotRequired[int]
    elapsed_usec: NotRequired[int]
    last_job: NotRequired[int]
    firings: int
    calendar: NotRequired[List[str]]
    every_usec: NotRequired[int]
    randomized_delay_usec: NotRequired[int]
    accuracy_usec: NotRequired[int]
    persistent: NotRequired[bool]
    overlap: NotRequired[str]
    job: NotRequired[Any]


class Firing(TypedDict):
    number: int
    cause: str
    due_usec: int
    fired_usec: int
    job: NotRequired[int]
    reason: NotRequired[str]


class JobType(TypedDict):
    name: str
    version: NotRequired[str]
    description: NotRequired[str]
    queue: str
    argv: NotRequired[List[str]]
    available: bool
    reason: NotRequired[str]
    accept: NotRequired[List[str]]
    payload_required: NotRequired[List[str]]
    payload_optional: NotRequired[List[str]]
    allow_users: NotRequired[List[str]]
    allow_groups: NotRequired[List[str]]
    properties: NotRequired[List[str]]
    files: NotRequired[List[str]]


# How many jobs are in which state, and of the daemon. dispatch: why nothing starts, "" if something does.
class DaemonStatistics(TypedDict):
    version: str
    held: int
    waiting: int
    ready: int
    starting: int
    running: int
    stopping: int
    done: int
    dead: int
    queues: int
    attempts: int
    strays: int
    dispatch: str
    systemd: str
    storage: str
    store_bytes: int
    store_log_bytes: int
    commits: int
    commit_usec: int
    commit_errors: int
    turns: int
    turn_usec: int
    turn_usec_max: int
    systemd_calls: int
    systemd_errors: int
    systemd_in_flight: int
    jobs_in_memory: int
    workers: int
    clients: int
    connections: int
    subscribers: int
    calls_waiting: int
    answers_held: int
    waits: int
    last_event: int


# Sums of what was in a time, of the jobs of a queue, a type or a user. Times are those of attempts together.
class ReportRow(TypedDict):
    day: NotRequired[str]
    minute_usec: NotRequired[int]
    hour_usec: NotRequired[int]
    queue: NotRequired[str]
    type: NotRequired[str]
    owner: NotRequired[int]
    submitted: int
    jobs: int
    failed: int
    cancelled: int
    attempts: int
    started: int
    wait_usec: int
    runtime_usec: int
    slot_usec: int
    measured: int
    cpu_usec: NotRequired[int]


# What became of a job. result: of one that is done. Numbers grow, with gaps.
class Event(TypedDict):
    number: int
    id: int
    queue: str
    owner: int
    state: str
    attempt: int
    result: NotRequired[str]
    new: NotRequired[bool]


# A process that is given jobs. jobs: how many it has; name and metadata are what it says of itself. away_usec: of a
# durable one: there is no process since then.
class WorkerInfo(TypedDict):
    id: int
    name: NotRequired[str]
    uid: int
    user: NotRequired[str]
    pid: int
    unit: NotRequired[str]
    queues: List[str]
    adapter: NotRequired[str]
    slots: int
    slots_used: int
    jobs: int
    connected: bool
    draining: bool
    durable: bool
    away_usec: NotRequired[int]
    registered_usec: int
    metadata: NotRequired[Any]


# What a worker is to run. inputs: of those that it came after, by name. To a durable one: options: what the queue's
# file says to it; engine: what it has kept of this attempt.
class Assignment(TypedDict):
    id: int
    attempt: int
    attempt_token: str
    queue: str
    owner: int
    name: NotRequired[str]
    array: NotRequired[int]
    array_index: NotRequired[int]
    slot_numbers: List[int]
    timeout_usec: NotRequired[int]
    inputs: NotRequired[Any]
    job: Spec
    options: NotRequired[Dict[str, str]]
    engine: NotRequired[Any]


# What it is to end. reason: what its result will be.
class Cancellation(TypedDict):
    id: int
    attempt: int
    attempt_token: str
    reason: str


# A durable worker is to have this signal sent to it.
class Signal(TypedDict):
    id: int
    attempt: int
    attempt_token: str
    signal: int


# It may start its command, with these variables beside its own.
class Go(TypedDict):
    attempt: int
    environment: List[str]


# What became of a job that was not started here, or was while nobody was there to be told.
class Done(TypedDict):
    result: str
    reason: NotRequired[str]
    exit_status: NotRequired[int]
    exit_signal: NotRequired[int]


class NoSuchJob(MethodError):
    pass


class NoSuchQueue(MethodError):
    pass


class NoSuchType(MethodError):
    pass


class NoSuchSchedule(MethodError):
    pass


class TypeUnavailable(MethodError):
    pass


class InvalidSpec(MethodError):
    pass


class InvalidFilter(MethodError):
    pass


class PropertyNotAllowed(MethodError):
    pass


class NotAllowed(MethodError):
    pass


class QueueDraining(MethodError):
    pass


class QueueFull(MethodError):
    pass


class JobFinished(MethodError):
    pass


class JobLive(MethodError):
    pass


class JobNotFinished(MethodError):
    pass


class NotUnique(MethodError):
    pass


class CycleInFlow(MethodError):
    pass


class DependencyFailed(MethodError):
    pass


class StorageFull(MethodError):
    pass


class StorageError(MethodError):
    pass


class TooMany(MethodError):
    pass


# Some of those behind this number are not kept any more, or it is none that there was: list the jobs, and go on after
# last.
class EventsLost(MethodError):
    pass


class NoSuchWorker(MethodError):
    pass


# Who connected is not the process that it has to be: gone, another one, or not of its user alone.
class ForeignProcess(MethodError):
    pass


class NoSuchAttempt(MethodError):
    pass


class AttemptFinished(MethodError):
    pass


# What came is no call. The connection is closed.
class InvalidMessage(MethodError):
    pass


# A mistake of the daemon.
class Failed(MethodError):
    pass


# The requested interface was not found.
class InterfaceNotFound(MethodError):
    pass


# The requested method was not found
class MethodNotFound(MethodError):
    pass


# The interface defines the requested method, but the service does not implement it.
class MethodNotImplemented(MethodError):
    pass


# One of the passed parameters is invalid.
class InvalidParameter(MethodError):
    pass


# Client is denied access
class PermissionDenied(MethodError):
    pass


# Method is expected to be called with 'more' set to true, but wasn't
class ExpectedMore(MethodError):
    pass


ERRORS = {c.__name__: c for c in (NoSuchJob, NoSuchQueue, NoSuchType, NoSuchSchedule, TypeUnavailable, InvalidSpec, InvalidFilter, PropertyNotAllowed, NotAllowed, QueueDraining, QueueFull, JobFinished, JobLive, JobNotFinished, NotUnique, CycleInFlow, DependencyFailed, StorageFull, StorageError, TooMany, EventsLost, NoSuchWorker, ForeignProcess, NoSuchAttempt, AttemptFinished, InvalidMessage, Failed, InterfaceNotFound, MethodNotFound, MethodNotImplemented, InvalidParameter, PermissionDenied, ExpectedMore)}
