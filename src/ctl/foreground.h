/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A command in our own terminal, as our child, and as if we were not there. */

#include "base/macro.h"

typedef struct RunArgs {
        bool no_wait;
        usec_t max_wait; /* USEC_INFINITY: not given */
} RunArgs;
extern RunArgs arg_run; /* of the verb */

typedef struct Ended {
        int error;  /* it could not be started: an errno */
        bool stopped; /* the service manager told all to end */
        int status; /* else: as of waitpid() */
} Ended;

/* The environment: assignments beside our
 * own, of which what begins with JOBMILL_ goes. Negative: it was not started, and why; not said. */
int foreground_run(char *const *argv, char *const *environment, Ended *ret);
/* From now on ^C ends what is waited for, and no other signal anything. */
void foreground_ended(void);
bool foreground_interrupted(void);
/* As a shell would say it. */
int foreground_exit_status(const Ended *e);
