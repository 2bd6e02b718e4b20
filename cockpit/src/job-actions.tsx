// SPDX-License-Identifier: LGPL-2.1-or-later
// What can be done to jobs: which action makes sense in which state, what is asked before, and the call that does it. Of one job, of those
// that are chosen in a list, or of all that match a filter.

import { useMemo } from "react";
import { Dialog, useDialog } from "./dialog";
import { EditJob, EditJobs } from "./job-edit";
import { jobs } from "./format";
import { go } from "./hooks";
import type { Action } from "./menu";
import { useMessages } from "./messages";
import { mill, variants, type Dictionary } from "./mill";
import type { Job, State } from "./types";

interface Verb {
    title: string;
    method: string;
    /** Of many at once: the call that takes a filter; it leaves alone those that it makes no sense for. */
    many?: string;
    /** The call takes options too. */
    options?: boolean;
    states: State[];
    danger?: boolean;
    /** What happens, asked before it is done. */
    question?: string;
    /** Done of one job: so it says. */
    done: string;
    fits?: (job: Job) => boolean;
}

const BEFORE: State[] = ["waiting", "ready"];

export const VERBS: Verb[] = [
    { title: "Cancel", method: "CancelJob", many: "CancelJobs", states: ["held", ...BEFORE, "starting", "running"], danger: true, done: "is cancelled",
      question: "What has not started never will. What runs gets SIGTERM, and SIGKILL after its stop time-out." },
    { title: "Hold", method: "HoldJob", many: "HoldJobs", states: BEFORE, done: "is held" },
    { title: "Release", method: "ReleaseJob", many: "ReleaseJobs", states: ["held"], done: "is released" },
    { title: "Retry", method: "RetryJob", many: "RetryJobs", options: true, states: ["done"], done: "is tried again",
      question: "Each is opened again with one more attempt. Earlier results stay with their attempts." },
    { title: "Freeze", method: "FreezeJob", states: ["running"], done: "stands still", fits: job => !job.frozen },
    { title: "Thaw", method: "ThawJob", states: ["running"], done: "goes on", fits: job => !!job.frozen },
];

const PURGE: Verb = { title: "Purge", method: "", many: "PurgeJobs", states: ["done"], danger: true, done: "is gone",
                      question: "They are deleted with their attempts and results. That cannot be undone." };

export const BULK = [...VERBS.filter(verb => verb.many), PURGE];

/** Actions of one job, those that its state allows. */
export function useJobActions(job: Job, reload: () => void): Action[] {
    const { attempt } = useMessages();
    const open = useDialog();
    const fitting = VERBS.filter(verb => verb.states.includes(job.state) && (verb.fits?.(job) ?? true));
    const act = (verb: Verb) => {
        const call = () => verb.options ? mill.call(verb.method, "ta{sv}", job.id, {}) : mill.call(verb.method, "t", job.id);
        if (verb.danger)
            open(close => (
                <Dialog title={`${verb.title} job ${job.id}?`} button={verb.title} danger close={close} act={async () => { await call(); reload(); }}>{verb.question}</Dialog>
            ));
        else
            void attempt(`Job ${job.id} ${verb.done}`, call).then(ok => ok && reload());
    };
    const actions: Action[] = fitting.map(verb => ({ title: verb.title, danger: verb.danger, act: () => act(verb) }));
    actions.push({ title: "Edit", act: () => open(close => <EditJob job={job} close={close} done={reload} />) });
    if (job.argv || job.type)
        actions.push({ title: "Submit another like it", act: () => go(["submit"], { like: String(job.id) }) });
    if (job.state === "done")
        actions.push({ title: "Purge", danger: true, act: () => open(close => (
            <Dialog title={`Purge job ${job.id}?`} button="Purge" danger close={close} act={async () => {
                await mill.call("PurgeJobs", "a{sv}", variants({ ids: [job.id] }));
                go(["jobs"]);
            }}>It is deleted with its attempts and results. That cannot be undone.</Dialog>
        )) });
    return actions;
}

function Bulk({ verb, filter, what, close, done }: { verb: Verb; filter: Dictionary; what: string; close: () => void; done: () => void }) {
    const { say } = useMessages();
    // Made once: sent again after an answer that was lost it changes nothing that it has changed.
    const given = useMemo(() => variants(filter), [filter]);
    return (
        <Dialog title={`${verb.title} ${what}?`} button={verb.title} danger={verb.danger} close={close} act={async () => {
            const [count] = verb.options ? await mill.call<[number]>(verb.many!, "a{sv}a{sv}", given, {}) : await mill.call<[number]>(verb.many!, "a{sv}", given);
            say(`${verb.title}: ${jobs(count)}`);
            done();
        }}>
            {verb.question ?? "Those that it makes no sense for are left alone."}
        </Dialog>
    );
}

/** Actions of many jobs; each asks first. */
export function useBulkActions(filter: Dictionary, what: string, done: () => void): Action[] {
    const open = useDialog();
    const verbs: Action[] = BULK.map(verb => ({
        title: verb.title,
        danger: verb.danger,
        act: () => open(close => <Bulk verb={verb} filter={filter} what={what} close={close} done={done} />),
    }));
    return [{ title: "Edit", act: () => open(close => <EditJobs filter={filter} what={what} close={close} done={done} />) }, ...verbs];
}
