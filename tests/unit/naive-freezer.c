/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Of the small model (naive.h): jobs that stand still. */

#include "naive.h"

static void set_freezer(NaiveAttempt *a, Freezer f, usec_t since) {
        a->freezer = f;
        a->since = since;
}

int naive_freeze(Naive *n, unsigned id, const Now *now) {
        NaiveJob *j = n->jobs + id;
        NaiveAttempt *a = &n->attempts[id][j->attempt];

        if (j->state != JOB_RUNNING)
                return j->state == JOB_DONE ? -EALREADY : -EBUSY;
        if (a->worker > 0)
                return -EOPNOTSUPP;
        if (a->freezer == FREEZER_FROZEN || a->freezer == FREEZER_FREEZING)
                return 0;
        if (a->net)
                return COVER(freeze_refused_net), -ETIME;
        set_freezer(a, FREEZER_FREEZING, now->monotonic);
        return 0;
}

int naive_thaw(Naive *n, unsigned id, const Now *now) {
        NaiveJob *j = n->jobs + id;
        NaiveAttempt *a = &n->attempts[id][j->attempt];

        if (j->state != JOB_RUNNING)
                return j->state == JOB_DONE ? -EALREADY : -EBUSY;
        if (a->worker > 0)
                return -EOPNOTSUPP;
        if (a->freezer == FREEZER_THAWING)
                return 0;
        if (a->freezer == FREEZER_FROZEN)
                a->frozen += now->monotonic - a->since;
        set_freezer(a, FREEZER_THAWING, now->monotonic);
        return 0;
}

/* What is seen counts, whoever did it. While a wish is open, time counts as what it was seen to be afterwards. */
void naive_seen_frozen(Naive *n, unsigned id, unsigned number, bool frozen, const Now *now) {
        NaiveAttempt *a = &n->attempts[id][number];
        usec_t open = now->monotonic - a->since;

        if (!a->live || !a->running)
                return;
        if (frozen) {
                if (a->freezer == FREEZER_THAWED) {
                        COVER(frozen_outside);
                        set_freezer(a, FREEZER_FROZEN, now->monotonic);
                } else if (a->freezer == FREEZER_FREEZING) {
                        COVER(frozen);
                        set_freezer(a, FREEZER_FROZEN, a->since);
                } else if (a->freezer == FREEZER_THAWING) {
                        a->frozen += open;
                        set_freezer(a, FREEZER_THAWING, now->monotonic);
                }
        } else if (a->freezer == FREEZER_FREEZING) {
                COVER(freeze_open);
                set_freezer(a, FREEZER_FREEZING, now->monotonic);
        } else if (a->freezer == FREEZER_THAWING) {
                COVER(thawed);
                set_freezer(a, FREEZER_THAWED, USEC_INFINITY);
        } else if (a->freezer == FREEZER_FROZEN) {
                COVER(thawed_outside);
                a->frozen += open;
                set_freezer(a, FREEZER_THAWED, USEC_INFINITY);
        }
}

void naive_freeze_failed(Naive *n, unsigned id, unsigned number) {
        NaiveAttempt *a = &n->attempts[id][number];

        if (!a->live || !a->running || a->freezer != FREEZER_FREEZING)
                return;
        COVER(freeze_failed);
        set_freezer(a, FREEZER_THAWED, USEC_INFINITY);
}
