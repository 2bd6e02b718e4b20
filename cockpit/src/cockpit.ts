// SPDX-License-Identifier: LGPL-2.1-or-later
// What of cockpit.js this page uses, with types. The script itself comes from the Cockpit that shows the page (../base1/cockpit.js).

export interface Variant { t: string; v: unknown }

export interface CockpitError { name?: string; problem?: string | null; message?: string }

export interface DBusClient {
    call(path: string, iface: string, method: string, args: unknown[], options?: { type?: string; timeout?: number }): Promise<unknown[]>;
    subscribe(match: object, callback: (path: string, iface: string, signal: string, args: unknown[]) => void): { remove(): void };
    addEventListener(type: string, listener: (event: Event, detail: any) => void): void;
    close(problem?: string): void;
}

export interface Process extends Promise<string> {
    stream(callback: (text: string) => void): Process;
    close(problem?: string): void;
}

export interface Permission {
    allowed: boolean | null;
    addEventListener(type: "changed", listener: () => void): void;
}

export interface Proxy {
    Current?: string;
    wait(): Promise<void>;
    addEventListener(type: "changed", listener: (event: Event, data: Record<string, unknown>) => void): void;
}

export interface Location {
    path: string[];
    options: Record<string, string | string[]>;
    encode(path: string[], options?: Record<string, string>): string;
    go(path: string[], options?: Record<string, string>): void;
    replace(path: string[], options?: Record<string, string>): void;
}

interface Cockpit {
    dbus(name: string | null, options?: object): DBusClient & { proxy(iface: string, path: string): Proxy };
    spawn(argv: string[], options?: object): Process;
    permission(options: { admin: boolean }): Permission;
    user(): Promise<{ id: number; name: string; groups: string[] }>;
    location: Location;
    addEventListener(type: "locationchanged", listener: () => void): void;
    removeEventListener(type: "locationchanged", listener: () => void): void;
}

declare global {
    interface Window { cockpit: Cockpit }
}

export const cockpit = window.cockpit;
