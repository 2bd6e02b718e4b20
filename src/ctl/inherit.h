/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What a job inherits of its submitter's environment, and whether its command is there. Pure: the caller's
 * environment comes in as a list. */

#include "base/macro.h"

/* mode: NULL or "all" (what belongs to the session is left out), "none", or NAME,NAME,… Then set,
 * "NAME=VALUE" or "NAME" (taken from the environment), on top. PWD goes along only with keep_pwd.
 * ret_left_out: names of variables that cannot be carried. -ENXIO: a NAME of set is not in the environment,
 * -EINVAL: it is no name or the value is not UTF-8; *ret_bad points to it. */
int inherit_environment(char *const *environment,
                        const char *mode,
                        char *const *set,
                        bool keep_pwd,
                        char ***ret,
                        char ***ret_left_out,
                        const char **ret_bad);

/* Is there something to execute under this name: relative to cwd if it holds a '/', else along path? 0,
 * -ENOENT, -EACCES, -EISDIR. */
int command_find(const char *command, const char *cwd, const char *path);
