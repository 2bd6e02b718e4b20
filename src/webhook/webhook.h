/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* jobmill-webhook: a worker of the queue "callbacks" (docs/workers.md, docs/callbacks.md). What it is given it sends, as many at a time as
 * Deliveries= says, and it says what became of it; when it is tried again, and when no more, is the queue's policy. */

#include "api/framing.h"
#include "webhook/policy.h"
#include "webhook/sign.h"

#include <curl/curl.h>
#include <json-c/json.h>
#include <sys/queue.h>

#define TOKEN_SIZE 33U
#define STATUS_AGAIN 1   /* exit status: it may be tried again, */
#define STATUS_NEVER 100 /* and not: what was wrong is so the next time */

/* One callback: under way, and until the daemon has recorded what became of it. */
typedef struct Delivery {
        uint64_t id, attempt;     /* of its job */
        char token[TOKEN_SIZE];   /* of its attempt */
        uint32_t owner;
        json_object *job;         /* its spec, of which these are parts: */
        const char *url, *event, *body;
        CURL *easy;               /* NULL: it is not under way (any more) */
        struct curl_slist *headers;
        const Policy *policy;
        char error[CURL_ERROR_SIZE];
        char refused[INET6_ADDRSTRLEN]; /* of this step: the last address that it was not let connect to; */
        bool allowed;             /* … there was one that it was: it may be there another time */
        size_t received;          /* of the answer */
        bool too_long;            /* … it was not read to its end */
        int status;               /* 0: delivered */
        char reason[512];         /* else */
        TAILQ_ENTRY(Delivery) entry;
} Delivery;
TAILQ_HEAD(Deliveries, Delivery);

typedef struct Link {
        int orders, reports;      /* the two connections; -EBADF: none */
        Buffer in_orders, in_reports;
        char token[TOKEN_SIZE];   /* of this worker; "": it has none yet */
        bool registered;          /* on these connections */
        usec_t connect_next, report_next, drain_next; /* monotonic: not before */
        json_tokener *tokener;
        Delivery drain;           /* its place among what was reported */
        bool drain_sent, drain_if_idle;
        bool drained;             /* the daemon gives it nothing more */
} Link;

typedef struct Webhook {
        Policy policy;
        Keys keys;
        CURLM *multi;
        Link link;
        struct Deliveries under_way, to_report, reported;
        usec_t idle_since;        /* monotonic */
        bool ready_told;
        bool told;                /* to end: it takes nothing more */
        bool ended;
        int result;
        bool user;
} Webhook;

/* delivery.c */
void delivery_free(Delivery *d);
/* order: of an {assign}. It is under way, or has failed already (to_report). -ENOMEM: nothing has happened. */
int delivery_begin(Webhook *w, json_object *order);
void delivery_cancel(Webhook *w, Delivery *d);
void deliveries_perform(Webhook *w);
Delivery *delivery_find(Webhook *w, uint64_t id, uint64_t attempt);

/* link.c: with the daemon. */
void link_init(Webhook *w);
void link_done(Webhook *w);
void link_turn(Webhook *w, usec_t now); /* connect, read, report: what can be done now */
bool link_is_idle(const Webhook *w); /* nothing is under way, nor to be said */
usec_t link_next(const Webhook *w); /* monotonic: when there is something to do though nothing comes */
void link_drain(Webhook *w); /* it takes nothing more, or has nothing to do: it ends when the daemon knows, or is not there */
