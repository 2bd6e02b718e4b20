/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Arrays of strings that end in NULL. A NULL array is the empty one. */

#include "base/macro.h"

#define STRV_FOREACH(i, l) for (char **i = (char **) (l); i && *i; i++)
#define STRV_FOREACH_PAIR(x, y, l) for (char **x = (char **) (l), **y = x ? x + 1 : NULL; x && *x && *y; x += 2, y = x + 1)

char **strv_free(char **l); /* NULL is fine; returns NULL */
DEFINE_TRIVIAL_CLEANUP_FUNC(char **, strv_free);
#define _cleanup_strv_free_ _cleanup_(strv_freep)

size_t strv_length(char *const *l) _pure_;
char **strv_copy(char *const *l);            /* NULL: out of memory (an empty list gives an empty array) */
int strv_extend(char ***l, const char *s);   /* 0, -ENOMEM */
int strv_consume(char ***l, char *s);        /* the same, takes s over in every case */
int strv_extendf(char ***l, const char *format, ...) _printf_(2, 3);
bool strv_contains(char *const *l, const char *s) _pure_;
bool strv_equal(char *const *a, char *const *b) _pure_;
char **strv_split(const char *s, const char *separators); /* empty words are left out */
char *strv_join(char *const *l, const char *separator);

/* In a list of VAR=VALUE: the value, or NULL. */
const char *strv_env_get(char *const *l, const char *name) _pure_;
