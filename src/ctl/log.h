/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the verb logs is about, and the two ways to a job's lines. */

#include "ctl/ctl.h"
#include "ctl/job-dict.h"
#include "ctl/log-entry.h"

typedef struct Log {
        sd_bus *bus;            /* NULL while the daemon is away */
        uint64_t id;
        uint32_t owner;         /* of the job */
        bool done;              /* the job is, or it was purged */
        bool separate;          /* a line between attempts */
        uint32_t attempt;       /* of the last line that was printed */
        bool printed;
        LogFormat format;
        int (*found)(struct Log *l, const JobInfo *a); /* another attempt, or one that was known; NULL: nobody cares */
        void *source;           /* of who cares */
} Log;

/* Where the job stands now, without waiting. While the daemon is away nothing changes. */
int log_look(Log *l);
/* It is one of ours: print it, unless it is of an attempt that is not wanted. */
int log_show(Log *l, const LogEntry *e);
bool log_wants(const LogEntry *e);
/* Nobody reads standard output any more. */
bool log_output_is_closed(void);

LogFormat log_format(void);

#define LOG_POLL_USEC (500 * USEC_PER_MSEC)

/* log-journal.c: from this machine's journal; false: it cannot be read by us. */
bool log_journal_is_readable(void);
int log_from_journal(Log *l);
/* log-stream.c: through the daemon. */
int log_from_daemon(Log *l);
/* log-remote.c: where nothing but text comes through: the tool is run there. Does not return where that works. */
int log_run_there(const char *id);
