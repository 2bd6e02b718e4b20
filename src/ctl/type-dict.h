/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A job type, as the daemon describes it. */

#include "ctl/dict.h"

typedef struct TypeInfo {
        DictKeys present;
        char *name, *version, *description, *queue, *reason;
        char **argv, **accept, **payload_required, **payload_optional, **allow_users, **allow_groups, **properties, **files;
        bool available;
} TypeInfo;

int type_info_read(sd_bus_message *m, TypeInfo *ret); /* the next of a list; 0: it has ended */
void type_info_done(TypeInfo *t);
struct json_object *type_info_to_json(const TypeInfo *t);
