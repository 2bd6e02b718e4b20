/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* jobmill-slurm: the adapter of Slurm (docs/adapters.md, docs/slurm.md): a durable worker of all queues whose Executor= is slurm. What it is given it
 * submits as the job's owner, and looks by its name what becomes of it. It keeps nothing but what the daemon keeps for it: one that is killed goes on
 * from there.
 *
 *   WAITS       nothing was asked: Slurm does not answer, or others are being asked
 *   KEEPING     that it is about to be asked for is being recorded
 *   SUBMITTING  sbatch runs
 *   WATCHED     it is in Slurm by its name, or was, or never came there: which, Slurm tells
 *   READING     it has ended: what it wrote is read
 *   ENDED       what became of it is told, until that is recorded
 *
 * From KEEPING on it is never submitted again, whatever anybody loses. */

#include "base/macro.h"
#include "queue/outcome.h"
#include "slurm/link.h"
#include "slurm/state.h"

#include <json-c/json.h>
#include <sys/queue.h>
#include <sys/types.h>
#include <systemd/sd-event.h>
#include <uthash.h>

typedef struct JobSpec JobSpec;
typedef struct Slurm Slurm;
typedef struct Task Task;

#define SLURM_SLOTS 65536U
#define SLURM_POLL (1 * USEC_PER_SEC)          /* at most so often, … */
#define SLURM_POLL_SHARE 10U                   /* … and so that Slurm is asked for a tenth of the time */
#define SLURM_COMMANDS_MAX 8U                  /* at a time */
#define SLURM_COMMAND_TIMEOUT (60 * USEC_PER_SEC)
#define SLURM_MISSING_DEFAULT (300 * USEC_PER_SEC) /* MinJobAge= of Slurm, if it does not say */
#define SLURM_CANCEL_AGAIN (10 * USEC_PER_SEC)
#define SLURM_NAME_MAX 64U
#define SLURM_TAIL_MAX ((size_t) 64 * 1024)    /* of each stream is read */

/* Whoever a job runs as. */
typedef struct Owner {
        uid_t uid;
        gid_t gid;
        char *name, *home;
} Owner;

typedef enum TaskState {
        TASK_WAITS,
        TASK_KEEPING,
        TASK_SUBMITTING,
        TASK_WATCHED,
        TASK_READING,
        TASK_ENDED,
} TaskState;

struct Task {
        Slurm *slurm;
        uint64_t id, attempt;     /* of its job */
        char token[TOKEN_SIZE];   /* of its attempt */
        char name[SLURM_NAME_MAX]; /* in Slurm: nobody has had it before */
        json_object *order;       /* of the {assign} */
        JobSpec *spec;
        Owner owner;
        char *directory;          /* its own, on what Slurm's nodes share */
        TaskState state;
        uint64_t slurm_id;        /* 0: not known */
        usec_t since;             /* monotonic: in this state */
        usec_t missing;           /* monotonic: not found since then; 0: it was found */
        bool was_found, told_started;
        char *status;             /* told last */
        bool cancel;              /* it is to end */
        usec_t cancel_next;       /* monotonic: not asked for again before */
        int signal;               /* to be sent to it; 0: none */
        bool commanded;           /* something of its own runs */
        SlurmJob end;             /* once it has ended there */
        char *error;              /* why it could not run */
        bool is_lost, told_output;
        TAILQ_ENTRY(Task) entry;
        UT_hash_handle hh;        /* slurm->tasks, by token */
        UT_hash_handle by_name;   /* slurm->names */
};
TAILQ_HEAD(Tasks, Task);

/* A program that runs, and what it writes. status: of waitid(2): the exit status; negative: it was killed, as it took too long, or a signal ended it. */
typedef void (*command_done_t)(Slurm *s, Task *t, int status, const char *text, size_t size);
typedef struct Command Command;

struct Slurm {
        sd_event *event;
        Link *link;
        Task *tasks, *names;
        TAILQ_HEAD(, Command) commands;
        unsigned n_commands;
        sd_event_source *timer;
        bool is_up;               /* it has answered the last time */
        bool polling;
        usec_t poll_began, poll_next; /* monotonic */
        usec_t missing_usec;
        const char *dead_nodes;   /* text of what sinfo says, while a poll is looked at */
};

/* command.c: owner: NULL: as ourselves. prepare: in the child, as the owner; what it returns, if it is not 0, is the exit status. */
int command_run(Slurm *s, const Owner *owner, char *const *argv, int (*prepare)(const Task *t), Task *t, command_done_t done);
void commands_forget(Slurm *s, const Task *t); /* of a task that is no more: nobody is told */
bool command_may_run(const Slurm *s);

/* submit.c */
int submit_begin(Task *t, command_done_t done);
int output_begin(Task *t, command_done_t done); /* what it wrote, and its status; output_read() understands it */
int output_remove(Task *t, command_done_t done);
typedef struct Output {
        const char *out, *err;
        size_t n_out, n_err;
        int status; /* that its script has noted; -1: none; OUTPUT_LOST: it was begun twice, and ended the first time without one */
} Output;
#define OUTPUT_LOST -2
bool output_read(const char *text, size_t size, Output *ret);
/* As an option of sbatch; NULL where it has none: of what unit properties say. */
int submit_check(const Task *t, char **ret_error);

/* task.c */
void task_assign(Slurm *s, json_object *order);
void task_cancel(Slurm *s, json_object *order);
void task_signal(Slurm *s, json_object *order);
void tasks_turn(Slurm *s);
void tasks_free(Slurm *s);
