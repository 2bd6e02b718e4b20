/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What waits for other jobs, in the model. Edges are rows of the store; here are only the changes to them that the next commit
 * records, together with the jobs that they are about.
 *
 * job->blockers counts the open edges of a job (and whatever else it waits for). It follows each edge, in whatever state the
 * job is, so that the two never part: also one that was cancelled while it waited may be retried. */

#include "queue/model-internal.h"

/* Those that are through; all: the others, too. */
static void ended_free(Releases *l, bool all) {
        Ended *e, *t;

        HASH_ITER(hh, l->ended, e, t)
                if (all || e->through) {
                        HASH_DEL(l->ended, e);
                        free(e);
                }
}

static void new_edges_free(Releases *l) {
        NewEdges *e, *t;

        HASH_ITER(hh, l->new_edges, e, t) {
                HASH_DEL(l->new_edges, e);
                free(e);
        }
}

void releases_done(Releases *l) {
        ended_free(l, true);
        new_edges_free(l);
        free(l->changes);
}

bool releases_changed(const Releases *l) {
        for (const Ended *e = l->ended; e; e = e->hh.next)
                if (e->stored == e->through)
                        return true;
        return l->n_changes > 0;
}

void releases_recorded(Releases *l) {
        Ended *again;

        ended_free(l, false);
        /* One that waits again may be older than those that were looked at. */
        for (const EdgeChange *c = l->changes; c < l->changes + l->n_changes; c++) {
                if (c->met)
                        continue;
                HASH_FIND(hh, l->ended, &c->before, sizeof(c->before), again);
                if (again)
                        again->after = 0;
        }
        for (Ended *e = l->ended; e; e = e->hh.next) {
                e->stored = true;
                e->looked_at = false;
        }
        new_edges_free(l);
        l->n_changes = 0;
}

int model_ended_add(Model *m, uint64_t id, bool stored) {
        Ended *e;

        HASH_FIND(hh, m->releases.ended, &id, sizeof(id), e);
        if (e) { /* once more, after a retry */
                e->after = 0;
                e->through = false;
                return 0;
        }
        e = new0(Ended, 1);
        if (!e)
                return -ENOMEM;
        e->id = id;
        e->stored = stored;
        HASH_ADD(hh, m->releases.ended, id, sizeof(e->id), e);
        return 0;
}

Ended *model_ended_put_behind(Model *m, Ended *e) {
        Ended *next = e->hh.next;

        if (!next)
                return e;
        HASH_DEL(m->releases.ended, e);
        HASH_ADD(hh, m->releases.ended, id, sizeof(e->id), e);
        return next;
}

static int change_edge(Model *m, uint64_t job, uint64_t before, bool met) {
        if (m->releases.n_changes >= m->releases.capacity) {
                size_t capacity = MAX(2 * m->releases.capacity, (size_t) 16);
                EdgeChange *l = reallocarray(m->releases.changes, capacity, sizeof(EdgeChange));

                if (!l)
                        return -ENOMEM;
                m->releases.changes = l;
                m->releases.capacity = capacity;
        }
        m->releases.changes[m->releases.n_changes++] = (EdgeChange) { job, before, met };
        return 0;
}

static void unblock(Model *m, Job *j, uint32_t n, const Now *now) {
        j->blockers -= MIN(j->blockers, n);
        model_job_changed(m, j);
        if (j->state == JOB_WAITING && j->blockers == 0)
                job_let_go(m, j, now);
}

int model_edge_ended(Model *m, Job *j, const Edge *e, const Job *before, const Now *now) {
        _cleanup_free_ char *reason = NULL;
        EdgeOutcome o = edge_decide(e->condition, e->otherwise, before->result);
        int r;

        if (j->edges_void) /* one before this one, in the same commit, let it wait for nothing more */
                return 0;
        r = change_edge(m, j->id, o == EDGE_CONTINUES ? 0 : e->before, true);
        if (r < 0)
                return r;
        if (o == EDGE_CONTINUES) { /* but for a place in its array */
                j->edges_void = true;
                unblock(m, j, j->blockers - MIN(j->blockers, (uint32_t) j->array_waits), now);
        } else if (o == EDGE_FAILED && job_state_is_queued(j->state)) {
                j->blockers -= MIN(j->blockers, UINT32_C(1));
                reason = edge_reason(e->condition, before->id, before->name, before->result);
                job_finish(m, j, JOB_DEPENDENCY, reason, now->realtime, now);
        } else
                unblock(m, j, 1, now);
        return 0;
}

bool job_has_ended(const Job *j) {
        return j->state == JOB_DONE && j->told_state == JOB_DONE && !j->reopened;
}

bool model_edge_forbids(const Job *j, const Edge *e, const Job *before) {
        return j->result == JOB_DEPENDENCY && job_has_ended(before) &&
               edge_decide(e->condition, e->otherwise, before->result) == EDGE_FAILED;
}

static int add_new_edge(Releases *l, uint64_t before, bool open) {
        NewEdges *e;

        HASH_FIND(hh, l->new_edges, &before, sizeof(before), e);
        if (!e) {
                e = new0(NewEdges, 1);
                if (!e)
                        return -ENOMEM;
                e->before = before;
                HASH_ADD(hh, l->new_edges, before, sizeof(e->before), e);
        }
        e->open = e->open || open;
        return 0;
}

int model_edges_added(Model *m, const JobSpec *s) {
        int r = 0;

        for (size_t i = 0; r >= 0 && i < s->n_after; i++)
                r = add_new_edge(&m->releases, s->after[i].id, !s->after[i].met);
        return r;
}

int model_edge_reopen(Model *m, Job *j, const Edge *e, const Job *before) {
        bool open = e->met && !job_has_ended(before);
        int r;

        r = add_new_edge(&m->releases, e->before, open); /* of one that is needed again, which the store does not know yet */
        if (r >= 0 && !open)
                return 0;
        if (r >= 0)
                r = change_edge(m, j->id, e->before, false);
        if (r < 0)
                return r;
        j->blockers++;
        model_job_changed(m, j);
        return 0;
}

int spec_resolve_after(JobSpec *s, size_t i, const Job *before, char **ret_reason) {
        After *a = s->after + i;

        if (!job_has_ended(before))
                return 0;
        switch (edge_decide(a->condition, a->otherwise, before->result)) {
        case EDGE_MET:
                a->met = true;
                return 0;
        case EDGE_CONTINUES:
                for (size_t k = 0; k < s->n_after; k++)
                        s->after[k].met = true;
                return 1;
        default:
                a->met = true;
                if (!*ret_reason)
                        *ret_reason = edge_reason(a->condition, before->id, before->name, before->result);
                return *ret_reason ? 0 : -ENOMEM;
        }
}

bool model_has_new_edge_to(const Model *m, uint64_t id, bool open) {
        const NewEdges *e;

        HASH_FIND(hh, m->releases.new_edges, &id, sizeof(id), e);
        return e && (e->open || !open);
}
