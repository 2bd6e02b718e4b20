// SPDX-License-Identifier: LGPL-2.1-or-later
// The workers: who they are, what they serve and have, whether they are there; drain one. They come and go without a signal.

import { Label, Title } from "@patternfly/react-core";
import { Table, Tbody, Td, Th, Thead, Tr } from "@patternfly/react-table";
import { Dialog, useDialog } from "./dialog";
import { time } from "./format";
import { address, useData } from "./hooks";
import { Menu } from "./menu";
import { mill } from "./mill";
import { Empty, Loaded } from "./states";
import type { Worker } from "./types";

function WorkerRow({ worker, reload }: { worker: Worker; reload: () => void }) {
    const open = useDialog();
    const name = worker.name || `worker ${worker.id}`;
    return (
        <Tr>
            <Td dataLabel="Worker">{name}{worker.unit && <div className="jm-quiet jm-words">{worker.unit}</div>}</Td>
            <Td dataLabel="State">
                {worker.connected ? <Label isCompact color="green">connected</Label> : <Label isCompact color="red">away</Label>}{" "}
                {worker.draining && <Label isCompact color="orange">draining</Label>}
            </Td>
            <Td dataLabel="Queues">{worker.queues.map(queue => <a key={queue} href={address(["jobs"], { queue })}>{queue} </a>)}</Td>
            <Td dataLabel="Slots">{worker.slots_used} of {worker.slots}</Td>
            <Td dataLabel="Jobs">{worker.jobs}</Td>
            <Td dataLabel="User">{worker.user ?? worker.uid}</Td>
            <Td dataLabel="Process">{worker.pid}</Td>
            <Td dataLabel="Since">{time(worker.registered_usec)}</Td>
            <Td isActionCell>
                <Menu label={`Actions for ${name}`} actions={[{ title: "Drain", disabled: worker.draining, act: () => open(close => (
                    <Dialog title={`Drain ${name}?`} button="Drain" close={close} act={async () => { await mill.call("DrainWorker", "t", worker.id); reload(); }}>
                        It is given nothing more; what it has it completes.
                    </Dialog>
                )) }]} />
            </Td>
        </Tr>
    );
}

export function Workers() {
    const loaded = useData(() => mill.list<Worker>("ListWorkers"), ["workers"], { every: 5000 });
    return (
        <>
            <div className="jm-head"><Title headingLevel="h1">Workers</Title></div>
            <Loaded from={loaded} what="workers">
                {workers => workers.length === 0
                    ? <Empty title="No workers">Long-lived processes that register on jobmill's socket are listed here. Jobs of other queues need none.</Empty>
                    : <Table aria-label="Workers" variant="compact" gridBreakPoint="grid-lg">
                        <Thead><Tr><Th>Worker</Th><Th>State</Th><Th>Queues</Th><Th>Slots</Th><Th>Jobs</Th><Th>User</Th><Th>Process</Th><Th>Since</Th><Th screenReaderText="Actions" /></Tr></Thead>
                        <Tbody>{workers.map(worker => <WorkerRow key={worker.id} worker={worker} reload={loaded.reload} />)}</Tbody>
                    </Table>}
            </Loaded>
        </>
    );
}
