/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The small model: how long what has ended is kept. */

#include "naive.h"

static unsigned n_kept(const Naive *n, unsigned q) {
        unsigned k = 0;

        for (unsigned id = 1; id < NJ; id++)
                k += n->jobs[id].there && n->jobs[id].state == JOB_DONE && !n->jobs[id].dead && n->jobs[id].queue == q;
        return k;
}

static bool may_go(const Naive *n, const NaiveJob *j, usec_t now) {
        usec_t keep = j->keep != USEC_INFINITY ? j->keep : n->files[j->queue].keep;

        return usec_add(j->ended, keep) <= now;
}

void naive_outdated(Naive *n, unsigned id, const Now *now) {
        const NaiveJob *j = n->jobs + id;

        if (j->state != JOB_DONE)
                return; /* it was reopened in this turn, and the daemon sees that */
        if (j->dead || !n->files[j->queue].there || naive_is_needed(n, id))
                naive_fail("job %u goes, though it should stay", id);
        if (naive_key_is_locked(n, id, now))
                naive_fail("job %u goes, and so does its unique key", id);
        if (!may_go(n, j, now->even)) {
                COVER(too_many_kept);
                if (n_kept(n, j->queue) <= n->files[j->queue].keep_max)
                        naive_fail("job %u goes too early", id);
        } else if (j->keep != USEC_INFINITY)
                COVER(kept_as_it_says);
        else
                COVER(kept_long_enough);
        (void) naive_purge(n, id);
}

bool naive_is_outdated(const Naive *n, unsigned id, const Now *now) {
        const NaiveJob *j = n->jobs + id;
        usec_t slack = 10 * USEC_PER_SEC; /* the daemon is not woken for each one */
        static usec_t needed[NJ];

        /* Somebody who comes after it has yet to be told, or its key is not free; when that is over it is looked for now and then. */
        needed[id] = naive_is_needed(n, id) || naive_key_is_locked(n, id, now) ? now->even : j->there ? needed[id] : 0;
        if (!j->there || j->state != JOB_DONE || !n->files[j->queue].there)
                return false;
        if (needed[id] > 0 && now->even <= needed[id] + slack)
                return false;
        if (j->dead) {
                if (may_go(n, j, now->even))
                        COVER(keeps_dead);
                return false;
        }
        /* When nobody needs it any more it is not looked at at once. */
        for (unsigned behind = 1; behind < NJ; behind++)
                if (n->edges[behind][id].there && n->jobs[behind].there)
                        return false;
        return may_go(n, j, now->even - slack) ||
               (n_kept(n, j->queue) > n->files[j->queue].keep_max && j->keep == USEC_INFINITY);
}
