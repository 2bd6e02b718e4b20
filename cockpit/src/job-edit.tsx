// SPDX-License-Identifier: LGPL-2.1-or-later
// Changes a job: all that UpdateJob takes in its state and people change by hand. Only what was changed is sent.

import { useState } from "react";
import { Dialog } from "./dialog";
import { Field } from "./field";
import { joinWords, parseSpan, parseTags, span, splitWords } from "./format";
import { useMessages } from "./messages";
import { mill, variants, type Dictionary } from "./mill";
import type { Job } from "./types";

type Texts = Record<string, string>;

function texts(job: Job): Texts {
    return {
        name: job.name ?? "", queue: job.queue, argv: job.argv && !job.type ? joinWords(job.argv) : "", priority: String(job.priority ?? 0), slots: String(job.slots ?? 1),
        timeout_usec: job.timeout_usec ? span(job.timeout_usec) : "", max_attempts: String(job.max_attempts ?? 1),
        tags: Object.entries(job.tags ?? {}).map(([key, value]) => joinWords([`${key}=${value}`])).join(" "), delay_usec: "",
    };
}

function integer(text: string): number {
    if (!/^-?\d+$/.test(text.trim()))
        throw new Error(`"${text}" is no number`);
    return Number(text);
}

function duration(text: string): number {
    const usec = parseSpan(text);
    if (Number.isNaN(usec))
        throw new Error(`"${text}" is no span of time; 1h 30min is one`);
    return usec;
}

/** None: as the daemon takes it from those whose numbers are too small for the one that means it. */
function timeout(text: string): number | "infinity" {
    return text.trim() === "" ? "infinity" : duration(text);
}

/** Tags are set one by one: those that are gone are sent empty. */
function tags(before: Record<string, string>, text: string): Record<string, string> {
    const gone = Object.fromEntries(Object.keys(before).map(key => [key, ""]));
    return { ...gone, ...parseTags(text) };
}

function changes(job: Job, before: Texts, now: Texts): Dictionary {
    const read: Record<string, (text: string) => unknown> = {
        argv: splitWords, priority: integer, slots: integer, max_attempts: integer, delay_usec: duration,
        timeout_usec: timeout, tags: text => tags(job.tags ?? {}, text),
    };
    const changed = Object.keys(now).filter(key => now[key] !== before[key]);
    return Object.fromEntries(changed.map(key => [key, read[key] ? read[key](now[key]) : now[key]]));
}

export function EditJob({ job, close, done }: { job: Job; close: () => void; done: () => void }) {
    const { say } = useMessages();
    const [before] = useState(() => texts(job));
    const [now, setNow] = useState(before);
    const early = ["held", "waiting", "ready"].includes(job.state);
    const live = ["starting", "running"].includes(job.state);
    const field = (key: string) => ({ value: now[key], change: (value: string) => setNow({ ...now, [key]: value }) });
    return (
        <Dialog title={`Edit job ${job.id}`} button="Save" close={close} act={async () => {
            const wanted = changes(job, before, now);
            if (Object.keys(wanted).length === 0)
                return;
            const { queue, ...rest } = wanted;
            const given = variants(rest);
            if (queue !== undefined)
                given.queue = { t: "s", v: queue };
            await mill.call("UpdateJob", "ta{sv}", job.id, given);
            say(`Job ${job.id} is changed`);
            done();
        }}>
            {early && <>
                <Field label="Name" {...field("name")} />
                <Field label="Queue" {...field("queue")} />
                {!job.type && <Field label="Command" {...field("argv")} />}
                <Field label="Priority" type="number" {...field("priority")} help="−1000 to 1000, higher starts first." />
                <Field label="Slots" type="number" {...field("slots")} />
                <Field label="Start not before" {...field("delay_usec")} help="In so much time, as 10min. Empty: as it is." />
            </>}
            {(early || live) && <>
                <Field label="Time-out" {...field("timeout_usec")} help="As 1h 30min." />
                <Field label="Attempts" type="number" {...field("max_attempts")} />
            </>}
            <Field label="Tags" {...field("tags")} help="KEY=VALUE, with blanks between." />
        </Dialog>
    );
}
