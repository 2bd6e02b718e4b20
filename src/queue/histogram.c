/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "queue/histogram.h"

#define MS USEC_PER_MSEC
#define SEC USEC_PER_SEC

const usec_t histogram_job_bounds[HISTOGRAM_BOUNDS] = {
        10 * MS, 100 * MS, 500 * MS, 1 * SEC, 5 * SEC, 10 * SEC, 30 * SEC, 60 * SEC, 300 * SEC, 900 * SEC, 3600 * SEC, 10800 * SEC,
        21600 * SEC, 86400 * SEC,
};

const usec_t histogram_latency_bounds[HISTOGRAM_BOUNDS] = {
        MS / 10, MS / 4, MS / 2, 1 * MS, 5 * MS / 2, 5 * MS, 10 * MS, 25 * MS, 50 * MS, 100 * MS, 250 * MS, 1 * SEC, 5 * SEC / 2,
        10 * SEC,
};

void histogram_add(Histogram *h, const usec_t *bounds, usec_t value) {
        size_t i = 0;

        while (i < HISTOGRAM_BOUNDS && value > bounds[i])
                i++;
        h->count[i]++;
        h->sum = usec_add(h->sum, value);
}

void histogram_merge(Histogram *h, const Histogram *other) {
        for (size_t i = 0; i <= HISTOGRAM_BOUNDS; i++)
                h->count[i] += other->count[i];
        h->sum = usec_add(h->sum, other->sum);
}
