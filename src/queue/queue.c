/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Queues: names and slices, the accounting of slots on every level of the tree, and the window of ready jobs.
 *
 * Two promises are kept here. Slots are counted per attempt from model_start() until its unit is gone, in the queue and in
 * all its ancestors, so no cap of the tree can be passed (promise 4). And the window is always the true head of the ready
 * backlog: sorted by (rank, id), nothing on disk is smaller than its last entry. */

#include "queue/queue.h"

#include "base/parse.h"
#include "base/strv.h"

void queue_policy_init(QueuePolicy *p) {
        *p = (QueuePolicy) {
                .slots = UINT32_MAX,
                .timeout_usec = USEC_INFINITY,
                .stop_timeout_usec = USEC_INFINITY,
        };
}

void queue_policy_done(QueuePolicy *p) {
        free(p->slot_variable);
        strv_free(p->allow_users);
        strv_free(p->allow_groups);
        strv_free(p->overridable);
        unit_property_list_done(&p->slice);
        unit_property_list_done(&p->service);
        queue_policy_init(p);
}

Queue *queue_new(const char *name) {
        _cleanup_(queue_freep) Queue *q = new0(Queue, 1);
        if (!q)
                return NULL;

        queue_policy_init(&q->policy);
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
        free(q->name);
        free(q->slice);
        free(q->slot_map);
        free(q->window);
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

const Queue *queue_draining_at(const Queue *q) {
        for (; q; q = q->parent)
                if (q->draining)
                        return q;
        return NULL;
}

static bool queue_has_room(const Queue *q, uint32_t slots) {
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

static bool slot_map_get(const Queue *q, uint32_t i) {
        return i / 64 < q->slot_map_words && (q->slot_map[i / 64] & (UINT64_C(1) << (i % 64)));
}

static int slot_map_set(Queue *q, uint32_t i) {
        if (i / 64 >= q->slot_map_words) {
                size_t n = i / 64 + 1;
                uint64_t *m = realloc(q->slot_map, n * sizeof(uint64_t));
                if (!m)
                        return -ENOMEM;
                memset(m + q->slot_map_words, 0, (n - q->slot_map_words) * sizeof(uint64_t));
                q->slot_map = m;
                q->slot_map_words = n;
        }
        q->slot_map[i / 64] |= UINT64_C(1) << (i % 64);
        return 0;
}

static void slot_map_clear(Queue *q, uint32_t i) {
        if (i / 64 < q->slot_map_words)
                q->slot_map[i / 64] &= ~(UINT64_C(1) << (i % 64));
}

int queue_take_slots(Queue *q, Attempt *a) {
        _cleanup_free_ uint32_t *numbers = TAKE_PTR(a->slot_numbers);
        Queue *owner = queue_slot_owner(q);
        int r;

        if (!numbers) {
                numbers = new0(uint32_t, a->slots);
                if (!numbers)
                        return -ENOMEM;
                for (uint32_t i = 0, n = 0; n < a->slots; i++)
                        if (!slot_map_get(owner, i))
                                numbers[n++] = i;
        }
        for (uint32_t i = 0; i < a->slots; i++) {
                r = slot_map_set(owner, numbers[i]);
                if (r < 0) {
                        while (i-- > 0)
                                slot_map_clear(owner, numbers[i]);
                        return r;
                }
        }
        a->slot_numbers = TAKE_PTR(numbers);
        a->queue = q;
        a->slot_owner = owner;
        for (Queue *p = q; p; p = p->parent)
                p->slots_used += a->slots;
        return 0;
}

void queue_give_slots_back(Attempt *a) {
        if (!a->queue)
                return;

        for (uint32_t i = 0; i < a->slots; i++)
                slot_map_clear(a->slot_owner, a->slot_numbers[i]);
        for (Queue *p = a->queue; p; p = p->parent)
                p->slots_used -= a->slots;
        a->queue = a->slot_owner = NULL;
}

/* ---- window ---- */

static int candidate_compare(const Candidate *a, const Candidate *b) {
        if (a->rank != b->rank)
                return a->rank < b->rank ? -1 : 1;
        return a->id < b->id ? -1 : a->id > b->id;
}

int queue_window_insert(Queue *q, const Candidate *c) {
        size_t lo = 0, hi = q->n_window;

        while (lo < hi) {
                size_t mid = (lo + hi) / 2;
                if (candidate_compare(q->window + mid, c) < 0)
                        lo = mid + 1;
                else
                        hi = mid;
        }
        if (lo < q->n_window && q->window[lo].id == c->id)
                return 0;

        /* Behind all we know, and the store may have some that lie between: it belongs to the part on disk. */
        if ((lo == q->n_window && q->window_more) || lo >= QUEUE_WINDOW) {
                q->window_more = true;
                return 0;
        }
        if (q->n_window >= q->window_capacity) {
                size_t n = MIN(MAX(q->window_capacity * 2, (size_t) 8), (size_t) QUEUE_WINDOW);
                if (q->n_window < n) {
                        Candidate *w = realloc(q->window, n * sizeof(Candidate));
                        if (!w)
                                return -ENOMEM;
                        q->window = w;
                        q->window_capacity = n;
                } else {
                        q->n_window--;
                        q->window_more = true;
                }
        }
        memmove(q->window + lo + 1, q->window + lo, (q->n_window - lo) * sizeof(Candidate));
        q->window[lo] = *c;
        q->n_window++;
        return 0;
}

void queue_window_remove(Queue *q, uint64_t id) {
        for (size_t i = 0; i < q->n_window; i++)
                if (q->window[i].id == id) {
                        memmove(q->window + i, q->window + i + 1, (q->n_window - i - 1) * sizeof(Candidate));
                        q->n_window--;
                        return;
                }
}

void queue_window_clear(Queue *q) {
        q->n_window = 0;
        q->window_more = true;
}
