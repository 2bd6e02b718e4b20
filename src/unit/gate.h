/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Units that queues wait for (GateUnit=): see gate.c; and those that are started for them (WorkerUnit=, runners): see server.c. */

#include <sys/queue.h>
#include <systemd/sd-bus.h>

typedef struct Units Units;
typedef struct RunnerCommand RunnerCommand;

#define UNITS_GATES_IN_FLIGHT 6U
#define UNITS_SERVERS_IN_FLIGHT 2U
TAILQ_HEAD(GateLookList, GateLook);
TAILQ_HEAD(ServerStartList, ServerStart);

/* Look at those that are to be looked at. */
void units_look_gates(Units *u);
/* At all of them; at those where that failed. */
void units_want_gates(Units *u);
void units_tick_gates(Units *u);
/* A signal that some unit changed. */
void units_heed_gate(Units *u, sd_bus_message *m);
/* Another connection, or another manager. */
void units_forget_gates(Units *u);

/* Those that are wanted. */
void units_start_servers(Units *u, const RunnerCommand *c);
void units_forget_servers(Units *u);
