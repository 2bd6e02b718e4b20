/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The files of an attempt: who may read them, that writing again replaces, and that nothing is left. */

#include "unit/attempt-files.h"

#include "base/strv.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/stat.h>

#include <cmocka.h>

typedef struct Folder {
        char *path, *attempts, *directory, *env;
} Folder;

static int setup(void **state) {
        Folder *r = new0(Folder, 1);

        assert_non_null(r);
        umask(0022);
        r->path = strdup("/tmp/test-attempt-files-XXXXXX");
        assert_non_null(mkdtemp(r->path));
        assert_true(asprintf(&r->attempts, "%s/attempt", r->path) > 0);
        assert_true(asprintf(&r->directory, "%s/42-3", r->attempts) > 0);
        assert_true(asprintf(&r->env, "%s/env", r->directory) > 0);
        assert_int_equal(mkdir(r->attempts, 0711), 0);
        *state = r;
        return 0;
}

/* Whatever a test left behind would make rmdir() fail. */
static int teardown(void **state) {
        Folder *r = *state;

        assert_int_equal(rmdir(r->attempts), 0);
        assert_int_equal(rmdir(r->path), 0);
        free(r->path);
        free(r->attempts);
        free(r->directory);
        free(r->env);
        free(r);
        return 0;
}

static JobSpec *spec_with(const char *assignment) {
        JobSpec *s = spec_new();

        assert_non_null(s);
        if (assignment)
                assert_int_equal(strv_extend(&s->environment, assignment), 0);
        return s;
}

static void expect_file(const char *path, mode_t mode, const char *text) {
        _cleanup_fclose_ FILE *f = fopen(path, "re");
        struct stat st;
        char buf[256];
        size_t n;

        assert_non_null(f);
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_mode & 07777, mode);
        n = fread(buf, 1, sizeof(buf) - 1, f);
        buf[n] = 0;
        assert_string_equal(buf, text);
}

static void test_write(void **state) {
        Folder *r = *state;
        _cleanup_(attempt_freep) Attempt *a = attempt_new(42, 3);
        _cleanup_(spec_freep) JobSpec *one = spec_with("A=x y"), *two = spec_with("B=");
        _cleanup_free_ char *file = NULL, *again = NULL;
        struct stat st;

        assert_int_equal(attempt_files_write(r->path, a, one, &file), 0);
        assert_string_equal(file, r->env);
        expect_file(file, 0400, "A=\"x y\"\n");
        assert_int_equal(stat(r->directory, &st), 0);
        assert_int_equal(st.st_mode & 07777, 0711);

        /* Asked again: the new one stands there, alone. */
        assert_int_equal(attempt_files_write(r->path, a, two, &again), 0);
        expect_file(again, 0400, "B=\"\"\n");

        attempt_files_started(r->path, a);
        assert_int_equal(access(r->env, F_OK), -1);
        assert_int_equal(access(r->directory, F_OK), 0);
        attempt_files_started(r->path, a);
        attempt_files_remove(r->path, a);
        assert_int_equal(access(r->directory, F_OK), -1);
        attempt_files_remove(r->path, a);
}

static void test_no_environment(void **state) {
        Folder *r = *state;
        _cleanup_(attempt_freep) Attempt *a = attempt_new(42, 3);
        _cleanup_(spec_freep) JobSpec *s = spec_with(NULL);
        char *file = (char *) "";

        assert_int_equal(attempt_files_write(r->path, a, s, &file), 0);
        assert_null(file);
        assert_int_equal(access(r->directory, F_OK), -1);
        attempt_files_remove(r->path, a);
}

/* Removed without having been started: nothing is left of the environment. */
static void test_remove(void **state) {
        Folder *r = *state;
        _cleanup_(attempt_freep) Attempt *a = attempt_new(42, 3), *other = attempt_new(42, 4);
        _cleanup_(spec_freep) JobSpec *s = spec_with("A=1");
        _cleanup_free_ char *file = NULL, *file_other = NULL;

        assert_int_equal(attempt_files_write(r->path, a, s, &file), 0);
        assert_int_equal(attempt_files_write(r->path, other, s, &file_other), 0);
        attempt_files_remove(r->path, a);
        assert_int_equal(access(r->directory, F_OK), -1);
        assert_int_equal(access(file_other, F_OK), 0);
        attempt_files_remove(r->path, other);
}

/* What lies in the way is replaced, never written through. */
static void test_link(void **state) {
        Folder *r = *state;
        _cleanup_(attempt_freep) Attempt *a = attempt_new(42, 3);
        _cleanup_(spec_freep) JobSpec *s = spec_with("A=1");
        _cleanup_free_ char *file = NULL, *victim = NULL;
        int fd;

        assert_true(asprintf(&victim, "%s/victim", r->path) > 0);
        fd = open(victim, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        assert_true(fd >= 0);
        close(fd);
        assert_int_equal(mkdir(r->directory, 0711), 0);
        assert_int_equal(symlink(victim, r->env), 0);
        assert_int_equal(attempt_files_write(r->path, a, s, &file), 0);
        expect_file(victim, 0600, "");
        expect_file(r->env, 0400, "A=\"1\"\n");
        attempt_files_remove(r->path, a);
        assert_int_equal(unlink(victim), 0);
}

/* What a crash left: of attempts that are no more. */
static void test_sweep(void **state) {
        Folder *r = *state;
        _cleanup_(attempt_freep) Attempt *a = attempt_new(42, 3), *gone = attempt_new(41, 1);
        _cleanup_(model_freep) Model *m = model_new();
        _cleanup_(spec_freep) JobSpec *s = spec_with("A=1");
        char *file = NULL;
        Queue *q;

        assert_int_equal(attempt_files_write(r->path, gone, s, &file), 0);
        file = mfree(file);
        assert_int_equal(attempt_files_write(r->path, a, s, &file), 0);
        assert_int_equal(model_queue_add(m, "q", &q), 0);
        assert_int_equal(model_attempt_add(m, a, NULL, q), 0);
        attempt_files_sweep(r->path, m);
        expect_file(file, 0400, "A=\"1\"\n");
        assert_int_equal(access(r->directory, F_OK), 0);
        attempt_files_remove(r->path, a);
        assert_int_equal(rmdir(r->attempts), 0); /* nothing else is left in it */
        attempt_files_sweep(r->path, m);
        assert_int_equal(mkdir(r->attempts, 0711), 0);
        TAKE_PTR(a); /* the model's */
        free(file);
}

static void test_errors(void **state) {
        Folder *r = *state;
        _cleanup_(attempt_freep) Attempt *a = attempt_new(42, 3);
        _cleanup_(spec_freep) JobSpec *s = spec_with("A=1");
        char *file = NULL;

        assert_int_equal(attempt_files_write("/nonexistent", a, s, &file), -ENOENT);
        assert_null(file);
        attempt_files_remove("/nonexistent", a);

        /* A directory where the file should be. */
        assert_int_equal(mkdir(r->directory, 0711), 0);
        assert_int_equal(mkdir(r->env, 0711), 0);
        assert_int_equal(attempt_files_write(r->path, a, s, &file), -EEXIST);
        assert_null(file);
        assert_int_equal(rmdir(r->env), 0);
        attempt_files_remove(r->path, a);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_write, setup, teardown),
                cmocka_unit_test_setup_teardown(test_no_environment, setup, teardown),
                cmocka_unit_test_setup_teardown(test_remove, setup, teardown),
                cmocka_unit_test_setup_teardown(test_link, setup, teardown),
                cmocka_unit_test_setup_teardown(test_sweep, setup, teardown),
                cmocka_unit_test_setup_teardown(test_errors, setup, teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
