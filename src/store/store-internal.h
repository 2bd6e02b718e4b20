/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the files of store/ share and nobody else sees: the connection and what belongs to it. Its statements are
 * statement.h's. */

#include "store/statement.h"
#include "store/store-room.h"

#include <sys/stat.h>

/* Environments are shared by content (store-environment.c). */
typedef struct EnvironmentCache {
        int64_t id;         /* of content, 0: none */
        uint32_t owner;     /* whose it is */
        char *content;      /* the one that was used last */
        size_t size;
        int64_t pending_id; /* 0: none. Its row's refs lack pending, until store_environment_flush() */
        int64_t pending;
} EnvironmentCache;

typedef struct StoreFile {
        struct stat st;
        ino_t log;             /* of the file of the log; 0: there was none */
        uint8_t header[100];
} StoreFile;

/* Their numbers (store-event.c). */
typedef struct StoreEvents {
        const Change *changes; /* of the commit that is being made */
        size_t n_changes;
        uint64_t max;          /* so many may be kept */
        uint64_t count, last;  /* there are */
        uint64_t next;         /* last, once it is committed */
        uint64_t trimmed;      /* the last that is not kept any more */
} StoreEvents;

struct Store {
        callback_body_t callback_body; /* NULL: nobody knows */
        void *callback_userdata;
        sqlite3 *db;
        int lock_fd;
        bool memory;           /* :memory: */
        char *folder, *credentials_path; /* that it lies in, and what credentials of jobs lie in, below that; NULL: none */
        struct Vault *vaults;  /* uthash by id: those that are there (store-credential.c) */
        bool relaxed;          /* PRAGMA synchronous is NORMAL, not FULL */
        sqlite3_stmt *statements[_STMT_MAX];
        int bind_error;        /* SQLite's code of the first stmt_bind_*() that failed, told by the next stmt_step() */
        uint64_t next_id;      /* as stored; 0: not yet */
        bool has_edges;        /* false: no job waits for another one, nor ever did since the store was opened */
        bool counted;          /* starts are; then these are what the file says: */
        uint64_t starts, id_bound;
        StoreFile file;        /* as we left it; nobody else may write to it */
        int log_pages;         /* in the log, after the last commit */
        int log_pages_max;     /* then it is written back */
        EnvironmentCache environment;
        struct Room *rooms; TAILQ_HEAD(, Room) rooms_changed; /* uthash by owner (store-room.c); those that this turn changes */
        StoreEvents event; struct { bool known; uint64_t n[_USAGE_SPAN_MAX]; } usage; /* rows of accounts (store-usage.c) */
        char error[256];
};

#define STORE_META_STARTS "starts"
#define STORE_META_NEXT_ID "next_id"
#define STORE_META_NEXT_WORKER "next_worker"
#define STORE_META_EVENTS_TRIMMED "events_trimmed"
#define STORE_META_RESTORED "restored" /* in meta: an old copy was put back, and nobody has accepted that yet */
#define STORE_ENVIRONMENT_DROPPED INT64_C(-1) /* job.environment of a job that had one */

/* ---- store.c ---- */

int store_begin(Store *s, bool relaxed);
int store_commit(Store *s);
void store_rollback(Store *s); /* keeps store_error() */
int store_write_back(Store *s); /* all that is in the log into the file */
/* "file:…" for SQLite; NULL: out of memory */
char *store_uri(const char *path, const char *parameters);
int store_meta_write(Store *s, const char *key, const char *value); /* within a transaction of the caller's */

/* ---- store-row.c: a row is read and written in one place each ---- */

#define JOB_COLUMNS                                                                                          \
        "id, queue, owner, owner_name, name, state, result, intent, reason, priority, rank, slots, attempt, " \
        "max_attempts, dead, submitted_usec, not_before_usec, ready_usec, started_usec, finished_usec, "     \
        "wait_usec, timeout_usec, stop_timeout_usec, privileged, delayed, output, verify, deadline_usec, "   \
        "keep_usec, ended_usec, submission_key, fair, poison, blockers, flow, array, array_index, "        \
        "array_waits, unique_key, unique_scope, unique_until_usec, unique_held, failures, grown, type, type_version, foreground, callbacks"
#define JOB_N_COLUMNS 48
#define ATTEMPT_COLUMNS                                                                                      \
        "job, attempt, boot_id, userspace_usec, token, invocation_id, slots, slot_numbers, created_usec, "   \
        "result, reason, exit_status, exit_signal, started_usec, finished_usec, runtime_usec, cpu_usec, "    \
        "memory_peak, memory_peak_sampled, io_read_bytes, io_write_bytes, tasks_peak, "                       \
        "freezer, freezer_usec, frozen_usec, verdict, success, io_stdout, io_stderr, memory_max, "   \
        "executor, worker, engine"
#define WORKER_COLUMNS                                                                                       \
        "id, token, uid, user, boot_id, pid, started, unit, name, metadata, queues, slots, draining, registered_usec, durable, away_usec, adapter"
#define RUN_COLUMNS "job, token, boot_id, pid, started"
#define TIMER_COLUMNS                                                                                        \
        "name, owner, owner_name, of_file, paused, set_usec, elapsed_usec, next_usec, last_job, firings, "   \
        "calendar, every_usec, random_delay_usec, accuracy_usec, persistent, overlap, job, elapsed_mark"
#define FIRING_COLUMNS "timer, number, cause, due_usec, fired_usec, job, note"

#define USAGE_VALUES \
        "submitted, jobs, failed, cancelled, attempts, started, wait_usec, runtime_usec, slot_usec, measured, cpu_usec" /* as UsageValue */
#define USAGE_COLUMNS "span, begin_usec, queue, type, owner, " USAGE_VALUES

#define ARRAY_COLUMNS "id, n, max_running, used, held, waiting, ready, starting, running, stopping, done, dead"
#define ARRAY_N_COLUMNS 12

/* Those that have a start deadline to keep: in the words of their index. */
#define JOB_WITH_DEADLINE "deadline_usec IS NOT NULL AND attempt = 0 AND state IN ('held', 'waiting', 'ready')"

/* Binds the columns above to ?1 and up. */
void job_to_row(Store *s, sqlite3_stmt *stmt, const Job *j);
int job_from_row(Store *s, sqlite3_stmt *stmt, Job **ret);
/* numbers: the text of slot_numbers, which the caller keeps. */
void attempt_to_row(Store *s, sqlite3_stmt *stmt, const Attempt *a, const char *numbers);
int attempt_from_row(Store *s, sqlite3_stmt *stmt, Attempt **ret);
bool attempt_was_seen_started(const Attempt *a);
void bind_id128(Store *s, sqlite3_stmt *stmt, int i, const sd_id128_t *id);
bool row_to_id128(sqlite3_stmt *stmt, int i, sd_id128_t *ret); /* false: it is none */

/* store-array.c: the row of a changed array; and that of a job which was loaded, if it is of one. */
int store_record_array(Store *s, const Array *a);
int store_read_array(Store *s, Job *j);
/* Those of which jobs wait for a place: there may be one, for who was to give it died before. */
int store_load_arrays(Store *s, Model *m);

/* history.c: lists of JSON, for json_each(); the names are those of queues. */
char *history_numbers_to_json(const uint64_t *ids, const uint32_t *owners, size_t n);
char *history_names_to_json(char *const *names, bool (*is_valid)(const char *));

/* ---- store-backup.c ---- */
void store_backup_forget(Store *s); /* what a daemon that was killed has left */

/* ---- store-credential.c: before a commit, after it, and at the end ---- */
int store_credentials_write(Store *s, const Model *m), store_load_credentials(Store *s);
void store_credentials_recorded(Store *s, Model *m), store_credentials_forget(Store *s);

/* ---- store-file.c ---- */

int store_file_note(Store *s);
/* Before anything is written. -ESTALE: the file is another one, or was written to. */
int store_file_check(Store *s);
void store_file_close(Store *s); /* in place of sqlite3_close() */

/* ---- store-starts.c ---- */

int store_starts_reserve(Store *s, uint64_t next_id);
uint64_t store_starts_to_come(Store *s); /* what the next event is told with */
int store_starts_check_log(Store *s, const char *path);

/* ---- store-event.c ---- */

int store_record_events(Store *s);
int store_load_events(Store *s);
/* All that were told so far, in a transaction of the caller's: some of it is undone. They are to be loaded again. */
int store_forget_events(Store *s, uint64_t starts);

/* ---- store-edge.c ---- */

int store_record_new_edges(Store *s, const Job *j);
int store_record_edges(Store *s, const Model *m);
int store_load_ended(Store *s, Model *m);
int store_look_for_edges(Store *s);

/* ---- store-receipt.c ---- */

int store_record_receipt(Store *s, const Receipt *r);
int store_record_rate(Store *s, const Queue *q);
int store_load_rates(Store *s, Model *m);

/* ---- store-worker.c ---- */

int store_record_worker(Store *s, const Worker *w);
int store_load_workers(Store *s, Model *m);

/* ---- store-usage.c ---- */

int store_record_usage(Store *s, const Model *m);

/* ---- store-run.c ---- */

int store_record_run(Store *s, const Run *r);
int store_load_runs(Store *s, Model *m);

/* ---- store-timer.c ---- */

int store_record_timers(Store *s, const Model *m);
int store_load_timers(Store *s, Model *m);

/* ---- store-environment.c ---- */

int store_environment_reference(Store *s, char *const *environment, uint32_t owner, int64_t *ret_id);
/* The job's reference, if it has one. mark: the job's row stays and remembers that it had one. */
int store_environment_drop(Store *s, uint64_t job, bool mark);
/* Writes the count that is still in memory: before each commit. */
int store_environment_flush(Store *s);
/* After a rollback: what is cached may never have been stored. */
void store_environment_forget(Store *s);
int store_environment_load(Store *s, int64_t id, char ***ret);
