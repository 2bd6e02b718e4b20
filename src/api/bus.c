/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The public connection: objects first, then the name, so that nobody finds the name without them. Lost with the bus, opened
 * again with back-off. And telling: what a commit changed, as signals, ends of waits, and the answers that were held. */

#include "api/long-calls.h"

#include "api/log-control.h"
#include "api/socket.h"
#include "api/run.h"
#include "api/worker.h"
#include "base/bus-util.h"
#include "base/crash-point.h"
#include "base/log.h"

#define RECONNECT_MIN (100 * USEC_PER_MSEC)
#define RECONNECT_MAX (5 * USEC_PER_SEC)

static void api_disconnect(Api *a) {
        call_drop_all(a);
        a->ping_slot = sd_bus_slot_unref(a->ping_slot);
        a->stuck = false;
        a->bus = sd_bus_close_unref(a->bus);
}

static int on_reconnect(sd_event_source *s, uint64_t usec, void *userdata) {
        api_connect(userdata);
        return 0;
}

void api_reconnect_later(Api *a) {
        api_disconnect(a);
        a->reconnect_delay = MIN(MAX(a->reconnect_delay * 2, RECONNECT_MIN), RECONNECT_MAX);
        (void) sd_event_source_set_time_relative(a->reconnect_timer, a->reconnect_delay);
        (void) sd_event_source_set_enabled(a->reconnect_timer, SD_EVENT_ONESHOT);
}

static int on_disconnected(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        log_warning("Lost the bus, connecting again.");
        CRASH_POINT("bus-lost");
        api_reconnect_later(userdata);
        return 0;
}

static int on_name_lost(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        const char *name, *old_owner, *new_owner;
        Api *a = userdata;

        if (sd_bus_message_read(m, "sss", &name, &old_owner, &new_owner) < 0)
                return 0;
        if (name[0] == ':' && isempty(new_owner))
                call_client_gone(a, name);
        return 0;
}

static int on_name_requested(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        Api *a = userdata;
        uint32_t answer;

        if (sd_bus_message_is_method_error(m, NULL)) {
                log_error("The bus does not give us the name " JOBMILL_BUS_NAME ": %s", sd_bus_message_get_error(m)->message);
                api_reconnect_later(a);
                return 0;
        }
        /* 1: primary owner, 4: already. 3: somebody else has it. */
        if (sd_bus_message_read(m, "u", &answer) < 0 || (answer != 1 && answer != 4)) {
                log_error("Another program has the bus name " JOBMILL_BUS_NAME ", trying again.");
                api_reconnect_later(a);
                return 0;
        }
        CRASH_POINT("name-got");
        a->reconnect_delay = 0;
        a->ready = true;
        log_debug("Got the bus name " JOBMILL_BUS_NAME ".");
        return 0;
}

static int add_objects(Api *a) {
        int r;

        r = sd_bus_add_object_vtable(a->bus, NULL, JOBMILL_OBJECT_PATH, JOBMILL_INTERFACE_MANAGER, api_manager_vtable, a);
        if (r >= 0)
                r = sd_bus_add_fallback_vtable(a->bus, NULL, JOBMILL_QUEUE_PATH_PREFIX, JOBMILL_INTERFACE_QUEUE,
                                               api_queue_vtable, api_queue_find, a);
        if (r >= 0)
                r = sd_bus_add_node_enumerator(a->bus, NULL, JOBMILL_QUEUE_PATH_PREFIX, api_queue_enumerate, a);
        if (r >= 0)
                r = sd_bus_add_fallback_vtable(a->bus, NULL, JOBMILL_JOB_PATH_PREFIX, JOBMILL_INTERFACE_JOB, api_job_vtable,
                                               api_job_find, a);
        if (r >= 0)
                r = sd_bus_add_node_enumerator(a->bus, NULL, JOBMILL_JOB_PATH_PREFIX, api_job_enumerate, a);
        return r < 0 ? r : log_control_add(a->bus);
}

static int add_matches(Api *a) {
        int r;

        r = bus_ignore_addressed_signals(a->bus);
        if (r >= 0)
                r = sd_bus_match_signal_async(a->bus, NULL, NULL, NULL, "org.freedesktop.DBus.Local", "Disconnected",
                                              on_disconnected, NULL, a);
        if (r < 0)
                return r;
        /* Who leaves the bus: arg2, the new owner, is empty. */
        return sd_bus_add_match_async(a->bus, NULL,
                                      "type='signal',sender='org.freedesktop.DBus',interface='org.freedesktop.DBus',"
                                      "member='NameOwnerChanged',arg2=''",
                                      on_name_lost, NULL, a);
}

void api_connect(Api *a) {
        int r;

        api_disconnect(a);
        r = a->user ? sd_bus_open_user_with_description(&a->bus, "api") : sd_bus_open_system_with_description(&a->bus, "api");
        if (r >= 0)
                r = sd_bus_attach_event(a->bus, a->event, SD_EVENT_PRIORITY_NORMAL);
        if (r >= 0)
                r = add_objects(a);
        if (r >= 0)
                r = add_matches(a);
        CRASH_POINT("name-before");
        if (r >= 0)
                r = sd_bus_request_name_async(a->bus, NULL, JOBMILL_BUS_NAME, 0, on_name_requested, a);
        if (r < 0) {
                log_full_errno(a->reconnect_delay == 0 ? LOG_WARNING : LOG_DEBUG, r,
                               "Failed to connect to the bus, trying again: %m");
                api_reconnect_later(a);
        }
}

/* ---- telling ---- */

static void emit_change(Api *a, const Change *c) {
        CRASH_POINT("signals-before");
        if (c->is_new)
                (void) sd_bus_emit_signal(a->bus, JOBMILL_OBJECT_PATH, JOBMILL_INTERFACE_MANAGER, "JobNew", "t", c->id);
        if (c->state_changed || c->was_edited)
                (void) sd_bus_emit_signal(a->bus, JOBMILL_OBJECT_PATH, JOBMILL_INTERFACE_MANAGER, "JobChanged", "ts", c->id,
                                          job_state_to_string(c->state));
        if (c->state_changed && c->state == JOB_DONE)
                (void) sd_bus_emit_signal(a->bus, JOBMILL_OBJECT_PATH, JOBMILL_INTERFACE_MANAGER, "JobFinished", "tus", c->id,
                                          c->attempt, job_result_to_string(c->result));
        CRASH_POINT("signals-after");
}

/* Held answers, in the order in which they were. */
static void held_send(Api *a) {
        for (Held *h; (h = TAILQ_FIRST(&a->held)); held_free(a, h)) {
                CRASH_POINT("reply-before");
                (void) reply_deliver(&h->to, &h->reply);
                CRASH_POINT("reply-after");
        }
}

void api_tell(Api *a, const Change *changes, size_t n, Queue *const *queues, size_t n_queues) {
        api_forget_row(a);
        for (size_t i = 0; i < n && !TAILQ_EMPTY(&a->log_streams); i++)
                log_streams_tell(a, changes + i);
        for (size_t i = 0; i < n; i++) {
                if (a->n_subscribed > 0)
                        emit_change(a, changes + i);
                if (changes[i].state_changed && changes[i].state == JOB_DONE && a->waited)
                        wait_tell(a, changes[i].id);
        }
        for (size_t i = 0; a->n_subscribed > 0 && i < n_queues; i++) {
                (void) sd_bus_emit_signal(a->bus, JOBMILL_OBJECT_PATH, JOBMILL_INTERFACE_MANAGER, "QueueChanged", "s",
                                          queues[i]->name);
                api_queue_emit_changed(a, queues[i]);
                CRASH_POINT("queue-signals-after");
        }
        if (n > 0)
                socket_tell_events(a->socket);
        held_send(a);
        api_note_runs(a, changes, n);
}

static void held_fail(const Held *h, const char *name, const char *text) {
        ReplyTo to = h->to;
        char why[512];
        Reply reply;
        int r;

        (void) snprintf(why, sizeof(why), "Not recorded, nothing was changed: %s", text);
        to.continues = false;
        r = reply_begin_error(&to, name, why, &reply);
        CRASH_POINT("storage-refuse-before");
        if (r >= 0)
                (void) reply_deliver(&to, &reply);
        CRASH_POINT("storage-refuse-after");
}

void api_storage_failed(Api *a, int error, const char *text) {
        const char *name = api_store_error_name(error);

        api_forget_row(a);
        for (Held *h; (h = TAILQ_FIRST(&a->held)); held_free(a, h))
                if (h->final)
                        (void) reply_deliver(&h->to, &h->reply);
                else
                        held_fail(h, name, text);
        call_fail_pages(a, name, text);
}

void api_set_model(Api *a, Model *m, Store *s) {
        api_forget_row(a);
        events_forget(a);
        a->model = m;
        a->store = s;
}

int api_new(sd_event *event, bool user, UserDb *users, sd_event_source *settle, Api **ret) {
        _cleanup_(api_freep) Api *a = new0(Api, 1);
        int r;

        if (!a)
                return -ENOMEM;
        TAILQ_INIT(&a->asking);
        TAILQ_INIT(&a->held);
        TAILQ_INIT(&a->log_streams);
        TAILQ_INIT(&a->drains);
        a->event = sd_event_ref(event);
        a->user = user;
        a->users = users;
        a->settle = settle;
        r = sd_event_add_time_relative(event, &a->reconnect_timer, CLOCK_MONOTONIC, USEC_PER_SEC, 0, on_reconnect, a);
        if (r < 0)
                return r;
        (void) sd_event_source_set_enabled(a->reconnect_timer, SD_EVENT_OFF);
        *ret = TAKE_PTR(a);
        return 0;
}

Api *api_free(Api *a) {
        if (!a)
                return NULL;

        api_forget_row(a);
        if (a->bus)
                sd_bus_flush(a->bus);
        api_disconnect(a);
        socket_free(a->socket);
        api_workers_free(a);
        events_forget(a);
        api_runs_free(a);
        log_streams_drop(a);
        sd_event_source_disable_unref(a->reconnect_timer);
        sd_event_unref(a->event);
        free(a->store_missing);
        return mfree(a);
}
