/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Scopes of jobs in the foreground: around a process that is there already, whose child the command will be. What became of the command only that
 * process can tell; the scope is gone at once when it is empty.
 *
 * PID 1 is given the process by a descriptor where it takes that (255 and later), else by its number, and then it is looked at once more: it
 * is there still, so the number was its own all the time, and what is in the scope is it and nobody else. Only then the attempt counts
 * as started, by its invocation id. What is in a scope that never came so far is nobody's to signal, nor to limit: by its number it is put into
 * a scope without limits, which has them set before it is told to go. */

#include "unit/scope.h"

#include "base/crash-point.h"
#include "base/log.h"
#include "unit/cgroup.h"
#include "unit/job-unit.h"
#include "unit/property.h"

#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>

#define PIDFDS_SINCE 255U /* systemd */

/* 1: it is there; 0: it is gone; negative: it cannot be looked at now. */
static int look_at_process(const Run *r) {
        struct pollfd p = { .fd = r ? r->pidfd : -1, .events = POLLIN };

        if (!r || r->gone)
                return 0;
        return r->pidfd < 0 ? -EBADF : poll(&p, 1, 0) == 0;
}

static bool has_pidfds(const Units *u) {
        return u->version_number >= PIDFDS_SINCE;
}

bool scope_is_own(const Attempt *a) {
        return a->executor != EXECUTOR_SCOPE || !sd_id128_is_null(a->invocation_id);
}

/* Its unit is there, and nobody in it. PID 1 ends it when the kernel tells of that, which it does not where nobody ever came into it, as
 * when its process had ended and was not waited for; nor is that heard which happens while PID 1 executes itself anew (252). */
static bool is_empty(const Units *u, const Attempt *a) {
        _cleanup_free_ char *path = cgroup_unit_path(u->cgroup_root, a->queue->slice, a->unit);

        return path && cgroup_is_empty(path);
}

bool scope_may_go(const Units *u, const Attempt *a) {
        return scope_is_own(a) || a->watch->active == UNIT_FAILED || (a->watch->active == UNIT_ACTIVE && is_empty(u, a));
}

void scope_kill_process(const Units *u, const Attempt *a) {
        const Run *r = a->executor == EXECUTOR_SCOPE && a->phase == ATTEMPT_RUNNING ? model_run(u->model, a->job_id) : NULL;

        if (r && r->pidfd >= 0)
                (void) syscall(SYS_pidfd_send_signal, r->pidfd, SIGKILL, NULL, 0);
}

/* ---- start ---- */

static int check_properties(const UnitPropertyList *l, const char *where, char **ret_error) {
        for (size_t i = 0; i < l->n_values; i++) {
                const UnitProperty *p = unit_property_of_value(l->values + i);

                if (!p || !(p->flags & UNIT_PROPERTY_SLICE))
                        return spec_error(ret_error, EPERM, "%s%s cannot be had in the foreground", where, p ? p->name : "a property");
        }
        return 0;
}

/* What services have in their environment: whose it is, and its slots. A scope has none, but a word about it, which PID 1 keeps. */
static int append_word(sd_bus_message *m, const Attempt *a) {
        _cleanup_free_ char *slots = attempt_slot_numbers_to_string(a), *word = NULL;

        if (!slots || asprintf(&word, SCOPE_WORD SD_ID128_FORMAT_STR "/%s", SD_ID128_FORMAT_VAL(a->token), slots) < 0)
                return -ENOMEM;
        return sd_bus_message_append(m, "(sv)", "Documentation", "as", 1, word);
}

int scope_unit_append(sd_bus_message *m, const Units *u, Attempt *a, char **ret_error) {
        _cleanup_(unit_property_list_done) UnitPropertyList properties = {};
        const Run *run = model_run(u->model, a->job_id);
        usec_t stop = attempt_stop_timeout(a);
        int r;

        if (look_at_process(run) <= 0)
                return spec_error(ret_error, ESRCH, "its process is gone");
        r = check_properties(&a->queue->policy.service, "its queue wants a sandbox: ", ret_error);
        if (r >= 0)
                r = job_unit_append_description(m, a);
        if (r >= 0)
                r = append_word(m, a);
        if (r >= 0)
                r = sd_bus_message_append(m, "(sv)(sv)(sv)",
                                          "Slice", "s", a->queue->slice,
                                          "After", "as", 1, "jobmilld.service",
                                          "TimeoutStopUSec", "t", stop);
        if (r >= 0)
                r = units_append_accounting(m, u);
        a->has_net = has_pidfds(u) && a->job->timeout_usec != USEC_INFINITY; /* it cannot be set later */
        if (r >= 0 && a->has_net)
                r = sd_bus_message_append(m, "(sv)", "RuntimeMaxUSec", "t",
                                          usec_add(usec_add(a->job->timeout_usec, stop), 60 * USEC_PER_SEC));
        if (r >= 0)
                r = has_pidfds(u) ? sd_bus_message_append(m, "(sv)", "PIDFDs", "ah", 1, run->pidfd) :
                                                        sd_bus_message_append(m, "(sv)", "PIDs", "au", 1, run->pid);
        if (r >= 0)
                r = job_properties(u, a, &properties, ret_error);
        return r < 0 || !has_pidfds(u) ? r : property_append_list(m, &properties);
}

/* ---- usage ---- */

static void take_max(uint64_t *value, uint64_t seen) {
        *value = known_max(*value, seen);
}

void units_scope_usage(const Units *u, const Attempt *a, Outcome *o) {
        _cleanup_free_ char *path = cgroup_unit_path(u->cgroup_root, a->queue->slice, a->unit);
        uint64_t in, out;

        if (!path)
                return;
        take_max(&o->cpu_usec, cgroup_read_cpu(path));
        take_max(&o->memory_peak, cgroup_read_u64(path, "memory.peak"));
        take_max(&o->tasks_peak, cgroup_read_u64(path, "pids.peak"));
        if (cgroup_read_io(path, &in, &out)) {
                take_max(&o->io_read_bytes, in);
                take_max(&o->io_write_bytes, out);
        }
}

void scope_tick(Units *u, Attempt *a) {
        Run *run = units_scope_is_limited(u, a) ? NULL : model_run(u->model, a->job_id);

        units_scope_usage(u, a, &a->outcome);
        if (a->watch && look_at_process(model_run(u->model, a->job_id)) == 0 && is_empty(u, a))
                units_look(a->watch);
        if (run) /* that was not answered, or refused */
                model_run_act(u->model, run);
}

/* What was seen while it ran, too: it may be gone. */
static void take_samples(const Attempt *a, Outcome *o) {
        take_max(&o->cpu_usec, a->outcome.cpu_usec);
        take_max(&o->memory_peak, a->outcome.memory_peak);
        take_max(&o->tasks_peak, a->outcome.tasks_peak);
        take_max(&o->io_read_bytes, a->outcome.io_read_bytes);
        take_max(&o->io_write_bytes, a->outcome.io_write_bytes);
}

static bool is_out_of_time(const Units *u, const Attempt *a) {
        Now now;

        units_now(u, &now);
        return a->job && a->job->timeout_usec != USEC_INFINITY && a->started_monotonic != USEC_INFINITY &&
               usec_sub(now.monotonic, a->started_monotonic) >= a->job->timeout_usec;
}

/* By somebody else, or by the manager's own clock while the daemon was away. */
static void stopped_outside(const Units *u, const Attempt *a, Outcome *o) {
        o->result = u->stopping ? JOB_LOST : is_out_of_time(u, a) ? JOB_TIMEOUT : JOB_CANCELLED;
        (void) free_and_strdup(&o->reason, o->result == JOB_LOST ? "shutdown" : o->result == JOB_TIMEOUT ? NULL : "stopped outside jobmill");
}

void units_scope_outcome(const Units *u, const Attempt *a, bool stopped, Outcome *o) {
        units_scope_usage(u, a, o);
        take_samples(a, o);
        stopped = stopped && o->exit_signal == SIGTERM; /* it says so of another signal of long ago, too */
        if (o->result != JOB_SUCCESS && a->watch && (a->watch->stop_seen || (stopped && !a->watch->signalled)))
                stopped_outside(u, a, o);
        o->shutdown = u->stopping;
}

/* ---- what is seen ---- */

static void end(Units *u, Attempt *a, JobResult result, const char *reason, const Now *now) {
        Outcome o = OUTCOME_INIT;

        o.result = result;
        (void) free_and_strdup(&o.reason, reason);
        take_samples(a, &o);
        units_end(u, a, &o, now);
}

static int on_limited(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        UnitWatch *w = userdata;
        const sd_bus_error *e = sd_bus_message_get_error(m);
        Run *run = model_run(w->units->model, w->attempt->job_id);
        Now now;

        w->limit_slot = sd_bus_slot_unref(w->limit_slot);
        CRASH_POINT("scope-limited");
        w->limited = !e;
        if (!e && run)
                model_run_act(w->units->model, run);
        if (!e || units_error_may_pass(e) || units_error_is_silence(e) || w->attempt->phase != ATTEMPT_RUNNING)
                return 0; /* else again at the next tick */
        units_now(w->units, &now);
        end(w->units, w->attempt, JOB_EXEC, e->message, &now);
        return 0;
}

bool units_scope_is_limited(const Units *u, const Attempt *a) {
        return has_pidfds(u) || (a->watch && a->watch->limited);
}

int units_limit_scope(Units *u, Attempt *a) {
        _cleanup_(unit_property_list_done) UnitPropertyList properties = {};
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        _cleanup_free_ char *error = NULL;
        UnitWatch *w = units_watch(u, a);
        int r;

        if (!w)
                return -ENOMEM;
        if (!u->bus || w->limit_slot)
                return 0;
        r = job_properties(u, a, &properties, &error);
        if (r >= 0)
                r = units_new_call(u, &m, SYSTEMD_PATH, SYSTEMD_MANAGER, "SetUnitProperties");
        if (r >= 0)
                r = sd_bus_message_append(m, "sb", a->unit, 1);
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'a', "(sv)");
        if (r >= 0)
                r = property_append_list(m, &properties);
        if (r >= 0)
                r = sd_bus_message_close_container(m);
        if (r >= 0)
                r = sd_bus_call_async(u->bus, &w->limit_slot, m, on_limited, w, 0);
        return r;
}

/* No unit, and it was not seen with its process in it. The process is there: as long as it is, it would be in its scope, if that had been made. */
static void absent_start(Units *u, Attempt *a, bool there, const Now *now) {
        UnitWatch *w = a->watch;

        if (w->action_slot)
                return;
        if (!there) {
                w->removed = true;
                end(u, a, JOB_CANCELLED, "its process is gone", now);
        } else if (a->fresh && a->asked && w->started) {
                w->removed = true;
                end(u, a, JOB_EXEC, "systemd could not put its process into a scope", now);
        } else {
                a->fresh = true;
                a->asked = false;
                model_attempt_act(u->model, a);
        }
}

static void seen_active(Units *u, Attempt *a, const UnitState *s, bool there, const Now *now) {
        CRASH_POINT("scope-seen");
        if (there) {
                units_started(u, a, s, now);
                return;
        }
        /* By its number somebody else may have come into it, who is left alone. */
        log_info("The process of job %" PRIu64 " was gone before its scope was there.", a->job_id);
        end(u, a, JOB_CANCELLED, "its process is gone", now);
}

/* Gone, or empty, while its process is there: that may have been moved elsewhere, and still tells how it ends. */
static void vanished(Units *u, Attempt *a, bool there, bool removed, const Now *now) {
        UnitWatch *w = a->watch;
        Outcome o = OUTCOME_INIT;

        w->look_again = there; /* nothing is heard of its end but by its process */
        if (there || units_ask_stopping(u, w))
                return;
        CRASH_POINT("scope-vanished");
        w->removed = removed;
        o.result = JOB_LOST;
        (void) free_and_strdup(&o.reason, "its process is gone");
        take_samples(a, &o);
        if (w->stop_seen || u->stopping)
                stopped_outside(u, a, &o);
        units_end(u, a, &o, now);
}

/* Nobody is told that it has ended. */
static bool seen_empty(Units *u, Attempt *a, const Now *now) {
        if (a->watch->active != UNIT_ACTIVE || !is_empty(u, a))
                return false;
        if (a->phase == ATTEMPT_STRAY) {
                log_info("Stray scope %s is empty, letting it go.", a->unit);
                model_stray_ended(u->model, a);
        } else
                vanished(u, a, /* there = */ false, /* removed = */ false, now);
        return true;
}

bool scope_apply(Units *u, Attempt *a, const UnitState *s, UnitVerdict verdict, const Now *now) {
        int there = look_at_process(model_run(u->model, a->job_id));

        if (verdict == UNIT_NOTHING && there == 0 && (a->phase == ATTEMPT_STRAY || a->phase == ATTEMPT_RUNNING))
                return seen_empty(u, a, now);
        if ((verdict != UNIT_ASK && verdict != UNIT_STARTED && verdict != UNIT_VANISHED && verdict != UNIT_ENDED) || a->phase == ATTEMPT_STRAY)
                return false;
        if (there < 0)
                a->watch->look_again = true;
        else if (verdict == UNIT_ASK)
                absent_start(u, a, there, now);
        else if (verdict == UNIT_STARTED)
                seen_active(u, a, s, there, now);
        else if (verdict == UNIT_VANISHED || a->phase == ATTEMPT_RUNNING)
                vanished(u, a, there, /* removed = */ true, now);
        else
                end(u, a, there ? JOB_EXEC : JOB_CANCELLED, there ? "systemd could not put its process into a scope" : "its process is gone", now);
        return true;
}
