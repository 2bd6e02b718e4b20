/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* See worker.h. A worker is in the model from its registration until its process is gone and that is recorded. Its slots are its own: a job
 * takes them beside those of its queue. */

#include "queue/worker.h"

#include "base/strv.h"
#include "queue/callback.h"
#include "queue/crew.h"
#include "queue/model-internal.h"
#include "queue/pool.h"
#include "queue/reason.h"

#include <unistd.h>

static const char *const executor_names[_EXECUTOR_MAX] = {
        [EXECUTOR_SERVICE] = "service",
        [EXECUTOR_WORKER] = "worker",
        [EXECUTOR_POOL] = "pool",
        [EXECUTOR_SCOPE] = "scope",
};

const char *executor_to_string(Executor e) {
        return executor_names[e];
}

Executor executor_from_string(const char *s) {
        for (Executor e = 0; e < _EXECUTOR_MAX; e++)
                if (streq(executor_names[e], s))
                        return e;
        return _EXECUTOR_INVALID;
}

Worker *worker_new(void) {
        Worker *w = new0(Worker, 1);

        if (w)
                w->away.when = USEC_INFINITY;
        return w;
}

Worker *worker_free(Worker *w) {
        if (!w)
                return NULL;

        free(w->user);
        free(w->unit);
        free(w->cgroup);
        free(w->name);
        free(w->metadata);
        strv_free(w->queues);
        free(w->adapter);
        return mfree(w);
}

/* ---- who ---- */

bool worker_names(const Worker *w, const Queue *q) {
        return w->adapter ? streq_ptr(q->policy.adapter, w->adapter) : strv_contains(w->queues, q->name);
}

bool worker_is_trusted(const Worker *w, const Queue *q) {
        char uid[16];

        if (w->unit && streq_ptr(q->policy.worker_unit, w->unit))
                return true;
        (void) snprintf(uid, sizeof(uid), "%" PRIu32, w->uid);
        return strv_contains(q->policy.worker_users, uid) || (w->user && strv_contains(q->policy.worker_users, w->user));
}

/* What jobmill itself has put there reaches whom an administrator trusts with it, though it is in the name of its owner: else a user's own worker could
 * have it that what his jobs tell of is never told. A user's own jobmill is hers. */
bool worker_may_serve(const Worker *w, const Queue *q) {
        return !callback_queue_is(q->name) || w->uid == geteuid() || worker_is_trusted(w, q);
}

/* A runner has jobs of its own user and queue, whatever else it says, and nobody else has them. */
static bool is_runner_of(const Worker *w, const Queue *q, uint32_t owner) {
        char unit[POOL_UNIT_MAX];

        pool_unit_name(q->name, owner, unit);
        return w->uid == owner && streq_ptr(w->unit, unit);
}

bool worker_serves_all(const Worker *w, const Queue *q) {
        return !w->gone && q->policy.executor != EXECUTOR_POOL && !worker_is_runner(w) && worker_names(w, q) && worker_is_trusted(w, q);
}

bool worker_serves(const Worker *w, const Queue *q, uint32_t owner) {
        if (w->gone || !worker_names(w, q))
                return false;
        if (q->policy.executor == EXECUTOR_POOL)
                return is_runner_of(w, q, owner);
        return !worker_is_runner(w) && ((w->uid == owner && worker_may_serve(w, q)) || worker_is_trusted(w, q));
}

bool job_has_worker(const Model *m, const Queue *q, uint64_t job) {
        return executor_has_worker(q->policy.executor) && !model_run(m, job);
}

/* Nothing before it is told its token, with which alone it could say what became of it. */
bool worker_takes_jobs(const Worker *w) {
        return w->connected && !w->draining && !w->gone && !w->is_new;
}

static uint32_t room(const Worker *w) {
        return w->slots > w->slots_used ? w->slots - w->slots_used : 0;
}

Worker *worker_choose(const Model *m, const Queue *q, uint32_t owner, uint32_t slots) {
        Worker *a = crew_first(crew_find(m, q, owner)), *b = crew_first(crew_find(m, q, CREW_OF_ALL));

        if (!a || (b && (room(b) > room(a) || (room(b) == room(a) && b->id < a->id))))
                a = b;
        return a && room(a) >= slots ? a : NULL;
}

bool worker_unit_is_there(const Model *m, const Queue *q, uint32_t owner) {
        const Crew *c = crew_find(m, q, q->policy.executor == EXECUTOR_POOL ? owner : CREW_OF_ALL);

        return c && (q->policy.executor == EXECUTOR_POOL || c->n_of_unit > 0);
}

bool worker_is_there(const Model *m, const Queue *q, uint32_t owner, uint32_t slots) {
        return MAX(crew_most(crew_find(m, q, owner)), crew_most(crew_find(m, q, CREW_OF_ALL))) >= slots;
}

bool worker_is_waited_for(const Worker *w) {
        for (size_t i = 0; i < w->n_seats; i++) {
                const Crew *c = w->seats[i].crew;
                const Group *g;

                if (!c || queue_is_shut_off(c->key.queue) || c->key.queue->count[JOB_READY] == 0)
                        continue;
                g = c->key.user == CREW_OF_ALL ? NULL : level_group(&c->key.queue->level, (uint32_t) c->key.user);
                if (c->key.user == CREW_OF_ALL || (g && (g->n_window > 0 || g->window_more)))
                        return true;
        }
        return false;
}

static int no_worker_reason(const Model *m, const Queue *q, uint32_t owner, char **ret) {
        int r = server_reason(m, q, owner, ret);

        return r != 0 ? r : reason_say(ret, "no worker serves queue %s", q->name);
}

int worker_reason(const Model *m, const Queue *q, uint32_t owner, uint32_t slots, char **ret) {
        const Crew *crews[] = { crew_find(m, q, owner), crew_find(m, q, CREW_OF_ALL) };
        uint64_t used = 0, all = 0;
        uint32_t most = 0;
        bool away = false, draining = false;

        if (worker_choose(m, q, owner, slots))
                return 0;
        FOREACH_ELEMENT(c, crews)
                if (*c) {
                        used += (*c)->used;
                        all += (*c)->all;
                        most = MAX(most, crew_most(*c));
                        away = away || (*c)->n_away > 0;
                        draining = draining || (*c)->n_draining > 0;
                }
        if (all == 0)
                return away       ? reason_say(ret, q->policy.adapter ? "the adapter of queue %s is away" : "the workers of queue %s are not connected", q->name)
                       : draining ? reason_say(ret, "the workers of queue %s take no more jobs", q->name)
                                  : no_worker_reason(m, q, owner, ret);
        if (most < slots)
                return reason_say(ret, "needs %" PRIu32 ", no worker has more than %" PRIu32, slots, most);
        return slots == 1 ? reason_say(ret, "workers are busy: %" PRIu64 " of %" PRIu64, used, all) :
                            reason_say(ret, "needs %" PRIu32 ", workers are busy: %" PRIu64 " of %" PRIu64, slots, used, all);
}

/* As it is named to who asked for it: a field, or a property with its value. */
static bool is_taken(const Queue *q, const char *what) {
        size_t n = strcspn(what, "=");

        STRV_FOREACH(i, q->policy.adapter_takes)
                if (strlen(*i) == n && strncmp(*i, what, n) == 0)
                        return true;
        return false;
}

int worker_check_spec(const JobSpec *s, const Queue *q, char **ret_error) {
        const char *const fields[] = { s->output_file ? "output_file" : NULL, s->error_file ? "error_file" : NULL,
                                       s->freezable == 1 ? "freezable" : NULL, strv_length(s->credentials) ? "credentials" : NULL };
        const char *what = NULL;

        FOREACH_ELEMENT(f, fields)
                if (*f && !is_taken(q, *f))
                        what = *f;
        STRV_FOREACH(p, s->properties)
                if (!is_taken(q, *p))
                        what = *p;
        if (!what)
                return 0;
        return q->policy.adapter ? spec_error(ret_error, EPERM, "%s: has no equivalent where jobs of this queue run (Executor=%s)", what, q->policy.adapter) :
                                   spec_error(ret_error, EPERM, "%s: jobs of this queue are given to workers (Executor=)", what);
}

/* ---- slots ---- */

void worker_take(Worker *w, Attempt *a) {
        a->worker = w;
        a->worker_id = w->id;
        TAILQ_INSERT_TAIL(&w->attempts, a, worker_entry);
        w->slots_used += a->slots;
        w->n_attempts++;
        worker_look_at_room(w);
}

static void listens(Attempt *a) {
        if (a->deferred)
                TAILQ_REMOVE(&a->worker->deferred, a, act_entry);
        a->deferred = false;
}

void worker_give_back(Attempt *a) {
        Worker *w = a->worker;

        if (!w)
                return;
        listens(a);
        a->worker = NULL;
        TAILQ_REMOVE(&w->attempts, a, worker_entry);
        w->slots_used -= a->slots;
        w->n_attempts--;
        worker_look_at_room(w);
}

int model_worker_adopt(Model *m, uint64_t id, Attempt *a) {
        Worker *w = model_worker(m, id);

        a->worker_id = id;
        if (!w)
                return -ENOENT;
        worker_take(w, a);
        return 0;
}

/* ---- what it cannot be told now ---- */

void model_attempt_defer(Attempt *a) {
        TAILQ_INSERT_TAIL(&a->worker->deferred, a, act_entry);
        a->deferred = true;
}

void worker_attempt_acts(Attempt *a) {
        if (a->worker)
                listens(a);
}

void model_worker_listens(Model *m, Worker *w) {
        Attempt *a;

        while ((a = TAILQ_FIRST(&w->deferred)))
                model_attempt_act(m, a);
}

/* ---- coming and going ---- */

/* Those who lack slots, and could have been given to it, may have nobody now. */
static void is_missed(Worker *w) {
        for (size_t i = 0; i < w->n_seats; i++)
                if (w->seats[i].crew)
                        queue_touch_up(w->seats[i].crew->key.queue);
}

void worker_changed(Model *m, Worker *w) {
        if (w->changed)
                return;
        TAILQ_INSERT_TAIL(&m->changed_workers, w, changed_entry);
        w->changed = true;
}

Worker *model_worker(const Model *m, uint64_t id) {
        Worker *w;

        HASH_FIND(hh, m->workers, &id, sizeof(id), w);
        return w;
}

Worker *model_worker_by_token(const Model *m, sd_id128_t token) {
        Worker *w;

        HASH_FIND(by_token, m->worker_tokens, &token, sizeof(token), w);
        return w && !w->gone ? w : NULL;
}

int model_worker_add(Model *m, Worker *w, bool loaded) {
        usec_t away = w->away.when;
        int r;

        w->model = m;
        if (!loaded)
                w->id = m->next_worker;
        r = worker_sit_down(w);
        if (r < 0)
                return r;
        TAILQ_INIT(&w->attempts);
        TAILQ_INIT(&w->deferred);
        if (!loaded) {
                w->is_new = true;
                worker_changed(m, w);
        }
        m->next_worker = MAX(m->next_worker, w->id + 1);
        HASH_ADD(hh, m->workers, id, sizeof(w->id), w);
        HASH_ADD(by_token, m->worker_tokens, token, sizeof(w->token), w);
        w->away.when = USEC_INFINITY;
        heap_set_time(&m->workers_away, &w->away, away);
        worker_look_at_room(w);
        return 0;
}

void model_worker_drain(Model *m, Worker *w) {
        if (w->draining)
                return;
        w->draining = true;
        worker_look_at_room(w);
        is_missed(w);
        worker_changed(m, w);
}

void model_worker_connected(Model *m, Worker *w, bool connected) {
        Attempt *a;

        w->connected = connected;
        worker_look_at_room(w);
        if (!connected)
                is_missed(w);
        TAILQ_FOREACH(a, &w->attempts, worker_entry) {
                a->asked = a->cancel_sent = false;
                if (connected)
                        model_attempt_act(m, a);
        }
}

void model_worker_gone(Model *m, Worker *w, const Now *now) {
        Attempt *a;

        if (w->gone)
                return;
        w->gone = true;
        w->connected = false;
        heap_set_time(&m->workers_away, &w->away, USEC_INFINITY);
        is_missed(w);
        worker_stand_up(w);
        worker_changed(m, w);
        while ((a = TAILQ_FIRST(&w->attempts))) {
                Outcome o = a->outcome; /* with what it wrote by then */

                if (a->job) {
                        a->outcome = OUTCOME_INIT;
                        o.result = JOB_LOST;
                        o.shutdown = m->shutting_down;
                        o.finished_usec = now->realtime;
                        (void) free_and_strdup(&o.reason, worker_is_runner(w) ? "its runner is gone" : w->durable ? "its adapter was away for too long" : "its worker is gone");
                        model_attempt_ended(m, a, &o, now);
                }
                worker_give_back(a);
                if (w->cgroup && !w->durable)
                        (void) free_and_strdup(&a->left_in, w->cgroup);
        }
}

Attempt *model_worker_attempt(const Model *m, const Worker *w, uint64_t job, uint32_t number) {
        Attempt *a = attempt_find(m, job, number);

        return a && a->worker == w && a->job ? a : NULL;
}

bool model_worker_had(const Model *m, const Worker *w, uint64_t job, uint32_t number) {
        const Attempt *a = attempt_find(m, job, number);

        return a && a->worker_id == w->id;
}

int model_worker_complete(Model *m, Worker *w, uint64_t job, uint32_t number, Outcome *outcome, const Now *now) {
        Attempt *a = model_worker_attempt(m, w, job, number);

        if (!a)
                return -ENOENT;
        outcome->started_usec = a->outcome.started_usec;
        /* An engine may have known it for long, by the clock of another host. */
        outcome->finished_usec = MIN(MAX(outcome->finished_usec, a->created_usec), now->realtime);
        if (a->started_monotonic != USEC_INFINITY)
                /* Where it says when, both are of the engine's clock; ours have run beside each other since, but not to the microsecond. */
                outcome->runtime_usec = outcome->finished_usec < now->realtime ? usec_sub(outcome->finished_usec, outcome->started_usec)
                                                                              : usec_sub(now->monotonic, a->started_monotonic);
        model_attempt_ended(m, a, outcome, now);
        /* Nothing of it is left, so the next one may be recorded with its outcome. Where that fails both are undone. */
        worker_give_back(a);
        queue_give_slots_back(a);
        return 0;
}

int model_worker_return(Model *m, Worker *w, uint64_t job, uint32_t number, const char *reason, const Now *now) {
        Attempt *a = model_worker_attempt(m, w, job, number);

        if (!a)
                return -ENOENT;
        model_attempt_withdraw(m, a, reason, now);
        worker_give_back(a);
        queue_give_slots_back(a);
        return 0;
}

void workers_recorded(Model *m) {
        Worker *w;

        while ((w = TAILQ_FIRST(&m->changed_workers))) {
                TAILQ_REMOVE(&m->changed_workers, w, changed_entry);
                if (w->is_new)
                        server_came(m, w->unit);
                w->changed = w->is_new = false;
                worker_look_at_room(w);
                if (w->gone) {
                        HASH_DEL(m->workers, w);
                        HASH_DELETE(by_token, m->worker_tokens, w);
                        worker_free(w);
                }
        }
}
