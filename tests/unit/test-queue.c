/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The tree, slots and their numbers, the window of ready jobs. */

#include "model-util.h"

static void test_names(void **state) {
        static const struct {
                const char *name, *parent, *slice;
        } good[] = {
                { "gpu", NULL, "jobmill-gpu.slice" },
                { "gpu-train", "gpu", "jobmill-gpu-train.slice" },
                { "a-b-c", "a-b", "jobmill-a-b-c.slice" },
                { "_0-9", "_0", "jobmill-_0-9.slice" },
        };
        static const char *const slices[] = {
                "", "jobmill.slice", "jobmill-.slice", "jobmill-gpu.service", "jobmill-GPU.slice", "jobmill-a--b.slice",
                "user-gpu.slice", "jobmill-a-.slice", "jobmill-a.b.slice", "jobmill-gpu", "jobmill-gpu.slice.slice",
        };

        FOREACH_ELEMENT(i, good) {
                _cleanup_free_ char *parent = queue_parent_name(i->name), *slice = queue_slice_name(i->name),
                                    *back = queue_name_from_slice(i->slice);

                if (i->parent)
                        assert_string_equal(parent, i->parent);
                else
                        assert_null(parent);
                assert_string_equal(slice, i->slice);
                assert_string_equal(back, i->name);
        }
        FOREACH_ELEMENT(i, slices)
                assert_null(queue_name_from_slice(*i));
}

static void test_tree(void **state) {
        _cleanup_model_ Model *m = make_model();
        Queue *abc, *ab, *a, *same;

        assert_int_equal(model_queue_add(m, "a-b-c", &abc), 0);
        ab = model_queue(m, "a-b");
        a = model_queue(m, "a");
        assert_ptr_equal(abc->parent, ab);
        assert_ptr_equal(ab->parent, a);
        assert_null(a->parent);
        assert_int_equal(HASH_COUNT(m->queues), 3);
        /* An ancestor without a file exists, uncapped. */
        assert_false(a->configured);
        assert_int_equal(a->policy.slots, UINT32_MAX);
        assert_int_equal(model_queue_add(m, "a-b", &same), 0);
        assert_ptr_equal(same, ab);
        assert_int_equal(model_queue_add(m, "a-b-c", NULL), 0);
        assert_int_equal(HASH_COUNT(m->queues), 3);
        assert_null(model_queue(m, "a-c"));
        assert_int_equal(model_queue_add(m, "a-", NULL), -EINVAL);
        assert_int_equal(model_queue_add(m, "", NULL), -EINVAL);
        assert_int_equal(model_queue_add(m, "A", NULL), -EINVAL);
        /* A queue that only came to be is nothing to be recorded. */
        assert_false(model_has_changes(m));
}

static void test_flags(void **state) {
        _cleanup_model_ Model *m = make_model();
        Queue *ab = make_queue(m, "a-b", 4), *a = make_queue(m, "a", 8), *c = make_queue(m, "c", 1);

        assert_null(queue_paused_at(ab));
        model_queue_pause(m, a, true);
        assert_ptr_equal(queue_paused_at(ab), a);
        model_queue_pause(m, ab, true);
        assert_ptr_equal(queue_paused_at(ab), ab);
        assert_ptr_equal(queue_paused_at(a), a);
        assert_null(queue_paused_at(c));
        assert_false(a->told);
        model_queue_drain(m, a, true);
        assert_ptr_equal(queue_draining_at(ab), a);
        assert_null(queue_draining_at(c));

        model_recorded(m);
        assert_false(model_has_changes(m));
        a->told = true;
        model_queue_pause(m, a, true); /* nothing new */
        model_queue_drain(m, a, true);
        assert_false(model_has_changes(m));
        assert_true(a->told);
        model_queue_drain(m, a, false);
        assert_true(model_has_changes(m));
        assert_false(a->told);
}

static void test_caps(void **state) {
        _cleanup_model_ Model *m = make_model();
        Queue *ab = make_queue(m, "a-b", 4), *ac = make_queue(m, "a-c", UINT32_MAX), *a = make_queue(m, "a", 5);
        Attempt x = { .slots = 3 }, y = { .slots = 2 };

        assert_ptr_equal(queue_too_small(ab, 6), ab);
        assert_ptr_equal(queue_too_small(ab, 5), ab);
        assert_null(queue_too_small(ab, 4));
        assert_ptr_equal(queue_too_small(ac, 6), a);
        assert_null(queue_too_small(ac, 5));

        assert_int_equal(queue_take_slots(ab, &x), 0);
        assert_int_equal(ab->slots_used, 3);
        assert_int_equal(a->slots_used, 3);
        assert_int_equal(ac->slots_used, 0);
        assert_ptr_equal(queue_lacking_at(ab, 2), ab);
        assert_null(queue_lacking_at(ab, 1));
        assert_ptr_equal(queue_lacking_at(ac, 3), a);
        assert_null(queue_lacking_at(ac, 2));
        assert_int_equal(queue_take_slots(ac, &y), 0);
        assert_int_equal(a->slots_used, 5);
        assert_ptr_equal(queue_lacking_at(ac, 1), a);
        assert_ptr_equal(queue_lacking_at(ab, 1), a);
        /* Lowered below what is in use. */
        a->policy.slots = 1;
        assert_ptr_equal(queue_lacking_at(ac, 1), a);
        assert_ptr_equal(queue_lacking_at(ac, 0), a);
        /* No cap: not even near the end of the numbers. */
        a->policy.slots = UINT32_MAX;
        assert_null(queue_lacking_at(ac, UINT32_MAX));

        queue_give_slots_back(&x);
        assert_null(x.queue);
        queue_give_slots_back(&x); /* once only */
        assert_int_equal(a->slots_used, 2);
        assert_int_equal(ab->slots_used, 0);
        queue_give_slots_back(&y);
        assert_int_equal(a->slots_used, 0);
        free(x.slot_numbers);
        free(y.slot_numbers);
}

static void expect_numbers(const Attempt *a, const char *text) {
        _cleanup_free_ char *s = attempt_slot_numbers_to_string(a);

        assert_string_equal(s, text);
}

static void test_numbers(void **state) {
        _cleanup_model_ Model *m = make_model();
        Queue *gpu_a = make_queue(m, "gpu-a", 4), *gpu_b = make_queue(m, "gpu-b", 4), *gpu = make_queue(m, "gpu", 8);
        Attempt a[4] = { { .slots = 2 }, { .slots = 1 }, { .slots = 3 }, { .slots = 1 } };

        /* Without SlotVariable= each queue numbers for itself. */
        assert_ptr_equal(queue_slot_owner(gpu_a), gpu_a);
        assert_int_equal(queue_take_slots(gpu_a, a), 0);
        assert_int_equal(queue_take_slots(gpu_b, a + 1), 0);
        expect_numbers(a, "0,1");
        expect_numbers(a + 1, "0");
        queue_give_slots_back(a);
        queue_give_slots_back(a + 1);
        free(TAKE_PTR(a[0].slot_numbers));
        free(TAKE_PTR(a[1].slot_numbers));

        /* With it all below share, lowest free first. */
        gpu->policy.slot_variable = strdup("CUDA_VISIBLE_DEVICES");
        assert_ptr_equal(queue_slot_owner(gpu_a), gpu);
        assert_int_equal(queue_take_slots(gpu_a, a), 0);
        assert_int_equal(queue_take_slots(gpu_b, a + 1), 0);
        expect_numbers(a, "0,1");
        expect_numbers(a + 1, "2");
        queue_give_slots_back(a);
        assert_int_equal(queue_take_slots(gpu_b, a + 2), 0);
        expect_numbers(a + 2, "0,1,3");
        /* The nearest that sets it. */
        gpu_a->policy.slot_variable = strdup("A");
        assert_ptr_equal(queue_slot_owner(gpu_a), gpu_a);
        assert_int_equal(queue_take_slots(gpu_a, a + 3), 0);
        expect_numbers(a + 3, "0");
        FOREACH_ELEMENT(i, a) {
                queue_give_slots_back(i);
                free(i->slot_numbers);
        }
}

/* Attempts that come with numbers (from the store, strays) may overlap: a number is free when the last has given it back. */
static void test_adopted_numbers(void **state) {
        _cleanup_model_ Model *m = make_model();
        Queue *q = make_queue(m, "q", UINT32_MAX);
        Attempt a = { .slots = 2 }, b = { .slots = 2 }, c = { .slots = 1 }, d = { .slots = 2 };
        uint32_t n;

        assert_int_equal(attempt_slot_numbers_from_string("0,200", &a.slot_numbers, &n), 0);
        assert_int_equal(attempt_slot_numbers_from_string("0,0", &b.slot_numbers, &n), 0);
        assert_int_equal(queue_take_slots(q, &a), 0);
        assert_int_equal(queue_take_slots(q, &b), 0);
        expect_numbers(&a, "0,200");
        assert_int_equal(q->slots_used, 4);
        queue_give_slots_back(&b);
        assert_int_equal(queue_take_slots(q, &c), 0);
        expect_numbers(&c, "1"); /* 0 is still a's */
        queue_give_slots_back(&a);
        assert_int_equal(queue_take_slots(q, &d), 0);
        expect_numbers(&d, "0,2");
        queue_give_slots_back(&c);
        queue_give_slots_back(&d);
        assert_int_equal(q->slots_used, 0);
        free(a.slot_numbers);
        free(b.slot_numbers);
        free(c.slot_numbers);
        free(d.slot_numbers);
}

/* ---- window ---- */

static void insert(Queue *q, int64_t rank, uint64_t id) {
        assert_int_equal(queue_window_insert(q, &(Candidate) { .rank = rank, .id = id, .slots = 1 }), 0);
}

static void test_window(void **state) {
        _cleanup_(queue_freep) Queue *q = queue_new("q");

        insert(q, 0, 5);
        insert(q, -10, 9);
        insert(q, 0, 3);
        insert(q, 0, 3); /* twice is once */
        assert_int_equal(q->level.all.n_window, 3);
        assert_true(q->level.all.window[0].id == 9 && q->level.all.window[1].id == 3 && q->level.all.window[2].id == 5);
        queue_window_remove(q, 0, 3);
        queue_window_remove(q, 0, 4); /* not in it */
        assert_int_equal(q->level.all.n_window, 2);
        assert_false(q->level.all.window_more);

        /* The store has some that may lie between: nothing is put behind. */
        q->level.all.window_more = true;
        insert(q, 0, 6);
        assert_int_equal(q->level.all.n_window, 2);
        insert(q, 0, 4);
        assert_int_equal(q->level.all.n_window, 3);

        queue_window_clear(q);
        assert_int_equal(q->level.all.n_window, 0);
        assert_true(q->level.all.window_more);
        insert(q, -1000, 1); /* the store may have a better one */
        assert_int_equal(q->level.all.n_window, 0);
}

static void test_window_overflow(void **state) {
        _cleanup_(queue_freep) Queue *q = queue_new("q");

        for (uint64_t id = 1; id <= QUEUE_WINDOW; id++)
                insert(q, 0, id);
        assert_int_equal(q->level.all.n_window, QUEUE_WINDOW);
        assert_false(q->level.all.window_more);
        insert(q, 0, QUEUE_WINDOW + 1); /* falls out at once */
        assert_int_equal(q->level.all.n_window, QUEUE_WINDOW);
        assert_true(q->level.all.window_more);
        assert_true(q->level.all.window[QUEUE_WINDOW - 1].id == QUEUE_WINDOW);
        insert(q, -1, QUEUE_WINDOW + 2); /* pushes the last out */
        assert_int_equal(q->level.all.n_window, QUEUE_WINDOW);
        assert_true(q->level.all.window[0].id == QUEUE_WINDOW + 2);
        assert_true(q->level.all.window[QUEUE_WINDOW - 1].id == QUEUE_WINDOW - 1);
        queue_window_remove(q, 0, 1);
        insert(q, 0, QUEUE_WINDOW + 3); /* there is room, but not for what lies behind */
        assert_int_equal(q->level.all.n_window, QUEUE_WINDOW - 1);
}

static int compare(const void *x, const void *y) {
        const Candidate *a = x, *b = y;

        if (a->rank != b->rank)
                return a->rank < b->rank ? -1 : 1;
        return a->id < b->id ? -1 : a->id > b->id;
}

/* The window is always the head of the sorted backlog, whole where nothing is on disk only. */
static void check_window(const Queue *q, Candidate *all, size_t n) {
        qsort(all, n, sizeof(Candidate), compare);
        assert_true(q->level.all.n_window <= MIN(n, (size_t) QUEUE_WINDOW));
        for (size_t i = 0; i < q->level.all.n_window; i++)
                assert_memory_equal(q->level.all.window + i, all + i, sizeof(Candidate));
        if (!q->level.all.window_more)
                assert_int_equal(q->level.all.n_window, n);
}

static void test_window_random(void **state) {
        _cleanup_(queue_freep) Queue *q = queue_new("q");
        static Candidate all[1000];
        unsigned overflowed = 0;
        uint64_t next_id = 1;
        size_t n = 0;

        srandom(1);
        for (unsigned round = 0; round < 20000; round++) {
                /* Grows and shrinks, so that the window is full at times and runs dry at others. */
                bool grow = (round / 1500) % 2 == 0 ? random() % 4 > 0 : random() % 4 == 0;

                if (grow && n < ELEMENTSOF(all)) {
                        Candidate c = {};
                        c.rank = random() % 5;
                        c.id = next_id++;
                        c.slots = 1;
                        assert_int_equal(queue_window_insert(q, &c), 0);
                        all[n++] = c;
                } else if (n > 0) {
                        /* Started from the head, or cancelled anywhere. */
                        size_t i = random() % 2 && q->level.all.n_window > 0 ? 0 : random() % n;
                        queue_window_remove(q, 0, all[i].id);
                        all[i] = all[--n];
                }
                qsort(all, n, sizeof(Candidate), compare);
                overflowed += q->level.all.window_more;
                if (q->level.all.n_window == 0 && q->level.all.window_more) { /* as the store fills it */
                        q->level.all.window_more = false;
                        for (size_t i = 0; i < MIN(n, (size_t) QUEUE_WINDOW); i++)
                                assert_int_equal(queue_window_insert(q, all + i), 0);
                        q->level.all.window_more = n > QUEUE_WINDOW;
                }
                if (round % 16 == 0)
                        check_window(q, all, n);
        }
        assert_true(overflowed > 1000 && overflowed < 19000);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_names),
                cmocka_unit_test(test_tree),
                cmocka_unit_test(test_flags),
                cmocka_unit_test(test_caps),
                cmocka_unit_test(test_numbers),
                cmocka_unit_test(test_adopted_numbers),
                cmocka_unit_test(test_window),
                cmocka_unit_test(test_window_overflow),
                cmocka_unit_test(test_window_random),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
