/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The rate of starts: exactly what is promised, at random too, and what survives in a text. */

#include "queue/rate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define SEC USEC_PER_SEC

static void test_parse(void **state) {
        static const struct { const char *text; int r; uint32_t n; usec_t span; } cases[] = {
                { "10/1min", 0, 10, 60 * SEC },
                { "1/500ms", 0, 1, SEC / 2 },
                { "10000/1d", 0, 10000, 86400 * SEC },
                { "3/10", 0, 3, 10 * SEC },
                { "0/1s", -ERANGE, 0, 0 },
                { "10001/1s", -ERANGE, 0, 0 },
                { "1/0", -ERANGE, 0, 0 },
                { "1/500us", -ERANGE, 0, 0 },
                { "1/infinity", -ERANGE, 0, 0 },
                { "10", -EINVAL, 0, 0 },
                { "/1s", -EINVAL, 0, 0 },
                { "1/", -EINVAL, 0, 0 },
                { "-1/1s", -EINVAL, 0, 0 },
                { "1.5/1s", -EINVAL, 0, 0 },
                { "1/1s/1s", -EINVAL, 0, 0 },
                { "", -EINVAL, 0, 0 },
        };

        FOREACH_ELEMENT(c, cases) {
                RateLimit l = {};

                if (rate_limit_parse(c->text, &l) != c->r || l.n != c->n || l.span != c->span)
                        fail_msg("%s", c->text);
        }
}

static void test_exact(void **state) {
        RateLimit l = { 3, 10 * SEC };
        RateWindow w = {};

        assert_true(rate_next(&w, &l, 100 * SEC) == 100 * SEC);
        rate_started(&w, &l, 100 * SEC);
        rate_started(&w, &l, 100 * SEC);
        assert_true(rate_next(&w, &l, 104 * SEC) == 104 * SEC);
        rate_started(&w, &l, 104 * SEC);
        assert_true(rate_next(&w, &l, 104 * SEC) == 110 * SEC);
        assert_true(rate_next(&w, &l, 110 * SEC - 1) == 110 * SEC);
        assert_true(rate_next(&w, &l, 110 * SEC) == 110 * SEC);
        rate_started(&w, &l, 110 * SEC);
        rate_started(&w, &l, 110 * SEC);
        assert_true(rate_next(&w, &l, 111 * SEC) == 114 * SEC);
        /* Lowered: two have to be gone. */
        l.n = 1;
        assert_true(rate_next(&w, &l, 111 * SEC) == 120 * SEC);
        l.n = 5;
        assert_true(rate_next(&w, &l, 111 * SEC) == 111 * SEC);
        l = (RateLimit) { 3, 5 * SEC };
        assert_true(rate_next(&w, &l, 112 * SEC) == 112 * SEC);
}

/* Whatever N and SPAN and when: never more than N in any window. And what is exact comes as early as it may. */
static void test_promise(void **state) {
        srandom(7);
        for (unsigned round = 0; round < 400; round++) {
                RateLimit l = { 1 + random() % (round % 2 ? RATE_EXACT : 200), (1 + random() % 50) * 100 * USEC_PER_MSEC };
                RateWindow w = {};
                usec_t starts[600], now = 1000 * SEC + random();
                size_t n = 0, first;

                while (n < ELEMENTSOF(starts)) {
                        usec_t next = rate_next(&w, &l, now);

                        assert_in_range(w.n, 0, RATE_ENTRIES);
                        for (first = 0; first < n && starts[first] + l.span <= now;)
                                first++;
                        if (next > now) {
                                if (l.n <= RATE_EXACT) {
                                        assert_int_equal(n - first, l.n);
                                        assert_true(next == starts[first] + l.span);
                                } else /* by not much later than it could be; twice that where the clock was set */
                                        assert_true(next <= starts[n - l.n] + l.span + 2 * (l.span / RATE_EXACT + 1));
                                now = random() % 3 ? next : now + random() % (next - now);
                                continue;
                        }
                        assert_true(n - first < l.n);
                        starts[n++] = now;
                        rate_started(&w, &l, now);
                        now += random() % 3 ? 0 : random() % (l.span / l.n * 3);
                        if (random() % 50 == 0) { /* over a restart, and with the clock set */
                                _cleanup_free_ char *text = rate_to_string(&w);
                                int64_t step = random() % 2 ? 1000 * (int64_t) SEC : 0;

                                assert_int_equal(rate_from_string(text, step, &w), 0);
                                now += step;
                                for (size_t i = 0; i < n; i++)
                                        starts[i] += step;
                        }
                }
                for (size_t i = l.n; i < n; i++)
                        assert_true(starts[i] - starts[i - l.n] >= l.span);
        }
}

/* Of a clock that was wrong: nothing waits for years. */
static void test_future(void **state) {
        RateLimit l = { 2, 10 * SEC };
        RateWindow w = {};

        rate_started(&w, &l, 1000000 * SEC);
        rate_started(&w, &l, 1000001 * SEC);
        assert_true(rate_next(&w, &l, 500 * SEC) == 510 * SEC);
        assert_true(rate_next(&w, &l, 510 * SEC) == 510 * SEC);
        rate_started(&w, &l, 510 * SEC);
        rate_moved(&w, -100 * (int64_t) SEC);
        assert_true(w.starts[w.n - 1].at == 410 * SEC);
        rate_moved(&w, -(int64_t) (9000 * SEC));
        assert_true(w.starts[0].at == 0);
}

static void test_text(void **state) {
        static const char *const bad[] = { "x", "1:", "1:0", "-1", "1 x", "1,2", "99999999999999999999", "1:99999999999", ":1", " 1" };
        _cleanup_free_ char *text = NULL, *empty = NULL;
        RateLimit l = { 5, SEC };
        RateWindow w = {}, v;

        empty = rate_to_string(&w);
        assert_string_equal(empty, "");
        assert_int_equal(rate_from_string(empty, 5, &v), 0);
        assert_int_equal(v.n, 0);
        rate_started(&w, &l, 10);
        rate_started(&w, &l, 20);
        rate_started(&w, &l, 20);
        text = rate_to_string(&w);
        assert_string_equal(text, "10 20:2");
        assert_int_equal(rate_from_string(text, 5, &v), 0);
        assert_true(v.n == 2 && v.starts[0].at == 15 && v.starts[1].at == 25 && v.starts[1].n == 2);
        FOREACH_ELEMENT(i, bad)
                if (rate_from_string(*i, 0, &v) != -EINVAL)
                        fail_msg("%s", *i);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_parse), cmocka_unit_test(test_exact), cmocka_unit_test(test_promise),
                cmocka_unit_test(test_future), cmocka_unit_test(test_text),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
