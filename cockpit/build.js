// SPDX-License-Identifier: LGPL-2.1-or-later
// Bundles the page into dist/, which is what is installed: one script, one style sheet, index.html and manifest.json.
// cockpit.js and the fonts are not in it: they belong to the Cockpit that shows the page.

import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { relative } from "node:path";
import { build } from "esbuild";

rmSync("dist", { recursive: true, force: true });
mkdirSync("dist");

/** Without PatternFly's fonts: page.css names those that Cockpit has. */
const hostFonts = {
    name: "host-fonts",
    setup: ({ onLoad }) => onLoad({ filter: /styles\/base\.css$/ }, ({ path }) =>
        ({ contents: readFileSync(path, "utf8").replace(/@font-face\s*\{[^}]*\}/g, ""), loader: "css" })),
};

const options = {
    entryPoints: { page: "src/index.tsx" },
    outdir: "dist",
    bundle: true,
    minify: true,
    format: "iife",
    target: "es2021",
    jsx: "automatic",
    define: { "process.env.NODE_ENV": '"production"' },
    loader: { ".svg": "empty", ".jpg": "empty", ".png": "empty" },
    legalComments: "none",
    metafile: true,
    external: ["*.woff2"],
    plugins: [hostFonts],
};

// Of scripts that nothing uses esbuild takes the style sheets nevertheless, three quarters of all. So it is asked twice: a component's style
// sheet lies beside a script with the names of its classes, and is left out where that script was.
const first = await build({ ...options, write: false });
const script = Object.entries(first.metafile.outputs).find(([path]) => path.endsWith(".js"))[1];
const used = new Set(Object.entries(script.inputs).filter(([, { bytesInOutput }]) => bytesInOutput > 0).map(([path]) => path.replace(/\.m?js$/, ".css")));
const unusedStyles = {
    name: "unused-styles",
    setup: ({ onLoad }) => onLoad({ filter: /react-styles\/css\/.*\.css$/ }, ({ path }) =>
        used.has(relative(".", path)) ? undefined : { contents: "", loader: "css" }),
};
const result = await build({ ...options, plugins: [hostFonts, unusedStyles] });

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
