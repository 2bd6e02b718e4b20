// SPDX-License-Identifier: LGPL-2.1-or-later
// State and result of a job as one label: the word always stands there, the colour only helps.

import { Label } from "@patternfly/react-core";
import type { Job } from "./types";

type Colour = "blue" | "green" | "red" | "orange" | "grey" | "teal";

const COLOURS: Record<string, Colour> = {
    held: "orange", waiting: "grey", ready: "teal", starting: "blue", running: "blue", stopping: "orange", success: "green", cancelled: "grey",
};

export function StateLabel({ job }: { job: Pick<Job, "state" | "result" | "frozen"> }) {
    const word = job.state === "done" ? job.result || "done" : job.frozen ? "frozen" : job.state;
    return <Label isCompact color={COLOURS[word] ?? "red"}>{word}</Label>;
}

export function isLive(job: Pick<Job, "state">): boolean {
    return ["starting", "running", "stopping"].includes(job.state);
}
