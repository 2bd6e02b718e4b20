/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The small model: workers, and runners, which are workers of one queue and user (docs/workers.md, pool.md). */

#include "naive.h"

bool naive_needs_worker(const Naive *n, unsigned id) {
        return n->files[n->jobs[id].queue].by != BY_UNITS;
}

static bool serves(const Naive *n, const NaiveWorker *w, unsigned q, unsigned owner) {
        if (!w->there || w->gone || !(w->queues & 1U << q))
                return false;
        if (n->files[q].by == BY_RUNNERS)
                return w->runner == (int) q && w->owner == owner;
        return w->runner < 0 && w->owner == owner;
}

static bool takes_jobs(const NaiveWorker *w) {
        return w->known && w->connected && !w->draining;
}

unsigned naive_worker_used(const Naive *n, unsigned worker) {
        unsigned used = 0;

        for (unsigned id = 1; id < NJ; id++)
                for (unsigned i = 1; i < NA; i++)
                        used += n->attempts[id][i].there && n->attempts[id][i].worker == worker ? n->attempts[id][i].slots : 0;
        return used;
}

static unsigned room(const Naive *n, unsigned worker) {
        return n->workers[worker].slots - naive_worker_used(n, worker);
}

/* The one with the most room, then the oldest; 0: nobody has room. */
unsigned naive_choose(const Naive *n, unsigned id) {
        const NaiveJob *j = n->jobs + id;
        unsigned best = 0;

        for (unsigned i = 1; i < NW; i++)
                if (serves(n, n->workers + i, j->queue, j->owner) && takes_jobs(n->workers + i) && room(n, i) >= j->slots &&
                    (best == 0 || room(n, i) > room(n, best)))
                        best = i;
        return best;
}

/* … also not when all that runs has ended. */
bool naive_waits_in_vain(const Naive *n, unsigned id) {
        const NaiveJob *j = n->jobs + id;

        if (!naive_needs_worker(n, id))
                return false;
        for (unsigned i = 1; i < NW; i++)
                if (serves(n, n->workers + i, j->queue, j->owner) && takes_jobs(n->workers + i) && n->workers[i].slots >= j->slots)
                        return false;
        return true;
}

/* Nobody has room for it: how the reason begins. */
const char *naive_worker_why(const Naive *n, unsigned id) {
        const NaiveJob *j = n->jobs + id;
        bool any = false, away = false, draining = false;

        for (unsigned i = 1; i < NW; i++) {
                const NaiveWorker *w = n->workers + i;

                if (!serves(n, w, j->queue, j->owner))
                        continue;
                any = any || takes_jobs(w);
                draining = draining || w->draining;
                away = away || (!takes_jobs(w) && !w->draining);
        }
        if (any)
                return j->slots > 1 ? "needs " : "workers are busy: ";
        return away ? "the workers of queue " : draining ? "the workers of queue " : "no worker serves queue ";
}

/* ---- what happens to them ---- */

void naive_worker_comes(Naive *n, unsigned worker, unsigned owner, unsigned slots, unsigned queues, int runner) {
        COVER(worker_came);
        n->workers[worker] = (NaiveWorker) { .there = true, .connected = true, .owner = owner, .slots = slots, .queues = queues, .runner = runner };
}

/* Its process is gone, and what it had is lost; what is left of a runner's jobs takes their slots. */
void naive_worker_gone(Naive *n, unsigned worker) {
        n->workers[worker].gone = true;
        n->workers[worker].connected = false;
        for (unsigned id = 1; id < NJ; id++)
                if (n->jobs[id].there && is_live(n->jobs + id) && n->attempts[id][n->jobs[id].attempt].worker == worker) {
                        COVER(worker_lost);
                        naive_finish(n, id, JOB_LOST);
                }
        for (unsigned i = 1; i < NJ * NA; i++)
                if (n->attempts[i / NA][i % NA].worker == worker)
                        n->attempts[i / NA][i % NA].worker = NW; /* nobody's */
}

void naive_workers_recorded(Naive *n) {
        for (unsigned i = 1; i < NW; i++) {
                n->workers[i].known = n->workers[i].there;
                if (n->workers[i].gone)
                        n->workers[i] = (NaiveWorker) {};
        }
}

/* Nothing of it is left. */
void naive_completed(Naive *n, unsigned id, unsigned number, JobResult result, int end) {
        COVER(worker_completed);
        n->jobs[id].end = (End) end;
        naive_finish(n, id, result);
        n->attempts[id][number].there = false;
}

/* It was not begun; before it was told of it the daemon takes it back by itself. */
void naive_returned(Naive *n, unsigned id, unsigned number, bool by_worker) {
        NaiveAttempt *a = &n->attempts[id][number];
        NaiveJob *j = n->jobs + id;

        if (j->intent != JOB_RESULT_NONE) {
                bool out_of_time = j->intent == JOB_TIMEOUT; /* which it is then; another attempt may follow */
                unsigned poison = j->poison;

                COVER(worker_not_told);
                naive_finish(n, id, j->intent);
                if (!out_of_time)
                        j->poison = poison;
        } else {
                COVER(worker_returned);
                a->live = false;
                j->max_attempts++;
                naive_become(n, id, JOB_READY);
                j->wants = j->lent;
                j->lent = false;
        }
        a->there = a->there && !by_worker;
}
