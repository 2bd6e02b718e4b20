/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* All of the daemon in this process, but for the buses: its socket, its store (in memory), its turn. What PID 1 does is done at once; and what the
 * kernel says of who connects is said here. Its configuration is in tests/fuzz/socket. */

#include "fuzz.h"

#include "daemon/manager.h"

/* Who may connect. */
typedef struct Peer {
        uint32_t uid, pid;
        const char *unit;  /* that it runs in; NULL: none */
        uint64_t started;  /* one that was killed comes again as another */
        int life[2];       /* a pipe: what takes the place of its pidfd; closed, it is gone. life[1] -1: it is gone */
} Peer;

enum { PEER_MANY, PEER_SERVICE, PEER_RUNNER, PEER_ROOT, PEER_OTHER, _PEER_MAX };

extern Manager *daemon_manager;
extern bool daemon_commit_fails;   /* the next one */

void daemon_begin(void);
void daemon_again(void);           /* it is killed and started again: connections go, the store stays */
void daemon_end(void);
int daemon_connect(unsigned peer); /* -1: it does not take that */
void daemon_kill(unsigned peer);
bool daemon_is_gone(unsigned peer);
void daemon_end_jobs(void);        /* those in units of their own: by themselves */
void daemon_run(void);             /* until it has nothing to do */
void daemon_check(void);           /* what must hold of model and store */
