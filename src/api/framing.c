/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* No byte is looked at twice, or moved more often than the buffer grows. */

#include "api/framing.h"

void buffer_done(Buffer *b) {
        free(b->data);
        *b = (Buffer) {};
}

/* What is left of a large one must not keep the memory of the whole. */
#define KEPT_MAX (256U * 1024U)

static void shrink(Buffer *b) {
        size_t length = buffer_length(b), size = 2 * length;
        char *data = malloc(size);

        if (!data)
                return;
        memcpy(data, b->data + b->start, length);
        free(b->data);
        *b = (Buffer) { .data = data, .size = size, .end = length, .scanned = b->scanned - b->start };
}

int buffer_reserve(Buffer *b, size_t n) {
        size_t length = buffer_length(b), size = MAX(b->size, (size_t) 512);
        char *data;

        if (b->size - b->end >= n)
                return 0;
        /* Half of it is free then: what is moved was paid for by what was taken. */
        if (b->start >= length && b->size - length >= n) {
                if (length > 0)
                        memmove(b->data, b->data + b->start, length);
        } else {
                while (size - length < n || size < 2 * length)
                        size *= 2;
                data = malloc(size);
                if (!data)
                        return -ENOMEM;
                if (length > 0)
                        memcpy(data, b->data + b->start, length);
                free(b->data);
                b->data = data;
                b->size = size;
        }
        b->scanned -= b->start;
        b->start = 0;
        b->end = length;
        return 0;
}

int buffer_append(Buffer *b, const void *data, size_t n) {
        int r;

        r = buffer_reserve(b, n);
        if (r < 0)
                return r;
        memcpy(b->data + b->end, data, n);
        b->end += n;
        return 0;
}

void buffer_take(Buffer *b, size_t n) {
        b->start += n;
        b->scanned = MAX(b->scanned, b->start);
        if (b->start == b->end)
                buffer_done(b);
        else if (b->size > KEPT_MAX && b->size / 4 > buffer_length(b))
                shrink(b);
}

const char *buffer_message(Buffer *b, size_t *ret_size) {
        const char *end;

        if (b->scanned == b->end)
                return NULL;
        end = memchr(b->data + b->scanned, 0, b->end - b->scanned);
        if (!end) {
                b->scanned = b->end;
                return NULL;
        }
        b->scanned = end - b->data; /* it is found again, until it is taken */
        *ret_size = end - b->data - b->start;
        return b->data + b->start;
}
