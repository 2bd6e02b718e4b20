/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Jobs in the foreground in the world of test-policy-random.c: the processes that asked for them, as api/run.c and api/run-link.c see them. What
 * is decided about them is daemon/runs.c itself. */

#include "policy-events.h"
#include "policy-view.h"

#include "api/run.h"
#include "unit/job-unit.h"
#include "unit/scope.h"

void fore_submitted(Job *j) {
        Run *r = new0(Run, 1);

        COUNT(foreground);
        (void) sd_id128_randomize(&r->token);
        j->foreground = true;
        r->job = j->id;
        r->pidfd = -EBADF;
        r->pid = (uint32_t) j->id;
        r->connected = true;
        model_run_add(w.m.model, r, false);
        w.fore[j->id] = (Fore) { .there = true, .connected = true };
        say("    %" PRIu64 " is in the foreground\n", j->id);
}

bool fore_is_gone(const Lease *l) {
        return l->scope && w.fore[l->id].gone;
}

void fores_tell(void) {
        for (uint64_t id = 1; id < JOBS_MAX; id++) {
                Fore *f = w.fore + id;
                Run *r = f->there && f->gone && !f->gone_told ? model_run(w.m.model, id) : NULL;

                if (!r)
                        continue;
                say("    the process of %" PRIu64 " is gone\n", id);
                f->gone_told = true;
                model_run_gone(w.m.model, r);
        }
}

void fores_loaded(Model *m) {
        for (uint64_t id = 1; id < JOBS_MAX; id++)
                w.fore[id].gone_told = false; /* they are looked at anew */
        for (Run *r = m->runs.by_job; r; r = r->hh.next)
                model_run_connected(m, r, w.fore[r->job].connected);
}

static void come_back(uint64_t id) {
        Fore *f = w.fore + id;
        Run *r = model_run(w.m.model, id);
        Job *j = r ? model_job(w.m.model, id) : NULL;

        f->connected = !f->gone;
        if (r)
                model_run_connected(w.m.model, r, f->connected);
        if (f->connected && j && j->live && world_lease(id, j->attempt) && world_lease(id, j->attempt)->is != OVER) /* else it says how it ended */
                model_run_act(w.m.model, r);
}

void fores_all(void) {
        for (uint64_t id = 1; id < JOBS_MAX; id++)
                if (w.fore[id].there && !w.fore[id].connected)
                        come_back(id);
}

/* Whose process is gone does not wait, and is ended. */
void fore_check(const View *v) {
        const Fore *f = w.fore + v->id;

        if (f->there && f->gone_told && !w.sync && !w.m.storage_failed && (job_state_is_queued(v->state) || v->state == JOB_RUNNING))
                fail("the process of job %" PRIu64 " is gone, and it is %s", v->id, job_state_to_string(v->state));
}

/* ---- what it is told ---- */

int api_run_check(const Run *r, uint32_t owner) {
        Lease *l = world_lease(r->job, model_job(w.m.model, r->job)->attempt);

        if (!r->gone && !w.fore[r->job].gone)
                return 0;
        if (!l || (l->is != COMMITTED && l->is != RUNNING))
                fail("job %" PRIu64 " is to be put into a scope before that is stored, or twice", r->job);
        l->is = OVER;
        l->expected = JOB_CANCELLED;
        return -ESRCH;
}

bool units_scope_is_limited(const Units *u, const Attempt *a) {
        return true;
}

int units_limit_scope(Units *u, Attempt *a) {
        return -ENOTSUP;
}

bool api_run_waits(const Api *a, const Attempt *at) {
        return w.fore[at->job_id].connected;
}

int job_environment(const Units *u, const Attempt *a, char ***ret) {
        *ret = NULL;
        return 0;
}

int api_run_go(Api *a, const Attempt *at, char *const *environment) {
        Lease *l = world_lease(at->job_id, at->number);
        Fore *f = w.fore + at->job_id;

        if (!f->connected || f->gone || w.dying)
                return 0;
        if (!l || !l->scope || l->is != RUNNING || at->job->state != JOB_RUNNING)
                fail("%s may go, and is not in its scope", at->unit);
        if (f->need_not)
                fail("%s may go, and was told that it need not", at->unit);
        COUNT(go);
        f->may_go = true;
        return 1;
}

void api_run_stop(Api *a, const Attempt *at) {
        Fore *f = w.fore + at->job_id;

        if (f->connected && !f->gone && !w.dying)
                f->need_not = true;
}

/* ---- what it does ---- */

bool fore_exits(Lease *l, JobResult result, int status) {
        Attempt *a = world_attempt(l);
        Fore *f = w.fore + l->id;
        Outcome o = OUTCOME_INIT;

        if (f->gone || !f->may_go || l->is != RUNNING || !a || !a->job || a->phase != ATTEMPT_RUNNING || w.m.storage_failed || w.sync) {
                f->gone = true; /* it does not go on without that, or is killed */
                return false;
        }
        COUNT(exited);
        o.result = result == JOB_LOST ? JOB_EXIT_CODE : result;
        o.exit_status = status;
        l->outcome.result = o.result;
        l->expected = a->job->intent == JOB_LOST || a->job->intent == JOB_RESULT_NONE ? o.result : a->job->intent; /* heard after all */
        l->is = OVER;
        say("    %s has ended as %s\n", a->unit, job_result_to_string(o.result));
        model_run_exited(w.m.model, a, &o, &w.m.now);
        return true;
}

static bool fits(uint64_t id, unsigned kind) {
        const Fore *f = w.fore + id;

        return f->there && !f->gone && model_run(w.m.model, id) && (kind != EVENT_fore_back || !f->connected) && (kind != EVENT_fore_away || f->connected);
}

bool fore_event(unsigned kind) {
        uint64_t id = any(JOBS_MAX);

        for (unsigned i = 0; i < JOBS_MAX && !fits(id, kind); i++)
                id = (id + 1) % JOBS_MAX;
        if (!fits(id, kind))
                return false;
        say("    that of %" PRIu64 "\n", id);
        if (kind == EVENT_fore_back && chance(30)) {
                if (!model_job(w.m.model, id) || !model_job(w.m.model, id)->live) /* it was waited for, long enough */
                        model_run_away(w.m.model, model_run(w.m.model, id));
        } else if (kind == EVENT_fore_back)
                come_back(id);
        else if (kind == EVENT_fore_away) {
                w.fore[id].connected = false;
                model_run_connected(w.m.model, model_run(w.m.model, id), false);
        } else {
                const Job *j = model_job(w.m.model, id);

                if (j && j->live)
                        COUNT(gone_late);
                else
                        COUNT(gone_early);
                w.fore[id].gone = true;
        }
        return true;
}
