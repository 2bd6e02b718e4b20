/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "queue/heap.h"

/* Of two trees: the root that comes later becomes the first child of the other. */
static HeapNode *merge(HeapNode *a, HeapNode *b, heap_before_t before, const void *userdata) {
        if (!a || !b)
                return a ?: b;
        if (before(b, a, userdata)) {
                HeapNode *t = a;

                a = b;
                b = t;
        }
        b->next = a->child;
        if (b->next)
                b->next->prev = b;
        b->prev = a;
        a->child = b;
        return a;
}

/* Siblings, two by two from the left, and these from the right: that is what makes it fast in the long run. */
static HeapNode *merge_siblings(HeapNode *n, heap_before_t before, const void *userdata) {
        HeapNode *pairs = NULL, *all = NULL;

        while (n) {
                HeapNode *a = n, *b = a->next;

                n = b ? b->next : NULL;
                a->next = a->prev = NULL;
                if (b)
                        b->next = b->prev = NULL;
                a = merge(a, b, before, userdata);
                a->next = pairs;
                pairs = a;
        }
        while ((n = pairs)) {
                pairs = n->next;
                n->next = NULL;
                all = merge(all, n, before, userdata);
        }
        return all;
}

void heap_put(HeapNode **root, HeapNode *n, heap_before_t before, const void *userdata) {
        *n = (HeapNode) {};
        *root = merge(*root, n, before, userdata);
}

void heap_take(HeapNode **root, HeapNode *n, heap_before_t before, const void *userdata) {
        HeapNode *below = merge_siblings(n->child, before, userdata);

        if (*root == n)
                *root = below;
        else {
                if (n->prev->child == n)
                        n->prev->child = n->next;
                else
                        n->prev->next = n->next;
                if (n->next)
                        n->next->prev = n->prev;
                *root = merge(*root, below, before, userdata);
        }
        *n = (HeapNode) {};
}

static bool is_earlier(const HeapNode *a, const HeapNode *b, const void *userdata) {
        return ((const TimedNode *) a)->when < ((const TimedNode *) b)->when;
}

void heap_set_time(HeapNode **root, TimedNode *n, usec_t when) {
        if (n->when == when)
                return;
        if (n->when != USEC_INFINITY)
                heap_take(root, &n->node, is_earlier, NULL);
        n->when = when;
        if (when != USEC_INFINITY)
                heap_put(root, &n->node, is_earlier, NULL);
}

usec_t heap_first_time(const HeapNode *root) {
        return root ? ((const TimedNode *) root)->when : USEC_INFINITY;
}
