// SPDX-License-Identifier: LGPL-2.1-or-later
// Where the page begins.

import "@patternfly/react-core/dist/styles/base.css";
import "./page.css";
import { createRoot } from "react-dom/client";
import { App } from "./app";
import { reloadOnNewAccess } from "./access";
import { followTheme } from "./theme";

followTheme();
reloadOnNewAccess();
createRoot(document.getElementById("page")!).render(<App />);
