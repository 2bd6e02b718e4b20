/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The prepared statements of the store, and the few ways in which they are used. */

#include "base/macro.h"

#include <sqlite3.h>

typedef struct Store Store;

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
        STMT_RATE_UPSERT,
        STMT_RATE_DELETE,
        STMT_RATE_ALL,
        STMT_RATE_MOVE,
        STMT_JOB_INSERT,
        STMT_JOB_UPDATE,
        STMT_JOB_DELETE,
        STMT_JOB_GET,
        STMT_JOB_LIVE,
        STMT_JOB_WINDOW,
        STMT_JOB_WINDOW_FAIR,
        STMT_RANK_QUEUES,
        STMT_RANK_EQUAL,
        STMT_RANK_ABOVE,
        STMT_JOB_KEEP,
        STMT_JOB_KEEP_OWN,
        STMT_JOB_READY,
        STMT_JOB_RERANK,
        STMT_QUEUE_RERANK,
        STMT_JOB_DUE,
        STMT_JOB_NEXT_DUE,
        STMT_JOB_EXPIRED,
        STMT_JOB_NEXT_DEADLINE,
        STMT_JOB_MOVE_DELAYS,
        STMT_JOB_UNIQUE,
        STMT_JOB_MOVE_UNIQUE,
        STMT_ATTEMPT_MOVE,
        STMT_JOB_MAX_ID,
        STMT_JOB_LAST_KEY,
        STMT_JOB_ENVIRONMENT,
        STMT_JOB_SET_ENVIRONMENT,
        STMT_EDGE_INSERT,
        STMT_EDGE_SET,
        STMT_EDGE_SET_ALL,
        STMT_EDGE_ALL,
        STMT_EDGE_OPEN,
        STMT_EDGE_BEHIND,
        STMT_EDGE_NEEDED,
        STMT_FLOW_STATES,
        STMT_EDGE_INPUTS,
        STMT_EDGE_DELETE,
        STMT_ENDED_INSERT,
        STMT_ENDED_DELETE,
        STMT_ENDED_ALL,
        STMT_SPEC_INSERT,
        STMT_SPEC_UPDATE,
        STMT_SPEC_SET_PAYLOAD,
        STMT_SPEC_GET,
        STMT_SPEC_LOAD,
        STMT_SPEC_DELETE,
        STMT_SPEC_SIZES,
        STMT_SPEC_OF_ARRAY,
        STMT_ARRAY_INSERT,
        STMT_ARRAY_UPDATE,
        STMT_ARRAY_GET,
        STMT_ARRAY_WAITING,
        STMT_ARRAY_NEXT_WAITING,
        STMT_ARRAY_DELETE_WITH_LAST,
        STMT_JOB_OF_VAULT,
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
        STMT_ATTEMPT_NEWEST,
        STMT_ATTEMPT_DELETE,
        STMT_ATTEMPT_DELETE_ONE,
        STMT_WORKER_UPSERT,
        STMT_WORKER_DELETE,
        STMT_WORKER_ALL,
        STMT_RUN_INSERT,
        STMT_RUN_DELETE,
        STMT_RUN_ALL,
        STMT_TIMER_UPSERT,
        STMT_TIMER_DELETE,
        STMT_TIMER_ALL,
        STMT_FIRING_INSERT,
        STMT_FIRING_TRIM,
        STMT_FIRING_UNFINISHED,
        STMT_FIRING_LIST,
        STMT_EVENT_INSERT,
        STMT_EVENT_SIZES,
        STMT_EVENT_TRIM,
        STMT_EVENT_NEXT_START,
        STMT_EVENT_READ,
        STMT_RECEIPT_INSERT,
        STMT_RECEIPT_GET,
        STMT_RECEIPT_COUNT,
        STMT_RECEIPT_EXPIRE,
        STMT_RECEIPT_OLDEST,
        STMT_ROOM_ALL,
        STMT_ROOM_UPSERT,
        STMT_ROOM_DELETE,
        STMT_ROOM_OF_JOB,
        STMT_ROOM_OF_ENVIRONMENT,
        STMT_ROOM_OF_TIMER,
        STMT_RECEIPT_MOVE,
        STMT_USAGE_ADD,
        STMT_USAGE_OLDEST,
        STMT_USAGE_COUNT,
        STMT_USAGE_COUNT_AT,
        STMT_USAGE_HAS,
        STMT_USAGE_FOLD,
        STMT_USAGE_DELETE,
        _STMT_MAX,
} StatementId;

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
/* Once for each parameter, from one reset to the next: one that was not bound is NULL. */
void stmt_bind_i64(Store *s, sqlite3_stmt *stmt, int i, int64_t v);
void stmt_bind_u64(Store *s, sqlite3_stmt *stmt, int i, uint64_t v); /* above INT64_MAX (so "unknown"): NULL */
void stmt_bind_text(Store *s, sqlite3_stmt *stmt, int i, const char *v);           /* NULL: NULL */
void stmt_bind_blob(Store *s, sqlite3_stmt *stmt, int i, const void *v, size_t n); /* v may be NULL if n is 0 */

int stmt_step(Store *s, sqlite3_stmt *stmt); /* 1: a row; 0: no more; or an error */
int stmt_exec(Store *s, sqlite3_stmt *stmt); /* to its end, and reset */

/* Columns count from 0. */
uint64_t stmt_u64(sqlite3_stmt *stmt, int i); /* NULL: UINT64_MAX */
const char *stmt_text(sqlite3_stmt *stmt, int i); /* NULL: NULL; until the next step */
bool stmt_no_memory(sqlite3_stmt *stmt); /* a column of this row could not be given */
int stmt_strdup(sqlite3_stmt *stmt, int i, char **ret);
