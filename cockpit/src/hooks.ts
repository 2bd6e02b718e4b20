// SPDX-License-Identifier: LGPL-2.1-or-later
// How a view gets what it shows. useData() loads it, and loads it again when the daemon says that something changed: at most once in a
// while, which is longer for what takes long, one load at a time, not while the page is hidden. What was loaded stays until there is
// something newer, or other is asked for.

import { useCallback, useEffect, useRef, useState } from "react";
import { cockpit } from "./cockpit";
import { mill, MillError, type Connection } from "./mill";

export interface Data<T> {
    data: T | undefined;
    error: MillError | undefined;
    reload: () => void;
}

interface Pace {
    /** Milliseconds from one load to the next that a signal may cause. */
    least?: number;
    /** Also every so many milliseconds: for what no signal tells of. */
    every?: number;
}

export function useData<T>(load: () => Promise<T>, keys: unknown[], pace: Pace = {}): Data<T> {
    const { least = 1000, every } = pace;
    const key = JSON.stringify(keys);
    const [held, setHeld] = useState<{ key: string; data?: T; error?: MillError }>({ key });
    const again = useRef<() => void>(() => {});

    useEffect(() => {
        let stopped = false, busy = false, wanted = false, last = 0, took = 0;
        let timer: number | undefined;

        async function run() {
            busy = true;
            wanted = false;
            last = Date.now();
            try {
                const data = await load();
                if (!stopped)
                    setHeld({ key, data });
            } catch (reason) {
                const error = reason instanceof MillError ? reason : new MillError("unknown", String(reason));
                if (!stopped)
                    setHeld(now => ({ key, data: now.key === key ? now.data : undefined, error }));
            }
            took = Date.now() - last;
            busy = false;
            if (wanted && !stopped)
                later();
        }
        function later() {
            wanted = true;
            if (busy || timer !== undefined || document.hidden)
                return;
            timer = window.setTimeout(() => { timer = undefined; void run(); }, Math.max(0, last + Math.max(least, 3 * took) - Date.now()));
        }
        const shown = () => { if (wanted) later(); };

        again.current = () => { window.clearTimeout(timer); timer = undefined; last = took = 0; later(); };
        void run();
        const stop = mill.onChange(later);
        const interval = every ? window.setInterval(later, every) : undefined;
        document.addEventListener("visibilitychange", shown);
        return () => {
            stopped = true;
            stop();
            window.clearTimeout(timer);
            window.clearInterval(interval);
            document.removeEventListener("visibilitychange", shown);
        };
        // load belongs to its keys
    }, [key, least, every]);

    const reload = useCallback(() => again.current(), []);
    return held.key === key ? { data: held.data, error: held.error, reload } : { data: undefined, error: undefined, reload };
}

export interface Place { path: string[]; options: Record<string, string> }

function place(): Place {
    const options = Object.entries(cockpit.location.options).map(([key, value]) => [key, Array.isArray(value) ? value[0] : value]);
    return { path: cockpit.location.path, options: Object.fromEntries(options) as Record<string, string> };
}

/** Where in the page the user is: what stands behind # in the address. */
export function usePlace(): Place {
    const [now, setNow] = useState(place);
    useEffect(() => {
        const changed = () => setNow(place());
        cockpit.addEventListener("locationchanged", changed);
        return () => cockpit.removeEventListener("locationchanged", changed);
    }, []);
    return now;
}

export function go(path: string[], options?: Record<string, string>): void {
    cockpit.location.go(path, options);
}

export function address(path: string[], options?: Record<string, string>): string {
    return "#" + cockpit.location.encode(path, options);
}

export function useConnection(): Connection {
    const [connection, setConnection] = useState(mill.connection);
    useEffect(() => mill.onChange(() => setConnection(mill.connection)), []);
    return connection;
}

/** Whether the page may act as root: null while that is not known. */
export function useAdministrator(): boolean | null {
    const [allowed, setAllowed] = useState<boolean | null>(null);
    useEffect(() => {
        const permission = cockpit.permission({ admin: true });
        const changed = () => setAllowed(permission.allowed);
        permission.addEventListener("changed", changed);
        changed();
    }, []);
    return allowed;
}

/** The time, for what counts seconds. */
export function useNow(milliseconds: number): number {
    const [now, setNow] = useState(Date.now);
    useEffect(() => {
        const timer = window.setInterval(() => setNow(Date.now()), milliseconds);
        return () => window.clearInterval(timer);
    }, [milliseconds]);
    return now;
}
