/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* One action on all jobs that a filter finds, and their number.
 *
 * A page a turn, each committed on its own: so a million jobs cost no memory and stop nobody else. The jobs are those that were
 * stored when the call came, in the order of their ids; each is looked at once, and one in a state that the action is not for is
 * left alone. The first one that is refused ends it: the answer names it, and says how many were changed before. */

#include "api/filter.h"
#include "api/methods.h"
#include "api/share.h"
#include "queue/spec-change.h"

#define PAGE_JOBS 1000U
#define PAGE_FLOW 10000U /* … of a flow, all at once: what is cancelled must not release what is to be cancelled next */
#define PAGE_SPECS 64U   /* where whole specs are held until the commit */
#define PAGE_BYTES (8U * 1024U * 1024U)
#define PAGE_IDS 10000U  /* so many ids are walked through for it */
#define PAGE_IDS_TAGS 1000U /* … where each one's spec is looked at */

#define STATE(s) (1U << JOB_##s)
#define STATES_ALL ((1U << _JOB_STATE_MAX) - 1)

enum {
        BULK_WAIT,    /* as call_authorize() */
        BULK_CHANGED,
        BULK_SKIPPED,
};

typedef struct Bulk {
        const char *participle;
        unsigned states; /* of the jobs that it makes sense for */
        bool dead;       /* only of those that failed */
        int (*act)(Call *c, Job *j, const Update *up, sd_bus_error *error); /* BULK_…, or negative */
} Bulk;

/* ---- who ---- */

/* Are all ids of the filter the caller's own jobs (or none at all)? */
static int only_own_ids(Call *c, const JobFilter *f, sd_bus_error *error) {
        JobFilter all = JOB_FILTER_INIT, own = JOB_FILTER_INIT;
        uint64_t n_all, n_own;
        int r;

        all.ids = own.ids = f->ids;
        all.n_ids = own.n_ids = f->n_ids;
        own.owners = &c->client->uid;
        own.n_owners = 1;
        r = history_count(c->api->store, &all, 0, UINT64_MAX, &n_all);
        if (r >= 0)
                r = history_count(c->api->store, &own, 0, UINT64_MAX, &n_own);
        return r < 0 ? api_error_store(c->api, error, r) : n_all == n_own;
}

/* Without the right to others' jobs a filter means one's own; who asks for those of another by name is told. 1, 0 (not there
 * yet), negative with *error. */
static int bulk_scope(Call *c, JobFilter *f, sd_bus_error *error) {
        uint32_t uid = c->client->uid;
        bool all;
        int r;

        if (call_is_root(c))
                return 1;
        if (filter_is_own(f, uid))
                return 1;
        if (f->n_owners > 0)
                return call_authorize(c, JOBMILL_ACTION_MANAGE_JOBS, NULL, error);
        if (f->n_ids > 0) {
                r = only_own_ids(c, f, error);
                if (r == 0) {
                        /* For these a person may be asked, now or when the caller calls again. */
                        r = call_authorize(c, JOBMILL_ACTION_MANAGE_JOBS, NULL, error);
                        if (r >= 0 || sd_bus_error_has_name(error, SD_BUS_ERROR_INTERACTIVE_AUTHORIZATION_REQUIRED))
                                return r;
                        sd_bus_error_free(error);
                        r = 0;
                }
                if (r < 0)
                        return r;
        } else {
                r = call_may(c, JOBMILL_ACTION_MANAGE_JOBS, false, &all);
                if (r <= 0 || all)
                        return r;
        }
        return filter_only_own(f, uid) ? 1 : -ENOMEM;
}

/* ---- pages ---- */

static uint64_t page_ids(const JobFilter *f) {
        return f->tags ? PAGE_IDS_TAGS : PAGE_IDS;
}

static int bulk_one(Call *c, const Bulk *b, const JobFilter *f, const Update *up, uint64_t id, sd_bus_error *error) {
        Job *j;
        int r;

        if (model_is_purged(c->api->model, id))
                return BULK_SKIPPED;
        r = call_own_job(c, id, &j, error);
        if (r <= 0)
                return r;
        /* It may have changed in this turn. */
        if (!(f->states & (1U << j->state)) || (b->dead && !j->dead))
                return BULK_SKIPPED;
        return b->act(c, j, up, error);
}

static size_t page_size(const JobFilter *f, const Update *up) {
        if (!up || !(up->fields & ~spec_fields_of_job()))
                return f->flow > 0 ? PAGE_FLOW : PAGE_JOBS;
        return MIN((size_t) PAGE_SPECS, PAGE_BYTES / MAX(up->spec->payload_size, (size_t) 1) + 1);
}

/* 1 when that was all, 2 when there is more, 0 run again, or negative; *ret_id: with which job it ended. */
static int bulk_page(Call *c, const Bulk *b, const JobFilter *f, const Update *up, uint64_t *ret_id, sd_bus_error *error) {
        size_t n, size = page_size(f, up);
        uint64_t ids[PAGE_FLOW], end;
        int r;

        if (c->until == 0)
                c->until = MAX(c->api->model->next_id - 1, UINT64_C(1));
        end = f->n_ids > 0 || f->flow > 0 ? c->until : MIN(c->until, c->after + page_ids(f));
        r = history_ids(c->api->store, f, c->after, end, ids, size, &n);
        if (r < 0)
                return api_error_store(c->api, error, r);
        for (size_t i = 0; i < n; i++) {
                *ret_id = ids[i];
                r = bulk_one(c, b, f, up, ids[i], error);
                if (r <= 0)
                        return r;
                c->count += r == BULK_CHANGED;
                c->in_pages = c->in_pages || r == BULK_CHANGED;
                c->after = ids[i];
        }
        if (n < size)
                c->after = end;
        return c->after >= c->until ? 1 : 2;
}

/* ---- answers ---- */

static int answer_count(Call *c) {
        Reply reply;
        int r;

        r = call_reply(c, &reply);
        if (r >= 0)
                r = reply_append(&reply, "count", "t", c->count);
        return call_hold(c, &reply, r);
}

/* What was changed before is to be recorded first. */
static int answer_refusal(Call *c, const Bulk *b, uint64_t id, sd_bus_error *error) {
        _cleanup_(sd_bus_error_free) sd_bus_error inner = *error;
        _cleanup_free_ char *text = NULL;
        ReplyTo to = call_reply_to(c);
        Reply reply;
        int r;

        *error = SD_BUS_ERROR_NULL;
        if (asprintf(&text, "%" PRIu64 " job%s %s; job %" PRIu64 ": %s", c->count, c->count == 1 ? "" : "s", b->participle, id,
                     inner.message) < 0) {
                text = NULL;
                return -ENOMEM;
        }
        r = reply_begin_error(&to, inner.name, text, &reply);
        return call_hold(c, &reply, r);
}

/* Only the states that it makes sense for. */
static int narrow(const Bulk *b, JobFilter *f, sd_bus_error *error) {
        if (job_filter_is_empty(f))
                return api_error(error, JOBMILL_ERROR_INVALID_FILTER, "An empty filter would mean all jobs; say which");
        f->states = f->states == 0 ? b->states : f->states & b->states;
        if (f->states == 0 || (b->dead && f->dead == 0))
                return api_error(error, JOBMILL_ERROR_INVALID_FILTER, "%s: no such job can be %s", f->states ? "dead" : "state",
                                 b->participle);
        if (b->dead)
                f->dead = 1;
        return 0;
}

static int bulk_run(Call *c, const Bulk *b, JobFilter *f, const Update *up, sd_bus_error *error) {
        uint64_t id = 0;
        int r;

        r = narrow(b, f, error);
        if (r >= 0)
                r = bulk_scope(c, f, error);
        if (r <= 0)
                return r;
        r = call_begins_page(c);
        if (r < 0)
                return r;
        r = bulk_page(c, b, f, up, &id, error);
        if (r < 0 && id > 0 && sd_bus_error_is_set(error))
                return answer_refusal(c, b, id, error);
        if (r <= 0)
                return r;
        if (r == 1)
                return answer_count(c);
        call_again(c);
        return 0;
}

/* ---- actions ---- */

static int act_cancel(Call *c, Job *j, const Update *up, sd_bus_error *error) {
        return model_cancel(c->api->model, j, NULL, &c->api->now) < 0 ? BULK_SKIPPED : BULK_CHANGED;
}

static int act_hold(Call *c, Job *j, const Update *up, sd_bus_error *error) {
        return model_hold(c->api->model, j, &c->api->now) < 0 ? BULK_SKIPPED : BULK_CHANGED;
}

static int act_release(Call *c, Job *j, const Update *up, sd_bus_error *error) {
        return model_release(c->api->model, j, &c->api->now) < 0 ? BULK_SKIPPED : BULK_CHANGED;
}

static int act_retry(Call *c, Job *j, const Update *up, sd_bus_error *error) {
        /* What is in the way of one job is no reason not to look at the others. */
        static const char *const passed_over[] = { JOBMILL_ERROR_DEPENDENCY_FAILED, JOBMILL_ERROR_NOT_UNIQUE, JOBMILL_ERROR_NOT_ALLOWED };
        int r = control_retry(c, j, up, error);

        FOREACH_ELEMENT(name, passed_over)
                if (sd_bus_error_has_name(error, *name)) {
                        sd_bus_error_free(error);
                        return BULK_SKIPPED;
                }
        return r;
}

static int act_purge(Call *c, Job *j, const Update *up, sd_bus_error *error) {
        int r = control_is_needed(c, j, error);

        if (r != 0)
                return r < 0 ? r : BULK_SKIPPED;
        r = model_purge(c->api->model, j);
        return r == -ENOMEM ? r : r < 0 ? BULK_SKIPPED : BULK_CHANGED;
}

static int act_update(Call *c, Job *j, const Update *up, sd_bus_error *error) {
        if (up->fields == 0 && streq(up->queue, j->queue_name))
                return BULK_SKIPPED;
        return update_apply(c, up, j, error);
}

static int run_simple(Call *c, const Bulk *b, sd_bus_error *error) {
        _cleanup_(list_options_done) ListOptions o = {};
        int r;

        r = filter_read(c->message, false, &o, error);
        return r < 0 ? r : bulk_run(c, b, &o.filter, NULL, error);
}

static int handle_cancel_jobs(Call *c, sd_bus_error *error) {
        static const Bulk b = { "cancelled", STATES_ALL & ~(STATE(STOPPING) | STATE(DONE)), false, act_cancel };

        _cleanup_(list_options_done) ListOptions o = {};
        int r;

        r = filter_read(c->message, false, &o, error);
        if (r < 0)
                return r;
        r = bulk_run(c, &b, &o.filter, NULL, error);
        if (r == 0 && c->in_pages) /* there is more to cancel: none of these is started in between */
                c->api->model->deferred_array = o.filter.array;
        return r;
}
DEFINE_METHOD(cancel_jobs);

static int handle_hold_jobs(Call *c, sd_bus_error *error) {
        static const Bulk b = { "held", STATE(WAITING) | STATE(READY), false, act_hold };

        return run_simple(c, &b, error);
}
DEFINE_METHOD(hold_jobs);

static int handle_release_jobs(Call *c, sd_bus_error *error) {
        static const Bulk b = { "released", STATE(HELD), false, act_release };

        return run_simple(c, &b, error);
}
DEFINE_METHOD(release_jobs);

static int handle_retry_jobs(Call *c, sd_bus_error *error) {
        static const Bulk b = { "retried", STATE(DONE), true, act_retry };
        _cleanup_(list_options_done) ListOptions o = {};
        _cleanup_(update_done) Update up = {};
        int r;

        r = filter_read(c->message, false, &o, error);
        if (r >= 0)
                r = control_read_retry(c, &up, error);
        return r < 0 ? r : bulk_run(c, &b, &o.filter, &up, error);
}
DEFINE_METHOD(retry_jobs);

static int handle_purge_jobs(Call *c, sd_bus_error *error) {
        static const Bulk b = { "purged", STATE(DONE), false, act_purge };

        return run_simple(c, &b, error);
}
DEFINE_METHOD(purge_jobs);

/* The states in which all of it can be changed. */
static unsigned editable_states(const Update *up) {
        unsigned states = STATE(HELD) | STATE(WAITING) | STATE(READY);

        if (!up->queue && !(up->fields & ~spec_fields_with(SPEC_EDIT_LIVE)))
                states |= STATE(STARTING) | STATE(RUNNING);
        if (!up->queue && !(up->fields & ~spec_fields_with(SPEC_EDIT_ALWAYS)))
                states |= STATE(STOPPING) | STATE(DONE);
        return states;
}

static int handle_update_jobs(Call *c, sd_bus_error *error) {
        _cleanup_(list_options_done) ListOptions o = {};
        _cleanup_(update_done) Update up = {};
        Bulk b = { .participle = "changed", .act = act_update };
        int r;

        r = filter_read(c->message, false, &o, error);
        if (r >= 0)
                r = update_read(c, &up, error);
        if (r < 0)
                return r;
        b.states = editable_states(&up);
        return bulk_run(c, &b, &o.filter, &up, error);
}
DEFINE_METHOD(update_jobs);

/* ---- count ---- */

static int handle_count_jobs(Call *c, sd_bus_error *error) {
        _cleanup_(list_options_done) ListOptions o = {};
        uint64_t end, n;
        bool all = false;
        int r;

        r = filter_read(c->message, false, &o, error);
        if (r < 0)
                return r;
        if (!filter_is_own(&o.filter, c->client->uid)) {
                r = call_may(c, JOBMILL_ACTION_READ_ALL, false, &all);
                if (r > 0 && !all)
                        r = call_may(c, JOBMILL_ACTION_MANAGE_JOBS, false, &all);
                if (r <= 0)
                        return r;
        }
        if (!all && !filter_only_own(&o.filter, c->client->uid))
                return sd_bus_reply_method_return(c->message, "t", UINT64_C(0));
        r = call_begins_page(c);
        if (r < 0)
                return r;
        if (c->until == 0)
                c->until = MAX(c->api->model->next_id - 1, UINT64_C(1));
        end = o.filter.n_ids > 0 || o.filter.flow > 0 ? c->until : MIN(c->until, c->after + page_ids(&o.filter));
        r = history_count(c->api->store, &o.filter, c->after, end, &n);
        if (r < 0)
                return api_error_store(c->api, error, r);
        c->count += n;
        c->after = end;
        if (end >= c->until)
                return sd_bus_reply_method_return(c->message, "t", c->count);
        call_again(c);
        return 0;
}
DEFINE_METHOD(count_jobs);
