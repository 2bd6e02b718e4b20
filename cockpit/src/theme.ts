// SPDX-License-Identifier: LGPL-2.1-or-later
// Light or dark, as Cockpit's menu says ("shell:style": light, dark, auto), or else the browser. Older shells tell it by storage and event
// alone and know nothing of the class that PatternFly 6 wants, so the page sets that itself.

const DARK = window.matchMedia("(prefers-color-scheme: dark)");

function apply(style?: string): void {
    const wanted = style ?? localStorage.getItem("shell:style") ?? "auto";
    const dark = wanted === "dark" || (wanted === "auto" && DARK.matches);
    document.documentElement.classList.toggle("pf-v6-theme-dark", dark);
}

export function followTheme(): void {
    window.addEventListener("storage", event => { if (event.key === "shell:style") apply(); });
    window.addEventListener("cockpit-style", event => apply((event as CustomEvent<{ style: string }>).detail.style));
    DARK.addEventListener("change", () => apply());
    apply();
}
