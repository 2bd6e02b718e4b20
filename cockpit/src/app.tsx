// SPDX-License-Identifier: LGPL-2.1-or-later
// The page's frame: the views, which of them is shown (the address says), and what holds for all: no connection, nothing is started.

import { Alert, Nav, NavItem, NavList, Page, PageSection, SkipToContent, Tooltip, Label } from "@patternfly/react-core";
import type { ReactNode } from "react";
import { Charts } from "./charts";
import { Dialogs } from "./dialog";
import { address, useAdministrator, useConnection, useData, usePlace, type Place } from "./hooks";
import { JobPage } from "./job";
import { DeadLetters, Jobs } from "./jobs";
import { MessageGroup } from "./messages";
import { mill } from "./mill";
import { Queues } from "./queues";
import { Schedules } from "./schedules";
import { Away } from "./states";
import { Submit } from "./submit";
import type { Statistics } from "./types";
import { Workers } from "./workers";

const VIEWS: [string, string, (place: Place) => ReactNode][] = [
    ["queues", "Queues", () => <Queues />],
    ["jobs", "Jobs", place => <Jobs options={place.options} />],
    ["dead", "Dead letters", place => <DeadLetters options={place.options} />],
    ["schedules", "Schedules", () => <Schedules />],
    ["workers", "Workers", () => <Workers />],
    ["charts", "Charts", place => <Charts options={place.options} />],
    ["submit", "Submit", place => <Submit options={place.options} />],
];

function View({ place }: { place: Place }) {
    const [name = "queues", id] = place.path;
    if (name === "job" && /^\d+$/.test(id ?? ""))
        return <JobPage key={id} id={Number(id)} />;
    const view = VIEWS.find(([key]) => key === name) ?? VIEWS[0];
    return <>{view[2](place)}</>;
}

function Dispatch() {
    const statistics = useData(() => mill.get<Statistics>("GetStatistics"), ["statistics"], { least: 5000 });
    const why = statistics.data?.dispatch;
    return why ? <Alert variant="warning" isInline title={`No job is started: ${why}`} className="jm-problem" /> : null;
}

export function App() {
    const place = usePlace();
    const connection = useConnection();
    const administrator = useAdministrator();
    const current = place.path[0] === "job" ? "jobs" : place.path[0] ?? "queues";
    return (
        <MessageGroup>
            <Dialogs>
                <Page className="pf-m-no-sidebar" isContentFilled mainContainerId="main" mainAriaLabel="Job queues"
                      skipToContent={<SkipToContent href="#main" onClick={event => { event.preventDefault(); document.getElementById("main")?.focus(); }}>Skip to content</SkipToContent>}
                      horizontalSubnav={
                          <Nav variant="horizontal-subnav" aria-label="Views">
                              <NavList>
                                  {VIEWS.map(([key, title]) => (
                                      <NavItem key={key} itemId={key} isActive={key === current} to={address([key])}>{title}</NavItem>
                                  ))}
                              </NavList>
                          </Nav>
                      }>
                    <PageSection isFilled hasBodyWrapper={false}>
                        {connection === "away" && <Away />}
                        {connection === "connected" && <Dispatch />}
                        {administrator === false &&
                            <Tooltip content="You see the details of your own jobs only, and may change those. Cockpit's administrative access gives more.">
                                <Label tabIndex={0} color="grey" className="jm-access">Limited access</Label>
                            </Tooltip>}
                        <View place={place} />
                    </PageSection>
                </Page>
            </Dialogs>
        </MessageGroup>
    );
}
