/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The small model: how long what has ended is kept. */

#include "naive.h"

#define SLACK (10 * USEC_PER_SEC) /* the daemon is not woken for each one */

static usec_t stayed[NJ]; /* until when it had to */

static usec_t goes_at(const Naive *n, const NaiveJob *j) {
        return usec_add(j->ended, j->keep != USEC_INFINITY ? j->keep : n->files[j->queue].keep);
}

static bool may_go(const Naive *n, const NaiveJob *j, usec_t now) {
        return goes_at(n, j) <= now;
}

/* Somebody who comes after it has yet to be told, or its key is not free. */
static bool has_to_stay(const Naive *n, unsigned id, const Now *now) {
        return naive_is_needed(n, id) || naive_key_is_locked(n, id, now);
}

/* KeepMax=: those that are kept, but not what goes before this one and only stays because it has to (or had to, a moment ago). */
static bool are_too_many(const Naive *n, unsigned id, const Now *now) {
        const NaiveJob *j = n->jobs + id;
        unsigned count = 0;

        for (unsigned i = 1; i < NJ; i++) {
                const NaiveJob *o = n->jobs + i;
                bool stays = has_to_stay(n, i, now) || (stayed[i] > 0 && now->even <= stayed[i] + SLACK);
                bool before = goes_at(n, o) < goes_at(n, j) || (goes_at(n, o) == goes_at(n, j) && i < id);

                if (!o->there || o->state != JOB_DONE || o->dead || o->queue != j->queue)
                        continue;
                if (stays && before && (o->keep == USEC_INFINITY || may_go(n, o, now->even)))
                        COVER(stays_beyond_number);
                else
                        count++;
        }
        return count > n->files[j->queue].keep_max;
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
                if (!are_too_many(n, id, now))
                        naive_fail("job %u goes too early", id);
        } else if (j->keep != USEC_INFINITY)
                COVER(kept_as_it_says);
        else
                COVER(kept_long_enough);
        (void) naive_purge(n, id);
}

bool naive_is_outdated(const Naive *n, unsigned id, const Now *now) {
        const NaiveJob *j = n->jobs + id;

        /* When that is over it is looked for now and then. */
        stayed[id] = has_to_stay(n, id, now) ? now->even : j->there ? stayed[id] : 0;
        if (!j->there || j->state != JOB_DONE || !n->files[j->queue].there)
                return false;
        if (stayed[id] > 0 && now->even <= stayed[id] + SLACK)
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
        return may_go(n, j, now->even - SLACK) || (j->keep == USEC_INFINITY && are_too_many(n, id, now));
}
