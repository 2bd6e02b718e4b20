/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Record: all that a turn of the loop changed in the model, in one transaction (design.md, section 3).
 *
 * Order within it: arrays, jobs, attempts, workers, those who wait in the foreground, queues, what is purged, who waits for whom, schedules, callbacks, receipts of requests, events, the counts of environments, what users have stored, the next id. All or nothing: on any
 * error it is rolled back, and the model's lists are left alone, for the caller drops the model and loads it again. */

#include "base/crash-point.h"
#include "queue/spec-change.h"
#include "queue/spec-json.h"
#include "store/store-internal.h"

/* ---- what needs an fsync ---- */

static int queue_flags_differ(Store *s, const Queue *q) {
        _cleanup_stmt_ sqlite3_stmt *stmt = store_stmt(s, STMT_QUEUE_FLAGS);
        int r;

        stmt_bind_text(s, stmt, 1, q->name);
        r = stmt_step(s, stmt);
        if (r <= 0)
                return r < 0 ? r : true;
        return sqlite3_column_int(stmt, 0) != q->paused || sqlite3_column_int(stmt, 1) != q->draining;
}

/* "Seen started" is all that may be lost in a power cut, for so is then the unit that was seen. Everything else was, or will
 * be, told to somebody. 1: relaxed. */
static int record_is_relaxed(Store *s, const Model *m) {
        const Attempt *a;
        const Queue *q;
        const Job *j;
        int r;

        if (m->n_purged > 0 || m->next_id != s->next_id)
                return false;
        TAILQ_FOREACH(j, &m->changed, changed_entry)
                if (j->is_new || j->was_edited || j->state != JOB_RUNNING)
                        return false;
        TAILQ_FOREACH(a, &m->changed_attempts, changed_entry)
                if (a->is_new || a->outcome_changed)
                        return false;
        if (!TAILQ_EMPTY(&m->changed_workers) || !TAILQ_EMPTY(&m->runs.changed) || timers_changed(&m->timers))
                return false;
        TAILQ_FOREACH(q, &m->changed_queues, changed_entry) {
                r = queue_flags_differ(s, q);
                if (r != 0)
                        return r < 0 ? r : false;
        }
        return true;
}

/* ---- jobs ---- */

static int record_new_spec(Store *s, const Job *j) {
        _cleanup_free_ char *text = NULL;
        sqlite3_stmt *stmt;
        int r;

        r = spec_to_json(j->spec, SPEC_JSON_STORED, &text);
        if (r >= 0)
                r = store_room_add(s, j->owner, strlen(text) + (j->spec->has_payload ? j->spec->payload_size : 0));
        if (r < 0)
                return r;
        stmt = store_stmt(s, STMT_SPEC_INSERT);
        stmt_bind_u64(s, stmt, 1, j->id);
        stmt_bind_text(s, stmt, 2, text);
        if (j->spec->has_payload)
                stmt_bind_blob(s, stmt, 3, j->spec->payload, j->spec->payload_size);
        return stmt_exec(s, stmt);
}

static int record_new_job(Store *s, const Job *j) {
        int64_t environment = 0;
        sqlite3_stmt *stmt;
        int r;

        if (!j->spec)
                return store_set_error(s, -EINVAL, "New job %" PRIu64 " has no spec", j->id);
        if (j->spec->environment && *j->spec->environment) {
                r = store_environment_reference(s, j->spec->environment, j->owner, &environment);
                if (r < 0)
                        return r;
        }
        stmt = store_stmt(s, STMT_JOB_INSERT);
        job_to_row(s, stmt, j);
        if (environment > 0)
                stmt_bind_i64(s, stmt, JOB_N_COLUMNS + 1, environment);
        r = stmt_exec(s, stmt);
        if (r >= 0)
                r = store_record_new_edges(s, j);
        if (r >= 0)
                r = store_room_add(s, j->owner, store_room_of_jobs(j->spec, 1));
        if (r < 0 || (j->in_array && !j->own_spec))
                return r;
        return record_new_spec(s, j);
}

/* Whether a row was there. */
static int exec_update(Store *s, sqlite3_stmt *stmt, const char *what, uint64_t id) {
        int r = stmt_exec(s, stmt);
        if (r < 0)
                return r;
        if (sqlite3_changes(s->db) != 1)
                return store_set_error(s, -EUCLEAN, "There is no row of %s %" PRIu64, what, id);
        return 0;
}

static int record_new_environment(Store *s, const Job *j) {
        int64_t environment = 0;
        sqlite3_stmt *stmt;
        int r = 0;

        /* First the new one: it may be the old one. */
        if (j->edited->environment && *j->edited->environment)
                r = store_environment_reference(s, j->edited->environment, j->owner, &environment);
        if (r >= 0)
                r = store_environment_drop(s, j->id, /* mark = */ false);
        if (r < 0)
                return r;
        stmt = store_stmt(s, STMT_JOB_SET_ENVIRONMENT);
        stmt_bind_u64(s, stmt, 1, j->id);
        if (environment > 0)
                stmt_bind_i64(s, stmt, 2, environment);
        return stmt_exec(s, stmt);
}

static int record_new_payload(Store *s, const Job *j) {
        sqlite3_stmt *stmt = store_stmt(s, STMT_SPEC_SET_PAYLOAD);

        stmt_bind_u64(s, stmt, 1, j->id);
        if (j->edited->has_payload)
                stmt_bind_blob(s, stmt, 2, j->edited->payload, j->edited->payload_size);
        return exec_update(s, stmt, "the spec of job", j->id);
}

/* From now on it is not that of its array any more. */
static int record_spec_of_array(Store *s, const Job *j) {
        sqlite3_stmt *stmt = store_stmt(s, STMT_SPEC_OF_ARRAY);

        stmt_bind_u64(s, stmt, 1, j->id);
        stmt_bind_u64(s, stmt, 2, j->array);
        return stmt_exec(s, stmt);
}

/* What stands beside the job's row, as far as it was changed. */
static int record_edited_fields(Store *s, const Job *j) {
        uint64_t environment = spec_field_bit(spec_field_find("environment")),
                 payload = spec_field_bit(spec_field_find("payload"));
        _cleanup_free_ char *text = NULL;
        sqlite3_stmt *stmt;
        int r = 0;

        if (j->array > 0 && (j->edited_fields & ~(spec_fields_of_job() | environment)))
                r = record_spec_of_array(s, j);
        if (r >= 0 && (j->edited_fields & environment))
                r = record_new_environment(s, j);
        if (r >= 0 && (j->edited_fields & payload))
                r = record_new_payload(s, j);
        if (r < 0 || !(j->edited_fields & ~(spec_fields_of_job() | environment | payload)))
                return r;
        r = spec_to_json(j->edited, SPEC_JSON_STORED, &text);
        if (r < 0)
                return r;
        stmt = store_stmt(s, STMT_SPEC_UPDATE);
        stmt_bind_u64(s, stmt, 1, j->id);
        stmt_bind_text(s, stmt, 2, text);
        return exec_update(s, stmt, "the spec of job", j->id);
}

static int record_edited(Store *s, const Job *j) {
        StoredSpec before, after;
        int r;

        r = store_stored_spec(s, j, &before);
        if (r >= 0)
                r = record_edited_fields(s, j);
        if (r >= 0)
                r = store_stored_spec(s, j, &after);
        if (r < 0)
                return r;
        return store_room_add(s, j->owner, (after.own ? (int64_t) (after.text + after.payload) : 0) - (before.own ? (int64_t) (before.text + before.payload) : 0));
}

static int record_job(Store *s, const Job *j) {
        sqlite3_stmt *stmt;
        int r;

        if (j->is_new)
                r = record_new_job(s, j);
        else {
                stmt = store_stmt(s, STMT_JOB_UPDATE);
                job_to_row(s, stmt, j);
                r = exec_update(s, stmt, "job", j->id);
                if (r >= 0 && j->edited)
                        r = record_edited(s, j);
        }
        if (r >= 0 && j->spec_dropped)
                r = store_environment_drop(s, j->id, /* mark = */ true);
        return r;
}

/* ---- callbacks ---- */

void store_set_callback_body(Store *s, callback_body_t body, void *userdata) {
        s->callback_body = body;
        s->callback_userdata = userdata;
}

static int record_callback(Store *s, const Job *j) {
        _cleanup_free_ char *body = NULL;
        sqlite3_stmt *stmt;
        size_t size = 0;
        int r;

        r = s->callback_body(s->callback_userdata, j, &body, &size);
        if (r < 0)
                return r;
        CRASH_POINT("callback-written");
        stmt = store_stmt(s, STMT_SPEC_SET_PAYLOAD);
        stmt_bind_u64(s, stmt, 1, j->id);
        stmt_bind_blob(s, stmt, 2, body, size);
        r = exec_update(s, stmt, "the spec of job", j->id);
        return r < 0 ? r : store_room_add(s, j->owner, size);
}

/* They say what this commit leaves, so they come behind it. */
static int record_callbacks(Store *s, const Model *m) {
        const Job *j;
        int r = 0;

        TAILQ_FOREACH(j, &m->changed, changed_entry)
                if (r >= 0 && j->callback_of > 0 && s->callback_body)
                        r = record_callback(s, j);
        return r;
}

/* ---- attempts, queues, purges ---- */

/* a->room is what is recorded, or will be: where the commit fails, the attempt is loaded anew. */
static int record_attempt_room(Store *s, Attempt *a, uint64_t room) {
        int64_t more = (int64_t) room - (int64_t) a->room;
        _cleanup_(job_freep) Job *j = NULL;
        int r;

        if (more == 0)
                return 0;
        if (a->owner == UINT32_MAX) { /* one that had ended when it was loaded */
                r = store_load_job(s, a->job_id, &j);
                if (r < 0)
                        return r == -ENOENT ? 0 : r;
                a->owner = j->owner;
        }
        a->room = room;
        return store_room_add(s, a->owner, more);
}

static int record_attempt(Store *s, Attempt *a) {
        _cleanup_free_ char *numbers = NULL;
        sqlite3_stmt *stmt;
        int r;

        if (a->phase == ATTEMPT_STRAY) /* has no row */
                return 0;
        if (a->refused) {
                stmt = store_stmt(s, STMT_ATTEMPT_DELETE_ONE);
                stmt_bind_u64(s, stmt, 1, a->job_id);
                stmt_bind_u64(s, stmt, 2, a->number);
                r = stmt_exec(s, stmt);
                return r < 0 ? r : record_attempt_room(s, a, 0);
        }

        if (a->slot_numbers) {
                numbers = attempt_slot_numbers_to_string(a);
                if (!numbers)
                        return -ENOMEM;
        }
        stmt = store_stmt(s, a->is_new ? STMT_ATTEMPT_INSERT : STMT_ATTEMPT_UPDATE);
        attempt_to_row(s, stmt, a, numbers);
        r = exec_update(s, stmt, "an attempt of job", a->job_id);
        return r < 0 ? r : record_attempt_room(s, a, store_room_of_attempt(a, numbers));
}

static int record_backlog(Store *s, const Queue *q) {
        const UserBacklog *u;

        TAILQ_FOREACH(u, &q->backlog.changed, changed_entry) {
                sqlite3_stmt *stmt;
                int r;

                stmt = store_stmt(s, u->own > 0 ? STMT_BACKLOG_UPSERT : STMT_BACKLOG_DELETE);
                stmt_bind_text(s, stmt, 1, q->name);
                stmt_bind_u64(s, stmt, 2, u->owner);
                if (u->own > 0)
                        stmt_bind_u64(s, stmt, 3, u->own);
                r = stmt_exec(s, stmt);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int record_queue(Store *s, const Queue *q) {
        sqlite3_stmt *stmt = store_stmt(s, STMT_QUEUE_UPSERT);
        int r;

        stmt_bind_text(s, stmt, 1, q->name);
        stmt_bind_i64(s, stmt, 2, q->paused);
        stmt_bind_i64(s, stmt, 3, q->draining);
        for (JobState i = 0; i < _JOB_STATE_MAX; i++)
                stmt_bind_u64(s, stmt, 4 + i, q->count[i]);
        stmt_bind_u64(s, stmt, 4 + _JOB_STATE_MAX, q->dead);
        stmt_bind_i64(s, stmt, 5 + _JOB_STATE_MAX, (int64_t) q->ranked_ageing);
        stmt_bind_i64(s, stmt, 6 + _JOB_STATE_MAX, q->ranked_fair);
        stmt_bind_i64(s, stmt, 7 + _JOB_STATE_MAX, q->reranking);
        r = stmt_exec(s, stmt);
        if (r >= 0)
                r = store_record_rate(s, q);
        return r < 0 ? r : record_backlog(s, q);
}

static int record_purge(Store *s, uint64_t id) {
        static const StatementId deletes[] = { STMT_ROOM_OF_JOB, STMT_ARRAY_DELETE_WITH_LAST, STMT_JOB_DELETE, STMT_SPEC_DELETE, STMT_ATTEMPT_DELETE,
                                               STMT_EDGE_DELETE };
        int r;

        CRASH_POINT("purge-begun");
        r = store_environment_drop(s, id, /* mark = */ false);
        if (r < 0)
                return r;
        FOREACH_ELEMENT(i, deletes) {
                sqlite3_stmt *stmt = store_stmt(s, *i);

                stmt_bind_u64(s, stmt, 1, id);
                r = store_room_take_away(s, stmt); /* they have no rows, but the first two */
                if (r < 0)
                        return r;
        }
        CRASH_POINT("purge-made");
        return 0;
}

/* ---- all of it ---- */

/* Ids are never used again, also when the highest ones were purged. */
static int record_next_id(Store *s, uint64_t next_id) {
        char text[32];

        if (s->next_id == next_id)
                return 0;
        (void) snprintf(text, sizeof(text), "%" PRIu64, next_id);
        return store_meta_write(s, STORE_META_NEXT_ID, text);
}

static int record_changes(Store *s, const Model *m) {
        const Receipt *receipt;
        const Array *array;
        const Worker *w;
        const Run *run;
        const Queue *q;
        const Job *j;
        Attempt *a;
        int r;

        TAILQ_FOREACH(array, &m->changed_arrays, changed_entry) {
                r = store_record_array(s, array);
                if (r < 0)
                        return r;
        }
        TAILQ_FOREACH(j, &m->changed, changed_entry) {
                r = record_job(s, j);
                if (r < 0)
                        return r;
        }
        TAILQ_FOREACH(a, &m->changed_attempts, changed_entry) {
                r = record_attempt(s, a);
                if (r < 0)
                        return r;
        }
        TAILQ_FOREACH(w, &m->changed_workers, changed_entry) {
                r = store_record_worker(s, w);
                if (r < 0)
                        return r;
        }
        TAILQ_FOREACH(run, &m->runs.changed, changed_entry) {
                r = store_record_run(s, run);
                if (r < 0)
                        return r;
        }
        TAILQ_FOREACH(q, &m->changed_queues, changed_entry) {
                r = record_queue(s, q);
                if (r < 0)
                        return r;
        }
        for (size_t i = 0; i < m->n_purged; i++) {
                r = record_purge(s, m->purged[i]);
                if (r < 0)
                        return r;
        }
        r = store_record_edges(s, m);
        if (r >= 0)
                r = store_record_timers(s, m);
        if (r >= 0)
                r = record_callbacks(s, m);
        if (r < 0)
                return r;
        TAILQ_FOREACH(receipt, &m->receipts, entry) {
                r = store_record_receipt(s, receipt);
                if (r < 0)
                        return r;
        }
        r = store_record_events(s);
        if (r >= 0)
                r = store_record_usage(s, m);
        if (r < 0)
                return r;
        CRASH_POINT("record-written");
        r = store_environment_flush(s);
        if (r >= 0)
                r = store_rooms_flush(s);
        if (r < 0)
                return r;
        return record_next_id(s, m->next_id);
}

int store_record(Store *s, Model *m) {
        int r, relaxed;

        relaxed = record_is_relaxed(s, m);
        if (relaxed < 0)
                return relaxed;
        r = store_starts_reserve(s, m->next_id);
        if (r >= 0)
                r = store_credentials_write(s, m);
        if (r >= 0)
                r = store_begin(s, relaxed);
        if (r < 0)
                return r;
        r = record_changes(s, m);
        if (r >= 0)
                r = store_commit(s);
        store_announce(s, NULL, 0, s->event.max);
        store_rooms_ended(s, r >= 0);
        store_rooms_recorded(s);
        if (r < 0) {
                store_rollback(s);
                s->usage.known = false;
                store_environment_forget(s);
                return r;
        }
        s->event.last = s->event.next;
        s->next_id = m->next_id;
        store_credentials_recorded(s, m);
        return 0;
}
