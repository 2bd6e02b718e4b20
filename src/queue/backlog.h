/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* How many jobs are queued (held, waiting or ready): in a queue with all below it, in all queues, and of whom. For MaxQueued=
 * and MaxQueuedPerUser=. Of the queue that a job is in the number is a row of the store, so that neither a start nor a submit
 * counts jobs. */

#include "base/macro.h"

#include <sys/queue.h>
#include <uthash.h>

typedef struct Model Model;
typedef struct Queue Queue;

typedef struct UserBacklog {
        uint32_t owner;
        uint64_t own;     /* in exactly this queue: the row */
        uint64_t all;     /* with those below it */
        bool changed;     /* on backlog->changed */
        TAILQ_ENTRY(UserBacklog) changed_entry;
        UT_hash_handle hh;
} UserBacklog;

typedef struct Backlog {
        uint64_t n;
        UserBacklog *users;
        TAILQ_HEAD(UserBacklogList, UserBacklog) changed; /* so that a commit costs nothing for all the others */
} Backlog;

void backlog_init(Backlog *b);
void backlog_done(Backlog *b);

/* n more, or less, of this owner in the queue, above it, and in the model. */
void backlog_add(Model *m, Queue *q, uint32_t owner, int64_t n);
/* Is there room for n more? 0, or -EXFULL with what is full in *ret_error, or -ENOMEM. root is no user of whom there may be
 * too many. */
int backlog_check(const Model *m, const Queue *q, uint32_t owner, uint64_t n, char **ret_error);
/* The rows are written. */
void backlog_recorded(Queue *q);
