/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Workers: a row from the registration until the process is gone, so that it finds its jobs again when the daemon was restarted. */

#include "base/strv.h"
#include "store/store-internal.h"

int store_record_worker(Store *s, const Worker *w) {
        sqlite3_stmt *stmt = store_stmt(s, w->gone ? STMT_WORKER_DELETE : STMT_WORKER_UPSERT);
        _cleanup_free_ char *queues = NULL;
        char next[32];
        int i = 1, r;

        stmt_bind_u64(s, stmt, i++, w->id);
        if (w->gone)
                return stmt_exec(s, stmt);
        queues = w->queues ? strv_join(w->queues, " ") : strdup("");
        if (!queues)
                return -ENOMEM;
        bind_id128(s, stmt, i++, &w->token);
        stmt_bind_u64(s, stmt, i++, w->uid);
        stmt_bind_text(s, stmt, i++, w->user);
        bind_id128(s, stmt, i++, &w->boot_id);
        stmt_bind_u64(s, stmt, i++, w->pid);
        stmt_bind_u64(s, stmt, i++, w->started);
        stmt_bind_text(s, stmt, i++, w->unit);
        stmt_bind_text(s, stmt, i++, w->name);
        stmt_bind_text(s, stmt, i++, w->metadata);
        stmt_bind_text(s, stmt, i++, queues);
        stmt_bind_u64(s, stmt, i++, w->slots);
        stmt_bind_i64(s, stmt, i++, w->draining);
        stmt_bind_u64(s, stmt, i++, w->registered_usec);
        stmt_bind_i64(s, stmt, i++, w->durable);
        stmt_bind_u64(s, stmt, i++, w->away.when);
        stmt_bind_text(s, stmt, i++, w->adapter);
        r = stmt_exec(s, stmt);
        if (r < 0 || !w->is_new)
                return r;
        (void) snprintf(next, sizeof(next), "%" PRIu64, w->id + 1);
        return store_meta_write(s, STORE_META_NEXT_WORKER, next);
}

static int worker_from_row(sqlite3_stmt *stmt, Worker **ret) {
        _cleanup_(worker_freep) Worker *w = worker_new();
        const char *queues = stmt_text(stmt, 10);
        int r;

        if (!w || !(w->queues = strv_split(strempty(queues), " ")))
                return -ENOMEM;
        w->id = stmt_u64(stmt, 0);
        w->uid = stmt_u64(stmt, 2);
        w->pid = stmt_u64(stmt, 5);
        w->started = stmt_u64(stmt, 6);
        w->slots = stmt_u64(stmt, 11);
        w->draining = sqlite3_column_int(stmt, 12);
        w->registered_usec = stmt_u64(stmt, 13);
        w->durable = sqlite3_column_int(stmt, 14);
        w->away.when = stmt_u64(stmt, 15);
        r = stmt_strdup(stmt, 3, &w->user);
        if (r >= 0)
                r = stmt_strdup(stmt, 7, &w->unit);
        if (r >= 0)
                r = stmt_strdup(stmt, 8, &w->name);
        if (r >= 0)
                r = stmt_strdup(stmt, 9, &w->metadata);
        if (r >= 0)
                r = stmt_strdup(stmt, 16, &w->adapter);
        if (r < 0 || stmt_no_memory(stmt))
                return r < 0 ? r : -ENOMEM;
        if (!row_to_id128(stmt, 1, &w->token) || !row_to_id128(stmt, 4, &w->boot_id) || w->id == 0)
                return -EUCLEAN;
        *ret = TAKE_PTR(w);
        return 0;
}

int store_load_workers(Store *s, Model *m) {
        _cleanup_stmt_ sqlite3_stmt *stmt = store_stmt(s, STMT_WORKER_ALL);
        _cleanup_free_ char *next = NULL;
        int r;

        r = store_get_meta(s, STORE_META_NEXT_WORKER, &next);
        if (r < 0 && r != -ENOENT)
                return r;
        if (next)
                m->next_worker = MAX(m->next_worker, strtoull(next, NULL, 10));
        while ((r = stmt_step(s, stmt)) > 0) {
                Worker *w;

                r = worker_from_row(stmt, &w);
                if (r < 0)
                        return r == -EUCLEAN ? store_set_error(s, r, "A worker cannot be understood") : r;
                r = model_worker_add(m, w, /* loaded = */ true);
                if (r < 0) {
                        worker_free(w);
                        return r;
                }
        }
        return r;
}
