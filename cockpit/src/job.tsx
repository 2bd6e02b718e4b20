// SPDX-License-Identifier: LGPL-2.1-or-later
// One job: how it stands and how far it is, what it was told to do, its attempts with causes and usage, its verdict, what it writes, and the
// jobs that it comes before or after. All of it follows what happens.

import { Breadcrumb, BreadcrumbItem, Button, Card, CardBody, CardTitle, DescriptionList, DescriptionListDescription, DescriptionListGroup, DescriptionListTerm, Label, Progress, Title } from "@patternfly/react-core";
import { Table, Tbody, Td, Th, Thead, Tr } from "@patternfly/react-table";
import { useState, type ReactNode } from "react";
import { FlowGraph } from "./flow-graph";
import { bytes, joinWords, span, time } from "./format";
import { address, useData, useNow } from "./hooks";
import { useJobActions } from "./job-actions";
import { JobLog } from "./job-log";
import { isLive, StateLabel } from "./job-state";
import { Menu } from "./menu";
import { mill } from "./mill";
import { Loaded } from "./states";
import type { Attempt, Job } from "./types";

type Row = [string, ReactNode];

function Rows({ rows }: { rows: Row[] }) {
    return (
        <DescriptionList isHorizontal isCompact>
            {rows.filter(([, value]) => value !== undefined && value !== "" && value !== null).map(([term, value]) => (
                <DescriptionListGroup key={term}>
                    <DescriptionListTerm>{term}</DescriptionListTerm>
                    <DescriptionListDescription>{value}</DescriptionListDescription>
                </DescriptionListGroup>
            ))}
        </DescriptionList>
    );
}

function Section({ title, children }: { title: string; children: ReactNode }) {
    return <Card><CardTitle component="h2">{title}</CardTitle><CardBody>{children}</CardBody></Card>;
}

const words = (text: string | undefined) => text && <span className="jm-words">{text}</span>;

function Runtime({ job }: { job: Job }) {
    const now = useNow(1000);
    return <>{span(isLive(job) && job.started_usec ? Math.max(0, now * 1000 - job.started_usec) : job.runtime_usec)}</>;
}

function After({ job }: { job: Job }) {
    if (!job.after?.length)
        return null;
    return <>{job.after.map(([id, on]) => <span key={id}><a href={address(["job", String(id)])}>{id}</a> ({on}) </span>)}</>;
}

function Status({ job }: { job: Job }) {
    const rows: Row[] = [
        ["Reason", job.reason],
        ["Queue", <a href={address(["jobs"], { queue: job.queue })}>{job.queue}</a>],
        ["Owner", job.owner_name ?? String(job.owner)],
        ["Attempt", job.attempt ? `${job.attempt} of ${job.max_attempts ?? "?"}` : `none of ${job.max_attempts ?? "?"} yet`],
        ["Submitted", time(job.submitted_usec)],
        ["Not before", job.not_before_usec && time(job.not_before_usec)],
        ["To start by", job.deadline_usec && time(job.deadline_usec)],
        ["Started", job.started_usec && time(job.started_usec)],
        ["Waited", job.wait_usec !== undefined && span(job.wait_usec)],
        ["Run time", job.started_usec && <Runtime job={job} />],
        ["Ended", job.finished_usec && time(job.finished_usec)],
        ["Exit status", job.exit_status !== undefined && String(job.exit_status)],
        ["Signal", job.exit_signal],
        ["It says", job.status],
        ["Unit", words(job.unit)],
        ["Worker", job.worker],
        ["Slot numbers", job.slot_numbers?.join(", ")],
        ["Array", job.array !== undefined && <a href={address(["jobs"], { array: String(job.array), order: "oldest" })}>{`${job.array}, place ${job.array_index} of ${job.array_size}`}</a>],
        ["Flow", job.flow !== undefined && <a href={address(["jobs"], { flow: String(job.flow), order: "oldest" })}>{job.flow}</a>],
    ];
    return (
        <Section title="Status">
            {job.progress !== undefined && <Progress className="jm-progress" title="Progress" value={job.progress} size="sm" />}
            <Rows rows={rows.map(([term, value]) => [term, value === false ? undefined : value])} />
        </Section>
    );
}

function Spec({ job }: { job: Job }) {
    if (job.argv === undefined && job.type === undefined)
        return <Section title="Spec"><p>Its owner alone may read it. With administrative access, or the right by polkit, you see it too.</p></Section>;
    const rows: Row[] = [
        ["Command", words(job.argv && joinWords(job.argv))],
        ["Type", job.type && `${job.type}${job.type_version ? ` ${job.type_version}` : ""}`],
        ["Runs in", words(job.cwd)],
        ["Priority", job.priority],
        ["Slots", job.slots],
        ["Time-out", job.timeout_usec && span(job.timeout_usec)],
        ["Stop time-out", job.stop_timeout_usec && span(job.stop_timeout_usec)],
        ["Backoff", job.backoff && `${job.backoff}${job.backoff_base_usec ? `, ${span(job.backoff_base_usec)}` : ""}`],
        ["Success when", job.verify],
        ["Output", job.output_file ?? job.stdout],
        ["Error output", job.error_file],
        ["Comes after", <After job={job} />],
        ["Unique key", job.unique_key],
        ["Tags", job.tags && <span className="jm-row">{Object.entries(job.tags).map(([key, value]) => <Label isCompact key={key}>{`${key}=${value}`}</Label>)}</span>],
        ["Properties", words(job.properties?.join("\n"))],
        ["Credentials", job.credentials?.join(", ")],
        ["Told by callback", words(job.callback_url)],
    ];
    return <Section title="Spec"><Rows rows={rows.filter(([term]) => term !== "Comes after" || job.after?.length)} /></Section>;
}

function Usage({ job }: { job: Job }) {
    return (
        <Section title="Usage">
            <Rows rows={[
                ["CPU time", span(job.cpu_usec)],
                ["Memory peak", job.memory_peak === undefined ? "–" : `${job.memory_peak_sampled ? "at least " : ""}${bytes(job.memory_peak)}`],
                ["Read from disks", bytes(job.io_read_bytes)],
                ["Written to disks", bytes(job.io_write_bytes)],
                ["Tasks at most", job.tasks_peak ?? "–"],
            ]} />
        </Section>
    );
}

/** The JSON object that it reported, on lines of its own. */
function pretty(json: string): string {
    try {
        return JSON.stringify(JSON.parse(json), null, 2);
    } catch {
        return json;
    }
}

function Verdict({ job }: { job: Job }) {
    if (job.verdict === undefined && job.success === undefined)
        return null;
    return (
        <Section title="Verdict">
            <Rows rows={[["Success", job.success === undefined ? undefined : job.success ? "yes" : "no"]]} />
            {job.verdict !== undefined && <pre className="jm-log" tabIndex={0} aria-label="Verdict">{pretty(job.verdict)}</pre>}
        </Section>
    );
}

function Attempts({ attempts }: { attempts: Attempt[] }) {
    if (attempts.length === 0)
        return <p>It has not started yet.</p>;
    return (
        <Table aria-label="Attempts" variant="compact" gridBreakPoint="grid-lg">
            <Thead><Tr><Th>Attempt</Th><Th>Result</Th><Th>Started</Th><Th>Run time</Th><Th>Exit</Th><Th>CPU time</Th><Th>Memory peak</Th><Th>Reason</Th></Tr></Thead>
            <Tbody>
                {[...attempts].reverse().map(attempt => (
                    <Tr key={attempt.attempt}>
                        <Td dataLabel="Attempt">{attempt.attempt}</Td>
                        <Td dataLabel="Result"><StateLabel job={{ state: attempt.result ? "done" : "running", result: attempt.result }} /></Td>
                        <Td dataLabel="Started">{time(attempt.started_usec)}</Td>
                        <Td dataLabel="Run time">{span(attempt.runtime_usec)}</Td>
                        <Td dataLabel="Exit">{attempt.exit_status ?? (attempt.exit_signal !== undefined ? `signal ${attempt.exit_signal}` : "–")}</Td>
                        <Td dataLabel="CPU time">{span(attempt.cpu_usec)}</Td>
                        <Td dataLabel="Memory peak">{bytes(attempt.memory_peak)}</Td>
                        <Td dataLabel="Reason">{attempt.reason ?? ""}</Td>
                    </Tr>
                ))}
            </Tbody>
        </Table>
    );
}

function Job({ job, attempts, reload }: { job: Job; attempts: Attempt[]; reload: () => void }) {
    const actions = useJobActions(job, reload);
    const readable = job.argv !== undefined || job.type !== undefined;
    // What is done most are buttons, the rest is in the menu.
    const buttons = actions.filter(({ title }) => ["Cancel", "Hold", "Release", "Retry", "Edit"].includes(title));
    const rest = actions.filter(action => !buttons.includes(action));
    return (
        <>
            <div className="jm-head">
                <Title headingLevel="h1">Job {job.id}{job.name ? ` (${job.name})` : ""} <StateLabel job={job} /></Title>
                {buttons.map(({ title, danger, act }) => <Button key={title} variant={danger ? "danger" : "secondary"} onClick={act}>{title}</Button>)}
                {rest.length > 0 && <Menu label={`More actions for job ${job.id}`} actions={rest} />}
            </div>
            <div className="jm-cards"><Status job={job} /><Spec job={job} /></div>
            <div className="jm-cards"><Usage job={job} /><Verdict job={job} /></div>
            <Section title="Attempts"><Attempts attempts={attempts} /></Section>
            {(job.flow !== undefined || !!job.after?.length) && <Section title="Flow"><FlowGraph job={job} /></Section>}
            {readable && <Section title="Log"><JobLog id={job.id} attempt={job.attempt} live={job.state !== "done"} /></Section>}
        </>
    );
}

export function JobPage({ id }: { id: number }) {
    const [live, setLive] = useState(false);
    const loaded = useData(async () => {
        const [job, attempts] = await Promise.all([mill.get<Job>("GetJobInfo", "t", id), mill.list<Attempt>("ListAttempts", "t", id)]);
        setLive(isLive(job));
        return { job, attempts };
    }, ["job", id], { least: 500, every: live ? 2000 : undefined }); // what a running one says and uses changes without a signal
    return (
        <>
            <Breadcrumb aria-label="Where you are">
                <BreadcrumbItem to={address(["jobs"])}>Jobs</BreadcrumbItem>
                <BreadcrumbItem isActive>Job {id}</BreadcrumbItem>
            </Breadcrumb>
            {!loaded.data && <Title headingLevel="h1">Job {id}</Title>}
            <Loaded from={loaded} what="job">{({ job, attempts }) => <Job job={job} attempts={attempts} reload={loaded.reload} />}</Loaded>
        </>
    );
}
