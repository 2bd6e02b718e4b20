/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A million sequences of random events for the daemon in the box (box.h) and the small model that it must agree with
 * (naive.h): requests of all kinds, what PID 1 answers or does not, what units do and whether that is heard, time, reloads,
 * commits that fail, crashes. After each turn all that the daemon stored and holds is compared. Each sequence ends with a
 * kind world, in which everything must come to an end.
 *
 * Sequences run in a child, so that whatever ends it (a difference, an assertion, a sanitizer) is caught: then events are
 * left out as long as it still fails, and what is left is printed with all that happens in it.
 *
 *   JOBMILL_MODEL_SEED=S JOBMILL_MODEL_SEQUENCES=N   other ones, or more of them
 *   JOBMILL_MODEL_COUNTS=1                           how often what happened
 *   JOBMILL_MODEL_REPLAY=S/I/E,E,…                   as printed after a failure */

#include "box-events.h"

#include "base/log.h"
#include "base/parse.h"
#include "base/strv.h"

#include <sys/mman.h>
#include <sys/wait.h>

#define EVENTS_MAX 24U
#define EVENTS_MIN 6U
#define SEQUENCES 1000000U
#define SEQUENCES_ASAN 25000U
#define SEQUENCES_COVER 500000U /* so many take every road, whatever the seed is */

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

typedef struct Event {
        unsigned kind;
        uint64_t dice;
} Event;

/* Shared with the child. */
typedef struct Progress {
        uint64_t sequence, events, turns;
        uint64_t kinds[_EVENT_MAX], covered[_COVER_MAX], transitions[_JOB_STATE_MAX][_JOB_STATE_MAX], results[_JOB_RESULT_MAX];
} Progress;
static Progress *progress;

/* ---- by lot ---- */

static uint64_t draw(uint64_t *dice) {
        uint64_t z = (*dice += UINT64_C(0x9e3779b97f4a7c15));

        z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
        z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
        return z ^ (z >> 31);
}

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
                const Job j = { .state = JOB_READY, .slots = n->slots };
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
                progress->turns++;
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
                box.naive.files[q].keep = USEC_INFINITY;
                box.naive.files[q].keep_max = UINT64_MAX;
                box.naive.files[q].ageing = chance(25) ? (1 + any(8)) * SEC : 0;
        }
        box.stored = box.naive;
        begin_daemon();
}

static unsigned make_events(uint64_t seed, uint64_t sequence, Event *ret) {
        uint64_t dice = seed * UINT64_C(0x2545f4914f6cdd1d) + sequence;
        unsigned sum = 0, n;

        for (unsigned i = 0; i < _EVENT_MAX; i++)
                sum += weights[i];
        n = EVENTS_MIN + (unsigned) (draw(&dice) % (EVENTS_MAX - EVENTS_MIN + 1));
        for (unsigned i = 0; i < n; i++) {
                unsigned lot = (unsigned) (draw(&dice) % sum), k = 0;

                while (lot >= weights[k])
                        lot -= weights[k++];
                ret[i] = (Event) { k, draw(&dice) };
        }
        return n;
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
                progress->kinds[events[i].kind]++;
                progress->events++;
                if (events[i].kind == EVENT_submit ? chance(50) : chance(80))
                        turn(chance(92));
        }
        wind_up(turn);
        box_drop_calls();
        end_daemon();
}

/* ---- failures ---- */

static bool fails(uint64_t seed, uint64_t sequence, const Event *events, const bool *left_out, unsigned n, bool verbose) {
        pid_t pid;
        int status;

        fflush(stdout);
        pid = fork();
        if (pid == 0) {
                if (!verbose && (!freopen("/dev/null", "w", stdout) || !freopen("/dev/null", "w", stderr)))
                        _exit(2);
                run_sequence(seed, sequence, events, left_out, n, verbose);
                fflush(stdout);
                _exit(0);
        }
        (void) waitpid(pid, &status, 0);
        return !WIFEXITED(status) || WEXITSTATUS(status) != 0;
}

static void show_failure(uint64_t seed, uint64_t sequence) {
        Event events[EVENTS_MAX];
        bool left_out[EVENTS_MAX] = {};
        unsigned n = make_events(seed, sequence, events);

        for (bool again = true; again;) {
                again = false;
                for (unsigned i = n; i-- > 0;) {
                        if (left_out[i])
                                continue;
                        left_out[i] = true;
                        if (fails(seed, sequence, events, left_out, n, false))
                                again = true;
                        else
                                left_out[i] = false;
                }
        }
        printf("Sequence %" PRIu64 " of seed %" PRIu64 " fails; what is needed for that: JOBMILL_MODEL_REPLAY=%" PRIu64 "/%" PRIu64 "/", sequence,
               seed, seed, sequence);
        for (unsigned i = 0, k = 0; i < n; i++)
                if (!left_out[i])
                        printf("%s%u", k++ > 0 ? "," : "", i);
        printf("\n");
        (void) fails(seed, sequence, events, left_out, n, true);
}

static int replay(const char *text) {
        _cleanup_strv_free_ char **parts = strv_split(text, "/"), **kept = NULL;
        Event events[EVENTS_MAX];
        bool left_out[EVENTS_MAX];
        uint64_t seed, sequence, i;
        unsigned n;

        if (strv_length(parts) < 2 || parse_u64(parts[0], &seed) < 0 || parse_u64(parts[1], &sequence) < 0)
                return EXIT_FAILURE;
        n = make_events(seed, sequence, events);
        memset(left_out, strv_length(parts) > 2, sizeof(left_out));
        if (strv_length(parts) > 2)
                kept = strv_split(parts[2], ",");
        STRV_FOREACH(k, kept)
                if (parse_u64(*k, &i) >= 0 && i < n)
                        left_out[i] = false;
        return fails(seed, sequence, events, left_out, n, true) ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* ---- all of them ---- */

static void run_all(uint64_t seed, uint64_t n) {
        Event events[EVENTS_MAX];

        for (uint64_t i = 0; i < n; i++) {
                progress->sequence = i;
                run_sequence(seed, i, events, NULL, make_events(seed, i, events), false);
        }
        memcpy(progress->covered, covered, sizeof(covered));
        memcpy(progress->transitions, transitions, sizeof(transitions));
        memcpy(progress->results, results, sizeof(results));
}

/* A test that takes no roads proves nothing. */
static bool check_covered(void) {
        bool good = true;

        for (unsigned i = 0; getenv("JOBMILL_MODEL_COUNTS") && i < _COVER_MAX; i++)
                printf("%10" PRIu64 " %s\n", progress->covered[i], cover_names[i]);
        for (unsigned i = 0; i < _EVENT_MAX; i++)
                if (progress->kinds[i] == 0)
                        good = false, printf("never happened: %s\n", event_names[i]);
        for (unsigned i = 0; i < _COVER_MAX; i++)
                if (progress->covered[i] == 0)
                        good = false, printf("never came to: %s\n", cover_names[i]);
        for (JobResult i = JOB_SUCCESS; i < _JOB_RESULT_MAX; i++)
                if (progress->results[i] == 0)
                        good = false, printf("no job ended as %s\n", job_result_to_string(i));
        for (JobState i = 0; i < _JOB_STATE_MAX; i++)
                for (JobState k = 0; k < _JOB_STATE_MAX; k++)
                        if (legal[i][k] && progress->transitions[i][k] == 0)
                                good = false, printf("no job went from %s to %s\n", job_state_to_string(i), job_state_to_string(k));
        return good;
}

static uint64_t from_environment(const char *name, uint64_t otherwise) {
        const char *s = getenv(name);
        uint64_t v;

        return s && parse_u64(s, &v) >= 0 ? v : otherwise;
}

int main(void) {
#ifdef __SANITIZE_ADDRESS__
        uint64_t n = SEQUENCES_ASAN;
#else
        uint64_t n = SEQUENCES;
#endif
        uint64_t seed = from_environment("JOBMILL_MODEL_SEED", 1);
        const char *text = getenv("JOBMILL_MODEL_REPLAY");
        pid_t pid;
        int status;

        log_set_target(LOG_TARGET_CONSOLE);
        log_set_level(LOG_EMERG);
        progress = mmap(NULL, sizeof(Progress), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (progress == MAP_FAILED)
                return EXIT_FAILURE;
        if (text)
                return replay(text);
        n = from_environment("JOBMILL_MODEL_SEQUENCES", n);
        pid = fork();
        if (pid == 0) {
                run_all(seed, n);
                fflush(stdout);
                exit(0);
        }
        if (pid < 0 || waitpid(pid, &status, 0) < 0)
                return EXIT_FAILURE;
        if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
                show_failure(seed, progress->sequence);
                return EXIT_FAILURE;
        }
        if (n >= SEQUENCES_COVER && !check_covered())
                return EXIT_FAILURE;
        printf("%" PRIu64 " sequences, %" PRIu64 " events, %" PRIu64 " turns, seed %" PRIu64 "\n", n, progress->events, progress->turns, seed);
        return EXIT_SUCCESS;
}
