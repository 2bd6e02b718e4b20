// SPDX-License-Identifier: LGPL-2.1-or-later
/* The client of jobmill, a job queue for machines that run systemd. */

export * from "./client.js";
export * from "./errors.js";
export * from "./types.js";
export * from "./worker.js";
export { defaultPath, userPath } from "./wire.js";
