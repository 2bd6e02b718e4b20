/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Durable workers: adapters, which hand their jobs on to an engine that holds them (docs/adapters.md). The lease of such an attempt is the engine's job,
 * not the process of the worker: that may end, and another one of the same user and name has its attempts then.
 *
 *   there      a process is; whether it is connected is another matter
 *   away       none is, and it has attempts: they stay, and keep their slots, for so long as AdapterTimeoutSec= says
 *   gone       given up after that, or its process has ended and it had none
 *
 * An attempt of one is STARTING from when it is recorded until the worker says that it runs there. What the worker has kept of it is recorded before
 * it is answered, and told to whoever has it next: so "asked" is known before the engine is asked. */

#include "queue/worker.h"

#define ENGINE_MAX 4096U /* bytes of JSON that are kept of an attempt */
#define ADAPTER_TIMEOUT_DEFAULT (7 * 24 * 60 * 60 * USEC_PER_SEC)

/* NULL: there is none, or it is gone. */
Worker *model_worker_durable(const Model *m, uint32_t uid, const char *name);
/* Its process is gone. false: it is not one that stays. */
bool model_worker_away(Model *m, Worker *w, const Now *now);
/* Another process is it now (or the same, which does not know its token): what that said of itself is taken out of "by". -ENOMEM: it is not there yet,
 * and to be taken over once more. */
int model_worker_take_over(Model *m, Worker *w, Worker *by);
/* First in decide: those that were away for too long are gone. And when the next one will have been, steady; USEC_INFINITY: none is away. */
void workers_give_up(Model *m, const Now *now);
usec_t workers_next_given_up(const Model *m, const Now *now);

/* Of one that is its worker's and has not ended. engine: an object of JSON that is kept (NULL: as it is); started_usec: it runs there since then,
 * realtime (USEC_INFINITY: that is not known). -ENOMEM */
int model_attempt_keep(Model *m, Attempt *a, const char *engine, usec_t started_usec, const Now *now);
