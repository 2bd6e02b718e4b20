/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* See cgroup.h. A group has either processes or groups that share its resources, so the runner leaves the unit's own for a leaf beside those of
 * the jobs. A job may have made groups in its own: it is its owner's. */

#include "runner/cgroup.h"

#include "base/parse.h"
#include "base/strv.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/vfs.h>

static int read_at(int directory, const char *path, char *buf, size_t size) {
        _cleanup_close_ int fd = openat(directory, path, O_RDONLY | O_CLOEXEC);
        ssize_t n;

        if (fd < 0)
                return -errno;
        n = read(fd, buf, size - 1);
        if (n < 0)
                return -errno;
        buf[n] = 0;
        return 0;
}

static int write_at(int directory, const char *path, const char *value) {
        _cleanup_close_ int fd = openat(directory, path, O_WRONLY | O_CLOEXEC);

        if (fd < 0)
                return -errno;
        return write(fd, value, strlen(value)) < 0 ? -errno : 0;
}

/* "cpu.stat" of a job's */
static int read_attribute(const Cgroups *c, const char *name, const char *attribute, char *buf, size_t size) {
        char path[128];

        (void) stpcpy(stpcpy(stpcpy(path, name), "/"), attribute);
        return read_at(c->root, path, buf, size);
}

int cgroup_write(const Cgroups *c, const char *name, const char *attribute, const char *value) {
        char path[128];

        (void) snprintf(path, sizeof(path), "%s/%s", name, attribute);
        return write_at(c->root, path, value);
}

/* ---- our own ---- */

static const char *mount_point(void) {
        struct statfs fs;

        return statfs("/sys/fs/cgroup", &fs) >= 0 && fs.f_type == CGROUP2_SUPER_MAGIC ? "/sys/fs/cgroup" : "/sys/fs/cgroup/unified";
}

/* Nothing but a unit of this kind is delegated to us. */
static int find_own(char *ret, size_t size) {
        char buf[4096], *line, *name;
        int r;

        r = read_at(AT_FDCWD, "/proc/self/cgroup", buf, sizeof(buf));
        if (r < 0)
                return r;
        line = startswith(buf, "0::") ? buf : strstr(buf, "\n0::");
        line = line ? strchr(line, '/') : NULL;
        if (!line)
                return -ENOENT;
        line[strcspn(line, "\n")] = 0;
        name = strrchr(line, '/');
        if (!startswith(name + 1, "jobmill-pool-"))
                return -EPERM;
        return (size_t) snprintf(ret, size, "%s%s", mount_point(), line) < size ? 0 : -ENAMETOOLONG;
}

/* Each by itself: one that cannot be had must not keep us from the others. */
static void enable_controllers(Cgroups *c) {
        char buf[1024], word[64];

        if (read_at(c->root, "cgroup.controllers", buf, sizeof(buf)) < 0)
                return;
        for (char *save = NULL, *i = strtok_r(buf, " \n", &save); i; i = strtok_r(NULL, " \n", &save)) {
                if ((size_t) snprintf(word, sizeof(word), "+%s", i) >= sizeof(word) || write_at(c->root, "cgroup.subtree_control", word) < 0)
                        continue;
                c->has_memory = c->has_memory || streq(i, "memory");
                c->has_tasks = c->has_tasks || streq(i, "pids");
                c->has_io = c->has_io || streq(i, "io");
        }
}

int cgroups_open(Cgroups *c) {
        _cleanup_close_ int root = -EBADF;
        char path[4400];
        int r;

        c->root = -EBADF;
        r = find_own(path, sizeof(path));
        if (r < 0)
                return r;
        root = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (root < 0)
                return -errno;
        if (mkdirat(root, "runner", 0755) < 0 && errno != EEXIST)
                return -errno;
        r = write_at(root, "runner/cgroup.procs", "0");
        if (r < 0)
                return r;
        c->root = TAKE_FD(root);
        enable_controllers(c);
        return 0;
}

/* ---- those of jobs ---- */

int cgroup_make(const Cgroups *c, const char *name) {
        int fd;

        if (mkdirat(c->root, name, 0755) < 0 && errno != EEXIST)
                return -errno;
        fd = openat(c->root, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        return fd < 0 ? -errno : fd;
}

static uint64_t read_number(const Cgroups *c, const char *name, const char *attribute) {
        char buf[64];
        uint64_t v;

        if (read_attribute(c, name, attribute, buf, sizeof(buf)) < 0)
                return UINT64_MAX;
        buf[strcspn(buf, "\n")] = 0;
        return parse_u64(buf, &v) < 0 ? UINT64_MAX : v;
}

/* The number behind a word that begins a line. */
static uint64_t find_number(const char *text, const char *key) {
        size_t n = strlen(key);

        for (const char *line = text; *line; line += strcspn(line, "\n"), line += *line == '\n')
                if (strncmp(line, key, n) == 0 && line[n] == ' ')
                        return strtoull(line + n + 1, NULL, 10);
        return UINT64_MAX;
}

/* MAJOR:MINOR rbytes=N wbytes=N …, a line for each disk */
static void sum_io(char *text, CgroupUsage *u) {
        u->io_read_bytes = u->io_write_bytes = 0;
        for (char *save = NULL, *word = strtok_r(text, " \n", &save); word; word = strtok_r(NULL, " \n", &save)) {
                const char *r = startswith(word, "rbytes="), *w = startswith(word, "wbytes=");
                uint64_t v;

                if ((r || w) && parse_u64(r ?: w, &v) >= 0)
                        *(r ? &u->io_read_bytes : &u->io_write_bytes) += v;
        }
}

void cgroup_read_usage(const Cgroups *c, const char *name, CgroupUsage *ret) {
        char buf[4096];
        uint64_t kills;

        *ret = CGROUP_USAGE_INIT;
        if (read_attribute(c, name, "cpu.stat", buf, sizeof(buf)) >= 0)
                ret->cpu_usec = find_number(buf, "usage_usec");
        if (c->has_tasks)
                ret->tasks_peak = read_number(c, name, "pids.peak");
        if (c->has_io && read_attribute(c, name, "io.stat", buf, sizeof(buf)) >= 0)
                sum_io(buf, ret);
        if (!c->has_memory)
                return;
        ret->memory_peak = read_number(c, name, "memory.peak");
        if (read_attribute(c, name, "memory.events", buf, sizeof(buf)) >= 0) {
                kills = find_number(buf, "oom_kill");
                ret->oom_killed = kills != UINT64_MAX && kills > 0;
        }
}

static void signal_processes(int directory, int sig) {
        int listed = openat(directory, "cgroup.procs", O_RDONLY | O_CLOEXEC);
        FILE *f = listed >= 0 ? fdopen(listed, "re") : NULL;
        long pid;

        while (f && fscanf(f, "%ld", &pid) == 1)
                if (pid > 0 && kill((pid_t) pid, sig) >= 0 && sig != SIGKILL && sig != SIGCONT)
                        (void) kill((pid_t) pid, SIGCONT); /* one that stopped itself must wake up to heed it */
        if (f)
                fclose(f);
        else
                safe_close(listed);
}

static DIR *open_group(int parent, const char *name) {
        int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        DIR *d = fd >= 0 ? fdopendir(fd) : NULL;

        if (!d)
                safe_close(fd);
        return d;
}

static bool is_group(const struct dirent *e) {
        return e->d_type == DT_DIR && !streq(e->d_name, ".") && !streq(e->d_name, "..");
}

/* Those below come first. However deep they are: each takes a descriptor, of which the runner has as many as there may be. */
static void signal_group(int parent, const char *name, int sig) {
        DIR *d = open_group(parent, name);

        if (!d)
                return;
        for (struct dirent *e; (e = readdir(d));)
                if (is_group(e))
                        signal_group(dirfd(d), e->d_name, sig);
        signal_processes(dirfd(d), sig);
        closedir(d);
}

bool cgroup_is_populated(const Cgroups *c, const char *name) {
        char buf[256];

        return read_attribute(c, name, "cgroup.events", buf, sizeof(buf)) >= 0 && find_number(buf, "populated") != 0;
}

void cgroup_kill(const Cgroups *c, const char *name, int sig) {
        if (sig != SIGKILL || cgroup_write(c, name, "cgroup.kill", "1") < 0)
                signal_group(c->root, name, sig);
}

static int remove_group(int parent, const char *name) {
        DIR *d;

        if (unlinkat(parent, name, AT_REMOVEDIR) >= 0 || errno == ENOENT)
                return 0;
        if (errno != EBUSY && errno != ENOTEMPTY)
                return -errno;
        d = open_group(parent, name);
        if (!d)
                return -EBUSY;
        for (struct dirent *e; (e = readdir(d));)
                if (is_group(e))
                        (void) remove_group(dirfd(d), e->d_name);
        closedir(d);
        return unlinkat(parent, name, AT_REMOVEDIR) >= 0 ? 0 : -EBUSY;
}

int cgroup_remove(const Cgroups *c, const char *name) {
        return remove_group(c->root, name);
}
