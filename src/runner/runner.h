/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* jobmill-runner: the worker of a queue with Executor=pool and of one user, as whom it runs. It makes a process in a control group of its own
 * of each job that it is given, and says what became of it (docs/pool.md).
 *
 *   main.c    what it is told to be, and when it ends
 *   link.c    the two connections to the daemon
 *   task.c    the life of a job, from its order to its report
 *   spawn.c   how it becomes a process; limit.c: as its properties say
 *   cgroup.c  the control groups below that of its unit, which is delegated to it; strays.c: what jobs put elsewhere in there
 */

#include "api/framing.h"
#include "runner/cgroup.h"
#include "runner/limit.h"

#include <json-c/json.h>
#include <sys/queue.h>
#include <sys/resource.h>
#include <systemd/sd-event.h>
#include <uthash.h>

#ifndef TASKS_MAX
#define TASKS_MAX 65536U /* as many slots as a worker may have */
#endif

typedef struct Runner Runner;

/* Why a child did not become its command: it writes that into memory that it shares. */
typedef struct SpawnFailure {
        int status; /* as systemd has it for the same; 0: it became it */
        int error;
} SpawnFailure;

/* A job, as it was given: an attempt. */
typedef struct Task {
        uint64_t id;
        uint32_t attempt;
        char token[33];         /* by which it is known when it is given again */
        char name[64];          /* of its control group, and of its lines in the journal: jobmill-job-ID-N */
        pid_t pid;              /* 0: its process is over, or never was */
        bool in_cgroup;
        bool was_process, stopped; /* it had a status; the runner was told to end while it ran */
        bool ended, reporting;  /* what became of it is known; and may be told */
        bool refused;           /* what was said of it: only the least is said again */
        unsigned failure;       /* its place in runner->failures */
        int helper;             /* what jobmill-exec says of what it cannot do; or none */
        int status;             /* as wait4() has it */
        const char *result;     /* where the status does not tell */
        char *error;
        CgroupUsage usage;
        unsigned looks;         /* at a control group that was not empty */
        json_object *order;     /* there was no room for its process: it is to be tried again; else NULL */
        unsigned tries;
        TAILQ_ENTRY(Task) entry; /* lacking, leaving, or reports */
        UT_hash_handle hh, hh_pid, hh_name;
} Task;
TAILQ_HEAD(TaskList, Task);

/* One that is over and recorded: the daemon may have given it once more before it heard that. */
typedef struct Finished {
        char token[33];
        UT_hash_handle hh;
} Finished;

typedef struct Channel {
        int fd;                 /* -EBADF: not connected */
        Buffer in, out;
        sd_event_source *io;
} Channel;

struct Runner {
        sd_event *event;
        const char *socket, *queue, *helper;
        usec_t idle, max;       /* with nothing to do it ends after so long; after so long as soon as it has nothing */
        uint32_t slots;

        Channel orders, reports;
        struct json_tokener *tokener;
        char token[33];         /* ""; it is not registered yet */
        bool registered;        /* on the connections that there are */
        sd_event_source *connect_timer, *report_timer, *idle_timer, *leave_timer, *again_timer;
        usec_t idle_since;      /* monotonic */
        sd_event_source *age_timer;
        bool aged;
        bool ending;            /* it wants to be given nothing more, and ends when it has nothing */
        bool told;              /* by the daemon or by a signal: it does not go on when something comes */
        bool stopping;          /* by a signal: it begins nothing more */
        Task drain;             /* the place of a Drain that is not answered among what was reported */
        bool drain_sent, drain_if_idle;
        bool accepted, drained; /* it is given nothing more; and nothing is on its way */

        Task *tasks;            /* uthash by token */
        Task *processes;        /* uthash by pid */
        Task *names;            /* uthash by name */
        unsigned n_groups;      /* that they have */
        struct TaskList lacking; /* whose process could not be made yet */
        struct TaskList leaving; /* ended, and processes of theirs are left */
        struct TaskList to_report, reported; /* said, in this order, and not answered */
        Finished *finished;     /* uthash by token, the oldest first; as many as can have been on their way */

        Cgroups cgroups;
        SpawnFailure *failures; /* shared with children */
        unsigned *free_failures, n_free_failures;
        int null;               /* /dev/null */
        char **environment;     /* that every job has */
        struct rlimit files;    /* RLIMIT_NOFILE that jobs have */
};

/* link.c */
int link_new(Runner *r);
void link_report(Runner *r, Task *t);
/* Unless that was said and is not answered. */
void link_drain(Runner *r);
void link_done(Runner *r);
/* All that was written goes out; what cannot waits for the socket. */
void link_flush(Runner *r);

/* task.c */
int task_order(Runner *r, json_object *order); /* -errno: it is not taken */
void task_signal(Runner *r, json_object *order);
void task_reported(Runner *r, Task *t);
void tasks_reap(Runner *r);
void tasks_leave(Runner *r);
void tasks_again(Runner *r);
void tasks_stop(Runner *r);
void tasks_done(Runner *r);

/* spawn.c: t->pid, or what its end is to be: t->result and t->error; neither: there is no room for a process now. */
typedef struct JobSpec JobSpec;
void spawn(Runner *r, Task *t, const JobSpec *s, json_object *run);

/* strays.c: to be called when a job has ended, before that is told; and with none. */
void strays_kill(const Runner *r);

/* main.c */
void runner_look_idle(Runner *r);
void runner_stay(Runner *r); /* it is as if it had something just now */
void runner_drain(Runner *r);
void runner_exit(Runner *r, int status);

/* Of a message: NULL, or what it holds. */
json_object *json_get(json_object *o, const char *key);
const char *json_get_text(json_object *o, const char *key);
uint64_t json_get_number(json_object *o, const char *key);
