/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The verdict at the end of a stream: what is one, what is none, and that whatever a job writes is taken in its stride. */

#include "queue/json-scan.h"
#include "queue/verdict.h"

#include "base/parse.h"
#include "base/time-util.h"

#include <json-c/json.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* verdict NULL: there must be none. */
static void expect_at(const char *data, size_t n, bool line_start, const char *verdict, int success) {
        Verdict v = {};

        assert_int_equal(verdict_find(data, n, line_start, &v), !!verdict);
        if (!verdict)
                return;
        assert_int_equal(v.size, strlen(verdict));
        assert_true(v.at + v.size <= n);
        assert_memory_equal(data + v.at, verdict, v.size);
        assert_int_equal(v.success, success);
}

static void expect(const char *text, const char *verdict, int success) {
        /* From memory of just that size: ASan sees a byte too far. */
        _cleanup_free_ char *copy = memcpy(malloc(strlen(text) + 1), text, strlen(text));

        expect_at(copy, strlen(text), true, verdict, success);
}

static void test_plain(void **state) {
        expect("{\"success\": true}", "{\"success\": true}", 1);
        expect("{\"success\":false}\n", "{\"success\":false}", 0);
        expect("work\nmore work\n{\"success\":true,\"n\":3}\n\r\n \t\v\f", "{\"success\":true,\"n\":3}", 1);
        expect("{}", "{}", -1);
        expect("", NULL, 0);
        expect(" \n\n", NULL, 0);
        expect("done.", NULL, 0);
        expect("}", NULL, 0);
        expect("[true]", NULL, 0);
        expect("true", NULL, 0);
        expect("\"{}\"", NULL, 0);
}

static void test_line_start(void **state) {
        expect(" {\"success\":true}", NULL, 0);
        expect("result: {\"success\":true}", NULL, 0);
        expect("result:\n{\"success\":true}", "{\"success\":true}", 1);
        expect("\r{}", NULL, 0);
        /* The window begins in the middle of a line. */
        expect_at("{}", 2, false, NULL, 0);
        expect_at("{}\n{}", 5, false, "{}", -1);
        expect_at("x}\n", 3, false, NULL, 0);
}

static void test_longest(void **state) {
        /* What looks like a verdict of its own within one is none. */
        expect("{\n\"inner\":\n{\"success\":false}\n,\"success\":true\n}", "{\n\"inner\":\n{\"success\":false}\n,\"success\":true\n}", 1);
        expect("log {\n{\"a\":[\n{},\n{}\n]}", "{\"a\":[\n{},\n{}\n]}", -1);
        /* Two of them: the last. */
        expect("{\"success\":true}\n{\"success\":false}", "{\"success\":false}", 0);
        expect("{\"success\":true} {\"success\":false}", NULL, 0);
        expect("{\"success\":true}\n{\"a\":1}", "{\"a\":1}", -1);
        expect("{\"success\":true}\n[]", NULL, 0);
        expect("{\"success\":true}x", NULL, 0);
        expect("{\n{}", "{}", -1);
}

static void test_success(void **state) {
        expect("{\"success\":null}", "{\"success\":null}", -1);
        expect("{\"success\":\"true\"}", "{\"success\":\"true\"}", -1);
        expect("{\"success\":1}", "{\"success\":1}", -1);
        expect("{\"success\":[true]}", "{\"success\":[true]}", -1);
        expect("{\"success\":{\"success\":true}}", "{\"success\":{\"success\":true}}", -1);
        expect("{\"a\":{\"success\":true},\"b\":[{\"success\":true}]}", "{\"a\":{\"success\":true},\"b\":[{\"success\":true}]}", -1);
        expect("{\"success\":true,\"success\":false}", "{\"success\":true,\"success\":false}", 0);
        expect("{\"Success\":true}", "{\"Success\":true}", -1);
        expect("{\"successx\":true}", "{\"successx\":true}", -1);
        expect("{\"succes\":true}", "{\"succes\":true}", -1);
        expect("{\"\":true}", "{\"\":true}", -1);
        expect("{\"\\u0073ucces\\u0073\":true}", "{\"\\u0073ucces\\u0073\":true}", 1);
        expect("{\"success\\u0000\":true}", "{\"success\\u0000\":true}", -1);
        expect("{\"\\u0173uccess\":true}", "{\"\\u0173uccess\":true}", -1);
        expect("{\"\\u\":true}", NULL, 0);
}

static void test_strings(void **state) {
        expect("{\"a\":\"}\"}", "{\"a\":\"}\"}", -1);
        expect("{\"a\":\"{\\\"}\"}", "{\"a\":\"{\\\"}\"}", -1);
        expect("{\"a\":\"\\\\\"}", "{\"a\":\"\\\\\"}", -1);
        expect("{\"a\":\"\\u00e4\\n\"}", "{\"a\":\"\\u00e4\\n\"}", -1);
        expect("{\"a\":\"\\\"}", NULL, 0);
        expect("{\"a\":\"\\x\"}", NULL, 0);
        expect("{\"a\":\"\\u12g4\"}", NULL, 0);
        expect("{\"a\":\"line\nfeed\"}", NULL, 0);
        expect("{\"a\":\"tab\there\"}", NULL, 0);
        expect("{\"ä\":\"€𝄞\"}", "{\"ä\":\"€𝄞\"}", -1);
        expect("{\"a\":\"\xff\"}", NULL, 0);
        expect("{\"a\":\"\xc3\"}", NULL, 0);
        expect("{\"a\":\"\xed\xa0\x80\"}", NULL, 0);
        expect("\xff\xfe\n{\"a\":1}", "{\"a\":1}", -1);
}

/* What JSON is not, whatever some parsers take. */
static void test_strict(void **state) {
        static const char *const bad[] = {
                "{'a':1}", "{a:1}", "{\"a\":1,}", "{,}", "{\"a\"}", "{\"a\":}", "{\"a\":01}", "{\"a\":+1}", "{\"a\":.5}", "{\"a\":1.}",
                "{\"a\":1e}", "{\"a\":-}", "{\"a\":NaN}", "{\"a\":Infinity}", "{\"a\":True}", "{\"a\":tru}", "{\"a\":nul}", "{\"a\":[1,]}",
                "{\"a\":[1 2]}", "{\"a\":1 \"b\":2}", "{\"a\":/**/1}", "{1:2}", "{\"a\":0x1}", "{\"a\":[}", "{\"a\":{]}",
                "{\"success\":true", "{\"success\":tr", "{\"success\":true,\"log\":\"cut of",
        };
        static const char *const good[] = {
                "{\"a\":-0}", "{\"a\":0.5}", "{\"a\":1e5}", "{\"a\":1E+5}", "{\"a\":-12.25e-3}", "{\"a\":[]}", "{\"a\":[[],{}]}",
                "{ \"a\" : [ 1 , \"x\" , null , false ] }", "{\t\"a\"\r\n:\n1\n}", "{\"a\":123456789012345678901234567890}",
        };

        FOREACH_ELEMENT(t, bad)
                expect(*t, NULL, 0);
        FOREACH_ELEMENT(t, good)
                expect(*t, *t, -1);
}

static void test_binary(void **state) {
        expect_at("\0\0\0\n{\"a\":1}\n", 12, true, "{\"a\":1}", -1);
        expect_at("{\"a\":\"\0\"}", 9, true, NULL, 0);
        expect_at("{\"a\":1}\0", 8, true, NULL, 0);
        expect_at("\0", 1, true, NULL, 0);
}

static char *nested(unsigned depth) {
        char *s = malloc(depth * strlen("{\"a\":}") + 1), *p = s;

        for (unsigned i = 1; i < depth; i++)
                p = stpcpy(p, "{\"a\":");
        p = stpcpy(p, "{}");
        for (unsigned i = 1; i < depth; i++)
                p = stpcpy(p, "}");
        return s;
}

static void test_depth(void **state) {
        _cleanup_free_ char *most = nested(JSON_SCAN_DEPTH_MAX), *more = nested(JSON_SCAN_DEPTH_MAX + 1);

        expect(most, most, -1);
        expect(more, NULL, 0);
}

/* However it is built, it takes no time to speak of: 64 KiB of each, some hundred times. */
static void test_hostile(void **state) {
        static const char *const pieces[] = {
                "{", "{\n", "{\"", "{\"\n", "{\"a\":\n", "{\"a\":[\n", "{}\n", "{},\n", "{\"a\":[{},\n", "{\"\\u0073\":", "[", "\n", "}", "{\"a\":\"",
                "{ \n \n", "\xff\n{", "{\"a\":1}\n", "{\"a\":[\n{},\n{},\n{},\n",
        };
        _cleanup_free_ char *data = malloc(VERDICT_MAX);

        FOREACH_ELEMENT(piece, pieces) {
                Verdict v;

                for (size_t i = 0; i < VERDICT_MAX; i++)
                        data[i] = (*piece)[i % strlen(*piece)];
                data[VERDICT_MAX - 1] = '}';
                for (unsigned i = 0; i < 20; i++)
                        (void) verdict_find(data, VERDICT_MAX, true, &v);
        }
}

static void test_tail(void **state) {
        static const struct {
                const char *data;
                size_t n, max;
                const char *text;
        } cases[] = {
                { "hello\n", 6, 100, "hello\n" },
                { "hello\n", 6, 3, "lo\n" },
                { "", 0, 10, "" },
                { "abc", 3, 0, "" },
                { "a€b", 5, 4, "€b" },
                { "a€b", 5, 3, "b" },
                { "a€b", 5, 2, "b" },
                { "a\0b", 3, 3, "a\xef\xbf\xbd" "b" },
                { "a\xff" "b", 3, 3, "a\xef\xbf\xbd" "b" },
                { "\x80\x80\x80\x80\x80", 5, 5, "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd" },
                { "a\xe2\x82", 3, 3, "a\xef\xbf\xbd\xef\xbf\xbd" },
                { "\x1b[31m\t", 6, 6, "\x1b[31m\t" },
        };

        FOREACH_ELEMENT(c, cases) {
                _cleanup_free_ char *text = verdict_tail(c->data, c->n, c->max);

                assert_string_equal(text, c->text);
        }
}

/* ---- at random, against a slow finder that is obviously right ---- */

static uint32_t number(uint64_t *seed) {
        *seed = *seed * 6364136223846793005 + 1442695040888963407;
        return *seed >> 33;
}

/* The definition, word for word, with json-c to say what an object is. It forgives some, so no such thing is written below. */
static bool slow_find(const char *data, size_t n, bool line_start, size_t *ret_at, size_t *ret_size) {
        while (n > 0 && strchr(" \t\n\v\f\r", data[n - 1]) && data[n - 1])
                n--;
        for (size_t i = 0; i < n; i++) {
                struct json_tokener *t;
                struct json_object *o;
                bool is;

                if (data[i] != '{' || (i == 0 ? !line_start : data[i - 1] != '\n'))
                        continue;
                t = json_tokener_new_ex(JSON_SCAN_DEPTH_MAX);
                json_tokener_set_flags(t, JSON_TOKENER_STRICT);
                o = json_tokener_parse_ex(t, data + i, n - i);
                is = o && json_tokener_get_parse_end(t) == n - i;
                json_object_put(o);
                json_tokener_free(t);
                if (is) {
                        *ret_at = i;
                        *ret_size = n - i;
                        return true;
                }
        }
        return false;
}

static void test_random(void **state) {
        static const char *const pieces[] = {
                "{", "}", "{", "}", "\n", "\n", "\n{", "}\n", "[", "]", ",", ":", "\"a\"", "\"success\"", "\"{\"", "\"}\\\"\"", "true", "false", "null",
                "12", "-1.5", " ", "text", "{\"success\":true}", "\n{\"success\":false}\n", "{\"a\":[{}]}", "\"a\":1", "\"a\":{\n", "\"ä\"",
        };
        uint64_t seed = now_usec(CLOCK_REALTIME), first = seed;
        unsigned found = 0;

        for (unsigned round = 0; round < 60000; round++) {
                char data[512], *p = data;
                bool line_start = number(&seed) % 2;
                size_t at = 0, size = 0;
                Verdict v = {};

                for (unsigned i = number(&seed) % 24; i > 0; i--)
                        p = stpcpy(p, pieces[number(&seed) % ELEMENTSOF(pieces)]);
                if (number(&seed) % 8 == 0 && p > data)
                        p = data + number(&seed) % (p - data); /* cut off */

                bool slow = slow_find(data, p - data, line_start, &at, &size);
                if (slow && !utf8_is_valid(data + at, size))
                        continue;
                if (verdict_find(data, p - data, line_start, &v) != slow || (slow && (v.at != at || v.size != size)))
                        fail_msg("seed %" PRIu64 ": '%.*s'", first, (int) (p - data), data);
                found += slow;
        }
        assert_true(found > 1000);
}

/* Bytes of any kind, cut out of and put into a good one: nothing is read beyond the end, and what is found is valid. */
static void test_random_bytes(void **state) {
        static const char good[] = "noise\n{\"success\": true, \"list\": [1, {\"a\": \"\\u00e4}\"}, []],\n\"text\": \"€\"}\n";
        uint64_t seed = now_usec(CLOCK_REALTIME);

        for (unsigned round = 0; round < 60000; round++) {
                size_t n = sizeof(good) - 1;
                _cleanup_free_ char *data = memcpy(malloc(n), good, n), *text = NULL;
                Verdict v;

                for (unsigned i = number(&seed) % 4; i > 0; i--)
                        data[number(&seed) % n] = number(&seed);
                n -= number(&seed) % 4 == 0 ? number(&seed) % n : 0;
                data = realloc(data, MAX(n, (size_t) 1));
                if (verdict_find(data, n, true, &v)) {
                        assert_true(v.at + v.size <= n && data[v.at] == '{' && data[v.at + v.size - 1] == '}');
                        assert_true(utf8_is_valid(data + v.at, v.size));
                }
                text = verdict_tail(data, n, number(&seed) % (n + 2));
                assert_true(utf8_is_valid(text, strlen(text)));
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_plain),
                cmocka_unit_test(test_line_start),
                cmocka_unit_test(test_longest),
                cmocka_unit_test(test_success),
                cmocka_unit_test(test_strings),
                cmocka_unit_test(test_strict),
                cmocka_unit_test(test_binary),
                cmocka_unit_test(test_depth),
                cmocka_unit_test(test_hostile),
                cmocka_unit_test(test_tail),
                cmocka_unit_test(test_random),
                cmocka_unit_test(test_random_bytes),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
