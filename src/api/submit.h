/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The jobs of one request, made all or none. */

#include "api/request.h"

/* How the jobs of a call hang together. */
typedef enum Together {
        ONE_JOB,
        BATCH,
        FLOW, /* the id before the first job's is the flow's */
} Together;

/* What a call is answered. */
typedef struct Answer {
        uint64_t *ids; /* one for each request */
        uint64_t flow;
        uint64_t digest;
        bool recorded; /* it was answered before */
} Answer;
void answer_done(Answer *a);

/* 1 and *ret; 0: not there yet; or negative. */
int submit_all(Call *c, Request *l, size_t n, Together together, Answer *ret, sd_bus_error *error);
/* r, and in the message which of them it was. */
int submit_name_job(int r, const Request *l, size_t i, Together together, sd_bus_error *error);
