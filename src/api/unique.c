/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Whose a unique key is, and what a request does that meets one which is taken: it is refused, or answered with the job that is there, or
 * takes the place of that job if it has not started. Jobs in memory are the truth, and the store knows those that are not. Of one batch
 * the first with a key is as if it were queued already when the next one comes. */

#include "api/unique.h"

#include "base/time-util.h"

/* The next one that holds it in the store and is not in memory, where it might have given it up in this turn. *ret NULL: none. */
static int load_next(Model *m, Store *s, const Queue *q, uint32_t owner, const char *key, uint64_t *after, Job **ret) {
        _cleanup_(job_freep) Job *loaded = NULL;
        Queue *of;
        int r;

        *ret = NULL;
        do {
                r = store_find_unique(s, q->name, owner, key, *after, after);
                if (r < 0)
                        return r == -ENOENT ? 0 : r;
        } while (model_job(m, *after) || model_is_purged(m, *after));
        r = store_load_job(s, *after, &loaded);
        if (r >= 0)
                r = model_queue_add(m, loaded->queue_name, &of);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(loaded);
        model_job_add(m, *ret, of);
        return 0;
}

int unique_find(Model *m, Store *s, const Now *now, const Queue *q, uint32_t owner, const char *key, Job **ret) {
        uint64_t after = 0;
        Job *j;
        int r;

        while ((j = unique_holder(m, q, owner, key)) && unique_is_over(j, now))
                unique_give_up(m, j);
        while (!j) {
                r = load_next(m, s, q, owner, key, &after, &j);
                if (r < 0)
                        return r;
                if (!j)
                        break;
                if (unique_is_over(j, now)) {
                        unique_give_up(m, j);
                        j = NULL;
                }
        }
        *ret = j;
        return 0;
}

int unique_take_again(Model *m, Store *s, const Now *now, Job *j) {
        Job *holder;
        int r;

        j->unique_wanted = false;
        if (!j->unique_key || !job_state_is_queued(j->state)) /* its owner took it off in the same turn; or cancelled it */
                return 0;
        r = unique_find(m, s, now, j->queue, j->owner, j->unique_key, &holder);
        if (r >= 0 && (!holder || unique_is_same(holder, j)))
                unique_take(m, j);
        return r;
}

int unique_find_all(Model *m, Store *s, const Now *now, const Job *j, uint64_t *left, uint64_t *ret_n) {
        bool queued = true;
        uint64_t after = 0, n = 0, looked = 0;
        Job *e;
        int r;

        *ret_n = 1;
        if (*left == 0)
                return -E2BIG;
        if (!j->in_array) {
                (*left)--;
                return job_state_is_queued(j->state);
        }
        do {
                if (looked++ == *left)
                        return -E2BIG;
                r = load_next(m, s, j->queue, j->owner, j->unique_key, &after, &e);
                if (r < 0)
                        return r;
        } while (e);
        looked = 0;
        TAILQ_FOREACH(e, &j->in_array->elements, array_entry) {
                if (!unique_shares(e, j))
                        continue;
                if (looked++ == *left)
                        return -E2BIG;
                if (unique_is_over(e, now)) {
                        unique_give_up(m, e);
                        continue;
                }
                queued = queued && job_state_is_queued(e->state);
                n++;
        }
        *left -= looked;
        *ret_n = n;
        return queued;
}

static void replace_one(Model *m, Job *j, const char *reason, const Now *now) {
        (void) model_cancel(m, j, reason, now);
        unique_give_up(m, j);
}

void unique_replace(Model *m, Job *j, const char *reason, const Now *now) {
        Job *e;

        if (!j->in_array) {
                replace_one(m, j, reason, now);
                return;
        }
        TAILQ_FOREACH(e, &j->in_array->elements, array_entry)
                if (unique_shares(e, j))
                        replace_one(m, e, reason, now);
}

static int not_unique(const Job *j, const char *key, const Now *now, sd_bus_error *error) {
        char quoted[SPEC_QUOTE_MAX], array[64] = "";

        spec_quote(quoted, key, strlen(key));
        if (j->array > 0)
                snprintf(array, sizeof(array), "array %" PRIu64 " by ", j->array);
        if (j->state == JOB_DONE)
                return api_error(error, JOBMILL_ERROR_NOT_UNIQUE,
                                 "unique_key: '%s' is that of %sjob %" PRIu64 ", which is done and keeps it for another %" PRIu64 " s", quoted,
                                 array, j->id, usec_sub(j->unique_until_usec, now->steady) / USEC_PER_SEC + 1);
        return api_error(error, JOBMILL_ERROR_NOT_UNIQUE, "unique_key: '%s' is that of %sjob %" PRIu64 ", which is %s", quoted, array, j->id,
                         job_state_to_string(j->state));
}

int unique_check_free(Call *c, const Queue *q, uint32_t owner, const char *key, const Job *j, sd_bus_error *error) {
        Job *holder;
        int r;

        r = unique_find(c->api->model, c->api->store, &c->api->now, q, owner, key, &holder);
        if (r < 0)
                return r == -ENOMEM ? r : api_error_store(c->api, error, r);
        return holder && !unique_is_same(holder, j) ? not_unique(holder, key, &c->api->now, error) : 1;
}

/* ---- batches ---- */

/* Which of the batch holds a key: places of requests, from 1, by a hash of the key. */
typedef struct Batch {
        const Request *requests;
        size_t *table, size;
        uint64_t left; /* so many more jobs may go for it: they are loaded and cancelled in one turn */
} Batch;

static size_t *batch_find(const Batch *b, const Request *q) {
        uint64_t h = q->owner;

        for (const char *p = q->spec->unique_key; *p; p++)
                h = (h ^ (uint8_t) *p) * UINT64_C(0x100000001b3);
        for (size_t i = (h ^ h >> 32) & (b->size - 1);; i = (i + 1) & (b->size - 1)) {
                const Request *o = b->requests + b->table[i] - 1;

                if (b->table[i] == 0 ||
                    (o->owner == q->owner && o->queue == q->queue && streq(o->spec->unique_key, q->spec->unique_key)))
                        return b->table + i;
        }
}

/* Takes the place of all who hold it, if none of them has been started. */
static int plan_replace(Call *c, Batch *b, Request *q, Job *j, sd_bus_error *error) {
        int r;

        r = unique_find_all(c->api->model, c->api->store, &c->api->now, j, &b->left, &q->n_replaced);
        if (r == -E2BIG)
                return api_error(error, JOBMILL_ERROR_TOO_MANY,
                                 "unique_policy: those of one call may take the place of at most %" PRIu64
                                 " jobs, with all arrays (SubmitManyMax=, ArrayMax=)", request_jobs_max(c));
        if (r < 0)
                return r == -ENOMEM ? r : api_error_store(c->api, error, r);
        if (r == 0)
                return not_unique(j, q->spec->unique_key, &c->api->now, error);
        q->replaces = j->id;
        return 0;
}

/* One whose key is held: by a job, or by an earlier one of the batch. */
static int plan_taken(Call *c, Batch *b, Request *q, Job *j, size_t earlier, sd_bus_error *error) {
        char quoted[SPEC_QUOTE_MAX];

        switch (q->spec->unique_policy) {
        case UNIQUE_RETURN:
                if (j)
                        q->answer = j->array > 0 ? j->array : j->id;
                q->answer_of = earlier;
                return 0;
        case UNIQUE_REPLACE:
                q->replaces_of = earlier;
                return j ? plan_replace(c, b, q, j, error) : 0;
        default:
                break;
        }
        if (j)
                return not_unique(j, q->spec->unique_key, &c->api->now, error);
        return api_error(error, JOBMILL_ERROR_NOT_UNIQUE, "unique_key: '%s' is that of job %zu of the same request",
                         spec_quote(quoted, q->spec->unique_key, strlen(q->spec->unique_key)), earlier - 1);
}

static int plan_one(Call *c, Batch *b, size_t i, sd_bus_error *error) {
        Request *q = (Request *) b->requests + i;
        size_t *place = batch_find(b, q);
        Job *j = NULL;
        int r;

        if (*place == 0) {
                r = unique_find(c->api->model, c->api->store, &c->api->now, q->queue, q->owner, q->spec->unique_key, &j);
                if (r < 0)
                        return r == -ENOMEM ? r : api_error_store(c->api, error, r);
        }
        r = j || *place > 0 ? plan_taken(c, b, q, j, *place, error) : 0;
        if (r >= 0 && q->answer == 0 && q->answer_of == 0)
                *place = i + 1;
        return r;
}

int unique_plan(Call *c, Request *l, size_t n, size_t *ret_i, sd_bus_error *error) {
        _cleanup_free_ size_t *table = NULL;
        Batch b = { .requests = l, .size = 4, .left = request_jobs_max(c) };
        bool any = false;
        int r = 0;

        for (size_t i = 0; i < n; i++)
                any = any || l[i].spec->unique_key;
        if (!any)
                return 0;
        while (b.size < 2 * n)
                b.size *= 2;
        b.table = table = new0(size_t, b.size);
        if (!table)
                return -ENOMEM;
        for (size_t i = 0; i < n && r >= 0; i++)
                if (l[i].spec->unique_key) {
                        *ret_i = i;
                        r = plan_one(c, &b, i, error);
                }
        return r;
}
