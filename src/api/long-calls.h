/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What goes on after a handler has returned: ends that are waited for, logs that are followed, a backup that is written. */

#include "api/api.h"

/* An answer that waits for the commit. */
struct Held {
        ReplyTo to;
        Reply reply;
        size_t size; /* in memory */
        bool final; /* it does not: it has its place behind one that does */
        TAILQ_ENTRY(Held) entry;
};
int held_add(Api *a, const ReplyTo *to, Reply *reply, bool final); /* takes reply over */
void held_free(Api *a, Held *h);

/* Somebody waits for a job's end. */
struct Wait {
        Client *client;
        struct Waited *job;
        ReplyTo to;
        sd_event_source *timer;
        TAILQ_ENTRY(Wait) job_entry, client_entry;
};
typedef struct Waited {
        uint64_t id;
        TAILQ_HEAD(, Wait) waits;
        UT_hash_handle hh; /* api->waited, by id */
} Waited;

void api_reconnect_later(Api *a);

/* congestion.c: more waits to be sent than is normal. */
bool api_is_congested(const Api *a);

/* wait.c */
int wait_start(Call *c, uint64_t id, usec_t timeout, sd_bus_error *error);
void wait_tell(Api *a, uint64_t id);
void wait_drop_client(Client *cl);

/* events.c: some of those behind *after, which moves; 1; 0: there are none; negative: that was told, and is the end. */
int events_send(Api *a, const ReplyTo *to, uint64_t *after);
void events_forget(Api *a);

/* log-stream.c */
void log_streams_tell(Api *a, const Change *c);
void log_streams_drop(Api *a);

/* bus-backup.c */
Backup *backup_free(Backup *b);

/* bus-check.c */
Check *check_free(Check *k);
void call_wait_for_repair(Call *c);
/* Repair(), authorized: the next that waits to be done at the end of a turn, NULL: none; where to tell what is found; and its answer. */
Call *api_next_repair(Api *a);
store_finding_t api_repair_found(Call *c, void **ret_userdata);
void api_repair_done(Call *c, int error, const char *text);
