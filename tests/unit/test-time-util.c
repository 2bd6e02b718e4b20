/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Spans and time stamps against the forms of systemd.time(7). */

#include "base/time-util.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define SEC USEC_PER_SEC
#define NOW (1790000000 * SEC + 250000) /* Mon 2026-09-21 14:13:20.25 UTC */

static void zone(const char *name) {
        assert_int_equal(setenv("TZ", name, 1), 0);
        tzset();
}

static void test_parse_span(void **state) {
        static const struct {
                const char *text;
                int r;
                usec_t usec;
        } table[] = {
                { "0", 0, 0 },
                { "90", 0, 90 * SEC },
                { "2 h", 0, 7200 * SEC },
                { "2hours", 0, 7200 * SEC },
                { "48hr", 0, 172800 * SEC },
                { "1y 12month", 0, 63115200 * SEC },
                { "55s500ms", 0, 55500000 },
                { "300ms20s 5day", 0, 432020300000 },
                { "5min20s", 0, 320 * SEC },
                { " 5 min  20 s ", 0, 320 * SEC },
                { "3m", 0, 180 * SEC },
                { "1M", 0, 2629800 * SEC },
                { "2 weeks 1w 1week", 0, 4 * 604800 * SEC },
                { "1day 2days 3d", 0, 6 * 86400 * SEC },
                { "1year", 0, 31557600 * SEC },
                { "2years 2months", 0, 2 * (31557600 + 2629800) * SEC },
                { "1minute 1minutes 1second 1seconds 1sec 1hour", 0, 3723 * SEC },
                { "1msec 1ms 1usec 1us 1µs 1μs", 0, 2004 },
                { "1.5h", 0, 5400 * SEC },
                { "2.5", 0, 2500000 },
                { ".5s", 0, 500000 },
                { "0.0000001s", 0, 0 },
                { "1 h 2", 0, 3602 * SEC },
                { "infinity", 0, USEC_INFINITY },
                { " infinity ", 0, USEC_INFINITY },
                { "18446744073709s", 0, 18446744073709 * SEC },
                { "18446744073710s", -ERANGE, 0 },
                { "18446744073709551615us", -ERANGE, 0 }, /* would mean infinity */
                { "18446744073709551616us", -ERANGE, 0 },
                { "600000y", -ERANGE, 0 },
                { "500000y 500000y", -ERANGE, 0 },
                { "", -EINVAL, 0 },
                { " ", -EINVAL, 0 },
                { "-1s", -EINVAL, 0 },
                { "+1s", -EINVAL, 0 },
                { "s", -EINVAL, 0 },
                { "5 parsecs", -EINVAL, 0 },
                { "5S", -EINVAL, 0 },
                { "5.s", -EINVAL, 0 },
                { "1.5.5", -EINVAL, 0 },
                { "1. 5s", -EINVAL, 0 },
                { "5s-3s", -EINVAL, 0 },
                { "infinity 5s", -EINVAL, 0 },
                { NULL, -EINVAL, 0 },
        };

        FOREACH_ELEMENT(i, table) {
                usec_t t = 4711;
                int r = parse_span(i->text, &t);

                if (r != i->r || t != (r < 0 ? 4711 : i->usec))
                        fail_msg("'%s': %i, %" PRIu64, i->text ?: "(null)", r, t);
        }
}

static void test_parse_span_default_unit(void **state) {
        usec_t t;

        assert_int_equal(parse_span_full("5", USEC_PER_MSEC, &t), 0);
        assert_int_equal(t, 5000);
        assert_int_equal(parse_span_full("5s", USEC_PER_MSEC, &t), 0);
        assert_int_equal(t, 5 * SEC);
        assert_int_equal(parse_span_full("17", 1, &t), 0);
        assert_int_equal(t, 17);
}

static void test_format_span(void **state) {
        static const struct {
                usec_t t, accuracy;
                const char *text;
        } table[] = {
                { 0, 0, "0" },
                { 0, SEC, "0" },
                { 1, 0, "1us" },
                { 1500000, 0, "1s 500ms" },
                { 1500000, SEC, "1s" },
                { 123 * SEC + 999999, SEC, "2min 3s" },
                { 500000, SEC, "500ms" },
                { 301 * SEC, USEC_PER_MSEC, "5min 1s" },
                { 5400 * SEC, SEC, "1h 30min" },
                { 7200 * SEC, SEC, "2h" },
                { 31557600 * SEC + 1, 0, "1y 1us" },
                { 2629800 * SEC, SEC, "1month" },
                { 15 * 86400 * SEC, SEC, "2w 1d" },
                { 3 * 86400 * SEC + 5 * SEC, 3600 * SEC, "3d" },
                { USEC_INFINITY, SEC, "infinity" },
        };
        char buf[SPAN_MAX];

        FOREACH_ELEMENT(i, table)
                assert_string_equal(format_span(buf, sizeof(buf), i->t, i->accuracy), i->text);

        /* What is printed is read again, and the longest one fits. */
        for (usec_t t = 1, parsed; t < USEC_INFINITY / 3; t = t * 3 + 1) {
                format_span(buf, sizeof(buf), t, 0);
                assert_int_equal(parse_span(buf, &parsed), 0);
                assert_int_equal(parsed, t);
        }
        format_span(buf, sizeof(buf), USEC_INFINITY - 1, 0);
        assert_true(strlen(buf) < SPAN_MAX - 1);
        assert_string_equal(format_span(buf, 6, 5400 * SEC, 0), "1h 30"); /* cut, never overrun */
}

typedef struct Stamp {
        const char *text;
        int r;
        usec_t usec;
} Stamp;

static void check_stamps(const Stamp *table, size_t n) {
        for (const Stamp *i = table; i < table + n; i++) {
                usec_t t = 4711;
                int r = parse_timestamp(i->text, NOW, &t);

                if (r != i->r || t != (r < 0 ? 4711 : i->usec))
                        fail_msg("'%s': %i, %" PRIu64, i->text, r, t);
        }
}

static void test_parse_timestamp(void **state) {
        static const Stamp table[] = {
                { "now", 0, NOW },
                { "@1790000000", 0, 1790000000 * SEC },
                { "@1790000000.5", 0, 1790000000 * SEC + 500000 },
                { "+2h", 0, NOW + 7200 * SEC },
                { "+3h30min", 0, NOW + 12600 * SEC },
                { "+2h 30min", 0, NOW + 9000 * SEC },
                { "-1d", 0, NOW - 86400 * SEC },
                { "-5s", 0, NOW - 5 * SEC },
                { "11min ago", 0, NOW - 660 * SEC },
                { "2 h 5 min left", 0, NOW + 7500 * SEC },
                { "2026-09-21 14:13:20", 0, 1790000000 * SEC },
                { "2026-09-21 14:13", 0, 1789999980 * SEC },
                { " 2026-09-21\t14:13 ", 0, 1789999980 * SEC },
                { "26-9-21 14:13", 0, 1789999980 * SEC },
                { "2026-09-21", 0, 1789948800 * SEC },
                { "Mon 2026-09-21", 0, 1789948800 * SEC },
                { "monday 2026-09-21 14:13:20 UTC", 0, 1790000000 * SEC },
                { "2026-09-21 14:13:20.125 UTC", 0, 1790000000 * SEC + 125000 },
                { "14:13:20", 0, 1790000000 * SEC },
                { "14:13:20.25", 0, NOW },
                { "6:00", 0, 1789970400 * SEC },
                { "Mon 06:00", 0, 1789970400 * SEC },
                { "today", 0, 1789948800 * SEC },
                { "yesterday", 0, 1789862400 * SEC },
                { "tomorrow", 0, 1790035200 * SEC },
                { "tomorrow 6:00", 0, 1790056800 * SEC },
                { "today 14:13:20 UTC", 0, 1790000000 * SEC },
                { "2028-02-29", 0, 1835395200 * SEC },
                { "1970-01-01 00:00:01", 0, SEC },
                { "", -EINVAL, 0 },
                { " ", -EINVAL, 0 },
                { "UTC", -EINVAL, 0 },
                { "Mon", -EINVAL, 0 },
                { "Tue 2026-09-21", -EINVAL, 0 }, /* it is a Monday */
                { "Montag 2026-09-21", -EINVAL, 0 },
                { "2026-02-30", -EINVAL, 0 },
                { "2027-02-29 10:00", -EINVAL, 0 },
                { "2026-13-01", -EINVAL, 0 },
                { "2026-09-21 24:00", -EINVAL, 0 },
                { "2026-09-21 14:60", -EINVAL, 0 },
                { "2026-09-21 14:13:20.", -EINVAL, 0 },
                { "2026-09-21 14", -EINVAL, 0 },
                { "2026-09-21 14:13 15:00", -EINVAL, 0 },
                { "2026-09-21 CEST", -EINVAL, 0 },
                { "now now", -EINVAL, 0 },
                { "soon", -EINVAL, 0 },
                { "+", -EINVAL, 0 },
                { "@", -EINVAL, 0 },
                { "ago", -EINVAL, 0 },
                { "+2h ago", -EINVAL, 0 },
                { "+infinity", -ERANGE, 0 },
                { "@infinity", -ERANGE, 0 },
                { "-100y", -ERANGE, 0 },
                { "1960-01-01", -ERANGE, 0 },
        };

        zone("UTC");
        check_stamps(table, ELEMENTSOF(table));
}

static void test_parse_timestamp_zone(void **state) {
        static const Stamp table[] = {
                { "16:13:20", 0, 1790000000 * SEC },
                { "today", 0, 1789941600 * SEC },
                { "2026-09-21 16:13:20 CEST", 0, 1790000000 * SEC },
                { "2026-09-21 14:13:20 UTC", 0, 1790000000 * SEC },
                { "2026-11-21 18:30:15", 0, 1795282215 * SEC }, /* CET */
                { "2026-11-21 18:30:15 CET", 0, 1795282215 * SEC },
                { "2026-10-25 02:30 CEST", 0, 1792888200 * SEC }, /* this hour comes twice */
                { "2026-10-25 02:30 CET", 0, 1792891800 * SEC },
        };
        usec_t t;

        /* The rules are written out: a build machine need not have the data base of zones. */
        zone("CET-1CEST,M3.5.0,M10.5.0/3");
        check_stamps(table, ELEMENTSOF(table));
        assert_int_equal(parse_timestamp("2026-03-29 02:30", NOW, &t), 0); /* an hour that does not exist */
        zone("UTC");
}

static void test_format_timestamp(void **state) {
        char buf[TIMESTAMP_MAX];

        zone("UTC");
        assert_string_equal(format_timestamp(buf, sizeof(buf), USEC_INFINITY), "n/a");
        assert_string_equal(format_timestamp(buf, sizeof(buf), 0), "Thu 1970-01-01 00:00:00 UTC");
        assert_string_equal(format_timestamp(buf, sizeof(buf), NOW), "Mon 2026-09-21 14:13:20 UTC");
        assert_non_null(format_timestamp(buf, sizeof(buf), USEC_INFINITY - 1));
        assert_string_equal(format_timestamp(buf, 4, NOW), "Mon");

        zone("CET-1CEST,M3.5.0,M10.5.0/3");
        assert_string_equal(format_timestamp(buf, sizeof(buf), 1795282215 * SEC),
                            "Sat 2026-11-21 18:30:15 CET");
        for (usec_t t = SEC, parsed; t < 4000000000 * SEC; t += 12345678 * SEC) {
                format_timestamp(buf, sizeof(buf), t);
                assert_int_equal(parse_timestamp(buf, NOW, &parsed), 0);
                assert_int_equal(parsed, t);
        }
        zone("UTC");
}

static void test_now(void **state) {
        usec_t a = now_usec(CLOCK_MONOTONIC), b = now_usec(CLOCK_MONOTONIC);

        assert_true(a > 0 && a <= b);
        assert_true(now_usec(CLOCK_REALTIME) > 1700000000 * SEC);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_parse_span),
                cmocka_unit_test(test_parse_span_default_unit),
                cmocka_unit_test(test_format_span),
                cmocka_unit_test(test_parse_timestamp),
                cmocka_unit_test(test_parse_timestamp_zone),
                cmocka_unit_test(test_format_timestamp),
                cmocka_unit_test(test_now),
        };

        return cmocka_run_group_tests_name("time-util", tests, NULL, NULL);
}
