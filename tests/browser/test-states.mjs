// SPDX-License-Identifier: LGPL-2.1-or-later
// What the page shows while it loads, where nothing is, when something fails, and when the daemon is gone and comes back.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { after, before, test } from "node:test";
import { job, jobmill, quit, until, Visitor } from "./browser.mjs";

let mila;
before(async () => { mila = await Visitor.login("mila", { administrator: true }); });
after(async () => { await mila?.leave(); await quit(); });

const systemctl = (...words) => execFileSync("systemctl", words);

test("loading", async () => {
    // A daemon that stands still answers nothing.
    await mila.open("queues");
    systemctl("kill", "--signal=STOP", "jobmilld.service");
    try {
        await mila.page.evaluate(() => { location.hash = "#/workers"; });
        await mila.page.getByRole("progressbar", { name: "Loading workers" }).waitFor();
        await mila.picture("loading");
    } finally {
        systemctl("kill", "--signal=CONT", "jobmilld.service");
    }
    await mila.says("No workers");
});

test("empty", async () => {
    await mila.open("jobs?q=no-such-name");
    await mila.says("No jobs match");
    await mila.page.getByRole("link", { name: "Clear the filters" }).click();
    await until(() => mila.page.url().endsWith("#/jobs"), "no filter stands in the address");
});

test("an error", async () => {
    await mila.open("job/123456789");
    await mila.says("It did not work");
    await mila.picture("error");
    const id = jobmill("submit", "--hold", "true");
    await mila.open(`job/${id}`);
    await mila.button("Edit").click();
    await mila.dialog().getByLabel("Slots").fill("900");
    await mila.button("Save", mila.dialog()).click();
    await mila.dialog().getByText("It did not work").waitFor();
    await mila.button("Back", mila.dialog()).click();
    assert.equal(job(id).slots, 1);
    jobmill("cancel", id);
});

test("the daemon is gone, and comes back", async () => {
    await mila.open("queues");
    systemctl("mask", "--runtime", "jobmilld.service");
    systemctl("stop", "jobmilld.socket", "jobmilld.service");
    try {
        await mila.page.getByText("The daemon does not answer").first().waitFor();
        await mila.page.getByRole("grid", { name: "Queues" }).waitFor(); // what was there stays
        await mila.picture("away");
        await mila.page.evaluate(() => { location.hash = "#/jobs"; });
        await mila.page.getByRole("button", { name: "Try again" }).or(mila.page.getByRole("button", { name: "Connect again" })).first().waitFor();
    } finally {
        systemctl("unmask", "--runtime", "jobmilld.service");
        systemctl("start", "jobmilld.socket", "jobmilld.service");
    }
    await mila.page.getByText("The daemon does not answer").first().waitFor({ state: "detached" });
    // and it hears of changes again
    await mila.open("jobs");
    const id = jobmill("submit", "-n", "later", "true");
    await mila.page.getByRole("link", { name: `Job ${id}`, exact: true }).waitFor();
});
