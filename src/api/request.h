/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "api/api.h"

#define JOBMILL_QUEUE_DEFAULT "default"

/* One job that is asked for, checked as far as it has come. */
typedef struct Request {
        JobSpec *spec;
        uint64_t given;   /* the fields of it that were given (queue/spec-change.h) */
        char *queue_name; /* as it was given, or its type's; see request_queue_name() */
        Queue *queue;
        uint32_t owner;
        char *owner_name;
        bool privileged;
        char *never;      /* why it can never start: it is submitted, and ends so */
        /* Where its unique key is taken (unique.h): the job, or the array, that answers it, or a job whose place it takes, and how many go
         * with that; "of": the same of an earlier one of the batch, its place from 1. 0: none. */
        uint64_t answer, replaces, n_replaced;
        size_t answer_of, replaces_of;
        uint64_t room;         /* that it takes in the store (room.h) */
        size_t n_gone;         /* purged ones of the arrays that it comes after, which were looked for, too */
} Request;

void request_done(Request *q);
/* More than one: an array. */
static inline uint64_t request_n_jobs(const Request *q) {
        return MAX(q->spec->array, UINT32_C(1));
}
/* So many jobs one call makes at most, and of so many takes the place, with all arrays: they are held in memory until the commit. */
static inline uint64_t request_jobs_max(const Call *c) {
        return MAX(c->api->limits.array_max, c->api->limits.submit_many_max);
}
void requests_free(Request *l, size_t n);
/* "" and none are the default one. */
const char *request_queue_name(const Request *q);

/* All that follow: 1; 0: not there yet, the handler returns 0 and is run again; negative with *error. */

/* after.c: the jobs that it waits for are there, the caller may read them, and what has ended already is met. */
int request_check_after(Call *c, Request *q, sd_bus_error *error);
/* The same of those of a flow, l, that q waits for and that are other jobs by their unique keys. */
int request_follow_answers(Call *c, Request *l, Request *q, sd_bus_error *error);
/* Everything, which fills q. */
int request_check(Call *c, Request *q, sd_bus_error *error);
/* type.c: the job of its type that it asks for. 0 or negative. */
int request_apply_type(Call *c, Request *q, sd_bus_error *error);
/* May a job of this user be of it? 0 or negative. */
int request_check_type_user(Call *c, const char *name, const User *u, sd_bus_error *error);
bool request_lists_user(char *const *users, char *const *groups, const User *u);
/* PayloadMax=, EnvironmentMax=. 0 or negative. */
int request_check_limits(const Call *c, const JobSpec *s, sd_bus_error *error);
/* credential.c: what one job may have, what its user may with those of a call (root: anything), and may it be had again? 0 or negative. */
int request_check_credentials(const Call *c, const JobSpec *s, sd_bus_error *error);
int requests_check_credentials(const Call *c, const Request *l, size_t n, sd_bus_error *error);
int request_check_retry_credentials(const Call *c, const Job *j, sd_bus_error *error);
/* May jobs of this user be in this queue? Or may the caller put them into all? */
int request_check_queue(Call *c, const char *name, const User *u, Queue **ret, sd_bus_error *error);
/* q->spec's properties in q->queue, by the caller's rights; sets q->privileged. */
int request_check_properties(Call *c, Request *q, sd_bus_error *error);
/* The same by rights that were granted before: q->privileged. */
int request_recheck_properties(const Request *q, sd_bus_error *error);
/* May the caller have something run as this other user? */
int request_authorize_as(Call *c, uint32_t uid, sd_bus_error *error);
