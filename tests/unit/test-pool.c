/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Pools in the model: when a runner is asked for, whose jobs it is given, and what it cannot give them. */

#include "model-util.h"
#include "queue/pool.h"

static Queue *make_pool(Model *m, const char *name) {
        Queue *q = make_queue(m, name, 2);

        q->policy.executor = EXECUTOR_POOL;
        q->policy.fair = q->ranked_fair = true;
        schedule_begin(m);
        return q;
}

static Worker *make_runner(Model *m, uint32_t uid, const char *unit, const char *queue) {
        Worker *w = worker_new();

        assert_non_null(w);
        w->uid = uid;
        w->slots = 65536;
        w->unit = strdup(unit);
        assert_int_equal(strv_extend(&w->queues, queue), 0);
        assert_int_equal(model_worker_add(m, w, false), 0);
        w->is_new = false; /* it was told */
        model_worker_connected(m, w, true);
        return w;
}

static void expect_reason(const Model *m, const Queue *q, const char *text) {
        _cleanup_free_ char *s = NULL;

        assert_int_equal(worker_reason(m, q, 1000, 1, &s) > 0, text != NULL);
        if (text)
                assert_string_equal(s, text);
}

static void test_wanted(void **state) {
        _cleanup_model_ Model *m = make_model();
        Queue *q = make_pool(m, "p-q");
        Now then = now;
        Server *s;

        then.steady = 1000 * SEC;
        server_want(m, q, 1000, "alice", &then);
        s = server_find(m, "jobmill-pool-p-q-1000.service");
        assert_true(s && s->wanted && s->owner == 1000);
        assert_string_equal(s->queue, "p-q");
        assert_string_equal(s->owner_name, "alice");
        expect_reason(m, q, "its runner is being started");

        /* The one before it has not quite gone. */
        server_take(m, s);
        m->next_admission = USEC_INFINITY;
        server_is_in_the_way(m, s, &then);
        assert_int_equal(m->next_admission, then.steady + SERVER_AGAIN_MIN / 4);
        then.steady = s->again;

        /* It was asked for, and nobody came; each time twice as long. */
        for (usec_t wait = 2 * SERVER_AGAIN_MIN; wait <= SERVER_QUIET; wait *= 2) {
                expect_reason(m, q, "its runner is being started");
                server_want(m, q, 1000, "alice", &then);
                assert_true(s->wanted);
                server_take(m, s);
                then.steady += wait - 1;
                server_want(m, q, 1000, "alice", &then);
                assert_false(s->wanted);
                assert_int_equal(m->next_admission = s->again, ++then.steady);
        }
        expect_reason(m, q, "its runner was started and is not heard of, trying again: journalctl -u jobmill-pool-p-q-1000.service");

        make_runner(m, 1000, "jobmill-pool-p-q-1000.service", "p-q");
        server_came(m, m->workers->unit); /* it is recorded */
        assert_null(m->servers);
        expect_reason(m, q, NULL);
        /* One that is there is not asked for, also not when it is full, away or about to end. */
        model_worker_drain(m, m->workers);
        model_worker_connected(m, m->workers, false);
        server_want(m, q, 1000, "alice", &then);
        assert_null(m->servers);
        model_worker_gone(m, m->workers, &then);
        server_want(m, q, 1000, "alice", &then);
        assert_non_null(m->servers);
}

/* Why it was not started shows, and one that nobody wants any more is forgotten. */
static void test_refused(void **state) {
        _cleanup_model_ Model *m = make_model();
        Queue *q = make_pool(m, "p"), *other = make_pool(m, "o");
        Now then = now;
        Server *s;

        server_want(m, q, 1000, "alice", &then);
        s = server_find(m, "jobmill-pool-p-1000.service");
        server_take(m, s);
        schedule_begin(m);
        while (TAILQ_FIRST(&m->schedule.touched)) {
                TAILQ_FIRST(&m->schedule.touched)->touched = false;
                TAILQ_REMOVE(&m->schedule.touched, TAILQ_FIRST(&m->schedule.touched), touched_entry);
        }
        server_asked(m, s, "no room");
        assert_true(q->touched && !other->touched);
        expect_reason(m, q, "its runner cannot be started, trying again: no room");

        then.steady = s->again + SERVER_AGAIN_MAX;
        servers_forget(m, &then);
        assert_non_null(m->servers);
        then.steady++;
        servers_forget(m, &then);
        assert_null(m->servers);
}

/* Its own user's, of its own queue, by its unit; and nobody else has them. */
static void test_serves(void **state) {
        _cleanup_model_ Model *m = make_model();
        Queue *q = make_pool(m, "p"), *other = make_pool(m, "o"), *w = make_queue(m, "w", 2);
        Worker *runner = make_runner(m, 1000, "jobmill-pool-p-1000.service", "p"), *fake = make_runner(m, 1001, "jobmill-pool-p-1000.service", "p"),
               *stray = make_runner(m, 1000, "session-1.scope", "p");

        w->policy.executor = EXECUTOR_WORKER;
        assert_true(worker_serves(runner, q, 1000));
        assert_false(worker_serves(runner, q, 1001));
        assert_false(worker_serves(fake, q, 1000) || worker_serves(fake, q, 1001));
        assert_false(worker_serves(stray, q, 1000));
        assert_int_equal(strv_extend(&runner->queues, "o"), 0);
        assert_int_equal(strv_extend(&runner->queues, "w"), 0);
        assert_false(worker_serves(runner, other, 1000) || worker_serves(runner, w, 1000));
        assert_int_equal(strv_extend(&q->policy.worker_users, "1001"), 0);
        assert_false(worker_serves(fake, q, 1000));
}

/* What it says has ended has: the next one may have the slot in the same commit. */
static void test_slots(void **state) {
        _cleanup_model_ Model *m = make_model();
        Queue *q = make_pool(m, "p");
        Job *a = submit(m, q, 2, 0), *b = submit(m, q, 2, 0);
        Outcome o = OUTCOME_INIT;
        Worker *runner;

        assert_int_equal(model_start(m, a, token, &now), -EAGAIN);
        runner = make_runner(m, 1000, "jobmill-pool-p-1000.service", "p");
        (void) run(m, a);
        assert_int_equal(a->live->executor, EXECUTOR_POOL);
        assert_false(queue_has_room(q, 2));
        o.result = JOB_SUCCESS;
        assert_int_equal(model_worker_complete(m, runner, a->id, 1, &o, &now), 0);
        assert_true(queue_has_room(q, 2));
        assert_int_equal(runner->slots_used, 0);
        (void) run(m, b);
        assert_int_equal(q->slots_used, 2);
        assert_int_equal(a->state, JOB_DONE);

        /* What dies with its runner has its slots until nothing of it is left. */
        model_worker_gone(m, runner, &now);
        assert_int_equal(model_last_attempt(m, b)->outcome.result, JOB_LOST);
        assert_int_equal(q->slots_used, 2);
        model_attempt_gone(m, model_last_attempt(m, b));
        assert_int_equal(q->slots_used, 0);
}

static int check(const char *assignment) {
        _cleanup_(unit_property_list_done) UnitPropertyList l = {};
        _cleanup_free_ char *text = NULL;
        int r;

        assert_int_equal(unit_property_parse_assignment(assignment, true, UNIT_PROPERTY_SERVICE, &l, NULL), 0);
        r = pool_check_properties(&l, &text);
        if (r < 0)
                assert_memory_equal(text, assignment, strcspn(assignment, "=") + 1);
        return r;
}

static void test_properties(void **state) {
        static const char *const given[] = { "LimitNOFILE=1:2", "Nice=3", "MemoryMax=10%", "TasksMax=5", "CPUWeight=idle", "CPUQuota=50%", "KillSignal=INT",
                                             "NoNewPrivileges=yes", "UMask=077", "IOWeight=5", "OOMScoreAdjust=5" };
        static const char *const refused[] = { "PrivateTmp=yes", "User=alice", "AllowedCPUs=0", "IOReadBandwidthMax=/dev/sda 1M", "WatchdogSec=5", "ProtectSystem=yes" };

        FOREACH_ELEMENT(i, given)
                assert_int_equal(check(*i), 0);
        FOREACH_ELEMENT(i, refused)
                assert_int_equal(check(*i), -EPERM);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_wanted),
                cmocka_unit_test(test_refused),
                cmocka_unit_test(test_serves),
                cmocka_unit_test(test_slots),
                cmocka_unit_test(test_properties),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
