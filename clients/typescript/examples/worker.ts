// SPDX-License-Identifier: LGPL-2.1-or-later

import { Worker } from "jobmill";

await new Worker("words", { slots: 4 }).run(async (task) => {
  for (const [i] of task.argv.entries()) {
    if (task.signal.aborted) throw task.signal.reason; // it was cancelled, or takes too long
    task.progress(`${Math.round((100 * (i + 1)) / task.argv.length)}%`);
  }
  return { success: true, words: task.argv.length };
});
