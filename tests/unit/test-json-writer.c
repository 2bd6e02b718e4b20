/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* JSON as text: numbers to their ends, what has to be escaped, and where the commas are. */

#include "base/json-writer.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void assert_text(JsonWriter *w, const char *text) {
        JSON_WRITE_LITERAL(w, "\0");
        assert_false(w->failed);
        assert_string_equal(w->text, text);
        json_writer_done(w);
}

static void test_integers(void **state) {
        static const int64_t numbers[] = { 0, 7, 10, -1, -90, 1234567890123, INT64_MAX, INT64_MIN };
        JsonWriter w = {};

        json_open(&w, '[');
        FOREACH_ELEMENT(n, numbers)
                json_write_integer(&w, *n);
        json_close(&w, ']');
        assert_text(&w, "[0,7,10,-1,-90,1234567890123,9223372036854775807,-9223372036854775808]");
}

static void test_text(void **state) {
        JsonWriter w = {};

        json_open(&w, '{');
        json_write_key(&w, "a\"b");
        json_write_string(&w, "\\ \n \x01 /");
        json_write_key(&w, "n");
        json_write_double(&w, 0.1);
        json_write_key(&w, "l");
        json_open(&w, '[');
        json_write_bool(&w, true);
        json_write_bool(&w, false);
        json_close(&w, ']');
        json_close(&w, '}');
        assert_text(&w, "{\"a\\\"b\":\"\\\\ \\n \\u0001 /\",\"n\":0.1,\"l\":[true,false]}");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_integers),
                cmocka_unit_test(test_text),
        };

        return cmocka_run_group_tests_name("json-writer", tests, NULL, NULL);
}
