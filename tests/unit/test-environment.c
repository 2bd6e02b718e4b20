/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "base/strv.h"
#include "queue/environment.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void check_strip(const char *given, const char *kept) {
        _cleanup_strv_free_ char **l = strv_split(given, " "), **k = NULL;
        _cleanup_free_ char *joined = NULL;

        k = spec_environment_strip(l);
        assert_non_null(k);
        joined = strv_join(k, " ");
        assert_string_equal(joined, kept);
}

static void test_strip(void **state) {
        check_strip("", "");
        check_strip("PATH=/bin LANG=C", "PATH=/bin LANG=C");
        check_strip("A=1 JOBMILL_JOB_ID=7 JOBMILL_=1 JOBMILL=kept JOBMILLS=kept",
                    "A=1 JOBMILL=kept JOBMILLS=kept");
        check_strip("NOTIFY_SOCKET=/x INVOCATION_ID=1 JOURNAL_STREAM=1:2 LISTEN_FDS=1 LISTEN_PID=1 "
                    "LISTEN_FDNAMES=x "
                    "WATCHDOG_USEC=1 WATCHDOG_PID=1 MAINPID=1 MANAGERPID=1 SYSTEMD_EXEC_PID=1 "
                    "SYSTEMD_LOG_LEVEL=debug "
                    "CREDENTIALS_DIRECTORY=/x MEMORY_PRESSURE_WATCH=/x MEMORY_PRESSURE_WRITE=x "
                    "XDG_SESSION_ID=1 "
                    "XDG_SESSION_CLASS=user HOME=/ USER=u LOGNAME=u SHELL=/bin/sh",
                    "");
        check_strip("HOMES=1 HOM=1 USERNAME=1 SHELLOPTS=1 MAINPIDX=1 XDG_RUNTIME_DIR=/x XDG_SESSION=1 "
                    "LISTENER=1",
                    "HOMES=1 HOM=1 USERNAME=1 SHELLOPTS=1 MAINPIDX=1 XDG_RUNTIME_DIR=/x XDG_SESSION=1 "
                    "LISTENER=1");
        check_strip("home=kept", "home=kept");
        check_strip("no_assignment =x A=", "A=");
}

static void test_later_wins(void **state) {
        check_strip("A=1 B=1 A=2 AB=1 A=3 B=", "AB=1 A=3 B=");
        check_strip("A=1 A=1 A=1", "A=1");
        check_strip("HOME=/a A=x HOME=/b", "A=x");
}

/* Neither many duplicates nor many names take long. */
static void test_many(void **state) {
        const size_t n = 200000;
        _cleanup_strv_free_ char **l = new0(char *, n + 1), **k = NULL;

        for (size_t i = 0; i < n; i++)
                assert_true(asprintf(l + i, "V%zu=%zu", i % (n / 2), i) > 0);
        k = spec_environment_strip(l);
        assert_int_equal(strv_length(k), n / 2);
        assert_string_equal(k[0], l[n / 2]);
        assert_string_equal(k[n / 2 - 1], l[n - 1]);
}

/* What systemd reads from a file that holds nothing but NAME="…" lines. */
static char **file_parse(const char *p) {
        char **l = NULL;

        while (*p) {
                size_t n = 0, size = strlen(p) + 1;
                char *a = new0(char, size);

                while (*p != '=')
                        a[n++] = *p++;
                a[n++] = *p++;
                assert_int_equal(*p++, '"');
                for (; *p != '"'; p++) {
                        assert_int_not_equal(*p, 0);
                        if (*p == '\\') {
                                p++;
                                if (*p == '\n')
                                        continue;
                                if (!strchr("\"\\`$", *p))
                                        a[n++] = '\\';
                        }
                        a[n++] = *p;
                }
                assert_int_equal(*++p, '\n');
                p++;
                assert_int_equal(strv_consume(&l, a), 0);
        }
        return l;
}

static void test_format(void **state) {
        static const char *const given[] = {
                "A=1",         "EMPTY=", "Q=a\"b\\c`d$e", "N=one\ntwo\\\nthree\n", "no assignment",
                "S= \t#;'x' ", NULL
        };
        _cleanup_free_ char *text = NULL;
        size_t size;

        text = environment_file_format((char **) given, &size);
        assert_string_equal(text,
                            "A=\"1\"\nEMPTY=\"\"\nQ=\"a\\\"b\\\\c\\`d\\$e\"\nN=\"one\ntwo\\\\\nthree\n\"\n"
                            "S=\" \t#;'x' \"\n");
        assert_int_equal(size, strlen(text));
}

static void test_format_empty(void **state) {
        _cleanup_free_ char *text = NULL;

        text = environment_file_format(NULL, NULL);
        assert_string_equal(text, "");
}

/* Every pair of ASCII characters comes back. */
static void test_format_round_trip(void **state) {
        _cleanup_strv_free_ char **l = NULL, **back = NULL;
        _cleanup_free_ char *text = NULL;

        for (char a = 1; a > 0 && a < 127; a++) {
                char value[4 * 127 + 1], *p = value;

                for (char b = 1; b > 0 && b < 127; b++) {
                        *p++ = a;
                        *p++ = b;
                }
                *p = 0;
                assert_int_equal(strv_extendf(&l, "V%d=%s", a, value), 0);
                assert_int_equal(strv_extendf(&l, "W%d=%c", a, a), 0);
        }
        text = environment_file_format(l, NULL);
        back = file_parse(text);
        assert_true(strv_equal(l, back));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_strip),        cmocka_unit_test(test_later_wins),
                cmocka_unit_test(test_many),         cmocka_unit_test(test_format),
                cmocka_unit_test(test_format_empty), cmocka_unit_test(test_format_round_trip),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
