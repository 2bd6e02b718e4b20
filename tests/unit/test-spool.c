/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The files of a spool: whose they are, that opening them again loses nothing, what is read of their ends, that they are kept small, and that
 * nothing which their owner can do to them makes us wait. */

#include "unit/spool.h"

#include "base/time-util.h"
#include "queue/verdict.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define NOBODY 65534U

typedef struct Folder {
        char path[64], folder[96], out[128], err[128];
        Attempt *a;
        int fds[_SPOOL_STREAM_MAX];
} Folder;

static int setup(void **state) {
        Folder *r = new0(Folder, 1);

        umask(0022);
        (void) stpcpy(r->path, "/dev/shm/test-spool-XXXXXX"); /* a tmpfs, as the spool is one */
        assert_non_null(mkdtemp(r->path));
        (void) stpcpy(stpcpy(r->folder, r->path), "/spool");
        (void) stpcpy(stpcpy(r->out, r->folder), "/42-3.stdout");
        (void) stpcpy(stpcpy(r->err, r->folder), "/42-3.stderr");
        r->a = attempt_new(42, 3);
        assert_non_null(r->a);
        assert_int_equal(spool_open(r->path, r->a, UINT32_MAX, r->fds), 0);
        *state = r;
        return 0;
}

/* Whatever is left would make rmdir() fail. */
static int teardown(void **state) {
        Folder *r = *state;

        spool_remove(r->path, r->a);
        safe_close(r->fds[0]);
        safe_close(r->fds[1]);
        assert_int_equal(rmdir(r->folder), 0);
        assert_int_equal(rmdir(r->path), 0);
        attempt_free(r->a);
        free(r);
        return 0;
}

static void put(int fd, const char *text) {
        assert_int_equal(write(fd, text, strlen(text)), strlen(text));
}

static void expect(Folder *r, size_t max, const char *verdict, int success, const char *out, const char *err) {
        _cleanup_(outcome_done) Outcome o = OUTCOME_INIT;

        assert_int_equal(spool_capture(r->path, r->a, max, &o), 0);
        assert_int_equal(!!o.verdict, !!verdict);
        if (verdict)
                assert_string_equal(o.verdict, verdict);
        assert_int_equal(o.success, success);
        assert_string_equal(o.io_stdout, out);
        assert_string_equal(o.io_stderr, err);
}

static void test_modes(void **state) {
        Folder *r = *state;
        const char *const paths[] = { r->out, r->err };
        struct stat st;

        assert_int_equal(stat(r->folder, &st), 0);
        assert_int_equal(st.st_mode & 07777, 0711);
        FOREACH_ELEMENT(p, paths) {
                assert_int_equal(stat(*p, &st), 0);
                assert_int_equal(st.st_mode & 07777, 0600);
                assert_int_equal(st.st_uid, getuid());
        }
        assert_int_equal(fcntl(r->fds[0], F_GETFL) & (O_ACCMODE | O_APPEND | O_NONBLOCK), O_WRONLY | O_APPEND);
        assert_true(fcntl(r->fds[0], F_GETFD) & FD_CLOEXEC);
}

/* A start that is asked for again, by a daemon that knows of nothing. */
static void test_again(void **state) {
        int fds[_SPOOL_STREAM_MAX];
        Folder *r = *state;
        struct stat st;

        put(r->fds[0], "one\n");
        assert_int_equal(spool_open(r->path, r->a, geteuid() == 0 ? NOBODY : UINT32_MAX, fds), 0);
        put(fds[0], "two\n");
        put(r->fds[0], "{}\n");
        expect(r, 100, "{}", -1, "one\ntwo\n", "");
        assert_int_equal(stat(r->out, &st), 0);
        assert_int_equal(st.st_uid, geteuid() == 0 ? NOBODY : getuid());
        close(fds[0]);
        close(fds[1]);
}

static void test_capture(void **state) {
        Folder *r = *state;

        expect(r, 100, NULL, -1, "", "");
        put(r->fds[0], "working\n");
        put(r->fds[1], "a warning\n");
        expect(r, 100, NULL, -1, "working\n", "a warning\n");
        put(r->fds[0], "{\"success\": false,\n\"why\": \"}\"}\n\n");
        expect(r, 100, "{\"success\": false,\n\"why\": \"}\"}", 0, "working\n", "a warning\n");
        expect(r, 5, "{\"success\": false,\n\"why\": \"}\"}", 0, "king\n", "ning\n");
        expect(r, 0, "{\"success\": false,\n\"why\": \"}\"}", 0, "", "");
}

/* The window ends where it should, and what begins in the middle of a line does not begin one. */
static void test_window(void **state) {
        _cleanup_free_ char *text = malloc(VERDICT_MAX + 1);
        Folder *r = *state;

        memset(text, 'x', VERDICT_MAX);
        memcpy(text, "{\"a\":\"", 6);
        memcpy(text + VERDICT_MAX - 2, "\"}", 3);
        put(r->fds[0], "noise"); /* the object fills the window, but begins no line */
        put(r->fds[0], text);
        expect(r, 4, NULL, -1, "xx\"}", "");
        assert_int_equal(ftruncate(r->fds[0], 0), 0);
        put(r->fds[0], "noise\n");
        put(r->fds[0], text);
        expect(r, 4, text, -1, "ise\n", "");
        put(r->fds[0], "\n"); /* one byte too long now */
        expect(r, 4, NULL, -1, "x\"}\n", "");
        assert_int_equal(ftruncate(r->fds[0], 0), 0);
        put(r->fds[0], text); /* all of the file */
        expect(r, 4, text, -1, "", "");
}

static uint64_t held(const char *path) {
        struct stat st;

        assert_int_equal(stat(path, &st), 0);
        return (uint64_t) st.st_blocks * 512;
}

static int trim(Folder *r, uint64_t max, uint64_t *ret_held) {
        uint64_t held[_SPOOL_STREAM_MAX];
        int k = spool_trim(r->path, r->a, max, held);

        *ret_held = held[SPOOL_STDOUT] + held[SPOOL_STDERR];
        return k;
}

/* 100 MiB of noise, of which no more than a little is ever there, and a verdict behind. */
static void test_noise(void **state) {
        const size_t mib = 1024 * 1024;
        _cleanup_free_ char *noise = malloc(mib);
        Folder *r = *state;
        uint64_t n;

        for (size_t i = 0; i < mib; i++)
                noise[i] = i < mib - 2 ? (char) (i * 7 + i / 251) : (char) 0xff;
        for (unsigned i = 0; i < 100; i++) {
                assert_int_equal(write(r->fds[0], noise, mib), mib);
                assert_int_equal(trim(r, mib / 2, &n), 0);
                assert_true(n <= mib / 2 + 4096);
                assert_true(held(r->out) <= mib / 2 + 4096);
        }
        put(r->fds[1], "short\n");
        put(r->fds[0], "\n{\"success\":true}\n");
        assert_int_equal(trim(r, mib / 2, &n), 0);
        expect(r, 1, "{\"success\":true}", 1, "\n", "\n");
        expect(r, 3, "{\"success\":true}", 1, "\xef\xbf\xbd\xef\xbf\xbd\n", "rt\n");
}

/* What cannot be given back is told. */
static void test_held(void **state) {
        Folder *r = *state;
        uint64_t n;

        assert_int_equal(trim(r, 65536, &n), 0);
        assert_int_equal(n, 0);
        assert_int_equal(fallocate(r->fds[1], FALLOC_FL_KEEP_SIZE, 0, 1 << 20), 0);
        assert_int_equal(trim(r, 65536, &n), 0);
        assert_true(n >= 1 << 20);
        spool_remove(r->path, r->a);
        assert_int_equal(trim(r, 65536, &n), -ENOENT);
}

/* What the owner may do to his files. */
static void test_hostile(void **state) {
        Folder *r = *state;
        usec_t before = now_usec(CLOCK_MONOTONIC);
        _cleanup_(outcome_done) Outcome o = OUTCOME_INIT;
        uint64_t n;
        int fd;

        /* A file as large as there can be, and a hole at that. */
        assert_int_equal(ftruncate(r->fds[0], INT64_C(1) << 60), 0);
        assert_int_equal(trim(r, 65536, &n), 0);
        assert_int_equal(spool_capture(r->path, r->a, 8, &o), 0);
        assert_null(o.verdict);
        (void) signal(SIGIO, SIG_IGN); /* which would tell the holder */
        /* A lease: who opens the file waits for its holder, for 45 seconds. */
        close(r->fds[1]);
        fd = open(r->err, O_RDONLY | O_CLOEXEC);
        r->fds[1] = -EBADF;
        assert_true(fd >= 0);
        if (fcntl(fd, F_SETLEASE, F_RDLCK) == 0) {
                int fds[_SPOOL_STREAM_MAX];

                assert_int_equal(spool_open(r->path, r->a, UINT32_MAX, fds), -EWOULDBLOCK);
                assert_true(fds[0] < 0 && fds[1] < 0);
        }
        close(fd);
        assert_true(now_usec(CLOCK_MONOTONIC) - before < 20 * USEC_PER_SEC);
}

/* Who reads it may read on. */
static void test_remove(void **state) {
        Folder *r = *state;
        struct stat st;

        put(r->fds[0], "text");
        spool_remove(r->path, r->a);
        assert_int_equal(access(r->out, F_OK), -1);
        assert_int_equal(access(r->err, F_OK), -1);
        assert_int_equal(fstat(r->fds[0], &st), 0);
        assert_int_equal(st.st_size, 4);
        spool_remove(r->path, r->a);
}

/* What a crash left: of attempts that are no more. */
static void test_sweep(void **state) {
        _cleanup_(model_freep) Model *m = model_new();
        _cleanup_(attempt_freep) Attempt *gone = attempt_new(41, 1);
        Attempt *known = attempt_new(42, 3);
        int fds[_SPOOL_STREAM_MAX];
        Folder *r = *state;
        Queue *q;

        assert_int_equal(spool_open(r->path, gone, UINT32_MAX, fds), 0);
        close(fds[0]);
        close(fds[1]);
        assert_int_equal(model_queue_add(m, "q", &q), 0);
        assert_int_equal(model_attempt_add(m, known, NULL, q), 0);
        spool_sweep(r->path, m);
        assert_int_equal(access(r->out, F_OK), 0);
        assert_int_equal(access(r->err, F_OK), 0);
        /* and nothing else is left: teardown() */
        spool_sweep("/nonexistent", m);
}

static void test_errors(void **state) {
        _cleanup_(outcome_done) Outcome o = OUTCOME_INIT;
        int fds[_SPOOL_STREAM_MAX];
        Folder *r = *state;

        assert_int_equal(spool_open("/nonexistent", r->a, UINT32_MAX, fds), -ENOENT);
        assert_int_equal(spool_capture("/nonexistent", r->a, 10, &o), -ENOENT);
        assert_null(o.io_stdout);
        /* Never through a link. */
        spool_remove(r->path, r->a);
        assert_int_equal(symlink("/etc/passwd", r->out), 0);
        assert_int_equal(spool_open(r->path, r->a, UINT32_MAX, fds), -ELOOP);
        assert_int_equal(spool_capture(r->path, r->a, 10, &o), -ELOOP);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_modes, setup, teardown),
                cmocka_unit_test_setup_teardown(test_again, setup, teardown),
                cmocka_unit_test_setup_teardown(test_capture, setup, teardown),
                cmocka_unit_test_setup_teardown(test_window, setup, teardown),
                cmocka_unit_test_setup_teardown(test_noise, setup, teardown),
                cmocka_unit_test_setup_teardown(test_held, setup, teardown),
                cmocka_unit_test_setup_teardown(test_hostile, setup, teardown),
                cmocka_unit_test_setup_teardown(test_remove, setup, teardown),
                cmocka_unit_test_setup_teardown(test_sweep, setup, teardown),
                cmocka_unit_test_setup_teardown(test_errors, setup, teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
