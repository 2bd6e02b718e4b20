// SPDX-License-Identifier: LGPL-2.1-or-later
// Cockpit's administrative access, switched on or off in its own menu: the page's connection to the bus is then another user's, so it begins anew.

import { cockpit } from "./cockpit";

export function reloadOnNewAccess(): void {
    const proxy = cockpit.dbus(null, { bus: "internal" }).proxy("cockpit.Superuser", "/superuser");
    let known: string | undefined;
    const changed = () => {
        const now = proxy.Current;
        if (known !== undefined && now !== known && now !== "init" && known !== "init")
            window.location.reload();
        known = now;
    };
    proxy.addEventListener("changed", changed);
    proxy.wait().then(changed, () => {});
}
