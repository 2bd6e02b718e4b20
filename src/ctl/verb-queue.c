/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* queue list, show, remove, pause, resume, drain. */

#include "ctl/ctl.h"
#include "ctl/output.h"
#include "ctl/queue-dict.h"
#include "ctl/table.h"
#include "ctl/terminal.h"

static const Column columns[] = {
        { "NAME", 99, 8, false }, { "SLOTS", 80, 0, true },   { "USED", 90, 0, true },
        { "READY", 70, 0, true },  { "WAITING", 30, 0, true }, { "HELD", 20, 0, true },
        { "RUNNING", 60, 0, true }, { "DEAD", 40, 0, true },   { "STATE", 95, 6, false },
        { "REASON", 50, 8, false },
};
#define COLUMN_REASON 9

static int add_line(Table *t, const QueueInfo *q) {
        uint64_t numbers[] = {
                q->slots == UINT32_MAX ? UINT64_MAX : q->slots, q->slots_used, q->ready, q->waiting, q->held,
                queue_info_live(q),                              q->dead
        };
        int r;

        r = table_add(t, q->name, NULL);
        for (size_t i = 0; i < ELEMENTSOF(numbers) && r >= 0; i++) {
                char buf[DECIMAL_MAX];

                snprintf(buf, sizeof(buf), "%" PRIu64, numbers[i]);
                r = table_add(t, numbers[i] == UINT64_MAX ? NULL : buf,
                              i + 1 == ELEMENTSOF(numbers) && numbers[i] > 0 ? COLOR_RED : NULL);
        }
        if (r >= 0)
                r = table_add(t, queue_info_state(q), queue_info_color(q));
        return r < 0 ? r : table_add(t, queue_info_reason(q), NULL);
}

static void print_queue(const QueueInfo *q) {
        printf("%s%s%s - %s\n", color(COLOR_BOLD), q->name, color(COLOR_OFF), queue_info_state(q));
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
        Table *table; /* NULL: one after the other */
        JsonArray array;
        size_t n;
        bool reasons; /* one has something to say */
} QueueView;

static int show_queue(QueueView *v, sd_bus *bus, const char *name, const char *path) {
        _cleanup_(queue_info_done) QueueInfo q = QUEUE_INFO_INIT;
        int r;

        r = queue_info_get(bus, name, path, &q);
        if (r < 0)
                return r;
        v->n++;
        if (!v->table || arg_json != JSON_OFF)
                pager_open();
        if (arg_json != JSON_OFF)
                return json_array_add(&v->array, queue_info_to_json(&q));
        v->reasons = v->reasons || queue_info_reason(&q);
        if (v->table)
                return queue_info_is_past(&q) || add_line(v->table, &q) >= 0 ? 0 : ctl_oom();
        if (v->n > 1)
                putchar('\n');
        print_queue(&q);
        queue_print_files(bus, path, q.files);
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

int verb_queue_list(int argc, char **argv) {
        _cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
        _cleanup_table_ Table *t = table_new(columns, ELEMENTSOF(columns));
        QueueView v = { .table = t };
        int r;

        if (!t)
                return ctl_oom();
        r = bus_open(&bus);
        if (r >= 0)
                r = show_queues(&v, bus, NULL);
        if (r < 0)
                return r;
        if (!v.reasons)
                table_hide(t, COLUMN_REASON);
        return table_print_list(t, &v.array);
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

int verb_queue_remove(int argc, char **argv) {
        return bus_call_each(argc, argv, "RemoveQueue");
}

int verb_queue_pause(int argc, char **argv) {
        return bus_call_each(argc, argv, "PauseQueue");
}

int verb_queue_resume(int argc, char **argv) {
        return bus_call_each(argc, argv, "ResumeQueue");
}

int verb_queue_drain(int argc, char **argv) {
        return bus_call_each(argc, argv, "DrainQueue");
}
