/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What PID 1 wrote about a unit, for the two questions that properties no longer answer once the unit is gone
 * (design.md, section 3). Only lines of the manager itself count (_PID=1, or _SYSTEMD_UNIT=user@UID.service): anybody may
 * write UNIT=. */

#include "queue/job.h"

typedef enum JournalAnswer {
        JOURNAL_UNKNOWN, /* the journal does not reach back, or cannot be read */
        JOURNAL_SILENT,  /* it reaches back to the time, and holds no line of a start of the unit */
        JOURNAL_SEEN,    /* there is one */
} JournalAnswer;

/* Did the manager ever start this unit since then (realtime)? */
JournalAnswer journal_unit_seen(bool user, const char *unit, usec_t since);

/* How an invocation ended: fills result, exit status or signal of *ret, and returns JOURNAL_SEEN when it tells (an exit, or
 * that it was stopped: JOB_CANCELLED). */
JournalAnswer journal_unit_outcome(bool user, const char *unit, sd_id128_t invocation_id, Outcome *ret);
