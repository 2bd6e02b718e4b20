/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* How jobmill-exec says that a command was not executed: by an exit status as systemd has it for the same failure
 * (systemd.exec(5), "Process Exit Codes"), and by STATUS= with this in front. Both together, since a command may end with any
 * status. Only one who wants his own job to look so can do the same. */

#define EXEC_NAME "jobmill-exec"
#define EXEC_STATUS_PREFIX EXEC_NAME ": "

#define EXEC_EXIT_EXEC 203
#define EXEC_EXIT_STDOUT 209
#define EXEC_EXIT_STDERR 222
