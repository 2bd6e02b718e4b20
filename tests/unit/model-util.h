/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the tests of the model have in common: a fake clock, queues, jobs in them, and a recount of all that is counted. */

#include "base/strv.h"
#include "queue/model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define _cleanup_model_ _cleanup_(model_freep)
#define SEC USEC_PER_SEC

static Now now;

static const sd_id128_t token = SD_ID128_MAKE(01, 02, 03, 04, 05, 06, 07, 08, 09, 0a, 0b, 0c, 0d, 0e, 0f, 10);
static const sd_id128_t invocation = SD_ID128_MAKE(ff, 02, 03, 04, 05, 06, 07, 08, 09, 0a, 0b, 0c, 0d, 0e, 0f, 00);

static inline Model *make_model(void) {
        Model *m = model_new();

        assert_non_null(m);
        m->epoch.userspace_usec = 7;
        now = (Now) { .realtime = 1000 * SEC, .even = 900 * SEC, .monotonic = 50 * SEC };
        return m;
}

static inline Candidate candidate(const Job *j) {
        return (Candidate) { .rank = j->rank, .id = j->id, .key = j->submission_key, .priority = j->priority, .slots = j->slots,
                             .owner = j->owner };
}

/* A queue with a file and a cap, of which nothing is on disk. */
static inline Queue *make_queue(Model *m, const char *name, uint32_t slots) {
        Queue *q;

        assert_int_equal(model_queue_add(m, name, &q), 0);
        q->configured = true;
        q->policy.slots = slots;
        q->level.all.window_more = false;
        return q;
}

static inline JobSpec *make_spec(uint32_t slots, int32_t priority) {
        JobSpec *spec = spec_new();

        assert_non_null(spec);
        assert_int_equal(strv_extend(&spec->argv, "/bin/true"), 0);
        spec->slots = slots;
        spec->priority = priority;
        return spec;
}

static inline Job *submit_spec(Model *m, Queue *q, JobSpec *spec) {
        char *error = NULL;
        Job *j = NULL;

        assert_int_equal(model_submit(m, q, spec, 1000, "alice", &now, &j, &error), 0);
        assert_null(error);
        assert_non_null(j);
        return j;
}

static inline Job *submit(Model *m, Queue *q, uint32_t slots, int32_t priority) {
        return submit_spec(m, q, make_spec(slots, priority));
}

static inline Attempt *start(Model *m, Job *j) {
        assert_int_equal(model_start(m, j, token, &now), 0);
        assert_non_null(j->live);
        return j->live;
}

static inline Attempt *run(Model *m, Job *j) {
        Attempt *a = start(m, j);

        model_attempt_started(m, a, invocation, now.realtime, now.monotonic);
        return a;
}

static inline void end(Model *m, Attempt *a, JobResult result) {
        Outcome o = OUTCOME_INIT;
        Job *j = a->job;

        o.result = result;
        o.finished_usec = now.realtime;
        model_attempt_ended(m, a, &o, &now);
        assert_null(o.reason);
        if (j && j->ended)
                model_judge(m, j, j->spec, &now);
}

static inline bool queue_is_below(const Queue *q, const Queue *top) {
        for (; q; q = q->parent)
                if (q == top)
                        return true;
        return false;
}

/* Slots of every level, each number given to one attempt only. numbers: unless attempts were adopted with the same ones. */
static inline void check_slots(const Model *m, bool numbers) {
        for (const Queue *q = m->queues; q; q = q->hh.next) {
                uint8_t *used = new0(uint8_t, 1 << 16);
                uint32_t n = 0;

                assert_non_null(used);
                for (const Attempt *a = m->attempts; a; a = a->hh.next) {
                        n += queue_is_below(a->queue, q) ? a->slots : 0;
                        for (uint32_t i = 0; i < a->slots && a->slot_owner == q; i++) {
                                assert_true(a->slot_numbers[i] < 1 << 16);
                                if (used[a->slot_numbers[i]]++ && numbers)
                                        fail_msg("slot %" PRIu32 " of %s twice", a->slot_numbers[i], q->name);
                        }
                }
                free(used);
                assert_int_equal(q->slots_used, n);
        }
}

/* q NULL: of all queues. */
static inline void check_backlog(const Model *m, const Queue *q, const Backlog *b) {
        uint64_t n = 0, of_users = 0;

        for (const Job *j = m->jobs; j; j = j->hh.next)
                n += job_state_is_queued(j->state) && (!q || queue_is_below(j->queue, q));
        assert_int_equal(b->n, n);
        for (const UserBacklog *u = b->users; u; u = u->hh.next) {
                uint64_t own = 0, all = 0;

                for (const Job *j = m->jobs; j; j = j->hh.next)
                        if (job_state_is_queued(j->state) && j->owner == u->owner) {
                                own += j->queue == q;
                                all += !q || queue_is_below(j->queue, q);
                        }
                assert_int_equal(u->own, own);
                assert_int_equal(u->all, all);
                of_users += all;
        }
        assert_int_equal(of_users, n);
}

/* All that is counted, against what is there; only while every job is in memory. */
static inline void check_model(const Model *m) {
        unsigned starting = 0, stuck = 0;

        for (const Queue *q = m->queues; q; q = q->hh.next) {
                uint64_t count[_JOB_STATE_MAX] = {}, dead = 0, fit = 0;

                for (const Job *j = m->jobs; j; j = j->hh.next) {
                        count[j->state] += j->queue == q;
                        dead += j->queue == q && j->dead;
                        fit += j->queue == q && j->state == JOB_READY && !queue_too_small(q, j->slots);
                        assert_int_equal(job_state_is_live(j->state), !!j->live);
                        assert_int_equal(j->state == JOB_DONE, j->result != JOB_RESULT_NONE);
                        if (j->live)
                                assert_ptr_equal(j->live->job, j);
                }
                assert_memory_equal(count, q->count, sizeof(count));
                assert_int_equal(dead, q->dead);
                if (!q->level.all.window_more)
                        assert_in_range(q->level.all.n_window, fit, count[JOB_READY]);
        }
        for (const Queue *q = m->queues; q; q = q->hh.next)
                check_backlog(m, q, &q->backlog);
        check_backlog(m, NULL, &m->backlog);
        for (const Attempt *a = m->attempts; a; a = a->hh.next)
                starting += a->phase == ATTEMPT_STARTING, stuck += a->stuck;
        assert_int_equal(m->n_starting, starting);
        assert_int_equal(m->n_stuck, stuck);
        check_slots(m, true);
}
