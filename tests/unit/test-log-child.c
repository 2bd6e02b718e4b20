/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The Journal Export Format: what goes as a line and what as bytes. Reading a journal is tests/system/test_logs.py's. */

#include "api/log-child.h"

#include <endian.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static void check_field(const char *field, size_t n, const char *expect, size_t n_expect) {
        char *text = NULL;
        size_t size = 0;
        FILE *f = open_memstream(&text, &size);

        assert_non_null(f);
        log_export_field(f, field, n);
        assert_int_equal(fclose(f), 0);
        assert_int_equal(size, n_expect);
        assert_memory_equal(text, expect, n_expect);
        free(text);
}

static void check_line(const char *field) {
        char expect[256];
        int n = snprintf(expect, sizeof(expect), "%s\n", field);

        check_field(field, strlen(field), expect, n);
}

static void check_bytes(const char *name, const char *value, size_t n) {
        char field[256], expect[256];
        uint64_t size = htole64(n);
        size_t length = strlen(name), at = 0;

        memcpy(field, name, length);
        field[length] = '=';
        memcpy(field + length + 1, value, n);

        memcpy(expect, name, length);
        at = length;
        expect[at++] = '\n';
        memcpy(expect + at, &size, sizeof(size));
        at += sizeof(size);
        memcpy(expect + at, value, n);
        at += n;
        expect[at++] = '\n';
        check_field(field, length + 1 + n, expect, at);
}

static void test_fields(void **state) {
        check_line("MESSAGE=hello");
        check_line("MESSAGE=");
        check_line("MESSAGE=a=b");
        check_line("MESSAGE=tab\tand ü");
        check_bytes("MESSAGE", "two\nlines", 9);
        check_bytes("MESSAGE", "\n\nMESSAGE=forged", 16);
        check_bytes("MESSAGE", "a\0b", 3);
        check_bytes("MESSAGE", "\033[31m", 5);
        check_bytes("MESSAGE", "\177", 1);
        check_bytes("MESSAGE", "bad \xff\xfe", 6);
        check_field("no value", 8, "", 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_fields),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
