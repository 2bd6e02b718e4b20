/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What each part of the daemon can say of itself, as numbers: for GetStatistics and for metrics. daemon/ and api/ fill it in. Counts are
 * those since the daemon started. */

#include "base/macro.h"

typedef struct Diagnostics {
        const char *version, *systemd, *storage; /* "": not known */
        uint64_t store_bytes, store_log_bytes;
        uint64_t commits, commit_usec, commit_errors;
        uint64_t turns, turn_usec, turn_usec_max;
        uint64_t systemd_calls, systemd_errors;  /* answers to starts and stops */
        uint32_t systemd_in_flight;
        uint32_t jobs_in_memory, workers;
        uint32_t clients, connections, subscribers, calls_waiting, answers_held, waits;
        uint64_t last_event;
} Diagnostics;
