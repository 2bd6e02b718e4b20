/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* WaitJob: answered when the job is done, or when the time is over with the state at that moment. A wait holds nothing but the
 * call; it ends with its caller. */

#include "api/dict.h"
#include "api/long-calls.h"

#include "base/crash-point.h"

static void wait_free(Wait *w) {
        TAILQ_REMOVE(&w->api->waits, w, entry);
        sd_event_source_disable_unref(w->timer);
        sd_bus_message_unref(w->call);
        free(w);
}

/* uid: of the caller, who may read the reason of his own job only; 0 of all. */
static int wait_answer(Api *a, sd_bus_message *call, uint64_t id, uint32_t uid, bool even_if_running) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        _cleanup_(job_row_done) JobRow row = {};
        int r;

        r = history_get(a->store, id, false, &row);
        if (r == -ENOENT)
                return sd_bus_reply_method_errorf(call, JOBMILL_ERROR_NO_SUCH_JOB, "There is no job %" PRIu64, id);
        if (r < 0)
                return r;
        if (row.job->state != JOB_DONE && !even_if_running)
                return 0;

        r = sd_bus_message_new_method_return(call, &reply);
        if (r >= 0)
                r = sd_bus_message_append(reply, "ss", job_state_to_string(row.job->state),
                                          row.job->state == JOB_DONE ? job_result_to_string(row.job->result) : "");
        if (r < 0)
                return r;
        if (row.attempt)
                r = dict_append_attempt(reply, row.attempt, a->user || uid == 0 || uid == row.job->owner, true);
        else
                r = sd_bus_message_append(reply, "a{sv}", 0);
        if (r < 0)
                return r;
        CRASH_POINT("wait-answer-before");
        r = sd_bus_send(NULL, reply, NULL);
        CRASH_POINT("wait-answer-after");
        return r < 0 ? r : 1;
}

static void wait_end(Wait *w) {
        int r;

        r = wait_answer(w->api, w->call, w->id, w->uid, true);
        if (r < 0)
                (void) sd_bus_reply_method_errno(w->call, r, NULL);
        wait_free(w);
}

static int on_wait_timeout(sd_event_source *s, uint64_t usec, void *userdata) {
        Wait *w = userdata;

        wait_end(w);
        return 0;
}

int wait_start(Call *c, uint64_t id, usec_t timeout) {
        Api *a = c->api;
        Wait *w;
        int r;

        r = wait_answer(a, c->message, id, c->client->uid, timeout == 0);
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
        w->call = sd_bus_message_ref(c->message);
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
                if (!client || streq(sd_bus_message_get_sender(w->call), client))
                        wait_free(w);
}
