/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A process as the kernel tells of it: a number that cannot become somebody else's while it is looked at. */

#include "base/macro.h"

#include <systemd/sd-id128.h>

typedef struct Process {
        int fd;            /* pidfd */
        uint32_t pid;
        uint64_t started;  /* ticks since the boot */
        sd_id128_t boot_id;
        char *unit;        /* NULL: in none */
} Process;

void process_done(Process *p);
/* Who connected this socket. user: units of a user's manager count. -ESRCH: it is gone. */
int process_of_peer(int fd, bool user, Process *ret);
/* One that was seen before. -ESRCH: it is gone. */
int process_again(uint32_t pid, uint64_t started, sd_id128_t boot_id, int *ret_fd);
/* The control group of the service whose main process it is, below the mount; NULL: it is not, that is ours too, or it is gone. */
char *process_own_cgroup(uint32_t pid, int fd, bool user);
/* It runs as this user and nobody else. -EPERM: not; -ESRCH: it is gone. */
int process_check_user(uint32_t pid, int fd, uint32_t uid);
/* It had been started by then. */
bool process_is_older(const Process *p, usec_t boottime);
bool process_is_gone(int fd);
int process_kill(int fd);
/* The unit of a line of /proc/PID/cgroup, NULL: none, or out of memory. */
char *process_cgroup_to_unit(const char *path, bool user);
