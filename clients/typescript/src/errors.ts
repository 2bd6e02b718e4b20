// SPDX-License-Identifier: LGPL-2.1-or-later
/* What can be thrown; who aborts gets the signal's reason instead. */

import type { ErrorName } from "./types.js";

/** All of them. */
export class JobmillError extends Error {}

/** The daemon's answer. */
export class MethodError extends JobmillError {
  /** As on the wire, without the interface. */
  readonly code: ErrorName;
  /** With message, what is wrong, for people. */
  readonly parameters: Record<string, unknown>;

  constructor(code: string, parameters: Record<string, unknown>) {
    super(typeof parameters.message === "string" ? parameters.message : JSON.stringify(parameters));
    this.name = "MethodError";
    this.code = code as ErrorName;
    this.parameters = parameters;
  }
}

/** There was no answer within the timeout. What was asked for may have been done, or yet be. */
export class DeadlineExceeded extends JobmillError {
  constructor(milliseconds: number) {
    super(`no answer within ${milliseconds} ms`);
    this.name = "DeadlineExceeded";
  }
}

/** The connection broke while a call was under way that may not be made twice: whether it was heard is not known. */
export class Disconnected extends JobmillError {
  constructor(method: string, why: unknown) {
    super(`${method}: ${why instanceof Error ? why.message : why}`);
    this.name = "Disconnected";
  }
}
