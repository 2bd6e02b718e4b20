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

/* What was told last, but for its end: the others who follow are told the same, however many they are. */
struct EventPage {
        uint64_t after, last;
        size_t size;
        char text[];
};

void events_forget(Api *a) {
        a->event_page = mfree(a->event_page);
}

static void keep_page(Api *a, const Reply *reply, uint64_t after, uint64_t last) {
        size_t size = json_writer_size(&reply->json);

        events_forget(a);
        if (reply->json.failed || !(a->event_page = malloc(sizeof(EventPage) + size)))
                return;
        *a->event_page = (EventPage) { after, last, size };
        memcpy(a->event_page->text, reply->json.text, size);
}

static int send_same(const EventPage *p, const ReplyTo *to, uint64_t *after) {
        Reply reply = {};
        int r;

        json_write_raw(&reply.json, p->text, p->size);
        r = reply_send(to, &reply, 0);
        *after = p->last;
        return r < 0 ? r : 1;
}

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
        if (r >= 0 && to->continues && p.begun)
                keep_page(a, &reply, *after, p.last);
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

        if (*after == store_last_event(a->store))
                return 0;
        if (a->event_page && a->event_page->after == *after)
                return send_same(a->event_page, to, after);
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
