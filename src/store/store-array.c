/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Arrays: what their jobs have in common, their spec with it, is one row, written with the jobs and gone with the last of them. */

#include "queue/spec-json.h"
#include "store/store-internal.h"

static void array_to_row(Store *s, sqlite3_stmt *stmt, const Array *a) {
        int i = 1;

        stmt_bind_u64(s, stmt, i++, a->id);
        stmt_bind_u64(s, stmt, i++, a->n);
        stmt_bind_u64(s, stmt, i++, a->max_running);
        stmt_bind_u64(s, stmt, i++, a->used);
        for (JobState k = 0; k < _JOB_STATE_MAX; k++)
                stmt_bind_u64(s, stmt, i++, a->count[k]);
        stmt_bind_u64(s, stmt, i++, a->dead);
        assert(i == ARRAY_N_COLUMNS + 1);
}

int store_record_array(Store *s, const Array *a) {
        sqlite3_stmt *stmt = store_stmt(s, a->is_new ? STMT_ARRAY_INSERT : STMT_ARRAY_UPDATE);
        _cleanup_free_ char *text = NULL;
        int r;

        if (a->is_new) {
                r = spec_to_json(a->spec, SPEC_JSON_STORED, &text);
                if (r < 0)
                        return r;
                stmt_bind_text(s, stmt, ARRAY_N_COLUMNS + 1, text);
                if (a->spec->has_payload)
                        stmt_bind_blob(s, stmt, ARRAY_N_COLUMNS + 2, a->spec->payload, a->spec->payload_size);
        }
        array_to_row(s, stmt, a);
        r = stmt_exec(s, stmt);
        if (r < 0 || !a->is_new)
                return r;
        return store_room_add(s, TAILQ_FIRST(&a->elements)->owner, strlen(text) + (a->spec->has_payload ? a->spec->payload_size : 0));
}

/* A row that is missing is told by a check; its jobs can still be cancelled and purged. */
int store_read_array(Store *s, Job *j) {
        _cleanup_stmt_ sqlite3_stmt *stmt = NULL;
        Array *a;
        int r;

        if (j->array == 0)
                return 0;
        stmt = store_stmt(s, STMT_ARRAY_GET);
        stmt_bind_u64(s, stmt, 1, j->array);
        r = stmt_step(s, stmt);
        if (r <= 0)
                return r;
        a = array_new(j->array, stmt_u64(stmt, 1), stmt_u64(stmt, 2));
        if (!a)
                return -ENOMEM;
        a->used = stmt_u64(stmt, 3);
        for (JobState k = 0; k < _JOB_STATE_MAX; k++)
                a->count[k] = stmt_u64(stmt, 4 + k);
        a->dead = stmt_u64(stmt, 4 + _JOB_STATE_MAX);
        j->in_array = a;
        j->owns_array = true;
        return 0;
}

int store_array_size(Store *s, uint64_t id, uint64_t *ret) {
        _cleanup_stmt_ sqlite3_stmt *stmt = store_stmt(s, STMT_ARRAY_GET);
        int r;

        stmt_bind_u64(s, stmt, 1, id);
        r = stmt_step(s, stmt);
        if (r <= 0)
                return r < 0 ? r : -ENOENT;
        *ret = stmt_u64(stmt, 1);
        return 0;
}

int store_load_array_waiting(Store *s, uint64_t array, uint64_t after, uint64_t *ids, size_t n, size_t *ret_n) {
        _cleanup_stmt_ sqlite3_stmt *stmt = store_stmt(s, STMT_ARRAY_WAITING);
        size_t k = 0;
        int r;

        stmt_bind_u64(s, stmt, 1, array);
        stmt_bind_u64(s, stmt, 2, after);
        stmt_bind_u64(s, stmt, 3, n);
        while ((r = stmt_step(s, stmt)) > 0)
                ids[k++] = stmt_u64(stmt, 0);
        if (r < 0)
                return r;
        *ret_n = k;
        return 0;
}

/* 0: there is no more. */
static int next_array(Store *s, uint64_t after, uint64_t *ret_array, uint64_t *ret_job) {
        _cleanup_stmt_ sqlite3_stmt *stmt = store_stmt(s, STMT_ARRAY_NEXT_WAITING);
        int r;

        stmt_bind_u64(s, stmt, 1, after);
        r = stmt_step(s, stmt);
        if (r > 0) {
                *ret_array = stmt_u64(stmt, 0);
                *ret_job = stmt_u64(stmt, 1);
        }
        return r;
}

int store_load_arrays(Store *s, Model *m) {
        uint64_t array = 0, id;
        int r;

        while ((r = next_array(s, array, &array, &id)) > 0) {
                Queue *q;
                Job *j;

                r = store_load_job(s, id, &j);
                if (r < 0)
                        return r;
                r = model_queue_add(m, j->queue_name, &q);
                if (r < 0) {
                        job_free(j);
                        return r;
                }
                model_job_add(m, j, q);
                model_array_look(m, j);
        }
        return r;
}
