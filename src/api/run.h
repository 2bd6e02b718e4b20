/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Jobs in the foreground: the processes that wait for their turn, run the command, and tell how it ended (jobmill-protocol(7), Run). */

#include "api/process.h"
#include "api/request.h"

/* run-link.c. In pieces, so that all that can fail is done before there is a job. */
typedef struct RunLink RunLink;
int run_link_new(Api *a, Process *p, RunLink **ret); /* takes p->fd */
const char *run_link_too_many(const Api *a, const Account *account); /* for one more; which limit, or NULL */
RunLink *run_link_free(RunLink *l);
void run_link_add(RunLink *l, Run *r, uint32_t uid); /* takes l over */
void run_link_connect(Api *a, const Run *r, Connection *c);
void run_connection_gone(Api *a, uint64_t job);

/* outcome: what its scope has used, and how it ended in that light; userdata is the Api's. */
int api_runs_new(Api *a, void (*outcome)(void *userdata, const Attempt *a, bool stopped, Outcome *o));
void run_outcome(const Api *a, const Attempt *at, bool stopped, Outcome *o);

/* Another model: processes that are there are held, those that are gone are told of. */
void api_runs_resume(Api *a);
void api_runs_free(Api *a);
/* At the end of the turn, of what was noted after each commit: those that wait are told why, those whose job is done how it ended. */
void api_note_runs(Api *a, const Change *changes, size_t n), api_tell_runs(Api *a);

/* run.c: {done}, of a job that is. */
int run_append_done(Reply *reply, const JobRow *row);

/* May it be put into a scope, or start the command in it, now? -ESRCH: it is gone; -EPERM: it does not run as its owner alone. */
int api_run_check(const Run *r, uint32_t owner);
bool api_run_waits(const Api *a, const Attempt *at); /* to be told that it may go */
/* It may go, with this environment beside its own. 0: nobody is there to be told now. */
int api_run_go(Api *a, const Attempt *at, char *const *environment);
/* It need not. */
void api_run_stop(Api *a, const Attempt *at);
