/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Who waits for whom, as far as the model has to do with it: edges are rows of the store, and here is what the next commit changes of
 * them. */

#include "queue/edge.h"

typedef struct Model Model;
typedef struct Now Now;

/* A job that has ended, while it is to be decided what that means for those that wait for it (release.c). */
typedef struct Ended {
        uint64_t id;
        uint64_t after;  /* of those up to this id it has been */
        bool stored;     /* a row says so: it is found again after a crash */
        bool through;    /* that was the last one */
        bool looked_at;  /* for this commit */
        UT_hash_handle hh;
} Ended;

/* Of an edge that is stored. before 0: of all of its job's, which then are met. */
typedef struct EdgeChange {
        uint64_t job, before;
        bool met;
} EdgeChange;

/* One that new edges lead to, which only the next commit brings. */
typedef struct NewEdges {
        uint64_t before;
        bool open; /* one of them is: it is new, or open again */
        UT_hash_handle hh;
} NewEdges;

typedef struct Releases {
        Ended *ended;           /* uthash by id */
        EdgeChange *changes;
        size_t n_changes, capacity;
        NewEdges *new_edges;    /* uthash by before */
} Releases;

void releases_done(Releases *l);
bool releases_changed(const Releases *l); /* something is to be recorded */
void releases_recorded(Releases *l);

/* It has ended; what waits for it is to be looked for. stored: a row says so already. */
int model_ended_add(Model *m, uint64_t id, bool stored);
/* Its turn comes after that of all others. The one that was next to it is returned, or it again. */
Ended *model_ended_put_behind(Model *m, Ended *e);
/* before has ended, after its last attempt, and j has this edge to it, which is open. Once for each edge. */
int model_edge_ended(Model *m, Job *j, const Edge *e, const Job *before, const Now *now);
/* j is done and about to be retried: each that it came after and that has not ended, as it was retried too, is waited for again. And
 * would j, which ended as "dependency", do so again because of this one? */
bool model_edge_forbids(const Job *j, const Edge *e, const Job *before);
int model_edge_reopen(Model *m, Job *j, const Edge *e, const Job *before);
/* Those of a job that is about to be submitted. */
int model_edges_added(Model *m, const JobSpec *s);
/* Only an end that is recorded is one: in this turn it may still come to another attempt, and who waits for it has not been looked for. */
bool job_has_ended(const Job *j);
/* Is there one who comes after it, which the store does not know yet? open: and still waits for it. */
bool model_has_new_edge_to(const Model *m, uint64_t id, bool open);
/* What it means for the i-th of the jobs that a new one shall wait for that it has ended; if it has not, or that is not recorded yet,
 * it is waited for. 1: nothing else is to be looked at. *ret_reason: the job can never start. */
int spec_resolve_after(JobSpec *s, size_t i, const Job *before, char **ret_reason);
