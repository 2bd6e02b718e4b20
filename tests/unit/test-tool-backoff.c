/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* --backoff, as it is typed. */

#include "ctl/backoff.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define S USEC_PER_SEC
#define NO USEC_INFINITY

static void good(const char *value, BackoffMode mode, usec_t base, usec_t max, double jitter) {
        Backoff b = BACKOFF_NONE;

        if (backoff_parse(value, &b) < 0)
                fail_msg("%s", value);
        assert_true(b.given);
        assert_int_equal(b.mode, mode);
        assert_true(b.base == base && b.max == max && b.jitter == jitter);
}

static void test_good(void **state) {
        good("30s", BACKOFF_FIXED, 30 * S, NO, -1);
        good("0", BACKOFF_FIXED, 0, NO, -1);
        good("1min 30s", BACKOFF_FIXED, 90 * S, NO, -1);
        good("fixed:5", BACKOFF_FIXED, 5 * S, NO, -1);
        good("fixed", BACKOFF_FIXED, NO, NO, -1);
        good("exponential", BACKOFF_EXPONENTIAL, NO, NO, -1);
        good("exponential~100%", BACKOFF_EXPONENTIAL, NO, NO, 1);
        good("exponential:10s", BACKOFF_EXPONENTIAL, 10 * S, NO, -1);
        good("exponential:10s..1h", BACKOFF_EXPONENTIAL, 10 * S, 3600 * S, -1);
        good("10s..1h", BACKOFF_EXPONENTIAL, 10 * S, 3600 * S, -1);
        good("exponential:10s..1h~25%", BACKOFF_EXPONENTIAL, 10 * S, 3600 * S, 0.25);
        good("10s~0%", BACKOFF_FIXED, 10 * S, NO, 0);
}

static void round_trip(const char *value) {
        char text[BACKOFF_TEXT_MAX];
        Backoff b;

        assert_int_equal(backoff_parse(value, &b), 0);
        assert_string_equal(backoff_to_text(text, &b), value);
}

static void test_text(void **state) {
        static const char *const l[] = { "30s", "0", "1min 30s", "30s~20%", "fixed", "fixed~12.5%", "exponential", "exponential~100%",
                                         "exponential:10s", "exponential:10s..1h", "exponential:10s..1h~25%" };
        char text[BACKOFF_TEXT_MAX];

        FOREACH_ELEMENT(v, l)
                round_trip(*v);
        assert_string_equal(backoff_to_text(text, &(Backoff) BACKOFF_NONE), "");
}

static void test_bad(void **state) {
        static const char *const l[] = {
                "", "x", "10s..", "..1h", "exponential:", "exponentially:10s", "fix:10s", "fixed:1s..2s", "1h..10s", "10s~", "10s~20",
                "10s~101%", "10s~-1%", "10s~%", "10s~x%", "~10%", "infinity", "10s..infinity", "-5s", "1s..2s..3s",
        };

        FOREACH_ELEMENT(v, l) {
                Backoff b = BACKOFF_NONE;

                if (backoff_parse(*v, &b) != -EINVAL)
                        fail_msg("'%s' is taken", *v);
                assert_false(b.given);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_good),
                cmocka_unit_test(test_text),
                cmocka_unit_test(test_bad),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
