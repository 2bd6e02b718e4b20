/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Act, for workers: what is to be told follows from the state alone, so that a worker that is back, or a daemon that was started again, is
 * no special case (docs/workers.md).
 *
 *   running             {assign}, and again if the worker is back; it drops what it knows
 *   stopping            {cancel}, behind its {assign}; one that was never sent ends at once; when its time is over the worker is killed, of a
 *                       runner the job's process, and the runner when that does not help; a durable one is told to kill, again and again
 *   ended and recorded  it is forgotten, when nothing is left of it */

#include "daemon/manager.h"

#include "api/worker.h"
#include "base/log.h"

#include <signal.h>

/* 1: it is there (again); 0: not now. */
static int assign(Manager *m, Attempt *a) {
        _cleanup_free_ char *order = NULL;
        int r;

        if (a->asked)
                return 1;
        if (!api_worker_has_room(m->api, a) || !manager_load_spec(m, a))
                return 0;
        r = manager_order(m, a, &order);
        if (r < 0)
                return r == -ECANCELED ? 0 : r;
        r = api_worker_assign(m->api, a, order);
        a->job->spec = spec_free(a->job->spec);
        a->inputs = mfree(a->inputs);
        if (r <= 0)
                return r;
        a->asked = true;
        a->fresh = false;
        return 1;
}

/* Those of a user's choice. */
static int send_signals(Manager *m, Attempt *a) {
        int r = assign(m, a);

        for (int sig = 1; r > 0 && a->signals; sig++)
                if (a->signals & (UINT64_C(1) << (sig - 1))) {
                        r = api_worker_signal(m->api, a, sig);
                        if (r > 0)
                                a->signals &= ~(UINT64_C(1) << (sig - 1));
                }
        return r;
}

/* A runner ends its process at once when that is due; one that does not is itself ended, when as much time again has passed. It is told once more
 * when it is back, but that does not give it more of that time. */
static int stop(Manager *m, Attempt *a) {
        int r;

        if (a->fresh) {
                model_attempt_withdraw(m->model, a, NULL, &m->now);
                return 1;
        }
        if (a->kill_due && !a->worker->durable && (a->executor != EXECUTOR_POOL || a->killing)) {
                api_worker_kill(m->api, a->worker);
                return 1;
        }
        if (a->kill_due) {
                Now now = m->now;

                /* All of its time, however long this turn has taken so far: what else it runs would end with the runner. */
                now.monotonic = now_usec(CLOCK_MONOTONIC);
                model_attempt_kill_process(m->model, a, &now);
                a->cancel_sent = false;
        }
        if (a->cancel_sent)
                return 1;
        r = assign(m, a);
        if (r > 0)
                r = api_worker_cancel(m->api, a);
        if (r > 0 && a->killing)
                r = api_worker_signal(m->api, a, SIGKILL);
        if (r > 0)
                a->cancel_sent = true;
        return r;
}

static int tell(Manager *m, Attempt *a) {
        if (!a->worker) /* it is gone, and what became of this is about to be recorded */
                return 1;
        if (a->job->state == JOB_STOPPING)
                return stop(m, a);
        return send_signals(m, a);
}

/* Something was done. */
static bool act(Manager *m, Attempt *a) {
        int r;

        if (a->changed) /* first that is recorded */
                return false;
        if (a->phase == ATTEMPT_ENDED) {
                if (manager_is_left_over(m, a))
                        return false;
                manager_remove_files(m, a);
                model_attempt_gone(m->model, a);
                return true;
        }
        TAILQ_REMOVE(&m->model->act_workers, a, act_entry);
        a->acting = false;
        r = tell(m, a);
        if (r < 0)
                log_warning_errno(r, "Cannot tell worker %" PRIu64 " of job %" PRIu64 ", trying again: %m", a->worker_id, a->job_id);
        if (r < 0 && a->job && a->worker && a->worker->connected)
                model_attempt_act(m->model, a); /* behind those that were there */
        if (r == 0 && !a->acting && a->job && a->worker && a->worker->connected)
                model_attempt_defer(a);
        return r > 0;
}

bool manager_act_workers(Manager *m) {
        /* What cannot be told now comes behind it, for the next turn. */
        const Attempt *last = TAILQ_LAST(&m->model->act_workers, AttemptList);
        bool any = false, end = false;
        Attempt *a, *t;

        manager_begin_left_overs(m);
        manager_start_servers(m);
        for (a = TAILQ_FIRST(&m->model->act_workers); a && !end; a = t) {
                t = TAILQ_NEXT(a, act_entry);
                end = a == last;
                any = act(m, a) || any;
        }
        manager_end_left_overs(m);
        api_workers_drain(m->api); /* behind what they still have */
        return any;
}
