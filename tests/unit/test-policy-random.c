/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* All rules of scheduling together: jobs and queues that combine everything that there is, in the daemon's own turn over a real store, while
 * commits fail, daemons die, the clock is set, signals get lost and policies change. Before each start and after each turn what must hold
 * in any case is checked (policy-check.c). Each sequence ends with a kind world, in which nothing may be left that waits.
 * Its environment is JOBMILL_POLICY_… of sequences.h. */

#include "policy-events.h"

#include "base/log.h"
#include "base/strv.h"
#include "sequences.h"

#include <stdarg.h>

#define SEQUENCES 400U
#define SEQUENCES_ASAN 60U
#define SEQUENCES_COVER 300U /* in so many everything happens */
#define EVENTS_MIN 20U
#define EVENTS_MAX 140U

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

static uint64_t happened[_EVENT_MAX];

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

/* ---- the end of a sequence ---- */

static uint64_t n_queued(void) {
        return w.m.model->backlog.n;
}

static void show(void) {
        say("    now %" PRIu64 "; due %i at %" PRIu64 ", deadline %i, pressure %i, storage %i; %s\n", w.now.realtime, w.due.on, w.due.at, w.deadline.on,
            w.pressure_timer.on, w.storage.on, strempty(w.m.model->dispatch_blocked));
        for (uint64_t id = 1; id < w.m.model->next_id; id++) {
                Job *j = request_fetch(id);
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
                w.files[i].slots = MAX(w.files[i].slots, 5U);
                w.file_kinds[i] = FILE_GOOD;
                model_queue_pause(w.m.model, model_queue(w.m.model, queue_names[i]), false);
        }
        world_reload();
        for (uint64_t id = 1; id < w.m.model->next_id; id++) {
                Job *j = request_fetch(id);

                if (j && j->state == JOB_HELD)
                        (void) model_release(w.m.model, j, &w.now);
        }
        world_turn();
        limit = (unsigned) n_queued() * 12 + 200;
        while (n_queued() > 0 || any_unit()) {
                usec_t next;

                peers_all();
                servers_all();
                fores_all();
                world_turn();

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
                if (!any_unit() && next == USEC_INFINITY && n_queued() > 0 && !servers_come())
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
        w.happened = happened;
        world_begin(seed * 31 + i);
        world_turn();
        for (unsigned k = 0; k < n; k++) {
                if (left_out && left_out[k])
                        continue;
                say("  %u %s\n", k, event_names[events[k].kind]);
                w.dice = events[k].dice;
                happened[events[k].kind] += do_event(events[k].kind);
                if (events[k].kind == EVENT_submit ? chance(60) : chance(85))
                        world_turn();
        }
        say("  the end\n");
        w.dice = i;
        wind_up();
        world_end();
}

/* ---- what lot does not often bring about ---- */

static Job *submit_by(usec_t deadline) {
        _cleanup_free_ char *error = NULL;
        JobSpec *s = spec_new();
        Job *j;

        if (strv_extend(&s->argv, "/bin/true") < 0)
                fail("no memory");
        s->deadline_usec = deadline;
        if (model_submit(w.m.model, model_queue(w.m.model, "solo"), s, 1000, "alice", &w.now, &j, &error) < 0)
                fail("%s", error);
        return j;
}

static JobResult result_of(uint64_t id) {
        _cleanup_(job_freep) Job *j = NULL;

        if (store_load_job(w.m.store, id, &j) < 0)
                fail("job %" PRIu64 " is not stored", id);
        return j->result;
}

static void begin(void) {
        world_begin(1);
        for (unsigned i = 0; i < N_QUEUES; i++)
                w.files[i].by_workers = false;
        world_reload();
        world_turn();
}

/* A start deadline that passes between the submit and the turn that records it, when no index of the store knows of it. */
static void deadline_in_the_turn_of_the_submit(void) {
        uint64_t late, early;

        w.happened = happened;
        begin();
        late = submit_by(w.now.realtime + SEC)->id;
        early = submit_by(w.now.realtime + 60 * SEC)->id;
        world_passes(2 * SEC);
        world_turn();
        if (result_of(late) != JOB_EXPIRED || result_of(early) != JOB_RESULT_NONE || !world_lease(early, 1))
                fail("a job whose deadline passed in the turn of its submit is %s", job_result_to_string(result_of(late)));
        world_end();
}

/* An owner who takes the key off of a job whose start has just been refused, before it takes that again. */
static void key_in_the_turn_of_the_refusal(void) {
        uint64_t id;
        Job *j;

        begin();
        j = submit_by(USEC_INFINITY);
        id = j->id;
        j->unique_key = strdup("k");
        j->unique_scope = UNIQUE_QUEUED;
        unique_take(w.m.model, j);
        world_turn();
        j = model_job(w.m.model, id); /* it was recorded, and loaded again to be started */
        if (!j || !j->unique_lent || !unit_is_refused(world_lease(id, 1)) || !j->unique_wanted)
                fail("the start of job %" PRIu64 " was not refused", id);
        j->unique_key = mfree(j->unique_key);
        world_turn();
        if (request_fetch(id)->unique_held)
                fail("job %" PRIu64 " holds a key that it does not have", id);
        world_end();
}

static bool done(uint64_t seed, uint64_t n, bool print) {
        bool all = check_counts(print);

        for (unsigned k = 0; k < _EVENT_MAX; k++) {
                if (print)
                        printf("%10" PRIu64 " %s\n", happened[k], event_names[k]);
                if (happened[k] == 0)
                        all = false, printf("never happened: %s\n", event_names[k]);
        }
        if (n >= SEQUENCES_COVER && !all)
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
        deadline_in_the_turn_of_the_submit();
        key_in_the_turn_of_the_refusal();
        memset(happened, 0, sizeof(happened));
        return sequences_run(&sequences);
}
