/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Every column of a job, a spec and an attempt comes back as it was, the unknown ones as unknown. */

#include "store-util.h"

#define _cleanup_store_ _cleanup_(store_closep)

static void assert_job_equal(const Job *a, const Job *b) {
        assert_int_equal(a->id, b->id);
        assert_string_equal(a->queue_name, b->queue_name);
        assert_int_equal(a->owner, b->owner);
        assert_true(streq_ptr(a->owner_name, b->owner_name));
        assert_true(streq_ptr(a->name, b->name));
        assert_int_equal(a->state, b->state);
        assert_int_equal(a->result, b->result);
        assert_int_equal(a->intent, b->intent);
        assert_true(streq_ptr(a->reason, b->reason));
        assert_int_equal(a->priority, b->priority);
        assert_int_equal(a->rank, b->rank);
        assert_int_equal(a->slots, b->slots);
        assert_int_equal(a->attempt, b->attempt);
        assert_int_equal(a->max_attempts, b->max_attempts);
        assert_int_equal(a->dead, b->dead);
        assert_int_equal(a->submitted_usec, b->submitted_usec);
        assert_int_equal(a->not_before_usec, b->not_before_usec);
        assert_int_equal(a->ready_usec, b->ready_usec);
        assert_int_equal(a->started_usec, b->started_usec);
        assert_int_equal(a->finished_usec, b->finished_usec);
        assert_int_equal(a->wait_usec, b->wait_usec);
        assert_int_equal(a->timeout_usec, b->timeout_usec);
        assert_int_equal(a->stop_timeout_usec, b->stop_timeout_usec);
        assert_true(streq_ptr(a->unique_key, b->unique_key) && a->unique_scope == b->unique_scope);
        assert_true(a->unique_held == b->unique_held && a->unique_lent == b->unique_lent);
}

static void check_stored_job(Store *s, const Job *j) {
        _cleanup_(job_freep) Job *stored = NULL;

        assert_int_equal(store_load_job(s, j->id, &stored), 0);
        assert_job_equal(stored, j);
        assert_null(stored->queue);
        assert_false(stored->is_new);
}

static void test_job_columns(void **state) {
        _cleanup_store_ Store *s = open_memory();
        _cleanup_model_ Model *m = model_new();
        Job *j;

        j = model_job(m, submit(m, add_queue(m, "gpu-train"), make_spec("true")));
        assert_int_equal(store_record(s, m), 0);
        check_stored_job(s, j); /* mostly unknown */

        j->is_new = false;
        j->owner = UINT32_MAX - 1;
        j->state = JOB_STOPPING;
        j->intent = JOB_TIMEOUT;
        j->attempt = 3;
        j->reason = strdup("ein \"Grund\" für\talles");
        j->name = strdup("name");
        j->owner_name = mfree(j->owner_name);
        j->priority = -1000;
        j->rank = INT64_MIN + 5;
        j->slots = 65536;
        j->max_attempts = 7;
        j->dead = true;
        j->submitted_usec = 1;
        j->not_before_usec = 2;
        j->ready_usec = 3;
        j->started_usec = 4;
        j->finished_usec = 5;
        j->wait_usec = 0;
        j->timeout_usec = INT64_MAX;
        j->stop_timeout_usec = 8;
        j->unique_key = strdup("k");
        j->unique_scope = UNIQUE_QUEUED;
        j->unique_lent = true;
        assert_int_equal(store_record(s, m), 0);
        check_stored_job(s, j);

        j->state = JOB_DONE;
        j->intent = JOB_RESULT_NONE;
        for (JobResult i = 0; i < _JOB_RESULT_MAX; i++) {
                j->result = i;
                assert_int_equal(store_record(s, m), 0);
                check_stored_job(s, j);
        }
        for (JobState i = 0; i < _JOB_STATE_MAX; i++) {
                j->state = i;
                assert_int_equal(store_record(s, m), 0);
                check_stored_job(s, j);
        }
        _cleanup_(job_freep) Job *none = NULL;
        assert_int_equal(store_load_job(s, 4711, &none), -ENOENT);
}

static void test_spec_columns(void **state) {
        _cleanup_store_ Store *s = open_memory();
        _cleanup_model_ Model *m = model_new();
        _cleanup_(spec_freep) JobSpec *full = NULL, *empty = NULL, *none = NULL;
        JobSpec *spec = make_spec("printf");
        uint64_t id;

        assert_int_equal(strv_extend(&spec->argv, "a \"quoted\"\nword ü"), 0);
        spec->name = strdup("a name");
        spec->cwd = strdup("/tmp");
        spec->umask = 027;
        assert_int_equal(strv_extend(&spec->environment, "A=1"), 0);
        assert_int_equal(strv_extend(&spec->environment, "EMPTY="), 0);
        spec->has_payload = true;
        spec->payload_size = 5;
        spec->payload = (uint8_t *) strdup("a\1b\xff");
        assert_int_equal(strv_extend(&spec->tags, "k"), 0);
        assert_int_equal(strv_extend(&spec->tags, "v"), 0);
        spec->priority = 10;
        spec->slots = 2;
        spec->not_before_usec = now.realtime + 1;
        spec->timeout_usec = 60 * USEC_PER_SEC;
        spec->stop_timeout_usec = 5 * USEC_PER_SEC;
        assert_int_equal(strv_extend(&spec->properties, "MemoryMax=1G"), 0);
        id = submit(m, add_queue(m, "q"), spec);
        assert_int_equal(store_record(s, m), 0);

        assert_int_equal(load_spec(s, id, &full), 0);
        assert_string_equal(full->name, spec->name);
        assert_true(strv_equal(full->argv, spec->argv));
        assert_string_equal(full->cwd, spec->cwd);
        assert_int_equal(full->umask, spec->umask);
        assert_true(strv_equal(full->environment, spec->environment));
        assert_true(full->has_payload);
        assert_int_equal(full->payload_size, 5);
        assert_memory_equal(full->payload, spec->payload, 5);
        assert_true(strv_equal(full->tags, spec->tags));
        assert_int_equal(full->priority, 10);
        assert_int_equal(full->slots, 2);
        assert_int_equal(full->not_before_usec, spec->not_before_usec);
        assert_int_equal(full->timeout_usec, spec->timeout_usec);
        assert_int_equal(full->stop_timeout_usec, spec->stop_timeout_usec);
        assert_true(strv_equal(full->properties, spec->properties));
        model_recorded(m);

        /* An empty payload is one. */
        spec = make_spec("cat");
        spec->has_payload = true;
        id = submit(m, add_queue(m, "q"), spec);
        record(s, m);
        assert_int_equal(load_spec(s, id, &empty), 0);
        assert_true(empty->has_payload);
        assert_int_equal(empty->payload_size, 0);
        assert_null(empty->environment);
        assert_null(empty->name);

        assert_int_equal(load_spec(s, 4711, &none), -ENOENT);
}

static void assert_attempt_equal(const Attempt *a, const Attempt *b) {
        assert_int_equal(a->job_id, b->job_id);
        assert_int_equal(a->number, b->number);
        assert_string_equal(a->unit, b->unit);
        assert_true(epoch_equal(&a->epoch, &b->epoch));
        assert_true(sd_id128_equal(a->token, b->token));
        assert_true(sd_id128_equal(a->invocation_id, b->invocation_id));
        assert_int_equal(a->slots, b->slots);
        for (uint32_t i = 0; i < a->slots; i++)
                assert_int_equal(a->slot_numbers[i], b->slot_numbers[i]);
        assert_int_equal(a->created_usec, b->created_usec);
        assert_int_equal(a->outcome.result, b->outcome.result);
        assert_true(streq_ptr(a->outcome.reason, b->outcome.reason));
        assert_int_equal(a->outcome.exit_status, b->outcome.exit_status);
        assert_int_equal(a->outcome.exit_signal, b->outcome.exit_signal);
        assert_int_equal(a->outcome.started_usec, b->outcome.started_usec);
        assert_int_equal(a->outcome.finished_usec, b->outcome.finished_usec);
        assert_int_equal(a->outcome.runtime_usec, b->outcome.runtime_usec);
        assert_int_equal(a->outcome.cpu_usec, b->outcome.cpu_usec);
        assert_int_equal(a->outcome.memory_peak, b->outcome.memory_peak);
        assert_int_equal(a->outcome.memory_peak_sampled, b->outcome.memory_peak_sampled);
        assert_int_equal(a->outcome.io_read_bytes, b->outcome.io_read_bytes);
        assert_int_equal(a->outcome.io_write_bytes, b->outcome.io_write_bytes);
        assert_int_equal(a->outcome.tasks_peak, b->outcome.tasks_peak);
        assert_int_equal(a->freezer, b->freezer);
        assert_int_equal(a->freezer_usec, b->freezer_usec);
        assert_int_equal(a->frozen_usec, b->frozen_usec);
}

static void check_stored_attempt(Store *s, const Attempt *a, AttemptPhase phase) {
        _cleanup_(attempt_freep) Attempt *stored = NULL;

        assert_int_equal(store_load_attempt(s, a->job_id, a->number, &stored), 0);
        assert_attempt_equal(stored, a);
        assert_int_equal(stored->phase, phase);
        assert_false(stored->is_new);
}

static void test_attempt_columns(void **state) {
        _cleanup_store_ Store *s = open_memory();
        _cleanup_model_ Model *m = model_new();
        _cleanup_(attempt_freep) Attempt *none = NULL;
        Attempt *a;
        JobSpec *spec = make_spec("true");
        Outcome *o;

        m->epoch = (Epoch) { .boot_id = invocation, .userspace_usec = 77 };
        spec->slots = 3;
        a = start(s, m, submit(m, add_queue(m, "q"), spec))->live;
        record(s, m);
        check_stored_attempt(s, a, ATTEMPT_STARTING); /* mostly unknown */

        model_attempt_started(m, a, invocation, now.realtime + 1, now.monotonic + 1);
        record(s, m);
        check_stored_attempt(s, a, ATTEMPT_RUNNING);

        a->frozen_usec = 21;
        for (Freezer f = 0; f < _FREEZER_MAX; f++) {
                a->freezer = f;
                a->freezer_usec = f == FREEZER_THAWED ? USEC_INFINITY : 22;
                model_attempt_changed(m, a);
                record(s, m);
                check_stored_attempt(s, a, ATTEMPT_RUNNING);
        }

        o = &a->outcome;
        *o = (Outcome) { JOB_SIGNAL, strdup("why"), 0, 9, 11, 12, 13, 14, 15, true, 16, 17, 18 };
        model_attempt_changed(m, a);
        record(s, m);
        check_stored_attempt(s, a, ATTEMPT_ENDED);
        o->exit_status = 255;
        o->exit_signal = 0;
        o->memory_peak_sampled = false;
        model_attempt_changed(m, a);
        record(s, m);
        check_stored_attempt(s, a, ATTEMPT_ENDED);

        assert_int_equal(store_load_attempt(s, a->job_id, 2, &none), -ENOENT);
        assert_int_equal(store_load_attempt(s, 4711, 1, &none), -ENOENT);
}

static void test_relaxed(void **state) {
        _cleanup_directory_ Directory d = make_directory();
        _cleanup_store_ Store *s = NULL;
        _cleanup_model_ Model *m = model_new();
        Attempt *a;
        Job *j;

        assert_int_equal(store_open(d.file, &s, NULL), 0);
        j = start(s, m, submit(m, add_queue(m, "q"), make_spec("true")));
        a = j->live;
        record(s, m);
        assert_false(s->relaxed);

        model_attempt_started(m, a, invocation, now.realtime, now.monotonic);
        record(s, m);
        assert_true(s->relaxed);
        assert_int_equal(number(s, "PRAGMA synchronous"), 1);

        /* With anything else in it, it is not. */
        model_job_changed(m, j);
        model_queue_pause(m, j->queue, true);
        record(s, m);
        assert_false(s->relaxed);
        assert_int_equal(number(s, "PRAGMA synchronous"), 2);

        model_job_changed(m, j);
        record(s, m);
        assert_true(s->relaxed);
        assert_int_equal(store_set_meta(s, "k", "v"), 0);
        assert_false(s->relaxed);

        model_job_changed(m, j);
        (void) submit(m, j->queue, make_spec("true"));
        record(s, m);
        assert_false(s->relaxed);

        assert_int_equal(model_cancel(m, j, NULL, &now), 0);
        record(s, m);
        assert_false(s->relaxed);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_job_columns),
                cmocka_unit_test(test_spec_columns),
                cmocka_unit_test(test_attempt_columns),
                cmocka_unit_test(test_relaxed),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
