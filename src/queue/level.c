/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The heaps of a level, and the windows of its own jobs.
 *
 * A window is always the true head of the ready backlog: sorted by (rank, id), and nothing on disk is smaller than its last
 * entry. */

#include "queue/level.h"

#include "queue/queue.h"

int64_t rank_of(usec_t ageing, int32_t priority, int64_t key) {
        int64_t weight, rank;

        if (ageing == 0)
                return -(int64_t) priority;
        if (__builtin_mul_overflow((int64_t) MIN(ageing, (usec_t) INT64_MAX), (int64_t) priority, &weight))
                return priority > 0 ? INT64_MIN : INT64_MAX;
        if (__builtin_sub_overflow(key, weight, &rank))
                return weight > 0 ? INT64_MIN : INT64_MAX;
        return rank;
}

/* ---- order ---- */

/* What is not known may be better than all that is. */
static int compare_sources(const Level *l, const Source *a, const Source *b) {
        int64_t x, y;

        if (a->unknown != b->unknown)
                return a->unknown ? -1 : 1;
        x = rank_of(l->ageing, a->c.priority, a->c.key);
        y = rank_of(l->ageing, b->c.priority, b->c.key);
        return x < y ? -1 : x > y;
}

static bool source_before(const HeapNode *x, const HeapNode *y, const void *level) {
        const Source *a = (const Source *) x, *b = (const Source *) y;
        int r = compare_sources(level, a, b);

        return r != 0 ? r < 0 : a->c.id < b->c.id;
}

/* Fair: within equal priority he who uses least, then oldest. */
static bool group_before(const HeapNode *x, const HeapNode *y, const void *level) {
        const Group *a = (const Group *) x, *b = (const Group *) y;
        const Source *s = (const Source *) a->sources, *t = (const Source *) b->sources;
        int r = compare_sources(level, s, t);

        if (r == 0 && a->slots_used != b->slots_used)
                return a->slots_used < b->slots_used;
        return r != 0 ? r < 0 : s->c.id < t->c.id;
}

/* ---- groups ---- */

static void group_sift(Group *g) {
        Level *l = g->level;

        if (g->listed)
                heap_take(&l->groups, &g->node, group_before, l);
        g->listed = g->sources;
        if (g->listed)
                heap_put(&l->groups, &g->node, group_before, l);
}

static void group_done(Group *g) {
        if (g->skipped)
                TAILQ_REMOVE(&g->level->schedule->skipped, g, skipped_entry);
        if (g->level && g->level->schedule && g->level->schedule->wanted == g)
                g->level->schedule->wanted = NULL;
        g->window = mfree(g->window);
}

Group *level_group(Level *l, uint32_t owner) {
        Group *g;

        if (!l->fair)
                return &l->all;
        HASH_FIND(hh, l->owners, &owner, sizeof(owner), g);
        return g;
}

Group *level_group_make(Level *l, uint32_t owner) {
        Group *g = level_group(l, owner);

        if (g)
                return g;
        g = new0(Group, 1);
        if (!g)
                return NULL;
        g->level = l;
        g->owner = owner;
        g->window_more = l->schedule->stale; /* then nothing is known of what is on disk: there was no group whose window could be cleared */
        HASH_ADD(hh, l->owners, owner, sizeof(g->owner), g);
        l->schedule->n_groups++;
        return g;
}

void level_group_drop(Group *g) {
        Level *l = g->level;

        if (!l->fair || g->sources || g->slots_used > 0 || g->n_window > 0 || g->window_more)
                return;
        HASH_DEL(l->owners, g);
        l->schedule->n_groups--;
        group_done(g);
        free(g);
}

/* ---- levels ---- */

void level_init(Level *l, Schedule *s, Queue *q) {
        *l = (Level) { .schedule = s, .queue = q, .all.level = l };
}

void level_done(Level *l) {
        Group *g, *t;

        HASH_ITER(hh, l->owners, g, t) {
                HASH_DEL(l->owners, g);
                l->schedule->n_groups--;
                group_done(g);
                free(g);
        }
        group_done(&l->all);
        l->groups = NULL;
}

const Source *level_first(const Level *l) {
        return l->groups ? (const Source *) ((const Group *) l->groups)->sources : NULL;
}

void level_offer(Level *l, Source *s, const Candidate *c, bool unknown) {
        Group *before = s->group, *g = c ? level_group_make(l, c->owner) : NULL;

        if (c && !g)
                l->schedule->stale = true;
        if (before)
                heap_take(&before->sources, &s->node, source_before, l);
        s->group = g;
        s->unknown = unknown;
        s->c = c ? *c : (Candidate) {};
        if (g)
                heap_put(&g->sources, &s->node, source_before, l);
        if (before)
                group_sift(before);
        if (g && g != before)
                group_sift(g);
        if (before && before != g)
                level_group_drop(before);
}

void level_use(Level *l, uint32_t owner, int64_t slots) {
        Group *g;

        if (!l->fair)
                return;
        g = level_group_make(l, owner);
        if (!g) {
                l->schedule->stale = true;
                return;
        }
        g->slots_used += slots;
        group_sift(g);
        level_group_drop(g);
}

/* ---- windows ---- */

static int candidate_compare(const Candidate *a, const Candidate *b) {
        if (a->rank != b->rank)
                return a->rank < b->rank ? -1 : 1;
        return a->id < b->id ? -1 : a->id > b->id;
}

static int window_grow(Group *g, uint32_t max) {
        uint32_t n = MIN(MAX(g->window_capacity * 2, 2U), max);
        Candidate *w = reallocarray(g->window, n, sizeof(Candidate));

        if (!w)
                return -ENOMEM;
        g->window = w;
        g->window_capacity = n;
        return 0;
}

int window_insert(Group *g, const Candidate *c, uint32_t max) {
        uint32_t lo = 0, hi;
        int r;

        if (g->n_window > max) { /* it was more */
                g->n_window = max;
                g->window_more = true;
        }
        hi = g->n_window;
        while (lo < hi) {
                uint32_t mid = (lo + hi) / 2;
                if (candidate_compare(g->window + mid, c) < 0)
                        lo = mid + 1;
                else
                        hi = mid;
        }
        if (lo < g->n_window && g->window[lo].id == c->id)
                return 0;

        /* Behind all we know, and the store may have some that lie between: it belongs to the part on disk. */
        if ((lo == g->n_window && g->window_more) || lo >= max) {
                g->window_more = true;
                return 0;
        }
        if (g->n_window >= max) {
                g->n_window = max - 1;
                g->window_more = true;
        } else if (g->n_window >= g->window_capacity) {
                r = window_grow(g, max);
                if (r < 0)
                        return r;
        }
        memmove(g->window + lo + 1, g->window + lo, (g->n_window - lo) * sizeof(Candidate));
        g->window[lo] = *c;
        g->n_window++;
        if (lo < g->cursor)
                g->cursor++;
        return 0;
}

void window_remove(Group *g, uint64_t id) {
        for (uint32_t i = 0; i < g->n_window; i++)
                if (g->window[i].id == id) {
                        memmove(g->window + i, g->window + i + 1, (g->n_window - i - 1) * sizeof(Candidate));
                        g->n_window--;
                        g->cursor -= i < g->cursor;
                        return;
                }
}

void window_clear(Group *g) {
        g->n_window = g->cursor = 0;
        g->window_more = true;
}
