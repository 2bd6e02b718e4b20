/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Durable workers in the model: what stays when their process goes, who has it then, and when it is given up. */

#include "model-util.h"

static Worker *make_adapter(Model *m, const char *name) {
        Worker *w = worker_new();

        assert_non_null(w);
        assert_int_equal(sd_id128_randomize(&w->token), 0);
        w->uid = 1000;
        w->slots = 10;
        w->durable = true;
        assert_non_null(w->name = strdup(name));
        assert_int_equal(strv_extend(&w->queues, "w"), 0);
        return w;
}

static Worker *add_adapter(Model *m, const char *name) {
        Worker *w = make_adapter(m, name);

        assert_int_equal(model_worker_add(m, w, false), 0);
        model_worker_connected(m, w, true);
        workers_recorded(m);
        return w;
}

static Job *start_one(Model *m, Queue *q) {
        char *error = NULL;
        Job *j = NULL;

        assert_int_equal(model_submit(m, q, make_spec(1, 0), 1000, "somebody", &now, &j, &error), 0);
        assert_int_equal(model_start(m, j, SD_ID128_MAKE(01, 02, 03, 04, 05, 06, 07, 08, 09, 0a, 0b, 0c, 0d, 0e, 0f, 10), &now), 0);
        return j;
}

static Queue *make_adapter_queue(Model *m) {
        Queue *q = make_queue(m, "w", UINT32_MAX);

        q->policy.executor = EXECUTOR_WORKER;
        q->policy.fair = q->ranked_fair = true;
        schedule_begin(m);
        return q;
}

static void test_started(void **state) {
        _cleanup_model_ Model *m = make_model();
        Queue *q = make_adapter_queue(m);
        Worker *w = add_adapter(m, "engine");
        Job *j = start_one(m, q);
        Attempt *a = j->live;

        assert_int_equal(j->state, JOB_STARTING);
        assert_int_equal(a->deadline, USEC_INFINITY);
        assert_int_equal(model_attempt_keep(m, a, "{\"a\":1}", USEC_INFINITY, &now), 0);
        assert_int_equal(j->state, JOB_STARTING);
        assert_string_equal(a->engine, "{\"a\":1}");
        assert_true(a->outcome_changed); /* so it is on disk before it is answered */

        /* No clock of another host makes it begin before it was given, or in the future. */
        assert_int_equal(model_attempt_keep(m, a, NULL, 1, &now), 0);
        assert_int_equal(j->state, JOB_RUNNING);
        assert_int_equal(a->outcome.started_usec, a->created_usec);
        assert_string_equal(a->engine, "{\"a\":1}");
        j = start_one(m, q);
        assert_int_equal(model_attempt_keep(m, j->live, NULL, USEC_INFINITY - 1, &now), 0);
        assert_int_equal(j->live->outcome.started_usec, now.realtime);
        assert_int_equal(w->n_attempts, 2);
}

/* The machine's two clocks are read one after the other, and do not run alike: what the engine says is not made up from them. */
static void test_run_time(void **state) {
        _cleanup_model_ Model *m = make_model();
        Queue *q = make_adapter_queue(m);
        Worker *w = add_adapter(m, "engine");
        Job *j = start_one(m, q);
        Attempt *a = j->live;
        Outcome o = OUTCOME_INIT;
        Now later = now;

        o.finished_usec = now.realtime + 1000;
        assert_int_equal(model_attempt_keep(m, a, NULL, now.realtime, &now), 0);
        later.realtime += 5000;
        later.monotonic += 5003;
        assert_int_equal(model_worker_complete(m, w, j->id, 1, &o, &later), 0);
        assert_int_equal(a->outcome.runtime_usec, 1000);

        /* That it says nothing means now. */
        j = start_one(m, q);
        a = j->live;
        assert_int_equal(model_attempt_keep(m, a, NULL, now.realtime, &now), 0);
        o = OUTCOME_INIT;
        assert_int_equal(model_worker_complete(m, w, j->id, 1, &o, &later), 0);
        assert_int_equal(a->outcome.runtime_usec, 5003);
}

static void test_away(void **state) {
        _cleanup_model_ Model *m = make_model();
        Queue *q = make_adapter_queue(m);
        Worker *w = add_adapter(m, "engine"), *by;
        sd_id128_t token = w->token;
        Now then = now;
        Job *j;

        assert_false(model_worker_away(m, w, &now)); /* it has nothing: it just goes */
        j = start_one(m, q);
        assert_true(model_worker_away(m, w, &now));
        assert_ptr_equal(j->live->worker, w);
        assert_false(worker_takes_jobs(w));
        assert_int_equal(w->slots_used, 1);
        assert_ptr_equal(model_worker_durable(m, 1000, "engine"), w);
        assert_null(model_worker_durable(m, 1001, "engine"));
        assert_null(model_worker_durable(m, 1000, "other"));

        /* Gone again is away since the first time. */
        then.even += USEC_PER_SEC;
        assert_true(model_worker_away(m, w, &then));
        assert_int_equal(w->away.when, now.even);

        by = make_adapter(m, "engine");
        by->slots = 3;
        assert_int_equal(model_worker_take_over(m, w, by), 0);
        worker_free(by);
        assert_int_equal(w->away.when, USEC_INFINITY);
        assert_int_equal(workers_next_given_up(m, &then), USEC_INFINITY);
        assert_null(model_worker_by_token(m, token));
        assert_ptr_equal(model_worker_by_token(m, w->token), w);
        model_worker_connected(m, w, true);
        assert_true(j->live->acting); /* it is told again */
        assert_int_equal(w->slots, 3);
}

static void test_given_up(void **state) {
        _cleanup_model_ Model *m = make_model();
        Queue *q = make_adapter_queue(m);
        Worker *w = add_adapter(m, "engine");
        Job *j = start_one(m, q);
        Now then = now;

        m->adapter_timeout = 10 * USEC_PER_SEC;
        assert_true(model_worker_away(m, w, &now));
        /* Whatever the clock on the wall is set to. */
        then.steady += 1000 * USEC_PER_SEC;
        then.even += 9 * USEC_PER_SEC;
        assert_int_equal(workers_next_given_up(m, &then), then.steady + USEC_PER_SEC);
        workers_give_up(m, &then);
        assert_false(w->gone);
        then.even += USEC_PER_SEC;
        workers_give_up(m, &then);
        assert_true(w->gone);
        assert_null(j->live);
        assert_null(model_worker_durable(m, 1000, "engine"));
        assert_int_equal(workers_next_given_up(m, &then), USEC_INFINITY);

        m->adapter_timeout = USEC_INFINITY;
        w = add_adapter(m, "other");
        j = start_one(m, q);
        assert_true(model_worker_away(m, w, &then));
        then.even += 366 * 24 * 60 * 60 * USEC_PER_SEC;
        workers_give_up(m, &then);
        assert_false(w->gone);
}

/* The queues whose Executor= is its name are its own, also those that come later. */
static void test_adapter(void **state) {
        _cleanup_model_ Model *m = make_model();
        Queue *q = make_adapter_queue(m), *late;
        Worker *w = make_adapter(m, "engine");

        w->queues = strv_free(w->queues);
        assert_non_null(w->adapter = strdup("engine"));
        assert_non_null(q->policy.adapter = strdup("engine"));
        assert_int_equal(model_worker_add(m, w, false), 0);
        model_worker_connected(m, w, true);
        workers_recorded(m);
        assert_ptr_equal(worker_choose(m, q, 1000, 1), w);
        assert_null(worker_choose(m, q, 1001, 1)); /* whom it is not trusted with */

        late = make_queue(m, "late", UINT32_MAX);
        late->policy.executor = EXECUTOR_WORKER;
        assert_non_null(late->policy.adapter = strdup("engine"));
        assert_null(worker_choose(m, late, 1000, 1));
        assert_int_equal(workers_configure(m), 0);
        assert_ptr_equal(worker_choose(m, late, 1000, 1), w);
        free(late->policy.adapter);
        assert_non_null(late->policy.adapter = strdup("another"));
        assert_int_equal(workers_configure(m), 0);
        assert_null(worker_choose(m, late, 1000, 1));
        assert_ptr_equal(worker_choose(m, q, 1000, 1), w);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_started),
                cmocka_unit_test(test_run_time),
                cmocka_unit_test(test_away),
                cmocka_unit_test(test_given_up),
                cmocka_unit_test(test_adapter),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
