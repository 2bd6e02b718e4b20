/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What a filter asks for, as a condition in SQL: each value is a bound parameter. Below the lists of store/history.h. */

#include "queue/spec.h"
#include "store/history.h"

#include <sqlite3.h>
#include <stdio.h>

/* The first parameters of a list; the filter's follow. */
enum {
        PARAMETER_CURSOR_ID = 1,
        PARAMETER_CURSOR_KEY,
        PARAMETER_LIMIT,
        PARAMETER_FILTER,
};

#define PARAMETERS_MAX (PARAMETER_FILTER + 16 + 2 * (int) SPEC_TAGS_MAX)

typedef struct Parameter {
        const char *text; /* NULL: number */
        char *owned;
        int64_t number;
} Parameter;

typedef struct Query {
        Parameter parameters[PARAMETERS_MAX];
        int n_parameters; /* the number of the next one: from 1, as in SQL */
        char *filter;     /* " AND …" */
        size_t filter_size;
        FILE *f;          /* writes filter */
} Query;

/* more: a further condition, or "". To be done also where it fails. */
int query_init(Query *q, const JobFilter *f, const char *more);
void query_done(Query *q);

int query_add_number(Query *q, uint64_t number);

/* Of an array, or a flow, the one that comes first in the list, of those that match: what the filter says of columns it says inside of the others. */
int query_collapse(Query *q, JobOrder order);

/* The statement of this text, with all bound. Frees text. */
int query_prepare(Store *s, Query *q, char *text, sqlite3_stmt **ret);
