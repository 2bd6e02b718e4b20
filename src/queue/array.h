/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Arrays: jobs of one request with one spec, told apart by an index. At most so many of them are under way at a time: these have a
 * place, the others wait for one. What they have in common is a row of its own, so that an array costs no more than its jobs. */

#include "queue/heap.h"
#include "queue/job.h"

typedef struct Model Model;
typedef struct Now Now;

TAILQ_HEAD(ElementList, Job);
TAILQ_HEAD(ArrayList, Array);

struct Array {
        /* The row */
        uint64_t id;             /* of its first job; the others follow one after the other */
        uint32_t n;
        uint32_t max_running;    /* places; 0: no limit */
        uint32_t used;           /* of them */
        uint64_t count[_JOB_STATE_MAX]; /* of its jobs by state, but for those that were purged */
        uint64_t dead;

        /* In memory: as long as one of its jobs is, or something is to be done about it */
        JobSpec *spec;           /* is_new: of all of them */
        struct ElementList elements; /* that are in memory */
        HeapNode *waiting;       /* … and wait for a place, by id */
        bool is_new, changed;
        bool wanted;             /* decide: places may have come free, or be asked for */
        TAILQ_ENTRY(Array) changed_entry;
        TAILQ_ENTRY(Array) wanted_entry;
        UT_hash_handle hh;       /* model->arrays, by id */
};

Array *array_new(uint64_t id, uint32_t n, uint32_t max_running);
Array *array_free(Array *a);
DEFINE_TRIVIAL_CLEANUP_FUNC(Array *, array_free);

/* How many more may have a place; UINT32_MAX: no limit. */
uint32_t array_free_places(const Array *a);
/* Are as many of its array running as may? Then it must not start. */
bool array_is_full(const Job *j);
/* Does it wait for a place, and could take one? The first of those that are in memory; NULL: none does. */
bool array_element_waits(const Job *j);
Job *array_first_waiting(const Array *a);

/* decide: it has a place from now on, and is ready if it waits for nothing else. */
void model_array_give_place(Model *m, Job *j, const Now *now);
/* … it loses its place: the limit was lowered. A ready one. */
void model_array_take_place(Model *m, Job *j);
/* A daemon that has just begun has found j waiting for a place. */
void model_array_look(Model *m, const Job *j);
/* decide is through with it. */
void model_array_settled(Model *m, Array *a);
void model_array_changed(Model *m, Array *a);
/* The limit; 0: none. */
void model_array_set_max(Model *m, Array *a, uint32_t max_running);

/* ---- between the files of queue/ ---- */

/* A new array's i-th. */
void array_add_element(Array *a, Job *j, uint32_t i);
/* It is in the model, held. */
void array_submitted(Model *m, Job *j);
/* A new job of it, or one that was loaded (with an Array of its own, as it is stored) comes into memory, and goes out of it. */
void array_job_added(Model *m, Job *j);
void array_job_dropped(Model *m, Job *j);
/* Its state is about to change: j->state is the old one. */
void array_state_changes(Model *m, Job *j, JobState state);
void array_dead_changes(Model *m, Job *j, bool dead);
/* A job that was done is to be let go. */
void array_ask(Model *m, Job *j);
/* It is purged. */
void array_job_purged(Model *m, Job *j);
void arrays_recorded(Model *m);
