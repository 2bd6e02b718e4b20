/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Who starts next: the whole scheduling policy. Pure.
 *
 * The tree decides, from below: each queue compares the best of its own ready jobs with what the queues below it offer, by its own
 * order, and offers the best of all that to the level above. The root takes the best by priority, then id. If the best lacks slots at a level,
 * then nothing of that level's subtree starts, or it would starve; nobody else is kept waiting. Who could not start with these slots either is
 * skipped before that. A queue that is closed (paused, shut (admission.c), a bad file) offers nothing and is in nobody's way. A job that needs
 * more than a cap could ever give (it was lowered) is passed over: it leaves the window, into which the store then gives what fits. Jobs of a
 * queue whose file is gone, and of the whole subtree of one whose file is bad, wait, since nobody knows its cap.
 *
 * All this is kept between turns, in the heaps of level.c: only what changed is looked at again, however many queues there are. */

#include "queue/model.h"

void schedule_init(Schedule *s) {
        *s = (Schedule) { .stale = true };
        TAILQ_INIT(&s->touched);
        TAILQ_INIT(&s->skipped);
        TAILQ_INIT(&s->lacking);
        level_init(&s->top, s, NULL);
}

/* ---- all anew ---- */

static void forget_offers(Level *l) {
        Group *g, *t;

        l->groups = NULL;
        l->all.sources = NULL;
        l->all.listed = false;
        l->all.own.group = NULL;
        HASH_ITER(hh, l->owners, g, t) {
                g->sources = NULL;
                g->listed = false;
                g->own.group = NULL;
                g->slots_used = 0;
        }
}

/* Who has jobs there is known from what is counted of each owner. */
static int make_fair(Queue *q) {
        for (const UserBacklog *u = q->backlog.users; u; u = u->hh.next) {
                Group *g;

                if (u->own == 0 || level_group(&q->level, u->owner))
                        continue;
                g = level_group_make(&q->level, u->owner);
                if (!g)
                        return -ENOMEM;
                window_clear(g);
        }
        return 0;
}

static void set_order(Queue *q) {
        Level *l = &q->level;
        Schedule *s = l->schedule;
        bool fair = queue_is_fair(q);

        forget_offers(l);
        q->offer.group = NULL;
        l->ageing = queue_ageing(q);
        if (l->fair != fair) {
                level_done(l);
                level_init(l, s, q);
                l->ageing = queue_ageing(q);
                l->fair = fair;
                window_clear(&l->all);
        }
        if (fair && make_fair(q) < 0)
                s->stale = true;
}

static void look_at_windows(Queue *q) {
        Group *g, *t;

        if (!q->level.fair)
                queue_window_changed(&q->level.all);
        HASH_ITER(hh, q->level.owners, g, t)
                queue_window_changed(g);
        queue_touch(q);
}

static void schedule_anew(Model *m) {
        Queue *q, *t;

        m->schedule.stale = false;
        m->schedule.wanted = NULL;
        model_rerank_begin(m);
        forget_offers(&m->schedule.top);
        HASH_ITER(hh, m->queues, q, t)
                set_order(q);
        for (const Attempt *a = m->attempts; a; a = a->hh.next)
                for (q = a->queue; q; q = q->parent)
                        level_use(&q->level, a->owner, a->slots);
        HASH_ITER(hh, m->queues, q, t)
                look_at_windows(q);
}

/* ---- what changed ---- */

static bool same(const Source *a, const Source *b) {
        return !!a->group == !!b->group && a->unknown == b->unknown && a->c.id == b->c.id && a->c.slots == b->c.slots &&
               a->c.priority == b->c.priority && a->c.key == b->c.key && a->c.owner == b->c.owner;
}

/* Was it another? */
static bool renew_offer(Schedule *s, Queue *q) {
        const Source *first = queue_is_closed(q) ? NULL : level_first(&q->level);
        Source before = q->offer;

        if (first && !queue_has_room(q, first->c.slots)) {
                queue_lacks_slots(q);
                first = NULL;
        }
        if (first && q->offer.group && same(first, &q->offer))
                return false;
        level_offer(q->parent ? &q->parent->level : &s->top, &q->offer, first ? &first->c : NULL, first && first->unknown);
        q->offer.child = q;
        return !same(&before, &q->offer);
}

static void schedule_update(Schedule *s) {
        Queue *q;

        while ((q = TAILQ_FIRST(&s->touched))) {
                TAILQ_REMOVE(&s->touched, q, touched_entry);
                q->touched = false;
                for (Queue *p = q; p && renew_offer(s, p); p = p->parent)
                        ;
        }
}

/* ---- one turn ---- */

void schedule_begin(Model *m) {
        Group *g;

        if (m->schedule.stale)
                schedule_anew(m);
        for (Queue *q = m->schedule.missed ? m->queues : NULL; q; q = q->hh.next)
                queue_touch(q);
        m->schedule.missed = false;
        while ((g = TAILQ_FIRST(&m->schedule.skipped))) {
                TAILQ_REMOVE(&m->schedule.skipped, g, skipped_entry);
                g->skipped = g->skipped_all = false;
                g->cursor = 0;
                queue_window_changed(g);
        }
}

/* Whose jobs stand first there, down the tree. */
static Group *first_group(const Level *l) {
        const Source *first = level_first(l);

        while (first && first->child) {
                l = &first->child->level;
                first = level_first(l);
        }
        return first ? (Group *) l->groups : NULL;
}

bool schedule_is_full(const Model *m) {
        return m->n_starting >= STARTING_MAX || m->n_starting - m->n_stuck >= m->starting_max;
}

bool schedule_next(Model *m, Candidate *ret, Queue **ret_queue) {
        Schedule *s = &m->schedule;
        Group *g;

        s->wanted = NULL;
        schedule_update(s); /* in any case: reasons are read off it */
        if (m->dispatch_blocked || schedule_is_full(m))
                return false;
        g = first_group(&s->top);
        if (!g)
                return false;
        /* What lies on disk may be better than the best in memory: it is read first. */
        if (g->own.unknown) {
                s->wanted = g;
                return false;
        }
        *ret = g->own.c;
        *ret_queue = g->level->queue;
        return true;
}

bool schedule_next_lacking(Model *m, Candidate *ret, Queue **ret_queue) {
        Schedule *s = &m->schedule;
        Queue *q;

        schedule_update(s);
        while (!m->dispatch_blocked && (q = TAILQ_FIRST(&s->lacking))) {
                const Source *first = queue_is_closed(q) ? NULL : level_first(&q->level);
                const Group *g;

                TAILQ_REMOVE(&s->lacking, q, lacking_entry);
                q->lacking = false;
                if (!first || first->unknown || queue_has_room(q, first->c.slots))
                        continue;
                g = first_group(&q->level);
                *ret = g->own.c;
                *ret_queue = g->level->queue;
                return true;
        }
        return false;
}

static void skip(Queue *q, uint32_t owner, bool all) {
        Group *g = level_group(&q->level, owner);

        if (!g)
                return;
        g->skipped_for = g->own.c.id;
        g->skipped_slots = g->own.c.slots;
        g->cursor = all ? g->n_window : g->cursor + 1;
        g->skipped_all = all;
        if (!g->skipped) {
                g->skipped = true;
                TAILQ_INSERT_TAIL(&q->level.schedule->skipped, g, skipped_entry);
        }
        queue_window_changed(g);
}

void schedule_skip(Queue *q, uint32_t owner) {
        skip(q, owner, /* all = */ false);
}

void schedule_skip_owner(Queue *q, uint32_t owner) {
        skip(q, owner, /* all = */ true);
}

uint64_t schedule_skipped_for(const Queue *q, uint32_t owner, uint32_t *ret_slots) {
        const Group *g = level_group((Level *) &q->level, owner);

        if (!g || !g->skipped_all)
                return 0;
        *ret_slots = g->skipped_slots;
        return g->skipped_for;
}
