/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A pairing heap of nodes that lie in what they belong to: nothing is allocated, so nothing can fail. A node whose place has
 * changed is taken out and put in again. */

#include "base/time-util.h"

typedef struct HeapNode HeapNode;
struct HeapNode {
        HeapNode *child, *next, *prev; /* prev: the one to the left, or the one above */
};

/* userdata is what was given to the call. */
typedef bool (*heap_before_t)(const HeapNode *a, const HeapNode *b, const void *userdata);

/* *root is the first of all, NULL: none. */
void heap_put(HeapNode **root, HeapNode *n, heap_before_t before, const void *userdata);
void heap_take(HeapNode **root, HeapNode *n, heap_before_t before, const void *userdata);

/* The same of what has its time. */
typedef struct TimedNode {
        HeapNode node; /* first member */
        usec_t when;   /* USEC_INFINITY: never, it is in no heap; so it begins */
} TimedNode;

void heap_set_time(HeapNode **root, TimedNode *n, usec_t when);
usec_t heap_first_time(const HeapNode *root); /* USEC_INFINITY: there is none */
