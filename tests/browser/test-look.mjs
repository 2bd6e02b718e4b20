// SPDX-License-Identifier: LGPL-2.1-or-later
// Each view in light and dark, wide and narrow: no serious fault of accessibility (axe-core), nothing wider than the screen; a picture of each for
// people to look at. And the page by the keyboard alone.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { writeFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { as, job, jobmill, NARROW, quit, until, Visitor, WIDE } from "./browser.mjs";

writeFileSync("/var/tmp/proof", "", { mode: 0o755 }); // the first word of a job has to be there

let mila, worker, running, views;
before(async () => {
    worker = spawn("/usr/bin/python3", [`${process.env.JOBMILL_SOURCE}/tests/system/worker.py`, "/run/jobmill/org.jobmill",
                   `${process.env.JOBMILL_SOURCE}/docs/workers.md`, "served"], { stdio: "inherit" });
    jobmill("schedule", "set", "nightly", "OnCalendar=*-*-* 02:30", "--", "true");
    jobmill("schedule", "set", "poll", "OnUnitActiveSec=2h", "--", "true");
    jobmill("schedule", "pause", "poll");
    for (const words of [["true"], ["false"], ["sh", "-c", "kill -9 $$"], ["--priority", "5", "--hold", "-n", "a job with a name that is longer than a column would like it to be", "true"],
                         ["--at", "tomorrow", "-n", "tomorrow", "--tag", "kind=test", "--", "make", "-j8", "all"]])
        jobmill("submit", "--quiet", ...words);
    as("alice", "submit", "--quiet", "-q", "media", "-n", "hers", "--", "echo", "hello");
    running = Number(jobmill("submit", "-n", "frames", "--stdout", "spool", "--", "sh", "-c",
                             'for i in 1 2 3 4 5 6; do echo "frame $i of 6 is made"; done; systemd-notify --status="42% of the frames"; sleep 900'));
    writeFileSync("/var/tmp/look.json", JSON.stringify({ jobs: [
        { name: "fetch", argv: ["true"] }, { name: "build-arm", argv: ["sleep", "900"], after: ["fetch"], queue: "media" },
        { name: "build-x86", argv: ["true"], after: ["fetch"], queue: "media" }, { name: "lint", argv: ["false"], after: ["fetch"], queue: "media" },
        { name: "pack", argv: ["true"], after: ["build-arm", "build-x86", { job: "lint", on: "end" }], queue: "media" },
        { name: "mourn", argv: ["true"], after: [{ job: "lint", on: "failure" }], queue: "media" },
    ] }));
    const flow = jobmill("submit", "--flow", "/var/tmp/look.json");
    const pack = JSON.parse(jobmill("list", "--flow", flow, "--json=short")).find(each => each.name === "pack").id;
    jobmill("submit", "--quiet", "-q", "served", "--", "/var/tmp/proof", "stubborn");
    await until(() => job(running).progress === 42, "it has said how far it is");
    mila = await Visitor.login("mila", { administrator: true });
    views = { queues: "queues", jobs: "jobs", "job-running": `job/${running}`, flow: `job/${pack}`, dead: "dead", schedules: "schedules", workers: "workers", charts: "charts",
              submit: "submit", "not-there": "job/987654321" };
});
after(async () => { worker?.kill("SIGKILL"); await mila?.leave(); await quit(); });

for (const dark of [false, true])
    for (const [width, size] of [["wide", WIDE], ["narrow", NARROW]])
        test(`${dark ? "dark" : "light"}, ${width}`, async () => {
            await mila.page.setViewportSize(size);
            await mila.open("queues");
            await mila.theme(dark);
            const problems = [];
            for (const [name, view] of Object.entries(views)) {
                await mila.open(view);
                await new Promise(resolve => setTimeout(resolve, 300)); // the log comes a moment later
                const look = `${name}-${dark ? "dark" : "light"}-${width}`;
                await mila.picture(look);
                await mila.accessible(look).catch(error => problems.push(error.message));
            }
            assert.ok(problems.length === 0, problems.join("\n\n"));
        });

test("dialogs, menus and what is unfolded", async () => {
    for (const dark of [false, true]) {
        await mila.page.setViewportSize(dark ? NARROW : WIDE);
        await mila.open("queues");
        await mila.theme(dark);
        await mila.button("New queue").click();
        await mila.dialog().waitFor();
        await mila.accessible("dialog");
        await mila.picture(`dialog-${dark ? "dark-narrow" : "light-wide"}`);
        await mila.page.keyboard.press("Escape");
        await mila.dialog().waitFor({ state: "detached" });
        await mila.button("Actions for queue media").click();
        await mila.accessible("menu");
        await mila.page.keyboard.press("Escape");
        await mila.open("submit");
        await mila.button("More settings").click();
        await mila.accessible("all of the form");
        await mila.open("schedules");
        await mila.page.getByRole("button", { name: "Details" }).first().click();
        await mila.says("Last runs");
        await mila.accessible("a schedule's runs");
        await mila.open("charts");
        for (const toggle of await mila.page.getByRole("button", { name: "As a table" }).all())
            await toggle.click();
        await mila.accessible("charts as tables");
        await mila.open("jobs");
        await mila.page.getByLabel("Choose all jobs of this page").check();
        await mila.accessible("chosen jobs");
        await mila.picture(`chosen-${dark ? "dark-narrow" : "light-wide"}`);
    }
});

test("Cockpit's own choice of light and dark is followed", async () => {
    await mila.theme(false);
    const dark = () => mila.page.evaluate(() => document.documentElement.classList.contains("pf-v6-theme-dark"));
    await mila.page.evaluate(() => window.dispatchEvent(new CustomEvent("cockpit-style", { detail: { style: "dark" } })));
    assert.equal(await dark(), true);
    await mila.page.evaluate(() => window.dispatchEvent(new CustomEvent("cockpit-style", { detail: { style: "auto" } })));
    assert.equal(await dark(), false);
});

test("by the keyboard alone: to a job, its action, the question, and back", async () => {
    const id = Number(jobmill("submit", "-n", "by-key", "sleep", "900"));
    await mila.page.setViewportSize(WIDE);
    await mila.open("jobs?q=by-key");
    const { keyboard } = mila.page;
    await mila.page.reload();
    await mila.page.getByRole("link", { name: `Job ${id}`, exact: true }).waitFor();
    const focused = () => mila.page.evaluate(() => document.activeElement?.getAttribute("aria-label") || document.activeElement?.textContent || "");
    const tabTo = async name => {
        for (let i = 0; i < 60; i++) {
            if (await focused() === name)
                return;
            await keyboard.press("Tab");
        }
        assert.fail(`the keyboard does not reach ${name}`);
    };
    await keyboard.press("Tab");
    assert.equal(await focused(), "Skip to content");
    await keyboard.press("Enter");
    await tabTo(`Job ${id}`);
    await keyboard.press("Enter");
    await mila.page.getByRole("heading", { name: `Job ${id} (by-key)` }).waitFor();
    await tabTo("Cancel");
    await keyboard.press("Enter");
    await mila.page.waitForFunction(() => document.activeElement?.closest("[role=dialog]")); // there the focus goes by itself
    await tabTo("Cancel");
    await keyboard.press("Enter");
    await mila.dialog().waitFor({ state: "detached" });
    await until(() => job(id).result === "cancelled", "it is cancelled");
});
