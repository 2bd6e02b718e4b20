/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A VFS for SQLite that passes everything to the one of the system, fails the call that it is told to, and writes down what
 * was written and synced, so that a power cut can be played at any place of it. */

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>

typedef enum FaultFileId { FAULT_DB, FAULT_WAL, FAULT_OTHER, _FAULT_FILE_MAX } FaultFileId;
typedef enum FaultOpKind { FAULT_OP_WRITE, FAULT_OP_TRUNCATE, FAULT_OP_SYNC, FAULT_OP_DELETE, FAULT_OP_MARK } FaultOpKind;

typedef struct FaultOp {
        FaultOpKind kind;
        FaultFileId file;
        sqlite3_int64 offset; /* the new size; of a mark its number; of a sync or a deletion: the directory was synced */
        unsigned char *data;
        size_t size;
} FaultOp;

typedef struct FaultVfs {
        unsigned calls;     /* since fault_arm() */
        unsigned fail_at;   /* 0: none */
        bool forever;       /* that one and all that follow */
        bool full;          /* the disk is full: writing fails with SQLITE_FULL, all else works */
        const char *failed; /* the first call that failed, NULL: none */
        bool fast;          /* nothing is really synced */
        bool recording;
        FaultOp *ops;
        size_t n_ops, capacity;
} FaultVfs;

extern FaultVfs fault;

void fault_register(void); /* as the default */
void fault_arm(unsigned fail_at, bool forever, bool full);
void fault_disarm(void);
void fault_mark(unsigned number);
void fault_forget(void); /* what was recorded */
