/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Processes as the kernel tells of them: who connected, the same one again and no other one, the unit of a cgroup. */

#include "api/process.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <cmocka.h>

static void test_unit(void **state) {
        static const struct { const char *path, *of_system, *of_user; } cases[] = {
                { "/", NULL, NULL },
                { "/system.slice", NULL, NULL },
                { "/system.slice/a.service", "a.service", "a.service" },
                { "/system.slice/a.service\n1:name=x:/b.service", "a.service", NULL },
                { "/system.slice/a.service/sub/b.service", "a.service", "b.service" },
                { "/user.slice/user-1000.slice/user@1000.service/app.slice/w.service", "user@1000.service", "w.service" },
                { "/user.slice/user-1000.slice/session-3.scope", "session-3.scope", "session-3.scope" },
        };

        FOREACH_ELEMENT(c, cases) {
                _cleanup_free_ char *of_system = process_cgroup_to_unit(c->path, false), *of_user = process_cgroup_to_unit(c->path, true);

                if (!streq_ptr(of_system, c->of_system))
                        fail_msg("%s: %s", c->path, of_system);
                if (!strchr(c->path, '\n') && !streq_ptr(of_user, c->of_user))
                        fail_msg("%s of a user: %s", c->path, of_user);
        }
}

static void test_peer(void **state) {
        Process p;
        int fds[2], fd;

        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
        assert_int_equal(process_of_peer(fds[0], false, &p), 0);
        assert_int_equal(p.pid, getpid());
        assert_false(process_is_gone(p.fd));
        assert_int_equal(process_again(p.pid, p.started, p.boot_id, &fd), 0);
        assert_false(process_is_gone(fd));
        safe_close(fd);
        /* The number is another's by now, or of another boot. */
        assert_int_equal(process_again(p.pid, p.started + 1, p.boot_id, &fd), -ESRCH);
        assert_int_equal(process_again(p.pid, p.started, SD_ID128_NULL, &fd), -ESRCH);
        process_done(&p);
        safe_close(fds[0]);
        safe_close(fds[1]);
}

/* Who connected has gone, and left the connection to somebody else. */
static void test_gone(void **state) {
        struct sockaddr un = { .sa_family = AF_UNIX };
        struct sockaddr_storage address;
        socklen_t size = sizeof(address);
        int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), peer, again;
        Process p;
        pid_t pid;

        assert_int_equal(bind(listener, &un, sizeof(sa_family_t)), 0);
        assert_int_equal(listen(listener, 1), 0);
        assert_int_equal(getsockname(listener, (struct sockaddr *) &address, &size), 0);
        pid = fork();
        if (pid == 0) {
                if (connect(fd, (struct sockaddr *) &address, size) < 0)
                        _exit(1);
                for (;;)
                        pause();
        }
        peer = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        assert_true(peer >= 0);
        assert_int_equal(process_of_peer(peer, false, &p), 0);
        assert_int_equal(p.pid, pid);
        assert_int_equal(process_again(p.pid, p.started, p.boot_id, &again), 0);
        assert_int_equal(process_kill(again), 0);
        assert_int_equal(waitid(P_PID, pid, &(siginfo_t) {}, WEXITED | WNOWAIT), 0);
        assert_true(process_is_gone(p.fd));
        safe_close(again);
        assert_int_equal(process_again(p.pid, p.started, p.boot_id, &again), -ESRCH); /* nobody has waited for it */
        assert_int_equal(waitpid(pid, NULL, 0), pid);
        assert_int_equal(process_again(p.pid, p.started, p.boot_id, &again), -ESRCH);
        process_done(&p);
        assert_int_equal(process_of_peer(peer, false, &p), -ESRCH);
        safe_close(peer);
        safe_close(fd);
        safe_close(listener);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_unit),
                cmocka_unit_test(test_peer),
                cmocka_unit_test(test_gone),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
