/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What Slurm says of its jobs, as squeue --json writes it: as text and numbers up to 23.02, as lists and objects since. Pure. */

#include "base/macro.h"

struct json_object;

typedef enum SlurmPhase {
        SLURM_PENDING,
        SLURM_RUNNING,  /* or suspended, or completing */
        SLURM_ENDED,
} SlurmPhase;

typedef enum SlurmEnd {
        SLURM_END_STATUS,       /* exit_status, or exit_signal */
        SLURM_END_TIMEOUT,
        SLURM_END_OOM,
        SLURM_END_LOST,         /* its node has failed */
        SLURM_END_CANCELLED,
        SLURM_END_PREEMPTED,
        SLURM_END_NOT_STARTED,  /* it could not be: Slurm's reason says why */
} SlurmEnd;

typedef struct SlurmJob {
        uint64_t id;
        SlurmPhase phase;
        SlurmEnd end;
        int exit_status, exit_signal; /* one of them; 0 and 0: success */
        usec_t started, finished;     /* realtime; 0: not */
        char state[32], reason[64];   /* as Slurm has it */
        char nodes[128];              /* cut off where they are many */
} SlurmJob;

/* An element of "jobs". -EBADMSG: it is none. *ret_name is of o. */
int slurm_job_read(struct json_object *o, SlurmJob *ret, const char **ret_name);
/* The whole answer: its "jobs", of o; NULL: Slurm has not answered, and *ret_error says so, of o. */
struct json_object *slurm_jobs(struct json_object *o, const char **ret_error);
