/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What the daemon says of itself: gathered from its parts, which know nothing of one another. Nothing is counted for it when it is asked;
 * a look costs the same however many jobs there are. */

#include "daemon/manager.h"

#include "base/time-util.h"

void manager_diagnose(void *userdata, Diagnostics *d) {
        const Manager *m = userdata;

        *d = (Diagnostics) {
                .version = JOBMILL_VERSION,
                .systemd = strempty(m->units->version),
                .storage = m->api->storage,
                .store_bytes = store_size(m->store),
                .store_log_bytes = store_log_size(m->store),
                .commit_usec = m->metrics.commits.sum,
                .commit_errors = m->metrics.commit_errors,
                .turn_usec = m->metrics.turns.sum,
                .turn_usec_max = m->metrics.turn_max,
                .systemd_calls = m->units->answers,
                .systemd_errors = m->units->errors,
                .systemd_in_flight = m->units->in_flight,
                .jobs_in_memory = HASH_COUNT(m->model->jobs),
                .workers = HASH_COUNT(m->model->workers),
                .last_event = store_last_event(m->store),
        };
        for (size_t i = 0; i <= HISTOGRAM_BOUNDS; i++) {
                d->commits += m->metrics.commits.count[i];
                d->turns += m->metrics.turns.count[i];
        }
        api_diagnose(m->api, d);
}

int manager_write_metrics(void *userdata, char **ret) {
        Manager *m = userdata;
        Diagnostics d;

        manager_diagnose(m, &d);
        return metrics_write(&m->metrics, m->model, &d, ret);
}

/* ---- how long it takes ---- */

void manager_committed(Manager *m, usec_t began, bool good) {
        if (good)
                metrics_count(&m->metrics, m->model->usage);
        m->metrics.commit_errors += !good;
        histogram_add(&m->metrics.commits, histogram_latency_bounds, usec_sub(now_usec(CLOCK_MONOTONIC), began));
}

void manager_turned(Manager *m) {
        usec_t took = usec_sub(now_usec(CLOCK_MONOTONIC), m->now.monotonic);

        m->metrics.turn_max = MAX(m->metrics.turn_max, took);
        histogram_add(&m->metrics.turns, histogram_latency_bounds, took);
}
