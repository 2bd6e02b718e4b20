/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Arrays of strings that end in NULL, as execve() takes them. Every function takes NULL for the empty array,
 * and leaves its array as it was when memory runs out. */

#include "base/strv.h"

#include <stdarg.h>

char **strv_free(char **l) {
        STRV_FOREACH(i, l)
                free(*i);
        return mfree(l);
}

size_t strv_length(char *const *l) {
        size_t n = 0;

        while (l && l[n])
                n++;
        return n;
}

char **strv_copy(char *const *l) {
        _cleanup_strv_free_ char **copy = new0(char *, strv_length(l) + 1);

        if (!copy)
                return NULL;
        for (size_t i = 0; l && l[i]; i++)
                if (!(copy[i] = strdup(l[i])))
                        return NULL;
        return TAKE_PTR(copy);
}

int strv_consume(char ***l, char *s) {
        size_t n = strv_length(*l);
        char **t;

        if (!s)
                return -ENOMEM;
        t = reallocarray(*l, n + 2, sizeof(char *));
        if (!t) {
                free(s);
                return -ENOMEM;
        }
        t[n] = s;
        t[n + 1] = NULL;
        *l = t;
        return 0;
}

int strv_extend(char ***l, const char *s) {
        return strv_consume(l, strdup(s));
}

int strv_extendf(char ***l, const char *format, ...) {
        va_list ap;
        char *s;

        va_start(ap, format);
        s = vformat(format, ap);
        va_end(ap);
        return strv_consume(l, s);
}

bool strv_contains(char *const *l, const char *s) {
        STRV_FOREACH(i, l)
                if (streq(*i, s))
                        return true;
        return false;
}

bool strv_equal(char *const *a, char *const *b) {
        size_t n = strv_length(a);

        if (n != strv_length(b))
                return false;
        for (size_t i = 0; i < n; i++)
                if (!streq(a[i], b[i]))
                        return false;
        return true;
}

char **strv_split(const char *s, const char *separators) {
        _cleanup_strv_free_ char **l = new0(char *, strlen(s) / 2 + 2); /* for more words than there can be */

        for (char **w = l; l && *(s += strspn(s, separators)); w++) {
                size_t n = strcspn(s, separators);

                if (!(*w = strndup(s, n)))
                        return NULL;
                s += n;
        }
        return TAKE_PTR(l);
}

char *strv_join(char *const *l, const char *separator) {
        size_t size = 1, k = strlen(separator);
        char *s, *p;

        STRV_FOREACH(i, l)
                size += strlen(*i) + k;
        p = s = new0(char, size);
        if (!s)
                return NULL;
        STRV_FOREACH(i, l)
                p = stpcpy(i == (char **) l ? p : stpcpy(p, separator), *i);
        return s;
}

const char *strv_env_get(char *const *l, const char *name) {
        const char *found = NULL, *p;

        /* Of several the last counts, as in systemd's Environment=. */
        STRV_FOREACH(i, l)
                if ((p = startswith(*i, name)) && *p == '=')
                        found = p + 1;
        return found;
}
