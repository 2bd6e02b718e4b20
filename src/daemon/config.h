/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The configuration files: jobmill.conf into settings, queues/NAME.queue into the policies of the model's queues; both with
 * their drop-ins. */

#include "base/conf-file.h"
#include "daemon/settings.h"
#include "queue/model.h"

/* The directories of this instance, first wins: $JOBMILL_CONFIG_PATH, else those of design.md, section 5. */
int config_directories(bool user, char ***ret);

/* Read jobmill.conf. s is written only when all of it is good; else what is wrong is logged and in *ret_error, ended by
 * otherwise, which says what is in force instead. Negative: out of memory. */
int config_load_settings(Settings *s, char **directories, const char *otherwise, char **ret_error);

/* Read all queue files. A bad one is logged and its queue keeps its last good policy: that of m, or, when m is new, the one of
 * old, which is taken out of it. Where none was good, its jobs and those of the queues below it wait. A queue whose file is
 * gone is "not configured": its jobs wait. Where a directory cannot be listed all queues keep what they had. *ret_error: the first thing that was wrong, or NULL. Negative: out of memory. */
int config_load_queues(Model *m, Model *old, char **directories, char **ret_error);
/* What this queue asks for of the jobs in it that nobody does, as jobmill's own queue for that is not there (callbacks, triggers); NULL: nothing. */
const char *config_vain_key(Model *m, const Queue *q, const char **ret_missing);

/* The same for the files of one queue. */
int config_load_queue(Model *m, char **directories, const char *name, char **ret_error);

/* What is wrong with a file: logged, and the first of it in *ret_error. 0, or -ENOMEM. And where: FILE:LINE, or FILE alone where it is
 * about all of it. */
int config_complain(char **ret_error, const char *format, ...) _printf_(2, 3);
int config_place(const ConfError *e, const char *file, char **ret);
