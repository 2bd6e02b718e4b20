/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Somebody to ask for a password: polkit's own agent for terminals, as a child, until we end. Started only when
 * the daemon said that a password would help, so whoever acts on his own jobs never pays for it. A desktop's
 * agent goes first (--fallback), but outside a session of logind polkit would then find none at all.
 * Protocol: pkttyagent(1). */

#include "ctl/polkit-agent.h"
#include "base/macro.h"
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <systemd/sd-login.h>

static pid_t agent;

static void stop_agent(void) {
        if (agent <= 0)
                return;
        (void) kill(agent, SIGTERM);
        (void) kill(agent, SIGCONT);
        while (waitpid(agent, NULL, 0) < 0 && errno == EINTR)
                ;
        agent = 0;
}

static void __attribute__((noreturn)) run_agent(int notify_fd, pid_t parent) {
        _cleanup_free_ char *session = NULL;
        char fd[16];
        sigset_t none;

        (void) sigemptyset(&none);
        (void) sigprocmask(SIG_SETMASK, &none, NULL); /* it is ended by a signal */
        (void) sd_pid_get_session(0, &session);
        snprintf(fd, sizeof(fd), "%i", notify_fd);
        (void) prctl(PR_SET_PDEATHSIG, SIGTERM);
        if (getppid() != parent)
                _exit(EXIT_FAILURE);
        /* Standard output may be a pipe that somebody reads; the agent talks to /dev/tty. */
        if (dup2(STDERR_FILENO, STDOUT_FILENO) >= 0 && fcntl(notify_fd, F_SETFD, 0) >= 0)
                execlp("pkttyagent", "pkttyagent", "--notify-fd", fd, session ? "--fallback" : NULL, NULL);
        _exit(EXIT_FAILURE);
}

bool polkit_agent_is_open(void) {
        return agent > 0;
}

void polkit_agent_open(void) {
        int fds[2];
        pid_t parent = getpid();
        char c;

        if (agent > 0 || geteuid() == 0 || !isatty(STDIN_FILENO) || !isatty(STDERR_FILENO))
                return;
        if (pipe2(fds, O_CLOEXEC) < 0)
                return;
        agent = fork();
        if (agent == 0)
                run_agent(fds[1], parent);
        close(fds[1]);
        if (agent > 0) {
                /* It closes its end when polkit knows it, or when there is no such program. */
                while (read(fds[0], &c, 1) < 0 && errno == EINTR)
                        ;
                (void) atexit(stop_agent);
        }
        close(fds[0]);
}
