// SPDX-License-Identifier: LGPL-2.1-or-later
// The queues: cap and slots in use, jobs by state, what was done in the last hour; pause, resume, drain, another cap, a new queue, its end.
// Of many queues a page is read at a time.

import { Button, Label, Progress, Title } from "@patternfly/react-core";
import { Table, Tbody, Td, Th, Thead, Tr } from "@patternfly/react-table";
import { useState } from "react";
import { Dialog, useDialog } from "./dialog";
import { Field } from "./field";
import { address, useData } from "./hooks";
import { Menu, type Action } from "./menu";
import { useMessages } from "./messages";
import { mill, variants } from "./mill";
import { Sparkline } from "./chart";
import { Empty, Loaded } from "./states";
import { NO_CAP, type Queue, type ReportRow } from "./types";

const PAGE = 50;
const MINUTE = 60e6;

async function loadQueues(page: number): Promise<{ queues: Queue[]; all: number }> {
    const [names] = await mill.call<[[string, string][]]>("ListQueues");
    const some = names.sort(([a], [b]) => a < b ? -1 : 1).slice(page * PAGE, (page + 1) * PAGE);
    const queues = await Promise.all(some.map(([, path]) => mill.properties<Queue>(path, "org.jobmill1.Queue")));
    return { queues: queues.filter(isThere), all: names.length };
}

/** Of a queue that was removed the name stays. */
function isThere({ Files, SlotsUsed, Held, Waiting, Ready, Dead, Paused }: Queue): boolean {
    return Files.length > 0 || SlotsUsed + Held + Waiting + Ready + Dead > 0 || Paused;
}

/** Jobs done in each of the last 60 minutes, by queue. */
async function loadHour(queues: string[]): Promise<Map<string, number[]>> {
    const now = Math.floor(Date.now() * 1000 / MINUTE);
    const hour = new Map<string, number[]>(queues.map(name => [name, Array<number>(60).fill(0)]));
    if (queues.length === 0)
        return hour;
    const filter = { since_usec: { t: "t", v: (now - 59) * MINUTE }, queue: { t: "as", v: queues } };
    for (const row of await mill.list<ReportRow>("GetReport", "a{sv}s", filter, "queue,minute")) {
        const minutes = hour.get(row.queue!), at = 59 - (now - Math.floor(row.minute_usec! / MINUTE));
        if (minutes && at >= 0 && at < 60)
            minutes[at] += row.jobs;
    }
    return hour;
}

export function Cap({ queue, close }: { queue: Queue; close: () => void }) {
    const { say } = useMessages();
    const [slots, setSlots] = useState(queue.Slots === NO_CAP ? "" : String(queue.Slots));
    return (
        <Dialog title={`Cap of ${queue.Name}`} button="Set" close={close} act={async () => {
            if (!/^\d*$/.test(slots.trim()))
                throw new Error("The cap is a number, or empty for none.");
            await mill.call("SetQueue", "sa{sv}b", queue.Name, { Slots: { t: "u", v: slots.trim() === "" ? NO_CAP : Number(slots) } }, false);
            say(`The cap of ${queue.Name} is set`);
        }}>
            <Field label="Slots" value={slots} change={setSlots} help="Holds at once and for good. More are used at once; fewer end nothing, but nothing more starts until there is room. Empty: no cap." />
        </Dialog>
    );
}

function NewQueue({ close }: { close: () => void }) {
    const { say } = useMessages();
    const [name, setName] = useState(""), [slots, setSlots] = useState("1"), [users, setUsers] = useState("");
    return (
        <Dialog title="New queue" button="Create" close={close} act={async () => {
            if (name.trim() === "")
                throw new Error("The queue needs a name.");
            const settings = { ...variants({ Slots: slots.trim() || undefined }),
                               ...(users.trim() ? { AllowUsers: { t: "s", v: users.trim() } } : {}) };
            await mill.call("SetQueue", "sa{sv}b", name.trim(), settings, false);
            say(`Queue ${name} is there`);
        }}>
            <Field label="Name" required value={name} change={setName} help="a-z, 0-9 and _, parted by -: gpu-train lies inside gpu." />
            <Field label="Slots" value={slots} change={setSlots} help="How many slots its jobs may take together. Empty: no cap." />
            <Field label="Users who may submit" value={users} change={setUsers} help="Names with blanks between; * means everybody. Empty: root and queue managers only." />
        </Dialog>
    );
}

function Usage({ queue }: { queue: Queue }) {
    if (queue.Slots === NO_CAP)
        return <>{queue.SlotsUsed} of any number</>;
    return (
        <Progress aria-label={`Slots of ${queue.Name} in use`} size="sm" measureLocation="outside" value={queue.SlotsUsed} max={Math.max(queue.Slots, 1)}
                  label={`${queue.SlotsUsed} of ${queue.Slots}`} valueText={`${queue.SlotsUsed} of ${queue.Slots}`} />
    );
}

function Count({ queue, count, state }: { queue: string; count: number; state: string }) {
    if (count === 0)
        return <>0</>;
    const dead = state === "dead";
    return <a href={address([dead ? "dead" : "jobs"], dead ? { queue } : { queue, state })} aria-label={`${count} ${state} jobs of ${queue}`}>{count}</a>;
}

function QueueRow({ queue, minutes, reload }: { queue: Queue; minutes: number[] | undefined; reload: () => void }) {
    const { attempt } = useMessages();
    const open = useDialog();
    const done = minutes?.reduce((a, b) => a + b, 0) ?? 0;
    const act = (word: string, method: string) => async () => { if (await attempt(`${queue.Name} ${word}`, () => mill.call(method, "s", queue.Name))) reload(); };
    const actions: Action[] = [
        queue.Paused || queue.Draining ? { title: "Resume", act: act("goes on", "ResumeQueue") } : { title: "Pause", act: act("is paused", "PauseQueue") },
        { title: "Drain", disabled: queue.Draining, act: act("is draining", "DrainQueue") },
        { title: "Change cap", act: () => open(close => <Cap queue={queue} close={() => { close(); reload(); }} />) },
        { title: "Remove", danger: true, act: () => open(close => (
            <Dialog title={`Remove ${queue.Name}?`} button="Remove" danger close={() => { close(); reload(); }} act={() => mill.call("RemoveQueue", "s", queue.Name)}>
                Its files are deleted. Jobs that are done stay in the lists.
            </Dialog>
        )) },
    ];
    return (
        <Tr>
            <Td dataLabel="Queue">
                <a href={address(["jobs"], { queue: queue.Name })}>{queue.Name}</a>{" "}
                {queue.Paused && <Label isCompact color="orange">paused</Label>}{queue.Draining && <Label isCompact color="orange">draining</Label>}
                {queue.Reason && <div className="jm-quiet">{queue.Reason}</div>}
            </Td>
            <Td dataLabel="Slots">{<Usage queue={queue} />}</Td>
            <Td dataLabel="Running"><Count queue={queue.Name} count={queue.Running + queue.Starting + queue.Stopping} state="running" /></Td>
            <Td dataLabel="Ready"><Count queue={queue.Name} count={queue.Ready} state="ready" /></Td>
            <Td dataLabel="Waiting"><Count queue={queue.Name} count={queue.Waiting} state="waiting" /></Td>
            <Td dataLabel="Held"><Count queue={queue.Name} count={queue.Held} state="held" /></Td>
            <Td dataLabel="Dead"><Count queue={queue.Name} count={queue.Dead} state="dead" /></Td>
            <Td dataLabel="Last hour">{minutes && <Sparkline values={minutes} label={`${done} jobs done in the last hour`} />}</Td>
            <Td isActionCell><Menu label={`Actions for queue ${queue.Name}`} actions={actions} /></Td>
        </Tr>
    );
}

export function Queues() {
    const [page, setPage] = useState(0);
    const open = useDialog();
    const loaded = useData(() => loadQueues(page), [page]);
    const names = loaded.data?.queues.map(queue => queue.Name) ?? [];
    const hour = useData(() => loadHour(names), ["hour", names], { least: 5000 });
    return (
        <>
            <div className="jm-head">
                <Title headingLevel="h1">Queues</Title>
                <Button variant="secondary" onClick={() => open(close => <NewQueue close={() => { close(); loaded.reload(); }} />)}>New queue</Button>
            </div>
            <Loaded from={loaded} what="queues">
                {({ queues, all }) => queues.length === 0
                    ? <Empty title="No queues">A queue is made by a file, or here.</Empty>
                    : <>
                        <Table aria-label="Queues" variant="compact" gridBreakPoint="grid-lg">
                            <Thead>
                                <Tr><Th>Queue</Th><Th width={20}>Slots</Th><Th>Running</Th><Th>Ready</Th><Th>Waiting</Th><Th>Held</Th><Th>Dead</Th><Th>Last hour</Th><Th screenReaderText="Actions" /></Tr>
                            </Thead>
                            <Tbody>
                                {queues.map(queue => <QueueRow key={queue.Name} queue={queue} minutes={hour.data?.get(queue.Name)} reload={loaded.reload} />)}
                            </Tbody>
                        </Table>
                        {all > PAGE &&
                            <nav className="jm-paging" aria-label="Pages">
                                <span>{page * PAGE + 1}–{page * PAGE + queues.length} of {all}</span>
                                <Button variant="secondary" isDisabled={page === 0} onClick={() => setPage(page - 1)}>Previous</Button>
                                <Button variant="secondary" isDisabled={(page + 1) * PAGE >= all} onClick={() => setPage(page + 1)}>Next</Button>
                            </nav>}
                    </>}
            </Loaded>
        </>
    );
}
