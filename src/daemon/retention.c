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
                retention_looked(m->model, q, next, &m->now);
        return (int) k;
}

void manager_expire_jobs(Manager *m) {
        size_t left = PURGE_PER_TURN;
        Queue *q;
        int r;

        if (m->storage_failed)
                return;
        for (unsigned looks = 0; looks < LOOK_PER_TURN && left > 0 && (q = retention_next(m->model, &m->now)); looks++) {
                r = expire_queue(m, q, left);
                if (r < 0) {
                        log_warning_errno(r, "Failed to purge old jobs of queue %s, trying again later: %s", q->name, store_error(m->store));
                        retention_looked(m->model, q, usec_add(m->now.even, PURGE_RETRY), &m->now);
                        q->look = (RetentionLook) {};
                } else
                        left -= (size_t) r;
        }
}

bool manager_expires_more(const Manager *m) {
        return m->model->n_purged > 0 || (!m->storage_failed && m->model->next_purge <= m->now.even);
}

usec_t manager_next_purge(const Manager *m) {
        return m->model->next_purge == USEC_INFINITY ? USEC_INFINITY : usec_add(m->model->next_purge, m->clock_shift);
}
