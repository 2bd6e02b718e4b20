// SPDX-License-Identifier: LGPL-2.1-or-later
// The dictionaries of org.jobmill1.Manager, as its introspection data describes them. What is not known is absent.

export type State = "held" | "waiting" | "ready" | "starting" | "running" | "stopping" | "done";
export const STATES: State[] = ["held", "waiting", "ready", "starting", "running", "stopping", "done"];
export const RESULTS = ["success", "exit-code", "signal", "core-dump", "timeout", "watchdog", "oom-kill", "verdict", "unverified", "exec",
    "cancelled", "dependency", "expired", "lost"];

export type After = [number, string];

interface Outcome {
    attempt: number;
    unit?: string;
    invocation_id?: string;
    executor?: string;
    worker?: number;
    slot_numbers?: number[];
    result?: string;
    reason?: string;
    exit_status?: number;
    exit_signal?: number;
    started_usec?: number;
    finished_usec?: number;
    runtime_usec?: number;
    cpu_usec?: number;
    memory_peak?: number;
    memory_peak_sampled?: boolean;
    io_read_bytes?: number;
    io_write_bytes?: number;
    tasks_peak?: number;
    verdict?: string;
    success?: boolean;
    io?: Record<string, string>;
}

export interface Attempt extends Outcome { created_usec: number; memory_max?: number; frozen_usec?: number }

export interface Job extends Outcome {
    id: number;
    name?: string;
    queue: string;
    type?: string;
    type_version?: string;
    type_rules?: string[];
    owner: number;
    owner_name?: string;
    state: State;
    max_attempts?: number;
    priority?: number;
    slots?: number;
    argv?: string[];
    cwd?: string;
    umask?: number;
    submitted_usec?: number;
    not_before_usec?: number;
    deadline_usec?: number;
    wait_usec?: number;
    timeout_usec?: number;
    stop_timeout_usec?: number;
    keep_usec?: number;
    backoff?: string;
    backoff_base_usec?: number;
    array?: number;
    array_index?: number;
    array_size?: number;
    array_states?: Record<string, number>;
    flow?: number;
    after?: After[];
    unique_key?: string;
    tags?: Record<string, string>;
    dead?: boolean;
    output_file?: string;
    error_file?: string;
    stdout?: string;
    verify?: string;
    status?: string;
    progress?: number;
    properties?: string[];
    credentials?: string[];
    frozen?: boolean;
    callback_url?: string;
}

export interface Queue {
    Name: string;
    Slice: string;
    Slots: number;
    SlotsUsed: number;
    Held: number;
    Waiting: number;
    Ready: number;
    Starting: number;
    Running: number;
    Stopping: number;
    Dead: number;
    Paused: boolean;
    Draining: boolean;
    Reason: string;
    Files: string[];
    Settings: [string, string, string][];
}

/** The largest u: a queue without a cap of its own. */
export const NO_CAP = 4294967295;

export interface JobType {
    name: string;
    version?: string;
    description?: string;
    queue: string;
    argv?: string[];
    available: boolean;
    reason?: string;
    accept?: string[];
    payload_required?: string[];
    payload_optional?: string[];
}

export interface Schedule {
    name: string;
    owner: number;
    file?: string;
    unit: string;
    paused: boolean;
    reason?: string;
    next_usec?: number;
    elapsed_usec?: number;
    last_job?: number;
    firings: number;
    calendar?: string[];
    every_usec?: number;
    overlap?: string;
    job?: string;
}

export interface Firing { number: number; cause: string; due_usec: number; fired_usec: number; job?: number; reason?: string }

export interface Worker {
    id: number;
    name?: string;
    metadata?: string;
    uid: number;
    user?: string;
    pid: number;
    unit?: string;
    queues: string[];
    slots: number;
    slots_used: number;
    jobs: number;
    connected: boolean;
    draining: boolean;
    registered_usec: number;
}

export interface ReportRow {
    minute_usec?: number;
    hour_usec?: number;
    day?: string;
    queue?: string;
    submitted: number;
    jobs: number;
    failed: number;
    cancelled: number;
    attempts: number;
    started: number;
    wait_usec: number;
    runtime_usec: number;
}

export interface Statistics { version: string; dispatch?: string; running: number; ready: number; waiting: number; held: number; dead: number; done: number }
