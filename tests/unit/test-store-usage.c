/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Accounting: what is added up is what a count of the rows says, whatever was folded since. */

#include "store-util.h"

#include "store/store-internal.h"

#include <time.h>

#define MINUTE USAGE_MINUTE
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)
#define T0 UINT64_C(1774700000000000) /* 2026-03-28 12:13:20 UTC: the next night is a short one in Berlin */

static const char *const queues[] = { "a", "b", "c" };

static void set_zone(const char *zone) {
        assert_int_equal(setenv("TZ", zone, 1), 0);
        tzset();
}

static void test_begin(void **state) {
        set_zone("UTC0");
        assert_int_equal(usage_begin(USAGE_MINUTES, T0), UINT64_C(1774699980000000));
        assert_int_equal(usage_begin(USAGE_HOURS, T0), UINT64_C(1774699200000000));
        assert_int_equal(usage_begin(USAGE_DAYS, T0), UINT64_C(1774656000000000));
        assert_int_equal(usage_begin(USAGE_DAYS, 0), 0);
        set_zone("IST-5:30");
        assert_int_equal(usage_begin(USAGE_HOURS, T0), UINT64_C(1774697400000000));
        assert_int_equal(usage_begin(USAGE_DAYS, T0), UINT64_C(1774636200000000));
        set_zone("CET-1CEST,M3.5.0,M10.5.0/3");
        assert_int_equal(usage_begin(USAGE_DAYS, T0 + DAY), UINT64_C(1774738800000000));
        assert_int_equal(usage_begin(USAGE_DAYS, T0 + 2 * DAY), UINT64_C(1774738800000000) + 23 * HOUR);
        set_zone("UTC0");
}

/* ---- random work, and a count of the rows ---- */

static usec_t waited; /* in all: a row knows the last wait of its job only */

static void do_submit(Model *m, const Now *at) {
        JobSpec *spec = make_spec("true");
        Job *j;

        spec->slots = 1 + rand() % 3;
        spec->max_attempts = 1 + rand() % 2;
        assert_int_equal(model_submit(m, add_queue(m, queues[rand() % ELEMENTSOF(queues)]), spec, 1000 + rand() % 2, "u", at, &j, NULL), 0);
}

static Job *any_job(Store *s, Model *m, const char *state) {
        char sql[128];
        int64_t id;

        snprintf(sql, sizeof(sql), "SELECT id FROM job WHERE state = '%s' ORDER BY random() LIMIT 1", state);
        id = number(s, sql);
        return id < 0 ? NULL : fetch(s, m, id);
}

static void fill_outcome(Outcome *o, const Now *at) {
        static const JobResult results[] = { JOB_SUCCESS, JOB_EXIT_CODE, JOB_SIGNAL, JOB_LOST };

        o->result = results[rand() % ELEMENTSOF(results)];
        o->finished_usec = usec_add(at->realtime, rand() % (3 * MINUTE));
        o->runtime_usec = rand() % 3 > 0 ? (usec_t) rand() % (10 * MINUTE) : USEC_INFINITY;
        o->cpu_usec = rand() % 3 > 0 ? (uint64_t) rand() : UINT64_MAX;
}

static void do_run(Store *s, Model *m, const Now *at) {
        Job *j = any_job(s, m, "ready");
        Outcome o = OUTCOME_INIT;
        JobSpec *spec;
        Attempt *a;

        if (!j)
                return;
        assert_int_equal(model_start(m, j, token, at), 0);
        a = j->live;
        record(s, m);
        if (rand() % 4 > 0) {
                model_attempt_started(m, a, invocation, at->realtime, at->monotonic);
                waited += j->wait_usec;
        }
        fill_outcome(&o, at);
        o.started_usec = a->outcome.started_usec;
        assert_int_equal(store_load_spec(s, j, &spec), 0);
        model_attempt_ended(m, a, &o, at);
        if (j->ended)
                model_judge(m, j, spec, at);
        spec_free(spec);
        record(s, m);
        model_attempt_gone(m, a);
}

/* 1 where the two differ. */
#define DIFFERS(a, b) "SELECT EXISTS (SELECT * FROM (" a ") EXCEPT SELECT * FROM (" b ")) OR EXISTS (SELECT * FROM (" b ") EXCEPT SELECT * FROM (" a "))"
#define SUMS(columns, condition) "SELECT queue, owner, " columns " FROM usage GROUP BY queue, owner HAVING " condition

static void check(Store *s) {
        assert_int_equal(number(s, DIFFERS(SUMS("sum(submitted)", "sum(submitted) > 0"), "SELECT queue, owner, count(*) FROM job GROUP BY 1, 2")), 0);
        assert_int_equal(number(s, DIFFERS(SUMS("sum(jobs), sum(failed), sum(cancelled)", "sum(jobs) > 0"),
                                           "SELECT queue, owner, count(*), sum(result NOT IN ('success', 'cancelled')), sum(result = 'cancelled')"
                                           " FROM job WHERE state = 'done' GROUP BY 1, 2")),
                         0);
        assert_int_equal(number(s, DIFFERS(SUMS("sum(attempts), sum(started), sum(runtime_usec), sum(slot_usec), sum(measured), sum(cpu_usec)",
                                                "sum(attempts) > 0"),
                                           "SELECT queue, owner, count(*), count(a.started_usec), ifnull(sum(runtime_usec), 0),"
                                           " ifnull(sum(runtime_usec * a.slots), 0), count(cpu_usec), ifnull(sum(cpu_usec), 0)"
                                           " FROM attempt a JOIN job j ON j.id = a.job WHERE a.result IS NOT NULL GROUP BY 1, 2")),
                         0);
        assert_int_equal(number(s, "SELECT sum(wait_usec) FROM usage"), waited);
}

static void check_times(Store *s) {
        assert_int_equal(number(s, DIFFERS("SELECT queue, owner, begin_usec, jobs FROM usage WHERE jobs > 0",
                                           "SELECT queue, owner, finished_usec - finished_usec % 60000000, count(*) FROM job WHERE state = 'done'"
                                           " GROUP BY 1, 2, 3")),
                         0);
}

static void fold_all(Store *s, usec_t at, const UsageLimits *limits) {
        int r;

        for (unsigned i = 0; (r = store_fold_usage(s, at, limits)) > 0; i++)
                assert_true(i < 100000);
        assert_int_equal(r, 0);
}

static int add_up(void *userdata, const ReportRow *row) {
        uint64_t *sums = userdata;

        for (UsageValue v = 0; v < _USAGE_MAX; v++)
                sums[v] += row->values[v];
        return 0;
}

/* However it is grouped, and for each half of the time together, all is in it once. */
static void check_reports(Store *s, usec_t middle) {
        JobFilter all = JOB_FILTER_INIT, before = JOB_FILTER_INIT, after = JOB_FILTER_INIT;
        uint64_t total[_USAGE_MAX] = {};

        before.until_usec = after.since_usec = usec_sub(middle, middle % DAY);
        assert_int_equal(history_report(s, &all, 0, 1, add_up, total), 0);
        assert_int_equal(total[USAGE_SUBMITTED], number(s, "SELECT count(*) FROM job"));
        for (unsigned groups = 0; groups < 1U << _REPORT_GROUP_MAX; groups++) {
                uint64_t sums[_USAGE_MAX] = {}, halves[_USAGE_MAX] = {};

                assert_int_equal(history_report(s, &all, groups, 100000, add_up, sums), 0);
                assert_memory_equal(sums, total, sizeof(total));
                assert_int_equal(history_report(s, &before, groups, 100000, add_up, halves), 0);
                assert_int_equal(history_report(s, &after, groups, 100000, add_up, halves), 0);
                assert_memory_equal(halves, total, sizeof(total));
        }
}

/* What is known of the number of rows is true. */
static void check_rows(Store *s) {
        assert_true(s->usage.known);
        assert_int_equal(s->usage.n[USAGE_MINUTES], number(s, "SELECT count(*) FROM usage WHERE span = 'minute'"));
        assert_int_equal(s->usage.n[USAGE_HOURS], number(s, "SELECT count(*) FROM usage WHERE span = 'hour'"));
        assert_int_equal(s->usage.n[USAGE_DAYS], number(s, "SELECT count(*) FROM usage WHERE span = 'day'"));
}

static void test_random(void **state) {
        const UsageLimits few = { .keep = { 2 * HOUR, 3 * DAY, USEC_INFINITY }, .rows_max = 20 },
                          usual = { .keep = { HOUR, 2 * DAY, USEC_INFINITY }, .rows_max = 10000 };
        _cleanup_(store_closep) Store *s = open_memory();
        _cleanup_model_ Model *m = model_new();
        Now at = { .realtime = T0, .monotonic = 5 * USEC_PER_SEC, .even = T0, .steady = T0 };

        set_zone("UTC0");
        srand(7);
        waited = 0;
        for (unsigned i = 0; i < 600; i++) {
                for (unsigned n = rand() % 4; n > 0; n--)
                        do_submit(m, &at);
                record(s, m);
                for (unsigned n = rand() % 4; n > 0; n--)
                        do_run(s, m, &at);
                if (rand() % 3 == 0) {
                        Job *j = any_job(s, m, "ready");

                        if (j)
                                assert_int_equal(model_cancel(m, j, NULL, &at), 0);
                        record(s, m);
                }
                at.realtime = at.even = at.steady = at.realtime + rand() % (60 * MINUTE);
                if (i == 300) {
                        assert_int_equal(store_fold_usage(s, T0, &usual), 0);
                        assert_true(s->usage.n[USAGE_MINUTES] > 0);
                }
        }
        check_rows(s);
        check(s);
        check_times(s);
        check_reports(s, T0 + 4 * DAY);

        fold_all(s, at.realtime, &usual);
        check_rows(s);
        check(s);
        assert_true(number(s, "SELECT min(begin_usec) FROM usage WHERE span = 'minute'") >= (int64_t) usage_begin(USAGE_HOURS, at.realtime - HOUR));
        assert_true(number(s, "SELECT count(*) FROM usage WHERE span = 'hour'") > 10);
        assert_true(number(s, "SELECT count(*) FROM usage WHERE span = 'day'") > 10);
        assert_int_equal(number(s, "SELECT count(*) FROM usage WHERE span = 'day' AND begin_usec % 86400000000"), 0);
        check_reports(s, T0 + 4 * DAY);

        assert_true(number(s, "SELECT count(*) FROM usage WHERE span = 'day'") > 20);
        fold_all(s, at.realtime, &few); /* too many: the oldest days are gone */
        check_rows(s);
        assert_int_equal(number(s, "SELECT count(*) <= 20 FROM usage WHERE span = 'day'"), 1);
        assert_int_equal(number(s, "SELECT count(*) <= 20 FROM usage WHERE span = 'hour'"), 1);
}

/* What was purged stays counted; what is done once more counts once more. */
static void test_outlives(void **state) {
        _cleanup_(store_closep) Store *s = open_memory();
        _cleanup_model_ Model *m = model_new();
        Job *j;

        (void) submit(m, add_queue(m, "a"), make_spec("true"));
        record(s, m);
        for (unsigned i = 0; i < 2; i++) {
                j = fetch(s, m, 1);
                if (i > 0)
                        assert_int_equal(model_retry(m, j, 1, 0, &now), 0);
                assert_int_equal(model_cancel(m, j, NULL, &now), 0);
                record(s, m);
        }
        assert_int_equal(model_purge(m, fetch(s, m, 1)), 0);
        record(s, m);
        assert_int_equal(number(s, "SELECT count(*) FROM job"), 0);
        assert_int_equal(number(s, "SELECT submitted * 100 + jobs * 10 + cancelled FROM usage"), 122);
}

/* Sums do not run over, and a commit does not fail for one that would. */
static void test_limits(void **state) {
        _cleanup_(store_closep) Store *s = open_memory();
        _cleanup_model_ Model *m = model_new();
        const UsageLimits none = { .keep = { 0, 0, USEC_INFINITY }, .rows_max = 1000 };
        uint64_t sums[_USAGE_MAX] = {};
        JobFilter all = JOB_FILTER_INIT;

        (void) submit(m, add_queue(m, "a"), make_spec("true"));
        record(s, m);
        assert_int_equal(store_exec(s, "UPDATE usage SET submitted = 9223372036854775807"), 0);
        assert_int_equal(store_exec(s, "INSERT INTO usage SELECT span, begin_usec, 'b', type, owner, " USAGE_VALUES " FROM usage"), 0);
        (void) submit(m, add_queue(m, "a"), make_spec("true"));
        record(s, m);
        fold_all(s, now.realtime + 10 * DAY, &none);
        assert_int_equal(number(s, "SELECT min(submitted) FROM usage WHERE span = 'day'"), INT64_MAX);
        assert_int_equal(history_report(s, &all, 0, 1, add_up, sums), 0);
        assert_int_equal(sums[USAGE_SUBMITTED], INT64_MAX);
        assert_int_equal(history_report(s, &all, 1U << REPORT_QUEUE, 1, add_up, sums), -E2BIG);
}

static int count_step(void *userdata) {
        (*(uint64_t *) userdata)++;
        return 0;
}

/* What a look at accounts of which nothing is to be folded takes, in steps of SQLite. */
static uint64_t steps_of_look(unsigned rows) {
        const UsageLimits all = { .keep = { DAY, DAY, USEC_INFINITY }, .rows_max = UINT64_MAX };
        _cleanup_(store_closep) Store *s = open_memory();
        _cleanup_model_ Model *m = model_new();
        char sql[512];
        uint64_t n = 0;

        (void) submit(m, add_queue(m, "a"), make_spec("true"));
        record(s, m);
        (void) snprintf(sql, sizeof(sql),
                        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %u)"
                        " INSERT INTO usage SELECT span, begin_usec, 'b', type, i, " USAGE_VALUES " FROM usage, n",
                        rows);
        assert_int_equal(store_exec(s, sql), 0);
        assert_int_equal(store_fold_usage(s, now.realtime, &all), 0);
        sqlite3_progress_handler(s->db, 1, count_step, &n);
        assert_int_equal(store_fold_usage(s, now.realtime, &all), 0);
        sqlite3_progress_handler(s->db, 0, NULL, NULL);
        assert_int_equal(s->usage.n[USAGE_MINUTES], rows + 1);
        return n;
}

static void test_look(void **state) {
        uint64_t few = steps_of_look(100);

        assert_true(few > 0);
        assert_true(steps_of_look(10000) <= 2 * few);
}

/* A commit that fails has counted nothing. */
static void test_failed_commit(void **state) {
        const UsageLimits all = { .keep = { DAY, DAY, USEC_INFINITY }, .rows_max = UINT64_MAX };
        _cleanup_(store_closep) Store *s = open_memory();
        _cleanup_model_ Model *m = model_new();

        (void) submit(m, add_queue(m, "a"), make_spec("true"));
        record(s, m);
        assert_int_equal(store_fold_usage(s, now.realtime, &all), 0);
        (void) submit(m, add_queue(m, "b"), make_spec("true"));
        assert_int_equal(store_exec(s, "CREATE TRIGGER t BEFORE INSERT ON usage WHEN new.queue = 'b' BEGIN SELECT raise(ABORT, 'no'); END"), 0);
        assert_true(store_record(s, m) < 0);
        assert_int_equal(store_exec(s, "DROP TRIGGER t"), 0);
        record(s, m);
        assert_int_equal(store_fold_usage(s, now.realtime, &all), 0);
        check_rows(s);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_begin),
                cmocka_unit_test(test_random),
                cmocka_unit_test(test_outlives),
                cmocka_unit_test(test_limits),
                cmocka_unit_test(test_look),
                cmocka_unit_test(test_failed_commit),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
