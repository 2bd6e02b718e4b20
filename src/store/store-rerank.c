/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* New ranks for the ready jobs of queues whose order has changed (queue/rerank.c), a piece at a time, by id. With the first piece
 * the queues' rows say that it is under way, with the last that it is done; a crash in between begins it again, which changes nothing of
 * what was done. */

#include "base/crash-point.h"
#include "store/store-internal.h"

static int rerank_job(Store *s, uint64_t id, const Queue *q, int32_t priority, int64_t key) {
        sqlite3_stmt *stmt = store_stmt(s, STMT_JOB_RERANK);

        stmt_bind_u64(s, stmt, 1, id);
        stmt_bind_i64(s, stmt, 2, rank_of(queue_ageing(q), priority, key));
        stmt_bind_i64(s, stmt, 3, q->policy.fair);
        return stmt_exec(s, stmt);
}

/* How many were looked at; *after: the last of them. */
static int rerank_piece(Store *s, Model *m, uint64_t *after, unsigned n) {
        _cleanup_stmt_ sqlite3_stmt *stmt = store_stmt(s, STMT_JOB_READY);
        unsigned k = 0;
        int r;

        stmt_bind_u64(s, stmt, 1, *after);
        stmt_bind_u64(s, stmt, 2, n);
        while ((r = stmt_step(s, stmt)) > 0) {
                const Queue *q = model_queue(m, strempty(stmt_text(stmt, 1)));

                k++;
                *after = sqlite3_column_int64(stmt, 0);
                if (!q || !q->reranking)
                        continue;
                r = rerank_job(s, *after, q, sqlite3_column_int(stmt, 2), sqlite3_column_int64(stmt, 3));
                if (r < 0)
                        return r;
        }
        return r < 0 ? r : (int) k;
}

static int mark_queues(Store *s, Model *m, bool done) {
        Queue *q, *t;
        int r;

        HASH_ITER(hh, m->queues, q, t) {
                sqlite3_stmt *stmt;

                if (!q->reranking)
                        continue;
                stmt = store_stmt(s, STMT_QUEUE_RERANK);
                stmt_bind_text(s, stmt, 1, q->name);
                stmt_bind_i64(s, stmt, 2, (int64_t) q->ranked_ageing);
                stmt_bind_i64(s, stmt, 3, q->ranked_fair);
                stmt_bind_i64(s, stmt, 4, !done);
                r = stmt_exec(s, stmt);
                if (r < 0)
                        return r;
        }
        return 0;
}

int store_rerank(Store *s, Model *m, unsigned n) {
        uint64_t after = m->reranked;
        bool done;
        int r;

        /* A power cut takes it back as a whole; then it is begun again. */
        r = store_begin(s, /* relaxed = */ true);
        if (r < 0)
                return r;
        CRASH_POINT("rerank-begun");
        r = rerank_piece(s, m, &after, n);
        done = r >= 0 && (unsigned) r < n;
        if (r >= 0 && (done || m->reranked == 0))
                r = mark_queues(s, m, done);
        if (r >= 0)
                r = store_commit(s);
        if (r < 0) {
                store_rollback(s);
                return r;
        }
        CRASH_POINT("rerank-after");
        m->reranked = after;
        return !done;
}
