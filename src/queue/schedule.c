/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Who starts next: the whole scheduling policy. Pure.
 *
 * Ready jobs are ordered by (rank, id), over all queues together. A job that lacks slots at a level, its own queue or an ancestor,
 * blocks later ranks in that level's subtree, so that it cannot starve, and nobody else. A queue that is paused or shut (admission.c) blocks only
 * itself and what lies below. A job that needs more than a cap could ever give (it was lowered) is passed over: it leaves
 * the window, into which the store then gives what fits. Jobs of a queue whose file is gone, and of the whole subtree of one whose
 * file is bad, wait, since nobody knows its cap. */

#include "queue/model.h"

void schedule_begin(Model *m) {
        Queue *q, *t;

        HASH_ITER(hh, m->queues, q, t) {
                q->cursor = 0;
                q->blocked = q->window_wanted = false;
                q->exhausted = !q->configured || q->count[JOB_READY] == 0 || queue_broken_at(q) || queue_paused_at(q);
        }
}

/* The next candidate of one queue that could be started now, or NULL. */
static const Candidate *queue_next(Queue *q) {
        if (q->exhausted || queue_blocked_at(q) || queue_shut_at(q)) /* a start may have used up a rate */
                return NULL;

        while (q->cursor < q->n_window && queue_too_small(q, q->window[q->cursor].slots)) {
                queue_window_remove(q, q->window[q->cursor].id);
                q->window_more = true;
        }
        if (q->cursor < q->n_window)
                return q->window + q->cursor;

        q->exhausted = true;
        q->window_wanted = q->n_window == 0 && q->window_more;
        return NULL;
}

static bool candidate_before(const Candidate *a, const Candidate *b) {
        return a->rank != b->rank ? a->rank < b->rank : a->id < b->id;
}

bool schedule_next(Model *m, Candidate *ret, Queue **ret_queue) {
        if (m->dispatch_blocked || m->n_starting >= m->starting_max)
                return false;

        for (;;) {
                const Candidate *best = NULL;
                Queue *q, *t, *from = NULL, *lacking;
                bool wanted = false;

                HASH_ITER(hh, m->queues, q, t) {
                        const Candidate *c = queue_next(q);
                        wanted = wanted || (q->window_wanted && !queue_blocked_at(q));
                        if (c && (!best || candidate_before(c, best))) {
                                best = c;
                                from = q;
                        }
                }
                /* What lies on disk may be better than the best in memory: it is read first. */
                if (!best || wanted)
                        return false;

                lacking = (Queue *) queue_lacking_at(from, best->slots);
                if (!lacking) {
                        *ret = *best;
                        *ret_queue = from;
                        return true;
                }
                lacking->blocked = true;
        }
}

void schedule_skip(Queue *q) {
        q->cursor++;
}
