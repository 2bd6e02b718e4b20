/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* See foreground.h. The command stays in our process group: so the terminal does to both what it does to one, a pipeline that we are a part of is one
 * job of the shell still, and a pager at its end may read the terminal.
 *
 *   ^C, ^\          reach the command; we do not mind them, and see what it does
 *   ^Z              stops the command, if it lets itself be stopped; then we stop, as it did, and the shell sees that. SIGCONT wakes both
 *   kill            of TERM, HUP, INT, QUIT, USR1 and USR2 is passed on. Who sends to our process group cannot be told from who means us alone:
 *                   the command may have it twice. Not what the service manager sends, which is for the whole scope, nor what the command does
 *   resize          reaches the command by itself */

#include "ctl/foreground.h"
#include "base/strv.h"
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#define N_ENDING 4U /* of these, the first */
static const int handled[] = { SIGINT, SIGQUIT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2, SIGTSTP, SIGCHLD };
static struct sigaction before[ELEMENTSOF(handled)];
static volatile sig_atomic_t interrupted, stopped;
static volatile pid_t child;

/* Only what a handler may call. */
bool foreground_is_manager(pid_t pid) {
        char path[64] = "/proc/", digits[16], name[16] = "";
        size_t n = strlen(path), k = 0;
        ssize_t l;
        int fd;

        for (pid_t p = pid; p > 0 && k < sizeof(digits); p /= 10)
                digits[k++] = '0' + p % 10;
        while (k > 0)
                path[n++] = digits[--k];
        memcpy(path + n, "/comm", sizeof("/comm"));
        fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return pid == 1;
        l = read(fd, name, sizeof(name) - 1);
        (void) close(fd);
        return pid == 1 || (l > 0 && strcmp(name, "systemd\n") == 0);
}

/* What the kernel sends (^C) has reached the command by itself. */
static void on_sent(int sig, siginfo_t *info, void *context) {
        int saved = errno;

        if (info->si_code <= 0 && child > 0 && info->si_pid != child) {
                if (!foreground_is_manager(info->si_pid))
                        (void) kill(child, sig);
                else if (sig == SIGTERM)
                        stopped = true;
        }
        errno = saved;
}

static void on_child(int sig) {
        /* ends ppoll() */
}

static void on_interrupt(int sig) {
        interrupted = true;
}

static void take_signals(void) {
        for (size_t i = 0; i < ELEMENTSOF(handled); i++) {
                struct sigaction new = { .sa_sigaction = on_sent, .sa_flags = SA_SIGINFO | SA_RESTART };

                if (handled[i] == SIGTSTP)
                        new = (struct sigaction){ .sa_handler = SIG_IGN };
                else if (handled[i] == SIGCHLD)
                        new = (struct sigaction){ .sa_handler = on_child };
                (void) sigaction(handled[i], NULL, before + i);
                if (before[i].sa_handler != SIG_IGN || handled[i] == SIGCHLD) /* as under nohup */
                        (void) sigaction(handled[i], &new, NULL);
        }
}

/* To the command: what is not ignored does what it does to every program, also before that is executed. */
static void give_signals_back(void) {
        for (size_t i = 0; i < ELEMENTSOF(handled); i++)
                (void) signal(handled[i], before[i].sa_handler == SIG_IGN ? SIG_IGN : SIG_DFL);
}

static int make_environment(char *const *more, char ***ret) {
        _cleanup_strv_free_ char **l = new0(char *, 1);

        if (!l)
                return -ENOMEM;
        STRV_FOREACH (v, environ) {
                bool replaced = startswith(*v, "JOBMILL_");

                STRV_FOREACH (m, more) {
                        size_t n = strcspn(*m, "=") + 1;

                        replaced = replaced || strncmp(*v, *m, n) == 0;
                }
                if (!replaced && strv_extend(&l, *v) < 0)
                        return -ENOMEM;
        }
        STRV_FOREACH (m, more)
                if (strv_extend(&l, *m) < 0)
                        return -ENOMEM;
        *ret = TAKE_PTR(l);
        return 0;
}

/* One that would end the command came before there was one, whom nobody would tell of it. */
static bool is_ended_before(const sigset_t *mask, Ended *e) {
        const struct timespec now = {};
        siginfo_t info;
        sigset_t set;
        int sig;

        (void) sigemptyset(&set);
        for (size_t i = 0; i < N_ENDING; i++)
                if (sigismember(mask, handled[i]) == 0 && before[i].sa_handler != SIG_IGN)
                        (void) sigaddset(&set, handled[i]);
        sig = sigtimedwait(&set, &info, &now);
        if (sig < 0)
                return false;
        e->status = sig; /* as waitpid() tells of it */
        e->stopped = sig == SIGTERM && foreground_is_manager(info.si_pid);
        return true;
}

/* The service manager told all of the scope while there was no command yet: it would not be told once more. It may have it twice. */
static void tell_newborn(void) {
        sigset_t pending;

        (void) sigpending(&pending);
        if (sigismember(&pending, SIGTERM) > 0)
                (void) kill(child, SIGTERM);
}

static void run_child(char *const *argv, char **environment, int status, const sigset_t *mask) {
        int error;

        give_signals_back();
        (void) sigprocmask(SIG_SETMASK, mask, NULL);
        (void) execvpe(argv[0], argv, environment);
        error = errno;
        (void) !write(status, &error, sizeof(error));
        _exit(127);
}

/* Why it could not be executed, once it has ended; 0: it was. */
static int read_error(int fd) {
        int error = 0;
        ssize_t n;

        do
                n = read(fd, &error, sizeof(error));
        while (n < 0 && errno == EINTR);
        return n == sizeof(error) ? error : 0;
}

/* As the command did, so that the shell shows it so. */
static void stop_too(int sig) {
        struct sigaction old, new = { .sa_handler = SIG_DFL };

        (void) sigaction(sig, &new, &old); /* fails for SIGSTOP, which needs none */
        (void) raise(sig);
        (void) sigaction(sig, &old, NULL);
}

/* By the terminal, or where nobody else could take it back. Who stops the command alone means the command alone. */
static bool stops_us(int sig, int tty) {
        return sig == SIGTSTP || sig == SIGTTIN || sig == SIGTTOU || (tty >= 0 && tcgetpgrp(tty) == getpgrp());
}

/* SIGCHLD is blocked, but where it is waited for. */
static int wait_for_child(Ended *e, int tty, Meanwhile meanwhile, void *userdata) {
        sigset_t mask;

        (void) sigprocmask(SIG_SETMASK, NULL, &mask);
        (void) sigdelset(&mask, SIGCHLD);
        for (;;) {
                pid_t p = waitpid(child, &e->status, WUNTRACED | WNOHANG);

                if (p < 0 && errno != EINTR)
                        return -errno;
                if (p <= 0)
                        meanwhile(userdata, &mask);
                else if (!WIFSTOPPED(e->status))
                        return 0;
                else if (stops_us(WSTOPSIG(e->status), tty)) {
                        stop_too(WSTOPSIG(e->status));
                        (void) kill(child, SIGCONT); /* if only we were woken */
                }
        }
}

/* A shell with job control that was killed leaves the terminal to nobody. Who else has it now was given it, as by a shell that put us into
 * the background. */
static void take_terminal_back(int tty, pid_t group, pid_t command) {
        struct sigaction old, new = { .sa_handler = SIG_IGN };
        pid_t present = tty >= 0 && group == getpgrp() ? tcgetpgrp(tty) : -1;

        if (present <= 0 || present == group || (present != command && (kill(-present, 0) >= 0 || errno != ESRCH)))
                return;
        (void) sigaction(SIGTTOU, &new, &old);
        (void) tcsetpgrp(tty, group);
        (void) sigaction(SIGTTOU, &old, NULL);
}

int foreground_run(char *const *argv, char *const *environment, const sigset_t *mask, Meanwhile meanwhile, void *userdata, Ended *ret) {
        _cleanup_strv_free_ char **all = NULL;
        _cleanup_close_ int tty = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
        pid_t group = tty >= 0 ? tcgetpgrp(tty) : -1;
        sigset_t block;
        int status[2], r;

        *ret = (Ended){};
        r = make_environment(environment, &all);
        if (r < 0)
                return r;
        if (pipe2(status, O_CLOEXEC) < 0)
                return -errno;
        (void) sigfillset(&block);
        (void) sigprocmask(SIG_SETMASK, &block, NULL);
        take_signals();
        if (is_ended_before(mask, ret)) {
                safe_close(status[0]);
                safe_close(status[1]);
                (void) sigprocmask(SIG_SETMASK, mask, NULL);
                return 0;
        }
        child = fork();
        if (child == 0)
                run_child(argv, all, status[1], mask);
        r = child < 0 ? -errno : 0;
        if (r >= 0)
                tell_newborn();
        block = *mask;
        (void) sigaddset(&block, SIGCHLD);
        (void) sigprocmask(SIG_SETMASK, &block, NULL);
        safe_close(status[1]);
        if (r >= 0) {
                r = wait_for_child(ret, tty, meanwhile, userdata);
                ret->stopped = stopped;
                ret->error = read_error(status[0]);
                take_terminal_back(tty, group, child);
                child = 0;
        }
        (void) sigprocmask(SIG_SETMASK, mask, NULL);
        safe_close(status[0]);
        return r;
}

void foreground_ended(void) {
        struct sigaction interrupt = { .sa_handler = on_interrupt }, ignore = { .sa_handler = SIG_IGN };

        for (size_t i = 0; i < ELEMENTSOF(handled); i++)
                if (before[i].sa_handler != SIG_IGN)
                        (void) sigaction(handled[i], handled[i] == SIGINT ? &interrupt : &ignore, NULL);
}

bool foreground_interrupted(void) {
        return interrupted;
}

int foreground_exit_status(const Ended *e) {
        if (e->error > 0)
                return 127;
        return WIFEXITED(e->status) ? WEXITSTATUS(e->status) : 128 + WTERMSIG(e->status);
}

/* Those that somebody sends: not what tells of a fault in the command. */
static bool is_sent(int sig) {
        return sig == SIGINT || sig == SIGQUIT || sig == SIGTERM || sig == SIGHUP || sig == SIGPIPE;
}

void foreground_die_as(const Ended *e) {
        sigset_t set;
        int sig;

        if (e->error > 0 || !WIFSIGNALED(e->status) || !is_sent(WTERMSIG(e->status)))
                return;
        sig = WTERMSIG(e->status);
        (void) prctl(PR_SET_DUMPABLE, 0); /* no second core */
        (void) signal(sig, SIG_DFL);
        (void) sigemptyset(&set);
        (void) sigaddset(&set, sig);
        (void) sigprocmask(SIG_UNBLOCK, &set, NULL);
        (void) raise(sig);
}
