/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Timers of schedules: what there is is made to agree with what is to be. A timer is one call at a time:
 *
 *   not known   the next list of units tells
 *   absent      wanted: made. What it would have done meanwhile is the model's to judge
 *   there       looked at when something changed: when did it elapse, when will it, and by what policy was it made? Not wanted, or of another
 *               policy: stopped, which is seen by its removal, or at the next tick
 *
 * A timer that nobody knows is stopped. What the manager refuses to make is not asked for again until the schedule is set anew, or there is
 * another manager; what it has no room for is asked for at the next tick. */

#include "unit/units.h"

#include "base/crash-point.h"
#include "base/log.h"
#include "base/strv.h"

typedef struct TimerCall {
        Units *units;
        char *name;               /* of the schedule: the model may be another when the answer comes */
        sd_bus_slot *slot;
        TAILQ_ENTRY(TimerCall) entry;
} TimerCall;

static void call_free(TimerCall *c) {
        TAILQ_REMOVE(&c->units->timer_calls, c, entry);
        sd_bus_slot_unref(c->slot);
        free(c->name);
        free(c);
}

/* Also one that was removed. */
static Timer *find_timer(const Units *u, const char *name) {
        Timer *t = NULL;

        if (u->model)
                HASH_FIND_STR(u->model->timers.all, name, t);
        return t;
}

static void try_again(Units *u, Timer *t) {
        t->again = true;
        units_arm_tick(u, UNITS_TICK);
}

/* Its timer, whose call has been answered; NULL: it is none any more. */
static Timer *answered(TimerCall *c) {
        Timer *t = find_timer(c->units, c->name);

        call_free(c);
        if (!t || !t->calling)
                return NULL;
        t->calling = false;
        return t;
}

static int ask(Units *u, Timer *t, sd_bus_message *m, sd_bus_message_handler_t callback) {
        TimerCall *c = new0(TimerCall, 1);
        int r;

        if (!c)
                return -ENOMEM;
        c->units = u;
        TAILQ_INSERT_TAIL(&u->timer_calls, c, entry);
        c->name = strdup(t->name);
        CRASH_POINT("timer-before");
        r = c->name ? sd_bus_call_async(u->bus, &c->slot, m, callback, c, 0) : -ENOMEM;
        CRASH_POINT("timer-after");
        if (r < 0)
                call_free(c);
        else
                t->calling = true;
        return r;
}

/* ---- answers ---- */

static void apply(Units *u, Timer *t, const TimerState *s, const Now *now) {
        CRASH_POINT("timer-seen");
        if (!s->loaded) {
                t->stopping = false;
                model_timer_absent(u->model, t, now);
                return;
        }
        units_timers_arm(u);
        t->digest = s->digest;
        t->unit = TIMER_THERE;
        if (t->stopping || !s->active || s->running) { /* not yet; and that it has elapsed is recorded with when it will next */
                t->stopping = false;
                t->look = true;
                try_again(u, t);
                return;
        }
        if (s->digest == timer_digest(t)) /* what another says, which is to be stopped, is not of this one */
                model_timer_seen(u->model, t, s->elapsed, s->mark, s->next, now);
        model_timer_act(u->model, t);
}

static int on_looked(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        TimerCall *c = userdata;
        Units *u = c->units;
        Timer *t = answered(c);
        const sd_bus_error *e = sd_bus_message_get_error(m);
        TimerState s = {};
        Now now;
        int r = 0;

        if (!t)
                return 0;
        units_now(u, &now);
        if (!e)
                r = timer_state_read(m, &now, &s);
        else if (!sd_bus_error_has_name(e, SD_BUS_ERROR_UNKNOWN_OBJECT) && !sd_bus_error_has_name(e, SYSTEMD_NAME ".NoSuchUnit"))
                r = -EIO;
        if (r < 0) {
                t->look = true;
                try_again(u, t);
        } else
                apply(u, t, &s, &now);
        return 0;
}

static int on_started(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        TimerCall *c = userdata;
        Units *u = c->units;
        Timer *t = answered(c);
        const sd_bus_error *e = sd_bus_message_get_error(m);

        CRASH_POINT("timer-answered");
        if (!t)
                return 0;
        if (!e) {
                t->unit = TIMER_THERE;
                t->look = true;
                model_timer_act(u->model, t);
        } else if (sd_bus_error_has_name(e, SYSTEMD_NAME ".UnitExists") || units_error_is_silence(e) || units_error_may_pass(e)) {
                t->unit = TIMER_THERE; /* or it is not, as the look tells */
                t->look = true;
                try_again(u, t);
        } else {
                log_warning("The manager does not make the timer of schedule %s: %s", t->name, strempty(e->message));
                (void) free_and_strdup(&t->fault, isempty(e->message) ? "systemd does not make its timer" : e->message);
                model_timer_act(u->model, t);
        }
        return 0;
}

static int on_stopped(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        TimerCall *c = userdata;
        Units *u = c->units;
        Timer *t = answered(c);

        CRASH_POINT("timer-stopped");
        if (!t || t->unit != TIMER_THERE)
                return 0;
        t->look = t->stopping = true;
        model_timer_act(u->model, t);
        return 0;
}

/* ---- act ---- */

static int act_on(Units *u, Timer *t, const Now *now) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        sd_bus_message_handler_t callback = on_looked;
        char unit[TIMER_UNIT_MAX];
        int r;

        if (t->unit == TIMER_ABSENT) {
                callback = on_started;
                r = timer_new_start(u, t, now, &m);
        } else if (t->look) {
                t->look = false;
                r = timer_new_look(u, t, &m);
        } else {
                callback = on_stopped;
                timer_unit_name(t->name, ".timer", unit);
                r = timer_new_stop(u, unit, &m);
        }
        return r < 0 ? r : ask(u, t, m, callback);
}

static bool is_to_act(const Timer *t) {
        if (t->calling || t->again || t->unit == TIMER_UNKNOWN)
                return false;
        if (t->unit == TIMER_ABSENT)
                return timer_may_begin(t);
        return t->look || !timer_wants_unit(t) || t->digest != timer_digest(t);
}

void units_act_timers(Units *u) {
        unsigned in_flight = 0;
        const TimerCall *c;
        Timer *t, *next;
        Now now;

        if (!u->bus || !u->synced || u->stopping || u->reloading || TAILQ_EMPTY(&u->model->timers.act))
                return;
        units_now(u, &now);
        TAILQ_FOREACH(c, &u->timer_calls, entry)
                in_flight++;
        TAILQ_FOREACH_SAFE(t, &u->model->timers.act, act_entry, next) {
                int r;

                if (in_flight >= UNITS_TIMERS_IN_FLIGHT)
                        break; /* an answer makes room */
                TAILQ_REMOVE(&u->model->timers.act, t, act_entry);
                t->acts = false;
                if (t->removed && t->unit == TIMER_ABSENT && !t->changed && !t->calling) {
                        model_timer_forget(u->model, t);
                        continue;
                }
                if (!is_to_act(t))
                        continue;
                if (t->unit == TIMER_ABSENT && timer_has_passed(t, &now)) { /* since it was seen that there is none */
                        try_again(u, t);
                        continue;
                }
                r = act_on(u, t, &now);
                in_flight += r >= 0;
                if (r < 0) {
                        log_warning_errno(r, "Failed to ask for the timer of schedule %s, trying again: %m", t->name);
                        try_again(u, t);
                }
        }
}

void units_tick_timers(Units *u) {
        Timer *t, *n;
        Now now;

        units_now(u, &now);
        HASH_ITER(hh, u->model->timers.all, t, n)
                if (t->again) {
                        t->again = false;
                        if (t->unit == TIMER_ABSENT)
                                model_timer_absent(u->model, t, &now);
                        model_timer_act(u->model, t);
                }
}

/* ---- what is heard ---- */

static void look(Units *u, Timer *t) {
        t->look = true;
        model_timer_act(u->model, t);
}

void units_heed_timer(Units *u, const char *unit) {
        char name[TIMER_UNIT_MAX];
        Timer *t = timer_name_of_unit(unit, name) ? find_timer(u, name) : NULL;

        if (!t || t->unit == TIMER_ABSENT) /* that of one that is being made: its answer has it looked at */
                return;
        t->again = false;
        look(u, t);
}

void units_timer_removed(Units *u, const char *unit) {
        char name[TIMER_UNIT_MAX];
        Timer *t = timer_name_of_unit(unit, name) ? find_timer(u, name) : NULL;
        Now now;

        if (!t || t->unit != TIMER_THERE || t->calling)
                return;
        units_now(u, &now);
        t->again = t->look = t->stopping = false;
        model_timer_absent(u->model, t, &now);
}

static int on_leftover_stopped(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        const sd_bus_error *e = sd_bus_message_get_error(m);
        Units *u = userdata;

        if (!e || sd_bus_error_has_name(e, SYSTEMD_NAME ".NoSuchUnit"))
                return 0;
        log_warning("Failed to stop the timer of a schedule that there is not: %s", strempty(e->message));
        if (units_error_is_silence(e) || units_error_may_pass(e)) {
                u->round_failed = true; /* looked at again by the next tick */
                units_arm_tick(u, UNITS_TICK);
        }
        return 0;
}

/* A killed daemon's, or one whose schedule went while we were not there. */
static void stop_leftover(Units *u, const char *unit) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;

        log_info("Stopping %s: there is no such schedule.", unit);
        CRASH_POINT("timer-leftover");
        if (timer_new_stop(u, unit, &m) < 0 || sd_bus_call_async(u->bus, NULL, m, on_leftover_stopped, u, 0) < 0)
                log_warning("Failed to stop %s, trying again with the next look.", unit);
}

void units_timers_begin(Units *u) {
        Timer *t, *n;

        HASH_ITER(hh, u->model->timers.all, t, n)
                t->listed = false;
}

bool units_heed_timer_row(Units *u, const char *unit) {
        char name[TIMER_UNIT_MAX];
        Timer *t;

        if (!timer_name_of_unit(unit, name))
                return false;
        t = find_timer(u, name);
        if (t)
                t->listed = true;
        else
                stop_leftover(u, unit);
        return true;
}

/* One that is waited for to elapse is looked at when it should have: its signal may have been lost. */
void units_timers_end(Units *u, const Now *now) {
        Timer *t, *n;

        HASH_ITER(hh, u->model->timers.all, t, n) {
                if (t->calling)
                        continue;
                if (!t->listed && t->unit != TIMER_ABSENT)
                        model_timer_absent(u->model, t, now);
                else if (t->listed && (t->unit != TIMER_THERE || u->round_full || t->next <= now->realtime || t->next == USEC_INFINITY)) {
                        t->unit = TIMER_THERE;
                        look(u, t);
                } else
                        model_timer_act(u->model, t);
        }
}

static usec_t round_interval(const Units *u) {
        return u->look_interval * UNITS_TICK;
}

bool units_timers_want_round(const Units *u) {
        Now now;

        if (!u->model->timers.all || u->model->attempts || !u->synced || u->round_active)
                return false;
        units_now(u, &now);
        return now.monotonic >= usec_add(u->round_at, round_interval(u));
}

void units_timers_arm(Units *u) {
        if (u->model->timers.all && !u->model->attempts)
                units_arm_tick(u, round_interval(u));
}

void units_forget_timers(Units *u) {
        TimerCall *c;
        Timer *t, *n;

        while ((c = TAILQ_FIRST(&u->timer_calls)))
                call_free(c);
        if (u->model)
                HASH_ITER(hh, u->model->timers.all, t, n) {
                        t->calling = t->look = t->again = t->stopping = false;
                        t->unit = TIMER_UNKNOWN;
                        t->digest = 0;
                        t->fault = mfree(t->fault);
                }
}
