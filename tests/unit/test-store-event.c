/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Events: all that are kept are read, in order, from any number on; what is not kept is told; numbers are never used again. */

#include "store-util.h"

#define _cleanup_store_ _cleanup_(store_closep)

typedef struct Read {
        uint64_t numbers[5000];
        size_t n;
        uint64_t last;
} Read;

static int on_events(void *userdata, const char *list, uint64_t last) {
        Read *r = userdata;

        for (const char *p = list; (p = strstr(p, "{\"number\":")); p++)
                r->numbers[r->n++] = strtoull(p + strlen("{\"number\":"), NULL, 10);
        r->last = last;
        return 0;
}

/* All behind this one. */
static int read_after(Store *s, uint64_t after, Read *ret) {
        int r;

        *ret = (Read) { .last = after };
        while ((r = store_read_events(s, ret->last, on_events, ret)) > 0)
                assert_true(ret->n > 0 && ret->numbers[ret->n - 1] == ret->last);
        return r;
}

static void submit_some(Store *s, Model *m, unsigned n, uint64_t max) {
        for (unsigned i = 0; i < n; i++)
                submit(m, add_queue(m, "q"), make_spec("true"));
        record_events(s, m, max);
}

static void test_from_any_number(void **state) {
        static const unsigned commits[] = { 1, 3, 2500, 1, 1000, 7 };
        _cleanup_store_ Store *s = open_memory();
        _cleanup_model_ Model *m = model_new();
        static Read all, some;
        unsigned n = 0;

        assert_int_equal(read_after(s, 0, &all), 0);
        assert_true(all.n == 0 && store_last_event(s) == 0);
        FOREACH_ELEMENT(i, commits) {
                submit_some(s, m, *i, 100000);
                n += *i;
        }
        assert_int_equal(read_after(s, 0, &all), 0);
        assert_int_equal(all.n, n);
        assert_int_equal(all.last, store_last_event(s));
        for (size_t i = 0; i + 1 < all.n; i += i < 1100 ? 1 : 97) {
                assert_true(all.numbers[i] < all.numbers[i + 1]);
                assert_int_equal(read_after(s, all.numbers[i], &some), 0);
                assert_int_equal(some.n, all.n - i - 1);
                assert_int_equal(some.numbers[0], all.numbers[i + 1]);
        }
        assert_int_equal(read_after(s, all.last + 1, &some), -ERANGE);
}

static void test_trimmed(void **state) {
        _cleanup_store_ Store *s = open_memory();
        _cleanup_model_ Model *m = model_new(), *again = NULL;
        static Read all, some;

        for (int i = 0; i < 100; i++) {
                submit_some(s, m, 10, 80);
                assert_int_equal(read_after(s, 0, &all), 0);
                assert_true(all.n <= 90 && (i < 9 || all.n >= 80));
                assert_int_equal(all.last, store_last_event(s));
        }
        for (int i = 0; i < 2; i++) {
                assert_int_equal(read_after(s, all.numbers[0] - 1, &some), 0);
                assert_int_equal(some.n, all.n);
                assert_int_equal(read_after(s, all.numbers[0] - 2, &some), -ERANGE);
                if (!again)
                        again = load(s);
                assert_int_equal(all.last, store_last_event(s));
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_from_any_number),
                cmocka_unit_test(test_trimmed),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
