/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What PID 1 wrote about a unit, for the two questions that properties no longer answer once the unit is gone
 * (design.md, section 3). Only lines of the manager itself count (_PID=1, or _SYSTEMD_UNIT=user@UID.service): anybody may
 * write UNIT=. */

#include "queue/job.h"

typedef enum JournalAnswer {
        JOURNAL_UNKNOWN, /* the journal does not reach back, or cannot be read */
        JOURNAL_BEHIND,  /* it reaches back, but our mark is not in it: what was written before may not be, either */
        JOURNAL_SILENT,  /* it reaches back and has our mark, and holds no line of a start of the unit */
        JOURNAL_SEEN,    /* there is one */
} JournalAnswer;

/* A line of our own. journald takes it from the same socket as the manager's, in order: once it is in the journal, so is all that
 * the manager had said before. */
void journal_write_mark(sd_id128_t mark, const char *unit);

/* Did the manager ever start this unit since then (realtime)? SEEN: as which invocation. mark: of a line that was written when
 * the unit was known to be absent; null: none yet. */
JournalAnswer journal_unit_seen(bool user, const char *unit, usec_t since, sd_id128_t mark, sd_id128_t *ret_invocation_id);

/* How an invocation ended: fills result, exit status or signal of *ret, and returns JOURNAL_SEEN when it tells (an exit, or
 * that it was stopped: JOB_CANCELLED). */
JournalAnswer journal_unit_outcome(bool user, const char *unit, sd_id128_t invocation_id, Outcome *ret);
