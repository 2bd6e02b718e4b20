// SPDX-License-Identifier: LGPL-2.1-or-later
// Numbers of the API as people read them, and back: microseconds, bytes, words of a command.

export function time(usec: number | undefined): string {
    if (usec === undefined)
        return "–";
    return new Date(usec / 1000).toLocaleString(undefined, { dateStyle: "short", timeStyle: "medium" });
}

export function clock(usec: number): string {
    return new Date(usec / 1000).toLocaleTimeString(undefined, { hour: "2-digit", minute: "2-digit" });
}

export function span(usec: number | undefined): string {
    if (usec === undefined)
        return "–";
    const seconds = usec / 1e6;
    if (seconds < 1)
        return `${Math.round(usec / 1000)} ms`;
    if (seconds < 60)
        return `${seconds < 10 ? seconds.toFixed(1) : Math.floor(seconds)} s`;
    const units: [string, number][] = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]];
    const words: string[] = [];
    let rest = Math.floor(seconds);
    for (const [unit, size] of units) {
        if (rest >= size && words.length < 2)
            words.push(`${Math.floor(rest / size)} ${unit}`);
        rest %= size;
    }
    return words.join(" ");
}

export function jobs(count: number): string {
    return `${count} ${count === 1 ? "job" : "jobs"}`;
}

export function bytes(count: number | undefined): string {
    if (count === undefined)
        return "–";
    const units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let value = count, unit = 0;
    while (value >= 1024 && unit < units.length - 1) {
        value /= 1024;
        unit++;
    }
    return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`;
}

const SPANS: Record<string, number> = { "": 1, s: 1, sec: 1, m: 60, min: 60, h: 3600, d: 86400, w: 604800, ms: 0.001 };

/** "1h 30min" in microseconds; NaN for what is no span. */
export function parseSpan(text: string): number {
    let sum = 0;
    const rest = text.trim().replace(/(\d+(?:\.\d+)?)\s*([a-z]*)\s*/g, (whole, number: string, unit: string) => {
        if (!(unit in SPANS))
            return whole;
        sum += Number(number) * SPANS[unit] * 1e6;
        return "";
    });
    return rest === "" && text.trim() !== "" ? Math.round(sum) : NaN;
}

/** The words of a command line: blanks part them, quotes and backslashes keep them together. Nothing is replaced in them. */
export function splitWords(text: string): string[] {
    const words: string[] = [];
    let word: string | undefined, quote = "";
    for (let i = 0; i < text.length; i++) {
        const c = text[i];
        if (c === "\\" && quote !== "'" && i + 1 < text.length)
            word = (word ?? "") + text[++i];
        else if (quote)
            c === quote ? quote = "" : word += c;
        else if (c === '"' || c === "'") {
            quote = c;
            word ??= "";
        } else if (/\s/.test(c)) {
            if (word !== undefined)
                words.push(word);
            word = undefined;
        } else
            word = (word ?? "") + c;
    }
    if (quote)
        throw new Error(`a ${quote} is not closed`);
    return word === undefined ? words : [...words, word];
}

export function joinWords(words: string[]): string {
    return words.map(word => /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replace(/'/g, `'\\''`)}'`).join(" ");
}

/** Text as base64 of its UTF-8, as cockpit.js wants an array of bytes. */
export function base64(text: string): string {
    return btoa(Array.from(new TextEncoder().encode(text), byte => String.fromCharCode(byte)).join(""));
}

/** "17, 18:end" in pairs of id and condition. */
export function parseAfter(text: string): [number, string][] {
    return text.split(/[\s,]+/).filter(Boolean).map(word => {
        const [id, ...on] = word.split(":");
        if (!/^\d+$/.test(id))
            throw new Error(`"${word}" is no job`);
        return [Number(id), on.join(":") || "success"];
    });
}

/** "K=V" words in an object. */
export function parseTags(text: string): Record<string, string> {
    return Object.fromEntries(splitWords(text).map(word => {
        const at = word.indexOf("=");
        if (at < 1)
            throw new Error(`"${word}" is not KEY=VALUE`);
        return [word.slice(0, at), word.slice(at + 1)];
    }));
}
