/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The terminal and the pager. The rules are those of systemctl(1), "Environment": $SYSTEMD_PAGER, $PAGER,
 * $SYSTEMD_LESS, $SYSTEMD_LESSCHARSET, $SYSTEMD_PAGERSECURE. A pager other than less is used only where
 * $SYSTEMD_PAGERSECURE says that somebody has thought of it: with sudo it would be a shell for root. */

#include "ctl/terminal.h"
#include "base/parse.h"
#include "base/strv.h"
#include "ctl/ctl.h"
#include "ctl/output.h"
#include "ctl/text.h"
#include <fcntl.h>
#include <signal.h>
#include <stdio_ext.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <systemd/sd-login.h>

static pid_t pager;
static int stored_stdout = -EBADF, stored_stderr = -EBADF;
static bool write_failed, was_left;
static int write_error; /* of the first write that failed */

bool terminal_is_output(void) {
        static int cached = -1;

        if (cached < 0)
                cached = isatty(STDOUT_FILENO);
        return cached;
}

static size_t terminal_size(const char *variable, bool height, size_t otherwise) {
        const char *e = getenv(variable);
        struct winsize ws = {};
        uint32_t u;

        if (e && parse_u32(e, &u) >= 0 && u > 0)
                return u;
        if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &ws) < 0)
                return otherwise;
        u = height ? ws.ws_row : ws.ws_col;
        return u > 0 ? u : otherwise;
}

static size_t width, height; /* 0: not asked for yet */

size_t terminal_width(void) {
        if (width == 0)
                width = terminal_size("COLUMNS", false, 80);
        return width;
}

size_t terminal_height(void) {
        if (height == 0)
                height = terminal_size("LINES", true, 24);
        return height;
}

void terminal_resized(void) {
        width = height = 0;
}

/* ---- pager ---- */

/* The pager that was named, or NULL; *ret_off: none is wanted. */
static char **named_pager(bool *ret_off) {
        const char *e = getenv("SYSTEMD_PAGER") ?: getenv("PAGER");
        char **words = e ? strv_split(e, " \t\n") : NULL;

        *ret_off = e && (strv_length(words) == 0 || (streq(words[0], "cat") && !words[1]));
        return words;
}

/* Whose session this is decides: with sudo or su it is another's. *ret_trusted: somebody has thought of it.
 */
static bool wants_secure_mode(bool *ret_trusted) {
        const char *e = secure_getenv("SYSTEMD_PAGERSECURE");
        int b = e ? parse_boolean(e) : -ENXIO;
        uid_t uid;

        *ret_trusted = b >= 0;
        if (b >= 0)
                return b;
        return e || sd_pid_get_owner_uid(0, &uid) < 0 || uid != geteuid();
}

static void set_less_environment(bool secure) {
        const char *charset = getenv("SYSTEMD_LESSCHARSET");

        (void) setenv("LESS", getenv("SYSTEMD_LESS") ?: "FRSXMK", 1);
        if (charset || text_is_utf8())
                (void) setenv("LESSCHARSET", charset ?: "utf-8", 1);
        if (secure)
                (void) setenv("LESSSECURE", "1", 1);
        else
                (void) unsetenv("LESSSECURE");
}

/* In the child; returns where nothing could be executed. */
static void exec_pager(char **named) {
        static const char *const pagers[] = { "pager", "less", "more" };
        bool trusted, secure = wants_secure_mode(&trusted);

        set_less_environment(secure);
        if (trusted && named)
                (void) execvp(named[0], named);
        FOREACH_ELEMENT (p, pagers)
                if (!secure || streq(*p, "less"))
                        (void) execlp(*p, *p, NULL);
}

/* The child says by a byte that it has no pager; the end of the pipe says that it has. */
static bool pager_runs(int fd) {
        char c;
        ssize_t n;

        do
                n = read(fd, &c, 1);
        while (n < 0 && errno == EINTR);
        return n == 0;
}

static void run_child(int data[2], int status[2], char **named) {
        (void) prctl(PR_SET_PDEATHSIG, SIGINT); /* as K in $LESS: ^C ends both */
        (void) dup2(data[0], STDIN_FILENO);
        (void) signal(SIGPIPE, SIG_DFL);
        exec_pager(named);
        (void) !write(status[1], "", 1);
        _exit(EXIT_FAILURE);
}

static void divert_output(int fd) {
        stored_stdout = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
        (void) dup2(fd, STDOUT_FILENO);
        if (isatty(STDERR_FILENO)) {
                stored_stderr = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
                (void) dup2(fd, STDERR_FILENO);
        }
        /* Who leaves the pager early has seen enough: no reason to die of a signal. */
        (void) signal(SIGPIPE, SIG_IGN);
        /* Without K ^C is a key of less. */
        if (!strchr(getenv("SYSTEMD_LESS") ?: "K", 'K'))
                (void) signal(SIGINT, SIG_IGN);
}

void pager_open(void) {
        _cleanup_strv_free_ char **named = NULL;
        int data[2], status[2];
        bool off;

        if (!arg_pager || pager > 0 || !terminal_is_output() || streq(getenv("TERM") ?: "dumb", "dumb"))
                return;
        named = named_pager(&off);
        if (off)
                return;
        (void) terminal_width();
        (void) terminal_height();
        (void) colors_wanted();
        fflush(stdout);
        if (pipe2(data, O_CLOEXEC) < 0)
                return;
        if (pipe2(status, O_CLOEXEC) >= 0) {
                pager = fork();
                if (pager == 0)
                        run_child(data, status, named);
                status[1] = safe_close(status[1]);
                if (pager > 0 && pager_runs(status[0]))
                        divert_output(data[1]);
                else if (pager > 0) {
                        (void) waitpid(pager, NULL, 0);
                        pager = 0;
                }
                (void) safe_close(status[0]);
        }
        (void) safe_close(data[0]);
        (void) safe_close(data[1]);
}

void pager_close(void) {
        if (pager <= 0)
                return;
        (void) output_flush();
        (void) dup2(stored_stdout, STDOUT_FILENO);
        stored_stdout = safe_close(stored_stdout);
        if (stored_stderr >= 0) {
                (void) dup2(stored_stderr, STDERR_FILENO);
                stored_stderr = safe_close(stored_stderr);
        }
        while (waitpid(pager, NULL, 0) < 0 && errno == EINTR)
                ;
        pager = 0;
}

/* ---- what is written ---- */

void output_check(void) {
        if (write_error == 0 && ferror(stdout))
                write_error = errno;
}

int output_flush(void) {
        int r;

        if (fflush(stdout) != 0)
                output_check();
        if (!ferror(stdout))
                return 0;
        r = write_error > 0 ? -write_error : -EIO;
        if (r == -EPIPE && pager > 0) {
                __fpurge(stdout); /* nothing of it may come behind the pager */
                clearerr(stdout);
                write_error = 0;
                was_left = true;
                return r;
        }
        if (!write_failed)
                (void) ctl_error(r, "Cannot write: %m");
        write_failed = true;
        return r;
}

bool pager_was_left(void) {
        return was_left;
}

void terminal_claim_streams(void) {
        for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
                if (fcntl(fd, F_GETFD) < 0) /* the lowest number that is free is this one */
                        (void) !open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
}
