/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Callbacks: who wants to be told when a job starts or ends (docs/callbacks.md). Each is a job of its own, of the same owner, in the queue
 * "callbacks", made in the turn in which that happened and so recorded in the same commit: it is neither lost nor made twice. What it says is
 * the record of the job that it is about, as that commit leaves it. In the same way OnSuccess= and OnFailure= start units. */

#include "base/macro.h"

#define CALLBACK_QUEUE "callbacks"
#define TRIGGER_QUEUE "triggers" /* the same of units that are started: each is a job that calls systemctl */
#define CALLBACK_URL_MAX 2048U
#define CALLBACK_COMMAND "jobmill-webhook" /* first word of the argv of such a job; event, id and URL follow */

typedef struct Model Model;
typedef struct Job Job;
typedef struct JobSpec JobSpec;
typedef struct Now Now;

typedef enum CallbackEvent {
        CALLBACK_STARTED, /* an attempt has */
        CALLBACK_SUCCESS, /* it is done, with success */
        CALLBACK_FAILURE, /* an attempt was none, or it is done without any */
        CALLBACK_DEAD,    /* it is done, and no success */
        _CALLBACK_EVENT_MAX,
        _CALLBACK_EVENT_INVALID = -EINVAL,
} CallbackEvent;

#define CALLBACK_EVENTS_DEFAULT (1U << CALLBACK_SUCCESS | 1U << CALLBACK_DEAD) /* one of both, when it is done */

const char *callback_event_to_string(CallbackEvent e);
CallbackEvent callback_event_from_string(const char *s);

/* Of which events a job of this spec tells: a set of 1 << CallbackEvent. */
uint32_t callback_events(const JobSpec *spec);
#define CALLBACK_UNITS(events) ((events) << 16) /* at which units are started */
uint32_t callback_set(const JobSpec *spec);     /* both */
bool callback_queue_is(const char *queue); /* jobmill's own: nothing is told of jobs in there */
/* Something happened to it that it is to tell of, and does not yet. */
bool job_has_callbacks(const Job *j);
/* A job for each of these. spec: of j; user: in the instance of a user, else units are started as root. -ENOMEM. */
int model_make_callbacks(Model *m, Job *j, const JobSpec *spec, bool user, const Now *now);
