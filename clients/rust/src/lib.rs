// SPDX-License-Identifier: LGPL-2.1-or-later
//! Submits, watches and works off jobs of jobmill, a job queue for machines that run systemd, over its daemon's socket.
//!
//! A [`Client`] makes calls; each submit is one job, whatever happens to the connection. A [`Worker`] is given jobs. Both go on over restarts
//! of the daemon. What is sent and received is as in jobmill-protocol(7); points in time and durations are microseconds.

#![warn(missing_docs)]
#![forbid(unsafe_code)]

mod client;
mod error;
#[allow(missing_docs)]
pub mod types;
mod wire;
mod worker;

pub use client::{Cancel, Client, Events, Flow, List, Outcome};
pub use error::{Error, MethodError, Result};
pub use types::{ErrorName, Event, Filter, Job, Spec};
pub use wire::{default_path, user_path};
pub use worker::{Stop, Task, Worker};
