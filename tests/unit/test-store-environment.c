/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Environments in the store: one row for a content, exact counts, and nothing left when the last job lets go of it. */

#include "store-util.h"

#define _cleanup_store_ _cleanup_(store_closep)

static void drop_environment(Store *s, Model *m, uint64_t id) {
        Job *j = fetch(s, m, id);

        j->spec_dropped = true;
        model_job_changed(m, j);
}

static void test_environment(void **state) {
        _cleanup_store_ Store *s = open_memory();
        _cleanup_model_ Model *m = model_new();
        _cleanup_(spec_freep) JobSpec *spec = NULL;
        uint64_t a[4], b, plain;

        a[0] = submit_with(m, "A=1");
        b = submit_with(m, "B=1");
        a[1] = submit_with(m, "A=1");
        a[2] = submit_with(m, "A=1");
        plain = submit(m, add_queue(m, "q"), make_spec("true"));
        record(s, m);
        a[3] = submit_with(m, "A=1");
        record(s, m);
        assert_int_equal(number(s, "SELECT count(*) FROM environment"), 2);
        assert_int_equal(number(s, "SELECT refs FROM environment ORDER BY refs DESC"), 4);
        assert_environment(s, a[3], "A=1");
        assert_environment(s, b, "B=1");

        for (unsigned i = 0; i < 3; i++) {
                drop_environment(s, m, a[i]);
                record(s, m);
                drop_environment(s, m, a[i]); /* once more is the same as once */
                record(s, m);
                assert_int_equal(load_spec(s, a[i], &spec), -ENODATA);
                assert_environment(s, a[3], "A=1");
        }
        drop_environment(s, m, b);
        drop_environment(s, m, a[3]);
        drop_environment(s, m, plain);
        record(s, m);
        assert_int_equal(number(s, "SELECT count(*) FROM environment"), 0);
        assert_int_equal(number(s, "SELECT count(*) FROM environment_content"), 0);
        assert_int_equal(load_spec(s, plain, &spec), 0); /* never had one */
        assert_null(spec->environment);

        /* The cache does not remember what is gone. */
        a[0] = submit_with(m, "A=1");
        record(s, m);
        assert_environment(s, a[0], "A=1");

        /* In one turn: in and out again. */
        b = submit_with(m, "C=1");
        model_job(m, b)->spec_dropped = true;
        record(s, m);
        assert_int_equal(number(s, "SELECT count(*) FROM environment"), 1);
        spec = spec_free(spec);
        assert_int_equal(load_spec(s, b, &spec), -ENODATA);
}

/* Two contents with one hash: the second gets a row of its own. */
static void test_environment_collision(void **state) {
        _cleanup_store_ Store *s = open_memory();
        _cleanup_model_ Model *m = model_new();
        uint64_t mine, other;

        other = submit_with(m, "SECRET=1");
        record(s, m);
        mine = submit_with(m, "MINE=1");
        record(s, m);
        assert_int_equal(store_exec(s, "UPDATE environment SET hash = (SELECT hash FROM environment WHERE id = 2)"), 0);
        assert_int_equal(store_exec(s, "UPDATE job SET environment = NULL WHERE id = 2;"
                                       "DELETE FROM environment WHERE id = 2;"
                                       "DELETE FROM environment_content WHERE environment = 2"), 0);
        store_environment_forget(s);
        mine = submit_with(m, "MINE=1");
        record(s, m);
        assert_environment(s, mine, "MINE=1");
        assert_environment(s, other, "SECRET=1");
        assert_int_equal(number(s, "SELECT count(DISTINCT hash) FROM environment"), 1);
        assert_int_equal(number(s, "SELECT count(*) FROM environment"), 2);
}

static void test_environment_damaged(void **state) {
        _cleanup_store_ Store *s = open_memory();
        _cleanup_model_ Model *m = model_new();
        _cleanup_(spec_freep) JobSpec *spec = NULL;
        uint64_t id = submit_with(m, "A=1");

        record(s, m);
        assert_int_equal(store_exec(s, "UPDATE environment_content SET content = x'41'"), 0);
        assert_int_equal(load_spec(s, id, &spec), -EUCLEAN);
        assert_int_equal(store_exec(s, "DELETE FROM environment_content"), 0);
        assert_int_equal(load_spec(s, id, &spec), -EUCLEAN);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_environment),
                cmocka_unit_test(test_environment_collision),
                cmocka_unit_test(test_environment_damaged),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
