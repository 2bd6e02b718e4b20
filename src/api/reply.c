/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Answers are written once, for both: on the bus by their signature, on the socket by their keys. */

#include "api/reply.h"

#include "api/protocol.h"
#include "api/socket.h"
#include "base/bus-util.h"

/* ---- the whole ---- */

int reply_begin(const ReplyTo *to, Reply *ret) {
        *ret = (Reply) {};
        if (to->message)
                return sd_bus_message_new_method_return(to->message, &ret->message);
        JSON_WRITE_LITERAL(&ret->json, "{\"parameters\":{");
        return 0;
}

/* The same table of names for both; and those of the protocol itself, which tell one word. */
static const char *write_error_name(JsonWriter *w, const char *name) {
        static const struct {
                const char *name, *parameter;
        } service[] = {
                { VARLINK_ERROR_INTERFACE_NOT_FOUND, "interface" },
                { VARLINK_ERROR_METHOD_NOT_FOUND, "method" },
                { VARLINK_ERROR_INVALID_PARAMETER, "parameter" },
        };
        const char *own = startswith(name, JOBMILL_ERROR_PREFIX);
        char full[128];

        if (startswith(name, VARLINK_SERVICE))
                own = name;
        else {
                (void) snprintf(full, sizeof(full), JOBMILL_VARLINK_INTERFACE ".%s", own ?: "Failed");
                own = full;
        }
        json_write_string(w, own);
        FOREACH_ELEMENT(i, service)
                if (streq(i->name, name))
                        return i->parameter;
        return "message";
}

int reply_begin_error(const ReplyTo *to, const char *name, const char *text, Reply *ret) {
        const char *key;

        *ret = (Reply) {};
        if (to->message)
                return sd_bus_message_new_method_errorf(to->message, &ret->message, name, "%s", text);
        JSON_WRITE_LITERAL(&ret->json, "{\"error\":");
        key = write_error_name(&ret->json, name);
        JSON_WRITE_LITERAL(&ret->json, ",\"parameters\":{");
        return reply_append(ret, key, "s", text);
}

void reply_done(Reply *r) {
        sd_bus_message_unref(r->message);
        json_writer_done(&r->json);
        *r = (Reply) {};
}

int reply_deliver(const ReplyTo *to, Reply *reply) {
        int r;

        r = reply->message ? sd_bus_send(NULL, reply->message, NULL) : connection_reply(to, &reply->json);
        reply_done(reply);
        return r < 0 ? r : 1;
}

int reply_send(const ReplyTo *to, Reply *reply, int r) {
        if (r >= 0)
                return to->connection && connection_holds(to->connection) ? connection_hold_final(to, reply) : reply_deliver(to, reply);
        reply_done(reply);
        return r;
}

int reply_send_error(const ReplyTo *to, const sd_bus_error *e) {
        Reply reply;
        int r;

        if (to->message)
                return sd_bus_reply_method_error(to->message, e);
        r = reply_begin_error(to, e->name, strempty(e->message), &reply);
        return reply_send(to, &reply, r);
}

/* ---- its parts ---- */

static int writer_result(const Reply *r) {
        return r->json.failed ? -ENOMEM : 0;
}

static int write_value(JsonWriter *w, const char *key, char type, va_list ap) {
        json_write_key(w, key);
        switch (type) {
        case 's':
                json_write_string(w, va_arg(ap, const char *));
                break;
        case 't':
                json_write_integer(w, (int64_t) va_arg(ap, uint64_t));
                break;
        case 'u':
                json_write_integer(w, va_arg(ap, uint32_t));
                break;
        case 'i':
                json_write_integer(w, va_arg(ap, int32_t));
                break;
        case 'b':
                json_write_bool(w, va_arg(ap, int));
                break;
        case 'd':
                json_write_double(w, va_arg(ap, double));
                break;
        default:
                return -EINVAL;
        }
        return w->failed ? -ENOMEM : 0;
}

int reply_append(Reply *reply, const char *key, const char *type, ...) {
        va_list ap;
        int r;

        va_start(ap, type);
        r = reply->message ? sd_bus_message_appendv(reply->message, type, ap) : write_value(&reply->json, key, *type, ap);
        va_end(ap);
        return r;
}

int reply_open_array(Reply *r, const char *key, const char *contents) {
        if (r->message)
                return sd_bus_message_open_container(r->message, 'a', contents);
        json_write_key(&r->json, key);
        json_open(&r->json, '[');
        return writer_result(r);
}

int reply_close_array(Reply *r) {
        if (r->message)
                return sd_bus_message_close_container(r->message);
        json_close(&r->json, ']');
        return writer_result(r);
}

int reply_open_dict(Reply *r, const char *key) {
        if (r->message)
                return sd_bus_message_open_container(r->message, 'a', "{sv}");
        json_write_key(&r->json, key);
        json_open(&r->json, '{');
        return writer_result(r);
}

int reply_close_dict(Reply *reply, int r) {
        if (r < 0)
                return r;
        if (reply->message)
                return sd_bus_message_close_container(reply->message);
        json_close(&reply->json, '}');
        return writer_result(reply);
}

int dict_open(Reply *r, const char *key, const char *type, char brace) {
        if (r->message)
                return bus_open_value(r->message, 'e', key, type);
        json_write_key(&r->json, key);
        json_open(&r->json, brace);
        return writer_result(r);
}

int dict_close(Reply *reply, char brace, int r) {
        if (reply->message)
                return bus_close_value(reply->message, r);
        if (r < 0)
                return r;
        json_close(&reply->json, brace);
        return writer_result(reply);
}

int dict_append(Reply *reply, const char *key, const char *type, ...) {
        va_list ap;
        int r;

        va_start(ap, type);
        if (reply->message) {
                r = bus_open_value(reply->message, 'e', key, type);
                if (r >= 0)
                        r = sd_bus_message_appendv(reply->message, type, ap);
                r = bus_close_value(reply->message, r);
        } else
                r = write_value(&reply->json, key, *type, ap);
        va_end(ap);
        return r;
}

int dict_append_strv(Reply *r, const char *key, char *const *l) {
        if (r->message)
                return bus_append_strv_value(r->message, 'e', key, l);
        json_write_key(&r->json, key);
        json_write_strv(&r->json, l);
        return writer_result(r);
}

int dict_append_pairs(Reply *reply, const char *key, char *const *l) {
        sd_bus_message *m = reply->message;
        int r;

        if (!m) {
                json_write_key(&reply->json, key);
                json_write_pairs(&reply->json, l);
                return writer_result(reply);
        }
        r = bus_open_value(m, 'e', key, "a{ss}");
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'a', "{ss}");
        for (char *const *i = l; r >= 0 && i && i[0]; i += 2)
                r = sd_bus_message_append(m, "{ss}", i[0], i[1]);
        if (r >= 0)
                r = sd_bus_message_close_container(m);
        return bus_close_value(m, r);
}

int dict_append_json(Reply *r, const char *key, const char *text) {
        if (r->message)
                return dict_append(r, key, "s", text);
        json_write_key(&r->json, key);
        json_write_raw(&r->json, text, strlen(text));
        return writer_result(r);
}
