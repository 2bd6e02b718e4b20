/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Queues: names and slices, the accounting of slots on every level of the tree, and what its windows have to offer.
 *
 * Slots are counted per attempt from model_start() until its unit is gone, in the queue and in all its ancestors, so no cap of
 * the tree can be passed (promise 4). */

#include "queue/queue.h"

#include "base/parse.h"
#include "base/strv.h"

void queue_policy_init(QueuePolicy *p) {
        *p = (QueuePolicy) {
                .slots = UINT32_MAX,
                .keep_usec = KEEP_DEFAULT,
                .keep_max = KEEP_MAX_DEFAULT,
                .timeout_usec = USEC_INFINITY,
                .stop_timeout_usec = USEC_INFINITY,
                .spool_max = SPOOL_MAX_DEFAULT,
                .queued_max = UINT64_MAX,
                .queued_per_user_max = UINT64_MAX,
        };
        for (Pressure i = 0; i < _PRESSURE_MAX; i++)
                p->pressure_max[i] = PRESSURE_NO_LIMIT;
}

void queue_policy_done(QueuePolicy *p) {
        free(p->slot_variable);
        spec_free(p->defaults);
        strv_free(p->allow_users);
        strv_free(p->allow_groups);
        strv_free(p->overridable);
        free(p->gate_unit);
        strv_free(p->worker_users);
        free(p->worker_unit);
        free(p->adapter);
        strv_free(p->engine);
        strv_free(p->adapter_takes);
        unit_property_list_done(&p->slice);
        unit_property_list_done(&p->service);
        strv_free(p->settings);
        strv_free(p->files);
        queue_policy_init(p);
}

int queue_policy_note(QueuePolicy *p, const char *section, const char *key, const char *value, const char *file, bool is_list) {
        _cleanup_free_ char *word = NULL;
        size_t n = 0;
        int r;

        bool is_ours = streq(section, "Queue") || streq(section, "Slice");

        if (asprintf(&word, "%s%s%s", is_ours ? "" : section, is_ours ? "" : ".", key) < 0)
                return -ENOMEM;
        if (!is_list || isempty(value)) {
                for (char **i = p->settings; i && *i; i += 3)
                        if (streq(*i, word))
                                for (size_t k = 0; k < 3; k++)
                                        free(i[k]);
                        else
                                for (size_t k = 0; k < 3; k++)
                                        p->settings[n++] = i[k];
                if (p->settings)
                        p->settings[n] = NULL;
        }
        if (isempty(value))
                return 0;
        r = strv_consume(&p->settings, TAKE_PTR(word));
        if (r >= 0)
                r = strv_extend(&p->settings, value);
        return r < 0 ? r : strv_extend(&p->settings, file);
}

Queue *queue_new(const char *name) {
        _cleanup_(queue_freep) Queue *q = new0(Queue, 1);
        if (!q)
                return NULL;

        queue_policy_init(&q->policy);
        q->cap_changed = true;
        q->purge.when = q->judged.when = USEC_INFINITY;
        level_init(&q->level, NULL, q);
        backlog_init(&q->backlog);
        q->name = strdup(name);
        q->slice = queue_slice_name(name);
        if (!q->name || !q->slice)
                return NULL;
        return TAKE_PTR(q);
}

Queue *queue_free(Queue *q) {
        if (!q)
                return NULL;

        queue_policy_done(&q->policy);
        backlog_done(&q->backlog);
        free(q->name);
        free(q->slice);
        slot_numbers_done(&q->slot_numbers);
        free(q->starts);
        free(q->refusal);
        if (q->touched)
                TAILQ_REMOVE(&q->level.schedule->touched, q, touched_entry);
        if (q->lacking)
                TAILQ_REMOVE(&q->level.schedule->lacking, q, lacking_entry);
        level_done(&q->level);
        return mfree(q);
}

char *queue_parent_name(const char *name) {
        const char *dash = strrchr(name, '-');
        return dash ? strndup(name, dash - name) : NULL;
}

char *queue_slice_name(const char *name) {
        char *s;
        return asprintf(&s, "jobmill-%s.slice", name) < 0 ? NULL : s;
}

char *queue_name_from_slice(const char *slice) {
        const char *p = startswith(slice, "jobmill-"), *end = endswith(slice, ".slice");
        if (!p || !end || end <= p)
                return NULL;

        _cleanup_free_ char *name = strndup(p, end - p);
        return name && queue_name_is_valid(name) ? TAKE_PTR(name) : NULL;
}

/* ---- the tree ---- */

const Queue *queue_paused_at(const Queue *q) {
        for (; q; q = q->parent)
                if (q->paused)
                        return q;
        return NULL;
}

const Queue *queue_broken_at(const Queue *q) {
        for (; q; q = q->parent)
                if (q->broken)
                        return q;
        return NULL;
}

const Queue *queue_draining_at(const Queue *q) {
        for (; q; q = q->parent)
                if (q->draining)
                        return q;
        return NULL;
}

const Queue *queue_blocked_at(const Queue *q) {
        const Source *first;

        for (; q; q = q->parent) {
                first = level_first(&q->level);
                if (first && !first->unknown && !queue_has_room(q, first->c.slots))
                        return q;
        }
        return NULL;
}

bool queue_has_room(const Queue *q, uint32_t slots) {
        /* A cap may be lowered below what is in use. */
        return q->policy.slots == UINT32_MAX || (uint64_t) q->slots_used + slots <= q->policy.slots;
}

const Queue *queue_lacking_at(const Queue *q, uint32_t slots) {
        for (; q; q = q->parent)
                if (!queue_has_room(q, slots))
                        return q;
        return NULL;
}

const Queue *queue_too_small(const Queue *q, uint32_t slots) {
        for (; q; q = q->parent)
                if (slots > q->policy.slots)
                        return q;
        return NULL;
}

Queue *queue_slot_owner(Queue *q) {
        for (Queue *p = q; p; p = p->parent)
                if (p->policy.slot_variable)
                        return p;
        return q;
}

/* ---- slot numbers ---- */

static void queue_use_slots(Queue *q, const Attempt *a, int64_t slots) {
        for (; q; q = q->parent) {
                q->slots_used += slots;
                level_use(&q->level, a->owner, slots);
                queue_touch(q);
        }
}

int queue_take_slots(Queue *q, Attempt *a) {
        _cleanup_free_ uint32_t *numbers = NULL;
        Queue *owner = queue_slot_owner(q);
        int r;

        if (!a->slot_numbers) {
                numbers = new0(uint32_t, a->slots);
                if (!numbers)
                        return -ENOMEM;
                r = slot_numbers_find(&owner->slot_numbers, numbers, a->slots, SLOT_NUMBERS_MAX);
                if (r < 0)
                        return r;
        }
        r = slot_numbers_hold(&owner->slot_numbers, numbers ?: a->slot_numbers, a->slots);
        if (r < 0)
                return r;
        if (numbers)
                a->slot_numbers = TAKE_PTR(numbers);
        a->queue = q;
        a->slot_owner = owner;
        queue_use_slots(q, a, a->slots);
        return 0;
}

int queue_own_slots(Attempt *a) {
        Queue *owner = a->queue ? queue_slot_owner(a->queue) : NULL;
        int r;

        if (owner == a->slot_owner)
                return 0;
        r = slot_numbers_hold(&owner->slot_numbers, a->slot_numbers, a->slots);
        if (r < 0)
                return r;
        slot_numbers_let_go(&a->slot_owner->slot_numbers, a->slot_numbers, a->slots);
        a->slot_owner = owner;
        return 0;
}

void queue_give_slots_back(Attempt *a) {
        if (!a->queue)
                return;

        slot_numbers_let_go(&a->slot_owner->slot_numbers, a->slot_numbers, a->slots);
        queue_use_slots(a->queue, a, -(int64_t) a->slots);
        a->queue = a->slot_owner = NULL;
}

/* ---- windows ---- */

/* Where users share it, age counts within equal priority alone. */
usec_t queue_ageing(const Queue *q) {
        return q->policy.fair ? 0 : q->policy.ageing_usec;
}

bool queue_is_fair(const Queue *q) {
        return q->policy.fair && q->ranked_fair && !q->reranking;
}

bool queue_is_closed(const Queue *q) {
        return q->paused || q->broken || q->shut != SHUT_NOT;
}

bool queue_is_shut_off(const Queue *q) {
        while (q && !queue_is_closed(q))
                q = q->parent;
        return q;
}

void queue_touch(Queue *q) {
        Schedule *s = q->level.schedule;

        if (q->touched || !s)
                return;
        q->touched = true;
        TAILQ_INSERT_TAIL(&s->touched, q, touched_entry);
}

void queue_touch_up(Queue *q) {
        for (; q; q = q->parent)
                queue_touch(q);
}

void queue_lacks_slots(Queue *q) {
        Schedule *s = q->level.schedule;

        if (q->lacking || !queue_has_room(q, 1))
                return;
        q->lacking = true;
        TAILQ_INSERT_TAIL(&s->lacking, q, lacking_entry);
}

/* One that is passed over must not take the place of one that could start. */
uint32_t queue_window_max(const Group *g) {
        const Schedule *s = g->level->schedule;
        uint32_t n = s ? s->n_groups : 0, away = s && g->skipped ? s->n_away : 0;

        return MIN(QUEUE_WINDOW, MAX(QUEUE_WINDOWS / MAX(n, 1U), QUEUE_WINDOW_MIN)) + away;
}

/* What is too wide for a cap leaves the window, into which the store then gives what fits. */
void queue_window_changed(Group *g) {
        Queue *q = g->level->queue;
        const Candidate nothing_known = { .priority = INT32_MAX, .key = INT64_MIN, .slots = 1, .owner = g->owner };
        bool offered = g->own.group;

        while (g->cursor < g->n_window && queue_too_small(q, g->window[g->cursor].slots)) {
                window_remove(g, g->window[g->cursor].id);
                g->window_more = true;
        }
        /* Behind those that are passed over are others, on disk. */
        if (g->skipped && !g->skipped_all && g->cursor >= g->n_window && g->window_more && g->n_window < queue_window_max(g))
                window_clear(g);
        if (q->configured && g->cursor < g->n_window)
                level_offer(g->level, &g->own, g->window + g->cursor, false);
        else if (q->configured && g->n_window == 0 && g->window_more && q->count[JOB_READY] > 0)
                level_offer(g->level, &g->own, &nothing_known, true);
        else if (offered)
                level_offer(g->level, &g->own, NULL, false); /* which drops it, if it was all */
        else
                level_group_drop(g);
        queue_touch(q);
}

int queue_window_insert(Queue *q, const Candidate *c) {
        Group *g = level_group_make(&q->level, c->owner);
        int r;

        if (!g)
                return -ENOMEM;
        r = window_insert(g, c, queue_window_max(g));
        if (r >= 0)
                queue_window_changed(g);
        return r;
}

void queue_window_remove(Queue *q, uint32_t owner, uint64_t id) {
        Group *g = level_group(&q->level, owner);

        if (!g)
                return;
        window_remove(g, id);
        queue_window_changed(g);
}

void queue_window_clear(Queue *q) {
        Group *g, *t;

        window_clear(&q->level.all);
        HASH_ITER(hh, q->level.owners, g, t)
                window_clear(g);
        if (q->level.schedule)
                q->level.schedule->stale = true;
}
