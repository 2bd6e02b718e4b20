/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Job types: what jobs/NAME.job says. A job that names one gets its command, its defaults and its sandbox when it is submitted, and
 * keeps them: the type is needed no more then (type-rules.h). Reading the files is daemon/'s. */

#include "queue/spec.h"
#include "queue/timer.h"
#include "queue/unit-property.h"

#include <uthash.h>

typedef struct JobType {
        char *name;
        char *version, *description;
        char *queue;              /* NULL: the default one */
        char **command;           /* the first word: an absolute path */
        JobSpec *defaults;        /* these fields of it */
        uint64_t fields;
        char **allow_users;       /* as a queue's; neither this nor groups: whoever may submit to the queue */
        char **allow_groups;
        char **accept;            /* keys of the spec */
        char **overridable;       /* Override= */
        char **payload_required;  /* KEY[:TYPE] */
        char **payload_optional;
        char **commands, **units, **requires, **credentials; /* Require…=; requires: files */
        char **credential_paths;  /* where they were found */
        UnitPropertyList service;
        char **properties;        /* the same, line by line */
        TimerPolicy schedule;     /* [Schedule] */
        bool scheduled;           /* there is one */
        char *schedule_payload;
        char **files;             /* all that were read, in that order */
        bool configured;          /* one of its files was good */
        bool seen;                /* by the reload that is under way */
        char *fault;              /* what is wrong with its files, or what it needs and is not there; NULL: nothing */
        char *missing_units;      /* the same of RequireUnits=, as the service manager says */
        UT_hash_handle hh;
} JobType;

typedef struct JobTypes {
        JobType *all; /* by name */
} JobTypes;

JobType *job_type_new(const char *name);
JobType *job_type_free(JobType *t);
DEFINE_TRIVIAL_CLEANUP_FUNC(JobType *, job_type_free);
void job_types_done(JobTypes *l);
JobType *job_types_find(const JobTypes *l, const char *name);

/* Why no job of it can be submitted; NULL: one can. */
const char *job_type_reason(const JobType *t);
/* With its jobs their submitters get something that they do not have. */
bool job_type_is_privileged(const JobType *t);
/* Do callers give only what is listed, payload and tags? Then *ret_accept is the list, with these. */
int job_type_accepts(const JobType *t, char ***ret_accept);

/* What is not right with the whole of it. -EINVAL, with *ret_error. */
int job_type_check(const JobType *t, char **ret_error);

/* Make s, of which the caller gave these fields, and a queue or not, a job of t. -EPERM: not for a caller to give; -EINVAL: the payload
 * is not as t wants it; with *ret_error, which names the key. */
int job_type_apply(const JobType *t, JobSpec *s, uint64_t given, bool gives_queue, char **ret_error);
