/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Workers in the store: they and their attempts are found again, ids are not given twice, and a gone one leaves no row. */

#include "store-worker.h"

#define _cleanup_store_ _cleanup_(store_closep)

static uint64_t start_in(Store *s, Model *m, Queue *q) {
        uint64_t id;

        q->policy.executor = EXECUTOR_WORKER;
        record(s, m); /* the worker is told before it is given something */
        id = submit(m, q, make_spec("true"));
        (void) start(s, m, id);
        return id;
}

static void test_same(void **state) {
        _cleanup_store_ Store *s = open_memory();
        _cleanup_model_ Model *m = model_new(), *again = NULL;
        Worker *w = add_worker(m, "q"), *v;
        uint64_t id;
        Attempt *a;

        w->user = strdup("alice");
        w->unit = strdup("a.service");
        w->name = strdup("Modell");
        w->metadata = strdup("{\"gpu\":1}");
        id = start_in(s, m, add_queue(m, "q"));
        (void) start_in(s, m, add_queue(m, "q"));
        model_worker_drain(m, w);
        record(s, m);

        again = load(s);
        v = model_worker(again, w->id);
        assert_non_null(v);
        assert_true(sd_id128_equal(v->token, w->token) && sd_id128_equal(v->boot_id, w->boot_id));
        assert_true(v->uid == 1000 && v->pid == 4711 && v->started == UINT64_C(1) << 40 && v->slots == 2 && v->draining);
        assert_string_equal(v->user, "alice");
        assert_string_equal(v->unit, "a.service");
        assert_string_equal(v->name, "Modell");
        assert_string_equal(v->metadata, "{\"gpu\":1}");
        assert_true(strv_equal(v->queues, w->queues));
        assert_true(v->registered_usec == now.realtime && !v->connected);
        assert_true(v->slots_used == 2 && v->n_attempts == 2);

        a = model_job(again, id)->live;
        assert_true(a->worker == v && a->worker_id == v->id && a->executor == EXECUTOR_WORKER && a->phase == ATTEMPT_RUNNING);
        assert_int_equal(again->n_starting, 0);
}

/* The history keeps who it was; the id is nobody else's. */
static void test_gone(void **state) {
        _cleanup_store_ Store *s = open_memory();
        _cleanup_model_ Model *m = model_new(), *again = NULL;
        Worker *w = add_worker(m, "q");
        uint64_t id = start_in(s, m, add_queue(m, "q")), worker = w->id;

        record(s, m);
        assert_int_equal(number(s, "SELECT count(*) FROM worker"), 1);
        model_worker_gone(m, w, &now);
        model_judge(m, model_job(m, id), NULL, &now);
        record(s, m);
        assert_int_equal(number(s, "SELECT count(*) FROM worker"), 0);
        assert_int_equal(number(s, "SELECT worker FROM attempt WHERE result = 'lost' AND executor = 'worker'"), worker);
        again = load(s);
        assert_true(add_worker(again, "q")->id > worker);
}

static void test_damaged(void **state) {
        static const char *const damages[] = {
                "UPDATE worker SET token = x'00'",
                "UPDATE worker SET boot_id = x''",
                "UPDATE attempt SET executor = 'nobody'",
                "UPDATE attempt SET executor = NULL",
                "UPDATE attempt SET worker = NULL",
        };

        FOREACH_ELEMENT(sql, damages) {
                _cleanup_store_ Store *s = open_memory();
                _cleanup_model_ Model *m = model_new(), *again = model_new();

                (void) add_worker(m, "q");
                (void) start_in(s, m, add_queue(m, "q"));
                record(s, m);
                assert_int_equal(store_exec(s, *sql), 0);
                assert_int_equal(store_load(s, again), -EUCLEAN);
        }
}

/* Its row was lost: the attempt is there, without a worker. */
static void test_missing(void **state) {
        _cleanup_store_ Store *s = open_memory();
        _cleanup_model_ Model *m = model_new(), *again = NULL;
        uint64_t id;

        (void) add_worker(m, "q");
        id = start_in(s, m, add_queue(m, "q"));
        record(s, m);
        assert_int_equal(store_exec(s, "DELETE FROM worker"), 0);
        again = load(s);
        assert_null(model_job(again, id)->live->worker);
        assert_int_equal(model_job(again, id)->live->executor, EXECUTOR_WORKER);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_same),
                cmocka_unit_test(test_gone),
                cmocka_unit_test(test_damaged),
                cmocka_unit_test(test_missing),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
