/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A copy of the store while it is in use, some pages at a time. What is written meanwhile by the connection (there is no other) goes
 * into the copy as well, so it never starts over, and holds all that was committed when the last page was copied. It is made in a
 * file beside the store, which has no name any more when it is handed out: SQLite cannot write to a descriptor.
 *
 * The copy is marked, and is of no start: if it is ever put in the place of the store, nothing starts until that was accepted, and
 * no log is taken for its own (store-starts.c). */

#include "base/crash-point.h"
#include "store/store-internal.h"

#include <fcntl.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define PAGES_PER_STEP 256
#define ROOM_TO_LEAVE (16U * 1024U * 1024U)

struct StoreBackup {
        Store *store;
        sqlite3 *db;
        sqlite3_backup *backup;
        char *path; /* NULL: it was handed out */
};

static void backup_close(StoreBackup *b) {
        (void) sqlite3_backup_finish(b->backup);
        (void) sqlite3_close(b->db);
        b->backup = NULL;
        b->db = NULL;
}

StoreBackup *store_backup_free(StoreBackup *b) {
        if (!b)
                return NULL;

        backup_close(b);
        if (b->path)
                (void) unlink(b->path);
        free(b->path);
        return mfree(b);
}

static int backup_error(StoreBackup *b, int rc) {
        const char *what = b->db && sqlite3_errcode(b->db) != SQLITE_OK ? sqlite3_errmsg(b->db) : sqlite3_errstr(rc);

        return store_set_error(b->store, (rc & 0xff) == SQLITE_FULL ? -ENOSPC : (rc & 0xff) == SQLITE_NOMEM ? -ENOMEM : -EIO,
                               "Cannot make a copy: %s", what);
}

static int backup_open(StoreBackup *b, const char *sql) {
        int rc;

        rc = sqlite3_open_v2(b->path, &b->db,
                             SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE | SQLITE_OPEN_EXRESCODE, NULL);
        if (rc == SQLITE_OK)
                rc = sqlite3_exec(b->db, sql, NULL, NULL, NULL);
        return rc == SQLITE_OK ? 0 : backup_error(b, rc);
}

static int backup_make_file(StoreBackup *b) {
        _cleanup_close_ int fd = -EBADF;
        struct statvfs st;

        (void) unlink(b->path); /* of one that was never ended */
        fd = open(b->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (fd < 0)
                return store_set_error(b->store, -errno, "Cannot create %s: %s", b->path, strerror(errno));
        if (fstatvfs(fd, &st) >= 0 && (uint64_t) st.f_bavail * st.f_frsize < store_size(b->store) + ROOM_TO_LEAVE)
                return store_set_error(b->store, -ENOSPC, "A copy is made beside the store first, and there is no room for it");
        return 0;
}

void store_backup_forget(Store *s) {
        _cleanup_free_ char *path = NULL;

        if (!s->folder)
                return;
        if (asprintf(&path, "%s/backup.new", s->folder) >= 0)
                (void) unlink(path);
        else
                path = NULL;
}

int store_backup_begin(Store *s, StoreBackup **ret) {
        _cleanup_(store_backup_freep) StoreBackup *b = new0(StoreBackup, 1);
        int r;

        if (!b)
                return -ENOMEM;
        b->store = s;
        if (!s->folder)
                return store_set_error(s, -EOPNOTSUPP, "It is in memory only");
        if (asprintf(&b->path, "%s/backup.new", s->folder) < 0) {
                b->path = NULL;
                return -ENOMEM;
        }
        r = backup_make_file(b);
        if (r >= 0)
                /* Nobody needs it if it is not whole. */
                r = backup_open(b, "PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;"
                                   "PRAGMA cache_size = -1024");
        if (r < 0)
                return r;
        b->backup = sqlite3_backup_init(b->db, "main", s->db, "main");
        if (!b->backup)
                return backup_error(b, sqlite3_errcode(b->db));
        *ret = TAKE_PTR(b);
        return 0;
}

static int backup_end(StoreBackup *b, int *ret_fd) {
        int r;

        CRASH_POINT("backup-copied");
        backup_close(b);
        r = backup_open(b, "PRAGMA locking_mode = EXCLUSIVE; PRAGMA synchronous = OFF; PRAGMA journal_mode = DELETE;"
                           "INSERT OR REPLACE INTO meta (key, value) VALUES ('" STORE_META_RESTORED "', 'yes'), ('" STORE_META_STARTS "', '0')");
        if (r < 0)
                return r;
        CRASH_POINT("backup-marked");
        backup_close(b);
        *ret_fd = open(b->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        if (*ret_fd < 0)
                return store_set_error(b->store, -errno, "Cannot open %s: %s", b->path, strerror(errno));
        (void) unlink(b->path);
        CRASH_POINT("backup-unlinked");
        b->path = mfree(b->path);
        return 0;
}

int store_backup_step(StoreBackup *b, int *ret_fd) {
        int rc;

        CRASH_POINT("backup-step");
        rc = sqlite3_backup_step(b->backup, PAGES_PER_STEP);

        if (rc == SQLITE_DONE)
                return backup_end(b, ret_fd);
        return rc == SQLITE_OK || rc == SQLITE_BUSY || rc == SQLITE_LOCKED ? 1 : backup_error(b, rc);
}
