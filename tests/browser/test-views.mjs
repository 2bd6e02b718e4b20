// SPDX-License-Identifier: LGPL-2.1-or-later
// The form, schedules, workers, charts, flows, and a job that is still at work: its log, progress and verdict.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { writeFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { job, jobmill, quit, until, Visitor } from "./browser.mjs";

let mila;
before(async () => { mila = await Visitor.login("mila", { administrator: true }); });
after(async () => { await mila?.leave(); await quit(); });

/** The job that the page shows, after a submit. */
async function shown() {
    const heading = mila.page.getByRole("heading", { name: /^Job \d+/ });
    await heading.waitFor();
    return Number(/\d+/.exec(await heading.innerText())[0]);
}

test("a command is submitted with settings", async () => {
    await mila.open("submit");
    const { page } = mila;
    await page.getByLabel("Command").fill("sh -c 'cat; echo \"two words\"'");
    await page.getByLabel("Payload").fill("grüße ");
    await page.getByLabel("Name").fill("by hand");
    await page.getByLabel("Priority").fill("3");
    await page.getByLabel("Time-out").fill("10min");
    await page.getByLabel("Tags").fill("from=page");
    await mila.button("More settings").click();
    await page.getByLabel("Attempts").fill("2");
    await page.getByLabel("Unit properties").fill("MemoryMax=64M\nNice=5");
    await mila.button("Show its unit").click();
    await page.getByLabel("Unit that it would be").getByText("MemoryMax=67108864").or(page.getByLabel("Unit that it would be").getByText(/MemoryMax/)).first().waitFor();
    await mila.picture("submit");
    await mila.button("Submit").click();
    const id = await shown();
    await until(() => job(id).state === "done", "it is done");
    const { argv, name, priority, timeout_usec, tags, max_attempts, properties, result } = job(id);
    assert.deepEqual({ argv, name, priority, timeout_usec, tags, max_attempts, properties, result },
                     { argv: ["sh", "-c", 'cat; echo "two words"'], name: "by hand", priority: 3, timeout_usec: 600e6, tags: { from: "page" },
                       max_attempts: 2, properties: ["MemoryMax=64M", "Nice=5"], result: "success" });
    await page.getByRole("log").getByText("grüße two words").waitFor();
});

test("what is wrong with a submit is said, and nothing is stored", async () => {
    await mila.open("submit");
    await mila.button("Submit").click();
    await mila.says("A job without a type needs a command");
    await mila.page.getByLabel("Command").fill("true");
    await mila.page.getByLabel("Slots").fill("500");
    await mila.button("Submit").click();
    await mila.says("It did not work");
});

test("the form knows a job type: what it takes, and its payload", async () => {
    await mila.open("submit");
    const { page } = mila;
    await page.getByLabel("Job type").selectOption("encode");
    await mila.says("Says a text, so many times");
    assert.equal(await page.getByLabel("Slots").count(), 0); // Accept= does not have it
    await mila.picture("submit-type");
    await page.getByLabel("text").fill("hello");
    await page.getByLabel("times").fill("many");
    await mila.button("Submit").click();
    await mila.says('times: "many" is no integer');
    await page.getByLabel("times").fill("2");
    await page.getByLabel("loud").selectOption("true");
    await mila.button("Submit").click();
    const id = await shown();
    await until(() => job(id).state === "done", "it is done");
    assert.deepEqual([job(id).type, job(id).queue, job(id).result], ["encode", "media", "success"]);
    await page.getByRole("log").getByText('{"text":"hello","times":2,"loud":true}').waitFor();
});

test("another one like it", async () => {
    const id = Number(jobmill("submit", "--wait", "-n", "pattern", "--priority", "4", "--", "echo", "a b"));
    await mila.open(`job/${id}`);
    await mila.menu(`More actions for job ${id}`, "Submit another like it");
    await until(async () => await mila.page.getByLabel("Command").inputValue() === "echo 'a b'", "the form is filled in");
    await mila.button("Submit").click();
    await until(async () => await mila.page.getByRole("heading", { name: /^Job \d+ \(pattern\)/ }).count(), "the new one is shown");
    const copy = await shown();
    assert.notEqual(copy, id);
    assert.equal(job(copy).priority, 4);
});

test("a running job: log, status and progress as they come, then the verdict", async () => {
    const script = 'for i in 1 2 3; do echo "line $i"; systemd-notify --status="$((i * 30))% of it"; sleep 4; done; echo "{\\"success\\": true, \\"frames\\": 90}"';
    const id = Number(jobmill("submit", "--stdout", "spool", "--", "sh", "-c", script));
    await mila.open(`job/${id}`);
    const log = mila.page.getByRole("log");
    await log.getByText("line 1").waitFor();
    await until(() => mila.page.getByText("30% of it").count(), "its status");
    await mila.page.getByRole("progressbar").first().waitFor();
    await mila.picture("job-running");
    assert.ok(!(await log.innerText()).includes("line 3"));
    await log.getByText("line 3").waitFor();
    await mila.page.getByLabel("Verdict", { exact: true }).getByText('"frames": 90').waitFor();
});

test("attempts with their causes", async () => {
    const id = Number(jobmill("submit", "--attempts", "2", "--backoff", "1s", "--", "sh", "-c", "kill -9 $$"));
    await mila.open(`job/${id}`);
    await until(() => job(id).state === "done", "it is done", 30000);
    const attempts = mila.page.getByRole("grid", { name: "Attempts" });
    await until(async () => (await attempts.innerText()).match(/signal 9/g)?.length === 2, "both attempts with their signal");
});

test("a flow is drawn, and leads to its jobs", async () => {
    const file = "/var/tmp/flow.json";
    writeFileSync(file, JSON.stringify({ jobs: [
        { name: "fetch", argv: ["true"] }, { name: "build", argv: ["sleep", "600"], after: ["fetch"] },
        { name: "lint", argv: ["false"], after: ["fetch"] }, { name: "pack", argv: ["true"], after: ["build", { job: "lint", on: "end" }] },
    ] }));
    const flow = jobmill("submit", "--flow", file);
    const jobs = JSON.parse(jobmill("list", "--flow", flow, "--json=short"));
    const build = jobs.find(each => each.name === "build").id;
    await mila.open(`job/${build}`);
    const graph = mila.page.getByRole("region", { name: "Graph of the flow" });
    for (const name of ["fetch", "build", "lint", "pack"])
        await graph.getByRole("link", { name: new RegExp(`^${name} ?\\d+ `) }).waitFor();
    await until(() => graph.getByRole("link", { name: /lint ?\d+ exit-code/ }).count(), "the failed one is shown so");
    assert.equal(await graph.locator("path.jm-edge").count(), 4);
    await graph.scrollIntoViewIfNeeded();
    await mila.picture("flow");
    await graph.getByRole("link", { name: /^pack ?\d+ / }).click();
    await mila.page.getByRole("heading", { name: /\(pack\)/ }).waitFor();
    jobmill("cancel", String(build));
});

test("of a large flow what is next to the job is drawn", async () => {
    const file = "/var/tmp/flow.json";
    // 300 beside each other, then a row of 100
    const jobs = [{ name: "first", argv: ["true"], hold: true }, ...Array.from({ length: 300 }, (_, i) => ({ name: `wide${i}`, argv: ["true"], after: ["first"] })),
                  ...Array.from({ length: 100 }, (_, i) => ({ name: `long${i}`, argv: ["true"], after: [i ? `long${i - 1}` : "wide299"] }))];
    writeFileSync(file, JSON.stringify({ jobs }));
    const flow = jobmill("submit", "--flow", file);
    const last = JSON.parse(jobmill("list", "--flow", flow, "--json=short")).find(each => each.name === "long99").id;
    await mila.open(`job/${last}`);
    await mila.says("It has 401 jobs; these 150 are next to this one");
    const graph = mila.page.getByRole("region", { name: "Graph of the flow" });
    for (const name of ["long99", "long0", "wide299", "first"])
        await graph.getByRole("link", { name: new RegExp(`^${name} ?\\d+ `) }).waitFor();
    assert.equal(await graph.getByRole("link").count(), 150);
    await graph.scrollIntoViewIfNeeded();
    await mila.picture("flow-large");
    await mila.page.getByRole("link", { name: "all of them as a list" }).click();
    await mila.page.getByRole("heading", { name: "Jobs" }).waitFor();
    jobmill("cancel", "--flow", flow);
});

test("a schedule is made, fired, paused, resumed, removed; its next runs are told", async () => {
    await mila.open("schedules");
    await mila.button("New schedule").click();
    const dialog = mila.dialog();
    await dialog.getByLabel("Name").fill("nightly");
    await dialog.getByLabel("When").fill("no such time");
    await dialog.getByLabel("Command").fill("echo 'by night'");
    await mila.button("Create", dialog).click();
    await dialog.getByText("It did not work").waitFor();
    await dialog.getByLabel("When").fill("*-*-* 02:30");
    await mila.confirm("Create");
    const schedule = () => JSON.parse(jobmill("schedule", "list", "--json=short")).find(each => each.name === "nightly");
    await mila.page.getByText("nightly", { exact: true }).first().waitFor();
    const actions = "Actions for schedule nightly";
    await mila.menu(actions, "Fire now");
    await until(() => schedule().last_job, "it has submitted a job");
    await mila.page.getByRole("link", { name: String(schedule().last_job), exact: true }).waitFor();
    await mila.menu(actions, "Pause");
    await until(() => schedule().paused, "it is paused");
    await mila.menu(actions, "Resume");
    await until(() => !schedule().paused, "it goes on");
    await mila.page.getByRole("button", { name: "Details" }).click();
    await mila.page.getByText(/\d 02:30:00/).nth(4).waitFor(); // five of them
    await mila.page.getByRole("link", { name: `job ${schedule().last_job}`, exact: true }).waitFor();
    await mila.picture("schedules");
    await mila.menu(actions, "Remove");
    await mila.confirm("Remove");
    await mila.says("No schedules");
    assert.equal(schedule(), undefined);
});

test("a schedule by a span", async () => {
    await mila.open("schedules");
    await mila.button("New schedule").click();
    await mila.dialog().getByLabel("Name").fill("often");
    await mila.dialog().getByLabel("Kind").selectOption("every");
    await mila.dialog().getByLabel("When").fill("15min");
    await mila.dialog().getByLabel("Command").fill("true");
    await mila.confirm("Create");
    await mila.says("every 15 min");
    jobmill("schedule", "remove", "often");
});

writeFileSync("/var/tmp/proof", "", { mode: 0o755 }); // its first word has to be there

test("a worker is shown with what it has, and drained", async () => {
    const worker = spawn("/usr/bin/python3", [`${process.env.JOBMILL_SOURCE}/tests/system/worker.py`, "/run/jobmill/org.jobmill",
                         `${process.env.JOBMILL_SOURCE}/docs/workers.md`, "served"], { stdio: "inherit" });
    try {
        const workers = () => JSON.parse(jobmill("worker", "list", "--json=short"));
        await until(() => workers().length === 1, "it has registered");
        const id = Number(jobmill("submit", "-q", "served", "--", "/var/tmp/proof", "stubborn"));
        await until(() => job(id).state === "running", "it has the job");
        await mila.open("workers");
        await mila.page.getByText("connected", { exact: true }).waitFor();
        await until(async () => /1 of \d+/.test(await mila.page.getByRole("grid", { name: "Workers" }).innerText()), "its slots");
        await mila.picture("workers");
        await mila.page.getByRole("button", { name: /^Actions for / }).click();
        await mila.page.getByRole("menuitem", { name: "Drain" }).click();
        await mila.confirm("Drain");
        await mila.page.getByText("draining", { exact: true }).waitFor();
        assert.ok(workers()[0].draining);
    } finally {
        worker.kill("SIGKILL");
    }
    await mila.says("No workers");
});

test("charts of what was done", async () => {
    await mila.open("charts");
    for (const title of ["Jobs done", "Jobs submitted", "Mean wait before a start", "Share of failed jobs"])
        await mila.page.getByRole("img", { name: new RegExp(`^${title}, at most`) }).waitFor();
    await mila.page.getByRole("button", { name: "As a table" }).first().click();
    const rows = await mila.page.getByRole("grid", { name: "Jobs done" }).innerText();
    const numbers = rows.split("\n").slice(1).map(line => line.split("\t").slice(-2).map(Number)).flat().filter(Number.isFinite);
    const report = JSON.parse(jobmill("report", "--json=short"));
    const all = (Array.isArray(report) ? report : [report]).reduce((sum, row) => sum + row.jobs, 0);
    assert.equal(numbers.reduce((a, b) => a + b, 0), all);
    for (const range of ["day", "month"]) {
        await mila.page.getByLabel("Time").selectOption(range);
        await mila.page.getByRole("img", { name: /^Jobs done, at most/ }).waitFor();
    }
    await mila.page.getByLabel("Queue", { exact: true }).selectOption("triggers");
    await mila.says("Nothing was done");
});
