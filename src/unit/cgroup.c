/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Reading cgroups, and freezing one. The mount is looked for once: /sys/fs/cgroup where it is v2, else the v2 hierarchy of a hybrid
 * machine. What cannot be read is not known; nothing here fails. */

#include "unit/cgroup.h"

#include "base/parse.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/vfs.h>

static const char *cgroup_mount(void) {
        static const char *mount = NULL;
        struct statfs fs;

        if (!mount)
                mount = statfs("/sys/fs/cgroup", &fs) >= 0 && fs.f_type == CGROUP2_SUPER_MAGIC ?
                                        "/sys/fs/cgroup" :
                                        "/sys/fs/cgroup/unified";
        return mount;
}

char *cgroup_unit_path(const char *root, const char *slice, const char *unit) {
        _cleanup_free_ char *path = strdup(strempty(root));
        char *next;

        /* a-b.slice lies in a.slice */
        for (const char *dash = strchr(slice, '-'); path && dash; dash = strchr(dash + 1, '-')) {
                if (asprintf(&next, "%s/%.*s.slice", path, (int) (dash - slice), slice) < 0)
                        return NULL;
                free(path);
                path = next;
        }
        return path && asprintf(&next, "%s/%s/%s", path, slice, unit) >= 0 ? next : NULL;
}

DIR *cgroup_open(const char *path) {
        _cleanup_free_ char *p = NULL;

        if (asprintf(&p, "%s%s", cgroup_mount(), path) < 0) {
                p = NULL;
                return NULL;
        }
        return opendir(p);
}

static int cgroup_read(const char *path, const char *attribute, char *buf, size_t size) {
        _cleanup_free_ char *p = NULL;
        _cleanup_close_ int fd = -EBADF;
        ssize_t n;

        if (asprintf(&p, "%s%s/%s", cgroup_mount(), path, attribute) < 0) {
                p = NULL;
                return -ENOMEM;
        }
        fd = open(p, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return -errno;
        n = read(fd, buf, size - 1);
        if (n < 0)
                return -errno;
        buf[n] = 0;
        return 0;
}

static bool cgroup_events_has(const char *path, const char *what) {
        char buf[256];

        return cgroup_read(path, "cgroup.events", buf, sizeof(buf)) >= 0 && strstr(buf, what);
}

bool cgroup_is_populated(const char *path) {
        return cgroup_events_has(path, "populated 1");
}

bool cgroup_is_empty(const char *path) {
        return cgroup_events_has(path, "populated 0");
}

bool cgroup_is_frozen(const char *path) {
        return cgroup_events_has(path, "frozen 1");
}

int cgroup_set_frozen(const char *path, bool frozen) {
        _cleanup_free_ char *p = NULL;
        _cleanup_close_ int fd = -EBADF;

        if (asprintf(&p, "%s%s/cgroup.freeze", cgroup_mount(), path) < 0) {
                p = NULL;
                return -ENOMEM;
        }
        fd = open(p, O_WRONLY | O_CLOEXEC);
        return fd < 0 || write(fd, frozen ? "1" : "0", 1) < 0 ? -errno : 0;
}

/* MAJOR:MINOR rbytes=N wbytes=N rios=N …, a line for each disk. */
bool cgroup_read_io(const char *path, uint64_t *ret_read, uint64_t *ret_written) {
        uint64_t sums[2] = {};
        char buf[4096];

        if (cgroup_read(path, "io.stat", buf, sizeof(buf)) < 0)
                return false;
        for (char *save = NULL, *word = strtok_r(buf, " \n", &save); word; word = strtok_r(NULL, " \n", &save)) {
                const char *r = startswith(word, "rbytes="), *w = startswith(word, "wbytes=");
                uint64_t v;

                if ((r || w) && parse_u64(r ?: w, &v) >= 0)
                        sums[!r] += v;
        }
        *ret_read = sums[0];
        *ret_written = sums[1];
        return true;
}

/* usage_usec N, and more */
uint64_t cgroup_read_cpu(const char *path) {
        const char *p;
        char buf[1024];
        uint64_t v;

        if (cgroup_read(path, "cpu.stat", buf, sizeof(buf)) < 0)
                return UINT64_MAX;
        p = startswith(buf, "usage_usec ");
        return p && sscanf(p, "%" SCNu64, &v) == 1 ? v : UINT64_MAX;
}

uint64_t cgroup_read_u64(const char *path, const char *attribute) {
        char buf[64];
        uint64_t v;

        if (cgroup_read(path, attribute, buf, sizeof(buf)) < 0)
                return UINT64_MAX;
        buf[strcspn(buf, "\n")] = 0;
        return parse_u64(buf, &v) < 0 ? UINT64_MAX : v;
}
