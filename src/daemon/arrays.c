/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Decide, for arrays: places that are free go to those of their jobs that wait for one, in the order of their indexes; so many at a time,
 * the rest in the next round of the same turn. Jobs in memory are the truth, the store knows the others. */

#include "daemon/manager.h"

#include "base/log.h"

#define PLACES_PER_ROUND 256U

typedef struct Stored {
        uint64_t ids[PLACES_PER_ROUND];
        size_t n, i;
        uint64_t last; /* that was read */
        bool all;
} Stored;

/* Of those that are in the store only the first that waits; 0: none. */
static int next_in_store(Manager *m, const Array *a, Stored *s, uint64_t *ret) {
        int r;

        for (;; s->i++) {
                if (s->i == s->n) {
                        *ret = 0;
                        if (s->all)
                                return 0;
                        r = store_load_array_waiting(m->store, a->id, s->last, s->ids, ELEMENTSOF(s->ids), &s->n);
                        if (r < 0)
                                return log_error_errno(r, "Failed to look for the next of array %" PRIu64 ": %s", a->id, store_error(m->store));
                        s->i = 0;
                        s->all = s->n < ELEMENTSOF(s->ids);
                        if (s->n == 0)
                                return 0;
                        s->last = s->ids[s->n - 1];
                }
                *ret = s->ids[s->i];
                if (!model_job(m->model, *ret) && !model_is_purged(m->model, *ret))
                        return 0;
        }
}

/* 0: nobody waits any more, or no place is left; 1: there may be more to do. */
static int fill_array(Manager *m, Array *a) {
        uint64_t id;
        Stored s = {};
        Job *j;
        int r;

        for (unsigned i = 0; array_free_places(a) > 0; i++) {
                if (i == PLACES_PER_ROUND)
                        return 1;
                r = next_in_store(m, a, &s, &id);
                if (r < 0)
                        return r;
                j = array_first_waiting(a);
                if (!j && id == 0)
                        return 0;
                if (!j || (id > 0 && id < j->id)) {
                        r = manager_load_job(m, id, &j);
                        if (r < 0)
                                return r;
                        if (!array_element_waits(j)) { /* damaged: it would be found again and again */
                                s.i++;
                                continue;
                        }
                }
                model_array_give_place(m->model, j, &m->now);
        }
        return 0;
}

void manager_fill_arrays(Manager *m) {
        Array *a, *t;

        if (m->storage_failed)
                return;
        TAILQ_FOREACH_SAFE(a, &m->model->wanted_arrays, wanted_entry, t)
                if (a->id != m->model->deferred_array && fill_array(m, a) == 0)
                        model_array_settled(m->model, a);
}
