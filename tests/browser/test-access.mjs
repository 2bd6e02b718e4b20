// SPDX-License-Identifier: LGPL-2.1-or-later
// Who may what changes while the page is open, or lies between all and nothing: Cockpit's switch of administrative access, and a rule of polkit
// that gives one right of several.

import assert from "node:assert/strict";
import { rmSync, writeFileSync } from "node:fs";
import { after, test } from "node:test";
import { as, job, jobmill, queue, quit, until, Visitor } from "./browser.mjs";

const RULE = "/etc/polkit-1/rules.d/40-jobmill-test.rules";

after(async () => { rmSync(RULE, { force: true }); await quit(); });

test("administrative access is switched on and off while the page is open", async () => {
    const mila = await Visitor.login("mila");
    const shell = mila.page, frame = mila.frame();
    await frame.getByText("Limited access").first().waitFor();
    await shell.getByRole("button", { name: "Limited access" }).click();
    await shell.getByRole("dialog").locator("input[type=password]").fill("Pass-1-word");
    await shell.getByRole("button", { name: "Authenticate" }).click();
    await shell.getByText("Administrative access", { exact: true }).waitFor();
    await frame.getByText("Limited access").first().waitFor({ state: "detached" });
    await frame.getByRole("button", { name: "Actions for queue media" }).click();
    await frame.getByRole("menuitem", { name: "Pause", exact: true }).click();
    await until(() => queue("media").paused, "it is paused");

    await shell.getByText("Administrative access", { exact: true }).click();
    await shell.getByRole("button", { name: "Limit access" }).click();
    await shell.getByText("Limited access", { exact: true }).waitFor();
    await frame.getByText("Limited access").first().waitFor();
    await frame.getByRole("button", { name: "Actions for queue media" }).click();
    await frame.getByRole("menuitem", { name: "Resume", exact: true }).click();
    await frame.getByText("Not allowed").first().waitFor();
    assert.ok(queue("media").paused);
    jobmill("queue", "resume", "media");
    await mila.leave();
});

test("a rule of polkit gives a right: queues, and nothing else", async () => {
    writeFileSync(RULE, `polkit.addRule(function(action, subject) {
        if (action.id == "org.jobmill1.manage-queues" && subject.user == "bob")
            return polkit.Result.YES;
    });\n`);
    const bob = await Visitor.login("bob");
    await bob.open("queues");
    await until(async () => { // polkitd sees the file a little later
        await bob.menu("Actions for queue media", "Pause");
        await bob.page.getByText(/media is paused|Not allowed/).first().waitFor();
        return queue("media").paused;
    }, "it is paused");
    await bob.menu("Actions for queue media", "Resume");
    await until(() => !queue("media").paused, "it goes on");
    const hers = Number(as("alice", "submit", "--hold", "-n", "hers", "true"));
    await bob.open(`job/${hers}`);
    await bob.says("Its owner alone may read it");
    await bob.button("Release").click();
    await bob.page.getByText("Not allowed").first().waitFor();
    assert.equal(job(hers).state, "held");
    jobmill("cancel", String(hers));
    await bob.leave();
});
