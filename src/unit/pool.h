/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Executor=pool, as far as the manager and the files of attempts have to do with it (docs/pool.md). */

#include "queue/pool.h"
#include "unit/units.h"

#define UNITS_RUNNERS_IN_FLIGHT 2U

typedef struct RunnerCommand {
        const char *runner, *exec, *socket; /* paths of jobmill-runner, jobmill-exec and the daemon's socket */
        usec_t idle, max;
} RunnerCommand;

/* Asks for the units of runners that jobs wait for. Not waited for. */
void units_start_runners(Units *u, const RunnerCommand *c);
/* Is a process left in the control group of this attempt? Also where that is not known yet. */
bool units_task_is_populated(const Units *u, const Attempt *a);

/* What its runner is told beside the spec, as JSON; the files that it needs are made. *ret_error is set (and the return negative) where it is
 * refused. */
int pool_order_format(Units *u, Attempt *a, char **ret, char **ret_error);
