// SPDX-License-Identifier: LGPL-2.1-or-later
/* What is sent and received, and the errors by name. Written by clients/generate from org.jobmill.varlink. */

/** What to run, with the keys of "jobmill submit --file". All that is not given has its default. */
export interface Spec {
  queue?: string;
  name?: string;
  argv?: string[];
  cwd?: string;
  umask?: number;
  environment?: string[];
  payload?: string;
  payload_base64?: string;
  tags?: Record<string, string>;
  priority?: number;
  slots?: number;
  hold?: boolean;
  not_before_usec?: number;
  delay_usec?: number;
  timeout_usec?: number;
  stop_timeout_usec?: number;
  uid?: number;
  properties?: string[];
  output_file?: string;
  error_file?: string;
  stdout?: string;
  verify?: string;
  max_attempts?: number;
  backoff?: string;
  backoff_base_usec?: number;
  backoff_max_usec?: number;
  backoff_jitter?: number;
  retry_on?: string[];
  requeue_lost?: boolean;
  memory_growth?: number;
  deadline_usec?: number;
  keep_usec?: number;
  /** Each [ID, "success"], or "failure", or "end". */
  after?: unknown[];
  unique_key?: string;
  unique_policy?: string;
  unique_scope?: string;
  array?: number;
  array_max_running?: number;
  freezable?: boolean;
  callback_url?: string;
  callback_events?: string[];
  on_success?: string[];
  on_failure?: string[];
  /** Secrets by name: text, or any bytes as base64. */
  credentials?: Record<string, string>;
  credentials_base64?: Record<string, string>;
  request_id?: string;
  /** A job type. argv is then added to its command. */
  type?: string;
}

/** A job, as "jobmill show --json" has it. From unit on: of its newest attempt. Of others' jobs only what every local
 * user may know. */
export interface Job {
  id?: number;
  queue?: string;
  owner?: number;
  owner_name?: string;
  state?: string;
  result?: string;
  attempt?: number;
  max_attempts?: number;
  priority?: number;
  slots?: number;
  dead?: boolean;
  frozen?: boolean;
  array?: number;
  array_index?: number;
  array_size?: number;
  array_max_running?: number;
  array_states?: Record<string, number>;
  submitted_usec?: number;
  not_before_usec?: number;
  deadline_usec?: number;
  started_usec?: number;
  finished_usec?: number;
  causes?: string[];
  wait_usec?: number;
  timeout_usec?: number;
  name?: string;
  type?: string;
  type_version?: string;
  type_rules?: string[];
  status?: string;
  progress?: number;
  stdout?: string;
  verify?: string;
  reason?: string;
  flow?: number;
  flow_states?: Record<string, number>;
  after?: unknown[];
  unique_key?: string;
  unique_scope?: string;
  unique_until_usec?: number;
  cwd?: string;
  output_file?: string;
  error_file?: string;
  stop_timeout_usec?: number;
  properties?: string[];
  argv?: string[];
  tags?: Record<string, string>;
  umask?: number;
  backoff?: string;
  backoff_base_usec?: number;
  backoff_max_usec?: number;
  backoff_jitter?: number;
  retry_on?: string[];
  requeue_lost?: boolean;
  memory_growth?: number;
  callback_url?: string;
  callback_events?: string[];
  on_success?: string[];
  on_failure?: string[];
  /** Names. */
  credentials?: string[];
  keep_usec?: number;
  freezable?: boolean;
  unit?: string;
  invocation_id?: string;
  executor?: string;
  worker?: number;
  engine?: unknown;
  slot_numbers?: number[];
  exit_status?: number;
  exit_signal?: number;
  runtime_usec?: number;
  cpu_usec?: number;
  memory_peak?: number;
  memory_peak_sampled?: boolean;
  io_read_bytes?: number;
  io_write_bytes?: number;
  tasks_peak?: number;
  verdict?: unknown;
  success?: boolean;
  io?: Record<string, string>;
}

/** One attempt of a job; empty where there was none. */
export interface Attempt {
  attempt?: number;
  unit?: string;
  invocation_id?: string;
  executor?: string;
  worker?: number;
  engine?: unknown;
  slot_numbers?: number[];
  result?: string;
  reason?: string;
  created_usec?: number;
  started_usec?: number;
  finished_usec?: number;
  frozen_usec?: number;
  memory_max?: number;
  exit_status?: number;
  exit_signal?: number;
  runtime_usec?: number;
  cpu_usec?: number;
  memory_peak?: number;
  memory_peak_sampled?: boolean;
  io_read_bytes?: number;
  io_write_bytes?: number;
  tasks_peak?: number;
  verdict?: unknown;
  success?: boolean;
  io?: Record<string, string>;
}

/** Which jobs: all that is given must match, a list matches any of its entries. order: newest, oldest, rank or finished;
 * fields: what to tell of each job; collapse: one for each flow or array. */
export interface Filter {
  ids?: number[];
  queue?: string[];
  state?: string[];
  result?: string[];
  owner?: number[];
  name?: string;
  type?: string[];
  tags?: Record<string, string>;
  dead?: boolean;
  array?: number;
  since_usec?: number;
  until_usec?: number;
  flow?: number;
  order?: string;
  fields?: string[];
  collapse?: boolean;
}

/** available: jobs of it can be submitted; else reason says why not. accept: the keys of a Spec that callers may give;
 * absent: all. */
export interface Schedule {
  name: string;
  owner: number;
  file?: string;
  hides?: string;
  unit: string;
  paused: boolean;
  reason?: string;
  next_usec?: number;
  elapsed_usec?: number;
  last_job?: number;
  firings: number;
  calendar?: string[];
  every_usec?: number;
  randomized_delay_usec?: number;
  accuracy_usec?: number;
  persistent?: boolean;
  overlap?: string;
  job?: unknown;
}

export interface Firing {
  number: number;
  cause: string;
  due_usec: number;
  fired_usec: number;
  job?: number;
  reason?: string;
}

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
  allow_users?: string[];
  allow_groups?: string[];
  properties?: string[];
  files?: string[];
}

/** How many jobs are in which state, and of the daemon. dispatch: why nothing starts, "" if something does. */
export interface DaemonStatistics {
  version: string;
  held: number;
  waiting: number;
  ready: number;
  starting: number;
  running: number;
  stopping: number;
  done: number;
  dead: number;
  queues: number;
  attempts: number;
  strays: number;
  dispatch: string;
  systemd: string;
  storage: string;
  store_bytes: number;
  store_log_bytes: number;
  commits: number;
  commit_usec: number;
  commit_errors: number;
  turns: number;
  turn_usec: number;
  turn_usec_max: number;
  systemd_calls: number;
  systemd_errors: number;
  systemd_in_flight: number;
  jobs_in_memory: number;
  workers: number;
  clients: number;
  connections: number;
  subscribers: number;
  calls_waiting: number;
  answers_held: number;
  waits: number;
  last_event: number;
}

/** Sums of what was in a time, of the jobs of a queue, a type or a user. Times are those of attempts together. */
export interface ReportRow {
  day?: string;
  minute_usec?: number;
  hour_usec?: number;
  queue?: string;
  type?: string;
  owner?: number;
  submitted: number;
  jobs: number;
  failed: number;
  cancelled: number;
  attempts: number;
  started: number;
  wait_usec: number;
  runtime_usec: number;
  slot_usec: number;
  measured: number;
  cpu_usec?: number;
}

/** What became of a job. result: of one that is done. Numbers grow, with gaps. */
export interface Event {
  number: number;
  id: number;
  queue: string;
  owner: number;
  state: string;
  attempt: number;
  result?: string;
  new?: boolean;
}

/** A process that is given jobs. jobs: how many it has; name and metadata are what it says of itself. away_usec: of a
 * durable one: there is no process since then. */
export interface WorkerInfo {
  id: number;
  name?: string;
  uid: number;
  user?: string;
  pid: number;
  unit?: string;
  queues: string[];
  adapter?: string;
  slots: number;
  slots_used: number;
  jobs: number;
  connected: boolean;
  draining: boolean;
  durable: boolean;
  away_usec?: number;
  registered_usec: number;
  metadata?: unknown;
}

/** What a worker is to run. inputs: of those that it came after, by name. To a durable one: options: what the queue's
 * file says to it; engine: what it has kept of this attempt. */
export interface Assignment {
  id: number;
  attempt: number;
  attempt_token: string;
  queue: string;
  owner: number;
  name?: string;
  array?: number;
  array_index?: number;
  slot_numbers: number[];
  timeout_usec?: number;
  inputs?: unknown;
  job: Spec;
  options?: Record<string, string>;
  engine?: unknown;
}

/** What it is to end. reason: what its result will be. */
export interface Cancellation {
  id: number;
  attempt: number;
  attempt_token: string;
  reason: string;
}

/** A durable worker is to have this signal sent to it. */
export interface Signal {
  id: number;
  attempt: number;
  attempt_token: string;
  signal: number;
}

/** It may start its command, with these variables beside its own. */
export interface Go {
  attempt: number;
  environment: string[];
}

/** What became of a job that was not started here, or was while nobody was there to be told. */
export interface Done {
  result: string;
  reason?: string;
  exit_status?: number;
  exit_signal?: number;
}

/** Errors that the daemon answers with. */
export type ErrorName =
  | "NoSuchJob"
  | "NoSuchQueue"
  | "NoSuchType"
  | "NoSuchSchedule"
  | "TypeUnavailable"
  | "InvalidSpec"
  | "InvalidFilter"
  | "PropertyNotAllowed"
  | "NotAllowed"
  | "QueueDraining"
  | "QueueFull"
  | "JobFinished"
  | "JobLive"
  | "JobNotFinished"
  | "NotUnique"
  | "CycleInFlow"
  | "DependencyFailed"
  | "StorageFull"
  | "StorageError"
  | "TooMany"
  /** Some of those behind this number are not kept any more, or it is none that there was: list the jobs, and go on
   * after last. */
  | "EventsLost"
  | "NoSuchWorker"
  /** Who connected is not the process that it has to be: gone, another one, or not of its user alone. */
  | "ForeignProcess"
  | "NoSuchAttempt"
  | "AttemptFinished"
  /** What came is no call. The connection is closed. */
  | "InvalidMessage"
  /** A mistake of the daemon. */
  | "Failed"
  /** The requested interface was not found. */
  | "InterfaceNotFound"
  /** The requested method was not found */
  | "MethodNotFound"
  /** The interface defines the requested method, but the service does not implement it. */
  | "MethodNotImplemented"
  /** One of the passed parameters is invalid. */
  | "InvalidParameter"
  /** Client is denied access */
  | "PermissionDenied"
  /** Method is expected to be called with 'more' set to true, but wasn't */
  | "ExpectedMore";
