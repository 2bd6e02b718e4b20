/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* From the properties of a unit to what they mean. Pure.
 *
 * "Ended" needs three things, because signals and properties overlap: no job of systemd's is pending for the unit, an
 * invocation is known (units are "inactive" before their first start too), and the main process is over: active (exited),
 * thanks to RemainAfterExit=, failed, or inactive. */

#include "unit/unit-state.h"

#include "base/string-table.h"
#include "base/strv.h"
#include "exec/exec.h"

#include <signal.h>
#include <sys/wait.h>

#define REASON_MAX 1024U

static const char *const unit_active_state_table[_UNIT_ACTIVE_STATE_MAX] = {
        [UNIT_INACTIVE] = "inactive",         [UNIT_ACTIVATING] = "activating", [UNIT_ACTIVE] = "active",
        [UNIT_RELOADING] = "reloading",       [UNIT_DEACTIVATING] = "deactivating", [UNIT_FAILED] = "failed",
        [UNIT_MAINTENANCE] = "maintenance",
};
DEFINE_STRING_TABLE_LOOKUP(unit_active_state, UnitActiveState);

static const char *const unit_result_table[_UNIT_RESULT_MAX] = {
        [UNIT_RESULT_SUCCESS] = "success",
        [UNIT_RESULT_PROTOCOL] = "protocol",
        [UNIT_RESULT_TIMEOUT] = "timeout",
        [UNIT_RESULT_EXIT_CODE] = "exit-code",
        [UNIT_RESULT_SIGNAL] = "signal",
        [UNIT_RESULT_CORE_DUMP] = "core-dump",
        [UNIT_RESULT_WATCHDOG] = "watchdog",
        [UNIT_RESULT_EXEC_CONDITION] = "exec-condition",
        [UNIT_RESULT_OOM_KILL] = "oom-kill",
        [UNIT_RESULT_START_LIMIT_HIT] = "start-limit-hit",
        [UNIT_RESULT_RESOURCES] = "resources",
};

UnitResult unit_result_from_string(const char *s) {
        for (UnitResult i = 0; i < _UNIT_RESULT_MAX; i++)
                if (streq(unit_result_table[i], s))
                        return i;
        return _UNIT_RESULT_INVALID;
}

void unit_state_init(UnitState *u) {
        *u = (UnitState) {
                .cpu_nsec = UINT64_MAX,
                .memory_peak = UINT64_MAX,
                .memory_max = UINT64_MAX,
                .io_read_bytes = UINT64_MAX,
                .io_write_bytes = UINT64_MAX,
                .handoff_monotonic = USEC_INFINITY,
                .kill_signal = SIGTERM,
                .runtime_max = USEC_INFINITY,
        };
}

void unit_state_done(UnitState *u) {
        free(u->slots);
        free(u->slice);
        free(u->status_text);
        strv_free(u->drop_ins);
        unit_state_init(u);
}

bool unit_state_is_started(const UnitState *u) {
        return !sd_id128_is_null(u->invocation_id) && (u->active == UNIT_ACTIVE || u->active_monotonic > 0);
}

bool unit_state_is_ended(const UnitState *u) {
        if (u->unit_job || sd_id128_is_null(u->invocation_id))
                return false;
        return (u->active == UNIT_ACTIVE && u->exited) || u->active == UNIT_FAILED || u->active == UNIT_INACTIVE;
}

bool unit_state_was_stopped(const UnitState *u) {
        return u->active_monotonic == 0 || (u->inactivated_monotonic > 0 && u->inactivated_monotonic < u->ended_monotonic);
}

UnitEnd unit_state_end(const UnitState *u) {
        return (UnitEnd) {
                .active = u->active,
                .exited = u->exited,
                .freezer = u->freezer,
                .active_realtime = u->active_realtime,
                .active_monotonic = u->active_monotonic,
                .inactivated_monotonic = u->inactivated_monotonic,
        };
}

/* One that was started again since the signal has a process that is younger than what was active then. */
bool unit_state_add_end(UnitState *u, const UnitEnd *end, sd_id128_t invocation_id) {
        if (sd_id128_is_null(u->token) || u->ended_monotonic == 0 || u->started_monotonic == 0 || u->started_monotonic > end->active_monotonic)
                return false;
        u->loaded = true;
        u->invocation_id = invocation_id;
        u->active = end->active;
        u->exited = end->exited;
        u->freezer = end->freezer;
        u->active_realtime = end->active_realtime;
        u->active_monotonic = end->active_monotonic;
        u->inactivated_monotonic = end->inactivated_monotonic;
        return true;
}

const char *unit_state_mismatch(const UnitState *u) {
        return !u->type_exec ? "Type=" :
               !u->restart_no ? "Restart=" :
               !u->remain_after_exit ? "RemainAfterExit=" :
               !u->kill_control_group ? "KillMode=" :
               !u->start_limit_one ? "StartLimitBurst=" : NULL;
}

/* jobmill-exec was executed and says that the command was not. */
static const char *unit_state_helper_failure(const UnitState *u) {
        if (u->code != CLD_EXITED || !u->status_text ||
            (u->status != EXEC_EXIT_EXEC && u->status != EXEC_EXIT_STDOUT && u->status != EXEC_EXIT_STDERR))
                return NULL;
        return startswith(u->status_text, EXEC_STATUS_PREFIX);
}

/* The command was never executed: statuses 200–243 are systemd's own for that (systemd.exec(5), "Process Exit Codes").
 * From 256 on PID 1 tells when it handed over, which is just before execve(): if that fails, as for a script whose interpreter is not
 * there, it is 203. Before 256, and with 203, a program that exits so by itself at once looks the same. */
static bool unit_state_never_executed(const UnitState *u) {
        if (unit_state_helper_failure(u))
                return true;
        if (u->code == CLD_EXITED && u->status >= 200 && u->status <= 243)
                return u->handoff_monotonic == 0 || (u->active_monotonic == 0 && (u->handoff_monotonic == USEC_INFINITY || u->status == EXEC_EXIT_EXEC));
        return u->code == 0 && u->active_monotonic == 0;
}

static JobResult unit_state_result(const UnitState *u) {
        /* What cannot be seen from the process comes first. */
        switch (u->result) {
        case UNIT_RESULT_OOM_KILL:
                return JOB_OOM_KILL;
        case UNIT_RESULT_WATCHDOG:
                return JOB_WATCHDOG;
        case UNIT_RESULT_TIMEOUT:
                return u->active_monotonic == 0 ? JOB_EXEC : JOB_TIMEOUT;
        default:
                break;
        }
        if (unit_state_never_executed(u))
                return JOB_EXEC;
        switch (u->code) {
        case CLD_EXITED:
                return u->status == 0 ? JOB_SUCCESS : JOB_EXIT_CODE;
        case CLD_DUMPED:
                return JOB_CORE_DUMP;
        case CLD_KILLED:
                return JOB_SIGNAL; /* also where systemd calls TERM, HUP, INT and PIPE a success */
        default:
                return JOB_LOST; /* a main process that is not PID 1's child (MAINPID=) */
        }
}

/* A job can say the like of itself, so it is taken as any text of a user's: short, without control characters. */
static char *clean_reason(const char *text) {
        size_t n = strnlen(text, REASON_MAX);
        char *s;

        while (text[n] && n > 0 && ((uint8_t) text[n] & 0xc0) == 0x80)
                n--;
        s = strndup(text, n);
        for (char *p = s; p && *p; p++)
                if ((uint8_t) *p < 0x20 || *p == 0x7f)
                        *p = '?';
        return s;
}

static char *exec_reason(const UnitState *u) {
        const char *failure = unit_state_helper_failure(u);
        char *s;

        if (failure)
                return clean_reason(failure);

        if (u->code == CLD_EXITED) {
                const char *what = u->status == 203 ? "the command cannot be executed" :
                                   u->status == 200 ? "cannot change to the working directory" :
                                   u->status == 217 ? "no such user" :
                                   u->status == 226 ? "cannot set up the mount namespace" : NULL;
                return what ? strdup(what) :
                       asprintf(&s, "systemd could not execute it, status %" PRIi32 " (systemd.exec(5))", u->status) < 0 ?
                       NULL : s;
        }
        return asprintf(&s, "the unit could not be started: %s",
                        u->result >= 0 ? unit_result_table[u->result] : "for a reason that is not known here") < 0 ? NULL : s;
}

void unit_state_outcome(const UnitState *u, Outcome *ret) {
        *ret = OUTCOME_INIT;
        ret->result = unit_state_result(u);
        if (u->code == CLD_EXITED)
                ret->exit_status = u->status;
        else if (u->code == CLD_KILLED || u->code == CLD_DUMPED)
                ret->exit_signal = u->status;
        if (ret->result == JOB_EXEC)
                ret->reason = exec_reason(u);
        else if (ret->result == JOB_LOST)
                ret->reason = strdup("it is not known how its main process ended");

        /* From the exec on, as time-outs count; a command that ended before PID 1 knew of its exec: from the fork on. */
        usec_t realtime = u->active_realtime ?: u->started_realtime, monotonic = u->active_monotonic ?: u->started_monotonic;

        if (realtime > 0)
                ret->started_usec = realtime;
        if (u->ended_realtime > 0)
                ret->finished_usec = u->ended_realtime;
        if (monotonic > 0 && u->ended_monotonic > 0)
                ret->runtime_usec = usec_sub(u->ended_monotonic, monotonic);
        if (u->cpu_nsec != UINT64_MAX)
                ret->cpu_usec = u->cpu_nsec / NSEC_PER_USEC;
        ret->memory_peak = u->memory_peak;
        ret->memory_max = u->memory_max;
        ret->io_read_bytes = u->io_read_bytes;
        ret->io_write_bytes = u->io_write_bytes;
}

static UnitVerdict decide_absent(const Attempt *a) {
        switch (a->phase) {
        case ATTEMPT_STARTING:
                return sd_id128_is_null(a->invocation_id) ? UNIT_ASK : UNIT_VANISHED;
        case ATTEMPT_RUNNING:
                return UNIT_VANISHED;
        default:
                return UNIT_GONE;
        }
}

UnitVerdict unit_decide(const Attempt *a, const Epoch *epoch, const UnitState *u) {
        if (!epoch_equal(&a->epoch, epoch))
                return a->job ? UNIT_OTHER_EPOCH : UNIT_GONE;
        if (!u || !u->loaded)
                return decide_absent(a);
        /* A stray is whatever has that name, also when it was started anew, until it ends. */
        if (a->phase == ATTEMPT_STRAY)
                return unit_state_is_ended(u) ? UNIT_ENDED : UNIT_NOTHING;
        if (!sd_id128_equal(a->token, u->token))
                return UNIT_FOREIGN;
        if (!sd_id128_is_null(a->invocation_id) && !sd_id128_is_null(u->invocation_id) &&
            !sd_id128_equal(a->invocation_id, u->invocation_id))
                return a->job ? UNIT_RESTARTED : UNIT_RELEASE;

        if (a->phase == ATTEMPT_ENDED)
                return UNIT_RELEASE;
        if (unit_state_is_ended(u))
                return UNIT_ENDED;
        if (a->phase == ATTEMPT_STARTING && unit_state_is_started(u))
                return UNIT_STARTED;
        return UNIT_NOTHING;
}
