/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What the journal is told of a job: which records, at which level, and their fields. */

#include "base/log.h"
#include "base/strv.h"
#include "notify/event.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <syslog.h>

static char **told; /* the fields of the last record */
static int told_level;

void __wrap_log_struct(int level, const char *const *fields);

void __wrap_log_struct(int level, const char *const *fields) {
        told = strv_free(told);
        told = strv_copy((char *const *) fields);
        assert_non_null(told);
        told_level = level;
}

static void tell(const Change *c) {
        told = strv_free(told);
        told_level = -1;
        event_log(c, /* user = */ false);
}

static void assert_told(int level, const char *const *fields) {
        assert_int_equal(told_level, level);
        assert_int_equal(strv_length(told), strv_length((char *const *) fields));
        for (size_t i = 0; fields[i]; i++)
                assert_string_equal(told[i], fields[i]);
}

#define ASSERT_TOLD(level, ...) assert_told(level, (const char *const[]) { __VA_ARGS__, NULL })

static Queue queue = { .name = (char *) "q" };

static Change service(JobState state) {
        return (Change) {
                .id = 42, .attempt = 1, .max_attempts = 2, .state = state, .state_changed = true, .queue = &queue,
                .started_usec = 1700000000000000, .unit = "jobmill-job-42-1.service",
                .invocation_id = SD_ID128_MAKE(01, 23, 45, 67, 89, ab, cd, ef, 01, 23, 45, 67, 89, ab, cd, ef),
        };
}

static Change in_worker(JobState state) {
        return (Change) {
                .id = UINT64_MAX, .attempt = UINT32_MAX, .max_attempts = UINT32_MAX, .state = state, .state_changed = true, .queue = &queue,
                .started_usec = 1700000000000000, .worker = 7,
        };
}

static void test_service(void **state) {
        Change c = service(JOB_RUNNING);

        tell(&c);
        ASSERT_TOLD(LOG_INFO, "MESSAGE=Job 42 started as jobmill-job-42-1.service.", "MESSAGE_ID=" MESSAGE_JOB_STARTED, "JOBMILL_JOB_ID=42",
                    "JOBMILL_ATTEMPT=1", "JOBMILL_QUEUE=q", "JOBMILL_RESULT=", "UNIT=jobmill-job-42-1.service",
                    "INVOCATION_ID=0123456789abcdef0123456789abcdef");
        c = service(JOB_DONE);
        c.result = JOB_EXIT_CODE;
        c.name = (char *) "build";
        c.reason = (char *) "it said so";
        tell(&c);
        ASSERT_TOLD(LOG_INFO, "MESSAGE=Job 42 (build) finished: exit-code, it said so.", "MESSAGE_ID=" MESSAGE_JOB_FINISHED,
                    "JOBMILL_JOB_ID=42", "JOBMILL_ATTEMPT=1", "JOBMILL_QUEUE=q", "JOBMILL_RESULT=exit-code",
                    "JOBMILL_STARTED_USEC=1700000000000000", "UNIT=jobmill-job-42-1.service",
                    "INVOCATION_ID=0123456789abcdef0123456789abcdef");
        event_log(&c, /* user = */ true);
        assert_string_equal(told[7], "USER_UNIT=jobmill-job-42-1.service");
}

static void test_tried_again_and_lost(void **state) {
        Change c = service(JOB_WAITING);

        c.retried_after = JOB_SIGNAL;
        tell(&c);
        assert_int_equal(told_level, LOG_INFO);
        assert_string_equal(told[0], "MESSAGE=Job 42: attempt 1 of 2 ended (signal), it is tried again.");
        assert_string_equal(told[1], "MESSAGE_ID=" MESSAGE_JOB_TRIED_AGAIN);
        assert_string_equal(told[5], "JOBMILL_RESULT=signal");
        c = service(JOB_DONE);
        c.result = JOB_LOST;
        tell(&c);
        assert_int_equal(told_level, LOG_WARNING);
        assert_string_equal(told[0], "MESSAGE=Job 42 was lost: .");
        assert_string_equal(told[1], "MESSAGE_ID=" MESSAGE_JOB_LOST);
}

/* One record a job, unless more is wanted; it tells of the start too. */
static void test_in_worker(void **state) {
        Change c = in_worker(JOB_RUNNING);

        tell(&c);
        assert_null(told);
        log_set_level(LOG_DEBUG);
        tell(&c);
        log_set_level(LOG_INFO);
        ASSERT_TOLD(LOG_DEBUG, "MESSAGE=Job 18446744073709551615 started in worker 7.", "MESSAGE_ID=" MESSAGE_JOB_STARTED,
                    "JOBMILL_JOB_ID=18446744073709551615", "JOBMILL_ATTEMPT=4294967295", "JOBMILL_QUEUE=q", "JOBMILL_RESULT=",
                    "JOBMILL_WORKER=7");
        c = in_worker(JOB_DONE);
        c.result = JOB_SUCCESS;
        tell(&c);
        ASSERT_TOLD(LOG_INFO, "MESSAGE=Job 18446744073709551615 finished: success.", "MESSAGE_ID=" MESSAGE_JOB_FINISHED,
                    "JOBMILL_JOB_ID=18446744073709551615", "JOBMILL_ATTEMPT=4294967295", "JOBMILL_QUEUE=q", "JOBMILL_RESULT=success",
                    "JOBMILL_STARTED_USEC=1700000000000000", "JOBMILL_WORKER=7");
}

static void test_nothing_to_tell(void **state) {
        Change c = service(JOB_READY);

        tell(&c);
        assert_null(told);
        c = service(JOB_DONE);
        c.state_changed = false;
        tell(&c);
        assert_null(told);
        c = service(JOB_DONE);
        c.result = JOB_SUCCESS;
        c.started_usec = USEC_INFINITY;
        c.unit[0] = 0;
        c.invocation_id = SD_ID128_NULL;
        tell(&c);
        assert_int_equal(strv_length(told), 6);
        log_set_level(LOG_WARNING);
        tell(&c);
        log_set_level(LOG_INFO);
        assert_null(told);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_service),
                cmocka_unit_test(test_tried_again_and_lost),
                cmocka_unit_test(test_in_worker),
                cmocka_unit_test(test_nothing_to_tell),
        };
        int r = cmocka_run_group_tests(tests, NULL, NULL);

        told = strv_free(told);
        return r;
}
