/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The unit properties that the runner gives to jobs: those with UNIT_PROPERTY_POOL of queue/unit-property.c, as the names and numbers that
 * PID 1 would have been told. */

#include "runner/cgroup.h"

#include <sys/resource.h>

typedef struct Limit {
        const char *name;
        int64_t value; /* bit for bit what it is in D-Bus */
} Limit;

/* In the control group, by who makes it. -errno; but what a controller that is not there would do is not done, as with units. */
int limits_apply_cgroup(const Limit *l, size_t n, const Cgroups *c, const char *name);
/* In the child, before the command. 0, or the exit status that systemd has for it, with errno. files: RLIMIT_NOFILE, where none is given. */
int limits_apply_process(const Limit *l, size_t n, const struct rlimit *files);
