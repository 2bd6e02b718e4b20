// SPDX-License-Identifier: LGPL-2.1-or-later
/* Messages and connections: what calls, events and workers have in common. */

import { randomBytes } from "node:crypto";
import * as net from "node:net";
import { MethodError } from "./errors.js";

export const PROTOCOL = 1;
export const PAGE = 1000; // jobs that List is asked for at once

/** What may be sent again when its answer did not come: it changes nothing, or the same thing once (request_id). */
export const REPEATABLE = new Set(
  ("Submit SubmitMany SubmitFlow Get List Wait Cancel Hold Release ListTypes Statistics ListSchedules GetSchedule ListFirings " +
    "ListWorkers Metrics Report").split(" "),
);

export type Parameters = Record<string, unknown>;

export interface Reply {
  error?: string;
  parameters?: Parameters;
}

/** Where the daemon listens: $JOBMILL_RUNTIME_PATH, or /run/jobmill. */
export const defaultPath = (): string => `${process.env.JOBMILL_RUNTIME_PATH ?? "/run/jobmill"}/org.jobmill`;

/** Where "jobmilld --user" does. */
export const userPath = (): string => `${process.env.XDG_RUNTIME_DIR}/jobmill/org.jobmill`;

export function message(method: string, parameters: object, more = false): string {
  const call = { method: method.includes(".") ? method : `org.jobmill.${method}`, parameters, ...(more ? { more } : {}) };
  return JSON.stringify(call) + "\0";
}

export function errorOf(reply: Reply): MethodError | undefined {
  return reply.error === undefined ? undefined : new MethodError(reply.error.slice(reply.error.lastIndexOf(".") + 1), reply.parameters ?? {});
}

/** What the daemon takes as an error or a status: a line of UTF-8, of so many bytes. */
const TEXT_MAX = 1024;

export function line(text: string): string {
  const bytes = new TextEncoder().encode(text.replace(/[\x00-\x1f\x7f]/g, " "));
  let n = Math.min(bytes.length, TEXT_MAX);
  while (n < bytes.length && (bytes[n]! & 0xc0) === 0x80) n--; // not inside of a character
  return new TextDecoder().decode(bytes.subarray(0, n));
}

/** 128 random bits. */
export const newRequestId = (): string => randomBytes(16).toString("hex");

/** Bytes that come, messages that go. Parts are kept as they are: a long message is not copied each time some of it comes. */
class Frames {
  private parts: Buffer[] = [];

  *feed(data: Buffer): Generator<Reply> {
    let begin = 0;
    for (let end; (end = data.indexOf(0, begin)) >= 0; begin = end + 1) {
      this.parts.push(data.subarray(begin, end));
      const text = (this.parts.length === 1 ? this.parts[0]! : Buffer.concat(this.parts)).toString();
      this.parts = [];
      yield JSON.parse(text) as Reply;
    }
    if (begin < data.length) this.parts.push(data.subarray(begin));
  }
}

/** onReply is called for each message, onEnd once, when there will be no more. What is sent in one turn goes out together. */
export class Connection {
  private readonly socket: net.Socket;
  private readonly frames = new Frames();
  private corked = false;
  private over = false;

  constructor(path: string, private onReply: (reply: Reply) => void, private onEnd: (error: Error) => void) {
    this.socket = net.createConnection(path);
    this.socket.on("data", (data) => this.read(data));
    this.socket.on("error", (error) => this.end(error));
    this.socket.on("close", () => this.end(new Error("the daemon has closed the connection")));
  }

  /** Others take over: a connection that was kept has a new user. */
  serve(onReply: (reply: Reply) => void, onEnd: (error: Error) => void): void {
    this.onReply = onReply;
    this.onEnd = onEnd;
  }

  send(text: string): void {
    if (!this.corked) {
      this.corked = true;
      this.socket.cork();
      queueMicrotask(() => {
        this.corked = false;
        this.socket.uncork();
      });
    }
    this.socket.write(text);
  }

  close(): void {
    this.over = true;
    this.socket.destroy();
  }

  /** Nothing more is read until resume(). */
  pause(): void {
    this.socket.pause();
  }

  resume(): void {
    this.socket.resume();
  }

  /** Whether the process is to go on for it. */
  keepsProcess(yes: boolean): void {
    yes ? this.socket.ref() : this.socket.unref();
  }

  private read(data: Buffer): void {
    try {
      for (const reply of this.frames.feed(data)) {
        if (this.over) return;
        this.onReply(reply);
      }
    } catch (error) {
      this.end(error as Error);
    }
  }

  private end(error: Error): void {
    this.socket.destroy();
    if (!this.over) {
      this.over = true;
      this.onEnd(error);
    }
  }
}

/** Longer each time, up to a second. */
export class Backoff {
  private milliseconds = 50;

  next(): number {
    const now = this.milliseconds;
    this.milliseconds = Math.min(now * 2, 1000);
    return now;
  }
}

const TIMER_MAX = 2 ** 31 - 1; // what setTimeout() takes

/** Calls then after so many milliseconds, not at all after Infinity; returns what keeps it from that. */
export function later(milliseconds: number, then: () => void): () => void {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const arm = (left: number): void => {
    timer = setTimeout(() => (left > TIMER_MAX ? arm(left - TIMER_MAX) : then()), Math.min(left, TIMER_MAX));
  };
  if (milliseconds < Infinity) arm(milliseconds);
  return () => clearTimeout(timer);
}

/** Rejects when the signal aborts. */
export function sleep(milliseconds: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const abort = () => {
      clearTimeout(timer);
      reject(signal!.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", abort);
      resolve();
    }, milliseconds);
    if (signal?.aborted) abort();
    else signal?.addEventListener("abort", abort, { once: true });
  });
}
