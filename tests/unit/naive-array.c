/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Places in arrays, unique keys and start deadlines, as docs/states.md says. See naive.h. */

#include "naive.h"

unsigned naive_array_used(const Naive *n, unsigned array) {
        unsigned used = 0;

        for (unsigned id = 1; id < NJ; id++)
                used += n->jobs[id].there && n->jobs[id].array == array && !n->jobs[id].waits && n->jobs[id].state != JOB_HELD &&
                        n->jobs[id].state != JOB_DONE;
        return used;
}

unsigned naive_array_next(const Naive *n, unsigned array) {
        if (n->array_max[array] > 0 && naive_array_used(n, array) >= n->array_max[array])
                return 0;
        for (unsigned id = 1; id < NJ; id++)
                if (n->jobs[id].there && n->jobs[id].array == array && n->jobs[id].waits && n->jobs[id].state == JOB_WAITING)
                        return id;
        return 0;
}

void naive_give_place(Naive *n, unsigned id, const Now *now) {
        if (naive_array_next(n, n->jobs[id].array) != id)
                naive_fail("job %u is given a place in its array, it should be %u", id, naive_array_next(n, n->jobs[id].array));
        COVER(array_place_given);
        n->jobs[id].waits = false;
        naive_let_go(n, n->jobs + id, now);
}

/* At most so many run, whatever they were given before the limit was lowered. */
bool naive_array_is_full(const Naive *n, unsigned array) {
        unsigned live = 0;

        for (unsigned id = 1; id < NJ; id++)
                live += n->jobs[id].there && n->jobs[id].array == array && job_state_is_live(n->jobs[id].state);
        return array > 0 && n->array_max[array] > 0 && live >= n->array_max[array];
}

void naive_take_place(Naive *n, unsigned id) {
        if (n->jobs[id].state != JOB_READY || !naive_array_is_full(n, n->jobs[id].array))
                naive_fail("job %u loses its place in its array", id);
        COVER(array_place_taken);
        n->jobs[id].waits = true;
        naive_become(n, id, JOB_WAITING);
}

/* ---- unique keys ---- */

bool naive_key_is_locked(const Naive *n, unsigned id, const Now *now) {
        const NaiveJob *j = n->jobs + id;

        return j->there && j->state == JOB_DONE && j->holds && j->until != USEC_INFINITY && j->until > now->steady;
}

/* docs/states.md, Unique keys. A span that is over counts from when somebody asks. */
unsigned naive_holder(Naive *n, unsigned q, unsigned owner, unsigned key, const Now *now) {
        for (unsigned id = 1; id < NJ; id++) {
                NaiveJob *j = n->jobs + id;

                if (!j->there || !j->holds || j->key != key || j->owner != owner || j->queue != q)
                        continue;
                if (j->state == JOB_DONE && j->until <= now->steady) {
                        COVER(key_span_over);
                        j->holds = false;
                        continue;
                }
                if (j->state == JOB_DONE)
                        COVER(key_of_span);
                return id;
        }
        return 0;
}

void naive_take_key_again(Naive *n, unsigned id, const Now *now) {
        NaiveJob *j = n->jobs + id;
        unsigned holder;

        if (!j->wants)
                naive_fail("job %u takes a key again that it has not given up", id);
        j->wants = false;
        if (job_state_is_live(j->state) || j->state == JOB_DONE)
                return;
        holder = naive_holder(n, j->queue, j->owner, j->key, now);
        j->holds = holder == 0 || (j->array > 0 && n->jobs[holder].array == j->array);
        if (j->holds)
                COVER(key_taken_again);
        else
                COVER(key_gone_meanwhile);
}

static bool shares(const NaiveJob *j, const NaiveJob *other) {
        return j->there && j->holds && j->key == other->key && j->owner == other->owner && j->queue == other->queue;
}

/* Of an array each job holds its key for itself. It is replaced where none of them has been started, or they have given it up. */
unsigned naive_replaceable(const Naive *n, unsigned holder, const Now *now) {
        unsigned found = 0;

        for (unsigned id = 1; id < NJ; id++) {
                const NaiveJob *j = n->jobs + id;

                if (!shares(j, n->jobs + holder) || (j->state == JOB_DONE && j->until <= now->steady))
                        continue;
                if (!job_state_is_queued(j->state))
                        return 0;
                found++;
        }
        return found;
}

void naive_replace(Naive *n, unsigned holder) {
        NaiveJob of = n->jobs[holder];

        for (unsigned id = 1; id < NJ; id++)
                if (shares(n->jobs + id, &of) && job_state_is_queued(n->jobs[id].state)) {
                        (void) naive_cancel(n, id);
                        n->jobs[id].holds = false;
                }
}

/* ---- start deadlines ---- */

/* By then it is to have been started, once. */
bool naive_is_expired(const Naive *n, unsigned id, const Now *now) {
        const NaiveJob *j = n->jobs + id;

        if (!j->there || job_state_is_live(j->state) || j->state == JOB_DONE || j->deadline > now->realtime)
                return false;
        if (j->attempt > 0)
                return COVER(deadline_kept), false;
        return true;
}

void naive_expire(Naive *n, unsigned id, const Now *now) {
        if (!naive_is_expired(n, id, now))
                return;
        COVER(expired);
        if (n->jobs[id].state == JOB_HELD)
                COVER(expired_held);
        naive_finish(n, id, JOB_EXPIRED);
}
