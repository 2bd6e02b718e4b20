/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Workers for the tests of the store. */

#include "store-util.h"

static inline Worker *add_worker(Model *m, const char *queue) {
        Worker *w = new0(Worker, 1);

        assert_non_null(w);
        *w = (Worker) { .token = token, .boot_id = invocation, .uid = 1000, .pid = 4711, .started = UINT64_C(1) << 40, .slots = 2,
                        .registered_usec = now.realtime };
        assert_int_equal(strv_extend(&w->queues, queue), 0);
        assert_int_equal(strv_extend(&w->queues, "other-queue"), 0);
        model_worker_add(m, w, false);
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
