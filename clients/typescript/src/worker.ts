// SPDX-License-Identifier: LGPL-2.1-or-later
/* Worker: a process that is given jobs and runs a function for each. Its results are kept until they are recorded: whoever connects anew is sent
 * all again that is not completed, and sends all again that was not answered; so nothing runs twice, and no result is lost (docs/workers.md). */

import type { Assignment, Cancellation, Spec } from "./types.js";
import { MethodError } from "./errors.js";
import { Backoff, Connection, defaultPath, errorOf, line, message, Parameters, PROTOCOL, Reply, sleep } from "./wire.js";

/** Of a Worker. */
export interface WorkerOptions {
  /** How many jobs at once (1). */
  slots?: number;
  /** What it says of itself. */
  name?: string;
  metadata?: Parameters;
  /** Of the daemon's socket. */
  path?: string;
}

/** A job that a worker was given. */
export class Task {
  private readonly ending = new AbortController();
  /** What the result will be of a job that is to end: cancelled, timeout. */
  cancelReason?: string;

  /** @internal */
  constructor(/** As it came. */ readonly assignment: Assignment, private readonly tell: (task: Task, status: string) => void) {}

  /** The job's. */
  get id(): number { return this.assignment.id; }
  /** Which one of the job's, from 1. */
  get attempt(): number { return this.assignment.attempt; }
  get queue(): string { return this.assignment.queue; }
  /** Its user's uid. */
  get owner(): number { return this.assignment.owner; }
  /** "" if it has none. */
  get name(): string { return this.assignment.name ?? ""; }
  /** What was submitted. */
  get spec(): Spec { return this.assignment.job; }
  get argv(): string[] { return this.spec.argv ?? []; }
  /** Of the jobs that it came after: id, name, result, verdict, … */
  get inputs(): Parameters[] { return (this.assignment.inputs as Parameters[] | undefined) ?? []; }

  /** In bytes, whichever way it was submitted. */
  get payload(): Uint8Array {
    const { payload, payload_base64 } = this.spec;
    return payload_base64 === undefined ? Buffer.from(payload ?? "") : Buffer.from(payload_base64, "base64");
  }

  /** The payload, which must be JSON. */
  json(): unknown {
    return JSON.parse(new TextDecoder().decode(this.payload));
  }

  /** Aborts when it is to end. Who does not settle within its stop time-out is killed, with the process. */
  get signal(): AbortSignal { return this.ending.signal; }

  /** How far it is, for people; "40%" at its beginning is understood. */
  progress(status: string): void {
    this.tell(this, line(String(status)));
  }

  /** @internal */
  end(reason: string): void {
    this.cancelReason ??= reason;
    this.ending.abort(new Error(this.cancelReason));
  }
}

/** Resolves to the verdict, an object, or to nothing: success. What it throws is the reason that people see. */
export type Work = (task: Task) => Promise<object | void> | object | void;

const NOT_NOW = ["StorageFull", "StorageError", "TooMany"];
const REFUSED = ["InvalidParameter", "InvalidMessage"]; // what was said of the result, and will not be otherwise later
const VERDICT_MAX = 1 << 20; // characters: far more than the daemon takes, and less than it reads

/** A result that was not recorded yet. */
interface Result {
  naming: Parameters;
  /** The call: of the value as it was when it was returned. */
  text: string;
  isError: boolean;
}

function failure(naming: Parameters, error: unknown): Result {
  let why = "error"; // none at all would be success
  try {
    why = line(error instanceof Error ? `${error.name}: ${error.message}` : String(error)) || why;
  } catch {
    // there are objects that have no text
  }
  return { naming, text: message("Complete", { ...naming, error: why }), isError: true };
}

function success(naming: Parameters, value: unknown): Result {
  if (value === undefined || value === null) return { naming, text: message("Complete", { ...naming, exit_status: 0 }), isError: false };
  try {
    if (typeof value !== "object") throw new TypeError(`the handler returned a ${typeof value}; a verdict is an object`);
    const text = message("Complete", { ...naming, verdict: value });
    if (text.length > VERDICT_MAX) throw new RangeError("the verdict is too long");
    return { naming, text, isError: false };
  } catch (error) {
    return failure(naming, error);
  }
}

/** queues: a name, or several, whose files say Executor=worker. */
export class Worker {
  private readonly who: Parameters;
  private readonly path: string;
  private token?: string;
  private readonly tasks = new Map<string, Task>(); // by attempt token: those that run
  private readonly done = new Map<string, Result>(); // those whose Complete was not answered yet
  private known = new Set<string>(); // all these when the session began, which is told of them again: perhaps after it has answered
  private completed = 0; // answers to Complete
  private stopping = false;
  private session?: Session;
  private work!: Work;

  constructor(queues: string | readonly string[], { path = defaultPath(), slots = 1, name, metadata }: WorkerOptions = {}) {
    this.path = path;
    this.who = { queues: typeof queues === "string" ? [queues] : queues, slots, name, metadata };
  }

  /** It is given nothing more, and run() resolves when all that it has is done and recorded. */
  stop(): void {
    this.stopping = true;
    this.session?.look();
  }

  /** Until stop(), the signal's abort, which is the same, or a drain. Rejects with what the daemon says who does not take this worker. */
  async run(work: Work, { signal }: { signal?: AbortSignal } = {}): Promise<void> {
    this.work = work;
    const stop = () => this.stop();
    if (signal?.aborted) stop();
    signal?.addEventListener("abort", stop, { once: true });
    try {
      for (let backoff = new Backoff(); !(await this.connected(() => (backoff = new Backoff()))); ) await sleep(backoff.next());
    } finally {
      signal?.removeEventListener("abort", stop);
    }
  }

  /** Whether it was the last time. */
  private async connected(heard: () => void): Promise<boolean> {
    this.known = new Set([...this.tasks.keys(), ...this.done.keys()]);
    const session = new Session(this.path, this.state, heard);
    this.session = session;
    try {
      await session.ended;
      return true;
    } catch (error) {
      if (error instanceof MethodError) {
        if (error.code !== "NoSuchWorker" || this.token === undefined) throw error;
        this.forgotten();
        return false;
      }
      return this.stopping && this.token === undefined; // nobody has ever heard of it
    } finally {
      this.session = undefined;
      session.close();
    }
  }

  /** The daemon knows this worker no more: what it had is lost. */
  private forgotten(): void {
    for (const task of this.tasks.values()) task.end("lost");
    this.tasks.clear();
    this.done.clear();
    this.token = undefined;
  }

  private start(assignment: Assignment): void {
    const token = assignment.attempt_token;
    if (this.tasks.has(token) || this.done.has(token) || this.known.has(token)) return;
    const task = new Task(assignment, (t, status) => this.session?.ask(undefined, "Progress", { ...this.naming(t), status }));
    this.tasks.set(token, task);
    void this.perform(task);
  }

  private async perform(task: Task): Promise<void> {
    let value: unknown;
    try {
      value = await this.work(task);
    } catch (error) {
      return this.complete(task, failure, error);
    }
    this.complete(task, success, value);
  }

  private naming(task: Task): Parameters {
    return { token: this.token, id: task.id, attempt: task.attempt };
  }

  private complete(task: Task, how: typeof success, value: unknown): void {
    const token = task.assignment.attempt_token;
    if (this.tasks.get(token) !== task) return; // nobody waits for its result any more
    this.tasks.delete(token);
    this.done.set(token, how(this.naming(task), value));
    this.session?.askDone(token);
  }

  /** What sessions see and change. */
  private readonly state: State = {
    register: () => ({ protocol: PROTOCOL, ...(this.token === undefined ? this.who : { token: this.token }) }),
    token: () => this.token,
    done: this.done,
    counts: () => ({ idle: this.tasks.size === 0 && this.done.size === 0, completed: this.completed, stopping: this.stopping }),
    order: (parameters) => {
      this.token = (parameters.token as string | undefined) ?? this.token;
      if (parameters.drain !== undefined) this.stopping = true;
      if (parameters.assign !== undefined) this.start(parameters.assign as Assignment);
      const cancel = parameters.cancel as Cancellation | undefined;
      if (cancel) this.tasks.get(cancel.attempt_token)?.end(cancel.reason);
    },
    recorded: (token) => {
      if (this.done.delete(token)) this.completed++;
    },
  };
}

interface State {
  register(): Parameters;
  token(): string | undefined;
  done: Map<string, Result>;
  counts(): { idle: boolean; completed: number; stopping: boolean };
  order(parameters: Parameters): void;
  recorded(token: string): void;
}

const DRAIN = Symbol("drain");

/** From one registration until a connection breaks (ended rejects), or all is done. The connections go together: then it is clear what was
 * answered. */
class Session {
  readonly ended: Promise<void>;
  private over!: () => void;
  private fail!: (error: Error) => void;
  private readonly orders: Connection;
  private readonly reports: Connection;
  private readonly asked: (string | typeof DRAIN | undefined)[] = []; // what the next answers are to: an attempt's token, undefined: a status
  private next = 0; // of asked
  private drainAskedAt?: number; // how much was completed then
  private drained?: number; // at the answer: how many jobs the daemon still had given it

  constructor(path: string, private readonly state: State, private readonly heard: () => void) {
    this.ended = new Promise((resolve, reject) => {
      this.over = resolve;
      this.fail = reject;
    });
    this.orders = new Connection(path, (reply) => this.order(reply), (error) => this.fail(error));
    this.reports = new Connection(path, (reply) => this.answer(reply), (error) => this.fail(error));
    this.orders.send(message("Register", state.register(), true));
    for (const token of state.done.keys()) this.askDone(token);
  }

  close(): void {
    this.orders.close();
    this.reports.close();
  }

  ask(token: typeof DRAIN | undefined, method: string, parameters: Parameters): void {
    this.asked.push(token);
    this.reports.send(message(method, parameters));
  }

  askDone(token: string): void {
    this.asked.push(token);
    this.reports.send(this.state.done.get(token)!.text);
  }

  /** Asks how it stands if the worker is to stop: at once, and whenever all that it knows of is completed and the daemon had more, which was on its
   * way. */
  look(): void {
    const { idle, completed, stopping } = this.state.counts();
    const token = this.state.token();
    if (!stopping || token === undefined) return;
    if (this.drained === 0 && idle) return this.over();
    if (this.drainAskedAt === undefined || (this.drained && idle && this.drainAskedAt !== completed)) {
      this.drainAskedAt = completed;
      this.drained = undefined;
      this.ask(DRAIN, "Drain", { token });
    }
  }

  private order(reply: Reply): void {
    const error = errorOf(reply);
    if (error) return this.fail(error);
    this.heard();
    this.state.order(reply.parameters!);
    return this.look();
  }

  private nextAsked(): string | typeof DRAIN | undefined {
    const token = this.asked[this.next++];
    if (this.next > 1024) this.asked.splice(0, this.next), (this.next = 0);
    return token;
  }

  /** A result that comes too late, or twice, is one less. */
  private answer(reply: Reply): void {
    const error = errorOf(reply);
    const token = this.nextAsked();
    if (error && (NOT_NOW.includes(error.code) || token === DRAIN)) return this.fail(new Error("a result could not be recorded yet"));
    if (token === DRAIN) {
      this.drained = reply.parameters!.attempts as number;
    } else if (token !== undefined) {
      const how = this.state.done.get(token);
      if (error && REFUSED.includes(error.code) && how && !how.isError) {
        this.state.done.set(token, failure(how.naming, `The verdict was refused: ${error.message}`));
        return this.askDone(token);
      }
      this.state.recorded(token);
    }
    return this.look();
  }
}
