/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Preloaded into the daemon: how many pieces of memory it has, and of how many bytes, is kept in the file COUNT_HEAP_FILE, two 64-bit
 * numbers. Exact, where the size of a process is not: one forgotten piece a job shows. Children count for themselves. */

#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t size);
void *__libc_memalign(size_t alignment, size_t size);
void __libc_free(void *p);

struct Counts {
        int64_t n, bytes;
};

static struct Counts own, *counts = &own;

static void count(void *p, int sign) {
        if (!p)
                return;
        __atomic_add_fetch(&counts->n, sign, __ATOMIC_RELAXED);
        __atomic_add_fetch(&counts->bytes, sign * (int64_t) malloc_usable_size(p), __ATOMIC_RELAXED);
}

void *malloc(size_t size) {
        void *p = __libc_malloc(size);

        count(p, 1);
        return p;
}

void *calloc(size_t n, size_t size) {
        void *p = __libc_calloc(n, size);

        count(p, 1);
        return p;
}

void *realloc(void *old, size_t size) {
        void *p;

        count(old, -1);
        p = __libc_realloc(old, size);
        count(p || size == 0 ? p : old, 1);
        return p;
}

void *memalign(size_t alignment, size_t size) {
        void *p = __libc_memalign(alignment, size);

        count(p, 1);
        return p;
}

void *aligned_alloc(size_t alignment, size_t size) {
        return memalign(alignment, size);
}

int posix_memalign(void **ret, size_t alignment, size_t size) {
        void *p = memalign(alignment, size);

        if (!p)
                return 12; /* ENOMEM */
        *ret = p;
        return 0;
}

void free(void *p) {
        count(p, -1);
        __libc_free(p);
}

static void in_child(void) {
        counts = &own;
}

static void __attribute__((constructor)) begin(void) {
        const char *path = getenv("COUNT_HEAP_FILE");
        int fd = path ? open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600) : -1;
        struct Counts *p;

        if (fd < 0 || ftruncate(fd, sizeof(struct Counts)) < 0)
                return;
        p = mmap(NULL, sizeof(struct Counts), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        (void) close(fd);
        if (p == MAP_FAILED)
                return;
        *p = own;
        counts = p;
        (void) pthread_atfork(NULL, NULL, in_child);
}
