/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* How long a job waits between its attempts, in one word: "30s", "exponential:10s..1h", "exponential:10s..1h~20%". */

#include "base/time-util.h"
#include "queue/spec.h"

typedef struct Backoff {
        bool given;
        BackoffMode mode;   /* UNSET: not said */
        usec_t base, max;   /* USEC_INFINITY: not said */
        double jitter;      /* < 0: not said */
} Backoff;

#define BACKOFF_WORDS "30s, 10s..1h, exponential:10s..1h, exponential:10s..1h~20%, …"
#define BACKOFF_NONE                                                                                         \
        { .base = USEC_INFINITY, .max = USEC_INFINITY, .jitter = -1 }

int backoff_parse(const char *value, Backoff *ret); /* -EINVAL */
#define BACKOFF_TEXT_MAX (2 * SPAN_MAX + 32)
char *backoff_to_text(char buf[static BACKOFF_TEXT_MAX], const Backoff *b); /* as it could be typed; "": nothing is said */
void backoff_to_spec(const Backoff *b, JobSpec *s);
