/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* jobmill.conf: what each key takes, that all of it counts or nothing, which file wins, and that the file that is shipped says
 * what the code does. */

#include "base/log.h"
#include "base/strv.h"
#include "daemon/config.h"

#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/stat.h>

#include <cmocka.h>

static char root[] = "/tmp/test-settings-XXXXXX";
static char **directories;

static int setup(void **state) {
        strcpy(root + sizeof(root) - 7, "XXXXXX");
        assert_non_null(mkdtemp(root));
        assert_int_equal(strv_extendf(&directories, "%s/etc", root), 0);
        assert_int_equal(strv_extendf(&directories, "%s/run", root), 0);
        assert_int_equal(strv_extendf(&directories, "%s/usr", root), 0);
        return 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw) {
        return remove(path);
}

static int teardown(void **state) {
        directories = strv_free(directories);
        return nftw(root, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static char *path_of(const char *file) {
        char *path;

        assert_true(asprintf(&path, "%s/%s", root, file) > 0);
        for (char *p = strchr(path + sizeof(root), '/'); p; p = strchr(p + 1, '/')) {
                *p = 0;
                assert_true(mkdir(path, 0755) == 0 || errno == EEXIST);
                *p = '/';
        }
        return path;
}

static void put(const char *file, const char *text) {
        _cleanup_free_ char *path = path_of(file);
        FILE *f = fopen(path, "we");

        assert_non_null(f);
        fputs(text, f);
        fclose(f);
}

/* said: NULL, all is well; else it is in the error. */
static void load(Settings *s, const char *said) {
        _cleanup_free_ char *error = NULL;

        assert_int_equal(config_load_settings(s, directories, "OTHERWISE", &error), 0);
        if (!said && error)
                fail_msg("%s", error);
        if (said && (!error || !strstr(error, said) || !endswith(error, "; OTHERWISE")))
                fail_msg("'%s' is not in: %s", said, error ?: "(no error)");
}

static void test_defaults(void **state) {
        Settings s = { .storage = 77 };

        load(&s, NULL);
        assert_int_equal(s.storage, STORAGE_PERSISTENT);
        assert_true(s.timeout_usec == USEC_INFINITY);
        assert_true(s.stop_timeout_usec == 90 * USEC_PER_SEC);
        assert_int_equal(s.api.submit_many_max, 10000);
        assert_int_equal(s.api.list_page_max, 1000);
        assert_int_equal(s.api.payload_max, 16 * 1024 * 1024);
        assert_int_equal(s.in_flight_max, 32);
}

static void test_values(void **state) {
        static const struct {
                const char *key, *bad[8], *good[4];
        } cases[] = {
                { "Storage", { "auto", "Volatile", "none", "1" }, { "volatile", "persistent", "" } },
                { "DefaultTimeoutSec", { "0", "-1", "soon", "1us", "1 potato" }, { "1ms", "2h 30min", "infinity" } },
                { "DefaultStopTimeoutSec", { "0", "infinity", "x" }, { "1ms", "5", "1d" } },
                { "MaxQueued", { "-1", "many", "1.5" }, { "0", "1000000000000", "infinity" } },
                { "QueuesMax", { "0", "infinity", "65537" }, { "1", "65536" } },
                { "PoisonAttempts", { "0", "-1", "few" }, { "1", "5", "infinity" } },
                { "MaxQueuedPerUser", { "-1", "1k" }, { "0", "1", "infinity" } },
                { "RequestIdsPerUserMax", { "999", "infinity", "1000001" }, { "1000" } },
                { "SubmitManyMax", { "999", "100001", "infinity", "1k", "-1", "1e4" }, { "1000", "100000" } },
                { "ArrayMax", { "0", "1000001", "infinity" }, { "1", "1000000" } },
                { "EdgesMax", { "9999", "1000001", "infinity" }, { "10000", "1000000" } },
                { "ListPageMax", { "9", "10001", "ten" }, { "10", "10000", "" } },
                { "PendingCallsPerUserMax", { "63", "1000001" }, { "64", "1000000" } },
                { "PendingCallsSizePerUserMax", { "1023K", "2G", "infinity" }, { "1M", "1G" } },
                { "OpenLogsMax", { "0", "257" }, { "1", "256" } },
                { "OpenLogsPerUserMax", { "0", "257" }, { "1", "256" } },
                { "PayloadMax", { "17M", "-1", "16777217", "1T" }, { "0", "16M", "1K" } },
                { "EnvironmentMax", { "4095", "2M" }, { "4096", "1M", "4K" } },
                { "StartsInFlightMax", { "0", "33", "infinity" }, { "1", "32" } },
        };

        FOREACH_ELEMENT(c, cases) {
                Settings s;

                settings_init(&s);
                for (size_t i = 0; c->bad[i]; i++) {
                        _cleanup_(conf_error_done) ConfError e = {};

                        if (settings_assign(&s, "x.conf", 7, "Daemon", c->key, c->bad[i], &e) != -EBADMSG)
                                fail_msg("%s=%s was taken", c->key, c->bad[i]);
                        assert_non_null(strstr(e.message, c->key));
                        assert_non_null(strstr(e.message, c->bad[i]));
                        assert_int_equal(e.line, 7);
                }
                for (size_t i = 0; c->good[i]; i++) {
                        _cleanup_(conf_error_done) ConfError e = {};

                        if (settings_assign(&s, "x.conf", 7, "Daemon", c->key, c->good[i], &e) != 0)
                                fail_msg("%s=%s: %s", c->key, c->good[i], e.message);
                }
        }
}

/* Merged as systemd merges its own: the main file of the first directory, then all drop-ins by file name. */
static void test_places(void **state) {
        _cleanup_free_ char *mask = NULL;
        Settings s;

        put("usr/jobmill.conf", "[Daemon]\nListPageMax=11\nSubmitManyMax=2000\nPayloadMax=1K\n");
        put("run/jobmill.conf", "[Daemon]\nListPageMax=12\n");
        load(&s, NULL);
        assert_int_equal(s.api.list_page_max, 12);
        assert_int_equal(s.api.submit_many_max, 10000); /* that file is not read at all */
        put("usr/jobmill.conf.d/50.conf", "[Daemon]\nListPageMax=50\n");
        put("etc/jobmill.conf.d/40.conf", "[Daemon]\nListPageMax=40\nPayloadMax=2K\n");
        load(&s, NULL);
        assert_int_equal(s.api.list_page_max, 50);
        assert_int_equal(s.api.payload_max, 2048);
        put("etc/jobmill.conf.d/50.conf", "[Daemon]\nListPageMax=\n"); /* hides it, and says: the default */
        load(&s, NULL);
        assert_int_equal(s.api.list_page_max, 1000);

        /* A masked drop-in; a masked main file takes nothing from the drop-ins. */
        mask = path_of("etc/jobmill.conf.d/50.conf");
        assert_int_equal(unlink(mask), 0);
        assert_int_equal(symlink("/dev/null", mask), 0);
        load(&s, NULL);
        assert_int_equal(s.api.list_page_max, 40);
        mask = mfree(mask);
        mask = path_of("etc/jobmill.conf");
        assert_int_equal(symlink("/dev/null", mask), 0);
        load(&s, NULL);
        assert_int_equal(s.api.list_page_max, 40);
        assert_int_equal(s.api.payload_max, 2048);
}

/* All of it, or nothing. */
static void test_errors(void **state) {
        static const struct {
                const char *text, *said;
        } cases[] = {
                { "[Daemon]\nListPageMax=20\nListPageMaxx=3\n", "etc/jobmill.conf:3: [Daemon] ListPageMaxx=: unknown key" },
                { "[Daemon]\nListPageMax=20\n\nStorage=ram\n",
                  ":4: [Daemon] Storage=: 'ram' is not allowed (persistent or volatile)" },
                { "ListPageMax=20\n", ":1: 'ListPageMax=' outside of a section" },
                { "[daemon]\nListPageMax=20\n", ":2: [daemon]: unknown section" },
                { "[Daemon]\nListPageMax=20\nwhat\n", ":3: Missing '='" },
        };
        _cleanup_free_ char *path = path_of("etc/jobmill.conf");
        Settings s;

        put("etc/jobmill.conf", "[Daemon]\nListPageMax=99\n");
        load(&s, NULL);
        FOREACH_ELEMENT(c, cases) {
                put("etc/jobmill.conf", c->text);
                load(&s, c->said);
                assert_int_equal(s.api.list_page_max, 99);
        }
        put("etc/jobmill.conf", "[Daemon]\nListPageMax=20\n");
        put("usr/jobmill.conf.d/x.conf", "[Daemon]\nListPageMax=9\n");
        load(&s, "usr/jobmill.conf.d/x.conf:2: [Daemon] ListPageMax=: '9'");
        assert_int_equal(s.api.list_page_max, 99);
        put("etc/jobmill.conf.d/x.conf", "");
        load(&s, NULL);
        assert_int_equal(s.api.list_page_max, 20);

        assert_int_equal(unlink(path), 0);
        assert_int_equal(mkdir(path, 0755), 0);
        load(&s, "etc/jobmill.conf: Is a directory");
        assert_int_equal(rmdir(path), 0);
        assert_int_equal(symlink("jobmill.conf", path), 0);
        load(&s, "Too many levels");
        assert_int_equal(s.api.list_page_max, 20);
}

/* units/jobmill.conf without the '#' is what holds without it. */
static void test_shipped(void **state) {
        const char *source = getenv("JOBMILL_SOURCE");
        _cleanup_free_ char *path = NULL, *line = NULL, *text = NULL;
        size_t n = 0, size, keys = 0;
        Settings s, plain;
        FILE *in, *out;

        if (!source)
                skip();
        assert_true(asprintf(&path, "%s/units/jobmill.conf", source) > 0);
        in = fopen(path, "re");
        out = open_memstream(&text, &size);
        assert_true(in && out);
        while (getline(&line, &n, in) > 0) {
                bool is_key = line[0] == '#' && line[1] != ' ' && strchr(line, '=');

                keys += is_key;
                fputs(line + is_key, out);
        }
        fclose(in);
        fclose(out);
        assert_true(keys > 5);
        put("etc/jobmill.conf", text);
        memset(&s, 0xaa, sizeof(s));
        load(&s, NULL);
        settings_init(&plain);
        assert_memory_equal(&s, &plain, sizeof(s));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_defaults), TEST(test_values), TEST(test_places), TEST(test_errors), TEST(test_shipped),
        };

        log_set_target(LOG_TARGET_NULL);
        return cmocka_run_group_tests(tests, NULL, NULL);
}
