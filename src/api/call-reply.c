/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The answer of a call, and those that are held until what they tell of is recorded. */

#include "api/long-calls.h"
#include "api/socket.h"

ReplyTo call_reply_to(const Call *c) {
        return (ReplyTo) { .message = c->message, .connection = c->client->connection, .oneway = c->oneway };
}

int call_reply(const Call *c, Reply *ret) {
        ReplyTo to = call_reply_to(c);

        return reply_begin(&to, ret);
}

int call_send(const Call *c, Reply *reply, int r) {
        ReplyTo to = call_reply_to(c);

        return reply_send(&to, reply, r);
}

int held_add(Api *a, const ReplyTo *to, Reply *reply, bool final) {
        Held *h = new0(Held, 1);

        if (!h) {
                reply_done(reply);
                return -ENOMEM;
        }
        *h = (Held) { .to = *to, .reply = *reply, .size = sizeof(Held) + json_writer_size(&reply->json), .final = final };
        *reply = (Reply) {};
        sd_bus_message_ref(h->to.message);
        if (to->connection)
                connection_hold(to->connection, +1, h->size);
        TAILQ_INSERT_TAIL(&a->held, h, entry);
        return 1;
}

void held_free(Api *a, Held *h) {
        TAILQ_REMOVE(&a->held, h, entry);
        if (h->to.connection)
                connection_hold(h->to.connection, -1, h->size);
        sd_bus_message_unref(h->to.message);
        reply_done(&h->reply);
        free(h);
}

int call_hold(Call *c, Reply *reply, int r) {
        ReplyTo to = call_reply_to(c);

        if (r >= 0)
                return held_add(c->api, &to, reply, false);
        reply_done(reply);
        return r;
}

int call_hold_empty(Call *c) {
        Reply reply;
        int r;

        r = call_reply(c, &reply);
        return call_hold(c, &reply, r);
}
