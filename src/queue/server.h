/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Units that are started because a job waits for the process that they hold (WorkerUnit=). Pure: what is wanted is decided here, unit/ asks
 * for it, and that it worked shows when the process registers. Nothing of it is recorded. */

#include "base/macro.h"

#include <uthash.h>

typedef struct Model Model;
typedef struct Now Now;
typedef struct Queue Queue;

#define SERVER_AGAIN_MIN (1 * USEC_PER_SEC) /* nobody came: it is asked for once more, later each time */
#define SERVER_AGAIN_MAX (60 * USEC_PER_SEC)

typedef struct Server {
        char *unit;
        char *error;           /* why it was not started; NULL: it was, or nobody knows yet */
        bool wanted, asking;   /* unit/: it is to be asked for, and was, without an answer */
        usec_t delay, again;   /* again: of now->steady */
        UT_hash_handle hh;     /* model->servers, by unit */
} Server;

/* In decide, of a queue in which a job of this user could start: nobody is there to take it. Sets model->next_admission. */
void server_want(Model *m, const Queue *q, uint32_t owner, const Now *now);
/* What came of asking; error: NULL: it is being started. */
void server_asked(Model *m, Server *s, const char *error);
/* Somebody came out of this unit. */
void server_came(Model *m, const char *unit);
/* Another connection: what was asked may not have been heard. */
void servers_forget_asked(Model *m);
/* Why nobody is there, as reason_say(); 0: nothing is started for this queue. */
int server_reason(const Model *m, const Queue *q, char **ret);
void servers_done(Model *m);
