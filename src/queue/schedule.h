/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Who starts next, and why the others do not: what schedule.c, rerank.c and reason.c do for the turn; and
 * how long what has ended is kept (retention.c). The heaps behind it: level.h. */

#include "queue/level.h"

typedef struct Job Job;
typedef struct Model Model;
typedef struct Now Now;

/* Which ready job may start next. schedule_begin() forgets what was skipped in the last turn; schedule_next() gives candidates
 * one after the other, the best first, until nothing more may start: false. The caller loads the job and
 * calls model_start() (which takes the slots and takes it out of the window), or schedule_skip() where this one cannot
 * start now for a reason of its own. Sets schedule.wanted where a window ran dry that must be read before anything starts. */
void schedule_init(Schedule *s);
void schedule_begin(Model *m);
bool schedule_next(Model *m, Candidate *ret, Queue **ret_queue);
void schedule_skip(Queue *q, uint32_t owner);
void schedule_skip_owner(Queue *q, uint32_t owner); /* nothing of him there can start now */
/* Before those: the first ones of levels at which too few slots are free for them, which therefore hold up all behind them there. Whoever could not
 * start in any case is skipped by the caller, as else nobody would have these slots. */
bool schedule_next_lacking(Model *m, Candidate *ret, Queue **ret_queue);
/* All jobs of this owner there were skipped for the sake of this one; 0: they were not. */
uint64_t schedule_skipped_for(const Queue *q, uint32_t owner, uint32_t *ret_slots);
bool schedule_is_full(const Model *m); /* are so many being started that no more may be? */
/* reason.c: why a job is not running yet, in words for people ("cap of gpu: 3 of 3"); "" for live and done ones. NULL: out of
 * memory. */
char *schedule_reason(const Model *m, const Job *j, const Queue *q, const Now *now);
/* Why a queue starts nothing of what is ready in it; "": it does, or nothing is. */
char *queue_reason(const Model *m, const Queue *q, const Now *now);

/* rerank.c. begin: finds what has changed. read_again: after a piece of it. */
void model_rerank_begin(Model *m);
void model_rerank_read_again(Model *m);
void model_rerank_done(Model *m);

/* retention.c. done: it is from now on. look_again: how long something is kept has changed. */
void retention_done(Model *m, Job *j, const Now *now);
void retention_look_again(Model *m, Queue *q);
/* So many ended jobs, dead ones aside, are more than KeepMax=. */
uint64_t retention_excess(const Queue *q);
/* Where something may have been kept long enough; NULL: nowhere. It stays that until it was looked at. */
Queue *retention_next(Model *m, const Now *now);
/* All that is due was found: when the next one is. */
void retention_looked(Model *m, Queue *q, usec_t next, const Now *now);
