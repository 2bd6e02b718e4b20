// SPDX-License-Identifier: LGPL-2.1-or-later
// Throughput, waiting and failures over time, from what the daemon has counted (GetReport), so that a chart costs the same however many jobs
// there were. A user without the right to read all sees his own jobs counted.

import { Card, CardBody, CardTitle, Title } from "@patternfly/react-core";
import { Bars, type Bar } from "./chart";
import { Filter } from "./field";
import { clock, span } from "./format";
import { go, useAdministrator, useData } from "./hooks";
import { mill } from "./mill";
import { Empty, Loaded } from "./states";
import type { ReportRow } from "./types";

interface Range { title: string; count: number; step: number; group: "minute" | "hour" | "day" }

const MINUTE = 60e6, HOUR = 60 * MINUTE, DAY = 24 * HOUR;
const RANGES: Record<string, Range> = {
    hour: { title: "the last hour", count: 60, step: MINUTE, group: "minute" },
    day: { title: "the last day", count: 24, step: HOUR, group: "hour" },
    month: { title: "the last 30 days", count: 30, step: DAY, group: "day" },
};

/** When each step began, oldest first. Days begin by the local clock, which may be set by an hour twice a year. */
function starts({ count, step, group }: Range): number[] {
    if (group !== "day") {
        const last = Math.floor(Date.now() * 1000 / step) * step;
        return Array.from({ length: count }, (_, i) => last - (count - 1 - i) * step);
    }
    const today = new Date();
    today.setHours(12, 0, 0, 0);
    return Array.from({ length: count }, (_, i) => new Date(today.getFullYear(), today.getMonth(), today.getDate() - (count - 1 - i), 12).getTime() * 1000);
}

function dayOf(usec: number): string {
    const date = new Date(usec / 1000);
    return [date.getFullYear(), date.getMonth() + 1, date.getDate()].map(n => String(n).padStart(2, "0")).join("-");
}

/** A row for each step; none where nothing was. */
async function load(range: Range, queue: string): Promise<{ label: string; row: ReportRow | undefined }[]> {
    const times = starts(range);
    const filter: Record<string, unknown> = { since_usec: { t: "t", v: times[0] - (range.group === "day" ? DAY / 2 : 0) } };
    if (queue)
        filter.queue = { t: "s", v: queue };
    const rows = await mill.list<ReportRow>("GetReport", "a{sv}s", filter, range.group);
    const key = (row: ReportRow) => range.group === "day" ? row.day! : String(Math.floor((row.minute_usec ?? row.hour_usec)! / range.step));
    const found = new Map(rows.map(row => [key(row), row]));
    return times.map(usec => range.group === "day"
        ? { label: dayOf(usec).slice(5), row: found.get(dayOf(usec)) }
        : { label: clock(usec), row: found.get(String(Math.floor(usec / range.step))) });
}

const count = (value: number) => value === Math.floor(value) ? String(value) : value.toFixed(1);

export function Charts({ options }: { options: Record<string, string> }) {
    const queue = options.queue ?? "", name = options.range in RANGES ? options.range : "hour", range = RANGES[name];
    const administrator = useAdministrator();
    const queues = useData(() => mill.call<[[string, string][]]>("ListQueues"), ["names"], { least: 10000 });
    const loaded = useData(() => load(range, queue), ["charts", name, queue], { least: 5000, every: 60000 });
    const set = (key: string, value: string) => go(["charts"], Object.fromEntries(Object.entries({ ...options, [key]: value }).filter(([, v]) => v)));
    const bars = (steps: { label: string; row: ReportRow | undefined }[], parts: (row: ReportRow) => number[], none: number[]): Bar[] =>
        steps.map(({ label, row }) => ({ label, parts: row ? parts(row) : none }));
    return (
        <>
            <div className="jm-head"><Title headingLevel="h1">Charts</Title></div>
            <div className="jm-filters" role="search" aria-label="Filters">
                <Filter label="Time" value={name} change={value => set("range", value)} choices={Object.entries(RANGES).map(([key, { title }]) => [key, title])} />
                <Filter label="Queue" value={queue} change={value => set("queue", value)} choices={[["", "all"], ...(queues.data?.[0] ?? []).map(([q]) => [q, q] as [string, string])]} />
            </div>
            {administrator === false && <p className="jm-quiet">Your own jobs are counted.</p>}
            <Loaded from={loaded} what="charts">
                {steps => steps.every(({ row }) => !row)
                    ? <Empty title="Nothing was done">In {range.title} no job was submitted or ended.</Empty>
                    : <div className="jm-cards">
                        <Card><CardTitle component="h2">Throughput</CardTitle><CardBody>
                            <Bars title="Jobs done" show={count} parts={[["not failed", "jm-bar-good"], ["failed", "jm-bar-bad"]]} bars={bars(steps, row => [row.jobs - row.failed, row.failed], [0, 0])} />
                        </CardBody></Card>
                        <Card><CardTitle component="h2">Submitted</CardTitle><CardBody>
                            <Bars title="Jobs submitted" show={count} parts={[["submitted", "jm-bar-plain"]]} bars={bars(steps, row => [row.submitted], [0])} />
                        </CardBody></Card>
                        <Card><CardTitle component="h2">Wait</CardTitle><CardBody>
                            <Bars title="Mean wait before a start" show={span} parts={[["mean wait", "jm-bar-plain"]]} bars={bars(steps, row => [row.started ? row.wait_usec / row.started : 0], [0])} />
                        </CardBody></Card>
                        <Card><CardTitle component="h2">Failures</CardTitle><CardBody>
                            <Bars title="Share of failed jobs" show={value => `${Math.round(value)} %`} parts={[["failed", "jm-bar-bad"]]} bars={bars(steps, row => [row.jobs ? 100 * row.failed / row.jobs : 0], [0])} />
                        </CardBody></Card>
                    </div>}
            </Loaded>
        </>
    );
}
