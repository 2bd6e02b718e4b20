// SPDX-License-Identifier: LGPL-2.1-or-later
// What a job writes, as it writes it: "jobmill logs --follow", run in the user's session, which knows of journal and spool and of who may read
// them. The last part is kept, as a terminal keeps it; the view stays at the end until somebody scrolls up.

import { Button, Switch } from "@patternfly/react-core";
import { useEffect, useRef, useState } from "react";
import { cockpit } from "./cockpit";
import { MillError } from "./mill";
import { Problem } from "./states";

const KEPT = 200_000; // characters
const LINES = "1000";

export function JobLog({ id, attempt, live }: { id: number; attempt: number; live: boolean }) {
    const [text, setText] = useState("");
    const [error, setError] = useState<MillError>();
    const [ended, setEnded] = useState(false);
    const [wrap, setWrap] = useState(true);
    const box = useRef<HTMLPreElement>(null);
    const atEnd = useRef(true);

    useEffect(() => {
        let stopped = false;
        setText("");
        setError(undefined);
        setEnded(false);
        const argv = ["jobmill", "logs", "--no-pager", `--lines=${LINES}`, ...(live ? ["--follow"] : []), "--", String(id)];
        const process = cockpit.spawn(argv, { superuser: "try", err: "message", environ: ["SYSTEMD_COLORS=0"] });
        process.stream(more => { if (!stopped) setText(now => (now + more).slice(-KEPT)); });
        process.then(() => { if (!stopped) setEnded(true); },
                     reason => { if (!stopped) setError(new MillError(reason.problem ?? "failed", reason.message ?? String(reason))); });
        return () => {
            stopped = true;
            process.close("terminated");
        };
    }, [id, live, live ? 0 : attempt]);

    useEffect(() => {
        if (box.current && atEnd.current)
            box.current.scrollTop = box.current.scrollHeight;
    }, [text]);

    const scrolled = () => {
        const { scrollTop, scrollHeight, clientHeight } = box.current!;
        atEnd.current = scrollHeight - scrollTop - clientHeight < 8;
    };
    const save = () => {
        const link = document.createElement("a");
        link.href = URL.createObjectURL(new Blob([text], { type: "text/plain" }));
        link.download = `job-${id}.log`;
        link.click();
        URL.revokeObjectURL(link.href);
    };
    return (
        <>
            {error && <Problem error={error} />}
            <div className="jm-row jm-problem">
                <Switch id="wrap" label="Wrap lines" isChecked={wrap} onChange={(_event, on) => setWrap(on)} />
                <Button variant="link" isInline isDisabled={text === ""} onClick={save}>Save</Button>
                <span className="jm-quiet">{live ? "follows what it writes" : ended ? "" : "is read"}</span>
            </div>
            <pre ref={box} className="jm-log" style={wrap ? undefined : { whiteSpace: "pre" }} tabIndex={0} role="log" aria-label={`Log of job ${id}`} onScroll={scrolled}>
                {text || (ended ? "It has written nothing." : "Nothing yet.")}
            </pre>
        </>
    );
}
