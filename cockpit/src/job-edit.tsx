// SPDX-License-Identifier: LGPL-2.1-or-later
// Changes a job, or many: all that UpdateJob takes in their states and people change by hand. Only what was changed is sent.

import { useState } from "react";
import { Dialog } from "./dialog";
import { Field } from "./field";
import { jobs, joinWords, parseSpan, parseTags, span, splitWords } from "./format";
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

/** None is a word to the daemon, for those whose numbers are too small for the one that means it. */
function timeout(text: string): number | "infinity" {
    return ["", "infinity"].includes(text.trim()) ? "infinity" : duration(text);
}

/** Tags are set one by one: those that are gone are sent empty. */
function tags(before: Record<string, string>, text: string): Record<string, string> {
    const gone = Object.fromEntries(Object.keys(before).map(key => [key, ""]));
    return { ...gone, ...parseTags(text) };
}

/** set: the tags that there are. */
function changes(before: Texts, now: Texts, set: Record<string, string>): Dictionary {
    const read: Record<string, (text: string) => unknown> = {
        argv: splitWords, priority: integer, slots: integer, max_attempts: integer, delay_usec: duration, timeout_usec: timeout, tags: text => tags(set, text),
    };
    const changed = Object.keys(now).filter(key => now[key] !== before[key]);
    return Object.fromEntries(changed.map(key => [key, read[key] ? read[key](now[key]) : now[key]]));
}

type Bind = (key: string) => { value: string; change: (value: string) => void };

/** A form's texts: as they were, as they are, and what ties a field to its own. */
function useTexts(first: () => Texts): [Texts, Texts, Bind] {
    const [before] = useState(first);
    const [now, setNow] = useState(before);
    return [before, now, key => ({ value: now[key], change: value => setNow({ ...now, [key]: value }) })];
}

/** What is the same of one job and of many; empty is what it means that nothing is there. */
function EarlyFields({ bind }: { bind: Bind }) {
    return (
        <>
            <Field label="Queue" {...bind("queue")} />
            <Field label="Priority" type="number" {...bind("priority")} help="−1000 to 1000, higher starts first." />
            <Field label="Slots" type="number" {...bind("slots")} />
            <Field label="Start not before" {...bind("delay_usec")} help="In so much time, as 10min. Empty: as it is." />
        </>
    );
}

function LiveFields({ bind, empty }: { bind: Bind; empty: string }) {
    return (
        <>
            <Field label="Time-out" {...bind("timeout_usec")} help={`As 1h 30min. ${empty}`} />
            <Field label="Attempts" type="number" {...bind("max_attempts")} />
        </>
    );
}

export function EditJob({ job, close, done }: { job: Job; close: () => void; done: () => void }) {
    const { say } = useMessages();
    const [before, now, bind] = useTexts(() => texts(job));
    const early = ["held", "waiting", "ready"].includes(job.state);
    const live = ["starting", "running"].includes(job.state);
    return (
        <Dialog title={`Edit job ${job.id}`} button="Save" close={close} act={async () => {
            const wanted = changes(before, now, job.tags ?? {});
            if (Object.keys(wanted).length === 0)
                return;
            await mill.call("UpdateJob", "ta{sv}", job.id, variants(wanted));
            say(`Job ${job.id} is changed`);
            done();
        }}>
            {early && <>
                <Field label="Name" {...bind("name")} />
                {!job.type && <Field label="Command" {...bind("argv")} />}
                <EarlyFields bind={bind} />
            </>}
            {(early || live) && <LiveFields bind={bind} empty="Empty: none." />}
            <Field label="Tags" {...bind("tags")} help="KEY=VALUE, with blanks between." />
        </Dialog>
    );
}

const NOTHING: Texts = { queue: "", priority: "", slots: "", delay_usec: "", timeout_usec: "", max_attempts: "", tags: "" };

/** The same change of all jobs that match. Those in a state in which it cannot be made are left alone, and are not in the number that is said. */
export function EditJobs({ filter, what, close, done }: { filter: Dictionary; what: string; close: () => void; done: () => void }) {
    const { say } = useMessages();
    const [before, now, bind] = useTexts(() => NOTHING);
    return (
        <Dialog title={`Edit ${what}`} button="Save" close={close} act={async () => {
            const wanted = changes(before, now, {});
            if (Object.keys(wanted).length === 0)
                throw new Error("nothing is filled in");
            const [count] = await mill.call<[number]>("UpdateJobs", "a{sv}a{sv}", variants(filter), variants(wanted));
            say(`Edit: ${jobs(count)}`);
            done();
        }}>
            <p>What is left empty stays as it is with each job.</p>
            <EarlyFields bind={bind} />
            <LiveFields bind={bind} empty="infinity: none." />
            <Field label="Tags" {...bind("tags")} help="KEY=VALUE, with blanks between; KEY= takes one away." />
        </Dialog>
    );
}
