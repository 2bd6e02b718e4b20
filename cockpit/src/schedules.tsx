// SPDX-License-Identifier: LGPL-2.1-or-later
// The schedules: when each submits its job next and did last, and what came of it; fire, pause, resume, remove, make one. The runs after the
// next one are asked of systemd-analyze, whose calendar it is. Timers change without a signal.

import { Button, Label, Title } from "@patternfly/react-core";
import { Table, Tbody, Td, Th, Thead, Tr } from "@patternfly/react-table";
import { useState } from "react";
import { cockpit } from "./cockpit";
import { Dialog, useDialog } from "./dialog";
import { Field } from "./field";
import { span, splitWords, time } from "./format";
import { address, useData } from "./hooks";
import { Menu, type Action } from "./menu";
import { useMessages } from "./messages";
import { mill, variants } from "./mill";
import { Empty, Loaded } from "./states";
import type { Firing, Schedule } from "./types";

const RUNS = 5;

/** The next runs of a calendar expression, as systemd writes them. */
async function nextRuns(calendar: string): Promise<string[]> {
    const text = await cockpit.spawn(["systemd-analyze", "calendar", `--iterations=${RUNS}`, "--", calendar], { err: "ignore", environ: ["LC_ALL=C.UTF-8", "SYSTEMD_COLORS=0"] });
    return [...text.matchAll(/^\s*(?:Next elapse|Iter(?:ation|\.) #\d+): (.+)$/gm)].map(([, when]) => when).filter(when => when !== "never");
}

function NewSchedule({ close }: { close: () => void }) {
    const { say } = useMessages();
    const [now, setNow] = useState({ name: "", kind: "calendar", when: "daily", queue: "", argv: "" });
    const field = (key: keyof typeof now) => ({ value: now[key], change: (value: string) => setNow({ ...now, [key]: value }) });
    return (
        <Dialog title="New schedule" button="Create" close={close} act={async () => {
            const argv = splitWords(now.argv);
            if (!now.name || argv.length === 0 || !now.when.trim())
                throw new Error("Name, time and command are needed.");
            const job = { t: "a{sv}", v: { argv: { t: "as", v: argv }, ...(now.queue ? { queue: { t: "s", v: now.queue } } : {}) } };
            const when = now.kind === "calendar" ? variants({ OnCalendar: [now.when] }) : variants({ OnUnitActiveSec: now.when });
            await mill.call("SetSchedule", "sa{sv}", now.name, { ...when, Job: job });
            say(`Schedule ${now.name} is there`);
        }}>
            <Field label="Name" required {...field("name")} help="a-z, 0-9, _ and -." />
            <Field label="Kind" {...field("kind")} choices={[["calendar", "at times of the calendar"], ["every", "every so often"]]} />
            <Field label="When" required {...field("when")} help={now.kind === "calendar" ? "As systemd.time(7): daily, Mon..Fri 08:00, *-*-01 03:00:00." : "A span of time: 15min, 6h."} />
            <Field label="Command" required {...field("argv")} />
            <Field label="Queue" {...field("queue")} help="Empty: default." />
        </Dialog>
    );
}

function Firings({ schedule }: { schedule: Schedule }) {
    const loaded = useData(async () => {
        const [firings, ...runs] = await Promise.all([mill.list<Firing>("ListFirings", "su", schedule.name, 10), ...(schedule.calendar ?? []).map(nextRuns)]);
        return { firings, runs: runs.flat() };
    }, ["firings", schedule.name, schedule.firings]);
    return (
        <Loaded from={loaded} what="firings">
            {({ firings, runs }) => (
                <div className="jm-cards">
                    <div>
                        <Title headingLevel="h2" size="md">Next runs</Title>
                        {schedule.paused ? <p>None: it is paused.</p> : runs.length === 0 ? <p>{time(schedule.next_usec)}</p> : <ul>{runs.slice(0, RUNS).map(run => <li key={run}>{run}</li>)}</ul>}
                    </div>
                    <div>
                        <Title headingLevel="h2" size="md">Last runs</Title>
                        {firings.length === 0 ? <p>None yet.</p> : (
                            <ul>{firings.map(firing => (
                                <li key={firing.number}>{time(firing.fired_usec)}, {firing.cause}: {firing.job ? <a href={address(["job", String(firing.job)])}>job {firing.job}</a> : firing.reason ?? "no job"}</li>
                            ))}</ul>
                        )}
                    </div>
                </div>
            )}
        </Loaded>
    );
}

function ScheduleRows({ schedule, reload, index }: { schedule: Schedule; reload: () => void; index: number }) {
    const [expanded, setExpanded] = useState(false);
    const { attempt } = useMessages();
    const open = useDialog();
    const call = (word: string, method: string) => () => void attempt(`${schedule.name} ${word}`, () => mill.call(method, "s", schedule.name)).then(ok => ok && reload());
    const actions: Action[] = [
        { title: "Fire now", act: call("is fired", "FireSchedule") },
        schedule.paused ? { title: "Resume", act: call("goes on", "ResumeSchedule") } : { title: "Pause", act: call("is paused", "PauseSchedule") },
        { title: "Remove", danger: true, disabled: !!schedule.file, act: () => open(close => (
            <Dialog title={`Remove ${schedule.name}?`} button="Remove" danger close={close} act={async () => { await mill.call("RemoveSchedule", "s", schedule.name); reload(); }}>
                Its jobs go on; it submits none any more.
            </Dialog>
        )) },
    ];
    return (
        <Tbody isExpanded={expanded}>
            <Tr>
                <Td expand={{ rowIndex: index, isExpanded: expanded, onToggle: () => setExpanded(!expanded), expandId: `expand-${schedule.name}` }} />
                <Td dataLabel="Schedule">{schedule.name} {schedule.paused && <Label isCompact color="orange">paused</Label>}{schedule.reason && <div className="jm-quiet">{schedule.reason}</div>}</Td>
                <Td dataLabel="When"><span className="jm-words">{schedule.calendar?.join(", ") ?? (schedule.every_usec ? `every ${span(schedule.every_usec)}` : "–")}</span></Td>
                <Td dataLabel="Next run">{time(schedule.next_usec)}</Td>
                <Td dataLabel="Last run">{time(schedule.elapsed_usec)}</Td>
                <Td dataLabel="Last job">{schedule.last_job ? <a href={address(["job", String(schedule.last_job)])}>{schedule.last_job}</a> : "–"}</Td>
                <Td dataLabel="Fired">{schedule.firings}</Td>
                <Td isActionCell><Menu label={`Actions for schedule ${schedule.name}`} actions={actions} /></Td>
            </Tr>
            {expanded && <Tr isExpanded><Td colSpan={8} noPadding={false}><Firings schedule={schedule} /></Td></Tr>}
        </Tbody>
    );
}

export function Schedules() {
    const open = useDialog();
    const loaded = useData(() => mill.list<Schedule>("ListSchedules"), ["schedules"], { every: 5000 });
    return (
        <>
            <div className="jm-head">
                <Title headingLevel="h1">Schedules</Title>
                <Button variant="secondary" onClick={() => open(close => <NewSchedule close={() => { close(); loaded.reload(); }} />)}>New schedule</Button>
            </div>
            <Loaded from={loaded} what="schedules">
                {schedules => schedules.length === 0
                    ? <Empty title="No schedules">A schedule submits a job at times of the calendar, or every so often.</Empty>
                    : <Table aria-label="Schedules" variant="compact" gridBreakPoint="grid-lg">
                        <Thead><Tr><Th screenReaderText="Runs" /><Th>Schedule</Th><Th>When</Th><Th>Next run</Th><Th>Last run</Th><Th>Last job</Th><Th>Fired</Th><Th screenReaderText="Actions" /></Tr></Thead>
                        {schedules.map((schedule, index) => <ScheduleRows key={schedule.name} schedule={schedule} index={index} reload={loaded.reload} />)}
                    </Table>}
            </Loaded>
        </>
    );
}
