/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* See store-script.h. Pages are dropped from memory and the log is written back often, so that a short script does all that a
 * long life does. */

#include "store-script.h"

#include "queue/spec-change.h"

#define LARGE 30000U

/* ---- what the steps are made of ---- */

#define FIRST UINT64_C(100) /* job ids count from there */

static int get(Store *s, Model *m, uint64_t id, Job **ret) {
        Queue *q;
        Job *j;
        int r;

        j = model_job(m, id);
        if (!j) {
                r = store_load_job(s, id, &j);
                if (r < 0)
                        return r;
                r = model_queue_add(m, j->queue_name, &q);
                if (r < 0) {
                        job_free(j);
                        return r;
                }
                model_job_add(m, j, q);
        }
        *ret = j;
        return 0;
}

#define ARRAY (FIRST + 7)

typedef struct New {
        const char *queue, *variable;
        uint32_t owner;
        size_t payload;
        usec_t not_before;
        bool after; /* the first two */
        uint32_t array;
        const char *unique;
} New;

static int add(Model *m, const New *n, uint64_t *ret) {
        _cleanup_(spec_freep) JobSpec *spec = spec_new();
        Queue *q;
        Job *j;
        int r;

        if (!spec)
                return -ENOMEM;
        r = strv_extend(&spec->argv, "true");
        if (r >= 0 && n->variable)
                r = strv_extend(&spec->environment, n->variable);
        if (r >= 0)
                r = strv_extend(&spec->tags, "key");
        if (r >= 0)
                r = strv_extend(&spec->tags, "value");
        if (r < 0)
                return r;
        if (n->payload > 0) {
                spec->payload = malloc(n->payload);
                if (!spec->payload)
                        return -ENOMEM;
                memset(spec->payload, 'p', n->payload);
                spec->payload_size = n->payload;
                spec->has_payload = true;
        }
        if (n->after) {
                spec->after = new0(After, 2);
                if (!spec->after)
                        return -ENOMEM;
                for (; spec->n_after < 2; spec->n_after++)
                        spec->after[spec->n_after] = (After) { .id = FIRST + spec->n_after, .condition = AFTER_END };
        }
        spec->array = n->array;
        spec->array_max_running = n->array / 2;
        r = free_and_strdup(&spec->unique_key, n->unique);
        if (r < 0)
                return r;
        if (n->not_before > 0)
                spec->not_before_usec = n->not_before;
        r = model_queue_add(m, n->queue, &q);
        if (r >= 0)
                r = model_submit(m, q, spec, n->owner, "alice", &now, &j, NULL);
        if (r < 0)
                return r;
        TAKE_PTR(spec);
        *ret = j->id;
        return 0;
}

/* ---- the steps ---- */

static int step_submit(Store *s, Model *m) {
        static const New jobs[] = {
                { "q", "A=1", 1000, 0, 0 },
                { "q", "A=1", 1000, 10, 0 },
                { "q-r", "B=1", 1001, 0, 0 },
                { "q", NULL, 1001, LARGE, 0 },
                { "other", "A=1", 1000, 0, 5000 * USEC_PER_SEC },
                { "other", "C=1", 1000, 0, 0 },
                { "other", NULL, 1000, 0, 0, .after = true },
                { "other", "A=1", 1000, 10, 0, .array = 3 },
                { "other", NULL, 1000, 0, 0, .unique = "k" },
        };
        uint64_t ids[ELEMENTSOF(jobs)];
        Receipt *receipt;
        int r;

        m->next_id = MAX(m->next_id, FIRST);
        FOREACH_ELEMENT(i, jobs) {
                r = add(m, i, ids + (i - jobs));
                if (r < 0)
                        return r;
        }
        receipt = receipt_new(1000, "one");
        if (!receipt)
                return -ENOMEM;
        receipt->ids = new0(uint64_t, ELEMENTSOF(jobs));
        if (!receipt->ids) {
                receipt_free(receipt);
                return -ENOMEM;
        }
        memcpy(receipt->ids, ids, sizeof(ids));
        receipt->first_id = FIRST;
        receipt->n_jobs = ELEMENTSOF(jobs);
        receipt->created_usec = 5;
        model_receipt_add(m, receipt);
        return 0;
}

static int step_start(Store *s, Model *m) {
        for (uint64_t id = FIRST; id < FIRST + 3; id++) {
                Job *j;
                int r = get(s, m, id, &j);

                if (r >= 0)
                        r = model_start(m, j, token, &now);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int step_started(Store *s, Model *m) {
        for (uint64_t id = FIRST; id < FIRST + 3; id++) {
                Job *j;
                int r = get(s, m, id, &j);

                if (r < 0)
                        return r;
                model_attempt_started(m, j->live, invocation, now.realtime, now.monotonic);
        }
        return 0;
}

static int step_cancel(Store *s, Model *m) {
        Job *j;
        int r = get(s, m, FIRST, &j);

        if (r >= 0)
                r = model_cancel(m, j, "because", &now);
        return r;
}

static int end(Store *s, Model *m, uint64_t id, JobResult result) {
        Outcome o = OUTCOME_INIT;
        Job *j;
        int r;

        r = get(s, m, id, &j);
        if (r < 0)
                return r;
        o.result = result;
        o.exit_status = 3;
        o.finished_usec = now.realtime + 7;
        model_attempt_ended(m, j->live, &o, &now);
        outcome_done(&o);
        return 0;
}

/* What waits for it. */
static int release(Store *s, Model *m, uint64_t id) {
        Job *before, *j;
        Ended *ended;
        Edge edges[2];
        size_t n = 0;
        int r;

        r = store_load_waiting_for(s, id, 0, edges, 2, &n);
        if (r >= 0)
                r = get(s, m, id, &before);
        for (size_t i = 0; r >= 0 && i < n; i++) {
                r = get(s, m, edges[i].job, &j);
                if (r >= 0)
                        r = model_edge_ended(m, j, edges + i, before, &now);
        }
        HASH_FIND(hh, m->releases.ended, &id, sizeof(id), ended);
        if (r >= 0 && ended)
                ended->through = true;
        return r;
}

static int step_end(Store *s, Model *m) {
        int r = end(s, m, FIRST, JOB_SIGNAL);

        if (r >= 0)
                r = end(s, m, FIRST + 1, JOB_SUCCESS);
        for (uint64_t id = FIRST; r >= 0 && id < FIRST + 2; id++)
                r = model_ended_add(m, id, false);
        return r < 0 ? r : release(s, m, FIRST);
}

static int step_hold(Store *s, Model *m) {
        Job *j;
        int r = get(s, m, FIRST + 3, &j);

        if (r >= 0)
                r = model_hold(m, j, &now);
        if (r >= 0)
                r = release(s, m, FIRST + 1);
        if (r < 0)
                return r;
        model_queue_pause(m, j->queue, true);
        return 0;
}

static int step_update(Store *s, Model *m) {
        static const uint64_t which[] = { FIRST + 3, ARRAY + 2 };
        _cleanup_(spec_freep) JobSpec *changes = spec_new();
        uint64_t fields = spec_field_bit(spec_field_find("environment")) | spec_field_bit(spec_field_find("tags"));
        Job *j;
        int r;

        if (!changes)
                return -ENOMEM;
        r = strv_extend(&changes->environment, "D=1");
        FOREACH_ELEMENT(id, which) {
                _cleanup_(job_row_done) JobRow row = {};

                if (r >= 0)
                        r = get(s, m, *id, &j);
                if (r >= 0)
                        r = history_get(s, *id, true, &row);
                if (r >= 0)
                        r = spec_change(row.spec, changes, fields, NULL);
                if (r >= 0)
                        r = model_update(m, j, NULL, row.spec, fields, &now, NULL);
                if (r < 0)
                        return r;
                row.spec = NULL;
        }
        return r;
}

static int step_retry(Store *s, Model *m) {
        Job *j;
        int r = get(s, m, FIRST, &j);

        return r < 0 ? r : model_retry(m, j, 1, 0, &now);
}

/* Enough for the log to be written back. */
static int step_many(Store *s, Model *m) {
        uint64_t id;
        int r = 0;

        for (unsigned i = 0; i < 12 && r >= 0; i++)
                r = add(m, &(New) { i % 2 ? "q" : "q-r", i % 3 ? "A=1" : "E=1", 1000 + i % 2, i == 5 ? LARGE : 0, 0 }, &id);
        return r;
}

static int step_due(Store *s, Model *m) {
        uint64_t ids[4];
        usec_t next;
        size_t n;
        int r;

        r = store_load_due(s, 6000 * USEC_PER_SEC, ids, ELEMENTSOF(ids), &n, &next);
        for (size_t i = 0; r >= 0 && i < n; i++) {
                Job *j;

                r = get(s, m, ids[i], &j);
                if (r >= 0)
                        model_due(m, j, &(Now) { 6000 * USEC_PER_SEC, 1 });
        }
        assert_true(r < 0 || n == 1);
        return r;
}

static int on_row(void *userdata, JobRow *row) {
        ++*(unsigned *) userdata;
        return 0;
}

static int on_attempt(void *userdata, const Attempt *a) {
        return 0;
}

static int on_edge(void *userdata, const Edge *e) {
        return 0;
}

/* Everything that only reads. What it gives is whole, or an error. */
static int step_read(Store *s, Model *m) {
        _cleanup_(spec_freep) JobSpec *spec = NULL, *of_array = NULL;
        _cleanup_(receipt_freep) Receipt *receipt = NULL;
        _cleanup_free_ char *inputs = NULL;
        uint64_t ids[64], count;
        unsigned all = 0;
        size_t n;
        Queue *q;
        int r;

        for (JobOrder o = 0; o < _JOB_ORDER_MAX; o++) {
                _cleanup_free_ char *next = NULL;
                JobFilter f = JOB_FILTER_INIT;
                unsigned rows = 0;

                if (o == JOB_ORDER_FINISHED)
                        f.states = 1U << JOB_DONE;
                r = history_list(s, &f, o, "", 100, true, on_row, &rows, &next);
                if (r < 0)
                        return r;
                all = MAX(all, rows);
        }
        r = history_ids(s, &JOB_FILTER_INIT, 0, UINT64_MAX, ids, ELEMENTSOF(ids), &n);
        if (r >= 0)
                r = history_count(s, &JOB_FILTER_INIT, 0, UINT64_MAX, &count);
        if (r < 0)
                return r;
        assert_int_equal(n, count);
        assert_int_equal(all, count);
        r = history_attempts(s, FIRST, on_attempt, NULL);
        if (r >= 0)
                r = load_spec(s, FIRST + 3, &spec);
        if (r < 0)
                return r;
        r = load_spec(s, ARRAY + 1, &of_array);
        if (r >= 0)
                r = store_load_array_waiting(s, ARRAY, 0, ids, 4, &n);
        if (r < 0)
                return r;
        assert_true(n == 2 && ids[1] == ARRAY + 2);
        assert_string_equal(of_array->environment[0], "A=1");
        r = store_find_unique(s, "other", 1000, "k", 0, &count);
        if (r < 0)
                return r;
        assert_int_equal(count, ARRAY + 3);
        assert_int_equal(spec->payload_size, LARGE);
        assert_string_equal(spec->environment[0], "D=1");
        r = store_edges(s, FIRST + 6, on_edge, NULL);
        if (r >= 0)
                r = store_open_edges(s, FIRST + 6, ids, 2, &count);
        if (r >= 0)
                r = store_load_inputs(s, FIRST + 6, &inputs);
        if (r >= 0)
                r = store_is_needed(s, FIRST);
        if (r < 0)
                return r;
        assert_non_null(inputs);
        r = store_load_receipt(s, 1000, "one", &receipt);
        if (r >= 0 || r == -ENOENT) /* expired, later */
                r = store_count_receipts(s, 1000, &count);
        if (r >= 0)
                r = model_queue_add(m, "q", &q);
        if (r >= 0)
                r = store_load_window(s, &q->level.all, UINT32_MAX);
        return r;
}

static int step_purge(Store *s, Model *m) {
        Job *j;
        int r = get(s, m, FIRST + 1, &j);

        return r < 0 ? r : model_purge(m, j);
}

static int step_expire(Store *s, Model *m) {
        usec_t oldest;

        return store_expire_receipts(s, 50, 1000, 10, &oldest);
}

static int step_meta(Store *s, Model *m) {
        return store_set_meta(s, "queue.q.slice", "text");
}

static int step_last(Store *s, Model *m) {
        return end(s, m, FIRST + 2, JOB_EXIT_CODE);
}

/* 0 is to open it. */
static const struct Step {
        int (*step)(Store *s, Model *m);
        bool open;    /* anew, before */
        bool relaxed; /* may be lost with the power */
        bool alone;   /* makes its own transaction, which may have ended when it fails */
} steps[SCRIPT_N_STEPS] = {
        [1] = { step_submit },
        [2] = { step_start },
        [3] = { step_started, .relaxed = true },
        [4] = { step_cancel },
        [5] = { step_end, .open = true },
        [6] = { step_hold },
        [7] = { step_update, .open = true },
        [8] = { step_retry },
        [9] = { step_many },
        [10] = { step_due },
        [11] = { step_read, .open = true },
        [12] = { step_purge },
        [13] = { step_expire, .relaxed = true, .alone = true },
        [14] = { step_meta, .alone = true },
        [15] = { step_last, .open = true },
        [16] = { step_read },
};

/* ---- running them ---- */

static int script_failed(Script *x, int error, const char *text) {
        x->error = error;
        (void) snprintf(x->text, sizeof(x->text), "%s", text);
        return error;
}

static int script_open(Script *x) {
        _cleanup_free_ char *error = NULL;
        int r;

        script_close(x);
        r = store_open(x->directory->file, &x->s, &error);
        if (r < 0) {
                assert_null(x->s);
                if (!error && r == -ENOMEM)
                        return script_failed(x, r, "no memory");
                if (!error)
                        fail_msg("No text for %i", r);
                if (!strstr(error, x->directory->path))
                        fail_msg("\"%s\" names no file", error);
                return script_failed(x, r, error);
        }
        x->s->log_pages_max = 30;
        r = script_reload(x);
        if (r < 0)
                script_close(x);
        return r;
}

int script_reload(Script *x) {
        int r;

        x->m = model_free(x->m);
        if (!x->s)
                return 0; /* to be opened first */
        x->m = model_new();
        if (!x->m)
                return script_failed(x, -ENOMEM, "no memory");
        (void) sqlite3_db_release_memory(x->s->db);
        r = store_load(x->s, x->m);
        if (r < 0) {
                x->m = model_free(x->m);
                return script_failed(x, r, store_error(x->s));
        }
        return 0;
}

int script_step(Script *x, unsigned i, bool *ret_durable) {
        int r;

        *ret_durable = !steps[i].relaxed;
        if (!x->s || (steps[i].open && x->opened_for != i)) {
                r = script_open(x);
                if (r < 0)
                        return r;
                x->opened_for = i;
        }
        if (!x->m) {
                r = script_reload(x);
                if (r < 0)
                        return r;
        }
        if (i == 0)
                return 0;
        (void) sqlite3_db_release_memory(x->s->db);
        r = steps[i].step(x->s, x->m);
        if (r >= 0 && model_has_changes(x->m)) {
                r = store_record(x->s, x->m);
                if (r >= 0)
                        model_recorded(x->m);
        }
        return r < 0 ? script_failed(x, r, store_error(x->s)) : 0;
}

void script_close(Script *x) {
        x->m = model_free(x->m);
        x->s = store_close(x->s);
}

bool script_step_is_alone(unsigned i) {
        return steps[i].alone;
}

/* ---- before and after ---- */

void script_remove_files(const Directory *d) {
        static const char *const suffixes[] = { "", "-wal", "-journal" };

        FOREACH_ELEMENT(i, suffixes) {
                char path[256];

                (void) snprintf(path, sizeof(path), "%s%s", d->file, *i);
                (void) unlink(path);
        }
}

void script_prepare(Directory *d, bool old) {
        sqlite3 *db;

        script_remove_files(d);
        if (!old)
                return;
        assert_int_equal(sqlite3_open(d->file, &db), SQLITE_OK);
        assert_int_equal(sqlite3_exec(db, schema_migration(1), NULL, NULL, NULL), SQLITE_OK);
        assert_int_equal(sqlite3_exec(
                db,
                "PRAGMA user_version = 1;"
                "INSERT INTO queue VALUES ('q', 0, 0, 0, 0, 1, 0, 0, 0, 1, 1), ('q-r', 0, 0, 1, 0, 0, 0, 0, 0, 0, 0);"
                "INSERT INTO job (id, queue, owner, state, result, priority, rank, slots, attempt, max_attempts, dead,"
                " privileged) VALUES (1, 'q', 1000, 'ready', NULL, 0, 0, 1, 0, 1, 0, 0),"
                " (2, 'q-r', 1000, 'held', NULL, 0, 0, 1, 0, 1, 0, 0), (3, 'q', 1000, 'done', 'exec', 0, 0, 1, 0, 1, 1, 0);"
                "INSERT INTO job_spec VALUES (1, '{\"argv\":[\"true\"]}', NULL), (2, '{\"argv\":[\"true\"]}', NULL),"
                " (3, '{\"argv\":[\"true\"]}', NULL);",
                NULL, NULL, NULL), SQLITE_OK);
        assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static uint64_t hash(uint64_t h, const void *p, size_t n) {
        for (size_t i = 0; i < n; i++)
                h = (h ^ ((const uint8_t *) p)[i]) * UINT64_C(1099511628211);
        return h;
}

bool script_ignore_reasons;

uint64_t script_digest(sqlite3 *db) {
        static const char *const tables[] = { "meta", "queue", "job", "job_spec", "environment", "environment_content",
                                              "attempt", "receipt", "receipt_count", "backlog", "array", "room" };
        uint64_t h = UINT64_C(14695981039346656037);

        FOREACH_ELEMENT(i, tables) {
                sqlite3_stmt *stmt;
                char sql[64];
                int rc;

                (void) snprintf(sql, sizeof(sql), "SELECT * FROM %s", *i);
                assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &stmt, NULL), SQLITE_OK);
                while ((rc = sqlite3_step(stmt)) == SQLITE_ROW)
                        for (int k = 0; k < sqlite3_column_count(stmt); k++) {
                                if (script_ignore_reasons && streq(sqlite3_column_name(stmt, k), "reason"))
                                        continue;
                                int type = sqlite3_column_type(stmt, k);
                                const void *p = sqlite3_column_blob(stmt, k);

                                h = hash(hash(h, &type, sizeof(type)), p, sqlite3_column_bytes(stmt, k));
                        }
                assert_int_equal(rc, SQLITE_DONE);
                h = hash(h, *i, strlen(*i));
                (void) sqlite3_finalize(stmt);
        }
        return h;
}

static int on_text(void *userdata, int n, char **values, char **names) {
        (void) snprintf(userdata, 256, "%s", strempty(values[0]));
        return 0;
}

void script_check(sqlite3 *db) {
        static const char *const counts[] = {
                "SELECT count(*) FROM job AS j WHERE NOT EXISTS (SELECT 1 FROM job_spec WHERE job = j.id)"
                " AND NOT EXISTS (SELECT 1 FROM array WHERE id = j.array)",
                "SELECT count(*) FROM array AS a WHERE held + waiting + ready + done <> (SELECT count(*) FROM job WHERE array = a.id)"
                " OR used <> (SELECT count(*) FROM job WHERE array = a.id AND array_waits = 0 AND state NOT IN ('held', 'done'))",
                "SELECT count(*) FROM job_spec AS s WHERE NOT EXISTS (SELECT 1 FROM job WHERE id = s.job)",
                "SELECT count(*) FROM attempt AS a WHERE NOT EXISTS (SELECT 1 FROM job WHERE id = a.job)",
                "SELECT count(*) FROM job AS j WHERE attempt > 0"
                " AND NOT EXISTS (SELECT 1 FROM attempt AS a WHERE a.job = j.id AND a.attempt = j.attempt)",
                "SELECT sum(held + waiting + ready + starting + running + stopping + done) - (SELECT count(*) FROM job) FROM queue",
                "SELECT count(*) FROM queue AS q WHERE"
                " held <> (SELECT count(*) FROM job WHERE queue = q.name AND state = 'held') OR"
                " waiting <> (SELECT count(*) FROM job WHERE queue = q.name AND state = 'waiting') OR"
                " ready <> (SELECT count(*) FROM job WHERE queue = q.name AND state = 'ready') OR"
                " starting <> (SELECT count(*) FROM job WHERE queue = q.name AND state = 'starting') OR"
                " running <> (SELECT count(*) FROM job WHERE queue = q.name AND state = 'running') OR"
                " stopping <> (SELECT count(*) FROM job WHERE queue = q.name AND state = 'stopping') OR"
                " done <> (SELECT count(*) FROM job WHERE queue = q.name AND state = 'done') OR"
                " dead <> (SELECT count(*) FROM job WHERE queue = q.name AND dead = 1)",
                "SELECT count(*) FROM (SELECT queue, owner, n FROM backlog EXCEPT SELECT queue, owner, count(*) FROM job"
                " WHERE state IN ('held', 'waiting', 'ready') GROUP BY queue, owner)",
                "SELECT count(*) FROM (SELECT queue, owner, count(*) FROM job WHERE state IN ('held', 'waiting', 'ready')"
                " GROUP BY queue, owner EXCEPT SELECT queue, owner, n FROM backlog)",
                "SELECT count(*) FROM environment AS e WHERE refs <> (SELECT count(*) FROM job WHERE environment = e.id)"
                " OR NOT EXISTS (SELECT 1 FROM environment_content WHERE environment = e.id)",
                "SELECT count(*) FROM environment_content AS c WHERE NOT EXISTS (SELECT 1 FROM environment WHERE id = c.environment)",
                "SELECT count(*) FROM receipt_count AS c WHERE n <> (SELECT count(*) FROM receipt WHERE caller = c.caller)",
                "WITH b AS (SELECT owner, count(*) * 512 AS n FROM job GROUP BY owner"
                " UNION ALL SELECT owner, sum(length(CAST(spec AS BLOB)) + length(ifnull(payload, x''))) FROM job_spec JOIN job ON id = job GROUP BY owner"
                " UNION ALL SELECT j.owner, length(CAST(a.spec AS BLOB)) + length(ifnull(a.payload, x'')) FROM array AS a"
                "  JOIN (SELECT DISTINCT array, owner FROM job) AS j ON j.array = a.id"
                " UNION ALL SELECT owner, 192 + length(CAST(ifnull(slot_numbers, '') || ifnull(a.reason, '') || ifnull(verdict, '') || ifnull(io_stdout, '')"
                "  || ifnull(io_stderr, '') || ifnull(engine, '') AS BLOB)) FROM attempt AS a JOIN job ON id = job"
                " UNION ALL SELECT owner, 64 FROM edge JOIN job ON id = job"
                " UNION ALL SELECT owner, 64 + length(content) FROM environment JOIN environment_content ON id = environment"
                " UNION ALL SELECT caller, 128 + length(CAST(request_id || ifnull(ids, '') AS BLOB)) FROM receipt"
                " UNION ALL SELECT owner, 512 + length(CAST(ifnull(calendar, '') || ifnull(job, '') AS BLOB)) FROM timer),"
                " s AS (SELECT owner, sum(n) AS bytes FROM b GROUP BY owner)"
                " SELECT count(*) FROM (SELECT * FROM (SELECT owner, bytes FROM s EXCEPT SELECT owner, bytes FROM room)"
                "  UNION ALL SELECT * FROM (SELECT owner, bytes FROM room EXCEPT SELECT owner, bytes FROM s))",
                "SELECT count(*) FROM receipt AS r WHERE NOT EXISTS (SELECT 1 FROM job WHERE id = r.first_id)",
        };
        char text[256] = "";

        assert_int_equal(sqlite3_exec(db, "PRAGMA integrity_check", on_text, text, NULL), SQLITE_OK);
        assert_string_equal(text, "ok");
        FOREACH_ELEMENT(i, counts) {
                assert_int_equal(sqlite3_exec(db, *i, on_text, text, NULL), SQLITE_OK);
                if (*text && !streq(text, "0"))
                        fail_msg("%s: %s", *i, text);
        }
}

void script_digests(bool old, uint64_t digests[SCRIPT_N_STEPS]) {
        _cleanup_directory_ Directory d = make_directory();
        Script x = { .directory = &d };
        bool durable;

        script_prepare(&d, old);
        for (unsigned i = 0; i < SCRIPT_N_STEPS; i++) {
                if (script_step(&x, i, &durable) < 0)
                        fail_msg("Step %u: %s", i, x.text);
                digests[i] = script_digest(x.s->db);
                script_check(x.s->db);
        }
        script_close(&x);
}
