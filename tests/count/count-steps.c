/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The linker puts this in place of SQLite's own (--wrap). */

#include "count.h"

#include <sqlite3.h>

int __real_sqlite3_reset(sqlite3_stmt *stmt);
int __wrap_sqlite3_reset(sqlite3_stmt *stmt);
int __wrap_sqlite3_reset(sqlite3_stmt *stmt) {
        if (stmt)
                count->steps += (uint64_t) sqlite3_stmt_status(stmt, SQLITE_STMTSTATUS_VM_STEP, 1);
        return __real_sqlite3_reset(stmt);
}
