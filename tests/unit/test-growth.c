/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What one event costs must not depend on how many others there are: basic blocks of the model, counted (tests/count), for N events among N
 * and for ten times as many among ten times as many. A logarithm is allowed; a look at all of them for each event makes it ten times as
 * much an event. Only in a build that counts. */

#include "count/count.h"
#include "model-util.h"

#include <limits.h>

typedef uint64_t (*case_t)(unsigned n); /* the blocks that n events took */

/* Of few; JOBMILL_GROWTH_FULL=1: among ten thousand it must hold, too. */
static unsigned size(void) {
        return getenv("JOBMILL_GROWTH_FULL") ? 1000 : 300;
}

static void compare(case_t run) {
        const unsigned N = size();
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

/* ---- workers ---- */

static Worker *make_worker(Model *m, uint32_t uid, uint32_t slots, const char *queue) {
        Worker *w = worker_new();

        assert_non_null(w);
        w->token.qwords[0] = m->next_worker;
        w->uid = uid;
        w->slots = slots;
        assert_int_equal(strv_extend(&w->queues, queue), 0);
        assert_int_equal(model_worker_add(m, w, false), 0);
        model_worker_connected(m, w, true);
        return w;
}

static Queue *make_worker_queue(Model *m, const char *name) {
        Queue *q = make_queue(m, name, UINT32_MAX);

        q->policy.executor = EXECUTOR_WORKER;
        return q;
}

/* One comes, has a job beside which as many live, is away for a moment, completes it, has another one and goes. queue, owner: of the i-th. */
static uint64_t come_and_go(unsigned n, bool own_queue, bool own_user, bool trusted) {
        _cleanup_model_ Model *m = make_model();
        Queue *busy = make_queue(m, "busy", UINT32_MAX);
        char name[16];
        uint64_t before;

        m->starting_max = UINT_MAX;
        for (unsigned i = 0; i < n; i++) {
                get_queue_name(name, own_queue ? i : 0);
                (void) make_worker_queue(m, name);
                if (trusted && strv_length(model_queue(m, name)->policy.worker_users) == 0)
                        assert_int_equal(strv_extend(&model_queue(m, name)->policy.worker_users, "77"), 0);
                (void) run(m, submit(m, busy, 1, 0));
                (void) make_worker(m, trusted ? 77 : own_user ? 2000 + i : 1000, 2, name);
        }
        recorded(m);
        before = count->blocks;
        for (unsigned i = 0; i < n; i++) {
                Outcome o = OUTCOME_INIT;
                Worker *w;
                Job *j;

                get_queue_name(name, own_queue ? i : 0);
                w = make_worker(m, trusted ? 77 : 1000, 3, name);
                recorded(m);
                j = submit(m, model_queue(m, name), 1, 0);
                assert_ptr_equal(worker_choose(m, j->queue, j->owner, 1), w); /* it has most room */
                assert_ptr_equal(start(m, j)->worker, w);
                recorded(m);
                model_worker_connected(m, w, false);
                model_worker_connected(m, w, true);
                o.result = JOB_SUCCESS;
                assert_int_equal(model_worker_complete(m, w, j->id, 1, &o, &now), 0);
                recorded(m);
                assert_ptr_equal(start(m, submit(m, model_queue(m, name), 1, 0))->worker, w);
                recorded(m);
                model_worker_gone(m, w, &now);
                recorded(m);
        }
        return count->blocks - before;
}

static uint64_t workers_of_one_queue(unsigned n) {
        return come_and_go(n, false, false, false);
}

static uint64_t workers_of_their_queues(unsigned n) {
        return come_and_go(n, true, false, false);
}

static uint64_t workers_of_their_users(unsigned n) {
        return come_and_go(n, false, true, false);
}

static uint64_t workers_of_everybody(unsigned n) {
        return come_and_go(n, false, false, true);
}

static void test_workers(void **state) {
        compare(workers_of_one_queue);
        compare(workers_of_their_queues);
        compare(workers_of_their_users);
        compare(workers_of_everybody);
}

/* Why each of so many jobs waits for as many workers that are busy: as a list of them asks. */
static uint64_t worker_reasons(unsigned n) {
        _cleanup_model_ Model *m = make_model();
        Queue *q = make_worker_queue(m, "q");
        uint64_t before;
        Job *j;

        for (unsigned i = 0; i < n; i++)
                (void) make_worker(m, 1000, 1, "q");
        recorded(m);
        for (unsigned i = 0; i < n; i++)
                (void) start(m, submit(m, q, 1, 0));
        recorded(m);
        j = submit(m, q, 1, 0);
        before = count->blocks;
        for (unsigned i = 0; i < n; i++) {
                _cleanup_free_ char *s = schedule_reason(m, j, q, &now);

                assert_true(startswith(s, "workers are busy: "));
        }
        return count->blocks - before;
}

static void test_worker_reasons(void **state) {
        compare(worker_reasons);
}

/* A queue waits for a unit of its own, and another one for the same; each of these opens, and is shut again. */
static uint64_t gates(unsigned n) {
        _cleanup_model_ Model *m = make_model();
        char name[16], unit[32];
        uint64_t before;

        for (unsigned i = 0; i < n; i++) {
                get_queue_name(name, i);
                (void) snprintf(unit, sizeof(unit), "%u.service", i / 2);
                assert_int_equal(free_and_strdup(&make_queue(m, name, 1)->policy.gate_unit, unit), 0);
        }
        assert_int_equal(admission_configure(m), 0);
        for (unsigned i = 0; i < n; i++) {
                get_queue_name(name, i);
                assert_int_equal(gate_set_path(m, model_queue(m, name)->gate, name), 0); /* the second one's is it in the end */
        }
        admission_decide(m, &now);
        before = count->blocks;
        for (unsigned i = 1; i < n; i += 2) {
                Queue *q;

                get_queue_name(name, i);
                q = model_queue(m, name);
                assert_ptr_equal(TAILQ_FIRST(&gate_path(m, name)->gates), q->gate);
                admission_gate_seen(m, q->gate, "loaded", "active");
                admission_decide(m, &now);
                assert_null(queue_shut_at(q));
                admission_gate_seen(m, q->gate, "loaded", "inactive");
                admission_decide(m, &now);
                assert_ptr_equal(queue_shut_at(q), q);
                get_queue_name(name, i - 1);
                assert_null(gate_path(m, name));
                assert_ptr_equal(queue_shut_at(model_queue(m, name)), model_queue(m, name));
        }
        return count->blocks - before;
}

static void test_gates(void **state) {
        compare(gates);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_workers),   cmocka_unit_test(test_worker_reasons), cmocka_unit_test(test_gates),
                cmocka_unit_test(test_deadlines), cmocka_unit_test(test_array_places), cmocka_unit_test(test_rates),
                cmocka_unit_test(test_retention), cmocka_unit_test(test_live),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
