// SPDX-License-Identifier: LGPL-2.1-or-later
// The list of jobs, and of those that are dead. Filter and order stand in the address. A page is read by the daemon's cursor, so it costs the
// same however many jobs there are; pages before are known by the cursors that led there.

import { Alert, Button, Checkbox, Title } from "@patternfly/react-core";
import { Table, Tbody, Td, Th, Thead, Tr } from "@patternfly/react-table";
import { useEffect, useMemo, useState } from "react";
import { cockpit } from "./cockpit";
import { Filter } from "./field";
import { joinWords, parseTags, span, time } from "./format";
import { address, go, useData } from "./hooks";
import { useBulkActions, useJobActions } from "./job-actions";
import { StateLabel } from "./job-state";
import { Menu } from "./menu";
import { mill, MillError, variants, type Dictionary } from "./mill";
import { Empty, Loaded } from "./states";
import { RESULTS, STATES, type Job, type JobType } from "./types";

type Options = Record<string, string>;

const SIZES = ["25", "50", "100"];
const FIELDS = ["id", "name", "queue", "type", "owner", "owner_name", "state", "result", "reason", "attempt", "max_attempts", "priority", "argv", "submitted_usec",
                "started_usec", "finished_usec", "runtime_usec", "array", "array_index", "array_size", "flow", "dead", "frozen", "progress", "tags", "slots",
                "timeout_usec", "array_states"];
/** States that a link of the queues' page means by "running". */
const LIVE = ["starting", "running", "stopping"];

/** The words of the search: "#12", "12" an id, K=V a tag, anything else a name. */
function search(text: string): Dictionary {
    const found: Dictionary = {};
    const words = text.split(/\s+/).filter(Boolean);
    const ids = words.filter(word => /^#?\d+$/.test(word)).map(word => Number(word.replace("#", "")));
    const tags = words.filter(word => /^[^=]+=/.test(word));
    const names = words.filter(word => !/^#?\d+$/.test(word) && !/^[^=]+=/.test(word));
    if (ids.length)
        found.ids = ids;
    if (tags.length)
        found.tags = parseTags(tags.join(" "));
    if (names.length)
        found.name = names.join(" ");
    return found;
}

function filterOf(options: Options, dead: boolean): Dictionary {
    const { queue, state, result, type, q, array, flow, since } = options;
    return {
        ...search(q ?? ""),
        queue: queue || undefined,
        state: state ? (state === "running" ? LIVE : [state]) : undefined,
        result: result ? [result] : undefined,
        type: type || undefined,
        array: array ? Number(array) : undefined,
        flow: flow ? Number(flow) : undefined,
        since_usec: since ? (Date.now() - Number(since) * 3600e3) * 1000 : undefined,
        dead: dead || undefined,
    };
}

/** A user is known to the daemon by number, to people by name. */
async function uidOf(owner: string): Promise<number> {
    if (/^\d+$/.test(owner))
        return Number(owner);
    try {
        return Number((await cockpit.spawn(["getent", "passwd", "--", owner])).split(":")[2]);
    } catch {
        throw new MillError("invalid", `there is no user ${owner}`);
    }
}

/** The daemon ends a page also when it has looked at some thousand jobs: it is asked on until the page is full, but not for longer than people wait. */
const PATIENCE = 5000;

async function loadPage(filter: Dictionary, cursor: string, size: number): Promise<{ jobs: Job[]; next: string }> {
    const jobs: Job[] = [];
    const end = Date.now() + PATIENCE;
    let next = cursor;
    do {
        const page = await mill.jobs<Job>(filter, next, size - jobs.length);
        jobs.push(...page.jobs);
        next = page.next;
    } while (next && jobs.length < size && Date.now() < end);
    return { jobs, next };
}

/** What is typed, which is taken once the typing rests; a link may lead to another one. */
function useRested(taken: string, take: (text: string) => void): [string, (text: string) => void] {
    const [text, setText] = useState(taken);
    useEffect(() => setText(taken), [taken]);
    useEffect(() => {
        if (text === taken)
            return undefined;
        const timer = window.setTimeout(() => take(text), 400);
        return () => window.clearTimeout(timer);
    }, [text]);
    return [text, setText];
}

function Filters({ options, view, dead }: { options: Options; view: string; dead: boolean }) {
    const queues = useData(() => mill.call<[[string, string][]]>("ListQueues"), ["names"], { least: 10000 });
    const types = useData(() => mill.list<JobType>("ListTypes"), ["types"], { least: 60000 });
    const any = (values: string[]): [string, string][] => [["", "any"], ...values.map(value => [value, value] as [string, string])];
    const set = (key: string, value: string) => {
        const next = { ...options, [key]: value };
        go([view], Object.fromEntries(Object.entries(next).filter(([, v]) => v !== "")));
    };
    const names = queues.data?.[0].map(([name]) => name).sort() ?? [];

    const [text, setText] = useRested(options.q ?? "", value => set("q", value));
    const [owner, setOwner] = useRested(options.owner ?? "", value => set("owner", value.trim()));

    return (
        <div className="jm-filters" role="search" aria-label="Filters">
            <Filter wide label="Search: name, id or tag=value" value={text} change={setText} />
            <Filter label="Queue" value={options.queue ?? ""} change={value => set("queue", value)} choices={any(names)} />
            {!dead && <Filter label="State" value={options.state ?? ""} change={value => set("state", value)} choices={any(STATES)} />}
            <Filter label="Result" value={options.result ?? ""} change={value => set("result", value)} choices={any(dead ? RESULTS.slice(1) : RESULTS)} />
            <Filter label="Type" value={options.type ?? ""} change={value => set("type", value)} choices={any(types.data?.map(type => type.name) ?? [])} />
            <Filter label="Owner" value={owner} change={setOwner} />
            <Filter label="Submitted" value={options.since ?? ""} change={value => set("since", value)} choices={[["", "any time"], ["1", "in the last hour"], ["24", "in the last day"], ["168", "in the last week"]]} />
            <Filter label="Order" value={options.order ?? "newest"} change={value => set("order", value)}
                    choices={[["newest", "newest first"], ["oldest", "oldest first"], ["finished", "latest end first"], ["rank", "next to start"]]} />
        </div>
    );
}

function what(job: Job): string {
    return job.name || (job.argv ? joinWords(job.argv) : job.type ?? "");
}

function JobRow({ job, chosen, choose, reload }: { job: Job; chosen: boolean; choose: (on: boolean) => void; reload: () => void }) {
    const actions = useJobActions(job, reload);
    const begun = job.started_usec ?? job.submitted_usec;
    return (
        <Tr>
            <Td dataLabel="Choose"><Checkbox id={`choose-${job.id}`} aria-label={`Choose job ${job.id}`} isChecked={chosen} onChange={(_event, on) => choose(on)} /></Td>
            <Td dataLabel="Job"><a href={address(["job", String(job.id)])} aria-label={`Job ${job.id}`}>{job.id}</a></Td>
            <Td dataLabel="Name" modifier="breakWord">
                {what(job) || <span className="jm-quiet">of another user</span>}
                {job.array_size !== undefined && <span className="jm-quiet"> [{job.array_index} of {job.array_size}]</span>}
            </Td>
            <Td dataLabel="Queue">{job.queue}</Td>
            <Td dataLabel="State">
                <StateLabel job={job} />{job.progress !== undefined && ` ${Math.round(job.progress)} %`}
                {job.reason && !["frozen", "held"].includes(job.reason) && <div className="jm-quiet">{job.reason}</div>}
            </Td>
            <Td dataLabel="Owner">{job.owner_name ?? job.owner}</Td>
            <Td dataLabel="Started">{job.started_usec ? time(begun) : <span className="jm-quiet">submitted {time(begun)}</span>}</Td>
            <Td dataLabel="Run time">{span(job.runtime_usec)}</Td>
            <Td isActionCell><Menu label={`Actions for job ${job.id}`} actions={actions} /></Td>
        </Tr>
    );
}

function Chosen({ ids, filter, all, clear, reload }: { ids: number[]; filter: Dictionary; all: boolean; clear: () => void; reload: () => void }) {
    const [count, setCount] = useState<number>();
    const key = JSON.stringify(filter);
    useEffect(() => {
        setCount(undefined);
        if (all)
            void mill.call<[number]>("CountJobs", "a{sv}", variants(filter)).then(([n]) => setCount(n), () => {});
    }, [key, all]);
    const what = all ? (count === undefined ? "all jobs of this filter" : `all ${count} jobs of this filter`) : `${ids.length} chosen ${ids.length === 1 ? "job" : "jobs"}`;
    const actions = useBulkActions(all ? filter : { ids }, what, () => { clear(); reload(); });
    return (
        <div className="jm-row" role="group" aria-label="Actions for the chosen jobs">
            <span>{what}:</span>
            {actions.map(({ title, danger, act }) => <Button key={title} size="sm" variant="secondary" isDanger={danger} onClick={act}>{title}</Button>)}
            <Button size="sm" variant="link" onClick={clear}>Choose none</Button>
        </div>
    );
}

function JobList({ options, view, dead }: { options: Options; view: string; dead: boolean }) {
    const [cursors, setCursors] = useState<string[]>([""]);
    const [size, setSize] = useState(SIZES[0]);
    const [chosen, setChosen] = useState<Set<number>>(new Set());
    const [all, setAll] = useState(false);
    const filter = useMemo(() => Object.fromEntries(Object.entries(filterOf(options, dead)).filter(([, value]) => value !== undefined)), [JSON.stringify(options), dead]);
    const cursor = cursors[cursors.length - 1];
    const loaded = useData(async () => {
        const whole: Dictionary = options.owner ? { ...filter, owner: await uidOf(options.owner) } : filter;
        return { whole, ...await loadPage({ ...whole, order: options.order || "newest", fields: FIELDS }, cursor, Number(size)) };
    }, [filter, options.owner, options.order, cursor, size]);
    const clear = () => { setChosen(new Set()); setAll(false); };
    const key = JSON.stringify(options);
    useEffect(() => { setCursors([""]); clear(); }, [key]);

    const choose = (id: number, on: boolean) => {
        const next = new Set(chosen);
        on ? next.add(id) : next.delete(id);
        setChosen(next);
        setAll(false);
    };

    return (
        <>
            <Filters options={options} view={view} dead={dead} />
            <Loaded from={loaded} what="jobs">
                {({ jobs, next, whole }) => {
                    const filtered = Object.keys(whole).length > 0;
                    return <>
                        {chosen.size > 0 && <Chosen ids={[...chosen]} filter={whole} all={all} clear={clear} reload={loaded.reload} />}
                        {chosen.size > 0 && !all && filtered && jobs.every(job => chosen.has(job.id)) && (next || cursors.length > 1) &&
                            <Alert isInline variant="info" title="All jobs of this page are chosen" className="jm-problem"
                                   actionLinks={<Button variant="link" isInline onClick={() => setAll(true)}>Choose all that match the filter</Button>} />}
                        {jobs.length === 0 && next && <Empty title="None so far">There are more jobs to look at: Next does that.</Empty>}
                        {jobs.length === 0 ? !next && <Empty title={dead ? "No dead letters" : filtered ? "No jobs match" : "No jobs yet"}
                                     action={filtered && !dead ? <Button variant="link" component="a" href={address([view])}>Clear the filters</Button>
                                         : dead ? undefined : <Button component="a" href={address(["submit"])}>Submit a job</Button>}>
                                {dead ? "Jobs that failed for good stay here until they are tried again or purged." : "Jobs are submitted here, by the command jobmill, or by a schedule."}
                            </Empty>
                            : <>
                            <Checkbox id="choose-page" label="Choose all jobs of this page" isChecked={jobs.length > 0 && jobs.every(job => chosen.has(job.id))}
                                      onChange={(_event, on) => { setChosen(new Set(on ? jobs.map(job => job.id) : [])); setAll(false); }} />
                            <Table aria-label={dead ? "Dead letters" : "Jobs"} variant="compact" gridBreakPoint="grid-lg">
                                <Thead>
                                    <Tr>
                                        <Th screenReaderText="Choose" />
                                        <Th>Job</Th><Th width={25}>Name</Th><Th>Queue</Th><Th>State</Th><Th>Owner</Th><Th>Started</Th><Th modifier="nowrap">Run time</Th><Th screenReaderText="Actions" />
                                    </Tr>
                                </Thead>
                                <Tbody>
                                    {jobs.map(job => <JobRow key={job.id} job={job} chosen={chosen.has(job.id)} choose={on => choose(job.id, on)} reload={loaded.reload} />)}
                                </Tbody>
                            </Table>
                            </>}
                        <nav className="jm-paging" aria-label="Pages">
                            <Filter label="Jobs per page" value={size} change={value => { setSize(value); setCursors([""]); }} choices={SIZES.map(n => [n, n])} />
                            <span aria-live="polite">Page {cursors.length}</span>
                            <Button variant="secondary" isDisabled={cursors.length === 1} onClick={() => setCursors(cursors.slice(0, -1))}>Previous</Button>
                            <Button variant="secondary" isDisabled={!next} onClick={() => setCursors([...cursors, next])}>Next</Button>
                        </nav>
                    </>;
                }}
            </Loaded>
        </>
    );
}

export function Jobs({ options }: { options: Options }) {
    return (
        <>
            <div className="jm-head">
                <Title headingLevel="h1">Jobs</Title>
                <Button component="a" href={address(["submit"])}>Submit a job</Button>
            </div>
            <JobList options={options} view="jobs" dead={false} />
        </>
    );
}

export function DeadLetters({ options }: { options: Options }) {
    return (
        <>
            <div className="jm-head"><Title headingLevel="h1">Dead letters</Title></div>
            <JobList options={options} view="dead" dead />
        </>
    );
}
