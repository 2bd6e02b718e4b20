/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Logging for daemon and tool. To the journal with structured fields where stderr is the journal's
 * ($JOURNAL_STREAM) or where the target says so, else to stderr. Functions below daemon/, api/ handlers and
 * ctl/ do not log: they return a negative errno and their caller logs it once. */

#include "base/macro.h"
#include <syslog.h>

typedef enum LogTarget {
        LOG_TARGET_AUTO,
        LOG_TARGET_CONSOLE,
        LOG_TARGET_JOURNAL,
        LOG_TARGET_NULL,
        _LOG_TARGET_MAX,
        _LOG_TARGET_INVALID = -EINVAL,
} LogTarget;

const char *log_target_to_string(LogTarget t);
LogTarget log_target_from_string(const char *s);

/* Level names are syslog's: emerg … debug. */
const char *log_level_to_string(int level);
int log_level_from_string(const char *s);

void log_setup(void); /* reads $JOBMILL_LOG_LEVEL, $SYSTEMD_LOG_LEVEL, $JOURNAL_STREAM */
void log_set_level(int level);
int log_get_level(void);
void log_set_target(LogTarget target);
LogTarget log_get_target(void);

/* error is a positive or negative errno, or 0; %m in the format is that error. Returns -|error|. */
int log_internal(int level, int error, const char *file, int line, const char *func, const char *format, ...)
                _printf_(6, 7);

/* One record with fields of its own: "KEY=value" strings, NULL ends the list; MESSAGE is formatted by the
 * caller and stands in one of them. On a console only MESSAGE is shown. */
void log_struct(int level, const char *const *fields);

/* As journalctl --sync: journald answers when all that waits in its sockets is in the journal. Blocks, some seconds at most. It listens to root
 * alone: negative where it was not asked, or did not answer. */
int log_synchronize(void);

#define log_full_errno(level, error, ...)                                                                    \
        ({                                                                                                   \
                int _e = (error);                                                                            \
                (level) <= log_get_level()                                                                   \
                        ? log_internal(level, _e, __FILE__, __LINE__, __func__, __VA_ARGS__)                 \
                        : -abs(_e);                                                                          \
        })
#define log_debug(...) log_full_errno(LOG_DEBUG, 0, __VA_ARGS__)
#define log_info(...) log_full_errno(LOG_INFO, 0, __VA_ARGS__)
#define log_notice(...) log_full_errno(LOG_NOTICE, 0, __VA_ARGS__)
#define log_warning(...) log_full_errno(LOG_WARNING, 0, __VA_ARGS__)
#define log_error(...) log_full_errno(LOG_ERR, 0, __VA_ARGS__)
#define log_debug_errno(e, ...) log_full_errno(LOG_DEBUG, e, __VA_ARGS__)
#define log_info_errno(e, ...) log_full_errno(LOG_INFO, e, __VA_ARGS__)
#define log_notice_errno(e, ...) log_full_errno(LOG_NOTICE, e, __VA_ARGS__)
#define log_warning_errno(e, ...) log_full_errno(LOG_WARNING, e, __VA_ARGS__)
#define log_error_errno(e, ...) log_full_errno(LOG_ERR, e, __VA_ARGS__)
#define log_oom() log_error_errno(ENOMEM, "Out of memory.")
