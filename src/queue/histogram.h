/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* How often a span was how long: counts by fixed bounds, which docs/monitoring.md names. A value that is a bound counts below it. */

#include "base/macro.h"

#define HISTOGRAM_BOUNDS 14U

typedef struct Histogram {
        uint64_t count[HISTOGRAM_BOUNDS + 1]; /* the last one: above all bounds */
        uint64_t sum;                         /* µs */
} Histogram;

/* Of what jobs take and wait, and of what the daemon itself does: from 10 ms to a day, from 100 µs to 10 s. */
extern const usec_t histogram_job_bounds[HISTOGRAM_BOUNDS], histogram_latency_bounds[HISTOGRAM_BOUNDS];

void histogram_add(Histogram *h, const usec_t *bounds, usec_t value);
void histogram_merge(Histogram *h, const Histogram *other);
