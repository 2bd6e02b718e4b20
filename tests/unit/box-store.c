/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What the daemon in the box takes for its store, its bus interface and its configuration. The store is arrays of rows, of which a
 * commit writes all or nothing. Each commit is compared with the small model, and what is told with what is stored. */

#include "api/timer.h"
#include "api/run.h"
#include "box.h"

#include "base/strv.h"
#include "notify/event.h"

#include <setjmp.h>

Box box;
const char *const queue_names[NQ] = { "a", "a-b", "a-b-c", "g", "g-x" };

unsigned queue_index(const char *name) {
        for (unsigned q = 0; q < NQ; q++)
                if (streq(queue_names[q], name))
                        return q;
        naive_fail("queue %s", name);
}

/* ---- one row ---- */

static void job_to_row(const Job *j, Row *r) {
        const NaiveJob *n = box.naive.jobs + j->id; /* of what is in the spec it knows as much */

        *r = (Row) {
                .failures = j->failures, .grown = j->grown, .poison = j->poison, .retry_on = n->retry_on,
                .requeue_lost = n->requeue_lost, .exponential = n->exponential, .backoff = n->backoff,
                .there = true, .state = j->state, .result = j->result, .intent = j->intent, .dead = j->dead,
                .freezable = j->is_new ? j->spec->freezable : r->freezable, .priority = j->priority, .rank = j->rank,
                .keep = j->keep_usec, .ended = j->ended_usec, .age = j->submission_key, .owner = j->owner, .fair = j->fair,
                .queue = queue_index(j->queue_name), .slots = j->slots, .attempt = j->attempt, .max_attempts = j->max_attempts,
                .submitted = j->submitted_usec, .delayed = j->delayed, .not_before = j->not_before_usec,
                .array = (unsigned) j->array, .index = j->array_index, .blockers = j->blockers, .waits = j->array_waits,
                .key = j->unique_key ? (unsigned) (j->unique_key[0] - '0') : 0, .held = j->unique_held, .lent = j->unique_lent, .scope = j->unique_scope,
                .until = j->unique_until_usec, .deadline = j->deadline_usec, .ready = j->ready_usec,
                .started = j->started_usec, .finished = j->finished_usec, .wait = j->wait_usec,
                .timeout = j->timeout_usec, .stop_timeout = j->stop_timeout_usec,
                .spool = j->output == OUTPUT_SPOOL, .verify = j->verify == VERIFY_VERDICT,
        };
}

/* Its row, counted anew. */
static void load_array(Job *j) {
        if (j->array == 0)
                return;
        j->in_array = array_new(j->array, box.arrays[j->array].n, box.arrays[j->array].max);
        j->owns_array = true;
        for (unsigned id = 1; id < NJ; id++)
                if (box.rows[id].there && box.rows[id].array == j->array) {
                        j->in_array->count[box.rows[id].state]++;
                        j->in_array->dead += box.rows[id].dead;
                        j->in_array->used += !box.rows[id].waits && box.rows[id].state != JOB_HELD && box.rows[id].state != JOB_DONE;
                }
}

int store_load_job(Store *s, uint64_t id, Job **ret) {
        const Row *r = box.rows + id;
        Job *j;

        if (id >= NJ || !r->there)
                return -ENOENT;
        j = job_new();
        j->id = id;
        j->queue_name = strdup(queue_names[r->queue]);
        j->state = r->state;
        j->result = r->result;
        j->intent = r->intent;
        j->dead = r->dead;
        j->priority = r->priority;
        j->rank = r->rank;
        j->submission_key = r->age;
        j->keep_usec = r->keep;
        j->ended_usec = r->ended;
        j->owner = r->owner;
        j->fair = r->fair;
        j->slots = r->slots;
        j->attempt = r->attempt;
        j->max_attempts = r->max_attempts;
        j->failures = r->failures;
        j->grown = r->grown;
        j->poison = r->poison;
        j->submitted_usec = r->submitted;
        j->not_before_usec = r->not_before;
        j->delayed = r->delayed;
        j->deadline_usec = r->deadline;
        j->output = r->spool ? OUTPUT_SPOOL : OUTPUT_JOURNAL;
        j->verify = r->verify ? VERIFY_VERDICT : VERIFY_EXIT;
        if (r->key > 0)
                j->unique_key = strdup((char[]) { (char) ('0' + r->key), 0 });
        j->array = r->array;
        j->array_index = r->index;
        j->blockers = r->blockers;
        j->array_waits = r->waits;
        load_array(j);
        j->unique_held = r->held;
        j->unique_lent = r->lent;
        j->unique_scope = r->scope;
        j->unique_until_usec = r->until;
        j->ready_usec = r->ready;
        j->started_usec = r->started;
        j->finished_usec = r->finished;
        j->wait_usec = r->wait;
        j->timeout_usec = r->timeout;
        j->stop_timeout_usec = r->stop_timeout;
        *ret = j;
        return 0;
}

static void attempt_to_row(const Attempt *a, AttemptRow *r) {
        *r = (AttemptRow) {
                .there = true, .epoch = a->epoch, .token = a->token, .invocation = a->invocation_id, .slots = a->slots,
                .created = a->created_usec, .freezer_usec = a->freezer_usec, .frozen_usec = a->frozen_usec, .freezer = a->freezer,
                .result = a->outcome.result, .executor = a->executor, .worker = (unsigned) a->worker_id, .sent = a->outcome.started_usec,
        };
        for (unsigned i = 0; i < a->slots; i++)
                r->numbers[i] = a->slot_numbers[i];
}

int store_load_attempt(Store *s, uint64_t job, uint32_t number, Attempt **ret) {
        const AttemptRow *r;
        Attempt *a;

        if (job >= NJ || number >= NA || !box.attempts[job][number].there)
                return -ENOENT;
        r = &box.attempts[job][number];
        a = attempt_new(job, number);
        a->epoch = r->epoch;
        a->token = r->token;
        a->invocation_id = r->invocation;
        a->slots = r->slots;
        a->slot_numbers = new0(uint32_t, r->slots);
        for (unsigned i = 0; i < r->slots; i++)
                a->slot_numbers[i] = r->numbers[i];
        a->created_usec = r->created;
        a->freezer = r->freezer;
        a->freezer_usec = r->freezer_usec;
        a->frozen_usec = r->frozen_usec;
        a->outcome.result = r->result;
        a->executor = r->executor;
        a->worker_id = r->worker;
        a->outcome.started_usec = r->sent;
        a->phase = r->result != JOB_RESULT_NONE ? ATTEMPT_ENDED :
                   sd_id128_is_null(r->invocation) && r->executor == EXECUTOR_SERVICE ? ATTEMPT_STARTING : ATTEMPT_RUNNING;
        *ret = a;
        return 0;
}

/* Nobody has any here. */
int store_check_credentials(const Store *s, const Job *j, const JobSpec *spec) {
        return 0;
}

int store_load_spec(Store *s, const Job *j, JobSpec **ret) {
        if (!box.kind && !box.given[j->id][j->attempt] && chance(2)) {
                naive_no_spec(&box.naive, j->id);
                return -ENODATA;
        }
        *ret = spec_new();
        (*ret)->freezable = box.rows[j->id].freezable;
        return 0;
}

int store_read_spec(Store *s, const Job *j, JobSpec **ret) {
        const Row *r = box.rows + j->id;

        if (!box.kind && chance(4))
                return chance(50) ? -EIO : -EUCLEAN;
        *ret = spec_new();
        (*ret)->requeue_lost = r->requeue_lost;
        (*ret)->backoff = r->exponential ? BACKOFF_EXPONENTIAL : BACKOFF_UNSET;
        (*ret)->backoff_base_usec = r->backoff;
        for (JobResult i = 0; i < _JOB_RESULT_MAX; i++)
                if ((r->retry_on & (1U << i)) && strv_extend(&(*ret)->retry_on, job_result_to_string(i)) < 0)
                        return -ENOMEM;
        return 0;
}

/* ---- all of them ---- */

static bool window_before(unsigned a, unsigned b) {
        return box.rows[a].rank != box.rows[b].rank ? box.rows[a].rank < box.rows[b].rank : a < b;
}

int store_load_window(Store *s, Group *g, uint32_t max_slots) {
        unsigned ids[NJ], n = 0, which = queue_index(g->level->queue->name);

        for (unsigned id = 1; id < NJ; id++)
                if (box.rows[id].there && box.rows[id].state == JOB_READY && box.rows[id].queue == which &&
                    box.rows[id].slots <= max_slots &&
                    (!g->level->fair || (box.rows[id].fair && box.rows[id].owner == g->owner))) {
                        unsigned i = n++;

                        for (; i > 0 && window_before(id, ids[i - 1]); i--)
                                ids[i] = ids[i - 1];
                        ids[i] = id;
                }
        window_clear(g);
        g->window_more = false;
        for (unsigned i = 0; i < MIN(n, QUEUE_WINDOW); i++)
                (void) window_insert(g, &(Candidate) { .rank = box.rows[ids[i]].rank, .id = ids[i],
                                                       .key = box.rows[ids[i]].age, .priority = box.rows[ids[i]].priority,
                                                       .slots = box.rows[ids[i]].slots,
                                                       .owner = box.rows[ids[i]].owner }, QUEUE_WINDOW);
        g->window_more = n > QUEUE_WINDOW;
        queue_window_changed(g);
        return 0;
}

/* In the order in which they go. */
static unsigned oldest(unsigned q, const bool *taken, usec_t keep) {
        unsigned best = 0;

        for (unsigned id = 1; id < NJ; id++) {
                const Row *r = box.rows + id;

                if (!r->there || r->state != JOB_DONE || r->dead || r->queue != q || taken[id])
                        continue;
                if (best == 0 || (r->keep == USEC_INFINITY) < (box.rows[best].keep == USEC_INFINITY) ||
                    ((r->keep == USEC_INFINITY) == (box.rows[best].keep == USEC_INFINITY) &&
                     usec_add(r->ended, MIN(r->keep, keep)) < usec_add(box.rows[best].ended, MIN(box.rows[best].keep, keep))))
                        best = id;
        }
        return best;
}

int store_load_outdated(Store *s, const char *queue, const Now *at, usec_t keep, uint64_t excess, RetentionLook *look, uint64_t *ids,
                        size_t n, size_t *ret_n, usec_t *ret_next) {
        bool looked_at[NJ] = {};
        usec_t now = at->even;
        size_t stay = 0;
        unsigned id;

        *ret_n = 0;
        *ret_next = USEC_INFINITY;
        while ((id = oldest(queue_index(queue), looked_at, keep)) > 0) {
                const Row *r = box.rows + id;
                usec_t until = usec_add(r->ended, r->keep != USEC_INFINITY ? r->keep : keep);

                looked_at[id] = true;
                if (until > now && (r->keep != USEC_INFINITY || excess <= *ret_n + stay)) {
                        *ret_next = MIN(*ret_next, until);
                        continue;
                }
                if (naive_is_needed(&box.stored, id)) {
                        COVER(kept_as_needed);
                        stay++;
                        *ret_next = MIN(*ret_next, usec_add(now, USEC_PER_SEC));
                        continue;
                }
                if (naive_key_is_locked(&box.stored, id, at)) {
                        COVER(kept_for_its_key);
                        stay++;
                        *ret_next = MIN(*ret_next, usec_add(now, USEC_PER_SEC));
                        continue;
                }
                if (*ret_n == n)
                        naive_fail("so many were never made");
                ids[(*ret_n)++] = id;
                naive_outdated(&box.naive, id, &box.now);
        }
        return 0;
}

/* One row at a time is the least that store-rerank.c could do. */
int store_rerank(Store *s, Model *m, unsigned n) {
        COVER(order_changed);
        for (unsigned id = 1; id < NJ; id++) {
                Row *r = box.rows + id;
                const Queue *q = r->there ? model_queue(m, queue_names[r->queue]) : NULL;

                if (!q || r->state != JOB_READY || !q->reranking)
                        continue;
                r->rank = rank_of(queue_ageing(q), r->priority, r->age);
                r->fair = q->policy.fair;
        }
        for (unsigned i = 0; i < NQ; i++) {
                const Queue *q = model_queue(m, queue_names[i]);

                if (!q->reranking)
                        continue;
                box.queues[i].ageing = q->ranked_ageing;
                box.queues[i].fair = q->ranked_fair;
                box.queues[i].reranking = false;
        }
        return 0;
}

int store_load_due(Store *s, usec_t now, uint64_t *ids, size_t n, size_t *ret_n, usec_t *ret_next) {
        *ret_n = 0;
        *ret_next = USEC_INFINITY;
        for (unsigned id = 1; id < NJ; id++)
                if (box.rows[id].there && box.rows[id].state == JOB_WAITING) {
                        if (box.rows[id].not_before <= now && *ret_n < n)
                                ids[(*ret_n)++] = id;
                        else if (box.rows[id].not_before > now)
                                *ret_next = MIN(*ret_next, box.rows[id].not_before);
                }
        return 0;
}

int store_load_expired(Store *s, usec_t now, uint64_t *ids, size_t n, size_t *ret_n, usec_t *ret_next) {
        *ret_n = 0;
        *ret_next = USEC_INFINITY;
        for (unsigned id = 1; id < NJ; id++)
                if (box.rows[id].there && job_state_is_queued(box.rows[id].state) && box.rows[id].attempt == 0) {
                        if (box.rows[id].deadline <= now && *ret_n < n)
                                ids[(*ret_n)++] = id;
                        else if (box.rows[id].deadline > now)
                                *ret_next = MIN(*ret_next, box.rows[id].deadline);
                }
        return 0;
}

int store_find_unique(Store *s, const char *queue, uint32_t owner, const char *key, uint64_t after, uint64_t *ret) {
        for (unsigned id = (unsigned) after + 1; id < NJ; id++)
                if (box.rows[id].there && box.rows[id].held && box.rows[id].key == (unsigned) (key[0] - '0') && box.rows[id].owner == owner &&
                    streq(queue_names[box.rows[id].queue], queue)) {
                        *ret = id;
                        return 0;
                }
        return -ENOENT;
}

int store_load_array_waiting(Store *s, uint64_t array, uint64_t after, uint64_t *ids, size_t n, size_t *ret_n) {
        *ret_n = 0;
        for (unsigned id = 1; id < NJ; id++)
                if (box.rows[id].there && box.rows[id].array == array && box.rows[id].waits && box.rows[id].state == JOB_WAITING &&
                    id > after && *ret_n < n)
                        ids[(*ret_n)++] = id;
        return 0;
}

/* Its counters are what is in it. */
static void record_array(const Array *a) {
        uint64_t count[_JOB_STATE_MAX] = {}, dead = 0;

        for (unsigned id = 1; id < NJ; id++)
                if (box.naive.jobs[id].there && box.naive.jobs[id].array == a->id) {
                        count[box.naive.jobs[id].state]++;
                        dead += box.naive.jobs[id].dead;
                }
        if (memcmp(count, a->count, sizeof(count)) != 0 || dead != a->dead || a->used != naive_array_used(&box.naive, (unsigned) a->id) ||
            a->max_running != box.naive.array_max[a->id])
                naive_fail("the counters of array %u are wrong: %u of %u places are taken, it should be %u of %u", (unsigned) a->id, a->used,
                           a->max_running, naive_array_used(&box.naive, (unsigned) a->id), box.naive.array_max[a->id]);
        box.arrays[a->id].n = a->n;
        box.arrays[a->id].max = a->max_running;
}

const char *store_error(const Store *s) {
        return "by lot";
}
const char *store_file(const Store *s) {
        return "box";
}

/* ---- edges ---- */

int store_load_waiting_for(Store *s, uint64_t before, uint64_t after, Edge *ret, size_t n, size_t *ret_n) {
        *ret_n = 0;
        for (unsigned id = after + 1; id < NJ && *ret_n < n; id++)
                if (box.edges[id][before].job != 0 && !box.edges[id][before].met)
                        ret[(*ret_n)++] = box.edges[id][before];
        return 0;
}

static unsigned count_open(unsigned job) {
        unsigned n = 0;

        for (unsigned before = 1; before < NJ; before++)
                n += box.edges[job][before].job != 0 && !box.edges[job][before].met;
        return n;
}

int store_load_inputs(Store *s, uint64_t job, char **ret) {
        *ret = NULL;
        return 0;
}

static void record_edges(const Model *m) {
        const Job *j;

        TAILQ_FOREACH(j, &m->changed, changed_entry)
                for (size_t i = 0; j->is_new && i < j->spec->n_after; i++) {
                        const After *a = j->spec->after + i;

                        box.edges[j->id][a->id] = (Edge) { j->id, a->id, a->condition, a->otherwise, a->met };
                }
        for (size_t i = 0; i < m->releases.n_changes; i++)
                for (unsigned before = 1; before < NJ; before++)
                        if (m->releases.changes[i].before == 0 || m->releases.changes[i].before == before)
                                box.edges[m->releases.changes[i].job][before].met = m->releases.changes[i].met;
        for (const Ended *e = m->releases.ended; e; e = e->hh.next)
                if (e->id < NJ)
                        box.ended[e->id] = !e->through;
}

/* The count is what it counts, and an edge is open exactly where it should be; but for those that the daemon is on its way to, which it has
 * written down. */
static void compare_edges(void) {
        for (unsigned id = 1; id < NJ; id++) {
                unsigned n_open = count_open(id);

                if (box.rows[id].there && n_open + box.rows[id].waits != box.rows[id].blockers)
                        naive_fail("job %u waits for %u jobs, and %u are stored", id, (unsigned) box.rows[id].blockers, n_open);
                for (unsigned before = 1; before < NJ; before++) {
                        const NaiveEdge *e = &box.naive.edges[id][before];

                        if (e->there != (box.edges[id][before].job != 0) || (e->there && e->met != box.edges[id][before].met))
                                naive_fail("that job %u waits for job %u is stored wrongly", id, before);
                        if (naive_edge_is_overdue(&box.naive, id, before) && !box.ended[before])
                                naive_fail("that job %u has ended is lost for job %u after a crash", before, id);
                }
        }
}

/* A span that is over ends when somebody asks, and of an array not all of its jobs are looked at then. */
static bool holds_key(bool holds, JobState state, usec_t until) {
        return holds && (state != JOB_DONE || until > box.now.steady);
}

/* What is about to be stored is what the small model has. */
static void compare_job(const Job *j) {
        const NaiveJob *n = box.naive.jobs + j->id;

        if (!n->there || n->state != j->state || n->result != j->result || n->intent != j->intent || n->dead != j->dead ||
            n->attempt != j->attempt || n->max_attempts != j->max_attempts ||
            n->failures != j->failures || n->poison != j->poison || n->judging || n->queue != queue_index(j->queue_name) || n->priority != j->priority || n->slots != j->slots ||
            n->not_before != j->not_before_usec || n->age != j->submission_key || n->ended != j->ended_usec || n->owner != j->owner || n->delayed != j->delayed || n->array != j->array || n->waits != j->array_waits || holds_key(n->holds, n->state, n->until) != holds_key(j->unique_held, j->state, j->unique_until_usec) ||
            n->lent != j->unique_lent || n->wants || (n->holds && j->unique_held && n->until != j->unique_until_usec) || n->timeout != j->timeout_usec || n->stop_timeout != j->stop_timeout_usec)
                naive_fail("job %u is %s %s (%s), attempt %u, in %s; it should be %s %s (%s), attempt %u, in %s", (unsigned) j->id,
                           job_state_to_string(j->state), job_result_to_string(j->result), job_result_to_string(j->intent), j->attempt,
                           j->queue_name, job_state_to_string(n->state), job_result_to_string(n->result),
                           job_result_to_string(n->intent), n->attempt, queue_names[n->queue]);
}

static void record_attempt(const Attempt *a) {
        AttemptRow *r = &box.attempts[a->job_id][a->number];
        const NaiveAttempt *n = &box.naive.attempts[a->job_id][a->number];

        if (a->phase == ATTEMPT_STRAY)
                return;
        if (a->is_new == r->there)
                naive_fail("attempt %u-%u is stored as if it were %s", (unsigned) a->job_id, a->number, a->is_new ? "new" : "there");
        if (a->refused) {
                if (n->row)
                        naive_fail("the row of attempt %u-%u goes", (unsigned) a->job_id, a->number);
                *r = (AttemptRow) {};
                return;
        }
        /* Promise 2: one result for an attempt. */
        if (r->there && r->result != JOB_RESULT_NONE && r->result != a->outcome.result)
                naive_fail("attempt %u-%u had another result", (unsigned) a->job_id, a->number);
        if ((a->outcome.result == JOB_RESULT_NONE) != n->live)
                naive_fail("attempt %u-%u is %s", (unsigned) a->job_id, a->number, n->live ? "over" : "not over");
        attempt_to_row(a, r);
}

void store_announce(Store *s, const Change *changes, size_t n, uint64_t max) {
}

int store_record(Store *s, Model *m) {
        const Array *array;
        const Attempt *a;
        const Queue *q;
        const Job *j;

        TAILQ_FOREACH(j, &m->changed, changed_entry)
                compare_job(j);
        if (box.fail_commits > 0) {
                box.fail_commits--;
                say("    commit failed\n");
                return -ENOSPC;
        }
        TAILQ_FOREACH(array, &m->changed_arrays, changed_entry)
                record_array(array);
        TAILQ_FOREACH(j, &m->changed, changed_entry) {
                if (j->is_new == box.rows[j->id].there)
                        naive_fail("job %u is stored as if it were %s", (unsigned) j->id, j->is_new ? "new" : "there");
                job_to_row(j, box.rows + j->id);
        }
        TAILQ_FOREACH(a, &m->changed_attempts, changed_entry)
                record_attempt(a);
        TAILQ_FOREACH(q, &m->changed_queues, changed_entry) {
                unsigned i = queue_index(q->name);

                box.queues[i].there = true;
                box.queues[i].paused = q->paused;
                box.queues[i].draining = q->draining;
                memcpy(box.queues[i].count, q->count, sizeof(q->count));
                box.queues[i].dead = q->dead;
                if (q->starts_changed)
                        box.queues[i].starts = q->starts ? *q->starts : (RateWindow) {};
                box.queues[i].ageing = q->ranked_ageing;
                box.queues[i].fair = q->ranked_fair;
                box.queues[i].reranking = q->reranking;
        }
        record_edges(m);
        for (size_t i = 0; i < m->n_purged; i++) {
                memset(box.edges[m->purged[i]], 0, sizeof(box.edges[0]));
                box.rows[m->purged[i]] = (Row) {};
                memset(box.attempts[m->purged[i]], 0, sizeof(box.attempts[0]));
        }
        compare_edges();
        box.next_id = m->next_id;
        box.next_worker = (unsigned) m->next_worker;
        naive_workers_recorded(&box.naive);
        box.stored = box.naive;
        box.commits++;
        return 0;
}

/* ---- loading ---- */

static void load_live(Model *m, unsigned id) {
        Queue *q;
        Attempt *a;
        Job *j;

        (void) store_load_job(NULL, id, &j);
        (void) model_queue_add(m, j->queue_name, &q);
        if (store_load_attempt(NULL, id, j->attempt, &a) < 0)
                naive_fail("the attempt of job %u is missing", id);
        a->phase = j->state == JOB_STARTING || (sd_id128_is_null(a->invocation_id) && a->executor == EXECUTOR_SERVICE) ? ATTEMPT_STARTING : ATTEMPT_RUNNING;
        model_job_add(m, j, q);
        (void) model_attempt_add(m, a, j, q);
}

void box_apply_file(Queue *q, unsigned i) {
        q->policy.slots = box.naive.files[i].slots;
        q->policy.rate = (RateLimit) { box.naive.files[i].rate_n, box.naive.files[i].rate_span };
        q->policy.pressure_max[PRESSURE_CPU] = box.naive.files[i].pressure_max > 0 ? box.naive.files[i].pressure_max * 100 :
                                                                                    PRESSURE_NO_LIMIT;
        (void) free_and_strdup(&q->policy.gate_unit, box.naive.files[i].gate ? "gate.service" : NULL);
        q->policy.ageing_usec = box.naive.files[i].ageing;
        q->policy.executor = box.naive.files[i].by == BY_WORKERS ? EXECUTOR_WORKER : box.naive.files[i].by == BY_RUNNERS ? EXECUTOR_POOL : EXECUTOR_SERVICE;
        q->policy.fair = box.naive.files[i].fair || q->policy.executor != EXECUTOR_SERVICE;
        q->configured = box.naive.files[i].there;
        q->broken = box.naive.files[i].bad;
        q->policy.keep_usec = box.naive.files[i].keep;
        q->policy.keep_max = box.naive.files[i].keep_max;
}

int manager_load_model(Manager *m) {
        Model *model = model_new();
        Queue *q;

        for (unsigned i = 0; i < NQ; i++) {
                if (model_queue_add(model, queue_names[i], &q) < 0)
                        return -ENOMEM;
                box_apply_file(q, i);
                if (!box.queues[i].there)
                        continue;
                q->ranked_ageing = box.queues[i].ageing;
                q->ranked_fair = box.queues[i].fair;
                q->reranking = box.queues[i].reranking;
                q->paused = box.queues[i].paused;
                q->draining = box.queues[i].draining;
                memcpy(q->count, box.queues[i].count, sizeof(q->count));
                q->dead = box.queues[i].dead;
                q->is_new = false;
        }
        if (admission_configure(model) < 0)
                return -ENOMEM;
        for (q = model->queues; q; q = q->hh.next)
                if (q->starts || q->broken) {
                        if (!q->starts)
                                q->starts = new0(RateWindow, 1);
                        *q->starts = box.queues[queue_index(q->name)].starts;
                }
        model->poison_max = POISON_MAX;
        model->next_id = model->recorded_next_id = MAX(box.next_id, UINT64_C(1));
        for (unsigned id = 1; id < NJ; id++)
                if (box.ended[id])
                        (void) model_ended_add(model, id, true);
        for (unsigned id = 1; id < NJ; id++)
                if (box.rows[id].there && job_state_is_queued(box.rows[id].state)) {
                        backlog_add(model, model_queue(model, queue_names[box.rows[id].queue]), box.rows[id].owner, 1);
                        backlog_recorded(model_queue(model, queue_names[box.rows[id].queue]));
                }
        for (unsigned id = 1; id < NJ; id++) {
                if (box.rows[id].there)
                        model->last_key = box.rows[id].age;
                if (box.rows[id].there && job_state_is_live(box.rows[id].state))
                        load_live(model, id);
        }
        /* What has no unit any more has no processes for long. */
        for (unsigned i = 0; i < NJ * NA; i++)
                box.units[i / NA][i % NA].populated &= box.units[i / NA][i % NA].there;
        naive_forget(&box.naive, &box.stored);
        for (unsigned i = 1; i < NW; i++)
                box.naive.workers[i].connected = box.naive.workers[i].there && box.peers[i].connected;
        units_set_model(m->units, model);
        m->api->model = model;
        model_free(m->model);
        m->model = model;
        m->next_due = m->next_start_deadline = m->next_expiry = 0;
        box.user_signals = 0;
        box_load_workers(model);
        return 0;
}

/* As a handler of api/ gets the job that a call is about. */
void box_fetch(unsigned id, Job **ret) {
        Job *j = model_job(box.m.model, id);
        Queue *q;

        *ret = NULL;
        if (!j) {
                if (model_is_purged(box.m.model, id) || store_load_job(NULL, id, &j) < 0)
                        return;
                (void) model_queue_add(box.m.model, j->queue_name, &q);
                model_job_add(box.m.model, j, q);
        }
        *ret = j;
}

/* ---- what is told ---- */

void api_tell(Api *a, const Change *changes, size_t n, Queue *const *queues, size_t n_queues) {
        for (const Change *c = changes; c < changes + n; c++) {
                const Row *r = box.rows + c->id;

                box.told++;
                if (!r->there || r->state != c->state || r->result != c->result)
                        naive_fail("job %u is told to be %s, and stored as %s", (unsigned) c->id, job_state_to_string(c->state),
                                   job_state_to_string(r->state));
                /* Promise 2: one final result. It may be told again, not anew. */
                if (c->state == JOB_DONE && c->state_changed && c->attempt < NA) {
                        unsigned *told = &box.told_results[c->id][c->attempt];

                        if (*told != 0 && c->attempt > 0 && *told != (unsigned) c->result && c->result != JOB_CANCELLED &&
                            c->result != JOB_DEPENDENCY)
                                naive_fail("job %u, attempt %u, is told to have ended as %s and as %s", (unsigned) c->id, c->attempt,
                                           job_result_to_string(*told), job_result_to_string(c->result));
                        *told = c->result;
                }
        }
}

void api_storage_failed(Api *a, int error, const char *text) {
        COVER(commit_failed);
}
void api_turn_begins(Api *a) {
}
/* There are no schedules here. */
void api_fire_timers(Api *a) {
}

int manager_find_timers(Manager *m, Model *model) {
        return 0;
}

void units_act_timers(Units *u) {
}

void units_tick_timers(Units *u) {
}

void units_timers_begin(Units *u) {
}

bool units_heed_timer_row(Units *u, const char *unit) {
        return false;
}

void units_timers_end(Units *u, const Now *now) {
}

bool units_timers_want_round(const Units *u) {
        return false;
}

void units_timers_arm(Units *u) {
}

void units_heed_timer(Units *u, const char *unit) {
}

void units_timer_removed(Units *u, const char *unit) {
}

void units_forget_timers(Units *u) {
}

void api_run_waiting(Api *a) {
}
bool api_wants_turn(const Api *a) {
        return false;
}
void api_watch_congestion(Api *a) {
}
void event_log(const Change *c, bool user) {
}
const User *user_db_get(UserDb *db, uint32_t uid) {
        return NULL;
}
int manager_look_types(Manager *m) {
        return 0;
}

void manager_reload(Manager *m) {
}
void manager_set_slices(Manager *m) {
        m->slices_set = true;
}
void manager_want_slice(Manager *m, Queue *q) {
}

void manager_tell_slices(Manager *m) {
}
void manager_exit(Manager *m) {
}
/* What daemon/clock.c and store_clock_set() do, in one commit. */
int manager_follow_clock(Manager *m) {
        m->now.steady = m->now.realtime - box.step;
        m->now.even = box.now.even;
        if (box.step == 0 || m->storage_failed)
                return 0;
        if (box.fail_commits > 0) {
                box.fail_commits--;
                return -ENOSPC;
        }
        for (Row *r = box.rows; r < box.rows + NJ; r++)
                if (r->there && r->delayed && (r->state == JOB_WAITING || r->state == JOB_HELD))
                        r->not_before += box.step;
        for (Row *r = box.rows; r < box.rows + NJ; r++)
                if (r->there && r->held && r->until != USEC_INFINITY)
                        r->until += box.step;
        for (unsigned i = 0; i < NQ; i++)
                rate_moved(&box.queues[i].starts, box.step);
        naive_clock_set(&box.stored, box.step);
        naive_clock_set(&box.naive, box.step);
        model_clock_set(m->model, box.step);
        box.step = 0;
        m->now.steady = box.now.steady = m->now.realtime;
        m->next_due = m->next_start_deadline = 0;
        return 0;
}
/* There is always one, and nobody looks into it. */
int manager_open_store(Manager *m) {
        m->store = (Store *) &box;
        return 0;
}
int manager_repair(Manager *m) {
        return 0;
}
void manager_edit_queues(Manager *m) {
}
void manager_fold_usage(Manager *m) {}
void manager_committed(Manager *m, usec_t began, bool good) {}
void manager_turned(Manager *m) {}

bool manager_folds_more(const Manager *m) {
        return false;
}

void manager_expire_receipts(Manager *m) {
}
bool manager_give_ballast(Manager *m, int error) {
        return false;
}
const char *manager_store_advice(int error) {
        return "";
}

/* ---- what the daemon decides, seen by the small model first (ld --wrap) ---- */

void __real_model_deadlines(Model *m, const Now *now);
void __wrap_model_deadlines(Model *m, const Now *now);
void __wrap_model_deadlines(Model *m, const Now *now) {
        naive_deadlines(&box.naive, now);
        __real_model_deadlines(m, now);
}

void __real_model_due(Model *m, Job *j, const Now *now);
void __wrap_model_due(Model *m, Job *j, const Now *now);
void __wrap_model_due(Model *m, Job *j, const Now *now) {
        naive_due(&box.naive, j->id, now);
        __real_model_due(m, j, now);
}

void __real_model_expire(Model *m, Job *j, const Now *now);
void __wrap_model_expire(Model *m, Job *j, const Now *now);
void __wrap_model_expire(Model *m, Job *j, const Now *now) {
        naive_expire(&box.naive, j->id, now);
        __real_model_expire(m, j, now);
}

void __real_model_array_give_place(Model *m, Job *j, const Now *now);
void __wrap_model_array_give_place(Model *m, Job *j, const Now *now);
void __wrap_model_array_give_place(Model *m, Job *j, const Now *now) {
        naive_give_place(&box.naive, (unsigned) j->id, now);
        __real_model_array_give_place(m, j, now);
}

void __real_model_array_take_place(Model *m, Job *j);
void __wrap_model_array_take_place(Model *m, Job *j);
void __wrap_model_array_take_place(Model *m, Job *j) {
        naive_take_place(&box.naive, (unsigned) j->id);
        __real_model_array_take_place(m, j);
}

bool __real_model_must_wait(Model *m, Job *j, const Now *now);
bool __wrap_model_must_wait(Model *m, Job *j, const Now *now);
bool __wrap_model_must_wait(Model *m, Job *j, const Now *now) {
        bool wanted = j->id == naive_next(&box.naive, now) && naive_must_wait(&box.naive, j->id, now);

        if (__real_model_must_wait(m, j, now) != wanted)
                naive_fail("job %u waits until its last attempt is gone, or does not", (unsigned) j->id);
        return wanted;
}

int __real_model_start(Model *m, Job *j, sd_id128_t token, const Now *now);
int __wrap_model_start(Model *m, Job *j, sd_id128_t token, const Now *now);
int __wrap_model_start(Model *m, Job *j, sd_id128_t token, const Now *now) {
        unsigned next = naive_next(&box.naive, now);

        if (box.m.storage_failed || !box.m.units->synced)
                naive_fail("job %u starts though nothing may", (unsigned) j->id);
        if (j->id != next)
                naive_fail("job %u starts, it is the turn of %u", (unsigned) j->id, next);
        naive_start(&box.naive, next, now);
        say("    starts: %u-%u\n", next, box.naive.jobs[next].attempt);
        return __real_model_start(m, j, token, now);
}

void __real_model_attempt_ended(Model *m, Attempt *a, Outcome *outcome, const Now *now);
void __wrap_model_attempt_ended(Model *m, Attempt *a, Outcome *outcome, const Now *now);
void __wrap_model_attempt_ended(Model *m, Attempt *a, Outcome *outcome, const Now *now) {
        naive_never_asked(&box.naive, &box.stored, a->job_id, a->number);
        __real_model_attempt_ended(m, a, outcome, now);
}

void __real_model_attempt_withdraw(Model *m, Attempt *a, const char *reason, const Now *now);
void __wrap_model_attempt_withdraw(Model *m, Attempt *a, const char *reason, const Now *now);
void __wrap_model_attempt_withdraw(Model *m, Attempt *a, const char *reason, const Now *now) {
        naive_withdrawn(&box.naive, a->job_id, a->number);
        __real_model_attempt_withdraw(m, a, reason, now);
}
int __real_unique_take_again(Model *m, Store *s, const Now *now, Job *j);
int __wrap_unique_take_again(Model *m, Store *s, const Now *now, Job *j);
int __wrap_unique_take_again(Model *m, Store *s, const Now *now, Job *j) {
        naive_take_key_again(&box.naive, j->id, now);
        return __real_unique_take_again(m, s, now, j);
}
void __real_model_judge(Model *m, Job *j, const JobSpec *spec, const Now *now);
void __wrap_model_judge(Model *m, Job *j, const JobSpec *spec, const Now *now);
void __wrap_model_judge(Model *m, Job *j, const JobSpec *spec, const Now *now) {
        naive_judge(&box.naive, j->id, spec, now);
        __real_model_judge(m, j, spec, now);
}

void api_tell_runs(Api *a) {
}

int manager_end_runs(Manager *m) {
        return 0;
}

bool manager_check_run(Manager *m, Attempt *a) {
        return true;
}

bool manager_act_runs(Manager *m) {
        return false;
}

/* Each time, where daemon/pressure.c does so every two seconds. */
void manager_sample_pressure(Manager *m) {
        PressureSample samples[_PRESSURE_MAX] = { { box.pressure * 100, 0 } };

        naive_decides(&box.naive, &m->now);
        if (admission_wants_pressure(m->model) != naive_wants_pressure(&box.naive))
                naive_fail("the pressure is read though nobody waits for it, or not read");
        if (naive_wants_pressure(&box.naive) && !box.pressure_wanted && !m->model->pressure_look)
                naive_fail("somebody waits for the pressure, which is not looked for");
        box.pressure_wanted = naive_wants_pressure(&box.naive);
        m->model->pressure_look = false;
        if (!box.pressure_wanted)
                return;
        naive_pressure(&box.naive, box.pressure, &m->now);
        admission_pressure(m->model, samples, &m->now);
}

int __real_model_edge_ended(Model *m, Job *j, const Edge *e, const Job *before, const Now *now);
int __wrap_model_edge_ended(Model *m, Job *j, const Edge *e, const Job *before, const Now *now);
int __wrap_model_edge_ended(Model *m, Job *j, const Edge *e, const Job *before, const Now *now) {
        if (!j->edges_void)
                naive_edge_ended(&box.naive, j->id, before->id, now);
        return __real_model_edge_ended(m, j, e, before, now);
}
