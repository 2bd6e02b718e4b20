/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Looking at JSON of a job's or a user's, by the letter of RFC 8259 and without building anything: what a parser that forgives would
 * take, or what would cost it memory, is no matter here. */

#include "base/macro.h"

#define JSON_SCAN_DEPTH_MAX 32U

typedef struct JsonScan {
        const char *p, *end; /* up to where it has come */
        unsigned depth;
        /* Of the outermost object, for each member: where its name begins, with the quote, and its value, and where that ends: the text
         * may, too. May be NULL. */
        void (*member)(void *userdata, const char *name, const char *value, const char *end);
        void *userdata;
} JsonScan;

/* Is there a value at s->p? Then s->p is behind it. Strings are not looked at for UTF-8. */
bool json_scan_value(JsonScan *s);
void json_scan_space(JsonScan *s);
/* Is the string that begins at p this word, which is of letters, digits, '_', '-' and '.'? It may be written with escapes. */
bool json_scan_name_is(const char *p, const char *word) _pure_;
