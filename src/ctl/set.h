/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What `set` can change of a job: the words that submit's long options have, as KEY=VALUE. */

#include "base/macro.h"
#include "ctl/backoff.h"
#include <systemd/sd-bus.h>

typedef enum SetBits {
        SET_PRIORITY = 1 << 0,
        SET_SLOTS = 1 << 1,
        SET_NOT_BEFORE = 1 << 2,
        SET_TIMEOUT = 1 << 3,
        SET_STOP_TIMEOUT = 1 << 4,
        SET_DELAY = 1 << 5,
        SET_DEADLINE = 1 << 6,
        SET_ATTEMPTS = 1 << 7,
        SET_REQUEUE_LOST = 1 << 8,
        SET_MEMORY_GROWTH = 1 << 9,
        SET_ARRAY_MAX = 1 << 10,
        SET_KEEP = 1 << 11,
        SET_FREEZABLE = 1 << 12,
} SetBits;

typedef struct Settings {
        unsigned given;                                         /* of the numbers */
        char *name, *queue, *directory, *output, *error, *verify, *to, *unique, *unique_scope; /* NULL: not given */
        int32_t priority;
        uint32_t slots, attempts, array_max;
        bool requeue_lost, freezable;
        double memory_growth;
        Backoff backoff;
        usec_t not_before, delay, deadline, timeout, stop_timeout, keep; /* USEC_INFINITY: none */
        char **tags, **properties, **command, **retry_on;
} Settings;

void settings_done(Settings *s);
/* One KEY=VALUE. Says what is wrong with it. */
int settings_read(Settings *s, const char *word);
/* The keys, for the help and for completion; NULL behind the last one. */
const char *settings_key(size_t i, const char **ret_help);

/* As bulk_append_t; userdata: Settings, and for moves the name of the queue. */
int set_append(sd_bus_message *call, const void *userdata);
int move_append_one(sd_bus_message *call, const void *userdata);
int move_append_many(sd_bus_message *call, const void *userdata);
