/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Between model.c and attempt.c only. */

#include "queue/model.h"

/* The one place that changes a job's state: counters and window follow. */
void job_set_state(Model *m, Job *j, JobState state);
void job_set_dead(Job *j, bool dead);
void job_finish(Model *m, Job *j, JobResult result, const char *reason, const Now *now);

/* Only room is missing from now on. */
void job_make_ready(Model *m, Job *j, usec_t since);

/* Ask a live attempt to end: STOPPING with what it will have been. */
void attempt_stop(Model *m, Attempt *a, JobResult intent, const char *reason, const Now *now);
