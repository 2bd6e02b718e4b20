// SPDX-License-Identifier: LGPL-2.1-or-later
// Paging among many jobs: a page costs the daemon the same wherever it lies and however many there are, as it goes by the cursor, and the
// browser never holds more than one.

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { jobmill, quit, until, Visitor } from "./browser.mjs";

const MANY = Number(process.env.JOBMILL_BROWSER_JOBS ?? 20000);

let mila;
before(async () => { mila = await Visitor.login("mila", { administrator: true }); });
after(async () => { await mila?.leave(); await quit(); });

/** Milliseconds of a click on Next until the page stands there: the middle one of several. */
async function next(times) {
    const spans = [];
    for (let i = 0; i < times; i++) {
        const before = await mila.page.getByText(/^Page \d+$/).innerText();
        const start = performance.now();
        await mila.button("Next").click();
        await until(async () => await mila.page.getByText(/^Page \d+$/).innerText() !== before && await mila.page.getByRole("link", { name: /^Job \d+$/ }).count(), "the next page", 10000);
        await mila.settled();
        spans.push(performance.now() - start);
    }
    return spans.sort((a, b) => a - b)[Math.floor(times / 2)];
}

test(`${MANY} jobs: the first pages, and the last ones`, async context => {
    for (let i = 0; i < 120; i++)
        jobmill("submit", "--quiet", "--hold", "-n", "few", "true");
    await mila.open("jobs?q=few");
    const few = await next(3);
    writeFileSync("/var/tmp/many.json", Array.from({ length: MANY }, (_, i) => JSON.stringify({ argv: ["true"], name: "many", hold: true, tags: { n: String(i) } })).join("\n") + "\n");
    jobmill("submit", "--quiet", "--file", "/var/tmp/many.json");
    await mila.open("jobs?state=held");
    const first = await next(5);
    assert.equal(await mila.page.getByRole("link", { name: /^Job \d+$/ }).count(), 25);
    await mila.page.getByLabel("Order").selectOption("oldest");
    const oldest = await next(5);
    await mila.page.getByLabel("Jobs per page").selectOption("100");
    const far = await next(40);
    await mila.button("Previous").click();
    await mila.says("Page 40");
    context.diagnostic(`a page takes ${few.toFixed(0)} ms among 120 jobs; among ${MANY} ${first.toFixed(0)} ms, oldest first ${oldest.toFixed(0)} ms, and a hundred jobs behind the 40th such page ${far.toFixed(0)} ms`);
    assert.ok(Math.max(first, oldest) < 4 * few + 500, "a page's cost does not grow with the jobs");
    await mila.picture("many");
    // all of them are cancelled by one call, whatever the page shows
    await mila.page.getByLabel("Choose all jobs of this page").check();
    await mila.button("Choose all that match the filter").click();
    const bar = mila.page.getByRole("group", { name: "Actions for the chosen jobs" });
    await mila.button("Cancel", bar).click();
    await mila.button("Cancel", mila.dialog()).click();
    await mila.page.getByText(new RegExp(`^Cancel: ${MANY + 120} jobs`)).or(mila.page.getByText(/Cancel: \d+ jobs/)).first().waitFor({ timeout: 120000 });
    await until(() => JSON.parse(jobmill("stats", "--json=short")).held === 0, "none is held");
});
