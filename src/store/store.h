/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The only truth: jobs, attempts, queues' counters, in one SQLite file, and the only user of sqlite3. One connection,
 * WAL, locking_mode=EXCLUSIVE, an flock on the file beside it, statements prepared once at open. Synchronous: a commit is
 * durable when store_record() returns. No clock, no log. Functions return 0 or a negative errno: -ENOSPC (SQLITE_FULL),
 * -EIO, -EUCLEAN (corrupt), -EBUSY (another daemon has it), -EPROTONOSUPPORT (made by a newer version), -ENOMEM,
 * -ENOENT (no such row), -ESTALE (the file was replaced or written to), -ENOTRECOVERABLE (a mistake of ours). store_error() tells more. */

#include "queue/change.h"
#include "queue/model.h"

typedef struct Store Store;

#define STORE_MEMORY ":memory:"

/* path: the file, or STORE_MEMORY for tests. Migrates what is older. */
int store_open(const char *path, Store **ret, char **ret_error);
Store *store_close(Store *s);
DEFINE_TRIVIAL_CLEANUP_FUNC(Store *, store_close);
const char *store_error(const Store *s);
const char *store_file(const Store *s);
uint64_t store_size(Store *s); /* bytes of the data base; 0: cannot be told */
uint64_t store_log_size(const Store *s); /* of what stands in the log */

/* ---- record ---- */

/* All that changed in the model, in one transaction: inserts and updates jobs (with spec, payload and environment of new
 * ones), attempts, queue rows with their counters, deletes model->purged with their attempts. Durable (fsync) unless nothing
 * but invocation ids and start times changed. On error everything is rolled back and the model's lists are as before.
 * Does not call model_recorded(). */
int store_record(Store *s, Model *m);
/* What a new callback (queue/callback.h) says, asked for within that transaction, when all that it tells of is written; malloc'd. */
typedef int (*callback_body_t)(void *userdata, const Job *callback, char **ret, size_t *ret_size);
void store_set_callback_body(Store *s, callback_body_t body, void *userdata);

/* ---- receipts ---- */

int store_load_receipt(Store *s, uint32_t caller, const char *request_id, Receipt **ret); /* -ENOENT */
int store_count_receipts(Store *s, uint32_t caller, uint64_t *ret);
/* Looks at the n oldest and forgets those from before `before`, and those from after `after` (the clock was wrong then), in a
 * transaction of its own. *ret_oldest: created_usec of the oldest that is left, USEC_INFINITY: none. */
int store_expire_receipts(Store *s, usec_t before, usec_t after, size_t n, usec_t *ret_oldest);

/* ---- schedules ---- */

/* What came of the last n times, the latest first. A negative answer ends it. */
typedef int (*firing_row_t)(void *userdata, const Firing *f);
int store_list_firings(Store *s, const char *timer, uint64_t n, firing_row_t callback, void *userdata);
/* Jobs of those times that are not done, by id, at most n. */
int store_unfinished_firings(Store *s, const char *timer, uint64_t *ids, size_t n, size_t *ret_n);

/* ---- accounting ---- */

typedef enum UsageSpan {
        USAGE_MINUTES,
        USAGE_HOURS,
        USAGE_DAYS,
        _USAGE_SPAN_MAX,
} UsageSpan;

const char *usage_span_to_string(UsageSpan s);
usec_t usage_begin(UsageSpan span, usec_t t); /* of that in which t is, in the local time zone */

typedef struct UsageLimits {
        usec_t keep[_USAGE_SPAN_MAX];
        uint64_t rows_max; /* of each */
} UsageLimits;
/* A step of what is to be folded, or forgotten, in a transaction of its own. 1: there is more. */
int store_fold_usage(Store *s, usec_t now, const UsageLimits *limits);

/* What users have stored (store-room.c), in bytes: as recorded and expected; so many more, or less, with the commit of this turn (-ENOMEM). What a spec with
 * payload takes, an environment (which a user's jobs share), so many jobs besides, a schedule, an attempt. What a job's spec takes; own: not its array's. */
uint64_t store_room(const Store *s, uint32_t owner), store_room_of_environment(char *const *environment);
uint64_t store_room_of_jobs(const JobSpec *spec, uint64_t n), store_room_of_timer(const TimerPolicy *p);
int store_room_expect(Store *s, uint32_t owner, int64_t bytes), store_room_of_spec(const JobSpec *spec, uint64_t *ret);
#define STORE_ROOM_OF_ATTEMPT 192
typedef struct StoredSpec { bool own; uint64_t text, payload; } StoredSpec;
int store_stored_spec(Store *s, const Job *j, StoredSpec *ret);

/* ---- starts ---- */

/* At each start and each stop in order. *ret_restored: an old copy of the store was put back and nobody has accepted that yet; true
 * also when the number could not be written. Nothing is done for STORE_MEMORY. */
int store_starts_raise(Store *s, bool *ret_restored);
int store_starts_accept(Store *s);
bool store_starts_is_kept(Store *s); /* the file says something */

/* ---- backup ---- */

typedef struct StoreBackup StoreBackup;
/* Freed before the store is closed. -ENOSPC: no room for the copy beside the store. */
int store_backup_begin(Store *s, StoreBackup **ret);
/* 1: there is more to copy; 0: *ret_fd is the copy, to be read from its beginning. */
int store_backup_step(StoreBackup *b, int *ret_fd);
StoreBackup *store_backup_free(StoreBackup *b);
DEFINE_TRIVIAL_CLEANUP_FUNC(StoreBackup *, store_backup_free);

/* ---- check ---- */

typedef struct StoreCheck {
        unsigned step;
        uint64_t after, rows;
        bool skipped; /* it is too large for some of it */
        bool mend;    /* store_repair()'s */
        bool damaged; /* the file itself: nothing is mended */
        uint64_t mendable;
} StoreCheck;
typedef struct StoreFinding {
        const char *kind;
        uint64_t job;     /* 0: of none */
        const char *text;
        const char *mend; /* what a repair does with it; NULL: nothing, it is left to people */
        bool mended;      /* and that was done */
} StoreFinding;
/* A negative answer ends it all. */
typedef int (*store_finding_t)(void *userdata, const StoreFinding *f);
/* 1: there is more to look at */
int store_check_step(Store *s, StoreCheck *k, store_finding_t found, void *userdata);
/* All at once, also where that takes long: tells what there is, and mends what can be, in one transaction. 1: something was mended, so
 * models that were loaded before do not hold any more; 0: nothing was touched. */
int store_repair(Store *s, usec_t now, store_finding_t found, void *userdata);

/* ---- ballast ---- */

#define STORE_BALLAST_SIZE (8U * 1024U * 1024U)
#define STORE_BALLAST_ROOM (2U * STORE_BALLAST_SIZE) /* must be free to make it: what it gave up itself is no room */
int store_ballast_make(Store *s); /* 0: it is there; -ENOSPC, -EDQUOT: no room */
bool store_ballast_give(Store *s); /* whether there was one */
bool store_ballast_is_kept(Store *s);

/* ---- events ---- */

/* What the next store_record() changes, to be numbered in it; at most about max are kept. changes must stay until then. */
void store_announce(Store *s, const Change *changes, size_t n, uint64_t max);
uint64_t store_last_event(const Store *s); /* its number; 0: none yet */
/* Some of those behind this number, 0 all: objects of JSON with commas between them, up to last. 1; 0: there are none; -ERANGE: some are not
 * kept any more, or it is the number of none of ours. */
typedef int (*event_row_t)(void *userdata, const char *list, uint64_t last);
int store_read_events(Store *s, uint64_t after, event_row_t callback, void *userdata);

/* ---- load ---- */

/* At start and after a failed record: queues with counters and flags (model_queue_add), next_id, live jobs and their
 * attempts (model_job_add, model_attempt_add; phases STARTING or RUNNING). */
int store_load(Store *s, Model *m);

int store_load_job(Store *s, uint64_t id, Job **ret);           /* -ENOENT; ->queue is not set */
int store_load_spec(Store *s, const Job *j, JobSpec **ret);     /* with payload and environment; -ENOENT;
                                                                 * -ENODATA: the environment was dropped */
int store_read_spec(Store *s, const Job *j, JobSpec **ret);     /* without these two; -EUCLEAN: it is missing or no spec */
int store_check_spec(Store *s, uint64_t id);                    /* only what it would say */
/* Credentials: the folder, NULL: there is none; what they take of one user's; are those of a job there? -ENOENT */
const char *store_credentials_path(const Store *s);
uint64_t store_credentials_room(const Store *s, uint32_t owner);
int store_check_credentials(const Store *s, const Job *j, const JobSpec *spec);
int store_load_attempt(Store *s, uint64_t job, uint32_t number, Attempt **ret); /* -ENOENT; unit is set */
/* The first behind `after` that holds a unique key, as it is stored; of an array many may. -ENOENT */
int store_find_unique(Store *s, const char *queue, uint32_t owner, const char *key, uint64_t after, uint64_t *ret);
/* Jobs of an array that wait for a place, in the order of their ids, behind `after`: at most n. */
int store_load_array_waiting(Store *s, uint64_t array, uint64_t after, uint64_t *ids, size_t n, size_t *ret_n);
/* Fill the window of a group (in a fair queue: of one owner): its ready jobs of lowest rank with at most max_slots slots. Sets window_more if there are more such
 * jobs; wider ones do not count (or a window that holds none would be wanted again at once, for ever). The group may be gone afterwards. */
int store_load_window(Store *s, Group *g, uint32_t max_slots);
/* New ranks for the next n ready jobs, for those whose queue's order has changed (queue/rerank.c). 1: there are more. */
int store_rerank(Store *s, Model *m, unsigned n);
/* Ids of waiting jobs that are due, at most n, earliest first; *ret_next: not_before of the first one that is not
 * due, USEC_INFINITY: none. */
int store_load_due(Store *s, usec_t now, uint64_t *ids, size_t n, size_t *ret_n, usec_t *ret_next);

/* The same of start deadlines that have passed, of jobs that have not started. */
int store_load_expired(Store *s, usec_t now, uint64_t *ids, size_t n, size_t *ret_n, usec_t *ret_next);
/* Who waits for whom (store-edge.c). */
int store_array_size(Store *s, uint64_t id, uint64_t *ret); /* also of which some are purged; -ENOENT: it is the id of no array */
typedef int (*edge_row_t)(void *userdata, const Edge *e); /* 0: go on; else that is returned */
int store_edges(Store *s, uint64_t job, edge_row_t callback, void *userdata); /* all that it waits for, by id */
/* The first of those that it still waits for, at most n. */
int store_open_edges(Store *s, uint64_t job, uint64_t *ids, size_t n, uint64_t *ret_n);
/* Open edges to before, of jobs behind this one, by id, at most n. */
int store_load_waiting_for(Store *s, uint64_t before, uint64_t after, Edge *ret, size_t n, size_t *ret_n);
/* How many jobs of a flow are in which state, and dead. */
int store_flow_states(Store *s, uint64_t flow, uint64_t ret[static _JOB_STATE_MAX], uint64_t *ret_dead);
/* Does one that has not ended come after it? Then its outcome is still needed. */
int store_is_needed(Store *s, uint64_t id);
/* What a job is given of those that it came after, as JSON; NULL: it came after none. */
int store_load_inputs(Store *s, uint64_t job, char **ret);

/* What of a queue may go: what was kept longer than keep, or than it wants itself, and of the oldest so many as are too many; at most n ids.
 * Not what is dead. *ret_next: when it is to be looked again, by now->even; USEC_INFINITY: there is none. look: where, when it is at once. */
int store_load_outdated(Store *s, const char *queue, const Now *now, usec_t keep, uint64_t excess, RetentionLook *look, uint64_t *ids,
                        size_t n, size_t *ret_n, usec_t *ret_next);

/* The clock was set (store-clock.c): move what is to move by step, and remember in which boot it is how far from the clock of
 * the boot. *ret_last: what it showed when that was written, 0: not known. -ENOENT: nothing is remembered. */
int store_clock_get(Store *s, sd_id128_t *ret_boot_id, int64_t *ret_offset, usec_t *ret_last, int64_t *ret_shift);
int store_clock_set(Store *s, sd_id128_t boot_id, int64_t offset, usec_t now, int64_t step, int64_t shift);

/* A small text by key ("queue.gpu.slice", "starts"): NULL value deletes. Durable at once. */
int store_get_meta(Store *s, const char *key, char **ret); /* -ENOENT */
int store_set_meta(Store *s, const char *key, const char *value);
