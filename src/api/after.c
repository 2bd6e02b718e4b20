/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Waiting for other jobs, as far as callers are concerned: which ones they may name, and what becomes of what waits when one is retried
 * or purged. */

#include "api/methods.h"
#include "api/request.h"
#include "queue/flow.h"

/* Somebody else's: to be told how it ended is to read it. */
static int check_may_read(Call *c, const Job *j, sd_bus_error *error) {
        bool all = false;
        int r;

        if (j->owner == c->client->uid || call_is_root(c))
                return 1;
        r = call_may(c, JOBMILL_ACTION_READ_ALL, false, &all);
        if (r <= 0 || all)
                return r;
        return api_error(error, JOBMILL_ERROR_NOT_ALLOWED, "after: job %" PRIu64 " is another user's", j->id);
}

static int append_after(const Request *q, After **l, size_t *n, const After *a, uint64_t id, sd_bus_error *error) {
        if (*n + q->n_gone >= SPEC_AFTER_MAX)
                return api_error(error, JOBMILL_ERROR_INVALID_SPEC, "after: more than %u jobs", SPEC_AFTER_MAX);
        if ((*n & (*n - 1)) == 0) {
                After *more = reallocarray(*l, 2 * *n + 1, sizeof(After));

                if (!more)
                        return -ENOMEM;
                *l = more;
        }
        (*l)[*n] = *a;
        (*l)[*n].id = id;
        (*l)[(*n)++].met = false;
        return 1;
}

/* How many jobs it means: the id of an array all of it. */
static int count_jobs(Call *c, uint64_t id, uint64_t *ret, sd_bus_error *error) {
        const Job *j = model_job(c->api->model, id);
        int r = 0;

        *ret = 1;
        if (!j)
                r = store_array_size(c->api->store, id, ret);
        else if (j->in_array && j->array == id)
                *ret = j->in_array->n;
        return r >= 0 || r == -ENOENT ? 0 : api_error_store(c->api, error, r);
}

/* Those that it means, into the model, but for those of an array that are purged. */
static int read_jobs(Call *c, Request *q, const After *a, After **l, size_t *n, sd_bus_error *error) {
        size_t before = *n;
        uint64_t n_jobs;
        int r;

        r = count_jobs(c, a->id, &n_jobs, error);
        for (uint64_t i = 0; r >= 0 && i < n_jobs; i++) {
                Job *j;

                if (*n + q->n_gone >= SPEC_AFTER_MAX)
                        return api_error(error, JOBMILL_ERROR_INVALID_SPEC, "after: more than %u jobs", SPEC_AFTER_MAX);
                r = call_load_job(c, a->id + i, &j, error);
                if (n_jobs > 1 && sd_bus_error_has_name(error, JOBMILL_ERROR_NO_SUCH_JOB)) {
                        sd_bus_error_free(error);
                        q->n_gone++;
                        r = 0;
                        continue;
                }
                if (r >= 0)
                        r = check_may_read(c, j, error);
                if (r == 0) /* nobody knows yet */
                        return 0;
                if (r > 0)
                        r = append_after(q, l, n, a, a->id + i, error);
        }
        if (r >= 0 && *n == before)
                return api_error_no_such_job(error, a->id);
        return r < 0 ? r : 1;
}

/* Each job that is named. */
static int read_after(Call *c, Request *q, After **l, size_t *n, sd_bus_error *error) {
        const JobSpec *s = q->spec;

        for (const After *a = s->after; a < s->after + s->n_after; a++) {
                int r = a->place ? append_after(q, l, n, a, a->id, error) : read_jobs(c, q, a, l, n, error);

                if (r <= 0)
                        return r;
        }
        return 1;
}

/* What has ended already is met, or forbids it. */
static int resolve_after(Call *c, Request *q) {
        JobSpec *s = q->spec;
        int r = 0;

        for (size_t i = 0; r == 0 && i < s->n_after && !s->after[i].place; i++)
                r = spec_resolve_after(s, i, model_job(c->api->model, s->after[i].id), &q->never);
        return r;
}

int request_check_after(Call *c, Request *q, sd_bus_error *error) {
        _cleanup_free_ char *text = NULL;
        _cleanup_free_ After *l = NULL;
        JobSpec *s = q->spec;
        size_t n = 0;
        int r;

        q->never = mfree(q->never);
        q->n_gone = 0;
        if (s->n_after == 0)
                return 1;
        r = read_after(c, q, &l, &n, error);
        if (r <= 0)
                return r;
        r = spec_set_edges(s, spec_field_find("after"), TAKE_PTR(l), n, &text);
        if (r >= 0)
                r = spec_validate(s, &text);
        if (r < 0)
                return r == -ENOMEM ? r : api_error(error, JOBMILL_ERROR_INVALID_SPEC, "%s", strempty(text));
        r = resolve_after(c, q);
        return r < 0 ? r : 1;
}

/* ---- flows in which a unique key answers with another job ---- */

static bool is_answered(const Request *q) {
        return q->answer > 0 || q->answer_of > 0;
}

/* Instead of the places of a request those of the one, or the jobs, that answer it. An array is named by its first place. */
static int follow(Call *c, Request *l, Request *q, const After *a, After **edges, size_t *n, sd_bus_error *error) {
        const Request *before = l + flow_place_job(a->id);
        uint32_t of = before->answer_of - 1;
        After there = *a;
        int r = 1;

        if (a->id != flow_place(flow_place_job(a->id), 0))
                return 1;
        there.id = before->answer;
        there.place = false;
        if (before->answer > 0)
                return read_jobs(c, q, &there, edges, n, error);
        for (uint32_t i = 0; r > 0 && i < request_n_jobs(l + of); i++)
                r = append_after(q, edges, n, a, flow_place(of, i), error);
        return r;
}

/* Two names may have become the same job. */
static int merge_edges(JobSpec *s, sd_bus_error *error) {
        size_t n = 0;

        for (size_t i = 0; i < s->n_after; i++) {
                const After *a = s->after + i, *last = n > 0 ? s->after + n - 1 : NULL;

                if (!last || last->id != a->id)
                        s->after[n++] = *a;
                else if (last->condition != a->condition || last->otherwise != a->otherwise)
                        return api_error(error, JOBMILL_ERROR_INVALID_SPEC,
                                         "after: two of the jobs are the same one, by its unique_key, and shall have ended differently");
        }
        s->n_after = n;
        return 0;
}

static int follow_all(Call *c, Request *l, Request *q, sd_bus_error *error) {
        const JobSpec *s = q->spec;
        _cleanup_free_ After *edges = NULL;
        size_t n = 0;
        int r = 1;

        for (const After *a = s->after; r > 0 && a < s->after + s->n_after; a++)
                if (a->place && is_answered(l + flow_place_job(a->id)))
                        r = follow(c, l, q, a, &edges, &n, error);
                else
                        r = append_after(q, &edges, &n, a, a->id, error);
        if (r <= 0)
                return r;
        r = spec_set_edges(q->spec, spec_field_find("after"), TAKE_PTR(edges), n, NULL);
        if (r >= 0)
                r = merge_edges(q->spec, error);
        if (r >= 0)
                r = resolve_after(c, q);
        return r < 0 ? r : 1;
}

int request_follow_answers(Call *c, Request *l, Request *q, sd_bus_error *error) {
        const JobSpec *s = q->spec;

        for (const After *a = s->after; !is_answered(q) && a < s->after + s->n_after; a++)
                if (a->place && is_answered(l + flow_place_job(a->id)))
                        return follow_all(c, l, q, error);
        return 1;
}

/* ---- retry, purge ---- */

typedef struct Reopening {
        Call *call;
        Job *job;
        bool look_only;
        uint64_t failed; /* that it can not start because of */
} Reopening;

static int reopen_edge(void *userdata, const Edge *e) {
        Reopening *o = userdata;
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        Job *before;
        int r;

        r = call_load_job(o->call, e->before, &before, &error);
        if (sd_bus_error_has_name(&error, JOBMILL_ERROR_NO_SUCH_JOB)) /* purged: what it was is decided */
                return 0;
        if (r < 0)
                return r;
        if (!o->look_only)
                return model_edge_reopen(o->call->api->model, o->job, e, before);
        if (!model_edge_forbids(o->job, e, before))
                return 0;
        o->failed = e->before;
        return -EPERM;
}

/* Of one that this turn brought the store knows nothing yet. */
static int each_edge(Reopening *o) {
        const Job *j = o->job;
        int r = 0;

        if (!j->is_new)
                return store_edges(o->call->api->store, j->id, reopen_edge, o);
        for (const After *a = j->spec->after; r >= 0 && a < j->spec->after + j->spec->n_after; a++)
                r = reopen_edge(o, &(Edge) { j->id, a->id, a->condition, a->otherwise, a->met });
        return r;
}

int control_reopen_edges(Call *c, Job *j, sd_bus_error *error) {
        Reopening o = { .call = c, .job = j, .look_only = true };
        int r;

        if (j->edges_open_again)
                return 0;
        r = each_edge(&o);
        if (r == -EPERM)
                return api_error(error, JOBMILL_ERROR_DEPENDENCY_FAILED,
                                 "Job %" PRIu64 " could not start because of job %" PRIu64 ", which has to be retried first", j->id,
                                 o.failed);
        o.look_only = false;
        if (r >= 0)
                r = each_edge(&o);
        if (r < 0)
                return r == -ENOMEM ? r : api_error_store(c->api, error, r);
        j->edges_open_again = true;
        return 0;
}

int control_is_needed(Call *c, const Job *j, sd_bus_error *error) {
        int r;

        if (j->reopened || model_has_new_edge_to(c->api->model, j->id, false))
                return true;
        r = store_is_needed(c->api->store, j->id);
        return r < 0 ? api_error_store(c->api, error, r) : r;
}
