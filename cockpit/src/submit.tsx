// SPDX-License-Identifier: LGPL-2.1-or-later
// A form that submits a job. It knows the job types: of one that is chosen it shows the fields that the type takes, the members of its payload
// among them. Sent again after an answer that was lost it submits nothing twice: a form has one request id.

import { ActionGroup, Button, Checkbox, ExpandableSection, Form, Title } from "@patternfly/react-core";
import { useEffect, useMemo, useState } from "react";
import { asError } from "./dialog";
import { Field } from "./field";
import { base64, joinWords, parseAfter, parseSpan, parseTags, splitWords } from "./format";
import { address, go, useData } from "./hooks";
import { useMessages } from "./messages";
import { mill, requestId, variants, type Dictionary, type MillError } from "./mill";
import { Loaded, Problem } from "./states";
import type { Job, JobType } from "./types";

type Texts = Record<string, string>;
interface Member { key: string; type: string; required: boolean }

const EMPTY: Texts = {
    type: "", queue: "", argv: "", name: "", cwd: "", payload: "", priority: "", slots: "", timeout_usec: "", delay_usec: "", max_attempts: "", backoff: "",
    after: "", tags: "", properties: "", unique_key: "", verify: "", stdout: "", hold: "", environment: "",
};

function like(job: Job): Texts {
    const text = (value: unknown) => value === undefined ? "" : String(value);
    return {
        ...EMPTY, type: text(job.type), queue: job.queue, argv: job.argv && !job.type ? joinWords(job.argv) : "", name: text(job.name), cwd: text(job.cwd), priority: text(job.priority),
        slots: text(job.slots), timeout_usec: job.timeout_usec ? `${job.timeout_usec / 1000}ms` : "", max_attempts: text(job.max_attempts), backoff: text(job.backoff),
        tags: Object.entries(job.tags ?? {}).map(([key, value]) => joinWords([`${key}=${value}`])).join(" "), properties: job.properties?.join("\n") ?? "",
        verify: text(job.verify), stdout: text(job.stdout),
    };
}

function members(type: JobType | undefined): Member[] {
    const parse = (words: string[] | undefined, required: boolean) => (words ?? []).map(word => {
        const [key, kind = ""] = word.split(":");
        return { key, type: kind, required };
    });
    return [...parse(type?.payload_required, true), ...parse(type?.payload_optional, false)];
}

/** A member of the payload, as its type wants it; undefined where it is left out. */
function member({ key, type, required }: Member, text: string): unknown {
    if (text === "") {
        if (required)
            throw new Error(`${key} is needed`);
        return undefined;
    }
    if (type === "string")
        return text;
    try {
        const value: unknown = JSON.parse(text);
        return value;
    } catch {
        if (type === "")
            return text;
        throw new Error(`${key}: "${text}" is no ${type}`);
    }
}

function number(what: string, text: string): number {
    if (!/^-?\d+$/.test(text.trim()))
        throw new Error(`${what}: "${text}" is no number`);
    return Number(text);
}

function duration(what: string, text: string): number {
    const usec = parseSpan(text);
    if (Number.isNaN(usec))
        throw new Error(`${what}: "${text}" is no span of time; 1h 30min is one`);
    return usec;
}

const lines = (text: string) => text.split("\n").map(line => line.trim()).filter(Boolean);

const READ: Record<string, (text: string) => unknown> = {
    priority: text => number("Priority", text), slots: text => number("Slots", text), max_attempts: text => number("Attempts", text),
    timeout_usec: text => duration("Time-out", text), delay_usec: text => duration("Start not before", text), after: parseAfter, tags: parseTags,
    properties: lines, environment: lines, hold: text => text === "yes", payload: base64,
};

/** The spec of what the form says; what is empty is left to type and queue. */
function spec(now: Texts, type: JobType | undefined, payload: Texts): Dictionary {
    const { queue: _queue, argv: _argv, ...rest } = now;
    const made: Dictionary = {};
    for (const [key, text] of Object.entries(rest))
        if (text !== "")
            made[key] = READ[key] ? READ[key](text) : text;
    const wanted = members(type);
    if (wanted.length) {
        const values = wanted.map(each => [each.key, member(each, payload[each.key] ?? "")]).filter(([, value]) => value !== undefined);
        made.payload = base64(JSON.stringify(Object.fromEntries(values)));
    }
    return made;
}

function Advanced({ field, takes }: { field: (key: string) => { value: string; change: (value: string) => void }; takes: (key: string) => boolean }) {
    return (
        <ExpandableSection toggleText="More settings">
            <div className="pf-v6-c-form">
                {takes("cwd") && <Field label="Runs in" {...field("cwd")} help="A folder, absolute." />}
                {takes("environment") && <Field label="Environment" lines={2} {...field("environment")} help="VAR=VALUE, one a line." />}
                {takes("delay_usec") && <Field label="Start not before" {...field("delay_usec")} help="In so much time, as 10min." />}
                {takes("max_attempts") && <Field label="Attempts" type="number" {...field("max_attempts")} />}
                {takes("backoff") && <Field label="Backoff" {...field("backoff")} choices={[["", "as type and queue say"], ["fixed", "fixed"], ["exponential", "exponential"]]} />}
                {takes("after") && <Field label="After these jobs" {...field("after")} help="Ids; with :failure or :end where they need not succeed: 17, 18:end." />}
                {takes("unique_key") && <Field label="Unique key" {...field("unique_key")} help="Of your jobs in this queue at most one that is not done has it." />}
                {takes("stdout") && <Field label="Output" {...field("stdout")} choices={[["", "as type and queue say"], ["journal", "to the journal"], ["spool", "to a spool, in which its verdict is looked for"]]} />}
                {takes("verify") && <Field label="Success when" {...field("verify")} choices={[["", "as type and queue say"], ["exit", "its exit status is 0"], ["verdict", "its verdict says true"]]} />}
                {takes("properties") && <Field label="Unit properties" lines={3} {...field("properties")} help="NAME=VALUE, one a line, as in unit files: MemoryMax=2G." />}
            </div>
        </ExpandableSection>
    );
}

function SubmitForm({ types, queues, begin }: { types: JobType[]; queues: string[]; begin: Texts }) {
    const [now, setNow] = useState(begin);
    const [payload, setPayload] = useState<Texts>({});
    const [error, setError] = useState<MillError>();
    const [preview, setPreview] = useState("");
    const [busy, setBusy] = useState(false);
    const { say } = useMessages();
    const type = types.find(each => each.name === now.type);
    const takes = (key: string) => !type?.accept || ["payload", "tags", ...type.accept].includes(key);
    const field = (key: string) => ({ value: now[key], change: (value: string) => setNow({ ...now, [key]: value }) });
    // Another content is another request.
    const request = useMemo(requestId, [JSON.stringify(now), JSON.stringify(payload)]);

    async function send(act: (queue: string, argv: string[], options: Dictionary) => Promise<void>) {
        setBusy(true);
        setError(undefined);
        try {
            const given = Object.fromEntries(Object.entries(now).filter(([key]) => key === "type" || takes(key)));
            const argv = splitWords(given.argv ?? "");
            if (!type && argv.length === 0)
                throw new Error("A job without a type needs a command.");
            await act(given.queue ?? "", argv, spec(given, type, payload));
        } catch (reason) {
            setError(asError(reason));
        }
        setBusy(false);
    }
    const submit = () => send(async (queue, argv, options) => {
        const [id] = await mill.call<[number]>("Submit", "sasa{sv}", queue, argv, variants({ ...options, request_id: request }));
        say(`Job ${id} is submitted`);
        go(["job", String(id)]);
    });
    const look = () => send(async (queue, argv, options) => {
        const [text] = await mill.call<[string]>("PreviewUnit", "sasa{sv}", queue, argv, variants(options));
        setPreview(text);
    });

    return (
        <Form isWidthLimited onSubmit={event => { event.preventDefault(); void submit(); }}>
            {error && <Problem error={error} />}
            <Field label="Job type" {...field("type")} help={type?.description}
                   choices={[["", "none: a command"], ...types.map(each => [each.name, each.available ? each.name : `${each.name} (not available)`] as [string, string])]} />
            {type && !type.available && <Problem error={asError(new Error(type.reason ?? "Jobs of this type cannot be submitted now"))} />}
            {takes("queue") && <Field label="Queue" {...field("queue")} choices={[["", type ? `that of its type: ${type.queue}` : "default"], ...queues.map(name => [name, name] as [string, string])]} />}
            {takes("argv") && <Field label={type ? "Further arguments" : "Command"} required={!type} {...field("argv")}
                                     help={type?.argv ? `Added to: ${joinWords(type.argv)}` : "A program and its arguments, quoted as in a shell. Nothing is replaced in them; for that: sh -c '…'."} />}
            {members(type).map(each => (
                <Field key={each.key} label={each.key} required={each.required} value={payload[each.key] ?? ""} help={each.type && `Of its payload: ${each.type}.`}
                       change={value => setPayload({ ...payload, [each.key]: value })} choices={each.type === "boolean" ? [["", "not given"], ["true", "true"], ["false", "false"]] : undefined} />
            ))}
            {members(type).length === 0 && <Field label="Payload" lines={2} {...field("payload")} help="Becomes its standard input." />}
            {takes("name") && <Field label="Name" {...field("name")} />}
            {takes("priority") && <Field label="Priority" type="number" {...field("priority")} help="−1000 to 1000, higher starts first." />}
            {takes("slots") && <Field label="Slots" type="number" {...field("slots")} />}
            {takes("timeout_usec") && <Field label="Time-out" {...field("timeout_usec")} help="As 1h 30min." />}
            <Field label="Tags" {...field("tags")} help="KEY=VALUE, with blanks between." />
            {takes("hold") && <Checkbox id="hold" label="Hold: it does not start until it is released" isChecked={now.hold === "yes"} onChange={(_event, on) => setNow({ ...now, hold: on ? "yes" : "" })} />}
            <Advanced field={field} takes={takes} />
            <ActionGroup>
                <Button type="submit" isLoading={busy} isDisabled={busy}>Submit</Button>
                <Button variant="secondary" isDisabled={busy} onClick={() => void look()}>Show its unit</Button>
            </ActionGroup>
            {preview && <pre className="jm-log" tabIndex={0} aria-label="Unit that it would be">{preview}</pre>}
        </Form>
    );
}

export function Submit({ options }: { options: Record<string, string> }) {
    const loaded = useData(async () => {
        const [types, [queues], job] = await Promise.all([
            mill.list<JobType>("ListTypes"),
            mill.call<[[string, string][]]>("ListQueues"),
            options.like ? mill.get<Job>("GetJobInfo", "t", Number(options.like)) : undefined,
        ]);
        return { types, queues: queues.map(([name]) => name).sort(), begin: job ? like(job) : EMPTY };
    }, ["submit", options.like], { least: 10000 });
    useEffect(() => { document.getElementById("main")?.scrollTo(0, 0); }, []);
    return (
        <>
            <div className="jm-head"><Title headingLevel="h1">Submit a job</Title></div>
            {options.like && <p>As <a href={address(["job", options.like])}>job {options.like}</a>, but for its environment, payload and credentials.</p>}
            <Loaded from={loaded} what="job types">
                {({ types, queues, begin }) => <SubmitForm key={options.like ?? ""} types={types} queues={queues} begin={begin} />}
            </Loaded>
        </>
    );
}
