/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The program's own definitions come before the C library's, for all libraries. */

#include "count.h"

#include <stddef.h>

void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t n);
void *malloc(size_t n);
void *calloc(size_t n, size_t size);
void *realloc(void *p, size_t n);

void *malloc(size_t n) {
        count->allocations++;
        return __libc_malloc(n);
}

void *calloc(size_t n, size_t size) {
        count->allocations++;
        return __libc_calloc(n, size);
}

void *realloc(void *p, size_t n) {
        count->allocations++;
        return __libc_realloc(p, n);
}
