/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* An enum and its words. The enum ends in _FOO_MAX, _FOO_INVALID = -EINVAL; the table is static const in the
 * .c file; foo_from_string() gives _FOO_INVALID, an errno, for an unknown word. */

#include "base/macro.h"

#define DEFINE_STRING_TABLE_LOOKUP(name, type)                                                               \
        const char *name##_to_string(type i) {                                                               \
                if (i < 0 || i >= (type) ELEMENTSOF(name##_table))                                           \
                        return NULL;                                                                         \
                return name##_table[i];                                                                      \
        }                                                                                                    \
        type name##_from_string(const char *s) {                                                             \
                if (!s)                                                                                      \
                        return (type) -EINVAL;                                                               \
                for (type i = 0; i < (type) ELEMENTSOF(name##_table); i++)                                   \
                        if (name##_table[i] && streq(name##_table[i], s))                                    \
                                return i;                                                                    \
                return (type) -EINVAL;                                                                       \
        }                                                                                                    \
        struct _semicolon_
