/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What is answered, and to whom: a message of the bus, or JSON for a connection of the socket. One list of keys for both. */

#include "base/json-writer.h"

#include <systemd/sd-bus.h>

typedef struct Connection Connection;

/* Where an answer goes. */
typedef struct ReplyTo {
        sd_bus_message *message; /* a call on the bus; NULL: */
        Connection *connection;  /* of the socket, which takes the answers in the order of its calls */
        bool oneway;             /* nobody wants to know */
        bool continues;          /* more will follow */
} ReplyTo;

typedef struct Reply {
        sd_bus_message *message; /* NULL: */
        JsonWriter json;         /* for the socket */
} Reply;

int reply_begin(const ReplyTo *to, Reply *ret);
/* The same where to say that it went wrong. */
int reply_begin_error(const ReplyTo *to, const char *name, const char *text, Reply *ret);
void reply_done(Reply *r);
/* At once, which on the socket is behind the answers that are held for those before it; and one that was held. Both take it over; a
 * negative r comes instead. */
int reply_send(const ReplyTo *to, Reply *reply, int r), reply_deliver(const ReplyTo *to, Reply *reply);
int reply_send_error(const ReplyTo *to, const sd_bus_error *e);

/* The next value of the message; on the socket it has a key. contents: of an array. */
int reply_append(Reply *r, const char *key, const char *type, ...);
int reply_open_array(Reply *r, const char *key, const char *contents), reply_close_array(Reply *r);
/* An a{sv}; NULL: one of an array. Negative r: as it came. */
int reply_open_dict(Reply *r, const char *key), reply_close_dict(Reply *reply, int r);

/* An entry of it, of a basic type; a list of words, or pairs of them as an object; an object that is text already, which the bus has as
 * such. */
int dict_append(Reply *r, const char *key, const char *type, ...);
int dict_append_strv(Reply *r, const char *key, char *const *l), dict_append_pairs(Reply *r, const char *key, char *const *l);
int dict_append_json(Reply *r, const char *key, const char *text);
/* One that holds more. type: of the bus; brace: of JSON. */
int dict_open(Reply *r, const char *key, const char *type, char brace), dict_close(Reply *reply, char brace, int r);
