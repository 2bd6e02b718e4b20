/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The words of a command line of the tool, a line each; behind an empty line what it reads on standard input. There is no daemon: a call is refused. Its
 * exit status is one that there is, and who says an option that is none, or wrongly, asks for nothing. */

int tool_main(int argc, char **argv);
#define main tool_main
#include "../../src/ctl/main.c"
#undef main

#include "fuzz.h"

#include "ctl/foreground.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>

#define WORDS_MAX 64

static unsigned n_asked;
static bool refused, inside;

/* ---- in place of what is outside ---- */

int __wrap_bus_open(sd_bus **ret);
int __wrap_bus_open(sd_bus **ret) {
        n_asked++;
        return ctl_error(-EACCES, "there is no bus");
}

int __wrap_bus_open_quietly(sd_bus **ret);
int __wrap_bus_open_quietly(sd_bus **ret) {
        n_asked++;
        return -EACCES;
}

int __wrap_connect(int fd, const struct sockaddr *a, socklen_t size);
int __wrap_connect(int fd, const struct sockaddr *a, socklen_t size) {
        n_asked++;
        errno = EACCES;
        return -1;
}

pid_t __real_fork(void);
pid_t __wrap_fork(void);
pid_t __wrap_fork(void) {
        if (!inside)
                return __real_fork();
        errno = EAGAIN;
        return -1;
}

int __wrap_execv(const char *path, char *const *argv);
int __wrap_execv(const char *path, char *const *argv) {
        errno = ENOENT;
        return -1;
}

int __wrap_execvp(const char *path, char *const *argv);
int __wrap_execvp(const char *path, char *const *argv) {
        return __wrap_execv(path, argv);
}

int __wrap_mkostemp(char *path, int flags);
int __wrap_mkostemp(char *path, int flags) {
        errno = EROFS;
        return -1;
}

/* There is one file. */
int __real_open(const char *path, int flags, mode_t mode);
int __wrap_open(const char *path, int flags, mode_t mode);
int __wrap_open(const char *path, int flags, mode_t mode) {
        if (!inside || streq(path, "/dev/null"))
                return __real_open(path, flags, mode);
        errno = ENOENT;
        return -1;
}

int __real_options_parse(const char *verb, unsigned mask, bool stops_at_word, int argc, char **argv);
int __wrap_options_parse(const char *verb, unsigned mask, bool stops_at_word, int argc, char **argv);
int __wrap_options_parse(const char *verb, unsigned mask, bool stops_at_word, int argc, char **argv) {
        int r = __real_options_parse(verb, mask, stops_at_word, argc, argv);

        refused = refused || r < 0;
        return r;
}

/* ---- a call ---- */

static struct {
        SubmitArgs submit;
        Filter filter;
        RetryArgs retry;
        RunArgs run;
        LogArgs log;
} start;

static void keep(void) {
        start.submit = arg_submit;
        start.filter = arg_filter;
        start.retry = arg_retry;
        start.run = arg_run;
        start.log = arg_log;
}

/* A process begins with these. */
static void reset(void) {
        options_done();
        arg_submit = start.submit;
        arg_filter = start.filter;
        arg_retry = start.retry;
        arg_run = start.run;
        arg_log = start.log;
        arg_help = arg_version = arg_user = arg_system = arg_quiet = arg_follow = arg_wait = arg_yes = arg_tree = arg_csv = arg_accept = arg_repair = arg_runtime = false;
        arg_legend = arg_ask_password = true;
        arg_pager = false;
        arg_json = JSON_OFF;
        arg_lines = UINT32_MAX;
        arg_timeout = USEC_INFINITY;
        arg_words_behind = arg_signal = 0;
        user_names_were_used = false;
}

static void set_input(const char *text, size_t size) {
        int fd = memfd_create("input", MFD_CLOEXEC);

        check(fd >= 0 && write(fd, text, size) == (ssize_t) size && lseek(fd, 0, SEEK_SET) == 0 && dup2(fd, STDIN_FILENO) >= 0);
        close(fd);
        clearerr(stdin);
}

static void call(int argc, char **argv) {
        int status;

        n_asked = 0;
        refused = false;
        inside = true;
        status = run(argc, argv);
        (void) output_flush();
        inside = false;
        check(status <= 255);
        check(!refused || (status < 0 && n_asked == 0));
        check(n_asked == 0 || status != 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_free_ char *text = copy_text(data, size);
        static char name[] = "jobmill";
        char *argv[WORDS_MAX + 2] = { name }, *input = text + size, *next;
        static bool begun;
        int argc = 1, fd;

        if (!begun) {
                begun = true;
                keep();
                (void) unsetenv("TERM");
                options_name_verbs = name_verbs;
                fd = __real_open("/dev/null", O_WRONLY | O_CLOEXEC, 0);
                check(fd >= 0 && dup2(fd, STDOUT_FILENO) >= 0);
                close(fd);
        }
        if (strlen(text) != size) /* a word ends at its NUL */
                return 0;
        next = strstr(text, "\n\n");
        if (next) {
                *next = 0;
                input = next + 2;
        }
        for (char *word = text; word && argc <= WORDS_MAX; word = next) {
                next = strchr(word, '\n');
                if (next)
                        *next++ = 0;
                argv[argc++] = word;
        }
        if (streq(argv[1], "__complete")) /* ends the process */
                return 0;
        reset();
        set_input(input, strlen(input));
        call(argc, argv);
        reset();
        return 0;
}
