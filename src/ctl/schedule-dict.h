/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A schedule, and what came of one of its times, as the daemon describes them. */

#include "ctl/dict.h"

typedef struct ScheduleInfo {
        DictKeys present;
        char *name, *file, *hides, *unit, *reason, *overlap, *job;
        char **calendar;
        uint64_t next, elapsed, every, random_delay, accuracy, last_job, firings;
        uint32_t owner;
        bool paused, persistent;
} ScheduleInfo;

int schedule_info_read(sd_bus_message *m, ScheduleInfo *ret); /* the next of a list; 0: it has ended */
void schedule_info_done(ScheduleInfo *s);
struct json_object *schedule_info_to_json(const ScheduleInfo *s);

typedef struct FiringInfo {
        DictKeys present;
        char *cause, *reason;
        uint64_t number, due, fired, job;
} FiringInfo;

int firing_info_read(sd_bus_message *m, FiringInfo *ret); /* the same */
void firing_info_done(FiringInfo *f);
struct json_object *firing_info_to_json(const FiringInfo *f);
