/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A schedule that is due submits its job: by the same functions, so with the same checks and limits, as a call of its owner on the socket would.
 * What became of it is recorded with the job. One that is refused is a time that made no job; one that cannot be taken now (the disk is full, NSS has not
 * said who its owner is) stays due. */

#include "api/timer.h"

#include "api/submit.h"
#include "base/crash-point.h"
#include "base/log.h"
#include "queue/spec-change.h"
#include "queue/spec-json.h"

/* A call of nobody's connection. */
typedef struct OwnCall {
        Client client;
        Call call;
} OwnCall;

static void own_call_begin(OwnCall *o, Api *a, uint32_t owner) {
        *o = (OwnCall) { .client = { .api = a, .uid = owner, .known = true } };
        o->call = (Call) { .api = a, .client = &o->client, .where = CALL_ASKING, .submit_as = UINT32_MAX };
        a->n_where[CALL_ASKING]++;
}

static void own_call_end(OwnCall *o) {
        o->call.api->n_where[o->call.where]--;
}

/* Of these there can be no two, or they are of one moment. */
static int check_fields(uint64_t given, sd_bus_error *error) {
        static const char *const names[] = { "after", "array", "array_max_running", "deadline_usec", "not_before_usec", "request_id", "hold" };

        FOREACH_ELEMENT(name, names)
                if (given & spec_field_bit(spec_field_find(*name)))
                        return api_error(error, JOBMILL_ERROR_INVALID_SPEC, "%s: not for the job of a schedule", *name);
        return 0;
}

static int read_job(const char *job, Request *q, sd_bus_error *error) {
        _cleanup_free_ char *text = NULL;
        int r;

        *q = (Request) { .spec = spec_new() };
        if (!q->spec)
                return -ENOMEM;
        r = spec_read_json(job, strlen(job), q->spec, &q->queue_name, &q->given, &text);
        if (r < 0 && r != -ENOMEM)
                return api_error(error, JOBMILL_ERROR_INVALID_SPEC, "%s", strempty(text));
        return r < 0 ? r : check_fields(q->given, error);
}

uint32_t timer_unknown_user(Api *a, uint32_t owner, const char *job) {
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        uint32_t uid = UINT32_MAX;
        Request q = {};

        if (read_job(job, &q, &error) >= 0 && q.spec->uid != UINT32_MAX && !user_db_get(a->users, q.spec->uid))
                uid = q.spec->uid;
        request_done(&q);
        return user_db_get(a->users, owner) ? uid : owner;
}

int timer_check_job(Api *a, uint32_t owner, const char *job, sd_bus_error *error) {
        Request q = {};
        OwnCall own;
        int r;

        own_call_begin(&own, a, owner);
        r = read_job(job, &q, error);
        if (r >= 0)
                r = request_check(&own.call, &q, error);
        request_done(&q);
        own_call_end(&own);
        return r == 0 ? -EAGAIN : r;
}

/* ---- overlap ---- */

/* Its jobs that are not done, by id. */
typedef struct Unfinished {
        uint64_t *ids;
        size_t n;
} Unfinished;

static void unfinished_done(Unfinished *l) {
        free(l->ids);
}

static int add_unfinished(Api *a, Unfinished *l, uint64_t id, sd_bus_error *error) {
        _cleanup_(sd_bus_error_free) sd_bus_error gone = SD_BUS_ERROR_NULL;
        Call c = { .api = a };
        Job *j;
        int r;

        for (size_t i = 0; i < l->n; i++)
                if (l->ids[i] == id)
                        return 0;
        r = call_load_job(&c, id, &j, &gone);
        if (r < 0 && sd_bus_error_has_name(&gone, JOBMILL_ERROR_NO_SUCH_JOB)) /* purged */
                return 0;
        if (r < 0) {
                sd_bus_error_move(error, &gone);
                return r;
        }
        if (j->state != JOB_DONE)
                l->ids[l->n++] = id;
        return 0;
}

/* Of each time that is known: the last job may be done, as it was cancelled while it waited, and the one that it waited for may run; one of before may have been
 * retried by hand. */
static int load_unfinished(Api *a, const Timer *t, Unfinished *ret, sd_bus_error *error) {
        const struct FiringList *now = &a->model->timers.firings;
        _cleanup_free_ uint64_t *stored = NULL;
        size_t n, n_now = 0, kept = MIN(a->model->timers.kept_max, t->n_firings);
        const Firing *f;
        int r;

        TAILQ_FOREACH(f, now, entry)
                n_now++;
        stored = new0(uint64_t, kept + 1);
        ret->ids = new0(uint64_t, kept + n_now + 1);
        if (!stored || !ret->ids)
                return -ENOMEM;
        r = store_unfinished_firings(a->store, t->name, stored, kept, &n);
        if (r < 0)
                return api_error_store(a, error, r);
        for (size_t i = 0; i < n && r >= 0; i++)
                r = add_unfinished(a, ret, stored[i], error);
        TAILQ_FOREACH(f, now, entry)
                if (r >= 0 && f->job > 0 && streq(f->timer, t->name))
                        r = add_unfinished(a, ret, f->job, error);
        return r < 0 || t->last_job == 0 ? r : add_unfinished(a, ret, t->last_job, error);
}

/* It runs when they have ended, however. */
static int wait_for(Request *q, const Unfinished *l) {
        if (l->n == 0)
                return 0;
        q->spec->after = new0(After, l->n);
        if (!q->spec->after)
                return -ENOMEM;
        for (size_t i = 0; i < l->n; i++)
                q->spec->after[i] = (After) { .id = l->ids[i], .condition = AFTER_END };
        q->spec->n_after = l->n;
        return 0;
}

static void replace(Api *a, const Timer *t, const Unfinished *l, uint64_t by) {
        char reason[128];

        (void) snprintf(reason, sizeof(reason), "replaced by job %" PRIu64 " of schedule %s", by, t->name);
        for (size_t i = 0; i < l->n; i++) {
                Job *j = model_job(a->model, l->ids[i]); /* it was loaded in this turn */

                if (j && j->id != by)
                        (void) model_cancel(a->model, j, reason, &a->now);
        }
}

/* The number may be given to somebody else by now. */
static int check_owner_name(Api *a, const Timer *t, sd_bus_error *error) {
        const User *u = user_db_get(a->users, t->owner);

        if (!u)
                return -EAGAIN;
        if (t->owner_name && !streq_ptr(u->name, t->owner_name))
                return api_error(error, JOBMILL_ERROR_NOT_ALLOWED, "User %" PRIu32 " is no longer %s, whose schedule it is", t->owner, t->owner_name);
        return 0;
}

static int submit(Api *a, const Timer *t, const Unfinished *others, uint64_t *ret_job, sd_bus_error *error) {
        _cleanup_(answer_done) Answer answer = {};
        Request q = {};
        OwnCall own;
        int r;

        if (timer_unknown_user(a, t->owner, t->policy.job) != UINT32_MAX)
                return -EAGAIN;
        r = check_owner_name(a, t, error);
        if (r < 0)
                return r;
        own_call_begin(&own, a, t->owner);
        r = read_job(t->policy.job, &q, error);
        if (r >= 0)
                r = wait_for(&q, others);
        if (r >= 0)
                r = submit_all(&own.call, &q, 1, ONE_JOB, &answer, error);
        if (r == 0)
                r = -EAGAIN;
        request_done(&q);
        own_call_end(&own);
        if (r < 0)
                return r;
        *ret_job = answer.ids[0];
        if (t->policy.overlap == OVERLAP_REPLACE)
                replace(a, t, others, answer.ids[0]);
        return 1;
}

int timer_submit(Api *a, const Timer *t, Firing *f, sd_bus_error *error) {
        _cleanup_(unfinished_done) Unfinished l = {};
        int r;

        if (!t->configured)
                return api_error(error, JOBMILL_ERROR_TYPE_UNAVAILABLE, "The file of schedule '%s' is bad", t->name);
        r = load_unfinished(a, t, &l, error);
        if (r < 0)
                return r;
        if (l.n > 0 && t->policy.overlap == OVERLAP_SKIP)
                r = asprintf(&f->note, "job %" PRIu64 " is not done", l.ids[0]);
        else if (l.n > 0 && l.n >= a->model->timers.kept_max) /* of one more it would not be known that it is one */
                r = asprintf(&f->note, "%zu jobs are not done (ScheduleFiringsMax=)", l.n);
        else
                return submit(a, t, &l, &f->job, error);
        return r < 0 ? (f->note = NULL, -ENOMEM) : 0;
}

/* ---- those that are due ---- */

static bool may_pass(int r, const sd_bus_error *e) {
        return r == -EAGAIN || r == -ENOMEM || sd_bus_error_has_name(e, JOBMILL_ERROR_STORAGE_FULL) || sd_bus_error_has_name(e, JOBMILL_ERROR_STORAGE);
}

static void fire(Api *a, Timer *t) {
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        _cleanup_(firing_freep) Firing *f = firing_new(t->name); /* nothing may fail between the job and this */
        int r;

        CRASH_POINT("fire-before");
        r = f ? timer_submit(a, t, f, &error) : -ENOMEM;
        if (r < 0 && may_pass(r, &error))
                return;
        if (r < 0) {
                f->note = strdup(error.message ?: strerror(-r));
                log_warning("Schedule %s submitted no job: %s", t->name, strempty(f->note));
        } else if (r == 0)
                log_info("Schedule %s submits no job: %s", t->name, f->note);
        f->cause = t->pending_cause;
        f->due = t->pending;
        model_timer_fired(a->model, t, TAKE_PTR(f), &a->now);
        CRASH_POINT("fire-after");
}

void api_fire_timers(Api *a) {
        Timer *t, *next;

        if (TAILQ_EMPTY(&a->model->timers.pending) || api_read_clocks(a, &a->now) < 0)
                return;
        TAILQ_FOREACH_SAFE(t, &a->model->timers.pending, pending_entry, next)
                fire(a, t);
}
