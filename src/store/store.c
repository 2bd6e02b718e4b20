/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The store as an object: opened, locked, transactions, and its drawer of small texts.
 *
 * Who else may be in the file: nobody. The lock file beside it keeps out a second daemon with a clear message and is held
 * until close; locking_mode=EXCLUSIVE keeps out other programs that use SQLite, and spares us the shared memory. What is
 * written is durable when the transaction ends (synchronous=FULL, WAL), but for "relaxed" ones: these become durable with the
 * next one that is not, and after a crash of the machine may be missing as a whole, in order, from the end. */

#include "store/schema.h"

#include "base/crash-point.h"
#include "base/parse.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#define LOG_PAGES_MAX 1000 /* SQLite's own default */

/* ---- open and close ---- */

static char *store_lock_path(const char *path) {
        const char *end = endswith(path, ".db");
        char *p;

        return asprintf(&p, "%.*s.lock", (int) (end ? end - path : (ssize_t) strlen(path)), path) < 0 ? NULL : p;
}

static int store_lock(Store *s, const char *path) {
        _cleanup_free_ char *lock_path = store_lock_path(path);
        if (!lock_path)
                return -ENOMEM;

        s->lock_fd = open(lock_path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (s->lock_fd < 0)
                return store_set_error(s, -errno, "Cannot open %s: %s", lock_path, strerror(errno));
        if (flock(s->lock_fd, LOCK_EX | LOCK_NB) < 0) {
                if (errno == EWOULDBLOCK)
                        return store_set_error(s, -EBUSY, "Another daemon has it (%s is locked)", lock_path);
                return store_set_error(s, -errno, "Cannot lock %s: %s", lock_path, strerror(errno));
        }
        return 0;
}

/* What was committed last stands in the log beside the file. SQLite would throw it away with a file that is empty, and mix it
 * into one that it is not of. */
static int store_check_log(Store *s, const char *path) {
        _cleanup_free_ char *log = NULL;
        struct stat st;

        if (asprintf(&log, "%s-wal", path) < 0) {
                log = NULL;
                return -ENOMEM;
        }
        if (stat(log, &st) < 0 || st.st_size == 0)
                return 0;
        if (stat(path, &st) >= 0 && st.st_size > 0)
                return store_starts_check_log(s, path);
        return store_set_error(s, -EUCLEAN, "The file is missing or empty, but %s is not", log);
}

/* SQLite would make it readable for all. The files beside it get the mode of this one. */
static int store_create(Store *s, const char *path) {
        _cleanup_close_ int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        if (fd < 0)
                return store_set_error(s, -errno, "%s", strerror(errno));
        return 0;
}

/* After each commit. Nothing that fails in here, or in writing back, could be told from a commit that failed: so SQLite does
 * not write back by itself within it. */
static int on_commit(void *userdata, sqlite3 *db, const char *name, int n_pages) {
        Store *s = userdata;

        s->log_pages = n_pages;
        return SQLITE_OK;
}

/* SQLite knows of one errno for a full disk, and tells no other apart from an I/O error: that a quota is used up means the same to us. */
static ssize_t (*system_pwrite)(int fd, const void *p, size_t n, off_t at);

static ssize_t pwrite_or_full(int fd, const void *p, size_t n, off_t at) {
        ssize_t k = system_pwrite(fd, p, n, at);

        if (k < 0 && errno == EDQUOT)
                errno = ENOSPC;
        return k;
}

static void mind_quotas(void) {
        static const char *const names[] = { "pwrite64", "pwrite" }; /* as it was built */
        sqlite3_vfs *v = sqlite3_vfs_find("unix");

        for (size_t i = 0; v && v->iVersion >= 3 && !system_pwrite && i < ELEMENTSOF(names); i++) {
                sqlite3_syscall_ptr f = v->xGetSystemCall(v, names[i]);

                if (!f)
                        continue;
                system_pwrite = (ssize_t(*)(int, const void *, size_t, off_t)) (void *) f;
                (void) v->xSetSystemCall(v, names[i], (sqlite3_syscall_ptr) (void *) pwrite_or_full);
        }
}

/* There is one thread, and nobody asks SQLite what memory it has: without mutexes and sums a job costs a twentieth less. Once it is in use
 * it is as it is, as in tests that chose something else. */
static void configure(void) {
        static bool done;

        if (!done) {
                (void) sqlite3_config(SQLITE_CONFIG_SINGLETHREAD);
                (void) sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
        }
        done = true;
}

static int store_open_connection(Store *s, const char *path) {
        int r, rc;

        if (!s->memory) {
                r = store_lock(s, path);
                if (r < 0)
                        return r;
                r = store_check_log(s, path);
                if (r >= 0)
                        r = store_create(s, path);
                if (r < 0)
                        return r;
        }
        rc = sqlite3_open_v2(path, &s->db,
                             SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE |
                                             SQLITE_OPEN_EXRESCODE,
                             NULL);
        if (rc != SQLITE_OK)
                return store_sqlite_error(s, rc);
        /* What cannot be used is left as it was found, with the log. */
        (void) sqlite3_db_config(s->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
        s->log_pages_max = LOG_PAGES_MAX;
        (void) sqlite3_wal_hook(s->db, on_commit, s);
        r = schema_apply(s);
        if (r >= 0)
                r = store_prepare_all(s);
        if (r >= 0)
                r = store_look_for_edges(s);
        if (r >= 0)
                r = store_file_note(s);
        if (r >= 0)
                (void) sqlite3_db_config(s->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0, NULL);
        return r;
}

int store_open(const char *path, Store **ret, char **ret_error) {
        _cleanup_(store_closep) Store *s = new0(Store, 1);
        int r;

        if (!s)
                return -ENOMEM;
        configure();
        mind_quotas();
        s->lock_fd = -EBADF;
        s->memory = streq(path, STORE_MEMORY);
        TAILQ_INIT(&s->rooms_changed);
        if (!s->memory) {
                const char *slash = strrchr(path, '/');
                s->folder = slash ? strndup(path, slash - path) : strdup(".");
                if (!s->folder || asprintf(&s->credentials_path, "%s/credentials", s->folder) < 0) {
                        s->credentials_path = NULL;
                        return -ENOMEM;
                }
        }

        r = store_open_connection(s, path);
        if (r < 0) {
                if (ret_error && asprintf(ret_error, "%s: %s", path, *s->error ? s->error : strerror(-r)) < 0)
                        *ret_error = NULL;
                return r;
        }
        store_backup_forget(s);
        *ret = TAKE_PTR(s);
        return 0;
}

Store *store_close(Store *s) {
        if (!s)
                return NULL;

        store_finalize_all(s);
        store_environment_forget(s);
        store_rooms_forget(s);
        CRASH_POINT("store-close-before");
        store_file_close(s);
        CRASH_POINT("store-close-after");
        safe_close(s->lock_fd); /* last, so that a successor finds the file closed */
        store_credentials_forget(s);
        free(s->credentials_path);
        free(s->folder);
        return mfree(s);
}

const char *store_error(const Store *s) {
        return s->error;
}

const char *store_file(const Store *s) {
        return sqlite3_db_filename(s->db, "main");
}

/* ---- transactions ---- */

/* SQLite refuses to change it within a transaction. */
static int store_set_relaxed(Store *s, bool relaxed) {
        int r;

        if (s->relaxed == relaxed)
                return 0;
        r = store_exec(s, relaxed ? "PRAGMA synchronous = NORMAL" : "PRAGMA synchronous = FULL");
        if (r < 0)
                return r;
        s->relaxed = relaxed;
        return 0;
}

int store_begin(Store *s, bool relaxed) {
        int r;

        store_rollback(s);
        r = store_file_check(s);
        if (r >= 0)
                r = store_set_relaxed(s, relaxed);
        if (r < 0)
                return r;
        r = stmt_exec(s, store_stmt(s, STMT_BEGIN));
        if (r < 0) /* out of memory, it may have begun nevertheless */
                store_rollback(s);
        return r;
}

int store_commit(Store *s) {
        int r;

        CRASH_POINT("commit-before");
        r = stmt_exec(s, store_stmt(s, STMT_COMMIT));
        CRASH_POINT("commit-after");
        /* Where that fails the log is as good, and the next commit tries again. */
        if (r >= 0 && s->log_pages >= s->log_pages_max)
                (void) store_write_back(s);
        return r;
}

int store_write_back(Store *s) {
        int pages, done, rc, r;

        if (s->memory)
                return 0;
        CRASH_POINT("checkpoint-before");
        rc = sqlite3_wal_checkpoint_v2(s->db, NULL, SQLITE_CHECKPOINT_PASSIVE, &pages, &done);
        CRASH_POINT("checkpoint-after");
        r = rc == SQLITE_OK ? 0 : store_sqlite_error(s, rc);
        if (r >= 0 && done < pages)
                r = store_set_error(s, -EBUSY, "The log is in use");
        /* Also where only a part was written. */
        return store_file_note(s) < 0 ? -EIO : r;
}

void store_rollback(Store *s) {
        /* After some errors SQLite has done it already. Without any memory it cannot: then it is done before the store is used
         * again. */
        if (!sqlite3_get_autocommit(s->db))
                (void) sqlite3_step(s->statements[STMT_ROLLBACK]);
        (void) sqlite3_reset(s->statements[STMT_ROLLBACK]);
}

/* ---- small texts ---- */

int store_meta_write(Store *s, const char *key, const char *value) {
        sqlite3_stmt *stmt = store_stmt(s, value ? STMT_META_SET : STMT_META_DELETE);

        stmt_bind_text(s, stmt, 1, key);
        if (value)
                stmt_bind_text(s, stmt, 2, value);
        return stmt_exec(s, stmt);
}

int store_set_meta(Store *s, const char *key, const char *value) {
        int r = store_file_check(s);
        if (r >= 0)
                r = store_set_relaxed(s, false);
        if (r < 0)
                return r;
        CRASH_POINT("meta-before");
        r = store_meta_write(s, key, value);
        CRASH_POINT("meta-after");
        return r;
}

int store_get_meta(Store *s, const char *key, char **ret) {
        _cleanup_stmt_ sqlite3_stmt *stmt = store_stmt(s, STMT_META_GET);
        int r;

        stmt_bind_text(s, stmt, 1, key);
        r = stmt_step(s, stmt);
        if (r < 0)
                return r;
        return r == 0 ? -ENOENT : stmt_strdup(stmt, 0, ret);
}

uint64_t store_size(Store *s) {
        _cleanup_free_ char *pages = NULL, *size = NULL;
        uint64_t n, k;

        if (store_query_text(s, "PRAGMA page_count", &pages) < 0 || store_query_text(s, "PRAGMA page_size", &size) < 0 ||
            parse_u64(strempty(pages), &n) < 0 || parse_u64(strempty(size), &k) < 0)
                return 0;
        return n * k;
}

uint64_t store_log_size(const Store *s) {
        uint64_t page = (uint64_t) s->file.header[16] << 8 | s->file.header[17]; /* 1: 64 KiB */

        return (uint64_t) s->log_pages * (page == 1 ? 65536 : page);
}
