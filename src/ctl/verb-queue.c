/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* queue list, show, pause, resume, drain. A queue is an object of the bus; its properties are the keys of
 * its JSON. */

#include "api/protocol.h"
#include "ctl/ctl.h"
#include "ctl/dict.h"
#include "ctl/output.h"
#include "ctl/verb-list.h"

typedef struct QueueInfo {
        uint64_t present;
        char *name, *reason, *slice;
        uint32_t slots, slots_used; /* slots UINT32_MAX: no cap */
        uint64_t held, waiting, ready, starting, running, stopping, dead;
        bool paused, draining;
} QueueInfo;

#define FIELD(name, signature)                                                                              \
        { #name, signature, offsetof(QueueInfo, name), 0 }

static const DictField queue_fields[] = {
        FIELD(name, "s"),     FIELD(slots, "u"), FIELD(slots_used, "u"), FIELD(ready, "t"),
        FIELD(waiting, "t"),  FIELD(held, "t"),  FIELD(starting, "t"),   FIELD(running, "t"),
        FIELD(stopping, "t"), FIELD(dead, "t"),  FIELD(paused, "b"),     FIELD(draining, "b"),
        FIELD(reason, "s"),   FIELD(slice, "s"),
};

static const Column columns[] = {
        { "NAME", 0.3, 0 },
        { "SLOTS", 1, SCOLS_FL_RIGHT },
        { "USED", 1, SCOLS_FL_RIGHT },
        { "READY", 1, SCOLS_FL_RIGHT },
        { "WAITING", 1, SCOLS_FL_RIGHT },
        { "HELD", 1, SCOLS_FL_RIGHT },
        { "RUNNING", 1, SCOLS_FL_RIGHT },
        { "DEAD", 1, SCOLS_FL_RIGHT },
        { "STATE", 1, 0 },
};

static void queue_info_done(QueueInfo *q) {
        dict_done(queue_fields, ELEMENTSOF(queue_fields), q);
}

static int queue_info_get(sd_bus *bus, const char *name, const char *path, QueueInfo *ret) {
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

static const char *queue_state(const QueueInfo *q) {
        return q->paused && q->draining ? "paused, draining"
               : q->paused              ? "paused"
               : q->draining            ? "draining"
                                        : "open";
}

static int add_line(struct libscols_table *t, const QueueInfo *q) {
        uint64_t numbers[] = {
                q->slots == UINT32_MAX ? UINT64_MAX : q->slots, q->slots_used, q->ready, q->waiting, q->held,
                q->starting + q->running + q->stopping,         q->dead
        };
        struct libscols_line *l = scols_table_new_line(t, NULL);
        int r;

        if (!l)
                return -ENOMEM;
        r = table_set(l, 0, q->name, NULL);
        for (size_t i = 0; i < ELEMENTSOF(numbers) && r >= 0; i++) {
                char buf[DECIMAL_MAX];

                snprintf(buf, sizeof(buf), "%" PRIu64, numbers[i]);
                r = table_set(l, i + 1, numbers[i] == UINT64_MAX ? NULL : buf,
                              i + 1 == 7 && numbers[i] > 0 ? COLOR_RED : NULL);
        }
        if (r >= 0)
                r = table_set(l, ELEMENTSOF(numbers) + 1, queue_state(q),
                              q->paused || q->draining ? COLOR_YELLOW : NULL);
        return r;
}

static void print_queue(const QueueInfo *q) {
        printf("%s%s%s - %s\n", color(COLOR_BOLD), q->name, color(COLOR_OFF), queue_state(q));
        if (q->reason)
                printf("   Reason: %s\n", q->reason);
        if (q->slots == UINT32_MAX)
                printf("    Slots: no cap, %" PRIu32 " used\n", q->slots_used);
        else
                printf("    Slots: %" PRIu32 ", %" PRIu32 " used\n", q->slots, q->slots_used);
        printf("     Jobs: %" PRIu64 " ready, %" PRIu64 " waiting, %" PRIu64 " held, %" PRIu64
               " starting, %" PRIu64 " running, %" PRIu64 " stopping, %" PRIu64 " dead\n",
               q->ready, q->waiting, q->held, q->starting, q->running, q->stopping, q->dead);
        if (q->slice && arg_legend)
                printf("    Slice: %s (systemctl%s status %s)\n", q->slice, arg_user ? " --user" : "",
                       q->slice);
}

/* How the queues that are asked for are shown. */
typedef struct QueueView {
        struct libscols_table *table; /* NULL: one after the other */
        JsonArray array;
        size_t n;
} QueueView;

static int show_queue(QueueView *v, sd_bus *bus, const char *name, const char *path) {
        _cleanup_(queue_info_done) QueueInfo q = { .slots = UINT32_MAX };
        int r;

        r = queue_info_get(bus, name, path, &q);
        if (r < 0)
                return r;
        v->n++;
        if (arg_json != JSON_OFF)
                return json_array_add(&v->array,
                                      dict_to_json(queue_fields, ELEMENTSOF(queue_fields), 0, &q));
        if (v->table)
                return add_line(v->table, &q) < 0 ? ctl_oom() : 0;
        if (v->n > 1)
                putchar('\n');
        print_queue(&q);
        return 0;
}

/* One by name, or all. */
static int show_queues(QueueView *v, sd_bus *bus, const char *wanted) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        const char *name, *path;
        bool found = false;
        int r;

        r = bus_call_simple(bus, &reply, "ListQueues", NULL, "");
        if (r < 0)
                return r;
        r = sd_bus_message_enter_container(reply, 'a', "(so)");
        if (r < 0)
                return ctl_error(r, "Cannot read the daemon's list of queues: %m");
        while ((r = sd_bus_message_read(reply, "(so)", &name, &path)) > 0) {
                if (wanted && !streq(wanted, name))
                        continue;
                found = true;
                r = show_queue(v, bus, name, path);
                if (r < 0)
                        return r;
        }
        if (r < 0)
                return ctl_error(r, "Cannot read the daemon's list of queues: %m");
        return wanted && !found ? ctl_error(-ENOENT, "There is no queue %s", wanted) : 0;
}

int list_queues(sd_bus *bus) {
        _cleanup_table_ struct libscols_table *t = table_new(columns, ELEMENTSOF(columns), true);
        QueueView v = { .table = t };
        int r;

        if (!t)
                return ctl_oom();
        r = show_queues(&v, bus, NULL);
        if (r < 0)
                return r;
        if (arg_json != JSON_OFF)
                json_array_end(&v.array);
        else if (v.n > 0)
                scols_print_table(t);
        return 0;
}

int verb_queue_list(int argc, char **argv) {
        _cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
        int r;

        r = bus_open(&bus);
        return r < 0 ? r : list_queues(bus);
}

int verb_queue_show(int argc, char **argv) {
        _cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
        QueueView v = {};
        int r, worst = 0;

        r = bus_open(&bus);
        if (r < 0)
                return r;
        for (int i = 0; i < argc; i++) {
                r = show_queues(&v, bus, argv[i]);
                if (r < 0)
                        worst = r;
        }
        if (arg_json != JSON_OFF && v.n > 0)
                json_array_end(&v.array);
        return worst;
}

static int for_each_queue(int argc, char **argv, const char *member) {
        _cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
        int r, worst = 0;

        r = bus_open(&bus);
        if (r < 0)
                return r;
        for (int i = 0; i < argc; i++) {
                r = bus_call_simple(bus, NULL, member, argv[i], "s", argv[i]);
                if (r < 0)
                        worst = r;
        }
        return worst;
}

int verb_queue_pause(int argc, char **argv) {
        return for_each_queue(argc, argv, "PauseQueue");
}

int verb_queue_resume(int argc, char **argv) {
        return for_each_queue(argc, argv, "ResumeQueue");
}

int verb_queue_drain(int argc, char **argv) {
        return for_each_queue(argc, argv, "DrainQueue");
}
