/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* worker list, drain. The keys are those of the daemon, in the order in which JSON shows them. */

#include "base/parse.h"
#include "base/strv.h"
#include "ctl/ctl.h"
#include "ctl/dict.h"
#include "ctl/output.h"
#include "ctl/table.h"
#include "ctl/terminal.h"

typedef struct WorkerInfo {
        DictKeys present;
        uint64_t id, away_usec, registered_usec;
        char *name, *user, *unit, *metadata, *adapter;
        uint32_t uid, pid, slots, slots_used, jobs;
        char **queues;
        bool connected, draining, durable;
} WorkerInfo;

#define FIELD(name, signature)                                                                              \
        { #name, signature, offsetof(WorkerInfo, name), 0 }

static const DictField fields[] = {
        FIELD(id, "t"),         FIELD(name, "s"),       FIELD(uid, "u"),
        FIELD(user, "s"),       FIELD(pid, "u"),        FIELD(unit, "s"),
        FIELD(queues, "as"),    FIELD(slots, "u"),      FIELD(slots_used, "u"),
        FIELD(jobs, "u"),       FIELD(connected, "b"),  FIELD(draining, "b"),
        FIELD(durable, "b"),    FIELD(away_usec, "t"),  FIELD(adapter, "s"),
        FIELD(registered_usec, "t"),
        { "metadata", "s", offsetof(WorkerInfo, metadata), DICT_IS_JSON },
};

static const Column columns[] = {
        { "ID", TABLE_KEEP_WHOLE, 0, true }, { "NAME", 80, 8, false }, { "USER", 70, 0, false },
        { "PID", 60, 0, true },              { "UNIT", 30, 8, false }, { "QUEUES", 75, 8, false },
        { "USED", 90, 0, true },             { "SLOTS", 85, 0, true }, { "STATE", 95, 6, false },
};

static const char *state_of(const WorkerInfo *w) {
        return !w->connected ? "away" : w->draining ? "draining" : "connected";
}

static int add_line(Table *t, const WorkerInfo *w) {
        const uint64_t numbers[] = { w->id, w->uid, w->pid, w->slots_used, w->slots };
        char text[ELEMENTSOF(numbers)][DECIMAL_MAX];
        _cleanup_free_ char *queues = strv_join(w->queues, " ");

        if (!queues)
                return -ENOMEM;
        for (size_t i = 0; i < ELEMENTSOF(numbers); i++)
                (void) snprintf(text[i], sizeof(text[i]), "%" PRIu64, numbers[i]);

        const char *cells[] = { text[0], w->name, w->user ?: text[1], text[2], w->unit, queues, text[3], text[4] };
        int r = 0;

        for (size_t i = 0; i < ELEMENTSOF(cells) && r >= 0; i++)
                r = table_add(t, cells[i], NULL);
        return r < 0 ? r : table_add(t, state_of(w), w->connected && !w->draining ? NULL : COLOR_YELLOW);
}

static int read_workers(sd_bus_message *reply, Table *t, JsonArray *array) {
        int r;

        r = sd_bus_message_enter_container(reply, 'a', "a{sv}");
        while (r >= 0) {
                WorkerInfo w = {};

                r = dict_read(reply, fields, ELEMENTSOF(fields), &w);
                if (r > 0 && arg_json != JSON_OFF)
                        r = json_array_add(array, dict_to_json(fields, ELEMENTSOF(fields), 0, &w));
                else if (r > 0)
                        r = add_line(t, &w);
                else if (r == 0) {
                        dict_done(fields, ELEMENTSOF(fields), &w);
                        return 0;
                }
                dict_done(fields, ELEMENTSOF(fields), &w);
        }
        return r;
}

int verb_worker_list(int argc, char **argv) {
        _cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        _cleanup_table_ Table *t = table_new(columns, ELEMENTSOF(columns));
        JsonArray array = {};
        int r;

        if (!t)
                return ctl_oom();
        r = bus_open(&bus);
        if (r >= 0)
                r = bus_call_simple(bus, &reply, "ListWorkers", NULL, "");
        if (r < 0)
                return r;
        pager_open();
        r = read_workers(reply, t, &array);
        if (r < 0)
                return ctl_error(r, "Cannot read the daemon's list of workers: %m");
        if (arg_json != JSON_OFF)
                json_array_end(&array);
        else if (table_print(t) < 0)
                return ctl_oom();
        return 0;
}

int verb_worker_drain(int argc, char **argv) {
        _cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
        int r, worst = 0;

        r = bus_open(&bus);
        if (r < 0)
                return r;
        for (int i = 0; i < argc; i++) {
                uint64_t id;

                r = parse_u64(argv[i], &id);
                r = r < 0 ? ctl_error(r, "%s: not the id of a worker", argv[i]) :
                            bus_call_simple(bus, NULL, "DrainWorker", argv[i], "t", id);
                if (r < 0)
                        worst = r;
        }
        return worst;
}
