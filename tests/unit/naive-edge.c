/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Of the small model (naive.h): jobs that wait for others, and when one may go. */

#include "naive.h"

bool naive_is_blocked(const Naive *n, unsigned id) {
        for (unsigned before = 1; before < NJ; before++)
                if (n->edges[id][before].there && !n->edges[id][before].met)
                        return true;
        return false;
}

static bool is_met(const Naive *n, unsigned id, unsigned before) {
        const NaiveEdge *e = &n->edges[id][before];
        bool success = n->jobs[before].result == JOB_SUCCESS;

        return e->on == AFTER_END || (e->on == AFTER_SUCCESS && success) || (e->on == AFTER_FAILURE && !success);
}

bool naive_edge_fails(const Naive *n, unsigned id, unsigned before) {
        return !is_met(n, id, before) && n->edges[id][before].otherwise == OTHERWISE_FAIL;
}

bool naive_is_needed(const Naive *n, unsigned id) {
        for (unsigned behind = 1; behind < NJ; behind++)
                if (n->edges[behind][id].there && n->jobs[behind].there && n->jobs[behind].state != JOB_DONE)
                        return true;
        return false;
}

bool naive_edge_is_overdue(const Naive *n, unsigned id, unsigned before) {
        const NaiveEdge *e = &n->edges[id][before];

        return e->there && !e->met && n->jobs[before].there && n->jobs[before].state == JOB_DONE;
}

void naive_edge_ended(Naive *n, unsigned id, unsigned before, const Now *now) {
        NaiveJob *j = n->jobs + id;

        /* It was purged, as all who waited for it have ended otherwise. */
        if (!n->jobs[before].there && j->state == JOB_DONE) {
                n->edges[id][before].met = true;
                return;
        }
        if (!naive_edge_is_overdue(n, id, before))
                naive_fail("what job %u means for job %u is decided now", before, id);
        n->edges[id][before].met = true;
        if (is_met(n, id, before))
                COVER(edge_met);
        else if (n->edges[id][before].otherwise == OTHERWISE_IGNORE)
                COVER(edge_ignored);
        else if (n->edges[id][before].otherwise == OTHERWISE_CONTINUE) {
                COVER(edge_continued);
                for (unsigned k = 1; k < NJ; k++)
                        n->edges[id][k].met = true;
        } else if (j->state != JOB_DONE && !job_state_is_live(j->state)) {
                COVER(edge_failed);
                naive_finish(n, id, JOB_DEPENDENCY);
        }
        if (j->state == JOB_WAITING && !naive_is_blocked(n, id))
                naive_let_go(n, j, now);
}

void naive_edges_submitted(Naive *n, unsigned id, const JobSpec *spec) {
        for (size_t i = 0; i < spec->n_after; i++) {
                COVER(edge_waits);
                n->edges[id][spec->after[i].id] = (NaiveEdge) { .there = true, .on = spec->after[i].condition,
                                                                        .otherwise = spec->after[i].otherwise };
        }
}

bool naive_edges_retried(Naive *n, unsigned id) {
        const NaiveJob *j = n->jobs + id;

        for (unsigned before = 1; before < NJ; before++)
                if (j->result == JOB_DEPENDENCY && n->edges[id][before].there && n->jobs[before].there &&
                    n->jobs[before].state == JOB_DONE && naive_edge_fails(n, id, before))
                        return false;
        for (unsigned before = 1; before < NJ; before++)
                if (n->edges[id][before].there && n->jobs[before].there && n->jobs[before].state != JOB_DONE) {
                        COVER(edge_open_again);
                        n->edges[id][before].met = false;
                }
        return true;
}

int naive_purge(Naive *n, unsigned id) {
        if (n->jobs[id].state != JOB_DONE)
                return -EBUSY;
        COVER(purged);
        n->jobs[id] = (NaiveJob) {};
        memset(n->edges[id], 0, sizeof(n->edges[id]));
        for (unsigned i = 1; i < NA; i++)
                n->attempts[id][i].row = false;
        return 0;
}
