/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* An attempt: one try of a job, and its lease, the unit. What is stored stands in the first part of the struct, what only lives in
 * memory in the second. */

#include "queue/freezer.h"
#include "queue/heap.h"
#include "queue/outcome.h"
#include "queue/run.h"
#include "queue/worker.h"
#include <sys/queue.h>
#include <systemd/sd-id128.h>
#include <uthash.h>

typedef struct Job Job;
typedef struct Queue Queue;
typedef struct Attempt Attempt;

/* The life of one manager: same boot, same PID 1 (or user manager) process. Unchanged by daemon-reexec, new after a
 * reboot or with a new user manager. */
typedef struct Epoch {
        sd_id128_t boot_id;
        usec_t userspace_usec; /* UserspaceTimestampMonotonic of the manager */
} Epoch;

static inline bool epoch_equal(const Epoch *a, const Epoch *b) {
        return sd_id128_equal(a->boot_id, b->boot_id) && a->userspace_usec == b->userspace_usec;
}

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
        Executor executor;
        uint64_t worker_id;         /* EXECUTOR_WORKER: whose it is, or was; 0: of none */
        char *engine;               /* what a durable worker keeps of it, an object of JSON (durable.h); NULL: nothing */

        /* In memory */
        char *unit;                 /* jobmill-job-ID-N.service, or .scope */
        char *status, *trouble;     /* what it says of itself (sd_notify()), what is in the way of its start; NULL: nothing */
        char *inputs;               /* what its job is given of those that it came after; from the commit until it is asked for */
        AttemptPhase phase;
        uint32_t owner;             /* of its job; UINT32_MAX: not known */
        uint64_t room;              /* bytes that its row takes, as they are counted (store/store-room.c) */
        Job *job;                   /* NULL: ended, or a stray */
        Queue *queue;               /* that it takes slots of; NULL: of none */
        Worker *worker;             /* NULL: none, or it is gone */
        Queue *slot_owner;          /* whose numbers these are */
        usec_t started_monotonic;   /* USEC_INFINITY: not yet */
        usec_t deadline;            /* monotonic: time-out; USEC_INFINITY: none */
        usec_t kill_deadline;       /* monotonic: when SIGKILL follows; USEC_INFINITY: not stopping */
        TimedNode due;              /* of model->deadlines: the first of the two */
        int kill_signal;            /* KillSignal= of the unit */
        bool has_net;               /* the unit has a RuntimeMaxSec=, which does not stop while it is frozen */
        uint64_t signals;           /* asked for by users, not sent yet: bit mask of 1 << (signal - 1) */
        bool fresh;                 /* made by this process, so it knows whether the unit was ever asked for; to a worker: never sent */
        bool asked;                 /* StartTransientUnit was sent by this process; its worker was sent it, since it is connected */
        bool cancel_sent;           /* the same of a worker and its cancel */
        char *left_in;              /* of a worker that is gone: the control group in which something may be left, that takes its slots; or NULL */
        bool killing;               /* EXECUTOR_POOL: its process is to be killed by the runner, and that when the time is over */
        bool left_over;             /* something of it was there when it was last looked at */
        bool has_files;             /* EXECUTOR_POOL: they are to be removed with it */
        bool stuck;                 /* it cannot be asked for now: "trouble" says why */
        bool kill_due;              /* kill_deadline has passed */
        uint32_t looks;             /* by its job, which waits until it is gone */
        bool refused;               /* it was none: its row goes with the commit */
        uint32_t passed_refused;    /* so many numbers directly below its own were such ones' when it was given it */
        bool changed;               /* on model->changed_attempts */
        bool is_new;
        bool outcome_changed;       /* commit: needs an fsync */
        bool acting;                /* on model->act: something is to be asked of PID 1; or on ->act_workers */
        bool deferred;              /* on worker->deferred instead */
        struct UnitWatch *watch;    /* unit/'s own bookkeeping: calls in flight, what was signalled, samples */
        TAILQ_ENTRY(Attempt) changed_entry;
        TAILQ_ENTRY(Attempt) act_entry;
        TAILQ_ENTRY(Attempt) worker_entry; /* worker->attempts */
        UT_hash_handle hh;          /* model->attempts, by unit name */
};

Attempt *attempt_free(Attempt *a);
DEFINE_TRIVIAL_CLEANUP_FUNC(Attempt *, attempt_free);
Attempt *attempt_new(uint64_t job_id, uint32_t number);
int attempt_be_scope(Attempt *a); /* instead of a service; of no model yet */

#define ATTEMPT_UNIT_MAX 64U
/* "jobmill-job-42-1.service" */
void attempt_unit_name(uint64_t job, uint32_t number, bool scope, char ret[static ATTEMPT_UNIT_MAX]);
#define RUNNER_KILL_MIN (10 * USEC_PER_SEC) /* a runner that is told to kill has so long, whatever the stop time-out */
/* "jobmill-job-42-1.service", or .scope -> 42, 1; false for any other name. */
bool attempt_unit_name_parse(const char *unit, uint64_t *ret_job, uint32_t *ret_number);
/* It has a unit of its own, which PID 1 tells of. */
static inline bool attempt_has_unit(const Attempt *a) {
        return a->executor == EXECUTOR_SERVICE || a->executor == EXECUTOR_SCOPE;
}
/* "42.5% of the files": 42.5. false: its status text begins otherwise. */
bool attempt_progress(const char *status, double *ret);
/* "0,3". A queue without a cap gives out higher numbers than one job may ask for slots. */
#define SLOT_NUMBERS_MAX (16U * 1024U * 1024U)
char *attempt_slot_numbers_to_string(const Attempt *a);
int attempt_slot_numbers_from_string(const char *s, uint32_t **ret, uint32_t *ret_n);
