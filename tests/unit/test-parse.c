/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Words to numbers: what is read, what is refused and with which errno, and that nothing is stored on error.
 */

#include "base/parse.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>

#include <cmocka.h>

#define UNTOUCHED 4711U

typedef struct Case {
        const char *text;
        int r;
        uint64_t value;
} Case;

#define CHECK_TABLE(table, type, call)                                                                      \
        FOREACH_ELEMENT(i, table) {                                                                         \
                const char *s = i->text;                                                                    \
                type v = UNTOUCHED;                                                                         \
                int r = (call);                                                                             \
                                                                                                            \
                if (r != i->r || v != (type) (r < 0 ? UNTOUCHED : i->value))                                \
                        fail_msg("'%s': %i, %" PRIi64, s ?: "(null)", r, (int64_t) v);                      \
        }

static void test_boolean(void **state) {
        static const struct {
                const char *text;
                int r;
        } table[] = {
                { "1", 1 },         { "yes", 1 },      { "y", 1 },          { "true", 1 },
                { "T", 1 },         { "ON", 1 },       { "0", 0 },          { "No", 0 },
                { "n", 0 },         { "FALSE", 0 },    { "f", 0 },          { "off", 0 },
                { "", -EINVAL },    { "2", -EINVAL },  { " yes", -EINVAL }, { "yes ", -EINVAL },
                { "tru", -EINVAL }, { NULL, -EINVAL },
        };

        FOREACH_ELEMENT(i, table)
                assert_int_equal(parse_boolean(i->text), i->r);
}

static void test_unsigned(void **state) {
        static const Case wide[] = {
                { "0", 0, 0 },
                { "007", 0, 7 },
                { "18446744073709551615", 0, UINT64_MAX },
                { "18446744073709551616", -ERANGE, 0 },
                { "99999999999999999999999999", -ERANGE, 0 },
                { "", -EINVAL, 0 },
                { " 1", -EINVAL, 0 },
                { "1 ", -EINVAL, 0 },
                { "+1", -EINVAL, 0 },
                { "-1", -EINVAL, 0 },
                { "0x10", -EINVAL, 0 },
                { "1.0", -EINVAL, 0 },
                { "1e3", -EINVAL, 0 },
                { "١", -EINVAL, 0 }, /* an Arabic one */
                { NULL, -EINVAL, 0 },
        };
        static const Case narrow[] = {
                { "4294967295", 0, UINT32_MAX },
                { "4294967296", -ERANGE, 0 },
                { "4294967296x", -EINVAL, 0 },
                { NULL, -EINVAL, 0 },
        };
        static const Case uids[] = {
                { "0", 0, 0 },
                { "1000", 0, 1000 },
                { "65534", 0, 65534 },
                { "65535", -EINVAL, 0 },
                { "65536", 0, 65536 },
                { "4294967294", 0, 4294967294 },
                { "4294967295", -EINVAL, 0 },
                { "4294967296", -ERANGE, 0 },
                { "root", -EINVAL, 0 },
                { "-1", -EINVAL, 0 },
        };
        static const Case modes[] = {
                { "0", 0, 0 },           { "022", 0, 022 },   { "7777", 0, 07777 },   { "0000755", 0, 0755 },
                { "10000", -ERANGE, 0 }, { "8", -EINVAL, 0 }, { "0o22", -EINVAL, 0 }, { "", -EINVAL, 0 },
        };

        CHECK_TABLE(wide, uint64_t, parse_u64(s, &v));
        CHECK_TABLE(narrow, uint32_t, parse_u32(s, &v));
        CHECK_TABLE(uids, uint32_t, parse_uid(s, &v));
        CHECK_TABLE(modes, uint32_t, parse_mode(s, &v));
}

static void test_signed(void **state) {
        static const Case wide[] = {
                { "-1", 0, UINT64_MAX },
                { "-0", 0, 0 },
                { "9223372036854775807", 0, INT64_MAX },
                { "9223372036854775808", -ERANGE, 0 },
                { "-9223372036854775808", 0, (uint64_t) INT64_MIN },
                { "-9223372036854775809", -ERANGE, 0 },
                { "--1", -EINVAL, 0 },
                { "- 1", -EINVAL, 0 },
                { "-", -EINVAL, 0 },
                { "", -EINVAL, 0 },
                { NULL, -EINVAL, 0 },
        };
        static const Case narrow[] = {
                { "2147483647", 0, INT32_MAX },
                { "2147483648", -ERANGE, 0 },
                { "-2147483648", 0, (uint64_t) INT32_MIN },
                { "-2147483649", -ERANGE, 0 },
                { "x", -EINVAL, 0 },
        };

        CHECK_TABLE(wide, int64_t, parse_i64(s, &v));
        CHECK_TABLE(narrow, int32_t, parse_i32(s, &v));
}

static void test_size(void **state) {
        static const Case binary[] = {
                { "0", 0, 0 },
                { "100", 0, 100 },
                { "100B", 0, 100 },
                { "1K", 0, 1024 },
                { "1.5G", 0, 1610612736 },
                { "0.5K", 0, 512 },
                { ".5K", 0, 512 },
                { "1.000000001G", 0, 1073741825 },
                { "2M", 0, 2097152 },
                { "3T", 0, 3298534883328 },
                { "1P", 0, 1125899906842624 },
                { "15E", 0, 17293822569102704640U },
                { "16E", -ERANGE, 0 },
                { "18446744073709551615", 0, UINT64_MAX },
                { "18446744073709551615K", -ERANGE, 0 },
                { "18446744073709551616", -ERANGE, 0 },
                { "1.5", -EINVAL, 0 },
                { "1.5B", -EINVAL, 0 },
                { "1.G", -EINVAL, 0 },
                { "1..5G", -EINVAL, 0 },
                { "1.0000000001G", -EINVAL, 0 },
                { "1k", -EINVAL, 0 },
                { "1KB", -EINVAL, 0 },
                { "1 K", -EINVAL, 0 },
                { "K", -EINVAL, 0 },
                { "-1K", -EINVAL, 0 },
                { "infinity", -EINVAL, 0 },
                { "", -EINVAL, 0 },
                { NULL, -EINVAL, 0 },
        };
        static const Case decimal[] = { { "1K", 0, 1000 },
                                        { "1.5M", 0, 1500000 },
                                        { "18E", 0, 18000000000000000000U } };

        CHECK_TABLE(binary, uint64_t, parse_size(s, 1024, &v));
        CHECK_TABLE(decimal, uint64_t, parse_size(s, 1000, &v));
}

static void test_percent(void **state) {
        static const Case permyriad[] = {
                { "0%", 0, 0 },
                { "12%", 0, 1200 },
                { "12.3%", 0, 1230 },
                { "12.34%", 0, 1234 },
                { "100%", 0, 10000 },
                { "100.00%", 0, 10000 },
                { "100.01%", -ERANGE, 0 },
                { "184467440737095517%", -ERANGE, 0 },
                { "12.345%", -EINVAL, 0 },
                { "12", -EINVAL, 0 },
                { "%", -EINVAL, 0 },
                { "12 %", -EINVAL, 0 },
                { "12%%", -EINVAL, 0 },
                { "-1%", -EINVAL, 0 },
                { "", -EINVAL, 0 },
                { NULL, -EINVAL, 0 },
        };
        static const Case percent[] = {
                { "250%", 0, 250 },
                { "4294967295%", 0, UINT32_MAX },
                { "4294967296%", -ERANGE, 0 },
                { "2.5%", -EINVAL, 0 },
                { "250", -EINVAL, 0 },
                { NULL, -EINVAL, 0 },
        };

        CHECK_TABLE(permyriad, uint32_t, parse_permyriad(s, &v));
        CHECK_TABLE(percent, uint32_t, parse_percent_unbounded(s, &v));
}

static void test_cpu_set(void **state) {
        static const struct {
                const char *text, *hex; /* NULL: refused */
                int r;
        } table[] = {
                { "0", "01", 0 },          { "0-3,7 9", "8f02", 0 },
                { "8", "0001", 0 },        { " 1,\t1 , ", "02", 0 },
                { "7-8", "8001", 0 },      { "0-0", "01", 0 },
                { "", NULL, -EINVAL },     { " , ", NULL, -EINVAL },
                { "3-1", NULL, -EINVAL },  { "1-", NULL, -EINVAL },
                { "-1", NULL, -EINVAL },   { "1-2-3", NULL, -EINVAL },
                { "a", NULL, -EINVAL },    { "1x", NULL, -EINVAL },
                { "8192", NULL, -ERANGE }, { "0-8192", NULL, -ERANGE },
                { NULL, NULL, -EINVAL },
        };

        FOREACH_ELEMENT(i, table) {
                _cleanup_free_ uint8_t *mask = NULL;
                char hex[64] = "";
                size_t n = 0;

                assert_int_equal(parse_cpu_set(i->text, &mask, &n), i->r);
                assert_int_equal(mask != NULL, i->r == 0);
                for (size_t k = 0; k < n; k++)
                        sprintf(hex + 2 * k, "%02x", mask[k]);
                assert_string_equal(hex, i->hex ?: "");
        }

        _cleanup_free_ uint8_t *all = NULL;
        size_t n;
        assert_int_equal(parse_cpu_set("0-8191", &all, &n), 0);
        assert_int_equal(n, 1024);
        assert_int_equal(all[1023], 0xff);
}

static void test_signals(void **state) {
        static const struct {
                const char *text;
                int sig;
        } table[] = {
                { "TERM", SIGTERM },
                { "SIGTERM", SIGTERM },
                { "15", 15 },
                { "KILL", SIGKILL },
                { "HUP", 1 },
                { "SYS", SIGSYS },
                { "WINCH", SIGWINCH },
                { "64", 64 },
                { "65", -EINVAL },
                { "0", -EINVAL },
                { "", -EINVAL },
                { "SIG", -EINVAL },
                { "term", -EINVAL },
                { "SIGSIGTERM", -EINVAL },
                { "RTMIN+31", -EINVAL },
                { "RTMIN+", -EINVAL },
                { "RTMIN-1", -EINVAL },
                { "RTMAX+1", -EINVAL },
                { "-15", -EINVAL },
                { "TERM ", -EINVAL },
                { NULL, -EINVAL },
        };

        FOREACH_ELEMENT(i, table)
                assert_int_equal(signal_from_string(i->text), i->sig);
        assert_int_equal(signal_from_string("RTMIN"), SIGRTMIN);
        assert_int_equal(signal_from_string("SIGRTMIN+3"), SIGRTMIN + 3);
        assert_int_equal(signal_from_string("RTMAX-1"), SIGRTMAX - 1);
        assert_int_equal(signal_from_string("RTMAX"), SIGRTMAX);

        assert_string_equal(signal_to_string(SIGTERM), "TERM");
        assert_string_equal(signal_to_string(SIGRTMIN + 3), "RTMIN+3");
        assert_null(signal_to_string(0));
        assert_null(signal_to_string(-1));
        assert_null(signal_to_string(NSIG));
        for (int sig = 1; sig < NSIG; sig++)
                assert_int_equal(signal_from_string(signal_to_string(sig)), sig);
}

static void test_utf8(void **state) {
        static const struct {
                const char *text;
                bool valid, clean;
        } table[] = {
                { "", true, true },
                { "plain ~", true, true },
                { "\xc2\xa0", true, true },
                { "\xdf\xbf \xe0\xa0\x80 \xef\xbf\xbf \xf0\x90\x80\x80 \xf4\x8f\xbf\xbf", true, true },
                { "Grüße, 世界 🚂", true, true },
                { "a\tb", true, false },
                { "a\nb", true, false },
                { "\x1b[31m", true, false },
                { "\x7f", true, false },
                { "\xc2\x80", true, false }, /* C1 */
                { "\xc2\x9f", true, false },
                { "\x80", false, false },
                { "\xc3", false, false },         /* cut */
                { "\xe4\xb8", false, false },     /* cut */
                { "\xc3\x28", false, false },     /* not continued */
                { "\xc0\x80", false, false },     /* over-long */
                { "\xc1\xbf", false, false },     /* over-long */
                { "\xe0\x9f\xbf", false, false }, /* over-long */
                { "\xf0\x8f\xbf\xbf", false, false },
                { "\xed\xa0\x80", false, false }, /* surrogate */
                { "\xed\xbf\xbf", false, false },
                { "\xf4\x90\x80\x80", false, false }, /* behind the last plane */
                { "\xf8\x88\x80\x80\x80", false, false },
                { "\xff", false, false },
        };

        FOREACH_ELEMENT(i, table) {
                assert_int_equal(utf8_is_valid(i->text, strlen(i->text)), i->valid);
                assert_int_equal(string_is_clean(i->text), i->clean);
        }
        assert_true(utf8_is_valid("a\0b", 3));
        assert_false(utf8_is_valid("ä", 1));
}

static void test_queue_name(void **state) {
        static const char *const good[] = { "a", "default", "gpu-train", "a-b-c", "0", "_", "gpu_0-x9" };
        static const char *const bad[] = { "",    "-",   "-a", "a-",  "a--b", "A",  "a.b",
                                           "a/b", "a b", "ä",  "a\n", "..",   "a@b" };
        char name[66] = {};

        FOREACH_ELEMENT(i, good)
                assert_true(queue_name_is_valid(*i));
        FOREACH_ELEMENT(i, bad)
                assert_false(queue_name_is_valid(*i));
        assert_false(queue_name_is_valid(NULL));
        assert_true(queue_name_is_valid(memset(name, 'q', 64)));
        assert_false(queue_name_is_valid(memset(name, 'q', 65)));
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_boolean),    cmocka_unit_test(test_unsigned),
                cmocka_unit_test(test_signed),     cmocka_unit_test(test_size),
                cmocka_unit_test(test_percent),    cmocka_unit_test(test_cpu_set),
                cmocka_unit_test(test_signals),    cmocka_unit_test(test_utf8),
                cmocka_unit_test(test_queue_name),
        };

        return cmocka_run_group_tests_name("parse", tests, NULL, NULL);
}
