/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The store: what is recorded comes back, column by column; nothing half is ever kept; and every prepared statement is run
 * at least once, which the last test proves. */

#include "queue/spec-change.h"
#include "store-worker.h"

static int statement_runs[_STMT_MAX];

/* All stores of this file are closed here, so that we know what they ran. */
static void count_and_close(Store **s) {
        if (!*s)
                return;
        for (StatementId i = 0; i < _STMT_MAX; i++)
                statement_runs[i] += sqlite3_stmt_status((*s)->statements[i], SQLITE_STMTSTATUS_RUN, false);
        *s = store_close(*s);
}
#define _cleanup_store_ _cleanup_(count_and_close)

static void test_meta(void **state) {
        _cleanup_store_ Store *s = open_memory();
        _cleanup_free_ char *value = NULL;

        assert_int_equal(store_get_meta(s, "queue.gpu.slice", &value), -ENOENT);
        assert_int_equal(store_set_meta(s, "queue.gpu.slice", "one"), 0);
        assert_int_equal(store_set_meta(s, "queue.gpu.slice", "two"), 0);
        assert_int_equal(store_get_meta(s, "queue.gpu.slice", &value), 0);
        assert_string_equal(value, "two");
        assert_int_equal(store_set_meta(s, "queue.gpu.slice", NULL), 0);
        assert_int_equal(store_set_meta(s, "queue.gpu.slice", NULL), 0);
        value = mfree(value);
        assert_int_equal(store_get_meta(s, "queue.gpu.slice", &value), -ENOENT);
}

/* ---- a whole life, and loading ---- */

static void test_load(void **state) {
        _cleanup_store_ Store *s = open_memory();
        _cleanup_model_ Model *m = model_new(), *l = NULL;
        _cleanup_(outcome_done) Outcome o = OUTCOME_INIT;
        uint64_t ready, starting, running, stopping, done;
        Queue *q = add_queue(m, "gpu-train");
        Job *j;

        ready = submit(m, q, make_spec("ready"));
        starting = submit(m, q, make_spec("starting"));
        running = submit(m, q, make_spec("running"));
        stopping = submit(m, q, make_spec("stopping"));
        done = submit(m, add_queue(m, "other"), make_spec("done"));
        model_queue_pause(m, q, true);
        record(s, m);
        assert_null(model_job(m, ready));

        (void) start(s, m, starting);
        (void) start(s, m, running);
        (void) start(s, m, stopping);
        (void) start(s, m, done);
        record(s, m);
        model_attempt_started(m, model_job(m, running)->live, invocation, now.realtime, now.monotonic);
        model_attempt_started(m, model_job(m, stopping)->live, invocation, now.realtime, now.monotonic);
        model_attempt_started(m, model_job(m, done)->live, invocation, now.realtime, now.monotonic);
        record(s, m);
        assert_int_equal(model_cancel(m, model_job(m, stopping), "because", &now), 0);
        o.result = JOB_EXIT_CODE;
        model_attempt_ended(m, model_job(m, done)->live, &o, &now);
        model_queue_drain(m, model_queue(m, "other"), true);
        record(s, m);

        l = load(s);
        assert_int_equal(l->next_id, m->next_id);
        assert_int_equal(HASH_COUNT(l->jobs), 3);
        assert_int_equal(HASH_COUNT(l->attempts), 3);
        assert_null(model_job(l, ready));
        assert_null(model_job(l, done));
        assert_int_equal(model_job(l, starting)->live->phase, ATTEMPT_STARTING);
        assert_int_equal(model_job(l, running)->live->phase, ATTEMPT_RUNNING);
        j = model_job(l, stopping);
        assert_int_equal(j->live->phase, ATTEMPT_RUNNING);
        assert_int_equal(j->intent, JOB_CANCELLED);
        assert_ptr_equal(j->live->job, j);
        q = model_queue(l, "gpu-train");
        assert_ptr_equal(j->queue, q);
        assert_ptr_equal(q->parent, model_queue(l, "gpu"));
        assert_int_equal(model_queue(l, "gpu")->slots_used, 3);
        assert_true(q->paused);
        assert_false(q->draining);
        assert_false(q->is_new);
        for (JobState i = 0; i < _JOB_STATE_MAX; i++)
                assert_int_equal(q->count[i], model_queue(m, "gpu-train")->count[i]);
        assert_int_equal(q->count[JOB_READY], 1);
        assert_int_equal(q->count[JOB_RUNNING], 1);
        q = model_queue(l, "other");
        assert_true(q->draining);
        assert_int_equal(q->count[JOB_DONE], 1);
        assert_int_equal(q->dead, 1);
}

/* ---- backlog ---- */

static void test_window(void **state) {
        _cleanup_store_ Store *s = open_memory();
        _cleanup_model_ Model *m = model_new();
        Queue *q = add_queue(m, "q"), *other = add_queue(m, "other");

        for (unsigned i = 0; i < QUEUE_WINDOW + 10; i++) {
                JobSpec *spec = make_spec("true");

                spec->priority = i % 3;
                spec->slots = i % 2 ? 1 : 8;
                (void) submit(m, q, spec);
        }
        record(s, m);

        queue_window_clear(q);
        assert_int_equal(store_load_window(s, &q->level.all, UINT32_MAX), 0);
        assert_int_equal(q->level.all.n_window, QUEUE_WINDOW);
        assert_true(q->level.all.window_more);
        for (size_t i = 1; i < q->level.all.n_window; i++) {
                const Candidate *a = q->level.all.window + i - 1, *b = q->level.all.window + i;
                assert_true(a->rank < b->rank || (a->rank == b->rank && a->id < b->id));
        }
        assert_int_equal(q->level.all.window[0].rank, -2);
        assert_int_equal(q->level.all.window[0].id, 3);
        assert_int_equal(q->level.all.window[0].slots, 8);
        assert_int_equal(q->level.all.window[0].owner, 1000);

        assert_int_equal(store_load_window(s, &q->level.all, 7), 0);
        assert_int_equal(q->level.all.n_window, QUEUE_WINDOW / 2 + 5);
        assert_false(q->level.all.window_more);
        for (size_t i = 0; i < q->level.all.n_window; i++)
                assert_int_equal(q->level.all.window[i].slots, 1);

        assert_int_equal(store_load_window(s, &other->level.all, UINT32_MAX), 0);
        assert_int_equal(other->level.all.n_window, 0);
        assert_false(other->level.all.window_more);
}

/* A change of the order reaches the stored jobs some at a time; a daemon that dies on the way begins again. */
static void test_rerank(void **state) {
        _cleanup_store_ Store *s = open_memory();
        _cleanup_model_ Model *m = model_new(), *again = NULL;
        Queue *q = add_queue(m, "q"), *other = add_queue(m, "other");
        Group *g;
        Job *j;

        for (unsigned i = 0; i < 10; i++) {
                JobSpec *spec = make_spec("true");

                spec->priority = i % 3;
                spec->hold = i == 9;
                assert_int_equal(model_submit(m, i % 2 ? other : q, spec, 1000 + i % 3, "alice", &now, &j, NULL), 0);
        }
        record(s, m);
        q->policy.fair = true;
        m->schedule.stale = true;
        schedule_begin(m);
        assert_int_equal(store_rerank(s, m, 4), 1);
        assert_int_equal(number(s, "SELECT count(*) FROM job WHERE fair = 1"), 2);
        assert_int_equal(number(s, "SELECT reranking FROM queue WHERE name = 'q'"), 1);

        again = load(s);
        assert_true(model_queue(again, "q")->reranking);
        q = model_queue(again, "q");
        q->configured = true;
        q->policy.fair = true;
        schedule_begin(again);
        assert_true(again->reranking);
        for (unsigned i = 0; i < 2; i++)
                assert_int_equal(store_rerank(s, again, 4), 1);
        assert_int_equal(store_rerank(s, again, 4), 0);
        model_rerank_done(again);
        assert_int_equal(number(s, "SELECT count(*) FROM job WHERE fair = 1"), 5);
        assert_int_equal(number(s, "SELECT reranking FROM queue WHERE name = 'q'"), 0);

        /* Then each owner's jobs are read by themselves. */
        schedule_begin(again);
        g = level_group(&q->level, 1001);
        assert_true(q->level.fair && g);
        assert_int_equal(store_load_window(s, g, UINT32_MAX), 0);
        assert_int_equal(g->n_window, 1);
        assert_int_equal(g->window[0].id, 5);
        assert_int_equal(g->window[0].priority, 1);
        assert_int_equal(g->window[0].key, now.even);

        q->policy.fair = false;
        q->policy.ageing_usec = 100;
        again->schedule.stale = true;
        schedule_begin(again);
        assert_int_equal(store_rerank(s, again, 100), 0);
        assert_int_equal(number(s, "SELECT count(*) FROM job WHERE fair = 1"), 0);
        assert_int_equal(number(s, "SELECT count(*) FROM job WHERE queue = 'q' AND rank = submission_key - priority * 100"), 5);
        assert_int_equal(number(s, "SELECT count(*) FROM job WHERE queue = 'other' AND rank = -priority"), 5);
        assert_int_equal(number(s, "SELECT ranked_ageing_usec FROM queue WHERE name = 'q'"), 100);
}

static void test_due(void **state) {
        _cleanup_store_ Store *s = open_memory();
        _cleanup_model_ Model *m = model_new();
        uint64_t ids[3];
        usec_t next;
        size_t n;

        assert_int_equal(store_load_due(s, now.realtime, ids, 3, &n, &next), 0);
        assert_int_equal(n, 0);
        assert_int_equal(next, USEC_INFINITY);

        for (unsigned i = 5; i > 0; i--) {
                JobSpec *spec = make_spec("true");
                spec->not_before_usec = now.realtime + i;
                (void) submit(m, add_queue(m, "q"), spec); /* id 1 waits longest */
        }
        record(s, m);
        assert_int_equal(store_load_due(s, now.realtime, ids, 3, &n, &next), 0);
        assert_int_equal(n, 0);
        assert_int_equal(next, now.realtime + 1);
        assert_int_equal(store_load_due(s, now.realtime + 2, ids, 3, &n, &next), 0);
        assert_int_equal(n, 2);
        assert_int_equal(ids[0], 5);
        assert_int_equal(ids[1], 4);
        assert_int_equal(next, now.realtime + 3);
        assert_int_equal(store_load_due(s, now.realtime + 4, ids, 3, &n, &next), 0);
        assert_int_equal(n, 3);
        assert_int_equal(next, now.realtime + 5);
        assert_int_equal(store_load_due(s, USEC_INFINITY, ids, 3, &n, &next), 0);
        assert_int_equal(n, 3);
        assert_int_equal(next, USEC_INFINITY);
}

/* Of those that have not started only, wherever they wait. */
static void test_start_deadlines(void **state) {
        _cleanup_store_ Store *s = open_memory();
        _cleanup_model_ Model *m = model_new();
        uint64_t ids[3], id[5];
        usec_t next;
        size_t n;

        for (unsigned i = 0; i < ELEMENTSOF(id); i++) {
                JobSpec *spec = make_spec("true");
                spec->deadline_usec = now.realtime + 10 + i;
                spec->hold = i == 1;
                spec->not_before_usec = i == 2 ? now.realtime + 5 : USEC_INFINITY;
                id[i] = submit(m, add_queue(m, "q"), spec);
        }
        record(s, m);
        (void) start(s, m, id[3]);
        record(s, m);
        assert_int_equal(store_load_expired(s, now.realtime, ids, 3, &n, &next), 0);
        assert_int_equal(n, 0);
        assert_int_equal(next, now.realtime + 10);
        assert_int_equal(store_load_expired(s, now.realtime + 13, ids, 3, &n, &next), 0);
        assert_int_equal(n, 3);
        assert_int_equal(next, now.realtime + 14);
        for (unsigned i = 0; i < 3; i++)
                assert_int_equal(ids[i], id[i]);
}

static usec_t due_of(Store *s, uint64_t id) {
        _cleanup_(job_freep) Job *j = NULL;

        assert_int_equal(store_load_job(s, id, &j), 0);
        return j->not_before_usec;
}

/* The clock was set: ends of spans move, times do not; and what is known of the clock is kept with it. */
static void test_clock(void **state) {
        static const sd_id128_t boot = SD_ID128_MAKE(a1, b2, c3, d4, e5, f6, 07, 18, 29, 3a, 4b, 5c, 6d, 7e, 8f, 90);
        _cleanup_store_ Store *s = open_memory();
        _cleanup_model_ Model *m = model_new();
        Queue *q = add_queue(m, "q");
        JobSpec *specs[] = { make_spec("true"), make_spec("true"), make_spec("true"), make_spec("true") };
        uint64_t ids[4];
        int64_t offset, shift;
        sd_id128_t id;
        usec_t last;

        assert_int_equal(store_clock_get(s, &id, &offset, &last, &shift), -ENOENT);
        specs[0]->not_before_usec = now.realtime + 500;
        specs[1]->delay_usec = now.realtime + 500; /* now.steady is 0 here */
        specs[2]->delay_usec = now.realtime + 500;
        specs[2]->hold = true;
        specs[3]->delay_usec = INT64_MAX;
        for (size_t i = 0; i < 4; i++)
                ids[i] = submit(m, q, specs[i]);
        record(s, m);

        assert_int_equal(store_clock_set(s, boot, -77, 5, 1000, -3), 0);
        assert_int_equal(store_clock_get(s, &id, &offset, &last, &shift), 0);
        assert_true(sd_id128_equal(id, boot) && offset == -77 && last == 5 && shift == -3);
        assert_int_equal(due_of(s, ids[0]), now.realtime + 500);
        assert_int_equal(due_of(s, ids[1]), now.realtime + 1500);
        assert_int_equal(due_of(s, ids[2]), now.realtime + 1500);
        assert_int_equal(due_of(s, ids[3]), INT64_MAX);
        assert_int_equal(store_clock_set(s, boot, INT64_MIN, USEC_INFINITY, -3 * (int64_t) now.realtime, INT64_MAX), 0);
        assert_int_equal(due_of(s, ids[1]), 0);
        assert_int_equal(store_clock_get(s, &id, &offset, &last, &shift), 0);
        assert_true(offset == INT64_MIN && shift == INT64_MAX);

        assert_int_equal(store_set_meta(s, "clock", "nonsense"), 0);
        assert_int_equal(store_clock_get(s, &id, &offset, &last, &shift), -ENOENT);
        assert_int_equal(store_set_meta(s, "clock", "a1b2c3d4e5f60718293a4b5c6d7e8f90 12"), 0); /* of the first ones */
        assert_int_equal(store_clock_get(s, &id, &offset, &last, &shift), 0);
        assert_true(offset == 12 && last == 0 && shift == 0);
        assert_int_equal(store_set_meta(s, "clock", "a1b2c3d4e5f60718293a4b5c6d7e8f90 12 13"), 0); /* of later ones */
        assert_int_equal(store_clock_get(s, &id, &offset, &last, &shift), 0);
        assert_true(last == 13 && shift == 0);
        assert_int_equal(store_set_meta(s, "clock", "a1b2c3d4e5f60718293a4b5c6d7e8f90 12 13 x"), 0);
        assert_int_equal(store_clock_get(s, &id, &offset, &last, &shift), -ENOENT);
        assert_int_equal(store_set_meta(s, "clock", "a1b2c3d4e5f60718293a4b5c6d7e8f90 12x"), 0);
        assert_int_equal(store_clock_get(s, &id, &offset, &last, &shift), -ENOENT);
}

/* ---- purge, ids ---- */

static void finish(Store *s, Model *m, uint64_t id) {
        Job *j = fetch(s, m, id);

        assert_int_equal(model_cancel(m, j, NULL, &now), 0);
        j->spec_dropped = true;
}

static void test_purge(void **state) {
        _cleanup_directory_ Directory d = make_directory();
        _cleanup_store_ Store *s = NULL;
        _cleanup_model_ Model *m = model_new(), *l = NULL;
        _cleanup_(job_freep) Job *gone = NULL;
        uint64_t first, last, next_id;

        assert_int_equal(store_open(d.file, &s, NULL), 0);
        first = submit_with(m, "A=1");
        last = submit_with(m, "A=1");
        record(s, m);
        (void) start(s, m, last);
        record(s, m);
        Outcome o = OUTCOME_INIT;
        o.result = JOB_EXIT_CODE;
        model_attempt_ended(m, model_job(m, last)->live, &o, &now);
        record(s, m);

        assert_int_equal(model_purge(m, fetch(s, m, last)), 0);
        record(s, m);
        assert_int_equal(store_load_job(s, last, &gone), -ENOENT);
        assert_int_equal(number(s, "SELECT count(*) FROM job"), 1);
        assert_int_equal(number(s, "SELECT count(*) FROM job_spec"), 1);
        assert_int_equal(number(s, "SELECT count(*) FROM attempt"), 0);
        assert_int_equal(number(s, "SELECT refs FROM environment"), 1);
        assert_environment(s, first, "A=1");
        assert_int_equal(number(s, "SELECT done FROM queue"), 0);
        assert_int_equal(number(s, "SELECT dead FROM queue"), 0);

        finish(s, m, first);
        record(s, m);
        assert_int_equal(model_purge(m, fetch(s, m, first)), 0);
        record(s, m);
        assert_int_equal(number(s, "SELECT count(*) FROM environment"), 0);
        next_id = m->next_id;
        assert_int_equal(next_id, last + 1);
        count_and_close(&s);

        /* The store is empty, and yet no id comes back. */
        assert_int_equal(store_open(d.file, &s, NULL), 0);
        l = load(s);
        assert_int_equal(l->next_id, next_id);
        assert_int_equal(submit(l, model_queue(l, "q"), make_spec("true")), next_id);
        record(s, l);
        l = model_free(l);

        /* And if it was not written down, the rows tell. */
        assert_int_equal(store_set_meta(s, "next_id", NULL), 0);
        l = load(s);
        assert_int_equal(l->next_id, next_id + 1);
}

/* ---- receipts ---- */

static Receipt *make_receipt(uint64_t first, const char *id, usec_t created) {
        Receipt *r = receipt_new(1000, id);

        assert_non_null(r);
        r->first_id = first;
        r->n_jobs = 3;
        r->digest = UINT64_MAX - first;
        r->created_usec = created;
        return r;
}

static void test_receipts(void **state) {
        _cleanup_store_ Store *s = open_memory();
        _cleanup_model_ Model *m = model_new();
        _cleanup_(receipt_freep) Receipt *r = NULL;
        uint64_t n, id = submit(m, add_queue(m, "q"), make_spec("true"));

        assert_int_equal(store_load_receipt(s, 1000, "one", &r), -ENOENT);
        model_receipt_add(m, make_receipt(id, "one", 5));
        assert_non_null(model_receipt(m, 1000, "one"));
        assert_null(model_receipt(m, 1001, "one"));
        assert_null(model_receipt(m, 1000, "on"));
        record(s, m);
        assert_null(model_receipt(m, 1000, "one"));

        assert_int_equal(store_load_receipt(s, 1001, "one", &r), -ENOENT);
        assert_int_equal(store_load_receipt(s, 1000, "one", &r), 0);
        assert_int_equal(r->first_id, id);
        assert_int_equal(r->n_jobs, 3);
        assert_true(r->digest == UINT64_MAX - id);
        assert_int_equal(r->created_usec, 5);
        assert_int_equal(store_count_receipts(s, 1000, &n), 0);
        assert_int_equal(n, 1);
        assert_int_equal(store_count_receipts(s, 1001, &n), 0);
        assert_int_equal(n, 0);

        /* With the jobs or not at all. */
        model_receipt_add(m, make_receipt(id + 1, "one", 5));
        (void) submit(m, add_queue(m, "q"), make_spec("true"));
        assert_int_equal(store_record(s, m), -EEXIST);
        assert_int_equal(number(s, "SELECT count(*) FROM job"), 1);
        assert_int_equal(number(s, "SELECT sum(n) FROM receipt_count"), 1);
}

/* Whose a key is; and an answer that is not one id after the other. */
static void test_unique(void **state) {
        _cleanup_store_ Store *s = open_memory();
        _cleanup_model_ Model *m = model_new();
        _cleanup_(receipt_freep) Receipt *r = NULL;
        Receipt *made = make_receipt(7, "one", 5);
        JobSpec *spec = make_spec("true");
        _cleanup_(job_freep) Job *j = NULL;
        sd_id128_t boot = SD_ID128_NULL;
        uint64_t id, found;

        assert_int_equal(store_find_unique(s, "q", 1000, "k", 0, &found), -ENOENT);
        spec->unique_key = strdup("k");
        spec->unique_scope = strdup("1s");
        id = submit(m, add_queue(m, "q"), spec);
        made->n_jobs = 2;
        made->ids = new0(uint64_t, 2);
        made->ids[0] = 12;
        made->ids[1] = 3;
        model_receipt_add(m, made);
        record(s, m);
        assert_int_equal(store_find_unique(s, "q", 1000, "k", 0, &found), 0);
        assert_int_equal(found, id);
        assert_int_equal(store_find_unique(s, "q", 1001, "k", 0, &found), -ENOENT);
        assert_int_equal(store_find_unique(s, "r", 1000, "k", 0, &found), -ENOENT);
        assert_int_equal(store_find_unique(s, "q", 1000, "l", 0, &found), -ENOENT);
        assert_int_equal(store_clock_set(s, boot, 0, 5, 77, 77), 0);
        assert_int_equal(store_load_job(s, id, &j), 0);
        assert_true(j->unique_held && j->unique_scope == UNIQUE_SPAN);
        assert_string_equal(j->unique_key, "k");
        assert_int_equal(j->unique_until_usec, now.steady + USEC_PER_SEC + 77);

        assert_int_equal(model_cancel(m, fetch(s, m, id), NULL, &now), 0);
        record(s, m);
        assert_int_equal(store_find_unique(s, "q", 1000, "k", 0, &found), -ENOENT);

        assert_int_equal(store_load_receipt(s, 1000, "one", &r), 0);
        assert_int_equal(r->n_jobs, 2);
        assert_int_equal(r->ids[0], 12);
        assert_int_equal(r->ids[1], 3);
        assert_int_equal(store_exec(s, "UPDATE receipt SET ids = '12'"), 0);
        r = receipt_free(r);
        assert_int_equal(store_load_receipt(s, 1000, "one", &r), -EUCLEAN);
}

static void test_receipts_expire(void **state) {
        _cleanup_store_ Store *s = open_memory();
        _cleanup_model_ Model *m = model_new();
        char id[16];
        usec_t oldest;
        uint64_t n;

        assert_int_equal(store_expire_receipts(s, 50, 1000, 10, &oldest), 0);
        assert_true(oldest == USEC_INFINITY);
        for (uint64_t i = 1; i <= 100; i++) {
                (void) snprintf(id, sizeof(id), "r%" PRIu64, i);
                model_receipt_add(m, make_receipt(i, id, i == 95 ? 5000 : i));
        }
        record(s, m);
        for (unsigned i = 1; i < 5; i++) {
                assert_int_equal(store_expire_receipts(s, 50, 1000, 10, &oldest), 0);
                assert_int_equal(oldest, 10 * i + 1);
        }
        assert_int_equal(store_expire_receipts(s, 50, 1000, 10, &oldest), 0);
        assert_int_equal(oldest, 50);
        assert_int_equal(number(s, "SELECT count(*) FROM receipt"), 51);
        /* One that the clock put into the future, when there is a look at it. */
        assert_int_equal(store_expire_receipts(s, 50, 1000, 100, &oldest), 0);
        assert_int_equal(number(s, "SELECT count(*) FROM receipt"), 50);
        assert_int_equal(store_count_receipts(s, 1000, &n), 0);
        assert_int_equal(n, 50);
}

/* ---- changes of a job that is stored ---- */

/* One spec for all of an array, until one of them has its own; it goes with the last of them. */
static void test_array(void **state) {
        _cleanup_store_ Store *s = open_memory();
        _cleanup_model_ Model *m = model_new(), *again = NULL;
        _cleanup_(spec_freep) JobSpec *changes = make_spec("new");
        JobSpec *spec = make_spec("env");
        uint64_t first, ids[4];
        size_t n;

        assert_int_equal(strv_extend(&spec->environment, "A=1"), 0);
        assert_int_equal(strv_extend(&spec->environment, "LANG=C"), 0);
        assert_int_equal(spec_set_bytes(spec, spec_field_find("payload"), (uint8_t *) strdup("all"), 3, NULL), 0);
        spec->array = 4;
        spec->array_max_running = 2;
        first = submit(m, add_queue(m, "q"), spec);
        model_array_settled(m, TAILQ_FIRST(&m->wanted_arrays)); /* as decide does */
        record(s, m);
        assert_null(m->arrays);
        assert_int_equal(number(s, "SELECT count(*) FROM job_spec"), 0);
        assert_int_equal(number(s, "SELECT refs FROM environment"), 4);
        assert_int_equal(number(s, "SELECT used * 100 + ready * 10 + waiting FROM array"), 222);
        for (uint64_t i = 0; i < 4; i++)
                check_spec(s, first + i, "env", "A=1", "all");
        assert_int_equal(store_load_array_waiting(s, first, 0, ids, 4, &n), 0);
        assert_true(n == 2 && ids[0] == first + 2 && ids[1] == first + 3);
        assert_int_equal(store_load_array_waiting(s, first, first + 2, ids, 4, &n), 0);
        assert_true(n == 1 && ids[0] == first + 3);

        edit(s, m, first, changes, bit("argv"));
        check_spec(s, first, "new", "A=1", "all");
        check_spec(s, first + 1, "env", "A=1", "all");
        assert_int_equal(spec_set_bytes(changes, spec_field_find("payload"), (uint8_t *) strdup("own"), 3, NULL), 0);
        edit(s, m, first + 2, changes, bit("payload"));
        check_spec(s, first + 2, "env", "A=1", "own");
        assert_int_equal(number(s, "SELECT count(*) FROM job_spec"), 2);

        (void) start(s, m, first + 1);
        record(s, m);
        again = load(s);
        assert_int_equal(model_job(again, first + 1)->in_array->used, 2);
        assert_int_equal(again->arrays->count[JOB_STARTING], 1);
        assert_int_equal(again->arrays->n, 4);
        /* Who was to give away a place that came free may have died before. */
        assert_null(TAILQ_FIRST(&again->wanted_arrays));
        assert_int_equal(store_exec(s, "UPDATE array SET used = 1"), 0);
        again = (model_free(again), load(s));
        assert_ptr_equal(TAILQ_FIRST(&again->wanted_arrays), again->arrays);
        assert_int_equal(store_exec(s, "UPDATE array SET used = 2"), 0);

        for (uint64_t i = 0; i < 4; i++) {
                Job *j = fetch(s, m, first + i);

                if (i == 1) {
                        Outcome o = OUTCOME_INIT;

                        o.result = JOB_SUCCESS;
                        model_attempt_ended(m, j->live, &o, &now);
                } else
                        assert_int_equal(model_cancel(m, j, NULL, &now), 0);
        }
        assert_int_equal(TAILQ_FIRST(&m->wanted_arrays)->used, 0);
        model_array_settled(m, TAILQ_FIRST(&m->wanted_arrays));
        record(s, m);
        assert_int_equal(number(s, "SELECT used * 100 + done * 10 + dead FROM array"), 43);
        for (uint64_t i = 4; i-- > 0;) {
                assert_int_equal(number(s, "SELECT count(*) FROM array"), 1);
                assert_int_equal(model_purge(m, fetch(s, m, first + i)), 0);
                record(s, m);
        }
        assert_int_equal(number(s, "SELECT count(*) FROM array"), 0);
        assert_int_equal(number(s, "SELECT count(*) FROM job_spec"), 0);
        assert_int_equal(number(s, "SELECT count(*) FROM environment"), 0);
}

static void test_update(void **state) {
        _cleanup_(count_and_close) Store *s = open_memory();
        _cleanup_model_ Model *m = model_new();
        _cleanup_(spec_freep) JobSpec *changes = make_spec("new");
        uint64_t one, two;

        one = submit_with(m, "A=1");
        two = submit_with(m, "A=1");
        model_job(m, one)->spec->payload = (uint8_t *) strdup("old");
        model_job(m, one)->spec->payload_size = 3;
        model_job(m, one)->spec->has_payload = true;
        record(s, m);
        changes->priority = 5;
        edit(s, m, one, changes, bit("priority"));
        check_spec(s, one, "env", "A=1", "old");
        assert_int_equal(number(s, "SELECT rank FROM job WHERE id = 1"), -5);
        edit(s, m, one, changes, bit("argv"));
        check_spec(s, one, "new", "A=1", "old");
        assert_int_equal(spec_set_bytes(changes, spec_field_find("payload"), (uint8_t *) strdup("other"), 5, NULL), 0);
        edit(s, m, one, changes, bit("payload"));
        check_spec(s, one, "new", "A=1", "other");

        assert_int_equal(strv_extend(&changes->environment, "B=1"), 0);
        edit(s, m, one, changes, bit("environment"));
        check_spec(s, one, "new", "B=1", "other");
        check_spec(s, two, "env", "A=1", NULL);
        assert_int_equal(number(s, "SELECT sum(refs) FROM environment"), 2);
        edit(s, m, one, changes, bit("environment")); /* the same once more */
        assert_int_equal(number(s, "SELECT sum(refs) FROM environment"), 2);
        edit(s, m, two, changes, bit("environment"));
        assert_int_equal(number(s, "SELECT count(*) FROM environment"), 1);
        assert_int_equal(number(s, "SELECT refs FROM environment"), 2);
        changes->environment = strv_free(changes->environment);
        edit(s, m, one, changes, bit("environment"));
        edit(s, m, two, changes, bit("environment"));
        assert_int_equal(number(s, "SELECT count(*) FROM environment_content"), 0);
        check_spec(s, two, "env", "", NULL);
        assert_int_equal(store_check_spec(s, two), 0); /* it has none, and lacks none */
}

/* Tags of a running job may not be lost in a power cut, as "seen started" may. */
static void test_update_is_durable(void **state) {
        _cleanup_(count_and_close) Store *s = open_memory();
        _cleanup_model_ Model *m = model_new();
        _cleanup_(spec_freep) JobSpec *changes = make_spec("x");
        uint64_t id = submit_with(m, "A=1");
        Job *j;

        record(s, m);
        j = start(s, m, id);
        record(s, m);
        model_attempt_started(m, j->live, invocation, 1, 1);
        record(s, m);
        assert_true(s->relaxed);
        assert_int_equal(strv_extend(&changes->tags, "k"), 0);
        assert_int_equal(strv_extend(&changes->tags, "v"), 0);
        edit(s, m, id, changes, bit("tags"));
        assert_false(s->relaxed);
        assert_null(j->edited);
        assert_true(j->edited_fields == 0 && !j->was_edited);
        assert_environment(s, id, "A=1");
}

/* ---- edges ---- */

static uint64_t submit_after(Model *m, const uint64_t *before, size_t n) {
        JobSpec *spec = make_spec("true");
        After *l = new0(After, n);

        for (size_t i = 0; i < n; i++)
                l[i] = (After) { .id = before[i], .otherwise = i % _AFTER_OTHERWISE_MAX };
        assert_int_equal(spec_set_edges(spec, spec_field_find("after"), l, n, NULL), 0);
        return submit(m, add_queue(m, "q"), spec);
}

static int sum_edges(void *userdata, const Edge *e) {
        *(uint64_t *) userdata += e->before;
        return 0;
}

static void test_edges(void **state) {
        _cleanup_model_ Model *m = model_new(), *again = NULL;
        _cleanup_free_ char *inputs = NULL, *none = NULL;
        uint64_t ids[4], open[2], states[_JOB_STATE_MAX], n, sum = 0;
        Store *s = open_memory();
        Edge edges[2];
        size_t k;

        for (size_t i = 0; i < ELEMENTSOF(ids); i++)
                ids[i] = submit_after(m, ids, i);
        record(s, m);
        assert_int_equal(store_open_edges(s, ids[3], open, 2, &n), 0);
        assert_true(n == 2 && open[0] == ids[0] && open[1] == ids[1]);
        assert_int_equal(store_edges(s, ids[3], sum_edges, &sum), 0);
        assert_int_equal(sum, ids[0] + ids[1] + ids[2]);
        assert_int_equal(store_load_waiting_for(s, ids[0], ids[1], edges, 2, &k), 0);
        assert_true(k == 2 && edges[0].job == ids[2] && edges[1].job == ids[3] && edges[1].otherwise == OTHERWISE_FAIL);
        assert_true(store_is_needed(s, ids[0]) == 1 && store_is_needed(s, ids[3]) == 0);
        assert_int_equal(store_flow_states(s, 1, states, &n), 0);
        assert_true(n == 0 && states[JOB_READY] == 0);

        /* Its end, whose row says that there is more to do, until there is not. */
        assert_int_equal(model_cancel(m, fetch(s, m, ids[0]), NULL, &now), 0);
        assert_int_equal(model_ended_add(m, ids[0], false), 0);
        assert_int_equal(model_edge_ended(m, fetch(s, m, ids[1]), &(Edge) { ids[1], ids[0], .otherwise = OTHERWISE_IGNORE },
                                          fetch(s, m, ids[0]), &now), 0);
        assert_int_equal(model_edge_ended(m, fetch(s, m, ids[3]), &(Edge) { ids[3], ids[0], .otherwise = OTHERWISE_CONTINUE },
                                          fetch(s, m, ids[0]), &now), 0);
        record(s, m);
        again = load(s);
        assert_true(again->releases.ended && again->releases.ended->id == ids[0] && again->releases.ended->stored);
        assert_int_equal(store_open_edges(s, ids[3], open, 2, &n), 0);
        assert_true(n == 0 && fetch(s, again, ids[3])->blockers == 0 && fetch(s, again, ids[2])->blockers == 2);
        assert_int_equal(fetch(s, again, ids[3])->state, JOB_READY);
        again->releases.ended->stored = false; /* memory does not know of its row */
        record(s, again);
        assert_int_equal(number(s, "SELECT count(*) FROM ended"), 1);
        again->releases.ended->through = true;
        record(s, again);
        assert_int_equal(number(s, "SELECT count(*) FROM ended"), 0);

        assert_int_equal(store_load_inputs(s, ids[1], &inputs), 0);
        assert_string_equal(inputs, "[{\"id\":1,\"name\":null,\"result\":\"cancelled\",\"exit_status\":null,\"exit_signal\":null,"
                                    "\"success\":null,\"verdict\":null}]");
        assert_int_equal(store_load_inputs(s, ids[0], &none), 0);
        assert_null(none);

        assert_int_equal(model_cancel(m, fetch(s, m, ids[1]), NULL, &now), 0);
        fetch(s, m, ids[1])->told_state = JOB_DONE;
        assert_int_equal(model_purge(m, fetch(s, m, ids[1])), 0);
        record(s, m);
        assert_int_equal(number(s, "SELECT count(*) FROM edge WHERE job = 2"), 0);
        count_and_close(&s);
}

/* ---- schedules ---- */

static int on_firing(void *userdata, const Firing *f) {
        uint64_t *last = userdata;

        assert_true(f->number < *last && f->fired == now.realtime);
        assert_true(f->number % 2 ? f->cause == CAUSE_TIMER && f->job == f->number && !f->note
                                  : f->cause == CAUSE_MISSED && f->job == 0 && streq(f->note, "why"));
        *last = f->number;
        return 0;
}

static void fire(Model *m, Timer *t, Cause cause, uint64_t job, const char *note) {
        Firing *f = firing_new(t->name);

        assert_non_null(f);
        f->cause = cause;
        f->due = now.realtime - 5;
        f->job = job;
        f->note = note ? strdup(note) : NULL;
        model_timer_fired(m, t, f, &now);
}

static uint64_t oldest_firing(Store *s, const char *name) {
        uint64_t last = UINT64_MAX;

        assert_int_equal(store_list_firings(s, name, 100, on_firing, &last), 0);
        return last;
}

/* A row each, and one for each of the last times; another one of the same name begins anew. */
static void test_timers(void **state) {
        _cleanup_store_ Store *s = open_memory();
        _cleanup_model_ Model *m = model_new(), *again = NULL;
        TimerPolicy p = TIMER_POLICY_INIT;
        uint64_t ids[3];
        Timer *t;
        size_t n;

        for (unsigned i = 1; i <= 5; i++)
                assert_int_equal(submit(m, add_queue(m, "q"), make_spec("of a schedule")), i);
        m->timers.kept_max = 3;
        assert_int_equal(timer_policy_assign(&p, "OnCalendar", "daily", NULL), 0);
        assert_int_equal(timer_policy_assign(&p, "OnCalendar", "Mon *-*-* 03:00 UTC", NULL), 0);
        assert_int_equal(timer_policy_assign(&p, "Overlap", "replace", NULL), 0);
        assert_non_null(p.job = strdup("{}"));
        assert_int_equal(model_timer_set(m, "t", &p, 1000, "alice", false, &now), 0);
        t = model_timer(m, "t");
        record(s, m);
        for (unsigned i = 1; i <= 5; i++)
                fire(m, t, i % 2 ? CAUSE_TIMER : CAUSE_MISSED, i % 2 ? i : 0, i % 2 ? NULL : "why");
        model_timer_pause(m, t, true, &now);
        record(s, m);
        assert_int_equal(oldest_firing(s, "t"), 3);
        assert_int_equal(store_unfinished_firings(s, "t", ids, ELEMENTSOF(ids), &n), 0);
        assert_true(n == 2 && ids[0] == 3 && ids[1] == 5);

        again = load(s);
        t = model_timer(again, "t");
        assert_true(t && t->paused && t->configured && t->owner == 1000 && streq(t->owner_name, "alice") && t->n_firings == 5 && t->last_job == 5);
        assert_true(t->elapsed == now.realtime - 5 && t->next == USEC_INFINITY && t->policy.every == USEC_INFINITY);
        assert_true(t->policy.overlap == OVERLAP_REPLACE && streq(t->policy.job, "{}"));
        assert_true(timer_digest(t) == timer_digest(model_timer(m, "t"))); /* so its unit is still the one */

        model_timer_pause(again, t, false, &now);
        model_timer_seen(again, t, now.realtime - 4, 77, now.realtime + 100, &now);
        record(s, again);
        model_free(again);
        again = load(s);
        t = model_timer(again, "t");
        assert_true(t->next == now.realtime - 4 && t->mark == 0); /* it is still to be fired */
        model_timer_seen(again, t, now.realtime - 4, 77, now.realtime + 100, &now);
        fire(again, t, CAUSE_TIMER, 7, NULL);
        record(s, again);
        model_free(again);
        again = load(s);
        t = model_timer(again, "t");
        assert_true(t->next == now.realtime + 100 && t->mark == 77 && t->elapsed == now.realtime - 5);

        model_timer_remove(again, t);
        assert_null(model_timer(again, "t"));
        record(s, again);
        assert_int_equal(number(s, "SELECT count(*) FROM timer"), 0);
        assert_int_equal(oldest_firing(s, "t"), UINT64_MAX);
        count_and_close(&s);
}

/* ---- last ---- */

static int on_attempt(void *userdata, const Attempt *a) {
        return 0;
}

/* What is left behind is looked at at the end of a load. */
static void load_with_credentials(void) {
        char folder[] = "/tmp/jobmill-test-XXXXXX", path[64], vault[128];
        Store *s = NULL;

        assert_non_null(mkdtemp(folder));
        snprintf(path, sizeof(path), "%s/credentials", folder);
        snprintf(vault, sizeof(vault), "%s/1", path);
        assert_true(mkdir(path, 0700) >= 0 && mkdir(vault, 0700) >= 0);
        snprintf(vault, sizeof(vault), "%s/jobmill.db", folder);
        assert_int_equal(store_open(vault, &s, NULL), 0);
        model_free(load(s));
        assert_int_equal(rmdir(path), 0);
        count_and_close(&s);
        assert_true(unlink(vault) >= 0);
        snprintf(vault, sizeof(vault), "%s/jobmill.lock", folder);
        assert_true(unlink(vault) >= 0 && rmdir(folder) >= 0);
}

static void test_every_statement_ran(void **state) {
        Store *s = open_memory();
        _cleanup_free_ char *cursor = NULL;
        uint64_t id, next, n;

        assert_true(history_attempts(s, 1, on_attempt, NULL) == 0 && history_attempts_newest(s, 1, on_attempt, NULL) == 0);
        assert_int_equal(store_load_outdated(s, "q", &now, 1, 1, &(RetentionLook) {}, &id, 1, &n, &next), 0);
        submit_and_read_events(s);
        assert_int_equal(store_fold_usage(s, 0, &(UsageLimits) { .rows_max = 1000 }), 0); /* from now on their number is known */
        register_and_forget(s);
        run_and_end(s);
        load_with_credentials();
        for (int i = 0; i < 3; i++) /* to hours, to days, away */
                assert_int_equal(store_fold_usage(s, now.realtime + 1000 * 86400 * USEC_PER_SEC, &(UsageLimits) { .rows_max = 1000 }), 1);
        assert_int_equal(history_list(s, &JOB_FILTER_INIT, JOB_ORDER_RANK, "", 0, false, NULL, NULL, &cursor), 0);
        count_and_close(&s);
        for (StatementId i = 0; i < _STMT_MAX; i++)
                if (statement_runs[i] == 0)
                        fail_msg("Never run: %s", store_statement_text(i));
}

/* The number of an owner's queued jobs is a row that follows each commit, and goes when there are none. */
static void test_backlog(void **state) {
        _cleanup_store_ Store *s = open_memory();
        _cleanup_model_ Model *m = model_new(), *again = NULL, *empty = NULL;
        uint64_t a, b;

        a = submit(m, add_queue(m, "q-r"), make_spec("true"));
        b = submit(m, add_queue(m, "q"), make_spec("true"));
        record(s, m);
        assert_int_equal(number(s, "SELECT sum(n) FROM backlog"), 2);
        again = load(s);
        assert_true(model_queue(again, "q")->backlog.n == 2 && model_queue(again, "q-r")->backlog.n == 1 && again->backlog.n == 2);
        assert_true(model_queue(again, "q")->backlog.users->all == 2 && model_queue(again, "q")->backlog.users->own == 1);

        (void) start(s, m, a);
        record(s, m);
        assert_int_equal(number(s, "SELECT sum(n) FROM backlog"), 1);
        assert_int_equal(model_cancel(m, fetch(s, m, b), NULL, &now), 0);
        record(s, m);
        assert_int_equal(number(s, "SELECT count(*) FROM backlog"), 0);
        assert_int_equal((empty = load(s))->backlog.n, 0);
}

/* A start that the manager had no room for leaves no row. */
static void test_refused_attempt(void **state) {
        _cleanup_store_ Store *s = open_memory();
        _cleanup_model_ Model *m = model_new();
        uint64_t id = submit(m, add_queue(m, "q"), make_spec("true"));
        Job *j;

        record(s, m);
        j = start(s, m, id);
        record(s, m);
        assert_int_equal(number(s, "SELECT count(*) FROM attempt"), 1);
        model_attempt_refused(m, j->live, "full", &now);
        record(s, m);
        assert_int_equal(number(s, "SELECT count(*) FROM attempt"), 0);
        assert_int_equal(number(s, "SELECT attempt FROM job WHERE state = 'ready'"), 0);
        model_attempt_gone(m, m->attempts);
        (void) start(s, m, id);
        record(s, m);
        assert_int_equal(number(s, "SELECT max(attempt) FROM attempt"), 1);
}

static Model *load_with_rate(Store *s) {
        Model *m = model_new();

        add_queue(m, "q")->policy.rate = (RateLimit) { 3, 10 * USEC_PER_SEC };
        assert_int_equal(store_load(s, m), 0);
        return m;
}

/* When the last ones of a queue started is written with their starts, and moves with the clock. */
static void test_rates(void **state) {
        _cleanup_store_ Store *s = open_memory();
        _cleanup_model_ Model *m = model_new(), *again = NULL, *moved = NULL, *gone = NULL;
        Queue *q = add_queue(m, "q");
        uint64_t id = submit(m, add_queue(m, "q-r"), make_spec("true"));

        q->policy.rate = (RateLimit) { 3, 10 * USEC_PER_SEC };
        assert_int_equal(admission_configure(m), 0);
        record(s, m);
        assert_int_equal(number(s, "SELECT count(*) FROM rate"), 0);
        (void) start(s, m, id);
        record(s, m);
        assert_false(q->starts_changed);
        again = load_with_rate(s);
        q = model_queue(again, "q");
        assert_true(q->starts && q->starts->n == 1 && q->starts->starts[0].at == now.steady);
        assert_null(model_queue(again, "q-r")->starts);

        assert_int_equal(store_clock_set(s, SD_ID128_NULL, 0, 0, 40, 40), 0);
        assert_int_equal(store_clock_set(s, SD_ID128_NULL, 0, 0, 2, 42), 0);
        moved = load_with_rate(s);
        assert_true(model_queue(moved, "q")->starts->starts[0].at == now.steady + 42);

        /* No such limit any more. */
        q->policy.rate = (RateLimit) {};
        assert_int_equal(admission_configure(again), 0);
        record(s, again);
        assert_int_equal(number(s, "SELECT count(*) FROM rate"), 0);
        assert_int_equal(store_exec(s, "INSERT INTO rate VALUES ('q', '5 7:2', 1), ('none', 'x', 0)"), 0);
        gone = load(s);
        assert_true(!model_queue(gone, "q")->starts && !model_queue(gone, "none"));
        model_queue(gone, "q")->broken = true; /* nobody knows whether it has */
        assert_int_equal(store_load(s, gone), 0);
        assert_true(model_queue(gone, "q")->starts->n == 2);
        assert_int_equal(store_exec(s, "UPDATE rate SET starts = '5;7' WHERE queue = 'q'"), 0);
        assert_int_equal(store_load(s, gone), -EUCLEAN);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_meta),
                cmocka_unit_test(test_load),
                cmocka_unit_test(test_window),
                cmocka_unit_test(test_rerank),
                cmocka_unit_test(test_due),
                cmocka_unit_test(test_start_deadlines),
                cmocka_unit_test(test_clock),
                cmocka_unit_test(test_purge),
                cmocka_unit_test(test_receipts),
                cmocka_unit_test(test_timers),
                cmocka_unit_test(test_unique),
                cmocka_unit_test(test_array),
                cmocka_unit_test(test_receipts_expire),
                cmocka_unit_test(test_update),
                cmocka_unit_test(test_update_is_durable),
                cmocka_unit_test(test_backlog),
                cmocka_unit_test(test_refused_attempt),
                cmocka_unit_test(test_rates),
                cmocka_unit_test(test_edges),
                cmocka_unit_test(test_every_statement_ran),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
