/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* RateLimit=N/SPAN: in any window of SPAN at most N jobs of a queue, with those below it, start. Pure: "now" is a parameter, a time
 * of the wall that spans go by (Now.steady).
 *
 * The promise is exact: whenever one starts, at most N - 1 others did since SPAN before. It holds over restarts and reboots, since
 * the times are stored with the starts, and when the clock is set, with which they move. Up to RATE_EXACT jobs nothing waits
 * longer than that needs; with a greater N starts are counted as of the end of a SPAN / RATE_EXACT, so that the memory for it stays
 * small, and the next comes later by up to that. */

#include "base/macro.h"

#define RATE_MAX 10000U           /* N */
#define RATE_EXACT 32U
#define RATE_ENTRIES (RATE_EXACT + 2)

typedef struct RateLimit {
        uint32_t n;               /* 0: none */
        usec_t span;
} RateLimit;

/* When the last ones started, oldest first. */
typedef struct RateWindow {
        size_t n;
        struct {
                usec_t at;
                uint32_t n;
        } starts[RATE_ENTRIES];
} RateWindow;

/* "10/1min". -EINVAL, -ERANGE: N 1…RATE_MAX, SPAN from 1ms to 366 days. */
int rate_limit_parse(const char *s, RateLimit *ret);

/* When one more may start: now, or later. What lies in the future (the clock is not what it was) counts as of now. */
usec_t rate_next(RateWindow *w, const RateLimit *l, usec_t now);
void rate_started(RateWindow *w, const RateLimit *l, usec_t now);
void rate_moved(RateWindow *w, int64_t step);

/* "1790000000000000 1790000000500000:3", as the store has it; moved: by how much the clock was set since. */
char *rate_to_string(const RateWindow *w);
int rate_from_string(const char *s, int64_t moved, RateWindow *ret);
