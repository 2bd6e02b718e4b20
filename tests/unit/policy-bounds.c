/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* How long may a job wait, counted in starts of others. From the moment on at which a job of queue Q could start but for those before it
 * (it is in line), until it starts or something about it or the order of Q changes:
 *
 *   rank   Where Q orders by priority or age: no more jobs of Q start than were before it at that moment, or came there since.
 *   fair   Where Q is fair: of the jobs of another user u, of its priority and submitted after it, no more start than the most slots that its
 *          own user had meanwhile, plus those that u gave back. (Each of them starts while u has fewer slots than its user, and gives u one
 *          more at least.) So none does while its user has nothing.
 *   age    With AgeingSec=A nobody starts who was submitted more than (difference of priorities) * A after it.
 *   head   Once it is the first at a level where it lacks slots, nobody behind it by the order of that level starts there or below, as long as
 *          nobody else closes the way up to there: the more slots, the longer it may wait for them, but it is not overtaken. */

#include "policy-view.h"

typedef struct Waiting {
        bool in_line;
        View as;                  /* what it was when it began to wait */
        bool fair;
        usec_t ageing;            /* … and the order of its queue */
        unsigned allowed, over;   /* starts: so many may be before its own; were */
        unsigned younger[N_OWNERS];
        uint32_t given_back[N_OWNERS], most; /* slots */
        int head;                 /* the level; -1: none */
} Waiting;

static Waiting waits[JOBS_MAX];
static uint32_t used_before[N_QUEUES][N_OWNERS];

void bounds_begin(void) {
        memset(waits, 0, sizeof(waits));
        memset(used_before, 0, sizeof(used_before));
}

static bool is_same(const Waiting *a, const View *v) {
        const Setup *s = w.setup + v->queue;

        return a->in_line && a->as.queue == v->queue && a->as.priority == v->priority && a->as.slots == v->slots && a->as.key == v->key &&
               a->fair == s->fair && a->ageing == s->ageing;
}

/* By a static order only. */
static bool precedes(const View *a, const View *b, unsigned q) {
        int64_t x = rank_by(a, w.setup + q), y = rank_by(b, w.setup + q);

        return x != y ? x < y : a->id < b->id;
}

static void begin(Waiting *a, const View *v) {
        const Setup *s = w.setup + v->queue;

        *a = (Waiting) { .in_line = true, .as = *v, .fair = s->fair, .ageing = s->ageing, .head = -1 };
        for (const View *o = views; o < views + n_views; o++) {
                Waiting *b = waits + o->id;

                if (o == v || o->queue != v->queue || !waits_in_line(o))
                        continue;
                a->allowed += precedes(o, v, v->queue);
                if (b->in_line && precedes(v, o, v->queue))
                        b->allowed++;
        }
}

/* Slots that were given back since the last look. */
static void look_at_slots(void) {
        for (unsigned q = 0; q < N_QUEUES; q++)
                for (unsigned u = 0; u < N_OWNERS; u++) {
                        uint32_t used = world_used(q, 1000 + u), before = used_before[q][u];

                        for (Waiting *a = waits; before > used && a < waits + JOBS_MAX; a++)
                                if (a->in_line && a->as.queue == q)
                                        a->given_back[u] += before - used;
                        used_before[q][u] = used;
                }
}

/* One order all the way up, in which nobody's place changes. */
static bool is_static(unsigned q, unsigned top) {
        for (int p = (int) q; p >= 0; p = above[p]) {
                if (w.setup[p].fair || w.setup[p].ageing != w.setup[top].ageing)
                        return false;
                if (p == (int) top)
                        return true;
        }
        return false;
}

/* Nobody else is in the way up to there. */
static bool is_first_below(const View *v, unsigned top, const Now *now) {
        for (int p = (int) v->queue; p != (int) top; p = above[p])
                if (best_of(p, now) != v)
                        return false;
        return true;
}

static int head_of(const View *v, const Now *now) {
        int at = lacks_at(v);

        if (at < 0 || !is_static(v->queue, (unsigned) at) || !is_open(v->queue, at, now) || !is_first_below(v, (unsigned) at, now) ||
            best_of(at, now) != v)
                return -1;
        return at;
}

void bounds_look(const Now *now) {
        look_at_slots();
        for (Waiting *a = waits; a < waits + JOBS_MAX; a++)
                if (a->in_line) {
                        const View *v = view_of(a->as.id);

                        a->in_line = v && waits_in_line(v) && is_same(a, v);
                }
        for (const View *v = views; v < views + n_views; v++) {
                Waiting *a = waits + v->id;

                if (!waits_in_line(v))
                        continue;
                if (!a->in_line)
                        begin(a, v);
                a->most = MAX(a->most, world_used(v->queue, v->owner));
                if (a->head < 0 || !is_static(v->queue, (unsigned) a->head) || !is_open(v->queue, a->head, now))
                        a->head = head_of(v, now);
        }
}

/* ---- v starts, and o waits on ---- */

static void check_fair(Waiting *a, const View *o, const View *v) {
        unsigned u = v->owner - 1000;

        if (v->owner == o->owner || v->priority != o->priority)
                return;
        COUNT(bound_fair);
        if (v->id < o->id)
                return;
        COUNT(bound_fair_younger);
        a->younger[u]++;
        if (a->most == 0 || a->younger[u] > a->most + a->given_back[u])
                fail("job %" PRIu64 " of %s waits while %u younger jobs of %" PRIu32 " start; its user has %" PRIu32 " slots at most, the other gave back %"
                     PRIu32, o->id, queue_names[o->queue], a->younger[u], v->owner, a->most, a->given_back[u]);
}

static void check_age(const View *o, const View *v) {
        int64_t later = (int64_t) (w.submitted[v->id] - w.submitted[o->id]), most = ((int64_t) v->priority - o->priority) * (int64_t) w.setup[o->queue].ageing;

        COUNT(bound_age);
        if (later > 0)
                COUNT(bound_age_later);
        if (later > most)
                fail("job %" PRIu64 " of %s is overtaken by %" PRIu64 ", which is %" PRIi64 " us younger, at most %" PRIi64 " are allowed", o->id,
                     queue_names[o->queue], v->id, later, most);
}

static void check_head(const Waiting *a, const View *o, const View *v, const Now *now) {
        if (a->head < 0 || !is_below(v->queue, (unsigned) a->head) || lacks_at(o) != a->head || !is_first_below(o, (unsigned) a->head, now))
                return;
        if (!precedes(v, o, (unsigned) a->head))
                fail("job %" PRIu64 " of %s is the first that lacks slots of %s, and %" PRIu64 " starts there", o->id, queue_names[o->queue],
                     queue_names[a->head], v->id);
}

void bounds_started(const View *v, const Now *now) {
        bounds_look(now);
        for (const View *o = views; o < views + n_views; o++) {
                Waiting *a = waits + o->id;

                if (o == v || !waits_in_line(o))
                        continue;
                if (a->head >= 0) {
                        COUNT(bound_head);
                        if (o->slots > 1)
                                COUNT(bound_head_wide);
                }
                check_head(a, o, v, now);
                if (o->queue != v->queue)
                        continue;
                if (a->fair) {
                        check_fair(a, o, v);
                        continue;
                }
                COUNT(bound_rank);
                if (++a->over > a->allowed)
                        fail("job %" PRIu64 " of %s waits while %u others start, only %u are before it", o->id, queue_names[o->queue], a->over, a->allowed);
                if (a->ageing > 0)
                        check_age(o, v);
        }
        waits[v->id].in_line = false;
        for (int p = (int) v->queue; p >= 0; p = above[p]) /* it is given them now */
                used_before[p][v->owner - 1000] += v->slots;
}
