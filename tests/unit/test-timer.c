/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Schedules: what is said of them, and when one is due. */

#include "queue/model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <cmocka.h>

static Now now = { .realtime = 1000 * USEC_PER_SEC };

static Timer *make(Model *m, const char *key, const char *value, const char *persistent) {
        TimerPolicy p = TIMER_POLICY_INIT;

        assert_int_equal(timer_policy_assign(&p, key, value, NULL), 0);
        assert_int_equal(timer_policy_assign(&p, "Persistent", persistent, NULL), 0);
        assert_non_null(p.job = strdup("{}"));
        assert_int_equal(model_timer_set(m, "t", &p, 0, "root", false, &now), 0);
        timers_recorded(&m->timers);
        return model_timer(m, "t");
}

static void fire(Model *m, Timer *t) {
        Firing *f = firing_new(t->name);

        assert_non_null(f);
        f->cause = t->pending_cause;
        f->due = t->pending;
        model_timer_fired(m, t, f, &now);
        timers_recorded(&m->timers);
}

/* However often it is seen, and whatever the clock does: systemd itself changes the time at which it elapsed where that would be in the future. */
static void test_once(void **state) {
        Model *m = model_new();
        Timer *t = make(m, "OnCalendar", "daily", "no");

        model_timer_seen(m, t, 0, 0, 2000, &now);
        assert_int_equal(t->pending, 0);
        model_timer_seen(m, t, 50, 1, 2000, &now);
        model_timer_seen(m, t, 50, 1, 2000, &now);
        assert_true(t->pending == 50 && t->pending_cause == CAUSE_TIMER && t->is_pending);
        model_timer_seen(m, t, 45, 1, 2000, &now);
        assert_int_equal(t->pending, 50);
        fire(m, t);
        assert_true(t->pending == 0 && t->elapsed == 50 && t->mark == 1);
        model_timer_seen(m, t, 50, 1, 2000, &now);
        model_timer_seen(m, t, 45, 1, 2000, &now);
        assert_true(t->pending == 0 && t->n_firings == 1 && !timers_changed(&m->timers));
        model_timer_seen(m, t, 40, 2, 2000, &now); /* it comes again */
        assert_int_equal(t->pending, 40);
        model_free(m);
}

/* Fired, removed, made anew and fired in one turn: the second is its first. */
static void test_another_of_its_name(void **state) {
        Model *m = model_new();
        Timer *t = make(m, "OnUnitActiveSec", "1h", "no");
        const Firing *first;

        for (int i = 0; i < 2; i++) {
                Firing *f = firing_new("t");
                TimerPolicy p = TIMER_POLICY_INIT;

                assert_non_null(f);
                model_timer_fired(m, t, f, &now);
                if (i > 0)
                        break;
                model_timer_remove(m, t);
                assert_true(TAILQ_EMPTY(&m->timers.firings));
                assert_int_equal(timer_policy_assign(&p, "OnUnitActiveSec", "1h", NULL), 0);
                assert_non_null(p.job = strdup("{}"));
                assert_int_equal(model_timer_set(m, "t", &p, 0, "root", false, &now), 0);
        }
        first = TAILQ_FIRST(&m->timers.firings);
        assert_true(first && first->number == 1 && !TAILQ_NEXT(first, entry));
        model_free(m);
}

static void test_missed(void **state) {
        for (int persistent = 0; persistent < 2; persistent++) {
                Model *m = model_new();
                Timer *t = make(m, "OnCalendar", "daily", persistent ? "yes" : "no");

                model_timer_seen(m, t, 0, 0, now.realtime + 1, &now);
                assert_int_equal(timers_changed(&m->timers), persistent); /* that must outlive the unit */
                model_timer_absent(m, t, &now);
                assert_int_equal(t->pending, 0);
                model_timer_seen(m, t, 0, 0, now.realtime, &now);
                model_timer_absent(m, t, &now);
                assert_int_equal(t->pending, persistent ? now.realtime : 0);
                assert_true(!persistent || t->pending_cause == CAUSE_MISSED);
                model_free(m);
        }
}

/* What is to be fired outlives us and the unit until it was: no other time takes its place in the row, and the unit, which would tell of others, is not
 * made before. */
static void test_not_fired_yet(void **state) {
        Model *m = model_new();
        Timer *t = make(m, "OnCalendar", "daily", "yes");

        model_timer_seen(m, t, 0, 0, now.realtime - 5, &now);
        assert_true(timer_may_begin(t) && timer_next(t) == now.realtime - 5);
        for (int i = 0; i < 2; i++) {
                model_timer_absent(m, t, &now);
                assert_true(t->pending_cause == CAUSE_MISSED && !timer_may_begin(t) && timer_next(t) == now.realtime - 5);
        }
        fire(m, t);
        assert_true(timer_may_begin(t) && t->acts && timer_next(t) == USEC_INFINITY);
        model_timer_seen(m, t, now.realtime - 1, 7, now.realtime + 100, &now);
        assert_true(t->pending_cause == CAUSE_TIMER && timer_next(t) == now.realtime - 1);
        model_timer_absent(m, t, &now); /* stopped by somebody */
        assert_true(t->pending_cause == CAUSE_TIMER && timer_next(t) == now.realtime - 1);
        fire(m, t);
        assert_true(t->n_firings == 2 && t->mark == 7);
        model_free(m);
}

/* It passes while there is no unit: before that is made, or just then. */
static void test_passes_meanwhile(void **state) {
        for (int made = 0; made < 2; made++) {
                Model *m = model_new();
                Timer *t = make(m, "OnCalendar", "daily", "yes");
                usec_t due = now.realtime + 1;
                Now then = now;

                model_timer_seen(m, t, 0, 0, due, &now);
                model_timer_absent(m, t, &now);
                assert_true(timer_may_begin(t) && !timer_has_passed(t, &now));
                then.realtime += 5;
                assert_true(timer_has_passed(t, &then));
                if (made)
                        model_timer_seen(m, t, 0, 0, due + 100, &then);
                else
                        model_timer_absent(m, t, &then);
                assert_true(t->pending == due && t->pending_cause == CAUSE_MISSED);
                fire(m, t);
                assert_true(timer_next(t) == (made ? due + 100 : USEC_INFINITY));
                model_timer_seen(m, t, 0, 0, due + 100, &then);
                assert_false(t->is_pending);
                model_free(m);
        }
}

/* Nothing of before counts after it was paused, or is to be at other times; nor does what its unit of then still says. */
static void test_begins_anew(void **state) {
        Model *m = model_new();
        Timer *t = make(m, "OnCalendar", "daily", "yes");
        uint64_t digest = timer_digest(t);

        model_timer_seen(m, t, 50, 1, now.realtime - 1, &now);
        model_timer_pause(m, t, true, &now);
        assert_true(t->pending == 0 && !t->is_pending && !timer_wants_unit(t));
        model_timer_seen(m, t, 60, 2, now.realtime - 1, &now);
        assert_int_equal(t->pending, 0);
        now.realtime++;
        model_timer_pause(m, t, false, &now);
        assert_true(timer_digest(t) != digest);
        model_timer_absent(m, t, &now);
        assert_true(t->pending == 0 && timer_wants_unit(t));
        model_timer_seen(m, t, 70, 3, now.realtime - 1, &now);
        t = make(m, "OnCalendar", "weekly", "yes");
        assert_int_equal(t->pending, 0);
        model_timer_absent(m, t, &now);
        assert_int_equal(t->pending, 0);
        digest = timer_digest(t);
        t = make(m, "OnCalendar", "weekly", "no");
        assert_true(timer_digest(t) == digest); /* its unit is as it was */
        model_timer_remove(m, t);
        assert_null(model_timer(m, "t"));
        assert_int_equal(model_count_timers(m, 0), 0);
        now.realtime++;
        t = make(m, "OnCalendar", "weekly", "yes");
        assert_true(timer_digest(t) != digest);
        assert_true(t->n_firings == 0 && t->elapsed == 0 && model_count_timers(m, 0) == 1);
        model_free(m);
}

static void refused(const char *key, const char *value, const char *why) {
        TimerPolicy p = TIMER_POLICY_INIT;
        char *error = NULL;

        assert_int_equal(timer_policy_assign(&p, key, value, &error), -EINVAL);
        assert_non_null(strstr(error, why));
        free(error);
        timer_policy_done(&p);
}

static void test_policy(void **state) {
        TimerPolicy p = TIMER_POLICY_INIT, q;
        char *error = NULL;

        refused("OnCalendar", "a\nb", "OnCalendar=");
        refused("OnCalendar", "*:*:0/0.001", "without fractions of a second");
        refused("OnCalendar", "*:*:1..5,5.5", "without fractions of a second");
        refused("OnUnitActiveSec", "999ms", "at least 1s");
        refused("OnUnitActiveSec", "infinity", "at least 1s");
        refused("RandomizedDelaySec", "infinity", "a time span");
        refused("AccuracySec", "0", "at least 1us");
        refused("Persistent", "maybe", "a boolean");
        refused("Overlap", "Skip", "skip, queue or replace");
        refused("Unit", "x.service", "unknown key");
        assert_int_equal(timer_policy_check(&p, &error), -EINVAL);
        free(error);
        for (unsigned i = 0; i < TIMER_CALENDARS_MAX; i++)
                assert_int_equal(timer_policy_assign(&p, "OnCalendar", "daily", NULL), 0);
        assert_int_equal(timer_policy_assign(&p, "OnCalendar", "daily", NULL), -EINVAL);
        assert_int_equal(timer_policy_assign(&p, "OnCalendar", "", NULL), 0);
        assert_int_equal(timer_policy_assign(&p, "OnCalendar", "Mon..Fri *-*-01..05 00:00:1..5", NULL), 0);
        assert_int_equal(timer_policy_assign(&p, "OnCalendar", "", NULL), 0);
        assert_int_equal(timer_policy_assign(&p, "OnCalendar", "ab", NULL), 0);
        assert_int_equal(timer_policy_assign(&p, "OnCalendar", "c", NULL), 0);
        assert_int_equal(timer_policy_check(&p, NULL), 0);
        assert_int_equal(timer_policy_copy(&p, &q), 0);
        assert_true(timer_policy_equal(&p, &q));
        assert_int_equal(timer_policy_assign(&q, "OnCalendar", "", NULL), 0);
        assert_int_equal(timer_policy_assign(&q, "OnCalendar", "a", NULL), 0);
        assert_int_equal(timer_policy_assign(&q, "OnCalendar", "bc", NULL), 0);
        assert_false(timer_policy_equal(&p, &q)); /* not the same, one behind the other */
        assert_int_equal(timer_policy_assign(&p, "OnUnitActiveSec", "1h", NULL), 0);
        assert_int_equal(timer_policy_check(&p, NULL), -EINVAL);
        timer_policy_done(&p);
        timer_policy_done(&q);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_once),
                cmocka_unit_test(test_another_of_its_name),
                cmocka_unit_test(test_missed),
                cmocka_unit_test(test_not_fired_yet),
                cmocka_unit_test(test_passes_meanwhile),
                cmocka_unit_test(test_begins_anew),
                cmocka_unit_test(test_policy),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
