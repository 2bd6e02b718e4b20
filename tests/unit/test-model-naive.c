/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A million sequences of random events for the daemon in the box (box.h) and the small model that it must agree with
 * (naive.h): requests of all kinds, what PID 1 answers or does not, what units do and whether that is heard, time, reloads,
 * commits that fail, crashes. After each turn all that the daemon stored and holds is compared. Each sequence ends with a
 * kind world, in which everything must come to an end.
 * Its environment is JOBMILL_MODEL_… of sequences.h. */

#include "box-events.h"

#include "base/log.h"
#include "sequences.h"

#define EVENTS_MAX 24U
#define EVENTS_MIN 6U
#define SEQUENCES 1000000U
#define SEQUENCES_ASAN 25000U
#define SEQUENCES_COVER 800000U /* so many take every road, whatever the seed is */

static const char *const event_names[_EVENT_MAX] = {
#define X(name, weight) #name,
        EVENTS(X)
#undef X
};
static const char *const cover_names[_COVER_MAX] = {
#define X(name) #name,
        COVERED(X)
#undef X
};
static const unsigned weights[_EVENT_MAX] = {
#define X(name, weight) weight,
        EVENTS(X)
#undef X
};

static uint64_t n_events, n_turns, kinds[_EVENT_MAX];

/* ---- by lot ---- */

unsigned any(unsigned n) {
        return (unsigned) (draw(&box.dice) >> 32) % n;
}

bool chance(unsigned percent) {
        return any(100) < percent;
}

void naive_fail(const char *format, ...) {
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

/* ---- comparing ---- */

static void compare_queue(const Queue *q, unsigned i) {
        uint64_t count[_JOB_STATE_MAX] = {}, dead = 0;

        for (unsigned id = 1; id < NJ; id++)
                if (box.naive.jobs[id].there && box.naive.jobs[id].queue == i) {
                        count[box.naive.jobs[id].state]++;
                        dead += box.naive.jobs[id].dead;
                }
        if (memcmp(count, q->count, sizeof(count)) != 0 || q->dead != dead)
                naive_fail("the counters of queue %s are wrong", q->name);
        if (q->slots_used != naive_slots_used(&box.naive, i))
                naive_fail("%u slots of %s are in use, it should be %u", q->slots_used, q->name, naive_slots_used(&box.naive, i));
        if (q->paused != box.naive.is_paused[i] || q->draining != box.naive.is_draining[i])
                naive_fail("queue %s is paused or draining", q->name);
}

/* Each number of a queue is one attempt's; adopted strays may bring theirs along. */
static void compare_slot_numbers(const Model *m) {
        for (const Attempt *a = m->attempts; a; a = a->hh.next)
                for (const Attempt *b = a->hh.next; b; b = b->hh.next)
                        for (uint32_t i = 0; i < a->slots * b->slots && a->slot_owner == b->slot_owner; i++)
                                if (a->slot_numbers[i / b->slots] == b->slot_numbers[i % b->slots] &&
                                    !box.naive.attempts[a->job_id][a->number].stray && !box.naive.attempts[b->job_id][b->number].stray &&
                                    a->created_usec != 0 && b->created_usec != 0 && a->queue == a->slot_owner && b->queue == b->slot_owner)
                                        naive_fail("%s and %s have the same slot number", a->unit, b->unit);
}

static void compare_attempt(const Attempt *a) {
        const NaiveAttempt *n = &box.naive.attempts[a->job_id][a->number];

        if (!n->there || n->live != !!a->job || (n->live && n->running != (a->phase == ATTEMPT_RUNNING)) || n->slots != a->slots)
                naive_fail("%s is held though its slots should be free, or the like", a->unit);
        if (n->live && (n->freezer != a->freezer || n->frozen != a->frozen_usec || n->net != a->has_net ||
                        (n->running && n->started != a->started_monotonic)))
                naive_fail("%s is %s, frozen for %" PRIu64 "; it should be %s, for %" PRIu64, a->unit, freezer_to_string(a->freezer),
                           a->frozen_usec, freezer_to_string(n->freezer), n->frozen);
}

/* Every ready job waits for what it says, and for nothing else. */
static void compare_reasons(Model *m) {
        for (unsigned id = 1; id < NJ; id++) {
                const NaiveJob *n = box.naive.jobs + id;
                const Job j = { .id = id, .owner = n->owner, .state = JOB_READY, .slots = n->slots };
                _cleanup_free_ char *reason = NULL;
                const char *why;

                if (!n->there || n->state != JOB_READY || m->dispatch_blocked)
                        continue;
                why = naive_why(&box.naive, id, &box.now);
                reason = schedule_reason(m, &j, model_queue(m, queue_names[n->queue]), &box.now);
                if (!why || !startswith(reason, why))
                        naive_fail("job %u waits because of \"%s\", it should be \"%s\"", id, reason, why ?: "nothing");
        }
}

static void compare(void) {
        const Model *m = box.m.model;
        unsigned there = 0, i = 0;

        if (model_has_changes(m))
                naive_fail("there is something left to be stored");
        for (unsigned id = 1; id < NJ; id++) {
                const NaiveJob *j = box.naive.jobs + id;

                if (j->there != box.rows[id].there || (j->there && (j->state != box.rows[id].state || j->result != box.rows[id].result ||
                                                                   j->attempt != box.rows[id].attempt)))
                        naive_fail("job %u is stored as %s, it should be %s", id,
                                   box.rows[id].there ? job_state_to_string(box.rows[id].state) : "none",
                                   j->there ? job_state_to_string(j->state) : "none");
                if (!box.m.storage_failed && naive_is_outdated(&box.naive, id, &box.now))
                        naive_fail("job %u is kept too long", id);
                if (!box.m.storage_failed && naive_is_due(&box.naive, id, &box.now))
                        naive_fail("the time of job %u has come, and it waits", id);
                if (!box.m.storage_failed && naive_is_expired(&box.naive, id, &box.now))
                        naive_fail("the deadline of job %u has passed, and it waits", id);
                for (unsigned before = 1; before < NJ; before++)
                        if (!box.m.storage_failed && naive_edge_is_overdue(&box.naive, id, before))
                                naive_fail("job %u has ended, and job %u still waits for it", before, id);
                if (!box.m.storage_failed && j->there && j->array > 0 && naive_array_next(&box.naive, j->array) != 0)
                        naive_fail("job %u waits for its array, and there is a place", naive_array_next(&box.naive, j->array));
                for (i = 1; i < NA; i++)
                        there += box.naive.attempts[id][i].there;
        }
        for (const Attempt *a = m->attempts; a; a = a->hh.next, there--)
                compare_attempt(a);
        if (there != 0)
                naive_fail("slots of %u attempts were given back, or are held, though they should not be", there);
        i = 0;
        for (const Queue *q = m->queues; q; q = q->hh.next)
                compare_queue(q, queue_index(q->name)), i++;
        compare_slot_numbers(m);
        for (i = 1; i < NW; i++) {
                const Worker *w = model_worker(m, i);

                if (!w != !box.naive.workers[i].there || (w && (w->slots_used != naive_worker_used(&box.naive, i) || w->slots_used > w->slots)))
                        naive_fail("worker %u is %s, and has %u slots in use, it should be %u", i, w ? "there" : "not there", w ? w->slots_used : 0,
                                   naive_worker_used(&box.naive, i));
        }
        if (m->next_id != box.naive.next_id)
                naive_fail("the next id is %u, it should be %u", (unsigned) m->next_id, box.naive.next_id);
        /* Nobody is left who might start. */
        if (!box.m.storage_failed && box.m.units->bus && box.m.units->synced && naive_next(&box.naive, &box.now) != 0)
                naive_fail("job %u might start, and does not", naive_next(&box.naive, &box.now));
        compare_reasons(box.m.model);
}

static void settle(void) {
        box.naive.even = box.now.even;
        do {
                box_tell_workers();
                n_turns++;
                if (manager_settle(&box.m) < 0)
                        naive_fail("the daemon gave up");
                if (box.m.model->releases.ended)
                        COVER(many_at_once);
                /* what its timers would do */
        } while (!box.m.storage_failed && (box.m.model->releases.ended || manager_expires_more(&box.m) || box.m.next_due <= box.now.realtime || box.m.next_start_deadline <= box.now.realtime || box.step != 0));
        compare();
}

static void turn(bool deliver) {
        settle();
        for (unsigned i = 0; deliver && box_deliver(); i++) {
                settle();
                if (i > 50)
                        naive_fail("it asks for ever");
        }
}

/* ---- one sequence ---- */

static void begin_world(uint64_t dice) {
        memset(&box, 0, sizeof(box));
        box.dice = dice;
        box.now = (Now) { .realtime = 1000000 * SEC, .monotonic = 5000 * SEC, .steady = 1000000 * SEC, .even = 900000 * SEC };
        box.next_id = box.naive.next_id = 1;
        box.epoch = box.boot = 1;
        box.api.ready = true;
        for (unsigned q = 0; q < NQ; q++) {
                box.naive.files[q].there = true;
                box.naive.files[q].slots = chance(20) ? UINT32_MAX : 1 + any(4);
                box.naive.files[q].fair = chance(25);
                box.naive.files[q].by = chance(70) ? BY_UNITS : chance(70) ? BY_WORKERS : BY_RUNNERS;
                box.naive.files[q].keep = USEC_INFINITY;
                box.naive.files[q].keep_max = UINT64_MAX;
                box.naive.files[q].ageing = chance(25) ? (1 + any(8)) * SEC : 0;
        }
        box.stored = box.naive;
        begin_daemon();
}

static void run_sequence(uint64_t seed, uint64_t sequence, const Event *events, const bool *left_out, unsigned n, bool verbose) {
        begin_world(seed * 31 + sequence);
        box.verbose = verbose;
        for (unsigned i = 0; i < n; i++) {
                if (left_out && left_out[i])
                        continue;
                say("  %u %s\n", i, event_names[events[i].kind]);
                box.dice = events[i].dice;
                do_event(events[i].kind);
                kinds[events[i].kind]++;
                n_events++;
                if (events[i].kind == EVENT_submit ? chance(50) : chance(80))
                        turn(chance(92));
        }
        wind_up(turn);
        box_drop_calls();
        end_daemon();
}

/* A test that takes no roads proves nothing. */
static bool check_covered(bool print) {
        bool good = true;

        for (unsigned i = 0; print && i < _COVER_MAX; i++)
                printf("%10" PRIu64 " %s\n", covered[i], cover_names[i]);
        for (unsigned i = 0; i < _EVENT_MAX; i++)
                if (kinds[i] == 0)
                        good = false, printf("never happened: %s\n", event_names[i]);
        for (unsigned i = 0; i < _COVER_MAX; i++)
                if (covered[i] == 0)
                        good = false, printf("never came to: %s\n", cover_names[i]);
        for (JobResult i = JOB_SUCCESS; i < _JOB_RESULT_MAX; i++)
                if (results[i] == 0)
                        good = false, printf("no job ended as %s\n", job_result_to_string(i));
        for (JobState i = 0; i < _JOB_STATE_MAX; i++)
                for (JobState k = 0; k < _JOB_STATE_MAX; k++)
                        if (legal[i][k] && transitions[i][k] == 0)
                                good = false, printf("no job went from %s to %s\n", job_state_to_string(i), job_state_to_string(k));
        return good;
}

static bool done(uint64_t seed, uint64_t n, bool print) {
        if (n >= SEQUENCES_COVER && !check_covered(print))
                return false;
        printf("%" PRIu64 " sequences, %" PRIu64 " events, %" PRIu64 " turns, seed %" PRIu64 "\n", n, n_events, n_turns, seed);
        return true;
}

int main(void) {
        static const Sequences sequences = {
#ifdef __SANITIZE_ADDRESS__
                .n = SEQUENCES_ASAN,
#else
                .n = SEQUENCES,
#endif
                .prefix = "JOBMILL_MODEL", .events_min = EVENTS_MIN, .events_max = EVENTS_MAX, .weights = weights, .n_kinds = _EVENT_MAX,
                .run = run_sequence, .done = done,
        };

        log_set_target(LOG_TARGET_CONSOLE);
        log_set_level(LOG_EMERG);
        return sequences_run(&sequences);
}
