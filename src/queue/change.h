/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What one commit did to a job: taken before the model forgets it, told after the commit by api/ and notify/. */

#include "queue/model.h"

typedef struct Change {
        uint64_t id;
        uint32_t attempt;
        uint32_t owner;
        JobState state;
        JobResult result;
        JobResult retried_after;  /* its attempt ended so, and it is tried again; NONE: it is not */
        uint32_t max_attempts;
        bool is_new, state_changed, was_edited;
        usec_t started_usec;      /* of its newest attempt; USEC_INFINITY: not started */
        const Queue *queue;
        char unit[ATTEMPT_UNIT_MAX];            /* "": no attempt, or in none */
        uint64_t worker;          /* 0: in none */
        bool in_pool;             /* it is a runner */
        sd_id128_t invocation_id; /* null: not known */
        char *reason;             /* or NULL */
        char *name;
} Change;

/* All jobs that changed: a new array, strings included. */
int changes_take(const Model *m, Change **ret, size_t *ret_n);
void changes_free(Change *l, size_t n);
