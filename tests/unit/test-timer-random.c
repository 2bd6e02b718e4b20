/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Schedules under all that happens to them, at random: times elapse, the clock is set, jobmilld and the machine die at any moment, commits fail, users pause.
 * What must come of it is said by a few words that know nothing of the rules: something is owed when the timer has elapsed, or when the time that was
 * recorded has passed without a timer; each firing takes what is owed, all at once; none is without it. */

#include "queue/model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#define PERIOD (10 * USEC_PER_SEC)

/* Of the manager. */
typedef struct TimerBox {
        bool there, running;
        uint64_t digest;
        usec_t last, mark, next;
} TimerBox;

typedef struct World {
        unsigned seed;
        Now now;
        bool persistent, usable; /* usable: who its owner is, is known */
        TimerBox unit;
        uint64_t asked; /* to make one of this digest; 0: no */
        Model *m;      /* NULL: no daemon */
        Timer row;     /* as it was committed last */
        bool owed;     /* something is to be fired */
        bool may;      /* or perhaps: where nobody can know, as what was to be known was not recorded */
        unsigned fired;
} World;

static unsigned pick(World *w, unsigned n) {
        return (unsigned) rand_r(&w->seed) % n;
}

static usec_t after(usec_t t) {
        return (t / PERIOD + 1) * PERIOD;
}

/* ---- the daemon, as daemon/ and unit/ drive it ---- */

static Timer *timer(World *w) {
        return model_timer(w->m, "t");
}

static void load(World *w) {
        Timer *t = timer_new("t");
        Timer kept = *t;

        *t = w->row;
        t->name = kept.name;
        t->policy = kept.policy;
        t->policy.persistent = w->persistent;
        t->configured = true;
        w->m = model_new();
        w->m->timers.kept_max = 1;
        model_timer_add(w->m, t);
}

static void kill_daemon(World *w) {
        bool found_late = w->unit.there && w->unit.mark == 0; /* it passed just while the unit was made: only the daemon knew */

        w->may = w->may || (w->owed && found_late);
        w->owed = w->owed && !found_late;
        w->m = model_free(w->m);
}

/* false: it was not recorded, and all is as it was. */
static bool commit(World *w) {
        Timer *t = timer(w);

        if (pick(w, 8) == 0) {
                kill_daemon(w);
                load(w);
                return false;
        }
        if (t->changed)
                w->row = (Timer) { .policy = TIMER_POLICY_INIT, .set = t->set, .elapsed = t->elapsed, .mark = t->mark, .next = timer_next(t), .paused = t->paused,
                                   .n_firings = t->n_firings };
        timers_recorded(&w->m->timers);
        return true;
}

static void turn(World *w) {
        Timer *t = timer(w);
        unsigned before = w->row.n_firings;

        if (t->is_pending && w->usable) {
                Firing *f = firing_new("t");

                f->cause = t->pending_cause;
                f->due = t->pending;
                model_timer_fired(w->m, t, f, &w->now);
        }
        if (!commit(w) || w->row.n_firings == before)
                return;
        assert_true(w->owed || w->may);
        w->owed = w->may = false;
        w->fired++;
}

static void look(World *w) {
        Timer *t = timer(w);
        TimerBox *u = &w->unit;

        if (w->asked || (u->there && u->running))
                return;
        if (!u->there)
                model_timer_absent(w->m, t, &w->now);
        else if (!timer_wants_unit(t) || u->digest != timer_digest(t))
                *u = (TimerBox) {};
        else
                model_timer_seen(w->m, t, u->last, u->mark, u->next, &w->now);
        turn(w);
}

static void make_unit(World *w) {
        Timer *t = timer(w);

        if (w->unit.there || w->asked || t->unit != TIMER_ABSENT || !timer_may_begin(t))
                return;
        if (timer_has_passed(t, &w->now))
                model_timer_absent(w->m, t, &w->now);
        else {
                w->asked = timer_digest(t);
                t->unit = TIMER_THERE;
        }
}

static void answer(World *w) {
        if (w->asked)
                w->unit = (TimerBox) { .there = true, .digest = w->asked, .next = after(w->now.realtime) };
        w->asked = 0;
}

/* ---- what happens ---- */

/* By what is recorded alone: a time that has passed, of a timer that there is not. */
static void owe_missed(World *w) {
        if (!w->unit.there && w->persistent && !w->row.paused && w->row.next <= w->now.realtime)
                w->owed = true;
}

static void pass(World *w, usec_t monotonic, int64_t set) {
        TimerBox *u = &w->unit;

        w->now.monotonic += monotonic;
        w->now.realtime += monotonic + set;
        if (set < 0) { /* what has been promised is another time, which it is not told of before a look */
                w->may = w->may || !u->there || (u->last > w->now.realtime && u->mark != w->row.mark);
                w->owed = w->owed && (u->there || w->row.next <= w->now.realtime); /* else it comes again */
                u->last = MIN(u->last, w->now.realtime);
                u->next = u->running ? u->next : after(w->now.realtime);
        }
        if (u->there && !u->running && u->next <= w->now.realtime) {
                u->last = w->now.realtime;
                u->mark = w->now.monotonic;
                u->running = true;
                if (u->digest == timer_digest(&w->row) && !w->row.paused)
                        w->owed = true;
        }
        owe_missed(w);
}

static void lose_unit(World *w) {
        bool known = w->row.next <= w->now.realtime;

        w->may = w->may || w->owed;
        w->owed = w->owed && w->persistent && known;
        w->unit = (TimerBox) {};
        owe_missed(w);
}

static void reboot(World *w) {
        kill_daemon(w);
        lose_unit(w);
        w->now.monotonic = pick(w, 1000);
        w->asked = 0;
        w->now.realtime += PERIOD * pick(w, 4);
        owe_missed(w);
}

static void pause_or_resume(World *w) {
        Timer *t = timer(w);
        bool was = w->row.paused;

        model_timer_pause(w->m, t, !t->paused, &w->now);
        turn(w);
        if (w->row.paused != was)
                w->owed = w->may = false;
}

static void happen(World *w) {
        switch (pick(w, 16)) {
        case 0:
                return w->m ? kill_daemon(w) : load(w);
        case 1:
                return pick(w, 4) == 0 ? reboot(w) : (void) 0;
        case 2:
                return pick(w, 4) == 0 ? pass(w, 1, (int64_t) pick(w, 2 * PERIOD) - (int64_t) PERIOD) : (void) 0;
        case 3:
                return pick(w, 4) == 0 ? lose_unit(w) : (void) 0;
        case 4:
                return w->m && pick(w, 4) == 0 ? pause_or_resume(w) : (void) 0;
        case 5:
                w->usable = !w->usable;
                return;
        case 6 ... 8:
                return pass(w, 1 + pick(w, PERIOD), 0);
        case 9 ... 10:
                w->unit.next = w->unit.running ? after(w->now.realtime) : w->unit.next;
                w->unit.running = false;
                return;
        case 11:
                if (w->m)
                        make_unit(w);
                return pick(w, 2) == 0 ? answer(w) : (void) 0;
        default:
                return w->m ? look(w) : (void) 0;
        }
}

/* Nothing more happens: then nothing stays owed. */
static void come_to_rest(World *w) {
        w->unit.next = w->unit.running ? after(w->now.realtime) : w->unit.next;
        w->unit.running = false;
        w->usable = true;
        if (!w->m)
                load(w);
        for (unsigned i = 0; i < 40; i++) {
                answer(w);
                look(w);
                make_unit(w);
        }
        assert_false(w->owed);
        assert_true(w->unit.there != w->row.paused);
}

static unsigned play(unsigned seed) {
        World w = { .seed = seed, .now = { .realtime = 1000 * PERIOD, .monotonic = 5 }, .persistent = seed % 2, .usable = true };

        w.row = (Timer) { .policy = TIMER_POLICY_INIT, .set = 1, .next = USEC_INFINITY };
        load(&w);
        for (unsigned i = 0; i < 300; i++) {
                happen(&w);
                if (i % 20 == 19)
                        come_to_rest(&w);
        }
        kill_daemon(&w);
        return w.fired;
}

static unsigned playing;

static int tell_seed(void **state) {
        print_message("JOBMILL_TIMER_SEED=%u was the last one\n", playing);
        return 0;
}

static void test_random(void **state) {
        const char *text = getenv("JOBMILL_TIMER_SEED");
        unsigned first = text ? atoi(text) : 0, last = text ? first : 3000;
        unsigned fired = 0;

        for (playing = first; playing <= last; playing++)
                fired += play(playing);
        assert_true(text || fired > last); /* or nothing has happened */
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_teardown(test_random, tell_seed),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
