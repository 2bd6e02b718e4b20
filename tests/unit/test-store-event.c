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

        /* Not strstr(): that of the sanitizers looks at all that is left, each time. */
        for (const char *p = list; *p; p++)
                if (*p == '{' && startswith(p, "{\"number\":"))
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

/* At least so many as are wanted are kept, also where rows are long. */
static void test_kept(void **state) {
        _cleanup_store_ Store *s = open_memory();
        _cleanup_model_ Model *m = model_new();

        for (int i = 0; i < 4; i++) {
                submit_some(s, m, 1500, 1000);
                assert_in_range(number(s, "SELECT sum(n) FROM event"), 1000, 2124);
        }
}

#define INSERT_EVENTS(from, n) \
        "WITH RECURSIVE i(x) AS (VALUES(0) UNION ALL SELECT x + 1 FROM i WHERE x + 1 < " #n ")" \
        " INSERT INTO event SELECT " #from " + x, 1, '{\"number\":' || (" #from " + x) || '}' FROM i;"

/* Where far too many are kept, they go little by little; how many there are is told without a look at each. */
static void test_trimmed_in_pieces(void **state) {
        _cleanup_store_ Store *s = open_memory();
        _cleanup_model_ Model *m = NULL;
        int64_t n = 20131, left;

        assert_int_equal(store_exec(s, INSERT_EVENTS(1, 10000) INSERT_EVENTS((1 << 32) + 1, 131) INSERT_EVENTS((7 << 32) + 1, 10000)), 0);
        m = load(s);
        assert_int_equal(s->event.count, n);
        assert_int_equal(store_last_event(s), (UINT64_C(7) << 32) + 10000);
        assert_in_range(sqlite3_stmt_status(s->statements[STMT_EVENT_NEXT_START], SQLITE_STMTSTATUS_VM_STEP, false), 1, 500);
        for (unsigned i = 0; n > 1125; i++, n = left) {
                assert_true(i < 12);
                submit_some(s, m, 10, 1000);
                left = number(s, "SELECT sum(n) FROM event");
                assert_true(left < n && n - left <= 2020 && left >= 1000);
                assert_int_equal(s->event.count, left);
        }
}

/* What is said to be the last is an event, also in the eyes of the next daemon: it goes on after it. */
static void test_commit_without_events(void **state) {
        _cleanup_store_ Store *s = open_memory();
        _cleanup_model_ Model *m = model_new(), *again = NULL;
        Read some;
        uint64_t last;

        submit_some(s, m, 3, 100);
        s->starts = 2;
        last = store_last_event(s);
        model_queue_changed(m, add_queue(m, "q"));
        record(s, m);
        assert_int_equal(store_last_event(s), last);
        again = load(s);
        assert_int_equal(store_last_event(s), last);
        submit_some(s, again, 2, 100);
        assert_int_equal(read_after(s, last, &some), 0);
        assert_true(some.n == 2 && some.numbers[0] == (UINT64_C(2) << 32) + 1);
}

/* Those that a power cut took: who was told of them is told so, whatever comes after. */
static void test_cut_off(void **state) {
        _cleanup_store_ Store *s = open_memory();
        _cleanup_model_ Model *m = model_new(), *again = NULL;
        uint64_t kept, lost;
        Read some;

        s->starts = 1;
        submit_some(s, m, 3, 100);
        kept = store_last_event(s);
        submit_some(s, m, 3, 100);
        lost = store_last_event(s);
        assert_int_equal(store_exec(s, "DELETE FROM event WHERE first > (1 << 32) + 3"), 0);
        s->starts = 2;
        again = load(s);
        assert_int_equal(read_after(s, lost, &some), -ERANGE);
        submit_some(s, again, 5, 100);
        for (uint64_t i = kept + 1; i <= lost; i++)
                assert_int_equal(read_after(s, i, &some), -ERANGE);
        assert_int_equal(read_after(s, kept, &some), 0);
        assert_int_equal(some.n, 5);
}

/* Nobody goes on after what he was told before, and all do after what he is told now. */
static void check_forgotten(Store *s, uint64_t before) {
        _cleanup_model_ Model *m = load(s);
        uint64_t last = store_last_event(s);
        Read some;

        assert_true(last > before);
        for (int i = 0; i < 2; i++) {
                for (uint64_t k = before - 2; k <= before + 2; k++)
                        assert_int_equal(read_after(s, k, &some), -ERANGE);
                assert_int_equal(read_after(s, 0, &some), 0);
                assert_int_equal(some.n, i);
                assert_int_equal(read_after(s, last, &some), 0);
                assert_int_equal(some.n, i);
                submit_some(s, m, 1, 100);
        }
}

static void test_old_copy(void **state) {
        _cleanup_directory_ Directory d = make_directory();
        _cleanup_store_ Store *s = NULL;
        _cleanup_model_ Model *m = model_new();
        _cleanup_free_ char *path = NULL;
        bool restored;
        FILE *f;

        assert_int_equal(store_open(d.file, &s, NULL), 0);
        assert_int_equal(store_starts_raise(s, &restored), 0);
        submit_some(s, m, 5, 100);
        assert_true(asprintf(&path, "%s/starts", d.path) > 0);
        f = fopen(path, "w");
        assert_non_null(f);
        fputs("5\n100\n", f);
        assert_int_equal(fclose(f), 0);
        assert_int_equal(store_starts_raise(s, &restored), 0);
        assert_true(restored);
        check_forgotten(s, (UINT64_C(5) << 32) + 7);
        /* What came since is not undone, only because nobody has accepted that yet. */
        assert_int_equal(store_starts_raise(s, &restored), 0);
        assert_true(restored);
        assert_int_equal(number(s, "SELECT count(*) FROM event"), 2);
}

static int on_finding(void *userdata, const StoreFinding *f) {
        return 0;
}

static void test_repaired(void **state) {
        _cleanup_store_ Store *s = open_memory();
        _cleanup_model_ Model *m = model_new();
        uint64_t last;

        submit_some(s, m, 5, 100);
        (void) start(s, m, 1);
        record_events(s, m, 100);
        last = store_last_event(s);
        assert_int_equal(store_repair(s, 0, on_finding, NULL), 0);
        assert_int_equal(number(s, "SELECT sum(n) FROM event"), last);
        assert_int_equal(store_exec(s, "DELETE FROM attempt"), 0);
        assert_int_equal(store_repair(s, 0, on_finding, NULL), 1);
        assert_int_equal(number(s, "SELECT count(*) FROM job WHERE result = 'lost'"), 1);
        check_forgotten(s, last);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_from_any_number),
                cmocka_unit_test(test_trimmed),
                cmocka_unit_test(test_kept),
                cmocka_unit_test(test_trimmed_in_pieces),
                cmocka_unit_test(test_commit_without_events),
                cmocka_unit_test(test_cut_off),
                cmocka_unit_test(test_old_copy),
                cmocka_unit_test(test_repaired),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
