/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The daemon: everything that there is, and the turn that holds it together (settle.c: read that first). */

#include "api/api.h"
#include "api/user-db.h"
#include "daemon/settings.h"
#include "queue/job-type.h"
#include "notify/metrics.h"
#include "queue/model.h"
#include "store/store.h"
#include "unit/units.h"

#include <systemd/sd-event.h>

typedef struct Manager {
        sd_event *event;
        bool user;                   /* of a user: session bus, user manager */
        char *state_path, *run_path, *socket_path; /* the last: of our own socket, if we have one */
        char **config_directories;
        Settings settings;           /* jobmill.conf, as it was when it was last good */
        Storage storage;             /* of the store that is open */
        JobTypes types;
        bool types_look;             /* for the units that they need */
        char *config_error;          /* what was wrong when files were last read, or NULL */

        Model *model;                /* NULL: no store */
        Store *store;                /* NULL: it could not be opened yet, and nothing else is done */
        Units *units;
        Api *api;
        UserDb *users;

        Metrics metrics;
        Now now;                     /* of this turn */
        int64_t clock_shift;         /* by so much was the clock set, in all, since there is this store */
        int64_t clock_offset;        /* of realtime from the clock of the boot, as all that is kept has it */
        usec_t left_over_look;       /* monotonic: whether what a runner left is gone; USEC_INFINITY: nothing is left */
        usec_t left_over_wait;       /* between two such looks */
        bool left_over_due, left_overs; /* in this act: it is time; something is left */
        usec_t next_due;             /* realtime: when the first waiting job is due; 0: to be asked of the store */
        usec_t next_start_deadline;  /* realtime: when the first job that has not started is too late; 0: to be asked of the store */
        usec_t next_expiry;          /* realtime: when the oldest receipt is to be forgotten; 0: to be asked of the store */
        usec_t next_fold;            /* monotonic: when accounts are looked at again; 0: in the next turn */
        usec_t pressure_next;        /* monotonic: when it is to be read again; USEC_INFINITY: nobody waits for it */
        bool pressure_failed[_PRESSURE_MAX]; /* it could not be read, and that was told */
        bool storage_failed;         /* the last commit failed: nothing starts until one succeeds */
        size_t releases_left;        /* in this turn */
        usec_t open_next;            /* monotonic: not before this the store is tried again (no store) */
        bool was_read_only;          /* the file system of the store, when it was tried */
        usec_t ballast_next;         /* monotonic: not before this the ballast is made again */
        bool files_swept;            /* what a killed daemon left of attempts is removed */
        bool slices_set;             /* the manager has the properties of the queues' slices, or is being told */
        bool ready_told;
        bool stopping;               /* told to end: nothing starts; when the last look is through, that is it */
        char *status;                /* last STATUS= */
        unsigned decisions_left;     /* in this turn: jobs that may be started, or found to be impossible */
        unsigned skips_left;         /* … or passed over, as their owner is being looked up */
        usec_t status_told;          /* monotonic: when */

        sd_event_source *settle_source; /* post: after each turn of the loop that did something */
        sd_event_source *clock_source;  /* the clock was set */
        sd_event_source *due_timer, *deadline_timer, *storage_timer, *status_timer, *again_source, *expiry_timer,
                *stop_timer, *pressure_timer;
} Manager;

int manager_new(bool user, Manager **ret);
Manager *manager_free(Manager *m);
DEFINE_TRIVIAL_CLEANUP_FUNC(Manager *, manager_free);

/* Which store it is. */
int manager_read_settings(Manager *m);
/* Open the store, read the configuration, connect. */
int manager_start(Manager *m);
/* Read jobmill.conf and the queue files again (SIGHUP, Reload()). */
void manager_reload(Manager *m);
/* types.c: jobs/NAME.job, and then, in a turn, the units that they need. *ret_error: the first thing that is wrong, if there is none yet.
 * -errno: nothing has changed. */
int manager_load_types(Manager *m, char **ret_error);
int manager_look_types(Manager *m);
/* SetQueue() and RemoveQueue(), those that wait. */
void manager_recover_queues(Manager *m); /* after a crash, before the queue files are read */
void manager_edit_queues(Manager *m);
/* Let the next commit tell whose policy changed. */
void manager_tell_policies(Manager *m);
/* Tell the manager the [Slice] properties. */
void manager_want_slice(Manager *m, Queue *q), manager_tell_slices(Manager *m);
void manager_set_slices(Manager *m);
/* A new model from files and store, as at start: at start, and after a failed commit. */
int manager_load_model(Manager *m);

/* open.c. 0 also where there is none yet: m->store is NULL then, and it is tried again by a later turn. */
int manager_open_store(Manager *m);
bool manager_store_is_unusable(int error); /* nothing but an administrator helps */
const char *manager_store_advice(int error); /* to follow the store's error in a message; may be empty */
void manager_raise_starts(Manager *m);
int manager_repair_store(Manager *m); /* jobmilld --repair: instead of manager_start(). -ENOTEMPTY: something is left */

/* The last look is through, or takes too long. */
void manager_exit(Manager *m);

/* settle.c */
int manager_settle(Manager *m);
int manager_read_clocks(Manager *m);
/* Also one that is in the store only. -ENOENT: gone. */
int manager_load_job(Manager *m, uint64_t id, Job **ret);
/* Spec and inputs, for its start. false: it has ended by that, which is to be recorded before anything else is done about it. */
bool manager_load_spec(Manager *m, Attempt *a);

/* workers.c: act, for those that live in workers. */
bool manager_act_workers(Manager *m);

/* pool.c: act and decide, for those that live in runners; servers: also of WorkerUnit=. order: what one is told beside the spec; -ECANCELED: it has ended by that. */
void manager_find_socket(Manager *m, int fd);
void manager_want_server(Manager *m, const Queue *q, uint32_t owner);
void manager_start_servers(Manager *m);
int manager_order(Manager *m, Attempt *a, char **ret);
void manager_begin_left_overs(Manager *m);
bool manager_is_left_over(Manager *m, Attempt *a);
void manager_end_left_overs(Manager *m);
void manager_adopt_left_overs(Manager *m);
void manager_remove_files(Manager *m, const Attempt *a);
void manager_capture_spool(void *userdata, const Attempt *a, Outcome *o); /* an Api's */

/* runs.c: jobs in the foreground. end: decide; -errno: of the store. check: may this one start? false: it has ended by that. */
int manager_end_runs(Manager *m);
bool manager_check_run(Manager *m, Attempt *a);
bool manager_act_runs(Manager *m);

/* release.c: jobs that wait for those that have ended. */
#ifndef RELEASES_PER_TURN
#define RELEASES_PER_TURN 1000U
#endif
int manager_release(Manager *m);

/* callbacks.c: decide, when all else is. -errno: of the store */
int manager_make_callbacks(Manager *m);

/* arrays.c: decide */
void manager_fill_arrays(Manager *m);

/* timers.c: schedules. find: those of files, at start and after each reload. check: an Api's check_calendar. */
int manager_find_timers(Manager *m, Model *model);
int manager_check_calendar(void *userdata, const char *calendar, uint64_t number);

/* preview.c: an Api's preview_t */
int manager_preview(void *userdata, const Preview *p, char **ret, char **ret_error);

/* ballast.c. give: there was one, what failed with that error may be tried again. */
void manager_make_ballast(Manager *m);
bool manager_give_ballast(Manager *m, int error);

/* check.c: an Api's check; and Repair(), for those who wait for it */
int manager_check(void *userdata, store_finding_t found, void *found_userdata);
bool manager_queue_has_files(const Manager *manager, const Queue *q); /* or one below it */
int manager_repair(Manager *m);

/* clock.c. recall: with each new model. follow: at the beginning of each turn; -errno: of the store, nothing has moved. */
void manager_recall_clock(Manager *m);
int manager_follow_clock(Manager *m);
int manager_watch_clock(Manager *m);
void manager_keep_clock(Manager *m); /* at the end: what it shows */

/* pressure.c: read /proc/pressure, if somebody waits for it and it was not just now. */
void manager_sample_pressure(Manager *m);

/* metrics.c: an Api's diagnose and write_metrics; a commit that began then, and the end of a turn. */
void manager_diagnose(void *userdata, Diagnostics *d);
int manager_write_metrics(void *userdata, char **ret);
void manager_committed(Manager *m, usec_t began, bool good);
void manager_turned(Manager *m);

/* usage.c: at the end of a turn. more: the next turn goes on. */
void manager_fold_usage(Manager *m);
bool manager_folds_more(const Manager *m);

/* receipts.c: at most once a turn */
void manager_expire_receipts(Manager *m);

/* Also one that is in the store only. -ENOENT: gone. */
int manager_load_job(Manager *m, uint64_t id, Job **ret);

/* retention.c: at the end of a turn, when the store has all that memory has; some a turn, for the commit of the next one. */
void manager_expire_jobs(Manager *m);
usec_t manager_next_purge(const Manager *m); /* realtime */
bool manager_expires_more(const Manager *m); /* there is more for the next turn */

/* rerank.c: before anything is decided. -errno: of the store, nothing has changed. */
int manager_rerank(Manager *m);

/* adopt.c: units of our name that the model does not know. */
void manager_adopt_unknown(Manager *m);
