/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Units that queues wait for (GateUnit=): see gate.c. */

#include <sys/queue.h>
#include <systemd/sd-bus.h>

typedef struct Units Units;

#define UNITS_GATES_IN_FLIGHT 8U
TAILQ_HEAD(GateLookList, GateLook);

/* Look at those that are to be looked at. */
void units_look_gates(Units *u);
/* At all of them; at those where that failed. */
void units_want_gates(Units *u);
void units_tick_gates(Units *u);
/* A signal that some unit changed. */
void units_heed_gate(Units *u, sd_bus_message *m);
/* Another connection, or another manager. */
void units_forget_gates(Units *u);
