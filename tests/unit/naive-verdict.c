/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The small model: what jobs say of themselves. */

#include "naive.h"

int naive_says(unsigned id, unsigned number) {
        return (int) ((id + number) % 3) - 1;
}

JobResult naive_judged(const NaiveJob *j, JobResult measured, int says) {
        if (measured != JOB_SUCCESS || !j->spool)
                return measured;
        if (says == 0)
                return COVER(said_no), JOB_VERDICT;
        if (says == 1)
                return COVER(said_yes), JOB_SUCCESS;
        if (j->verify)
                return COVER(said_nothing), JOB_UNVERIFIED;
        return COVER(said_needlessly), JOB_SUCCESS;
}

/* It is stopped as by a cancel, but has another result. */
bool naive_overflows(Naive *n, unsigned id) {
        NaiveJob *j = n->jobs + id;

        if (!j->there || j->state != JOB_RUNNING || !j->spool)
                return false;
        COVER(overflowed);
        (void) naive_cancel(n, id);
        j->intent = JOB_SIGNAL;
        return true;
}
