// SPDX-License-Identifier: LGPL-2.1-or-later
//! The driver of the conformance suite (../../conformance/README.md).

use jobmill::{Cancel, Client, Error, Filter, Stop, Task, Worker};
use serde_json::{json, Value};
use std::collections::HashMap;
use std::io::{BufRead, Write};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

#[derive(Clone, Default)]
struct Driver {
    cancels: Arc<Mutex<HashMap<i64, Cancel>>>,
    stop: Arc<Mutex<Option<Stop>>>,
}

fn tell(line: Value) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{}", line);
    let _ = out.flush();
}

fn tell_error(n: i64, e: Error) {
    let message = e.to_string();
    tell(match e {
        Error::Method(e) => json!({ "n": n, "error": e.name, "message": e.message, "parameters": e.parameters }),
        Error::DeadlineExceeded => json!({ "n": n, "error": "DeadlineExceeded", "message": message }),
        Error::Disconnected(_) => json!({ "n": n, "error": "Disconnected", "message": message }),
        Error::Cancelled => json!({ "n": n, "error": "Cancelled", "message": message }),
        Error::Json(_) => json!({ "n": n, "error": "Unknown", "message": message }),
    })
}

fn from<T: serde::de::DeserializeOwned>(value: &Value) -> Result<T, Error> {
    Ok(serde_json::from_value(value.clone())?)
}

fn seconds(value: &Value) -> Option<Duration> {
    value.as_f64().map(Duration::from_secs_f64)
}

fn filter_of(args: &Value) -> Result<Filter, Error> {
    if args["filter"].is_null() { Ok(Filter::default()) } else { from(&args["filter"]) }
}

impl Driver {
    fn perform(&self, n: i64, op: &str, args: &Value, client: &Client) -> Result<Value, Error> {
        let id = args["id"].as_i64().unwrap_or(0);
        Ok(match op {
            "submit" => json!(client.submit(&from(&args["spec"])?)?),
            "submit_many" => json!(client.submit_many(&from::<Vec<_>>(&args["specs"])?)?),
            "submit_flow" => json!(client.submit_flow(&args["document"])?),
            "get" => json!(client.get(id)?),
            "list" => json!(client.list(&filter_of(args)?).collect::<Result<Vec<_>, _>>()?),
            "wait" => json!(client.wait(id)?),
            "cancel" => json!(client.cancel(id)?),
            "hold" => json!(client.hold(id)?),
            "release" => json!(client.release(id)?),
            "retry" => json!(client.retry(id, args["max_attempts"].as_i64(), seconds(&args["delay"]))?),
            "events" => {
                let events = client.events(args["after"].as_i64())?;
                tell(json!({ "n": n, "ready": true }));
                json!(events.take(args["count"].as_u64().unwrap_or(0) as usize).collect::<Result<Vec<_>, _>>()?)
            }
            "call" => client.call(args["method"].as_str().unwrap_or(""), &args["parameters"])?,
            "abandon" => {
                let n = args["n"].as_i64().unwrap_or(0);
                self.cancels.lock().unwrap()[&n].cancel();
                Value::Null
            }
            "work" => self.work(args)?,
            "stop" => {
                self.stop.lock().unwrap().as_ref().expect("there is a worker").stop();
                Value::Null
            }
            _ => return Err(Error::Json(format!("no op {}", op))),
        })
    }

    fn work(&self, args: &Value) -> Result<Value, Error> {
        let queues: Vec<String> = from(&args["queues"])?;
        let mut worker = Worker::of_queues(&queues.iter().map(String::as_str).collect::<Vec<_>>());
        if let Some(slots) = args["slots"].as_u64() {
            worker = worker.slots(slots as u32);
        }
        if let Some(name) = args["name"].as_str() {
            worker = worker.name(name);
        }
        *self.stop.lock().unwrap() = Some(worker.stopper());
        let begun = Arc::new(AtomicI64::new(0));
        let count = begun.clone();
        worker.run(move |task| {
            count.fetch_add(1, Ordering::SeqCst);
            obey(task)
        })?;
        Ok(json!({ "jobs": begun.load(Ordering::SeqCst) }))
    }
}

fn obey(task: &Task) -> Result<Option<Value>, Box<dyn std::error::Error + Send + Sync>> {
    let orders: Value = match serde_json::from_slice(&task.payload()) {
        Ok(orders) => orders,
        Err(_) => return Ok(None),
    };
    if let Some(status) = orders["progress"].as_str() {
        task.progress(status);
    }
    if let Some(time) = seconds(&orders["sleep"]) {
        thread::sleep(time);
    }
    if !orders["until_cancelled"].is_null() {
        if let Some(reason) = task.wait_cancelled(Duration::from_secs(30)) {
            return Err(reason.into());
        }
    }
    if let Some(text) = orders["raise"].as_str() {
        return Err(text.into());
    }
    if !orders["return"].is_null() {
        return Ok(Some(orders["return"].clone()));
    }
    if orders["echo"].is_null() {
        return Ok(None);
    }
    Ok(Some(json!({
        "success": true, "id": task.id(), "attempt": task.attempt(), "queue": task.assignment.queue,
        "name": task.assignment.name.clone().unwrap_or_default(), "argv": task.spec().argv, "payload_base64": to_base64(&task.payload()),
        "inputs": task.inputs(),
    })))
}

fn to_base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for three in bytes.chunks(3) {
        let bits = (0..3).fold(0u32, |n, i| n << 8 | u32::from(*three.get(i).unwrap_or(&0)));
        for i in 0..4 {
            out.push(if i <= three.len() { DIGITS[(bits >> (18 - 6 * i) & 63) as usize] as char } else { '=' });
        }
    }
    out
}

fn main() {
    let driver = Driver::default();
    let client = Client::new();
    for line in std::io::stdin().lock().lines() {
        let request: Value = serde_json::from_str(&line.expect("a line")).expect("JSON");
        let n = request["n"].as_i64().expect("a number");
        let cancel = Cancel::new();
        driver.cancels.lock().unwrap().insert(n, cancel.clone());
        let mut client = client.with_cancel(&cancel);
        if let Some(timeout) = seconds(&request["args"]["timeout"]) {
            client = client.with_timeout(Some(timeout));
        }
        let driver = driver.clone();
        thread::spawn(move || match driver.perform(n, request["op"].as_str().unwrap_or(""), &request["args"], &client) {
            Ok(value) => tell(json!({ "n": n, "value": value })),
            Err(e) => tell_error(n, e),
        });
    }
}
