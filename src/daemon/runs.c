/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Jobs in the foreground: decide what becomes of those whose process is gone, and act, for those that may go. What is to be told follows from the
 * state alone, so that a process that is back, or a daemon that was started again, is no special case.
 *
 *   starting            its process is looked at once more before it is given to the manager
 *   running             it is looked at again, and may go
 *   stopping            it need not */

#include "daemon/manager.h"

#include "api/run.h"
#include "base/log.h"
#include "base/strv.h"
#include "unit/job-unit.h"
#include "unit/scope.h"

int manager_end_runs(Manager *m) {
        Run *run;

        while ((run = model_next_gone_run(m->model))) {
                Job *j;
                int r;

                r = manager_load_job(m, run->job, &j);
                if (r == -ENOENT)
                        continue;
                if (r < 0)
                        return r;
                if (j->state != JOB_DONE)
                        model_run_end(m->model, run, j, &m->now);
        }
        return 0;
}

bool manager_check_run(Manager *m, Attempt *a) {
        const Run *run = model_run(m->model, a->job_id);
        Outcome o = OUTCOME_INIT;
        int r;

        if (a->executor != EXECUTOR_SCOPE)
                return true;
        r = run ? api_run_check(run, a->job->owner) : -ESRCH;
        if (r >= 0)
                return true;
        o.result = r == -ESRCH ? JOB_CANCELLED : JOB_EXEC;
        (void) free_and_strdup(&o.reason, r == -ESRCH ? "its process is gone" :
                                          r == -EPERM ? "its process does not run as its owner alone" :
                                                        "its process cannot be looked at");
        model_attempt_ended(m->model, a, &o, &m->now);
        return false;
}

static int go(Manager *m, Attempt *a) {
        _cleanup_strv_free_ char **environment = NULL;
        int r;

        if (a->job->state == JOB_STOPPING) {
                api_run_stop(m->api, a);
                return 0;
        }
        if (a->phase != ATTEMPT_RUNNING || !manager_check_run(m, a)) /* it may have become somebody else since it was given to the manager */
                return 0;
        if (!units_scope_is_limited(m->units, a))
                return api_run_waits(m->api, a) && manager_load_spec(m, a) ? units_limit_scope(m->units, a) : 0;
        r = job_environment(m->units, a, &environment);
        return r < 0 ? r : api_run_go(m->api, a, environment);
}

bool manager_act_runs(Manager *m) {
        Run *run, *again = NULL;
        bool any = false;

        while ((run = TAILQ_FIRST(&m->model->runs.go)) && run != again) {
                const Job *j = model_job(m->model, run->job);
                Attempt *a = j ? j->live : NULL;
                int r;

                (void) model_next_run(m->model);
                if (!a)
                        continue;
                if (a->changed) { /* first that is recorded */
                        model_run_act(m->model, run);
                        again = again ?: run;
                        continue;
                }
                r = go(m, a);
                if (r < 0)
                        log_warning_errno(r, "Cannot tell job %" PRIu64 " that it may go: %m", run->job);
                any = any || r > 0;
        }
        return any;
}
