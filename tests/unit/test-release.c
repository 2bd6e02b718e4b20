/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What the end of a job means for those that wait for it, when some of that was changed by hand in the same commit. */

#include "model-util.h"

/* As it is loaded: waits for n_blockers jobs, and all is recorded. */
static Job *add(Model *m, Queue *q, uint64_t id, JobState state, uint32_t n_blockers) {
        Job *j = new0(Job, 1);

        assert_non_null(j);
        *j = (Job) { .id = id, .state = state, .told_state = state, .blockers = n_blockers, .attempt = 1, .slots = 1,
                     .result = state == JOB_DONE ? JOB_CANCELLED : JOB_RESULT_NONE, .not_before_usec = USEC_INFINITY,
                     .deadline_usec = USEC_INFINITY, .ready_usec = USEC_INFINITY, .max_attempts = 1 };
        model_job_add(m, j, q);
        return j;
}

static void put_back(Job *j) {
        j->state = JOB_WAITING;
        j->reopened = true;
}

/* One that goes on at once waits for nothing more, not for what the store does not know yet either. */
static void test_continue_past_what_is_open_again(void **state) {
        _cleanup_model_ Model *m = make_model();
        Queue *q = make_queue(m, "q", 1);
        Job *j = add(m, q, 1, JOB_DONE, 1), *open = add(m, q, 2, JOB_DONE, 0), *retried = add(m, q, 3, JOB_WAITING, 0);
        Edge on = { 1, 2, AFTER_SUCCESS, OTHERWISE_CONTINUE, false }, again = { 1, 3, AFTER_END, OTHERWISE_FAIL, true };

        assert_int_equal(model_edge_reopen(m, j, &again, retried), 0);
        assert_int_equal(j->blockers, 2);
        put_back(j);
        assert_int_equal(model_edge_ended(m, j, &on, open, &now), 0);
        assert_int_equal(j->blockers, 0);
        assert_int_equal(j->state, JOB_READY);
        /* Whatever comes of the others. */
        retried->result = JOB_SUCCESS;
        again.met = false;
        assert_int_equal(model_edge_ended(m, j, &again, retried, &now), 0);
        assert_int_equal(j->blockers, 0);
}

/* Its place in an array is another matter. */
static void test_continue_without_a_place(void **state) {
        _cleanup_model_ Model *m = make_model();
        Queue *q = make_queue(m, "q", 1);
        Job *j = add(m, q, 1, JOB_WAITING, 3), *before = add(m, q, 2, JOB_DONE, 0);
        Edge e = { 1, 2, AFTER_SUCCESS, OTHERWISE_CONTINUE, false };

        j->array_waits = true;
        assert_int_equal(model_edge_ended(m, j, &e, before, &now), 0);
        assert_int_equal(j->blockers, 1);
        assert_int_equal(j->state, JOB_WAITING);
        j->array_waits = false;
}

/* What waits again for one that is being looked at is looked at, too, though it is older than where the look is. */
static void test_open_again_behind_the_look(void **state) {
        _cleanup_model_ Model *m = make_model();
        Queue *q = make_queue(m, "q", 1);
        Job *j = add(m, q, 2, JOB_DONE, 0), *before = add(m, q, 1, JOB_WAITING, 0);
        Edge e = { 2, 1, AFTER_END, OTHERWISE_FAIL, true };
        Ended *ended;

        assert_int_equal(model_edge_reopen(m, j, &e, before), 0);
        put_back(j);
        before->state = JOB_DONE;
        assert_int_equal(model_ended_add(m, 1, false), 0);
        assert_int_equal(model_ended_add(m, 9, false), 0);
        for (ended = m->releases.ended; ended; ended = ended->hh.next)
                ended->after = 100;
        model_recorded(m);
        for (ended = m->releases.ended; ended; ended = ended->hh.next)
                assert_int_equal(ended->after, ended->id == 1 ? 0 : 100);
}

/* Retried, it needs again how all of them ended: none may be purged in the same commit, before which the store does not know. */
static void test_retried_needs_what_it_came_after(void **state) {
        _cleanup_model_ Model *m = make_model();
        Queue *q = make_queue(m, "q", 1);
        Job *j = add(m, q, 2, JOB_DONE, 0), *before = add(m, q, 1, JOB_DONE, 0);

        assert_int_equal(model_edge_reopen(m, j, &(Edge) { 2, 1, AFTER_END, OTHERWISE_FAIL, true }, before), 0);
        assert_true(model_has_new_edge_to(m, 1, false));
        assert_false(model_has_new_edge_to(m, 1, true));
        assert_int_equal(j->blockers, 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_continue_past_what_is_open_again),
                cmocka_unit_test(test_continue_without_a_place),
                cmocka_unit_test(test_open_again_behind_the_look),
                cmocka_unit_test(test_retried_needs_what_it_came_after),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
