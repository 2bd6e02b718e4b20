/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What verbs do to jobs: to those whose ids are given, one by one, or to all that a filter finds. */

#include "ctl/ctl.h"

/* Appends what stands behind the id, or the filter, in a call. */
typedef int (*bulk_append_t)(sd_bus_message *call, const void *userdata);

typedef struct Bulk {
        const char *verb;
        const char *what;       /* for the question: "Cancel" */
        const char *participle; /* "cancelled" */
        const char *one;        /* the method for one job; NULL: ids are given to the one for many */
        const char *many;       /* for a filter; NULL: they are listed, and changed one by one */
        const char *states[8];  /* of the jobs that it makes sense for */
        bool dead;              /* those that failed only */
        bulk_append_t append_one, append_many;
} Bulk;

/* The row of a verb; NULL: it is not one of these. */
const Bulk *bulk_find(const char *verb);
/* userdata: for the two functions. Says what went wrong; the exit status or a negative errno. */
int bulk_run(const Bulk *b, int n_ids, char **ids, const void *userdata);
