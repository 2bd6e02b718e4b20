/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Lines of the journal: the Journal Export Format in pieces of any size, what is wrong with it, and what is asked of a line. */

#include "ctl/log-entry.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static const char entries[] = "__CURSOR=s=1;i=2\n__REALTIME_TIMESTAMP=123\n_SYSTEMD_UNIT=jobmill-job-42-3.service\nMESSAGE=a=b\n\n"
                              "MESSAGE\n\x05\0\0\0\0\0\0\0two\n\n\nEMPTY=\nMESSAGE=second\n\n"
                              "MESSAGE\n\0\0\0\0\0\0\0\0\n\n";

static void assert_field(const LogEntry *e, const char *name, const char *expect) {
        size_t n;
        const char *value = log_entry_get(e, name, &n);

        assert_non_null(value);
        assert_int_equal(n, strlen(expect));
        assert_memory_equal(value, expect, n);
}

static void test_parse(void **state) {
        size_t n = sizeof(entries) - 1, at = 0, ends[3];
        LogEntry e = {};
        ssize_t l;

        for (size_t i = 0; i < 3; i++) {
                l = log_entry_parse(&e, entries + at, n - at);
                assert_true(l > 0);
                /* Not whole: nothing. */
                for (size_t k = 0; k < (size_t) l; k++)
                        assert_int_equal(log_entry_parse(&e, entries + at, k), 0);
                assert_int_equal(log_entry_parse(&e, entries + at, n - at), l);
                at += l;
                ends[i] = at;
                switch (i) {
                case 0:
                        assert_field(&e, "__CURSOR", "s=1;i=2");
                        assert_field(&e, "MESSAGE", "a=b");
                        assert_int_equal(log_entry_get_u64(&e, "__REALTIME_TIMESTAMP"), 123);
                        assert_int_equal(log_entry_get_u64(&e, "MESSAGE"), UINT64_MAX);
                        assert_int_equal(log_entry_attempt(&e), 3);
                        break;
                case 1:
                        assert_field(&e, "MESSAGE", "two\n\n"); /* the first of two */
                        assert_field(&e, "EMPTY", "");
                        assert_int_equal(e.n, 3);
                        assert_int_equal(log_entry_attempt(&e), 0);
                        assert_null(log_entry_get(&e, "MESS", &(size_t){ 0 }));
                        break;
                default:
                        assert_field(&e, "MESSAGE", "");
                }
        }
        assert_int_equal(ends[2], n);
        log_entry_done(&e);
}

static void test_bad(void **state) {
        static const char too_long[] = "MESSAGE\n\xff\xff\xff\xff\xff\xff\xff\xff xx\n\n",
                          no_end[] = "MESSAGE\n\x01\0\0\0\0\0\0\0xy\n\n";
        LogEntry e = {};

        assert_int_equal(log_entry_parse(&e, too_long, sizeof(too_long) - 1), -EBADMSG);
        assert_int_equal(log_entry_parse(&e, no_end, sizeof(no_end) - 1), -EBADMSG);
        assert_int_equal(log_entry_parse(&e, "", 0), 0);
        assert_int_equal(log_entry_add_assignment(&e, "nothing", 7), -EBADMSG);
        log_entry_done(&e);
}

static void check_attempt(const char *field, const char *unit, uint32_t expect) {
        LogEntry e = {};

        assert_int_equal(log_entry_add(&e, field, strlen(field), unit, strlen(unit)), 0);
        assert_int_equal(log_entry_attempt(&e), expect);
        log_entry_done(&e);
}

static void test_attempt(void **state) {
        check_attempt("_SYSTEMD_UNIT", "jobmill-job-1-17.service", 17);
        check_attempt("_SYSTEMD_USER_UNIT", "jobmill-job-1-2.service", 2);
        check_attempt("_SYSTEMD_UNIT", "init.scope", 0);
        check_attempt("_SYSTEMD_UNIT", "a-b.service", 0);
        check_attempt("UNIT", "jobmill-job-1-17.service", 0);

        /* The daemon knows better; it is no field of the line. */
        static const char text[] = "__JOBMILL_ATTEMPT=5\n_SYSTEMD_UNIT=jobmill-job-1-17.service\n\n", next[] = "A=\n\n";
        LogEntry e = {};
        assert_true(log_entry_parse(&e, text, sizeof(text) - 1) > 0);
        assert_int_equal(log_entry_attempt(&e), 5);
        assert_int_equal(e.n, 1);
        assert_true(log_entry_parse(&e, next, sizeof(next) - 1) > 0);
        assert_int_equal(log_entry_attempt(&e), 0);
        log_entry_done(&e);
}

static void test_formats(void **state) {
        for (LogFormat f = 0; f < _LOG_FORMAT_MAX; f++)
                assert_int_equal(log_format_from_string(log_format_to_string(f)), f);
        assert_true(log_format_from_string("verbose") < 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_parse),
                cmocka_unit_test(test_bad),
                cmocka_unit_test(test_attempt),
                cmocka_unit_test(test_formats),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
