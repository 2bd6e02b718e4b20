/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the files of store/ share and nobody else sees: the connection, its prepared statements, and the few ways in
 * which they are used. */

#include "store/store.h"

#include <sqlite3.h>
#include <sys/stat.h>

/* One for each text in statement.c. The order means nothing. */
typedef enum StatementId {
        STMT_BEGIN,
        STMT_COMMIT,
        STMT_ROLLBACK,
        STMT_META_GET,
        STMT_META_SET,
        STMT_META_DELETE,
        STMT_QUEUE_UPSERT,
        STMT_QUEUE_FLAGS,
        STMT_BACKLOG_UPSERT,
        STMT_BACKLOG_DELETE,
        STMT_BACKLOG_ALL,
        STMT_QUEUE_ALL,
        STMT_JOB_INSERT,
        STMT_JOB_UPDATE,
        STMT_JOB_DELETE,
        STMT_JOB_GET,
        STMT_JOB_LIVE,
        STMT_JOB_WINDOW,
        STMT_JOB_DUE,
        STMT_JOB_NEXT_DUE,
        STMT_JOB_MOVE_DELAYS,
        STMT_ATTEMPT_MOVE,
        STMT_JOB_MAX_ID,
        STMT_JOB_ENVIRONMENT,
        STMT_JOB_SET_ENVIRONMENT,
        STMT_SPEC_INSERT,
        STMT_SPEC_UPDATE,
        STMT_SPEC_SET_PAYLOAD,
        STMT_SPEC_GET,
        STMT_SPEC_PAYLOAD,
        STMT_SPEC_DELETE,
        STMT_ENVIRONMENT_FIND,
        STMT_ENVIRONMENT_GET,
        STMT_ENVIRONMENT_INSERT,
        STMT_ENVIRONMENT_CONTENT_INSERT,
        STMT_ENVIRONMENT_COUNT,
        STMT_ENVIRONMENT_DELETE,
        STMT_ENVIRONMENT_CONTENT_DELETE,
        STMT_ATTEMPT_INSERT,
        STMT_ATTEMPT_UPDATE,
        STMT_ATTEMPT_GET,
        STMT_ATTEMPT_ALL,
        STMT_ATTEMPT_DELETE,
        STMT_RECEIPT_INSERT,
        STMT_RECEIPT_GET,
        STMT_RECEIPT_COUNT,
        STMT_RECEIPT_EXPIRE,
        STMT_RECEIPT_OLDEST,
        STMT_RECEIPT_MOVE,
        _STMT_MAX,
} StatementId;

/* Environments are shared by content (store-environment.c). */
typedef struct EnvironmentCache {
        int64_t id;         /* of content, 0: none */
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

struct Store {
        sqlite3 *db;
        int lock_fd;
        bool memory;           /* :memory: */
        char *folder;          /* that it lies in; NULL: none */
        bool relaxed;          /* PRAGMA synchronous is NORMAL, not FULL */
        sqlite3_stmt *statements[_STMT_MAX];
        int bind_error;        /* SQLite's code of the first stmt_bind_*() that failed, told by the next stmt_step() */
        uint64_t next_id;      /* as stored; 0: not yet */
        bool counted;          /* starts are; then these are what the file says: */
        uint64_t starts, id_bound;
        StoreFile file;        /* as we left it; nobody else may write to it */
        int log_pages;         /* in the log, after the last commit */
        int log_pages_max;     /* then it is written back */
        EnvironmentCache environment;
        char error[256];
};

#define STORE_META_STARTS "starts"
#define STORE_META_NEXT_ID "next_id"
#define STORE_META_RESTORED "restored" /* in meta: an old copy was put back, and nobody has accepted that yet */
#define STORE_ENVIRONMENT_DROPPED INT64_C(-1) /* job.environment of a job that had one */

/* ---- statement.c ---- */

/* The errno for what the connection failed at last; notes its message for store_error(). Never 0. */
int store_sqlite_error(Store *s, int code);
int store_set_error(Store *s, int error, const char *format, ...) _printf_(3, 4); /* returns error */
int store_exec(Store *s, const char *sql);
/* Runs sql and gives the first column of its first row, NULL where there is none. */
int store_query_text(Store *s, const char *sql, char **ret);

int store_prepare_all(Store *s);
void store_finalize_all(Store *s);
const char *store_statement_text(StatementId id);

/* A prepared statement, to be given back by stmt_reset() or on scope exit: reset, nothing bound. */
sqlite3_stmt *store_stmt(Store *s, StatementId id);
void stmt_resetp(sqlite3_stmt **stmt);
#define _cleanup_stmt_ _cleanup_(stmt_resetp)

/* Parameters count from 1. Texts and blobs must live until the statement is reset. An error is kept and told by
 * stmt_step(). */
void stmt_bind_i64(Store *s, sqlite3_stmt *stmt, int i, int64_t v);
void stmt_bind_u64(Store *s, sqlite3_stmt *stmt, int i, uint64_t v); /* above INT64_MAX (so "unknown"): NULL */
void stmt_bind_text(Store *s, sqlite3_stmt *stmt, int i, const char *v);           /* NULL: NULL */
void stmt_bind_blob(Store *s, sqlite3_stmt *stmt, int i, const void *v, size_t n); /* v may be NULL if n is 0 */
void stmt_bind_null(Store *s, sqlite3_stmt *stmt, int i);

int stmt_step(Store *s, sqlite3_stmt *stmt); /* 1: a row; 0: no more; or an error */
int stmt_exec(Store *s, sqlite3_stmt *stmt); /* to its end, and reset */

/* Columns count from 0. */
uint64_t stmt_u64(sqlite3_stmt *stmt, int i); /* NULL: UINT64_MAX */
const char *stmt_text(sqlite3_stmt *stmt, int i); /* NULL: NULL; until the next step */
bool stmt_no_memory(sqlite3_stmt *stmt); /* a column of this row could not be given */
int stmt_strdup(sqlite3_stmt *stmt, int i, char **ret);

/* ---- store.c ---- */

int store_begin(Store *s, bool relaxed);
int store_commit(Store *s);
void store_rollback(Store *s); /* keeps store_error() */
int store_write_back(Store *s); /* all that is in the log into the file */
/* "file:…" for SQLite; NULL: out of memory */
char *store_uri(const char *path, const char *parameters);
int store_meta_write(Store *s, const char *key, const char *value); /* within a transaction of the caller's */

/* ---- store-job.c: a row is read and written in one place each ---- */

#define JOB_COLUMNS                                                                                          \
        "id, queue, owner, owner_name, name, state, result, intent, reason, priority, rank, slots, attempt, " \
        "max_attempts, dead, submitted_usec, not_before_usec, ready_usec, started_usec, finished_usec, "     \
        "wait_usec, timeout_usec, stop_timeout_usec, privileged, delayed"
#define JOB_N_COLUMNS 25
#define ATTEMPT_COLUMNS                                                                                      \
        "job, attempt, boot_id, userspace_usec, token, invocation_id, slots, slot_numbers, created_usec, "   \
        "result, reason, exit_status, exit_signal, started_usec, finished_usec, runtime_usec, cpu_usec, "    \
        "memory_peak, memory_peak_sampled, io_read_bytes, io_write_bytes, tasks_peak, "                       \
        "freezer, freezer_usec, frozen_usec"

/* Binds the columns above to ?1 and up. */
void job_to_row(Store *s, sqlite3_stmt *stmt, const Job *j);
int job_from_row(Store *s, sqlite3_stmt *stmt, Job **ret);
/* numbers: the text of slot_numbers, which the caller keeps. */
void attempt_to_row(Store *s, sqlite3_stmt *stmt, const Attempt *a, const char *numbers);
int attempt_from_row(Store *s, sqlite3_stmt *stmt, Attempt **ret);

/* The spec of a stored job, without payload and environment. */
int store_read_spec(Store *s, const Job *j, JobSpec **ret);

/* ---- store-backup.c ---- */
void store_backup_forget(Store *s); /* what a daemon that was killed has left */

/* ---- store-file.c ---- */

int store_file_note(Store *s);
/* Before anything is written. -ESTALE: the file is another one, or was written to. */
int store_file_check(Store *s);
void store_file_close(Store *s); /* in place of sqlite3_close() */

/* ---- store-starts.c ---- */

int store_starts_reserve(Store *s, uint64_t next_id);
int store_starts_check_log(Store *s, const char *path);

/* ---- store-receipt.c ---- */

int store_record_receipt(Store *s, const Receipt *r);

/* ---- store-environment.c ---- */

int store_environment_reference(Store *s, char *const *environment, int64_t *ret_id);
/* The job's reference, if it has one. mark: the job's row stays and remembers that it had one. */
int store_environment_drop(Store *s, uint64_t job, bool mark);
/* Writes the count that is still in memory: before each commit. */
int store_environment_flush(Store *s);
/* After a rollback: what is cached may never have been stored. */
void store_environment_forget(Store *s);
int store_environment_load(Store *s, int64_t id, char ***ret);
