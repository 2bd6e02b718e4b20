/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "queue/slot-numbers.h"

void slot_numbers_done(SlotNumbers *s) {
        free(s->tree);
        *s = (SlotNumbers) {};
}

static bool renew(SlotNumbers *s, size_t i) {
        uint32_t lower = MIN(s->tree[2 * i], s->tree[2 * i + 1]);

        if (s->tree[i] == lower)
                return false;
        s->tree[i] = lower;
        return true;
}

static int grow(SlotNumbers *s, size_t wanted) {
        SlotNumbers larger = { .n = MAX(s->n, (size_t) 16) };

        while (larger.n < wanted)
                larger.n *= 2;
        if (larger.n == s->n)
                return 0;
        larger.tree = new0(uint32_t, 2 * larger.n);
        if (!larger.tree)
                return -ENOMEM;
        if (s->n > 0)
                memcpy(larger.tree + larger.n, s->tree + s->n, s->n * sizeof(uint32_t));
        for (size_t i = larger.n - 1; i > 0; i--)
                (void) renew(&larger, i);
        free(s->tree);
        *s = larger;
        return 0;
}

static void change(SlotNumbers *s, uint32_t number, int by) {
        size_t i = s->n + number;

        s->tree[i] += by;
        while ((i /= 2) > 0 && renew(s, i))
                ;
}

int slot_numbers_hold(SlotNumbers *s, const uint32_t *numbers, uint32_t n) {
        size_t wanted = 0;
        int r;

        for (uint32_t i = 0; i < n; i++)
                wanted = MAX(wanted, (size_t) numbers[i] + 1);
        r = grow(s, wanted);
        if (r < 0)
                return r;
        for (uint32_t i = 0; i < n; i++)
                change(s, numbers[i], +1);
        return 0;
}

void slot_numbers_let_go(SlotNumbers *s, const uint32_t *numbers, uint32_t n) {
        for (uint32_t i = 0; i < n; i++)
                change(s, numbers[i], -1);
}

/* The first free ones at and below a node. */
static uint32_t collect(const SlotNumbers *s, size_t node, uint32_t *ret, uint32_t n) {
        uint32_t k;

        if (n == 0 || s->tree[node] > 0)
                return 0;
        if (node >= s->n) {
                *ret = node - s->n;
                return 1;
        }
        k = collect(s, 2 * node, ret, n);
        return k + collect(s, 2 * node + 1, ret + k, n - k);
}

int slot_numbers_find(const SlotNumbers *s, uint32_t *ret, uint32_t n, uint32_t max) {
        uint32_t k = s->n > 0 ? collect(s, 1, ret, n) : 0;

        for (size_t next = s->n; k < n && next < max; next++)
                ret[k++] = next;
        return k < n || (n > 0 && ret[n - 1] >= max) ? -ERANGE : 0;
}
