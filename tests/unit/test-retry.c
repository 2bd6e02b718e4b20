/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Whether, when and with how much memory a job is tried again. */

#include "queue/retry.h"

#include "base/parse.h"
#include "base/strv.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static JobSpec *make_spec(void) {
        JobSpec *s = spec_new();

        assert_non_null(s);
        return s;
}

static bool wanted(const JobSpec *s, JobResult result, int status) {
        Outcome o = OUTCOME_INIT;

        o.result = result;
        o.exit_status = status;
        return retry_is_wanted(s, &o);
}

/* Every failure by itself, and nothing that somebody wanted or that another attempt cannot change. */
static void test_default(void **state) {
        _cleanup_(spec_freep) JobSpec *s = make_spec();

        for (JobResult r = 0; r < _JOB_RESULT_MAX; r++)
                assert_int_equal(wanted(s, r, -1), r != JOB_RESULT_NONE && r != JOB_SUCCESS && r != JOB_CANCELLED &&
                                                                   r != JOB_DEPENDENCY && r != JOB_EXPIRED);
}

static void test_listed(void **state) {
        _cleanup_(spec_freep) JobSpec *s = make_spec();

        s->retry_on = strv_split("timeout,lost", ",");
        assert_true(wanted(s, JOB_TIMEOUT, -1));
        assert_true(wanted(s, JOB_LOST, -1));
        assert_false(wanted(s, JOB_EXIT_CODE, 1));
        assert_false(wanted(s, JOB_OOM_KILL, -1));
}

/* What the job says itself goes before the list. */
static void test_status(void **state) {
        _cleanup_(spec_freep) JobSpec *s = make_spec(), *listed = make_spec();

        listed->retry_on = strv_split("timeout", ",");
        assert_true(wanted(listed, JOB_EXIT_CODE, 75));
        assert_false(wanted(s, JOB_EXIT_CODE, 100));
        assert_false(wanted(listed, JOB_EXIT_CODE, 76));
        assert_true(wanted(s, JOB_TIMEOUT, 100)); /* it did not come to say it */
        assert_false(wanted(listed, JOB_SIGNAL, 75));
}

static void test_poison(void **state) {
        Outcome o = OUTCOME_INIT;

        for (o.result = 0; o.result < _JOB_RESULT_MAX; o.result++)
                assert_int_equal(retry_is_poison(&o), o.result == JOB_OOM_KILL || o.result == JOB_LOST);
        o.result = JOB_LOST;
        o.shutdown = true;
        assert_false(retry_is_poison(&o));
}

static void test_delay(void **state) {
        _cleanup_(spec_freep) JobSpec *s = make_spec();

        assert_int_equal(retry_delay(s, 1, 0), RETRY_BASE_DEFAULT);
        assert_int_equal(retry_delay(s, 50, 0), RETRY_BASE_DEFAULT);
        s->backoff_base_usec = 10 * USEC_PER_SEC;
        s->backoff = BACKOFF_FIXED;
        assert_int_equal(retry_delay(s, 3, 0), 10 * USEC_PER_SEC);
        s->backoff = BACKOFF_EXPONENTIAL;
        assert_int_equal(retry_delay(s, 1, 0), 10 * USEC_PER_SEC);
        assert_int_equal(retry_delay(s, 2, 0), 20 * USEC_PER_SEC);
        assert_int_equal(retry_delay(s, 4, 0), 80 * USEC_PER_SEC);
        assert_int_equal(retry_delay(s, 1000000, 0), RETRY_MAX_DEFAULT);
        s->backoff_max_usec = 15 * USEC_PER_SEC;
        assert_int_equal(retry_delay(s, 2, 0), 15 * USEC_PER_SEC);
        s->backoff_base_usec = 0;
        assert_int_equal(retry_delay(s, 20, 0), 0);
        /* A base alone may be longer than what is the most otherwise. */
        s->backoff_base_usec = 5 * RETRY_MAX_DEFAULT;
        s->backoff_max_usec = USEC_INFINITY;
        assert_int_equal(retry_delay(s, 1, 0), 5 * RETRY_MAX_DEFAULT);
        assert_int_equal(retry_delay(s, 9, 0), 5 * RETRY_MAX_DEFAULT);
        /* nor is anything lost where numbers end */
        s->backoff_base_usec = s->backoff_max_usec = INT64_MAX;
        assert_int_equal(retry_delay(s, 70, 0), INT64_MAX);
}

/* Never longer than without it, never less than its share, and spread over all of that. */
static void test_jitter(void **state) {
        _cleanup_(spec_freep) JobSpec *s = make_spec();
        usec_t least = USEC_INFINITY, most = 0;

        s->backoff_base_usec = 1000 * USEC_PER_SEC;
        s->backoff_jitter = 0.25;
        assert_int_equal(retry_delay(s, 1, 0), 1000 * USEC_PER_SEC);
        assert_in_range(retry_delay(s, 1, UINT64_MAX), 750 * USEC_PER_SEC, 751 * USEC_PER_SEC);
        for (uint64_t i = 0; i < 1000; i++) {
                usec_t d = retry_delay(s, 1, i * UINT64_C(0x9e3779b97f4a7c15));

                assert_in_range(d, 750 * USEC_PER_SEC, 1000 * USEC_PER_SEC);
                least = MIN(least, d);
                most = MAX(most, d);
        }
        assert_true(least < 760 * USEC_PER_SEC && most > 990 * USEC_PER_SEC);
        s->backoff_jitter = 1;
        assert_true(retry_delay(s, 1, UINT64_MAX) < USEC_PER_SEC);
        s->backoff_jitter = 0;
        assert_int_equal(retry_delay(s, 1, UINT64_MAX), 1000 * USEC_PER_SEC);
}

/* ---- memory ---- */

static void parse(const char *assignment, UnitPropertyList *l) {
        if (assignment)
                assert_int_equal(unit_property_parse_assignment(assignment, true, UNIT_PROPERTY_SERVICE, l, NULL), 0);
}

#define GIB (UINT64_C(1) << 30)

/* What the unit gets, as job-unit.c makes it: UINT64_MAX where there is no such value. */
static uint64_t grown(const char *of_queue, const char *of_job, double growth, uint32_t times, bool privileged, const char *name) {
        _cleanup_(unit_property_list_done) UnitPropertyList queue = {}, job = {}, merged = {};
        const UnitValue *v;

        parse(of_queue, &queue);
        parse(of_job, &job);
        assert_int_equal(retry_grow_memory(&job, &queue, growth, times), 0);
        assert_int_equal(unit_property_merge(&queue, &job, privileged, NULL, &merged, NULL), 0);
        v = unit_property_list_find(&merged, name);
        return !v ? UINT64_MAX : v->type == UNIT_VALUE_U32 ? v->u32 : v->u64;
}

static void test_memory(void **state) {
        assert_int_equal(grown(NULL, "MemoryMax=1G", 2, 0, false, "MemoryMax"), GIB);
        assert_int_equal(grown(NULL, "MemoryMax=1G", 2, 1, false, "MemoryMax"), 2 * GIB);
        assert_int_equal(grown(NULL, "MemoryMax=1G", 1.5, 2, false, "MemoryMax"), GIB / 4 * 9);
        assert_int_equal(grown(NULL, "MemoryMax=1G", 0, 3, false, "MemoryMax"), GIB); /* not given */
        assert_int_equal(grown(NULL, "MemoryMax=infinity", 2, 1, false, "MemoryMax"), UINT64_MAX);
        assert_int_equal(grown(NULL, NULL, 2, 1, false, "MemoryMax"), UINT64_MAX);
        /* A limit does not become none. */
        assert_int_equal(grown(NULL, "MemoryMax=1G", 100, 1000000, false, "MemoryMax"), INT64_MAX);
}

/* The queue's is the most, but for those who may set what they want. */
static void test_memory_of_queue(void **state) {
        assert_int_equal(grown("MemoryMax=3G", "MemoryMax=1G", 2, 1, false, "MemoryMax"), 2 * GIB);
        assert_int_equal(grown("MemoryMax=3G", "MemoryMax=1G", 2, 2, false, "MemoryMax"), 3 * GIB);
        assert_int_equal(grown("MemoryMax=3G", NULL, 2, 2, false, "MemoryMax"), 3 * GIB);
        assert_int_equal(grown("MemoryMax=3G", NULL, 2, 2, true, "MemoryMax"), 12 * GIB);
        assert_int_equal(grown("MemoryMax=3G", "MemoryMax=1G", 2, 2, true, "MemoryMax"), 4 * GIB);
}

static void test_memory_scale(void **state) {
        uint64_t ten = grown(NULL, "MemoryMax=10%", 2, 0, false, "MemoryMaxScale");

        assert_in_range(grown(NULL, "MemoryMax=10%", 2, 1, false, "MemoryMaxScale"), 2 * ten - 2, 2 * ten + 2);
        assert_int_equal(grown(NULL, "MemoryMax=10%", 2, 5, false, "MemoryMaxScale"), UINT32_MAX);
        assert_int_equal(grown("MemoryMax=10%", NULL, 2, 5, false, "MemoryMaxScale"), ten);
        assert_int_equal(grown("MemoryMax=10%", NULL, 2, 5, false, "MemoryMax"), UINT64_MAX);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_default),
                cmocka_unit_test(test_listed),
                cmocka_unit_test(test_status),
                cmocka_unit_test(test_poison),
                cmocka_unit_test(test_delay),
                cmocka_unit_test(test_jitter),
                cmocka_unit_test(test_memory),
                cmocka_unit_test(test_memory_of_queue),
                cmocka_unit_test(test_memory_scale),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
