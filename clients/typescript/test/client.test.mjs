// SPDX-License-Identifier: LGPL-2.1-or-later
/* What needs no daemon: the library against a server that says what a test wants. $JOBMILL_DIST: where tsc has put it (../dist). */

import assert from "node:assert/strict";
import fs from "node:fs";
import net from "node:net";
import os from "node:os";
import path from "node:path";
import test from "node:test";
import { fileURLToPath } from "node:url";

const dist = path.resolve(process.env.JOBMILL_DIST ?? fileURLToPath(new URL("../dist", import.meta.url)));
const { Client, DeadlineExceeded, Disconnected, MethodError, Worker } = await import(path.join(dist, "index.js"));

/** answer(call, connection) for each call; connection.say(parameters), .refuse(name), .end(). */
class Server {
  static async start(t, answer) {
    const server = new Server();
    server.answer = answer;
    server.calls = [];
    server.sockets = new Set();
    server.folder = fs.mkdtempSync(path.join(os.tmpdir(), "jobmill-ts-"));
    server.path = path.join(server.folder, "org.jobmill");
    server.net = net.createServer((socket) => server.serve(socket));
    await server.listen();
    t.after(async () => {
      await server.away();
      fs.rmSync(server.folder, { recursive: true });
    });
    return server;
  }

  listen() {
    return new Promise((resolve) => this.net.listen(this.path, resolve));
  }

  /** As a daemon that has died. */
  async away() {
    const closed = new Promise((resolve) => this.net.close(resolve));
    for (const socket of this.sockets) socket.destroy();
    await closed;
  }

  serve(socket) {
    let rest = "";
    this.sockets.add(socket);
    socket.setEncoding("utf8");
    socket.on("error", () => {});
    socket.on("close", () => this.sockets.delete(socket));
    const connection = {
      socket,
      say: (parameters) => socket.write(JSON.stringify({ parameters }) + "\0"),
      refuse: (name, parameters = {}) => socket.write(JSON.stringify({ error: `org.jobmill.${name}`, parameters }) + "\0"),
      end: () => socket.destroy(),
    };
    socket.on("data", (data) => {
      const texts = (rest + data).split("\0");
      rest = texts.pop();
      for (const text of texts) {
        const { method, parameters } = JSON.parse(text);
        const call = { ...parameters, method: method.replace("org.jobmill.", "") };
        this.calls.push(call);
        this.answer(call, connection);
      }
    });
  }

  of(method) {
    return this.calls.filter((call) => call.method === method);
  }
}

const tick = (milliseconds = 5) => new Promise((resolve) => setTimeout(resolve, milliseconds));

async function until(condition) {
  for (const begin = Date.now(); !condition(); await tick()) assert.ok(Date.now() - begin < 20_000, String(condition));
}

const assignment = (n, more = {}) => ({ id: n, attempt: 1, attempt_token: `t${n}`, queue: "w", owner: 0, slot_numbers: [0], job: { argv: ["x"] }, ...more });

// ---- calls ----

test("a submit keeps its request_id until it is answered", async (t) => {
  const server = await Server.start(t, (call, c) => (server.calls.length < 3 ? c.end() : c.say({ id: 7 })));
  assert.equal(await new Client({ path: server.path }).submit({ argv: ["true"] }), 7);
  const ids = server.calls.map((call) => call.job.request_id);
  assert.match(ids[0], /^[0-9a-f]{32}$/);
  assert.deepEqual(ids, [ids[0], ids[0], ids[0]]);
});

test("a request_id is one's own, or there is another for each", async (t) => {
  const server = await Server.start(t, (call, c) => c.say({ id: 1, ids: [1, 2], flow: 1, jobs: {} }));
  const mill = new Client({ path: server.path });
  await mill.submit({ request_id: "own" });
  await mill.submit({ request_id: undefined });
  await mill.submitMany([{ request_id: undefined }, {}]);
  await mill.submitFlow({ request_id: undefined, jobs: [] });
  const ids = server.calls.map((call) => (call.job ?? call.jobs?.[0] ?? call.flow).request_id);
  assert.equal(ids[0], "own");
  assert.equal(new Set(ids).size, 4);
  assert.ok(ids.every((id) => typeof id === "string"));
});

test("what is submitted by name has one, too", async (t) => {
  const server = await Server.start(t, (call, c) => (server.calls.length % 2 ? c.end() : c.say({})));
  const mill = new Client({ path: server.path });
  await mill.call("Submit", { job: {} });
  await mill.call("SubmitMany", { jobs: [{}, {}] });
  await mill.call("SubmitFlow", { flow: { jobs: [] } });
  const ids = server.calls.map((call) => (call.job ?? call.jobs?.[0] ?? call.flow).request_id);
  assert.deepEqual(ids, [ids[0], ids[0], ids[2], ids[2], ids[4], ids[4]]);
  assert.equal(new Set(ids).size, 3);
  assert.match(ids[4], /^[0-9a-f]{32}$/);
});

test("payload and credentials may be bytes", async (t) => {
  const server = await Server.start(t, (call, c) => c.say({ id: 1 }));
  await new Client({ path: server.path }).submit({ payload: new Uint8Array([0, 255]), credentials: { a: "text", b: new Uint8Array([1]) } });
  const { payload, payload_base64, credentials, credentials_base64 } = server.calls[0].job;
  assert.deepEqual([payload, payload_base64, credentials, credentials_base64], [undefined, "AP8=", { a: "text" }, { b: "AQ==" }]);
});

test("what may not be made twice is not", async (t) => {
  const server = await Server.start(t, (call, c) => (call.method === "Get" ? c.say({ job: {} }) : c.end()));
  const mill = new Client({ path: server.path });
  await mill.get(1); // leaves a connection that could be taken
  await assert.rejects(mill.retry(1), Disconnected);
  assert.equal(server.of("Retry").length, 1);
});

test("what nobody has heard is made again", async (t) => {
  const server = await Server.start(t, (call, c) => c.say({}));
  await server.away();
  const retried = new Client({ path: server.path }).retry(1, { maxAttempts: 2, delay: 1500 });
  await tick(80);
  await server.listen();
  await retried;
  assert.deepEqual(server.calls, [{ method: "Retry", id: 1, max_attempts: 2, delay_usec: 1_500_000 }]);
});

test("errors have names and parameters", async (t) => {
  const server = await Server.start(t, (call, c) => c.refuse("EventsLost", { message: "gone", last: 5 }));
  await assert.rejects(new Client({ path: server.path }).get(1), (e) => e instanceof MethodError && e.code === "EventsLost" && e.message === "gone" && e.parameters.last === 5);
});

test("deadlines and signals", async (t) => {
  const server = await Server.start(t, () => {});
  const mill = new Client({ path: server.path, timeout: 50 });
  await assert.rejects(mill.get(1), DeadlineExceeded);
  for (const timeout of [Infinity, 2 ** 31, 2 ** 40]) {
    const controller = new AbortController();
    const got = mill.get(1, { timeout, signal: controller.signal });
    setTimeout(() => controller.abort(), 20);
    await assert.rejects(got, { name: "AbortError" });
  }
  const reason = new Error("enough");
  await assert.rejects(mill.wait(1, { timeout: undefined, signal: AbortSignal.abort(reason) }), reason);
  const controller = new AbortController();
  setTimeout(() => controller.abort(reason), 120); // a wait has not the client's deadline
  await assert.rejects(mill.wait(1, { timeout: undefined, signal: controller.signal }), reason);
  await assert.rejects(mill.events(undefined), DeadlineExceeded);
  await until(() => server.sockets.size === 0); // none is kept on which an answer could come
});

test("answers in pieces, and many calls at once", async (t) => {
  const long = "ä€🙂".repeat(20_000);
  const server = await Server.start(t, async (call, c) => {
    const bytes = Buffer.from(JSON.stringify({ parameters: { job: { id: call.id, name: long } } }) + "\0");
    for (let i = 0; i < bytes.length; i += 50_001) {
      c.socket.write(bytes.subarray(i, i + 50_001));
      await tick(1);
    }
  });
  const jobs = await Promise.all(Array.from({ length: 20 }, (_, id) => new Client({ path: server.path }).get(id)));
  assert.deepEqual(jobs.map((job) => job.id), Array.from({ length: 20 }, (_, id) => id));
  assert.ok(jobs.every((job) => job.name === long));
});

test("a list is of all pages", async (t) => {
  const server = await Server.start(t, (call, c) => c.say(call.cursor ? { jobs: [{ id: 3 }] } : { jobs: [{ id: 1 }, { id: 2 }], next: "c" }));
  const ids = [];
  for await (const job of new Client({ path: server.path }).list({ state: ["done"] })) ids.push(job.id);
  assert.deepEqual(ids, [1, 2, 3]);
  assert.deepEqual(server.calls.map((call) => [call.filter, call.cursor]), [[{ state: ["done"] }, undefined], [{ state: ["done"] }, "c"]]);
});

// ---- events ----

test("events go on from where they were", async (t) => {
  const server = await Server.start(t, (call, c) => {
    const from = call.after ?? 10;
    c.say({ events: [], last: from });
    c.say({ events: [{ number: from + 1 }, { number: from + 2 }], last: from + 2 });
    if (server.calls.length < 3) setTimeout(c.end, 20);
  });
  const events = await new Client({ path: server.path }).events();
  const numbers = [];
  for await (const event of events) if (numbers.push(event.number) === 6) break;
  assert.deepEqual(numbers, [11, 12, 13, 14, 15, 16]);
  assert.deepEqual(server.calls.map((call) => call.after), [undefined, 12, 14]);
  assert.equal(events.last, 16);
});

test("several may ask for the next event; all are told that it is over", async (t) => {
  let connection;
  const server = await Server.start(t, (call, c) => (connection = c).say({ events: [], last: 0 }));
  const events = await new Client({ path: server.path }).events();
  const asked = [events.next(), events.next(), events.next()];
  connection.say({ events: [{ number: 1 }], last: 1 });
  assert.equal((await asked[0]).value.number, 1);
  connection.say({ events: [{ number: 2 }], last: 2 });
  assert.equal((await asked[1]).value.number, 2);
  events.close();
  assert.deepEqual(await asked[2], { value: undefined, done: true });
});

test("events that nobody takes wait on the other side", async (t) => {
  let number = 0, stuck = false;
  const server = await Server.start(t, (call, c) => {
    const more = () => {
      while (number < 200_000) {
        const events = Array.from({ length: 100 }, () => ({ number: ++number, filler: "x".repeat(100) }));
        if (!c.say({ events, last: number })) return (stuck = true), c.socket.once("drain", more);
      }
    };
    c.say({ events: [], last: 0 });
    more();
  });
  const events = await new Client({ path: server.path }).events();
  await tick(300);
  assert.ok(stuck && number < 100_000, String(number));
  let expected = 0;
  for await (const event of events) {
    assert.equal(event.number, ++expected);
    if (expected === 200_000) break;
  }
});

// ---- workers ----

/** A server that assigns these at each Register, until whoever answers Complete takes them from left. */
async function daemon(t, jobs, complete = (call, c) => c.say({})) {
  const left = new Map(jobs.map((job) => [job.id, job]));
  const server = await Server.start(t, (call, c) => {
    if (call.method === "Register") {
      server.orders = c;
      c.say({ token: "w", worker: 1 });
      for (const assign of left.values()) c.say({ assign });
    } else if (call.method === "Complete") {
      complete(call, c);
    } else if (call.method === "Drain") {
      c.say({ attempts: left.size });
    } else {
      c.say({});
    }
  });
  server.left = left;
  return server;
}

test("a result is sent again until it is recorded, and nothing runs twice", async (t) => {
  const server = await daemon(t, [assignment(1), assignment(2)], (call, c) => {
    if (server.of("Complete").length <= 2) return; // heard, and not answered
    server.left.delete(call.id);
    c.say({});
  });
  const worker = new Worker("w", { path: server.path, slots: 2 });
  let runs = 0;
  const running = worker.run(async (task) => (runs++, { success: true, id: task.id }));
  await until(() => server.of("Complete").length === 2);
  await server.away();
  await server.listen();
  await until(() => server.left.size === 0);
  worker.stop();
  await running;
  assert.equal(runs, 2);
  assert.deepEqual(server.of("Register").map((call) => [call.token, call.queues, call.slots]), [[undefined, ["w"], 2], ["w", undefined, undefined]]);
  assert.deepEqual(server.of("Complete").slice(-2).map((call) => call.verdict), [{ success: true, id: 1 }, { success: true, id: 2 }]);
});

test("an assignment that is seen twice runs once, over connections, too", async (t) => {
  const server = await daemon(t, [assignment(1)], (call, c) => (server.left.delete(call.id), c.say({})));
  let runs = 0, go;
  const worker = new Worker("w", { path: server.path });
  const running = worker.run(() => (runs++, new Promise((resolve) => (go = resolve))));
  await until(() => go);
  server.orders.say({ assign: assignment(1) });
  await tick(20);
  server.orders.end();
  await until(() => server.of("Register").length === 2);
  await tick(20);
  go();
  await until(() => server.left.size === 0);
  worker.stop();
  await running;
  assert.equal(runs, 1);
  assert.equal(server.of("Complete").length, 1);
});

test("what cannot be recorded now is sent again", async (t) => {
  const server = await daemon(t, [assignment(1)], (call, c) => {
    if (server.of("Complete").length < 3) return c.refuse("StorageFull");
    server.left.delete(call.id);
    c.say({});
  });
  const worker = new Worker("w", { path: server.path });
  const running = worker.run(() => {});
  await until(() => server.left.size === 0);
  worker.stop();
  await running;
  assert.deepEqual(server.of("Complete").map((call) => call.exit_status), [0, 0, 0]);
});

for (const [refusal, closes] of [["InvalidParameter", false], ["InvalidMessage", true]]) {
  test(`a verdict that is refused with ${refusal} is an error`, async (t) => {
    const server = await daemon(t, [assignment(1)], (call, c) => {
      if (call.verdict) return c.refuse(refusal, { message: "no" }), closes && c.socket.end();
      server.left.delete(call.id);
      c.say({});
    });
    const worker = new Worker("w", { path: server.path });
    let runs = 0;
    const running = worker.run(() => (runs++, { odd: true }));
    await until(() => server.left.size === 0);
    worker.stop();
    await running;
    assert.equal(runs, 1);
    const last = server.of("Complete").at(-1);
    assert.deepEqual([last.verdict, last.error], [undefined, "The verdict was refused: no"]);
  });
}

test("whatever is thrown or returned is told in a way that the daemon takes", async (t) => {
  const works = [
    () => { throw new Error("€".repeat(5000)); },
    () => { throw new Error("a\0b\nc"); },
    () => { throw ""; },
    () => { throw undefined; },
    () => { throw Object.create(null); },
    async () => { throw new TypeError("x"); },
    () => 5,
    () => ({ n: 1n }),
    () => ({ long: "x".repeat(2 << 20) }),
    () => { const v = {}; v.v = v; return v; },
  ];
  const server = await daemon(t, works.map((_, i) => assignment(i)), (call, c) => (server.left.delete(call.id), c.say({})));
  const worker = new Worker("w", { path: server.path, slots: works.length });
  const running = worker.run((task) => works[task.id]());
  await until(() => server.left.size === 0);
  worker.stop();
  await running;
  const errors = server.of("Complete").sort((a, b) => a.id - b.id).map((call) => call.error);
  assert.ok(errors.every((error) => error.length > 0 && Buffer.byteLength(error) <= 1024 && !/[\x00-\x1f\ufffd]/.test(error)), JSON.stringify(errors));
  assert.deepEqual([errors[1], errors[2], errors[5]], ["Error: a b c", "error", "TypeError: x"]);
});

test("a result is what it was when it was returned", async (t) => {
  const server = await daemon(t, [assignment(1)], (call, c) => {
    if (server.of("Complete").length === 1) return c.end();
    server.left.delete(call.id);
    c.say({});
  });
  const verdict = { n: 1 };
  const worker = new Worker("w", { path: server.path });
  const running = worker.run(() => (setTimeout(() => (verdict.n = 2)), verdict));
  await until(() => server.left.size === 0);
  worker.stop();
  await running;
  assert.deepEqual(server.of("Complete").map((call) => call.verdict.n), [1, 1]);
});

test("a job that is cancelled is told, with why", async (t) => {
  const server = await daemon(t, [assignment(1, { job: { argv: ["x"], payload_base64: "eyJhIjoxfQ==" }, inputs: [{ id: 5 }] })],
    (call, c) => (server.left.delete(call.id), c.say({})));
  const worker = new Worker("w", { path: server.path });
  let task;
  const running = worker.run((given) => new Promise((_, reject) => {
    task = given;
    task.progress("10%\n");
    task.signal.addEventListener("abort", () => reject(task.signal.reason));
  }));
  await until(() => task);
  assert.deepEqual([task.json(), task.inputs, task.cancelReason], [{ a: 1 }, [{ id: 5 }], undefined]);
  server.orders.say({ cancel: { id: 1, attempt: 1, attempt_token: "t1", reason: "timeout" } });
  await until(() => server.left.size === 0);
  worker.stop();
  await running;
  assert.equal(task.cancelReason, "timeout");
  assert.equal(server.of("Progress")[0].status, "10% ");
  assert.match(server.of("Complete")[0].error, /timeout/);
});

test("a worker that is stopped completes what was on its way", async (t) => {
  const server = await daemon(t, [], (call, c) => (server.left.delete(call.id), c.say({})));
  const controller = new AbortController();
  let runs = 0;
  const running = new Worker("w", { path: server.path }).run(() => void runs++, { signal: controller.signal });
  await until(() => server.orders);
  server.left.set(1, assignment(1)); // assigned, and not yet heard of
  controller.abort();
  await until(() => server.of("Drain").length === 1);
  server.orders.say({ assign: assignment(1) });
  await running;
  assert.equal(runs, 1);
  assert.equal(server.left.size, 0);
});

test("a worker that is not known any more is another; one that is refused says so", async (t) => {
  const reasons = [];
  const server = await Server.start(t, (call, c) => {
    if (call.method === "Drain") return c.say({ attempts: 0 });
    if (call.token) return c.refuse("NoSuchWorker");
    if (call.queues[0] === "none") return c.refuse("NotAllowed", { message: "not here" });
    const first = server.of("Register").length === 1;
    c.say({ token: first ? "a" : "b" });
    if (first) c.say({ assign: assignment(1) }), setTimeout(c.end, 30);
  });
  const worker = new Worker("w", { path: server.path });
  const running = worker.run((task) => new Promise((resolve) => task.signal.addEventListener("abort", () => resolve(void reasons.push(task.cancelReason)))));
  await until(() => server.of("Register").length === 3);
  worker.stop();
  await running;
  assert.deepEqual(reasons, ["lost"]);
  assert.equal(server.of("Complete").length, 0);
  await assert.rejects(new Worker("none", { path: server.path }).run(() => {}), { code: "NotAllowed" });
});
