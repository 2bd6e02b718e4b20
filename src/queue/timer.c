/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* See timer.h. The rules of firing are these: a time that the unit tells is fired for unless it is the one that was fired for last (not: "later
 * than", as the clock may have been set back); where the unit is missing, and the policy is persistent, the next time that was recorded is one that
 * was missed if it has passed. A policy that is set, or resumed, knows no time before that. */

#include "queue/timer.h"

#include "base/parse.h"
#include "base/string-table.h"
#include "base/strv.h"
#include "base/time-util.h"
#include "queue/model.h"

static const char *const overlap_table[] = {
        [OVERLAP_SKIP] = "skip",
        [OVERLAP_QUEUE] = "queue",
        [OVERLAP_REPLACE] = "replace",
};
DEFINE_STRING_TABLE_LOOKUP(overlap, Overlap);

static const char *const cause_table[] = {
        [CAUSE_TIMER] = "timer",
        [CAUSE_MISSED] = "missed",
        [CAUSE_MANUAL] = "manual",
};
DEFINE_STRING_TABLE_LOOKUP(cause, Cause);

/* ---- the policy ---- */

void timer_policy_done(TimerPolicy *p) {
        p->calendar = strv_free(p->calendar);
        p->job = mfree(p->job);
}

int timer_policy_copy(const TimerPolicy *p, TimerPolicy *ret) {
        TimerPolicy n = *p;

        n.calendar = strv_copy(p->calendar);
        n.job = p->job ? strdup(p->job) : NULL;
        if (!n.calendar || (p->job && !n.job)) {
                timer_policy_done(&n);
                return -ENOMEM;
        }
        *ret = n;
        return 0;
}

/* What it means systemd says; here it becomes a unit property. */
static int assign_calendar(TimerPolicy *p, const char *value) {
        if (isempty(value)) {
                p->calendar = strv_free(p->calendar);
                return 0;
        }
        if (strlen(value) > TIMER_CALENDAR_MAX || !string_is_clean(value) || strv_length(p->calendar) >= TIMER_CALENDARS_MAX)
                return -EINVAL;
        return strv_extend(&p->calendar, value);
}

static int assign_every(TimerPolicy *p, const char *value) {
        usec_t t = USEC_INFINITY;
        int r = isempty(value) ? 0 : parse_span(value, &t);

        if (r < 0 || t < TIMER_EVERY_MIN || (!isempty(value) && t == USEC_INFINITY))
                return -EINVAL;
        p->every = t;
        return 0;
}

static int assign_span(usec_t *to, const char *value, usec_t fallback, usec_t min) {
        usec_t t = fallback;
        int r = isempty(value) ? 0 : parse_span(value, &t);

        if (r < 0 || t == USEC_INFINITY || t < min)
                return -EINVAL;
        *to = t;
        return 0;
}

static int assign_delay(TimerPolicy *p, const char *value) {
        return assign_span(&p->random_delay, value, 0, 0);
}

static int assign_accuracy(TimerPolicy *p, const char *value) {
        return assign_span(&p->accuracy, value, TIMER_ACCURACY_DEFAULT, 1);
}

static int assign_persistent(TimerPolicy *p, const char *value) {
        int r = isempty(value) ? 0 : parse_boolean(value);

        if (r < 0)
                return r;
        p->persistent = r;
        return 0;
}

static int assign_overlap(TimerPolicy *p, const char *value) {
        Overlap o = isempty(value) ? OVERLAP_SKIP : overlap_from_string(value);

        if (o < 0)
                return -EINVAL;
        p->overlap = o;
        return 0;
}

static const struct {
        const char *key;
        int (*assign)(TimerPolicy *p, const char *value);
        const char *allowed;
} timer_keys[] = {
        { "OnCalendar", assign_calendar, "a calendar event of systemd, at most 256 bytes, and 32 of them" },
        { "OnUnitActiveSec", assign_every, "a time span of at least 1s" },
        { "Persistent", assign_persistent, "a boolean" },
        { "RandomizedDelaySec", assign_delay, "a time span" },
        { "AccuracySec", assign_accuracy, "a time span of at least 1us" },
        { "Overlap", assign_overlap, "skip, queue or replace" },
};

int timer_policy_assign(TimerPolicy *p, const char *key, const char *value, char **ret_error) {
        char word[SPEC_QUOTE_MAX], quoted[SPEC_QUOTE_MAX];

        FOREACH_ELEMENT(k, timer_keys)
                if (streq(k->key, key)) {
                        int r = k->assign(p, value);
                        if (r == -ENOMEM || r >= 0)
                                return r;
                        return spec_error(ret_error, EINVAL, "%s=: '%s' is not allowed (%s)", key,
                                          spec_quote(quoted, value, strlen(value)), k->allowed);
                }
        return spec_error(ret_error, EINVAL, "%s=: unknown key", spec_quote(word, key, strlen(key)));
}

int timer_policy_check(const TimerPolicy *p, char **ret_error) {
        if (strv_length(p->calendar) == 0 && p->every == USEC_INFINITY)
                return spec_error(ret_error, EINVAL, "OnCalendar= or OnUnitActiveSec= is needed: when is it to be?");
        if (strv_length(p->calendar) > 0 && p->every != USEC_INFINITY)
                return spec_error(ret_error, EINVAL, "OnCalendar= and OnUnitActiveSec= cannot be combined");
        return 0;
}

static uint64_t mix(uint64_t h, const char *s, size_t n) {
        for (size_t i = 0; i < n; i++)
                h = (h ^ (uint8_t) s[i]) * UINT64_C(0x100000001b3);
        return h;
}

uint64_t timer_digest(const TimerPolicy *p) {
        uint64_t h = UINT64_C(0xcbf29ce484222325);
        usec_t spans[] = { p->every, p->random_delay, p->accuracy };

        STRV_FOREACH(c, p->calendar)
                h = mix(h, *c, strlen(*c) + 1);
        h = mix(h, (const char *) spans, sizeof(spans));
        return h ?: 1;
}

bool timer_policy_equal(const TimerPolicy *a, const TimerPolicy *b) {
        return timer_digest(a) == timer_digest(b) && a->persistent == b->persistent && a->overlap == b->overlap && streq_ptr(a->job, b->job);
}

/* ---- timers ---- */

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
        t->pending = 0;
}

static void timer_pending(Model *m, Timer *t, usec_t elapsed, Cause cause) {
        t->pending = elapsed;
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
                t->elapsed = t->last_job = t->n_firings = 0;
                t->is_new = true;
        }
        if (is_new || timer_digest(&t->policy) != timer_digest(policy)) {
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

/* Only what is caught up needs to outlive the unit: a row less to write for the others. */
static void note_next(Model *m, Timer *t, usec_t next) {
        if (t->next == next)
                return;
        t->next = next;
        if (t->policy.persistent && t->policy.every == USEC_INFINITY)
                timer_changed(m, t);
}

void model_timer_seen(Model *m, Timer *t, usec_t elapsed, usec_t next) {
        t->unit = TIMER_THERE;
        if (!timer_wants_unit(t))
                return;
        if (elapsed > 0 && elapsed != t->elapsed && elapsed != t->pending)
                timer_pending(m, t, elapsed, CAUSE_TIMER);
        note_next(m, t, next);
}

void model_timer_absent(Model *m, Timer *t, const Now *now) {
        t->unit = TIMER_ABSENT;
        t->digest = 0;
        if (timer_wants_unit(t) && t->policy.persistent && t->policy.every == USEC_INFINITY && t->next <= now->realtime)
                timer_pending(m, t, t->next, CAUSE_MISSED);
        if (timer_wants_unit(t))
                t->next = USEC_INFINITY;
        model_timer_act(m, t);
}

void model_timer_fired(Model *m, Timer *t, Firing *f, const Now *now) {
        f->number = ++t->n_firings;
        f->fired = now->realtime;
        TAILQ_INSERT_TAIL(&m->timers.firings, f, entry);
        if (f->cause != CAUSE_MANUAL) {
                t->elapsed = f->due;
                timer_not_pending(m, t);
        }
        if (f->job > 0)
                t->last_job = f->job;
        timer_changed(m, t);
}
