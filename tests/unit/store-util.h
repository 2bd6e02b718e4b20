/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the tests of the store have in common: a store, a model, jobs in them. */

#include "base/strv.h"
#include "queue/spec-change.h"
#include "store/history.h"
#include "store/schema.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define _cleanup_model_ _cleanup_(model_freep)

static const Now now = { .realtime = 1000 * USEC_PER_SEC, .monotonic = 5 * USEC_PER_SEC, .even = 900 * USEC_PER_SEC };

static inline Store *open_memory(void) {
        _cleanup_free_ char *error = NULL;
        Store *s = NULL;

        assert_int_equal(store_open(STORE_MEMORY, &s, &error), 0);
        assert_null(error);
        return s;
}

static inline void record(Store *s, Model *m) {
        if (store_record(s, m) < 0)
                fail_msg("%s", store_error(s));
        model_recorded(m);
        assert_false(model_has_changes(m));
}

/* With events, of which so many are kept. */
static inline void record_events(Store *s, Model *m, uint64_t max) {
        Change *changes;
        size_t n;

        assert_int_equal(changes_take(m, &changes, &n), 0);
        store_announce(s, changes, n, max);
        record(s, m);
        changes_free(changes, n);
}

static inline int load_spec(Store *s, uint64_t id, JobSpec **ret) {
        _cleanup_(job_freep) Job *j = NULL;
        int r = store_load_job(s, id, &j);

        return r < 0 ? r : store_load_spec(s, j, ret);
}

static inline Model *load(Store *s) {
        Model *m = model_new();

        assert_non_null(m);
        if (store_load(s, m) < 0)
                fail_msg("%s", store_error(s));
        assert_false(model_has_changes(m));
        return m;
}

static inline Queue *add_queue(Model *m, const char *name) {
        Queue *q;

        assert_int_equal(model_queue_add(m, name, &q), 0);
        return q;
}

static inline JobSpec *make_spec(const char *word) {
        JobSpec *spec = spec_new();

        assert_non_null(spec);
        assert_int_equal(strv_extend(&spec->argv, word), 0);
        return spec;
}

static inline uint64_t submit(Model *m, Queue *q, JobSpec *spec) {
        Job *j = NULL;

        assert_int_equal(model_submit(m, q, spec, 1000, "alice", &now, &j, NULL), 0);
        return j->id;
}

static inline Job *fetch(Store *s, Model *m, uint64_t id) {
        Job *j = model_job(m, id);

        if (j)
                return j;
        assert_int_equal(store_load_job(s, id, &j), 0);
        model_job_add(m, j, add_queue(m, j->queue_name));
        return j;
}

static inline int64_t number(Store *s, const char *sql) {
        _cleanup_free_ char *value = NULL;

        assert_int_equal(store_query_text(s, sql, &value), 0);
        return value ? strtoll(value, NULL, 10) : -1;
}

static inline uint64_t submit_with(Model *m, const char *variable) {
        JobSpec *spec = make_spec("env");

        assert_int_equal(strv_extend(&spec->environment, variable), 0);
        assert_int_equal(strv_extend(&spec->environment, "LANG=C"), 0);
        return submit(m, add_queue(m, "q"), spec);
}

static inline void assert_environment(Store *s, uint64_t id, const char *variable) {
        _cleanup_(spec_freep) JobSpec *spec = NULL;

        assert_int_equal(load_spec(s, id, &spec), 0);
        assert_int_equal(strv_length(spec->environment), 2);
        assert_string_equal(spec->environment[0], variable);
        assert_string_equal(spec->environment[1], "LANG=C");
}

static const sd_id128_t token = SD_ID128_MAKE(01, 02, 03, 04, 05, 06, 07, 08, 09, 0a, 0b, 0c, 0d, 0e, 0f, 10);
static const sd_id128_t invocation = SD_ID128_MAKE(ff, 02, 03, 04, 05, 06, 07, 08, 09, 0a, 0b, 0c, 0d, 0e, 0f, 00);

static inline Job *start(Store *s, Model *m, uint64_t id) {
        Job *j = fetch(s, m, id);

        assert_int_equal(model_start(m, j, token, &now), 0);
        return j;
}

static inline uint64_t bit(const char *field) {
        return spec_field_bit(spec_field_find(field));
}

/* The job's spec as a request would make it from what is stored, with these fields to be changed. */
static inline void edit(Store *s, Model *m, uint64_t id, const JobSpec *changes, uint64_t fields) {
        _cleanup_free_ char *error = NULL;
        Job *j = fetch(s, m, id);
        JobRow row = {};

        assert_int_equal(history_get(s, id, true, &row), 0);
        assert_int_equal(spec_change(row.spec, changes, fields, &error), 0);
        assert_int_equal(model_update(m, j, NULL, TAKE_PTR(row.spec), fields, &now, &error), 0);
        assert_null(error);
        job_row_done(&row);
        record(s, m);
}

static inline void check_spec(Store *s, uint64_t id, const char *word, const char *variable, const char *payload) {
        _cleanup_(spec_freep) JobSpec *spec = NULL;

        assert_int_equal(load_spec(s, id, &spec), 0);
        assert_string_equal(spec->argv[0], word);
        assert_string_equal(strempty(spec->environment ? spec->environment[0] : NULL), variable);
        assert_int_equal(spec->has_payload, !!payload);
        assert_int_equal(spec->payload_size, payload ? strlen(payload) : 0);
        assert_true(!payload || memcmp(spec->payload, payload, spec->payload_size) == 0);
}

/* A directory of its own for a file. */
typedef struct Directory {
        char *path, *file, *lock;
} Directory;

static inline void directory_done(Directory *d) {
        static const char *const names[] = { "jobmill.db", "jobmill.db-wal", "jobmill.db-journal", "jobmill.lock", "starts" };

        FOREACH_ELEMENT(i, names) {
                _cleanup_free_ char *p = NULL;
                assert_true(asprintf(&p, "%s/%s", d->path, *i) > 0);
                (void) unlink(p);
        }
        assert_int_equal(rmdir(d->path), 0);
        free(d->path);
        free(d->file);
        free(d->lock);
}
#define _cleanup_directory_ _cleanup_(directory_done)

static inline Directory make_directory(void) {
        Directory d = { .path = strdup("/tmp/test-store-XXXXXX") };

        assert_non_null(mkdtemp(d.path));
        assert_true(asprintf(&d.file, "%s/jobmill.db", d.path) > 0);
        assert_true(asprintf(&d.lock, "%s/jobmill.lock", d.path) > 0);
        return d;
}

static inline int on_any_event(void *userdata, const char *list, uint64_t last) {
        return 0;
}

/* With all statements that there are for it. */
static inline void submit_and_read_events(Store *s) {
        _cleanup_model_ Model *m = model_new();

        for (int i = 0; i < 2; i++) {
                submit(m, add_queue(m, "q"), make_spec("true"));
                record_events(s, m, i == 0 ? 10 : 1);
                assert_int_equal(store_read_events(s, 0, on_any_event, NULL), 1);
        }
}
