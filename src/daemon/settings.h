/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The contents of jobmill.conf and of its drop-ins: jobmill.conf(5). Plain values, which the manager gives to those who keep to
 * them: nothing below daemon/ knows this file. */

#include "api/limits.h"
#include "base/conf-file.h"

typedef enum Storage {
        STORAGE_PERSISTENT,
        STORAGE_VOLATILE, /* below the runtime directory */
} Storage;

/* All of one width, so that one table can say where each is. */
typedef struct Settings {
        uint64_t storage;
        usec_t timeout_usec;      /* of jobs whose queue does not say; USEC_INFINITY: none */
        usec_t stop_timeout_usec;
        uint64_t output, verify;  /* OutputMode, VerifyMode of jobs whose queue does not say */
        uint64_t queued_max, queued_per_user_max; /* jobs in all queues; UINT64_MAX: no limit */
        uint64_t queues_max;      /* that SetQueue() makes */
        uint64_t poison_max;      /* attempts in a row that were lost or ran out of memory; UINT64_MAX: no limit */
        usec_t adapter_timeout;   /* a durable worker may be away for so long */
        uint64_t firings_max;     /* of each schedule that are kept */
        uint64_t events_max;      /* that are kept for who reads them later */
        uint64_t usage_minutes, usage_hours, usage_days, usage_rows_max; /* µs that accounts are kept by these; so many rows of each */
        usec_t pool_idle_usec;    /* a runner that had nothing to do for so long ends */
        usec_t pool_max_usec;     /* one that is so old ends as soon as it has nothing to do */
        uint64_t in_flight_max;   /* starts and stops that PID 1 has not answered */
        ApiLimits api;
} Settings;

void settings_init(Settings *s);
/* A conf_assign_t; userdata is the Settings. */
int settings_assign(void *userdata, const char *file, unsigned line, const char *section, const char *key, const char *value,
                    ConfError *error);
const char *storage_to_string(Storage s);
