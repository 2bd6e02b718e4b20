/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Units that are started because a job waits for the process that they hold, a worker: that of WorkerUnit=, which is there; or that of a runner
 * (queue/pool.h), which is made. Pure: what is wanted is decided here, unit/server.c asks for it, and that it worked shows when the process registers.
 * Nothing of it is recorded. */

#include "base/macro.h"
#include "queue/heap.h"

#include <sys/queue.h>
#include <uthash.h>

typedef struct Model Model;
typedef struct Now Now;
typedef struct Queue Queue;

#define SERVER_AGAIN_MIN (1 * USEC_PER_SEC) /* nobody came: it is asked for once more, later each time */
#define SERVER_AGAIN_MAX (60 * USEC_PER_SEC)
#define SERVER_QUIET (4 * USEC_PER_SEC)     /* when it is asked for so late again something is wrong */

typedef struct Server Server;
TAILQ_HEAD(ServerList, Server);
struct Server {
        char *unit;
        char *queue;           /* of a runner: whose unit it is to be; else NULL */
        uint32_t owner;        /* … and as whom it is to run */
        char *owner_name;      /* NULL: he has none */
        char *error;           /* why it was not started; NULL: it was, or nobody knows yet */
        bool wanted, asking;   /* unit/: it is to be asked for (on model->servers_wanted), and was, without an answer */
        usec_t delay, again;   /* again: of now->steady */
        TimedNode forget;      /* of model->servers_forget; steady: nobody has wanted it for so long, perhaps */
        TimedNode kept;        /* of model->servers_kept: slots are kept for somebody who waits for it, until then */
        TAILQ_ENTRY(Server) wanted_entry;
        UT_hash_handle hh;     /* model->servers, by unit */
};

/* In decide, of a queue in which a job of this user could start: nobody is there to take it. Sets model->next_admission. */
void server_want(Model *m, const Queue *q, uint32_t owner, const char *owner_name, const Now *now);
/* Nobody is there yet who could be given it, but soon will be: what it lacks is kept for it. When that is over it is asked of again. */
bool server_is_coming(Model *m, const Queue *q, uint32_t owner, const Now *now);
/* In decide, behind admission_decide(): those that did not come in time. */
void servers_decide(Model *m, const Now *now);
Server *server_find(const Model *m, const char *unit); /* NULL: it is not wanted */
/* It is about to be asked for: wanted no more. */
void server_take(Model *m, Server *s);
/* What came of asking; error: NULL: it is being started. */
void server_asked(Model *m, Server *s, const char *error);
/* … where another of its name has not quite gone, or is there and not heard of yet: soon again. */
void server_is_in_the_way(Model *m, Server *s, const Now *now);
/* Somebody came out of this unit, and can be given jobs. */
void server_came(Model *m, const char *unit);
/* Another connection: what was asked may not have been heard. */
void servers_forget_asked(Model *m);
/* Those that nobody wanted any more for so long: a job that is left wants it again as soon as it may. */
void servers_forget(Model *m, const Now *now);
/* Why nobody is there, as reason_say(); 0: nothing is started for this queue. */
int server_reason(const Model *m, const Queue *q, uint32_t owner, char **ret);
void servers_done(Model *m);
