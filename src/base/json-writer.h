/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* JSON as a growing text, without objects in between. Commas come by themselves. Out of memory is remembered, and what is written after
 * is dropped: one look at the end is enough. And what it would cost to read one. */

#include "base/macro.h"

typedef struct JsonWriter {
        char *text, *p, *end;
        bool failed;
} JsonWriter;

static inline size_t json_writer_size(const JsonWriter *w) {
        return w->p - w->text;
}
void json_writer_done(JsonWriter *w);
void json_write_raw(JsonWriter *w, const char *s, size_t n);
#define JSON_WRITE_LITERAL(w, s) json_write_raw(w, s, sizeof(s) - 1)

/* A brace or bracket that opens or closes. */
void json_open(JsonWriter *w, char brace), json_close(JsonWriter *w, char brace);
/* What follows is its value. NULL: of an array. */
void json_write_key(JsonWriter *w, const char *key);
void json_write_string(JsonWriter *w, const char *s), json_write_text(JsonWriter *w, const char *s, size_t n);
void json_write_integer(JsonWriter *w, int64_t v);
void json_write_bool(JsonWriter *w, bool v);
/* As few digits as bring the same number back; with a point whatever the locale says. */
void json_write_double(JsonWriter *w, double v);
/* RFC 4648, with padding, no line breaks. */
void json_write_base64(JsonWriter *w, const uint8_t *data, size_t size);
/* words in pairs: an object. */
void json_write_strv(JsonWriter *w, char *const *l), json_write_pairs(JsonWriter *w, char *const *l);

/* Bytes that json-c takes for this text, or somewhat more: 3 bytes can become 800. Strings count for their length. */
size_t json_cost(const char *text, size_t size);
