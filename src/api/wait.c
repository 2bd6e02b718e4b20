/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* WaitJob: answered when the job is done, or when the time is over with the state at that moment. A wait holds nothing but the
 * call; it ends with its caller. */

#include "api/dict.h"
#include "api/long-calls.h"
#include "api/share.h"
#include "api/socket.h"

#include "base/crash-point.h"

static void wait_free(Wait *w) {
        Waited *j = w->job;

        TAILQ_REMOVE(&j->waits, w, job_entry);
        if (TAILQ_EMPTY(&j->waits)) {
                HASH_DEL(w->client->api->waited, j);
                free(j);
        }
        TAILQ_REMOVE(&w->client->waits, w, client_entry);
        w->client->account->n_waits--;
        sd_event_source_disable_unref(w->timer);
        sd_bus_message_unref(w->to.message);
        if (w->to.connection)
                connection_wait(w->to.connection, -1);
        free(w);
}

/* uid: of the caller, who may read the reason of his own job only; 0 of all. */
static int wait_answer(Api *a, const ReplyTo *to, uint64_t id, uint32_t uid, bool even_if_running, sd_bus_error *error) {
        _cleanup_(job_row_done) JobRow row = {};
        Reply reply;
        int r;

        r = history_get(a->store, id, false, &row);
        if (r == -ENOENT)
                return api_error_no_such_job(error, id);
        if (r < 0)
                return r;
        if (row.job->state != JOB_DONE && !even_if_running)
                return 0;

        r = reply_begin(to, &reply);
        if (r >= 0)
                r = reply_append(&reply, "state", "s", job_state_to_string(row.job->state));
        if (r >= 0)
                r = reply_append(&reply, "result", "s", row.job->state == JOB_DONE ? job_result_to_string(row.job->result) : "");
        if (r >= 0)
                r = dict_append_attempt(&reply, "outcome", row.attempt, a->user || uid == 0 || uid == row.job->owner, true);
        CRASH_POINT("wait-answer-before");
        r = reply_send(to, &reply, r);
        CRASH_POINT("wait-answer-after");
        return r;
}

static void wait_end(Wait *w) {
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        int r;

        r = wait_answer(w->client->api, &w->to, w->job->id, w->client->uid, true, &error);
        if (r < 0 && !sd_bus_error_is_set(&error))
                (void) sd_bus_error_set_errno(&error, r);
        if (r < 0)
                (void) reply_send_error(&w->to, &error);
        wait_free(w);
}

static int on_wait_timeout(sd_event_source *s, uint64_t usec, void *userdata) {
        Wait *w = userdata;

        wait_end(w);
        return 0;
}

static Waited *waited_get(Api *a, uint64_t id) {
        Waited *j;

        HASH_FIND(hh, a->waited, &id, sizeof(id), j);
        if (j)
                return j;
        j = new0(Waited, 1);
        if (!j)
                return NULL;
        j->id = id;
        TAILQ_INIT(&j->waits);
        HASH_ADD(hh, a->waited, id, sizeof(j->id), j);
        return j;
}

int wait_start(Call *c, uint64_t id, usec_t timeout, sd_bus_error *error) {
        ReplyTo to = call_reply_to(c);
        Api *a = c->api;
        Wait *w;
        int r;

        r = wait_answer(a, &to, id, c->client->uid, timeout == 0, error);
        if (r != 0)
                return r;

        if (call_too_many_pending(c))
                return -EUSERS;
        w = new0(Wait, 1);
        if (!w || !(w->job = waited_get(a, id))) {
                free(w);
                return -ENOMEM;
        }
        w->client = c->client;
        w->to = to;
        sd_bus_message_ref(to.message);
        if (to.connection)
                connection_wait(to.connection, +1);
        TAILQ_INSERT_TAIL(&w->job->waits, w, job_entry);
        TAILQ_INSERT_TAIL(&w->client->waits, w, client_entry);
        w->client->account->n_waits++;
        if (timeout != USEC_INFINITY) {
                r = sd_event_add_time(a->event, &w->timer, CLOCK_MONOTONIC, usec_add(a->now.monotonic, timeout), 0,
                                      on_wait_timeout, w);
                if (r < 0) {
                        wait_free(w);
                        return r;
                }
        }
        return 1;
}

void wait_tell(Api *a, uint64_t id) {
        Waited *j;

        HASH_FIND(hh, a->waited, &id, sizeof(id), j);
        for (Wait *w = j ? TAILQ_FIRST(&j->waits) : NULL, *next; w; w = next) {
                next = TAILQ_NEXT(w, job_entry); /* with the last one the list goes */
                wait_end(w);
        }
}

void wait_drop_client(Client *cl) {
        Wait *w;

        while ((w = TAILQ_FIRST(&cl->waits)))
                wait_free(w);
}
