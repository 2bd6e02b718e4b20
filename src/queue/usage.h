/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Accounting: what of this turn counts, by minute, queue, user and type of job. The store adds it to its table in the transaction that
 * records what it tells of (store/store-usage.c), so the sums are those of the rows, also once the rows are gone.
 *
 * A job counts as submitted when it was, an attempt when it ended (one whose start PID 1 had no room for is none), a job when it was
 * done; one that was retried and is done again has ended twice. */

#include "queue/histogram.h"
#include "queue/outcome.h"
#include "queue/queue.h"

typedef struct Model Model;
typedef struct Job Job;

#define USAGE_MINUTE (60 * USEC_PER_SEC)
#define USAGE_TYPE_MAX 64U

/* What is added up: columns of the store, and keys of reports. */
typedef enum UsageValue {
        USAGE_SUBMITTED,
        USAGE_JOBS,      /* done */
        USAGE_FAILED,    /* of these: neither with success nor cancelled */
        USAGE_CANCELLED,
        USAGE_ATTEMPTS,  /* ended */
        USAGE_STARTED,   /* of these: seen started, so it is known how long they waited */
        USAGE_WAIT_USEC,
        USAGE_RUNTIME_USEC,
        USAGE_SLOT_USEC, /* run time, for each slot */
        USAGE_MEASURED,  /* attempts of which the CPU time is known */
        USAGE_CPU_USEC,
        _USAGE_MAX,
        _USAGE_INVALID = -EINVAL,
} UsageValue;

const char *usage_value_to_string(UsageValue v);

typedef struct Usage {
        struct UsageKey {
                usec_t minute;                 /* realtime: it began */
                uint32_t owner;
                char queue[QUEUE_NAME_MAX + 1];
                char type[USAGE_TYPE_MAX + 1]; /* "": of none */
        } key;
        uint64_t values[_USAGE_MAX];
        uint64_t results[_JOB_RESULT_MAX];     /* of jobs that are done */
        Histogram wait, run;                   /* of attempts */
        UT_hash_handle hh;                     /* model->usage, by key */
} Usage;

void usage_submitted(Model *m, const Job *j);
void usage_attempt_ended(Model *m, const Job *j, uint32_t slots, const Outcome *o, const Now *now);
void usage_done(Model *m, const Job *j);
void usage_free_all(Usage **l); /* with each commit */
