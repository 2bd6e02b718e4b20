/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The order of a queue: AgeingSec=, Fair=user, and how queues compete for the slots of the one that they lie in; then the two bounds
 * that follow from it, by lot: nobody who shares fairly has more than his part while others wait, and nobody waits for ever. */

#include "model-util.h"

static JobSpec *urgent(int32_t priority, uint32_t slots) {
        return make_spec(slots, priority);
}

static Job *submit_as(Model *m, Queue *q, uint32_t owner, int32_t priority, uint32_t slots) {
        char *error = NULL;
        Job *j = NULL;

        assert_int_equal(model_submit(m, q, urgent(priority, slots), owner, "x", &now, &j, &error), 0);
        return j;
}

/* As the store does. */
static bool refill(Model *m) {
        Group *g = m->schedule.wanted;
        Queue *q = g ? g->level->queue : NULL;

        if (!g)
                return false;
        window_clear(g);
        g->window_more = false;
        for (const Job *j = m->jobs; j; j = j->hh.next)
                if (j->queue == q && j->state == JOB_READY && !queue_too_small(q, j->slots) && (!q->level.fair || j->owner == g->owner)) {
                        Candidate c = candidate(j);

                        assert_int_equal(window_insert(g, &c, queue_window_max(g)), 0);
                }
        queue_window_changed(g);
        return true;
}

/* The next that may start, started; 0: none. */
static uint64_t next(Model *m) {
        Candidate c;
        Queue *q;

        do {
                schedule_begin(m);
                if (schedule_next(m, &c, &q)) {
                        start(m, model_job(m, c.id));
                        return c.id;
                }
        } while (refill(m));
        return 0;
}

static void set_order(Model *m, Queue *q, usec_t ageing, bool fair) {
        q->policy.ageing_usec = ageing;
        q->policy.fair = fair;
        m->schedule.stale = true;
        schedule_begin(m);
        if (!m->reranking)
                return;
        /* What store_rerank() does is done by memory here, where all jobs are. */
        model_rerank_read_again(m);
        model_rerank_done(m);
}

static void expect_starts(Model *m, const char *ids) {
        _cleanup_free_ char *text = NULL;
        size_t size;
        FILE *f = open_memstream(&text, &size);
        uint64_t id;

        assert_non_null(f);
        while ((id = next(m)) > 0)
                fprintf(f, "%s%" PRIu64, ftell(f) > 0 ? " " : "", id);
        fclose(f);
        assert_string_equal(text, ids);
        check_model(m);
}

static void finish(Model *m, uint64_t id) {
        Attempt *a = model_job(m, id)->live;

        end(m, a, JOB_SUCCESS);
        model_attempt_gone(m, a);
}

static void test_rank(void **state) {
        assert_int_equal(rank_of(0, 7, 123), -7);
        assert_int_equal(rank_of(0, -1000, INT64_MAX), 1000);
        assert_int_equal(rank_of(10, 3, 1000), 970);
        assert_int_equal(rank_of(10, -3, 1000), 1030);
        assert_true(rank_of(366 * 24 * 3600 * SEC, 1000, 0) > INT64_MIN / 2); /* far from the end */
        assert_int_equal(rank_of(UINT64_MAX, 2, 0), INT64_MIN);
        assert_int_equal(rank_of(UINT64_MAX, -2, 0), INT64_MAX);
        assert_int_equal(rank_of(INT64_MAX, 1, INT64_MIN), INT64_MIN);
        assert_int_equal(rank_of(INT64_MAX, -1, INT64_MAX), INT64_MAX);
}

/* One step of priority is worth ten seconds of age. */
static void test_ageing(void **state) {
        _cleanup_model_ Model *m = make_model();
        Queue *q = make_queue(m, "q", 1);

        q->policy.ageing_usec = 10 * SEC;
        submit(m, q, 1, 0);
        now.even += 15 * SEC;
        submit(m, q, 1, 1); /* ten ahead, fifteen younger */
        submit(m, q, 1, 2);
        now.even += 10 * SEC;
        submit(m, q, 1, 2); /* twenty ahead, twenty-five younger than the first */
        expect_starts(m, "3");
        finish(m, 3);
        expect_starts(m, "1");
        finish(m, 1);
        expect_starts(m, "2"); /* of the same rank the oldest */
        finish(m, 2);
        expect_starts(m, "4");
}

/* The clock is set back: what comes later is not older for that. */
static void test_key(void **state) {
        _cleanup_model_ Model *m = make_model();
        Queue *q = make_queue(m, "q", 1);
        Job *first;

        q->policy.ageing_usec = SEC;
        first = submit(m, q, 1, 0);
        now.even -= 500 * SEC;
        assert_int_equal(submit(m, q, 1, 0)->submission_key, first->submission_key);
        now.even += 501 * SEC;
        assert_int_equal(submit(m, q, 1, 0)->submission_key, first->submission_key + (int64_t) SEC);
        expect_starts(m, "1");
}

static void test_fair(void **state) {
        _cleanup_model_ Model *m = make_model();
        Queue *q = make_queue(m, "q", 4);

        set_order(m, q, 0, true);
        for (unsigned i = 0; i < 6; i++)
                submit_as(m, q, 1000, 0, 1); /* 1 … 6 */
        submit_as(m, q, 1001, 0, 1);
        submit_as(m, q, 1001, 0, 1);
        submit_as(m, q, 1002, 0, 1);
        submit_as(m, q, 1000, 1, 1); /* 10: what is more urgent goes first, whoever it is */
        expect_starts(m, "10 7 9 1");
        finish(m, 7);
        expect_starts(m, "8"); /* he has nothing now */
        finish(m, 9);
        expect_starts(m, "2"); /* the other two have nothing that waits */
        finish(m, 8);
        submit_as(m, q, 1003, 0, 1);
        expect_starts(m, "11");
}

/* Nothing of his fits, so nothing is kept of him; then there is room, and another one of his is let go before anybody has looked. */
static void test_fair_after_a_reload(void **state) {
        _cleanup_model_ Model *m = make_model();
        Queue *q = make_queue(m, "q", 4);
        Job *held;

        set_order(m, q, 0, true);
        submit_as(m, q, 1000, 0, 2);
        held = submit_as(m, q, 1000, 0, 1);
        assert_int_equal(model_hold(m, held, &now), 0);
        q->policy.slots = 1;
        queue_window_clear(q);
        expect_starts(m, "");
        assert_null(level_group(&q->level, 1000));
        q->policy.slots = 4;
        queue_window_clear(q);
        assert_int_equal(model_release(m, held, &now), 0);
        expect_starts(m, "1 2");
}

/* Slots count, not jobs, in all of the subtree; those below offer what they would take. */
static void test_fair_tree(void **state) {
        _cleanup_model_ Model *m = make_model();
        Queue *g = make_queue(m, "g", 6), *ga = make_queue(m, "g-a", UINT32_MAX), *gb = make_queue(m, "g-b", UINT32_MAX);

        set_order(m, g, 0, true);
        submit_as(m, ga, 1000, 0, 3);
        submit_as(m, ga, 1000, 0, 1);
        submit_as(m, gb, 1001, 0, 1);
        submit_as(m, gb, 1001, 0, 1);
        submit_as(m, g, 1001, 0, 1);
        expect_starts(m, "1 3 4 5");
        finish(m, 1);
        expect_starts(m, "2");
}

/* Two queues compete for the slots of a third by its order, not by their own; and at the root by priority, then id. */
static void test_siblings(void **state) {
        _cleanup_model_ Model *m = make_model();
        Queue *g = make_queue(m, "g", 1), *ga = make_queue(m, "g-a", UINT32_MAX), *gb = make_queue(m, "g-b", UINT32_MAX),
              *o = make_queue(m, "o", UINT32_MAX);

        g->policy.ageing_usec = 10 * SEC;
        submit(m, ga, 1, 0);
        now.even += 25 * SEC;
        submit(m, gb, 1, 2); /* twenty ahead, but twenty-five younger */
        submit(m, gb, 1, 1);
        submit(m, o, 1, 1);
        expect_starts(m, "4 1");
        finish(m, 1);
        expect_starts(m, "2"); /* in g-b itself priority counts alone */
        finish(m, 2);
        submit(m, g, 1, 1);
        expect_starts(m, "3"); /* g's own are in it as well: of the same rank the older */
        finish(m, 3);
        expect_starts(m, "5");
}

static void test_change(void **state) {
        _cleanup_model_ Model *m = make_model();
        Queue *q = make_queue(m, "q", 1);

        submit_as(m, q, 1000, 0, 1);
        now.even += 60 * SEC;
        submit_as(m, q, 1001, 5, 1);
        submit_as(m, q, 1001, 0, 1);
        expect_starts(m, "2");
        submit_as(m, q, 1001, 5, 1);
        set_order(m, q, 10 * SEC, false);
        finish(m, 2);
        expect_starts(m, "1");
        set_order(m, q, 0, true);
        submit_as(m, q, 1000, 5, 1);
        finish(m, 1);
        expect_starts(m, "4");
        set_order(m, q, 10 * SEC, true); /* where it is fair, age counts for nothing else */
        finish(m, 4);
        expect_starts(m, "5");
        set_order(m, q, 0, false);
        finish(m, 5);
        expect_starts(m, "3");
}

/* What is being changed is known with the row, so that it is begun again after a crash. */
static void test_change_is_marked(void **state) {
        _cleanup_model_ Model *m = make_model();
        Queue *q = make_queue(m, "q", 1), *empty = make_queue(m, "e", 1);

        q->policy.fair = empty->policy.fair = true;
        submit(m, q, 1, 0);
        model_recorded(m);
        m->schedule.stale = true;
        schedule_begin(m);
        assert_true(m->reranking && q->reranking && q->changed && q->ranked_fair);
        assert_true(!empty->reranking && empty->changed && empty->ranked_fair); /* nothing to be done */
        assert_false(queue_is_fair(q));
        m->reranked = 17;
        q->policy.ageing_usec = SEC; /* of no effect */
        m->schedule.stale = true;
        schedule_begin(m);
        assert_int_equal(m->reranked, 17);
        q->policy.fair = false;
        m->schedule.stale = true;
        schedule_begin(m);
        assert_int_equal(m->reranked, 0); /* again from the beginning */
        model_rerank_done(m);
        assert_true(!q->reranking && q->ranked_ageing == SEC && !q->ranked_fair);
}

/* There and back within a turn: what became ready in between has the order that it came to. */
static void test_changed_back(void **state) {
        _cleanup_model_ Model *m = make_model();
        Queue *q = make_queue(m, "q", 1);
        Job *j;

        q->policy.ageing_usec = 10 * SEC;
        j = submit(m, q, 1, 0);
        q->policy.ageing_usec = 0;
        m->schedule.stale = true;
        schedule_begin(m);
        assert_false(m->reranking);
        assert_int_equal(j->rank, -j->priority);
}

/* ---- bounds, by lot ---- */

static unsigned any(unsigned n) {
        return (unsigned) random() % n;
}

/* While two users both have jobs waiting, of equal priority and one slot each, one never has more than one more than the other. */
static void test_fair_bound(void **state) {
        enum { USERS = 5 };
        for (unsigned round = 0; round < 200; round++) {
                _cleanup_model_ Model *m = make_model();
                Queue *q = make_queue(m, "q", 1 + any(12));
                unsigned uses[USERS] = {}, ready[USERS] = {};

                set_order(m, q, 0, true);
                for (unsigned i = 0; i < 150; i++) {
                        unsigned user = any(USERS);
                        uint64_t id;

                        if (any(3) > 0) {
                                submit_as(m, q, 1000 + user, 0, 1);
                                ready[user]++;
                        } else
                                for (const Job *j = m->jobs; j; j = j->hh.next)
                                        if (j->live && j->owner == 1000 + user) {
                                                finish(m, j->id);
                                                uses[user]--;
                                                break;
                                        }
                        while ((id = next(m)) > 0) {
                                user = model_job(m, id)->owner - 1000;
                                for (unsigned o = 0; o < USERS; o++)
                                        if (ready[o] > 0 && uses[o] < uses[user])
                                                fail_msg("%u starts one with %u, while %u waits with %u", user, uses[user], o, uses[o]);
                                uses[user]++;
                                ready[user]--;
                        }
                }
        }
}

/* From the moment that a job is the first of its level, nobody starts there before it, however wide it is; and with ageing it is
 * first as soon as those that came at most (difference of priority) × AgeingSec after it are through. */
static void test_no_starvation(void **state) {
        unsigned passed = 0;

        for (unsigned round = 0; round < 200; round++) {
                _cleanup_model_ Model *m = make_model();
                Queue *q = make_queue(m, "q", 8), *below = make_queue(m, "q-b", UINT32_MAX);
                uint64_t victim = 0;

                q->policy.ageing_usec = below->policy.ageing_usec = 10 * SEC;
                for (unsigned i = 0; i < 150; i++) {
                        uint64_t id;
                        Job *j;

                        now.even += any(3) * SEC;
                        if (i == 10)
                                victim = submit(m, any(2) ? q : below, 8, -2)->id;
                        else
                                submit(m, any(2) ? q : below, 1 + any(3), any(5));
                        while ((id = next(m)) > 0) {
                                const Job *v = victim ? model_job(m, victim) : NULL;

                                j = model_job(m, id);
                                if (v && v->state == JOB_READY &&
                                    j->submission_key > v->submission_key + (j->priority - v->priority) * (int64_t) (10 * SEC))
                                        fail_msg("%" PRIu64 " overtakes", id);
                                passed += id == victim;
                        }
                        for (const Job *x = m->jobs, *t; x; x = t) {
                                t = x->hh.next;
                                if (x->live && any(4) == 0)
                                        finish(m, x->id);
                        }
                }
        }
        assert_true(passed > 190);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_rank),
                cmocka_unit_test(test_ageing),
                cmocka_unit_test(test_key),
                cmocka_unit_test(test_fair),
                cmocka_unit_test(test_fair_after_a_reload),
                cmocka_unit_test(test_fair_tree),
                cmocka_unit_test(test_siblings),
                cmocka_unit_test(test_change),
                cmocka_unit_test(test_change_is_marked),
                cmocka_unit_test(test_changed_back),
                cmocka_unit_test(test_fair_bound),
                cmocka_unit_test(test_no_starvation),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
