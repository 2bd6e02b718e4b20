/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* From what is known of a unit to what the model should learn: the table of design.md, section 3, of which unit_decide()
 * picks the row. Start-up, signals, re-exec and the minute's look all end here. */

#include "unit/scope.h"

#include "base/crash-point.h"
#include "base/log.h"
#include "base/strv.h"
#include "unit/cgroup.h"
#include "unit/journal.h"
#include "unit/spool.h"

#define JOURNAL_PATIENCE (10 * USEC_PER_SEC)
#define JOURNAL_WAIT (100 * USEC_PER_MSEC) /* journald has it long before */

/* What it said and wrote; kept in the spool until the outcome is recorded. */
void units_capture_spool(Units *u, const Attempt *a, Outcome *o) {
        int r;

        if (!attempt_has_spool(a))
                return;
        CRASH_POINT("spool-read");
        r = spool_capture(u->run_path, a, u->io_tail_max, o);
        if (r >= 0 && o->result == JOB_SUCCESS && a->job->verify == VERIFY_VERDICT && !o->verdict && units_spool_was_full(u, a))
                (void) free_and_strdup(&o->reason, "it wrote no verdict; the spool was full while it ran");
        if (r >= 0)
                return;
        if (r != -ENOENT || o->result == JOB_SUCCESS)
                log_warning_errno(r, "Failed to read the spool of %s: %m", a->unit);
        if (o->result == JOB_SUCCESS && a->job->verify == VERIFY_VERDICT)
                (void) free_and_strdup(&o->reason, "its spool cannot be read");
}

void units_end(Units *u, Attempt *a, Outcome *o, const Now *now) {
        /* What was sampled while it ran stands in for what PID 1 does not tell. */
        if (o->memory_peak == UINT64_MAX && a->outcome.memory_peak != UINT64_MAX) {
                o->memory_peak = a->outcome.memory_peak;
                o->memory_peak_sampled = true;
        }
        if (u->version_number < 256) {
                /* The later look has the greater number. */
                o->io_read_bytes = known_max(o->io_read_bytes, a->outcome.io_read_bytes);
                o->io_write_bytes = known_max(o->io_write_bytes, a->outcome.io_write_bytes);
        }
        if (o->tasks_peak == UINT64_MAX)
                o->tasks_peak = a->outcome.tasks_peak;
        if (o->started_usec == USEC_INFINITY)
                o->started_usec = a->outcome.started_usec;
        if (o->finished_usec == USEC_INFINITY)
                o->finished_usec = now->realtime;
        units_capture_spool(u, a, o);
        o->shutdown = u->stopping;
        model_attempt_ended(u->model, a, o, now);
        outcome_done(o);
}

static void apply_lost(Units *u, Attempt *a, const char *reason, const Now *now) {
        Outcome o = OUTCOME_INIT;

        o.result = JOB_LOST;
        (void) free_and_strdup(&o.reason, reason);
        units_end(u, a, &o, now);
}

/* There was a unit and now there is none, and its end was not seen. Stopping is the only way that leaves no trace in the
 * unit; if we did not see that either, the journal may know. */
static void apply_vanished(Units *u, Attempt *a, const Now *now) {
        Outcome o = OUTCOME_INIT;
        UnitWatch *w = a->watch;

        if (units_ask_stopping(u, w))
                return;
        CRASH_POINT("unit-vanished");
        w->removed = true;
        if (u->stopping) {
                apply_lost(u, a, "shutdown", now);
                return;
        }
        if (w->stop_seen) {
                o.result = JOB_CANCELLED;
                (void) free_and_strdup(&o.reason, "stopped outside jobmill");
        } else if (journal_unit_outcome(u->user, a->unit, a->invocation_id, &o) != JOURNAL_SEEN) {
                o.result = JOB_LOST;
                (void) free_and_strdup(&o.reason, "the unit vanished while nobody watched");
        }
        units_end(u, a, &o, now);
}

/* Look again at the next tick, as long as it makes sense. */
static bool mark_journal(Units *u, const Attempt *a, const Now *now) {
        UnitWatch *w = a->watch;

        if (sd_id128_is_null(w->journal_mark)) {
                if (sd_id128_randomize(&w->journal_mark) < 0)
                        return false;
                w->journal_marked = now->monotonic;
                CRASH_POINT("journal-mark-before");
                journal_write_mark(w->journal_mark, a->unit);
                CRASH_POINT("journal-mark-after");
        }
        w->look_again = true;
        units_arm_tick(u, JOURNAL_WAIT);
        return now->monotonic < usec_add(w->journal_marked, JOURNAL_PATIENCE);
}

/* Starting, and there is no unit. It may be asked for (again) only if it is sure that it never was there: it was not asked
 * for at all, or PID 1's journal reaches back to the commit and knows nothing of it. If it was there, the journal may tell how it
 * ended. */
static void apply_absent_start(Units *u, Attempt *a, const Now *now) {
        JournalAnswer seen = JOURNAL_UNKNOWN;
        Outcome o = OUTCOME_INIT;
        UnitWatch *w = a->watch;
        sd_id128_t id;

        if (a->fresh && !a->asked) {
                model_attempt_act(u->model, a);
                return;
        }
        if (a->job->intent == JOB_RESULT_NONE)
                seen = journal_unit_seen(u->user, a->unit, a->created_usec, w->journal_mark, &id);
        if (seen == JOURNAL_BEHIND && mark_journal(u, a, now))
                return;
        if (seen == JOURNAL_SILENT) {
                a->fresh = true;
                a->asked = false;
                CRASH_POINT("start-again");
                model_attempt_act(u->model, a);
                return;
        }
        w->removed = true;
        if (seen == JOURNAL_SEEN && journal_unit_outcome(u->user, a->unit, id, &o) == JOURNAL_SEEN) {
                a->invocation_id = id;
                units_end(u, a, &o, now);
        } else
                apply_lost(u, a, u->stopping ? "shutdown" : "it is not known whether it was started", now);
}

static void apply_started(Units *u, Attempt *a, const UnitState *s) {
        /* One that failed before its fork has no time at all. */
        usec_t realtime = s->active_realtime ?: s->started_realtime, monotonic = s->active_monotonic ?: s->started_monotonic;

        a->kill_signal = s->kill_signal;
        model_attempt_started(u->model, a, s->invocation_id, realtime ?: USEC_INFINITY, monotonic ?: USEC_INFINITY);
}

/* The protocol stands on a few properties that drop-ins of the administrator can override: look at the first job after each
 * start or reload of the manager, and do not go on where they are not what was asked for. */
static bool apply_contract(Units *u, Attempt *a, const UnitState *s, const Now *now) {
        const char *what = unit_state_mismatch(s);
        Outcome o = OUTCOME_INIT;

        if (u->contract_checked || a->phase == ATTEMPT_STRAY || !a->job || a->executor == EXECUTOR_SCOPE)
                return true;
        if (!what) {
                u->contract_checked = true;
                u->model->starting_max = STARTING_MAX;
                return true;
        }

        free(u->mismatch);
        if (asprintf(&u->mismatch, "%s of job units is changed by %s", what,
                     s->drop_ins && s->drop_ins[0] ? s->drop_ins[strv_length(s->drop_ins) - 1] : "a drop-in") < 0)
                u->mismatch = strdup("a drop-in changes job units");
        log_error("Not starting jobs: %s. Remove it and reload the manager.", u->mismatch);
        if (a->phase != ATTEMPT_STARTING || unit_state_is_ended(s))
                return true; /* it runs, or ran, as it was asked for */
        o.result = JOB_EXEC;
        (void) free_and_strdup(&o.reason, u->mismatch);
        units_end(u, a, &o, now);
        return false;
}

/* What may change while it runs. */
static void apply_running(Units *u, Attempt *a, const UnitState *s, const Now *now) {
        bool frozen;

        a->has_net = s->runtime_max != USEC_INFINITY;
        a->watch->bad_setting = s->bad_setting;
        frozen = units_is_frozen(a->watch, s);
        model_attempt_seen_frozen(u->model, a, frozen, now);
        if (a->job->state == JOB_STOPPING && frozen && s->active == UNIT_ACTIVE)
                (void) units_thaw(a->watch);
        /* What was asked may not have been heard. */
        if (a->job->state == JOB_STOPPING || a->freezer == FREEZER_FREEZING || a->freezer == FREEZER_THAWING)
                model_attempt_act(u->model, a);
}

/* One that is stopped may still end with a status of its own, and in the order of a shutdown jobs are stopped first. One that had
 * ended before has its own result, also while the system stops. */
static void apply_outcome(Units *u, Attempt *a, const UnitState *s, const Now *now) {
        _cleanup_(outcome_done) Outcome o = OUTCOME_INIT;

        unit_state_outcome(s, &o);
        if (o.result != JOB_SUCCESS && unit_state_was_stopped(s)) {
                if (s->inactivated_monotonic > 0 && units_ask_stopping(u, a->watch))
                        return;
                if (u->stopping) {
                        o.result = JOB_LOST;
                        (void) free_and_strdup(&o.reason, "shutdown");
                }
        }
        units_end(u, a, &o, now);
}

void units_started(Units *u, Attempt *a, const UnitState *s, const Now *now) {
        apply_started(u, a, s);
        model_attempt_adopted(u->model, a, a->started_monotonic, now);
        apply_running(u, a, s, now);
}

static void apply_state(Units *u, Attempt *a, const UnitState *s, UnitVerdict verdict, const Now *now) {
        switch (verdict) {
        case UNIT_STARTED:
                units_started(u, a, s, now);
                break;
        case UNIT_NOTHING:
                if (a->phase == ATTEMPT_STARTING) /* if its cancel was stored by a daemon that is no more, its start is called off in time */
                        model_attempt_adopted(u->model, a, USEC_INFINITY, now);
                if (a->phase != ATTEMPT_RUNNING)
                        break;
                a->kill_signal = s->kill_signal;
                model_attempt_adopted(u->model, a, s->active_monotonic ?: s->started_monotonic, now);
                (void) free_and_strdup(&a->status, s->status_text);
                apply_running(u, a, s, now);
                break;
        case UNIT_ENDED:
                if (a->phase == ATTEMPT_STRAY) {
                        log_info("Stray unit %s ended, letting it go.", a->unit);
                        model_stray_ended(u->model, a);
                        break;
                }
                if (a->phase == ATTEMPT_STARTING)
                        apply_started(u, a, s);
                apply_outcome(u, a, s, now);
                break;
        case UNIT_RESTARTED:
                apply_lost(u, a, "restarted outside jobmill", now);
                break;
        case UNIT_RELEASE:
                model_attempt_act(u->model, a);
                break;
        default:
                break;
        }
}

void units_apply(Units *u, Attempt *a, const UnitState *s) {
        UnitVerdict verdict = unit_decide(a, &u->model->epoch, s);
        UnitWatch *w = units_watch(u, a);
        Now now;

        if (!w)
                return;
        if (sd_id128_is_null(u->model->epoch.boot_id)) {
                w->look_again = true; /* whose it is can be told when the manager has said who it is */
                return;
        }
        CRASH_POINT("state-seen");
        units_now(u, &now);
        log_debug("%s is %s: verdict %i", a->unit, s ? unit_active_state_to_string(s->active) : "absent", verdict);
        if (s) {
                w->active = s->active;
                w->freezer = s->freezer;
                if (w->freezer_slot && w->freezer_asked == FREEZER_FREEZING)
                        w->freezer = FREEZER_FROZEN;
        }

        if (a->executor == EXECUTOR_SCOPE && scope_apply(u, a, s, verdict, &now))
                return;
        switch (verdict) {
        case UNIT_ASK:
                if (!w->action_slot)
                        apply_absent_start(u, a, &now);
                break;
        case UNIT_VANISHED:
                apply_vanished(u, a, &now);
                break;
        case UNIT_GONE:
                w->removed = true;
                if (a->phase == ATTEMPT_STRAY)
                        model_stray_ended(u->model, a);
                model_attempt_act(u->model, a);
                break;
        case UNIT_OTHER_EPOCH:
                w->removed = true;
                /* PID 1 is never new but with the system; a container's boot id may be hidden behind the machine's. */
                apply_lost(u, a, u->user && sd_id128_equal(a->epoch.boot_id, u->model->epoch.boot_id) ?
                                                 "the service manager was restarted" :
                                                 "the system was restarted",
                           &now);
                break;
        case UNIT_FOREIGN:
                w->removed = true;
                if (a->phase == ATTEMPT_STARTING)
                        model_attempt_withdraw(u->model, a, "another unit has its name", &now);
                else if (a->job)
                        apply_lost(u, a, "another unit has its name", &now);
                model_attempt_act(u->model, a);
                units_resync(u, false);
                break;
        default:
                if (s && apply_contract(u, a, s, &now))
                        apply_state(u, a, s, verdict, &now);
        }
}

