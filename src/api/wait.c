/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* WaitJob: answered when the job is done, or when the time is over with the state at that moment. A wait holds nothing but the
 * call; it ends with its caller. */

#include "api/dict.h"
#include "api/long-calls.h"
#include "api/socket.h"

#include "base/crash-point.h"

static void wait_free(Wait *w) {
        TAILQ_REMOVE(&w->api->waits, w, entry);
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

        r = wait_answer(w->api, &w->to, w->id, w->uid, true, &error);
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
        if (!w)
                return -ENOMEM;
        w->api = a;
        w->id = id;
        w->uid = c->client->uid;
        w->to = to;
        sd_bus_message_ref(to.message);
        if (to.connection)
                connection_wait(to.connection, +1);
        TAILQ_INSERT_TAIL(&a->waits, w, entry);
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
        Wait *w, *t;

        TAILQ_FOREACH_SAFE(w, &a->waits, entry, t)
                if (w->id == id)
                        wait_end(w);
}

void wait_drop(Api *a, const char *client) {
        Wait *w, *t;

        TAILQ_FOREACH_SAFE(w, &a->waits, entry, t)
                if (w->to.message && (!client || streq(sd_bus_message_get_sender(w->to.message), client)))
                        wait_free(w);
}

void wait_drop_connection(Api *a, const Connection *c) {
        Wait *w, *t;

        TAILQ_FOREACH_SAFE(w, &a->waits, entry, t)
                if (w->to.connection == c)
                        wait_free(w);
}
