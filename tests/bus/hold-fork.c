/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A fork() of one process that takes as long as the test likes (LD_PRELOAD): until $JOBMILL_HOLD_FORK is gone. */

#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

pid_t fork(void) {
        const char *held = getenv("JOBMILL_HOLD_FORK");

        while (held && access(held, F_OK) >= 0)
                (void) nanosleep(&(struct timespec) { .tv_nsec = 10 * 1000 * 1000 }, NULL);
        return ((pid_t (*)(void)) dlsym(RTLD_NEXT, "fork"))();
}
