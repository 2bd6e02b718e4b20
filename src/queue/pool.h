/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Runners of queues with Executor=pool (docs/pool.md): workers in a unit of their own, one for each queue and owner, which is started when a job
 * of that owner waits there. Pure: unit/pool.c asks for the unit; the runner itself is a worker like others (queue/worker.h). */

#include "queue/unit-property.h"
#include "queue/worker.h"

#define POOL_UNIT_PREFIX "jobmill-pool-"
#define POOL_UNIT_MAX 128U
#define POOL_START_WAIT (5 * USEC_PER_SEC)  /* by then it has registered, or another one is asked for; twice as long each time */
#define POOL_START_DOUBLED_MAX 4U

/* A runner that is wanted and not there. */
typedef struct Pool {
        char unit[POOL_UNIT_MAX];
        char queue[65];
        uint32_t owner;
        char *owner_name;  /* NULL: it has none */
        bool wanted;       /* act: its unit is to be asked for */
        unsigned asked;    /* so often */
        usec_t again;      /* steady: not before this it is asked for again */
        char *trouble;     /* why not, as the manager says it; or NULL */
        UT_hash_handle hh; /* model->pools, by unit */
} Pool;

/* "jobmill-pool-QUEUE-UID.service" */
void pool_unit_name(const char *queue, uint32_t owner, char ret[static POOL_UNIT_MAX]);
/* It runs in such a unit, which root alone can have made. */
static inline bool worker_is_runner(const Worker *w) {
        return w->unit && startswith(w->unit, POOL_UNIT_PREFIX);
}

/* A job waits for it. Sets model->next_admission. -ENOMEM */
int pool_want(Model *m, Queue *q, uint32_t owner, const char *owner_name, const Now *now);
Pool *pool_find(const Model *m, const char *unit);
/* The manager refused, with this; or NULL: something is there by that name, so ask again soon. */
void pool_refused(Model *m, Pool *p, const char *error, const Now *now);
/* It is there. */
void pool_registered(Model *m, const char *unit);
/* Those that nobody wants any more. */
void pools_forget(Model *m, const Now *now);
void pools_free(Model *m);
/* As reason_say(): of one who waits for a runner that is not there. */
int pool_reason(const Model *m, const Queue *q, uint32_t owner, char **ret);

/* The runner cannot give all that a unit of the job's could: what it is, with -EPERM. */
int pool_check_spec(const JobSpec *s, char **ret_error);
int pool_check_properties(const UnitPropertyList *l, char **ret_error);
