/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Thousands of turns at random over a tree of queues, with a fake clock and a fake store of rows. After each turn what was
 * promised must hold: no cap is passed on any level, slots are those of the attempts, a slot number has one holder, counters
 * are right, each attempt gets one outcome, and what starts is the first in its queue that fits. */

#include "model-util.h"
#include "queue/spec-change.h"

#define JOBS_MAX 4000U
#define ATTEMPTS_MAX 16U
#define TURNS 2000U /* of 7.5 events, and what is decided; four times */

/* The store: what survives when the model forgets a job. */
typedef struct Row {
        bool there;
        Queue *queue;
        JobState state;
        JobResult result, intent;
        bool dead;
        uint32_t slots, attempt, max_attempts;
        int64_t rank;
        usec_t not_before, timeout;
        bool inserted[ATTEMPTS_MAX];
        unsigned outcomes[ATTEMPTS_MAX];
        bool gone[ATTEMPTS_MAX];
} Row;

typedef struct World {
        Model *m;
        Row *rows; /* by id */
        Queue *queues[8];
        size_t n_queues;
        unsigned started, outcomes, withdrawn, timeouts, refills, capped, moved, updated;
} World;

static uint32_t any(uint32_t n) {
        return (uint32_t) random() % n;
}

static bool chance(uint32_t percent) {
        return any(100) < percent;
}

static void make_world(World *w) {
        static const struct {
                const char *name;
                uint32_t slots;
                const char *variable;
        } tree[] = {
                { "a", 6, NULL },           { "a-b", 4, NULL },  { "a-b-c", UINT32_MAX, NULL }, { "a-d", 3, NULL },
                { "g", UINT32_MAX, "GPU" }, { "g-x", 2, NULL }, { "g-y", 3, "OWN" },          { "solo", 2, NULL },
        };

        *w = (World) { .m = make_model(), .rows = new0(Row, JOBS_MAX) };
        assert_non_null(w->rows);
        FOREACH_ELEMENT(i, tree) {
                Queue *q = make_queue(w->m, i->name, i->slots);
                if (i->variable)
                        assert_non_null(q->policy.slot_variable = strdup(i->variable));
                w->queues[w->n_queues++] = q;
        }
}

/* ---- the store ---- */

static Job *fetch(World *w, uint64_t id) {
        Row *row = w->rows + id;
        Job *j = model_job(w->m, id);

        if (j)
                return j;
        assert_true(row->there);
        assert_false(job_state_is_live(row->state)); /* those are always in memory */
        j = job_new();
        assert_non_null(j);
        j->id = id;
        j->queue_name = strdup(row->queue->name);
        j->state = row->state;
        j->result = row->result;
        j->intent = row->intent;
        j->dead = row->dead;
        j->priority = (int32_t) -row->rank;
        j->slots = row->slots;
        j->attempt = row->attempt;
        j->max_attempts = row->max_attempts;
        j->rank = row->rank;
        j->not_before_usec = row->not_before;
        j->timeout_usec = row->timeout;
        model_job_add(w->m, j, row->queue);
        return j;
}

static void record_job(World *w, const Job *j) {
        Row *row = w->rows + j->id;

        assert_int_equal(j->is_new, !row->there);
        row->there = true;
        row->queue = j->queue;
        row->state = j->state;
        row->result = j->result;
        row->intent = j->intent;
        row->dead = j->dead;
        row->slots = j->slots;
        row->attempt = j->attempt;
        row->max_attempts = j->max_attempts;
        row->rank = j->rank;
        row->not_before = j->not_before_usec;
        row->timeout = j->timeout_usec;
}

static void record_attempt(World *w, const Attempt *a) {
        Row *row = w->rows + a->job_id;

        assert_true(a->number < ATTEMPTS_MAX);
        assert_int_equal(a->is_new, !row->inserted[a->number]);
        row->inserted[a->number] = true;
        if (a->outcome_changed) {
                assert_int_not_equal(a->outcome.result, JOB_RESULT_NONE);
                row->outcomes[a->number]++;
                w->outcomes++;
        }
}

static void record(World *w) {
        Attempt *a;
        Job *j;

        TAILQ_FOREACH(j, &w->m->changed, changed_entry)
                record_job(w, j);
        TAILQ_FOREACH(a, &w->m->changed_attempts, changed_entry)
                record_attempt(w, a);
        for (size_t i = 0; i < w->m->n_purged; i++) {
                Row *row = w->rows + w->m->purged[i];
                row->there = false;
        }
        model_recorded(w->m);
        assert_false(model_has_changes(w->m));
}

static int by_rank(const void *x, const void *y) {
        const Candidate *a = x, *b = y;

        if (a->rank != b->rank)
                return a->rank < b->rank ? -1 : 1;
        return a->id < b->id ? -1 : a->id > b->id;
}

static void refill(World *w, Group *g) {
        static Candidate all[JOBS_MAX];
        Queue *q = g->level->queue;
        size_t n = 0;

        for (uint64_t id = 1; id < w->m->next_id; id++) {
                const Row *row = w->rows + id;
                if (row->there && row->queue == q && row->state == JOB_READY && !queue_too_small(q, row->slots))
                        all[n++] = (Candidate) { .rank = row->rank, .id = id, .slots = row->slots, .priority = (int32_t) -row->rank };
        }
        qsort(all, n, sizeof(Candidate), by_rank);
        window_clear(g);
        g->window_more = false;
        for (size_t i = 0; i < MIN(n, (size_t) QUEUE_WINDOW); i++)
                assert_int_equal(window_insert(g, all + i, QUEUE_WINDOW), 0);
        g->window_more = n > QUEUE_WINDOW;
        queue_window_changed(g);
        w->refills++;
}

/* ---- events ---- */

static void event_submit(World *w) {
        JobSpec *spec;
        Job *j = NULL;
        char *error = NULL;
        int r;

        if (w->m->next_id >= JOBS_MAX)
                return;
        spec = make_spec(1 + any(3), (int32_t) any(3));
        spec->hold = chance(10);
        if (chance(20))
                spec->not_before_usec = now.realtime + any(20) * SEC;
        if (chance(30))
                spec->timeout_usec = (1 + any(20)) * SEC;
        spec->stop_timeout_usec = chance(50) ? (1 + any(10)) * SEC : USEC_INFINITY;
        r = model_submit(w->m, w->queues[any(w->n_queues)], spec, 1000 + any(3), "alice", &now, &j, &error);
        if (r < 0) {
                assert_true(r == -EDQUOT || r == -ERANGE);
                assert_non_null(error);
                free(error);
                spec_free(spec);
        }
}

/* Any of its fields, and another queue perhaps: it is changed wholly, or the reason is a good one. */
static void update(World *w, Job *j) {
        static const char *const names[] = { "priority", "slots", "not_before_usec", "timeout_usec", "stop_timeout_usec", "tags" };
        Queue *to = chance(50) ? w->queues[any(w->n_queues)] : NULL, *from = j->queue;
        JobSpec *spec = make_spec(1, 0);
        JobState before = j->state;
        char *error = NULL;
        uint64_t fields = 0;
        int r;

        assert_int_equal(job_to_spec(j, spec), 0);
        for (unsigned n = any(3); n > 0; n--) {
                unsigned i = any(ELEMENTSOF(names));

                fields |= spec_field_bit(spec_field_find(names[i]));
                if (i == 0)
                        spec->priority = (int32_t) any(5);
                else if (i == 1)
                        spec->slots = 1 + any(4);
                else if (i == 2)
                        spec->not_before_usec = chance(30) ? USEC_INFINITY : now.realtime + any(20) * SEC - 5 * SEC;
                else if (i == 3)
                        spec->timeout_usec = (1 + any(20)) * SEC;
        }
        r = model_update(w->m, j, to, spec, fields, &now, &error);
        if (r >= 0) {
                assert_ptr_equal(j->queue, to ?: from);
                assert_string_equal(j->queue_name, j->queue->name);
                w->moved += j->queue != from;
                w->updated++;
                return;
        }
        assert_true(r == -EALREADY ? before == JOB_DONE || job_state_is_live(before) : r == -EDQUOT || r == -ERANGE);
        assert_true(j->queue == from && j->state == before);
        assert_non_null(error);
        free(error);
        spec_free(spec);
}

static void event_request(World *w) {
        uint64_t id = 1 + any(MAX(w->m->next_id - 1, UINT64_C(1)));
        Job *j = model_job(w->m, id);
        JobState before;
        int r;

        if (!j && !w->rows[id].there)
                return;
        j = fetch(w, id);
        before = j->state;
        switch (any(9)) {
        case 0:
                r = model_hold(w->m, j, &now);
                assert_int_equal(r, before == JOB_DONE ? -EALREADY : job_state_is_live(before) ? -EBUSY : 0);
                break;
        case 1:
                assert_int_equal(model_release(w->m, j, &now), before == JOB_DONE ? -EALREADY : 0);
                break;
        case 2:
                if (chance(50))
                        assert_int_equal(model_cancel(w->m, j, "x", &now), before == JOB_DONE ? -EALREADY : 0);
                break;
        case 3:
                if (j->attempt + 1 < ATTEMPTS_MAX)
                        assert_int_equal(model_retry(w->m, j, 1, 0, &now), before == JOB_DONE ? 0 : -EBUSY);
                break;
        case 4:
                if (chance(20))
                        assert_int_equal(model_purge(w->m, j), before == JOB_DONE ? 0 : -EBUSY);
                break;
        case 5:
                update(w, j);
                break;
        case 6:
                r = model_freeze(w->m, j, &now);
                assert_true(before == JOB_RUNNING ? r == 0 || r == -ETIME : r == (before == JOB_DONE ? -EALREADY : -EBUSY));
                break;
        case 7:
                r = model_thaw(w->m, j, &now);
                assert_int_equal(r, before == JOB_RUNNING ? 0 : before == JOB_DONE ? -EALREADY : -EBUSY);
                break;
        default:
                r = model_kill(w->m, j, 1 + (int) any(64));
                assert_true(r == 0 || r == (before == JOB_DONE ? -EALREADY : -EBUSY));
        }
}

static void attempt_moves(World *w, Attempt *a) {
        switch (a->phase) {
        case ATTEMPT_STARTING:
                if (a->changed) /* not recorded, so not asked for */
                        break;
                if (chance(70))
                        model_attempt_started(w->m, a, invocation, now.realtime, now.monotonic);
                else if (chance(30) && a->number + 1 < ATTEMPTS_MAX) {
                        model_attempt_withdraw(w->m, a, "another unit has its name", &now);
                        w->withdrawn++;
                } else
                        end(w->m, a, JOB_EXEC);
                break;
        case ATTEMPT_RUNNING: {
                bool timed_out = a->job->intent == JOB_TIMEOUT, cancelled = a->job->intent == JOB_CANCELLED;

                if (chance(40)) {
                        model_attempt_seen_frozen(w->m, a, chance(50), &now);
                        break;
                }
                end(w->m, a, JOB_SUCCESS + any(_JOB_RESULT_MAX - JOB_SUCCESS));
                assert_true(!timed_out || a->outcome.result == JOB_TIMEOUT);
                assert_true(!cancelled || a->outcome.result == JOB_CANCELLED);
                w->timeouts += timed_out;
                break;
        }
        default:
                if (!a->changed) {
                        w->rows[a->job_id].gone[a->number] = true;
                        model_attempt_gone(w->m, a);
                }
        }
}

static void event_outside(World *w) {
        unsigned n = HASH_COUNT(w->m->attempts);
        Attempt *a = w->m->attempts;

        if (n == 0)
                return;
        for (n = any(n); n > 0; n--)
                a = a->hh.next;
        attempt_moves(w, a);
}

static void event_queue(World *w) {
        Queue *q = w->queues[any(w->n_queues)];

        if (chance(20))
                queue_window_clear(q); /* as a reload does */
        else if (chance(60))
                model_queue_pause(w->m, q, chance(20));
        else
                model_queue_drain(w->m, q, chance(20));
}

static void pass_time(World *w) {
        now.monotonic += any(2 * SEC);
        now.realtime += any(2 * SEC);
        for (uint64_t id = 1; id < w->m->next_id; id++) {
                Job *j = model_job(w->m, id);
                if (j ? j->state == JOB_WAITING : w->rows[id].there && w->rows[id].state == JOB_WAITING)
                        model_due(w->m, fetch(w, id), &now);
        }
}

/* ---- decide, and what must hold ---- */

/* Nobody in this queue who is ready and fits at all comes before it. */
static void check_first(World *w, const Candidate *c, const Queue *q) {
        for (uint64_t id = 1; id < w->m->next_id; id++) {
                const Job *j = model_job(w->m, id);
                const Row *row = w->rows + id;
                Candidate other = { .rank = j ? j->rank : row->rank, .id = id, .slots = j ? j->slots : row->slots };

                if (!j && !row->there)
                        continue;
                if ((j ? j->queue : row->queue) != q || (j ? j->state : row->state) != JOB_READY)
                        continue;
                if (!queue_too_small(q, other.slots) && by_rank(&other, c) < 0)
                        fail_msg("%" PRIu64 " starts before %" PRIu64, c->id, id);
        }
}

static void dispatch(World *w) {
        bool skipped = false;
        Candidate c;
        Queue *q;

        schedule_begin(w->m);
        while (schedule_next(w->m, &c, &q)) {
                if (!skipped)
                        check_first(w, &c, q);
                assert_null(queue_paused_at(q));
                if (chance(3)) {
                        schedule_skip(q, c.owner);
                        skipped = true;
                        continue;
                }
                if (chance(1)) {
                        model_fail(w->m, fetch(w, c.id), JOB_EXEC, "gone", &now);
                        continue;
                }
                start(w->m, fetch(w, c.id));
                w->started++;
        }
}

static void check_counts(const World *w) {
        uint64_t count[8][_JOB_STATE_MAX] = {}, dead[8] = {}, backlog[8], all[_JOB_STATE_MAX] = {}, all_dead = 0;

        for (uint64_t id = 1; id < w->m->next_id; id++) {
                const Row *row = w->rows + id;
                for (size_t i = 0; row->there && i < w->n_queues; i++)
                        if (row->queue == w->queues[i]) {
                                count[i][row->state]++;
                                all[row->state]++;
                                dead[i] += row->dead;
                                all_dead += row->dead;
                        }
        }
        assert_memory_equal(all, w->m->count, sizeof(all));
        assert_int_equal(all_dead, w->m->dead);
        for (size_t i = 0; i < w->n_queues; i++) {
                assert_memory_equal(count[i], w->queues[i]->count, sizeof(count[i]));
                assert_int_equal(dead[i], w->queues[i]->dead);
                backlog[i] = w->queues[i]->backlog.n;
                for (size_t k = 0; k < w->n_queues; k++)
                        if (queue_is_below(w->queues[k], w->queues[i]))
                                backlog[i] -= count[k][JOB_HELD] + count[k][JOB_WAITING] + count[k][JOB_READY];
        }
        for (size_t i = 0; i < w->n_queues; i++) {
                assert_int_equal(backlog[i], 0);
        }
}

static void check_world(World *w) {
        unsigned starting = 0, live = 0;
        usec_t first = USEC_INFINITY;

        for (size_t i = 0; i < w->n_queues; i++) {
                const Queue *q = w->queues[i];

                assert_true(q->slots_used <= q->policy.slots);
                w->capped += q->slots_used == q->policy.slots;
        }
        for (const Attempt *a = w->m->attempts; a; a = a->hh.next) {
                starting += a->phase == ATTEMPT_STARTING;
                live += !!a->job;
                first = MIN(first, MIN(a->deadline, a->kill_deadline));
                assert_int_equal(!!a->job, a->phase != ATTEMPT_ENDED);
                assert_true(!a->job || a->job->live == a);
                assert_int_equal(a->freezer == FREEZER_THAWED, a->freezer_usec == USEC_INFINITY);
                assert_true(a->freezer == FREEZER_THAWED || (a->phase == ATTEMPT_RUNNING && a->deadline == USEC_INFINITY));
        }
        for (const Job *j = w->m->jobs; j; j = j->hh.next) {
                assert_true(job_state_is_live(j->state)); /* all others were forgotten */
                live--;
        }
        assert_int_equal(live, 0);
        assert_int_equal(w->m->n_starting, starting);
        assert_true(w->m->next_deadline <= first);
        check_slots(w->m, true);
}

static void turn(World *w) {
        for (unsigned i = any(16); i > 0; i--)
                switch (any(20)) {
                case 0 ... 3:
                        event_submit(w);
                        break;
                case 4 ... 7:
                        event_request(w);
                        break;
                case 8:
                        event_queue(w);
                        break;
                default:
                        event_outside(w);
                }
        pass_time(w);
        model_deadlines(w->m, &now);
        assert_true(w->m->next_deadline > now.monotonic);
        for (bool more = true; more;) {
                more = false;
                dispatch(w);
                record(w);
                if (w->m->schedule.wanted) {
                        refill(w, w->m->schedule.wanted);
                        more = true;
                }
        }
        check_world(w);
}

/* Let everything end, then every attempt has had exactly one outcome. */
static void wind_up(World *w) {
        for (size_t i = 0; i < w->n_queues; i++)
                model_queue_pause(w->m, w->queues[i], true);
        while (w->m->attempts) {
                for (Attempt *a = w->m->attempts, *t; a; a = t) {
                        t = a->hh.next;
                        attempt_moves(w, a);
                }
                record(w);
        }
        check_world(w);
        check_counts(w);
        for (size_t i = 0; i < w->n_queues; i++)
                assert_int_equal(w->queues[i]->slots_used, 0);
        for (uint64_t id = 1; id < w->m->next_id; id++) {
                const Row *row = w->rows + id;

                assert_true(!row->there || !job_state_is_live(row->state));
                assert_true(!row->there || (row->state == JOB_DONE) == (row->result != JOB_RESULT_NONE));
                assert_true(!row->there || row->dead == (row->state == JOB_DONE && row->result != JOB_SUCCESS));
                for (unsigned n = 1; n < ATTEMPTS_MAX; n++) {
                        assert_int_equal(row->outcomes[n], row->inserted[n]);
                        assert_int_equal(row->gone[n], row->inserted[n]);
                }
        }
}

static void run_world(unsigned seed, unsigned backlog) {
        World w;

        srandom(seed);
        make_world(&w);
        for (unsigned i = 0; i < backlog; i++)
                event_submit(&w);
        for (unsigned i = 0; i < TURNS; i++) {
                turn(&w);
                if (i % 64 == 0)
                        check_counts(&w);
        }
        wind_up(&w);
        /* It did happen. */
        assert_true(w.started > 500);
        assert_int_equal(w.outcomes, w.started);
        assert_true(w.withdrawn > 10 && w.timeouts > 0 && w.capped > 100 && (w.refills > 0 || backlog == 0));
        assert_true(w.updated > 100 && w.moved > 10);
        print_message("%u started, %u withdrawn, %u timed out, %u refills, %" PRIu64 " jobs\n", w.started, w.withdrawn,
                      w.timeouts, w.refills, w.m->next_id - 1);
        model_free(w.m);
        free(w.rows);
}

static void test_random(void **state) {
        run_world(1, 0);
        run_world(2, 0);
        run_world(3, 3000); /* windows overflow */
        run_world(4, 1000);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_random),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
