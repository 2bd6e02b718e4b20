/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The life of an attempt in the model:
 *
 *   model_start()            job starting,  attempt STARTING: slots taken, to be committed, then the unit is asked for
 *   model_attempt_started()  job running,   attempt RUNNING
 *   attempt_stop()           job stopping:  a cancel or a time-out, with the result it will have (intent)
 *   model_attempt_ended()    job done,      attempt ENDED: the outcome is to be committed, then the unit is released
 *                            job waiting,   the same, where another attempt may follow:
 *   model_judge()            job done, or waiting or ready for the next attempt
 *   model_attempt_gone()     -              the unit is gone, its cgroup empty: the slots are free
 *
 * An attempt without a job is either ENDED or a STRAY (a unit that no row knows). */

#include "queue/model-internal.h"
#include "queue/retry.h"
#include "queue/spec-change.h"
#include "queue/verdict.h"

/* ---- deadlines: a heap of those attempts that have one, as there may be ten thousand that run ---- */

static void set_deadlines(Model *m, Attempt *a, usec_t deadline, usec_t kill_deadline) {
        a->deadline = deadline;
        a->kill_deadline = kill_deadline;
        heap_set_time(&m->deadlines, &a->due, MIN(deadline, kill_deadline));
        m->next_deadline = heap_first_time(m->deadlines);
}

void attempt_arm(Model *m, Attempt *a) {
        const Job *j = a->job;

        if (j->state == JOB_RUNNING && a->freezer == FREEZER_THAWED && j->timeout_usec != USEC_INFINITY)
                set_deadlines(m, a, usec_add(usec_add(a->started_monotonic, j->timeout_usec), a->frozen_usec), a->kill_deadline);
        else
                set_deadlines(m, a, USEC_INFINITY, a->kill_deadline);
}

usec_t attempt_stop_timeout(const Attempt *a) {
        if (a->job && a->job->stop_timeout_usec != USEC_INFINITY)
                return a->job->stop_timeout_usec;
        if (a->queue && a->queue->policy.stop_timeout_usec != USEC_INFINITY)
                return a->queue->policy.stop_timeout_usec;
        return STOP_TIMEOUT_DEFAULT;
}

/* A worker has it as soon as it is told. */
static bool asks_manager(const Attempt *a) {
        return a->phase == ATTEMPT_STARTING && attempt_has_unit(a);
}

static void attempt_set_phase(Model *m, Attempt *a, AttemptPhase phase) {
        m->n_starting -= asks_manager(a);
        m->n_strays -= a->phase == ATTEMPT_STRAY;
        a->phase = phase;
        m->n_starting += asks_manager(a);
        m->n_strays += a->phase == ATTEMPT_STRAY;
        if (phase != ATTEMPT_STARTING)
                model_attempt_stuck(m, a, false);
}

void model_attempt_stuck(Model *m, Attempt *a, bool stuck) {
        m->n_stuck -= a->stuck;
        m->n_stuck += stuck;
        a->stuck = stuck;
}

static struct AttemptList *act_list(Model *m, const Attempt *a) {
        return executor_has_worker(a->executor) ? &m->act_workers : &m->act;
}

void model_attempt_act(Model *m, Attempt *a) {
        if (a->acting)
                return;
        worker_attempt_acts(a);
        TAILQ_INSERT_TAIL(act_list(m, a), a, act_entry);
        a->acting = true;
}

int model_attempt_add(Model *m, Attempt *a, Job *j, Queue *q) {
        int r;

        if (j)
                a->owner = j->owner;
        r = queue_take_slots(q, a);
        if (r < 0)
                return r;

        HASH_ADD_KEYPTR(hh, m->attempts, a->unit, strlen(a->unit), a);
        m->n_starting += asks_manager(a);
        m->n_strays += a->phase == ATTEMPT_STRAY;
        if (j && a->phase != ATTEMPT_ENDED && a->phase != ATTEMPT_STRAY) {
                a->job = j;
                a->has_net = attempt_has_unit(a) && j->timeout_usec != USEC_INFINITY; /* until it is known */
                j->live = a;
        }
        return 0;
}

/* With the next number; that of a stray is not given away, nor that of a refused start which is not let go yet. */
static Attempt *attempt_next(const Model *m, const Job *j) {
        Attempt *a, *taken = NULL;
        uint32_t refused = 0;

        for (uint32_t number = j->attempt + 1;; number++) {
                a = attempt_new(j->id, number);
                if (!a)
                        return NULL;
                taken = attempt_find(m, j->id, number);
                if (!taken) {
                        a->passed_refused = refused;
                        return a;
                }
                refused = taken->refused ? refused + 1 : 0;
                attempt_free(a);
        }
}

int model_start(Model *m, Job *j, sd_id128_t token, const Now *now) {
        bool to_worker = job_has_worker(m, j->queue, j->id);
        Run *run = j->foreground ? model_run(m, j->id) : NULL;
        Worker *w = to_worker ? worker_choose(m, j->queue, j->owner, j->slots) : NULL;
        _cleanup_(attempt_freep) Attempt *a = attempt_next(m, j);
        int r;

        if (to_worker && !w)
                return -EAGAIN;
        if (!a || (j->foreground && attempt_be_scope(a) < 0))
                return -ENOMEM;
        a->epoch = m->epoch;
        a->token = run ? run->token : token;
        a->slots = j->slots;
        a->created_usec = now->realtime;
        a->phase = ATTEMPT_STARTING;
        a->is_new = a->fresh = true;
        if (w)
                a->executor = j->queue->policy.executor;
        r = model_attempt_add(m, a, j, j->queue);
        if (r < 0)
                return r;
        if (w)
                worker_take(w, a);

        job_set_state(m, j, JOB_STARTING);
        admission_started(m, j->queue, now);
        j->max_attempts += a->number - j->attempt - 1;
        j->attempt = a->number;
        model_attempt_changed(m, a);
        model_attempt_act(m, a);
        /* It is told of it when this is recorded; nothing in between could be seen from outside. An engine may let it wait for longer than it then runs. */
        if (w && !w->durable)
                model_attempt_started(m, a, SD_ID128_NULL, now->realtime, now->monotonic);
        TAKE_PTR(a);
        return 0;
}

void model_attempt_started(Model *m, Attempt *a, sd_id128_t invocation_id, usec_t started_realtime,
                           usec_t started_monotonic) {
        Job *j = a->job;

        if (a->phase != ATTEMPT_STARTING)
                return;

        attempt_set_phase(m, a, ATTEMPT_RUNNING);
        a->invocation_id = invocation_id;
        a->started_monotonic = started_monotonic;
        a->outcome.started_usec = started_realtime;
        model_attempt_changed(m, a);

        j->happened |= 1U << CALLBACK_STARTED;
        j->started_usec = started_realtime;
        j->wait_usec = j->ready_usec == USEC_INFINITY ? USEC_INFINITY : usec_sub(started_realtime, j->ready_usec);
        if (j->state == JOB_STARTING)
                job_set_state(m, j, JOB_RUNNING);
        else
                model_job_changed(m, j); /* STOPPING: now there is something to signal */
        attempt_arm(m, a);
        model_attempt_act(m, a);
        run_act_of(m, a);
}

void model_attempt_adopted(Model *m, Attempt *a, usec_t started_monotonic, const Now *now) {
        Job *j = a->job;

        if (a->started_monotonic == USEC_INFINITY)
                a->started_monotonic = started_monotonic;
        if (!j || a->kill_due)
                return;
        if (j->state == JOB_STOPPING && a->kill_deadline == USEC_INFINITY) {
                set_deadlines(m, a, a->deadline, usec_add(now->monotonic, attempt_stop_timeout(a)));
                model_attempt_act(m, a);
        } else if (a->deadline == USEC_INFINITY)
                attempt_arm(m, a);
}

void attempt_stop(Model *m, Attempt *a, JobResult intent, const char *reason, const Now *now) {
        Job *j = a->job;

        job_set_state(m, j, JOB_STOPPING);
        j->intent = intent;
        (void) free_and_strdup(&j->reason, reason);
        set_deadlines(m, a, USEC_INFINITY, usec_add(now->monotonic, attempt_stop_timeout(a)));
        model_attempt_act(m, a);
        run_act_of(m, a);
}

void model_attempt_kill_process(Model *m, Attempt *a, const Now *now) {
        a->killing = true;
        a->kill_due = false;
        set_deadlines(m, a, a->deadline, usec_add(now->monotonic, MAX(attempt_stop_timeout(a), RUNNER_KILL_MIN)));
}

bool model_attempt_overflow(Model *m, Attempt *a, const Now *now) {
        if (!a->job || a->kill_due || (a->job->state != JOB_RUNNING && a->job->state != JOB_STOPPING))
                return false;
        if (a->job->state == JOB_RUNNING)
                attempt_stop(m, a, JOB_SIGNAL, "spool", now);
        set_deadlines(m, a, a->deadline, USEC_INFINITY);
        a->kill_due = true;
        model_attempt_act(m, a);
        return true;
}

void model_attempt_abandon(Model *m, Attempt *a, const char *reason, const Now *now) {
        if (!a->job || a->kill_due)
                return;
        if (a->job->state == JOB_RUNNING)
                attempt_stop(m, a, JOB_LOST, reason, now);
        set_deadlines(m, a, a->deadline, USEC_INFINITY);
        a->kill_due = true;
        model_attempt_act(m, a);
}

/* The attempt is over for the model: its outcome is to be recorded, its unit to be let go. */
static Job *attempt_end(Model *m, Attempt *a, Outcome *outcome, const Now *now) {
        usec_t stop = attempt_stop_timeout(a);
        Job *j = TAKE_PTR(a->job);

        attempt_thaw_ended(m, a, now);
        outcome_done(&a->outcome);
        a->outcome = *outcome;
        *outcome = OUTCOME_INIT;
        a->outcome_changed = true;
        model_attempt_changed(m, a);

        a->kill_due = false;
        set_deadlines(m, a, USEC_INFINITY, usec_add(now->monotonic, stop));
        attempt_set_phase(m, a, ATTEMPT_ENDED);
        j->live = NULL;
        model_attempt_act(m, a);
        return j;
}

void model_attempt_withdraw(Model *m, Attempt *a, const char *reason, const Now *now) {
        JobResult intent = a->job->intent;
        Outcome o = OUTCOME_INIT;
        Job *j;

        o.result = intent != JOB_RESULT_NONE ? intent : JOB_EXEC;
        o.finished_usec = now->realtime;
        if (intent == JOB_TIMEOUT) { /* which another attempt may follow */
                model_attempt_ended(m, a, &o, now);
                return;
        }
        (void) free_and_strdup(&o.reason, reason);
        j = attempt_end(m, a, &o, now);
        usage_attempt_ended(m, j, a->slots, &a->outcome, now);
        if (intent != JOB_RESULT_NONE) {
                job_finish(m, j, intent, j->reason, now->realtime, now);
                return;
        }
        j->max_attempts++;
        job_make_ready(m, j, now->realtime);
        unique_start_undone(m, j);
        run_start_undone(m, j);
}

void model_attempt_refused(Model *m, Attempt *a, const char *error, const Now *now) {
        Job *j = a->job;
        Outcome o = OUTCOME_INIT;
        Queue *q = j->queue;

        if (a->job->intent != JOB_RESULT_NONE) {
                model_attempt_withdraw(m, a, error, now);
                return;
        }
        o.result = JOB_EXEC;
        (void) attempt_end(m, a, &o, now);
        a->refused = true;
        j->attempt = a->number - 1 - a->passed_refused;
        j->max_attempts -= a->passed_refused;
        job_make_ready(m, j, j->ready_usec);
        unique_start_undone(m, j);
        run_start_undone(m, j);
        admission_refused(m, q, error);
}

/* ---- another attempt ---- */

Attempt *attempt_find(const Model *m, uint64_t job, uint32_t number) {
        char unit[ATTEMPT_UNIT_MAX];
        Attempt *a;

        attempt_unit_name(job, number, /* scope = */ false, unit);
        HASH_FIND_STR(m->attempts, unit, a);
        if (a)
                return a;
        attempt_unit_name(job, number, /* scope = */ true, unit);
        HASH_FIND_STR(m->attempts, unit, a);
        return a;
}

Attempt *model_last_attempt(const Model *m, const Job *j) {
        return j->live || j->attempt == 0 ? j->live : attempt_find(m, j->id, j->attempt);
}

bool model_is_cleaning_up(const Model *m, const Job *j) {
        const Attempt *a = model_last_attempt(m, j);

        return a && a->phase == ATTEMPT_ENDED && a->queue && (a->executor != EXECUTOR_WORKER || a->left_in) && a->outcome.result != JOB_RESULT_NONE;
}

usec_t attempt_next_look(Attempt *a) {
        return CLEANING_LOOK << MIN(a->looks++, CLEANING_DOUBLED_MAX);
}

static void finish_with(Model *m, Job *j, const Attempt *a, const char *reason, const Now *now) {
        usec_t finished = a->outcome.finished_usec;

        job_finish(m, j, a->outcome.result, reason, finished != USEC_INFINITY ? finished : now->realtime, now);
}

/* Whatever the spec says: nothing can follow. */
static bool is_final(const Job *j, const Outcome *o) {
        return o->result == JOB_SUCCESS || o->result == JOB_CANCELLED || j->foreground ||
               (o->result != JOB_LOST && j->attempt >= j->max_attempts);
}

/* Somebody said when it shall start, after its attempt had ended and before that is judged: he was told that it is so. */
static bool has_own_time(const Job *j) {
        return j->edited_fields & (spec_field_bit(spec_field_find("not_before_usec")) | spec_field_bit(spec_field_find("delay_usec")));
}

void model_judge(Model *m, Job *j, const JobSpec *spec, const Now *now) {
        const Attempt *a = TAKE_PTR(j->ended);
        bool costs_nothing = a->outcome.result == JOB_LOST && spec && spec->requeue_lost;
        char reason[128];

        m->n_unjudged--;
        if (!costs_nothing && (!spec || j->attempt >= j->max_attempts || !retry_is_wanted(spec, &a->outcome))) {
                finish_with(m, j, a, a->outcome.reason, now);
                return;
        }
        if (j->poison >= m->poison_max) {
                snprintf(reason, sizeof(reason), "not tried again: %" PRIu32 " attempts in a row were lost or ran out of memory",
                         j->poison);
                finish_with(m, j, a, reason, now);
                return;
        }
        j->retried_after = a->outcome.result;
        j->happened |= 1U << CALLBACK_FAILURE;
        if (costs_nothing)
                j->max_attempts++;
        else
                j->failures++;
        if (has_own_time(j)) {
                job_forget_times(m, j);
                return;
        }
        job_wait_again(m, j, costs_nothing ? 0 : retry_delay(spec, j->failures, a->token.qwords[0] * UINT64_C(0x9e3779b97f4a7c15)), now);
}

void model_attempt_ended(Model *m, Attempt *a, Outcome *outcome, const Now *now) {
        Job *j = a->job;

        if (a->phase != ATTEMPT_STARTING && a->phase != ATTEMPT_RUNNING)
                return;

        /* What was intended is what it was: the unit was asked to end before it did (docs/states.md). */
        if (j->intent != JOB_RESULT_NONE) {
                outcome->result = j->intent;
                (void) free_and_strdup(&outcome->reason, j->reason);
        }
        verdict_judge(outcome, j->verify);
        (void) attempt_end(m, a, outcome, now);
        usage_attempt_ended(m, j, a->slots, &a->outcome, now);
        j->poison = retry_is_poison(&a->outcome) ? j->poison + 1 : 0;
        j->grown += a->outcome.result == JOB_OOM_KILL;
        if (is_final(j, &a->outcome)) {
                finish_with(m, j, a, a->outcome.reason, now);
                return;
        }
        /* It waits for its judgement, which needs the spec and comes before anything is recorded. */
        j->ended = a;
        m->n_unjudged++;
        j->intent = JOB_RESULT_NONE;
        j->reason = mfree(j->reason);
        job_set_state(m, j, JOB_WAITING);
}

void model_attempt_gone(Model *m, Attempt *a) {
        assert(!a->job);

        attempt_set_phase(m, a, ATTEMPT_ENDED);
        if (a->changed)
                TAILQ_REMOVE(&m->changed_attempts, a, changed_entry);
        if (a->acting)
                TAILQ_REMOVE(act_list(m, a), a, act_entry);
        worker_give_back(a);
        queue_give_slots_back(a);
        set_deadlines(m, a, USEC_INFINITY, USEC_INFINITY);
        HASH_DEL(m->attempts, a);
        attempt_free(a);
}

void model_stray_ended(Model *m, Attempt *a) {
        attempt_set_phase(m, a, ATTEMPT_ENDED);
        model_attempt_act(m, a);
}

void model_deadlines(Model *m, const Now *now) {
        while (heap_first_time(m->deadlines) <= now->monotonic) {
                Attempt *a = CONTAINER_OF(m->deadlines, Attempt, due);

                if (a->deadline <= now->monotonic && a->job && a->job->state == JOB_RUNNING)
                        attempt_stop(m, a, JOB_TIMEOUT, NULL, now);
                if (a->kill_deadline <= now->monotonic && !a->kill_due) {
                        a->kill_due = true;
                        model_attempt_act(m, a);
                }
                set_deadlines(m, a, a->deadline <= now->monotonic ? USEC_INFINITY : a->deadline,
                              a->kill_deadline <= now->monotonic ? USEC_INFINITY : a->kill_deadline);
        }
}
