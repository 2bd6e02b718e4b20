/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>
#include <stdio.h>

/* jobmilld --verify: what is wrong with the configuration, by the code that reads it, without a daemon. files: NULL-terminated;
 * none: all of the instance. "FILE:LINE: …" for each fault, "FILE: note: …" for what is allowed but perhaps not meant. The
 * number of faults, or negative: it could not be done. */
int verify(bool user, char *const *files, FILE *out);
