// SPDX-License-Identifier: LGPL-2.1-or-later
//! Messages and connections.

use crate::error::{Error, MethodError, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

pub const PROTOCOL: i64 = 1;
/// Jobs that List is asked for at once.
pub const PAGE: i64 = 1000;
/// What may be sent again when its answer did not come: it changes nothing, or the same thing once (request_id).
const REPEATABLE: [&str; 17] = [
    "Submit", "SubmitMany", "SubmitFlow", "Get", "List", "Wait", "Cancel", "Hold", "Release", "ListTypes", "Statistics",
    "ListSchedules", "GetSchedule", "ListFirings", "ListWorkers", "Metrics", "Report",
];

pub fn is_repeatable(method: &str) -> bool {
    REPEATABLE.contains(&method)
}

/// Where the daemon listens: $JOBMILL_RUNTIME_PATH, or /run/jobmill.
pub fn default_path() -> PathBuf {
    Path::new(&std::env::var_os("JOBMILL_RUNTIME_PATH").unwrap_or_else(|| "/run/jobmill".into())).join("org.jobmill")
}

/// Where `jobmilld --user` listens.
pub fn user_path() -> PathBuf {
    Path::new(&std::env::var_os("XDG_RUNTIME_DIR").unwrap_or_default()).join("jobmill/org.jobmill")
}

#[derive(Serialize)]
struct Call<'a, P: Serialize> {
    method: &'a str,
    parameters: P,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    more: bool,
}

/// Appends a message.
pub fn encode<P: Serialize>(out: &mut Vec<u8>, method: &str, parameters: P, more: bool) -> Result<()> {
    let full;
    let method = if method.contains('.') {
        method
    } else {
        full = format!("org.jobmill.{}", method);
        &full
    };
    let begin = out.len();
    if let Err(e) = serde_json::to_writer(&mut *out, &Call { method, parameters, more }) {
        out.truncate(begin);
        return Err(e.into());
    }
    out.push(0);
    Ok(())
}

#[derive(Deserialize)]
pub struct Reply {
    error: Option<String>,
    #[serde(default)]
    pub parameters: Value,
}

impl Reply {
    /// Its parameters, or the error that it is.
    pub fn into_result(self) -> Result<Value> {
        match self.error {
            None => Ok(self.parameters),
            Some(name) => Err(Error::Method(MethodError {
                name: name.rsplit('.').next().unwrap_or_default().to_string(),
                message: self.parameters["message"].as_str().unwrap_or_default().to_string(),
                parameters: self.parameters,
            })),
        }
    }
}

pub struct Conn {
    pub stream: UnixStream,
    buffer: Vec<u8>,
    begin: usize,   // of what was not read yet
    scanned: usize, // up to here there is no end of a message
}

impl Conn {
    pub fn open(path: &Path) -> io::Result<Self> {
        Ok(Conn { stream: UnixStream::connect(path)?, buffer: Vec::new(), begin: 0, scanned: 0 })
    }

    pub fn send(&mut self, message: &[u8], deadline: Deadline) -> io::Result<()> {
        self.stream.set_write_timeout(deadline.left()?)?;
        self.stream.write_all(message)
    }

    pub fn read(&mut self, deadline: Deadline) -> io::Result<Reply> {
        loop {
            if let Some(n) = self.buffer[self.scanned..].iter().position(|b| *b == 0) {
                let end = self.scanned + n;
                let reply = serde_json::from_slice(&self.buffer[self.begin..end]);
                self.begin = end + 1;
                self.scanned = self.begin;
                return reply.map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e));
            }
            self.scanned = self.buffer.len();
            self.fill(deadline)?;
        }
    }

    fn fill(&mut self, deadline: Deadline) -> io::Result<()> {
        self.buffer.drain(..self.begin);
        self.scanned -= self.begin;
        self.begin = 0;
        let old = self.buffer.len();
        self.buffer.resize(old + (1 << 16).max(old), 0);
        self.stream.set_read_timeout(deadline.left()?)?;
        let n = self.stream.read(&mut self.buffer[old..]);
        self.buffer.truncate(old + *n.as_ref().unwrap_or(&0));
        match n {
            Ok(0) => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the daemon has closed the connection")),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => Ok(()),
            n => n.map(|_| ()),
        }
    }
}

#[derive(Clone, Copy)]
pub struct Deadline(Option<Instant>);

impl Deadline {
    pub const NEVER: Deadline = Deadline(None);

    pub fn after(timeout: Option<Duration>) -> Self {
        Deadline(timeout.and_then(|t| Instant::now().checked_add(t)))
    }

    /// How long yet; an error once it has passed.
    pub fn left(&self) -> io::Result<Option<Duration>> {
        match self.0.map(|at| at.checked_duration_since(Instant::now()).filter(|d| !d.is_zero())) {
            None => Ok(None),
            Some(Some(left)) => Ok(Some(left)),
            Some(None) => Err(io::ErrorKind::TimedOut.into()),
        }
    }

    pub fn passed(&self) -> bool {
        self.left().is_err()
    }
}

/// Longer each time, up to a second.
pub struct Backoff(Duration);

impl Backoff {
    pub fn new() -> Self {
        Backoff(Duration::from_millis(50))
    }

    pub fn next(&mut self) -> Duration {
        let now = self.0;
        self.0 = (now * 2).min(Duration::from_secs(1));
        now
    }
}

/// 128 random bits.
pub fn new_request_id() -> String {
    let mut bytes = [0; 16];
    File::open("/dev/urandom").and_then(|mut f| f.read_exact(&mut bytes)).expect("there is randomness");
    bytes.iter().map(|b| format!("{:02x}", b)).collect()
}
