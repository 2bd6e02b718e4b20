/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What requests do to jobs: one transition after the other, with a fake clock; what is counted and what is to be recorded each
 * time. Attempts are test-attempt.c's, and test-model-random.c does all of it at random. */

#include "model-util.h"

static unsigned count_changed(const Model *m) {
        unsigned n = 0;
        Job *j;

        TAILQ_FOREACH(j, &m->changed, changed_entry)
                n++;
        return n;
}

static JobSpec *spec_later(usec_t span) {
        JobSpec *spec = make_spec(1, 0);

        spec->not_before_usec = now.realtime + span;
        return spec;
}

static JobSpec *spec_held(void) {
        JobSpec *spec = make_spec(1, 0);

        spec->hold = true;
        return spec;
}

/* A done job as the store gives it back. */
static Job *reload(Model *m, Queue *q, const Job *old) {
        Job *j = job_new();

        assert_non_null(j);
        j->id = old->id;
        j->queue_name = strdup(q->name);
        j->state = old->state;
        j->result = old->result;
        j->dead = old->dead;
        j->attempt = old->attempt;
        j->rank = old->rank;
        model_job_add(m, j, q);
        return j;
}

/* ---- submit ---- */

static void test_submit(void **state) {
        _cleanup_model_ Model *m = make_model();
        Queue *q = make_queue(m, "a-b", 4);
        JobSpec *spec = make_spec(2, 7);
        Job *j;

        spec->name = strdup("train");
        spec->timeout_usec = 5 * SEC;
        j = submit_spec(m, q, spec);
        assert_int_equal(j->id, 1);
        assert_int_equal(m->next_id, 2);
        assert_string_equal(j->queue_name, "a-b");
        assert_string_equal(j->owner_name, "alice");
        assert_string_equal(j->name, "train");
        assert_int_equal(j->owner, 1000);
        assert_int_equal(j->state, JOB_READY);
        assert_int_equal(j->rank, -7);
        assert_true(j->submitted_usec == now.realtime && j->ready_usec == now.realtime && j->timeout_usec == 5 * SEC);
        assert_ptr_equal(j->spec, spec);
        assert_true(j->is_new && j->changed && q->changed);
        assert_ptr_equal(model_job(m, 1), j);
        assert_int_equal(submit_spec(m, q, spec_held())->state, JOB_HELD);
        assert_int_equal(submit_spec(m, q, spec_later(SEC))->state, JOB_WAITING);
        assert_int_equal(submit_spec(m, q, spec_later(0))->state, JOB_READY); /* its time has come */
        check_model(m);
        assert_int_equal(count_changed(m), 4);

        model_recorded(m);
        assert_false(model_has_changes(m));
        assert_null(model_job(m, 1)); /* the store has it */
        assert_int_equal(q->count[JOB_READY], 2);
        assert_int_equal(q->level.all.n_window, 2);
}

static void refused(Model *m, Queue *q, uint32_t slots, int error, const char *said) {
        _cleanup_(spec_freep) JobSpec *spec = make_spec(slots, 0);
        _cleanup_free_ char *text = NULL;
        Job *j = NULL;

        assert_int_equal(model_submit(m, q, spec, 1000, "alice", &now, &j, &text), error);
        assert_non_null(strstr(text, said));
        assert_null(j);
}

static void test_submit_refused(void **state) {
        _cleanup_model_ Model *m = make_model();
        Queue *ab = make_queue(m, "a-b", 4), *a = make_queue(m, "a", 3);

        refused(m, ab, 5, -ERANGE, "'a-b' has only 4");
        refused(m, ab, 4, -ERANGE, "'a' has only 3");
        model_queue_drain(m, a, true);
        refused(m, ab, 1, -EDQUOT, "'a' is being drained");
        model_recorded(m);
        assert_false(model_has_changes(m));
        assert_int_equal(m->next_id, 1);
        assert_null(m->jobs);
        model_queue_drain(m, a, false);
        submit(m, ab, 3, 0);
        check_model(m);
}

/* ---- hold, release, due ---- */

static void test_hold(void **state) {
        _cleanup_model_ Model *m = make_model();
        Queue *q = make_queue(m, "q", 4);
        Job *ready = submit(m, q, 1, 0), *waiting = submit_spec(m, q, spec_later(10 * SEC)), *live = submit(m, q, 1, 0);

        assert_int_equal(model_hold(m, ready, &now), 0);
        assert_int_equal(model_hold(m, ready, &now), 0); /* is held */
        assert_int_equal(model_hold(m, waiting, &now), 0);
        assert_int_equal(ready->state, JOB_HELD);
        assert_int_equal(waiting->state, JOB_HELD);
        check_model(m);

        start(m, live);
        assert_int_equal(model_hold(m, live, &now), -EBUSY);
        end(m, live->live, JOB_SUCCESS);
        assert_int_equal(model_hold(m, live, &now), -EALREADY);
        assert_int_equal(model_release(m, live, &now), -EALREADY);

        now.realtime += SEC;
        assert_int_equal(model_release(m, ready, &now), 0);
        assert_int_equal(ready->state, JOB_READY);
        assert_true(ready->ready_usec == now.realtime);
        assert_int_equal(model_release(m, ready, &now), 0);
        assert_int_equal(model_release(m, waiting, &now), 0);
        assert_int_equal(waiting->state, JOB_WAITING);
        assert_int_equal(model_hold(m, waiting, &now), 0);
        now.realtime += 10 * SEC;
        assert_int_equal(model_release(m, waiting, &now), 0);
        assert_int_equal(waiting->state, JOB_READY);
        check_model(m);
}

static void test_due(void **state) {
        _cleanup_model_ Model *m = make_model();
        Queue *q = make_queue(m, "q", 4);
        Job *j = submit_spec(m, q, spec_later(10 * SEC)), *held = submit_spec(m, q, spec_held());

        now.realtime += 10 * SEC - 1;
        model_due(m, j, &now);
        assert_int_equal(j->state, JOB_WAITING);
        now.realtime += 1;
        model_due(m, j, &now);
        model_due(m, held, &now);
        assert_int_equal(j->state, JOB_READY);
        assert_int_equal(held->state, JOB_HELD);
        assert_true(j->ready_usec == now.realtime);
        check_model(m);
}

/* ---- fail, cancel, kill ---- */

/* A span that was over is over, though the clock is set back after it. */
static void test_due_and_clock(void **state) {
        _cleanup_model_ Model *m = make_model();
        JobSpec *spec = make_spec(1, 0);
        Queue *q = make_queue(m, "q", 1);
        Job *j;

        spec->delay_usec = 5 * SEC;
        now.steady = now.realtime;
        j = submit_spec(m, q, spec);
        now.realtime = now.steady += 5 * SEC;
        model_due(m, j, &now);
        assert_int_equal(j->state, JOB_READY);

        now.realtime = now.steady -= 100 * SEC;
        model_clock_set(m, -100 * (int64_t) SEC);
        assert_int_equal(model_hold(m, j, &now), 0);
        assert_int_equal(model_release(m, j, &now), 0);
        assert_int_equal(j->state, JOB_READY);
}

static void test_fail(void **state) {
        _cleanup_model_ Model *m = make_model();
        Queue *q = make_queue(m, "q", 4);
        Job *j = submit(m, q, 1, 0);

        model_fail(m, j, JOB_EXEC, "uid 1000 is no longer user alice", &now);
        assert_int_equal(j->state, JOB_DONE);
        assert_int_equal(j->result, JOB_EXEC);
        assert_int_equal(j->attempt, 0);
        assert_null(m->attempts);
        assert_int_equal(q->level.all.n_window, 0);
        check_model(m);
}

static void test_cancel_idle(void **state) {
        _cleanup_model_ Model *m = make_model();
        Queue *q = make_queue(m, "q", 4);
        Job *jobs[] = { submit(m, q, 1, 0), submit_spec(m, q, spec_held()), submit_spec(m, q, spec_later(SEC)) };

        FOREACH_ELEMENT(j, jobs) {
                assert_int_equal(model_cancel(m, *j, "enough", &now), 0);
                assert_int_equal((*j)->state, JOB_DONE);
                assert_int_equal((*j)->result, JOB_CANCELLED);
                assert_string_equal((*j)->reason, "enough");
                assert_true((*j)->finished_usec == now.realtime);
                assert_int_equal(model_cancel(m, *j, NULL, &now), -EALREADY);
                check_model(m);
        }
}

static void test_kill(void **state) {
        _cleanup_model_ Model *m = make_model();
        Queue *q = make_queue(m, "q", 4);
        Job *j = submit(m, q, 1, 0);
        Attempt *a;

        assert_int_equal(model_kill(m, j, 10), -EBUSY);
        a = start(m, j);
        assert_int_equal(model_kill(m, j, 10), -EBUSY);
        model_attempt_started(m, a, invocation, now.realtime, now.monotonic);
        assert_int_equal(model_kill(m, j, 1), 0);
        assert_int_equal(model_kill(m, j, 64), 0);
        assert_true(a->signals == (UINT64_C(1) | UINT64_C(1) << 63));
        assert_int_equal(j->state, JOB_RUNNING);
        end(m, a, JOB_SIGNAL);
        assert_int_equal(model_kill(m, j, 10), -EALREADY);
}

/* ---- retry, purge ---- */

static void test_retry(void **state) {
        _cleanup_model_ Model *m = make_model();
        Queue *q = make_queue(m, "q", 4);
        Job *j = submit_spec(m, q, spec_later(SEC));
        Attempt *first, *second;

        now.realtime += SEC;
        model_due(m, j, &now);
        assert_int_equal(model_retry(m, j, 1, 0, &now), -EBUSY);
        first = run(m, j);
        assert_int_equal(model_retry(m, j, 1, 0, &now), -EBUSY);
        end(m, first, JOB_EXIT_CODE);
        model_recorded(m);
        j = reload(m, q, &(Job) { .id = 1, .state = JOB_DONE, .result = JOB_EXIT_CODE, .dead = true, .attempt = 1 });
        j->not_before_usec = 5;
        j->reason = strdup("was so");
        j->finished_usec = 7;
        assert_false(j->changed);

        now.realtime += SEC;
        /* The unit of the first is still there: the second waits until it is gone. */
        assert_int_equal(model_retry(m, j, 1, 0, &now), 0);
        assert_int_equal(j->state, JOB_WAITING);
        now.realtime += CLEANING_LOOK;
        now.steady += CLEANING_LOOK;
        model_due(m, j, &now);
        assert_int_equal(j->state, JOB_WAITING);
        model_attempt_gone(m, first);
        now.realtime += 2 * CLEANING_LOOK;
        now.steady += 2 * CLEANING_LOOK;
        model_due(m, j, &now);
        assert_int_equal(j->state, JOB_READY);
        assert_int_equal(j->result, JOB_RESULT_NONE);
        assert_int_equal(j->max_attempts, 2);
        assert_null(j->reason);
        assert_false(j->dead);
        assert_true(j->finished_usec == USEC_INFINITY && j->ready_usec == now.realtime);
        check_model(m);
        second = run(m, j);
        assert_int_equal(second->number, 2);
        assert_int_equal(q->slots_used, 1);
        end(m, second, JOB_SUCCESS);
        assert_int_equal(model_retry(m, j, 1, 0, &now), 0); /* also what went well */
        assert_int_equal(j->max_attempts, 3);
        check_model(m);
}

static void test_purge(void **state) {
        _cleanup_model_ Model *m = make_model();
        Queue *q = make_queue(m, "q", 4);
        Job *j = submit(m, q, 1, 0), *other = submit(m, q, 1, 0);

        assert_int_equal(model_purge(m, other), -EBUSY);
        run(m, j);
        assert_int_equal(model_purge(m, j), -EBUSY);
        end(m, j->live, JOB_EXEC);
        assert_int_equal(q->dead, 1);
        assert_int_equal(model_purge(m, j), -EBUSY); /* who waits for it does not know yet */
        j->told_state = JOB_DONE;
        assert_int_equal(model_purge(m, j), 0);
        assert_null(model_job(m, 1));
        assert_int_equal(m->n_purged, 1);
        assert_int_equal(m->purged[0], 1);
        check_model(m);
        /* One that only was looked at. */
        model_cancel(m, other, NULL, &now);
        model_recorded(m);
        assert_int_equal(m->n_purged, 0);
        other = reload(m, q, &(Job) { .id = 2, .state = JOB_DONE, .result = JOB_CANCELLED, .dead = true });
        assert_int_equal(model_purge(m, other), 0);
        assert_true(model_has_changes(m));
        model_recorded(m);
        assert_int_equal(q->count[JOB_DONE], 0);
        assert_int_equal(q->dead, 0);
        assert_false(model_has_changes(m));
}

/* ---- lists ---- */

static void test_recorded(void **state) {
        _cleanup_model_ Model *m = make_model();
        Queue *q = make_queue(m, "q", 4);
        Job *j;

        /* Only looked at: forgotten. */
        reload(m, q, &(Job) { .id = 5, .state = JOB_READY });
        j = reload(m, q, &(Job) { .id = 6, .state = JOB_HELD });
        q->count[JOB_READY]++;
        q->count[JOB_HELD]++;
        assert_false(model_has_changes(m));
        assert_int_equal(j->told_state, JOB_HELD);
        /* Changed twice stands on the list once. */
        assert_int_equal(model_release(m, j, &now), 0);
        assert_int_equal(model_hold(m, j, &now), 0);
        assert_int_equal(count_changed(m), 1);
        assert_true(model_has_changes(m));
        model_recorded(m);
        assert_null(m->jobs);
        assert_false(model_has_changes(m));
        assert_false(q->changed || q->is_new);
        model_recorded(m);
}

/* Freed with whatever it holds; the sanitizer looks. */
static void test_leaks(void **state) {
        _cleanup_model_ Model *m = make_model();
        Queue *q = make_queue(m, "a-b", 4);

        run(m, submit(m, q, 1, 0));
        start(m, submit(m, q, 1, 0));
        end(m, run(m, submit(m, q, 1, 0)), JOB_EXEC);
        submit(m, q, 1, 0);
        model_cancel(m, submit(m, q, 1, 0), "x", &now);
        model_job(m, 5)->told_state = JOB_DONE;
        assert_int_equal(model_purge(m, model_job(m, 5)), 0);
        q->policy.slot_variable = strdup("X");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_submit),
                cmocka_unit_test(test_submit_refused),
                cmocka_unit_test(test_hold),
                cmocka_unit_test(test_due),
                cmocka_unit_test(test_due_and_clock),
                cmocka_unit_test(test_fail),
                cmocka_unit_test(test_cancel_idle),
                cmocka_unit_test(test_kill),
                cmocka_unit_test(test_retry),
                cmocka_unit_test(test_purge),
                cmocka_unit_test(test_recorded),
                cmocka_unit_test(test_leaks),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
