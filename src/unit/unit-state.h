/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What PID 1 says of one unit, and what follows from it for an attempt. Pure: filled by unit/observer.c, tested with
 * structs. systemd's words become enums here and nowhere else. */

#include "queue/model.h"

typedef enum UnitActiveState {
        UNIT_INACTIVE,
        UNIT_ACTIVATING,
        UNIT_ACTIVE,
        UNIT_RELOADING,
        UNIT_DEACTIVATING,
        UNIT_FAILED,
        UNIT_MAINTENANCE,
        _UNIT_ACTIVE_STATE_MAX,
        _UNIT_ACTIVE_STATE_INVALID = -EINVAL,
} UnitActiveState;

const char *unit_active_state_to_string(UnitActiveState s);
UnitActiveState unit_active_state_from_string(const char *s);

/* systemd's Result= of a service (systemd.exec(5), $SERVICE_RESULT). */
typedef enum UnitResult {
        UNIT_RESULT_SUCCESS,
        UNIT_RESULT_PROTOCOL,
        UNIT_RESULT_TIMEOUT,
        UNIT_RESULT_EXIT_CODE,
        UNIT_RESULT_SIGNAL,
        UNIT_RESULT_CORE_DUMP,
        UNIT_RESULT_WATCHDOG,
        UNIT_RESULT_EXEC_CONDITION,
        UNIT_RESULT_OOM_KILL,
        UNIT_RESULT_START_LIMIT_HIT,
        UNIT_RESULT_RESOURCES,
        _UNIT_RESULT_MAX,
        _UNIT_RESULT_INVALID = -EINVAL,
} UnitResult;

UnitResult unit_result_from_string(const char *s);

#define SCOPE_WORD "info:jobmill/"

typedef struct UnitState {
        bool loaded;              /* LoadState=loaded */
        bool bad_setting;         /* the manager could not read its file again */
        UnitActiveState active;
        bool exited;              /* SubState=exited */
        bool unit_job;            /* a job of systemd's is pending */
        sd_id128_t invocation_id; /* null: never started */
        sd_id128_t token;         /* JOBMILL_ATTEMPT_ID= of Environment=, or of a scope's SCOPE_WORD in Documentation=; null: none */
        char *slots;              /* JOBMILL_SLOTS= */
        char *slice;
        char *status_text;        /* StatusText=; NULL: none */
        UnitResult result;
        int32_t code;             /* ExecMainCode: 0 not yet, CLD_EXITED, CLD_KILLED, CLD_DUMPED */
        int32_t status;
        usec_t started_realtime, started_monotonic; /* ExecMainStart…; 0: never */
        usec_t ended_realtime, ended_monotonic;     /* ExecMainExit…; 0: not yet */
        usec_t active_realtime, active_monotonic;   /* ActiveEnter…; 0: never */
        usec_t inactivated_monotonic;               /* ActiveExitTimestampMonotonic; 0: never */
        usec_t handoff_monotonic; /* ExecMainHandoffTimestampMonotonic, from 256; USEC_INFINITY: no such property */
        Freezer freezer;          /* FreezerState=, or that of a slice above */
        usec_t runtime_max;       /* RuntimeMaxUSec; USEC_INFINITY: none */
        uint64_t cpu_nsec, memory_peak, memory_max, io_read_bytes, io_write_bytes; /* UINT64_MAX: not known */
        int32_t kill_signal;
        /* The behaviour that the protocol stands on; drop-ins of the administrator may have changed it. */
        bool type_exec, restart_no, remain_after_exit, kill_control_group, start_limit_one;
        char **drop_ins;
} UnitState;

/* What the signal tells of a service that has ended, of what all units have; the rest is what only services have. */
typedef struct UnitEnd {
        UnitActiveState active;
        bool exited;
        Freezer freezer;
        usec_t active_realtime, active_monotonic, inactivated_monotonic;
} UnitEnd;

UnitEnd unit_state_end(const UnitState *u);
/* Into what was read of the service, of which invocation_id is told. false: that is of another invocation, or it does not tell. */
bool unit_state_add_end(UnitState *u, const UnitEnd *end, sd_id128_t invocation_id);

void unit_state_init(UnitState *u);
void unit_state_done(UnitState *u);

/* Ended: no job of systemd's pending, an invocation known (also "inactive" is signalled before a start), and over. */
bool unit_state_is_ended(const UnitState *u);
bool unit_state_is_started(const UnitState *u);

/* It was stopped, and that is why its process ended; not the other way round. Also where it never became active. */
bool unit_state_was_stopped(const UnitState *u);

/* Which of the properties that the protocol needs is not as asked for; NULL: all right. Static string. */
const char *unit_state_mismatch(const UnitState *u);

/* The cause, as PID 1 reports it, and usage. */
void unit_state_outcome(const UnitState *u, Outcome *ret);

/* design.md, section 3, "One attempt": the table of what to do, row by row. */
typedef enum UnitVerdict {
        UNIT_NOTHING,   /* as it should be, or not known yet */
        UNIT_ASK,       /* starting, no unit: ask, or ask again if PID 1 never heard of it */
        UNIT_STARTED,   /* adopt */
        UNIT_ENDED,     /* record the outcome */
        UNIT_VANISHED,  /* was running, is no more: the journal may know */
        UNIT_RESTARTED, /* our token, another invocation: kill, lost */
        UNIT_RELEASE,   /* the outcome is recorded: let the unit go */
        UNIT_GONE,      /* recorded and let go */
        UNIT_OTHER_EPOCH, /* of a manager that is no more: lost, or what was intended */
        UNIT_FOREIGN,   /* the unit of that name is not of our attempt */
} UnitVerdict;

/* u: NULL where there is no such unit. */
UnitVerdict unit_decide(const Attempt *a, const Epoch *epoch, const UnitState *u);
