/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What shuts a queue: rate, pressure, gate, refusal; for whole subtrees, with reasons, and when it opens again. */

#include "model-util.h"

#include "queue/reason.h"



/* Start all that may start, as daemon/settle.c does. */
static unsigned starts(Model *m) {
        unsigned n = 0;
        Candidate c;
        Queue *q;

        admission_decide(m, &now);
        schedule_begin(m);
        while (schedule_next(m, &c, &q)) {
                run(m, model_job(m, c.id));
                n++;
        }
        check_model(m);
        return n;
}

static void expect_reason(Model *m, const Job *j, const char *text) {
        _cleanup_free_ char *s = schedule_reason(m, j, j->queue, &now);

        assert_string_equal(s, text);
}

static void expect_queue_reason(Model *m, const Queue *q, const char *text) {
        _cleanup_free_ char *s = queue_reason(m, q, &now);

        assert_string_equal(s, text);
}

static void submit_n(Model *m, Queue *q, unsigned n) {
        while (n-- > 0)
                submit(m, q, 1, 0);
}

static void pass(usec_t t) {
        now.realtime += t;
        now.monotonic += t;
        now.steady += t;
}

static Model *begin(void) {
        Model *m = make_model();

        now.steady = now.realtime;
        return m;
}

static void test_span(void **state) {
        static const struct { usec_t t; const char *text; } cases[] = {
                { 0, "1 s" }, { 1, "1 s" }, { SEC, "1 s" }, { SEC + 1, "2 s" }, { 59 * SEC, "59 s" }, { 60 * SEC, "1 min" },
                { 125 * SEC, "2 min 5 s" }, { 3600 * SEC, "1 h" }, { 3601 * SEC, "1 h" }, { 90 * 60 * SEC, "1 h 30 min" },
                { 25 * 3600 * SEC, "1 d 1 h" },
        };

        FOREACH_ELEMENT(c, cases) {
                char buf[SPAN_TEXT_MAX];

                reason_span(buf, c->t);
                assert_string_equal(buf, c->text);
        }
}

static void test_rate(void **state) {
        _cleanup_model_ Model *m = begin();
        Queue *g = make_queue(m, "g", UINT32_MAX), *ga = make_queue(m, "g-a", UINT32_MAX), *o = make_queue(m, "o", UINT32_MAX);

        g->policy.rate = (RateLimit) { 2, 10 * SEC };
        assert_int_equal(admission_configure(m), 0);
        submit_n(m, ga, 3);
        submit_n(m, g, 2);
        submit_n(m, o, 3);
        assert_int_equal(starts(m), 5); /* two of them in g, and nobody else is held back */
        assert_true(g->shut == SHUT_RATE && ga->shut == SHUT_NOT && queue_shut_at(ga) == g);
        assert_true(m->next_admission == now.steady + 10 * SEC);
        pass(6 * SEC);
        expect_reason(m, model_job(m, 3), "rate of g: next in 4 s");
        expect_reason(m, model_job(m, 4), "rate: next in 4 s");
        expect_queue_reason(m, g, "rate: next in 4 s");
        expect_queue_reason(m, o, "");
        assert_int_equal(starts(m), 0);
        pass(4 * SEC - 1);
        assert_int_equal(starts(m), 0);
        expect_reason(m, model_job(m, 4), "rate: next in 1 s");
        pass(1);
        assert_int_equal(starts(m), 2);

        /* Raised, lowered, taken away. */
        g->policy.rate.n = 3;
        assert_int_equal(admission_configure(m), 0);
        assert_int_equal(starts(m), 1);
        submit_n(m, ga, 1);
        assert_int_equal(starts(m), 0);
        g->policy.rate = (RateLimit) {};
        g->starts_changed = false;
        assert_int_equal(admission_configure(m), 0);
        assert_true(!g->starts && g->starts_changed && g->changed && !g->regulated);
        submit_n(m, ga, 2);
        assert_int_equal(starts(m), 3);
}

/* When somebody else wants to be woken is kept in the turn in which he says so, and forgotten with the next. */
static void test_woken_by_others(void **state) {
        _cleanup_model_ Model *m = begin();
        Queue *g = make_queue(m, "g", UINT32_MAX);

        g->policy.rate = (RateLimit) { 1, 10 * SEC };
        assert_int_equal(admission_configure(m), 0);
        admission_decide(m, &now);
        m->next_admission = now.steady + SEC;
        run(m, submit(m, g, 1, 0));
        assert_true(g->shut == SHUT_RATE && m->next_admission == now.steady + SEC);
        pass(SEC);
        admission_decide(m, &now);
        assert_true(m->next_admission == now.steady + 9 * SEC);
        pass(9 * SEC);
        admission_decide(m, &now);
        assert_true(m->next_admission == USEC_INFINITY);
}

/* Of two rates on the way up both hold. */
static void test_nested_rates(void **state) {
        _cleanup_model_ Model *m = begin();
        Queue *g = make_queue(m, "g", UINT32_MAX), *ga = make_queue(m, "g-a", UINT32_MAX);

        g->policy.rate = (RateLimit) { 3, 10 * SEC };
        ga->policy.rate = (RateLimit) { 1, 1 * SEC };
        assert_int_equal(admission_configure(m), 0);
        submit_n(m, ga, 5);
        for (unsigned i = 0; i < 3; i++) {
                assert_int_equal(starts(m), 1);
                if (i == 0)
                        expect_reason(m, model_job(m, 5), "rate: next in 1 s");
                pass(SEC);
        }
        assert_int_equal(starts(m), 0);
        expect_reason(m, model_job(m, 5), "rate of g: next in 7 s");
        assert_true(m->next_admission == now.steady + 7 * SEC);
}

static void test_clock(void **state) {
        _cleanup_model_ Model *m = begin();
        Queue *g = make_queue(m, "g", UINT32_MAX);

        g->policy.rate = (RateLimit) { 1, 10 * SEC };
        assert_int_equal(admission_configure(m), 0);
        submit_n(m, g, 2);
        assert_int_equal(starts(m), 1);
        pass(4 * SEC);
        now.realtime += 5000 * SEC;
        now.steady = now.realtime;
        model_clock_set(m, 5000 * SEC);
        assert_int_equal(starts(m), 0);
        expect_reason(m, model_job(m, 2), "rate: next in 6 s");
        pass(6 * SEC);
        assert_int_equal(starts(m), 1);
}

static void press(Model *m, uint32_t cpu, uint32_t memory, int error) {
        PressureSample s[_PRESSURE_MAX] = { { cpu, 0 }, { memory, 0 }, { 0, error } };

        admission_pressure(m, s, &now);
}

static void test_pressure(void **state) {
        _cleanup_model_ Model *m = begin();
        Queue *g = make_queue(m, "g", UINT32_MAX), *ga = make_queue(m, "g-a", UINT32_MAX), *o = make_queue(m, "o", UINT32_MAX);
        JobSpec *held = make_spec(1, 0);

        g->policy.pressure_max[PRESSURE_CPU] = 2000;
        g->policy.pressure_max[PRESSURE_MEMORY] = 101;
        assert_int_equal(admission_configure(m), 0);
        assert_false(admission_wants_pressure(m));
        held->hold = true;
        submit_spec(m, ga, held);
        submit_n(m, o, 1);
        assert_false(admission_wants_pressure(m));
        submit_n(m, ga, 1);
        assert_true(admission_wants_pressure(m));
        assert_true(admission_limits_pressure(m, PRESSURE_CPU) && !admission_limits_pressure(m, PRESSURE_IO));

        model_queue_pause(m, g, true);
        assert_false(admission_wants_pressure(m));
        model_queue_pause(m, g, false);

        press(m, 2000, 101, 0);
        assert_int_equal(starts(m), 2);
        submit_n(m, ga, 1);
        press(m, 2001, 0, 0);
        assert_int_equal(starts(m), 0);
        expect_reason(m, model_job(m, 4), "cpu pressure of 20.01%: g starts at 16.00%");
        /* Only well below it opens. */
        press(m, 1601, 0, 0);
        assert_int_equal(starts(m), 0);
        expect_reason(m, model_job(m, 4), "cpu pressure of 16.01%: g starts at 16.00%");
        press(m, 1600, 0, 0);
        assert_int_equal(starts(m), 1);
        assert_false(admission_wants_pressure(m));
        submit_n(m, ga, 1);
        press(m, 1700, 81, 0); /* in between, from below */
        assert_int_equal(starts(m), 1);

        submit_n(m, ga, 1);
        press(m, 0, 102, 0);
        assert_int_equal(starts(m), 0);
        expect_reason(m, model_job(m, 6), "memory pressure of 1.02%: g starts at 0.80%");
        press(m, 0, 81, 0);
        assert_int_equal(starts(m), 0);
        pass(11 * SEC); /* nobody asked for so long */
        press(m, 0, 81, 0);
        assert_int_equal(starts(m), 1);
}

/* After it one starts, and twice as many each time that it is still low. */
static void test_pressure_eases(void **state) {
        _cleanup_model_ Model *m = begin();
        Queue *g = make_queue(m, "g", UINT32_MAX), *ga = make_queue(m, "g-a", UINT32_MAX);

        g->policy.pressure_max[PRESSURE_CPU] = 2000;
        assert_int_equal(admission_configure(m), 0);
        submit_n(m, ga, 20);
        for (unsigned round = 0; round < 2; round++) { /* and anew after it has risen */
                press(m, 2001, 0, 0);
                assert_int_equal(starts(m), 0);
                for (unsigned n = 1; n <= 4; n *= 2) {
                        press(m, 1600 - n, 0, 0);
                        assert_int_equal(starts(m), n);
                        assert_int_equal(starts(m), 0);
                        now.monotonic += SEC;
                }
                expect_reason(m, model_job(m, 20), "pressure of g has eased: 4 started, it is read again in 1 s");
                assert_true(admission_wants_pressure(m));
        }
        /* Fewer than may: then all may. */
        press(m, 0, 0, 0);
        assert_int_equal(starts(m), 6);
        press(m, 0, 0, 0);
        submit_n(m, g, 20);
        assert_int_equal(starts(m), 20);
        /* And where there is no limit any more. */
        press(m, 2001, 0, 0);
        submit_n(m, g, 20);
        press(m, 0, 0, 0);
        assert_int_equal(starts(m), 1);
        g->policy.pressure_max[PRESSURE_CPU] = PRESSURE_NO_LIMIT;
        assert_int_equal(admission_configure(m), 0);
        assert_int_equal(starts(m), 19);
}

static void test_pressure_unreadable(void **state) {
        _cleanup_model_ Model *m = begin();
        Queue *g = make_queue(m, "g", UINT32_MAX), *o = make_queue(m, "o", UINT32_MAX);

        g->policy.pressure_max[PRESSURE_IO] = 1000;
        o->policy.pressure_max[PRESSURE_CPU] = 1000;
        assert_int_equal(admission_configure(m), 0);
        submit_n(m, g, 1);
        submit_n(m, o, 1);
        press(m, 0, 0, -ENOENT);
        assert_int_equal(starts(m), 1); /* that of o */
        expect_reason(m, model_job(m, 1), "io pressure, which g limits, cannot be read: No such file or directory");
        press(m, 0, 0, 0);
        assert_int_equal(starts(m), 1);

        /* A new limit is judged by what was read last. */
        submit_n(m, g, 1);
        press(m, 500, 0, 0);
        g->policy.pressure_max[PRESSURE_CPU] = 400;
        assert_int_equal(admission_configure(m), 0);
        assert_int_equal(starts(m), 0);
        g->policy.pressure_max[PRESSURE_CPU] = PRESSURE_NO_LIMIT;
        assert_int_equal(admission_configure(m), 0);
        assert_int_equal(starts(m), 1);
}

static Gate *gate(Model *m, const char *unit) {
        Gate *g;

        HASH_FIND_STR(m->gates, unit, g);
        assert_non_null(g);
        return g;
}

static void test_gate(void **state) {
        static const struct { const char *load, *active; bool open; const char *text; } cases[] = {
                { "loaded", "inactive", false, "gate x.service is inactive" },
                { "loaded", "failed", false, "gate x.service is failed" },
                { "loaded", "activating", false, "gate x.service is activating" },
                { NULL, "deactivating", false, "gate x.service is deactivating" },
                { "not-found", "inactive", false, "gate x.service does not exist" },
                { "masked", "inactive", false, "gate x.service is masked" },
                { "bad-setting", "inactive", false, "gate x.service cannot be loaded (bad-setting)" },
                { "loaded", "reloading", true, "" },
                { "not-found", "active", true, "" }, /* its file was removed while it ran */
                { "loaded", "active", true, "" },
        };
        _cleanup_model_ Model *m = begin();
        Queue *g = make_queue(m, "g", UINT32_MAX), *ga = make_queue(m, "g-a", UINT32_MAX), *o = make_queue(m, "o", UINT32_MAX);
        Job *running;

        g->policy.gate_unit = strdup("x.service");
        o->policy.gate_unit = strdup("x.service");
        assert_int_equal(admission_configure(m), 0);
        assert_int_equal(HASH_COUNT(m->gates), 1);
        assert_true(gate(m, "x.service")->look);
        running = submit(m, ga, 1, 0);
        assert_int_equal(starts(m), 0);
        expect_reason(m, running, "gate x.service is not known yet");
        FOREACH_ELEMENT(c, cases) {
                admission_gate_seen(m, gate(m, "x.service"), c->load, c->active);
                assert_int_equal(starts(m), c->open ? 1 : 0);
                expect_reason(m, running, c->text);
                if (c->open) {
                        assert_int_equal(running->state, JOB_RUNNING);
                        running = submit(m, c->load && *c->load == 'n' ? o : ga, 1, 0);
                }
        }
        admission_gate_failed(m, gate(m, "x.service"), "no answer");
        assert_int_equal(starts(m), 0);
        expect_reason(m, running, "gate x.service cannot be looked at: no answer");
        assert_true(job_state_is_live(model_job(m, 1)->state)); /* what runs is not touched */
        admission_gates_forget(m);
        expect_reason(m, running, "gate x.service is not known yet");

        /* Live: another unit, none. */
        (void) free_and_strdup(&g->policy.gate_unit, "y.service");
        (void) free_and_strdup(&o->policy.gate_unit, NULL);
        assert_int_equal(admission_configure(m), 0);
        assert_int_equal(HASH_COUNT(m->gates), 1);
        expect_reason(m, running, "gate y.service is not known yet");
        (void) free_and_strdup(&g->policy.gate_unit, NULL);
        assert_int_equal(admission_configure(m), 0);
        assert_null(m->gates);
        assert_int_equal(starts(m), 1);
}

static void test_refused(void **state) {
        _cleanup_model_ Model *m = begin();
        Queue *g = make_queue(m, "g", UINT32_MAX), *ga = make_queue(m, "g-a", UINT32_MAX);

        submit_n(m, ga, 1);
        submit_n(m, g, 1);
        admission_refused(m, ga, "too many");
        assert_int_equal(starts(m), 1); /* that of g */
        expect_reason(m, model_job(m, 1), "systemd takes no more units of g-a: too many");
        assert_true(m->next_admission == now.steady + SEC);
        assert_int_equal(admission_configure(m), 0); /* a reload does not forget it */
        assert_int_equal(starts(m), 0);
        pass(SEC);
        assert_int_equal(starts(m), 1);
        assert_int_equal(admission_configure(m), 0);
        assert_false(ga->regulated);
}

/* Reasons in the order of what would be in the way next. */
static void test_order_of_reasons(void **state) {
        _cleanup_model_ Model *m = begin();
        Queue *g = make_queue(m, "g", 1);
        Job *j;

        g->policy.rate = (RateLimit) { 1, 10 * SEC };
        g->policy.pressure_max[PRESSURE_CPU] = 1000;
        g->policy.gate_unit = strdup("x.service");
        assert_int_equal(admission_configure(m), 0);
        admission_gate_seen(m, gate(m, "x.service"), "loaded", "active");
        submit_n(m, g, 1);
        assert_int_equal(starts(m), 1);
        j = submit(m, g, 1, 0);
        press(m, 5000, 0, 0);
        admission_gate_seen(m, gate(m, "x.service"), "loaded", "inactive");
        model_queue_pause(m, g, true);
        (void) starts(m);
        expect_reason(m, j, "queue g is paused");
        model_queue_pause(m, g, false);
        expect_reason(m, j, "gate x.service is inactive");
        admission_gate_seen(m, gate(m, "x.service"), "loaded", "active");
        (void) starts(m);
        expect_reason(m, j, "cpu pressure of 50.00%: g starts at 8.00%");
        press(m, 0, 0, 0);
        (void) starts(m);
        expect_reason(m, j, "rate: next in 10 s");
        pass(10 * SEC);
        (void) starts(m);
        expect_reason(m, j, "cap of g: 1 of 1");
        end(m, model_job(m, 1)->live, JOB_SUCCESS);
        model_attempt_gone(m, m->attempts);
        assert_int_equal(starts(m), 1);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_span),
                cmocka_unit_test(test_rate),
                cmocka_unit_test(test_woken_by_others), cmocka_unit_test(test_nested_rates),
                cmocka_unit_test(test_clock),
                cmocka_unit_test(test_pressure),
                cmocka_unit_test(test_pressure_eases),
                cmocka_unit_test(test_pressure_unreadable),
                cmocka_unit_test(test_gate),
                cmocka_unit_test(test_refused),
                cmocka_unit_test(test_order_of_reasons),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
