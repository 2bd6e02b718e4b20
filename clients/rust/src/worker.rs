// SPDX-License-Identifier: LGPL-2.1-or-later
//! A process that is given jobs and runs a function for each, in threads. One, that of [`Worker::run`], knows how it stands; two read what the
//! daemon says, and all others tell it by one channel. Results are kept until they are recorded: whoever connects anew is sent all again that is
//! not completed, and sends all again that was not answered; so nothing runs twice, and no result is lost.

use crate::error::{Error, Result};
use crate::types::{Assignment, Cancellation, ErrorName, Spec};
use crate::wire::{default_path, encode, Backoff, Conn, Deadline, Reply, PROTOCOL};
use serde::{Deserialize, Serialize};
use serde_json::{json, Value};
use std::collections::{HashMap, HashSet, VecDeque};
use std::io::Write;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::path::PathBuf;
use std::sync::mpsc::{channel, Receiver, Sender};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

/// What a handler returns: a verdict, an object; none is success, an error the reason that people see.
pub type Handled = std::result::Result<Option<Value>, Box<dyn std::error::Error + Send + Sync>>;

const ERROR_MAX: usize = 1024; // bytes: a longer one is no error text for the daemon

// What the thread of run() is told. Of a session: with its number, as another may have begun.
enum Told {
    Order(u64, Reply),
    Answer(u64, Reply),
    Broken(u64),
    Done(Arc<Ending>, How),
    Status(Arc<Ending>, String),
    Stop,
}

// What a task and the worker share.
struct Ending {
    token: String, // of the attempt
    id: i64,
    attempt: i64,
    reason: Mutex<Option<String>>,
    changed: Condvar,
}

impl Ending {
    fn end(&self, reason: &str) {
        self.reason.lock().unwrap().get_or_insert_with(|| reason.to_string());
        self.changed.notify_all();
    }
}

/// A job that a worker was given.
pub struct Task {
    /// All that is known of it.
    pub assignment: Assignment,
    ending: Arc<Ending>,
    tell: Sender<Told>,
}

impl Task {
    /// Its id.
    pub fn id(&self) -> i64 {
        self.assignment.id
    }

    /// Which try it is, from 1.
    pub fn attempt(&self) -> i64 {
        self.assignment.attempt
    }

    /// What was submitted.
    pub fn spec(&self) -> &Spec {
        &self.assignment.job
    }

    /// Its payload.
    pub fn payload(&self) -> Vec<u8> {
        match (&self.spec().payload_base64, &self.spec().payload) {
            (Some(text), _) => from_base64(text),
            (None, Some(text)) => text.clone().into_bytes(),
            (None, None) => Vec::new(),
        }
    }

    /// Of the jobs that it came after: id, name, result, verdict, …
    pub fn inputs(&self) -> &[Value] {
        self.assignment.inputs.as_ref().and_then(Value::as_array).map_or(&[], |v| v)
    }

    /// What the result will be of a job that is to end, cancelled or timeout. Who does not return within its stop time-out is killed, with
    /// the process.
    pub fn cancelled(&self) -> Option<String> {
        self.ending.reason.lock().unwrap().clone()
    }

    /// Waits so long, or until it is to end; then that is answered.
    pub fn wait_cancelled(&self, timeout: Duration) -> Option<String> {
        let reason = self.ending.reason.lock().unwrap();
        self.ending.changed.wait_timeout_while(reason, timeout, |r| r.is_none()).unwrap().0.clone()
    }

    /// How far it is, for people; "40%" at its beginning is understood.
    pub fn progress(&self, status: &str) {
        let _ = self.tell.send(Told::Status(self.ending.clone(), status.to_string()));
    }
}

// Of what the daemon has encoded.
fn from_base64(text: &str) -> Vec<u8> {
    let value = |c: u8| match c {
        b'A'..=b'Z' => c - b'A',
        b'a'..=b'z' => c - b'a' + 26,
        b'0'..=b'9' => c - b'0' + 52,
        b'+' => 62,
        _ => 63,
    } as u32;
    let mut out = Vec::with_capacity(text.len() / 4 * 3);
    for four in text.trim_end_matches('=').as_bytes().chunks(4) {
        let bits = four.iter().fold(0, |n, c| n << 6 | value(*c)) << (6 * (4 - four.len()));
        out.extend_from_slice(&bits.to_be_bytes()[1..four.len()]);
    }
    out
}

/// Stops a worker, from any thread: it is given nothing more, and [`Worker::run`] returns when all that it has is done and recorded.
#[derive(Clone)]
pub struct Stop(Sender<Told>);

impl Stop {
    /// May be called several times.
    pub fn stop(&self) {
        let _ = self.0.send(Told::Stop);
    }
}

#[derive(Clone, Serialize)]
struct How {
    #[serde(skip_serializing_if = "Option::is_none")]
    exit_status: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    verdict: Option<Value>,
}

impl How {
    fn error(text: String) -> Self {
        let mut text = if text.is_empty() { "error".to_string() } else { text.replace('\0', " ") };
        if text.len() > ERROR_MAX {
            let end = (0..=ERROR_MAX).rev().find(|n| text.is_char_boundary(*n)).unwrap_or(0);
            text.truncate(end);
        }
        How { exit_status: None, error: Some(text), verdict: None }
    }
}

#[derive(Serialize)]
struct Completion<'a> {
    token: &'a str,
    id: i64,
    attempt: i64,
    #[serde(flatten)]
    how: &'a How,
}

/// Is given jobs of its queues, whose files say Executor=worker.
pub struct Worker {
    who: serde_json::Map<String, Value>,
    path: PathBuf,
    told: Receiver<Told>,
    tell: Sender<Told>,
    state: State,
}

#[derive(Default)]
struct State {
    token: Option<String>,
    tasks: HashMap<String, Arc<Ending>>,         // by attempt token: those that run
    done: HashMap<String, (Arc<Ending>, How)>,   // those whose Complete was not answered yet
    known: HashSet<String>, // all these when the session began, which is told of them again: perhaps after it has answered
    completed: u64,                              // answers to Complete
    stopping: bool,
}

impl State {
    fn idle(&self) -> bool {
        self.tasks.is_empty() && self.done.is_empty()
    }
}

// Why a session has ended.
enum End {
    Over,
    Broken,
    Forgotten,
}

impl Worker {
    /// Of one queue, with one slot.
    pub fn new(queue: &str) -> Self {
        Self::of_queues(&[queue])
    }

    /// Of several.
    pub fn of_queues(queues: &[&str]) -> Self {
        let (tell, told) = channel();
        let who = json!({ "queues": queues, "slots": 1 }).as_object().cloned().unwrap_or_default();
        Worker { who, path: default_path(), told, tell, state: State::default() }
    }

    /// How many at once.
    #[must_use]
    pub fn slots(mut self, slots: u32) -> Self {
        self.who.insert("slots".into(), slots.into());
        self
    }

    /// What it says of itself.
    #[must_use]
    pub fn name(mut self, name: &str) -> Self {
        self.who.insert("name".into(), name.into());
        self
    }

    /// What else it says of itself: an object.
    #[must_use]
    pub fn metadata(mut self, metadata: Value) -> Self {
        self.who.insert("metadata".into(), metadata);
        self
    }

    /// Of the daemon's socket.
    #[must_use]
    pub fn path(mut self, path: impl Into<PathBuf>) -> Self {
        self.path = path.into();
        self
    }

    /// What stops it.
    pub fn stopper(&self) -> Stop {
        Stop(self.tell.clone())
    }

    /// Gives each job to work, in a thread of its own, until it is stopped, or drained by somebody. An error is what the daemon says who does not
    /// take this worker. A handler that panics has failed.
    pub fn run(mut self, work: impl Fn(&Task) -> Handled + Send + Sync + 'static) -> Result<()> {
        let mut pool = Pool::new(Arc::new(work), self.tell.clone());
        let mut backoff = Backoff::new();
        for number in 1.. {
            let mut heard = false;
            match self.session(number, &mut pool, &mut heard)? {
                End::Over => break,
                End::Broken if self.state.stopping && self.state.token.is_none() => break, // nobody has ever heard of it
                End::Broken => {}
                End::Forgotten => self.forgotten(),
            }
            if heard {
                backoff = Backoff::new();
            }
            thread::sleep(backoff.next());
            self.catch_up(&mut pool);
        }
        Ok(())
    }

    /// The daemon knows this worker no more: what it had is lost.
    fn forgotten(&mut self) {
        for ending in self.state.tasks.values() {
            ending.end("lost");
        }
        self.state = State { stopping: self.state.stopping, ..State::default() };
    }

    /// What was told while there was no session.
    fn catch_up(&mut self, pool: &mut Pool) {
        while let Ok(told) = self.told.try_recv() {
            match told {
                Told::Stop => self.state.stopping = true,
                Told::Done(ending, how) => drop(note_done(&mut self.state, pool, ending, how)),
                _ => {}
            }
        }
    }

    fn session(&mut self, number: u64, pool: &mut Pool, heard: &mut bool) -> Result<End> {
        let (orders, reports) = match (Conn::open(&self.path), Conn::open(&self.path)) {
            (Ok(orders), Ok(reports)) => (orders, reports),
            _ => return Ok(End::Broken),
        };
        let (mut to_orders, to_reports) = match (orders.stream.try_clone(), reports.stream.try_clone()) {
            (Ok(o), Ok(r)) => (o, r),
            _ => return Ok(End::Broken),
        };
        let mut register = Vec::new();
        match &self.state.token {
            Some(token) => encode(&mut register, "Register", json!({ "protocol": PROTOCOL, "token": token }), true)?,
            None => {
                let mut who = self.who.clone();
                who.insert("protocol".into(), PROTOCOL.into());
                encode(&mut register, "Register", who, true)?;
            }
        }
        self.state.known = self.state.tasks.keys().chain(self.state.done.keys()).cloned().collect();
        let mut session = Session::new(&mut self.state, to_reports, pool);
        session.send_again()?;
        let readers = [read_all(orders, number, self.tell.clone(), Told::Order), read_all(reports, number, self.tell.clone(), Told::Answer)];
        let end = if to_orders.write_all(&register).is_ok() { session.serve(number, &self.told, heard) } else { Ok(End::Broken) };
        let _ = to_orders.shutdown(Shutdown::Both);
        let _ = session.stream.shutdown(Shutdown::Both);
        for reader in readers {
            let _ = reader.join();
        }
        end
    }
}

fn read_all(mut conn: Conn, number: u64, tell: Sender<Told>, what: fn(u64, Reply) -> Told) -> thread::JoinHandle<()> {
    thread::spawn(move || {
        while let Ok(reply) = conn.read(Deadline::NEVER) {
            if tell.send(what(number, reply)).is_err() {
                return;
            }
        }
        let _ = tell.send(Told::Broken(number));
    })
}

/// Notes a result; None where nobody waits for it any more.
fn note_done(state: &mut State, pool: &mut Pool, ending: Arc<Ending>, how: How) -> Option<String> {
    pool.running -= 1;
    let token = ending.token.clone();
    match state.tasks.get(&token) {
        Some(known) if Arc::ptr_eq(known, &ending) => state.tasks.remove(&token)?,
        _ => return None,
    };
    state.done.insert(token.clone(), (ending, how));
    Some(token)
}

// What an answer on the second connection is to.
enum Asked {
    Complete(String), // an attempt's token
    Status,
    Drain,
}

// From one registration until a connection breaks, or all is done. The connections go together: then it is clear what was answered.
struct Session<'a> {
    state: &'a mut State,
    pool: &'a mut Pool,
    stream: UnixStream,
    out: Vec<u8>, // to be written
    asked: VecDeque<Asked>,
    drain_asked_at: Option<u64>, // how much was completed then
    drained: Option<i64>,        // at the answer: how many jobs the daemon still had given it
}

impl<'a> Session<'a> {
    fn new(state: &'a mut State, stream: UnixStream, pool: &'a mut Pool) -> Self {
        Session { state, pool, stream, out: Vec::new(), asked: VecDeque::new(), drain_asked_at: None, drained: None }
    }

    fn send_again(&mut self) -> Result<()> {
        let tokens: Vec<String> = self.state.done.keys().cloned().collect();
        tokens.into_iter().try_for_each(|token| self.ask_done(token))
    }

    fn ask_done(&mut self, token: String) -> Result<()> {
        if let Some((ending, how)) = self.state.done.get(&token) {
            let completion = Completion {
                token: self.state.token.as_deref().unwrap_or_default(),
                id: ending.id,
                attempt: ending.attempt,
                how,
            };
            encode(&mut self.out, "Complete", completion, false)?;
            self.asked.push_back(Asked::Complete(token));
        }
        Ok(())
    }

    /// Takes what it is told, all that there is at once, and writes what comes of it together.
    fn serve(&mut self, number: u64, told: &Receiver<Told>, heard: &mut bool) -> Result<End> {
        loop {
            if self.look()? {
                return Ok(End::Over);
            }
            if !self.out.is_empty() {
                if self.stream.write_all(&self.out).is_err() {
                    return Ok(End::Broken);
                }
                self.out.clear();
            }
            let mut next = told.recv().ok(); // there is always a sender: ours
            while let Some(what) = next {
                if let Some(end) = self.take(number, what, heard)? {
                    return Ok(end);
                }
                next = told.try_recv().ok();
            }
        }
    }

    fn take(&mut self, number: u64, what: Told, heard: &mut bool) -> Result<Option<End>> {
        match what {
            Told::Order(n, reply) if n == number => {
                *heard = true;
                return self.order(reply);
            }
            Told::Answer(n, reply) if n == number => return self.answer(reply),
            Told::Broken(n) if n == number => return Ok(Some(End::Broken)),
            Told::Order(..) | Told::Answer(..) | Told::Broken(..) => {}
            Told::Stop => self.state.stopping = true,
            Told::Status(ending, status) => {
                let parameters = json!({ "token": self.state.token, "id": ending.id, "attempt": ending.attempt, "status": status });
                encode(&mut self.out, "Progress", parameters, false)?;
                self.asked.push_back(Asked::Status);
            }
            Told::Done(ending, how) => {
                if let Some(token) = note_done(self.state, self.pool, ending, how) {
                    self.ask_done(token)?;
                }
            }
        }
        Ok(None)
    }

    fn order(&mut self, reply: Reply) -> Result<Option<End>> {
        #[derive(Deserialize)]
        struct Order {
            token: Option<String>,
            assign: Option<Assignment>,
            cancel: Option<Cancellation>,
            drain: Option<Value>,
        }
        let order: Order = match reply.into_result() {
            Ok(parameters) => serde_json::from_value(parameters)?,
            Err(e) if e.name() == Some(ErrorName::NoSuchWorker) && self.state.token.is_some() => return Ok(Some(End::Forgotten)),
            Err(e) => return Err(e),
        };
        if order.token.is_some() {
            self.state.token = order.token;
        }
        self.state.stopping |= order.drain.is_some();
        if let Some(assignment) = order.assign {
            self.start(assignment);
        }
        if let Some(cancel) = order.cancel {
            if let Some(ending) = self.state.tasks.get(&cancel.attempt_token) {
                ending.end(&cancel.reason);
            }
        }
        Ok(None)
    }

    /// Runs a job, unless it is known.
    fn start(&mut self, assignment: Assignment) {
        let token = assignment.attempt_token.clone();
        if self.state.tasks.contains_key(&token) || self.state.done.contains_key(&token) || self.state.known.contains(&token) {
            return;
        }
        let ending = Arc::new(Ending {
            token: token.clone(),
            id: assignment.id,
            attempt: assignment.attempt,
            reason: Mutex::new(None),
            changed: Condvar::new(),
        });
        self.state.tasks.insert(token, ending.clone());
        self.pool.start(Task { assignment, ending, tell: self.pool.tell.clone() });
    }

    /// A result that comes too late, or twice, is one less.
    fn answer(&mut self, reply: Reply) -> Result<Option<End>> {
        let result = reply.into_result();
        let name = result.as_ref().err().and_then(Error::name);
        let asked = self.asked.pop_front();
        if let Some(ErrorName::StorageFull | ErrorName::StorageError | ErrorName::TooMany) = name {
            return Ok(Some(End::Broken)); // once more, a little later
        }
        match (asked, result) {
            (Some(Asked::Drain), Ok(parameters)) => self.drained = parameters["attempts"].as_i64(),
            (Some(Asked::Drain), Err(_)) => return Ok(Some(End::Broken)),
            (Some(Asked::Complete(token)), result) => {
                if let (Some(ErrorName::InvalidParameter | ErrorName::InvalidMessage), Err(e), Some((_, how))) =
                    (name, &result, self.state.done.get_mut(&token))
                {
                    if how.error.is_none() {
                        *how = How::error(format!("The verdict was refused: {}", e)); // too long, or nested too deeply
                        if name == Some(ErrorName::InvalidMessage) {
                            return Ok(Some(End::Broken)); // the daemon closes such a connection
                        }
                        self.ask_done(token)?;
                        return Ok(None);
                    }
                }
                self.state.completed += u64::from(self.state.done.remove(&token).is_some());
            }
            _ => {}
        }
        Ok(None)
    }

    /// Whether it is over. Asks how it stands if the worker is to stop: at once, and whenever all that it knows of is completed and the daemon
    /// had more, which was on its way.
    fn look(&mut self) -> Result<bool> {
        if !self.state.stopping || self.state.token.is_none() {
            return Ok(false);
        }
        if self.drained == Some(0) && self.state.idle() {
            return Ok(true);
        }
        let more = self.drained.map_or(false, |n| n > 0) && self.state.idle() && self.drain_asked_at != Some(self.state.completed);
        if self.drain_asked_at.is_none() || more {
            self.drain_asked_at = Some(self.state.completed);
            self.drained = None;
            encode(&mut self.out, "Drain", json!({ "token": self.state.token }), false)?;
            self.asked.push_back(Asked::Drain);
        }
        Ok(false)
    }
}

type Work = dyn Fn(&Task) -> Handled + Send + Sync;

// Threads, as many as there are jobs at once.
struct Pool {
    work: Arc<Work>,
    tell: Sender<Told>,
    hand: Sender<Task>,
    handed: Arc<Mutex<Receiver<Task>>>,
    threads: usize,
    running: usize,
}

impl Pool {
    fn new(work: Arc<Work>, tell: Sender<Told>) -> Self {
        let (hand, handed) = channel();
        Pool { work, tell, hand, handed: Arc::new(Mutex::new(handed)), threads: 0, running: 0 }
    }

    fn start(&mut self, task: Task) {
        self.running += 1;
        if self.threads < self.running {
            self.threads += 1;
            let (work, tell, handed) = (self.work.clone(), self.tell.clone(), self.handed.clone());
            thread::spawn(move || loop {
                let next = handed.lock().unwrap().recv();
                match next {
                    Ok(task) => drop(tell.send(Told::Done(task.ending.clone(), perform(&*work, &task)))),
                    Err(_) => return,
                }
            });
        }
        let _ = self.hand.send(task);
    }
}

fn perform(work: &Work, task: &Task) -> How {
    match catch_unwind(AssertUnwindSafe(|| work(task))) {
        Ok(Ok(None)) => How { exit_status: Some(0), error: None, verdict: None },
        Ok(Ok(verdict)) => How { exit_status: None, error: None, verdict },
        Ok(Err(e)) => How::error(e.to_string()),
        Err(panic) => {
            let text = panic.downcast_ref::<&str>().map(|s| s.to_string()).or_else(|| panic.downcast_ref::<String>().cloned());
            How::error(format!("panic: {}", text.unwrap_or_default()))
        }
    }
}
