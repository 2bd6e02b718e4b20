/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Messages that end in a NUL, as they come and go in pieces of any size. Pure: who reads and writes gives and takes bytes. */

#include "base/macro.h"

typedef struct Buffer {
        char *data;
        size_t start, end, size; /* what is in use, and what there is */
        size_t scanned;          /* no NUL before this */
} Buffer;

static inline size_t buffer_length(const Buffer *b) {
        return b->end - b->start;
}
void buffer_done(Buffer *b);
/* Room for n bytes more behind the end; -ENOMEM. What was taken goes first. */
int buffer_reserve(Buffer *b, size_t n);
int buffer_append(Buffer *b, const void *data, size_t n);
void buffer_take(Buffer *b, size_t n); /* from the beginning; an empty one gives its memory back */
/* The next message, without its NUL; NULL: it is not complete. Valid until it is taken, all ret_size + 1 bytes of it. */
const char *buffer_message(Buffer *b, size_t *ret_size);
