/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What requests do to jobs and queues, and the lists of what changed. What happens to attempts is in attempt.c, who starts
 * next in schedule.c.
 *
 * Counters of a queue follow the memory at once; the store writes them with the same commit that writes the jobs, and when a
 * commit fails the whole model is dropped and loaded again, so the two never part. */

#include "queue/crew.h"
#include "queue/model-internal.h"
#include "queue/pool.h"

#include "base/parse.h"

Model *model_new(void) {
        Model *m = new0(Model, 1);
        if (!m)
                return NULL;

        TAILQ_INIT(&m->changed);
        TAILQ_INIT(&m->idle);
        TAILQ_INIT(&m->changed_attempts);
        TAILQ_INIT(&m->changed_queues);
        TAILQ_INIT(&m->slices_wanted);
        TAILQ_INIT(&m->act);
        TAILQ_INIT(&m->act_workers);
        TAILQ_INIT(&m->changed_workers);
        TAILQ_INIT(&m->runs.changed);
        TAILQ_INIT(&m->runs.go);
        TAILQ_INIT(&m->runs.gone);
        m->next_worker = 1;
        TAILQ_INIT(&m->receipts);
        timers_init(&m->timers);
        TAILQ_INIT(&m->regulated);
        TAILQ_INIT(&m->gate_looks);
        TAILQ_INIT(&m->servers_wanted);
        m->next_admission = USEC_INFINITY;
        m->pressure_look = true;
        TAILQ_INIT(&m->changed_arrays);
        TAILQ_INIT(&m->wanted_arrays);
        unique_init(&m->unique);
        schedule_init(&m->schedule);
        backlog_init(&m->backlog);
        m->next_id = m->recorded_next_id = 1;
        m->next_deadline = m->next_purge = USEC_INFINITY;
        m->starting_max = STARTING_MAX;
        m->queued_max = m->queued_per_user_max = m->poison_max = UINT64_MAX;
        m->timeout_default = m->stop_timeout_default = USEC_INFINITY;
        m->adapter_timeout = ADAPTER_TIMEOUT_DEFAULT;
        return m;
}

Model *model_free(Model *m) {
        Job *j, *tj;
        Attempt *a, *ta;
        Queue *q, *tq;
        Worker *w, *tw;
        Run *run, *trun;
        Array *r, *tr;

        if (!m)
                return NULL;

        HASH_ITER(hh, m->jobs, j, tj) {
                HASH_DEL(m->jobs, j);
                job_free(j);
        }
        HASH_ITER(hh, m->attempts, a, ta) {
                HASH_DEL(m->attempts, a);
                attempt_free(a);
        }
        HASH_CLEAR(token_hh, m->runs.by_token);
        HASH_CLEAR(process_hh, m->runs.by_process);
        HASH_ITER(hh, m->runs.by_job, run, trun) {
                HASH_DEL(m->runs.by_job, run);
                run_free(run);
        }
        HASH_ITER(hh, m->workers, w, tw) {
                worker_stand_up(w);
                HASH_DEL(m->workers, w);
                HASH_DELETE(by_token, m->worker_tokens, w);
                worker_free(w);
        }
        HASH_ITER(hh, m->queues, q, tq) {
                HASH_DEL(m->queues, q);
                queue_free(q);
        }
        gates_done(m);
        servers_done(m);
        timers_done(&m->timers);
        level_done(&m->schedule.top);
        HASH_ITER(hh, m->arrays, r, tr) {
                HASH_DEL(m->arrays, r);
                array_free(r);
        }
        receipts_free(&m->receipts);
        backlog_done(&m->backlog);
        releases_done(&m->releases);
        usage_free_all(&m->usage);
        free(m->purged);
        return mfree(m);
}

bool model_has_changes(const Model *m) {
        return !TAILQ_EMPTY(&m->changed) || !TAILQ_EMPTY(&m->changed_attempts) || !TAILQ_EMPTY(&m->changed_queues) || !TAILQ_EMPTY(&m->changed_workers) || !TAILQ_EMPTY(&m->runs.changed) ||
               !TAILQ_EMPTY(&m->changed_arrays) || m->n_purged > 0 || releases_changed(&m->releases) || !TAILQ_EMPTY(&m->receipts) ||
               timers_changed(&m->timers) || m->next_id != m->recorded_next_id;
}

/* ---- lists of what changed ---- */

void model_job_changed(Model *m, Job *j) {
        if (j->changed)
                return;

        if (j->listed)
                TAILQ_REMOVE(&m->idle, j, changed_entry);
        TAILQ_INSERT_TAIL(&m->changed, j, changed_entry);
        j->changed = j->listed = true;
}

void model_attempt_changed(Model *m, Attempt *a) {
        if (a->changed)
                return;

        TAILQ_INSERT_TAIL(&m->changed_attempts, a, changed_entry);
        a->changed = true;
}

void model_queue_changed(Model *m, Queue *q) {
        if (q->changed)
                return;

        TAILQ_INSERT_TAIL(&m->changed_queues, q, changed_entry);
        q->changed = true;
}

static void model_drop_job(Model *m, Job *j) {
        if (j->listed)
                TAILQ_REMOVE(j->changed ? &m->changed : &m->idle, j, changed_entry);
        unique_job_dropped(m, j);
        array_job_dropped(m, j);
        HASH_DEL(m->jobs, j);
        job_free(j);
}

void model_recorded(Model *m) {
        Attempt *a;
        Queue *q;
        Job *j;

        while ((j = TAILQ_FIRST(&m->changed))) {
                if (!job_state_is_live(j->state)) {
                        model_drop_job(m, j);
                        continue;
                }
                TAILQ_REMOVE(&m->changed, j, changed_entry);
                j->changed = j->listed = j->is_new = j->was_edited = j->reopened = j->released = j->edges_void = j->edges_open_again = false;
                j->edited = spec_free(j->edited);
                j->edited_fields = j->happened = j->callback_of = 0;
                j->told_state = j->state;
        }
        while ((j = TAILQ_FIRST(&m->idle)))
                model_drop_job(m, j);

        while ((a = TAILQ_FIRST(&m->changed_attempts))) {
                TAILQ_REMOVE(&m->changed_attempts, a, changed_entry);
                a->changed = a->is_new = a->outcome_changed = false;
        }
        while ((q = TAILQ_FIRST(&m->changed_queues))) {
                TAILQ_REMOVE(&m->changed_queues, q, changed_entry);
                backlog_recorded(q);
                q->changed = q->is_new = q->starts_changed = false;
        }
        arrays_recorded(m);
        workers_recorded(m);
        runs_recorded(m);
        timers_recorded(&m->timers);
        receipts_free(&m->receipts);
        releases_recorded(&m->releases);
        usage_free_all(&m->usage);
        m->purged = mfree(m->purged);
        m->n_purged = 0;
        m->recorded_next_id = m->next_id;
}

/* ---- queues ---- */

Queue *model_queue(Model *m, const char *name) {
        Queue *q;

        HASH_FIND_STR(m->queues, name, q);
        return q;
}

int model_queue_add(Model *m, const char *name, Queue **ret) {
        _cleanup_(queue_freep) Queue *q = NULL;
        _cleanup_free_ char *parent = NULL;
        Queue *found;
        int r;

        if (!queue_name_is_valid(name))
                return -EINVAL;

        found = model_queue(m, name);
        if (found) {
                if (ret)
                        *ret = found;
                return 0;
        }

        q = queue_new(name);
        if (!q)
                return -ENOMEM;
        parent = queue_parent_name(name);
        if (parent) {
                r = model_queue_add(m, parent, &q->parent);
                if (r < 0)
                        return r;
        }
        q->is_new = q->told = true;
        q->policy.stop_timeout_usec = m->stop_timeout_default;
        level_init(&q->level, &m->schedule, q);
        q->level.all.window_more = true;
        m->schedule.n_groups++;
        m->schedule.stale = true;
        HASH_ADD_KEYPTR(hh, m->queues, q->name, strlen(q->name), q);
        retention_look_again(m, q);
        if (ret)
                *ret = q;
        TAKE_PTR(q);
        return 0;
}

void model_queue_pause(Model *m, Queue *q, bool paused) {
        if (q->paused == paused)
                return;
        q->paused = paused;
        m->pressure_look = m->pressure_look || !paused; /* also of those below it */
        queue_touch(q);
        q->told = false;
        model_queue_changed(m, q);
}

void model_queue_drain(Model *m, Queue *q, bool draining) {
        if (q->draining == draining)
                return;
        q->draining = draining;
        q->told = false;
        model_queue_changed(m, q);
}

/* ---- jobs ---- */

Job *model_job(Model *m, uint64_t id) {
        Job *j;

        HASH_FIND(hh, m->jobs, &id, sizeof(id), j);
        return j;
}

void model_job_add(Model *m, Job *j, Queue *q) {
        j->queue = q;
        j->told_state = j->is_new ? _JOB_STATE_INVALID : j->state;
        HASH_ADD(hh, m->jobs, id, sizeof(j->id), j);
        unique_job_added(m, j);
        array_job_added(m, j);
        if (!job_state_is_live(j->state)) {
                TAILQ_INSERT_TAIL(&m->idle, j, changed_entry);
                j->listed = true;
        }
}

void model_count(Model *m, Queue *q, JobState state, int64_t n) {
        q->count[state] += n;
        m->count[state] += n;
        if (state == JOB_READY && n > 0)
                admission_ready(m, q);
}

void model_count_dead(Model *m, Queue *q, int64_t n) {
        q->dead += n;
        m->dead += n;
}

void job_set_state(Model *m, Job *j, JobState state) {
        model_count(m, j->queue, j->state, -1);
        model_count(m, j->queue, state, 1);
        if (j->state == JOB_READY && state != JOB_READY)
                queue_window_remove(j->queue, j->owner, j->id);
        if (job_state_is_queued(j->state) != job_state_is_queued(state))
                backlog_add(m, j->queue, j->owner, job_state_is_queued(state) ? 1 : -1);
        unique_state_changes(m, j, state);
        array_state_changes(m, j, state);
        j->state = state;
        model_job_changed(m, j);
        model_queue_changed(m, j->queue);
}

void job_set_dead(Model *m, Job *j, bool dead) {
        if (j->dead == dead)
                return;
        j->dead = dead;
        model_count_dead(m, j->queue, dead ? 1 : -1);
        array_dead_changes(m, j, dead);
}

void job_into_window(Job *j) {
        Candidate c = { .rank = j->rank, .id = j->id, .key = j->submission_key, .priority = j->priority, .slots = j->slots,
                        .owner = j->owner };

        /* A window that cannot grow is emptied, and so read again from the store: nothing is lost by it. */
        if (queue_window_insert(j->queue, &c) < 0)
                queue_window_clear(j->queue);
}

void job_set_rank(Job *j) {
        j->fair = j->queue->policy.fair;
        j->rank = rank_of(queue_ageing(j->queue), j->priority, j->submission_key);
}

void job_make_ready(Model *m, Job *j, usec_t since) {
        job_set_state(m, j, JOB_READY);
        job_set_rank(j);
        j->ready_usec = since;
        job_into_window(j);
}

void job_set_due(Job *j, JobSpec *spec, const Now *now) {
        j->delayed = spec->delay_usec != USEC_INFINITY;
        if (j->delayed)
                spec->not_before_usec = MIN(usec_add(now->steady, spec->delay_usec), (usec_t) INT64_MAX);
        spec->delay_usec = USEC_INFINITY;
        j->not_before_usec = spec->not_before_usec;
}

bool job_is_early(const Job *j, const Now *now) {
        return j->not_before_usec != USEC_INFINITY && j->not_before_usec > (j->delayed ? now->steady : now->realtime);
}

void job_keep_time(Job *j, const Now *now) {
        if (j->state == JOB_READY && j->delayed)
                j->not_before_usec = MIN(j->not_before_usec, now->steady);
}

static void wait_for(Job *j, usec_t delay, const Now *now) {
        j->delayed = delay > 0;
        j->not_before_usec = delay > 0 ? MIN(usec_add(now->steady, delay), (usec_t) INT64_MAX) : USEC_INFINITY;
}

void job_let_go(Model *m, Job *j, const Now *now) {
        if (!job_is_early(j, now) && model_is_cleaning_up(m, j))
                wait_for(j, attempt_next_look(model_last_attempt(m, j)), now);
        if (j->blockers > 0 || job_is_early(j, now))
                job_set_state(m, j, JOB_WAITING);
        else
                job_make_ready(m, j, now->realtime);
}

bool model_must_wait(Model *m, Job *j, const Now *now) {
        if (!model_is_cleaning_up(m, j))
                return false;
        job_let_go(m, j, now);
        return true;
}

void job_forget_times(Model *m, Job *j) {
        j->started_usec = j->finished_usec = j->wait_usec = USEC_INFINITY;
        model_job_changed(m, j);
}

void job_wait_again(Model *m, Job *j, usec_t delay, const Now *now) {
        wait_for(j, delay, now);
        job_forget_times(m, j);
        if (j->state == JOB_READY)
                queue_window_remove(j->queue, j->owner, j->id);
        if (j->state != JOB_HELD)
                job_let_go(m, j, now);
}

void job_finish(Model *m, Job *j, JobResult result, const char *reason, usec_t finished, const Now *now) {
        if (j->ended) { /* whatever its last attempt would have led to: nothing is left to judge */
                j->ended = NULL;
                m->n_unjudged--;
        }
        job_set_state(m, j, JOB_DONE);
        job_set_dead(m, j, result != JOB_SUCCESS);
        j->result = result;
        j->intent = JOB_RESULT_NONE;
        j->finished_usec = finished;
        j->happened |= result == JOB_SUCCESS ? 1U << CALLBACK_SUCCESS : 1U << CALLBACK_FAILURE | 1U << CALLBACK_DEAD;
        retention_done(m, j, now);
        run_over(m, j);
        /* Without memory the reason is missing, the result is not. */
        (void) free_and_strdup(&j->reason, reason);
        if (result == JOB_SUCCESS)
                j->spec_dropped = true;
        usage_done(m, j);
}

/* All of it that can fail. */
static int job_make(const Queue *q, const JobSpec *spec, uint32_t owner, const char *owner_name, Job **ret) {
        _cleanup_(job_freep) Job *j = job_new();

        if (!j)
                return -ENOMEM;
        j->queue_name = strdup(q->name);
        if (!j->queue_name || free_and_strdup(&j->owner_name, owner_name) < 0 ||
            free_and_strdup(&j->name, spec->name) < 0 || free_and_strdup(&j->unique_key, spec->unique_key) < 0 ||
            free_and_strdup(&j->type, spec->type) < 0 || free_and_strdup(&j->type_version, spec->type_version) < 0)
                return -ENOMEM;
        j->is_new = true;
        j->owner = owner;
        *ret = TAKE_PTR(j);
        return 0;
}

static void job_take_spec(Job *j, JobSpec *spec, const Now *now) {
        j->priority = spec->priority;
        j->slots = spec->slots;
        j->submitted_usec = now->realtime;
        j->timeout_usec = spec->timeout_usec;
        j->stop_timeout_usec = spec->stop_timeout_usec;
        j->output = spec->output;
        j->verify = spec->verify;
        j->max_attempts = MAX(spec->max_attempts, UINT32_C(1));
        j->deadline_usec = spec->deadline_usec;
        j->keep_usec = spec->keep_usec;
        j->callbacks = callback_set(spec);
        unique_submitted(j, spec, now);
        for (size_t i = 0; i < spec->n_after; i++)
                j->blockers += !spec->after[i].met;
        j->spec = spec;
        j->state = JOB_HELD;
}

/* Takes j over. */
static void job_enter(Model *m, Job *j, Queue *q, bool hold, const Now *now) {
        j->id = m->next_id++;
        j->submission_key = m->last_key = MAX(m->last_key, (int64_t) now->even);
        model_job_add(m, j, q);
        job_set_rank(j);
        model_count(m, q, JOB_HELD, 1);
        backlog_add(m, q, j->owner, 1);
        model_job_changed(m, j);
        model_queue_changed(m, q);
        unique_take(m, j);
        array_submitted(m, j);
        usage_submitted(m, j);
        if (!hold)
                job_let_go(m, j, now);
}

/* Of an array all, or one. */
static int submit_jobs(Model *m, Queue *q, JobSpec *spec, uint32_t owner, const char *owner_name, const Now *now, Job **ret) {
        _cleanup_(array_freep) Array *a = NULL;
        uint32_t n = MAX(spec->array, UINT32_C(1));
        _cleanup_free_ Job **l = new0(Job *, n);
        int r = l ? model_edges_added(m, spec) : -ENOMEM;

        if (r >= 0 && spec->array > 0) {
                a = array_new(m->next_id, n, spec->array_max_running);
                r = a ? 0 : -ENOMEM;
        }
        for (uint32_t i = 0; i < n && r >= 0; i++)
                r = job_make(q, spec, owner, owner_name, l + i);
        if (r < 0) {
                for (uint32_t i = 0; l && i < n; i++)
                        job_free(l[i]);
                return r;
        }
        job_set_due(l[0], spec, now);
        for (uint32_t i = 0; i < n; i++) {
                Job *j = l[i];

                job_take_spec(j, i > 0 ? spec_ref(spec) : spec, now);
                j->delayed = l[0]->delayed;
                j->not_before_usec = l[0]->not_before_usec;
                if (a)
                        array_add_element(a, j, i);
                job_enter(m, j, q, spec->hold, now);
        }
        TAKE_PTR(a);
        *ret = l[0];
        return 0;
}

int model_submit_own(Model *m, Queue *q, JobSpec *spec, uint32_t owner, const char *owner_name, const Now *now, Job **ret) {
        return submit_jobs(m, q, spec, owner, owner_name, now, ret);
}

int model_submit(Model *m, Queue *q, JobSpec *spec, uint32_t owner, const char *owner_name, const Now *now, Job **ret,
                 char **ret_error) {
        const Queue *at;
        UniqueScope scope;
        usec_t span;
        int r;

        at = queue_draining_at(q);
        if (at)
                return spec_error(ret_error, -EDQUOT, "Queue '%s' is being drained and takes no new jobs", at->name);
        at = queue_too_small(q, spec->slots);
        if (at)
                return spec_error(ret_error, -ERANGE, "slots: %" PRIu32 " asked for, but queue '%s' has only %" PRIu32,
                                    spec->slots, at->name, at->policy.slots);
        r = spec_check_deadline(spec, now, ret_error);
        if (r < 0)
                return r;
        if (spec->unique_key) {
                r = unique_scope_parse(spec->unique_scope, &scope, &span);
                if (r < 0)
                        return spec_error(ret_error, -ERANGE, "'unique_scope' is none");
        }
        return submit_jobs(m, q, spec, owner, owner_name, now, ret);
}

int model_cancel(Model *m, Job *j, const char *reason, const Now *now) {
        if (j->state == JOB_DONE)
                return -EALREADY;
        if (j->state == JOB_STOPPING) { /* out of time, perhaps: that stays its result, but nothing follows */
                if (j->max_attempts > j->attempt) {
                        j->max_attempts = j->attempt;
                        model_job_changed(m, j);
                }
                return 0;
        }
        if (!job_state_is_live(j->state)) {
                job_finish(m, j, JOB_CANCELLED, reason, now->realtime, now);
                return 0;
        }
        attempt_stop(m, j->live, JOB_CANCELLED, reason, now);
        return 0;
}

int model_kill(Model *m, Job *j, int sig) {
        if (j->state == JOB_DONE)
                return -EALREADY;
        if (!j->live || j->live->phase != ATTEMPT_RUNNING)
                return -EBUSY;
        if (j->live->executor == EXECUTOR_WORKER && !(j->live->worker && j->live->worker->durable))
                return -EOPNOTSUPP;
        j->live->signals |= UINT64_C(1) << (sig - 1);
        model_attempt_act(m, j->live);
        return 0;
}

int model_hold(Model *m, Job *j, const Now *now) {
        if (j->state == JOB_DONE)
                return -EALREADY;
        if (job_state_is_live(j->state))
                return -EBUSY;
        job_keep_time(j, now);
        if (j->state != JOB_HELD)
                job_set_state(m, j, JOB_HELD);
        return 0;
}

int model_release(Model *m, Job *j, const Now *now) {
        if (j->state == JOB_DONE)
                return -EALREADY;
        if (j->state == JOB_HELD)
                job_let_go(m, j, now);
        return 0;
}

int model_retry(Model *m, Job *j, uint32_t attempts, usec_t delay, const Now *now) {
        if (j->state != JOB_DONE)
                return -EBUSY;

        j->reopened = true;
        job_set_dead(m, j, false);
        j->max_attempts = MIN(j->attempt, UINT32_MAX - attempts) + attempts;
        j->failures = j->poison = 0;
        j->result = JOB_RESULT_NONE;
        j->reason = mfree(j->reason);
        j->deadline_usec = j->ended_usec = USEC_INFINITY;
        j->spec_dropped = false;
        array_ask(m, j);
        job_wait_again(m, j, delay, now);
        return 0;
}

bool model_is_purged(const Model *m, uint64_t id) {
        for (size_t i = 0; i < m->n_purged; i++)
                if (m->purged[i] == id)
                        return true;
        return false;
}

int model_purge(Model *m, Job *j) {
        uint64_t *p;

        if (!job_has_ended(j))
                return -EBUSY;

        p = realloc(m->purged, (m->n_purged + 1) * sizeof(uint64_t));
        if (!p)
                return -ENOMEM;
        m->purged = p;
        m->purged[m->n_purged++] = j->id;
        model_count(m, j->queue, JOB_DONE, -1);
        job_set_dead(m, j, false);
        array_job_purged(m, j);
        model_queue_changed(m, j->queue);
        model_drop_job(m, j);
        return 0;
}

void model_due(Model *m, Job *j, const Now *now) {
        if (j->state == JOB_WAITING && j->blockers == 0 && !job_is_early(j, now))
                job_let_go(m, j, now);
}

void model_fail(Model *m, Job *j, JobResult result, const char *reason, const Now *now) {
        job_finish(m, j, result, reason, now->realtime, now);
}
