/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* See process.h. Pid and start time tell a process for as long as the machine is up; a pidfd holds it. What /proc says is read between two
 * looks at the pidfd, so that it is of that process. */

#include "api/process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77
#endif

void process_done(Process *p) {
        safe_close(p->fd);
        free(p->unit);
        *p = (Process) { .fd = -EBADF };
}

bool process_is_gone(int fd) {
        struct pollfd p = { .fd = fd, .events = POLLIN };

        return poll(&p, 1, 0) != 0;
}

int process_kill(int fd) {
        return syscall(SYS_pidfd_send_signal, fd, SIGKILL, NULL, 0) < 0 ? -errno : 0;
}

static int read_proc(uint32_t pid, const char *file, char *buf, size_t size) {
        char path[64];
        ssize_t n;
        int fd;

        (void) snprintf(path, sizeof(path), "/proc/%" PRIu32 "/%s", pid, file);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return errno == ENOENT ? -ESRCH : -errno;
        n = read(fd, buf, size - 1);
        if (n < 0)
                n = -errno;
        safe_close(fd);
        if (n <= 0)
                return n < 0 ? n : -ESRCH;
        buf[n] = 0;
        return 0;
}

/* A word that is a number; the second is the name, which may have anything in it. */
static int read_stat(uint32_t pid, unsigned word, uint64_t *ret) {
        char buf[1024], *p;
        int r;

        r = read_proc(pid, "stat", buf, sizeof(buf));
        if (r < 0)
                return r;
        p = strrchr(buf, ')');
        for (unsigned i = 2; p && i < word; i++)
                p = strchr(p + 1, ' ');
        return p && sscanf(p, " %" SCNu64, ret) == 1 ? 0 : -EIO;
}

static int read_parent(uint32_t pid, uint64_t *ret) {
        return read_stat(pid, 4, ret);
}

static int read_started(uint32_t pid, uint64_t *ret) {
        return read_stat(pid, 22, ret);
}

/* "/system.slice/a.service/sub": a.service. In the system the first one counts, which root alone gave it; of a user's manager the last. */
char *process_cgroup_to_unit(const char *path, bool user) {
        char *unit = NULL;

        for (const char *p = path; *p; p += strcspn(p, "/")) {
                _cleanup_free_ char *word = NULL;

                p += strspn(p, "/");
                word = strndup(p, strcspn(p, "/\n"));
                if (!word)
                        break;
                if (!endswith(word, ".service") && !endswith(word, ".scope"))
                        continue;
                free(unit);
                unit = TAKE_PTR(word);
                if (!user)
                        break;
        }
        return unit;
}

static int read_cgroup(uint32_t pid, char **ret) {
        char buf[4096], *line;
        int r;

        r = read_proc(pid, "cgroup", buf, sizeof(buf));
        if (r < 0)
                return r;
        line = startswith(buf, "0::") ? buf : strstr(buf, "\n0::");
        line = line ? strchr(line, '/') : NULL;
        if (line)
                line[strcspn(line, "\n")] = 0;
        *ret = line ? strdup(line) : NULL;
        return 0;
}

static int read_unit(uint32_t pid, bool user, char **ret) {
        _cleanup_free_ char *cgroup = NULL;
        int r;

        r = read_cgroup(pid, &cgroup);
        *ret = cgroup ? process_cgroup_to_unit(cgroup, user) : NULL;
        return r;
}

/* What the manager started itself is its main process: who is no service's leader has the manager for its parent only when its own is gone. */
char *process_own_cgroup(uint32_t pid, int fd, bool user) {
        _cleanup_free_ char *cgroup = NULL, *ours = NULL;
        uint64_t parent;

        if (read_parent(pid, &parent) < 0 || parent != (user ? (uint64_t) getppid() : 1) || read_cgroup(pid, &cgroup) < 0 ||
            read_cgroup(getpid(), &ours) < 0 || !cgroup || !endswith(cgroup, ".service") || streq_ptr(cgroup, ours) || process_is_gone(fd))
                return NULL;
        return TAKE_PTR(cgroup);
}

/* Real, effective, saved, and of the file system. */
int process_check_user(uint32_t pid, int fd, uint32_t uid) {
        uint32_t u[4];
        char buf[4096], *line;
        int r;

        r = read_proc(pid, "status", buf, sizeof(buf));
        if (r < 0)
                return r;
        line = strstr(buf, "\nUid:");
        if (!line || sscanf(line + 5, " %" SCNu32 " %" SCNu32 " %" SCNu32 " %" SCNu32, u, u + 1, u + 2, u + 3) != 4)
                return -EIO;
        if (process_is_gone(fd))
                return -ESRCH;
        FOREACH_ELEMENT(i, u)
                if (*i != uid)
                        return -EPERM;
        return 0;
}

bool process_is_older(const Process *p, usec_t boottime) {
        return p->started <= boottime * sysconf(_SC_CLK_TCK) / USEC_PER_SEC;
}

static int open_peer(int fd, uint32_t pid) {
        socklen_t size = sizeof(int);
        int pidfd;

        if (getsockopt(fd, SOL_SOCKET, SO_PEERPIDFD, &pidfd, &size) >= 0)
                return pidfd;
        if (errno != ENOPROTOOPT)
                return errno == ENODATA || errno == EINVAL ? -ESRCH : -errno;
        /* Linux < 6.5: the number may be somebody else's by now, if who connected is gone. Whose token it gets, its connection has. */
        pidfd = syscall(SYS_pidfd_open, pid, 0);
        return pidfd < 0 ? -errno : pidfd;
}

int process_of_peer(int fd, bool user, Process *ret) {
        Process p = { .fd = -EBADF };
        socklen_t size = sizeof(struct ucred);
        struct ucred peer;
        int r;

        if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
                return -errno;
        if (peer.pid <= 0)
                return -ESRCH; /* of another pid namespace */
        p.pid = peer.pid;
        r = p.fd = open_peer(fd, p.pid);
        if (r >= 0)
                r = sd_id128_get_boot(&p.boot_id);
        if (r >= 0)
                r = read_started(p.pid, &p.started);
        if (r >= 0)
                r = read_unit(p.pid, user, &p.unit);
        if (r >= 0 && process_is_gone(p.fd))
                r = -ESRCH;
        if (r < 0) {
                process_done(&p);
                return r;
        }
        *ret = p;
        return 0;
}

int process_again(uint32_t pid, uint64_t started, sd_id128_t boot_id, int *ret_fd) {
        uint64_t now_started;
        sd_id128_t boot;
        int r, fd;

        r = sd_id128_get_boot(&boot);
        if (r < 0)
                return r;
        if (!sd_id128_equal(boot, boot_id))
                return -ESRCH;
        fd = syscall(SYS_pidfd_open, pid, 0);
        if (fd < 0)
                return errno == EINVAL ? -ESRCH : -errno;
        r = read_started(pid, &now_started);
        if (r >= 0 && (now_started != started || process_is_gone(fd)))
                r = -ESRCH;
        if (r < 0) {
                safe_close(fd);
                return r;
        }
        *ret_fd = fd;
        return 0;
}
