/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Executor=pool, as far as the manager and the files of attempts have to do with it (docs/pool.md). */

#include "queue/pool.h"
#include "unit/units.h"

typedef struct RunnerCommand {
        const char *runner, *exec, *socket; /* paths of jobmill-runner, jobmill-exec and the daemon's socket */
        usec_t idle;
} RunnerCommand;

/* Asks for the units of runners that jobs wait for. Not waited for. */
void units_start_runners(Units *u, const RunnerCommand *c);
/* Is a process left in the unit of this queue and owner? */
bool units_runner_is_populated(const Units *u, const Queue *q, uint32_t owner);

/* What its runner is told beside the spec, as JSON; the files that it needs are made. *ret_error is set (and the return negative) where it is
 * refused. */
int pool_order_format(Units *u, Attempt *a, char **ret, char **ret_error);
