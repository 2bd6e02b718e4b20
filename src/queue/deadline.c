/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Start deadlines: a job that has not started by then is done, result expired, whatever it waited for, and if a user holds it. What has
 * been started once has kept it: the deadline is not one of its further attempts. It is a time of the clock on the wall, as --at. */

#include "queue/model-internal.h"

bool job_has_deadline(const Job *j) {
        return job_state_is_queued(j->state) && j->attempt == 0 && j->deadline_usec != USEC_INFINITY;
}

int spec_check_deadline(const JobSpec *s, const Now *now, char **ret_error) {
        usec_t due = s->delay_usec != USEC_INFINITY ? usec_add(now->steady, s->delay_usec) : s->not_before_usec;

        if (s->deadline_usec == USEC_INFINITY)
                return 0;
        if (s->deadline_usec <= now->realtime)
                return spec_error(ret_error, ERANGE, "'deadline_usec' has passed already");
        if (due != USEC_INFINITY && due >= s->deadline_usec)
                return spec_error(ret_error, ERANGE, "'deadline_usec' has passed before the job may start ('%s')",
                                  s->delay_usec != USEC_INFINITY ? "delay_usec" : "not_before_usec");
        return 0;
}

void model_expire(Model *m, Job *j, const Now *now) {
        if (job_has_deadline(j) && j->deadline_usec <= now->realtime)
                job_finish(m, j, JOB_EXPIRED, "not started by its deadline", now->realtime, now);
}
