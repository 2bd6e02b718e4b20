// SPDX-License-Identifier: LGPL-2.1-or-later
/* The driver of the conformance suite (../../conformance/README.md). */

import { Client, DeadlineExceeded, Disconnected, MethodError, Task, Worker } from "./index.js";

type Args = Record<string, any>;

const client = new Client();
const controllers = new Map<number, AbortController>();
let stop = new AbortController();

const tell = (line: object): void => void process.stdout.write(JSON.stringify(line) + "\n");

function tellError(n: number, error: unknown): void {
  if (error instanceof MethodError) return tell({ n, error: error.code, message: error.message, parameters: error.parameters });
  const aborted = (error as Error).name === "AbortError";
  const name = aborted ? "Cancelled" : error instanceof DeadlineExceeded || error instanceof Disconnected ? error.name : "Unknown";
  return tell({ n, error: name, message: String(error) });
}

async function obey(task: Task): Promise<object | void> {
  let orders: Args | null = null;
  try {
    orders = task.json() as Args;
  } catch {
    return;
  }
  if (orders?.progress !== undefined) task.progress(orders.progress);
  if (orders?.sleep) await new Promise((resolve) => setTimeout(resolve, orders!.sleep * 1000));
  if (orders?.until_cancelled)
    await new Promise((resolve, reject) => {
      const timer = setTimeout(resolve, 30_000);
      if (task.signal.aborted) reject(task.signal.reason);
      task.signal.addEventListener("abort", () => (clearTimeout(timer), reject(task.signal.reason)));
    });
  if (orders?.raise !== undefined) throw new Error(orders.raise);
  if (orders?.return !== undefined) return orders.return;
  if (orders?.echo)
    return {
      success: true, id: task.id, attempt: task.attempt, queue: task.queue, name: task.name, argv: task.argv,
      payload_base64: Buffer.from(task.payload).toString("base64"), inputs: task.inputs,
    };
}

async function work({ queues, ...options }: Args): Promise<object> {
  let begun = 0;
  stop = new AbortController();
  await new Worker(queues, options).run((task) => (begun++, obey(task)), { signal: stop.signal });
  return { jobs: begun };
}

async function events(n: number, { after, count }: Args, signal: AbortSignal): Promise<object[]> {
  const stream = await client.events(after, { signal });
  tell({ n, ready: true });
  const come = [];
  for await (const event of stream) if (come.push(event) === count) break;
  return come;
}

async function list(filter: Args | undefined, signal: AbortSignal): Promise<object[]> {
  const jobs = [];
  for await (const job of client.list(filter, { signal })) jobs.push(job);
  return jobs;
}

async function perform(n: number, op: string, args: Args, signal: AbortSignal): Promise<unknown> {
  const options = { signal, ...(args.timeout ? { timeout: args.timeout * 1000 } : {}) };
  switch (op) {
    case "submit": return client.submit(args.spec, options);
    case "submit_many": return client.submitMany(args.specs, options);
    case "submit_flow": return client.submitFlow(args.document, options);
    case "get": return client.get(args.id, options);
    case "list": return list(args.filter, signal);
    case "wait": return client.wait(args.id, options);
    case "cancel": return client.cancel(args.id, options);
    case "hold": return client.hold(args.id, options);
    case "release": return client.release(args.id, options);
    case "retry": return client.retry(args.id, { ...options, maxAttempts: args.max_attempts, delay: args.delay === undefined ? undefined : args.delay * 1000 });
    case "events": return events(n, args, signal);
    case "call": return client.call(args.method, args.parameters, options);
    case "abandon": return controllers.get(args.n)!.abort();
    case "work": return work(args);
    case "stop": return stop.abort();
    default: throw new MethodError("Unsupported", {});
  }
}

async function answer(line: string): Promise<void> {
  const { n, op, args = {} } = JSON.parse(line);
  const controller = new AbortController();
  controllers.set(n, controller);
  try {
    tell({ n, value: (await perform(n, op, args, controller.signal)) ?? null });
  } catch (error) {
    tellError(n, error);
  }
}

let rest = "";
process.stdin.setEncoding("utf8");
for await (const chunk of process.stdin) {
  const lines = (rest + chunk).split("\n");
  rest = lines.pop()!;
  for (const line of lines) void answer(line);
}
process.exit(0);
