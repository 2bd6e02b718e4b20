/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "base/strv.h"
#include "queue/spec.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* A spec that is valid but for what a test changes. */
static JobSpec *spec_true(void) {
        JobSpec *s = spec_new();

        assert_non_null(s);
        assert_int_equal(strv_extend(&s->argv, "/bin/true"), 0);
        return s;
}

static char *text_of(char c, size_t n) {
        char *s = malloc(n + 1);

        assert_non_null(s);
        memset(s, c, n);
        s[n] = 0;
        return s;
}

/* r is what validating gives, and the message names what it should. */
static void check_with(JobSpec *s, int r, const char *said) {
        _cleanup_free_ char *error = NULL;

        assert_int_equal(spec_validate(s, &error), r);
        if (r == 0)
                assert_null(error);
        else {
                assert_non_null(error);
                if (!strstr(error, said))
                        fail_msg("'%s' is not in: %s", said, error);
        }
        assert_int_equal(spec_validate(s, NULL), r);
}

static void set_string(const char *name, const char *value, int r, const char *said) {
        _cleanup_(spec_freep) JobSpec *s = spec_true();

        assert_int_equal(spec_set_string(s, spec_field_find(name), value, NULL), 0);
        check_with(s, r, said);
}

static void set_entry(const char *name, const char *value, int r, const char *said) {
        _cleanup_(spec_freep) JobSpec *s = spec_true();
        _cleanup_strv_free_ char **l = NULL;

        assert_int_equal(strv_extend(&l, value), 0);
        assert_int_equal(spec_set_strv(s, spec_field_find(name), TAKE_PTR(l), NULL), 0);
        check_with(s, r, said);
}

static void set_word(const char *value, int r, const char *said) {
        _cleanup_(spec_freep) JobSpec *s = spec_true();

        assert_int_equal(strv_extend(&s->argv, value), 0);
        check_with(s, r, said);
}

static void set_tag(const char *key, const char *value, int r, const char *said) {
        _cleanup_(spec_freep) JobSpec *s = spec_true();
        _cleanup_strv_free_ char **l = NULL;

        assert_int_equal(strv_extend(&l, key), 0);
        assert_int_equal(strv_extend(&l, value), 0);
        assert_int_equal(spec_set_strv(s, spec_field_find("tags"), TAKE_PTR(l), NULL), 0);
        check_with(s, r, said);
}

static void set_integer(const char *name, int64_t value, int r) {
        _cleanup_(spec_freep) JobSpec *s = spec_true();
        _cleanup_free_ char *error = NULL;

        assert_int_equal(spec_set_integer(s, spec_field_find(name), value, &error), r);
        if (r < 0)
                assert_non_null(strstr(error, name));
        assert_true(spec_field_is_default(s, spec_field_find(name)) == (r < 0));
        check_with(s, 0, NULL);
}

static void test_table(void **state) {
        _cleanup_(spec_freep) JobSpec *s = spec_new();
        const SpecField *f;
        size_t n;

        f = spec_field_table(&n);
        assert_int_equal(n, 46);
        for (size_t i = 0; i < n; i++) {
                assert_ptr_equal(spec_field_find(f[i].name), f + i);
                assert_ptr_equal(spec_field_of_caller(f[i].name), f[i].flags & SPEC_OURS ? NULL : f + i);
                assert_non_null(spec_type_signature(f[i].type));
                assert_true(spec_field_is_default(s, f + i));
        }
        assert_null(spec_field_find(""));
        assert_null(spec_field_find("Argv"));
        assert_null(spec_field_find("argv "));
        assert_string_equal(spec_type_signature(SPEC_TAGS), "a{ss}");
        check_with(s, -EINVAL, "'argv' is empty");
        assert_null(spec_free(NULL));
}

static void test_argv(void **state) {
        _cleanup_(spec_freep) JobSpec *s = spec_true();
        _cleanup_free_ char *fits = text_of('x', SPEC_ARG_MAX - 1), *too_long = text_of('x', SPEC_ARG_MAX);

        check_with(s, 0, NULL);
        set_word("", 0, NULL);
        set_word("with\nline\rfeeds\tand \x1b[1m\x7f", 0, NULL);
        set_word("Grüße, 你好, 🐧, \xc2\x85", 0, NULL);
        set_word(fits, 0, NULL);
        set_word(too_long, -E2BIG, "entry 2");
        set_word("\xff", -EINVAL, "entry 2 is not valid UTF-8");
        set_word("\xc0\x80", -EINVAL, "UTF-8");
        set_word("\xed\xa0\x80", -EINVAL, "UTF-8");
        /* What PID 1 would refuse when the job starts: noncharacters, also behind more than one word of
         * ASCII. */
        set_word("0123456789abcdef\xef\xbf\xbe", -EINVAL, "UTF-8");
        set_word("\xef\xbf\xbf", -EINVAL, "UTF-8");
        set_word("\xef\xb7\x90", -EINVAL, "UTF-8");
        set_word("\xf0\x9f\xbf\xbf", -EINVAL, "UTF-8");
        set_word("\xef\xbf\xbd\xef\xb7\x8f\xef\xb7\xb0\xef\xbb\xbf\xf0\x9f\xbf\xbd", 0, NULL);

        set_entry("argv", "", -EINVAL, "the command is empty");
        set_entry("argv", "/bin/tr\nue", -EINVAL, "'/bin/tr?ue' has control characters");
        set_entry("argv", "tr\x7fue", -EINVAL, "control characters");
        set_entry("argv", "./näme with blanks", 0, NULL);

        for (size_t i = 0; i < 7; i++)
                assert_int_equal(strv_extend(&s->argv, fits), 0);
        check_with(s, 0, NULL);
        assert_int_equal(strv_extend(&s->argv, fits), 0);
        check_with(s, -E2BIG, "'argv' is larger than");
}

static void test_strings(void **state) {
        _cleanup_free_ char *name = text_of('n', SPEC_NAME_MAX + 1), *path = text_of('/', SPEC_CWD_MAX + 1);

        set_string("name", "nightly build · 3", 0, NULL);
        set_string("name", "", -EINVAL, "'name'");
        set_string("name", name, -E2BIG, "'name'");
        set_string("name", name + 1, 0, NULL);
        set_string("name", "a\tb", -EINVAL, "'name'");
        set_string("name", "a\xc2\x85", -EINVAL, "'name'");
        set_string("name", "a\xef\xbf\xbf", -EINVAL, "'name'");
        set_string("cwd", "/", 0, NULL);
        set_string("cwd", "", -EINVAL, "'cwd'");
        set_string("cwd", "tmp", -EINVAL, "'cwd'");
        set_string("cwd", "/tmp\n", -EINVAL, "'cwd'");
        set_string("cwd", path, -E2BIG, "'cwd'");
        set_string("cwd", path + 1, 0, NULL);
}

static void test_environment(void **state) {
        _cleanup_(spec_freep) JobSpec *s = spec_true();
        _cleanup_free_ char *fits = text_of('X', SPEC_ARG_MAX - 1), *too_long = text_of('X', SPEC_ARG_MAX);

        fits[1] = too_long[1] = '=';
        set_entry("environment", "A=", 0, NULL);
        set_entry("environment", "_a9=\n\"'`$\\", 0, NULL);
        set_entry("environment", fits, 0, NULL);
        set_entry("environment", too_long, -E2BIG, "entry 1");
        set_entry("environment", "A", -EINVAL, "'A' has no value");
        set_entry("environment", "=x", -EINVAL, "'' is not the name");
        set_entry("environment", "", -EINVAL, "'' is not the name");
        set_entry("environment", "9A=x", -EINVAL, "'9A' is not the name");
        set_entry("environment", "BASH_FUNC_f%%=() { :; }", -EINVAL, "'BASH_FUNC_f%%' is not the name");
        set_entry("environment", "Ä=x", -EINVAL, "'Ä' is not the name");
        set_entry("environment", "A\n=x", -EINVAL, "'A?' is not the name");
        set_entry("environment", "A=\xff", -EINVAL, "the value of 'A' is not valid UTF-8");
        set_entry("environment", "A=\xef\xbf\xbe", -EINVAL, "the value of 'A' is not valid UTF-8");
        for (size_t i = 0; i < 8; i++)
                assert_int_equal(strv_extend(&s->environment, fits), 0);
        check_with(s, 0, NULL);
        assert_int_equal(strv_extend(&s->environment, "A="), 0);
        check_with(s, -E2BIG, "'environment'");
}

static void test_tags(void **state) {
        _cleanup_(spec_freep) JobSpec *s = spec_true();
        _cleanup_free_ char *key = text_of('k', SPEC_TAG_KEY_MAX + 1),
                            *value = text_of('v', SPEC_TAG_VALUE_MAX + 1);
        _cleanup_free_ char *error = NULL;
        const SpecField *f = spec_field_find("tags");
        static const char *const given[] = { "a", "1", "b", "2", "a", "3", "c", "4", "b", "5" };
        static const char *const kept[] = { "a", "3", "b", "5", "c", "4", NULL };
        char **l = NULL;

        set_tag("a.b_c-9", "", 0, NULL);
        set_tag("a", value, -E2BIG, "'a'");
        set_tag("a", value + 1, 0, NULL);
        set_tag("a", "\n", -EINVAL, "'tags'");
        set_tag(key, "", -EINVAL, "'tags'");
        set_tag(key + 1, "", 0, NULL);
        set_tag("", "", -EINVAL, "''");
        set_tag("a b", "", -EINVAL, "'a b'");
        set_tag("\xff", "", -EINVAL, "'?'");

        FOREACH_ELEMENT(i, given)
                assert_int_equal(strv_extend(&l, *i), 0);
        assert_int_equal(spec_set_strv(s, f, l, NULL), 0);
        assert_true(strv_equal(s->tags, (char **) kept));

        l = NULL;
        for (size_t i = 0; i < 2 * SPEC_TAGS_MAX + 2; i++)
                assert_int_equal(strv_extendf(&l, "k%zu", i), 0);
        assert_int_equal(spec_set_strv(s, f, l, &error), -E2BIG);
        assert_non_null(strstr(error, "'tags'"));
        assert_true(strv_equal(s->tags, (char **) kept));
        assert_int_equal(spec_set_strv(s, f, NULL, NULL), 0);
        assert_true(spec_field_is_default(s, f));
}

static void test_properties(void **state) {
        _cleanup_free_ char *long_value = text_of('P', SPEC_PROPERTY_MAX + 1);

        long_value[1] = '=';
        set_entry("properties", "MemoryMax=2G", 0, NULL);
        set_entry("properties", "Nice=", 0, NULL);
        set_entry("properties", "MemoryMax", -EINVAL, "'MemoryMax' is not NAME=VALUE");
        set_entry("properties", "=x", -EINVAL, "NAME=VALUE");
        set_entry("properties", "Memory Max=x", -EINVAL, "NAME=VALUE");
        set_entry("properties", "Nice=1\nExecStart=/bin/sh", -EINVAL, "control characters");
        set_entry("properties", long_value, -E2BIG, "'P'");
        set_entry("properties", long_value + 1, -EINVAL, "NAME=VALUE");
}

static void test_integers(void **state) {
        set_integer("priority", 1000, 0);
        set_integer("priority", -1000, 0);
        set_integer("priority", 1001, -ERANGE);
        set_integer("priority", -1001, -ERANGE);
        set_integer("slots", 65536, 0);
        set_integer("slots", 65537, -ERANGE);
        set_integer("slots", 0, -ERANGE);
        set_integer("umask", 0, 0);
        set_integer("umask", 0777, 0);
        set_integer("umask", 01000, -ERANGE);
        set_integer("umask", UINT32_MAX, -ERANGE);
        set_integer("hold", 1, 0);
        set_integer("hold", 2, -ERANGE);
        set_integer("freezable", 1, 0);
        set_integer("freezable", 2, -ERANGE);
        set_integer("uid", 0, 0);
        set_integer("uid", UINT32_MAX - 1, 0);
        set_integer("uid", UINT32_MAX, -ERANGE);
        set_integer("uid", -1, -ERANGE);
        set_integer("not_before_usec", 0, 0);
        set_integer("not_before_usec", INT64_MAX, 0);
        set_integer("not_before_usec", -1, -ERANGE);
        set_integer("timeout_usec", 1000, 0);
        set_integer("timeout_usec", 999, -ERANGE);
        set_integer("stop_timeout_usec", 86400 * (int64_t) USEC_PER_SEC, 0);
        set_integer("stop_timeout_usec", 86400 * (int64_t) USEC_PER_SEC + 1, -ERANGE);
        set_integer("stop_timeout_usec", 0, -ERANGE);
}

static void test_uid(void **state) {
        _cleanup_(spec_freep) JobSpec *s = spec_true();

        assert_int_equal(spec_set_integer(s, spec_field_find("uid"), 65535, NULL), 0);
        check_with(s, -EINVAL, "65535");
}

static void test_payload(void **state) {
        _cleanup_(spec_freep) JobSpec *s = spec_true();
        const SpecField *f = spec_field_find("payload");
        _cleanup_free_ char *error = NULL;

        assert_int_equal(spec_set_bytes(s, f, NULL, 0, NULL), 0);
        assert_true(s->has_payload && !spec_field_is_default(s, f));
        assert_int_equal(spec_set_bytes(s, f, (uint8_t *) text_of('x', 3), 3, NULL), 0);
        assert_int_equal(s->payload_size, 3);
        assert_int_equal(spec_set_bytes(s, f, malloc(1), SPEC_PAYLOAD_MAX + 1, &error), -E2BIG);
        assert_non_null(strstr(error, "'payload'"));
        assert_int_equal(s->payload_size, 3);
}

static void test_cwd_end(void **state) {
        set_string("cwd", "/a\\b", 0, NULL);
        set_string("cwd", "/a\\", -EINVAL, "backslash");
}

static void test_files(void **state) {
        _cleanup_free_ char *fits = text_of('x', SPEC_FILE_MAX), *too_long = text_of('x', SPEC_FILE_MAX + 1);

        static const char *const keys[] = { "output_file", "error_file" };
        FOREACH_ELEMENT(k, keys) {
                set_string(*k, "/tmp/a b", 0, NULL);
                set_string(*k, "out.%j.%%", 0, NULL);
                set_string(*k, "%%%j", 0, NULL);
                set_string(*k, fits, 0, NULL);
                set_string(*k, too_long, -E2BIG, *k);
                set_string(*k, "", -EINVAL, "is empty");
                set_string(*k, "100%", -EINVAL, "after a '%'");
                set_string(*k, "%%%", -EINVAL, "after a '%'");
                set_string(*k, "%x", -EINVAL, *k);
                set_string(*k, "a\nb", -EINVAL, "control characters");
                set_string(*k, "\xff", -EINVAL, "UTF-8");
        }
}

static void test_policy(void **state) {
        _cleanup_(spec_freep) JobSpec *s = spec_true();
        _cleanup_strv_free_ char **l = NULL;
        After *twice = new0(After, 2);

        set_entry("retry_on", "exit-code", 0, NULL);
        set_entry("retry_on", "success", -EINVAL, "'success' is no result that can be tried again");
        set_entry("retry_on", "cancelled", -EINVAL, "'cancelled'");
        set_entry("retry_on", "bad", -EINVAL, "'bad'");
        s->backoff_base_usec = 2;
        s->backoff_max_usec = 1;
        check_with(s, -EINVAL, "'backoff_max_usec' is less than");
        s->backoff_max_usec = 2;
        s->unique_scope = strdup("10min");
        check_with(s, -EINVAL, "'unique_key' is missing");
        s->unique_key = strdup("k");
        check_with(s, 0, NULL);
        assert_int_equal(free_and_strdup(&s->unique_scope, "never"), 0);
        check_with(s, -EINVAL, "'unique_scope' is neither");
        assert_int_equal(free_and_strdup(&s->unique_scope, "live"), 0);
        s->array_max_running = 1;
        check_with(s, -EINVAL, "'array' is missing");
        s->array = 5;
        check_with(s, 0, NULL);
        s->array = s->array_max_running = 0;
        check_with(s, 0, NULL);
        assert_non_null(twice);
        twice[0].id = twice[1].id = 7;
        assert_int_equal(spec_set_edges(s, spec_field_find("after"), twice, 2, NULL), 0);
        check_with(s, -EINVAL, "job 7 stands there twice");
}

static void test_request_id(void **state) {
        _cleanup_free_ char *fits = text_of('x', SPEC_REQUEST_ID_MAX), *too_long = text_of('x', SPEC_REQUEST_ID_MAX + 1);

        set_string("request_id", "a b%", 0, NULL);
        set_string("request_id", fits, 0, NULL);
        set_string("request_id", too_long, -E2BIG, "'request_id' is longer than 128");
        set_string("request_id", "", -EINVAL, "'request_id' is empty");
        set_string("request_id", "a\tb", -EINVAL, "'request_id'");
}

static void test_quote(void **state) {
        char q[SPEC_QUOTE_MAX];
        _cleanup_free_ char *error = NULL, *many = text_of('x', 1000);

        assert_string_equal(spec_quote(q, "grün", 5), "grün");
        assert_string_equal(spec_quote(q, "a\x1b[1mb", 6), "a?[1mb");
        assert_string_equal(spec_quote(q, "\xef\xbf\xbf", 3), "???");
        assert_int_equal(strlen(spec_quote(q, many, 1000)), SPEC_QUOTE_MAX - 1);
        for (size_t i = 0; i < 999; i += 3) /* cut at a character, wherever that falls */
                memcpy(many + i, "€", 3);
        assert_string_equal(spec_quote(q, many, 1000) + strlen(q) - 6, "€…");
        assert_string_equal(spec_quote(q, many + 1, 999) + strlen(q) - 4, "?…");
        assert_int_equal(spec_error_unknown_key(&error, "x"), -EINVAL);
        assert_string_equal(error, "unknown key 'x'");
        assert_int_equal(spec_error_unknown_key(NULL, "x"), -EINVAL);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_table),    cmocka_unit_test(test_argv),
                cmocka_unit_test(test_strings),  cmocka_unit_test(test_environment),
                cmocka_unit_test(test_tags),     cmocka_unit_test(test_properties),
                cmocka_unit_test(test_integers), cmocka_unit_test(test_uid),
                cmocka_unit_test(test_payload),  cmocka_unit_test(test_quote),
                cmocka_unit_test(test_cwd_end),  cmocka_unit_test(test_files),    cmocka_unit_test(test_policy),
                cmocka_unit_test(test_request_id),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
