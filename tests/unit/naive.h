/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The small model of test-model-naive.c: what docs/states.md and the README say, in arrays and linear scans, written from their
 * words and not from the code. It is told each request, and each thing that the manager lets the daemon know, at the moment
 * when it is known; it says what must have become of every job. Who may start next it answers by looking at all jobs. */

#include "naive-array.h"
#include "naive-edge.h"
#include "naive-worker.h"

enum {
        NQ = 5, /* queues */
        NJ = 9, /* jobs are 1 … 8 */
        NA = 12, /* their attempts 1 … 11 */
        POISON_MAX = 2,
        NS = 64,
};

/* What can be seen to have happened, each a row of docs/states.md; the test fails where one never did. */
#define COVERED(X)                                                                                                      \
        X(submitted) X(submit_draining) X(submit_too_wide) X(held) X(released) X(cancelled_queued) X(cancelled_live)    \
        X(retried) X(purged) X(updated) X(moved) X(update_refused) X(timeouts_shortened) X(timeouts_refused)            \
        X(refused_done) X(refused_live) X(frozen) X(frozen_outside) X(thawed) X(thawed_outside) X(freeze_refused_net)   \
        X(freeze_failed) X(freeze_open) X(came_due) X(timed_out) X(timed_out_after_thaw) X(never_asked)                 \
        X(start_refused) X(start_again) X(start_silent) X(start_exists) X(seen_started) X(started_by_signal)            \
        X(ended) X(ended_unseen_start) X(intent_wins) X(shutdown) X(vanished_stopped) X(vanished_journal)               \
        X(vanished_lost) X(restarted) X(other_epoch_lost) X(other_epoch_intent) X(absent_in_flight) X(absent_behind)    \
        X(absent_asked_again) X(absent_unknown) X(absent_journal) X(absent_intent) X(foreign_withdrawn)                 \
        X(foreign_intent) X(foreign_lost) X(adopted_done) X(adopted_stray) X(adopted_ended_stray) X(stray_raised_id)    \
        X(start_full) X(gated) X(gate_unknown) X(pressed) X(eased) X(eased_more) X(rated) X(rate_passed) X(behind)                                  \
        X(stray_raised_number) X(gone) X(no_file) X(bad_file) X(paused) X(too_wide) X(full_own) X(full_above)           \
        X(tried_again) X(tried_again_at_once) X(lost_again) X(lost_again_beyond) X(no_attempt_left) X(not_listed) X(status_again)       \
        X(status_never) X(poisoned) X(judged_cancelled) X(judged_held) X(judged_unread) X(cancelled_in_timeout) X(waits_for_cleaning) X(cleaning_found) X(span_stays_over)    \
        X(retried_with_more) X(backoff_grew) X(said_yes) X(said_no) X(said_nothing) X(said_needlessly) X(overflowed)                                                                             \
        X(commit_failed) X(crashed) X(crashed_live) X(order_crossed) X(kept_as_needed) X(kept_for_its_key) X(kept_long_enough) X(kept_as_it_says) X(too_many_kept) X(stays_beyond_number) X(keeps_dead) X(order_aged) X(order_fair) X(order_changed) X(siblings) X(age_kept) X(mismatch) X(no_spec) X(blocked) X(accepted) X(number_passed_over) X(span_moved) X(expired) X(expired_held) X(submit_too_late) X(deadline_kept) X(key_taken) X(key_returned) X(key_replaced) X(key_live) X(key_of_span) X(key_span_over) \
        X(key_given_up_at_start) X(key_taken_again) X(key_gone_meanwhile) X(key_retry_refused) X(key_retaken) X(key_move_refused) ARRAYS_COVERED(X) X(asked_why) X(withdrawn_shutdown) X(worker_came) X(worker_lost) X(worker_completed) X(worker_returned) X(worker_not_told) \
        X(worker_chosen) X(runner_chosen) X(owner_skipped) X(owner_skipped_lacking) X(behind_own) X(left_in_runner) EDGES_COVERED(X)

enum {
#define X(name) COVER_##name,
        COVERED(X)
#undef X
        _COVER_MAX,
};
extern uint64_t covered[_COVER_MAX];
extern uint64_t transitions[_JOB_STATE_MAX][_JOB_STATE_MAX], results[_JOB_RESULT_MAX];
extern const bool legal[_JOB_STATE_MAX][_JOB_STATE_MAX];
#define COVER(name) (covered[COVER_##name]++)

/* How a unit ended, and what that is called. */
typedef enum End {
        END_NOT, END_SUCCESS, END_STATUS, END_SIGNAL, END_CORE, END_WATCHDOG, END_OOM, END_EXEC, END_TIMEOUT, END_AGAIN, END_NEVER, END_UNKNOWN, _END_MAX,
} End;

/* A unit as the manager has it. */
typedef struct Unit {
        bool there, ours;              /* ours: carries the token of the row */
        enum { PENDING, ACTIVE, OVER, LEAVING } is;
        End end; Freezer stuck;        /* stuck: what the manager takes it for once it is over, for good: no process tells it better */
        sd_id128_t token;
        unsigned invocation;           /* 0: none */
        unsigned slots, queue;
        bool frozen, net, populated, odd; /* odd: a drop-in changed what we asked for */
        bool stubborn;                 /* does not heed SIGTERM */
        bool halted;                   /* it ended because it was stopped */
        bool goes;                     /* as soon as no process is left */
        usec_t started;                /* monotonic */
        unsigned starts;               /* how often it was ever started as we asked; stays when it is gone, as what the journal has: */
        End last_end; bool last_stopped;
} Unit;

typedef struct NaiveJob {
        bool there, dead, freezable, delayed;
        JobState state;
        JobResult result, intent;
        int priority;
        usec_t keep, ended;            /* ended: by the clock that is never set */
        int64_t age;                   /* its submission key */
        unsigned queue, owner, slots, attempt;
        usec_t not_before, deadline, timeout, stop_timeout;
        unsigned array;                /* its first job; 0: none */
        bool waits;                    /* for a place in it */
        unsigned key;                  /* 0: none */
        bool holds, lent, wants;       /* … its key; gave it up for a start that is under way; which was none */
        UniqueScope scope;
        usec_t until;
        /* another attempt */
        unsigned max_attempts, failures, poison, retry_on; /* retry_on: bits of results; 0: not given */
        bool requeue_lost, exponential, judging, own_time;
        bool spool, verify;  /* where it writes, and whether its verdict must say yes */
        usec_t backoff;
        JobResult over;      /* judging: how the attempt ended */
        End end;             /* … by itself; END_NOT: not */
} NaiveJob;

typedef struct NaiveAttempt {
        bool row;            /* it is in the store */
        bool there;          /* it holds its slots */
        bool live;           /* it is its job's; if not it has ended, or is a stray */
        bool stray;
        bool mine, asked, in_flight, stuck; /* stuck: the manager would not; asked again, it keeps no others from being the first */
        bool running, net, stop_seen;
        unsigned queue, owner, slots, epoch, invocation, looks;
        usec_t started, frozen, since; /* monotonic */
        unsigned asked_why;  /* the question to the manager, whether the system stops, whose answer is waited for; 0: none */
        unsigned worker;     /* whose it is; NW: that of one that is gone; 0: it has a unit */
        bool in_pool;
        usec_t marked;       /* monotonic: when our line was written to the journal; 0: it was not */
        Freezer freezer;
} NaiveAttempt;

typedef struct Naive {
        NaiveWorker workers[NW];
        NaiveJob jobs[NJ];
        NaiveEdge edges[NJ][NJ];
        NaiveAttempt attempts[NJ][NA];
        bool is_paused[NQ], is_draining[NQ];
        unsigned next_id;
        int64_t last_key; /* of the newest job */
        usec_t even;      /* what it is by the clock that is never set */
        unsigned array_max[NJ];        /* of the array that begins there; 0: no limit */
        /* Not stored, but known */
        unsigned epoch; bool shutting_down, checked, mismatch, store_restored, store_full;
        struct { bool there, bad, fair; enum { BY_UNITS, BY_WORKERS, BY_RUNNERS } by; usec_t keep; uint64_t keep_max; unsigned slots; bool gate; unsigned rate_n, pressure_max; usec_t rate_span, ageing; } files[NQ];
        bool gate_open, pressed[NQ]; /* gate_open: seen to be active */
        unsigned pressure, eased[NQ], eased_left[NQ]; /* it was high: so many start until it is read again; 0: any number */
        usec_t pressure_at;
        usec_t full_until[NQ]; /* the manager took no more */
        usec_t starts[NQ][NS]; /* when the last ones started, of queues with a rate; the newest last */
        unsigned n_starts[NQ], manager_asked, manager_answered; /* questions to the manager how it is */
        enum { JOURNAL_IS_TRUE, JOURNAL_IS_SHORT, JOURNAL_IS_LATE } journal;
} Naive;

static inline bool is_live(const NaiveJob *j) {
        return j->state == JOB_STARTING || j->state == JOB_RUNNING || j->state == JOB_STOPPING;
}
extern const int above[NQ]; /* the queue that it lies in; -1 */

void naive_fail(const char *format, ...) _printf_(1, 2) __attribute__((noreturn));

/* Requests: 0 or what they are refused with. */
int naive_submit(Naive *n, unsigned q, unsigned owner, const JobSpec *spec, const Now *now);
int naive_cancel(Naive *n, unsigned id);
int naive_hold(Naive *n, unsigned id, const Now *now);
int naive_release(Naive *n, unsigned id, const Now *now);
int naive_retry(Naive *n, unsigned id, unsigned attempts, usec_t delay, const Now *now);
int naive_purge(Naive *n, unsigned id);
/* What this attempt writes of itself at the end: 1, 0, or -1: nothing of either. */
int naive_says(unsigned id, unsigned number);
JobResult naive_judged(const NaiveJob *j, JobResult measured, int says);
bool naive_overflows(Naive *n, unsigned id); /* more than its spool takes; false: it has none, or does not run */
int naive_kill(const Naive *n, unsigned id);
int naive_update(Naive *n, unsigned id, unsigned to, const JobSpec *spec, bool timeouts_only, bool due, bool deadline, const Now *now);
int naive_freeze(Naive *n, unsigned id, const Now *now);
int naive_thaw(Naive *n, unsigned id, const Now *now);

/* Time */
void naive_clock_set(Naive *n, int64_t step);
void naive_deadlines(Naive *n, const Now *now);
bool naive_is_due(const Naive *n, unsigned id, const Now *now);
void naive_due(Naive *n, unsigned id, const Now *now);

/* The daemon says that it was kept long enough; that it is still there is wrong. */
void naive_outdated(Naive *n, unsigned id, const Now *now);
bool naive_is_outdated(const Naive *n, unsigned id, const Now *now);

/* Who starts next; 0: nobody. */
unsigned naive_next(const Naive *n, const Now *now);
bool naive_must_wait(Naive *n, unsigned id, const Now *now); /* its last attempt has come to light */
void naive_start(Naive *n, unsigned id, const Now *now);
/* How the reason of a ready job begins that waits; NULL: it does so for none. */
const char *naive_why(const Naive *n, unsigned id, const Now *now);
void naive_decides(Naive *n, const Now *now);
void naive_policies(Naive *n); /* files were read */
bool naive_wants_pressure(const Naive *n);
void naive_pressure(Naive *n, unsigned percent, const Now *now);

/* What the manager lets be known. u NULL: there is no such unit. */
void naive_seen(Naive *n, unsigned id, unsigned number, const Unit *u, const Unit *history, const Now *now);
void naive_signal(Naive *n, unsigned id, unsigned number, const Unit *u);
void naive_unknown(Naive *n, unsigned id, unsigned number, const Unit *u);
typedef enum StartAnswer { START_OK, START_REFUSED, START_LATER, START_SILENT, START_EXISTS, START_FULL } StartAnswer;
void naive_start_answered(Naive *n, unsigned id, unsigned number, StartAnswer answer);
void naive_seen_frozen(Naive *n, unsigned id, unsigned number, bool frozen, const Now *now);
void naive_freeze_failed(Naive *n, unsigned id, unsigned number);
/* An attempt of it ended in this turn; readable: what is stored of it. */
void naive_judge(Naive *n, unsigned id, bool readable, const Now *now);
/* Its unit is gone and its cgroup is empty. */
void naive_gone(Naive *n, unsigned id, unsigned number);
/* What is stored of the job cannot be read any more. */
void naive_no_spec(Naive *n, unsigned id);
/* The daemon says that it ended one that it had never asked for. */
void naive_never_asked(Naive *n, const Naive *stored, unsigned id, unsigned number);
/* … and that it takes back one that it had not asked for. */
void naive_withdrawn(Naive *n, unsigned id, unsigned number);
/* What is left of what was known when only the store is: a crash, or a commit that failed. */
void naive_forget(Naive *n, const Naive *stored);

unsigned naive_slots_used(const Naive *n, unsigned q);
