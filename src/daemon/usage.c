/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Accounts become coarser with time (store/store-usage.c): some minutes a turn, and only where a turn comes anyway, as nothing is added
 * while nothing happens. */

#include "daemon/manager.h"

#include "base/log.h"

#define FOLDS_PER_TURN 16U
#define FOLD_INTERVAL (60 * USEC_PER_SEC)

void manager_fold_usage(Manager *m) {
        UsageLimits limits = {
                .keep = { m->settings.usage_minutes, m->settings.usage_hours, m->settings.usage_days },
                .rows_max = m->settings.usage_rows_max,
        };
        int r = 1;

        if (m->storage_failed || m->now.monotonic < m->next_fold)
                return;
        for (unsigned i = 0; i < FOLDS_PER_TURN && r > 0; i++)
                r = store_fold_usage(m->store, m->now.realtime, &limits);
        if (r < 0)
                log_warning_errno(r, "Failed to make accounts coarser, trying again later: %s", store_error(m->store));
        m->next_fold = r > 0 ? 0 : usec_add(m->now.monotonic, FOLD_INTERVAL);
}

bool manager_folds_more(const Manager *m) {
        return m->next_fold == 0 && !m->storage_failed;
}
