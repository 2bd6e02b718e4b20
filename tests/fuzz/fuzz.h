/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the fuzz targets have in common. A target is one file, fuzz-NAME.c: it takes bytes that anybody may have written, and looks
 * whether what must hold for any of them does. Its seeds are in corpus/NAME; docs/hacking.md says how to run them. */

#include "base/macro.h"
#include "base/parse.h"
#include "queue/spec.h"

#include <systemd/sd-bus.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What must hold. */
#define check(...)                                                                                                                 \
        do {                                                                                                                       \
                if (!(__VA_ARGS__)) {                                                                                              \
                        fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #__VA_ARGS__);                           \
                        abort();                                                                                                   \
                }                                                                                                                  \
        } while (false)

/* A copy with a NUL behind it, just as long: the sanitizer sees a byte too far. */
static inline char *copy_text(const uint8_t *data, size_t size) {
        char *s = malloc(size + 1);

        check(s);
        if (size > 0)
                memcpy(s, data, size);
        s[size] = 0;
        return s;
}

/* What is told of a mistake fits on a line of a terminal, whatever the mistake was. */
static inline void check_message(const char *message) {
        check(!isempty(message) && utf8_is_valid(message, strlen(message)));
        if (!string_is_clean(message)) {
                fprintf(stderr, "message: %s\n", message);
                abort();
        }
}

/* fuzz-bus.c: a message that nobody gets. It is filled, sealed, and read again from its begin. */
sd_bus_message *bus_message_new(void);
void bus_message_turn(sd_bus_message *m);

/* fuzz-json.c: a strict reader of RFC 8259 that is not jobmill's: SQLite's. */
bool json_is_valid(const char *text, size_t size);
static inline void check_json(const char *text) {
        if (json_is_valid(text, strlen(text)))
                return;
        fprintf(stderr, "not JSON: %s\n", text);
        abort();
}

/* fuzz-ways.c: what was read goes all ways out and in again, and what is not valid says which key is not. */
void there_and_back(JobSpec *s);
void check_same_spec(const JobSpec *a, const JobSpec *b);
