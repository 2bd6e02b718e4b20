/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "queue/queue.h"

/* A job that is asked for, and what its unit would be: that only unit/ knows, so daemon/ gives the function. *ret_error is set (and
 * the return negative) where a property is refused. */
typedef struct Preview {
        Queue *queue;
        JobSpec *spec;
        uint32_t owner;
        const char *owner_name;
        bool privileged;
} Preview;
typedef int (*preview_t)(void *userdata, const Preview *p, char **ret, char **ret_error);
