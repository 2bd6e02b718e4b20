/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A pairing heap of nodes that lie in what they belong to: nothing is allocated, so nothing can fail. A node whose place has
 * changed is taken out and put in again. */

#include "base/macro.h"

typedef struct HeapNode HeapNode;
struct HeapNode {
        HeapNode *child, *next, *prev; /* prev: the one to the left, or the one above */
};

/* userdata is what was given to the call. */
typedef bool (*heap_before_t)(const HeapNode *a, const HeapNode *b, const void *userdata);

/* *root is the first of all, NULL: none. */
void heap_put(HeapNode **root, HeapNode *n, heap_before_t before, const void *userdata);
void heap_take(HeapNode **root, HeapNode *n, heap_before_t before, const void *userdata);
