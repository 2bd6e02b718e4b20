/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The clock of an attempt that is frozen and thawed, by a user or behind our back, with crashes in between: what a process that
 * comes after one knows is the row alone. */

#include "model-util.h"

#define TIMEOUT (100 * SEC)

static Attempt *run_timed(Model *m) {
        JobSpec *spec = make_spec(1, 0);
        Attempt *a;

        spec->timeout_usec = TIMEOUT;
        a = run(m, submit_spec(m, make_queue(m, "q", 4), spec));
        a->has_net = false;
        model_recorded(m);
        return a;
}

static void pass(usec_t t) {
        now.monotonic += t;
}

/* Another process: what is in memory only is as it is after loading and adopting. */
static void crash(Model *m, Attempt *a) {
        usec_t started = a->started_monotonic;

        a->started_monotonic = a->deadline = USEC_INFINITY;
        model_attempt_adopted(m, a, started, &now);
}

static void assert_left(const Attempt *a, usec_t left) {
        assert_int_equal(a->deadline, now.monotonic + left);
}

static void assert_stopped(Model *m, const Attempt *a) {
        Job *j = a->job;

        assert_int_equal(a->deadline, USEC_INFINITY);
        now.monotonic += 10 * TIMEOUT;
        model_deadlines(m, &now);
        now.monotonic -= 10 * TIMEOUT;
        assert_int_equal(j->state, JOB_RUNNING);
}

static void test_clock(void **state) {
        _cleanup_model_ Model *m = make_model();
        Attempt *a = run_timed(m);

        pass(10 * SEC);
        assert_int_equal(model_freeze(m, a->job, &now), 0);
        assert_int_equal(a->freezer, FREEZER_FREEZING);
        assert_true(a->changed && a->acting && a->job->was_edited); /* stored first, then asked */
        assert_stopped(m, a);
        pass(1 * SEC);
        assert_int_equal(model_freeze(m, a->job, &now), 0);
        assert_int_equal(a->freezer_usec, now.monotonic - 1 * SEC); /* not asked anew */
        model_attempt_seen_frozen(m, a, true, &now);
        assert_int_equal(a->freezer, FREEZER_FROZEN);
        assert_stopped(m, a);
        model_recorded(m);
        assert_false(a->job->was_edited);

        pass(1000 * SEC);
        model_attempt_seen_frozen(m, a, true, &now);
        assert_false(a->changed); /* nothing new */
        assert_int_equal(model_thaw(m, a->job, &now), 0);
        assert_int_equal(a->freezer, FREEZER_THAWING);
        assert_stopped(m, a);
        model_attempt_seen_frozen(m, a, false, &now);
        assert_int_equal(a->freezer, FREEZER_THAWED);
        assert_int_equal(a->frozen_usec, 1001 * SEC);
        assert_left(a, 90 * SEC);
        check_model(m);

        pass(90 * SEC);
        model_deadlines(m, &now);
        assert_int_equal(a->job->state, JOB_STOPPING);
        assert_int_equal(a->job->intent, JOB_TIMEOUT);
}

static void test_others_do_it(void **state) {
        _cleanup_model_ Model *m = make_model();
        Attempt *a = run_timed(m);

        a->has_net = true; /* they are not asked */
        pass(10 * SEC);
        model_attempt_seen_frozen(m, a, true, &now);
        assert_int_equal(a->freezer, FREEZER_FROZEN);
        assert_int_equal(model_freeze(m, a->job, &now), 0); /* it is */
        assert_stopped(m, a);
        pass(50 * SEC);
        model_attempt_seen_frozen(m, a, false, &now);
        assert_int_equal(a->freezer, FREEZER_THAWED);
        assert_int_equal(a->frozen_usec, 50 * SEC);
        assert_left(a, 90 * SEC);
        check_model(m);
}

static void test_refused(void **state) {
        _cleanup_model_ Model *m = make_model();
        Attempt *a = run_timed(m);
        Job *j = a->job;

        a->has_net = true;
        assert_int_equal(model_freeze(m, j, &now), -ETIME);
        assert_int_equal(a->freezer, FREEZER_THAWED);
        a->has_net = false;

        pass(SEC);
        assert_int_equal(model_freeze(m, j, &now), 0);
        model_attempt_freeze_failed(m, a, "no freezer");
        assert_int_equal(a->freezer, FREEZER_THAWED);
        assert_string_equal(j->reason, "cannot be frozen: no freezer");
        assert_int_equal(a->frozen_usec, 0);
        assert_left(a, 99 * SEC);
        model_attempt_freeze_failed(m, a, "late"); /* nobody asks any more */
        assert_string_equal(j->reason, "cannot be frozen: no freezer");
        assert_int_equal(model_freeze(m, j, &now), 0);
        assert_null(j->reason);

        assert_int_equal(model_cancel(m, j, NULL, &now), 0);
        assert_int_equal(model_freeze(m, j, &now), -EBUSY);
        assert_int_equal(model_thaw(m, j, &now), -EBUSY);
        model_attempt_freeze_failed(m, a, "late");
        assert_null(j->reason);
        end(m, a, JOB_SIGNAL);
        assert_int_equal(model_freeze(m, j, &now), -EALREADY);
        model_attempt_seen_frozen(m, a, true, &now);
        assert_int_equal(a->freezer, FREEZER_THAWED);
}

/* Stored, and then nobody asked: what ran on meanwhile counts as run. */
static void test_crash_before_freezing(void **state) {
        _cleanup_model_ Model *m = make_model();
        Attempt *a = run_timed(m);

        pass(10 * SEC);
        model_freeze(m, a->job, &now);
        pass(20 * SEC);
        crash(m, a);
        assert_stopped(m, a);
        model_attempt_seen_frozen(m, a, false, &now);
        assert_int_equal(a->freezer, FREEZER_FREEZING); /* asked now */
        pass(5 * SEC);
        model_attempt_seen_frozen(m, a, true, &now);
        pass(1000 * SEC);
        model_attempt_seen_frozen(m, a, false, &now);
        assert_int_equal(a->frozen_usec, 1005 * SEC);
        assert_left(a, 70 * SEC);
}

/* Stored and asked, and then nobody saw that it was done. */
static void test_crash_after_freezing(void **state) {
        _cleanup_model_ Model *m = make_model();
        Attempt *a = run_timed(m);

        pass(10 * SEC);
        model_freeze(m, a->job, &now);
        pass(20 * SEC);
        crash(m, a);
        model_attempt_seen_frozen(m, a, true, &now);
        crash(m, a); /* and again */
        assert_stopped(m, a);
        pass(20 * SEC);
        model_attempt_seen_frozen(m, a, false, &now);
        assert_left(a, 90 * SEC);
}

static void test_crash_before_thawing(void **state) {
        _cleanup_model_ Model *m = make_model();
        Attempt *a = run_timed(m);

        pass(10 * SEC);
        model_attempt_seen_frozen(m, a, true, &now);
        pass(10 * SEC);
        model_thaw(m, a->job, &now);
        pass(30 * SEC); /* away, and it stands still */
        crash(m, a);
        model_attempt_seen_frozen(m, a, true, &now);
        assert_int_equal(a->freezer, FREEZER_THAWING);
        model_attempt_seen_frozen(m, a, false, &now);
        assert_int_equal(a->frozen_usec, 40 * SEC);
        assert_left(a, 90 * SEC);
}

static void test_crash_after_thawing(void **state) {
        _cleanup_model_ Model *m = make_model();
        Attempt *a = run_timed(m);

        pass(10 * SEC);
        model_attempt_seen_frozen(m, a, true, &now);
        pass(10 * SEC);
        model_thaw(m, a->job, &now);
        pass(30 * SEC); /* away, and it runs */
        crash(m, a);
        model_attempt_seen_frozen(m, a, false, &now);
        assert_left(a, 60 * SEC);
}

static void test_changes_of_mind(void **state) {
        _cleanup_model_ Model *m = make_model();
        Attempt *a = run_timed(m);

        model_freeze(m, a->job, &now);
        model_thaw(m, a->job, &now);
        assert_int_equal(a->freezer, FREEZER_THAWING);
        model_freeze(m, a->job, &now);
        assert_int_equal(a->freezer, FREEZER_FREEZING);
        model_attempt_seen_frozen(m, a, true, &now);
        pass(7 * SEC);
        model_thaw(m, a->job, &now);
        model_freeze(m, a->job, &now);
        model_attempt_seen_frozen(m, a, true, &now);
        pass(3 * SEC);
        model_attempt_seen_frozen(m, a, false, &now);
        assert_int_equal(a->frozen_usec, 10 * SEC);
        assert_left(a, TIMEOUT);
        model_thaw(m, a->job, &now); /* also of one that seems to run */
        assert_int_equal(a->freezer, FREEZER_THAWING);
        model_attempt_seen_frozen(m, a, false, &now);
        assert_int_equal(a->frozen_usec, 10 * SEC);
        check_model(m);
}

static void test_end(void **state) {
        _cleanup_model_ Model *m = make_model();
        Attempt *a = run_timed(m);

        model_attempt_seen_frozen(m, a, true, &now);
        pass(5 * SEC);
        end(m, a, JOB_SIGNAL);
        assert_int_equal(a->frozen_usec, 5 * SEC);
        assert_int_equal(a->freezer, FREEZER_THAWED);
        assert_int_equal(a->freezer_usec, USEC_INFINITY);
        check_model(m);
}

static void test_end_with_the_boot(void **state) {
        _cleanup_model_ Model *m = make_model();
        Attempt *a = run_timed(m);

        pass(10 * SEC);
        model_attempt_seen_frozen(m, a, true, &now);
        m->epoch.userspace_usec++;
        now.monotonic = 1000 * TIMEOUT; /* of another clock */
        end(m, a, JOB_LOST);
        assert_int_equal(a->frozen_usec, 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_clock),
                cmocka_unit_test(test_others_do_it),
                cmocka_unit_test(test_refused),
                cmocka_unit_test(test_crash_before_freezing),
                cmocka_unit_test(test_crash_after_freezing),
                cmocka_unit_test(test_crash_before_thawing),
                cmocka_unit_test(test_crash_after_thawing),
                cmocka_unit_test(test_changes_of_mind),
                cmocka_unit_test(test_end),
                cmocka_unit_test(test_end_with_the_boot),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
