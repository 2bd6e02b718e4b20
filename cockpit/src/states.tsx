// SPDX-License-Identifier: LGPL-2.1-or-later
// What a view shows instead of, or above, its content: loading, nothing there, an error, not allowed, no daemon.

import { Alert, AlertActionLink, Bullseye, Button, EmptyState, EmptyStateActions, EmptyStateBody, EmptyStateFooter, Spinner } from "@patternfly/react-core";
import { DisconnectedIcon, ExclamationCircleIcon, LockIcon, SearchIcon } from "@patternfly/react-icons";
import type { ReactNode } from "react";
import type { Data } from "./hooks";
import { mill, type MillError } from "./mill";

export function Loading({ what }: { what: string }) {
    return <Bullseye className="jm-loading"><Spinner size="lg" aria-label={`Loading ${what}`} /></Bullseye>;
}

export function Empty({ title, children, action }: { title: string; children?: ReactNode; action?: ReactNode }) {
    return (
        <EmptyState variant="sm" titleText={title} headingLevel="h2" icon={SearchIcon}>
            {children && <EmptyStateBody>{children}</EmptyStateBody>}
            {action && <EmptyStateFooter><EmptyStateActions>{action}</EmptyStateActions></EmptyStateFooter>}
        </EmptyState>
    );
}

export function explain(error: MillError): { title: string; text: string } {
    if (error.denied)
        return { title: "Not allowed", text: `${error.message}. With administrative access, or the right by polkit, it can be done.` };
    if (error.away)
        return { title: "The daemon does not answer", text: "jobmilld is not running, or the connection was lost. Jobs that run are not touched by that." };
    return { title: "It did not work", text: error.message };
}

function Failure({ error, reload }: { error: MillError; reload: () => void }) {
    const { title, text } = explain(error);
    const icon = error.denied ? LockIcon : error.away ? DisconnectedIcon : ExclamationCircleIcon;
    return (
        <EmptyState variant="sm" titleText={title} headingLevel="h2" icon={icon} status={error.denied ? "warning" : "danger"}>
            <EmptyStateBody>{text}</EmptyStateBody>
            <EmptyStateFooter><EmptyStateActions><Button onClick={reload}>Try again</Button></EmptyStateActions></EmptyStateFooter>
        </EmptyState>
    );
}

/** The content once it is there; what was there before stays, with the error above it. */
export function Loaded<T>({ from, what, children }: { from: Data<T>; what: string; children: (data: T) => ReactNode }) {
    const { data, error, reload } = from;
    if (data === undefined)
        return error ? <Failure error={error} reload={reload} /> : <Loading what={what} />;
    return (
        <>
            {error && !error.away && <Problem error={error} />}
            {children(data)}
        </>
    );
}

/** An error of something that was tried. */
export function Problem({ error }: { error: MillError }) {
    const { title, text } = explain(error);
    return <Alert variant={error.denied ? "warning" : "danger"} isInline title={title} className="jm-problem">{text}</Alert>;
}

export function Away() {
    return (
        <Alert variant="danger" isInline title="The daemon does not answer" className="jm-problem"
               actionLinks={<AlertActionLink onClick={() => mill.reconnect()}>Connect again</AlertActionLink>}>
            What is shown may be old. Jobs that run are not touched by that.
        </Alert>
    );
}
