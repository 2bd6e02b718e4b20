/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What becomes of a job whose attempt did not succeed: another one, when, and with how much memory. Pure functions of the
 * spec and of what PID 1 measured; the model (attempt.c) does what they say (docs/states.md, "Another attempt"). */

#include "queue/model.h"
#include "queue/unit-property.h"

#define RETRY_BASE_DEFAULT (1 * USEC_PER_SEC)
#define RETRY_MAX_DEFAULT (60 * 60 * USEC_PER_SEC)
/* What a job says of itself by its exit status, whatever retry_on lists. */
#define RETRY_STATUS_AGAIN 75 /* EX_TEMPFAIL */
#define RETRY_STATUS_NEVER 100

/* Does this end ask for another attempt? Whether one is left is not asked here. */
bool retry_is_wanted(const JobSpec *spec, const Outcome *o);
/* Did its machine, or its memory, die with it? As often in a row as the guard allows, and it is not tried again. */
bool retry_is_poison(const Outcome *o);
/* How long the next attempt waits after so many that failed (≥ 1). random: any 64 bits, for the jitter. */
usec_t retry_delay(const JobSpec *spec, uint32_t failures, uint64_t random);

/* Why a job that had an attempt waits: "attempt 2 of 5 in 4 s". NULL: out of memory. */
char *retry_reason(const Model *m, const Job *j, const Now *now);

/* After so many oom-kills the job asks for MemoryMax × memory_growth, × memory_growth, …: of its own MemoryMax=, else of the
 * queue's. In its own list only, so that what files allow bounds it when the two are merged. -ENOMEM. */
int retry_grow_memory(UnitPropertyList *job, const UnitPropertyList *queue, double growth, uint32_t times);
