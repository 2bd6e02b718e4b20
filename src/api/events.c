/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Events over the socket: what the store has numbered, as it has it (store/store-event.c). Nothing of them is kept in memory for anybody; who
 * reads slowly reads later. Everybody may know what they say, as he may on the bus. */

#include "api/long-calls.h"
#include "api/methods.h"
#include "api/read-json.h"
#include "api/socket.h"
#include "base/crash-point.h"

typedef struct Page {
        Reply *reply;
        uint64_t last;
        bool begun;
} Page;

#define PAGE_SIZE (64U * 1024U) /* of one answer, about */

static int append_events(void *userdata, const char *list, uint64_t last) {
        Page *p = userdata;

        if (p->begun)
                JSON_WRITE_LITERAL(&p->reply->json, ",");
        p->begun = true;
        json_write_raw(&p->reply->json, list, strlen(list));
        p->last = last;
        return 0;
}

static int send_lost(Api *a, const ReplyTo *to, uint64_t after) {
        ReplyTo end = *to;
        char text[128];
        Reply reply;
        int r;

        end.continues = false;
        (void) snprintf(text, sizeof(text), "Not all events after %" PRIu64 " are kept; list the jobs, and go on after %" PRIu64, after,
                        store_last_event(a->store));
        r = reply_begin_error(&end, JOBMILL_ERROR_EVENTS_LOST, text, &reply);
        if (r >= 0)
                r = reply_append(&reply, "last", "t", store_last_event(a->store));
        r = reply_send(&end, &reply, r);
        return r < 0 ? r : -ERANGE;
}

/* even_none: an empty list is an answer, too. */
static int send_page(Api *a, const ReplyTo *to, uint64_t *after, bool even_none) {
        Page p = { .last = *after };
        Reply reply;
        int r, found = 1;

        r = reply_begin(to, &reply);
        if (r >= 0)
                r = reply_open_array(&reply, "events", "a{sv}");
        if (r < 0) {
                reply_done(&reply);
                return r;
        }
        p.reply = &reply;
        while (found > 0 && json_writer_size(&reply.json) < PAGE_SIZE)
                found = store_read_events(a->store, p.last, append_events, &p);
        if (found < 0 || (!p.begun && !even_none)) {
                reply_done(&reply);
                return found == -ERANGE ? send_lost(a, to, *after) : found;
        }
        r = reply_close_array(&reply);
        if (r >= 0)
                r = reply_append(&reply, "last", "t", p.last);
        CRASH_POINT("events-before");
        r = reply_send(to, &reply, r);
        CRASH_POINT("events-after");
        *after = p.last;
        return r < 0 ? r : p.begun;
}

int events_send(Api *a, const ReplyTo *to, uint64_t *after) {
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        ReplyTo end = *to;
        int r;

        r = send_page(a, to, after, false);
        if (r < 0 && r != -ERANGE) {
                (void) api_error_store(a, &error, r);
                end.continues = false;
                (void) reply_send_error(&end, &error);
        }
        return r;
}

int handle_events(Call *c, sd_bus_error *error) {
        uint64_t after = store_last_event(c->api->store);
        ReplyTo to = call_reply_to(c);
        int r;

        r = read_json_u64(c->parameters, "after", &after, &after, error);
        if (r < 0)
                return r;
        to.continues = c->more;
        r = send_page(c->api, &to, &after, true);
        if (r >= 0 && c->more && !c->oneway)
                connection_stream(to.connection, after);
        if (r == -ERANGE) /* that was told */
                return 1;
        return r < 0 ? api_error_store(c->api, error, r) : r;
}
