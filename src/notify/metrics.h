/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Metrics: counters that the daemon keeps since it started, and all that it can tell now, in the text format of Prometheus
 * (docs/monitoring.md names each of them). Labels are queues, states and results, and nothing that users make up. */

#include "queue/diagnostics.h"
#include "queue/model.h"

/* Of more queues than that the others are left out: `jobmill_queues` tells. */
#define METRICS_QUEUES_MAX 1000U

typedef struct QueueMetrics QueueMetrics;

typedef struct Metrics {
        QueueMetrics *queues; /* uthash by name */
        Histogram commits, turns;
        uint64_t commit_errors;
        usec_t turn_max;
        usec_t started;       /* realtime */
} Metrics;

void metrics_done(Metrics *m);
/* What a commit has recorded. */
void metrics_count(Metrics *m, const Usage *list);
/* 0 or -ENOMEM. */
int metrics_write(const Metrics *m, const Model *model, const Diagnostics *d, char **ret);
