/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Arrays of strings: a NULL array is the empty one everywhere. */

#include "base/strv.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static char *const three[] = { (char *) "a", (char *) "", (char *) "c", NULL };

static void test_length_and_contains(void **state) {
        assert_int_equal(strv_length(NULL), 0);
        assert_int_equal(strv_length((char *[]){ NULL }), 0);
        assert_int_equal(strv_length(three), 3);
        assert_true(strv_contains(three, ""));
        assert_true(strv_contains(three, "c"));
        assert_false(strv_contains(three, "b"));
        assert_false(strv_contains(NULL, ""));
        assert_null(strv_free(NULL));
}

static void test_copy_and_equal(void **state) {
        _cleanup_strv_free_ char **copy = strv_copy(three), **empty = strv_copy(NULL);

        assert_true(strv_equal(copy, three));
        assert_ptr_not_equal(copy[0], three[0]);
        assert_non_null(empty);
        assert_null(empty[0]);
        assert_true(strv_equal(empty, NULL));
        assert_false(strv_equal(copy, NULL));
        assert_false(strv_equal(copy, (char *[]){ (char *) "a", (char *) "", (char *) "d", NULL }));
        assert_false(strv_equal(copy, (char *[]){ (char *) "a", (char *) "", NULL }));
}

static void test_extend(void **state) {
        _cleanup_strv_free_ char **l = NULL;

        assert_int_equal(strv_extend(&l, "one"), 0);
        assert_int_equal(strv_consume(&l, strdup("two")), 0);
        assert_int_equal(strv_extendf(&l, "%s-%i", "three", 3), 0);
        assert_int_equal(strv_consume(&l, NULL), -ENOMEM); /* a failed strdup() may be handed in */
        assert_int_equal(strv_length(l), 3);
        assert_string_equal(l[0], "one");
        assert_string_equal(l[1], "two");
        assert_string_equal(l[2], "three-3");
        assert_null(l[3]);
}

static void test_split_and_join(void **state) {
        static const struct {
                const char *text, *separators, *joined;
        } table[] = {
                { "", ",", "" },         { " \t ", " \t", "" },
                { "a", ",", "a" },       { ",,a,b , c,", ", ", "a|b|c" },
                { "äö ü", " ", "äö|ü" },
        };

        FOREACH_ELEMENT(i, table) {
                _cleanup_strv_free_ char **l = strv_split(i->text, i->separators);
                _cleanup_free_ char *s = strv_join(l, "|");

                assert_non_null(l);
                assert_string_equal(s, i->joined);
        }

        _cleanup_free_ char *none = strv_join(NULL, ", "), *holes = strv_join(three, ", ");
        assert_string_equal(none, "");
        assert_string_equal(holes, "a, , c");
}

static void test_foreach(void **state) {
        char *const pairs[] = {
                (char *) "a", (char *) "1", (char *) "b", (char *) "2", (char *) "odd", NULL
        };
        unsigned n = 0;

        STRV_FOREACH_PAIR(x, y, pairs) {
                assert_string_equal(*x, n == 0 ? "a" : "b");
                assert_string_equal(*y, n == 0 ? "1" : "2");
                n++;
        }
        assert_int_equal(n, 2);
        STRV_FOREACH_PAIR(x, y, NULL)
                fail();
        STRV_FOREACH(i, NULL)
                fail();
}

static void test_env_get(void **state) {
        char *const env[] = { (char *) "PATHX=no", (char *) "PATH=first", (char *) "PATH=",
                              (char *) "HOME=/=/", (char *) "BARE",       NULL };

        assert_string_equal(strv_env_get(env, "PATH"), ""); /* the last counts */
        assert_string_equal(strv_env_get(env, "HOME"), "/=/");
        assert_null(strv_env_get(env, "BARE"));
        assert_null(strv_env_get(env, "PAT"));
        assert_null(strv_env_get(NULL, "PATH"));
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_length_and_contains),
                cmocka_unit_test(test_copy_and_equal),
                cmocka_unit_test(test_extend),
                cmocka_unit_test(test_split_and_join),
                cmocka_unit_test(test_foreach),
                cmocka_unit_test(test_env_get),
        };

        return cmocka_run_group_tests_name("strv", tests, NULL, NULL);
}
