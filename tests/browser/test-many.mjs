// SPDX-License-Identifier: LGPL-2.1-or-later
// Paging among a million jobs: a page costs the same wherever it lies and however many there are, as it goes by the cursor, and the browser
// never holds more than one. Filters, the search for a rare name, and one action for all of them.

import assert from "node:assert/strict";
import { createWriteStream } from "node:fs";
import { once } from "node:events";
import { after, before, test } from "node:test";
import { jobmill, quit, until, Visitor } from "./browser.mjs";

const MANY = Number(process.env.JOBMILL_BROWSER_JOBS ?? 1000000);
const FEW = 2600; // of 26 pages

let mila;
before(async () => { mila = await Visitor.login("mila", { administrator: true }); });
after(async () => { await mila?.leave(); await quit(); });

const links = () => mila.page.getByRole("link", { name: /^Job \d+$/ });

/** Milliseconds of a click on Next until the page stands there: the middle one of several. */
async function next(times) {
    const spans = [];
    for (let i = 0; i < times; i++) {
        const before = await links().first().innerText();
        const start = performance.now();
        await mila.button("Next").click();
        await mila.page.waitForFunction(before => {
            const first = document.querySelector("a[aria-label^='Job ']");
            return first && first.innerText !== before;
        }, before);
        spans.push(performance.now() - start);
    }
    return spans.sort((a, b) => a - b)[Math.floor(times / 2)];
}

/** Milliseconds until act() has led to a page of which test() is true. */
async function takes(act, test, what) {
    const start = performance.now();
    await act();
    await until(test, what, 60000);
    return performance.now() - start;
}

async function submit(name, count, of) {
    const path = `/var/tmp/${name}.json`, file = createWriteStream(path);
    for (let i = 0; i < count; i++)
        if (!file.write(JSON.stringify({ argv: ["true"], name, hold: true, tags: { n: String(i) }, ...of?.(i) }) + "\n"))
            await once(file, "drain");
    file.end();
    await once(file, "finish");
    const start = performance.now();
    jobmill("submit", "--quiet", "--file", path);
    return performance.now() - start;
}

test(`paging, filters and search among ${MANY} jobs`, { timeout: 600000 }, async context => {
    await submit("few", FEW);
    await mila.open("jobs?state=held");
    await next(3);
    const few = await next(15);

    // one of them has another name, not far from the oldest
    const submitted = await submit("many", MANY, i => i === Math.floor(MANY / 20) ? { name: "needle", queue: "media" } : {});
    await mila.open("jobs");
    await mila.open("jobs?state=held");
    await next(3);
    const first = await next(15);
    assert.equal(await links().count(), 25);
    await mila.page.getByLabel("Order").selectOption("oldest");
    await mila.page.getByLabel("Jobs per page").selectOption("100");
    await until(async () => await links().count() === 100, "a hundred a page");
    const near = await next(15);
    await next(70);
    const far = await next(15);
    await mila.button("Previous").click();
    await mila.says("Page 100");
    await until(async () => await links().count() === 100, "the page before");

    const onFirst = () => mila.page.getByText("Page 1", { exact: true }).count();
    await mila.open("jobs");
    const filter = await takes(() => mila.page.getByLabel("Queue", { exact: true }).selectOption("media"), async () => await links().count() === 1 && await onFirst(), "the only one of its queue");
    await mila.open("jobs");
    const search = await takes(() => mila.page.getByLabel("Search: name, id or tag=value").fill("needle"), async () => {
        if (await mila.page.getByText("None so far").count())
            await mila.button("Next").click();
        return await links().count() === 1;
    }, "the rare name");
    const ms = number => `${number.toFixed(0)} ms`;
    context.diagnostic(`to submit them took ${ms(submitted)}, with the page open; a page takes ${ms(few)} among ${FEW} jobs, ${ms(first)} among ${MANY}; a hundred of them ${ms(near)}, on the 100th page ${ms(far)}; the only one of its queue ${ms(filter)}, a rare name ${ms(search)}`);
    // What is read must not grow with the jobs: of 1,000,000 that would be a factor of hundreds.
    assert.ok(first < 3 * few, `a page among many takes ${ms(first)}, among few ${ms(few)}`);
    assert.ok(far < 3 * near, `a page far behind takes ${ms(far)}, the first ones ${ms(near)}`);
    await mila.picture("many");

    // all of them are cancelled by one call, whatever the page shows
    await mila.open("jobs?state=held");
    await mila.page.getByLabel("Choose all jobs of this page").check();
    await mila.button("Choose all that match the filter").click();
    const bar = mila.page.getByRole("group", { name: "Actions for the chosen jobs" });
    await bar.getByText(`all ${MANY + FEW} jobs of this filter`).waitFor();
    await mila.button("Cancel", bar).click();
    await mila.button("Cancel", mila.dialog()).click();
    await mila.page.getByText(`Cancel: ${MANY + FEW} jobs`).first().waitFor({ timeout: 300000 });
    assert.equal(JSON.parse(jobmill("stats", "--json=short")).held, 0);
});
