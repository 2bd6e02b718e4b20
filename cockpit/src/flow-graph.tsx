// SPDX-License-Identifier: LGPL-2.1-or-later
// The jobs that come before and after a job, as a graph in layers from left to right: each stands right of all that it waits for. Of a large
// flow it shows those that are next to the job; all of them are in the list.

import { address, useData } from "./hooks";
import { isLive } from "./job-state";
import { mill } from "./mill";
import { Loaded } from "./states";
import type { Job } from "./types";

const MOST = 150, PAGE = 1000;
const FIELDS = ["id", "name", "state", "result", "after", "array", "array_index", "frozen"];
const WIDTH = 150, HEIGHT = 42, ACROSS = 60, DOWN = 16;

interface Node { job: Job; layer: number; row: number }

/** All of its flow; of a job without one, what it comes after and what comes after it. */
async function loadFlow(job: Job): Promise<Job[]> {
    const jobs: Job[] = [];
    for (let cursor = ""; ;) {
        const page = await mill.jobs<Job>({ flow: job.flow ?? job.id, order: "oldest", fields: FIELDS }, cursor, PAGE);
        jobs.push(...page.jobs);
        cursor = page.next;
        if (!cursor)
            break;
    }
    const known = new Set(jobs.map(each => each.id));
    const before = (job.after ?? []).map(([id]) => id).filter(id => !known.has(id));
    const earlier = before.length ? (await mill.jobs<Job>({ ids: before.slice(0, MOST), fields: FIELDS }, "", MOST)).jobs : [];
    return [...earlier, ...jobs].sort((a, b) => a.id - b.id);
}

/** Those that the fewest edges lead to, either way, from here: as many as a picture can show. */
function nearest(jobs: Job[], here: number): Job[] {
    if (jobs.length <= MOST)
        return jobs;
    const sides = new Map<number, number[]>(jobs.map(job => [job.id, []]));
    for (const job of jobs)
        for (const [id] of job.after ?? [])
            if (sides.has(id)) {
                sides.get(job.id)!.push(id);
                sides.get(id)!.push(job.id);
            }
    const found = new Set([here]);
    for (const id of found) { // it grows meanwhile
        for (const next of sides.get(id) ?? [])
            if (found.size < MOST)
                found.add(next);
    }
    return jobs.filter(job => found.has(job.id));
}

/** A job's layer is one more than the last of those that it waits for; ids only grow along the edges. */
function layout(jobs: Job[]): Map<number, Node> {
    const nodes = new Map<number, Node>();
    const rows: number[] = [];
    const waiting = new Map(jobs.map(job => [job.id, job]));
    const place = (job: Job, path: Set<number>): number => {
        const placed = nodes.get(job.id);
        if (placed)
            return placed.layer;
        path.add(job.id);
        const before = (job.after ?? []).map(([id]) => waiting.get(id)).filter((each): each is Job => !!each && !path.has(each.id));
        const layer = Math.max(-1, ...before.map(each => place(each, path))) + 1;
        path.delete(job.id);
        rows[layer] = (rows[layer] ?? -1) + 1;
        nodes.set(job.id, { job, layer, row: rows[layer] });
        return layer;
    };
    for (const job of jobs)
        place(job, new Set());
    return nodes;
}

function kind(job: Job): string {
    if (job.state !== "done")
        return isLive(job) ? "jm-node-live" : "";
    return job.result === "success" ? "jm-node-success" : "jm-node-failure";
}

function Picture({ jobs, here }: { jobs: Job[]; here: number }) {
    const nodes = layout(jobs);
    const all = [...nodes.values()];
    const x = (node: Node) => 4 + node.layer * (WIDTH + ACROSS), y = (node: Node) => 4 + node.row * (HEIGHT + DOWN);
    const width = Math.max(...all.map(x)) + WIDTH + 4, height = Math.max(...all.map(y)) + HEIGHT + 4;
    const title = (job: Job) => job.name || `job ${job.id}`;
    return (
        <div className="jm-scroll" tabIndex={0} role="region" aria-label="Graph of the flow">
            <svg className="jm-graph" width={width} height={height} role="group" aria-label={`${jobs.length} jobs and what they wait for`}>
                <defs><marker id="jm-arrow" viewBox="0 0 8 8" refX={8} refY={4} markerWidth={8} markerHeight={8} orient="auto"><path className="jm-arrow" d="M0 0L8 4L0 8z" /></marker></defs>
                {all.flatMap(node => (node.job.after ?? []).map(([id, on]) => {
                    const from = nodes.get(id);
                    if (!from)
                        return null;
                    const x1 = x(from) + WIDTH, y1 = y(from) + HEIGHT / 2, x2 = x(node), y2 = y(node) + HEIGHT / 2;
                    return <path key={`${id}-${node.job.id}`} className="jm-edge" markerEnd="url(#jm-arrow)" strokeDasharray={on.startsWith("success") ? undefined : "5 3"}
                                 d={`M${x1} ${y1}C${x1 + ACROSS / 2} ${y1} ${x2 - ACROSS / 2} ${y2} ${x2} ${y2}`}><title>{on}</title></path>;
                }))}
                {all.map(node => {
                    const { job } = node, word = job.state === "done" ? job.result : job.state;
                    const after = (job.after ?? []).map(([id]) => id).join(", ");
                    return (
                        <a key={job.id} href={address(["job", String(job.id)])} aria-description={after ? `after ${after}` : undefined}>
                            <rect className={`jm-node ${kind(job)} ${job.id === here ? "jm-node-here" : ""}`} x={x(node)} y={y(node)} width={WIDTH} height={HEIGHT} rx={6} />
                            <text x={x(node) + 10} y={y(node) + 18} fontWeight={job.id === here ? "bold" : undefined}>{title(job).length > 20 ? `${title(job).slice(0, 19)}…` : title(job)}</text>{" "}
                            <text x={x(node) + 10} y={y(node) + 34}>{`${job.id} ${word}`}</text>
                        </a>
                    );
                })}
            </svg>
        </div>
    );
}

export function FlowGraph({ job }: { job: Job }) {
    const loaded = useData(() => loadFlow(job), ["flow", job.flow ?? 0, job.id, job.state], { least: 3000 });
    return (
        <Loaded from={loaded} what="flow">
            {jobs => {
                const near = nearest(jobs, job.id);
                return <>
                    {near.length > 0 && <Picture jobs={near} here={job.id} />}
                    {near.length < jobs.length &&
                        <p>It has {jobs.length} jobs; these {near.length} are next to this one: <a href={address(["jobs"], { flow: String(job.flow ?? job.id), order: "oldest" })}>all of them as a list</a>.</p>}
                </>;
            }}
        </Loaded>
    );
}
