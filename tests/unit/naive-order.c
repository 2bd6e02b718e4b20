/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The small model: who starts next, and why the others do not. */

#include "naive.h"

unsigned naive_slots_used(const Naive *n, unsigned q) {
        unsigned used = 0;

        for (unsigned id = 1; id < NJ; id++)
                for (unsigned i = 1; i < NA; i++)
                        for (int p = (int) n->attempts[id][i].queue; n->attempts[id][i].there && p >= 0; p = above[p])
                                used += p == (int) q ? n->attempts[id][i].slots : 0;
        return used;
}

static bool is_rated(const Naive *n, int p, const Now *now) {
        unsigned k = 0;

        for (unsigned i = 0; i < n->n_starts[p]; i++)
                k += n->starts[p][i] + n->files[p].rate_span > now->steady;
        if (n->files[p].rate_n > 0 && k < n->files[p].rate_n && k < n->n_starts[p])
                COVER(rate_passed);
        return n->files[p].rate_n > 0 && k >= n->files[p].rate_n;
}

/* How the reason begins for which a queue alone starts nothing; NULL: there is none. */
static const char *why_shut(const Naive *n, int p, const Now *now) {
        if (n->files[p].gate && !n->gate_open)
                return COVER(gated), "gate gate.service ";
        if (n->pressed[p])
                return COVER(pressed), "cpu pressure of ";
        if (n->eased[p] > 0 && n->eased_left[p] == 0)
                return "pressure of ";
        if (is_rated(n, p, now))
                return COVER(rated), "rate";
        if (n->full_until[p] > now->steady)
                return "systemd takes no more units of ";
        return NULL;
}

/* … by one owner. */
static unsigned used_by(const Naive *n, int q, unsigned owner) {
        unsigned used = 0;

        for (unsigned id = 1; id < NJ; id++)
                for (unsigned i = 1; i < NA; i++)
                        for (int p = (int) n->attempts[id][i].queue; n->attempts[id][i].there && p >= 0; p = above[p])
                                used += p == q && n->attempts[id][i].owner == owner ? n->attempts[id][i].slots : 0;
        return used;
}

/* Only its own queue's file and the caps above it can be in its way for ever. */
static bool is_passed_over(const Naive *n, const NaiveJob *j) {
        if (!n->files[j->queue].there)
                return COVER(no_file), true;
        for (int p = (int) j->queue; p >= 0; p = above[p])
                if (j->slots > n->files[p].slots)
                        return COVER(too_wide), true;
        return false;
}

/* Where it must not hold up others that a worker of somebody is away. */
static bool is_fair(const Naive *n, int q) {
        return n->files[q].fair || n->files[q].by != BY_UNITS;
}

/* By the order of queue q (-1: the root). */
static bool comes_before(const Naive *n, int q, unsigned a, unsigned b) {
        const NaiveJob *x = n->jobs + a, *y = n->jobs + b;
        bool fair = q >= 0 && is_fair(n, q), aged = q >= 0 && !fair && n->files[q].ageing > 0;
        int64_t ageing = aged ? (int64_t) n->files[q].ageing : 0;

        if (aged && x->age - x->priority * ageing != y->age - y->priority * ageing) {
                if (x->age - x->priority * ageing < y->age - y->priority * ageing && x->priority < y->priority)
                        COVER(order_aged);
                return x->age - x->priority * ageing < y->age - y->priority * ageing;
        }
        if (!aged && x->priority != y->priority)
                return x->priority > y->priority;
        if (fair && used_by(n, q, x->owner) != used_by(n, q, y->owner)) {
                if (a > b && used_by(n, q, x->owner) < used_by(n, q, y->owner))
                        COVER(order_fair);
                return used_by(n, q, x->owner) < used_by(n, q, y->owner);
        }
        return a < b;
}

static bool has_room(const Naive *n, int q, unsigned slots) {
        return n->files[q].slots == UINT32_MAX || naive_slots_used(n, (unsigned) q) + slots <= n->files[q].slots;
}

static unsigned offer(const Naive *n, int q, const Now *now, bool *crossed);

/* The best of its own and of what those below it offer; 0: nobody. */
static unsigned best_of(const Naive *n, int q, const Now *now, bool *crossed) {
        unsigned best = 0, c;

        for (unsigned id = 1; id < NJ; id++)
                if (n->jobs[id].there && n->jobs[id].state == JOB_READY && (int) n->jobs[id].queue == q &&
                    !is_passed_over(n, n->jobs + id) && (best == 0 || comes_before(n, q, id, best)))
                        best = id;
        for (int p = 0; p < NQ; p++) {
                c = above[p] == q ? offer(n, p, now, crossed) : 0;
                if (c != 0 && best != 0 && q >= 0)
                        COVER(siblings);
                if (c != 0 && (best == 0 || comes_before(n, q, c, best)))
                        best = c;
        }
        return best;
}

/* If the best lacks slots here then nothing here or below may start. */
static unsigned offer(const Naive *n, int q, const Now *now, bool *crossed) {
        unsigned best;

        if (n->files[q].bad)
                return COVER(bad_file), 0;
        if (n->is_paused[q])
                return COVER(paused), 0;
        if (why_shut(n, q, now))
                return 0;
        best = best_of(n, q, now, crossed);
        if (best == 0 || has_room(n, q, n->jobs[best].slots))
                return best;
        *crossed = true;
        return q == (int) n->jobs[best].queue ? COVER(full_own), 0 : (COVER(full_above), 0);
}

static bool too_many_start(const Naive *n) {
        unsigned starting = 0, stuck = 0;

        for (unsigned id = 1; id < NJ; id++) {
                const NaiveAttempt *a = &n->attempts[id][n->jobs[id].attempt];

                starting += n->jobs[id].there && is_live(n->jobs + id) && !a->running;
                stuck += n->jobs[id].there && is_live(n->jobs + id) && !a->running && a->stuck;
        }
        return starting >= STARTING_MAX || (!n->checked && starting > stuck);
}

/* Nothing of its user starts there; everybody else goes on. */
static void pass_over(Naive *left, unsigned first) {
        for (unsigned id = 1; id < NJ; id++)
                if (left->jobs[id].state == JOB_READY && left->jobs[id].queue == left->jobs[first].queue && left->jobs[id].owner == left->jobs[first].owner)
                        left->jobs[id].state = JOB_WAITING;
}

/* Who lacks slots, and would have no worker with them either, keeps them from nobody. */
static void pass_over_lacking(Naive *left, const Now *now) {
        for (int q = 0; q < NQ; q++) {
                bool crossed;
                unsigned best = best_of(left, q, now, &crossed);

                if (best == 0 || left->files[q].bad || left->is_paused[q] || why_shut(left, q, now) || has_room(left, q, left->jobs[best].slots) ||
                    !has_room(left, q, 1) || !naive_waits_in_vain(left, best))
                        continue;
                COVER(owner_skipped_lacking);
                pass_over(left, best);
                q = -1; /* once more */
        }
}

/* … after all were passed over who have nobody; of them nothing is left. */
static unsigned next_of(Naive *left, const Now *now, bool *crossed) {
        unsigned best;

        pass_over_lacking(left, now);
        while ((best = best_of(left, -1, now, crossed)) != 0) {
                if (naive_needs_worker(left, best) && naive_choose(left, best) == 0) {
                        COVER(owner_skipped);
                        pass_over(left, best);
                } else if (naive_array_is_full(left, left->jobs[best].array))
                        /* Those of an array that runs as much as it may lose their places when it is their turn. */
                        left->jobs[best].state = JOB_WAITING;
                else
                        break;
                pass_over_lacking(left, now);
        }
        return best;
}

unsigned naive_next(const Naive *n, const Now *now) {
        bool crossed = false;
        Naive left = *n;
        unsigned best;

        if (n->shutting_down || n->mismatch || n->store_restored || n->store_full)
                return COVER(blocked), 0;
        if (too_many_start(n))
                return 0;
        best = next_of(&left, now, &crossed);
        return best != 0 && crossed ? COVER(order_crossed), best : best;
}

/* Nothing at all starts: whatever the daemon says of that. Else in the order of docs/states.md. */
const char *naive_why(const Naive *n, unsigned id, const Now *now) {
        const NaiveJob *j = n->jobs + id;
        bool wide = false, lacking = false;
        Naive left = *n;

        if (!n->files[j->queue].there && !n->files[j->queue].bad)
                return "its queue has no file";
        for (int p = (int) j->queue; p >= 0; p = above[p])
                if (n->files[p].bad)
                        return "the file of queue ";
        for (int p = (int) j->queue; p >= 0; p = above[p])
                if (n->is_paused[p])
                        return "queue ";
        for (int p = (int) j->queue; p >= 0; p = above[p])
                if (why_shut(n, p, now))
                        return why_shut(n, p, now);
        for (int p = (int) j->queue; p >= 0; p = above[p]) {
                wide = wide || j->slots > n->files[p].slots;
                lacking = lacking || (n->files[p].slots != UINT32_MAX && naive_slots_used(n, p) + j->slots > n->files[p].slots);
        }
        if (wide || (lacking && j->slots > 1))
                return "needs ";
        if (lacking)
                return "cap of ";
        if (too_many_start(n))
                return "";
        if (naive_needs_worker(n, id) && naive_choose(n, id) == 0)
                return naive_worker_why(n, id);
        (void) next_of(&left, now, &wide);
        /* One of the same user there before it that is given to nobody. */
        if (naive_needs_worker(n, id) && left.jobs[id].state != JOB_READY)
                return COVER(behind_own), "job ";
        /* One before it that waits for room in a queue which both lie in. */
        for (int p = (int) j->queue; p >= 0; p = above[p]) {
                bool crossed;
                unsigned best = best_of(&left, p, now, &crossed);

                if (best != 0 && !has_room(n, p, n->jobs[best].slots))
                        return COVER(behind), "an earlier job needs the room in ";
        }
        return NULL;
}

void naive_decides(Naive *n, const Now *now) {
        for (unsigned p = 0; p < NQ; p++)
                if (n->full_until[p] == USEC_INFINITY)
                        n->full_until[p] = now->steady + USEC_PER_SEC;
}

/* true: it has just become low. Then one may start. */
static bool naive_press(Naive *n, unsigned p, unsigned percent) {
        bool before = n->pressed[p];

        n->pressed[p] = n->files[p].pressure_max > 0 && percent > (before ? n->files[p].pressure_max * 8 / 10 : n->files[p].pressure_max);
        if (n->pressed[p] || n->files[p].pressure_max == 0)
                n->eased[p] = 0;
        else if (before)
                n->eased[p] = n->eased_left[p] = 1;
        return before && !n->pressed[p];
}

void naive_policies(Naive *n) {
        bool any_gate = false;

        for (unsigned p = 0; p < NQ; p++) {
                any_gate = any_gate || n->files[p].gate;
                if (n->files[p].rate_n == 0 && !n->files[p].bad)
                        n->n_starts[p] = 0;
                (void) naive_press(n, p, n->pressure);
        }
        n->gate_open = n->gate_open && any_gate;
}

/* Of a ready job of which nothing but that is known to be in the way. */
bool naive_wants_pressure(const Naive *n) {
        for (unsigned id = 1; id < NJ; id++) {
                bool limited = false, off = !n->files[n->jobs[id].queue].there;

                for (int p = (int) n->jobs[id].queue; n->jobs[id].there && n->jobs[id].state == JOB_READY && p >= 0; p = above[p]) {
                        limited = limited || n->files[p].pressure_max > 0;
                        off = off || n->files[p].bad || n->is_paused[p];
                }
                if (limited && !off)
                        return true;
        }
        return false;
}

void naive_pressure(Naive *n, unsigned percent, const Now *now) {
        for (unsigned p = 0; p < NQ; p++) {
                if (n->pressure_at + 10 * USEC_PER_SEC < now->monotonic) {
                        n->pressed[p] = false;
                        n->eased[p] = 0;
                }
                if (naive_press(n, p, percent))
                        COVER(eased);
                else if (n->eased[p] > 0 && n->eased_left[p] == 0) {
                        COVER(eased_more);
                        n->eased_left[p] = n->eased[p] *= 2;
                } else
                        n->eased[p] = 0;
        }
        n->pressure = percent;
        n->pressure_at = now->monotonic;
}
