/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Those in the world of test-policy-random.c that are given jobs: workers, the units that are started for them, and who waits in the foreground. */

#include "policy-world.h"

/* policy-peers.c: workers */
bool peer_event(unsigned kind);
bool peer_comes(uint32_t owner, uint32_t slots, unsigned queues, const char *unit, int runner); /* false: there are too many */
Peer *peer_choose(unsigned queue, uint32_t owner, uint32_t slots); /* NULL: nobody has room */
bool peer_could(unsigned queue, uint32_t owner, uint32_t slots); /* somebody will, when others have ended */
bool peer_serves(const Peer *p, unsigned queue, uint32_t owner);
uint32_t peer_room(const Peer *p);
void peer_ends(Lease *l, JobResult result, int status);
void peers_tell(void);                   /* what became of processes that are gone */
void peers_recorded(void);
void peers_loaded(Model *m);             /* from the store: what was not recorded never was */
void peers_all(void);                    /* whoever may wait for one has one */

/* policy-servers.c: units that are started for them */
bool server_event(unsigned kind);
void servers_act(Manager *m);
void servers_loaded(void);               /* nothing of them is stored */
void server_registered(const Peer *p);
void servers_all(void);                  /* those that are asked for come */
bool servers_come(void);                 /* … will */

/* policy-foreground.c */
void fore_submitted(Job *j);
bool fore_event(unsigned kind);
bool fore_exits(Lease *l, JobResult result, int status); /* false: it cannot say how it ended */
bool fore_is_gone(const Lease *l);       /* … of one in a scope */
void fores_tell(void);                   /* as peers_tell(), … */
void fores_loaded(Model *m);
void fores_all(void);                    /* those that are there are heard of again */
