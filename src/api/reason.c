/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Why a job waits, for people: for other jobs, which only the store knows, or for what the model says. */

#include "api/api.h"
#include "api/dict.h"

/* NULL: it does not wait for other jobs. */
static int waits_for_jobs(const Api *a, const Job *j, char **ret) {
        uint64_t ids[EDGE_WAITS_SHOWN], n = 0;
        int r;

        *ret = NULL;
        if (j->state != JOB_WAITING || j->blockers == 0)
                return 0;
        r = store_open_edges(a->store, j->id, ids, ELEMENTSOF(ids), &n);
        if (r < 0 || n == 0)
                return r;
        *ret = edge_waits(ids, MAX(n, (uint64_t) j->blockers - j->array_waits)); /* which are all that are open */
        return *ret ? 0 : -ENOMEM;
}

int dict_reason(const Api *a, const Job *j, char **ret) {
        int r;

        r = waits_for_jobs(a, j, ret);
        if (r >= 0 && !*ret)
                *ret = schedule_reason(a->model, j, model_queue(a->model, j->queue_name), &a->now);
        return r < 0 ? r : *ret ? 0 : -ENOMEM;
}
