// SPDX-License-Identifier: LGPL-2.1-or-later
// Everything that an administrator can do to queues and jobs, by clicking; what became of it is asked of the daemon.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { as, job, jobmill, queue, quit, until, Visitor } from "./browser.mjs";

let mila;
before(async () => { mila = await Visitor.login("mila", { administrator: true }); });
after(async () => { await mila?.leave(); await quit(); });

const submit = (...words) => Number(jobmill("submit", ...words));
const state = (id, wanted) => until(() => job(id).state === wanted || job(id).result === wanted, `job ${id} is ${wanted}`);

test("a queue is paused, resumed, drained and resumed", async () => {
    await mila.open("queues");
    const actions = "Actions for queue media";
    await mila.menu(actions, "Pause");
    await mila.says("media is paused");
    assert.equal(queue("media").paused, true);
    await mila.page.getByText("paused", { exact: true }).waitFor();
    await mila.menu(actions, "Resume");
    await mila.says("media goes on");
    assert.equal(queue("media").paused, false);
    await mila.menu(actions, "Drain");
    await mila.says("media is draining");
    assert.equal(queue("media").draining, true);
    await mila.menu(actions, "Resume");
    await until(() => !queue("media").draining, "drained no more");
});

test("what another does to a queue is shown without a click", async () => {
    await mila.open("queues");
    const row = mila.page.getByRole("row").filter({ hasText: "media" });
    jobmill("queue", "pause", "media");
    await row.getByText("paused", { exact: true }).waitFor();
    jobmill("queue", "resume", "media");
    await row.getByText("paused", { exact: true }).waitFor({ state: "detached" });
});

test("a cap is changed while jobs wait for it", async () => {
    const ids = [1, 2, 3].map(() => submit("-q", "media", "sleep", "600"));
    await until(() => queue("media").slots_used === 2, "two run");
    await mila.open("queues");
    await mila.menu("Actions for queue media", "Change cap");
    await mila.dialog().getByLabel("Slots").fill("three");
    await mila.button("Set", mila.dialog()).click();
    await mila.dialog().getByText("The cap is a number").waitFor();
    await mila.dialog().getByLabel("Slots").fill("3");
    await mila.confirm("Set");
    await until(() => queue("media").slots_used === 3, "three run");
    await mila.page.getByRole("progressbar", { name: "Slots of media in use" }).getByText("3 of 3").or(mila.page.getByText("3 of 3")).first().waitFor();
    await mila.menu("Actions for queue media", "Change cap");
    await mila.dialog().getByLabel("Slots").fill("");
    await mila.confirm("Set");
    await until(() => queue("media").slots === null, "no cap");
    jobmill("cancel", ...ids.map(String));
    jobmill("queue", "set", "media", "Slots=2");
});

test("a queue is made and removed", async () => {
    await mila.open("queues");
    await mila.button("New queue").click();
    await mila.dialog().getByLabel("Name").fill("night");
    await mila.dialog().getByLabel("Slots").fill("5");
    await mila.dialog().getByLabel("Users who may submit").fill("alice bob");
    await mila.confirm("Create");
    await mila.page.getByRole("link", { name: "night", exact: true }).waitFor();
    assert.equal(queue("night").slots, 5);
    await mila.menu("Actions for queue night", "Remove");
    await mila.confirm("Remove");
    await mila.page.getByRole("link", { name: "night", exact: true }).waitFor({ state: "detached" });
    assert.ok(!jobmill("queue", "show", "--json=short", "night").includes("night.queue"));
});

test("a job is held, released, edited, cancelled and tried again", async () => {
    jobmill("queue", "pause", "media");
    const id = submit("-q", "media", "-n", "before", "sleep", "600");
    await mila.open(`job/${id}`);
    await mila.button("Hold").click();
    await state(id, "held");
    await mila.button("Release").click();
    await state(id, "ready");
    await mila.button("Edit").click();
    const dialog = mila.dialog();
    await dialog.getByLabel("Name").fill("after");
    await dialog.getByLabel("Priority").fill("7");
    await dialog.getByLabel("Time-out").fill("1h 30min");
    await dialog.getByLabel("Tags").fill("colour=green shape='a b'");
    await mila.confirm("Save");
    const { name, priority, timeout_usec, tags } = job(id);
    assert.deepEqual({ name, priority, timeout_usec, tags }, { name: "after", priority: 7, timeout_usec: 5400e6, tags: { colour: "green", shape: "a b" } });
    await mila.page.getByRole("heading", { name: `Job ${id} (after)` }).waitFor();
    // one tag is taken away, the queue is another
    await mila.button("Edit").click();
    await dialog.getByLabel("Tags").fill("shape='a b'");
    await dialog.getByLabel("Time-out").fill("");
    await dialog.getByLabel("Queue").fill("default");
    await mila.confirm("Save");
    await until(() => job(id).queue === "default", "it is in the other queue");
    assert.deepEqual(job(id).tags, { shape: "a b" });
    assert.equal(job(id).timeout_usec, null);
    await state(id, "running");
    await mila.button("Cancel").click();
    await mila.confirm("Cancel");
    await state(id, "cancelled");
    await mila.button("Retry").click();
    await state(id, "running");
    assert.equal(job(id).attempt, 2);
    jobmill("cancel", String(id));
    jobmill("queue", "resume", "media");
});

test("a job of another user is edited", async () => {
    const id = Number(as("alice", "submit", "--hold", "-n", "hers", "true"));
    await mila.open(`job/${id}`);
    await mila.button("Edit").click();
    await mila.dialog().getByLabel("Priority").fill("-5");
    await mila.confirm("Save");
    assert.equal(job(id).priority, -5);
    jobmill("cancel", String(id));
});

test("a job is frozen and thawed, by the list's menu", async () => {
    const id = submit("sleep", "600");
    await state(id, "running");
    await mila.open(`jobs?q=${id}`);
    const label = `Actions for job ${id}`;
    await mila.menu(label, "Freeze");
    await until(() => job(id).frozen, "it is frozen");
    await mila.page.getByText("frozen", { exact: true }).waitFor();
    await mila.menu(label, "Thaw");
    await until(() => !job(id).frozen, "it is thawed");
    await mila.menu(label, "Cancel");
    await mila.confirm("Cancel");
    await state(id, "cancelled");
});

test("a job is purged", async () => {
    const id = submit("--wait", "true");
    await mila.open(`job/${id}`);
    await mila.menu(`More actions for job ${id}`, "Purge");
    await mila.confirm("Purge");
    await mila.page.getByRole("heading", { name: "Jobs" }).waitFor();
    assert.throws(() => job(id));
});

test("many jobs: chosen ones, after a question", async () => {
    const ids = [1, 2, 3].map(() => submit("--tag", "many=1", "--at", "tomorrow", "true"));
    await mila.open("jobs?q=many%3D1");
    await mila.page.getByLabel(`Choose job ${ids[0]}`).check();
    await mila.page.getByLabel(`Choose job ${ids[1]}`).check();
    const bar = mila.page.getByRole("group", { name: "Actions for the chosen jobs" });
    await mila.button("Hold", bar).click();
    await mila.dialog().getByText("Hold 2 chosen jobs?").waitFor();
    await mila.button("Back", mila.dialog()).click(); // it was but a question
    await mila.dialog().waitFor({ state: "detached" });
    assert.equal(job(ids[0]).state, "waiting");
    await mila.button("Hold", bar).click();
    await mila.confirm("Hold");
    await state(ids[0], "held");
    assert.deepEqual(ids.map(id => job(id).state), ["held", "held", "waiting"]);
    await mila.page.getByLabel("Choose all jobs of this page").check();
    await mila.button("Release", bar).click();
    await mila.confirm("Release");
    await state(ids[0], "waiting");
    await mila.page.getByLabel("Choose all jobs of this page").check();
    await mila.button("Cancel", bar).click();
    await mila.confirm("Cancel");
    for (const id of ids)
        await state(id, "cancelled");
    await mila.page.getByLabel("Choose all jobs of this page").check();
    await mila.button("Purge", bar).click();
    await mila.confirm("Purge");
    await mila.says("No jobs match");
});

test("many jobs: all that match, more than a page shows", async () => {
    const ids = Array.from({ length: 40 }, () => submit("--quiet", "--tag", "many=2", "--hold", "true"));
    await mila.open("jobs?q=many%3D2");
    await mila.page.getByLabel("Choose all jobs of this page").check();
    await mila.button("Choose all that match the filter").click();
    const bar = mila.page.getByRole("group", { name: "Actions for the chosen jobs" });
    await bar.getByText("all 40 jobs of this filter").waitFor();
    await mila.button("Cancel", bar).click();
    await mila.confirm("Cancel");
    await mila.says("Cancel: 40 jobs");
    assert.ok(ids.every(id => job(id).result === "cancelled"));
});

test("many jobs: the same change of all of them", async () => {
    const ids = [1, 2, 3].map(n => submit("--tag", "edit=1", "--tag", `n=${n}`, "--hold", "--timeout", "1h", "true"));
    const done = submit("--wait", "--tag", "edit=1", "true");
    await mila.open("jobs?q=edit%3D1");
    await mila.page.getByLabel("Choose all jobs of this page").check();
    const bar = mila.page.getByRole("group", { name: "Actions for the chosen jobs" });
    await mila.button("Edit", bar).click();
    await mila.button("Save", mila.dialog()).click();
    await mila.dialog().getByText("nothing is filled in").waitFor();
    await mila.dialog().getByLabel("Priority").fill("9");
    await mila.dialog().getByLabel("Time-out").fill("infinity");
    await mila.dialog().getByLabel("Tags").fill("colour=red n=");
    await mila.picture("edit-many");
    await mila.confirm("Save");
    await mila.says("Edit: 3 jobs");
    for (const id of ids) {
        const { priority, timeout_usec, tags, queue, slots } = job(id);
        assert.deepEqual({ priority, timeout_usec, tags, queue, slots }, { priority: 9, timeout_usec: null, tags: { edit: "1", colour: "red" }, queue: "default", slots: 1 });
    }
    assert.deepEqual(job(done).tags, { edit: "1" }); // one that is done has no priority to change
    // one that is refused ends it, and the form says which
    await mila.page.getByLabel("Choose all jobs of this page").check();
    await mila.button("Edit", bar).click();
    await mila.dialog().getByLabel("Slots").fill("9999");
    await mila.button("Save", mila.dialog()).click();
    await mila.dialog().getByText(new RegExp(`job ${ids[0]}`)).waitFor();
    await mila.button("Back", mila.dialog()).click();
    for (const id of ids)
        jobmill("cancel", String(id));
});

test("dead letters are tried again and purged", async () => {
    const ids = [1, 2].map(() => submit("--tag", "dead=1", "false"));
    for (const id of ids)
        await state(id, "exit-code");
    await mila.open("dead?q=dead%3D1");
    for (const id of ids)
        await mila.page.getByRole("link", { name: `Job ${id}`, exact: true }).waitFor();
    await mila.picture("dead");
    const bar = mila.page.getByRole("group", { name: "Actions for the chosen jobs" });
    await mila.page.getByLabel(`Choose job ${ids[0]}`).check();
    await mila.button("Retry", bar).click();
    await mila.confirm("Retry");
    await until(() => job(ids[0]).attempt === 2 && job(ids[0]).state === "done", "it was tried again");
    assert.equal(job(ids[1]).attempt, 1);
    for (const id of ids) // the page hears of it a little later
        await mila.page.getByRole("link", { name: `Job ${id}`, exact: true }).waitFor();
    await mila.page.getByLabel("Choose all jobs of this page").check();
    await mila.button("Purge", bar).click();
    await mila.confirm("Purge");
    await mila.says("No dead letters");
    assert.throws(() => job(ids[1]));
});
