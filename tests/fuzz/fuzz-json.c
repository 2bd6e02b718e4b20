/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "fuzz.h"

#include <sqlite3.h>

/* It looks neither at UTF-8 nor behind a NUL. */
bool json_is_valid(const char *text, size_t size) {
        static sqlite3 *db;
        static sqlite3_stmt *s;
        bool valid;

        if (!db)
                check(sqlite3_open(":memory:", &db) == SQLITE_OK &&
                      sqlite3_prepare_v2(db, "SELECT json_valid(?1)", -1, &s, NULL) == SQLITE_OK);
        check(sqlite3_bind_text(s, 1, text, (int) size, SQLITE_STATIC) == SQLITE_OK && sqlite3_step(s) == SQLITE_ROW);
        valid = sqlite3_column_int(s, 0);
        sqlite3_reset(s);
        return valid && utf8_is_valid(text, size) && !memchr(text, 0, size);
}
