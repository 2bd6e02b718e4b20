/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What of the ended jobs may go, and the ages that this and the order go by. */

#include "store-util.h"

#include "store/store-internal.h"

static uint64_t done_at(Model *m, Queue *q, usec_t even, usec_t keep, JobResult result) {
        Now then = { .even = even };
        JobSpec *spec = make_spec("true");
        Job *j;

        spec->keep_usec = keep;
        assert_int_equal(model_submit(m, q, spec, 1000, "alice", &then, &j, NULL), 0);
        model_fail(m, j, result, NULL, &then);
        return j->id;
}

static RetentionLook look; /* … of the next look */

static void expect_outdated(Store *s, usec_t now_even, usec_t keep, uint64_t excess, size_t max, const char *expected, usec_t expected_next) {
        _cleanup_free_ char *text = NULL;
        Now then = now;
        uint64_t ids[8];
        usec_t next;
        size_t n, size;
        FILE *f = open_memstream(&text, &size);

        then.even = now_even;
        assert_int_equal(store_load_outdated(s, "q", &then, keep, excess, &look, ids, max, &n, &next), 0);
        for (size_t i = 0; i < n; i++)
                fprintf(f, "%s%" PRIu64, i > 0 ? " " : "", ids[i]);
        fclose(f);
        assert_string_equal(text, expected);
        assert_int_equal(next, expected_next);
}

static void test_outdated(void **state) {
        _cleanup_(store_closep) Store *s = open_memory();
        _cleanup_model_ Model *m = model_new();
        Queue *q = add_queue(m, "q");

        expect_outdated(s, 1000, 10, 5, 8, "", USEC_INFINITY);
        (void) done_at(m, q, 300, USEC_INFINITY, JOB_SUCCESS);  /* 1 */
        (void) done_at(m, q, 100, USEC_INFINITY, JOB_SUCCESS);
        (void) done_at(m, q, 200, USEC_INFINITY, JOB_CANCELLED); /* dead */
        (void) done_at(m, q, 50, 1000, JOB_SUCCESS);
        (void) done_at(m, q, 400, 0, JOB_SUCCESS);
        (void) done_at(m, q, 10, (usec_t) INT64_MAX, JOB_SUCCESS); /* 6 */
        (void) done_at(m, add_queue(m, "other"), 1, USEC_INFINITY, JOB_SUCCESS);
        record(s, m);

        expect_outdated(s, 150, 100, 0, 8, "", 200);
        expect_outdated(s, 200, 100, 0, 8, "2", 400);
        expect_outdated(s, 400, 100, 0, 8, "5 2 1", 1050);
        expect_outdated(s, 400, 100, 0, 2, "5 2", 400); /* more of them at once */
        expect_outdated(s, 1050, USEC_INFINITY, 0, 8, "5 4", usec_add(10, INT64_C(4611686018427387903)));
        expect_outdated(s, 150, USEC_INFINITY, 1, 8, "2", 400);
        expect_outdated(s, 150, USEC_INFINITY, 4, 8, "2 1 5 4", 400); /* or sooner than that */
        expect_outdated(s, 400, USEC_INFINITY, 2, 8, "5 2", 1050);
        expect_outdated(s, 400, USEC_INFINITY, 9, 8, "5 2 1 4 6", 1050);
        expect_outdated(s, 150, USEC_INFINITY, 9, 3, "2 1 5", 150);

        /* What comes after it, and waits for another one, will read what it said. */
        assert_int_equal(store_exec(s, "INSERT INTO edge VALUES (8, 2, 'success', 'fail', 1)"), 0);
        (void) submit(m, q, make_spec("true"));
        record(s, m);
        expect_outdated(s, 400, 100, 0, 8, "5 1", 1050);
        assert_int_equal(store_exec(s, "UPDATE job SET state = 'done', ended_usec = 1060 WHERE id = 8"), 0);
        expect_outdated(s, 400, 100, 0, 8, "5 2 1", 1050);
}

/* Its outcome is an input of one that comes after it, and until that one has ended it stays. */
static void test_needed(void **state) {
        _cleanup_(store_closep) Store *s = open_memory();
        _cleanup_model_ Model *m = model_new();
        Queue *q = add_queue(m, "q");
        JobSpec *spec = make_spec("true");
        Job *j;

        (void) done_at(m, q, 100, USEC_INFINITY, JOB_SUCCESS); /* 1 */
        (void) done_at(m, q, 200, USEC_INFINITY, JOB_SUCCESS);
        assert_non_null(spec->after = new0(After, 1));
        spec->after[0] = (After) { .id = 1, .met = true };
        spec->n_after = 1;
        assert_int_equal(model_submit(m, add_queue(m, "other"), spec, 1000, "alice", &now, &j, NULL), 0);
        record(s, m);

        expect_outdated(s, 150, USEC_INFINITY, 1, 8, "", 150 + 60 * USEC_PER_SEC); /* which does not count */
        expect_outdated(s, 150, USEC_INFINITY, 2, 8, "2", 150 + 60 * USEC_PER_SEC);
        expect_outdated(s, 500, 100, 0, 8, "2", 500 + 60 * USEC_PER_SEC);
        model_fail(m, fetch(s, m, 3), JOB_CANCELLED, NULL, &now);
        record(s, m);
        expect_outdated(s, 150, USEC_INFINITY, 1, 8, "1", USEC_INFINITY);
}

/* However many are needed, by somebody who is held for a year: what ended after them goes. */
static void test_many_needed(void **state) {
        _cleanup_(store_closep) Store *s = open_memory();
        _cleanup_model_ Model *m = model_new();
        Queue *q = add_queue(m, "q");

        for (unsigned i = 1; i <= 2100; i++)
                (void) done_at(m, q, 100 + i / 700, i <= 1050 ? 7 : USEC_INFINITY, JOB_SUCCESS);
        (void) done_at(m, q, 105, 7, JOB_SUCCESS); /* 2101 */
        (void) done_at(m, q, 105, USEC_INFINITY, JOB_SUCCESS);
        (void) done_at(m, q, 5000, 7, JOB_SUCCESS);
        (void) submit(m, add_queue(m, "other"), make_spec("true"));
        record(s, m);
        assert_int_equal(store_exec(s, "INSERT INTO edge SELECT 2104, id, 'success', 'fail', 1 FROM job WHERE id <= 2100"), 0);

        expect_outdated(s, 4000, 1000, 0, 8, "", 4000);
        assert_int_equal(look.pass, 0);
        expect_outdated(s, 4000, 1000, 0, 8, "2101", 4000);
        assert_int_equal(look.pass, 1);
        expect_outdated(s, 4000, 1000, 0, 8, "2102", 5007);
        assert_int_equal(look.id, 0);

        expect_outdated(s, 110, USEC_INFINITY, 2103, 8, "", 110);
        expect_outdated(s, 110, USEC_INFINITY, 2103, 8, "", 110);
        expect_outdated(s, 110, USEC_INFINITY, 2103, 8, "2102", 110);
        expect_outdated(s, 110, USEC_INFINITY, 2103, 8, "2101 2103", 112);
}

/* Nor do they use up the room of those that are counted. */
static void test_needed_and_the_number(void **state) {
        _cleanup_(store_closep) Store *s = open_memory();
        _cleanup_model_ Model *m = model_new();
        Queue *q = add_queue(m, "q");

        for (unsigned i = 1; i <= 1100; i++)
                (void) done_at(m, q, 100, i <= 50 ? 7 : USEC_INFINITY, JOB_SUCCESS);
        for (unsigned i = 1101; i <= 1105; i++)
                (void) done_at(m, q, 200 + i, USEC_INFINITY, JOB_SUCCESS);
        (void) submit(m, add_queue(m, "other"), make_spec("true"));
        record(s, m);
        assert_int_equal(store_exec(s, "INSERT INTO edge SELECT 1106, id, 'success', 'fail', 1 FROM job WHERE id <= 1100"), 0);
        q->policy.keep_max = 3;
        for (unsigned i = 0; i < 2; i++) /* more than are passed over in one look */
                expect_outdated(s, 2000, USEC_INFINITY, retention_excess(q), 8, i == 0 ? "" : "1101 1102", 2000 + i * 60 * USEC_PER_SEC);
        expect_outdated(s, 2000, USEC_INFINITY, retention_excess(q) - 2, 8, "", 2000);
        expect_outdated(s, 2000, USEC_INFINITY, retention_excess(q) - 2, 8, "", 2000 + 60 * USEC_PER_SEC);
}

/* Nobody else may have its key yet: not even when there are too many. */
static void test_key(void **state) {
        _cleanup_(store_closep) Store *s = open_memory();
        _cleanup_model_ Model *m = model_new();
        Queue *q = add_queue(m, "q");

        (void) done_at(m, q, 100, USEC_INFINITY, JOB_SUCCESS); /* 1 */
        (void) done_at(m, q, 200, USEC_INFINITY, JOB_SUCCESS);
        (void) done_at(m, q, 300, 0, JOB_SUCCESS);
        record(s, m);
        assert_int_equal(store_exec(s, "UPDATE job SET unique_key = 'k', unique_scope = 'span', unique_held = 1"), 0);
        assert_int_equal(store_exec(s, "UPDATE job SET unique_until_usec = iif(id = 2, 0, 4611686018427387903)"), 0);

        expect_outdated(s, 500, 10, 3, 8, "2", 500 + 60 * USEC_PER_SEC);
        assert_int_equal(store_exec(s, "UPDATE job SET unique_until_usec = 0"), 0);
        expect_outdated(s, 500, 10, 3, 8, "3 1 2", USEC_INFINITY);
}

/* Where it was finished is its age from now on; a retry takes it back. */
static void test_ended(void **state) {
        _cleanup_(store_closep) Store *s = open_memory();
        _cleanup_model_ Model *m = model_new();
        Queue *q = add_queue(m, "q");
        uint64_t id = done_at(m, q, 123, USEC_INFINITY, JOB_SUCCESS);
        Job *j;

        q->policy.keep_max = 0;
        record(s, m);
        assert_int_equal(number(s, "SELECT ended_usec FROM job"), 123);
        j = fetch(s, m, id);
        assert_int_equal(retention_excess(q), 1);
        assert_int_equal(model_retry(m, j, 1, 0, &now), 0);
        assert_int_equal(retention_excess(q), 0);
        record(s, m);
        assert_int_equal(number(s, "SELECT count(ended_usec) FROM job"), 0);
}

/* The key of the newest job lives in its row. */
static void test_last_key(void **state) {
        _cleanup_(store_closep) Store *s = open_memory();
        _cleanup_model_ Model *m = model_new(), *again = NULL;
        Now later = now, before = now;
        Job *j;

        later.even += 5;
        before.even -= 5;
        assert_int_equal(model_submit(m, add_queue(m, "q"), make_spec("a"), 1000, "alice", &later, &j, NULL), 0);
        record(s, m);
        again = load(s);
        assert_int_equal(model_submit(again, add_queue(again, "q"), make_spec("a"), 1000, "alice", &before, &j, NULL), 0);
        assert_int_equal(j->submission_key, later.even);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_outdated),
                cmocka_unit_test(test_needed),
                cmocka_unit_test(test_many_needed),
                cmocka_unit_test(test_needed_and_the_number),
                cmocka_unit_test(test_key),
                cmocka_unit_test(test_ended),
                cmocka_unit_test(test_last_key),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
