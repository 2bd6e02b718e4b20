// SPDX-License-Identifier: LGPL-2.1-or-later
//! Client and worker against a daemon that is played: what breaks here breaks at just that point.

use jobmill::{Cancel, Client, Error, ErrorName, Worker};
use serde_json::{json, Value};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(60);

/// A socket in a folder of its own.
struct Daemon {
    folder: PathBuf,
    listener: UnixListener,
}

impl Daemon {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("jobmill-rust-{}-{}", name, std::process::id()));
        std::fs::create_dir(&folder).unwrap();
        let listener = UnixListener::bind(folder.join("org.jobmill")).unwrap();
        Daemon { folder, listener }
    }

    fn path(&self) -> PathBuf {
        self.folder.join("org.jobmill")
    }

    fn client(&self) -> Client {
        Client::with_path(self.path()).with_timeout(Some(PATIENCE))
    }

    fn accept(&self) -> Peer {
        let stream = self.listener.accept().unwrap().0;
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Peer { reader: BufReader::new(stream.try_clone().unwrap()), stream }
    }

    /// A worker's two connections, once it has registered: with what, and as whom it is known from then on.
    fn registered(&self) -> (Peer, Peer, Value) {
        let (mut orders, reports) = (self.accept(), self.accept());
        let register = orders.told("Register");
        orders.tell(json!({ "token": "T", "worker": 1 }));
        (orders, reports, register)
    }

    /// Lets a worker go that has nothing more.
    fn dismiss(mut orders: Peer, mut reports: Peer) {
        orders.tell(json!({ "drain": {} }));
        assert_eq!(reports.told("Drain"), json!({ "token": "T" }));
        reports.tell(json!({ "attempts": 0 }));
        let mut more = Vec::new();
        reports.reader.read_until(0, &mut more).unwrap(); // until it has closed: else it would come back
        assert_eq!(String::from_utf8(more).unwrap(), "");
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(self.path());
        let _ = std::fs::remove_dir(&self.folder);
    }
}

/// Who has connected.
struct Peer {
    reader: BufReader<UnixStream>,
    stream: UnixStream,
}

impl Peer {
    /// The parameters of a call, which is of this method.
    fn told(&mut self, method: &str) -> Value {
        let mut message = Vec::new();
        self.reader.read_until(0, &mut message).unwrap();
        assert_eq!(message.pop(), Some(0), "{} did not come", method);
        let mut call: Value = serde_json::from_slice(&message).unwrap();
        assert_eq!(call["method"], format!("org.jobmill.{}", method));
        call["parameters"].take()
    }

    fn tell(&mut self, parameters: Value) {
        self.send(json!({ "parameters": parameters, "continues": true }));
    }

    fn refuse(&mut self, error: &str) {
        self.send(json!({ "error": error, "parameters": { "message": "no" } }));
    }

    fn send(&mut self, message: Value) {
        self.stream.write_all(format!("{}\0", message).as_bytes()).unwrap();
    }
}

fn assignment() -> Value {
    json!({ "assign": {
        "id": 5, "attempt": 1, "attempt_token": "A", "queue": "w", "owner": 0, "slot_numbers": [0], "job": { "argv": ["x"] }
    } })
}

fn worker(path: &Path) -> Worker {
    Worker::new("w").slots(4).path(path)
}

#[test]
fn request_id_is_kept() {
    let daemon = Daemon::new("request");
    let client = daemon.client();
    let submit = thread::spawn(move || client.submit(&Default::default()));
    let first = daemon.accept().told("Submit"); // and not answered
    let mut again = daemon.accept();
    assert_eq!(again.told("Submit"), first);
    assert_eq!(first["job"]["request_id"].as_str().unwrap().len(), 32);
    again.tell(json!({ "id": 7 }));
    assert_eq!(submit.join().unwrap(), Ok(7));
}

#[test]
fn request_id_by_name() {
    let daemon = Daemon::new("by-name");
    let client = daemon.client();
    let submit = thread::spawn(move || client.call("SubmitMany", json!({ "jobs": [{ "request_id": null }, {}] })));
    let first = daemon.accept().told("SubmitMany"); // and not answered
    let mut again = daemon.accept();
    assert_eq!(again.told("SubmitMany"), first);
    assert_eq!(first["jobs"][0]["request_id"].as_str().unwrap().len(), 32);
    again.tell(json!({ "ids": [7, 8] }));
    assert!(submit.join().unwrap().is_ok());
}

#[test]
fn retry_is_not_made_twice() {
    let daemon = Daemon::new("retry");
    let client = daemon.client();
    let retry = thread::spawn(move || client.retry(1, None, None));
    daemon.accept().told("Retry");
    assert!(matches!(retry.join().unwrap(), Err(Error::Disconnected(_))));
}

#[test]
fn cancel_and_deadline() {
    let daemon = Daemon::new("cancel");
    let cancel = Cancel::new();
    let client = daemon.client().with_cancel(&cancel);
    let wait = thread::spawn(move || client.wait(1));
    let mut held = daemon.accept();
    held.told("Wait");
    cancel.cancel();
    assert_eq!(wait.join().unwrap(), Err(Error::Cancelled));
    let late = daemon.client().with_timeout(Some(Duration::from_millis(50))).get(1);
    assert_eq!(late, Err(Error::DeadlineExceeded));
}

#[test]
fn kept_connections_that_were_closed_cost_no_time() {
    const CALLS: usize = 20;
    let daemon = Daemon::new("kept");
    let client = daemon.client();
    let calls: Vec<_> = (0..CALLS)
        .map(|_| {
            let client = client.clone();
            thread::spawn(move || client.get(1))
        })
        .collect();
    let mut peers: Vec<_> = (0..CALLS).map(|_| daemon.accept()).collect();
    for peer in &mut peers {
        peer.told("Get");
    }
    for peer in &mut peers {
        peer.tell(json!({ "job": { "id": 1 } }));
    }
    for call in calls {
        assert_eq!(call.join().unwrap().unwrap().id, Some(1));
    }
    drop(peers);
    let begin = Instant::now();
    let call = thread::spawn(move || client.get(2));
    let mut peer = daemon.accept();
    peer.told("Get");
    assert!(begin.elapsed() < Duration::from_secs(4), "{:?}", begin.elapsed());
    peer.tell(json!({ "job": { "id": 2 } }));
    assert_eq!(call.join().unwrap().unwrap().id, Some(2));
}

#[test]
fn result_is_sent_again() {
    let daemon = Daemon::new("again");
    let (worker, begun) = (worker(&daemon.path()), Arc::new(AtomicUsize::new(0)));
    let count = begun.clone();
    let run = thread::spawn(move || {
        worker.run(move |_| {
            count.fetch_add(1, Ordering::SeqCst);
            Ok(Some(json!({ "success": true })))
        })
    });
    let (mut orders, mut reports, register) = daemon.registered();
    assert_eq!(register, json!({ "protocol": 1, "queues": ["w"], "slots": 4 }));
    orders.tell(assignment());
    let complete = reports.told("Complete"); // and not answered
    assert_eq!(complete, json!({ "token": "T", "id": 5, "attempt": 1, "verdict": { "success": true } }));
    drop((orders, reports));
    let (mut orders, mut reports, register) = daemon.registered();
    assert_eq!(register, json!({ "protocol": 1, "token": "T" }));
    assert_eq!(reports.told("Complete"), complete);
    reports.refuse("org.jobmill.AttemptFinished"); // it was heard
    thread::sleep(Duration::from_millis(100));
    orders.tell(assignment()); // as if the answer had overtaken it
    Daemon::dismiss(orders, reports);
    assert_eq!(run.join().unwrap(), Ok(()));
    assert_eq!(begun.load(Ordering::SeqCst), 1);
}

#[test]
fn assignment_seen_twice_runs_once() {
    let daemon = Daemon::new("twice");
    let worker = worker(&daemon.path());
    let (tell, begun) = channel();
    let run = thread::spawn(move || {
        let tell = std::sync::Mutex::new(tell);
        worker.run(move |task| {
            tell.lock().unwrap().send(()).unwrap();
            Err(task.wait_cancelled(PATIENCE).unwrap_or_default().into())
        })
    });
    let (mut orders, reports, _) = daemon.registered();
    orders.tell(assignment());
    begun.recv_timeout(PATIENCE).unwrap();
    drop((orders, reports));
    let (mut orders, mut reports, _) = daemon.registered();
    orders.tell(assignment());
    orders.tell(json!({ "cancel": { "id": 5, "attempt": 1, "attempt_token": "A", "reason": "timeout" } }));
    assert_eq!(reports.told("Complete"), json!({ "token": "T", "id": 5, "attempt": 1, "error": "timeout" }));
    reports.tell(json!({}));
    Daemon::dismiss(orders, reports);
    assert_eq!(run.join().unwrap(), Ok(()));
    assert!(begun.recv().is_err());
}

#[test]
fn result_that_cannot_be_recorded_yet_is_sent_again() {
    let daemon = Daemon::new("full");
    let worker = worker(&daemon.path());
    let run = thread::spawn(move || worker.run(|_| Ok(None)));
    let (mut orders, mut reports, _) = daemon.registered();
    orders.tell(assignment());
    let complete = reports.told("Complete");
    reports.refuse("org.jobmill.StorageFull");
    let (orders, mut reports, _) = daemon.registered();
    assert_eq!(reports.told("Complete"), complete);
    reports.tell(json!({}));
    Daemon::dismiss(orders, reports);
    assert_eq!(run.join().unwrap(), Ok(()));
}

#[test]
fn what_is_no_verdict_or_panics_is_an_error() {
    let daemon = Daemon::new("error");
    let worker = worker(&daemon.path());
    let run = thread::spawn(move || worker.run(|task| if task.attempt() == 1 { Ok(Some(json!(3))) } else { panic!("oh") }));
    let (mut orders, mut reports, _) = daemon.registered();
    orders.tell(assignment());
    assert_eq!(reports.told("Complete")["verdict"], 3);
    reports.refuse("org.varlink.service.InvalidParameter");
    assert!(reports.told("Complete")["error"].as_str().unwrap().starts_with("The verdict was refused"));
    reports.tell(json!({}));
    let mut second = assignment();
    second["assign"]["attempt"] = 2.into();
    second["assign"]["attempt_token"] = "B".into();
    orders.tell(second);
    assert_eq!(reports.told("Complete")["error"], "panic: oh");
    reports.tell(json!({}));
    Daemon::dismiss(orders, reports);
    assert_eq!(run.join().unwrap(), Ok(()));
}

#[test]
fn worker_that_is_not_known_registers_anew() {
    let daemon = Daemon::new("anew");
    let worker = worker(&daemon.path());
    let (tell, ended) = channel();
    let run = thread::spawn(move || {
        let tell = std::sync::Mutex::new(tell);
        worker.run(move |task| {
            let tell = tell.lock().unwrap();
            tell.send(None).unwrap();
            tell.send(task.wait_cancelled(PATIENCE)).unwrap();
            Ok(None)
        })
    });
    let (mut orders, reports, _) = daemon.registered();
    orders.tell(assignment());
    assert_eq!(ended.recv_timeout(PATIENCE).unwrap(), None);
    drop((orders, reports));
    let (mut orders, _reports) = (daemon.accept(), daemon.accept());
    assert_eq!(orders.told("Register")["token"], "T");
    orders.refuse("org.jobmill.NoSuchWorker");
    assert_eq!(ended.recv_timeout(PATIENCE).unwrap().as_deref(), Some("lost"));
    let (mut orders, _reports) = (daemon.accept(), daemon.accept());
    assert_eq!(orders.told("Register")["queues"], json!(["w"]));
    orders.refuse("org.jobmill.NotAllowed");
    assert_eq!(run.join().unwrap().unwrap_err().name(), Some(ErrorName::NotAllowed));
}
