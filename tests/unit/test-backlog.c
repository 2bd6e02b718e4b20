/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* How many jobs are queued, of whom and where: what is counted, and what is full. */

#include "model-util.h"

static Job *submit_as(Model *m, Queue *q, uint32_t owner) {
        Job *j = NULL;

        assert_int_equal(model_submit(m, q, make_spec(1, 0), owner, "x", &now, &j, NULL), 0);
        return j;
}

/* said: NULL, there is room. */
static void check_room(const Model *m, const Queue *q, uint32_t owner, const char *said) {
        _cleanup_free_ char *text = NULL;
        int r = backlog_check(m, q, owner, 1, &text);

        assert_int_equal(r, said ? -EXFULL : 0);
        if (said)
                assert_string_equal(text, said);
}

static void test_counts(void **state) {
        _cleanup_model_ Model *m = make_model();
        Queue *top = make_queue(m, "a", 10), *below = make_queue(m, "a-b", 10), *other = make_queue(m, "c", 10);
        Job *j = submit_as(m, below, 1000), *k = submit_as(m, top, 1001);
        Attempt *a;

        (void) submit_as(m, other, 1000);
        assert_int_equal(top->backlog.n, 2);
        assert_int_equal(below->backlog.n, 1);
        assert_int_equal(m->backlog.n, 3);
        check_model(m);
        /* Held and released is queued as before; what runs is not; what is retried is again. */
        assert_int_equal(model_hold(m, j, &now), 0);
        check_model(m);
        assert_int_equal(model_release(m, j, &now), 0);
        a = run(m, j);
        assert_int_equal(below->backlog.n, 0);
        assert_int_equal(top->backlog.n, 1);
        check_model(m);
        end(m, a, JOB_EXIT_CODE);
        assert_int_equal(model_retry(m, j, 1, 0, &now), 0);
        assert_int_equal(top->backlog.n, 2);
        check_model(m);
        assert_int_equal(model_cancel(m, j, NULL, &now), 0);
        assert_int_equal(model_cancel(m, k, NULL, &now), 0);
        check_model(m);
        assert_int_equal(top->backlog.n, 0);
        /* Nothing is kept of those who have nothing queued. */
        model_recorded(m);
        assert_null(top->backlog.users);
        assert_null(below->backlog.users);
        assert_int_equal(HASH_COUNT(m->backlog.users), 1);
}

static void test_limits(void **state) {
        _cleanup_model_ Model *m = make_model();
        Queue *top = make_queue(m, "a", 10), *below = make_queue(m, "a-b", 10), *other = make_queue(m, "c", 10);

        top->policy.queued_max = 2;
        check_room(m, below, 1000, NULL);
        (void) submit_as(m, below, 1000);
        check_room(m, below, 1000, NULL);
        (void) submit_as(m, top, 1001);
        check_room(m, below, 1002, "Queue 'a' is full: 2 jobs are queued, at most 2 may be (MaxQueued=)");
        check_room(m, top, 0, "Queue 'a' is full: 2 jobs are queued, at most 2 may be (MaxQueued=)");
        check_room(m, other, 1000, NULL);

        top->policy.queued_max = UINT64_MAX;
        top->policy.queued_per_user_max = 1;
        check_room(m, below, 1000, "Queue 'a' is full: 1 jobs of this user are queued, at most 1 may be (MaxQueuedPerUser=)");
        check_room(m, below, 1002, NULL);
        check_room(m, below, 0, NULL);
        (void) submit_as(m, below, 0);
        check_room(m, below, 0, NULL); /* root is no user of whom there may be too many */
        top->policy.queued_per_user_max = 0;
        check_room(m, below, 1002, "Queue 'a' is full: 0 jobs of this user are queued, at most 0 may be (MaxQueuedPerUser=)");

        m->queued_per_user_max = 1;
        check_room(m, other, 1002, NULL);
        check_room(m, other, 1000,
                   "All queues together are full: 1 jobs of this user are queued, at most 1 may be (MaxQueuedPerUser=)");
        m->queued_max = 3;
        check_room(m, other, 1002, "All queues together are full: 3 jobs are queued, at most 3 may be (MaxQueued=)");
        /* Lowered below what there is. */
        m->queued_max = 1;
        check_room(m, other, 1002, "All queues together are full: 3 jobs are queued, at most 1 may be (MaxQueued=)");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_counts),
                cmocka_unit_test(test_limits),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
