// SPDX-License-Identifier: LGPL-2.1-or-later
// A user without administrative access: everything with her own jobs and schedules, nothing of others' but what everybody may know, and a clear
// word where polkit or the daemon say no.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { after, before, test } from "node:test";
import { as, job, jobmill, queue, quit, until, Visitor } from "./browser.mjs";

let alice;
before(async () => { alice = await Visitor.login("alice"); });
after(async () => { await alice?.leave(); await quit(); });

test("she is told that her access is limited", async () => {
    await alice.open("queues");
    await alice.says("Limited access");
});

test("queues are not hers to change", async () => {
    await alice.open("queues");
    for (const action of ["Pause", "Drain"]) {
        await alice.menu("Actions for queue media", action);
        await alice.page.getByText("Not allowed").first().waitFor();
        await alice.page.getByRole("button", { name: /^Close/ }).first().click();
    }
    await alice.menu("Actions for queue media", "Change cap");
    await alice.dialog().getByLabel("Slots").fill("50");
    await alice.button("Set", alice.dialog()).click();
    await alice.dialog().getByText("Not allowed").waitFor();
    await alice.picture("denied");
    await alice.button("Back", alice.dialog()).click();
    await alice.button("New queue").click();
    await alice.dialog().getByLabel("Name").fill("mine");
    await alice.button("Create", alice.dialog()).click();
    await alice.dialog().getByText("Not allowed").waitFor();
    const { paused, draining, slots } = queue("media");
    assert.deepEqual({ paused, draining, slots }, { paused: false, draining: false, slots: 2 });
});

test("of a job of another user she sees what everybody may, and cannot touch it", async () => {
    const id = Number(as("bob", "submit", "-n", "secret", "--", "sleep", "601"));
    await until(() => job(id).state === "running", "it runs");
    await alice.open(`job/${id}`);
    await alice.says("Its owner alone may read it");
    const text = await alice.page.locator("body").innerText();
    assert.ok(!text.includes("secret") && !text.includes("601"));
    assert.equal(await alice.page.getByRole("log").count(), 0);
    await alice.button("Cancel").click();
    await alice.button("Cancel", alice.dialog()).click();
    await alice.dialog().getByText("Not allowed").waitFor();
    assert.equal(job(id).state, "running");
    await alice.open("jobs");
    await alice.page.getByRole("row").filter({ has: alice.page.getByRole("link", { name: `Job ${id}`, exact: true }) }).getByText("of another user").waitFor();
    // chosen among others it is left alone
    await alice.page.getByLabel(`Choose job ${id}`).check();
    const bar = alice.page.getByRole("group", { name: "Actions for the chosen jobs" });
    await alice.button("Cancel", bar).click();
    await alice.button("Cancel", alice.dialog()).click();
    await alice.page.getByText("Cancel: 0 jobs").or(alice.dialog().getByText("Not allowed")).first().waitFor();
    assert.equal(job(id).state, "running");
    jobmill("cancel", String(id));
});

test("her own job: submitted, held, released, edited, read, cancelled, tried again, purged", async () => {
    await alice.open("submit");
    await alice.page.getByLabel("Command").fill("sh -c 'echo I am $(id -un); sleep 600'");
    await alice.page.getByLabel("Hold: it does not start until it is released").check();
    await alice.button("Submit").click();
    await alice.page.getByRole("heading", { name: /^Job \d+/ }).waitFor();
    const id = Number(/\d+/.exec(await alice.page.getByRole("heading", { name: /^Job \d+/ }).innerText())[0]);
    assert.deepEqual([job(id).state, job(id).owner], ["held", Number(execFileSync("id", ["-u", "alice"]))]);
    await alice.button("Edit").click();
    await alice.dialog().getByLabel("Priority").fill("2");
    await alice.confirm("Save");
    assert.equal(job(id).priority, 2);
    await alice.button("Release").click();
    await alice.page.getByRole("log").getByText("I am alice").waitFor();
    await alice.button("Cancel").click();
    await alice.confirm("Cancel");
    await until(() => job(id).result === "cancelled", "it is cancelled");
    await alice.button("Retry").click();
    await until(() => job(id).attempt === 2, "it runs again");
    as("alice", "cancel", String(id));
    await until(() => job(id).state === "done", "it is done");
    await alice.menu(`More actions for job ${id}`, "Purge");
    await alice.confirm("Purge");
    assert.throws(() => job(id));
});

test("a privileged property is refused", async () => {
    await alice.open("submit");
    await alice.page.getByLabel("Command").fill("true");
    await alice.button("More settings").click();
    await alice.page.getByLabel("Unit properties").fill("AmbientCapabilities=CAP_SYS_ADMIN");
    await alice.button("Submit").click();
    await alice.page.getByText(/Not allowed|It did not work/).first().waitFor();
});

test("a schedule of her own; root's is not hers", async () => {
    jobmill("schedule", "set", "roots", "OnCalendar=daily", "--", "true");
    await alice.open("schedules");
    await alice.button("New schedule").click();
    await alice.dialog().getByLabel("Name").fill("hers");
    await alice.dialog().getByLabel("Command").fill("true");
    await alice.confirm("Create");
    await alice.menu("Actions for schedule hers", "Fire now");
    await alice.says("hers is fired");
    await alice.menu("Actions for schedule hers", "Remove");
    await alice.confirm("Remove");
    await alice.menu("Actions for schedule roots", "Fire now");
    await alice.page.getByText("Not allowed").first().waitFor();
    jobmill("schedule", "remove", "roots");
});

test("charts count her own jobs", async () => {
    await alice.open("charts");
    await alice.says("Your own jobs are counted");
});

test("many of her own jobs at once, by a filter", async () => {
    for (let i = 0; i < 3; i++)
        as("alice", "submit", "--quiet", "--hold", "-n", "three", "true");
    const other = Number(as("bob", "submit", "--hold", "-n", "three", "true"));
    await alice.open("jobs?q=three");
    await alice.page.getByLabel("Choose all jobs of this page").check();
    const bar = alice.page.getByRole("group", { name: "Actions for the chosen jobs" });
    await bar.getByText("3 chosen jobs").waitFor(); // a name finds only jobs that she may read
    await alice.button("Cancel", bar).click();
    await alice.confirm("Cancel");
    await alice.says("Cancel: 3 jobs");
    assert.equal(job(other).state, "held");
    jobmill("cancel", String(other));
});
