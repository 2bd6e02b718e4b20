/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What Slurm says of a job, as its versions write it. */

#include "slurm/state.h"

#include <json-c/json.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static SlurmJob read_job(const char *text) {
        json_object *o = json_tokener_parse(text);
        const char *name;
        SlurmJob j;

        assert_non_null(o);
        assert_int_equal(slurm_job_read(o, &j, &name), 0);
        assert_string_equal(name, "n");
        json_object_put(o);
        return j;
}

#define OLD(state, code) "{\"job_id\": 7, \"name\": \"n\", \"job_state\": \"" state "\", \"exit_code\": " code \
                         ", \"start_time\": 100, \"end_time\": 130, \"state_reason\": \"None\", \"nodes\": \"n1\"}"
#define NEW(state, code, sig) "{\"job_id\": 7, \"name\": \"n\", \"job_state\": [" state "], \"exit_code\": {\"status\": [\"X\"], \"return_code\": " \
                              "{\"set\": true, \"infinite\": false, \"number\": " code "}, \"signal\": {\"id\": {\"set\": true, \"infinite\": false, \"number\": " sig "}}}," \
                              "\"start_time\": {\"set\": true, \"infinite\": false, \"number\": 100}, \"end_time\": {\"set\": true, \"infinite\": false, \"number\": 130}}"

static void test_ends(void **state) {
        SlurmJob j;

        j = read_job(OLD("COMPLETED", "0"));
        assert_int_equal(j.phase, SLURM_ENDED);
        assert_int_equal(j.end, SLURM_END_STATUS);
        assert_int_equal(j.exit_status, 0);
        assert_int_equal(j.id, 7);
        assert_int_equal(j.started, 100 * USEC_PER_SEC);
        assert_int_equal(j.finished, 130 * USEC_PER_SEC);
        assert_string_equal(j.nodes, "n1");
        j = read_job(OLD("FAILED", "768"));
        assert_int_equal(j.exit_status, 3);
        j = read_job(OLD("FAILED", "9"));
        assert_int_equal(j.exit_signal, SIGKILL);
        assert_int_equal(read_job(OLD("FAILED", "0")).exit_status, 1); /* never a success */
        assert_int_equal(read_job(OLD("TIMEOUT", "0")).end, SLURM_END_TIMEOUT);
        assert_int_equal(read_job(OLD("DEADLINE", "0")).end, SLURM_END_TIMEOUT);
        assert_int_equal(read_job(OLD("OUT_OF_MEMORY", "0")).end, SLURM_END_OOM);
        assert_int_equal(read_job(OLD("NODE_FAIL", "0")).end, SLURM_END_LOST);
        assert_int_equal(read_job(OLD("CANCELLED", "0")).end, SLURM_END_CANCELLED);
        assert_int_equal(read_job(OLD("PREEMPTED", "0")).end, SLURM_END_PREEMPTED);

        j = read_job(NEW("\"FAILED\"", "3", "0"));
        assert_int_equal(j.exit_status, 3);
        assert_int_equal(j.started, 100 * USEC_PER_SEC);
        assert_int_equal(read_job(NEW("\"FAILED\"", "0", "11")).exit_signal, SIGSEGV);
        assert_int_equal(read_job(NEW("\"COMPLETED\"", "0", "0")).end, SLURM_END_STATUS);
}

static void test_not_ended(void **state) {
        static const char *const running[] = { "RUNNING", "SUSPENDED", "COMPLETING", "STOPPED", "STAGE_OUT", "SIGNALING", "SOMETHING_NEW" };
        SlurmJob j;

        FOREACH_ELEMENT(s, running) {
                char text[256];

                (void) snprintf(text, sizeof(text), "{\"job_id\": 7, \"name\": \"n\", \"job_state\": \"%s\", \"start_time\": 100, \"end_time\": 500}", *s);
                j = read_job(text);
                assert_int_equal(j.phase, SLURM_RUNNING);
                assert_int_equal(j.finished, 0); /* what it would be by its limit */
        }
        j = read_job(OLD("PENDING", "0"));
        assert_int_equal(j.phase, SLURM_PENDING);
        assert_int_equal(j.started, 0); /* what Slurm expects */
        assert_int_equal(read_job(NEW("\"COMPLETED\", \"COMPLETING\"", "0", "0")).phase, SLURM_RUNNING);
        assert_int_equal(read_job(NEW("\"CONFIGURING\"", "0", "0")).phase, SLURM_PENDING);
}

static void test_not_started(void **state) {
        SlurmJob j = read_job("{\"job_id\": 7, \"name\": \"n\", \"job_state\": \"FAILED\", \"exit_code\": 4021, \"state_reason\": \"JobLaunchFailure\"}");

        assert_int_equal(j.end, SLURM_END_NOT_STARTED);
        assert_string_equal(j.reason, "JobLaunchFailure");
}

static void test_no_job(void **state) {
        static const char *const bad[] = { "{}", "[]", "7", "{\"job_id\": 0, \"job_state\": \"FAILED\"}", "{\"job_id\": -1, \"job_state\": \"FAILED\"}", "{\"job_id\": 7}",
                                           "{\"job_id\": 7, \"job_state\": []}", "{\"job_id\": 7, \"job_state\": 7}", "{\"job_id\": {\"number\": 7}, \"job_state\": \"FAILED\"}" };

        FOREACH_ELEMENT(b, bad) {
                json_object *o = json_tokener_parse(*b);
                const char *name;
                SlurmJob j;

                assert_int_equal(slurm_job_read(o, &j, &name), -EBADMSG);
                json_object_put(o);
        }
}

static void test_answers(void **state) {
        json_object *o;
        const char *error;

        o = json_tokener_parse("{\"errors\": [], \"jobs\": [{}, {}]}");
        assert_int_equal(json_object_array_length(slurm_jobs(o, &error)), 2);
        assert_null(error);
        json_object_put(o);
        o = json_tokener_parse("{\"errors\": [{\"description\": \"Failed to contact\"}], \"jobs\": []}");
        assert_null(slurm_jobs(o, &error));
        assert_string_equal(error, "Failed to contact");
        json_object_put(o);
        o = json_tokener_parse("{\"errors\": [{\"error_number\": 1}]}");
        assert_null(slurm_jobs(o, &error));
        assert_string_equal(error, "it has not answered");
        json_object_put(o);
        assert_null(slurm_jobs(NULL, &error));
        assert_non_null(error);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_ends),        cmocka_unit_test(test_not_ended), cmocka_unit_test(test_not_started),
                cmocka_unit_test(test_no_job),      cmocka_unit_test(test_answers),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
