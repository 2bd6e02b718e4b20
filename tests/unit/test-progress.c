/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The progress line at all widths. */

#include "base/parse.h"
#include "ctl/progress.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void
line(uint64_t done, uint64_t size, usec_t seconds, unsigned width, bool utf8, const char *expect) {
        Progress p = { .what = "jobs", .count = 1500, .done = done, .size = size };
        char buf[512];

        assert_string_equal(progress_format(&p, seconds * USEC_PER_SEC, width, utf8, buf, sizeof(buf)),
                            expect);
}

static void test_parts(void **state) {
        line(0, 0, 0, 80, true, "1500 jobs");
        line(0, 0, 3, 80, true, "1500 jobs 500/s");
        line(0, 100, 0, 30, false, "1500 jobs   0% ...............");
        line(50, 100, 3, 30, false, "1500 jobs  50% ####..... 500/s");
        line(50, 100, 3, 30, true, "1500 jobs  50% ━━━━───── 500/s");
        line(100, 100, 3, 31, false, "1500 jobs 100% ########## 500/s");
        line(200, 100, 3, 30, false, "1500 jobs 100% ######### 500/s");
        line(50, 100, 3, 200, false, "1500 jobs  50% ####################.................... 500/s");
}

static void test_narrow(void **state) {
        line(50, 100, 3, 28, false, "1500 jobs  50% 500/s");
        line(50, 100, 3, 20, false, "1500 jobs  50% 500/s");
        line(50, 100, 3, 19, false, "1500 jobs  50%");
        line(50, 100, 3, 13, false, "1500 jobs");
        line(50, 100, 3, 4, false, "1500");
        line(50, 100, 3, 0, false, "");
}

/* Never wider than allowed, always valid text. */
static void test_all_widths(void **state) {
        for (unsigned width = 0; width < 300; width++)
                for (unsigned part = 0; part <= 100; part += 5)
                        for (int utf8 = 0; utf8 < 2; utf8++) {
                                Progress p = {
                                        .what = "jobs", .count = part * 7919, .done = part, .size = 100
                                };
                                char buf[512];
                                size_t columns = 0;

                                progress_format(&p, 2 * USEC_PER_SEC, width, utf8, buf, sizeof(buf));
                                for (const char *c = buf; *c; c++)
                                        columns += ((unsigned char) *c & 0xc0) != 0x80;
                                assert_true(columns <= width);
                                assert_true(utf8_is_valid(buf, strlen(buf)));
                        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_parts),
                cmocka_unit_test(test_narrow),
                cmocka_unit_test(test_all_widths),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
