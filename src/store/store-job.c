/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What the daemon loads as it goes: a job, an attempt or a spec by id, and the backlog in small pieces, by indexes. */

#include "queue/spec-json.h"
#include "store/store-internal.h"

/* ---- one at a time ---- */

int store_load_job(Store *s, uint64_t id, Job **ret) {
        _cleanup_stmt_ sqlite3_stmt *stmt = store_stmt(s, STMT_JOB_GET);
        int r;

        stmt_bind_u64(s, stmt, 1, id);
        r = stmt_step(s, stmt);
        if (r < 0)
                return r;
        return r == 0 ? -ENOENT : job_from_row(s, stmt, ret);
}

int store_load_attempt(Store *s, uint64_t job, uint32_t number, Attempt **ret) {
        _cleanup_stmt_ sqlite3_stmt *stmt = store_stmt(s, STMT_ATTEMPT_GET);
        int r;

        stmt_bind_u64(s, stmt, 1, job);
        stmt_bind_u64(s, stmt, 2, number);
        r = stmt_step(s, stmt);
        if (r < 0)
                return r;
        return r == 0 ? -ENOENT : attempt_from_row(s, stmt, ret);
}

/* The spec in a column. What has a column of the job is kept there and nowhere else (SPEC_NOT_STORED). Who it runs as is the job's owner,
 * and whether it was held is history. */
static int read_spec(Store *s, sqlite3_stmt *stmt, int column, const Job *j, JobSpec **ret) {
        _cleanup_(spec_freep) JobSpec *spec = NULL;
        _cleanup_free_ char *error = NULL;
        const char *text = stmt_text(stmt, column);
        int r;

        if (!text)
                return store_set_error(s, -EUCLEAN, "The spec of job %" PRIu64 " is missing", j->id);
        r = spec_from_json(text, sqlite3_column_bytes(stmt, column), &spec, &error);
        if (r == -ENOMEM)
                return r;
        if (r < 0)
                return store_set_error(s, -EUCLEAN, "The spec of job %" PRIu64 ": %s", j->id, strempty(error));
        r = job_to_spec(j, spec);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(spec);
        return 0;
}

int store_read_spec(Store *s, const Job *j, JobSpec **ret) {
        _cleanup_stmt_ sqlite3_stmt *stmt = store_stmt(s, STMT_SPEC_GET);
        int r;

        stmt_bind_u64(s, stmt, 1, j->id);
        stmt_bind_u64(s, stmt, 2, j->array);
        r = stmt_step(s, stmt);
        return r < 0 ? r : read_spec(s, stmt, 0, j, ret);
}

static int read_payload(sqlite3_stmt *stmt, int column, JobSpec *spec) {
        size_t size;

        if (sqlite3_column_type(stmt, column) == SQLITE_NULL)
                return 0;

        const void *data = sqlite3_column_blob(stmt, column);
        size = sqlite3_column_bytes(stmt, column);
        spec->payload = malloc(size ?: 1);
        if (!spec->payload || (size > 0 && !data))
                return -ENOMEM;
        if (size > 0)
                memcpy(spec->payload, data, size);
        spec->payload_size = size;
        spec->has_payload = true;
        return 0;
}

int store_check_spec(Store *s, uint64_t id) {
        _cleanup_stmt_ sqlite3_stmt *stmt = store_stmt(s, STMT_JOB_ENVIRONMENT);
        int r;

        stmt_bind_u64(s, stmt, 1, id);
        r = stmt_step(s, stmt);
        if (r <= 0)
                return r < 0 ? r : -ENOENT;
        return sqlite3_column_int64(stmt, 0) == STORE_ENVIRONMENT_DROPPED ? -ENODATA : 0;
}

int store_load_spec(Store *s, const Job *j, JobSpec **ret) {
        _cleanup_stmt_ sqlite3_stmt *stmt = store_stmt(s, STMT_SPEC_LOAD);
        _cleanup_(spec_freep) JobSpec *spec = NULL;
        int64_t environment;
        int r;

        stmt_bind_u64(s, stmt, 1, j->id);
        r = stmt_step(s, stmt);
        if (r <= 0)
                return r < 0 ? r : -ENOENT;
        environment = sqlite3_column_int64(stmt, 0);
        if (environment == STORE_ENVIRONMENT_DROPPED)
                return -ENODATA;
        r = read_spec(s, stmt, 1, j, &spec);
        if (r >= 0)
                r = read_payload(stmt, 2, spec);
        if (r >= 0 && environment > 0)
                r = store_environment_load(s, environment, &spec->environment);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(spec);
        return 0;
}

/* ---- the backlog, in small pieces ---- */

static int read_window(Store *s, Group *g, uint32_t max_slots, uint32_t n) {
        const Level *l = g->level;
        _cleanup_stmt_ sqlite3_stmt *stmt = store_stmt(s, l->fair ? STMT_JOB_WINDOW_FAIR : STMT_JOB_WINDOW);
        bool more = false;
        int r;

        stmt_bind_text(s, stmt, 1, l->queue->name);
        stmt_bind_u64(s, stmt, 2, max_slots);
        stmt_bind_i64(s, stmt, 3, (int64_t) n + 1);
        if (l->fair)
                stmt_bind_u64(s, stmt, 4, g->owner);

        window_clear(g);
        g->window_more = false; /* or it would take nothing: all that we put in lies behind what it knows */
        while ((r = stmt_step(s, stmt)) > 0) {
                more = g->n_window == n;
                if (more)
                        continue;
                r = window_insert(g, &(Candidate) {
                                .id = sqlite3_column_int64(stmt, 0),
                                .rank = sqlite3_column_int64(stmt, 1),
                                .slots = stmt_u64(stmt, 2),
                                .owner = stmt_u64(stmt, 3),
                                .priority = sqlite3_column_int(stmt, 4),
                                .key = sqlite3_column_int64(stmt, 5),
                        }, n);
                if (r < 0)
                        return r;
        }
        g->window_more = more;
        return r;
}

int store_load_window(Store *s, Group *g, uint32_t max_slots) {
        int r = read_window(s, g, max_slots, queue_window_max(g));

        if (r < 0)
                window_clear(g);
        queue_window_changed(g);
        return r;
}

static int load_times(Store *s, StatementId of_due, StatementId of_next, usec_t now, uint64_t *ids, size_t n, size_t *ret_n,
                      usec_t *ret_next) {
        _cleanup_stmt_ sqlite3_stmt *due = store_stmt(s, of_due), *next = NULL;
        size_t k = 0;
        int r;

        now = MIN(now, (usec_t) INT64_MAX);
        stmt_bind_u64(s, due, 1, now);
        stmt_bind_u64(s, due, 2, n);
        while ((r = stmt_step(s, due)) > 0)
                ids[k++] = sqlite3_column_int64(due, 0);
        if (r < 0)
                return r;

        next = store_stmt(s, of_next);
        stmt_bind_u64(s, next, 1, now);
        r = stmt_step(s, next);
        if (r < 0)
                return r;
        *ret_next = r > 0 ? stmt_u64(next, 0) : USEC_INFINITY;
        *ret_n = k;
        return 0;
}

int store_load_due(Store *s, usec_t now, uint64_t *ids, size_t n, size_t *ret_n, usec_t *ret_next) {
        return load_times(s, STMT_JOB_DUE, STMT_JOB_NEXT_DUE, now, ids, n, ret_n, ret_next);
}

int store_load_expired(Store *s, usec_t now, uint64_t *ids, size_t n, size_t *ret_n, usec_t *ret_next) {
        return load_times(s, STMT_JOB_EXPIRED, STMT_JOB_NEXT_DEADLINE, now, ids, n, ret_n, ret_next);
}

int store_find_unique(Store *s, const char *queue, uint32_t owner, const char *key, uint64_t after, uint64_t *ret) {
        _cleanup_stmt_ sqlite3_stmt *stmt = store_stmt(s, STMT_JOB_UNIQUE);
        int r;

        stmt_bind_text(s, stmt, 1, key);
        stmt_bind_u64(s, stmt, 2, owner);
        stmt_bind_text(s, stmt, 3, queue);
        stmt_bind_u64(s, stmt, 4, after);
        r = stmt_step(s, stmt);
        if (r <= 0)
                return r < 0 ? r : -ENOENT;
        *ret = stmt_u64(stmt, 0);
        return 0;
}
