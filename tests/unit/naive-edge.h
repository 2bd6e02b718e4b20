/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Of the small model (naive.h): jobs that wait for others. */

#include "queue/model.h"

#define EDGES_COVERED(X)                                                                                                \
        X(edge_met) X(edge_ignored) X(edge_failed) X(edge_continued) X(edge_waits) X(edge_open_again) X(retry_in_vain) \
        X(still_needed) X(many_at_once)

typedef struct Naive Naive;
typedef struct NaiveJob NaiveJob;

/* The first waits for the second. */
typedef struct NaiveEdge {
        bool there, met;
        AfterCondition on;
        AfterOtherwise otherwise;
} NaiveEdge;

void naive_finish(Naive *n, unsigned id, JobResult result);
void naive_let_go(Naive *n, NaiveJob *j, const Now *now);

bool naive_is_blocked(const Naive *n, unsigned id), naive_edge_fails(const Naive *n, unsigned id, unsigned before);
bool naive_is_needed(const Naive *n, unsigned id); /* its outcome, by a job that has not ended */
/* The daemon decides what the end of before means for id, which waits for it. */
void naive_edge_ended(Naive *n, unsigned id, unsigned before, const Now *now);
bool naive_edge_is_overdue(const Naive *n, unsigned id, unsigned before);
/* A new one waits for what it says; one that is about to be retried waits again for what came before it and was retried, too. false: it
 * could not start in any case. */
void naive_edges_submitted(Naive *n, unsigned id, const JobSpec *spec);
bool naive_edges_retried(Naive *n, unsigned id);
