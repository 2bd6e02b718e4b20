/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The order of a queue was changed: its stored backlog follows, a piece a turn, before anything is decided. Where one piece is
 * all nobody ever sees the two orders side by side. */

#include "daemon/manager.h"

#include "base/log.h"

#define RERANK_PER_TURN 400U /* some milliseconds */

int manager_rerank(Manager *m) {
        int r;

        schedule_begin(m->model);
        if (!m->model->reranking || m->storage_failed)
                return 0;
        r = store_rerank(m->store, m->model, RERANK_PER_TURN);
        if (r < 0)
                return r;
        model_rerank_read_again(m->model);
        if (r == 0) {
                log_info("All ready jobs have the order of their queues.");
                model_rerank_done(m->model);
        }
        return 0;
}
