/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* jobmill-exec: in the unit of a job with output_file or error_file, opens the files and executes the command in its place.
 *
 *     jobmill-exec [--output=FILE] [--error=FILE] [--append] [--report=FD] -- COMMAND [ARGUMENT...]
 *
 * It runs where and as what the command will: as the job's owner, in its directory, with its umask, in its sandbox. So it may
 * open what the owner may open and nothing else; it follows symbolic links as any program of his would, and waits for the reader
 * of a FIFO as a shell would. Files are appended to, and emptied first unless --append is given; one file for both streams is
 * opened once. What cannot be opened or executed is said in the journal, and to the service manager (exec.h) or to the runner of a
 * pool (--report=). libc only. */

#include "base/macro.h"
#include "exec/exec.h"

#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

/* systemd's own where a job has no PATH, or none with an absolute directory. */
#define PATH_DEFAULT "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

extern char **environ;

static const char *arg_output, *arg_error;
static bool arg_append;
static int arg_report = -EBADF;

/* The journal, whatever becomes of the standard error of the command. */
static int report_fd = STDERR_FILENO;

/* ---- failing ---- */

/* As sd_notify(3) does. PID 1 looks at these before it looks at who has exited. */
static void tell_service_manager(const char *text) {
        _cleanup_close_ int fd = -EBADF;
        const char *path = getenv("NOTIFY_SOCKET");
        struct sockaddr_un a = { .sun_family = AF_UNIX };
        size_t n = path ? strlen(path) : 0;

        if (n < 2 || n >= sizeof(a.sun_path) || (path[0] != '/' && path[0] != '@'))
                return;
        memcpy(a.sun_path, path, n);
        if (path[0] == '@')
                a.sun_path[0] = 0;
        fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        if (fd >= 0)
                (void) sendto(fd, text, strlen(text), MSG_NOSIGNAL, (struct sockaddr *) &a,
                              offsetof(struct sockaddr_un, sun_path) + n);
}

static void fail(int status, const char *format, ...) _printf_(2, 3);
static void fail(int status, const char *format, ...) {
        char text[8192] = "STATUS=" EXEC_STATUS_PREFIX;
        size_t n = strlen(text);
        va_list ap;

        va_start(ap, format);
        (void) vsnprintf(text + n, sizeof(text) - n, format, ap);
        va_end(ap);
        (void) dprintf(report_fd, "%s\n", text + strlen("STATUS="));
        if (arg_report >= 0)
                (void) dprintf(arg_report, "%s", text + strlen("STATUS=" EXEC_STATUS_PREFIX));
        else
                tell_service_manager(text);
        _exit(status);
}

/* ---- files ---- */

static int open_file(const char *path, int status) {
        /* Without O_NOCTTY a terminal would become the job's. */
        int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_NOCTTY | O_CLOEXEC | (arg_append ? 0 : O_TRUNC), 0666);

        if (fd < 0)
                fail(status, "cannot open %s '%s': %s", status == EXEC_EXIT_STDOUT ? "output_file" : "error_file", path,
                     strerror(errno));
        return fd;
}

static bool is_same_file(int a, int b) {
        struct stat x, y;

        return fstat(a, &x) >= 0 && fstat(b, &y) >= 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

static void open_files(void) {
        int out = -EBADF, err = -EBADF, r;

        r = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
        if (r >= 0)
                report_fd = r;
        if (arg_output)
                out = open_file(arg_output, EXEC_EXIT_STDOUT);
        if (arg_error)
                err = arg_output && streq(arg_output, arg_error) ? out : open_file(arg_error, EXEC_EXIT_STDERR);
        if (out >= 0 && err >= 0 && is_same_file(out, err))
                err = out;
        if (out >= 0 && dup2(out, STDOUT_FILENO) < 0)
                fail(EXEC_EXIT_STDOUT, "cannot set standard output: %s", strerror(errno));
        if (err >= 0 && dup2(err, STDERR_FILENO) < 0)
                fail(EXEC_EXIT_STDERR, "cannot set standard error: %s", strerror(errno));
}

/* ---- the command ---- */

/* Of PATH count absolute directories without "..", backslashes and control characters: where jobmilld lets systemd look for the
 * command of any job (unit/job-command.c). */
static bool is_searched(const char *directory, size_t n) {
        if (n == 0 || n >= PATH_MAX || directory[0] != '/')
                return false;
        for (size_t i = 0; i < n; i++)
                if ((uint8_t) directory[i] < 0x20 || directory[i] == 0x7f || directory[i] == '\\')
                        return false;
        return !memmem(directory, n, "/../", 4) && !(n >= 3 && memcmp(directory + n - 3, "/..", 3) == 0);
}

/* Returns only when there is none: whether some directory counted. A script without "#!" is not executed, as systemd would not. */
static bool search(const char *path, char **argv, int *error) {
        char file[2 * PATH_MAX];
        bool any = false;

        for (const char *p = path, *end; *p; p = *end ? end + 1 : end) {
                end = strchrnul(p, ':');
                if (!is_searched(p, end - p))
                        continue;
                any = true;
                if ((size_t) snprintf(file, sizeof(file), "%.*s/%s", (int) (end - p), p, argv[0]) >= sizeof(file))
                        continue;
                (void) execve(file, argv, environ);
                if (errno == ENOENT || errno == ENOTDIR || errno == ELOOP || errno == ENAMETOOLONG)
                        continue;
                *error = errno;
                if (errno != EACCES)
                        break;
        }
        return any;
}

static void execute(char **argv) {
        const char *path = getenv("PATH");
        int error = ENOENT;

        if (strchr(argv[0], '/')) {
                (void) execve(argv[0], argv, environ);
                error = errno;
        } else if (!path || !search(path, argv, &error))
                (void) search(PATH_DEFAULT, argv, &error);
        fail(EXEC_EXIT_EXEC, "cannot execute '%s': %s", argv[0], strerror(error));
}

int main(int argc, char **argv) {
        const char *value;
        int i = 1;

        for (; i < argc && !streq(argv[i], "--"); i++)
                if ((value = startswith(argv[i], "--output=")))
                        arg_output = value;
                else if ((value = startswith(argv[i], "--error=")))
                        arg_error = value;
                else if (streq(argv[i], "--append"))
                        arg_append = true;
                else if ((value = startswith(argv[i], "--report=")) && fcntl(atoi(value), F_SETFD, FD_CLOEXEC) >= 0)
                        arg_report = atoi(value);
                else
                        fail(EXIT_FAILURE, "unknown option '%s'", argv[i]);
        if (i + 1 >= argc)
                fail(EXIT_FAILURE, "no command; this program is started by jobmilld");
        open_files();
        execute(argv + i + 1);
}
