// SPDX-License-Identifier: LGPL-2.1-or-later
// The page is found in Cockpit's menu, and shows what is there: queues, jobs with filters, a job.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { as, jobmill, quit, until, Visitor } from "./browser.mjs";

let mila, id;
before(async () => {
    id = jobmill("submit", "--wait", "-n", "first", "--tag", "colour=red", "--", "echo", "hello from the job");
    mila = await Visitor.login("mila", { administrator: true });
});
after(async () => { await mila?.leave(); await quit(); });

test("it is in Cockpit's menu, and in its frame", async () => {
    await mila.page.getByRole("link", { name: "Job queues" }).waitFor();
    await mila.frame().getByRole("heading", { name: "Queues" }).waitFor();
    await mila.frame().getByRole("grid", { name: "Queues" }).getByRole("link", { name: "default", exact: true }).waitFor();
    await mila.picture("shell-queues");
});

test("queues", async () => {
    await mila.open("queues");
    for (const name of ["default", "media", "served"])
        await mila.page.getByRole("link", { name, exact: true }).waitFor();
    await mila.page.getByRole("img", { name: /^\d+ jobs done in the last hour$/ }).first().waitFor();
});

test("jobs, by a link of the queue", async () => {
    await mila.page.getByRole("link", { name: "default", exact: true }).click();
    await mila.page.getByRole("heading", { name: "Jobs" }).waitFor();
    await mila.page.getByRole("link", { name: `Job ${id}`, exact: true }).waitFor();
});

test("search by name, tag and id", async () => {
    await mila.open("jobs");
    for (const [text, found] of [["first", true], ["second", false], ["colour=red", true], ["colour=blue", false], [id, true]]) {
        await mila.page.getByLabel("Search: name, id or tag=value").fill(text);
        await until(async () => await mila.page.getByRole("link", { name: `Job ${id}`, exact: true }).count() === (found ? 1 : 0), `search for ${text}`);
        if (!found)
            await mila.page.getByText(/No jobs match|None so far/).first().waitFor(); // it looks at so many jobs and no more
    }
});

test("of one owner, by name or number", async () => {
    const hers = Number(as("alice", "submit", "--hold", "true"));
    await mila.open("jobs");
    const owner = mila.page.getByLabel("Owner", { exact: true });
    for (const [text, hits] of [["alice", [true, false]], ["root", [false, true]], ["0", [false, true]]]) {
        await owner.fill(text);
        for (const [i, each] of [hers, id].entries())
            await until(async () => await mila.page.getByRole("link", { name: `Job ${each}`, exact: true }).count() === (hits[i] ? 1 : 0), `job ${each} of ${text}`);
    }
    await owner.fill("nobody-of-that-name");
    await mila.says("there is no user nobody-of-that-name");
    await owner.fill("");
    await mila.page.getByRole("link", { name: `Job ${hers}`, exact: true }).waitFor();
    jobmill("cancel", String(hers));
});

test("a job, with its log", async () => {
    await mila.open(`job/${id}`);
    await mila.page.getByRole("heading", { name: `Job ${id} (first)` }).waitFor();
    await mila.page.getByRole("log").getByText("hello from the job").waitFor();
    const attempts = mila.page.getByRole("grid", { name: "Attempts" });
    assert.match(await attempts.innerText(), /success/);
    await mila.picture("job");
});
