/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What the tool reads out of a script: is it one, who runs it, and the words of an option line. */

#include "base/strv.h"
#include "ctl/submit.h"
#include "queue/spec-words.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* expect: the words joined by '|'; NULL: refused. */
static void split(const char *line, const char *expect) {
        _cleanup_strv_free_ char **l = NULL;
        _cleanup_free_ char *joined = NULL;

        assert_int_equal(spec_split_words(line, strlen(line), '#', &l), expect ? 0 : -EINVAL);
        if (!expect)
                return;
        joined = strv_join(l, "|");
        assert_string_equal(joined, expect);
}

static void test_words(void **state) {
        split("", "");
        split("  \t\r", "");
        split("-q gpu\t--hold \r", "-q|gpu|--hold");
        split("--name 'two  words' --tag=\"a b\"c", "--name|two  words|--tag=a bc");
        split("'' \"\" x", "||x");
        split("a\\ b \\' \\\\ 'c\\d' \"\\\"\\e\"", "a b|'|\\|c\\d|\"\\e");
        split("a # b", "a");
        split("#", "");
        split("a#b '#c'", "a#b|#c");
        split("\\", "\\");
        split("'x", NULL);
        split("a \"x'", NULL);
}

static void interpreter(const char *text, const char *expect) {
        _cleanup_strv_free_ char **l = NULL;
        _cleanup_free_ char *joined = NULL;

        assert_int_equal(script_interpreter(text, strlen(text), &l), expect ? 0 : -EINVAL);
        if (!expect)
                return;
        joined = strv_join(l, "|");
        assert_string_equal(joined, expect);
}

static void test_interpreter(void **state) {
        interpreter("echo\n", "/bin/sh");
        interpreter("# !/bin/x\n", "/bin/sh");
        interpreter("#", "/bin/sh");
        interpreter("#!/bin/bash\necho", "/bin/bash");
        interpreter("#!/bin/bash", "/bin/bash");
        interpreter("#! \t/usr/bin/env  -S python3 -u \t\n", "/usr/bin/env|-S python3 -u");
        interpreter("#!\n", NULL);
        interpreter("#!  \nx", NULL);
        interpreter("#!/bin/\x01\n", NULL);
        interpreter("#!/bin/\xff\n", NULL);
}

static void check(const char *text, size_t n, const char *expect) {
        const char *why = NULL;

        assert_int_equal(script_check(text, n, &why), expect ? -EINVAL : 0);
        if (expect)
                assert_non_null(strstr(why, expect));
}

#define CHECK(text, expect) check(text, sizeof(text) - 1, expect)

static void test_check(void **state) {
        CHECK("echo", NULL);
        CHECK("#!/bin/sh\necho \xff\r\n", NULL);
        CHECK("", "is empty");
        CHECK(" \n\t\r\n", "is empty");
        CHECK("echo\0", "NUL");
        CHECK("\0", "NUL");
        CHECK("#!/bin/sh\r\necho", "DOS");
        CHECK("echo\r", "DOS");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_words),
                cmocka_unit_test(test_interpreter),
                cmocka_unit_test(test_check),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
