// SPDX-License-Identifier: LGPL-2.1-or-later
//! Calls that wait for their answers.

use crate::error::{Error, Result};
use crate::types::*;
use crate::wire::{default_path, encode, is_repeatable, new_request_id, Backoff, Conn, Deadline, Reply, PAGE};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{json, Value};
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_secs(60);

/// Gives up calls, from any thread: see [`Client::with_cancel`].
#[derive(Clone, Default)]
pub struct Cancel(Arc<(Mutex<Cancelling>, Condvar)>);

#[derive(Default)]
struct Cancelling {
    cancelled: bool,
    next: u64,
    streams: BTreeMap<u64, UnixStream>,
}

impl Cancel {
    /// For calls of one or several clients.
    pub fn new() -> Self {
        Self::default()
    }

    /// All calls that are under way, and all that come, answer [`Error::Cancelled`].
    pub fn cancel(&self) {
        let mut c = self.0 .0.lock().unwrap();
        c.cancelled = true;
        for stream in c.streams.values() {
            let _ = stream.shutdown(Shutdown::Both);
        }
        self.0 .1.notify_all();
    }

    fn is_cancelled(&self) -> bool {
        self.0 .0.lock().unwrap().cancelled
    }

    fn watch(&self, stream: &UnixStream) -> io::Result<u64> {
        let mut c = self.0 .0.lock().unwrap();
        if c.cancelled {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let stream = stream.try_clone()?;
        c.next += 1;
        let n = c.next;
        c.streams.insert(n, stream);
        Ok(n)
    }

    fn forget(&self, n: u64) {
        self.0 .0.lock().unwrap().streams.remove(&n);
    }

    fn sleep(&self, time: Duration) {
        let c = self.0 .0.lock().unwrap();
        drop(self.0 .1.wait_timeout_while(c, time, |c| !c.cancelled).unwrap());
    }
}

/// Makes calls, from any thread, each over a connection of its own; those that are not needed are kept for the next ones. Clones share them.
#[derive(Clone)]
pub struct Client {
    path: PathBuf,
    idle: Arc<Mutex<Vec<Conn>>>,
    timeout: Option<Option<Duration>>, // None: each call's own default
    cancel: Cancel,
}

/// Ids of what [`Client::submit_flow`] has made.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Flow {
    /// Of the flow.
    pub flow: i64,
    /// Of its jobs, by name.
    pub jobs: BTreeMap<String, i64>,
}

/// How a job has ended.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// done
    pub state: String,
    /// success, exit-code, …
    pub result: String,
    /// Its last attempt.
    pub outcome: Attempt,
}

/// How far an attempt to make a call has come.
#[derive(Default)]
struct Tried {
    sent: bool,
    kept: bool, // over a connection of an earlier call
}

impl Default for Client {
    fn default() -> Self {
        Self::new()
    }
}

impl Client {
    /// Of the system's daemon. It connects when it is called.
    pub fn new() -> Self {
        Self::with_path(default_path())
    }

    /// Of the daemon that listens there: [`user_path()`](crate::user_path) for one's own.
    pub fn with_path(path: impl Into<PathBuf>) -> Self {
        Client { path: path.into(), idle: Default::default(), timeout: None, cancel: Cancel::new() }
    }

    /// The same, with another time-out for each call, with all that it takes to connect again. Without this it is a minute, and for
    /// [`wait`](Self::wait) none.
    #[must_use]
    pub fn with_timeout(&self, timeout: Option<Duration>) -> Self {
        Client { timeout: Some(timeout), ..self.clone() }
    }

    /// The same, with calls that `cancel` gives up.
    #[must_use]
    pub fn with_cancel(&self, cancel: &Cancel) -> Self {
        Client { cancel: cancel.clone(), ..self.clone() }
    }

    /// Any method. A call that changes nothing by being made twice is made until it is answered; any other fails with
    /// [`Error::Disconnected`] where the connection breaks.
    pub fn call<P: Serialize>(&self, method: &str, parameters: P) -> Result<Value> {
        self.call_within(method, parameters, self.timeout.unwrap_or(Some(TIMEOUT)))
    }

    fn call_within<P: Serialize>(&self, method: &str, parameters: P, timeout: Option<Duration>) -> Result<Value> {
        let deadline = Deadline::after(timeout);
        let mut message = Vec::new();
        match made_by(method) {
            Some(key) => encode(&mut message, method, requested(serde_json::to_value(parameters)?, key), false)?,
            None => encode(&mut message, method, parameters, false)?,
        }
        let mut backoff = Backoff::new();
        loop {
            let mut tried = Tried::default();
            match self.attempt(&message, deadline, !is_repeatable(method), &mut tried) {
                Ok(reply) => return reply.into_result(),
                Err(_) if self.cancel.is_cancelled() => return Err(Error::Cancelled),
                Err(_) if deadline.passed() => return Err(Error::DeadlineExceeded),
                Err(e) if tried.sent && !is_repeatable(method) => return Err(Error::Disconnected(e.to_string())),
                Err(_) if tried.kept => self.idle.lock().unwrap().clear(), // closed like this one: at once over a new one
                Err(_) => self.pause(&mut backoff, deadline)?,
            }
        }
    }

    fn pause(&self, backoff: &mut Backoff, deadline: Deadline) -> Result<()> {
        let left = deadline.left().map_err(|_| Error::DeadlineExceeded)?;
        self.cancel.sleep(left.map_or(backoff.next(), |l| l.min(backoff.next())));
        Ok(())
    }

    /// Makes the call once. fresh: a connection that was kept may turn out to be closed only after something was sent.
    fn attempt(&self, message: &[u8], deadline: Deadline, fresh: bool, tried: &mut Tried) -> io::Result<Reply> {
        let kept = if fresh { None } else { self.idle.lock().unwrap().pop() };
        tried.kept = kept.is_some();
        let mut conn = kept.map_or_else(|| Conn::open(&self.path), Ok)?;
        let watched = self.cancel.watch(&conn.stream)?;
        tried.sent = true;
        let reply = conn.send(message, deadline).and_then(|_| conn.read(deadline));
        self.cancel.forget(watched);
        if reply.is_err() {
            self.idle.lock().unwrap().clear(); // they are of a daemon that is gone, too
        }
        if reply.is_ok() && !self.cancel.is_cancelled() {
            self.idle.lock().unwrap().push(conn);
        }
        reply
    }

    fn get_as<P: Serialize, R: DeserializeOwned>(&self, method: &str, parameters: P, key: &str) -> Result<R> {
        Ok(serde_json::from_value(self.call(method, parameters)?[key].take())?)
    }

    /// Stores a job, and returns its id: exactly one job, whatever happens to the connection.
    pub fn submit(&self, spec: &Spec) -> Result<i64> {
        self.get_as("Submit", json!({ "job": spec }), "id")
    }

    /// Stores all of them, or none.
    pub fn submit_many(&self, specs: &[Spec]) -> Result<Vec<i64>> {
        self.get_as("SubmitMany", json!({ "jobs": specs }), "ids")
    }

    /// Stores jobs that wait for one another: the document of `jobmill submit --flow`.
    pub fn submit_flow(&self, document: &Value) -> Result<Flow> {
        Ok(serde_json::from_value(self.call("SubmitFlow", json!({ "flow": document }))?)?)
    }

    /// A job as it is now.
    pub fn get(&self, id: i64) -> Result<Job> {
        self.get_as("Get", json!({ "id": id }), "job")
    }

    /// Each job that matches, a page at a time.
    pub fn list(&self, filter: &Filter) -> List {
        List { client: self.clone(), filter: filter.clone(), cursor: None, page: VecDeque::new(), over: false }
    }

    /// Until the job has ended, over restarts of the daemon, too. Without [`with_timeout`](Self::with_timeout) as long as that takes.
    pub fn wait(&self, id: i64) -> Result<Outcome> {
        Ok(serde_json::from_value(self.call_within("Wait", json!({ "id": id }), self.timeout.unwrap_or(None))?)?)
    }

    /// Ends a job, or takes care that it does not begin.
    pub fn cancel(&self, id: i64) -> Result<()> {
        self.call("Cancel", json!({ "id": id })).map(drop)
    }

    /// Keeps a job from starting.
    pub fn hold(&self, id: i64) -> Result<()> {
        self.call("Hold", json!({ "id": id })).map(drop)
    }

    /// Undoes [`hold`](Self::hold).
    pub fn release(&self, id: i64) -> Result<()> {
        self.call("Release", json!({ "id": id })).map(drop)
    }

    /// Has a job that has ended tried again: so many times (once), after a while. Not made twice by itself: [`Error::Disconnected`].
    pub fn retry(&self, id: i64, max_attempts: Option<i64>, delay: Option<Duration>) -> Result<()> {
        #[derive(Serialize)]
        struct Parameters {
            id: i64,
            #[serde(skip_serializing_if = "Option::is_none")]
            max_attempts: Option<i64>,
            #[serde(skip_serializing_if = "Option::is_none")]
            delay_usec: Option<i64>,
        }
        let delay_usec = delay.map(|d| d.as_micros() as i64);
        self.call("Retry", Parameters { id, max_attempts, delay_usec }).map(drop)
    }

    /// What becomes of jobs, as it comes, behind the number after, or else from now on. Goes on over restarts of the daemon, and misses
    /// nothing: else it answers EventsLost, and ends. Connected when it returns.
    pub fn events(&self, after: Option<i64>) -> Result<Events> {
        let mut events = Events { client: self.clone(), last: after, conn: None, come: VecDeque::new(), over: false };
        events.connect(Deadline::after(self.timeout.unwrap_or(Some(TIMEOUT))))?;
        Ok(events)
    }

    /// The job types.
    pub fn types(&self) -> Result<Vec<JobType>> {
        self.get_as("ListTypes", json!({}), "types")
    }

    /// The schedules.
    pub fn schedules(&self) -> Result<Vec<Schedule>> {
        self.get_as("ListSchedules", json!({}), "schedules")
    }

    /// The workers.
    pub fn workers(&self) -> Result<Vec<WorkerInfo>> {
        self.get_as("ListWorkers", json!({}), "workers")
    }

    /// How many jobs are in which state, and of the daemon.
    pub fn statistics(&self) -> Result<DaemonStatistics> {
        self.get_as("Statistics", json!({}), "statistics")
    }

    /// Sums, by queue, type, owner, day, hour or minute, with commas between.
    pub fn report(&self, filter: &Filter, group_by: &str) -> Result<Vec<ReportRow>> {
        self.get_as("Report", json!({ "filter": filter, "group_by": group_by }), "rows")
    }
}

/// The parameter that says what jobs are to be made.
fn made_by(method: &str) -> Option<&'static str> {
    match method {
        "Submit" => Some("job"),
        "SubmitMany" => Some("jobs"),
        "SubmitFlow" => Some("flow"),
        _ => None,
    }
}

/// With a request_id, so that the same ones are made when it is sent again. It stands in the first of several.
fn requested(mut parameters: Value, key: &str) -> Value {
    let first = match parameters.get_mut(key) {
        Some(Value::Array(jobs)) => jobs.first_mut(),
        made => made,
    };
    if let Some(Value::Object(keys)) = first {
        if keys.get("request_id").map_or(true, Value::is_null) {
            keys.insert("request_id".into(), new_request_id().into());
        }
    }
    parameters
}

/// What [`Client::list`] returns.
pub struct List {
    client: Client,
    filter: Filter,
    cursor: Option<String>,
    page: VecDeque<Job>,
    over: bool,
}

impl List {
    fn next_page(&mut self) -> Result<()> {
        #[derive(Serialize)]
        struct Parameters<'a> {
            filter: &'a Filter,
            #[serde(skip_serializing_if = "Option::is_none")]
            cursor: &'a Option<String>,
            limit: i64,
        }
        #[derive(Deserialize)]
        struct Page {
            jobs: VecDeque<Job>,
            next: Option<String>,
        }
        let reply = self.client.call("List", Parameters { filter: &self.filter, cursor: &self.cursor, limit: PAGE })?;
        let page: Page = serde_json::from_value(reply)?;
        self.page = page.jobs;
        self.over = page.next.is_none();
        self.cursor = page.next;
        Ok(())
    }
}

impl Iterator for List {
    type Item = Result<Job>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.page.is_empty() && !self.over {
            if let Err(e) = self.next_page() {
                self.over = true;
                return Some(Err(e));
            }
        }
        self.page.pop_front().map(Ok)
    }
}

/// What [`Client::events`] returns: does not end but by an error.
pub struct Events {
    client: Client,
    last: Option<i64>,
    conn: Option<Conn>,
    come: VecDeque<Event>,
    over: bool,
}

impl Events {
    /// The number to go on after.
    pub fn last(&self) -> i64 {
        self.last.unwrap_or(0)
    }

    /// Until it is answered.
    fn connect(&mut self, deadline: Deadline) -> Result<()> {
        let mut backoff = Backoff::new();
        loop {
            self.conn = Conn::open(&self.client.path).ok();
            let mut message = Vec::new();
            encode(&mut message, "Events", self.last.map_or(json!({}), |n| json!({ "after": n })), true)?;
            let sent = self.conn.as_mut().map_or(false, |c| c.send(&message, deadline).is_ok());
            if sent && self.read(deadline)? {
                return Ok(());
            }
            if self.client.cancel.is_cancelled() {
                return Err(Error::Cancelled);
            }
            self.client.pause(&mut backoff, deadline)?;
        }
    }

    /// Whether something came; else the connection is broken.
    fn read(&mut self, deadline: Deadline) -> Result<bool> {
        #[derive(Deserialize)]
        struct Come {
            events: VecDeque<Event>,
            last: i64,
        }
        let conn = match self.conn.as_mut() {
            Some(conn) => conn,
            None => return Ok(false),
        };
        let watched = self.client.cancel.watch(&conn.stream).map_err(|_| Error::Cancelled)?;
        let reply = conn.read(deadline);
        self.client.cancel.forget(watched);
        let come: Come = match reply {
            Ok(reply) => serde_json::from_value(reply.into_result()?)?,
            Err(_) => return Ok(false),
        };
        if come.events.is_empty() {
            self.last = Some(come.last);
        }
        self.come = come.events;
        Ok(true)
    }

    fn await_next(&mut self) -> Result<Event> {
        loop {
            if let Some(event) = self.come.pop_front() {
                self.last = Some(event.number);
                return Ok(event);
            }
            if !self.read(Deadline::NEVER)? {
                self.connect(Deadline::NEVER)?;
            }
        }
    }
}

impl Iterator for Events {
    type Item = Result<Event>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.over {
            return None;
        }
        let next = self.await_next();
        self.over = next.is_err();
        Some(next)
    }
}
