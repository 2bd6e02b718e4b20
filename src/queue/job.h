/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A job and its attempts. What is stored stands in the first part of each struct, what only lives in memory in the
 * second. State says where a job is, result how it ended; both are docs/states.md's words. */

#include "base/macro.h"
#include "queue/freezer.h"
#include "queue/spec.h"
#include <sys/queue.h>
#include <systemd/sd-id128.h>
#include <uthash.h>

typedef struct Queue Queue;
typedef struct Attempt Attempt;

typedef enum JobState {
        JOB_HELD,     /* by a user */
        JOB_WAITING,  /* for a time */
        JOB_READY,    /* only cap, pause or storage is in the way */
        JOB_STARTING, /* committed, the unit is asked for */
        JOB_RUNNING,
        JOB_STOPPING, /* cancel or time-out under way */
        JOB_DONE,
        _JOB_STATE_MAX,
        _JOB_STATE_INVALID = -EINVAL,
} JobState;

typedef enum JobResult {
        JOB_RESULT_NONE, /* not ended; in text: "" */
        JOB_SUCCESS,
        JOB_EXIT_CODE,
        JOB_SIGNAL,
        JOB_CORE_DUMP,
        JOB_TIMEOUT,
        JOB_WATCHDOG,
        JOB_OOM_KILL,
        JOB_EXEC,      /* could not be started */
        JOB_CANCELLED,
        JOB_LOST,      /* nobody can know how it ended */
        _JOB_RESULT_MAX,
        _JOB_RESULT_INVALID = -EINVAL,
} JobResult;

const char *job_state_to_string(JobState s);
JobState job_state_from_string(const char *s);
const char *job_result_to_string(JobResult r);
JobResult job_result_from_string(const char *s);

static inline bool job_state_is_live(JobState s) {
        return s == JOB_STARTING || s == JOB_RUNNING || s == JOB_STOPPING;
}

/* The life of one manager: same boot, same PID 1 (or user manager) process. Unchanged by daemon-reexec, new after a
 * reboot or with a new user manager. */
typedef struct Epoch {
        sd_id128_t boot_id;
        usec_t userspace_usec; /* UserspaceTimestampMonotonic of the manager */
} Epoch;

static inline bool epoch_equal(const Epoch *a, const Epoch *b) {
        return sd_id128_equal(a->boot_id, b->boot_id) && a->userspace_usec == b->userspace_usec;
}

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
        uint64_t io_read_bytes;
        uint64_t io_write_bytes;
        uint64_t tasks_peak;
} Outcome;

#define OUTCOME_INIT                                                                                         \
        (Outcome) {                                                                                          \
                .exit_status = -1, .started_usec = USEC_INFINITY, .finished_usec = USEC_INFINITY,            \
                .runtime_usec = USEC_INFINITY, .cpu_usec = UINT64_MAX, .memory_peak = UINT64_MAX,            \
                .io_read_bytes = UINT64_MAX, .io_write_bytes = UINT64_MAX, .tasks_peak = UINT64_MAX,         \
        }

void outcome_done(Outcome *o);

typedef struct Job {
        /* The row. Strings are owned. */
        uint64_t id;
        char *queue_name;        /* outlives the Queue: a job may be of a queue whose file is gone */
        uint32_t owner;          /* uid */
        char *owner_name;        /* at submit; must still agree when an attempt starts */
        char *name;
        JobState state;
        JobResult result;
        JobResult intent;        /* STOPPING: what it will have been (cancelled, timeout); else NONE */
        char *reason;
        int32_t priority;
        int64_t rank;            /* smallest starts first; then id */
        uint32_t slots;
        uint32_t attempt;        /* number of the newest attempt, 0: none yet */
        uint32_t max_attempts;   /* grows by one with each retry by hand */
        bool privileged;         /* its submitter may set privileged properties, so they are kept at start */
        bool dead;
        usec_t submitted_usec;   /* realtime, all of these */
        usec_t not_before_usec;  /* USEC_INFINITY: none */
        bool delayed;            /* not_before_usec is the end of a span: it moves when the clock is set */
        usec_t ready_usec;       /* since when only room was missing; USEC_INFINITY: never was */
        usec_t started_usec, finished_usec; /* of the newest attempt */
        usec_t wait_usec;        /* submitted (or due, or retried) until started; USEC_INFINITY: not started */
        usec_t timeout_usec;
        usec_t stop_timeout_usec;

        /* In memory */
        Queue *queue;            /* NULL only while being loaded */
        Attempt *live;           /* STARTING, RUNNING, STOPPING: its lease */
        JobSpec *spec;           /* while needed: from submit to commit, and while a start is being asked for */
        JobSpec *edited;         /* commit: the spec as it shall be stored, where one of these fields is not the job's own: */
        uint64_t edited_fields;  /* what was changed, as a set (spec-change.h); payload and environment are else missing */
        bool was_edited;         /* by model_update(), or frozen or thawed: to be told, though its state is the same */
        JobState told_state;     /* that was last recorded and told; _JOB_STATE_INVALID: none, it is new */
        bool is_new;             /* not in the store yet */
        bool changed;            /* on model->changed; else on model->idle, unless live */
        bool listed;             /* on one of the two */
        bool spec_dropped;       /* commit: drop the environment */
        TAILQ_ENTRY(Job) changed_entry;
        UT_hash_handle hh;       /* model->jobs, by id */
} Job;

Job *job_free(Job *j); /* frees the memory only; unlinking is the model's */
DEFINE_TRIVIAL_CLEANUP_FUNC(Job *, job_free);
Job *job_new(void);
/* What of its spec stands in the job itself. */
int job_to_spec(const Job *j, JobSpec *spec);

typedef enum AttemptPhase {
        ATTEMPT_STARTING,  /* committed (or about to be); the unit is to be asked for */
        ATTEMPT_RUNNING,   /* seen started */
        ATTEMPT_ENDED,     /* the outcome is recorded (or about to be); unit to be released, slots still held */
        ATTEMPT_STRAY,     /* a unit that no row knows; holds its slots, is listed, is never killed silently */
        _ATTEMPT_PHASE_MAX,
} AttemptPhase;

/* One try and its lease: the unit. In memory from the decision to start until the unit is gone and its cgroup empty;
 * that long it holds its slots. */
struct Attempt {
        /* The row */
        uint64_t job_id;
        uint32_t number;
        Epoch epoch;
        sd_id128_t token;
        sd_id128_t invocation_id;   /* null: not seen started */
        uint32_t slots;
        uint32_t *slot_numbers;     /* slots of them */
        usec_t created_usec;        /* realtime: committed */
        Freezer freezer;
        usec_t freezer_usec;        /* monotonic: up to then frozen_usec counts; USEC_INFINITY: thawed */
        usec_t frozen_usec;         /* how long it stood still: its time-out does not count that */
        Outcome outcome;

        /* In memory */
        char *unit;                 /* jobmill-job-ID-N.service */
        char *status, *trouble;     /* what it says of itself (sd_notify()), what is in the way of its start; NULL: nothing */
        AttemptPhase phase;
        Job *job;                   /* NULL: ended, or a stray */
        Queue *queue;               /* that it takes slots of; NULL: of none */
        Queue *slot_owner;          /* whose numbers these are */
        usec_t started_monotonic;   /* USEC_INFINITY: not yet */
        usec_t deadline;            /* monotonic: time-out; USEC_INFINITY: none */
        usec_t kill_deadline;       /* monotonic: when SIGKILL follows; USEC_INFINITY: not stopping */
        int kill_signal;            /* KillSignal= of the unit */
        bool has_net;               /* the unit has a RuntimeMaxSec=, which does not stop while it is frozen */
        uint64_t signals;           /* asked for by users, not sent yet: bit mask of 1 << (signal - 1) */
        bool fresh;                 /* made by this process, so it knows whether the unit was ever asked for */
        bool asked;                 /* StartTransientUnit was sent by this process */
        bool kill_due;              /* kill_deadline has passed */
        bool changed;               /* on model->changed_attempts */
        bool is_new;
        bool outcome_changed;       /* commit: needs an fsync */
        bool acting;                /* on model->act: something is to be asked of PID 1 */
        struct UnitWatch *watch;    /* unit/'s own bookkeeping: calls in flight, what was signalled, samples */
        TAILQ_ENTRY(Attempt) changed_entry;
        TAILQ_ENTRY(Attempt) act_entry;
        UT_hash_handle hh;          /* model->attempts, by unit name */
};

Attempt *attempt_free(Attempt *a);
DEFINE_TRIVIAL_CLEANUP_FUNC(Attempt *, attempt_free);
Attempt *attempt_new(uint64_t job_id, uint32_t number);

/* "jobmill-job-42-1.service" -> 42, 1; false for any other name. */
bool attempt_unit_name_parse(const char *unit, uint64_t *ret_job, uint32_t *ret_number);
/* "0,3". A queue without a cap gives out higher numbers than one job may ask for slots. */
#define SLOT_NUMBERS_MAX (16U * 1024U * 1024U)
char *attempt_slot_numbers_to_string(const Attempt *a);
int attempt_slot_numbers_from_string(const char *s, uint32_t **ret, uint32_t *ret_n);
