/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What a change does to a job in the model: its place in the windows, the counters of both queues, the deadlines of its
 * attempt, and what the commit is to store. */

#include "model-util.h"
#include "queue/spec-change.h"

static uint64_t bits(const char *names) {
        _cleanup_strv_free_ char **l = strv_split(names, " ");
        uint64_t set = 0;

        STRV_FOREACH(i, l)
                set |= spec_field_bit(spec_field_find(*i));
        return set;
}

/* The spec that it has. */
static JobSpec *spec_of(const Job *j) {
        JobSpec *spec = make_spec(1, 0);

        assert_int_equal(job_to_spec(j, spec), 0);
        return spec;
}

static void update(Model *m, Job *j, Queue *to, JobSpec *spec, const char *fields) {
        char *error = NULL;

        if (model_update(m, j, to, spec, bits(fields), &now, &error) < 0)
                fail_msg("%s", error);
        check_model(m);
}

static void refused(Model *m, Job *j, Queue *to, JobSpec *consumed, const char *fields, int error, const char *said) {
        _cleanup_(spec_freep) JobSpec *spec = consumed;
        _cleanup_free_ char *text = NULL;
        Queue *queue = j->queue;
        JobState state = j->state;
        usec_t timeout = j->timeout_usec;

        assert_int_equal(model_update(m, j, to, spec, bits(fields), &now, &text), error);
        assert_non_null(text);
        if (!strstr(text, said))
                fail_msg("\"%s\" does not say \"%s\"", text, said);
        assert_ptr_equal(j->queue, queue);
        assert_int_equal(j->state, state);
        assert_true(j->timeout_usec == timeout);
        check_model(m);
}

static void prioritize(Model *m, Job *j, int32_t priority) {
        JobSpec *spec = spec_of(j);

        spec->priority = priority;
        update(m, j, NULL, spec, "priority");
}

static void set_slots(Model *m, Job *j, uint32_t slots) {
        JobSpec *spec = spec_of(j);

        spec->slots = slots;
        update(m, j, NULL, spec, "slots");
}

static void set_not_before(Model *m, Job *j, usec_t when) {
        JobSpec *spec = spec_of(j);

        spec->not_before_usec = when;
        update(m, j, NULL, spec, "not_before_usec");
}

static JobSpec *with_timeouts(const Job *j, usec_t timeout, usec_t stop) {
        JobSpec *spec = spec_of(j);

        spec->timeout_usec = timeout;
        spec->stop_timeout_usec = stop;
        return spec;
}

static void test_priority(void **state) {
        _cleanup_model_ Model *m = make_model();
        Queue *q = make_queue(m, "q", 4);
        Job *a = submit(m, q, 1, 0), *b = submit(m, q, 1, 0), *c = submit(m, q, 1, 0);

        assert_int_equal(q->level.all.window[0].id, a->id);
        prioritize(m, c, 5);
        assert_int_equal(c->rank, -5);
        assert_int_equal(q->level.all.window[0].id, c->id);
        prioritize(m, a, -1);
        assert_int_equal(q->level.all.window[2].id, a->id);
        assert_int_equal(q->level.all.n_window, 3);
        assert_true(q->level.all.window[1].id == b->id && q->level.all.window[1].rank == 0);
        set_slots(m, b, 3);
        assert_int_equal(q->level.all.window[1].slots, 3);
}

/* What lies behind the window stays on disk, and what comes before its end is taken in. */
static void test_priority_beyond_the_window(void **state) {
        _cleanup_model_ Model *m = make_model();
        Queue *q = make_queue(m, "q", 4);
        Job *jobs[QUEUE_WINDOW + 10];

        FOREACH_ELEMENT(i, jobs)
                *i = submit(m, q, 1, 0);
        assert_true(q->level.all.window_more && q->level.all.n_window == QUEUE_WINDOW);
        prioritize(m, jobs[0], -5);
        assert_int_equal(q->level.all.n_window, QUEUE_WINDOW - 1);
        assert_int_equal(q->level.all.window[0].id, jobs[1]->id);
        prioritize(m, jobs[QUEUE_WINDOW + 5], 1);
        assert_int_equal(q->level.all.window[0].id, jobs[QUEUE_WINDOW + 5]->id);
        prioritize(m, jobs[QUEUE_WINDOW + 6], -1); /* not in it before, not after */
        assert_int_equal(q->level.all.n_window, QUEUE_WINDOW);
        assert_int_equal(q->level.all.window[QUEUE_WINDOW - 1].id, jobs[QUEUE_WINDOW - 1]->id);
}

static void test_not_before(void **state) {
        _cleanup_model_ Model *m = make_model();
        Queue *q = make_queue(m, "q", 4);
        Job *j = submit(m, q, 1, 0), *held = submit(m, q, 1, 0);

        set_not_before(m, j, now.realtime + SEC);
        assert_int_equal(j->state, JOB_WAITING);
        assert_int_equal(q->level.all.n_window, 1);
        set_not_before(m, j, now.realtime + 9 * SEC);
        assert_int_equal(j->state, JOB_WAITING);
        now.realtime += SEC;
        set_not_before(m, j, now.realtime);
        assert_true(j->state == JOB_READY && j->ready_usec == now.realtime);
        now.realtime += SEC;
        set_not_before(m, j, 1);
        assert_true(j->ready_usec == now.realtime - SEC); /* it has been ready all the time */
        set_not_before(m, j, now.realtime + SEC);
        set_not_before(m, j, USEC_INFINITY);
        assert_int_equal(j->state, JOB_READY);

        assert_int_equal(model_hold(m, held, &now), 0);
        set_not_before(m, held, now.realtime + SEC);
        assert_int_equal(held->state, JOB_HELD);
        assert_int_equal(model_release(m, held, &now), 0);
        assert_int_equal(held->state, JOB_WAITING);
}

static void set_delay(Model *m, Job *j, usec_t span) {
        JobSpec *spec = spec_of(j);

        spec->not_before_usec = USEC_INFINITY;
        spec->delay_usec = span;
        update(m, j, NULL, spec, "delay_usec");
}

/* A span ends by the clock that nobody sets, and what is kept of it moves with the one that somebody does. */
static void test_delay(void **state) {
        _cleanup_model_ Model *m = make_model();
        Queue *q = make_queue(m, "q", 4);
        JobSpec *spec = make_spec(1, 0);
        Job *j, *at, *held;

        spec->delay_usec = 10 * SEC;
        now.steady = now.realtime;
        j = submit_spec(m, q, spec);
        at = submit(m, q, 1, 0);
        held = submit(m, q, 1, 0);
        assert_true(j->state == JOB_WAITING && j->delayed && j->not_before_usec == now.realtime + 10 * SEC);
        set_not_before(m, at, now.realtime + 10 * SEC);
        assert_int_equal(model_hold(m, held, &now), 0);
        set_delay(m, held, 20 * SEC);

        /* set forwards: only the time of the wall has come */
        now.realtime += 3600 * SEC;
        model_due(m, j, &now);
        model_due(m, at, &now);
        assert_true(j->state == JOB_WAITING && at->state == JOB_READY);
        /* a span that begins before that is noticed */
        set_delay(m, at, 5 * SEC);
        assert_true(at->state == JOB_WAITING && at->not_before_usec == now.steady + 5 * SEC);

        model_clock_set(m, 3600 * SEC);
        now.steady = now.realtime;
        assert_true(j->not_before_usec == now.realtime + 10 * SEC && held->not_before_usec == now.realtime + 20 * SEC);

        /* and back */
        now.realtime -= 3700 * SEC;
        model_clock_set(m, -3700 * (int64_t) SEC);
        now.steady = now.realtime;
        assert_true(j->not_before_usec == now.realtime + 10 * SEC);
        now.steady = now.realtime += 10 * SEC;
        model_due(m, j, &now);
        assert_int_equal(j->state, JOB_READY);

        /* an attempt whose start the journal may be asked about was committed as long ago as before, one that runs at its time */
        Job *starting = submit(m, q, 1, 0), *running = submit(m, q, 1, 0);
        (void) run(m, running);
        assert_int_equal(model_start(m, starting, SD_ID128_NULL, &now), 0);
        starting->live->created_usec = running->live->created_usec = now.realtime;
        model_clock_set(m, -5 * (int64_t) SEC);
        assert_true(starting->live->created_usec == now.realtime - 5 * SEC && running->live->created_usec == now.realtime);
        model_clock_set(m, 5 * SEC);

        /* a time takes the place of the span, and then it does not move */
        set_not_before(m, held, now.realtime + 30 * SEC);
        assert_false(held->delayed);
        model_clock_set(m, 3600 * SEC);
        assert_true(held->not_before_usec == now.realtime + 30 * SEC);

        /* never so late that the store cannot hold it, never "none", never before all times */
        set_delay(m, held, INT64_MAX);
        assert_true(held->not_before_usec == INT64_MAX);
        model_clock_set(m, 3600 * SEC);
        assert_true(held->not_before_usec == INT64_MAX);
        model_clock_set(m, INT64_MIN);
        assert_true(held->not_before_usec == 0);
        set_delay(m, held, USEC_INFINITY);
        assert_true(!held->delayed && held->not_before_usec == USEC_INFINITY);
}

static void test_move(void **state) {
        _cleanup_model_ Model *m = make_model();
        Queue *a = make_queue(m, "a", 4), *ab = make_queue(m, "a-b", 2), *c = make_queue(m, "c", 1);
        Job *ready = submit(m, a, 1, 0), *held = submit(m, a, 1, 0), *waiting = submit(m, a, 2, 0);

        assert_int_equal(model_hold(m, held, &now), 0);
        set_not_before(m, waiting, now.realtime + SEC);
        update(m, waiting, ab, spec_of(waiting), "");
        assert_int_equal(ab->count[JOB_WAITING], 1);

        update(m, ready, ab, spec_of(ready), "");
        update(m, held, ab, spec_of(held), "");
        assert_string_equal(ready->queue_name, "a-b");
        assert_true(ab->count[JOB_READY] == 1 && ab->count[JOB_HELD] == 1 && a->count[JOB_READY] == 0 && a->count[JOB_HELD] == 0);
        assert_true(a->level.all.n_window == 0 && ab->level.all.n_window == 1 && ab->level.all.window[0].id == ready->id);
        assert_true(a->changed && ab->changed);
        check_model(m);

        /* Into one that is full; between two below a full one it is no more than before. */
        c->policy.queued_max = 0;
        refused(m, held, c, spec_of(held), "", -EXFULL, "'c' is full");
        c->policy.queued_max = UINT64_MAX;
        a->policy.queued_max = 3;
        update(m, held, a, spec_of(held), "");
        update(m, held, ab, spec_of(held), "");
        check_model(m);

        JobSpec *wide = spec_of(held);
        wide->slots = 2;
        refused(m, held, c, wide, "slots", -ERANGE, "'c' has only 1");
        model_queue_drain(m, a, true);
        refused(m, held, a, spec_of(held), "", -EDQUOT, "'a' is being drained");
        update(m, held, ab, spec_of(held), ""); /* where it is, draining does not matter */
        prioritize(m, held, 3);
        update(m, held, c, spec_of(held), "");
        (void) run(m, ready);
        refused(m, ready, c, spec_of(ready), "", -EALREADY, "'queue' of job");
}

static void test_states(void **state) {
        _cleanup_model_ Model *m = make_model();
        Queue *q = make_queue(m, "q", 9);
        Job *queued = submit(m, q, 1, 0), *starting = submit(m, q, 1, 0), *running = submit(m, q, 1, 0), *stopping = submit(m, q, 1, 0),
            *done = submit(m, q, 1, 0);
        struct {
                Job *job;
                const char *allowed, *refused;
        } table[] = {
                { queued, "name argv tags priority slots timeout_usec payload environment properties", "hold" },
                { starting, "tags timeout_usec", "argv" },
                { running, "tags stop_timeout_usec", "name" },
                { stopping, "tags", "timeout_usec" },
                { done, "tags", "priority" },
        };

        (void) start(m, starting);
        (void) run(m, running);
        (void) run(m, stopping);
        assert_int_equal(model_cancel(m, stopping, NULL, &now), 0);
        assert_int_equal(model_cancel(m, done, NULL, &now), 0);
        FOREACH_ELEMENT(i, table) {
                _cleanup_free_ char *text = NULL;

                assert_int_equal(model_may_update(i->job, bits(i->allowed), false, &text), 0);
                assert_null(text);
                update(m, i->job, NULL, spec_of(i->job), i->allowed);
                refused(m, i->job, NULL, spec_of(i->job), i->refused, -EALREADY, i->refused);
        }
}

static void test_timeout(void **state) {
        _cleanup_model_ Model *m = make_model();
        Queue *q = make_queue(m, "q", 4);
        JobSpec *spec = make_spec(1, 0);
        Attempt *a;
        Job *j;

        spec->timeout_usec = 100 * SEC;
        spec->stop_timeout_usec = 10 * SEC;
        j = submit_spec(m, q, spec);
        a = run(m, j);
        assert_true(a->deadline == now.monotonic + 100 * SEC);
        refused(m, j, NULL, with_timeouts(j, 101 * SEC, 10 * SEC), "timeout_usec", -ERANGE, "shorter");
        refused(m, j, NULL, with_timeouts(j, USEC_INFINITY, 10 * SEC), "timeout_usec", -ERANGE, "shorter");
        refused(m, j, NULL, with_timeouts(j, 100 * SEC, 11 * SEC), "stop_timeout_usec", -ERANGE, "shorter");
        refused(m, j, NULL, with_timeouts(j, 100 * SEC, USEC_INFINITY), "stop_timeout_usec", -ERANGE, "shorter");
        /* The unit of a freezable one has no limit. */
        a->has_net = false;
        update(m, j, NULL, with_timeouts(j, 200 * SEC, 10 * SEC), "timeout_usec");
        assert_true(a->deadline == now.monotonic + 200 * SEC);
        a->has_net = true;
        update(m, j, NULL, with_timeouts(j, 100 * SEC, 10 * SEC), "timeout_usec");

        update(m, j, NULL, with_timeouts(j, 60 * SEC, 50 * SEC), "timeout_usec stop_timeout_usec");
        assert_true(a->deadline == now.monotonic + 60 * SEC && m->next_deadline <= a->deadline);
        assert_true(attempt_stop_timeout(a) == 50 * SEC);
        a->frozen_usec = 7 * SEC; /* does not count */
        update(m, j, NULL, with_timeouts(j, 30 * SEC, 50 * SEC), "timeout_usec");
        assert_true(a->deadline == now.monotonic + 37 * SEC);
        now.monotonic += 38 * SEC;
        model_deadlines(m, &now);
        assert_int_equal(j->intent, JOB_TIMEOUT);
}

static void test_timeout_where_there_was_none(void **state) {
        _cleanup_model_ Model *m = make_model();
        Queue *q = make_queue(m, "q", 4);
        Job *j = submit(m, q, 1, 0), *early = submit(m, q, 1, 0);
        Attempt *a = run(m, j), *b = start(m, early);

        now.monotonic += 20 * SEC;
        update(m, j, NULL, with_timeouts(j, USEC_INFINITY, 1000 * SEC), "stop_timeout_usec");
        assert_true(a->deadline == USEC_INFINITY);
        update(m, j, NULL, with_timeouts(j, 30 * SEC, 1000 * SEC), "timeout_usec");
        assert_true(a->deadline == now.monotonic + 10 * SEC);
        update(m, early, NULL, with_timeouts(early, 5 * SEC, USEC_INFINITY), "timeout_usec");
        assert_true(b->deadline == USEC_INFINITY); /* it does not run yet */
        model_attempt_started(m, b, invocation, now.realtime, now.monotonic);
        assert_true(b->deadline == now.monotonic + 5 * SEC);
        now.monotonic += 6 * SEC;
        model_deadlines(m, &now);
        assert_int_equal(early->state, JOB_STOPPING);
        assert_int_equal(j->state, JOB_RUNNING);
}

/* What is to be stored. */
static void test_record(void **state) {
        _cleanup_model_ Model *m = make_model();
        Queue *q = make_queue(m, "q", 4);
        Job *j = submit(m, q, 1, 0);
        JobSpec *spec = spec_of(j);

        assert_int_equal(strv_extend(&spec->tags, "a"), 0);
        assert_int_equal(strv_extend(&spec->tags, "b"), 0);
        update(m, j, NULL, spec, "tags");
        assert_ptr_equal(j->spec, spec); /* new: it is stored whole */
        assert_null(j->edited);
        (void) start(m, j);
        model_recorded(m);

        assert_false(j->changed);
        update(m, j, NULL, with_timeouts(j, 5 * SEC, USEC_INFINITY), "timeout_usec");
        assert_true(j->changed && j->was_edited && !j->edited); /* stands in the job's row */
        spec = spec_of(j);
        update(m, j, NULL, spec, "tags");
        assert_ptr_equal(j->edited, spec);
        assert_true(j->edited_fields == bits("tags timeout_usec"));
        model_recorded(m);
        assert_true(!j->edited && j->edited_fields == 0 && !j->was_edited);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_priority),
                cmocka_unit_test(test_priority_beyond_the_window),
                cmocka_unit_test(test_not_before),
                cmocka_unit_test(test_delay),
                cmocka_unit_test(test_move),
                cmocka_unit_test(test_states),
                cmocka_unit_test(test_timeout),
                cmocka_unit_test(test_timeout_where_there_was_none),
                cmocka_unit_test(test_record),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
