/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Backstop=: what the manager is told of a cap. */

#include "model-util.h"

#include "unit/backstop.h"

static uint32_t count(Model *m, const Queue *q) {
        backstops_count(m);
        return backstop_of(q);
}

static void test_number(void **state) {
        _cleanup_model_ Model *m = make_model();
        Queue *g = make_queue(m, "g", 4), *ga = make_queue(m, "g-a", 2), *o = make_queue(m, "o", UINT32_MAX), *file = make_queue(m, "f", 1);

        (void) make_queue(m, "g-a-b", 1);
        (void) make_queue(m, "gg-a", 1);
        assert_int_equal(count(m, g), UINT32_MAX);
        g->policy.backstop = ga->policy.backstop = o->policy.backstop = file->policy.backstop = true;
        assert_int_equal(count(m, g), 4 + 2 + 32);
        assert_int_equal(count(m, ga), 2 + 1 + 32);
        assert_int_equal(count(m, o), UINT32_MAX); /* there is nothing to hold */
        ga->configured = false; /* there is its slice all the same */
        assert_int_equal(count(m, g), 4 + 2 + 32);
        model_queue(m, "g-a-b")->configured = false; /* removed */
        assert_int_equal(count(m, g), 4 + 32);
        file->configured = false;
        assert_int_equal(count(m, file), UINT32_MAX);
}

int main(void) {
        const struct CMUnitTest tests[] = { cmocka_unit_test(test_number) };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
