/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The child that reads the journal for OpenLog. Nothing of the daemon's is used in it. */

#include "base/macro.h"

#include <stdio.h>
#include <systemd/sd-id128.h>
#include <systemd/sd-journal.h>

/* What a line must be of: journald itself records both. Of one in a pool, whose unit is its runner's, the name of the stream tells whose it is:
 * the runner says it, and so may the owner's other jobs in that pool, but nobody else. */
typedef struct LogAttempt {
        char unit[56]; /* or that name */
        bool in_pool;
        sd_id128_t invocation_id;
        uint32_t number;
} LogAttempt;

/* What stdout and stderr of one are connected to, as journald numbers it. */
typedef struct LogConnection {
        sd_id128_t id;
        uint32_t number; /* of the attempt */
} LogConnection;

/* What the child is told while it follows, a packet each. */
typedef struct LogMessage {
        bool done;          /* the job is; else: */
        LogAttempt attempt; /* another one, or one that it knows */
} LogMessage;

/* What is recorded of a stream that went to a spool. */
typedef struct LogText {
        char *text;
        uint32_t number; /* of the attempt */
        bool of_stderr;
} LogText;

typedef struct LogTask {
        bool user;           /* units of the user's manager, which is uid's */
        uint32_t uid, owner; /* the other: of the job */
        LogAttempt *attempts;
        size_t n;
        LogConnection *connections; /* of a user's units, as far as it is known whose they are */
        size_t n_connections;
        usec_t begun;        /* realtime: before any of them */
        usec_t ended;        /* realtime: the newest has; USEC_INFINITY: it has not */
        bool follow;         /* until it is told that the job is done */
        int control_fd;      /* LogMessages come here; -EBADF: none */
        /* Where it goes to a spool (log-spool.c): */
        bool spool;
        uint64_t job;
        LogText *texts;      /* of attempts that have ended, oldest first */
        size_t n_texts, texts_size;
        uint32_t live;       /* the attempt that writes now; 0: none */
        int (*open_spool)(void *userdata, uint64_t job, uint32_t attempt, bool of_stderr); /* a descriptor, or -errno */
        void *open_userdata;
} LogTask;

/* Writes all lines in the Journal Export Format into fd, until the reader goes away or all is said. Returns an errno. */
int log_child_run(LogTask *t, int fd);
int log_spool_run(LogTask *t, int fd);
/* In a child of the daemon: it goes with its parent and has nothing of it but standard streams and these, of which the second may be
 * negative. (log-stream.c) */
int child_detach(const char *name, int *fd, int *other_fd, pid_t parent);
/* One entry; attempt 0: not known. */
int log_export_entry(sd_journal *j, uint32_t attempt, FILE *f);
/* One field of it, as "NAME=value". */
void log_export_field(FILE *f, const void *data, size_t n);
