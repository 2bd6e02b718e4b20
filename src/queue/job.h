/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A job. What is stored stands in the first part of the struct, what only lives in memory in the second. State says where a job
 * is, result (outcome.h) how it ended; both are docs/states.md's words. */

#include "base/macro.h"
#include "queue/attempt.h"
#include "queue/callback.h"
#include "queue/spec.h"

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

/* How long a job holds its unique key. */
typedef enum UniqueScope {
        UNIQUE_NONE,
        UNIQUE_QUEUED, /* until it starts */
        UNIQUE_LIVE,   /* until it is done */
        UNIQUE_SPAN,   /* until it is done, and so much time has passed since it was submitted */
        _UNIQUE_SCOPE_MAX,
        _UNIQUE_SCOPE_INVALID = -EINVAL,
} UniqueScope;

const char *job_state_to_string(JobState s);
JobState job_state_from_string(const char *s);

static inline bool job_state_is_live(JobState s) {
        return s == JOB_STARTING || s == JOB_RUNNING || s == JOB_STOPPING;
}

typedef struct Array Array;

typedef struct Job {
        /* The row. Strings are owned. */
        uint64_t id;
        char *queue_name;        /* outlives the Queue: a job may be of a queue whose file is gone */
        uint32_t owner;          /* uid */
        char *owner_name;        /* at submit; must still agree when an attempt starts */
        char *name;
        char *type;              /* its job type and that one's version, as it was submitted; NULL: none */
        char *type_version;
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
        bool foreground;         /* jobmill run: somebody's own process is its lease (run.h) */
        uint32_t callbacks;      /* of which events it tells (callback.h), as a set */
        usec_t submitted_usec;   /* realtime, all of these */
        usec_t not_before_usec;  /* USEC_INFINITY: none */
        bool delayed;            /* not_before_usec is the end of a span: it moves when the clock is set */
        usec_t ready_usec;       /* since when only room was missing; USEC_INFINITY: never was */
        usec_t started_usec, finished_usec; /* of the newest attempt */
        usec_t wait_usec;        /* submitted (or due, or retried) until started; USEC_INFINITY: not started */
        usec_t timeout_usec;
        usec_t stop_timeout_usec;
        OutputMode output;
        VerifyMode verify;
        usec_t deadline_usec;    /* realtime */
        usec_t keep_usec;        /* its own, once it is done; USEC_INFINITY: the queue's counts */
        usec_t ended_usec;       /* done, by the clock that is never set (Now.even): so long ago it is kept since; USEC_INFINITY: not done */
        int64_t submission_key;  /* µs; grows from job to job also where the clock is set back: the age that ranks are made of */
        bool fair;               /* its queue shares between users */
        uint32_t failures;       /* attempts that failed since it was submitted, or retried by hand: its backoff */
        uint32_t grown;          /* attempts that ran out of memory: so often memory_growth counts */
        uint32_t poison;         /* so many attempts in a row took the machine's memory, or were lost */
        uint32_t blockers;       /* what it waits for besides its time: jobs, or room in its array */
        uint64_t flow, array;    /* id of its first job; 0: of none */
        uint32_t array_index;
        bool array_waits;        /* for a place: one of the blockers */
        char *unique_key;
        UniqueScope unique_scope;
        usec_t unique_until_usec; /* scope span: realtime, moves when the clock is set */
        bool unique_held;        /* nobody else may have the key now: unique.h */
        bool unique_lent;        /* STARTING: given up for that start, and taken again if that was none */

        /* In memory */
        Queue *queue;            /* NULL only while being loaded */
        Attempt *live;           /* STARTING, RUNNING, STOPPING: its lease */
        Attempt *ended;          /* WAITING: its attempt that ended in this turn, about which is to be judged (model_judge()) */
        bool unique_wanted;      /* it was none: the key is to be taken again in this turn, if it is free */
        JobResult retried_after; /* commit: it is tried again, since its attempt ended so; to be told */
        Array *in_array;         /* as it is stored, until it is the model's */
        bool owns_array;
        bool own_spec;           /* new: edited already, so not its array's */
        JobSpec *spec;           /* while needed: from submit to commit, and while a start is being asked for */
        JobSpec *edited;         /* commit: the spec as it shall be stored, where one of these fields is not the job's own: */
        uint64_t edited_fields;  /* what was changed, as a set (spec-change.h); payload and environment are else missing */
        bool was_edited;         /* by model_update(), or frozen or thawed: to be told, though its state is the same */
        JobState told_state;     /* that was last recorded and told; _JOB_STATE_INVALID: none, it is new */
        bool is_new;             /* not in the store yet */
        bool changed;            /* on model->changed; else on model->idle, unless live */
        bool listed;             /* on one of the two */
        bool spec_dropped;       /* commit: drop the environment */
        uint32_t happened;       /* of these, in this turn */
        uint64_t callback_of;    /* new, and a callback about this job, when this happened; 0: none */
        CallbackEvent callback_event;
        bool reopened;           /* commit: it was done before that, too */
        bool released;           /* commit: what waits for its end is being looked for */
        bool edges_open_again;   /* commit: it was retried, and waits again for what it came after */
        bool edges_void;         /* commit: it waits for no other job any more, whatever is stored */
        TAILQ_ENTRY(Job) changed_entry;
        TAILQ_ENTRY(Job) array_entry;
        HeapNode array_node;     /* of in_array->waiting, */
        bool array_listed;       /* … where it is */
        TAILQ_ENTRY(Job) unique_entry; /* unique_held */
        UT_hash_handle hh;       /* model->jobs, by id */
} Job;

Job *job_free(Job *j); /* frees the memory only; unlinking is the model's */
DEFINE_TRIVIAL_CLEANUP_FUNC(Job *, job_free);
Job *job_new(void);
/* What of its spec stands in the job itself. */
int job_to_spec(const Job *j, JobSpec *spec);
