/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What a job's end means to those who wait for it, and how it is worded; the keys of its JSON. */

#include "ctl/job-dict.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>

#include <cmocka.h>

static void test_exit_status(void **state) {
        assert_int_equal(job_exit_status("success", 0, 0), 0);
        assert_int_equal(job_exit_status("exit-code", 7, 0), 7);
        assert_int_equal(job_exit_status("exit-code", 255, 0), 255);
        assert_int_equal(job_exit_status("exit-code", -1, 0), 125);
        assert_int_equal(job_exit_status("signal", -1, SIGTERM), 143);
        assert_int_equal(job_exit_status("signal", -1, 0), 125);
        assert_int_equal(job_exit_status("core-dump", -1, SIGSEGV), 139);
        assert_int_equal(job_exit_status("timeout", -1, SIGTERM), 124);
        assert_int_equal(job_exit_status("exec", 203, 0), 127);
        assert_int_equal(job_exit_status("oom-kill", -1, SIGKILL), 125);
        assert_int_equal(job_exit_status("watchdog", -1, SIGABRT), 125);
        assert_int_equal(job_exit_status("cancelled", 0, 0), 125);
        assert_int_equal(job_exit_status("lost", -1, 0), 125);
        assert_int_equal(job_exit_status("a new word", 0, 0), 125);
}

static void check_outcome(const char *job_state,
                          const char *result,
                          int exit_status,
                          int exit_signal,
                          const char *expect) {
        char buf[64];
        JobInfo j = {
                .state = (char *) job_state,
                .result = (char *) result,
                .exit_status = exit_status,
                .exit_signal = exit_signal,
        };

        assert_string_equal(job_info_outcome(&j, buf, sizeof(buf)), expect);
}

static void test_outcome(void **state) {
        check_outcome("ready", NULL, -1, 0, "ready");
        check_outcome("running", "exit-code", 7, 0, "running"); /* the attempt before */
        check_outcome("done", "success", 0, 0, "success");
        check_outcome("done", "exit-code", 7, 0, "exit-code 7");
        check_outcome("done", "signal", -1, SIGKILL, "signal KILL");
        check_outcome("done", "timeout", -1, SIGTERM, "timeout");
        check_outcome("done", "lost", -1, 0, "lost");
        check_outcome(NULL, "exec", 203, 0, "exec 203");
        check_outcome(NULL, NULL, -1, 0, "-");

        char buf[64];
        assert_string_equal(job_info_outcome(&(JobInfo){ .state = (char *) "running", .frozen = true }, buf, sizeof(buf)),
                            "running, frozen");
}

static void test_json_keys(void **state) {
        JobInfo j = JOB_INFO_INIT;
        struct json_object *job = job_info_to_json(&j), *attempt = attempt_info_to_json(&j), *o;
        size_t nulls = 0;

        json_object_object_foreach(job, key, value) {
                (void) key;
                nulls += !value;
        }
        assert_int_equal(nulls, json_object_object_length(job));
        assert_true(json_object_object_get_ex(job, "unique_key", &o));
        assert_false(json_object_object_get_ex(job, "owner_name", &o));
        assert_false(json_object_object_get_ex(job, "created_usec", &o));
        assert_true(json_object_object_get_ex(attempt, "created_usec", &o));
        assert_false(json_object_object_get_ex(attempt, "tags", &o));
        json_object_put(job);
        json_object_put(attempt);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_exit_status),
                cmocka_unit_test(test_outcome),
                cmocka_unit_test(test_json_keys),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
