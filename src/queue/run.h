/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Jobs in the foreground (jobmill run): somebody's process waits for its turn, is put into a scope, and starts the command itself. The
 * process is the lease, from the submission on; that it is gone is told by api/, which holds it. Pure. */

#include "base/macro.h"

#include <sys/queue.h>
#include <systemd/sd-id128.h>
#include <uthash.h>

typedef struct Attempt Attempt;
typedef struct Job Job;
typedef struct JobSpec JobSpec;
typedef struct Model Model;
typedef struct Now Now;
typedef struct Outcome Outcome;

/* There from the submission until its job is done and that is recorded. */
typedef struct Run {
        /* The row */
        uint64_t job;
        sd_id128_t token;   /* its own word; also that of its attempt */
        sd_id128_t boot_id; /* of that process, which these three tell: */
        uint64_t started;   /* in ticks since the boot, as /proc has it */
        uint32_t pid;

        /* In memory */
        int pidfd;          /* api/'s, which watches it; -EBADF: not held yet */
        bool connected;     /* it waits for its turn, and can be told of it; else it is not chosen */
        bool gone;          /* its process is */
        bool doomed;        /* on runs.gone: that is to be looked at, or that it stayed away */
        bool is_new, over, changed;
        bool wanted;        /* on runs.go: it is to be told that it may go */
        TAILQ_ENTRY(Run) changed_entry, go_entry, gone_entry;
        UT_hash_handle hh, token_hh, process_hh;
} Run;

TAILQ_HEAD(RunList, Run);
typedef struct Runs {
        Run *by_job, *by_token, *by_process; /* uthash; by_process: those that are not over */
        struct RunList changed, go, gone;
} Runs;

Run *run_free(Run *r);
DEFINE_TRIVIAL_CLEANUP_FUNC(Run *, run_free);

/* What only a unit of its own, or the daemon, could do for it. -EPERM, and what it is. Fills in what such a job is. */
int run_check_spec(JobSpec *s, char **ret_error);

uint64_t run_fields(void); /* what it may have, as a set (spec-change.h) */

Run *model_run(const Model *m, uint64_t job), *model_run_of_token(const Model *m, const sd_id128_t *token);
Run *model_run_of_process(const Model *m, sd_id128_t boot_id, uint64_t started, uint32_t pid); /* that is not over */
/* Takes it over. loaded: of the store. */
void model_run_add(Model *m, Run *r, bool loaded);
/* Its process is gone; daemon/ loads the job, and then: cancelled where the command was not started, else what is left in the scope is
 * killed, and it is lost. */
void model_run_gone(Model *m, Run *r);
/* Its process is there, and has not come back for its turn: cancelled. */
void model_run_away(Model *m, Run *r);
Run *model_next_gone_run(Model *m); /* NULL: none is to be looked at */
void model_run_end(Model *m, const Run *r, Job *j, const Now *now);
void model_run_connected(Model *m, Run *r, bool connected);
bool run_is_away(const Model *m, uint64_t job); /* nobody is there to be told of its turn: another one is chosen */
/* Its command ended. The outcome is taken over. */
void model_run_exited(Model *m, Attempt *a, Outcome *outcome, const Now *now);
/* It may be told to go, or that it need not. */
void model_run_act(Model *m, Run *r);
Run *model_next_run(Model *m); /* NULL: none is to be told */

/* Between model.c, attempt.c and here. */
void run_act_of(Model *m, const Attempt *a); /* it was started, or is being stopped */
void run_over(Model *m, const Job *j);
void run_start_undone(Model *m, const Job *j); /* it waits again: what became of its process meanwhile is looked at once more */
void runs_recorded(Model *m);
