/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Workers as they are reached: their connections and processes (docs/workers.md). What they have and may be given is the model's
 * (queue/worker.h); what they are told, and when, is decided in daemon/workers.c. */

#include "api/api.h"
#include "api/process.h"

/* The model is another: whose process is gone by now is gone from it. */
void api_workers_resume(Api *a);
void api_workers_free(Api *a);

/* What a worker is told. 0: it is not there, or does not read; once more when it does. */
bool api_worker_has_room(const Api *a, const Attempt *at);
/* run: what its runner needs beside the spec; NULL for other workers. */
int api_worker_assign(Api *a, const Attempt *at, const char *run);
int api_worker_cancel(Api *a, const Attempt *at);
int api_worker_signal(Api *a, const Attempt *at, int sig); /* of a runner */
void api_worker_kill(Api *a, const Worker *w);
/* {drain}, to those of whom it is recorded. */
void api_workers_drain(Api *a);

/* Between worker.c and worker-link.c. add: unless there is one; takes p->fd over. */
int worker_link_add(Api *a, Worker *w, Process *p);
void worker_link_remove(Api *a, uint64_t id);
bool worker_link_let_go(Api *a, uint64_t id, const Process *p); /* false: another process that is not gone has it */
void worker_link_drain(Api *a, uint64_t id); /* it is to be told, if it is connected */
void worker_link_connect(Api *a, Worker *w, Connection *c);
void worker_connection_gone(Api *a, uint64_t id);
void worker_connection_has_room(const Api *a, uint64_t id);
