/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Of the small model (naive.h): workers and runners. */

#include "queue/model.h"

typedef struct Naive Naive;

enum {
        NW = 8, /* workers are 1 … 7 */
};

typedef struct NaiveWorker {
        bool there, known;   /* it has registered; that is stored, and it was told */
        bool connected, draining, gone;
        unsigned owner, slots, queues; /* queues: bits */
        int runner;          /* of this queue; -1: it is none */
} NaiveWorker;

bool naive_needs_worker(const Naive *n, unsigned id);
unsigned naive_worker_used(const Naive *n, unsigned worker);
unsigned naive_choose(const Naive *n, unsigned id);
bool naive_waits_in_vain(const Naive *n, unsigned id);
const char *naive_worker_why(const Naive *n, unsigned id);
void naive_worker_comes(Naive *n, unsigned worker, unsigned owner, unsigned slots, unsigned queues, int runner);
void naive_worker_gone(Naive *n, unsigned worker);
void naive_workers_recorded(Naive *n);
void naive_completed(Naive *n, unsigned id, unsigned number, JobResult result, int end);
void naive_returned(Naive *n, unsigned id, unsigned number, bool by_worker);
