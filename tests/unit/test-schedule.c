/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Who starts next. Each test is a small tree of queues and what is to be started of it, in which order. */

#include "model-util.h"

/* As the store does: what is ready and fits. Was there a window to be filled? */
static bool refill(Model *m) {
        Group *g = m->schedule.wanted;
        Queue *q = g ? g->level->queue : NULL;

        if (!g)
                return false;
        window_clear(g);
        g->window_more = false;
        for (const Job *j = m->jobs; j; j = j->hh.next)
                if (j->queue == q && j->state == JOB_READY && !queue_too_small(q, j->slots) &&
                    (!q->level.fair || j->owner == g->owner)) {
                        Candidate c = candidate(j);

                        assert_int_equal(window_insert(g, &c, queue_window_max(g)), 0);
                }
        queue_window_changed(g);
        return true;
}

/* Start what may start, as daemon/settle.c does; "3 1 2": the ids in their order. */
static void expect_starts(Model *m, const char *ids) {
        _cleanup_free_ char *text = NULL;
        size_t size;
        FILE *f = open_memstream(&text, &size);
        Candidate c;
        Queue *q;

        assert_non_null(f);
        do {
                schedule_begin(m);
                while (schedule_next(m, &c, &q)) {
                        Job *j = model_job(m, c.id);

                        assert_non_null(j);
                        assert_ptr_equal(j->queue, q);
                        assert_null(queue_lacking_at(q, c.slots));
                        start(m, j);
                        fprintf(f, "%s%" PRIu64, ftell(f) > 0 ? " " : "", c.id);
                }
        } while (refill(m));
        fclose(f);
        assert_string_equal(text, ids);
        check_model(m);
}

static void expect_reason(Model *m, const Job *j, const char *text) {
        _cleanup_free_ char *s = schedule_reason(m, j, j->queue, &now);

        assert_string_equal(s, text);
}

static void finish(Model *m, Job *j) {
        Attempt *a = j->live;

        end(m, a, JOB_SUCCESS);
        model_attempt_gone(m, a);
}

static void test_order(void **state) {
        _cleanup_model_ Model *m = make_model();
        Queue *a = make_queue(m, "a", UINT32_MAX), *b = make_queue(m, "b", UINT32_MAX);

        submit(m, a, 1, 0);
        submit(m, b, 1, 5);
        submit(m, b, 1, 0);
        submit(m, a, 1, 5);
        submit(m, a, 1, -1000);
        submit(m, b, 1, 1000);
        expect_starts(m, "6 2 4 1 3 5");
        expect_starts(m, "");
}

static void test_own_cap(void **state) {
        _cleanup_model_ Model *m = make_model();
        Queue *a = make_queue(m, "a", 2), *b = make_queue(m, "b", 1);
        Job *one = submit(m, a, 1, 0);

        submit(m, a, 1, 0);
        submit(m, a, 1, 0);
        submit(m, b, 1, 0);
        submit(m, b, 1, 0);
        /* The full queue blocks nobody else. */
        expect_starts(m, "1 2 4");
        expect_reason(m, model_job(m, 3), "cap of a: 2 of 2");
        expect_reason(m, one, "");
        end(m, one->live, JOB_SUCCESS);
        expect_starts(m, ""); /* its unit is still there */
        for (Attempt *x = m->attempts, *t; x; x = t) {
                t = x->hh.next;
                if (x->phase == ATTEMPT_ENDED)
                        model_attempt_gone(m, x);
        }
        schedule_begin(m);
        expect_reason(m, model_job(m, 3), "its turn is next");
        expect_starts(m, "3");
}

static void test_ancestor_cap(void **state) {
        _cleanup_model_ Model *m = make_model();
        Queue *ga = make_queue(m, "g-a", UINT32_MAX), *gb = make_queue(m, "g-b", 2), *g = make_queue(m, "g", 3),
              *other = make_queue(m, "o", UINT32_MAX);

        submit(m, ga, 1, 0);
        submit(m, gb, 1, 0);
        submit(m, g, 1, 0);
        submit(m, ga, 1, 0);
        submit(m, g, 1, 0);
        submit(m, other, 1, -5);
        expect_starts(m, "1 2 3 6");
        expect_reason(m, model_job(m, 4), "cap of g: 3 of 3");
        finish(m, model_job(m, 2));
        expect_starts(m, "4");
}

/* A wide job that lacks slots of an ancestor: later ones below it wait, earlier ones and others do not. */
static void test_no_starvation(void **state) {
        _cleanup_model_ Model *m = make_model();
        Queue *ga = make_queue(m, "g-a", UINT32_MAX), *gb = make_queue(m, "g-b", UINT32_MAX), *g = make_queue(m, "g", 4),
              *other = make_queue(m, "o", 2);

        submit(m, gb, 1, 0);
        submit(m, ga, 4, 0);
        submit(m, gb, 1, 0);
        submit(m, g, 1, 0);
        submit(m, ga, 1, 0);
        submit(m, other, 1, 0);
        submit(m, gb, 1, 1);
        expect_starts(m, "7 1 6");
        expect_reason(m, model_job(m, 2), "needs 4, cap of g: 2 of 4");
        finish(m, model_job(m, 7));
        expect_starts(m, "");
        finish(m, model_job(m, 1));
        expect_starts(m, "2");
        finish(m, model_job(m, 2));
        expect_starts(m, "3 4 5");

        /* The same at one's own level: nobody else waits, one's own later ones do. */
        submit(m, other, 2, 0);
        submit(m, other, 1, 0);
        expect_starts(m, "");
        finish(m, model_job(m, 6));
        expect_starts(m, "8");
}

/* A queue that has jobs of its own and queues below it: those below take slots of it too, and do not overtake one that waits for
 * them, or they would for ever. What came before goes on. */
static void test_own_cap_with_children(void **state) {
        _cleanup_model_ Model *m = make_model();
        Queue *ga = make_queue(m, "g-a", UINT32_MAX), *g = make_queue(m, "g", 2);

        submit(m, ga, 1, 0);
        submit(m, g, 2, 0);
        submit(m, ga, 1, 0);
        submit(m, g, 1, 0);
        expect_starts(m, "1");
        submit(m, ga, 1, 1);
        expect_starts(m, "5");
        finish(m, model_job(m, 1));
        expect_starts(m, "");
        finish(m, model_job(m, 5));
        expect_starts(m, "2");
        finish(m, model_job(m, 2));
        expect_starts(m, "3 4");
}

/* In a deeper tree only the subtree of the level that lacks slots is blocked. */
static void test_blocked_level(void **state) {
        _cleanup_model_ Model *m = make_model();
        Queue *abc = make_queue(m, "a-b-c", UINT32_MAX), *abd = make_queue(m, "a-b-d", UINT32_MAX),
              *ae = make_queue(m, "a-e", UINT32_MAX);

        make_queue(m, "a-b", 2);
        make_queue(m, "a", 4);
        submit(m, abd, 1, 0);
        submit(m, abc, 2, 0);
        submit(m, abd, 1, 0);
        submit(m, ae, 1, 0);
        submit(m, ae, 1, 0);
        submit(m, ae, 1, 0);
        submit(m, ae, 1, 0);
        expect_starts(m, "1 4 5 6");
}

static void test_pause(void **state) {
        _cleanup_model_ Model *m = make_model();
        Queue *ab = make_queue(m, "a-b", 4), *a = make_queue(m, "a", 4), *c = make_queue(m, "c", 4);

        submit(m, ab, 1, 10);
        submit(m, a, 1, 5);
        submit(m, c, 1, 0);
        model_queue_pause(m, a, true);
        expect_reason(m, model_job(m, 1), "queue a is paused");
        expect_starts(m, "3");
        model_queue_pause(m, a, false);
        model_queue_pause(m, ab, true);
        expect_starts(m, "2");
        expect_reason(m, model_job(m, 1), "queue a-b is paused");
        model_queue_pause(m, ab, false);
        expect_starts(m, "1");
        /* Draining lets go on what is there. */
        model_queue_drain(m, a, true);
        model_retry(m, ({ Job *j = model_job(m, 1); finish(m, j); j; }), 1, 0, &now);
        expect_starts(m, "1");
}

static void test_too_wide(void **state) {
        _cleanup_model_ Model *m = make_model();
        Queue *gb = make_queue(m, "g-b", 8), *g = make_queue(m, "g", 8);

        submit(m, gb, 4, 10);
        submit(m, gb, 1, 0);
        submit(m, g, 4, 5);
        submit(m, g, 1, 0);
        g->policy.slots = 2;
        m->schedule.stale = true;
        expect_reason(m, model_job(m, 1), "needs 4, cap of g is 2");
        expect_starts(m, "2 4");
        assert_int_equal(gb->count[JOB_READY], 1);
        assert_int_equal(g->count[JOB_READY], 1);
}

/* Passed over ones fill the window, while smaller ones are on disk only: those must be asked for. */
static void test_window_of_too_wide(void **state) {
        _cleanup_model_ Model *m = make_model();
        Queue *g = make_queue(m, "g", 8), *gb = make_queue(m, "g-b", 8);
        Candidate c;
        Queue *q;

        for (unsigned i = 0; i < QUEUE_WINDOW; i++)
                submit(m, gb, 4, 0);
        submit(m, gb, 1, 0);
        assert_true(gb->level.all.window_more);
        g->policy.slots = 2;
        m->schedule.stale = true;
        schedule_begin(m);
        assert_false(schedule_next(m, &c, &q));
        assert_true(m->schedule.wanted == &gb->level.all);

        /* What the store then gives. */
        queue_window_clear(gb);
        gb->level.all.window_more = false; /* as store_load_window() leaves it */
        assert_int_equal(queue_window_insert(gb, &(Candidate) { .id = QUEUE_WINDOW + 1, .slots = 1 }), 0);
        schedule_begin(m);
        assert_true(schedule_next(m, &c, &q));
        assert_int_equal(c.id, QUEUE_WINDOW + 1);
        start(m, model_job(m, c.id));
        assert_false(schedule_next(m, &c, &q));
        assert_false(m->schedule.wanted == &gb->level.all); /* or the store would be asked for ever */
}

static void test_window_dry(void **state) {
        _cleanup_model_ Model *m = make_model();
        Queue *a = make_queue(m, "a", 4), *q;
        Candidate c;

        submit(m, a, 1, 0);
        submit(m, a, 1, 0);
        queue_window_clear(a);
        schedule_begin(m);
        assert_false(schedule_next(m, &c, &q));
        assert_true(m->schedule.wanted == &a->level.all);

        /* Nobody is ready, or nobody may start: the store is left alone. */
        model_queue_pause(m, a, true);
        schedule_begin(m);
        assert_false(schedule_next(m, &c, &q));
        assert_false(m->schedule.wanted == &a->level.all);
        model_queue_pause(m, a, false);
        model_hold(m, model_job(m, 1), &now);
        model_hold(m, model_job(m, 2), &now);
        schedule_begin(m);
        assert_false(schedule_next(m, &c, &q));
        assert_false(m->schedule.wanted == &a->level.all);
}

/* What lies on disk may be better than what is in memory: nobody starts before it was looked at. */
static void test_dry_goes_first(void **state) {
        _cleanup_model_ Model *m = make_model();
        Queue *ga = make_queue(m, "g-a", UINT32_MAX), *gb = make_queue(m, "g-b", UINT32_MAX), *q;
        Candidate c;

        make_queue(m, "g", 1);
        submit(m, ga, 1, 10);
        submit(m, gb, 1, 0);
        queue_window_clear(ga);
        schedule_begin(m);
        assert_false(schedule_next(m, &c, &q));
        assert_true(m->schedule.wanted == &ga->level.all);
        expect_starts(m, "1");
}

static void test_blocked(void **state) {
        _cleanup_model_ Model *m = make_model();
        Queue *a = make_queue(m, "a", UINT32_MAX), *nofile = make_queue(m, "x", UINT32_MAX);

        nofile->configured = false;
        for (unsigned i = 0; i < 4; i++)
                submit(m, a, 1, 0);
        submit(m, nofile, 1, 1000);
        m->dispatch_blocked = "storage";
        expect_starts(m, "");
        expect_reason(m, model_job(m, 1), "storage");
        m->dispatch_blocked = NULL;

        m->starting_max = 1;
        expect_starts(m, "1");
        expect_starts(m, "");
        model_attempt_started(m, model_job(m, 1)->live, invocation, now.realtime, now.monotonic);
        expect_starts(m, "2");
        m->starting_max = 3;
        expect_starts(m, "3 4");
        expect_reason(m, model_job(m, 5), "its queue has no file");

        /* An ancestor without a file caps nothing and stops nobody. */
        submit(m, make_queue(m, "x-y", 1), 1, 0);
        finish(m, model_job(m, 1));
        finish(m, model_job(m, 2));
        finish(m, model_job(m, 3));
        expect_starts(m, "6");
}

static void test_skip(void **state) {
        _cleanup_model_ Model *m = make_model();
        Queue *a = make_queue(m, "a", 4), *q;
        Candidate c;

        for (unsigned i = 0; i < 3; i++)
                submit(m, a, 1, 0);
        schedule_begin(m);
        assert_true(schedule_next(m, &c, &q));
        assert_int_equal(c.id, 1);
        schedule_skip(q, c.owner);
        assert_true(schedule_next(m, &c, &q));
        assert_int_equal(c.id, 2);
        start(m, model_job(m, 2));
        assert_true(schedule_next(m, &c, &q));
        assert_int_equal(c.id, 3);
        schedule_skip(q, c.owner);
        assert_false(schedule_next(m, &c, &q));
        assert_false(m->schedule.wanted == &a->level.all);
        expect_starts(m, "1 3"); /* the next turn looks again */
}

/* More than a window of them: those behind are on disk, and can start. */
static void test_skip_window(void **state) {
        _cleanup_model_ Model *m = make_model();
        Queue *a = make_queue(m, "a", 4), *q;
        Candidate c;

        for (unsigned i = 0; i < QUEUE_WINDOW + 2; i++)
                submit(m, a, 1, 0);
        m->schedule.n_away = QUEUE_WINDOW + 1;
        for (unsigned i = 0; i < 2; i++) { /* nor is the next turn another one */
                schedule_begin(m);
                for (unsigned skipped = 0; skipped < QUEUE_WINDOW + 1;)
                        if (schedule_next(m, &c, &q)) {
                                assert_int_equal(c.id, ++skipped);
                                schedule_skip(q, c.owner);
                        } else {
                                assert_true(refill(m));
                                skipped = 0;
                        }
        }
        assert_true(schedule_next(m, &c, &q));
        assert_int_equal(c.id, QUEUE_WINDOW + 2);
        schedule_skip(q, c.owner);
        assert_false(schedule_next(m, &c, &q));
        assert_null(m->schedule.wanted);
}

/* It is the true head of what there is also when it may hold less than it does. */
static void test_window_shrinks(void **state) {
        _cleanup_model_ Model *m = make_model();
        Group *g = &make_queue(m, "a", 4)->level.all;

        for (unsigned i = 1; i <= 6; i++)
                assert_int_equal(window_insert(g, &(Candidate) { .rank = 2 * i, .id = i, .slots = 1 }, 8), 0);
        assert_int_equal(window_insert(g, &(Candidate) { .rank = 9, .id = 7, .slots = 1 }, 3), 0);
        assert_int_equal(g->n_window, 3);
        assert_true(g->window_more);
}

static void test_reasons(void **state) {
        _cleanup_model_ Model *m = make_model();
        Queue *a = make_queue(m, "a", 1);
        JobSpec *later = make_spec(1, 0), *held = make_spec(1, 0);
        Job *j;

        held->hold = true;
        later->not_before_usec = now.realtime + SEC;
        expect_reason(m, submit_spec(m, a, held), "held");
        expect_reason(m, submit_spec(m, a, later), "waits for its time, in 1 s");
        j = submit(m, a, 1, 0);
        expect_reason(m, j, "its turn is next");
        expect_starts(m, "3");
        expect_reason(m, j, "");
        end(m, j->live, JOB_EXIT_CODE);
        expect_reason(m, j, "");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_order),
                cmocka_unit_test(test_own_cap),
                cmocka_unit_test(test_ancestor_cap),
                cmocka_unit_test(test_no_starvation),
                cmocka_unit_test(test_own_cap_with_children),
                cmocka_unit_test(test_blocked_level),
                cmocka_unit_test(test_pause),
                cmocka_unit_test(test_too_wide),
                cmocka_unit_test(test_window_of_too_wide),
                cmocka_unit_test(test_window_dry),
                cmocka_unit_test(test_dry_goes_first),
                cmocka_unit_test(test_blocked),
                cmocka_unit_test(test_skip),
                cmocka_unit_test(test_skip_window),
                cmocka_unit_test(test_window_shrinks),
                cmocka_unit_test(test_reasons),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
