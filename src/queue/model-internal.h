/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Between model.c, model-update.c, attempt.c and rerank.c only. */

#include "queue/model.h"

/* So many more jobs of this state, or that are dead, or less. */
void model_count(Model *m, Queue *q, JobState state, int64_t n);
void model_count_dead(Model *m, Queue *q, int64_t n);
/* The one place that changes a job's state: counters and window follow. */
void job_set_state(Model *m, Job *j, JobState state);
void job_set_dead(Model *m, Job *j, bool dead);
void job_finish(Model *m, Job *j, JobResult result, const char *reason, usec_t finished, const Now *now);

/* One that is ours: nothing is checked. Takes spec over on success. */
int model_submit_own(Model *m, Queue *q, JobSpec *spec, uint32_t owner, const char *owner_name, const Now *now, Job **ret);

/* Its place among the ready ones of its queue, by the order that this has now. */
void job_set_rank(Job *j);
/* Only room is missing from now on. */
void job_make_ready(Model *m, Job *j, usec_t since);
/* Where a job goes that nobody holds: to wait for its time, or to the ready ones. */
void job_let_go(Model *m, Job *j, const Now *now);
bool job_is_early(const Job *j, const Now *now); /* its time has not come */
/* Before one that is ready is anything else: its span is over, and stays so though the clock was set back since. */
void job_keep_time(Job *j, const Now *now);
/* What is shown of its last attempt. */
void job_forget_times(Model *m, Job *j);
/* For its next attempt, after so long. */
void job_wait_again(Model *m, Job *j, usec_t delay, const Now *now);
/* Its time, from a time or a span of the spec; which has a time from then on. */
void job_set_due(Job *j, JobSpec *spec, const Now *now);
/* A ready one that is not in its queue's window: into it, if it belongs there. */
void job_into_window(Job *j);

/* Its time-out counts from its start, and not while it is frozen. Again whenever one of these changes. */
void attempt_arm(Model *m, Attempt *a);
/* Its end is seen: what it stood still until then. */
void attempt_thaw_ended(const Model *m, Attempt *a, const Now *now);

/* Whoever would have told how it ends is gone: what is left of it is killed, and it is lost. */
void model_attempt_abandon(Model *m, Attempt *a, const char *reason, const Now *now);
/* Ask a live attempt to end: STOPPING with what it will have been. */
usec_t attempt_next_look(Attempt *a); /* … of the job that waits until it is gone */
void attempt_stop(Model *m, Attempt *a, JobResult intent, const char *reason, const Now *now);
