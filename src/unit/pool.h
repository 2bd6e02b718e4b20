/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Executor=pool, as far as the manager and the files of attempts have to do with it (docs/pool.md). */

#include "queue/pool.h"
#include "unit/units.h"

struct RunnerCommand {
        const char *runner, *exec, *socket; /* paths of jobmill-runner, jobmill-exec and the daemon's socket; which it may not have: NULL */
        usec_t idle, max;
};

/* What the unit of this one is to be: all behind its name and the mode. */
int runner_unit_append(sd_bus_message *m, const Units *u, const Server *s, const RunnerCommand *c);
/* Is a process left in the control group of this attempt? Also where that is not known yet. */
bool units_task_is_populated(const Units *u, const Attempt *a);

/* Those in which a process is, in all units of runners that there are. */
typedef void (*task_found_t)(void *userdata, const char *queue, uint32_t owner, uint64_t job, uint32_t number);
void units_find_tasks(const Units *u, task_found_t found, void *userdata);

/* What its runner is told beside the spec, as JSON; the files that it needs are made. *ret_error is set (and the return negative) where it is
 * refused. */
int pool_order_format(Units *u, Attempt *a, char **ret, char **ret_error);
