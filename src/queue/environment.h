/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The environment that a submitter sends along: what of it a job gets, and the file in which it travels to
 * PID 1. */

#include "base/macro.h"

/* A copy without what is the session's, the service manager's or ours to set, and with each variable once:
 * the later wins. NULL: out of memory. */
char **spec_environment_strip(char *const *environment);

/* The text of an EnvironmentFile= that gives exactly these values. They must be what spec_validate() lets
 * pass. NULL: out of memory. The text ends in NUL, which *ret_size (may be NULL) does not count. */
char *environment_file_format(char *const *environment, size_t *ret_size);
