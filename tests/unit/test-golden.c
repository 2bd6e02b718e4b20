/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Databases that the daemons of older versions wrote (tests/data/schema-N.sql): each one is brought up to date and keeps every
 * row, also when the process that does it is killed before any of its statements. Each version has one. */

#include "store-script.h"

#include <sys/wait.h>
#include <unistd.h>

#define _cleanup_store_ _cleanup_(store_closep)
#define KILLED 42

static void db_closep(sqlite3 **db) {
        assert_int_equal(sqlite3_close(*db), SQLITE_OK);
}
#define _cleanup_db_ _cleanup_(db_closep)

static void run_sql(sqlite3 *db, const char *sql) {
        char *error = NULL;

        if (sqlite3_exec(db, sql, NULL, NULL, &error) != SQLITE_OK)
                fail_msg("%s", error);
}

static sqlite3 *open_plain(const char *path) {
        sqlite3 *db;

        assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
        return db;
}

static char *read_golden(unsigned version) {
        const char *source = getenv("JOBMILL_SOURCE");
        char path[512], *text;
        size_t n;
        FILE *f;

        assert_non_null(source);
        (void) snprintf(path, sizeof(path), "%s/tests/data/schema-%u.sql", source, version);
        f = fopen(path, "re");
        if (!f)
                fail_msg("Schema version %u has no golden database %s; tests/data/README.md says how it is made", version, path);
        text = calloc(1, 1 << 20);
        assert_non_null(text);
        n = fread(text, 1, (1 << 20) - 1, f);
        assert_in_range(n, 1, (1 << 20) - 2);
        assert_int_equal(fclose(f), 0);
        return text;
}

/* What SQL says of itself, and the version: text, or rows of text, of a connection. */
static char *query_all(sqlite3 *db, const char *sql) {
        sqlite3_stmt *stmt;
        sqlite3_str *out = sqlite3_str_new(db);
        int rc;

        assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &stmt, NULL), SQLITE_OK);
        while ((rc = sqlite3_step(stmt)) == SQLITE_ROW) {
                for (int i = 0; i < sqlite3_column_count(stmt); i++)
                        sqlite3_str_appendf(out, "%s%s", i > 0 ? "|" : "", strempty((const char *) sqlite3_column_text(stmt, i)));
                sqlite3_str_appendall(out, "\n");
        }
        assert_int_equal(rc, SQLITE_DONE);
        assert_int_equal(sqlite3_finalize(stmt), SQLITE_OK);
        char *text = sqlite3_str_finish(out);
        return text ? text : sqlite3_mprintf("");
}

static void same_text(sqlite3 *a, sqlite3 *b, const char *sql) {
        char *x = query_all(a, sql), *y = query_all(b, sql);

        assert_string_equal(x, y);
        sqlite3_free(x);
        sqlite3_free(y);
}

/* Every table of old, with exactly its columns: quote() tells NULL, text, number and blob apart. */
static void same_rows(sqlite3 *old, sqlite3 *new) {
        static const char tables[] = "SELECT group_concat('quote(\"' || name || '\")', ' || '','' || '), t FROM"
                                     " (SELECT c.name AS name, m.name AS t FROM sqlite_schema AS m, pragma_table_info(m.name) AS c"
                                     "  WHERE m.type = 'table') GROUP BY t";
        unsigned n_tables = 0;
        sqlite3_stmt *stmt;

        assert_int_equal(sqlite3_prepare_v2(old, tables, -1, &stmt, NULL), SQLITE_OK);
        for (; sqlite3_step(stmt) == SQLITE_ROW; n_tables++) {
                char *sql = sqlite3_mprintf("SELECT %s FROM %s", sqlite3_column_text(stmt, 0), sqlite3_column_text(stmt, 1));

                same_text(old, new, sql);
                sqlite3_free(sql);
        }
        assert_int_equal(sqlite3_finalize(stmt), SQLITE_OK);
        assert_true(n_tables >= 7);
}

/* What a version adds to rows that are there already. */
static void check_added(Store *s, unsigned version) {
        if (version < 2)
                assert_int_equal(number(s, "SELECT count(*) FROM receipt"), 0);
        if (version < 3)
                assert_int_equal(number(s, "SELECT count(*) FROM attempt WHERE freezer IS NOT NULL OR freezer_usec IS NOT NULL"
                                           " OR frozen_usec <> 0"), 0);
        assert_true(number(s, "SELECT sum(n) FROM backlog") > 5); /* script_check() counts them */
}

static int on_row(void *userdata, JobRow *row) {
        ++*(unsigned *) userdata;
        assert_non_null(row->job->queue_name);
        return 0;
}

/* The daemon's own way to it: opened, loaded, listed. */
static void check_migrated(const char *path, sqlite3 *old, unsigned version) {
        _cleanup_free_ char *error = NULL, *next = NULL;
        _cleanup_db_ sqlite3 *fresh = open_plain(":memory:");
        _cleanup_store_ Store *s = NULL;
        _cleanup_model_ Model *m = NULL;
        unsigned n = 0;

        if (store_open(path, &s, &error) < 0)
                fail_msg("%s", error);
        assert_int_equal(number(s, "PRAGMA user_version"), schema_version());
        for (unsigned i = 1; i <= schema_version(); i++)
                run_sql(fresh, schema_migration(i));
        same_text(fresh, s->db, "SELECT type, name, sql FROM sqlite_schema ORDER BY name");
        same_rows(old, s->db);
        check_added(s, version);
        script_check(s->db);

        m = load(s);
        assert_int_equal(HASH_COUNT(m->attempts), number(s, "SELECT count(*) FROM job WHERE state IN ('starting', 'running', 'stopping')"));
        assert_int_equal(history_list(s, &JOB_FILTER_INIT, JOB_ORDER_OLDEST, "", 1000, true, on_row, &n, &next), 0);
        assert_int_equal(n, number(s, "SELECT count(*) FROM job"));
        assert_true(n >= 25);
}

static void write_golden(const Directory *d, const char *text) {
        _cleanup_db_ sqlite3 *db = NULL;

        script_remove_files(d);
        db = open_plain(d->file);
        run_sql(db, text);
}

static void test_golden(void **state) {
        for (unsigned v = 1; v <= schema_version(); v++) {
                _cleanup_directory_ Directory d = make_directory();
                _cleanup_db_ sqlite3 *old = open_plain(":memory:");
                _cleanup_free_ char *text = read_golden(v);

                run_sql(old, text);
                write_golden(&d, text);
                check_migrated(d.file, old, v);
                check_migrated(d.file, old, v); /* once more: nothing is done twice */
        }
}

/* ---- killed before the n-th statement ---- */

static int countdown;

static int on_statement(unsigned type, void *userdata, void *stmt, void *text) {
        if (--countdown == 0)
                _exit(KILLED);
        return 0;
}

/* Of each connection as it is opened. */
static int on_connection(sqlite3 *db, const char **ret_error, const void *api) {
        return sqlite3_trace_v2(db, SQLITE_TRACE_STMT, on_statement, NULL);
}

/* Whether it came so far. */
static bool open_and_be_killed(const char *path, int n) {
        pid_t pid = fork();
        int status;

        assert_true(pid >= 0);
        if (pid == 0) {
                Store *s;

                countdown = n;
                (void) sqlite3_auto_extension((void (*)(void)) on_connection);
                _exit(store_open(path, &s, NULL) < 0 ? 1 : 0);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status));
        assert_in_set(WEXITSTATUS(status), ((const LargestIntegralType[]) { 0, KILLED }), 2);
        return WEXITSTATUS(status) == KILLED;
}

/* All of a version, or nothing of it. Returns which. */
static unsigned check_whole(const char *path, sqlite3 *old) {
        _cleanup_db_ sqlite3 *found = open_plain(path), *expected = open_plain(":memory:");
        char *version = query_all(found, "PRAGMA user_version");
        unsigned v = (unsigned) atoi(version);

        sqlite3_free(version);
        assert_in_range(v, 1, schema_version());
        for (unsigned i = 1; i <= v; i++)
                run_sql(expected, schema_migration(i));
        same_text(expected, found, "SELECT type, name, sql FROM sqlite_schema ORDER BY name");
        same_rows(old, found);
        return v;
}

static void test_killed(void **state) {
        _cleanup_directory_ Directory d = make_directory();
        _cleanup_db_ sqlite3 *old = open_plain(":memory:");
        _cleanup_free_ char *text = read_golden(1);
        _cleanup_free_ unsigned *seen = new0(unsigned, schema_version() + 1);
        unsigned kills = 0;

        assert_non_null(seen);
        run_sql(old, text);
        for (int n = 1;; n++) {
                write_golden(&d, text);
                if (!open_and_be_killed(d.file, n))
                        break;
                kills++;
                seen[check_whole(d.file, old)]++;
                check_migrated(d.file, old, 1);
        }
        for (unsigned v = 1; v <= schema_version(); v++)
                assert_true(seen[v] > 0);
        print_message("%u kills\n", kills);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_golden),
                cmocka_unit_test(test_killed),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
