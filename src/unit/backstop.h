/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Backstop=: the manager holds the cap of a queue, too. See backstop.c. */

#include "queue/model.h"

typedef struct Units Units;

/* ConcurrencyHardMax= of its slice; UINT32_MAX: none. */
uint32_t backstop_of(const Model *m, const Queue *q);
/* Policies may have changed: drop-ins are written and removed, and the manager is reloaded where one was. Nothing before systemd 258. */
void units_set_backstops(Units *u);
