/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A change of AgeingSec= or Fair=: ranks are stored, so all ready jobs of the queue are to be given new ones. Those in memory get
 * theirs at once; those in the store some at a time, oldest first (store-rerank.c). What becomes ready meanwhile has the new order
 * from the beginning. Until all are done the queue's row says that its ranks are of both orders, so that a daemon that dies on the
 * way begins again; its jobs are started by the ranks that they have, and users begin to share when the last one is done. */

#include "queue/model-internal.h"

/* If it has another order than that of its row. */
static void begin_queue(Model *m, Queue *q) {
        usec_t ageing = queue_ageing(q);
        bool changed = q->ranked_ageing != ageing || q->ranked_fair != q->policy.fair;

        if (!changed && (!q->reranking || m->reranking))
                return;
        q->ranked_ageing = ageing;
        q->ranked_fair = q->policy.fair;
        q->reranking = q->count[JOB_READY] > 0;
        model_queue_changed(m, q);
        if (!q->reranking)
                return;
        m->reranking = true;
        m->reranked = 0;
}

void model_rerank_begin(Model *m) {
        Queue *q, *t;

        HASH_ITER(hh, m->queues, q, t)
                begin_queue(m, q);
        /* Also what became ready in this turn, by an order that was changed back before anybody looked. */
        for (Job *j = m->jobs; j; j = j->hh.next)
                if (j->state == JOB_READY && (j->queue->reranking || j->changed))
                        job_set_rank(j);
}

void model_rerank_read_again(Model *m) {
        Queue *q, *t;

        HASH_ITER(hh, m->queues, q, t)
                if (q->reranking)
                        queue_window_clear(q);
}

void model_rerank_done(Model *m) {
        Queue *q, *t;

        m->reranking = false;
        HASH_ITER(hh, m->queues, q, t)
                q->reranking = false;
        m->schedule.stale = true;
}
