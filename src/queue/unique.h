/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Unique keys: at most one job of an owner in a queue, or one array, holds a key at a time, and who holds it says for how long (its scope).
 * Each job of an array holds it for itself, so the array does as long as any of them. In memory are the keys of the jobs that are in memory;
 * api/unique.c asks the store for the others. */

#include "queue/job.h"

typedef struct Model Model;
typedef struct Now Now;

TAILQ_HEAD(HolderList, Job);

/* A hash table of jobs that hold their keys, by owner and key. */
typedef struct UniqueKeys {
        struct HolderList buckets[1024];
        bool wanted; /* there are jobs on changed with ->unique_wanted */
} UniqueKeys;

void unique_init(UniqueKeys *u);

const char *unique_scope_to_string(UniqueScope s);
UniqueScope unique_scope_from_string(const char *s);
/* NULL: the default, live. -EINVAL. *ret_span: of scope span only. */
int unique_scope_parse(const char *text, UniqueScope *ret, usec_t *ret_span);

/* Who holds it, among the jobs in memory; of an array any. NULL: none of them. */
Job *unique_holder(const Model *m, const Queue *q, uint32_t owner, const char *key);
/* Is it the same job, or one of the same array? They are not in each other's way. */
bool unique_is_same(const Job *a, const Job *b);
/* Does it hold that one's key, in that one's queue? */
bool unique_shares(const Job *j, const Job *other);
/* It is done, and its span is over. */
bool unique_is_over(const Job *j, const Now *now);

/* Its key is its own from now on, unless somebody else in memory holds it: then it has none. */
void unique_take(Model *m, Job *j);
void unique_give_up(Model *m, Job *j);
/* A key, a scope, or both; of a job that is queued. The key was duplicated by the caller. */
void unique_change(Model *m, Job *j, char **key, const JobSpec *spec, uint64_t fields);

/* ---- between the files of queue/ ---- */

/* A new job. */
void unique_submitted(Job *j, const JobSpec *spec, const Now *now);
/* It comes into memory and goes out of it. */
void unique_job_added(Model *m, Job *j);
void unique_job_dropped(Model *m, Job *j);
/* What its new state means for its key. */
void unique_state_changes(Model *m, Job *j, JobState state);
/* Its start was none. */
void unique_start_undone(Model *m, Job *j);
