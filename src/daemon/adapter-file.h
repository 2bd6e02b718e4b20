/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The contents of adapters/NAME.adapter and of its drop-ins: what an adapter (docs/adapters.md) is able to do, so that a queue file that names it
 * (Executor=NAME) and the jobs of that queue are judged while it is not there. */

#include "base/conf-file.h"

#define ADAPTER_NAME_MAX 32U

typedef struct AdapterFile {
        char *unit;     /* Unit=: its service, as WorkerUnit= of such a queue that does not say */
        char **options; /* Options=: keys of its section in queue files */
        char **takes;   /* Takes=: fields of a spec, and unit properties */
} AdapterFile;

void adapter_file_done(AdapterFile *f);
bool adapter_name_is_valid(const char *name); /* [a-z][a-z0-9]* and none of the executors' */
/* A conf_assign_t; userdata is the AdapterFile. */
int adapter_file_assign(void *userdata, const char *file, unsigned line, const char *section, const char *key, const char *value,
                        ConfError *error);
/* -ENOENT: there is none of this name; -EBADMSG: it is bad, and the error says where. */
int adapter_file_load(char *const *directories, const char *name, AdapterFile *ret, ConfError *error);
