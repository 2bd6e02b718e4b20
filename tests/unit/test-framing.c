/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Messages in pieces of every size come out as they went in, and what is taken gives its memory back. */

#include "api/framing.h"

#include <setjmp.h>
#include <cmocka.h>

static void expect(Buffer *b, const char *text) {
        const char *m;
        size_t size;

        m = buffer_message(b, &size);
        assert_non_null(m);
        assert_int_equal(size, strlen(text));
        assert_string_equal(m, text);
        buffer_take(b, size + 1);
}

static void test_pieces(void **state) {
        static const char stream[] = "one\0\0three and more\0x\0";
        static const char *const messages[] = { "one", "", "three and more", "x" };

        for (size_t piece = 1; piece <= sizeof(stream); piece++) {
                Buffer b = {};
                size_t n = 0, size;

                for (size_t i = 0; i < sizeof(stream) - 1; i += piece) {
                        const char *m;

                        assert_int_equal(buffer_append(&b, stream + i, MIN(piece, sizeof(stream) - 1 - i)), 0);
                        while ((m = buffer_message(&b, &size))) {
                                assert_ptr_equal(buffer_message(&b, &size), m); /* until it is taken */
                                expect(&b, messages[n++]);
                        }
                }
                assert_int_equal(n, ELEMENTSOF(messages));
                assert_null(b.data);
        }
}

static void test_growth(void **state) {
        char large[5000];
        Buffer b = {};
        size_t size;

        memset(large, 'x', sizeof(large));
        large[sizeof(large) - 1] = 0;
        for (size_t i = 0; i < 300; i++) {
                /* There is always the beginning of one behind. */
                assert_int_equal(buffer_append(&b, large + sizeof(large) - 1 - i, i + 1), 0);
                assert_int_equal(buffer_append(&b, large, sizeof(large) - 1), 0);
                assert_non_null(buffer_message(&b, &size));
                buffer_take(&b, size + 1);
                assert_null(buffer_message(&b, &size));
                assert_int_equal(buffer_length(&b), sizeof(large) - 1);
                assert_true(b.size <= 1 << 15);
        }
        buffer_done(&b);
}

/* Whoever leaves a little of a large one holds little. */
static void test_rest_is_small(void **state) {
        _cleanup_free_ char *large = calloc(1, 1 << 20);
        Buffer b = {};
        size_t size;

        assert_non_null(large);
        memset(large, 'x', (1 << 20) - 6);
        memcpy(large + (1 << 20) - 6, "\0end\0{", 6);
        assert_int_equal(buffer_append(&b, large, 1 << 20), 0);
        assert_non_null(buffer_message(&b, &size));
        buffer_take(&b, 100); /* as what is sent is */
        assert_true(b.size >= 1 << 20);
        assert_non_null(buffer_message(&b, &size));
        assert_int_equal(size, (1 << 20) - 6 - 100);
        buffer_take(&b, size + 1);
        assert_true(b.size < 100);
        expect(&b, "end");
        assert_null(buffer_message(&b, &size));
        assert_int_equal(buffer_length(&b), 1);
        assert_int_equal(buffer_append(&b, "}", 2), 0);
        expect(&b, "{}");
        assert_null(b.data);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_pieces),
                cmocka_unit_test(test_growth),
                cmocka_unit_test(test_rest_is_small),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
