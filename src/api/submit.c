/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* From requests that were read to jobs in the model. Everything is checked before the first job is made, so a batch is taken whole or not at
 * all.
 *
 * A request with a request_id that was answered before gets the same answer again, whatever has become of queue, rights and
 * jobs meanwhile (queue/receipt.h). One that is on its way to the commit is found in the model, so its answer waits too; of two
 * that still wait for polkit or the user data base the first to come through makes the jobs, and the other finds them. */

#include "api/submit.h"

#include "api/room.h"
#include "api/unique.h"
#include "queue/flow.h"

void answer_done(Answer *a) {
        a->ids = mfree(a->ids);
}

/* a: with the ids of those before it. */
static int submit_request(Call *c, Request *q, const Answer *a, Job **ret, sd_bus_error *error) {
        _cleanup_free_ char *text = NULL;
        uint64_t n;
        int r;

        flow_resolve_ids(q->spec, a->ids);
        r = model_submit(c->api->model, q->queue, q->spec, q->owner, q->owner_name, &c->api->now, ret, &text);
        if (r < 0)
                return r == -ENOMEM ? r : api_error(error, JOBMILL_ERROR_INVALID_SPEC, "%s", strempty(text));
        n = request_n_jobs(q);
        q->spec = NULL;
        for (uint64_t i = 0, first = (*ret)->id; i < n; i++) {
                Job *j = model_job(c->api->model, first + i);

                j->flow = a->flow;
                j->privileged = q->privileged;
                if (q->never)
                        model_fail(c->api->model, j, JOB_DEPENDENCY, q->never, &c->api->now);
        }
        return 0;
}

/* ---- receipts ---- */

/* Has this request been answered already, or will it be with the commit of this turn? 1: with these ids; 0: it is new. */
static int find_receipt(Call *c, const Request *l, size_t n, Answer *ret, sd_bus_error *error) {
        const char *id = l[0].spec->request_id;
        _cleanup_(receipt_freep) Receipt *stored = NULL;
        char quoted[SPEC_QUOTE_MAX];
        const Receipt *found;
        uint64_t digest = 0;
        int r;

        for (size_t i = 0; i < n; i++)
                digest = receipt_digest(digest, request_queue_name(l + i), l[i].spec);
        ret->digest = digest;

        found = model_receipt(c->api->model, c->client->uid, id);
        if (!found) {
                r = store_load_receipt(c->api->store, c->client->uid, id, &stored);
                if (r == -ENOENT)
                        return 0;
                if (r < 0)
                        return api_error_store(c->api, error, r);
                found = stored;
        }
        if (found->digest != digest || found->n_jobs != n)
                return api_error(error, JOBMILL_ERROR_INVALID_SPEC, "request_id: '%s' was used for another request",
                                 spec_quote(quoted, id, strlen(id)));
        for (size_t i = 0; i < n; i++)
                ret->ids[i] = found->ids ? found->ids[i] : found->first_id + i;
        ret->flow = found->first_id - 1;
        ret->recorded = found == stored;
        return 1;
}

/* In memory before the first job is made: then nothing can fail between the jobs and their receipt. */
static int make_receipt(Call *c, const char *id, Receipt **ret, sd_bus_error *error) {
        uint64_t n;
        int r;

        if (!id)
                return 0;
        r = store_count_receipts(c->api->store, c->client->uid, &n);
        if (r < 0)
                return api_error_store(c->api, error, r);
        if (n >= c->api->limits.request_ids_max)
                return api_error(error, JOBMILL_ERROR_TOO_MANY,
                                 "request_id: %" PRIu64 " requests of user %" PRIu32 " are remembered already, each for a day; "
                                 "submit more jobs with one request, or without a request_id (RequestIdsPerUserMax=)",
                                 n, c->client->uid);
        *ret = receipt_new(c->client->uid, id);
        return *ret ? 0 : -ENOMEM;
}

/* Takes receipt over. */
static int keep_receipt(Call *c, Receipt *receipt, const Answer *a, size_t n, uint64_t first_new) {
        Model *m = c->api->model;

        for (size_t i = 0; i < n && !receipt->ids; i++)
                if (a->ids[i] != first_new + i) {
                        receipt->ids = new0(uint64_t, n);
                        if (!receipt->ids) {
                                receipt_free(receipt);
                                return -ENOMEM;
                        }
                        memcpy(receipt->ids, a->ids, n * sizeof(uint64_t));
                }
        receipt->digest = a->digest;
        receipt->first_id = first_new;
        if (m->next_id == first_new) /* it made none */
                m->next_id++;
        receipt->n_jobs = n;
        receipt->created_usec = c->api->now.realtime;
        model_receipt_add(m, receipt);
        return 0;
}

/* ---- checks ---- */

int submit_name_job(int r, const Request *l, size_t i, Together together, sd_bus_error *error) {
        _cleanup_(sd_bus_error_free) sd_bus_error inner = SD_BUS_ERROR_NULL;
        char quoted[SPEC_QUOTE_MAX];

        if (r >= 0 || together == ONE_JOB || !sd_bus_error_is_set(error))
                return r;
        inner = *error;
        *error = SD_BUS_ERROR_NULL;
        if (together == FLOW)
                return api_error(error, inner.name, "job '%s': %s", spec_quote(quoted, l[i].spec->name, strlen(l[i].spec->name)),
                                 inner.message);
        return api_error(error, inner.name, "job %zu: %s", i, inner.message);
}

/* So many more than there are: it may take the place of others, which go. */
static uint64_t wants_room(const Request *l, const Request *q) {
        uint64_t go = q->replaces_of > 0 ? request_n_jobs(l + q->replaces_of - 1) : q->n_replaced;

        return q->answer > 0 || q->answer_of > 0 ? 0 : request_n_jobs(q) - MIN(request_n_jobs(q), go);
}

/* A batch is mostly of one user for one queue: then it is enough to look whether there is room for all together. */
static bool is_room_for_all(Model *m, const Request *l, size_t n) {
        _cleanup_free_ char *text = NULL;
        uint64_t n_jobs = 0;

        for (size_t i = 0; i < n; i++) {
                if (l[i].queue != l[0].queue || l[i].owner != l[0].owner)
                        return false;
                n_jobs += wants_room(l, l + i);
        }
        return backlog_check(m, l[0].queue, l[0].owner, n_jobs, &text) >= 0;
}

/* Is there room for all of them? Counted as if they were queued one after the other, and then taken back. */
static int check_room(Call *c, const Request *l, size_t n, Together together, sd_bus_error *error) {
        Model *m = c->api->model;
        size_t i;
        int r = 0;

        if (is_room_for_all(m, l, n))
                return 0;
        for (i = 0; i < n; i++) {
                uint64_t wanted = wants_room(l, l + i);
                _cleanup_free_ char *text = NULL;

                if (wanted == 0)
                        continue;
                r = backlog_check(m, l[i].queue, l[i].owner, wanted, &text);
                if (r == -EXFULL)
                        r = api_error(error, JOBMILL_ERROR_QUEUE_FULL, "%s", text);
                if (r < 0) {
                        r = submit_name_job(r, l, i, together, error);
                        break;
                }
                backlog_add(m, l[i].queue, l[i].owner, (int64_t) wanted);
        }
        while (i-- > 0)
                if (wants_room(l, l + i) > 0)
                        backlog_add(m, l[i].queue, l[i].owner, -(int64_t) wants_room(l, l + i));
        return r;
}

static int check_number(const Call *c, const Request *l, size_t n, sd_bus_error *error) {
        uint64_t n_jobs = 0, max = request_jobs_max(c);

        for (size_t i = 0; i < n; i++)
                n_jobs += request_n_jobs(l + i);
        return n_jobs <= max ? 0 : api_error(error, JOBMILL_ERROR_TOO_MANY, "%" PRIu64 " jobs in one call, at most %" PRIu64
                                             " may be, with all arrays (SubmitManyMax=, ArrayMax=)", n_jobs, max);
}

/* Those that have been checked know how many jobs an array is that they come after. */
static int check_edges(const Call *c, const Request *q, uint64_t *n_edges, sd_bus_error *error) {
        uint64_t max = c->api->limits.edges_max;

        *n_edges += q->spec->n_after * request_n_jobs(q) + q->n_gone;
        return *n_edges <= max ? 1 : api_error(error, JOBMILL_ERROR_TOO_MANY, "after: the jobs of one call come after others more than %" PRIu64
                                               " times, which is what may be (EdgesMax=)", max);
}

/* A job of a flow may be one that is there already. */
static int follow_answers(Call *c, Request *l, size_t n, sd_bus_error *error) {
        uint64_t n_edges = 0;
        int r;

        for (size_t i = 0; i < n; i++) {
                r = request_follow_answers(c, l, l + i, error);
                if (r > 0)
                        r = check_edges(c, l + i, &n_edges, error);
                if (r <= 0)
                        return submit_name_job(r, l, i, FLOW, error);
        }
        return 1;
}

/* All that can be wrong with them. 1: nothing is; 0: not there yet. */
static int check_all(Call *c, Request *l, size_t n, Together together, sd_bus_error *error) {
        uint64_t n_edges = 0;
        size_t i;
        int r;

        for (i = 0; i < n; i++) {
                r = request_check(c, l + i, error);
                if (r > 0)
                        r = check_edges(c, l + i, &n_edges, error);
                if (r <= 0)
                        return submit_name_job(r, l, i, together, error);
        }
        r = check_number(c, l, n, error);
        if (r < 0)
                return r;
        if (c->api->storage_full)
                return api_error(error, JOBMILL_ERROR_STORAGE_FULL,
                                 "The disk is full, what room there is is kept for jobs that run; nothing was submitted");
        r = unique_plan(c, l, n, &i, error);
        if (r < 0)
                return submit_name_job(r, l, i, together, error);
        if (together == FLOW) {
                r = follow_answers(c, l, n, error);
                if (r <= 0)
                        return r;
        }
        r = check_room(c, l, n, together, error);
        if (r >= 0)
                r = requests_check_credentials(c, l, n, error);
        return r < 0 ? r : 1;
}

/* ---- making them ---- */

/* The job whose place this one takes goes first. */
static int make_one(Call *c, Request *q, const Answer *a, uint64_t *ret, sd_bus_error *error) {
        uint64_t replaced = q->replaces_of > 0 ? a->ids[q->replaces_of - 1] : q->replaces;
        char reason[64];
        Job *j;
        int r;

        *ret = q->answer_of > 0 ? a->ids[q->answer_of - 1] : q->answer;
        if (*ret > 0)
                return 0;
        if (replaced > 0) {
                (void) snprintf(reason, sizeof(reason), "replaced by job %" PRIu64, c->api->model->next_id);
                unique_replace(c->api->model, model_job(c->api->model, replaced), reason, &c->api->now);
        }
        r = submit_request(c, q, a, &j, error);
        if (r >= 0)
                *ret = j->id;
        return r;
}

int submit_all(Call *c, Request *l, size_t n, Together together, Answer *ret, sd_bus_error *error) {
        _cleanup_(receipt_freep) Receipt *receipt = NULL;
        uint64_t first_new;
        int r;

        ret->ids = new0(uint64_t, n);
        if (!ret->ids)
                return -ENOMEM;
        if (l[0].spec->request_id) {
                r = find_receipt(c, l, n, ret, error);
                if (r != 0)
                        return r;
        }
        r = check_all(c, l, n, together, error);
        if (r <= 0)
                return r;
        r = make_receipt(c, l[0].spec->request_id, &receipt, error);
        if (r >= 0)
                r = requests_take_room(c, l, n, together, error);
        if (r < 0)
                return r;
        if (together == FLOW)
                ret->flow = c->api->model->next_id++;
        first_new = c->api->model->next_id;
        for (size_t i = 0; r >= 0 && i < n; i++) {
                r = make_one(c, l + i, ret, ret->ids + i, error);
                if (r < 0)
                        requests_leave_room(c, l + i, n - i);
        }
        api_taken_jobs(c->api, c->api->model->next_id - first_new);
        if (r >= 0 && receipt)
                r = keep_receipt(c, TAKE_PTR(receipt), ret, n, first_new);
        return r < 0 ? r : 1;
}
