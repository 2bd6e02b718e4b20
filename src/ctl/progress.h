/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* One line on a terminal's standard error that says how far something has come. Nothing is written with
 * --quiet or where standard error is no terminal. */

#include "base/macro.h"

typedef struct Progress {
        const char *what;    /* "jobs" */
        uint64_t count;      /* of them */
        uint64_t done, size; /* in any unit; size 0: not known */
        usec_t started;      /* monotonic, as all */
        usec_t drawn;        /* when last */
        bool enabled, visible;
} Progress;

Progress progress_new(const char *what, uint64_t size);
/* Draws at most ten times a second. */
void progress_update(Progress *p, uint64_t count, uint64_t done);
/* Take the line away, so that something else can be written. It comes back with the next update. */
void progress_clear(Progress *p);

/* The line, at most width columns wide; pure. Returns buf. */
char *progress_format(const Progress *p, usec_t now, unsigned width, bool utf8, char *buf, size_t n);
