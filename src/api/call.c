/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A method call from its arrival to its end: who calls, and what it waits for. What he may is in call-rights.c, answers in call-reply.c.
 *
 * The caller's uid comes from the bus (GetConnectionCredentials, asynchronous, once for each connection), never from
 * arguments. Calls of one client keep their order until the client is known; one that waits for something else steps aside. */

#include "api/call-internal.h"
#include "api/long-calls.h"
#include "api/share.h"
#include "api/socket.h"

#include "base/crash-point.h"
#include "base/log.h"

#include <json-c/json.h>

/* ---- clients and calls as objects ---- */

static Call *call_free(Call *c) {
        if (c->where == CALL_QUEUED)
                TAILQ_REMOVE(&c->client->calls, c, entry);
        else
                TAILQ_REMOVE(&c->api->asking, c, entry);
        if (c->client->account)
                call_share_freed(c);
        call_polkit_done(c);
        c->api->n_where[c->where]--;
        sd_bus_message_unref(c->message);
        json_object_put(c->parameters);
        queue_edit_free(c->edit);
        free(c->calendar.error);
        backup_free(c->backup);
        check_free(c->check);
        c->client->n_calls--;
        if (c->client->connection)
                connection_go_on(c->client->connection);
        return mfree(c);
}

void call_done(Call *c) {
        call_free(c);
}

void call_drop_client(Client *cl) {
        Call *c, *t;

        while ((c = TAILQ_FIRST(&cl->calls)))
                call_free(c);
        if (cl->n_calls > 0)
                TAILQ_FOREACH_SAFE(c, &cl->api->asking, entry, t)
                        if (c->client == cl)
                                call_free(c);
        wait_drop_client(cl);
}

static void client_free(Client *cl) {
        Api *a = cl->api;

        call_drop_client(cl);
        a->n_subscribed -= cl->subscribed;
        account_put(&a->accounts, cl->account);
        sd_bus_slot_unref(cl->slot);
        HASH_DEL(a->clients, cl);
        free(cl->name);
        free(cl);
}

static Client *client_get(Api *a, const char *name) {
        Client *cl;

        HASH_FIND_STR(a->clients, name, cl);
        if (cl)
                return cl;
        cl = new0(Client, 1);
        if (!cl)
                return NULL;
        cl->name = strdup(name);
        if (!cl->name)
                return mfree(cl);
        cl->api = a;
        TAILQ_INIT(&cl->calls);
        TAILQ_INIT(&cl->waits);
        HASH_ADD_KEYPTR(hh, a->clients, cl->name, strlen(cl->name), cl);
        return cl;
}

void call_client_gone(Api *a, const char *name) {
        Client *cl;

        HASH_FIND_STR(a->clients, name, cl);
        if (cl)
                client_free(cl); /* and perhaps the name */
}

void call_drop_all(Api *a) {
        Client *cl, *t;
        Held *h, *u;

        HASH_ITER(hh, a->clients, cl, t)
                client_free(cl);
        TAILQ_FOREACH_SAFE(h, &a->held, entry, u)
                if (h->to.message)
                        held_free(a, h);
}

bool call_is_root(const Call *c) {
        /* Everybody who reaches a user's bus is that user. */
        return c->client->uid == 0 || c->api->user;
}

void call_put_aside(Call *c, CallWhere where) {
        if (c->where == CALL_QUEUED) {
                TAILQ_REMOVE(&c->client->calls, c, entry);
                TAILQ_INSERT_TAIL(&c->api->asking, c, entry);
        }
        call_share_moved(c, c->where, where);
        c->api->n_where[c->where]--;
        c->where = where;
        c->api->n_where[where]++;
}

/* ---- running a call ---- */

int api_read_clocks(const Api *a, Now *ret) {
        int r;

        r = sd_event_now(a->event, CLOCK_REALTIME, &ret->realtime);
        if (r >= 0)
                r = sd_event_now(a->event, CLOCK_MONOTONIC, &ret->monotonic);
        if (r >= 0)
                r = sd_event_now(a->event, CLOCK_BOOTTIME, &ret->steady);
        ret->steady += a->clock_offset;
        ret->even = ret->steady - a->clock_shift;
        return r;
}

static int call_run_handler(Call *c, sd_bus_error *error) {
        Api *a = c->api;
        int r;

        /* Those that wait for room already go first. */
        if (c->where == CALL_QUEUED) {
                bool has_room = !c->message || (a->n_where[CALL_FOR_ROOM] == 0 && !api_is_congested(a));

                if (!has_room || !call_has_share(c)) {
                        if (call_too_many_aside(c))
                                return -EUSERS;
                        call_put_aside(c, has_room ? CALL_AGAIN : CALL_FOR_ROOM);
                        return 0;
                }
        }
        r = api_read_clocks(a, &a->now);
        if (r >= 0 && c->message)
                r = sd_bus_message_rewind(c->message, true);
        CRASH_POINT("call-before");
        if (r >= 0)
                r = c->handler(c, error);
        CRASH_POINT("call-after");
        return r;
}

static void call_refuse(const Call *c, int r, sd_bus_error *error) {
        ReplyTo to = call_reply_to(c);

        if (!sd_bus_error_is_set(error))
                (void) sd_bus_error_set_errno(error, r);
        (void) reply_send_error(&to, error);
}

void call_run(Call *c) {
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        char text[160];
        int r;

        r = call_run_handler(c, &error);
        if (r == -EUSERS)
                r = api_error(&error, JOBMILL_ERROR_TOO_MANY, "%s", call_too_many_text(c, text));
        if (r < 0 || sd_bus_error_is_set(&error)) {
                CRASH_POINT("refuse-before");
                call_refuse(c, r, &error);
                CRASH_POINT("refuse-after");
        } else if (c->asking || c->where >= CALL_FOR_ROOM)
                return;
        call_free(c);
}

static void client_run(Client *cl) {
        Call *c;

        while ((c = TAILQ_FIRST(&cl->calls)))
                call_run(c);
}

static int on_credentials(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        Client *cl = userdata;
        const char *name, *contents;
        int r;

        CRASH_POINT("caller-known");
        cl->slot = sd_bus_slot_unref(cl->slot);
        if (sd_bus_message_is_method_error(m, NULL)) {
                if (sd_bus_error_has_name(sd_bus_message_get_error(m), SD_BUS_ERROR_NAME_HAS_NO_OWNER))
                        call_client_gone(cl->api, cl->name); /* so nobody waits for an answer */
                else
                        cl->api->clients_wait = true;
                return 0;
        }
        r = sd_bus_message_enter_container(m, 'a', "{sv}");
        while (r >= 0 && (r = sd_bus_message_enter_container(m, 'e', "sv")) > 0) {
                r = sd_bus_message_read_basic(m, 's', &name);
                if (r >= 0)
                        r = sd_bus_message_peek_type(m, NULL, &contents);
                if (r < 0)
                        break;
                if (streq(name, "UnixUserID") && streq(contents, "u")) {
                        r = sd_bus_message_read(m, "v", "u", &cl->uid);
                        cl->known = r >= 0;
                } else
                        r = sd_bus_message_skip(m, "v");
                if (r >= 0)
                        r = sd_bus_message_exit_container(m);
        }
        if (cl->known && !cl->account && !(cl->account = account_get(&cl->api->accounts, cl->uid))) {
                cl->known = false;
                cl->api->clients_wait = true;
                return 0;
        }
        if (!cl->known) {
                log_warning("The bus does not tell the uid of %s, refusing its calls.", cl->name);
                for (Call *c; (c = TAILQ_FIRST(&cl->calls)); call_free(c))
                        (void) sd_bus_reply_method_errorf(c->message, SD_BUS_ERROR_ACCESS_DENIED, "Caller unknown");
                return 0;
        }
        client_run(cl);
        return 0;
}

/* Who is it? If that cannot be asked now, the next turn does. */
static void client_ask(Client *cl) {
        Api *a = cl->api;

        if (sd_bus_call_method_async(a->bus, &cl->slot, "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus",
                                     "GetConnectionCredentials", on_credentials, cl, "s", cl->name) < 0)
                a->clients_wait = true;
}

static void ask_clients(Api *a) {
        Client *cl, *t;

        if (!a->clients_wait)
                return;
        a->clients_wait = false;
        HASH_ITER(hh, a->clients, cl, t)
                if (!cl->known && !cl->slot && !TAILQ_EMPTY(&cl->calls) && !a->clients_wait)
                        client_ask(cl);
}

#define CALLS_PER_TURN 128U
#define JOBS_AS_CALL 128U /* of one call: as many more count as another one */

bool api_is_turn_due(const Api *a) {
        return a->n_since_turn >= CALLS_PER_TURN;
}

void api_taken(Api *a) {
        if (++a->n_since_turn == CALLS_PER_TURN)
                (void) sd_event_source_set_priority(a->settle, SD_EVENT_PRIORITY_IMPORTANT);
}

/* They stay in memory until the commit. */
void api_taken_jobs(Api *a, size_t n) {
        for (; n >= JOBS_AS_CALL; n -= JOBS_AS_CALL)
                api_taken(a);
}

void api_turn_begins(Api *a) {
        if (api_is_turn_due(a))
                (void) sd_event_source_set_priority(a->settle, SD_EVENT_PRIORITY_IDLE);
        a->n_since_turn = 0;
}

static int call_add(Client *cl, Call call) {
        Api *a = cl->api;
        Call *c = new0(Call, 1);

        if (!c)
                return -ENOMEM;
        *c = call;
        c->api = a;
        c->client = cl;
        c->submit_as = UINT32_MAX;
        TAILQ_INSERT_TAIL(&cl->calls, c, entry);
        cl->n_calls++;
        a->n_where[CALL_QUEUED]++;
        return 0;
}

/* The socket knows who it is, and gives us one after the other. */
void call_dispatch_json(Client *cl, const Call *call) {
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        ReplyTo to = { .connection = cl->connection, .oneway = call->oneway };
        Api *a = cl->api;

        if (!a->store)
                (void) api_error(&error, api_store_error_name(a->store_error),
                                 "The store cannot be opened, which is tried again: %s", strempty(a->store_missing));
        else if (call_add(cl, *call) < 0)
                (void) sd_bus_error_set_errno(&error, -ENOMEM);
        else {
                client_run(cl);
                return;
        }
        json_object_put(call->parameters);
        (void) reply_send_error(&to, &error);
}

int call_dispatch(Api *a, sd_bus_message *m, call_handler_t handler) {
        Client *cl;

        api_taken(a);
        if (!a->store)
                return sd_bus_reply_method_errorf(m, api_store_error_name(a->store_error),
                                                  "The store cannot be opened, which is tried again: %s",
                                                  strempty(a->store_missing));
        cl = client_get(a, sd_bus_message_get_sender(m));
        if (!cl)
                return -ENOMEM;
        if (call_add(cl, (Call) { .message = sd_bus_message_ref(m), .handler = handler }) < 0) {
                sd_bus_message_unref(m);
                return -ENOMEM;
        }
        if (cl->known)
                client_run(cl);
        else if (!cl->slot)
                client_ask(cl);
        return 1;
}

/* ---- users ---- */

int call_user(Call *c, uint32_t uid, const User **ret) {
        *ret = user_db_get(c->api->users, uid);
        if (*ret)
                return 1;
        if (c->where == CALL_QUEUED && call_too_many_aside(c))
                return -EUSERS;
        c->for_user = uid;
        call_put_aside(c, CALL_FOR_USER);
        return 0;
}

void call_again(Call *c) {
        call_put_aside(c, CALL_AGAIN);
}

void call_wait_for_repair(Call *c) {
        call_put_aside(c, CALL_REPAIRING);
}

/* The first one; most have none at all, however many wait for something else. */
static Call *first_aside(Api *a, CallWhere where) {
        Call *c;

        if (a->n_where[where] > 0)
                TAILQ_FOREACH(c, &a->asking, entry)
                        if (c->where == where)
                                return c;
        return NULL;
}

Call *api_next_repair(Api *a) {
        return first_aside(a, CALL_REPAIRING);
}

static bool may_go_on(const Call *c, bool polkit_freed) {
        switch (c->where) {
        case CALL_FOR_ROOM:
                return !api_is_congested(c->api);
        case CALL_FOR_POLKIT:
                return polkit_freed && call_polkit_has_room(c);
        case CALL_FOR_USER:
                return user_db_get(c->api->users, c->for_user);
        case CALL_FOR_CALENDAR:
                return call_may_ask_calendar(c);
        default:
                return c->where == CALL_AGAIN && call_has_share(c);
        }
}

void api_run_waiting(Api *a) {
        bool polkit_freed = a->polkit_freed;
        Call *c, *t;

        a->polkit_freed = false;
        a->n_turns++;
        ask_clients(a);
        if (a->n_where[CALL_FOR_ROOM] + a->n_where[CALL_FOR_USER] + a->n_where[CALL_FOR_CALENDAR] + a->n_where[CALL_AGAIN] == 0 && !polkit_freed)
                return;
        TAILQ_FOREACH_SAFE(c, &a->asking, entry, t)
                if (may_go_on(c, polkit_freed)) {
                        call_put_aside(c, CALL_ASKING);
                        call_run(c);
                }
}

void call_fail_pages(Api *a, const char *name, const char *text) {
        Call *c, *t;

        TAILQ_FOREACH_SAFE(c, &a->asking, entry, t)
                if (c->in_pages) {
                        CRASH_POINT("page-failed");
                        (void) sd_bus_reply_method_errorf(c->message, name, "Not all was recorded: %s", text);
                        call_free(c);
                }
}

void api_reload_done(Api *a, const char *text) {
        Call *c, *t;

        TAILQ_FOREACH_SAFE(c, &a->asking, entry, t)
                if (c->where == CALL_RELOADING) {
                        if (text)
                                (void) sd_bus_reply_method_errorf(c->message, JOBMILL_ERROR_CONFIGURATION, "%s", text);
                        else
                                (void) sd_bus_reply_method_return(c->message, NULL);
                        call_free(c);
                }
}

/* In the order in which they were authorized. */
static Call *call_next_edit(Api *a) {
        return first_aside(a, CALL_EDITING);
}

const QueueEdit *api_next_edit(Api *a) {
        const Call *c = call_next_edit(a);
        return c ? c->edit : NULL;
}

void api_edit_done(Api *a, int error, const char *text) {
        Call *c = call_next_edit(a);

        int r = 0;

        /* The file is on disk; whether the queue is paused is a row. */
        if (error >= 0)
                r = call_hold_empty(c);
        if (error < 0 || r < 0)
                (void) sd_bus_reply_method_errorf(c->message, error < 0 ? api_edit_error(error) : SD_BUS_ERROR_NO_MEMORY, "%s",
                                                  text ?: strerror(error < 0 ? -error : -r));
        call_free(c);
}

bool api_wants_turn(const Api *a) {
        return a->n_where[CALL_AGAIN] > 0;
}
