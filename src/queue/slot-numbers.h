/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Which numbers of slots are held, and by how many attempts (two may hold the same one where it was adopted). The lowest free ones are
 * found in the logarithm of how many there are. */

#include "base/macro.h"

typedef struct SlotNumbers {
        uint32_t *tree; /* [n + i]: by how many i is held; [i]: the lower one of [2 i] and [2 i + 1] */
        size_t n;       /* a power of two; numbers from there on were never held. 0: none */
} SlotNumbers;

void slot_numbers_done(SlotNumbers *s);
int slot_numbers_hold(SlotNumbers *s, const uint32_t *numbers, uint32_t n); /* -ENOMEM: none of them is */
void slot_numbers_let_go(SlotNumbers *s, const uint32_t *numbers, uint32_t n);
/* The n lowest that nobody holds, all below max. -ERANGE: there are not so many. */
int slot_numbers_find(const SlotNumbers *s, uint32_t *ret, uint32_t n, uint32_t max);
