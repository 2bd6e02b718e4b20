/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The vocabulary of the whole tree: cleanup on scope exit, ownership transfer, sizes. Nothing here knows
 * what a job is. */

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define _cleanup_(f) __attribute__((cleanup(f)))
#define _printf_(a, b) __attribute__((format(printf, a, b)))
#define _unused_ __attribute__((unused))
#define _pure_ __attribute__((pure))

#define ELEMENTSOF(a) (sizeof(a) / sizeof((a)[0]))
/* What p is the member of. */
#define CONTAINER_OF(p, type, member) ((type *) ((char *) (p) - offsetof(type, member)))
#define FOREACH_ELEMENT(i, array) for (typeof(&(array)[0]) i = (array); i < (array) + ELEMENTSOF(array); i++)

#define MAX(a, b)                                                                                            \
        ({                                                                                                   \
                typeof(a) _a = (a);                                                                          \
                typeof(b) _b = (b);                                                                          \
                _a > _b ? _a : _b;                                                                           \
        })
#define MIN(a, b)                                                                                            \
        ({                                                                                                   \
                typeof(a) _a = (a);                                                                          \
                typeof(b) _b = (b);                                                                          \
                _a < _b ? _a : _b;                                                                           \
        })

/* Give a pointer or descriptor away: the variable that the cleanup would look at is emptied. */
#define TAKE_PTR(p)                                                                                          \
        ({                                                                                                   \
                typeof(p) _p = (p);                                                                          \
                (p) = NULL;                                                                                  \
                _p;                                                                                          \
        })
#define TAKE_FD(fd)                                                                                          \
        ({                                                                                                   \
                int _fd = (fd);                                                                              \
                (fd) = -EBADF;                                                                               \
                _fd;                                                                                         \
        })

#define DEFINE_TRIVIAL_CLEANUP_FUNC(type, func)                                                              \
        static inline void func##p(type *p) {                                                                \
                if (*p)                                                                                      \
                        *p = func(*p);                                                                       \
        }                                                                                                    \
        struct _semicolon_

/* glibc's <sys/queue.h> has no variant that lets the element be freed. */
#define TAILQ_FOREACH_SAFE(var, head, field, next)                                                           \
        for ((var) = TAILQ_FIRST(head); (var) && ((next) = TAILQ_NEXT(var, field), true); (var) = (next))

#define new0(t, n) ((t *) calloc((n) ?: 1, sizeof(t)))

static inline void freep(void *p) {
        free(*(void **) p);
}
#define _cleanup_free_ _cleanup_(freep)

static inline void *mfree(void *p) {
        free(p);
        return NULL;
}

static inline int safe_close(int fd) {
        if (fd >= 0) {
                int saved = errno;
                (void) close(fd);
                errno = saved;
        }
        return -EBADF;
}
static inline void closep(int *fd) {
        *fd = safe_close(*fd);
}
#define _cleanup_close_ _cleanup_(closep)

static inline void fclosep(FILE **f) {
        if (*f)
                fclose(*f);
        *f = NULL;
}
#define _cleanup_fclose_ _cleanup_(fclosep)

/* Where there is a LeakSanitizer it looks now, and not at the end again. */
void __lsan_do_leak_check(void) __attribute__((weak));
static inline void look_for_leaks(void) {
        if (__lsan_do_leak_check)
                __lsan_do_leak_check();
}

/* The end of a child that never becomes another program. */
static inline void __attribute__((noreturn)) child_exit(int status) {
        look_for_leaks();
        _exit(status);
}

static inline bool streq(const char *a, const char *b) {
        return strcmp(a, b) == 0;
}
static inline bool streq_ptr(const char *a, const char *b) {
        return (!a && !b) || (a && b && streq(a, b));
}
static inline bool isempty(const char *s) {
        return !s || !*s;
}
static inline const char *strempty(const char *s) {
        return s ?: "";
}
/* The part of s behind prefix, or NULL where s does not begin with it. */
static inline const char *startswith(const char *s, const char *prefix) {
        size_t l = strlen(prefix);
        return strncmp(s, prefix, l) == 0 ? s + l : NULL;
}
static inline const char *endswith(const char *s, const char *suffix) {
        size_t l = strlen(s), k = strlen(suffix);
        return l >= k && streq(s + l - k, suffix) ? s + l - k : NULL;
}

/* A text of its own; NULL: out of memory. */
/* Its digits, and where they end: for what each job does so often that printf() would be a tenth of its price. */
#define DIGITS_MAX 20U
static inline char *append_u64(char *p, uint64_t v) {
        char digits[DIGITS_MAX], *d = digits + sizeof(digits);

        do
                *--d = '0' + v % 10;
        while ((v /= 10) > 0);
        memcpy(p, d, digits + sizeof(digits) - d);
        return p + (digits + sizeof(digits) - d);
}

static inline _printf_(1, 0) char *vformat(const char *format, va_list ap) {
        char *text;

        return vasprintf(&text, format, ap) < 0 ? NULL : text;
}

static inline int free_and_strdup(char **p, const char *s) {
        char *t = NULL;

        if (s && !(t = strdup(s)))
                return -ENOMEM;
        free(*p);
        *p = t;
        return 0;
}

/* Times are microseconds everywhere; USEC_INFINITY also stands for "not known" and "never". */
typedef uint64_t usec_t;
#define USEC_INFINITY UINT64_MAX
#define USEC_PER_SEC ((usec_t) 1000000)
#define USEC_PER_MSEC ((usec_t) 1000)
#define NSEC_PER_USEC ((uint64_t) 1000)

static inline usec_t usec_add(usec_t a, usec_t b) {
        return a > USEC_INFINITY - b ? USEC_INFINITY : a + b;
}
static inline usec_t usec_sub(usec_t a, usec_t b) {
        return a == USEC_INFINITY ? USEC_INFINITY : a > b ? a - b : 0;
}
