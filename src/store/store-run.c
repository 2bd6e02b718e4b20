/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Processes that wait, or run something, in the foreground: a row from the submission until the job is done, so that each finds its job again
 * when the daemon was restarted, and the daemon whom it has to look after. */

#include "store/store-internal.h"

int store_record_run(Store *s, const Run *r) {
        sqlite3_stmt *stmt = store_stmt(s, r->over ? STMT_RUN_DELETE : STMT_RUN_INSERT);

        stmt_bind_u64(s, stmt, 1, r->job);
        if (r->over)
                return stmt_exec(s, stmt);
        bind_id128(s, stmt, 2, &r->token);
        bind_id128(s, stmt, 3, &r->boot_id);
        stmt_bind_u64(s, stmt, 4, r->pid);
        stmt_bind_u64(s, stmt, 5, r->started);
        return stmt_exec(s, stmt);
}

int store_load_runs(Store *s, Model *m) {
        _cleanup_stmt_ sqlite3_stmt *stmt = store_stmt(s, STMT_RUN_ALL);
        int r;

        while ((r = stmt_step(s, stmt)) > 0) {
                _cleanup_(run_freep) Run *run = new0(Run, 1);

                if (!run)
                        return -ENOMEM;
                run->job = stmt_u64(stmt, 0);
                run->pid = stmt_u64(stmt, 3);
                run->started = stmt_u64(stmt, 4);
                run->pidfd = -EBADF;
                if (!row_to_id128(stmt, 1, &run->token) || !row_to_id128(stmt, 2, &run->boot_id))
                        return store_set_error(s, -EUCLEAN, "The process of job %" PRIu64 " cannot be understood", run->job);
                model_run_add(m, TAKE_PTR(run), /* loaded = */ true);
        }
        return r;
}
