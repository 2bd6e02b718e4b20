/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* THE MODEL: queues, live jobs, and the jobs that a request of this turn touches. Pure: no bus, no SQLite, no clock.
 *
 * Requests and events from outside call the functions below; each edits memory and puts what it touched on the
 * "changed" lists. Nothing else happens until manager_settle() takes those lists: it records them in one
 * transaction, acts, and tells (design.md, section 3). A job in memory that is neither live nor changed may be evicted
 * at any time: the store has it. */

#include "queue/array.h"
#include "queue/job.h"
#include "queue/queue.h"
#include "queue/receipt.h"
#include "queue/release.h"
#include "queue/schedule.h"
#include "queue/server.h"
#include "queue/timer.h"
#include "queue/unique.h"
#include "queue/usage.h"
#include "queue/durable.h"

TAILQ_HEAD(JobList, Job);
TAILQ_HEAD(AttemptList, Attempt);
TAILQ_HEAD(QueueList, Queue);

struct Model {
        Schedule schedule;
        Queue *queues;           /* uthash by name */
        Job *jobs;               /* uthash by id: live or changed ones only */
        Attempt *attempts;       /* uthash by unit name: everything that holds slots */
        struct JobList changed;
        struct JobList idle;     /* loaded for a look, neither live nor changed: forgotten at the end of the turn */
        struct AttemptList changed_attempts;
        struct QueueList changed_queues, slices_wanted;
        struct AttemptList act, act_workers; /* attempts for which PID 1 is to be asked something, or of which their worker is to be told */
        Worker *workers, *worker_tokens; /* uthash by id, by token */
        struct WorkerList changed_workers; struct Crew *crews; /* uthash by queue and user: workers that serve them */
        Runs runs;               /* those in the foreground that are not done */
        struct ReceiptList receipts; /* of the requests that this commit answers; kept by the store from then on */
        uint64_t *purged;        /* ids that PurgeJobs takes out with this commit */
        size_t n_purged;
        Releases releases;       /* of what waits for other jobs */
        Usage *usage;            /* uthash by key: what this commit adds to the accounts */
        uint64_t next_worker, next_id, recorded_next_id; /* never reused: above the highest id in the store and in unit names; told when it is recorded */
        bool reranking;          /* an order has changed, and ready jobs in the store have ranks of the old one */
        uint64_t reranked;       /* up to this id they have the new one */
        usec_t next_purge;       /* even: of the first of purges; 0: not known */
        int64_t last_key;        /* of the newest job: submission keys never run backwards */
        Epoch epoch; bool shutting_down; /* of the manager that we talk to; which stops the system: what is lost now is lost by that */
        usec_t next_deadline;    /* monotonic; of the first of deadlines */
        const char *dispatch_blocked; /* why nothing starts at all ("resync", "storage", …); NULL: it may. Static string */
        unsigned starting_max;   /* how many attempts may be STARTING at once; 1 until the manager's behaviour is checked */
        unsigned n_strays, n_starting, n_stuck; /* of these, so many cannot be asked for now: they do not keep others from being the first */
        struct QueueList regulated; /* queues that their policy may shut (admission.c); so many have limits of pressure: */
        unsigned n_pressure_limited;
        HeapNode *deadlines, *purges, *judged, *workers_away; /* attempts; queues that are to be purged; those of regulated that are shut; durable.h: by when */
        bool judge_all, pressure_look; /* all of regulated are to be judged; jobs may wait for the pressure to be known that did not */
        Gate *gates; GatePath *gate_paths; struct GateList gate_looks; /* uthash by unit, by path: those of GateUnit=; to be looked at */
        Server *servers; struct ServerList servers_wanted; HeapNode *servers_forget, *servers_kept; /* uthash by unit: those in which somebody waits for a worker */
        PressureSample pressure[_PRESSURE_MAX]; usec_t pressure_at; /* the last ones; monotonic: when */
        usec_t next_admission;   /* realtime: when a queue is no longer shut, as far as that is known */
        unsigned n_unjudged;     /* jobs on changed with ->ended */
        uint64_t poison_max;     /* so many attempts in a row that were lost or ran out of memory, and no more; UINT64_MAX: no limit */
        uint64_t count[_JOB_STATE_MAX], dead; /* of all queues together: there may be thousands to add up */
        Backlog backlog;         /* the same */
        UniqueKeys unique;
        Timers timers; Array *arrays; /* uthash by id: those of which a job is in memory */
        struct ArrayList changed_arrays, wanted_arrays;
        uint64_t deferred_array; /* decide: its places stay free for now, as it is being cancelled; 0: of none */
        uint64_t queued_max, queued_per_user_max; /* of it; UINT64_MAX: no limit */
        usec_t timeout_default, stop_timeout_default, adapter_timeout; /* of queues that do not say; USEC_INFINITY: none, STOP_TIMEOUT_DEFAULT. durable.h */
        JobSpec defaults;        /* of jobs whose queue does not say: output and verify */
};

#ifndef STARTING_MAX
#define STARTING_MAX 64U
#endif
#define STOP_TIMEOUT_DEFAULT (90 * USEC_PER_SEC)

/* Counts for MaxQueued=. */
static inline bool job_state_is_queued(JobState s) {
        return s == JOB_HELD || s == JOB_WAITING || s == JOB_READY;
}

/* The two clocks, read once per turn by daemon/. */
struct Now {
        usec_t realtime;
        usec_t monotonic;
        usec_t even;   /* realtime, as if the clock had never been set while the daemon knew: ages go by it */
        usec_t steady; /* realtime, as if the clock had not been set since the last turn: spans end by it */
};

Model *model_new(void);
Model *model_free(Model *m);
DEFINE_TRIVIAL_CLEANUP_FUNC(Model *, model_free);
bool model_has_changes(const Model *m);

/* ---- queues ---- */
Queue *model_queue(Model *m, const char *name); /* NULL: none */
/* Creates it, and its ancestors, where they do not exist. -EINVAL: not a name. */
int model_queue_add(Model *m, const char *name, Queue **ret);
void model_queue_pause(Model *m, Queue *q, bool paused);
void model_queue_drain(Model *m, Queue *q, bool draining);

/* ---- requests ---- */

/* A new job. Takes spec over on success. -EDQUOT: draining (ret_error names the queue), -ERANGE: more slots than any level
 * could ever give. The caller has validated the spec and the right to submit. */
int model_submit(Model *m, Queue *q, JobSpec *spec, uint32_t owner, const char *owner_name, const Now *now,
                 Job **ret, char **ret_error);
/* Takes it over; it is recorded with the jobs that it tells of. */
void model_receipt_add(Model *m, Receipt *r);
/* Of this commit: the store knows the others. */
const Receipt *model_receipt(const Model *m, uint32_t caller, const char *request_id);
/* Work on a job needs it in the model: live ones are, others the daemon loads and gives to model_job_add(). */
Job *model_job(Model *m, uint64_t id);
void model_job_add(Model *m, Job *j, Queue *q); /* takes it over; j->live is not touched */

/* -EALREADY: it is done. */
int model_cancel(Model *m, Job *j, const char *reason, const Now *now);
int model_kill(Model *m, Job *j, int sig);           /* -EALREADY done; -EBUSY: not running; -EOPNOTSUPP: in a worker */
int model_hold(Model *m, Job *j, const Now *now);    /* -EALREADY done; -EBUSY: live */
int model_release(Model *m, Job *j, const Now *now); /* -EALREADY done; 0 also where it was not held */
/* So many more attempts, the first after the delay. -EBUSY: not done */
int model_retry(Model *m, Job *j, uint32_t attempts, usec_t delay, const Now *now);
bool model_is_purged(const Model *m, uint64_t id);   /* with this commit: there is no such job any more */
int model_purge(Model *m, Job *j);                   /* -EBUSY: not done, or that is not recorded yet */
/* UpdateJob and MoveJob. May these fields (spec-change.h) be changed, and may it be moved, in the state that it is in? -EALREADY:
 * no, with *ret_error. */
int model_may_update(const Job *j, uint64_t fields, bool move, char **ret_error);
/* Changes them to what spec says, which is taken over on success; to: its new queue, or NULL. Of what is stored beside the job
 * itself spec must be whole, but for payload and environment where these are not changed. -EALREADY, as above; -EDQUOT:
 * draining; -EXFULL: MaxQueued=; -ERANGE: more slots than there are, or a time-out that PID 1 would not wait for. The caller has validated the spec
 * and the rights. */
int model_update(Model *m, Job *j, Queue *to, JobSpec *spec, uint64_t fields, const Now *now, char **ret_error);

void model_due(Model *m, Job *j, const Now *now); /* a waiting job's time has come */
/* Start deadlines (deadline.c). Is one to be kept? Can the one that is asked for be? -ERANGE, with *ret_error. */
bool job_has_deadline(const Job *j);
int spec_check_deadline(const JobSpec *s, const Now *now, char **ret_error);
/* One that has passed: done. */
void model_expire(Model *m, Job *j, const Now *now);
/* The clock was set, by so much: the ends of spans move with it. What is not here moves in the store (store_clock_set()). */
void model_clock_set(Model *m, int64_t step);

/* ---- decide (pure) ---- */

/* STARTING: a new attempt with slots and token. -ENOMEM; -ERANGE: no slot number is left; -EAGAIN: no worker has room. */
int model_start(Model *m, Job *j, sd_id128_t token, const Now *now);
/* It cannot be started at all (its owner is gone): done, without an attempt. */
void model_fail(Model *m, Job *j, JobResult result, const char *reason, const Now *now);
void model_deadlines(Model *m, const Now *now); /* time-outs and overdue kills among the attempts; sets next_deadline */

/* ---- what happened outside ---- */

/* Adopting at start-up and after the model was dropped: an attempt from the store, of a live job in the model or (ENDED) of
 * a done one. Takes a over, takes its slots. */
int model_attempt_add(Model *m, Attempt *a, Job *j, Queue *q);
/* Seen started (also when only the end was seen: before model_attempt_ended). */
void model_attempt_started(Model *m, Attempt *a, sd_id128_t invocation_id, usec_t started_realtime,
                           usec_t started_monotonic);
/* Seen running, by a process that did not see it start: the deadlines count from the true start. */
void model_attempt_adopted(Model *m, Attempt *a, usec_t started_monotonic, const Now *now);
/* What it writes to its spool is more than can be kept: it is killed at once, also while it is stopping. false: it was already. */
bool model_attempt_overflow(Model *m, Attempt *a, const Now *now);
/* Its unit's name turned out to be somebody else's: nothing was started, it is ready again for the next number. The row says so. */
void model_attempt_withdraw(Model *m, Attempt *a, const char *reason, const Now *now);
void model_attempt_stuck(Model *m, Attempt *a, bool stuck); /* it cannot be asked for; or is after all */
/* The manager has no room for it (Backstop=): it was no attempt, its row goes; its queue starts nothing for a moment. */
void model_attempt_refused(Model *m, Attempt *a, const char *error, const Now *now);
/* It ended; outcome's strings are taken over. Decides the job's result by its intent: STOPPING gives the intent. A job that
 * may be tried again waits then, and is to be judged in the same turn (m->n_unjudged, j->ended). */
void model_attempt_ended(Model *m, Attempt *a, Outcome *outcome, const Now *now);
/* What becomes of it: done, or waiting or ready for another attempt. spec: without payload and environment is enough; NULL: it
 * cannot be read, so that was it. */
void model_judge(Model *m, Job *j, const JobSpec *spec, const Now *now);
/* NULL: none that holds anything any more. */
Attempt *attempt_find(const Model *m, uint64_t job, uint32_t number), *model_last_attempt(const Model *m, const Job *j);
/* Its last attempt is over, and its unit not gone yet. The next one waits for that: a job never runs twice at a time. It is looked
 * at after twice as long each time, as each is a commit; there is no list of those who wait, which would have to outlive the daemon. */
#define CLEANING_LOOK (250 * USEC_PER_MSEC)
#define CLEANING_DOUBLED_MAX 6U
bool model_is_cleaning_up(const Model *m, const Job *j);
bool model_must_wait(Model *m, Job *j, const Now *now); /* … of one that is about to start: true, and it waits */
/* The unit is gone and its cgroup empty: slots free, attempt freed. Only ENDED and STRAY ones, and only when what became of
 * them is recorded (not a->changed). */
void model_attempt_gone(Model *m, Attempt *a), model_stray_ended(Model *m, Attempt *a);
usec_t attempt_stop_timeout(const Attempt *a); /* the job's, else its queue's, else the default */
/* Put on the list of those for which unit/, or a worker, is to be asked something. */
void model_attempt_act(Model *m, Attempt *a), model_attempt_kill_process(Model *m, Attempt *a, const Now *now); /* by its runner; kill_due once more */

/* ---- record ---- */

/* After the commit and after telling: clear "changed" of everything, drop the jobs that are not live, forget purged ones. */
void model_recorded(Model *m);

void model_job_changed(Model *m, Job *j);
void model_attempt_changed(Model *m, Attempt *a);
void model_queue_changed(Model *m, Queue *q);
