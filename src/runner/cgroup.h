/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The control groups of jobs, in that of the runner's unit. Without them (cgroup v2 is not there, or not ours) all of this says so, and the runner
 * has nothing but process groups. */

#include "base/macro.h"

typedef struct Cgroups {
        int root; /* that of the unit; -EBADF: there are none */
        bool has_memory, has_tasks, has_io; /* controllers, of those of jobs */
} Cgroups;

/* UINT64_MAX: not known */
typedef struct CgroupUsage {
        uint64_t cpu_usec, memory_peak, tasks_peak, io_read_bytes, io_write_bytes;
        bool oom_killed;
} CgroupUsage;
#define CGROUP_USAGE_INIT ((CgroupUsage) { UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX, false })

/* Moves the runner into a leaf of its own. -errno: there are none, which the runner can live with. */
int cgroups_open(Cgroups *c);
/* A descriptor of a new one; -errno */
int cgroup_make(const Cgroups *c, const char *name);
int cgroup_write(const Cgroups *c, const char *name, const char *attribute, const char *value);
void cgroup_read_usage(const Cgroups *c, const char *name, CgroupUsage *ret);
/* To all processes in it and below it. */
void cgroup_kill(const Cgroups *c, const char *name, int sig);
/* -EBUSY: somebody is in it */
int cgroup_remove(const Cgroups *c, const char *name);
