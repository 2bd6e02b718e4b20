/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The control groups of jobs, in that of the runner's unit. Without them (cgroup v2 is not there, or not ours) it could not end what a job leaves
 * behind, so there is no runner. */

#include "base/macro.h"

typedef struct Cgroups {
        int root; /* that of the unit; -EBADF: not open */
        bool has_memory, has_tasks, has_io; /* controllers, of those of jobs */
} Cgroups;

/* UINT64_MAX: not known */
typedef struct CgroupUsage {
        uint64_t cpu_usec, memory_peak, tasks_peak, io_read_bytes, io_write_bytes;
        bool oom_killed;
} CgroupUsage;
#define CGROUP_USAGE_INIT ((CgroupUsage) { UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX, false })

/* Moves the runner into a leaf of its own. -errno: there are none. */
int cgroups_open(Cgroups *c);
/* A descriptor of a new one; -errno */
int cgroup_make(const Cgroups *c, const char *name);
int cgroup_write(const Cgroups *c, const char *name, const char *attribute, const char *value);
void cgroup_read_usage(const Cgroups *c, const char *name, CgroupUsage *ret);
/* Is there a process in it, or below it? */
bool cgroup_is_populated(const Cgroups *c, const char *name);
/* To all processes in it and below it. */
void cgroup_kill(const Cgroups *c, const char *name, int sig);
/* -EBUSY: somebody is in it, or somebody made groups in it that we cannot look into */
int cgroup_remove(const Cgroups *c, const char *name);
