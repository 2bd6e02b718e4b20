/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The life of an attempt: from its start to its unit's end, through cancel, time-out, adoption and withdrawal, with a fake
 * clock. */

#include "model-util.h"
#include "queue/spec-change.h"

static JobSpec *spec_timed(usec_t timeout, usec_t stop) {
        JobSpec *spec = make_spec(1, 0);

        spec->timeout_usec = timeout;
        spec->stop_timeout_usec = stop;
        return spec;
}

/* ---- an attempt ---- */

static void test_success(void **state) {
        _cleanup_model_ Model *m = make_model();
        Queue *q = make_queue(m, "q", 4);
        Job *j = submit(m, q, 2, 0);
        Outcome o = OUTCOME_INIT;
        Attempt *a;

        model_recorded(m);
        j = job_new(); /* as the store gives it back */
        j->id = 1;
        j->queue_name = strdup("q");
        j->owner = 1000;
        j->state = JOB_READY;
        j->slots = 2;
        j->ready_usec = now.realtime;
        model_job_add(m, j, q);
        now.realtime += 3 * SEC;
        a = start(m, j);
        assert_int_equal(j->state, JOB_STARTING);
        assert_int_equal(j->attempt, 1);
        assert_string_equal(a->unit, "jobmill-job-1-1.service");
        assert_true(epoch_equal(&a->epoch, &m->epoch));
        assert_true(sd_id128_equal(a->token, token));
        assert_true(sd_id128_is_null(a->invocation_id));
        assert_true(a->is_new && a->fresh && !a->asked && a->changed && a->acting);
        assert_int_equal(q->level.all.n_window, 0);
        assert_int_equal(q->slots_used, 2);
        check_model(m);
        model_recorded(m);
        assert_ptr_equal(model_job(m, 1), j); /* live ones stay */
        assert_int_equal(j->told_state, JOB_STARTING);
        assert_false(a->is_new || a->changed);
        assert_true(a->acting);

        model_attempt_started(m, a, invocation, now.realtime + SEC, now.monotonic);
        assert_int_equal(j->state, JOB_RUNNING);
        assert_int_equal(a->phase, ATTEMPT_RUNNING);
        assert_true(j->started_usec == now.realtime + SEC);
        assert_true(j->wait_usec == 4 * SEC);
        assert_true(a->changed && !a->outcome_changed);
        model_attempt_started(m, a, token, 0, 0); /* told twice: nothing */
        assert_true(sd_id128_equal(a->invocation_id, invocation));
        check_model(m);
        model_recorded(m);

        o.result = JOB_SUCCESS;
        o.exit_status = 0;
        o.finished_usec = now.realtime + 9 * SEC;
        model_attempt_ended(m, a, &o, &now);
        assert_int_equal(j->state, JOB_DONE);
        assert_int_equal(j->result, JOB_SUCCESS);
        assert_false(j->dead);
        assert_true(j->spec_dropped);
        assert_true(j->finished_usec == now.realtime + 9 * SEC);
        assert_null(j->live);
        assert_null(a->job);
        assert_true(a->outcome_changed && a->changed);
        assert_int_equal(a->outcome.exit_status, 0);
        assert_int_equal(q->slots_used, 2); /* its unit is there */
        check_model(m);
        /* One outcome only. */
        o = OUTCOME_INIT;
        o.result = JOB_SIGNAL;
        model_attempt_ended(m, a, &o, &now);
        assert_int_equal(a->outcome.result, JOB_SUCCESS);

        model_recorded(m);
        assert_null(model_job(m, 1));
        model_attempt_gone(m, a);
        assert_null(m->attempts);
        assert_int_equal(q->slots_used, 0);
        assert_true(TAILQ_EMPTY(&m->act));
        assert_int_equal(m->n_starting, 0);
        assert_int_equal(q->count[JOB_DONE], 1);
        assert_int_equal(q->dead, 0);
}

/* Ended, to be judged, and before that a user did something else with it. */
static void test_done_before_it_is_judged(void **state) {
        for (bool again = false;; again = true) {
                _cleanup_model_ Model *m = make_model();
                Queue *q = make_queue(m, "q", 4);
                Job *j = submit(m, q, 1, 0);
                Outcome o = OUTCOME_INIT;
                Attempt *a = run(m, j);

                o.result = JOB_LOST;
                model_attempt_ended(m, a, &o, &now);
                assert_int_equal(m->n_unjudged, 1);
                assert_int_equal(model_cancel(m, j, NULL, &now), 0);
                if (again)
                        assert_int_equal(model_retry(m, j, 1, 0, &now), 0);
                else
                        assert_int_equal(model_purge(m, j), -EBUSY); /* not recorded yet */
                assert_int_equal(m->n_unjudged, 0);
                if (again) {
                        assert_null(j->ended);
                        return;
                }
        }
}

static void test_failures(void **state) {
        for (JobResult r = JOB_EXIT_CODE; r < _JOB_RESULT_MAX; r++) {
                _cleanup_model_ Model *m = make_model();
                Queue *q = make_queue(m, "q", 4);
                Job *j = submit(m, q, 1, 0);
                Outcome o = OUTCOME_INIT;
                Attempt *a = r == JOB_EXEC ? start(m, j) : run(m, j);

                o.result = r;
                o.reason = strdup("so it is");
                model_attempt_ended(m, a, &o, &now);
                assert_null(o.reason);
                if (r == JOB_LOST) { /* it may cost nothing */
                        assert_int_equal(j->state, JOB_WAITING);
                        assert_ptr_equal(j->ended, a);
                        model_judge(m, j, j->spec, &now);
                }
                assert_int_equal(m->n_unjudged, 0);
                assert_int_equal(j->result, r);
                assert_string_equal(j->reason, "so it is");
                assert_string_equal(a->outcome.reason, "so it is");
                assert_true(j->dead);
                assert_false(j->spec_dropped); /* it may be retried */
                assert_true(j->finished_usec == now.realtime); /* where nobody knows better */
                if (r == JOB_EXEC)
                        assert_true(j->started_usec == USEC_INFINITY && j->wait_usec == USEC_INFINITY);
                check_model(m);
        }
}

/* ---- cancel ---- */

static void test_cancel_starting(void **state) {
        _cleanup_model_ Model *m = make_model();
        Queue *q = make_queue(m, "q", 4);
        Job *j = submit_spec(m, q, spec_timed(1 * SEC, 5 * SEC));
        Attempt *a = start(m, j);

        assert_int_equal(model_cancel(m, j, NULL, &now), 0);
        assert_int_equal(j->state, JOB_STOPPING);
        assert_int_equal(j->intent, JOB_CANCELLED);
        assert_int_equal(a->phase, ATTEMPT_STARTING);
        assert_true(a->kill_deadline == now.monotonic + 5 * SEC);
        check_model(m);
        /* Now there is something to signal; the job's own time-out does not count any more. */
        model_attempt_started(m, a, invocation, now.realtime, now.monotonic);
        assert_int_equal(j->state, JOB_STOPPING);
        assert_int_equal(a->phase, ATTEMPT_RUNNING);
        assert_true(a->deadline == USEC_INFINITY);
        now.monotonic += 2 * SEC;
        model_deadlines(m, &now);
        assert_true(m->next_deadline > now.monotonic); /* or the daemon would spin */
        assert_int_equal(j->intent, JOB_CANCELLED);
        end(m, a, JOB_SUCCESS);
        assert_int_equal(j->result, JOB_CANCELLED);
        assert_int_equal(a->outcome.result, JOB_CANCELLED);
        assert_true(j->dead);
        check_model(m);
}

static void test_cancel_running(void **state) {
        _cleanup_model_ Model *m = make_model();
        Queue *q = make_queue(m, "q", 4);
        Job *j = submit(m, q, 1, 0);
        Attempt *a = run(m, j);
        Outcome o = OUTCOME_INIT;
        usec_t deadline;

        model_recorded(m);
        TAILQ_REMOVE(&m->act, a, act_entry);
        a->acting = false;
        assert_int_equal(model_cancel(m, j, "by root", &now), 0);
        assert_int_equal(j->state, JOB_STOPPING);
        assert_true(a->acting);
        deadline = a->kill_deadline;
        assert_true(deadline == now.monotonic + STOP_TIMEOUT_DEFAULT);
        now.monotonic += SEC;
        assert_int_equal(model_cancel(m, j, "again", &now), 0); /* changes nothing */
        assert_string_equal(j->reason, "by root");
        assert_true(a->kill_deadline == deadline);
        assert_int_equal(model_retry(m, j, 1, 0, &now), -EBUSY);
        assert_int_equal(model_purge(m, j), -EBUSY);

        /* How it died stays known, what it was is what was wanted. */
        o.result = JOB_SIGNAL;
        o.exit_signal = 15;
        o.reason = strdup("x");
        model_attempt_ended(m, a, &o, &now);
        assert_int_equal(a->outcome.result, JOB_CANCELLED);
        assert_int_equal(a->outcome.exit_signal, 15);
        assert_string_equal(a->outcome.reason, "by root");
        assert_int_equal(j->result, JOB_CANCELLED);
        assert_int_equal(j->intent, JOB_RESULT_NONE);
        assert_string_equal(j->reason, "by root");
        assert_int_equal(model_cancel(m, j, NULL, &now), -EALREADY);
        check_model(m);
}

/* ---- withdraw ---- */

/* Its key, which it gave up for that start, is wanted again; not by one that has none of that scope, or that was seen to start. */
static void test_key_of_a_refused_start(void **state) {
        _cleanup_model_ Model *m = make_model();
        Queue *q = make_queue(m, "q", 4);
        Job *j = submit(m, q, 1, 0), *other = submit(m, q, 1, 0);
        Attempt *a;

        j->unique_key = strdup("k");
        j->unique_scope = UNIQUE_QUEUED;
        unique_take(m, j);
        a = start(m, j);
        assert_true(!j->unique_held && j->unique_lent && !m->unique.wanted);
        model_attempt_refused(m, start(m, other), "full", &now);
        assert_false(m->unique.wanted);
        model_attempt_refused(m, a, "full", &now);
        assert_true(m->unique.wanted && j->unique_wanted && !j->unique_lent);

        j->unique_wanted = m->unique.wanted = false; /* as whoever looks does */
        unique_take(m, j);
        assert_true(j->unique_held);
        model_attempt_gone(m, a);
        a = start(m, j);
        model_attempt_started(m, a, SD_ID128_NULL, now.realtime, now.monotonic);
        assert_true(!j->unique_held && !j->unique_lent);
        check_model(m);
}

/* More in its spool than can be kept: at once, and what it was being stopped for stays the reason. */
static void test_overflow(void **state) {
        _cleanup_model_ Model *m = make_model();
        Queue *q = make_queue(m, "q", 4);

        for (unsigned stopping = 0; stopping < 2; stopping++) {
                Job *j = submit(m, q, 1, 0);
                Attempt *a = run(m, j);

                if (stopping)
                        assert_int_equal(model_cancel(m, j, "by root", &now), 0);
                model_recorded(m);
                TAILQ_REMOVE(&m->act, a, act_entry);
                a->acting = false;
                for (unsigned again = 0; again < 2; again++) {
                        assert_int_equal(model_attempt_overflow(m, a, &now), !again);
                        assert_int_equal(j->state, JOB_STOPPING);
                        assert_int_equal(j->intent, stopping ? JOB_CANCELLED : JOB_SIGNAL);
                        assert_string_equal(j->reason, stopping ? "by root" : "spool");
                        assert_true(a->kill_due && a->acting && a->kill_deadline == USEC_INFINITY);
                }
        }
}

/* The manager had no room for it: it was no attempt, whoever asks. */
static void test_refused(void **state) {
        _cleanup_model_ Model *m = make_model();
        Queue *q = make_queue(m, "q", 4);
        Job *j = submit(m, q, 1, 0);
        usec_t ready = j->ready_usec;
        Attempt *a = start(m, j);

        now.realtime += SEC;
        now.steady = now.realtime;
        model_attempt_refused(m, a, "full", &now);
        assert_int_equal(j->state, JOB_READY);
        assert_true(j->attempt == 0 && j->max_attempts == 1 && j->ready_usec == ready && !j->live && !j->dead);
        assert_true(a->refused && a->changed && a->phase == ATTEMPT_ENDED);
        assert_ptr_equal(queue_shut_at(q), q);
        check_model(m);
        model_attempt_gone(m, a);
        check_model(m);
        a = start(m, j);
        assert_int_equal(a->number, 1);

        /* Once more, and it starts again before that is let go, which keeps its name. */
        model_attempt_refused(m, a, "full", &now);
        assert_int_equal(start(m, j)->number, 2);
        model_attempt_refused(m, j->live, "full", &now);
        assert_true(j->attempt == 0 && j->max_attempts == 1);
        model_attempt_gone(m, a);
        a = start(m, j);
        assert_int_equal(a->number, 1);

        /* Cancelled meanwhile: that was its end, and it has a row. */
        model_cancel(m, j, "by root", &now);
        model_attempt_refused(m, a, "full", &now);
        assert_true(j->state == JOB_DONE && j->result == JOB_CANCELLED && j->attempt == 1 && !a->refused);
        check_model(m);
}

/* One that cannot be asked for does not keep another from being the first; but it is one of those that are being started. */
static void test_stuck(void **state) {
        _cleanup_model_ Model *m = make_model();
        Queue *q = make_queue(m, "q", STARTING_MAX + 2);
        Attempt *a, *b;

        m->starting_max = 1;
        a = start(m, submit(m, q, 1, 0));
        assert_true(schedule_is_full(m));
        model_attempt_stuck(m, a, true);
        assert_false(schedule_is_full(m));
        b = start(m, submit(m, q, 2, 0));
        assert_true(schedule_is_full(m));
        model_attempt_stuck(m, b, true);
        model_attempt_stuck(m, b, true);
        model_attempt_stuck(m, a, false);
        assert_true(schedule_is_full(m));
        check_model(m);
        model_attempt_withdraw(m, b, "x", &now);
        model_attempt_started(m, a, invocation, now.realtime, now.monotonic);
        assert_int_equal(m->n_stuck, 0);
        check_model(m);

        m->starting_max = STARTING_MAX;
        for (unsigned i = 0; i < STARTING_MAX; i++) {
                assert_false(schedule_is_full(m));
                model_attempt_stuck(m, start(m, submit(m, q, 3 + i, 0)), true);
        }
        assert_true(schedule_is_full(m));
        check_model(m);
}

static void test_withdraw(void **state) {
        _cleanup_model_ Model *m = make_model();
        Queue *q = make_queue(m, "q", 4);
        Job *j = submit(m, q, 1, 0);
        Attempt *a = start(m, j);

        now.realtime += SEC;
        model_attempt_withdraw(m, a, "another unit has its name", &now);
        assert_int_equal(j->state, JOB_READY);
        assert_int_equal(j->max_attempts, 2); /* it was none */
        assert_null(j->live);
        assert_int_equal(a->phase, ATTEMPT_ENDED);
        assert_int_equal(a->outcome.result, JOB_EXEC);
        assert_string_equal(a->outcome.reason, "another unit has its name");
        assert_true(a->outcome_changed);
        check_model(m);
        assert_int_equal(start(m, j)->number, 2);
        model_attempt_gone(m, a);
        check_model(m);

        /* Cancelled meanwhile. */
        model_cancel(m, j, "by root", &now);
        a = j->live;
        model_attempt_withdraw(m, a, "another unit has its name", &now);
        assert_int_equal(j->state, JOB_DONE);
        assert_int_equal(j->result, JOB_CANCELLED);
        assert_string_equal(j->reason, "by root");
        assert_int_equal(a->outcome.result, JOB_CANCELLED);
        check_model(m);
}

/* ---- deadlines ---- */

static void test_timeout(void **state) {
        _cleanup_model_ Model *m = make_model();
        Queue *q = make_queue(m, "q", 4);
        Job *j = submit_spec(m, q, spec_timed(10 * SEC, 5 * SEC)), *other = submit(m, q, 1, 0);
        Attempt *a = start(m, j);

        run(m, other);
        assert_true(m->next_deadline == USEC_INFINITY);
        now.monotonic += 100 * SEC; /* while it starts no time runs */
        model_deadlines(m, &now);
        assert_int_equal(j->state, JOB_STARTING);
        model_attempt_started(m, a, invocation, now.realtime, now.monotonic);
        assert_true(a->deadline == now.monotonic + 10 * SEC);
        assert_true(m->next_deadline == a->deadline);

        now.monotonic += 10 * SEC - 1;
        model_deadlines(m, &now);
        assert_int_equal(j->state, JOB_RUNNING);
        now.monotonic += 1;
        now.realtime = 1; /* the wall clock has no say */
        model_deadlines(m, &now);
        assert_int_equal(j->state, JOB_STOPPING);
        assert_int_equal(j->intent, JOB_TIMEOUT);
        assert_true(a->deadline == USEC_INFINITY);
        assert_true(a->kill_deadline == now.monotonic + 5 * SEC && m->next_deadline == a->kill_deadline);
        assert_int_equal(model_cancel(m, j, NULL, &now), 0);
        assert_int_equal(j->intent, JOB_TIMEOUT); /* the first one counts */

        now.monotonic += 5 * SEC - 1;
        model_deadlines(m, &now);
        assert_false(a->kill_due);
        now.monotonic += 1;
        model_deadlines(m, &now);
        assert_true(a->kill_due);
        assert_true(m->next_deadline == USEC_INFINITY);
        check_model(m);

        end(m, a, JOB_SIGNAL);
        assert_int_equal(j->result, JOB_TIMEOUT);
        /* The release has its time, too. */
        assert_false(a->kill_due);
        assert_true(a->kill_deadline == now.monotonic + 5 * SEC);
        now.monotonic += 5 * SEC;
        model_deadlines(m, &now);
        assert_true(a->kill_due);
        assert_int_equal(other->state, JOB_RUNNING);
        assert_true(m->next_deadline == USEC_INFINITY);
        check_model(m);
}

static void test_stop_timeout(void **state) {
        _cleanup_model_ Model *m = make_model();
        Queue *q = make_queue(m, "q", 4);
        Job *own = submit_spec(m, q, spec_timed(USEC_INFINITY, 5 * SEC)), *none = submit(m, q, 1, 0);

        run(m, own);
        run(m, none);
        assert_true(attempt_stop_timeout(own->live) == 5 * SEC);
        assert_true(attempt_stop_timeout(none->live) == STOP_TIMEOUT_DEFAULT);
        q->policy.stop_timeout_usec = 7 * SEC;
        assert_true(attempt_stop_timeout(own->live) == 5 * SEC);
        assert_true(attempt_stop_timeout(none->live) == 7 * SEC);
        /* For ever is no time at all. */
        own->timeout_usec = USEC_INFINITY - 1;
        own->stop_timeout_usec = USEC_INFINITY - 1;
        model_cancel(m, own, NULL, &now);
        assert_true(own->live->kill_deadline == USEC_INFINITY);
        model_deadlines(m, &now);
        assert_false(own->live->kill_due);
}

/* ---- adopting ---- */

static Attempt *adopt(Model *m, Queue *q, JobState state, usec_t timeout, const char *slots) {
        Attempt *a = attempt_new(m->next_id, 1);
        Job *j = job_new();

        assert_true(a && j);
        j->id = m->next_id++;
        m->recorded_next_id = m->next_id;
        j->queue_name = strdup(q->name);
        j->state = state;
        j->attempt = 1;
        j->timeout_usec = timeout;
        if (state == JOB_STOPPING)
                j->intent = JOB_CANCELLED;
        assert_int_equal(attempt_slot_numbers_from_string(slots, &a->slot_numbers, &a->slots), 0);
        a->phase = state == JOB_STARTING ? ATTEMPT_STARTING : ATTEMPT_RUNNING;
        if (a->phase == ATTEMPT_RUNNING)
                a->invocation_id = invocation;
        q->count[state]++;
        model_job_add(m, j, q);
        assert_int_equal(model_attempt_add(m, a, j, q), 0);
        return a;
}

static void test_adopt(void **state) {
        _cleanup_model_ Model *m = make_model();
        Queue *q = make_queue(m, "q", 8);
        Attempt *starting = adopt(m, q, JOB_STARTING, 10 * SEC, "1"), *running = adopt(m, q, JOB_RUNNING, 60 * SEC, "3,4"),
                *over = adopt(m, q, JOB_RUNNING, 10 * SEC, "0"), *stopping = adopt(m, q, JOB_STOPPING, 1 * SEC, "2");

        check_model(m);
        assert_false(model_has_changes(m));
        assert_true(TAILQ_EMPTY(&m->act)); /* nothing is asked before the units were looked at */
        assert_int_equal(m->n_starting, 1);

        /* The time since the true start counts. */
        model_attempt_started(m, starting, invocation, now.realtime, now.monotonic - 4 * SEC);
        model_attempt_adopted(m, starting, starting->started_monotonic, &now);
        assert_true(starting->deadline == now.monotonic + 6 * SEC);
        model_attempt_adopted(m, running, now.monotonic - 20 * SEC, &now);
        assert_true(running->deadline == now.monotonic + 40 * SEC);
        assert_true(running->started_monotonic == now.monotonic - 20 * SEC);
        model_attempt_adopted(m, over, now.monotonic - 20 * SEC, &now);
        model_attempt_adopted(m, stopping, now.monotonic - 20 * SEC, &now);
        assert_true(stopping->deadline == USEC_INFINITY);
        assert_true(stopping->kill_deadline == now.monotonic + STOP_TIMEOUT_DEFAULT);
        assert_true(stopping->acting);
        /* Looked at again: nothing moves. */
        now.monotonic += SEC;
        model_attempt_adopted(m, running, now.monotonic, &now);
        assert_true(running->deadline == now.monotonic + 39 * SEC);
        model_attempt_adopted(m, stopping, now.monotonic, &now);
        assert_true(stopping->kill_deadline == now.monotonic - SEC + STOP_TIMEOUT_DEFAULT);

        model_deadlines(m, &now);
        assert_int_equal(over->job->state, JOB_STOPPING);
        assert_int_equal(over->job->intent, JOB_TIMEOUT);
        assert_int_equal(running->job->state, JOB_RUNNING);
        check_model(m);

        /* KILL was due once: it is not counted down again. */
        now.monotonic += STOP_TIMEOUT_DEFAULT;
        model_deadlines(m, &now);
        assert_true(stopping->kill_due);
        model_attempt_adopted(m, stopping, now.monotonic, &now);
        assert_true(stopping->kill_deadline == USEC_INFINITY);
        end(m, stopping, JOB_LOST);
        assert_int_equal(stopping->outcome.result, JOB_CANCELLED);
        model_attempt_adopted(m, stopping, now.monotonic, &now); /* no job any more */
        check_model(m);
}

static void test_stray(void **state) {
        _cleanup_model_ Model *m = make_model();
        Queue *q = make_queue(m, "q", 4);
        Attempt *stray = attempt_new(77, 2), *ended = attempt_new(78, 1);

        stray->phase = ATTEMPT_STRAY;
        assert_int_equal(attempt_slot_numbers_from_string("1,3", &stray->slot_numbers, &stray->slots), 0);
        assert_int_equal(model_attempt_add(m, stray, NULL, q), 0);
        ended->phase = ATTEMPT_ENDED;
        ended->slots = 1;
        assert_int_equal(model_attempt_add(m, ended, NULL, q), 0);
        assert_int_equal(ended->slot_numbers[0], 0);
        assert_int_equal(m->n_strays, 1);
        assert_int_equal(q->slots_used, 3);
        /* Not for us to end. */
        model_attempt_started(m, stray, invocation, 1, 1);
        end(m, stray, JOB_SUCCESS);
        now.monotonic += 1000 * SEC;
        model_deadlines(m, &now);
        assert_int_equal(stray->phase, ATTEMPT_STRAY);
        assert_false(model_has_changes(m));
        check_model(m);
        assert_int_equal(run(m, submit(m, q, 1, 0))->slot_numbers[0], 2);
        model_attempt_gone(m, stray);
        model_attempt_gone(m, ended);
        assert_int_equal(q->slots_used, 1);
        assert_int_equal(m->n_strays, 0);
        check_model(m);
}

/* ---- another attempt ---- */

static Job *submit_again(Model *m, Queue *q, uint32_t attempts) {
        JobSpec *spec = make_spec(1, 0);

        spec->max_attempts = attempts;
        spec->backoff_base_usec = 10 * SEC;
        return submit_spec(m, q, spec);
}

static void pass(usec_t t) {
        now.realtime += t;
        now.steady += t;
        now.monotonic += t;
}

/* One that ended, and what it was is judged. The job stays in memory, as it is never recorded. */
static void fail_once(Model *m, Job *j, JobResult result) {
        Attempt *a = run(m, j);

        end(m, a, result);
        model_attempt_gone(m, a);
}

static void test_again(void **state) {
        _cleanup_model_ Model *m = make_model();
        Queue *q = make_queue(m, "q", 4);
        Job *j = submit_again(m, q, 3);
        Attempt *a = run(m, j);

        end(m, a, JOB_EXIT_CODE);
        assert_int_equal(j->state, JOB_WAITING);
        assert_int_equal(j->result, JOB_RESULT_NONE);
        assert_false(j->dead || j->spec_dropped);
        assert_true(j->delayed && j->not_before_usec == now.steady + 10 * SEC);
        assert_true(j->finished_usec == USEC_INFINITY && j->started_usec == USEC_INFINITY);
        assert_int_equal(j->retried_after, JOB_EXIT_CODE);
        check_model(m);
        /* Its time has come, and the unit of the last one is there. */
        pass(10 * SEC);
        model_due(m, j, &now);
        assert_int_equal(j->state, JOB_WAITING);
        assert_int_equal(model_hold(m, j, &now), 0);
        assert_int_equal(model_release(m, j, &now), 0);
        assert_int_equal(j->state, JOB_WAITING);
        model_attempt_gone(m, a);
        pass(CLEANING_LOOK);
        model_due(m, j, &now);
        assert_int_equal(j->state, JOB_READY);
        fail_once(m, j, JOB_SIGNAL);
        assert_int_equal(j->failures, 2);
        assert_false(j->dead);
        pass(10 * SEC);
        model_due(m, j, &now);
        fail_once(m, j, JOB_TIMEOUT);
        assert_int_equal(j->state, JOB_DONE);
        assert_int_equal(j->result, JOB_TIMEOUT);
        assert_true(j->dead);
        assert_int_equal(j->attempt, 3);
        check_model(m);
}

/* Its unit is there for a day. Each look is a commit, and there are few. */
static void test_again_looks(void **state) {
        _cleanup_model_ Model *m = make_model();
        Job *j = submit_again(m, make_queue(m, "q", 4), 3);
        Attempt *a = run(m, j);
        usec_t until;
        unsigned n = 0;

        end(m, a, JOB_EXIT_CODE);
        for (until = now.steady + 24 * 3600 * SEC; now.steady < until; n++) {
                pass(j->not_before_usec - now.steady);
                model_due(m, j, &now);
                assert_int_equal(j->state, JOB_WAITING);
                assert_true(j->not_before_usec > now.steady && j->not_before_usec <= now.steady + 16 * SEC);
        }
        assert_in_range(n, 24 * 3600 / 16, 24 * 3600 / 16 + 10);
        model_attempt_gone(m, a);
        pass(16 * SEC);
        model_due(m, j, &now);
        assert_int_equal(j->state, JOB_READY);
        check_model(m);
}

/* A daemon that has just begun: the time came before the unit of the last one was found. */
static void test_again_found_late(void **state) {
        _cleanup_model_ Model *m = make_model();
        Queue *q = make_queue(m, "q", 4);
        Job *j = submit_again(m, q, 3);
        Attempt *a;

        fail_once(m, j, JOB_EXIT_CODE);
        pass(10 * SEC);
        model_due(m, j, &now);
        assert_int_equal(j->state, JOB_READY);

        a = attempt_new(j->id, 1);
        a->phase = ATTEMPT_ENDED;
        a->slots = 1;
        a->outcome.result = JOB_EXIT_CODE;
        assert_int_equal(model_attempt_add(m, a, NULL, q), 0);
        assert_true(model_must_wait(m, j, &now));
        assert_int_equal(j->state, JOB_WAITING);
        model_attempt_gone(m, a);
        pass(CLEANING_LOOK);
        model_due(m, j, &now);
        assert_int_equal(j->state, JOB_READY);
        assert_false(model_must_wait(m, j, &now));
        check_model(m);
}

/* Between its end and the judgement of the same turn. */
static void test_again_in_between(void **state) {
        _cleanup_model_ Model *m = make_model();
        Queue *q = make_queue(m, "q", 4);
        Job *cancelled = submit_again(m, q, 3), *held = submit_again(m, q, 3);
        Outcome o = OUTCOME_INIT;

        o.result = JOB_EXIT_CODE;
        model_attempt_ended(m, run(m, cancelled), &o, &now);
        o.result = JOB_EXIT_CODE;
        model_attempt_ended(m, run(m, held), &o, &now);
        assert_int_equal(m->n_unjudged, 2);
        assert_int_equal(model_cancel(m, cancelled, NULL, &now), 0);
        assert_int_equal(model_hold(m, held, &now), 0);
        assert_null(cancelled->ended);
        model_judge(m, held, held->spec, &now);
        assert_int_equal(m->n_unjudged, 0);
        assert_int_equal(cancelled->result, JOB_CANCELLED);
        assert_int_equal(held->state, JOB_HELD);
        assert_true(held->not_before_usec == now.steady + 10 * SEC);
        check_model(m);
}

/* Who is told that a time is set finds it so: it is no backoff that comes after that. */
static void test_again_at_a_time(void **state) {
        _cleanup_model_ Model *m = make_model();
        Queue *q = make_queue(m, "q", 4);
        Job *j = submit_again(m, q, 3);
        JobSpec *spec = make_spec(1, 0);
        Outcome o = OUTCOME_INIT;
        char *error = NULL;

        j->is_new = false; /* stored long ago */
        o.result = JOB_EXIT_CODE;
        model_attempt_ended(m, run(m, j), &o, &now);
        spec->delay_usec = 90 * SEC;
        assert_int_equal(model_update(m, j, NULL, spec, spec_field_bit(spec_field_find("delay_usec")), &now, &error), 0);
        model_judge(m, j, j->spec, &now);
        assert_int_equal(j->state, JOB_WAITING);
        assert_true(j->not_before_usec == now.steady + 90 * SEC);
        assert_int_equal(j->failures, 1);
        check_model(m);
}

static void test_again_no_more(void **state) {
        _cleanup_model_ Model *m = make_model();
        Queue *q = make_queue(m, "q", 4);
        Job *j = submit_again(m, q, 9), *unread = submit_again(m, q, 9), *late = submit_again(m, q, 9);
        Attempt *a = run(m, unread);
        Outcome o = OUTCOME_INIT;

        m->poison_max = 3;
        for (unsigned i = 1; i <= 3; i++) {
                fail_once(m, j, i == 2 ? JOB_LOST : JOB_OOM_KILL);
                assert_int_equal(j->state, i < 3 ? JOB_WAITING : JOB_DONE);
                pass(10 * SEC);
                model_due(m, j, &now);
        }
        assert_string_equal(j->reason, "not tried again: 3 attempts in a row were lost or ran out of memory");
        assert_int_equal(j->grown, 2);
        /* By hand it is counted anew, but for the memory that it needs. */
        assert_int_equal(model_retry(m, j, 2, 0, &now), 0);
        fail_once(m, j, JOB_OOM_KILL);
        assert_int_equal(j->state, JOB_WAITING);
        assert_int_equal(j->grown, 3);

        /* Its spec cannot be read. */
        o.result = JOB_EXIT_CODE;
        model_attempt_ended(m, a, &o, &now);
        model_judge(m, unread, NULL, &now);
        assert_int_equal(unread->result, JOB_EXIT_CODE);

        /* Cancelled when it is out of time already. */
        late->timeout_usec = SEC;
        a = run(m, late);
        pass(SEC);
        model_deadlines(m, &now);
        assert_int_equal(late->state, JOB_STOPPING);
        assert_int_equal(model_cancel(m, late, NULL, &now), 0);
        end(m, a, JOB_SIGNAL);
        assert_int_equal(late->state, JOB_DONE);
        assert_int_equal(late->result, JOB_TIMEOUT);
        check_model(m);
}

static void test_again_lost(void **state) {
        _cleanup_model_ Model *m = make_model();
        Queue *q = make_queue(m, "q", 4);
        JobSpec *spec = make_spec(1, 0);
        Job *j;

        spec->requeue_lost = true;
        j = submit_spec(m, q, spec);
        fail_once(m, j, JOB_LOST);
        assert_int_equal(j->state, JOB_WAITING); /* for its unit to go; it was there when it was judged */
        assert_int_equal(j->max_attempts, 2);
        assert_int_equal(j->failures, 0);
        pass(CLEANING_LOOK);
        model_due(m, j, &now);
        fail_once(m, j, JOB_EXIT_CODE);
        assert_int_equal(j->result, JOB_EXIT_CODE);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_again),
                cmocka_unit_test(test_again_looks),
                cmocka_unit_test(test_again_found_late),
                cmocka_unit_test(test_again_in_between),
                cmocka_unit_test(test_again_at_a_time),
                cmocka_unit_test(test_again_no_more),
                cmocka_unit_test(test_again_lost),
                cmocka_unit_test(test_success),
                cmocka_unit_test(test_done_before_it_is_judged),
                cmocka_unit_test(test_failures),
                cmocka_unit_test(test_cancel_starting),
                cmocka_unit_test(test_cancel_running),
                cmocka_unit_test(test_overflow),
                cmocka_unit_test(test_refused),
                cmocka_unit_test(test_stuck),
                cmocka_unit_test(test_key_of_a_refused_start),
                cmocka_unit_test(test_withdraw),
                cmocka_unit_test(test_timeout),
                cmocka_unit_test(test_stop_timeout),
                cmocka_unit_test(test_adopt),
                cmocka_unit_test(test_stray),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
