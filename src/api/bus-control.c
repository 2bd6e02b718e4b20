/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What changes jobs and queues. Each method reads, gets the job or queue with the right to act on it, edits the model, and holds
 * its answer for the commit. */

#include "api/methods.h"
#include "api/read-json.h"
#include "api/request.h"
#include "api/room.h"
#include "api/spec-bus.h"
#include "api/unique.h"
#include "base/strv.h"
#include "queue/spec-change.h"

#include <signal.h>

static int refuse_state(sd_bus_error *error, const Job *j, int r) {
        switch (r) {
        case -EALREADY:
                return api_error(error, JOBMILL_ERROR_JOB_FINISHED, "Job %" PRIu64 " is done (%s)", j->id,
                                 job_result_to_string(j->result));
        case -EBUSY:
                return api_error(error, JOBMILL_ERROR_JOB_LIVE, "Job %" PRIu64 " is %s", j->id,
                                 job_state_to_string(j->state));
        default:
                return r;
        }
}

/* What five of them are: get the job with the right to it, act, hold the answer. refuse: says what the model's error means here. */
static int act_on_job(Call *c, int (*act)(Model *m, Job *j, const Now *now), int (*refuse)(sd_bus_error *error, const Job *j, int r),
                      sd_bus_error *error) {
        uint64_t id;
        Job *j;
        int r;

        r = call_read_id(c, &id, error);
        if (r >= 0)
                r = call_own_job(c, id, &j, error);
        if (r <= 0)
                return r;
        r = act(c->api->model, j, &c->api->now);
        return r < 0 ? refuse(error, j, r) : call_hold_empty(c);
}

static int cancel(Model *m, Job *j, const Now *now) {
        return model_cancel(m, j, NULL, now);
}

int handle_cancel_job(Call *c, sd_bus_error *error) {
        return act_on_job(c, cancel, refuse_state, error);
}
DEFINE_METHOD(cancel_job);

int handle_hold_job(Call *c, sd_bus_error *error) {
        return act_on_job(c, model_hold, refuse_state, error);
}
DEFINE_METHOD(hold_job);

int handle_release_job(Call *c, sd_bus_error *error) {
        return act_on_job(c, model_release, refuse_state, error);
}
DEFINE_METHOD(release_job);

static int handle_kill_job(Call *c, sd_bus_error *error) {
        int32_t sig;
        uint64_t id;
        Job *j;
        int r;

        r = sd_bus_message_read(c->message, "ti", &id, &sig);
        if (r < 0)
                return r;
        if (sig < 1 || sig > SIGRTMAX)
                return api_error(error, SD_BUS_ERROR_INVALID_ARGS, "signal: %" PRIi32 " is none; 1…%i", sig, SIGRTMAX);
        r = call_own_job(c, id, &j, error);
        if (r <= 0)
                return r;
        r = model_kill(c->api->model, j, sig);
        if (r == -EOPNOTSUPP)
                return api_error(error, JOBMILL_ERROR_NOT_ALLOWED, "Job %" PRIu64 " has no process of its own (Executor=worker) that could be signalled", id);
        if (r < 0)
                return api_error(error, JOBMILL_ERROR_JOB_NOT_RUNNING, "Job %" PRIu64 " is %s, there is nothing to signal",
                                 id, job_state_to_string(j->state));
        return call_hold_empty(c);
}
DEFINE_METHOD(kill_job);

/* -EBUSY means here that there is nothing to freeze yet, or no more. */
static int refuse_freeze(sd_bus_error *error, const Job *j, int r) {
        switch (r) {
        case -EBUSY:
                return api_error(error, JOBMILL_ERROR_JOB_NOT_RUNNING, "Job %" PRIu64 " is %s, only running jobs can be frozen",
                                 j->id, job_state_to_string(j->state));
        case -EOPNOTSUPP:
                return api_error(error, JOBMILL_ERROR_NOT_FREEZABLE, "Job %" PRIu64 " has no unit of its own (Executor=%s), and cannot be frozen",
                                 j->id, executor_to_string(j->live->executor));
        case -ETIME:
                return api_error(error, JOBMILL_ERROR_NOT_FREEZABLE,
                                 "Job %" PRIu64 " has a time-out; only jobs submitted with --freezable can be frozen", j->id);
        default:
                return refuse_state(error, j, r);
        }
}

static int handle_freeze_job(Call *c, sd_bus_error *error) {
        return act_on_job(c, model_freeze, refuse_freeze, error);
}
DEFINE_METHOD(freeze_job);

static int handle_thaw_job(Call *c, sd_bus_error *error) {
        return act_on_job(c, model_thaw, refuse_freeze, error);
}
DEFINE_METHOD(thaw_job);

int control_read_retry(Call *c, Update *ret, sd_bus_error *error) {
        uint64_t known = spec_field_bit(spec_field_find("max_attempts")) | spec_field_bit(spec_field_find("delay_usec"));
        _cleanup_(update_done) Update up = { .spec = spec_new() };
        _cleanup_free_ char *text = NULL;
        int r;

        if (!up.spec)
                return -ENOMEM;
        r = c->message ? spec_read_bus(c->message, up.spec, &up.fields, &up.queue, &text) :
                         read_json_retry(c->parameters, up.spec, &up.fields, &text);
        if (r == -ENOMEM)
                return r;
        if (r < 0)
                return api_error(error, JOBMILL_ERROR_INVALID_SPEC, "%s", text ?: "the request cannot be read");
        if (up.queue || (up.fields & ~known)) {
                _cleanup_free_ char *which = spec_fields_to_string(up.fields & ~known & -(up.fields & ~known));

                return api_error(error, JOBMILL_ERROR_INVALID_SPEC, "'%s' is no option of a retry, only max_attempts and delay_usec are",
                                 up.queue ? "queue" : strempty(which));
        }
        *ret = up;
        up = (Update) {};
        return 1;
}

int control_retry(Call *c, Job *j, const Update *up, sd_bus_error *error) {
        usec_t delay = up->spec->delay_usec != USEC_INFINITY ? up->spec->delay_usec : 0;
        const Queue *at;
        int r;

        if (j->state != JOB_DONE)
                return api_error(error, JOBMILL_ERROR_JOB_NOT_FINISHED, "Job %" PRIu64 " is %s, not done", j->id,
                                 job_state_to_string(j->state));
        if (j->foreground)
                return api_error(error, JOBMILL_ERROR_NOT_ALLOWED, "Job %" PRIu64 " was one in the foreground, which cannot be had again; use jobmill run", j->id);
        r = j->is_new ? 0 : store_check_spec(c->api->store, j->id);
        if (r == -ENODATA)
                return api_error(error, JOBMILL_ERROR_JOB_FINISHED,
                                 "Job %" PRIu64 " succeeded and its environment was dropped; submit it again", j->id);
        if (r < 0)
                return api_error_store(c->api, error, r);
        r = request_check_retry_credentials(c, j, error);
        if (r < 0)
                return r;
        at = queue_draining_at(j->queue);
        if (at)
                return api_error(error, JOBMILL_ERROR_QUEUE_DRAINING, "Queue '%s' is being drained and takes no jobs", at->name);
        if (j->unique_key && !j->unique_held) {
                r = unique_check_free(c, j->queue, j->owner, j->unique_key, j, error);
                if (r < 0)
                        return r;
        }
        r = control_reopen_edges(c, j, error);
        if (r >= 0)
                r = room_for_attempt(c, j, error);
        if (r < 0)
                return r;
        r = model_retry(c->api->model, j, MAX(up->spec->max_attempts, UINT32_C(1)), delay, &c->api->now);
        if (r < 0)
                return refuse_state(error, j, r);
        unique_take(c->api->model, j);
        return 1;
}

int handle_retry_job(Call *c, sd_bus_error *error) {
        _cleanup_(update_done) Update up = {};
        uint64_t id;
        Job *j;
        int r;

        r = call_read_id(c, &id, error);
        if (r >= 0)
                r = control_read_retry(c, &up, error);
        if (r >= 0)
                r = call_own_job(c, id, &j, error);
        if (r > 0)
                r = control_retry(c, j, &up, error);
        return r <= 0 ? r : call_hold_empty(c);
}
DEFINE_METHOD(retry_job);

/* ---- queues ---- */

static int act_on_queue(Call *c, void (*act)(Model *m, Queue *q), sd_bus_error *error) {
        const char *name;
        Queue *q;
        int r;

        r = sd_bus_message_read_basic(c->message, 's', &name);
        if (r < 0)
                return r;
        q = model_queue(c->api->model, name);
        if (!q)
                return api_error_no_such_queue(error, name);
        r = call_authorize(c, JOBMILL_ACTION_MANAGE_QUEUES, (const char *const[]) { "queue", name, NULL }, error);
        if (r <= 0)
                return r;
        act(c->api->model, q);
        return call_hold_empty(c);
}

static void pause_queue(Model *m, Queue *q) {
        model_queue_pause(m, q, true);
}

static void resume_queue(Model *m, Queue *q) {
        model_queue_pause(m, q, false);
        model_queue_drain(m, q, false);
}

static void drain_queue(Model *m, Queue *q) {
        model_queue_drain(m, q, true);
}

static int handle_pause_queue(Call *c, sd_bus_error *error) {
        return act_on_queue(c, pause_queue, error);
}
DEFINE_METHOD(pause_queue);

static int handle_resume_queue(Call *c, sd_bus_error *error) {
        return act_on_queue(c, resume_queue, error);
}
DEFINE_METHOD(resume_queue);

static int handle_drain_queue(Call *c, sd_bus_error *error) {
        return act_on_queue(c, drain_queue, error);
}
DEFINE_METHOD(drain_queue);

static int handle_reload(Call *c, sd_bus_error *error) {
        int r;

        r = call_authorize(c, JOBMILL_ACTION_MANAGE_QUEUES, NULL, error);
        if (r <= 0)
                return r;
        c->api->reload_wanted = true;
        call_put_aside(c, CALL_RELOADING);
        return 0;
}
DEFINE_METHOD(reload);
