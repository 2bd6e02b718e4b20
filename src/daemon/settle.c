/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The turn. Requests and events only edit the model; here the world is made to agree with it, always in this order:
 *
 *   decide   which jobs are tried again, are due, may start, whose time is over (pure, but for loading the jobs that were picked)
 *   record   all that changed, in one transaction: durable before anybody sees it
 *   act      start, kill and release units, asynchronously
 *   tell     signals, ends of waits, and the answers that were held
 *
 * Many requests of one turn of the event loop share one commit. Start-up is not a special case: load, look at the units,
 * settle. If recording fails, nothing is acted or told: callers get an error, the model is dropped and loaded again from
 * what is recorded, and nothing starts until a commit succeeds. */

#include "daemon/manager.h"

#include "api/run.h"
#include "api/timer.h"
#include "api/unique.h"
#include "base/crash-point.h"
#include "base/log.h"
#include "base/parse.h"
#include "base/strv.h"
#include "base/time-util.h"
#include "notify/event.h"
#include "unit/attempt-files.h"
#include "unit/spool.h"

#include <malloc.h>
#include <systemd/sd-daemon.h>

#define DUE_PER_ROUND 256U
#define DECISIONS_PER_TURN 1000U /* so many may fail at once, when their owner is gone */
#define WINDOWS_PER_TURN 256U /* with thousands of queues or users, as after a start: requests come in between */
#define TRIM_JOBS 1000U /* a batch of so many leaves enough free memory behind to give it back */
#define STORAGE_RETRY (1 * USEC_PER_SEC)
#define STATUS_INTERVAL (1 * USEC_PER_SEC)

/* ---- decide ---- */

int manager_load_job(Manager *m, uint64_t id, Job **ret) {
        _cleanup_(job_freep) Job *j = NULL;
        Queue *q;
        int r;

        *ret = model_job(m->model, id);
        if (*ret)
                return 0;
        r = model_is_purged(m->model, id) ? -ENOENT : store_load_job(m->store, id, &j);
        if (r >= 0)
                r = model_queue_add(m->model, j->queue_name, &q);
        if (r < 0)
                return r == -ENOENT ? r : log_error_errno(r, "Failed to load job %" PRIu64 ": %s", id, store_error(m->store));
        model_job_add(m->model, j, q);
        *ret = TAKE_PTR(j);
        return 0;
}

/* NULL in *ret: it cannot be read, now and ever. */
static int spec_to_judge(Manager *m, const Job *j, JobSpec **loaded, const JobSpec **ret) {
        int r;

        *ret = j->edited; /* in this turn */
        if (*ret)
                return 0;
        r = store_read_spec(m->store, j, loaded);
        if (r == -EUCLEAN || r == -ENOENT) {
                log_error_errno(r, "Job %" PRIu64 " is not tried again: its spec cannot be read: %s", j->id, store_error(m->store));
                return 0;
        }
        *ret = *loaded;
        return r;
}

/* Attempts that ended in this turn: is there another one, and when? */
static int decide_retries(Manager *m) {
        Job *j;
        int r;

        if (m->model->n_unjudged == 0)
                return 0;
        TAILQ_FOREACH(j, &m->model->changed, changed_entry) {
                _cleanup_(spec_freep) JobSpec *loaded = NULL;
                const JobSpec *spec;

                if (!j->ended)
                        continue;
                r = spec_to_judge(m, j, &loaded, &spec);
                if (r < 0)
                        return r;
                model_judge(m->model, j, spec, &m->now);
        }
        return 0;
}

/* Of jobs whose start was refused in this turn: their keys. */
static int decide_keys(Manager *m) {
        Job *j;
        int r = 0;

        if (!m->model->unique.wanted)
                return 0;
        m->model->unique.wanted = false;
        TAILQ_FOREACH(j, &m->model->changed, changed_entry)
                if (j->unique_wanted && r >= 0)
                        r = unique_take_again(m->model, m->store, &m->now, j);
        return r;
}

/* Jobs whose time has come, by one of the indexes of the store; *next: when the next one's does. */
static void decide_times(Manager *m, int (*load)(Store *s, usec_t now, uint64_t *ids, size_t n, size_t *ret_n, usec_t *ret_next),
                         void (*act)(Model *m, Job *j, const Now *now), usec_t *next) {
        uint64_t ids[DUE_PER_ROUND];
        size_t n;
        int r;

        if (m->storage_failed || m->now.realtime < *next)
                return;
        r = load(m->store, m->now.realtime, ids, DUE_PER_ROUND, &n, next);
        if (r < 0) {
                log_error_errno(r, "Failed to look for jobs that are due: %s", store_error(m->store));
                *next = m->now.realtime + STORAGE_RETRY;
                return;
        }
        for (size_t i = 0; i < n; i++) {
                Job *j;
                if (manager_load_job(m, ids[i], &j) >= 0)
                        act(m->model, j, &m->now);
        }
        if (n == DUE_PER_ROUND)
                *next = 0;
}

/* The uid must still lead to the name that it had when the job was submitted. 1: yes, 0: not known yet, -ESTALE: no. */
static int check_owner(Manager *m, const Job *j) {
        const User *u;

        if (m->user || (j->owner == 0 && streq_ptr(j->owner_name, "root")))
                return 1;
        u = user_db_get(m->users, j->owner);
        if (!u)
                return 0;
        return streq_ptr(u->name, j->owner_name) ? 1 : -ESTALE;
}

/* Nobody is there who could be given it, or told of its turn: it holds up nobody else. has_room: its queue has. */
static bool pass_over(Manager *m, const Candidate *c, Queue *q, bool has_room) {
        bool known = m->user || c->owner == 0 || user_db_get(m->users, c->owner);

        /* Whoever is not known yet keeps nobody else waiting, as long as there are not too many of them. But what waits for room does so also while who
         * he is is asked once more. */
        if (!known && has_room) {
                schedule_skip(q, c->owner);
                m->skips_left--;
                return true;
        }
        if (run_is_away(m->model, c->id)) {
                schedule_skip(q, c->owner);
                return true;
        }
        if (!job_has_worker(m->model, q, c->id) ||
            (has_room ? !!worker_choose(m->model, q, c->owner, c->slots) : worker_is_there(m->model, q, c->owner, c->slots)))
                return false;
        if (known)
                manager_want_server(m, q, c->owner);
        if (!has_room && server_is_coming(m->model, q, c->owner, &m->now)) /* else it would lack them again when that is there */
                return false;
        schedule_skip_owner(q, c->owner);
        return true;
}

static void decide_start(Manager *m, const Candidate *c, Queue *q) {
        sd_id128_t token;
        Job *j;
        int r;

        if (pass_over(m, c, q, /* has_room = */ true))
                return;
        r = manager_load_job(m, c->id, &j);
        if (r >= 0) /* one of this turn, of which the store's index does not know yet */
                model_expire(m->model, j, &m->now);
        if (r == -ENOENT || (r >= 0 && j->state != JOB_READY)) {
                queue_window_remove(q, c->owner, c->id);
                return;
        }
        if (r < 0) {
                schedule_skip(q, c->owner);
                return;
        }
        if (array_is_full(j)) { /* its limit was lowered */
                model_array_take_place(m->model, j);
                return;
        }
        if (model_must_wait(m->model, j, &m->now))
                return;
        r = check_owner(m, j);
        if (r == 0) {
                schedule_skip(q, c->owner);
                return;
        }
        m->decisions_left--;
        if (r < 0) {
                char reason[128];
                snprintf(reason, sizeof(reason), "uid %" PRIu32 " is no longer user %s", j->owner, strempty(j->owner_name));
                model_fail(m->model, j, JOB_EXEC, reason, &m->now);
                return;
        }
        r = sd_id128_randomize(&token);
        if (r >= 0)
                r = model_start(m->model, j, token, &m->now);
        if (r < 0) {
                log_error_errno(r, "Failed to start job %" PRIu64 ", later: %m", j->id);
                schedule_skip(q, c->owner);
        }
}

static bool decide_next(Manager *m) {
        Candidate c;
        Queue *q;

        if (!schedule_next(m->model, &c, &q))
                return false;
        decide_start(m, &c, q);
        return true;
}

static int decide(Manager *m) {
        Candidate c;
        Queue *q;
        int r;

        if (!m->storage_failed)
                api_fire_timers(m->api);
        workers_give_up(m->model, &m->now);
        r = m->model->timers.files_wanted ? manager_find_timers(m, m->model) : 0;
        if (r >= 0)
                r = decide_retries(m);
        if (r >= 0)
                r = decide_keys(m);
        if (r < 0)
                return r;
        r = manager_end_runs(m);
        if (r < 0)
                return r;
        model_deadlines(m->model, &m->now);
        decide_times(m, store_load_expired, model_expire, &m->next_start_deadline);
        decide_times(m, store_load_due, model_due, &m->next_due);
        r = manager_release(m);
        if (r < 0)
                return r;
        m->model->dispatch_blocked = m->stopping          ? "jobmilld is stopping" :
                                     m->storage_failed || m->api->storage_full ? "storage" :
                                     m->api->restored     ? "store restored" :
                                                            units_blocked(m->units);
        manager_sample_pressure(m);
        admission_decide(m->model, &m->now);
        servers_decide(m->model, &m->now);
        manager_fill_arrays(m);
        schedule_begin(m->model);
        do
                while (m->skips_left > 0 && schedule_next_lacking(m->model, &c, &q))
                        (void) pass_over(m, &c, q, /* has_room = */ false);
        while (m->decisions_left > 0 && m->skips_left > 0 && decide_next(m));
        r = manager_release(m); /* of those that could not be started at all */
        return r < 0 ? r : manager_make_callbacks(m);
}

/* The window that ran dry is filled from the store; only when the store has everything that memory has. */
static bool refill(Manager *m) {
        Group *g = m->model->schedule.wanted;
        uint32_t cap = UINT32_MAX;
        int r;

        if (!g)
                return false;
        for (const Queue *p = g->level->queue; p; p = p->parent)
                cap = MIN(cap, p->policy.slots);
        r = store_load_window(m->store, g, cap);
        if (r < 0)
                log_error_errno(r, "Failed to read the ready jobs of queue %s: %s", g->level->queue->name, store_error(m->store));
        return r >= 0;
}

/* ---- record ---- */

static int storage_failed(Manager *m, int error) {
        char text[256];
        int r;

        snprintf(text, sizeof(text), "%s", store_error(m->store)); /* the next error overwrites it */
        log_full_errno(m->storage_failed ? LOG_DEBUG : LOG_ERR, error,
                       "Failed to record changes, nothing is started until that works again: %s", text);
        CRASH_POINT("storage-failed");
        m->storage_failed = true;
        (void) manager_give_ballast(m, error);
        api_storage_failed(m->api, error, text);
        /* Nothing of the old model may be acted on. A damaged store does not mend itself. */
        if (error == -EUCLEAN)
                return log_error_errno(error, "The store %s is damaged: %s%s", store_file(m->store), text,
                                       manager_store_advice(error));
        r = manager_load_model(m);
        if (r < 0)
                return log_error_errno(r, "Failed to load the store %s: %s%s", store_file(m->store), store_error(m->store),
                                       manager_store_advice(r));
        m->model->dispatch_blocked = "storage"; /* whoever asks before the next turn */
        CRASH_POINT("model-dropped");
        (void) sd_event_source_set_time_relative(m->storage_timer, STORAGE_RETRY);
        return sd_event_source_set_enabled(m->storage_timer, SD_EVENT_ONESHOT);
}

typedef struct Told {
        Change *changes;
        size_t n_changes;
        Queue **queues;
        size_t n_queues;
        bool workers; /* who came is given something when it is told that it is there */
} Told;

static int told_take(const Model *m, Told *ret) {
        size_t n = 0;
        Queue *q;
        int r;

        r = changes_take(m, &ret->changes, &ret->n_changes);
        if (r < 0)
                return r;
        TAILQ_FOREACH(q, &m->changed_queues, changed_entry)
                n++;
        ret->queues = new0(Queue *, n);
        if (!ret->queues)
                return -ENOMEM;
        TAILQ_FOREACH(q, &m->changed_queues, changed_entry)
                if (!q->told) {
                        ret->queues[ret->n_queues++] = q;
                        q->told = true;
                }
        return 0;
}

static void told_done(Told *t) {
        changes_free(t->changes, t->n_changes);
        free(t->queues);
}

static int record(Manager *m, Told *ret) {
        usec_t began;
        Job *j;
        int r;

        if (!model_has_changes(m->model))
                return 0;
        TAILQ_FOREACH(j, &m->model->changed, changed_entry) {
                if (j->state == JOB_WAITING && j->blockers == 0)
                        m->next_due = MIN(m->next_due, j->not_before_usec);
                if (job_has_deadline(j))
                        m->next_start_deadline = MIN(m->next_start_deadline, j->deadline_usec);
        }
        if (!TAILQ_EMPTY(&m->model->receipts) && m->next_expiry == USEC_INFINITY)
                m->next_expiry = 0;
        ret->workers = !TAILQ_EMPTY(&m->model->changed_workers);
        r = told_take(m->model, ret);
        store_announce(m->store, ret->changes, ret->n_changes, m->settings.events_max);
        began = now_usec(CLOCK_MONOTONIC);
        if (r >= 0)
                r = store_record(m->store, m->model);
        manager_committed(m, began, r >= 0);
        if (r < 0)
                return r;
        model_recorded(m->model);
        if (m->storage_failed) {
                log_notice("Recording works again.");
                m->storage_failed = false;
                units_resync(m->units, true);
        }
        return 0;
}

/* ---- act ---- */

/* The executor of its queue may be another one than when it was submitted. */
static int check_credentials(Manager *m, const Attempt *a, const char **ret_reason) {
        const JobSpec *s = a->job->spec;
        int r;

        if (strv_length(s->credentials) == 0)
                return 0;
        if (a->executor != EXECUTOR_SERVICE) {
                *ret_reason = "its queue gives jobs no unit of their own now, so it could not have its credentials";
                return -EPERM;
        }
        r = store_check_credentials(m->store, a->job, s);
        if (r < 0 && r != -ENOMEM)
                *ret_reason = "its credentials are gone";
        return r;
}

bool manager_load_spec(Manager *m, Attempt *a) {
        const char *reason = NULL;
        Outcome o = OUTCOME_INIT;
        int r;

        r = a->job->spec ? 0 : store_load_spec(m->store, a->job, &a->job->spec);
        if (r >= 0 && !a->inputs)
                r = store_load_inputs(m->store, a->job_id, &a->inputs);
        if (r >= 0)
                r = check_credentials(m, a, &reason);
        if (r >= 0)
                return true;
        log_error_errno(r, "Failed to load the spec of job %" PRIu64 ": %s", a->job_id, reason ?: store_error(m->store));
        o.result = JOB_EXEC;
        (void) free_and_strdup(&o.reason, reason ?: r == -ENODATA ? "its environment was dropped" : "its spec cannot be read");
        model_attempt_ended(m->model, a, &o, &m->now);
        return false;
}

static bool act(Manager *m) {
        bool any = manager_act_workers(m) | manager_act_runs(m);
        Attempt *a;

        while ((a = units_next(m->units))) {
                if (!units_is_to_start(a) || (manager_check_run(m, a) && manager_load_spec(m, a)))
                        units_act(m->units, a);
                any = true;
        }
        units_act_timers(m->units);
        return any;
}

/* ---- tell ---- */

static void tell(Manager *m, const Told *t) {
        for (size_t i = 0; i < t->n_changes; i++)
                event_log(t->changes + i, m->user);
        api_tell(m->api, t->changes, t->n_changes, t->queues, t->n_queues);
        if (t->n_changes >= TRIM_JOBS)
                malloc_trim(0);
}

/* ---- the turn ---- */

static void arm(sd_event_source *s, usec_t when) {
        if (when == USEC_INFINITY) {
                (void) sd_event_source_set_enabled(s, SD_EVENT_OFF);
                return;
        }
        (void) sd_event_source_set_time(s, when);
        (void) sd_event_source_set_enabled(s, SD_EVENT_ONESHOT);
}

/* READY=1 comes also without a store: who calls is told why, and nothing that is ordered behind us waits for it. */
static void notify_status(Manager *m, char **status) {
        if (streq_ptr(*status, m->status))
                return;
        /* Each time costs PID 1 about as much as a signal of a job's. */
        if (m->ready_told && m->now.monotonic < usec_add(m->status_told, STATUS_INTERVAL)) {
                arm(m->status_timer, usec_add(m->status_told, STATUS_INTERVAL));
                return;
        }
        m->status_told = m->now.monotonic;
        m->ready_told = m->ready_told || m->api->ready;
        CRASH_POINT("status-before");
        (void) sd_notify(false, *status);
        CRASH_POINT("status-after");
        free(m->status);
        m->status = TAKE_PTR(*status);
}

static int tell_of_missing_store(Manager *m) {
        _cleanup_free_ char *status = NULL;
        const char *why = m->api->store_missing;

        if (asprintf(&status, "%sSTATUS=The store cannot be opened: %s", m->api->ready && !m->ready_told ? "READY=1\n" : "",
                     string_is_clean(why) ? why : "see the journal") < 0) {
                status = NULL;
                return 0;
        }
        notify_status(m, &status);
        return 0;
}

static void tell_service_manager(Manager *m) {
        _cleanup_free_ char *status = NULL;
        const uint64_t *n = m->model->count;
        const char *bad = m->config_error;

        if (bad && !string_is_clean(bad))
                bad = "see the journal";
        if (asprintf(&status, "%sSTATUS=%" PRIu64 " running, %" PRIu64 " queued%s%s%s%s%s",
                     m->api->ready && !m->ready_told ? "READY=1\n" : "", n[JOB_STARTING] + n[JOB_RUNNING] + n[JOB_STOPPING],
                     n[JOB_READY] + n[JOB_WAITING] + n[JOB_HELD],
                     m->model->dispatch_blocked ? "; nothing starts: " : "", strempty(m->model->dispatch_blocked),
                     m->api->restored ? " (jobmill check --accept)" : "", bad ? "; bad configuration: " : "", strempty(bad)) < 0) {
                status = NULL;
                return;
        }
        notify_status(m, &status);
}

int manager_read_clocks(Manager *m) {
        int r;

        r = sd_event_now(m->event, CLOCK_REALTIME, &m->now.realtime);
        return r < 0 ? r : sd_event_now(m->event, CLOCK_MONOTONIC, &m->now.monotonic);
}

static void arm_timers(Manager *m) {
        arm(m->due_timer, m->storage_failed ? USEC_INFINITY :
                                              MIN(MIN(m->next_due, m->next_start_deadline),
                                                  MIN(m->model->next_admission, workers_next_given_up(m->model, &m->now))));
        arm(m->pressure_timer, m->pressure_next);
        arm(m->deadline_timer, MIN(m->model->next_deadline, m->left_over_look));
        arm(m->expiry_timer, m->storage_failed ? USEC_INFINITY : MIN(m->next_expiry, manager_next_purge(m)));
}

int manager_settle(Manager *m) {
        unsigned windows = 0;
        int r;

        r = manager_read_clocks(m);
        if (r < 0)
                return log_error_errno(r, "Failed to read the clock: %m");
        api_turn_begins(m->api);
        if (!m->store) {
                r = manager_open_store(m);
                if (r < 0)
                        return r;
                if (!m->store)
                        return tell_of_missing_store(m);
        }
        r = manager_follow_clock(m);
        if (r < 0) {
                r = storage_failed(m, r);
                if (r < 0)
                        return r;
        }
        m->types_look = m->types_look || !m->units->synced;
        if (!m->units->synced)
                m->slices_set = m->files_swept = false;
        else if (!m->slices_set || m->units->slices_again)
                manager_set_slices(m);
        else
                manager_tell_slices(m);
        if (m->api->reload_wanted)
                manager_reload(m);
        if (m->types_look && m->units->synced && manager_look_types(m) < 0)
                log_warning("Failed to ask for the units that job types need, ignoring.");
        m->model->deferred_array = 0;
        api_run_waiting(m->api);
        manager_edit_queues(m);
        manager_adopt_unknown(m);
        r = manager_rerank(m);
        if (r < 0) {
                r = storage_failed(m, r);
                if (r < 0)
                        return r;
        }
        if (m->units->synced && !m->files_swept) {
                manager_adopt_left_overs(m);
                attempt_files_sweep(m->run_path, m->model);
                spool_sweep(m->run_path, m->model);
                m->files_swept = true;
        }

        m->releases_left = RELEASES_PER_TURN;
        m->decisions_left = m->skips_left = DECISIONS_PER_TURN;
        for (bool more = true; more;) {
                Told t = {};

                r = decide(m);
                CRASH_POINT("record-before");
                if (r >= 0)
                        r = record(m, &t);
                CRASH_POINT("record-after");
                if (r < 0) {
                        told_done(&t);
                        r = storage_failed(m, r);
                        if (r < 0)
                                return r;
                        break;
                }
                more = act(m);
                CRASH_POINT("tell-before");
                tell(m, &t);
                CRASH_POINT("tell-after");
                more = more || model_has_changes(m->model) || t.n_changes > 0 || t.workers;
                told_done(&t);
                if (!more && windows++ < WINDOWS_PER_TURN)
                        more = refill(m);
        }
        model_recorded(m->model);
        api_tell_runs(m->api);

        manager_expire_receipts(m);
        manager_expire_jobs(m);
        manager_fold_usage(m);
        r = manager_repair(m);
        if (r < 0)
                return r;

        arm_timers(m);
        api_watch_congestion(m->api);
        if (api_wants_turn(m->api) || windows > WINDOWS_PER_TURN || m->decisions_left == 0 || manager_expires_more(m) || manager_folds_more(m) ||
            ((m->model->reranking || m->model->releases.ended) && !m->storage_failed))
                (void) sd_event_source_set_enabled(m->again_source, SD_EVENT_ONESHOT);
        tell_service_manager(m);
        manager_turned(m);
        if (m->stopping && !m->units->round_active)
                manager_exit(m);
        return 0;
}
