/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/macro.h"

/* Words as a shell would see them (quotes and backslashes, no expansion); a word that begins with comment begins one, 0: there is none.
 * Text has a NUL behind it. -EINVAL: a quote is open. */
int spec_split_words(const char *line, size_t n, char comment, char ***ret);
