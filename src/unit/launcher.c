/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The act step: what is to be asked of the manager for an attempt follows from its state alone, so asking is the same
 * after a restart as before. One call per attempt is out at a time; its answer leads to the next.
 *
 *   STARTING, never asked          StartTransientUnit, mode "fail", under the name and token that are committed; while the
 *                                  system stops, it is taken back
 *   RUNNING of a stopping job      KillUnit with KillSignal= (never StopUnit, which throws the result away), SIGCONT, and
 *                                  SIGKILL once the stop time-out has passed
 *   ENDED (outcome recorded)       StopUnit or ResetFailedUnit, which also ends what the job left behind; SIGKILL likewise
 *   ENDED, the unit is gone        once the cgroup is empty: the slots are free
 */

#include "unit/scope.h"

#include "base/bus-util.h"
#include "base/crash-point.h"
#include "base/log.h"
#include "unit/attempt-files.h"
#include "unit/cgroup.h"
#include "unit/property.h"
#include "unit/spool.h"

#include <signal.h>

/* What came up while the answer was out. */
static void action_answered(UnitWatch *w, const sd_bus_error *e) {
        w->units->answers++;
        w->units->errors += !!e;
        w->action_slot = sd_bus_slot_unref(w->action_slot);
        w->units->in_flight--;
        if (w->act_wanted || w->removed)
                model_attempt_act(w->units->model, w->attempt);
        w->act_wanted = false;
}

/* ---- start ---- */

bool units_error_may_pass(const sd_bus_error *e) {
        static const char *const names[] = {
                SD_BUS_ERROR_LIMITS_EXCEEDED,
                SD_BUS_ERROR_NO_MEMORY,
                SD_BUS_ERROR_IO_ERROR,
                SYSTEMD_NAME ".NoSuchUnit", /* 252: of the unit that it was to make, where /run is full */
                SYSTEMD_NAME ".TransactionIsDestructive",
                SYSTEMD_NAME ".ShuttingDown",
                "System.Error.ENOSPC",
                "System.Error.ENOMEM",
                "System.Error.EMFILE",
                "System.Error.ENFILE",
                "System.Error.EAGAIN",
                "System.Error.EDQUOT",
                "System.Error.EROFS",
                "System.Error.EBUSY",
                "System.Error.EINTR",
                "System.Error.E2BIG", /* it has as many units as it takes (131,072) */
        };

        FOREACH_ELEMENT(n, names)
                if (sd_bus_error_has_name(e, *n))
                        return true;
        return false;
}

static bool error_is_of_shutdown(const sd_bus_error *e) {
        return sd_bus_error_has_name(e, SYSTEMD_NAME ".TransactionIsDestructive") ||
               sd_bus_error_has_name(e, SYSTEMD_NAME ".ShuttingDown");
}

bool units_error_is_silence(const sd_bus_error *e) {
        return sd_bus_error_has_name(e, SD_BUS_ERROR_NO_REPLY) || sd_bus_error_has_name(e, SD_BUS_ERROR_TIMEOUT) ||
               bus_error_is_disconnect(e) ||
               sd_bus_error_has_name(e, SD_BUS_ERROR_NAME_HAS_NO_OWNER) ||
               sd_bus_error_has_name(e, SD_BUS_ERROR_SERVICE_UNKNOWN) ||
               (e->name && startswith(e->name, "org.freedesktop.DBus.Error.Spawn."));
}

static void fail_start(Units *u, Attempt *a, JobResult result, const char *reason) {
        Outcome o = OUTCOME_INIT;
        Now now;

        units_now(u, &now);
        o.result = result;
        o.finished_usec = now.realtime;
        (void) free_and_strdup(&o.reason, reason);
        a->watch->removed = true;
        model_attempt_ended(u->model, a, &o, &now);
        outcome_done(&o);
}

/* It waits, and says for what; that does not keep others from being asked for. */
static void refuse_start(Units *u, Attempt *a, const char *who, const char *message) {
        char *trouble = NULL;

        if (asprintf(&trouble, "%s, asking again: %s", who, strempty(message)) < 0)
                trouble = NULL;
        if (!streq_ptr(trouble, a->trouble))
                log_warning("%s: %s, asking again: %s", a->unit, who, strempty(message));
        free(a->trouble);
        a->trouble = trouble;
        a->watch->retry = true;
        model_attempt_stuck(u->model, a, true);
}

/* Those that were stuck may be so no more: while the first one is not read back, or is not what it should be (apply.c), they wait too. */
static bool is_first_awaited(const Units *u) {
        if (u->contract_checked)
                return false;
        for (const Attempt *a = u->model->attempts; a; a = a->hh.next)
                if (a->phase == ATTEMPT_STARTING && a->asked)
                        return true;
        return u->mismatch;
}

static int units_open_spool(Units *u, Attempt *a, int spool[static _SPOOL_STREAM_MAX]) {
        int r;

        r = spool_open(u->run_path, a, u->user ? UINT32_MAX : a->job->owner, spool);
        if (r >= 0)
                return units_watch_spools(u);
        refuse_start(u, a, "Its spool cannot be opened", strerror(-r));
        return r;
}

/* More units are in its slice than we count (Backstop=). */
static void no_room(Units *u, Attempt *a, const char *message) {
        Now now;

        units_now(u, &now);
        log_warning("The manager takes no more units of queue %s, trying again: %s", a->queue->name, strempty(message));
        a->watch->removed = true;
        model_attempt_refused(u->model, a, strempty(message), &now);
}

static int on_started(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        UnitWatch *w = userdata;
        const sd_bus_error *e = sd_bus_message_get_error(m);
        Units *u = w->units;
        Attempt *a = w->attempt;

        CRASH_POINT("start-answered");
        action_answered(w, e);
        if (a->phase != ATTEMPT_STARTING)
                return 0;
        if (!e || !units_error_may_pass(e))
                a->trouble = mfree(a->trouble);

        if (!e) {
                w->started = true;
                if (!u->contract_checked || a->executor == EXECUTOR_SCOPE)
                        units_look(w);
        } else if (sd_bus_error_has_name(e, SYSTEMD_NAME ".UnitExists"))
                units_look(w); /* asked again, and it had been heard the first time */
        else if (sd_bus_error_has_name(e, SYSTEMD_NAME ".ConcurrencyLimitReached"))
                no_room(u, a, e->message);
        else if (units_error_is_silence(e))
                units_resync(u, true);
        else if (units_error_may_pass(e)) {
                a->asked = false;
                if (u->stopping) {
                        model_attempt_act(u->model, a);
                        return 0;
                }
                refuse_start(u, a, "systemd did not start it", e->message);
                if (error_is_of_shutdown(e))
                        units_resync(u, false);
        } else
                fail_start(u, a, JOB_EXEC, e->message);
        return 0;
}

/* Whatever it is made of. */
static int append_unit(sd_bus_message *m, Units *u, Attempt *a, const char *env_file, const int *spool, char **ret_error) {
        return a->executor == EXECUTOR_SCOPE ? scope_unit_append(m, u, a, ret_error) :
                                               job_unit_append(m, u, a, env_file, spool, ret_error);
}

static int start(Units *u, Attempt *a) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        _cleanup_free_ char *error = NULL, *env_file = NULL;
        _cleanup_close_ int out = -EBADF, err = -EBADF;
        int spool[_SPOOL_STREAM_MAX];
        UnitWatch *w = a->watch;
        int r;

        if (a->executor == EXECUTOR_SERVICE && is_first_awaited(u)) {
                w->retry = true;
                return 0;
        }
        r = attempt_files_write(u->run_path, a, a->job->spec, &env_file);
        if (r < 0) {
                refuse_start(u, a, "Its files cannot be written", strerror(-r));
                return 0;
        }

        if (attempt_has_spool(a)) {
                r = units_open_spool(u, a, spool);
                if (r < 0)
                        return 0;
                out = spool[SPOOL_STDOUT];
                err = spool[SPOOL_STDERR];
        }
        r = units_new_call(u, &m, SYSTEMD_PATH, SYSTEMD_MANAGER, "StartTransientUnit");
        if (r < 0)
                return r;
        r = sd_bus_message_append(m, "ss", a->unit, "fail");
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'a', "(sv)");
        if (r >= 0)
                r = append_unit(m, u, a, env_file, attempt_has_spool(a) ? spool : NULL, &error);
        if (error) {
                /* That of a scope has gone. */
                fail_start(u, a, a->executor == EXECUTOR_SCOPE && r == -ESRCH ? JOB_CANCELLED : JOB_EXEC, error);
                return 0;
        }
        if (r >= 0)
                r = sd_bus_message_close_container(m);
        if (r >= 0)
                r = sd_bus_message_append(m, "a(sa(sv))", 0);
        if (r < 0)
                return r;
        CRASH_POINT("start-before");
        r = sd_bus_call_async(u->bus, &w->action_slot, m, on_started, w, 0);
        CRASH_POINT("start-after");
        if (r < 0)
                return r;
        u->in_flight++;
        a->asked = true;
        model_attempt_stuck(u->model, a, false);
        w->looked_absent = w->started = false;
        w->start_round = u->round;
        a->job->spec = spec_free(a->job->spec);
        a->inputs = mfree(a->inputs);
        return 0;
}

/* ---- kill and release ---- */

static int on_acted(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        UnitWatch *w = userdata;
        const sd_bus_error *e = sd_bus_message_get_error(m);
        Units *u = w->units;
        Attempt *a = w->attempt;

        CRASH_POINT("action-answered");
        action_answered(w, e);
        if (!e)
                return 0; /* asked once; what comes of it is told by signals, or by the next look */
        if (sd_bus_error_has_name(e, SYSTEMD_NAME ".NoSuchUnit")) {
                if (a->phase == ATTEMPT_ENDED)
                        w->removed = true;
                else
                        units_look(w);
                model_attempt_act(u->model, a);
        } else if (!units_error_is_silence(e)) {
                /* No process yet, or no more: a look tells, and the next tick asks again. */
                if (sd_bus_error_has_name(e, SYSTEMD_NAME ".NoSuchProcess") ||
                    sd_bus_error_has_name(e, SD_BUS_ERROR_UNIX_PROCESS_ID_UNKNOWN))
                        units_look(w);
                else
                        log_warning("Failed to act on %s, trying again: %s", a->unit, e->message);
                w->term_sent = w->kill_sent = w->release_sent = false;
                w->retry = true;
        } else {
                w->term_sent = w->kill_sent = w->release_sent = false;
                w->retry = true;
                units_resync(u, true);
        }
        return 0;
}

static int call_unit(Units *u, Attempt *a, const char *member, const char *types, ...) {
        va_list ap;
        int r;

        va_start(ap, types);
        r = units_callv(u, &a->watch->action_slot, SYSTEMD_MANAGER, member, on_acted, a->watch, types, ap);
        va_end(ap);
        if (r >= 0)
                u->in_flight++;
        return r;
}

/* A signal beside the one call that may be out: nobody waits for its answer. */
static int send_signal(Units *u, const Attempt *a, int sig) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        int r;

        r = units_new_call(u, &m, SYSTEMD_PATH, SYSTEMD_MANAGER, "KillUnit");
        if (r >= 0)
                r = sd_bus_message_append(m, "ssi", a->unit, "all", (int32_t) sig);
        if (r < 0)
                return r;
        CRASH_POINT("signal-before");
        r = sd_bus_send(u->bus, m, NULL);
        CRASH_POINT("signal-after");
        return r;
}

/* Those of a user's choice, and SIGKILL once the stop time-out has passed: that one must not wait for an answer that may
 * itself hang. */
static int send_signals(Units *u, Attempt *a) {
        int r = 0;

        for (int sig = 1; r >= 0 && a->signals; sig++)
                if (a->signals & (UINT64_C(1) << (sig - 1))) {
                        a->signals &= ~(UINT64_C(1) << (sig - 1));
                        a->watch->signalled = true;
                        r = send_signal(u, a, sig);
                }
        if (r >= 0 && a->kill_due && !a->watch->kill_sent && !a->watch->removed) {
                a->watch->kill_sent = true;
                scope_kill_process(u, a);
                r = send_signal(u, a, SIGKILL);
                /* And a release that was not answered in all that time is asked for once more. */
                if (a->phase == ATTEMPT_ENDED && a->watch->action_slot)
                        action_answered(a->watch, NULL);
                a->watch->release_sent = false;
        }
        return r;
}

static int stop(Units *u, Attempt *a) {
        UnitWatch *w = a->watch;
        int r;

        if (w->term_sent)
                return 0;
        w->term_sent = true;
        if (a->freezer != FREEZER_THAWED || w->cgroup_frozen) {
                r = units_thaw(w);
                if (r < 0)
                        return r;
        }
        CRASH_POINT("stop-before");
        r = call_unit(u, a, "KillUnit", "ssi", a->unit, "all", (int32_t) a->kill_signal);
        if (r < 0)
                return r;
        CRASH_POINT("stop-after");
        /* As systemd does: one that stopped itself must wake up to die. */
        return send_signal(u, a, SIGCONT);
}

static int release(Units *u, Attempt *a) {
        UnitWatch *w = a->watch;
        int r;

        if (w->removed || !epoch_equal(&a->epoch, &u->model->epoch)) {
                _cleanup_free_ char *path = cgroup_unit_path(u->cgroup_root, a->queue->slice, a->unit);
                if (path && cgroup_is_populated(path))
                        return 0; /* looked at again each second */
                CRASH_POINT("release-done");
                attempt_files_remove(u->run_path, a);
                spool_remove(u->run_path, a);
                CRASH_POINT("files-removed");
                units_forget(a);
                model_attempt_gone(u->model, a);
                return 0;
        }
        if (!scope_may_go(u, a)) {
                w->look_again = true;
                return 0;
        }
        if (w->active == UNIT_FAILED) {
                w->active = UNIT_INACTIVE;
                w->release_sent = true;
                CRASH_POINT("release-failed-before");
                r = call_unit(u, a, "ResetFailedUnit", "s", a->unit);
                CRASH_POINT("release-failed-after");
                return r;
        }
        /* From 257 on the manager says yes to stopping one that is not thawed, and does not do it. Where it was thawed by its cgroup,
         * 252 calls it frozen to the end and refuses to thaw it, but stops it (freezer.c). So both, by turns. */
        if (w->freezer != FREEZER_THAWED && !w->bad_setting && !w->thaw_sent) {
                w->release_sent = false;
                w->thaw_sent = w->look_again = true;
                r = units_thaw(w);
                w->freezer = FREEZER_THAWED; /* until the look */
                return r;
        }
        if (w->release_sent)
                return 0;
        w->release_sent = true;
        if (w->thaw_sent) {
                w->thaw_sent = false;
                w->look_again = true;
        }
        CRASH_POINT("release-before");
        r = call_unit(u, a, "StopUnit", "ss", a->unit, "replace");
        CRASH_POINT("release-after");
        return r;
}

/* ---- the act step ---- */

Attempt *units_next(Units *u) {
        Attempt *a;

        units_flush_looks(u);
        units_look_gates(u);
        if (!u->bus || !u->synced || u->in_flight >= u->in_flight_max)
                return NULL;
        /* What came of acting in this turn must be recorded before it is acted upon: above all an outcome before the unit, and
         * with it the attempt, is let go. */
        TAILQ_FOREACH(a, &u->model->act, act_entry)
                if (!a->changed)
                        break;
        if (!a)
                return NULL;
        TAILQ_REMOVE(&u->model->act, a, act_entry);
        a->acting = false;
        return a;
}

bool units_is_to_start(const Attempt *a) {
        return a->phase == ATTEMPT_STARTING && !a->asked && a->fresh && a->job->state == JOB_STARTING;
}

static int act_starting(Units *u, Attempt *a) {
        UnitWatch *w = a->watch;
        Outcome o = OUTCOME_INIT;
        Now now;
        int r;

        if (a->executor == EXECUTOR_SCOPE && a->asked) /* perhaps its process is gone */
                units_look(w);
        if (a->job->state == JOB_STARTING) {
                if (a->asked || !a->fresh)
                        return 0;
                if (!u->stopping)
                        return start(u, a);
                /* It was not started and will not be: the job is ready again, for the time after. */
                units_now(u, &now);
                w->removed = true;
                model_attempt_withdraw(u->model, a, "the system is stopping", &now);
                return 0;
        }
        /* In the middle of its start there may be no process to signal; if it takes too long, its start is called off: there is
         * no result to be lost. */
        if (a->asked || !a->fresh) {
                if (!a->kill_due || w->release_sent || !scope_is_own(a))
                        return 0;
                w->release_sent = true;
                CRASH_POINT("call-off-before");
                r = call_unit(u, a, "StopUnit", "ss", a->unit, "replace");
                CRASH_POINT("call-off-after");
                return r;
        }

        /* Cancelled before it was asked for: there is no unit. */
        units_now(u, &now);
        o.result = JOB_CANCELLED;
        o.finished_usec = now.realtime;
        a->watch->removed = true;
        model_attempt_ended(u->model, a, &o, &now);
        return 0;
}

void units_act(Units *u, Attempt *a) {
        UnitWatch *w = units_watch(u, a);
        int r = 0;

        units_arm_tick(u, UNITS_TICK);
        if (!w) {
                log_oom();
                return;
        }
        /* What was asked for in another phase says nothing about this one. */
        if (w->asked_phase != a->phase)
                w->term_sent = w->kill_sent = w->release_sent = w->thaw_sent = false;
        w->asked_phase = a->phase;
        if ((a->phase == ATTEMPT_RUNNING || a->phase == ATTEMPT_ENDED) && scope_is_own(a))
                r = send_signals(u, a);
        /* One call at a time, whose answer brings us back; but not one that is overtaken by what was seen since: its answer may
         * never come. */
        if (w->action_slot && w->action_phase != a->phase)
                action_answered(w, NULL);
        if (w->action_slot) {
                w->act_wanted = true;
                return;
        }
        w->action_phase = a->phase;

        switch (a->phase) {
        case ATTEMPT_STARTING:
                r = act_starting(u, a);
                break;
        case ATTEMPT_RUNNING:
                attempt_files_started(u->run_path, a);
                if (a->job->state == JOB_STOPPING)
                        r = stop(u, a);
                else
                        units_ask_freezer(w);
                break;
        case ATTEMPT_ENDED:
                r = release(u, a);
                break;
        default:
                break;
        }
        if (r < 0) {
                log_warning_errno(r, "Failed to act on %s, trying again: %m", a->unit);
                w->retry = true;
        }
}
