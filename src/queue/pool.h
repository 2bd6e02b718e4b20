/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Runners of queues with Executor=pool (docs/pool.md): workers in a unit of their own, one for each queue and owner, which is started when a job
 * of that owner waits there (queue/server.h); the runner itself is a worker like others (queue/worker.h). */

#include "queue/unit-property.h"
#include "queue/worker.h"

#define POOL_UNIT_PREFIX "jobmill-pool-"
#define POOL_UNIT_MAX 128U

/* "jobmill-pool-QUEUE-UID.service" */
void pool_unit_name(const char *queue, uint32_t owner, char ret[static POOL_UNIT_MAX]);
/* It runs in such a unit, which root alone can have made. */
static inline bool worker_is_runner(const Worker *w) {
        return w->unit && startswith(w->unit, POOL_UNIT_PREFIX);
}

/* The runner cannot give all that a unit of the job's could: what it is, with -EPERM. */
int pool_check_spec(const JobSpec *s, char **ret_error);
int pool_check_properties(const UnitPropertyList *l, char **ret_error);
