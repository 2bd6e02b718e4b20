/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Our side of the manager (PID 1, or a user's), over a bus connection of its own: starts, watches, signals and
 * releases the units of attempts. All that it learns becomes an edit of the model; all that it asks is asynchronous, follows
 * from the state of the attempt alone, and may be asked again. At most UNITS_IN_FLIGHT starts and stops are unanswered at a
 * time: PID 1 loses its bus connection for everybody when a few hundred are (docs/architecture.md). All calls together are fewer
 * than the 128 unanswered ones that dbus-daemon lets a connection have.
 *
 *   observer.c  the connection, signals, when to read a unit
 *   look.c      reading them (unit-read.c reads the message)
 *   apply.c     what follows for an attempt (unit-state.c decides)
 *   freezer.c   FreezeUnit, ThawUnit
 *   launcher.c  StartTransientUnit (job-unit.c fills it), KillUnit, StopUnit; shutdown.c: whether the system goes down; scope.c
 *   gate.c      units that queues wait for; server.c: … that are started for them, pool.c: those that are made; timer.c: of schedules
 *   slice.c     the properties of the queues' slices; spool-watch.c, spool-share.c: spools are kept small
 *   resync.c    the full look: at start, on a new connection or a new manager, after its reload, and every minute */

#include "queue/model.h"
#include "unit/gate.h"
#include "unit/timer.h"
#include "unit/unit-state.h"

#include <stdarg.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

#define UNITS_IN_FLIGHT 32U
#define UNITS_LOOKS_IN_FLIGHT 40U
#define UNITS_FREEZER_IN_FLIGHT 16U /* freezes, and as many thaws */
#define UNITS_SLICES_IN_FLIGHT 16U
#define UNITS_TICK USEC_PER_SEC /* while there are attempts */
#define UNITS_LOOK_INTERVAL 60U /* ticks of a second between two full looks */

TAILQ_HEAD(UnknownUnitList, UnknownUnit); /* of ours by their names that the model does not know: daemon/ asks the store whose they are */
typedef struct UnknownUnit {
        struct Units *units;
        char *name;
        UnitState state;
        sd_bus_slot *slot;
        struct UnknownUnitList *list; /* that it is on: entry */
        TAILQ_ENTRY(UnknownUnit) entry;
        UT_hash_handle hh; /* units->unknown_names */
} UnknownUnit;
UnknownUnit *unknown_unit_free(UnknownUnit *u);
/* What unit/ keeps of an attempt beside the model. Freed with units_forget(). */
typedef struct UnitWatch {
        struct Units *units;
        Attempt *attempt;
        sd_bus_slot *action_slot, *limit_slot; /* a start, kill or release that is not answered; SetUnitProperties of a scope */
        AttemptPhase action_phase; /* of the attempt when that was asked */
        AttemptPhase asked_phase; /* … when term_sent, kill_sent, release_sent were set */
        sd_bus_slot *look_slot;   /* a GetAll that is not answered */
        UnitEnd end; bool end_told; /* it ended, as its signal said: the look that is wanted, or not answered, is at what only services have */
        sd_bus_slot *freezer_slot; /* FreezeUnit or ThawUnit, not answered: a kill must not wait for it */
        Freezer freezer_asked;    /* which of the two */
        bool cgroup_frozen, bad_setting; /* when it was last sampled; as last seen */
        Freezer freezer;          /* as last seen; frozen also while FreezeUnit is not answered */
        UnitActiveState active;   /* as last heard */
        unsigned start_round;     /* the full look that was under way when the start was sent */
        bool look_wanted, started; /* StartTransientUnit was answered with success */
        bool seen;                /* by the list of the full look under way */
        bool stop_seen;           /* it was stopping although nobody here asked */
        unsigned stopping_round;  /* the full look that tells whether the system is; 0: that was not asked */
        bool removed, signalled, limited;  /* the unit is gone, the cgroup may not be; a user had it signalled; its scope has its limits */
        bool looked_absent;       /* the last look found none: systemd tells the removal of the empty one that it loaded for it */
        bool term_sent, kill_sent, release_sent, thaw_sent;
        bool act_wanted;          /* by the time action_slot is answered */
        bool retry, look_again;   /* at the next tick */
        sd_id128_t journal_mark;  /* of a line of ours, for an absent start (apply.c) */
        usec_t journal_marked;    /* monotonic: when it was written */
        TAILQ_ENTRY(UnitWatch) look_entry;
} UnitWatch;
TAILQ_HEAD(UnitWatchList, UnitWatch);

/* Everything here is valid from units_new() on; the bus may come and go. */
typedef struct Units {
        sd_event *event;
        Model *model;
        bool user;                /* the user's manager */
        char *run_path;           /* /run/jobmill: attempt/ lies below */
        const char *exec_path, *credentials_path; /* of jobmill-exec; what credentials of jobs lie in (the store's) */

        sd_bus *bus;              /* NULL: not connected */
        sd_event_source *reconnect_timer, *tick_timer, *drain_source;
        usec_t reconnect_delay;

        Epoch epoch;              /* of the manager; boot_id null: not asked yet */
        char *version;            /* of the manager; NULL: not known yet */
        int64_t clock_even;       /* of now.even from the clock of the boot */
        unsigned version_number;
        char *cgroup_root;        /* of the manager, below the cgroup mount: "" for PID 1 */
        uint64_t tasks_max;       /* DefaultTasksMax= of the manager; UINT64_MAX: none; 0: not known */
        bool stopping;            /* the system is */
        bool contract_checked;    /* a job of ours was seen to be what we asked for (type, restart, …) */
        char *mismatch;           /* why not: "Restart= is changed by /etc/…"; dispatch waits */

        unsigned in_flight, looks_in_flight, freezing, thawing; /* the last two of FreezeUnit and ThawUnit */
        unsigned in_flight_max;   /* UNITS_IN_FLIGHT, or what the daemon sets below that */
        uint64_t answers, errors; /* to starts and stops; errors among them */
        struct UnitWatchList looks;
        struct UnknownUnitList unread, reading, unknown; /* to be asked for; asked for; read, to be taken off by daemon/ */
        UnknownUnit *unknown_names; /* uthash by name: all of them */

        sd_bus_slot *round_slot, *reload_slot; /* resync.c, backstop.c */
        unsigned round;           /* number of the full look */
        unsigned round_known;     /* the last one in which the manager told of itself */
        bool round_active, round_full, round_again, again_full; /* the last two: one more after this */
        bool round_failed;        /* the next tick tries again */
        bool synced;              /* the first full look on this connection is through */
        bool reloading;           /* PID 1 is: it drops all units and makes them again */
        unsigned ticks, look_interval; usec_t round_at; /* UNITS_LOOK_INTERVAL, but for tests; monotonic: when the last look began */
        struct ToldSlice *slices_told; /* uthash by name: those of which something was set */
        unsigned slices_in_flight; /* not answered */
        struct GateLookList gate_looks; struct ServerStartList server_starts; struct TimerCallList timer_calls; /* not answered */
        bool slices_failed, slices_again; /* one was not set; since the next tick: tell them all again */
        bool subscribe_failed;    /* signals do not come: every tick looks */
        sd_event_source *spool_source; /* something is written to a spool; NULL: ticks look */
        int spool_fd;
        usec_t spool_full;        /* monotonic: when the spool was last seen full; 0: never */
        size_t io_tail_max;       /* of each stream is recorded */
} Units;

int units_new(sd_event *event, bool user, const char *run_path, const char *exec_path, Units **ret);
Units *units_free(Units *u);
DEFINE_TRIVIAL_CLEANUP_FUNC(Units *, units_free);

/* Connect (and again, with back-off, whenever the bus is lost). */
void units_connect(Units *u);
/* The model was dropped and loaded again: nothing of the old one may be touched any more, look at everything. */
void units_set_model(Units *u, Model *m);
void units_detach_model(Units *u);

/* The act step: the next attempt for which something can be asked now (NULL: none, or too much is in flight), taken off the
 * model's list. units_is_to_start(): the daemon loads spec and inputs first. units_act() asks. */
Attempt *units_next(Units *u);
bool units_is_to_start(const Attempt *a);
void units_act(Units *u, Attempt *a);

/* Before dispatch: why nothing may start, as far as the manager is concerned; NULL: it may. */
const char *units_blocked(const Units *u);

/* Properties of a queue's slice, now and for the rest of the boot; those of earlier calls that the queue no longer sets are taken
 * back. Not waited for; what is refused for good is logged. false: too many are on their way, or none can be, so try later. */
bool units_set_slice(Units *u, const Queue *q); void units_forget_slices(Units *u);

/* The text of the unit that a start of a would ask for. a is of no model; bus: any that is connected. *ret_error as with
 * job_unit_append(). */
int units_preview(const Units *u, sd_bus *bus, Attempt *a, char **ret, char **ret_error);

/* A full look as soon as possible; full: also at those that seem to be as we think. */
void units_resync(Units *u, bool full);

void units_forget(Attempt *a); /* that the daemon adopted from an UnknownUnit, or that is being dropped */
/* What is known of a unit now leads to what the model should learn. state: NULL where there is no such unit. */
void units_apply(Units *u, Attempt *a, const UnitState *state);

/* ---- between the files of unit/ ---- */
UnitWatch *units_watch(Units *u, Attempt *a); /* NULL: it has no unit, or out of memory */
void units_look(UnitWatch *w);
void units_look_ended(UnitWatch *w, const UnitState *signal); /* at what its signal, which was read to its end, does not tell */
void units_ask_freezer(UnitWatch *w);
bool units_is_frozen(const UnitWatch *w, const UnitState *s);
void units_forget_freezer(UnitWatch *w);
/* What is about to be signalled or stopped must be able to run. Not waited for. */
int units_thaw(UnitWatch *w);
void units_look_unknown(Units *u, const char *name);
void units_flush_looks(Units *u);
/* A call to the manager; never one that would have the bus start it: that it is away for a moment is all. */
int units_new_call(Units *u, sd_bus_message **ret, const char *path, const char *interface, const char *member);
/* shutdown.c: whether the system goes down, by a signal of shutdown.target or by SystemState=. */
void units_heed_shutdown(Units *u, sd_bus_message *m);
void units_heed_system_state(Units *u, const char *state);
/* Ask whether it does. true: wait, the unit is looked at again with the answer. false: what u->stopping says holds. */
bool units_ask_stopping(Units *u, UnitWatch *w);
/* PID 1 did not answer, so it is not known what was done: the next full look tells. */
bool units_error_is_silence(const sd_bus_error *e);
/* It refused, so nothing was done, for a reason that has nothing to do with what was asked: the same may be asked again. */
bool units_error_may_pass(const sd_bus_error *e);
/* … of the manager's object, sent. */
int units_callv(Units *u, sd_bus_slot **slot, const char *interface, const char *member,
                sd_bus_message_handler_t callback, void *userdata, const char *types, va_list ap);
void units_abort_round(Units *u);
void units_reloaded(Units *u);
void units_round_check(Units *u);
/* The properties that m stands at as a unit's file, behind the comment. */
int unit_text_format(sd_bus_message *m, const char *comment, char **ret);
/* The command, of those. */
int job_command_append(sd_bus_message *m, const Units *u, const Attempt *a);
/* Everything between the brackets. spool: its descriptors, or NULL. *ret_error is set (and the return negative) where it is refused. */
int job_unit_append(sd_bus_message *m, const Units *u, Attempt *a, const char *env_file, const int *spool, char **ret_error);
void units_now(const Units *u, Now *ret);
void units_arm_tick(Units *u, usec_t after); /* or sooner */
#define SYSTEMD_NAME "org.freedesktop.systemd1"
#define SYSTEMD_PATH "/org/freedesktop/systemd1"
#define SYSTEMD_MANAGER "org.freedesktop.systemd1.Manager"
#define SYSTEMD_UNIT "org.freedesktop.systemd1.Unit"
#define SYSTEMD_UNIT_PREFIX "/org/freedesktop/systemd1/unit"
