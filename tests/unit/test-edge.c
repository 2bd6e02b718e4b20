/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "queue/edge.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* condition × otherwise, for a success and for any other result. */
static void test_decide(void **state) {
        static const EdgeOutcome unmet[] = { [OTHERWISE_FAIL] = EDGE_FAILED, [OTHERWISE_IGNORE] = EDGE_MET, [OTHERWISE_CONTINUE] = EDGE_CONTINUES };

        for (AfterOtherwise o = 0; o < _AFTER_OTHERWISE_MAX; o++)
                for (JobResult r = JOB_SUCCESS; r < _JOB_RESULT_MAX; r++) {
                        assert_int_equal(edge_decide(AFTER_END, o, r), EDGE_MET);
                        assert_int_equal(edge_decide(AFTER_SUCCESS, o, r), r == JOB_SUCCESS ? EDGE_MET : unmet[o]);
                        assert_int_equal(edge_decide(AFTER_FAILURE, o, r), r != JOB_SUCCESS ? EDGE_MET : unmet[o]);
                }
}

static void is(char *text, const char *wanted) {
        _cleanup_free_ char *s = text;

        assert_string_equal(s, wanted);
}

static void test_words(void **state) {
        static const uint64_t ids[] = { 17, 18 };

        is(edge_reason(AFTER_SUCCESS, 17, "build", JOB_EXIT_CODE), "job 17 (build) ended as exit-code");
        is(edge_reason(AFTER_SUCCESS, 17, NULL, JOB_CANCELLED), "job 17 ended as cancelled");
        is(edge_reason(AFTER_FAILURE, 17, NULL, JOB_SUCCESS), "job 17 ended as success, not as a failure");
        is(edge_waits(ids, 1), "after 17");
        is(edge_waits(ids, 2), "after 17 and 18");
        is(edge_waits(ids, 5), "after 17, 18 and 3 more");
        for (AfterCondition c = 0; c < _AFTER_CONDITION_MAX; c++)
                assert_int_equal(after_condition_from_string(after_condition_to_string(c)), c);
        for (AfterOtherwise o = 0; o < _AFTER_OTHERWISE_MAX; o++)
                assert_int_equal(after_otherwise_from_string(after_otherwise_to_string(o)), o);
}

static void test_one_word(void **state) {
        static const char *const wrong[] = { "", ":", "win", "success:", "success:win", "ignore", "success:ignore:", "success:fail:ignore", "Success" };
        After a = {};

        for (AfterCondition c = 0; c < _AFTER_CONDITION_MAX; c++)
                for (AfterOtherwise o = 0; o < _AFTER_OTHERWISE_MAX; o++) {
                        assert_int_equal(after_parse(after_word(c, o), &a), 0);
                        assert_int_equal(a.condition, c);
                        assert_int_equal(a.otherwise, o);
                }
        assert_string_equal(after_word(AFTER_FAILURE, OTHERWISE_FAIL), "failure");
        assert_string_equal(after_word(AFTER_SUCCESS, OTHERWISE_IGNORE), "success:ignore");
        FOREACH_ELEMENT(w, wrong)
                assert_int_equal(after_parse(*w, &a), -EINVAL);
        assert_int_equal(a.condition, AFTER_END);
        assert_int_equal(after_parse("success:fail", &a), 0);
        assert_string_equal(after_word(a.condition, a.otherwise), "success");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_decide),
                cmocka_unit_test(test_words),
                cmocka_unit_test(test_one_word),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
