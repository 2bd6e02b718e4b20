// SPDX-License-Identifier: LGPL-2.1-or-later
//! What is sent and received, and the errors by name. Written by clients/generate from org.jobmill.varlink.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// What to run, with the keys of "jobmill submit --file". All that is not given has its default.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Spec {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub argv: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cwd: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub umask: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub environment: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payload: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payload_base64: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tags: Option<BTreeMap<String, String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slots: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hold: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_before_usec: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delay_usec: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_usec: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_timeout_usec: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uid: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub properties: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_file: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_file: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stdout: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verify: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_attempts: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backoff: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backoff_base_usec: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backoff_max_usec: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backoff_jitter: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_on: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requeue_lost: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_growth: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deadline_usec: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep_usec: Option<i64>,
    /// Each [ID, "success"], or "failure", or "end".
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<Vec<Value>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unique_key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unique_policy: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unique_scope: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub array: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub array_max_running: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub freezable: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub callback_url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub callback_events: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_success: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_failure: Option<Vec<String>>,
    /// Secrets by name: text, or any bytes as base64.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credentials: Option<BTreeMap<String, String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credentials_base64: Option<BTreeMap<String, String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// A job type. argv is then added to its command.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub r#type: Option<String>,
}

/// A job, as "jobmill show --json" has it. From unit on: of its newest attempt. Of others' jobs only what every local
/// user may know.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Job {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempt: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_attempts: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slots: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dead: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frozen: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub array: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub array_index: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub array_size: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub array_max_running: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub array_states: Option<BTreeMap<String, i64>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub submitted_usec: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_before_usec: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deadline_usec: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_usec: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finished_usec: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub causes: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wait_usec: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_usec: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub r#type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub type_version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub type_rules: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub progress: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stdout: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verify: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flow: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flow_states: Option<BTreeMap<String, i64>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<Vec<Value>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unique_key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unique_scope: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unique_until_usec: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cwd: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_file: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_file: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_timeout_usec: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub properties: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub argv: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tags: Option<BTreeMap<String, String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub umask: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backoff: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backoff_base_usec: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backoff_max_usec: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backoff_jitter: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_on: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requeue_lost: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_growth: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub callback_url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub callback_events: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_success: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_failure: Option<Vec<String>>,
    /// Names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credentials: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep_usec: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub freezable: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub invocation_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub executor: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub worker: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub engine: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slot_numbers: Option<Vec<i64>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exit_status: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exit_signal: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runtime_usec: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_usec: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_peak: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_peak_sampled: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub io_read_bytes: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub io_write_bytes: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tasks_peak: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub success: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub io: Option<BTreeMap<String, String>>,
}

/// One attempt of a job; empty where there was none.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Attempt {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempt: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub invocation_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub executor: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub worker: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub engine: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slot_numbers: Option<Vec<i64>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_usec: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_usec: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finished_usec: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frozen_usec: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_max: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exit_status: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exit_signal: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runtime_usec: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_usec: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_peak: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_peak_sampled: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub io_read_bytes: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub io_write_bytes: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tasks_peak: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub success: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub io: Option<BTreeMap<String, String>>,
}

/// Which jobs: all that is given must match, a list matches any of its entries. order: newest, oldest, rank or
/// finished; fields: what to tell of each job; collapse: one for each flow or array.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Filter {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ids: Option<Vec<i64>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<Vec<i64>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub r#type: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tags: Option<BTreeMap<String, String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dead: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub array: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since_usec: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until_usec: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flow: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fields: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub collapse: Option<bool>,
}

/// available: jobs of it can be submitted; else reason says why not. accept: the keys of a Spec that callers may give;
/// absent: all.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Schedule {
    pub name: String,
    pub owner: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hides: Option<String>,
    pub unit: String,
    pub paused: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_usec: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub elapsed_usec: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_job: Option<i64>,
    pub firings: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub calendar: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub every_usec: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub randomized_delay_usec: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accuracy_usec: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub persistent: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub overlap: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job: Option<Value>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Firing {
    pub number: i64,
    pub cause: String,
    pub due_usec: i64,
    pub fired_usec: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct JobType {
    pub name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    pub queue: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub argv: Option<Vec<String>>,
    pub available: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accept: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payload_required: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payload_optional: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow_users: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow_groups: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub properties: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub files: Option<Vec<String>>,
}

/// How many jobs are in which state, and of the daemon. dispatch: why nothing starts, "" if something does.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct DaemonStatistics {
    pub version: String,
    pub held: i64,
    pub waiting: i64,
    pub ready: i64,
    pub starting: i64,
    pub running: i64,
    pub stopping: i64,
    pub done: i64,
    pub dead: i64,
    pub queues: i64,
    pub attempts: i64,
    pub strays: i64,
    pub dispatch: String,
    pub systemd: String,
    pub storage: String,
    pub store_bytes: i64,
    pub store_log_bytes: i64,
    pub commits: i64,
    pub commit_usec: i64,
    pub commit_errors: i64,
    pub turns: i64,
    pub turn_usec: i64,
    pub turn_usec_max: i64,
    pub systemd_calls: i64,
    pub systemd_errors: i64,
    pub systemd_in_flight: i64,
    pub jobs_in_memory: i64,
    pub workers: i64,
    pub clients: i64,
    pub connections: i64,
    pub subscribers: i64,
    pub calls_waiting: i64,
    pub answers_held: i64,
    pub waits: i64,
    pub last_event: i64,
}

/// Sums of what was in a time, of the jobs of a queue, a type or a user. Times are those of attempts together.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ReportRow {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub day: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub minute_usec: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hour_usec: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub r#type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<i64>,
    pub submitted: i64,
    pub jobs: i64,
    pub failed: i64,
    pub cancelled: i64,
    pub attempts: i64,
    pub started: i64,
    pub wait_usec: i64,
    pub runtime_usec: i64,
    pub slot_usec: i64,
    pub measured: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_usec: Option<i64>,
}

/// What became of a job. result: of one that is done. Numbers grow, with gaps.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Event {
    pub number: i64,
    pub id: i64,
    pub queue: String,
    pub owner: i64,
    pub state: String,
    pub attempt: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub new: Option<bool>,
}

/// A process that is given jobs. jobs: how many it has; name and metadata are what it says of itself. away_usec: of a
/// durable one: there is no process since then.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct WorkerInfo {
    pub id: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    pub uid: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    pub pid: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    pub queues: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub adapter: Option<String>,
    pub slots: i64,
    pub slots_used: i64,
    pub jobs: i64,
    pub connected: bool,
    pub draining: bool,
    pub durable: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub away_usec: Option<i64>,
    pub registered_usec: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Value>,
}

/// What a worker is to run. inputs: of those that it came after, by name. To a durable one: options: what the queue's
/// file says to it; engine: what it has kept of this attempt.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Assignment {
    pub id: i64,
    pub attempt: i64,
    pub attempt_token: String,
    pub queue: String,
    pub owner: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub array: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub array_index: Option<i64>,
    pub slot_numbers: Vec<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_usec: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inputs: Option<Value>,
    pub job: Spec,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub options: Option<BTreeMap<String, String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub engine: Option<Value>,
}

/// What it is to end. reason: what its result will be.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Cancellation {
    pub id: i64,
    pub attempt: i64,
    pub attempt_token: String,
    pub reason: String,
}

/// A durable worker is to have this signal sent to it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Signal {
    pub id: i64,
    pub attempt: i64,
    pub attempt_token: String,
    pub signal: i64,
}

/// It may start its command, with these variables beside its own.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Go {
    pub attempt: i64,
    pub environment: Vec<String>,
}

/// What became of a job that was not started here, or was while nobody was there to be told.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Done {
    pub result: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exit_status: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exit_signal: Option<i64>,
}

/// Errors that the daemon answers with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorName {
    NoSuchJob,
    NoSuchQueue,
    NoSuchType,
    NoSuchSchedule,
    TypeUnavailable,
    InvalidSpec,
    InvalidFilter,
    PropertyNotAllowed,
    NotAllowed,
    QueueDraining,
    QueueFull,
    JobFinished,
    JobLive,
    JobNotFinished,
    NotUnique,
    CycleInFlow,
    DependencyFailed,
    StorageFull,
    StorageError,
    TooMany,
    /// Some of those behind this number are not kept any more, or it is none that there was: list the jobs, and go on
    /// after last.
    EventsLost,
    NoSuchWorker,
    /// Who connected is not the process that it has to be: gone, another one, or not of its user alone.
    ForeignProcess,
    NoSuchAttempt,
    AttemptFinished,
    /// What came is no call. The connection is closed.
    InvalidMessage,
    /// A mistake of the daemon.
    Failed,
    /// The requested interface was not found.
    InterfaceNotFound,
    /// The requested method was not found
    MethodNotFound,
    /// The interface defines the requested method, but the service does not implement it.
    MethodNotImplemented,
    /// One of the passed parameters is invalid.
    InvalidParameter,
    /// Client is denied access
    PermissionDenied,
    /// Method is expected to be called with 'more' set to true, but wasn't
    ExpectedMore,
}

impl ErrorName {
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "NoSuchJob" => Self::NoSuchJob,
            "NoSuchQueue" => Self::NoSuchQueue,
            "NoSuchType" => Self::NoSuchType,
            "NoSuchSchedule" => Self::NoSuchSchedule,
            "TypeUnavailable" => Self::TypeUnavailable,
            "InvalidSpec" => Self::InvalidSpec,
            "InvalidFilter" => Self::InvalidFilter,
            "PropertyNotAllowed" => Self::PropertyNotAllowed,
            "NotAllowed" => Self::NotAllowed,
            "QueueDraining" => Self::QueueDraining,
            "QueueFull" => Self::QueueFull,
            "JobFinished" => Self::JobFinished,
            "JobLive" => Self::JobLive,
            "JobNotFinished" => Self::JobNotFinished,
            "NotUnique" => Self::NotUnique,
            "CycleInFlow" => Self::CycleInFlow,
            "DependencyFailed" => Self::DependencyFailed,
            "StorageFull" => Self::StorageFull,
            "StorageError" => Self::StorageError,
            "TooMany" => Self::TooMany,
            "EventsLost" => Self::EventsLost,
            "NoSuchWorker" => Self::NoSuchWorker,
            "ForeignProcess" => Self::ForeignProcess,
            "NoSuchAttempt" => Self::NoSuchAttempt,
            "AttemptFinished" => Self::AttemptFinished,
            "InvalidMessage" => Self::InvalidMessage,
            "Failed" => Self::Failed,
            "InterfaceNotFound" => Self::InterfaceNotFound,
            "MethodNotFound" => Self::MethodNotFound,
            "MethodNotImplemented" => Self::MethodNotImplemented,
            "InvalidParameter" => Self::InvalidParameter,
            "PermissionDenied" => Self::PermissionDenied,
            "ExpectedMore" => Self::ExpectedMore,
            _ => return None,
        })
    }
}
