/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Memory that runs out: the n-th allocation fails, SQLite's or ours, for the n of a life of the store. The error is "out of memory" and
 * nothing else, above all not "damaged", for that would end the daemon for good; and what is stored is as after the last step
 * that was reported as done. JOBMILL_TEST_FULL=1: every n; else some, every day others. */

#include "fault-vfs.h"
#include "store-script.h"

#include <sys/wait.h>
#include <time.h>

static struct {
        unsigned calls, fail_at; /* 0: none */
        bool forever, ours, failed;
} memory;

static bool memory_fails(bool ours) {
        if (memory.fail_at == 0 || ours != memory.ours)
                return false;
        memory.calls++;
        if (memory.forever ? memory.calls < memory.fail_at : memory.calls != memory.fail_at)
                return false;
        memory.failed = true;
        return true;
}

/* ---- SQLite's ---- */

static sqlite3_mem_methods real;

static void *sqlite_malloc(int n) {
        return memory_fails(false) ? NULL : real.xMalloc(n);
}

static void *sqlite_realloc(void *p, int n) {
        return memory_fails(false) ? NULL : real.xRealloc(p, n);
}

static void replace_sqlite_malloc(void) {
        sqlite3_mem_methods methods;

        if (sqlite3_config(SQLITE_CONFIG_GETMALLOC, &real) != SQLITE_OK)
                abort();
        methods = real;
        methods.xMalloc = sqlite_malloc;
        methods.xRealloc = sqlite_realloc;
        /* No small memory of its own, out of which it would never run. */
        if (sqlite3_config(SQLITE_CONFIG_MALLOC, &methods) != SQLITE_OK ||
            sqlite3_config(SQLITE_CONFIG_LOOKASIDE, 0, 0) != SQLITE_OK)
                abort();
}

/* ---- ours: the linker puts these in place of what the program calls itself (--wrap) ---- */

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
char *__real_strdup(const char *s);
char *__real_strndup(const char *s, size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);
char *__wrap_strdup(const char *s);
char *__wrap_strndup(const char *s, size_t n);
int __wrap_asprintf(char **ret, const char *format, ...) _printf_(2, 3);

void *__wrap_malloc(size_t n) {
        return memory_fails(true) ? NULL : __real_malloc(n);
}

void *__wrap_calloc(size_t n, size_t size) {
        return memory_fails(true) ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t n) {
        return memory_fails(true) ? NULL : __real_realloc(p, n);
}

char *__wrap_strdup(const char *s) {
        return memory_fails(true) ? NULL : __real_strdup(s);
}

char *__wrap_strndup(const char *s, size_t n) {
        return memory_fails(true) ? NULL : __real_strndup(s, n);
}

int __wrap_asprintf(char **ret, const char *format, ...) {
        va_list ap;
        int r;

        if (memory_fails(true))
                return -1;
        va_start(ap, format);
        r = vasprintf(ret, format, ap);
        va_end(ap);
        return r;
}

/* ---- the test ---- */

static void check_error(const Script *x, unsigned i, unsigned n) {
        if (x->error != -ENOMEM)
                fail_msg("n = %u, step %u: error %i, \"%s\"", n, i, x->error, x->text);
}

static void check_digest(Script *x, const uint64_t digests[], unsigned done, bool or_next, unsigned n) {
        uint64_t digest = script_digest(x->s->db);

        if (digest != digests[done] && !(or_next && digest == digests[done + 1]))
                fail_msg("n = %u: the store is not as after step %u%s", n, done, digest == digests[done + 1] ? ", but the next" : "");
        script_check(x->s->db);
}

static bool run(Directory *d, const uint64_t digests[], unsigned n, bool forever) {
        Script x = { .directory = d };
        bool durable;

        memory.calls = 0;
        memory.failed = false;
        memory.forever = forever;
        memory.fail_at = n;
        for (unsigned i = 0; i < SCRIPT_N_STEPS; i++) {
                unsigned tries = 0;

                while (script_step(&x, i, &durable) < 0) {
                        check_error(&x, i, n);
                        memory.fail_at = 0;
                        if (!memory.failed || ++tries > 2)
                                fail_msg("n = %u, step %u fails for ever: %s", n, i, x.text);
                        if (x.s && script_reload(&x) < 0)
                                fail_msg("n = %u, step %u: does not load again: %s", n, i, x.text);
                        if (x.s && i > 0)
                                check_digest(&x, digests, i - 1, script_step_is_alone(i), n);
                        x.m = model_free(x.m);
                }
        }
        memory.fail_at = 0;
        check_digest(&x, digests, SCRIPT_N_STEPS - 1, false, n);
        script_close(&x);
        return memory.failed;
}

/* In a process of its own: a hash table that cannot grow ends it, and so the daemon, which is started again. */
static bool run_in_child(Directory *d, const uint64_t digests[], unsigned n, bool forever) {
        int status;
        pid_t pid;

        pid = fork();
        assert_true(pid >= 0);
        if (pid == 0)
                _exit(run(d, digests, n, forever) ? 0 : 1);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status));
        if (WEXITSTATUS(status) == 255) { /* uthash */
                Script x = { .directory = d };
                bool durable, found = false;
                uint64_t digest;

                assert_int_equal(script_step(&x, 0, &durable), 0);
                script_check(x.s->db);
                digest = script_digest(x.s->db);
                for (unsigned i = 0; i < SCRIPT_N_STEPS; i++)
                        found |= digest == digests[i];
                assert_true(found);
                script_close(&x);
                return true;
        }
        assert_in_range(WEXITSTATUS(status), 0, 1);
        return WEXITSTATUS(status) == 0;
}

#define DAY_STEP 37U /* no stride is a multiple of it: the days of a stride's number are all of its places */

static void run_all(bool old, bool ours, unsigned stride) {
        _cleanup_directory_ Directory d = make_directory();
        uint64_t digests[SCRIPT_N_STEPS];
        unsigned calls = 0, day = (unsigned) (time(NULL) / (24 * 60 * 60));

        if (getenv("JOBMILL_TEST_FULL"))
                stride = 1;
        memory.ours = script_ignore_reasons = ours;
        script_digests(old, digests);
        for (unsigned way = 0; way < 2; way++) {
                bool failed = true;

                for (unsigned n = 1 + (day * DAY_STEP + way * stride / 2) % stride; failed; n += stride) {
                        script_prepare(&d, old);
                        failed = (ours ? run_in_child : run)(&d, digests, n, way == 1);
                        calls = MAX(calls, n);
                }
        }
        print_message("%u allocations\n", calls);
        assert_true(calls > 200);
}

/* With sanitizers an allocation takes five times as long, and to make a process still longer. */
#ifdef __SANITIZE_ADDRESS__
enum { STRIDE_SQLITE = 1201, STRIDE_MIGRATING = 1381, STRIDE_OURS = 631 };
#else
enum { STRIDE_SQLITE = 601, STRIDE_MIGRATING = 691, STRIDE_OURS = 89 };
#endif

static void test_of_sqlite(void **state) {
        run_all(false, false, STRIDE_SQLITE);
}

static void test_of_sqlite_migrating(void **state) {
        run_all(true, false, STRIDE_MIGRATING);
}

static void test_ours(void **state) {
        run_all(true, true, STRIDE_OURS);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_of_sqlite),
                cmocka_unit_test(test_of_sqlite_migrating),
                cmocka_unit_test(test_ours), /* last: a child that fails goes on from there */
        };

        replace_sqlite_malloc();
        fault_register();
        fault.fast = true;
        return cmocka_run_group_tests(tests, NULL, NULL);
}
