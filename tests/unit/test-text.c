/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Text as a terminal shows it: widths, what is made safe, where it is cut; in a UTF-8 locale and in none. */

#include "ctl/text.h"

#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static int utf8(void **state) {
        return setlocale(LC_ALL, "C.UTF-8") ? 0 : -1;
}

static int ascii(void **state) {
        return setlocale(LC_ALL, "C") ? 0 : -1;
}

static void check_safe(const char *text, const char *expect) {
        _cleanup_free_ char *s = text_safe(text);

        assert_string_equal(s, expect);
}

static void check_cut(const char *text, size_t width, const char *expect) {
        _cleanup_free_ char *s = text_cut(text, width);

        assert_string_equal(s, expect);
        assert_true(text_width(s) <= width);
}

static void test_safe(void **state) {
        check_safe("plain, ünïcode and 名前", "plain, ünïcode and 名前");
        check_safe("", "");
        check_safe("\033[31mred\a\n\tx\x7f", "\\x1b[31mred\\x07\\x0a\\x09x\\x7f");
        check_safe("broken \xc3", "broken \\xc3");
        check_safe("\xff\xfe", "\\xff\\xfe");
        check_safe("\xc2\x9b", "\\xc2\\x9b"); /* CSI as one character */
        check_safe("\xe2\x80\xae"
                   "gnp",
                   "\\xe2\\x80\\xaegnp");              /* right to left */
        check_safe("\xe2\x81\xa6", "\\xe2\\x81\\xa6"); /* an isolate */
        check_safe("cafe\xcc\x81", "cafe\xcc\x81");    /* a combining accent */
}

static void test_safe_ascii(void **state) {
        check_safe("plain", "plain");
        check_safe("ü", "\\xc3\\xbc");
        assert_string_equal(glyph(GLYPH_ELLIPSIS), "...");
        for (Glyph g = 0; g < _GLYPH_MAX; g++)
                for (const char *c = glyph(g); *c; c++)
                        assert_true(*c >= 0x20 && *c < 0x7f);
}

static void test_width(void **state) {
        assert_int_equal(text_width(""), 0);
        assert_int_equal(text_width("abc"), 3);
        assert_int_equal(text_width("äöü"), 3);
        assert_int_equal(text_width("名前"), 4);
        assert_int_equal(text_width("cafe\xcc\x81"), 4);
}

static void test_cut(void **state) {
        check_cut("abc", 3, "abc");
        check_cut("abcd", 3, "ab…");
        check_cut("abcd", 1, "…");
        check_cut("abcd", 0, "");
        check_cut("名前の", 6, "名前の");
        check_cut("名前の", 5, "名前…");
        check_cut("名前の", 4, "名…"); /* half a character does not fit */
        check_cut("cafe\xcc\x81s and", 5, "cafe\xcc\x81…");
}

static void test_cut_ascii(void **state) {
        check_cut("abcdef", 5, "ab...");
        check_cut("abcdef", 2, "ab");
        check_cut("abcdef", 6, "abcdef");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup(test_safe, utf8),
                cmocka_unit_test_setup(test_safe_ascii, ascii),
                cmocka_unit_test_setup(test_width, utf8),
                cmocka_unit_test_setup(test_cut, utf8),
                cmocka_unit_test_setup(test_cut_ascii, ascii),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
