/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Words of states and results, names of units, slot numbers as text. */

#include "queue/job.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void test_words(void **state) {
        static const char *const states[] = { "held", "waiting", "ready", "starting", "running", "stopping", "done" };
        static const char *const results[] = { "",         "success", "exit-code", "signal",    "core-dump", "timeout",
                                               "watchdog", "oom-kill", "verdict",   "unverified", "exec",
                                               "cancelled", "dependency", "expired", "lost" };

        assert_int_equal(ELEMENTSOF(states), _JOB_STATE_MAX);
        for (JobState i = 0; i < _JOB_STATE_MAX; i++) {
                assert_string_equal(job_state_to_string(i), states[i]);
                assert_int_equal(job_state_from_string(states[i]), i);
        }
        assert_int_equal(ELEMENTSOF(results), _JOB_RESULT_MAX);
        for (JobResult i = 0; i < _JOB_RESULT_MAX; i++) {
                assert_string_equal(job_result_to_string(i), results[i]);
                assert_int_equal(job_result_from_string(results[i]), i);
        }
        assert_null(job_state_to_string(_JOB_STATE_MAX));
        assert_null(job_state_to_string(_JOB_STATE_INVALID));
        assert_null(job_result_to_string(_JOB_RESULT_MAX));
        assert_int_equal(job_state_from_string("Ready"), _JOB_STATE_INVALID);
        assert_int_equal(job_state_from_string(""), _JOB_STATE_INVALID);
        assert_int_equal(job_state_from_string(NULL), _JOB_STATE_INVALID);
        assert_int_equal(job_result_from_string("Verdict"), _JOB_RESULT_INVALID);
        assert_int_equal(job_result_from_string(NULL), _JOB_RESULT_INVALID);
}

static void test_live(void **state) {
        for (JobState i = 0; i < _JOB_STATE_MAX; i++)
                assert_int_equal(job_state_is_live(i), i == JOB_STARTING || i == JOB_RUNNING || i == JOB_STOPPING);
}

static void test_epoch(void **state) {
        Epoch a = { .boot_id = SD_ID128_MAKE(00, 01, 02, 03, 04, 05, 06, 07, 08, 09, 0a, 0b, 0c, 0d, 0e, 0f),
                    .userspace_usec = 5 }, b = a;

        assert_true(epoch_equal(&a, &b));
        b.userspace_usec = 6; /* a new user manager of the same boot */
        assert_false(epoch_equal(&a, &b));
        b = a;
        b.boot_id.bytes[15]++;
        assert_false(epoch_equal(&a, &b));
}

static void test_new(void **state) {
        _cleanup_(attempt_freep) Attempt *a = attempt_new(UINT64_C(1) << 40, 3);
        _cleanup_(job_freep) Job *j = job_new();

        assert_non_null(j);
        assert_int_equal(j->slots, 1);
        assert_int_equal(j->max_attempts, 1);
        assert_int_equal(j->state, JOB_HELD);
        assert_int_equal(j->told_state, _JOB_STATE_INVALID);
        assert_true(j->not_before_usec == USEC_INFINITY && j->wait_usec == USEC_INFINITY);

        assert_non_null(a);
        assert_string_equal(a->unit, "jobmill-job-1099511627776-3.service");
        assert_int_equal(a->phase, ATTEMPT_STARTING);
        assert_int_equal(a->outcome.exit_status, -1);
        assert_true(a->outcome.cpu_usec == UINT64_MAX && a->outcome.memory_peak == UINT64_MAX);
        assert_true(a->deadline == USEC_INFINITY && a->kill_deadline == USEC_INFINITY);
}

static void good_unit(const char *unit, uint64_t id, uint32_t number) {
        uint64_t i = 0;
        uint32_t n = 0;

        if (!attempt_unit_name_parse(unit, &i, &n))
                fail_msg("%s is a good name", unit);
        assert_true(i == id && n == number);
}

static void test_unit_name(void **state) {
        static const char *const bad[] = {
                "", "jobmill-job-", "jobmill-job-.service", "jobmill-job-1.service", "jobmill-job-1-.service",
                "jobmill-job--1.service", "jobmill-job-1-2", "jobmill-job-1-2.slice", "job-1-2.service",
                "jobmill-job-01-2.service", "jobmill-job-1-02.service", "jobmill-job-0-1.service",
                "jobmill-job-1-0.service", "jobmill-job-+1-2.service", "jobmill-job-1-+2.service",
                "jobmill-job-1-2-3.service", "jobmill-job-1-2 .service", "jobmill-job-1x-2.service",
                "jobmill-job-1-2x.service", "jobmill-job-9223372036854775808-1.service",
                "jobmill-job-18446744073709551616-1.service", "jobmill-job-1-4294967296.service",
                "jobmill-job-1@2.service", "jobmill-job-99999999999999999999999999999999999-1.service",
                "xjobmill-job-1-2.service", "jobmill-job-1-2.service.service",
        };
        uint64_t i;
        uint32_t n;

        good_unit("jobmill-job-42-1.service", 42, 1);
        good_unit("jobmill-job-1-10.service", 1, 10);
        good_unit("jobmill-job-1-10.scope", 1, 10);
        good_unit("jobmill-job-9223372036854775807-4294967295.service", INT64_MAX, UINT32_MAX);
        FOREACH_ELEMENT(s, bad)
                if (attempt_unit_name_parse(*s, &i, &n))
                        fail_msg("'%s' is not one of our names", *s);

        /* What we write is what we read. */
        for (uint64_t id = 1; id <= INT64_MAX / 10; id *= 10) {
                _cleanup_(attempt_freep) Attempt *a = attempt_new(id, 1 + id % 1000);
                good_unit(a->unit, id, 1 + id % 1000);
        }
}

static void check_numbers(uint32_t *numbers, uint32_t n, const char *text) {
        _cleanup_free_ uint32_t *back = NULL;
        _cleanup_free_ char *s = NULL;
        Attempt a = { .slots = n, .slot_numbers = numbers };
        uint32_t n_back = UINT32_MAX;

        s = attempt_slot_numbers_to_string(&a);
        assert_string_equal(s, text);
        assert_int_equal(attempt_slot_numbers_from_string(s, &back, &n_back), 0);
        assert_int_equal(n_back, n);
        assert_memory_equal(back, numbers, n * sizeof(uint32_t));
}

static void test_slot_numbers(void **state) {
        static const char *const bad[] = { "x", "1,x", "-1", "1;2", " 1", "1, 2", "4294967296", "4294967295", "1,+2" };
        _cleanup_free_ char *s = NULL;
        uint32_t *l = NULL, n;

        check_numbers((uint32_t[]){ 0 }, 1, "0");
        check_numbers((uint32_t[]){ 0, 3 }, 2, "0,3");
        check_numbers((uint32_t[]){ 65535, 1, 65534 }, 3, "65535,1,65534");
        /* A queue without a cap gives out more than one job could ask for. */
        check_numbers((uint32_t[]){ 65536, 131071 }, 2, "65536,131071");

        s = attempt_slot_numbers_to_string(&(Attempt){ .slots = 2 });
        assert_string_equal(s, "");
        assert_int_equal(attempt_slot_numbers_from_string("", &l, &n), 0);
        assert_int_equal(n, 0);
        free(l);
        FOREACH_ELEMENT(b, bad)
                if (attempt_slot_numbers_from_string(*b, &l, &n) >= 0)
                        fail_msg("'%s' is no list of slots", *b);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_words), cmocka_unit_test(test_live), cmocka_unit_test(test_epoch),
                cmocka_unit_test(test_new), cmocka_unit_test(test_unit_name), cmocka_unit_test(test_slot_numbers),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
