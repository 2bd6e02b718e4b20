/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What can only be had from the cgroup itself, while it lives. Paths are computed: a job's unit lies at
 * ROOT/jobmill.slice/jobmill-a.slice/jobmill-a-b.slice/UNIT below the mount of cgroup v2. */

#include "queue/model.h"

#include <dirent.h>

/* "/jobmill.slice/jobmill-gpu.slice/jobmill-job-1-1.service" below root; NULL: out of memory. */
char *cgroup_unit_path(const char *root, const char *slice, const char *unit);
/* Is there a process in it or below it? A cgroup that is not there is empty. */
bool cgroup_is_populated(const char *path);
bool cgroup_is_empty(const char *path); /* it is there, and nobody is in it */
bool cgroup_is_frozen(const char *path);
/* The one thing that is written, and only where the manager cannot (freezer.c). */
int cgroup_set_frozen(const char *path, bool frozen);
DIR *cgroup_open(const char *path); /* NULL: it is not there, or cannot be read */
/* io.stat: the sums over all disks, in bytes. false: not to be had */
bool cgroup_read_io(const char *path, uint64_t *ret_read, uint64_t *ret_written);
uint64_t cgroup_read_cpu(const char *path); /* µs; UINT64_MAX: not to be had */
/* memory.peak (kernel ≥ 5.19), pids.peak; UINT64_MAX: not to be had */
uint64_t cgroup_read_u64(const char *path, const char *attribute);
static inline uint64_t known_max(uint64_t a, uint64_t b) { /* UINT64_MAX: not known */
        return a == UINT64_MAX ? b : b == UINT64_MAX ? a : MAX(a, b);
}
