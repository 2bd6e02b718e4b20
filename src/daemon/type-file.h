/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The contents of jobs/NAME.job and of its drop-ins. */

#include "base/conf-file.h"
#include "queue/job-type.h"

/* A conf_assign_t; userdata is the JobType. */
int type_file_assign(void *userdata, const char *file, unsigned line, const char *section, const char *key, const char *value,
                     ConfError *error);
/* After all files, the last of which is named in the error: what no line says by itself. A command without a path becomes that of the
 * program that is found, if there is one. */
int type_file_check(JobType *t, ConfError *error);
/* What it needs and is not there, and can be looked for here: t->fault. Units are the service manager's. -ENOMEM. */
int type_find_missing(JobType *t, bool user);
