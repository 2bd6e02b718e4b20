// SPDX-License-Identifier: LGPL-2.1-or-later
// Bundles the page into dist/, which is what is installed: one script, one style sheet, the fonts that it names, index.html and manifest.json.
// cockpit.js is not in it: it belongs to the Cockpit that shows the page.

import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { build } from "esbuild";

rmSync("dist", { recursive: true, force: true });
mkdirSync("dist");

const result = await build({
    entryPoints: { page: "src/index.tsx" },
    outdir: "dist",
    bundle: true,
    minify: true,
    format: "iife",
    target: "es2021",
    jsx: "automatic",
    define: { "process.env.NODE_ENV": '"production"' },
    loader: { ".woff2": "file", ".svg": "empty", ".jpg": "empty", ".png": "empty" },
    assetNames: "fonts/[name]",
    legalComments: "none",
    metafile: true,
});

for (const file of ["index.html", "manifest.json"])
    cpSync(file, `dist/${file}`);

// Whoever passes the bundle on passes on what is in it: whose it is, and by which licence.
const packages = new Set(Object.keys(result.metafile.inputs)
    .map(path => /^node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(path)?.[1])
    .filter(Boolean));
const licences = [...packages].sort().map(name => {
    const about = JSON.parse(readFileSync(`node_modules/${name}/package.json`, "utf8"));
    const file = ["LICENSE", "LICENSE.md", "LICENSE.txt", "license"].map(n => `node_modules/${name}/${n}`)
        .map(path => { try { return readFileSync(path, "utf8") } catch { return "" } }).find(text => text) ?? "";
    return `${name} ${about.version}: ${about.license}\n\n${file.trim()}\n`;
});
writeFileSync("dist/LICENSES.txt", licences.join("\n" + "-".repeat(78) + "\n\n"));
