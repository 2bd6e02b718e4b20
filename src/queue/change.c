/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Snapshots for telling: jobs that are done leave memory with the commit, so what is to be said of them is copied before. */

#include "queue/change.h"

void changes_free(Change *l, size_t n) {
        for (size_t i = 0; i < n; i++) {
                free(l[i].reason);
                free(l[i].name);
        }
        free(l);
}

static int change_of(const Model *m, const Job *j, Change *ret) {
        const Attempt *a = model_last_attempt(m, j);

        *ret = (Change) {
                .id = j->id,
                .attempt = j->attempt,
                .owner = j->owner,
                .state = j->state,
                .result = j->result,
                .retried_after = j->retried_after,
                .max_attempts = j->max_attempts,
                .is_new = j->is_new,
                .state_changed = j->told_state != j->state,
                .was_edited = j->was_edited,
                .started_usec = j->started_usec,
                .queue = j->queue,
        };
        if (a && executor_has_worker(a->executor))
                ret->worker = a->worker_id, ret->in_pool = a->executor == EXECUTOR_POOL;
        else if (j->attempt > 0)
                attempt_unit_name(j->id, j->attempt, j->foreground, ret->unit);
        if (a)
                ret->invocation_id = a->invocation_id;
        return free_and_strdup(&ret->reason, j->reason) < 0 || free_and_strdup(&ret->name, j->name) < 0 ? -ENOMEM : 0;
}

int changes_take(const Model *m, Change **ret, size_t *ret_n) {
        size_t n = 0, i = 0;
        Change *l;
        Job *j;
        int r;

        TAILQ_FOREACH(j, &m->changed, changed_entry)
                n++;
        l = new0(Change, n);
        if (!l)
                return -ENOMEM;
        TAILQ_FOREACH(j, &m->changed, changed_entry) {
                r = change_of(m, j, l + i);
                if (r < 0) {
                        changes_free(l, i + 1);
                        return r;
                }
                i++;
        }
        *ret = l;
        *ret_n = n;
        return 0;
}
