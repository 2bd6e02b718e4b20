/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The columns that `list` knows: what stands in one, and what of a job must be asked for to fill it. */

#include "ctl/job-dict.h"
#include "ctl/table.h"

typedef enum ListColumn {
        LIST_ID,
        LIST_NAME,
        LIST_QUEUE,
        LIST_OWNER,
        LIST_STATE,
        LIST_RUN,
        LIST_CPU,
        LIST_MEMORY,
        LIST_REASON,
        LIST_AGE,
        LIST_ATTEMPT,
        LIST_CAUSES,
        LIST_COMMAND,
        LIST_DIRECTORY,
        LIST_EXIT,
        LIST_FINISHED,
        LIST_INVOCATION,
        LIST_NOT_BEFORE,
        LIST_PRIORITY,
        LIST_ARRAY,
        LIST_FLOW,
        LIST_AFTER,
        LIST_READ,
        LIST_RESULT,
        LIST_SLOTS,
        LIST_STARTED,
        LIST_STATUS,
        LIST_SUBMITTED,
        LIST_TAGS,
        LIST_TASKS,
        LIST_TIMEOUT,
        LIST_TYPE,
        LIST_UNIT,
        LIST_WAITED,
        LIST_WRITTEN,
        _LIST_COLUMN_MAX,
} ListColumn;

typedef struct ListColumns {
        ListColumn *which;
        Column *columns;
        char **fields; /* keys of ListJobs, NULL-terminated */
        size_t n;
} ListColumns;

/* words: names, in any case; a first one with + in front: those of the default and these. NULL: the default, of history or of the others.
 * -EINVAL after saying which word is none. */
int list_columns_parse(char *const *words, const char *verb, ListColumns *ret);
void list_columns_done(ListColumns *l);
void list_columns_help(void); /* prints */
const char *list_column_name(ListColumn c); /* NULL behind the last one */
const char *list_column_help(ListColumn c);

/* REASON would not be empty. */
bool list_has_reason(const JobInfo *j);
int list_columns_add(Table *t, const ListColumns *l, const JobInfo *j, usec_t now);
