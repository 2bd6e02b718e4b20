/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* When the last jobs of queues with a RateLimit= started: written with the starts themselves, so that the rate holds over a restart. */

#include "store/store-internal.h"

int store_record_rate(Store *s, const Queue *q) {
        _cleanup_free_ char *text = NULL;
        sqlite3_stmt *stmt;

        if (!q->starts_changed)
                return 0;
        if (q->starts) {
                text = rate_to_string(q->starts);
                if (!text)
                        return -ENOMEM;
        }
        stmt = store_stmt(s, text ? STMT_RATE_UPSERT : STMT_RATE_DELETE);
        stmt_bind_text(s, stmt, 1, q->name);
        if (text)
                stmt_bind_text(s, stmt, 2, text);
        return stmt_exec(s, stmt);
}

/* Of a queue that has such a limit, or may have had one (its file is bad). */
int store_load_rates(Store *s, Model *m) {
        _cleanup_stmt_ sqlite3_stmt *stmt = store_stmt(s, STMT_RATE_ALL);
        int r;

        while ((r = stmt_step(s, stmt)) > 0) {
                const char *name = strempty(stmt_text(stmt, 0)), *text = strempty(stmt_text(stmt, 1));
                Queue *q = model_queue(m, name);
                RateWindow w;

                if (stmt_no_memory(stmt))
                        return -ENOMEM;
                if (!q || (q->policy.rate.n == 0 && !q->broken))
                        continue;
                if (rate_from_string(text, sqlite3_column_int64(stmt, 2), &w) < 0)
                        return store_set_error(s, -EUCLEAN, "The starts of queue %s cannot be understood", name);
                if (!q->starts)
                        q->starts = new0(RateWindow, 1);
                if (!q->starts)
                        return -ENOMEM;
                *q->starts = w;
        }
        return r;
}
