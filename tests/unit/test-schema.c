/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Opening the store: made, brought up to date, locked, or refused with a word that helps. */

#include "store-util.h"

#include <fcntl.h>
#include <sys/stat.h>

#define _cleanup_store_ _cleanup_(store_closep)

static void open_fails(const char *path, int error, const char *word) {
        _cleanup_free_ char *text = NULL;
        Store *s = NULL;

        assert_int_equal(store_open(path, &s, &text), error);
        assert_null(s);
        assert_non_null(text);
        if (!strstr(text, word))
                fail_msg("\"%s\" is not in \"%s\"", word, text);
}

static void run_sql(const char *path, const char *sql) {
        sqlite3 *db;

        assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
        assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
        assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static void test_open(void **state) {
        _cleanup_directory_ Directory d = make_directory();
        _cleanup_store_ Store *s = NULL;
        struct stat st;

        assert_int_equal(store_open(d.file, &s, NULL), 0);
        assert_int_equal(stat(d.file, &st), 0);
        assert_int_equal(st.st_mode & 07777, 0600);
        assert_int_equal(stat(d.lock, &st), 0);
        assert_int_equal(st.st_mode & 07777, 0600);
        assert_int_equal(number(s, "PRAGMA user_version"), schema_version());
        assert_int_equal(number(s, "PRAGMA synchronous"), 2);
        assert_true(fcntl(s->lock_fd, F_GETFD) & FD_CLOEXEC);

        open_fails(d.file, -EBUSY, "Another daemon has it");
        assert_int_equal(store_set_meta(s, "here", "yes"), 0);
        s = store_close(s);

        assert_int_equal(store_open(d.file, &s, NULL), 0);
        _cleanup_free_ char *value = NULL, *shared = NULL;
        assert_int_equal(store_get_meta(s, "here", &value), 0);
        assert_string_equal(value, "yes");
        assert_true(asprintf(&shared, "%s-shm", d.file) > 0);
        assert_int_equal(access(shared, F_OK), -1); /* nobody to share it with */
}

/* Somebody who does not know of the lock file. */
static void test_open_busy(void **state) {
        _cleanup_directory_ Directory d = make_directory();
        sqlite3 *db;

        assert_int_equal(sqlite3_open(d.file, &db), SQLITE_OK);
        assert_int_equal(sqlite3_exec(db, "BEGIN EXCLUSIVE", NULL, NULL, NULL), SQLITE_OK);
        open_fails(d.file, -EBUSY, "locked");
        assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static void test_open_refused(void **state) {
        _cleanup_directory_ Directory d = make_directory();
        _cleanup_fclose_ FILE *f = NULL;

        open_fails("/nonexistent/jobmill.db", -ENOENT, "/nonexistent/jobmill.db");

        run_sql(d.file, "CREATE TABLE foreign_table (x)");
        open_fails(d.file, -EUCLEAN, "not one of jobmill");
        run_sql(d.file, "DROP TABLE foreign_table; PRAGMA user_version = 1");
        open_fails(d.file, -EUCLEAN, "not one of jobmill");
        assert_int_equal(unlink(d.file), 0);

        f = fopen(d.file, "w");
        assert_non_null(f);
        for (unsigned i = 0; i < 1000; i++)
                fputs("This is no database. ", f);
        assert_int_equal(fflush(f), 0);
        open_fails(d.file, -EUCLEAN, "not a database");
}

static void make_store(const char *path) {
        _cleanup_store_ Store *s = NULL;
        _cleanup_model_ Model *m = model_new();

        assert_int_equal(store_open(path, &s, NULL), 0);
        (void) submit(m, add_queue(m, "q"), make_spec("true"));
        record(s, m);
}

static void test_migration(void **state) {
        char sql[64];
        _cleanup_directory_ Directory d = make_directory();
        _cleanup_store_ Store *s = NULL;

        /* From nothing: an empty file is what sqlite3 makes of a name. */
        run_sql(d.file, "PRAGMA user_version = 0");
        make_store(d.file);

        run_sql(d.file, "PRAGMA user_version = 4711");
        open_fails(d.file, -EPROTONOSUPPORT, "newer version");
        run_sql(d.file, "PRAGMA user_version = -1");
        open_fails(d.file, -EUCLEAN, "impossible version");
        (void) snprintf(sql, sizeof(sql), "PRAGMA user_version = %u", schema_version());
        run_sql(d.file, sql);
        run_sql(d.file, "ALTER TABLE job RENAME COLUMN intent TO other");
        open_fails(d.file, -EUCLEAN, "not as expected");
        run_sql(d.file, "ALTER TABLE job RENAME COLUMN other TO intent");

        assert_int_equal(store_open(d.file, &s, NULL), 0);
        assert_int_equal(number(s, "SELECT count(*) FROM job"), 1);
}

/* Of a store that did not count yet what each owner has queued. */
static void test_migration_backlog(void **state) {
        _cleanup_directory_ Directory d = make_directory();
        _cleanup_store_ Store *s = NULL;
        _cleanup_model_ Model *m = NULL;

        for (unsigned i = 1; i <= 3; i++)
                run_sql(d.file, schema_migration(i));
        run_sql(d.file, "PRAGMA user_version = 3;"
                        "INSERT INTO queue VALUES ('q', 0, 0, 0, 0, 1, 0, 0, 0, 1, 1), ('q-r', 0, 0, 1, 0, 1, 0, 0, 0, 0, 0);"
                        "INSERT INTO job (id, queue, owner, state, priority, rank, slots, attempt, max_attempts, dead, privileged)"
                        " VALUES (1, 'q', 1000, 'ready', 0, 0, 1, 0, 1, 0, 0), (2, 'q-r', 1000, 'ready', 0, 0, 1, 0, 1, 0, 0),"
                        " (3, 'q-r', 1000, 'held', 0, 0, 1, 0, 1, 0, 0), (4, 'q', 1000, 'done', 0, 0, 1, 0, 1, 1, 0);");

        assert_int_equal(store_open(d.file, &s, NULL), 0);
        assert_int_equal(number(s, "SELECT count(*) FROM backlog"), 2);
        assert_int_equal(number(s, "SELECT n FROM backlog WHERE queue = 'q-r' AND owner = 1000"), 2);
        m = load(s);
        assert_int_equal(model_queue(m, "q")->backlog.n, 3);
        assert_int_equal(m->backlog.n, 3);
}

static void test_damaged(void **state) {
        _cleanup_directory_ Directory d = make_directory();
        int fd;

        make_store(d.file);
        fd = open(d.file, O_RDWR | O_CLOEXEC);
        assert_true(fd >= 0);
        /* All but the page with the schema, as a failing disk would. */
        for (off_t at = 4096; at < 20 * 4096; at += 4096)
                assert_int_equal(pwrite(fd, "garbage garbage garbage", 24, at), 24);
        assert_int_equal(close(fd), 0);
        open_fails(d.file, -EUCLEAN, "malformed");
}

/* ---- what cannot be used is left as it is ---- */

typedef struct Bytes {
        char data[1 << 19];
        size_t n;
} Bytes;

static void read_file(const char *path, const char *suffix, Bytes *ret) {
        char name[256];
        FILE *f;

        (void) snprintf(name, sizeof(name), "%s%s", path, suffix);
        ret->n = 0;
        f = fopen(name, "re");
        if (!f)
                return;
        ret->n = fread(ret->data, 1, sizeof(ret->data), f);
        assert_in_range(ret->n, 0, sizeof(ret->data) - 1);
        assert_int_equal(fclose(f), 0);
}

static void write_file(const char *path, const char *suffix, const Bytes *b) {
        char name[256];
        FILE *f;

        (void) snprintf(name, sizeof(name), "%s%s", path, suffix);
        f = fopen(name, "we");
        assert_non_null(f);
        assert_int_equal(fwrite(b->data, 1, b->n, f), b->n);
        assert_int_equal(fclose(f), 0);
}

/* A file whose last changes, sql among them, are in the log only: as a killed daemon leaves it. */
static void make_store_with_log(const Directory *d, const char *sql) {
        static Bytes file, log;
        Store *s;

        file.n = log.n = 0; /* what the test before left */
        write_file(d->file, "", &file);
        write_file(d->file, "-wal", &log);
        make_store(d->file);
        assert_int_equal(store_open(d->file, &s, NULL), 0);
        assert_int_equal(store_exec(s, sql), 0);
        read_file(d->file, "", &file);
        read_file(d->file, "-wal", &log);
        assert_true(log.n > 0);
        s = store_close(s);
        write_file(d->file, "", &file);
        write_file(d->file, "-wal", &log);
}

static void refused_untouched(const Directory *d, int error, const char *word) {
        static Bytes file, log, file_then, log_then;

        read_file(d->file, "", &file);
        read_file(d->file, "-wal", &log);
        for (unsigned i = 0; i < 2; i++)
                open_fails(d->file, error, word);
        read_file(d->file, "", &file_then);
        read_file(d->file, "-wal", &log_then);
        assert_int_equal(file.n, file_then.n);
        assert_memory_equal(file.data, file_then.data, file.n);
        assert_int_equal(log.n, log_then.n);
        assert_memory_equal(log.data, log_then.data, log.n);
}

static void test_refused_untouched(void **state) {
        _cleanup_directory_ Directory d = make_directory();
        static Bytes bytes;
        Store *s = NULL;

        make_store_with_log(&d, "PRAGMA user_version = 4711");
        refused_untouched(&d, -EPROTONOSUPPORT, "newer version");
        make_store_with_log(&d, "DROP TABLE backlog");
        refused_untouched(&d, -EUCLEAN, "not as expected");

        /* Cut off, and overwritten. */
        make_store_with_log(&d, "DELETE FROM meta");
        assert_int_equal(truncate(d.file, 3 * 4096), 0);
        refused_untouched(&d, -EUCLEAN, d.file);
        assert_int_equal(truncate(d.file, 100), 0);
        refused_untouched(&d, -EUCLEAN, d.file);
        memset(bytes.data, 'x', 5000);
        bytes.n = 5000;
        write_file(d.file, "", &bytes);
        refused_untouched(&d, -EUCLEAN, "not a database");

        /* The log holds what SQLite would throw away. */
        assert_int_equal(truncate(d.file, 0), 0);
        refused_untouched(&d, -EUCLEAN, "missing or empty");
        assert_int_equal(unlink(d.file), 0);
        refused_untouched(&d, -EUCLEAN, "missing or empty");
        assert_int_equal(access(d.file, F_OK), -1);

        assert_int_equal(mkdir(d.file, 0700), 0);
        open_fails(d.file, -EISDIR, "irectory");
        assert_int_equal(rmdir(d.file), 0);

        /* A log of something else is not taken for ours. */
        bytes.n = 0;
        write_file(d.file, "-wal", &bytes);
        make_store(d.file);
        bytes.n = 5000;
        write_file(d.file, "-wal", &bytes);
        assert_int_equal(store_open(d.file, &s, NULL), 0);
        assert_int_equal(number(s, "SELECT count(*) FROM job"), 1);
        s = store_close(s);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_open),
                cmocka_unit_test(test_open_busy),
                cmocka_unit_test(test_open_refused),
                cmocka_unit_test(test_migration),
                cmocka_unit_test(test_migration_backlog),
                cmocka_unit_test(test_damaged),
                cmocka_unit_test(test_refused_untouched),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
