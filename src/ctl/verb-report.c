/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* report: sums of what the daemon has counted, by queue, user, type or time. */

#include "base/strv.h"
#include "ctl/csv.h"
#include "ctl/ctl.h"
#include "ctl/dict.h"
#include "ctl/output.h"
#include "ctl/table.h"
#include "ctl/terminal.h"
#include <pwd.h>

typedef struct ReportInfo {
        DictKeys present;
        char *day, *queue, *type, *owner_name;
        uint32_t owner;
        uint64_t minute_usec, hour_usec;
        uint64_t submitted, jobs, failed, cancelled, attempts, started, measured;
        uint64_t wait_usec, runtime_usec, slot_usec, cpu_usec;
} ReportInfo;

#define FIELD(name, signature)                                                                              \
        { #name, signature, offsetof(ReportInfo, name), 0 }

static const DictField report_fields[] = {
        FIELD(day, "s"),        FIELD(hour_usec, "t"),    FIELD(minute_usec, "t"), FIELD(queue, "s"),
        FIELD(type, "s"),       FIELD(owner, "u"),        FIELD(submitted, "t"),   FIELD(jobs, "t"),
        FIELD(failed, "t"),     FIELD(cancelled, "t"),    FIELD(attempts, "t"),    FIELD(started, "t"),
        FIELD(wait_usec, "t"),  FIELD(runtime_usec, "t"), FIELD(slot_usec, "t"),   FIELD(measured, "t"),
        FIELD(cpu_usec, "t"),
};

/* Those that it is grouped by, and all the others; the table has one column more for what an average is made of. */
enum { GROUP_DAY, GROUP_HOUR, GROUP_MINUTE, GROUP_QUEUE, GROUP_TYPE, GROUP_OWNER, _GROUP_MAX };
static const struct {
        const char *word, *key;
} groups[_GROUP_MAX] = {
        { "day", "day" }, { "hour", "hour_usec" }, { "minute", "minute_usec" }, { "queue", "queue" }, { "type", "type" }, { "owner", "owner" },
};

static const Column columns[] = {
        { "DAY", 100, 0, false },      { "HOUR", 100, 0, false },   { "MINUTE", 100, 0, false },
        { "QUEUE", 100, 7, false },    { "TYPE", 100, 5, false },   { "OWNER", 100, 5, false },
        { "SUBMITTED", 20, 0, true },  { "JOBS", 95, 0, true },     { "FAILED", 90, 0, true },
        { "CANCELLED", 30, 0, true },  { "ATTEMPTS", 25, 0, true }, { "WAIT", 60, 0, true },
        { "RUN", 70, 0, true },        { "SLOT-TIME", 40, 0, true }, { "CPU", 80, 0, true },
};

static bool is_group(size_t i) {
        return strv_contains(arg_by, groups[i].word);
}

static const char *user_name(const ReportInfo *row, char buf[static DECIMAL_MAX]) {
        const struct passwd *p = bus_is_elsewhere() ? NULL : getpwuid(row->owner);

        if (p)
                return p->pw_name;
        snprintf(buf, DECIMAL_MAX, "%" PRIu32, row->owner);
        return buf;
}

static const char *group_text(const ReportInfo *row, size_t i, char buf[static TIMESTAMP_MAX]) {
        switch (i) {
        case GROUP_DAY:
                return row->day;
        case GROUP_HOUR:
                return format_timestamp(buf, TIMESTAMP_MAX, row->hour_usec);
        case GROUP_MINUTE:
                return format_timestamp(buf, TIMESTAMP_MAX, row->minute_usec);
        case GROUP_QUEUE:
                return row->queue;
        case GROUP_TYPE:
                return row->type;
        default:
                return user_name(row, buf);
        }
}

static int add_line(Table *t, const ReportInfo *row) {
        const uint64_t numbers[] = { row->submitted, row->jobs, row->failed, row->cancelled, row->attempts };
        const usec_t spans[] = { row->started > 0 ? row->wait_usec / row->started : UINT64_MAX, row->runtime_usec, row->slot_usec,
                                 row->cpu_usec };
        char buf[TIMESTAMP_MAX];
        int r = 0;

        for (size_t i = 0; i < _GROUP_MAX && r >= 0; i++)
                r = table_add(t, is_group(i) ? group_text(row, i, buf) : NULL, NULL);
        for (size_t i = 0; i < ELEMENTSOF(numbers) && r >= 0; i++) {
                snprintf(buf, sizeof(buf), "%" PRIu64, numbers[i]);
                r = table_add(t, buf, i == 2 && numbers[i] > 0 ? COLOR_RED : NULL);
        }
        for (size_t i = 0; i < ELEMENTSOF(spans) && r >= 0; i++)
                r = table_add(t, human_span(buf, sizeof(buf), spans[i]), NULL);
        return r;
}

/* Keys that are not there because nothing is grouped by them are left out. */
static struct json_object *to_json(const ReportInfo *row) {
        struct json_object *o = dict_to_json(report_fields, ELEMENTSOF(report_fields), 0, row);

        for (size_t i = 0; o && i < _GROUP_MAX; i++)
                if (!is_group(i))
                        json_object_object_del(o, groups[i].key);
        return o;
}

static int ask(sd_bus *bus, sd_bus_message **ret) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL;
        _cleanup_free_ char *by = NULL;
        int r;

        by = strv_contains(arg_by, "total") ? strdup("") : strv_join(arg_by, ",");
        if (!by)
                return ctl_oom();
        r = bus_new_call(bus, &call, "GetReport");
        if (r < 0)
                return r;
        r = sd_bus_message_open_container(call, 'a', "{sv}");
        if (r >= 0)
                r = filter_append(call, &arg_filter);
        if (r >= 0)
                r = sd_bus_message_close_container(call);
        if (r >= 0)
                r = sd_bus_message_append(call, "s", by);
        if (r < 0)
                return ctl_error(r, "This filter cannot be sent: %m");
        return bus_call(bus, call, ret, NULL);
}

typedef struct Output {
        Table *table;
        JsonArray array;
        const char *keys[ELEMENTSOF(report_fields) + 1];
        size_t n;
} Output;

static int print_row(Output *o, const ReportInfo *row) {
        o->n++;
        if (arg_csv)
                csv_print_row(o->keys, to_json(row));
        else if (arg_json != JSON_OFF)
                return json_array_add(&o->array, to_json(row));
        else if (add_line(o->table, row) < 0)
                return ctl_oom();
        return 0;
}

static void begin(Output *o) {
        size_t n = 0;

        pager_open();
        for (size_t i = 0; i < _GROUP_MAX; i++)
                if (is_group(i))
                        o->keys[n++] = groups[i].key;
        FOREACH_ELEMENT (f, report_fields)
                if (f >= report_fields + _GROUP_MAX)
                        o->keys[n++] = f->key;
        if (arg_csv)
                csv_print_header(o->keys);
        for (size_t i = 0; o->table && i < _GROUP_MAX; i++)
                if (!is_group(i))
                        table_hide(o->table, i);
}

static int print_report(sd_bus_message *m, Output *o) {
        int r;

        r = sd_bus_message_enter_container(m, 'a', "a{sv}");
        while (r >= 0) {
                ReportInfo row = { .cpu_usec = UINT64_MAX, .hour_usec = UINT64_MAX, .minute_usec = UINT64_MAX };

                r = dict_read(m, report_fields, ELEMENTSOF(report_fields), &row);
                if (r > 0)
                        r = print_row(o, &row) < 0 ? -EIO : 1;
                dict_done(report_fields, ELEMENTSOF(report_fields), &row);
                if (r == 0)
                        return 0;
        }
        return ctl_error(r, "Cannot print the daemon's answer: %m");
}

int verb_report(int argc, char **argv) {
        _cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        _cleanup_table_ Table *table = NULL;
        Output o = {};
        int r;

        if (arg_csv && arg_json != JSON_OFF)
                return ctl_error(-EINVAL, "--csv and --json cannot be combined");
        if (!arg_by && strv_extend(&arg_by, "queue") < 0)
                return ctl_oom();
        r = bus_open(&bus);
        if (r >= 0)
                r = ask(bus, &reply);
        if (r < 0)
                return r;
        if (!arg_csv && arg_json == JSON_OFF) {
                o.table = table = table_new(columns, ELEMENTSOF(columns));
                if (!table)
                        return ctl_oom();
        }
        begin(&o);
        r = print_report(reply, &o);
        if (r < 0)
                return r;
        if (table && table_print(table) < 0)
                return ctl_oom();
        if (arg_json != JSON_OFF)
                json_array_end(&o.array);
        if (table && o.n == 0 && arg_legend && !arg_quiet)
                fprintf(stderr, "Nothing was counted.\n");
        return 0;
}
