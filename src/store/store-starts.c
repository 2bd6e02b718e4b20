/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The start counter: whether an old copy of the store was put back.
 *
 * A number is kept in the store and in the file "starts" beside it, and is raised at each start and at each stop in order: in the
 * store first, and when that is durable, and out of the log, in the file. So a crash in between leaves the store ahead, never the
 * file. A file that is ahead means that the store has forgotten what it once knew: jobs that were run since may be run once more. Then
 * nothing is to be started until somebody has looked; that is remembered in the store, for both are even again from here on.
 *
 * The second line of the file is a bound of all ids that were ever given, raised in large steps before they are: a store that has
 * forgotten jobs gives none of their ids again. And as the database itself, without the log, is never behind the file, a log beside
 * one that is behind belongs to another one, which it was put in the place of. */

#include "base/crash-point.h"
#include "base/parse.h"
#include "store/store-internal.h"

#include <fcntl.h>
#include <sys/stat.h>

#define STARTS "starts"
#define STARTS_NEW "starts.new"
#define IDS_RESERVED 100000U
#define STARTS_MAX (UINT64_MAX / 2) /* more is no number of ours */

static int starts_parse(const char *text, uint64_t *ret) {
        return parse_u64(text, ret) < 0 || *ret > STARTS_MAX ? -EINVAL : 0;
}

static uint64_t starts_of_store(Store *s) {
        _cleanup_free_ char *value = NULL;
        uint64_t n;

        return store_get_meta(s, STORE_META_STARTS, &value) < 0 || starts_parse(value, &n) < 0 ? 0 : n;
}

uint64_t store_starts_to_come(Store *s) {
        return s->counted ? s->starts : starts_of_store(s) + 1;
}

typedef struct Starts {
        uint64_t n;     /* 0: there is no file, or it holds something else */
        uint64_t bound; /* of ids; 0: not known */
} Starts;

static void starts_of_file(int folder_fd, Starts *ret) {
        _cleanup_close_ int fd = openat(folder_fd, STARTS, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
        char text[64], *second;
        ssize_t k = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

        *ret = (Starts) {};
        if (k <= 0)
                return;
        text[k] = '\0';
        second = text + strcspn(text, "\n");
        if (*second)
                *second++ = '\0';
        second[strcspn(second, "\n")] = '\0';
        if (starts_parse(text, &ret->n) < 0)
                ret->n = 0;
        if (starts_parse(second, &ret->bound) < 0)
                ret->bound = 0;
}

/* What could not be written whole is not left behind. */
static int starts_give_up(Store *s, int folder_fd, const char *what) {
        int r = store_set_error(s, -errno, "Cannot %s: %s", what, strerror(errno));

        (void) unlinkat(folder_fd, STARTS_NEW, 0);
        return r;
}

static int starts_write_file(Store *s, int folder_fd, const Starts *starts) {
        _cleanup_close_ int fd = openat(folder_fd, STARTS_NEW, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);

        CRASH_POINT("starts-file-before");
        if (fd < 0 || dprintf(fd, "%" PRIu64 "\n%" PRIu64 "\n", starts->n, starts->bound) < 0 || fsync(fd) < 0)
                return starts_give_up(s, folder_fd, "write the file " STARTS);
        CRASH_POINT("starts-file-written");
        if (renameat(folder_fd, STARTS_NEW, folder_fd, STARTS) < 0 || fsync(folder_fd) < 0)
                return starts_give_up(s, folder_fd, "put the file " STARTS " in its place");
        CRASH_POINT("starts-file-renamed");
        s->starts = starts->n;
        s->id_bound = starts->bound;
        return 0;
}

static int starts_write_store(Store *s, const Starts *starts, bool restored) {
        _cleanup_free_ char *old = NULL;
        uint64_t next_id;
        char text[32];
        int r;

        if (restored && starts->n > starts_of_store(s) + 1) {
                r = store_forget_events(s, starts->n);
                if (r < 0)
                        return r;
        }
        (void) snprintf(text, sizeof(text), "%" PRIu64, starts->n);
        r = store_meta_write(s, STORE_META_STARTS, text);
        if (r >= 0)
                r = store_meta_write(s, STORE_META_RESTORED, restored ? "yes" : NULL);
        if (r < 0 || !restored)
                return r;
        if (store_get_meta(s, STORE_META_NEXT_ID, &old) >= 0 && parse_u64(old, &next_id) >= 0 && next_id >= starts->bound)
                return 0;
        (void) snprintf(text, sizeof(text), "%" PRIu64, starts->bound);
        return store_meta_write(s, STORE_META_NEXT_ID, text);
}

static int starts_write(Store *s, int folder_fd, const Starts *starts, bool restored) {
        int r;

        CRASH_POINT("starts-before");
        r = store_begin(s, false);
        if (r < 0)
                return r;
        r = starts_write_store(s, starts, restored);
        if (r >= 0)
                r = store_commit(s);
        if (r < 0) {
                store_rollback(s);
                return r;
        }
        r = store_write_back(s);
        return r < 0 ? r : starts_write_file(s, folder_fd, starts);
}

static int starts_open_folder(Store *s) {
        int fd = open(s->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        return fd < 0 ? store_set_error(s, -errno, "Cannot open %s: %s", s->folder, strerror(errno)) : fd;
}

static int starts_raise(Store *s, bool accept, bool *ret_restored) {
        _cleanup_close_ int folder_fd = starts_open_folder(s);
        _cleanup_free_ char *flag = NULL;
        uint64_t in_store;
        Starts starts;

        if (folder_fd < 0)
                return folder_fd;
        in_store = starts_of_store(s);
        starts_of_file(folder_fd, &starts);
        s->starts = starts.n;
        s->id_bound = starts.bound;
        s->counted = s->counted || !accept; /* not before the file was read: what is written then begins with it */
        *ret_restored = !accept && (starts.n > in_store || store_get_meta(s, STORE_META_RESTORED, &flag) >= 0);
        starts.n = MAX(in_store, starts.n) + 1;
        return starts_write(s, folder_fd, &starts, *ret_restored);
}

int store_starts_raise(Store *s, bool *ret_restored) {
        return s->folder ? starts_raise(s, false, ret_restored) : 0;
}

int store_starts_accept(Store *s) {
        bool restored;

        return s->folder ? starts_raise(s, true, &restored) : 0;
}

bool store_starts_is_kept(Store *s) {
        _cleanup_close_ int folder_fd = s->folder ? open(s->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -EBADF;
        Starts starts = { .n = 1 };

        if (folder_fd >= 0)
                starts_of_file(folder_fd, &starts);
        return starts.n > 0;
}

int store_starts_reserve(Store *s, uint64_t next_id) {
        _cleanup_close_ int folder_fd = -EBADF;

        if (!s->counted || next_id <= s->id_bound)
                return 0;
        folder_fd = starts_open_folder(s);
        if (folder_fd < 0)
                return folder_fd;
        return starts_write_file(s, folder_fd, &(Starts) { .n = s->starts, .bound = next_id + IDS_RESERVED });
}

/* ---- a log of another store ---- */

/* What the database says without its log. 0: nothing; UINT64_MAX: that cannot be told, as in the middle of a checkpoint that a full disk or
 * a power cut ended: its first page may know of pages that are only in the log. */
static int starts_of_database(Store *s, const char *path, uint64_t *ret) {
        _cleanup_free_ char *uri = store_uri(path, "immutable=1");
        sqlite3_stmt *stmt = NULL;
        sqlite3 *db = NULL;
        int rc;

        *ret = 0;
        if (!uri)
                return -ENOMEM;
        rc = sqlite3_open_v2(uri, &db, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_URI | SQLITE_OPEN_PRIVATECACHE, NULL);
        if (rc == SQLITE_OK)
                rc = sqlite3_prepare_v2(db, "SELECT value FROM meta WHERE key = '" STORE_META_STARTS "'", -1, &stmt, NULL);
        if (rc == SQLITE_OK && (rc = sqlite3_step(stmt)) == SQLITE_ROW && starts_parse((const char *) sqlite3_column_text(stmt, 0), ret) < 0)
                *ret = 0;
        (void) sqlite3_finalize(stmt);
        (void) sqlite3_close(db);
        rc &= 0xff;
        if (rc == SQLITE_IOERR || rc == SQLITE_NOMEM)
                return store_sqlite_error(s, rc);
        if (rc != SQLITE_ROW && rc != SQLITE_DONE && rc != SQLITE_ERROR /* no such table */)
                *ret = UINT64_MAX; /* what is wrong with it is told when it is opened, with its log */
        return 0;
}

/* Before the store at path, which has a log, is opened. -EUCLEAN: the log is not of it. */
int store_starts_check_log(Store *s, const char *path) {
        _cleanup_close_ int folder_fd = open(s->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        uint64_t in_database;
        Starts starts = {};
        int r;

        if (folder_fd >= 0)
                starts_of_file(folder_fd, &starts);
        if (starts.n == 0)
                return 0;
        r = starts_of_database(s, path, &in_database);
        if (r < 0 || in_database >= starts.n)
                return r;
        return store_set_error(s, -EUCLEAN,
                               "It is an old copy, and %s-wal beside it is of the one that was there before. Remove that, and start jobmilld"
                               " again. (If both were copied together, keep it, and remove the file " STARTS " instead)", path);
}
