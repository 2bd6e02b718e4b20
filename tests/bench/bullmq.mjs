// SPDX-License-Identifier: LGPL-2.1-or-later
// bullmq.mjs FOLDER PORT add JOBS: adds JOBS by addBulk, 1,000 a call, two calls on their way; as fast as other sizes, or faster.
// bullmq.mjs FOLDER PORT work JOBS CONCURRENCY: adds them, then a worker that does nothing takes them all.
// FOLDER has BullMQ in its node_modules, PORT is that of Redis on the loopback. Prints the seconds until the last answer of Redis.

import { createRequire } from "node:module";

const [folder, port, verb, jobs, concurrency] = process.argv.slice(2);
const { Queue, Worker } = createRequire(folder + "/")("bullmq");
const connection = { host: "127.0.0.1", port: Number(port), maxRetriesPerRequest: null };
const n = Number(jobs);
const batch = 1000;

const queue = new Queue("bench", { connection });
await queue.waitUntilReady();

async function add() {
  let sent = 0;
  async function lane() {
    while (sent < n) {
      const count = Math.min(batch, n - sent);
      sent += count;
      await queue.addBulk(Array.from({ length: count }, () => ({ name: "bench", data: { argv: ["/bin/true"] } })));
    }
  }
  await Promise.all([lane(), lane()]);
}

async function work() {
  let done = 0;
  const worker = new Worker("bench", async () => {}, { connection, concurrency: Number(concurrency), autorun: false });
  worker.on("error", (e) => { console.error(e); process.exit(1); });
  await worker.waitUntilReady();
  const begin = performance.now();
  const all = new Promise((resolve) => worker.on("completed", () => { if (++done === n) resolve(); }));
  worker.run();
  await all;
  const seconds = (performance.now() - begin) / 1000;
  await worker.close();
  return seconds;
}

const begin = performance.now();
await add();
let seconds = (performance.now() - begin) / 1000;
if (verb === "work") seconds = await work();
console.log(seconds.toFixed(6));
await queue.close();
