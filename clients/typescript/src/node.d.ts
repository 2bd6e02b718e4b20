// SPDX-License-Identifier: LGPL-2.1-or-later
/* The few things of Node.js that are used: the package is built without others' types. */

declare module "node:net" {
  export interface Socket {
    on(event: "data", listener: (data: Buffer) => void): this;
    on(event: "connect" | "close" | "end", listener: () => void): this;
    on(event: "error", listener: (error: Error) => void): this;
    write(data: string): boolean;
    cork(): void;
    uncork(): void;
    pause(): this;
    resume(): this;
    destroy(error?: Error): this;
    ref(): this;
    unref(): this;
  }
  export function createConnection(path: string): Socket;
}

declare module "node:crypto" {
  export function randomBytes(size: number): Buffer;
}

interface Buffer extends Uint8Array {
  toString(encoding?: string, start?: number, end?: number): string;
  subarray(start?: number, end?: number): Buffer;
}
declare const Buffer: {
  from(data: string | Uint8Array, encoding?: string): Buffer;
  concat(list: Uint8Array[]): Buffer;
};
declare const process: {
  env: Record<string, string | undefined>;
  argv: string[];
  stdin: AsyncIterable<Buffer> & { setEncoding(encoding: string): void };
  stdout: { write(text: string): boolean };
  exit(code?: number): never;
};
