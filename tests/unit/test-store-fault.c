/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A disk that fails: the n-th call into the file system goes wrong, for every n of a life of the store. What was reported as done is there, what was
 * not is not, nothing is half there, and once the disk works again so does the store. JOBMILL_TEST_FULL=1: every n; else some. */

#include "fault-vfs.h"
#include "store-script.h"

/* The error is one of storage, and says what. Never "damaged": that would end the daemon for good. */
static void check_error(const Script *x, unsigned i, unsigned n) {
        if (x->error != -EIO && x->error != -ENOSPC && x->error != -ENOMEM)
                fail_msg("n = %u, %s fails, step %u: error %i, \"%s\"", n, fault.failed, i, x->error, x->text);
        if (!*x->text)
                fail_msg("n = %u, %s fails, step %u: no text", n, fault.failed, i);
}

static void check_digest(Script *x, const uint64_t digests[], unsigned done, bool or_next, unsigned n) {
        unsigned saved = fault.fail_at;
        uint64_t digest;

        fault_disarm();
        digest = script_digest(x->s->db);
        if (digest != digests[done] && !(or_next && digest == digests[done + 1]))
                fail_msg("n = %u, %s fails: the store is not as after step %u", n, strempty(fault.failed), done);
        script_check(x->s->db);
        fault.fail_at = saved;
}

static void reopen(Script *x, const uint64_t digests[], unsigned done, bool or_next, unsigned n) {
        bool durable;

        fault_disarm();
        script_close(x);
        if (script_step(x, 0, &durable) < 0)
                fail_msg("n = %u, %s failed: does not open again: %s", n, strempty(fault.failed), x->text);
        check_digest(x, digests, done, or_next, n);
}

/* The daemon survives: what failed is done again when the cause is gone. */
static bool run_and_go_on(Script *x, const uint64_t digests[], unsigned n, bool forever, bool full) {
        bool durable;

        fault_arm(n, forever, full);
        x->opened_for = 0;
        for (unsigned i = 0; i < SCRIPT_N_STEPS; i++) {
                unsigned tries = 0;

                while (script_step(x, i, &durable) < 0) {
                        if (!fault.failed || ++tries > 3)
                                fail_msg("n = %u, step %u fails for ever: %s", n, i, x->text);
                        check_error(x, i, n);
                        if (tries < 3 && forever && script_reload(x) < 0) /* still failing */
                                check_error(x, i, n);
                        if (tries == 2 || !forever)
                                fault_disarm();
                        if (x->s && i > 0)
                                check_digest(x, digests, i - 1, script_step_is_alone(i), n);
                        x->m = model_free(x->m);
                }
        }
        reopen(x, digests, SCRIPT_N_STEPS - 1, false, n);
        script_close(x);
        return fault.failed;
}

/* The daemon does not: it was killed, or the machine went down, while the disk was failing. What was reported as failed may
 * then be there: the log was written, and only its sync failed. But in whole. */
static bool run_and_die(Script *x, const uint64_t digests[], unsigned n, bool full) {
        bool durable, failed;
        unsigned i;

        fault_arm(n, true, full);
        x->opened_for = 0;
        for (i = 0; i < SCRIPT_N_STEPS; i++)
                if (script_step(x, i, &durable) < 0)
                        break;
        failed = fault.failed;
        if (i < SCRIPT_N_STEPS)
                check_error(x, i, n);
        script_close(x); /* nothing works: as if it had not been closed */
        reopen(x, digests, i > 0 ? i - 1 : 0, i > 0 && i < SCRIPT_N_STEPS, n);
        script_close(x);
        return failed;
}

static void run_all(bool old, bool full) {
        _cleanup_directory_ Directory d = make_directory();
        uint64_t digests[SCRIPT_N_STEPS];
        Script x = { .directory = &d };
        unsigned stride = getenv("JOBMILL_TEST_FULL") ? 1 : 17, calls = 0;

        script_digests(old, digests);
        for (unsigned way = 0; way < 3; way++) {
                bool failed = true;

                for (unsigned n = 1 + way * stride / 3; failed; n += stride) {
                        script_prepare(&d, old);
                        failed = way < 2 ? run_and_go_on(&x, digests, n, way == 1, full) : run_and_die(&x, digests, n, full);
                        calls = MAX(calls, n);
                }
        }
        print_message("%u calls\n", calls);
        assert_true(calls > 200);
}

static void test_io_error(void **state) {
        run_all(false, false);
}

static void test_io_error_migrating(void **state) {
        run_all(true, false);
}

static void test_full(void **state) {
        run_all(true, true);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_io_error),
                cmocka_unit_test(test_io_error_migrating),
                cmocka_unit_test(test_full),
        };

        fault_register();
        fault.fast = true;
        return cmocka_run_group_tests(tests, NULL, NULL);
}
