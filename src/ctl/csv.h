/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Comma-separated values as RFC 4180 has them, but for lines that end as all others here: a header of keys, and of each JSON object
 * the values of these. Lists are words with spaces between, what is null is empty. */

#include <json-c/json.h>

void csv_print_header(const char *const *keys);
void csv_print_row(const char *const *keys, struct json_object *o); /* o is consumed */
