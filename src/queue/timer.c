/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* See timer.h. The rules of firing are these: a time that the unit tells is fired for unless it is the one that was fired for last, by the monotonic
 * clock (by that of the wall it may change, or come again: systemd itself changes it where the clock is set back); where the unit is missing, and
 * the policy is persistent, the next time that was recorded is one that was missed if it has passed. A policy that is set, or resumed, knows no time
 * before that. */

#include "queue/timer.h"

#include "base/string-table.h"
#include "base/time-util.h"
#include "queue/model.h"

static const char *const cause_table[] = {
        [CAUSE_TIMER] = "timer",
        [CAUSE_MISSED] = "missed",
        [CAUSE_MANUAL] = "manual",
};
DEFINE_STRING_TABLE_LOOKUP(cause, Cause);

void timers_init(Timers *l) {
        TAILQ_INIT(&l->changed);
        TAILQ_INIT(&l->pending);
        TAILQ_INIT(&l->act);
        TAILQ_INIT(&l->firings);
        l->kept_max = UINT64_MAX;
}

Timer *timer_new(const char *name) {
        Timer *t = new0(Timer, 1);

        if (!t)
                return NULL;
        t->policy = (TimerPolicy) TIMER_POLICY_INIT;
        t->next = USEC_INFINITY;
        t->name = strdup(name);
        return t->name ? t : timer_free(t);
}

Timer *timer_free(Timer *t) {
        if (!t)
                return NULL;
        timer_policy_done(&t->policy);
        free(t->owner_name);
        free(t->fault);
        free(t->name);
        return mfree(t);
}

Firing *firing_new(const char *timer) {
        Firing *f = new0(Firing, 1);

        if (!f)
                return NULL;
        f->timer = strdup(timer);
        return f->timer ? f : firing_free(f);
}

Firing *firing_free(Firing *f) {
        if (!f)
                return NULL;
        free(f->timer);
        free(f->note);
        return mfree(f);
}

static void firings_free(struct FiringList *l) {
        for (Firing *f; (f = TAILQ_FIRST(l));) {
                TAILQ_REMOVE(l, f, entry);
                firing_free(f);
        }
}

void timers_done(Timers *l) {
        Timer *t, *n;

        HASH_ITER(hh, l->all, t, n) {
                HASH_DEL(l->all, t);
                timer_free(t);
        }
        firings_free(&l->firings);
}

bool timers_changed(const Timers *l) {
        return !TAILQ_EMPTY(&l->changed) || !TAILQ_EMPTY(&l->firings);
}

static void timer_act(Timers *l, Timer *t) {
        if (!t->acts)
                TAILQ_INSERT_TAIL(&l->act, t, act_entry);
        t->acts = true;
}

void model_timer_act(Model *m, Timer *t) {
        timer_act(&m->timers, t);
}

void timers_recorded(Timers *l) {
        Timer *t;

        while ((t = TAILQ_FIRST(&l->changed))) {
                TAILQ_REMOVE(&l->changed, t, changed_entry);
                t->changed = t->is_new = false;
                if (t->removed)
                        timer_act(l, t);
        }
        firings_free(&l->firings);
}

static void timer_changed(Model *m, Timer *t) {
        if (t->changed)
                return;
        TAILQ_INSERT_TAIL(&m->timers.changed, t, changed_entry);
        t->changed = true;
}

static void timer_not_pending(Model *m, Timer *t) {
        if (t->is_pending)
                TAILQ_REMOVE(&m->timers.pending, t, pending_entry);
        t->is_pending = false;
        t->pending = t->pending_mark = 0;
}

static void timer_pending(Model *m, Timer *t, usec_t elapsed, usec_t mark, Cause cause) {
        t->pending = elapsed;
        t->pending_mark = mark;
        t->pending_cause = cause;
        if (!t->is_pending)
                TAILQ_INSERT_TAIL(&m->timers.pending, t, pending_entry);
        t->is_pending = true;
}

void model_timer_forget(Model *m, Timer *t) {
        if (t->acts)
                TAILQ_REMOVE(&m->timers.act, t, act_entry);
        HASH_DEL(m->timers.all, t);
        timer_free(t);
}

static Timer *find(const Model *m, const char *name) {
        Timer *t;

        HASH_FIND_STR(m->timers.all, name, t);
        return t;
}

void model_timer_add(Model *m, Timer *t) {
        HASH_ADD_KEYPTR(hh, m->timers.all, t->name, strlen(t->name), t);
}

Timer *model_timer(const Model *m, const char *name) {
        Timer *t = find(m, name);

        return t && !t->removed ? t : NULL;
}

uint64_t model_count_timers(const Model *m, uint32_t owner) {
        uint64_t n = 0;

        for (const Timer *t = m->timers.all; t; t = t->hh.next)
                n += !t->removed && !t->of_file && t->owner == owner;
        return n;
}

/* Its history goes with it, also what is of this turn: one that takes its name counts from one again. */
static void forget_firings(Model *m, const char *name) {
        Firing *f, *next;

        for (f = TAILQ_FIRST(&m->timers.firings); f; f = next) {
                next = TAILQ_NEXT(f, entry);
                if (!streq(f->timer, name))
                        continue;
                TAILQ_REMOVE(&m->timers.firings, f, entry);
                firing_free(f);
        }
}

/* Of what it was before nothing counts any more. */
static void begin_again(Timer *t, const Now *now) {
        t->set = now->realtime;
        t->next = USEC_INFINITY;
        t->fault = mfree(t->fault);
}

int model_timer_set(Model *m, const char *name, TimerPolicy *policy, uint32_t owner, const char *owner_name, bool of_file, const Now *now) {
        _cleanup_free_ char *who = owner_name ? strdup(owner_name) : NULL;
        Timer *t = find(m, name);
        bool is_new = !t || t->removed;

        if (owner_name && !who)
                return -ENOMEM;
        if (!t) {
                t = timer_new(name);
                if (!t)
                        return -ENOMEM;
                t->unit = TIMER_ABSENT; /* a leftover of its name would have been stopped; what is there after all, its start tells */
                model_timer_add(m, t);
        }
        if (is_new) {
                t->removed = t->paused = false;
                t->elapsed = t->mark = t->last_job = t->n_firings = 0;
                t->is_new = true;
        }
        if (is_new || timer_policy_digest(&t->policy) != timer_policy_digest(policy)) {
                begin_again(t, now);
                timer_not_pending(m, t);
        }
        t->fault = mfree(t->fault);
        timer_policy_done(&t->policy);
        t->policy = *policy;
        *policy = (TimerPolicy) TIMER_POLICY_INIT;
        t->owner = owner;
        t->of_file = of_file;
        t->configured = true;
        free(t->owner_name);
        t->owner_name = TAKE_PTR(who);
        timer_changed(m, t);
        model_timer_act(m, t);
        return 0;
}

void model_timer_remove(Model *m, Timer *t) {
        t->removed = true;
        m->timers.files_wanted = m->timers.files_wanted || t->hides_file;
        t->hides_file = false;
        forget_firings(m, t->name);
        timer_not_pending(m, t);
        timer_changed(m, t);
        model_timer_act(m, t);
}

void model_timer_configure(Model *m, Timer *t, bool configured) {
        if (t->configured == configured)
                return;
        t->configured = configured;
        model_timer_act(m, t);
}

void model_timer_pause(Model *m, Timer *t, bool paused, const Now *now) {
        if (t->paused == paused)
                return;
        t->paused = paused;
        begin_again(t, now);
        timer_not_pending(m, t);
        timer_changed(m, t);
        model_timer_act(m, t);
}

bool timer_wants_unit(const Timer *t) {
        return t->configured && !t->removed && !t->paused && !t->fault;
}

bool timer_may_begin(const Timer *t) {
        return timer_wants_unit(t) && !t->is_pending;
}

usec_t timer_next(const Timer *t) {
        return t->is_pending ? t->pending : t->next;
}

static bool catches_up(const Timer *t) {
        return timer_wants_unit(t) && t->policy.persistent && t->policy.every == USEC_INFINITY;
}

/* Only what is caught up needs to outlive the unit: a row less to write for the others. */
static void note_next(Model *m, Timer *t, usec_t next) {
        if (t->next == next)
                return;
        t->next = next;
        if (catches_up(t))
                timer_changed(m, t);
}

bool timer_has_passed(const Timer *t, const Now *now) {
        return catches_up(t) && !t->is_pending && t->next <= now->realtime;
}

static void note_missed(Model *m, Timer *t, const Now *now) {
        if (timer_has_passed(t, now))
                timer_pending(m, t, t->next, 0, CAUSE_MISSED);
}

void model_timer_seen(Model *m, Timer *t, usec_t elapsed, usec_t mark, usec_t next, const Now *now) {
        t->unit = TIMER_THERE;
        if (!timer_wants_unit(t))
                return;
        if (mark > 0 && mark != t->mark && mark != t->pending_mark)
                timer_pending(m, t, elapsed, mark, CAUSE_TIMER);
        else if (t->was_absent) /* just while it was made */
                note_missed(m, t, now);
        t->was_absent = false;
        note_next(m, t, next);
}

void model_timer_absent(Model *m, Timer *t, const Now *now) {
        t->unit = TIMER_ABSENT;
        t->digest = 0;
        t->was_absent = true;
        note_missed(m, t, now);
        if (timer_wants_unit(t) && !catches_up(t))
                t->next = USEC_INFINITY;
        model_timer_act(m, t);
}

void model_timer_fired(Model *m, Timer *t, Firing *f, const Now *now) {
        f->number = ++t->n_firings;
        f->fired = now->realtime;
        TAILQ_INSERT_TAIL(&m->timers.firings, f, entry);
        if (f->cause != CAUSE_MANUAL) {
                t->elapsed = f->due;
                t->mark = t->pending_mark ?: t->mark;
                timer_not_pending(m, t);
                if (t->next <= f->due || (t->unit != TIMER_THERE && t->next <= now->realtime)) /* one for all that was missed */
                        t->next = USEC_INFINITY;
                model_timer_act(m, t); /* now its unit may be made */
        }
        if (f->job > 0)
                t->last_job = f->job;
        timer_changed(m, t);
}
