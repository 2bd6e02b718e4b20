/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Files that are written beside their place and renamed are there after a power cut when the caller was told so: the file is synced,
 * then renamed, then its directory is synced. What is used for that of the C library is defined here and so comes before it. */

#include "daemon/queue-write.h"

#include "base/strv.h"
#include "store/store.h"

#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <cmocka.h>

/* ---- what was done, in order ---- */

static char did[256]; /* 'f' a file was synced, 'd' a directory, 'r' something was renamed */
static ino_t synced_file, renamed_file, synced_directory;

static void note(char what) {
        size_t n = strlen(did);

        if (n + 1 < sizeof(did))
                did[n] = what;
}

int fsync(int fd) {
        struct stat st;

        if (fstat(fd, &st) >= 0 && (S_ISREG(st.st_mode) || S_ISDIR(st.st_mode))) {
                note(S_ISDIR(st.st_mode) ? 'd' : 'f');
                *(S_ISDIR(st.st_mode) ? &synced_directory : &synced_file) = st.st_ino;
        }
        return syscall(SYS_fsync, fd);
}

int renameat(int from_fd, const char *from, int to_fd, const char *to) {
        struct stat st;

        if (fstatat(from_fd, from, &st, AT_SYMLINK_NOFOLLOW) >= 0) {
                note('r');
                renamed_file = st.st_ino;
        }
        return syscall(SYS_renameat2, from_fd, from, to_fd, to, 0);
}

/* The last three things that were done put this file into place for good. */
static void expect_in_place(const char *folder, const char *file) {
        _cleanup_free_ char *path = NULL;
        struct stat st;

        if (!endswith(did, "frd"))
                fail_msg("%s: \"%s\" was done", file, did);
        assert_true(asprintf(&path, "%s/%s", folder, file) > 0);
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(synced_file, st.st_ino);
        assert_int_equal(renamed_file, st.st_ino);
        *strrchr(path, '/') = '\0';
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(synced_directory, st.st_ino);
        memset(did, 0, sizeof(did));
}

/* ---- ---- */

static int setup(void **state) {
        char *path = strdup("/tmp/test-durable-XXXXXX");

        assert_non_null(path);
        assert_non_null(mkdtemp(path));
        *state = path;
        memset(did, 0, sizeof(did));
        return 0;
}

static int on_found(const char *path, const struct stat *st, int type, struct FTW *f) {
        return remove(path);
}

static int teardown(void **state) {
        assert_int_equal(nftw(*state, on_found, 16, FTW_DEPTH | FTW_PHYS), 0);
        free(*state);
        return 0;
}

static void test_queue_file(void **state) {
        _cleanup_strv_free_ char **directories = NULL;
        _cleanup_free_ char *error = NULL;
        char *values[] = { (char *) "2", NULL };
        QueueSetting setting = { .section = (char *) "Queue", .key = (char *) "Slots", .values = values };
        QueueEdit e = { .name = (char *) "q", .settings = &setting, .n_settings = 1 };
        QueuePlaces places;

        assert_int_equal(strv_extendf(&directories, "%s/etc", (char *) *state), 0);
        places = (QueuePlaces) { .directories = directories };
        /* a new queue; a drop-in for it, in a directory that is new; the same once more */
        assert_int_equal(queue_file_set(&places, &e, &error), 0);
        expect_in_place(*state, "etc/queues/q.queue");
        assert_int_equal(queue_file_set(&places, &e, &error), 0);
        assert_true(startswith(did, "d") != NULL); /* its own name in the directory above */
        expect_in_place(*state, "etc/queues/q.queue.d/50-jobmill-set.conf");
        assert_int_equal(queue_file_set(&places, &e, &error), 0);
        expect_in_place(*state, "etc/queues/q.queue.d/50-jobmill-set.conf");
        /* and what is removed does not come back */
        assert_int_equal(queue_file_remove(&places, "q", &error), 0);
        assert_string_equal(did, "rrd");
}

static void test_starts(void **state) {
        _cleanup_(store_closep) Store *s = NULL;
        _cleanup_free_ char *path = NULL;
        bool restored;

        assert_true(asprintf(&path, "%s/jobmill.db", (char *) *state) > 0);
        assert_int_equal(store_open(path, &s, NULL), 0);
        assert_int_equal(store_starts_raise(s, &restored), 0);
        expect_in_place(*state, "starts");
        assert_int_equal(store_starts_accept(s), 0);
        expect_in_place(*state, "starts");

        /* What cannot be put in place is not left beside it. */
        strcpy(strrchr(path, '/'), "/starts");
        assert_int_equal(unlink(path), 0);
        assert_int_equal(mkdir(path, 0700), 0);
        assert_true(store_starts_accept(s) < 0);
        strcat(path, ".new");
        assert_int_equal(access(path, F_OK), -1);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_queue_file, setup, teardown),
                cmocka_unit_test_setup_teardown(test_starts, setup, teardown),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
