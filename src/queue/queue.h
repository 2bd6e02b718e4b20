/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A queue: a named slice with a cap in slots and a policy. Queues form a tree by their names, exactly as slices do:
 * gpu-train lies inside gpu. A job takes slots in its queue and in every ancestor. An ancestor without a file exists,
 * uncapped. */

#include "base/macro.h"
#include "queue/admission.h"
#include "queue/backlog.h"
#include "queue/job.h"
#include "queue/level.h"
#include "queue/slot-numbers.h"
#include "queue/unit-property.h"

typedef struct Model Model;

#define QUEUE_NAME_MAX 64U
#define KEEP_DEFAULT (30 * 24 * 60 * 60 * USEC_PER_SEC)
#define KEEP_MAX_DEFAULT UINT64_C(1000000)
/* So much of a queue's ready backlog is in memory, or less where there are many queues, or many owners in fair ones. (Tests set
 * these numbers lower, so that few jobs reach them.) */
#ifndef QUEUE_WINDOW
#define QUEUE_WINDOW 256U
#endif
#define QUEUE_WINDOW_MIN 8U
#define QUEUE_WINDOWS 65536U /* of all together, while each has more than that least */

#define SPOOL_MAX_DEFAULT (UINT64_C(16) * 1024 * 1024)
#define SPOOL_MAX_LEAST (UINT64_C(256) * 1024) /* verdict and tails are found in it */

#define SPOOL_MAX_MOST (UINT64_C(1) << 40)

/* What the file says. */
typedef struct QueuePolicy {
        uint32_t slots;           /* UINT32_MAX: no cap */
        char *slot_variable;      /* SlotVariable=, NULL: none */
        char **allow_users;       /* names, uids, "*" (every uid ≥ UID_MIN); NULL and no groups: root only */
        char **allow_groups;
        usec_t timeout_usec;      /* defaults of its jobs */
        usec_t stop_timeout_usec;
        usec_t keep_usec;         /* Keep=; USEC_INFINITY: for ever */
        uint64_t keep_max;        /* KeepMax=; UINT64_MAX: any number */
        usec_t ageing_usec;       /* AgeingSec=; 0: by priority, then id */
        bool fair;                /* Fair=user */
        JobSpec *defaults;        /* the fields with SPEC_INHERIT; NULL: none is set */
        uint64_t spool_max;       /* SpoolMax=: so much of each stream of a job is kept */
        uint64_t queued_max;      /* MaxQueued=, MaxQueuedPerUser=; UINT64_MAX: no limit */
        uint64_t queued_per_user_max;
        char **overridable;       /* Override= */
        RateLimit rate;           /* RateLimit= */
        uint32_t pressure_max[_PRESSURE_MAX]; /* CPUPressureMax= …, permyriad; PRESSURE_NO_LIMIT */
        char *gate_unit;          /* GateUnit=, NULL: none */
        Executor executor;        /* Executor= */
        char **worker_users;      /* WorkerUsers=: names, uids */
        char *worker_unit;        /* WorkerUnit=, or that of the adapter; NULL: none */
        char *adapter;            /* Executor= of an adapter (EXECUTOR_WORKER); NULL: of none */
        char **engine;            /* its section: "Key=value", as it is told with each job */
        char **adapter_takes;     /* what it has an equivalent of in the engine, beside what every worker has: fields of a spec, unit properties */
        bool backstop;            /* Backstop= */
        UnitPropertyList slice;   /* [Slice] */
        UnitPropertyList service; /* [Service] */
        char **settings;          /* the same for people: key ("Slots", "MemoryMax", "Service.Nice"), value, file, key, … */
        char **files;             /* all that were read, in that order */
} QueuePolicy;

void queue_policy_done(QueuePolicy *p);
void queue_policy_init(QueuePolicy *p);
/* Into settings: a line of a file, which takes the place of what was said of that key before, unless they add up. */
int queue_policy_note(QueuePolicy *p, const char *section, const char *key, const char *value, const char *file, bool is_list);

/* Where a look for what may go is to go on, when it met many that have to stay; id 0: at the first one. */
typedef struct RetentionLook {
        unsigned pass;
        usec_t at;
        uint64_t id;
        usec_t next; /* of those that it has seen */
        uint64_t stay; /* so many of them have to stay, which do not count for KeepMax= */
        uint64_t stayed; /* the same of the last look that went through */
} RetentionLook;

struct Queue {
        char *name;
        char *slice;              /* jobmill-NAME.slice */
        Queue *parent;
        uint64_t slices_below;   /* as unit/backstop.c has counted them last */
        QueuePolicy policy;
        bool configured;          /* has a file */
        bool broken;              /* the file is bad and none was good before: its cap is not known */
        bool seen;                /* by the reload that is under way */
        bool policy_changed;      /* by a reload, and nobody was told yet */
        bool cap_changed;         /* or is new: what fits here and below is to be looked up again */

        /* The row */
        bool paused, draining;
        uint64_t count[_JOB_STATE_MAX]; /* jobs of exactly this queue by state */
        uint64_t dead;
        Backlog backlog;          /* by owner, and with the queues below it */
        RateWindow *starts;       /* RateLimit=: when the last ones started; NULL: there is none */
        bool starts_changed;
        bool changed;
        bool is_new;
        /* The ranks of its ready jobs are made by this order, which is the policy's but for a while after that was changed;
         * reranking: by one of both, until all are done (rerank.c). */
        usec_t ranked_ageing;
        bool ranked_fair;
        bool reranking;

        /* In memory */
        Shut shut;                /* its own policy says that nothing of it starts (admission.c) */
        Gate *gate;               /* of GateUnit= */
        usec_t rate_next;         /* realtime: when one more may start */
        bool pressure_limited;    /* it has a limit of pressure, or an ancestor of it */
        uint8_t pressure_shut;    /* bit for each Pressure */
        uint32_t ramp_step, ramp_left; /* since that has eased: so many may start until it is read again, and so many more; step 0: all */
        char *refusal;            /* what the manager said to a start, not before refused_until one is asked for again; or NULL */
        usec_t refused_until;     /* realtime; USEC_INFINITY: from the next decision on */
        bool regulated;           /* on model->regulated */
        TimedNode judged;         /* steady: when it is to be judged again, though nothing happens */
        TAILQ_ENTRY(Queue) regulated_entry, gate_entry, slice_entry;
        bool told;                /* false: more than a counter changed, which QueueChanged tells */
        uint32_t slots_used;      /* by attempts of this queue and of all below it */
        SlotNumbers slot_numbers; /* that are held, see queue_slot_owner(); adopted attempts may come with the same one */
        Level level;              /* who comes first here */
        Source offer;             /* of all that lies here and below: what may start next, in the level above */
        TimedNode purge;          /* even: when the first of its jobs may have been kept long enough; 0: not known */
        RetentionLook look;
        bool touched, lacking;    /* on schedule->touched, ->lacking */
        bool slice_wanted;        /* act: its slice's properties are to be told to the manager: on model->slices_wanted */
        TAILQ_ENTRY(Queue) touched_entry, lacking_entry;
        TAILQ_ENTRY(Queue) changed_entry;
        UT_hash_handle hh;        /* model->queues, by name */
};

Queue *queue_new(const char *name);
Queue *queue_free(Queue *q);
DEFINE_TRIVIAL_CLEANUP_FUNC(Queue *, queue_free);

/* "gpu-train" -> "gpu"; NULL at the top or out of memory. */
char *queue_parent_name(const char *name);
char *queue_slice_name(const char *name);
/* "jobmill-gpu-train.slice" -> "gpu-train"; NULL for others */
char *queue_name_from_slice(const char *slice);

/* The nearest of q and its ancestors that is paused / broken / at which slots are missing; NULL: none. */
/* Is there a file of it, good or bad? NULL: there is not even a queue. */
static inline bool queue_has_file(const Queue *q) {
        return q && (q->configured || q->broken);
}
const Queue *queue_paused_at(const Queue *q);
const Queue *queue_broken_at(const Queue *q);
const Queue *queue_draining_at(const Queue *q);
const Queue *queue_lacking_at(const Queue *q, uint32_t slots);
/* At which an earlier job waits for slots, so that later ones must too: since the last decision. */
const Queue *queue_blocked_at(const Queue *q);
/* The nearest level that could never give so many; NULL: fits. */
const Queue *queue_too_small(const Queue *q, uint32_t slots);

/* Slot numbers are unique below the nearest queue, self or ancestor, that sets SlotVariable=, else in the queue. */
Queue *queue_slot_owner(Queue *q);

/* Take slots on every level and the lowest free numbers; a->queue and a->slots are set. With a->slot_numbers set
 * already (adopted): those, and others may hold them too; a number is free when nobody holds it. -ENOMEM, -ERANGE: no
 * number is left. */
int queue_take_slots(Queue *q, Attempt *a);
void queue_give_slots_back(Attempt *a);
/* SlotVariable= may have moved: the numbers belong to the queue that owns them now. -ENOMEM */
int queue_own_slots(Attempt *a);

/* Is something in the way of all that lies here and below, whoever it is and however many slots it needs? Such a queue offers
 * nothing and blocks nobody else. Who changes the answer calls queue_touch(). */
bool queue_is_closed(const Queue *q);
bool queue_is_shut_off(const Queue *q); /* it, or one that it lies in */
usec_t queue_ageing(const Queue *q); /* 0: by priority, then id */
/* Its owners' jobs can be read one by one. */
bool queue_is_fair(const Queue *q);
bool queue_has_room(const Queue *q, uint32_t slots);
/* Slots, or whether it is closed, are others than they were. */
void queue_touch(Queue *q);
void queue_touch_up(Queue *q); /* and those that it lies in */
/* Some slots are free, but too few for the first. */
void queue_lacks_slots(Queue *q);

/* The windows of its own ready jobs (level.h). */
uint32_t queue_window_max(const Group *g);
int queue_window_insert(Queue *q, const Candidate *c);
void queue_window_remove(Queue *q, uint32_t owner, uint64_t id);
void queue_window_clear(Queue *q);
/* After a window was filled, or its cursor moved: what it now has to offer. */
void queue_window_changed(Group *g);
