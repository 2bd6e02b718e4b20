/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "store/history.h"
#include <systemd/sd-bus.h>

typedef struct ListOptions {
        JobFilter filter;
        JobOrder order;
        char **fields;
} ListOptions;
void list_options_done(ListOptions *o);
/* An a{sv}; with_list: order and fields may stand in it. -EINVAL and *error. */
int filter_read(sd_bus_message *m, bool with_list, ListOptions *ret, sd_bus_error *error);
/* The same as an object among the parameters of a call over the socket, if it is there; order and fields may stand in it. */
struct json_object;
int filter_read_json(struct json_object *parameters, const char *name, ListOptions *ret, sd_bus_error *error);
/* Does it say that only jobs of this user are meant? */
bool filter_is_own(const JobFilter *f, uint32_t uid);
/* Narrow it to the jobs of one user. false: it can find nothing then. */
bool filter_only_own(JobFilter *f, uint32_t uid);
