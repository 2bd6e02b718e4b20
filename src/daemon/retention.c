/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Ended jobs go when they were kept long enough (queue/retention.c): a few a turn, with the commit of the next one, so that no turn is
 * long, however many there are. */

#include "daemon/manager.h"

#include "base/log.h"

#define PURGE_PER_TURN 64U
#define LOOK_PER_TURN 256U /* queues */
#define PURGE_RETRY (60 * USEC_PER_SEC)

/* How many of n went. */
static int expire_queue(Manager *m, Queue *q, size_t n) {
        uint64_t ids[PURGE_PER_TURN];
        usec_t next;
        size_t k;
        int r;

        r = store_load_outdated(m->store, q->name, &m->now, q->policy.keep_usec, retention_excess(q), &q->look, ids, n, &k, &next);
        if (r < 0)
                return r;
        for (size_t i = 0; i < k; i++) {
                Job *j;

                r = manager_load_job(m, ids[i], &j);
                if (r == -ENOENT)
                        continue;
                if (r >= 0)
                        r = model_purge(m->model, j);
                if (r < 0)
                        return r;
        }
        if (k < n)
                retention_looked(q, next, &m->now);
        return (int) k;
}

void manager_expire_jobs(Manager *m) {
        Model *model = m->model;
        size_t left = PURGE_PER_TURN, looks = LOOK_PER_TURN;
        Queue *q, *t;
        int r;

        if (m->storage_failed || m->now.even < model->next_purge)
                return;
        model->next_purge = USEC_INFINITY;
        HASH_ITER(hh, model->queues, q, t) {
                if (retention_is_due(q, &m->now) && left > 0 && looks > 0) {
                        looks--;
                        r = expire_queue(m, q, left);
                        if (r < 0) {
                                log_warning_errno(r, "Failed to purge old jobs of queue %s, trying again later: %s", q->name, store_error(m->store));
                                q->purge_at = usec_add(m->now.even, PURGE_RETRY);
                                q->look = (RetentionLook) {};
                        } else
                                left -= (size_t) r;
                }
                if (q->configured && q->count[JOB_DONE] > q->dead)
                        model->next_purge = MIN(model->next_purge, q->purge_at);
        }
}

bool manager_expires_more(const Manager *m) {
        return m->model->n_purged > 0 || (!m->storage_failed && m->model->next_purge <= m->now.even);
}

usec_t manager_next_purge(const Manager *m) {
        return m->model->next_purge == USEC_INFINITY ? USEC_INFINITY : usec_add(m->model->next_purge, m->clock_shift);
}
