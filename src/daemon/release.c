/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What the end of a job means for those that wait for it (queue/edge.h), decided in the turn in which it ends and recorded in the same
 * commit: they are released, or end as "dependency", which is an end again. There may be very many: each turn decides
 * RELEASES_PER_TURN of them, and which jobs' dependents are left is recorded too, so that the next turn, or the next daemon,
 * goes on there. */

#include "daemon/manager.h"

#include "base/crash-point.h"
#include "base/log.h"

#ifndef RELEASES_AT_ONCE
#define RELEASES_AT_ONCE 64U
#endif

static int add_ended(Manager *m) {
        Job *j;
        int r;

        TAILQ_FOREACH(j, &m->model->changed, changed_entry) {
                if (j->state != JOB_DONE || (j->told_state == JOB_DONE && !j->reopened) || j->released)
                        continue;
                r = model_ended_add(m->model, j->id, /* stored = */ false);
                if (r < 0)
                        return r;
                j->released = true;
        }
        return 0;
}

static int release_one(Manager *m, const Edge *e, const Job *before) {
        Job *j;
        int r;

        r = manager_load_job(m, e->job, &j);
        if (r < 0)
                return r == -ENOENT ? 0 : r; /* purged */
        return model_edge_ended(m->model, j, e, before, &m->now);
}

static int release_some(Manager *m, Ended *ended, const Job *before) {
        size_t max = MIN(m->releases_left, (size_t) RELEASES_AT_ONCE), n = 0;
        Edge edges[RELEASES_AT_ONCE];
        int r;

        r = store_load_waiting_for(m->store, ended->id, ended->after, edges, max, &n);
        for (size_t i = 0; r >= 0 && i < n; i++) {
                r = release_one(m, edges + i, before);
                ended->after = edges[i].job;
        }
        m->releases_left -= n;
        /* Those that are new in this commit are only found by the next. */
        ended->through = n < max && !model_has_new_edge_to(m->model, ended->id, true);
        return r < 0 ? r : n == max;
}

/* Some of its dependents. 1: there are more. */
static int release(Manager *m, Ended *ended) {
        /* One that is not there can not tell any more how it ended. */
        Job gone = { .id = ended->id, .state = JOB_DONE, .told_state = JOB_DONE, .result = JOB_LOST }, *before;
        int r;

        r = manager_load_job(m, ended->id, &before);
        if (r == -ENOENT)
                before = &gone;
        else if (r < 0)
                return r;
        /* It was retried meanwhile: when it ends again they are decided by that. */
        if (before->state != JOB_DONE) {
                ended->through = true;
                return 0;
        }
        r = release_some(m, ended, before);
        ended->looked_at = ended->looked_at || r == 0;
        CRASH_POINT("released");
        return r;
}

/* In turns: one of which very many wait keeps nobody else's waiting, in the next turn of the daemon neither. What ends by this is put
 * behind the others. */
static int release_all(Manager *m) {
        Ended *e, *next, *last = NULL;
        int r;

        for (;;) {
                r = add_ended(m);
                e = last ? last->hh.next : m->model->releases.ended;
                if (r < 0 || !e)
                        return r;
                for (; e; e = next) {
                        bool looked_at = e->looked_at || e->through;

                        if (!looked_at && m->releases_left == 0)
                                return 0;
                        r = looked_at ? 0 : release(m, e);
                        if (r < 0)
                                return r;
                        if (r == 0)
                                last = e;
                        next = r == 0 ? e->hh.next : model_ended_put_behind(m->model, e);
                }
        }
}

int manager_release(Manager *m) {
        int r = release_all(m);

        return r >= 0 ? r : log_error_errno(r, "Failed to release what waits for jobs that have ended: %s", store_error(m->store));
}
