// SPDX-License-Identifier: LGPL-2.1-or-later
// The daemon, over D-Bus. One connection for the page: with administrative access it is root's, else the user's, and polkit and the daemon
// decide what may be done. Dictionaries become plain objects, arguments become variants by the types of the spec. Signals are passed on as
// "something changed", so many a second at most; a new daemon counts as a change, after the page has subscribed with it.

import { cockpit, type CockpitError, type DBusClient, type Variant } from "./cockpit";

const NAME = "org.jobmill1";
const PATH = "/org/jobmill1";
const MANAGER = "org.jobmill1.Manager";
const QUIET = 1000;

/** Types of the keys that the page sends, as Submit and the filters have them. */
const TYPES: Record<string, string> = {
    ids: "at", queue: "s", state: "as", result: "as", owner: "u", name: "s", type: "s", dead: "b", array: "t", flow: "t", since_usec: "t", until_usec: "t",
    order: "s", fields: "as", collapse: "b", argv: "as", cwd: "s", payload: "ay", tags: "a{ss}", priority: "i", slots: "u", hold: "b",
    not_before_usec: "t", delay_usec: "t", timeout_usec: "t", properties: "as", stdout: "s", verify: "s", after: "a(ts)", max_attempts: "u",
    backoff: "s", backoff_base_usec: "t", unique_key: "s", request_id: "s", Slots: "s", OnCalendar: "as", OnUnitActiveSec: "s", Job: "a{sv}",
    environment: "as", output_file: "s", Paused: "s",
};

export type Dictionary = Record<string, unknown>;

export class MillError extends Error {
    /** name: the last word of the D-Bus error's name, or Cockpit's problem code. */
    constructor(readonly name: string, message: string) { super(message); }

    get denied(): boolean {
        return ["AccessDenied", "InteractiveAuthorizationRequired", "NotAllowed", "access-denied"].includes(this.name);
    }

    get away(): boolean {
        return ["disconnected", "not-found", "terminated", "ServiceUnknown", "NoReply", "NameHasNoOwner", "Disconnected", "Spawn.ServiceNotFound",
            "no-session"].includes(this.name);
    }
}

function toError(reason: unknown): MillError {
    if (reason instanceof MillError)
        return reason;
    const error = reason as CockpitError;
    const full = error.name ?? "";
    // Cockpit rejects a call with name "DBusError"-like objects whose name is that of D-Bus, or with a problem code.
    const name = full.includes(".") ? full.slice(full.lastIndexOf(".") + 1) : error.problem ?? full;
    return new MillError(name || "unknown", error.message ?? String(reason));
}

/** {key: value} as a{sv}; what is undefined is left out. */
export function variants(dictionary: Dictionary): Record<string, Variant> {
    const made: Record<string, Variant> = {};
    for (const [key, value] of Object.entries(dictionary)) {
        if (value === undefined)
            continue;
        const type = TYPES[key];
        if (!type)
            throw new Error(`no type is known for ${key}`);
        made[key] = { t: value === "infinity" && type === "t" ? "s" : type, v: type === "a{sv}" ? variants(value as Dictionary) : value };
    }
    return made;
}

function plain<T>(dictionary: unknown): T {
    return Object.fromEntries(Object.entries(dictionary as Record<string, Variant>).map(([key, variant]) => [key, variant.v])) as T;
}

export type Connection = "connecting" | "connected" | "away";

class Mill {
    private readonly client: DBusClient;
    private readonly listeners = new Set<() => void>();
    private match: { remove(): void } | undefined;
    connection: Connection = "connecting";

    constructor() {
        this.client = cockpit.dbus(NAME, { bus: "system", superuser: "try" });
        this.client.addEventListener("owner", (_event, owner: string | null) => owner ? void this.listen() : this.become("away"));
        this.client.addEventListener("close", () => this.become("away"));
        // The first call starts the daemon where the bus can.
        void this.listen();
    }

    private async listen(): Promise<void> {
        this.match?.remove();
        this.match = this.client.subscribe({ interface: MANAGER }, () => this.heard());
        try {
            await this.client.call(PATH, MANAGER, "Subscribe", []);
            this.become("connected");
        } catch {
            this.become("away");
        }
    }

    /** One signal says as much as ten thousand: so none is listened to for a while, after which whatever was missed is looked for. */
    private heard(): void {
        if (!this.match)
            return;
        this.match.remove();
        this.match = undefined;
        void this.client.call(PATH, MANAGER, "Unsubscribe", []).catch(() => {});
        window.setTimeout(() => void this.listen(), QUIET);
        this.tell();
    }

    private become(connection: Connection): void {
        this.connection = connection;
        this.tell();
    }

    private tell(): void {
        for (const listener of [...this.listeners])
            listener();
    }

    /** Calls back when something may be different: a job, a queue, the connection. Returns how to stop that. */
    onChange(listener: () => void): () => void {
        this.listeners.add(listener);
        return () => this.listeners.delete(listener);
    }

    reconnect(): void {
        void this.listen();
    }

    /** type: the signature of the arguments. */
    async call<T = unknown>(method: string, type = "", ...args: unknown[]): Promise<T> {
        try {
            const answer = await this.client.call(PATH, MANAGER, method, args, { type });
            return answer as T;
        } catch (reason) {
            throw toError(reason);
        }
    }

    async properties<T>(path: string, iface: string): Promise<T> {
        try {
            const [all] = await this.client.call(path, "org.freedesktop.DBus.Properties", "GetAll", [iface], { type: "s" });
            return plain<T>(all);
        } catch (reason) {
            throw toError(reason);
        }
    }

    async list<T>(method: string, type = "", ...args: unknown[]): Promise<T[]> {
        const [rows] = await this.call<[unknown[]]>(method, type, ...args);
        return rows.map(row => plain<T>(row));
    }

    async get<T>(method: string, type = "", ...args: unknown[]): Promise<T> {
        const [dictionary] = await this.call<[unknown]>(method, type, ...args);
        return plain<T>(dictionary);
    }

    /** One page: the jobs and the cursor of the next one, "" when this was the last. */
    async jobs<T>(filter: Dictionary, cursor: string, limit: number): Promise<{ jobs: T[]; next: string }> {
        const [rows, next] = await this.call<[unknown[], string]>("ListJobs", "a{sv}su", variants(filter), cursor, limit);
        return { jobs: rows.map(row => plain<T>(row)), next };
    }
}

export const mill = new Mill();

/** An id of one request: sent again with the same one it is not done twice. */
export function requestId(): string {
    return [...crypto.getRandomValues(new Uint8Array(16))].map(byte => byte.toString(16).padStart(2, "0")).join("");
}
