/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* See schedule-dict.h. docs/json.md has the keys. */

#include "ctl/schedule-dict.h"

#define FIELD(name, signature) { #name, signature, offsetof(ScheduleInfo, name), 0 }
#define USEC(name) { #name "_usec", "t", offsetof(ScheduleInfo, name), 0 }
static const DictField fields[] = {
        FIELD(name, "s"),
        FIELD(owner, "u"),
        FIELD(file, "s"),
        FIELD(hides, "s"),
        FIELD(unit, "s"),
        FIELD(paused, "b"),
        FIELD(reason, "s"),
        USEC(next),
        USEC(elapsed),
        FIELD(last_job, "t"),
        FIELD(firings, "t"),
        FIELD(calendar, "as"),
        USEC(every),
        { "randomized_delay_usec", "t", offsetof(ScheduleInfo, random_delay), 0 },
        USEC(accuracy),
        FIELD(persistent, "b"),
        FIELD(overlap, "s"),
        { "job", "s", offsetof(ScheduleInfo, job), DICT_IS_JSON },
};

int schedule_info_read(sd_bus_message *m, ScheduleInfo *ret) {
        return dict_read(m, fields, ELEMENTSOF(fields), ret);
}

void schedule_info_done(ScheduleInfo *s) {
        dict_done(fields, ELEMENTSOF(fields), s);
}

struct json_object *schedule_info_to_json(const ScheduleInfo *s) {
        return dict_to_json(fields, ELEMENTSOF(fields), 0, s);
}

static const DictField firing_fields[] = {
        { "number", "t", offsetof(FiringInfo, number), 0 },
        { "cause", "s", offsetof(FiringInfo, cause), 0 },
        { "due_usec", "t", offsetof(FiringInfo, due), 0 },
        { "fired_usec", "t", offsetof(FiringInfo, fired), 0 },
        { "job", "t", offsetof(FiringInfo, job), 0 },
        { "reason", "s", offsetof(FiringInfo, reason), 0 },
};

int firing_info_read(sd_bus_message *m, FiringInfo *ret) {
        return dict_read(m, firing_fields, ELEMENTSOF(firing_fields), ret);
}

void firing_info_done(FiringInfo *f) {
        dict_done(firing_fields, ELEMENTSOF(firing_fields), f);
}

struct json_object *firing_info_to_json(const FiringInfo *f) {
        return dict_to_json(firing_fields, ELEMENTSOF(firing_fields), 0, f);
}
