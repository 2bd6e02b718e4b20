/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What one event costs must not depend on how many others there are: basic blocks of the model, counted (tests/count), for N events among N
 * and for ten times as many among ten times as many. A logarithm is allowed; a look at all of them for each event makes it ten times as
 * much an event. Only in a build that counts. */

#include "count/count.h"
#include "model-util.h"

#include <limits.h>

enum { N = 300 };

typedef uint64_t (*case_t)(unsigned n); /* the blocks that n events took */

static void compare(case_t run) {
        double few = (double) run(N) / N, many = (double) run(10 * N) / (10 * N);

        print_message("%.0f and %.0f an event\n", few, many);
        assert_true(few > 0);
        if (many > 2 * few)
                fail_msg("an event takes %.0f blocks among %u, %.0f among %u", few, N, many, 10 * N);
}

static void recorded(Model *m) {
        Attempt *a;

        while ((a = TAILQ_FIRST(&m->act))) { /* unit/ asks */
                TAILQ_REMOVE(&m->act, a, act_entry);
                a->acting = false;
        }
        model_recorded(m);
}

static void get_queue_name(char *ret, unsigned i) {
        (void) snprintf(ret, 16, "q%u", i);
}

/* Each one's time-out is another one: one passes after the other. */
static uint64_t deadlines(unsigned n) {
        _cleanup_model_ Model *m = make_model();
        Queue *q = make_queue(m, "a", UINT32_MAX);
        uint64_t before;

        for (unsigned i = 0; i < n; i++) {
                JobSpec *spec = make_spec(1, 0);

                spec->timeout_usec = (10 + i) * SEC;
                (void) run(m, submit_spec(m, q, spec));
                recorded(m);
        }
        before = count->blocks;
        now.monotonic += 9 * SEC;
        for (unsigned i = 0; i < n; i++) {
                now.monotonic += SEC;
                model_deadlines(m, &now);
                assert_int_equal(m->count[JOB_STOPPING], i + 1);
                recorded(m);
        }
        return count->blocks - before;
}

static void test_deadlines(void **state) {
        compare(deadlines);
}

/* Jobs of an array that live, and one place that comes free each time; the others wait in memory, as in the turn of their submit. */
static uint64_t array_places(unsigned n) {
        _cleanup_model_ Model *m = make_model();
        Queue *q = make_queue(m, "a", UINT32_MAX);
        JobSpec *spec = make_spec(1, 0);
        Job *j;
        uint64_t before;

        spec->array = 2 * n;
        spec->array_max_running = n;
        j = submit_spec(m, q, spec);
        for (unsigned i = 0; i < n; i++)
                (void) run(m, model_job(m, j->id + i));
        before = count->blocks;
        for (unsigned i = 0; i < n; i++) {
                Array *a = model_job(m, j->id + n)->in_array;
                Job *next;

                end(m, model_job(m, j->id + i)->live, JOB_SUCCESS);
                next = array_first_waiting(a);
                assert_int_equal(next->id, j->id + n + i);
                model_array_give_place(m, next, &now);
                assert_int_equal(next->state, JOB_READY);
        }
        return count->blocks - before;
}

static void test_array_places(void **state) {
        compare(array_places);
}

/* A rate for each queue; one job is submitted and started, each in a turn of its own. */
static uint64_t rates(unsigned n) {
        _cleanup_model_ Model *m = make_model();
        char name[16];
        uint64_t before;
        Candidate c;
        Queue *q;

        for (unsigned i = 0; i < n; i++) {
                get_queue_name(name, i);
                make_queue(m, name, UINT32_MAX)->policy.rate = (RateLimit) { 1, 3600 * SEC };
        }
        now.steady = now.realtime;
        assert_int_equal(admission_configure(m), 0);
        m->starting_max = UINT_MAX;
        admission_decide(m, &now);
        schedule_begin(m);
        assert_false(schedule_next(m, &c, &q));
        before = count->blocks;
        for (unsigned i = 0; i < n; i++) {
                get_queue_name(name, i);
                (void) submit(m, model_queue(m, name), 1, 0);
                now.steady += SEC;
                admission_decide(m, &now);
                schedule_begin(m);
                assert_true(schedule_next(m, &c, &q));
                model_attempt_started(m, start(m, model_job(m, c.id)), invocation, now.realtime, now.monotonic);
                assert_int_equal(q->shut, SHUT_RATE);
                recorded(m);
        }
        return count->blocks - before;
}

static void test_rates(void **state) {
        compare(rates);
}

/* In each queue one job ends, of which one more than Keep= says is there. */
static uint64_t retention(unsigned n) {
        _cleanup_model_ Model *m = make_model();
        char name[16];
        uint64_t before;
        Queue *q;

        for (unsigned i = 0; i < n; i++) {
                get_queue_name(name, i);
                make_queue(m, name, UINT32_MAX)->policy.keep_max = 0;
        }
        while ((q = retention_next(m, &now)))
                retention_looked(m, q, USEC_INFINITY, &now);
        before = count->blocks;
        for (unsigned i = 0; i < n; i++) {
                get_queue_name(name, i);
                end(m, run(m, submit(m, model_queue(m, name), 1, 0)), JOB_SUCCESS);
                q = retention_next(m, &now);
                assert_string_equal(q->name, name);
                retention_looked(m, q, USEC_INFINITY, &now);
                assert_null(retention_next(m, &now));
                recorded(m);
        }
        return count->blocks - before;
}

static void test_retention(void **state) {
        compare(retention);
}

/* Start and end of jobs, of which as many live beside it. */
static uint64_t live(unsigned n) {
        _cleanup_model_ Model *m = make_model();
        Queue *q = make_queue(m, "a", UINT32_MAX);
        uint64_t before;

        m->starting_max = UINT_MAX;
        q->policy.timeout_usec = SEC;
        for (unsigned i = 0; i < n; i++)
                (void) run(m, submit(m, q, 1, 0));
        recorded(m);
        before = count->blocks;
        for (unsigned i = 0; i < n; i++) {
                Attempt *a = run(m, submit(m, q, 1, 0));

                recorded(m);
                end(m, a, JOB_SUCCESS);
                recorded(m);
                model_attempt_gone(m, a);
        }
        return count->blocks - before;
}

static void test_live(void **state) {
        compare(live);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_deadlines), cmocka_unit_test(test_array_places), cmocka_unit_test(test_rates),
                cmocka_unit_test(test_retention), cmocka_unit_test(test_live),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
