/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Who waits for whom: what the end of one job means for another that waits for it. Pure; the rows are store-edge.c's. */

#include "queue/job.h"

/* job waits for before. */
typedef struct Edge {
        uint64_t job, before;
        AfterCondition condition;
        AfterOtherwise otherwise;
        bool met; /* or ignored: it is decided */
} Edge;

typedef enum EdgeOutcome {
        EDGE_MET,      /* that is one less to wait for */
        EDGE_FAILED,   /* what waits can never start */
        EDGE_CONTINUES /* it waits for nothing any more, not for other jobs either */
} EdgeOutcome;

/* The job that is waited for has ended with this result, after its last attempt. Every result but success is a failure. */
EdgeOutcome edge_decide(AfterCondition condition, AfterOtherwise otherwise, JobResult result);
/* "job 17 (build) ended as exit-code", or the like: why the job that waited can not start. NULL: out of memory. */
char *edge_reason(AfterCondition condition, uint64_t before, const char *name, JobResult result);
/* "after 17", "after 17 and 18", "after 17, 18 and 3 more": the first ones of n. NULL: out of memory. */
char *edge_waits(const uint64_t *ids, uint64_t n);
#define EDGE_WAITS_SHOWN 2U
