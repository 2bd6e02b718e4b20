/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What PID 1 says of a unit, and what follows: the table of "When the daemon was away" in docs/states.md row by row, and how
 * each kind of end is told. */

#include "unit/unit-state.h"

#include "base/strv.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/wait.h>

#include <cmocka.h>

static const Epoch epoch = { .boot_id = SD_ID128_MAKE(01, 02, 03, 04, 05, 06, 07, 08, 09, 0a, 0b, 0c, 0d, 0e, 0f, 10),
                             .userspace_usec = 5 };
static const sd_id128_t token = SD_ID128_MAKE(aa, 02, 03, 04, 05, 06, 07, 08, 09, 0a, 0b, 0c, 0d, 0e, 0f, 10);
static const sd_id128_t invocation = SD_ID128_MAKE(ff, 02, 03, 04, 05, 06, 07, 08, 09, 0a, 0b, 0c, 0d, 0e, 0f, 00);
static const sd_id128_t other = SD_ID128_MAKE(ee, 02, 03, 04, 05, 06, 07, 08, 09, 0a, 0b, 0c, 0d, 0e, 0f, 00);

enum {
        ABSENT,
        NOT_LOADED, /* asked for by name only: LoadState=not-found */
        QUEUED,     /* loaded, its start pending, nothing known yet */
        STARTS,     /* activating */
        RUNS,
        RUNS_JOB,   /* active, a stop of systemd's pending */
        STOPS,      /* deactivating */
        EXITED,     /* active (exited) */
        EXITED_JOB, /* the same, while it is being released */
        FAILED,
        OVER,       /* inactive, had run */
        NEVER,      /* inactive, never was asked to run */
};

static UnitState unit_of(int kind, sd_id128_t t, sd_id128_t i) {
        static const struct {
                UnitActiveState active;
                bool exited, job, invoked, was_active;
        } kinds[] = {
                [NOT_LOADED] = { UNIT_INACTIVE },
                [QUEUED] = { UNIT_INACTIVE, .job = true },
                [STARTS] = { UNIT_ACTIVATING, .job = true, .invoked = true },
                [RUNS] = { UNIT_ACTIVE, .invoked = true, .was_active = true },
                [RUNS_JOB] = { UNIT_ACTIVE, .job = true, .invoked = true, .was_active = true },
                [STOPS] = { UNIT_DEACTIVATING, .invoked = true, .was_active = true },
                [EXITED] = { UNIT_ACTIVE, .exited = true, .invoked = true, .was_active = true },
                [EXITED_JOB] = { UNIT_ACTIVE, .exited = true, .job = true, .invoked = true, .was_active = true },
                [FAILED] = { UNIT_FAILED, .invoked = true },
                [OVER] = { UNIT_INACTIVE, .invoked = true, .was_active = true },
                [NEVER] = { UNIT_INACTIVE },
        };
        UnitState u;

        unit_state_init(&u);
        u.loaded = kind != NOT_LOADED;
        u.active = kinds[kind].active;
        u.exited = kinds[kind].exited;
        u.unit_job = kinds[kind].job;
        u.active_monotonic = kinds[kind].was_active ? 100 : 0;
        if (kinds[kind].invoked)
                u.invocation_id = i;
        if (u.loaded)
                u.token = t;
        return u;
}

#define NULL_ID SD_ID128_NULL

static void test_decide(void **state) {
        static const struct {
                AttemptPhase phase;
                bool no_job;
                bool known;       /* the row has an invocation id */
                char epoch;       /* '=' same, 'b' another boot, 'm' another manager */
                int unit;
                char whose;       /* 'o' our token, 'x' another, '-' none */
                bool again;       /* another invocation */
                UnitVerdict verdict;
        } rows[] = {
                /* starting, same epoch, absent */
                { ATTEMPT_STARTING, 0, 0, '=', ABSENT, 'o', 0, UNIT_ASK },
                { ATTEMPT_STARTING, 0, 0, '=', NOT_LOADED, 'o', 0, UNIT_ASK },
                { ATTEMPT_STARTING, 0, 1, '=', ABSENT, 'o', 0, UNIT_VANISHED },
                /* starting, running: ours, active (a pending start counts as active) */
                { ATTEMPT_STARTING, 0, 0, '=', QUEUED, 'o', 0, UNIT_NOTHING },
                { ATTEMPT_STARTING, 0, 0, '=', NEVER, 'o', 0, UNIT_NOTHING },
                { ATTEMPT_STARTING, 0, 0, '=', STARTS, 'o', 0, UNIT_NOTHING },
                { ATTEMPT_STARTING, 0, 0, '=', RUNS, 'o', 0, UNIT_STARTED },
                { ATTEMPT_STARTING, 0, 1, '=', RUNS, 'o', 0, UNIT_STARTED },
                { ATTEMPT_STARTING, 0, 0, '=', STOPS, 'o', 0, UNIT_STARTED },
                { ATTEMPT_RUNNING, 0, 1, '=', RUNS, 'o', 0, UNIT_NOTHING },
                { ATTEMPT_RUNNING, 0, 1, '=', RUNS_JOB, 'o', 0, UNIT_NOTHING },
                { ATTEMPT_RUNNING, 0, 1, '=', STOPS, 'o', 0, UNIT_NOTHING },
                /* the same, ended */
                { ATTEMPT_STARTING, 0, 0, '=', EXITED, 'o', 0, UNIT_ENDED },
                { ATTEMPT_STARTING, 0, 0, '=', FAILED, 'o', 0, UNIT_ENDED },
                { ATTEMPT_STARTING, 0, 0, '=', OVER, 'o', 0, UNIT_ENDED },
                { ATTEMPT_RUNNING, 0, 1, '=', EXITED, 'o', 0, UNIT_ENDED },
                { ATTEMPT_RUNNING, 0, 1, '=', FAILED, 'o', 0, UNIT_ENDED },
                { ATTEMPT_RUNNING, 0, 1, '=', EXITED_JOB, 'o', 0, UNIT_NOTHING },
                /* running, absent */
                { ATTEMPT_RUNNING, 0, 1, '=', ABSENT, 'o', 0, UNIT_VANISHED },
                { ATTEMPT_RUNNING, 0, 1, '=', NOT_LOADED, 'o', 0, UNIT_VANISHED },
                /* live, ours, another invocation */
                { ATTEMPT_STARTING, 0, 1, '=', RUNS, 'o', 1, UNIT_RESTARTED },
                { ATTEMPT_RUNNING, 0, 1, '=', RUNS, 'o', 1, UNIT_RESTARTED },
                { ATTEMPT_RUNNING, 0, 1, '=', STARTS, 'o', 1, UNIT_RESTARTED },
                { ATTEMPT_RUNNING, 0, 1, '=', FAILED, 'o', 1, UNIT_RESTARTED },
                /* another epoch, whatever there is */
                { ATTEMPT_STARTING, 0, 0, 'b', ABSENT, 'o', 0, UNIT_OTHER_EPOCH },
                { ATTEMPT_STARTING, 0, 0, 'm', ABSENT, 'o', 0, UNIT_OTHER_EPOCH },
                { ATTEMPT_RUNNING, 0, 1, 'b', ABSENT, 'o', 0, UNIT_OTHER_EPOCH },
                { ATTEMPT_RUNNING, 0, 1, 'm', RUNS, 'o', 0, UNIT_OTHER_EPOCH },
                { ATTEMPT_RUNNING, 0, 1, 'b', RUNS, 'x', 0, UNIT_OTHER_EPOCH },
                /* done */
                { ATTEMPT_ENDED, 1, 1, '=', EXITED, 'o', 0, UNIT_RELEASE },
                { ATTEMPT_ENDED, 1, 1, '=', FAILED, 'o', 0, UNIT_RELEASE },
                { ATTEMPT_ENDED, 1, 1, '=', RUNS, 'o', 0, UNIT_RELEASE },
                { ATTEMPT_ENDED, 1, 1, '=', RUNS, 'o', 1, UNIT_RELEASE },
                { ATTEMPT_ENDED, 1, 0, '=', STARTS, 'o', 0, UNIT_RELEASE },
                { ATTEMPT_ENDED, 1, 1, '=', ABSENT, 'o', 0, UNIT_GONE },
                { ATTEMPT_ENDED, 1, 1, '=', NOT_LOADED, 'o', 0, UNIT_GONE },
                { ATTEMPT_ENDED, 1, 1, 'b', RUNS, 'o', 0, UNIT_GONE },
                /* not our token */
                { ATTEMPT_STARTING, 0, 0, '=', RUNS, 'x', 0, UNIT_FOREIGN },
                { ATTEMPT_STARTING, 0, 0, '=', RUNS, '-', 0, UNIT_FOREIGN },
                { ATTEMPT_RUNNING, 0, 1, '=', EXITED, 'x', 0, UNIT_FOREIGN },
                { ATTEMPT_ENDED, 1, 1, '=', RUNS, 'x', 0, UNIT_FOREIGN },
                /* strays */
                { ATTEMPT_STRAY, 1, 1, '=', RUNS, 'o', 0, UNIT_NOTHING },
                { ATTEMPT_STRAY, 1, 1, '=', EXITED, 'o', 0, UNIT_ENDED },
                { ATTEMPT_STRAY, 1, 1, '=', ABSENT, 'o', 0, UNIT_GONE },
                { ATTEMPT_STRAY, 1, 1, '=', RUNS, 'o', 1, UNIT_NOTHING },
                { ATTEMPT_STRAY, 1, 1, '=', FAILED, 'o', 1, UNIT_ENDED },
                { ATTEMPT_STRAY, 1, 1, '=', RUNS, 'x', 0, UNIT_NOTHING },
                { ATTEMPT_STRAY, 1, 1, '=', EXITED, 'x', 1, UNIT_ENDED },
        };
        Job job = { .state = JOB_RUNNING };

        FOREACH_ELEMENT(i, rows) {
                UnitState u = i->unit == ABSENT ? (UnitState) {} :
                                                  unit_of(i->unit, i->whose == 'o' ? token : i->whose == 'x' ? other : NULL_ID,
                                                          i->again ? other : invocation);
                Attempt a = { .phase = i->phase, .epoch = epoch, .token = token, .job = i->no_job ? NULL : &job,
                              .invocation_id = i->known ? invocation : NULL_ID };

                a.epoch.userspace_usec += i->epoch == 'm';
                a.epoch.boot_id.bytes[0] += i->epoch == 'b';
                UnitVerdict v = unit_decide(&a, &epoch, i->unit == ABSENT ? NULL : &u);
                if (v != i->verdict)
                        fail_msg("row %zu: verdict %i instead of %i", (size_t) (i - rows), v, i->verdict);
        }
}

static void test_ended(void **state) {
        static const int ended[] = { EXITED, FAILED, OVER }, not[] = { QUEUED, STARTS, RUNS, RUNS_JOB, STOPS, EXITED_JOB, NEVER };

        FOREACH_ELEMENT(k, ended) {
                UnitState u = unit_of(*k, token, invocation);
                assert_true(unit_state_is_ended(&u));
                u.unit_job = true;
                assert_false(unit_state_is_ended(&u));
                u = unit_of(*k, token, NULL_ID); /* "inactive" is signalled before a start, too */
                assert_false(unit_state_is_ended(&u));
                assert_false(unit_state_is_started(&u));
        }
        FOREACH_ELEMENT(k, not) {
                UnitState u = unit_of(*k, token, invocation);
                assert_false(unit_state_is_ended(&u));
        }
}

/* What is read of the service is of the process whose end was signalled, or it counts for nothing. */
static void test_end_of_a_service(void **state) {
        static const struct {
                bool no_token;
                usec_t started, ended;
                bool expect;
        } rows[] = {
                { false, 100, 300, true }, { false, 99, 300, true },
                { false, 101, 300, false }, /* again */
                { false, 100, 0, false }, { false, 0, 0, false }, { false, 0, 300, false }, { true, 100, 300, false },
        };
        UnitState told = unit_of(EXITED, NULL_ID, invocation);
        UnitEnd end;

        told.active_realtime = 7;
        told.inactivated_monotonic = 200;
        told.freezer = FREEZER_FROZEN;
        end = unit_state_end(&told);
        FOREACH_ELEMENT(i, rows) {
                UnitState u;

                unit_state_init(&u);
                if (!i->no_token)
                        u.token = token;
                u.started_monotonic = i->started;
                u.ended_monotonic = i->ended;
                assert_int_equal(unit_state_add_end(&u, &end, invocation), i->expect);
                if (!i->expect)
                        continue;
                assert_true(unit_state_is_ended(&u) && u.loaded && u.exited && u.freezer == FREEZER_FROZEN);
                assert_int_equal(u.active_monotonic, 100);
                assert_int_equal(u.active_realtime, 7);
                assert_int_equal(u.inactivated_monotonic, 200);
                assert_true(sd_id128_equal(u.invocation_id, invocation));
        }
}

/* ---- how it ended ---- */

typedef struct End {
        UnitResult result;
        int32_t code, status;
        usec_t active, handoff; /* handoff USEC_INFINITY: before 256 */
        JobResult expect;
        int32_t exit_status, exit_signal;
        const char *reason;
} End;

static void check_end(const End *e, size_t i) {
        UnitState u = unit_of(e->active > 0 ? EXITED : FAILED, token, invocation);
        Outcome o;

        u.result = e->result;
        u.code = e->code;
        u.status = e->status;
        u.active_monotonic = e->active;
        u.handoff_monotonic = e->handoff;
        unit_state_outcome(&u, &o);
        if (o.result != e->expect || o.exit_status != e->exit_status || o.exit_signal != e->exit_signal)
                fail_msg("end %zu: %s, status %i, signal %i", i, job_result_to_string(o.result), o.exit_status, o.exit_signal);
        if (!e->reason != !o.reason || (e->reason && !strstr(o.reason, e->reason)))
                fail_msg("end %zu: reason %s", i, o.reason ?: "none");
        outcome_done(&o);
}

static void test_outcome(void **state) {
        const usec_t no = USEC_INFINITY;
        const End ends[] = {
                /* exit 0; also with a child left, and where the release is called a start limit */
                { UNIT_RESULT_SUCCESS, CLD_EXITED, 0, 1, no, JOB_SUCCESS, 0, 0, NULL },
                { UNIT_RESULT_SUCCESS, CLD_EXITED, 0, 1, 1, JOB_SUCCESS, 0, 0, NULL },
                { UNIT_RESULT_START_LIMIT_HIT, CLD_EXITED, 0, 1, no, JOB_SUCCESS, 0, 0, NULL },
                { UNIT_RESULT_START_LIMIT_HIT, CLD_EXITED, 3, 1, no, JOB_EXIT_CODE, 3, 0, NULL },
                { UNIT_RESULT_EXIT_CODE, CLD_EXITED, 7, 1, no, JOB_EXIT_CODE, 7, 0, NULL },
                { UNIT_RESULT_EXIT_CODE, CLD_EXITED, 255, 1, no, JOB_EXIT_CODE, 255, 0, NULL },
                /* TERM, HUP, INT, PIPE: "success" for PID 1, not for us */
                { UNIT_RESULT_SUCCESS, CLD_KILLED, SIGTERM, 1, no, JOB_SIGNAL, -1, SIGTERM, NULL },
                { UNIT_RESULT_SUCCESS, CLD_KILLED, SIGHUP, 1, no, JOB_SIGNAL, -1, SIGHUP, NULL },
                { UNIT_RESULT_SUCCESS, CLD_KILLED, SIGINT, 1, no, JOB_SIGNAL, -1, SIGINT, NULL },
                { UNIT_RESULT_SUCCESS, CLD_KILLED, SIGPIPE, 1, no, JOB_SIGNAL, -1, SIGPIPE, NULL },
                { UNIT_RESULT_SIGNAL, CLD_KILLED, SIGKILL, 1, no, JOB_SIGNAL, -1, SIGKILL, NULL },
                { UNIT_RESULT_SIGNAL, CLD_KILLED, SIGXFSZ, 1, no, JOB_SIGNAL, -1, SIGXFSZ, NULL },
                { UNIT_RESULT_CORE_DUMP, CLD_DUMPED, SIGSEGV, 1, no, JOB_CORE_DUMP, -1, SIGSEGV, NULL },
                /* RuntimeMaxSec=, the net; whatever the process made of the signal */
                { UNIT_RESULT_TIMEOUT, CLD_KILLED, SIGTERM, 1, no, JOB_TIMEOUT, -1, SIGTERM, NULL },
                { UNIT_RESULT_TIMEOUT, CLD_KILLED, SIGKILL, 1, no, JOB_TIMEOUT, -1, SIGKILL, NULL },
                { UNIT_RESULT_TIMEOUT, CLD_EXITED, 0, 1, no, JOB_TIMEOUT, 0, 0, NULL },
                { UNIT_RESULT_WATCHDOG, CLD_DUMPED, SIGABRT, 1, no, JOB_WATCHDOG, -1, SIGABRT, NULL },
                { UNIT_RESULT_OOM_KILL, CLD_KILLED, SIGKILL, 1, no, JOB_OOM_KILL, -1, SIGKILL, NULL },
                { UNIT_RESULT_OOM_KILL, CLD_EXITED, 0, 1, no, JOB_OOM_KILL, 0, 0, NULL }, /* a part of it was killed */
                /* StopUnit on one that exits 5 */
                { UNIT_RESULT_EXIT_CODE, CLD_EXITED, 5, 1, no, JOB_EXIT_CODE, 5, 0, NULL },

                /* Never executed, before 256: never active */
                { UNIT_RESULT_EXIT_CODE, CLD_EXITED, 203, 0, no, JOB_EXEC, 203, 0, "cannot be executed" },
                { UNIT_RESULT_EXIT_CODE, CLD_EXITED, 200, 0, no, JOB_EXEC, 200, 0, "working directory" },
                { UNIT_RESULT_EXIT_CODE, CLD_EXITED, 217, 0, no, JOB_EXEC, 217, 0, "no such user" },
                { UNIT_RESULT_EXIT_CODE, CLD_EXITED, 226, 0, no, JOB_EXEC, 226, 0, "namespace" },
                { UNIT_RESULT_EXIT_CODE, CLD_EXITED, 243, 0, no, JOB_EXEC, 243, 0, "status 243" },
                { UNIT_RESULT_EXIT_CODE, CLD_EXITED, 203, 1, no, JOB_EXIT_CODE, 203, 0, NULL },
                { UNIT_RESULT_EXIT_CODE, CLD_EXITED, 244, 0, no, JOB_EXIT_CODE, 244, 0, NULL },
                { UNIT_RESULT_EXIT_CODE, CLD_EXITED, 199, 0, no, JOB_EXIT_CODE, 199, 0, NULL },
                { UNIT_RESULT_EXIT_CODE, CLD_EXITED, 7, 0, no, JOB_EXIT_CODE, 7, 0, NULL }, /* over before it was seen active */
                { UNIT_RESULT_SUCCESS, CLD_EXITED, 0, 0, no, JOB_SUCCESS, 0, 0, NULL },
                /* From 256 the hand-over tells */
                { UNIT_RESULT_EXIT_CODE, CLD_EXITED, 203, 0, 0, JOB_EXEC, 203, 0, "cannot be executed" },
                { UNIT_RESULT_EXIT_CODE, CLD_EXITED, 203, 0, 9, JOB_EXEC, 203, 0, "cannot be executed" }, /* execve() itself failed */
                { UNIT_RESULT_EXIT_CODE, CLD_EXITED, 217, 0, 9, JOB_EXIT_CODE, 217, 0, NULL },
                { UNIT_RESULT_EXIT_CODE, CLD_EXITED, 203, 1, 9, JOB_EXIT_CODE, 203, 0, NULL },
                { UNIT_RESULT_EXIT_CODE, CLD_EXITED, 7, 0, 9, JOB_EXIT_CODE, 7, 0, NULL },

                /* No process at all */
                { UNIT_RESULT_RESOURCES, 0, 0, 0, no, JOB_EXEC, -1, 0, "could not be started: resources" },
                { UNIT_RESULT_PROTOCOL, 0, 0, 0, no, JOB_EXEC, -1, 0, "could not be started: protocol" },
                { _UNIT_RESULT_INVALID, 0, 0, 0, no, JOB_EXEC, -1, 0, "could not be started" }, /* a word of a newer systemd */
                { _UNIT_RESULT_INVALID, CLD_EXITED, 1, 1, no, JOB_EXIT_CODE, 1, 0, NULL },
                { UNIT_RESULT_TIMEOUT, CLD_KILLED, SIGTERM, 0, no, JOB_EXEC, -1, SIGTERM, "could not be started: timeout" },
                { UNIT_RESULT_TIMEOUT, 0, 0, 0, no, JOB_EXEC, -1, 0, "could not be started: timeout" },
                /* It ran, but PID 1 does not know how the main process ended: not a child of its (MAINPID=) */
                { UNIT_RESULT_SUCCESS, 0, 0, 1, no, JOB_LOST, -1, 0, "not known" },
        };

        FOREACH_ELEMENT(e, ends)
                check_end(e, (size_t) (e - ends));
}

/* jobmill-exec says that it could not: status and text together. */
static void test_helper(void **state) {
        static const struct {
                int code, status;
                const char *text;
                JobResult result;
                const char *reason;
        } tests[] = {
                { CLD_EXITED, 209, "jobmill-exec: cannot open output_file 'x': no", JOB_EXEC, "cannot open output_file 'x': no" },
                { CLD_EXITED, 222, "jobmill-exec: cannot", JOB_EXEC, "cannot" },
                { CLD_EXITED, 203, "jobmill-exec: cannot\n\x1b", JOB_EXEC, "cannot??" },
                { CLD_EXITED, 209, NULL, JOB_EXIT_CODE, NULL },
                { CLD_EXITED, 209, "50 %", JOB_EXIT_CODE, NULL },
                { CLD_EXITED, 209, "my jobmill-exec: x", JOB_EXIT_CODE, NULL },
                { CLD_EXITED, 210, "jobmill-exec: x", JOB_EXIT_CODE, NULL },
                { CLD_EXITED, 1, "jobmill-exec: x", JOB_EXIT_CODE, NULL },
                { CLD_EXITED, 0, "jobmill-exec: x", JOB_SUCCESS, NULL },
                { CLD_KILLED, SIGTERM, "jobmill-exec: x", JOB_SIGNAL, NULL },
        };

        FOREACH_ELEMENT(i, tests) {
                _cleanup_(outcome_done) Outcome o = OUTCOME_INIT;
                UnitState u;

                unit_state_init(&u);
                u.result = UNIT_RESULT_EXIT_CODE;
                u.active_monotonic = 5;
                u.handoff_monotonic = 5;
                u.code = i->code;
                u.status = i->status;
                u.status_text = i->text ? strdup(i->text) : NULL;
                unit_state_outcome(&u, &o);
                assert_int_equal(o.result, i->result);
                assert_true(streq_ptr(o.reason, i->reason));
                unit_state_done(&u);
        }
}

static void test_helper_long(void **state) {
        _cleanup_(outcome_done) Outcome o = OUTCOME_INIT;
        UnitState u;

        unit_state_init(&u);
        u.code = CLD_EXITED;
        u.status = 209;
        u.active_monotonic = 5;
        u.status_text = strdup("jobmill-exec: ");
        for (unsigned i = 0; i < 1000; i++) {
                char *s;

                assert_true(asprintf(&s, "%s€", u.status_text) > 0);
                free(u.status_text);
                u.status_text = s;
        }
        unit_state_outcome(&u, &o);
        assert_int_equal(strlen(o.reason), 1023); /* whole characters */
        unit_state_done(&u);
}

static void test_usage(void **state) {
        UnitState u = unit_of(EXITED, token, invocation);
        Outcome o;

        u.code = CLD_EXITED;
        /* What is not known is never 0. */
        unit_state_outcome(&u, &o);
        assert_true(o.cpu_usec == UINT64_MAX && o.memory_peak == UINT64_MAX && o.io_read_bytes == UINT64_MAX &&
                    o.io_write_bytes == UINT64_MAX && o.tasks_peak == UINT64_MAX);
        assert_true(o.started_usec == USEC_INFINITY && o.finished_usec == USEC_INFINITY && o.runtime_usec == USEC_INFINITY);

        u.cpu_nsec = 1234567;
        u.memory_peak = 4096;
        u.io_read_bytes = 0;
        u.io_write_bytes = 7;
        u.started_realtime = 1000;
        u.ended_realtime = 500; /* the clock was set back */
        u.started_monotonic = 100;
        u.ended_monotonic = 350;
        unit_state_outcome(&u, &o);
        assert_true(o.cpu_usec == 1234 && o.memory_peak == 4096 && o.io_read_bytes == 0 && o.io_write_bytes == 7);
        assert_true(o.started_usec == 1000 && o.finished_usec == 500 && o.runtime_usec == 250);
        assert_false(o.memory_peak_sampled);
}

static void test_mismatch(void **state) {
        UnitState u;

        unit_state_init(&u);
        u.type_exec = u.restart_no = u.remain_after_exit = u.kill_control_group = u.start_limit_one = true;
        assert_null(unit_state_mismatch(&u));
        u.start_limit_one = false;
        assert_string_equal(unit_state_mismatch(&u), "StartLimitBurst=");
        u.kill_control_group = false;
        assert_string_equal(unit_state_mismatch(&u), "KillMode=");
        u.remain_after_exit = false;
        assert_string_equal(unit_state_mismatch(&u), "RemainAfterExit=");
        u.restart_no = false;
        assert_string_equal(unit_state_mismatch(&u), "Restart=");
        u.type_exec = false;
        assert_string_equal(unit_state_mismatch(&u), "Type=");
}

static void test_words(void **state) {
        static const char *const states[] = { "inactive", "activating", "active", "reloading", "deactivating", "failed",
                                              "maintenance" };

        for (UnitActiveState i = 0; i < _UNIT_ACTIVE_STATE_MAX; i++) {
                assert_int_equal(unit_active_state_from_string(states[i]), i);
                assert_string_equal(unit_active_state_to_string(i), states[i]);
        }
        assert_int_equal(unit_active_state_from_string("refreshing"), _UNIT_ACTIVE_STATE_INVALID);
        assert_int_equal(unit_result_from_string("oom-kill"), UNIT_RESULT_OOM_KILL);
        assert_int_equal(unit_result_from_string("start-limit-hit"), UNIT_RESULT_START_LIMIT_HIT);
        assert_int_equal(unit_result_from_string("success"), UNIT_RESULT_SUCCESS);
        assert_int_equal(unit_result_from_string("exit-code"), UNIT_RESULT_EXIT_CODE);
        assert_int_equal(unit_result_from_string("something-new"), _UNIT_RESULT_INVALID);
}

static void test_done(void **state) {
        UnitState u;

        unit_state_init(&u);
        u.slots = strdup("0,1");
        u.slice = strdup("jobmill-a.slice");
        assert_int_equal(strv_extend(&u.drop_ins, "/etc/systemd/system/service.d/x.conf"), 0);
        unit_state_done(&u);
        assert_null(u.slots);
        assert_null(u.slice);
        assert_null(u.drop_ins);
        assert_int_equal(u.kill_signal, SIGTERM);
        assert_true(u.handoff_monotonic == USEC_INFINITY);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_decide),   cmocka_unit_test(test_ended), cmocka_unit_test(test_end_of_a_service), cmocka_unit_test(test_outcome),
                cmocka_unit_test(test_helper),
                cmocka_unit_test(test_helper_long),
                cmocka_unit_test(test_usage),    cmocka_unit_test(test_mismatch), cmocka_unit_test(test_words),
                cmocka_unit_test(test_done),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
