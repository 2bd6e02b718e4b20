/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A command in our own terminal, as our child, and as if we were not there. */

#include "base/macro.h"
#include <signal.h>

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

/* While it runs, again and again: comes back, at the latest, where a signal came of those that mask lets through. */
typedef void (*Meanwhile)(void *userdata, const sigset_t *mask);
/* The environment: assignments beside our own, of which what begins with JOBMILL_ goes. Signals may be blocked until then; mask is what the command
 * has, and we from then on: one that came meanwhile and would have ended the command counts as if it had. Negative: it was not started, and why;
 * not said. */
int foreground_run(char *const *argv, char *const *environment, const sigset_t *mask, Meanwhile meanwhile, void *userdata, Ended *ret);
bool foreground_is_manager(pid_t pid); /* PID 1, or a user's manager */
/* From now on ^C ends what is waited for, and no other signal anything. */
void foreground_ended(void);
bool foreground_interrupted(void);
/* As a shell would say it. */
int foreground_exit_status(const Ended *e);
/* Where the command died of a signal that somebody sent we do so, too: a shell stops its script or loop then. Comes back where it did not. */
void foreground_die_as(const Ended *e);
