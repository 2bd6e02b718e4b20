/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* How jobs and their attempts end. */

#include "base/macro.h"

typedef enum JobResult {
        JOB_RESULT_NONE, /* not ended; in text: "" */
        JOB_SUCCESS,
        JOB_EXIT_CODE,
        JOB_SIGNAL,
        JOB_CORE_DUMP,
        JOB_TIMEOUT,
        JOB_WATCHDOG,
        JOB_OOM_KILL,
        JOB_VERDICT,    /* the job itself said that it failed */
        JOB_UNVERIFIED, /* it said nothing, where a verdict is required */
        JOB_EXEC,      /* could not be started */
        JOB_CANCELLED,
        JOB_DEPENDENCY, /* a job that it needed ended otherwise */
        JOB_EXPIRED,   /* not started by its deadline */
        JOB_LOST,      /* nobody can know how it ended */
        _JOB_RESULT_MAX,
        _JOB_RESULT_INVALID = -EINVAL,
} JobResult;

const char *job_result_to_string(JobResult r);
JobResult job_result_from_string(const char *s);

/* How an attempt ended, as PID 1 measured it. UINT64_MAX: not known (never 0). */
typedef struct Outcome {
        JobResult result;
        char *reason;          /* for people; NULL: the result says it all */
        int32_t exit_status;   /* -1: did not exit */
        int32_t exit_signal;   /* 0: none */
        usec_t started_usec;   /* realtime */
        usec_t finished_usec;  /* realtime */
        usec_t runtime_usec;   /* monotonic difference */
        uint64_t cpu_usec;
        uint64_t memory_peak;
        bool memory_peak_sampled; /* a lower bound (systemd < 256) */
        uint64_t memory_max;   /* MemoryMax= that it had; none is not known either */
        bool shutdown;         /* the system was going down in order; not stored */
        uint64_t io_read_bytes;
        uint64_t io_write_bytes;
        uint64_t tasks_peak;
        char *verdict;         /* the JSON object at the end of its output; NULL: none */
        int8_t success;        /* 0, 1, as it ended and by what it said; -1: it did not end by itself */
        char *io_stdout;       /* the ends of its streams, UTF-8; NULL: not captured */
        char *io_stderr;
} Outcome;

#define OUTCOME_INIT                                                                                         \
        (Outcome) {                                                                                          \
                .exit_status = -1, .success = -1, .started_usec = USEC_INFINITY, .finished_usec = USEC_INFINITY,            \
                .runtime_usec = USEC_INFINITY, .cpu_usec = UINT64_MAX, .memory_peak = UINT64_MAX,            \
                .memory_max = UINT64_MAX,                                                                    \
                .io_read_bytes = UINT64_MAX, .io_write_bytes = UINT64_MAX, .tasks_peak = UINT64_MAX,         \
        }

void outcome_done(Outcome *o);
