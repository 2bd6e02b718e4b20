/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Tables that come in pieces: the first piece printed decides how wide the columns are, so a list of a
 * million rows needs no more memory than one page of it, and keeps its shape. On a terminal lines never
 * wrap: what can be cut is cut, and then the columns that matter least are left out. */

#include "ctl/output.h"

#define TABLE_KEEP_WHOLE 100 /* a column that is never cut, not even in a later piece */

typedef struct Column {
        const char *name;
        unsigned keep; /* what is least goes first where there is no room */
        unsigned min;  /* may be cut down to this many characters; 0: never cut */
        bool right;
        unsigned usual; /* as wide as this from the start, where more pieces come */
} Column;

typedef struct Table Table;

#define TABLE_ANY_WIDTH SIZE_MAX

/* columns must live as long as the table. Width and header follow the terminal and --no-legend. */
Table *table_new(const Column *columns, size_t n);
Table *table_free(Table *t);
DEFINE_TRIVIAL_CLEANUP_FUNC(Table *, table_free);
#define _cleanup_table_ _cleanup_(table_freep)

void table_set_width(Table *t, size_t width);
void table_set_indent(Table *t, size_t indent);
void table_without_header(Table *t);
void table_keep_all(Table *t);    /* leave out no column */
void table_expect_more(Table *t); /* the first piece is not the last one */
void table_hide(Table *t, size_t column);

/* The next cell, from left to right, line by line. NULL shows as "-"; color may be NULL and must be static.
 */
int table_add(Table *t, const char *value, const char *color);
/* Prints the lines so far, and forgets them. Nothing where there are none. */
int table_print(Table *t);
/* The whole of a short list, in the pager: the table, or with --json what a has of it. Says what is wrong. */
int table_print_list(Table *t, JsonArray *a);
int table_print_lines(Table *t, size_t n); /* only the first n of them */

/* The layout alone: widths comes with what the columns would like, and goes with what they get, 0 for left
 * out. */
void table_layout(const Column *columns, size_t n, size_t limit, bool keep_all, size_t *widths);
