/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Workers in the model: who is given what, what takes their slots and gives them back, and what becomes of jobs whose worker goes. */

#include "model-util.h"
#include "queue/callback.h"
#include "queue/spec-change.h"

#include <unistd.h>

static Worker *make_worker(Model *m, uint32_t uid, uint32_t slots, const char *queue) {
        Worker *w = worker_new();

        assert_non_null(w);
        w->token = SD_ID128_MAKE(11, 22, 33, 44, 55, 66, 77, 88, 99, aa, bb, cc, dd, ee, ff, 00);
        w->token.qwords[0] += m->next_worker;
        w->uid = uid;
        w->slots = slots;
        assert_int_equal(strv_extend(&w->queues, queue), 0);
        assert_int_equal(model_worker_add(m, w, false), 0);
        w->is_new = false; /* it was told */
        model_worker_connected(m, w, true);
        return w;
}

static Queue *make_worker_queue(Model *m, const char *name) {
        Queue *q = make_queue(m, name, UINT32_MAX);

        q->policy.executor = EXECUTOR_WORKER;
        q->policy.fair = q->ranked_fair = true;
        schedule_begin(m); /* what comes from now on is known to be all */
        return q;
}

static Job *submit_as(Model *m, Queue *q, uint32_t owner, uint32_t slots) {
        char *error = NULL;
        Job *j = NULL;

        assert_int_equal(model_submit(m, q, make_spec(slots, 0), owner, "somebody", &now, &j, &error), 0);
        return j;
}

/* As daemon/settle.c does. */
static unsigned starts(Model *m) {
        unsigned n = 0;
        Candidate c;
        Queue *q;

        schedule_begin(m);
        for (;;) {
                while (schedule_next_lacking(m, &c, &q))
                        if (q->policy.executor == EXECUTOR_WORKER && !worker_is_there(m, q, c.owner, c.slots))
                                schedule_skip_owner(q, c.owner);
                if (!schedule_next(m, &c, &q))
                        return n;
                if (job_has_worker(m, q, c.id) && !worker_choose(m, q, c.owner, c.slots)) {
                        schedule_skip_owner(q, c.owner);
                        continue;
                }
                (void) run(m, model_job(m, c.id));
                n++;
        }
}

static void expect_reason(Model *m, const Job *j, const char *text) {
        _cleanup_free_ char *s = schedule_reason(m, j, j->queue, &now);

        assert_string_equal(s, text);
}

static void let_go(Model *m) {
        Attempt *a, *t;

        HASH_ITER(hh, m->attempts, a, t)
                if (a->phase == ATTEMPT_ENDED)
                        model_attempt_gone(m, a);
}

static void test_slots(void **state) {
        _cleanup_model_ Model *m = make_model();
        Queue *q = make_worker_queue(m, "w");
        Job *j[4];
        Worker *w;

        for (unsigned i = 0; i < 4; i++)
                j[i] = submit_as(m, q, 1000, 1);
        assert_int_equal(starts(m), 0);
        expect_reason(m, j[0], "no worker serves queue w");

        w = make_worker(m, 1000, 3, "w");
        w->is_new = true; /* it was not told its token yet */
        model_worker_connected(m, w, true);
        assert_int_equal(starts(m), 0);
        workers_recorded(m);
        assert_int_equal(starts(m), 3);
        assert_int_equal(w->slots_used, 3);
        assert_int_equal(w->n_attempts, 3);
        assert_int_equal(m->n_starting, 0);
        expect_reason(m, j[3], "workers are busy: 3 of 3");
        assert_int_equal(j[0]->live->worker_id, w->id);

        end(m, j[1]->live, JOB_SUCCESS);
        assert_int_equal(w->slots_used, 3); /* until that is recorded */
        let_go(m);
        assert_int_equal(w->slots_used, 2);
        assert_int_equal(starts(m), 1);
        assert_int_equal(w->slots_used, 3);
}

/* The best one lacks room: no other of this user overtakes it, but other users do. */
static void test_room(void **state) {
        _cleanup_model_ Model *m = make_model();
        Queue *q = make_worker_queue(m, "w");
        Worker *mine = make_worker(m, 1000, 2, "w"), *other = make_worker(m, 1001, 1, "w");
        Job *one, *two, *three, *four, *five;

        one = submit_as(m, q, 1000, 1);
        assert_int_equal(starts(m), 1);
        two = submit_as(m, q, 1000, 2);
        three = submit_as(m, q, 1000, 1);
        four = submit_as(m, q, 1001, 1);
        five = submit_as(m, q, 1001, 2);
        assert_int_equal(starts(m), 1);
        assert_ptr_equal(one->live->worker, mine);
        assert_ptr_equal(four->live->worker, other);
        expect_reason(m, two, "needs 2, workers are busy: 1 of 2");
        expect_reason(m, three, "job 2 is before it: needs 2, workers are busy: 1 of 2");
        expect_reason(m, five, "needs 2, no worker has more than 1");
}

/* The first one lacks slots of its queue, or of one above, too: that holds up the others only if somebody is there who could have it then. */
static void test_lacking(void **state) {
        _cleanup_model_ Model *m = make_model();
        Queue *top = make_queue(m, "w", 4), *q = make_worker_queue(m, "w-x");
        Worker *mine = make_worker(m, 1000, 9, "w-x"), *other;
        Job *wide, *narrow, *last;

        (void) submit_as(m, q, 1000, 3);
        assert_int_equal(starts(m), 1);
        wide = submit_as(m, q, 1001, 2);
        narrow = submit_as(m, q, 1001, 1);
        (void) submit_as(m, q, 1000, 1);
        assert_int_equal(starts(m), 1);
        assert_int_equal(top->slots_used, 4);
        expect_reason(m, wide, "needs 2, cap of w: 4 of 4");

        top->policy.slots = 5;
        queue_touch(top);
        last = submit_as(m, q, 1000, 1);
        (void) make_worker(m, 1001, 1, "w-x"); /* who has too few slots for it */
        other = make_worker(m, 1001, 2, "w-x");
        assert_int_equal(starts(m), 0);
        expect_reason(m, last, "an earlier job needs the room in w: 4 of 5");
        model_worker_drain(m, other);
        assert_int_equal(starts(m), 1);
        assert_ptr_equal(last->live->worker, mine);
        expect_reason(m, wide, "needs 2, cap of w: 5 of 5");
        top->policy.slots = 6;
        queue_touch(top);
        assert_int_equal(starts(m), 0);
        expect_reason(m, wide, "needs 2, cap of w: 5 of 6");
        expect_reason(m, narrow, "job 2 is before it: needs 2, no worker has more than 1");
        model_worker_gone(m, mine, &now);
}

static void test_choice(void **state) {
        _cleanup_model_ Model *m = make_model();
        Queue *q = make_worker_queue(m, "w"), *other = make_worker_queue(m, "v");
        Worker *a = make_worker(m, 1000, 2, "w"), *b = make_worker(m, 1000, 3, "w");

        (void) make_worker(m, 1000, 9, "v");
        assert_true(a->id < b->id);
        assert_ptr_equal(worker_choose(m, q, 1000, 1), b); /* most room */
        (void) submit_as(m, q, 1000, 1);
        assert_int_equal(starts(m), 1);
        assert_int_equal(b->slots_used, 1);
        assert_ptr_equal(worker_choose(m, q, 1000, 1), a); /* then the oldest */
        assert_null(worker_choose(m, q, 1001, 1));         /* its own user's only */
        assert_null(worker_choose(m, q, 1000, 4));
        model_worker_drain(m, a);
        assert_ptr_equal(worker_choose(m, q, 1000, 1), b);
        model_worker_connected(m, b, false);
        assert_null(worker_choose(m, q, 1000, 1));
        assert_non_null(worker_choose(m, other, 1000, 9));
}

static void test_trust(void **state) {
        _cleanup_model_ Model *m = make_model();
        Queue *q = make_worker_queue(m, "w");
        Worker *w = make_worker(m, 2000, 1, "w");

        w->user = strdup("service");
        w->unit = strdup("service.service");
        assert_false(worker_serves(w, q, 1000));
        assert_int_equal(strv_extend(&q->policy.worker_users, "service"), 0);
        assert_true(worker_serves(w, q, 1000));
        q->policy.worker_users = strv_free(q->policy.worker_users);
        assert_int_equal(strv_extend(&q->policy.worker_users, "2000"), 0);
        assert_true(worker_serves(w, q, 1000));
        q->policy.worker_users = strv_free(q->policy.worker_users);
        q->policy.worker_unit = strdup("service.service");
        assert_true(worker_serves(w, q, 1000));
        (void) free_and_strdup(&w->unit, "other.service");
        assert_false(worker_serves(w, q, 1000));
        assert_true(worker_serves(w, q, 2000));
}

/* jobmill's own jobs are in the name of their owner, who has not their worker for it: not before he is trusted, nor when he is not any more. */
static void test_own_queue(void **state) {
        _cleanup_model_ Model *m = make_model();
        Queue *q = make_worker_queue(m, CALLBACK_QUEUE);
        Worker *w = make_worker(m, 2000, 1, CALLBACK_QUEUE), *own = make_worker(m, geteuid(), 1, CALLBACK_QUEUE);

        assert_false(worker_serves(w, q, 2000));
        assert_true(worker_serves(own, q, geteuid()));
        assert_int_equal(strv_extend(&q->policy.worker_users, "2000"), 0);
        assert_int_equal(workers_configure(m), 0);
        assert_ptr_equal(worker_choose(m, q, 2000, 1), w);
        q->policy.worker_users = strv_free(q->policy.worker_users);
        assert_int_equal(workers_configure(m), 0);
        assert_null(worker_choose(m, q, 2000, 1));
}

static void test_gone(void **state) {
        _cleanup_model_ Model *m = make_model();
        Queue *q = make_worker_queue(m, "w");
        Worker *w = make_worker(m, 1000, 4, "w");
        Job *running, *stopping, *again;
        JobSpec *spec = make_spec(1, 0);
        Worker *other = make_worker(m, 1000, 1, "none");
        uint64_t id = w->id;

        running = submit_as(m, q, 1000, 1);
        stopping = submit_as(m, q, 1000, 1);
        spec->max_attempts = 2;
        again = submit_spec(m, q, spec);
        assert_int_equal(starts(m), 3);
        model_recorded(m);
        assert_int_equal(model_cancel(m, stopping, NULL, &now), 0);

        assert_ptr_equal(model_worker_by_token(m, w->token), w);
        w->cgroup = strdup("/a.service");
        model_worker_gone(m, w, &now);
        assert_true(model_is_cleaning_up(m, again));
        assert_string_equal(model_last_attempt(m, again)->left_in, "/a.service");
        assert_null(model_worker_by_token(m, w->token));
        model_judge(m, running, running->spec, &now);
        model_judge(m, again, again->spec, &now);
        assert_int_equal(running->result, JOB_LOST);
        assert_string_equal(running->reason, "its worker is gone");
        assert_int_equal(stopping->result, JOB_CANCELLED);
        assert_int_equal(again->state, JOB_WAITING);
        assert_int_equal(w->slots_used, 0);
        assert_int_equal(q->slots_used, 3);
        assert_true(model_has_changes(m));
        assert_ptr_equal(model_worker(m, id), w);
        let_go(m);
        assert_int_equal(q->slots_used, 0);
        assert_non_null(model_worker_by_token(m, other->token));
        model_recorded(m);
        assert_null(model_worker(m, id));
        assert_true(make_worker(m, 1000, 1, "w")->id > id);
}

static void test_complete(void **state) {
        _cleanup_model_ Model *m = make_model();
        Queue *q = make_worker_queue(m, "w");
        Worker *w = make_worker(m, 1000, 1, "w"), *other = make_worker(m, 1000, 1, "none");
        Outcome o = OUTCOME_INIT;
        Job *j = submit_as(m, q, 1000, 1);

        (void) submit_as(m, q, 1000, 1);
        assert_int_equal(starts(m), 1);
        o.result = JOB_SUCCESS;
        o.exit_status = 0;
        assert_int_equal(model_worker_complete(m, other, j->id, 1, &o, &now), -ENOENT);
        assert_int_equal(model_worker_complete(m, w, j->id, 2, &o, &now), -ENOENT);
        assert_int_equal(model_worker_complete(m, w, j->id + 1, 1, &o, &now), -ENOENT);
        assert_int_equal(j->state, JOB_RUNNING);
        now.monotonic += 5 * SEC;
        assert_int_equal(model_worker_complete(m, w, j->id, 1, &o, &now), 0);
        assert_int_equal(j->result, JOB_SUCCESS);
        assert_int_equal(model_last_attempt(m, j)->outcome.runtime_usec, 5 * SEC);
        assert_int_equal(model_worker_complete(m, w, j->id, 1, &o, &now), -ENOENT); /* twice */
        assert_int_equal(starts(m), 1); /* in the same turn, and the same commit */
        assert_int_equal(w->slots_used, 1);
}

/* It waits again at once, and may be tried as often as before. */
static void test_return(void **state) {
        _cleanup_model_ Model *m = make_model();
        Queue *q = make_worker_queue(m, "w");
        Worker *w = make_worker(m, 1000, 1, "w");
        Job *j = submit_as(m, q, 1000, 1);

        assert_int_equal(starts(m), 1);
        assert_int_equal(model_worker_return(m, w, j->id, 2, "ending", &now), -ENOENT);
        assert_int_equal(model_worker_return(m, w, j->id, 1, "ending", &now), 0);
        assert_int_equal(w->slots_used, 0);
        assert_int_equal(w->n_attempts, 0);
        assert_int_equal(j->state, JOB_READY);
        assert_int_equal(j->max_attempts, 2);
        assert_int_equal(model_worker_return(m, w, j->id, 1, "ending", &now), -ENOENT);
        let_go(m);
        assert_int_equal(starts(m), 1);
        assert_int_equal(j->attempt, 2);
        /* One that was to end has ended. */
        assert_int_equal(model_cancel(m, j, NULL, &now), 0);
        assert_int_equal(model_worker_return(m, w, j->id, 2, "ending", &now), 0);
        assert_int_equal(j->result, JOB_CANCELLED);
        assert_int_equal(w->slots_used, 0);
}

/* What it is to be told goes onto the list of workers, and again when it is back. */
static void test_act(void **state) {
        _cleanup_model_ Model *m = make_model();
        Queue *q = make_worker_queue(m, "w");
        Worker *w = make_worker(m, 1000, 1, "w");
        Job *j = submit_as(m, q, 1000, 1);
        Attempt *a;

        assert_int_equal(starts(m), 1);
        a = j->live;
        assert_true(TAILQ_EMPTY(&m->act));
        assert_ptr_equal(TAILQ_FIRST(&m->act_workers), a);
        TAILQ_REMOVE(&m->act_workers, a, act_entry);
        a->acting = false;
        a->asked = true;
        model_worker_connected(m, w, false);
        assert_true(TAILQ_EMPTY(&m->act_workers));
        assert_false(a->asked);
        model_worker_connected(m, w, true);
        assert_ptr_equal(TAILQ_FIRST(&m->act_workers), a);
        assert_int_equal(model_kill(m, j, 15), -EOPNOTSUPP);
}

/* No unit ends it in any case: its time-outs may become longer. */
static void test_timeouts(void **state) {
        _cleanup_model_ Model *m = make_model();
        Queue *q = make_worker_queue(m, "w");
        JobSpec *spec = make_spec(1, 0), *longer = make_spec(1, 0);
        char *error = NULL;
        Job *j;

        spec->timeout_usec = 10 * SEC;
        longer->timeout_usec = 20 * SEC;
        (void) make_worker(m, 1000, 1, "w");
        j = submit_spec(m, q, spec);
        assert_int_equal(starts(m), 1);
        assert_int_equal(model_update(m, j, NULL, longer, spec_field_bit(spec_field_find("timeout_usec")), &now, &error), 0);
        assert_int_equal(j->live->deadline, now.monotonic + 20 * SEC);
}

/* A queue that is given to workers while a job in the foreground waits there. */
static void test_foreground(void **state) {
        _cleanup_model_ Model *m = make_model();
        Queue *q = make_worker_queue(m, "w");
        Job *j = submit_as(m, q, 1000, 1);
        Run *r = new0(Run, 1);

        r->job = j->id;
        r->pidfd = -EBADF;
        j->foreground = true;
        r->connected = true;
        model_run_add(m, r, false);
        expect_reason(m, j, "its turn is next");

        /* All queues are looked at only for one that waited there until now. */
        model_run_connected(m, r, false);
        assert_true(m->schedule.missed);
        schedule_begin(m);
        model_run_connected(m, r, false);
        model_run_connected(m, r, true);
        assert_false(m->schedule.missed);

        assert_int_equal(starts(m), 1);
        assert_true(j->live->executor == EXECUTOR_SCOPE && !j->live->worker);
        model_run_connected(m, r, false);
        assert_false(m->schedule.missed);
}

/* What is lost because the system goes down says nothing against the job. */
static void test_shutdown(void **state) {
        for (int stops = 0; stops < 2; stops++) {
                _cleanup_model_ Model *m = make_model();
                Queue *q = make_worker_queue(m, "w");
                Worker *w = make_worker(m, 1000, 1, "w");
                Job *j = submit_as(m, q, 1000, 1);

                (void) run(m, j);
                m->shutting_down = stops;
                model_worker_gone(m, w, &now);
                assert_int_equal(j->poison, !stops);
                model_judge(m, j, j->spec, &now);
        }
}

/* Given back, or never told, when its time was over: it has as many attempts as any other. */
static void test_return_late(void **state) {
        _cleanup_model_ Model *m = make_model();
        Queue *q = make_worker_queue(m, "w");
        JobSpec *spec = make_spec(1, 0);
        Worker *w = make_worker(m, 1000, 1, "w");
        Job *j;

        spec->timeout_usec = SEC;
        spec->max_attempts = 2;
        j = submit_spec(m, q, spec);
        assert_int_equal(starts(m), 1);
        now.monotonic += 2 * SEC;
        model_deadlines(m, &now);
        assert_int_equal(j->intent, JOB_TIMEOUT);
        assert_int_equal(model_worker_return(m, w, j->id, 1, "it was ending", &now), 0);
        model_judge(m, j, spec, &now);
        assert_int_equal(j->state, JOB_WAITING);
}

/* Another attempt does not wait for what has said that it is over: of a runner, too. */
static void test_again(void **state) {
        _cleanup_model_ Model *m = make_model();
        Queue *q = make_worker_queue(m, "w");
        JobSpec *spec = make_spec(1, 0);
        Outcome o = OUTCOME_INIT;
        Worker *w = make_worker(m, 1000, 1, "w");
        Job *j;

        q->policy.executor = EXECUTOR_POOL;
        assert_non_null(w->unit = strdup("jobmill-pool-w-1000.service"));
        spec->max_attempts = 2;
        spec->backoff_base_usec = 0;
        j = submit_spec(m, q, spec);
        (void) run(m, j);
        o.result = JOB_EXIT_CODE;
        assert_int_equal(model_worker_complete(m, w, j->id, 1, &o, &now), 0);
        model_judge(m, j, spec, &now);
        assert_int_equal(j->state, JOB_READY);
}

/* Somebody of that unit is there: not another worker, and not while the last asking is new. */
static void test_server(void **state) {
        _cleanup_model_ Model *m = make_model();
        Queue *q = make_worker_queue(m, "w");
        Now then = now;
        Server *s;
        Worker *w;
        Job *j;

        server_want(m, q, 1000, NULL, &then);
        assert_null(m->servers);
        q->policy.worker_unit = strdup("x.service");
        j = submit_as(m, q, 1000, 1);
        server_want(m, q, 1000, NULL, &then);
        s = m->servers;
        assert_true(s->wanted);
        expect_reason(m, j, "x.service is being started");

        server_take(m, s);
        s->asking = true;
        server_want(m, q, 1000, NULL, &then);
        assert_false(s->wanted);
        server_asked(m, s, "no such thing");
        expect_reason(m, j, "x.service cannot be started, trying again: no such thing");
        m->next_admission = USEC_INFINITY;
        server_want(m, q, 1000, NULL, &then);
        assert_false(s->wanted);
        assert_int_equal(m->next_admission, then.steady + SERVER_AGAIN_MIN);
        then.steady += SERVER_AGAIN_MIN;
        server_want(m, q, 1000, NULL, &then);
        assert_true(s->wanted);
        server_take(m, s);
        then.steady -= 1000 * USEC_PER_SEC; /* the clock is set */
        server_want(m, q, 1000, NULL, &then);
        assert_true(s->wanted);
        server_take(m, s);
        then.steady += SERVER_AGAIN_MAX;

        w = make_worker(m, 0, 1, "w"); /* of no unit, and not for this user */
        server_want(m, q, 1000, NULL, &then);
        assert_true(s->wanted);
        w->unit = strdup("x.service");
        assert_int_equal(workers_configure(m), 0);
        then.steady += SERVER_AGAIN_MAX;
        server_take(m, s);
        server_want(m, q, 1000, NULL, &then);
        assert_false(s->wanted);
        server_came(m, "x.service");
        assert_null(m->servers);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_slots), cmocka_unit_test(test_server), cmocka_unit_test(test_room),     cmocka_unit_test(test_lacking), cmocka_unit_test(test_timeouts), cmocka_unit_test(test_foreground), cmocka_unit_test(test_again), cmocka_unit_test(test_return_late), cmocka_unit_test(test_shutdown), cmocka_unit_test(test_choice), cmocka_unit_test(test_trust), cmocka_unit_test(test_own_queue),
                cmocka_unit_test(test_gone),  cmocka_unit_test(test_complete), cmocka_unit_test(test_return), cmocka_unit_test(test_act),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
