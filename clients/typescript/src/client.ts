// SPDX-License-Identifier: LGPL-2.1-or-later
/* Client: calls that are made until they are answered. Each call under way has a connection of its own; those that are not needed are kept. */

import { DeadlineExceeded, Disconnected, MethodError } from "./errors.js";
import type {
  Attempt, DaemonStatistics, Event, Filter, Job, JobType, ReportRow, Schedule, Spec, WorkerInfo,
} from "./types.js";
import { Backoff, Connection, defaultPath, errorOf, later, message, newRequestId, PAGE, Parameters, Reply, REPEATABLE, sleep } from "./wire.js";

/** Of a Client. */
export interface ClientOptions {
  /** Of the daemon's socket; userPath() for one's own instance. */
  path?: string;
  /** Milliseconds for each call that is not given another, with all that it takes to connect again (60,000); Infinity: for ever. */
  timeout?: number;
}

/** Of one call. */
export interface CallOptions {
  /** Milliseconds; Infinity: for ever. */
  timeout?: number;
  /** Gives the call up; it is rejected with the signal's reason. */
  signal?: AbortSignal;
}

/** A Spec whose payload and credentials may be bytes. */
export type Submission = Omit<Spec, "payload" | "credentials"> & {
  payload?: string | Uint8Array;
  credentials?: Record<string, string | Uint8Array>;
};

/** What was submitted as one. */
export interface Flow {
  /** Its id. */
  flow: number;
  /** Ids by name. */
  jobs: Record<string, number>;
}

/** How a job has ended. */
export interface Outcome {
  state: string;
  result: string;
  /** The last attempt. */
  outcome: Attempt;
}

const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString("base64");

function onWire(spec: Submission): Parameters {
  const { payload, credentials, ...wire } = spec as Parameters & Submission;
  if (payload instanceof Uint8Array) wire.payload_base64 = base64(payload);
  else if (payload !== undefined) wire.payload = payload;
  for (const [name, secret] of Object.entries(credentials ?? {})) {
    const key = secret instanceof Uint8Array ? "credentials_base64" : "credentials";
    wire[key] = { ...(wire[key] as object | undefined), [name]: secret instanceof Uint8Array ? base64(secret) : secret };
  }
  return wire;
}

const MADE: Record<string, string> = { Submit: "job", SubmitMany: "jobs", SubmitFlow: "flow" };

/** What makes jobs has a request_id, so that it makes the same ones when it is sent again. It stands in the first of several. */
function requested(method: string, parameters: object): object {
  const key = MADE[method] ?? "";
  const made = (parameters as Parameters)[key];
  const first = (Array.isArray(made) ? made[0] : made) as Parameters | undefined;
  if (typeof first !== "object" || first === null) return parameters;
  const named = { ...first, request_id: first.request_id ?? newRequestId() };
  return { ...parameters, [key]: Array.isArray(made) ? [named, ...made.slice(1)] : named };
}

/** All calls may be made at any time, beside each other. */
export class Client {
  readonly path: string;
  readonly timeout: number;
  private idle: Connection[] = [];
  private closed = false;

  constructor({ path = defaultPath(), timeout = 60_000 }: ClientOptions = {}) {
    this.path = path;
    this.timeout = timeout;
  }

  /** Closes the connections that are kept; what is under way goes on, and is not made again. */
  close(): void {
    this.closed = true;
    for (const connection of this.idle.splice(0)) connection.close();
  }

  /** Any method. One that changes nothing by being made twice is made until it is answered; any other is rejected with Disconnected where the
   * connection breaks. Resolves to the reply's parameters. */
  async call(method: string, parameters: object = {}, options: CallOptions = {}): Promise<Parameters> {
    const timeout = options.timeout ?? this.timeout;
    const giveUp = new AbortController();
    const inTime = later(timeout, () => giveUp.abort(new DeadlineExceeded(timeout)));
    const abort = () => giveUp.abort(options.signal!.reason);
    if (options.signal?.aborted) abort();
    else options.signal?.addEventListener("abort", abort, { once: true });
    try {
      const reply = await this.answered(method, message(method, requested(method, parameters)), giveUp.signal);
      const error = errorOf(reply);
      if (error) throw error;
      return reply.parameters ?? {};
    } finally {
      inTime();
      options.signal?.removeEventListener("abort", abort);
    }
  }

  private async answered(method: string, text: string, signal: AbortSignal): Promise<Reply> {
    const repeatable = REPEATABLE.has(method);
    for (const backoff = new Backoff(); ; await sleep(backoff.next(), signal)) {
      try {
        return await this.attempt(text, signal, !repeatable);
      } catch (error) {
        if (signal.aborted) throw signal.reason;
        const unheard = (error as { syscall?: string }).syscall === "connect";
        if (this.closed || (!repeatable && !unheard)) throw new Disconnected(method, error);
      }
    }
  }

  /** fresh: a connection that was kept may turn out to be closed only after something was sent. */
  private attempt(text: string, signal: AbortSignal, fresh: boolean): Promise<Reply> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) return reject(signal.reason);
      const abort = () => {
        connection.close(); // an answer that nobody waits for must not be the next one's
        reject(signal.reason);
      };
      const onReply = (reply: Reply) => {
        signal.removeEventListener("abort", abort);
        this.keep(connection);
        resolve(reply);
      };
      const onEnd = (error: Error) => {
        signal.removeEventListener("abort", abort);
        reject(error);
      };
      const kept = fresh ? undefined : this.idle.pop();
      const connection = kept ?? new Connection(this.path, onReply, onEnd);
      connection.serve(onReply, onEnd);
      connection.keepsProcess(true);
      signal.addEventListener("abort", abort, { once: true });
      connection.send(text);
      return undefined;
    });
  }

  private keep(connection: Connection): void {
    if (this.closed) return connection.close();
    const forget = () => void (this.idle = this.idle.filter((c) => c !== connection));
    const unasked = () => {
      forget();
      connection.close();
    };
    connection.serve(unasked, forget);
    connection.keepsProcess(false);
    this.idle.push(connection);
  }

  /** The job's id, once it is stored: exactly one job, whatever happens to the connection. */
  async submit(spec: Submission, options?: CallOptions): Promise<number> {
    return (await this.call("Submit", { job: onWire(spec) }, options)).id as number;
  }

  /** All or none of them. */
  async submitMany(specs: readonly Submission[], options?: CallOptions): Promise<number[]> {
    return (await this.call("SubmitMany", { jobs: specs.map(onWire) }, options)).ids as number[];
  }

  /** Jobs that wait for one another: the document of "jobmill submit --flow". */
  async submitFlow(document: Parameters, options?: CallOptions): Promise<Flow> {
    return (await this.call("SubmitFlow", { flow: document }, options)) as unknown as Flow;
  }

  /** A job as it is. */
  async get(id: number, options?: CallOptions): Promise<Job> {
    return (await this.call("Get", { id }, options)).job as Job;
  }

  /** Each job that matches, a page at a time. */
  async *list(filter?: Filter, options?: CallOptions): AsyncGenerator<Job, void, undefined> {
    let cursor: unknown;
    do {
      const page: Parameters = await this.call("List", { filter, cursor, limit: PAGE }, options);
      yield* page.jobs as Job[];
      cursor = page.next;
    } while (cursor);
  }

  /** Until the job has ended, over restarts of the daemon, too. Without a timeout it takes as long as that takes. */
  async wait(id: number, options: CallOptions = {}): Promise<Outcome> {
    return (await this.call("Wait", { id }, { ...options, timeout: options.timeout ?? Infinity })) as unknown as Outcome;
  }

  /** Ends it; JobFinished if it has ended already. */
  async cancel(id: number, options?: CallOptions): Promise<void> {
    await this.call("Cancel", { id }, options);
  }

  /** Not to be started until release(). */
  async hold(id: number, options?: CallOptions): Promise<void> {
    await this.call("Hold", { id }, options);
  }

  /** Undoes hold(). */
  async release(id: number, options?: CallOptions): Promise<void> {
    await this.call("Release", { id }, options);
  }

  /** So many attempts more (1), after so many milliseconds. Not made twice by itself: Disconnected. */
  async retry(id: number, { maxAttempts, delay, ...options }: CallOptions & { maxAttempts?: number; delay?: number } = {}): Promise<void> {
    await this.call("Retry", { id, max_attempts: maxAttempts, delay_usec: delay === undefined ? undefined : Math.round(delay * 1000) }, options);
  }

  /** What becomes of jobs, as it comes, behind the number after (else from now on). Goes on over restarts of the daemon, and misses nothing: else
   * it throws EventsLost, whose parameters.last is the number to go on after. Connected when it resolves. */
  async events(after?: number, { signal, timeout = this.timeout }: CallOptions = {}): Promise<Events> {
    const events = new Events(this.path, after, signal);
    let inTime = () => {};
    const tooLate = new Promise<never>((_, reject) => {
      inTime = later(timeout, () => reject(new DeadlineExceeded(timeout)));
    });
    try {
      await Promise.race([events.connected, tooLate]);
      return events;
    } catch (error) {
      events.close();
      throw error;
    } finally {
      inTime();
    }
  }

  /** Job types. */
  async types(options?: CallOptions): Promise<JobType[]> {
    return (await this.call("ListTypes", {}, options)).types as JobType[];
  }

  /** Those who submit by the clock. */
  async schedules(options?: CallOptions): Promise<Schedule[]> {
    return (await this.call("ListSchedules", {}, options)).schedules as Schedule[];
  }

  /** The workers that there are. */
  async workers(options?: CallOptions): Promise<WorkerInfo[]> {
    return (await this.call("ListWorkers", {}, options)).workers as WorkerInfo[];
  }

  /** How many jobs are in which state, and of the daemon. */
  async statistics(options?: CallOptions): Promise<DaemonStatistics> {
    return (await this.call("Statistics", {}, options)).statistics as DaemonStatistics;
  }

  /** Sums, by queue, type, owner, day, hour, minute (with commas between). */
  async report(filter?: Filter, groupBy?: string, options?: CallOptions): Promise<ReportRow[]> {
    return (await this.call("Report", { filter, group_by: groupBy }, options)).rows as ReportRow[];
  }
}

const COME_MAX = 4096; // events that nobody has asked for: more of them wait in the daemon

/** An asynchronous iterator that does not end, until close(). */
export class Events implements AsyncIterableIterator<Event> {
  /** The number to go on after. */
  last?: number;
  /** @internal */
  readonly connected: Promise<void>;
  private connection?: Connection;
  private come: Event[] = [];
  private error?: unknown;
  private over = false;
  private backoff = new Backoff();
  private paused = false;
  private waiting: (() => void)[] = [];
  private isConnected: () => void = () => {};

  /** @internal */
  constructor(private readonly path: string, after: number | undefined, private readonly signal?: AbortSignal) {
    this.last = after;
    this.connected = new Promise((resolve, reject) => {
      this.isConnected = () => (this.error === undefined ? resolve() : reject(this.error));
    });
    signal?.addEventListener("abort", this.abort, { once: true });
    if (signal?.aborted) this.abort();
    else this.connect();
  }

  /** For "for await". */
  [Symbol.asyncIterator](): this {
    return this;
  }

  /** The next event. */
  async next(): Promise<IteratorResult<Event, undefined>> {
    for (;;) {
      const event = this.come.shift();
      if (event) {
        this.last = event.number;
        return { value: event, done: false };
      }
      if (this.error !== undefined) throw this.error;
      if (this.over) return { value: undefined, done: true };
      if (this.paused) {
        this.paused = false;
        this.connection?.resume();
      }
      await new Promise<void>((resolve) => this.waiting.push(resolve));
    }
  }

  private wake(): void {
    for (const resolve of this.waiting.splice(0)) resolve();
  }

  /** What a loop that is left calls. */
  async return(): Promise<IteratorResult<Event, undefined>> {
    this.close();
    return { value: undefined, done: true };
  }

  /** Ends it, and the loop that waits for the next event. */
  close(): void {
    this.over = true;
    this.signal?.removeEventListener("abort", this.abort);
    this.connection?.close();
    this.wake();
  }

  private readonly abort = (): void => this.fail(this.signal!.reason);

  private fail(error: unknown): void {
    this.error = error;
    this.isConnected();
    this.close();
  }

  private connect(): void {
    if (this.over) return;
    const after = this.come.length > 0 ? this.come[this.come.length - 1]!.number : this.last;
    this.paused = false;
    this.connection = new Connection(
      this.path,
      (reply) => this.take(reply),
      () => void setTimeout(() => this.connect(), this.backoff.next()),
    );
    this.connection.send(message("Events", { after }, true));
  }

  private take(reply: Reply): void {
    const error: MethodError | undefined = errorOf(reply);
    if (error) return this.fail(error);
    this.backoff = new Backoff();
    this.come.push(...(reply.parameters!.events as Event[]));
    if (this.come.length === 0) this.last = reply.parameters!.last as number;
    if (this.come.length > COME_MAX && !this.paused) {
      this.paused = true;
      this.connection?.pause();
    }
    this.isConnected();
    this.wake();
    return undefined;
  }
}
