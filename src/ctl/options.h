/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The table of options, for those who look at it as a table: parsing and the help (options.c), completion.
 */

#include "ctl/ctl.h"

typedef struct Option {
        const char *name; /* NULL: a letter only */
        char letter;      /* 0: none */
        /* What follows it, in words that the help shows and that completion goes by (complete-value.c). */
        const char *argument;
        unsigned verbs;
        int (*parse)(const char *value, void *target); /* says nothing */
        void *target;
        const char *help;    /* NULL: not listed */
        const char *allowed; /* for the message about a bad value; NULL: what argument says */
} Option;

const Option *options_table(size_t *ret_n);
