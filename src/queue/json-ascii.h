/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* json-c 0.18 takes no character beyond ASCII where it is to be strict (its issue 892). Is it that one? */
bool json_wants_ascii(void);
/* JSON, which must be valid UTF-8, with all such characters as \uXXXX: the same JSON, or none if it was none. NULL: no memory. */
char *json_to_ascii(const char *text, size_t size, size_t *ret_size);
