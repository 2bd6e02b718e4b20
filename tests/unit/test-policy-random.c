/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* All rules of scheduling together: jobs and queues that combine everything that there is, in the daemon's own turn over a real store, while
 * commits fail, daemons die, the clock is set, signals get lost and policies change. Before each start and after each turn what must hold
 * in any case is checked (policy-check.c). Each sequence ends with a kind world, in which nothing may be left that waits.
 * Its environment is JOBMILL_POLICY_… of sequences.h. */

#include "policy-world.h"

#include "api/unique.h"
#include "base/log.h"
#include "base/strv.h"
#include "queue/spec-change.h"
#include "sequences.h"

#include <stdarg.h>

#define SEQUENCES 400U
#define SEQUENCES_ASAN 60U
#define EVENTS_MIN 20U
#define EVENTS_MAX 140U

#define EVENTS(X)                                                                                                                  \
        X(submit, 26) X(cancel, 3) X(hold, 2) X(release, 4) X(retry, 4) X(purge, 3) X(update, 5) X(pause, 2) X(caps, 3) X(order, 2) X(keep, 1) \
        X(shut, 3) X(gate, 3) X(pressure, 3) X(time, 10) X(clock_step, 1) X(runs, 14) X(ends, 16) X(goes, 14) X(refused, 2) X(pages, 1) X(look, 5) X(deaf, 1)  \
        X(commit_fails, 2) X(dies, 2) X(dies_in_turn, 2) X(storage, 2)
enum {
#define X(name, weight) EVENT_##name,
        EVENTS(X)
#undef X
        _EVENT_MAX,
};
static const char *const event_names[_EVENT_MAX] = {
#define X(name, weight) #name,
        EVENTS(X)
#undef X
};
static const unsigned weights[_EVENT_MAX] = {
#define X(name, weight) weight,
        EVENTS(X)
#undef X
};

void fail(const char *format, ...) {
        va_list ap;

        fflush(stdout);
        va_start(ap, format);
        printf("  WRONG: ");
        vprintf(format, ap);
        printf("\n");
        va_end(ap);
        fflush(stdout);
        _exit(1);
}

/* ---- requests, as api/ makes them ---- */

static Job *fetch(uint64_t id) {
        Job *j = model_job(w.m.model, id);

        if (j || model_is_purged(w.m.model, id) || store_load_job(w.m.store, id, &j) < 0)
                return j;
        model_job_add(w.m.model, j, model_queue(w.m.model, j->queue_name));
        return j;
}

static Job *any_job(void) {
        uint64_t n = w.m.model->next_id - 1;
        Job *j = NULL;

        for (unsigned i = 0; i < 4 && !j && n > 0; i++) /* mostly one of the newer ones */
                j = fetch(n - any((unsigned) (chance(60) ? MIN(n, UINT64_C(12)) : n)));
        return j;
}

static JobSpec *make_spec(void) {
        JobSpec *s = spec_new();

        if (strv_extend(&s->argv, "/bin/true") < 0)
                fail("no memory");
        s->slots = chance(65) ? 1 : 1 + any(4);
        s->priority = chance(50) ? 0 : (int32_t) any(4);
        s->hold = chance(8);
        if (chance(15))
                *(chance(60) ? &s->delay_usec : &s->not_before_usec) = (1 + any(30)) * SEC;
        if (s->not_before_usec != USEC_INFINITY)
                s->not_before_usec += w.now.realtime;
        if (chance(10))
                s->deadline_usec = w.now.realtime + (1 + any(60)) * SEC;
        if (chance(20))
                s->timeout_usec = (1 + any(30)) * SEC;
        s->stop_timeout_usec = (1 + any(10)) * SEC;
        if (chance(40)) {
                s->max_attempts = 2 + any(3);
                s->backoff = any(3);
                s->backoff_base_usec = any(5) * SEC;
                s->backoff_jitter = any(3) / 2.0;
                s->requeue_lost = chance(30);
        }
        if (chance(12)) {
                s->array = 2 + any(6);
                s->array_max_running = any(4);
        }
        if (chance(15))
                s->retry_on = strv_split(chance(50) ? "exit-code" : "lost,timeout,oom-kill", ",");
        return s;
}

/* As api/after.c does. */
static void add_after(JobSpec *s, char **never) {
        int r = 0;

        s->after = new0(After, 4);
        for (unsigned i = 1 + any(3); i > 0; i--) {
                Job *before = any_job();
                bool twice = false;

                for (size_t k = 0; before && k < s->n_after; k++)
                        twice = twice || s->after[k].id == before->id;
                if (before && !twice)
                        s->after[s->n_after++] = (After) { .id = before->id, .condition = chance(60) ? AFTER_SUCCESS : any(3),
                                                           .otherwise = chance(60) ? OTHERWISE_FAIL : any(3) };
        }
        for (size_t i = 0; i < s->n_after && r == 0; i++)
                r = spec_resolve_after(s, i, model_job(w.m.model, s->after[i].id), never);
        if (r < 0)
                fail("no memory");
}

/* true: it is not to be made. */
static bool key_is_taken(JobSpec *s, const Queue *q, uint32_t owner) {
        Job *holder;

        if (s->array > 0 || !chance(15))
                return false;
        s->unique_key = strdup(chance(50) ? "k" : "l");
        s->unique_scope = chance(40) ? NULL : strdup(chance(50) ? "queued" : "20s");
        if (unique_find(w.m.model, w.m.store, &w.now, q, owner, s->unique_key, &holder) < 0)
                fail("keys cannot be read");
        if (!holder)
                return false;
        if (!job_state_is_queued(holder->state) || chance(50))
                return true;
        (void) model_cancel(w.m.model, holder, "replaced", &w.now);
        unique_give_up(w.m.model, holder);
        return false;
}

static void do_submit(void) {
        Queue *q = model_queue(w.m.model, queue_names[any(N_QUEUES)]);
        uint32_t owner = 1000 + any(N_OWNERS);
        _cleanup_free_ char *error = NULL, *never = NULL;
        JobSpec *s;
        Job *j = NULL;

        if (w.m.model->next_id + 8 >= JOBS_MAX)
                return;
        s = make_spec();
        if (chance(35))
                add_after(s, &never);
        if (key_is_taken(s, q, owner) || backlog_check(w.m.model, q, owner, MAX(s->array, 1U), &error) < 0 ||
            model_submit(w.m.model, q, s, owner, "alice", &w.now, &j, &error) < 0) {
                spec_free(s);
                return;
        }
        say("    %" PRIu64 " in %s, %" PRIu32 " slots, priority %i, of %u", j->id, q->name, j->slots, j->priority, j->owner);
        if (s->array > 0)
                say(", an array of %" PRIu32 ", %" PRIu32 " at a time", s->array, s->array_max_running);
        for (size_t i = 0; i < j->spec->n_after; i++)
                say(", after %" PRIu64 " (%s, %s%s)", j->spec->after[i].id, after_condition_to_string(j->spec->after[i].condition),
                    after_otherwise_to_string(j->spec->after[i].otherwise), j->spec->after[i].met ? ", met" : "");
        say("\n");
        for (uint64_t i = 0, first = j->id, n = MAX(s->array, 1U); i < n; i++) {
                j = model_job(w.m.model, first + i);
                world_note_time(j);
                if (never)
                        model_fail(w.m.model, j, JOB_DEPENDENCY, never, &w.now);
        }
}

static void do_update(Job *j) {
        static const char *const fields[] = { "priority", "slots", "not_before_usec", "delay_usec", "deadline_usec", "max_attempts", "timeout_usec",
                                                "array_max_running" };
        Queue *to = chance(40) ? model_queue(w.m.model, queue_names[any(N_QUEUES)]) : NULL;
        JobSpec *s = make_spec(), *old = NULL;
        _cleanup_free_ char *error = NULL;
        unsigned i = any(ELEMENTSOF(fields));
        uint64_t set = spec_field_bit(spec_field_find(fields[i]));
        Job *holder = NULL;

        if (to && j->unique_held && (unique_find(w.m.model, w.m.store, &w.now, to, j->owner, j->unique_key, &holder) < 0 || holder)) {
                spec_free(s);
                return;
        }
        old = spec_new();
        (void) job_to_spec(j, old);
        if (j->is_new && j->spec->n_after > 0) {
                old->after = new0(After, j->spec->n_after);
                old->n_after = j->spec->n_after;
                memcpy(old->after, j->spec->after, old->n_after * sizeof(After));
        }
        if (i == 0)
                old->priority = s->priority;
        else if (i == 1)
                old->slots = s->slots;
        else if (i == 2)
                old->not_before_usec = chance(30) ? USEC_INFINITY : w.now.realtime + any(20) * SEC;
        else if (i == 3)
                old->delay_usec = any(20) * SEC;
        else if (i == 4)
                old->deadline_usec = chance(30) ? USEC_INFINITY : w.now.realtime + (1 + any(40)) * SEC;
        else if (i == 5)
                old->max_attempts = 1 + any(5);
        else if (i == 6)
                old->timeout_usec = (1 + any(20)) * SEC;
        else
                old->array_max_running = any(4);
        spec_free(s);
        if (model_update(w.m.model, j, to, old, set, &w.now, &error) < 0)
                spec_free(old);
        else {
                say("    %s of %" PRIu64 ", in %s\n", fields[i], j->id, j->queue_name);
                if (i == 2 || i == 3)
                        world_note_time(j);
        }
}

typedef struct Reopening {
        Job *job;
        bool look_only;
} Reopening;

static int reopen_edge(void *userdata, const Edge *e) {
        const Reopening *o = userdata;
        Job *before = fetch(e->before);

        if (!before)
                return 0;
        if (!o->look_only)
                return model_edge_reopen(w.m.model, o->job, e, before);
        return model_edge_forbids(o->job, e, before) ? -EPERM : 0;
}

/* As api/after.c does. */
static int each_edge(Job *j, bool look_only) {
        Reopening o = { j, look_only };
        int r = 0;

        if (!j->is_new)
                return store_edges(w.m.store, j->id, reopen_edge, &o);
        for (const After *a = j->spec->after; r >= 0 && a < j->spec->after + j->spec->n_after; a++)
                r = reopen_edge(&o, &(Edge) { j->id, a->id, a->condition, a->otherwise, a->met });
        return r;
}

static void do_purge(Job *j) {
        if (j->state == JOB_DONE && !j->reopened && !model_has_new_edge_to(w.m.model, j->id, false) && store_is_needed(w.m.store, j->id) == 0)
                (void) model_purge(w.m.model, j);
}

static void do_retry(Job *j) {
        Job *holder = NULL;

        if (j->state == JOB_DONE && j->unique_key && !j->unique_held &&
            (unique_find(w.m.model, w.m.store, &w.now, j->queue, j->owner, j->unique_key, &holder) < 0 || holder))
                return;
        if (j->state != JOB_DONE || j->attempt + 6 >= ATTEMPTS_MAX || (!j->edges_open_again && each_edge(j, true) < 0))
                return;
        if (!j->edges_open_again && each_edge(j, false) < 0)
                fail("no memory");
        j->edges_open_again = true;
        if (model_retry(w.m.model, j, 1 + any(2), chance(50) ? 0 : any(8) * SEC, &w.now) < 0)
                return;
        unique_take(w.m.model, j);
        world_note_time(j);
}

static void do_request(unsigned kind) {
        Job *j = any_job();

        if (!j)
                return;
        say("    job %" PRIu64 ", %s\n", j->id, job_state_to_string(j->state));
        if (kind == EVENT_cancel)
                (void) model_cancel(w.m.model, j, NULL, &w.now);
        else if (kind == EVENT_hold)
                (void) model_hold(w.m.model, j, &w.now);
        else if (kind == EVENT_release)
                (void) model_release(w.m.model, j, &w.now);
        else if (kind == EVENT_retry)
                do_retry(j);
        else if (kind == EVENT_purge)
                do_purge(j);
        else
                do_update(j);
}

/* As CancelJobs() of an array that has more jobs than a page: nobody takes the places before the next one. */
static void cancel_page(void) {
        Job *j = any_job();

        if (!j || j->array == 0 || j->state == JOB_DONE)
                return;
        say("    job %" PRIu64 " of array %" PRIu64 "\n", j->id, j->array);
        (void) model_cancel(w.m.model, j, NULL, &w.now);
        w.m.model->deferred_array = j->array;
}

/* ---- queues ---- */

static void do_queue(unsigned kind) {
        unsigned i = any(N_QUEUES);
        Setup *s = w.setup + i;

        switch (kind) {
        case EVENT_pause:
                model_queue_pause(w.m.model, model_queue(w.m.model, queue_names[i]), chance(40));
                return;
        case EVENT_caps:
                s->slots = chance(20) ? UINT32_MAX : 1 + any(5);
                break;
        case EVENT_keep:
                s->keep_max = chance(40) ? UINT64_MAX : any(4);
                break;
        case EVENT_order:
                s->fair = chance(50);
                s->ageing = chance(40) ? 0 : (1 + any(20)) * SEC;
                break;
        default:
                s->gate = chance(25);
                s->pressure = chance(25) ? 10 + any(50) : 0;
                s->rate = chance(40) ? (RateLimit) { 1 + any(3), (1 + any(12)) * SEC / 2 } : (RateLimit) {};
        }
        say("    %s: %" PRIu32 " slots, fair %i, ageing %" PRIu64 "\n", queue_names[i], s->slots, s->fair, s->ageing / SEC);
        world_apply_setup(w.m.model);
}

/* ---- the world ---- */

static void do_unit(unsigned kind) {
        static const JobResult ends[] = { JOB_EXIT_CODE, JOB_EXIT_CODE, JOB_SIGNAL, JOB_OOM_KILL, JOB_LOST, JOB_WATCHDOG, JOB_CORE_DUMP };
        Lease *l = w.leases + any(LEASES_MAX);
        int is = kind == EVENT_runs || kind == EVENT_refused ? ASKED : kind == EVENT_ends ? RUNNING : OVER;
        JobResult result;

        for (unsigned i = 0; i < LEASES_MAX && !(l->there && (int) l->is == is); i++)
                if (++l == w.leases + LEASES_MAX)
                        l = w.leases;
        if (!l->there || (int) l->is != is)
                return;
        say("    unit %" PRIu64 "-%" PRIu32 "\n", l->id, l->number);
        if (kind == EVENT_refused)
                unit_is_refused(l);
        else if (kind == EVENT_runs)
                unit_runs(l);
        else if (kind == EVENT_ends) {
                result = chance(w.kind) ? JOB_SUCCESS : ends[any(ELEMENTSOF(ends))];
                unit_ends(l, result, result == JOB_SUCCESS ? 0 : chance(10) ? 75 : chance(10) ? 100 : 1);
        } else
                unit_goes(l);
}

static void do_event(unsigned kind) {
        int64_t step;

        w.m.now = w.now;
        switch (kind) {
        case EVENT_submit:
                do_submit();
                break;
        case EVENT_cancel ... EVENT_update:
                do_request(kind);
                break;
        case EVENT_pause ... EVENT_shut:
                do_queue(kind);
                break;
        case EVENT_gate:
                world_gate(chance(60));
                break;
        case EVENT_pressure:
                w.pressure = chance(60) ? 0 : any(100);
                break;
        case EVENT_time: {
                usec_t next = world_next_timer();

                world_passes(chance(40) || next == USEC_INFINITY ? any(10 * SEC) : usec_sub(next, w.now.realtime));
                break;
        }
        case EVENT_clock_step:
                step = ((int64_t) any(200) - 100) * (int64_t) SEC;
                w.step += step;
                w.now.realtime += (usec_t) step;
                break;
        case EVENT_runs ... EVENT_refused:
                do_unit(kind);
                break;
        case EVENT_pages:
                w.waiting = cancel_page;
                break;
        case EVENT_look:
                w.deaf = false;
                w.sync = true;
                break;
        case EVENT_deaf:
                w.deaf = true;
                break;
        case EVENT_commit_fails:
                w.fail_commits = 1 + any(2);
                break;
        case EVENT_dies:
                world_restart();
                break;
        case EVENT_dies_in_turn:
                w.dies_after = any(3);
                break;
        case EVENT_storage:
                world_passes(SEC);
                break;
        default:
                break;
        }
}

/* ---- the end of a sequence ---- */

static uint64_t n_queued(void) {
        return w.m.model->backlog.n;
}

static void show(void) {
        say("    now %" PRIu64 "; due %i at %" PRIu64 ", deadline %i, pressure %i, storage %i; %s\n", w.now.realtime, w.due.on, w.due.at, w.deadline.on,
            w.pressure_timer.on, w.storage.on, strempty(w.m.model->dispatch_blocked));
        for (uint64_t id = 1; id < w.m.model->next_id; id++) {
                Job *j = fetch(id);
                _cleanup_free_ char *reason = j ? schedule_reason(w.m.model, j, j->queue, &w.now) : NULL;

                if (j && j->state != JOB_DONE)
                        say("    %" PRIu64 " of %s is %s: %s; not before %" PRIu64 "\n", id, j->queue_name, job_state_to_string(j->state), strempty(reason),
                            j->not_before_usec);
        }
        for (const Lease *l = w.leases; l < w.leases + LEASES_MAX; l++)
                if (l->there)
                        say("    unit %" PRIu64 "-%" PRIu32 ": %i\n", l->id, l->number, l->is);
}

static bool any_unit(void) {
        for (const Lease *l = w.leases; l < w.leases + LEASES_MAX; l++)
                if (l->there)
                        return true;
        return false;
}

/* Everything is opened and let go, and each unit ends: then no job is left that waits, after as many rounds as it takes for each attempt. */
static void wind_up(void) {
        unsigned rounds = 0, limit;

        w.fail_commits = 0;
        w.dies_after = UINT_MAX;
        w.deaf = false;
        w.pressure = 0;
        world_passes(5 * SEC);
        world_turn();
        world_gate(true);
        for (unsigned i = 0; i < N_QUEUES; i++) {
                w.setup[i].slots = MAX(w.setup[i].slots, 5U);
                model_queue_pause(w.m.model, model_queue(w.m.model, queue_names[i]), false);
        }
        world_apply_setup(w.m.model);
        for (uint64_t id = 1; id < w.m.model->next_id; id++) {
                Job *j = fetch(id);

                if (j && j->state == JOB_HELD)
                        (void) model_release(w.m.model, j, &w.now);
        }
        world_turn();
        limit = (unsigned) n_queued() * 12 + 200;
        while (n_queued() > 0 || any_unit()) {
                usec_t next;

                if (rounds++ > limit)
                        show(), fail("%" PRIu64 " jobs wait for ever", n_queued());
                w.m.now = w.now;
                for (Lease *l = w.leases; l < w.leases + LEASES_MAX; l++)
                        if (l->there && l->is == ASKED)
                                unit_runs(l);
                        else if (l->there && l->is == RUNNING)
                                unit_ends(l, JOB_SUCCESS, 0);
                        else if (l->there && l->is == OVER)
                                unit_goes(l);
                world_turn();
                next = world_next_timer();
                if (!any_unit() && next == USEC_INFINITY && n_queued() > 0)
                        show(), fail("%" PRIu64 " jobs wait, and nothing will happen", n_queued());
                if (!any_unit() && next != USEC_INFINITY)
                        world_passes(usec_sub(next, w.now.realtime));
                else if (rounds % 3 == 0) {
                        world_passes(SEC / 2);
                        w.sync = true; /* PID 1 is looked at */
                }
        }
}

/* ---- sequences ---- */

static void run_sequence(uint64_t seed, uint64_t i, const Event *events, const bool *left_out, unsigned n, bool verbose) {
        w.verbose = verbose;
        world_begin(seed * 31 + i);
        world_turn();
        for (unsigned k = 0; k < n; k++) {
                if (left_out && left_out[k])
                        continue;
                say("  %u %s\n", k, event_names[events[k].kind]);
                w.dice = events[k].dice;
                do_event(events[k].kind);
                if (events[k].kind == EVENT_submit ? chance(60) : chance(85))
                        world_turn();
        }
        say("  the end\n");
        w.dice = i;
        wind_up();
        world_end();
}

static bool done(uint64_t seed, uint64_t n, bool print) {
        if (n >= SEQUENCES_ASAN && !check_counts(print))
                return false;
        printf("%" PRIu64 " sequences, seed %" PRIu64 "\n", n, seed);
        return true;
}

int main(void) {
        static const Sequences sequences = {
#ifdef __SANITIZE_ADDRESS__
                .n = SEQUENCES_ASAN,
#else
                .n = SEQUENCES,
#endif
                .prefix = "JOBMILL_POLICY", .events_min = EVENTS_MIN, .events_max = EVENTS_MAX, .weights = weights, .n_kinds = _EVENT_MAX,
                .run = run_sequence, .done = done,
        };

        log_set_target(LOG_TARGET_NULL);
        return sequences_run(&sequences);
}
