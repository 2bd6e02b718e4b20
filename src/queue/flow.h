/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A flow: jobs that are submitted together and wait for one another, as a document says (docs/flows.md). Pure.
 *
 * Names are only known within the document. It is brought into an order in which each job stands behind those that it
 * waits for: in that order they get their ids, so an edge always leads from a smaller id to a larger one, nothing in the store
 * can ever wait for itself, and whoever goes through a flow by id comes to a job after all that it waits for. */

#include "queue/spec.h"

#include <uthash.h>

/* A job of the same flow that another one waits for. */
typedef struct FlowEdge {
        char *name;
        uint32_t before; /* its index, once names are resolved */
        AfterCondition condition;
        AfterOtherwise otherwise;
} FlowEdge;

typedef struct FlowJob {
        JobSpec *spec;   /* named; after: only jobs that are there already */
        uint64_t given;  /* the fields of it that are (queue/spec-change.h) */
        char *queue;     /* NULL: not said */
        FlowEdge *edges;
        size_t n_edges;
        UT_hash_handle hh;
} FlowJob;

typedef struct Flow {
        char *request_id; /* NULL: none */
        FlowJob *jobs;
        size_t n;
} Flow;

Flow *flow_free(Flow *f);
DEFINE_TRIVIAL_CLEANUP_FUNC(Flow *, flow_free);

/* -EINVAL with *ret_error: a name is there twice, or is nobody's; -ELOOP: jobs wait for themselves, *ret_error names the
 * path. Linear, without recursion. *jobs is put in order, and the indices of edges with it. */
int flow_sort(Flow *f, char **ret_error);

/* What jobs of a flow that is sorted wait for goes into their specs, as places. An array is waited for as a whole, so it is as
 * many. -EINVAL: a job waits for too many; -E2BIG: all of them together for more than edges_max; with *ret_error. */
int flow_fill_specs(Flow *f, uint64_t edges_max, char **ret_error);
uint64_t flow_place(uint32_t i, uint32_t element); /* of the i-th job, or of one of that array */
uint32_t flow_place_job(uint64_t id);              /* which one it is of */
/* They become ids of jobs, when it is known which ones those got: an array that of its first. */
void flow_resolve_ids(JobSpec *s, const uint64_t *ids);

/* What the values of a document may take in memory (strings aside), and its defaults as often as they are copied (strings too). */
#define FLOW_COST_MAX(jobs_max) ((size_t) 16 * 1024 * 1024 + (size_t) 8 * 1024 * (jobs_max))

/* flow-json.c. A document, sorted; specs are not validated yet. -E2BIG: more than jobs_max jobs, or than these can need; with SIZE_MAX
 * as many as there are. */
int flow_from_json(const char *text, size_t size, size_t jobs_max, Flow **ret, char **ret_error);
/* The same document with what else shall hold where it does not say otherwise: defaults is a spec as JSON; queue and request_id
 * may be NULL. */
int flow_json_complete(const char *text, size_t size, const char *defaults, const char *queue, const char *request_id, char **ret,
                       char **ret_error);
