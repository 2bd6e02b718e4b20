/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Log lines of daemon and tool. Two ways out: records for the journal with the place in the source and fields
 * of their own, and plain lines on stderr. AUTO becomes one of them when it is set: the journal's when stderr
 * is connected to it ($JOURNAL_STREAM), the console's otherwise. What the journal does not take goes to the
 * console, so that no line is lost. */

#define SD_JOURNAL_SUPPRESS_LOCATION /* the caller's place is sent, not this file's */

#include "base/log.h"
#include "base/string-table.h"

#include <stdarg.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <systemd/sd-journal.h>

#define FIELDS_MAX 32

static int log_level = LOG_INFO;
static LogTarget log_target = LOG_TARGET_AUTO, log_target_used = LOG_TARGET_CONSOLE;
static bool log_prefix = false;

static const char *const log_target_table[_LOG_TARGET_MAX] = {
        [LOG_TARGET_AUTO] = "auto",
        [LOG_TARGET_CONSOLE] = "console",
        [LOG_TARGET_JOURNAL] = "journal",
        [LOG_TARGET_NULL] = "null",
};
DEFINE_STRING_TABLE_LOOKUP(log_target, LogTarget);

static const char *const log_level_table[LOG_DEBUG + 1] = {
        [LOG_EMERG] = "emerg",
        [LOG_ALERT] = "alert",
        [LOG_CRIT] = "crit",
        [LOG_ERR] = "err",
        [LOG_WARNING] = "warning",
        [LOG_NOTICE] = "notice",
        [LOG_INFO] = "info",
        [LOG_DEBUG] = "debug",
};
DEFINE_STRING_TABLE_LOOKUP(log_level, int);

static bool stderr_is_journal(void) {
        const char *e = getenv("JOURNAL_STREAM");
        unsigned long long dev, ino;
        struct stat st;

        return e && sscanf(e, "%llu:%llu", &dev, &ino) == 2 && fstat(STDERR_FILENO, &st) >= 0 &&
                        st.st_dev == (dev_t) dev && st.st_ino == (ino_t) ino;
}

void log_setup(void) {
        const char *e = getenv("JOBMILL_LOG_LEVEL") ?: getenv("SYSTEMD_LOG_LEVEL");
        int level = log_level_from_string(e);

        if (level >= 0)
                log_level = level;
        log_set_target(log_target);
}

void log_set_level(int level) {
        log_level = level;
}

int log_get_level(void) {
        return log_level;
}

void log_set_target(LogTarget target) {
        log_target = log_target_used = target;
        if (target == LOG_TARGET_AUTO)
                log_target_used = stderr_is_journal() ? LOG_TARGET_JOURNAL : LOG_TARGET_CONSOLE;
        /* Somebody under a service manager reads stderr: let it know the level. */
        log_prefix = getenv("INVOCATION_ID") && !isatty(STDERR_FILENO);
}

LogTarget log_get_target(void) {
        return log_target;
}

static void write_console(int level, const char *message) {
        char prefix[] = "<0>";

        prefix[1] = (char) ('0' + (level & LOG_PRIMASK));
        const struct iovec iov[] = {
                { prefix, log_prefix ? strlen(prefix) : 0 },
                { (char *) message, strlen(message) },
                { (char *) "\n", 1 },
        };
        if (writev(STDERR_FILENO, iov, ELEMENTSOF(iov)) < 0)
                return; /* nobody left to tell */
}

/* fields is a NULL ended list of "KEY=value". */
static void dispatch(int level, const char *message, const char *const *fields) {
        struct iovec iov[FIELDS_MAX];
        char priority[] = "PRIORITY=0";
        int n = 0;

        if (log_target_used == LOG_TARGET_NULL)
                return;
        if (log_target_used == LOG_TARGET_JOURNAL) {
                priority[strlen(priority) - 1] = (char) ('0' + (level & LOG_PRIMASK));
                iov[n++] = (struct iovec){ priority, strlen(priority) };
                for (; *fields && n < FIELDS_MAX; fields++)
                        iov[n++] = (struct iovec){ (char *) *fields, strlen(*fields) };
                if (sd_journal_sendv(iov, n) >= 0)
                        return;
        }
        write_console(level, message);
}

int log_internal(int level, int error, const char *file, int line, const char *func, const char *format, ...) {
        _cleanup_free_ char *text = NULL, *message = NULL, *code_file = NULL, *code_line = NULL,
                            *code_func = NULL, *code_errno = NULL;
        int saved_errno = errno, r;
        const char *p;
        va_list ap;

        errno = abs(error);
        va_start(ap, format);
        r = vasprintf(&text, format, ap);
        va_end(ap);
        if (r < 0)
                text = NULL;
        if (!text || asprintf(&message, "MESSAGE=%s", text) < 0)
                message = NULL;
        while ((p = startswith(file, "../"))) /* relative to the build folder */
                file = p;
        if (asprintf(&code_file, "CODE_FILE=%s", file) < 0)
                code_file = NULL;
        if (asprintf(&code_line, "CODE_LINE=%i", line) < 0)
                code_line = NULL;
        if (asprintf(&code_func, "CODE_FUNC=%s", func) < 0)
                code_func = NULL;
        if (error == 0 || asprintf(&code_errno, "ERRNO=%i", abs(error)) < 0)
                code_errno = NULL;
        /* A field that could not be made ends the list early; the message stands in front. */
        dispatch(level,
                 text ?: format,
                 (const char *const[]){ message ?: "MESSAGE=(out of memory)",
                                        code_file,
                                        code_line,
                                        code_func,
                                        code_errno,
                                        NULL });
        errno = saved_errno;
        return -abs(error);
}

void log_struct(int level, const char *const *fields) {
        const char *message = "";

        if (level > log_level)
                return;
        for (const char *const *f = fields; *f; f++)
                message = startswith(*f, "MESSAGE=") ?: message;
        dispatch(level, message, fields);
}
