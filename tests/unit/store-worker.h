/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Workers for the tests of the store. */

#include "store-util.h"

static inline Worker *add_worker(Model *m, const char *queue) {
        Worker *w = worker_new();

        assert_non_null(w);
        *w = (Worker) { .token = token, .boot_id = invocation, .uid = 1000, .pid = 4711, .started = UINT64_C(1) << 40, .slots = 2,
                        .registered_usec = now.realtime };
        assert_int_equal(strv_extend(&w->queues, queue), 0);
        assert_int_equal(strv_extend(&w->queues, "other-queue"), 0);
        (void) add_queue(m, queue);
        assert_int_equal(model_worker_add(m, w, false), 0);
        model_worker_connected(m, w, true);
        return w;
}

static inline void register_and_forget(Store *s) {
        _cleanup_model_ Model *m = load(s), *again = NULL;
        Worker *w = add_worker(m, "q");
        uint64_t id = w->id;

        record(s, m);
        again = load(s);
        w = model_worker(again, id);
        assert_non_null(w);
        model_worker_gone(again, w, &now);
        record(s, again);
        assert_null(model_worker(again, id));
        assert_int_equal(number(s, "SELECT count(*) FROM worker"), 0);
}

/* A job in the foreground: its process is known until it is done. */
static inline void run_and_end(Store *s) {
        _cleanup_model_ Model *m = load(s), *again = NULL, *last = NULL;
        Job *j = model_job(m, submit(m, add_queue(m, "q"), make_spec("true")));
        Run *r = new0(Run, 1);
        uint64_t id = j->id;

        assert_non_null(r);
        *r = (Run) { .job = id, .token = token, .boot_id = invocation, .pid = 4711, .started = UINT64_C(1) << 40, .pidfd = -EBADF };
        j->foreground = true;
        model_run_add(m, r, false);
        record(s, m);
        again = load(s);
        r = model_run(again, id);
        assert_non_null(r);
        assert_true(r->pid == 4711 && r->started == UINT64_C(1) << 40 && sd_id128_equal(r->token, token) && r->pidfd < 0);
        assert_int_equal(number(s, "SELECT count(*) FROM job WHERE foreground = 1"), 1);
        model_run_away(again, r);
        assert_ptr_equal(model_next_gone_run(again), r);
        model_run_connected(again, r, true); /* it is back */
        assert_int_equal(store_load_job(s, id, &j), 0);
        model_job_add(again, j, model_queue(again, "q"));
        assert_true(run_is_away(again, j->id) == false);
        model_run_end(again, r, j, &now);
        assert_int_equal(j->state, JOB_READY);
        model_run_connected(again, r, false);
        assert_true(run_is_away(again, j->id));
        assert_ptr_equal(model_run_of_token(again, &token), r);
        assert_ptr_equal(model_run_of_process(again, invocation, UINT64_C(1) << 40, 4711), r);
        assert_null(model_run_of_process(again, invocation, UINT64_C(1) << 40, 4712));
        model_run_gone(again, r);
        assert_ptr_equal(model_next_gone_run(again), r);
        assert_null(model_next_gone_run(again));
        assert_true(j->foreground);
        model_run_end(again, r, j, &now);
        assert_null(model_run_of_process(again, invocation, UINT64_C(1) << 40, 4711));
        assert_true(j->state == JOB_DONE && j->result == JOB_CANCELLED);
        record(s, again);
        assert_int_equal(number(s, "SELECT count(*) FROM run"), 0);
        last = load(s);
        assert_null(model_run(last, id));
}
