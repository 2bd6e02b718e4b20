/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Schedules: what submits a job by the calendar, or every so often. A Timer in code, since a Schedule is who starts next (schedule.h).
 *
 * When it is time only systemd knows: unit/ keeps a timer unit for each one that is to elapse, which follows from the row (or the file) and
 * is made again whenever it is missing. That it elapsed shows in the unit, with the time of that; what has been fired is recorded with that time,
 * in the transaction of the job. So it is fired once, however often it is looked at and whoever dies in between. Pure. */

#include "base/macro.h"

#include <sys/queue.h>
#include <uthash.h>

typedef struct Model Model;
typedef struct Now Now;

#define TIMER_CALENDARS_MAX 32U
#define TIMER_CALENDAR_MAX 256U
#define TIMER_EVERY_MIN USEC_PER_SEC
#define TIMER_ACCURACY_DEFAULT (60 * USEC_PER_SEC) /* systemd's */

/* What if the last job is not done? */
typedef enum Overlap {
        OVERLAP_SKIP,    /* then there is no other one */
        OVERLAP_QUEUE,   /* it waits for that one's end */
        OVERLAP_REPLACE, /* that one is cancelled, and it waits for its end */
        _OVERLAP_MAX,
        _OVERLAP_INVALID = -EINVAL,
} Overlap;

const char *overlap_to_string(Overlap o);
Overlap overlap_from_string(const char *s);

/* Why one was fired, or was to be. */
typedef enum Cause {
        CAUSE_TIMER,
        CAUSE_MISSED, /* it would have elapsed while there was no timer: Persistent= */
        CAUSE_MANUAL,
        _CAUSE_MAX,
        _CAUSE_INVALID = -EINVAL,
} Cause;

const char *cause_to_string(Cause c);
Cause cause_from_string(const char *s);

/* What is said of it, in SetSchedule or in [Schedule]. */
typedef struct TimerPolicy {
        char **calendar;         /* OnCalendar= */
        usec_t every;            /* OnUnitActiveSec=; USEC_INFINITY: not given */
        usec_t random_delay, accuracy;
        bool persistent;
        Overlap overlap;
        char *job;               /* of each time: a spec and its queue, as JSON */
} TimerPolicy;

#define TIMER_POLICY_INIT { .every = USEC_INFINITY, .accuracy = TIMER_ACCURACY_DEFAULT }
/* timer-policy.c */
void timer_policy_done(TimerPolicy *p);
int timer_policy_copy(const TimerPolicy *p, TimerPolicy *ret);
/* A key as in files; a list is added to, and emptied by an empty value. -EINVAL with *ret_error. */
int timer_policy_assign(TimerPolicy *p, const char *key, const char *value, char **ret_error);
bool timer_policy_equal(const TimerPolicy *a, const TimerPolicy *b);
uint64_t timer_policy_digest(const TimerPolicy *p); /* of when it elapses */
/* The whole of it. -EINVAL with *ret_error. */
int timer_policy_check(const TimerPolicy *p, char **ret_error);

TAILQ_HEAD(FiringList, Firing);
TAILQ_HEAD(TimerList, Timer);

typedef struct Firing {
        char *timer;
        uint64_t number;         /* from 1 */
        Cause cause;
        usec_t due, fired;       /* due: when it elapsed, or would have */
        uint64_t job;            /* 0: none, */
        char *note;              /* … and why */
        TAILQ_ENTRY(Firing) entry;
} Firing;

Firing *firing_new(const char *timer);
Firing *firing_free(Firing *f);
DEFINE_TRIVIAL_CLEANUP_FUNC(Firing *, firing_free);

typedef enum TimerUnit {
        TIMER_UNKNOWN, /* the next look tells */
        TIMER_ABSENT,
        TIMER_THERE,
} TimerUnit;

typedef struct Timer {
        /* The row */
        char *name;
        uint32_t owner;          /* who set it: each job is submitted as by him */
        char *owner_name;
        bool of_file;            /* the policy is that of jobs/NAME.job; in the row as it was last */
        TimerPolicy policy;
        bool paused;
        usec_t set;              /* when the policy was set, or it was resumed */
        usec_t elapsed, mark;    /* the last time that was fired for, as its unit has it; 0: none yet. mark: by the clock that nobody sets, */
        usec_t next;             /* when it will elapse, as was said last; USEC_INFINITY: not known */
        uint64_t last_job;       /* 0: none yet */
        uint64_t n_firings;

        /* In memory */
        bool configured;         /* of a file: that is there, and good */
        bool removed, changed, is_new, listed;
        bool seen;               /* by the reload that is under way */
        bool hides_file;         /* a job file has a schedule of its name, which is not used */
        char *fault;             /* why systemd does not take it; NULL: nothing is wrong */
        usec_t pending, pending_mark; /* it has elapsed then, which is to be fired; 0: no */
        Cause pending_cause;
        bool is_pending, acts;   /* on these lists */
        bool was_absent;         /* there was no unit; that which is made has not been seen yet */
        TimerUnit unit;          /* unit/'s, as the next ones */
        bool look, calling, again, stopping;
        uint64_t digest;         /* of what it was made of; 0: not known */
        TAILQ_ENTRY(Timer) changed_entry, pending_entry, act_entry;
        UT_hash_handle hh;       /* model->timers.all, by name */
} Timer;

typedef struct Timers {
        Timer *all;
        struct TimerList changed, pending, act;
        struct FiringList firings; /* of this commit */
        uint64_t kept_max;         /* firings of each that are kept */
        bool files_wanted;         /* one that hid a file's was removed: that is there again */
} Timers;

void timers_init(Timers *l);
void timers_done(Timers *l);
bool timers_changed(const Timers *l);
void timers_recorded(Timers *l); /* those that were removed stay until their units are gone: */
void model_timer_forget(Model *m, Timer *t);

Timer *timer_new(const char *name);
Timer *timer_free(Timer *t);
DEFINE_TRIVIAL_CLEANUP_FUNC(Timer *, timer_free);
void model_timer_add(Model *m, Timer *t); /* of the store, or of a file; takes it over */

Timer *model_timer(const Model *m, const char *name); /* NULL: none, or it was removed */
uint64_t model_count_timers(const Model *m, uint32_t owner); /* not those of files */
/* Makes or changes it; policy is taken over. -ENOMEM. */
int model_timer_set(Model *m, const char *name, TimerPolicy *policy, uint32_t owner, const char *owner_name, bool of_file, const Now *now);
void model_timer_remove(Model *m, Timer *t);
void model_timer_configure(Model *m, Timer *t, bool configured); /* its file is good as it was; or is not */
void model_timer_pause(Model *m, Timer *t, bool paused, const Now *now);
/* Its unit as it is: when it elapsed last (mark: by the monotonic clock; 0: never), when it will next (USEC_INFINITY: that is not known). */
void model_timer_seen(Model *m, Timer *t, usec_t elapsed, usec_t mark, usec_t next, const Now *now);
/* There is no unit: it may have been time meanwhile. */
void model_timer_absent(Model *m, Timer *t, const Now *now);
/* Takes it over. Of it are said: cause, when it was due, and the job, or a note why there is none. */
void model_timer_fired(Model *m, Timer *t, Firing *f, const Now *now);

/* Is there to be a unit? And may it be made now: not while a time is to be fired that only its row knows. What it is made of: the policy, and since when
 * that holds, as one of before, which has the same, may have elapsed meanwhile. */
bool timer_wants_unit(const Timer *t);
bool timer_may_begin(const Timer *t);
bool timer_has_passed(const Timer *t, const Now *now); /* it is one that was missed by now: model_timer_absent() again */
uint64_t timer_digest(const Timer *t);
/* The next time, or the one that is to be fired: what is to be known of it after a reboot. */
usec_t timer_next(const Timer *t);
void model_timer_act(Model *m, Timer *t); /* unit/ looks whether it is as it is to be */
