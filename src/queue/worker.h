/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Workers: long-lived processes that are given jobs (docs/workers.md). Pure: who they are is told by api/, which holds their connections and
 * processes; that a process is gone is told by it, too. */

#include "base/macro.h"
#include "queue/heap.h"

#include <sys/queue.h>
#include <systemd/sd-id128.h>
#include <uthash.h>

typedef struct Attempt Attempt;
typedef struct JobSpec JobSpec;
typedef struct Model Model;
typedef struct Now Now;
typedef struct Outcome Outcome;
typedef struct Queue Queue;
typedef struct Worker Worker;

TAILQ_HEAD(WorkerList, Worker);

/* What an attempt lives in. */
typedef enum Executor {
        EXECUTOR_SERVICE, /* a unit of its own */
        EXECUTOR_WORKER,  /* the process of a worker; of a durable one: what it has handed the job to */
        EXECUTOR_POOL,    /* a process that a runner made, which is a worker too (queue/pool.h) */
        EXECUTOR_SCOPE,   /* a scope around the process that asked for it, in the foreground (run.h) */
        _EXECUTOR_MAX,
        _EXECUTOR_INVALID = -EINVAL,
} Executor;

const char *executor_to_string(Executor e);
Executor executor_from_string(const char *s);
/* Its attempts are given to a worker. */
static inline bool executor_has_worker(Executor e) {
        return e == EXECUTOR_WORKER || e == EXECUTOR_POOL;
}

#define WORKER_QUEUES_MAX 64U
#define WORKER_METADATA_MAX 4096U
#define WORKER_NAME_MAX 128U

struct Worker {
        /* The row */
        uint64_t id;             /* never reused */
        sd_id128_t token;
        uint32_t uid;
        char *user;              /* its name */
        sd_id128_t boot_id;
        uint32_t pid;
        uint64_t started;        /* of that process: in ticks since the boot, as /proc has it */
        char *unit;              /* that it runs in; NULL: none */
        char *name, *metadata;   /* metadata: an object of JSON; both as it said, or NULL */
        char **queues;           /* that it serves; NULL: */
        char *adapter;           /* … all whose Executor= is this */
        uint32_t slots;
        bool draining;           /* is given nothing more */
        bool durable;            /* an engine holds its jobs, and its process may go and come back (durable.h) */
        TimedNode away;          /* of model->workers_away; even: no process is it since; USEC_INFINITY: one is */
        usec_t registered_usec;  /* realtime */

        /* In memory */
        char *cgroup;            /* of the service whose main process it is; NULL: it is not, or that is not known */
        Model *model;
        uint32_t slots_used, n_attempts;
        bool connected;          /* there is somebody to be told */
        bool is_new, changed;
        bool gone;               /* its row goes with the commit, and this with it */
        TAILQ_HEAD(, Attempt) attempts, deferred; /* that it has; of which it is to be told something when it listens again */
        struct Seat *seats;      /* one for each of its queues (crew.h) */
        size_t n_seats;
        TAILQ_ENTRY(Worker) changed_entry;
        UT_hash_handle hh, by_token; /* model->workers by id, model->worker_tokens */
};

Worker *worker_new(void);
Worker *worker_free(Worker *w);
DEFINE_TRIVIAL_CLEANUP_FUNC(Worker *, worker_free);

bool worker_names(const Worker *w, const Queue *q); /* the queue is one of those that it says it serves */
/* Is this job of that queue given to one? Not what runs in the foreground. */
bool job_has_worker(const Model *m, const Queue *q, uint64_t job);
/* Does it get jobs of this user there? Its own; those of all where the queue's file names its user or its unit. */
bool worker_serves(const Worker *w, const Queue *q, uint32_t owner);
bool worker_is_trusted(const Worker *w, const Queue *q); /* the file of the queue names its user or its unit */
bool worker_may_serve(const Worker *w, const Queue *q);  /* at all; of jobmill's own queues not everybody */
bool worker_serves_all(const Worker *w, const Queue *q);
bool worker_takes_jobs(const Worker *w);
/* Whether busy or not, connected or not: somebody of the unit that would be started for jobs of this user. */
bool worker_unit_is_there(const Model *m, const Queue *q, uint32_t owner);
/* Who is given the next job of so many slots; NULL: nobody can be, and the reason is worker_reason(). */
Worker *worker_choose(const Model *m, const Queue *q, uint32_t owner, uint32_t slots);
/* Will he be given it, now or when others have ended? Else it waits in vain, and nobody must wait for it. */
bool worker_is_there(const Model *m, const Queue *q, uint32_t owner, uint32_t slots);
/* Something is ready that it serves; when there is room somebody must be there. */
bool worker_is_waited_for(const Worker *w);
/* As reason_say(); 0: somebody has room. */
int worker_reason(const Model *m, const Queue *q, uint32_t owner, uint32_t slots, char **ret);

/* A worker has no unit of the job: what only that could give, but for what the queue's adapter takes. -EPERM, and what it is. */
int worker_check_spec(const JobSpec *s, const Queue *q, char **ret_error);

Worker *model_worker(const Model *m, uint64_t id);
Worker *model_worker_by_token(const Model *m, sd_id128_t token); /* NULL: none, or it is gone */
/* Takes it over. loaded: of the store; else it is new, and given its id. -ENOMEM: it is the caller's still */
int model_worker_add(Model *m, Worker *w, bool loaded);
void model_worker_drain(Model *m, Worker *w);
/* Policies say whom they serve: these may be others now. -ENOMEM */
int workers_configure(Model *m);
/* Somebody is there to be told, or not any more: what it is to be told is to be told (again). */
void model_worker_connected(Model *m, Worker *w, bool connected);
/* It does not listen: this is not tried before it does; and it does. */
void model_attempt_defer(Attempt *a);
void model_worker_listens(Model *m, Worker *w);
/* Its process is: its attempts are lost. */
void model_worker_gone(Model *m, Worker *w, const Now *now);
/* It said how it ended. -ENOENT: it has no such attempt. outcome is taken over on success. */
int model_worker_complete(Model *m, Worker *w, uint64_t job, uint32_t number, Outcome *outcome, const Now *now);
/* It was not begun, and is as if it had not been given: the job waits again. -ENOENT */
int model_worker_return(Model *m, Worker *w, uint64_t job, uint32_t number, const char *reason, const Now *now);
/* NULL: it has none such that has not ended. */
Attempt *model_worker_attempt(const Model *m, const Worker *w, uint64_t job, uint32_t number);
bool model_worker_had(const Model *m, const Worker *w, uint64_t job, uint32_t number); /* also one that has ended, while the model knows it */
/* Loaded from the store: of the worker with this id. -ENOENT */
int model_worker_adopt(Model *m, uint64_t id, Attempt *a);

/* Between model.c and attempt.c. */
void worker_take(Worker *w, Attempt *a);
void worker_give_back(Attempt *a);
void worker_attempt_acts(Attempt *a);
void workers_recorded(Model *m);
void worker_changed(Model *m, Worker *w);
