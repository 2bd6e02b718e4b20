/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The file below the connection: is it still the one that was opened, and did nobody else write to it?
 *
 * SQLite does not look. With another file moved into its place it would go on in the one that nobody finds any more, and all that it
 * answers would be lost with its end; with a copy written over it it would mix the two. So before each transaction the file at the path
 * is compared with what we left: nobody but us writes to it, and we only when the log is written back. Once it is not, nothing is
 * written any more. What was recorded until then can still be read, and copied by a backup. */

#include "store/store-internal.h"

#include <unistd.h>

static int file_header(Store *s, uint8_t *ret) {
        sqlite3_file *f = NULL;
        int rc;

        rc = sqlite3_file_control(s->db, "main", SQLITE_FCNTL_FILE_POINTER, &f);
        if (rc == SQLITE_OK && f->pMethods)
                rc = f->pMethods->xRead(f, ret, sizeof(s->file.header), 0);
        return rc == SQLITE_OK || rc == SQLITE_IOERR_SHORT_READ ? 0 : store_sqlite_error(s, rc);
}

static ino_t log_inode(Store *s) {
        const char *path = sqlite3_filename_wal(sqlite3_db_filename(s->db, "main"));
        struct stat st;

        return path && stat(path, &st) >= 0 ? st.st_ino : 0;
}

int store_file_note(Store *s) {
        struct stat st;

        if (s->memory)
                return 0;
        if (stat(store_file(s), &st) < 0)
                return store_set_error(s, -errno, "%s: %s", store_file(s), strerror(errno));
        if (s->file.st.st_ino != 0 && (st.st_ino != s->file.st.st_ino || st.st_dev != s->file.st.st_dev))
                return 0; /* not ours any more, as the next check will say */
        s->file.st = st;
        s->file.log = log_inode(s);
        return file_header(s, s->file.header);
}

static bool is_moved(Store *s) {
        struct stat st;

        return stat(store_file(s), &st) < 0 ? errno == ENOENT : st.st_ino != s->file.st.st_ino || st.st_dev != s->file.st.st_dev;
}

/* 1: it is. That it was touched is not enough: its first bytes and its size change with what is in it. */
static int is_overwritten(Store *s) {
        const struct stat *old = &s->file.st;
        uint8_t header[sizeof(s->file.header)] = {};
        struct stat st;
        int r;

        if (stat(store_file(s), &st) < 0)
                return 0;
        if (st.st_size == old->st_size && st.st_mtim.tv_sec == old->st_mtim.tv_sec && st.st_mtim.tv_nsec == old->st_mtim.tv_nsec)
                return 0;
        r = file_header(s, header);
        if (r < 0)
                return r;
        if (st.st_size != old->st_size || memcmp(header, s->file.header, sizeof(header)) != 0)
                return 1;
        s->file.st = st;
        return 0;
}

int store_file_check(Store *s) {
        int r;

        if (s->memory)
                return 0;
        if (is_moved(s))
                return store_set_error(s, -ESTALE,
                                       "It was removed, or replaced, while it was open. Save what was recorded (jobmill backup FILE), or put"
                                       " it back; a restart of jobmilld takes what is in its place");
        r = is_overwritten(s);
        if (r > 0)
                return store_set_error(s, -ESTALE,
                                       "It was written to by another program while it was open. Stop jobmilld, put a backup in its place, remove"
                                       " its -wal, and start jobmilld again");
        return r;
}

/* SQLite would leave the log behind where the file was moved away, for the next one that is opened there: it belongs to
 * ours, and is written into it. Where ours was overwritten it must not be. */
void store_file_close(Store *s) {
        _cleanup_free_ char *log = NULL;

        if (s->db && !s->memory && s->file.st.st_ino != 0) {
                if (is_moved(s)) {
                        if (sqlite3_wal_checkpoint_v2(s->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL) == SQLITE_OK &&
                            s->file.log != 0 && s->file.log == log_inode(s))
                                log = strdup(sqlite3_filename_wal(store_file(s)));
                } else if (is_overwritten(s) != 0)
                        (void) sqlite3_db_config(s->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
        }
        (void) sqlite3_close(s->db);
        if (log)
                (void) unlink(log);
}

/* ---- names ---- */

char *store_uri(const char *path, const char *parameters) {
        char *uri = malloc(3 * strlen(path) + strlen(parameters) + sizeof("file:?")), *p;

        if (!uri)
                return NULL;
        p = stpcpy(uri, "file:");
        for (; *path; path++)
                if (strchr("%?#", *path))
                        p += sprintf(p, "%%%02X", (unsigned char) *path);
                else
                        *p++ = *path;
        *p++ = '?';
        (void) stpcpy(p, parameters);
        return uri;
}
