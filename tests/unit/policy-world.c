/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What the daemon of test-policy-random.c takes for its surroundings. */

#include "api/timer.h"
#include "api/run.h"
#include "policy-events.h"

#include "base/strv.h"
#include "daemon/config.h"
#include "daemon/queue-write.h"
#include "unit/backstop.h"
#include "unit/attempt-files.h"
#include "unit/spool.h"
#include "notify/event.h"

#include <stdarg.h>
#include <systemd/sd-daemon.h>

World w;
const char *const queue_names[N_QUEUES] = { "a", "a-b", "a-b-c", "a-d", "g", "g-x", "g-y", "solo" };
const int above[N_QUEUES] = { -1, 0, 1, 0, -1, 4, 4, -1 };

/* ---- by lot ---- */

unsigned any(unsigned n) {
        uint64_t z = (w.dice += UINT64_C(0x9e3779b97f4a7c15));

        z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
        z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
        return (unsigned) ((z ^ (z >> 31)) >> 32) % n;
}

bool chance(unsigned percent) {
        return any(100) < percent;
}

unsigned queue_index(const char *name) {
        for (unsigned i = 0; i < N_QUEUES; i++)
                if (streq(queue_names[i], name))
                        return i;
        fail("queue %s", name);
}

/* ---- sd-event, sd-daemon, sd-id128 ---- */

int sd_event_now(sd_event *e, clockid_t clock, uint64_t *ret) {
        *ret = clock == CLOCK_REALTIME ? w.now.realtime : w.now.monotonic;
        return 0;
}
int sd_event_source_set_enabled(sd_event_source *s, int m) {
        s->on = m != SD_EVENT_OFF;
        return 0;
}
int sd_event_source_set_time(sd_event_source *s, uint64_t usec) {
        s->at = usec;
        return 0;
}
int sd_event_source_set_time_relative(sd_event_source *s, uint64_t usec) {
        s->at = w.now.monotonic + usec;
        return 0;
}
int sd_notify(int unset_environment, const char *state) {
        return 0;
}
int sd_id128_randomize(sd_id128_t *ret) {
        static uint64_t n;

        *ret = (sd_id128_t) { .qwords = { ++n * UINT64_C(0x9e3779b97f4a7c15), 1 } };
        return 0;
}

/* ---- the rest of the daemon ---- */

void api_turn_begins(Api *a) {}
void api_fire_timers(Api *a) {
}

int manager_find_timers(Manager *m, Model *model) {
        return 0;
}

void units_act_timers(Units *u) {
}

void api_run_waiting(Api *a) {
        void (*f)(void) = TAKE_PTR(w.waiting);

        w.goes_on = f;
        if (f)
                f();
}
void api_storage_failed(Api *a, int error, const char *text) {}
bool api_wants_turn(const Api *a) {
        return w.goes_on;
}
void api_watch_congestion(Api *a) {}
void event_log(const Change *c, bool user) {}
const User *user_db_get(UserDb *db, uint32_t uid) {
        return NULL;
}
void manager_reload(Manager *m) {}
int manager_look_types(Manager *m) { return 0; }
void manager_set_slices(Manager *m) {
        m->slices_set = true;
}
void manager_want_slice(Manager *m, Queue *q) {}
void manager_tell_slices(Manager *m) {}
void manager_exit(Manager *m) {}
int manager_open_store(Manager *m) {
        return 0;
}
int manager_repair(Manager *m) {
        return 0;
}
void manager_expire_receipts(Manager *m) {}
void manager_fold_usage(Manager *m) {}
void manager_committed(Manager *m, usec_t began, bool good) {}
void manager_turned(Manager *m) {}
bool manager_folds_more(const Manager *m) {
        return false;
}
bool manager_give_ballast(Manager *m, int error) {
        return false;
}
const char *manager_store_advice(int error) {
        return "";
}
void attempt_files_sweep(const char *run_path, const Model *m) {}
void spool_sweep(const char *run_path, const Model *m) {}

/* Told is what is stored, and each attempt has one result. */
void api_tell(Api *a, const Change *changes, size_t n, Queue *const *queues, size_t n_queues) {
        for (const Change *c = changes; c < changes + n && !w.dying; c++) {
                _cleanup_(job_freep) Job *j = NULL;

                if (store_load_job(w.m.store, c->id, &j) < 0 || j->state != c->state || j->result != c->result)
                        fail("job %" PRIu64 " is told to be %s, and is not stored so", c->id, job_state_to_string(c->state));
        }
}

void api_tell_runs(Api *a) {
}

/* As daemon/pressure.c does. */
void manager_sample_pressure(Manager *m) {
        PressureSample samples[_PRESSURE_MAX] = { { w.pressure * 100, 0 } };

        if (m->pressure_next != USEC_INFINITY ? m->now.monotonic < m->pressure_next : !m->model->pressure_look)
                return;
        m->pressure_next = USEC_INFINITY;
        m->model->pressure_look = false;
        if (!admission_wants_pressure(m->model))
                return;
        admission_pressure(m->model, samples, &m->now);
        m->pressure_next = m->now.monotonic + 2 * SEC;
}

/* As daemon/clock.c does. */
int manager_follow_clock(Manager *m) {
        int r;

        m->now.steady = m->now.realtime - w.step;
        m->now.even = m->now.steady - m->clock_shift;
        if (w.step == 0 || m->storage_failed)
                return 0;
        if (w.fail_commits > 0) {
                w.fail_commits--;
                return -ENOSPC;
        }
        r = store_clock_set(m->store, SD_ID128_MAKE(01, 02, 03, 04, 05, 06, 07, 08, 09, 0a, 0b, 0c, 0d, 0e, 0f, 10), 0,
                            m->now.realtime, w.step, m->clock_shift + w.step);
        if (r < 0)
                return r;
        m->now.steady = m->now.realtime;
        m->clock_shift = w.shift = m->clock_shift + w.step;
        model_clock_set(m->model, w.step);
        for (unsigned i = 0; i < N_QUEUES; i++)
                for (unsigned k = 0; k < w.starts[i].n; k++)
                        w.starts[i].l[k].at += w.step;
        w.step = 0;
        w.now.steady = w.now.realtime;
        m->next_due = m->next_start_deadline = m->next_expiry = 0;
        return 0;
}

/* ---- files ---- */

static const Setup unlimited = { .slots = UINT32_MAX, .keep_max = UINT64_MAX, .queued_max = UINT64_MAX, .queued_per_user_max = UINT64_MAX };

static void look_at_gates(Model *m) {
        for (Gate *g = m->gates; g; g = g->hh.next) {
                gate_look(m, g, false);
                admission_gate_seen(m, g, "loaded", w.gate_open ? "active" : "inactive");
        }
}

/* As daemon/config.c does: a bad file leaves what was good, one that is gone leaves nothing. */
static void read_file(unsigned i) {
        Setup *s = w.setup + i;

        if (w.file_kinds[i] == FILE_BAD && s->configured)
                return;
        *s = w.file_kinds[i] == FILE_GOOD ? w.files[i] : unlimited;
        s->fair = s->fair || s->by_workers;
        s->configured = w.file_kinds[i] == FILE_GOOD;
        s->broken = w.file_kinds[i] == FILE_BAD;
}

static void apply_setup(Model *m) {
        for (unsigned i = 0; i < N_QUEUES; i++) {
                const Setup *s = w.setup + i;
                Queue *q;

                if (model_queue_add(m, queue_names[i], &q) < 0)
                        fail("no memory");
                q->configured = s->configured;
                q->broken = s->broken;
                q->policy.slots = s->slots;
                q->policy.fair = s->fair;
                q->policy.executor = !s->by_workers ? EXECUTOR_SERVICE : s->pool ? EXECUTOR_POOL : EXECUTOR_WORKER;
                (void) free_and_strdup(&q->policy.worker_unit, s->unit ? "w.service" : NULL);
                q->policy.worker_users = strv_free(q->policy.worker_users);
                if (s->trusts && strv_extend(&q->policy.worker_users, "1000") < 0)
                        fail("no memory");
                q->policy.ageing_usec = s->ageing;
                q->policy.rate = s->rate;
                q->policy.keep_max = s->keep_max;
                q->policy.queued_max = s->queued_max;
                q->policy.queued_per_user_max = s->queued_per_user_max;
                retention_look_again(m, q);
                q->policy.pressure_max[PRESSURE_CPU] = s->pressure > 0 ? s->pressure * 100 : PRESSURE_NO_LIMIT;
                (void) free_and_strdup(&q->policy.gate_unit, s->gate ? "gate.service" : NULL);
                if (s->rate.n == 0 && !s->broken)
                        w.starts[i].n = 0;
        }
        for (Queue *q = m->queues; q; q = q->hh.next)
                queue_window_clear(q);
        if (admission_configure(m) < 0)
                fail("no memory");
        look_at_gates(m);
}

void world_reload(void) {
        for (unsigned i = 0; i < N_QUEUES; i++)
                read_file(i);
        apply_setup(w.m.model);
}

void world_gate(bool open) {
        w.gate_open = open;
        look_at_gates(w.m.model);
}

/* ---- RemoveQueue(), whose rules are daemon/queue-edit.c ---- */

void world_remove(unsigned queue) {
        static QueueEdit edit;

        edit = (QueueEdit) { .name = (char *) queue_names[queue], .remove = true };
        w.edit = &edit;
}

const QueueEdit *api_next_edit(Api *a) {
        return w.edit;
}
void api_edit_done(Api *a, int error, const char *text) {
        unsigned i = queue_index(TAKE_PTR(w.edit)->name);

        say("    %s is removed: %s\n", queue_names[i], text ?: strerror(-error));
        check_remove(i, error);
        w.happened[EVENT_remove] += error >= 0;
}
int queue_file_set(const QueuePlaces *p, const QueueEdit *e, char **ret_error) {
        return -EINVAL;
}
int queue_file_remove(const QueuePlaces *p, const char *name, char **ret_error) {
        unsigned i = queue_index(name);

        if (w.file_kinds[i] == FILE_GONE)
                return -ENOENT;
        w.file_kinds[i] = FILE_GONE;
        return 0;
}
void queue_files_recover(const QueuePlaces *p) {}
int config_load_queue(Model *m, char **directories, const char *name, char **ret_error) {
        read_file(queue_index(name));
        apply_setup(m);
        return 0;
}
bool manager_queue_has_files(const Manager *m, const Queue *q) {
        return w.file_kinds[queue_index(q->name)] != FILE_GONE;
}
void units_set_backstops(Units *u) {}

/* ---- units ---- */

Lease *world_lease(uint64_t id, uint32_t number) {
        for (Lease *l = w.leases; l < w.leases + LEASES_MAX; l++)
                if (l->there && l->id == id && l->number == number)
                        return l;
        return NULL;
}

Attempt *world_attempt(const Lease *l) {
        char unit[ATTEMPT_UNIT_MAX];
        Attempt *a;

        snprintf(unit, sizeof(unit), "jobmill-job-%" PRIu64 "-%" PRIu32 ".%s", l->id, l->number, l->scope ? "scope" : "service");
        HASH_FIND_STR(w.m.model->attempts, unit, a);
        return a;
}

uint32_t world_used(unsigned queue, int64_t owner) {
        uint32_t used = 0;

        for (const Lease *l = w.leases; l < w.leases + LEASES_MAX; l++)
                for (int p = (int) l->queue; l->there && !l->given_back && p >= 0; p = above[p])
                        used += p == (int) queue && (owner < 0 || owner == (int64_t) l->owner) ? l->slots : 0;
        return used;
}

const char *units_blocked(const Units *u) {
        return w.sync ? "resync" : NULL;
}

void units_resync(Units *u, bool full) {
        w.sync = true;
}

Attempt *units_next(Units *u) {
        Attempt *a = w.dying ? NULL : TAILQ_FIRST(&w.m.model->act);

        if (a) {
                TAILQ_REMOVE(&w.m.model->act, a, act_entry);
                a->acting = false;
        }
        return a;
}

bool units_is_to_start(const Attempt *a) {
        return a->phase == ATTEMPT_STARTING && !a->asked && a->fresh && a->job->state == JOB_STARTING;
}

static const sd_id128_t invocation = SD_ID128_ARRAY(ff, 02, 03, 04, 05, 06, 07, 08, 09, 0a, 0b, 0c, 0d, 0e, 0f, 00);

static void started(Attempt *a, const Lease *l) {
        if (a->phase == ATTEMPT_STARTING)
                model_attempt_started(w.m.model, a, invocation,
                                      w.now.realtime, l->started);
}

JobResult world_expected(const Attempt *a, const Outcome *o) {
        if (a->job->intent != JOB_RESULT_NONE)
                return a->job->intent;
        return o->result != JOB_SUCCESS ? o->result :
               o->success == 0          ? JOB_VERDICT :
               o->success < 0 && a->job->verify == VERIFY_VERDICT ? JOB_UNVERIFIED : JOB_SUCCESS;
}

static void ended(Attempt *a, Lease *l) {
        Outcome o = l->outcome;

        if (!a->job)
                return;
        if (l->started != USEC_INFINITY && (!fore_is_gone(l) || a->phase != ATTEMPT_STARTING))
                started(a, l);
        if (a->phase == ATTEMPT_STARTING && fore_is_gone(l)) /* nothing ran; by its number somebody else may be in the scope */
                o.result = JOB_CANCELLED;
        o.finished_usec = w.now.realtime;
        if (a->job->output == OUTPUT_SPOOL && l->said >= 0)
                o.success = (int8_t) l->said;
        l->expected = world_expected(a, &o);
        say("    %s has ended as %s\n", a->unit, job_result_to_string(o.result));
        model_attempt_ended(w.m.model, a, &o, &w.m.now);
}

static void never_asked(Attempt *a, Lease *l) {
        Outcome o = OUTCOME_INIT;

        l->is = OVER;
        o.result = JOB_CANCELLED;
        l->expected = a->job->intent;
        model_attempt_ended(w.m.model, a, &o, &w.m.now);
}

static void act_starting(Attempt *a, Lease *l) {
        if (a->job->state == JOB_STARTING && !a->asked && a->fresh) {
                if (l->is != COMMITTED)
                        fail("%s is asked for before it is stored, or twice", a->unit);
                a->asked = true;
                a->job->spec = spec_free(a->job->spec);
                l->is = ASKED;
        } else if (a->job->state == JOB_STOPPING && !a->asked && a->fresh)
                never_asked(a, l);
}

void world_release(Attempt *a, Lease *l) {
        model_attempt_gone(w.m.model, a);
        *l = (Lease) {};
}

bool world_has_result(const Attempt *a) {
        JobResult *r = &w.results[a->job_id][a->number];

        if (a->outcome.result == JOB_RESULT_NONE || a->refused) /* its job was purged; it was none */
                return false;
        if (*r != JOB_RESULT_NONE && *r != a->outcome.result)
                fail("%s has ended as %s and as %s", a->unit, job_result_to_string(*r), job_result_to_string(a->outcome.result));
        *r = a->outcome.result;
        return true;
}

void units_act(Units *u, Attempt *a) {
        Lease *l = world_lease(a->job_id, a->number);

        if (!l)
                fail("nothing is known of %s", a->unit);
        if (w.dies_after != UINT_MAX && w.dies_after-- == 0) {
                w.dying = true;
                w.happened[EVENT_dies_in_turn]++;
                return;
        }
        if (a->phase == ATTEMPT_STARTING)
                act_starting(a, l);
        else if (a->phase == ATTEMPT_RUNNING && a->job && a->job->state == JOB_STOPPING) {
                l->told = true;
                if (a->kill_due)
                        unit_ends(l, JOB_SIGNAL, 0);
        } else if (a->phase == ATTEMPT_RUNNING && a->freezer == FREEZER_FREEZING && chance(20))
                model_attempt_freeze_failed(w.m.model, a, "it does not want to");
        else if (a->phase == ATTEMPT_RUNNING && (a->freezer == FREEZER_FREEZING || a->freezer == FREEZER_THAWING))
                model_attempt_seen_frozen(w.m.model, a, a->freezer == FREEZER_FREEZING, &w.m.now);
        else if (a->phase == ATTEMPT_ENDED) {
                l->released = true;
                if (world_has_result(a))
                        check_ended(a, l);
                if (l->vanished)
                        world_release(a, l);
        }
}

void unit_runs(Lease *l) {
        Attempt *a = world_attempt(l);

        l->started = w.now.monotonic;
        if (fore_is_gone(l)) {
                unit_ends(l, JOB_LOST, 0);
                return;
        }
        l->is = RUNNING;
        if (a && !w.deaf && !w.sync && chance(85))
                started(a, l);
}

void unit_ends(Lease *l, JobResult result, int status) {
        Attempt *a = world_attempt(l);

        if (l->worker > 0) {
                peer_ends(l, result, status);
                return;
        }
        if (l->scope && fore_exits(l, result, status))
                return;
        if (l->scope)
                result = JOB_LOST;
        else if (l->is == RUNNING)
                l->outcome.exit_status = status;
        l->is = OVER;
        l->outcome.result = result;
        if (a && a->phase == ATTEMPT_STRAY) /* as unit/apply.c does */
                model_stray_ended(w.m.model, a);
        else if (a && !w.deaf && !w.sync && chance(85))
                ended(a, l);
}

bool unit_is_refused(Lease *l) {
        Attempt *a = world_attempt(l);

        if (!a || w.sync || a->phase != ATTEMPT_STARTING)
                return false;
        l->is = OVER;
        l->refused = true;
        l->expected = a->job->intent;
        model_attempt_refused(w.m.model, a, "no room", &w.m.now);
        return true;
}

/* Its cgroup is empty. */
void unit_goes(Lease *l) {
        Attempt *a = world_attempt(l);

        l->left = false;
        if (l->worker > 0)
                return;
        if (!a || w.sync || a->job || a->changed)
                return;
        world_release(a, l);
}

static void look_at(Attempt *a, Lease *l) {
        if (l->stray) {
                if (l->is == OVER)
                        a->phase = ATTEMPT_ENDED;
                if (a->phase == ATTEMPT_ENDED)
                        model_attempt_act(w.m.model, a);
                return;
        }
        if (l->vanished && a->phase != ATTEMPT_ENDED) {
                l->outcome = OUTCOME_INIT;
                l->outcome.result = JOB_LOST;
                l->is = OVER;
                l->refused = false;
        } else if (fore_is_gone(l) && l->is == RUNNING && a->phase == ATTEMPT_STARTING)
                unit_ends(l, JOB_LOST, 0);

        if (l->refused && a->job) { /* that was not stored */
                l->is = COMMITTED;
                l->refused = false;
        }
        if (l->is == COMMITTED) { /* PID 1 has never heard of it */
                a->fresh = true;
                a->asked = false;
                model_attempt_act(w.m.model, a);
        } else if (l->is == ASKED)
                a->asked = true;
        else if (l->is == RUNNING) {
                started(a, l);
                model_attempt_adopted(w.m.model, a, l->started, &w.m.now);
        } else
                ended(a, l);
        if (a->phase == ATTEMPT_ENDED)
                model_attempt_act(w.m.model, a);
}

/* A unit that memory does not have: what became of its job is stored, or the job is purged, or it is a stray. What follows is
 * daemon/adopt.c. */
static void adopt(Lease *l) {
        char text[256] = "";
        UnknownUnit *x;

        if (l->refused || l->vanished) {
                *l = (Lease) {};
                return;
        }
        x = new0(UnknownUnit, 1);
        x->state.token = l->token;
        for (uint32_t i = 0; i < l->slots; i++)
                snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%" PRIu32, i > 0 ? "," : "", l->numbers[i]);
        x->state.slots = strdup(text);
        x->state.exited = l->is == OVER;
        if (l->scope)
                x->state.invocation_id = invocation;
        if (asprintf(&x->name, "jobmill-job-%" PRIu64 "-%" PRIu32 ".%s", l->id, l->number, l->scope ? "scope" : "service") < 0 ||
            asprintf(&x->state.slice, "jobmill-%s.slice", queue_names[l->queue]) < 0)
                fail("no memory");
        TAILQ_INSERT_TAIL(&w.units.unknown, x, entry);
}

bool unit_state_is_ended(const UnitState *u) {
        return u->exited;
}
UnknownUnit *unknown_unit_free(UnknownUnit *x) {
        TAILQ_REMOVE(&w.units.unknown, x, entry);
        free(x->name);
        free(x->state.slots);
        free(x->state.slice);
        return mfree(x);
}
void units_apply(Units *u, Attempt *a, const UnitState *s) {
        Lease *l = world_lease(a->job_id, a->number);

        if (a->owner != l->owner)
                l->owner = UINT32_MAX; /* nobody knows any more whose it was */
}

void world_look(void) {
        w.sync = false;
        w.m.now.realtime = w.now.realtime;
        w.m.now.monotonic = w.now.monotonic;
        w.m.now.steady = w.now.realtime - w.step;
        for (Lease *l = w.leases; l < w.leases + LEASES_MAX; l++) {
                Attempt *a = l->there ? world_attempt(l) : NULL;

                if (l->worker > 0)
                        continue;
                if (a)
                        look_at(a, l);
                else if (l->there)
                        adopt(l);
        }
}

bool world_stray(void) {
        Lease *l = w.leases;
        uint32_t slots = 1 + any(3), number = 1 + any(2);
        uint64_t n = w.m.model->next_id, id = n + any(3);

        if (n + 4 >= JOBS_MAX || world_lease(id, number))
                return false;
        while (l->there)
                if (++l == w.leases + LEASES_MAX)
                        return false;
        *l = (Lease) { .there = true, .stray = true, .is = RUNNING, .id = id, .number = number, .slots = slots, .owner = UINT32_MAX,
                       .queue = any(N_QUEUES), .numbers = { 0, 1, 2 }, .outcome = OUTCOME_INIT, .started = w.now.monotonic };
        say("    unit %" PRIu64 "-%" PRIu32 " in %s\n", l->id, l->number, queue_names[l->queue]);
        w.sync = true;
        return true;
}

void world_reboot(void) {
        w.epoch++;
        for (Lease *l = w.leases; l < w.leases + LEASES_MAX; l++)
                l->vanished = l->there;
        for (Peer *p = w.peers; p < w.peers + PEERS_MAX; p++)
                p->gone = true;
        for (Fore *f = w.fore; f < w.fore + JOBS_MAX; f++)
                f->gone = true;
        w.now.realtime += SEC;
        w.now.monotonic += SEC;
        w.now.steady += SEC;
        world_restart();
}

/* ---- what the daemon decides (ld --wrap) ---- */

int __real_model_start(Model *m, Job *j, sd_id128_t token, const Now *now);
int __wrap_model_start(Model *m, Job *j, sd_id128_t token, const Now *now);
int __wrap_model_start(Model *m, Job *j, sd_id128_t token, const Now *now) {
        unsigned q = queue_index(j->queue->name);
        const Peer *peer = w.setup[q].by_workers && !j->foreground ? peer_choose(q, j->owner, j->slots) : NULL;
        Lease *l = w.leases;
        int r;

        check_start(j);
        if (w.setup[q].by_workers && !j->foreground && !peer)
                fail("job %" PRIu64 " starts, and no worker has room", j->id);
        r = __real_model_start(m, j, token, now);
        if (r < 0)
                return r;
        say("    starts %" PRIu64 "-%" PRIu32 " in %s, worker %" PRIu64 "\n", j->id, j->attempt, j->queue_name, j->live->worker_id);
        if (j->live->worker_id != (peer ? peer->id : 0))
                fail("job %" PRIu64 " is given to worker %" PRIu64 ", it should be %" PRIu64, j->id, j->live->worker_id, peer ? peer->id : 0);
        if (j->attempt >= ATTEMPTS_MAX)
                fail("job %" PRIu64 " is tried for ever", j->id);
        while (l->there)
                if (++l == w.leases + LEASES_MAX)
                        fail("too many units");
        *l = (Lease) { .there = true, .id = j->id, .number = j->attempt, .slots = j->slots, .owner = j->owner, .token = token,
                       .queue = q, .scope = j->foreground, .worker = j->live->worker_id, .outcome = OUTCOME_INIT, .started = USEC_INFINITY };
        memcpy(l->numbers, j->live->slot_numbers, j->slots * sizeof(uint32_t));
        for (int p = (int) l->queue; p >= 0; p = above[p])
                if (w.setup[p].rate.n > 0) {
                        if (w.starts[p].n == STARTS_MAX)
                                memmove(w.starts[p].l, w.starts[p].l + 1, --w.starts[p].n * sizeof(Start));
                        w.starts[p].l[w.starts[p].n++] = (Start) { now->steady, false };
                }
        return 0;
}

void world_note_time(const Job *j) {
        w.times[j->id] = j->delayed ? w.now.monotonic + (j->not_before_usec - w.now.steady) : 0;
        w.undecided[j->id] = true;
}

/* Who has nobody with room for the first of its jobs holds up nobody else. */
void __real_schedule_skip_owner(Queue *q, uint32_t owner);
void __wrap_schedule_skip_owner(Queue *q, uint32_t owner);
void __wrap_schedule_skip_owner(Queue *q, uint32_t owner) {
        check_skip(queue_index(q->name), owner);
        w.skipped[queue_index(q->name)][owner - 1000] = true;
        __real_schedule_skip_owner(q, owner);
}

void __real_schedule_skip(Queue *q, uint32_t owner);
void __wrap_schedule_skip(Queue *q, uint32_t owner);
void __wrap_schedule_skip(Queue *q, uint32_t owner) {
        check_pass(queue_index(q->name), owner);
        __real_schedule_skip(q, owner);
}

void __real_schedule_begin(Model *m);
void __wrap_schedule_begin(Model *m);
void __wrap_schedule_begin(Model *m) {
        memset(w.skipped, 0, sizeof(w.skipped));
        memset(w.passed, 0, sizeof(w.passed));
        __real_schedule_begin(m);
}

/* What was decided and is not stored never was. */
static void forget(void) {
        for (unsigned id = 0; id < JOBS_MAX; id++) {
                w.times[id] = w.undecided[id] ? 0 : w.times[id];
                w.undecided[id] = false;
        }
        for (Lease *l = w.leases; l < w.leases + LEASES_MAX; l++)
                if (l->there && l->is == DECIDED)
                        *l = (Lease) {};
        for (unsigned i = 0; i < N_QUEUES; i++) {
                unsigned n = 0;

                for (unsigned k = 0; k < w.starts[i].n; k++)
                        if (w.starts[i].l[k].committed)
                                w.starts[i].l[n++] = w.starts[i].l[k];
                w.starts[i].n = n;
        }
}

int __real_model_purge(Model *m, Job *j);
int __wrap_model_purge(Model *m, Job *j);
int __wrap_model_purge(Model *m, Job *j) {
        if (j->state == JOB_DONE)
                check_purge(j->id);
        return __real_model_purge(m, j);
}

int __real_store_record(Store *s, Model *m);
int __wrap_store_record(Store *s, Model *m);
int __wrap_store_record(Store *s, Model *m) {
        int r;

        if (w.dying)
                return -ENOSPC;
        if (w.fail_commits > 0) {
                w.fail_commits--;
                w.happened[EVENT_commit_fails]++;
                say("    the commit fails\n");
                return -ENOSPC;
        }
        r = __real_store_record(s, m);
        if (r < 0)
                fail("the store: %s", store_error(s));
        memset(w.undecided, 0, sizeof(w.undecided));
        peers_recorded();
        for (Lease *l = w.leases; l < w.leases + LEASES_MAX; l++)
                if (l->there && l->is == DECIDED)
                        l->is = COMMITTED;
        for (unsigned i = 0; i < N_QUEUES; i++)
                for (unsigned k = 0; k < w.starts[i].n; k++)
                        w.starts[i].l[k].committed = true;
        return 0;
}

/* ---- the daemon comes and goes ---- */

int manager_load_model(Manager *m) {
        Model *model = model_new();
        int r;

        forget();
        model->poison_max = 6;
        model->starting_max = 4;
        model->queued_max = 60;
        model->epoch.userspace_usec = w.epoch;
        if (!m->model) /* what was good before is not known any more */
                for (unsigned i = 0; i < N_QUEUES; i++)
                        w.setup[i].configured = false;
        for (unsigned i = 0; i < N_QUEUES; i++)
                read_file(i);
        apply_setup(model);
        r = store_load(m->store, model);
        if (r < 0)
                fail("the store: %s", store_error(m->store));
        model_free(m->model);
        m->model = m->api->model = w.units.model = model;
        m->next_due = m->next_start_deadline = m->next_expiry = 0;
        peers_loaded(model);
        fores_loaded(model);
        w.sync = true;
        return 0;
}

static void start_daemon(Store *s) {
        w.m = (Manager) {
                .user = true, .event = (sd_event *) &w, .api = &w.api, .store = s, .units = &w.units, .pressure_next = USEC_INFINITY,
                .clock_shift = w.shift, .due_timer = &w.due, .deadline_timer = &w.deadline, .storage_timer = &w.storage, .status_timer = &w.status,
                .again_source = &w.again, .expiry_timer = &w.expiry, .stop_timer = &w.stop, .pressure_timer = &w.pressure_timer,
        };
        w.api = (Api) { .ready = true, .store = s };
        w.units = (Units) { .synced = true };
        TAILQ_INIT(&w.units.unknown);
        w.edit = NULL;
        w.due = w.deadline = w.storage = w.status = w.again = w.expiry = w.stop = w.pressure_timer = (struct sd_event_source) {};
        (void) manager_load_model(&w.m);
}

static void stop_daemon(void) {
        UnknownUnit *x;

        while ((x = TAILQ_FIRST(&w.units.unknown))) {
                unknown_unit_free(x);
        }
        model_free(w.m.model);
        free(w.m.status);
        w.m.model = NULL;
}

void world_restart(void) {
        Store *s = w.m.store;

        say("    the daemon dies\n");
        stop_daemon();
        w.dying = false;
        for (Peer *p = w.peers; p < w.peers + PEERS_MAX; p++)
                p->connected = false;
        for (Fore *f = w.fore; f < w.fore + JOBS_MAX; f++)
                f->connected = false;
        w.dies_after = UINT_MAX;
        w.fail_commits = 0;
        start_daemon(s);
}

void world_begin(uint64_t dice) {
        unsigned fair, workers;

        w = (World) { .dice = dice, .dies_after = UINT_MAX, .verbose = w.verbose, .kind = 70, .happened = w.happened };
        w.now = (Now) { .realtime = 1000000 * SEC, .monotonic = 5000 * SEC, .steady = 1000000 * SEC };
        fair = chance(50) ? 0 : any(100);
        workers = chance(50) ? 0 : any(100);
        w.busy = any(N_QUEUES);
        for (unsigned i = 0; i < N_QUEUES; i++)
                w.files[i] = (Setup) { .slots = chance(20) ? UINT32_MAX : 1 + any(4), .keep_max = UINT64_MAX, .queued_max = UINT64_MAX,
                                       .queued_per_user_max = UINT64_MAX, .fair = chance(fair), .ageing = chance(fair) ? (1 + any(20)) * SEC : 0,
                                       .by_workers = chance(workers), .trusts = chance(20), .pool = chance(40), .unit = chance(40) };
        start_daemon(check_store());
}

void world_end(void) {
        check_store_itself();
        stop_daemon();
}

/* ---- turns ---- */

static bool timer_is_due(void) {
        return (w.due.on && w.due.at <= w.now.realtime) || (w.deadline.on && w.deadline.at <= w.now.monotonic) ||
               (w.pressure_timer.on && w.pressure_timer.at <= w.now.monotonic) || w.again.on;
}

/* As manager.c's storage timer. */
static void try_storage(void) {
        if (!w.storage.on || w.storage.at > w.now.monotonic)
                return;
        w.storage.on = false;
        if (w.m.storage_failed && w.fail_commits == 0) {
                w.m.storage_failed = false;
                units_resync(&w.units, true);
        } else if (w.m.storage_failed)
                w.storage = (struct sd_event_source) { true, w.now.monotonic + SEC };
}

void world_turn(void) {
        for (unsigned i = 0;; i++) {
                if (i > 60)
                        fail("it does not come to rest");
                try_storage();
                peers_tell();
                fores_tell();
                if (w.sync && !w.m.storage_failed)
                        world_look();
                w.again.on = false;
                if (w.step != 0)
                        w.due.on = false;
                if (manager_settle(&w.m) < 0)
                        fail("the daemon gave up");
                if (w.dying) {
                        world_restart();
                        continue;
                }
                if (!w.sync && !timer_is_due() && TAILQ_EMPTY(&w.m.model->act))
                        break;
                if (w.m.storage_failed)
                        break;
        }
        check_rest();
}

usec_t world_next_timer(void) {
        usec_t next = USEC_INFINITY;

        if (w.due.on)
                next = MIN(next, w.due.at);
        if (w.deadline.on)
                next = MIN(next, w.now.realtime + usec_sub(w.deadline.at, w.now.monotonic));
        if (w.pressure_timer.on)
                next = MIN(next, w.now.realtime + usec_sub(w.pressure_timer.at, w.now.monotonic));
        if (w.storage.on)
                next = MIN(next, w.now.realtime + usec_sub(w.storage.at, w.now.monotonic));
        return next;
}

bool world_passes(usec_t span) {
        usec_t next = world_next_timer();
        bool any_timer = next <= w.now.realtime + span;

        w.now.realtime += span;
        w.now.monotonic += span;
        w.now.steady += span;
        return any_timer;
}
