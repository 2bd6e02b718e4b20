/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* How the tool speaks: messages on standard error, JSON, and times and sizes as people read them. */

#include "base/macro.h"
#include "base/time-util.h"
#include <json-c/json.h>

#define DECIMAL_MAX 24 /* a 64-bit number as text */

/* "jobmill: …" on standard error. error is a negative errno, which %m in the format is; it is returned. */
int ctl_error(int error, const char *format, ...) _printf_(2, 3);
void ctl_warning(const char *format, ...) _printf_(1, 2); /* not with --quiet */
/* Both, from now on, instead into *where, the last one only; NULL: as ever. */
void ctl_messages_into(char **where);
/* Help and the like, on standard output: "…" as the locale has it. */
void help_printf(const char *format, ...) _printf_(1, 2);
#define ctl_oom() ctl_error(-ENOMEM, "Out of memory.")

bool colors_wanted(
                void); /* standard output is a terminal, and neither NO_COLOR nor SYSTEMD_COLORS says no */
const char *color(const char *sequence); /* the sequence, or "" */
#define COLOR_RED "\033[31m"
#define COLOR_GREEN "\033[32m"
#define COLOR_YELLOW "\033[33m"
#define COLOR_GREY "\033[90m"
#define COLOR_BOLD "\033[1m"
#define COLOR_UNDERLINE "\033[4m"
#define COLOR_OFF "\033[0m"

/* JSON: one document, or an array whose elements come one by one. Values are consumed. */
int json_print(struct json_object *o);
typedef struct JsonArray {
        size_t n;
} JsonArray;
int json_array_add(JsonArray *a, struct json_object *o);
void json_array_end(JsonArray *a);

/* For people. Each returns buf. Unknown (UINT64_MAX): "-". */
char *human_span(char *buf, size_t n, usec_t span);
char *human_size(char *buf, size_t n, uint64_t bytes);
char *human_ago(char *buf, size_t n, usec_t t, usec_t now); /* "5min ago", "in 2h" */
/* For a terminal: control characters and bad UTF-8 become \xNN. NULL: out of memory. */
char *escape_controls(const char *s, size_t n);
/* Words as one could type them into a shell. */
char *quote_words(char *const *words);
