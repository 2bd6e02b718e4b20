/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The clock of the wall was set: what is kept as a time of it, but is meant as so much time from then on, moves along. */

#include "queue/model.h"

static usec_t moved(usec_t t, int64_t step) {
        if (t == USEC_INFINITY)
                return t;
        return step < 0 ? usec_sub(t, -(uint64_t) step) : MIN(usec_add(t, step), (usec_t) INT64_MAX);
}

void model_clock_set(Model *m, int64_t step) {
        Attempt *a, *ta;
        Job *j, *tj;

        HASH_ITER(hh, m->jobs, j, tj)
                if (j->delayed && (j->state == JOB_WAITING || j->state == JOB_HELD))
                        j->not_before_usec = moved(j->not_before_usec, step);
        HASH_ITER(hh, m->jobs, j, tj)
                if (j->unique_held)
                        j->unique_until_usec = moved(j->unique_until_usec, step);
        /* The journal is asked whether it reaches back to then. */
        HASH_ITER(hh, m->attempts, a, ta)
                if (a->phase == ATTEMPT_STARTING)
                        a->created_usec = moved(a->created_usec, step);
        admission_clock_set(m, step);
}
