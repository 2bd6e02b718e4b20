/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The layout of tables on narrow terminals, the columns of `list`, and how the overview shares its lines. */

#include "base/strv.h"
#include "ctl/ctl.h"
#include "ctl/list-columns.h"
#include "ctl/output.h"
#include "ctl/share.h"
#include "ctl/table.h"

#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/mman.h>

#include <cmocka.h>

static const Column abc[] = {
        { "A", TABLE_KEEP_WHOLE, 0, true },
        { "B", 50, 4, false },
        { "C", 10, 0, false },
};

static void check_layout(size_t limit, bool keep_all, size_t a, size_t b, size_t c) {
        size_t widths[] = { 3, 10, 5 };

        table_layout(abc, ELEMENTSOF(abc), limit, keep_all, widths);
        assert_int_equal(widths[0], a);
        assert_int_equal(widths[1], b);
        assert_int_equal(widths[2], c);
}

static void test_layout(void **state) {
        check_layout(SIZE_MAX, false, 3, 10, 5);
        check_layout(20, false, 3, 10, 5); /* with two spaces exactly */
        check_layout(19, false, 3, 9, 5);
        check_layout(14, false, 3, 4, 5); /* B as short as can be */
        check_layout(13, false, 3, 9, 0); /* C goes; B has room again */
        check_layout(8, false, 3, 4, 0);
        check_layout(7, false, 3, 0, 0);
        check_layout(1, false, 3, 0, 0); /* the last one stays */
        check_layout(5, true, 3, 4, 5);
}

/* What the function prints. */
static char *printed(void (*print)(void)) {
        int fd = memfd_create("out", MFD_CLOEXEC), saved = dup(STDOUT_FILENO);
        static char buf[4096];
        ssize_t n;

        fflush(stdout);
        dup2(fd, STDOUT_FILENO);
        print();
        fflush(stdout);
        dup2(saved, STDOUT_FILENO);
        close(saved);
        n = pread(fd, buf, sizeof(buf) - 1, 0);
        assert_true(n >= 0);
        buf[n] = 0;
        close(fd);
        return buf;
}

static void add_line(Table *t, const char *a, const char *b, const char *c) {
        assert_int_equal(table_add(t, a, NULL), 0);
        assert_int_equal(table_add(t, b, NULL), 0);
        assert_int_equal(table_add(t, c, NULL), 0);
}

static void print_pieces(void) {
        _cleanup_table_ Table *t = table_new(abc, ELEMENTSOF(abc));

        table_set_width(t, 16);
        add_line(t, "1", "short", "yes");
        add_line(t, "22", "much too long", NULL);
        table_print(t);
        add_line(t, "333", "longer than it was", "");
        table_print(t);
        table_print(t);
}

static void print_unlimited(void) {
        _cleanup_table_ Table *t = table_new(abc, ELEMENTSOF(abc));

        table_set_width(t, TABLE_ANY_WIDTH);
        add_line(t, "1", "b", "");
        table_print(t);
        add_line(t, "22", "longer than before", "c\033");
        table_print(t);
}

static void test_pieces(void **state) {
        /* The second piece keeps the shape of the first, and only an id is never cut. */
        assert_string_equal(printed(print_pieces), " A B         C\n"
                                                   " 1 short     yes\n"
                                                   "22 much too… -\n"
                                                   "333 longer t…\n");
        assert_string_equal(printed(print_unlimited), "A B C\n"
                                                      "1 b\n"
                                                      "22 longer than before c\\x1b\n");
}

static void test_columns(void **state) {
        static const char *const good[] = { "id", "Tags", "ID", NULL },
                                 *const more[] = { "+unit", "tags", NULL },
                                 *const bad[] = { "id", "nosuch", NULL };
        ListColumns l = {};

        assert_int_equal(list_columns_parse((char **) good, "list", &l), 0);
        assert_int_equal(l.n, 2);
        assert_string_equal(l.columns[1].name, "TAGS");
        assert_true(strv_contains(l.fields, "tags") && strv_contains(l.fields, "state"));
        assert_false(strv_contains(l.fields, "argv"));
        list_columns_done(&l);

        assert_int_equal(list_columns_parse((char **) more, "list", &l), 0);
        assert_int_equal(l.n, LIST_REASON + 3);
        list_columns_done(&l);

        assert_int_equal(list_columns_parse(NULL, "list", &l), 0);
        assert_int_equal(l.n, LIST_REASON + 1);
        list_columns_done(&l);

        assert_int_equal(list_columns_parse((char **) bad, "list", &l), -EINVAL);
}

static void test_share(void **state) {
        const size_t wanted[] = { 9, 1, 0, 4 };
        size_t got[4];

        share_lines(100, wanted, got, 4);
        assert_memory_equal(got, wanted, sizeof(got));
        share_lines(7, wanted, got, 4);
        assert_memory_equal(got, ((size_t[]){ 3, 1, 0, 3 }), sizeof(got));
        share_lines(0, wanted, got, 4);
        assert_memory_equal(got, ((size_t[]){ 1, 1, 0, 1 }), sizeof(got));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_layout),
                cmocka_unit_test(test_pieces),
                cmocka_unit_test(test_columns),
                cmocka_unit_test(test_share),
        };

        if (!setlocale(LC_ALL, "C.UTF-8"))
                return 77;
        return cmocka_run_group_tests(tests, NULL, NULL);
}
