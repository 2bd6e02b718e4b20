/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The program's own definitions come before the C library's, for all libraries. */

#include "count.h"

#include <malloc.h>
#include <stddef.h>

void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t n);
void __libc_free(void *p);
void *malloc(size_t n);
void *calloc(size_t n, size_t size);
void *realloc(void *p, size_t n);
void free(void *p);

/* What is counted is the daemon's work, not ours. */
#define OURS __attribute__((no_sanitize_coverage))

/* With the word that malloc() puts before it. */
OURS static uint64_t size_of(void *p) {
        return p ? malloc_usable_size(p) + sizeof(size_t) : 0;
}

OURS static void *counted(void *p) {
        count->allocations++;
        count->bytes += size_of(p);
        return p;
}

OURS void *malloc(size_t n) {
        return counted(__libc_malloc(n));
}

OURS void *calloc(size_t n, size_t size) {
        return counted(__libc_calloc(n, size));
}

OURS void *realloc(void *p, size_t n) {
        uint64_t before = size_of(p);
        void *q = __libc_realloc(p, n);

        if (q || n == 0)
                count->bytes -= before;
        return counted(q);
}

OURS void free(void *p) {
        count->bytes -= size_of(p);
        __libc_free(p);
}
