/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Backstop=: the manager holds the cap of a queue, too. See backstop.c. */

#include "queue/model.h"

typedef struct Units Units;

/* Queue.slices_below of all: the slices in it of queues with a file, and those on the way to them of queues without one. */
void backstops_count(Model *m);
/* ConcurrencyHardMax= of its slice, of what was counted; UINT32_MAX: none. */
uint32_t backstop_of(const Queue *q);
/* Policies may have changed: drop-ins are written and removed, and the manager is reloaded where one was. Nothing before systemd 258. */
void units_set_backstops(Units *u);
