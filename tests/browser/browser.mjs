// SPDX-License-Identifier: LGPL-2.1-or-later
// A real browser that is logged in to a real Cockpit: how the tests open views, click, look for faults of accessibility, take pictures, and
// ask the daemon itself what became of a click.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync } from "node:fs";
import { createRequire } from "node:module";

const require = createRequire(new URL("../../cockpit/package.json", import.meta.url));
const { chromium } = require("playwright-core");
const AXE = require.resolve("axe-core/axe.min.js");

const BASE = "http://localhost:9090";
const PASSWORD = "Pass-1-word";
const RESULTS = "/run/jobmill-results";
const LIVE = "held,waiting,ready,starting,running";
export const WIDE = { width: 1280, height: 900 }, NARROW = { width: 375, height: 800 };

const browser = await chromium.launch({
    executablePath: "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"],
});

/** The end of a file of tests: the next one finds no jobs that take slots, and no schedules. */
export async function quit() {
    await browser.close();
    if (JSON.parse(jobmill("list", "--json=short", "-n", "1", "--state", LIVE)).length)
        jobmill("cancel", "--state", LIVE);
    for (const { name } of JSON.parse(jobmill("schedule", "list", "--json=short")))
        jobmill("schedule", "remove", name);
    await until(() => JSON.parse(jobmill("queue", "list", "--json=short")).every(each => each.slots_used === 0), "all slots are free", 120000);
}

/** jobmill as root, or as another user: its output, as text. */
export function jobmill(...words) {
    return execFileSync("jobmill", words, { encoding: "utf8", maxBuffer: 1 << 30, stdio: ["ignore", "pipe", "inherit"] }).trim();
}

export function as(user, ...words) {
    return execFileSync("runuser", ["-u", user, "--", "jobmill", ...words], { encoding: "utf8", cwd: "/", stdio: ["ignore", "pipe", "inherit"] }).trim();
}

export function job(id) {
    const shown = JSON.parse(jobmill("show", "--json=short", String(id)));
    return Array.isArray(shown) ? shown[0] : shown;
}

export function queue(name) {
    return JSON.parse(jobmill("queue", "list", "--json=short")).find(each => each.name === name);
}

/** Waits until test() is true. */
export async function until(test, what, milliseconds = 15000) {
    for (const end = Date.now() + milliseconds; ;) {
        const value = await test();
        if (value)
            return value;
        assert.ok(Date.now() < end, `not within ${milliseconds} ms: ${what}`);
        await new Promise(resolve => setTimeout(resolve, 100));
    }
}

/** Somebody who is logged in, with or without administrative access; each has a browser profile of his own. */
export class Visitor {
    static async login(user, { administrator = false } = {}) {
        const context = await browser.newContext({ viewport: WIDE, colorScheme: "light", reducedMotion: "reduce", locale: "en-GB" });
        context.setDefaultTimeout(15000);
        const page = await context.newPage();
        const visitor = new Visitor(context, page);
        page.on("pageerror", error => visitor.errors.push(String(error)));
        await page.goto(`${BASE}/jobmill`);
        if (administrator) // what the shell remembers of an earlier log-in
            await page.evaluate(name => localStorage.setItem(`superuser:${name}`, "any"), user);
        await page.fill("#login-user-input", user);
        await page.fill("#login-password-input", PASSWORD);
        await page.click("#login-button");
        await page.waitForSelector("iframe[name$='/jobmill']", { state: "attached" });
        return visitor;
    }

    constructor(context, page) {
        this.context = context;
        this.page = page;
        this.errors = [];
    }

    /** The page as the shell shows it, in its frame. */
    frame() {
        return this.page.frameLocator("iframe[name$='/jobmill']");
    }

    /** A view without the shell around it: the same page, the same session. */
    async open(view) {
        const url = `${BASE}/cockpit/@localhost/jobmill/index.html#/${view}`;
        // A dialog that a failed test left would be in the way.
        if (this.page.url().includes("/jobmill/index.html") && await this.dialog().count() === 0)
            await this.page.evaluate(hash => { location.hash = hash; }, `#/${view}`);
        else
            await this.page.goto("about:blank").then(() => this.page.goto(url));
        await this.page.waitForSelector("h1");
        await this.settled();
    }

    async settled() {
        await this.page.waitForFunction(() => !document.querySelector(".jm-loading"));
    }

    button(name, within = this.page) {
        return within.getByRole("button", { name, exact: true });
    }

    async menu(label, item) {
        await this.button(label).click();
        await this.page.getByRole("menuitem", { name: item, exact: true }).click();
    }

    dialog() {
        return this.page.getByRole("dialog");
    }

    /** Confirms the dialog, and waits until it is gone. */
    async confirm(name) {
        await this.button(name, this.dialog()).click();
        await until(async () => await this.dialog().count() === 0, `the dialog is gone`, 10000)
            .catch(async error => { throw new Error(`${error.message}: ${await this.dialog().innerText()}`); });
    }

    async says(text) {
        await this.page.getByText(text).first().waitFor();
    }

    async theme(dark) {
        await this.page.emulateMedia({ colorScheme: dark ? "dark" : "light" });
        await this.page.waitForFunction(wanted => document.documentElement.classList.contains("pf-v6-theme-dark") === wanted, dark);
    }

    async picture(name) {
        if (!existsSync(RESULTS))
            return;
        mkdirSync(`${RESULTS}/pictures`, { recursive: true });
        await this.page.screenshot({ path: `${RESULTS}/pictures/${name}.png`, fullPage: false });
    }

    /** No serious fault of accessibility, and nothing that is wider than the screen. */
    async accessible(what) {
        await this.page.addScriptTag({ path: AXE }).catch(() => this.page.evaluate(require("node:fs").readFileSync(AXE, "utf8")));
        const found = await this.page.evaluate(() => globalThis.axe.run(document, { resultTypes: ["violations"] }));
        const bad = found.violations.filter(({ impact }) => impact === "serious" || impact === "critical")
            .map(({ id, help, nodes }) => `${id}: ${help}\n${nodes.slice(0, 4).map(node => `    ${node.html.slice(0, 200)}\n      ${node.failureSummary?.split("\n")[1] ?? ""}`).join("\n")}`);
        assert.ok(bad.length === 0, `${what}:\n${bad.join("\n")}`);
        const over = await this.page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
        assert.ok(over <= 0, `${what} is ${over} pixels too wide`);
    }

    async leave() {
        assert.deepEqual(this.errors, [], "errors of the page's script");
        await this.context.close();
    }
}
