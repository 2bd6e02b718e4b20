/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "base/strv.h"
#include "queue/json-ascii.h"
#include "queue/spec-json.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static JobSpec *from_json(const char *text) {
        _cleanup_free_ char *error = NULL;
        JobSpec *s = NULL;
        int r;

        r = spec_from_json(text, strlen(text), &s, &error);
        if (r < 0)
                fail_msg("%s: %s (%d)", text, error ?: "", r);
        return s;
}

static void refused(const char *text, size_t size, int r, const char *said) {
        _cleanup_free_ char *error = NULL;
        JobSpec *s = NULL;
        int k;

        k = spec_from_json(text, size, &s, &error);
        if (k != r || s || !error || !strstr(error, said))
                fail_msg("%s: %d, %s", text, k, error ?: "no message");
}

/* This text, read and written again, is itself. */
static void same(const char *text) {
        _cleanup_(spec_freep) JobSpec *s = from_json(text);
        _cleanup_free_ char *again = NULL;

        assert_int_equal(spec_to_json(s, 0, &again), 0);
        assert_string_equal(again, text);
}

static void test_round_trip(void **state) {
        same("{}");
        same("{\"name\":\"n\",\"argv\":[\"/bin/echo\",\"\",\"a b\"],\"cwd\":\"/tmp\",\"umask\":18,"
             "\"environment\":[\"A=1\",\"B=\"],\"payload\":\"{}\",\"tags\":{\"k\":\"v\",\"l\":\"\"},"
             "\"priority\":-5,"
             "\"slots\":3,\"hold\":true,\"not_before_usec\":1790000000000000,\"timeout_usec\":1000,"
             "\"stop_timeout_usec\":5000000,\"uid\":1000,\"properties\":[\"MemoryMax=2G\"],"
             "\"output_file\":\"o\",\"error_file\":\"e\",\"freezable\":true,\"request_id\":\"r\"}");
        same("{\"argv\":[\"\\\"\\\\/\\b\\t\\n\\f\\r\\u0001\\u001f\x7f ü€🐧\"]}");
        same("{\"umask\":0}");
        same("{\"not_before_usec\":0,\"uid\":0}");
        same("{\"delay_usec\":1000}");
        same("{\"stdout\":\"spool\",\"verify\":\"verdict\",\"max_attempts\":3,\"backoff\":\"exponential\","
             "\"backoff_base_usec\":1000,\"backoff_max_usec\":5000,\"backoff_jitter\":0.1,\"retry_on\":[\"signal\"],"
             "\"requeue_lost\":true,\"memory_growth\":1.5,\"deadline_usec\":7,\"keep_usec\":0,"
             "\"after\":[[3,\"failure:continue\"],[9,\"end\"]],\"unique_key\":\"k\",\"unique_policy\":\"return\","
             "\"unique_scope\":\"10min\",\"array\":10,\"array_max_running\":2,"
             "\"callback_url\":\"https://h/\",\"callback_events\":[\"failure\"],"
             "\"on_success\":[\"a.service\"],\"on_failure\":[\"b@.service\",\"c.target\"]}");
}

static void test_defaults_are_left_out(void **state) {
        _cleanup_(spec_freep) JobSpec *s =
                        from_json("{\"priority\":0,\"slots\":1,\"hold\":false,\"argv\":[],"
                                  "\"tags\":{},\"environment\":[]}");
        _cleanup_free_ char *text = NULL;

        assert_int_equal(spec_to_json(s, 0, &text), 0);
        assert_string_equal(text, "{}");
}

static void test_stored(void **state) {
        _cleanup_(spec_freep) JobSpec *s = from_json(
                        "{\"name\":\"n\",\"argv\":[\"/bin/true\"],\"cwd\":\"/"
                        "\",\"umask\":0,\"environment\":[\"A=\"],"
                        "\"payload\":\"\",\"tags\":{\"k\":\"v\"},\"priority\":1,\"slots\":2,\"hold\":true,"
                        "\"not_before_usec\":1,\"timeout_usec\":1000,\"stop_timeout_usec\":1000,\"uid\":1,"
                        "\"properties\":[\"Nice=1\"]}");
        _cleanup_free_ char *text = NULL;

        assert_int_equal(spec_to_json(s, SPEC_JSON_STORED, &text), 0);
        assert_string_equal(text,
                            "{\"argv\":[\"/bin/true\"],\"cwd\":\"/\",\"umask\":0,\"tags\":{\"k\":\"v\"},"
                            "\"properties\":[\"Nice=1\"]}");
}

static void test_payload(void **state) {
        static const struct {
                const char *json, *data;
                size_t size;
        } cases[] = {
                { "{\"payload_base64\":\"/w==\"}", "\xff", 1 },
                { "{\"payload_base64\":\"//4=\"}", "\xff\xfe", 2 },
                { "{\"payload_base64\":\"//79\"}", "\xff\xfe\xfd", 3 },
                { "{\"payload_base64\":\"+////gA=\"}", "\xfb\xff\xff\xfe\x00", 5 },
                { "{\"payload\":\"\"}", "", 0 },
                { "{\"payload\":\"a\\u0000b\"}", "a\0b", 3 },
                { "{\"payload\":\"{\\\"x\\\": \\\"ü\\\"}\\n\"}", "{\"x\": \"ü\"}\n", 12 },
        };

        FOREACH_ELEMENT(c, cases) {
                _cleanup_(spec_freep) JobSpec *s = from_json(c->json);

                assert_true(s->has_payload);
                assert_int_equal(s->payload_size, c->size);
                assert_memory_equal(s->payload, c->data, c->size);
                same(c->json);
        }
}

static void test_payload_base64_of_text(void **state) {
        _cleanup_(spec_freep) JobSpec *s = from_json("{\"payload_base64\":\"aGVsbG8=\"}");
        _cleanup_(spec_freep) JobSpec *empty = from_json("{\"payload_base64\":\"\"}");

        assert_int_equal(s->payload_size, 5);
        assert_memory_equal(s->payload, "hello", 5);
        assert_true(empty->has_payload && empty->payload_size == 0);
}

static void test_payload_refused(void **state) {
        static const char *const bad[] = { "A",        "AA",     "AAA",  "A===", "====", "=AAA", "AA=A",
                                           "AA==AAAA", "AAA\\n", "AB==", "AAB=", "A-_A", "äAA" };

        FOREACH_ELEMENT(b, bad) {
                char text[64];

                snprintf(text, sizeof(text), "{\"payload_base64\":\"%s\"}", *b);
                refused(text, strlen(text), -EINVAL, "'payload_base64' is not base64");
        }
        refused("{\"payload\":\"\",\"payload_base64\":\"\"}", 34, -EINVAL, "exclude each other");
        refused("{\"payload_base64\":1}", 20, -EINVAL, "'payload_base64' must be text");
}

#define REFUSED(text, r, said) refused(text, sizeof(text) - 1, r, said)

static void test_refused(void **state) {
        REFUSED("{\"nmae\":\"x\"}", -EINVAL, "unknown key 'nmae'");
        REFUSED("{\"queue\":\"x\"}", -EINVAL, "unknown key 'queue'");
        REFUSED("{\"n\\u001b[1m\":\"x\"}", -EINVAL, "unknown key 'n?[1m'");
        REFUSED("{\"name\":1}", -EINVAL, "'name' must be text");
        REFUSED("{\"name\":null}", -EINVAL, "'name' must be text");
        REFUSED("{\"name\":\"a\\u0000b\"}", -EINVAL, "'name' has a NUL");
        REFUSED("{\"argv\":\"x\"}", -EINVAL, "'argv' must be an array of text");
        REFUSED("{\"argv\":[\"x\",1]}", -EINVAL, "'argv' must be text");
        REFUSED("{\"argv\":[\"x\\u0000\"]}", -EINVAL, "'argv' has a NUL");
        REFUSED("{\"tags\":[]}", -EINVAL, "'tags' must be an object");
        REFUSED("{\"tags\":{\"a\":1}}", -EINVAL, "'tags' must be text");
        REFUSED("{\"hold\":1}", -EINVAL, "'hold' must be true or false");
        REFUSED("{\"priority\":\"1\"}", -EINVAL, "'priority' must be an integer");
        REFUSED("{\"priority\":1.0}", -EINVAL, "'priority' must be an integer");
        REFUSED("{\"priority\":true}", -EINVAL, "'priority' must be an integer");
        REFUSED("{\"verify\":\"maybe\"}", -EINVAL, "'verify': 'maybe' is none of exit, verdict");
        REFUSED("{\"backoff_jitter\":1.5}", -ERANGE, "'backoff_jitter' must be 0 to 1, not 1.5");
        REFUSED("{\"memory_growth\":\"2\"}", -EINVAL, "'memory_growth' must be a number");
        REFUSED("{\"after\":[17]}", -EINVAL, "'after' must be");
        REFUSED("{\"after\":[[0,\"end\"]]}", -EINVAL, "'after': no id");
        REFUSED("{\"after\":[[17,\"never\"]]}", -EINVAL, "the condition of job 17 is none of");
        REFUSED("{\"priority\":4294967296}", -ERANGE, "'priority'");
        REFUSED("{\"not_before_usec\":9223372036854775808}", -ERANGE, "'not_before_usec'");
        REFUSED("{\"not_before_usec\":99999999999999999999999}", -ERANGE, "'not_before_usec'");
        REFUSED("{\"not_before_usec\":-99999999999999999999999}", -ERANGE, "'not_before_usec'");
}

static void test_not_json(void **state) {
        char deep[200] = "{\"argv\":";

        REFUSED("", -EINVAL, "too early");
        REFUSED("{", -EINVAL, "too early");
        REFUSED("{\"name\":\"x", -EINVAL, "too early");
        REFUSED("[]", -EINVAL, "not a JSON object");
        REFUSED("null", -EINVAL, "");
        REFUSED("{}x", -EINVAL, "behind");
        REFUSED("{} {}", -EINVAL, "behind");
        REFUSED("{}\0", -EINVAL, "behind");
        REFUSED("{\"name\":\"\xff\"}", -EINVAL, "not JSON");
        REFUSED("{\"name\":\"\xf6\x9d\x84\x9e\"}", -EINVAL, "not valid UTF-8"); /* behind U+10FFFF */
        REFUSED("{\"name\\u0000x\" :\"x\"}", -EINVAL, "a key has a NUL");
        REFUSED("{\"tags\":{\"a\":\"\\\\\",\"b\\u0000\":\"\"}}", -EINVAL, "a key has a NUL");
        REFUSED("{\"after\":[[1,\"end\\u0000\"]]}", -EINVAL, "'after': the condition of job 1");
        REFUSED("{\"name\":\"x\",}", -EINVAL, "not JSON");
        REFUSED("{'name':'x'}", -EINVAL, "not JSON");
        REFUSED("{/* */}", -EINVAL, "not JSON");
        memset(deep + 8, '[', 100);
        refused(deep, 108, -EINVAL, "nesting");
        same("{\"name\":\"x\"}");
        spec_free(from_json(" {} \n"));
}

/* What was wrong in one message is nothing in the next. */
static void test_after_a_bad_one(void **state) {
        static const char *const bad[] = { "{\"name\":\"\\ud800\\uZ", "{\"name\":\"\\ud800\\u", "{\"name\":\"\\ud800x\",", "{\"name\":\"\xc3", "[[[[{\"a\":1." };

        FOREACH_ELEMENT (b, bad) {
                _cleanup_(spec_freep) JobSpec *s = NULL;
                _cleanup_free_ char *error = NULL;

                assert_true(spec_from_json(*b, strlen(*b), &s, &error) < 0);
                s = from_json("{\"name\":\"caf\\u00e9\"}");
                assert_string_equal(s->name, "café");
        }
}

static void test_long(void **state) {
        _cleanup_(spec_freep) JobSpec *s = spec_new(), *t = NULL;
        _cleanup_free_ char *text = NULL;
        char *word = malloc(100001);

        assert_non_null(word);
        for (size_t i = 0; i < 100000; i++)
                word[i] = 1 + i % 126;
        word[100000] = 0;
        for (size_t i = 0; i < 10; i++)
                assert_int_equal(strv_extend(&s->argv, word), 0);
        free(word);
        assert_int_equal(spec_to_json(s, 0, &text), 0);
        assert_int_equal(spec_from_json(text, strlen(text), &t, NULL), 0);
        assert_true(strv_equal(s->argv, t->argv));
}

/* As the tool reads a line: what is there before stays, "queue" is known, and it is told which keys there were. */
static void test_read_on_top(void **state) {
        static const char text[] = "{\"queue\":\"gpu\",\"argv\":[\"x\"],\"priority\":0,\"payload_base64\":\"\"}";
        _cleanup_(spec_freep) JobSpec *s = from_json("{\"name\":\"n\",\"priority\":4,\"slots\":2}");
        _cleanup_free_ char *queue = NULL, *error = NULL;
        uint64_t keys, expect = 0;
        size_t n;

        for (const char *const *k = (const char *const[]){ "argv", "priority", "payload", NULL }; *k; k++)
                expect |= UINT64_C(1) << (spec_field_find(*k) - spec_field_table(&n));
        assert_int_equal(spec_read_json(text, strlen(text), s, &queue, &keys, &error), 0);
        assert_string_equal(queue, "gpu");
        assert_string_equal(s->name, "n");
        assert_int_equal(s->priority, 0);
        assert_int_equal(s->slots, 2);
        assert_true(keys == expect);
        queue = mfree(queue);
        assert_int_equal(spec_read_json("{\"queue\":1}", 11, s, &queue, &keys, &error), -EINVAL);
        assert_string_equal(error, "'queue' must be text");
        assert_null(queue);
        refused(text, strlen(text), -EINVAL, "unknown key 'queue'");
}

/* What json-c 0.18 is given is the same JSON, and none where it was none. */
static void test_ascii(void **state) {
        static const char *const texts[][2] = {
                { "{\"a\":\"x\"}", "{\"a\":\"x\"}" },
                { "\"\xc3\xa9\xe2\x82\xac\xef\xbf\xbd\"", "\"\\u00e9\\u20ac\\ufffd\"" },
                { "\"\xf0\x9f\x99\x82\xf4\x8f\xbf\xbf\"", "\"\\ud83d\\ude42\\udbff\\udfff\"" },
                { "\"\\\\\xc3\xa9\\\"\xc3\xa9\\n\"", "\"\\\\\\u00e9\\\"\\u00e9\\n\"" },
                { "\"\\\xc3\xa9\"", "\"\\\xc3\xa9\"" }, /* no escape */
                { "\xc3\xa9", "\\u00e9" },
                { "", "" },
                { "\\", "\\" },
        };

        FOREACH_ELEMENT(x, texts) {
                size_t n;
                _cleanup_free_ char *s = json_to_ascii((*x)[0], strlen((*x)[0]), &n);

                assert_non_null(s);
                assert_string_equal(s, (*x)[1]);
                assert_int_equal(n, strlen(s));
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_ascii),
                cmocka_unit_test(test_read_on_top),
                cmocka_unit_test(test_round_trip),
                cmocka_unit_test(test_defaults_are_left_out),
                cmocka_unit_test(test_stored),
                cmocka_unit_test(test_payload),
                cmocka_unit_test(test_payload_base64_of_text),
                cmocka_unit_test(test_payload_refused),
                cmocka_unit_test(test_refused),
                cmocka_unit_test(test_not_json),
                cmocka_unit_test(test_after_a_bad_one), cmocka_unit_test(test_long),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
