/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Log lines of daemon and tool. Two ways out: records for the journal with the place in the source and fields of
 * their own, and plain lines on stderr. AUTO becomes one of them when it is set: the journal when stderr is
 * connected to it ($JOURNAL_STREAM), else the console. What the journal does not take goes to the console. */

#define SD_JOURNAL_SUPPRESS_LOCATION /* the caller's place is sent, not this file's */

#include "base/log.h"
#include "base/string-table.h"
#include "base/strv.h"

#include <stdarg.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/un.h>
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

static const char *const log_level_table[] = { "emerg",   "alert",  "crit", "err",
                                               "warning", "notice", "info", "debug" };
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
        /* Without a journal libsystemd drops all and says nothing. */
        if (log_target_used == LOG_TARGET_JOURNAL && access("/run/systemd/journal/socket", W_OK) < 0)
                log_target_used = LOG_TARGET_CONSOLE;
        /* Somebody under a service manager reads stderr: let it know the level. */
        log_prefix = getenv("INVOCATION_ID") && !isatty(STDERR_FILENO);
}

LogTarget log_get_target(void) {
        return log_target;
}

static void write_console(int level, const char *message) {
        if (log_prefix)
                (void) dprintf(STDERR_FILENO, "<%i>%s\n", level & LOG_PRIMASK, message);
        else
                (void) dprintf(STDERR_FILENO, "%s\n", message);
}

static void dispatch(int level, const char *message, const char *const *fields) {
        char priority[] = "PRIORITY=0";
        struct iovec iov[FIELDS_MAX] = { { priority, strlen(priority) } };
        int n = 1;

        if (log_target_used == LOG_TARGET_NULL)
                return;
        if (log_target_used == LOG_TARGET_JOURNAL) {
                priority[strlen(priority) - 1] = (char) ('0' + (level & LOG_PRIMASK));
                for (; fields && *fields && n < FIELDS_MAX; fields++)
                        iov[n++] = (struct iovec){ (char *) *fields, strlen(*fields) };
                if (sd_journal_sendv(iov, n) >= 0)
                        return;
        }
        write_console(level, message);
}

int log_internal(int level, int error, const char *file, int line, const char *func, const char *format, ...) {
        _cleanup_strv_free_ char **fields = NULL;
        _cleanup_free_ char *message = NULL;
        int saved_errno = errno;
        va_list ap;

        errno = abs(error);
        va_start(ap, format);
        message = vformat(format, ap);
        va_end(ap);
        for (const char *p = file; p; p = startswith(p, "../")) /* relative to the build folder */
                file = p;
        /* Out of memory means fewer fields, never no line. */
        (void) strv_extendf(&fields, "MESSAGE=%s", message ?: format);
        (void) strv_extendf(&fields, "CODE_FILE=%s", file);
        (void) strv_extendf(&fields, "CODE_LINE=%i", line);
        (void) strv_extendf(&fields, "CODE_FUNC=%s", func);
        if (error != 0)
                (void) strv_extendf(&fields, "ERRNO=%i", abs(error));
        dispatch(level, message ?: format, (const char *const *) fields);
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

int log_synchronize(void) {
        static const char request[] = "{\"method\":\"io.systemd.Journal.Synchronize\",\"parameters\":{}}"; /* and a NUL */
        static const struct sockaddr_un journald = { .sun_family = AF_UNIX, .sun_path = "/run/systemd/journal/io.systemd.journal" };
        static const struct timeval timeout = { .tv_sec = 10 };
        _cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        char answer[512] = "";

        if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)) < 0 ||
            connect(fd, (const struct sockaddr *) &journald, sizeof(journald)) < 0 ||
            send(fd, request, sizeof(request), MSG_NOSIGNAL) < 0 || recv(fd, answer, sizeof(answer) - 1, 0) < 0)
                return -errno;
        return startswith(answer, "{") && !strstr(answer, "\"error\"") ? 0 : -EIO;
}
