/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What the daemon loads when it starts: the queues with their counts, what is live with its attempts, what users have stored, what is next. */

#include "store/store-internal.h"

static int store_load_queues(Store *s, Model *m) {
        _cleanup_stmt_ sqlite3_stmt *stmt = store_stmt(s, STMT_QUEUE_ALL);
        int r;

        while ((r = stmt_step(s, stmt)) > 0) {
                const char *name = strempty(stmt_text(stmt, 0));
                Queue *q;

                r = model_queue_add(m, name, &q);
                if (r == -EINVAL)
                        return store_set_error(s, -EUCLEAN, "A queue has the impossible name \"%s\"", name);
                if (r < 0)
                        return r;
                q->paused = sqlite3_column_int(stmt, 1);
                q->draining = sqlite3_column_int(stmt, 2);
                for (JobState i = 0; i < _JOB_STATE_MAX; i++)
                        m->count[i] += q->count[i] = sqlite3_column_int64(stmt, 3 + i);
                m->dead += q->dead = sqlite3_column_int64(stmt, 3 + _JOB_STATE_MAX);
                q->ranked_ageing = sqlite3_column_int64(stmt, 4 + _JOB_STATE_MAX);
                q->ranked_fair = sqlite3_column_int(stmt, 5 + _JOB_STATE_MAX);
                q->reranking = sqlite3_column_int(stmt, 6 + _JOB_STATE_MAX);
                q->is_new = false;
        }
        return r;
}

static int store_load_backlog(Store *s, Model *m) {
        _cleanup_stmt_ sqlite3_stmt *stmt = store_stmt(s, STMT_BACKLOG_ALL);
        int r;

        while ((r = stmt_step(s, stmt)) > 0) {
                Queue *q = model_queue(m, strempty(stmt_text(stmt, 0)));

                if (!q) /* every job's queue has a row */
                        return store_set_error(s, -EUCLEAN, "Jobs are counted of a queue that is missing");
                backlog_add(m, q, stmt_u64(stmt, 1), sqlite3_column_int64(stmt, 2));
                backlog_recorded(q);
        }
        return r;
}

static int store_load_live_job(Store *s, Model *m, sqlite3_stmt *stmt) {
        _cleanup_(attempt_freep) Attempt *a = NULL;
        _cleanup_(job_freep) Job *loaded = NULL;
        Queue *q;
        Job *j;
        int r;

        r = job_from_row(s, stmt, &loaded);
        if (r < 0)
                return r;
        r = model_queue_add(m, strempty(loaded->queue_name), &q);
        if (r < 0)
                return r == -EINVAL ? store_set_error(s, -EUCLEAN, "Job %" PRIu64 " is of an impossible queue", loaded->id)
                                    : r;
        r = store_load_attempt(s, loaded->id, loaded->attempt, &a);
        if (r == -ENOENT)
                return store_set_error(s, -EUCLEAN, "Attempt %" PRIu32 " of job %" PRIu64 " is missing", loaded->attempt,
                                       loaded->id);
        if (r < 0)
                return r;
        a->phase = loaded->state == JOB_STARTING || !attempt_was_seen_started(a) ? ATTEMPT_STARTING : ATTEMPT_RUNNING;
        j = TAKE_PTR(loaded);
        model_job_add(m, j, q);
        r = model_attempt_add(m, a, j, q);
        if (r < 0)
                return r;
        if (executor_has_worker(a->executor))
                (void) model_worker_adopt(m, a->worker_id, a); /* who loads it tells what became of one whose worker is missing */
        TAKE_PTR(a);
        return 0;
}

static int store_load_next_id(Store *s, Model *m) {
        _cleanup_stmt_ sqlite3_stmt *stmt = store_stmt(s, STMT_JOB_MAX_ID);
        _cleanup_free_ char *text = NULL;
        int r;

        r = store_get_meta(s, STORE_META_NEXT_ID, &text);
        if (r < 0 && r != -ENOENT)
                return r;
        s->next_id = text ? strtoull(text, NULL, 10) : 0;

        r = stmt_step(s, stmt);
        if (r < 0)
                return r;
        if (sqlite3_column_type(stmt, 0) != SQLITE_NULL)
                m->next_id = MAX(m->next_id, (uint64_t) sqlite3_column_int64(stmt, 0) + 1);
        m->next_id = m->recorded_next_id = MAX(m->next_id, s->next_id);
        return 0;
}

/* The newest job that there is has the highest key of all that there are. */
static int store_load_last_key(Store *s, Model *m) {
        _cleanup_stmt_ sqlite3_stmt *stmt = store_stmt(s, STMT_JOB_LAST_KEY);
        int r;

        r = stmt_step(s, stmt);
        if (r > 0)
                m->last_key = sqlite3_column_int64(stmt, 0);
        return r;
}

int store_load(Store *s, Model *m) {
        _cleanup_stmt_ sqlite3_stmt *stmt = NULL;
        int r;

        store_rollback(s);
        if (!sqlite3_get_autocommit(s->db))
                return store_set_error(s, -ENOMEM, "Cannot roll back");
        r = store_load_queues(s, m);
        if (r >= 0)
                r = store_load_backlog(s, m);
        if (r >= 0)
                r = store_load_rates(s, m);
        if (r < 0)
                return r;
        r = store_load_next_id(s, m);
        if (r >= 0)
                r = store_load_last_key(s, m);
        if (r >= 0)
                r = store_load_ended(s, m);
        if (r >= 0)
                r = store_load_workers(s, m);
        if (r >= 0)
                r = store_load_runs(s, m);
        if (r >= 0)
                r = store_load_timers(s, m);
        if (r >= 0)
                r = store_load_rooms(s);
        if (r < 0)
                return r;

        stmt = store_stmt(s, STMT_JOB_LIVE);
        while ((r = stmt_step(s, stmt)) > 0) {
                r = store_load_live_job(s, m, stmt);
                if (r < 0)
                        return r;
        }
        if (r >= 0)
                r = store_load_events(s);
        if (r >= 0)
                r = store_load_credentials(s);
        return r < 0 ? r : store_load_arrays(s, m);
}
