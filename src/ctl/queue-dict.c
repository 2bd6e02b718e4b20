/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The keys of a queue (an object of the bus; its properties are the keys of its JSON) and of the statistics,
 * in the order in which JSON shows them. */

#include "ctl/queue-dict.h"
#include "api/protocol.h"
#include "ctl/ctl.h"
#include "ctl/output.h"

#define FIELD(name, signature)                                                                              \
        { #name, signature, offsetof(QueueInfo, name), 0 }

static const DictField queue_fields[] = {
        FIELD(name, "s"),     FIELD(slots, "u"), FIELD(slots_used, "u"), FIELD(ready, "t"),
        FIELD(waiting, "t"),  FIELD(held, "t"),  FIELD(starting, "t"),   FIELD(running, "t"),
        FIELD(stopping, "t"), FIELD(dead, "t"),  FIELD(paused, "b"),     FIELD(draining, "b"),
        FIELD(reason, "s"),   FIELD(slice, "s"),
        { "files", "as", offsetof(QueueInfo, files), DICT_NOT_JSON },
};

void queue_info_done(QueueInfo *q) {
        dict_done(queue_fields, ELEMENTSOF(queue_fields), q);
        *q = QUEUE_INFO_INIT;
}

struct json_object *queue_info_to_json(const QueueInfo *q) {
        return dict_to_json(queue_fields, ELEMENTSOF(queue_fields), 0, q);
}

int queue_info_get(sd_bus *bus, const char *name, const char *path, QueueInfo *ret) {
        _cleanup_(sd_bus_error_free) sd_bus_error e = SD_BUS_ERROR_NULL;
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        int r;

        r = sd_bus_call_method(bus, JOBMILL_BUS_NAME, path, "org.freedesktop.DBus.Properties", "GetAll", &e,
                               &reply, "s", JOBMILL_INTERFACE_QUEUE);
        if (r < 0)
                return ctl_error(r, "queue %s: %s", name, bus_error_text(&e, r));
        r = dict_read(reply, queue_fields, ELEMENTSOF(queue_fields), ret);
        return r < 0 ? ctl_error(r, "queue %s: cannot read the daemon's answer: %m", name) : 0;
}

uint64_t queue_info_live(const QueueInfo *q) {
        return q->starting + q->running + q->stopping;
}

bool queue_info_is_past(const QueueInfo *q) {
        return (!q->files || !*q->files) && !q->paused && !q->draining &&
               queue_info_live(q) + q->ready + q->waiting + q->held + q->slots_used == 0;
}

const char *queue_info_state(const QueueInfo *q) {
        return streq_ptr(q->reason, "store restored") ? "restored" /* paused as all are, see jobmill check */
               : !q->files || !*q->files  ? "no file"
               : q->paused && q->draining ? "paused, draining"
               : q->paused              ? "paused"
               : q->draining            ? "draining"
                                        : "open";
}

/* What its state does not say. */
const char *queue_info_reason(const QueueInfo *q) {
        return q->paused || streq_ptr(q->reason, "store restored") ? NULL : q->reason;
}

const char *queue_info_color(const QueueInfo *q) {
        return q->paused || q->draining || streq_ptr(q->reason, "store restored") ? COLOR_YELLOW : NULL;
}

void queue_info_array_free(QueueInfo *queues, size_t n) {
        for (size_t i = 0; i < n; i++)
                queue_info_done(queues + i);
        free(queues);
}

static int add_queue(sd_bus *bus, const char *name, const char *path, QueueInfo **l, size_t *n) {
        QueueInfo *more = reallocarray(*l, *n + 1, sizeof(QueueInfo));

        if (!more)
                return ctl_oom();
        *l = more;
        more[(*n)++] = QUEUE_INFO_INIT;
        return queue_info_get(bus, name, path, more + *n - 1);
}

int queues_get(sd_bus *bus, QueueInfo **ret, size_t *ret_n) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        const char *name, *path;
        QueueInfo *l = NULL;
        size_t n = 0;
        int r;

        r = bus_call_simple(bus, &reply, "ListQueues", NULL, "");
        if (r < 0)
                return r;
        r = sd_bus_message_enter_container(reply, 'a', "(so)");
        while (r >= 0 && (r = sd_bus_message_read(reply, "(so)", &name, &path)) > 0) {
                r = add_queue(bus, name, path, &l, &n);
                if (r < 0) {
                        queue_info_array_free(l, n);
                        return r;
                }
        }
        if (r < 0) {
                queue_info_array_free(l, n);
                return ctl_error(r, "Cannot read the daemon's list of queues: %m");
        }
        *ret = l;
        *ret_n = n;
        return 0;
}

#undef FIELD
#define FIELD(name, signature)                                                                              \
        { #name, signature, offsetof(Statistics, name), 0 }

static const DictField statistics_fields[] = {
        FIELD(version, "s"), FIELD(systemd, "s"),  FIELD(held, "t"),        FIELD(waiting, "t"),
        FIELD(ready, "t"),   FIELD(starting, "t"), FIELD(running, "t"),     FIELD(stopping, "t"),
        FIELD(done, "t"),    FIELD(dead, "t"),     FIELD(queues, "u"),      FIELD(attempts, "u"),
        FIELD(strays, "u"),  FIELD(dispatch, "s"), FIELD(storage, "s"),
        FIELD(store_bytes, "t"), FIELD(store_log_bytes, "t"), FIELD(commits, "t"), FIELD(commit_usec, "t"), FIELD(commit_errors, "t"),
        FIELD(turns, "t"), FIELD(turn_usec, "t"), FIELD(turn_usec_max, "t"), FIELD(systemd_calls, "t"), FIELD(systemd_errors, "t"),
        FIELD(systemd_in_flight, "u"), FIELD(jobs_in_memory, "u"), FIELD(workers, "u"), FIELD(clients, "u"), FIELD(connections, "u"),
        FIELD(subscribers, "u"), FIELD(calls_waiting, "u"), FIELD(answers_held, "u"), FIELD(waits, "u"), FIELD(last_event, "t"),
        FIELD(user_bytes, "t"), FIELD(user_bytes_max, "t"),
};

void statistics_done(Statistics *s) {
        dict_done(statistics_fields, ELEMENTSOF(statistics_fields), s);
}

struct json_object *statistics_to_json(const Statistics *s) {
        return dict_to_json(statistics_fields, ELEMENTSOF(statistics_fields), 0, s);
}

int statistics_get(sd_bus *bus, Statistics *ret) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        int r;

        r = bus_call_simple(bus, &reply, "GetStatistics", NULL, "");
        if (r < 0)
                return r;
        r = dict_read(reply, statistics_fields, ELEMENTSOF(statistics_fields), ret);
        return r < 0 ? ctl_error(r, "Cannot read the daemon's answer: %m") : 0;
}
