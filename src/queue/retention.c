/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* How long ended jobs are kept: Keep= and KeepMax= of the queue, or what the job says itself (keep_usec). Dead ones are kept until
 * somebody retries or purges them, and so is everything in a queue whose file is not there or bad: nobody knows what it would say.
 *
 * Time is that of the clock that is never set (Now.even): a clock that shows the wrong year for a minute costs nobody his history.
 * Here is only noted when it is worth looking, in a heap of queues; the store knows what there is. */

#include "queue/model.h"

#define SLACK_MAX (10 * 60 * USEC_PER_SEC) /* not for each one that comes of age, so that the daemon sleeps meanwhile */

uint64_t retention_excess(const Queue *q) {
        uint64_t kept = q->count[JOB_DONE] - MIN(q->dead, q->count[JOB_DONE]);

        return q->policy.keep_max < kept ? kept - q->policy.keep_max : 0;
}

static usec_t with_slack(usec_t when, usec_t span) {
        return when == USEC_INFINITY ? when : usec_add(when, MIN(span / 16, (usec_t) SLACK_MAX));
}

static void look_at(Model *m, Queue *q, usec_t when) {
        heap_set_time(&m->purges, &q->purge, when);
        m->next_purge = heap_first_time(m->purges);
}

/* Where many have to stay, each look passes over all of them: not for a single one more. They are looked at now and then anyway. */
static bool is_over_number(const Queue *q) {
        return retention_excess(q) > q->look.stayed + q->look.stayed / 8;
}

void retention_done(Model *m, Job *j, const Now *now) {
        usec_t keep = j->keep_usec != USEC_INFINITY ? j->keep_usec : j->queue->policy.keep_usec;

        j->ended_usec = now->even;
        if (!j->dead)
                look_at(m, j->queue, MIN(j->queue->purge.when, is_over_number(j->queue) ? 0 : with_slack(usec_add(now->even, keep), keep)));
}

void retention_look_again(Model *m, Queue *q) {
        look_at(m, q, 0);
}

Queue *retention_next(Model *m, const Now *now) {
        while (heap_first_time(m->purges) <= now->even) {
                Queue *q = CONTAINER_OF(m->purges, Queue, purge);

                if (q->configured && q->count[JOB_DONE] > q->dead)
                        return q;
                look_at(m, q, USEC_INFINITY); /* until something of it ends, or it has a file again */
        }
        return NULL;
}

void retention_looked(Model *m, Queue *q, usec_t next, const Now *now) {
        /* One that is to go on at once lets the others go first. */
        look_at(m, q, MAX(now->even + 1, with_slack(next, MIN(q->policy.keep_usec, usec_sub(next, now->even)))));
}
