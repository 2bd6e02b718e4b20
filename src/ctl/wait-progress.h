/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* How far the jobs are that somebody waits for: a line on the terminal, kept by the daemon's signals. */

#include "base/macro.h"
#include <systemd/sd-bus.h>

typedef struct WaitProgress WaitProgress;

/* NULL: nobody looks (no terminal, --quiet), or it is not worth it (one job). All of these do nothing then.
 */
WaitProgress *wait_progress_new(const uint64_t *ids, size_t n);
WaitProgress *wait_progress_free(WaitProgress *p);

/* On a connection that was just made: how things stand, and what changes from now on. */
void wait_progress_connect(WaitProgress *p, sd_bus *bus);
void wait_progress_disconnect(WaitProgress *p);

/* An answer came. */
void wait_progress_done(WaitProgress *p, uint64_t id, bool failed);
bool wait_progress_draw(WaitProgress *p);  /* false: it is to be drawn later */
void wait_progress_clear(WaitProgress *p); /* something else is to be written */
